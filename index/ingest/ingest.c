/* The driver: paths -> files -> pieces of records -> batches of the store.
 *
 *   reader.c: walks, unpacks, cuts | pipeline.c, worker.c: parse, encode, hash, compress | this
 * file one thread                     | as many as there are processors               | the
 * caller's
 *
 * Outcomes arrive in the order of the input, and this thread alone writes. One batch is open at a
 * time. It is committed when it has BATCH_RECORDS_MAX records or BATCH_BYTES_MAX bytes, and at the
 * end of a file or while nothing arrives once it is COMMIT_AFTER_NS old; many small files so share
 * a commit. Counts wait in `pending` and reach the summary with the commit: what was counted is on
 * disk. A file's line in the input log is in the batch with its last record.
 *
 * Two kinds of trouble: what belongs to a record or a file is told to `problem` and passed over;
 * what the store or the caller says (full disk, out of memory, cancelled) stops everything. */
#include "index/ingest/ingest.h"

#include "common/clock.h"
#include "common/limits.h"
#include "common/mem.h"
#include "common/parallel.h"
#include "index/ingest/input.h"
#include "index/ingest/reader.h"
#include "index/ingest/worker.h"

#include <pthread.h>
#include <stdlib.h>

#define BATCH_RECORDS_MAX 10000
#define BATCH_BYTES_MAX (64 * MED_MIB)
#define COMMIT_AFTER_NS 1000000000ull
#define PATHS_BYTES_MAX (1 * MED_GIB)
#define REPORT_EVERY_NS 50000000ull
#define WAIT_MS 50
#define WORKERS_MAX 8u /* more than one reader keeps busy */

struct run {
    struct med_store *store;
    const struct med_ingest_options *options;
    struct med_batch *batch;
    uint64_t batch_records, batch_began_ns;
    struct med_ingest_summary pending; /* of the open batch */
    struct med_ingest_summary *summary;
    struct med_input_entry entry; /* of the file at hand */
    struct med_worker_rules rules;

    const struct med_walk_file *files;
    size_t file_count;
    const struct med_piece *piece; /* at hand */
    enum med_code first;           /* the first problem of a file that matters */
    struct med_err first_err;

    uint64_t bytes_done, bytes_total, reported_ns;
};

static const char *path_of(const struct run *run, size_t file)
{
    const struct med_walk_file *f = &run->files[file];
    return f->named && strcmp(f->path, "-") == 0 ? "stdin" : f->path;
}

static void tell(struct run *run, uint64_t offset, uint64_t line, const char *reason)
{
    const struct med_piece *piece = run->piece;
    const char *file = piece->label.len > 0 ? piece->label.data : path_of(run, piece->file);
    if (run->options->problem)
        run->options->problem(run->options->problem_ctx, file, offset, line, reason);
}

static enum med_code report(struct run *run, bool now, struct med_err *err)
{
    uint64_t t = med_now_ns();
    if (!now && t - run->reported_ns < REPORT_EVERY_NS) return MED_OK;
    run->reported_ns = t;
    uint64_t done = run->bytes_done;
    if (run->bytes_total > 0 && done > run->bytes_total) done = run->bytes_total;
    const struct med_progress *progress = run->options->progress;
    uint64_t records = run->summary->records + run->pending.records;
    if (med_progress(progress, "ingest", records, 0, MED_PROGRESS_COUNT) &&
        med_progress(progress, "ingest", done, run->bytes_total, "bytes"))
        return MED_OK;
    return med_fail(err, MED_E_CANCELLED, "the ingest was cancelled");
}

static enum med_code commit(struct run *run, struct med_err *err)
{
    if (run->batch) {
        enum med_code code = med_batch_commit(&run->batch, err);
        if (code != MED_OK) return code;
    }
    const struct med_ingest_summary *p = &run->pending;
    bool nothing_new = p->unchanged + p->older > p->added + p->updated;
    atomic_store_explicit(&run->rules.compress, !nothing_new, memory_order_relaxed);
    run->summary->files += p->files;
    run->summary->records += p->records;
    run->summary->added += p->added;
    run->summary->updated += p->updated;
    run->summary->unchanged += p->unchanged;
    run->summary->older += p->older;
    run->summary->deleted += p->deleted;
    run->summary->blocked += p->blocked;
    run->summary->skipped += p->skipped;
    run->pending = (struct med_ingest_summary){0};
    run->batch_records = 0;
    return MED_OK;
}

static enum med_code begin(struct run *run, struct med_err *err)
{
    if (run->batch) return MED_OK;
    run->batch_began_ns = med_now_ns();
    return med_batch_begin(run->store, &run->batch, err);
}

static enum med_code commit_when_old(struct run *run, struct med_err *err)
{
    bool old = run->batch && med_now_ns() - run->batch_began_ns > COMMIT_AFTER_NS;
    return old ? commit(run, err) : MED_OK;
}

static enum med_code count(struct run *run, enum med_put_outcome outcome, struct med_err *err)
{
    run->pending.records++;
    switch (outcome) {
    case MED_PUT_ADDED:
        run->pending.added++;
        run->entry.added++;
        break;
    case MED_PUT_UPDATED:
        run->pending.updated++;
        run->entry.updated++;
        break;
    case MED_PUT_UNCHANGED:
        run->pending.unchanged++;
        run->entry.unchanged++;
        break;
    case MED_PUT_OLDER: run->pending.older++; break;
    case MED_PUT_BLOCKED: run->pending.blocked++; break;
    case MED_PUT_DELETED:
        run->pending.deleted++;
        run->entry.deleted++;
        break;
    }
    run->batch_records++;
    if (run->batch_records >= BATCH_RECORDS_MAX || med_batch_bytes(run->batch) >= BATCH_BYTES_MAX) {
        enum med_code code = commit(run, err);
        if (code != MED_OK) return code;
    }
    return report(run, false, err);
}

/* ---- outcomes ---- */

static enum med_code skip(
    struct run *run, uint64_t offset, uint64_t line, const char *reason, struct med_err *err)
{
    run->pending.skipped++;
    run->entry.skipped++;
    tell(run, offset, line, reason);
    return report(run, false, err);
}

static enum med_code write_outcome(
    struct run *run, const struct med_piece_outcome *outcome, struct med_err *err)
{
    if (outcome->kind == MED_OUTCOME_SKIPPED)
        return skip(run, outcome->offset, outcome->line, outcome->reason, err);
    enum med_put_outcome put = MED_PUT_UNCHANGED;
    struct med_err why = {0};
    const struct med_prepared *prepared = &outcome->prepared;
    enum med_code code = begin(run, err);
    if (code != MED_OK) return code;
    if (outcome->kind == MED_OUTCOME_DELETION)
        code = med_batch_delete(run->batch, prepared->id, prepared->precedence, &put, &why);
    else
        code = med_batch_put_prepared(run->batch, prepared, &put, &why);
    if (code == MED_OK) return count(run, put, err);
    bool of_record = code == MED_E_INVALID || code == MED_E_LIMIT;
    if (of_record && outcome->kind == MED_OUTCOME_DOCUMENT) return skip(run, 0, 0, why.text, err);
    if (err) *err = why;
    return code;
}

/* ---- files ---- */

static void note_first(struct run *run, enum med_code code, const struct med_err *why, bool of_file)
{
    if (run->first != MED_OK) return;
    run->first = code;
    run->first_err = *why;
    if (of_file) med_err_prefix(&run->first_err, "%s", path_of(run, run->piece->file));
}

/* What went wrong with a file as a whole. Files that a folder happens to hold may be anything; a
 * file that was named should be readable, and one with a checksum should fit it. */
static void file_failed(struct run *run, const struct med_piece_end *end)
{
    const struct med_walk_file *file = &run->files[run->piece->file];
    tell(run, 0, 0, end->err.text);
    if (end->found_any) run->entry.skipped++, run->pending.skipped++;
    if (file->named || end->refused || end->code != MED_E_INVALID || end->found_any)
        note_first(run, end->code, &end->err, true);
}

/* The file's line in the log. */
static enum med_code end_file(struct run *run, const struct med_piece_end *end, struct med_err *err)
{
    const struct med_walk_file *file = &run->files[run->piece->file];
    if (end->unread) {
        tell(run, 0, 0, end->err.text);
        if (end->code != MED_OK) note_first(run, end->code, &end->err, false);
        return MED_OK;
    }
    if (end->known) {
        run->summary->known_files++;
        return report(run, true, err);
    }
    if (end->code != MED_OK) file_failed(run, end);
    if (end->found_any) {
        enum med_code code = begin(run, err);
        if (code != MED_OK) return code;
        run->entry.name = med_reader_name(file);
        run->entry.sequence = med_sequence_of_name(run->entry.name);
        run->entry.unix_time_s = med_unix_time_s();
        run->entry.bytes = end->bytes;
        run->entry.hash = end->hash;
        code = med_batch_log_input(run->batch, &run->entry, err);
        if (code != MED_OK) return code;
        run->pending.files++;
    }
    run->entry = (struct med_input_entry){0};
    return commit_when_old(run, err);
}

static enum med_code take(struct run *run, const struct med_piece *piece, struct med_err *err)
{
    run->piece = piece;
    run->bytes_done = piece->bytes_done;
    run->summary->bytes_read = piece->bytes_read;
    if (piece->code != MED_OK) { /* a worker has no memory left */
        if (err) *err = piece->err;
        return piece->code;
    }
    enum med_code code = report(run, false, err);
    for (size_t i = 0; i < piece->outcome_count && code == MED_OK; i++)
        code = write_outcome(run, &piece->outcomes[i], err);
    if (code == MED_OK && piece->end.is_end) code = end_file(run, &piece->end, err);
    return code;
}

/* ---- threads ---- */

static enum med_code write_all(struct run *run, struct med_pipeline *pipeline, struct med_err *err)
{
    enum med_code code = MED_OK;
    while (code == MED_OK) {
        struct med_piece *piece;
        enum med_pop got = med_pipeline_pop(pipeline, WAIT_MS, &piece);
        if (got == MED_POP_END) break;
        if (got == MED_POP_PIECE) {
            code = take(run, piece, err);
            med_pipeline_recycle(pipeline, piece);
        } else {
            code = commit_when_old(run, err);
            if (code == MED_OK) code = report(run, false, err);
        }
    }
    return code;
}

static enum med_code read_and_write(
    struct run *run, struct med_pipeline *pipeline, struct med_arena *arena, struct med_err *err)
{
    struct med_known known = {0};
    struct med_reader_job job = {.options = run->options,
        .files = run->files,
        .file_count = run->file_count,
        .known = &known,
        .pipeline = pipeline};
    pthread_t reader;
    enum med_code code = MED_OK;
    if (run->options->known != MED_KNOWN_AGAIN)
        code = med_known_load(run->store, arena, &known, err);
    if (code != MED_OK) return code;
    if (pthread_create(&reader, NULL, med_reader_main, &job) != 0)
        return med_fail(err, MED_E_NOMEM, "the system gives no threads for the ingest");
    code = write_all(run, pipeline, err);
    if (code != MED_OK) med_pipeline_stop(pipeline);
    pthread_join(reader, NULL);
    if (code != MED_OK || job.code == MED_OK) return code;
    if (err) *err = job.err;
    return job.code;
}

static enum med_code run_threads(struct run *run, struct med_arena *arena, struct med_err *err)
{
    struct med_worker *workers[WORKERS_MAX] = {NULL};
    struct med_pipeline *pipeline = NULL;
    unsigned count = med_cpu_count();
    if (count > WORKERS_MAX) count = WORKERS_MAX;
    enum med_code code = MED_OK;
    for (unsigned i = 0; i < count && code == MED_OK; i++)
        code = med_worker_new(run->store, &run->rules, &workers[i], err);
    if (code == MED_OK)
        code = med_pipeline_new(count, med_worker_run, (void *const *)workers, &pipeline, err);
    if (code == MED_OK) code = read_and_write(run, pipeline, arena, err);
    med_pipeline_free(&pipeline);
    for (unsigned i = 0; i < count; i++) med_worker_free(&workers[i]);
    return code;
}

/* PubMed's numbered files in the order of their numbers, everything else where it was among its
 * own: of two texts with one id the later one wins. */
struct in_order {
    struct med_walk_file file;
    uint64_t sequence;
    size_t place;
};

static int by_sequence(const void *a, const void *b)
{
    const struct in_order *x = a, *y = b;
    if (x->sequence != y->sequence) return x->sequence < y->sequence ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

static enum med_code put_in_order(
    struct med_walk_file *files, size_t count, struct med_arena *arena, struct med_err *err)
{
    struct in_order *list = med_arena_calloc(arena, count + 1, sizeof *list);
    if (!list) return med_fail(err, MED_E_NOMEM, "out of memory for a list of files");
    for (size_t i = 0; i < count; i++)
        list[i] = (struct in_order){.file = files[i],
            .sequence = med_sequence_of_name(med_base_name(files[i].path)),
            .place = i};
    qsort(list, count, sizeof *list, by_sequence);
    for (size_t i = 0; i < count; i++) files[i] = list[i].file;
    return MED_OK;
}

static enum med_code find_label(struct run *run, struct med_err *err)
{
    struct med_str name = run->options->source_name;
    if (name.len == 0) return MED_OK;
    for (int i = 0; i < MED_SOURCE_COUNT; i++) {
        if (med_str_eq(name, med_str_of(med_source_name((enum med_source)i)))) {
            run->rules.relabel = true;
            run->rules.label = (enum med_source)i;
            return MED_OK;
        }
    }
    return med_fail(err, MED_E_USAGE,
        "the source '" MED_STR_FMT "' is not known: use pubmed, pmc, guideline or other",
        MED_STR_ARG(name));
}

enum med_code med_ingest(struct med_store *store, const char *const *paths, size_t path_count,
    const struct med_ingest_options *options, struct med_ingest_summary *ret_summary,
    struct med_err *err)
{
    static const struct med_ingest_options no_options;
    struct run run = {.store = store, .options = options ? options : &no_options};
    run.summary = ret_summary;
    run.rules.compress = true;
    *ret_summary = (struct med_ingest_summary){0};
    struct med_arena *arena = NULL;
    struct med_walk_file *files = NULL;
    enum med_code code = find_label(&run, err);
    if (code == MED_OK) code = med_arena_new(PATHS_BYTES_MAX, &arena, err);
    if (code == MED_OK) code = med_walk(paths, path_count, arena, &files, &run.file_count, err);
    if (code == MED_OK) code = put_in_order(files, run.file_count, arena, err);
    run.files = files;
    for (size_t i = 0; i < run.file_count; i++) run.bytes_total += files[i].size;
    if (code == MED_OK) code = run_threads(&run, arena, err);
    if (code == MED_OK) code = commit(&run, err);
    if (code == MED_OK) code = report(&run, true, err);
    if (run.batch) med_batch_abort(&run.batch);
    med_arena_free(&arena);
    if (code == MED_OK && run.first != MED_OK && err) *err = run.first_err;
    return code != MED_OK ? code : run.first;
}

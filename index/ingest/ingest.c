/* The driver: paths -> files -> streams -> parsers -> batches of the store.
 *
 * One batch is open at a time. It is committed when it has BATCH_RECORDS_MAX records or
 * BATCH_BYTES_MAX bytes and at the end of each file together with the file's line in the input log.
 * Counts wait in `pending` and reach the summary with the commit: what was counted is on disk.
 *
 * Two kinds of trouble: what belongs to a record or a file is told to `problem` and passed over;
 * what the store or the caller says (full disk, out of memory, cancelled) stops everything
 * (`fatal`). */
#include "index/ingest/ingest.h"

#include "common/clock.h"
#include "common/limits.h"
#include "index/ingest/input.h"
#include "index/ingest/known.h"
#include "index/ingest/md5.h"
#include "index/ingest/walk.h"
#include "index/store/store.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define BATCH_RECORDS_MAX 10000
#define BATCH_BYTES_MAX (64 * MED_MIB)
#define PATHS_BYTES_MAX (1 * MED_GIB)
#define REPORT_EVERY_NS 50000000ull

struct run {
    struct med_store *store;
    const struct med_ingest_options *options;
    bool relabel;
    enum med_source label; /* of options->source_name */
    struct med_batch *batch;
    uint64_t batch_records;
    struct med_ingest_summary pending; /* of the open batch */
    struct med_ingest_summary *summary;
    struct med_input_entry entry; /* of the open file */
    struct med_known known;

    const char *path; /* of the open file, and of the member of an archive */
    char member_path[1024];
    enum med_format format;
    bool found_any; /* the file had something that is read */
    bool fatal;

    uint64_t bytes_done, bytes_total, reported_ns;
};

static void tell(struct run *run, uint64_t offset, uint64_t line, const char *reason)
{
    if (run->options->problem) {
        const char *file = run->member_path[0] ? run->member_path : run->path;
        run->options->problem(run->options->problem_ctx, file, offset, line, reason);
    }
}

static enum med_code fatal(struct run *run, enum med_code code)
{
    run->fatal = true;
    return code;
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
    return fatal(run, med_fail(err, MED_E_CANCELLED, "the ingest was cancelled"));
}

static enum med_code commit(struct run *run, struct med_err *err)
{
    if (run->batch) {
        enum med_code code = med_batch_commit(&run->batch, err);
        if (code != MED_OK) return fatal(run, code);
    }
    const struct med_ingest_summary *p = &run->pending;
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
    enum med_code code = med_batch_begin(run->store, &run->batch, err);
    return code == MED_OK ? MED_OK : fatal(run, code);
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

/* ---- the sink of the parsers ---- */

static enum med_code on_skipped(
    void *ctx, uint64_t offset, uint64_t line, const char *reason, struct med_err *err)
{
    struct run *run = ctx;
    run->pending.skipped++;
    run->entry.skipped++;
    tell(run, offset, line, reason);
    return report(run, false, err);
}

static enum med_code on_document(void *ctx, const struct med_doc *doc, struct med_err *err)
{
    struct run *run = ctx;
    struct med_err why;
    run->found_any = true;
    if (med_doc_id_check(doc->id, &why) != MED_OK) return on_skipped(run, 0, 0, why.text, err);
    enum med_code code = begin(run, err);
    if (code != MED_OK) return code;
    enum med_put_outcome outcome;
    struct med_doc labelled;
    bool by_label =
        run->relabel && run->format != MED_FORMAT_PUBMED_XML && run->format != MED_FORMAT_JATS;
    if (by_label) {
        labelled = *doc;
        labelled.source = run->label;
        doc = &labelled;
    }
    code = med_batch_put(run->batch, doc, &outcome, &why);
    if (code == MED_E_INVALID || code == MED_E_LIMIT) {
        return on_skipped(run, 0, 0, why.text, err);
    }
    if (code != MED_OK) {
        if (err) *err = why;
        return fatal(run, code);
    }
    return count(run, outcome, err);
}

static enum med_code on_deletion(
    void *ctx, struct med_str id, struct med_precedence precedence, struct med_err *err)
{
    struct run *run = ctx;
    run->found_any = true;
    enum med_code code = begin(run, err);
    if (code != MED_OK) return code;
    enum med_put_outcome outcome;
    code = med_batch_delete(run->batch, id, precedence, &outcome, err);
    if (code != MED_OK) return fatal(run, code);
    return count(run, outcome, err);
}

/* ---- files ---- */

/* Counts bytes for the progress and asks the caller whether to go on. */
struct metered {
    struct run *run;
    struct med_raw raw;
    struct med_hasher *hasher; /* of everything read */
    uint64_t bytes;
};

static enum med_code metered_read(
    void *ctx, void *ptr, size_t cap, size_t *ret_len, struct med_err *err)
{
    struct metered *m = ctx;
    enum med_code code = med_raw_read(&m->raw, ptr, cap, ret_len, err);
    if (code != MED_OK) return code;
    m->run->bytes_done += *ret_len;
    m->run->summary->bytes_read += *ret_len;
    m->bytes += *ret_len;
    med_hasher_update(m->hasher, ptr, *ret_len);
    return report(m->run, false, err);
}

static enum med_code parse(struct run *run, const struct med_input *in, struct med_err *err)
{
    const struct med_doc_sink sink = {on_document, on_deletion, on_skipped, run};
    return med_parse(in, run->format, &sink, err);
}

/* One file or member, by its content. Anything but MED_OK without `fatal` concerns this file only.
 */
static enum med_code ingest_stream(struct run *run, struct med_stream *stream,
    const struct med_input *in, struct med_str head, struct med_err *err)
{
    if (head.len == 0) return med_fail(err, MED_E_INVALID, "the file is empty");
    run->format = med_format_detect(head.ptr, head.len);
    if (run->format == MED_FORMAT_UNKNOWN) {
        return med_fail(err, MED_E_INVALID,
            "the content is none of PubMed XML, JATS, JSON Lines, Markdown, HTML or plain text");
    }
    run->found_any = true;
    enum med_code code = parse(run, in, err);
    if (code != MED_OK) return code;
    const char *problem = med_stream_problem(stream);
    if (problem) code = on_skipped(run, med_stream_bytes(stream), 0, problem, err);
    return code;
}

static enum med_code on_member(void *ctx, const struct med_input *raw, struct med_err *err)
{
    struct run *run = ctx;
    struct med_stream *stream = NULL;
    struct med_str head, name = raw->name;
    if (name.len > 0 && name.ptr[0] == '.') return MED_OK;
    struct med_err why;
    struct med_str archive = med_base_name(run->path);
    snprintf(run->member_path, sizeof run->member_path, MED_STR_FMT "/" MED_STR_FMT,
        MED_STR_ARG(archive), MED_STR_ARG(name));
    enum med_code code = med_stream_open(raw, &stream, &why);
    if (code == MED_OK) code = med_stream_head(stream, &head, &why);
    if (code == MED_OK) {
        struct med_input in = *raw;
        in.read = med_stream_read;
        in.ctx = stream;
        code = ingest_stream(run, stream, &in, head, &why);
    }
    med_stream_close(&stream);
    if (code != MED_OK && !run->fatal) {
        code = on_skipped(run, 0, 0, why.text, err);
    } else if (code != MED_OK && err) {
        *err = why;
    }
    run->member_path[0] = '\0';
    return code;
}

static enum med_code ingest_open_file(
    struct run *run, struct med_stream *stream, struct med_str name, struct med_err *err)
{
    struct med_str head;
    enum med_code code = med_stream_head(stream, &head, err);
    if (code != MED_OK) return code;
    struct med_input in = {.read = med_stream_read,
        .ctx = stream,
        .name = name,
        .sequence = med_sequence_of_name(name)};
    run->entry.sequence = in.sequence;
    if (!med_tar_detect(head)) return ingest_stream(run, stream, &in, head, err);
    char problem[MED_TAR_PROBLEM_MAX];
    code = med_tar_each(&in, on_member, run, problem, err);
    if (code != MED_OK) return code;
    const char *why = med_stream_problem(stream);
    if (!why && problem[0]) why = problem;
    return why ? on_skipped(run, med_stream_bytes(stream), 0, why, err) : MED_OK;
}

/* The file's line in the log and the commit. */
static enum med_code end_file(struct run *run, struct med_err *err)
{
    if (run->found_any) {
        enum med_code code = begin(run, err);
        if (code != MED_OK) return code;
        run->entry.unix_time_s = med_unix_time_s();
        code = med_batch_log_input(run->batch, &run->entry, err);
        if (code != MED_OK) return fatal(run, code);
        run->summary->files++;
    }
    return commit(run, err);
}

/* The whole of a file that could be read to its end is remembered by its hash. */
static enum med_code ingest_content(
    struct run *run, const struct med_walk_file *file, struct med_str name, struct med_err *err)
{
    struct metered metered = {.run = run, .hasher = med_hasher_new()};
    struct med_stream *stream = NULL;
    if (!metered.hasher) return fatal(run, med_fail(err, MED_E_NOMEM, "out of memory"));
    enum med_code code = med_raw_open(file->path, &metered.raw, err);
    if (code == MED_OK) {
        const struct med_input raw = {.read = metered_read, .ctx = &metered, .name = name};
        code = med_stream_open(&raw, &stream, err);
        if (code == MED_OK) code = ingest_open_file(run, stream, name, err);
        med_stream_close(&stream);
        med_raw_close(&metered.raw);
    }
    if (code == MED_OK && file->size > 0 && metered.bytes == file->size) {
        run->entry.bytes = metered.bytes;
        run->entry.hash = med_hasher_digest(metered.hasher);
    }
    med_hasher_free(&metered.hasher);
    return code;
}

/* True when the file need not, or must not, be read: it is known, or it is not what it should be.
 */
static bool passed_over(struct run *run, const struct med_walk_file *file, struct med_str name,
    enum med_code *ret_code, struct med_err *err)
{
    bool known = false;
    enum med_ingest_known how = run->options->known;
    *ret_code = MED_OK;
    if (file->size > 0 && (how == MED_KNOWN_SKIP ||
                              (how == MED_KNOWN_SKIP_UPDATES && med_sequence_of_name(name) > 0)))
        *ret_code = med_known_has(&run->known, file->path, name, file->size, &known, err);
    if (known) {
        run->summary->known_files++;
        run->bytes_done += file->size;
    }
    if (*ret_code == MED_OK && !known)
        *ret_code = med_md5_check(file->path, run->options->require_md5, err);
    return known || *ret_code != MED_OK;
}

static enum med_code ingest_file(
    struct run *run, const struct med_walk_file *file, enum med_code *first, struct med_err *err)
{
    struct med_err why;
    enum med_code code;
    bool is_stdin = file->named && strcmp(file->path, "-") == 0;
    struct med_str name = is_stdin ? MED_STR("stdin") : med_base_name(file->path);
    run->path = is_stdin ? "stdin" : file->path;
    run->found_any = false;
    run->entry = (struct med_input_entry){.name = name};
    bool refused = !is_stdin && passed_over(run, file, name, &code, &why);
    if (refused && code == MED_OK) return report(run, true, err);
    if (!refused) code = ingest_content(run, file, name, &why);
    if (run->fatal) {
        if (err) *err = why;
        return code;
    }
    if (code != MED_OK) {
        tell(run, 0, 0, why.text);
        if (run->found_any) run->entry.skipped++, run->pending.skipped++;
        /* Files that a folder happens to hold may be anything; a file that was named should be
         * readable, and one with a checksum should fit it. */
        bool matters = file->named || refused || code != MED_E_INVALID || run->found_any;
        if (matters && *first == MED_OK) {
            *first = code;
            if (err) *err = why;
            med_err_prefix(err, "%s", run->path);
        }
    }
    struct med_err end_err;
    code = end_file(run, &end_err);
    if (code != MED_OK && err) *err = end_err;
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

static enum med_code find_label(
    const struct med_ingest_options *options, struct run *run, struct med_err *err)
{
    if (options->source_name.len == 0) return MED_OK;
    for (int i = 0; i < MED_SOURCE_COUNT; i++) {
        if (med_str_eq(options->source_name, med_str_of(med_source_name((enum med_source)i)))) {
            run->relabel = true;
            run->label = (enum med_source)i;
            return MED_OK;
        }
    }
    return med_fail(err, MED_E_USAGE,
        "the source '" MED_STR_FMT "' is not known: use pubmed, pmc, guideline or other",
        MED_STR_ARG(options->source_name));
}

enum med_code med_ingest(struct med_store *store, const char *const *paths, size_t path_count,
    const struct med_ingest_options *options, struct med_ingest_summary *ret_summary,
    struct med_err *err)
{
    static const struct med_ingest_options no_options;
    struct run run = {.store = store, .options = options ? options : &no_options};
    run.summary = ret_summary;
    *ret_summary = (struct med_ingest_summary){0};
    enum med_code first = MED_OK; /* the first problem of a file that matters */
    struct med_arena *arena = NULL;
    struct med_walk_file *files = NULL;
    size_t file_count = 0;
    enum med_code code = find_label(run.options, &run, err);
    if (code == MED_OK) code = med_arena_new(PATHS_BYTES_MAX, &arena, err);
    if (code == MED_OK) code = med_walk(paths, path_count, arena, &files, &file_count, err);
    if (code == MED_OK) code = put_in_order(files, file_count, arena, err);
    if (code == MED_OK && run.options->known != MED_KNOWN_AGAIN)
        code = med_known_load(store, arena, &run.known, err);
    for (size_t i = 0; i < file_count; i++) run.bytes_total += files[i].size;
    for (size_t i = 0; i < file_count && code == MED_OK; i++) {
        if (!files[i].problem) {
            code = ingest_file(&run, &files[i], &first, err);
            continue;
        }
        run.path = files[i].path;
        tell(&run, 0, 0, files[i].problem);
        if (files[i].code != MED_OK && first == MED_OK) {
            first = med_fail(err, files[i].code, "%s", files[i].problem);
        }
    }
    if (code == MED_OK) code = report(&run, true, err);
    if (run.batch) med_batch_abort(&run.batch);
    med_arena_free(&arena);
    return code != MED_OK ? code : first;
}

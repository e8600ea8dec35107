/* See reader.h. What is wrong with a file is told by the piece that ends it; what is wrong with a
 * record is an item among the others, so that the writer hears everything in the order of the
 * input. */
#include "index/ingest/reader.h"

#include "common/fs.h"
#include "common/limits.h"
#include "common/mem.h"
#include "index/ingest/input.h"
#include "index/ingest/md5.h"

#include <stdio.h>

#define PIECE_BYTES ((size_t)256 << 10) /* with what is made of it, in the cache of one core */
#define PIECE_ITEMS_MAX 4096

struct reader {
    struct med_reader_job *job;
    size_t file;
    struct med_piece *piece; /* being filled; NULL: none yet */
    struct med_piece_end end;
    struct med_str member; /* "archive.tar/name", else empty */
    struct med_origin origin;
    uint64_t bytes_done; /* of all files, those passed over included */
    uint64_t bytes_read;
    bool stopped;
};

struct med_str med_reader_name(const struct med_walk_file *file)
{
    bool is_stdin = file->named && strcmp(file->path, "-") == 0;
    return is_stdin ? MED_STR("stdin") : med_base_name(file->path);
}

/* ---- pieces ---- */

static enum med_code push(struct reader *r, struct med_err *err)
{
    struct med_piece *piece = r->piece;
    if (!piece) return MED_OK;
    r->piece = NULL;
    piece->bytes_done = r->bytes_done;
    piece->bytes_read = r->bytes_read;
    if (med_pipeline_push(r->job->pipeline, piece)) return MED_OK;
    r->stopped = true;
    return med_fail(err, MED_E_CANCELLED, "the ingest was stopped");
}

static enum med_code open_piece(struct reader *r, struct med_err *err)
{
    if (r->piece) return MED_OK;
    struct med_piece *piece = r->piece = med_pipeline_blank(r->job->pipeline);
    if (!piece) return med_fail(err, MED_E_NOMEM, "out of memory for a piece of the input");
    piece->file = r->file;
    piece->origin = r->origin;
    med_buf_append_str(&piece->label, r->member);
    if (r->member.len > 0) piece->origin.name = med_base_name(piece->label.data);
    return med_buf_status(&piece->label, err);
}

/* Adds an item whose bytes are a record or the reason why there is none. */
static enum med_code add(
    struct reader *r, const struct med_source_record *record, bool skipped, struct med_err *err)
{
    struct med_piece *piece = r->piece;
    enum med_code code = MED_OK;
    if (piece && (piece->item_count == PIECE_ITEMS_MAX ||
                     (piece->bytes.len > 0 && piece->bytes.len + record->bytes.len > PIECE_BYTES)))
        code = push(r, err);
    if (code == MED_OK) code = open_piece(r, err);
    if (code != MED_OK) return code;
    piece = r->piece;
    if (!med_grow(&piece->items, &piece->item_cap, piece->item_count + 1, sizeof *piece->items))
        return med_fail(err, MED_E_NOMEM, "out of memory for a piece of the input");
    piece->items[piece->item_count++] =
        (struct med_piece_item){.record = *record, .at = piece->bytes.len, .skipped = skipped};
    med_buf_append_str(&piece->bytes, record->bytes);
    med_buf_putc(&piece->bytes, '\0'); /* reasons are C strings */
    return med_buf_status(&piece->bytes, err);
}

static enum med_code on_record(
    void *ctx, const struct med_source_record *record, struct med_err *err)
{
    return add(ctx, record, false, err);
}

static enum med_code on_skipped(
    void *ctx, uint64_t offset, uint64_t line, const char *reason, struct med_err *err)
{
    const struct med_source_record record = {
        .bytes = med_str_of(reason), .offset = offset, .line = line};
    return add(ctx, &record, true, err);
}

/* ---- files ---- */

/* Counts bytes for the progress. */
struct metered {
    struct reader *reader;
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
    m->reader->bytes_done += *ret_len;
    m->reader->bytes_read += *ret_len;
    m->bytes += *ret_len;
    med_hasher_update(m->hasher, ptr, *ret_len);
    return MED_OK;
}

/* One file or member, by its content. */
static enum med_code read_stream(struct reader *r, struct med_stream *stream,
    const struct med_input *in, struct med_str head, struct med_err *err)
{
    if (head.len == 0) return med_fail(err, MED_E_INVALID, "the file is empty");
    enum med_format format = med_format_detect(head.ptr, head.len);
    if (format == MED_FORMAT_UNKNOWN) {
        return med_fail(err, MED_E_INVALID,
            "the content is none of PubMed XML, JATS, JSON Lines, Markdown, HTML or plain text");
    }
    r->end.found_any = true;
    r->origin = (struct med_origin){.format = format, .name = in->name, .sequence = in->sequence};
    const struct med_record_sink sink = {on_record, on_skipped, r};
    enum med_code code = med_parser_kind(format)->split(in, &sink, err);
    if (code != MED_OK) return code;
    const char *problem = med_stream_problem(stream);
    return problem ? on_skipped(r, med_stream_bytes(stream), 0, problem, err) : MED_OK;
}

static enum med_code on_member(void *ctx, const struct med_input *raw, struct med_err *err)
{
    struct reader *r = ctx;
    struct med_stream *stream = NULL;
    struct med_str head, name = raw->name;
    if (name.len > 0 && name.ptr[0] == '.') return MED_OK;
    struct med_err why;
    char label[2 * MED_PATH_MAX];
    int len = snprintf(label, sizeof label, MED_STR_FMT "/" MED_STR_FMT,
        MED_STR_ARG(med_reader_name(&r->job->files[r->file])), MED_STR_ARG(name));
    if (len < 0 || (size_t)len >= sizeof label) len = (int)sizeof label - 1;
    enum med_code code = push(r, err); /* what follows has another name */
    if (code != MED_OK) return code;
    r->member = (struct med_str){.ptr = label, .len = (size_t)len};
    code = med_stream_open(raw, &stream, &why);
    if (code == MED_OK) code = med_stream_head(stream, &head, &why);
    if (code == MED_OK) {
        struct med_input in = *raw;
        in.read = med_stream_read;
        in.ctx = stream;
        code = read_stream(r, stream, &in, head, &why);
    }
    med_stream_close(&stream);
    if (code != MED_OK && !r->stopped) {
        code = on_skipped(r, 0, 0, why.text, err);
    } else if (code != MED_OK && err) {
        *err = why;
    }
    if (code == MED_OK) code = push(r, err);
    r->member = (struct med_str){0};
    return code;
}

static enum med_code read_open_file(
    struct reader *r, struct med_stream *stream, struct med_str name, struct med_err *err)
{
    struct med_str head;
    enum med_code code = med_stream_head(stream, &head, err);
    if (code != MED_OK) return code;
    struct med_input in = {.read = med_stream_read,
        .ctx = stream,
        .name = name,
        .sequence = med_sequence_of_name(name)};
    if (!med_tar_detect(head)) return read_stream(r, stream, &in, head, err);
    char problem[MED_TAR_PROBLEM_MAX];
    code = med_tar_each(&in, on_member, r, problem, err);
    if (code != MED_OK) return code;
    const char *why = med_stream_problem(stream);
    if (!why && problem[0]) why = problem;
    return why ? on_skipped(r, med_stream_bytes(stream), 0, why, err) : MED_OK;
}

/* The whole of a file that could be read to its end is remembered by its hash. */
static enum med_code read_content(
    struct reader *r, const struct med_walk_file *file, struct med_str name, struct med_err *err)
{
    struct metered metered = {.reader = r, .hasher = med_hasher_new()};
    struct med_stream *stream = NULL;
    if (!metered.hasher) return med_fail(err, MED_E_NOMEM, "out of memory");
    enum med_code code = med_raw_open(file->path, &metered.raw, err);
    if (code == MED_OK) {
        const struct med_input raw = {.read = metered_read, .ctx = &metered, .name = name};
        code = med_stream_open(&raw, &stream, err);
        if (code == MED_OK) code = read_open_file(r, stream, name, err);
        med_stream_close(&stream);
        med_raw_close(&metered.raw);
    }
    if (code == MED_OK && file->size > 0 && metered.bytes == file->size) {
        r->end.bytes = metered.bytes;
        r->end.hash = med_hasher_digest(metered.hasher);
    }
    med_hasher_free(&metered.hasher);
    return code;
}

/* True when the file need not, or must not, be read: it is known, or it is not what it should be.
 */
static bool passed_over(struct reader *r, const struct med_walk_file *file, struct med_str name,
    enum med_code *ret_code, struct med_err *err)
{
    bool known = false;
    const struct med_ingest_options *options = r->job->options;
    enum med_ingest_known how = options->known;
    *ret_code = MED_OK;
    if (file->size > 0 && (how == MED_KNOWN_SKIP ||
                              (how == MED_KNOWN_SKIP_UPDATES && med_sequence_of_name(name) > 0)))
        *ret_code = med_known_has(r->job->known, file->path, name, file->size, &known, err);
    if (known) r->bytes_done += file->size;
    r->end.known = known;
    if (*ret_code == MED_OK && !known)
        *ret_code = med_md5_check(file->path, options->require_md5, err);
    r->end.refused = *ret_code != MED_OK;
    return known || r->end.refused;
}

/* False when there is nobody to read for. */
static bool read_file(struct reader *r, const struct med_walk_file *file)
{
    struct med_err err = {0};
    enum med_code code = file->code;
    struct med_str name = med_reader_name(file);
    bool is_stdin = file->named && strcmp(file->path, "-") == 0;
    r->origin = (struct med_origin){0};
    r->end = (struct med_piece_end){.is_end = true, .unread = file->problem != NULL};
    if (file->problem)
        snprintf(err.text, sizeof err.text, "%s", file->problem);
    else if (is_stdin || !passed_over(r, file, name, &code, &err))
        code = read_content(r, file, name, &err);
    r->end.code = code;
    r->end.err = err;
    if (r->stopped) return false;
    r->job->code = open_piece(r, &r->job->err);
    if (r->job->code != MED_OK) return false;
    r->piece->end = r->end;
    return push(r, &err) == MED_OK;
}

void *med_reader_main(void *job)
{
    struct reader r = {.job = job};
    bool goes_on = true;
    for (; goes_on && r.file < r.job->file_count; r.file++)
        goes_on = read_file(&r, &r.job->files[r.file]);
    if (r.piece) med_pipeline_recycle(r.job->pipeline, r.piece);
    if (goes_on)
        med_pipeline_end(r.job->pipeline);
    else
        med_pipeline_stop(r.job->pipeline);
    return NULL;
}

/* JSON Lines: cuts the stream into lines and makes one document of each. A line above
 * MED_LINE_BYTES_MAX is dropped while it is read, so that it costs no more memory than the limit.
 */
#include "index/ingest/json_doc.h"

#include "common/limits.h"
#include "common/mem.h"
#include "common/unicode.h"
#include "index/ingest/parser.h"

#define READ_BYTES ((size_t)256 << 10)

struct jsonl {
    const struct med_record_sink *sink;
    struct med_buf line; /* the part of the line that came with earlier reads */
    uint64_t line_offset;
    uint64_t line_number; /* from 1 */
    bool too_long;        /* the rest of this line is dropped */
};

static enum med_code skip(struct jsonl *j, const char *reason, struct med_err *err)
{
    return j->sink->skipped(j->sink->ctx, j->line_offset, j->line_number, reason, err);
}

static enum med_code take_line(struct jsonl *j, struct med_str line, struct med_err *err)
{
    if (line.len > MED_LINE_BYTES_MAX) return skip(j, "the line is too long", err);
    const struct med_source_record record = {
        .bytes = line, .offset = j->line_offset, .line = j->line_number};
    return line.len > 0 ? j->sink->record(j->sink->ctx, &record, err) : MED_OK;
}

/* A line has ended: `tail` is the part of it in the current read. */
static enum med_code end_line(struct jsonl *j, struct med_str tail, struct med_err *err)
{
    enum med_code code;
    if (j->too_long || j->line.len + tail.len > MED_LINE_BYTES_MAX) {
        code = skip(j, "the line is too long", err);
    } else if (j->line.len == 0) {
        code = take_line(j, tail, err);
    } else {
        med_buf_append_str(&j->line, tail);
        code = med_buf_status(&j->line, err);
        if (code == MED_OK) code = take_line(j, med_buf_str(&j->line), err);
    }
    med_buf_reset(&j->line);
    j->too_long = false;
    return code;
}

static enum med_code keep_tail(struct jsonl *j, struct med_str tail, struct med_err *err)
{
    if (j->too_long) return MED_OK;
    if (j->line.len + tail.len > MED_LINE_BYTES_MAX) {
        j->too_long = true;
        med_buf_free(&j->line);
        return MED_OK;
    }
    med_buf_append_str(&j->line, tail);
    return med_buf_status(&j->line, err);
}

static enum med_code read_lines(
    struct jsonl *j, const struct med_input *in, char *block, struct med_err *err)
{
    uint64_t offset = 0;
    j->line_number = 1;
    for (;;) {
        size_t len = 0;
        enum med_code code = in->read(in->ctx, block, READ_BYTES, &len, err);
        if (code != MED_OK) return code;
        if (len == 0) break;
        struct med_str rest = {.ptr = block, .len = len};
        const char *end;
        while (rest.len > 0 && (end = memchr(rest.ptr, '\n', rest.len))) {
            size_t line_len = (size_t)(end - rest.ptr);
            code = end_line(j, med_str_sub(rest, 0, line_len), err);
            if (code != MED_OK) return code;
            rest = med_str_sub(rest, line_len + 1, rest.len);
            j->line_number++;
            j->line_offset = offset + (size_t)(rest.ptr - block);
        }
        if (rest.len > 0) code = keep_tail(j, rest, err);
        if (code != MED_OK) return code;
        offset += len;
    }
    return j->line.len > 0 || j->too_long ? end_line(j, (struct med_str){0}, err) : MED_OK;
}

static enum med_code split(
    const struct med_input *in, const struct med_record_sink *sink, struct med_err *err)
{
    struct jsonl j = {.sink = sink};
    med_buf_init(&j.line, MED_LINE_BYTES_MAX + 1);
    char *block = med_malloc(READ_BYTES);
    if (!block) return med_fail(err, MED_E_NOMEM, "out of memory for reading");
    enum med_code code = read_lines(&j, in, block, err);
    med_buf_free(&j.line);
    med_free(block);
    return code;
}

/* ---- one line ---- */

struct parser {
    struct med_arena *arena;
    struct med_buf scratch;
};

static enum med_code parse_record(void *parser, const struct med_origin *origin,
    const struct med_source_record *record, const struct med_doc_sink *sink, struct med_err *err)
{
    (void)origin;
    struct parser *p = parser;
    struct med_str line = record->bytes;
    if (record->line == 1 && med_str_starts(line, MED_STR("\xef\xbb\xbf"))) {
        line = med_str_sub(line, 3, line.len);
    }
    line = med_str_trim(line);
    if (line.len == 0) return MED_OK;
    struct med_doc *doc;
    struct med_err why;
    enum med_code code = MED_OK;
    med_arena_reset(p->arena);
    if (!med_utf8_valid(line.ptr, line.len))
        code = med_fail(&why, MED_E_INVALID, "the line has bytes that are not UTF-8");
    if (code == MED_OK) code = med_doc_from_json(line, p->arena, &p->scratch, &doc, &why);
    if (code == MED_OK) return sink->document(sink->ctx, doc, err);
    if (code == MED_E_INVALID || code == MED_E_LIMIT)
        return sink->skipped(sink->ctx, record->offset, record->line, why.text, err);
    if (err) *err = why;
    return code;
}

static void close_parser(void *parser)
{
    struct parser *p = parser;
    med_arena_free(&p->arena);
    med_buf_free(&p->scratch);
    med_free(p);
}

static enum med_code open_parser(void **ret_parser, struct med_err *err)
{
    struct parser *p = med_calloc(1, sizeof *p);
    if (!p) return med_fail(err, MED_E_NOMEM, "out of memory for JSON Lines");
    med_buf_init(&p->scratch, 2 * MED_LINE_BYTES_MAX);
    enum med_code code = med_arena_new(MED_DOC_ARENA_BYTES_MAX, &p->arena, err);
    if (code == MED_OK)
        *ret_parser = p;
    else
        close_parser(p);
    return code;
}

const struct med_parser_kind med_parser_jsonl = {split, open_parser, parse_record, close_parser};

/* JSON Lines: cuts the stream into lines and makes one document of each. A line above
 * MED_LINE_BYTES_MAX is dropped while it is read, so that it costs no more memory than the limit.
 */
#include "index/ingest/json_doc.h"

#include "common/limits.h"
#include "common/mem.h"
#include "common/unicode.h"
#include "index/ingest/ingest.h"

#define READ_BYTES ((size_t)256 << 10)

struct jsonl {
    const struct med_doc_sink *sink;
    struct med_arena *arena;
    struct med_buf line; /* the part of the line that came with earlier reads */
    struct med_buf scratch;
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
    if (j->line_number == 1 && med_str_starts(line, MED_STR("\xef\xbb\xbf"))) {
        line = med_str_sub(line, 3, line.len);
    }
    line = med_str_trim(line);
    if (line.len == 0) return MED_OK;
    if (!med_utf8_valid(line.ptr, line.len)) {
        return skip(j, "the line has bytes that are not UTF-8", err);
    }
    struct med_doc *doc;
    struct med_err why;
    med_arena_reset(j->arena);
    enum med_code code = med_doc_from_json(line, j->arena, &j->scratch, &doc, &why);
    if (code == MED_OK) return j->sink->document(j->sink->ctx, doc, err);
    if (code == MED_E_INVALID || code == MED_E_LIMIT) return skip(j, why.text, err);
    if (err) *err = why;
    return code;
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

enum med_code med_parse_jsonl(
    const struct med_input *in, const struct med_doc_sink *sink, struct med_err *err)
{
    struct jsonl j = {.sink = sink};
    med_buf_init(&j.line, MED_LINE_BYTES_MAX + 1);
    med_buf_init(&j.scratch, 2 * MED_LINE_BYTES_MAX);
    char *block = med_malloc(READ_BYTES);
    enum med_code code = MED_OK;
    if (!block) code = med_fail(err, MED_E_NOMEM, "out of memory for reading");
    if (code == MED_OK) code = med_arena_new(MED_DOC_ARENA_BYTES_MAX, &j.arena, err);
    if (code == MED_OK) code = read_lines(&j, in, block, err);
    med_arena_free(&j.arena);
    med_buf_free(&j.line);
    med_buf_free(&j.scratch);
    med_free(block);
    return code;
}

/* Cuts a stream of XML into records without parsing it; see xml.h.
 *
 *   <?xml ...?> <!DOCTYPE ...> <Set> <Record> ... </Record> <Record> ... </Record> </Set>
 *                                    ^ open                ^ handed out
 *
 * A window of the input is kept: from the start of the open record, else from the scan position.
 * Positions are offsets into the whole (converted) input. The scan goes from '<' to '<'; only tags
 * of record kinds, of the root, comments, CDATA, processing instructions and the DOCTYPE mean
 * anything.
 *
 * What ends a record without its end tag: the start of another one (a record holds none of its own
 * kind and none of a kind that is not `inner`), its size, or the end of the file. Then it is
 * reported and the scan goes on; parts of it that look like inner records are not taken for records
 * (`lost`). A comment or CDATA section that is opened in a record and never closed would swallow
 * the rest of the file: the scan goes back to behind its opener. That no closer follows is
 * remembered (`barren_until`), so that each is searched once. */
#include "index/ingest/encoding.h"
#include "index/ingest/xml.h"

#include "common/mem.h"
#include "common/unicode.h"

#include <stdio.h>

#define READ_BYTES ((size_t)256 << 10)
#define NAME_BYTES_MAX 64 /* of the root's name, as far as it is compared */
#define LOOK_AHEAD 80     /* behind a '<': longer than any name of interest */
#define NOWHERE UINT64_MAX

enum opener { COMMENT, CDATA, INSTRUCTION, OPENER_COUNT };
static const struct {
    struct med_str open, close;
} openers[OPENER_COUNT] = {
    {{"<!--", 4}, {"-->", 3}}, {{"<![CDATA[", 9}, {"]]>", 3}}, {{"<?", 2}, {"?>", 2}}};

struct splitter {
    struct med_utf8_input *in;
    const struct med_xml_record_kind *kinds;
    size_t kind_count;
    const struct med_record_sink *sink;
    struct med_err *err;
    bool telling[256]; /* first bytes behind a '<' that may mean something inside a record */

    char *window;
    size_t cap;
    size_t len;
    uint64_t base; /* offset of window[0] */
    uint64_t pos;  /* of the scan */
    bool ended;

    const struct med_xml_record_kind *open; /* the kind of the open record, NULL outside */
    uint64_t open_at;
    const struct med_xml_record_kind *lost; /* of the broken record that the scan may still be in */
    uint64_t barren_until[OPENER_COUNT];

    char root[NAME_BYTES_MAX]; /* name of the last root seen */
    size_t root_len;
    bool root_open;

    uint64_t line; /* at line_pos */
    uint64_t line_pos;
};

static const char *at(const struct splitter *s, uint64_t offset)
{
    return s->window + (offset - s->base);
}

static uint64_t window_end(const struct splitter *s)
{
    return s->base + s->len;
}

/* Counts lines up to offset, which must be in the window and never goes back. */
static void count_lines(struct splitter *s, uint64_t offset)
{
    if (offset <= s->line_pos) return;
    const char *p = at(s, s->line_pos), *end = at(s, offset);
    while (p < end && (p = memchr(p, '\n', (size_t)(end - p)))) {
        s->line++;
        p++;
    }
    s->line_pos = offset;
}

/* Reads more. Drops what lies before the open record or the scan. ret_more false: the end, or the
 * record is too long. */
static enum med_code more(struct splitter *s, uint64_t keep, bool *ret_more)
{
    *ret_more = false;
    if (s->open && s->open_at < keep)
        keep = s->open_at;
    else if (s->lost && s->pos < keep)
        keep = s->pos; /* the scan may have to go back to it */
    if (s->ended || window_end(s) - keep > MED_XML_RECORD_BYTES_MAX) return MED_OK;
    if (keep > s->base) {
        count_lines(s, keep);
        size_t drop = (size_t)(keep - s->base);
        memmove(s->window, s->window + drop, s->len - drop);
        s->len -= drop;
        s->base = keep;
    }
    if (!med_grow(&s->window, &s->cap, s->len + READ_BYTES, 1)) {
        return med_fail(s->err, MED_E_NOMEM, "out of memory for a record of %zu bytes", s->len);
    }
    size_t len = 0;
    enum med_code code =
        med_utf8_input_read(s->in, s->window + s->len, s->cap - s->len, &len, s->err);
    if (code != MED_OK) return code;
    s->ended = len == 0;
    s->len += len;
    *ret_more = len > 0;
    return MED_OK;
}

/* First place of c at or behind from; NOWHERE at the end or where the record gets too long. */
static enum med_code find_byte(struct splitter *s, uint64_t from, char c, uint64_t *ret_at)
{
    for (;;) {
        const char *hit = memchr(at(s, from), c, (size_t)(window_end(s) - from));
        if (hit) {
            *ret_at = s->base + (uint64_t)(hit - s->window);
            return MED_OK;
        }
        from = window_end(s);
        bool got;
        enum med_code code = more(s, from, &got);
        if (code != MED_OK) return code;
        if (!got) break;
    }
    *ret_at = NOWHERE;
    return MED_OK;
}

/* First place behind the closer. */
static enum med_code find_closer(
    struct splitter *s, uint64_t from, struct med_str closer, uint64_t *ret_behind)
{
    for (;;) {
        size_t left = (size_t)(window_end(s) - from);
        const char *hit = left > 0 ? memmem(at(s, from), left, closer.ptr, closer.len) : NULL;
        if (hit) {
            *ret_behind = s->base + (uint64_t)(hit - s->window) + closer.len;
            return MED_OK;
        }
        if (left >= closer.len) from += left - (closer.len - 1);
        bool got;
        enum med_code code = more(s, from, &got);
        if (code != MED_OK) return code;
        if (!got) break;
    }
    *ret_behind = NOWHERE;
    return MED_OK;
}

static enum med_code report(struct splitter *s, uint64_t offset, const char *reason)
{
    if (offset >= s->base) count_lines(s, offset);
    return s->sink->skipped(s->sink->ctx, offset, s->line, reason, s->err);
}

/* The open record ends without its end tag. */
static enum med_code give_up(struct splitter *s, const char *why)
{
    char reason[160];
    snprintf(reason, sizeof reason, "%s record %s", s->open->name, why);
    s->lost = s->open;
    s->open = NULL;
    return report(s, s->open_at, reason);
}

static enum med_code hand_out(struct splitter *s, uint64_t behind)
{
    struct med_source_record record = {.name = med_str_of(s->open->name),
        .bytes = {.ptr = at(s, s->open_at), .len = (size_t)(behind - s->open_at)},
        .offset = s->open_at};
    s->open = NULL;
    s->lost = NULL;
    if (!med_utf8_valid(record.bytes.ptr, record.bytes.len)) {
        return report(s, record.offset, "the record has bytes that are not UTF-8");
    }
    count_lines(s, record.offset);
    record.line = s->line;
    return s->sink->record(s->sink->ctx, &record, s->err);
}

static bool is_name_end(char c)
{
    return c == '>' || c == '/' || c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The bytes behind a '<' (or "</"), as far as the window has them. */
static struct med_str rest_at(const struct splitter *s, uint64_t offset)
{
    uint64_t left = window_end(s) - offset;
    return (struct med_str){
        .ptr = at(s, offset), .len = left < LOOK_AHEAD ? (size_t)left : LOOK_AHEAD};
}

static bool names(struct med_str rest, const char *name, size_t name_len)
{
    return rest.len > name_len && rest.ptr[0] == name[0] && memcmp(rest.ptr, name, name_len) == 0 &&
           is_name_end(rest.ptr[name_len]);
}

static const struct med_xml_record_kind *kind_at(const struct splitter *s, struct med_str rest)
{
    for (size_t i = 0; i < s->kind_count; i++) {
        const char *name = s->kinds[i].name; /* its first letter settles nearly all tags */
        if (rest.len > 0 && rest.ptr[0] == name[0] && names(rest, name, strlen(name))) {
            return &s->kinds[i];
        }
    }
    return NULL;
}

/* A start tag of a record kind at s->pos. */
static enum med_code start_tag(struct splitter *s, const struct med_xml_record_kind *kind)
{
    if (s->open && kind->inner && kind != s->open) {
        s->pos++;
        return MED_OK;
    }
    if (s->lost && kind->inner && kind != s->lost) {
        s->pos++;
        return MED_OK;
    }
    if (s->open) {
        enum med_code code = give_up(s, "has no end tag");
        if (code != MED_OK) return code;
    }
    s->lost = NULL;
    s->open = kind;
    s->open_at = s->pos;
    uint64_t close;
    enum med_code code = find_byte(s, s->pos, '>', &close);
    if (code != MED_OK) return code;
    if (close == NOWHERE) {
        s->pos = window_end(s);
        return give_up(s, s->ended ? "is cut off by the end of the file" : "is too long");
    }
    s->pos = close + 1;
    if (*at(s, close - 1) == '/') return hand_out(s, s->pos);
    return MED_OK;
}

/* "</" at s->pos. */
static enum med_code end_tag(struct splitter *s)
{
    struct med_str rest = rest_at(s, s->pos + 2);
    if (s->open && names(rest, s->open->name, strlen(s->open->name))) {
        uint64_t close;
        enum med_code code = find_byte(s, s->pos, '>', &close);
        if (code != MED_OK) return code;
        if (close != NOWHERE) {
            s->pos = close + 1;
            return hand_out(s, s->pos);
        }
    } else if (s->root_open && names(rest, s->root, s->root_len)) {
        s->root_open = false;
        if (s->open) {
            enum med_code code = give_up(s, "has no end tag");
            if (code != MED_OK) return code;
        }
    } else if (s->lost && names(rest, s->lost->name, strlen(s->lost->name))) {
        s->lost = NULL;
    }
    s->pos += 2;
    return MED_OK;
}

/* A comment, CDATA section or processing instruction at s->pos. */
static enum med_code skip_section(struct splitter *s, enum opener opener)
{
    uint64_t start = s->pos;
    s->pos += openers[opener].open.len;
    if (start < s->barren_until[opener]) return MED_OK;
    uint64_t behind;
    enum med_code code = find_closer(s, s->pos, openers[opener].close, &behind);
    if (code != MED_OK) return code;
    if (behind != NOWHERE) {
        s->pos = behind;
        return MED_OK;
    }
    if (s->open || s->lost) {
        s->barren_until[opener] = window_end(s);
        if (!s->open) return MED_OK;
        return give_up(s, "has a comment, CDATA section or instruction without an end");
    }
    s->pos = window_end(s);
    return report(s, s->pos, "the file ends inside a comment, CDATA section or instruction");
}

/* "<!DOCTYPE": up to its '>' outside quotes and the internal subset. Outside records only. */
static enum med_code skip_doctype(struct splitter *s)
{
    char quote = 0;
    int brackets = 0;
    for (s->pos += 2;; s->pos++) {
        if (s->pos >= window_end(s)) {
            bool got;
            enum med_code code = more(s, s->pos, &got);
            if (code != MED_OK) return code;
            if (!got) return report(s, s->pos, "the file ends inside its DOCTYPE");
        }
        char c = *at(s, s->pos);
        if (quote) {
            if (c == quote) quote = 0;
        } else if (c == '"' || c == '\'') {
            quote = c;
        } else if (c == '[') {
            brackets++;
        } else if (c == ']') {
            brackets--;
        } else if (c == '>' && brackets <= 0) {
            s->pos++;
            return MED_OK;
        }
    }
}

/* Any other start tag outside records: the root of this file, or of the next one when files were
 * joined. */
static void note_root(struct splitter *s, struct med_str rest)
{
    if (s->root_open || s->lost) return;
    size_t len = 0;
    while (len < rest.len && len < NAME_BYTES_MAX && !is_name_end(rest.ptr[len])) len++;
    if (len == 0 || len == rest.len || len == NAME_BYTES_MAX) return;
    memcpy(s->root, rest.ptr, len);
    s->root_len = len;
    s->root_open = true;
}

static enum med_code at_tag(struct splitter *s)
{
    while (window_end(s) - s->pos < LOOK_AHEAD && !s->ended) {
        bool got;
        enum med_code code = more(s, s->pos, &got);
        if (code != MED_OK) return code;
        if (!got) break;
    }
    struct med_str rest = rest_at(s, s->pos);
    char c = rest.len > 1 ? rest.ptr[1] : ' ';
    if (c == '/') return end_tag(s);
    if (c == '?') return skip_section(s, INSTRUCTION);
    if (c == '!') {
        if (med_str_starts(rest, openers[COMMENT].open)) return skip_section(s, COMMENT);
        if (med_str_starts(rest, openers[CDATA].open)) return skip_section(s, CDATA);
        if (!s->open && med_str_starts(rest, MED_STR("<!DOCTYPE"))) return skip_doctype(s);
        s->pos += 2;
        return MED_OK;
    }
    struct med_str name = med_str_sub(rest, 1, rest.len);
    const struct med_xml_record_kind *kind = kind_at(s, name);
    if (kind) return start_tag(s, kind);
    if (!s->open) note_root(s, name);
    s->pos++;
    return MED_OK;
}

/* Nearly all tags inside a record: neither of a record kind nor of the root, nor a section that may
 * hold what looks like tags. `behind` has at least two bytes. */
static bool means_nothing(const struct splitter *s, const char *behind)
{
    if (behind[0] == '/')
        return behind[1] != s->open->name[0] && !(s->root_open && behind[1] == s->root[0]);
    return !s->telling[(unsigned char)behind[0]];
}

static enum med_code scan(struct splitter *s)
{
    for (;;) {
        uint64_t tag;
        enum med_code code = find_byte(s, s->pos, '<', &tag);
        if (code != MED_OK) return code;
        if (tag == NOWHERE) {
            s->pos = window_end(s);
            if (s->open && s->ended) return give_up(s, "is cut off by the end of the file");
            if (s->ended) break;
            if (s->open) code = give_up(s, "is too long");
            if (code != MED_OK) return code;
            continue;
        }
        s->pos = tag;
        if (s->open && window_end(s) - tag > 2 && means_nothing(s, at(s, tag) + 1)) {
            s->pos++;
            continue;
        }
        code = at_tag(s);
        if (code != MED_OK) return code;
    }
    if (!s->root_open) return MED_OK;
    char reason[NAME_BYTES_MAX + 64];
    for (size_t i = 0; i < s->root_len; i++) /* whatever the file said: this goes to a terminal */
        if (s->root[i] < '!' || s->root[i] > '~') s->root[i] = '?';
    snprintf(reason, sizeof reason, "the file ends before </%.*s>", (int)s->root_len, s->root);
    return report(s, s->pos, reason);
}

enum med_code med_xml_records(const struct med_input *in, const struct med_xml_record_kind *kinds,
    size_t kind_count, const struct med_record_sink *sink, struct med_err *err)
{
    struct splitter s = {
        .kinds = kinds, .kind_count = kind_count, .sink = sink, .err = err, .line = 1};
    s.telling['!'] = s.telling['?'] = true;
    for (size_t i = 0; i < kind_count; i++) s.telling[(unsigned char)kinds[i].name[0]] = true;
    enum med_code code = med_utf8_input_open(in, &s.in, err);
    if (code != MED_OK) return code;
    bool got;
    code = more(&s, 0, &got);
    if (code == MED_OK) code = scan(&s);
    med_utf8_input_close(&s.in);
    med_free(s.window);
    return code;
}

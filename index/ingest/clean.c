#include "index/ingest/clean.h"

#include "common/unicode.h"

/* Copies raw to out with white space in order; returns the length. *ret_ascii: nothing for NFC to
 * do. */
static size_t collapse(struct med_str raw, bool keep_lines, char *out, bool *ret_ascii)
{
    size_t len = 0;
    char pending = 0; /* the white space in front of the next character */
    unsigned char all = 0;
    for (size_t i = 0; i < raw.len; i++) {
        unsigned char c = (unsigned char)raw.ptr[i];
        if (c <= ' ' || c == 0x7f) {
            if (keep_lines && c == '\n')
                pending = '\n';
            else if (!pending)
                pending = ' ';
            continue;
        }
        if (pending && len > 0) out[len++] = pending;
        pending = 0;
        out[len++] = (char)c;
        all |= c;
    }
    *ret_ascii = all < 0x80;
    return len;
}

/* Whether the white space of a text is in order already: nearly all is. Without branches, so that
 * the compiler looks at many bytes at once. *ret_ascii: as that of collapse. */
static bool in_order(struct med_str raw, bool *ret_ascii)
{
    const unsigned char *p = (const unsigned char *)raw.ptr;
    unsigned char wrong = p[0] == ' ' || p[raw.len - 1] == ' ', all = p[0];
    wrong |= p[0] < ' ' || p[0] == 0x7f;
    for (size_t i = 1; i < raw.len; i++) {
        wrong |= (p[i] < ' ') | (p[i] == 0x7f) | ((p[i] == ' ') & (p[i - 1] == ' '));
        all |= p[i];
    }
    *ret_ascii = all < 0x80;
    return !wrong;
}

static enum med_code clean(struct med_str raw, bool keep_lines, struct med_arena *arena,
    struct med_buf *scratch, struct med_str *ret_text, struct med_err *err)
{
    if (raw.len == 0) {
        *ret_text = (struct med_str){0};
        return MED_OK;
    }
    char *ptr = med_arena_alloc(arena, raw.len + 1);
    if (!ptr) return med_fail(err, MED_E_NOMEM, "out of memory for a text of %zu bytes", raw.len);
    bool ascii;
    struct med_str text = {.ptr = ptr, .len = raw.len};
    if (in_order(raw, &ascii))
        memcpy(ptr, raw.ptr, raw.len);
    else
        text.len = collapse(raw, keep_lines, ptr, &ascii);
    ptr[text.len] = '\0';
    if (!ascii) {
        med_buf_reset(scratch);
        enum med_code code = med_utf8_nfc(text, scratch, err);
        if (code == MED_OK) code = med_buf_status(scratch, err);
        if (code != MED_OK) return code;
        if (scratch->len == text.len) {
            memcpy(ptr, scratch->data, text.len); /* nearly always: it was NFC */
        } else if (!med_arena_str(arena, med_buf_str(scratch), &text)) {
            return med_fail(err, MED_E_NOMEM, "out of memory for a text of %zu bytes", text.len);
        }
    }
    *ret_text = text.len > 0 ? text : (struct med_str){0};
    return MED_OK;
}

enum med_code med_clean_line(struct med_str raw, struct med_arena *arena, struct med_buf *scratch,
    struct med_str *ret_text, struct med_err *err)
{
    return clean(raw, false, arena, scratch, ret_text, err);
}

enum med_code med_clean_text(struct med_str raw, struct med_arena *arena, struct med_buf *scratch,
    struct med_str *ret_text, struct med_err *err)
{
    return clean(raw, true, arena, scratch, ret_text, err);
}

struct med_str med_clean_doi(struct med_str raw, struct med_arena *arena)
{
    static const struct med_str fronts[] = {{"https://doi.org/", 16}, {"http://doi.org/", 15},
        {"http://dx.doi.org/", 18}, {"https://dx.doi.org/", 19}, {"doi:", 4}};
    struct med_str s = med_str_trim(raw);
    for (size_t i = 0; i < sizeof fronts / sizeof *fronts; i++) {
        if (s.len > fronts[i].len &&
            med_str_eq_nocase(med_str_sub(s, 0, fronts[i].len), fronts[i])) {
            s = med_str_trim(med_str_sub(s, fronts[i].len, s.len));
        }
    }
    if (!med_str_starts(s, MED_STR("10."))) return (struct med_str){0};
    char *ptr = med_arena_strndup(arena, s.ptr, s.len);
    if (!ptr) return (struct med_str){0};
    for (size_t i = 0; i < s.len; i++) {
        if (ptr[i] >= 'A' && ptr[i] <= 'Z') ptr[i] = (char)(ptr[i] + ('a' - 'A'));
    }
    return (struct med_str){.ptr = ptr, .len = s.len};
}

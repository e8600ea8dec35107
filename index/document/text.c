/* The canonical text of a document: title, headings and bodies joined by blank lines. */
#include "index/document/text.h"

#include "common/limits.h"
#include "index/document/sentences.h"

/* Two of these stand between pieces. */
#define SEPARATOR '\n'
#define SEPARATOR_BYTES 2

/* Bytes of the text with `piece` appended to `len` bytes; separators stand between non-empty pieces
 * only. */
static size_t extended(size_t len, struct med_str piece)
{
    if (piece.len == 0) return len;
    return len + (len > 0 ? SEPARATOR_BYTES : 0) + piece.len;
}

static struct med_span place(size_t *len, struct med_str piece)
{
    *len = extended(*len, piece);
    return (struct med_span){.start = (uint32_t)(*len - piece.len), .end = (uint32_t)*len};
}

/* No sum can wrap: each piece lies in memory, and the loop stops at the first step beyond the
 * limit. */
static enum med_code text_size(const struct med_doc *doc, size_t *ret_size, struct med_err *err)
{
    size_t size = doc->title.len;
    for (size_t i = 0; i < doc->section_count && size <= MED_DOC_TEXT_BYTES_MAX; i++) {
        size = extended(size, doc->sections[i].heading);
        if (size <= MED_DOC_TEXT_BYTES_MAX) size = extended(size, doc->sections[i].body);
    }
    if (size > MED_DOC_TEXT_BYTES_MAX)
        return med_fail(err, MED_E_LIMIT,
            "the document " MED_STR_FMT " has more than %llu MiB of text", MED_STR_ARG(doc->id),
            MED_DOC_TEXT_BYTES_MAX / MED_MIB);
    *ret_size = size;
    return MED_OK;
}

enum med_code med_text_layout(const struct med_doc *doc, struct med_arena *arena,
    struct med_text **ret_text, struct med_err *err)
{
    size_t size = 0, len = 0;
    if (doc->section_count > MED_DOC_SECTIONS_MAX)
        return med_fail(err, MED_E_LIMIT,
            "the document " MED_STR_FMT " has more than %llu sections", MED_STR_ARG(doc->id),
            MED_DOC_SECTIONS_MAX);
    enum med_code code = text_size(doc, &size, err);
    if (code != MED_OK) return code;

    struct med_text *text = med_arena_calloc(arena, 1, sizeof *text);
    struct med_span *spans = med_arena_alloc(arena, (2 * doc->section_count + 1) * sizeof *spans);
    if (!text || !spans)
        return med_fail(
            err, MED_E_NOMEM, "no memory for the text of " MED_STR_FMT, MED_STR_ARG(doc->id));
    text->headings = spans;
    text->bodies = spans + doc->section_count;
    text->section_count = doc->section_count;
    text->title = place(&len, doc->title);
    for (size_t i = 0; i < doc->section_count; i++) {
        text->headings[i] = place(&len, doc->sections[i].heading);
        text->bodies[i] = place(&len, doc->sections[i].body);
    }
    text->bytes.len = len;
    *ret_text = text;
    return MED_OK;
}

/* --- the bytes of a layout --- */

/* Where a part of the canonical text is written to. */
struct slice {
    struct med_span span;
    char *bytes;
    struct med_str whole; /* set when one piece has all of it */
};

static void take(struct slice *s, struct med_span at, struct med_str piece)
{
    uint32_t start = at.start > s->span.start ? at.start : s->span.start;
    uint32_t end = at.end < s->span.end ? at.end : s->span.end;
    if (start >= end) return;
    if (s->bytes)
        memcpy(s->bytes + (start - s->span.start), piece.ptr + (start - at.start), end - start);
    else if (start == s->span.start && end == s->span.end)
        s->whole = med_str_sub(piece, start - at.start, end - at.start);
}

static void take_all(struct slice *s, const struct med_doc *doc, const struct med_text *text)
{
    take(s, text->title, doc->title);
    for (size_t i = 0; i < text->section_count && !s->whole.ptr; i++) {
        if (text->bodies[i].end < s->span.start) continue;
        if (text->headings[i].start >= s->span.end) break;
        take(s, text->headings[i], doc->sections[i].heading);
        take(s, text->bodies[i], doc->sections[i].body);
    }
}

enum med_code med_text_slice(const struct med_doc *doc, const struct med_text *text,
    struct med_span span, struct med_arena *arena, struct med_str *ret_slice, struct med_err *err)
{
    if (span.start > span.end || span.end > text->bytes.len)
        return med_fail(err, MED_E_INVALID, "bytes %u to %u lie outside of a text of %zu bytes",
            span.start, span.end, text->bytes.len);
    struct slice s = {.span = span};
    take_all(&s, doc, text);
    if (!s.whole.ptr) {
        size_t len = span.end - span.start;
        s.bytes = med_arena_alloc(arena, len + 1);
        if (!s.bytes)
            return med_fail(
                err, MED_E_NOMEM, "no memory for the text of " MED_STR_FMT, MED_STR_ARG(doc->id));
        memset(s.bytes, SEPARATOR, len); /* what is between the pieces */
        s.bytes[len] = '\0';
        take_all(&s, doc, text);
        s.whole = (struct med_str){.ptr = s.bytes, .len = len};
    }
    *ret_slice = s.whole;
    return MED_OK;
}

enum med_code med_text_make(const struct med_doc *doc, struct med_arena *arena,
    struct med_text **ret_text, struct med_err *err)
{
    struct med_text *text;
    enum med_code code = med_text_layout(doc, arena, &text, err);
    if (code != MED_OK) return code;
    char *bytes = med_arena_alloc(arena, text->bytes.len + 1);
    if (!bytes)
        return med_fail(
            err, MED_E_NOMEM, "no memory for the text of " MED_STR_FMT, MED_STR_ARG(doc->id));
    struct slice all = {.span = {0, (uint32_t)text->bytes.len}, .bytes = bytes};
    memset(bytes, SEPARATOR, text->bytes.len);
    take_all(&all, doc, text);
    bytes[text->bytes.len] = '\0';
    text->bytes.ptr = bytes;
    *ret_text = text;
    return MED_OK;
}

/* Length of the Unicode white space that starts at s.ptr[at], in UTF-8; 0 when none does. */
static size_t wide_space(struct med_str s, size_t at)
{
    const unsigned char *p = (const unsigned char *)s.ptr + at;
    if (p[0] == 0xc2 && s.len - at >= 2) return p[1] == 0x85 || p[1] == 0xa0 ? 2 : 0;
    if (s.len - at < 3) return 0;
    if (p[0] == 0xe1) return p[1] == 0x9a && p[2] == 0x80 ? 3 : 0;
    if (p[0] == 0xe3) return p[1] == 0x80 && p[2] == 0x80 ? 3 : 0;
    if (p[0] != 0xe2) return 0;
    if (p[1] == 0x81) return p[2] == 0x9f ? 3 : 0;
    bool quad = p[2] >= 0x80 && p[2] <= 0x8a; /* en quad to hair space */
    return p[1] == 0x80 && (quad || p[2] == 0xa8 || p[2] == 0xa9 || p[2] == 0xaf) ? 3 : 0;
}

uint32_t med_word_count(struct med_str text)
{
    uint32_t count = 0;
    bool outside = true;  /* no word since the last ASCII white space */
    bool divided = false; /* Unicode white space stands behind what the run had so far */
    bool printed = false; /* the run has something other than Unicode white space */
    for (size_t i = 0, len; i < text.len; i += len) {
        len = 1;
        if (med_is_space(text.ptr[i])) {
            outside = true;
            continue;
        }
        if (outside) {
            count++;
            outside = divided = printed = false;
        }
        size_t wide = wide_space(text, i);
        if (wide > 0) {
            len = wide;
            divided = printed;
        } else {
            count += divided;
            divided = false;
            printed = true;
        }
    }
    return count;
}

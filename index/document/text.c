/* The canonical text of a document: title, headings and bodies joined by blank lines. */
#include "index/document/text.h"

#include "common/limits.h"
#include "index/document/sentences.h"

static const struct med_str SEPARATOR = {"\n\n", 2};

/* Bytes of the text with `piece` appended to `len` bytes; separators stand between non-empty pieces
 * only. */
static size_t extended(size_t len, struct med_str piece)
{
    if (piece.len == 0) return len;
    return len + (len > 0 ? SEPARATOR.len : 0) + piece.len;
}

static struct med_span append(char *bytes, size_t *len, struct med_str piece)
{
    if (piece.len == 0) return (struct med_span){.start = (uint32_t)*len, .end = (uint32_t)*len};
    if (*len > 0) {
        memcpy(bytes + *len, SEPARATOR.ptr, SEPARATOR.len);
        *len += SEPARATOR.len;
    }
    memcpy(bytes + *len, piece.ptr, piece.len);
    struct med_span span = {.start = (uint32_t)*len, .end = (uint32_t)(*len + piece.len)};
    *len += piece.len;
    return span;
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

enum med_code med_text_make(const struct med_doc *doc, struct med_arena *arena,
    struct med_text **ret_text, struct med_err *err)
{
    size_t size = 0;
    if (doc->section_count > MED_DOC_SECTIONS_MAX)
        return med_fail(err, MED_E_LIMIT,
            "the document " MED_STR_FMT " has more than %llu sections", MED_STR_ARG(doc->id),
            MED_DOC_SECTIONS_MAX);
    enum med_code code = text_size(doc, &size, err);
    if (code != MED_OK) return code;

    struct med_text *text = med_arena_calloc(arena, 1, sizeof *text);
    char *bytes = med_arena_alloc(arena, size + 1);
    struct med_span *spans = med_arena_calloc(arena, 2 * doc->section_count + 1, sizeof *spans);
    if (!text || !bytes || !spans)
        return med_fail(
            err, MED_E_NOMEM, "no memory for the text of " MED_STR_FMT, MED_STR_ARG(doc->id));

    size_t len = 0;
    text->headings = spans;
    text->bodies = spans + doc->section_count;
    text->section_count = doc->section_count;
    text->title = append(bytes, &len, doc->title);
    for (size_t i = 0; i < doc->section_count; i++) {
        text->headings[i] = append(bytes, &len, doc->sections[i].heading);
        text->bodies[i] = append(bytes, &len, doc->sections[i].body);
    }
    bytes[len] = '\0';
    text->bytes = (struct med_str){.ptr = bytes, .len = len};
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

/* UTF-8 by hand, normal forms and classes by utf8proc (the only file that includes it).
 *
 * Normalisation streams: code points are decomposed into a short segment, and the segment is put in
 * canonical order, composed and written out whenever a code point arrives that cannot interact with
 * what came before. Segments are therefore a letter and its marks, never a text: memory is constant
 * and a megabyte of stacked marks, which would take utf8proc's own sort quadratic time, costs
 * linear time here. Unicode Standard Annex 15 (section 13, "Stream-Safe Text Format") gives the
 * cure for runs of more than 30 marks: a combining grapheme joiner. */
#include "common/unicode.h"

#include <assert.h>
#include <utf8proc.h>

#define REPLACEMENT 0xFFFDu
#define GRAPHEME_JOINER 0x034Fu
#define ASCII_END 0x80u
#define MARKS_BEGIN 0x300u /* below it every code point starts a segment of its own */

#define SEGMENT_INPUTS_MAX 31 /* a letter and 30 marks */
#define DECOMPOSED_MAX 32     /* the longest, U+FDFA, has 18 */

/* Length of the well-formed code point at p, or 0 (Unicode Standard, table 3-7). */
static size_t decode(const uint8_t *p, size_t len, uint32_t *ret_cp)
{
    if (len == 0) return 0;
    uint8_t lead = p[0];
    if (lead < 0x80) {
        *ret_cp = lead;
        return 1;
    }
    size_t need = lead >= 0xC2 && lead <= 0xDF   ? 2
                  : (lead & 0xF0) == 0xE0        ? 3
                  : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                 : 0;
    if (need == 0 || need > len) return 0;
    uint32_t cp = lead & (0x7Fu >> need);
    for (size_t i = 1; i < need; i++) {
        if ((p[i] & 0xC0) != 0x80) return 0;
        cp = cp << 6 | (p[i] & 0x3F);
    }
    if (need == 3 && (cp < 0x800 || (cp >= 0xD800 && cp <= 0xDFFF))) return 0;
    if (need == 4 && (cp < 0x10000 || cp > 0x10FFFF)) return 0;
    *ret_cp = cp;
    return need;
}

/* How many of the first bytes are ASCII. */
static size_t ascii_run(const uint8_t *p, size_t len)
{
    size_t i = 0;
    for (uint64_t word; i + sizeof word <= len; i += sizeof word) {
        memcpy(&word, p + i, sizeof word);
        if (word & 0x8080808080808080u) break;
    }
    while (i < len && p[i] < ASCII_END) i++;
    return i;
}

bool med_utf8_valid(const void *ptr, size_t len)
{
    const uint8_t *p = ptr;
    size_t i = 0;
    while (i < len) {
        i += ascii_run(p + i, len - i);
        if (i == len) break;
        uint32_t cp;
        size_t step = decode(p + i, len - i, &cp);
        if (step == 0) return false;
        i += step;
    }
    return true;
}

uint32_t med_utf8_next(struct med_str s, size_t *pos)
{
    assert(*pos < s.len);
    uint32_t cp = REPLACEMENT;
    size_t step = decode((const uint8_t *)s.ptr + *pos, s.len - *pos, &cp);
    *pos += step > 0 ? step : 1;
    return cp;
}

static size_t encode(uint32_t cp, char ret_bytes[4])
{
    if (cp < 0x80) {
        ret_bytes[0] = (char)cp;
        return 1;
    }
    if (cp > 0x10FFFF || (cp >= 0xD800 && cp <= 0xDFFF)) cp = REPLACEMENT;
    size_t len = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--) {
        ret_bytes[i] = (char)(0x80 | (cp & 0x3F));
        cp >>= 6;
    }
    static const uint8_t lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    ret_bytes[0] = (char)(lead[len] | cp);
    return len;
}

void med_utf8_put(struct med_buf *buf, uint32_t code_point)
{
    char bytes[4];
    med_buf_append(buf, bytes, encode(code_point, bytes));
}

size_t med_utf8_floor(struct med_str s, size_t pos)
{
    if (pos >= s.len) return s.len;
    const uint8_t *p = (const uint8_t *)s.ptr;
    for (size_t back = 1; back <= 3 && back <= pos; back++) {
        if ((p[pos - back + 1] & 0xC0) != 0x80)
            break; /* this one starts something: nothing reaches across it */
        uint32_t cp;
        if (decode(p + pos - back, s.len - (pos - back), &cp) > back) return pos - back;
    }
    return pos;
}

/* --- normal forms --- */

enum form { FORM_NFC, FORM_FOLD };

struct normalizer {
    enum form form;
    struct med_buf *out;
    bool latin;      /* FOLD: the last base letter is Latin, its marks are dropped */
    unsigned inputs; /* code points that went into the segment */
    size_t len;      /* decomposed code points in it */
    utf8proc_int32_t cps[SEGMENT_INPUTS_MAX * DECOMPOSED_MAX];
};

static bool is_mark(uint32_t cp)
{
    if (cp < MARKS_BEGIN) return false;
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)cp);
    return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_ME;
}

static bool is_latin_letter(uint32_t cp)
{
    return (cp >= 'a' && cp <= 'z') || (cp >= 'A' && cp <= 'Z') || (cp >= 0xC0 && cp <= 0x24F) ||
           (cp >= 0x250 && cp <= 0x2AF) || (cp >= 0x1E00 && cp <= 0x1EFF) ||
           (cp >= 0x2C60 && cp <= 0x2C7F) || (cp >= 0xA720 && cp <= 0xA7FF);
}

/* Latin letters that Unicode does not decompose but that readers type without their stroke or
 * ligature. */
static const char *plain_latin(uint32_t cp)
{
    switch (cp) {
    case 0xE6: return "ae";  /* ae ligature */
    case 0xF8: return "o";   /* o with stroke */
    case 0x111: return "d";  /* d with stroke */
    case 0x127: return "h";  /* h with stroke */
    case 0x131: return "i";  /* dotless i */
    case 0x142: return "l";  /* l with stroke */
    case 0x153: return "oe"; /* oe ligature */
    case 0x167: return "t";  /* t with stroke */
    default: return NULL;
    }
}

/* True when cp, standing alone, begins with a starter that composes with nothing before it. */
static bool starts_segment(uint32_t cp, uint32_t first_decomposed)
{
    if (cp < MARKS_BEGIN) return true;
    bool jamo_vowel_or_tail = first_decomposed >= 0x1160 && first_decomposed <= 0x11FF;
    if (jamo_vowel_or_tail) return false;
    const utf8proc_property_t *property = utf8proc_get_property((utf8proc_int32_t)first_decomposed);
    bool second_of_a_pair = property->comb_index != UINT16_MAX && property->comb_index >= 0x8000;
    return property->combining_class == 0 && !second_of_a_pair;
}

/* Marks in order of their combining class; equal classes keep their order. */
static void order_marks(utf8proc_int32_t *cps, size_t len)
{
    for (size_t i = 1; i < len; i++) {
        utf8proc_int32_t cp = cps[i];
        int combining_class = utf8proc_get_property(cp)->combining_class;
        size_t j = i;
        if (combining_class == 0) continue;
        for (; j > 0 && utf8proc_get_property(cps[j - 1])->combining_class > combining_class; j--) {
            cps[j] = cps[j - 1];
        }
        cps[j] = cp;
    }
}

static void flush(struct normalizer *n)
{
    if (n->len > 1) {
        order_marks(n->cps, n->len);
        utf8proc_ssize_t len = utf8proc_normalize_utf32(
            n->cps, (utf8proc_ssize_t)n->len, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
        if (len >= 0) n->len = (size_t)len;
    }
    for (size_t i = 0; i < n->len; i++) med_utf8_put(n->out, (uint32_t)n->cps[i]);
    n->len = 0;
    n->inputs = 0;
}

static void append_to_segment(struct normalizer *n, utf8proc_int32_t cp)
{
    const char *plain = NULL;
    if (n->form == FORM_FOLD) {
        if (is_mark((uint32_t)cp)) {
            if (n->latin) return;
        } else {
            n->latin = is_latin_letter((uint32_t)cp);
            plain = n->latin ? plain_latin((uint32_t)cp) : NULL;
        }
    }
    if (!plain) n->cps[n->len++] = cp;
    for (; plain && *plain; plain++) n->cps[n->len++] = (unsigned char)*plain;
}

static void push(struct normalizer *n, uint32_t cp)
{
    utf8proc_int32_t parts[DECOMPOSED_MAX];
    utf8proc_option_t options = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE;
    if (n->form == FORM_FOLD) options |= UTF8PROC_COMPAT | UTF8PROC_CASEFOLD | UTF8PROC_IGNORE;
    int boundclass = 0;
    utf8proc_ssize_t count =
        utf8proc_decompose_char((utf8proc_int32_t)cp, parts, DECOMPOSED_MAX, options, &boundclass);
    if (count <= 0) return; /* a default-ignorable code point, which FOLD drops */
    if (starts_segment(cp, (uint32_t)parts[0])) {
        flush(n);
    } else if (n->inputs == SEGMENT_INPUTS_MAX) {
        flush(n);
        if (n->form == FORM_NFC) {
            n->cps[n->len++] = GRAPHEME_JOINER;
            n->inputs = 1; /* as it will count when the result is normalised again */
        }
    }
    n->inputs++;
    for (utf8proc_ssize_t i = 0; i < count; i++) append_to_segment(n, parts[i]);
}

static void put_ascii(struct normalizer *n, const uint8_t *p, size_t len)
{
    char *out = len > 0 ? med_buf_extend(n->out, len) : NULL;
    for (size_t i = 0; out && i < len; i++) {
        uint8_t c = p[i];
        if (n->form == FORM_FOLD)
            c = (uint8_t)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
        else if (c < ' ' && c != '\n' && c != '\t')
            c = ' ';
        out[i] = (char)c;
    }
}

static enum med_code normalize(
    enum form form, struct med_str s, struct med_buf *out, struct med_err *err)
{
    struct normalizer n;
    n.form = form;
    n.out = out;
    n.latin = false;
    n.inputs = 0;
    n.len = 0;
    const uint8_t *p = (const uint8_t *)s.ptr;
    size_t i = 0;
    while (i < s.len && out->code == MED_OK) {
        size_t run = ascii_run(p + i, s.len - i);
        if (run > 0) {
            flush(&n);
            /* The last letter before a foreign code point may be about to take a mark. */
            size_t plain = i + run < s.len ? run - 1 : run;
            put_ascii(&n, p + i, plain);
            n.latin = false;
            i += plain;
            if (plain == run) break;
            uint32_t last = p[i++];
            if (form == FORM_NFC && last < ' ' && last != '\n' && last != '\t') last = ' ';
            push(&n, last);
        }
        push(&n, med_utf8_next(s, &i));
    }
    flush(&n);
    return med_buf_status(out, err);
}

enum med_code med_utf8_nfc(struct med_str s, struct med_buf *out, struct med_err *err)
{
    return normalize(FORM_NFC, s, out, err);
}

enum med_code med_utf8_fold(struct med_str s, struct med_buf *out, struct med_err *err)
{
    return normalize(FORM_FOLD, s, out, err);
}

/* --- classes --- */

static enum med_char_class ascii_class(uint32_t cp)
{
    if ((cp >= 'a' && cp <= 'z') || (cp >= 'A' && cp <= 'Z')) return MED_CHAR_LETTER;
    if (cp >= '0' && cp <= '9') return MED_CHAR_DIGIT;
    if (cp == ' ' || (cp >= '\t' && cp <= '\r')) return MED_CHAR_SPACE;
    return MED_CHAR_OTHER;
}

enum med_char_class med_char_class(uint32_t code_point)
{
    if (code_point < ASCII_END) return ascii_class(code_point);
    if (code_point == 0x85) return MED_CHAR_SPACE; /* next line */
    if (code_point > 0x10FFFF) return MED_CHAR_OTHER;
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)code_point);
    switch ((int)category) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO: return MED_CHAR_LETTER;
    case UTF8PROC_CATEGORY_ND: return MED_CHAR_DIGIT;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP: return MED_CHAR_SPACE;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME: return MED_CHAR_MARK;
    default: return MED_CHAR_OTHER;
    }
}

bool med_char_is_upper(uint32_t code_point)
{
    if (code_point < ASCII_END) return code_point >= 'A' && code_point <= 'Z';
    if (code_point > 0x10FFFF) return false;
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)code_point);
    return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LT;
}

/* Code points to analyzer kinds. The order of the questions matters: connectors and characters that
 * must not turn into letters (a trade mark sign folds to "tm") are decided before the compatibility
 * fold is asked. */
#include "embed/char_fold.h"

#include "common/unicode.h"

#define FOLD_SCRATCH_BYTES_MAX 256
#define GREEK_FIRST 0x3B1u
#define GREEK_LAST 0x3C9u

static const char *const greek_names[] = {"alpha", "beta", "gamma", "delta", "epsilon", "zeta",
    "eta", "theta", "iota", "kappa", "lambda", "mu", "nu", "xi", "omicron", "pi", "rho", "sigma",
    "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega"};
_Static_assert(sizeof(greek_names) / sizeof(greek_names[0]) == GREEK_LAST - GREEK_FIRST + 1,
    "one name per letter, final sigma included");

const char *med_greek_name(uint32_t code_point)
{
    if (code_point < GREEK_FIRST || code_point > GREEK_LAST) return NULL;
    return greek_names[code_point - GREEK_FIRST];
}

bool med_is_greek_name(const char *word, size_t len)
{
    if (len < 2 || len > 7) return false;
    for (size_t i = 0; i < sizeof(greek_names) / sizeof(greek_names[0]); i++) {
        if (greek_names[i][0] != word[0]) continue;
        if (strlen(greek_names[i]) == len && memcmp(greek_names[i], word, len) == 0) return true;
    }
    return false;
}

void med_fold_cache_init(struct med_fold_cache *cache)
{
    memset(cache->entries, 0, sizeof(cache->entries));
    /* Entry 0 answers for code point 0, which is a break: zeroed entries are right for it. Every
     * other entry with code_point 0 can only be hit by multiples of the table size, which differ
     * from 0. */
    med_buf_init(&cache->scratch, FOLD_SCRATCH_BYTES_MAX);
}

void med_fold_cache_free(struct med_fold_cache *cache)
{
    med_buf_free(&cache->scratch);
}

/* Kinds that are decided by a list; MED_FOLD_LETTER means undecided. */
static enum med_fold_kind listed_kind(uint32_t cp)
{
    switch (cp) {
    case '-':
    case 0x2010: /* hyphen */
    case 0x2011: /* non-breaking hyphen */
    case 0x2012: /* figure dash */
    case 0x2013: /* en dash */
    case 0x2212: /* minus sign */
    case 0xFE63: /* small hyphen-minus */
    case 0xFF0D: /* full-width hyphen-minus */ return MED_FOLD_HYPHEN;
    case '\'':
    case 0x2BC:  /* modifier letter apostrophe */
    case 0x2019: /* right single quotation mark */
    case 0xFF07: /* full-width apostrophe */ return MED_FOLD_APOSTROPHE;
    case '.':
    case 0xB7:   /* middle dot: The Lancet's decimal point */
    case 0x2219: /* bullet operator */
    case 0x22C5: /* dot operator */ return MED_FOLD_POINT;
    case 0xAD:   /* soft hyphen */
    case 0x200B: /* zero-width space: a chance to break a long name, not a word boundary */
    case 0x200C:
    case 0x200D:
    case 0x2060:
    case 0xFEFF: return MED_FOLD_SKIP;
    case 0xA9: /* copyright, registered, service mark, trade mark: */
    case 0xAE: /* "Aspirin(TM)" is not the word "aspirintm" */
    case 0x2120:
    case 0x2122:
    case 0xFFFD: /* what invalid bytes decode to */ return MED_FOLD_BREAK;
    default: return MED_FOLD_LETTER;
    }
}

static bool is_combining_accent(uint32_t cp)
{
    return (cp >= 0x300 && cp <= 0x36F) || (cp >= 0x1AB0 && cp <= 0x1AFF) ||
           (cp >= 0x1DC0 && cp <= 0x1DFF) || (cp >= 0x20D0 && cp <= 0x20FF);
}

static bool is_written_without_spaces(uint32_t cp)
{
    return (cp >= 0x3041 && cp <= 0x30FF) || (cp >= 0x3400 && cp <= 0x4DBF) ||
           (cp >= 0x4E00 && cp <= 0x9FFF) || (cp >= 0xF900 && cp <= 0xFAFF) ||
           (cp >= 0x20000 && cp <= 0x3FFFF);
}

static bool is_greek(uint32_t cp)
{
    return (cp >= 0x370 && cp <= 0x3FF) || (cp >= 0x1F00 && cp <= 0x1FFF);
}

/* The kind of the folded text as a whole: letters, digits, or something that is no part of a word.
 */
static enum med_fold_kind folded_kind(struct med_str folded)
{
    bool digits_only = true;
    size_t count = 0;
    uint32_t first = 0;
    for (size_t pos = 0; pos < folded.len; count++) {
        uint32_t cp = med_utf8_next(folded, &pos);
        enum med_char_class class = med_char_class(cp);
        if (class == MED_CHAR_OTHER || class == MED_CHAR_SPACE) return MED_FOLD_BREAK;
        if (class != MED_CHAR_DIGIT) digits_only = false;
        if (count == 0) first = cp;
    }
    if (count == 0 || folded.len > MED_FOLD_BYTES_MAX) return MED_FOLD_BREAK;
    if (count == 1 && is_greek(first)) return MED_FOLD_GREEK;
    return digits_only ? MED_FOLD_DIGIT : MED_FOLD_LETTER;
}

static struct med_folded fold_code_point(
    struct med_fold_cache *cache, uint32_t cp, struct med_str raw)
{
    struct med_folded f = {.code_point = cp, .kind = (uint8_t)listed_kind(cp)};
    if (f.kind != MED_FOLD_LETTER) return f;
    if (is_combining_accent(cp)) {
        f.kind = MED_FOLD_SKIP;
        return f;
    }
    med_buf_reset(&cache->scratch);
    f.kind = MED_FOLD_BREAK;
    if (med_utf8_fold(raw, &cache->scratch, NULL) != MED_OK) return f;
    struct med_str folded = med_buf_str(&cache->scratch);
    f.kind = (uint8_t)folded_kind(folded);
    if (f.kind == MED_FOLD_BREAK) return f;
    f.upper = med_char_is_upper(cp);
    f.len = (uint8_t)folded.len;
    memcpy(f.bytes, folded.ptr, folded.len);
    if (f.kind == MED_FOLD_LETTER && is_written_without_spaces(cp)) f.kind = MED_FOLD_SINGLE;
    return f;
}

const struct med_folded *med_fold_at(
    struct med_fold_cache *cache, struct med_str text, size_t pos, size_t *ret_next)
{
    size_t next = pos;
    uint32_t cp = med_utf8_next(text, &next);
    struct med_folded *entry = &cache->entries[cp & (MED_FOLD_CACHE_ENTRIES - 1)];
    if (entry->code_point != cp) *entry = fold_code_point(cache, cp, med_str_sub(text, pos, next));
    *ret_next = next;
    return entry;
}

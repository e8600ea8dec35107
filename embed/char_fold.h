/* What one code point means to the analyzer: a break, a piece of a word, a connector. Results are
 * cached per analyzer, because Unicode look-ups cost more than everything else that is done with a
 * character. */
#pragma once

#include "common/buf.h"
#include "common/str.h"

#include <stdint.h>

enum med_fold_kind {
    MED_FOLD_BREAK,      /* ends a word: spaces, punctuation, symbols, invalid bytes */
    MED_FOLD_LETTER,     /* belongs to a word */
    MED_FOLD_DIGIT,      /* belongs to a word */
    MED_FOLD_GREEK,      /* a Greek letter, spelled with its Latin name in names */
    MED_FOLD_SINGLE,     /* a word of its own: ideographs and kana are written without spaces */
    MED_FOLD_HYPHEN,     /* connects the parts of a compound */
    MED_FOLD_APOSTROPHE, /* inside a word: dropped */
    MED_FOLD_POINT,      /* between digits: a decimal point */
    MED_FOLD_SKIP /* inside a word: as if it were not there (soft hyphen, joiners, combining marks)
                   */
};

#define MED_FOLD_BYTES_MAX 17
struct med_folded {
    uint32_t code_point;
    uint8_t kind; /* enum med_fold_kind */
    bool upper;
    uint8_t len;
    char bytes[MED_FOLD_BYTES_MAX]; /* NFKC and case folded, of the kinds that belong to words */
};

#define MED_FOLD_CACHE_ENTRIES 1024u
struct med_fold_cache {
    struct med_folded entries[MED_FOLD_CACHE_ENTRIES]; /* direct-mapped by code point */
    struct med_buf scratch;
};
void med_fold_cache_init(struct med_fold_cache *cache);
void med_fold_cache_free(struct med_fold_cache *cache);

/* Decodes the code point at text[pos], pos < text.len; *ret_next is the position after it. The
 * answer lives until the next call. ASCII is answered too, but callers have a faster way for it. */
const struct med_folded *med_fold_at(
    struct med_fold_cache *cache, struct med_str text, size_t pos, size_t *ret_next);

/* "alpha" for U+03B1 ... "omega" for U+03C9; NULL for others, accented letters among them. */
const char *med_greek_name(uint32_t code_point);
/* True when the word is such a name. */
bool med_is_greek_name(const char *word, size_t len);

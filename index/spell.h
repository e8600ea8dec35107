/* Spelling: edit distance, and what a query's words were probably meant to be.
 *
 * A word that no passage has, or hardly any, is compared with the words of the lexicon that begin
 * with the same letter (and with itself without its first letter, or with the first two swapped).
 * Distance 1, for words of seven letters and more 2; the candidate must be at least
 * MED_SPELL_RATIO_MIN times as frequent. The lexicon has stems: the word that is shown is one that
 * stands in a document with that stem, the nearest to what was typed. */
#pragma once

#include "index/internal.h"

#define MED_SPELL_RATIO_MIN 100u
#define MED_SPELL_FAR_DF_MIN 5u  /* of candidates at distance 2 */
#define MED_SPELL_RARE_DF_MAX 2u /* words of more passages are taken to be meant */
#define MED_SPELL_WORDS_MAX 3u   /* corrected in one query */

/* Damerau's distance (insert, delete, replace, swap neighbours) of two byte strings, at most `cap`;
 * ASCII case does not count. Strings of more than 64 bytes are `cap` apart. */
unsigned spell_distance(struct med_str a, struct med_str b, unsigned cap);

/* The query with its misspelt words replaced, in the arena; empty when all are fine. `query` is the
 * request's, understood. */
enum med_code spell_suggest(const struct med_index *index, struct med_searcher *searcher,
    const struct med_search_request *request, const struct query *query, struct med_arena *arena,
    struct med_str *ret_suggestion, struct med_err *err) MED_CHECK;

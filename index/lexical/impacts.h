/* Impact frontiers while writing: which (frequency, length) pairs of a set of postings can score
 * highest under some BM25 parameters (the Pareto set), cut down to a few entries by rounding up. */
#pragma once

#include "index/lexical/format.h"

struct lex_frontier {
    uint8_t len_min[256]; /* by frequency code: smallest length code seen, 255 = none */
    uint32_t code_max;
};

void lex_frontier_init(struct lex_frontier *f);
void lex_frontier_add(struct lex_frontier *f, struct lex_impact impact);
/* Adds a posting's own impact. */
static inline void lex_frontier_add_posting(struct lex_frontier *f, uint32_t wtf, uint32_t len)
{
    lex_frontier_add(f, (struct lex_impact){.wtf = lex_wtf_code(wtf), .len = lex_len_code(len)});
}
/* Writes at most `cap` (<= LEX_TERM_IMPACTS) entries that dominate all that was added, unused ones
 * zero, and empties f. Entries are merged where it raises the bound least under the usual
 * parameters; avg_len is the collection's. */
void lex_frontier_take(
    struct lex_frontier *f, float avg_len, uint32_t cap, struct lex_impact *ret_impacts);

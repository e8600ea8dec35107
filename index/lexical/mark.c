/* Sets of chunks: every posting of a term as bits, and terms by their beginning. */
#include "index/lexical/scratch.h"

static void mark_block(const struct lex_cursor *c, const uint32_t *groups, uint64_t *bits)
{
    for (uint32_t i = 0; i < c->count; i++) {
        uint32_t at = groups ? groups[c->ids[i]] : c->ids[i];
        bits[at >> 6] |= 1ull << (at & 63);
    }
}

enum med_code med_lex_mark(const struct med_lex *lex, struct med_lex_scratch *scratch,
    uint32_t ordinal, const uint32_t *groups, uint64_t *bits, struct med_err *err)
{
    struct med_lex_term term = {.ordinal = ordinal, .weight = 1};
    struct med_lex_query query = {.terms = &term,
        .term_count = 1,
        .k1 = MED_BM25_K1_DEFAULT,
        .b = MED_BM25_B_DEFAULT,
        .avg_len = 1};
    size_t count = 0;
    enum med_code code = lex_scratch_open(scratch, lex, &query, &count, err);
    if (code != MED_OK) return code;
    struct lex_cursor *c = &scratch->cursors[0];
    while (code == MED_OK && !lex_cursor_at_end(c)) {
        code = lex_cursor_decode(c, err);
        if (code != MED_OK) break;
        mark_block(c, groups, bits);
        code = lex_cursor_seek(c, c->block_last + 1, err);
    }
    return code;
}

enum med_code med_lex_lower_bound(
    const struct med_lex *lex, struct med_str prefix, uint32_t *ret_ordinal, struct med_err *err)
{
    struct lex_entry entry;
    uint32_t low = 0, high = lex->term_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        enum med_code code = lex_entry_at(lex, middle, &entry, err);
        if (code != MED_OK) return code;
        struct med_str at = {.ptr = entry.term, .len = entry.term_len};
        if (med_str_cmp(at, prefix) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_ordinal = low;
    return MED_OK;
}

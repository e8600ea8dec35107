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

/* Whether a block's first term begins so, as far as its key tells: up to eight bytes. */
static bool block_begins(const struct med_lex *lex, uint32_t block, struct med_str beginning)
{
    if (beginning.len == 0 || beginning.len > sizeof(uint64_t)) return false;
    uint64_t key, wanted = lex_term_key(beginning);
    memcpy(&key, lex->keys + (size_t)block * sizeof key, sizeof key);
    return (key ^ wanted) >> (64 - 8 * beginning.len) == 0;
}

/* To the next term; whole blocks are left out when the one behind them begins with what is dead. */
static enum med_code scan_next(
    struct lex_walk *walk, struct med_str dead, bool *ret_more, struct med_err *err)
{
    uint32_t block = walk->next / LEX_TERMS_PER_BLOCK, from = block;
    while (block + 1 < walk->lex->block_count && block_begins(walk->lex, block + 1, dead)) block++;
    if (block != from) walk->next = block * LEX_TERMS_PER_BLOCK;
    return lex_walk_next(walk, ret_more, err);
}

enum med_code med_lex_scan(const struct med_lex *lex, struct med_str prefix,
    enum med_code (*offer)(void *ctx, struct med_str term, size_t *ret_dead, struct med_err *err),
    void *ctx, struct med_err *err)
{
    char dead_bytes[LEX_TERM_BYTES_MAX];
    struct med_str dead = {.ptr = dead_bytes};
    struct lex_walk walk = lex_walk_of(lex);
    uint32_t from;
    bool more = false;
    enum med_code code = med_lex_lower_bound(lex, prefix, &from, err);
    if (code == MED_OK) walk.next = from / LEX_TERMS_PER_BLOCK * LEX_TERMS_PER_BLOCK;
    while (code == MED_OK) {
        size_t dead_len = 0;
        code = scan_next(&walk, dead, &more, err);
        if (code != MED_OK || !more) break;
        struct med_str term = {.ptr = walk.entry.term, .len = walk.entry.term_len};
        if (walk.entry.ordinal < from || (dead.len && med_str_starts(term, dead))) continue;
        if (!med_str_starts(term, prefix)) break;
        code = offer(ctx, term, &dead_len, err);
        dead.len = dead_len;
        memcpy(dead_bytes, term.ptr, dead_len);
    }
    return code;
}

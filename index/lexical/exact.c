/* The simple ways through the index: scoring given chunks, counting matches, and exhaustive search,
 * the oracle that the pruning search is compared with. */
#include "common/mem.h"
#include "index/lexical/scratch.h"

enum med_code med_lex_score(const struct med_lex *lex, struct med_lex_scratch *scratch,
    const struct med_lex_query *query, const uint32_t *chunks, size_t count, float *ret_scores,
    struct med_err *err)
{
    size_t cursor_count = 0;
    enum med_code code = lex_scratch_open(scratch, lex, query, &cursor_count, err);
    if (code != MED_OK) return code;
    if (!med_grow(&scratch->sums, &scratch->sums_cap, count ? count : 1, sizeof(*scratch->sums)))
        return med_fail(err, MED_E_NOMEM, "no memory to score %zu passages", count);
    uint32_t *sums = scratch->sums;
    for (size_t i = 0; i < count; i++) sums[i] = 0;
    for (size_t t = 0; t < cursor_count; t++) {
        struct lex_cursor *c = &scratch->cursors[t];
        for (size_t i = 0, end; i < count; i = end) {
            code = lex_cursor_seek(c, chunks[i], err);
            if (code != MED_OK) return code;
            if (lex_cursor_at_end(c)) break;
            end = i + 1;
            if (chunks[i] < lex_cursor_block_start(c)) continue;
            while (end < count && chunks[end] <= c->block_last) end++;
            code = lex_cursor_decode(c, err);
            if (code != MED_OK) return code;
            lex_cursor_add(c, chunks + i, sums + i, end - i);
        }
    }
    for (size_t i = 0; i < count; i++)
        ret_scores[i] = (float)sums[i] * scratch->context.scoring.inv_scale;
    return MED_OK;
}

/* --- counting --- */

static enum med_code mark_postings(struct lex_cursor *c, uint64_t *bits, struct med_err *err)
{
    enum med_code code = MED_OK;
    while (!lex_cursor_at_end(c)) {
        code = lex_cursor_decode(c, err);
        if (code != MED_OK) return code;
        for (uint32_t i = 0; i < c->count; i++) bits[c->ids[i] >> 6] |= 1ull << (c->ids[i] & 63);
        code = lex_cursor_seek(c, c->block_last + 1, err);
        if (code != MED_OK) return code;
    }
    return code;
}

static uint64_t count_groups(uint64_t word, size_t w, const uint32_t *groups, uint64_t *previous)
{
    uint64_t count = 0;
    for (; word; word &= word - 1) {
        uint64_t group = groups[w * 64 + (size_t)__builtin_ctzll(word)];
        count += group != *previous;
        *previous = group;
    }
    return count;
}

enum med_code med_lex_count(const struct med_lex *lex, struct med_lex_scratch *scratch,
    const struct med_lex_query *query, struct med_filter filter, const uint32_t *groups,
    uint64_t *ret_count, struct med_err *err)
{
    size_t cursor_count = 0;
    enum med_code code = lex_scratch_open(scratch, lex, query, &cursor_count, err);
    if (code != MED_OK) return code;
    size_t words = ((size_t)lex->chunk_count + 63) / 64, before = scratch->bits_cap;
    if (!med_grow(&scratch->bits, &scratch->bits_cap, words ? words : 1, sizeof(*scratch->bits)))
        return med_fail(err, MED_E_NOMEM, "no memory to count %u passages", lex->chunk_count);
    uint64_t *bits = scratch->bits, total = 0, previous = UINT64_MAX;
    if (scratch->bits_cap > before)
        memset(bits + before, 0, (scratch->bits_cap - before) * sizeof(*bits));
    for (size_t t = 0; t < cursor_count && code == MED_OK; t++)
        code = mark_postings(&scratch->cursors[t], bits, err);
    for (size_t w = 0; w < words; w++) {
        uint64_t word = bits[w];
        bits[w] = 0;
        if (filter.words) word &= filter.words[w];
        total += groups ? count_groups(word, w, groups, &previous)
                        : (uint64_t)__builtin_popcountll(word);
    }
    if (code == MED_OK) *ret_count = total;
    return code;
}

/* --- exhaustive search --- */

static enum med_code add_all(struct lex_cursor *c, uint32_t *sums, struct med_err *err)
{
    enum med_code code = MED_OK;
    while (code == MED_OK && !lex_cursor_at_end(c)) {
        code = lex_cursor_decode(c, err);
        if (code != MED_OK) return code;
        lex_cursor_score(c);
        for (uint32_t i = 0; i < c->count; i++) sums[c->ids[i]] += c->contributions[i];
        code = lex_cursor_seek(c, c->block_last + 1, err);
    }
    return code;
}

enum med_code med_lex_search_exhaustive(const struct med_lex *lex,
    const struct med_lex_query *query, struct med_filter filter, const uint32_t *groups, size_t k,
    struct med_hit *ret_hits, size_t *ret_count, struct med_err *err)
{
    if (k > lex->chunk_count) k = lex->chunk_count;
    struct med_lex_scratch *scratch = NULL;
    enum med_code code = med_lex_scratch_new(&scratch, err);
    if (code != MED_OK) return code;
    uint32_t *sums = med_calloc((size_t)lex->chunk_count + 1, sizeof(*sums));
    size_t cursor_count = 0;
    if (!sums || !med_grow(&scratch->heap, &scratch->heap_cap, k ? k : 1, sizeof(*scratch->heap)))
        code = med_fail(err, MED_E_NOMEM, "no memory to score %u passages", lex->chunk_count);
    if (code == MED_OK) code = lex_scratch_open(scratch, lex, query, &cursor_count, err);
    for (size_t t = 0; t < cursor_count && code == MED_OK; t++)
        code = add_all(&scratch->cursors[t], sums, err);
    if (code == MED_OK) {
        struct lex_topk topk;
        lex_topk_init(&topk, scratch->heap, k, groups);
        for (uint32_t chunk = 0; k && chunk < lex->chunk_count; chunk++)
            if (sums[chunk] && med_filter_has(filter, chunk))
                lex_topk_offer(&topk, chunk, sums[chunk]);
        *ret_count = lex_topk_finish(&topk, scratch->context.scoring.inv_scale, ret_hits);
    }
    med_free(sums);
    med_lex_scratch_free(&scratch);
    return code;
}

/* Top-k search: MaxScore in windows, with block maxima.
 *
 * MaxScore (Turtle and Flood 1995) splits the query's terms: the bounds of the *optional* ones
 * together stay below what a chunk needs to enter the result, so only postings of the *essential*
 * ones can introduce candidates. Bounds per block (Ding and Suel 2011, Chakrabarti et al. 2011)
 * make the split different in each stretch of the collection. Per window of at most 16,384 chunks:
 *
 *   1. bound every term within the window; if the sum is below the need, skip as far as it holds;
 *   2. split: terms become optional in rising order of bound per posting while their sum allows;
 *   3. add up essential postings in an array by chunk, or, if a filter has so few chunks that
 * looking them up costs less, take the filter's chunks and make all terms optional;
 *   4. chunks whose sum plus the optional bounds reaches the need are candidates: look up each
 *      optional term for them, highest bound first, and drop those that cannot make it any more;
 *   5. offer what remains, now with full sums, to the heap, which raises the need.
 *
 * For many results the heap rises slowly, so the need is predicted (as others do from stored
 * quantiles: Petri et al. 2019, "Accelerated query processing via similarity score prediction"): a
 * sample of the windows is searched first, and the score at a rank there that all but surely lies
 * behind the k-th of the whole is what chunks must reach from the beginning. Everything that
 * reaches it is found, so k results prove that it was right; with less the search is repeated
 * without it.
 *
 * Sums are whole numbers (score.h), so results do not depend on any of these choices. */
#include "common/mem.h"
#include "index/lexical/kernels.h"
#include "index/lexical/scratch.h"

#include <stdlib.h>

#define WINDOW_FIRST                                                                               \
    512u /* the first windows are small: everything is essential until the heap is full */
#define WINDOW_BLOCKS_MAX                                                                          \
    3u /* a term with more blocks per window is bounded by its list's maximum */
/* The sample for predictions: so many windows at equal distances, but at most every thirty-second.
 */
#define SAMPLE_WINDOW 1024u
#define SAMPLE_WINDOWS 32u
#define SAMPLE_STRIDE_MIN (32u * SAMPLE_WINDOW)
/* Predicted is the score at the expected rank plus so many standard deviations, and some more. */
#define SAMPLE_DEVIATIONS 4.0
#define SAMPLE_RANK_MIN 2.0
/* Smaller searches are over before predicting pays. */
#define PREDICT_K_MIN 64u
#define PREDICT_POSTINGS_MIN 50000u
#define PREDICT_CHUNKS_MIN 20000u
#define OFFERS_AHEAD 8u
#define FILTER_WORTH 16u      /* essential postings that cost as much as looking up one chunk */
#define SORT_OPTIONAL_MAX 64u /* with more terms the static order is good enough */

struct search {
    struct med_lex_scratch *scratch;
    const struct med_lex *lex;
    struct med_filter filter;
    struct lex_topk topk;
    size_t cursor_count;
    uint32_t low, high; /* the window */
    uint32_t horizon;   /* bounds hold up to here (exclusive), at least to high */
    size_t essential_count;
    uint64_t essential_postings; /* expected in the window */
    size_t optional_count;
    uint64_t optional_sum;
};

/* --- 1: bounds --- */

static bool is_dense(const struct search *s, const struct lex_cursor *c)
{
    return c->block_count > 1 && (uint64_t)c->block_count * LEX_WINDOW >
                                     (uint64_t)WINDOW_BLOCKS_MAX * s->lex->chunk_count;
}

static void narrow(struct search *s, uint32_t horizon)
{
    if (horizon < s->horizon) s->horizon = horizon;
}

static enum med_code window_bound(
    struct search *s, struct lex_cursor *c, uint32_t *ret_bound, struct med_err *err)
{
    *ret_bound = 0;
    if (is_dense(s, c)) {
        *ret_bound = lex_cursor_at_end(c) ? 0 : c->bound;
        return MED_OK;
    }
    enum med_code code = lex_cursor_seek(c, s->low, err);
    if (code != MED_OK || lex_cursor_at_end(c)) return code;
    uint32_t start = lex_cursor_block_start(c);
    if (c->decoded == c->block) {
        c->pos = lex_cursor_lower_bound(c, s->low);
        start = c->ids[c->pos]; /* there is one: the block ends at or behind low */
    }
    if (start >= s->high) {
        narrow(s, start);
        return MED_OK;
    }
    uint32_t bound = lex_cursor_block_bound(c), last = c->block_last;
    if (last >= s->high - 1) {
        narrow(s, last + 1);
    } else {
        narrow(s, s->high);
        for (uint32_t j = c->block + 1; j < c->block_count && last + 1 < s->high; j++) {
            uint32_t other = lex_cursor_bound_of(c, j);
            if (other > bound) bound = other;
            last = lex_cursor_last_of(c, j);
        }
    }
    lex_cursor_prefetch_skips(c);
    *ret_bound = bound;
    return MED_OK;
}

/* --- 2: split --- */

/* Rising order of bound per posting: what is first costs most for what it can contribute. */
static int compare_worth(const void *a, const void *b)
{
    const struct lex_cursor *x = *(struct lex_cursor *const *)a,
                            *y = *(struct lex_cursor *const *)b;
    uint64_t left = (uint64_t)x->bound * y->posting_count,
             right = (uint64_t)y->bound * x->posting_count;
    if (left != right) return left < right ? -1 : 1;
    return x < y ? -1 : x > y;
}

static void add_optional(struct search *s, struct lex_cursor *c, uint32_t bound)
{
    struct med_lex_scratch *scratch = s->scratch;
    size_t i = s->optional_count++;
    for (; i > 0 && s->cursor_count <= SORT_OPTIONAL_MAX && scratch->optional_bounds[i - 1] < bound;
         i--) {
        scratch->optional[i] = scratch->optional[i - 1];
        scratch->optional_bounds[i] = scratch->optional_bounds[i - 1];
    }
    scratch->optional[i] = c;
    scratch->optional_bounds[i] = bound;
    s->optional_sum += bound;
}

/* Essential cursors keep their entry in `bounds`; those of optional and absent ones become 0. */
static void split(struct search *s)
{
    struct med_lex_scratch *scratch = s->scratch;
    s->optional_count = s->essential_count = 0;
    s->optional_sum = s->essential_postings = 0;
    for (size_t i = 0; i < s->cursor_count; i++) {
        uint32_t bound = scratch->bounds[i];
        if (!bound) continue;
        if (s->optional_sum + bound < s->topk.floor) {
            add_optional(s, scratch->order[i], bound);
            scratch->bounds[i] = 0;
        } else {
            s->essential_count++;
            s->essential_postings += scratch->order[i]->posting_count;
        }
    }
    s->essential_postings = s->essential_postings * (s->high - s->low) / s->lex->chunk_count;
}

/* --- 3: candidates --- */

/* The current block's scored postings within the window: [*ret_begin, *ret_end) of the cursor. */
static enum med_code essential_run(struct search *s, struct lex_cursor *c, uint32_t *ret_begin,
    uint32_t *ret_end, struct med_err *err)
{
    *ret_begin = *ret_end = 0;
    if (lex_cursor_at_end(c) || lex_cursor_block_start(c) >= s->high) return MED_OK;
    enum med_code code = lex_cursor_decode(c, err);
    if (code != MED_OK) return code;
    lex_cursor_score(c);
    c->pos = lex_cursor_lower_bound(c, s->low);
    uint32_t end = c->count;
    if (c->block_last >= s->high) end = lex_cursor_lower_bound(c, s->high);
    *ret_begin = c->pos;
    *ret_end = end;
    c->pos = end;
    return MED_OK;
}

static enum med_code next_run(struct lex_cursor *c, struct med_err *err)
{
    return c->pos < c->count ? MED_OK : lex_cursor_seek(c, c->block_last + 1, err);
}

static size_t apply_filter(const struct search *s, size_t count)
{
    uint32_t *ids = s->scratch->candidates, *sums = s->scratch->candidate_sums;
    if (!s->filter.words) return count;
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        ids[kept] = ids[i];
        sums[kept] = sums[i];
        kept += med_filter_has(s->filter, ids[i]);
    }
    return kept;
}

/* One essential cursor: its postings are the candidates. */
static enum med_code candidates_of_one(
    struct search *s, struct lex_cursor *c, size_t *ret_count, struct med_err *err)
{
    uint32_t *ids = s->scratch->candidates, *sums = s->scratch->candidate_sums;
    uint32_t cut = s->topk.floor - (uint32_t)s->optional_sum;
    size_t count = 0;
    enum med_code code = lex_cursor_seek(c, s->low, err);
    for (uint32_t begin = 0, end = 1; code == MED_OK && end > 0;) {
        code = essential_run(s, c, &begin, &end, err);
        if (code != MED_OK || end == 0) break;
        count += lex_keep(
            c->ids + begin, c->contributions + begin, end - begin, cut, ids + count, sums + count);
        if (c->pos < c->count) break;
        code = next_run(c, err);
    }
    if (code == MED_OK) *ret_count = apply_filter(s, count);
    return code;
}

static enum med_code accumulate(struct search *s, struct lex_cursor *c, struct med_err *err)
{
    struct lex_sums *sums = &s->scratch->sums_of_window;
    enum med_code code = lex_cursor_seek(c, s->low, err);
    for (uint32_t begin = 0, end = 1; code == MED_OK && end > 0;) {
        code = essential_run(s, c, &begin, &end, err);
        if (code != MED_OK || end == 0) break;
        for (uint32_t i = begin; i < end; i++)
            lex_sums_add(sums, c->ids[i] - s->low, c->contributions[i]);
        if (c->pos < c->count) break;
        code = next_run(c, err);
    }
    return code;
}

static enum med_code candidates_of_essential(
    struct search *s, size_t *ret_count, struct med_err *err)
{
    struct med_lex_scratch *scratch = s->scratch;
    enum med_code code = MED_OK;
    for (size_t i = 0; i < s->cursor_count && code == MED_OK; i++) {
        if (!scratch->bounds[i]) continue;
        if (s->essential_count == 1) return candidates_of_one(s, scratch->order[i], ret_count, err);
        code = accumulate(s, scratch->order[i], err);
    }
    /* Also after a failure: extraction is what zeroes the accumulators. */
    size_t count = lex_extract(&scratch->sums_of_window, s->topk.floor - (uint32_t)s->optional_sum,
        s->low, scratch->candidates, scratch->candidate_sums);
    if (code == MED_OK) *ret_count = apply_filter(s, count);
    return code;
}

/* The filter's chunks in the window, or SIZE_MAX when there are more than `most`. */
static size_t candidates_of_filter(struct search *s, uint64_t most)
{
    uint32_t *ids = s->scratch->candidates, *sums = s->scratch->candidate_sums;
    uint32_t first = s->low >> 6, last = (s->high - 1) >> 6;
    uint64_t total = 0;
    for (uint32_t w = first; w <= last; w++)
        total += (uint64_t)__builtin_popcountll(s->filter.words[w]);
    if (total > most) return SIZE_MAX;
    size_t count = 0;
    for (uint32_t w = first; w <= last; w++) {
        for (uint64_t word = s->filter.words[w]; word; word &= word - 1) {
            uint32_t chunk = w * 64 + (uint32_t)__builtin_ctzll(word);
            if (chunk < s->low || chunk >= s->high) continue;
            ids[count] = chunk;
            sums[count++] = 0;
        }
    }
    return count;
}

/* --- 4: completing candidates --- */

/* Adds one optional term to the candidates and drops those that cannot make it any more. */
static enum med_code complete(
    struct search *s, struct lex_cursor *c, uint64_t rest, size_t *count, struct med_err *err)
{
    uint32_t *ids = s->scratch->candidates, *sums = s->scratch->candidate_sums;
    uint32_t need = s->topk.floor;
    for (size_t i = 0, end; i < *count; i = end) {
        enum med_code code = lex_cursor_seek(c, ids[i], err);
        if (code != MED_OK) return code;
        if (lex_cursor_at_end(c)) break;
        end = i + 1;
        if (ids[i] < lex_cursor_block_start(c)) continue;
        uint32_t best = sums[i];
        for (; end < *count && ids[end] <= c->block_last; end++)
            if (sums[end] > best) best = sums[end];
        if (c->decoded != c->block) {
            if (best + rest + lex_cursor_block_bound(c) < need) continue; /* all are dropped */
            code = lex_cursor_decode(c, err);
            if (code != MED_OK) return code;
        }
        lex_cursor_add(c, ids + i, sums + i, end - i);
    }
    if (rest < need) *count = lex_keep(ids, sums, *count, need - (uint32_t)rest, ids, sums);
    return MED_OK;
}

static enum med_code finish_window(struct search *s, size_t count, struct med_err *err)
{
    struct med_lex_scratch *scratch = s->scratch;
    uint64_t rest = s->optional_sum;
    for (size_t i = 0; i < s->optional_count && count; i++) {
        rest -= scratch->optional_bounds[i];
        enum med_code code = complete(s, scratch->optional[i], rest, &count, err);
        if (code != MED_OK) return code;
    }
    for (size_t i = 0; i < count; i++) {
        if (i + OFFERS_AHEAD < count)
            lex_topk_prefetch(&s->topk, scratch->candidates[i + OFFERS_AHEAD]);
        if (scratch->candidate_sums[i] >= s->topk.floor)
            lex_topk_offer(&s->topk, scratch->candidates[i], scratch->candidate_sums[i]);
    }
    return MED_OK;
}

/* --- the windows --- */

static enum med_code search_window(struct search *s, struct med_err *err)
{
    struct med_lex_scratch *scratch = s->scratch;
    uint64_t total = 0;
    s->horizon = UINT32_MAX;
    for (size_t i = 0; i < s->cursor_count; i++) {
        enum med_code code = window_bound(s, scratch->order[i], &scratch->bounds[i], err);
        if (code != MED_OK) return code;
        total += scratch->bounds[i];
    }
    if (total < s->topk.floor) return MED_OK;
    s->horizon = s->high;
    split(s);
    size_t count = SIZE_MAX;
    if (s->filter.words) {
        count = candidates_of_filter(s, s->essential_postings / FILTER_WORTH);
        for (size_t i = 0; count != SIZE_MAX && i < s->cursor_count; i++)
            if (scratch->bounds[i]) add_optional(s, scratch->order[i], scratch->bounds[i]);
    }
    if (count == SIZE_MAX) {
        enum med_code code = candidates_of_essential(s, &count, err);
        if (code != MED_OK) return code;
    }
    return finish_window(s, count, err);
}

static enum med_code search_windows(struct search *s, struct med_err *err)
{
    uint32_t end = s->lex->chunk_count;
    uint32_t size = s->topk.floor > 1 ? LEX_WINDOW : WINDOW_FIRST;
    enum med_code code = MED_OK;
    for (s->low = 0; s->low < end && code == MED_OK;) {
        s->high = end - s->low < size ? end : s->low + size;
        code = search_window(s, err);
        s->low = s->horizon > s->high ? s->horizon : s->high;
        if (size < LEX_WINDOW) size *= 2;
    }
    return code;
}

/* --- predicting the need --- */

static uint32_t sample_stride(const struct search *s)
{
    uint32_t stride = s->lex->chunk_count / SAMPLE_WINDOWS / 64 * 64;
    return stride > SAMPLE_STRIDE_MIN ? stride : SAMPLE_STRIDE_MIN;
}

/* Which share of the chunks that may be returned is in the sample. */
static double sampled_share(const struct search *s)
{
    uint32_t end = s->lex->chunk_count, all = s->filter.words ? s->filter.set_count : end;
    uint32_t stride = sample_stride(s);
    uint64_t in = 0;
    for (uint32_t low = 0; low < end; low += stride) {
        uint32_t high = end - low < SAMPLE_WINDOW ? end : low + SAMPLE_WINDOW;
        if (!s->filter.words) in += high - low;
        for (uint32_t w = low >> 6; s->filter.words && w <= (high - 1) >> 6; w++)
            in += (uint64_t)__builtin_popcountll(s->filter.words[w]);
    }
    return all ? (double)in / all : 0;
}

static void restart(struct search *s, size_t k, const uint32_t *groups, uint32_t need)
{
    lex_topk_init(&s->topk, s->scratch->heap, k, groups);
    s->topk.floor = need;
    for (size_t i = 0; i < s->cursor_count; i++) lex_cursor_rewind(&s->scratch->cursors[i]);
}

/* Searches the sample and tells what the k best of the whole will most likely reach. */
static enum med_code predict(
    struct search *s, size_t k, const uint32_t *groups, uint32_t *ret_need, struct med_err *err)
{
    uint32_t end = s->lex->chunk_count, stride = sample_stride(s);
    double expected = (double)k * sampled_share(s);
    double rank = expected + SAMPLE_DEVIATIONS * sqrt(expected) + SAMPLE_RANK_MIN;
    lex_topk_init(&s->topk, s->scratch->heap, rank < (double)k ? (size_t)rank : k, groups);
    enum med_code code = MED_OK;
    for (s->low = 0; s->low < end && code == MED_OK; s->low += stride) {
        s->high = end - s->low < SAMPLE_WINDOW ? end : s->low + SAMPLE_WINDOW;
        code = search_window(s, err);
    }
    *ret_need = lex_topk_reached(&s->topk);
    return code;
}

/* Orders the cursors; true when the search is large enough for a prediction. */
static bool prepare(struct search *s, size_t k)
{
    struct med_lex_scratch *scratch = s->scratch;
    uint64_t postings = 0;
    for (size_t i = 0; i < s->cursor_count; i++) {
        scratch->order[i] = &scratch->cursors[i];
        postings += scratch->cursors[i].posting_count;
    }
    qsort(scratch->order, s->cursor_count, sizeof(*scratch->order), compare_worth);
    return k >= PREDICT_K_MIN && postings >= PREDICT_POSTINGS_MIN &&
           (!s->filter.words || s->filter.set_count >= PREDICT_CHUNKS_MIN);
}

enum med_code med_lex_search(const struct med_lex *lex, struct med_lex_scratch *scratch,
    const struct med_lex_query *query, struct med_filter filter, const uint32_t *groups, size_t k,
    struct med_hit *ret_hits, size_t *ret_count, struct med_err *err)
{
    struct search s = {.scratch = scratch, .lex = lex, .filter = filter};
    enum med_code code = lex_scratch_open(scratch, lex, query, &s.cursor_count, err);
    if (code != MED_OK) return code;
    if (k > lex->chunk_count) k = lex->chunk_count;
    if (!med_grow(&scratch->heap, &scratch->heap_cap, k ? k : 1, sizeof(*scratch->heap)))
        return med_fail(err, MED_E_NOMEM, "no memory for %zu results", k);
    size_t count = 0;
    uint32_t need = 1;
    if (k && s.cursor_count && prepare(&s, k)) code = predict(&s, k, groups, &need, err);
    for (bool again = k && s.cursor_count; again && code == MED_OK;) {
        restart(&s, k, groups, need);
        code = search_windows(&s, err);
        if (code != MED_OK) break;
        count = lex_topk_finish(&s.topk, scratch->context.scoring.inv_scale, ret_hits);
        again = count < k && need > 1; /* too much was asked for */
        need = 1;
    }
    if (code == MED_OK) *ret_count = count;
    return code;
}

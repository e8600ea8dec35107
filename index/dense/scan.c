/* Rows are scored four at a time. Gathered rows (filters, lists) are fetched ahead of their use:
 * memory answers a random row in about the time that ten rows take to score. */
#include "index/dense/scan.h"

#include <assert.h>

#define CACHE_LINE_VALUES 32u
#define PREFETCH_LINES_MAX 16u
#define GATHER 4u

float med_dense_score_at(const struct med_dense_rows *rows, const float *query, uint32_t chunk)
{
    return med_dense_clean(rows->kernels->dot(med_dense_row_at(rows, chunk), query, rows->padded));
}

bool med_dense_row_is_zero(const struct med_dense_rows *rows, uint32_t chunk)
{
    const uint16_t *row = med_dense_row_at(rows, chunk);
    bool finite = true;
    uint16_t any = 0;
    for (uint32_t i = 0; i < rows->padded; i++) {
        any |= (uint16_t)(row[i] & 0x7fff);
        finite &= (row[i] & 0x7c00) != 0x7c00;
    }
    return any == 0 || !finite;
}

/* --- the heap --- */

static void sift_down(struct med_hit *heap, size_t count, size_t at)
{
    struct med_hit moving = heap[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count) break;
        if (child + 1 < count && med_hit_better(heap[child], heap[child + 1])) child++;
        if (!med_hit_better(moving, heap[child])) break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moving;
}

void med_dense_top_push(struct med_dense_top *top, uint32_t chunk, float score)
{
    struct med_hit hit = {.chunk = chunk, .score = score};
    struct med_hit *heap = top->hits;
    if (top->count == top->k) {
        if (!med_hit_better(hit, heap[0])) return;
        heap[0] = hit;
        sift_down(heap, top->count, 0);
        return;
    }
    size_t at = top->count++;
    while (at > 0 && med_hit_better(heap[(at - 1) / 2], hit)) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = hit;
}

void med_dense_top_sort(struct med_dense_top *top)
{
    for (size_t left = top->count; left > 1; left--) {
        struct med_hit worst = top->hits[0];
        top->hits[0] = top->hits[left - 1];
        sift_down(top->hits, left - 1, 0);
        top->hits[left - 1] = worst;
    }
}

/* --- scans --- */

/* Almost every row of a long scan ends at the first comparison. */
static inline void offer(
    const struct med_dense_rows *rows, struct med_dense_top *top, uint32_t chunk, float score)
{
    if (top->count == top->k && score < top->hits[0].score) return;
    if (!(score >= -3.0e38f && score <= 3.0e38f)) return;
    if (score == 0.0f && med_dense_row_is_zero(rows, chunk)) return;
    med_dense_top_push(top, chunk, score);
}

void med_dense_top_offer(
    const struct med_dense_rows *rows, struct med_dense_top *top, uint32_t chunk, float score)
{
    offer(rows, top, chunk, score);
}

void med_dense_scan_all(
    const struct med_dense_rows *rows, const float *query, struct med_dense_top *top)
{
    assert(top->k > 0);
    const struct med_dense_kernels *kernels = rows->kernels;
    size_t padded = rows->padded;
    uint32_t chunk = 0;
    for (; rows->count - chunk >= 4; chunk += 4) {
        const uint16_t *first = med_dense_row_at(rows, chunk);
        const uint16_t *const four[4] = {
            first, first + padded, first + 2 * padded, first + 3 * padded};
        float scores[4];
        kernels->dot4(four, query, padded, scores);
        for (uint32_t j = 0; j < 4; j++) offer(rows, top, chunk + j, scores[j]);
    }
    for (; chunk < rows->count; chunk++) {
        offer(rows, top, chunk, kernels->dot(med_dense_row_at(rows, chunk), query, padded));
    }
}

/* Rows that wait for their bytes: `ready` were prefetched one round ago, `waiting` just now. */
struct gather {
    const struct med_dense_rows *rows;
    const float *query;
    struct med_dense_top *top;
    uint32_t ready[GATHER], waiting[GATHER];
    uint32_t ready_count, waiting_count;
};

static void score_ready(struct gather *g)
{
    const struct med_dense_rows *rows = g->rows;
    if (g->ready_count == GATHER) {
        const uint16_t *const four[4] = {med_dense_row_at(rows, g->ready[0]),
            med_dense_row_at(rows, g->ready[1]), med_dense_row_at(rows, g->ready[2]),
            med_dense_row_at(rows, g->ready[3])};
        float scores[4];
        rows->kernels->dot4(four, g->query, rows->padded, scores);
        for (uint32_t j = 0; j < 4; j++) offer(rows, g->top, g->ready[j], scores[j]);
    } else {
        for (uint32_t j = 0; j < g->ready_count; j++) {
            float score =
                rows->kernels->dot(med_dense_row_at(rows, g->ready[j]), g->query, rows->padded);
            offer(rows, g->top, g->ready[j], score);
        }
    }
    g->ready_count = 0;
}

static void gather_turn(struct gather *g)
{
    score_ready(g);
    for (uint32_t j = 0; j < g->waiting_count; j++) g->ready[j] = g->waiting[j];
    g->ready_count = g->waiting_count;
    g->waiting_count = 0;
}

static inline void gather_add(struct gather *g, uint32_t chunk)
{
    const uint16_t *row = med_dense_row_at(g->rows, chunk);
    uint32_t lines = g->rows->padded / CACHE_LINE_VALUES;
    if (lines > PREFETCH_LINES_MAX) lines = PREFETCH_LINES_MAX;
    for (uint32_t l = 0; l < lines; l++) __builtin_prefetch(row + l * CACHE_LINE_VALUES);
    g->waiting[g->waiting_count++] = chunk;
    if (g->waiting_count == GATHER) gather_turn(g);
}

static void gather_end(struct gather *g)
{
    gather_turn(g);
    gather_turn(g);
}

/* The bits of one word of the filter that are rows. */
static inline uint64_t filter_word(
    const struct med_dense_rows *rows, struct med_filter filter, uint32_t word)
{
    uint64_t bits = filter.words[word];
    uint32_t first = word * 64;
    if (rows->count - first < 64) bits &= (1ull << (rows->count - first)) - 1;
    return bits;
}

static inline uint32_t word_count(const struct med_dense_rows *rows)
{
    return rows->count / 64 + (rows->count % 64 != 0);
}

void med_dense_scan_filter(const struct med_dense_rows *rows, const float *query,
    struct med_filter filter, struct med_dense_top *top)
{
    assert(top->k > 0);
    if (!filter.words) {
        med_dense_scan_all(rows, query, top);
        return;
    }
    struct gather g = {.rows = rows, .query = query, .top = top};
    for (uint32_t word = 0; word < word_count(rows); word++) {
        for (uint64_t bits = filter_word(rows, filter, word); bits; bits &= bits - 1) {
            gather_add(&g, word * 64 + (uint32_t)__builtin_ctzll(bits));
        }
    }
    gather_end(&g);
}

size_t med_dense_scan_list(const struct med_dense_rows *rows, const float *query,
    struct med_filter filter, const uint32_t *chunks, size_t count, struct med_dense_top *top)
{
    assert(top->k > 0);
    struct gather g = {.rows = rows, .query = query, .top = top};
    size_t allowed = 0;
    for (size_t i = 0; i < count; i++) {
        if (!med_filter_has(filter, chunks[i])) continue;
        gather_add(&g, chunks[i]);
        allowed++;
    }
    gather_end(&g);
    return allowed;
}

void med_dense_fill_zeros(
    const struct med_dense_rows *rows, struct med_filter filter, struct med_dense_top *top)
{
    for (uint32_t word = 0; word < word_count(rows); word++) {
        uint64_t bits = filter.words ? filter_word(rows, filter, word) : UINT64_MAX;
        for (; bits && top->count < top->k; bits &= bits - 1) {
            uint32_t chunk = word * 64 + (uint32_t)__builtin_ctzll(bits);
            if (chunk >= rows->count) return;
            if (!med_dense_row_is_zero(rows, chunk)) continue;
            top->hits[top->count++] = (struct med_hit){.chunk = chunk, .score = 0.0f};
        }
        if (top->count == top->k) return;
    }
}

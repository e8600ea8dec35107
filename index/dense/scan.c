/* A scan reads the coarse bytes of every row, four rows at a time, and the fine bytes of those rows
 * only whose exact score might be among the best k: whose upper bound is no worse than the k-th
 * exact score so far. What is dropped could not have entered the heap, so that the result is that
 * of scoring everything exactly. Gathered rows (filters, lists) are fetched ahead of their use:
 * memory answers a random row in about the time that ten rows take to score. */
#include "index/dense/scan.h"

#include <assert.h>
#include <stdlib.h>

#define GATHER 16u
#define SCAN_AHEAD 32u /* rows; planes lie in blocks, which hides the order from the processor */

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

static void push(struct med_dense_top *top, struct med_hit hit)
{
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

void med_dense_top_clear(struct med_dense_top *top)
{
    top->count = 0;
    top->is_waiting = false;
}

void med_dense_top_offer(
    const struct med_dense_rows *rows, struct med_dense_top *top, uint32_t chunk, float score)
{
    struct med_hit hit = {.chunk = chunk, .score = score};
    if (score == 0.0f && med_dense_row_is_zero(rows, chunk)) return;
    if (!top->groups) {
        push(top, hit);
        return;
    }
    if (top->is_waiting && top->groups[top->waiting.chunk] == top->groups[chunk]) {
        if (med_hit_better(hit, top->waiting)) top->waiting = hit;
        return;
    }
    if (top->is_waiting) push(top, top->waiting);
    top->waiting = hit;
    top->is_waiting = true;
}

static int by_chunk(const void *a, const void *b)
{
    const struct med_hit *x = a, *y = b;
    return x->chunk < y->chunk ? -1 : x->chunk > y->chunk;
}

void med_dense_top_regroup(
    const struct med_dense_rows *rows, struct med_dense_top *from, struct med_dense_top *top)
{
    qsort(from->hits, from->count, sizeof *from->hits, by_chunk);
    for (size_t i = 0; i < from->count; i++)
        med_dense_top_offer(rows, top, from->hits[i].chunk, from->hits[i].score);
}

void med_dense_top_sort(struct med_dense_top *top)
{
    if (top->is_waiting) push(top, top->waiting);
    top->is_waiting = false;
    for (size_t left = top->count; left > 1; left--) {
        struct med_hit worst = top->hits[0];
        top->hits[0] = top->hits[left - 1];
        sift_down(top->hits, left - 1, 0);
        top->hits[left - 1] = worst;
    }
}

/* --- scans --- */

struct scan {
    const struct med_dense_rows *rows;
    const struct med_dense_query *query;
    struct med_dense_top *top;
    uint32_t ready[GATHER], waiting[GATHER]; /* fetched a round ago, and just now */
    uint32_t ready_count, waiting_count;
};

/* Almost every row of a long scan ends at the first comparison. */
static void consider4(struct scan *s, const uint32_t chunks[4], uint32_t count)
{
    struct med_dense_top *top = s->top;
    float upper[4];
    med_dense_upper4(s->rows, s->query, chunks, upper);
    for (uint32_t j = 0; j < count; j++) {
        if (top->count == top->k && upper[j] < top->hits[0].score) continue;
        float score = s->rows->scales ? med_dense_score_at(s->rows, s->query, chunks[j]) : upper[j];
        if (top->count == top->k && score < top->hits[0].score) continue;
        med_dense_top_offer(s->rows, top, chunks[j], score);
    }
}

void med_dense_scan_all(const struct med_dense_rows *rows, const struct med_dense_query *query,
    struct med_dense_top *top)
{
    assert(top->k > 0);
    struct scan s = {.rows = rows, .query = query, .top = top};
    uint32_t last = rows->count - 1;
    for (uint32_t chunk = 0; chunk < rows->count; chunk += 4) {
        uint32_t left = rows->count - chunk;
        uint32_t four[4] = {chunk, left > 1 ? chunk + 1 : last, left > 2 ? chunk + 2 : last,
            left > 3 ? chunk + 3 : last};
        for (uint32_t j = 0; left > SCAN_AHEAD + 4 && j < 4; j++)
            med_dense_prefetch(rows, chunk + SCAN_AHEAD + j);
        consider4(&s, four, left < 4 ? left : 4);
        if (left <= 4) break;
    }
}

static void gather_turn(struct scan *s)
{
    for (uint32_t i = 0; i < s->ready_count; i += 4) {
        uint32_t left = s->ready_count - i, four[4];
        for (uint32_t j = 0; j < 4; j++) four[j] = s->ready[j < left ? i + j : i];
        consider4(s, four, left < 4 ? left : 4);
    }
    for (uint32_t i = 0; i < s->waiting_count; i++) s->ready[i] = s->waiting[i];
    s->ready_count = s->waiting_count;
    s->waiting_count = 0;
}

static void gather_add(struct scan *s, uint32_t chunk)
{
    med_dense_prefetch(s->rows, chunk);
    s->waiting[s->waiting_count++] = chunk;
    if (s->waiting_count == GATHER) gather_turn(s);
}

static void gather_end(struct scan *s)
{
    gather_turn(s);
    gather_turn(s);
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

void med_dense_scan_filter(const struct med_dense_rows *rows, const struct med_dense_query *query,
    struct med_filter filter, struct med_dense_top *top)
{
    assert(top->k > 0);
    if (!filter.words) {
        med_dense_scan_all(rows, query, top);
        return;
    }
    struct scan s = {.rows = rows, .query = query, .top = top};
    for (uint32_t word = 0; word < word_count(rows); word++) {
        for (uint64_t bits = filter_word(rows, filter, word); bits; bits &= bits - 1) {
            gather_add(&s, word * 64 + (uint32_t)__builtin_ctzll(bits));
        }
    }
    gather_end(&s);
}

size_t med_dense_scan_list(const struct med_dense_rows *rows, const struct med_dense_query *query,
    struct med_filter filter, const uint32_t *chunks, size_t count, struct med_dense_top *top)
{
    assert(top->k > 0);
    struct scan s = {.rows = rows, .query = query, .top = top};
    size_t allowed = 0;
    for (size_t i = 0; i < count; i++) {
        if (!med_filter_has(filter, chunks[i])) continue;
        gather_add(&s, chunks[i]);
        allowed++;
    }
    gather_end(&s);
    return allowed;
}

static bool has_group(const struct med_dense_top *top, uint32_t group)
{
    for (size_t i = 0; i < top->count; i++)
        if (top->groups[top->hits[i].chunk] == group) return true;
    return false;
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
            if (top->groups && has_group(top, top->groups[chunk])) continue;
            top->hits[top->count++] = (struct med_hit){.chunk = chunk, .score = 0.0f};
        }
        if (top->count == top->k) return;
    }
}

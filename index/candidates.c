/* See candidates.h. Some hundred items are put in order several times per search: they are sorted
 * as numbers, byte by byte, and never moved themselves. */
#include "index/candidates.h"

#include <stdlib.h>

static enum med_code out_of_memory(struct med_err *err)
{
    return med_fail(err, MED_E_NOMEM, "the search needs more memory than one request may use");
}

/* Order of documents by their ids, then of passages, whatever segments they are in. */
static int compare_places(const struct med_index *x, uint32_t segment_a, uint32_t chunk_a,
    uint32_t segment_b, uint32_t chunk_b)
{
    if (segment_a == segment_b) return chunk_a < chunk_b ? -1 : chunk_a > chunk_b;
    const struct med_segment *a = x->segments[segment_a], *b = x->segments[segment_b];
    return med_str_cmp(
        med_segment_doc_id(a, a->chunk_doc[chunk_a]), med_segment_doc_id(b, b->chunk_doc[chunk_b]));
}

/* --- halves --- */

static int by_found(const void *a, const void *b, void *index)
{
    const struct found *x = a, *y = b;
    if (x->last != y->last) return x->last - y->last;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return compare_places(index, x->segment, x->chunk, y->segment, y->chunk);
}

size_t found_best(const struct med_index *index, struct found *found, size_t count, size_t depth)
{
    if (index->segment_count > 1 && count)
        qsort_r(found, count, sizeof *found, by_found, (void *)(uintptr_t)index);
    return count < depth ? count : depth;
}

/* --- sorting by numbers --- */

/* Rising order; equal keys keep theirs. A byte in which all keys agree costs nothing. Returns the
 * array of the two that holds the result. */
static struct keyed *sort_keys(struct keyed *items, struct keyed *spare, size_t count)
{
    uint32_t starts[8][256] = {0};
    for (size_t i = 0; i < count; i++)
        for (unsigned byte = 0; byte < 8; byte++) starts[byte][items[i].key >> 8 * byte & 0xFF]++;
    for (unsigned byte = 0; byte < 8 && count; byte++) {
        uint32_t *start = starts[byte], at = 0;
        if (start[items[0].key >> 8 * byte & 0xFF] == count) continue;
        for (unsigned v = 0; v < 256; v++) {
            uint32_t n = start[v];
            start[v] = at;
            at += n;
        }
        for (size_t i = 0; i < count; i++)
            spare[start[items[i].key >> 8 * byte & 0xFF]++] = items[i];
        struct keyed *sorted = spare;
        spare = items;
        items = sorted;
    }
    return items;
}

/* Rises as the value falls. */
static uint64_t key_of(double value)
{
    uint64_t bits;
    value += 0.0; /* there is one zero */
    memcpy(&bits, &value, sizeof bits);
    return bits >> 63 ? bits : ~bits & INT64_MAX;
}

/* --- the pool --- */

static void put_keys(struct keyed *keys, const struct found *found, size_t count, size_t *n)
{
    for (size_t i = 0; i < count; i++, ++*n)
        keys[*n] = (struct keyed){
            .key = (uint64_t)found[i].segment << 32 | found[i].chunk, .at = (uint32_t)*n};
}

/* Always inlined: GCC takes calls of what only prefetches for calls without effect. */
__attribute__((always_inline)) static inline void prefetch_rows(
    const struct med_segment *s, uint32_t doc)
{
    __builtin_prefetch(&s->docs[doc]);
    __builtin_prefetch(&s->flags[doc]);
    __builtin_prefetch(&s->evidence[doc]);
    if (s->works) __builtin_prefetch(&s->works[doc]);
}

enum med_code pool_merge(
    struct pool *pool, const struct med_index *index, struct med_arena *arena, struct med_err *err)
{
    size_t most = pool->lexical_count + pool->dense_count, n = 0;
    pool->items = med_arena_alloc(arena, (most + 1) * sizeof *pool->items);
    pool->keys = med_arena_alloc(arena, (most + 1) * sizeof *pool->keys);
    pool->spare = med_arena_alloc(arena, (most + 1) * sizeof *pool->spare);
    if (!pool->items || !pool->keys || !pool->spare) return out_of_memory(err);
    put_keys(pool->keys, pool->lexical, pool->lexical_count, &n);
    put_keys(pool->keys, pool->dense, pool->dense_count, &n);
    const struct keyed *keys = sort_keys(pool->keys, pool->spare, n);
    pool->count = 0;
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || keys[i].key != keys[i - 1].key) {
            uint32_t segment = (uint32_t)(keys[i].key >> 32), chunk = (uint32_t)keys[i].key;
            pool->items[pool->count++] = (struct candidate){.segment = segment, .chunk = chunk};
            __builtin_prefetch(&index->segments[segment]->chunk_doc[chunk]);
        }
        struct candidate *c = &pool->items[pool->count - 1];
        if (keys[i].at < pool->lexical_count) {
            c->lexical = pool->lexical[keys[i].at].score;
            c->lexical_known = true;
        } else {
            c->dense = pool->dense[keys[i].at - pool->lexical_count].score;
            c->dense_known = true;
        }
    }
    for (size_t i = 0; i < pool->count; i++) {
        const struct med_segment *s = index->segments[pool->items[i].segment];
        pool->items[i].doc = s->chunk_doc[pool->items[i].chunk];
        prefetch_rows(s, pool->items[i].doc);
    }
    return MED_OK;
}

struct places {
    const struct med_index *index;
    const struct candidate *items;
};

static int by_place(const void *a, const void *b, void *ctx)
{
    const struct places *p = ctx;
    const struct candidate *x = &p->items[((const struct keyed *)a)->at],
                           *y = &p->items[((const struct keyed *)b)->at];
    return compare_places(p->index, x->segment, x->chunk, y->segment, y->chunk);
}

const struct keyed *pool_order(
    struct pool *pool, const struct med_index *index, double (*value_of)(const struct candidate *))
{
    for (size_t i = 0; i < pool->count; i++)
        pool->keys[i] = (struct keyed){.key = key_of(value_of(&pool->items[i])), .at = (uint32_t)i};
    struct keyed *order = sort_keys(pool->keys, pool->spare, pool->count);
    if (index->segment_count < 2) return order; /* places rise, and equal keys kept theirs */
    struct places places = {.index = index, .items = pool->items};
    for (size_t begin = 0, end; begin < pool->count; begin = end) {
        for (end = begin + 1; end < pool->count && order[end].key == order[begin].key;) end++;
        if (end - begin > 1) qsort_r(order + begin, end - begin, sizeof *order, by_place, &places);
    }
    return order;
}

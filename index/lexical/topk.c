#include "index/lexical/topk.h"

#include <math.h>

/* True when a is worse than b: lower key, or the same key and a larger chunk. */
static bool worse(struct lex_topk_item a, struct lex_topk_item b)
{
    return a.key != b.key ? a.key < b.key : a.chunk > b.chunk;
}

static void sift_down(struct lex_topk_item *heap, size_t count, size_t i)
{
    struct lex_topk_item item = heap[i];
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= count) break;
        if (child + 1 < count && worse(heap[child + 1], heap[child])) child++;
        if (!worse(heap[child], item)) break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = item;
}

static void sift_up(struct lex_topk_item *heap, size_t i)
{
    struct lex_topk_item item = heap[i];
    while (i > 0) {
        size_t parent = (i - 1) / 2;
        if (!worse(item, heap[parent])) break;
        heap[i] = heap[parent];
        i = parent;
    }
    heap[i] = item;
}

void lex_topk_init(struct lex_topk *t, struct lex_topk_item *heap, size_t k, const uint32_t *groups)
{
    *t = (struct lex_topk){.heap = heap, .k = k, .groups = groups, .floor = 1};
}

static void insert(struct lex_topk *t, struct lex_topk_item item)
{
    if (t->count < t->k) {
        t->heap[t->count] = item;
        sift_up(t->heap, t->count++);
    } else if (worse(t->heap[0], item)) {
        t->heap[0] = item;
        sift_down(t->heap, t->count, 0);
    }
    /* Later chunks are larger, so an equal key loses: a sum must exceed the worst key, which is a
     * whole number. */
    if (t->count == t->k && (uint32_t)t->heap[0].key + 1 > t->floor)
        t->floor = (uint32_t)t->heap[0].key + 1;
}

void lex_topk_offer(struct lex_topk *t, uint32_t chunk, uint32_t sum)
{
    struct lex_topk_item item = {.key = (float)sum, .chunk = chunk};
    if (!t->groups) {
        insert(t, item);
        return;
    }
    uint32_t group = t->groups[chunk];
    if (t->waiting.key > 0 && group == t->waiting_group) {
        if (worse(t->waiting, item)) t->waiting = item;
        return;
    }
    if (t->waiting.key > 0) insert(t, t->waiting);
    t->waiting = item;
    t->waiting_group = group;
}

uint32_t lex_topk_reached(struct lex_topk *t)
{
    if (t->waiting.key > 0) insert(t, t->waiting);
    t->waiting.key = 0;
    if (t->count < t->k || t->heap[0].key < 2) return 1;
    return (uint32_t)nextafterf(t->heap[0].key, 0);
}

size_t lex_topk_finish(struct lex_topk *t, float inv_scale, struct med_hit *ret_hits)
{
    if (t->waiting.key > 0) insert(t, t->waiting);
    t->waiting.key = 0;
    size_t count = t->count;
    for (size_t left = count; left > 0; left--) {
        struct lex_topk_item worst = t->heap[0];
        ret_hits[left - 1] = (struct med_hit){.chunk = worst.chunk, .score = worst.key * inv_scale};
        t->heap[0] = t->heap[left - 1];
        sift_down(t->heap, left - 1, 0);
    }
    return count;
}

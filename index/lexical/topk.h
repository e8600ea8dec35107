/* The k best chunks, or with groups the best chunk of each of the k best groups.
 *
 * Chunks are offered in ascending order, so the chunks of a group come one after the other: the
 * best of the current group waits until its group ends. Keys are contributions' sums rounded to
 * float: what the caller will see decides, and equal keys are won by the smaller chunk. */
#pragma once

#include "index/lexical/lexical.h"

struct lex_topk_item {
    float key;
    uint32_t chunk;
};

struct lex_topk {
    struct lex_topk_item *heap; /* room for k; the worst item on top */
    size_t k, count;
    const uint32_t *groups;
    struct lex_topk_item waiting; /* best of the current group; key 0 = none */
    uint32_t waiting_group;
    uint32_t floor; /* sums below this cannot be among the k best */
};

void lex_topk_init(
    struct lex_topk *t, struct lex_topk_item *heap, size_t k, const uint32_t *groups);
static inline void lex_topk_prefetch(const struct lex_topk *t, uint32_t chunk)
{
    if (t->groups) __builtin_prefetch(&t->groups[chunk]);
}
/* chunk is above all chunks offered before. sum > 0 */
void lex_topk_offer(struct lex_topk *t, uint32_t chunk, uint32_t sum);
/* A sum that every chunk with a key of at least the worst of the k best has; 1 when there are less
 * than k. */
uint32_t lex_topk_reached(struct lex_topk *t);
/* Best first; scores are keys * inv_scale. Returns the number of hits. */
size_t lex_topk_finish(struct lex_topk *t, float inv_scale, struct med_hit *ret_hits);

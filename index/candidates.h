/* The candidates of a search: what both halves found, once each, and orders of them.
 *
 * A half gives passages with the score it found them by. Scores are exact and the same whoever
 * computes them (lexical.h, dense.h), so a candidate keeps what it came with, and only the score of
 * the half that did not find it is still to be computed. */
#pragma once

#include "index/internal.h"

/* A passage that one half of the search found. */
struct found {
    uint32_t segment, chunk;
    float score;
    bool last; /* has no vector: behind all others */
};

struct candidate {
    uint32_t segment, chunk, doc;
    bool lexical_known, dense_known;
    float lexical, dense;
    double score, lexical_part, dense_part;
    struct med_authority parts;
    double authority;
};

/* A place in a list, and what it is sorted by. */
struct keyed {
    uint64_t key;
    uint32_t at;
};

struct pool {
    struct found *lexical, *dense; /* best first */
    size_t lexical_count, dense_count;
    bool lexical_full, dense_full; /* a half returned as many as were asked: there may be more */
    struct candidate *items;       /* by segment, then passage */
    size_t count;
    struct keyed *keys, *spare; /* room for `count` */
};

/* Of the best of each segment the `depth` best of all: what one segment with all documents would
 * have given. Sorts found and returns how many of them count. */
size_t found_best(const struct med_index *index, struct found *found, size_t count, size_t depth);

/* Makes pool->items of pool->lexical and pool->dense. Rows of documents are on their way from
 * memory afterwards. */
enum med_code pool_merge(struct pool *pool, const struct med_index *index, struct med_arena *arena,
    struct med_err *err) MED_CHECK;

/* The places of all candidates by falling value_of, equal ones by document id, then passage. Lives
 * in the pool until the next call. */
const struct keyed *pool_order(
    struct pool *pool, const struct med_index *index, double (*value_of)(const struct candidate *));

/* A set of keys: open addressing, 0 = free; slot_count is a power of two and more than the keys.
 * False when the key was there already. */
static inline bool key_add(uint64_t *slots, size_t slot_count, uint64_t key)
{
    size_t at = key * 0x9E3779B97F4A7C15ull & (slot_count - 1);
    while (slots[at] && slots[at] != key) at = (at + 1) & (slot_count - 1);
    if (slots[at]) return false;
    slots[at] = key;
    return true;
}

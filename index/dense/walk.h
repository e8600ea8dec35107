/* Searching an HNSW graph where it lies: in the mapped file. Internal to index/dense. */
#pragma once

#include "index/dense/scan.h"

#define MED_WALK_EF_MAX 65536u

/* A validated graph (graph.c), in the layout of format.h. */
struct med_links {
    const uint8_t *levels;
    const uint32_t *level_0;
    const uint32_t *upper;
    uint64_t upper_count;
    uint32_t *upper_starts; /* per 64 rows: lists of `upper` before them; owned */
    uint32_t m;
    uint32_t entry_point;
    uint32_t max_level;
    uint32_t linked_count;
};

/* Fills upper_starts from levels; freed by med_links_free. */
enum med_code med_links_index(
    struct med_links *links, uint32_t count, struct med_err *err) MED_CHECK;
void med_links_free(struct med_links *links);

/* What walks work with: one per thread at a time, kept between them. Threads take them from and
 * give them back to a pool; it grows to as many as ever worked at once. */
struct med_walk_pool;
enum med_code med_walk_pool_new(
    uint32_t count, struct med_walk_pool **ret_pool, struct med_err *err) MED_CHECK;
void med_walk_pool_free(struct med_walk_pool **pool);

/* Offers allowed rows near the query to top, which may end up with fewer than top->k. ef, 1 to
 * MED_WALK_EF_MAX, is the number of best rows, allowed or not, whose links are all followed; the
 * walk keeps at least top->k rows in view. With top->groups it goes on, further and further, until
 * top->k groups are in view or nothing is left to see. */
enum med_code med_graph_walk(const struct med_dense_rows *rows, const struct med_links *links,
    struct med_walk_pool *pool, const struct med_dense_query *query, struct med_filter filter,
    uint32_t ef, struct med_dense_top *top, struct med_err *err) MED_CHECK;

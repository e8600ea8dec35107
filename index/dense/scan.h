/* Exact search: every allowed row is looked at, the best k are kept in a heap in the caller's
 * array. */
#pragma once

#include "index/dense/rows.h"
#include "index/lexical/lexical.h" /* med_filter, med_hit */

static inline bool med_hit_better(struct med_hit a, struct med_hit b)
{
    return a.score > b.score || (a.score == b.score && a.chunk < b.chunk);
}

/* The k best so far: a heap with the worst on top. With groups (per row, never decreasing) the best
 * row of each of the k best groups; rows are then offered in ascending order, and the best of the
 * last group waits in `waiting` until the next one begins or med_dense_top_sort. */
struct med_dense_top {
    struct med_hit *hits;
    size_t k;
    size_t count;
    const uint32_t *groups;
    struct med_hit waiting;
    bool is_waiting;
};
void med_dense_top_clear(struct med_dense_top *top);
/* Rows of zeros are not pushed. */
void med_dense_top_offer(
    const struct med_dense_rows *rows, struct med_dense_top *top, uint32_t chunk, float score);
/* Offers the hits of a top without groups, in any order, to one with groups. */
void med_dense_top_regroup(
    const struct med_dense_rows *rows, struct med_dense_top *from, struct med_dense_top *top);
void med_dense_top_sort(struct med_dense_top *top); /* best first; the end of pushing */

/* k is at least 1. */
void med_dense_scan_all(const struct med_dense_rows *rows, const struct med_dense_query *query,
    struct med_dense_top *top);
void med_dense_scan_filter(const struct med_dense_rows *rows, const struct med_dense_query *query,
    struct med_filter filter, struct med_dense_top *top);
/* Of given rows those that pass the filter; their number. */
size_t med_dense_scan_list(const struct med_dense_rows *rows, const struct med_dense_query *query,
    struct med_filter filter, const uint32_t *chunks, size_t count, struct med_dense_top *top);

/* Appends allowed rows of zeros in order of number, with score 0, while there is room; with groups
 * only of groups that have no hit. */
void med_dense_fill_zeros(
    const struct med_dense_rows *rows, struct med_filter filter, struct med_dense_top *top);

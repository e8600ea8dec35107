/* Exact search: every allowed row is scored, the best k are kept in a heap in the caller's array.
 */
#pragma once

#include "index/dense/kernels.h"
#include "index/lexical/lexical.h" /* med_filter, med_hit */

/* A view of stored rows. */
struct med_dense_rows {
    const uint16_t *base; /* 64-byte aligned */
    uint32_t padded;      /* values from row to row, a multiple of MED_DENSE_LANE */
    uint32_t dim;
    uint32_t count;
    const struct med_dense_kernels *kernels;
};

static inline const uint16_t *med_dense_row_at(const struct med_dense_rows *rows, uint32_t chunk)
{
    return rows->base + (size_t)chunk * rows->padded;
}

/* Scores are finite: a row that was damaged on disk beyond that counts as a row of zeros. */
static inline float med_dense_clean(float score)
{
    return score >= -3.0e38f && score <= 3.0e38f ? score : 0.0f;
}

/* The score of one row, as every path gives it. */
float med_dense_score_at(const struct med_dense_rows *rows, const float *query, uint32_t chunk);
/* Rows of zeros are no answers: they are returned only when nothing else is left. */
bool med_dense_row_is_zero(const struct med_dense_rows *rows, uint32_t chunk);

/* The k best so far: a heap with the worst on top. */
struct med_dense_top {
    struct med_hit *hits;
    size_t k;
    size_t count;
};
static inline bool med_hit_better(struct med_hit a, struct med_hit b)
{
    return a.score > b.score || (a.score == b.score && a.chunk < b.chunk);
}
/* The same for rows that may be zero or damaged: these are not pushed. */
void med_dense_top_offer(
    const struct med_dense_rows *rows, struct med_dense_top *top, uint32_t chunk, float score);
void med_dense_top_push(struct med_dense_top *top, uint32_t chunk, float score);
void med_dense_top_sort(struct med_dense_top *top); /* best first; the end of pushing */

/* Queries are padded with zeros to rows->padded values. k is at least 1. */
void med_dense_scan_all(
    const struct med_dense_rows *rows, const float *query, struct med_dense_top *top);
void med_dense_scan_filter(const struct med_dense_rows *rows, const float *query,
    struct med_filter filter, struct med_dense_top *top);
/* Of given rows those that pass the filter; their number. */
size_t med_dense_scan_list(const struct med_dense_rows *rows, const float *query,
    struct med_filter filter, const uint32_t *chunks, size_t count, struct med_dense_top *top);

/* Appends allowed rows of zeros in order of number, with score 0, while there is room. */
void med_dense_fill_zeros(
    const struct med_dense_rows *rows, struct med_filter filter, struct med_dense_top *top);

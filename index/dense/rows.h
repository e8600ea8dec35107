/* Stored rows and queries against them. Internal to index/dense.
 *
 * A row of planes has two scores. `near` is made of the coarse bytes of row and query: what walks,
 * building and lists compare. `exact` is made of all four: the score that a chunk has, from every
 * path, the same bits on every processor, as it is a sum of integers times two scales. The coarse
 * bytes also bound the exact score from above (`upper`), so that scans read the fine bytes of few
 * rows only. Rows of halves (files of version 1, centroids) have one score for all three. */
#pragma once

#include "common/limits.h"
#include "index/dense/format.h"
#include "index/dense/kernels.h"

#include <stdbool.h>

/* A view of stored rows. */
struct med_dense_rows {
    const uint8_t *base; /* 64-byte aligned */
    const float *scales; /* per row; NULL: rows of halves */
    uint32_t padded;     /* values of a row, with those beyond the dimension */
    uint32_t dim;
    uint32_t count;
    const struct med_dense_kernels *kernels;
};

/* A query made ready for rows of either kind. */
struct med_dense_query {
    _Alignas(64) float values[MED_DIM_MAX]; /* zeros beyond the dimension */
    _Alignas(64) int8_t coarse[MED_DIM_MAX];
    _Alignas(64) int8_t fine[MED_DIM_MAX];
    int32_t coarse_sum, fine_sum;
    float scale;
    int64_t slack; /* what the fine bytes of a row can add to a product, at most */
};
/* Finite values. The part beyond rows->dim is cleared as far as kernels read. */
void med_dense_query_init(
    struct med_dense_query *query, const struct med_dense_rows *rows, const float *values);

static inline const uint8_t *med_dense_coarse_at(const struct med_dense_rows *rows, uint32_t row)
{
    size_t block = row / MED_VECTORS_BLOCK_ROWS, place = row % MED_VECTORS_BLOCK_ROWS;
    return rows->base + (block * 2 * MED_VECTORS_BLOCK_ROWS + place) * rows->padded;
}

static inline const uint8_t *med_dense_fine_at(const struct med_dense_rows *rows, uint32_t row)
{
    return med_dense_coarse_at(rows, row) + (size_t)MED_VECTORS_BLOCK_ROWS * rows->padded;
}

static inline const uint16_t *med_dense_half_at(const struct med_dense_rows *rows, uint32_t row)
{
    return (const uint16_t *)(const void *)rows->base + (size_t)row * rows->padded;
}

/* Starts fetching what `near` will read. Always inline: GCC takes a function that only prefetches
 * for one without effect and drops its calls. */
__attribute__((always_inline)) static inline void med_dense_prefetch(
    const struct med_dense_rows *rows, uint32_t row)
{
    const uint8_t *at = rows->scales ? med_dense_coarse_at(rows, row)
                                     : (const uint8_t *)med_dense_half_at(rows, row);
    size_t bytes = rows->scales ? rows->padded : rows->padded * sizeof(uint16_t);
    if (bytes > 1024) bytes = 1024; /* the processor sees the pattern */
    for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch(at + i);
    if (rows->scales) __builtin_prefetch(rows->scales + row);
}
__attribute__((always_inline)) static inline void med_dense_prefetch_fine(
    const struct med_dense_rows *rows, uint32_t row)
{
    if (!rows->scales) return;
    const uint8_t *at = med_dense_fine_at(rows, row);
    for (uint32_t i = 0; i < rows->padded; i += 64) __builtin_prefetch(at + i);
}

/* Four at a time: what the walk compares. */
void med_dense_near4(const struct med_dense_rows *rows, const struct med_dense_query *query,
    const uint32_t numbers[4], float ret_scores[4]);
float med_dense_near(
    const struct med_dense_rows *rows, const struct med_dense_query *query, uint32_t row);
/* No exact score is above. For halves the exact scores. */
void med_dense_upper4(const struct med_dense_rows *rows, const struct med_dense_query *query,
    const uint32_t numbers[4], float ret_scores[4]);
/* The score of one row, as every path gives it. Finite: a row of halves that was damaged on disk
 * beyond that counts as a row of zeros. */
float med_dense_score_at(
    const struct med_dense_rows *rows, const struct med_dense_query *query, uint32_t row);

/* Rows of zeros (or damaged halves) are no answers: they are returned only when nothing else is
 * left. */
bool med_dense_row_is_zero(const struct med_dense_rows *rows, uint32_t row);
/* ret_values[dim]; false when it is damaged. */
bool med_dense_load(const struct med_dense_rows *rows, uint32_t row, float *ret_values);

/* Writes `padded` bytes of either plane; the scale, 0 for zeros. False when a value is not finite
 * or beyond MED_VECTORS_VALUE_MAX. */
bool med_dense_quantise(const float *values, uint32_t dim, uint32_t padded, uint8_t *ret_coarse,
    uint8_t *ret_fine, float *ret_scale);

/* Products of rows and queries, both in fixed point:
 *
 *      (256 C + F) (256 c + f) = 65536 C c + 256 (C f + F c) + F f      C, F: row; c, f: query
 *
 * Bytes are stored with 128 added, so that kernels multiply unsigned by signed ones: 128 times the
 * sum of the query's bytes is taken off each sum. Sums of bytes fit 32 bits at 4,096 dimensions,
 * the whole product fits 53: converting it to a double is exact, and rounding is the only step in
 * which bits are lost. As rounding is monotonic, a bound on the product is a bound on the score. */
#include "index/dense/rows.h"

#include <math.h>
#include <string.h>

#define BIAS 128

_Static_assert(MED_DIM_MAX % MED_CODE_LANE == 0, "a padded query fits its array");

/* Values in units of the scale, split into bytes that are given `bias`. */
static float split(
    const float *values, uint32_t dim, int bias, uint8_t *ret_coarse, uint8_t *ret_fine)
{
    float largest = 0;
    for (uint32_t i = 0; i < dim; i++) {
        float magnitude = fabsf(values[i]);
        largest = magnitude > largest ? magnitude : largest;
    }
    float scale = largest / MED_VECTORS_LEVELS;
    bool zero = !(scale >= 1e-30f);
    double units = zero ? 0 : (double)MED_VECTORS_LEVELS / (double)largest;
    for (uint32_t i = 0; i < dim; i++) {
        double at = (double)values[i] * units;
        int value = (int)(at < 0 ? at - .5 : at + .5);
        int coarse = (value + BIAS) >> 8;
        ret_coarse[i] = (uint8_t)(coarse + bias);
        ret_fine[i] = (uint8_t)(value - coarse * 256 + bias);
    }
    return zero ? 0 : scale;
}

bool med_dense_quantise(const float *values, uint32_t dim, uint32_t padded, uint8_t *ret_coarse,
    uint8_t *ret_fine, float *ret_scale)
{
    bool fits = true;
    for (uint32_t i = 0; i < dim; i++) fits &= fabsf(values[i]) <= MED_VECTORS_VALUE_MAX;
    if (!fits) return false; /* NaN too */
    *ret_scale = split(values, dim, BIAS, ret_coarse, ret_fine);
    memset(ret_coarse + dim, BIAS, padded - dim);
    memset(ret_fine + dim, BIAS, padded - dim);
    return true;
}

void med_dense_query_init(
    struct med_dense_query *query, const struct med_dense_rows *rows, const float *values)
{
    uint32_t dim = rows->dim, padded = med_code_padded(dim);
    memcpy(query->values, values, dim * sizeof *values);
    memset(query->values + dim, 0, (padded - dim) * sizeof *values);
    query->scale = split(values, dim, 0, (uint8_t *)query->coarse, (uint8_t *)query->fine);
    memset(query->coarse + dim, 0, padded - dim);
    memset(query->fine + dim, 0, padded - dim);
    query->coarse_sum = query->fine_sum = 0;
    int64_t magnitudes = 0;
    for (uint32_t i = 0; i < dim; i++) {
        int value = query->coarse[i] * 256 + query->fine[i];
        query->coarse_sum += query->coarse[i];
        query->fine_sum += query->fine[i];
        magnitudes += value < 0 ? -value : value;
    }
    query->slack = BIAS * magnitudes;
}

/* --- scores --- */

static inline float clean(float score)
{
    return score >= -3.0e38f && score <= 3.0e38f ? score : 0.0f;
}

static inline float score_of(int64_t product, float row_scale, float query_scale)
{
    return (float)((double)product * ((double)row_scale * (double)query_scale));
}

static void half_scores(const struct med_dense_rows *rows, const struct med_dense_query *query,
    const uint32_t numbers[4], float ret_scores[4])
{
    const uint16_t *const four[4] = {med_dense_half_at(rows, numbers[0]),
        med_dense_half_at(rows, numbers[1]), med_dense_half_at(rows, numbers[2]),
        med_dense_half_at(rows, numbers[3])};
    rows->kernels->half_dot4(four, query->values, rows->padded, ret_scores);
    for (int j = 0; j < 4; j++) ret_scores[j] = clean(ret_scores[j]);
}

struct four_rows {
    const uint8_t *at[4];
};

static inline struct four_rows coarse_rows(
    const struct med_dense_rows *rows, const uint32_t numbers[4])
{
    return (struct four_rows){
        {med_dense_coarse_at(rows, numbers[0]), med_dense_coarse_at(rows, numbers[1]),
            med_dense_coarse_at(rows, numbers[2]), med_dense_coarse_at(rows, numbers[3])}};
}

/* From the sum over the coarse bytes alone. */
static inline float near_of(const struct med_dense_rows *rows, const struct med_dense_query *query,
    uint32_t row, int32_t sum)
{
    return (float)(sum - BIAS * query->coarse_sum) * rows->scales[row] * (query->scale * 65536.0f);
}

void med_dense_near4(const struct med_dense_rows *rows, const struct med_dense_query *query,
    const uint32_t numbers[4], float ret_scores[4])
{
    if (!rows->scales) {
        half_scores(rows, query, numbers, ret_scores);
        return;
    }
    const struct four_rows four = coarse_rows(rows, numbers);
    int32_t sums[4];
    rows->kernels->code_dot4(four.at, query->coarse, rows->padded, sums);
    for (int j = 0; j < 4; j++) ret_scores[j] = near_of(rows, query, numbers[j], sums[j]);
}

float med_dense_near(
    const struct med_dense_rows *rows, const struct med_dense_query *query, uint32_t row)
{
    if (!rows->scales) return med_dense_score_at(rows, query, row);
    int32_t sum =
        rows->kernels->code_dot(med_dense_coarse_at(rows, row), query->coarse, rows->padded);
    return near_of(rows, query, row, sum);
}

void med_dense_upper4(const struct med_dense_rows *rows, const struct med_dense_query *query,
    const uint32_t numbers[4], float ret_scores[4])
{
    if (!rows->scales) {
        half_scores(rows, query, numbers, ret_scores);
        return;
    }
    const struct four_rows four = coarse_rows(rows, numbers);
    int32_t coarse[4], fine[4];
    rows->kernels->code_dot4(four.at, query->coarse, rows->padded, coarse);
    rows->kernels->code_dot4(four.at, query->fine, rows->padded, fine);
    for (int j = 0; j < 4; j++) {
        int64_t product = 65536 * (int64_t)(coarse[j] - BIAS * query->coarse_sum) +
                          256 * (int64_t)(fine[j] - BIAS * query->fine_sum);
        ret_scores[j] = score_of(product + query->slack, rows->scales[numbers[j]], query->scale);
    }
}

float med_dense_score_at(
    const struct med_dense_rows *rows, const struct med_dense_query *query, uint32_t row)
{
    const struct med_dense_kernels *k = rows->kernels;
    if (!rows->scales)
        return clean(k->half_dot(med_dense_half_at(rows, row), query->values, rows->padded));
    const uint8_t *coarse = med_dense_coarse_at(rows, row), *fine = med_dense_fine_at(rows, row);
    int64_t cc = k->code_dot(coarse, query->coarse, rows->padded) - BIAS * query->coarse_sum;
    int64_t cf = k->code_dot(coarse, query->fine, rows->padded) - BIAS * query->fine_sum;
    int64_t fc = k->code_dot(fine, query->coarse, rows->padded) - BIAS * query->coarse_sum;
    int64_t ff = k->code_dot(fine, query->fine, rows->padded) - BIAS * query->fine_sum;
    return score_of(65536 * cc + 256 * (cf + fc) + ff, rows->scales[row], query->scale);
}

/* --- rows as values --- */

bool med_dense_row_is_zero(const struct med_dense_rows *rows, uint32_t row)
{
    if (rows->scales) return rows->scales[row] == 0;
    const uint16_t *half = med_dense_half_at(rows, row);
    bool finite = true;
    uint16_t any = 0;
    for (uint32_t i = 0; i < rows->padded; i++) {
        any |= (uint16_t)(half[i] & 0x7fff);
        finite &= (half[i] & 0x7c00) != 0x7c00;
    }
    return any == 0 || !finite;
}

bool med_dense_load(const struct med_dense_rows *rows, uint32_t row, float *ret_values)
{
    if (rows->scales) {
        const uint8_t *coarse = med_dense_coarse_at(rows, row);
        const uint8_t *fine = med_dense_fine_at(rows, row);
        float scale = rows->scales[row];
        for (uint32_t i = 0; i < rows->dim; i++)
            ret_values[i] = (float)((coarse[i] - BIAS) * 256 + (fine[i] - BIAS)) * scale;
        return true;
    }
    const uint16_t *half = med_dense_half_at(rows, row);
    for (uint32_t i = 0; i < rows->dim; i++)
        if ((half[i] & 0x7c00) == 0x7c00) return false;
    rows->kernels->to_float(half, ret_values, rows->dim);
    return true;
}

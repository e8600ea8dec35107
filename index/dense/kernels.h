/* The arithmetic of the dense index.
 *
 * Codes: rows of bytes against a query of signed bytes, sums of integers: the same bits on every
 * processor. Halves: fp16 rows (files of version 1, centroids) against fp32 queries; levels agree
 * within rounding (1e-5 for unit vectors), and each gives the same bits for the same row and query
 * wherever the row stands in a batch: a chunk's score does not depend on who asked for it.
 *
 * Implementations: AVX-512 (with VNNI where the processor has it), AVX2 with F16C and FMA, portable
 * C, chosen at run time. All lengths are padded, so that no kernel has a tail: halves to multiples
 * of MED_HALF_LANE, codes to multiples of MED_CODE_LANE; what lies beyond the dimension is zero in
 * queries. Rows are 64-byte aligned, queries of codes too. */
#pragma once

#include "common/cpu.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MED_HALF_LANE 32u /* fp16 values in 64 bytes */
#define MED_CODE_LANE 64u

static inline uint32_t med_half_padded(uint32_t dim)
{
    return (dim + MED_HALF_LANE - 1) / MED_HALF_LANE * MED_HALF_LANE;
}

static inline uint32_t med_code_padded(uint32_t dim)
{
    return (dim + MED_CODE_LANE - 1) / MED_CODE_LANE * MED_CODE_LANE;
}

struct med_dense_kernels {
    /* The sum of codes[i] * query[i], codes being 0 to 255. */
    int32_t (*code_dot)(const uint8_t *codes, const int8_t *query, size_t padded);
    /* Four rows in one pass over the query. */
    void (*code_dot4)(
        const uint8_t *const codes[4], const int8_t *query, size_t padded, int32_t ret_sums[4]);
    float (*half_dot)(const uint16_t *row, const float *query, size_t padded);
    void (*half_dot4)(
        const uint16_t *const rows[4], const float *query, size_t padded, float ret_scores[4]);
    /* Round to nearest even; beyond the range of fp16 to infinity. Any count. */
    void (*to_half)(const float *from, uint16_t *ret_to, size_t count);
    void (*to_float)(const uint16_t *from, float *ret_to, size_t count);
};

/* NULL when this processor has no such instructions (or MEDICUS_CPU forbids them). */
const struct med_dense_kernels *med_dense_kernels_at(enum med_cpu level);
/* The best this process may use. */
const struct med_dense_kernels *med_dense_kernels_best(void);

#ifdef __cplusplus
}
#endif

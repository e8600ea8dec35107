/* The arithmetic of the dense index: inner products between stored fp16 rows and fp32 queries.
 *
 * Three implementations (AVX-512, AVX2 with F16C and FMA, portable C), chosen at run time. They
 * agree within rounding (1e-5 for unit vectors), and each gives the same bits for the same row and
 * query wherever the row stands in a batch: a chunk's score does not depend on who asked for it.
 *
 * All lengths are padded: multiples of MED_DENSE_LANE values, what lies beyond the dimension being
 * zero in rows and queries alike, so that no kernel has a tail. Rows are 64-byte aligned. */
#pragma once

#include "common/cpu.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MED_DENSE_LANE 32u /* fp16 values in 64 bytes */

static inline uint32_t med_dense_padded(uint32_t dim)
{
    return (dim + MED_DENSE_LANE - 1) / MED_DENSE_LANE * MED_DENSE_LANE;
}

struct med_dense_kernels {
    float (*dot)(const uint16_t *row, const float *query, size_t padded);
    /* Four rows in one pass over the query. */
    void (*dot4)(
        const uint16_t *const rows[4], const float *query, size_t padded, float ret_scores[4]);
    float (*dot_rows)(const uint16_t *a, const uint16_t *b, size_t padded);
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

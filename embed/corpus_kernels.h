/* The inner loops of the corpus encoder, one table per CPU level.
 *
 * Every level gives the same bits: sums run over rows in the order given, element by element,
 * products are rounded before they are added (this file is compiled without contraction to fused
 * operations), and reductions always use 16 partial sums. An index built on one machine therefore
 * answers the same on another. `dim` is a multiple of MED_CORPUS_LANES throughout; pointers need no
 * alignment beyond their type. */
#pragma once

#include "common/cpu.h"

#include <stddef.h>
#include <stdint.h>

#define MED_CORPUS_LANES 16

/* One step of Adam (Kingma and Ba 2015) with the bias corrections already folded in. */
struct med_adam {
    float rate; /* learning rate / (1 - beta1^step) */
    float beta1, beta2;
    float second_scale; /* 1 / (1 - beta2^step) */
};

struct med_corpus_kernels {
    /* sum[dim] += weights[i] * rows[ids[i]], i = 0..count-1; rows of half floats or of floats. */
    void (*add_half_rows)(const uint16_t *rows, size_t dim, const uint32_t *ids,
        const float *weights, size_t count, float *sum);
    void (*add_float_rows)(const float *rows, size_t dim, const uint32_t *ids, const float *weights,
        size_t count, float *sum);
    float (*dot)(const float *a, const float *b, size_t dim);
    /* Moves `row` against `gradient`, keeping the two moments. */
    void (*adam)(float *row, float *first, float *second, const float *gradient, size_t dim,
        const struct med_adam *step);
};

/* Never a level above what the processor can do. */
const struct med_corpus_kernels *med_corpus_kernels(enum med_cpu level);

/* 1 + ln(count) from 1 upwards, count itself below (so that a field weight of .5 counts half); the
 * same bits everywhere, which libm does not promise. */
float med_corpus_tf_weight(float count);

float med_half_to_float(uint16_t half);
uint16_t med_float_to_half(float value); /* nearest, ties to even; beyond the range: infinity */

/* Is the difference between two rankings more than chance? Fisher's randomisation test for paired
 * samples, as Smucker, Allan and Carterette (2007) recommend it for retrieval: if neither ranking
 * were better, each query's difference could as well have had the other sign. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define MED_RANDOMIZATION_ROUNDS 10000u
#define MED_RANDOMIZATION_SEED 1u

struct med_paired_test {
    double difference; /* mean of b - a */
    double p;          /* two-sided: a mean difference at least as far from 0 by chance alone */
};

/* `rounds` random sign patterns from `seed`; the observed one counts as one of them, so that p is
 * never 0. Where all patterns are no more than that, each is tried once and p is exact. The same
 * arguments give the same p on every machine. differences = b - a per query; it is reordered. */
struct med_paired_test med_paired_randomization(
    double *differences, size_t count, unsigned rounds, uint64_t seed);

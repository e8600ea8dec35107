/* A small seeded generator (xoshiro256**, Blackman and Vigna 2018): the same numbers on every
 * machine. Not for secrets. */
#pragma once

#include <stdint.h>

struct med_rng {
    uint64_t s[4];
};

void med_rng_seed(struct med_rng *rng, uint64_t seed);
uint64_t med_rng_u64(struct med_rng *rng);
uint64_t med_rng_below(struct med_rng *rng, uint64_t bound); /* uniform in [0, bound), bound > 0 */
double med_rng_unit(struct med_rng *rng);                    /* uniform in [0, 1) */
double med_rng_normal(struct med_rng *rng);                  /* mean 0, variance 1 */

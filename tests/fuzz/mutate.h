/* Inputs for those who have no libFuzzer: seeds and random changes to them, the same for the same
 * random numbers. */
#pragma once

#include "common/rng.h"
#include "tests/fuzz/targets.h"

struct fuzz_pool {
    struct med_str *items; /* owned copies */
    size_t count, cap;
};
void fuzz_pool_free(struct fuzz_pool *pool);

/* A seed, or a window of a long one, with some changes, at most bytes_max long, into out (reset
 * first). An empty pool gives random bytes. */
void fuzz_mutate(
    const struct fuzz_pool *pool, struct med_rng *rng, size_t bytes_max, struct med_buf *out);

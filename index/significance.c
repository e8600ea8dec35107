#include "index/significance.h"

#include "common/rng.h"

#include <math.h>

/* Sums in another order differ in their last bits: an equally extreme pattern must not count as a
 * smaller one. */
#define RELATIVE_TOLERANCE 1e-12

/* A query that both rankings do equally well has no sign to flip: only the others are needed. */
static size_t keep_changed(double *differences, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (differences[i] != 0) differences[kept++] = differences[i];
    }
    return kept;
}

/* Bit i of the pattern set = the sign of difference i is turned. */
static double sum_flipped(const double *differences, size_t count, uint64_t pattern)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += pattern >> i & 1 ? -differences[i] : differences[i];
    return sum;
}

static double random_sum(const double *differences, size_t count, struct med_rng *rng)
{
    double sum = 0;
    for (size_t begin = 0; begin < count; begin += 64) {
        size_t n = count - begin < 64 ? count - begin : 64;
        sum += sum_flipped(differences + begin, n, med_rng_u64(rng));
    }
    return sum;
}

struct med_paired_test med_paired_randomization(
    double *differences, size_t count, unsigned rounds, uint64_t seed)
{
    struct med_paired_test test = {.p = 1};
    double sum = 0, size = 0;
    for (size_t i = 0; i < count; i++) {
        sum += differences[i];
        size += fabs(differences[i]);
    }
    if (count) test.difference = sum / (double)count;
    size_t changed = keep_changed(differences, count);
    if (changed == 0) return test;
    double bar = fabs(sum) - size * RELATIVE_TOLERANCE;
    uint64_t extreme = 0, patterns = changed < 32 ? 1ull << changed : UINT64_MAX;
    if (patterns <= rounds) {
        for (uint64_t pattern = 0; pattern < patterns; pattern++)
            extreme += fabs(sum_flipped(differences, changed, pattern)) >= bar;
        test.p = (double)extreme / (double)patterns;
        return test;
    }
    struct med_rng rng;
    med_rng_seed(&rng, seed);
    for (unsigned i = 0; i < rounds; i++)
        extreme += fabs(random_sum(differences, changed, &rng)) >= bar;
    test.p = (double)(extreme + 1) / ((double)rounds + 1);
    return test;
}

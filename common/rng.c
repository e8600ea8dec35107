/* xoshiro256** by David Blackman and Sebastiano Vigna ("Scrambled linear pseudorandom number
 * generators", 2018), seeded through splitmix64 as its authors recommend. */
#include "common/rng.h"

#include <assert.h>
#include <math.h>

static uint64_t rotl(uint64_t x, unsigned k)
{
    return x << k | x >> (64 - k);
}

void med_rng_seed(struct med_rng *rng, uint64_t seed)
{
    for (unsigned i = 0; i < 4; i++) {
        uint64_t z = seed += 0x9e3779b97f4a7c15u;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        rng->s[i] = z ^ z >> 31;
    }
}

uint64_t med_rng_u64(struct med_rng *rng)
{
    uint64_t *s = rng->s;
    uint64_t result = rotl(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

/* Multiply and shift with rejection (Lemire 2019): no bias and hardly ever a division. */
uint64_t med_rng_below(struct med_rng *rng, uint64_t bound)
{
    assert(bound > 0);
    __extension__ typedef unsigned __int128 u128;
    u128 product = (u128)med_rng_u64(rng) * bound;
    if ((uint64_t)product < bound) {
        uint64_t threshold = (0 - bound) % bound;
        while ((uint64_t)product < threshold) product = (u128)med_rng_u64(rng) * bound;
    }
    return (uint64_t)(product >> 64);
}

double med_rng_unit(struct med_rng *rng)
{
    return (double)(med_rng_u64(rng) >> 11) * 0x1.0p-53;
}

/* Marsaglia's polar method. The twin value is thrown away, so that the state is only the four
 * words. */
double med_rng_normal(struct med_rng *rng)
{
    double x, y, square;
    do {
        x = 2 * med_rng_unit(rng) - 1;
        y = 2 * med_rng_unit(rng) - 1;
        square = x * x + y * y;
    } while (square >= 1 || square <= 0);
    return x * sqrt(-2 * log(square) / square);
}

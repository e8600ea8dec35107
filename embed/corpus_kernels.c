/* Weighted sums of rows, the whole cost of encoding a text.
 *
 * A row of 256 half floats is 512 bytes, and the rows of a text lie anywhere in a table of up to a
 * few hundred MiB, so that the kernels keep all sums of a block in registers and fetch a few rows
 * ahead. Bodies are written once over GCC's vector types and compiled for each level; only the
 * conversion of half floats needs intrinsics. */
#include "embed/corpus_kernels.h"

#include <math.h>
#include <string.h>

#if defined(__x86_64__)
#define HAVE_X86 1
#include <immintrin.h>
#endif

#define ROWS_AHEAD 3
#define CACHE_LINE 64
#define INLINE static inline __attribute__((always_inline))

typedef float lanes __attribute__((vector_size(4 * MED_CORPUS_LANES), aligned(4), may_alias));

/* --- half floats --- */

/* The bits of a half, moved into a float's places, are the value times 2^-112: subnormals too. */
INLINE float widen(uint16_t half)
{
    uint32_t magnitude = (uint32_t)(half & 0x7fffu) << 13, sign = (uint32_t)(half & 0x8000u) << 16;
    uint32_t special = (magnitude | 0x7f800000u) | sign, bits; /* infinity, NaN */
    float value;
    memcpy(&value, &magnitude, sizeof value);
    value *= 0x1p112f;
    memcpy(&bits, &value, sizeof bits);
    bits = magnitude >= 0x0f800000u ? special : bits | sign;
    memcpy(&value, &bits, sizeof value);
    return value;
}

float med_half_to_float(uint16_t half)
{
    return widen(half);
}

uint16_t med_float_to_half(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
    uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return (uint16_t)(sign | 0x7e00u); /* NaN */
    if (magnitude >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u);
    if (magnitude < 0x38800000u) { /* below 2^-14: adding 0.5 rounds to a multiple of 2^-24 */
        float small;
        memcpy(&small, &magnitude, sizeof small);
        small += 0.5f;
        memcpy(&bits, &small, sizeof bits);
        return (uint16_t)(sign | (bits - 0x3f000000u));
    }
    uint32_t odd = magnitude >> 13 & 1u;
    return (uint16_t)(sign | (magnitude - ((127u - 15u) << 23) + 0xfffu + odd) >> 13);
}

/* --- term frequency --- */

float med_corpus_tf_weight(float count)
{
    if (!(count > 1)) return count;
    if (isinf(count)) count = 0x1p126f;
    /* count = m * 2^e with m in [sqrt(1/2), sqrt(2)), ln m = 2 artanh((m - 1) / (m + 1)). */
    int exponent;
    double m = frexp((double)count, &exponent);
    if (m < 0.70710678118654752) {
        m *= 2;
        exponent--;
    }
    double s = (m - 1) / (m + 1), square = s * s, series = 0;
    for (int k = 15; k >= 1; k -= 2) series = series * square + 1.0 / k;
    return (float)(1 + 2 * s * series + exponent * 0.69314718055994531);
}

/* --- bodies --- */

/* The sums of `blocks` x 16 columns, from column `column` on. */
INLINE void add_float_block(const float *rows, size_t dim, size_t column, const uint32_t *ids,
    const float *weights, size_t count, float *sum, const unsigned blocks)
{
    lanes acc[16];
#pragma GCC unroll 16
    for (unsigned b = 0; b < blocks; b++) memcpy(&acc[b], sum + column + 16 * b, sizeof acc[b]);
    for (size_t i = 0; i < count; i++) {
        if (i + ROWS_AHEAD < count) {
            const float *ahead = rows + (size_t)ids[i + ROWS_AHEAD] * dim + column;
#pragma GCC unroll 16
            for (unsigned b = 0; b < blocks; b++) __builtin_prefetch(ahead + 16 * b);
        }
        const float *row = rows + (size_t)ids[i] * dim + column;
        float weight = weights[i];
#pragma GCC unroll 16
        for (unsigned b = 0; b < blocks; b++) acc[b] += weight * *(const lanes *)(row + 16 * b);
    }
#pragma GCC unroll 16
    for (unsigned b = 0; b < blocks; b++) memcpy(sum + column + 16 * b, &acc[b], sizeof acc[b]);
}

INLINE void add_float_body(const float *rows, size_t dim, const uint32_t *ids, const float *weights,
    size_t count, float *sum, const unsigned blocks)
{
    size_t column = 0;
    for (; column + 16 * blocks <= dim; column += 16 * blocks)
        add_float_block(rows, dim, column, ids, weights, count, sum, blocks);
    for (; column < dim; column += 16)
        add_float_block(rows, dim, column, ids, weights, count, sum, 1);
}

INLINE float dot_body(const float *a, const float *b, size_t dim)
{
    lanes acc = {0};
    for (size_t i = 0; i < dim; i += 16) acc += *(const lanes *)(a + i) * *(const lanes *)(b + i);
    float sum = 0;
    for (unsigned i = 0; i < 16; i++) sum += acc[i];
    return sum;
}

INLINE void adam_body(float *restrict row, float *restrict first, float *restrict second,
    const float *restrict gradient, size_t dim, const struct med_adam *step)
{
    const float rate = step->rate, beta1 = step->beta1, beta2 = step->beta2;
    const float second_scale = step->second_scale;
    for (size_t i = 0; i < dim; i++) {
        float g = gradient[i];
        float m = beta1 * first[i] + (1 - beta1) * g;
        float v = beta2 * second[i] + (1 - beta2) * g * g;
        first[i] = m;
        second[i] = v;
        row[i] -= rate * m / (sqrtf(v * second_scale) + 1e-8f);
    }
}

/* --- portable --- */

/* Vectors of four: what every processor with vectors has. */
typedef uint16_t halves __attribute__((vector_size(8), aligned(2), may_alias));
typedef int32_t words __attribute__((vector_size(16)));
typedef float quads __attribute__((vector_size(16), aligned(4), may_alias));

/* widen() for four. */
INLINE quads widen_quad(const uint16_t *row)
{
    words bits = __builtin_convertvector(*(const halves *)row, words);
    words magnitude = (bits & 0x7fff) << 13, sign = (bits & 0x8000) << 16;
    words special = magnitude >= 0x0f800000;
    words value = (words)((quads)magnitude * 0x1p112f);
    return (quads)((value & ~special) | ((magnitude | 0x7f800000) & special) | sign);
}

INLINE void half_block_portable(const uint16_t *rows, size_t dim, size_t column,
    const uint32_t *ids, const float *weights, size_t count, float *sum, const unsigned blocks)
{
    quads acc[8];
#pragma GCC unroll 8
    for (unsigned b = 0; b < blocks; b++) acc[b] = *(const quads *)(sum + column + 4 * b);
    for (size_t i = 0; i < count; i++) {
        if (i + ROWS_AHEAD < count)
            __builtin_prefetch(rows + (size_t)ids[i + ROWS_AHEAD] * dim + column);
        const uint16_t *row = rows + (size_t)ids[i] * dim + column;
#pragma GCC unroll 8
        for (unsigned b = 0; b < blocks; b++) acc[b] += weights[i] * widen_quad(row + 4 * b);
    }
#pragma GCC unroll 8
    for (unsigned b = 0; b < blocks; b++) *(quads *)(sum + column + 4 * b) = acc[b];
}

static void add_half_portable(const uint16_t *rows, size_t dim, const uint32_t *ids,
    const float *weights, size_t count, float *sum)
{
    size_t column = 0;
    for (; column + 32 <= dim; column += 32)
        half_block_portable(rows, dim, column, ids, weights, count, sum, 8);
    for (; column < dim; column += 16)
        half_block_portable(rows, dim, column, ids, weights, count, sum, 4);
}

#define INSTANCE(level, attribute, blocks)                                                         \
    attribute static void add_float_##level(const float *rows, size_t dim, const uint32_t *ids,    \
        const float *weights, size_t count, float *sum)                                            \
    {                                                                                              \
        add_float_body(rows, dim, ids, weights, count, sum, blocks);                               \
    }                                                                                              \
    attribute static float dot_##level(const float *a, const float *b, size_t dim)                 \
    {                                                                                              \
        return dot_body(a, b, dim);                                                                \
    }                                                                                              \
    attribute static void adam_##level(float *row, float *first, float *second,                    \
        const float *gradient, size_t dim, const struct med_adam *step)                            \
    {                                                                                              \
        adam_body(row, first, second, gradient, dim, step);                                        \
    }                                                                                              \
    static const struct med_corpus_kernels level##_kernels = {                                     \
        .add_half_rows = add_half_##level,                                                         \
        .add_float_rows = add_float_##level,                                                       \
        .dot = dot_##level,                                                                        \
        .adam = adam_##level,                                                                      \
    }

INSTANCE(portable, , 2);

/* --- AVX2 with F16C --- */

#if HAVE_X86
#define AVX2 __attribute__((target("avx2,fma,f16c")))
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,fma,f16c")))

AVX2 INLINE void half_block_avx2(const uint16_t *rows, size_t dim, size_t column,
    const uint32_t *ids, const float *weights, size_t count, float *sum, const unsigned blocks)
{
    __m256 acc[8];
#pragma GCC unroll 8
    for (unsigned b = 0; b < blocks; b++) acc[b] = _mm256_loadu_ps(sum + column + 8 * b);
    for (size_t i = 0; i < count; i++) {
        if (i + ROWS_AHEAD < count) {
            const uint16_t *ahead = rows + (size_t)ids[i + ROWS_AHEAD] * dim + column;
            __builtin_prefetch(ahead);
            if (blocks > 4) __builtin_prefetch(ahead + CACHE_LINE / sizeof *ahead);
        }
        const uint16_t *row = rows + (size_t)ids[i] * dim + column;
        __m256 weight = _mm256_set1_ps(weights[i]);
#pragma GCC unroll 8
        for (unsigned b = 0; b < blocks; b++) {
            __m256 x =
                _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(row + 8 * b)));
            acc[b] = _mm256_add_ps(acc[b], _mm256_mul_ps(weight, x));
        }
    }
#pragma GCC unroll 8
    for (unsigned b = 0; b < blocks; b++) _mm256_storeu_ps(sum + column + 8 * b, acc[b]);
}

AVX2 static void add_half_avx2(const uint16_t *rows, size_t dim, const uint32_t *ids,
    const float *weights, size_t count, float *sum)
{
    size_t column = 0;
    for (; column + 64 <= dim; column += 64)
        half_block_avx2(rows, dim, column, ids, weights, count, sum, 8);
    for (; column < dim; column += 16)
        half_block_avx2(rows, dim, column, ids, weights, count, sum, 2);
}

INSTANCE(avx2, AVX2, 4);

/* --- AVX-512 --- */

AVX512 INLINE void half_block_avx512(const uint16_t *rows, size_t dim, size_t column,
    const uint32_t *ids, const float *weights, size_t count, float *sum, const unsigned blocks)
{
    __m512 acc[16];
#pragma GCC unroll 16
    for (unsigned b = 0; b < blocks; b++) acc[b] = _mm512_loadu_ps(sum + column + 16 * b);
    for (size_t i = 0; i < count; i++) {
        if (i + ROWS_AHEAD < count) {
            const uint16_t *ahead = rows + (size_t)ids[i + ROWS_AHEAD] * dim + column;
#pragma GCC unroll 8
            for (unsigned b = 0; b < blocks; b += 2) __builtin_prefetch(ahead + 16 * b);
        }
        const uint16_t *row = rows + (size_t)ids[i] * dim + column;
        __m512 weight = _mm512_set1_ps(weights[i]);
#pragma GCC unroll 16
        for (unsigned b = 0; b < blocks; b++) {
            __m512 x =
                _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)(row + 16 * b)));
            acc[b] = _mm512_add_ps(acc[b], _mm512_mul_ps(weight, x));
        }
    }
#pragma GCC unroll 16
    for (unsigned b = 0; b < blocks; b++) _mm512_storeu_ps(sum + column + 16 * b, acc[b]);
}

AVX512 static void add_half_avx512(const uint16_t *rows, size_t dim, const uint32_t *ids,
    const float *weights, size_t count, float *sum)
{
    size_t column = 0;
    for (; column + 256 <= dim; column += 256)
        half_block_avx512(rows, dim, column, ids, weights, count, sum, 16);
    for (; column + 64 <= dim; column += 64)
        half_block_avx512(rows, dim, column, ids, weights, count, sum, 4);
    for (; column < dim; column += 16)
        half_block_avx512(rows, dim, column, ids, weights, count, sum, 1);
}

INSTANCE(avx512, AVX512, 16);
#endif

const struct med_corpus_kernels *med_corpus_kernels(enum med_cpu level)
{
    enum med_cpu best = med_cpu_level();
    if (level > best) level = best;
    switch (level) {
#if HAVE_X86
    case MED_CPU_AVX512: return &avx512_kernels;
    case MED_CPU_AVX2: return &avx2_kernels;
#else
    case MED_CPU_AVX512:
    case MED_CPU_AVX2:
#endif
    case MED_CPU_PORTABLE: break;
    }
    return &portable_kernels;
}

/* Each level keeps its sums of halves in a fixed number of vector registers per row and adds them
 * up in a fixed order; the batch of four is the same computation four times, side by side. The
 * functions carry their instruction set as an attribute, so that the rest of the binary runs
 * anywhere. */
#include "index/dense/kernels.h"

#include <string.h>

/* --- portable --- */

/* Multiplying by 2^112 moves the exponent's bias from 15 to 127 and normalises subnormal numbers on
 * the way. */
static inline float float_of_half(uint16_t h)
{
    uint32_t bits = (uint32_t)(h & 0x7fff) << 13;
    float magnitude;
    memcpy(&magnitude, &bits, sizeof bits);
    magnitude *= 0x1p112f;
    memcpy(&bits, &magnitude, sizeof bits);
    if ((h & 0x7c00) == 0x7c00) bits |= 0x7f800000; /* infinities and NaN */
    bits |= (uint32_t)(h & 0x8000) << 16;
    float value;
    memcpy(&value, &bits, sizeof bits);
    return value;
}

static inline uint16_t half_of_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t sign = bits >> 16 & 0x8000;
    bits &= 0x7fffffff;
    if (bits > 0x7f800000) return (uint16_t)(sign | 0x7e00);  /* NaN */
    if (bits >= 0x477ff000) return (uint16_t)(sign | 0x7c00); /* rounds to beyond 65504 */
    if (bits < 0x38800000) {                                  /* subnormal in fp16, or zero */
        /* Adding .5 leaves the value as a multiple of 2^-24 in the low bits, rounded by the
         * addition. */
        float shifted;
        memcpy(&shifted, &bits, sizeof bits);
        shifted += 0.5f;
        memcpy(&bits, &shifted, sizeof bits);
        return (uint16_t)(sign | (bits - 0x3f000000));
    }
    uint32_t odd = bits >> 13 & 1;
    return (uint16_t)(sign | (bits - 0x38000000 + 0xfff + odd) >> 13);
}

#define PORTABLE_LANES 8

static float sum_lanes(const float sums[PORTABLE_LANES])
{
    return ((sums[0] + sums[4]) + (sums[2] + sums[6])) +
           ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

static float half_dot_portable(const uint16_t *row, const float *query, size_t padded)
{
    float sums[PORTABLE_LANES] = {0};
    for (size_t i = 0; i < padded; i += PORTABLE_LANES) {
        for (size_t l = 0; l < PORTABLE_LANES; l++) {
            sums[l] += float_of_half(row[i + l]) * query[i + l];
        }
    }
    return sum_lanes(sums);
}

static void half_dot4_portable(
    const uint16_t *const rows[4], const float *query, size_t padded, float ret_scores[4])
{
    for (int r = 0; r < 4; r++) ret_scores[r] = half_dot_portable(rows[r], query, padded);
}

static void to_half_portable(const float *from, uint16_t *ret_to, size_t count)
{
    for (size_t i = 0; i < count; i++) ret_to[i] = half_of_float(from[i]);
}

static void to_float_portable(const uint16_t *from, float *ret_to, size_t count)
{
    for (size_t i = 0; i < count; i++) ret_to[i] = float_of_half(from[i]);
}

static int32_t code_dot_portable(const uint8_t *codes, const int8_t *query, size_t padded)
{
    int32_t sum = 0;
    for (size_t i = 0; i < padded; i++) sum += codes[i] * query[i];
    return sum;
}

static void code_dot4_portable(
    const uint8_t *const codes[4], const int8_t *query, size_t padded, int32_t ret_sums[4])
{
    for (int r = 0; r < 4; r++) ret_sums[r] = code_dot_portable(codes[r], query, padded);
}

static const struct med_dense_kernels portable = {
    .code_dot = code_dot_portable,
    .code_dot4 = code_dot4_portable,
    .half_dot = half_dot_portable,
    .half_dot4 = half_dot4_portable,
    .to_half = to_half_portable,
    .to_float = to_float_portable,
};

#if defined(__x86_64__)
#include <immintrin.h>

/* --- AVX2 --- */

#define AVX2 __attribute__((target("avx2,fma,f16c")))

AVX2 static inline __m256 load8(const uint16_t *row)
{
    return _mm256_cvtph_ps(_mm_load_si128((const __m128i *)row));
}

AVX2 static inline float sum8(__m256 a, __m256 b)
{
    __m256 both = _mm256_add_ps(a, b);
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(both), _mm256_extractf128_ps(both, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    x = _mm_add_ss(x, _mm_movehdup_ps(x));
    return _mm_cvtss_f32(x);
}

AVX2 static float half_dot_avx2(const uint16_t *row, const float *query, size_t padded)
{
    __m256 a = _mm256_setzero_ps(), b = a;
    for (size_t i = 0; i < padded; i += 16) {
        a = _mm256_fmadd_ps(load8(row + i), _mm256_loadu_ps(query + i), a);
        b = _mm256_fmadd_ps(load8(row + i + 8), _mm256_loadu_ps(query + i + 8), b);
    }
    return sum8(a, b);
}

AVX2 static void half_dot4_avx2(
    const uint16_t *const rows[4], const float *query, size_t padded, float ret_scores[4])
{
    const uint16_t *r0 = rows[0], *r1 = rows[1], *r2 = rows[2], *r3 = rows[3];
    __m256 a0 = _mm256_setzero_ps(), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
    for (size_t i = 0; i < padded; i += 16) {
        __m256 q = _mm256_loadu_ps(query + i);
        a0 = _mm256_fmadd_ps(load8(r0 + i), q, a0);
        a1 = _mm256_fmadd_ps(load8(r1 + i), q, a1);
        a2 = _mm256_fmadd_ps(load8(r2 + i), q, a2);
        a3 = _mm256_fmadd_ps(load8(r3 + i), q, a3);
        q = _mm256_loadu_ps(query + i + 8);
        b0 = _mm256_fmadd_ps(load8(r0 + i + 8), q, b0);
        b1 = _mm256_fmadd_ps(load8(r1 + i + 8), q, b1);
        b2 = _mm256_fmadd_ps(load8(r2 + i + 8), q, b2);
        b3 = _mm256_fmadd_ps(load8(r3 + i + 8), q, b3);
    }
    ret_scores[0] = sum8(a0, b0);
    ret_scores[1] = sum8(a1, b1);
    ret_scores[2] = sum8(a2, b2);
    ret_scores[3] = sum8(a3, b3);
}

AVX2 static void to_half_avx2(const float *from, uint16_t *ret_to, size_t count)
{
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        __m128i half = _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT);
        _mm_storeu_si128((__m128i *)(ret_to + i), half);
    }
    to_half_portable(from + i, ret_to + i, count - i);
}

AVX2 static void to_float_avx2(const uint16_t *from, float *ret_to, size_t count)
{
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        __m128i half = _mm_loadu_si128((const __m128i *)(from + i));
        _mm256_storeu_ps(ret_to + i, _mm256_cvtph_ps(half));
    }
    to_float_portable(from + i, ret_to + i, count - i);
}

/* 16 codes are widened to 16 bits: 255 * 127 twice would saturate the sums of bytes. */
AVX2 static inline __m256i madd16(__m256i sum, const uint8_t *codes, __m256i query)
{
    __m256i wide = _mm256_cvtepu8_epi16(_mm_load_si128((const __m128i *)codes));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(wide, query));
}

AVX2 static inline __m256i query16(const int8_t *query)
{
    return _mm256_cvtepi8_epi16(_mm_load_si128((const __m128i *)query));
}

AVX2 static inline int32_t total8(__m256i sum)
{
    __m128i x = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    x = _mm_add_epi32(x, _mm_shuffle_epi32(x, 0x4e));
    x = _mm_add_epi32(x, _mm_shuffle_epi32(x, 0xb1));
    return _mm_cvtsi128_si32(x);
}

AVX2 static int32_t code_dot_avx2(const uint8_t *codes, const int8_t *query, size_t padded)
{
    __m256i a = _mm256_setzero_si256(), b = a;
    for (size_t i = 0; i < padded; i += 32) {
        a = madd16(a, codes + i, query16(query + i));
        b = madd16(b, codes + i + 16, query16(query + i + 16));
    }
    return total8(_mm256_add_epi32(a, b));
}

AVX2 static void code_dot4_avx2(
    const uint8_t *const codes[4], const int8_t *query, size_t padded, int32_t ret_sums[4])
{
    const uint8_t *r0 = codes[0], *r1 = codes[1], *r2 = codes[2], *r3 = codes[3];
    __m256i s0 = _mm256_setzero_si256(), s1 = s0, s2 = s0, s3 = s0;
    for (size_t i = 0; i < padded; i += 16) {
        __m256i q = query16(query + i);
        s0 = madd16(s0, r0 + i, q);
        s1 = madd16(s1, r1 + i, q);
        s2 = madd16(s2, r2 + i, q);
        s3 = madd16(s3, r3 + i, q);
    }
    ret_sums[0] = total8(s0);
    ret_sums[1] = total8(s1);
    ret_sums[2] = total8(s2);
    ret_sums[3] = total8(s3);
}

static const struct med_dense_kernels avx2 = {
    .code_dot = code_dot_avx2,
    .code_dot4 = code_dot4_avx2,
    .half_dot = half_dot_avx2,
    .half_dot4 = half_dot4_avx2,
    .to_half = to_half_avx2,
    .to_float = to_float_avx2,
};

/* --- AVX-512 --- */

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")))

AVX512 static inline __m512 load16(const uint16_t *row)
{
    return _mm512_cvtph_ps(_mm256_load_si256((const __m256i *)row));
}

AVX512 static inline float sum16(__m512 a, __m512 b)
{
    return _mm512_reduce_add_ps(_mm512_add_ps(a, b));
}

AVX512 static float half_dot_avx512(const uint16_t *row, const float *query, size_t padded)
{
    __m512 a = _mm512_setzero_ps(), b = a;
    for (size_t i = 0; i < padded; i += 32) {
        a = _mm512_fmadd_ps(load16(row + i), _mm512_loadu_ps(query + i), a);
        b = _mm512_fmadd_ps(load16(row + i + 16), _mm512_loadu_ps(query + i + 16), b);
    }
    return sum16(a, b);
}

AVX512 static void half_dot4_avx512(
    const uint16_t *const rows[4], const float *query, size_t padded, float ret_scores[4])
{
    const uint16_t *r0 = rows[0], *r1 = rows[1], *r2 = rows[2], *r3 = rows[3];
    __m512 a0 = _mm512_setzero_ps(), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
    for (size_t i = 0; i < padded; i += 32) {
        __m512 q = _mm512_loadu_ps(query + i);
        a0 = _mm512_fmadd_ps(load16(r0 + i), q, a0);
        a1 = _mm512_fmadd_ps(load16(r1 + i), q, a1);
        a2 = _mm512_fmadd_ps(load16(r2 + i), q, a2);
        a3 = _mm512_fmadd_ps(load16(r3 + i), q, a3);
        q = _mm512_loadu_ps(query + i + 16);
        b0 = _mm512_fmadd_ps(load16(r0 + i + 16), q, b0);
        b1 = _mm512_fmadd_ps(load16(r1 + i + 16), q, b1);
        b2 = _mm512_fmadd_ps(load16(r2 + i + 16), q, b2);
        b3 = _mm512_fmadd_ps(load16(r3 + i + 16), q, b3);
    }
    ret_scores[0] = sum16(a0, b0);
    ret_scores[1] = sum16(a1, b1);
    ret_scores[2] = sum16(a2, b2);
    ret_scores[3] = sum16(a3, b3);
}

static const struct med_dense_kernels avx512 = {
    .code_dot = code_dot_avx2, /* without VNNI: wider registers gain little */
    .code_dot4 = code_dot4_avx2,
    .half_dot = half_dot_avx512,
    .half_dot4 = half_dot4_avx512,
    .to_half = to_half_avx2, /* written once per vector: not worth another */
    .to_float = to_float_avx2,
};

/* --- AVX-512 with VNNI: four products of bytes and their sum in one step --- */

#define VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")))

VNNI static inline __m512i load64(const void *bytes)
{
    return _mm512_load_si512(bytes);
}

VNNI static int32_t code_dot_vnni(const uint8_t *codes, const int8_t *query, size_t padded)
{
    __m512i sum = _mm512_setzero_si512();
    for (size_t i = 0; i < padded; i += 64)
        sum = _mm512_dpbusd_epi32(sum, load64(codes + i), load64(query + i));
    return _mm512_reduce_add_epi32(sum);
}

VNNI static inline __m256i fold16(__m512i sum)
{
    return _mm256_add_epi32(_mm512_castsi512_si256(sum), _mm512_extracti64x4_epi64(sum, 1));
}

VNNI static void code_dot4_vnni(
    const uint8_t *const codes[4], const int8_t *query, size_t padded, int32_t ret_sums[4])
{
    const uint8_t *r0 = codes[0], *r1 = codes[1], *r2 = codes[2], *r3 = codes[3];
    __m512i s0 = _mm512_setzero_si512(), s1 = s0, s2 = s0, s3 = s0;
    for (size_t i = 0; i < padded; i += 64) {
        __m512i q = load64(query + i);
        s0 = _mm512_dpbusd_epi32(s0, load64(r0 + i), q);
        s1 = _mm512_dpbusd_epi32(s1, load64(r1 + i), q);
        s2 = _mm512_dpbusd_epi32(s2, load64(r2 + i), q);
        s3 = _mm512_dpbusd_epi32(s3, load64(r3 + i), q);
    }
    __m256i t01 = _mm256_hadd_epi32(fold16(s0), fold16(s1));
    __m256i t23 = _mm256_hadd_epi32(fold16(s2), fold16(s3));
    __m256i t = _mm256_hadd_epi32(t01, t23);
    __m128i sums = _mm_add_epi32(_mm256_castsi256_si128(t), _mm256_extracti128_si256(t, 1));
    _mm_storeu_si128((__m128i *)ret_sums, sums);
}

static const struct med_dense_kernels vnni = {
    .code_dot = code_dot_vnni,
    .code_dot4 = code_dot4_vnni,
    .half_dot = half_dot_avx512,
    .half_dot4 = half_dot4_avx512,
    .to_half = to_half_avx2,
    .to_float = to_float_avx2,
};
#endif

const struct med_dense_kernels *med_dense_kernels_at(enum med_cpu level)
{
    if (level > med_cpu_level()) return NULL;
    switch (level) {
#if defined(__x86_64__)
    case MED_CPU_AVX512: return __builtin_cpu_supports("avx512vnni") ? &vnni : &avx512;
    case MED_CPU_AVX2: return &avx2;
#else
    case MED_CPU_AVX512:
    case MED_CPU_AVX2: return NULL;
#endif
    case MED_CPU_PORTABLE: return &portable;
    }
    return NULL;
}

const struct med_dense_kernels *med_dense_kernels_best(void)
{
    return med_dense_kernels_at(med_cpu_level());
}

/* Unpacking in four ways with the same results. In AVX2 eight values at a time are brought into
 * lanes by a byte shuffle (value j starts in byte j * bits / 8 of its group), shifted by j * bits %
 * 8 and masked: four bytes per lane are enough up to 25 bits, wider runs take the portable way.
 * AVX-512 does the same to sixteen where it has byte permutations (VBMI). */
#include "index/lexical/pack.h"

#include "common/cpu.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define LEX_SHUFFLE_BITS_MAX 24u /* also keeps base + sum of a block below 2^32 */
#endif

void lex_pack(const uint32_t *values, uint32_t count, uint32_t bits, uint8_t *out)
{
    uint64_t pending = 0;
    uint32_t pending_bits = 0;
    for (uint32_t i = 0; i < count; i++) {
        pending |= (uint64_t)values[i] << pending_bits;
        pending_bits += bits;
        for (; pending_bits >= 8; pending_bits -= 8, pending >>= 8) *out++ = (uint8_t)pending;
    }
    if (pending_bits) *out = (uint8_t)pending;
}

static uint64_t unpack_ids_portable(
    const uint8_t *in, uint32_t count, uint32_t bits, uint32_t base, uint32_t *ret_ids)
{
    uint64_t id =
        (uint64_t)(int64_t)(int32_t)base; /* ids are below 2^31; -1 comes before chunk 0 */
    for (uint32_t i = 0; i < count; i++) {
        id += (uint64_t)lex_unpack_one(in, bits, i) + 1;
        ret_ids[i] = (uint32_t)id;
    }
    return id;
}

static void unpack_plus_1_portable(
    const uint8_t *in, uint32_t count, uint32_t bits, uint32_t *ret_values)
{
    for (uint32_t i = 0; i < count; i++) ret_values[i] = lex_unpack_one(in, bits, i) + 1;
}

#if defined(__x86_64__)

struct shuffle {
    __m256i bytes, shifts, mask;
    size_t upper; /* where the 16 bytes of lanes 4..7 begin */
};

__attribute__((target("avx2"))) static inline struct shuffle shuffle_of(uint32_t bits)
{
    struct shuffle s;
    uint32_t upper_bits = 4 * bits & ~7u;
    int up = (int)upper_bits;
    __m256i at =
        _mm256_mullo_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32((int)bits));
    at = _mm256_sub_epi32(at, _mm256_setr_epi32(0, 0, 0, 0, up, up, up, up));
    s.bytes = _mm256_add_epi32(
        _mm256_mullo_epi32(_mm256_srli_epi32(at, 3), _mm256_set1_epi32(0x01010101)),
        _mm256_set1_epi32(0x03020100));
    s.shifts = _mm256_and_si256(at, _mm256_set1_epi32(7));
    s.mask = _mm256_set1_epi32((int)((1u << bits) - 1));
    s.upper = upper_bits / 8;
    return s;
}

__attribute__((target("avx2"))) static inline __m256i unpack_8(const uint8_t *in, struct shuffle s)
{
    __m256i v = _mm256_inserti128_si256(
        _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)in)),
        _mm_loadu_si128((const __m128i *)(const void *)(in + s.upper)), 1);
    v = _mm256_srlv_epi32(_mm256_shuffle_epi8(v, s.bytes), s.shifts);
    return _mm256_and_si256(v, s.mask);
}

__attribute__((target("avx2"))) static uint64_t unpack_ids_avx2(
    const uint8_t *in, uint32_t count, uint32_t bits, uint32_t base, uint32_t *ret_ids)
{
    struct shuffle s = shuffle_of(bits);
    __m256i carry = _mm256_set1_epi32((int)base);
    const __m256i ones = _mm256_set1_epi32(1), last = _mm256_set1_epi32(7);
    const __m256i low_last = _mm256_setr_epi32(3, 3, 3, 3, 3, 3, 3, 3);
    for (uint32_t i = 0; i < count; i += 8, in += bits) {
        __m256i v = _mm256_add_epi32(unpack_8(in, s), ones);
        v = _mm256_add_epi32(v, _mm256_slli_si256(v, 4));
        v = _mm256_add_epi32(v, _mm256_slli_si256(v, 8));
        __m256i low_sum = _mm256_permutevar8x32_epi32(v, low_last);
        v = _mm256_add_epi32(v, _mm256_blend_epi32(_mm256_setzero_si256(), low_sum, 0xF0));
        __m256i total = _mm256_permutevar8x32_epi32(v, last);
        v = _mm256_add_epi32(v, carry);
        carry = _mm256_add_epi32(carry, total);
        _mm256_storeu_si256((__m256i *)(void *)(ret_ids + i), v);
    }
    return ret_ids[count - 1];
}

__attribute__((target("avx2"))) static void unpack_plus_1_avx2(
    const uint8_t *in, uint32_t count, uint32_t bits, uint32_t *ret_values)
{
    struct shuffle s = shuffle_of(bits);
    const __m256i ones = _mm256_set1_epi32(1);
    for (uint32_t i = 0; i < count; i += 8, in += bits)
        _mm256_storeu_si256(
            (__m256i *)(void *)(ret_values + i), _mm256_add_epi32(unpack_8(in, s), ones));
}

/* Sixteen values at a time: they begin within the first 48 bytes. */
struct permutation {
    __m512i bytes, shifts, mask;
};

__attribute__((target("avx512f,avx512bw"))) static inline struct permutation permutation_of(
    uint32_t bits)
{
    struct permutation p;
    __m512i at =
        _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
            _mm512_set1_epi32((int)bits));
    p.bytes = _mm512_add_epi32(
        _mm512_mullo_epi32(_mm512_srli_epi32(at, 3), _mm512_set1_epi32(0x01010101)),
        _mm512_set1_epi32(0x03020100));
    p.shifts = _mm512_and_si512(at, _mm512_set1_epi32(7));
    p.mask = _mm512_set1_epi32((int)((1u << bits) - 1));
    return p;
}

__attribute__((target("avx512f,avx512bw,avx512vbmi"))) static inline __m512i unpack_16(
    const uint8_t *in, struct permutation p)
{
    __m512i v = _mm512_permutexvar_epi8(p.bytes, _mm512_loadu_si512(in));
    return _mm512_and_si512(_mm512_srlv_epi32(v, p.shifts), p.mask);
}

__attribute__((target("avx512f,avx512bw,avx512vbmi"))) static uint64_t unpack_ids_avx512(
    const uint8_t *in, uint32_t count, uint32_t bits, uint32_t base, uint32_t *ret_ids)
{
    struct permutation p = permutation_of(bits);
    const __m512i ones = _mm512_set1_epi32(1), last = _mm512_set1_epi32(15);
    const __m512i odd_lanes = _mm512_setr_epi32(0, 0, 0, 0, 3, 3, 3, 3, 0, 0, 0, 0, 11, 11, 11, 11);
    const __m512i half = _mm512_set1_epi32(7);
    __m512i carry = _mm512_set1_epi32((int)base);
    for (uint32_t i = 0; i < count; i += 16, in += 2 * bits) {
        __m512i v = _mm512_add_epi32(unpack_16(in, p), ones);
        v = _mm512_add_epi32(v, _mm512_bslli_epi128(v, 4));
        v = _mm512_add_epi32(v, _mm512_bslli_epi128(v, 8));
        v = _mm512_add_epi32(v, _mm512_maskz_permutexvar_epi32(0xF0F0, odd_lanes, v));
        v = _mm512_add_epi32(v, _mm512_maskz_permutexvar_epi32(0xFF00, half, v));
        __m512i total = _mm512_permutexvar_epi32(last, v);
        _mm512_storeu_si512(ret_ids + i, _mm512_add_epi32(v, carry));
        carry = _mm512_add_epi32(carry, total);
    }
    return ret_ids[count - 1];
}

__attribute__((target("avx512f,avx512bw,avx512vbmi"))) static void unpack_plus_1_avx512(
    const uint8_t *in, uint32_t count, uint32_t bits, uint32_t *ret_values)
{
    struct permutation p = permutation_of(bits);
    const __m512i ones = _mm512_set1_epi32(1);
    for (uint32_t i = 0; i < count; i += 16, in += 2 * bits)
        _mm512_storeu_si512(ret_values + i, _mm512_add_epi32(unpack_16(in, p), ones));
}

#endif

uint64_t lex_unpack_ids(
    const uint8_t *in, uint32_t count, uint32_t bits, uint32_t base, uint32_t *ret_ids)
{
#if defined(__x86_64__)
    if (bits <= LEX_SHUFFLE_BITS_MAX && med_cpu_has_vbmi())
        return unpack_ids_avx512(in, count, bits, base, ret_ids);
    if (bits <= LEX_SHUFFLE_BITS_MAX && med_cpu_level() >= MED_CPU_AVX2)
        return unpack_ids_avx2(in, count, bits, base, ret_ids);
#endif
    return unpack_ids_portable(in, count, bits, base, ret_ids);
}

void lex_unpack_plus_1(const uint8_t *in, uint32_t count, uint32_t bits, uint32_t *ret_values)
{
#if defined(__x86_64__)
    if (bits <= LEX_SHUFFLE_BITS_MAX && med_cpu_has_vbmi()) {
        unpack_plus_1_avx512(in, count, bits, ret_values);
        return;
    }
    if (bits <= LEX_SHUFFLE_BITS_MAX && med_cpu_level() >= MED_CPU_AVX2) {
        unpack_plus_1_avx2(in, count, bits, ret_values);
        return;
    }
#endif
    unpack_plus_1_portable(in, count, bits, ret_values);
}

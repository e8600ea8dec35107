#include "index/lexical/kernels.h"

#include "common/cpu.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

static size_t keep_portable(const uint32_t *ids, const uint32_t *values, size_t count, uint32_t cut,
    uint32_t *ret_ids, uint32_t *ret_values)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t id = ids[i], value = values[i];
        ret_ids[n] = id;
        ret_values[n] = value;
        n += value >= cut;
    }
    return n;
}

/* Bit i is set when group i, of 64, is touched. */
static inline uint64_t touched_bits(const uint8_t *touched)
{
    uint64_t bits = 0;
    for (unsigned i = 0; i < 8; i++) {
        uint64_t eight; /* bytes of 0 or 1: the product has them side by side in its highest byte */
        memcpy(&eight, touched + 8 * (size_t)i, sizeof(eight));
        bits |= (eight * 0x0102040810204080u >> 56) << (8 * i);
    }
    return bits;
}

static inline size_t extract_group_portable(
    uint32_t *values, uint32_t cut, uint32_t base, uint32_t *ids, uint32_t *sums, size_t n)
{
    for (uint32_t i = 0; i < LEX_GROUP; i++) {
        ids[n] = base + i;
        sums[n] = values[i];
        n += values[i] >= cut;
        values[i] = 0;
    }
    return n;
}

static size_t extract_portable(
    struct lex_sums *s, uint32_t cut, uint32_t base, uint32_t *ids, uint32_t *sums)
{
    size_t n = 0;
    for (uint32_t first = 0; first < LEX_GROUPS; first += 64)
        for (uint64_t bits = touched_bits(s->touched + first); bits; bits &= bits - 1) {
            uint32_t at = (first + (uint32_t)__builtin_ctzll(bits)) * LEX_GROUP;
            n = extract_group_portable(s->values + at, cut, base + at, ids, sums, n);
        }
    return n;
}

static size_t intersect_portable(const uint32_t *list, uint32_t *pos, const uint32_t *ids,
    size_t count, uint32_t *ret_which, uint32_t *ret_at)
{
    const uint32_t *at = list + *pos;
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t id = ids[i];
        while (at[7] < id) at += 8;
        while (*at < id) at++;
        ret_which[n] = (uint32_t)i;
        ret_at[n] = (uint32_t)(at - list);
        n += *at == id;
    }
    *pos = (uint32_t)(at - list);
    return n;
}

#if defined(__x86_64__)

__attribute__((target("avx2,bmi"))) static size_t extract_avx2(
    struct lex_sums *s, uint32_t cut, uint32_t base, uint32_t *ids, uint32_t *sums)
{
    const __m256i below = _mm256_set1_epi32((int)cut - 1), zero = _mm256_setzero_si256();
    size_t n = 0;
    for (uint32_t first = 0; first < LEX_GROUPS; first += 64)
        for (uint64_t bits = touched_bits(s->touched + first); bits; bits &= bits - 1) {
            uint32_t at = (first + (uint32_t)_tzcnt_u64(bits)) * LEX_GROUP;
            for (uint32_t end = at + LEX_GROUP; at < end; at += 8) {
                __m256i *in = (__m256i *)(void *)(s->values + at);
                __m256i v = _mm256_loadu_si256(in);
                unsigned hits =
                    (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(v, below)));
                for (; hits; hits &= hits - 1) {
                    uint32_t hit = at + (uint32_t)_tzcnt_u32(hits);
                    ids[n] = base + hit;
                    sums[n++] = s->values[hit];
                }
                _mm256_storeu_si256(in, zero);
            }
        }
    return n;
}

/* Ids are below 2^31, so that signed comparisons do. */
__attribute__((target("avx2,bmi"))) static size_t intersect_avx2(const uint32_t *list,
    uint32_t *pos, const uint32_t *ids, size_t count, uint32_t *ret_which, uint32_t *ret_at)
{
    const uint32_t *at = list + *pos;
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t id = ids[i];
        while (at[7] < id) at += 8;
        __m256i same = _mm256_cmpeq_epi32(
            _mm256_loadu_si256((const __m256i *)(const void *)at), _mm256_set1_epi32((int)id));
        unsigned hits = (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(same));
        ret_which[n] = (uint32_t)i;
        ret_at[n] = (uint32_t)(at - list) + (uint32_t)_tzcnt_u32(hits);
        n += hits != 0;
    }
    *pos = (uint32_t)(at - list);
    return n;
}

__attribute__((target("avx512f"))) static size_t keep_avx512(const uint32_t *ids,
    const uint32_t *values, size_t count, uint32_t cut, uint32_t *ret_ids, uint32_t *ret_values)
{
    const __m512i at_least = _mm512_set1_epi32((int)cut);
    size_t n = 0;
    for (size_t i = 0; i < count; i += 16) {
        __mmask16 valid = count - i < 16 ? (__mmask16)((1u << (count - i)) - 1) : 0xFFFF;
        __m512i v = _mm512_loadu_si512(values + i), id = _mm512_loadu_si512(ids + i);
        __mmask16 hits = _mm512_mask_cmpge_epu32_mask(valid, v, at_least);
        _mm512_storeu_si512(ret_ids + n, _mm512_maskz_compress_epi32(hits, id));
        _mm512_storeu_si512(ret_values + n, _mm512_maskz_compress_epi32(hits, v));
        n += (size_t)__builtin_popcount(hits);
    }
    return n;
}

__attribute__((target("avx512f,popcnt,bmi"))) static size_t extract_avx512(
    struct lex_sums *s, uint32_t cut, uint32_t base, uint32_t *ids, uint32_t *sums)
{
    const __m512i at_least = _mm512_set1_epi32((int)cut), zero = _mm512_setzero_si512();
    const __m512i step = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    size_t n = 0;
    for (uint32_t first = 0; first < LEX_GROUPS; first += 64)
        for (uint64_t bits = touched_bits(s->touched + first); bits; bits &= bits - 1) {
            uint32_t at = (first + (uint32_t)_tzcnt_u64(bits)) * LEX_GROUP;
            __m512i v = _mm512_loadu_si512(s->values + at);
            __mmask16 hits = _mm512_cmpge_epu32_mask(v, at_least);
            _mm512_storeu_si512(s->values + at, zero);
            __m512i id = _mm512_add_epi32(_mm512_set1_epi32((int)(base + at)), step);
            _mm512_storeu_si512(ids + n, _mm512_maskz_compress_epi32(hits, id));
            _mm512_storeu_si512(sums + n, _mm512_maskz_compress_epi32(hits, v));
            n += (size_t)__builtin_popcount(hits);
        }
    return n;
}

__attribute__((target("avx512f,bmi"))) static size_t intersect_avx512(const uint32_t *list,
    uint32_t *pos, const uint32_t *ids, size_t count, uint32_t *ret_which, uint32_t *ret_at)
{
    const uint32_t *at = list + *pos;
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t id = ids[i];
        while (at[15] < id) at += 16;
        unsigned hits = _mm512_cmpeq_epi32_mask(_mm512_loadu_si512(at), _mm512_set1_epi32((int)id));
        ret_which[n] = (uint32_t)i;
        ret_at[n] = (uint32_t)(at - list) + (uint32_t)_tzcnt_u32(hits);
        n += hits != 0;
    }
    *pos = (uint32_t)(at - list);
    return n;
}

#endif

size_t lex_keep(const uint32_t *ids, const uint32_t *values, size_t count, uint32_t cut,
    uint32_t *ret_ids, uint32_t *ret_values)
{
#if defined(__x86_64__)
    if (med_cpu_level() >= MED_CPU_AVX512)
        return keep_avx512(ids, values, count, cut, ret_ids, ret_values);
#endif
    return keep_portable(ids, values, count, cut, ret_ids, ret_values);
}

size_t lex_extract(
    struct lex_sums *sums, uint32_t cut, uint32_t base, uint32_t *ret_ids, uint32_t *ret_values)
{
    size_t count;
#if defined(__x86_64__)
    enum med_cpu level = med_cpu_level();
    if (level >= MED_CPU_AVX512)
        count = extract_avx512(sums, cut, base, ret_ids, ret_values);
    else if (level >= MED_CPU_AVX2)
        count = extract_avx2(sums, cut, base, ret_ids, ret_values);
    else
#endif
        count = extract_portable(sums, cut, base, ret_ids, ret_values);
    memset(sums->touched, 0, sizeof(sums->touched));
    return count;
}

size_t lex_intersect(const uint32_t *list, uint32_t *pos, const uint32_t *ids, size_t count,
    uint32_t *ret_which, uint32_t *ret_at)
{
#if defined(__x86_64__)
    enum med_cpu level = med_cpu_level();
    if (level >= MED_CPU_AVX512) return intersect_avx512(list, pos, ids, count, ret_which, ret_at);
    if (level >= MED_CPU_AVX2) return intersect_avx2(list, pos, ids, count, ret_which, ret_at);
#endif
    return intersect_portable(list, pos, ids, count, ret_which, ret_at);
}

#include "index/lexical/score.h"

#include "common/cpu.h"
#include "index/lexical/pack.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum med_code lex_scoring_of(
    const struct med_lex_query *query, struct lex_scoring *ret_s, struct med_err *err)
{
    bool sane = query->k1 >= 0 && query->k1 <= 1000 && query->b >= 0 && query->b <= 1 &&
                isfinite(query->avg_len) && query->avg_len >= 0;
    double sum = 0;
    for (size_t i = 0; i < query->term_count; i++) {
        float weight = query->terms[i].weight;
        if (!(weight >= 0 && weight <= 1e6f)) sane = false;
        sum += (double)weight;
    }
    if (!sane || sum > 1e8)
        return med_fail(
            err, MED_E_INVALID, "the weights or BM25 parameters of a query are out of range");
    struct lex_scoring s = {.k1 = query->k1, .b = query->b, .avg_len = query->avg_len};
    if (s.avg_len <= 0) { /* an empty collection */
        s.avg_len = 1;
        s.b = 0;
    }
    s.norm_base = s.k1 * (1 - s.b);
    s.norm_slope = s.k1 * s.b / s.avg_len;
    double bound = sum * ((double)query->k1 + 1.0);
    int bits = LEX_SCALE_BITS_MAX;
    while (bits > -20 && ldexp(bound, bits) > 0x7F000000) bits--;
    s.scale = ldexpf(1.0f, bits);
    s.inv_scale = ldexpf(1.0f, -bits);
    *ret_s = s;
    return MED_OK;
}

static void score_portable(const struct lex_scoring *s, const uint32_t *wtfs, uint32_t count,
    const uint16_t *lens, float factor, uint32_t *ret)
{
    for (uint32_t i = 0; i < count; i++)
        ret[i] = lex_contribution(factor, wtfs[i], lex_norm(s, lens[i]));
}

#if defined(__x86_64__)

__attribute__((target("avx2"))) static void score_avx2(const struct lex_scoring *s,
    const uint32_t *wtfs, uint32_t count, const uint16_t *lens, float factor, uint32_t *ret)
{
    const __m256 f = _mm256_set1_ps(factor), base = _mm256_set1_ps(s->norm_base),
                 slope = _mm256_set1_ps(s->norm_slope);
    for (uint32_t i = 0; i < count; i += 8) {
        __m256 len = _mm256_cvtepi32_ps(
            _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)(lens + i))));
        __m256 tf =
            _mm256_cvtepi32_ps(_mm256_loadu_si256((const __m256i *)(const void *)(wtfs + i)));
        __m256 norm = _mm256_add_ps(base, _mm256_mul_ps(slope, len));
        __m256 c = _mm256_mul_ps(f, _mm256_div_ps(tf, _mm256_add_ps(tf, norm)));
        _mm256_storeu_si256((__m256i *)(void *)(ret + i), _mm256_cvtps_epi32(c));
    }
}

__attribute__((target("avx512f"))) static void score_avx512(const struct lex_scoring *s,
    const uint32_t *wtfs, uint32_t count, const uint16_t *lens, float factor, uint32_t *ret)
{
    const __m512 f = _mm512_set1_ps(factor), base = _mm512_set1_ps(s->norm_base),
                 slope = _mm512_set1_ps(s->norm_slope);
    for (uint32_t i = 0; i < count; i += 16) {
        __m512 len = _mm512_cvtepi32_ps(
            _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)(lens + i))));
        __m512 tf = _mm512_cvtepi32_ps(_mm512_loadu_si512(wtfs + i));
        __m512 norm = _mm512_add_ps(base, _mm512_mul_ps(slope, len));
        __m512 c = _mm512_mul_ps(f, _mm512_div_ps(tf, _mm512_add_ps(tf, norm)));
        _mm512_storeu_si512(ret + i, _mm512_cvtps_epi32(c));
    }
}

#endif

void lex_score_block(const struct lex_scoring *s, const uint32_t *ids, const uint32_t *wtfs,
    uint32_t count, const uint16_t *lengths, float factor, uint32_t *ret_contributions)
{
    /* Plain loads are faster than gathering on the processors measured. */
    uint16_t lens[LEX_BLOCK + LEX_UNPACK_SLACK];
    uint32_t whole = (count + 15) & ~15u;
    for (uint32_t i = 0; i < whole; i++) lens[i] = lengths[ids[i]];
#if defined(__x86_64__)
    enum med_cpu level = med_cpu_level();
    if (level >= MED_CPU_AVX2) {
        if (level >= MED_CPU_AVX512)
            score_avx512(s, wtfs, count, lens, factor, ret_contributions);
        else
            score_avx2(s, wtfs, count, lens, factor, ret_contributions);
        return;
    }
#endif
    score_portable(s, wtfs, count, lens, factor, ret_contributions);
}

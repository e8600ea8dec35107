/* BM25 contributions as whole numbers.
 *
 * A term's contribution to a chunk is computed in float and rounded to a multiple of
 * 2^-LEX_SCALE_BITS_MAX. Whole numbers add up to the same sum in any order, so a pruning search
 * that meets the terms in whatever order is best, an exhaustive one and one that scores given
 * chunks agree to the last bit, on every CPU path, without any margin for rounding. The resolution,
 * 2^-20, is that of a float near 8.
 *
 * Division, addition and multiplication are correctly rounded everywhere; this folder is compiled
 * without contraction to fused multiply-add, which would break the equality of paths. */
#pragma once

#include "common/err.h"
#include "index/lexical/format.h"
#include "index/lexical/lexical.h"

#include <math.h>

#define LEX_SCALE_BITS_MAX 20

struct lex_scoring {
    float k1, b, avg_len;
    float norm_base, norm_slope; /* of the length, see lex_norm */
    float scale;                 /* a power of two: contributions are multiples of 1 / scale */
    float inv_scale;             /* exactly 1 / scale */
};

/* Checks the query's numbers and fixes its scale: 2^20 unless the sum of all weights is so large
 * that 31 bits would not hold the largest score. */
enum med_code lex_scoring_of(
    const struct med_lex_query *query, struct lex_scoring *ret_s, struct med_err *err) MED_CHECK;

/* k1 * (1 - b + b * len / avg_len) */
static inline float lex_norm(const struct lex_scoring *s, uint32_t len)
{
    return s->norm_base + s->norm_slope * (float)len;
}

/* factor = weight * (k1 + 1) * scale. wtf > 0. */
static inline uint32_t lex_contribution(float factor, uint32_t wtf, float norm)
{
    float tf = (float)wtf;
    return (uint32_t)lrintf(factor * (tf / (tf + norm)));
}

/* An upper bound of what any posting under this impact contributes: computed like a contribution,
 * plus a margin for the last bits, because tf / (tf + norm) is monotone in tf only up to rounding.
 */
static inline uint32_t lex_impact_bound(float factor, struct lex_impact impact, float norm)
{
    if (!impact.wtf) return 0;
    uint32_t c =
        impact.wtf == 255 ? (uint32_t)lrintf(factor) : lex_contribution(factor, impact.wtf, norm);
    return c + (c >> 20) + 1;
}

static inline float lex_factor(const struct lex_scoring *s, float weight)
{
    return weight * (s->k1 + 1.0f) * s->scale;
}

/* Contributions of a decoded block. Every id is below the chunk count. All arrays have
 * LEX_UNPACK_SLACK more entries than count: the ids there must be valid too, frequencies may be
 * anything, results are overwritten. count <= LEX_BLOCK */
void lex_score_block(const struct lex_scoring *s, const uint32_t *ids, const uint32_t *wtfs,
    uint32_t count, const uint16_t *lengths, float factor, uint32_t *ret_contributions);

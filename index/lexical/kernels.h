/* The loops of searching that run on whole vectors: portable, AVX2 and AVX-512, with the same
 * results. Sums of contributions are below 2^31. Internal to this folder. */
#pragma once

#include "index/lexical/format.h"

/* Outputs have room for this many entries more than they get: kernels write whole vectors. */
#define LEX_KERNEL_SLACK 16u

/* Copies the pairs whose value is at least `cut`, in order; returns their number. The outputs may
 * be the inputs. Inputs are readable up to a multiple of 16. */
size_t lex_keep(const uint32_t *ids, const uint32_t *values, size_t count, uint32_t cut,
    uint32_t *ret_ids, uint32_t *ret_values);

/* Sums of a window's chunks by position, and which groups of 16 have any. All zero when unused. */
#define LEX_WINDOW 16384u /* chunks that are scored together */
#define LEX_GROUP 16u
#define LEX_GROUPS (LEX_WINDOW / LEX_GROUP)
struct lex_sums {
    uint32_t values[LEX_WINDOW];
    uint8_t touched[LEX_GROUPS]; /* 1 = some value may be above 0 */
};
static inline void lex_sums_add(struct lex_sums *sums, uint32_t position, uint32_t value)
{
    sums->values[position] += value;
    sums->touched[position / LEX_GROUP] = 1;
}

/* Moves the positions of values >= cut > 0 out of the sums, which become zero: ids are base +
 * position. */
size_t lex_extract(
    struct lex_sums *sums, uint32_t cut, uint32_t base, uint32_t *ret_ids, uint32_t *ret_values);

/* Which of `count` ascending ids are in an ascending list: ret_which gets the numbers of those that
 * are, ret_at where in the list. The list is searched from *pos on, which moves to the last
 * position looked at; it ends with an id that is not below any of `ids`, repeated 16 times. */
size_t lex_intersect(const uint32_t *list, uint32_t *pos, const uint32_t *ids, size_t count,
    uint32_t *ret_which, uint32_t *ret_at);

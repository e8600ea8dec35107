/* Bit packing: value i of a run occupies bits [i * bits, (i + 1) * bits) of a little-endian bit
 * string. Eight values fill whole bytes, any value can be read alone, and a run may have any count.
 */
#pragma once

#include "index/lexical/format.h"

/* Outputs have room for LEX_BLOCK + LEX_UNPACK_SLACK values: kernels write whole vectors. */
#define LEX_UNPACK_SLACK 16u

static inline uint32_t lex_bits_of(uint32_t v)
{
    return v ? 32u - (uint32_t)__builtin_clz(v) : 0;
}

/* Packs count values below 2^bits; the bytes at out, lex_packed_bytes of them, were zero. */
void lex_pack(const uint32_t *values, uint32_t count, uint32_t bits, uint8_t *out);

/* Value i alone. Reads up to 8 bytes from the value's first byte (the padding of the file allows
 * it). */
static inline uint32_t lex_unpack_one(const uint8_t *in, uint32_t bits, uint32_t i)
{
    uint32_t at = i * bits;
    uint64_t piece;
    memcpy(&piece, in + (at >> 3), sizeof(piece));
    return (uint32_t)(piece >> (at & 7)) & (uint32_t)((1ull << bits) - 1);
}

/* ret_values[i] = value i + 1 (term frequencies). */
void lex_unpack_plus_1(const uint8_t *in, uint32_t count, uint32_t bits, uint32_t *ret_values);
/* ret_ids[i] = base + sum of (value + 1) up to i (ascending ids behind base). Returns the last one
 * without wrapping, so that a caller can compare it with what it must be. count > 0. */
uint64_t lex_unpack_ids(
    const uint8_t *in, uint32_t count, uint32_t bits, uint32_t base, uint32_t *ret_ids);

/* Checksums and hash tables' hashes: XXH3 (Yann Collet), 64 and 128 bits. Not for secrets. */
#pragma once

#include "common/str.h"

#include <stdint.h>

struct med_hash128 {
    uint64_t lo, hi;
};

uint64_t med_hash64(const void *ptr, size_t len);
struct med_hash128 med_hash128(const void *ptr, size_t len);
static inline bool med_hash128_eq(struct med_hash128 a, struct med_hash128 b)
{
    return a.lo == b.lo && a.hi == b.hi;
}

/* 32 lower-case hex digits + NUL, most significant first. */
#define MED_HASH_HEX_LEN 32
void med_hash128_hex(struct med_hash128 h, char ret_hex[MED_HASH_HEX_LEN + 1]);
bool med_hash128_from_hex(struct med_str hex, struct med_hash128 *ret_h);

/* Streaming: the digest equals the one-shot hash of all bytes in order. */
struct med_hasher;
struct med_hasher *med_hasher_new(void); /* NULL = out of memory */
void med_hasher_update(struct med_hasher *h, const void *ptr, size_t len);
struct med_hash128 med_hasher_digest(const struct med_hasher *h);
void med_hasher_free(struct med_hasher **h);

/* XXH3, an adapter: the only file that includes xxhash.h. */
#include "common/hash.h"

#include "common/mem.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

struct med_hasher {
    XXH3_state_t state; /* wants 64-byte alignment */
};

uint64_t med_hash64(const void *ptr, size_t len)
{
    return XXH3_64bits(ptr, len);
}

struct med_hash128 med_hash128(const void *ptr, size_t len)
{
    XXH128_hash_t h = XXH3_128bits(ptr, len);
    return (struct med_hash128){.lo = h.low64, .hi = h.high64};
}

void med_hash128_hex(struct med_hash128 h, char ret_hex[MED_HASH_HEX_LEN + 1])
{
    static const char digits[] = "0123456789abcdef";
    for (unsigned i = 0; i < 16; i++) {
        ret_hex[i] = digits[h.hi >> (60 - 4 * i) & 15];
        ret_hex[16 + i] = digits[h.lo >> (60 - 4 * i) & 15];
    }
    ret_hex[MED_HASH_HEX_LEN] = '\0';
}

bool med_hash128_from_hex(struct med_str hex, struct med_hash128 *ret_h)
{
    if (hex.len != MED_HASH_HEX_LEN) return false;
    uint64_t halves[2] = {0, 0};
    for (unsigned i = 0; i < MED_HASH_HEX_LEN; i++) {
        char c = hex.ptr[i];
        unsigned digit;
        if (c >= '0' && c <= '9')
            digit = (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f')
            digit = (unsigned)(c - 'a') + 10;
        else
            return false;
        halves[i / 16] = halves[i / 16] << 4 | digit;
    }
    *ret_h = (struct med_hash128){.hi = halves[0], .lo = halves[1]};
    return true;
}

struct med_hasher *med_hasher_new(void)
{
    struct med_hasher *h = med_aligned_alloc(sizeof *h);
    if (!h) return NULL;
    XXH3_128bits_reset(&h->state);
    return h;
}

void med_hasher_update(struct med_hasher *h, const void *ptr, size_t len)
{
    if (len > 0) XXH3_128bits_update(&h->state, ptr, len);
}

struct med_hash128 med_hasher_digest(const struct med_hasher *h)
{
    XXH128_hash_t d = XXH3_128bits_digest(&h->state);
    return (struct med_hash128){.lo = d.low64, .hi = d.high64};
}

void med_hasher_free(struct med_hasher **h)
{
    med_free(*h);
    *h = NULL;
}

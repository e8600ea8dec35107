/* See secret.h. */
#include "service/secret.h"

#include <sodium.h>

#define PREFIX "medicus_"
#define PREFIX_LEN (sizeof PREFIX - 1)
#define RANDOM_BYTES 32
#define CHECKSUM_BYTES 4
#define BODY_LEN (PREFIX_LEN + (size_t)2 * RANDOM_BYTES) /* what the checksum covers */

_Static_assert(BODY_LEN + (size_t)2 * CHECKSUM_BYTES == SECRET_LEN, "the length of a secret");
_Static_assert(SECRET_HASH_BYTES == crypto_generichash_BYTES, "BLAKE2b-256");

static enum med_code ready(struct med_err *err)
{
    return sodium_init() < 0 ? med_fail(err, MED_E_INTERNAL, "libsodium does not start") : MED_OK;
}

void secret_hash(struct med_str text, unsigned char ret_hash[SECRET_HASH_BYTES])
{
    (void)crypto_generichash(
        ret_hash, SECRET_HASH_BYTES, (const unsigned char *)text.ptr, text.len, NULL, 0);
}

static void checksum(const char *text, char ret_hex[2 * CHECKSUM_BYTES + 1])
{
    unsigned char hash[SECRET_HASH_BYTES];
    secret_hash((struct med_str){.ptr = text, .len = BODY_LEN}, hash);
    (void)sodium_bin2hex(ret_hex, 2 * CHECKSUM_BYTES + 1, hash, CHECKSUM_BYTES);
    sodium_memzero(hash, sizeof hash);
}

enum med_code secret_random_hex(size_t len, char *ret_hex, struct med_err *err)
{
    unsigned char bytes[RANDOM_BYTES];
    enum med_code code = ready(err);
    if (code) return code;
    if (len > sizeof bytes) return med_fail(err, MED_E_INTERNAL, "too many random bytes at once");
    randombytes_buf(bytes, len);
    (void)sodium_bin2hex(ret_hex, 2 * len + 1, bytes, len);
    sodium_memzero(bytes, sizeof bytes);
    return MED_OK;
}

enum med_code secret_new(char ret_text[SECRET_LEN + 1], struct med_err *err)
{
    enum med_code code = secret_random_hex(RANDOM_BYTES, ret_text + PREFIX_LEN, err);
    if (code) return code;
    memcpy(ret_text, PREFIX, PREFIX_LEN);
    checksum(ret_text, ret_text + BODY_LEN);
    return MED_OK;
}

bool secret_well_formed(struct med_str text)
{
    char expected[2 * CHECKSUM_BYTES + 1];
    if (text.len != SECRET_LEN || !med_str_starts(text, MED_STR(PREFIX))) return false;
    for (size_t i = PREFIX_LEN; i < text.len; i++) {
        char c = text.ptr[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
    }
    checksum(text.ptr, expected);
    return sodium_memcmp(text.ptr + BODY_LEN, expected, (size_t)2 * CHECKSUM_BYTES) == 0;
}

bool secret_hash_equal(
    const unsigned char a[SECRET_HASH_BYTES], const unsigned char b[SECRET_HASH_BYTES])
{
    return sodium_memcmp(a, b, SECRET_HASH_BYTES) == 0;
}

bool secret_text_equal(struct med_str a, struct med_str b)
{
    return a.len == b.len && (a.len == 0 || sodium_memcmp(a.ptr, b.ptr, a.len) == 0);
}

void secret_wipe(void *ptr, size_t len)
{
    sodium_memzero(ptr, len);
}

void secret_hash_hex(
    const unsigned char hash[SECRET_HASH_BYTES], char ret_hex[SECRET_HASH_HEX_LEN + 1])
{
    (void)sodium_bin2hex(ret_hex, SECRET_HASH_HEX_LEN + 1, hash, SECRET_HASH_BYTES);
}

bool secret_hash_from_hex(struct med_str hex, unsigned char ret_hash[SECRET_HASH_BYTES])
{
    size_t len;
    return hex.len == SECRET_HASH_HEX_LEN &&
           sodium_hex2bin(ret_hash, SECRET_HASH_BYTES, hex.ptr, hex.len, NULL, &len, NULL) == 0 &&
           len == SECRET_HASH_BYTES;
}

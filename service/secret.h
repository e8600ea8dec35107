/* Key secrets: making, checking and hashing them. The adapter over libsodium.
 *
 *   medicus_<64 hex digits: 256 random bits><8 hex digits: checksum>
 *
 * The prefix and the checksum let a scanner recognise a leaked secret in a text, and let the server
 * tell a typing error from a key that it does not know. The checksum is the first 4 bytes of
 * BLAKE2b-256 of everything before it.
 *
 * What is stored is BLAKE2b-256 of the whole secret. Slow, salted hashes exist because people
 * choose guessable passwords; 256 random bits cannot be guessed, so one fast hash protects them,
 * and a request is not delayed. Any thread. */
#pragma once

#include "common/err.h"
#include "common/str.h"

#define SECRET_LEN 80
#define SECRET_HASH_BYTES 32
#define SECRET_HASH_HEX_LEN 64

/* MED_E_INTERNAL: the system has no randomness. Wipe the text with secret_wipe after use. */
enum med_code secret_new(char ret_text[SECRET_LEN + 1], struct med_err *err) MED_CHECK;
/* Length, prefix, digits and checksum are right. */
bool secret_well_formed(struct med_str text);
void secret_hash(struct med_str text, unsigned char ret_hash[SECRET_HASH_BYTES]);
/* In a time that does not depend on where they differ. */
bool secret_hash_equal(
    const unsigned char a[SECRET_HASH_BYTES], const unsigned char b[SECRET_HASH_BYTES]);
bool secret_text_equal(struct med_str a, struct med_str b);
void secret_wipe(void *ptr, size_t len);

/* `len` random bytes as lower-case hex, NUL-terminated: 2 * len + 1 chars. Not fails after the
 * first secret_new or secret_random_hex that worked. */
enum med_code secret_random_hex(size_t len, char *ret_hex, struct med_err *err) MED_CHECK;
void secret_hash_hex(
    const unsigned char hash[SECRET_HASH_BYTES], char ret_hex[SECRET_HASH_HEX_LEN + 1]);
bool secret_hash_from_hex(struct med_str hex, unsigned char ret_hash[SECRET_HASH_BYTES]);

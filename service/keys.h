/* API keys: who may use the HTTP interface, for what, and over which sources.
 *
 * They live in <data>/keys, one JSON object and a line with its checksum, mode 0600; secrets only
 * as hashes (secret.h). Writers take <data>/keys.lock and replace the file atomically and durably,
 * so a reader sees the keys from before or after a change. The file decides whether keys are asked
 * for at all: an existing file without a key refuses everybody, so that revoking the last key never
 * opens a server. */
#pragma once

#include "common/buf.h"
#include "common/fs.h"
#include "service/secret.h"

#include <stdint.h>

#define KEY_ID_LEN 8
#define KEY_NAME_MAX 64
#define KEYS_MAX 1000 /* every one is compared with every request's */
#define KEYS_FILE_BYTES_MAX ((size_t)4 << 20)

enum scope { SCOPE_SEARCH = 1, SCOPE_ADMIN = 2, SCOPE_ALL = 3 };

/* At most `count` requests per window on average, and in one burst; 0 = no limit. */
struct rate {
    uint32_t count, window_s;
};

struct key {
    char id[KEY_ID_LEN + 1]; /* lower-case hex, public: listings and logs name keys by it */
    char name[KEY_NAME_MAX + 1];
    unsigned char hash[SECRET_HASH_BYTES];
    unsigned scopes;      /* enum scope */
    uint32_t source_mask; /* 1 << enum med_source; 0 = all sources */
    struct rate rate;     /* count 0: the server's default */
    int64_t created_unix_s;
    int64_t expires_unix_s; /* 0 = never */
};

struct key_set {
    struct key *items;
    size_t count;
    bool asked; /* the file exists: requests need a key */
};

/* Reads <data>/keys. Without the file the set is empty and not asked for. MED_E_CORRUPT names what
 * is wrong; MED_E_PERMISSION also when others than the owner may write the file. */
enum med_code keys_load(const char *data, struct key_set *ret_set, struct med_err *err) MED_CHECK;
void keys_free(struct key_set *set);
/* The bytes of the file, and back. MED_E_CORRUPT, MED_E_NOMEM. */
enum med_code keys_parse(
    struct med_str bytes, struct key_set *ret_set, struct med_err *err) MED_CHECK;
void keys_write(const struct key_set *set, struct med_buf *out);

/* The key with this secret, whatever its date of expiry; NULL: none. Compares with every key, so
 * that the time tells nothing about which one came near. */
const struct key *keys_find(const struct key_set *set, struct med_str secret);
/* By id or name. */
struct key *keys_named(const struct key_set *set, struct med_str name);

/* Changes the set under the lock: loads, calls change, writes what it left. change may set
 * set->items to a larger array (med_grow). fs NULL = the real one. */
typedef enum med_code (*keys_change_fn)(void *ctx, struct key_set *set, struct med_err *err);
enum med_code keys_change(const char *data, const struct med_fs *fs, keys_change_fn change,
    void *ctx, struct med_err *err) MED_CHECK;

/* --- words --- */
/* "search,admin" */
enum med_code scopes_parse(
    struct med_str text, unsigned *ret_scopes, struct med_err *err) MED_CHECK;
const char *scopes_text(unsigned scopes);
/* "pubmed,guideline" */
enum med_code sources_parse(struct med_str text, uint32_t *ret_mask, struct med_err *err) MED_CHECK;
void sources_text(uint32_t mask, struct med_buf *out);
/* "10/s", "600/min", "10000/h" */
enum med_code rate_parse(struct med_str text, struct rate *ret_rate, struct med_err *err) MED_CHECK;
#define RATE_TEXT_MAX 24
void rate_text(struct rate rate, char ret_text[RATE_TEXT_MAX]);
/* "2027-01-31" (the end of that day) or "2027-01-31T12:00:00Z", both UTC. */
enum med_code expiry_parse(struct med_str text, int64_t *ret_unix_s, struct med_err *err) MED_CHECK;
bool key_name_valid(struct med_str name);

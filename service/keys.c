/* See keys.h. The file:
 *
 *   {"version":1,"keys":[{"id":"0a1b2c3d","name":"agents","hash":"<64 hex>","scopes":"search",
 *     "sources":"pubmed,guideline","rate":"10/s","created":1767225600,"expires":0}, ...]}
 *   xxh3:<32 hex digits of the XXH3-128 of everything before this line>
 *
 * The checksum finds damage, not malice: whoever may write the file may make keys. */
#include "service/keys.h"

#include "common/json.h"
#include "common/limits.h"
#include "common/mem.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#define FILE_VERSION 1
#define CHECKSUM_PREFIX "xxh3:"
#define CHECKSUM_LINE_LEN (sizeof CHECKSUM_PREFIX - 1 + MED_HASH_HEX_LEN + 1)
#define TIME_MAX 253402300799ll /* the year 9999 */

static enum med_code damaged(struct med_err *err, const char *what)
{
    return med_fail(err, MED_E_CORRUPT,
        "the key file is damaged: %s; restore it from a backup, or remove it and make new keys",
        what);
}

/* --- reading --- */

static bool is_id(struct med_str id)
{
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
    }
    return id.len == KEY_ID_LEN;
}

static bool read_time(const struct med_json *object, const char *name, int64_t *ret_unix_s)
{
    long long seconds;
    if (!med_json_int(med_json_get(object, name), 0, TIME_MAX, &seconds)) return false;
    *ret_unix_s = seconds;
    return true;
}

static bool read_key(const struct med_json *object, struct key *key)
{
    struct med_str id = med_json_get_str(object, "id"), name = med_json_get_str(object, "name");
    struct med_str sources = med_json_get_str(object, "sources");
    struct med_str rate = med_json_get_str(object, "rate");
    if (med_json_type(object) != MED_JSON_OBJECT || med_json_count(object) != 8) return false;
    if (!is_id(id) || !key_name_valid(name)) return false;
    if (!sources.ptr || !rate.ptr) return false;
    memcpy(key->id, id.ptr, id.len);
    memcpy(key->name, name.ptr, name.len);
    return secret_hash_from_hex(med_json_get_str(object, "hash"), key->hash) &&
           scopes_parse(med_json_get_str(object, "scopes"), &key->scopes, NULL) == MED_OK &&
           (!sources.len || sources_parse(sources, &key->source_mask, NULL) == MED_OK) &&
           (!rate.len || rate_parse(rate, &key->rate, NULL) == MED_OK) &&
           read_time(object, "created", &key->created_unix_s) &&
           read_time(object, "expires", &key->expires_unix_s);
}

static bool is_repeated(const struct key_set *set, const struct key *key)
{
    for (size_t i = 0; i < set->count; i++) {
        const struct key *other = &set->items[i];
        if (strcmp(other->id, key->id) == 0 || strcmp(other->name, key->name) == 0 ||
            secret_hash_equal(other->hash, key->hash))
            return true;
    }
    return false;
}

static enum med_code read_keys(
    const struct med_json *root, struct key_set *set, struct med_err *err)
{
    long long version;
    const struct med_json *list = med_json_get(root, "keys");
    if (!med_json_int(med_json_get(root, "version"), 0, 1000000, &version) ||
        med_json_type(list) != MED_JSON_ARRAY)
        return damaged(err, "it is no list of keys");
    if (version != FILE_VERSION)
        return med_fail(err, MED_E_UNSUPPORTED,
            "the key file has version %lld; this program reads version %d", version, FILE_VERSION);
    size_t count = med_json_count(list);
    if (count > KEYS_MAX) return damaged(err, "it has too many keys");
    set->items = med_calloc(count + 1, sizeof *set->items);
    if (!set->items) return med_fail(err, MED_E_NOMEM, "out of memory for the keys");
    for (const struct med_json *v = med_json_first(list); v; v = med_json_next(v)) {
        struct key *key = &set->items[set->count];
        if (!read_key(v, key)) return damaged(err, "a key is incomplete");
        if (is_repeated(set, key)) return damaged(err, "two keys have the same id, name or secret");
        set->count++;
    }
    return MED_OK;
}

/* Cuts the checksum line off. */
static bool check_sum(struct med_str *bytes)
{
    struct med_hash128 expected;
    if (bytes->len < CHECKSUM_LINE_LEN || bytes->ptr[bytes->len - 1] != '\n') return false;
    size_t start = bytes->len - CHECKSUM_LINE_LEN;
    struct med_str line = med_str_sub(*bytes, start, bytes->len - 1);
    if (!med_str_starts(line, MED_STR(CHECKSUM_PREFIX))) return false;
    struct med_str hex = med_str_sub(line, sizeof CHECKSUM_PREFIX - 1, line.len);
    bytes->len = start;
    return med_hash128_from_hex(hex, &expected) &&
           med_hash128_eq(expected, med_hash128(bytes->ptr, bytes->len));
}

enum med_code keys_parse(struct med_str bytes, struct key_set *ret_set, struct med_err *err)
{
    struct key_set set = {.asked = true};
    struct med_json *root;
    if (!check_sum(&bytes)) return damaged(err, "its checksum is wrong");
    enum med_code code = med_json_parse(bytes.ptr, bytes.len, &root, NULL);
    if (code == MED_E_NOMEM) return med_fail(err, code, "out of memory for the keys");
    if (code) return damaged(err, "it is not JSON");
    code = read_keys(root, &set, err);
    med_json_free(&root);
    if (code) {
        keys_free(&set);
        return code;
    }
    *ret_set = set;
    return MED_OK;
}

enum med_code keys_load(const char *data, struct key_set *ret_set, struct med_err *err)
{
    char path[MED_PATH_MAX];
    struct stat st;
    enum med_code code = med_path_join(path, data, "keys", err);
    if (code) return code;
    if (stat(path, &st) != 0) {
        if (errno != ENOENT) return med_fail_errno(err, errno, "cannot read %s", path);
        *ret_set = (struct key_set){0};
        return MED_OK;
    }
    if (st.st_mode & (S_IWGRP | S_IWOTH))
        return med_fail(err, MED_E_PERMISSION,
            "others than its owner may write %s, and so make keys: run chmod 600 %s", path, path);
    struct med_buf bytes;
    med_buf_init(&bytes, KEYS_FILE_BYTES_MAX);
    code = med_read_file(path, &bytes, err);
    if (!code) {
        code = keys_parse(med_buf_str(&bytes), ret_set, err);
        if (code) med_err_prefix(err, "%s", path);
    }
    med_buf_free(&bytes);
    return code;
}

void keys_free(struct key_set *set)
{
    med_free(set->items);
    *set = (struct key_set){0};
}

/* --- writing --- */

void keys_write(const struct key_set *set, struct med_buf *out)
{
    char hex[SECRET_HASH_HEX_LEN + 1], sum[MED_HASH_HEX_LEN + 1], rate[RATE_TEXT_MAX];
    size_t start = out->len;
    struct med_buf sources;
    struct med_jw w = med_jw_of(out, false);
    med_buf_init(&sources, MED_KIB);
    med_jw_object(&w);
    med_jw_kint(&w, "version", FILE_VERSION);
    med_jw_key(&w, "keys");
    med_jw_array(&w);
    for (size_t i = 0; i < set->count; i++) {
        const struct key *key = &set->items[i];
        secret_hash_hex(key->hash, hex);
        rate_text(key->rate, rate);
        med_buf_reset(&sources);
        if (key->source_mask) sources_text(key->source_mask, &sources);
        /* What could not be written must not look whole: no sources means all of them. */
        if (!out->code) out->code = sources.code;
        med_jw_object(&w);
        med_jw_kcstr(&w, "id", key->id);
        med_jw_kcstr(&w, "name", key->name);
        med_jw_kcstr(&w, "hash", hex);
        med_jw_kcstr(&w, "scopes", scopes_text(key->scopes));
        med_jw_kstr(&w, "sources", med_buf_str(&sources));
        med_jw_kcstr(&w, "rate", key->rate.count ? rate : "");
        med_jw_kint(&w, "created", key->created_unix_s);
        med_jw_kint(&w, "expires", key->expires_unix_s);
        med_jw_object_end(&w);
    }
    med_jw_array_end(&w);
    med_jw_object_end(&w);
    med_buf_putc(out, '\n');
    med_buf_free(&sources);
    if (out->code) return;
    med_hash128_hex(med_hash128(out->data + start, out->len - start), sum);
    med_buf_printf(out, CHECKSUM_PREFIX "%s\n", sum);
}

/* --- finding --- */

const struct key *keys_find(const struct key_set *set, struct med_str secret)
{
    unsigned char hash[SECRET_HASH_BYTES];
    const struct key *found = NULL;
    secret_hash(secret, hash);
    for (size_t i = 0; i < set->count; i++) {
        if (secret_hash_equal(hash, set->items[i].hash)) found = &set->items[i];
    }
    secret_wipe(hash, sizeof hash);
    return found;
}

struct key *keys_named(const struct key_set *set, struct med_str name)
{
    for (size_t i = 0; i < set->count; i++) {
        struct key *key = &set->items[i];
        struct med_str id = {.ptr = key->id, .len = KEY_ID_LEN};
        if (med_str_eq(name, id) || med_str_eq(name, med_str_of(key->name))) return key;
    }
    return NULL;
}

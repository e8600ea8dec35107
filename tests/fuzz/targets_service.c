/* What an operator's files can hold: keys and configuration. */
#include "common/limits.h"
#include "common/unicode.h"
#include "service/config.h"
#include "service/keys.h"
#include "tests/fuzz/targets.h"

#include <stdio.h>

static void check_keys(struct med_str bytes)
{
    struct key_set set, again;
    struct med_err err = {0};
    enum med_code code = keys_parse(bytes, &set, &err);
    fuzz_require(code == MED_OK || code == MED_E_CORRUPT || code == MED_E_UNSUPPORTED);
    fuzz_require(code == MED_OK || err.text[0]);
    if (code) return;
    fuzz_require(set.asked && set.count <= KEYS_MAX);
    for (size_t i = 0; i < set.count; i++) {
        const struct key *key = &set.items[i];
        fuzz_require(key_name_valid(med_str_of(key->name)));
        fuzz_require(key->scopes && !(key->scopes & ~(unsigned)SCOPE_ALL));
        fuzz_require(keys_named(&set, med_str_of(key->id)));
    }
    struct med_buf out;
    med_buf_init(&out, 2 * KEYS_FILE_BYTES_MAX);
    keys_write(&set, &out);
    fuzz_require(keys_parse(med_buf_str(&out), &again, NULL) == MED_OK);
    fuzz_require(again.count == set.count);
    if (set.count) fuzz_require(memcmp(again.items, set.items, set.count * sizeof *set.items) == 0);
    keys_free(&again);
    keys_free(&set);
    med_buf_free(&out);
}

/* With the checksum as it is, and with one that fits. */
void fuzz_run_keys(struct med_str bytes)
{
    struct med_buf signed_text;
    char hex[MED_HASH_HEX_LEN + 1];
    check_keys(bytes);
    med_buf_init(&signed_text, KEYS_FILE_BYTES_MAX);
    med_buf_append_str(&signed_text, bytes);
    med_hash128_hex(med_hash128(signed_text.data, signed_text.len), hex);
    med_buf_printf(&signed_text, "xxh3:%s\n", hex);
    if (!signed_text.code) check_keys(med_buf_str(&signed_text));
    med_buf_free(&signed_text);
}

void fuzz_seeds_keys(struct fuzz_pool *pool, struct med_str source)
{
    struct key keys[2] = {{.id = "0a1b2c3d",
                              .name = "agents",
                              .hash = {1, 2, 3},
                              .scopes = SCOPE_SEARCH,
                              .source_mask = 6,
                              .rate = {10, 1},
                              .created_unix_s = 1767225600},
        {.id = "4e5f6a7b", .name = "ops", .scopes = SCOPE_ALL, .expires_unix_s = 4102444800}};
    struct key_set set = {.items = keys, .count = 2, .asked = true};
    struct med_buf out;
    if (source.len > 0) return;
    med_buf_init(&out, MED_MIB);
    keys_write(&set, &out);
    if (!out.code) {
        fuzz_pool_add(pool, out.data, out.len);
        fuzz_pool_add(pool, out.data, out.len - 38); /* without its checksum line */
    }
    med_buf_free(&out);
}

void fuzz_run_config(struct med_str bytes)
{
    static struct med_arena *arena;
    struct config config;
    struct med_err err = {0};
    if (!arena) fuzz_require(med_arena_new(64 * MED_MIB, &arena, NULL) == MED_OK);
    med_arena_reset(arena);
    enum med_code code = config_parse(bytes, arena, &config, &err);
    fuzz_require(code == MED_OK || code == MED_E_USAGE || code == MED_E_LIMIT);
    fuzz_require(code == MED_OK || err.text[0]);
    for (size_t i = 0; !code && i < config.count; i++) {
        const struct config_entry *entry = &config.entries[i];
        fuzz_require(*entry->name && entry->line > 0);
        fuzz_require(med_utf8_valid(entry->value, strlen(entry->value)));
        fuzz_require(i == 0 || entry->line > config.entries[i - 1].line);
    }
    struct rate rate;
    int64_t at;
    uint32_t mask;
    unsigned scopes;
    if (rate_parse(bytes, &rate, &err) == MED_OK) fuzz_require(rate.count && rate.window_s);
    if (expiry_parse(bytes, &at, &err) == MED_OK) fuzz_require(at > 0);
    if (sources_parse(bytes, &mask, &err) == MED_OK) fuzz_require(mask);
    if (scopes_parse(bytes, &scopes, &err) == MED_OK) fuzz_require(scopes);
    (void)secret_well_formed(bytes);
}

void fuzz_seeds_config(struct fuzz_pool *pool, struct med_str source)
{
    static const char *const texts[] = {"# all\n\nlisten = 127.0.0.1:8080\nidle_ms=5\r\nquiet =\n",
        "10/s", "2027-01-31T12:00:00Z", "pubmed,guideline", "search,admin",
        "medicus_00000000000000000000000000000000000000000000000000000000000000001a2b3c4d"};
    if (source.len > 0) return;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        fuzz_pool_add(pool, texts[i], strlen(texts[i]));
}

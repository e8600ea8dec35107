/* API keys: the file and its damage, secrets, words, token buckets. */
#include "common/clock.h"
#include "common/limits.h"
#include "common/mem.h"
#include "common/rng.h"
#include "index/document/document.h"
#include "service/rate_limit.h"
#include "tests/support/faulty_fs.h"
#include "tests/support/support.h"

#include <setjmp.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

#define SECOND_NS 1000000000ull

/* Keys key0, key1, ... with every kind of limit; secrets may be NULL. */
static struct key_set make_set(size_t count, char (*secrets)[SECRET_LEN + 1])
{
    struct key_set set = {.items = med_calloc(count + 1, sizeof *set.items), .asked = true};
    assert_non_null(set.items);
    for (; set.count < count; set.count++) {
        struct key *key = &set.items[set.count];
        char secret[SECRET_LEN + 1];
        unsigned i = (unsigned)set.count;
        assert_int_equal(secret_new(secret, NULL), MED_OK);
        assert_int_equal(secret_random_hex(KEY_ID_LEN / 2, key->id, NULL), MED_OK);
        snprintf(key->name, sizeof key->name, "key%u", i);
        secret_hash(med_str_of(secret), key->hash);
        key->scopes = 1 + i % 3;
        key->source_mask = i % 4 == 3 ? 0 : 1u << i % 4;
        if (i % 2) key->rate = (struct rate){.count = i + 1, .window_s = i % 3 ? 60 : 3600};
        key->created_unix_s = 1767225600 + i;
        key->expires_unix_s = i % 5 ? 0 : 4102444800;
        if (secrets) memcpy(secrets[set.count], secret, sizeof secret);
    }
    return set;
}

static void write_set(const struct key_set *set, struct med_buf *out)
{
    med_buf_init(out, KEYS_FILE_BYTES_MAX);
    keys_write(set, out);
    assert_int_equal(out->code, MED_OK);
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    for (size_t count = 0; count < 12; count++) {
        struct key_set set = make_set(count, NULL), back;
        struct med_buf bytes;
        write_set(&set, &bytes);
        assert_int_equal(keys_parse(med_buf_str(&bytes), &back, NULL), MED_OK);
        assert_true(back.asked);
        assert_int_equal(back.count, count);
        if (count) assert_memory_equal(back.items, set.items, count * sizeof *set.items);
        keys_free(&back);
        keys_free(&set);
        med_buf_free(&bytes);
    }
}

static void every_damaged_bit_and_every_cut_is_found(void **state)
{
    (void)state;
    struct key_set set = make_set(3, NULL), back;
    struct med_buf bytes;
    struct med_err err;
    write_set(&set, &bytes);
    for (size_t bit = 0; bit < 8 * bytes.len; bit++) {
        bytes.data[bit / 8] = (char)(bytes.data[bit / 8] ^ 1 << bit % 8);
        assert_int_equal(keys_parse(med_buf_str(&bytes), &back, &err), MED_E_CORRUPT);
        bytes.data[bit / 8] = (char)(bytes.data[bit / 8] ^ 1 << bit % 8);
    }
    for (size_t len = 0; len < bytes.len; len++) {
        char *cut = med_malloc(len + 1); /* exactly, for the address sanitizer */
        memcpy(cut, bytes.data, len);
        struct med_str text = {.ptr = cut, .len = len};
        assert_int_equal(keys_parse(text, &back, &err), MED_E_CORRUPT);
        med_free(cut);
    }
    med_buf_free(&bytes);
    keys_free(&set);
}

/* The text with a checksum that fits. */
static enum med_code parse_signed(const char *text)
{
    struct med_buf bytes;
    struct key_set set;
    char hex[MED_HASH_HEX_LEN + 1];
    med_buf_init(&bytes, KEYS_FILE_BYTES_MAX);
    med_buf_puts(&bytes, text);
    med_hash128_hex(med_hash128(bytes.data, bytes.len), hex);
    med_buf_printf(&bytes, "xxh3:%s\n", hex);
    enum med_code code = keys_parse(med_buf_str(&bytes), &set, NULL);
    if (!code) keys_free(&set);
    med_buf_free(&bytes);
    return code;
}

#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define KEY(id, name, hash, scopes, sources, rate, created, expires)                               \
    "{\"id\":\"" id "\",\"name\":\"" name "\",\"hash\":\"" hash "\",\"scopes\":\"" scopes          \
    "\",\"sources\":\"" sources "\",\"rate\":\"" rate "\",\"created\":" created                    \
    ",\"expires\":" expires "}"
#define FILE_OF(keys) "{\"version\":1,\"keys\":[" keys "]}\n"
#define GOOD KEY("0a1b2c3d", "a", HASH, "search", "", "", "1", "0")

static void a_checksum_that_fits_makes_no_nonsense_a_key(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "[]\n", "{}\n", "{\"version\":1}\n",
        "{\"version\":1,\"keys\":{}}\n", "{\"version\":\"1\",\"keys\":[]}\n", FILE_OF("1"),
        FILE_OF("{}"), FILE_OF(KEY("0a1b2c3", "a", HASH, "search", "", "", "1", "0")),
        FILE_OF(KEY("0A1B2C3D", "a", HASH, "search", "", "", "1", "0")),
        FILE_OF(KEY("0a1b2c3d", "", HASH, "search", "", "", "1", "0")),
        FILE_OF(KEY("0a1b2c3d", "a b", HASH, "search", "", "", "1", "0")),
        FILE_OF(KEY("0a1b2c3d", "a", HASH "00", "search", "", "", "1", "0")),
        FILE_OF(KEY("0a1b2c3d", "a", "zz", "search", "", "", "1", "0")),
        FILE_OF(KEY("0a1b2c3d", "a", HASH, "", "", "", "1", "0")),
        FILE_OF(KEY("0a1b2c3d", "a", HASH, "root", "", "", "1", "0")),
        FILE_OF(KEY("0a1b2c3d", "a", HASH, "search", "web", "", "1", "0")),
        FILE_OF(KEY("0a1b2c3d", "a", HASH, "search", "", "fast", "1", "0")),
        FILE_OF(KEY("0a1b2c3d", "a", HASH, "search", "", "", "-1", "0")),
        FILE_OF(KEY("0a1b2c3d", "a", HASH, "search", "", "", "1", "1e99")),
        FILE_OF(KEY("0a1b2c3d", "a", HASH, "search", "", "", "1", "\"0\"")), FILE_OF(GOOD "," GOOD),
        FILE_OF(GOOD "," KEY("0a1b2c3e", "b", HASH, "search", "", "", "1", "0"))};
    assert_int_equal(parse_signed(FILE_OF("")), MED_OK);
    assert_int_equal(parse_signed(FILE_OF(GOOD)), MED_OK);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (parse_signed(wrong[i]) != MED_E_CORRUPT) fail_msg("accepted: %s", wrong[i]);
    }
    assert_int_equal(parse_signed("{\"version\":2,\"keys\":[]}\n"), MED_E_UNSUPPORTED);
}

static void failing_allocations_are_errors(void **state)
{
    (void)state;
    struct key_set set = make_set(3, NULL), back;
    struct med_buf bytes;
    write_set(&set, &bytes);
    enum med_code code = MED_E_NOMEM;
    for (uint64_t n = 1; code != MED_OK; n++) {
        med_mem_fail_after(n);
        code = keys_parse(med_buf_str(&bytes), &back, NULL);
        med_mem_fail_after(0);
        if (code) assert_true(code == MED_E_NOMEM || code == MED_E_CORRUPT);
        assert_true(n < 10000);
    }
    keys_free(&back);
    for (uint64_t n = 1; n < 12; n++) {
        struct med_buf out;
        med_buf_init(&out, KEYS_FILE_BYTES_MAX);
        med_mem_fail_after(n);
        keys_write(&set, &out);
        med_mem_fail_after(0);
        /* Whole or marked: a file without the sources of its keys would widen them. */
        if (!out.code) assert_true(med_str_eq(med_buf_str(&out), med_buf_str(&bytes)));
        med_buf_free(&out);
    }
    med_buf_free(&bytes);
    keys_free(&set);
}

static void a_secret_is_found_and_its_neighbours_are_not(void **state)
{
    (void)state;
    enum { COUNT = 50 };
    static char secrets[COUNT][SECRET_LEN + 1];
    struct key_set set = make_set(COUNT, secrets);
    for (size_t i = 0; i < COUNT; i++) {
        struct med_str secret = med_str_of(secrets[i]);
        assert_true(secret_well_formed(secret));
        assert_ptr_equal(keys_find(&set, secret), &set.items[i]);
        assert_ptr_equal(keys_named(&set, med_str_of(set.items[i].id)), &set.items[i]);
        assert_ptr_equal(keys_named(&set, med_str_of(set.items[i].name)), &set.items[i]);
        for (size_t at = 0; at < SECRET_LEN; at++) {
            secrets[i][at] ^= 1;
            assert_false(secret_well_formed(secret));
            assert_null(keys_find(&set, secret));
            secrets[i][at] ^= 1;
        }
        assert_false(secret_well_formed(med_str_sub(secret, 0, SECRET_LEN - 1)));
        assert_false(secret_well_formed((struct med_str){0}));
    }
    assert_null(keys_named(&set, MED_STR("nobody")));
    assert_null(keys_named(&set, (struct med_str){0}));
    keys_free(&set);
}

/* --- changes --- */

static enum med_code append_key(void *ctx, struct key_set *set, struct med_err *err)
{
    struct key_set *more = ctx;
    size_t cap = set->count;
    (void)err;
    assert_true(med_grow(&set->items, &cap, set->count + 1, sizeof *set->items));
    set->items[set->count++] = more->items[0];
    return MED_OK;
}

static void a_change_survives_or_never_was_at_every_failing_write(void **state)
{
    (void)state;
    struct key_set first = make_set(1, NULL), second = make_set(1, NULL), seen;
    struct med_faulty_fs *faulty;
    char dir[MED_PATH_MAX];
    snprintf(second.items[0].name, sizeof second.items[0].name, "second");
    bool done = false;
    for (uint64_t n = 1; !done; n++) {
        med_test_temp_new(dir);
        assert_int_equal(keys_load(dir, &seen, NULL), MED_OK);
        assert_false(seen.asked);
        assert_int_equal(keys_change(dir, NULL, append_key, &first, NULL), MED_OK);
        assert_int_equal(med_faulty_fs_new(dir, n, &faulty, NULL), MED_OK);
        med_faulty_fs_fail_once(faulty, n);
        enum med_code code =
            keys_change(dir, med_faulty_fs_seam(faulty), append_key, &second, NULL);
        assert_int_equal(keys_load(dir, &seen, NULL), MED_OK);
        assert_true(seen.count == 2 || (code && seen.count == 1));
        keys_free(&seen);
        done = code == MED_OK;
        med_faulty_fs_free(&faulty);
        med_test_temp_remove(dir);
        assert_true(n < 100);
    }
    keys_free(&first);
    keys_free(&second);
}

static void only_the_owner_may_write_and_read(void **state)
{
    (void)state;
    struct key_set one = make_set(1, NULL), seen;
    char dir[MED_PATH_MAX], path[MED_PATH_MAX];
    struct stat st;
    med_test_temp_new(dir);
    assert_int_equal(keys_change(dir, NULL, append_key, &one, NULL), MED_OK);
    assert_int_equal(med_path_join(path, dir, "keys", NULL), MED_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(chmod(path, 0620), 0);
    assert_int_equal(keys_load(dir, &seen, NULL), MED_E_PERMISSION);
    med_test_temp_remove(dir);
    keys_free(&one);
}

/* --- words --- */

static void words_are_read_and_written(void **state)
{
    (void)state;
    struct rate rate;
    char text[RATE_TEXT_MAX];
    static const char *const rates[] = {"1/s", "600/min", "1000000000/h"};
    static const char *const no_rates[] = {"", "1", "/s", "1/", "0/s", "-1/s", "1.5/s", "1/d",
        "1/s/s", "1000000001/s", "1/S", "x/s", "99999999999999999999/s"};
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        assert_int_equal(rate_parse(med_str_of(rates[i]), &rate, NULL), MED_OK);
        rate_text(rate, text);
        assert_string_equal(text, rates[i]);
    }
    for (size_t i = 0; i < sizeof no_rates / sizeof *no_rates; i++)
        assert_int_equal(rate_parse(med_str_of(no_rates[i]), &rate, NULL), MED_E_USAGE);
    int64_t at;
    assert_int_equal(expiry_parse(MED_STR("2027-01-31"), &at, NULL), MED_OK);
    assert_int_equal(at, 1801440000); /* the end of the day */
    assert_int_equal(expiry_parse(MED_STR("2027-01-31T12:00:01Z"), &at, NULL), MED_OK);
    assert_int_equal(at, 1801396801);
    static const char *const no_dates[] = {"", "2027", "2027-02-29", "2027-13-01", "2027-1-31",
        "31.01.2027", "2027-01-31T12:00:00", "2027-01-31 12:00:00Z", "1960-01-01", "2027-01-3x"};
    for (size_t i = 0; i < sizeof no_dates / sizeof *no_dates; i++)
        assert_int_equal(expiry_parse(med_str_of(no_dates[i]), &at, NULL), MED_E_USAGE);
    unsigned scopes;
    uint32_t mask;
    assert_int_equal(scopes_parse(MED_STR("admin, SEARCH"), &scopes, NULL), MED_OK);
    assert_int_equal(scopes, SCOPE_ALL);
    assert_int_equal(scopes_parse(MED_STR("admin,"), &scopes, NULL), MED_E_USAGE);
    assert_int_equal(sources_parse(MED_STR("guideline,pubmed"), &mask, NULL), MED_OK);
    assert_int_equal(mask, 1u << MED_SOURCE_GUIDELINE | 1u << MED_SOURCE_PUBMED);
    assert_int_equal(sources_parse(MED_STR(""), &mask, NULL), MED_E_USAGE);
}

/* --- token buckets --- */

static void a_bucket_gives_its_rate_and_no_more(void **state)
{
    (void)state;
    struct med_rng rng;
    med_rng_seed(&rng, med_test_seed());
    struct bucket b = {.rate = {.count = 10, .window_s = 60}};
    uint64_t now = 5 * SECOND_NS, end = now + 3600 * SECOND_NS;
    unsigned taken = 0, refused = 0;
    uint32_t wait;
    while (now < end) {
        if (bucket_take(&b, now, &wait)) {
            taken++;
        } else {
            refused++;
            assert_in_range(wait, 1, 6);
            struct bucket copy = b; /* after the wait there is one */
            assert_true(bucket_take(&copy, now + wait * SECOND_NS, &wait));
        }
        now += med_rng_u64(&rng) % (2 * SECOND_NS);
    }
    assert_in_range(taken, 600, 610); /* 10 a minute for an hour, and the burst at the start */
    assert_true(refused > 100);
}

static void a_batch_goes_into_debt_and_is_paid_for(void **state)
{
    (void)state;
    struct bucket b = {.rate = {.count = 4, .window_s = 1}};
    uint32_t wait = 0, left, full;
    assert_true(bucket_take(&b, SECOND_NS, &wait));
    bucket_charge(&b, SECOND_NS, 15);
    bucket_state(&b, SECOND_NS, &left, &full);
    assert_int_equal(left, 0);
    assert_int_equal(full, 4); /* 16 tokens at 4 a second */
    assert_false(bucket_take(&b, SECOND_NS, &wait));
    assert_int_equal(wait, 4); /* 12 of debt and 1 */
    assert_false(bucket_take(&b, 4 * SECOND_NS, &wait));
    assert_true(bucket_take(&b, 5 * SECOND_NS, &wait));
    struct bucket open = {0};
    bucket_charge(&open, SECOND_NS, 1000);
    assert_true(bucket_take(&open, SECOND_NS, &wait));
    /* A clock that stands still or goes back gives nothing away. */
    struct bucket still = {.rate = {.count = 1, .window_s = 1}};
    assert_true(bucket_take(&still, 9 * SECOND_NS, &wait));
    assert_false(bucket_take(&still, 9 * SECOND_NS, &wait));
    assert_false(bucket_take(&still, 8 * SECOND_NS, &wait));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(every_damaged_bit_and_every_cut_is_found),
        cmocka_unit_test(a_checksum_that_fits_makes_no_nonsense_a_key),
        cmocka_unit_test(failing_allocations_are_errors),
        cmocka_unit_test(a_secret_is_found_and_its_neighbours_are_not),
        cmocka_unit_test(a_change_survives_or_never_was_at_every_failing_write),
        cmocka_unit_test(only_the_owner_may_write_and_read),
        cmocka_unit_test(words_are_read_and_written),
        cmocka_unit_test(a_bucket_gives_its_rate_and_no_more),
        cmocka_unit_test(a_batch_goes_into_debt_and_is_paid_for),
    };
    return cmocka_run_group_tests_name("keys", tests, NULL, NULL);
}

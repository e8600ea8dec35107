/* Errors, memory, slices, arenas, buffers, hashes, time, random numbers, CPU level, parallel loops.
 */
#include "common/arena.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/cpu.h"
#include "common/hash.h"
#include "common/mem.h"
#include "common/parallel.h"
#include "common/progress.h"
#include "common/rng.h"
#include "tests/support/support.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* --- errors --- */

static void an_error_carries_its_sentence_and_code(void **state)
{
    (void)state;
    struct med_err err = {0};
    assert_int_equal(med_fail(&err, MED_E_LIMIT, "%d is too many", 7), MED_E_LIMIT);
    assert_int_equal(err.code, MED_E_LIMIT);
    assert_string_equal(err.text, "7 is too many");
    med_err_prefix(&err, "file %s", "a.xml");
    assert_string_equal(err.text, "file a.xml: 7 is too many");
    assert_int_equal(err.code, MED_E_LIMIT);
    assert_int_equal(med_fail(NULL, MED_E_IO, "nobody listens"), MED_E_IO);
    med_err_prefix(NULL, "nobody");
}

static void an_error_that_is_too_long_is_cut(void **state)
{
    (void)state;
    char longer[2 * MED_ERR_TEXT_MAX];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    struct med_err err;
    assert_int_equal(med_fail(&err, MED_E_IO, "%s", longer), MED_E_IO);
    assert_int_equal(strlen(err.text), MED_ERR_TEXT_MAX - 1);
    med_err_prefix(&err, "%s", longer);
    assert_int_equal(strlen(err.text), MED_ERR_TEXT_MAX - 1);
    assert_int_equal(med_fail_errno(&err, ENOSPC, "%s", longer), MED_E_NO_SPACE);
    assert_int_equal(strlen(err.text), MED_ERR_TEXT_MAX - 1);
}

static void system_errors_become_codes(void **state)
{
    (void)state;
    struct med_err err;
    assert_int_equal(med_fail_errno(&err, ENOSPC, "cannot write %s", "x"), MED_E_NO_SPACE);
    assert_string_equal(err.text, "cannot write x: No space left on device");
    assert_int_equal(med_fail_errno(NULL, EACCES, "x"), MED_E_PERMISSION);
    assert_int_equal(med_fail_errno(NULL, ENOENT, "x"), MED_E_NOT_FOUND);
    assert_int_equal(med_fail_errno(NULL, EEXIST, "x"), MED_E_CONFLICT);
    assert_int_equal(med_fail_errno(NULL, EIO, "x"), MED_E_IO);
    assert_int_equal(med_fail_errno(NULL, 99999, "x"), MED_E_IO);
}

static void every_code_has_a_name_of_its_own_and_an_exit_status(void **state)
{
    (void)state;
    for (int i = 0; i < MED_CODE_COUNT; i++) {
        assert_true(strlen(med_code_name((enum med_code)i)) > 0);
        assert_true((med_code_exit_status((enum med_code)i) == 0) == (i == MED_OK));
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(
                med_code_name((enum med_code)i), med_code_name((enum med_code)j));
        }
    }
    assert_string_equal(med_code_name(MED_E_CORRUPT), "corrupt");
    assert_int_equal(med_code_exit_status(MED_E_USAGE), 2);
    assert_int_equal(med_code_exit_status(MED_E_CANCELLED), 130);
    assert_string_equal(med_code_name(MED_CODE_COUNT), "unknown");
    assert_int_equal(med_code_exit_status(MED_CODE_COUNT), 70);
}

/* --- memory --- */

static void size_arithmetic_notices_overflow(void **state)
{
    (void)state;
    size_t x = 5;
    assert_false(med_size_mul(SIZE_MAX, 2, &x));
    assert_false(med_size_add(SIZE_MAX, 1, &x));
    assert_int_equal(x, 5);
    assert_true(med_size_mul(3, 4, &x));
    assert_int_equal(x, 12);
    assert_true(med_size_add(3, 4, &x));
    assert_int_equal(x, 7);
    volatile size_t huge = SIZE_MAX / 2;
    assert_null(med_realloc_array(NULL, huge, 3));
    assert_null(med_calloc(huge, 3));
    assert_null(med_aligned_alloc(SIZE_MAX - (huge - huge)));
}

static void allocations_of_nothing_are_something(void **state)
{
    (void)state;
    void *a = med_malloc(0), *b = med_calloc(0, 8), *c = med_aligned_alloc(0);
    void *d = med_realloc_array(NULL, 0, 8);
    assert_true(a && b && c && d);
    assert_int_equal((uintptr_t)c % 64, 0);
    med_free(a);
    med_free(b);
    med_free(c);
    med_free(d);
    med_free(NULL);
    char *s = med_strndup(NULL, 0);
    assert_string_equal(s, "");
    med_free(s);
}

static void the_nth_allocation_fails_once(void **state)
{
    (void)state;
    med_mem_fail_after(2);
    void *first = med_malloc(1);
    assert_non_null(first);
    assert_null(med_malloc(1));
    void *third = med_malloc(1);
    assert_non_null(third);
    med_free(first);
    med_free(third);
    med_mem_fail_after(1);
    med_mem_fail_after(0);
    void *fourth = med_calloc(1, 1);
    assert_non_null(fourth);
    med_free(fourth);
}

static void growing_keeps_the_elements_and_survives_failure(void **state)
{
    (void)state;
    uint32_t *items = NULL;
    size_t cap = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        assert_true(med_grow(&items, &cap, i + 1, sizeof *items));
        items[i] = i * 3;
    }
    assert_true(cap >= 1000 && cap <= 2048);
    size_t cap_before = cap;
    med_mem_fail_after(1);
    assert_false(med_grow(&items, &cap, cap + 1, sizeof *items));
    assert_int_equal(cap, cap_before);
    assert_false(med_grow(&items, &cap, SIZE_MAX, sizeof *items));
    for (uint32_t i = 0; i < 1000; i++) assert_int_equal(items[i], i * 3);
    med_free(items);
}

/* --- slices --- */

static void slices_compare_as_bytes(void **state)
{
    (void)state;
    struct med_str nothing = {0};
    assert_true(med_str_eq(nothing, MED_STR("")));
    assert_true(med_str_eq_nocase(MED_STR("HbA1c"), MED_STR("hba1C")));
    assert_false(med_str_eq_nocase(MED_STR("[a"), MED_STR("{a")));
    assert_true(med_str_starts(MED_STR("pmid:1"), MED_STR("pmid:")));
    assert_false(med_str_starts(MED_STR("pm"), MED_STR("pmid:")));
    assert_true(med_str_ends(MED_STR("a.xml.gz"), MED_STR(".gz")));
    assert_false(med_str_ends(MED_STR("z"), MED_STR(".gz")));
    assert_true(med_str_starts(nothing, nothing) && med_str_ends(nothing, nothing));
    assert_true(med_str_cmp(MED_STR("a"), MED_STR("b")) < 0);
    assert_true(med_str_cmp(MED_STR("ab"), MED_STR("a")) > 0);
    assert_true(med_str_cmp(MED_STR("\xff"), MED_STR("a")) > 0);
    assert_int_equal(med_str_cmp(nothing, nothing), 0);
    assert_true(med_str_eq(med_str_trim(MED_STR(" \t a b\r\n")), MED_STR("a b")));
    assert_int_equal(med_str_trim(MED_STR(" \n ")).len, 0);
    assert_int_equal(med_str_trim(nothing).len, 0);
}

static void numbers_are_parsed_whole_or_not_at_all(void **state)
{
    (void)state;
    unsigned long long u = 1;
    assert_true(med_str_to_u64(MED_STR("18446744073709551615"), &u));
    assert_true(u == UINT64_MAX);
    static const char *const not_u64[] = {
        "", "-1", "+1", " 1", "1 ", "1x", "0x10", "18446744073709551616"};
    for (size_t i = 0; i < sizeof not_u64 / sizeof *not_u64; i++) {
        assert_false(med_str_to_u64(med_str_of(not_u64[i]), &u));
    }
    assert_true(u == UINT64_MAX);
    long long s = 1;
    assert_true(med_str_to_i64(MED_STR("-9223372036854775808"), &s));
    assert_true(s == INT64_MIN);
    assert_false(med_str_to_i64(MED_STR("9223372036854775808"), &s));
    assert_false(med_str_to_i64(MED_STR("-9223372036854775809"), &s));
    assert_false(med_str_to_i64(MED_STR("-"), &s));
    assert_false(med_str_to_i64(MED_STR("--1"), &s));
    double d = 1;
    assert_true(med_str_to_double(MED_STR("-1.5e-3"), &d));
    assert_true(fabs(d + .0015) < 1e-18);
    assert_true(med_str_to_double(MED_STR(".5"), &d) && med_str_to_double(MED_STR("5."), &d));
    static const char *const not_double[] = {
        "", ".", "-", "1e", "1e+", "inf", "nan", "0x1p3", " 1", "1 ", "1e999", "1,5", "1.2.3"};
    for (size_t i = 0; i < sizeof not_double / sizeof *not_double; i++) {
        assert_false(med_str_to_double(med_str_of(not_double[i]), &d));
    }
    assert_true(fabs(d - 5) < 1e-18);
}

/* --- arenas --- */

static void an_arena_hands_out_aligned_memory_up_to_its_cap(void **state)
{
    (void)state;
    struct med_arena *arena;
    assert_int_equal(med_arena_new(1024, &arena, NULL), MED_OK);
    char *a = med_arena_alloc(arena, 1), *b = med_arena_alloc(arena, 17);
    assert_int_equal((uintptr_t)a % 16 + (uintptr_t)b % 16, 0);
    assert_int_equal(med_arena_used(arena), 48);
    assert_null(med_arena_alloc(arena, 1000));
    assert_null(med_arena_alloc(arena, SIZE_MAX));
    volatile size_t huge = SIZE_MAX / 2;
    assert_null(med_arena_calloc(arena, huge, 3));
    assert_non_null(med_arena_alloc(arena, 976)); /* what failed took nothing */
    assert_null(med_arena_alloc(arena, 1));
    med_arena_free(&arena);
    assert_null(arena);
    med_arena_free(&arena);
}

static void what_an_arena_handed_out_stays_until_reset(void **state)
{
    (void)state;
    struct med_arena *arena;
    assert_int_equal(med_arena_new(1 << 24, &arena, NULL), MED_OK);
    for (int round = 0; round < 3; round++) {
        uint8_t *pieces[300];
        for (size_t i = 0; i < 300; i++) {
            pieces[i] = med_arena_alloc(arena, i * 37 % 5000 + 1);
            assert_non_null(pieces[i]);
            memset(pieces[i], (int)(i & 0xff), i * 37 % 5000 + 1);
        }
        for (size_t i = 0; i < 300; i++) {
            assert_int_equal(pieces[i][0], i & 0xff);
            assert_int_equal(pieces[i][i * 37 % 5000], i & 0xff);
        }
        med_arena_reset(arena);
        assert_int_equal(med_arena_used(arena), 0);
    }
    med_arena_free(&arena);
}

static void an_arena_copies_text(void **state)
{
    (void)state;
    struct med_arena *arena;
    assert_int_equal(med_arena_new(1 << 16, &arena, NULL), MED_OK);
    struct med_str copy = MED_STR("old");
    assert_true(med_arena_str(arena, MED_STR("sepsis"), &copy));
    assert_true(med_str_eq(copy, MED_STR("sepsis")));
    assert_true(med_arena_str(arena, (struct med_str){0}, &copy));
    assert_null(copy.ptr);
    assert_string_equal(med_arena_strndup(arena, "abcdef", 3), "abc");
    assert_string_equal(med_arena_printf(arena, "%s~%d", "pmid:1", 4), "pmid:1~4");
    uint8_t *zeroes = med_arena_calloc(arena, 10, 10);
    for (size_t i = 0; i < 100; i++) assert_int_equal(zeroes[i], 0);
    med_arena_free(&arena);
}

static void an_arena_survives_every_failed_allocation(void **state)
{
    (void)state;
    bool done = false;
    for (uint64_t n = 1; !done; n++) {
        struct med_arena *arena = NULL;
        struct med_err err;
        med_mem_fail_after(n);
        enum med_code code = med_arena_new(1 << 24, &arena, &err);
        bool ok = code == MED_OK;
        for (size_t i = 0; ok && i < 100; i++) ok = med_arena_printf(arena, "%04096zu", i) != NULL;
        med_mem_fail_after(0);
        assert_true(ok || code == MED_E_NOMEM || med_arena_printf(arena, "again") != NULL);
        med_arena_free(&arena);
        done = ok;
    }
}

/* --- buffers --- */

static void a_buffer_collects_and_ends_with_nul(void **state)
{
    (void)state;
    struct med_buf buf;
    med_buf_init(&buf, 1000);
    assert_null(buf.data);
    med_buf_append(&buf, NULL, 0);
    assert_int_equal(med_buf_status(&buf, NULL), MED_OK);
    med_buf_puts(&buf, "dose ");
    med_buf_putc(&buf, '=');
    med_buf_append_str(&buf, MED_STR(" 5 mg"));
    med_buf_printf(&buf, " (%d%%)", 40);
    assert_string_equal(buf.data, "dose = 5 mg (40%)");
    memcpy(med_buf_extend(&buf, 2), "ab", 2);
    assert_string_equal(buf.data, "dose = 5 mg (40%)ab");
    assert_true(med_str_eq(med_buf_str(&buf), MED_STR("dose = 5 mg (40%)ab")));
    med_buf_reset(&buf);
    assert_int_equal(buf.len, 0);
    med_buf_free(&buf);
    assert_null(buf.data);
}

static void a_buffer_stops_at_its_maximum_and_says_so_at_the_end(void **state)
{
    (void)state;
    struct med_buf buf;
    med_buf_init(&buf, 10);
    med_buf_puts(&buf, "0123456789");
    assert_int_equal(med_buf_status(&buf, NULL), MED_OK);
    med_buf_printf(&buf, "%s", "");
    assert_int_equal(med_buf_status(&buf, NULL), MED_OK);
    med_buf_printf(&buf, "%d", 5);
    med_buf_puts(&buf, "");
    struct med_err err;
    assert_int_equal(med_buf_status(&buf, &err), MED_E_LIMIT);
    assert_non_null(strstr(err.text, "10 bytes"));
    assert_string_equal(buf.data, "0123456789");
    assert_null(med_buf_extend(&buf, 0));
    med_buf_reset(&buf);
    med_buf_append(&buf, "x", SIZE_MAX); /* refused before a byte is read */
    assert_int_equal(med_buf_status(&buf, NULL), MED_E_LIMIT);
    med_buf_free(&buf);
}

static void a_buffer_fails_softly_at_every_allocation(void **state)
{
    (void)state;
    bool done = false;
    for (uint64_t n = 1; !done; n++) {
        struct med_buf buf;
        med_buf_init(&buf, 1 << 20);
        med_mem_fail_after(n);
        for (int i = 0; i < 1000; i++) med_buf_printf(&buf, "%d,", i);
        med_mem_fail_after(0);
        struct med_err err;
        enum med_code code = med_buf_status(&buf, &err);
        assert_true(code == MED_OK || code == MED_E_NOMEM);
        assert_true(buf.len == 0 || strlen(buf.data) == buf.len);
        med_buf_free(&buf);
        done = code == MED_OK;
        assert_true(n < 100);
    }
}

static void integers_come_back_as_they_went_in(void **state)
{
    (void)state;
    static const uint64_t values[] = {
        0, 1, 127, 128, 300, 16383, 16384, UINT32_MAX, 1ull << 56, 1ull << 63, UINT64_MAX};
    size_t count = sizeof values / sizeof *values;
    struct med_buf buf;
    med_buf_init(&buf, 1000);
    for (size_t i = 0; i < count; i++) {
        med_buf_put_varint(&buf, values[i]);
        med_buf_put_u64(&buf, values[i]);
        med_buf_put_u32(&buf, (uint32_t)values[i]);
    }
    med_buf_puts(&buf, "tail");
    struct med_reader r = med_reader_of(buf.data, buf.len);
    for (size_t i = 0; i < count; i++) {
        assert_true(med_read_varint(&r) == values[i]);
        assert_true(med_read_u64(&r) == values[i]);
        assert_true(med_read_u32(&r) == (uint32_t)values[i]);
    }
    assert_true(med_str_eq(med_read_bytes(&r, 4), MED_STR("tail")));
    assert_true(r.ok && r.pos == r.end);
    assert_int_equal(med_read_u8(&r), 0);
    assert_false(r.ok);
    med_buf_free(&buf);
    med_buf_put_u32(&buf, 0x04030201u);
    assert_memory_equal(buf.data, "\1\2\3\4", 4);
    med_buf_free(&buf);
}

static void a_reader_never_passes_the_end(void **state)
{
    (void)state;
    struct med_reader r = med_reader_of("abc", 3);
    assert_int_equal(med_read_u32(&r), 0);
    assert_false(r.ok);
    assert_int_equal(med_read_u8(&r), 0); /* a failed reader stays failed */
    r = med_reader_of("abc", 3);
    assert_int_equal(med_read_bytes(&r, SIZE_MAX).len, 0);
    assert_false(r.ok);
    r = med_reader_of(NULL, 0);
    assert_int_equal(med_read_bytes(&r, 0).len, 0);
    assert_true(r.ok);
    static const char *const too_long[] = {"\x80", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
        "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"};
    for (size_t i = 0; i < 3; i++) {
        r = med_reader_of(too_long[i], strlen(too_long[i]));
        assert_true(med_read_varint(&r) == 0 && !r.ok);
    }
}

/* --- hashes --- */

static void hashes_are_xxh3(void **state)
{
    (void)state;
    assert_true(med_hash64("", 0) == 0x2d06800538d394c2u);
    char hex[MED_HASH_HEX_LEN + 1];
    med_hash128_hex(med_hash128("", 0), hex);
    assert_string_equal(hex, "99aa06d3014798d86001c324468d497f");
    struct med_hash128 back;
    assert_true(med_hash128_from_hex(med_str_of(hex), &back));
    assert_true(med_hash128_eq(back, med_hash128("", 0)));
    assert_false(med_hash128_from_hex(MED_STR("99aa06d3014798d86001c324468d497"), &back));
    assert_false(med_hash128_from_hex(MED_STR("99AA06d3014798d86001c324468d497f"), &back));
    assert_false(med_hash128_from_hex(MED_STR("g9aa06d3014798d86001c324468d497f"), &back));
}

static void a_streamed_hash_equals_the_whole(void **state)
{
    (void)state;
    uint8_t bytes[5000];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 7);
    struct med_hasher *hasher = med_hasher_new();
    for (size_t at = 0, step = 1; at < sizeof bytes; at += step, step = step * 3 % 611 + 1) {
        size_t left = sizeof bytes - at;
        if (step > left) step = left;
        med_hasher_update(hasher, bytes + at, step);
    }
    med_hasher_update(hasher, NULL, 0);
    struct med_hash128 whole = med_hash128(bytes, sizeof bytes);
    assert_true(med_hash128_eq(med_hasher_digest(hasher), whole));
    med_hasher_free(&hasher);
    assert_null(hasher);
    med_mem_fail_after(1);
    assert_null(med_hasher_new());
}

/* --- time, random numbers, processors --- */

static void time_is_written_as_people_read_it(void **state)
{
    (void)state;
    char text[MED_TIME_TEXT_LEN + 1];
    med_time_text(1772366400, text);
    assert_string_equal(text, "2026-03-01T12:00:00Z");
    med_time_text(0, text);
    assert_string_equal(text, "1970-01-01T00:00:00Z");
    med_time_text(INT64_MAX, text);
    assert_string_equal(text, "9999-12-31T23:59:59Z");
    med_time_text(INT64_MIN, text);
    assert_string_equal(text, "0000-01-01T00:00:00Z");
    uint64_t before = med_now_ns();
    assert_true(med_now_ns() >= before);
    assert_true(med_unix_time_s() > 1700000000);
}

static void random_numbers_repeat_and_are_spread(void **state)
{
    (void)state;
    struct med_rng a, b;
    med_rng_seed(&a, 42);
    med_rng_seed(&b, 42);
    for (int i = 0; i < 100; i++) assert_true(med_rng_u64(&a) == med_rng_u64(&b));
    /* The first outputs of the reference implementation for the state 1, 2, 3, 4. */
    struct med_rng known = {.s = {1, 2, 3, 4}};
    assert_true(med_rng_u64(&known) == 11520);
    assert_true(med_rng_u64(&known) == 0);
    assert_true(med_rng_u64(&known) == 1509978240);

    unsigned counts[7] = {0};
    for (int i = 0; i < 70000; i++) counts[med_rng_below(&a, 7)]++;
    for (int i = 0; i < 7; i++) assert_true(counts[i] > 9500 && counts[i] < 10500);
    assert_true(med_rng_below(&a, 1) == 0);
    double sum = 0, squares = 0;
    for (int i = 0; i < 50000; i++) {
        double u = med_rng_unit(&a), x = med_rng_normal(&a);
        assert_true(u >= 0 && u < 1);
        sum += x;
        squares += x * x;
    }
    assert_true(fabs(sum / 50000) < .03);
    assert_true(fabs(squares / 50000 - 1) < .03);
}

static void the_processor_level_has_a_name(void **state)
{
    (void)state;
    assert_string_equal(med_cpu_name(MED_CPU_AVX2), "avx2");
    const char *wanted = getenv("MEDICUS_CPU");
    if (wanted && strcmp(wanted, "portable") == 0) {
        assert_int_equal(med_cpu_level(), MED_CPU_PORTABLE);
    }
    assert_int_equal(med_cpu_level(), med_cpu_level());
    assert_true(med_cpu_count() >= 1);
}

/* --- parallel loops --- */

struct visits {
    _Atomic uint32_t *counts;
    uint64_t fail_at; /* UINT64_MAX = never */
    unsigned workers;
};

static enum med_code visit(
    void *ctx, unsigned worker, uint64_t begin, uint64_t end, struct med_err *err)
{
    struct visits *visits = ctx;
    if (worker >= visits->workers || begin >= end) return MED_E_INTERNAL;
    for (uint64_t i = begin; i < end; i++) {
        if (i == visits->fail_at) return med_fail(err, MED_E_CORRUPT, "item %d", (int)i);
        atomic_fetch_add(&visits->counts[i], 1);
    }
    return MED_OK;
}

static void a_parallel_loop_visits_everything_once(void **state)
{
    (void)state;
    static const uint64_t counts[] = {0, 1, 7, 1000}, grains[] = {1, 3, 5000, UINT64_MAX};
    for (size_t c = 0; c < 4; c++) {
        for (size_t g = 0; g < 4; g++) {
            struct visits visits = {.fail_at = UINT64_MAX, .workers = 4};
            visits.counts = med_calloc(counts[c], sizeof *visits.counts);
            enum med_code code = med_parallel_for(4, counts[c], grains[g], visit, &visits, NULL);
            assert_int_equal(code, MED_OK);
            for (uint64_t i = 0; i < counts[c]; i++) assert_int_equal(visits.counts[i], 1);
            med_free(visits.counts);
        }
    }
}

static void the_first_error_ends_a_parallel_loop(void **state)
{
    (void)state;
    struct visits visits = {.fail_at = 500, .workers = 3};
    visits.counts = med_calloc(1000000, sizeof *visits.counts);
    struct med_err err;
    enum med_code code = med_parallel_for(3, 1000000, 10, visit, &visits, &err);
    assert_int_equal(code, MED_E_CORRUPT);
    assert_string_equal(err.text, "item 500");
    assert_int_equal(visits.counts[999999], 0);
    assert_int_equal(med_parallel_for(0, 1000, 10, visit, &visits, NULL), MED_E_CORRUPT);
    med_mem_fail_after(1);
    assert_int_equal(med_parallel_for(2, 1000, 10, visit, &visits, NULL), MED_E_NOMEM);
    med_free(visits.counts);
}

/* Short loops, so that workers are met awake, asleep and late. */
static void a_team_runs_one_loop_after_the_other(void **state)
{
    (void)state;
    enum { LOOPS = 3000, ITEMS = 97 };
    struct med_team *team;
    struct visits visits = {.fail_at = UINT64_MAX, .workers = 4};
    visits.counts = med_calloc(ITEMS, sizeof *visits.counts);
    assert_int_equal(med_team_new(4, &team, NULL), MED_OK);
    for (uint32_t loop = 1; loop <= LOOPS; loop++) {
        assert_int_equal(med_team_for(team, ITEMS, 1 + loop % 40, visit, &visits, NULL), MED_OK);
        for (size_t i = 0; i < ITEMS; i++) assert_int_equal(visits.counts[i], loop);
        if (loop % 1000 == 0) usleep(2000);
    }
    struct med_err err;
    visits.fail_at = 50;
    assert_int_equal(med_team_for(team, ITEMS, 2, visit, &visits, &err), MED_E_CORRUPT);
    assert_string_equal(err.text, "item 50");
    visits.fail_at = UINT64_MAX;
    assert_int_equal(med_team_for(team, ITEMS, 2, visit, &visits, &err), MED_OK);
    assert_int_equal(med_team_for(team, 0, 2, visit, &visits, &err), MED_OK);
    med_team_free(&team);
    assert_null(team);
    for (uint64_t nth = 1; nth <= 2; nth++) {
        med_mem_fail_after(nth);
        assert_int_equal(med_team_new(2, &team, &err), MED_E_NOMEM);
    }
    med_free(visits.counts);
}

static bool stop_at_once(
    void *ctx, const char *stage, uint64_t done, uint64_t total, const char *unit)
{
    (void)stage;
    (void)done;
    (void)total;
    (void)unit;
    ++*(int *)ctx;
    return false;
}

static void progress_without_a_listener_goes_on(void **state)
{
    (void)state;
    assert_true(med_progress(NULL, "train", 1, 2, "steps"));
    struct med_progress silent = {0};
    assert_true(med_progress(&silent, "train", 1, 2, "steps"));
    int calls = 0;
    struct med_progress stopper = {.report = stop_at_once, .ctx = &calls};
    assert_false(med_progress(&stopper, "train", 1, 2, "steps"));
    assert_int_equal(calls, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_carries_its_sentence_and_code),
        cmocka_unit_test(an_error_that_is_too_long_is_cut),
        cmocka_unit_test(system_errors_become_codes),
        cmocka_unit_test(every_code_has_a_name_of_its_own_and_an_exit_status),
        cmocka_unit_test(size_arithmetic_notices_overflow),
        cmocka_unit_test(allocations_of_nothing_are_something),
        cmocka_unit_test(the_nth_allocation_fails_once),
        cmocka_unit_test(growing_keeps_the_elements_and_survives_failure),
        cmocka_unit_test(slices_compare_as_bytes),
        cmocka_unit_test(numbers_are_parsed_whole_or_not_at_all),
        cmocka_unit_test(an_arena_hands_out_aligned_memory_up_to_its_cap),
        cmocka_unit_test(what_an_arena_handed_out_stays_until_reset),
        cmocka_unit_test(an_arena_copies_text),
        cmocka_unit_test(an_arena_survives_every_failed_allocation),
        cmocka_unit_test(a_buffer_collects_and_ends_with_nul),
        cmocka_unit_test(a_buffer_stops_at_its_maximum_and_says_so_at_the_end),
        cmocka_unit_test(a_buffer_fails_softly_at_every_allocation),
        cmocka_unit_test(integers_come_back_as_they_went_in),
        cmocka_unit_test(a_reader_never_passes_the_end),
        cmocka_unit_test(hashes_are_xxh3),
        cmocka_unit_test(a_streamed_hash_equals_the_whole),
        cmocka_unit_test(time_is_written_as_people_read_it),
        cmocka_unit_test(random_numbers_repeat_and_are_spread),
        cmocka_unit_test(the_processor_level_has_a_name),
        cmocka_unit_test(a_parallel_loop_visits_everything_once),
        cmocka_unit_test(the_first_error_ends_a_parallel_loop),
        cmocka_unit_test(a_team_runs_one_loop_after_the_other),
        cmocka_unit_test(progress_without_a_listener_goes_on),
    };
    return cmocka_run_group_tests_name("common", tests, NULL, NULL);
}

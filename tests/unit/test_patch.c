/* The patch of a segment as bytes. What it does to searches is in test_update.c. */
#include "index/patch.h"

#include "common/hash.h"
#include "common/mem.h"
#include "common/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct med_err err;

static const uint64_t some_dead[] = {1ull << 3 | 1ull << 63, 1ull << 2};
static const struct med_patch_work some_works[] = {
    {.work = 7, .doc = 0}, {.work = 9, .doc = 66, .shared = 1}};
static const struct med_patch_term some_terms[] = {{2, 1}, {5, 3}, {1000, 2}};

static struct med_patch some_patch(void)
{
    return (struct med_patch){.doc_count = 70,
        .dead_doc_count = 3,
        .dead_chunk_count = 4,
        .dead_length = 900,
        .work_count = 2,
        .term_count = 3,
        .dead = some_dead,
        .works = some_works,
        .terms = some_terms};
}

static void write_patch(const struct med_patch *patch, struct med_buf *buf)
{
    med_buf_init(buf, 1 << 20);
    assert_int_equal(med_patch_write(patch, buf, &err), MED_OK);
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    struct med_buf buf;
    struct med_patch patch = some_patch(), back;
    write_patch(&patch, &buf);
    assert_int_equal(med_patch_open(buf.data, buf.len, 70, &back, &err), MED_OK);
    for (uint32_t d = 0; d < 70; d++)
        assert_int_equal(med_patch_is_dead(&back, d), d == 3 || d == 63 || d == 66);
    assert_int_equal(back.dead_length, 900);
    assert_int_equal(back.dead_chunk_count, 4);
    assert_int_equal(back.works[1].doc, 66);
    for (uint32_t t = 0; t < 1100; t++)
        assert_int_equal(med_patch_lost(&back, t), t == 2 ? 1 : t == 5 ? 3 : t == 1000 ? 2 : 0);
    med_buf_free(&buf);
}

static void no_bytes_change_nothing(void **state)
{
    (void)state;
    struct med_patch patch;
    assert_int_equal(med_patch_open(NULL, 0, 70, &patch, &err), MED_OK);
    for (uint32_t d = 0; d < 70; d++) assert_false(med_patch_is_dead(&patch, d));
    assert_int_equal(med_patch_lost(&patch, 5), 0);
}

/* One rule broken at a time. */
static void a_patch_that_makes_no_sense_is_refused(void **state)
{
    (void)state;
    const uint64_t beyond[] = {1ull << 3, 1ull << 6};
    const struct med_patch_work twice[] = {{.doc = 4}, {.doc = 4}}, outside[] = {{1, .doc = 70}};
    const struct med_patch_term back[] = {{5, 1}, {4, 1}}, nothing[] = {{5, 0}};
    struct med_patch bad[6];
    for (size_t i = 0; i < 6; i++) bad[i] = some_patch();
    bad[0].dead_doc_count = 2;
    bad[1].dead = beyond;
    bad[1].dead_doc_count = 2;
    bad[2].works = twice;
    bad[3].works = outside;
    bad[3].work_count = 1;
    bad[4].terms = back;
    bad[4].term_count = 2;
    bad[5].terms = nothing;
    bad[5].term_count = 1;
    for (size_t i = 0; i < 6; i++) {
        struct med_buf buf;
        struct med_patch patch;
        write_patch(&bad[i], &buf);
        assert_int_equal(med_patch_open(buf.data, buf.len, 70, &patch, &err), MED_E_CORRUPT);
        med_buf_free(&buf);
    }
    struct med_buf buf;
    struct med_patch patch = some_patch();
    write_patch(&patch, &buf);
    assert_int_equal(med_patch_open(buf.data, buf.len, 71, &patch, &err), MED_E_CORRUPT);
    for (size_t len = 1; len < buf.len; len++)
        assert_int_equal(med_patch_open(buf.data, len, 70, &patch, &err), MED_E_CORRUPT);
    med_buf_free(&buf);
}

/* Flipped bits (that a checksum would find first) are an error or a patch within its bounds. */
static void random_bytes_never_read_outside(void **state)
{
    (void)state;
    struct med_buf buf;
    struct med_patch patch = some_patch();
    struct med_rng rng;
    const char *text = getenv("MEDICUS_SEED");
    uint64_t seed = text ? strtoull(text, NULL, 10) : 1;
    print_message("MEDICUS_SEED=%llu\n", (unsigned long long)seed);
    med_rng_seed(&rng, seed);
    write_patch(&patch, &buf);
    for (int i = 0; i < 20000; i++) {
        uint8_t *copy = med_malloc(buf.len);
        memcpy(copy, buf.data, buf.len);
        for (uint64_t n = med_rng_below(&rng, 3) + 1; n > 0; n--)
            copy[med_rng_below(&rng, buf.len)] ^= (uint8_t)(1u << med_rng_below(&rng, 8));
        if (med_patch_open(copy, buf.len, 70, &patch, &err) == MED_OK) {
            uint32_t dead = 0;
            for (uint32_t d = 0; d < 70; d++) dead += med_patch_is_dead(&patch, d);
            assert_int_equal(dead, patch.dead_doc_count);
            for (uint32_t k = 0; k < patch.work_count; k++) assert_true(patch.works[k].doc < 70);
            (void)med_patch_lost(&patch, (uint32_t)med_rng_below(&rng, 2000));
        }
        med_free(copy);
    }
    med_buf_free(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(no_bytes_change_nothing),
        cmocka_unit_test(a_patch_that_makes_no_sense_is_refused),
        cmocka_unit_test(random_bytes_never_read_outside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

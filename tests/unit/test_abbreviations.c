/* Abbreviations from text: what Schwartz and Hearst's algorithm finds and what it must not find. */
#include "index/abbreviations.h"

#include "common/limits.h"
#include "common/mem.h"
#include "common/rng.h"
#include "tests/support/support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct med_analyzer *analyzer;
static struct med_arena *arena;

static int open_all(void **state)
{
    (void)state;
    return med_analyzer_new(&analyzer, NULL) || med_arena_new(64 * MED_MIB, &arena, NULL);
}

static int close_all(void **state)
{
    (void)state;
    med_analyzer_free(&analyzer);
    med_arena_free(&arena);
    return 0;
}

static size_t find(const char *text, struct med_definition **ret_list)
{
    size_t count = 0;
    assert_int_equal(
        med_definitions_find(med_str_of(text), analyzer, arena, ret_list, &count, NULL), MED_OK);
    return count;
}

/* The text defines exactly this pair; NULL: none. */
static void expect(const char *text, const char *short_form, const char *long_form)
{
    struct med_definition *list;
    size_t count = find(text, &list);
    if (!short_form) {
        if (count)
            fail_msg("\"%s\" gave " MED_STR_FMT " = " MED_STR_FMT, text,
                MED_STR_ARG(list[0].short_form), MED_STR_ARG(list[0].long_form));
        return;
    }
    if (count != 1) fail_msg("\"%s\" gave %zu definitions", text, count);
    if (!med_str_eq(list[0].short_form, med_str_of(short_form)) ||
        !med_str_eq(list[0].long_form, med_str_of(long_form)))
        fail_msg("\"%s\" gave " MED_STR_FMT " = " MED_STR_FMT, text,
            MED_STR_ARG(list[0].short_form), MED_STR_ARG(list[0].long_form));
}

static void both_orders_are_found(void **state)
{
    (void)state;
    expect("Patients with chronic obstructive pulmonary disease (COPD) were asked.", "COPD",
        "chronic obstructive pulmonary disease");
    expect("In COPD (chronic obstructive pulmonary disease) it helps.", "COPD",
        "chronic obstructive pulmonary disease");
    expect("the heat shock transcription factor (HSF) binds", "HSF",
        "heat shock transcription factor");
    expect("measured by enzyme-linked immunosorbent assay (ELISA; Roche)", "ELISA",
        "enzyme-linked immunosorbent assay");
    expect("glycated haemoglobin A1c (HbA1c) fell", "HbA1c", "haemoglobin A1c");
    expect("type 2 diabetes mellitus (T2DM)", "T2DM", "type 2 diabetes mellitus");
    expect("low-density lipoprotein (LDL) cholesterol", "LDL", "low-density lipoprotein");
}

static void what_is_no_definition_is_left_alone(void **state)
{
    (void)state;
    expect("It fell (P < .05) in both groups (n = 12).", NULL, NULL);
    expect("The effect was seen in women (Table 2).", NULL, NULL);
    expect("mortality fell (see below) and (however) rose", NULL, NULL);
    expect("(COPD)", NULL, NULL);
    expect("", NULL, NULL);
    expect("unclosed (COPD", NULL, NULL);
    expect("a ) b ( c", NULL, NULL);
    expect("COPD is common. It is treated (COPD)", NULL, NULL);
    expect("in the United Kingdom. Deaths were rare (UKD)", NULL, NULL);
}

static void the_same_pair_counts_once_per_document(void **state)
{
    (void)state;
    struct med_definition *list;
    assert_int_equal(find("randomized controlled trials (RCT) and a randomized controlled trial "
                          "(RCT) and randomised clinical trial (RCT)",
                         &list),
        2);
    assert_true(med_str_eq(list[0].key, MED_STR("random control trial")));
}

static void add(struct med_abbreviation_counter *c, const char *text)
{
    struct med_definition *list;
    size_t count = find(text, &list);
    assert_int_equal(count, 1);
    assert_int_equal(med_abbreviation_counter_add(c, list, count, NULL), MED_OK);
}

static void rare_and_minor_meanings_are_dropped(void **state)
{
    (void)state;
    struct med_abbreviation_counter *c;
    struct med_abbreviation *kept;
    size_t count;
    assert_int_equal(med_abbreviation_counter_new(&c, NULL), MED_OK);
    for (int i = 0; i < 30; i++) add(c, "the multiple sclerosis (MS) group");
    for (int i = 0; i < 10; i++) add(c, "by mass spectrometry (MS)");
    for (int i = 0; i < 2; i++) add(c, "with mitral stenosis (MS)");
    add(c, "a rare syndrome (RS)");
    assert_int_equal(med_abbreviation_counter_keep(c, 2, 0.1, arena, &kept, &count, NULL), MED_OK);
    assert_int_equal(count, 2);
    assert_true(med_str_eq(kept[0].long_form, MED_STR("multiple sclerosis")));
    assert_int_equal(kept[0].doc_count, 30);
    assert_int_equal(kept[0].short_form_docs, 42);
    assert_true(med_str_eq(kept[1].long_form, MED_STR("mass spectrometry")));
    med_abbreviation_counter_free(&c);
    assert_null(c);
}

static void any_bytes_are_survived(void **state)
{
    (void)state;
    static const char alphabet[] = "aB1 ().;,\n-\xc3\xa9=";
    uint64_t seed = med_test_seed();
    struct med_rng rng;
    med_rng_seed(&rng, seed);
    for (int round = 0; round < 2000; round++) {
        char text[128];
        size_t len = med_rng_below(&rng, sizeof text);
        for (size_t i = 0; i < len; i++)
            text[i] = alphabet[med_rng_below(&rng, sizeof alphabet - 1)];
        struct med_definition *list;
        size_t count;
        struct med_str all = {.ptr = text, .len = len};
        assert_int_equal(med_definitions_find(all, analyzer, arena, &list, &count, NULL), MED_OK);
        for (size_t i = 0; i < count; i++)
            assert_true(list[i].long_form.len > list[i].short_form.len);
        med_arena_reset(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_orders_are_found),
        cmocka_unit_test(what_is_no_definition_is_left_alone),
        cmocka_unit_test(the_same_pair_counts_once_per_document),
        cmocka_unit_test(rare_and_minor_meanings_are_dropped),
        cmocka_unit_test(any_bytes_are_survived),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}

/* The randomisation test against all sign patterns, comparisons, sweeps, evidence in text, and the
 * passage that is shown. */
#include "index/eval.h"

#include "common/limits.h"
#include "common/rng.h"
#include "index/internal.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* The definition: the share of all 2^n sign patterns that are at least as extreme. */
static double enumerate(const double *differences, size_t count)
{
    double observed = 0;
    for (size_t i = 0; i < count; i++) observed += differences[i];
    uint64_t extreme = 0;
    for (uint64_t pattern = 0; pattern < 1ull << count; pattern++) {
        double sum = 0;
        for (size_t i = 0; i < count; i++)
            sum += pattern >> i & 1 ? -differences[i] : differences[i];
        extreme += fabs(sum) >= fabs(observed) - 1e-9;
    }
    return (double)extreme / (double)(1ull << count);
}

static void draw(struct med_rng *rng, double *differences, size_t count, double shift)
{
    for (size_t i = 0; i < count; i++)
        differences[i] = i % 5 == 4 ? 0 : round((med_rng_normal(rng) + shift) * 1000) / 1000;
}

static void small_samples_get_the_exact_p(void **state)
{
    (void)state;
    struct med_rng rng;
    med_rng_seed(&rng, 7);
    for (size_t count = 0; count <= 13; count++) {
        double differences[13];
        draw(&rng, differences, count, 0.4);
        double exact = enumerate(differences, count), sum = 0;
        for (size_t i = 0; i < count; i++) sum += differences[i];
        struct med_paired_test test =
            med_paired_randomization(differences, count, MED_RANDOMIZATION_ROUNDS, 1);
        assert_true(fabs(test.p - exact) < 1e-12);
        assert_true(fabs(test.difference - (count ? sum / (double)count : 0)) < 1e-12);
    }
}

static void random_patterns_come_near_the_exact_p(void **state)
{
    (void)state;
    struct med_rng rng;
    med_rng_seed(&rng, 8);
    for (unsigned i = 0; i < 12; i++) {
        double differences[17], again[17];
        draw(&rng, differences, 17, i * 0.1);
        double exact = enumerate(differences, 17);
        memcpy(again, differences, sizeof again);
        struct med_paired_test test = med_paired_randomization(differences, 17, 10000, i);
        /* Five standard errors. */
        assert_true(fabs(test.p - exact) < 5 * sqrt(exact * (1 - exact) / 10000) + 2e-4);
        assert_true(test.p == med_paired_randomization(again, 17, 10000, i).p);
    }
}

static void equal_rankings_do_not_differ(void **state)
{
    (void)state;
    double zeros[5] = {0}, tiny[40];
    assert_true(med_paired_randomization(zeros, 5, 100, 1).p == 1);
    /* All of one sign and size: only two of 2^40 patterns are as extreme. */
    for (size_t i = 0; i < 40; i++) tiny[i] = 0.1;
    struct med_paired_test test = med_paired_randomization(tiny, 40, 999, 1);
    assert_true(fabs(test.p - 0.001) < 1e-12);
    assert_true(fabs(test.difference - 0.1) < 1e-12);
}

static void a_comparison_orders_queries_from_worst_to_best(void **state)
{
    (void)state;
    static const double baseline[] = {.5, .5, .5, .5}, other[] = {.7, .5, .1, .4};
    struct med_eval_scores scores[4][2] = {0};
    struct med_eval_row rows[4] = {0};
    struct med_eval_report report = {.query_count = 4, .queries = rows};
    struct med_arena *arena;
    for (size_t q = 0; q < 4; q++) {
        scores[q][0].ndcg_10 = baseline[q];
        scores[q][1].ndcg_10 = other[q];
        rows[q].modes = scores[q];
    }
    assert_int_equal(med_arena_new(MED_MIB, &arena, NULL), MED_OK);
    assert_int_equal(med_eval_compare(&report, 2, arena, NULL), MED_OK);
    const struct med_eval_comparison *c = &report.comparisons[0];
    static const size_t order[] = {2, 3, 1, 0};
    for (size_t i = 0; i < 4; i++) assert_int_equal(c->changes[i].query, order[i]);
    assert_int_equal(c->better, 1);
    assert_int_equal(c->worse, 2);
    assert_int_equal(c->equal, 1);
    assert_true(fabs(c->tests[MED_MEASURE_NDCG_10].difference + 0.075) < 1e-12);
    /* +.2, -.4, -.1: of 8 patterns the sums .7, .5, .3 and their negatives are as extreme. */
    assert_true(fabs(c->tests[MED_MEASURE_NDCG_10].p - 0.75) < 1e-12);
    assert_true(c->tests[MED_MEASURE_MAP].p == 1);
    med_arena_free(&arena);
}

static void a_sweep_reaches_both_ends(void **state)
{
    (void)state;
    struct med_sweep sweep;
    assert_int_equal(med_sweep_parse(MED_STR("fusion=0:1:0.1"), &sweep, NULL), MED_OK);
    assert_int_equal(sweep.of, MED_SWEEP_FUSION);
    assert_int_equal(med_sweep_value_count(&sweep), 11);
    assert_true(med_sweep_value(&sweep, 0) == 0 && med_sweep_value(&sweep, 10) == 1);
    assert_int_equal(med_sweep_parse(MED_STR("authority=0.2:0.9:0.25"), &sweep, NULL), MED_OK);
    assert_int_equal(sweep.of, MED_SWEEP_AUTHORITY);
    assert_int_equal(med_sweep_value_count(&sweep), 3);
    assert_int_equal(med_sweep_parse(MED_STR("fusion=0.3:0.3:1"), &sweep, NULL), MED_OK);
    assert_int_equal(med_sweep_value_count(&sweep), 1);
}

static void a_sweep_that_makes_no_sense_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "fusion", "fusion=", "fusion=0:1", "fusion=0:1:0.1:2",
        "fusion=0:1:0", "fusion=1:0:0.1", "fusion=0:2:0.1", "fusion=-1:1:0.1", "fusion=0:1:x",
        "fusion=0:1:0.0001", "fusion=nan:1:0.1", "k1=0:1:0.1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct med_sweep sweep;
        struct med_err err = {0};
        assert_int_equal(med_sweep_parse(med_str_of(bad[i]), &sweep, &err), MED_E_USAGE);
        assert_true(err.text[0] != '\0');
    }
}

static void evidence_is_found_whatever_its_white_space(void **state)
{
    (void)state;
    const struct med_str text =
        MED_STR("Fever.\n\nFever fell in  90\xC2\xA0%\nof infants. Fever fell.");
    static const struct {
        const char *evidence;
        int start, end; /* start -1: not there */
    } cases[] = {
        {"Fever fell in 90 % of infants.", 8, 40},
        {"  Fever\tfell in\n90 % ", 8, 28},
        {"Fever. Fever", 0, 13},
        {"Fever fell.", 41, 52},
        {"fever fell", -1, 0},
        {"infants. Fever fell. And", -1, 0},
        {"90% of", -1, 0},
        {" \n", -1, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct med_span span = {0};
        bool found = med_evidence_find(text, med_str_of(cases[i].evidence), 0, &span);
        assert_int_equal(found, cases[i].start >= 0);
        if (!found) continue;
        assert_int_equal(span.start, cases[i].start);
        assert_int_equal(span.end, cases[i].end);
    }
    struct med_span span;
    assert_true(med_evidence_find(text, MED_STR("Fever fell"), 9, &span));
    assert_int_equal(span.start, 41);
}

static void half_of_the_evidence_is_enough(void **state)
{
    (void)state;
    const struct med_span evidence = {100, 200};
    assert_true(med_evidence_covered((struct med_span){0, 1000}, evidence));
    assert_true(med_evidence_covered((struct med_span){100, 150}, evidence));
    assert_true(med_evidence_covered((struct med_span){150, 300}, evidence));
    assert_false(med_evidence_covered((struct med_span){0, 149}, evidence));
    assert_false(med_evidence_covered((struct med_span){151, 300}, evidence));
    assert_false(med_evidence_covered((struct med_span){200, 300}, evidence));
    assert_false(med_evidence_covered((struct med_span){0, 100}, evidence));
}

static uint32_t choose(struct med_str text, const struct med_chunk_row *chunks, float second_share,
    uint32_t passage_count)
{
    struct med_arena *arena;
    struct med_analyzer *analyzer;
    struct query query;
    assert_int_equal(med_arena_new(MED_MIB, &arena, NULL), MED_OK);
    assert_int_equal(med_analyzer_new(&analyzer, NULL), MED_OK);
    assert_int_equal(
        query_analyse(analyzer, MED_STR("apixaban bleeding stroke"), arena, &query, NULL), MED_OK);
    for (size_t i = 0; i < query.term_count; i++) query.terms[i].idf = 2;
    const struct snippet_terms terms = snippet_terms_of(&query);
    struct med_section section = {.body = text};
    const struct med_doc doc = {.sections = &section, .section_count = 1};
    struct med_text *layout;
    assert_int_equal(med_text_layout(&doc, arena, &layout, NULL), MED_OK);
    const struct med_segment segment = {.chunks = chunks};
    const struct med_ranked rank = {.chunk = 7,
        .passages = {0, 1, 2},
        .passage_shares = {1, second_share, 0.1f},
        .passage_count = passage_count};
    uint32_t chosen;
    assert_int_equal(
        passage_choose(&segment, analyzer, &terms, &doc, layout, &rank, arena, &chosen, NULL),
        MED_OK);
    med_analyzer_free(&analyzer);
    med_arena_free(&arena);
    return chosen;
}

static void the_passage_with_the_nearest_sentence_is_shown(void **state)
{
    (void)state;
    char text[2200];
    memset(text, ' ', sizeof text);
    memcpy(text, "We gave apixaban.", 17);
    memcpy(text + 500, "Much bleeding was seen.", 23);
    memcpy(text + 990, "A stroke.", 9);
    memcpy(text + 1000, "On apixaban bleeding was rarer, and so was stroke.", 50);
    const struct med_chunk_row chunks[] = {{0, 999}, {1000, 1050}, {2100, 2300}};
    struct med_str all = {.ptr = text, .len = sizeof text};
    assert_int_equal(choose(all, chunks, 0.9f, 3), 1);
    assert_int_equal(choose(all, chunks, 0.5f, 3), 0); /* too far behind in the ranking */
    assert_int_equal(choose(all, chunks, 0.9f, 0), 7); /* nothing to choose from */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_samples_get_the_exact_p),
        cmocka_unit_test(random_patterns_come_near_the_exact_p),
        cmocka_unit_test(equal_rankings_do_not_differ),
        cmocka_unit_test(a_comparison_orders_queries_from_worst_to_best),
        cmocka_unit_test(a_sweep_reaches_both_ends),
        cmocka_unit_test(a_sweep_that_makes_no_sense_is_refused),
        cmocka_unit_test(evidence_is_found_whatever_its_white_space),
        cmocka_unit_test(half_of_the_evidence_is_enough),
        cmocka_unit_test(the_passage_with_the_nearest_sentence_is_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

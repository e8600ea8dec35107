/* Evaluation: the measures equal trec_eval's, ties included; queries and judgements are read in
 * every form. */
#include "index/eval.h"
#include "index/judgements.h"

#include "common/limits.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define DATA "tests/data/eval/"

static struct med_arena *arena;

static int make_arena(void **state)
{
    (void)state;
    return med_arena_new(64 * MED_MIB, &arena, NULL);
}

static int free_arena(void **state)
{
    (void)state;
    med_arena_free(&arena);
    return 0;
}

static int descending(const void *a, const void *b)
{
    return *(const int *)b - *(const int *)a;
}

static struct med_eval_scores score_query(const struct med_topic *topic)
{
    struct med_eval_item items[100];
    int ranked[100], all[100];
    size_t count = 0;
    char query[32], doc[32], line[128];
    double score;
    FILE *run = fopen(DATA "run.tsv", "r");
    assert_non_null(run);
    while (fgets(line, sizeof line, run)) {
        if (sscanf(line, "%31s %31s %lf", query, doc, &score) != 3 ||
            !med_str_eq(med_str_of(query), topic->id))
            continue;
        assert_true(med_arena_str(arena, med_str_of(doc), &items[count].doc));
        items[count++].score = (float)score;
    }
    fclose(run);
    med_eval_order(items, count);
    for (size_t i = 0; i < count; i++) ranked[i] = med_topic_gain(topic, items[i].doc);
    for (size_t i = 0; i < topic->judged_count; i++) all[i] = topic->judged[i].gain;
    qsort(all, topic->judged_count, sizeof *all, descending);
    return med_eval_query(ranked, count, all, topic->judged_count);
}

static void measures_equal_those_of_trec_eval(void **state)
{
    (void)state;
    struct med_topics topics;
    struct med_err err;
    assert_int_equal(
        med_topics_read(DATA "queries.tsv", DATA "qrels.tsv", arena, &topics, &err), MED_OK);
    FILE *expected = fopen(DATA "expected.tsv", "r");
    assert_non_null(expected);
    char line[256], query[32];
    size_t compared = 0;
    while (fgets(line, sizeof line, expected)) {
        double n10, n100, r100, r1000, rr, map, p10;
        if (sscanf(line, "%31s %lf %lf %lf %lf %lf %lf %lf", query, &n10, &n100, &r100, &r1000, &rr,
                &map, &p10) != 8)
            continue;
        const struct med_topic *topic = &topics.items[compared++];
        assert_true(med_str_eq(topic->id, med_str_of(query)));
        struct med_eval_scores s = score_query(topic);
        assert_true(fabs(s.ndcg_10 - n10) < 1e-8);
        assert_true(fabs(s.ndcg_100 - n100) < 1e-8);
        assert_true(fabs(s.recall_100 - r100) < 1e-8);
        assert_true(fabs(s.recall_1000 - r1000) < 1e-8);
        assert_true(fabs(s.mrr_10 - (rr >= 0.1 ? rr : 0)) < 1e-8);
        assert_true(fabs(s.map - map) < 1e-8);
        assert_true(fabs(s.precision_10 - p10) < 1e-8);
    }
    fclose(expected);
    assert_int_equal(compared, topics.count);
}

static const char *temporary_file(const char *text)
{
    char *path =
        med_arena_printf(arena, "/tmp/medicus-eval-%d-%zu", (int)getpid(), med_arena_used(arena));
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
    return path;
}

static enum med_code read_pair(
    const char *queries, const char *qrels, struct med_topics *topics, struct med_err *err)
{
    const char *q = temporary_file(queries), *r = temporary_file(qrels);
    enum med_code code = med_topics_read(q, r, arena, topics, err);
    unlink(q);
    unlink(r);
    return code;
}

static void beir_and_trec_forms_give_the_same_topics(void **state)
{
    (void)state;
    static const char *const queries[] = {
        "{\"_id\": \"7\", \"text\": \"fever in infants\"}\n{\"_id\": 8, \"text\": \"gout\"}\n",
        "<top>\n<num> Number: 7\n<title> fever in infants\n<desc> more\n</top>\n"
        "<top>\n<num>8</num>\n<title>\ngout\n</top>\n",
        "7\tfever in infants\n\n8\tgout\n",
    };
    static const char *const qrels[] = {
        "query-id\tcorpus-id\tscore\n7\tMED-1\t2\n7\tMED-2\t0\n8\tMED-3\t1\n",
        "7 0 MED-1 2\n7 0 MED-2 0\n8 0 MED-3 1\n",
        "8\tQ0\tMED-3\t1\n7\tQ0\tMED-2\t0\n7\tQ0\tMED-1\t2\n",
    };
    for (size_t i = 0; i < 3; i++) {
        struct med_topics topics;
        struct med_err err = {0};
        assert_int_equal(read_pair(queries[i], qrels[i], &topics, &err), MED_OK);
        assert_int_equal(topics.count, 2);
        assert_true(med_str_eq(topics.items[0].id, MED_STR("7")));
        assert_true(med_str_eq(topics.items[0].text, MED_STR("fever in infants")));
        assert_true(med_str_eq(topics.items[1].text, MED_STR("gout")));
        assert_int_equal(topics.items[0].relevant_count, 1);
        assert_int_equal(med_topic_gain(&topics.items[0], MED_STR("MED-1")), 2);
        assert_int_equal(med_topic_gain(&topics.items[0], MED_STR("MED-9")), 0);
        assert_int_equal(med_topic_gain(&topics.items[1], MED_STR("MED-3")), 1);
    }
}

static void a_malformed_line_is_named(void **state)
{
    (void)state;
    struct med_topics topics;
    struct med_err err;
    assert_int_equal(read_pair("{\"_id\": \"7\"}\n", "7 0 a 1\n", &topics, &err), MED_E_INVALID);
    assert_non_null(strstr(err.text, "line 1"));
    assert_int_equal(read_pair("7\tgout\n", "q\td\ts\n7\ta\tmany\n", &topics, &err), MED_E_INVALID);
    assert_non_null(strstr(err.text, "line 2"));
    assert_int_equal(
        med_topics_read("/nonexistent", "/nonexistent", arena, &topics, &err), MED_E_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(measures_equal_those_of_trec_eval, make_arena, free_arena),
        cmocka_unit_test_setup_teardown(
            beir_and_trec_forms_give_the_same_topics, make_arena, free_arena),
        cmocka_unit_test_setup_teardown(a_malformed_line_is_named, make_arena, free_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

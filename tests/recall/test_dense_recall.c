/* Recall@10 of graphs and lists against exact search, over collections of different shapes, with
 * and without filters. Queries are drawn like the rows, they are not rows. A row as good as the
 * tenth counts as found. */
#include "common/mem.h"
#include "common/rng.h"
#include "index/dense/dense.h"
#include "tests/support/support.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ROWS 6000u
#define QUERIES 40u
#define FLOOR .88 /* few queries: these runs are for the sanitizers */
#else
#define ROWS 20000u
#define QUERIES 150u
#define FLOOR .95
#endif
#define DIM 64u
#define K 10u

struct shape {
    const char *name;
    uint32_t topics;
    double topic_weight;     /* of the topic's direction against the row's own */
    uint32_t copies;         /* rows come in groups of nearly equal ones */
    uint32_t own_directions; /* dimensions that vary within a topic */
    bool sorted;             /* by topic, as journals and update files are */
};

static const struct shape shapes[] = {
    {.name = "one cloud", .topics = 1, .topic_weight = 0, .copies = 1, .own_directions = 24},
    {.name = "topics", .topics = 40, .topic_weight = 1, .copies = 1, .own_directions = 24},
    {.name = "tight topics, sorted",
        .topics = 100,
        .topic_weight = 2,
        .copies = 1,
        .own_directions = 16,
        .sorted = true},
    {.name = "near copies", .topics = 40, .topic_weight = 1, .copies = 8, .own_directions = 24},
};
#define SHAPE_COUNT (sizeof shapes / sizeof *shapes)

static void normalise(float *v)
{
    double norm = 0;
    for (uint32_t i = 0; i < DIM; i++) norm += (double)v[i] * (double)v[i];
    for (uint32_t i = 0; i < DIM; i++) v[i] = (float)(v[i] / sqrt(norm));
}

/* Own directions get less of the variance one after the other, as in trained embeddings. */
static void draw(const struct shape *shape, const float *topics, uint32_t topic,
    struct med_rng *rng, float *ret_v)
{
    for (uint32_t i = 0; i < DIM; i++) {
        double spread = i < shape->own_directions ? 1 : .1;
        ret_v[(i + topic * 7) % DIM] = (float)(spread * med_rng_normal(rng));
    }
    for (uint32_t i = 0; i < DIM; i++)
        ret_v[i] += (float)(shape->topic_weight * sqrt(DIM)) * topics[topic * DIM + i];
    normalise(ret_v);
}

struct collection {
    const struct shape *shape;
    float *topics, *rows;
    uint32_t *topic_of;
    char dir[MED_PATH_MAX];
};

static void collection_make(struct collection *c, const struct shape *shape, struct med_rng *rng)
{
    *c = (struct collection){.shape = shape,
        .topics = med_malloc(shape->topics * DIM * sizeof(float)),
        .rows = med_malloc((size_t)ROWS * DIM * sizeof(float)),
        .topic_of = med_malloc(ROWS * sizeof(uint32_t))};
    assert_true(c->topics && c->rows && c->topic_of);
    med_test_temp_new(c->dir);
    for (uint32_t t = 0; t < shape->topics; t++) {
        for (uint32_t i = 0; i < DIM; i++) c->topics[t * DIM + i] = (float)med_rng_normal(rng);
        normalise(c->topics + t * DIM);
    }
    for (uint32_t r = 0; r < ROWS; r++) {
        float *row = c->rows + (size_t)r * DIM;
        if (r % shape->copies != 0) {
            memcpy(row, row - DIM, DIM * sizeof *row);
            row[med_rng_below(rng, DIM)] += .02f;
            normalise(row);
            c->topic_of[r] = c->topic_of[r - 1];
            continue;
        }
        c->topic_of[r] = shape->sorted ? r / (ROWS / shape->topics) % shape->topics
                                       : (uint32_t)med_rng_below(rng, shape->topics);
        draw(shape, c->topics, c->topic_of[r], rng, row);
    }
}

static void collection_drop(struct collection *c)
{
    med_free(c->topics);
    med_free(c->rows);
    med_free(c->topic_of);
    med_test_temp_remove(c->dir);
}

struct opened {
    struct med_map vectors, graph;
    struct med_dense *dense;
    struct med_dense_report report;
};

static void build(const struct collection *c, enum med_dense_kind kind, struct opened *ret_o)
{
    struct med_dense_options options = {.kind = kind, .dim = DIM, .seed = 1};
    struct med_dense_writer *writer;
    struct med_file_ref files[MED_DENSE_FILE_COUNT];
    struct med_err err = {0};
    char path[MED_PATH_MAX];
    struct opened o;
    enum med_code code = med_dense_writer_new(med_fs_posix(), c->dir, &options, &writer, &err);
    if (code == MED_OK) code = med_dense_writer_add(writer, c->rows, ROWS, &err);
    if (code == MED_OK) code = med_dense_writer_finish(writer, files, &o.report, &err);
    med_dense_writer_free(&writer);
    if (code == MED_OK) code = med_path_join(path, c->dir, "vectors", &err);
    if (code == MED_OK) code = med_map_open(path, &o.vectors, &err);
    if (code == MED_OK) code = med_path_join(path, c->dir, "graph", &err);
    if (code == MED_OK) code = med_map_open(path, &o.graph, &err);
    if (code == MED_OK) code = med_dense_open(o.vectors, o.graph, &o.dense, &err);
    if (code != MED_OK) fail_msg("%s", err.text);
    *ret_o = o;
}

static void opened_drop(struct opened *o)
{
    med_dense_free(&o->dense);
    med_map_close(&o->vectors);
    med_map_close(&o->graph);
}

/* Recall over fresh queries; every search must give min(k, set) distinct allowed rows. */
static double recall(const struct collection *c, const struct opened *o, struct med_filter filter,
    size_t k, struct med_rng *rng)
{
    size_t found = 0, wanted = 0;
    struct med_hit *truth = med_malloc(2 * k * sizeof *truth), *hits = truth + k;
    assert_non_null(truth);
    for (uint32_t q = 0; q < QUERIES; q++) {
        float query[DIM];
        draw(c->shape, c->topics, (uint32_t)med_rng_below(rng, c->shape->topics), rng, query);
        struct med_dense_params exact = {.exact = true};
        size_t truth_count, count;
        assert_int_equal(
            med_dense_search(o->dense, query, filter, &exact, k, truth, &truth_count, NULL),
            MED_OK);
        assert_int_equal(
            med_dense_search(o->dense, query, filter, NULL, k, hits, &count, NULL), MED_OK);
        assert_int_equal(count, truth_count);
        if (filter.words) assert_int_equal(count, filter.set_count < k ? filter.set_count : k);
        wanted += truth_count;
        for (size_t i = 0; i < count; i++) {
            assert_true(med_filter_has(filter, hits[i].chunk));
            found += hits[i].score >= truth[truth_count - 1].score;
        }
    }
    med_free(truth);
    return (double)found / (double)wanted;
}

static void assert_floor(
    const char *what, const struct collection *c, const struct opened *o, double got)
{
    fprintf(stderr, "%-22s %-5s %-28s %.4f\n", c->shape->name, med_dense_kind_name(o->report.kind),
        what, got);
    if (got < FLOOR) fail_msg("recall %.4f is below %.2f", got, FLOOR);
}

static struct med_filter empty_filter(void)
{
    uint64_t *words = med_calloc(ROWS / 64 + 1, sizeof *words);
    assert_non_null(words);
    return (struct med_filter){.words = words};
}

static void allow(struct med_filter *filter, uint32_t row)
{
    ((uint64_t *)(uintptr_t)filter->words)[row / 64] |= 1ull << (row % 64);
    filter->set_count++;
}

/* Tombstones and dates leave rows at random, sources leave a range, subjects leave topics: near the
 * query there may be nothing but allowed rows, or none. */
static void check_filters(const struct collection *c, const struct opened *o, struct med_rng *rng)
{
    static const double shares[] = {.97, .5, .2, .05, .01};
    for (size_t s = 0; s < sizeof shares / sizeof *shares; s++) {
        char what[64];
        struct med_filter random = empty_filter(), topics = empty_filter();
        for (uint32_t r = 0; r < ROWS; r++) {
            if (med_rng_unit(rng) < shares[s]) allow(&random, r);
            if (c->topic_of[r] < c->shape->topics * shares[s]) allow(&topics, r);
        }
        snprintf(what, sizeof what, "%g %% at random", 100 * shares[s]);
        assert_floor(what, c, o, recall(c, o, random, K, rng));
        snprintf(what, sizeof what, "%g %% of the topics", 100 * shares[s]);
        if (topics.set_count > 0) assert_floor(what, c, o, recall(c, o, topics, K, rng));
        med_free((void *)(uintptr_t)random.words);
        med_free((void *)(uintptr_t)topics.words);
    }
}

static void check_kind(enum med_dense_kind kind)
{
    struct med_rng rng;
    med_rng_seed(&rng, med_test_seed());
    for (size_t s = 0; s < SHAPE_COUNT; s++) {
        struct collection c;
        struct opened o;
        collection_make(&c, &shapes[s], &rng);
        build(&c, kind, &o);
        assert_int_equal(o.report.kind, kind);
        fprintf(stderr, "%s: reported %.4f at %.0f\n", shapes[s].name,
            (double)o.report.recall_at_10, (double)o.report.search_ef);
        assert_true(o.report.recall_at_10 >= .98f);
        assert_floor("all", &c, &o, recall(&c, &o, (struct med_filter){0}, K, &rng));
        assert_floor("all, k = 200", &c, &o, recall(&c, &o, (struct med_filter){0}, 200, &rng));
        check_filters(&c, &o, &rng);
        opened_drop(&o);
        collection_drop(&c);
    }
}

static void graphs_find_what_exact_search_finds(void **state)
{
    (void)state;
    check_kind(MED_DENSE_HNSW);
}

static void lists_find_what_exact_search_finds(void **state)
{
    (void)state;
    check_kind(MED_DENSE_IVF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(graphs_find_what_exact_search_finds),
        cmocka_unit_test(lists_find_what_exact_search_finds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

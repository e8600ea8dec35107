/* How good is the index? Exact search is the truth, for the questions that the caller gives.
 *
 * Where there are none, queries are made from the index's own rows. A row that is hardly moved
 * would be answered too easily, being linked to its neighbours; the middle between two rows is
 * harder than what people ask: the ten nearest are then halves of two far neighbourhoods. Hence a
 * query is a row and part of another, with a little noise. README.md says how far that is from
 * questions. */
#include "index/dense/build.h"

#include "common/limits.h"
#include "common/mem.h"
#include "common/parallel.h"
#include "common/rng.h"

#include <math.h>
#include <string.h>

#define QUERIES_MAX 200u
#define DEPTH 10u
#define RECALL_WANTED .98f
#define OTHER .7f /* how much of the second row */
#define NOISE .2  /* its length; rows have length 1 */

static const uint32_t steps[] = {16, 24, 32, 48, 64, 96, 128, 160, 192, 224, 256, 320, 384, 448,
    512, 640, 768, 1024, 1536, 2048};
#define STEP_COUNT (sizeof steps / sizeof *steps)

struct tuning {
    const struct med_dense *dense;
    uint32_t query_count;
    float *queries;   /* [query_count][dim] */
    float *worst;     /* score of the last of the true ten, per query */
    uint32_t *wanted; /* how many there are */
    uint32_t *found;  /* by the step that is measured */
    uint32_t ef;      /* 0 = exact: fills worst and wanted */
};

/* A row that is not zero, as floats; false when there seems to be none. */
static bool draw_row(const struct med_dense_rows *rows, struct med_rng *rng, float *ret_values)
{
    uint32_t row = (uint32_t)med_rng_below(rng, rows->count);
    for (int tries = 0; med_dense_row_is_zero(rows, row); tries++) {
        if (tries == 100) return false;
        row = (uint32_t)med_rng_below(rng, rows->count);
    }
    return med_dense_load(rows, row, ret_values);
}

/* A row, part of another, and some noise. */
static bool make_query(const struct med_dense_rows *rows, struct med_rng *rng, float *ret_query)
{
    float other[MED_DIM_MAX];
    if (!draw_row(rows, rng, ret_query) || !draw_row(rows, rng, other)) return false;
    double spread = NOISE / sqrt(rows->dim), length = 0;
    for (uint32_t i = 0; i < rows->dim; i++) {
        ret_query[i] += OTHER * other[i] + (float)(spread * med_rng_normal(rng));
        length += (double)ret_query[i] * (double)ret_query[i];
    }
    if (!(length > 0)) return false;
    for (uint32_t i = 0; i < rows->dim; i++) ret_query[i] /= (float)sqrt(length);
    return true;
}

static void make_queries(const struct med_dense_rows *rows, const struct med_dense_options *options,
    uint32_t count, struct tuning *t)
{
    if (options->question_count > 0) {
        memcpy(t->queries, options->questions, (size_t)count * rows->dim * sizeof(float));
        t->query_count = count;
        return;
    }
    struct med_rng rng;
    med_rng_seed(&rng, options->seed ^ 0x72656361ull);
    while (t->query_count < count &&
           make_query(rows, &rng, t->queries + (size_t)t->query_count * rows->dim))
        t->query_count++;
}

/* Ties count: any row as good as the tenth is a right answer. */
static enum med_code measure(
    void *ctx, unsigned worker, uint64_t begin, uint64_t end, struct med_err *err)
{
    (void)worker;
    struct tuning *t = ctx;
    for (uint64_t q = begin; q < end; q++) {
        struct med_hit hits[DEPTH];
        struct med_dense_top top = {.hits = hits, .k = DEPTH};
        struct med_dense_query query;
        med_dense_query_init(&query, &t->dense->rows, t->queries + q * t->dense->rows.dim);
        struct med_filter all = {0};
        if (t->ef == 0) {
            med_dense_scan_all(&t->dense->rows, &query, &top);
            med_dense_top_sort(&top);
            t->wanted[q] = (uint32_t)top.count;
            t->worst[q] = top.count > 0 ? hits[top.count - 1].score : 0;
            continue;
        }
        enum med_code code = med_dense_search_graph(t->dense, &query, all, t->ef, &top, err);
        if (code != MED_OK) return code;
        t->found[q] = 0;
        for (size_t i = 0; i < top.count; i++) t->found[q] += hits[i].score >= t->worst[q];
        if (t->found[q] > t->wanted[q]) t->found[q] = t->wanted[q];
    }
    return MED_OK;
}

static float recall_of(const struct tuning *t)
{
    uint64_t found = 0, wanted = 0;
    for (uint32_t q = 0; q < t->query_count; q++) {
        found += t->found[q];
        wanted += t->wanted[q];
    }
    return wanted > 0 ? (float)((double)found / (double)wanted) : 1.0f;
}

static enum med_code run_steps(struct tuning *t, const struct med_dense_options *options,
    float *ret_recall, float *ret_ef, struct med_err *err)
{
    enum med_code code = med_parallel_for(options->threads, t->query_count, 1, measure, t, err);
    float recall = 0;
    for (size_t s = 0; code == MED_OK && s < STEP_COUNT && recall < RECALL_WANTED; s++) {
        if (!med_progress(options->progress, "verify", s, STEP_COUNT, "steps"))
            return med_fail(err, MED_E_CANCELLED, "cancelled while measuring recall");
        uint32_t lists = t->dense->graph.header.list_count;
        t->ef = lists > 0 && steps[s] > lists ? lists : steps[s];
        code = med_parallel_for(options->threads, t->query_count, 1, measure, t, err);
        if (code == MED_OK) recall = recall_of(t);
        if (t->ef == lists) break;
    }
    if (code != MED_OK) return code;
    *ret_recall = recall;
    *ret_ef = (float)t->ef;
    return MED_OK;
}

enum med_code med_dense_tune(const struct med_dense *dense, const struct med_dense_options *options,
    float *ret_recall, float *ret_ef, struct med_err *err)
{
    const struct med_dense_rows *rows = &dense->rows;
    uint32_t count = rows->count < QUERIES_MAX ? rows->count : QUERIES_MAX;
    if (options->question_count > 0 && count > options->question_count)
        count = (uint32_t)options->question_count;
    struct tuning t = {
        .dense = dense,
        .queries = med_aligned_alloc((size_t)(count + 1) * rows->dim * sizeof(float)),
        .worst = med_calloc(count + 1, sizeof(float)),
        .wanted = med_calloc(count + 1, sizeof(uint32_t)),
        .found = med_calloc(count + 1, sizeof(uint32_t)),
    };
    enum med_code code;
    if (!t.queries || !t.worst || !t.wanted || !t.found) {
        code = med_fail(err, MED_E_NOMEM, "out of memory measuring recall");
    } else {
        make_queries(rows, options, count, &t);
        code = run_steps(&t, options, ret_recall, ret_ef, err);
    }
    med_free(t.queries);
    med_free(t.worst);
    med_free(t.wanted);
    med_free(t.found);
    return code;
}

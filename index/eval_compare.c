/* Comparing modes query by query, and the values of a sweep. */
#include "index/eval.h"

#include "common/mem.h"

#include <math.h>
#include <stdlib.h>

#define STEP_TOLERANCE 1e-9 /* 10 * 0.1 shall be 1 */

static const struct {
    const char *name;
    size_t offset;
} measures[MED_MEASURE_COUNT] = {
    [MED_MEASURE_NDCG_10] = {"ndcg@10", offsetof(struct med_eval_scores, ndcg_10)},
    [MED_MEASURE_RECALL_100] = {"recall@100", offsetof(struct med_eval_scores, recall_100)},
    [MED_MEASURE_MRR_10] = {"mrr@10", offsetof(struct med_eval_scores, mrr_10)},
    [MED_MEASURE_MAP] = {"map", offsetof(struct med_eval_scores, map)},
    [MED_MEASURE_NDCG_100] = {"ndcg@100", offsetof(struct med_eval_scores, ndcg_100)},
    [MED_MEASURE_PRECISION_10] = {"p@10", offsetof(struct med_eval_scores, precision_10)},
    [MED_MEASURE_RECALL_1000] = {"recall@1000", offsetof(struct med_eval_scores, recall_1000)},
};

const char *med_measure_name(enum med_measure measure)
{
    return measures[measure].name;
}

double med_measure_of(const struct med_eval_scores *scores, enum med_measure measure)
{
    double x;
    memcpy(&x, (const char *)scores + measures[measure].offset, sizeof x);
    return x;
}

/* --- comparisons --- */

static int worst_first(const void *a, const void *b)
{
    const struct med_eval_change *x = a, *y = b;
    if (x->difference != y->difference) return x->difference < y->difference ? -1 : 1;
    return x->query < y->query ? -1 : x->query > y->query;
}

static void compare(
    const struct med_eval_report *report, struct med_eval_comparison *c, double *differences)
{
    size_t n = (size_t)report->query_count;
    for (enum med_measure m = 0; m < MED_MEASURE_COUNT; m++) {
        for (size_t q = 0; q < n; q++) {
            const struct med_eval_scores *modes = report->queries[q].modes;
            differences[q] = med_measure_of(&modes[c->mode], m) - med_measure_of(&modes[0], m);
        }
        if (m == MED_MEASURE_NDCG_10) {
            for (size_t q = 0; q < n; q++)
                c->changes[q] = (struct med_eval_change){q, differences[q]};
        }
        c->tests[m] = med_paired_randomization(
            differences, n, MED_RANDOMIZATION_ROUNDS, MED_RANDOMIZATION_SEED);
    }
    for (size_t q = 0; q < n; q++) {
        c->better += c->changes[q].difference > 0;
        c->worse += c->changes[q].difference < 0;
        c->equal += c->changes[q].difference == 0;
    }
    if (n) qsort(c->changes, n, sizeof *c->changes, worst_first);
}

enum med_code med_eval_compare(
    struct med_eval_report *report, size_t mode_count, struct med_arena *arena, struct med_err *err)
{
    size_t n = (size_t)report->query_count;
    double *differences = med_calloc(n + 1, sizeof *differences);
    report->comparisons = med_arena_calloc(arena, mode_count, sizeof *report->comparisons);
    bool ok = differences && report->comparisons;
    for (size_t m = 1; ok && m < mode_count; m++) {
        struct med_eval_comparison *c = &report->comparisons[m - 1];
        c->mode = m;
        c->changes = med_arena_calloc(arena, n + 1, sizeof *c->changes);
        ok = c->changes != NULL;
        if (ok) compare(report, c, differences);
    }
    med_free(differences);
    return ok ? MED_OK : med_fail(err, MED_E_NOMEM, "out of memory for the comparison of modes");
}

/* --- sweeps --- */

const char *med_sweep_name(enum med_sweep_of of)
{
    return of == MED_SWEEP_FUSION ? "fusion" : "authority";
}

static bool parse_range(struct med_str text, struct med_sweep *sweep)
{
    double *const parts[] = {&sweep->from, &sweep->to, &sweep->step};
    for (size_t i = 0; i < 3; i++) {
        const char *colon = text.len ? memchr(text.ptr, ':', text.len) : NULL;
        if ((i < 2) != (colon != NULL)) return false;
        size_t len = colon ? (size_t)(colon - text.ptr) : text.len;
        if (!med_str_to_double(med_str_sub(text, 0, len), parts[i])) return false;
        text = med_str_sub(text, colon ? len + 1 : len, text.len);
    }
    return true;
}

enum med_code med_sweep_parse(struct med_str text, struct med_sweep *ret_sweep, struct med_err *err)
{
    struct med_sweep sweep = {0};
    size_t len = 0;
    while (len < text.len && text.ptr[len] != '=') len++;
    struct med_str name = med_str_trim(med_str_sub(text, 0, len));
    if (med_str_eq(name, MED_STR("authority")))
        sweep.of = MED_SWEEP_AUTHORITY;
    else if (!med_str_eq(name, MED_STR("fusion")))
        return med_fail(err, MED_E_USAGE,
            "\"" MED_STR_FMT "\" cannot be swept; fusion and authority can: fusion=0:1:0.1",
            MED_STR_ARG(name));
    if (len == text.len || !parse_range(med_str_sub(text, len + 1, text.len), &sweep))
        return med_fail(err, MED_E_USAGE, "expected %s=FROM:TO:STEP, not \"" MED_STR_FMT "\"",
            med_sweep_name(sweep.of), MED_STR_ARG(text));
    /* Written so that NaN fails. */
    if (!(sweep.from >= 0 && sweep.to <= 1 && sweep.from <= sweep.to && sweep.step > 0))
        return med_fail(err, MED_E_USAGE,
            "\"" MED_STR_FMT "\": weights go from 0 to 1, upwards, in steps above 0",
            MED_STR_ARG(text));
    if ((sweep.to - sweep.from) / sweep.step > MED_SWEEP_VALUES_MAX - 1 + 0.5)
        return med_fail(err, MED_E_USAGE, "\"" MED_STR_FMT "\": at most %d values",
            MED_STR_ARG(text), MED_SWEEP_VALUES_MAX);
    *ret_sweep = sweep;
    return MED_OK;
}

size_t med_sweep_value_count(const struct med_sweep *sweep)
{
    return (size_t)floor((sweep->to - sweep->from) / sweep->step + STEP_TOLERANCE) + 1;
}

double med_sweep_value(const struct med_sweep *sweep, size_t i)
{
    return fmin(sweep->from + (double)i * sweep->step, sweep->to);
}

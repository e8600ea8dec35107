/* Evaluation runs: every query in every mode, in parallel, with results that do not depend on the
 * number of threads. */
#include "index/eval.h"

#include "common/mem.h"
#include "common/parallel.h"
#include "index/internal.h"
#include "index/judgements.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define EVAL_DEPTH 1000u
#define EVAL_ARENA_BYTES_MAX (4 * MED_GIB)

struct run {
    struct med_eval_item
        *items; /* in the evaluation's order; kept only when a run file is written */
    size_t count;
    struct med_eval_scores scores;
};

/* One ranking function to measure: the modes come first, then the values of the sweeps. */
struct system {
    enum med_mode mode;
    double fusion_weight, authority_weight;
};

struct evaluation {
    const struct med_index *index;
    const struct med_eval_options *options;
    struct med_topics topics;
    struct system *systems;
    size_t system_count;
    struct run *runs; /* topics x systems */
};

static struct run *run_of(const struct evaluation *e, size_t topic, size_t system)
{
    return &e->runs[topic * e->system_count + system];
}

static int descending(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return (x < y) - (x > y);
}

static enum med_code measure(const struct med_topic *topic, const struct run *run,
    struct med_arena *arena, struct med_eval_scores *ret_scores, struct med_err *err)
{
    int *ranked = med_arena_calloc(arena, run->count + 1, sizeof *ranked);
    int *all = med_arena_calloc(arena, topic->judged_count + 1, sizeof *all);
    if (!ranked || !all) return med_fail(err, MED_E_NOMEM, "out of memory for the evaluation");
    for (size_t i = 0; i < run->count; i++) ranked[i] = med_topic_gain(topic, run->items[i].doc);
    for (size_t i = 0; i < topic->judged_count; i++) all[i] = topic->judged[i].gain;
    qsort(all, topic->judged_count, sizeof *all, descending);
    *ret_scores = med_eval_query(ranked, run->count, all, topic->judged_count);
    return MED_OK;
}

static enum med_code run_one(struct evaluation *e, struct med_searcher *searcher,
    struct med_arena *arena, size_t t, size_t system_number, struct med_err *err)
{
    const struct med_topic *topic = &e->topics.items[t];
    const struct system *system = &e->systems[system_number];
    struct run *run = run_of(e, t, system_number);
    bool keep = e->options->run_dir && system_number < e->options->mode_count;
    struct med_search_request request = MED_SEARCH_REQUEST_DEFAULT;
    request.query = topic->text;
    request.mode = system->mode;
    request.limit = EVAL_DEPTH;
    request.pool_depth = EVAL_DEPTH;
    request.fusion = e->options->fusion;
    request.fusion_weight = system->fusion_weight;
    request.authority_weight = system->authority_weight;
    request.expand = e->options->expand;
    struct med_ranking *ranking;
    enum med_code code = med_rank(e->index, searcher, &request, arena, &ranking, err);
    if (code) return code;
    size_t count = ranking->count < EVAL_DEPTH ? ranking->count : EVAL_DEPTH;
    size_t bytes = (count + 1) * sizeof *run->items;
    run->items = keep ? med_malloc(bytes) : med_arena_alloc(arena, bytes);
    if (!run->items) return med_fail(err, MED_E_NOMEM, "out of memory for the evaluation");
    run->count = count;
    for (size_t i = 0; i < count; i++) {
        const struct med_ranked *r = &ranking->items[i];
        run->items[i] = (struct med_eval_item){
            med_segment_source_id(e->index->segments[r->segment], r->doc), (float)r->score};
    }
    med_eval_order(run->items, count);
    return measure(topic, run, arena, &run->scores, err);
}

static enum med_code run_range(
    void *ctx, unsigned worker, uint64_t begin, uint64_t end, struct med_err *err)
{
    struct evaluation *e = ctx;
    struct med_searcher *searcher = NULL;
    struct med_arena *arena = NULL;
    enum med_code code = med_searcher_new(&searcher, err);
    if (!code) code = med_arena_new(EVAL_ARENA_BYTES_MAX, &arena, err);
    for (uint64_t t = begin; !code && t < end; t++) {
        for (size_t i = 0; !code && i < e->system_count; i++) {
            med_arena_reset(arena);
            code = run_one(e, searcher, arena, t, i, err);
        }
        if (code) med_err_prefix(err, "query " MED_STR_FMT, MED_STR_ARG(e->topics.items[t].id));
        if (!code && worker == 0 &&
            !med_progress(e->options->progress, "eval", t, e->topics.count, "queries"))
            code = med_fail(err, MED_E_CANCELLED, "the evaluation was stopped");
    }
    med_arena_free(&arena);
    med_searcher_free(&searcher);
    return code;
}

static void add_scores(struct med_eval_scores *sum, const struct med_eval_scores *s, double scale)
{
    sum->ndcg_10 += s->ndcg_10 * scale;
    sum->ndcg_100 += s->ndcg_100 * scale;
    sum->recall_100 += s->recall_100 * scale;
    sum->recall_1000 += s->recall_1000 * scale;
    sum->mrr_10 += s->mrr_10 * scale;
    sum->map += s->map * scale;
    sum->precision_10 += s->precision_10 * scale;
}

static int compare_ids(const void *a, const void *b)
{
    return med_str_cmp(*(const struct med_str *)a, *(const struct med_str *)b);
}

/* Judged relevant, but not in this index: recall cannot reach 1, and the reader of the report
 * should know. */
static enum med_code count_missing(
    const struct evaluation *e, uint64_t *ret_missing, struct med_err *err)
{
    const struct med_index *x = e->index;
    struct med_str *ids = med_calloc(x->stats.doc_count + 1, sizeof *ids);
    if (!ids) return med_fail(err, MED_E_NOMEM, "out of memory for the evaluation");
    size_t n = 0;
    for (uint32_t s = 0; s < x->segment_count; s++) {
        for (uint32_t d = 0; d < x->segments[s]->doc_count; d++) {
            if (med_segment_is_live(x->segments[s], d))
                ids[n++] = med_segment_source_id(x->segments[s], d);
        }
    }
    qsort(ids, n, sizeof *ids, compare_ids);
    *ret_missing = 0;
    for (size_t t = 0; t < e->topics.count; t++) {
        const struct med_topic *topic = &e->topics.items[t];
        for (size_t i = 0; i < topic->judged_count; i++) {
            if (topic->judged[i].gain > 0 &&
                !bsearch(&topic->judged[i].doc, ids, n, sizeof *ids, compare_ids))
                ++*ret_missing;
        }
    }
    med_free(ids);
    return MED_OK;
}

static enum med_code write_run(const struct evaluation *e, size_t m, struct med_err *err)
{
    char path[MED_PATH_MAX], name[32];
    snprintf(name, sizeof name, "%s.run", med_mode_name(e->options->modes[m]));
    enum med_code code = med_path_join(path, e->options->run_dir, name, err);
    if (code) return code;
    FILE *out = fopen(path, "w");
    if (!out) return med_fail_errno(err, errno, "cannot write %s", path);
    for (size_t t = 0; t < e->topics.count; t++) {
        const struct run *run = run_of(e, t, m);
        for (size_t i = 0; i < run->count; i++)
            fprintf(out, MED_STR_FMT " Q0 " MED_STR_FMT " %zu %.9g medicus-%s\n",
                MED_STR_ARG(e->topics.items[t].id), MED_STR_ARG(run->items[i].doc), i + 1,
                (double)run->items[i].score, med_mode_name(e->options->modes[m]));
    }
    bool failed = ferror(out);
    if (fclose(out) != 0 || failed) return med_fail_errno(err, errno, "cannot write %s", path);
    return MED_OK;
}

static enum med_code write_table(const struct evaluation *e, struct med_err *err)
{
    FILE *out = fopen(e->options->per_query_path, "w");
    if (!out) return med_fail_errno(err, errno, "cannot write %s", e->options->per_query_path);
    fputs("query\tmode\tndcg@10\trecall@100\tmrr@10\tmap\trelevant\ttext\n", out);
    for (size_t t = 0; t < e->topics.count; t++) {
        const struct med_topic *topic = &e->topics.items[t];
        for (size_t m = 0; topic->relevant_count && m < e->options->mode_count; m++) {
            const struct med_eval_scores *s = &run_of(e, t, m)->scores;
            fprintf(out, MED_STR_FMT "\t%s\t%.4f\t%.4f\t%.4f\t%.4f\t%zu\t" MED_STR_FMT "\n",
                MED_STR_ARG(topic->id), med_mode_name(e->options->modes[m]), s->ndcg_10,
                s->recall_100, s->mrr_10, s->map, topic->relevant_count, MED_STR_ARG(topic->text));
        }
    }
    bool failed = ferror(out);
    if (fclose(out) != 0 || failed)
        return med_fail_errno(err, errno, "cannot write %s", e->options->per_query_path);
    return MED_OK;
}

/* The modes, then the sweeps' values. */
static enum med_code list_systems(
    struct evaluation *e, struct med_arena *arena, struct med_err *err)
{
    const struct med_eval_options *o = e->options;
    size_t count = o->mode_count;
    for (size_t i = 0; i < o->sweep_count; i++) count += med_sweep_value_count(&o->sweeps[i]);
    e->systems = med_arena_calloc(arena, count + 1, sizeof *e->systems);
    e->runs = med_arena_calloc(arena, e->topics.count * count + 1, sizeof *e->runs);
    if (!e->systems || !e->runs)
        return med_fail(err, MED_E_NOMEM, "out of memory for the evaluation");
    for (size_t m = 0; m < o->mode_count; m++)
        e->systems[e->system_count++] =
            (struct system){o->modes[m], o->fusion_weight, o->authority_weight};
    for (size_t i = 0; i < o->sweep_count; i++) {
        for (size_t v = 0; v < med_sweep_value_count(&o->sweeps[i]); v++) {
            struct system *system = &e->systems[e->system_count++];
            double value = med_sweep_value(&o->sweeps[i], v);
            *system = (struct system){MED_MODE_HYBRID, o->fusion_weight, o->authority_weight};
            if (o->sweeps[i].of == MED_SWEEP_FUSION)
                system->fusion_weight = value;
            else
                system->authority_weight = value;
        }
    }
    return MED_OK;
}

static struct med_eval_scores mean(const struct evaluation *e, size_t system, uint64_t query_count)
{
    struct med_eval_scores sum = {0};
    for (size_t t = 0; t < e->topics.count; t++) {
        if (e->topics.items[t].relevant_count)
            add_scores(&sum, &run_of(e, t, system)->scores, 1 / (double)query_count);
    }
    return sum;
}

/* The report outlives the topics: what it says about a query is copied. */
static bool add_row(
    const struct evaluation *e, size_t t, struct med_arena *arena, struct med_eval_row *row)
{
    const struct med_topic *topic = &e->topics.items[t];
    size_t n = e->options->mode_count;
    struct med_eval_scores *modes = med_arena_calloc(arena, n + 1, sizeof *modes);
    if (!modes || !med_arena_str(arena, topic->id, &row->id) ||
        !med_arena_str(arena, topic->text, &row->text))
        return false;
    for (size_t m = 0; m < n; m++) modes[m] = run_of(e, t, m)->scores;
    row->modes = modes;
    return true;
}

static enum med_code summarize(const struct evaluation *e, struct med_arena *arena,
    struct med_eval_report *report, struct med_err *err)
{
    const struct med_eval_options *o = e->options;
    for (size_t t = 0; t < e->topics.count; t++) {
        if (e->topics.items[t].relevant_count)
            report->query_count++;
        else
            report->unjudged++;
    }
    if (report->query_count == 0)
        return med_fail(err, MED_E_INVALID, "no query of %s has a relevant judgement in %s",
            o->queries_path, o->qrels_path);
    report->queries = med_arena_calloc(arena, (size_t)report->query_count, sizeof *report->queries);
    bool ok = report->queries != NULL;
    for (size_t t = 0, n = 0; ok && t < e->topics.count; t++) {
        if (e->topics.items[t].relevant_count) ok = add_row(e, t, arena, &report->queries[n++]);
    }
    for (size_t m = 0; m < o->mode_count; m++) report->modes[m] = mean(e, m, report->query_count);
    size_t system = o->mode_count;
    for (size_t i = 0; ok && i < o->sweep_count; i++) {
        size_t count = med_sweep_value_count(&o->sweeps[i]);
        struct med_sweep_point *points = med_arena_calloc(arena, count, sizeof *points);
        ok = points != NULL;
        for (size_t v = 0; ok && v < count; v++)
            points[v] = (struct med_sweep_point){
                med_sweep_value(&o->sweeps[i], v), mean(e, system++, report->query_count)};
        report->sweeps[i] = points;
    }
    if (!ok) return med_fail(err, MED_E_NOMEM, "out of memory for the evaluation");
    return med_eval_compare(report, o->mode_count, arena, err);
}

enum med_code med_eval(const struct med_index *index, const struct med_eval_options *options,
    struct med_arena *arena, struct med_eval_report *ret_report, struct med_err *err)
{
    struct evaluation e = {.index = index, .options = options};
    struct med_eval_report report = {0};
    struct med_arena *own = NULL;
    enum med_code code = med_arena_new(EVAL_ARENA_BYTES_MAX, &own, err);
    if (!code && options->run_dir) code = med_fs_mkdir_all(med_fs_posix(), options->run_dir, err);
    if (!code)
        code = med_topics_read(options->queries_path, options->qrels_path, own, &e.topics, err);
    if (!code) code = list_systems(&e, own, err);
    if (!code) code = med_parallel_for(options->threads, e.topics.count, 32, run_range, &e, err);
    if (!code) code = summarize(&e, arena, &report, err);
    if (!code) code = count_missing(&e, &report.missing_docs, err);
    if (!code && options->evidence_path)
        code = med_passage_eval(index, &e.topics, options, &report.passages, err);
    for (size_t m = 0; !code && options->run_dir && m < options->mode_count; m++)
        code = write_run(&e, m, err);
    if (!code && options->per_query_path) code = write_table(&e, err);
    for (size_t t = 0; e.runs && options->run_dir && t < e.topics.count; t++) {
        for (size_t m = 0; m < options->mode_count; m++) med_free(run_of(&e, t, m)->items);
    }
    med_arena_free(&own);
    if (code) return code;
    *ret_report = report;
    return MED_OK;
}

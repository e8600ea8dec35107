/* Evaluation with the field's measures and trec_eval's rules: gain = the judgement, ties broken by
 * document id descending as trec_eval does, ranking depth 1,000, means over queries with at least
 * one relevant judgement. Several modes are compared query by query; weights can be swept; and with
 * evidence spans the passages themselves are judged (passage_eval.h). */
#pragma once

#include "index/passage_eval.h"
#include "index/search.h"
#include "index/significance.h"

enum med_measure {
    MED_MEASURE_NDCG_10,
    MED_MEASURE_RECALL_100,
    MED_MEASURE_MRR_10,
    MED_MEASURE_MAP,
    MED_MEASURE_NDCG_100,
    MED_MEASURE_PRECISION_10,
    MED_MEASURE_RECALL_1000,
    MED_MEASURE_COUNT
};
struct med_eval_scores {
    double ndcg_10, recall_100, mrr_10, map;
    double ndcg_100, precision_10, recall_1000;
};
const char *med_measure_name(enum med_measure measure); /* "ndcg@10" */
double med_measure_of(const struct med_eval_scores *scores, enum med_measure measure);

/* Hybrid rankings with one weight at from, from + step, ... up to `to`. */
enum med_sweep_of { MED_SWEEP_FUSION, MED_SWEEP_AUTHORITY };
struct med_sweep {
    enum med_sweep_of of;
    double from, to, step;
};
#define MED_SWEEPS_MAX 4
#define MED_SWEEP_VALUES_MAX 101
const char *med_sweep_name(enum med_sweep_of of); /* "fusion" */
/* "fusion=0:1:0.1". MED_E_USAGE says what is wrong with it. */
enum med_code med_sweep_parse(
    struct med_str text, struct med_sweep *ret_sweep, struct med_err *err) MED_CHECK;
size_t med_sweep_value_count(const struct med_sweep *sweep);
double med_sweep_value(const struct med_sweep *sweep, size_t i);

struct med_eval_options {
    const char *queries_path;  /* BEIR queries.jsonl, or TREC topics (<top> or id<TAB>text) */
    const char *qrels_path;    /* BEIR tsv with header, or TREC qrels (id 0 doc rel) */
    const char *evidence_path; /* evidence spans (passage_eval.h), or NULL */
    enum med_mode modes[MED_MODE_COUNT]; /* the first one is the baseline of comparisons */
    size_t mode_count;
    double fusion_weight;    /* negative = calibrated */
    double authority_weight; /* negative = MED_AUTHORITY_WEIGHT_DEFAULT */
    bool expand;             /* as in med_search_request */
    enum med_fusion fusion;
    struct med_sweep sweeps[MED_SWEEPS_MAX];
    size_t sweep_count;
    unsigned threads;           /* 0 = all */
    const char *run_dir;        /* write <mode>.run TREC run files here, or NULL */
    const char *per_query_path; /* tab-separated table, or NULL */
    const struct med_progress *progress;
};
struct med_eval_row {
    struct med_str id, text;
    const struct med_eval_scores *modes; /* by position in options.modes */
};
/* What one mode does differently from the baseline. */
struct med_eval_change {
    size_t query;      /* position in the report's queries */
    double difference; /* of nDCG@10 */
};
struct med_eval_comparison {
    size_t mode; /* position in options.modes; the baseline is position 0 */
    struct med_paired_test tests[MED_MEASURE_COUNT];
    uint64_t better, worse, equal;   /* queries, by nDCG@10 */
    struct med_eval_change *changes; /* of every query, worst first */
};
struct med_sweep_point {
    double value;
    struct med_eval_scores scores;
};
struct med_eval_report {
    struct med_eval_scores modes[MED_MODE_COUNT]; /* by position in options.modes */
    uint64_t query_count;                    /* with a relevant judgement: the mean is over these */
    uint64_t unjudged;                       /* queries without */
    uint64_t missing_docs;                   /* judged relevant but not in this index */
    struct med_eval_row *queries;            /* query_count */
    struct med_eval_comparison *comparisons; /* mode_count - 1 */
    struct med_sweep_point *sweeps[MED_SWEEPS_MAX];
    struct med_passage_report passages; /* when there is an evidence path */
};
/* The report's arrays live in the arena. */
enum med_code med_eval(const struct med_index *index, const struct med_eval_options *options,
    struct med_arena *arena, struct med_eval_report *ret_report, struct med_err *err) MED_CHECK;
/* Fills `comparisons` from `queries`; med_eval does it. */
enum med_code med_eval_compare(struct med_eval_report *report, size_t mode_count,
    struct med_arena *arena, struct med_err *err) MED_CHECK;

/* One retrieved document of a run; the score in single precision, as trec_eval reads it. */
struct med_eval_item {
    struct med_str doc;
    float score;
};
/* trec_eval's order: score descending, ties by document id descending. */
void med_eval_order(struct med_eval_item *items, size_t count);

/* The measures alone: the gains of the ranked list (0 = not judged) and all judged gains in
 * descending order. */
struct med_eval_scores med_eval_query(
    const int *ranked_gains, size_t ranked_count, const int *all_gains, size_t all_count);

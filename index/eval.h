/* Evaluation with the field's measures and trec_eval's rules: gain = the judgement, ties broken by
 * document id descending as trec_eval does, ranking depth 1,000, means over queries with at least
 * one relevant judgement. */
#pragma once

#include "index/search.h"

struct med_eval_options {
    const char *queries_path; /* BEIR queries.jsonl, or TREC topics (<top> or id<TAB>text) */
    const char *qrels_path;   /* BEIR tsv with header, or TREC qrels (id 0 doc rel) */
    enum med_mode modes[MED_MODE_COUNT];
    size_t mode_count;
    double fusion_weight;    /* negative = calibrated */
    double authority_weight; /* negative = MED_AUTHORITY_WEIGHT_DEFAULT */
    enum med_fusion fusion;
    unsigned threads;           /* 0 = all */
    const char *run_dir;        /* write <mode>.run TREC run files here, or NULL */
    const char *per_query_path; /* tab-separated table, or NULL */
    const struct med_progress *progress;
};
struct med_eval_scores {
    double ndcg_10, recall_100, mrr_10, map;
    double ndcg_100, precision_10, recall_1000;
};
struct med_eval_report {
    struct med_eval_scores modes[MED_MODE_COUNT]; /* by position in options.modes */
    uint64_t query_count;  /* with a relevant judgement: the mean is over these */
    uint64_t unjudged;     /* queries without */
    uint64_t missing_docs; /* judged relevant but not in this index */
};
enum med_code med_eval(const struct med_index *index, const struct med_eval_options *options,
    struct med_eval_report *ret_report, struct med_err *err) MED_CHECK;

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

/* What `medicus eval` found, as a table, as JSON and as one HTML page. */
#pragma once

#include "index/eval.h"

#include "common/json.h"

#define EVAL_HTML_LOSERS_DEFAULT 10

struct eval_view {
    const struct med_eval_options *options;
    const struct med_eval_report *report;
    uint64_t generation;
    double fusion_weight, authority_weight; /* the ones used */
    size_t losers;                          /* worst and best queries to list per comparison */
};

void eval_text(const struct eval_view *v, struct med_buf *out);
void eval_json(const struct eval_view *v, struct med_buf *out);
/* Self-contained: no script, no font, nothing to fetch; follows the reader's light or dark. */
void eval_html(const struct eval_view *v, struct med_buf *out);

/* --- shared by the three --- */
const char *eval_measure_label(enum med_measure m); /* "nDCG@10" */
const char *eval_group_name(enum med_group group);  /* "document" */
/* How many of the comparison's changes to list as losers (or winners): at most v->losers, and only
 * queries that really differ. */
size_t eval_loser_count(const struct eval_view *v, const struct med_eval_comparison *c);
size_t eval_winner_count(const struct eval_view *v, const struct med_eval_comparison *c);
/* The i-th best change. */
const struct med_eval_change *eval_winner(
    const struct eval_view *v, const struct med_eval_comparison *c, size_t i);

/* --- plots of the HTML page (eval_plots.c), each one <svg> --- */
void eval_plot_measure(const struct eval_view *v, enum med_measure m, struct med_buf *out);
void eval_plot_differences(
    const struct eval_view *v, const struct med_eval_comparison *c, struct med_buf *out);
void eval_plot_sweep(
    const struct eval_view *v, size_t sweep, enum med_measure m, struct med_buf *out);
void eval_plot_passages(
    const struct eval_view *v, size_t mode, enum med_group group, struct med_buf *out);
void eval_html_escape(struct med_str text, struct med_buf *out);

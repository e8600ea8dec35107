#include "service/eval_report.h"

/* As many digits as a mean over some hundred queries can mean. */
static void number(struct med_jw *w, const char *key, double value)
{
    med_jw_key(w, key);
    med_jw_float(w, value, 9);
}

static void scores(struct med_jw *w, const struct med_eval_scores *s)
{
    for (enum med_measure m = 0; m < MED_MEASURE_COUNT; m++)
        number(w, med_measure_name(m), med_measure_of(s, m));
}

static void change(struct med_jw *w, const struct eval_view *v, const struct med_eval_comparison *c,
    const struct med_eval_change *change)
{
    const struct med_eval_row *q = &v->report->queries[change->query];
    med_jw_object(w);
    med_jw_kstr(w, "query", q->id);
    med_jw_kstr(w, "text", q->text);
    number(w, "baseline", q->modes[0].ndcg_10);
    number(w, "mode", q->modes[c->mode].ndcg_10);
    number(w, "difference", change->difference);
    med_jw_object_end(w);
}

static void comparison(
    struct med_jw *w, const struct eval_view *v, const struct med_eval_comparison *c)
{
    med_jw_object(w);
    med_jw_kcstr(w, "baseline", med_mode_name(v->options->modes[0]));
    med_jw_kcstr(w, "mode", med_mode_name(v->options->modes[c->mode]));
    med_jw_key(w, "measures");
    med_jw_object(w);
    for (enum med_measure m = 0; m < MED_MEASURE_COUNT; m++) {
        med_jw_key(w, med_measure_name(m));
        med_jw_object(w);
        number(w, "difference", c->tests[m].difference);
        number(w, "p", c->tests[m].p);
        med_jw_object_end(w);
    }
    med_jw_object_end(w);
    med_jw_kint(w, "better", (long long)c->better);
    med_jw_kint(w, "worse", (long long)c->worse);
    med_jw_kint(w, "equal", (long long)c->equal);
    if (v->losers) {
        med_jw_key(w, "losers");
        med_jw_array(w);
        for (size_t i = 0; i < eval_loser_count(v, c); i++) change(w, v, c, &c->changes[i]);
        med_jw_array_end(w);
        med_jw_key(w, "winners");
        med_jw_array(w);
        for (size_t i = 0; i < eval_winner_count(v, c); i++) change(w, v, c, eval_winner(v, c, i));
        med_jw_array_end(w);
    }
    med_jw_object_end(w);
}

static void sweep(struct med_jw *w, const struct eval_view *v, size_t i)
{
    const struct med_sweep *s = &v->options->sweeps[i];
    med_jw_object(w);
    med_jw_kcstr(w, "weight", med_sweep_name(s->of));
    med_jw_kcstr(w, "mode", med_mode_name(MED_MODE_HYBRID));
    med_jw_key(w, "values");
    med_jw_array(w);
    for (size_t k = 0; k < med_sweep_value_count(s); k++) {
        const struct med_sweep_point *point = &v->report->sweeps[i][k];
        med_jw_object(w);
        number(w, "value", point->value);
        scores(w, &point->scores);
        med_jw_object_end(w);
    }
    med_jw_array_end(w);
    med_jw_object_end(w);
}

static void passage_measures(
    struct med_jw *w, const char *key, const struct med_passage_measures *m)
{
    static const char *const names[MED_PASSAGE_DEPTHS] = {"success@1", "success@5", "success@10"};
    med_jw_key(w, key);
    med_jw_object(w);
    for (size_t i = 0; i < MED_PASSAGE_DEPTHS; i++) number(w, names[i], m->success[i]);
    number(w, "mrr@10", m->mrr_10);
    med_jw_object_end(w);
}

static void passages(struct med_jw *w, const struct eval_view *v)
{
    const struct med_passage_report *p = &v->report->passages;
    med_jw_key(w, "passages");
    med_jw_object(w);
    med_jw_key(w, "modes");
    med_jw_object(w);
    for (size_t m = 0; m < v->options->mode_count; m++) {
        med_jw_key(w, med_mode_name(v->options->modes[m]));
        med_jw_object(w);
        for (enum med_group g = 0; g < MED_GROUP_COUNT; g++) {
            med_jw_key(w, eval_group_name(g));
            med_jw_object(w);
            passage_measures(w, "passage", &p->modes[m][g].passage);
            passage_measures(w, "article", &p->modes[m][g].article);
            med_jw_object_end(w);
        }
        med_jw_object_end(w);
    }
    med_jw_object_end(w);
    med_jw_kint(w, "queries", (long long)p->query_count);
    med_jw_kint(w, "evidence", (long long)p->evidence_count);
    med_jw_kint(w, "evidence_of_other_queries", (long long)p->absent_queries);
    med_jw_kint(w, "evidence_documents_missing", (long long)p->absent_docs);
    med_jw_kint(w, "evidence_not_in_document", (long long)p->absent_texts);
    med_jw_object_end(w);
}

void eval_json(const struct eval_view *v, struct med_buf *out)
{
    const struct med_eval_report *r = v->report;
    struct med_jw w = med_jw_of(out, false);
    med_jw_object(&w);
    med_jw_key(&w, "modes");
    med_jw_object(&w);
    for (size_t i = 0; i < v->options->mode_count; i++) {
        med_jw_key(&w, med_mode_name(v->options->modes[i]));
        med_jw_object(&w);
        scores(&w, &r->modes[i]);
        med_jw_object_end(&w);
    }
    med_jw_object_end(&w);
    med_jw_kint(&w, "queries", (long long)r->query_count);
    med_jw_kint(&w, "queries_without_judgement", (long long)r->unjudged);
    med_jw_kint(&w, "relevant_documents_missing", (long long)r->missing_docs);
    med_jw_kint(&w, "generation", (long long)v->generation);
    number(&w, "fusion_weight", v->fusion_weight);
    number(&w, "authority_weight", v->authority_weight);
    med_jw_key(&w, "comparisons");
    med_jw_array(&w);
    for (size_t i = 0; i + 1 < v->options->mode_count; i++) comparison(&w, v, &r->comparisons[i]);
    med_jw_array_end(&w);
    if (v->options->sweep_count) {
        med_jw_key(&w, "sweeps");
        med_jw_array(&w);
        for (size_t i = 0; i < v->options->sweep_count; i++) sweep(&w, v, i);
        med_jw_array_end(&w);
    }
    if (v->options->evidence_path) passages(&w, v);
    med_jw_object_end(&w);
    med_buf_putc(out, '\n');
}

#include "service/eval_report.h"

#define QUERY_BYTES_SHOWN 76

/* The order of the columns of the tables. */
static const enum med_measure columns[MED_MEASURE_COUNT] = {MED_MEASURE_NDCG_10,
    MED_MEASURE_RECALL_100, MED_MEASURE_MRR_10, MED_MEASURE_MAP, MED_MEASURE_PRECISION_10,
    MED_MEASURE_NDCG_100, MED_MEASURE_RECALL_1000};

const char *eval_measure_label(enum med_measure m)
{
    switch (m) {
    case MED_MEASURE_NDCG_10: return "nDCG@10";
    case MED_MEASURE_RECALL_100: return "R@100";
    case MED_MEASURE_MRR_10: return "MRR@10";
    case MED_MEASURE_MAP: return "MAP";
    case MED_MEASURE_NDCG_100: return "nDCG@100";
    case MED_MEASURE_PRECISION_10: return "P@10";
    case MED_MEASURE_RECALL_1000: return "R@1000";
    case MED_MEASURE_COUNT: break;
    }
    return "";
}

const char *eval_group_name(enum med_group group)
{
    return group == MED_GROUP_DOCUMENT ? "document" : "none";
}

size_t eval_loser_count(const struct eval_view *v, const struct med_eval_comparison *c)
{
    return v->losers < c->worse ? v->losers : (size_t)c->worse;
}

size_t eval_winner_count(const struct eval_view *v, const struct med_eval_comparison *c)
{
    return v->losers < c->better ? v->losers : (size_t)c->better;
}

const struct med_eval_change *eval_winner(
    const struct eval_view *v, const struct med_eval_comparison *c, size_t i)
{
    return &c->changes[(size_t)v->report->query_count - 1 - i];
}

static const char *mode_name(const struct eval_view *v, size_t position)
{
    return med_mode_name(v->options->modes[position]);
}

static void scores(const struct med_eval_scores *s, struct med_buf *out)
{
    for (size_t i = 0; i < MED_MEASURE_COUNT; i++)
        med_buf_printf(out, "%10.4f", med_measure_of(s, columns[i]));
    med_buf_putc(out, '\n');
}

static void head(const char *first, struct med_buf *out)
{
    med_buf_printf(out, "%-9s", first);
    for (size_t i = 0; i < MED_MEASURE_COUNT; i++)
        med_buf_printf(out, "%10s", eval_measure_label(columns[i]));
    med_buf_putc(out, '\n');
}

static void modes(const struct eval_view *v, struct med_buf *out)
{
    const struct med_eval_report *r = v->report;
    head("mode", out);
    for (size_t m = 0; m < v->options->mode_count; m++) {
        med_buf_printf(out, "%-9s", mode_name(v, m));
        scores(&r->modes[m], out);
    }
    med_buf_printf(out, "mean over %llu queries", (unsigned long long)r->query_count);
    if (r->unjudged)
        med_buf_printf(
            out, "; %llu without a relevant judgement left out", (unsigned long long)r->unjudged);
    if (r->missing_docs)
        med_buf_printf(out, "; %llu relevant documents are not in this index",
            (unsigned long long)r->missing_docs);
    med_buf_putc(out, '\n');
}

static void change(const struct eval_view *v, const struct med_eval_comparison *c,
    const struct med_eval_change *change, struct med_buf *out)
{
    const struct med_eval_row *q = &v->report->queries[change->query];
    size_t len = q->text.len;
    if (len > QUERY_BYTES_SHOWN) {
        len = QUERY_BYTES_SHOWN;
        while (len > 0 && ((unsigned char)q->text.ptr[len] & 0xC0) == 0x80) len--;
    }
    med_buf_printf(out, "  %+.4f  %.4f -> %.4f  " MED_STR_FMT "  " MED_STR_FMT "%s\n",
        change->difference, q->modes[0].ndcg_10, q->modes[c->mode].ndcg_10, MED_STR_ARG(q->id),
        (int)len, q->text.ptr, len < q->text.len ? " ..." : "");
}

static void comparison(
    const struct eval_view *v, const struct med_eval_comparison *c, struct med_buf *out)
{
    const char *mode = mode_name(v, c->mode), *baseline = mode_name(v, 0);
    med_buf_printf(out, "\n%s minus %s: better on %llu queries, worse on %llu, equal on %llu\n",
        mode, baseline, (unsigned long long)c->better, (unsigned long long)c->worse,
        (unsigned long long)c->equal);
    med_buf_printf(out, "%-9s", "diff.");
    for (size_t i = 0; i < MED_MEASURE_COUNT; i++)
        med_buf_printf(out, "%+10.4f", c->tests[columns[i]].difference);
    med_buf_printf(out, "\n%-9s", "p");
    for (size_t i = 0; i < MED_MEASURE_COUNT; i++)
        med_buf_printf(out, "%10.4f", c->tests[columns[i]].p);
    med_buf_putc(out, '\n');
    size_t losers = eval_loser_count(v, c), winners = eval_winner_count(v, c);
    if (losers) med_buf_printf(out, "nDCG@10, worst first (%s -> %s):\n", baseline, mode);
    for (size_t i = 0; i < losers; i++) change(v, c, &c->changes[i], out);
    if (winners) med_buf_printf(out, "nDCG@10, best first (%s -> %s):\n", baseline, mode);
    for (size_t i = 0; i < winners; i++) change(v, c, eval_winner(v, c, i), out);
}

static void sweep(const struct eval_view *v, size_t number, struct med_buf *out)
{
    const struct med_sweep *s = &v->options->sweeps[number];
    med_buf_printf(out, "\nhybrid with the %s weight at:\n", med_sweep_name(s->of));
    head(med_sweep_name(s->of), out);
    for (size_t i = 0; i < med_sweep_value_count(s); i++) {
        med_buf_printf(out, "%-9.4g", v->report->sweeps[number][i].value);
        scores(&v->report->sweeps[number][i].scores, out);
    }
}

static void passages(const struct eval_view *v, struct med_buf *out)
{
    const struct med_passage_report *p = &v->report->passages;
    med_buf_printf(out,
        "\nEvidence: share of %llu queries whose evidence stands in one of the first results\n"
        "                     passage                       article\n"
        "mode      group_by   S@1    S@5    S@10   MRR@10   S@1    S@5    S@10   MRR@10\n",
        (unsigned long long)p->query_count);
    for (size_t m = 0; m < v->options->mode_count; m++) {
        for (enum med_group g = 0; g < MED_GROUP_COUNT; g++) {
            const struct med_passage_scores *s = &p->modes[m][g];
            med_buf_printf(out, "%-8s  %-9s ", mode_name(v, m), eval_group_name(g));
            for (size_t i = 0; i < MED_PASSAGE_DEPTHS; i++)
                med_buf_printf(out, " %.4f", s->passage.success[i]);
            med_buf_printf(out, " %.4f  ", s->passage.mrr_10);
            for (size_t i = 0; i < MED_PASSAGE_DEPTHS; i++)
                med_buf_printf(out, " %.4f", s->article.success[i]);
            med_buf_printf(out, " %.4f\n", s->article.mrr_10);
        }
    }
    if (p->absent_queries + p->absent_docs + p->absent_texts)
        med_buf_printf(out,
            "left out: %llu lines of other queries, %llu of documents that are not in this index, "
            "%llu that do not stand in their document\n",
            (unsigned long long)p->absent_queries, (unsigned long long)p->absent_docs,
            (unsigned long long)p->absent_texts);
}

void eval_text(const struct eval_view *v, struct med_buf *out)
{
    modes(v, out);
    for (size_t i = 0; i + 1 < v->options->mode_count; i++)
        comparison(v, &v->report->comparisons[i], out);
    if (v->options->mode_count > 1)
        med_buf_printf(out,
            "\np: two-sided, paired randomisation test with %u sign patterns; below .05 a "
            "difference is rarely chance\n",
            MED_RANDOMIZATION_ROUNDS);
    for (size_t i = 0; i < v->options->sweep_count; i++) sweep(v, i, out);
    if (v->options->evidence_path) passages(v, out);
}

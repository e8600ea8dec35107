/* One page that can be mailed around: style and plots are inside, nothing is fetched, no script. */
#include "service/eval_report.h"

static const char style[] =
    ":root{color-scheme:light dark;--page:#fcfcfb;--text:#0b0b0b;--soft:#52514e;--line:#e1e0d9;"
    "--axis:#9a988f;--lexical:#2a78d6;--dense:#1baf7a;--hybrid:#eb6834;--up:#2a78d6;"
    "--down:#e34948;--pale:#b7d3f6}\n"
    "@media(prefers-color-scheme:dark){:root{--page:#1a1a19;--text:#fff;--soft:#c3c2b7;"
    "--line:#2c2c2a;--axis:#6f6d66;--lexical:#3987e5;--dense:#199e70;--hybrid:#d95926;"
    "--up:#3987e5;--down:#e66767;--pale:#184f95}}\n"
    "body{background:var(--page);color:var(--text);font:15px/1.5 system-ui,sans-serif;"
    "max-width:1000px;margin:2rem auto;padding:0 1rem}\n"
    "h1{font-size:1.6rem;margin:0}h2{font-size:1.15rem;margin:2.2rem 0 .6rem}"
    "h3{font-size:1rem;margin:1.2rem 0 .4rem}p{margin:.4rem 0;color:var(--soft)}\n"
    ".scroll{overflow-x:auto}table{border-collapse:collapse;font-size:14px}"
    "th,td{padding:.3rem .7rem;text-align:right;border-bottom:1px solid var(--line);"
    "font-variant-numeric:tabular-nums;vertical-align:top}"
    "th{color:var(--soft);font-weight:600}th.l,td.l{text-align:left}"
    "td.best{font-weight:700}td.sure{font-weight:700}td.dim{color:var(--soft)}\n"
    ".plots{display:flex;flex-wrap:wrap;gap:1.2rem 1.6rem;margin:.8rem 0}"
    "svg{max-width:100%;height:auto}"
    "svg text{fill:var(--soft);font-size:12px;font-family:inherit}"
    "svg text.name{fill:var(--text);font-size:13px;font-weight:600}"
    "svg text.value{fill:var(--text)}svg .end{text-anchor:end}svg .middle{text-anchor:middle}"
    "svg .grid{stroke:var(--line)}svg .axis{stroke:var(--axis)}\n"
    "svg .lexical{fill:var(--lexical)}svg .dense{fill:var(--dense)}svg .hybrid{fill:var(--hybrid)}"
    "svg .up{fill:var(--up)}svg .down{fill:var(--down)}svg .article{fill:var(--pale)}"
    "svg .passage{fill:var(--up)}svg .hover{fill:transparent}"
    "svg .hover:hover{fill:var(--line);fill-opacity:.6}"
    "svg .curve{fill:none;stroke:var(--hybrid);stroke-width:2}svg .dot{fill:var(--hybrid)}"
    "svg .used{stroke:var(--soft);stroke-dasharray:4 3}"
    ".key{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin:0 .3em 0 .8em}"
    "details summary{cursor:pointer;color:var(--soft)}\n";

static const char *mode_name(const struct eval_view *v, size_t position)
{
    return med_mode_name(v->options->modes[position]);
}

static void measure_head(const char *first, struct med_buf *out)
{
    med_buf_printf(out, "<div class=\"scroll\"><table><tr><th class=\"l\">%s</th>", first);
    for (enum med_measure m = 0; m < MED_MEASURE_COUNT; m++)
        med_buf_printf(out, "<th>%s</th>", eval_measure_label(m));
    med_buf_puts(out, "</tr>\n");
}

static void file_name(const char *path, struct med_buf *out)
{
    const char *slash = strrchr(path, '/');
    eval_html_escape(med_str_of(slash ? slash + 1 : path), out);
}

static void head(const struct eval_view *v, struct med_buf *out)
{
    const struct med_eval_report *r = v->report;
    med_buf_printf(out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
        "<meta name=\"viewport\" content=\"width=device-width\">"
        "<title>Retrieval quality</title><style>\n%s</style></head><body>\n"
        "<h1>Retrieval quality</h1>\n<p>Queries ",
        style);
    file_name(v->options->queries_path, out);
    med_buf_puts(out, ", judgements ");
    file_name(v->options->qrels_path, out);
    med_buf_printf(out,
        "; generation %llu, fusion weight %.3g%s, authority weight %.3g.<br>Means over %llu "
        "queries with a relevant judgement",
        (unsigned long long)v->generation, v->fusion_weight,
        v->options->fusion_weight < 0 ? " (calibrated)" : "", v->authority_weight,
        (unsigned long long)r->query_count);
    if (r->unjudged)
        med_buf_printf(out, "; %llu without are left out", (unsigned long long)r->unjudged);
    if (r->missing_docs)
        med_buf_printf(out, "; %llu relevant documents are not in this index",
            (unsigned long long)r->missing_docs);
    med_buf_puts(out, ".</p>\n");
}

static void modes(const struct eval_view *v, struct med_buf *out)
{
    med_buf_puts(out, "<h2>Modes</h2>\n");
    measure_head("mode", out);
    for (size_t i = 0; i < v->options->mode_count; i++) {
        med_buf_printf(out, "<tr><td class=\"l\">%s</td>", mode_name(v, i));
        for (enum med_measure m = 0; m < MED_MEASURE_COUNT; m++) {
            double value = med_measure_of(&v->report->modes[i], m);
            bool best = true;
            for (size_t k = 0; k < v->options->mode_count; k++)
                best &= value >= med_measure_of(&v->report->modes[k], m);
            med_buf_printf(out, "<td%s>%.4f</td>", best ? " class=\"best\"" : "", value);
        }
        med_buf_puts(out, "</tr>\n");
    }
    med_buf_puts(out, "</table></div>\n<div class=\"plots\">\n");
    for (enum med_measure m = MED_MEASURE_NDCG_10; m <= MED_MEASURE_MAP; m++)
        eval_plot_measure(v, m, out);
    med_buf_puts(out, "</div>\n");
}

static void change(const struct eval_view *v, const struct med_eval_comparison *c,
    const struct med_eval_change *change, struct med_buf *out)
{
    const struct med_eval_row *q = &v->report->queries[change->query];
    med_buf_printf(out, "<tr><td>%+.4f</td><td>%.4f</td><td>%.4f</td><td class=\"l\">",
        change->difference, q->modes[0].ndcg_10, q->modes[c->mode].ndcg_10);
    eval_html_escape(q->id, out);
    med_buf_puts(out, "</td><td class=\"l\">");
    eval_html_escape(q->text, out);
    med_buf_puts(out, "</td></tr>\n");
}

static void changes(const struct eval_view *v, const struct med_eval_comparison *c, bool winners,
    struct med_buf *out)
{
    size_t count = winners ? eval_winner_count(v, c) : eval_loser_count(v, c);
    if (count == 0) return;
    med_buf_printf(out,
        "<h3>%s</h3>\n<div class=\"scroll\"><table><tr><th>difference</th><th>%s</th><th>%s</th>"
        "<th class=\"l\">query</th><th class=\"l\">text</th></tr>\n",
        winners ? "Winners" : "Losers", mode_name(v, 0), mode_name(v, c->mode));
    for (size_t i = 0; i < count; i++)
        change(v, c, winners ? eval_winner(v, c, i) : &c->changes[i], out);
    med_buf_puts(out, "</table></div>\n");
}

static void comparison(
    const struct eval_view *v, const struct med_eval_comparison *c, struct med_buf *out)
{
    med_buf_printf(out, "<h2>%s minus %s</h2>\n", mode_name(v, c->mode), mode_name(v, 0));
    measure_head("", out);
    med_buf_puts(out, "<tr><td class=\"l\">difference</td>");
    for (enum med_measure m = 0; m < MED_MEASURE_COUNT; m++)
        med_buf_printf(out, "<td>%+.4f</td>", c->tests[m].difference);
    med_buf_puts(out, "</tr>\n<tr><td class=\"l\">p</td>");
    for (enum med_measure m = 0; m < MED_MEASURE_COUNT; m++)
        med_buf_printf(out, "<td class=\"%s\">%.4f</td>", c->tests[m].p < 0.05 ? "sure" : "dim",
            c->tests[m].p);
    med_buf_printf(out,
        "</tr></table></div>\n<p>p: two-sided, paired randomisation test with %u sign patterns; "
        "bold below .05. Below: differences in nDCG@10 of all queries, sorted.</p>\n",
        MED_RANDOMIZATION_ROUNDS);
    eval_plot_differences(v, c, out);
    changes(v, c, false, out);
    changes(v, c, true, out);
}

static void sweep(const struct eval_view *v, size_t number, struct med_buf *out)
{
    const struct med_sweep *s = &v->options->sweeps[number];
    med_buf_printf(out,
        "<h2>Sweep of the %s weight</h2>\n<p>Hybrid mode; the dashed line is the weight in use. "
        "The vertical scales differ.</p>\n<div class=\"plots\">\n",
        med_sweep_name(s->of));
    for (enum med_measure m = MED_MEASURE_NDCG_10; m <= MED_MEASURE_MAP; m++)
        eval_plot_sweep(v, number, m, out);
    med_buf_puts(out, "</div>\n<details><summary>Table</summary>\n");
    measure_head("weight", out);
    for (size_t i = 0; i < med_sweep_value_count(s); i++) {
        const struct med_sweep_point *point = &v->report->sweeps[number][i];
        med_buf_printf(out, "<tr><td class=\"l\">%.4g</td>", point->value);
        for (enum med_measure m = 0; m < MED_MEASURE_COUNT; m++)
            med_buf_printf(out, "<td>%.4f</td>", med_measure_of(&point->scores, m));
        med_buf_puts(out, "</tr>\n");
    }
    med_buf_puts(out, "</table></div></details>\n");
}

static void passages(const struct eval_view *v, struct med_buf *out)
{
    const struct med_passage_report *p = &v->report->passages;
    med_buf_printf(out,
        "<h2>Evidence</h2>\n<p>Share of %llu queries whose evidence stands in a returned passage, "
        "or whose article is returned at all.<span class=\"key\" style=\"background:var(--pale)\">"
        "</span>article<span class=\"key\" style=\"background:var(--up)\"></span>passage</p>\n"
        "<div class=\"scroll\"><table><tr><th class=\"l\">mode</th><th class=\"l\">group_by</th>"
        "<th class=\"l\">hit</th><th>first 1</th><th>first 5</th><th>first 10</th><th>MRR@10</th>"
        "</tr>\n",
        (unsigned long long)p->query_count);
    for (size_t i = 0; i < v->options->mode_count * MED_GROUP_COUNT * 2; i++) {
        size_t mode = i / (2 * MED_GROUP_COUNT);
        enum med_group group = (enum med_group)(i / 2 % MED_GROUP_COUNT);
        const struct med_passage_scores *s = &p->modes[mode][group];
        const struct med_passage_measures *m = i & 1 ? &s->passage : &s->article;
        med_buf_printf(out,
            "<tr><td class=\"l\">%s</td><td class=\"l\">%s</td><td class=\"l\">%s</td>"
            "<td>%.4f</td><td>%.4f</td><td>%.4f</td><td>%.4f</td></tr>\n",
            mode_name(v, mode), eval_group_name(group), i & 1 ? "passage" : "article",
            m->success[0], m->success[1], m->success[2], m->mrr_10);
    }
    med_buf_puts(out, "</table></div>\n<div class=\"plots\">\n");
    for (size_t i = 0; i < v->options->mode_count * MED_GROUP_COUNT; i++)
        eval_plot_passages(v, i / MED_GROUP_COUNT, (enum med_group)(i % MED_GROUP_COUNT), out);
    med_buf_puts(out, "</div>\n");
}

void eval_html(const struct eval_view *v, struct med_buf *out)
{
    head(v, out);
    modes(v, out);
    for (size_t i = 0; i + 1 < v->options->mode_count; i++)
        comparison(v, &v->report->comparisons[i], out);
    for (size_t i = 0; i < v->options->sweep_count; i++) sweep(v, i, out);
    if (v->options->evidence_path) passages(v, out);
    med_buf_puts(out, "</body></html>\n");
}

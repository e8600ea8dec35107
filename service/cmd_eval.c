/* medicus eval: retrieval quality against judgements, as a table or JSON. */
#include "index/eval.h"

#include "common/json.h"
#include "common/limits.h"
#include "service/command.h"
#include "service/progress_bar.h"
#include "service/stop.h"
#include "service/workspace.h"

static enum med_code read_modes(
    const char *list, struct med_eval_options *eval, struct med_err *err)
{
    for (const char *p = list; *p;) {
        size_t len = strcspn(p, ",");
        enum med_mode mode;
        struct med_str name = med_str_trim((struct med_str){.ptr = p, .len = len});
        if (!med_mode_parse(name, &mode))
            return med_fail(err, MED_E_USAGE,
                "--modes: \"" MED_STR_FMT "\" is not one of lexical, dense, hybrid",
                MED_STR_ARG(name));
        for (size_t i = 0; i < eval->mode_count; i++) {
            if (eval->modes[i] == mode)
                return med_fail(err, MED_E_USAGE, "--modes: " MED_STR_FMT " stands there twice",
                    MED_STR_ARG(name));
        }
        eval->modes[eval->mode_count++] = mode;
        p += len + (p[len] == ',');
    }
    if (eval->mode_count == 0) return med_fail(err, MED_E_USAGE, "--modes names no mode");
    return MED_OK;
}

/* As many digits as a mean over some hundred queries can mean. */
static void measure(struct med_jw *w, const char *key, double value)
{
    med_jw_key(w, key);
    med_jw_float(w, value, 9);
}

static void report_json(const struct med_eval_options *eval, const struct med_eval_report *r,
    uint64_t generation, struct med_buf *out)
{
    struct med_jw w = med_jw_of(out, false);
    med_jw_object(&w);
    med_jw_key(&w, "modes");
    med_jw_object(&w);
    for (size_t i = 0; i < eval->mode_count; i++) {
        const struct med_eval_scores *s = &r->modes[i];
        med_jw_key(&w, med_mode_name(eval->modes[i]));
        med_jw_object(&w);
        measure(&w, "ndcg@10", s->ndcg_10);
        measure(&w, "recall@100", s->recall_100);
        measure(&w, "mrr@10", s->mrr_10);
        measure(&w, "map", s->map);
        measure(&w, "ndcg@100", s->ndcg_100);
        measure(&w, "p@10", s->precision_10);
        measure(&w, "recall@1000", s->recall_1000);
        med_jw_object_end(&w);
    }
    med_jw_object_end(&w);
    med_jw_kint(&w, "queries", (long long)r->query_count);
    med_jw_kint(&w, "queries_without_judgement", (long long)r->unjudged);
    med_jw_kint(&w, "relevant_documents_missing", (long long)r->missing_docs);
    med_jw_kint(&w, "generation", (long long)generation);
    med_jw_object_end(&w);
    med_buf_putc(out, '\n');
}

static void report_text(
    const struct med_eval_options *eval, const struct med_eval_report *r, struct med_buf *out)
{
    med_buf_puts(out, "mode      nDCG@10  R@100   MRR@10  MAP     P@10    nDCG@100  R@1000\n");
    for (size_t i = 0; i < eval->mode_count; i++) {
        const struct med_eval_scores *s = &r->modes[i];
        med_buf_printf(out, "%-8s  %.4f   %.4f  %.4f  %.4f  %.4f  %.4f    %.4f\n",
            med_mode_name(eval->modes[i]), s->ndcg_10, s->recall_100, s->mrr_10, s->map,
            s->precision_10, s->ndcg_100, s->recall_1000);
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

static enum med_code run(const struct options *options, const struct med_eval_options *base,
    struct workspace *w, struct med_err *err)
{
    struct progress_bar bar;
    struct med_eval_options eval = *base;
    struct med_eval_report report = {0};
    progress_bar_init(&bar, options->quiet);
    stop_on_signals();
    eval.progress = &bar.progress;
    enum med_code code = med_eval(w->index, &eval, &report, err);
    progress_bar_clear(&bar);
    if (code) return code;
    struct med_buf out;
    med_buf_init(&out, MED_MIB);
    if (options->json)
        report_json(&eval, &report, med_index_manifest(w->index)->number, &out);
    else
        report_text(&eval, &report, &out);
    code = command_print(&out, err);
    med_buf_free(&out);
    return code;
}

enum med_code cmd_eval(const struct options *options, struct med_err *err)
{
    if (!options->queries || !options->qrels)
        return med_fail(err, MED_E_USAGE, "eval needs --queries FILE and --qrels FILE");
    struct med_eval_options eval = {.queries_path = options->queries,
        .qrels_path = options->qrels,
        .fusion_weight = options->fusion_weight,
        .authority_weight = options->authority_weight,
        .threads = (unsigned)options->threads,
        .run_dir = options->run_dir,
        .per_query_path = options->per_query};
    enum med_code code = read_modes(options->modes, &eval, err);
    if (code) return code;
    struct med_str fusion = med_str_of(options->fusion);
    if (med_str_eq(fusion, MED_STR("rrf")))
        eval.fusion = MED_FUSION_RRF;
    else if (!med_str_eq(fusion, MED_STR("convex")))
        return med_fail(err, MED_E_USAGE, "--fusion is convex or rrf");
    struct workspace w;
    code = workspace_open(options, WORKSPACE_INDEX, &w, err);
    if (code) return code;
    code = run(options, &eval, &w, err);
    workspace_close(&w);
    return code;
}

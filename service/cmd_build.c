/* medicus build: store -> a published generation. */
#include "common/json.h"
#include "common/limits.h"
#include "index/build.h"
#include "service/command.h"
#include "service/progress_bar.h"
#include "service/stop.h"
#include "service/workspace.h"

static void report_json(const struct med_build_report *r, struct med_buf *out)
{
    struct med_jw w = med_jw_of(out, false);
    med_jw_object(&w);
    med_jw_kint(&w, "generation", (long long)r->generation);
    med_jw_kint(&w, "documents", (long long)r->doc_count);
    med_jw_kint(&w, "passages", (long long)r->chunk_count);
    med_jw_kint(&w, "terms", (long long)r->term_count);
    med_jw_kbool(&w, "merged", r->merged);
    med_jw_kint(&w, "documents_analysed", (long long)r->analysed);
    med_jw_kint(&w, "passages_encoded", (long long)r->encoded);
    med_jw_kint(&w, "documents_reused", (long long)r->reused);
    med_jw_kbool(&w, "encoder_trained", r->encoder_trained);
    med_jw_kbool(&w, "encoder_reduced", r->encoder_trained && r->train_reduced);
    med_jw_kdouble(&w, "fusion_weight", r->fusion_weight);
    med_jw_kdouble(&w, "recall_at_10", r->recall_at_10);
    med_jw_kint(&w, "text_bytes", (long long)r->text_bytes);
    med_jw_kint(&w, "index_bytes", (long long)r->index_bytes);
    med_jw_key(&w, "seconds");
    med_jw_object(&w);
    med_jw_kdouble(&w, "analyse", r->seconds.analyse);
    med_jw_kdouble(&w, "lexical", r->seconds.lexical);
    med_jw_kdouble(&w, "train", r->seconds.train);
    med_jw_kdouble(&w, "encode", r->seconds.encode);
    med_jw_kdouble(&w, "graph", r->seconds.graph);
    med_jw_kdouble(&w, "calibrate", r->seconds.calibrate);
    med_jw_kdouble(&w, "merge", r->seconds.merge);
    med_jw_kdouble(&w, "verify", r->seconds.verify);
    med_jw_kdouble(&w, "total", r->seconds.total);
    med_jw_object_end(&w);
    med_jw_object_end(&w);
    med_buf_putc(out, '\n');
}

static void report_text(const struct med_build_report *r, struct med_buf *out)
{
    med_buf_printf(out, "published generation %llu: %llu documents, %llu passages, %llu terms\n",
        (unsigned long long)r->generation, (unsigned long long)r->doc_count,
        (unsigned long long)r->chunk_count, (unsigned long long)r->term_count);
    if (!r->has_encoder)
        med_buf_printf(
            out, "lexical only, %.1f MiB of index\n", (double)r->index_bytes / (double)MED_MIB);
    else
        med_buf_printf(out,
            "encoder %s, fusion weight %.2f, recall@10 of the dense index %.3f, %.1f MiB of "
            "index\n",
            r->encoder_trained ? "trained" : "kept", r->fusion_weight, r->recall_at_10,
            (double)r->index_bytes / (double)MED_MIB);
    if (r->encoder_trained && r->train_reduced)
        med_buf_printf(out,
            "memory was short: the encoder was trained on %u passages and at most %u terms; with "
            "more (--memory), `medicus build --retrain` makes a better one\n",
            r->train_passages, r->train_terms);
    med_buf_printf(out, "%llu documents analysed, %llu passages encoded, %llu documents reused\n",
        (unsigned long long)r->analysed, (unsigned long long)r->encoded,
        (unsigned long long)r->reused);
    med_buf_printf(out,
        "seconds: analyse %.1f, lexical %.1f, train %.1f, encode %.1f, graph %.1f, calibrate %.1f, "
        "merge %.1f, verify %.1f, total %.1f\n",
        r->seconds.analyse, r->seconds.lexical, r->seconds.train, r->seconds.encode,
        r->seconds.graph, r->seconds.calibrate, r->seconds.merge, r->seconds.verify,
        r->seconds.total);
}

static enum med_code build(const struct options *options, struct workspace *w,
    struct med_build_report *ret_report, struct med_err *err)
{
    struct progress_bar bar;
    progress_bar_begin(&bar, options, "build", true);
    struct med_build_options build_options = {.retrain = options->retrain,
        .full = options->full,
        .lexical_only = options->lexical_only,
        .dim = (uint32_t)options->dim,
        .seed = options->seed,
        .threads = (unsigned)options->threads,
        .keep = options->keep,
        .memory = options->memory,
        .gate_overlap = options->gate_overlap,
        .progress = &bar.progress};
    enum med_code code = med_build(w->data, w->store, &build_options, ret_report, err);
    progress_bar_end(&bar);
    return code;
}

enum med_code cmd_build(const struct options *options, struct med_err *err)
{
    if (options->arg_count)
        return med_fail(err, MED_E_USAGE, "build takes no arguments; documents come from `ingest`");
    struct workspace w;
    struct med_build_report report = {0};
    struct med_buf out;
    med_buf_init(&out, MED_MIB);
    enum med_code code = workspace_open(options, WORKSPACE_STORE, &w, err);
    if (code) return code;
    code = build(options, &w, &report, err);
    if (!code) {
        if (options->json)
            report_json(&report, &out);
        else
            report_text(&report, &out);
        code = command_print(&out, err);
    }
    med_buf_free(&out);
    workspace_close(&w);
    return code;
}

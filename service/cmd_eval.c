/* medicus eval: retrieval quality against judgements, as a table, JSON or a page. */
#include "common/limits.h"
#include "service/command.h"
#include "service/eval_report.h"
#include "service/progress_bar.h"
#include "service/stop.h"
#include "service/workspace.h"

#include <errno.h>
#include <stdio.h>

#define REPORT_ARENA_BYTES_MAX (4 * MED_GIB)
#define TEXT_BYTES_MAX (64 * MED_MIB)
#define HTML_BYTES_MAX (256 * MED_MIB)

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

static enum med_code read_sweeps(
    const struct options *options, struct med_eval_options *eval, struct med_err *err)
{
    for (unsigned i = 0; i < options->param_count; i++) {
        if (strcmp(options->params[i].name, "sweep") != 0) continue;
        if (eval->sweep_count == MED_SWEEPS_MAX)
            return med_fail(err, MED_E_USAGE, "at most %d sweeps at once", MED_SWEEPS_MAX);
        enum med_code code = med_sweep_parse(
            med_str_of(options->params[i].value), &eval->sweeps[eval->sweep_count++], err);
        if (code) {
            med_err_prefix(err, "--sweep");
            return code;
        }
    }
    return MED_OK;
}

static enum med_code write_html(const char *path, const struct eval_view *view, struct med_err *err)
{
    struct med_buf page;
    struct eval_view v = *view;
    if (v.losers == 0) v.losers = EVAL_HTML_LOSERS_DEFAULT;
    med_buf_init(&page, HTML_BYTES_MAX);
    eval_html(&v, &page);
    enum med_code code = med_buf_status(&page, err);
    FILE *out = code ? NULL : fopen(path, "w");
    if (!code && !out) code = med_fail_errno(err, errno, "cannot write %s", path);
    if (out) {
        bool failed = fwrite(page.data, 1, page.len, out) != page.len;
        if (fclose(out) != 0 || failed) code = med_fail_errno(err, errno, "cannot write %s", path);
    }
    med_buf_free(&page);
    return code;
}

static enum med_code run(const struct options *options, const struct med_eval_options *base,
    struct workspace *w, struct med_err *err)
{
    struct progress_bar bar;
    struct med_eval_options eval = *base;
    struct med_eval_report report = {0};
    struct med_arena *arena;
    enum med_code code = med_arena_new(REPORT_ARENA_BYTES_MAX, &arena, err);
    if (code) return code;
    progress_bar_init(&bar, options->quiet);
    stop_on_signals();
    eval.progress = &bar.progress;
    code = med_eval(w->index, &eval, arena, &report, err);
    progress_bar_clear(&bar);
    const struct med_manifest *manifest = med_index_manifest(w->index);
    struct eval_view view = {.options = &eval,
        .report = &report,
        .generation = manifest->number,
        .fusion_weight = eval.fusion_weight >= 0 ? eval.fusion_weight : manifest->fusion_weight,
        .authority_weight = med_authority_weight(eval.authority_weight),
        .losers = (size_t)options->losers};
    if (!code && options->html) code = write_html(options->html, &view, err);
    struct med_buf out;
    med_buf_init(&out, TEXT_BYTES_MAX);
    if (!code) {
        if (options->json)
            eval_json(&view, &out);
        else
            eval_text(&view, &out);
        code = command_print(&out, err);
    }
    med_buf_free(&out);
    med_arena_free(&arena);
    return code;
}

enum med_code cmd_eval(const struct options *options, struct med_err *err)
{
    if (!options->queries || !options->qrels)
        return med_fail(err, MED_E_USAGE, "eval needs --queries FILE and --qrels FILE");
    struct med_eval_options eval = {.queries_path = options->queries,
        .qrels_path = options->qrels,
        .evidence_path = options->evidence,
        .fusion_weight = options->fusion_weight,
        .authority_weight = options->authority_weight,
        .expand = options->expand,
        .threads = (unsigned)options->threads,
        .run_dir = options->run_dir,
        .per_query_path = options->per_query};
    enum med_code code = read_modes(options->modes, &eval, err);
    if (!code) code = read_sweeps(options, &eval, err);
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

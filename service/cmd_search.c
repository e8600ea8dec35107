/* medicus search: one query from the command line. */
#include "common/limits.h"
#include "service/answer.h"
#include "service/command.h"
#include "service/export.h"
#include "service/workspace.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define EXPORT_FLUSH_BYTES (256 * MED_KIB)

static enum med_code read_params(
    const struct options *options, struct search_params *params, struct med_err *err)
{
    search_params_init(params);
    params->detailed = options->json; /* JSON prints the detailed form */
    for (unsigned i = 0; i < options->param_count; i++) {
        struct med_str name = med_str_of(options->params[i].name);
        struct med_str value = med_str_of(options->params[i].value);
        enum med_code code = options->export_format ? export_params_set(params, name, value, err)
                                                    : search_params_set(params, name, value, err);
        if (code) return MED_E_USAGE;
    }
    if (options->arg_count != 1)
        return med_fail(err, MED_E_USAGE,
            options->arg_count ? "one query, please: put its words into quotes"
                               : "what should be searched? Give a query");
    enum med_code code =
        search_params_set(params, MED_STR("query"), med_str_of(options->args[0]), err);
    return code ? code : search_params_finish(params, err);
}

static enum med_code search(const struct options *options, const struct search_params *params,
    struct workspace *w, struct med_arena *arena, struct med_buf *out, struct med_err *err)
{
    struct med_searcher *searcher = NULL;
    struct med_answer *answer;
    enum med_code code = med_searcher_new(&searcher, err);
    if (!code) code = med_search(w->index, searcher, &params->request, arena, &answer, err);
    if (!code) {
        const char *no_color = getenv("NO_COLOR");
        struct view view = {.public_url = public_url_of(options->public_url),
            .color = isatty(STDOUT_FILENO) && !(no_color && *no_color)};
        code = answer_write(command_form(options, params), &view, params,
            med_index_manifest(w->index), answer, arena, out, err);
    }
    if (searcher) med_searcher_free(&searcher);
    return code;
}

struct export_job {
    struct view view;
    enum export_format format;
    struct med_buf *out;
    size_t count;
};

/* Prints what has gathered, so that an export of any size takes little memory. */
static enum med_code add_record(void *ctx, const struct med_doc *doc, uint32_t flags,
    enum med_evidence evidence, struct med_err *err)
{
    struct export_job *job = ctx;
    export_record(job->format, &job->view, doc, flags, evidence, job->count++, job->out);
    if (job->out->len < EXPORT_FLUSH_BYTES) return med_buf_status(job->out, err);
    enum med_code code = command_print(job->out, err);
    med_buf_reset(job->out);
    return code;
}

static enum med_code export_all(const struct options *options, const struct search_params *params,
    struct workspace *w, struct med_arena *arena, struct med_buf *out, struct med_err *err)
{
    struct med_searcher *searcher = NULL;
    struct export_job job = {
        .view = {.public_url = public_url_of(options->public_url)}, .out = out};
    uint64_t total = 0, count = 0;
    enum med_code code = export_format_parse(med_str_of(options->export_format), &job.format, err);
    if (code) return MED_E_USAGE;
    code = med_searcher_new(&searcher, err);
    export_begin(job.format, out);
    if (!code)
        code = med_export(
            w->index, searcher, &params->request, arena, add_record, &job, &total, &count, err);
    if (!code) export_end(job.format, out);
    if (!code && count < total && !options->quiet)
        fprintf(stderr, "exported the newest %llu of %llu documents; narrow the query for more\n",
            (unsigned long long)count, (unsigned long long)total);
    if (searcher) med_searcher_free(&searcher);
    return code;
}

enum med_code cmd_search(const struct options *options, struct med_err *err)
{
    struct search_params params;
    struct workspace w;
    struct med_arena *arena = NULL;
    struct med_buf out;
    enum med_code code = read_params(options, &params, err);
    if (!code) code = workspace_open(options, WORKSPACE_INDEX, &w, err);
    if (code) return code;
    med_buf_init(&out, MED_RESPONSE_BYTES_MAX);
    code = command_resume(&w, &params, err);
    if (!code) code = med_arena_new(MED_REQUEST_ARENA_BYTES_MAX, &arena, err);
    if (!code)
        code = options->export_format ? export_all(options, &params, &w, arena, &out, err)
                                      : search(options, &params, &w, arena, &out, err);
    if (!code) code = command_print(&out, err);
    med_arena_free(&arena);
    med_buf_free(&out);
    workspace_close(&w);
    return code;
}

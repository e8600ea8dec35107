/* medicus similar: the documents nearest to one of the index. */
#include "common/limits.h"
#include "service/answer.h"
#include "service/command.h"
#include "service/workspace.h"

#include <stdlib.h>
#include <unistd.h>

static enum med_code read_params(
    const struct options *options, struct search_params *params, struct med_err *err)
{
    search_params_init(params);
    params->detailed = options->json;
    for (unsigned i = 0; i < options->param_count; i++) {
        enum med_code code = search_params_set(
            params, med_str_of(options->params[i].name), med_str_of(options->params[i].value), err);
        if (code) return MED_E_USAGE;
    }
    if (options->arg_count != 1) return med_fail(err, MED_E_USAGE, "similar to what? Give one id");
    params->about = med_str_of(options->args[0]);
    return search_params_window(params, err);
}

static enum med_code similar(const struct options *options, const struct search_params *params,
    struct workspace *w, struct med_arena *arena, struct med_buf *out, struct med_err *err)
{
    struct med_searcher *searcher = NULL;
    struct med_answer *answer;
    struct med_str id;
    enum med_code code = med_searcher_new(&searcher, err);
    if (!code)
        code = med_similar(w->index, w->store, searcher, med_str_of(options->args[0]),
            &params->request, arena, &answer, &id, err);
    if (searcher) med_searcher_free(&searcher);
    if (code) return code;
    const char *no_color = getenv("NO_COLOR");
    struct view view = {.public_url = public_url_of(options->public_url),
        .similar_to = id,
        .color = isatty(STDOUT_FILENO) && !(no_color && *no_color)};
    return answer_write(command_form(options, params), &view, params, med_index_manifest(w->index),
        answer, arena, out, err);
}

enum med_code cmd_similar(const struct options *options, struct med_err *err)
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
    if (!code) code = similar(options, &params, &w, arena, &out, err);
    if (!code) code = command_print(&out, err);
    med_arena_free(&arena);
    med_buf_free(&out);
    workspace_close(&w);
    return code;
}

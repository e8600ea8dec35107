/* medicus terms: descriptors and abbreviations, looked up. */
#include "common/limits.h"
#include "service/answer.h"
#include "service/command.h"
#include "service/workspace.h"

static enum med_code look_up(const struct options *options, struct workspace *w,
    struct med_arena *arena, struct med_buf *out, struct med_err *err)
{
    struct med_searcher *searcher = NULL;
    struct terms_answer answer = {.query = med_str_of(options->args[0]),
        .generation = med_index_manifest(w->index)->number,
        .any = med_terms_any(w->index)};
    enum med_code code = med_searcher_new(&searcher, err);
    if (!code)
        code = med_terms_find(w->index, searcher, answer.query, MED_TERMS_LIMIT_DEFAULT, arena,
            &answer.terms, &answer.count, err);
    if (searcher) med_searcher_free(&searcher);
    if (code) return code;
    struct view view = {0};
    if (options->json)
        terms_json(&view, &answer, out);
    else
        terms_text(&answer, out);
    return MED_OK;
}

enum med_code cmd_terms(const struct options *options, struct med_err *err)
{
    struct workspace w;
    struct med_arena *arena = NULL;
    struct med_buf out;
    if (options->arg_count != 1)
        return med_fail(err, MED_E_USAGE, "which term? Give one, in quotes if it has spaces");
    enum med_code code = workspace_open(options, WORKSPACE_INDEX, &w, err);
    if (code) return code;
    med_buf_init(&out, MED_RESPONSE_BYTES_MAX);
    code = med_arena_new(MED_REQUEST_ARENA_BYTES_MAX, &arena, err);
    if (!code) code = look_up(options, &w, arena, &out, err);
    if (!code) code = command_print(&out, err);
    med_arena_free(&arena);
    med_buf_free(&out);
    workspace_close(&w);
    return code;
}

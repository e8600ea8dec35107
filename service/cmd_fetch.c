/* medicus fetch: documents and passages by id. */
#include "common/limits.h"
#include "service/answer.h"
#include "service/command.h"
#include "service/fetch_many.h"
#include "service/workspace.h"

static enum med_code read_params(
    const struct options *options, struct fetch_params *params, struct med_err *err)
{
    enum med_code code = MED_OK;
    *params = (struct fetch_params){.form = options->json ? MEDIA_JSON : MEDIA_TEXT};
    if (options->arg_count == 0)
        return med_fail(err, MED_E_USAGE, "which document? Give ids such as pmid:123");
    if (options->arg_count > MED_FETCH_IDS_MAX)
        return med_fail(err, MED_E_USAGE, "at most %d ids at once", MED_FETCH_IDS_MAX);
    for (unsigned i = 0; !code && i < options->param_count; i++) {
        char name[32];
        size_t n = 0;
        for (const char *c = options->params[i].name; *c && n + 1 < sizeof name; c++)
            name[n++] = *c == '-' ? '_' : *c;
        code = fetch_params_set(params, (struct med_str){.ptr = name, .len = n},
            med_str_of(options->params[i].value), "json", err);
        if (code) med_err_prefix(err, "--%s", options->params[i].name);
    }
    return code ? MED_E_USAGE : MED_OK;
}

static enum med_code print(const struct options *options, const struct view *view,
    const struct fetch_params *params, const struct workspace *w, struct med_arena *arena,
    struct med_buf *out, struct med_err *err)
{
    struct fetch_source source = {.store = w->store, .index = w->index};
    struct med_str ids[MED_FETCH_IDS_MAX];
    size_t errors;
    for (unsigned i = 0; i < options->arg_count; i++) ids[i] = med_str_of(options->args[i]);
    if (options->arg_count == 1)
        return fetch_one(params->form, &source, view, params, ids[0], arena, out, err);
    enum med_code code = fetch_many(
        params->form, &source, view, params, ids, options->arg_count, arena, out, &errors, err);
    /* The reasons stand in the output, where its form has a place for them. */
    if (!code && errors)
        code = med_fail(
            err, MED_E_NOT_FOUND, "%zu of %u ids could not be fetched", errors, options->arg_count);
    return code;
}

enum med_code cmd_fetch(const struct options *options, struct med_err *err)
{
    struct fetch_params params;
    struct workspace w;
    struct med_arena *arena = NULL;
    struct med_buf out;
    enum med_code code = read_params(options, &params, err);
    if (!code) code = workspace_open(options, WORKSPACE_ANY_INDEX, &w, err);
    if (code) return code;
    med_buf_init(&out, MED_RESPONSE_BYTES_MAX);
    struct view view = {.public_url = public_url_of(options->public_url),
        .manifest = w.index ? med_index_manifest(w.index) : NULL};
    code = med_arena_new(MED_REQUEST_ARENA_BYTES_MAX, &arena, err);
    if (!code) code = print(options, &view, &params, &w, arena, &out, err);
    struct med_err print_err;
    enum med_code printed = command_print(&out, &print_err);
    if (!code && printed) {
        *err = print_err;
        code = printed;
    }
    med_arena_free(&arena);
    med_buf_free(&out);
    workspace_close(&w);
    return code;
}

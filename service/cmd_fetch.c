/* medicus fetch: documents and passages by id. */
#include "common/limits.h"
#include "service/answer.h"
#include "service/command.h"
#include "service/fetch_many.h"
#include "service/workspace.h"

static enum med_code read_params(
    const struct options *options, struct fetch_params *params, struct med_err *err)
{
    *params = (struct fetch_params){.max_tokens = options->max_tokens};
    if (options->arg_count == 0)
        return med_fail(err, MED_E_USAGE, "which document? Give ids such as pmid:123");
    if (options->arg_count > MED_FETCH_IDS_MAX)
        return med_fail(err, MED_E_USAGE, "at most %d ids at once", MED_FETCH_IDS_MAX);
    if (!options->sections) return MED_OK;
    return fetch_params_sections(params, med_str_of(options->sections), err);
}

/* Several ids as text or Markdown, one after the other; stops at the first that is not there. */
static enum med_code print_texts(const struct options *options, const struct view *view,
    const struct fetch_params *params, const struct workspace *w, struct med_arena *arena,
    bool markdown, struct med_buf *out, struct med_err *err)
{
    for (unsigned i = 0; i < options->arg_count; i++) {
        struct med_fetched *fetched;
        struct selection selection;
        med_arena_reset(arena);
        enum med_code code =
            med_fetch(w->store, w->index, 0, med_str_of(options->args[i]), arena, &fetched, err);
        if (!code) code = document_select(fetched, params, arena, &selection, err);
        if (code) return code;
        if (i) med_buf_puts(out, "\n----\n\n");
        if (markdown)
            document_markdown(view, fetched, &selection, out);
        else
            document_text(view, fetched, &selection, out);
    }
    return MED_OK;
}

static enum med_code print_json(const struct options *options, const struct view *view,
    const struct fetch_params *params, const struct workspace *w, struct med_arena *arena,
    struct med_buf *out, struct med_err *err)
{
    struct fetch_source source = {.store = w->store, .index = w->index};
    struct med_str ids[MED_FETCH_IDS_MAX];
    for (unsigned i = 0; i < options->arg_count; i++) ids[i] = med_str_of(options->args[i]);
    if (options->arg_count == 1)
        return fetch_one_json(&source, view, params, ids[0], arena, out, err);
    size_t errors;
    enum med_code code =
        fetch_many_json(&source, view, params, ids, options->arg_count, arena, out, &errors, err);
    /* The reasons stand in the output. */
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
    struct med_str format = med_str_of(options->format);
    bool json = options->json || med_str_eq(format, MED_STR("json"));
    bool markdown = med_str_eq(format, MED_STR("markdown"));
    if (!json && !markdown && !med_str_eq(format, MED_STR("text")))
        return med_fail(err, MED_E_USAGE, "--format is text, markdown or json");
    enum med_code code = read_params(options, &params, err);
    if (!code) code = workspace_open(options, WORKSPACE_ANY_INDEX, &w, err);
    if (code) return code;
    med_buf_init(&out, MED_RESPONSE_BYTES_MAX);
    struct view view = {.public_url = public_url_of(options->public_url)};
    code = med_arena_new(MED_REQUEST_ARENA_BYTES_MAX, &arena, err);
    if (!code)
        code = json ? print_json(options, &view, &params, &w, arena, &out, err)
                    : print_texts(options, &view, &params, &w, arena, markdown, &out, err);
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

/* The tools and resources of MCP: arguments in, the shapes of api-spec/mcp-tools.json out. */
#include "common/clock.h"
#include "common/limits.h"
#include "service/gate.h"
#include "service/mcp.h"
#include "service/problem.h"
#include "service/suggest.h"

#define RESULTS_MAX 50
#define TERMS_DEFAULT 5
#define TOKENS_DEFAULT 8000
#define TOKENS_MAX 200000
#define URI_LIBRARY "medicus://library"
#define URI_PREFIX "medicus://document/"

static enum med_code unknown_argument(
    struct med_str name, const char *const *known, size_t count, struct med_err *err)
{
    const char *near = suggest_word(name, known, count);
    int len = (int)(name.len < 60 ? name.len : 60);
    if (near)
        return med_fail(err, MED_E_USAGE, "unknown argument \"%.*s\"; did you mean \"%s\"?", len,
            name.ptr ? name.ptr : "", near);
    struct med_buf names;
    med_buf_init(&names, MED_KIB);
    for (size_t i = 0; i < count; i++) med_buf_printf(&names, "%s%s", i ? ", " : "", known[i]);
    enum med_code code =
        med_fail(err, MED_E_USAGE, "unknown argument \"%.*s\"; the arguments are %s", len,
            name.ptr ? name.ptr : "", names.data ? names.data : "");
    med_buf_free(&names);
    return code;
}

static bool is_one_of(struct med_str name, const char *const *known, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (med_str_eq(name, med_str_of(known[i]))) return true;
    }
    return false;
}

/* Not the caller's fault, and nothing that waiting helps against. */
static bool is_failure(enum med_code code)
{
    int status = problem_row(problem_of_code(code))->status;
    return status == 500 || status == 507;
}

static void note_failure(struct mcp_engine *engine, enum med_code code)
{
    if (code && is_failure(code)) engine->failure = code;
}

/* A result that says what went wrong and what to do. Details of a failure are the operator's. */
static void error_result(
    struct mcp_engine *engine, const char *tool, const struct med_err *err, struct med_jw *w)
{
    struct med_buf text;
    med_buf_init(&text, 4 * MED_KIB);
    const struct problem_row *row = problem_row(problem_of_code(err->code));
    struct med_str what = med_str_of(is_failure(err->code) ? row->title : err->text);
    const char *stop = med_str_ends(what, MED_STR("?")) ? "" : ".";
    med_buf_printf(&text, "%s: " MED_STR_FMT "%s %s", tool, MED_STR_ARG(what), stop, row->next);
    note_failure(engine, err->code);
    med_jw_key(w, "content");
    med_jw_array(w);
    med_jw_object(w);
    med_jw_kcstr(w, "type", "text");
    med_jw_kstr(w, "text", med_buf_str(&text));
    med_jw_object_end(w);
    med_jw_array_end(w);
    med_jw_kbool(w, "isError", true);
    med_buf_free(&text);
}

/* A member that is a string with something in it. */
static enum med_code text_argument(
    const struct med_json *m, struct med_str *ret_text, struct med_err *err)
{
    if (med_json_type(m) != MED_JSON_STRING)
        return med_fail(err, MED_E_INVALID, "%s: a string expected, not %s", med_json_key(m),
            med_json_type_name(med_json_type(m)));
    *ret_text = med_str_trim(med_json_string(m));
    return MED_OK;
}

static enum med_code whole_argument(
    const struct med_json *m, long long max, long long *ret_n, struct med_err *err)
{
    if (med_json_int(m, 1, max, ret_n)) return MED_OK;
    return med_fail(
        err, MED_E_INVALID, "%s: a whole number from 1 to %lld expected", med_json_key(m), max);
}

/* --- search and similar --- */

/* What the search grammar has and a tool offers; REST offers more. */
struct offered {
    const char *const *arguments, *const *filters;
    size_t argument_count, filter_count;
};
#define COUNT(array) (sizeof(array) / sizeof *(array))
#define OFFERED(a, f)                                                                              \
    {                                                                                              \
        .arguments = a, .filters = f, .argument_count = COUNT(a), .filter_count = COUNT(f)         \
    }

static const char *const search_arguments[] = {"query", "limit", "cursor", "mode", "sort", "expand",
    "authority_weight", "response_format", "max_tokens", "filters"};
static const char *const search_filters[] = {"year", "source", "evidence", "type", "mesh",
    "journal", "language", "retracted", "has_abstract"};
static const struct offered search_offers = OFFERED(search_arguments, search_filters);

static const char *const similar_arguments[] = {"id", "limit", "cursor", "max_tokens", "filters"};
static const char *const similar_filters[] = {"year", "source", "evidence", "retracted"};
static const struct offered similar_offers = OFFERED(similar_arguments, similar_filters);

/* ret_id is NULL where a tool has no such argument. */
static enum med_code read_search(const struct offered *offers, const struct med_json *arguments,
    struct med_arena *arena, struct search_params *params, struct med_str *ret_id,
    struct med_err *err)
{
    long long n;
    enum med_code code = MED_OK;
    search_params_init(params);
    for (const struct med_json *m = med_json_first(arguments); m && !code; m = med_json_next(m)) {
        struct med_str name = med_str_of(med_json_key(m));
        /* A misplaced filter gets its sentence from the search grammar. */
        if (!is_one_of(name, offers->arguments, offers->argument_count) &&
            !is_one_of(name, offers->filters, offers->filter_count))
            return unknown_argument(name, offers->arguments, offers->argument_count, err);
        if (med_str_eq(name, MED_STR("filters")) && med_json_type(m) == MED_JSON_OBJECT) {
            for (const struct med_json *f = med_json_first(m); f; f = med_json_next(f)) {
                struct med_str filter = med_str_of(med_json_key(f));
                if (!is_one_of(filter, offers->filters, offers->filter_count))
                    return unknown_argument(filter, offers->filters, offers->filter_count, err);
            }
        }
        if (med_str_eq(name, MED_STR("limit")) && !med_json_int(m, 1, RESULTS_MAX, &n))
            return med_fail(err, MED_E_INVALID,
                "limit: a whole number from 1 to %d expected; cursor goes on", RESULTS_MAX);
        if (med_str_eq(name, MED_STR("max_tokens"))) code = whole_argument(m, TOKENS_MAX, &n, err);
        if (ret_id && med_str_eq(name, MED_STR("id")))
            code = text_argument(m, ret_id, err);
        else if (!code)
            code = search_params_member(params, m, arena, err);
    }
    return code;
}

/* Answers a search, or where an id is given what is similar to that document. A cursor's results
 * come from the generation that the cursor names. */
static enum med_code find(struct mcp_engine *engine, struct search_params *params,
    struct med_str id, struct med_buf *out, struct med_err *err)
{
    struct view view = engine->view;
    struct med_answer *answer;
    struct served older = {0};
    const struct med_index *index = engine->source.index;
    struct med_store *store = engine->source.store;
    enum med_code code;
    if (!index) return med_fail(err, MED_E_NO_INDEX, "nothing can be searched yet");
    if (params->generation && params->generation != med_index_manifest(index)->number) {
        if (!serving_acquire(engine->serving, params->generation, &older))
            return med_fail(err, MED_E_INVALID,
                "cursor: its index is no longer served; send the request without it, the results "
                "begin anew");
        index = older.index;
        store = older.store;
    }
    /* What a model asks for with text gets a budget, although it named none. */
    if (params->detailed && !params->max_tokens) params->max_tokens = TOKENS_DEFAULT;
    if (id.len)
        code = med_similar(index, store, engine->searcher, id, &params->request, engine->arena,
            &answer, &view.similar_to, err);
    else
        code = med_search(index, engine->searcher, &params->request, engine->arena, &answer, err);
    if (!code)
        code = answer_write(
            MEDIA_JSON, &view, params, med_index_manifest(index), answer, engine->arena, out, err);
    if (!code && engine->searched) engine->searched(engine->ctx, answer);
    if (older.index) serving_release(&older);
    return code;
}

static enum med_code search(struct mcp_engine *engine, const struct med_json *arguments,
    struct med_buf *out, struct med_err *err)
{
    struct search_params params;
    enum med_code code = read_search(&search_offers, arguments, engine->arena, &params, NULL, err);
    if (!code) code = search_params_finish(&params, err);
    return code ? code : find(engine, &params, (struct med_str){0}, out, err);
}

static enum med_code no_id(struct med_err *err)
{
    return med_fail(err, MED_E_INVALID, "id is missing: give one that search returned");
}

static enum med_code similar(struct mcp_engine *engine, const struct med_json *arguments,
    struct med_buf *out, struct med_err *err)
{
    struct search_params params;
    struct med_str id = {0};
    enum med_code code = read_search(&similar_offers, arguments, engine->arena, &params, &id, err);
    if (!code && !id.len) code = no_id(err);
    params.about = id;
    if (!code) code = search_params_window(&params, err);
    return code ? code : find(engine, &params, id, out, err);
}

/* --- terms --- */

static enum med_code terms(struct mcp_engine *engine, const struct med_json *arguments,
    struct med_buf *out, struct med_err *err)
{
    static const char *const known[] = {"query", "limit"};
    struct terms_answer answer = {0};
    const struct med_index *index = engine->source.index;
    long long limit = TERMS_DEFAULT;
    enum med_code code = MED_OK;
    for (const struct med_json *m = med_json_first(arguments); m && !code; m = med_json_next(m)) {
        struct med_str name = med_str_of(med_json_key(m));
        if (med_str_eq(name, MED_STR("query")))
            code = text_argument(m, &answer.query, err);
        else if (med_str_eq(name, MED_STR("limit")))
            code = whole_argument(m, MED_TERMS_LIMIT_MAX, &limit, err);
        else
            code = unknown_argument(name, known, COUNT(known), err);
    }
    if (!code && !answer.query.len)
        code = med_fail(err, MED_E_INVALID, "query is missing: which term?");
    if (!code && !index) code = med_fail(err, MED_E_NO_INDEX, "nothing can be looked up yet");
    if (code) return code;
    answer.generation = med_index_manifest(index)->number;
    answer.any = med_terms_any(index);
    code = med_terms_find(index, engine->searcher, answer.query, (size_t)limit, engine->arena,
        &answer.terms, &answer.count, err);
    if (!code) terms_json(&engine->view, &answer, out);
    return code;
}

/* --- fetch --- */

static enum med_code read_fetch(const struct med_json *arguments, struct fetch_params *params,
    struct med_arena *arena, struct med_str *ret_id, struct med_err *err)
{
    static const char *const known[] = {
        "id", "sections", "window", "view", "start_byte", "max_tokens"};
    long long n;
    enum med_code code = MED_OK;
    *ret_id = (struct med_str){0};
    params->max_tokens = TOKENS_DEFAULT;
    for (const struct med_json *m = med_json_first(arguments); m && !code; m = med_json_next(m)) {
        struct med_str name = med_str_of(med_json_key(m));
        if (!is_one_of(name, known, COUNT(known))) {
            code = unknown_argument(name, known, COUNT(known), err);
        } else if (med_str_eq(name, MED_STR("id"))) {
            code = text_argument(m, ret_id, err);
        } else if (med_str_eq(name, MED_STR("sections"))) {
            code = fetch_params_section_list(params, m, err);
        } else {
            if (med_str_eq(name, MED_STR("max_tokens")))
                code = whole_argument(m, TOKENS_MAX, &n, err);
            if (!code) code = fetch_params_member(params, m, arena, err);
        }
    }
    return !code && ret_id->len == 0 ? no_id(err) : code;
}

static void section_paths(const struct med_fetched *f, struct med_jw *w)
{
    med_jw_key(w, "sections");
    med_jw_array(w);
    for (size_t i = 0; i < f->doc->section_count; i++) {
        if (f->doc->sections[i].path.len) med_jw_str(w, f->doc->sections[i].path);
    }
    med_jw_array_end(w);
}

static void metadata_json(
    const struct med_fetched *f, const struct selection *selection, bool brief, struct med_jw *w)
{
    const struct med_doc *doc = f->doc;
    med_jw_object(w);
    med_jw_kstr(w, "document_id", doc->id);
    if (f->is_chunk) med_jw_kstr(w, "section", f->chunks[f->chunk].path);
    document_rest_json(f, selection, w);
    med_jw_key(w, "year");
    if (doc->date.year)
        med_jw_uint(w, doc->date.year);
    else
        med_jw_null(w);
    med_jw_kcstr(w, "source", med_source_name(doc->source));
    med_jw_kcstr(w, "evidence", med_evidence_name(f->evidence));
    flags_json(f->flags, w);
    citation_json(doc, w);
    med_jw_kint(w, "version", doc->store_version);
    med_jw_kbool(w, "current", f->current);
    med_jw_key(w, "also");
    med_jw_array(w);
    for (size_t i = 0; i < f->also_count; i++) med_jw_str(w, f->also[i]);
    med_jw_array_end(w);
    links_json(f->links, f->link_count, w);
    if (!brief) section_paths(f, w);
    med_jw_kint(w, "passages", (long long)f->chunk_count);
    med_jw_object_end(w);
}

static enum med_code load(struct mcp_engine *engine, struct med_str id,
    struct med_fetched **ret_fetched, struct med_err *err)
{
    if (!engine->source.store) return med_fail(err, MED_E_NO_INDEX, "nothing can be read yet");
    return fetch_load(&engine->source, id, engine->arena, ret_fetched, err);
}

/* The outline is a text too: OpenAI's shape has no other place that a model surely reads. */
static void fetched_json(void *ctx, const struct med_fetched *f, const struct selection *selection,
    bool brief, struct med_buf *out)
{
    const struct view *view = ctx;
    struct med_jw w = med_jw_of(out, false);
    struct med_buf text;
    med_buf_init(&text, MED_MIB);
    med_jw_object(&w);
    med_buf_append_str(&text, f->doc->id);
    if (f->is_chunk) med_buf_printf(&text, "~%u", f->chunk);
    med_jw_kstr(&w, "id", med_buf_str(&text));
    med_jw_kstr(&w, "title", f->doc->title);
    med_buf_reset(&text);
    if (view->outline) document_markdown(view, f, selection, &text);
    med_jw_kstr(&w, "text", view->outline ? med_buf_str(&text) : selection->text);
    med_buf_reset(&text);
    document_url(view, f->doc->url, f->doc->id, &text);
    med_jw_kstr(&w, "url", med_buf_str(&text));
    med_jw_key(&w, "metadata");
    metadata_json(f, selection, brief || view->outline, &w);
    med_jw_object_end(&w);
    med_buf_free(&text);
}

static enum med_code fetch(struct mcp_engine *engine, const struct med_json *arguments,
    struct med_buf *out, struct med_err *err)
{
    struct fetch_params params = {0};
    struct view view = engine->view;
    struct med_fetched *f;
    struct med_str id;
    size_t needed = 0;
    enum med_code code = read_fetch(arguments, &params, engine->arena, &id, err);
    if (!code) code = load(engine, id, &f, err);
    view.outline = params.outline;
    if (!code)
        code = fetch_fitted(f, &params, (size_t)params.max_tokens * MED_BYTES_PER_TOKEN,
            fetched_json, &view, engine->arena, out, &needed, err);
    if (!code && needed) return fetch_too_few(params.max_tokens, "this document", needed, err);
    return code;
}

/* --- tools/call --- */

static const struct {
    const char *name;
    enum med_code (*run)(struct mcp_engine *engine, const struct med_json *arguments,
        struct med_buf *out, struct med_err *err);
} tools[MCP_TOOL_COUNT] = {
    [MCP_TOOL_SEARCH] = {"search", search},
    [MCP_TOOL_FETCH] = {"fetch", fetch},
    [MCP_TOOL_SIMILAR] = {"similar", similar},
    [MCP_TOOL_TERMS] = {"terms", terms},
};

bool mcp_tool_find(struct med_str name, enum mcp_tool *ret_tool)
{
    for (int i = 0; i < MCP_TOOL_COUNT; i++) {
        if (!med_str_eq(name, med_str_of(tools[i].name))) continue;
        *ret_tool = (enum mcp_tool)i;
        return true;
    }
    return false;
}

void mcp_tool_call(struct mcp_engine *engine, enum mcp_tool tool, const struct med_json *arguments,
    struct med_jw *w)
{
    struct med_err err = {0};
    struct med_buf json;
    med_buf_init(&json, MED_RESPONSE_BYTES_MAX);
    enum med_code code = tools[tool].run(engine, arguments, &json, &err);
    if (!code) {
        code = med_buf_status(&json, &err);
        if (code == MED_E_LIMIT) (void)med_fail(&err, code, "the answer is too large");
    }
    if (code) {
        err.code = code;
        error_result(engine, tools[tool].name, &err, w);
    } else {
        struct med_str value = med_str_trim(med_buf_str(&json));
        med_jw_key(w, "content");
        med_jw_array(w);
        med_jw_object(w);
        med_jw_kcstr(w, "type", "text");
        med_jw_kstr(w, "text", value);
        med_jw_object_end(w);
        med_jw_array_end(w);
        med_jw_key(w, "structuredContent");
        med_jw_raw(w, value);
        med_jw_kbool(w, "isError", false);
    }
    med_buf_free(&json);
}

/* --- resources --- */

/* What a client may tell its user before the first search; to who may see some sources only, not
 * how much there is of all, nor what files are called. */
static enum med_code library_json(
    const struct mcp_engine *engine, struct med_buf *out, struct med_err *err)
{
    const struct med_index *index = engine->source.index;
    char date[MED_TIME_TEXT_LEN + 1];
    uint64_t passages = 0;
    if (!index) return med_fail(err, MED_E_NO_INDEX, "nothing can be searched yet");
    const struct med_manifest *m = med_index_manifest(index);
    for (size_t i = 0; i < m->segment_count; i++) passages += m->segments[i].chunk_count;
    med_time_text(m->created_unix_s, date);
    struct med_jw w = med_jw_of(out, false);
    med_jw_object(&w);
    if (engine->source.sources == 0) {
        med_jw_kint(&w, "documents", (long long)m->doc_count);
        med_jw_kint(&w, "passages", (long long)passages);
        med_jw_kstr(&w, "last_input", m->last_input);
    }
    med_jw_kint(&w, "generation", (long long)m->number);
    med_jw_kcstr(&w, "index_date", date);
    med_jw_kbool(&w, "terms", med_terms_any(index));
    med_jw_object_end(&w);
    return MED_OK;
}

enum med_code mcp_resource_read(struct mcp_engine *engine, struct med_str uri,
    const char **ret_mime_type, struct med_buf *out, struct med_err *err)
{
    struct med_str prefix = MED_STR(URI_PREFIX);
    struct fetch_params params = {0};
    struct med_fetched *f;
    struct selection selection;
    if (med_str_eq(uri, MED_STR(URI_LIBRARY))) {
        *ret_mime_type = "application/json";
        return library_json(engine, out, err);
    }
    *ret_mime_type = "text/markdown";
    if (!med_str_starts(uri, prefix) || uri.len == prefix.len)
        return med_fail(err, MED_E_INVALID,
            "the resources here are " URI_LIBRARY " and " URI_PREFIX "{id}, with an id of search");
    char *bytes = med_arena_alloc(engine->arena, uri.len);
    if (!bytes) return med_fail(err, MED_E_NOMEM, "the request needs too much memory");
    struct med_str id = percent_decode(med_str_sub(uri, prefix.len, uri.len), false, bytes);
    for (size_t i = 0; i < id.len; i++) {
        if ((unsigned char)id.ptr[i] < ' ')
            return med_fail(err, MED_E_INVALID, "a control character in the URI");
    }
    enum med_code code = load(engine, id, &f, err);
    if (!code) code = document_select(f, &params, engine->arena, &selection, err);
    if (!code) document_markdown(&engine->view, f, &selection, out);
    note_failure(engine, code);
    return code;
}

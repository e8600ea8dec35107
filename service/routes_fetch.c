/* GET /v1/documents/{id} and POST /v1/fetch. */
#include "common/json.h"
#include "common/limits.h"
#include "common/unicode.h"
#include "service/citation.h"
#include "service/fetch_many.h"
#include "service/server.h"
#include "service/suggest.h"

#define TOKENS_MAX 1000000000ull
#define DOCUMENTS_PATH "/v1/documents/"

static enum med_code unknown_parameter(
    struct med_str name, const char *const *known, size_t count, struct med_err *err)
{
    int len = (int)(name.len < 60 ? name.len : 60);
    const char *near = suggest_word(name, known, count);
    if (near)
        return med_fail(err, MED_E_USAGE, "unknown parameter \"%.*s\"; did you mean \"%s\"?", len,
            name.ptr ? name.ptr : "", near);
    return med_fail(err, MED_E_USAGE, "unknown parameter \"%.*s\"", len, name.ptr ? name.ptr : "");
}

static enum med_code no_memory(struct med_err *err)
{
    return med_fail(err, MED_E_NOMEM, "the request needs too much memory");
}

/* --- GET /v1/documents/{id} --- */

struct document_request {
    struct med_str id;
    struct fetch_params params;
    enum media media;
    bool pretty;
};

static enum med_code set_tokens(
    struct fetch_params *params, struct med_str value, struct med_err *err)
{
    unsigned long long n;
    if (!med_str_to_u64(value, &n) || n < 1 || n > TOKENS_MAX)
        return med_fail(err, MED_E_INVALID, "max_tokens: a whole number from 1 expected");
    params->max_tokens = n;
    return MED_OK;
}

static enum med_code read_document(const struct http_request *r, struct med_arena *arena,
    struct document_request *d, struct med_err *err)
{
    static const char *const known[] = {"format", "sections", "max_tokens", "pretty"};
    struct query_pair *pairs;
    size_t count, skip = sizeof DOCUMENTS_PATH - 1;
    struct med_str raw = med_str_sub(r->path, skip, r->path.len);
    char *id = med_arena_alloc(arena, raw.len + 1);
    if (!id) return no_memory(err);
    d->id = percent_decode(raw, false, id);
    (void)media_choose(r, MEDIA_DOCUMENT, &d->media);
    enum med_code code = query_pairs(r->query, arena, &pairs, &count, err);
    for (size_t i = 0; !code && i < count; i++) {
        struct med_str name = pairs[i].name, value = pairs[i].value;
        if (med_str_eq(name, MED_STR("format")))
            code = media_parse(value, MEDIA_DOCUMENT, &d->media, err);
        else if (med_str_eq(name, MED_STR("sections")))
            code = fetch_params_sections(&d->params, value, err);
        else if (med_str_eq(name, MED_STR("max_tokens")))
            code = set_tokens(&d->params, value, err);
        else if (med_str_eq(name, MED_STR("pretty")))
            code = query_bool(name, value, &d->pretty, err);
        else
            code = unknown_parameter(name, known, sizeof known / sizeof *known, err);
    }
    if (!code && !med_utf8_valid(d->id.ptr, d->id.len))
        code = med_fail(err, MED_E_INVALID, "the id is not valid UTF-8");
    return code;
}

static enum med_code write_citation(enum media media, const struct view *view,
    const struct med_fetched *fetched, struct med_buf *out, struct med_err *err)
{
    struct citation citation = {.doc = fetched->doc,
        .flags = fetched->flags,
        .links = fetched->links,
        .link_count = fetched->link_count};
    if (media == MEDIA_NBIB && fetched->doc->pmid.len == 0)
        return med_fail(err, MED_E_INVALID, "format: nbib is for documents with a PMID");
    citation_begin(media, out);
    citation_write(media, view, &citation, 0, false, out);
    citation_end(media, out);
    return MED_OK;
}

static enum med_code write_document(const struct document_request *d, const struct view *view,
    const struct fetch_source *source, struct med_arena *arena, struct med_buf *out,
    struct med_err *err)
{
    struct med_fetched *fetched;
    struct selection selection;
    if (d->media == MEDIA_JSON)
        return fetch_one_json(source, view, &d->params, d->id, arena, out, err);
    enum med_code code =
        med_fetch(source->store, source->index, source->sources, d->id, arena, &fetched, err);
    if (!code) audit_id(source->ids, d->id);
    if (!code && MEDIA_CITATIONS & MEDIA_BIT(d->media))
        return write_citation(d->media, view, fetched, out, err);
    if (!code) code = document_select(fetched, &d->params, arena, &selection, err);
    if (code) return code;
    if (d->media == MEDIA_MARKDOWN)
        document_markdown(view, fetched, &selection, out);
    else
        document_text(view, fetched, &selection, out);
    return MED_OK;
}

void route_document(struct server *server, struct worker_state *worker,
    const struct http_request *request, struct http_response *response)
{
    struct document_request d = {.media = MEDIA_JSON};
    struct med_err err = {0};
    struct served served;
    enum med_code code = read_document(request, worker->arena, &d, &err);
    if (code) {
        err.code = code;
        respond_error(request, response, &err);
        return;
    }
    if (!acquire_or_answer(server, request, 0, &served, response)) return;
    struct view view = {.public_url = server->public_url, .pretty = d.pretty};
    struct fetch_source source = {.store = served.store,
        .index = served.index,
        .sources = request->caller.source_mask,
        .ids = &worker->ids};
    code = write_document(&d, &view, &source, worker->arena, &response->body, &err);
    serving_release(&served);
    if (code) {
        respond_error(request, response, &err);
        return;
    }
    respond(response, 200, d.media);
    if (med_buf_status(&response->body, NULL) == MED_OK)
        (void)respond_etag(request, response, med_hash128(response->body.data, response->body.len));
}

/* --- POST /v1/fetch --- */

struct fetch_request {
    struct med_str ids[MED_FETCH_IDS_MAX];
    size_t id_count;
    struct fetch_params params;
};

static enum med_code read_ids(
    const struct med_json *list, struct fetch_request *f, struct med_err *err)
{
    if (med_json_type(list) != MED_JSON_ARRAY)
        return med_fail(err, MED_E_INVALID, "ids: a list of strings expected, not %s",
            med_json_type_name(med_json_type(list)));
    for (const struct med_json *v = med_json_first(list); v; v = med_json_next(v)) {
        if (med_json_type(v) != MED_JSON_STRING)
            return med_fail(err, MED_E_INVALID, "ids: strings expected, not %s",
                med_json_type_name(med_json_type(v)));
        if (f->id_count == MED_FETCH_IDS_MAX)
            return med_fail(err, MED_E_LIMIT, "ids: at most %d at once; send several requests",
                MED_FETCH_IDS_MAX);
        f->ids[f->id_count++] = med_json_string(v);
    }
    if (f->id_count == 0) return med_fail(err, MED_E_INVALID, "ids: at least one is needed");
    return MED_OK;
}

static enum med_code read_sections(
    const struct med_json *list, struct fetch_params *params, struct med_err *err)
{
    if (med_json_type(list) == MED_JSON_STRING)
        return fetch_params_sections(params, med_json_string(list), err);
    if (med_json_type(list) != MED_JSON_ARRAY)
        return med_fail(err, MED_E_INVALID, "sections: a list of strings expected, not %s",
            med_json_type_name(med_json_type(list)));
    for (const struct med_json *v = med_json_first(list); v; v = med_json_next(v)) {
        struct med_str name = med_str_trim(med_json_string(v));
        if (med_json_type(v) != MED_JSON_STRING || name.len == 0)
            return med_fail(err, MED_E_INVALID, "sections: headings expected");
        if (params->section_count == FETCH_SECTIONS_MAX)
            return med_fail(err, MED_E_LIMIT, "sections: at most %d", FETCH_SECTIONS_MAX);
        params->sections[params->section_count++] = name;
    }
    return MED_OK;
}

static enum med_code read_fetch(
    const struct med_json *body, struct fetch_request *f, struct med_err *err)
{
    static const char *const known[] = {"ids", "sections", "max_tokens"};
    long long n;
    if (med_json_type(body) != MED_JSON_OBJECT)
        return med_fail(err, MED_E_INVALID, "the body must be a JSON object, not %s",
            med_json_type_name(med_json_type(body)));
    for (const struct med_json *m = med_json_first(body); m; m = med_json_next(m)) {
        struct med_str name = med_str_of(med_json_key(m));
        enum med_code code = MED_OK;
        if (med_str_eq(name, MED_STR("ids"))) {
            code = read_ids(m, f, err);
        } else if (med_str_eq(name, MED_STR("sections"))) {
            code = read_sections(m, &f->params, err);
        } else if (med_str_eq(name, MED_STR("max_tokens"))) {
            if (!med_json_int(m, 1, TOKENS_MAX, &n))
                return med_fail(err, MED_E_INVALID, "max_tokens: a whole number from 1 expected");
            f->params.max_tokens = (uint64_t)n;
        } else {
            code = unknown_parameter(name, known, sizeof known / sizeof *known, err);
        }
        if (code) return code;
    }
    if (f->id_count == 0)
        return med_fail(err, MED_E_INVALID, "ids is missing: a list of document or passage ids");
    return MED_OK;
}

static enum med_code read_fetch_query(
    const struct http_request *r, struct med_arena *arena, bool *ret_pretty, struct med_err *err)
{
    static const char *const known[] = {"pretty"};
    struct query_pair *pairs;
    size_t count;
    enum med_code code = query_pairs(r->query, arena, &pairs, &count, err);
    for (size_t i = 0; !code && i < count; i++) {
        if (med_str_eq(pairs[i].name, MED_STR("pretty")))
            code = query_bool(pairs[i].name, pairs[i].value, ret_pretty, err);
        else
            code = unknown_parameter(pairs[i].name, known, 1, err);
    }
    return code;
}

static void fetch(struct server *server, struct worker_state *worker,
    const struct http_request *request, const struct fetch_request *f, bool pretty,
    struct http_response *response)
{
    struct med_err err = {0};
    struct served served;
    size_t errors;
    struct view view = {.public_url = server->public_url, .pretty = pretty};
    if (!acquire_or_answer(server, request, 0, &served, response)) return;
    struct fetch_source source = {.store = served.store,
        .index = served.index,
        .sources = request->caller.source_mask,
        .ids = &worker->ids};
    enum med_code code = fetch_many_json(&source, &view, &f->params, f->ids, f->id_count,
        worker->arena, &response->body, &errors, &err);
    serving_release(&served);
    if (code)
        respond_error(request, response, &err);
    else
        respond(response, 200, MEDIA_JSON);
}

void route_fetch(struct server *server, struct worker_state *worker,
    const struct http_request *request, struct http_response *response)
{
    struct fetch_request f = {0};
    struct med_err err = {0};
    struct med_json *body = NULL;
    bool pretty = false;
    enum med_code code = read_fetch_query(request, worker->arena, &pretty, &err);
    if (!code && med_json_parse(request->body.data ? request->body.data : "", request->body.len,
                     &body, &err)) {
        respond_problem(request, response, PROBLEM_INVALID_JSON, err.text);
        return;
    }
    if (!code) code = read_fetch(body, &f, &err);
    if (code) {
        err.code = code;
        respond_error(request, response, &err);
    } else {
        fetch(server, worker, request, &f, pretty, response);
    }
    if (body) med_json_free(&body);
}

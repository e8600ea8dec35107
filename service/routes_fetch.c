/* GET /v1/documents/{id} and POST /v1/fetch. */
#include "common/json.h"
#include "common/limits.h"
#include "common/unicode.h"
#include "service/fetch_many.h"
#include "service/server.h"

#define DOCUMENTS_PATH "/v1/documents/"

static enum med_code no_memory(struct med_err *err)
{
    return med_fail(err, MED_E_NOMEM, "the request needs too much memory");
}

/* --- GET /v1/documents/{id} --- */

struct document_request {
    struct med_str id;
    struct fetch_params params;
    bool pretty;
};

static enum media form_of(const struct http_request *r, const struct fetch_params *params)
{
    enum media media = MEDIA_JSON;
    (void)media_choose(r, MEDIA_ANSWERS, &media);
    return params->form_given ? params->form : media;
}

static enum med_code read_document(const struct http_request *r, struct med_arena *arena,
    struct document_request *d, struct med_err *err)
{
    struct query_pair *pairs;
    size_t count, skip = sizeof DOCUMENTS_PATH - 1;
    struct med_str raw = med_str_sub(r->path, skip, r->path.len);
    char *id = med_arena_alloc(arena, raw.len + 1);
    if (!id) return no_memory(err);
    d->id = percent_decode(raw, false, id);
    enum med_code code = query_pairs(r->query, arena, &pairs, &count, err);
    for (size_t i = 0; !code && i < count; i++) {
        struct med_str name = pairs[i].name, value = pairs[i].value;
        if (med_str_eq(name, MED_STR("pretty")))
            code = query_bool(name, value, &d->pretty, err);
        else
            code = fetch_params_set(&d->params, name, value, "pretty", err);
    }
    if (!code && !med_utf8_valid(d->id.ptr, d->id.len))
        code = med_fail(err, MED_E_INVALID, "the id is not valid UTF-8");
    return code;
}

void route_document(struct server *server, struct worker_state *worker,
    const struct http_request *request, struct http_response *response)
{
    struct document_request d = {0};
    struct med_err err = {0};
    struct served served;
    enum med_code code = read_document(request, worker->arena, &d, &err);
    if (code) {
        err.code = code;
        respond_error(request, response, &err);
        return;
    }
    if (!acquire_or_answer(server, request, 0, &served, response)) return;
    struct view view = {.public_url = server->public_url,
        .pretty = d.pretty,
        .limited = request->caller.source_mask != 0,
        .manifest = med_index_manifest(served.index)};
    struct fetch_source source = {.store = served.store,
        .index = served.index,
        .sources = request->caller.source_mask,
        .ids = &worker->ids};
    enum media media = form_of(request, &d.params);
    code = fetch_one(media, &source, &view, &d.params, d.id, worker->arena, &response->body, &err);
    serving_release(&served);
    if (code) {
        respond_error(request, response, &err);
        return;
    }
    respond(response, 200, media);
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

static enum med_code read_fetch(const struct med_json *body, struct med_arena *arena,
    struct fetch_request *f, struct med_err *err)
{
    if (med_json_type(body) != MED_JSON_OBJECT)
        return med_fail(err, MED_E_INVALID, "the body must be a JSON object, not %s",
            med_json_type_name(med_json_type(body)));
    for (const struct med_json *m = med_json_first(body); m; m = med_json_next(m)) {
        struct med_str name = med_str_of(med_json_key(m));
        enum med_code code = MED_OK;
        if (med_str_eq(name, MED_STR("ids"))) {
            code = read_ids(m, f, err);
        } else if (med_str_eq(name, MED_STR("sections"))) {
            code = med_json_type(m) == MED_JSON_STRING
                       ? fetch_params_sections(&f->params, med_json_string(m), err)
                       : fetch_params_section_list(&f->params, m, err);
        } else {
            code = fetch_params_member(&f->params, m, arena, err);
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
    struct query_pair *pairs;
    size_t count;
    enum med_code code = query_pairs(r->query, arena, &pairs, &count, err);
    for (size_t i = 0; !code && i < count; i++) {
        if (med_str_eq(pairs[i].name, MED_STR("pretty")))
            code = query_bool(pairs[i].name, pairs[i].value, ret_pretty, err);
        else
            code = med_fail(err, MED_E_USAGE,
                "unknown parameter \"%.*s\": with POST, parameters belong into the body",
                (int)(pairs[i].name.len < 60 ? pairs[i].name.len : 60), pairs[i].name.ptr);
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
    if (!acquire_or_answer(server, request, 0, &served, response)) return;
    struct fetch_source source = {.store = served.store,
        .index = served.index,
        .sources = request->caller.source_mask,
        .ids = &worker->ids};
    struct view view = {.public_url = server->public_url,
        .pretty = pretty,
        .limited = request->caller.source_mask != 0,
        .manifest = med_index_manifest(served.index)};
    enum media media = form_of(request, &f->params);
    enum med_code code = fetch_many(media, &source, &view, &f->params, f->ids, f->id_count,
        worker->arena, &response->body, &errors, &err);
    serving_release(&served);
    if (code) {
        respond_error(request, response, &err);
        return;
    }
    respond(response, 200, media);
    if (errors) http_response_header(response, "X-Error-Count", "%zu", errors);
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
    if (!code) code = read_fetch(body, worker->arena, &f, &err);
    if (code) {
        err.code = code;
        respond_error(request, response, &err);
    } else {
        fetch(server, worker, request, &f, pretty, response);
    }
    if (body) med_json_free(&body);
}

/* GET /v1/documents/{id}/similar and GET /v1/terms. */
#include "common/limits.h"
#include "common/unicode.h"
#include "service/server.h"

#define DOCUMENTS_PATH "/v1/documents/"
#define SIMILAR_SUFFIX "/similar"

/* --- similar --- */

static enum med_code read_similar(const struct http_request *r, struct med_arena *arena,
    struct search_params *params, struct med_str *ret_id, bool *ret_pretty, struct med_err *err)
{
    struct query_pair *pairs;
    size_t count;
    struct med_str raw =
        med_str_sub(r->path, sizeof DOCUMENTS_PATH - 1, r->path.len - (sizeof SIMILAR_SUFFIX - 1));
    char *id = med_arena_alloc(arena, raw.len + 1);
    if (!id) return med_fail(err, MED_E_NOMEM, "the request needs too much memory");
    *ret_id = percent_decode(raw, false, id);
    search_params_init(params);
    params->about = *ret_id;
    enum med_code code = query_pairs(r->query, arena, &pairs, &count, err);
    for (size_t i = 0; !code && i < count; i++) {
        if (med_str_eq(pairs[i].name, MED_STR("pretty")))
            code = query_bool(pairs[i].name, pairs[i].value, ret_pretty, err);
        else
            code = search_params_set(params, pairs[i].name, pairs[i].value, err);
    }
    if (!code && !med_utf8_valid(ret_id->ptr, ret_id->len))
        code = med_fail(err, MED_E_INVALID, "the id is not valid UTF-8");
    return code ? code : search_params_window(params, err);
}

void route_similar(struct server *server, struct worker_state *worker,
    const struct http_request *request, struct http_response *response)
{
    struct search_params params;
    struct med_err err = {0};
    struct med_answer *answer;
    struct served served;
    struct med_str id;
    struct view view = {
        .public_url = server->public_url, .limited = request->caller.source_mask != 0};
    enum med_code code = read_similar(request, worker->arena, &params, &id, &view.pretty, &err);
    if (code) {
        err.code = code;
        respond_error(request, response, &err);
        return;
    }
    if (!acquire_or_answer(server, request, params.generation, &served, response)) return;
    enum media media = media_of(request, &params);
    code = med_similar(served.index, served.store, worker->searcher, id, &params.request,
        worker->arena, &answer, &view.similar_to, &err);
    if (!code)
        code = answer_write(media, &view, &params, med_index_manifest(served.index), answer,
            worker->arena, &response->body, &err);
    serving_release(&served);
    if (code) {
        respond_error(request, response, &err);
        return;
    }
    struct med_hash128 hash = med_hash128(response->body.data, response->body.len);
    if (params.explain || !respond_etag(request, response, hash))
        respond_answer(&view, answer, media, response);
}

/* --- terms --- */

static enum med_code read_terms(const struct http_request *r, struct med_arena *arena,
    struct med_str *ret_text, size_t *ret_limit, bool *ret_pretty, struct med_err *err)
{
    struct query_pair *pairs;
    size_t count;
    unsigned long long n;
    enum med_code code = query_pairs(r->query, arena, &pairs, &count, err);
    if (code) return code;
    for (size_t i = 0; i < count; i++) {
        struct med_str name = pairs[i].name, value = pairs[i].value;
        if (med_str_eq(name, MED_STR("q")) || med_str_eq(name, MED_STR("query"))) {
            *ret_text = med_str_trim(value);
        } else if (med_str_eq(name, MED_STR("pretty"))) {
            code = query_bool(name, value, ret_pretty, err);
            if (code) return code;
        } else if (med_str_eq(name, MED_STR("limit"))) {
            if (!med_str_to_u64(value, &n) || n < 1 || n > MED_TERMS_LIMIT_MAX)
                return med_fail(err, MED_E_INVALID, "limit: a whole number from 1 to %d expected",
                    MED_TERMS_LIMIT_MAX);
            *ret_limit = (size_t)n;
        } else {
            return med_fail(err, MED_E_USAGE,
                "unknown parameter \"%.*s\"; known are q, limit, pretty",
                (int)(name.len < 60 ? name.len : 60), name.ptr ? name.ptr : "");
        }
    }
    if (!ret_text->len) return med_fail(err, MED_E_INVALID, "q is missing: which term?");
    if (!med_utf8_valid(ret_text->ptr, ret_text->len))
        return med_fail(err, MED_E_INVALID, "q is not valid UTF-8");
    return MED_OK;
}

void route_terms(struct server *server, struct worker_state *worker,
    const struct http_request *request, struct http_response *response)
{
    struct terms_answer answer = {0};
    struct view view = {.public_url = server->public_url};
    struct med_err err = {0};
    struct served served;
    enum media media = MEDIA_JSON;
    size_t limit = MED_TERMS_LIMIT_DEFAULT;
    (void)media_choose(request, 1u << MEDIA_JSON | 1u << MEDIA_TEXT, &media);
    enum med_code code =
        read_terms(request, worker->arena, &answer.query, &limit, &view.pretty, &err);
    if (code) {
        err.code = code;
        respond_error(request, response, &err);
        return;
    }
    if (!acquire_or_answer(server, request, 0, &served, response)) return;
    answer.generation = med_index_manifest(served.index)->number;
    answer.any = med_terms_any(served.index);
    code = med_terms_find(served.index, worker->searcher, answer.query, limit, worker->arena,
        &answer.terms, &answer.count, &err);
    if (code) {
        respond_error(request, response, &err);
    } else {
        respond(response, 200, media);
        if (media == MEDIA_TEXT)
            terms_text(&answer, &response->body);
        else
            terms_json(&view, &answer, &response->body);
        if (med_buf_status(&response->body, NULL) == MED_OK)
            (void)respond_etag(
                request, response, med_hash128(response->body.data, response->body.len));
    }
    serving_release(&served);
}

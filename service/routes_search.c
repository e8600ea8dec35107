/* GET and POST /v1/search. */
#include "common/json.h"
#include "common/limits.h"
#include "service/answer_cache.h"
#include "service/server.h"

#include "common/clock.h"

#include <stdio.h>

static enum med_code read_query_string(const struct http_request *r, bool is_post,
    struct med_arena *arena, struct search_params *params, bool *ret_pretty, struct med_err *err)
{
    struct query_pair *pairs;
    size_t count;
    enum med_code code = query_pairs(r->query, arena, &pairs, &count, err);
    for (size_t i = 0; !code && i < count; i++) {
        if (med_str_eq(pairs[i].name, MED_STR("pretty")))
            code = query_bool(pairs[i].name, pairs[i].value, ret_pretty, err);
        else if (is_post)
            code = med_fail(err, MED_E_USAGE,
                "unknown parameter \"%.*s\": with POST, parameters belong into the body",
                (int)(pairs[i].name.len < 60 ? pairs[i].name.len : 60), pairs[i].name.ptr);
        else
            code = search_params_set(params, pairs[i].name, pairs[i].value, err);
    }
    return code;
}

/* What is wrong with the request is answered here; true = go on. */
static bool read_params(const struct http_request *r, struct med_arena *arena,
    struct search_params *params, struct med_json **ret_body, bool *ret_pretty,
    struct http_response *response)
{
    struct med_err err = {0};
    bool is_post = med_str_eq(r->method, MED_STR("POST"));
    search_params_init(params);
    enum med_code code = read_query_string(r, is_post, arena, params, ret_pretty, &err);
    if (!code && is_post) {
        if (med_json_parse(r->body.data ? r->body.data : "", r->body.len, ret_body, &err)) {
            respond_problem(r, response, PROBLEM_INVALID_JSON, err.text);
            return false;
        }
        if (med_json_get(*ret_body, "queries")) return true;
        code = search_params_json(params, *ret_body, arena, &err);
    }
    if (!code) code = search_params_finish(params, &err);
    if (!code) return true;
    err.code = code;
    respond_error(r, response, &err);
    return false;
}

/* Everything that the bytes of the answer depend on. */
static void put_identity(const struct server *server, const struct view *view,
    const struct search_params *params, const struct med_manifest *manifest, enum media media,
    uint32_t sources, struct med_buf *out)
{
    med_buf_printf(out, "%s %llu %lld %d %d %u " MED_STR_FMT " ", MEDICUS_VERSION,
        (unsigned long long)manifest->number, (long long)manifest->created_unix_s, (int)media,
        view->pretty, sources, MED_STR_ARG(server->public_url));
    search_params_canonical(params, out);
}

enum media media_of(const struct http_request *r, const struct search_params *params)
{
    enum media media = MEDIA_JSON;
    (void)media_choose(r, MEDIA_ANSWERS, &media);
    return params->form_given ? params->form : media;
}

bool acquire_or_answer(struct server *server, const struct http_request *request,
    uint64_t generation, struct served *ret_served, struct http_response *response)
{
    bool any = serving_acquire(server->serving, generation, ret_served);
    if (!any && generation && serving_acquire(server->serving, 0, ret_served)) {
        serving_release(ret_served);
        respond_problem(request, response, PROBLEM_EXPIRED_CURSOR, NULL);
        return false;
    }
    if (!any) respond_problem(request, response, PROBLEM_NO_INDEX, NULL);
    return any;
}

void count_stages(struct server *server, const struct med_answer *answer)
{
    struct metrics *m = &server->metrics;
    metrics_stage(m, STAGE_ANALYSE, answer->ranking->ns.analyse);
    metrics_stage(m, STAGE_LEXICAL, answer->ranking->ns.lexical);
    metrics_stage(m, STAGE_DENSE, answer->ranking->ns.dense);
    metrics_stage(m, STAGE_FUSE, answer->ranking->ns.fuse);
    metrics_stage(m, STAGE_PRESENT, answer->ns_present);
}

static void respond_found(
    const struct view *view, uint64_t total, enum media media, struct http_response *response)
{
    respond(response, 200, media);
    http_response_header(response, "X-Total-Count", "%llu", (unsigned long long)total);
    if (view->next_cursor[0])
        http_response_header(response, "X-Next-Cursor", "%s", view->next_cursor);
}

void respond_answer(const struct view *view, const struct med_answer *answer, enum media media,
    struct http_response *response)
{
    respond_found(view, answer->ranking->total, media, response);
}

/* From the cache, when the same was asked before. */
static bool answer_again(struct server *server, struct worker_state *worker,
    const struct med_manifest *manifest, struct med_str identity, struct view *view,
    enum media media, struct http_response *response)
{
    struct med_buf cursor;
    uint64_t total;
    med_buf_init(&cursor, sizeof view->next_cursor - 1);
    bool found = answer_cache_get(server->cache, manifest->number, identity, worker->ids.on,
        &response->body, &worker->ids.list, &cursor, &total);
    if (found) {
        snprintf(view->next_cursor, sizeof view->next_cursor, "%.*s", (int)cursor.len,
            cursor.len ? cursor.data : "");
        respond_found(view, total, media, response);
        http_response_header(response, "Server-Timing", "cache;desc=hit");
    }
    med_buf_free(&cursor);
    return found;
}

static void keep(struct server *server, const struct worker_state *worker,
    const struct med_manifest *manifest, struct med_str identity, const struct view *view,
    uint64_t total, const struct http_response *response)
{
    struct cached_answer answer = {.body = {.ptr = response->body.data, .len = response->body.len},
        .ids = {.ptr = worker->ids.list.data, .len = worker->ids.list.len},
        .has_ids = worker->ids.on,
        .total = total,
        .next_cursor = med_str_of(view->next_cursor)};
    if (!med_buf_status(&response->body, NULL))
        answer_cache_put(server->cache, manifest->number, identity, &answer);
}

/* Milliseconds with three digits behind the point, from whole numbers: doubles take ten times as
 * long to write. */
#define MS(ns) (unsigned long long)((ns) / 1000000), (unsigned)((ns) / 1000 % 1000)
#define DUR ";dur=%llu.%03u"
static void server_timing(const struct http_request *r, const struct med_answer *answer,
    uint64_t render_ns, struct http_response *response)
{
    const struct med_ranking *k = answer->ranking;
    http_response_header(response, "Server-Timing",
        "queue" DUR ", analyse" DUR ", lexical" DUR ", dense" DUR ", fuse" DUR ", present" DUR
        ", render" DUR,
        MS(r->queued_ns), MS(k->ns.analyse), MS(k->ns.lexical), MS(k->ns.dense), MS(k->ns.fuse),
        MS(answer->ns_present), MS(render_ns));
}

static void search(struct server *server, struct worker_state *worker, const struct http_request *r,
    const struct search_params *params, struct view *view, const struct served *served,
    struct http_response *response)
{
    struct med_err err = {0};
    struct med_answer *answer;
    struct med_buf text;
    enum media media = media_of(r, params);
    const struct med_manifest *manifest = med_index_manifest(served->index);
    bool is_post = med_str_eq(r->method, MED_STR("POST"));
    bool cached = answer_cache_is_on(server->cache) && !params->explain;
    med_buf_init(&text, MED_QUERY_BYTES_MAX + MED_MIB);
    put_identity(server, view, params, manifest, media, r->caller.source_mask, &text);
    struct med_str identity = {.ptr = text.data, .len = text.len};
    enum med_code code = med_buf_status(&text, &err);
    if (code) goto out;
    if (!is_post && !params->explain && respond_etag(r, response, med_hash128(text.data, text.len)))
        goto out;
    if (cached && answer_again(server, worker, manifest, identity, view, media, response)) goto out;
    code =
        med_search(served->index, worker->searcher, &params->request, worker->arena, &answer, &err);
    uint64_t begin = med_now_ns();
    if (!code)
        code = answer_write(
            media, view, params, manifest, answer, worker->arena, &response->body, &err);
    if (code) goto out;
    respond_answer(view, answer, media, response);
    if (cached) keep(server, worker, manifest, identity, view, answer->ranking->total, response);
    uint64_t render_ns = med_now_ns() - begin;
    count_stages(server, answer);
    metrics_stage(&server->metrics, STAGE_RENDER, render_ns);
    server_timing(r, answer, render_ns, response);
out:
    med_buf_free(&text);
    if (code) respond_error(r, response, &err);
}

void route_search(struct server *server, struct worker_state *worker,
    const struct http_request *request, struct http_response *response)
{
    struct search_params params;
    struct med_json *body = NULL;
    struct view view = {
        .public_url = server->public_url, .limited = request->caller.source_mask != 0};
    struct served served;
    uint64_t begin = med_now_ns();
    bool good = read_params(request, worker->arena, &params, &body, &view.pretty, response);
    metrics_stage(&server->metrics, STAGE_PARSE, med_now_ns() - begin);
    if (good) {
        if (body && med_json_get(body, "queries")) {
            search_batch(server, worker, request, body, view.pretty, response);
        } else if (acquire_or_answer(server, request, params.generation, &served, response)) {
            search(server, worker, request, &params, &view, &served, response);
            serving_release(&served);
        }
    }
    if (body) med_json_free(&body);
}

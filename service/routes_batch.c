/* POST /v1/search with "queries": several searches in one request, answered in order by one search
 * thread from one generation. What is wrong with one query stands in its place. */
#include "common/json.h"
#include "common/limits.h"
#include "service/server.h"

#define FRAME_BYTES 256      /* around the answers */
#define QUERY_TOKENS_MIN 250 /* an error takes so many */

struct batch {
    struct server *server;
    struct worker_state *worker;
    const struct med_json *body;
    const struct med_json *queries;
    size_t count;
    struct view view;
    uint64_t max_tokens; /* of all answers together; 0 = none */
    struct med_buf answer;
};

static bool is_member(const struct med_json *m, const char *name)
{
    return med_str_eq(med_str_of(med_json_key(m)), med_str_of(name));
}

/* Refuses the request as a whole, before anything is searched. */
static enum med_code check(struct batch *b, struct med_err *err)
{
    struct search_params defaults;
    long long n;
    search_params_init(&defaults);
    if (med_json_type(b->queries) != MED_JSON_ARRAY)
        return med_fail(err, MED_E_INVALID, "queries: a list of request objects expected, not %s",
            med_json_type_name(med_json_type(b->queries)));
    b->count = med_json_count(b->queries);
    if (b->count == 0 || b->count > MED_BATCH_QUERIES_MAX)
        return med_fail(err, b->count ? MED_E_LIMIT : MED_E_INVALID,
            "queries: 1 to %d are accepted, not %zu", MED_BATCH_QUERIES_MAX, b->count);
    for (const struct med_json *m = med_json_first(b->body); m; m = med_json_next(m)) {
        if (is_member(m, "queries")) continue;
        if (is_member(m, "query") || is_member(m, "q") || is_member(m, "cursor"))
            return med_fail(
                err, MED_E_INVALID, "%s belongs into each of the queries", med_json_key(m));
        if (is_member(m, "max_tokens")) {
            if (!med_json_int(m, 1, MED_TOKENS_MAX, &n))
                return med_fail(err, MED_E_INVALID, "max_tokens: a whole number from 1 expected");
            b->max_tokens = (uint64_t)n;
            continue;
        }
        enum med_code code = search_params_member(&defaults, m, b->worker->arena, err);
        if (code) return code;
    }
    if (b->max_tokens && b->max_tokens < b->count * QUERY_TOKENS_MIN)
        return med_fail(err, MED_E_INVALID,
            "max_tokens: at least %d are needed for each of the %zu queries", QUERY_TOKENS_MIN,
            b->count);
    if (defaults.form_given && defaults.form != MEDIA_JSON)
        return med_fail(err, MED_E_INVALID, "format: several queries are answered as json");
    return MED_OK;
}

/* What the query says itself, then the request's defaults. */
static enum med_code read_query(struct batch *b, const struct med_json *query,
    struct search_params *params, struct med_err *err)
{
    struct med_arena *arena = b->worker->arena;
    search_params_init(params);
    enum med_code code = search_params_json(params, query, arena, err);
    for (const struct med_json *m = med_json_first(b->body); m && !code; m = med_json_next(m)) {
        if (!is_member(m, "queries") && !is_member(m, "max_tokens"))
            code = search_params_defaults(params, m, arena, err);
    }
    if (!code) code = search_params_finish(params, err);
    if (!code && params->form_given && params->form != MEDIA_JSON)
        code = med_fail(err, MED_E_INVALID, "format: several queries are answered as json");
    return code;
}

/* One answer, or what is wrong with its query, into b->answer. left: bytes that it may take; 0 =
 * any number. */
static void answer_one(
    struct batch *b, const struct med_json *query, const struct served *served, size_t left)
{
    struct search_params params;
    struct med_err err = {0};
    struct med_answer *answer;
    struct view view = b->view;
    const struct med_manifest *manifest = med_index_manifest(served->index);
    med_arena_reset(b->worker->arena);
    med_buf_reset(&b->answer);
    enum med_code code = read_query(b, query, &params, &err);
    enum problem problem = problem_of_code(code);
    if (!code && left && !params.max_tokens) params.max_tokens = left / MED_BYTES_PER_TOKEN + !left;
    if (!code && params.generation && params.generation != manifest->number) {
        problem = PROBLEM_EXPIRED_CURSOR;
        code = med_fail(&err, MED_E_GONE,
            "several queries are answered by the newest index, and this cursor belongs to an older "
            "one; send it alone, or begin without it");
    } else if (!code) {
        code = med_search(
            served->index, b->worker->searcher, &params.request, b->worker->arena, &answer, &err);
        if (!code) count_stages(b->server, answer);
        if (!code)
            code = answer_write(
                MEDIA_JSON, &view, &params, manifest, answer, b->worker->arena, &b->answer, &err);
        problem = problem_of_code(code);
    }
    if (!code) return;
    med_buf_reset(&b->answer);
    struct med_jw w = med_jw_of(&b->answer, b->view.pretty);
    med_jw_object(&w);
    med_jw_key(&w, "error");
    problem_json(problem, err.text, NULL, &w);
    med_jw_object_end(&w);
}

static void answer_all(struct batch *b, const struct served *served, struct med_buf *out)
{
    struct med_jw w = med_jw_of(out, b->view.pretty);
    size_t done = 0, budget = (size_t)b->max_tokens * MED_BYTES_PER_TOKEN;
    med_jw_object(&w);
    meta_json(&b->view, med_index_manifest(served->index), &w);
    med_jw_key(&w, "answers");
    med_jw_array(&w);
    for (const struct med_json *q = med_json_first(b->queries); q; q = med_json_next(q), done++) {
        size_t spent = out->len + FRAME_BYTES;
        size_t left = budget > spent ? (budget - spent) / (b->count - done) : 1;
        answer_one(b, q, served, budget ? left : 0);
        embed_json(&w, med_buf_str(&b->answer));
    }
    med_jw_array_end(&w);
    med_jw_object_end(&w);
    med_buf_putc(out, '\n');
}

void search_batch(struct server *server, struct worker_state *worker, const struct http_request *r,
    const struct med_json *body, bool pretty, struct http_response *response)
{
    struct batch b = {.server = server,
        .worker = worker,
        .body = body,
        .queries = med_json_get(body, "queries"),
        .view = {.public_url = server->public_url,
            .pretty = pretty,
            .limited = r->caller.source_mask != 0}};
    struct med_err err = {0};
    struct served served;
    enum media media;
    if (!media_choose(r, MEDIA_BIT(MEDIA_JSON), &media)) {
        respond_problem(r, response, PROBLEM_NOT_ACCEPTABLE,
            "several queries are answered as application/json");
        return;
    }
    enum med_code code = check(&b, &err);
    if (code) {
        err.code = code;
        respond_error(r, response, &err);
        return;
    }
    if (!acquire_or_answer(server, r, 0, &served, response)) return;
    med_buf_init(&b.answer, MED_RESPONSE_BYTES_MAX);
    worker->more_requests = (uint32_t)b.count - 1;
    respond(response, 200, MEDIA_JSON);
    answer_all(&b, &served, &response->body);
    serving_release(&served);
    med_buf_free(&b.answer);
}

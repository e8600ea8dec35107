/* Search in the shapes of Serper and Tavily: /compat/serper/search and /compat/tavily/search. */
#include "service/compat.h"

#include "common/clock.h"
#include "common/limits.h"

#define SERPER_RESULTS_MAX 100
#define TAVILY_RESULTS_MAX 20
#define SCORE_DECIMALS 6

struct compat_query {
    struct med_str text;
    long long limit, page;
};

/* Everything that is wrong with a query comes out here. */
static enum med_code to_request(
    const struct compat_query *query, struct search_params *params, struct med_err *err)
{
    search_params_init(params);
    params->request.query = query->text;
    params->request.limit = (uint32_t)query->limit;
    if (query->page * query->limit > MED_POOL_DEPTH_MAX)
        return med_fail(
            err, MED_E_LIMIT, "page: the first %d results can be paged", MED_POOL_DEPTH_MAX);
    params->request.offset = (uint32_t)((query->page - 1) * query->limit);
    return search_params_finish(params, err);
}

static enum med_code read_query(
    const struct med_json *body, const char *name, struct compat_query *query, struct med_err *err)
{
    const struct med_json *v = med_json_get(body, name);
    if (!v) return MED_OK;
    if (med_json_type(v) != MED_JSON_STRING)
        return med_fail(err, MED_E_INVALID, "%s: a string expected, not %s", name,
            med_json_type_name(med_json_type(v)));
    query->text = med_json_string(v);
    return MED_OK;
}

static void link_json(
    const struct view *view, const char *key, const struct med_result *r, struct med_jw *w)
{
    struct med_buf text;
    med_buf_init(&text, MED_MIB);
    compat_title(r->title, r->flags, &text);
    med_jw_kstr(w, "title", med_buf_str(&text));
    med_buf_reset(&text);
    document_url(view, r->url, r->document_id, &text);
    med_jw_kstr(w, key, med_buf_str(&text));
    med_buf_free(&text);
}

/* --- Serper --- */

static enum med_code serper_pair(
    const struct query_pair *pair, struct compat_query *query, struct med_err *err)
{
    unsigned long long n;
    bool is_num = med_str_eq(pair->name, MED_STR("num"));
    if (med_str_eq(pair->name, MED_STR("q"))) query->text = pair->value;
    if (!is_num && !med_str_eq(pair->name, MED_STR("page"))) return MED_OK;
    if (!med_str_to_u64(pair->value, &n) || n < 1)
        return med_fail(
            err, MED_E_INVALID, "%s: a whole number from 1 expected", is_num ? "num" : "page");
    if (is_num)
        query->limit = n < SERPER_RESULTS_MAX ? (long long)n : SERPER_RESULTS_MAX;
    else
        query->page = n < INT32_MAX ? (long long)n : INT32_MAX;
    return MED_OK;
}

/* Some clients send everything in the query string, with POST as well. */
static enum med_code read_serper(const struct http_request *r, const struct med_json *body,
    struct med_arena *arena, struct compat_query *query, struct med_err *err)
{
    struct query_pair *pairs;
    size_t count = 0;
    enum med_code code = query_pairs(r->query, arena, &pairs, &count, err);
    for (size_t i = 0; !code && i < count; i++) code = serper_pair(&pairs[i], query, err);
    if (!code && body) code = read_query(body, "q", query, err);
    if (!code && body) code = compat_number(body, "num", 1, SERPER_RESULTS_MAX, &query->limit, err);
    if (!code && body) code = compat_number(body, "page", 1, INT32_MAX, &query->page, err);
    if (!code && med_str_trim(query->text).len == 0)
        code = med_fail(err, MED_E_INVALID, "q is missing: say what to search for");
    return code;
}

static void serper_result(
    const struct view *view, const struct med_result *r, size_t position, struct med_jw *w)
{
    struct med_buf date;
    med_buf_init(&date, MED_KIB);
    date_text(r->doc->date, &date);
    struct med_str journal = r->doc->journal.title, organization = r->doc->organization;
    med_jw_object(w);
    link_json(view, "link", r, w);
    med_jw_kstr(w, "snippet", r->snippet);
    if (date.len) med_jw_kstr(w, "date", med_buf_str(&date));
    med_jw_kstr(w, "source",
        journal.len        ? journal
        : organization.len ? organization
                           : med_str_of(med_source_name(r->doc->source)));
    med_jw_kint(w, "position", (long long)position);
    med_jw_object_end(w);
    med_buf_free(&date);
}

static void serper_json(const struct server *server, const struct compat_query *query,
    const struct search_params *params, const struct med_answer *answer, struct med_buf *out)
{
    struct view view = {.public_url = server->public_url};
    struct med_jw w = med_jw_of(out, false);
    med_jw_object(&w);
    med_jw_key(&w, "searchParameters");
    med_jw_object(&w);
    med_jw_kstr(&w, "q", params->request.query);
    med_jw_kcstr(&w, "type", "search");
    med_jw_kint(&w, "num", query->limit);
    med_jw_kint(&w, "page", query->page);
    med_jw_object_end(&w);
    med_jw_key(&w, "organic");
    med_jw_array(&w);
    for (size_t i = 0; i < answer->count; i++)
        serper_result(&view, &answer->results[i], params->request.offset + i + 1, &w);
    med_jw_array_end(&w);
    med_jw_object_end(&w);
    med_buf_putc(out, '\n');
}

static enum med_code serper(struct server *server, struct worker_state *worker,
    const struct compat_query *query, struct med_buf *out, struct med_err *err)
{
    struct search_params params;
    struct served served;
    struct med_answer *answer;
    enum med_code code = to_request(query, &params, err);
    if (code) return code;
    if (!serving_acquire(server->serving, 0, &served))
        return med_fail(err, MED_E_NO_INDEX, "nothing can be searched yet");
    code = compat_search(server, worker, served.index, &params.request, &answer, err);
    if (!code) serper_json(server, query, &params, answer, out);
    serving_release(&served);
    return code;
}

void route_serper(struct server *server, struct worker_state *worker,
    const struct http_request *request, struct http_response *response)
{
    struct compat_query query = {.limit = MED_LIMIT_DEFAULT, .page = 1};
    struct med_err err = {0};
    struct med_json *body = NULL;
    bool is_post = med_str_eq(request->method, MED_STR("POST"));
    if (is_post && !compat_body(COMPAT_SERPER, request, true, &body, response)) return;
    enum med_code code = read_serper(request, body, worker->arena, &query, &err);
    if (!code) code = serper(server, worker, &query, &response->body, &err);
    err.code = code;
    if (code)
        compat_error(COMPAT_SERPER, request, response, &err);
    else
        respond(response, 200, MEDIA_JSON);
    if (body) med_json_free(&body);
}

/* --- Tavily --- */

enum raw_content { RAW_NONE, RAW_MARKDOWN, RAW_TEXT };

/* false, true, "markdown" or "text" */
static enum med_code read_raw(
    const struct med_json *body, enum raw_content *ret_raw, struct med_err *err)
{
    const struct med_json *v = med_json_get(body, "include_raw_content");
    struct med_str word = med_json_string(v);
    *ret_raw = med_json_bool(v) || med_str_eq(word, MED_STR("markdown")) ? RAW_MARKDOWN
               : med_str_eq(word, MED_STR("text"))                       ? RAW_TEXT
                                                                         : RAW_NONE;
    if (!v || *ret_raw || med_json_type(v) == MED_JSON_BOOL || med_json_type(v) == MED_JSON_NULL)
        return MED_OK;
    return med_fail(
        err, MED_E_INVALID, "include_raw_content: true, false, \"markdown\" or \"text\" expected");
}

/* "2019-03-01": years are what can be searched by. */
static enum med_code read_year(
    const struct med_json *body, const char *name, uint32_t *ret_year, struct med_err *err)
{
    const struct med_json *v = med_json_get(body, name);
    struct med_str text = med_json_string(v);
    unsigned long long year;
    if (!v || med_json_type(v) == MED_JSON_NULL) return MED_OK;
    if (text.len < 4 || !med_str_to_u64(med_str_sub(text, 0, 4), &year))
        return med_fail(err, MED_E_INVALID, "%s: a date like 2019-03-01 expected", name);
    *ret_year = (uint32_t)year;
    return MED_OK;
}

static enum med_code read_tavily(const struct med_json *body, struct search_params *params,
    enum raw_content *ret_raw, struct med_err *err)
{
    struct compat_query query = {.limit = 5, .page = 1};
    struct med_search_filter *filter = &params->request.filter;
    enum med_code code = read_query(body, "query", &query, err);
    if (!code) code = compat_number(body, "max_results", 0, TAVILY_RESULTS_MAX, &query.limit, err);
    if (!code) code = read_raw(body, ret_raw, err);
    bool none = query.limit == 0; /* is allowed there; a search has at least one */
    if (none) query.limit = 1;
    if (!code) code = to_request(&query, params, err);
    if (!code) code = read_year(body, "start_date", &filter->year_min, err);
    if (!code) code = read_year(body, "end_date", &filter->year_max, err);
    if (none) params->request.limit = 0;
    return code;
}

static void raw_json(struct server *server, struct worker_state *worker,
    const struct served *served, const struct http_request *request, const struct med_result *r,
    enum raw_content raw, struct med_jw *w)
{
    struct view view = {.public_url = server->public_url};
    struct med_fetched *fetched;
    struct selection selection;
    med_jw_key(w, "raw_content");
    /* The index may still have what was deleted since. */
    if (raw == RAW_NONE || compat_read(server, worker, served, request, r->document_id, &fetched,
                               &selection, NULL) != MED_OK) {
        med_jw_null(w);
        return;
    }
    struct med_buf text;
    med_buf_init(&text, MED_RESPONSE_BYTES_MAX);
    if (raw == RAW_TEXT)
        med_buf_append_str(&text, selection.text);
    else
        document_markdown(&view, fetched, &selection, &text);
    med_jw_str(w, med_buf_str(&text));
    med_buf_free(&text);
}

static void tavily_json(struct server *server, struct worker_state *worker,
    const struct served *served, const struct http_request *request, struct med_str query,
    const struct med_answer *answer, enum raw_content raw, struct med_buf *out)
{
    struct view view = {.public_url = server->public_url};
    struct med_jw w = med_jw_of(out, false);
    med_jw_object(&w);
    med_jw_kstr(&w, "query", query);
    med_jw_kcstr(&w, "follow_up_questions", NULL);
    med_jw_kcstr(&w, "answer", NULL);
    med_jw_key(&w, "images");
    med_jw_array(&w);
    med_jw_array_end(&w);
    med_jw_key(&w, "results");
    med_jw_array(&w);
    for (size_t i = 0; answer && i < answer->count; i++) {
        const struct med_result *r = &answer->results[i];
        med_jw_object(&w);
        link_json(&view, "url", r, &w);
        med_jw_kstr(&w, "content", r->text);
        med_jw_key(&w, "score");
        med_jw_float(&w, r->rank.score, SCORE_DECIMALS);
        raw_json(server, worker, served, request, r, raw, &w);
        med_jw_object_end(&w);
    }
    med_jw_array_end(&w);
    med_jw_key(&w, "response_time");
    med_jw_float(&w, (double)(med_now_ns() - request->start_ns) * 1e-9, 6);
    med_jw_kcstr(&w, "request_id", request->id);
    med_jw_object_end(&w);
    med_buf_putc(out, '\n');
}

static enum med_code tavily(struct server *server, struct worker_state *worker,
    const struct http_request *request, const struct med_json *body, struct med_buf *out,
    struct med_err *err)
{
    struct search_params params;
    struct served served;
    struct med_answer *answer = NULL;
    enum raw_content raw = RAW_NONE;
    enum med_code code = read_tavily(body, &params, &raw, err);
    if (code) return code;
    if (!serving_acquire(server->serving, 0, &served))
        return med_fail(err, MED_E_NO_INDEX, "nothing can be searched yet");
    if (params.request.limit)
        code = compat_search(server, worker, served.index, &params.request, &answer, err);
    if (!code)
        tavily_json(server, worker, &served, request, params.request.query, answer, raw, out);
    serving_release(&served);
    return code;
}

void route_tavily_search(struct server *server, struct worker_state *worker,
    const struct http_request *request, struct http_response *response)
{
    struct med_err err = {0};
    struct med_json *body = NULL;
    if (!compat_body(COMPAT_TAVILY, request, false, &body, response)) return;
    enum med_code code = tavily(server, worker, request, body, &response->body, &err);
    err.code = code;
    if (code)
        compat_error(COMPAT_TAVILY, request, response, &err);
    else
        respond(response, 200, MEDIA_JSON);
    med_json_free(&body);
}

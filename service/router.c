/* From a request to the function that answers it.
 *
 * On the I/O thread, before the body: request id, gate, route, key, method, representation, type of
 * the body. What is refused here costs no search thread. */
#include "service/server.h"

#include "common/clock.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/mem.h"
#include "service/admin.h"
#include "service/compat.h"

#include <stdio.h>

enum method { METHOD_GET = 1, METHOD_HEAD = 2, METHOD_POST = 4, METHOD_DELETE = 8 };

struct route_row {
    enum route route;
    const char *path;
    bool prefix;        /* something follows the path */
    const char *suffix; /* and this stands behind it; NULL = nothing */
    unsigned methods;   /* enum method */
    unsigned media;     /* 1 << enum media */
    enum need need;     /* of a key */
    void (*work)(struct server *server, struct worker_state *worker,
        const struct http_request *request, struct http_response *response);
    void (*quick)(
        struct server *server, const struct http_request *request, struct http_response *response);
};

#define OVERLOAD_DETAIL "more requests arrive than the search threads can answer"
#define GET_HEAD (METHOD_GET | METHOD_HEAD)
#define JSON (1u << MEDIA_JSON)
#define TEXT (1u << MEDIA_TEXT)

/* clang-format off */
static const struct route_row rows[] = {
    {ROUTE_SEARCH, "/v1/search", false, NULL, GET_HEAD | METHOD_POST, MEDIA_ANSWERS, NEED_SEARCH,
        route_search, NULL},
    {ROUTE_EXPORT, "/v1/export", false, NULL, GET_HEAD,
        TEXT | MEDIA_BIT(MEDIA_CSV) | MEDIA_CITATIONS,
        NEED_SEARCH, route_export, NULL},
    {ROUTE_SIMILAR, "/v1/documents/", true, "/similar", GET_HEAD, MEDIA_ANSWERS, NEED_SEARCH,
        route_similar, NULL},
    {ROUTE_DOCUMENT, "/v1/documents/", true, NULL, GET_HEAD, MEDIA_ANSWERS, NEED_SEARCH,
        route_document, NULL},
    {ROUTE_TERMS, "/v1/terms", false, NULL, GET_HEAD, JSON | TEXT, NEED_SEARCH,
        route_terms, NULL},
    {ROUTE_FETCH, "/v1/fetch", false, NULL, METHOD_POST, MEDIA_ANSWERS, NEED_SEARCH,
        route_fetch, NULL},
    {ROUTE_MCP, "/mcp", false, NULL, METHOD_POST, JSON, NEED_SEARCH,
        route_mcp, NULL},
    {ROUTE_SERPER, "/compat/serper/search", false, NULL, GET_HEAD | METHOD_POST, JSON, NEED_SEARCH,
        route_serper, NULL},
    {ROUTE_JINA, "/compat/jina/", true, NULL, GET_HEAD, JSON | TEXT, NEED_SEARCH,
        route_jina, NULL},
    {ROUTE_JINA, "/compat/jina", false, NULL, METHOD_POST, JSON | TEXT, NEED_SEARCH,
        route_jina, NULL},
    {ROUTE_JINA, "/compat/jina/", false, NULL, METHOD_POST, JSON | TEXT, NEED_SEARCH,
        route_jina, NULL},
    {ROUTE_TAVILY_SEARCH, "/compat/tavily/search", false, NULL, METHOD_POST, JSON,
        NEED_SEARCH_LATER, route_tavily_search, NULL},
    {ROUTE_TAVILY_EXTRACT, "/compat/tavily/extract", false, NULL, METHOD_POST, JSON,
        NEED_SEARCH_LATER, route_tavily_extract, NULL},
    {ROUTE_ADMIN_DOCUMENTS, "/v1/admin/documents", false, NULL, METHOD_POST, JSON, NEED_ADMIN,
        route_admin_documents, NULL},
    {ROUTE_ADMIN_DOCUMENT, "/v1/admin/documents/", true, NULL, METHOD_DELETE, JSON, NEED_ADMIN,
        route_admin_document, NULL},
    {ROUTE_ADMIN_UPDATE, "/v1/admin/update", false, NULL, METHOD_POST, JSON, NEED_ADMIN,
        route_admin_update, NULL},
    {ROUTE_ADMIN_REBUILD, "/v1/admin/rebuild", false, NULL, METHOD_POST, JSON, NEED_ADMIN,
        route_admin_rebuild, NULL},
    {ROUTE_ADMIN_JOBS, "/v1/admin/jobs", false, NULL, GET_HEAD, JSON, NEED_ADMIN,
        route_admin_jobs, NULL},
    {ROUTE_ADMIN_JOB, "/v1/admin/jobs/", true, NULL, GET_HEAD | METHOD_DELETE, JSON, NEED_ADMIN,
        route_admin_job, NULL},
    {ROUTE_ADMIN_GENERATIONS, "/v1/admin/generations", false, NULL, GET_HEAD, JSON, NEED_ADMIN,
        route_admin_generations, NULL},
    {ROUTE_ADMIN_ACTIVATE, "/v1/admin/generations/", true, "/activate", METHOD_POST, JSON,
        NEED_ADMIN, route_admin_activate, NULL},
    {ROUTE_ADMIN_SNAPSHOT, "/v1/admin/snapshot", false, NULL, METHOD_POST, JSON, NEED_ADMIN,
        route_admin_snapshot, NULL},
    {ROUTE_LIVEZ, "/livez", false, NULL, GET_HEAD, JSON | TEXT, NEED_NOTHING,
        NULL, route_livez},
    {ROUTE_READYZ, "/readyz", false, NULL, GET_HEAD, JSON | TEXT, NEED_NOTHING,
        NULL, route_readyz},
    {ROUTE_METRICS, "/metrics", false, NULL, GET_HEAD, 1u << MEDIA_METRICS, NEED_METRICS,
        NULL, route_metrics},
    {ROUTE_OPENAPI, "/openapi.json", false, NULL, GET_HEAD, JSON, NEED_NOTHING,
        NULL, route_openapi},
    {ROUTE_PAGE, "/", false, NULL, GET_HEAD, 1u << MEDIA_HTML, NEED_NOTHING, NULL, route_page},
    {ROUTE_PAGE, "/docs", false, NULL, GET_HEAD, 1u << MEDIA_HTML, NEED_NOTHING,
        NULL, route_page},
    {ROUTE_PAGE, "/assets/", true, NULL, GET_HEAD,
        JSON | 1u << MEDIA_CSS | 1u << MEDIA_JS | 1u << MEDIA_SVG, NEED_NOTHING,
        NULL, route_page},
    {ROUTE_PROBLEMS, "/problems/", true, NULL, GET_HEAD, JSON | TEXT, NEED_NOTHING,
        NULL, route_problems},
};
/* clang-format on */
#define ROW_COUNT (sizeof rows / sizeof *rows)

static const struct route_row *find_row(enum route route)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (rows[i].route == route) return &rows[i];
    }
    return NULL;
}

static const struct route_row *match(struct med_str path)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        struct med_str known = med_str_of(rows[i].path);
        bool same = rows[i].prefix ? path.len > known.len && med_str_starts(path, known)
                                   : med_str_eq(path, known);
        if (same && rows[i].suffix) {
            struct med_str suffix = med_str_of(rows[i].suffix);
            same = path.len > known.len + suffix.len && med_str_ends(path, suffix);
        }
        if (same) return &rows[i];
    }
    return NULL;
}

static unsigned method_bit(struct med_str method)
{
    if (med_str_eq(method, MED_STR("GET"))) return METHOD_GET;
    if (med_str_eq(method, MED_STR("HEAD"))) return METHOD_HEAD;
    if (med_str_eq(method, MED_STR("POST"))) return METHOD_POST;
    if (med_str_eq(method, MED_STR("DELETE"))) return METHOD_DELETE;
    return 0;
}

/* The caller's id when it is harmless, so that logs of both sides can be joined; else a new one. */
static void give_id(struct server *server, struct http_request *r)
{
    struct med_str given;
    bool good = http_header_get(r, "X-Request-ID", &given) && given.len > 0 &&
                given.len <= HTTP_REQUEST_ID_MAX;
    for (size_t i = 0; good && i < given.len; i++) {
        char c = given.ptr[i];
        good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '_' || c == '.';
    }
    if (good) {
        memcpy(r->id, given.ptr, given.len);
        r->id[given.len] = '\0';
        return;
    }
    uint64_t number = atomic_fetch_add(&server->id_next, 1);
    uint64_t mixed[2] = {server->id_seed, number};
    snprintf(r->id, sizeof r->id, "%016llx", (unsigned long long)med_hash64(mixed, sizeof mixed));
}

/* The trace that the caller is in, from a `traceparent` of W3C Trace Context: version, trace id,
 * parent id, flags. What is malformed is no trace. */
static void take_trace(struct http_request *r)
{
    static const char shape[] = "xx-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-xxxxxxxxxxxxxxxx-xx";
    struct med_str given;
    const size_t len = sizeof shape - 1;
    if (!http_header_get(r, "traceparent", &given) || given.len < len) return;
    /* Version 00 ends here; a later one may go on behind another dash. */
    if (med_str_starts(given, MED_STR("ff")) ||
        (given.len > len && (med_str_starts(given, MED_STR("00")) || given.ptr[len] != '-')))
        return;
    for (size_t i = 0; i < len; i++) {
        char c = given.ptr[i];
        bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        if (shape[i] == 'x' ? !hex : c != '-') return;
    }
    if (strspn(given.ptr + 3, "0") >= HTTP_TRACE_ID_LEN) return;
    memcpy(r->trace_id, given.ptr + 3, HTTP_TRACE_ID_LEN);
    r->trace_id[HTTP_TRACE_ID_LEN] = '\0';
}

static void common_headers(
    const struct server *server, const struct http_request *r, struct http_response *response)
{
    const struct route_row *row = find_row((enum route)r->route);
    http_response_header(response, "X-Request-ID", "%s", r->id);
    http_response_header(response, "X-Content-Type-Options", "nosniff");
    bool cacheable = r->route == ROUTE_SEARCH || r->route == ROUTE_DOCUMENT ||
                     r->route == ROUTE_SIMILAR || r->route == ROUTE_TERMS;
    /* The page holds nothing private; its entity tags make asking again cheap. */
    http_response_header(response, "Cache-Control", "%s",
        r->route == ROUTE_PAGE ? "no-cache"
        : cacheable            ? "private, no-cache"
                               : "no-store");
    if (!row) return;
    bool origins = atomic_load(&server->allow_origin) != NULL;
    const char *vary = row->work ? "Accept, Accept-Encoding" : "Accept";
    http_response_header(response, "Vary", "%s%s", vary, origins ? ", Origin" : "");
}

static bool body_is_json(const struct http_request *r)
{
    struct med_str type;
    if (!http_header_get(r, "Content-Type", &type)) return false;
    for (size_t i = 0; i < type.len; i++) {
        if (type.ptr[i] == ';') type.len = i;
    }
    return med_str_eq_nocase(med_str_trim(type), MED_STR("application/json"));
}

/* "GET, HEAD, OPTIONS" */
static void list_methods(unsigned methods, char *ret_text, size_t size)
{
    snprintf(ret_text, size, "%s%s%s%sOPTIONS", methods & METHOD_GET ? "GET, " : "",
        methods & METHOD_HEAD ? "HEAD, " : "", methods & METHOD_POST ? "POST, " : "",
        methods & METHOD_DELETE ? "DELETE, " : "");
}

static void refuse_method(
    const struct route_row *row, const struct http_request *r, struct http_response *response)
{
    char detail[100], allow[80];
    list_methods(row->methods, allow, sizeof allow);
    snprintf(detail, sizeof detail, "this route answers %s", allow);
    http_response_header(response, "Allow", "%s", allow);
    respond_problem(r, response, PROBLEM_METHOD_NOT_ALLOWED, detail);
}

static void refuse_media(
    const struct route_row *row, const struct http_request *r, struct http_response *response)
{
    char detail[400] = "this route offers ";
    size_t used = strlen(detail);
    media_list(row->media, detail + used, sizeof detail - used);
    respond_problem(r, response, PROBLEM_NOT_ACCEPTABLE, detail);
}

/* What a browser asks before it lets a page of another origin send something, and anyone may. No
 * key is needed: browsers send none here. True: it was that, and is answered. */
static bool answer_options(const struct server *server, const struct route_row *row,
    const struct http_request *r, struct http_response *response)
{
    bool everything = med_str_eq(r->path, MED_STR("*"));
    char allow[80];
    if (!med_str_eq(r->method, MED_STR("OPTIONS")) || (!row && !everything)) return false;
    list_methods(
        everything ? METHOD_GET | METHOD_HEAD | METHOD_POST : row->methods, allow, sizeof allow);
    response->status = 204;
    http_response_header(response, "Allow", "%s", allow);
    if (row && row->need != NEED_METRICS) cors_headers(server, r, allow, response);
    return true;
}

/* The type of the body fits the route. What is uploaded is recognised by its content; a job needs
 * no body at all. */
static bool body_fits(const struct route_row *row, const struct http_request *r)
{
    struct med_str value;
    bool is_job = row->need == NEED_ADMIN && !http_header_get(r, "Content-Type", &value);
    return method_bit(r->method) != METHOD_POST || row->route == ROUTE_ADMIN_DOCUMENTS || is_job ||
           body_is_json(r);
}

/* Uploads may be larger than everything else. */
static struct gate_limits limits_for(const struct server *server, const struct http_request *r)
{
    struct gate_limits limits = server->limits;
    const struct route_row *row = match(r->path);
    if (row && row->route == ROUTE_ADMIN_DOCUMENTS)
        limits.body_bytes_max = server->admin->body_bytes_max;
    return limits;
}

/* The operator's requests are few, and are what ends an overload. */
static bool admitted(
    const struct server *server, const struct route_row *row, struct http_request *r)
{
    r->urgent = row->need == NEED_ADMIN;
    return http_server_admits(server->http, r);
}

static bool let_in(struct server *server, struct http_request *r, struct http_response *response)
{
    struct med_err detail = {0};
    enum media media;
    struct med_str coding;
    r->route = ROUTE_NONE;
    give_id(server, r);
    take_trace(r);
    struct gate_limits limits = limits_for(server, r);
    enum problem problem = gate_check(&limits, r, &response->close, &detail);
    const struct route_row *row = problem == PROBLEM_NONE ? match(r->path) : NULL;
    enum need need = row ? row->need : NEED_NOTHING;
    if (row && row->route == ROUTE_READYZ && readyz_is_verbose(r)) need = NEED_KEY;
    if (row) r->route = row->route;
    common_headers(server, r, response);
    if (row && need != NEED_METRICS && !med_str_eq(r->method, MED_STR("OPTIONS")))
        cors_headers(server, r, "", response);
    if (problem != PROBLEM_NONE) {
        respond_problem(r, response, problem, detail.text);
    } else if (answer_options(server, row, r, response)) {
        /* Nothing more to say. */
    } else if (!row) {
        respond_problem(r, response, PROBLEM_NO_SUCH_ROUTE, "nothing is served at this path");
    } else if (row->route == ROUTE_MCP && !mcp_origin_allowed(server, r)) {
        respond_problem(
            r, response, PROBLEM_FORBIDDEN, "web pages of this origin may not use this server");
    } else if (!access_check(server->access, need, r, response)) {
        /* The problem is written. */
    } else if (!(row->methods & method_bit(r->method))) {
        refuse_method(row, r, response);
    } else if (!media_choose(r, row->media, &media)) {
        refuse_media(row, r, response);
    } else if (!body_fits(row, r)) {
        respond_problem(r, response, PROBLEM_UNSUPPORTED_MEDIA_TYPE,
            "the body must have Content-Type: application/json");
    } else if (http_header_get(r, "Content-Encoding", &coding) &&
               !med_str_eq_nocase(coding, MED_STR("identity"))) {
        respond_problem(
            r, response, PROBLEM_UNSUPPORTED_MEDIA_TYPE, "compressed bodies are not accepted");
    } else if (row->work && !admitted(server, row, r)) {
        respond_problem(r, response, PROBLEM_OVERLOADED, OVERLOAD_DETAIL);
    } else {
        return row->route != ROUTE_ADMIN_DOCUMENTS ||
               admin_begin_upload(server->admin, r, response);
    }
    return false;
}

/* What never reaches a search thread is told here. */
static void refused(
    struct server *server, const struct http_request *r, struct http_response *response)
{
    const struct route_row *row = find_row((enum route)r->route);
    if (r->route == ROUTE_MCP) mcp_refusal(r, response);
    access_headers(r, response);
    if (row && row->work)
        audit_write(server->audit, r, route_name(row->route), response->status, NULL);
}

static bool begin(void *ctx, struct http_request *r, struct http_response *response)
{
    if (let_in(ctx, r, response)) return true;
    refused(ctx, r, response);
    return false;
}

static void too_large(void *ctx, struct http_request *r, struct http_response *response)
{
    char detail[80];
    snprintf(detail, sizeof detail, "at most %zu bytes are accepted", r->body_bytes_max);
    respond_problem(r, response, PROBLEM_PAYLOAD_TOO_LARGE, detail);
    refused(ctx, r, response);
}

static bool quick(void *ctx, struct http_request *r, struct http_response *response)
{
    struct server *server = ctx;
    const struct route_row *row = find_row((enum route)r->route);
    if (!row || !row->quick) return false;
    row->quick(server, r, response);
    access_headers(r, response);
    return true;
}

static void overloaded(void *ctx, struct http_request *r, struct http_response *response)
{
    respond_problem(r, response, PROBLEM_OVERLOADED, OVERLOAD_DETAIL);
    refused(ctx, r, response);
}

/* Tavily's older clients send their key in the body. */
static bool body_has_key(struct server *server, struct worker_state *worker, struct http_request *r,
    struct http_response *response)
{
    struct med_str secret = {0};
    if (access_key_sent(r)) return true;
    if (!compat_key(r, worker->arena, &secret)) {
        respond_problem(r, response, PROBLEM_OUT_OF_MEMORY, NULL);
        return false;
    }
    return access_check_key(server->access, NEED_SEARCH, secret, r, response);
}

static void work(void *ctx, void *worker, struct http_request *r, struct http_response *response)
{
    struct server *server = ctx;
    struct worker_state *state = worker;
    const struct route_row *row = find_row((enum route)r->route);
    med_arena_reset(state->arena);
    state->more_requests = 0;
    audit_ids_begin(server->audit, &state->ids);
    metrics_stage(&server->metrics, STAGE_QUEUE, r->queued_ns);
    if (row->need != NEED_SEARCH_LATER || body_has_key(server, state, r, response)) {
        med_searcher_limit(state->searcher, r->caller.source_mask);
        row->work(server, state, r, response);
    }
    if (r->deferred) return; /* the answer is somebody else's, and may be there already */
    /* What does not fit, or what memory did not suffice for, is an error and never a cut answer. */
    enum med_code code = med_buf_status(&response->body, NULL);
    if (code == MED_E_LIMIT)
        respond_problem(
            r, response, PROBLEM_LIMIT_EXCEEDED, "the answer is too large; ask for less");
    else if (code)
        respond_problem(r, response, PROBLEM_OUT_OF_MEMORY, NULL);
    access_charge(server->access, r, state->more_requests);
    access_headers(r, response);
    respond_packed(r, response);
    audit_write(server->audit, r, route_name((enum route)r->route), response->status, &state->ids);
    if (response->status >= 500 && response->status != 503)
        med_log(MED_LOG_ERROR, "request", "%s answered %d, request id %s",
            route_name((enum route)r->route), response->status, r->id);
}

/* Neither the target nor the body: they hold what was searched for. */
static void done(void *ctx, const struct http_request *r, const struct http_response *response)
{
    struct server *server = ctx;
    uint64_t ns = med_now_ns() - r->start_ns;
    metrics_request(
        &server->metrics, (enum route)r->route, response->status, ns, response->body.len);
    if (!atomic_load_explicit(&server->access_log, memory_order_relaxed)) return;
    char method[16];
    const char *route = route_name((enum route)r->route);
    snprintf(method, sizeof method, MED_STR_FMT, MED_STR_ARG(r->method));
    const struct med_log_field fields[] = {{.name = "method", .text = method},
        {.name = "route", .text = route}, {.name = "status", .number = response->status},
        {.name = "bytes", .number = (double)response->body.len},
        {.name = "duration_ms", .number = (double)ns * 1e-6}, {.name = "request_id", .text = r->id},
        {.name = "trace_id", .text = r->trace_id}};
    /* The last only where the caller is in a trace. */
    med_log_fields(MED_LOG_INFO, "access", fields,
        sizeof fields / sizeof *fields - (r->trace_id[0] == '\0'),
        "%s %s %d %zu bytes %.3f ms id %s%s%s", method, route, response->status, response->body.len,
        (double)ns * 1e-6, r->id, r->trace_id[0] ? " trace " : "", r->trace_id);
}

static void worker_free(void *ctx, void *worker)
{
    struct worker_state *state = worker;
    (void)ctx;
    if (!state) return;
    if (state->searcher) med_searcher_free(&state->searcher);
    med_arena_free(&state->arena);
    med_buf_free(&state->ids.list);
    med_free(state);
}

static void shown(void *ids, struct med_str id)
{
    audit_id(ids, id);
}

static enum med_code worker_new(void *ctx, void **ret_worker, struct med_err *err)
{
    struct worker_state *state = med_calloc(1, sizeof *state);
    if (!state) return med_fail(err, MED_E_NOMEM, "out of memory for a search thread");
    enum med_code code = med_arena_new(MED_REQUEST_ARENA_BYTES_MAX, &state->arena, err);
    if (!code) code = med_searcher_new(&state->searcher, err);
    if (!code) med_searcher_watch(state->searcher, shown, &state->ids);
    if (code) {
        worker_free(ctx, state);
        return code;
    }
    *ret_worker = state;
    return MED_OK;
}

struct http_app router_app(struct server *server)
{
    return (struct http_app){.ctx = server,
        .begin = begin,
        .too_large = too_large,
        .quick = quick,
        .overloaded = overloaded,
        .work = work,
        .done = done,
        .worker_new = worker_new,
        .worker_free = worker_free};
}

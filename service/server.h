/* What the routes share: the server's state, and the helpers that write answers. */
#pragma once

#include "common/arena.h"
#include "service/access.h"
#include "service/answer.h"
#include "service/audit.h"
#include "service/gate.h"
#include "service/http_server.h"
#include "service/media.h"
#include "service/metrics.h"
#include "service/serving.h"

struct settings;
struct server {
    struct settings *settings; /* reload.h */
    struct serving *serving;
    struct http_server *http; /* set once it exists */
    struct access *access;
    struct audit *audit;
    struct admin *admin; /* admin.h */
    struct metrics metrics;
    struct answer_cache *cache; /* of searches */
    struct med_str public_url;
    struct gate_limits limits;
    /* Changed by a reload while requests are served. */
    atomic_bool access_log, reload_failed;
    _Atomic(const char *) allow_origin; /* of web pages that may use /mcp, by commas; or NULL */
    int64_t start_unix_s;
    uint64_t id_seed;
    atomic_uint_fast64_t id_next;
};

/* A search thread's own: one searcher, one arena that is reset between requests. */
struct worker_state {
    struct med_searcher *searcher;
    struct med_arena *arena;
    /* What the request was worth beyond one, for rate limits: a route that answers n queries at
     * once sets n - 1. */
    uint32_t more_requests;
    struct audit_ids ids; /* of the answer, for the audit log */
};

/* --- router.c --- */
struct http_app router_app(struct server *server);

/* --- answers --- */
/* The best of the offered kinds (a mask, 1 << enum media) for the Accept field; false: none.
 * Without the field, JSON where it is offered. */
bool media_choose(const struct http_request *request, unsigned offered, enum media *ret_media);

void respond(struct http_response *response, int status, enum media media);
/* A problem; whatever was written before is thrown away. */
void respond_problem(const struct http_request *request, struct http_response *response,
    enum problem problem, const char *detail);
/* The same for an error code. */
void respond_error(
    const struct http_request *request, struct http_response *response, const struct med_err *err);
/* The form of a search answer: format=, or what Accept prefers. */
enum media media_of(const struct http_request *request, const struct search_params *params);
/* Status and headers of a search answer, for forms that have no place for them. */
void respond_answer(const struct view *view, const struct med_answer *answer, enum media media,
    struct http_response *response);
/* A reference to a generation (0 = the newest); false: the problem is the answer. */
bool acquire_or_answer(struct server *server, const struct http_request *request,
    uint64_t generation, struct served *ret_served, struct http_response *response);
/* Packs the body where the caller asks for gzip and it pays, with its own ETag. On a search thread.
 */
void respond_packed(const struct http_request *request, struct http_response *response);
/* Sets the ETag; true: the client has it, and the answer became 304. */
bool respond_etag(
    const struct http_request *request, struct http_response *response, struct med_hash128 hash);

/* One name=value of the query string, decoded, in the arena. */
struct query_pair {
    struct med_str name, value;
};
enum med_code query_pairs(struct med_str query, struct med_arena *arena,
    struct query_pair **ret_pairs, size_t *ret_count, struct med_err *err) MED_CHECK;
/* "", "true" and "1" are true. */
bool query_true(struct med_str value);
/* The same, strictly: "false" and "0" are false, anything else is MED_E_INVALID. */
enum med_code query_bool(
    struct med_str name, struct med_str value, bool *ret, struct med_err *err) MED_CHECK;

/* --- routes --- */
void route_search(struct server *server, struct worker_state *worker,
    const struct http_request *request, struct http_response *response);
void route_export(struct server *server, struct worker_state *worker,
    const struct http_request *request, struct http_response *response);
void route_document(struct server *server, struct worker_state *worker,
    const struct http_request *request, struct http_response *response);
void route_fetch(struct server *server, struct worker_state *worker,
    const struct http_request *request, struct http_response *response);
void route_similar(struct server *server, struct worker_state *worker,
    const struct http_request *request, struct http_response *response);
void route_terms(struct server *server, struct worker_state *worker,
    const struct http_request *request, struct http_response *response);
void route_mcp(struct server *server, struct worker_state *worker,
    const struct http_request *request, struct http_response *response);
/* Other services' shapes: compat.h. */
void route_serper(struct server *server, struct worker_state *worker,
    const struct http_request *request, struct http_response *response);
void route_tavily_search(struct server *server, struct worker_state *worker,
    const struct http_request *request, struct http_response *response);
void route_tavily_extract(struct server *server, struct worker_state *worker,
    const struct http_request *request, struct http_response *response);
void route_jina(struct server *server, struct worker_state *worker,
    const struct http_request *request, struct http_response *response);
/* --allow-origin names it. */
bool origin_listed(const struct server *server, struct med_str origin);
/* What lets a page of such an origin read the answer; with OPTIONS, what it may send. */
void cors_headers(const struct server *server, const struct http_request *request,
    const char *methods, struct http_response *response);
/* Before anything else of a request to /mcp; false: 403. */
bool mcp_origin_allowed(const struct server *server, const struct http_request *request);
/* Gives a refusal of a POST to /mcp (401, 403, 429, 503) the form of a JSON-RPC error, with the
 * problem as its data. */
void mcp_refusal(const struct http_request *request, struct http_response *response);
/* A body with "queries". */
void search_batch(struct server *server, struct worker_state *worker,
    const struct http_request *request, const struct med_json *body, bool pretty,
    struct http_response *response);
/* The times of a search, for metrics. */
void count_stages(struct server *server, const struct med_answer *answer);
/* On the I/O thread: no disk, no waiting. */
void route_livez(
    struct server *server, const struct http_request *request, struct http_response *response);
void route_readyz(
    struct server *server, const struct http_request *request, struct http_response *response);
/* Tells more than a probe needs, and so needs a key where there are keys. */
bool readyz_is_verbose(const struct http_request *request);
void route_metrics(
    struct server *server, const struct http_request *request, struct http_response *response);
void route_openapi(
    struct server *server, const struct http_request *request, struct http_response *response);
void route_problems(
    struct server *server, const struct http_request *request, struct http_response *response);
void route_page(
    struct server *server, const struct http_request *request, struct http_response *response);

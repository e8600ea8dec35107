/* HTTP/1.1 over libmicrohttpd: sockets, framing, deadlines, threads. It knows nothing of searches.
 *
 * Threads: a few accept, read and write sockets, the caller of http_server_run waits, a bounded
 * pool computes (worker_pool.h), one reaps connections that miss a deadline. A request travels:
 *
 *   header complete -> app.begin (I/O thread)  refuse at once, or take the body
 *   body complete   -> app.quick (I/O thread)  answer at once, or
 *                      too many? -> app.overloaded : connection suspended, app.work (worker),
 *                      connection resumed
 *   answer handed to libmicrohttpd -> app.done (I/O thread), for metrics and logs
 *
 * libmicrohttpd's own timeout counts inactivity only, so every connection has an absolute deadline
 * for its header, its body and the taking of its answer. */
#pragma once

#include "common/buf.h"
#include "service/caller.h"

#include <stdatomic.h>

#define HTTP_REQUEST_ID_MAX 64
#define HTTP_TRACE_ID_LEN 32
#define HTTP_RESPONSE_HEADERS_MAX 24

struct http_header {
    struct med_str name, value;
};

/* Takes a body piece by piece on the I/O thread, instead of `body`: for what does not fit into
 * memory. What it writes to a file goes to the page cache and is not waited for. */
struct http_sink {
    void (*write)(struct http_sink *sink, const void *ptr, size_t len);
    void (*free)(struct http_sink *sink); /* when the request is gone */
};

/* Slices live until the request is answered. */
struct http_request {
    struct med_str method, version;
    struct med_str target; /* as sent */
    struct med_str path;   /* of the target, still percent-encoded */
    struct med_str query;  /* behind '?', still percent-encoded */
    bool odd_request_line; /* stray bytes that libmicrohttpd hides: NUL, several spaces */
    struct http_header *headers;
    size_t header_count;
    size_t header_count_max; /* reached: there were more */
    struct med_buf body;
    struct http_sink *sink;      /* set by app.begin; NULL: the body is collected in `body` */
    size_t body_bytes_max;       /* of this request; app.begin may change it */
    bool urgent;                 /* set by app.begin: waits even in overload (admission.h) */
    bool deferred;               /* http_request_defer */
    uint64_t start_ns;           /* header complete */
    uint64_t queued_ns, work_ns; /* waited for, and spent on, a worker */
    char id[HTTP_REQUEST_ID_MAX + 1];
    char trace_id[HTTP_TRACE_ID_LEN + 1]; /* of the caller's trace; "" = none */
    unsigned char peer[16];               /* address of the other end; IPv4 mapped into IPv6 */
    int route;                            /* the application's, for metrics */
    struct caller caller;                 /* the application's */
};
/* The first header of that name (ASCII case ignored); false when there is none. */
bool http_header_get(const struct http_request *request, const char *name, struct med_str *ret);

/* In app.work: the answer comes later, from any thread, by http_request_finish, which may be called
 * before app.work returns. The request and the response stay until then. */
void http_request_defer(struct http_request *request);
void http_request_finish(struct http_request *request);

struct http_response {
    int status;
    const char *content_type; /* a literal; NULL when there is no body */
    struct med_buf body;
    struct {
        const char *name; /* a literal */
        char value[256];
    } headers[HTTP_RESPONSE_HEADERS_MAX];
    size_t header_count;
    bool close; /* the connection, after this answer */
};
void http_response_header(struct http_response *response, const char *name, const char *fmt, ...)
    MED_PRINTF(3, 4);

/* Answers for connections that libmicrohttpd does not answer; short enough for the socket's buffer.
 * Nothing else is being sent at this time. */
void http_send_raw(int fd, const char *status_and_fields, const char *body);

struct http_app {
    void *ctx;
    /* false: refused, the response is filled in and the body is not wanted. */
    bool (*begin)(void *ctx, struct http_request *request, struct http_response *response);
    /* The body grew over body_bytes_max and was dropped. */
    void (*too_large)(void *ctx, struct http_request *request, struct http_response *response);
    bool (*quick)(void *ctx, struct http_request *request, struct http_response *response);
    void (*overloaded)(void *ctx, struct http_request *request, struct http_response *response);
    /* worker: what worker_new returned for this thread. */
    void (*work)(
        void *ctx, void *worker, struct http_request *request, struct http_response *response);
    void (*done)(
        void *ctx, const struct http_request *request, const struct http_response *response);
    /* About once a second, and after http_server_wake, on the thread of http_server_run. NULL =
     * nothing. */
    void (*tick)(void *ctx);
    /* On the thread of http_server_run, at a stop, before anything is waited for: what was deferred
     * must be finished soon. May be NULL. */
    void (*stopping)(void *ctx);
    enum med_code (*worker_new)(void *ctx, void **ret_worker, struct med_err *err);
    void (*worker_free)(void *ctx, void *worker);
};

struct http_options {
    const char *listen; /* "127.0.0.1:8080", "[::1]:0", "localhost:8080" */
    bool allow_public;
    bool tls; /* with what tls_use was told */
    unsigned io_threads, workers;
    uint64_t queue_ms; /* how long a request may wait in overload */
    size_t queue_depth, connections_max, body_bytes_max, header_count_max, target_bytes_max;
    uint64_t header_deadline_ms, body_deadline_ms, idle_ms;
    uint64_t stop_deadline_ms; /* how long a stop waits for requests in progress */
};

struct http_stats {
    uint64_t connections, accepted, refused, reaped;
    uint64_t queue_depth, queue_refused, served_ns; /* of the pool (worker_pool.h) */
    bool overload;
};

struct http_server;
/* Binds and listens. MED_E_CONFLICT: the port is in use; MED_E_USAGE: the address is wrong, or
 * reachable from other machines without allow_public. app and options must outlive the server. */
enum med_code http_server_new(const struct http_options *options, const struct http_app *app,
    struct http_server **ret_server, struct med_err *err) MED_CHECK;
/* "127.0.0.1:43211" */
const char *http_server_address(const struct http_server *server);
/* Only this machine can reach it. */
bool http_server_is_local(const struct http_server *server);
/* Serves until *stop becomes true (wake it by a signal or http_server_wake), then stops accepting,
 * answers what was accepted, and returns. */
enum med_code http_server_run(
    struct http_server *server, const atomic_bool *stop, struct med_err *err) MED_CHECK;
/* Async-signal-safe. */
void http_server_wake(struct http_server *server);
/* Whether a request that needs a worker would be let in now; for app.begin, so that what is refused
 * for that reason is refused before its body. False counts as a refusal. */
bool http_server_admits(struct http_server *server, const struct http_request *request);
/* Whether every I/O thread has turned its loop since the last call. One thread, in tick. */
bool http_server_responsive(struct http_server *server);
struct http_stats http_server_stats(struct http_server *server);
void http_server_free(struct http_server **server);

/* The adapter over libmicrohttpd (the only file that includes it).
 *
 * One record per connection (struct connection) carries its deadline; one per request (struct
 * exchange) lives from the request line to the end of the answer.
 *
 *   FRESH --request line--> BUSY --answer taken--> IDLE --request line--> BUSY ...
 *
 * The phase and the deadline belong to the connection's I/O thread; the reaper only compares the
 * deadline with the clock and shuts the socket down, which makes libmicrohttpd close it. The list
 * of connections has one lock, taken when one comes or goes and by the reaper.
 *
 * Each I/O thread runs a libmicrohttpd daemon of its own in external mode: it polls, accepts from
 * the shared socket and calls MHD_run, which never blocks. libmicrohttpd 0.9.75's own event loop
 * waits again, without a timeout, whenever exactly 128 events arrive at once, and so can hang for
 * good.
 *
 * With TLS the bytes of a connection belong to GnuTLS's session inside libmicrohttpd: nothing is
 * written past it, so a connection that is refused or late is closed without a word.
 *
 * libmicrohttpd unescapes targets, accepts conflicting framing and hides stray bytes. It is told
 * not to unescape; the target is copied when the request line is complete; the application's gate
 * sees every header field. */
#include "service/http_server.h"

#include "common/clock.h"
#include "common/limits.h"
#include "common/mem.h"
#include "service/listener.h"
#include "service/tls.h"
#include "service/worker_pool.h"

#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTION_MEMORY_BYTES (48 * MED_KIB) /* request line and header fields */
#define SWALLOWED_BODIES 16 /* of a refused request, so that the client can read the answer */
#define REAP_EVERY_MS 200
#define ACCEPTED_AT_ONCE 16   /* by one thread, so that a burst is shared */
#define FRESH_GRACE_MS 250    /* at a stop, for connections that have not said anything yet */
#define LOOK_FOR_ENDS_EVERY 5 /* turns of the reaper */
#define PATIENCE_BYTES MED_MIB
#define REAPED UINT64_MAX

struct io_thread {
    struct http_server *server;
    struct MHD_Daemon *daemon;
    int wake_fd;
    pthread_t thread;
    bool runs;
    atomic_uint turns;   /* of its loop, at least one a second */
    unsigned turns_seen; /* by http_server_responsive */
};

enum phase { PHASE_FRESH, PHASE_BUSY, PHASE_IDLE };

struct connection {
    struct http_server *server;
    struct connection *next, *prev;
    int fd;
    _Atomic uint64_t deadline_ns; /* 0 = none; REAPED = shut down by the reaper */
    atomic_int phase;
    atomic_bool answering; /* bytes of an answer may be on their way */
};

enum step { STEP_HEADER, STEP_BODY, STEP_WORKING, STEP_ANSWERED, STEP_SENT };

struct exchange {
    struct http_server *server;
    struct io_thread *io;
    struct MHD_Connection *mhd;
    struct connection *connection;
    enum step step;
    bool refused; /* the answer is ready; the body is dropped */
    bool overflow;
    uint64_t body_bytes, patience; /* bytes of the body after which its deadline moves on */
    atomic_int parts; /* who still has to do with the answer: the worker, and who deferred it */
    const char *uri;  /* in libmicrohttpd's buffer, only compared */
    struct http_request request;
    struct http_response response;
    char *target;
};

struct http_server {
    struct http_options options;
    const struct http_app *app;
    struct listener listener;
    struct worker_pool *pool;
    struct io_thread *io;
    int wake_fd;         /* of the main thread */
    atomic_bool io_open; /* for connections: http_server_run has begun */
    atomic_bool io_stop;
    atomic_uint drained; /* I/O threads that will not accept any more */
    pthread_t reaper;
    bool reaper_runs;
    atomic_bool reaper_stop, draining;
    pthread_mutex_t mutex; /* guards the list */
    struct connection *connections;
    atomic_size_t open_count;
    atomic_uint_fast64_t accepted, refused, reaped;
};

/* --- small pieces --- */

static void wake(int fd)
{
    uint64_t one = 1;
    (void)!write(fd, &one, sizeof one);
}

static void set_deadline(struct connection *c, uint64_t ms)
{
    if (!c) return;
    uint64_t at = ms ? med_now_ns() + ms * 1000000ull : 0;
    uint64_t was = atomic_load(&c->deadline_ns);
    while (was != REAPED && !atomic_compare_exchange_weak(&c->deadline_ns, &was, at)) {
    }
}

static struct connection *connection_of(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

/* --- connections --- */

static void on_connection(
    void *cls, struct MHD_Connection *mhd, void **context, enum MHD_ConnectionNotificationCode what)
{
    struct http_server *s = ((struct io_thread *)cls)->server;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        struct connection *c = med_calloc(1, sizeof *c);
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
        *context = c;
        if (!c || !info) return;
        c->server = s;
        c->fd = info->connect_fd;
        set_deadline(c, s->options.header_deadline_ms);
        pthread_mutex_lock(&s->mutex);
        c->next = s->connections;
        if (c->next) c->next->prev = c;
        s->connections = c;
        pthread_mutex_unlock(&s->mutex);
        return;
    }
    struct connection *c = *context;
    atomic_fetch_sub(&s->open_count, 1);
    if (!c) return;
    pthread_mutex_lock(&s->mutex);
    if (c->prev)
        c->prev->next = c->next;
    else if (s->connections == c)
        s->connections = c->next;
    if (c->next) c->next->prev = c->prev;
    pthread_mutex_unlock(&s->mutex);
    med_free(c);
}

static void send_timeout(const struct http_server *s, int fd)
{
    if (s->options.tls) return; /* only libmicrohttpd knows the session's keys */
    http_send_raw(fd, "408 Request Timeout",
        "{\"type\":\"/problems/request-timeout\",\"title\":\"The request took too long to arrive\","
        "\"status\":408,\"next\":\"Send the whole request without pauses.\"}\n");
}

/* libmicrohttpd can miss the end of a connection when it arrives together with data. */
static bool peer_has_gone(const struct connection *c)
{
    char byte;
    return atomic_load(&c->phase) != PHASE_BUSY &&
           recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static void reap(struct http_server *s, bool look_for_ends)
{
    uint64_t now = med_now_ns();
    pthread_mutex_lock(&s->mutex);
    for (struct connection *c = s->connections; c; c = c->next) {
        uint64_t deadline = atomic_load(&c->deadline_ns);
        if (deadline == 0 || deadline == REAPED) continue;
        bool late = deadline <= now;
        if (!late && !(look_for_ends && peer_has_gone(c))) continue;
        if (!atomic_compare_exchange_strong(&c->deadline_ns, &deadline, REAPED)) continue;
        if (late && atomic_load(&c->phase) != PHASE_IDLE && !atomic_load(&c->answering))
            send_timeout(s, c->fd);
        (void)shutdown(c->fd, SHUT_RDWR);
        if (late) atomic_fetch_add(&s->reaped, 1);
    }
    pthread_mutex_unlock(&s->mutex);
}

static void *reaper_main(void *arg)
{
    struct http_server *s = arg;
    for (unsigned turn = 0; !atomic_load(&s->reaper_stop); turn++) {
        reap(s, turn % LOOK_FOR_ENDS_EVERY == 0);
        usleep(REAP_EVERY_MS * 1000);
    }
    return NULL;
}

/* --- a request's stations --- */

static size_t keep_escaped(void *cls, struct MHD_Connection *mhd, char *text)
{
    (void)cls;
    (void)mhd;
    return strlen(text);
}

/* All zero but the values of header fields, of which there is room for many and need of few: to
 * clear them took as long as to refuse a request. */
static struct exchange *exchange_new(void)
{
    struct exchange *x = med_malloc(sizeof *x);
    if (!x) return NULL;
    const size_t fields = offsetof(struct exchange, response.headers);
    const size_t behind = fields + sizeof x->response.headers;
    memset(x, 0, fields);
    memset((char *)x + behind, 0, sizeof *x - behind);
    return x;
}

/* The request line is complete. NULL when out of memory: on_request then closes the connection. */
static void *on_request_line(void *cls, const char *uri, struct MHD_Connection *mhd)
{
    struct io_thread *io = cls;
    struct http_server *s = io->server;
    struct exchange *x = exchange_new();
    if (!x) return NULL;
    struct med_str target = med_str_of(uri);
    x->server = s;
    x->io = io;
    x->mhd = mhd;
    x->uri = uri;
    x->connection = connection_of(mhd);
    x->target = med_strndup(target.ptr ? target.ptr : "", target.len);
    x->request.headers = med_malloc(s->options.header_count_max * sizeof(struct http_header));
    if (!x->target || !x->request.headers) {
        med_free(x->target);
        med_free(x->request.headers);
        med_free(x);
        return NULL;
    }
    atomic_init(&x->parts, 1);
    x->request.body_bytes_max = s->options.body_bytes_max;
    med_buf_init(&x->response.body, MED_RESPONSE_BYTES_MAX);
    x->request.header_count_max = s->options.header_count_max;
    struct med_str copy = {.ptr = x->target, .len = target.len};
    size_t mark = 0;
    while (mark < copy.len && copy.ptr[mark] != '?') mark++;
    x->request.target = copy;
    x->request.path = med_str_sub(copy, 0, mark);
    if (mark < copy.len) x->request.query = med_str_sub(copy, mark + 1, copy.len);
    if (x->connection && atomic_load(&x->connection->phase) != PHASE_FRESH) {
        /* The first request's deadline counts from the connection; later ones' from here. */
        atomic_store(&x->connection->phase, PHASE_BUSY);
        set_deadline(x->connection, s->options.header_deadline_ms);
        /* Closed as idle at this moment: a request that cannot be answered is not begun. */
        x->refused = atomic_load(&x->connection->deadline_ns) == REAPED;
    }
    return x;
}

static enum MHD_Result take_header(void *cls, enum MHD_ValueKind kind, const char *key,
    size_t key_len, const char *value, size_t value_len)
{
    struct http_request *r = cls;
    (void)kind;
    if (r->header_count == r->header_count_max) return MHD_NO;
    r->headers[r->header_count++] = (struct http_header){
        .name = {.ptr = key, .len = key_len}, .value = {.ptr = value, .len = value_len}};
    return MHD_YES;
}

/* Field names and values lie one behind the other in the buffer, with line ends overwritten by
 * NULs. Anything else between them is a NUL that the client sent, or a folded line. */
static bool stray_bytes(const struct http_request *r)
{
    for (size_t i = 0; i < r->header_count; i++) {
        struct med_str value = r->headers[i].value;
        if (!value.ptr) continue;
        const char *end = value.ptr + value.len;
        const char *next = i + 1 < r->header_count ? r->headers[i + 1].name.ptr : end + 2;
        if (next < end || next > end + CONNECTION_MEMORY_BYTES) return true;
        for (const char *p = end; p < next; p++) {
            if (*p) return true;
        }
    }
    return false;
}

static void read_peer(struct MHD_Connection *mhd, unsigned char ret_peer[16])
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *address = info ? info->client_addr : NULL;
    if (!address) return;
    if (address->sa_family == AF_INET6) {
        memcpy(ret_peer, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 16);
    } else if (address->sa_family == AF_INET) {
        ret_peer[10] = ret_peer[11] = 0xFF;
        memcpy(ret_peer + 12, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
    }
}

static void read_header(
    struct exchange *x, const char *url, const char *method, const char *version)
{
    struct http_request *r = &x->request;
    r->start_ns = med_now_ns();
    r->method = med_str_of(method);
    r->version = med_str_of(version);
    read_peer(x->mhd, r->peer);
    MHD_get_connection_values_n(x->mhd, MHD_HEADER_KIND, take_header, r);
    const char *line_uri = x->uri;
    r->odd_request_line = !line_uri || url != line_uri || method + r->method.len + 1 != line_uri ||
                          line_uri + r->target.len + 1 != version || stray_bytes(r);
}

static enum MHD_Result send_answer(struct exchange *x)
{
    struct http_response *r = &x->response;
    struct http_server *s = x->server;
    if (med_buf_status(&r->body, NULL) != MED_OK) {
        /* Too large or out of memory: never a cut answer. */
        med_buf_reset(&r->body);
        r->status = 500;
        r->content_type = NULL;
    }
    struct MHD_Response *mhd = r->body.data
                                   ? MHD_create_response_from_buffer_with_free_callback(
                                         r->body.len, r->body.data, med_free)
                                   : MHD_create_response_from_buffer(0, "", MHD_RESPMEM_PERSISTENT);
    if (!mhd) return MHD_NO;
    size_t body_len = r->body.len;
    bool ok = true;
    if (r->content_type)
        ok &= MHD_add_response_header(mhd, "Content-Type", r->content_type) == MHD_YES;
    for (size_t i = 0; i < r->header_count; i++)
        ok &= MHD_add_response_header(mhd, r->headers[i].name, r->headers[i].value) == MHD_YES;
    if (r->close || atomic_load(&s->draining))
        ok &= MHD_add_response_header(mhd, "Connection", "close") == MHD_YES;
    /* The body belongs to libmicrohttpd now; its length stays for metrics and logs. */
    med_buf_init(&r->body, 0);
    r->body.len = body_len;
    x->step = STEP_ANSWERED;
    if (x->connection) atomic_store(&x->connection->answering, true);
    set_deadline(x->connection, s->options.body_deadline_ms);
    s->app->done(s->app->ctx, &x->request, r);
    enum MHD_Result queued = ok ? MHD_queue_response(x->mhd, (unsigned)r->status, mhd) : MHD_NO;
    MHD_destroy_response(mhd);
    return queued;
}

/* A refused request's body is read and dropped, within reason: closing a socket with unread bytes
 * makes the client lose the answer. Without a body the connection can be kept. */
static bool worth_swallowing(const struct exchange *x)
{
    struct med_str value;
    unsigned long long len;
    const struct http_request *r = &x->request;
    if (x->response.close || http_header_get(r, "Expect", &value)) return false;
    if (!http_header_get(r, "Content-Length", &value)) return true;
    return med_str_to_u64(value, &len) && len <= SWALLOWED_BODIES * r->body_bytes_max;
}

static enum MHD_Result on_header(struct exchange *x)
{
    struct http_server *s = x->server;
    if (x->connection) atomic_store(&x->connection->phase, PHASE_BUSY);
    x->step = STEP_BODY;
    x->refused = !s->app->begin(s->app->ctx, &x->request, &x->response);
    med_buf_init(&x->request.body, x->request.body_bytes_max);
    if (x->refused && !worth_swallowing(x)) return send_answer(x);
    set_deadline(x->connection, s->options.body_deadline_ms);
    return MHD_YES;
}

static enum MHD_Result on_body(struct exchange *x, const char *data, size_t len)
{
    struct http_request *r = &x->request;
    x->body_bytes += len;
    if (x->body_bytes > SWALLOWED_BODIES * r->body_bytes_max) return MHD_NO;
    if (x->body_bytes > r->body_bytes_max) x->overflow = true;
    if (x->overflow || x->refused) return MHD_YES;
    if (!r->sink) {
        med_buf_append(&r->body, data, len);
        return MHD_YES;
    }
    r->sink->write(r->sink, data, len);
    /* A long body has its deadline for every PATIENCE_BYTES of it. */
    if (x->body_bytes - x->patience >= PATIENCE_BYTES) {
        x->patience = x->body_bytes;
        set_deadline(x->connection, x->server->options.body_deadline_ms);
    }
    return MHD_YES;
}

/* libmicrohttpd does not end a wait for this by itself in external mode. x may be gone afterwards.
 */
static void resume(struct exchange *x)
{
    int wake_fd = x->io->wake_fd;
    MHD_resume_connection(x->mhd);
    wake(wake_fd);
}

static struct exchange *exchange_of(struct http_request *request)
{
    return (struct exchange *)(void *)((char *)request - offsetof(struct exchange, request));
}

void http_request_defer(struct http_request *request)
{
    request->deferred = true;
    atomic_fetch_add(&exchange_of(request)->parts, 1);
}

void http_request_finish(struct http_request *request)
{
    struct exchange *x = exchange_of(request);
    if (atomic_fetch_sub(&x->parts, 1) == 1) resume(x);
}

static enum MHD_Result on_complete(struct exchange *x)
{
    struct http_server *s = x->server;
    const struct http_app *app = s->app;
    set_deadline(x->connection, 0);
    if (x->refused) return send_answer(x);
    if (x->overflow) {
        app->too_large(app->ctx, &x->request, &x->response);
        return send_answer(x);
    }
    if (med_buf_status(&x->request.body, NULL) != MED_OK) return MHD_NO;
    if (app->quick(app->ctx, &x->request, &x->response)) return send_answer(x);
    /* Suspended first: a worker may be done before submit returns. */
    x->step = STEP_WORKING;
    x->request.queued_ns = med_now_ns();
    MHD_suspend_connection(x->mhd);
    if (!worker_pool_submit(s->pool, x, x->request.urgent)) {
        app->overloaded(app->ctx, &x->request, &x->response);
        resume(x);
    }
    return MHD_YES;
}

static void on_worker(void *ctx, void *state, void *job)
{
    struct http_server *s = ctx;
    struct exchange *x = job;
    uint64_t begin = med_now_ns();
    x->request.queued_ns = begin - x->request.queued_ns;
    s->app->work(s->app->ctx, state, &x->request, &x->response);
    x->request.work_ns = med_now_ns() - begin;
    http_request_finish(&x->request);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *mhd, const char *url,
    const char *method, const char *version, const char *data, size_t *len, void **context)
{
    struct exchange *x = *context;
    (void)cls;
    (void)mhd;
    if (!x) return MHD_NO;
    switch (x->step) {
    case STEP_HEADER:
        if (x->refused) return MHD_NO;
        read_header(x, url, method, version);
        return on_header(x);
    case STEP_BODY:
        if (*len == 0) return on_complete(x);
        size_t taken = *len;
        *len = 0;
        return on_body(x, data, taken);
    case STEP_WORKING: return send_answer(x);
    case STEP_ANSWERED:
    case STEP_SENT: break;
    }
    return MHD_NO;
}

static void on_completed(
    void *cls, struct MHD_Connection *mhd, void **context, enum MHD_RequestTerminationCode why)
{
    struct exchange *x = *context;
    (void)cls;
    (void)mhd;
    (void)why;
    *context = NULL;
    if (!x) return;
    if (x->connection) {
        atomic_store(&x->connection->phase, PHASE_IDLE);
        atomic_store(&x->connection->answering, false);
        set_deadline(x->connection, x->server->options.idle_ms);
    }
    if (x->response.body.data) med_buf_free(&x->response.body);
    if (x->request.sink) x->request.sink->free(x->request.sink);
    med_buf_free(&x->request.body);
    med_free(x->request.headers);
    med_free(x->target);
    med_free(x);
}

/* --- the server --- */

static enum med_code worker_state_new(void *ctx, void **ret_state, struct med_err *err)
{
    struct http_server *s = ctx;
    return s->app->worker_new(s->app->ctx, ret_state, err);
}

static void worker_state_free(void *ctx, void *state)
{
    struct http_server *s = ctx;
    s->app->worker_free(s->app->ctx, state);
}

/* --- I/O threads --- */

static void refuse_connection(struct http_server *s, int fd)
{
    if (!s->options.tls)
        http_send_raw(fd, "503 Service Unavailable\r\nRetry-After: 1",
            "{\"type\":\"/problems/overloaded\",\"title\":\"Too many requests at "
            "once\",\"status\":503,"
            "\"detail\":\"too many connections\",\"next\":\"Wait for the seconds in Retry-After, "
            "then "
            "try again.\"}\n");
    close(fd);
    atomic_fetch_add(&s->refused, 1);
}

/* Takes up to `most` of those who wait; false when nobody is left. */
static bool accept_some(struct io_thread *io, size_t most)
{
    struct http_server *s = io->server;
    for (size_t i = 0; i < most;) {
        int fd = listener_accept(&s->listener);
        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED)) continue;
        if (fd < 0) {
            /* Out of descriptors or memory: those who wait must wait a little longer. */
            if (errno != EAGAIN) usleep(20000);
            return false;
        }
        i++;
        if (atomic_fetch_add(&s->open_count, 1) >= s->options.connections_max) {
            atomic_fetch_sub(&s->open_count, 1);
            refuse_connection(s, fd);
            continue;
        }
        struct sockaddr_storage peer = {0};
        socklen_t len = sizeof peer;
        (void)getpeername(fd, (struct sockaddr *)&peer, &len);
        atomic_fetch_add(&s->accepted, 1);
        /* It closes fd when it fails. */
        if (MHD_add_connection(io->daemon, fd, (struct sockaddr *)&peer, len) != MHD_YES)
            atomic_fetch_sub(&s->open_count, 1);
    }
    return true;
}

static void *io_main(void *arg)
{
    struct io_thread *io = arg;
    struct http_server *s = io->server;
    int epoll_fd = MHD_get_daemon_info(io->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    bool accepting = true; /* until the server drains */
    while (!atomic_load(&s->io_stop)) {
        atomic_fetch_add(&io->turns, 1);
        MHD_UNSIGNED_LONG_LONG ms;
        uint64_t count;
        bool take = accepting && atomic_load(&s->io_open);
        bool busy = MHD_get_timeout(io->daemon, &ms) == MHD_YES && ms == 0;
        struct pollfd fds[3] = {{.fd = epoll_fd, .events = POLLIN},
            {.fd = io->wake_fd, .events = POLLIN},
            {.fd = take ? s->listener.fd : -1, .events = POLLIN}};
        int ready = poll(fds, 3, busy ? 0 : 1000);
        if (ready > 0 && fds[1].revents) (void)!read(io->wake_fd, &count, sizeof count);
        if (accepting && atomic_load(&s->draining)) {
            while (accept_some(io, ACCEPTED_AT_ONCE)) {
            }
            accepting = false;
            atomic_fetch_add(&s->drained, 1);
        }
        if (accepting && take && ready > 0 && fds[2].revents)
            (void)accept_some(io, ACCEPTED_AT_ONCE);
        MHD_run(io->daemon);
    }
    return NULL;
}

static enum med_code start_daemon(struct io_thread *io, struct med_err *err)
{
    static char priorities[] = TLS_PRIORITIES;
    struct http_server *s = io->server;
    unsigned flags =
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC | MHD_USE_NO_LISTEN_SOCKET;
    struct MHD_OptionItem tls[] = {{.option = MHD_OPTION_HTTPS_PRIORITIES, .ptr_value = priorities},
        {.option = MHD_OPTION_HTTPS_CERT_CALLBACK, .ptr_value = tls_certificate_callback()},
        {.option = MHD_OPTION_END}};
    if (s->options.tls)
        flags |= MHD_USE_TLS;
    else
        tls[0].option = MHD_OPTION_END;
    if (s->options.tls && MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES)
        return med_fail(err, MED_E_UNSUPPORTED, "this libmicrohttpd was built without TLS");
    io->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_request, io, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)s->options.connections_max + 1, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_MEMORY_BYTES, MHD_OPTION_CONNECTION_TIMEOUT, 0u,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, io, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
        io, MHD_OPTION_URI_LOG_CALLBACK, on_request_line, io, MHD_OPTION_UNESCAPE_CALLBACK,
        keep_escaped, NULL, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_ARRAY, tls,
        MHD_OPTION_END);
    if (!io->daemon)
        return med_fail(err, MED_E_INTERNAL,
            "libmicrohttpd does not start; are there enough file descriptors?");
    io->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (io->wake_fd < 0) return med_fail_errno(err, errno, "cannot make an event descriptor");
    int failed = pthread_create(&io->thread, NULL, io_main, io);
    if (failed) return med_fail_errno(err, failed, "cannot start a thread");
    io->runs = true;
    return MED_OK;
}

static enum med_code start(struct http_server *s, struct med_err *err)
{
    s->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (s->wake_fd < 0) return med_fail_errno(err, errno, "cannot make an event descriptor");
    s->io = med_calloc(s->options.io_threads, sizeof *s->io);
    if (!s->io) return med_fail(err, MED_E_NOMEM, "out of memory for the server");
    struct worker_pool_options pool = {.threads = s->options.workers,
        .depth = s->options.queue_depth,
        .wait_ns = s->options.queue_ms * 1000000,
        .ctx = s,
        .state_new = worker_state_new,
        .state_free = worker_state_free,
        .run = on_worker};
    enum med_code code = worker_pool_new(&pool, &s->pool, err);
    for (unsigned i = 0; !code && i < s->options.io_threads; i++) {
        s->io[i] = (struct io_thread){.server = s, .wake_fd = -1};
        code = start_daemon(&s->io[i], err);
    }
    if (code) return code;
    int failed = pthread_create(&s->reaper, NULL, reaper_main, s);
    if (failed) return med_fail_errno(err, failed, "cannot start a thread");
    s->reaper_runs = true;
    return MED_OK;
}

enum med_code http_server_new(const struct http_options *options, const struct http_app *app,
    struct http_server **ret_server, struct med_err *err)
{
    struct http_server *s = med_calloc(1, sizeof *s);
    if (!s) return med_fail(err, MED_E_NOMEM, "out of memory for the server");
    s->options = *options;
    s->app = app;
    s->wake_fd = -1;
    s->listener.fd = -1;
    pthread_mutex_init(&s->mutex, NULL);
    enum med_code code = listener_open(options->listen, options->allow_public, &s->listener, err);
    if (!code) code = start(s, err);
    if (code) {
        http_server_free(&s);
        return code;
    }
    *ret_server = s;
    return MED_OK;
}

const char *http_server_address(const struct http_server *s)
{
    return s->listener.address;
}

bool http_server_is_local(const struct http_server *s)
{
    return s->listener.local;
}

/* Connections that owe or are about to owe an answer. */
static size_t count_busy(struct http_server *s, bool grace)
{
    size_t busy = 0, listed = 0;
    pthread_mutex_lock(&s->mutex);
    for (struct connection *c = s->connections; c; c = c->next, listed++) {
        int unread = 0, phase = atomic_load(&c->phase);
        (void)ioctl(c->fd, FIONREAD, &unread);
        busy += phase == PHASE_BUSY || unread > 0 || (grace && phase == PHASE_FRESH);
    }
    pthread_mutex_unlock(&s->mutex);
    /* Those that libmicrohttpd has not looked at yet. */
    return busy + (grace && atomic_load(&s->open_count) > listed);
}

static void drain(struct http_server *s)
{
    uint64_t begin = med_now_ns();
    unsigned quiet = 0;
    atomic_store(&s->draining, true);
    for (unsigned i = 0; i < s->options.io_threads; i++) wake(s->io[i].wake_fd);
    while (quiet < 3) {
        uint64_t passed_ms = (med_now_ns() - begin) / 1000000;
        if (passed_ms > s->options.stop_deadline_ms) break;
        usleep(10000);
        if (atomic_load(&s->drained) < s->options.io_threads) continue;
        listener_close(&s->listener);
        quiet = count_busy(s, passed_ms < FRESH_GRACE_MS) ? 0 : quiet + 1;
    }
}

enum med_code http_server_run(struct http_server *s, const atomic_bool *stop, struct med_err *err)
{
    atomic_store(&s->io_open, true);
    for (unsigned i = 0; i < s->options.io_threads; i++) wake(s->io[i].wake_fd);
    while (!atomic_load(stop)) {
        struct pollfd fd = {.fd = s->wake_fd, .events = POLLIN};
        uint64_t count;
        int ready = poll(&fd, 1, 1000);
        if (ready < 0 && errno != EINTR) return med_fail_errno(err, errno, "cannot poll");
        if (ready > 0) (void)!read(s->wake_fd, &count, sizeof count);
        if (s->app->tick) s->app->tick(s->app->ctx);
    }
    if (s->app->stopping) s->app->stopping(s->app->ctx);
    drain(s);
    return MED_OK;
}

void http_server_wake(struct http_server *s)
{
    wake(s->wake_fd);
}

bool http_server_responsive(struct http_server *s)
{
    bool all = true;
    for (unsigned i = 0; i < s->options.io_threads; i++) {
        unsigned turns = atomic_load(&s->io[i].turns);
        all = all && turns != s->io[i].turns_seen;
        s->io[i].turns_seen = turns;
    }
    return all;
}

bool http_server_admits(struct http_server *s, const struct http_request *request)
{
    return worker_pool_admits(s->pool, request->urgent);
}

struct http_stats http_server_stats(struct http_server *s)
{
    struct worker_pool_stats pool = worker_pool_stats(s->pool);
    return (struct http_stats){.connections = atomic_load(&s->open_count),
        .queue_depth = pool.waiting,
        .queue_refused = pool.refused,
        .served_ns = pool.served_ns,
        .overload = pool.overload,
        .accepted = atomic_load(&s->accepted),
        .refused = atomic_load(&s->refused),
        .reaped = atomic_load(&s->reaped)};
}

void http_server_free(struct http_server **server)
{
    struct http_server *s = *server;
    *server = NULL;
    if (!s) return;
    /* Workers first: a daemon must not be stopped while connections are suspended. */
    if (s->pool) worker_pool_stop(s->pool);
    atomic_store(&s->io_stop, true);
    for (unsigned i = 0; s->io && i < s->options.io_threads; i++) {
        if (!s->io[i].runs) continue;
        wake(s->io[i].wake_fd);
        pthread_join(s->io[i].thread, NULL);
    }
    atomic_store(&s->reaper_stop, true);
    if (s->reaper_runs) pthread_join(s->reaper, NULL);
    for (unsigned i = 0; s->io && i < s->options.io_threads; i++) {
        if (s->io[i].daemon) MHD_stop_daemon(s->io[i].daemon);
        if (s->io[i].daemon && s->io[i].wake_fd >= 0) close(s->io[i].wake_fd);
    }
    listener_close(&s->listener);
    worker_pool_free(&s->pool);
    if (s->wake_fd >= 0) close(s->wake_fd);
    pthread_mutex_destroy(&s->mutex);
    med_free(s->io);
    med_free(s);
}

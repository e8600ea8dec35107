/* medicus serve: puts the parts together, runs until a signal, stops gracefully. */
#include "common/clock.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/parallel.h"
#include "service/admin.h"
#include "service/answer_cache.h"
#include "service/command.h"
#include "service/notify.h"
#include "service/reload.h"
#include "service/search_params.h"
#include "service/server.h"
#include "service/tls.h"
#include "service/upload.h"

#include <signal.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/resource.h>

/* A stop answers what was accepted, but not for longer than this; the process then still needs a
 * moment to free its memory within the documented 5 seconds. */
#define STOP_DEADLINE_MS 4000

static atomic_bool stop;
static atomic_bool reload;
static struct http_server *stopped_server; /* set before the signals to stop are caught */

static void on_signal(int number)
{
    (void)number;
    atomic_store(&stop, true);
    http_server_wake(stopped_server);
}

static void on_hangup(int number)
{
    (void)number;
    atomic_store(&reload, true);
    if (stopped_server) http_server_wake(stopped_server);
}

static struct http_options http_options_of(const struct options *o)
{
    return (struct http_options){.listen = o->listen,
        .allow_public = o->allow_public,
        .tls = o->tls_cert != NULL,
        .io_threads = (unsigned)o->io_threads,
        .workers = o->threads ? (unsigned)o->threads : med_cpu_count(),
        .queue_ms = o->queue_ms,
        .queue_depth = o->queue_depth,
        .connections_max = o->connections,
        .body_bytes_max = o->request_bytes,
        .header_count_max = MED_HEADER_COUNT_MAX + 1,
        .target_bytes_max = MED_URL_BYTES_MAX,
        .header_deadline_ms = o->header_deadline_ms,
        .body_deadline_ms = o->body_deadline_ms,
        .idle_ms = o->idle_ms,
        .stop_deadline_ms = STOP_DEADLINE_MS};
}

/* Each connection is a descriptor, and a generation needs some for its files. */
static void raise_descriptor_limit(uint64_t connections)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    rlim_t wanted = connections + 1024;
    if (limit.rlim_cur >= wanted) return;
    limit.rlim_cur =
        limit.rlim_max == RLIM_INFINITY || limit.rlim_max > wanted ? wanted : limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted)
        med_log(MED_LOG_WARN, "limits",
            "only %llu file descriptors are allowed; fewer than %llu connections can be open",
            (unsigned long long)limit.rlim_cur, (unsigned long long)connections);
}

static void catch_signals(struct http_server *http)
{
    stopped_server = http;
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
}

/* Whoever asked for port 0 reads the port here. */
static void announce(const struct options *options, const char *url)
{
    if (med_str_eq(med_str_of(options->log_format), MED_STR("json")))
        med_log(MED_LOG_INFO, "listening", "listening on %s", url);
    else
        fprintf(stderr, "listening on %s\n", url);
}

static void on_tick(void *ctx)
{
    struct server *server = ctx;
    if (http_server_responsive(server->http)) notify_alive();
    if (atomic_load(&stop))
        notify_stopping();
    else if (atomic_exchange(&reload, false))
        settings_reload(server);
    else
        settings_reload_keys(server);
}

static void on_stopping(void *ctx)
{
    struct server *server = ctx;
    jobs_begin_stop(server->admin->jobs);
}

/* --print-config and --check-config */
static enum med_code tell_config(const struct options *options, struct med_err *err)
{
    struct med_buf out;
    enum med_code code = MED_OK;
    med_buf_init(&out, MED_MIB);
    if (options->print_config) settings_print(options, &out);
    if (options->check_config) code = settings_check_all(options, &out, err);
    if (!code) code = command_print(&out, err);
    med_buf_free(&out);
    return code;
}

static enum med_code open_parts(
    const struct options *options, struct server *server, struct med_err *err)
{
    struct access_options access = {.data = options->data, .metrics_open = options->open_metrics};
    enum med_code code = settings_rate(options, &access.rate, err);
    if (!code) code = access_new(&access, &server->access, err);
    if (!code) code = audit_new(&server->audit, err);
    if (!code) code = settings_apply(server, options, err);
    if (!code) code = answer_cache_new(options->cache_bytes, &server->cache, err);
    if (!code) code = jobs_new(options->data, &server->admin->jobs, err);
    if (!code)
        code = serving_new(
            options->data, options->wait, options->cursor_seconds, &server->serving, err);
    return code;
}

static enum med_code run(const struct options *options, struct server *server, struct med_err *err)
{
    struct http_options http_options = http_options_of(options);
    struct http_app app = router_app(server);
    app.tick = on_tick;
    app.stopping = on_stopping;
    http_options.allow_public |= access_asks(server->access);
    char own_url[128];
    raise_descriptor_limit(options->connections);
    enum med_code code = http_server_new(&http_options, &app, &server->http, err);
    if (code) return code;
    snprintf(own_url, sizeof own_url, "%s://%s", http_options.tls ? "https" : "http",
        http_server_address(server->http));
    server->public_url = public_url_of(options->public_url ? options->public_url : own_url);
    access_open_without_keys(
        server->access, options->allow_public || http_server_is_local(server->http));
    catch_signals(server->http);
    announce(options, own_url);
    notify_ready(own_url);
    code = http_server_run(server->http, &stop, err);
    jobs_stop(server->admin->jobs); /* answers what waited for a job */
    http_server_free(&server->http);
    med_log(MED_LOG_INFO, "stop", "stopped");
    return code;
}

enum med_code cmd_serve(const struct options *options, struct med_err *err)
{
    if (options->arg_count) return med_fail(err, MED_E_USAGE, "serve takes no arguments");
    if (options->print_config && !options->check_config) return tell_config(options, err);
    if (!options->data || !*options->data)
        return med_fail(
            err, MED_E_USAGE, "which data folder? Give --data FOLDER or set MEDICUS_DATA");
    if (options->check_config) return tell_config(options, err);
    struct sigaction hangup = {.sa_handler = on_hangup, .sa_flags = SA_RESTART};
    sigaction(SIGHUP, &hangup, NULL);
    struct server *server = med_calloc(1, sizeof *server);
    if (!server) return med_fail(err, MED_E_NOMEM, "out of memory for the server");
    server->limits = (struct gate_limits){
        .target_bytes_max = MED_URL_BYTES_MAX, .body_bytes_max = options->request_bytes};
    struct admin admin = {.data = options->data,
        .snapshot_dir = options->snapshot_dir,
        .job_memory = options->job_memory,
        .body_bytes_max = options->admin_body_bytes};
    server->admin = &admin;
    spool_sweep(options->data);
    search_params_deploy(options->authority_weight);
    server->start_unix_s = med_unix_time_s();
    if (getrandom(&server->id_seed, sizeof server->id_seed, 0) < 0) server->id_seed = med_now_ns();
    enum med_code code = open_parts(options, server, err);
    if (!code) code = run(options, server, err);
    if (admin.jobs) jobs_stop(admin.jobs);
    jobs_free(&admin.jobs);
    serving_free(&server->serving);
    answer_cache_free(&server->cache);
    access_free(&server->access);
    audit_free(&server->audit);
    settings_free(server);
    tls_forget();
    med_free(server);
    return code;
}

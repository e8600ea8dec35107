/* Health, metrics and the specification: answered on the I/O thread, without a search thread, so
 * that they work when everything else is busy. */
#include "common/clock.h"
#include "common/json.h"
#include "common/limits.h"
#include "service/admin.h"
#include "service/answer_cache.h"
#include "service/openapi.h"
#include "service/server.h"

#include <stdio.h>
#include <unistd.h>

static bool asks_for(const struct http_request *r, struct med_str name)
{
    struct med_str q = r->query;
    for (size_t at = 0; at < q.len;) {
        size_t end = at;
        while (end < q.len && q.ptr[end] != '&') end++;
        struct med_str pair = med_str_sub(q, at, end);
        at = end + 1;
        if (!med_str_starts(pair, name)) continue;
        if (pair.len == name.len) return true;
        if (pair.ptr[name.len] == '=' && query_true(med_str_sub(pair, name.len + 1, pair.len)))
            return true;
    }
    return false;
}

/* Every parameter has one of the values that asks_for tells apart. */
static bool flags_are_known(const struct http_request *r, struct http_response *response)
{
    struct med_str rest = r->query;
    struct med_err err = {0};
    for (size_t at = 0, end; at < rest.len; at = end + 1) {
        bool set;
        for (end = at; end < rest.len && rest.ptr[end] != '&';) end++;
        struct med_str pair = med_str_sub(rest, at, end);
        const char *equals = pair.len ? memchr(pair.ptr, '=', pair.len) : NULL;
        size_t name_len = equals ? (size_t)(equals - pair.ptr) : pair.len;
        struct med_str name = med_str_sub(pair, 0, name_len);
        if (!equals || !med_str_eq(name, MED_STR("verbose"))) continue;
        err.code = query_bool(name, med_str_sub(pair, name_len + 1, pair.len), &set, &err);
        if (!err.code) continue;
        respond_error(r, response, &err);
        return false;
    }
    return true;
}

static enum media json_or_text(const struct http_request *r)
{
    enum media media = MEDIA_JSON;
    (void)media_choose(r, 1u << MEDIA_JSON | 1u << MEDIA_TEXT, &media);
    return media;
}

void route_livez(
    struct server *server, const struct http_request *request, struct http_response *response)
{
    (void)server;
    enum media media = json_or_text(request);
    respond(response, 200, media);
    med_buf_puts(&response->body, media == MEDIA_TEXT ? "ok\n" : "{\"status\":\"ok\"}\n");
}

static void verbose_json(struct server *server, const struct serving_status *s, struct med_jw *w)
{
    char date[MED_TIME_TEXT_LEN + 1];
    struct http_stats http = http_server_stats(server->http);
    med_time_text(s->created_unix_s, date);
    med_jw_kcstr(w, "version", MEDICUS_VERSION);
    med_jw_kint(w, "uptime_seconds", (long long)(med_unix_time_s() - server->start_unix_s));
    med_jw_kint(w, "generation", (long long)s->generation);
    med_jw_kcstr(w, "index_date", s->generation ? date : NULL);
    med_jw_kint(w, "documents", (long long)s->documents);
    med_jw_kint(w, "passages", (long long)s->passages);
    med_jw_kint(w, "index_bytes", (long long)s->bytes);
    med_jw_kint(w, "swaps", (long long)s->swaps);
    med_jw_kint(w, "connections", (long long)http.connections);
    med_jw_kint(w, "queue_depth", (long long)http.queue_depth);
    med_jw_key(w, "failed_generation");
    if (s->failure[0]) {
        med_jw_object(w);
        med_jw_kint(w, "generation", (long long)s->failed_generation);
        med_jw_kcstr(w, "reason", s->failure);
        med_jw_object_end(w);
    } else {
        med_jw_null(w);
    }
}

bool readyz_is_verbose(const struct http_request *request)
{
    return asks_for(request, MED_STR("verbose"));
}

void route_readyz(
    struct server *server, const struct http_request *request, struct http_response *response)
{
    struct serving_status status;
    if (!flags_are_known(request, response)) return;
    serving_status(server->serving, &status);
    bool trusted = request->caller.trusted;
    if (status.generation == 0) {
        respond_problem(request, response, PROBLEM_NO_INDEX,
            trusted && status.failure[0] ? status.failure : NULL);
        return;
    }
    enum media media = json_or_text(request);
    respond(response, 200, media);
    if (media == MEDIA_TEXT && !asks_for(request, MED_STR("verbose"))) {
        med_buf_puts(&response->body, "ready\n");
        return;
    }
    respond(response, 200, MEDIA_JSON);
    struct med_jw w = med_jw_of(&response->body, media == MEDIA_TEXT);
    med_jw_object(&w);
    med_jw_kcstr(&w, "status", "ready");
    if (asks_for(request, MED_STR("verbose"))) verbose_json(server, &status, &w);
    med_jw_object_end(&w);
    med_buf_putc(&response->body, '\n');
}

/* Resident bytes of this process; 0 when the system does not tell. */
static double resident_bytes(void)
{
    unsigned long long size, resident;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f) return 0;
    int n = fscanf(f, "%llu %llu", &size, &resident);
    fclose(f);
    return n == 2 ? (double)resident * (double)sysconf(_SC_PAGESIZE) : 0;
}

void route_metrics(
    struct server *server, const struct http_request *request, struct http_response *response)
{
    struct serving_status s;
    struct http_stats http = http_server_stats(server->http);
    struct med_buf *out = &response->body;
    (void)request;
    serving_status(server->serving, &s);
    respond(response, 200, MEDIA_METRICS);
    metrics_write(&server->metrics, out);
    access_metrics(server->access, out);
    jobs_metrics(server->admin->jobs, out);
    metrics_write_value(out, "medicus_audit_failures_total", "counter",
        "Requests that the audit log could not take.", (double)audit_failures(server->audit));
    metrics_write_value(out, "medicus_reload_failed", "gauge",
        "1 while the last SIGHUP or change of the keys could not be taken over.",
        atomic_load(&server->reload_failed) ? 1 : 0);
    struct answer_cache_stats cache = answer_cache_stats(server->cache);
    metrics_write_value(out, "medicus_cache_hits_total", "counter",
        "Searches answered from the cache.", (double)cache.hits);
    metrics_write_value(out, "medicus_cache_misses_total", "counter",
        "Searches that the cache had no answer to.", (double)cache.misses);
    metrics_write_value(
        out, "medicus_cache_entries", "gauge", "Answers in the cache.", (double)cache.entries);
    metrics_write_value(
        out, "medicus_cache_bytes", "gauge", "Bytes of the cache.", (double)cache.bytes);
    metrics_write_value(out, "medicus_queue_depth", "gauge",
        "Requests that wait for a search thread.", (double)http.queue_depth);
    metrics_write_value(out, "medicus_queue_refused_total", "counter",
        "Requests refused because the queue was full, or would have made them wait too long.",
        (double)http.queue_refused);
    metrics_write_value(out, "medicus_queue_served_seconds", "gauge",
        "Time that a request takes a search thread, a moving average.",
        (double)http.served_ns * 1e-9);
    metrics_write_value(out, "medicus_overload", "gauge",
        "1 while more requests come than can be answered, and what would wait is refused.",
        http.overload ? 1 : 0);
    metrics_write_value(
        out, "medicus_connections", "gauge", "Open connections.", (double)http.connections);
    metrics_write_value(out, "medicus_connections_accepted_total", "counter",
        "Connections accepted.", (double)http.accepted);
    metrics_write_value(out, "medicus_connections_refused_total", "counter",
        "Connections refused because there were too many.", (double)http.refused);
    metrics_write_value(out, "medicus_connections_reaped_total", "counter",
        "Connections closed because they missed a deadline.", (double)http.reaped);
    metrics_write_value(out, "medicus_generation", "gauge",
        "Number of the generation that is served; 0 is none.", (double)s.generation);
    metrics_write_value(out, "medicus_generation_age_seconds", "gauge",
        "Seconds since the served generation was built.",
        s.generation ? (double)(med_unix_time_s() - s.created_unix_s) : 0);
    metrics_write_value(out, "medicus_generation_swaps_total", "counter",
        "Generations that replaced another one while serving.", (double)s.swaps);
    metrics_write_value(out, "medicus_generation_failures_total", "counter",
        "Generations that could not be opened or failed verification.", (double)s.failures);
    metrics_write_value(out, "medicus_generation_failed", "gauge",
        "1 while the newest generation cannot be served.", s.failure[0] ? 1 : 0);
    metrics_write_value(out, "medicus_index_documents", "gauge", "Documents in the served index.",
        (double)s.documents);
    metrics_write_value(out, "medicus_index_passages", "gauge", "Passages in the served index.",
        (double)s.passages);
    metrics_write_value(
        out, "medicus_index_bytes", "gauge", "Bytes of the served index.", (double)s.bytes);
    metrics_write_value(
        out, "process_resident_memory_bytes", "gauge", "Resident memory.", resident_bytes());
    metrics_write_value(out, "process_start_time_seconds", "gauge", "Start, in seconds since 1970.",
        (double)server->start_unix_s);
}

void route_openapi(
    struct server *server, const struct http_request *request, struct http_response *response)
{
    (void)server;
    respond(response, 200, MEDIA_JSON);
    if (respond_etag(request, response, med_hash128(openapi_json, openapi_json_len))) return;
    med_buf_append(&response->body, openapi_json, openapi_json_len);
}

/* What the "type" of a problem leads to. */
void route_problems(
    struct server *server, const struct http_request *request, struct http_response *response)
{
    (void)server;
    struct med_str prefix = MED_STR("/problems/");
    struct med_str name = med_str_sub(request->path, prefix.len, request->path.len);
    for (int i = 0; i < PROBLEM_COUNT; i++) {
        const struct problem_row *row = problem_row((enum problem)i);
        if (!med_str_eq(name, med_str_of(row->name))) continue;
        enum media media = json_or_text(request);
        respond(response, 200, media);
        if (media == MEDIA_TEXT) {
            med_buf_printf(&response->body, "%s (%d)\n%s\n", row->title, row->status, row->next);
            return;
        }
        struct med_jw w = med_jw_of(&response->body, false);
        problem_json((enum problem)i, NULL, NULL, &w);
        med_buf_putc(&response->body, '\n');
        return;
    }
    respond_problem(request, response, PROBLEM_NO_SUCH_ROUTE, "no such problem type");
}

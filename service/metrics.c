#include "service/metrics.h"

static const char *const route_names[ROUTE_COUNT] = {
    [ROUTE_SEARCH] = "search",
    [ROUTE_EXPORT] = "export",
    [ROUTE_DOCUMENT] = "document",
    [ROUTE_FETCH] = "fetch",
    [ROUTE_SIMILAR] = "similar",
    [ROUTE_TERMS] = "terms",
    [ROUTE_MCP] = "mcp",
    [ROUTE_SERPER] = "serper",
    [ROUTE_JINA] = "jina",
    [ROUTE_TAVILY_SEARCH] = "tavily_search",
    [ROUTE_TAVILY_EXTRACT] = "tavily_extract",
    [ROUTE_ADMIN_DOCUMENTS] = "admin_documents",
    [ROUTE_ADMIN_DOCUMENT] = "admin_document",
    [ROUTE_ADMIN_UPDATE] = "admin_update",
    [ROUTE_ADMIN_REBUILD] = "admin_rebuild",
    [ROUTE_ADMIN_JOBS] = "admin_jobs",
    [ROUTE_ADMIN_JOB] = "admin_job",
    [ROUTE_ADMIN_GENERATIONS] = "admin_generations",
    [ROUTE_ADMIN_ACTIVATE] = "admin_activate",
    [ROUTE_ADMIN_SNAPSHOT] = "admin_snapshot",
    [ROUTE_LIVEZ] = "livez",
    [ROUTE_READYZ] = "readyz",
    [ROUTE_METRICS] = "metrics",
    [ROUTE_OPENAPI] = "openapi",
    [ROUTE_PROBLEMS] = "problems",
    [ROUTE_PAGE] = "page",
    [ROUTE_NONE] = "none",
};

static const char *const stage_names[STAGE_COUNT] = {
    [STAGE_QUEUE] = "queue",
    [STAGE_PARSE] = "parse",
    [STAGE_ANALYSE] = "analyse",
    [STAGE_LEXICAL] = "lexical",
    [STAGE_DENSE] = "dense",
    [STAGE_FUSE] = "fuse",
    [STAGE_PRESENT] = "present",
    [STAGE_RENDER] = "render",
};

/* The last one, 0, is "other": a status that this table forgot must not get lost. */
static const int statuses[METRICS_STATUS_COUNT] = {200, 202, 304, 400, 401, 403, 404, 405, 406, 408,
    409, 410, 413, 414, 415, 417, 422, 431, 500, 501, 503, 504, 507, 429, 0};

static const double bounds_s[METRICS_BUCKET_COUNT] = {
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5};

const char *route_name(enum route route)
{
    return route_names[(unsigned)route < ROUTE_COUNT ? route : ROUTE_NONE];
}

static void observe(struct histogram *h, uint64_t ns)
{
    double s = (double)ns * 1e-9;
    size_t i = 0;
    while (i < METRICS_BUCKET_COUNT && s > bounds_s[i]) i++;
    atomic_fetch_add_explicit(&h->buckets[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->sum_ns, ns, memory_order_relaxed);
}

void metrics_request(
    struct metrics *m, enum route route, int status, uint64_t ns, uint64_t response_bytes)
{
    size_t i = 0;
    while (i + 1 < METRICS_STATUS_COUNT && statuses[i] != status) i++;
    atomic_fetch_add_explicit(&m->requests[route][i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&m->response_bytes, response_bytes, memory_order_relaxed);
    observe(&m->seconds[route], ns);
}

void metrics_stage(struct metrics *m, enum stage stage, uint64_t ns)
{
    observe(&m->stages[stage], ns);
}

static void write_histogram(const struct histogram *h, const char *name, const char *label,
    const char *value, struct med_buf *out)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < METRICS_BUCKET_COUNT; i++) {
        sum += atomic_load_explicit(&h->buckets[i], memory_order_relaxed);
        med_buf_printf(out, "%s_bucket{%s=\"%s\",le=\"%g\"} %llu\n", name, label, value,
            bounds_s[i], (unsigned long long)sum);
    }
    sum += atomic_load_explicit(&h->buckets[METRICS_BUCKET_COUNT], memory_order_relaxed);
    med_buf_printf(out, "%s_bucket{%s=\"%s\",le=\"+Inf\"} %llu\n", name, label, value,
        (unsigned long long)sum);
    med_buf_printf(out, "%s_sum{%s=\"%s\"} %.9f\n", name, label, value,
        (double)atomic_load_explicit(&h->sum_ns, memory_order_relaxed) * 1e-9);
    med_buf_printf(out, "%s_count{%s=\"%s\"} %llu\n", name, label, value, (unsigned long long)sum);
}

static void write_head(struct med_buf *out, const char *name, const char *type, const char *help)
{
    med_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void metrics_write(const struct metrics *m, struct med_buf *out)
{
    const char *name = "medicus_http_requests_total";
    write_head(out, name, "counter", "Requests answered, by route and status.");
    for (size_t r = 0; r < ROUTE_COUNT; r++) {
        for (size_t i = 0; i < METRICS_STATUS_COUNT; i++) {
            char status[8] = "other";
            unsigned long long n = atomic_load_explicit(&m->requests[r][i], memory_order_relaxed);
            if (statuses[i])
                med_buf_printf(out, "%s{route=\"%s\",status=\"%d\"} %llu\n", name, route_names[r],
                    statuses[i], n);
            else
                med_buf_printf(
                    out, "%s{route=\"%s\",status=\"%s\"} %llu\n", name, route_names[r], status, n);
        }
    }
    name = "medicus_http_request_seconds";
    write_head(out, name, "histogram", "Time from a complete header to the answer, by route.");
    for (size_t r = 0; r < ROUTE_COUNT; r++)
        write_histogram(&m->seconds[r], name, "route", route_names[r], out);
    name = "medicus_search_stage_seconds";
    write_head(out, name, "histogram",
        "Time of the stages of a search: the wait in the queue, parse (the request), analyse (the "
        "query), lexical, dense, fuse, present (texts and snippets are fetched), render.");
    for (size_t i = 0; i < STAGE_COUNT; i++)
        write_histogram(&m->stages[i], name, "stage", stage_names[i], out);
    metrics_write_value(out, "medicus_http_response_bytes_total", "counter",
        "Bytes of response bodies.", (double)atomic_load(&m->response_bytes));
}

void metrics_write_value(
    struct med_buf *out, const char *name, const char *type, const char *help, double value)
{
    write_head(out, name, type, help);
    med_buf_printf(out, "%s %.17g\n", name, value);
}

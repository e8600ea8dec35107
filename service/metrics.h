/* Counters and histograms of the server, as Prometheus text (exposition format 0.0.4).
 *
 * The set of series is fixed: every label value is known when the program is compiled. Adding is
 * lock-free and safe from any thread. */
#pragma once

#include "common/buf.h"

#include <stdatomic.h>
#include <stdint.h>

enum route {
    ROUTE_SEARCH,
    ROUTE_EXPORT,
    ROUTE_DOCUMENT,
    ROUTE_FETCH,
    ROUTE_SIMILAR,
    ROUTE_TERMS,
    ROUTE_MCP,
    ROUTE_SERPER,
    ROUTE_JINA,
    ROUTE_TAVILY_SEARCH,
    ROUTE_TAVILY_EXTRACT,
    ROUTE_ADMIN_DOCUMENTS,
    ROUTE_ADMIN_DOCUMENT,
    ROUTE_ADMIN_UPDATE,
    ROUTE_ADMIN_REBUILD,
    ROUTE_ADMIN_JOBS,
    ROUTE_ADMIN_JOB,
    ROUTE_ADMIN_GENERATIONS,
    ROUTE_ADMIN_ACTIVATE,
    ROUTE_ADMIN_SNAPSHOT,
    ROUTE_LIVEZ,
    ROUTE_READYZ,
    ROUTE_METRICS,
    ROUTE_OPENAPI,
    ROUTE_PROBLEMS,
    ROUTE_PAGE,
    ROUTE_NONE, /* refused before routing, or no such route */
    ROUTE_COUNT
};

enum stage {
    STAGE_QUEUE,
    STAGE_PARSE,
    STAGE_ANALYSE,
    STAGE_LEXICAL,
    STAGE_DENSE,
    STAGE_FUSE,
    STAGE_PRESENT,
    STAGE_RENDER,
    STAGE_COUNT
};

#define METRICS_STATUS_COUNT 25
#define METRICS_BUCKET_COUNT 14

struct histogram {
    atomic_uint_fast64_t buckets[METRICS_BUCKET_COUNT + 1]; /* not cumulative; the last is +Inf */
    atomic_uint_fast64_t sum_ns;
};

struct metrics {
    atomic_uint_fast64_t requests[ROUTE_COUNT][METRICS_STATUS_COUNT];
    struct histogram seconds[ROUTE_COUNT];
    struct histogram stages[STAGE_COUNT];
    atomic_uint_fast64_t response_bytes;
};

const char *route_name(enum route route);
void metrics_request(
    struct metrics *m, enum route route, int status, uint64_t ns, uint64_t response_bytes);
void metrics_stage(struct metrics *m, enum stage stage, uint64_t ns);
void metrics_write(const struct metrics *m, struct med_buf *out);
/* One gauge or counter without labels; type is "gauge" or "counter". */
void metrics_write_value(
    struct med_buf *out, const char *name, const char *type, const char *help, double value);

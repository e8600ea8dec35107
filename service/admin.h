/* What routes_admin.c keeps for the routes below /v1/admin, and what the router asks it. */
#pragma once

#include "service/jobs.h"
#include "service/server.h"

#define ADMIN_BODY_BYTES_DEFAULT (256ull * 1024 * 1024)

struct admin {
    const char *data;
    struct jobs *jobs;
    const char *snapshot_dir; /* NULL: POST /v1/admin/snapshot is refused */
    uint64_t job_memory;      /* of updates and rebuilds, in bytes; 0: by what is free */
    size_t body_bytes_max;    /* of POST /v1/admin/documents */
};

/* Takes the body of an upload into a file; false: the response holds the problem. On the I/O
 * thread. */
bool admin_begin_upload(
    struct admin *admin, struct http_request *request, struct http_response *response);

void route_admin_documents(struct server *server, struct worker_state *worker,
    const struct http_request *request, struct http_response *response);
void route_admin_document(struct server *server, struct worker_state *worker,
    const struct http_request *request, struct http_response *response);
void route_admin_update(struct server *server, struct worker_state *worker,
    const struct http_request *request, struct http_response *response);
void route_admin_rebuild(struct server *server, struct worker_state *worker,
    const struct http_request *request, struct http_response *response);
void route_admin_jobs(struct server *server, struct worker_state *worker,
    const struct http_request *request, struct http_response *response);
void route_admin_job(struct server *server, struct worker_state *worker,
    const struct http_request *request, struct http_response *response);
void route_admin_generations(struct server *server, struct worker_state *worker,
    const struct http_request *request, struct http_response *response);
void route_admin_activate(struct server *server, struct worker_state *worker,
    const struct http_request *request, struct http_response *response);
void route_admin_snapshot(struct server *server, struct worker_state *worker,
    const struct http_request *request, struct http_response *response);

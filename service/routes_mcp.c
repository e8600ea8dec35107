/* POST /mcp: MCP's Streamable HTTP without sessions and without streams. Every answer is one JSON
 * object; a GET, which would open a stream, and a DELETE, which would end a session, are 405. */
#include "service/mcp.h"
#include "service/server.h"

#include "common/limits.h"
#include "common/log.h"

static void searched(void *ctx, const struct med_answer *answer)
{
    count_stages(ctx, answer);
}

static struct med_str header(const struct http_request *r, const char *name, bool *repeated)
{
    struct med_str value = {0};
    unsigned count = 0;
    for (size_t i = 0; i < r->header_count; i++) {
        if (!med_str_eq_nocase(r->headers[i].name, med_str_of(name))) continue;
        value = med_str_trim(r->headers[i].value);
        if (!value.ptr) value = MED_STR("");
        count++;
    }
    *repeated |= count > 1;
    return value;
}

void route_mcp(struct server *server, struct worker_state *worker,
    const struct http_request *request, struct http_response *response)
{
    struct served served = {0};
    struct mcp_headers headers = {0};
    enum mcp_revision session = MCP_2025_03_26; /* of requests that do not say */
    bool has_index = serving_acquire(server->serving, 0, &served);
    struct mcp_engine engine = {.serving = server->serving,
        .source = {.store = served.store,
            .index = served.index,
            .sources = request->caller.source_mask,
            .ids = &worker->ids},
        .searcher = worker->searcher,
        .arena = worker->arena,
        .view = {.public_url = server->public_url, .limited = request->caller.source_mask != 0},
        .searched = searched,
        .ctx = server};
    headers.version = header(request, "MCP-Protocol-Version", &headers.repeated);
    headers.method = header(request, "Mcp-Method", &headers.repeated);
    headers.name = header(request, "Mcp-Name", &headers.repeated);
    int status =
        mcp_answer(&engine, &headers, &session, med_buf_str(&request->body), &response->body);
    if (has_index) serving_release(&served);
    if (engine.messages > 1) worker->more_requests = engine.messages - 1;
    if (status == 202)
        response->status = status;
    else
        respond(response, status, MEDIA_JSON);
    if (engine.failure)
        med_log(MED_LOG_ERROR, "mcp", "a tool failed (%s), request id %s",
            med_code_name(engine.failure), request->id);
}

/* What a client's developer meets before the first answer: a key that is missing or wrong, an
 * origin, a rate. Clients show the message of a JSON-RPC error; some say nothing of another body.
 */
void mcp_refusal(const struct http_request *request, struct http_response *response)
{
    int status = response->status;
    bool repeated = false;
    struct med_buf problem;
    if (!med_str_eq(request->method, MED_STR("POST"))) return;
    if (status != 401 && status != 403 && status != 429 && status != 503) return;
    if (med_buf_status(&response->body, NULL)) return;
    med_buf_init(&problem, MED_RESPONSE_BYTES_MAX);
    med_buf_append_str(&problem, med_buf_str(&response->body));
    med_buf_reset(&response->body);
    mcp_refuse_problem(
        header(request, "MCP-Protocol-Version", &repeated), med_buf_str(&problem), &response->body);
    response->content_type = media_type(MEDIA_JSON);
    med_buf_free(&problem);
}

/* --- Origin --- */

/* "http://localhost:6274" -> "localhost" */
static struct med_str host_of(struct med_str origin)
{
    struct med_str plain = MED_STR("http://"), secure = MED_STR("https://");
    size_t at = med_str_starts(origin, plain)    ? plain.len
                : med_str_starts(origin, secure) ? secure.len
                                                 : origin.len;
    struct med_str host = med_str_sub(origin, at, origin.len);
    bool bracket = host.len && host.ptr[0] == '[';
    for (size_t i = 0; i < host.len; i++) {
        if (bracket && host.ptr[i] == ']') return med_str_sub(host, 0, i + 1);
        if (!bracket && host.ptr[i] == ':') return med_str_sub(host, 0, i);
    }
    return host;
}

/* A page of another site must not reach the library through its reader's browser (DNS rebinding).
 * Programs send no Origin; pages of this machine are trusted, others only when configured. */
bool mcp_origin_allowed(const struct server *server, const struct http_request *request)
{
    static const char *const loopback[] = {"localhost", "127.0.0.1", "[::1]"};
    struct med_str given;
    if (!http_header_get(request, "Origin", &given)) return true;
    given = med_str_trim(given);
    struct med_str host = host_of(given);
    for (size_t i = 0; i < sizeof loopback / sizeof *loopback; i++) {
        if (med_str_eq_nocase(host, med_str_of(loopback[i]))) return true;
    }
    return origin_listed(server, given);
}

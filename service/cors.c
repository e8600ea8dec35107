/* Web pages of other origins: off unless --allow-origin names them (the Fetch standard's CORS
 * protocol). Without it no answer has a header of it, and a browser shows a page nothing. */
#include "service/server.h"

#define PREFLIGHT_SECONDS 600

bool origin_listed(const struct server *server, struct med_str origin)
{
    struct med_str listed = med_str_of(atomic_load(&server->allow_origin));
    origin = med_str_trim(origin);
    for (size_t at = 0; at < listed.len;) {
        struct med_str one = list_next(listed, ',', &at);
        if (one.len && med_str_eq_nocase(one, origin)) return true;
    }
    return false;
}

void cors_headers(const struct server *server, const struct http_request *r, const char *methods,
    struct http_response *response)
{
    struct med_str origin, wanted;
    if (!http_header_get(r, "Origin", &origin) || !origin_listed(server, origin)) return;
    http_response_header(
        response, "Access-Control-Allow-Origin", MED_STR_FMT, MED_STR_ARG(med_str_trim(origin)));
    if (!med_str_eq(r->method, MED_STR("OPTIONS"))) {
        http_response_header(response, "Access-Control-Expose-Headers",
            "ETag, Retry-After, RateLimit, RateLimit-Policy, Server-Timing, X-Exported-Count, "
            "X-Next-Cursor, X-Request-ID, X-Total-Count");
        return;
    }
    if (!http_header_get(r, "Access-Control-Request-Method", &wanted)) return;
    http_response_header(response, "Access-Control-Allow-Methods", "%s", methods);
    http_response_header(response, "Access-Control-Allow-Headers",
        "Accept, Authorization, Content-Type, If-None-Match, MCP-Protocol-Version, Mcp-Method, "
        "Mcp-Name, X-API-Key, X-Request-ID");
    http_response_header(response, "Access-Control-Max-Age", "%d", PREFLIGHT_SECONDS);
}

/* The page for people at /, the description of the interface at /docs, and what the two load.
 *
 * They are open without a key, because they ask for it; they hold nothing of the library. The
 * policies allow nothing but this server's own files: no inline script, no other origin, and no
 * markup made from strings (Trusted Types), so that a hostile title stays text. */
#include "service/mcp.h"
#include "service/page.h"

#define CONTENT_POLICY                                                                             \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';" \
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "                               \
    "require-trusted-types-for 'script'; trusted-types 'none'"

static void policies(struct http_response *response)
{
    http_response_header(response, "Content-Security-Policy", "%s", CONTENT_POLICY);
    http_response_header(response, "Referrer-Policy", "no-referrer");
    http_response_header(response, "Permissions-Policy",
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()");
    http_response_header(response, "Cross-Origin-Opener-Policy", "same-origin");
    http_response_header(response, "Cross-Origin-Resource-Policy", "same-origin");
}

/* The tools as tools/list of MCP gives them, for /docs. */
static void tools(const struct http_request *request, struct http_response *response)
{
    struct med_str list = med_str_of(mcp_spec[MCP_SPEC_TOOLS]);
    respond(response, 200, MEDIA_JSON);
    if (respond_etag(request, response, med_hash128(list.ptr, list.len))) return;
    med_buf_append(&response->body, list.ptr, list.len);
}

void route_page(
    struct server *server, const struct http_request *request, struct http_response *response)
{
    (void)server;
    if (med_str_eq(request->path, MED_STR("/assets/mcp-tools.json"))) {
        tools(request, response);
        return;
    }
    for (size_t i = 0; i < page_file_count; i++) {
        const struct page_file *file = &page_files[i];
        if (!med_str_eq(request->path, med_str_of(file->path))) continue;
        respond(response, 200, file->media);
        policies(response);
        if (respond_etag(request, response, med_hash128(file->bytes, file->len))) return;
        med_buf_append(&response->body, file->bytes, file->len);
        return;
    }
    respond_problem(request, response, PROBLEM_NO_SUCH_ROUTE, "nothing is served at this path");
}

/* Header fields of requests and answers: see http_server.h. */
#include "service/http_server.h"

#include <stdio.h>

bool http_header_get(const struct http_request *request, const char *name, struct med_str *ret)
{
    struct med_str wanted = med_str_of(name);
    for (size_t i = 0; i < request->header_count; i++) {
        if (!med_str_eq_nocase(request->headers[i].name, wanted)) continue;
        *ret = request->headers[i].value;
        return true;
    }
    return false;
}

void http_response_header(struct http_response *r, const char *name, const char *fmt, ...)
{
    if (r->header_count == HTTP_RESPONSE_HEADERS_MAX) return;
    va_list args;
    va_start(args, fmt);
    r->headers[r->header_count].name = name;
    vsnprintf(r->headers[r->header_count].value, sizeof r->headers[0].value, fmt, args);
    va_end(args);
    r->header_count++;
}

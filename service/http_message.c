/* Header fields of requests and answers: see http_server.h. */
#include "service/http_server.h"

#include <stdio.h>
#include <sys/socket.h>

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
    char *value = r->headers[r->header_count].value;
    const size_t room = sizeof r->headers[0].value;
    va_list args;
    va_start(args, fmt);
    r->headers[r->header_count].name = name;
    /* Most are plain text, and formatting was a tenth of what an answer costs. */
    const char *text = fmt;
    if (strcmp(fmt, "%s") == 0)
        text = va_arg(args, const char *);
    else if (strchr(fmt, '%'))
        text = NULL;
    if (text)
        (void)memccpy(value, text, '\0', room - 1);
    else
        vsnprintf(value, room, fmt, args);
    value[room - 1] = '\0';
    va_end(args);
    r->header_count++;
}

void http_send_raw(int fd, const char *status_and_fields, const char *body)
{
    char text[768];
    int len = snprintf(text, sizeof text,
        "HTTP/1.1 %s\r\nContent-Type: application/problem+json\r\nContent-Length: %zu\r\n"
        "Connection: close\r\n\r\n%s",
        status_and_fields, strlen(body), body);
    (void)!send(fd, text, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* medicus health: one request to /readyz, for container and service managers. */
#include "common/buf.h"
#include "service/command.h"
#include "service/listener.h"
#include "service/tls.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define TIMEOUT_MS 3000

enum med_code cmd_health(const struct options *options, struct med_err *err)
{
    static const char request[] = "GET /readyz HTTP/1.1\r\nHost: localhost\r\nAccept: "
                                  "application/json\r\nConnection: close\r\n\r\n";
    char answer[64] = "";
    size_t len = 0;
    int fd, status = 0;
    enum med_code code = listener_connect(options->listen, TIMEOUT_MS, &fd, err);
    if (code) return code;
    if (options->tls_cert) {
        code = tls_ask(fd, med_str_of(request), answer, sizeof answer, err);
    } else if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) == (ssize_t)sizeof request - 1) {
        ssize_t n = 1;
        while (len < sizeof answer - 1 && n > 0) {
            n = recv(fd, answer + len, sizeof answer - 1 - len, 0);
            if (n > 0) len += (size_t)n;
        }
    }
    close(fd);
    if (code) return code;
    if (sscanf(answer, "HTTP/1.1 %d", &status) != 1)
        return med_fail(err, MED_E_BUSY, "the server at %s does not answer", options->listen);
    if (status != 200)
        return med_fail(
            err, MED_E_BUSY, "the server at %s is not ready (status %d)", options->listen, status);
    struct med_buf out;
    med_buf_init(&out, 256);
    med_buf_puts(&out, options->json ? "{\"ready\":true}\n" : "ready\n");
    code = command_print(&out, err);
    med_buf_free(&out);
    return code;
}

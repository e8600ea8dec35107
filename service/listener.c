#include "service/listener.h"

#include "common/str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define BACKLOG 1024

struct host_port {
    char host[LISTENER_ADDRESS_MAX - 16];
    char port[8];
};

static enum med_code split(const char *spec, struct host_port *ret, struct med_err *err)
{
    struct med_str all = med_str_of(spec), host, port;
    size_t colon = all.len;
    while (colon > 0 && all.ptr[colon - 1] != ':') colon--;
    unsigned long long number;
    if (colon == 0)
        return med_fail(err, MED_E_USAGE, "\"%.80s\" is no address: HOST:PORT expected", spec);
    host = med_str_sub(all, 0, colon - 1);
    port = med_str_sub(all, colon, all.len);
    if (host.len >= 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        host = med_str_sub(host, 1, host.len - 1);
    if (!med_str_to_u64(port, &number) || number > 65535)
        return med_fail(
            err, MED_E_USAGE, "\"%.80s\": the port must be a number from 0 to 65535", spec);
    if (host.len == 0) host = MED_STR("127.0.0.1");
    if (host.len >= sizeof ret->host)
        return med_fail(err, MED_E_USAGE, "\"%.80s\": the host is too long", spec);
    snprintf(ret->host, sizeof ret->host, MED_STR_FMT, MED_STR_ARG(host));
    snprintf(ret->port, sizeof ret->port, "%llu", number);
    return MED_OK;
}

static enum med_code resolve(
    const char *spec, bool passive, struct addrinfo **ret_list, struct med_err *err)
{
    struct host_port at;
    enum med_code code = split(spec, &at, err);
    if (code) return code;
    struct addrinfo hints = {
        .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | (passive ? AI_PASSIVE : 0)};
    int failed = getaddrinfo(at.host, at.port, &hints, ret_list);
    if (failed)
        return med_fail(
            err, MED_E_USAGE, "cannot resolve \"%s\": %s", at.host, gai_strerror(failed));
    return MED_OK;
}

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)address;
        return ntohl(in->sin_addr.s_addr) >> 24 == 127;
    }
    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)address;
        return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
    }
    return false;
}

static void name_address(int fd, char ret_text[LISTENER_ADDRESS_MAX])
{
    struct sockaddr_storage bound;
    socklen_t len = sizeof bound;
    char host[64] = "?", port[8] = "?";
    if (getsockname(fd, (struct sockaddr *)&bound, &len) == 0)
        (void)getnameinfo((struct sockaddr *)&bound, len, host, sizeof host, port, sizeof port,
            NI_NUMERICHOST | NI_NUMERICSERV);
    bool six = strchr(host, ':') != NULL;
    snprintf(ret_text, LISTENER_ADDRESS_MAX, six ? "[%s]:%s" : "%s:%s", host, port);
}

static enum med_code bind_one(
    const char *spec, const struct addrinfo *at, int *ret_fd, struct med_err *err)
{
    int on = 1;
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return med_fail_errno(err, errno, "cannot open a socket for %s", spec);
    /* Restarting must not wait for connections of the last run to time out. */
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0) {
        *ret_fd = fd;
        return MED_OK;
    }
    int failed = errno;
    close(fd);
    if (failed == EADDRINUSE)
        return med_fail(err, MED_E_CONFLICT,
            "%s is in use by another program; stop it or choose another --listen address", spec);
    return med_fail_errno(err, failed, "cannot listen on %s", spec);
}

static enum med_code find(
    const char *spec, bool allow_public, struct addrinfo **ret_list, struct med_err *err)
{
    struct addrinfo *list;
    enum med_code code = resolve(spec, true, &list, err);
    if (code) return code;
    if (allow_public || is_loopback(list->ai_addr)) {
        *ret_list = list;
        return MED_OK;
    }
    freeaddrinfo(list);
    return med_fail(err, MED_E_USAGE,
        "%s can be reached from other machines, and there are no keys: make one with `medicus key "
        "add NAME`, or say --allow-public to answer everybody",
        spec);
}

enum med_code listener_check(const char *spec, bool allow_public, struct med_err *err)
{
    struct addrinfo *list;
    enum med_code code = find(spec, allow_public, &list, err);
    if (!code) freeaddrinfo(list);
    return code;
}

enum med_code listener_open(
    const char *spec, bool allow_public, struct listener *ret_listener, struct med_err *err)
{
    struct addrinfo *list;
    enum med_code code = find(spec, allow_public, &list, err);
    if (code) return code;
    struct listener l = {.local = is_loopback(list->ai_addr)};
    code = bind_one(spec, list, &l.fd, err);
    freeaddrinfo(list);
    if (code) return code;
    name_address(l.fd, l.address);
    *ret_listener = l;
    return MED_OK;
}

int listener_accept(const struct listener *l)
{
    int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;
    if (fd >= 0) (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

void listener_close(struct listener *l)
{
    if (l->fd >= 0) close(l->fd);
    l->fd = -1;
}

enum med_code listener_connect(const char *spec, int timeout_ms, int *ret_fd, struct med_err *err)
{
    struct addrinfo *list;
    enum med_code code = resolve(spec, false, &list, err);
    if (code) return code;
    struct timeval wait = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
    int fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), failed = errno;
    if (fd >= 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
        failed = connect(fd, list->ai_addr, list->ai_addrlen) == 0 ? 0 : errno;
    }
    freeaddrinfo(list);
    if (fd >= 0 && failed == 0) {
        *ret_fd = fd;
        return MED_OK;
    }
    if (fd >= 0) close(fd);
    return med_fail(err, MED_E_BUSY, "no server answers at %s: %s", spec, strerror(failed));
}

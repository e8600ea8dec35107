/* A listening TCP socket: parsing "host:port", refusing what other machines could reach, accepting
 * without ever blocking. */
#pragma once

#include "common/err.h"

#include <stdbool.h>

#define LISTENER_ADDRESS_MAX 96

struct listener {
    int fd;
    bool local;                         /* only this machine can reach it */
    char address[LISTENER_ADDRESS_MAX]; /* "127.0.0.1:8080", with the port that was chosen */
};

/* "127.0.0.1:8080", "[::1]:0", "localhost:8080", ":8080" (this machine only). */
enum med_code listener_open(const char *spec, bool allow_public, struct listener *ret_listener,
    struct med_err *err) MED_CHECK;
/* The same without listening: whether the address is one, and may be listened on. */
enum med_code listener_check(const char *spec, bool allow_public, struct med_err *err) MED_CHECK;
/* A non-blocking, close-on-exec connection, -1 with errno EAGAIN when nobody waits. */
int listener_accept(const struct listener *listener);
void listener_close(struct listener *listener);

/* Connects to a listening address, for `medicus health`; a wildcard host means this machine. */
enum med_code listener_connect(
    const char *spec, int timeout_ms, int *ret_fd, struct med_err *err) MED_CHECK;

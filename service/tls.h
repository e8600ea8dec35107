/* TLS with a certificate of the operator's own: the adapter over GnuTLS.
 *
 * libmicrohttpd speaks TLS through GnuTLS and asks, in each handshake, which certificate to show.
 * There is one identity per process. A new one is shown from the next handshake on; the one before
 * is kept until no handshake can be using it, so connections that are open are not disturbed. */
#pragma once

#include "common/err.h"
#include "common/str.h"

#include <stdint.h>

/* TLS 1.3 and 1.2 only, in GnuTLS's syntax. */
#define TLS_PRIORITIES "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:%SERVER_PRECEDENCE"

/* Reads a PEM chain (the server's certificate first) and its unencrypted private key, without
 * showing them yet. MED_E_PERMISSION when others may read the key; MED_E_INVALID when a file is not
 * what it should be, or the two do not belong together. *ret_expires may be NULL. */
enum med_code tls_check(const char *cert_path, const char *key_path, int64_t *ret_expires_unix_s,
    struct med_err *err) MED_CHECK;
/* The same, and shows them from now on. Any thread, at most one at a time. */
enum med_code tls_use(const char *cert_path, const char *key_path, int64_t *ret_expires_unix_s,
    struct med_err *err) MED_CHECK;
/* After the server is gone. */
void tls_forget(void);
/* What MHD_OPTION_HTTPS_CERT_CALLBACK wants. */
void *tls_certificate_callback(void);

/* Sends a request over a connected socket and reads the beginning of the answer, NUL-terminated;
 * for `medicus health`, which trusts whoever answers on this machine and tells it nothing.
 * MED_E_BUSY: no TLS server answers. */
enum med_code tls_ask(
    int fd, struct med_str request, char *ret_answer, size_t size, struct med_err *err) MED_CHECK;

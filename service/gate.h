/* The request gate: what every request passes before it is routed.
 *
 * libmicrohttpd forgives much that intermediaries read differently (request smuggling) or that no
 * honest client sends. Here it is refused: Content-Length together with Transfer-Encoding, repeated
 * or malformed framing fields, no or several Host fields, stray bytes, control characters, bad
 * percent-encoding, NUL, dot segments, unknown methods; and everything that is too long or too
 * many. Specifications: RFC 9110 and 9112, RFC 3986. */
#pragma once

#include "service/http_server.h"
#include "service/problem.h"

struct gate_limits {
    size_t target_bytes_max;
    size_t body_bytes_max;
};

/* PROBLEM_NONE, or what is wrong, with a sentence. *ret_close: the framing cannot be trusted, so
 * the connection must end. A target in absolute form is cut to its path. */
enum problem gate_check(const struct gate_limits *limits, struct http_request *request,
    bool *ret_close, struct med_err *detail);

/* Percent-decoding of checked text into the caller's buffer of at least text.len bytes;
 * plus_is_space for query strings. */
struct med_str percent_decode(struct med_str text, bool plus_is_space, char *ret_bytes);

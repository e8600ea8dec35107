/* Access: which requests are let through, and how many.
 *
 *   <data>/keys    listening on                         answered without a key
 *   absent         loopback, or with --allow-public     everything but admin routes
 *   absent         elsewhere (the file went away)       open routes only
 *   present        anywhere                             open routes only
 *
 * Open routes tell nothing about the library: /livez, /readyz without verbose, the specification,
 * the explanation of errors, the page's own files. Admin routes need a key with the scope admin,
 * always. The check runs on the I/O thread before a body is read; it costs one hash and one
 * comparison per key.
 *
 * Wrong keys are counted per address. An address that sent too many gets 429 for further wrong
 * ones, but a right key is always let through: many callers may share a proxy's address.
 *
 * Thread-safe. Locks: the set of keys (shared by readers), then the buckets; nothing is waited for
 * while holding them. */
#pragma once

#include "service/http_server.h"
#include "service/rate_limit.h"

enum need {
    NEED_NOTHING, /* but a key that is given is recognised */
    NEED_KEY,     /* of any scope */
    NEED_METRICS, /* the same, unless the operator opened metrics */
    NEED_SEARCH,
    NEED_SEARCH_LATER, /* the same, but the key may stand in the body: access_check_key */
    NEED_ADMIN
};

struct access_options {
    const char *data;  /* borrowed */
    struct rate rate;  /* of keys without their own, and of all callers without a key together */
    bool metrics_open; /* /metrics needs no key */
};

struct access;
/* Reads the keys. As keys_load; MED_E_NOMEM. */
enum med_code access_new(const struct access_options *options, struct access **ret_access,
    struct med_err *err) MED_CHECK;
void access_free(struct access **access);
/* The file of keys is there: requests need one. */
bool access_asks(struct access *access);
/* Whether to answer without keys when the file is absent; before the first request. */
void access_open_without_keys(struct access *access, bool open);
/* Other limits; buckets of keys that stay keep their level. */
void access_configure(struct access *access, const struct access_options *options);
/* Reads the keys again if the file changed, or in any case with `always`. When they cannot be read
 * those from before stay. *ret_changed: they were read. */
enum med_code access_reload(
    struct access *access, bool always, bool *ret_changed, struct med_err *err) MED_CHECK;
size_t access_key_count(struct access *access);

/* false: refused; the response holds the problem. Fills request->caller. */
bool access_check(struct access *access, enum need need, struct http_request *request,
    struct http_response *response);
/* The same with a key that stood elsewhere (empty: none), for a request that sent none in a header.
 */
bool access_key_sent(const struct http_request *request);
bool access_check_key(struct access *access, enum need need, struct med_str secret,
    struct http_request *request, struct http_response *response);
/* The request turned out to be worth `more` requests beyond the one that was counted. */
void access_charge(struct access *access, struct http_request *request, uint32_t more);
/* RateLimit and RateLimit-Policy, where a limit applies. */
void access_headers(const struct http_request *request, struct http_response *response);
/* medicus_auth_failures_total, medicus_rate_limited_total, medicus_keys */
void access_metrics(struct access *access, struct med_buf *out);

/* The audit log: who asked, when, what for, and which documents were answered. Off by default.
 *
 * One JSON object per line, appended with one write:
 *
 *   {"time":"2026-03-01T12:00:00Z","request_id":"5f1c...","key":{"id":"0a1b2c3d","name":"agents"},
 *    "address":"192.0.2.7","method":"GET","route":"search","status":200,"ids":["pmid:1~0"]}
 *
 * key is null where none was needed; ids are those of documents and passages in the answer, in its
 * order, or of the document that was deleted. With query text two members follow, target and body,
 * as they were sent; secrets of keys in them are blotted out. Requests to open routes and to
 * /metrics are not logged; refused ones are.
 *
 * A line is written before its answer is sent. When it cannot be written the answer is sent all the
 * same: for people who treat patients an answer matters more than its record. The failure is an
 * error in the log, once until it is over, and counts in medicus_audit_failures_total. Thread-safe.
 */
#pragma once

#include "service/http_server.h"

#define AUDIT_IDS_BYTES_MAX ((size_t)1 << 20)
#define AUDIT_BODY_BYTES_MAX ((size_t)64 << 10) /* longer bodies are cut */

struct audit;
enum med_code audit_new(struct audit **ret_audit, struct med_err *err) MED_CHECK;
void audit_free(struct audit **audit);
/* Opens the file anew (it may have been renamed by logrotate), or closes it: path NULL. On failure
 * the one from before stays. */
enum med_code audit_open(
    struct audit *audit, const char *path, bool query_text, struct med_err *err) MED_CHECK;
bool audit_is_on(struct audit *audit);

/* Collects the ids of one answer; nothing while the log is off. */
struct audit_ids {
    struct med_buf list; /* JSON strings, separated by commas */
    bool on;
};
void audit_ids_begin(struct audit *audit, struct audit_ids *ids);
void audit_id(struct audit_ids *ids, struct med_str id); /* ids may be NULL */

/* ids may be NULL. */
void audit_write(struct audit *audit, const struct http_request *request, const char *route,
    int status, const struct audit_ids *ids);
uint64_t audit_failures(const struct audit *audit);

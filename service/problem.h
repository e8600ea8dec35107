/* Errors of the HTTP interface: RFC 9457 application/problem+json.
 *
 * One table: problem -> stable type (/problems/<name>), status, title, and what to do next. Every
 * enum med_code maps to one of them. api-spec/errors.md documents the same table; a test compares
 * the two and openapi.yaml. */
#pragma once

#include "common/json.h"

enum problem {
    PROBLEM_BAD_REQUEST,
    PROBLEM_INVALID_PARAMETER,
    PROBLEM_UNKNOWN_PARAMETER,
    PROBLEM_INVALID_JSON,
    PROBLEM_LIMIT_EXCEEDED,
    PROBLEM_UNAUTHORIZED,
    PROBLEM_FORBIDDEN,
    PROBLEM_INSUFFICIENT_SCOPE,
    PROBLEM_NOT_FOUND,
    PROBLEM_NO_SUCH_ROUTE,
    PROBLEM_METHOD_NOT_ALLOWED,
    PROBLEM_NOT_ACCEPTABLE,
    PROBLEM_REQUEST_TIMEOUT,
    PROBLEM_CONFLICT,
    PROBLEM_GONE,
    PROBLEM_EXPIRED_CURSOR,
    PROBLEM_PAYLOAD_TOO_LARGE,
    PROBLEM_URI_TOO_LONG,
    PROBLEM_UNSUPPORTED_MEDIA_TYPE,
    PROBLEM_EXPECTATION_FAILED,
    PROBLEM_INVALID_DOCUMENTS,
    PROBLEM_RATE_LIMITED,
    PROBLEM_TOO_MANY_HEADERS,
    PROBLEM_INTERNAL,
    PROBLEM_DAMAGED_DATA,
    PROBLEM_STORAGE,
    PROBLEM_NOT_IMPLEMENTED,
    PROBLEM_OVERLOADED,
    PROBLEM_NO_INDEX,
    PROBLEM_OUT_OF_MEMORY,
    PROBLEM_STOPPING,
    PROBLEM_TIMEOUT,
    PROBLEM_NO_SPACE,
    PROBLEM_COUNT,
    PROBLEM_NONE = PROBLEM_COUNT /* all is well */
};

struct problem_row {
    const char *name; /* of the type: /problems/<name> */
    int status;
    const char *title; /* the same for every occurrence */
    const char *next;  /* what the caller can do */
};

const struct problem_row *problem_row(enum problem problem);
enum problem problem_of_code(enum med_code code);
/* The object; detail is about this occurrence, request_id may be NULL. */
void problem_json(
    enum problem problem, const char *detail, const char *request_id, struct med_jw *w);

#include "service/problem.h"

#include <stdio.h>

/* clang-format off */
static const struct problem_row rows[PROBLEM_COUNT] = {
    [PROBLEM_BAD_REQUEST] = {"bad-request", 400, "Malformed HTTP request",
        "Send a well-formed HTTP/1.1 request; the detail says what is wrong."},
    [PROBLEM_INVALID_PARAMETER] = {"invalid-parameter", 400, "Invalid parameter",
        "Correct the parameter that the detail names; /openapi.json lists what each accepts."},
    [PROBLEM_UNKNOWN_PARAMETER] = {"unknown-parameter", 400, "Unknown parameter",
        "Remove or rename the parameter; unknown ones are never ignored."},
    [PROBLEM_INVALID_JSON] = {"invalid-json", 400, "Body is not valid JSON",
        "Send one JSON object in UTF-8 without duplicate keys."},
    [PROBLEM_LIMIT_EXCEEDED] = {"limit-exceeded", 400, "A limit was exceeded",
        "Ask for less at once; the detail names the limit."},
    [PROBLEM_UNAUTHORIZED] = {"unauthorized", 401, "A valid API key is needed",
        "Send Authorization: Bearer KEY; the operator makes keys with `medicus key add`."},
    [PROBLEM_FORBIDDEN] = {"forbidden", 403, "Not allowed from here",
        "The operator can allow the origin with --allow-origin."},
    [PROBLEM_INSUFFICIENT_SCOPE] = {"insufficient-scope", 403, "The API key may not do this",
        "Use a key with the scope that the detail names."},
    [PROBLEM_NOT_FOUND] = {"not-found", 404, "Not found",
        "Check the id: search tells those of documents, the lists of jobs and generations theirs."},
    [PROBLEM_NO_SUCH_ROUTE] = {"no-such-route", 404, "No such route",
        "See /openapi.json for the routes of this server."},
    [PROBLEM_METHOD_NOT_ALLOWED] = {"method-not-allowed", 405, "Method not allowed",
        "Use one of the methods in the Allow header."},
    [PROBLEM_NOT_ACCEPTABLE] = {"not-acceptable", 406, "No acceptable representation",
        "Accept application/json, or another type that the route offers."},
    [PROBLEM_REQUEST_TIMEOUT] = {"request-timeout", 408, "The request took too long to arrive",
        "Send the whole request without pauses."},
    [PROBLEM_CONFLICT] = {"conflict", 409, "Conflict with the current state",
        "Wait until what the detail names has finished, then try again."},
    [PROBLEM_GONE] = {"gone", 410, "The document was removed",
        "Search again; what was removed is not in new results."},
    [PROBLEM_EXPIRED_CURSOR] = {"expired-cursor", 410, "The cursor's index is no longer served",
        "Send the request again without the cursor; the results begin anew."},
    [PROBLEM_PAYLOAD_TOO_LARGE] = {"payload-too-large", 413, "Body too large",
        "Send a smaller body."},
    [PROBLEM_URI_TOO_LONG] = {"uri-too-long", 414, "Request target too long",
        "Use POST with a JSON body."},
    [PROBLEM_UNSUPPORTED_MEDIA_TYPE] = {"unsupported-media-type", 415, "Unsupported media type",
        "Send the body as application/json, without Content-Encoding."},
    [PROBLEM_EXPECTATION_FAILED] = {"expectation-failed", 417, "Expectation failed",
        "Send no Expect field other than 100-continue."},
    [PROBLEM_RATE_LIMITED] = {"rate-limited", 429, "Too many requests",
        "Wait for the seconds in Retry-After; RateLimit tells what is left."},
    [PROBLEM_INVALID_DOCUMENTS] = {"invalid-documents", 422, "No document could be read",
        "Send PubMed or JATS XML, JSON Lines, or a guideline; the detail says what is wrong."},
    [PROBLEM_TOO_MANY_HEADERS] = {"too-many-headers", 431, "Too many header fields",
        "Send fewer header fields."},
    [PROBLEM_INTERNAL] = {"internal", 500, "Internal error",
        "This is a defect of the server: tell the operator, with the request id."},
    [PROBLEM_DAMAGED_DATA] = {"damaged-data", 500, "Data on disk is damaged",
        "Tell the operator; `medicus check` names the damage."},
    [PROBLEM_STORAGE] = {"storage", 500, "Reading or writing data failed",
        "Tell the operator, with the request id."},
    [PROBLEM_NOT_IMPLEMENTED] = {"not-implemented", 501, "Not implemented",
        "Use what /openapi.json describes."},
    [PROBLEM_OVERLOADED] = {"overloaded", 503, "Too many requests at once",
        "Wait for the seconds in Retry-After, then try again."},
    [PROBLEM_NO_INDEX] = {"no-index", 503, "No index is published yet",
        "Try again later; the operator publishes one with `medicus build`."},
    [PROBLEM_OUT_OF_MEMORY] = {"out-of-memory", 503, "Out of memory for this request",
        "Ask for less at once, or try again later."},
    [PROBLEM_STOPPING] = {"stopping", 503, "The server is stopping",
        "Try again in a moment."},
    [PROBLEM_TIMEOUT] = {"timeout", 504, "The answer took too long",
        "Ask for less, or try again later."},
    [PROBLEM_NO_SPACE] = {"no-space", 507, "No space left for data",
        "Tell the operator; nothing that was acknowledged is lost."},
};

static const enum problem of_code[MED_CODE_COUNT] = {
    [MED_OK] = PROBLEM_INTERNAL,
    [MED_E_USAGE] = PROBLEM_UNKNOWN_PARAMETER,
    [MED_E_INVALID] = PROBLEM_INVALID_PARAMETER,
    [MED_E_NOT_FOUND] = PROBLEM_NOT_FOUND,
    [MED_E_GONE] = PROBLEM_GONE,
    [MED_E_CONFLICT] = PROBLEM_CONFLICT,
    [MED_E_BUSY] = PROBLEM_OVERLOADED,
    [MED_E_LIMIT] = PROBLEM_LIMIT_EXCEEDED,
    [MED_E_TIMEOUT] = PROBLEM_TIMEOUT,
    [MED_E_CANCELLED] = PROBLEM_STOPPING,
    [MED_E_UNSUPPORTED] = PROBLEM_NOT_IMPLEMENTED,
    [MED_E_PERMISSION] = PROBLEM_STORAGE,
    [MED_E_NO_INDEX] = PROBLEM_NO_INDEX,
    [MED_E_CORRUPT] = PROBLEM_DAMAGED_DATA,
    [MED_E_GATE] = PROBLEM_CONFLICT,
    [MED_E_NO_SPACE] = PROBLEM_NO_SPACE,
    [MED_E_IO] = PROBLEM_STORAGE,
    [MED_E_NOMEM] = PROBLEM_OUT_OF_MEMORY,
    [MED_E_INTERNAL] = PROBLEM_INTERNAL,
};
/* clang-format on */

const struct problem_row *problem_row(enum problem problem)
{
    return &rows[(unsigned)problem < PROBLEM_COUNT ? problem : PROBLEM_INTERNAL];
}

enum problem problem_of_code(enum med_code code)
{
    return (unsigned)code < MED_CODE_COUNT ? of_code[code] : PROBLEM_INTERNAL;
}

void problem_json(
    enum problem problem, const char *detail, const char *request_id, struct med_jw *w)
{
    const struct problem_row *row = problem_row(problem);
    char type[64];
    snprintf(type, sizeof type, "/problems/%s", row->name);
    med_jw_object(w);
    med_jw_kcstr(w, "type", type);
    med_jw_kcstr(w, "title", row->title);
    med_jw_kint(w, "status", row->status);
    if (detail && *detail) med_jw_kcstr(w, "detail", detail);
    med_jw_kcstr(w, "next", row->next);
    if (request_id) med_jw_kcstr(w, "request_id", request_id);
    med_jw_object_end(w);
}

/* Headers and bodies that all routes have in common. */
#include "common/json.h"
#include "common/limits.h"
#include "service/gzip.h"
#include "service/server.h"

#include <stdio.h>
#include <string.h>

#define PACKED_MARK "-gzip"
#define PACKED_BYTES_MIN 1024 /* one packet carries less as it is */

bool media_choose(const struct http_request *request, unsigned offered, enum media *ret_media)
{
    struct med_str accept = {0};
    (void)http_header_get(request, "Accept", &accept);
    return media_negotiate(accept, offered, ret_media);
}

void respond(struct http_response *response, int status, enum media media)
{
    response->status = status;
    response->content_type = media_type(media);
}

/* What a route said about the answer that it meant to give; a problem must not be cached as one. */
static void drop_route_headers(struct http_response *response)
{
    static const char *const names[] = {"ETag", "Content-Disposition", "Server-Timing",
        "X-Total-Count", "X-Exported-Count", "X-Next-Cursor"};
    size_t kept = 0;
    for (size_t i = 0; i < response->header_count; i++) {
        bool drop = false;
        for (size_t k = 0; k < sizeof names / sizeof *names; k++)
            drop |= strcmp(response->headers[i].name, names[k]) == 0;
        if (!drop) response->headers[kept++] = response->headers[i];
    }
    response->header_count = kept;
}

void respond_problem(const struct http_request *request, struct http_response *response,
    enum problem problem, const char *detail)
{
    med_buf_reset(&response->body);
    drop_route_headers(response);
    response->status = problem_row(problem)->status;
    response->content_type = "application/problem+json";
    struct med_jw w = med_jw_of(&response->body, false);
    problem_json(problem, detail, request->id, &w);
    med_buf_putc(&response->body, '\n');
    if (response->status == 503) http_response_header(response, "Retry-After", "1");
}

void respond_error(
    const struct http_request *request, struct http_response *response, const struct med_err *err)
{
    respond_problem(request, response, problem_of_code(err->code), err->text);
}

/* 0: the caller has it not; 1: as it is; 2: packed. */
static int etag_matches(struct med_str list, struct med_str plain, struct med_str packed)
{
    for (size_t at = 0; at < list.len;) {
        struct med_str item = list_next(list, ',', &at);
        if (med_str_starts(item, MED_STR("W/"))) item = med_str_sub(item, 2, item.len);
        if (med_str_eq(item, plain) || med_str_eq(item, MED_STR("*"))) return 1;
        if (med_str_eq(item, packed)) return 2;
    }
    return 0;
}

bool respond_etag(
    const struct http_request *request, struct http_response *response, struct med_hash128 hash)
{
    char hex[MED_HASH_HEX_LEN + 1], plain[MED_HASH_HEX_LEN + 3];
    char packed[MED_HASH_HEX_LEN + sizeof PACKED_MARK + 3];
    med_hash128_hex(hash, hex);
    snprintf(plain, sizeof plain, "\"%s\"", hex);
    snprintf(packed, sizeof packed, "\"%s" PACKED_MARK "\"", hex);
    struct med_str wanted = {0};
    (void)http_header_get(request, "If-None-Match", &wanted);
    int has = etag_matches(wanted, med_str_of(plain), med_str_of(packed));
    http_response_header(response, "ETag", "%s", has == 2 ? packed : plain);
    if (!has) return false;
    med_buf_reset(&response->body);
    response->status = 304;
    response->content_type = NULL;
    return true;
}

/* A strong ETag names bytes, so the packed form has one of its own. */
static void mark_etag(struct http_response *response)
{
    for (size_t i = 0; i < response->header_count; i++) {
        char *value = response->headers[i].value;
        size_t len = strlen(value);
        if (strcmp(response->headers[i].name, "ETag") != 0 || len < 2) continue;
        if (len + sizeof PACKED_MARK > sizeof response->headers[i].value) continue;
        memcpy(value + len - 1, PACKED_MARK "\"", sizeof PACKED_MARK + 1);
    }
}

/* Compression can betray a secret that stands in a body beside text that an attacker chose (BREACH,
 * Prado, Harris and Gluck 2013). Bodies here hold no secrets: keys travel in request headers only,
 * there are no cookies, and a page of another origin can neither send a key nor see a length. */
void respond_packed(const struct http_request *request, struct http_response *response)
{
    struct med_str accepted;
    struct med_buf packed;
    if (response->status != 200 || response->body.len < PACKED_BYTES_MIN) return;
    if (!http_header_get(request, "Accept-Encoding", &accepted)) return;
    double gzip = coding_quality(accepted, "gzip");
    if (gzip <= 0 || gzip < coding_quality(accepted, "identity")) return;
    if (med_buf_status(&response->body, NULL) != MED_OK) return;
    if (!gzip_pack(med_buf_str(&response->body), &packed)) return;
    med_buf_free(&response->body);
    response->body = packed;
    http_response_header(response, "Content-Encoding", "gzip");
    mark_etag(response);
}

static bool decode(struct med_str text, struct med_arena *arena, struct med_str *ret)
{
    char *bytes = med_arena_alloc(arena, text.len + 1);
    if (!bytes) return false;
    *ret = percent_decode(text, true, bytes);
    return true;
}

enum med_code query_pairs(struct med_str query, struct med_arena *arena,
    struct query_pair **ret_pairs, size_t *ret_count, struct med_err *err)
{
    size_t count = 1;
    for (size_t i = 0; i < query.len; i++) count += query.ptr[i] == '&';
    struct query_pair *pairs = med_arena_calloc(arena, count, sizeof *pairs);
    if (!pairs) return med_fail(err, MED_E_NOMEM, "the request needs too much memory");
    count = 0;
    for (size_t at = 0; at < query.len;) {
        size_t end = at, equals;
        while (end < query.len && query.ptr[end] != '&') end++;
        for (equals = at; equals < end && query.ptr[equals] != '=';) equals++;
        struct med_str name = med_str_sub(query, at, equals);
        struct med_str value =
            equals < end ? med_str_sub(query, equals + 1, end) : (struct med_str){0};
        at = end + 1;
        if (name.len == 0 && value.len == 0) continue;
        if (!decode(name, arena, &pairs[count].name) || !decode(value, arena, &pairs[count].value))
            return med_fail(err, MED_E_NOMEM, "the request needs too much memory");
        count++;
    }
    *ret_pairs = pairs;
    *ret_count = count;
    return MED_OK;
}

bool query_true(struct med_str value)
{
    return value.len == 0 || med_str_eq(value, MED_STR("true")) || med_str_eq(value, MED_STR("1"));
}

enum med_code query_bool(struct med_str name, struct med_str value, bool *ret, struct med_err *err)
{
    *ret = query_true(value);
    if (*ret || med_str_eq(value, MED_STR("false")) || med_str_eq(value, MED_STR("0")))
        return MED_OK;
    return med_fail(err, MED_E_INVALID, MED_STR_FMT ": true or false expected", MED_STR_ARG(name));
}

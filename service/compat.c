/* What the routes that speak other services' shapes have in common. */
#include "service/compat.h"

#include "common/limits.h"
#include "common/unicode.h"

#define DOCUMENTS_PATH "/v1/documents/"

/* --- errors --- */

/* Serper: message and statusCode. Jina: code, name, status (the code with two digits more), message
 * and readableMessage. Tavily: detail.error. */
void compat_refuse(enum compat service, const struct http_request *request,
    struct http_response *response, enum problem problem, const char *detail)
{
    const struct problem_row *row = problem_row(problem);
    const char *text = detail && *detail ? detail : row->title;
    respond_problem(request, response, problem, detail); /* its status and headers */
    med_buf_reset(&response->body);
    response->content_type = media_type(MEDIA_JSON);
    struct med_jw w = med_jw_of(&response->body, false);
    med_jw_object(&w);
    if (service == COMPAT_SERPER) {
        med_jw_kcstr(&w, "message", text);
        med_jw_kint(&w, "statusCode", row->status);
    } else if (service == COMPAT_JINA) {
        med_jw_key(&w, "data");
        med_jw_null(&w);
        med_jw_kint(&w, "code", row->status);
        med_jw_kcstr(&w, "name", row->name);
        med_jw_kint(&w, "status", row->status * 100);
        med_jw_kcstr(&w, "message", text);
        med_jw_kcstr(&w, "readableMessage", text);
    } else {
        med_jw_key(&w, "detail");
        med_jw_object(&w);
        med_jw_kcstr(&w, "error", text);
        med_jw_object_end(&w);
    }
    med_jw_object_end(&w);
    med_buf_putc(&response->body, '\n');
}

void compat_error(enum compat service, const struct http_request *request,
    struct http_response *response, const struct med_err *err)
{
    compat_refuse(service, request, response, problem_of_code(err->code), err->text);
}

/* --- bodies --- */

bool compat_body(enum compat service, const struct http_request *request, bool may_be_empty,
    struct med_json **ret_body, struct http_response *response)
{
    struct med_err err = {0};
    struct med_str text = med_str_trim(med_buf_str(&request->body));
    if (text.len == 0 && may_be_empty) text = MED_STR("{}");
    if (med_json_parse(text.ptr ? text.ptr : "", text.len, ret_body, &err)) {
        compat_refuse(service, request, response, PROBLEM_INVALID_JSON, err.text);
        return false;
    }
    if (med_json_type(*ret_body) == MED_JSON_OBJECT) return true;
    (void)med_fail(&err, MED_E_INVALID, "the body must be a JSON object, not %s",
        med_json_type_name(med_json_type(*ret_body)));
    compat_error(service, request, response, &err);
    med_json_free(ret_body);
    return false;
}

bool compat_key(
    const struct http_request *request, struct med_arena *arena, struct med_str *ret_secret)
{
    struct med_json *body;
    struct med_str text = med_buf_str(&request->body);
    *ret_secret = (struct med_str){0};
    if (med_json_parse(text.ptr ? text.ptr : "", text.len, &body, NULL)) return true;
    struct med_str key = med_json_get_str(body, "api_key");
    bool fits = key.len == 0 || med_arena_str(arena, key, ret_secret);
    med_json_free(&body);
    return fits;
}

enum med_code compat_number(const struct med_json *body, const char *name, long long min,
    long long max, long long *ret, struct med_err *err)
{
    const struct med_json *v = med_json_get(body, name);
    const long long exact = 1ll << 53; /* every number above is whole */
    unsigned long long digits = 0;
    long long n = 0;
    if (!v || med_json_type(v) == MED_JSON_NULL) return MED_OK;
    bool whole;
    if (med_json_type(v) == MED_JSON_STRING) {
        whole = med_str_to_u64(med_json_string(v), &digits);
        n = digits < (uint64_t)max ? (long long)digits : max;
    } else {
        whole = med_json_int(v, min, exact, &n) || med_json_number(v) > (double)exact;
        if (med_json_number(v) > (double)max) n = max;
    }
    if (!whole || n < min)
        return med_fail(err, MED_E_INVALID, "%s: a whole number from %lld expected", name, min);
    *ret = n;
    return MED_OK;
}

/* --- search --- */

enum med_code compat_search(struct server *server, struct worker_state *worker,
    const struct med_index *index, const struct med_search_request *request,
    struct med_answer **ret_answer, struct med_err *err)
{
    struct med_search_request asked = *request;
    enum med_code code =
        med_search(index, worker->searcher, &asked, worker->arena, ret_answer, err);
    if (code == MED_E_INVALID) {
        asked.literal = true;
        code = med_search(index, worker->searcher, &asked, worker->arena, ret_answer, err);
    }
    if (!code) count_stages(server, *ret_answer);
    return code;
}

void compat_title(struct med_str title, uint32_t flags, struct med_buf *out)
{
    flags &= MED_FLAG_RETRACTED | MED_FLAG_RETRACTION_NOTICE | MED_FLAG_CONCERN;
    struct med_buf text;
    med_buf_init(&text, MED_KIB);
    flags_text(flags, &text);
    struct med_str marks = med_str_trim(med_buf_str(&text));
    if (marks.len) {
        med_buf_append_str(out, marks);
        med_buf_putc(out, ' ');
    }
    med_buf_append_str(out, title);
    med_buf_free(&text);
}

/* --- reading --- */

static struct med_str cut(struct med_str s, struct med_str prefix)
{
    return med_str_starts(s, prefix) ? med_str_sub(s, prefix.len, s.len) : s;
}

/* "http://<host>/v1/documents/pmid%3A1?x" -> "pmid%3A1", when the host is this server by the name
 * that the operator gave it or by the one that the request used; else false. */
static bool is_own_link(const struct server *server, const struct http_request *request,
    struct med_str given, struct med_str *ret_id)
{
    struct med_str path = MED_STR(DOCUMENTS_PATH), host = {0};
    struct med_str rest = cut(given, server->public_url);
    struct med_str behind_scheme = cut(cut(given, MED_STR("https://")), MED_STR("http://"));
    if (rest.len == given.len && behind_scheme.len < given.len &&
        http_header_get(request, "Host", &host))
        rest = cut(behind_scheme, med_str_trim(host));
    if (!med_str_starts(rest, path)) return false;
    size_t end = path.len;
    while (end < rest.len && rest.ptr[end] != '?' && rest.ptr[end] != '#') end++;
    *ret_id = med_str_sub(rest, path.len, end);
    return true;
}

static enum med_code fetch_whole(const struct served *served, uint32_t sources, struct med_str id,
    struct med_arena *arena, struct med_fetched **ret_fetched, struct selection *ret_selection,
    struct med_err *err)
{
    struct fetch_params params = {0};
    if (!med_utf8_valid(id.ptr, id.len))
        return med_fail(err, MED_E_INVALID, "the address is not valid UTF-8");
    enum med_code code =
        med_fetch(served->store, served->index, sources, id, arena, ret_fetched, err);
    return code ? code : document_select(*ret_fetched, &params, arena, ret_selection, err);
}

static bool decoded(struct med_str text, struct med_arena *arena, struct med_str *ret)
{
    char *bytes = med_arena_alloc(arena, text.len + 1);
    if (bytes) *ret = percent_decode(text, false, bytes);
    return bytes;
}

/* Ids and addresses are tried as they came before a "%" in them is taken for an encoding. */
enum med_code compat_read(struct server *server, struct worker_state *worker,
    const struct served *served, const struct http_request *request, struct med_str given,
    struct med_fetched **ret_fetched, struct selection *ret_selection, struct med_err *err)
{
    struct med_str id = med_str_trim(given), plain;
    enum med_code code = MED_E_NOT_FOUND;
    for (int tries = 0; code == MED_E_NOT_FOUND && tries < 3; tries++) {
        if (is_own_link(server, request, id, &id)) {
            if (!decoded(id, worker->arena, &id))
                return med_fail(err, MED_E_NOMEM, "the request needs too much memory");
        }
        code = fetch_whole(served, request->caller.source_mask, id, worker->arena, ret_fetched,
            ret_selection, err);
        if (!code) audit_id(&worker->ids, (*ret_fetched)->doc->id);
        if (code != MED_E_NOT_FOUND) break;
        if (!decoded(id, worker->arena, &plain))
            return med_fail(err, MED_E_NOMEM, "the request needs too much memory");
        if (plain.len == id.len) break;
        id = plain;
    }
    if (code == MED_E_NOT_FOUND)
        return med_fail(err, code, "nothing here has the address or id %.*s",
            (int)(id.len < 200 ? id.len : 200), id.ptr ? id.ptr : "");
    return code;
}

/* Documents in the shapes of Jina Reader and Tavily: /compat/jina and /compat/tavily/extract. */
#include "service/compat.h"

#include "common/clock.h"
#include "common/limits.h"

#define JINA_PATH "/compat/jina/"
#define EXTRACT_URLS_MAX 20
#define CHARS_PER_TOKEN 4

/* --- Jina Reader --- */

/* What to read: behind the path, with its query string if it is an address, or the body's url. A
 * proxy may have made one slash of two. */
static enum med_code read_jina(const struct http_request *r, const struct med_json *body,
    struct med_arena *arena, struct med_str *ret_given, struct med_err *err)
{
    const struct med_json *url = med_json_get(body, "url");
    if (body && med_json_type(url) != MED_JSON_STRING)
        return med_fail(err, MED_E_INVALID, "url is missing: the address or id to read");
    struct med_str given =
        body ? med_json_string(url) : med_str_sub(r->path, sizeof JINA_PATH - 1, r->path.len);
    struct med_str scheme = {0}, rest = given;
    if (med_str_starts(given, MED_STR("https:/"))) scheme = MED_STR("https://");
    if (med_str_starts(given, MED_STR("http:/"))) scheme = MED_STR("http://");
    if (scheme.len) rest = med_str_sub(given, scheme.len - 1, given.len);
    while (scheme.len && rest.len && rest.ptr[0] == '/') rest = med_str_sub(rest, 1, rest.len);
    bool with_query = !body && scheme.len && r->query.len;
    char *text = med_arena_printf(arena, MED_STR_FMT MED_STR_FMT "%s" MED_STR_FMT,
        MED_STR_ARG(scheme), MED_STR_ARG(rest), with_query ? "?" : "",
        with_query ? (int)r->query.len : 0, with_query ? r->query.ptr : "");
    if (!text) return med_fail(err, MED_E_NOMEM, "the request needs too much memory");
    *ret_given = med_str_trim(med_str_of(text));
    if (ret_given->len == 0) return med_fail(err, MED_E_INVALID, "url is empty");
    return MED_OK;
}

/* What there is to show of a document, once for both renderings. */
struct page {
    struct med_buf title, url, date, content;
};

static void page_init(struct page *page)
{
    med_buf_init(&page->title, MED_MIB);
    med_buf_init(&page->url, MED_MIB);
    med_buf_init(&page->date, MED_KIB);
    med_buf_init(&page->content, MED_RESPONSE_BYTES_MAX);
}

static void page_free(struct page *page)
{
    med_buf_free(&page->title);
    med_buf_free(&page->url);
    med_buf_free(&page->date);
    med_buf_free(&page->content);
}

static void page_fill(struct page *page, const struct server *server, const struct med_fetched *f,
    const struct selection *selection)
{
    struct view view = {.public_url = server->public_url};
    compat_title(f->doc->title, f->flags, &page->title);
    document_url(&view, f->doc->url, f->doc->id, &page->url);
    date_text(f->doc->date, &page->date);
    document_markdown(&view, f, selection, &page->content);
}

static void jina_text(const struct page *page, struct med_buf *out)
{
    med_buf_puts(out, "Title: ");
    med_buf_append_str(out, med_buf_str(&page->title));
    med_buf_puts(out, "\n\nURL Source: ");
    med_buf_append_str(out, med_buf_str(&page->url));
    if (page->date.len) {
        med_buf_puts(out, "\n\nPublished Time: ");
        med_buf_append_str(out, med_buf_str(&page->date));
    }
    med_buf_puts(out, "\n\nMarkdown Content:\n");
    med_buf_append_str(out, med_buf_str(&page->content));
}

static void usage_json(const struct page *page, struct med_jw *w)
{
    med_jw_key(w, "usage");
    med_jw_object(w);
    med_jw_kint(w, "tokens", (long long)(page->content.len / CHARS_PER_TOKEN + 1));
    med_jw_object_end(w);
}

static void jina_json(const struct page *page, struct med_buf *out)
{
    struct med_jw w = med_jw_of(out, false);
    med_jw_object(&w);
    med_jw_kint(&w, "code", 200);
    med_jw_kint(&w, "status", 20000);
    med_jw_key(&w, "data");
    med_jw_object(&w);
    med_jw_kstr(&w, "title", med_buf_str(&page->title));
    med_jw_kcstr(&w, "description", "");
    med_jw_kstr(&w, "url", med_buf_str(&page->url));
    med_jw_kstr(&w, "content", med_buf_str(&page->content));
    if (page->date.len) med_jw_kstr(&w, "publishedTime", med_buf_str(&page->date));
    usage_json(page, &w);
    med_jw_object_end(&w);
    med_jw_key(&w, "meta");
    med_jw_object(&w);
    usage_json(page, &w);
    med_jw_object_end(&w);
    med_jw_object_end(&w);
    med_buf_putc(out, '\n');
}

/* Text unless JSON is asked for by name: this service's clients accept anything and expect text. */
static enum media jina_media(const struct http_request *r)
{
    enum media media = MEDIA_TEXT;
    struct med_str accept;
    if (!http_header_get(r, "Accept", &accept)) return MEDIA_TEXT;
    (void)media_choose(r, 1u << MEDIA_JSON | 1u << MEDIA_TEXT, &media);
    for (size_t i = 0; i + 4 <= accept.len; i++) {
        if (med_str_eq_nocase(med_str_sub(accept, i, i + 4), MED_STR("json"))) return media;
    }
    return MEDIA_TEXT;
}

static enum med_code jina(struct server *server, struct worker_state *worker,
    const struct http_request *request, struct med_str given, struct http_response *response,
    struct med_err *err)
{
    struct served served;
    struct med_fetched *fetched;
    struct selection selection;
    struct page page;
    if (!serving_acquire(server->serving, 0, &served))
        return med_fail(err, MED_E_NO_INDEX, "nothing can be read yet");
    enum med_code code =
        compat_read(server, worker, &served, request, given, &fetched, &selection, err);
    if (code) {
        serving_release(&served);
        return code;
    }
    enum media media = jina_media(request);
    page_init(&page);
    page_fill(&page, server, fetched, &selection);
    serving_release(&served);
    respond(response, 200, media);
    if (media == MEDIA_JSON)
        jina_json(&page, &response->body);
    else
        jina_text(&page, &response->body);
    code = med_buf_status(&page.content, err);
    page_free(&page);
    return code;
}

void route_jina(struct server *server, struct worker_state *worker,
    const struct http_request *request, struct http_response *response)
{
    struct med_err err = {0};
    struct med_json *body = NULL;
    struct med_str given;
    bool is_post = med_str_eq(request->method, MED_STR("POST"));
    if (is_post && !compat_body(COMPAT_JINA, request, false, &body, response)) return;
    enum med_code code = read_jina(request, body, worker->arena, &given, &err);
    if (!code) code = jina(server, worker, request, given, response, &err);
    err.code = code;
    if (code) compat_error(COMPAT_JINA, request, response, &err);
    if (body) med_json_free(&body);
}

/* --- Tavily extract --- */

struct extract {
    struct med_str urls[EXTRACT_URLS_MAX];
    size_t count;
    bool text;
};

static enum med_code add_url(struct extract *x, const struct med_json *v, struct med_err *err)
{
    struct med_str url = med_str_trim(med_json_string(v));
    if (url.len == 0) return med_fail(err, MED_E_INVALID, "urls: addresses or ids expected");
    if (x->count == EXTRACT_URLS_MAX)
        return med_fail(err, MED_E_LIMIT, "urls: at most %d at once", EXTRACT_URLS_MAX);
    x->urls[x->count++] = url;
    return MED_OK;
}

static enum med_code read_extract(
    const struct med_json *body, struct extract *x, struct med_err *err)
{
    const struct med_json *urls = med_json_get(body, "urls");
    const struct med_json *format = med_json_get(body, "format");
    struct med_str word = med_json_string(format);
    enum med_code code = MED_OK;
    if (urls && med_json_type(urls) == MED_JSON_STRING) code = add_url(x, urls, err);
    if (urls && med_json_type(urls) == MED_JSON_ARRAY) {
        for (const struct med_json *v = med_json_first(urls); v && !code; v = med_json_next(v))
            code = add_url(x, v, err);
    }
    if (code) return code;
    if (x->count == 0)
        return med_fail(err, MED_E_INVALID, "urls is missing: one address or a list of them");
    x->text = med_str_eq(word, MED_STR("text"));
    if (format && !x->text && !med_str_eq(word, MED_STR("markdown")))
        return med_fail(err, MED_E_INVALID, "format: \"markdown\" or \"text\" expected");
    return MED_OK;
}

/* One of the list; what cannot be read stands in failed. */
static enum med_code extract_one(struct server *server, struct worker_state *worker,
    const struct served *served, const struct http_request *request, const struct extract *x,
    struct med_str url, struct med_jw *results, struct med_jw *failed, struct med_err *err)
{
    struct med_fetched *fetched;
    struct selection selection;
    struct page page;
    struct med_err one = {0};
    med_arena_reset(worker->arena);
    enum med_code code =
        compat_read(server, worker, served, request, url, &fetched, &selection, &one);
    if (code && problem_row(problem_of_code(code))->status >= 500) {
        *err = one;
        return code;
    }
    if (code) {
        med_jw_object(failed);
        med_jw_kstr(failed, "url", url);
        med_jw_kcstr(failed, "error", one.text);
        med_jw_object_end(failed);
        return MED_OK;
    }
    page_init(&page);
    page_fill(&page, server, fetched, &selection);
    med_jw_object(results);
    med_jw_kstr(results, "url", url);
    med_jw_kstr(results, "title", med_buf_str(&page.title));
    med_jw_kstr(results, "raw_content", x->text ? selection.text : med_buf_str(&page.content));
    med_jw_key(results, "images");
    med_jw_array(results);
    med_jw_array_end(results);
    med_jw_object_end(results);
    code = med_buf_status(&page.content, err);
    page_free(&page);
    return code;
}

static enum med_code extract(struct server *server, struct worker_state *worker,
    const struct http_request *request, const struct extract *x, struct med_buf *out,
    struct med_err *err)
{
    struct served served;
    struct med_buf failures;
    if (!serving_acquire(server->serving, 0, &served))
        return med_fail(err, MED_E_NO_INDEX, "nothing can be read yet");
    med_buf_init(&failures, MED_MIB);
    enum med_code code = MED_OK;
    struct med_jw w = med_jw_of(out, false), failed = med_jw_of(&failures, false);
    med_jw_array(&failed);
    med_jw_object(&w);
    med_jw_key(&w, "results");
    med_jw_array(&w);
    for (size_t i = 0; !code && i < x->count; i++)
        code = extract_one(server, worker, &served, request, x, x->urls[i], &w, &failed, err);
    med_jw_array_end(&w);
    med_jw_array_end(&failed);
    serving_release(&served);
    med_jw_key(&w, "failed_results");
    med_jw_raw(&w, med_buf_str(&failures));
    med_jw_key(&w, "response_time");
    med_jw_float(&w, (double)(med_now_ns() - request->start_ns) * 1e-9, 6);
    med_jw_kcstr(&w, "request_id", request->id);
    med_jw_object_end(&w);
    med_buf_putc(out, '\n');
    if (!code) code = med_buf_status(&failures, err);
    med_buf_free(&failures);
    return code;
}

void route_tavily_extract(struct server *server, struct worker_state *worker,
    const struct http_request *request, struct http_response *response)
{
    struct extract x = {0};
    struct med_err err = {0};
    struct med_json *body = NULL;
    if (!compat_body(COMPAT_TAVILY, request, false, &body, response)) return;
    enum med_code code = read_extract(body, &x, &err);
    if (!code) code = extract(server, worker, request, &x, &response->body, &err);
    err.code = code;
    if (code)
        compat_error(COMPAT_TAVILY, request, response, &err);
    else
        respond(response, 200, MEDIA_JSON);
    med_json_free(&body);
}

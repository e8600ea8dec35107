/* Documents by id, in every form, within a budget of tokens for the whole answer. */
#include "service/fetch_many.h"

#include "common/limits.h"
#include "common/unicode.h"
#include "service/citation.h"
#include "service/problem.h"

#define TEXT_TOKENS_MIN 20 /* shorter pieces of text are not worth showing */
#define ATTEMPTS_MAX 8
#define FRAME_BYTES 400 /* of an answer with several documents, its last ids not counted */

enum med_code fetch_load(const struct fetch_source *source, struct med_str id,
    struct med_arena *arena, struct med_fetched **ret_fetched, struct med_err *err)
{
    if (!med_utf8_valid(id.ptr, id.len))
        return med_fail(err, MED_E_INVALID, "the id is not valid UTF-8");
    enum med_code code =
        med_fetch(source->store, source->index, source->sources, id, arena, ret_fetched, err);
    if (!code) audit_id(source->ids, id);
    return code;
}

struct form {
    enum media media;
    struct view view;
};

static void render(void *ctx, const struct med_fetched *f, const struct selection *s, bool brief,
    struct med_buf *out)
{
    struct form *form = ctx;
    struct view *view = &form->view;
    view->brief = brief;
    if (form->media == MEDIA_MARKDOWN) {
        document_markdown(view, f, s, out);
    } else if (form->media == MEDIA_TEXT) {
        document_text(view, f, s, out);
    } else {
        struct med_jw w = med_jw_of(out, view->pretty && form->media == MEDIA_JSON);
        document_json(view, f, s, &w);
        if (form->media == MEDIA_NDJSON) med_buf_putc(out, '\n');
    }
}

enum med_code fetch_fitted(const struct med_fetched *f, const struct fetch_params *params,
    size_t budget, fetch_render_fn write, void *ctx, struct med_arena *arena, struct med_buf *out,
    size_t *ret_needed, struct med_err *err)
{
    struct fetch_params part = *params;
    struct selection s;
    size_t mark = out->len;
    part.max_tokens = budget ? budget / MED_BYTES_PER_TOKEN + 1 : 0;
    *ret_needed = 0;
    for (int attempt = 0;; attempt++) {
        if (budget && part.max_tokens < TEXT_TOKENS_MIN) part.max_tokens = TEXT_TOKENS_MIN;
        enum med_code code = document_select(f, &part, arena, &s, err);
        if (code) return code;
        write(ctx, f, &s, attempt > 0 && !part.outline, out);
        size_t size = out->len - mark;
        if (!budget || size <= budget || out->code) return med_buf_status(out, err);
        out->len = mark;
        size_t over = size - budget;
        if (attempt > 0 && (part.outline || part.max_tokens == TEXT_TOKENS_MIN)) {
            *ret_needed = size;
            return MED_OK;
        }
        bool worth = attempt < ATTEMPTS_MAX && s.text.len > over;
        if (attempt > 0) part.max_tokens = worth ? (s.text.len - over) / MED_BYTES_PER_TOKEN : 0;
    }
}

static enum med_code write_fitted(enum media media, const struct view *view,
    const struct fetch_params *params, const struct med_fetched *f, size_t budget,
    struct med_arena *arena, struct med_buf *out, size_t *ret_needed, struct med_err *err)
{
    struct form form = {.media = media, .view = *view};
    form.view.outline = params->outline;
    return fetch_fitted(f, params, budget, render, &form, arena, out, ret_needed, err);
}

enum med_code fetch_too_few(
    uint64_t tokens, const char *what, size_t needed_bytes, struct med_err *err)
{
    return med_fail(err, MED_E_INVALID,
        "max_tokens: %llu are too few for %s; it takes at least %zu", (unsigned long long)tokens,
        what, needed_bytes / MED_BYTES_PER_TOKEN + 1);
}

static void write_citation(enum media media, const struct view *view, const struct med_fetched *f,
    size_t index, bool many, struct med_buf *out)
{
    struct citation citation = {
        .doc = f->doc, .flags = f->flags, .links = f->links, .link_count = f->link_count};
    citation_write(media, view, &citation, index, many, out);
}

static enum med_code check_form(
    enum media media, const struct fetch_params *params, struct med_err *err)
{
    bool parts = params->max_tokens || params->section_count || params->window ||
                 params->start_byte || params->outline;
    if (!(MEDIA_CITATIONS & MEDIA_BIT(media)) || !parts) return MED_OK;
    return med_fail(err, MED_E_INVALID,
        "sections, window, start_byte, view and max_tokens have no place in a citation");
}

enum med_code fetch_one(enum media media, const struct fetch_source *source,
    const struct view *view, const struct fetch_params *params, struct med_str id,
    struct med_arena *arena, struct med_buf *out, struct med_err *err)
{
    struct med_fetched *f;
    size_t budget = (size_t)params->max_tokens * MED_BYTES_PER_TOKEN, mark = out->len;
    size_t needed;
    enum med_code code = check_form(media, params, err);
    if (!code) code = fetch_load(source, id, arena, &f, err);
    if (code) return code;
    if (MEDIA_CITATIONS & MEDIA_BIT(media)) {
        citation_begin(media, out);
        write_citation(media, view, f, 0, false, out);
        citation_end(media, out);
        if (out->len == mark && !out->code)
            return med_fail(err, MED_E_INVALID,
                "format: NBIB is PubMed's, and this document has no PMID; take another form");
        return MED_OK;
    }
    if (budget) budget--; /* the line's end */
    code = write_fitted(media, view, params, f, budget, arena, out, &needed, err);
    if (!code && needed) return fetch_too_few(params->max_tokens, "this document", needed + 1, err);
    if (!code && media == MEDIA_JSON) med_buf_putc(out, '\n');
    return code;
}

/* --- several --- */

struct fetcher {
    enum media media;
    const struct fetch_source *source;
    const struct view *view;
    const struct fetch_params *params;
    struct med_arena *arena;
    struct med_buf *out;
    struct med_buf one;
    size_t start;  /* of the answer in out */
    size_t budget; /* bytes; 0 = none */
    size_t written, errors;
};

/* The caller's fault with one id; anything else is a failure of the whole request. */
static bool is_about_the_id(enum med_code code)
{
    return code == MED_E_NOT_FOUND || code == MED_E_GONE || code == MED_E_INVALID ||
           code == MED_E_LIMIT;
}

static void write_error(struct fetcher *k, struct med_str id, const struct med_err *err)
{
    if (MEDIA_CITATIONS & MEDIA_BIT(k->media)) return; /* they have no place for it */
    if (k->media > MEDIA_NDJSON) {
        med_buf_append_str(&k->one, id);
        med_buf_printf(&k->one, ": %s\n", err->text);
        return;
    }
    struct med_jw w = med_jw_of(&k->one, k->view->pretty && k->media == MEDIA_JSON);
    med_jw_object(&w);
    med_jw_kstr(&w, "id", id);
    med_jw_key(&w, "error");
    problem_json(problem_of_code(err->code), err->text, NULL, &w);
    med_jw_object_end(&w);
    if (k->media == MEDIA_NDJSON) med_buf_putc(&k->one, '\n');
}

/* One document, or its error, into k->one. *ret_needed: where the bytes left do not suffice, what
 * it takes. */
static enum med_code make_one(struct fetcher *k, struct med_str id, size_t left, size_t *ret_needed,
    bool *ret_error, struct med_err *err)
{
    struct med_fetched *f;
    struct med_err one = {0};
    med_arena_reset(k->arena);
    med_buf_reset(&k->one);
    *ret_needed = 0;
    *ret_error = false;
    enum med_code code = fetch_load(k->source, id, k->arena, &f, &one);
    if (!code && MEDIA_CITATIONS & MEDIA_BIT(k->media)) {
        write_citation(k->media, k->view, f, k->written, true, &k->one);
    } else if (!code) {
        code = write_fitted(k->media, k->view, k->params, f, k->budget ? left : 0, k->arena,
            &k->one, ret_needed, &one);
        if (!code && *ret_needed) return MED_OK;
    }
    if (code && !is_about_the_id(code)) {
        *err = one;
        return code;
    }
    if (code) {
        med_buf_reset(&k->one);
        one.code = code;
        write_error(k, id, &one);
        *ret_error = true;
    }
    if (k->budget && k->one.len > left) *ret_needed = k->one.len;
    return MED_OK;
}

/* At most, in a list: with quotes, escapes and indentation. */
static size_t ids_bytes(const struct med_str *ids, size_t from, size_t count)
{
    size_t bytes = 0;
    for (size_t i = from; i < count; i++) {
        for (size_t k = 0; k < ids[i].len; k++) {
            unsigned char c = (unsigned char)ids[i].ptr[k];
            bytes += c < ' ' ? 6 : c == '"' || c == '\\' ? 2 : 1;
        }
        bytes += 12;
    }
    return bytes;
}

/* What max_tokens left out. */
static void rest_json(const struct med_str *ids, size_t done, size_t count, struct med_jw *w)
{
    if (done == count) return;
    med_jw_kbool(w, "truncated", true);
    med_jw_key(w, "rest");
    med_jw_array(w);
    for (size_t i = done; i < count; i++) med_jw_str(w, ids[i]);
    med_jw_array_end(w);
}

static void end_json(
    const struct fetcher *k, const struct med_str *ids, size_t done, size_t count, struct med_jw *w)
{
    med_jw_array_end(w);
    rest_json(ids, done, count, w);
    if (k->view->manifest) meta_json(k->view, k->view->manifest, w);
    med_jw_object_end(w);
    med_buf_putc(k->out, '\n');
}

static void separate(struct fetcher *k, struct med_jw *w)
{
    if (k->media == MEDIA_JSON)
        embed_json(w, med_buf_str(&k->one));
    else if (k->written && (k->media == MEDIA_TEXT || k->media == MEDIA_MARKDOWN))
        med_buf_puts(k->out, "\n----\n\n");
    if (k->media != MEDIA_JSON) med_buf_append_str(k->out, med_buf_str(&k->one));
}

enum med_code fetch_many(enum media media, const struct fetch_source *source,
    const struct view *view, const struct fetch_params *params, const struct med_str *ids,
    size_t count, struct med_arena *arena, struct med_buf *out, size_t *ret_errors,
    struct med_err *err)
{
    struct view plain = *view;
    plain.manifest = NULL;
    struct fetcher k = {.media = media,
        .source = source,
        .view = &plain,
        .params = params,
        .arena = arena,
        .out = out,
        .start = out->len,
        .budget = (size_t)params->max_tokens * MED_BYTES_PER_TOKEN};
    struct med_jw w = med_jw_of(out, view->pretty && media == MEDIA_JSON);
    enum med_code code = check_form(media, params, err);
    if (code) return code;
    med_buf_init(&k.one, MED_RESPONSE_BYTES_MAX);
    citation_begin(media, out);
    if (media == MEDIA_JSON) {
        med_jw_object(&w);
        med_jw_key(&w, "documents");
        med_jw_array(&w);
    }
    size_t i = 0, spent = 0, needed = 0;
    for (; !code && i < count; i++) {
        bool failed;
        spent = out->len - k.start + FRAME_BYTES + ids_bytes(ids, i, count);
        size_t left = k.budget > spent ? k.budget - spent : 1;
        if (view->pretty) left -= left / 4; /* indentation */
        code = make_one(&k, ids[i], left, &needed, &failed, err);
        if (code || needed) break;
        separate(&k, &w);
        k.written += k.one.len > 0;
        k.errors += failed;
    }
    if (!code && needed && i == 0)
        code = fetch_too_few(params->max_tokens, "the first document and the list of ids",
            spent + needed + (view->pretty ? needed / 3 + 4 : 0), err);
    k.view = view;
    if (!code && media == MEDIA_JSON) end_json(&k, ids, i, count, &w);
    if (!code && i < count && media == MEDIA_NDJSON) {
        med_jw_object(&w);
        rest_json(ids, i, count, &w);
        med_jw_object_end(&w);
        med_buf_putc(out, '\n');
    }
    if (!code && i < count && (media == MEDIA_TEXT || media == MEDIA_MARKDOWN)) {
        med_buf_puts(out, "\n----\n\nLeft out by max_tokens:");
        for (size_t r = i; r < count; r++) {
            med_buf_puts(out, r > i ? ", " : " ");
            med_buf_append_str(out, ids[r]);
        }
        med_buf_putc(out, '\n');
    }
    citation_end(media, out);
    med_buf_free(&k.one);
    *ret_errors = k.errors;
    return code;
}

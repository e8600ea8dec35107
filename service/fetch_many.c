/* Documents by id, in every form, within a budget of tokens for the whole answer. */
#include "service/fetch_many.h"

#include "common/limits.h"
#include "common/unicode.h"
#include "service/citation.h"
#include "service/problem.h"

#define TEXT_BYTES_MIN 80 /* shorter pieces of text are not worth showing */
#define FRAME_BYTES 400   /* of an answer with several documents, its last ids not counted */

static enum med_code load(const struct fetch_source *source, struct med_str id,
    struct med_arena *arena, struct med_fetched **ret_fetched, struct med_err *err)
{
    if (!med_utf8_valid(id.ptr, id.len))
        return med_fail(err, MED_E_INVALID, "the id is not valid UTF-8");
    enum med_code code =
        med_fetch(source->store, source->index, source->sources, id, arena, ret_fetched, err);
    if (!code) audit_id(source->ids, id);
    return code;
}

static void render(enum media media, const struct view *view, const struct med_fetched *f,
    const struct selection *s, struct med_buf *out)
{
    if (media == MEDIA_MARKDOWN) {
        document_markdown(view, f, s, out);
    } else if (media == MEDIA_TEXT) {
        document_text(view, f, s, out);
    } else {
        struct med_jw w = med_jw_of(out, view->pretty && media == MEDIA_JSON);
        document_json(view, f, s, &w);
        if (media == MEDIA_NDJSON) med_buf_putc(out, '\n');
    }
}

/* The document within a budget of bytes (0 = none): first without its lists, then with less text.
 */
static enum med_code write_fitted(enum media media, const struct view *given,
    const struct fetch_params *params, const struct med_fetched *f, size_t budget,
    struct med_arena *arena, struct med_buf *out, struct med_err *err)
{
    struct view view = *given;
    struct fetch_params part = *params;
    struct selection s;
    size_t mark = out->len;
    view.outline = params->outline;
    if (budget) part.max_tokens = budget / MED_BYTES_PER_TOKEN + 1;
    for (int attempt = 0;; attempt++) {
        enum med_code code = document_select(f, &part, arena, &s, err);
        if (code) return code;
        render(media, &view, f, &s, out);
        size_t size = out->len - mark;
        if (!budget || size <= budget || out->code) return med_buf_status(out, err);
        out->len = mark;
        size_t over = size - budget;
        if (attempt == 0 && media <= MEDIA_NDJSON && !view.outline) {
            view.brief = true;
        } else if (attempt < 8 && s.text.len > over + TEXT_BYTES_MIN) {
            part.max_tokens = (s.text.len - over) / MED_BYTES_PER_TOKEN;
        } else {
            size_t spare = s.text.len > TEXT_BYTES_MIN ? s.text.len - TEXT_BYTES_MIN : 0;
            return med_fail(err, MED_E_INVALID,
                "max_tokens: %zu are too few for this document; it takes at least %zu",
                (budget + MED_BYTES_PER_TOKEN - 1) / MED_BYTES_PER_TOKEN,
                (size - spare) / MED_BYTES_PER_TOKEN + 2);
        }
    }
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
    enum med_code code = check_form(media, params, err);
    if (!code) code = load(source, id, arena, &f, err);
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
    code = write_fitted(media, view, params, f, budget, arena, out, err);
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

/* One document, or its error, into k->one. *ret_full: the budget does not suffice for it. */
static enum med_code make_one(struct fetcher *k, struct med_str id, size_t left, bool *ret_full,
    bool *ret_error, struct med_err *err)
{
    struct med_fetched *f;
    struct med_err one = {0};
    med_arena_reset(k->arena);
    med_buf_reset(&k->one);
    *ret_full = *ret_error = false;
    enum med_code code = load(k->source, id, k->arena, &f, &one);
    if (!code && MEDIA_CITATIONS & MEDIA_BIT(k->media)) {
        write_citation(k->media, k->view, f, k->written, true, &k->one);
    } else if (!code) {
        struct med_err fit = {0};
        struct fetch_params all = *k->params;
        struct selection s;
        code = document_select(f, &all, k->arena, &s, &one); /* faults of the id come first */
        if (!code && write_fitted(k->media, k->view, k->params, f, k->budget ? left : 0, k->arena,
                         &k->one, &fit)) {
            *ret_full = true;
            *err = fit;
            return MED_OK;
        }
    }
    if (code && !is_about_the_id(code)) {
        *err = one;
        return code;
    }
    if (code) {
        one.code = code;
        write_error(k, id, &one);
        *ret_error = true;
    }
    *ret_full = k->budget && k->one.len > left;
    return MED_OK;
}

/* JSON escapes of ids are rare: twice their length is enough. */
static size_t ids_bytes(const struct med_str *ids, size_t from, size_t count)
{
    size_t bytes = 0;
    for (size_t i = from; i < count; i++) bytes += 2 * ids[i].len + 16;
    return bytes;
}

static void end_json(
    const struct fetcher *k, const struct med_str *ids, size_t done, size_t count, struct med_jw *w)
{
    med_jw_array_end(w);
    if (done < count) {
        med_jw_kbool(w, "truncated", true);
        med_jw_key(w, "rest");
        med_jw_array(w);
        for (size_t i = done; i < count; i++) med_jw_str(w, ids[i]);
        med_jw_array_end(w);
    }
    if (k->view->manifest) meta_json(k->view->manifest, w);
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
    size_t i = 0;
    for (; !code && i < count; i++) {
        bool full, failed;
        size_t spent = out->len - k.start + FRAME_BYTES + ids_bytes(ids, i, count);
        size_t left = k.budget > spent ? k.budget - spent : 1;
        if (view->pretty) left -= left / 4; /* indentation */
        code = make_one(&k, ids[i], left, &full, &failed, err);
        if (code || full) break;
        separate(&k, &w);
        k.written += k.one.len > 0;
        k.errors += failed;
    }
    if (!code && i < count && i == 0)
        code = med_fail(err, MED_E_INVALID,
            "max_tokens: %llu are too few for the first document and %zu ids",
            (unsigned long long)params->max_tokens, count);
    k.view = view;
    if (!code && media == MEDIA_JSON) end_json(&k, ids, i, count, &w);
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

/* Search answers within a budget of tokens. A token counts as MED_BYTES_PER_TOKEN bytes of the
 * answer as it is sent, whatever its form: each part is rendered to learn its size. */
#include "service/answer.h"

#include "common/limits.h"
#include "service/citation.h"

/* Of a concise result without max_tokens; the frame gets as much: ten take less than 1,500 tokens.
 */
#define CONCISE_BYTES (134 * MED_BYTES_PER_TOKEN)
#define SEPARATOR_BYTES 8 /* a comma, an indentation, a longer number in front of a result */
#define TIMES_BYTES 16    /* the times that explain tells have other digits the next time */
#define CUT_MARK_BYTES 32 /* "truncated" of a result whose text is cut */
#define TEXT_BYTES_MIN 80 /* shorter pieces of text are not worth showing */
#define TEXT_SPARE_BYTES (CUT_MARK_BYTES + TEXT_BYTES_MIN)

struct fitter {
    enum media media;
    struct view *view;
    const struct search_params *params;
    const struct med_manifest *manifest;
    struct med_answer *answer;
    struct med_arena *arena;
    struct med_buf scratch;
};

/* The documents of the results, each once. */
static void citations(
    enum media media, const struct view *view, const struct med_answer *answer, struct med_buf *out)
{
    size_t written = 0;
    citation_begin(media, out);
    for (size_t i = 0; i < answer->count; i++) {
        const struct med_result *r = &answer->results[i];
        bool known = false;
        for (size_t k = 0; k < i && !known; k++)
            known = med_str_eq(answer->results[k].document_id, r->document_id);
        if (known) continue;
        struct citation citation = {
            .doc = r->doc, .flags = r->flags, .links = r->links, .link_count = r->link_count};
        citation_write(media, view, &citation, written++, true, out);
    }
    citation_end(media, out);
}

static void render(enum media media, const struct view *view, const struct search_params *params,
    const struct med_manifest *manifest, const struct med_answer *answer, struct med_buf *out)
{
    if (MEDIA_CITATIONS & MEDIA_BIT(media))
        citations(media, view, answer, out);
    else if (media == MEDIA_NDJSON)
        answer_ndjson(view, params, answer, out);
    else if (media == MEDIA_TEXT)
        answer_text(view, params, manifest, answer, out);
    else if (media == MEDIA_MARKDOWN)
        answer_markdown(view, params, manifest, answer, out);
    else
        answer_json(view, params, manifest, answer, out);
}

/* Bytes of the answer with `count` of its results, beginning with `first`. */
static size_t measure(struct fitter *f, size_t first, size_t count)
{
    struct med_answer part = *f->answer;
    part.results += first;
    part.count = count;
    med_buf_reset(&f->scratch);
    render(f->media, f->view, f->params, f->manifest, &part, &f->scratch);
    return f->scratch.len;
}

/* The run of sentences that fits and has most highlights; the longer one, then the first, among
 * equals. */
static struct med_span best_run(
    const struct med_result *r, const struct med_span *sentences, size_t count, size_t bytes_max)
{
    struct med_span best = {0};
    size_t best_marks = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t k = i; k < count && sentences[k].end - sentences[i].start <= bytes_max; k++) {
            struct med_span run = {.start = sentences[i].start, .end = sentences[k].end};
            size_t marks = 0;
            for (size_t m = 0; m < r->highlight_count; m++)
                marks += r->highlights[m].start >= run.start && r->highlights[m].end <= run.end;
            bool longer = run.end - run.start > best.end - best.start;
            if (best.end && (marks < best_marks || (marks == best_marks && !longer))) continue;
            best = run;
            best_marks = marks;
        }
    }
    return best;
}

static enum med_code shorten_snippet(
    struct fitter *f, struct med_result *r, size_t bytes_max, struct med_err *err)
{
    struct med_span *sentences;
    size_t count, kept = 0;
    if (r->snippet.len <= bytes_max) return MED_OK;
    enum med_code code = med_sentences(r->snippet, f->arena, &sentences, &count, err);
    if (code) return code;
    struct med_span run = best_run(r, sentences, count, bytes_max);
    if (run.end == 0) {
        size_t cut;
        code = text_cut(r->snippet, bytes_max, f->arena, &cut, err);
        if (code) return code;
        run.end = (uint32_t)cut;
    }
    for (size_t i = 0; i < r->highlight_count; i++) {
        struct med_span mark = r->highlights[i];
        if (mark.start < run.start || mark.end > run.end) continue;
        r->highlights[kept++] = (struct med_span){mark.start - run.start, mark.end - run.start};
    }
    r->highlight_count = kept;
    r->snippet = med_str_sub(r->snippet, run.start, run.end);
    return MED_OK;
}

/* Shortens all snippets step by step until the answer fits, or they are as short as is useful. */
static enum med_code shorten_snippets(struct fitter *f, size_t budget, struct med_err *err)
{
    for (size_t most = 260; most >= TEXT_BYTES_MIN / 2; most -= 30) {
        for (size_t i = 0; i < f->answer->count; i++) {
            enum med_code code = shorten_snippet(f, &f->answer->results[i], most, err);
            if (code) return code;
        }
        if (measure(f, 0, f->answer->count) <= budget) break;
    }
    return MED_OK;
}

static void set_cursor(struct view *view, const struct search_params *params,
    const struct med_answer *answer, size_t shown)
{
    const struct med_ranking *ranking = answer->ranking;
    size_t end = params->request.offset + shown;
    bool more = ranking->count > end || !ranking->total_exact || ranking->total > end;
    view->next_cursor[0] = '\0';
    if (more && (answer->count || view->held_back) && end < MED_POOL_DEPTH_MAX)
        search_params_cursor(params, answer->generation, (uint32_t)end, view->next_cursor);
}

static enum med_code too_small(const struct fitter *f, size_t bytes, struct med_err *err)
{
    if (f->params->explain) bytes += TIMES_BYTES;
    return med_fail(err, MED_E_INVALID,
        "max_tokens: %llu is too little for this answer; its frame and first result take %zu",
        (unsigned long long)f->params->max_tokens, bytes / MED_BYTES_PER_TOKEN + 1);
}

/* What cutting the text of a result can save. */
static size_t spare_bytes(const struct med_result *r)
{
    return r->text.len > TEXT_SPARE_BYTES ? r->text.len - TEXT_SPARE_BYTES - 1 : 0;
}

/* Takes results in their order while they fit; the text of the first that does not is cut where
 * enough of it is left. */
static enum med_code take(struct fitter *f, size_t budget, struct med_err *err)
{
    struct med_answer *a = f->answer;
    size_t taken = 0, all = a->count;
    f->view->held_back = all + 1; /* the frame with all its sentences */
    f->view->cut = f->params->detailed;
    set_cursor(f->view, f->params, a, all);
    size_t frame = measure(f, 0, 0), left = budget > frame ? budget - frame : 0;
    if (frame > budget && !all) return too_small(f, frame, err);
    f->view->cut = false;
    while (taken < all) {
        struct med_result *r = &a->results[taken];
        size_t size = measure(f, taken, 1) - measure(f, 0, 0) + SEPARATOR_BYTES;
        bool may_cut = f->params->detailed && f->media <= MEDIA_MARKDOWN;
        if (size > left && may_cut && r->text.len > size - left + TEXT_SPARE_BYTES) {
            size_t cut, most = r->text.len - (size - left) - CUT_MARK_BYTES;
            enum med_code code = text_cut(r->text, most, f->arena, &cut, err);
            if (code) return code;
            r->text.len = cut;
            f->view->cut = true;
            taken++;
            break;
        }
        if (size > left && taken == 0)
            return too_small(f, frame + size - (may_cut ? spare_bytes(r) : 0), err);
        if (size > left) break;
        left -= size;
        taken++;
    }
    a->count = taken;
    f->view->held_back = all - taken;
    set_cursor(f->view, f->params, a, taken);
    return MED_OK;
}

enum med_code answer_write(enum media media, struct view *view, const struct search_params *params,
    const struct med_manifest *manifest, struct med_answer *answer, struct med_arena *arena,
    struct med_buf *out, struct med_err *err)
{
    size_t mark = out->len;
    bool pretty = view->pretty, limited = params->max_tokens > 0;
    bool concise_json = !params->detailed && media <= MEDIA_NDJSON;
    bool plain = !params->explain && !params->request.facet_mask;
    size_t budget = limited                 ? (size_t)params->max_tokens * MED_BYTES_PER_TOKEN
                    : concise_json && plain ? (answer->count + 1) * CONCISE_BYTES
                                            : 0;
    view->held_back = 0;
    view->cut = false;
    set_cursor(view, params, answer, answer->count);
    if (!limited) view->pretty = false; /* white space changes nothing where nobody counts it */
    render(media, view, params, manifest, answer, out);
    bool fits = !budget || out->len - mark <= budget || out->code;
    if (fits && view->pretty == pretty) return med_buf_status(out, err);
    struct fitter f = {.media = media,
        .view = view,
        .params = params,
        .manifest = manifest,
        .answer = answer,
        .arena = arena};
    med_buf_init(&f.scratch, MED_RESPONSE_BYTES_MAX);
    enum med_code code = fits || params->detailed ? MED_OK : shorten_snippets(&f, budget, err);
    if (!code && !fits && limited && measure(&f, 0, answer->count) > budget)
        code = take(&f, budget, err);
    out->len = mark;
    view->pretty = pretty;
    if (!code) render(media, view, params, manifest, answer, out);
    med_buf_free(&f.scratch);
    return code ? code : med_buf_status(out, err);
}

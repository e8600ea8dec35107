/* Snippets: the sentences of a passage that say most about the query.
 *
 * Each sentence weighs the sum of idf over the distinct query terms in it. The run of neighbouring
 * sentences that fits into MED_SNIPPET_CHARS and covers the greatest weight wins; the earlier one
 * on a tie. A sentence that is too long is cut at words around its best part. Line ends become
 * spaces of the same length, so that offsets stay true. */
#include "index/internal.h"

#include "common/unicode.h"
#include "index/document/text.h"

#define MATCHES_MAX 512

struct match {
    uint32_t start, end; /* in the passage */
    uint32_t term;       /* of the query */
};

struct window {
    uint32_t start, end;
};

struct snippet_terms snippet_terms_of(const struct query *query)
{
    struct snippet_terms t = {.terms = query->terms};
    t.count =
        query->term_count < SNIPPET_TERMS_MAX ? (uint32_t)query->term_count : SNIPPET_TERMS_MAX;
    for (uint32_t i = 0; i < t.count; i++) {
        t.weight += t.terms[i].idf + 1e-6;
        med_watch_add(&t.watch, t.terms[i].term);
    }
    return t;
}

static size_t find_matches(const struct med_token *tokens, size_t token_count,
    const struct snippet_terms *terms, struct match *ret_matches)
{
    size_t count = 0;
    for (size_t i = 0; i < token_count && count < MATCHES_MAX; i++) {
        for (uint32_t t = 0; t < terms->count; t++) {
            if (!med_str_eq(tokens[i].term, terms->terms[t].term)) continue;
            bool same_place = count && ret_matches[count - 1].start == tokens[i].start;
            if (!same_place)
                ret_matches[count++] = (struct match){tokens[i].start, tokens[i].end, t};
            else if (tokens[i].end > ret_matches[count - 1].end)
                ret_matches[count - 1].end = tokens[i].end;
            break;
        }
    }
    return count;
}

/* Sum of idf of the distinct terms whose matches lie inside. */
static double window_weight(
    const struct match *matches, size_t count, struct window w, const struct snippet_terms *terms)
{
    uint64_t seen = 0;
    double weight = 0;
    for (size_t i = 0; i < count; i++) {
        if (matches[i].start < w.start || matches[i].end > w.end) continue;
        if (seen >> matches[i].term & 1) continue;
        seen |= 1ull << matches[i].term;
        weight += terms->terms[matches[i].term].idf + 1e-6;
    }
    return weight;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t';
}

/* The best window of at most MED_SNIPPET_CHARS bytes inside one long sentence, on word boundaries.
 */
static struct window cut_sentence(struct med_str passage, struct window sentence,
    const struct match *matches, size_t count, const struct snippet_terms *terms)
{
    struct window best = {sentence.start, sentence.start + MED_SNIPPET_CHARS};
    double best_weight = window_weight(matches, count, best, terms);
    for (size_t i = 0; i < count; i++) {
        if (matches[i].start < sentence.start || matches[i].end > sentence.end) continue;
        uint32_t lead = matches[i].start - sentence.start;
        struct window w = {.start = matches[i].start - (lead < 60 ? lead : 60)};
        w.end = w.start + MED_SNIPPET_CHARS;
        double weight = window_weight(matches, count, w, terms);
        if (weight > best_weight * 1.0001) {
            best = w;
            best_weight = weight;
        }
    }
    if (best.end > sentence.end) best.end = sentence.end;
    while (best.start > sentence.start && best.start < best.end &&
           !is_space(passage.ptr[best.start - 1]))
        best.start++;
    if (best.end < sentence.end) {
        uint32_t end = best.end;
        while (end > best.start && !is_space(passage.ptr[end])) end--;
        if (end > best.start) best.end = end;
    }
    best.start = (uint32_t)med_utf8_floor(passage, best.start);
    best.end = (uint32_t)med_utf8_floor(passage, best.end);
    while (best.end > best.start && is_space(passage.ptr[best.end - 1])) best.end--;
    return best;
}

static struct window choose_window(struct med_str passage, const struct med_span *sentences,
    size_t sentence_count, const struct match *matches, size_t count,
    const struct snippet_terms *terms)
{
    struct window best = {0, 0};
    double best_weight = -1;
    for (size_t i = 0; i < sentence_count; i++) {
        struct window w = {sentences[i].start, sentences[i].end};
        if (w.end - w.start > MED_SNIPPET_CHARS)
            w = cut_sentence(passage, w, matches, count, terms);
        for (size_t k = i + 1;
             k < sentence_count && sentences[k].end - w.start <= MED_SNIPPET_CHARS; k++)
            w.end = sentences[k].end;
        double weight = window_weight(matches, count, w, terms);
        if (weight > best_weight * 1.0001 || best_weight < 0) {
            best = w;
            best_weight = weight;
        }
    }
    return best;
}

/* A heading at the end of the window announces what is not shown: it goes. */
static struct window without_last_heading(
    struct med_str passage, struct window w, const struct med_span *sentences, size_t count)
{
    for (size_t i = count; i-- > 1;) {
        if (sentences[i].end != w.end || sentences[i].start <= w.start) continue;
        bool followed = med_str_starts(med_str_sub(passage, w.end, passage.len), MED_STR("\n\n"));
        if (followed && !strchr(".?!:;)\"", passage.ptr[w.end - 1])) w.end = sentences[i - 1].end;
        break;
    }
    return w;
}

/* Copies the window with runs of white space made one space; a heading's blank line becomes a
 * colon. moved[i] is where byte i went, moved[text.len] the end. */
static size_t one_line(struct med_str text, char *out, uint32_t *moved)
{
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        moved[i] = (uint32_t)len;
        if (!is_space(text.ptr[i])) {
            out[len++] = text.ptr[i];
        } else if (len && out[len - 1] != ' ') {
            bool blank_line = text.len - i > 1 && text.ptr[i] == '\n' && text.ptr[i + 1] == '\n';
            bool open_end = !strchr(".:;!?)\"", out[len - 1]);
            if (blank_line && open_end) out[len++] = ':';
            out[len++] = ' ';
        }
    }
    moved[text.len] = (uint32_t)len;
    return len;
}

enum med_code snippet_weigh(struct med_analyzer *analyzer, struct med_str passage,
    const struct snippet_terms *terms, struct med_arena *arena, double *ret_share,
    struct med_err *err)
{
    struct match matches[MATCHES_MAX];
    const struct med_token *tokens;
    size_t token_count, sentence_count;
    struct med_span *sentences;
    enum med_code code =
        med_analyze_watched(analyzer, passage, &terms->watch, &tokens, &token_count, err);
    if (code) return code;
    size_t count = find_matches(tokens, token_count, terms, matches);
    code = med_sentences(passage, arena, &sentences, &sentence_count, err);
    if (code) return code;
    struct window w = choose_window(passage, sentences, sentence_count, matches, count, terms);
    *ret_share = terms->weight > 0 ? window_weight(matches, count, w, terms) / terms->weight : 0;
    return MED_OK;
}

enum med_code snippet_make(struct med_analyzer *analyzer, struct med_str passage,
    const struct snippet_terms *terms, struct med_arena *arena, struct med_str *ret_snippet,
    struct med_span **ret_highlights, size_t *ret_highlight_count, struct med_err *err)
{
    struct match matches[MATCHES_MAX];
    const struct med_token *tokens;
    size_t token_count, sentence_count;
    struct med_span *sentences;
    enum med_code code =
        med_analyze_watched(analyzer, passage, &terms->watch, &tokens, &token_count, err);
    if (code) return code;
    size_t count = find_matches(tokens, token_count, terms, matches);
    code = med_sentences(passage, arena, &sentences, &sentence_count, err);
    if (code) return code;
    struct window w = choose_window(passage, sentences, sentence_count, matches, count, terms);
    w = without_last_heading(passage, w, sentences, sentence_count);
    char *text = med_arena_alloc(arena, w.end - w.start + 1);
    struct med_span *highlights = med_arena_calloc(arena, count + 1, sizeof *highlights);
    if (!text || !highlights) return med_fail(err, MED_E_NOMEM, "out of memory for a snippet");
    uint32_t moved[MED_SNIPPET_CHARS + 1]; /* where each byte of the window went */
    size_t len = one_line(med_str_sub(passage, w.start, w.end), text, moved);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (matches[i].start < w.start || matches[i].end > w.end) continue;
        struct med_span h = {moved[matches[i].start - w.start], moved[matches[i].end - w.start]};
        if (kept && h.start < highlights[kept - 1].end) { /* a compound and its parts */
            if (h.end > highlights[kept - 1].end) highlights[kept - 1].end = h.end;
            continue;
        }
        highlights[kept++] = h;
    }
    *ret_snippet = (struct med_str){.ptr = text, .len = len};
    *ret_highlights = highlights;
    *ret_highlight_count = kept;
    return MED_OK;
}

/* Query analysis: text -> distinct weighted terms.
 *
 * A word counts once however often it is typed. Every word is looked up, but those that only make a
 * question a question ("what", "does", "how") say little about the answer, and there are too few
 * documents that contain them by chance for idf to see it: they weigh MED_FUNCTION_WORD_WEIGHT. */
#include "index/internal.h"

#include "common/hash.h"
#include "common/mem.h"

static enum med_code add_term(struct query *q, struct med_arena *arena, struct med_str term,
    float weight, struct med_err *err)
{
    for (size_t i = 0; i < q->term_count; i++) {
        if (!med_str_eq(q->terms[i].term, term)) continue;
        if (weight > q->terms[i].weight) q->terms[i].weight = weight;
        return MED_OK;
    }
    struct query_term *t = &q->terms[q->term_count];
    *t = (struct query_term){.weight = weight};
    if (!med_arena_str(arena, term, &t->term))
        return med_fail(err, MED_E_NOMEM, "the query needs too much memory");
    q->term_count++;
    return MED_OK;
}

enum med_code query_analyse(struct med_analyzer *analyzer, struct med_str text,
    struct med_arena *arena, struct query *ret_query, struct med_err *err)
{
    if (text.len > MED_QUERY_BYTES_MAX)
        return med_fail(err, MED_E_LIMIT, "the query has %zu bytes; at most %llu are accepted",
            text.len, MED_QUERY_BYTES_MAX);
    const struct med_token *tokens;
    size_t count;
    enum med_code code = med_analyze(analyzer, text, &tokens, &count, err);
    if (code) return code;
    if (count > MED_QUERY_TERMS_MAX)
        return med_fail(err, MED_E_LIMIT, "the query has %zu terms; at most %llu are accepted",
            count, MED_QUERY_TERMS_MAX);
    struct query q = {
        .text = text, .terms = med_arena_calloc(arena, count ? count : 1, sizeof *q.terms)};
    if (!q.terms) return med_fail(err, MED_E_NOMEM, "the query needs too much memory");
    for (size_t i = 0; !code && i < count; i++) {
        float weight = med_is_function_word(text, &tokens[i]) ? MED_FUNCTION_WORD_WEIGHT : 1;
        code = add_term(&q, arena, tokens[i].term, weight, err);
    }
    if (code) return code;
    *ret_query = q;
    return MED_OK;
}

/* The words that rank, as one text. */
static enum med_code join_words(const struct query_parsed *parsed, struct med_arena *arena,
    struct med_str *ret_text, struct med_err *err)
{
    struct med_buf joined;
    med_buf_init(&joined, 2 * MED_QUERY_BYTES_MAX);
    for (size_t i = 0; i < parsed->word_count; i++) {
        if (i) med_buf_putc(&joined, ' ');
        med_buf_append_str(&joined, parsed->words[i]);
    }
    enum med_code code = med_buf_status(&joined, err);
    if (!code && !med_arena_str(arena, med_buf_str(&joined), ret_text))
        code = med_fail(err, MED_E_NOMEM, "the query needs too much memory");
    med_buf_free(&joined);
    return code;
}

enum med_code query_understand(struct med_analyzer *analyzer,
    const struct med_search_request *request, struct med_arena *arena, struct query *ret_query,
    struct med_err *err)
{
    struct query_parsed parsed;
    struct med_str text;
    if (request->literal) return query_analyse(analyzer, request->query, arena, ret_query, err);
    enum med_code code =
        query_parse(request->query, request->sort == MED_SORT_DATE, arena, &parsed, err);
    if (code) return code;
    bool plain = parsed.tree.count == 0;
    text = request->query;
    if (!plain) code = join_words(&parsed, arena, &text, err);
    if (!code) code = query_analyse(analyzer, text, arena, ret_query, err);
    if (code) return code;
    if (plain && request->sort == MED_SORT_DATE) { /* the newest that have all words */
        parsed.tree.nodes = med_arena_calloc(arena, 1, sizeof *parsed.tree.nodes);
        if (!parsed.tree.nodes)
            return med_fail(err, MED_E_NOMEM, "the query needs too much memory");
        parsed.tree.nodes[0].text = text;
        parsed.tree.count = 1;
    }
    ret_query->tree = parsed.tree;
    ret_query->words = parsed.words;
    ret_query->word_count = parsed.word_count;
    return MED_OK;
}

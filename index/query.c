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
    struct query q = {.terms = med_arena_calloc(arena, count ? count : 1, sizeof *q.terms)};
    if (!q.terms) return med_fail(err, MED_E_NOMEM, "the query needs too much memory");
    for (size_t i = 0; !code && i < count; i++) {
        float weight = med_is_function_word(text, &tokens[i]) ? MED_FUNCTION_WORD_WEIGHT : 1;
        code = add_term(&q, arena, tokens[i].term, weight, err);
    }
    if (code) return code;
    *ret_query = q;
    return MED_OK;
}

/* Query analysis: text -> distinct weighted terms.
 *
 * Every word of every document is indexed; but in a plain question the words that only make it a
 * question ("what", "does", "how") say nothing about the answer, and there are too few documents
 * that contain them by chance for idf to see it. They are left out of the query, unless nothing
 * else is left, or they are written as an acronym ("WHO"). */
#include "index/internal.h"

#include "common/hash.h"
#include "common/mem.h"

static const char *const function_words[] = {"a", "an", "and", "are", "as", "at", "be", "been",
    "being", "but", "by", "can", "could", "did", "do", "does", "for", "from", "had", "has", "have",
    "how", "i", "if", "in", "into", "is", "it", "its", "may", "might", "my", "no", "not", "of",
    "on", "or", "our", "should", "such", "than", "that", "the", "their", "then", "there", "these",
    "they", "this", "those", "to", "was", "we", "were", "what", "when", "where", "which", "who",
    "whom", "whose", "why", "will", "with", "would", "you", "your", "between", "also", "any",
    "there", "please", "me"};

/* The words are compared as they are typed (folded to lower case), before stemming, so that no
 * content word that happens to share a stem is lost. */
static bool is_function_word(struct med_str typed)
{
    for (size_t i = 0; i < sizeof function_words / sizeof *function_words; i++) {
        if (med_str_eq_nocase(typed, med_str_of(function_words[i]))) return true;
    }
    return false;
}

static bool all_upper(struct med_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < 'A' || s.ptr[i] > 'Z') return false;
    }
    return s.len > 1;
}

static bool has_lower(struct med_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] >= 'a' && s.ptr[i] <= 'z') return true;
    }
    return false;
}

static enum med_code add_term(
    struct query *q, struct med_arena *arena, struct med_str term, struct med_err *err)
{
    for (size_t i = 0; i < q->term_count; i++) {
        if (med_str_eq(q->terms[i].term, term)) {
            q->terms[i].count += 1;
            return MED_OK;
        }
    }
    struct query_term *t = &q->terms[q->term_count];
    *t = (struct query_term){.count = 1};
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
    bool mixed_case = has_lower(text);
    for (int keep_all = 0; keep_all < 2 && q.term_count == 0; keep_all++) {
        for (size_t i = 0; !code && i < count; i++) {
            struct med_str typed = med_str_sub(text, tokens[i].start, tokens[i].end);
            bool acronym = mixed_case && all_upper(typed);
            if (keep_all || acronym || !is_function_word(typed))
                code = add_term(&q, arena, tokens[i].term, err);
        }
    }
    if (code) return code;
    *ret_query = q;
    return MED_OK;
}

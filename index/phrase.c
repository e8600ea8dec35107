/* Phrases: the text of candidate documents, analysed again, word by word.
 *
 * Postings have no positions. A document that has all words of a phrase is read from the store and
 * analysed as it was for the index, so that the answer is exact; how many may be read for one
 * request is limited. Everything that needs adjacency comes through phrase_filter. */
#include "index/match.h"

static bool follows(const struct med_token *tokens, size_t count, const struct phrase *phrase)
{
    const struct med_str *terms = phrase->terms;
    size_t term_count = phrase->term_count;
    size_t matched = 0; /* tokens [from, at) are the first `matched` terms */
    for (size_t from = 0; from < count; from++) {
        if (phrase->prefix.len && med_str_starts(tokens[from].term, phrase->prefix)) return true;
        if (term_count > 1 && tokens[from].extra) continue;
        matched = 0;
        for (size_t at = from; at < count && matched < term_count; at++) {
            if (term_count > 1 && tokens[at].extra) continue;
            if (!med_str_eq(tokens[at].term, terms[matched])) break;
            matched++;
        }
        if (matched == term_count) return true;
    }
    return false;
}

static enum med_code contains(struct phrase_check *k, struct med_str text,
    const struct phrase *phrase, bool *found, struct med_err *err)
{
    const struct med_token *tokens;
    size_t count;
    if (*found || text.len == 0) return MED_OK;
    enum med_code code = med_analyze(k->analyzer, text, &tokens, &count, err);
    if (!code) *found = follows(tokens, count, phrase);
    return code;
}

static enum med_code document_contains(struct phrase_check *k, const struct med_doc *doc,
    const struct phrase *phrase, enum query_scope scope, bool *ret_found, struct med_err *err)
{
    bool found = false;
    enum med_code code = contains(k, doc->title, phrase, &found, err);
    for (size_t i = 0; !code && scope != QUERY_TITLE && i < doc->section_count; i++) {
        code = contains(k, doc->sections[i].body, phrase, &found, err);
        if (!code) code = contains(k, doc->sections[i].heading, phrase, &found, err);
    }
    if (scope == QUERY_ALL) {
        for (size_t i = 0; !code && i < doc->mesh_count; i++)
            code = contains(k, doc->mesh[i].descriptor, phrase, &found, err);
        for (size_t i = 0; !code && i < doc->keyword_count; i++)
            code = contains(k, doc->keywords[i], phrase, &found, err);
        for (size_t i = 0; !code && i < doc->chemical_count; i++)
            code = contains(k, doc->chemicals[i], phrase, &found, err);
    }
    *ret_found = found;
    return code;
}

static enum med_code open_check(struct phrase_check *k, struct med_err *err)
{
    if (k->snapshot) return MED_OK;
    enum med_code code = med_arena_new(MED_DOC_ARENA_BYTES_MAX, &k->arena, err);
    return code ? code : med_snapshot_open(k->index->store, &k->snapshot, err);
}

enum med_code phrase_filter(struct phrase_check *k, const struct med_segment *s, uint64_t *docs,
    const struct phrase *phrase, enum query_scope scope, struct med_err *err)
{
    enum med_code code = open_check(k, err);
    for (uint32_t d = 0; !code && d < s->doc_count; d++) {
        if (!docs[d >> 6]) d |= 63; /* nothing left in this word */
        if (d >= s->doc_count || !(docs[d >> 6] >> (d & 63) & 1)) continue;
        if (!med_segment_is_live(s, d)) {
            docs[d >> 6] &= ~(1ull << (d & 63));
            continue;
        }
        if (k->verified++ == MED_VERIFY_DOCS_MAX)
            return med_fail(err, MED_E_LIMIT,
                "more than %u documents would have to be read to find this phrase; add rarer words "
                "or a field",
                MED_VERIFY_DOCS_MAX);
        struct med_doc *doc;
        bool found = false;
        med_arena_reset(k->arena);
        code = med_snapshot_get_version(
            k->snapshot, med_segment_doc_id(s, d), s->docs[d].version, k->arena, &doc, err);
        if (!code) code = document_contains(k, doc, phrase, scope, &found, err);
        if (!found) docs[d >> 6] &= ~(1ull << (d & 63));
    }
    return code;
}

void phrase_check_close(struct phrase_check *k)
{
    if (k->snapshot) med_snapshot_close(&k->snapshot);
    med_arena_free(&k->arena);
}

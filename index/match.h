/* Which documents may be returned: the filter of a request and the tree of its query, as sets.
 *
 * Both become one program over the fields index, the document table and the postings of the text;
 * it is run once per segment and gives the exact set of documents, which becomes the set of
 * passages that both halves of the search honour. Phrases are verified in the text of the documents
 * that have all their words: exact, and at most MED_VERIFY_DOCS_MAX documents per request. */
#pragma once

#include "index/internal.h"

#define MED_VERIFY_DOCS_MAX 50000u /* abstracts take about 20 us each */
#define MED_PREFIX_TERMS_MAX 2000u

struct match {
    struct med_filter *filters; /* per segment: passages; words NULL = all */
    uint64_t **docs;            /* per segment: bit per document; NULL = all */
    bool restricted;            /* by the tree of the query: totals are exact */
};

/* Adds notices about values that no document has. Everything lives in the arena. */
enum med_code match_make(const struct med_index *index, struct med_searcher *searcher,
    const struct med_search_request *request, const struct query *query, struct med_arena *arena,
    struct med_ranking *ranking, struct match *ret_match, struct med_err *err) MED_CHECK;

/* --- what documents contain, word by word (phrase.c) --- */
struct phrase_check {
    const struct med_index *index;
    struct med_analyzer *analyzer;
    struct med_snapshot *snapshot; /* opened when first needed */
    struct med_arena *arena;       /* of one document */
    size_t verified;               /* documents so far */
};
/* What must be there: terms that follow each other, or one term, or anything that begins with
 * `prefix` (where it is not empty). */
struct phrase {
    const struct med_str *terms;
    size_t term_count;
    struct med_str prefix;
};
/* Clears the bits of documents without the phrase in their text, as far as `scope` reaches.
 * MED_E_LIMIT when too many documents had to be read. */
enum med_code phrase_filter(struct phrase_check *check, const struct med_segment *segment,
    uint64_t *docs, const struct phrase *phrase, enum query_scope scope,
    struct med_err *err) MED_CHECK;
void phrase_check_close(struct phrase_check *check);

/* Appends a sentence to the answer's notices; silently dropped when there are too many. */
#define MED_NOTICES_MAX 8u
enum med_code notice_add(struct med_ranking *ranking, struct med_arena *arena, struct med_err *err,
    const char *fmt, ...) MED_CHECK MED_PRINTF(4, 5);

/* --- an answer without results (hints.c) --- */
/* Adds notices that tell which filter or part of the query is in the way, with the numbers that a
 * request without it gets. */
enum med_code hints_add(const struct med_index *index, struct med_searcher *searcher,
    const struct med_search_request *request, struct med_arena *arena, struct med_ranking *ranking,
    struct med_err *err) MED_CHECK;

/* --- results without a score (listing.c) --- */
/* Documents in the set (one per work unless group is none): exact. */
uint64_t listing_total(
    const struct med_index *index, const struct match *match, enum med_group group);
/* Fills the ranking up to `wanted` results with documents of the set that it has not yet, newest
 * first, then by id. With an empty ranking this is the order by date. */
enum med_code listing_fill(const struct med_index *index, const struct match *match, size_t wanted,
    enum med_group group, struct med_arena *arena, struct med_ranking *ranking,
    struct med_err *err) MED_CHECK;

/* --- facets (facets.c) --- */
/* Counts over the set, or over the documents of it that have a term of a plain question. */
enum med_code facets_count(const struct med_index *index, struct med_searcher *searcher,
    const struct med_search_request *request, const struct query *query, const struct match *match,
    struct med_arena *arena, struct med_ranking *ranking, struct med_err *err) MED_CHECK;

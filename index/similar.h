/* Similar articles: the documents nearest to a document of the index.
 *
 * The document is the query: the mean of its passages' vectors, and its terms that weigh most by
 * tf-idf, those of its title counted twice and those of its MeSH headings three times, so that
 * shared headings and shared rare words bring documents up. Where the document has no vector, its
 * words alone decide. Authority has no say unless it is asked for. */
#pragma once

#include "index/search.h"

#define MED_SIMILAR_TERMS_MAX 32u    /* words that speak for the document */
#define MED_SIMILAR_PASSAGES_MAX 64u /* of it that are read: the first ones */

/* `id` as med_fetch takes it (of a passage: its document). The request gives mode, limit, offset
 * and filters; its query is not read. Never returned: the document, other members of its work, its
 * notices and errata, its other versions, and what they are notices or versions of. MED_E_NOT_FOUND
 * also when the document is stored, but not in this generation. Everything lives in the arena;
 * *ret_id is the document that was found. */
enum med_code med_similar(const struct med_index *index, struct med_store *store,
    struct med_searcher *searcher, struct med_str id, const struct med_search_request *request,
    struct med_arena *arena, struct med_answer **ret_answer, struct med_str *ret_id,
    struct med_err *err) MED_CHECK;

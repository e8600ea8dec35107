/* Search: a query's life inside one generation.
 *
 * analyse -> lexical top-N and dense top-N over the same filter -> union, both scores for every
 * candidate -> fuse -> one result per work -> load documents, snippets. README.md tells it in full.
 */
#pragma once

#include "index/authority.h"
#include "index/segment.h"
#include "index/store/store.h"

/* --- an open generation --- */
struct med_index;
/* Opens generation `number` (0 = current) for searching; verify compares every checksum first (do
 * it unless the same process just did). data and store are borrowed and must outlive it. Any number
 * of threads may search it. */
enum med_code med_index_open(struct med_data *data, struct med_store *store, uint64_t number,
    bool verify, struct med_index **ret_index, struct med_err *err) MED_CHECK;
/* The same for a generation that is not published yet (med_publish_check). manifest is borrowed. */
enum med_code med_index_open_staged(struct med_data *data, struct med_store *store,
    const struct med_manifest *manifest, struct med_index **ret_index,
    struct med_err *err) MED_CHECK;
/* Reference count: the opener holds one. release consumes; the last one closes maps and unpins. */
struct med_index *med_index_retain(struct med_index *index);
void med_index_release(struct med_index **index);
const struct med_manifest *med_index_manifest(const struct med_index *index);
const struct med_segment *med_index_segment(const struct med_index *index, size_t i);
uint64_t med_index_bytes(const struct med_index *index); /* mapped */
/* Every invariant of the generation and that its documents are in the store; for `check`. */
enum med_code med_index_check(
    struct med_index *index, const struct med_progress *progress, struct med_err *err) MED_CHECK;

/* --- a request --- */
enum med_mode { MED_MODE_HYBRID, MED_MODE_LEXICAL, MED_MODE_DENSE, MED_MODE_COUNT };
enum med_fusion { MED_FUSION_CONVEX, MED_FUSION_RRF };
enum med_group { MED_GROUP_DOCUMENT, MED_GROUP_NONE }; /* one result per work, or every passage */
const char *med_mode_name(enum med_mode mode);
bool med_mode_parse(struct med_str name, enum med_mode *ret_mode);

enum med_sort { MED_SORT_RELEVANCE, MED_SORT_DATE }; /* date: newest first, then by id */

enum med_facet {
    MED_FACET_YEAR,
    MED_FACET_TYPE,
    MED_FACET_JOURNAL,
    MED_FACET_MESH,
    MED_FACET_LANGUAGE,
    MED_FACET_SOURCE,
    MED_FACET_EVIDENCE,
    MED_FACET_COUNT
};
const char *med_facet_name(enum med_facet facet); /* "year", ... */

struct med_str_list {
    const struct med_str *items;
    size_t count;
};

/* Everything given must hold; of a list, any one. */
struct med_search_filter {
    uint32_t year_min, year_max;    /* 0 = open */
    uint32_t source_mask;           /* bit 1 << enum med_source; 0 = all */
    uint32_t evidence_mask;         /* bit 1 << enum med_evidence; 0 = all */
    uint32_t flags_all, flags_none; /* enum med_doc_flag bits that must be set / must not be set */
    struct med_str_list types, journals, languages, mesh; /* in any case and punctuation */
};

struct med_search_request {
    struct med_str query;
    enum med_mode mode;
    enum med_fusion fusion;
    enum med_group group;
    uint32_t limit;      /* 1..MED_LIMIT_MAX */
    uint32_t offset;     /* results to skip; offset + limit <= MED_POOL_DEPTH_MAX */
    uint32_t pool_depth; /* documents per half; 0 = MED_POOL_DEPTH_DEFAULT. Results behind the first
                          * pool come from deeper ones and follow it, whatever their scores */
    double fusion_weight;    /* of the dense half, 0..1; negative = the calibrated one */
    double authority_weight; /* 0..1; negative = MED_AUTHORITY_WEIGHT_DEFAULT; authority.h */
    enum med_sort sort;
    bool rank_passages;    /* fill med_ranked.passages of the page; med_search does it itself */
    bool literal;          /* the query is plain text whatever it looks like (eval) */
    uint32_t facet_mask;   /* 1 << enum med_facet */
    uint32_t facet_values; /* at most so many per facet */
    bool exact_dense;      /* scan instead of walking the graph (eval) */
    bool expand;           /* other names of what the query says, with smaller weights */
    struct med_search_filter filter;
    const float *vector; /* instead of the query's, L2-normalised, or NULL (similar articles) */
    struct med_str exclude_id; /* a document that must not be returned (similar articles,
                                  calibration), or empty */
};
#define MED_SEARCH_REQUEST_DEFAULT                                                                 \
    ((struct med_search_request){                                                                  \
        .limit = MED_LIMIT_DEFAULT, .fusion_weight = -1, .authority_weight = -1})

/* --- ranking alone: what eval and calibration use --- */
#define MED_PASSAGES_RANKED 4
struct med_ranked {
    uint32_t segment, doc, chunk; /* ordinals; chunk = the passage that gave the score */
    double score;                 /* 0..1, comparable within one answer only */
    float lexical, dense;         /* raw BM25F and inner product of that passage */
    /* Contributions. lexical_part + dense_part + authority_parts.evidence + .grade + .recency +
     * .status is the score. */
    double lexical_part, dense_part;
    struct med_authority authority_parts;
    double authority; /* of the document, 0..1; .5 is neutral */
    /* One result per document: its best passages by the same fusion, best first, with their share
     * of the best one's score. med_search shows the one that has the nearest sentence. */
    uint32_t passages[MED_PASSAGES_RANKED], passage_count; /* 0: chunk is the only one */
    float passage_shares[MED_PASSAGES_RANKED];
};
struct med_facet_value {
    struct med_str value; /* as most readers write it: "2019", "Journal Article", "pubmed" */
    uint64_t count;       /* documents */
};
struct med_facet_counts {
    struct med_facet_value *values; /* most frequent first; years: latest first */
    size_t count;
};
struct med_expansion {
    struct med_str typed;  /* words of the query */
    struct med_str *added; /* other names of the same */
    size_t added_count;
};
struct med_ranking {
    struct med_ranked *items; /* best first; ties: by document id, then chunk */
    size_t count;
    uint64_t
        total; /* works (or chunks) that match lexically, or the candidates of a dense search */
    bool total_exact;              /* false: at least total */
    double lexical_max, dense_max; /* normalisers of the pool */
    double fusion_weight;          /* the one used */
    double authority_weight;       /* the one used */
    double scale;                  /* 1, or what brought the best score down to 1 */
    enum med_mode mode; /* the one used: hybrid falls back to lexical where no term has a vector */
    uint32_t query_term_count, unknown_term_count;
    struct med_facet_counts facets[MED_FACET_COUNT];
    struct med_str *notices; /* sentences for the reader */
    size_t notice_count;
    struct med_str suggestion; /* the query with its spelling corrected, or empty */
    struct med_str searched;   /* what was searched for instead of the query, or empty */
    struct med_expansion *expansions;
    size_t expansion_count;
    struct {
        uint64_t analyse, lexical, dense, fuse;
    } ns;
};

/* Scratch for one thread; reused between queries. */
struct med_searcher;
enum med_code med_searcher_new(struct med_searcher **ret_searcher, struct med_err *err) MED_CHECK;
void med_searcher_free(struct med_searcher **searcher);
/* From now on only documents of these sources (1 << enum med_source; 0 = all) are found, ranked,
 * counted or exported with it, whatever a request's filter says. Term statistics, spelling and
 * abbreviations stay those of the whole index. */
void med_searcher_limit(struct med_searcher *searcher, uint32_t sources);
/* From now on shown is called with the id of everything that an answer or an export made with it
 * holds, in order; NULL: nobody is told. The id lives until shown returns. */
void med_searcher_watch(
    struct med_searcher *searcher, void (*shown)(void *ctx, struct med_str id), void *ctx);

/* The query is taken literally. */
enum med_code med_rank(const struct med_index *index, struct med_searcher *searcher,
    const struct med_search_request *request, struct med_arena *arena,
    struct med_ranking **ret_ranking, struct med_err *err) MED_CHECK;

/* --- results to show --- */
struct med_result {
    struct med_str id; /* chunk id "<document id>~<n>" */
    struct med_str document_id;
    struct med_str source_id; /* as it stood in the input */
    uint32_t version;         /* of the document */
    struct med_doc *doc;      /* the whole document, for authors, journal, ... */
    struct med_str title;
    struct med_str url;     /* the document's own, or empty */
    struct med_str path;    /* heading path of the passage */
    struct med_str text;    /* the passage */
    struct med_span span;   /* of the passage in the canonical text */
    struct med_str snippet; /* at most 300 characters around the best matches, sentence-aligned */
    struct med_span *highlights; /* in snippet */
    size_t highlight_count;
    enum med_evidence evidence;
    uint32_t flags;       /* enum med_doc_flag */
    struct med_str *also; /* other ids of the same work in this index */
    size_t also_count;
    struct med_link *links; /* from both sides: retractions, errata, comments, updates, ... */
    size_t link_count;
    struct med_ranked rank;
};
struct med_answer {
    struct med_result *results;
    size_t count;
    struct med_ranking *ranking;
    uint64_t generation;
    uint64_t ns_present;
};
/* Rank, then load and cut what is shown. Everything lives in the arena. */
enum med_code med_search(const struct med_index *index, struct med_searcher *searcher,
    const struct med_search_request *request, struct med_arena *arena,
    struct med_answer **ret_answer, struct med_err *err) MED_CHECK;

/* --- export --- */
typedef enum med_code (*med_export_fn)(void *ctx, const struct med_doc *doc, uint32_t flags,
    enum med_evidence evidence, struct med_err *err);
/* Calls fn with every document that the query and the filter let through (all words of a plain
 * question must occur), newest first, one per work, at most MED_EXPORT_DOCS_MAX. The document lives
 * until fn returns; an error of fn ends the export. */
enum med_code med_export(const struct med_index *index, struct med_searcher *searcher,
    const struct med_search_request *request, struct med_arena *arena, med_export_fn fn, void *ctx,
    uint64_t *ret_total, uint64_t *ret_count, struct med_err *err) MED_CHECK;

/* --- fetch --- */
struct med_fetched {
    struct med_doc *doc;
    struct med_text *text;
    struct med_chunk *chunks;
    size_t chunk_count;
    bool is_chunk; /* the id named a chunk: */
    uint32_t chunk;
    bool current;   /* false: an older version than the live one */
    uint32_t flags; /* enum med_doc_flag */
    enum med_evidence evidence;
    struct med_str *also; /* other ids of the same work in this store */
    size_t also_count;
    struct med_link *links; /* as in med_result; without an index those of its own record */
    size_t link_count;
};
/* By document id, chunk id ("<id>~<n>"), alias (pmid:, pmcid:, doi:) or web address: the document's
 * own, or one of PubMed, PMC and doi.org. A document that was deleted is MED_E_GONE. The index may
 * be NULL (nothing built yet): documents are fetched from the store alone. sources as in
 * med_searcher_limit: other documents do not exist. */
enum med_code med_fetch(struct med_store *store, const struct med_index *index, uint32_t sources,
    struct med_str id, struct med_arena *arena, struct med_fetched **ret_fetched,
    struct med_err *err) MED_CHECK;

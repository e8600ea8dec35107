/* What the files of index/ share among themselves and show nobody else. */
#pragma once

#include "common/limits.h"
#include "embed/analyzer.h"
#include "embed/corpus_encoder.h"
#include "index/overlay.h"
#include "index/query_parse.h"
#include "index/search.h"
#include "index/thesaurus.h"

#include <stdatomic.h>

#define MED_ENCODER_FILE "corpus.enc"

struct shared_work {
    uint64_t work;
    uint32_t segment, doc;
};

struct med_index {
    atomic_uint references;
    struct med_pin *pin;
    const struct med_manifest *manifest; /* lives in the pin */
    struct med_store *store;             /* borrowed */
    struct med_segment **segments;
    uint32_t segment_count;
    struct med_map encoder_map;
    struct med_corpus_encoder *encoder; /* NULL when lexical only */
    struct med_map overlay_map;
    struct med_overlay overlay;
    struct med_map thesaurus_map;
    struct med_thesaurus thesaurus;
    struct shared_work *shared; /* live documents, sorted by work, then id */
    size_t shared_count;
    struct {
        uint64_t chunk_count, doc_count, length_sum;
    } stats; /* sums over what is live in the segments: what BM25F needs */
    uint64_t bytes;
};

/* A query, analysed once: distinct terms in order of appearance. */
struct query_term {
    struct med_str term; /* in the request's arena */
    float weight;        /* 1, or less for function words */
    float idf;           /* over the collection; 0 when no passage has it */
    uint64_t df;
    bool added; /* by expansion, not typed */
};
struct query {
    struct query_tree tree; /* count 0: nothing in the query restricts */
    struct med_str *words;  /* slices of the request's text that rank; NULL after query_analyse */
    size_t word_count;
    struct med_str text; /* what was analysed; borrowed */
    struct query_term *terms;
    size_t term_count;
};
enum med_code query_analyse(struct med_analyzer *analyzer, struct med_str text,
    struct med_arena *arena, struct query *ret_query, struct med_err *err) MED_CHECK;

/* The query language: the tree, and its words analysed. */
enum med_code query_understand(struct med_analyzer *analyzer,
    const struct med_search_request *request, struct med_arena *arena, struct query *ret_query,
    struct med_err *err) MED_CHECK;

/* Adds the terms of other names of what the query's text says, with smaller weights, and tells the
 * ranking which. Before the terms are looked up. */
enum med_code query_expand(const struct med_index *index, struct med_analyzer *analyzer,
    struct query *query, struct med_arena *arena, struct med_ranking *ranking,
    struct med_err *err) MED_CHECK;

/* Of a term over the whole collection; 0 when no passage has it. */
double query_idf(const struct med_index *index, struct med_str term);

static inline bool med_source_allowed(uint32_t sources, unsigned source)
{
    return !sources || sources >> source & 1;
}

struct med_searcher {
    uint32_t sources;                            /* med_searcher_limit; 0 = all */
    void (*shown)(void *ctx, struct med_str id); /* med_searcher_watch; or NULL */
    void *shown_ctx;
    struct med_analyzer *analyzer;
    struct med_lex_scratch *scratch;
};

/* Ranking of an analysed query; med_rank is analysis plus this. */
enum med_code rank_query(const struct med_index *index, struct med_searcher *searcher,
    const struct med_search_request *request, struct query *query, struct med_arena *arena,
    struct med_ranking *ranking, struct med_err *err) MED_CHECK;

/* The fields of a document as they are indexed: descriptors, keywords and chemicals. */
struct med_str build_mesh_text(const struct med_doc *doc, struct med_buf *scratch);

/* Loads and cuts the page of a ranking that the request asks for. */
enum med_code answer_make(const struct med_index *index, struct med_searcher *searcher,
    const struct med_search_request *request, const struct query *query,
    struct med_ranking *ranking, struct med_arena *arena, struct med_answer **ret_answer,
    struct med_err *err) MED_CHECK;

/* The links of a document from both sides, each once. The index may be NULL. */
enum med_code links_of(const struct med_index *index, struct med_snapshot *snapshot,
    const struct med_doc *doc, struct med_arena *arena, struct med_link **ret_links,
    size_t *ret_count, struct med_err *err) MED_CHECK;

/* What snippets look for: made once per answer. */
#define SNIPPET_TERMS_MAX 64
struct snippet_terms {
    const struct query_term *terms; /* borrowed from the query */
    uint32_t count;
    double weight; /* of all */
    struct med_watch watch;
};
struct snippet_terms snippet_terms_of(const struct query *query);

/* At most MED_SNIPPET_CHARS characters of the passage, whole sentences where they fit, around the
 * terms that weigh most. */
#define MED_SNIPPET_CHARS 300
enum med_code snippet_make(struct med_analyzer *analyzer, struct med_str passage,
    const struct snippet_terms *terms, struct med_arena *arena, struct med_str *ret_snippet,
    struct med_span **ret_highlights, size_t *ret_highlight_count, struct med_err *err) MED_CHECK;

/* The share of the query's idf that the best window of a snippet's size covers: 0..1. */
enum med_code snippet_weigh(struct med_analyzer *analyzer, struct med_str passage,
    const struct snippet_terms *terms, struct med_arena *arena, double *ret_share,
    struct med_err *err) MED_CHECK;
/* Of rank's passages, the one to show: high in the ranking, and with one place that says much about
 * the query. text is at least the layout. */
enum med_code passage_choose(const struct med_segment *segment, struct med_analyzer *analyzer,
    const struct snippet_terms *terms, const struct med_doc *doc, const struct med_text *text,
    const struct med_ranked *rank, struct med_arena *arena, uint32_t *ret_chunk,
    struct med_err *err) MED_CHECK;

/* Gives an open segment another patch, whose bytes are borrowed: how an update looks at the state
 * that it is going to publish. Nobody else may use the segment meanwhile. */
enum med_code segment_patch(
    struct med_segment *segment, struct med_str bytes, struct med_err *err) MED_CHECK;
/* Lists the live documents that share works, anew. */
enum med_code index_collect_shared(struct med_index *index, struct med_err *err) MED_CHECK;
/* The works of the list: [*ret_first, *ret_first + count). */
size_t index_shared_of(const struct med_index *index, uint64_t work, size_t *ret_first);

/* The overlay of the state that the open segments are in, whose documents are those of the
 * snapshot. Reads no document, unless a segment of an older version has no statements. Appends to
 * out. */
enum med_code index_overlay(const struct med_index *index, struct med_snapshot *snapshot,
    const struct med_retraction_list *list, struct med_buf *out, struct med_err *err) MED_CHECK;

/* The fusion weight of the dense half for a freshly built, not yet published generation. */
struct calibration {
    double weight;
    struct med_str json; /* in the arena: how it was found */
};

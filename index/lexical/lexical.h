/* The lexical index of one segment: BM25F over passages.
 *
 * Scoring (Robertson, Zaragoza and Taylor 2004, "Simple BM25 extension to multiple weighted
 * fields"):
 *
 *   wtf(t,c) = body tf + w_title * title tf + w_mesh * mesh tf     (the weights are whole numbers)
 *   len(c)   = body length + w_title * title length + w_mesh * mesh length
 *   score    = sum over query terms of
 *              weight_t * idf_t * wtf * (k1 + 1) / (wtf + k1 * (1 - b + b * len / avg_len))
 *   idf_t    = ln(1 + (N - df + .5) / (df + .5))
 *
 * Title and MeSH terms belong to every chunk of their document, but count once per document:
 *
 *   df(t) = sum over documents of max(chunks whose body has t, 1 if title or MeSH has t)
 *   N     = chunks
 *
 * Frequencies and lengths saturate at 65,535. Contributions are rounded to multiples of 2^-20
 * (less fine only where a query's weights sum to more than about a thousand), so that their sum
 * does not depend on the order of terms.
 *
 * Postings hold (chunk, wtf) and per 128-block impact frontiers (wtf, len), never finished scores,
 * so that statistics can come from several segments; results equal exhaustive scoring exactly
 * (ties: smaller chunk id first).
 *
 * Files: "lexicon" (sorted terms, df, where their postings are), "postings" (bit-packed blocks),
 * "lengths" (len per chunk). README.md has the bytes and the algorithm. */
#pragma once

#include "common/fs.h"
#include "common/progress.h"
#include "embed/vocab.h"

struct med_lex_weights {
    uint32_t title, mesh; /* body is 1 */
};
#define MED_LEX_WEIGHTS_DEFAULT ((struct med_lex_weights){.title = 2, .mesh = 1})

struct med_file_ref {
    char name[48]; /* within its folder */
    uint64_t size;
    struct med_hash128 hash;
};

/* --- writing: documents in order, chunks in order within them; chunk ids are 0, 1, ... --- */
struct med_lex_writer;
/* vocab is borrowed and must outlive the writer; term ids are its ids. */
enum med_code med_lex_writer_new(const struct med_vocab *vocab, struct med_lex_weights weights,
    struct med_lex_writer **ret_writer, struct med_err *err) MED_CHECK;
/* Term ids in any order with repetitions. `length` is the field's length in words (extra terms do
 * not count). */
struct med_lex_field {
    const uint32_t *terms;
    size_t term_count;
    uint32_t length;
};
enum med_code med_lex_writer_doc(struct med_lex_writer *writer, struct med_lex_field title,
    struct med_lex_field mesh, struct med_err *err) MED_CHECK;
enum med_code med_lex_writer_chunk(
    struct med_lex_writer *writer, struct med_lex_field body, struct med_err *err) MED_CHECK;
/* Bounds the memory of postings: whenever they take more than `bytes`, they go to files in `dir`,
 * which exists, their names behind `prefix`, and med_lex_writer_finish merges and removes these.
 * The index has the same bytes. fs and prefix are borrowed. Before the first document. */
enum med_code med_lex_writer_spill(struct med_lex_writer *writer, const struct med_fs *fs,
    const char *dir, const char *prefix, uint64_t bytes, struct med_err *err) MED_CHECK;
uint64_t med_lex_writer_bytes(const struct med_lex_writer *writer); /* memory it holds */
/* df per vocabulary id as defined above, for the encoder's training: after the last chunk, nothing
 * can be added any more. NULL = out of memory. */
const uint32_t *med_lex_writer_df(struct med_lex_writer *writer);
/* Writes the files into dir, their names behind `prefix` (""), synced; fills
 * ret_files[MED_LEX_FILE_COUNT]. Once; of the writer only its df is left. */
#define MED_LEX_FILE_COUNT 3
enum med_code med_lex_writer_finish(struct med_lex_writer *writer, const struct med_fs *fs,
    const char *dir, const char *prefix, struct med_file_ref ret_files[MED_LEX_FILE_COUNT],
    struct med_err *err) MED_CHECK;
void med_lex_writer_free(struct med_lex_writer **writer);

/* --- merging: indexes without some of their passages -> one index ---
 * The result has the bytes that a writer would give for the same passages. Postings are read in the
 * order of terms and written as they come: besides its lexicon and lengths nothing is held. */
#define MED_LEX_LEFT_OUT UINT32_MAX
struct med_lex_merge_input {
    const struct med_lex *lex;
    const uint32_t *chunk_to;  /* per chunk: its id in the result, ascending; or MED_LEX_LEFT_OUT,
                                  then for all chunks of its document */
    const uint32_t *chunk_doc; /* per chunk: its document, non-decreasing; NULL = each is one */
    /* An index whose passages are documents, with the terms of titles and headings behind a byte
     * that tells which: df counts bodies, and a frequency alone does not tell them from headings.
     * Asked for documents that are left out only; NULL where each chunk is a document. */
    const struct med_lex *headings;
};
struct med_lex_heading {
    char prefix;     /* of the terms in `headings` */
    uint32_t weight; /* as in med_lex_weights */
};
#define MED_LEX_HEADINGS_MAX 4
struct med_lex_merge_options {
    struct med_lex_heading headings[MED_LEX_HEADINGS_MAX];
    size_t heading_count;
    const char *prefix;                  /* of the files' names */
    const struct med_progress *progress; /* stage "merge", in terms */
};
/* chunk_count: of the result; every id below it is given exactly once. Writes the files into dir,
 * synced. Damaged inputs are MED_E_CORRUPT. */
enum med_code med_lex_merge(const struct med_lex_merge_input *inputs, size_t count,
    uint32_t chunk_count, const struct med_lex_merge_options *options, const struct med_fs *fs,
    const char *dir, struct med_file_ref ret_files[MED_LEX_FILE_COUNT],
    struct med_err *err) MED_CHECK;

/* --- reading: any number of threads --- */
struct med_lex;
/* Borrows the maps. Structure is validated (offsets, order, counts), contents were checksummed by
 * the caller; postings decode defensively all the same. */
enum med_code med_lex_open(struct med_map lexicon, struct med_map postings, struct med_map lengths,
    struct med_lex **ret_lex, struct med_err *err) MED_CHECK;
void med_lex_free(struct med_lex **lex);
uint32_t med_lex_chunk_count(const struct med_lex *lex);
uint64_t med_lex_length_sum(const struct med_lex *lex); /* of len over all chunks */
uint32_t med_lex_length(const struct med_lex *lex, uint32_t chunk);
uint32_t med_lex_term_count(const struct med_lex *lex);
/* Finds a term: its ordinal and df; false when absent. */
bool med_lex_find(
    const struct med_lex *lex, struct med_str term, uint32_t *ret_ordinal, uint32_t *ret_df);
/* The term at an ordinal, in byte order (spelling, completion, tests). */
enum med_code med_lex_term_at(const struct med_lex *lex, uint32_t ordinal, struct med_buf *ret_term,
    uint32_t *ret_df, struct med_err *err) MED_CHECK;

struct med_lex_term {
    uint32_t ordinal; /* in this segment */
    float weight; /* of the query term times idf: the caller knows the collection's statistics */
};
struct med_lex_query {
    const struct med_lex_term *terms; /* distinct ordinals */
    size_t term_count;
    float k1, b;
    float avg_len; /* over the whole collection */
};
#define MED_BM25_K1_DEFAULT 1.2f
#define MED_BM25_B_DEFAULT 0.6f

/* A set of chunks that may be returned: bit c of words. NULL words = all. */
struct med_filter {
    const uint64_t *words;
    uint32_t set_count; /* bits set; ignored when words is NULL */
};
static inline bool med_filter_has(struct med_filter f, uint32_t chunk)
{
    return !f.words || (f.words[chunk >> 6] >> (chunk & 63) & 1);
}

struct med_hit {
    uint32_t chunk;
    float score;
};

/* Scratch of a search: one per thread, reused; no allocation once warm. */
struct med_lex_scratch;
enum med_code med_lex_scratch_new(
    struct med_lex_scratch **ret_scratch, struct med_err *err) MED_CHECK;
void med_lex_scratch_free(struct med_lex_scratch **scratch);

/* The k best chunks, best first; with `groups` (per chunk, non-decreasing: the document ordinal)
 * the best chunk of each of the k best groups. Only positive scores. ret_hits[k]. */
enum med_code med_lex_search(const struct med_lex *lex, struct med_lex_scratch *scratch,
    const struct med_lex_query *query, struct med_filter filter, const uint32_t *groups, size_t k,
    struct med_hit *ret_hits, size_t *ret_count, struct med_err *err) MED_CHECK;
/* The same by exhaustive scoring, slow and simple: the oracle of tests and of `check`. */
enum med_code med_lex_search_exhaustive(const struct med_lex *lex,
    const struct med_lex_query *query, struct med_filter filter, const uint32_t *groups, size_t k,
    struct med_hit *ret_hits, size_t *ret_count, struct med_err *err) MED_CHECK;
/* Scores of given chunks (ascending); 0 where no term matches. */
enum med_code med_lex_score(const struct med_lex *lex, struct med_lex_scratch *scratch,
    const struct med_lex_query *query, const uint32_t *chunks, size_t count, float *ret_scores,
    struct med_err *err) MED_CHECK;
/* Chunks that match any term (within the filter), for totals. */
enum med_code med_lex_count(const struct med_lex *lex, struct med_lex_scratch *scratch,
    const struct med_lex_query *query, struct med_filter filter, const uint32_t *groups,
    uint64_t *ret_count, struct med_err *err) MED_CHECK;
/* Sets the bit of every chunk (with `groups`: of its group) that has the term, weight or not; other
 * bits stay. */
enum med_code med_lex_mark(const struct med_lex *lex, struct med_lex_scratch *scratch,
    uint32_t ordinal, const uint32_t *groups, uint64_t *bits, struct med_err *err) MED_CHECK;
/* The ordinal of the first term that is not below `prefix` in byte order; the number of terms when
 * there is none. */
enum med_code med_lex_lower_bound(const struct med_lex *lex, struct med_str prefix,
    uint32_t *ret_ordinal, struct med_err *err) MED_CHECK;
/* Offers the terms that begin with `prefix` in byte order. What is offered may rule out others:
 * *ret_dead = n says that no later term that has the first n bytes of this one need be offered
 * (n = 0, which it is set to, rules out nothing), and most of them are not even read. */
enum med_code med_lex_scan(const struct med_lex *lex, struct med_str prefix,
    enum med_code (*offer)(void *ctx, struct med_str term, size_t *ret_dead, struct med_err *err),
    void *ctx, struct med_err *err) MED_CHECK;
/* Verifies every posting: order, bounds, frontiers, df, lengths. For `check`. */
enum med_code med_lex_check(const struct med_lex *lex, struct med_err *err) MED_CHECK;

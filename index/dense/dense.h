/* The dense index of one segment: vectors and, when there are many, a graph over them.
 *
 * Vectors are kept in our own memory-mapped file ("vectors") as 16-bit fixed point with a scale per
 * row; scores are inner products of these values and a query rounded the same way (vectors are
 * L2-normalised: cosine). The sums are integers: the same bits on every processor. FAISS learns
 * what makes the search fast, over our rows and with our vectorised distances: HNSW links (Malkov
 * and Yashunin 2018) or the centroids of inverted lists. Both are in "graph", written and read by
 * us with every field bounds-checked, and searched where they lie: opening copies nothing.
 *
 * Flat (exact) up to MED_DENSE_FLAT_MAX vectors, HNSW to MED_DENSE_HNSW_MAX, IVF above. A search
 * with a filter that leaves few, or that came back with fewer than k, is answered by an exact scan
 * of the filter: never fewer than k where k exist. A chunk has one score: the same bits from search
 * and score, whatever found it. */
#pragma once

#include "common/fs.h"
#include "common/progress.h"
#include "index/lexical/lexical.h" /* med_file_ref, med_filter, med_hit */

#define MED_DENSE_FLAT_MAX 20000u
#define MED_DENSE_HNSW_MAX 5000000u

enum med_dense_kind { MED_DENSE_AUTO, MED_DENSE_FLAT, MED_DENSE_HNSW, MED_DENSE_IVF };
const char *med_dense_kind_name(enum med_dense_kind kind);

/* --- writing ---
 * With one thread the same rows and options give the same bytes of a graph; with several it differs
 * from run to run and is equally good. "vectors" depends on the rows alone. */
struct med_dense_options {
    enum med_dense_kind kind;
    uint32_t dim;
    uint32_t hnsw_m;               /* 0 = 24 (48 links at level 0) */
    uint32_t hnsw_ef_construction; /* 0 = default */
    unsigned threads;              /* 0 = med_cpu_count() */
    uint64_t seed;
    /* What searches will ask for: [question_count][dim], L2-normalised, borrowed; recall is
     * measured with them. NULL: with queries made from the rows. */
    const float *questions;
    size_t question_count;
    const struct med_progress *progress; /* stages "graph", "verify" */
};
struct med_dense_writer;
struct med_dense;
/* Creates dir/vectors; fs and options->progress are borrowed until the writer is freed. */
enum med_code med_dense_writer_new(const struct med_fs *fs, const char *dir,
    const struct med_dense_options *options, struct med_dense_writer **ret_writer,
    struct med_err *err) MED_CHECK;
/* count rows of dim floats, ids in order. Refuses NaN and infinities (MED_E_INVALID). All-zero rows
 * (texts without known terms) are kept and never returned by a search unless nothing else is left.
 * After a failure the writer can only be freed. */
enum med_code med_dense_writer_add(struct med_dense_writer *writer, const float *rows, size_t count,
    struct med_err *err) MED_CHECK;
/* The rows [first, first + count) of another index of the same dimension, bit for bit. */
enum med_code med_dense_writer_copy(struct med_dense_writer *writer, const struct med_dense *from,
    uint32_t first, uint32_t count, struct med_err *err) MED_CHECK;
/* options.questions, once they can be made; borrowed until finish. */
void med_dense_writer_ask(struct med_dense_writer *writer, const float *questions, size_t count);
#define MED_DENSE_FILE_COUNT 2
struct med_dense_report {
    enum med_dense_kind kind;
    uint64_t count;
    /* Of the graph or lists alone against exact search, for up to 200 of options.questions, or as
     * many queries made from the index's own rows; 1 for Flat. */
    float recall_at_10;
    /* The ef (HNSW) or nprobe (IVF), the smallest tried whose recall reaches .98, otherwise the
     * largest. */
    float search_ef;
};
/* Builds, measures, writes synced files: ret_files[0] "vectors", ret_files[1] "graph" (a small
 * header only for Flat). Needs room for the graph twice; the vectors are mapped back, not held. */
enum med_code med_dense_writer_finish(struct med_dense_writer *writer,
    struct med_file_ref ret_files[MED_DENSE_FILE_COUNT], struct med_dense_report *ret_report,
    struct med_err *err) MED_CHECK;
/* Removes "vectors" unless it was finished. */
void med_dense_writer_free(struct med_dense_writer **writer);

/* --- reading: any number of threads --- */
/* Borrows the maps, which must begin at a multiple of 64 and outlive it. Every field and link is
 * checked (MED_E_CORRUPT, MED_E_UNSUPPORTED): bytes that pass can give wrong answers, never a
 * crash. Of the rows only the scales are read. */
enum med_code med_dense_open(struct med_map vectors, struct med_map graph,
    struct med_dense **ret_dense, struct med_err *err) MED_CHECK;
void med_dense_free(struct med_dense **dense);
uint32_t med_dense_dim(const struct med_dense *dense);
uint32_t med_dense_count(const struct med_dense *dense);
struct med_dense_report med_dense_describe(const struct med_dense *dense);

struct med_dense_params {
    uint32_t ef; /* 0 = the one chosen at build, at least k */
    bool exact;  /* scan everything (eval, checks) */
    /* Per chunk, never decreasing: the document. Hits are then the best chunk of each of the k best
     * groups, k of them where there are so many. NULL: chunks. */
    const uint32_t *groups;
};
/* The k best by inner product, best first; query[dim] finite and L2-normalised, else MED_E_INVALID.
 * ret_hits[k]; ties: smaller chunk first; exactly min(k, allowed chunks or groups) hits. Works in
 * memory that is kept between searches: none is allocated once as many threads have searched at a
 * time. IVF allocates its list of lists. */
enum med_code med_dense_search(const struct med_dense *dense, const float *query,
    struct med_filter filter, const struct med_dense_params *params, size_t k,
    struct med_hit *ret_hits, size_t *ret_count, struct med_err *err) MED_CHECK;
/* Scores of given chunks (any order, each < count). */
enum med_code med_dense_score(const struct med_dense *dense, const float *query,
    const uint32_t *chunks, size_t count, float *ret_scores, struct med_err *err) MED_CHECK;
/* A row of zeros, which a search puts behind every other. */
bool med_dense_is_zero(const struct med_dense *dense, uint32_t chunk);
/* One stored vector as floats: ret_row[dim]. */
enum med_code med_dense_row(
    const struct med_dense *dense, uint32_t chunk, float *ret_row, struct med_err *err) MED_CHECK;

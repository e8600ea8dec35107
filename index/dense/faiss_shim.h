/* All of FAISS that medicus sees, as C. faiss_shim.cc is the only file that includes its headers;
 * no exception leaves it.
 *
 * The classes work over rows that the caller keeps mapped: FAISS's own vectors are never used. */
#pragma once

#include "common/err.h"
#include "common/progress.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The same rows as struct med_dense_rows, without the headers that C++ need not read. */
struct med_faiss_rows {
    const uint16_t *base;
    uint32_t padded;
    uint32_t dim;
    uint32_t count;
};

/* --- HNSW (Malkov and Yashunin 2018) --- */

struct med_faiss_hnsw;

struct med_faiss_hnsw_options {
    uint32_t m;
    uint32_t ef_construction;
    unsigned threads;
    uint64_t seed;
    const struct med_progress *progress;
};

/* The graph as arrays, in the layout of format.h. level_0 has count * 2 * m entries, upper m per
 * level above 0 of each row. Empty lists end at MED_GRAPH_NO_LINK. */
struct med_faiss_links {
    const uint8_t *levels;
    const uint32_t *level_0;
    const uint32_t *upper;
    uint64_t upper_count; /* entries */
    uint32_t m;
    uint32_t entry_point;
    uint32_t max_level;
};

/* Links all rows whose bit in `skip` (count bits; NULL = none) is not set. With one thread the same
 * rows, options and seed give the same graph; with several an equally good one. Borrows rows. */
enum med_code med_faiss_hnsw_build(const struct med_faiss_rows *rows, const uint64_t *skip,
    const struct med_faiss_hnsw_options *options, struct med_faiss_hnsw **ret_hnsw,
    struct med_err *err) MED_CHECK;
/* links must be valid (graph.c): they are not checked again, and they are copied. */
enum med_code med_faiss_hnsw_load(const struct med_faiss_rows *rows,
    const struct med_faiss_links *links, struct med_faiss_hnsw **ret_hnsw,
    struct med_err *err) MED_CHECK;
void med_faiss_hnsw_free(struct med_faiss_hnsw **hnsw);

uint32_t med_faiss_hnsw_entry_point(const struct med_faiss_hnsw *hnsw);
uint32_t med_faiss_hnsw_max_level(const struct med_faiss_hnsw *hnsw);
uint32_t med_faiss_hnsw_levels(const struct med_faiss_hnsw *hnsw, uint32_t row);
/* The links of one row on one level: 2 * m for level 0, m above. Borrowed. */
const uint32_t *med_faiss_hnsw_links(
    const struct med_faiss_hnsw *hnsw, uint32_t row, uint32_t level);

/* Up to k rows near the padded query, in no particular order, each given to `take` with its inner
 * product. words = the allowed rows (NULL = all). Any number of threads at once; each works with a
 * context of its own, kept for the next call. Starts no threads. */
enum med_code med_faiss_hnsw_search(struct med_faiss_hnsw *hnsw, const float *query,
    const uint64_t *words, uint32_t ef, uint32_t k,
    void (*take)(void *ctx, uint32_t row, float score), void *ctx, struct med_err *err) MED_CHECK;

/* --- k-means, for the coarse centroids of IVF --- */

/* points[count][dim], centroids[list_count][dim], both L2-normalised; count >= list_count. */
enum med_code med_faiss_kmeans(const float *points, uint32_t count, uint32_t dim,
    uint32_t list_count, unsigned threads, uint64_t seed, float *ret_centroids,
    struct med_err *err) MED_CHECK;
/* The centroid of largest inner product for each point. */
enum med_code med_faiss_assign(const float *points, uint32_t count, uint32_t dim,
    const float *centroids, uint32_t list_count, unsigned threads, uint32_t *ret_lists,
    struct med_err *err) MED_CHECK;

#ifdef __cplusplus
}
#endif

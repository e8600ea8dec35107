/* All of FAISS that medicus sees, as C. faiss_shim.cc is the only file that includes its headers;
 * no exception leaves it.
 *
 * FAISS learns: it links rows into an HNSW graph and finds centroids. It works over rows that the
 * caller keeps mapped, with our distances, and holds no copy of them. Searching what was learnt is
 * walk.c's: FAISS 1.7.3 would want the graph in vectors of its own, fetches one row at a time,
 * keeps candidates in a heap that it scans, and enters level 0 at a single row. */
#pragma once

#include "common/err.h"
#include "common/progress.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The coarse bytes of struct med_dense_rows, without the headers that C++ need not read. */
struct med_faiss_rows {
    const uint8_t *base;
    const float *scales;
    uint32_t block_rows; /* a block has as many rows of coarse bytes, then of fine ones */
    uint32_t padded;
    uint32_t count;
};

/* --- HNSW (Malkov and Yashunin 2018) --- */

struct med_faiss_hnsw_options {
    uint32_t m;
    uint32_t ef_construction;
    unsigned threads;
    uint64_t seed;
    const struct med_progress *progress;
};

/* A graph in the layout of format.h; owned, freed by med_faiss_graph_free. */
struct med_faiss_graph {
    uint8_t *levels;      /* [count]: on how many levels the row is, 0 = on none */
    uint32_t *level_0;    /* [count][2 * m] */
    uint32_t *upper;      /* [upper_count] in lists of m */
    uint64_t upper_count; /* a multiple of m */
    uint32_t entry_point;
    uint32_t max_level;
};

/* Links all rows whose bit in `skip` is not set; at least one. With one thread the same rows,
 * options and seed give the same graph; with several an equally good one. */
enum med_code med_faiss_hnsw_build(const struct med_faiss_rows *rows, const uint64_t *skip,
    const struct med_faiss_hnsw_options *options, struct med_faiss_graph *ret_graph,
    struct med_err *err) MED_CHECK;
void med_faiss_graph_free(struct med_faiss_graph *graph);

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

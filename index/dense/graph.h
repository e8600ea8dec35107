/* The file "graph": reading it defensively and writing it. Internal to index/dense. */
#pragma once

#include "index/dense/dense.h"
#include "index/dense/format.h"
#include "index/dense/scan.h"
#include "index/dense/walk.h"

struct med_ivf {
    struct med_dense_rows centroids; /* one row per list */
    const uint64_t *offsets;         /* [list_count + 1], into ids */
    const uint32_t *ids;
};

struct med_graph {
    struct med_graph_header header;
    struct med_links links; /* HNSW; upper_starts is owned: med_graph_close */
    struct med_ivf ivf;     /* IVF */
};

/* Checks every field and every index against `rows`; afterwards no link, offset or row number of
 * the graph leads out of bounds. Borrows the map. */
enum med_code med_graph_read(struct med_map map, const struct med_dense_rows *rows,
    struct med_graph *ret_graph, struct med_err *err) MED_CHECK;
void med_graph_close(struct med_graph *graph);

/* kind, m, count, dim, recall and search_ef are filled by the caller, the rest here; the file is
 * created, written and synced. */
enum med_code med_graph_write_flat(const struct med_fs *fs, const char *path,
    struct med_graph_header *header, struct med_file_ref *ret_file, struct med_err *err) MED_CHECK;
enum med_code med_graph_write_hnsw(const struct med_fs *fs, const char *path,
    struct med_graph_header *header, const struct med_links *links, struct med_file_ref *ret_file,
    struct med_err *err) MED_CHECK;
enum med_code med_graph_write_ivf(const struct med_fs *fs, const char *path,
    struct med_graph_header *header, const struct med_ivf *ivf, struct med_file_ref *ret_file,
    struct med_err *err) MED_CHECK;

/* --- searching an index that is being written or was read --- */

struct med_dense {
    struct med_dense_rows rows;
    uint64_t zero_count;
    struct med_graph graph;
    struct med_walk_pool *walkers; /* HNSW; owned */
};

/* Checks header and trailer of "vectors". Borrows the map. */
enum med_code med_vectors_read(struct med_map map, struct med_dense_rows *ret_rows,
    uint64_t *ret_zero_count, struct med_err *err) MED_CHECK;

/* The graph or the lists alone, whatever it costs: unsorted, perhaps fewer than k. k > 0,
 * ef (nprobe) > 0; groups for graphs only. */
enum med_code med_dense_search_graph(const struct med_dense *dense,
    const struct med_dense_query *query, struct med_filter filter, uint32_t ef,
    struct med_dense_top *top, struct med_err *err) MED_CHECK;

/* What learns from finished rows: the graph or lists, their measured recall, the file "graph".
 * Internal to index/dense. */
#pragma once

#include "index/dense/faiss_shim.h"
#include "index/dense/graph.h"

/* options->kind is FLAT, HNSW or IVF; at least one row is not zero unless FLAT. Fills the header as
 * written. */
enum med_code med_graph_build(const struct med_fs *fs, const char *path,
    const struct med_dense_rows *rows, const struct med_dense_options *options,
    struct med_graph_header *ret_header, struct med_file_ref *ret_file,
    struct med_err *err) MED_CHECK;

/* The same for IVF. skip has a bit for each row of zeros. */
enum med_code med_graph_build_ivf(const struct med_fs *fs, const char *path,
    struct med_dense *dense, const uint64_t *skip, const struct med_dense_options *options,
    struct med_file_ref *ret_file, struct med_err *err) MED_CHECK;

/* Recall@10 against exact search on up to 200 of options->questions, or of queries made from rows,
 * for the smallest ef (nprobe) that reaches .98, or the largest tried. */
enum med_code med_dense_tune(const struct med_dense *dense, const struct med_dense_options *options,
    float *ret_recall, float *ret_ef, struct med_err *err) MED_CHECK;

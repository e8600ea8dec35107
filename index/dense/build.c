/* Building what is searched instead of everything, over rows that are already on disk. */
#include "index/dense/build.h"

#include "common/mem.h"
#include "common/parallel.h"

/* --- which rows are linked --- */

struct marking {
    const struct med_dense_rows *rows;
    uint64_t *skip;
};

static enum med_code mark_words(
    void *ctx, unsigned worker, uint64_t begin, uint64_t end, struct med_err *err)
{
    (void)worker, (void)err;
    const struct marking *marking = ctx;
    for (uint64_t word = begin; word < end; word++) {
        uint64_t bits = 0;
        for (uint32_t bit = 0; bit < 64; bit++) {
            uint64_t row = word * 64 + bit;
            if (row < marking->rows->count && med_dense_row_is_zero(marking->rows, (uint32_t)row))
                bits |= 1ull << bit;
        }
        marking->skip[word] = bits;
    }
    return MED_OK;
}

/* One bit per row of zeros; freed by med_free. */
static enum med_code mark_zeros(
    const struct med_dense_rows *rows, unsigned threads, uint64_t **ret_skip, struct med_err *err)
{
    uint64_t word_count = rows->count / 64 + 1;
    struct marking marking = {.rows = rows, .skip = med_calloc(word_count, sizeof(uint64_t))};
    if (!marking.skip) return med_fail(err, MED_E_NOMEM, "out of memory for %u rows", rows->count);
    enum med_code code = med_parallel_for(threads, word_count, 1024, mark_words, &marking, err);
    if (code != MED_OK) {
        med_free(marking.skip);
        return code;
    }
    *ret_skip = marking.skip;
    return MED_OK;
}

static enum med_code build_hnsw(const struct med_fs *fs, const char *path, struct med_dense *dense,
    const uint64_t *skip, const struct med_dense_options *options, struct med_file_ref *ret_file,
    struct med_err *err)
{
    struct med_graph_header *header = &dense->graph.header;
    const struct med_dense_rows *r = &dense->rows;
    struct med_faiss_rows rows = {.base = r->base,
        .scales = r->scales,
        .block_rows = MED_VECTORS_BLOCK_ROWS,
        .padded = r->padded,
        .count = r->count};
    struct med_faiss_hnsw_options build = {.m = options->hnsw_m,
        .ef_construction = options->hnsw_ef_construction,
        .threads = options->threads,
        .seed = options->seed,
        .progress = options->progress};
    header->ef_construction = options->hnsw_ef_construction;
    struct med_faiss_graph built = {0};
    enum med_code code = med_faiss_hnsw_build(&rows, skip, &build, &built, err);
    if (code != MED_OK) return code;
    struct med_links *links = &dense->graph.links;
    *links = (struct med_links){.levels = built.levels,
        .level_0 = built.level_0,
        .upper = built.upper,
        .upper_count = built.upper_count,
        .m = options->hnsw_m,
        .entry_point = built.entry_point,
        .max_level = built.max_level};
    for (uint32_t row = 0; row < rows.count; row++) links->linked_count += built.levels[row] > 0;
    code = med_links_index(links, rows.count, err);
    if (code == MED_OK) code = med_walk_pool_new(rows.count, &dense->walkers, err);
    if (code == MED_OK)
        code = med_dense_tune(dense, options, &header->recall_at_10, &header->search_ef, err);
    if (code == MED_OK) code = med_graph_write_hnsw(fs, path, header, links, ret_file, err);
    med_walk_pool_free(&dense->walkers);
    med_links_free(links);
    med_faiss_graph_free(&built);
    return code;
}

enum med_code med_graph_build(const struct med_fs *fs, const char *path,
    const struct med_dense_rows *rows, const struct med_dense_options *options,
    struct med_graph_header *ret_header, struct med_file_ref *ret_file, struct med_err *err)
{
    struct med_dense dense = {.rows = *rows};
    struct med_graph_header *header = &dense.graph.header;
    *header = (struct med_graph_header){
        .kind = options->kind, .dim = rows->dim, .count = rows->count, .recall_at_10 = 1};
    enum med_code code;
    if (options->kind == MED_DENSE_FLAT) {
        code = med_graph_write_flat(fs, path, header, ret_file, err);
    } else {
        uint64_t *skip = NULL;
        code = mark_zeros(rows, options->threads, &skip, err);
        if (code == MED_OK && options->kind == MED_DENSE_IVF)
            code = med_graph_build_ivf(fs, path, &dense, skip, options, ret_file, err);
        else if (code == MED_OK)
            code = build_hnsw(fs, path, &dense, skip, options, ret_file, err);
        med_free(skip);
    }
    if (code == MED_OK) *ret_header = *header;
    return code;
}

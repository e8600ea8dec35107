/* Writing: rows are converted and streamed to "vectors"; when the last one is there the finished
 * file is mapped back, the graph is built over that map (so that the build holds the vectors once,
 * as page cache), measured with the reader's own code, and written with what was measured. */
#include "index/dense/dense.h"

#include "common/limits.h"
#include "common/mem.h"
#include "common/parallel.h"
#include "index/dense/build.h"
#include "index/dense/graph.h"

#include <math.h>
#include <string.h>

#define STAGE_BYTES ((size_t)1 << 18)
#define BLOCK_ROWS ((size_t)MED_VECTORS_BLOCK_ROWS)
#define HNSW_M_DEFAULT 24u
#define HNSW_EF_CONSTRUCTION_DEFAULT 160u

struct med_dense_writer {
    const struct med_fs *fs;
    char dir[MED_PATH_MAX];
    struct med_dense_options options;
    uint32_t padded;
    struct med_vectors_header header;
    struct med_file *file;
    uint8_t *stage;                 /* blocks not yet appended */
    size_t stage_count, stage_rows; /* in use, allocated */
    float *scales;
    size_t scales_cap;
    uint64_t count;
    uint64_t zero_count;
};

static enum med_code check_options(const struct med_dense_options *o, struct med_err *err)
{
    if (o->dim == 0 || o->dim > MED_DIM_MAX)
        return med_fail(err, MED_E_INVALID, "vectors of %u dimensions: 1 to %d are supported",
            o->dim, MED_DIM_MAX);
    if (o->hnsw_m != 0 && (o->hnsw_m < MED_GRAPH_M_MIN || o->hnsw_m > MED_GRAPH_M_MAX))
        return med_fail(err, MED_E_INVALID, "%u links per vector: %u to %u are supported",
            o->hnsw_m, MED_GRAPH_M_MIN, MED_GRAPH_M_MAX);
    return MED_OK;
}

static enum med_code begin_file(struct med_dense_writer *w, struct med_err *err)
{
    char path[MED_PATH_MAX];
    enum med_code code = med_path_join(path, w->dir, "vectors", err);
    if (code == MED_OK) code = med_file_create(w->fs, path, &w->file, err);
    if (code != MED_OK) return code;
    w->header = (struct med_vectors_header){
        .version = MED_VECTORS_VERSION,
        .dim = w->options.dim,
        .encoding = MED_VECTORS_PLANES,
        .metric = MED_VECTORS_INNER_PRODUCT,
        .stride_bytes = w->padded,
    };
    memcpy(w->header.magic, MED_VECTORS_MAGIC, sizeof w->header.magic);
    w->header.check = med_hash64(&w->header, offsetof(struct med_vectors_header, check));
    return med_file_append(w->file, &w->header, sizeof w->header, err);
}

enum med_code med_dense_writer_new(const struct med_fs *fs, const char *dir,
    const struct med_dense_options *options, struct med_dense_writer **ret_writer,
    struct med_err *err)
{
    enum med_code code = check_options(options, err);
    if (code != MED_OK) return code;
    struct med_dense_writer *w = med_calloc(1, sizeof *w);
    if (!w) return med_fail(err, MED_E_NOMEM, "out of memory writing vectors");
    w->fs = fs;
    w->options = *options;
    if (w->options.hnsw_m == 0) w->options.hnsw_m = HNSW_M_DEFAULT;
    if (w->options.hnsw_ef_construction == 0)
        w->options.hnsw_ef_construction = HNSW_EF_CONSTRUCTION_DEFAULT;
    if (w->options.threads == 0) w->options.threads = med_cpu_count();
    w->padded = med_code_padded(options->dim);
    w->stage_rows = STAGE_BYTES / (2 * BLOCK_ROWS * w->padded) * BLOCK_ROWS;
    w->stage = med_aligned_alloc(w->stage_rows * 2 * w->padded);
    if (strlen(dir) >= sizeof w->dir)
        code = med_fail(err, MED_E_LIMIT, "the path is too long: %.80s...", dir);
    else if (!w->stage)
        code = med_fail(err, MED_E_NOMEM, "out of memory writing vectors");
    else {
        memcpy(w->dir, dir, strlen(dir) + 1);
        code = begin_file(w, err);
    }
    if (code != MED_OK) {
        med_dense_writer_free(&w);
        return code;
    }
    *ret_writer = w;
    return MED_OK;
}

void med_dense_writer_ask(struct med_dense_writer *w, const float *questions, size_t count)
{
    w->options.questions = questions;
    w->options.question_count = count;
}

/* What the last block lacks is zeros. */
static enum med_code flush_stage(struct med_dense_writer *w, struct med_err *err)
{
    size_t blocks = (w->stage_count + BLOCK_ROWS - 1) / BLOCK_ROWS, padded = w->padded;
    for (size_t row = w->stage_count; row < blocks * BLOCK_ROWS; row++) {
        uint8_t *coarse =
            w->stage + (row / BLOCK_ROWS * 2 * BLOCK_ROWS + row % BLOCK_ROWS) * padded;
        memset(coarse, 0, padded);
        memset(coarse + BLOCK_ROWS * padded, 0, padded);
    }
    w->stage_count = 0;
    return med_file_append(w->file, w->stage, blocks * 2 * BLOCK_ROWS * padded, err);
}

/* Where the next row's coarse bytes go; the fine bytes are BLOCK_ROWS rows further. */
static uint8_t *stage_end(const struct med_dense_writer *w)
{
    size_t block = w->stage_count / BLOCK_ROWS, place = w->stage_count % BLOCK_ROWS;
    return w->stage + (block * 2 * BLOCK_ROWS + place) * w->padded;
}

/* Keeps the row at the end of the stage. */
static enum med_code stage_row(struct med_dense_writer *w, float scale, struct med_err *err)
{
    if (!med_grow(&w->scales, &w->scales_cap, (size_t)w->count + 1, sizeof *w->scales))
        return med_fail(err, MED_E_NOMEM, "out of memory writing vectors");
    w->scales[w->count++] = scale;
    w->zero_count += scale == 0;
    w->stage_count++;
    return w->stage_count == w->stage_rows ? flush_stage(w, err) : MED_OK;
}

static enum med_code stage_values(
    struct med_dense_writer *w, const float *values, struct med_err *err)
{
    uint8_t *coarse = stage_end(w);
    float scale;
    if (!med_dense_quantise(
            values, w->options.dim, w->padded, coarse, coarse + BLOCK_ROWS * w->padded, &scale))
        return med_fail(err, MED_E_INVALID, "vector %llu holds a value that is not finite",
            (unsigned long long)w->count);
    return stage_row(w, scale, err);
}

static enum med_code check_room(const struct med_dense_writer *w, size_t count, struct med_err *err)
{
    if (!w->file) return med_fail(err, MED_E_CONFLICT, "the vector file is finished or failed");
    if (count >= UINT32_MAX - w->count)
        return med_fail(err, MED_E_LIMIT, "more than %u vectors in one segment", UINT32_MAX - 1);
    return MED_OK;
}

enum med_code med_dense_writer_add(
    struct med_dense_writer *writer, const float *rows, size_t count, struct med_err *err)
{
    struct med_dense_writer *w = writer;
    enum med_code code = check_room(w, count, err);
    for (size_t i = 0; code == MED_OK && i < count; i++)
        code = stage_values(w, rows + i * w->options.dim, err);
    if (code != MED_OK) med_file_discard(&w->file);
    return code;
}

/* Bytes of planes are copied; rows of version 1 are converted. */
static enum med_code copy_row(struct med_dense_writer *w, const struct med_dense_rows *from,
    uint32_t row, struct med_err *err)
{
    if (!from->scales) {
        float values[MED_DIM_MAX];
        if (!med_dense_load(from, row, values))
            return med_fail(err, MED_E_CORRUPT, "vector %u is damaged", row);
        return stage_values(w, values, err);
    }
    uint8_t *coarse = stage_end(w);
    memcpy(coarse, med_dense_coarse_at(from, row), w->padded);
    memcpy(coarse + BLOCK_ROWS * w->padded, med_dense_fine_at(from, row), w->padded);
    return stage_row(w, from->scales[row], err);
}

enum med_code med_dense_writer_copy(struct med_dense_writer *writer, const struct med_dense *from,
    uint32_t first, uint32_t count, struct med_err *err)
{
    struct med_dense_writer *w = writer;
    enum med_code code = check_room(w, count, err);
    if (code == MED_OK && (from->rows.dim != w->options.dim || first > from->rows.count ||
                              count > from->rows.count - first))
        code = med_fail(err, MED_E_INVALID, "there are no such vectors to copy");
    for (uint32_t i = 0; code == MED_OK && i < count; i++) {
        code = copy_row(w, &from->rows, first + i, err);
    }
    if (code != MED_OK) med_file_discard(&w->file);
    return code;
}

static enum med_code append_scales(struct med_dense_writer *w, struct med_err *err)
{
    static const uint8_t zeros[MED_DENSE_ALIGN];
    size_t bytes = (size_t)w->count * sizeof *w->scales, over = bytes % MED_DENSE_ALIGN;
    enum med_code code = med_file_append(w->file, w->scales, bytes, err);
    if (code == MED_OK && over > 0)
        code = med_file_append(w->file, zeros, MED_DENSE_ALIGN - over, err);
    return code;
}

static enum med_code finish_vectors(
    struct med_dense_writer *w, struct med_file_ref *ret_file, struct med_err *err)
{
    uint64_t blocks = (w->count + BLOCK_ROWS - 1) / BLOCK_ROWS;
    struct med_vectors_trailer trailer = {
        .count = w->count,
        .rows_offset = sizeof w->header,
        .scales_offset = sizeof w->header + blocks * 2 * BLOCK_ROWS * w->padded,
        .zero_count = w->zero_count,
        .header_check = w->header.check,
    };
    memcpy(trailer.magic, MED_VECTORS_END_MAGIC, sizeof trailer.magic);
    trailer.check = med_hash64(&trailer, offsetof(struct med_vectors_trailer, check));
    enum med_code code = flush_stage(w, err);
    if (code == MED_OK) code = append_scales(w, err);
    if (code == MED_OK) code = med_file_append(w->file, &trailer, sizeof trailer, err);
    if (code != MED_OK) {
        med_file_discard(&w->file);
        return code;
    }
    struct med_file_ref ref = {.name = "vectors"};
    code = med_file_finish(&w->file, &ref.size, &ref.hash, err);
    if (code == MED_OK) *ret_file = ref;
    return code;
}

static enum med_dense_kind choose_kind(const struct med_dense_writer *w)
{
    uint64_t linked = w->count - w->zero_count;
    enum med_dense_kind kind = w->options.kind;
    if (kind == MED_DENSE_AUTO) {
        kind = w->count <= MED_DENSE_FLAT_MAX   ? MED_DENSE_FLAT
               : w->count <= MED_DENSE_HNSW_MAX ? MED_DENSE_HNSW
                                                : MED_DENSE_IVF;
    }
    if (kind == MED_DENSE_HNSW && w->count > INT32_MAX) kind = MED_DENSE_IVF;
    return linked == 0 ? MED_DENSE_FLAT : kind; /* nothing to link */
}

enum med_code med_dense_writer_finish(struct med_dense_writer *writer,
    struct med_file_ref ret_files[MED_DENSE_FILE_COUNT], struct med_dense_report *ret_report,
    struct med_err *err)
{
    struct med_dense_writer *w = writer;
    if (!w->file) return med_fail(err, MED_E_CONFLICT, "the vector file is finished or failed");
    struct med_file_ref files[MED_DENSE_FILE_COUNT];
    char vectors_path[MED_PATH_MAX], graph_path[MED_PATH_MAX];
    struct med_map map = {0};
    struct med_dense_rows rows = {0};
    uint64_t zero_count;
    enum med_code code = finish_vectors(w, &files[0], err);
    if (code == MED_OK) code = med_path_join(vectors_path, w->dir, "vectors", err);
    if (code == MED_OK) code = med_path_join(graph_path, w->dir, "graph", err);
    if (code == MED_OK) code = med_map_open(vectors_path, &map, err);
    if (code == MED_OK) code = med_vectors_read(map, &rows, &zero_count, err);
    struct med_graph_header header = {0};
    if (code == MED_OK) {
        struct med_dense_options options = w->options;
        options.kind = choose_kind(w);
        code = med_graph_build(w->fs, graph_path, &rows, &options, &header, &files[1], err);
    }
    med_map_close(&map);
    if (code != MED_OK) return code;
    for (size_t f = 0; f < MED_DENSE_FILE_COUNT; f++) ret_files[f] = files[f];
    if (ret_report) {
        *ret_report = (struct med_dense_report){.kind = (enum med_dense_kind)header.kind,
            .count = header.count,
            .recall_at_10 = header.recall_at_10,
            .search_ef = header.search_ef};
    }
    return MED_OK;
}

void med_dense_writer_free(struct med_dense_writer **writer)
{
    struct med_dense_writer *w = *writer;
    if (!w) return;
    med_file_discard(&w->file);
    med_free(w->stage);
    med_free(w->scales);
    med_free(w);
    *writer = NULL;
}

/* Inverted lists for indexes too large for a graph: centroids by spherical k-means on a sample,
 * then every row goes to the list of its nearest centroid (Sivic and Zisserman 2003; Jegou, Douze
 * and Schmid 2011). The lists hold row numbers only; the rows stay where they are. */
#include "index/dense/build.h"

#include "common/mem.h"
#include "common/rng.h"

#include <math.h>
#include <string.h>

#define LISTS_MAX 65536u
#define ROWS_PER_LIST_MIN 32u
#define SAMPLE_PER_LIST 64u
#define SAMPLE_VALUES_MAX ((uint64_t)1 << 28) /* a GiB of floats */
#define BLOCK_ROWS 8192u

struct ivf_build {
    const struct med_dense_rows *rows;
    const uint64_t *skip; /* rows of zeros */
    const struct med_dense_options *options;
    uint32_t linked_count;
    uint32_t list_count;
    float *centroids; /* [list_count][dim] */
    uint32_t *linked; /* the rows that have a list, ascending */
    uint32_t *lists;  /* of each of them */
    uint64_t *offsets;
    uint32_t *ids;
    uint16_t *half; /* the centroids as stored: [list_count][half_padded] */
    uint32_t half_padded;
};

static uint32_t choose_list_count(uint32_t linked_count)
{
    uint32_t lists = (uint32_t)(4 * sqrt((double)linked_count));
    if (lists > linked_count / ROWS_PER_LIST_MIN) lists = linked_count / ROWS_PER_LIST_MIN;
    if (lists > LISTS_MAX) lists = LISTS_MAX;
    return lists > 0 ? lists : 1;
}

/* k-means on a random sample without repetition. */
static enum med_code train(struct ivf_build *b, struct med_err *err)
{
    uint32_t dim = b->rows->dim;
    uint64_t sample = (uint64_t)b->list_count * SAMPLE_PER_LIST;
    if (sample > SAMPLE_VALUES_MAX / dim) sample = SAMPLE_VALUES_MAX / dim;
    if (sample < b->list_count) sample = b->list_count;
    if (sample > b->linked_count) sample = b->linked_count;
    float *points = med_malloc(sample * dim * sizeof *points);
    if (!points) return med_fail(err, MED_E_NOMEM, "out of memory for a sample of vectors");
    struct med_rng rng;
    med_rng_seed(&rng, b->options->seed);
    uint64_t taken = 0;
    for (uint64_t i = 0; taken < sample; i++) { /* Knuth's selection sampling */
        if (med_rng_below(&rng, b->linked_count - i) >= sample - taken) continue;
        (void)med_dense_load(b->rows, b->linked[i], points + taken * dim);
        taken++;
    }
    enum med_code code = med_faiss_kmeans(points, (uint32_t)sample, dim, b->list_count,
        b->options->threads, b->options->seed, b->centroids, err);
    med_free(points);
    return code;
}

static enum med_code assign(struct ivf_build *b, struct med_err *err)
{
    uint32_t dim = b->rows->dim;
    float *block = med_malloc((size_t)BLOCK_ROWS * dim * sizeof *block);
    if (!block) return med_fail(err, MED_E_NOMEM, "out of memory for a block of vectors");
    enum med_code code = MED_OK;
    for (uint32_t begin = 0; code == MED_OK && begin < b->linked_count;) {
        uint32_t count =
            b->linked_count - begin < BLOCK_ROWS ? b->linked_count - begin : BLOCK_ROWS;
        for (uint32_t i = 0; i < count; i++)
            (void)med_dense_load(b->rows, b->linked[begin + i], block + (size_t)i * dim);
        code = med_faiss_assign(block, count, dim, b->centroids, b->list_count, b->options->threads,
            b->lists + begin, err);
        begin += count;
        if (code == MED_OK &&
            !med_progress(b->options->progress, "graph", begin, b->linked_count, "vectors"))
            code = med_fail(err, MED_E_CANCELLED, "cancelled while building vector lists");
    }
    med_free(block);
    return code;
}

/* Counting sort by list; within a list rows stay ascending. */
static void fill_lists(struct ivf_build *b)
{
    for (uint32_t i = 0; i < b->linked_count; i++) b->offsets[b->lists[i] + 1]++;
    for (uint32_t l = 0; l < b->list_count; l++) b->offsets[l + 1] += b->offsets[l];
    for (uint32_t i = 0; i < b->linked_count; i++) b->ids[b->offsets[b->lists[i]]++] = b->linked[i];
    for (uint32_t l = b->list_count; l > 0; l--) b->offsets[l] = b->offsets[l - 1];
    b->offsets[0] = 0;
}

static enum med_code allocate(struct ivf_build *b, struct med_err *err)
{
    size_t lists = b->list_count, linked = b->linked_count;
    b->centroids = med_malloc(lists * b->rows->dim * sizeof *b->centroids);
    b->linked = med_malloc(linked * sizeof *b->linked);
    b->lists = med_malloc(linked * sizeof *b->lists);
    b->offsets = med_calloc(lists + 1, sizeof *b->offsets);
    b->ids = med_malloc(linked * sizeof *b->ids);
    b->half = med_aligned_alloc(lists * b->half_padded * sizeof *b->half);
    if (!b->centroids || !b->linked || !b->lists || !b->offsets || !b->ids || !b->half)
        return med_fail(err, MED_E_NOMEM, "out of memory for %zu vector lists", lists);
    uint32_t at = 0;
    for (uint32_t row = 0; row < b->rows->count; row++) {
        if (!(b->skip[row >> 6] >> (row & 63) & 1)) b->linked[at++] = row;
    }
    return MED_OK;
}

static void free_build(struct ivf_build *b)
{
    med_free(b->centroids);
    med_free(b->linked);
    med_free(b->lists);
    med_free(b->offsets);
    med_free(b->ids);
    med_free(b->half);
}

enum med_code med_graph_build_ivf(const struct med_fs *fs, const char *path,
    struct med_dense *dense, const uint64_t *skip, const struct med_dense_options *options,
    struct med_file_ref *ret_file, struct med_err *err)
{
    const struct med_dense_rows *rows = &dense->rows;
    struct ivf_build b = {.rows = rows,
        .skip = skip,
        .options = options,
        .linked_count = rows->count,
        .half_padded = med_half_padded(rows->dim)};
    for (uint32_t word = 0; word <= rows->count / 64; word++)
        b.linked_count -= (uint32_t)__builtin_popcountll(skip[word]);
    b.list_count = choose_list_count(b.linked_count);
    enum med_code code = allocate(&b, err);
    if (code == MED_OK) code = train(&b, err);
    if (code == MED_OK) code = assign(&b, err);
    if (code == MED_OK) {
        fill_lists(&b);
        memset(b.half, 0, (size_t)b.list_count * b.half_padded * sizeof *b.half);
        for (uint32_t l = 0; l < b.list_count; l++) {
            rows->kernels->to_half(
                b.centroids + (size_t)l * rows->dim, b.half + (size_t)l * b.half_padded, rows->dim);
        }
        struct med_dense_rows centroids = {.base = (const uint8_t *)b.half,
            .padded = b.half_padded,
            .dim = rows->dim,
            .count = b.list_count,
            .kernels = rows->kernels};
        struct med_graph *graph = &dense->graph;
        graph->ivf = (struct med_ivf){.centroids = centroids, .offsets = b.offsets, .ids = b.ids};
        graph->header.list_count = b.list_count;
        code = med_dense_tune(
            dense, options, &graph->header.recall_at_10, &graph->header.search_ef, err);
        if (code == MED_OK)
            code = med_graph_write_ivf(fs, path, &graph->header, &graph->ivf, ret_file, err);
        graph->ivf = (struct med_ivf){0};
    }
    free_build(&b);
    return code;
}

/* Reading: open, search, score.
 *
 * Three ways to the k best rows. The exact scan is the truth, and every search ends there when
 *  - the index is Flat, or the caller wants it exact,
 *  - the filter leaves so few rows that scanning them is cheaper than finding them in the graph,
 *  - the graph or the lists came back with fewer than k.
 * What the graph finds is scored by the same kernel over the same bytes, so that a row has one
 * score. Rows of zeros come last, and only where nothing else is left. */
#include "index/dense/dense.h"

#include "common/limits.h"
#include "common/mem.h"
#include "index/dense/graph.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* |query|^2 may differ from 1 by this much: encoders normalise in fp32, callers may send decimals.
 */
#define NORM_TOLERANCE 1e-2

/* Following one row's links costs as much as scanning this many rows per link (measured: .9 us for
 * 32 links, 26 ns for a row of a scan). */
#define GRAPH_LINK_COST 1.0
/* The same for the rows of lists, which are read from random places. */
#define GRAPH_ROW_COST 1.5

/* Answers that a filtered walk aims at beyond those asked for. */
#define FILTER_MARGIN 16

/* Each doubling of the depth adds a quarter to the lists. */
#define NPROBE_DOUBLINGS 4
#define SCORE_AHEAD 3      /* rows on their way while one is scored */
#define NPROBE_PATIENCE 32 /* times as many rows, where the filter is against the query */

const char *med_dense_kind_name(enum med_dense_kind kind)
{
    switch (kind) {
    case MED_DENSE_AUTO: return "auto";
    case MED_DENSE_FLAT: return "flat";
    case MED_DENSE_HNSW: return "hnsw";
    case MED_DENSE_IVF: return "ivf";
    }
    return "unknown";
}

/* --- opening --- */

static enum med_code corrupt_vectors(struct med_err *err, const char *what)
{
    return med_fail(err, MED_E_CORRUPT, "the vector file is damaged: %s", what);
}

static enum med_code read_header(
    struct med_map map, struct med_vectors_header *ret_header, struct med_err *err)
{
    struct med_vectors_header header;
    memcpy(&header, map.ptr, sizeof header);
    if (memcmp(header.magic, MED_VECTORS_MAGIC, sizeof header.magic) != 0)
        return corrupt_vectors(err, "it does not begin as one");
    bool halves = header.version == MED_VECTORS_VERSION_HALVES;
    if (!halves && header.version != MED_VECTORS_VERSION)
        return med_fail(
            err, MED_E_UNSUPPORTED, "vector file version %u is not known", header.version);
    if (header.check != med_hash64(&header, offsetof(struct med_vectors_header, check)))
        return corrupt_vectors(err, "its header");
    if (header.encoding != (halves ? MED_VECTORS_FP16 : MED_VECTORS_PLANES) ||
        header.metric != MED_VECTORS_INNER_PRODUCT)
        return med_fail(err, MED_E_UNSUPPORTED, "vector encoding %u or metric %u is not known",
            header.encoding, header.metric);
    if (header.dim == 0 || header.dim > MED_DIM_MAX ||
        header.stride_bytes !=
            (halves ? med_half_padded(header.dim) * sizeof(uint16_t) : med_code_padded(header.dim)))
        return corrupt_vectors(err, "its dimensions");
    *ret_header = header;
    return MED_OK;
}

/* Every scale is finite and within what a writer gives, so that every score is finite. */
static bool scales_valid(const float *scales, uint64_t count, uint64_t zero_count)
{
    uint64_t zeros = 0, bad = 0;
    for (uint64_t i = 0; i < count; i++) {
        zeros += scales[i] == 0;
        bad += !(scales[i] >= 0 && scales[i] <= MED_VECTORS_VALUE_MAX);
    }
    return bad == 0 && zeros == zero_count;
}

static uint64_t aligned(uint64_t bytes)
{
    return (bytes + MED_DENSE_ALIGN - 1) / MED_DENSE_ALIGN * MED_DENSE_ALIGN;
}

enum med_code med_vectors_read(struct med_map map, struct med_dense_rows *ret_rows,
    uint64_t *ret_zero_count, struct med_err *err)
{
    struct med_vectors_header header = {0};
    struct med_vectors_trailer trailer;
    if (map.len < sizeof header + sizeof trailer) return corrupt_vectors(err, "too short");
    if ((uintptr_t)map.ptr % MED_DENSE_ALIGN != 0)
        return med_fail(err, MED_E_INVALID, "vectors must be mapped at a multiple of 64");
    enum med_code code = read_header(map, &header, err);
    if (code != MED_OK) return code;
    memcpy(&trailer, map.ptr + map.len - sizeof trailer, sizeof trailer);
    if (memcmp(trailer.magic, MED_VECTORS_END_MAGIC, sizeof trailer.magic) != 0 ||
        trailer.check != med_hash64(&trailer, offsetof(struct med_vectors_trailer, check)) ||
        trailer.header_check != header.check)
        return corrupt_vectors(err, "its end");
    bool halves = header.encoding == MED_VECTORS_FP16;
    uint64_t blocks = (trailer.count + MED_VECTORS_BLOCK_ROWS - 1) / MED_VECTORS_BLOCK_ROWS;
    uint64_t rows_end = sizeof header, end, stride = header.stride_bytes;
    if (trailer.count >= UINT32_MAX || trailer.zero_count > trailer.count)
        return corrupt_vectors(err, "its size does not fit its count");
    rows_end += halves ? trailer.count * stride : blocks * 2 * MED_VECTORS_BLOCK_ROWS * stride;
    end = halves ? rows_end : rows_end + aligned(trailer.count * sizeof(float));
    if (trailer.rows_offset != sizeof header || trailer.scales_offset != (halves ? 0 : rows_end) ||
        end + sizeof trailer != map.len)
        return corrupt_vectors(err, "its size does not fit its count");
    const float *scales = halves ? NULL : (const float *)(const void *)(map.ptr + rows_end);
    if (scales && !scales_valid(scales, trailer.count, trailer.zero_count))
        return corrupt_vectors(err, "a scale");
    *ret_rows = (struct med_dense_rows){
        .base = map.ptr + sizeof header,
        .scales = scales,
        .padded = halves ? med_half_padded(header.dim) : med_code_padded(header.dim),
        .dim = header.dim,
        .count = (uint32_t)trailer.count,
        .kernels = med_dense_kernels_best(),
    };
    *ret_zero_count = trailer.zero_count;
    return MED_OK;
}

enum med_code med_dense_open(
    struct med_map vectors, struct med_map graph, struct med_dense **ret_dense, struct med_err *err)
{
    struct med_dense *dense = med_calloc(1, sizeof *dense);
    if (!dense) return med_fail(err, MED_E_NOMEM, "out of memory opening vectors");
    enum med_code code = med_vectors_read(vectors, &dense->rows, &dense->zero_count, err);
    if (code == MED_OK) code = med_graph_read(graph, &dense->rows, &dense->graph, err);
    if (code == MED_OK && dense->graph.header.kind == MED_DENSE_HNSW)
        code = med_walk_pool_new(dense->rows.count, &dense->walkers, err);
    if (code != MED_OK) {
        med_dense_free(&dense);
        return code;
    }
    *ret_dense = dense;
    return MED_OK;
}

void med_dense_free(struct med_dense **dense)
{
    if (!*dense) return;
    med_walk_pool_free(&(*dense)->walkers);
    med_graph_close(&(*dense)->graph);
    med_free(*dense);
    *dense = NULL;
}

uint32_t med_dense_dim(const struct med_dense *dense)
{
    return dense->rows.dim;
}

uint32_t med_dense_count(const struct med_dense *dense)
{
    return dense->rows.count;
}

struct med_dense_report med_dense_describe(const struct med_dense *dense)
{
    const struct med_graph_header *header = &dense->graph.header;
    return (struct med_dense_report){.kind = (enum med_dense_kind)header->kind,
        .count = header->count,
        .recall_at_10 = header->recall_at_10,
        .search_ef = header->search_ef};
}

/* --- searching --- */

/* The allowed rows, as far as it is known without counting. */
static uint32_t allowed_count(const struct med_dense *dense, struct med_filter filter)
{
    if (!filter.words || filter.set_count > dense->rows.count) return dense->rows.count;
    return filter.set_count;
}

/* Of the nearest rows that a walk finds only the allowed share counts: the walk is widened by it,
 * with a margin, as the share near the query may be smaller. What ef has beyond k, which is there
 * for the sake of finding the way, is widened by the root: neighbours are further apart in what the
 * filter leaves, but the graph is that of all rows (measured: recall at 200 of .99 under filters
 * where it is .97 without). False when scanning the allowed rows costs less. */
static bool graph_is_cheaper(
    const struct med_dense *dense, uint32_t allowed, size_t k, uint32_t *ef)
{
    if (allowed == 0) return false;
    double wide = fmax(*ef, (double)k);
    if (allowed < dense->rows.count) {
        double wanted = (double)k * 1.1 + FILTER_MARGIN;
        double inverse = (double)dense->rows.count / allowed;
        wide = fmax(wide * sqrt(inverse), wanted * inverse);
    }
    double rows_seen = wide * 2 * dense->graph.header.m;
    if (rows_seen * GRAPH_LINK_COST >= allowed || wide > MED_WALK_EF_MAX) return false;
    *ef = (uint32_t)ceil(wide);
    return true;
}

/* The lists were counted for k = 10 and no filter. Neighbours further away lie in more lists; the
 * tenth of a thinned-out collection is further away. False when scanning the allowed rows costs
 * less. */
static bool lists_are_cheaper(
    const struct med_dense *dense, uint32_t allowed, size_t k, uint32_t *nprobe)
{
    if (allowed == 0) return false;
    uint32_t list_count = dense->graph.header.list_count;
    double depth = (double)k * dense->rows.count / allowed / 10;
    double wide = depth > 1 ? *nprobe * (1 + log2(depth) / NPROBE_DOUBLINGS) : *nprobe;
    double scanned = (double)allowed * wide / list_count;
    if (wide >= list_count || list_count + scanned * GRAPH_ROW_COST >= allowed) return false;
    *nprobe = (uint32_t)ceil(wide);
    return true;
}

struct probe {
    const struct med_dense *dense;
    const struct med_dense_query *query;
    struct med_filter filter;
    struct med_dense_top *top;
    struct med_hit *lists; /* chunk = number of the list */
};

/* The `count` nearest lists, best first. */
static enum med_code rank_lists(struct probe *p, uint32_t count, struct med_err *err)
{
    med_free(p->lists);
    p->lists = med_malloc(count * sizeof *p->lists);
    if (!p->lists) return med_fail(err, MED_E_NOMEM, "out of memory for %u lists", count);
    struct med_dense_top near = {.hits = p->lists, .k = count};
    med_dense_scan_all(&p->dense->graph.ivf.centroids, p->query, &near);
    med_dense_top_sort(&near);
    if (near.count < count) /* centroids of zeros: only in a damaged file */
        med_dense_fill_zeros(&p->dense->graph.ivf.centroids, (struct med_filter){0}, &near);
    return MED_OK;
}

/* How many allowed rows the list at a rank has; they are scored. */
static size_t scan_ranked(const struct probe *p, uint32_t rank)
{
    const struct med_ivf *ivf = &p->dense->graph.ivf;
    uint32_t list = p->lists[rank].chunk;
    uint64_t begin = ivf->offsets[list], end = ivf->offsets[list + 1];
    return med_dense_scan_list(
        &p->dense->rows, p->query, p->filter, ivf->ids + begin, (size_t)(end - begin), p->top);
}

/* Where the filter has left less in the nearest lists than in others, the query is far from what is
 * allowed, and the nearest allowed rows are spread over many lists: these are scanned in order
 * until several times the usual number of rows was scored. When that is a good part of all, the
 * caller scans all. */
static enum med_code search_ivf(const struct med_dense *dense, const struct med_dense_query *query,
    struct med_filter filter, uint32_t nprobe, struct med_dense_top *top, struct med_err *err)
{
    struct probe p = {.dense = dense, .query = query, .filter = filter, .top = top};
    uint32_t list_count = dense->graph.ivf.centroids.count;
    uint32_t allowed = allowed_count(dense, filter);
    if (nprobe > list_count) nprobe = list_count;
    double wanted = filter.words ? (double)nprobe * allowed / list_count / 1.4 : 0;
    double scored = 0;
    enum med_code code = rank_lists(&p, nprobe, err);
    for (uint32_t i = 0; code == MED_OK && i < nprobe; i++) scored += (double)scan_ranked(&p, i);
    if (code == MED_OK && scored < wanted) {
        wanted *= NPROBE_PATIENCE;
        if (wanted * 3 >= allowed) {
            med_dense_top_clear(top);
        } else {
            code = rank_lists(&p, list_count, err);
            for (uint32_t i = nprobe; code == MED_OK && i < list_count && scored < wanted; i++)
                scored += (double)scan_ranked(&p, i);
        }
    }
    med_free(p.lists);
    return code;
}

enum med_code med_dense_search_graph(const struct med_dense *dense,
    const struct med_dense_query *query, struct med_filter filter, uint32_t ef,
    struct med_dense_top *top, struct med_err *err)
{
    if (!dense->walkers) return search_ivf(dense, query, filter, ef, top, err);
    return med_graph_walk(
        &dense->rows, &dense->graph.links, dense->walkers, query, filter, ef, top, err);
}

/* Whether the graph or the lists promise less work than the scan; *ef is then what to use. */
static bool worth_it(const struct med_dense *dense, uint32_t allowed, size_t k, uint32_t *ef)
{
    switch ((enum med_dense_kind)dense->graph.header.kind) {
    case MED_DENSE_HNSW: return graph_is_cheaper(dense, allowed, k, ef);
    case MED_DENSE_IVF: return lists_are_cheaper(dense, allowed, k, ef);
    case MED_DENSE_AUTO:
    case MED_DENSE_FLAT: return false;
    }
    return false;
}

/* Lists are searched for rows; which have different groups is seen afterwards, and more rows are
 * asked for when these are too few. */
static enum med_code search_lists_grouped(const struct med_dense *dense,
    const struct med_dense_query *query, struct med_filter filter, uint32_t nprobe,
    struct med_dense_top *top, struct med_err *err)
{
    enum med_code code = MED_OK;
    uint32_t allowed = allowed_count(dense, filter);
    for (size_t ask = top->k + top->k / 4 + FILTER_MARGIN;; ask *= 4) {
        uint32_t probes = nprobe;
        if (ask >= allowed || !lists_are_cheaper(dense, allowed, ask, &probes)) break;
        struct med_hit *hits = med_malloc(ask * sizeof *hits);
        if (!hits) return med_fail(err, MED_E_NOMEM, "out of memory searching vectors");
        struct med_dense_top rows = {.hits = hits, .k = ask};
        code = search_ivf(dense, query, filter, probes, &rows, err);
        bool full = rows.count == ask;
        if (code == MED_OK) med_dense_top_regroup(&dense->rows, &rows, top);
        med_free(hits);
        if (code != MED_OK || !full || top->count == top->k) break;
        med_dense_top_clear(top);
    }
    return code;
}

/* Everything is validated, k > 0. ef 0 = exact. */
static enum med_code search_ready(const struct med_dense *dense,
    const struct med_dense_query *query, struct med_filter filter, uint32_t ef,
    struct med_dense_top *top, struct med_err *err)
{
    enum med_code code = MED_OK;
    if (ef > 0 && top->groups && dense->graph.header.kind == MED_DENSE_IVF) {
        code = search_lists_grouped(dense, query, filter, ef, top, err);
    } else if (ef > 0 && worth_it(dense, allowed_count(dense, filter), top->k, &ef)) {
        code = med_dense_search_graph(dense, query, filter, ef, top, err);
    }
    if (code != MED_OK) return code;
    if (top->count + top->is_waiting < top->k) {
        med_dense_top_clear(top);
        med_dense_scan_filter(&dense->rows, query, filter, top);
    }
    med_dense_top_sort(top);
    if (top->count < top->k) med_dense_fill_zeros(&dense->rows, filter, top);
    return MED_OK;
}

/* Refuses what has no direction. */
static enum med_code make_ready(const struct med_dense *dense, const float *query,
    struct med_dense_query *ret_query, struct med_err *err)
{
    double norm = 0;
    for (uint32_t i = 0; i < dense->rows.dim; i++) norm += (double)query[i] * (double)query[i];
    if (!(fabs(norm - 1) <= NORM_TOLERANCE)) /* NaN too */
        return med_fail(err, MED_E_INVALID, "a query vector must be finite and of length 1");
    med_dense_query_init(ret_query, &dense->rows, query);
    return MED_OK;
}

enum med_code med_dense_search(const struct med_dense *dense, const float *query,
    struct med_filter filter, const struct med_dense_params *params, size_t k,
    struct med_hit *ret_hits, size_t *ret_count, struct med_err *err)
{
    struct med_dense_query ready;
    enum med_code code = make_ready(dense, query, &ready, err);
    if (code != MED_OK) return code;
    uint32_t allowed = allowed_count(dense, filter);
    if (k > allowed) k = allowed;
    if (k == 0) {
        *ret_count = 0;
        return MED_OK;
    }
    uint32_t ef = params && params->ef > 0 ? params->ef : (uint32_t)dense->graph.header.search_ef;
    if (params && params->exact) ef = 0;
    struct med_dense_top top = {.hits = ret_hits, .k = k, .groups = params ? params->groups : NULL};
    code = search_ready(dense, &ready, filter, ef, &top, err);
    if (code == MED_OK) *ret_count = top.count;
    return code;
}

enum med_code med_dense_score(const struct med_dense *dense, const float *query,
    const uint32_t *chunks, size_t count, float *ret_scores, struct med_err *err)
{
    struct med_dense_query ready;
    enum med_code code = make_ready(dense, query, &ready, err);
    if (code != MED_OK) return code;
    for (size_t i = 0; i < count; i++) {
        if (chunks[i] >= dense->rows.count)
            return med_fail(err, MED_E_INVALID, "there is no vector %u", chunks[i]);
    }
    for (size_t i = 0; i < count; i++) {
        if (i + SCORE_AHEAD < count) {
            med_dense_prefetch(&dense->rows, chunks[i + SCORE_AHEAD]);
            med_dense_prefetch_fine(&dense->rows, chunks[i + SCORE_AHEAD]);
        }
        ret_scores[i] = med_dense_score_at(&dense->rows, &ready, chunks[i]);
    }
    return MED_OK;
}

bool med_dense_is_zero(const struct med_dense *dense, uint32_t chunk)
{
    return med_dense_row_is_zero(&dense->rows, chunk);
}

enum med_code med_dense_row(
    const struct med_dense *dense, uint32_t chunk, float *ret_row, struct med_err *err)
{
    if (chunk >= dense->rows.count)
        return med_fail(err, MED_E_INVALID, "there is no vector %u", chunk);
    if (!med_dense_load(&dense->rows, chunk, ret_row))
        return med_fail(err, MED_E_CORRUPT, "vector %u is damaged", chunk);
    return MED_OK;
}

/* Inverted lists beside a graph over the vectors of a real segment: the one that it has, and the
 * other, which is built (index/dense/dense.h: MED_DENSE_HNSW_MAX chooses between them).
 *
 *   bench_kinds SEGMENT_FOLDER WORK_FOLDER      (work: an empty folder with room for the vectors)
 *
 * Queries are made from two rows each; searches run on one thread with the ef or nprobe that the
 * index chose for itself (recall@10 of .98). Prints one JSON object. */
#include "common/clock.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/limits.h"
#include "common/mem.h"
#include "common/rng.h"
#include "index/dense/dense.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define QUERIES 300u
#define K 10u
#define POOL 200u /* what a hybrid search asks for */
#define COPIED_ROWS 4096u

struct bench {
    struct med_map vectors, graph;
    struct med_dense *dense;
    uint32_t dim;
    float *queries; /* QUERIES x dim */
    struct med_hit (*truth)[K];
    struct med_jw json;
};

static void must(enum med_code code, const struct med_err *err)
{
    if (code == MED_OK) return;
    fprintf(stderr, "bench_kinds: %s\n", err->text);
    exit(1);
}

static void open_files(const char *dir, struct med_map *vectors, struct med_map *graph)
{
    struct med_err err = {0};
    char path[MED_PATH_MAX];
    must(med_path_join(path, dir, "vectors", &err), &err);
    must(med_map_open(path, vectors, &err), &err);
    must(med_path_join(path, dir, "graph", &err), &err);
    must(med_map_open(path, graph, &err), &err);
}

static void make_query(struct bench *b, struct med_rng *rng, float *query, float *other)
{
    struct med_err err = {0};
    uint32_t count = med_dense_count(b->dense);
    double norm = 0, share = .5 + .5 * med_rng_unit(rng);
    while (norm < 1e-6) {
        must(med_dense_row(b->dense, (uint32_t)med_rng_below(rng, count), query, &err), &err);
        must(med_dense_row(b->dense, (uint32_t)med_rng_below(rng, count), other, &err), &err);
        for (uint32_t i = 0; i < b->dim; i++) {
            query[i] = (float)(share * query[i] + (1 - share) * other[i]);
            norm += (double)query[i] * query[i];
        }
    }
    for (uint32_t i = 0; i < b->dim; i++) query[i] /= (float)sqrt(norm);
}

static void make_queries(struct bench *b)
{
    struct med_rng rng;
    float *other = med_calloc(b->dim, sizeof *other);
    b->queries = med_calloc((size_t)QUERIES * b->dim, sizeof *b->queries);
    b->truth = med_calloc(QUERIES, sizeof *b->truth);
    if (!other || !b->queries || !b->truth) abort();
    med_rng_seed(&rng, 1);
    for (uint32_t q = 0; q < QUERIES; q++)
        make_query(b, &rng, b->queries + (size_t)q * b->dim, other);
    med_free(other);
}

/* Microseconds per query. */
static double search_all(const struct bench *b, const struct med_dense *dense, bool exact, size_t k,
    struct med_hit *ret_hits)
{
    struct med_err err = {0};
    struct med_filter all = {0};
    struct med_dense_params params = {.exact = exact};
    uint64_t start = med_now_ns();
    for (uint32_t q = 0; q < QUERIES; q++) {
        size_t count;
        must(med_dense_search(dense, b->queries + (size_t)q * b->dim, all, &params, k,
                 ret_hits + (size_t)q * k, &count, &err),
            &err);
    }
    return (double)(med_now_ns() - start) / 1e3 / QUERIES;
}

static double recall(const struct bench *b, const struct med_hit *hits)
{
    size_t found = 0;
    for (uint32_t q = 0; q < QUERIES; q++)
        for (uint32_t i = 0; i < K; i++)
            for (uint32_t j = 0; j < K; j++) found += b->truth[q][i].chunk == hits[q * K + j].chunk;
    return (double)found / (QUERIES * K);
}

static void measure(struct bench *b, const struct med_dense *dense, struct med_map graph)
{
    struct med_dense_report r = med_dense_describe(dense);
    struct med_hit *hits = med_calloc((size_t)QUERIES * POOL, sizeof *hits);
    if (!hits) abort();
    double deep = search_all(b, dense, false, POOL, hits);
    double few = search_all(b, dense, false, K, hits);
    med_jw_key(&b->json, med_dense_kind_name(r.kind));
    med_jw_object(&b->json);
    med_jw_kdouble(&b->json, "ef_or_nprobe", r.search_ef);
    med_jw_kdouble(&b->json, "recall_at_10", recall(b, hits));
    med_jw_kdouble(&b->json, "microseconds_10", few);
    med_jw_kdouble(&b->json, "microseconds_200", deep);
    med_jw_kdouble(&b->json, "graph_bytes_per_row", (double)graph.len / (double)r.count);
    med_jw_object_end(&b->json);
    med_free(hits);
}

/* Seconds. */
static double build_other(const struct bench *b, const char *dir)
{
    struct med_err err = {0};
    bool has_lists = med_dense_describe(b->dense).kind == MED_DENSE_IVF;
    struct med_dense_options options = {
        .kind = has_lists ? MED_DENSE_HNSW : MED_DENSE_IVF, .dim = b->dim, .seed = 1};
    struct med_dense_writer *writer;
    struct med_file_ref files[MED_DENSE_FILE_COUNT];
    struct med_dense_report report;
    uint32_t count = med_dense_count(b->dense);
    uint64_t start = med_now_ns();
    must(med_dense_writer_new(med_fs_posix(), dir, &options, &writer, &err), &err);
    for (uint32_t first = 0; first < count; first += COPIED_ROWS) {
        uint32_t rows = count - first < COPIED_ROWS ? count - first : COPIED_ROWS;
        must(med_dense_writer_copy(writer, b->dense, first, rows, &err), &err);
    }
    must(med_dense_writer_finish(writer, files, &report, &err), &err);
    med_dense_writer_free(&writer);
    return (double)(med_now_ns() - start) / 1e9;
}

int main(int argc, char **argv)
{
    struct bench b = {0};
    struct med_err err = {0};
    struct med_buf out;
    struct med_map vectors, graph;
    struct med_dense *other;
    if (argc != 3) {
        fprintf(stderr, "usage: bench_kinds SEGMENT_FOLDER WORK_FOLDER\n");
        return 2;
    }
    open_files(argv[1], &b.vectors, &b.graph);
    must(med_dense_open(b.vectors, b.graph, &b.dense, &err), &err);
    b.dim = med_dense_dim(b.dense);
    make_queries(&b);
    search_all(&b, b.dense, true, K, b.truth[0]);
    med_buf_init(&out, MED_MIB);
    b.json = med_jw_of(&out, false);
    med_jw_object(&b.json);
    med_jw_kint(&b.json, "rows", med_dense_count(b.dense));
    measure(&b, b.dense, b.graph);
    med_jw_kdouble(&b.json, "other_build_seconds", build_other(&b, argv[2]));
    open_files(argv[2], &vectors, &graph);
    must(med_dense_open(vectors, graph, &other, &err), &err);
    measure(&b, other, graph);
    med_jw_object_end(&b.json);
    printf("%.*s\n", (int)out.len, out.data);
    med_dense_free(&other);
    med_dense_free(&b.dense);
    struct med_map *maps[] = {&vectors, &graph, &b.vectors, &b.graph};
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) med_map_close(maps[i]);
    med_buf_free(&out);
    med_free(b.queries);
    med_free(b.truth);
    return 0;
}

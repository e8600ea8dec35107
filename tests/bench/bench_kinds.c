/* Inverted lists beside a graph over the vectors of a real index: the one that it has, and the
 * other, which is built (index/dense/dense.h: MED_DENSE_HNSW_MAX chooses between them).
 *
 *   bench_kinds DATA WORK_FOLDER QUESTIONS.jsonl...   (work: empty, with room for the vectors)
 *
 * The questions' vectors are searched on one thread with the smallest ef or nprobe that finds .98
 * of the true ten on average. Takes the largest segment. Prints one JSON object. */
#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"
#include "index/internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define QUERIES_MAX 500u
#define K 10u
#define POOL 200u /* what a hybrid search asks for */
#define RECALL_WANTED .98
#define COPIED_ROWS 4096u

static const uint32_t steps[] = {
    8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096};

struct bench {
    struct med_analyzer *analyzer;
    struct med_arena *arena;
    struct med_index *index;
    const struct med_dense *dense;
    uint32_t dim;
    float *queries; /* query_count x dim */
    size_t query_count;
    struct med_hit (*truth)[K];
    struct med_jw json;
};

static void must(enum med_code code, const struct med_err *err)
{
    if (code == MED_OK) return;
    fprintf(stderr, "bench_kinds: %s\n", err->text);
    exit(1);
}

/* --- questions --- */

/* Adds the vector of a question, as index/rank.c makes it; nothing when no word is known. */
static void add_question(struct bench *b, struct med_str text)
{
    struct med_err err = {0};
    struct query query;
    bool known;
    med_arena_reset(b->arena);
    must(query_analyse(b->analyzer, text, b->arena, &query, &err), &err);
    uint32_t *rows = med_arena_calloc(b->arena, query.term_count + 1, sizeof *rows);
    float *counts = med_arena_calloc(b->arena, query.term_count + 1, sizeof *counts);
    if (!rows || !counts) abort();
    struct med_bag bag = {.rows = rows, .counts = counts};
    for (size_t t = 0; t < query.term_count; t++) {
        uint32_t row = med_corpus_find(b->index->encoder, query.terms[t].term);
        if (row == MED_NO_TERM) continue;
        rows[bag.count] = row;
        counts[bag.count++] = query.terms[t].weight;
    }
    med_corpus_encode(b->index->encoder, &bag, b->queries + b->query_count * b->dim, &known);
    b->query_count += known;
}

/* At most `share` of them, evenly from the file. */
static void add_questions(struct bench *b, const char *path, size_t share)
{
    struct med_err err = {0};
    struct med_buf buf;
    size_t lines = 0, line = 0, taken = 0;
    med_buf_init(&buf, 256 * MED_MIB);
    must(med_read_file(path, &buf, &err), &err);
    for (size_t i = 0; i < buf.len; i++) lines += buf.data[i] == '\n';
    for (size_t pos = 0; pos < buf.len; line++) {
        const char *end = memchr(buf.data + pos, '\n', buf.len - pos);
        size_t len = (end ? (size_t)(end - buf.data) : buf.len) - pos;
        struct med_json *json;
        if (len && taken * lines <= line * share && taken < share &&
            med_json_parse(buf.data + pos, len, &json, NULL) == MED_OK) {
            add_question(b, med_json_get_str(json, "text"));
            med_json_free(&json);
            taken++;
        }
        pos += len + 1;
    }
    med_buf_free(&buf);
}

/* --- searching --- */

/* Microseconds per query. */
static double search_all(const struct bench *b, const struct med_dense *dense,
    const struct med_dense_params *params, size_t k, struct med_hit *ret_hits)
{
    struct med_err err = {0};
    struct med_filter all = {0};
    uint64_t start = med_now_ns();
    for (size_t q = 0; q < b->query_count; q++) {
        size_t count;
        must(med_dense_search(
                 dense, b->queries + q * b->dim, all, params, k, ret_hits + q * k, &count, &err),
            &err);
    }
    return (double)(med_now_ns() - start) / 1e3 / (double)b->query_count;
}

static double recall(const struct bench *b, const struct med_hit *hits)
{
    size_t found = 0;
    for (size_t q = 0; q < b->query_count; q++)
        for (uint32_t i = 0; i < K; i++)
            for (uint32_t j = 0; j < K; j++) found += b->truth[q][i].chunk == hits[q * K + j].chunk;
    return (double)found / ((double)b->query_count * K);
}

static void measure(struct bench *b, const struct med_dense *dense, uint64_t graph_bytes)
{
    struct med_dense_report r = med_dense_describe(dense);
    struct med_dense_params params = {0};
    struct med_hit *hits = med_calloc(b->query_count * POOL, sizeof *hits);
    double few = 0, found = 0;
    if (!hits) abort();
    search_all(b, dense, &params, K, hits);
    double chosen = recall(b, hits);
    for (size_t s = 0; s < sizeof steps / sizeof *steps && found < RECALL_WANTED; s++) {
        params.ef = steps[s];
        few = search_all(b, dense, &params, K, hits);
        found = recall(b, hits);
    }
    med_jw_key(&b->json, med_dense_kind_name(r.kind));
    med_jw_object(&b->json);
    med_jw_kint(&b->json, "chosen_by_itself", (long long)r.search_ef);
    med_jw_kdouble(&b->json, "recall_of_chosen", chosen);
    med_jw_kint(&b->json, "ef_or_nprobe", params.ef);
    med_jw_kdouble(&b->json, "recall_at_10", found);
    med_jw_kdouble(&b->json, "microseconds_10", few);
    med_jw_kdouble(&b->json, "microseconds_200", search_all(b, dense, &params, POOL, hits));
    med_jw_kdouble(&b->json, "graph_bytes_per_row", (double)graph_bytes / (double)r.count);
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

static const struct med_segment *largest_segment(const struct med_index *index)
{
    const struct med_segment *found = index->segments[0];
    for (uint32_t s = 1; s < index->segment_count; s++)
        if (index->segments[s]->chunk_count > found->chunk_count) found = index->segments[s];
    return found;
}

static uint64_t graph_bytes_of(const struct med_segment *segment)
{
    for (uint32_t i = 0; i < segment->ref->file_count; i++)
        if (strcmp(segment->ref->files[i].name, "graph") == 0) return segment->ref->files[i].size;
    return 0;
}

static void compare_kinds(struct bench *b, const struct med_segment *segment, const char *work)
{
    struct med_err err = {0};
    struct med_map vectors, graph;
    struct med_dense *other;
    struct med_dense_params exact = {.exact = true};
    char path[MED_PATH_MAX];
    search_all(b, b->dense, &exact, K, b->truth[0]);
    med_jw_object(&b->json);
    med_jw_kint(&b->json, "rows", med_dense_count(b->dense));
    med_jw_kint(&b->json, "questions", (long long)b->query_count);
    measure(b, b->dense, graph_bytes_of(segment));
    med_jw_kdouble(&b->json, "other_build_seconds", build_other(b, work));
    must(med_path_join(path, work, "vectors", &err), &err);
    must(med_map_open(path, &vectors, &err), &err);
    must(med_path_join(path, work, "graph", &err), &err);
    must(med_map_open(path, &graph, &err), &err);
    must(med_dense_open(vectors, graph, &other, &err), &err);
    measure(b, other, graph.len);
    med_jw_object_end(&b->json);
    med_dense_free(&other);
    med_map_close(&vectors);
    med_map_close(&graph);
}

int main(int argc, char **argv)
{
    struct bench b = {0};
    struct med_err err = {0};
    struct med_data *data;
    struct med_store *store;
    struct med_buf out;
    char docs[MED_PATH_MAX];
    if (argc < 4) {
        fprintf(stderr, "usage: bench_kinds DATA WORK_FOLDER QUESTIONS.jsonl...\n");
        return 2;
    }
    must(med_data_open(argv[1], false, med_fs_posix(), &data, &err), &err);
    must(med_path_join(docs, argv[1], "docs", &err), &err);
    must(med_store_open(docs, MED_STORE_READ_ONLY, &store, &err), &err);
    must(med_index_open(data, store, 0, true, &b.index, &err), &err);
    must(med_analyzer_new(&b.analyzer, &err), &err);
    must(med_arena_new(MED_REQUEST_ARENA_BYTES_MAX, &b.arena, &err), &err);
    const struct med_segment *segment = largest_segment(b.index);
    b.dense = segment->dense;
    if (!b.dense) must(med_fail(&err, MED_E_INVALID, "the index has no vectors"), &err);
    b.dim = med_dense_dim(b.dense);
    b.queries = med_calloc((size_t)(QUERIES_MAX + 1) * b.dim, sizeof *b.queries);
    b.truth = med_calloc(QUERIES_MAX, sizeof *b.truth);
    if (!b.queries || !b.truth) abort();
    for (int i = 3; i < argc; i++) add_questions(&b, argv[i], QUERIES_MAX / (size_t)(argc - 3));
    if (b.query_count == 0) must(med_fail(&err, MED_E_INVALID, "no questions found"), &err);

    med_buf_init(&out, MED_MIB);
    b.json = med_jw_of(&out, false);
    compare_kinds(&b, segment, argv[2]);
    printf("%.*s\n", (int)out.len, out.data);

    med_buf_free(&out);
    med_free(b.queries);
    med_free(b.truth);
    med_analyzer_free(&b.analyzer);
    med_arena_free(&b.arena);
    med_index_release(&b.index);
    med_store_close(&store);
    med_data_close(&data);
    return 0;
}

/* The dense index: kernels, exact search, graphs and lists as far as they must be right; how well
 * they find is measured in tests/recall. */
#include "common/mem.h"
#include "common/parallel.h"
#include "common/rng.h"
#include "index/dense/dense.h"
#include "index/dense/format.h"
#include "index/dense/kernels.h"
#include "tests/support/faulty_fs.h"
#include "tests/support/support.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const enum med_dense_kind kinds[] = {MED_DENSE_FLAT, MED_DENSE_HNSW, MED_DENSE_IVF};
#define KIND_COUNT (sizeof kinds / sizeof *kinds)

/* --- made-up vectors --- */

static void normalise(float *v, uint32_t dim)
{
    double norm = 0;
    for (uint32_t i = 0; i < dim; i++) norm += (double)v[i] * (double)v[i];
    for (uint32_t i = 0; i < dim; i++) v[i] = (float)(v[i] / sqrt(norm));
}

static void random_unit(struct med_rng *rng, float *ret_v, uint32_t dim)
{
    for (uint32_t i = 0; i < dim; i++) ret_v[i] = (float)med_rng_normal(rng);
    normalise(ret_v, dim);
}

/* count rows around a few directions; freed by med_free. */
static float *random_rows(struct med_rng *rng, uint32_t count, uint32_t dim)
{
    float *rows = med_malloc(((size_t)count + 1) * dim * sizeof *rows);
    float *centre = med_malloc(16 * dim * sizeof *centre);
    assert_non_null(rows);
    assert_non_null(centre);
    for (uint32_t c = 0; c < 16; c++) random_unit(rng, centre + c * dim, dim);
    for (uint32_t r = 0; r < count; r++) {
        float *row = rows + (size_t)r * dim;
        const float *near = centre + med_rng_below(rng, 16) * dim;
        random_unit(rng, row, dim);
        for (uint32_t i = 0; i < dim; i++) row[i] += 1.5f * near[i]; /* never its opposite */
        normalise(row, dim);
    }
    med_free(centre);
    return rows;
}

/* --- an index in a folder of its own --- */

struct fixture {
    char dir[MED_PATH_MAX];
    struct med_map vectors, graph;
    struct med_dense *dense;
    struct med_dense_report report;
    float *stored; /* the rows as fp16 holds them */
};

static enum med_code write_index(const struct med_fs *fs, const char *dir,
    const struct med_dense_options *options, const float *rows, uint32_t count,
    struct med_dense_report *ret_report)
{
    struct med_dense_writer *writer = NULL;
    struct med_file_ref files[MED_DENSE_FILE_COUNT];
    enum med_code code = med_dense_writer_new(fs, dir, options, &writer, NULL);
    if (code == MED_OK) code = med_dense_writer_add(writer, rows, count / 3, NULL);
    if (code == MED_OK)
        code = med_dense_writer_add(
            writer, rows + (size_t)(count / 3) * options->dim, count - count / 3, NULL);
    if (code == MED_OK) code = med_dense_writer_finish(writer, files, ret_report, NULL);
    med_dense_writer_free(&writer);
    if (code == MED_OK) {
        assert_string_equal(files[0].name, "vectors");
        assert_string_equal(files[1].name, "graph");
    }
    return code;
}

static void open_maps(struct fixture *f)
{
    char path[MED_PATH_MAX];
    assert_int_equal(med_path_join(path, f->dir, "vectors", NULL), MED_OK);
    assert_int_equal(med_map_open(path, &f->vectors, NULL), MED_OK);
    assert_int_equal(med_path_join(path, f->dir, "graph", NULL), MED_OK);
    assert_int_equal(med_map_open(path, &f->graph, NULL), MED_OK);
}

static void fixture_make(
    struct fixture *f, const struct med_dense_options *options, const float *rows, uint32_t count)
{
    *f = (struct fixture){0};
    med_test_temp_new(f->dir);
    assert_int_equal(write_index(med_fs_posix(), f->dir, options, rows, count, &f->report), MED_OK);
    open_maps(f);
    struct med_err err = {0};
    enum med_code code = med_dense_open(f->vectors, f->graph, &f->dense, &err);
    if (code != MED_OK) fail_msg("%s", err.text);
    f->stored = med_malloc(((size_t)count + 1) * options->dim * sizeof *f->stored);
    for (uint32_t r = 0; r < count; r++) {
        code = med_dense_row(f->dense, r, f->stored + (size_t)r * options->dim, NULL);
        assert_int_equal(code, MED_OK);
    }
}

static void fixture_drop(struct fixture *f)
{
    med_dense_free(&f->dense);
    med_map_close(&f->vectors);
    med_map_close(&f->graph);
    med_free(f->stored);
    med_test_temp_remove(f->dir);
}

/* --- the oracle: sort everything --- */

struct truth {
    double score;
    uint32_t chunk;
    bool zero;
};

static int by_truth(const void *a, const void *b)
{
    const struct truth *x = a, *y = b;
    if (x->zero != y->zero) return x->zero ? 1 : -1;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return x->chunk < y->chunk ? -1 : x->chunk > y->chunk;
}

static size_t oracle(
    const struct fixture *f, const float *query, struct med_filter filter, struct truth *ret_truth)
{
    uint32_t dim = med_dense_dim(f->dense);
    size_t n = 0;
    for (uint32_t r = 0; r < med_dense_count(f->dense); r++) {
        if (!med_filter_has(filter, r)) continue;
        struct truth t = {.chunk = r, .zero = true};
        for (uint32_t i = 0; i < dim; i++) {
            double v = (double)f->stored[(size_t)r * dim + i];
            t.score += v * (double)query[i];
            t.zero &= v == 0;
        }
        ret_truth[n++] = t;
    }
    qsort(ret_truth, n, sizeof *ret_truth, by_truth);
    return n;
}

/* The hits are the oracle's first, but for near ties, and in order; scores are as stored. */
static void assert_true_top(const struct truth *truth, size_t truth_count, size_t k,
    const struct med_hit *hits, size_t count)
{
    assert_int_equal(count, k < truth_count ? k : truth_count);
    for (size_t i = 0; i < count; i++) {
        assert_true(fabs((double)hits[i].score - truth[i].score) < 1e-5);
        for (size_t j = 0; j < i; j++) assert_int_not_equal(hits[i].chunk, hits[j].chunk);
        if (truth[i].zero) {
            assert_int_equal(hits[i].chunk, truth[i].chunk);
            assert_true(hits[i].score == 0);
        } else if (i > 0) {
            assert_true(hits[i].score <= hits[i - 1].score);
        }
    }
}

static void assert_scores_agree(
    const struct fixture *f, const float *query, const struct med_hit *hits, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        float score = -2;
        assert_int_equal(med_dense_score(f->dense, query, &hits[i].chunk, 1, &score, NULL), MED_OK);
        assert_memory_equal(&score, &hits[i].score, sizeof score);
    }
}

/* A filter of every nth row or of a share; words are freed by med_free. */
static struct med_filter random_filter(struct med_rng *rng, uint32_t count, double share)
{
    uint64_t *words = med_calloc(count / 64 + 1, sizeof *words);
    assert_non_null(words);
    struct med_filter filter = {.words = words};
    for (uint32_t r = 0; r < count; r++) {
        if (med_rng_unit(rng) >= share) continue;
        words[r / 64] |= 1ull << (r % 64);
        filter.set_count++;
    }
    if (count % 64 != 0) words[count / 64] |= ~0ull << (count % 64); /* must not matter */
    return filter;
}

/* --- kernels --- */

static uint16_t *aligned_halves(const float *from, uint32_t dim)
{
    uint32_t padded = med_dense_padded(dim);
    uint16_t *to = med_aligned_alloc(padded * sizeof *to);
    assert_non_null(to);
    memset(to, 0, padded * sizeof *to);
    med_dense_kernels_at(MED_CPU_PORTABLE)->to_half(from, to, dim);
    return to;
}

static void every_level_agrees_with_a_double_reference(void **state)
{
    (void)state;
    static const uint32_t dims[] = {1, 7, 31, 32, 33, 64, 100, 256, 384, 1000};
    struct med_rng rng;
    med_rng_seed(&rng, med_test_seed());
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
        uint32_t dim = dims[d], padded = med_dense_padded(dim);
        float x[1024] = {0}, q[1024] = {0}, back[1024];
        random_unit(&rng, x, dim);
        random_unit(&rng, q, dim);
        uint16_t *row = aligned_halves(x, dim), *other = aligned_halves(q, dim);
        for (int level = MED_CPU_PORTABLE; level <= MED_CPU_AVX512; level++) {
            const struct med_dense_kernels *k = med_dense_kernels_at((enum med_cpu)level);
            if (!k) continue;
            k->to_float(row, back, padded);
            double dot = 0;
            for (uint32_t i = 0; i < dim; i++) dot += (double)back[i] * (double)q[i];
            assert_true(fabs((double)k->dot(row, q, padded) - dot) < 1e-5);
            float rows_dot = k->dot_rows(row, other, padded);
            k->to_float(other, back, padded);
            assert_true(fabsf(rows_dot - k->dot(row, back, padded)) < 1e-5f);
        }
        med_free(row);
        med_free(other);
    }
}

static void a_score_does_not_depend_on_the_place_in_a_batch(void **state)
{
    (void)state;
    struct med_rng rng;
    med_rng_seed(&rng, med_test_seed());
    enum { DIM = 384 };
    float x[DIM], q[DIM];
    random_unit(&rng, q, DIM);
    uint16_t *rows[5];
    for (int r = 0; r < 5; r++) {
        random_unit(&rng, x, DIM);
        rows[r] = aligned_halves(x, DIM);
    }
    for (int level = MED_CPU_PORTABLE; level <= MED_CPU_AVX512; level++) {
        const struct med_dense_kernels *k = med_dense_kernels_at((enum med_cpu)level);
        if (!k) continue;
        for (int turn = 0; turn < 5; turn++) {
            const uint16_t *const four[4] = {
                rows[turn], rows[(turn + 1) % 5], rows[(turn + 2) % 5], rows[(turn + 3) % 5]};
            float scores[4];
            k->dot4(four, q, DIM, scores);
            for (int j = 0; j < 4; j++) {
                float alone = k->dot(four[j], q, DIM);
                assert_memory_equal(&alone, &scores[j], sizeof alone);
            }
        }
    }
    for (int r = 0; r < 5; r++) med_free(rows[r]);
}

static float float_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void every_level_rounds_to_the_same_half(void **state)
{
    (void)state;
    struct med_rng rng;
    med_rng_seed(&rng, med_test_seed());
    for (int level = MED_CPU_PORTABLE; level <= MED_CPU_AVX512; level++) {
        const struct med_dense_kernels *k = med_dense_kernels_at((enum med_cpu)level);
        if (!k) continue;
        for (uint32_t h = 0; h < 0x7c00; h++) { /* all finite values and the middles after them */
            uint16_t half[8] = {(uint16_t)h, (uint16_t)(h | 0x8000), (uint16_t)(h + 1)};
            float value[8];
            uint16_t back[8];
            k->to_float(half, value, 8);
            float exact = h < 0x400 ? ldexpf((float)h, -24)
                                    : ldexpf((float)((h & 0x3ff) | 0x400), (int)(h >> 10) - 25);
            assert_true(value[0] == exact && value[1] == -exact);
            float next = h == 0x7bff ? 65536.0f : value[2];
            value[2] = (value[0] + next) / 2; /* rounds to the even one */
            value[3] = nextafterf(value[2], 0);
            value[4] = nextafterf(value[2], INFINITY);
            k->to_half(value, back, 8);
            assert_int_equal(back[0], h);
            assert_int_equal(back[1], h | 0x8000);
            assert_int_equal(back[2], h % 2 == 0 ? h : h + 1);
            assert_int_equal(back[3], h);
            assert_int_equal(back[4], h + 1);
        }
        for (int i = 0; i < 20000; i++) {
            float value[8];
            uint16_t here[8], portable[8];
            for (int j = 0; j < 8; j++) {
                value[j] = float_of_bits((uint32_t)med_rng_u64(&rng));
                if (isnan(value[j])) value[j] = 0;
            }
            k->to_half(value, here, 8);
            med_dense_kernels_at(MED_CPU_PORTABLE)->to_half(value, portable, 8);
            assert_memory_equal(here, portable, sizeof here);
        }
    }
}

/* --- searching --- */

static void exact_search_equals_sorting_everything(void **state)
{
    (void)state;
    static const uint32_t dims[] = {1, 5, 64, 100};
    static const uint32_t counts[] = {0, 1, 2, 3, 5, 63, 64, 65, 700};
    struct med_rng rng;
    med_rng_seed(&rng, med_test_seed());
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
            uint32_t dim = dims[d], count = counts[c];
            float *rows = random_rows(&rng, count, dim), query[128];
            struct fixture f;
            struct med_dense_options options = {.dim = dim};
            fixture_make(&f, &options, rows, count);
            assert_int_equal(f.report.kind, MED_DENSE_FLAT);
            assert_int_equal(med_dense_count(f.dense), count);
            struct truth *truth = med_malloc((count + 1) * sizeof *truth);
            struct med_hit hits[800];
            for (size_t k = 0; k < 800; k = k * 3 + 1) {
                size_t found = 99;
                random_unit(&rng, query, dim);
                size_t n = oracle(&f, query, (struct med_filter){0}, truth);
                enum med_code code = med_dense_search(
                    f.dense, query, (struct med_filter){0}, NULL, k, hits, &found, NULL);
                assert_int_equal(code, MED_OK);
                assert_true_top(truth, n, k, hits, found);
                assert_scores_agree(&f, query, hits, found);
            }
            med_free(truth);
            med_free(rows);
            fixture_drop(&f);
        }
    }
}

static void a_filter_of_any_selectivity_fills_its_k(void **state)
{
    (void)state;
    static const double shares[] = {1, .99, .9, .5, .2, .1, .05, .01, .002, 0};
    enum { COUNT = 3000, DIM = 24, K = 10 };
    struct med_rng rng;
    med_rng_seed(&rng, med_test_seed());
    float *rows = random_rows(&rng, COUNT, DIM), query[DIM];
    struct truth *truth = med_malloc(COUNT * sizeof *truth);
    for (size_t kind = 0; kind < KIND_COUNT; kind++) {
        struct fixture f;
        struct med_dense_options options = {.dim = DIM, .kind = kinds[kind], .seed = 1};
        fixture_make(&f, &options, rows, COUNT);
        assert_int_equal(f.report.kind, kinds[kind]);
        for (size_t s = 0; s < sizeof shares / sizeof *shares; s++) {
            struct med_filter filter = random_filter(&rng, COUNT, shares[s]);
            if (shares[s] == 0) { /* one row */
                ((uint64_t *)(uintptr_t)filter.words)[COUNT / 2 / 64] |= 1ull << COUNT / 2 % 64;
                filter.set_count = 1;
            }
            for (uint32_t ef = 0; ef < 20; ef += 6) {
                struct med_hit hits[K];
                size_t found = 0;
                struct med_dense_params params = {.ef = ef, .exact = ef == 18};
                random_unit(&rng, query, DIM);
                enum med_code code =
                    med_dense_search(f.dense, query, filter, &params, K, hits, &found, NULL);
                assert_int_equal(code, MED_OK);
                assert_int_equal(found, filter.set_count < K ? filter.set_count : K);
                for (size_t i = 0; i < found; i++)
                    assert_true(med_filter_has(filter, hits[i].chunk));
                size_t n = oracle(&f, query, filter, truth);
                if (params.exact) assert_true_top(truth, n, K, hits, found);
                assert_scores_agree(&f, query, hits, found);
            }
            med_free((void *)(uintptr_t)filter.words);
        }
        fixture_drop(&f);
    }
    med_free(truth);
    med_free(rows);
}

static void rows_of_zeros_come_only_when_nothing_else_is_left(void **state)
{
    (void)state;
    enum { COUNT = 600, DIM = 12, ZEROS = 100 };
    struct med_rng rng;
    med_rng_seed(&rng, med_test_seed());
    float *rows = random_rows(&rng, COUNT, DIM), query[DIM];
    for (uint32_t r = 0; r < COUNT; r += COUNT / ZEROS)
        memset(rows + r * DIM, 0, DIM * sizeof *rows);
    rows[0] = -0.0f;
    struct truth *truth = med_malloc(COUNT * sizeof *truth);
    struct med_hit *hits = med_malloc(COUNT * sizeof *hits);
    for (size_t kind = 0; kind < KIND_COUNT; kind++) {
        struct fixture f;
        struct med_dense_options options = {.dim = DIM, .kind = kinds[kind]};
        fixture_make(&f, &options, rows, COUNT);
        static const size_t ks[] = {10, COUNT - ZEROS, COUNT - ZEROS + 7, COUNT};
        for (size_t i = 0; i < sizeof ks / sizeof *ks; i++) {
            size_t found = 0;
            random_unit(&rng, query, DIM);
            enum med_code code = med_dense_search(
                f.dense, query, (struct med_filter){0}, NULL, ks[i], hits, &found, NULL);
            assert_int_equal(code, MED_OK);
            assert_int_equal(found, ks[i]);
            for (size_t h = 0; h < found; h++) {
                bool zero = hits[h].chunk % (COUNT / ZEROS) == 0;
                assert_int_equal(zero, h >= COUNT - ZEROS);
            }
            size_t n = oracle(&f, query, (struct med_filter){0}, truth);
            if (i > 0) assert_true_top(truth, n, ks[i], hits, found);
        }
        fixture_drop(&f);
    }
    med_free(hits);
    med_free(truth);
    med_free(rows);
}

static void an_index_of_zeros_answers(void **state)
{
    (void)state;
    enum { COUNT = 70, DIM = 8 };
    float rows[COUNT * DIM] = {0}, query[DIM] = {1};
    for (size_t kind = 0; kind < KIND_COUNT; kind++) {
        struct fixture f;
        struct med_dense_options options = {.dim = DIM, .kind = kinds[kind]};
        fixture_make(&f, &options, rows, COUNT);
        struct med_hit hits[COUNT];
        size_t found = 0;
        assert_int_equal(med_dense_search(f.dense, query, (struct med_filter){0}, NULL, COUNT, hits,
                             &found, NULL),
            MED_OK);
        assert_int_equal(found, COUNT);
        for (uint32_t i = 0; i < COUNT; i++) assert_int_equal(hits[i].chunk, i);
        fixture_drop(&f);
    }
}

static void vectors_that_are_not_finite_are_refused(void **state)
{
    (void)state;
    static const float bad[] = {NAN, INFINITY, -INFINITY, 70000.0f};
    enum { DIM = 40 };
    char dir[MED_PATH_MAX];
    med_test_temp_new(dir);
    for (size_t b = 0; b < sizeof bad / sizeof *bad; b++) {
        float rows[2 * DIM] = {0};
        rows[DIM + 33] = bad[b];
        struct med_dense_writer *writer = NULL;
        struct med_dense_options options = {.dim = DIM};
        assert_int_equal(
            med_dense_writer_new(med_fs_posix(), dir, &options, &writer, NULL), MED_OK);
        assert_int_equal(med_dense_writer_add(writer, rows, 2, NULL), MED_E_INVALID);
        struct med_file_ref files[MED_DENSE_FILE_COUNT];
        assert_int_equal(med_dense_writer_finish(writer, files, NULL, NULL), MED_E_CONFLICT);
        med_dense_writer_free(&writer);
    }
    med_test_temp_remove(dir);
}

static void queries_without_a_direction_are_refused(void **state)
{
    (void)state;
    enum { DIM = 3 };
    static const float queries[][DIM] = {{0, 0, 0}, {NAN, 0, 1}, {INFINITY, 0, 0}, {2, 0, 0},
        {.5f, .5f, .5f}, {3e38f, 3e38f, 3e38f}};
    static const float rows[][DIM] = {{1, 0, 0}, {0, 1, 0}};
    struct fixture f;
    struct med_dense_options options = {.dim = DIM};
    fixture_make(&f, &options, &rows[0][0], 2);
    struct med_filter all = {0};
    struct med_hit hits[2];
    size_t found;
    float score;
    uint32_t chunk = 0;
    for (size_t q = 0; q < sizeof queries / sizeof *queries; q++) {
        assert_int_equal(
            med_dense_search(f.dense, queries[q], all, NULL, 2, hits, &found, NULL), MED_E_INVALID);
        assert_int_equal(
            med_dense_score(f.dense, queries[q], &chunk, 1, &score, NULL), MED_E_INVALID);
    }
    chunk = 2;
    assert_int_equal(med_dense_score(f.dense, rows[0], &chunk, 1, &score, NULL), MED_E_INVALID);
    float row[DIM];
    assert_int_equal(med_dense_row(f.dense, 2, row, NULL), MED_E_INVALID);
    fixture_drop(&f);
}

struct shared_search {
    const struct fixture *f;
    const float *queries;
    struct med_hit (*hits)[10];
};

static enum med_code search_piece(
    void *ctx, unsigned worker, uint64_t begin, uint64_t end, struct med_err *err)
{
    (void)worker;
    struct shared_search *s = ctx;
    for (uint64_t i = begin; i < end; i++) {
        size_t found;
        struct med_filter all = {0};
        const float *query = s->queries + i * med_dense_dim(s->f->dense);
        enum med_code code =
            med_dense_search(s->f->dense, query, all, NULL, 10, s->hits[i], &found, err);
        if (code != MED_OK) return code;
    }
    return MED_OK;
}

static void many_threads_get_the_answers_of_one(void **state)
{
    (void)state;
    enum { COUNT = 2500, DIM = 16, QUERIES = 200 };
    struct med_rng rng;
    med_rng_seed(&rng, med_test_seed());
    float *rows = random_rows(&rng, COUNT, DIM), *queries = random_rows(&rng, QUERIES, DIM);
    for (size_t kind = 0; kind < KIND_COUNT; kind++) {
        struct fixture f;
        struct med_dense_options options = {.dim = DIM, .kind = kinds[kind], .hnsw_m = 6};
        fixture_make(&f, &options, rows, COUNT);
        struct med_hit one[QUERIES][10], many[QUERIES][10];
        memset(one, 0, sizeof one);
        memset(many, 1, sizeof many);
        struct shared_search s = {.f = &f, .queries = queries, .hits = one};
        assert_int_equal(med_parallel_for(1, QUERIES, 1, search_piece, &s, NULL), MED_OK);
        s.hits = many;
        assert_int_equal(med_parallel_for(8, QUERIES, 1, search_piece, &s, NULL), MED_OK);
        assert_memory_equal(one, many, sizeof one);
        fixture_drop(&f);
    }
    med_free(rows);
    med_free(queries);
}

/* --- writing --- */

static void one_thread_writes_the_same_bytes_again(void **state)
{
    (void)state;
    enum { COUNT = 1500, DIM = 20 };
    struct med_rng rng;
    med_rng_seed(&rng, med_test_seed());
    float *rows = random_rows(&rng, COUNT, DIM);
    for (size_t kind = 0; kind < KIND_COUNT; kind++) {
        struct fixture a, b;
        struct med_dense_options options = {
            .dim = DIM, .kind = kinds[kind], .threads = 1, .seed = 7};
        fixture_make(&a, &options, rows, COUNT);
        fixture_make(&b, &options, rows, COUNT);
        assert_int_equal(a.vectors.len, b.vectors.len);
        assert_int_equal(a.graph.len, b.graph.len);
        assert_memory_equal(a.vectors.ptr, b.vectors.ptr, a.vectors.len);
        assert_memory_equal(a.graph.ptr, b.graph.ptr, a.graph.len);
        fixture_drop(&a);
        fixture_drop(&b);
    }
    med_free(rows);
}

static bool stop_at_once(
    void *ctx, const char *stage, uint64_t done, uint64_t total, const char *unit)
{
    (void)ctx, (void)stage, (void)done, (void)total, (void)unit;
    return false;
}

static void a_build_can_be_stopped(void **state)
{
    (void)state;
    enum { COUNT = 1000, DIM = 8 };
    struct med_rng rng;
    med_rng_seed(&rng, med_test_seed());
    float *rows = random_rows(&rng, COUNT, DIM);
    char dir[MED_PATH_MAX];
    med_test_temp_new(dir);
    struct med_progress progress = {.report = stop_at_once};
    for (size_t kind = 1; kind < KIND_COUNT; kind++) {
        struct med_dense_options options = {.dim = DIM, .kind = kinds[kind], .progress = &progress};
        struct med_dense_report report;
        assert_int_equal(
            write_index(med_fs_posix(), dir, &options, rows, COUNT, &report), MED_E_CANCELLED);
    }
    med_test_temp_remove(dir);
    med_free(rows);
}

static void every_failing_write_or_allocation_is_reported(void **state)
{
    (void)state;
    enum { COUNT = 300, DIM = 8 };
    struct med_rng rng;
    med_rng_seed(&rng, med_test_seed());
    float *rows = random_rows(&rng, COUNT, DIM);
    char dir[MED_PATH_MAX];
    med_test_temp_new(dir);
    struct med_faulty_fs *faulty = NULL;
    assert_int_equal(med_faulty_fs_new(dir, 1, &faulty, NULL), MED_OK);
    const struct med_fs *fs = med_faulty_fs_seam(faulty);
    for (size_t kind = 0; kind < KIND_COUNT; kind++) {
        struct med_dense_options options = {.dim = DIM, .kind = kinds[kind], .threads = 1};
        struct med_dense_report report;
        enum med_code code = MED_E_IO;
        unsigned failures = 0;
        for (uint64_t n = 1; code != MED_OK; n++, failures++) {
            med_faulty_fs_fail_once(faulty, n);
            code = write_index(fs, dir, &options, rows, COUNT, &report);
            assert_true(code == MED_OK || code == MED_E_IO);
        }
        assert_true(failures >= 8);
        med_faulty_fs_fail_once(faulty, 0);
        code = MED_E_NOMEM;
        for (uint64_t n = 1; code != MED_OK; n++) {
            med_mem_fail_after(n);
            code = write_index(med_fs_posix(), dir, &options, rows, COUNT, &report);
            assert_true(code == MED_OK || code == MED_E_NOMEM);
        }
        med_mem_fail_after(0);
    }
    med_faulty_fs_free(&faulty);
    med_test_temp_remove(dir);
    med_free(rows);
}

/* --- damaged files --- */

/* A copy with nothing behind it, so that the sanitizer sees every byte too far. */
static struct med_map copy_of(struct med_map map, size_t len)
{
    uint8_t *ptr = med_aligned_alloc(len > 0 ? len : 1);
    assert_non_null(ptr);
    if (len > 0) memcpy(ptr, map.ptr, len);
    return (struct med_map){.ptr = ptr, .len = len};
}

static void flip(struct med_map map, struct med_rng *rng, size_t begin, size_t end)
{
    uint8_t *at = (uint8_t *)(uintptr_t)map.ptr + begin + med_rng_below(rng, end - begin);
    *at ^= (uint8_t)(1u << med_rng_below(rng, 8));
}

/* As somebody would who wants the damage to pass the header's checksum. */
static void reseal(struct med_map vectors, struct med_map graph)
{
    struct med_vectors_header *h = (void *)(uintptr_t)vectors.ptr;
    struct med_vectors_trailer *t = (void *)(uintptr_t)(vectors.ptr + vectors.len - sizeof *t);
    struct med_graph_header *g = (void *)(uintptr_t)graph.ptr;
    h->check = med_hash64(h, offsetof(struct med_vectors_header, check));
    t->header_check = h->check;
    t->check = med_hash64(t, offsetof(struct med_vectors_trailer, check));
    g->check = med_hash64(g, offsetof(struct med_graph_header, check));
}

/* Whatever the bytes: an error, or an index whose answers are finite and within bounds. */
static bool use(struct med_map vectors, struct med_map graph, struct med_rng *rng)
{
    struct med_dense *dense = NULL;
    struct med_err err = {0};
    enum med_code code = med_dense_open(vectors, graph, &dense, &err);
    if (code != MED_OK) {
        assert_true(err.code == code && err.text[0] != '\0');
        return false;
    }
    uint32_t dim = med_dense_dim(dense), count = med_dense_count(dense);
    float *query = med_malloc(dim * sizeof *query);
    random_unit(rng, query, dim);
    struct med_filter filter = random_filter(rng, count, .7);
    for (int filtered = 0; filtered < 2; filtered++) {
        struct med_hit hits[10];
        size_t found = 0;
        struct med_filter which = filtered ? filter : (struct med_filter){0};
        assert_int_equal(
            med_dense_search(dense, query, which, NULL, 10, hits, &found, NULL), MED_OK);
        assert_true(found <= 10);
        for (size_t i = 0; i < found; i++) {
            float score;
            assert_true(hits[i].chunk < count && isfinite(hits[i].score));
            assert_int_equal(
                med_dense_score(dense, query, &hits[i].chunk, 1, &score, NULL), MED_OK);
            assert_true(score == hits[i].score);
        }
    }
    for (uint32_t r = 0; r < count; r++) {
        code = med_dense_row(dense, r, query, NULL);
        assert_true(code == MED_OK || code == MED_E_CORRUPT);
    }
    med_free((void *)(uintptr_t)filter.words);
    med_free(query);
    med_dense_free(&dense);
    return true;
}

static void damaged_bytes_never_crash(void **state)
{
    (void)state;
    enum { COUNT = 400, DIM = 4, TRIES = 400 };
    struct med_rng rng;
    med_rng_seed(&rng, med_test_seed());
    float *rows = random_rows(&rng, COUNT, DIM);
    memset(rows + 5 * DIM, 0, DIM * sizeof *rows);
    for (size_t kind = 0; kind < KIND_COUNT; kind++) {
        struct fixture f;
        struct med_dense_options options = {.dim = DIM, .kind = kinds[kind], .hnsw_m = 3};
        fixture_make(&f, &options, rows, COUNT);
        assert_true(use(f.vectors, f.graph, &rng));
        unsigned opened = 0;
        for (int t = 0; t < TRIES; t++) {
            struct med_map vectors = copy_of(f.vectors, f.vectors.len);
            struct med_map graph = copy_of(f.graph, f.graph.len);
            int flips = 1 + (int)med_rng_below(&rng, 3);
            for (int i = 0; i < flips; i++) {
                switch (t % 4) {
                case 0: flip(graph, &rng, 0, graph.len); break;
                case 1: flip(graph, &rng, 0, sizeof(struct med_graph_header)); break;
                case 2: flip(vectors, &rng, 0, sizeof(struct med_vectors_header)); break;
                default: flip(vectors, &rng, sizeof(struct med_vectors_header), vectors.len);
                }
            }
            if (t % 8 >= 4) reseal(vectors, graph);
            opened += use(vectors, graph, &rng);
            med_free((void *)(uintptr_t)vectors.ptr);
            med_free((void *)(uintptr_t)graph.ptr);
        }
        assert_true(opened < TRIES);
        fixture_drop(&f);
    }
    med_free(rows);
}

static void truncated_files_are_refused(void **state)
{
    (void)state;
    enum { COUNT = 100, DIM = 4 };
    struct med_rng rng;
    med_rng_seed(&rng, med_test_seed());
    float *rows = random_rows(&rng, COUNT, DIM);
    for (size_t kind = 0; kind < KIND_COUNT; kind++) {
        struct fixture f;
        struct med_dense_options options = {.dim = DIM, .kind = kinds[kind], .hnsw_m = 3};
        fixture_make(&f, &options, rows, COUNT);
        for (size_t len = 0; len < f.graph.len; len += 1 + med_rng_below(&rng, 97)) {
            struct med_map graph = copy_of(f.graph, len);
            assert_false(use(f.vectors, graph, &rng));
            med_free((void *)(uintptr_t)graph.ptr);
        }
        for (size_t len = 0; len < f.vectors.len; len += 1 + med_rng_below(&rng, 97)) {
            struct med_map vectors = copy_of(f.vectors, len);
            assert_false(use(vectors, f.graph, &rng));
            med_free((void *)(uintptr_t)vectors.ptr);
        }
        fixture_drop(&f);
    }
    med_free(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_level_agrees_with_a_double_reference),
        cmocka_unit_test(a_score_does_not_depend_on_the_place_in_a_batch),
        cmocka_unit_test(every_level_rounds_to_the_same_half),
        cmocka_unit_test(exact_search_equals_sorting_everything),
        cmocka_unit_test(a_filter_of_any_selectivity_fills_its_k),
        cmocka_unit_test(rows_of_zeros_come_only_when_nothing_else_is_left),
        cmocka_unit_test(an_index_of_zeros_answers),
        cmocka_unit_test(vectors_that_are_not_finite_are_refused),
        cmocka_unit_test(queries_without_a_direction_are_refused),
        cmocka_unit_test(many_threads_get_the_answers_of_one),
        cmocka_unit_test(one_thread_writes_the_same_bytes_again),
        cmocka_unit_test(a_build_can_be_stopped),
        cmocka_unit_test(every_failing_write_or_allocation_is_reported),
        cmocka_unit_test(damaged_bytes_never_crash),
        cmocka_unit_test(truncated_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The dense index: exact search, graphs, lists and groups as far as they must be right; how well
 * they find is measured in tests/recall. */
#include "common/parallel.h"
#include "tests/support/faulty_fs.h"
#include "tests/unit/dense_fixture.h"

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

/* One question that is a row itself is answered by the narrowest walk; a cloud around nothing in
 * particular needs a wider one. */
static void recall_is_measured_with_the_questions_that_are_given(void **state)
{
    (void)state;
    enum { COUNT = 4000, DIM = 64, QUESTIONS = 100 };
    struct med_rng rng;
    med_rng_seed(&rng, med_test_seed());
    float *rows = random_rows(&rng, COUNT, DIM), *far = random_rows(&rng, QUESTIONS, DIM);
    float ef[2];
    for (size_t easy = 0; easy < 2; easy++) {
        struct fixture f;
        struct med_dense_options options = {.dim = DIM,
            .kind = MED_DENSE_HNSW,
            .hnsw_m = 6,
            .questions = easy ? rows : far,
            .question_count = easy ? 1 : QUESTIONS};
        fixture_make(&f, &options, rows, COUNT);
        ef[easy] = med_dense_describe(f.dense).search_ef;
        assert_true(med_dense_describe(f.dense).recall_at_10 >= .98f);
        fixture_drop(&f);
    }
    assert_true(ef[1] < ef[0]);
    med_free(rows);
    med_free(far);
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

/* --- groups --- */

/* The best row of each group, by sorting everything. */
static size_t group_oracle(const struct fixture *f, const float *query, struct med_filter filter,
    const uint32_t *groups, struct truth *ret_truth)
{
    size_t n = oracle(f, query, filter, ret_truth), kept = 0;
    for (size_t i = 0; i < n; i++) {
        bool known = false;
        for (size_t j = 0; j < kept && !known; j++)
            known = groups[ret_truth[j].chunk] == groups[ret_truth[i].chunk];
        if (!known) ret_truth[kept++] = ret_truth[i];
    }
    return kept;
}

static void groups_give_the_best_row_of_each(void **state)
{
    (void)state;
    enum { COUNT = 1500, DIM = 24, K = 40 };
    struct med_rng rng;
    med_rng_seed(&rng, med_test_seed());
    float *rows = random_rows(&rng, COUNT, DIM), query[DIM];
    for (uint32_t r = 100; r < 130; r++) memset(rows + r * DIM, 0, DIM * sizeof *rows);
    struct truth *truth = med_malloc(COUNT * sizeof *truth);
    uint32_t groups[COUNT];
    for (size_t kind = 0; kind < KIND_COUNT; kind++) {
        for (uint32_t size = 1; size <= 64; size *= 4) { /* 64: fewer groups than K */
            for (uint32_t r = 0; r < COUNT; r++) {
                groups[r] = r / size;
                const float *leader = rows + r / size * size * DIM;
                if (r % size == 0) continue;
                for (uint32_t i = 0; i < DIM; i++) /* alike, so that one group fills a beam */
                    rows[r * DIM + i] = rows[r * DIM + i] * .3f + leader[i];
            }
            struct fixture f;
            struct med_dense_options options = {.dim = DIM, .kind = kinds[kind], .seed = 1};
            fixture_make(&f, &options, rows, COUNT);
            for (int turn = 0; turn < 12; turn++) {
                struct med_filter filter =
                    turn % 3 == 2 ? random_filter(&rng, COUNT, .4) : (struct med_filter){0};
                struct med_dense_params params = {.exact = turn % 2, .groups = groups};
                struct med_hit hits[K];
                size_t found;
                random_unit(&rng, query, DIM);
                assert_int_equal(
                    med_dense_search(f.dense, query, filter, &params, K, hits, &found, NULL),
                    MED_OK);
                size_t n = group_oracle(&f, query, filter, groups, truth);
                assert_int_equal(found, n < K ? n : K);
                for (size_t i = 0; i < found; i++) {
                    assert_true(med_filter_has(filter, hits[i].chunk));
                    for (size_t j = 0; j < i; j++)
                        assert_int_not_equal(groups[hits[i].chunk], groups[hits[j].chunk]);
                }
                if (params.exact) assert_true_top(truth, n, K, hits, found);
                assert_scores_agree(&f, query, hits, found);
                med_free((void *)(uintptr_t)filter.words);
            }
            fixture_drop(&f);
        }
    }
    med_free(truth);
    med_free(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_search_equals_sorting_everything),
        cmocka_unit_test(a_filter_of_any_selectivity_fills_its_k),
        cmocka_unit_test(rows_of_zeros_come_only_when_nothing_else_is_left),
        cmocka_unit_test(an_index_of_zeros_answers),
        cmocka_unit_test(vectors_that_are_not_finite_are_refused),
        cmocka_unit_test(queries_without_a_direction_are_refused),
        cmocka_unit_test(many_threads_get_the_answers_of_one),
        cmocka_unit_test(one_thread_writes_the_same_bytes_again),
        cmocka_unit_test(recall_is_measured_with_the_questions_that_are_given),
        cmocka_unit_test(a_build_can_be_stopped),
        cmocka_unit_test(every_failing_write_or_allocation_is_reported),
        cmocka_unit_test(groups_give_the_best_row_of_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The bytes of the dense index: kernels, rows in fixed point, files of version 1, damaged files. */
#include "index/dense/graph.h"
#include "tests/unit/dense_fixture.h"

/* --- kernels --- */

static uint16_t *aligned_halves(const float *from, uint32_t dim)
{
    uint32_t padded = med_half_padded(dim);
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
        uint32_t dim = dims[d], padded = med_half_padded(dim);
        float x[1024] = {0}, q[1024] = {0}, back[1024];
        random_unit(&rng, x, dim);
        random_unit(&rng, q, dim);
        uint16_t *row = aligned_halves(x, dim);
        for (int level = MED_CPU_PORTABLE; level <= MED_CPU_AVX512; level++) {
            const struct med_dense_kernels *k = med_dense_kernels_at((enum med_cpu)level);
            if (!k) continue;
            k->to_float(row, back, padded);
            double dot = 0;
            for (uint32_t i = 0; i < dim; i++) dot += (double)back[i] * (double)q[i];
            assert_true(fabs((double)k->half_dot(row, q, padded) - dot) < 1e-5);
        }
        med_free(row);
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
            k->half_dot4(four, q, DIM, scores);
            for (int j = 0; j < 4; j++) {
                float alone = k->half_dot(four[j], q, DIM);
                assert_memory_equal(&alone, &scores[j], sizeof alone);
            }
        }
    }
    for (int r = 0; r < 5; r++) med_free(rows[r]);
}

/* The sums of bytes are the same integers on every level, extremes included. */
static void every_level_sums_codes_to_the_same_integers(void **state)
{
    (void)state;
    static const size_t padded[] = {64, 128, 256, 384, 4096};
    struct med_rng rng;
    med_rng_seed(&rng, med_test_seed());
    uint8_t *codes = med_aligned_alloc(4 * 4096);
    int8_t *query = med_aligned_alloc(4096);
    assert_true(codes && query);
    for (int turn = 0; turn < 40; turn++) {
        size_t n = padded[turn % 5];
        for (size_t i = 0; i < 4 * n; i++)
            codes[i] = turn < 10 ? 255 * (turn & 1) : (uint8_t)med_rng_below(&rng, 256);
        for (size_t i = 0; i < n; i++)
            query[i] =
                (int8_t)(turn < 10 ? (turn & 2) ? -128 : 127 : (int)med_rng_below(&rng, 256) - 128);
        const uint8_t *const four[4] = {codes, codes + n, codes + 2 * n, codes + 3 * n};
        for (int level = MED_CPU_PORTABLE; level <= MED_CPU_AVX512; level++) {
            const struct med_dense_kernels *k = med_dense_kernels_at((enum med_cpu)level);
            if (!k) continue;
            int32_t sums[4];
            k->code_dot4(four, query, n, sums);
            for (int j = 0; j < 4; j++) {
                int64_t sum = 0;
                for (size_t i = 0; i < n; i++) sum += four[j][i] * query[i];
                assert_int_equal(sums[j], sum);
                assert_int_equal(k->code_dot(four[j], query, n), sum);
            }
        }
    }
    med_free(codes);
    med_free(query);
}

/* What is stored is within half a unit of the scale, 32,639 units being the row's largest value;
 * the upper bound is above the exact score, which is near the true product. */
static void quantised_rows_keep_their_values_and_bounds(void **state)
{
    (void)state;
    enum { COUNT = 203, DIM = 70 };
    struct med_rng rng;
    med_rng_seed(&rng, med_test_seed());
    float *rows = random_rows(&rng, COUNT, DIM), query[DIM];
    for (uint32_t r = 0; r < COUNT; r++) { /* from all to few large values */
        for (uint32_t i = r % DIM; i < DIM; i++) rows[r * DIM + i] *= 1e-3f;
        if (r % DIM > 0) normalise(rows + r * DIM, DIM);
    }
    struct fixture f;
    struct med_dense_options options = {.dim = DIM};
    fixture_make(&f, &options, rows, COUNT);
    for (uint32_t r = 0; r < COUNT; r++) {
        float largest = 0;
        for (uint32_t i = 0; i < DIM; i++)
            if (fabsf(rows[r * DIM + i]) > largest) largest = fabsf(rows[r * DIM + i]);
        for (uint32_t i = 0; i < DIM; i++)
            assert_true(fabsf(f.stored[r * DIM + i] - rows[r * DIM + i]) <= largest / 65000);
    }
    struct med_dense_rows view;
    uint64_t zeros;
    assert_int_equal(med_vectors_read(f.vectors, &view, &zeros, NULL), MED_OK);
    for (uint32_t r = 0; r + 4 <= COUNT; r++) {
        struct med_dense_query ready;
        float upper[4], near[4];
        const uint32_t four[4] = {r, r + 1, r + 2, r + 3};
        random_unit(&rng, query, DIM);
        med_dense_query_init(&ready, &view, query);
        med_dense_upper4(&view, &ready, four, upper);
        med_dense_near4(&view, &ready, four, near);
        for (int j = 0; j < 4; j++) {
            double dot = 0;
            for (uint32_t i = 0; i < DIM; i++)
                dot += (double)f.stored[four[j] * DIM + i] * (double)query[i];
            float exact = med_dense_score_at(&view, &ready, four[j]);
            assert_true(fabs((double)exact - dot) < 2e-5);
            assert_true(exact <= upper[j]);
            assert_true(fabsf(near[j] - exact) < .05f);
            assert_true(med_dense_near(&view, &ready, four[j]) == near[j]);
        }
    }
    fixture_drop(&f);
    med_free(rows);
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

/* --- version 1 --- */

/* The same rows as a file of version 1: fp16. */
static struct med_map as_version_1(const struct fixture *f)
{
    uint32_t dim = med_dense_dim(f->dense), count = med_dense_count(f->dense);
    size_t stride = med_half_padded(dim) * sizeof(uint16_t);
    struct med_vectors_trailer t;
    size_t len = sizeof(struct med_vectors_header) + count * stride + sizeof t;
    uint8_t *bytes = med_aligned_alloc(len);
    assert_non_null(bytes);
    memset(bytes, 0, len);
    struct med_vectors_header *h = (void *)bytes;
    *h = (struct med_vectors_header){.magic = MED_VECTORS_MAGIC,
        .version = MED_VECTORS_VERSION_HALVES,
        .dim = dim,
        .encoding = MED_VECTORS_FP16,
        .metric = MED_VECTORS_INNER_PRODUCT,
        .stride_bytes = (uint32_t)stride};
    h->check = med_hash64(h, offsetof(struct med_vectors_header, check));
    for (uint32_t r = 0; r < count; r++)
        med_dense_kernels_best()->to_half(
            f->stored + (size_t)r * dim, (uint16_t *)(void *)(bytes + sizeof *h + r * stride), dim);
    memcpy(&t, f->vectors.ptr + f->vectors.len - sizeof t, sizeof t);
    t.scales_offset = 0;
    t.header_check = h->check;
    t.check = med_hash64(&t, offsetof(struct med_vectors_trailer, check));
    memcpy(bytes + len - sizeof t, &t, sizeof t);
    return (struct med_map){.ptr = bytes, .len = len};
}

static void files_of_version_1_are_read_searched_and_merged(void **state)
{
    (void)state;
    enum { COUNT = 1200, DIM = 40, K = 10 };
    struct med_rng rng;
    med_rng_seed(&rng, med_test_seed());
    float *rows = random_rows(&rng, COUNT, DIM), query[DIM];
    memset(rows + 77 * DIM, 0, DIM * sizeof *rows);
    for (size_t kind = 0; kind < KIND_COUNT; kind++) {
        struct fixture f;
        struct med_dense_options options = {.dim = DIM, .kind = kinds[kind], .threads = 1};
        fixture_make(&f, &options, rows, COUNT);
        struct med_map vectors = as_version_1(&f);
        struct med_dense *old = NULL;
        assert_int_equal(med_dense_open(vectors, f.graph, &old, NULL), MED_OK);
        assert_true(med_dense_is_zero(old, 77));
        for (int turn = 0; turn < 20; turn++) {
            struct med_filter all = {0};
            struct med_hit hits[K], old_hits[K];
            size_t found, old_found;
            struct med_dense_params params = {.exact = turn % 2};
            random_unit(&rng, query, DIM);
            assert_int_equal(
                med_dense_search(f.dense, query, all, &params, K, hits, &found, NULL), MED_OK);
            assert_int_equal(
                med_dense_search(old, query, all, &params, K, old_hits, &old_found, NULL), MED_OK);
            assert_int_equal(found, old_found);
            for (size_t i = 0; i < found && params.exact; i++)
                assert_true(fabsf(hits[i].score - old_hits[i].score) < 1e-3f);
        }
        struct med_dense_writer *writer = NULL;
        struct med_file_ref files[MED_DENSE_FILE_COUNT];
        char dir[MED_PATH_MAX], path[MED_PATH_MAX];
        med_test_temp_new(dir);
        assert_int_equal(
            med_dense_writer_new(med_fs_posix(), dir, &options, &writer, NULL), MED_OK);
        assert_int_equal(med_dense_writer_copy(writer, old, 0, COUNT, NULL), MED_OK);
        assert_int_equal(med_dense_writer_finish(writer, files, NULL, NULL), MED_OK);
        med_dense_writer_free(&writer);
        struct med_map merged;
        assert_int_equal(med_path_join(path, dir, "vectors", NULL), MED_OK);
        assert_int_equal(med_map_open(path, &merged, NULL), MED_OK);
        struct med_dense_rows view;
        uint64_t zeros;
        assert_int_equal(med_vectors_read(merged, &view, &zeros, NULL), MED_OK);
        assert_true(zeros == 1 && view.count == COUNT && view.scales);
        for (uint32_t r = 0; r < COUNT; r++) {
            float now[DIM], before[DIM];
            assert_true(med_dense_load(&view, r, now));
            assert_int_equal(med_dense_row(old, r, before, NULL), MED_OK);
            for (uint32_t i = 0; i < DIM; i++) assert_true(fabsf(now[i] - before[i]) < 2e-5f);
        }
        med_map_close(&merged);
        med_test_temp_remove(dir);
        med_dense_free(&old);
        med_free((void *)(uintptr_t)vectors.ptr);
        fixture_drop(&f);
    }
    med_free(rows);
}

static void copied_rows_have_the_bytes_of_added_ones(void **state)
{
    (void)state;
    enum { COUNT = 333, DIM = 33 };
    struct med_rng rng;
    med_rng_seed(&rng, med_test_seed());
    float *rows = random_rows(&rng, COUNT, DIM);
    struct fixture f;
    struct med_dense_options options = {.dim = DIM};
    fixture_make(&f, &options, rows, COUNT);
    struct med_dense_writer *writer = NULL;
    struct med_file_ref files[MED_DENSE_FILE_COUNT];
    char dir[MED_PATH_MAX], path[MED_PATH_MAX];
    med_test_temp_new(dir);
    assert_int_equal(med_dense_writer_new(med_fs_posix(), dir, &options, &writer, NULL), MED_OK);
    for (uint32_t r = 0, n; r < COUNT; r += n) {
        n = 1 + (uint32_t)med_rng_below(&rng, COUNT - r);
        assert_int_equal(med_dense_writer_copy(writer, f.dense, r, n, NULL), MED_OK);
    }
    assert_int_equal(med_dense_writer_finish(writer, files, NULL, NULL), MED_OK);
    med_dense_writer_free(&writer);
    struct med_map copy;
    assert_int_equal(med_path_join(path, dir, "vectors", NULL), MED_OK);
    assert_int_equal(med_map_open(path, &copy, NULL), MED_OK);
    assert_int_equal(copy.len, f.vectors.len);
    assert_memory_equal(copy.ptr, f.vectors.ptr, copy.len);
    med_map_close(&copy);
    med_test_temp_remove(dir);
    fixture_drop(&f);
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
        cmocka_unit_test(every_level_sums_codes_to_the_same_integers),
        cmocka_unit_test(quantised_rows_keep_their_values_and_bounds),
        cmocka_unit_test(every_level_rounds_to_the_same_half),
        cmocka_unit_test(files_of_version_1_are_read_searched_and_merged),
        cmocka_unit_test(copied_rows_have_the_bytes_of_added_ones),
        cmocka_unit_test(damaged_bytes_never_crash),
        cmocka_unit_test(truncated_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A dense index in a folder of its own, and what its answers are compared with. */
#pragma once

#include "common/mem.h"
#include "common/rng.h"
#include "index/dense/dense.h"
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

static inline void normalise(float *v, uint32_t dim)
{
    double norm = 0;
    for (uint32_t i = 0; i < dim; i++) norm += (double)v[i] * (double)v[i];
    for (uint32_t i = 0; i < dim; i++) v[i] = (float)(v[i] / sqrt(norm));
}

static inline void random_unit(struct med_rng *rng, float *ret_v, uint32_t dim)
{
    for (uint32_t i = 0; i < dim; i++) ret_v[i] = (float)med_rng_normal(rng);
    normalise(ret_v, dim);
}

/* count rows around a few directions; freed by med_free. */
static inline float *random_rows(struct med_rng *rng, uint32_t count, uint32_t dim)
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
    float *stored; /* the rows as the file holds them */
};

static inline enum med_code write_index(const struct med_fs *fs, const char *dir,
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

static inline void open_maps(struct fixture *f)
{
    char path[MED_PATH_MAX];
    assert_int_equal(med_path_join(path, f->dir, "vectors", NULL), MED_OK);
    assert_int_equal(med_map_open(path, &f->vectors, NULL), MED_OK);
    assert_int_equal(med_path_join(path, f->dir, "graph", NULL), MED_OK);
    assert_int_equal(med_map_open(path, &f->graph, NULL), MED_OK);
}

static inline void fixture_make(
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

static inline void fixture_drop(struct fixture *f)
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

static inline int by_truth(const void *a, const void *b)
{
    const struct truth *x = a, *y = b;
    if (x->zero != y->zero) return x->zero ? 1 : -1;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return x->chunk < y->chunk ? -1 : x->chunk > y->chunk;
}

static inline size_t oracle(
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
static inline void assert_true_top(const struct truth *truth, size_t truth_count, size_t k,
    const struct med_hit *hits, size_t count)
{
    assert_int_equal(count, k < truth_count ? k : truth_count);
    for (size_t i = 0; i < count; i++) {
        assert_true(fabs((double)hits[i].score - truth[i].score) < 4e-5); /* 16 bits each */
        for (size_t j = 0; j < i; j++) assert_int_not_equal(hits[i].chunk, hits[j].chunk);
        if (truth[i].zero) {
            assert_int_equal(hits[i].chunk, truth[i].chunk);
            assert_true(hits[i].score == 0);
        } else if (i > 0) {
            assert_true(hits[i].score <= hits[i - 1].score);
        }
    }
}

static inline void assert_scores_agree(
    const struct fixture *f, const float *query, const struct med_hit *hits, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        float score = -2;
        assert_int_equal(med_dense_score(f->dense, query, &hits[i].chunk, 1, &score, NULL), MED_OK);
        assert_memory_equal(&score, &hits[i].score, sizeof score);
    }
}

/* A filter of every nth row or of a share; words are freed by med_free. */
static inline struct med_filter random_filter(struct med_rng *rng, uint32_t count, double share)
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

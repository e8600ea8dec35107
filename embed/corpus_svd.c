/* The randomized truncated SVD of the tf-idf matrix A (passages x terms, rows of length 1): Halko,
 * Martinsson and Tropp 2011, algorithm 4.4, with the subspace kept on the side of the terms.
 *
 *   Y = A'(A W), W random signs;   POWER times: Y = A'(A orth(Y));   Q = orth(Y), Z = A Q,
 *   Z'Z = U S^2 U' (small, symmetric), V = Q U: the right singular vectors; row t of V S is the
 *   vector of term t.
 *
 * A is kept twice, by passages and by terms, so that both products gather rows into outputs indexed
 * by position: any number of threads gives the same bits. Orthonormalisation is Cholesky QR on a
 * double Gram matrix, whose columns without rank become zero. Memory: 16 bytes per nonzero and
 * (passages + terms) * dim floats. */
#include "embed/blas.h"
#include "embed/corpus_internal.h"

#include "common/mem.h"
#include "common/parallel.h"
#include "common/rng.h"

#include <math.h>
#include <string.h>

#define OVERSAMPLING 16
#define POWER_ITERATIONS 4
#define POWER_ITERATIONS_LARGE 2 /* longer training makes up for the rest */
#define PASSAGES_LARGE 50000u
#define RANK_TOLERANCE 1e-11 /* of squared lengths; noise of floats is near 1e-14 */
#define GRAM_BLOCK_ROWS 512
#define GRAM_STRIPES 16 /* partial sums of the Gram matrix, fixed so that threads do not matter */
#define ROWS_GRAIN 256

struct sparse { /* compressed rows */
    uint64_t *starts;
    uint32_t *ids;
    float *values;
    uint32_t row_count;
};

struct svd {
    const struct corpus_set *set;
    const struct med_progress *progress;
    const struct med_corpus_kernels *kernels;
    unsigned threads;
    uint32_t width; /* dim + oversampling, a multiple of MED_CORPUS_LANES */
    unsigned power_iterations;
    uint64_t products_done;
    struct sparse by_passage, by_term;
    float *y;     /* terms x width */
    float *z;     /* passages x width */
    double *gram; /* (GRAM_STRIPES + 1) x width x width */
    double *values;
    double *blocks;  /* threads x GRAM_BLOCK_ROWS x width */
    float *rotation; /* width x width */
};

/* --- the matrix --- */

static void sparse_free(struct sparse *m)
{
    med_free(m->starts);
    med_free(m->ids);
    med_free(m->values);
    *m = (struct sparse){0};
}

static bool sparse_alloc(struct sparse *m, uint32_t rows, uint64_t nonzeros)
{
    m->row_count = rows;
    m->starts = med_calloc((size_t)rows + 1, sizeof *m->starts);
    m->ids = med_realloc_array(NULL, nonzeros, sizeof *m->ids);
    m->values = med_realloc_array(NULL, nonzeros, sizeof *m->values);
    return m->starts && m->ids && m->values;
}

static void passage_bag(const struct corpus_set *set, size_t number, struct corpus_bag *bag)
{
    const struct corpus_passage *p = &set->passages[number];
    corpus_bag_clear(bag);
    corpus_bag_add(bag, set, p->title_begin, p->title_count);
    corpus_bag_add(bag, set, p->token_begin, p->token_count);
    corpus_bag_weigh(bag, set);
}

static enum med_code fill_matrix(struct svd *svd, struct med_err *err)
{
    const struct corpus_set *set = svd->set;
    struct sparse *a = &svd->by_passage, *t = &svd->by_term;
    uint32_t passages = (uint32_t)set->passage_count;
    uint64_t tokens = 0;
    for (uint32_t p = 0; p < passages; p++)
        tokens += set->passages[p].token_count + set->passages[p].title_count;
    struct corpus_bag *bag = med_malloc(sizeof *bag);
    if (!bag || !sparse_alloc(a, passages, tokens)) goto nomem;
    uint64_t used = 0;
    for (uint32_t p = 0; p < passages; p++) {
        passage_bag(set, p, bag);
        double square = 0;
        for (uint32_t i = 0; i < bag->count; i++)
            square += (double)bag->weights[i] * (double)bag->weights[i];
        float scale = square > 0 ? (float)(1 / sqrt(square)) : 0;
        for (uint32_t i = 0; i < bag->count; i++) {
            a->ids[used] = bag->rows[i];
            a->values[used++] = bag->weights[i] * scale;
        }
        a->starts[p + 1] = used;
    }
    if (!sparse_alloc(t, set->row_count, used)) goto nomem;
    for (uint64_t i = 0; i < used; i++) t->starts[a->ids[i] + 1]++;
    for (uint32_t r = 0; r < t->row_count; r++) t->starts[r + 1] += t->starts[r];
    for (uint32_t p = 0; p < passages; p++) {
        for (uint64_t i = a->starts[p]; i < a->starts[p + 1]; i++) {
            uint64_t at = t->starts[a->ids[i]]++;
            t->ids[at] = p;
            t->values[at] = a->values[i];
        }
    }
    /* The fill moved each start to its end, which is the next one's start. */
    memmove(t->starts + 1, t->starts, t->row_count * sizeof *t->starts);
    t->starts[0] = 0;
    med_free(bag);
    return MED_OK;
nomem:
    med_free(bag);
    return med_fail(err, MED_E_NOMEM, "out of memory for the tf-idf matrix of %zu passages",
        set->passage_count);
}

/* --- products --- */

struct product {
    const struct svd *svd;
    const struct sparse *matrix;
    const float *in;
    float *out;
};

static enum med_code multiply_rows(
    void *ctx, unsigned worker, uint64_t begin, uint64_t end, struct med_err *err)
{
    (void)worker;
    (void)err;
    const struct product *product = ctx;
    const struct sparse *m = product->matrix;
    size_t width = product->svd->width;
    memset(product->out + begin * width, 0, (end - begin) * width * sizeof(float));
    for (uint64_t r = begin; r < end; r++) {
        product->svd->kernels->add_float_rows(product->in, width, m->ids + m->starts[r],
            m->values + m->starts[r], m->starts[r + 1] - m->starts[r], product->out + r * width);
    }
    return MED_OK;
}

static enum med_code multiply(
    struct svd *svd, const struct sparse *matrix, const float *in, float *out, struct med_err *err)
{
    struct product product = {svd, matrix, in, out};
    enum med_code code =
        med_parallel_for(svd->threads, matrix->row_count, ROWS_GRAIN, multiply_rows, &product, err);
    uint64_t products = 2 * (svd->power_iterations + 1) + 1;
    if (code == MED_OK &&
        !med_progress(svd->progress, "svd", ++svd->products_done, products, "products"))
        code = med_fail(err, MED_E_CANCELLED, "training was stopped");
    return code;
}

/* --- Gram matrix and change of basis --- */

struct gram_job {
    struct svd *svd;
    const float *rows;
    uint64_t row_count;
};

static enum med_code gram_stripe(
    void *ctx, unsigned worker, uint64_t begin, uint64_t end, struct med_err *err)
{
    (void)err;
    const struct gram_job *job = ctx;
    size_t width = job->svd->width;
    double *block = job->svd->blocks + worker * (size_t)GRAM_BLOCK_ROWS * width;
    for (uint64_t stripe = begin; stripe < end; stripe++) {
        double *sum = job->svd->gram + (stripe + 1) * width * width;
        memset(sum, 0, width * width * sizeof *sum);
        uint64_t stop = job->row_count * (stripe + 1) / GRAM_STRIPES;
        for (uint64_t r = job->row_count * stripe / GRAM_STRIPES; r < stop;) {
            uint64_t count = stop - r < GRAM_BLOCK_ROWS ? stop - r : GRAM_BLOCK_ROWS;
            for (size_t i = 0; i < count * width; i++) block[i] = (double)job->rows[r * width + i];
            med_blas_dsyrk_lower(count, width, block, sum);
            r += count;
        }
    }
    return MED_OK;
}

/* svd->gram[0] = transpose(rows) * rows, lower triangle. */
static enum med_code gram_of(
    struct svd *svd, const float *rows, uint64_t row_count, struct med_err *err)
{
    struct gram_job job = {svd, rows, row_count};
    enum med_code code = med_parallel_for(svd->threads, GRAM_STRIPES, 1, gram_stripe, &job, err);
    if (code != MED_OK) return code;
    size_t cells = (size_t)svd->width * svd->width;
    memcpy(svd->gram, svd->gram + cells, cells * sizeof *svd->gram);
    for (unsigned stripe = 1; stripe < GRAM_STRIPES; stripe++) {
        const double *part = svd->gram + (stripe + 1) * cells;
        for (size_t i = 0; i < cells; i++) svd->gram[i] += part[i];
    }
    return MED_OK;
}

/* In place: the Gram matrix G = L L' becomes R = inverse(L'), upper triangular, so that Y R has
 * orthonormal columns. A column that depends on the ones before it becomes zero. `scratch` holds
 * width^2. */
static void cholesky_inverse(double *g, double *scratch, size_t width)
{
    double largest = 0;
    for (size_t i = 0; i < width; i++) largest = fmax(largest, g[i * width + i]);
    double *l = scratch;
    memset(l, 0, width * width * sizeof *l);
    for (size_t i = 0; i < width; i++) {
        for (size_t j = 0; j <= i; j++) {
            double sum = g[i * width + j];
            for (size_t k = 0; k < j; k++) sum -= l[i * width + k] * l[j * width + k];
            if (j < i)
                l[i * width + j] = l[j * width + j] > 0 ? sum / l[j * width + j] : 0;
            else if (sum > RANK_TOLERANCE * largest)
                l[i * width + i] = sqrt(sum);
        }
    }
    /* Column c of R solves L' x = e_c; L' is upper triangular, so that x ends at c. */
    memset(g, 0, width * width * sizeof *g);
    for (size_t c = 0; c < width; c++) {
        if (!(l[c * width + c] > 0)) continue;
        g[c * width + c] = 1 / l[c * width + c];
        for (size_t i = c; i-- > 0;) {
            if (!(l[i * width + i] > 0)) continue;
            double sum = 0;
            for (size_t k = i + 1; k <= c; k++) sum += l[k * width + i] * g[k * width + c];
            g[i * width + c] = -sum / l[i * width + i];
        }
    }
}

struct rotate_job {
    struct svd *svd;
    float *rows;
};

static enum med_code rotate_rows(
    void *ctx, unsigned worker, uint64_t begin, uint64_t end, struct med_err *err)
{
    (void)err;
    const struct rotate_job *job = ctx;
    size_t width = job->svd->width;
    float *block = (float *)(job->svd->blocks + worker * (size_t)GRAM_BLOCK_ROWS * width);
    float *rows = job->rows + begin * width;
    memcpy(block, rows, (end - begin) * width * sizeof *block);
    med_blas_sgemm(false, false, end - begin, width, width, 1, block, width, job->svd->rotation,
        width, 0, rows, width);
    return MED_OK;
}

/* rows = rows * rotation, in place. */
static enum med_code rotate(
    struct svd *svd, float *rows, uint64_t row_count, const double *rotation, struct med_err *err)
{
    for (size_t i = 0; i < (size_t)svd->width * svd->width; i++)
        svd->rotation[i] = (float)rotation[i];
    struct rotate_job job = {svd, rows};
    return med_parallel_for(svd->threads, row_count, GRAM_BLOCK_ROWS, rotate_rows, &job, err);
}

static enum med_code orthonormalise(struct svd *svd, struct med_err *err)
{
    uint32_t terms = svd->set->row_count;
    enum med_code code = gram_of(svd, svd->y, terms, err);
    if (code != MED_OK) return code;
    cholesky_inverse(svd->gram, svd->gram + (size_t)svd->width * svd->width, svd->width);
    return rotate(svd, svd->y, terms, svd->gram, err);
}

/* --- the whole --- */

static enum med_code find_subspace(struct svd *svd, uint64_t seed, struct med_err *err)
{
    struct med_rng rng;
    med_rng_seed(&rng, seed);
    uint64_t bits = 0;
    for (size_t i = 0; i < (size_t)svd->set->row_count * svd->width; i++) {
        if (i % 64 == 0) bits = med_rng_u64(&rng);
        svd->y[i] = bits >> (i % 64) & 1 ? 1.0f : -1.0f;
    }
    for (unsigned power = 0; power <= svd->power_iterations; power++) {
        enum med_code code = power > 0 ? orthonormalise(svd, err) : MED_OK;
        if (code == MED_OK) code = multiply(svd, &svd->by_passage, svd->y, svd->z, err);
        if (code == MED_OK) code = multiply(svd, &svd->by_term, svd->z, svd->y, err);
        if (code != MED_OK) return code;
    }
    /* Twice: the first pass leaves rounding errors as large as the condition number makes them. */
    enum med_code code = orthonormalise(svd, err);
    if (code == MED_OK) code = orthonormalise(svd, err);
    return code;
}

/* Turns y from an orthonormal basis into the leading singular vectors, scaled, best first. */
static enum med_code rotate_to_singular(struct svd *svd, struct med_err *err)
{
    size_t width = svd->width;
    enum med_code code = multiply(svd, &svd->by_passage, svd->y, svd->z, err);
    if (code == MED_OK) code = gram_of(svd, svd->z, svd->set->passage_count, err);
    if (code != MED_OK) return code;
    int *ints = med_realloc_array(NULL, med_blas_eigen_ints(width), sizeof *ints);
    if (!ints) return med_fail(err, MED_E_NOMEM, "out of memory for the singular values");
    double *scratch = svd->gram + width * width; /* the stripes are free now */
    bool converged = med_blas_eigen(width, svd->gram, svd->values, scratch, ints);
    med_free(ints);
    if (!converged) return med_fail(err, MED_E_INTERNAL, "the singular values do not converge");
    double largest = svd->values[width - 1];
    if (!(largest > 0)) return med_fail(err, MED_E_UNSUPPORTED, "the documents share no terms");
    for (size_t i = 0; i < width; i++) {
        double value =
            svd->values[width - 1 - i] / largest; /* of Z'Z: the singular value squared */
        double scale = value > RANK_TOLERANCE ? sqrt(value) : 0;
        const double *vector = svd->gram + (width - 1 - i) * width;
        for (size_t j = 0; j < width; j++) scratch[j * width + i] = vector[j] * scale;
    }
    return rotate(svd, svd->y, svd->set->row_count, scratch, err);
}

/* In place, because nothing in training is larger than y: each row moves towards the front. */
static float *leading_columns(struct svd *svd, uint32_t dim)
{
    size_t rows = svd->set->row_count;
    float *vectors = svd->y;
    double square = 0;
    svd->y = NULL;
    for (size_t r = 0; r < rows; r++) {
        float *to = vectors + r * dim;
        memmove(to, vectors + r * svd->width, dim * sizeof *to);
        square += (double)svd->kernels->dot(to, to, dim);
    }
    float scale = square > 0 ? (float)sqrt((double)rows / square) : 0;
    for (size_t i = 0; i < rows * dim; i++) vectors[i] *= scale;
    return vectors;
}

static bool svd_alloc(struct svd *svd)
{
    size_t width = svd->width, row = width * sizeof(float), cells = width * width;
    size_t y_bytes, z_bytes;
    if (!med_size_mul(row, svd->set->row_count, &y_bytes)) return false;
    if (!med_size_mul(row, svd->set->passage_count, &z_bytes)) return false;
    svd->y = med_table_alloc(y_bytes);
    svd->z = med_table_alloc(z_bytes);
    /* As large as the eigenvalue solver's scratch too, which needs about 2 width^2. */
    svd->gram = med_realloc_array(NULL, (GRAM_STRIPES + 1) * cells + 1 + 6 * width, sizeof(double));
    svd->values = med_realloc_array(NULL, width, sizeof(double));
    svd->blocks =
        med_realloc_array(NULL, svd->threads * (size_t)GRAM_BLOCK_ROWS * width, sizeof(double));
    svd->rotation = med_realloc_array(NULL, cells, sizeof(float));
    return svd->y && svd->z && svd->gram && svd->values && svd->blocks && svd->rotation;
}

enum med_code corpus_svd(const struct corpus_set *set, uint32_t dim, uint64_t seed,
    unsigned threads, const struct med_progress *progress, float **ret_vectors, struct med_err *err)
{
    struct svd svd = {
        .set = set,
        .progress = progress,
        .kernels = med_corpus_kernels(med_cpu_level()),
        .threads = threads,
        .width = dim + OVERSAMPLING,
        .power_iterations =
            set->passage_count < PASSAGES_LARGE ? POWER_ITERATIONS : POWER_ITERATIONS_LARGE,
    };
    enum med_code code = fill_matrix(&svd, err);
    if (code != MED_OK) goto out;
    if (!svd_alloc(&svd)) {
        code = med_fail(err, MED_E_NOMEM, "out of memory for %u term vectors of %u dimensions",
            set->row_count, dim);
        goto out;
    }
    code = find_subspace(&svd, seed, err);
    if (code == MED_OK) code = rotate_to_singular(&svd, err);
    if (code == MED_OK) *ret_vectors = leading_columns(&svd, dim);
out:
    sparse_free(&svd.by_passage);
    sparse_free(&svd.by_term);
    med_free(svd.y);
    med_free(svd.z);
    med_free(svd.gram);
    med_free(svd.values);
    med_free(svd.blocks);
    med_free(svd.rotation);
    return code;
}

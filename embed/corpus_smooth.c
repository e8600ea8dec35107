/* Rare terms borrow from their company.
 *
 * A term that occurs in one or two passages was seen by few batches: its vector is mostly what the
 * SVD made of those passages before the common terms moved on. After training each vector is
 * therefore mixed with the centroid of the finished passages that contain the term,
 *
 *   V_t = |V_t| * unit( (1 - a) * unit(V_t) + a * unit(C_t) ),   a = SMOOTH / (SMOOTH + df_t)
 *   C_t = sum over passages p of weight(t, p) * unit(vector of p)
 *
 * half and half for a term of one passage, hardly at all for a common one. Lengths stay: how much a
 * term counts was learnt. df counts the passages trained on, for they are what a vector has seen.
 *
 * Passages are encoded block by block; then each worker adds up a stripe of the dimensions of all
 * centroids. Nothing is shared and the order of sums is fixed: the same bits with any number of
 * threads. */
#include "embed/corpus_internal.h"

#include "common/mem.h"
#include "common/parallel.h"

#include <math.h>
#include <string.h>

#define SMOOTH 1.0f /* passages; README.md has what other values gave */
#define BLOCK_PASSAGES 512u

struct smoothing {
    const struct corpus_set *set;
    const struct med_corpus_kernels *kernels;
    uint32_t dim;
    float *vectors;   /* rows x dim */
    float *centroids; /* rows x dim */
    uint32_t *df;     /* rows */

    /* One block */
    uint64_t first;
    uint32_t count;
    struct corpus_bag *bags; /* BLOCK_PASSAGES */
    float *passages;         /* BLOCK_PASSAGES x dim, normalised */
};

/* Length 1, or zeros where there is no length. */
static void to_unit(const struct smoothing *s, float *v)
{
    float square = s->kernels->dot(v, v, s->dim);
    float scale = square > 0 ? 1 / sqrtf(square) : 0;
    for (uint32_t d = 0; d < s->dim; d++) v[d] *= scale;
}

static enum med_code encode_passages(
    void *ctx, unsigned worker, uint64_t begin, uint64_t end, struct med_err *err)
{
    (void)worker;
    (void)err;
    struct smoothing *s = ctx;
    for (uint64_t i = begin; i < end; i++) {
        const struct corpus_passage *p = &s->set->passages[s->first + i];
        struct corpus_bag *bag = &s->bags[i];
        float *v = s->passages + i * s->dim;
        corpus_bag_clear(bag);
        corpus_bag_add(bag, s->set, p->title_begin, p->title_count);
        corpus_bag_add(bag, s->set, p->token_begin, p->token_count);
        corpus_bag_weigh(bag, s->set);
        memset(v, 0, s->dim * sizeof *v);
        s->kernels->add_float_rows(s->vectors, s->dim, bag->rows, bag->weights, bag->count, v);
        to_unit(s, v);
    }
    return MED_OK;
}

/* Stripes begin .. end of MED_CORPUS_LANES dimensions each. */
static enum med_code add_stripes(
    void *ctx, unsigned worker, uint64_t begin, uint64_t end, struct med_err *err)
{
    (void)worker;
    (void)err;
    struct smoothing *s = ctx;
    uint64_t from = begin * MED_CORPUS_LANES, width = (end - begin) * MED_CORPUS_LANES;
    for (uint32_t i = 0; i < s->count; i++) {
        const struct corpus_bag *bag = &s->bags[i];
        const float *v = s->passages + (size_t)i * s->dim + from;
        for (uint32_t j = 0; j < bag->count; j++) {
            float *c = s->centroids + (size_t)bag->rows[j] * s->dim + from;
            for (uint64_t d = 0; d < width; d++) c[d] += bag->weights[j] * v[d];
        }
    }
    return MED_OK;
}

static enum med_code mix_rows(
    void *ctx, unsigned worker, uint64_t begin, uint64_t end, struct med_err *err)
{
    (void)worker;
    (void)err;
    struct smoothing *s = ctx;
    for (uint64_t r = begin; r < end; r++) {
        float *v = s->vectors + r * s->dim, *c = s->centroids + r * s->dim;
        float length = sqrtf(s->kernels->dot(v, v, s->dim));
        to_unit(s, c);
        if (!(length > 0) || s->df[r] == 0) continue;
        float share = SMOOTH / (SMOOTH + (float)s->df[r]);
        for (uint32_t d = 0; d < s->dim; d++) c[d] = (1 - share) * v[d] / length + share * c[d];
        to_unit(s, c);
        for (uint32_t d = 0; d < s->dim; d++) v[d] = length * c[d];
    }
    return MED_OK;
}

static enum med_code add_block(struct smoothing *s, unsigned threads, struct med_err *err)
{
    uint64_t stripes = s->dim / MED_CORPUS_LANES, grain = (stripes + threads - 1) / threads;
    enum med_code code = med_parallel_for(threads, s->count, 16, encode_passages, s, err);
    if (code != MED_OK) return code;
    for (uint32_t i = 0; i < s->count; i++)
        for (uint32_t j = 0; j < s->bags[i].count; j++) s->df[s->bags[i].rows[j]]++;
    return med_parallel_for(threads, stripes, grain, add_stripes, s, err);
}

enum med_code corpus_smooth(const struct corpus_set *set, uint32_t dim, unsigned threads,
    float *vectors, struct med_err *err)
{
    struct smoothing s = {
        .set = set,
        .kernels = med_corpus_kernels(med_cpu_level()),
        .dim = dim,
        .vectors = vectors,
        .centroids = med_calloc((size_t)set->row_count * dim, sizeof(float)),
        .df = med_calloc(set->row_count, sizeof(uint32_t)),
        .bags = med_realloc_array(NULL, BLOCK_PASSAGES, sizeof *s.bags),
        .passages = med_realloc_array(NULL, (size_t)BLOCK_PASSAGES * dim, sizeof(float)),
    };
    enum med_code code = MED_OK;
    if (!s.centroids || !s.df || !s.bags || !s.passages)
        code = med_fail(err, MED_E_NOMEM, "out of memory smoothing %u terms", set->row_count);
    for (; code == MED_OK && s.first < set->passage_count; s.first += s.count) {
        uint64_t rest = set->passage_count - s.first;
        s.count = rest < BLOCK_PASSAGES ? (uint32_t)rest : BLOCK_PASSAGES;
        code = add_block(&s, threads, err);
    }
    if (code == MED_OK) code = med_parallel_for(threads, set->row_count, 256, mix_rows, &s, err);
    med_free(s.centroids);
    med_free(s.df);
    med_free(s.bags);
    med_free(s.passages);
    return code;
}

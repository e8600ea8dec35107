/* Shared by the files of the corpus encoder: what training works on, and the bytes of an encoder.
 *
 * Training runs prepare (corpus_prepare.c) -> svd (corpus_svd.c) -> contrast (corpus_train.c) ->
 * smooth (corpus_smooth.c) -> image (corpus_encoder.c). */
#pragma once

#include "embed/corpus_encoder.h"
#include "embed/corpus_kernels.h"

/* Fixed by measurement; README.md has the table. */
#define CORPUS_PASSAGE_TOKENS_MAX 320 /* longer documents are learnt from in pieces */
#define CORPUS_SENTENCE_TOKENS_MAX 80 /* longer "sentences" are cut: text without punctuation */
#define CORPUS_SENTENCE_TOKENS_CUT 25
#define CORPUS_SENTENCE_TOKENS_MIN 4
#define CORPUS_DIM_MAX 1024

/* A piece of the text without its title. */
struct corpus_unit { /* a sentence, a piece of a long one, or some short ones */
    uint64_t token_begin;
    uint32_t token_count;
};

struct corpus_passage { /* consecutive units of one document */
    uint64_t unit_begin;
    uint32_t unit_count;
    uint32_t token_count;
    uint64_t token_begin;
    uint64_t title_begin;
    uint32_t title_count; /* 0 = no title */
};

struct corpus_set {
    const struct med_train_corpus *corpus;
    struct corpus_unit *units;
    size_t unit_count, units_cap;
    struct corpus_passage *passages;
    size_t passage_count, passages_cap;
    uint32_t *row_of;  /* per vocabulary id: row or MED_NO_TERM */
    uint32_t *term_of; /* per row: vocabulary id, ascending */
    float *idf;        /* per row, above 0 */
    uint32_t row_count;
};

enum med_code corpus_prepare(const struct med_train_corpus *corpus, uint64_t seed,
    struct med_train_bounds bounds, struct corpus_set *ret_set, struct med_err *err) MED_CHECK;
void corpus_set_free(struct corpus_set *set);

/* One text as rows and weights (tf weight * idf); room for what it is asked to hold. */
#define CORPUS_BAG_TEXT_MAX (2 * CORPUS_PASSAGE_TOKENS_MAX)
struct corpus_bag {
    uint32_t count;
    uint32_t rows[CORPUS_BAG_TEXT_MAX];
    float weights[CORPUS_BAG_TEXT_MAX];
    uint16_t slots[2048]; /* private: open addressing over rows, index + 1 */
};
void corpus_bag_clear(struct corpus_bag *bag);
/* Tokens beyond the room are ignored; unknown ones too. */
void corpus_bag_add(struct corpus_bag *bag, const struct corpus_set *set, uint64_t token_begin,
    uint32_t token_count);
/* From counts to weights; call once, at the end. */
void corpus_bag_weigh(struct corpus_bag *bag, const struct corpus_set *set);

/* ret_vectors[row_count][dim], RMS row norm 1, owned by the caller (med_free). dim is at most the
 * number of passages rounded up to MED_CORPUS_LANES; columns beyond the rank are zero. */
enum med_code corpus_svd(const struct corpus_set *set, uint32_t dim, uint64_t seed,
    unsigned threads, const struct med_progress *progress, float **ret_vectors,
    struct med_err *err) MED_CHECK;

/* Improves vectors in place. */
enum med_code corpus_contrast(const struct corpus_set *set, uint32_t dim, uint64_t seed,
    unsigned threads, const struct med_progress *progress, float *vectors,
    struct med_err *err) MED_CHECK;

/* Moves the vectors of rare terms towards the passages that contain them, in place. */
enum med_code corpus_smooth(const struct corpus_set *set, uint32_t dim, unsigned threads,
    float *vectors, struct med_err *err) MED_CHECK;

/* The finished file in memory: rows of idf * vector as half floats. Owned by the caller (med_free).
 */
enum med_code corpus_image(const struct corpus_set *set, uint32_t dim, const float *vectors,
    uint64_t seed, uint8_t **ret_image, size_t *ret_len, struct med_err *err) MED_CHECK;

/* An encoder over an image it then owns: *image becomes NULL on success. */
enum med_code corpus_adopt(uint8_t **image, size_t len, struct med_corpus_encoder **ret_encoder,
    struct med_err *err) MED_CHECK;

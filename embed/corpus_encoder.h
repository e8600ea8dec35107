/* The corpus encoder: term vectors learned from the operator's own documents, nothing downloaded.
 *
 * A text's vector is the normalised sum over its terms of weight(tf) * idf(t) * V_t. V starts from
 * a randomized truncated SVD of the tf-idf matrix (Halko, Martinsson and Tropp 2011) and is then
 * trained contrastively (in-batch InfoNCE, van den Oord et al. 2018) on title -> body and sentence
 * -> rest of document. README.md has the recipe. */
#pragma once

#include "common/fs.h"
#include "common/limits.h"
#include "common/progress.h"
#include "embed/vocab.h"

/* What it learns from: documents as sentences of term ids (ids of `vocab`; order kept, repetitions
 * kept). Sentence 0 of a document is its title and may be empty. Everything is borrowed for the
 * call. */
struct med_train_corpus {
    const struct med_vocab *vocab;
    const uint32_t *df; /* per vocabulary id: passages of the WHOLE corpus that contain the term */
    uint64_t passage_count;          /* passages of the whole corpus, for idf */
    const uint32_t *tokens;          /* of the sampled documents, concatenated */
    const uint64_t *sentence_starts; /* sentence_count + 1 offsets into tokens */
    uint64_t sentence_count;
    const uint64_t *doc_starts; /* doc_count + 1 offsets into sentences */
    uint32_t doc_count;         /* at most MED_TRAIN_PASSAGES_MAX */
};

/* How much is learnt from, and how many terms get a vector. */
struct med_train_bounds {
    uint32_t passages, terms;
};
/* What of a corpus fits into `bytes` of memory: at most MED_TRAIN_PASSAGES_MAX and
 * MED_ENCODER_VOCAB_MAX, and all of a smaller corpus when there is room. The rarest terms go first,
 * then passages. False: not even MED_TRAIN_PASSAGES_MIN and MED_ENCODER_VOCAB_MIN fit. */
struct med_train_size {
    uint32_t vocab, passages; /* of the whole corpus */
    double passage_tokens;    /* on average, with the title */
};
bool med_train_fit(uint64_t bytes, uint32_t dim, unsigned threads,
    const struct med_train_size *size, struct med_train_bounds *ret_bounds);

struct med_train_options {
    uint32_t dim;  /* 0 = MED_DIM_DEFAULT; lowered when the corpus has fewer documents or terms */
    uint64_t seed; /* same seed, threads and CPU level: same bytes */
    unsigned threads;                    /* 0 = med_cpu_count() */
    struct med_train_bounds bounds;      /* 0 = the greatest */
    const struct med_progress *progress; /* stages "svd" and "train" */
};

struct med_corpus_encoder;

/* Deterministic: the same corpus and seed on processors of the same kind give the same bytes with
 * any number of threads (OpenBLAS picks its kernels by processor). The process must not fork
 * afterwards. Memory is bounded by MED_TRAIN_PASSAGES_MAX and MED_ENCODER_VOCAB_MAX, time by a
 * budget of pairs. MED_E_CANCELLED when progress says stop. A corpus too small to learn from (fewer
 * than 2 passages or terms) gives MED_E_UNSUPPORTED: the caller then builds a lexical-only
 * generation. */
enum med_code med_corpus_train(const struct med_train_corpus *corpus,
    const struct med_train_options *options, struct med_corpus_encoder **ret_encoder,
    struct med_err *err) MED_CHECK;

/* One file; see README.md for its bytes. Each of size and hash may be NULL. */
enum med_code med_corpus_save(const struct med_corpus_encoder *encoder, const struct med_fs *fs,
    const char *path, uint64_t *ret_size, struct med_hash128 *ret_hash,
    struct med_err *err) MED_CHECK;

/* Borrows the bytes: a map that outlives the encoder, aligned to 64 bytes as maps are. The caller
 * verified the checksum; every field is still checked, and bytes that pass are safe to use whatever
 * they hold: MED_E_CORRUPT, or MED_E_UNSUPPORTED for a format from the future. */
enum med_code med_corpus_open(const void *bytes, size_t len,
    struct med_corpus_encoder **ret_encoder, struct med_err *err) MED_CHECK;
void med_corpus_free(struct med_corpus_encoder **encoder);

uint32_t med_corpus_dim(const struct med_corpus_encoder *encoder); /* a multiple of 16 */
uint32_t med_corpus_term_count(const struct med_corpus_encoder *encoder);
uint64_t med_corpus_trained_passages(const struct med_corpus_encoder *encoder);

/* Row of a term, or MED_NO_TERM. Any thread. Callers count the latter: the rate of unknown terms is
 * the drift that `info` shows. */
uint32_t med_corpus_find(const struct med_corpus_encoder *encoder, struct med_str term);

/* A text as a bag: rows (each once; a row beyond the encoder's, such as MED_NO_TERM, is skipped)
 * and how often each occurs (may be fractional: field weights). The order of rows decides how sums
 * are rounded: keep it the same for the same text. */
struct med_bag {
    const uint32_t *rows;
    const float *counts;
    size_t count;
};

/* ret_vector[dim], L2-normalised; all zeros and *ret_known false when no term is known (callers
 * then answer lexically). Thread-safe, no allocation, the same bits on every processor. ret_known
 * may be NULL. */
void med_corpus_encode(const struct med_corpus_encoder *encoder, const struct med_bag *bag,
    float *ret_vector, bool *ret_known);

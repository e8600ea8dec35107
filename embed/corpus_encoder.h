/* The corpus encoder: term vectors learned from the operator's own documents, nothing downloaded.
 *
 * A text's vector is the normalised sum over its terms of weight(tf) * idf(t) * V_t. V starts from a randomized truncated
 * SVD of the tf-idf matrix (Halko, Martinsson and Tropp 2011) and is then trained contrastively (in-batch InfoNCE,
 * van den Oord et al. 2018) on title -> body and sentence -> rest of document. README.md has the recipe. */
#pragma once

#include "common/fs.h"
#include "common/limits.h"
#include "common/progress.h"
#include "embed/vocab.h"

/* What it learns from: documents as sentences of term ids (ids of `vocab`; order kept, repetitions kept).
 * Sentence 0 of a document is its title and may be empty. Everything is borrowed for the call. */
struct med_train_corpus {
    const struct med_vocab *vocab;
    const uint32_t *df;              /* per vocabulary id: passages of the WHOLE corpus that contain the term */
    uint64_t passage_count;          /* passages of the whole corpus, for idf */
    const uint32_t *tokens;          /* of the sampled documents, concatenated */
    const uint64_t *sentence_starts; /* sentence_count + 1 offsets into tokens */
    uint64_t sentence_count;
    const uint64_t *doc_starts;      /* doc_count + 1 offsets into sentences */
    uint32_t doc_count;              /* at most MED_TRAIN_PASSAGES_MAX */
};

struct med_train_options {
    uint32_t dim;      /* 0 = MED_DIM_DEFAULT; lowered when the corpus has fewer documents or terms */
    uint64_t seed;     /* same seed, threads and CPU level: same bytes */
    unsigned threads;  /* 0 = med_cpu_count() */
    const struct med_progress *progress; /* stages "svd" and "train" */
};

struct med_corpus_encoder;

/* A corpus too small to learn from (fewer than 2 usable documents or terms) gives MED_E_UNSUPPORTED: the caller then builds a
 * lexical-only generation. */
enum med_code med_corpus_train(const struct med_train_corpus *corpus, const struct med_train_options *options, struct med_corpus_encoder **ret_encoder, struct med_err *err) MED_CHECK;
/* One file; see README.md for its bytes. */
enum med_code med_corpus_save(const struct med_corpus_encoder *encoder, const struct med_fs *fs, const char *path, uint64_t *ret_size, struct med_hash128 *ret_hash, struct med_err *err) MED_CHECK;
/* Borrows the bytes (a map that outlives the encoder). The caller verified the checksum; every field is still checked. */
enum med_code med_corpus_open(const void *bytes, size_t len, struct med_corpus_encoder **ret_encoder, struct med_err *err) MED_CHECK;
void med_corpus_free(struct med_corpus_encoder **encoder);

uint32_t med_corpus_dim(const struct med_corpus_encoder *encoder);
uint32_t med_corpus_term_count(const struct med_corpus_encoder *encoder);
/* Row of a term, or MED_NO_TERM. Any thread. */
uint32_t med_corpus_find(const struct med_corpus_encoder *encoder, struct med_str term);

/* A text as a bag: rows (each once, any order) and how often each occurs (may be fractional: field weights). */
struct med_bag {
    const uint32_t *rows;
    const float *counts;
    size_t count;
};
/* ret_vector[dim], L2-normalised; all zeros and *ret_known false when no term is known (callers then answer lexically).
 * Thread-safe, no allocation. */
void med_corpus_encode(const struct med_corpus_encoder *encoder, const struct med_bag *bag, float *ret_vector, bool *ret_known);

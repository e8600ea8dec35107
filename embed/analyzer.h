/* Analysis: text -> terms. One analysis serves the lexical index and the corpus encoder, and its
 * version is part of every generation and encoder.
 *
 * Unicode compatibility fold and case fold, words by letters and digits, Snowball English stems.
 * Medical tokens survive: "IL-6", "COVID-19", "HbA1c", "β-blocker", "p53". A compound gives its
 * parts and, where it looks like a name (it has a digit, a Greek letter or a short capital part),
 * its joined form ("il6") as an extra term at the position of its first part, so that "IL-6", "IL6"
 * and "IL 6" find each other. No stop words: rare is decided by statistics. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "common/str.h"

#include <stdbool.h>
#include <stdint.h>

#define MED_ANALYZER_VERSION 1

/* Holds a stemmer, a stem cache and scratch memory: one per thread. */
struct med_analyzer;
enum med_code med_analyzer_new(struct med_analyzer **ret_analyzer, struct med_err *err) MED_CHECK;
void med_analyzer_free(struct med_analyzer **analyzer);

struct med_token {
    struct med_str term; /* stemmed and folded, 1..MED_TERM_BYTES_MAX bytes; lives until the next
                            call with this analyzer */
    uint32_t start, end; /* bytes of the source text */
    uint32_t position;   /* 0, 1, ... in words; extra terms share a position */
    bool extra;          /* a joined form: it has a tf, but adds nothing to the length */
    uint64_t alike;      /* 0, or equal only in tokens of one term, over all calls with this
                            analyzer: what med_vocab_intern_token knows terms by */
};

/* *ret_tokens is owned by the analyzer and valid until its next call. Texts of up to 4 GiB - 1. */
enum med_code med_analyze(struct med_analyzer *analyzer, struct med_str text,
    const struct med_token **ret_tokens, size_t *ret_count, struct med_err *err) MED_CHECK;

/* The same where only some terms matter, which is several times faster: others may be left out. All
 * tokens of watched terms are there, in order, with the spans and positions that med_analyze gives;
 * so may be others. */
struct med_watch {
    uint64_t starts[64]; /* bit per pair of first bytes that a word of a watched term can have */
};
void med_watch_add(struct med_watch *watch, struct med_str term); /* starts zeroed */
enum med_code med_analyze_watched(struct med_analyzer *analyzer, struct med_str text,
    const struct med_watch *watch, const struct med_token **ret_tokens, size_t *ret_count,
    struct med_err *err) MED_CHECK;

/* True for words that carry the grammar of a question rather than its subject ("what is the role of
 * ..."). They are indexed like all others; a free-text query gives them the weight below, because
 * in scientific prose question words are rare and their idf says the opposite of what a reader
 * means. "WHO", "IT" in capitals and the "A" of "hepatitis A" are not function words. `text` is
 * what the token was made from. */
#define MED_FUNCTION_WORD_WEIGHT 0.1f
bool med_is_function_word(struct med_str text, const struct med_token *token);

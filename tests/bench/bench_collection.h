/* Collections of passages for benchmarks, as JSON Lines of {"_id", "title", "text"}: what
 * bench_collection reads, makes and compares. A failure ends the program with a sentence. */
#pragma once

#include "common/err.h"
#include "common/str.h"

#include <stddef.h>
#include <stdint.h>

enum bench_kind { BENCH_CITATION, BENCH_ABSTRACT, BENCH_ARTICLE, BENCH_KIND_COUNT };
extern const char *const bench_kind_names[BENCH_KIND_COUNT];

struct bench_record {
    struct med_str id, title, text;
    struct med_str document; /* the id without "~<number>": passages of one article share it */
    enum bench_kind kind; /* no title: a citation; `pmcid:` or `article:` in the id: an article */
};

/* Ends the program unless code is MED_OK. */
void bench_must(enum med_code code, const struct med_err *err);
void *bench_calloc(size_t count, size_t size); /* ends the program when memory does */

/* Every record of a file, in order; the strings live until fn returns. */
void bench_each_record(
    const char *path, void (*fn)(void *ctx, const struct bench_record *record), void *ctx);

/* Each writes to standard output. */
void bench_passages(const char *data_folder);
void bench_generate(const char *source, uint64_t seed, uint64_t passages);
void bench_compare(
    const char *const collections[2], const char *const *questions, size_t question_files);

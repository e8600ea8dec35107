/* Encoding with the corpus encoder, from analysed term ids to normalised vectors, on one thread:
 *
 *   [MEDICUS_CPU=portable|avx2|avx512] bench_encode [--rounds N] CORPUS.ENC PASSAGES.jsonl...
 *
 * CORPUS.ENC is the encoder of a built data folder (encoders/<id>/corpus.enc). Reading and analysis
 * are not timed; counting a passage's terms, weighing and adding their rows and normalising are.
 * Prints the CPU level, the median round's passages/s, and a checksum that is the same on every
 * level. */
#include "common/clock.h"
#include "common/cpu.h"
#include "common/fs.h"
#include "common/hash.h"
#include "common/limits.h"
#include "common/mem.h"
#include "embed/analyzer.h"
#include "embed/corpus_encoder.h"
#include "tests/bench/lines.h"

#include <stdio.h>
#include <stdlib.h>

#define ROUNDS_MAX 64

struct bench {
    struct med_analyzer *analyzer;
    struct med_corpus_encoder *encoder;
    uint32_t *rows; /* of all passages, a term that the encoder does not know is MED_NO_TERM */
    size_t row_count, row_cap;
    size_t *starts; /* passages + 1 */
    size_t passages, start_cap;
};

static void must(enum med_code code, const struct med_err *err)
{
    if (code == MED_OK) return;
    fprintf(stderr, "bench_encode: %s\n", err->text);
    exit(1);
}

static void must_have(bool memory)
{
    struct med_err err = {0};
    if (!memory) must(med_fail(&err, MED_E_NOMEM, "out of memory"), &err);
}

static void add_text(struct bench *b, struct med_str text)
{
    struct med_err err = {0};
    const struct med_token *tokens;
    size_t count;
    must(med_analyze(b->analyzer, text, &tokens, &count, &err), &err);
    must_have(med_grow(&b->rows, &b->row_cap, b->row_count + count, sizeof *b->rows));
    for (size_t i = 0; i < count; i++)
        b->rows[b->row_count++] = med_corpus_find(b->encoder, tokens[i].term);
}

static void add_passage(void *ctx, const struct med_json *line)
{
    struct bench *b = ctx;
    must_have(med_grow(&b->starts, &b->start_cap, b->passages + 2, sizeof *b->starts));
    b->starts[b->passages++] = b->row_count;
    add_text(b, med_json_get_str(line, "title"));
    add_text(b, med_json_get_str(line, "text"));
    b->starts[b->passages] = b->row_count;
}

/* As a build does: count, then encode. Returns the nanoseconds of a round over all passages. */
static uint64_t encode_all(
    const struct bench *b, float *counts, uint32_t *rows, float *values, uint64_t *ret_checksum)
{
    float vector[MED_DIM_MAX];
    uint32_t dim = med_corpus_dim(b->encoder);
    uint64_t checksum = 0, start = med_now_ns();
    for (size_t p = 0; p < b->passages; p++) {
        struct med_bag bag = {.rows = rows, .counts = values};
        for (size_t i = b->starts[p]; i < b->starts[p + 1]; i++) {
            uint32_t row = b->rows[i];
            if (row == MED_NO_TERM) continue;
            if (counts[row] == 0) rows[bag.count++] = row;
            counts[row] += 1;
        }
        for (size_t i = 0; i < bag.count; i++) {
            values[i] = counts[rows[i]];
            counts[rows[i]] = 0;
        }
        med_corpus_encode(b->encoder, &bag, vector, NULL);
        checksum = checksum * 31 + med_hash64(vector, dim * sizeof *vector) % 1000003;
    }
    *ret_checksum = checksum;
    return med_now_ns() - start;
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    struct med_err err = {0};
    struct bench b = {0};
    struct med_map map;
    uint64_t ns[ROUNDS_MAX], checksum = 0;
    int at = 1, rounds = 5;
    if (argc > 2 && strcmp(argv[1], "--rounds") == 0) {
        rounds = (int)strtol(argv[2], NULL, 10);
        at = 3;
    }
    if (argc - at < 2 || rounds < 1 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: bench_encode [--rounds N] CORPUS.ENC PASSAGES.jsonl...\n");
        return 2;
    }
    must(med_map_open(argv[at], &map, &err), &err);
    must(med_corpus_open(map.ptr, map.len, &b.encoder, &err), &err);
    must(med_analyzer_new(&b.analyzer, &err), &err);
    for (int i = at + 1; i < argc; i++) must(bench_each_line(argv[i], add_passage, &b, &err), &err);
    uint32_t terms = med_corpus_term_count(b.encoder);
    float *counts = med_calloc(terms, sizeof *counts), *values = med_calloc(terms, sizeof *values);
    uint32_t *rows = med_calloc(terms, sizeof *rows);
    must_have(counts && values && rows);
    for (int r = 0; r < rounds; r++) ns[r] = encode_all(&b, counts, rows, values, &checksum);
    qsort(ns, (size_t)rounds, sizeof *ns, compare_u64);
    double seconds = (double)ns[rounds / 2] * 1e-9;
    printf("%-9s %9.0f passages/s   %zu passages of %.1f terms, %u dimensions, %u rows, checksum "
           "%016llx\n",
        med_cpu_name(med_cpu_level()), (double)b.passages / seconds, b.passages,
        (double)b.row_count / (double)b.passages, med_corpus_dim(b.encoder), terms,
        (unsigned long long)checksum);
    med_free(counts);
    med_free(values);
    med_free(rows);
    med_free(b.rows);
    med_free(b.starts);
    med_analyzer_free(&b.analyzer);
    med_corpus_free(&b.encoder);
    med_map_close(&map);
    return 0;
}

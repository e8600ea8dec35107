/* Builds a lexical index from JSON Lines files (title, text) and runs questions on it:
 *
 *   bench_lexical [--k 10] [--queries N] [--weigh-function-words] QUESTIONS.jsonl CORPUS.jsonl...
 *
 * Prints indexing speed, index size against text size, and per query the mean, median and 99th
 * percentile of the pruned and of the exhaustive search in the same run. Results of both are
 * compared; a difference is a failure. */
#include "common/clock.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/limits.h"
#include "common/mem.h"
#include "embed/analyzer.h"
#include "index/lexical/lexical.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FIELD_TERMS_MAX ((size_t)1 << 20)
#define ROUNDS 5

struct bench {
    struct med_analyzer *analyzer;
    struct med_vocab *vocab;
    struct med_lex_writer *writer;
    struct med_lex *lex;
    struct med_lex_scratch *scratch;
    uint32_t *title_terms, *body_terms;
    uint64_t text_bytes, docs;
    size_t k, queries_max;
    bool weigh_function_words;
};

static void must(enum med_code code, const struct med_err *err)
{
    if (code == MED_OK) return;
    fprintf(stderr, "bench_lexical: %s\n", err->text);
    exit(1);
}

static struct med_lex_field analyze(struct bench *b, struct med_str text, uint32_t *terms)
{
    struct med_err err = {0};
    const struct med_token *tokens;
    size_t count;
    must(med_analyze(b->analyzer, text, &tokens, &count, &err), &err);
    struct med_lex_field field = {.terms = terms};
    for (size_t i = 0; i < count && field.term_count < FIELD_TERMS_MAX; i++) {
        must(med_vocab_intern(b->vocab, tokens[i].term, &terms[field.term_count++], &err), &err);
        if (!tokens[i].extra) field.length++;
    }
    b->text_bytes += text.len;
    return field;
}

/* Calls fn with every line's JSON object. */
static void each_line(
    const char *path, bool (*fn)(struct bench *b, const struct med_json *line), struct bench *b)
{
    struct med_err err = {0};
    struct med_map map;
    must(med_map_open(path, &map, &err), &err);
    const char *text = (const char *)map.ptr;
    bool more = true;
    for (size_t pos = 0; pos < map.len && more;) {
        const char *end = memchr(text + pos, '\n', map.len - pos);
        size_t len = (end ? (size_t)(end - text) : map.len) - pos;
        struct med_json *line = NULL;
        if (len) {
            must(med_json_parse(text + pos, len, &line, &err), &err);
            more = fn(b, line);
            med_json_free(&line);
        }
        pos += len + 1;
    }
    med_map_close(&map);
}

static uint64_t index_ns;

static bool add_document(struct bench *b, const struct med_json *line)
{
    struct med_err err = {0};
    uint64_t start = med_now_ns();
    struct med_lex_field none = {0};
    struct med_lex_field title = analyze(b, med_json_get_str(line, "title"), b->title_terms);
    struct med_lex_field body = analyze(b, med_json_get_str(line, "text"), b->body_terms);
    must(med_lex_writer_doc(b->writer, title, none, &err), &err);
    must(med_lex_writer_chunk(b->writer, body, &err), &err);
    b->docs++;
    index_ns += med_now_ns() - start;
    return true;
}

static uint64_t *search_ns, *exhaustive_ns;
static size_t query_count;
static uint64_t term_total;

static struct med_lex_query query_of(
    struct bench *b, struct med_str text, struct med_lex_term *terms)
{
    struct med_err err = {0};
    const struct med_token *tokens;
    size_t count;
    must(med_analyze(b->analyzer, text, &tokens, &count, &err), &err);
    double n = med_lex_chunk_count(b->lex);
    struct med_lex_query q = {.terms = terms,
        .k1 = MED_BM25_K1_DEFAULT,
        .b = MED_BM25_B_DEFAULT,
        .avg_len = (float)((double)med_lex_length_sum(b->lex) / n)};
    for (size_t i = 0; i < count && q.term_count < MED_QUERY_TERMS_MAX; i++) {
        uint32_t ordinal, df;
        if (!med_lex_find(b->lex, tokens[i].term, &ordinal, &df)) continue;
        size_t j = 0;
        while (j < q.term_count && terms[j].ordinal != ordinal) j++;
        if (j < q.term_count) continue;
        float weight = (float)log(1 + (n - df + .5) / (df + .5));
        if (b->weigh_function_words && med_is_function_word(text, &tokens[i]))
            weight *= MED_FUNCTION_WORD_WEIGHT;
        terms[q.term_count++] = (struct med_lex_term){.ordinal = ordinal, .weight = weight};
    }
    return q;
}

static bool run_query(struct bench *b, const struct med_json *line)
{
    struct med_err err = {0};
    struct med_lex_term terms[MED_QUERY_TERMS_MAX];
    struct med_lex_query q = query_of(b, med_json_get_str(line, "text"), terms);
    struct med_filter all = {0};
    struct med_hit *hits = med_calloc(2 * b->k, sizeof(*hits));
    if (!hits) exit(1);
    size_t count = 0, oracle_count = 0;
    uint64_t best = UINT64_MAX;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t start = med_now_ns();
        must(med_lex_search(b->lex, b->scratch, &q, all, NULL, b->k, hits, &count, &err), &err);
        uint64_t took = med_now_ns() - start;
        if (took < best) best = took;
    }
    uint64_t start = med_now_ns();
    must(med_lex_search_exhaustive(b->lex, &q, all, NULL, b->k, hits + b->k, &oracle_count, &err),
        &err);
    exhaustive_ns[query_count] = med_now_ns() - start;
    search_ns[query_count++] = best;
    term_total += q.term_count;
    if (count != oracle_count || memcmp(hits, hits + b->k, count * sizeof(*hits)) != 0) {
        fprintf(stderr, "bench_lexical: query %zu differs from exhaustive search\n", query_count);
        exit(1);
    }
    med_free(hits);
    return query_count < b->queries_max;
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static double report(const char *what, uint64_t *ns, size_t count)
{
    double sum = 0;
    qsort(ns, count, sizeof(*ns), compare_u64);
    for (size_t i = 0; i < count; i++) sum += (double)ns[i];
    double mean = sum / (double)count / 1e6;
    printf("%-11s mean %8.3f ms   p50 %8.3f   p99 %8.3f\n", what, mean, (double)ns[count / 2] / 1e6,
        (double)ns[count * 99 / 100] / 1e6);
    return mean;
}

static void build(struct bench *b, char **corpora, int corpus_count)
{
    struct med_err err = {0};
    char dir[] = "/tmp/bench-lexical-XXXXXX";
    if (!mkdtemp(dir)) exit(1);
    must(med_lex_writer_new(b->vocab, MED_LEX_WEIGHTS_DEFAULT, &b->writer, &err), &err);
    for (int i = 0; i < corpus_count; i++) each_line(corpora[i], add_document, b);
    uint64_t held = med_lex_writer_bytes(b->writer);
    struct med_file_ref files[MED_LEX_FILE_COUNT];
    uint64_t start = med_now_ns();
    must(med_lex_writer_finish(b->writer, med_fs_posix(), dir, "", files, &err), &err);
    uint64_t finish_ns = med_now_ns() - start;
    med_lex_writer_free(&b->writer);
    double seconds = (double)(index_ns + finish_ns) / 1e9, mb = (double)b->text_bytes / 1e6;
    uint64_t total = 0;
    struct med_map maps[MED_LEX_FILE_COUNT];
    for (int i = 0; i < MED_LEX_FILE_COUNT; i++) {
        char path[MED_PATH_MAX];
        must(med_path_join(path, dir, files[i].name, &err), &err);
        must(med_map_open(path, &maps[i], &err), &err); /* stays mapped until the process ends */
        total += files[i].size;
        printf("%-11s %10.2f MB\n", files[i].name, (double)files[i].size / 1e6);
    }
    printf("passages    %10llu of %.1f MB text, %u terms\n", (unsigned long long)b->docs, mb,
        med_vocab_count(b->vocab));
    printf("indexing    %10.0f passages/s, %.1f MB/s (of it %.2f s writing), memory %.1f MB\n",
        (double)b->docs / seconds, mb / seconds, (double)finish_ns / 1e9, (double)held / 1e6);
    printf("index/text  %10.3f\n", (double)total / 1e6 / mb);
    must(med_lex_open(maps[0], maps[1], maps[2], &b->lex, &err), &err);
    start = med_now_ns();
    must(med_lex_check(b->lex, &err), &err);
    printf("check       %10.2f s\n", (double)(med_now_ns() - start) / 1e9);
    must(med_fs_remove_tree(med_fs_posix(), dir, &err), &err);
}

int main(int argc, char **argv)
{
    struct med_err err = {0};
    struct bench b = {.k = 10, .queries_max = 500};
    int at = 1;
    for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
        if (strcmp(argv[at], "--weigh-function-words") == 0)
            b.weigh_function_words = true;
        else if (strcmp(argv[at], "--k") == 0 && at + 1 < argc)
            b.k = strtoul(argv[++at], NULL, 10);
        else if (strcmp(argv[at], "--queries") == 0 && at + 1 < argc)
            b.queries_max = strtoul(argv[++at], NULL, 10);
    }
    if (argc - at < 2 || b.k == 0) {
        fprintf(stderr, "usage: bench_lexical [--k N] [--queries N] [--weigh-function-words] "
                        "QUESTIONS.jsonl CORPUS.jsonl...\n");
        return 2;
    }
    must(med_analyzer_new(&b.analyzer, &err), &err);
    must(med_vocab_new(&b.vocab, &err), &err);
    must(med_lex_scratch_new(&b.scratch, &err), &err);
    b.title_terms = med_calloc(FIELD_TERMS_MAX, 4);
    b.body_terms = med_calloc(FIELD_TERMS_MAX, 4);
    search_ns = med_calloc(b.queries_max + 1, 8);
    exhaustive_ns = med_calloc(b.queries_max + 1, 8);
    if (!b.title_terms || !b.body_terms || !search_ns || !exhaustive_ns) return 1;
    build(&b, argv + at + 1, argc - at - 1);
    each_line(argv[at], run_query, &b);
    if (!query_count) return 1;
    printf("queries     %10zu, %.1f terms on average, k = %zu\n", query_count,
        (double)term_total / (double)query_count, b.k);
    double pruned = report("pruned", search_ns, query_count);
    double exhaustive = report("exhaustive", exhaustive_ns, query_count);
    printf("ratio       %10.1f times faster than exhaustive\n", exhaustive / pruned);
    med_lex_free(&b.lex);
    med_lex_scratch_free(&b.scratch);
    med_vocab_free(&b.vocab);
    med_analyzer_free(&b.analyzer);
    med_free(b.title_terms);
    med_free(b.body_terms);
    med_free(search_ns);
    med_free(exhaustive_ns);
    return 0;
}

/* Speed of lexical search in one process and one thread:
 *
 *   bench_lexical [OPTIONS] (--segment DIR | --corpus FILE.jsonl...) QUESTIONS.jsonl...
 *
 * With --segment the index of a built data folder (DATA/segments/NAME), otherwise one is built from
 * JSON Lines (title, text, and optionally doc: the number of the document, ascending), and indexing
 * speed and index size against text size are printed too; --save DIR keeps it as a segment.
 *
 *   --k N                   results per query (10)
 *   --group                 the best passage of each document
 *   --filter SHARE          only a share of the passages (.01), drawn at random;
 *   --filter SHARE,RUN      or in runs of that many neighbours
 *   --queries N             at most N, evenly from all files (500)
 *   --function-words-full   without the lower weight that the product gives them
 *   --rounds N              of all questions; the best of N counts for each (5)
 *   --no-oracle             without exhaustive search, for profiles
 *
 * Prints per query the mean, median and 99th percentile of the pruned search, of scoring 2 * k
 * given passages, and of exhaustive search, in the same run. Results of all three are compared; a
 * difference is a failure. */
#include "common/arena.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/limits.h"
#include "common/mem.h"
#include "common/rng.h"
#include "embed/analyzer.h"
#include "index/lexical/lexical.h"
#include "index/segment.h"
#include "tests/bench/lines.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FIELD_TERMS_MAX ((size_t)1 << 20)
#define QUERIES_MAX 100000
#define FILTER_SEED 20090517u

struct options {
    const char *segment, *save, *corpora[16];
    size_t corpus_count;
    size_t k, queries_max, rounds;
    bool group, function_words_full, no_oracle;
    double share; /* of passages that the filter lets through; 1 = no filter */
    uint32_t run; /* neighbours that stay together in the filter */
};

struct bench {
    struct options o;
    struct med_analyzer *analyzer;
    struct med_vocab *vocab;
    struct med_lex_writer *writer;
    struct med_lex *lex;
    struct med_lex_scratch *scratch;
    uint32_t *title_terms, *body_terms;
    uint64_t text_bytes, docs;
    uint32_t *chunk_doc; /* NULL = each is one */
    size_t chunk_doc_cap;
    struct med_filter filter;
    struct med_arena *texts;
    struct med_str *questions;
    size_t question_count, question_cap;
    uint64_t *search_ns, *score_ns, *exhaustive_ns; /* per query */
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
    field.term_count = count < FIELD_TERMS_MAX ? count : FIELD_TERMS_MAX;
    must(med_vocab_intern_tokens(b->vocab, tokens, field.term_count, terms, &err), &err);
    for (size_t i = 0; i < field.term_count; i++) field.length += !tokens[i].extra;
    b->text_bytes += text.len;
    return field;
}

/* --- the index --- */

static uint64_t index_ns;

static void add_document(void *ctx, const struct med_json *line)
{
    struct bench *b = ctx;
    struct med_err err = {0};
    uint64_t start = med_now_ns();
    struct med_lex_field none = {0};
    struct med_lex_field title = analyze(b, med_json_get_str(line, "title"), b->title_terms);
    struct med_lex_field body = analyze(b, med_json_get_str(line, "text"), b->body_terms);
    must(med_lex_writer_doc(b->writer, title, none, &err), &err);
    must(med_lex_writer_chunk(b->writer, body, &err), &err);
    index_ns += med_now_ns() - start;
    const struct med_json *doc = med_json_get(line, "doc");
    if (!med_grow(&b->chunk_doc, &b->chunk_doc_cap, b->docs + 1, sizeof *b->chunk_doc)) abort();
    b->chunk_doc[b->docs] = doc ? (uint32_t)med_json_number(doc) : (uint32_t)b->docs;
    b->docs++;
}

/* What bench_lexical --segment reads of a segment's table of passages: the header and their
 * documents. */
static void save_documents(const struct bench *b, const char *dir)
{
    struct med_err err = {0};
    char path[MED_PATH_MAX];
    struct med_tables_header h = {.magic = MED_CHUNKS_MAGIC, .count = (uint32_t)b->docs};
    struct med_file *file;
    must(med_path_join(path, dir, "chunks", &err), &err);
    must(med_file_create(med_fs_posix(), path, &file, &err), &err);
    must(med_file_append(file, &h, sizeof h, &err), &err);
    must(med_file_append(file, b->chunk_doc, b->docs * sizeof *b->chunk_doc, &err), &err);
    must(med_file_finish(&file, NULL, NULL, &err), &err);
}

/* The maps stay until the process ends. */
static struct med_map map_in(const char *dir, const char *name)
{
    struct med_err err = {0};
    struct med_map map;
    char path[MED_PATH_MAX];
    must(med_path_join(path, dir, name, &err), &err);
    must(med_map_open(path, &map, &err), &err);
    return map;
}

static void open_index(struct bench *b, const char *dir)
{
    struct med_err err = {0};
    must(med_lex_open(map_in(dir, "lexicon"), map_in(dir, "postings"), map_in(dir, "lengths"),
             &b->lex, &err),
        &err);
    if (b->chunk_doc || !b->o.group) return;
    struct med_map map = map_in(dir, "chunks");
    struct med_tables_header h;
    size_t len = med_lex_chunk_count(b->lex) * sizeof *b->chunk_doc;
    if (map.len < sizeof h + len) exit(1);
    b->chunk_doc = med_malloc(len);
    if (!b->chunk_doc) abort();
    memcpy(b->chunk_doc, map.ptr + sizeof h, len);
}

static void build(struct bench *b)
{
    struct med_err err = {0};
    char temporary[] = "/tmp/bench-lexical-XXXXXX";
    const char *dir = b->o.save ? b->o.save : mkdtemp(temporary);
    if (!dir) exit(1);
    must(med_fs_mkdir_all(med_fs_posix(), dir, &err), &err);
    must(med_lex_writer_new(b->vocab, MED_LEX_WEIGHTS_DEFAULT, &b->writer, &err), &err);
    for (size_t i = 0; i < b->o.corpus_count; i++)
        must(bench_each_line(b->o.corpora[i], add_document, b, &err), &err);
    uint64_t held = med_lex_writer_bytes(b->writer);
    struct med_file_ref files[MED_LEX_FILE_COUNT];
    uint64_t start = med_now_ns();
    must(med_lex_writer_finish(b->writer, med_fs_posix(), dir, "", files, &err), &err);
    uint64_t finish_ns = med_now_ns() - start;
    med_lex_writer_free(&b->writer);
    double seconds = (double)(index_ns + finish_ns) / 1e9, mb = (double)b->text_bytes / 1e6;
    uint64_t total = 0;
    for (int i = 0; i < MED_LEX_FILE_COUNT; i++) {
        total += files[i].size;
        printf("%-11s %10.2f MB\n", files[i].name, (double)files[i].size / 1e6);
    }
    printf("passages    %10llu of %.1f MB text, %u terms\n", (unsigned long long)b->docs, mb,
        med_vocab_count(b->vocab));
    printf("indexing    %10.0f passages/s, %.1f MB/s (of it %.2f s writing), memory %.1f MB\n",
        (double)b->docs / seconds, mb / seconds, (double)finish_ns / 1e9, (double)held / 1e6);
    printf("index/text  %10.3f\n", (double)total / 1e6 / mb);
    open_index(b, dir);
    start = med_now_ns();
    must(med_lex_check(b->lex, &err), &err);
    printf("check       %10.2f s\n", (double)(med_now_ns() - start) / 1e9);
    if (b->o.save)
        save_documents(b, dir);
    else
        must(med_fs_remove_tree(med_fs_posix(), dir, &err), &err);
}

/* --- questions --- */

static void add_question(void *ctx, const struct med_json *line)
{
    struct bench *b = ctx;
    struct med_str text = med_json_get_str(line, "text"), copy;
    if (!text.len || b->question_count == QUERIES_MAX) return;
    if (!med_grow(&b->questions, &b->question_cap, b->question_count + 1, sizeof *b->questions) ||
        !med_arena_str(b->texts, text, &copy))
        abort();
    b->questions[b->question_count++] = copy;
}

/* Every nth question, so that all files have their share. */
static void thin_out(struct bench *b)
{
    size_t wanted = b->o.queries_max;
    if (wanted >= b->question_count) return;
    for (size_t i = 0; i < wanted; i++)
        b->questions[i] = b->questions[i * b->question_count / wanted];
    b->question_count = wanted;
}

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
        if (!b->o.function_words_full && med_is_function_word(text, &tokens[i]))
            weight *= MED_FUNCTION_WORD_WEIGHT;
        terms[q.term_count++] = (struct med_lex_term){.ordinal = ordinal, .weight = weight};
    }
    return q;
}

static void make_filter(struct bench *b)
{
    uint32_t chunks = med_lex_chunk_count(b->lex);
    uint64_t *words = med_calloc((size_t)chunks / 64 + 1, sizeof *words);
    struct med_rng rng;
    if (!words) abort();
    med_rng_seed(&rng, FILTER_SEED);
    for (uint32_t c = 0; c < chunks;) {
        bool in = med_rng_unit(&rng) < b->o.share;
        for (uint32_t i = 0; i < b->o.run && c < chunks; i++, c++) {
            if (!in) continue;
            words[c >> 6] |= 1ull << (c & 63);
            b->filter.set_count++;
        }
    }
    b->filter.words = words;
    printf("filter      %10u of %u passages\n", b->filter.set_count, chunks);
}

/* --- running --- */

static void differs(size_t question, const char *what)
{
    fprintf(stderr, "bench_lexical: query %zu: %s\n", question + 1, what);
    exit(1);
}

static int compare_chunks(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void keep_least(uint64_t *ns, uint64_t took)
{
    if (took < *ns) *ns = took;
}

/* Scores the hits and as many passages around them, as fusion does for what both halves found. */
static void score_given(struct bench *b, size_t question, const struct med_lex_query *q,
    const struct med_hit *hits, size_t hit_count)
{
    struct med_err err = {0};
    uint32_t *chunks = med_calloc(2 * hit_count + 1, sizeof *chunks);
    float *scores = med_calloc(2 * hit_count + 1, sizeof *scores);
    if (!chunks || !scores) abort();
    uint32_t all = med_lex_chunk_count(b->lex);
    size_t count = 0, kept = 0;
    for (size_t i = 0; i < hit_count; i++) {
        chunks[count++] = hits[i].chunk;
        chunks[count++] = (hits[i].chunk * 2654435761u) % all;
    }
    qsort(chunks, count, sizeof *chunks, compare_chunks);
    for (size_t i = 0; i < count; i++)
        if (!kept || chunks[kept - 1] != chunks[i]) chunks[kept++] = chunks[i];
    uint64_t start = med_now_ns();
    must(med_lex_score(b->lex, b->scratch, q, chunks, kept, scores, &err), &err);
    keep_least(&b->score_ns[question], med_now_ns() - start);
    for (size_t i = 0; i < hit_count; i++) {
        uint32_t *at = bsearch(&hits[i].chunk, chunks, kept, sizeof *chunks, compare_chunks);
        if (!at || scores[at - chunks] != hits[i].score)
            differs(question, "a passage scored alone has another score");
    }
    med_free(chunks);
    med_free(scores);
}

static void run_query(struct bench *b, size_t question, bool oracle)
{
    struct med_err err = {0};
    struct med_lex_term terms[MED_QUERY_TERMS_MAX];
    struct med_lex_query q = query_of(b, b->questions[question], terms);
    const uint32_t *groups = b->o.group ? b->chunk_doc : NULL;
    size_t k = b->o.k, count = 0, oracle_count = 0;
    struct med_hit *hits = med_calloc(2 * k, sizeof(*hits));
    if (!hits) exit(1);
    uint64_t start = med_now_ns();
    must(med_lex_search(b->lex, b->scratch, &q, b->filter, groups, k, hits, &count, &err), &err);
    keep_least(&b->search_ns[question], med_now_ns() - start);
    if (!b->o.no_oracle) score_given(b, question, &q, hits, count);
    if (oracle) {
        start = med_now_ns();
        must(med_lex_search_exhaustive(
                 b->lex, &q, b->filter, groups, k, hits + k, &oracle_count, &err),
            &err);
        b->exhaustive_ns[question] = med_now_ns() - start;
        if (count != oracle_count || memcmp(hits, hits + k, count * sizeof(*hits)) != 0)
            differs(question, "differs from exhaustive search");
    }
    med_free(hits);
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

static void run(struct bench *b)
{
    size_t n = b->question_count;
    b->search_ns = med_calloc(n + 1, 8);
    b->score_ns = med_calloc(n + 1, 8);
    b->exhaustive_ns = med_calloc(n + 1, 8);
    if (!b->search_ns || !b->score_ns || !b->exhaustive_ns) abort();
    memset(b->search_ns, 255, n * sizeof *b->search_ns);
    memset(b->score_ns, 255, n * sizeof *b->score_ns);
    /* Each round asks all questions, so that no question finds its postings in the processor's
     * caches. */
    for (size_t round = 0; round < b->o.rounds; round++)
        for (size_t i = 0; i < n; i++) run_query(b, i, round + 1 == b->o.rounds && !b->o.no_oracle);
    printf("queries     %10zu, k = %zu%s\n", n, b->o.k, b->o.group ? " documents" : "");
    double pruned = report("pruned", b->search_ns, n);
    if (!b->o.no_oracle) {
        report("given", b->score_ns, n);
        double exhaustive = report("exhaustive", b->exhaustive_ns, n);
        printf("ratio       %10.1f times faster than exhaustive\n", exhaustive / pruned);
    }
    med_free(b->search_ns);
    med_free(b->score_ns);
    med_free(b->exhaustive_ns);
}

/* Returns the index of the first argument that is not an option. */
static int read_options(struct options *o, int argc, char **argv)
{
    *o = (struct options){.k = 10, .queries_max = 500, .rounds = 5, .share = 1, .run = 1};
    int at = 1;
    for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
        const char *name = argv[at] + 2, *value = at + 1 < argc ? argv[at + 1] : "";
        at++;
        if (strcmp(name, "segment") == 0)
            o->segment = value;
        else if (strcmp(name, "save") == 0)
            o->save = value;
        else if (strcmp(name, "corpus") == 0 && o->corpus_count < 16)
            o->corpora[o->corpus_count++] = value;
        else if (strcmp(name, "k") == 0)
            o->k = strtoul(value, NULL, 10);
        else if (strcmp(name, "queries") == 0)
            o->queries_max = strtoul(value, NULL, 10);
        else if (strcmp(name, "rounds") == 0)
            o->rounds = strtoul(value, NULL, 10);
        else if (strcmp(name, "filter") == 0) {
            char *end;
            o->share = strtod(value, &end);
            if (*end == ',') o->run = (uint32_t)strtoul(end + 1, NULL, 10);
        } else {
            at--;
            if (strcmp(name, "group") == 0)
                o->group = true;
            else if (strcmp(name, "function-words-full") == 0)
                o->function_words_full = true;
            else if (strcmp(name, "no-oracle") == 0)
                o->no_oracle = true;
            else
                return argc;
        }
    }
    bool sane = o->k && o->queries_max && o->rounds && o->run && !o->segment == !!o->corpus_count;
    return sane ? at : argc;
}

int main(int argc, char **argv)
{
    struct med_err err = {0};
    struct bench b = {0};
    int at = read_options(&b.o, argc, argv);
    if (at >= argc) {
        fprintf(stderr, "usage: bench_lexical [--k N] [--group] [--filter SHARE[,RUN]] "
                        "[--queries N] [--function-words-full] [--rounds N] [--no-oracle] "
                        "[--save DIR] (--segment DIR | --corpus FILE...) QUESTIONS.jsonl...\n");
        return 2;
    }
    must(med_analyzer_new(&b.analyzer, &err), &err);
    must(med_vocab_new(&b.vocab, &err), &err);
    must(med_lex_scratch_new(&b.scratch, &err), &err);
    must(med_arena_new(MED_MIB * 256, &b.texts, &err), &err);
    b.title_terms = med_calloc(FIELD_TERMS_MAX, 4);
    b.body_terms = med_calloc(FIELD_TERMS_MAX, 4);
    if (!b.title_terms || !b.body_terms) return 1;
    if (b.o.segment)
        open_index(&b, b.o.segment);
    else
        build(&b);
    if (b.o.share < 1) make_filter(&b);
    for (; at < argc; at++) must(bench_each_line(argv[at], add_question, &b, &err), &err);
    thin_out(&b);
    if (!b.question_count) return 1;
    run(&b);
    med_arena_free(&b.texts);
    med_lex_free(&b.lex);
    med_lex_scratch_free(&b.scratch);
    med_vocab_free(&b.vocab);
    med_analyzer_free(&b.analyzer);
    med_free(b.title_terms);
    med_free(b.body_terms);
    med_free(b.chunk_doc);
    med_free(b.questions);
    med_free((void *)(uintptr_t)b.filter.words);
    return 0;
}

/* medicus in the lexical comparison, through the same library that serves:
 *
 *   engine_medicus index RAW DIR
 *   engine_medicus serve DIR QUERIES K plain|weighed
 *
 * Analysis, of passages and of queries, is inside of what is measured. "plain" lets function words
 * count in full, as the peers do; "weighed" is what `medicus search` does with them. Answers are
 * compared with exhaustive scoring, bit for bit; and
 *
 *   judge FORMULA N   followed by N lines of a peer's answers
 *
 * compares these with exhaustive scoring by the peer's own formula: the share of documents that are
 * the same, and the share of the best possible sum of scores (ties cost nothing there). */
#include "engine.h"

#include "common/clock.h"
#include "common/limits.h"
#include "common/mem.h"
#include "embed/analyzer.h"
#include "index/lexical/lexical.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define FIELD_TERMS_MAX ((size_t)1 << 20)

/* How a peer turns df into a term's weight, and what it divides long passages by. */
enum formula { LUCENE, XAPIAN, FTS5, FORMULA_COUNT };
static const char *const formula_names[] = {"lucene", "xapian", "fts5"};
static const float formula_b[] = {MED_BM25_B_DEFAULT, MED_BM25_B_DEFAULT, 0.75f};

struct state {
    struct med_analyzer *analyzer;
    struct med_vocab *vocab;
    struct med_lex_writer *writer;
    struct med_lex *lex;
    struct med_lex_scratch *scratch;
    struct lines queries;
    size_t k;
    bool weighed;
    uint32_t terms[FIELD_TERMS_MAX];
};

static void must(enum med_code code, const struct med_err *err)
{
    if (code != MED_OK) engine_die(err->text);
}

/* Joined forms count as words here, so that every engine sees the same lengths. */
static struct med_lex_field analyse(struct state *s, struct med_str text)
{
    struct med_err err = {0};
    const struct med_token *tokens;
    size_t count;
    must(med_analyze(s->analyzer, text, &tokens, &count, &err), &err);
    if (count > FIELD_TERMS_MAX) engine_die("a passage of too many terms");
    for (size_t i = 0; i < count; i++)
        must(med_vocab_intern(s->vocab, tokens[i].term, &s->terms[i], &err), &err);
    return (struct med_lex_field){
        .terms = s->terms, .term_count = count, .length = (uint32_t)count};
}

static void build(struct state *s, const char *raw_path, const char *dir)
{
    struct med_err err = {0};
    struct lines raw;
    lines_open(raw_path, &raw);
    must(med_fs_mkdir_all(med_fs_posix(), dir, &err), &err);
    uint64_t start = med_now_ns();
    must(med_vocab_new(&s->vocab, &err), &err);
    must(med_lex_writer_new(s->vocab, MED_LEX_WEIGHTS_DEFAULT, &s->writer, &err), &err);
    for (size_t i = 0; i < raw.count; i++) {
        struct med_str title, text;
        const struct med_lex_field none = {0};
        lines_split(raw.items[i], &title, &text);
        must(med_lex_writer_doc(s->writer, analyse(s, title), none, &err), &err);
        must(med_lex_writer_chunk(s->writer, analyse(s, text), &err), &err);
    }
    struct med_file_ref files[MED_LEX_FILE_COUNT];
    must(med_lex_writer_finish(s->writer, med_fs_posix(), dir, "", files, &err), &err);
    uint64_t ns = med_now_ns() - start;
    engine_report_index(raw.count, ns, dir);
    med_lex_writer_free(&s->writer);
    med_vocab_free(&s->vocab);
    lines_close(&raw);
}

static double weight_of(enum formula formula, double n, double df)
{
    double odds = (n - df + .5) / (df + .5);
    switch (formula) {
    case XAPIAN: return log(odds < 2 ? odds / 2 + 1 : odds);
    case FTS5: return odds > 1 ? log(odds) : 1e-6;
    case LUCENE:
    case FORMULA_COUNT:
    default: return log(1 + odds);
    }
}

static struct med_lex_query query_of(
    struct state *s, size_t i, enum formula formula, bool weighed, struct med_lex_term *terms)
{
    struct med_err err = {0};
    const struct med_token *tokens;
    struct med_str text, words;
    size_t count;
    lines_split(s->queries.items[i], &text, &words);
    must(med_analyze(s->analyzer, text, &tokens, &count, &err), &err);
    double n = med_lex_chunk_count(s->lex);
    struct med_lex_query q = {.terms = terms,
        .k1 = MED_BM25_K1_DEFAULT,
        .b = formula_b[formula],
        .avg_len = (float)((double)med_lex_length_sum(s->lex) / n)};
    for (size_t t = 0; t < count && q.term_count < MED_QUERY_TERMS_MAX; t++) {
        uint32_t ordinal, df;
        if (!med_lex_find(s->lex, tokens[t].term, &ordinal, &df)) continue;
        size_t j = 0;
        while (j < q.term_count && terms[j].ordinal != ordinal) j++;
        if (j < q.term_count) continue;
        float weight = (float)weight_of(formula, n, df);
        if (weighed && med_is_function_word(text, &tokens[t])) weight *= MED_FUNCTION_WORD_WEIGHT;
        terms[q.term_count++] = (struct med_lex_term){.ordinal = ordinal, .weight = weight};
    }
    return q;
}

static size_t search(void *ctx, size_t query, uint32_t *ret_ids)
{
    struct state *s = ctx;
    struct med_err err = {0};
    struct med_lex_term terms[MED_QUERY_TERMS_MAX];
    struct med_hit hits[ENGINE_K_MAX];
    const struct med_filter all = {0};
    struct med_lex_query q = query_of(s, query, LUCENE, s->weighed, terms);
    size_t count;
    must(med_lex_search(s->lex, s->scratch, &q, all, NULL, s->k, hits, &count, &err), &err);
    for (size_t i = 0; i < count; i++) ret_ids[i] = hits[i].chunk;
    return count;
}

static size_t best_by(struct state *s, const struct med_lex_query *q, struct med_hit *ret_hits)
{
    struct med_err err = {0};
    const struct med_filter all = {0};
    size_t count;
    must(med_lex_search_exhaustive(s->lex, q, all, NULL, s->k, ret_hits, &count, &err), &err);
    return count;
}

/* verify N: the first N queries give what exhaustive scoring gives, scores included. */
static void verify(struct state *s, size_t count)
{
    struct med_err err = {0};
    const struct med_filter all = {0};
    struct med_lex_term terms[MED_QUERY_TERMS_MAX];
    struct med_hit hits[ENGINE_K_MAX], best[ENGINE_K_MAX];
    size_t differ = 0;
    for (size_t i = 0; i < count && i < s->queries.count; i++) {
        struct med_lex_query q = query_of(s, i, LUCENE, s->weighed, terms);
        size_t found, wanted = best_by(s, &q, best);
        must(med_lex_search(s->lex, s->scratch, &q, all, NULL, s->k, hits, &found, &err), &err);
        differ += found != wanted || memcmp(hits, best, found * sizeof *hits) != 0;
    }
    printf("%zu\n", differ);
}

static int by_id(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static size_t read_answer(uint32_t *ret_ids, size_t max)
{
    char line[16 * ENGINE_K_MAX], *pos = line, *end;
    size_t count = 0;
    if (!fgets(line, sizeof line, stdin)) engine_die("an answer is missing");
    for (; count < max; pos = end) {
        unsigned long id = strtoul(pos, &end, 10);
        if (end == pos) break;
        ret_ids[count++] = (uint32_t)id;
    }
    qsort(ret_ids, count, sizeof *ret_ids, by_id);
    return count;
}

static void judge(struct state *s, enum formula formula, size_t count)
{
    struct med_err err = {0};
    struct med_lex_term terms[MED_QUERY_TERMS_MAX];
    struct med_hit best[ENGINE_K_MAX];
    uint32_t ids[ENGINE_K_MAX];
    float scores[ENGINE_K_MAX];
    double same = 0, wanted = 0, reached = 0, possible = 0;
    for (size_t i = 0; i < count; i++) {
        struct med_lex_query q = query_of(s, i, formula, false, terms);
        size_t found = read_answer(ids, s->k), best_count = best_by(s, &q, best);
        must(med_lex_score(s->lex, s->scratch, &q, ids, found, scores, &err), &err);
        for (size_t j = 0; j < found; j++) reached += (double)scores[j];
        for (size_t j = 0; j < best_count; j++) {
            possible += (double)best[j].score;
            same += bsearch(&best[j].chunk, ids, found, sizeof *ids, by_id) != NULL;
        }
        wanted += (double)best_count;
    }
    printf("%.4f %.6f\n", same / wanted, reached / possible);
}

static bool command(void *ctx, const char *line)
{
    size_t count;
    char name[16];
    if (sscanf(line, "verify %zu", &count) == 1) {
        verify(ctx, count);
        return true;
    }
    if (sscanf(line, "judge %15s %zu", name, &count) != 2) return false;
    for (unsigned i = 0; i < FORMULA_COUNT; i++) {
        if (strcmp(name, formula_names[i]) != 0) continue;
        judge(ctx, (enum formula)i, count);
        return true;
    }
    return false;
}

static void serve(struct state *s, const char *dir, const char *queries_path)
{
    struct med_err err = {0};
    static const char *const names[MED_LEX_FILE_COUNT] = {"lexicon", "postings", "lengths"};
    struct med_map maps[MED_LEX_FILE_COUNT];
    for (int i = 0; i < MED_LEX_FILE_COUNT; i++) {
        char path[MED_PATH_MAX];
        must(med_path_join(path, dir, names[i], &err), &err);
        must(med_map_open(path, &maps[i], &err), &err);
    }
    must(med_lex_open(maps[0], maps[1], maps[2], &s->lex, &err), &err);
    must(med_lex_scratch_new(&s->scratch, &err), &err);
    lines_open(queries_path, &s->queries);
    const struct engine engine = {
        .ctx = s, .query_count = s->queries.count, .k = s->k, .search = search, .command = command};
    engine_serve(&engine);
    lines_close(&s->queries);
    med_lex_scratch_free(&s->scratch);
    med_lex_free(&s->lex);
    for (int i = 0; i < MED_LEX_FILE_COUNT; i++) med_map_close(&maps[i]);
}

int main(int argc, char **argv)
{
    static struct state s;
    struct med_err err = {0};
    if (MED_BM25_K1_DEFAULT != (float)ENGINE_K1 || MED_BM25_B_DEFAULT != (float)ENGINE_B ||
        MED_LEX_WEIGHTS_DEFAULT.title != ENGINE_TITLE_WEIGHT)
        engine_die("the peers have other parameters than medicus");
    must(med_analyzer_new(&s.analyzer, &err), &err);
    if (argc == 4 && strcmp(argv[1], "index") == 0) {
        build(&s, argv[2], argv[3]);
    } else if (argc == 6 && strcmp(argv[1], "serve") == 0) {
        unsigned long long k;
        if (!med_str_to_u64(med_str_of(argv[4]), &k) || k == 0 || k > ENGINE_K_MAX)
            engine_die("K is from 1 to 1000");
        s.k = (size_t)k;
        s.weighed = strcmp(argv[5], "weighed") == 0;
        serve(&s, argv[2], argv[3]);
    } else {
        engine_die("usage: engine_medicus index RAW DIR | serve DIR QUERIES K plain|weighed");
    }
    med_analyzer_free(&s.analyzer);
    return 0;
}

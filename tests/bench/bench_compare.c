/* The distributions of two collections side by side, as a Markdown table: kinds and lengths of
 * passages, growth of the vocabulary, document frequencies, and what they mean for questions.
 *
 * The number of terms in a random sample of n of N passages follows from the document frequencies
 * alone: a term of df f is in none of them with probability (1 - n / N)^f, nearly. So collections
 * of different size are compared at the same n, in any order of their passages. */
#include "tests/bench/bench_collection.h"

#include "common/mem.h"
#include "embed/analyzer.h"
#include "embed/vocab.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define LENGTHS_MAX 4096u /* in words; what is longer counts as that */

/* Two content words that follow each other in a question. */
struct pair {
    uint32_t first, second; /* terms */
    uint32_t passages;      /* that have both */
};

struct question {
    uint32_t term, count; /* in `question_terms` */
};

struct collection {
    struct med_analyzer *analyzer;
    struct med_vocab *vocab; /* terms of the questions first */
    struct question *questions;
    uint32_t *question_terms;
    struct pair *pairs;
    size_t question_count, question_cap, term_count, term_cap, pair_count, pair_cap;
    size_t *pairs_of; /* [term] to [term + 1): pairs whose first it is */
    uint32_t asked;   /* terms below are in questions */

    uint32_t *df, *seen; /* per term; the passage that had it last */
    size_t df_cap, seen_cap;
    uint32_t *distinct; /* of one passage */
    size_t distinct_cap;
    uint64_t passages, kinds[BENCH_KIND_COUNT], words, lengths[LENGTHS_MAX + 1], bytes;
    uint32_t *ranked; /* df, largest first */
};

static void *room(void *array, size_t *cap, size_t need, size_t size)
{
    struct med_err err = {0};
    if (!med_grow(&array, cap, need, size))
        bench_must(med_fail(&err, MED_E_NOMEM, "out of memory for a collection"), &err);
    return array;
}

static size_t analyze(struct collection *c, struct med_str text, const struct med_token **tokens)
{
    struct med_err err = {0};
    size_t count;
    bench_must(med_analyze(c->analyzer, text, tokens, &count, &err), &err);
    return count;
}

static uint32_t intern(struct collection *c, struct med_str term)
{
    struct med_err err = {0};
    uint32_t id;
    bench_must(med_vocab_intern(c->vocab, term, &id, &err), &err);
    return id;
}

/* --- questions --- */

static void add_question(void *ctx, const struct bench_record *record)
{
    struct collection *c = ctx;
    const struct med_token *tokens;
    size_t count = analyze(c, record->text, &tokens);
    uint32_t before = MED_NO_TERM;
    c->questions =
        room(c->questions, &c->question_cap, c->question_count + 1, sizeof *c->questions);
    struct question q = {.term = (uint32_t)c->term_count};
    for (size_t i = 0; i < count; i++) {
        if (tokens[i].extra || med_is_function_word(record->text, &tokens[i])) continue;
        uint32_t term = intern(c, tokens[i].term);
        c->question_terms =
            room(c->question_terms, &c->term_cap, c->term_count + 1, sizeof *c->question_terms);
        c->question_terms[c->term_count++] = term;
        q.count++;
        if (before != MED_NO_TERM && before != term) {
            c->pairs = room(c->pairs, &c->pair_cap, c->pair_count + 1, sizeof *c->pairs);
            c->pairs[c->pair_count++] = (struct pair){.first = before, .second = term};
        }
        before = term;
    }
    if (q.count > 0) c->questions[c->question_count++] = q;
}

static int by_first(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    if (x->first != y->first) return x->first < y->first ? -1 : 1;
    return x->second < y->second ? -1 : x->second > y->second;
}

static void index_pairs(struct collection *c)
{
    c->asked = med_vocab_count(c->vocab);
    c->pairs_of = bench_calloc(c->asked + 1, sizeof *c->pairs_of);
    if (c->pair_count) qsort(c->pairs, c->pair_count, sizeof *c->pairs, by_first);
    size_t p = 0;
    for (uint32_t term = 0; term < c->asked; term++) {
        c->pairs_of[term] = p;
        while (p < c->pair_count && c->pairs[p].first == term) p++;
    }
    c->pairs_of[c->asked] = p;
}

/* --- passages --- */

static void count_pairs(struct collection *c, size_t distinct)
{
    uint32_t now = (uint32_t)c->passages;
    for (size_t i = 0; i < distinct; i++) {
        uint32_t term = c->distinct[i];
        if (term >= c->asked) continue;
        for (size_t p = c->pairs_of[term]; p < c->pairs_of[term + 1]; p++)
            c->pairs[p].passages += c->seen[c->pairs[p].second] == now;
    }
}

/* Counts each term of the text once per passage; returns the words. */
static uint64_t count_terms(struct collection *c, struct med_str text, size_t *distinct)
{
    const struct med_token *tokens;
    uint64_t words = 0;
    size_t count = analyze(c, text, &tokens);
    for (size_t i = 0; i < count; i++) {
        uint32_t term = intern(c, tokens[i].term);
        words += !tokens[i].extra;
        size_t cap = c->df_cap;
        c->df = room(c->df, &c->df_cap, (size_t)term + 1, sizeof *c->df);
        c->seen = room(c->seen, &c->seen_cap, (size_t)term + 1, sizeof *c->seen);
        if (c->df_cap > cap) {
            memset(c->df + cap, 0, (c->df_cap - cap) * sizeof *c->df);
            memset(c->seen + cap, 0, (c->seen_cap - cap) * sizeof *c->seen);
        }
        if (c->seen[term] == c->passages) continue;
        c->seen[term] = (uint32_t)c->passages;
        c->df[term]++;
        c->distinct = room(c->distinct, &c->distinct_cap, *distinct + 1, sizeof *c->distinct);
        c->distinct[(*distinct)++] = term;
    }
    return words;
}

static void add_passage(void *ctx, const struct bench_record *record)
{
    struct collection *c = ctx;
    size_t distinct = 0;
    c->passages++;
    c->kinds[record->kind]++;
    c->bytes += record->title.len + record->text.len;
    count_terms(c, record->title, &distinct);
    uint64_t words = count_terms(c, record->text, &distinct);
    c->words += words;
    c->lengths[words < LENGTHS_MAX ? words : LENGTHS_MAX]++;
    count_pairs(c, distinct);
}

static int larger_first(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x < y) - (x > y);
}

static struct collection *read_collection(
    const char *path, const char *const *questions, size_t question_files)
{
    struct med_err err = {0};
    struct collection *c = bench_calloc(1, sizeof *c);
    bench_must(med_analyzer_new(&c->analyzer, &err), &err);
    bench_must(med_vocab_new(&c->vocab, &err), &err);
    for (size_t i = 0; i < question_files; i++) bench_each_record(questions[i], add_question, c);
    index_pairs(c);
    c->df = bench_calloc(c->asked + 1, sizeof *c->df);
    c->seen = bench_calloc(c->asked + 1, sizeof *c->seen);
    c->df_cap = c->seen_cap = c->asked + 1;
    bench_each_record(path, add_passage, c);
    if (c->passages == 0) bench_must(med_fail(&err, MED_E_INVALID, "no passages"), &err);
    size_t terms = med_vocab_count(c->vocab);
    c->ranked = bench_calloc(terms, sizeof *c->ranked);
    memcpy(c->ranked, c->df, terms * sizeof *c->ranked);
    qsort(c->ranked, terms, sizeof *c->ranked, larger_first);
    return c;
}

static void free_collection(struct collection **collection)
{
    struct collection *c = *collection;
    med_analyzer_free(&c->analyzer);
    med_vocab_free(&c->vocab);
    void *arrays[] = {c->questions, c->question_terms, c->pairs, c->pairs_of, c->df, c->seen,
        c->distinct, c->ranked};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) med_free(arrays[i]);
    med_free(c);
    *collection = NULL;
}

/* --- figures --- */

static size_t distinct_terms(const struct collection *c)
{
    size_t terms = med_vocab_count(c->vocab);
    while (terms > 0 && c->ranked[terms - 1] == 0) terms--; /* asked for, in no passage */
    return terms;
}

static double terms_in_sample(const struct collection *c, double n)
{
    double share = n / (double)c->passages, sum = 0;
    if (share >= 1) return (double)distinct_terms(c);
    for (size_t i = 0; i < distinct_terms(c); i++) sum -= expm1(c->ranked[i] * log1p(-share));
    return sum;
}

static double length_at(const struct collection *c, double share)
{
    uint64_t below = 0, wanted = (uint64_t)(share * (double)(c->passages - 1));
    for (uint32_t words = 0;; words++)
        if ((below += c->lengths[words]) > wanted) return words;
}

/* Passages per thousand that the term of that rank has. */
static double df_at(const struct collection *c, double rank)
{
    size_t at = (size_t)rank - 1;
    return at < distinct_terms(c) ? 1000. * c->ranked[at] / (double)c->passages : 0;
}

static double share_with_df(const struct collection *c, uint32_t least, uint32_t most)
{
    size_t n = 0, terms = distinct_terms(c);
    for (size_t i = 0; i < terms; i++) n += c->ranked[i] >= least && c->ranked[i] <= most;
    return 100. * (double)n / (double)terms;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(double *values, size_t count, double share)
{
    if (count == 0) return 0;
    qsort(values, count, sizeof *values, by_value);
    return values[(size_t)(share * (double)(count - 1))];
}

/* Postings of a question's content words, per passage of the collection. */
static double postings_at(const struct collection *c, double share)
{
    double *sums = bench_calloc(c->question_count, sizeof *sums);
    for (size_t q = 0; q < c->question_count; q++)
        for (uint32_t i = 0; i < c->questions[q].count; i++)
            sums[q] += c->df[c->question_terms[c->questions[q].term + i]] / (double)c->passages;
    double found = quantile(sums, c->question_count, share);
    med_free(sums);
    return found;
}

/* Passages per million that have both of two neighbouring words of a question. */
static double pairs_at(const struct collection *c, double share)
{
    double *values = bench_calloc(c->pair_count, sizeof *values);
    for (size_t p = 0; p < c->pair_count; p++)
        values[p] = 1e6 * c->pairs[p].passages / (double)c->passages;
    double found = quantile(values, c->pair_count, share);
    med_free(values);
    return found;
}

/* Of pairs whose words are rare (each in at most 1 % of the passages), how much more often they
 * meet than by chance: the median ratio. Tells whether subjects hold together. */
static double attraction(const struct collection *c)
{
    double *values = bench_calloc(c->pair_count, sizeof *values), n = (double)c->passages;
    size_t count = 0;
    for (size_t p = 0; p < c->pair_count; p++) {
        double a = c->df[c->pairs[p].first], b = c->df[c->pairs[p].second];
        if (a < n / 1e4 || b < n / 1e4 || a > n / 100 || b > n / 100) continue;
        values[count++] = c->pairs[p].passages * n / (a * b);
    }
    double found = quantile(values, count, 0.5);
    med_free(values);
    return found;
}

static void row(struct collection *const c[2], const char *what, int decimals,
    double (*figure)(const struct collection *c, double x), double x)
{
    double a = figure(c[0], x), b = figure(c[1], x);
    printf("| %s | %.*f | %.*f | %.2f |\n", what, decimals, a, decimals, b, a != 0 ? b / a : 0);
}

static double passages_of(const struct collection *c, double unused)
{
    (void)unused;
    return (double)c->passages;
}
static double kind_share(const struct collection *c, double kind)
{
    return 100. * (double)c->kinds[(int)kind] / (double)c->passages;
}
static double mean_words(const struct collection *c, double unused)
{
    (void)unused;
    return (double)c->words / (double)c->passages;
}
static double mean_bytes(const struct collection *c, double unused)
{
    (void)unused;
    return (double)c->bytes / (double)c->passages;
}
static double growth(const struct collection *c, double n)
{
    return log2(terms_in_sample(c, n) / terms_in_sample(c, n / 2));
}
static double own_growth(const struct collection *c, double unused)
{
    (void)unused;
    return growth(c, (double)c->passages);
}
static double df_share(const struct collection *c, double least)
{
    uint32_t most = least < 3 ? (uint32_t)least : least < 11 ? 10 : UINT32_MAX;
    return share_with_df(c, (uint32_t)least, most);
}
static double attraction_of(const struct collection *c, double unused)
{
    (void)unused;
    return attraction(c);
}

void bench_compare(
    const char *const collections[2], const char *const *questions, size_t question_files)
{
    struct collection *c[2];
    char what[80];
    for (int i = 0; i < 2; i++) c[i] = read_collection(collections[i], questions, question_files);
    double n = (double)c[0]->passages;
    printf("| what | source | result | ratio |\n|---|---|---|---|\n");
    row(c, "passages", 0, passages_of, 0);
    for (int k = 0; k < BENCH_KIND_COUNT; k++) {
        snprintf(what, sizeof what, "%ss, %%", bench_kind_names[k]);
        row(c, what, 1, kind_share, k);
    }
    row(c, "bytes per passage, mean", 0, mean_bytes, 0);
    row(c, "words per passage, mean", 1, mean_words, 0);
    for (double q = 0; q < 6; q++) {
        static const double shares[] = {.01, .1, .5, .9, .99, 1};
        snprintf(what, sizeof what, "words per passage, quantile %.2f", shares[(int)q]);
        row(c, what, 0, length_at, shares[(int)q]);
    }
    for (double part = 8; part >= 1; part /= 2) {
        snprintf(what, sizeof what, "distinct terms of %.0f passages", n / part);
        row(c, what, 0, terms_in_sample, n / part);
    }
    row(c, "distinct terms of all", 0, terms_in_sample, (double)c[1]->passages);
    row(c, "growth exponent there, last doubling of the smaller", 3, growth, n);
    row(c, "growth exponent, last doubling of each", 3, own_growth, 0);
    static const double least[] = {1, 2, 3, 11};
    static const char *const dfs[] = {"df 1", "df 2", "df 3 to 10", "df above 10"};
    for (int i = 0; i < 4; i++) {
        snprintf(what, sizeof what, "terms with %s, %%", dfs[i]);
        row(c, what, 1, df_share, least[i]);
    }
    for (double rank = 1; rank <= 1e5; rank *= 10) {
        snprintf(what, sizeof what, "passages of 1,000 with the term of rank %.0f", rank);
        row(c, what, rank < 1e4 ? 2 : 4, df_at, rank);
    }
    row(c, "postings of a question's words per passage, median", 4, postings_at, .5);
    row(c, "postings of a question's words per passage, quantile 0.99", 4, postings_at, .99);
    row(c, "passages of 1,000,000 with two neighbouring words, median", 1, pairs_at, .5);
    row(c, "passages of 1,000,000 with two neighbouring words, quantile 0.9", 1, pairs_at, .9);
    row(c, "rare neighbouring words meet so many times chance, median", 1, attraction_of, 0);
    for (int i = 0; i < 2; i++) free_collection(&c[i]);
}

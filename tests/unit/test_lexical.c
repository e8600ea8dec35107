/* Promises of the lexical index, compared with two oracles: the library's exhaustive search, which
 * must agree to the last bit, and BM25F computed here in double precision from the raw documents.
 * MEDICUS_SEED replays a run. */
#include "common/cpu.h"
#include "common/fs.h"
#include "common/hash.h"
#include "common/limits.h"
#include "common/mem.h"
#include "common/rng.h"
#include "index/lexical/lexical.h"
#include "index/lexical/pack.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define QUERY_TERMS_MAX 16

static uint64_t test_seed(void)
{
    const char *env = getenv("MEDICUS_SEED");
    uint64_t seed = env ? strtoull(env, NULL, 10) : 19851210;
    print_message("MEDICUS_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

/* --- a random collection, kept raw for the oracle --- */

struct raw_field {
    uint32_t *terms;
    size_t count;
    uint32_t length;
};

struct raw_chunk {
    struct raw_field body;
    uint32_t doc;
};

struct raw_doc {
    struct raw_field title, mesh;
};

struct corpus {
    struct med_vocab *vocab;
    uint32_t term_count; /* of the vocabulary; not all need to occur */
    struct raw_doc *docs;
    uint32_t doc_count;
    struct raw_chunk *chunks;
    uint32_t chunk_count;
    uint32_t *groups; /* document per chunk */
    struct med_lex_weights weights;
};

/* Skewed: a few terms are in most texts, most are in few. */
static uint32_t skewed_term(struct med_rng *rng, uint32_t term_count)
{
    double u = med_rng_unit(rng);
    return (uint32_t)((double)term_count * u * u * u * u) % term_count;
}

static struct raw_field random_field(struct med_rng *rng, uint32_t term_count, size_t words_max)
{
    struct raw_field f = {.count = (size_t)med_rng_below(rng, words_max + 1)};
    f.terms = med_malloc((f.count + 1) * sizeof(*f.terms));
    assert_non_null(f.terms);
    for (size_t i = 0; i < f.count; i++) f.terms[i] = skewed_term(rng, term_count);
    if (f.count > 2 && med_rng_below(rng, 50) == 0)
        for (size_t i = 0; i < f.count; i++) f.terms[i] = f.terms[0];
    f.length = (uint32_t)f.count - (uint32_t)(f.count > 3 ? med_rng_below(rng, 2) : 0);
    return f;
}

static struct corpus corpus_new(
    struct med_rng *rng, uint32_t doc_count, uint32_t term_count, size_t words_max)
{
    struct corpus c = {.term_count = term_count, .doc_count = doc_count};
    c.weights = (struct med_lex_weights){
        .title = (uint32_t)med_rng_below(rng, 4), .mesh = (uint32_t)med_rng_below(rng, 3)};
    assert_int_equal(med_vocab_new(&c.vocab, NULL), MED_OK);
    for (uint32_t t = 0; t < term_count; t++) {
        char term[32];
        int len = snprintf(term, sizeof(term), "%x-term%u", t * 2654435761u % 4096, t);
        uint32_t id;
        struct med_str s = {.ptr = term, .len = (size_t)len};
        assert_int_equal(med_vocab_intern(c.vocab, s, &id, NULL), MED_OK);
    }
    c.docs = med_calloc(doc_count + 1, sizeof(*c.docs));
    c.chunks = med_calloc((size_t)doc_count * 4 + 1, sizeof(*c.chunks));
    c.groups = med_calloc((size_t)doc_count * 4 + 1, sizeof(*c.groups));
    assert_true(c.docs && c.chunks && c.groups);
    for (uint32_t d = 0; d < doc_count; d++) {
        c.docs[d].title = random_field(rng, term_count, 8);
        c.docs[d].mesh = random_field(rng, term_count, 4);
        for (uint64_t n = med_rng_below(rng, 8) ? 1 : med_rng_below(rng, 5); n > 0; n--) {
            c.groups[c.chunk_count] = d;
            c.chunks[c.chunk_count++] =
                (struct raw_chunk){.body = random_field(rng, term_count, words_max), .doc = d};
        }
    }
    return c;
}

static void corpus_free(struct corpus *c)
{
    for (uint32_t d = 0; d < c->doc_count; d++) {
        med_free(c->docs[d].title.terms);
        med_free(c->docs[d].mesh.terms);
    }
    for (uint32_t i = 0; i < c->chunk_count; i++) med_free(c->chunks[i].body.terms);
    med_free(c->docs);
    med_free(c->chunks);
    med_free(c->groups);
    med_vocab_free(&c->vocab);
}

/* --- the naive oracle --- */

static uint32_t occurrences(struct raw_field f, uint32_t term)
{
    uint32_t n = 0;
    for (size_t i = 0; i < f.count; i++) n += f.terms[i] == term;
    return n;
}

static uint32_t naive_len(const struct corpus *c, uint32_t chunk)
{
    const struct raw_doc *doc = &c->docs[c->chunks[chunk].doc];
    return c->chunks[chunk].body.length + c->weights.title * doc->title.length +
           c->weights.mesh * doc->mesh.length;
}

static uint32_t naive_wtf(const struct corpus *c, uint32_t chunk, uint32_t term)
{
    const struct raw_doc *doc = &c->docs[c->chunks[chunk].doc];
    return occurrences(c->chunks[chunk].body, term) +
           c->weights.title * occurrences(doc->title, term) +
           c->weights.mesh * occurrences(doc->mesh, term);
}

static uint32_t naive_df(const struct corpus *c, uint32_t term)
{
    uint32_t df = 0;
    for (uint32_t i = 0; i < c->chunk_count;) {
        uint32_t doc = c->chunks[i].doc, bodies = 0;
        for (; i < c->chunk_count && c->chunks[i].doc == doc; i++)
            bodies += occurrences(c->chunks[i].body, term) > 0;
        bool top = (c->weights.title && occurrences(c->docs[doc].title, term)) ||
                   (c->weights.mesh && occurrences(c->docs[doc].mesh, term));
        df += bodies ? bodies : top;
    }
    return df;
}

/* --- writing and opening --- */

static struct med_lex_field field_of(struct raw_field f)
{
    return (struct med_lex_field){.terms = f.terms, .term_count = f.count, .length = f.length};
}

/* With bytes of memory for postings, UINT64_MAX = all. */
static enum med_code corpus_write_within(const struct corpus *c, const char *dir, uint64_t bytes,
    struct med_file_ref files[MED_LEX_FILE_COUNT])
{
    struct med_lex_writer *w = NULL;
    enum med_code code = med_lex_writer_new(c->vocab, c->weights, &w, NULL);
    uint32_t chunk = 0;
    if (code == MED_OK && bytes != UINT64_MAX)
        code = med_lex_writer_spill(w, med_fs_posix(), dir, "run-", bytes, NULL);
    for (uint32_t d = 0; d < c->doc_count && code == MED_OK; d++) {
        code = med_lex_writer_doc(w, field_of(c->docs[d].title), field_of(c->docs[d].mesh), NULL);
        for (; code == MED_OK && chunk < c->chunk_count && c->chunks[chunk].doc == d; chunk++)
            code = med_lex_writer_chunk(w, field_of(c->chunks[chunk].body), NULL);
    }
    if (code == MED_OK) code = med_lex_writer_finish(w, med_fs_posix(), dir, "", files, NULL);
    /* Finished or not, spilled or not: the document frequencies are whole. */
    const uint32_t *df = code == MED_OK ? med_lex_writer_df(w) : NULL;
    for (uint32_t id = 0; df && id < c->term_count && id < 50; id++)
        assert_int_equal(df[id], naive_df(c, id));
    if (w) med_lex_writer_free(&w);
    return code;
}

static enum med_code corpus_write(
    const struct corpus *c, const char *dir, struct med_file_ref files[MED_LEX_FILE_COUNT])
{
    return corpus_write_within(c, dir, UINT64_MAX, files);
}

struct index {
    char dir[64];
    struct med_map maps[MED_LEX_FILE_COUNT];
    struct med_lex *lex;
};

static void make_dir(char dir[64])
{
    memcpy(dir, "/tmp/medicus-lexical-XXXXXX", sizeof("/tmp/medicus-lexical-XXXXXX"));
    assert_non_null(mkdtemp(dir));
}

static void remove_dir(const char *dir)
{
    assert_int_equal(med_fs_remove_tree(med_fs_posix(), dir, NULL), MED_OK);
}

static struct index index_open(const struct corpus *c)
{
    struct index ix;
    struct med_file_ref files[MED_LEX_FILE_COUNT];
    make_dir(ix.dir);
    assert_int_equal(corpus_write(c, ix.dir, files), MED_OK);
    for (int i = 0; i < MED_LEX_FILE_COUNT; i++) {
        char path[MED_PATH_MAX];
        assert_int_equal(med_path_join(path, ix.dir, files[i].name, NULL), MED_OK);
        assert_int_equal(med_map_open(path, &ix.maps[i], NULL), MED_OK);
        assert_int_equal(ix.maps[i].len, files[i].size);
        assert_true(med_hash128_eq(med_hash128(ix.maps[i].ptr, ix.maps[i].len), files[i].hash));
    }
    struct med_err err = {0};
    if (med_lex_open(ix.maps[0], ix.maps[1], ix.maps[2], &ix.lex, &err) != MED_OK)
        fail_msg("%s", err.text);
    if (med_lex_check(ix.lex, &err) != MED_OK) fail_msg("%s", err.text);
    return ix;
}

static void index_close(struct index *ix)
{
    med_lex_free(&ix->lex);
    for (int i = 0; i < MED_LEX_FILE_COUNT; i++) med_map_close(&ix->maps[i]);
    remove_dir(ix->dir);
}

/* --- queries --- */

struct query {
    struct med_lex_term terms[QUERY_TERMS_MAX];
    uint32_t ids[QUERY_TERMS_MAX]; /* vocabulary ids */
    struct med_lex_query q;
};

static void random_query(
    struct med_rng *rng, const struct corpus *c, const struct med_lex *lex, struct query *ret)
{
    *ret = (struct query){.q = {.terms = ret->terms,
                              .k1 = (float)med_rng_unit(rng) * 2,
                              .b = (float)med_rng_unit(rng),
                              .avg_len = 1}};
    if (med_rng_below(rng, 3)) {
        ret->q.k1 = MED_BM25_K1_DEFAULT;
        ret->q.b = MED_BM25_B_DEFAULT;
    }
    uint32_t n = med_lex_chunk_count(lex);
    if (n) ret->q.avg_len = (float)med_lex_length_sum(lex) / (float)n;
    size_t wanted = 1 + (size_t)med_rng_below(rng, QUERY_TERMS_MAX);
    for (size_t i = 0; i < wanted; i++) {
        uint32_t id = med_rng_below(rng, 3) ? skewed_term(rng, c->term_count)
                                            : (uint32_t)med_rng_below(rng, c->term_count);
        bool seen = false;
        for (size_t j = 0; j < ret->q.term_count; j++) seen = seen || ret->ids[j] == id;
        uint32_t ordinal, df;
        if (seen || !med_lex_find(lex, med_vocab_term(c->vocab, id), &ordinal, &df)) continue;
        double idf = log(1 + ((double)n - df + .5) / (df + .5));
        float weight = (float)(idf * (double)(1 + med_rng_below(rng, 2)));
        ret->ids[ret->q.term_count] = id;
        ret->terms[ret->q.term_count++] =
            (struct med_lex_term){.ordinal = ordinal, .weight = weight};
    }
}

static double naive_score(const struct corpus *c, const struct query *q, uint32_t chunk)
{
    double score = 0, k1 = (double)q->q.k1, b = (double)q->q.b;
    double norm = k1 * (1 - b + b * naive_len(c, chunk) / (double)q->q.avg_len);
    for (size_t t = 0; t < q->q.term_count; t++) {
        double wtf = naive_wtf(c, chunk, q->ids[t]);
        if (wtf > 0) score += (double)q->terms[t].weight * wtf * (k1 + 1) / (wtf + norm);
    }
    return score;
}

struct filter_bits {
    uint64_t *words;
    struct med_filter filter;
};

static struct filter_bits random_filter(struct med_rng *rng, uint32_t n)
{
    static const double shares[] = {0, .001, .01, .1, .5, .9, 1};
    struct filter_bits f = {.words = med_calloc(n / 64 + 1, 8)};
    assert_non_null(f.words);
    double share = shares[med_rng_below(rng, sizeof(shares) / sizeof(shares[0]))];
    for (uint32_t i = 0; i < n; i++) {
        if (med_rng_unit(rng) >= share) continue;
        f.words[i >> 6] |= 1ull << (i & 63);
        f.filter.set_count++;
    }
    if (med_rng_below(rng, 3)) f.filter.words = f.words;
    return f;
}

static bool same_hits(
    const struct med_hit *a, size_t a_count, const struct med_hit *b, size_t b_count)
{
    if (a_count != b_count) return false;
    for (size_t i = 0; i < a_count; i++)
        if (a[i].chunk != b[i].chunk || memcmp(&a[i].score, &b[i].score, sizeof(float)) != 0)
            return false;
    return true;
}

/* Against the raw documents: scores are right, the order is right, nothing better was left out. */
static void check_naive(const struct corpus *c, const struct query *q, struct med_filter filter,
    const uint32_t *groups, size_t k, const struct med_hit *hits, size_t count)
{
    double tolerance = 1e-6 * (double)(q->q.term_count + 1);
    for (size_t t = 0; t < q->q.term_count; t++) tolerance += 1e-6 * (double)q->terms[t].weight;
    for (size_t i = 0; i < count; i++) {
        double expected = naive_score(c, q, hits[i].chunk);
        assert_true(fabs((double)hits[i].score - expected) <= tolerance);
        assert_true(med_filter_has(filter, hits[i].chunk));
        assert_true(i == 0 || hits[i - 1].score > hits[i].score ||
                    (hits[i - 1].score == hits[i].score && hits[i - 1].chunk < hits[i].chunk));
    }
    double least = count == k && count ? (double)hits[count - 1].score + tolerance : tolerance;
    uint8_t *listed = med_calloc((size_t)c->doc_count + c->chunk_count + 1, 1);
    float *group_scores = med_calloc((size_t)c->doc_count + 1, sizeof(float));
    assert_true(listed && group_scores);
    for (size_t i = 0; i < count; i++) {
        uint32_t key = groups ? groups[hits[i].chunk] : hits[i].chunk;
        assert_int_equal(listed[key], 0);
        listed[key] = 1;
        if (groups) group_scores[key] = hits[i].score;
    }
    for (uint32_t chunk = 0; chunk < c->chunk_count; chunk++) {
        if (!med_filter_has(filter, chunk)) continue;
        uint32_t key = groups ? groups[chunk] : chunk;
        double limit = least;
        if (listed[key]) limit = groups ? (double)group_scores[key] + tolerance : 1e30;
        assert_true(naive_score(c, q, chunk) <= limit);
    }
    med_free(listed);
    med_free(group_scores);
}

static void check_scores(struct med_rng *rng, const struct corpus *c, const struct index *ix,
    struct med_lex_scratch *scratch, const struct query *q, const struct med_hit *hits,
    size_t count)
{
    uint32_t *chunks = med_malloc(((size_t)c->chunk_count + 1) * 4);
    float *scores = med_malloc(((size_t)c->chunk_count + 1) * 4);
    assert_true(chunks && scores);
    size_t n = 0;
    uint64_t step = 1 + med_rng_below(rng, 100);
    for (uint32_t i = 0; i < c->chunk_count; i++) {
        bool hit = false;
        for (size_t h = 0; h < count && h < 20; h++) hit = hit || hits[h].chunk == i;
        if (hit || med_rng_below(rng, step) == 0) chunks[n++] = i;
    }
    assert_int_equal(med_lex_score(ix->lex, scratch, &q->q, chunks, n, scores, NULL), MED_OK);
    for (size_t i = 0; i < n; i++) {
        for (size_t h = 0; h < count; h++)
            if (hits[h].chunk == chunks[i])
                assert_memory_equal(&hits[h].score, &scores[i], sizeof(float));
        if (i % 50 == 0) assert_true(fabs(naive_score(c, q, chunks[i]) - (double)scores[i]) < 1e-3);
    }
    med_free(chunks);
    med_free(scores);
}

static void check_count(const struct corpus *c, const struct index *ix,
    struct med_lex_scratch *scratch, const struct query *q, struct med_filter filter,
    const uint32_t *groups)
{
    uint64_t expected = 0, got = 0, previous = UINT64_MAX;
    for (uint32_t chunk = 0; chunk < c->chunk_count; chunk++) {
        bool match = false;
        for (size_t t = 0; t < q->q.term_count && !match; t++)
            match = naive_wtf(c, chunk, q->ids[t]) > 0;
        if (!match || !med_filter_has(filter, chunk)) continue;
        uint64_t key = groups ? groups[chunk] : chunk;
        expected += key != previous;
        previous = key;
    }
    assert_int_equal(med_lex_count(ix->lex, scratch, &q->q, filter, groups, &got, NULL), MED_OK);
    assert_int_equal(got, expected);
}

static void check_queries(
    struct med_rng *rng, const struct corpus *c, const struct index *ix, int rounds)
{
    struct med_lex_scratch *scratch = NULL;
    assert_int_equal(med_lex_scratch_new(&scratch, NULL), MED_OK);
    static const size_t ks[] = {1, 2, 10, 100, 1000, 1000000};
    for (int round = 0; round < rounds; round++) {
        struct query q;
        random_query(rng, c, ix->lex, &q);
        struct filter_bits f = random_filter(rng, c->chunk_count);
        const uint32_t *groups = med_rng_below(rng, 2) ? c->groups : NULL;
        size_t k = ks[med_rng_below(rng, sizeof(ks) / sizeof(ks[0]))];
        size_t room = k < c->chunk_count ? k : c->chunk_count;
        struct med_hit *hits = med_calloc(room + 1, sizeof(*hits));
        struct med_hit *oracle = med_calloc(room + 1, sizeof(*hits));
        assert_true(hits && oracle);
        size_t count = 99, oracle_count = 98;
        assert_int_equal(
            med_lex_search(ix->lex, scratch, &q.q, f.filter, groups, k, hits, &count, NULL),
            MED_OK);
        assert_int_equal(med_lex_search_exhaustive(
                             ix->lex, &q.q, f.filter, groups, k, oracle, &oracle_count, NULL),
            MED_OK);
        assert_true(same_hits(hits, count, oracle, oracle_count));
        if (c->chunk_count < 4000 || round % 10 == 0) {
            check_naive(c, &q, f.filter, groups, k, hits, count);
            check_count(c, ix, scratch, &q, f.filter, groups);
        }
        check_scores(rng, c, ix, scratch, &q, hits, count);
        med_free(hits);
        med_free(oracle);
        med_free(f.words);
    }
    med_lex_scratch_free(&scratch);
}

static void check_lexicon(const struct corpus *c, const struct index *ix)
{
    uint32_t found = 0;
    for (uint32_t id = 0; id < c->term_count; id++) {
        struct med_str term = med_vocab_term(c->vocab, id);
        uint32_t ordinal, df;
        if (!med_lex_find(ix->lex, term, &ordinal, &df)) {
            assert_int_equal(naive_df(c, id), 0);
            continue;
        }
        found++;
        if (c->chunk_count < 4000 || id % 50 == 0) assert_int_equal(df, naive_df(c, id));
        struct med_buf buf;
        uint32_t df_again;
        med_buf_init(&buf, 1000);
        assert_int_equal(med_lex_term_at(ix->lex, ordinal, &buf, &df_again, NULL), MED_OK);
        assert_true(med_str_eq(med_buf_str(&buf), term));
        assert_int_equal(df, df_again);
        med_buf_free(&buf);
    }
    assert_int_equal(found, med_lex_term_count(ix->lex));
    assert_false(med_lex_find(ix->lex, MED_STR(""), NULL, NULL));
    assert_false(med_lex_find(ix->lex, MED_STR("\xFF\xFF"), NULL, NULL));
}

static void searches_equal_both_oracles(void **state)
{
    (void)state;
    static const struct {
        uint32_t docs, terms;
        size_t words;
        int rounds;
    } shapes[] = {{0, 5, 5, 3}, {1, 3, 4, 20}, {5, 4, 10, 40}, {130, 12, 6, 60}, {900, 300, 30, 60},
        {3000, 2000, 60, 40}, {14000, 500, 25, 40}};
    struct med_rng rng;
    med_rng_seed(&rng, test_seed());
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        struct corpus c = corpus_new(&rng, shapes[i].docs, shapes[i].terms, shapes[i].words);
        struct index ix = index_open(&c);
        assert_int_equal(med_lex_chunk_count(ix.lex), c.chunk_count);
        uint64_t sum = 0;
        for (uint32_t chunk = 0; chunk < c.chunk_count; chunk++) sum += naive_len(&c, chunk);
        assert_int_equal(med_lex_length_sum(ix.lex), sum);
        check_lexicon(&c, &ix);
        check_queries(&rng, &c, &ix, shapes[i].rounds);
        index_close(&ix);
        corpus_free(&c);
    }
}

static void writer_tells_document_frequencies(void **state)
{
    (void)state;
    struct med_rng rng;
    med_rng_seed(&rng, test_seed());
    struct corpus c = corpus_new(&rng, 200, 50, 20);
    struct med_lex_writer *w = NULL;
    assert_int_equal(med_lex_writer_new(c.vocab, c.weights, &w, NULL), MED_OK);
    uint32_t chunk = 0;
    for (uint32_t d = 0; d < c.doc_count; d++) {
        struct med_lex_field title = field_of(c.docs[d].title), mesh = field_of(c.docs[d].mesh);
        assert_int_equal(med_lex_writer_doc(w, title, mesh, NULL), MED_OK);
        for (; chunk < c.chunk_count && c.chunks[chunk].doc == d; chunk++)
            assert_int_equal(med_lex_writer_chunk(w, field_of(c.chunks[chunk].body), NULL), MED_OK);
    }
    const uint32_t *df = med_lex_writer_df(w);
    assert_non_null(df);
    for (uint32_t id = 0; id < c.term_count; id++) assert_int_equal(df[id], naive_df(&c, id));
    struct med_lex_field none = {0};
    assert_int_equal(med_lex_writer_chunk(w, none, NULL), MED_E_CONFLICT);
    assert_true(med_lex_writer_bytes(w) > 0);
    med_lex_writer_free(&w);
    corpus_free(&c);
}

/* A megabyte is the smallest that a writer holds: with less, each document is a run. */
static void spilled_postings_give_the_same_bytes(void **state)
{
    static const struct {
        uint32_t docs, terms;
        size_t words;
        uint64_t bytes;
    } shapes[] = {{1, 20, 9, 0}, {150, 300, 60, 0}, {3000, 20000, 120, 1 << 20}};
    struct med_rng rng;
    (void)state;
    med_rng_seed(&rng, test_seed());
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct corpus c = corpus_new(&rng, shapes[i].docs, shapes[i].terms, shapes[i].words);
        struct med_file_ref whole[MED_LEX_FILE_COUNT], spilled[MED_LEX_FILE_COUNT];
        char dir[64], path[MED_PATH_MAX];
        make_dir(dir);
        assert_int_equal(corpus_write_within(&c, dir, UINT64_MAX, whole), MED_OK);
        assert_int_equal(corpus_write_within(&c, dir, shapes[i].bytes, spilled), MED_OK);
        for (int f = 0; f < MED_LEX_FILE_COUNT; f++) {
            assert_int_equal(spilled[f].size, whole[f].size);
            assert_true(med_hash128_eq(spilled[f].hash, whole[f].hash));
        }
        /* What was spilled is gone: rmdir wants an empty folder. */
        for (int f = 0; f < MED_LEX_FILE_COUNT; f++) {
            assert_int_equal(med_path_join(path, dir, whole[f].name, NULL), MED_OK);
            assert_int_equal(unlink(path), 0);
        }
        assert_int_equal(rmdir(dir), 0);
        corpus_free(&c);
    }
}

static void bad_queries_are_refused(void **state)
{
    (void)state;
    struct med_rng rng;
    med_rng_seed(&rng, 1);
    struct corpus c = corpus_new(&rng, 50, 20, 20);
    struct index ix = index_open(&c);
    struct med_lex_scratch *scratch = NULL;
    assert_int_equal(med_lex_scratch_new(&scratch, NULL), MED_OK);
    struct med_hit hits[10];
    size_t count = 0;
    struct med_filter all = {0};
    struct {
        struct med_lex_term term;
        float k1, b, avg_len;
    } bad[] = {{{0, NAN}, .9f, .4f, 10}, {{0, -1}, .9f, .4f, 10}, {{0, INFINITY}, .9f, .4f, 10},
        {{0, 1}, NAN, .4f, 10}, {{0, 1}, -1, .4f, 10}, {{0, 1}, .9f, 2, 10},
        {{0, 1}, .9f, .4f, NAN}, {{UINT32_MAX, 1}, .9f, .4f, 10}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct med_lex_query q = {&bad[i].term, 1, bad[i].k1, bad[i].b, bad[i].avg_len};
        assert_int_equal(
            med_lex_search(ix.lex, scratch, &q, all, NULL, 10, hits, &count, NULL), MED_E_INVALID);
    }
    /* Huge weights lower the resolution, not the order. */
    struct med_lex_term heavy = {.ordinal = 0, .weight = 1e6f};
    struct med_lex_query q = {&heavy, 1, .9f, .4f, 10};
    assert_int_equal(
        med_lex_search(ix.lex, scratch, &q, all, NULL, 10, hits, &count, NULL), MED_OK);
    assert_true(count > 0 && hits[0].score > 0 && hits[0].score <= 1.9e6f);
    med_lex_scratch_free(&scratch);
    index_close(&ix);
    corpus_free(&c);
}

/* --- damaged bytes --- */

static enum med_code take_offer(
    void *ctx, struct med_str term, size_t *ret_dead, struct med_err *err)
{
    (void)ctx;
    (void)err;
    *ret_dead = term.len / 2;
    return MED_OK;
}

static void use_damaged(struct med_rng *rng, const struct corpus *c, const struct med_lex *lex,
    struct med_lex_scratch *scratch)
{
    struct med_hit hits[10];
    size_t count;
    uint64_t total;
    uint32_t chunks[8];
    float scores[8];
    struct med_filter all = {0};
    struct query q;
    random_query(rng, c, lex, &q);
    enum med_code code = med_lex_search(lex, scratch, &q.q, all, c->groups, 10, hits, &count, NULL);
    assert_true(code == MED_OK || code == MED_E_CORRUPT);
    code = med_lex_search_exhaustive(lex, &q.q, all, NULL, 10, hits, &count, NULL);
    assert_true(code == MED_OK || code == MED_E_CORRUPT);
    code = med_lex_count(lex, scratch, &q.q, all, NULL, &total, NULL);
    assert_true(code == MED_OK || code == MED_E_CORRUPT);
    for (uint32_t i = 0; i < 8; i++) chunks[i] = med_lex_chunk_count(lex) * i / 8;
    code = med_lex_score(lex, scratch, &q.q, chunks, 8, scores, NULL);
    assert_true(code == MED_OK || code == MED_E_CORRUPT);
    code = med_lex_scan(lex, (struct med_str){0}, take_offer, NULL, NULL);
    assert_true(code == MED_OK || code == MED_E_CORRUPT);
    if (med_rng_below(rng, 10) == 0) {
        code = med_lex_check(lex, NULL);
        assert_true(code == MED_OK || code == MED_E_CORRUPT);
    }
}

static void damaged_bytes_never_crash(void **state)
{
    (void)state;
    struct med_rng rng;
    med_rng_seed(&rng, test_seed());
    struct corpus c = corpus_new(&rng, 600, 80, 20);
    struct index ix = index_open(&c);
    struct med_lex_scratch *scratch = NULL;
    assert_int_equal(med_lex_scratch_new(&scratch, NULL), MED_OK);
    unsigned opened = 0;
    for (int round = 0; round < 3000; round++) {
        struct med_map maps[MED_LEX_FILE_COUNT];
        for (int i = 0; i < MED_LEX_FILE_COUNT;
             i++) { /* exact copies: a sanitizer sees one byte too far */
            uint8_t *copy = med_malloc(ix.maps[i].len);
            assert_non_null(copy);
            memcpy(copy, ix.maps[i].ptr, ix.maps[i].len);
            maps[i] = (struct med_map){.ptr = copy, .len = ix.maps[i].len};
        }
        size_t which = (size_t)med_rng_below(&rng, 20);
        which = which < 9 ? 0 : which < 19 ? 1 : 2;
        uint8_t *bytes = (uint8_t *)(uintptr_t)maps[which].ptr;
        for (uint64_t flips = 1 + med_rng_below(&rng, 4); flips > 0; flips--)
            bytes[med_rng_below(&rng, maps[which].len)] ^= (uint8_t)(1u << med_rng_below(&rng, 8));
        if (med_rng_below(&rng, 10) == 0)
            maps[which].len = (size_t)med_rng_below(&rng, maps[which].len + 1);
        struct med_lex *lex = NULL;
        enum med_code code = med_lex_open(maps[0], maps[1], maps[2], &lex, NULL);
        if (code == MED_OK) {
            opened++;
            use_damaged(&rng, &c, lex, scratch);
            med_lex_free(&lex);
        }
        for (int i = 0; i < MED_LEX_FILE_COUNT; i++) med_free((void *)(uintptr_t)maps[i].ptr);
    }
    assert_true(opened > 100);
    med_lex_scratch_free(&scratch);
    index_close(&ix);
    corpus_free(&c);
}

/* --- memory --- */

static void running_out_of_memory_is_an_error(void **state)
{
    (void)state;
    for (unsigned spilled = 0; spilled < 2; spilled++) {
        struct med_rng rng;
        med_rng_seed(&rng, 7);
        struct corpus c = corpus_new(&rng, spilled ? 3 : 300, 60, 20);
        char dir[64];
        make_dir(dir);
        struct med_file_ref files[MED_LEX_FILE_COUNT];
        enum med_code code = MED_E_NOMEM;
        uint64_t n = 1;
        for (; n < 2000 && code != MED_OK; n++) {
            med_mem_fail_after(n);
            code = corpus_write_within(&c, dir, spilled ? 0 : UINT64_MAX, files);
            med_mem_fail_after(0);
            assert_true(code == MED_OK || code == MED_E_NOMEM);
        }
        assert_int_equal(code, MED_OK);
        assert_true(n > 10);
        remove_dir(dir);
        corpus_free(&c);
    }
}

/* --- CPU paths --- */

/* A digest of everything a seeded run computes; in a child process, because the level is decided
 * once. */
static uint64_t digest_at(const char *level)
{
    int pipe_ends[2];
    assert_int_equal(pipe(pipe_ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setenv("MEDICUS_CPU", level, 1);
        struct med_rng rng;
        med_rng_seed(&rng, 4);
        struct corpus c = corpus_new(&rng, 6000, 700, 40);
        struct index ix = index_open(&c);
        struct med_hasher *hasher = med_hasher_new();
        struct med_lex_scratch *scratch = NULL;
        if (!hasher || med_lex_scratch_new(&scratch, NULL) != MED_OK) _exit(1);
        for (int round = 0; round < 200; round++) {
            struct query q;
            random_query(&rng, &c, ix.lex, &q);
            struct filter_bits f = random_filter(&rng, c.chunk_count);
            struct med_hit hits[50];
            size_t count;
            if (med_lex_search(ix.lex, scratch, &q.q, f.filter, c.groups, 50, hits, &count, NULL) !=
                MED_OK)
                _exit(1);
            med_hasher_update(hasher, hits, count * sizeof(hits[0]));
            med_free(f.words);
        }
        uint64_t digest = med_hasher_digest(hasher).lo;
        index_close(&ix);
        _exit(write(pipe_ends[1], &digest, sizeof(digest)) == sizeof(digest) ? 0 : 1);
    }
    uint64_t digest = 0;
    close(pipe_ends[1]);
    assert_int_equal(read(pipe_ends[0], &digest, sizeof(digest)), sizeof(digest));
    close(pipe_ends[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    return digest;
}

static void every_cpu_path_gives_the_same_bits(void **state)
{
    (void)state;
    uint64_t portable = digest_at("portable");
    assert_int_equal(digest_at("avx2"), portable);
    assert_int_equal(digest_at("avx512"), portable);
}

static void packing_round_trips_at_every_width(void **state)
{
    (void)state;
    struct med_rng rng;
    med_rng_seed(&rng, test_seed());
    for (uint32_t bits = 0; bits <= LEX_ID_BITS_MAX; bits++) {
        for (uint32_t count = 1; count <= LEX_BLOCK; count++) {
            uint32_t values[LEX_BLOCK], out[LEX_BLOCK + LEX_UNPACK_SLACK];
            for (uint32_t i = 0; i < count; i++)
                values[i] = (uint32_t)med_rng_below(&rng, 1ull << bits);
            size_t size = lex_packed_bytes(count, bits);
            uint8_t *packed = med_calloc(size + LEX_PAD_BYTES, 1);
            assert_non_null(packed);
            lex_pack(values, count, bits, packed);
            lex_unpack_plus_1(packed, count, bits, out);
            for (uint32_t i = 0; i < count; i++) {
                assert_int_equal(out[i], values[i] + 1);
                assert_int_equal(lex_unpack_one(packed, bits, i), values[i]);
            }
            uint64_t sum = 999, last = lex_unpack_ids(packed, count, bits, 999, out);
            for (uint32_t i = 0; i < count; i++) {
                sum += (uint64_t)values[i] + 1;
                assert_int_equal(out[i], (uint32_t)sum);
            }
            assert_true(last == sum);
            med_free(packed);
        }
    }
}

static void length_codes_round_down(void **state)
{
    (void)state;
    uint8_t previous = 0;
    for (uint32_t len = 0; len <= LEX_LEN_MAX; len++) {
        uint8_t code = lex_len_code(len);
        assert_true(lex_len_of_code(code) <= len && code >= previous);
        assert_true(lex_len_of_code(code) * 17ull >= len * 16ull);
        previous = code;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            every_cpu_path_gives_the_same_bits), /* first: it forks before a level is decided */
        cmocka_unit_test(packing_round_trips_at_every_width),
        cmocka_unit_test(length_codes_round_down),
        cmocka_unit_test(searches_equal_both_oracles),
        cmocka_unit_test(writer_tells_document_frequencies),
        cmocka_unit_test(spilled_postings_give_the_same_bytes),
        cmocka_unit_test(bad_queries_are_refused),
        cmocka_unit_test(damaged_bytes_never_crash),
        cmocka_unit_test(running_out_of_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

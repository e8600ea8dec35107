/* Promises of lexical search that only larger collections can break: above a size it predicts what
 * the best passages reach, from the first 1,024 of every 32,768, and results must be those of
 * exhaustive search whether that was right or not. MEDICUS_SEED replays a run. */
#include "common/fs.h"
#include "common/limits.h"
#include "common/mem.h"
#include "common/rng.h"
#include "index/lexical/lexical.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define CHUNKS 50000u
#define TERMS 32u
#define BEST_TERM (TERMS - 1)
#define K_MAX 700

enum where { EVERYWHERE, IN_SAMPLE, OUT_OF_SAMPLE };

struct index {
    char dir[64];
    struct med_map maps[MED_LEX_FILE_COUNT];
    struct med_lex *lex;
    uint32_t groups[CHUNKS];
};

/* Short texts of common words; few passages have the last term, several times. */
static void add_chunk(
    struct med_rng *rng, struct med_lex_writer *writer, uint32_t i, enum where where)
{
    bool best = med_rng_below(rng, 40) == 0, in_sample = i % 32768 < 1024;
    if (where != EVERYWHERE) best = best && in_sample == (where == IN_SAMPLE);
    uint32_t terms[8];
    struct med_lex_field none = {0}, body = {.terms = terms};
    body.term_count = 2 + (size_t)med_rng_below(rng, 6);
    body.length = (uint32_t)body.term_count;
    for (size_t w = 0; w < body.term_count; w++) {
        double u = med_rng_unit(rng);
        terms[w] = best && w < 3 ? BEST_TERM : (uint32_t)(u * u * u * BEST_TERM);
    }
    assert_int_equal(med_lex_writer_doc(writer, none, none, NULL), MED_OK);
    assert_int_equal(med_lex_writer_chunk(writer, body, NULL), MED_OK);
}

static struct index *index_new(struct med_rng *rng, enum where where)
{
    struct index *ix = med_calloc(1, sizeof(*ix));
    assert_non_null(ix);
    memcpy(ix->dir, "/tmp/medicus-lexical-XXXXXX", sizeof("/tmp/medicus-lexical-XXXXXX"));
    assert_non_null(mkdtemp(ix->dir));
    struct med_vocab *vocab;
    struct med_lex_writer *writer;
    assert_int_equal(med_vocab_new(&vocab, NULL), MED_OK);
    for (uint32_t t = 0; t < TERMS; t++) {
        char term[16];
        uint32_t id;
        struct med_str s = {.ptr = term, .len = (size_t)snprintf(term, sizeof(term), "t%02u", t)};
        assert_int_equal(med_vocab_intern(vocab, s, &id, NULL), MED_OK);
    }
    assert_int_equal(med_lex_writer_new(vocab, MED_LEX_WEIGHTS_DEFAULT, &writer, NULL), MED_OK);
    for (uint32_t i = 0, group = 0; i < CHUNKS; i++) {
        if (med_rng_below(rng, 3) == 0) group = i;
        ix->groups[i] = group;
        add_chunk(rng, writer, i, where);
    }
    struct med_file_ref files[MED_LEX_FILE_COUNT];
    assert_int_equal(
        med_lex_writer_finish(writer, med_fs_posix(), ix->dir, "", files, NULL), MED_OK);
    med_lex_writer_free(&writer);
    med_vocab_free(&vocab);
    for (int i = 0; i < MED_LEX_FILE_COUNT; i++) {
        char path[MED_PATH_MAX];
        assert_int_equal(med_path_join(path, ix->dir, files[i].name, NULL), MED_OK);
        assert_int_equal(med_map_open(path, &ix->maps[i], NULL), MED_OK);
    }
    assert_int_equal(med_lex_open(ix->maps[0], ix->maps[1], ix->maps[2], &ix->lex, NULL), MED_OK);
    return ix;
}

static void index_free(struct index *ix)
{
    med_lex_free(&ix->lex);
    for (int i = 0; i < MED_LEX_FILE_COUNT; i++) med_map_close(&ix->maps[i]);
    assert_int_equal(med_fs_remove_tree(med_fs_posix(), ix->dir, NULL), MED_OK);
    med_free(ix);
}

/* The terms of the lexicon are in the order of their numbers; the rarest one counts most. */
static size_t random_terms(struct med_rng *rng, const struct med_lex *lex, struct med_lex_term *ret)
{
    size_t count = 0;
    for (uint32_t t = 0; t < med_lex_term_count(lex); t++)
        if (t == BEST_TERM || med_rng_below(rng, 3) == 0)
            ret[count++] = (struct med_lex_term){
                .ordinal = t, .weight = .1f + .3f * (float)t + (float)med_rng_unit(rng)};
    return count;
}

/* Half of the time none; else a share of the passages, some of them in one place. */
static struct med_filter random_filter(struct med_rng *rng, uint64_t *words)
{
    static const double shares[] = {.02, .5, .95};
    double share = shares[med_rng_below(rng, 3)];
    uint32_t set_count = 0, first = (uint32_t)med_rng_below(rng, 2) * (CHUNKS / 2);
    memset(words, 0, (CHUNKS / 64 + 1) * sizeof(*words));
    for (uint32_t i = first; i < CHUNKS; i++) {
        if (med_rng_unit(rng) >= share) continue;
        words[i >> 6] |= 1ull << (i & 63);
        set_count++;
    }
    bool any = med_rng_below(rng, 2);
    return (struct med_filter){.words = any ? words : NULL, .set_count = set_count};
}

static void check_query(struct med_rng *rng, const struct index *ix,
    struct med_lex_scratch *scratch, const uint32_t *groups, size_t k)
{
    static struct med_hit hits[K_MAX], oracle[K_MAX];
    static uint64_t words[CHUNKS / 64 + 1];
    struct med_lex_term terms[TERMS];
    struct med_lex_query q = {.terms = terms,
        .term_count = random_terms(rng, ix->lex, terms),
        .k1 = MED_BM25_K1_DEFAULT,
        .b = MED_BM25_B_DEFAULT,
        .avg_len = 4.5f};
    struct med_filter filter = random_filter(rng, words);
    size_t count = 99, oracle_count = 98;
    assert_int_equal(
        med_lex_search(ix->lex, scratch, &q, filter, groups, k, hits, &count, NULL), MED_OK);
    assert_int_equal(
        med_lex_search_exhaustive(ix->lex, &q, filter, groups, k, oracle, &oracle_count, NULL),
        MED_OK);
    assert_int_equal(count, oracle_count);
    assert_memory_equal(hits, oracle, count * sizeof(*hits));
}

static void a_wrong_prediction_changes_no_result(void **state)
{
    (void)state;
    static const size_t ks[] = {10, 64, 100, 700};
    const char *env = getenv("MEDICUS_SEED");
    uint64_t seed = env ? strtoull(env, NULL, 10) : 20011116;
    print_message("MEDICUS_SEED=%llu\n", (unsigned long long)seed);
    struct med_rng rng;
    med_rng_seed(&rng, seed);
    struct med_lex_scratch *scratch = NULL;
    assert_int_equal(med_lex_scratch_new(&scratch, NULL), MED_OK);
    for (enum where where = EVERYWHERE; where <= OUT_OF_SAMPLE; where++) {
        struct index *ix = index_new(&rng, where);
        for (size_t round = 0; round < 24; round++)
            check_query(&rng, ix, scratch, round % 2 ? ix->groups : NULL, ks[round % 4]);
        index_free(ix);
    }
    med_lex_scratch_free(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_prediction_changes_no_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

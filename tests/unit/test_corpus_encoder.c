/* The corpus encoder: what it learns, that it is deterministic, its file, its kernels, and what it
 * does with damaged bytes, full memory and a caller who wants to stop. */
#include "common/mem.h"
#include "common/rng.h"
#include "embed/corpus_encoder.h"
#include "embed/corpus_internal.h"
#include "tests/support/support.h"

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct med_err err;
#define OK(call)                                                                                   \
    do {                                                                                           \
        enum med_code ok_code = (call);                                                            \
        if (ok_code != MED_OK) fail_msg("%s: %s", #call, err.text);                                \
    } while (0)

/* --- a corpus written by a dice --- */

#define TOPICS 6
#define TOPIC_WORDS 12
#define COMMON_WORDS 20
#define TOKENS_MAX 200000
#define SENTENCES_MAX 20000
#define DOCS_MAX 4000

struct text {
    struct med_vocab *vocab;
    uint32_t tokens[TOKENS_MAX];
    uint64_t sentence_starts[SENTENCES_MAX + 1];
    uint64_t doc_starts[DOCS_MAX + 1];
    uint32_t df[TOKENS_MAX];
    uint64_t token_count, sentence_count;
    uint32_t doc_count;
};

static struct text *text_new(void)
{
    struct text *t = med_calloc(1, sizeof *t);
    assert_non_null(t);
    OK(med_vocab_new(&t->vocab, &err));
    return t;
}

static void text_free(struct text *t)
{
    med_vocab_free(&t->vocab);
    med_free(t);
}

static uint32_t word(struct text *t, const char *name)
{
    uint32_t id;
    OK(med_vocab_intern(t->vocab, med_str_of(name), &id, &err));
    return id;
}

static void put(struct text *t, uint32_t id)
{
    assert_true(t->token_count < TOKENS_MAX);
    t->tokens[t->token_count++] = id;
}

static void end_sentence(struct text *t)
{
    assert_true(t->sentence_count < SENTENCES_MAX);
    t->sentence_starts[++t->sentence_count] = t->token_count;
}

static void end_doc(struct text *t)
{
    assert_true(t->doc_count < DOCS_MAX);
    t->doc_starts[++t->doc_count] = t->sentence_count;
}

static struct med_train_corpus corpus_of(struct text *t)
{
    for (uint32_t d = 0; d < t->doc_count; d++) {
        uint64_t begin = t->sentence_starts[t->doc_starts[d]];
        uint64_t end = t->sentence_starts[t->doc_starts[d + 1]];
        for (uint64_t i = begin; i < end; i++) {
            uint64_t j = begin;
            while (t->tokens[j] != t->tokens[i]) j++;
            t->df[t->tokens[i]] += j == i;
        }
    }
    return (struct med_train_corpus){
        .vocab = t->vocab,
        .df = t->df,
        .passage_count = t->doc_count,
        .tokens = t->tokens,
        .sentence_starts = t->sentence_starts,
        .sentence_count = t->sentence_count,
        .doc_starts = t->doc_starts,
        .doc_count = t->doc_count,
    };
}

static void put_named(struct text *t, const char *prefix, unsigned a, unsigned b)
{
    char name[32];
    snprintf(name, sizeof name, "%s%u.%u", prefix, a, b);
    put(t, word(t, name));
}

/* Documents of TOPICS topics, told apart by words of their own among common ones. */
static struct text *topics_new(unsigned docs, bool titles, uint64_t seed)
{
    struct text *t = text_new();
    struct med_rng rng;
    med_rng_seed(&rng, seed);
    for (unsigned d = 0; d < docs; d++) {
        unsigned topic = d % TOPICS;
        for (unsigned s = 0; s < 5; s++) {
            if (s == 0 && !titles) {
                end_sentence(t);
                continue;
            }
            for (unsigned w = 0; w < 9; w++) {
                if (med_rng_below(&rng, 2) == 0)
                    put_named(t, "topic", topic, (unsigned)med_rng_below(&rng, TOPIC_WORDS));
                else
                    put_named(t, "common", 0, (unsigned)med_rng_below(&rng, COMMON_WORDS));
            }
            end_sentence(t);
        }
        end_doc(t);
    }
    return t;
}

static struct med_corpus_encoder *train(struct text *t, unsigned threads, uint32_t dim)
{
    struct med_train_corpus corpus = corpus_of(t);
    struct med_train_options options = {.dim = dim, .seed = 7, .threads = threads};
    struct med_corpus_encoder *encoder;
    OK(med_corpus_train(&corpus, &options, &encoder, &err));
    return encoder;
}

/* The vector of space-separated words; false = none is known. */
static bool encode(const struct med_corpus_encoder *encoder, const char *words, float *vector)
{
    uint32_t rows[64];
    float counts[64];
    struct med_bag bag = {.rows = rows, .counts = counts};
    while (*words && bag.count < 64) {
        size_t len = strcspn(words, " ");
        rows[bag.count] = med_corpus_find(encoder, (struct med_str){.ptr = words, .len = len});
        counts[bag.count++] = 1;
        words += len + (words[len] == ' ');
    }
    bool known;
    med_corpus_encode(encoder, &bag, vector, &known);
    return known;
}

static float cosine(const struct med_corpus_encoder *encoder, const char *a, const char *b)
{
    float x[1024], y[1024], sum = 0;
    assert_true(encode(encoder, a, x) && encode(encoder, b, y));
    for (uint32_t d = 0; d < med_corpus_dim(encoder); d++) sum += x[d] * y[d];
    return sum;
}

/* --- learning --- */

/* Two texts of one topic share no word, and yet are nearer than texts of two topics. */
static void check_topics(bool titles)
{
    struct text *t = topics_new(600, titles, 1);
    struct med_corpus_encoder *encoder = train(t, 1, 32);
    for (unsigned i = 0; i < TOPICS; i++) {
        for (unsigned j = 0; j < TOPICS; j++) {
            char a[64], b[64];
            snprintf(a, sizeof a, "topic%u.0 topic%u.1 topic%u.2", i, i, i);
            snprintf(b, sizeof b, "topic%u.5 topic%u.6 topic%u.7", j, j, j);
            float similarity = cosine(encoder, a, b);
            assert_true(i == j ? similarity > 0.5f : similarity < 0.3f);
        }
    }
    med_corpus_free(&encoder);
    assert_null(encoder);
    text_free(t);
}

static void texts_without_a_common_word_meet_by_topic(void **state)
{
    (void)state;
    check_topics(true);
}

static void documents_without_titles_teach_too(void **state)
{
    (void)state;
    check_topics(false);
}

static void one_line_records_without_titles_keep_the_vectors_of_the_svd(void **state)
{
    (void)state;
    struct text *t = text_new();
    for (unsigned d = 0; d < 60; d++) {
        end_sentence(t);
        for (unsigned w = 0; w < 3; w++) put_named(t, "word", d % 6, (d + w) % 4);
        end_sentence(t);
        end_doc(t);
    }
    struct med_corpus_encoder *encoder = train(t, 1, 16);
    assert_true(cosine(encoder, "word1.0", "word1.1") > cosine(encoder, "word1.0", "word2.1"));
    med_corpus_free(&encoder);
    text_free(t);
}

static void a_book_without_full_stops_is_learnt_in_pieces(void **state)
{
    (void)state;
    struct text *t = text_new();
    struct med_rng rng;
    med_rng_seed(&rng, 3);
    put_named(t, "title", 0, 0);
    end_sentence(t);
    for (unsigned w = 0; w < 50000; w++)
        put_named(t, "word", w / 1000, (unsigned)med_rng_below(&rng, 40));
    end_sentence(t);
    end_doc(t);
    struct med_corpus_encoder *encoder = train(t, 1, 64);
    assert_true(med_corpus_trained_passages(encoder) > 50000 / 320);
    assert_true(med_corpus_trained_passages(encoder) < 50000 / 320 * 2);
    assert_true(cosine(encoder, "word10.1", "word10.2") > cosine(encoder, "word10.1", "word40.2"));
    med_corpus_free(&encoder);
    text_free(t);
}

static float cosine_of(const float *a, const float *b, uint32_t dim)
{
    float ab = 0, aa = 0, bb = 0;
    for (uint32_t d = 0; d < dim; d++) {
        ab += a[d] * b[d];
        aa += a[d] * a[d];
        bb += b[d] * b[d];
    }
    return ab / sqrtf(aa * bb);
}

/* A word of a single passage is put opposite to the passage's other words; smoothing brings it to
 * their side, leaves its length, and hardly touches the words of many passages. */
static void smoothing_moves_rare_terms_to_their_company_and_leaves_common_ones(void **state)
{
    (void)state;
    enum { DIM = 32 };
    struct text *t = topics_new(600, true, 9);
    put_named(t, "rare", 0, 0);
    end_sentence(t);
    for (unsigned w = 0; w < 8; w++) put_named(t, "topic", 3, w);
    end_sentence(t);
    end_doc(t);
    struct med_train_corpus corpus = corpus_of(t);
    struct corpus_set set = {0};
    float *before, *after;
    struct med_train_bounds all = {MED_TRAIN_PASSAGES_MAX, MED_ENCODER_VOCAB_MAX};
    OK(corpus_prepare(&corpus, 7, all, &set, &err));
    OK(corpus_svd(&set, DIM, 7, 1, NULL, &before, &err));
    float *rare = before + (size_t)set.row_of[word(t, "rare0.0")] * DIM;
    const float *common = before + (size_t)set.row_of[word(t, "topic3.0")] * DIM;
    for (unsigned d = 0; d < DIM; d++) rare[d] = -0.1f * common[d];
    size_t bytes = (size_t)set.row_count * DIM * sizeof(float);
    after = med_realloc_array(NULL, bytes, 1);
    assert_non_null(after);
    memcpy(after, before, bytes);
    OK(corpus_smooth(&set, DIM, 2, after, &err));
    const float *moved = after + (rare - before), *kept = after + (common - before);
    assert_true(cosine_of(rare, common, DIM) < -0.99f);
    assert_true(cosine_of(moved, common, DIM) > cosine_of(rare, common, DIM) + 0.2f);
    assert_true(cosine_of(kept, common, DIM) > 0.999f);
    float length = 0, length_before = 0;
    for (unsigned d = 0; d < DIM; d++) {
        length += moved[d] * moved[d];
        length_before += rare[d] * rare[d];
    }
    assert_true(fabsf(length - length_before) < 1e-4f * length_before);
    med_free(before);
    med_free(after);
    corpus_set_free(&set);
    text_free(t);
}

static void identical_documents_give_finite_vectors(void **state)
{
    (void)state;
    struct text *t = text_new();
    for (unsigned d = 0; d < 40; d++) {
        for (unsigned s = 0; s < 3; s++) {
            for (unsigned w = 0; w < 5; w++) put_named(t, "word", s, w);
            end_sentence(t);
        }
        end_doc(t);
    }
    struct med_corpus_encoder *encoder = train(t, 1, 0);
    float vector[1024];
    if (encode(encoder, "word1.1 word2.2", vector))
        for (uint32_t d = 0; d < med_corpus_dim(encoder); d++) assert_true(isfinite(vector[d]));
    med_corpus_free(&encoder);
    text_free(t);
}

static void too_little_text_is_unsupported(void **state)
{
    (void)state;
    struct text *t = text_new();
    struct med_corpus_encoder *encoder = NULL;
    struct med_train_options options = {.threads = 1};
    for (unsigned docs = 0; docs < 3; docs++) {
        struct med_train_corpus corpus = corpus_of(t);
        assert_int_equal(med_corpus_train(&corpus, &options, &encoder, &err), MED_E_UNSUPPORTED);
        assert_null(encoder);
        if (docs == 0) put_named(t, "alone", 0, 0);
        end_sentence(t);
        end_doc(t);
    }
    text_free(t);
}

static void dimensions_are_rounded_lowered_and_limited(void **state)
{
    (void)state;
    struct text *t = topics_new(120, true, 2);
    struct med_corpus_encoder *encoder = train(t, 1, 50);
    assert_int_equal(med_corpus_dim(encoder), 64);
    med_corpus_free(&encoder);
    memset(t->df, 0, sizeof t->df);
    encoder = train(t, 1, 0); /* fewer terms than the default has dimensions */
    assert_true(med_corpus_dim(encoder) <= 128);
    med_corpus_free(&encoder);
    struct med_train_corpus corpus = corpus_of(t);
    struct med_train_options options = {.dim = 5000};
    assert_int_equal(med_corpus_train(&corpus, &options, &encoder, &err), MED_E_LIMIT);
    text_free(t);
}

/* --- determinism --- */

static struct med_hash128 trained_hash(unsigned threads, const char *dir)
{
    struct text *t = topics_new(700, true, 5);
    struct med_corpus_encoder *encoder = train(t, threads, 48);
    char path[MED_PATH_MAX];
    OK(med_path_join(path, dir, "encoder", &err));
    struct med_hash128 hash;
    uint64_t size;
    OK(med_corpus_save(encoder, med_fs_posix(), path, &size, &hash, &err));
    assert_true(size > 0);
    med_corpus_free(&encoder);
    text_free(t);
    return hash;
}

static void any_number_of_threads_gives_the_same_bytes(void **state)
{
    (void)state;
    char dir[MED_PATH_MAX];
    med_test_temp_new(dir);
    struct med_hash128 one = trained_hash(1, dir);
    assert_true(med_hash128_eq(one, trained_hash(1, dir)));
    assert_true(med_hash128_eq(one, trained_hash(2, dir)));
    assert_true(med_hash128_eq(one, trained_hash(5, dir)));
    med_test_temp_remove(dir);
}

static void every_kernel_level_gives_the_same_bits(void **state)
{
    (void)state;
    enum { ROWS = 50, COUNT = 301, DIM_MAX = 1040 };
    static const size_t dims[] = {16, 32, 64, 80, 256, 272, 336, DIM_MAX};
    struct med_rng rng;
    med_rng_seed(&rng, med_test_seed());
    uint16_t *half = med_malloc(ROWS * DIM_MAX * sizeof *half);
    float *full = med_malloc(ROWS * DIM_MAX * sizeof *full);
    uint32_t ids[COUNT];
    float weights[COUNT];
    for (size_t i = 0; i < ROWS * DIM_MAX; i++) {
        full[i] = (float)med_rng_normal(&rng);
        half[i] = (uint16_t)(med_rng_u64(&rng) & 0xbbffu); /* any finite one, subnormals too */
    }
    for (unsigned i = 0; i < COUNT; i++) {
        ids[i] = (uint32_t)med_rng_below(&rng, ROWS);
        weights[i] = (float)med_rng_normal(&rng);
    }
    struct med_adam step = {.rate = .01f, .beta1 = .9f, .beta2 = .999f, .second_scale = 3};
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
        size_t dim = dims[d], bytes = dim * sizeof(float), counts[] = {0, 1, 3, 7, COUNT};
        for (size_t n = 0; n < sizeof counts / sizeof *counts; n++) {
            float expected[5][DIM_MAX], got[5][DIM_MAX];
            for (int level = MED_CPU_PORTABLE; level <= MED_CPU_AVX512; level++) {
                const struct med_corpus_kernels *k = med_corpus_kernels((enum med_cpu)level);
                for (unsigned i = 0; i < 5; i++) memcpy(got[i], full + i * dim, bytes);
                k->add_half_rows(half, dim, ids, weights, counts[n], got[0]);
                k->add_float_rows(full, dim, ids, weights, counts[n], got[1]);
                for (size_t i = 0; i < dim; i++) got[3][i] = fabsf(got[3][i]);
                k->adam(got[2], got[4], got[3], full, dim, &step);
                got[0][0] += k->dot(full, full + dim, dim);
                if (level == MED_CPU_PORTABLE) memcpy(expected, got, sizeof got);
                for (unsigned i = 0; i < 5; i++) assert_memory_equal(expected[i], got[i], bytes);
            }
        }
    }
    med_free(half);
    med_free(full);
}

/* --- numbers --- */

static void half_floats_convert_exactly_and_round_to_nearest_even(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        float value = med_half_to_float((uint16_t)h);
        if (isnan(value)) {
            assert_true(isnan(med_half_to_float(med_float_to_half(value))));
            continue;
        }
        assert_int_equal(med_float_to_half(value), h);
        uint32_t magnitude = h & 0x7fffu;
        if (magnitude >= 0x7bffu) continue;
        float next = med_half_to_float((uint16_t)(h + 1)), middle = (value + next) / 2;
        assert_int_equal(med_float_to_half(middle), (h & 1) ? h + 1 : h);
        assert_int_equal(med_float_to_half(nextafterf(middle, value)), h);
        assert_int_equal(med_float_to_half(nextafterf(middle, next)), h + 1);
    }
    assert_int_equal(med_float_to_half(65520), 0x7c00);
    assert_int_equal(med_float_to_half(-1e30f), 0xfc00);
}

static void the_weight_of_a_count_is_one_plus_its_logarithm(void **state)
{
    (void)state;
    assert_true(med_corpus_tf_weight(1) == 1);
    assert_true(med_corpus_tf_weight(0.25f) == 0.25f);
    for (float count = 1; count < 1e9f; count *= 1.07f) {
        double exact = 1 + log((double)count);
        assert_true(fabs((double)med_corpus_tf_weight(count) - exact) < exact * 1e-7);
    }
    assert_true(isfinite(med_corpus_tf_weight(INFINITY)));
}

/* --- encoding --- */

static void unknown_terms_are_skipped_and_alone_give_zeros(void **state)
{
    (void)state;
    struct text *t = topics_new(120, true, 4);
    struct med_corpus_encoder *encoder = train(t, 1, 32);
    uint32_t dim = med_corpus_dim(encoder);
    float with[64], without[64];
    assert_int_equal(med_corpus_find(encoder, med_str_of("nonesuch")), MED_NO_TERM);
    assert_int_equal(med_corpus_find(encoder, med_str_of("")), MED_NO_TERM);
    assert_true(encode(encoder, "nonesuch topic1.1", with));
    assert_true(encode(encoder, "topic1.1", without));
    assert_memory_equal(with, without, dim * sizeof(float));
    assert_false(encode(encoder, "nonesuch", with));
    for (uint32_t d = 0; d < dim; d++) assert_true(with[d] == 0);
    float counts[] = {NAN, -1, 0};
    uint32_t rows[] = {0, 1, 2};
    bool known;
    med_corpus_encode(encoder, &(struct med_bag){rows, counts, 3}, with, &known);
    assert_false(known);
    med_corpus_encode(encoder, &(struct med_bag){0}, with, &known);
    assert_false(known);
    med_corpus_free(&encoder);
    text_free(t);
}

static void vectors_have_length_one_however_long_the_text(void **state)
{
    (void)state;
    struct text *t = topics_new(120, true, 4);
    struct med_corpus_encoder *encoder = train(t, 1, 32);
    uint32_t rows[1000], terms = med_corpus_term_count(encoder);
    float counts[1000], vector[64];
    for (unsigned i = 0; i < 1000; i++) {
        rows[i] = i % terms;
        counts[i] = (float)(i % 9) * 0.5f;
    }
    for (size_t count = 3; count <= 1000; count = count * 3 / 2) {
        double square = 0;
        bool known;
        med_corpus_encode(encoder, &(struct med_bag){rows, counts, count}, vector, &known);
        assert_true(known);
        for (uint32_t d = 0; d < med_corpus_dim(encoder); d++)
            square += (double)vector[d] * (double)vector[d];
        assert_true(fabs(square - 1) < 1e-5);
    }
    med_corpus_free(&encoder);
    text_free(t);
}

/* --- the file --- */

static uint8_t *saved_bytes(const struct med_corpus_encoder *encoder, size_t *ret_len)
{
    char dir[MED_PATH_MAX], path[MED_PATH_MAX];
    med_test_temp_new(dir);
    OK(med_path_join(path, dir, "encoder", &err));
    uint64_t size;
    struct med_hash128 hash;
    OK(med_corpus_save(encoder, med_fs_posix(), path, &size, &hash, &err));
    struct med_map map;
    OK(med_map_open(path, &map, &err));
    assert_int_equal(map.len, size);
    assert_true(med_hash128_eq(hash, med_hash128(map.ptr, map.len)));
    uint8_t *bytes = med_aligned_alloc(map.len);
    memcpy(bytes, map.ptr, map.len);
    *ret_len = map.len;
    med_map_close(&map);
    med_test_temp_remove(dir);
    return bytes;
}

static void a_saved_encoder_opens_and_answers_the_same(void **state)
{
    (void)state;
    struct text *t = topics_new(120, true, 4);
    struct med_corpus_encoder *encoder = train(t, 1, 32), *opened;
    size_t len;
    uint8_t *bytes = saved_bytes(encoder, &len);
    OK(med_corpus_open(bytes, len, &opened, &err));
    assert_int_equal(med_corpus_dim(opened), med_corpus_dim(encoder));
    assert_int_equal(med_corpus_term_count(opened), med_vocab_count(t->vocab));
    float a[64], b[64];
    for (uint32_t id = 0; id < med_vocab_count(t->vocab); id++) {
        struct med_str term = med_vocab_term(t->vocab, id);
        uint32_t row = med_corpus_find(opened, term);
        assert_int_not_equal(row, MED_NO_TERM);
        assert_int_equal(row, med_corpus_find(encoder, term));
        float one = 1;
        med_corpus_encode(encoder, &(struct med_bag){&row, &one, 1}, a, NULL);
        med_corpus_encode(opened, &(struct med_bag){&row, &one, 1}, b, NULL);
        assert_memory_equal(a, b, med_corpus_dim(encoder) * sizeof(float));
    }
    med_corpus_free(&opened);
    med_corpus_free(&encoder);
    med_free(bytes);
    text_free(t);
}

/* Uses whatever the bytes hold, as a server would: it must neither crash nor give a NaN. */
static void use_bytes(const uint8_t *bytes, size_t len)
{
    struct med_corpus_encoder *encoder;
    enum med_code code = med_corpus_open(bytes, len, &encoder, &err);
    if (code != MED_OK) {
        assert_true(code == MED_E_CORRUPT || code == MED_E_UNSUPPORTED);
        return;
    }
    float vector[1024];
    encode(encoder, "topic1.1 topic2.0 common0.3 nonesuch", vector);
    for (uint32_t d = 0; d < med_corpus_dim(encoder); d++) assert_true(isfinite(vector[d]));
    uint32_t rows[256];
    float counts[256];
    uint32_t terms = med_corpus_term_count(encoder);
    for (unsigned i = 0; i < 256; i++) {
        rows[i] = terms - 1 - i % terms;
        counts[i] = 1;
    }
    med_corpus_encode(encoder, &(struct med_bag){rows, counts, 256}, vector, NULL);
    for (uint32_t d = 0; d < med_corpus_dim(encoder); d++) assert_true(isfinite(vector[d]));
    med_corpus_free(&encoder);
}

static void damaged_bytes_are_refused_or_harmless(void **state)
{
    (void)state;
    enum { HEADER = 128, SIGNED = 120 };
    struct text *t = topics_new(120, true, 4);
    struct med_corpus_encoder *encoder = train(t, 1, 16);
    size_t len;
    uint8_t *bytes = saved_bytes(encoder, &len), *copy = med_aligned_alloc(len);
    struct med_rng rng;
    med_rng_seed(&rng, med_test_seed());
    for (size_t at = 0; at < len; at++) { /* one damaged byte */
        memcpy(copy, bytes, len);
        copy[at] ^= (uint8_t)(1 + med_rng_below(&rng, 255));
        use_bytes(copy, len);
        if (at < HEADER) assert_int_not_equal(med_corpus_open(copy, len, &encoder, &err), MED_OK);
        if (at >= SIGNED) continue;
        uint64_t checksum = med_hash64(copy, SIGNED); /* somebody who knows the format */
        memcpy(copy + SIGNED, &checksum, sizeof checksum);
        use_bytes(copy, len);
    }
    memcpy(copy, bytes, len);
    for (size_t cut = 0; cut < len; cut += 1 + cut / 50) /* the end is missing */
        assert_int_equal(med_corpus_open(copy, cut, &encoder, &err), MED_E_CORRUPT);
    for (unsigned round = 0; round < 300; round++) { /* noise in the tables */
        memcpy(copy, bytes, len);
        for (unsigned i = 0; i < 8; i++) {
            uint64_t noise =
                round % 3 == 0 ? UINT64_MAX : med_rng_u64(&rng) >> med_rng_below(&rng, 64);
            memcpy(copy + HEADER + med_rng_below(&rng, len - HEADER - 8), &noise, sizeof noise);
        }
        use_bytes(copy, len);
    }
    uint8_t *shifted = med_aligned_alloc(len + 1);
    memcpy(shifted + 1, bytes, len);
    assert_int_equal(med_corpus_open(shifted + 1, len, &encoder, &err), MED_E_INVALID);
    med_corpus_free(&encoder);
    med_free(shifted);
    med_free(copy);
    med_free(bytes);
    text_free(t);
}

static void a_format_from_the_future_is_named_as_such(void **state)
{
    (void)state;
    struct text *t = topics_new(120, true, 4);
    struct med_corpus_encoder *encoder = train(t, 1, 16);
    size_t len;
    uint8_t *bytes = saved_bytes(encoder, &len);
    med_corpus_free(&encoder);
    bytes[8]++;
    uint64_t checksum = med_hash64(bytes, 120);
    memcpy(bytes + 120, &checksum, sizeof checksum);
    assert_int_equal(med_corpus_open(bytes, len, &encoder, &err), MED_E_UNSUPPORTED);
    assert_non_null(strstr(err.text, "--retrain"));
    med_free(bytes);
    text_free(t);
}

static void a_failed_write_is_reported(void **state)
{
    (void)state;
    struct text *t = topics_new(120, true, 4);
    struct med_corpus_encoder *encoder = train(t, 1, 16);
    enum med_code code =
        med_corpus_save(encoder, med_fs_posix(), "/nonexistent/encoder", NULL, NULL, &err);
    assert_int_not_equal(code, MED_OK);
    med_corpus_free(&encoder);
    text_free(t);
}

/* --- stopping and failing --- */

struct stopper {
    unsigned calls_left;
    unsigned svd, train;
};

static bool stop_after(
    void *ctx, const char *stage, uint64_t done, uint64_t total, const char *unit)
{
    struct stopper *s = ctx;
    assert_true(done <= total && done > 0 && *unit);
    s->svd += strcmp(stage, "svd") == 0;
    s->train += strcmp(stage, "train") == 0;
    return s->calls_left-- > 0;
}

static void progress_can_stop_training_at_every_step(void **state)
{
    (void)state;
    struct text *t = topics_new(60, true, 4);
    struct med_train_corpus corpus = corpus_of(t);
    unsigned stops = 0;
    for (;; stops++) {
        struct stopper stopper = {.calls_left = stops};
        struct med_progress progress = {.report = stop_after, .ctx = &stopper};
        struct med_train_options options = {.dim = 16, .threads = 1, .progress = &progress};
        struct med_corpus_encoder *encoder = NULL;
        enum med_code code = med_corpus_train(&corpus, &options, &encoder, &err);
        if (code == MED_OK) {
            assert_true(stopper.svd > 0 && stopper.train > 0);
            med_corpus_free(&encoder);
            break;
        }
        assert_int_equal(code, MED_E_CANCELLED);
        assert_null(encoder);
    }
    assert_true(stops > 10);
    text_free(t);
}

static void every_failed_allocation_is_an_error(void **state)
{
    (void)state;
    struct text *t = topics_new(40, true, 4);
    struct med_train_corpus corpus = corpus_of(t);
    struct med_train_options options = {.dim = 16, .threads = 2};
    unsigned failures = 0;
    for (uint64_t n = 1;; n++) {
        struct med_corpus_encoder *encoder = NULL;
        med_mem_fail_after(n);
        enum med_code code = med_corpus_train(&corpus, &options, &encoder, &err);
        med_mem_fail_after(0);
        if (code == MED_OK) {
            med_corpus_free(&encoder);
            break;
        }
        assert_int_equal(code, MED_E_NOMEM);
        assert_null(encoder);
        failures++;
        if (failures > 60) n += 37; /* the many small ones of the parallel loops */
    }
    assert_true(failures > 30);
    text_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_without_a_common_word_meet_by_topic),
        cmocka_unit_test(documents_without_titles_teach_too),
        cmocka_unit_test(one_line_records_without_titles_keep_the_vectors_of_the_svd),
        cmocka_unit_test(a_book_without_full_stops_is_learnt_in_pieces),
        cmocka_unit_test(smoothing_moves_rare_terms_to_their_company_and_leaves_common_ones),
        cmocka_unit_test(identical_documents_give_finite_vectors),
        cmocka_unit_test(too_little_text_is_unsupported),
        cmocka_unit_test(dimensions_are_rounded_lowered_and_limited),
        cmocka_unit_test(any_number_of_threads_gives_the_same_bytes),
        cmocka_unit_test(every_kernel_level_gives_the_same_bits),
        cmocka_unit_test(half_floats_convert_exactly_and_round_to_nearest_even),
        cmocka_unit_test(the_weight_of_a_count_is_one_plus_its_logarithm),
        cmocka_unit_test(unknown_terms_are_skipped_and_alone_give_zeros),
        cmocka_unit_test(vectors_have_length_one_however_long_the_text),
        cmocka_unit_test(a_saved_encoder_opens_and_answers_the_same),
        cmocka_unit_test(damaged_bytes_are_refused_or_harmless),
        cmocka_unit_test(a_format_from_the_future_is_named_as_such),
        cmocka_unit_test(a_failed_write_is_reported),
        cmocka_unit_test(progress_can_stop_training_at_every_step),
        cmocka_unit_test(every_failed_allocation_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

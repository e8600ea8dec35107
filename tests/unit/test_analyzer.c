/* Promises of the analyzer and the vocabulary. Random tests take their seed from MEDICUS_SEED. */
#include "common/buf.h"
#include "common/limits.h"
#include "common/mem.h"
#include "common/rng.h"
#include "common/unicode.h"
#include "embed/analyzer.h"
#include "embed/vocab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static uint64_t test_seed(void)
{
    const char *env = getenv("MEDICUS_SEED");
    uint64_t seed = env ? strtoull(env, NULL, 10) : 20240611;
    print_message("MEDICUS_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

static int setup(void **state)
{
    struct med_analyzer *analyzer = NULL;
    if (med_analyzer_new(&analyzer, NULL) != MED_OK) return -1;
    *state = analyzer;
    return 0;
}

static int teardown(void **state)
{
    struct med_analyzer *analyzer = *state;
    med_analyzer_free(&analyzer);
    return 0;
}

/* "il/0 il6+0 6/1": term, '+' for extra terms, position. */
static void describe(struct med_analyzer *a, struct med_str text, struct med_buf *out)
{
    const struct med_token *tokens;
    size_t count;
    assert_int_equal(med_analyze(a, text, &tokens, &count, NULL), MED_OK);
    med_buf_reset(out);
    for (size_t i = 0; i < count; i++)
        med_buf_printf(out, "%s" MED_STR_FMT "%c%u", i ? " " : "", MED_STR_ARG(tokens[i].term),
            tokens[i].extra ? '+' : '/', tokens[i].position);
}

static void expect_analysis(struct med_analyzer *a, const char *text, const char *expected)
{
    struct med_buf out;
    med_buf_init(&out, MED_MIB);
    describe(a, med_str_of(text), &out);
    const char *got = out.len ? out.data : "";
    if (strcmp(got, expected) != 0) print_message("text: %s\n", text);
    assert_string_equal(got, expected);
    med_buf_free(&out);
}

struct example {
    const char *text, *expected;
};

static void check_examples(void **state, const struct example *examples, size_t count)
{
    for (size_t i = 0; i < count; i++)
        expect_analysis(*state, examples[i].text, examples[i].expected);
}
#define CHECK_EXAMPLES(state, examples)                                                            \
    check_examples(state, examples, sizeof(examples) / sizeof((examples)[0]))

static void words_are_folded_and_stemmed(void **state)
{
    static const struct example examples[] = {
        {"", ""},
        {" \t\n.,;!? ", ""},
        {"Patients with Hypertension", "patient/0 with/1 hypertens/2"},
        {"Crohn's disease", "crohn/0 diseas/1"},
        {"Crohn\u2019s disease", "crohn/0 diseas/1"},
        {"CROHN'S", "crohn/0"},
        {"patients' outcomes", "patient/0 outcom/1"},
        {"don't O'Brien", "dont/0 obrien/1"},
        {"Ménière na\u00efve", "menier/0 naiv/1"},
        {"Me\u0301nie\u0300re", "menier/0"},
        {"co\u00ADoperation", "cooper/0"},
        {"Aspirin\u2122", "aspirin/0"},
        {"tumour tumor", "tumour/0 tumor/1"},
        {"\uFB01brosis \uFF21\uFF22", "fibrosi/0 ab/1"},
        {"\u80BA\u708E", "\u80BA/0 \u708E/1"},
    };
    CHECK_EXAMPLES(state, examples);
}

static void numbers_stay_whole(void **state)
{
    static const struct example examples[] = {
        {"p < 0.05", "p/0 0.05/1"},
        {"p < 0\u00B705", "p/0 0.05/1"},
        {"1,000 and 12,345,678", "1000/0 and/1 12345678/2"},
        {"1,25 or 1,2345", "1/0 25/1 or/2 1/3 2345/4"},
        {"1,234.5", "1234.5/0"},
        {"1.2.3", "1.2/0 3/1"},
        {"2015-2020", "2015/0 2020/1"},
        {"0.5-1.5", "0.5/0 1.5/1"},
        {"end. 5", "end/0 5/1"},
        {"H\u2082O CO\u2082 kg/m\u00B2", "h2o/0 co2/1 kg/2 m2/3"},
        {"5 \u03BCg 5 \u00B5g", "5/0 ug/1 5/2 ug/3"},
    };
    CHECK_EXAMPLES(state, examples);
}

static void medical_names_survive(void **state)
{
    static const struct example examples[] = {
        {"IL-6", "il/0 il6+0 6/1"},
        {"IL6", "il6/0"},
        {"IL 6", "il/0 il6+0 6/1"},
        {"il-6", "il/0 il6+0 6/1"},
        {"IL\u20116 IL\u22126", "il/0 il6+0 6/1 il/2 il6+2 6/3"},
        {"IL-6-induced", "il/0 il6+0 6/1 induc/2"},
        {"COVID-19", "covid/0 covid19+0 19/1"},
        {"covid-19", "covid/0 covid19+0 19/1"},
        {"COVID 19", "covid/0 covid19+0 19/1"},
        {"SARS-CoV-2", "sar/0 sarscov2+0 cov/1 2/2"},
        {"SARS-CoV2", "sar/0 sarscov2+0 cov2/1"},
        {"p53 HbA1c CD4+ H1N1", "p53/0 hba1c/1 cd4/2 h1n1/3"},
        {"TNF-\u03B1", "tnf/0 tnfalpha+0 alpha/1"},
        {"TNF-alpha", "tnf/0 tnfalpha+0 alpha/1"},
        {"TNF alpha", "tnf/0 tnfalpha+0 alpha/1"},
        {"TNF\u03B1", "tnfalpha/0"},
        {"anti-TNF-\u03B1", "anti/0 tnf/1 tnfalpha+1 alpha/2"},
        {"\u03B2-blocker", "beta/0 betablock+0 blocker/1"},
        {"beta-blocker", "beta/0 betablock+0 blocker/1"},
        {"\u0392-blocker", "beta/0 betablock+0 blocker/1"},
        {"beta blocker", "beta/0 blocker/1"},
        {"interferon-\u03B3", "interferon/0 interferongamma+0 gamma/1"},
        {"NF-\u03BAB NF-kappaB", "nf/0 nfkappab+0 kappab/1 nf/2 nfkappab+2 kappab/3"},
        {"\u03B1\u03B2", "alphabeta/0"},
        {"\u03C5\u03B3\u03B5\u03AF\u03B1", "\u03C5\u03B3\u03B5\u03AF\u03B1/0"},
        {"HIV-positive", "hiv/0 posit/1"},
        {"X-ray T-cell", "x/0 xray+0 ray/1 t/2 tcell+2 cell/3"},
        {"follow-up", "follow/0 up/1"},
        {"RNA VIRUS 7", "rna/0 virus/1 virus7+1 7/2"},
        {"25-hydroxyvitamin D", "25/0 hydroxyvitamin/1 d/2"},
        {"17\u03B2-estradiol", "17beta/0 estradiol/1"},
        {"2-acetyl-3-methyl", "2/0 acetyl/1 acetyl3+1 3/2 methyl/3"},
    };
    CHECK_EXAMPLES(state, examples);
}

static void offsets_point_into_the_source(void **state)
{
    const struct med_token *t;
    size_t count;
    struct med_str text = MED_STR("The \u03B2\u2010blockers' IL-6\u00B2.");
    assert_int_equal(med_analyze(*state, text, &t, &count, NULL), MED_OK);
    static const char *const expected[] = {
        "The", "\u03B2", "\u03B2\u2010blockers", "blockers", "IL", "IL-6\u00B2", "6\u00B2"};
    assert_int_equal(count, sizeof(expected) / sizeof(expected[0]));
    for (size_t i = 0; i < count; i++) {
        struct med_str got = med_str_sub(text, t[i].start, t[i].end);
        assert_true(med_str_eq(got, med_str_of(expected[i])));
    }
}

static void long_words_are_cut(void **state)
{
    char word[1000];
    memset(word, 'q', sizeof(word));
    const struct med_token *t;
    size_t count;
    struct med_str text = {.ptr = word, .len = sizeof(word)};
    assert_int_equal(med_analyze(*state, text, &t, &count, NULL), MED_OK);
    assert_int_equal(count, 1);
    assert_true(t[0].term.len <= MED_TERM_BYTES_MAX);
    assert_int_equal(t[0].end, sizeof(word));
}

static void check_invariants(struct med_analyzer *a, struct med_str text)
{
    const struct med_token *t;
    size_t count;
    assert_int_equal(med_analyze(a, text, &t, &count, NULL), MED_OK);
    uint32_t position = 0, start = 0;
    for (size_t i = 0; i < count; i++) {
        assert_in_range(t[i].term.len, 1, MED_TERM_BYTES_MAX);
        assert_true(med_utf8_valid(t[i].term.ptr, t[i].term.len));
        assert_true(t[i].start < t[i].end && t[i].end <= text.len);
        assert_true(t[i].start >= start);
        start = t[i].start;
        if (t[i].extra) {
            assert_true(i > 0 && t[i].position == t[i - 1].position);
        } else {
            assert_int_equal(t[i].position, position);
            position++;
        }
    }
}

/* Random pieces of what the analyzer treats specially, and plain random bytes, in blocks of exactly
 * their size so that a sanitizer sees a read beyond the end. */
static void any_bytes_keep_the_invariants(void **state)
{
    static const char *const pieces[] = {"a", "IL", "6", "-", ".", ",", "'", "'s", " ", "\u03B2",
        "\u2010", "\u00B7", "\u2019", "0", "12", "\xE2", "\xFF", "\xCE", "\u0301", "\u00AD",
        "\u80BA", "alpha", "\xF0\x9F", "\U0001F600", "\u00B2", "\uFDFA", "Zq", "\u03BC", "covid",
        "HIV", "\n", "\u0130", "\u00DF", "1000"};
    struct med_rng rng;
    med_rng_seed(&rng, test_seed());
    struct med_buf buf;
    med_buf_init(&buf, MED_MIB);
    for (int round = 0; round < 20000; round++) {
        med_buf_reset(&buf);
        size_t steps = med_rng_below(&rng, 60);
        bool raw = med_rng_below(&rng, 4) == 0;
        for (size_t i = 0; i < steps; i++) {
            if (raw)
                med_buf_putc(&buf, (char)med_rng_u64(&rng));
            else
                med_buf_puts(&buf, pieces[med_rng_below(&rng, sizeof(pieces) / sizeof(pieces[0]))]);
        }
        char *exact = med_malloc(buf.len ? buf.len : 1);
        assert_non_null(exact);
        if (buf.len) memcpy(exact, buf.data, buf.len);
        check_invariants(*state, (struct med_str){.ptr = exact, .len = buf.len});
        med_free(exact);
    }
    med_buf_free(&buf);
}

/* The stem cache must never change an answer: a fresh analyzer agrees with a used one. */
static void answers_do_not_depend_on_history(void **state)
{
    struct med_rng rng;
    med_rng_seed(&rng, test_seed());
    struct med_analyzer *fresh = NULL;
    struct med_buf a, b;
    med_buf_init(&a, MED_MIB);
    med_buf_init(&b, MED_MIB);
    for (int round = 0; round < 50; round++) {
        struct med_buf text;
        med_buf_init(&text, MED_MIB);
        for (int w = 0; w < 2000; w++) {
            for (uint64_t n = 1 + med_rng_below(&rng, 9); n > 0; n--)
                med_buf_putc(&text, (char)('a' + med_rng_below(&rng, 6)));
            med_buf_puts(&text, med_rng_below(&rng, 2) ? "ing " : "s ");
        }
        assert_int_equal(med_analyzer_new(&fresh, NULL), MED_OK);
        describe(*state, med_buf_str(&text), &a);
        describe(fresh, med_buf_str(&text), &b);
        assert_true(med_str_eq(med_buf_str(&a), med_buf_str(&b)));
        med_analyzer_free(&fresh);
        med_buf_free(&text);
    }
    med_buf_free(&a);
    med_buf_free(&b);
}

/* --- watched terms --- */

static bool is_one_of(struct med_str term, const struct med_str *terms, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (med_str_eq(term, terms[i])) return true;
    return false;
}

/* Every token of a watched term is found as by the full analysis: the analyzers are two, because
 * tokens live in theirs. */
static void check_watched(struct med_analyzer *full, struct med_analyzer *quick,
    struct med_str text, const struct med_str *terms, size_t count)
{
    struct med_watch watch = {0};
    const struct med_token *all, *some;
    size_t all_count, some_count, k = 0;
    for (size_t i = 0; i < count; i++) med_watch_add(&watch, terms[i]);
    assert_int_equal(med_analyze(full, text, &all, &all_count, NULL), MED_OK);
    assert_int_equal(med_analyze_watched(quick, text, &watch, &some, &some_count, NULL), MED_OK);
    assert_true(some_count <= all_count);
    for (size_t i = 0; i < all_count; i++) {
        if (!is_one_of(all[i].term, terms, count)) continue;
        while (k < some_count && !is_one_of(some[k].term, terms, count)) k++;
        if (k == some_count || !med_str_eq(some[k].term, all[i].term))
            print_message("lost: " MED_STR_FMT " in " MED_STR_FMT "\n", MED_STR_ARG(all[i].term),
                MED_STR_ARG(text));
        assert_true(k < some_count && med_str_eq(some[k].term, all[i].term));
        assert_int_equal(some[k].start, all[i].start);
        assert_int_equal(some[k].end, all[i].end);
        assert_int_equal(some[k].position, all[i].position);
        assert_int_equal(some[k].extra, all[i].extra);
        k++;
    }
    while (k < some_count && !is_one_of(some[k].term, terms, count)) k++;
    assert_int_equal(k, some_count);
}

/* Every short beginning with every ending that stemming takes off: what a word may lose. */
static void watched_words_are_found_whatever_stemming_takes_off(void **state)
{
    static const char *const endings[] = {"", "s", "es", "ies", "ied", "ed", "ing", "y", "ying",
        "ly", "er", "al", "ation", "izer", "iviti", "fulness", "'s", "eed", "at", "bl", "iz"};
    struct med_analyzer *full = *state, *quick;
    char word[16];
    assert_int_equal(med_analyzer_new(&quick, NULL), MED_OK);
    for (unsigned n = 0; n < 26 + 26 * 26 + 26 * 26 * 26; n++) {
        unsigned long long left = n < 26 ? n : n < 702 ? n - 26 : n - 702;
        size_t letters = n < 26 ? 1 : n < 702 ? 2 : 3;
        for (size_t i = 0; i < letters; i++, left /= 26) word[i] = (char)('a' + left % 26);
        for (size_t e = 0; e < sizeof endings / sizeof *endings; e++) {
            const struct med_token *tokens;
            struct med_str term;
            size_t count;
            char stem[MED_TERM_BYTES_MAX];
            memcpy(word + letters, endings[e], strlen(endings[e]) + 1);
            assert_int_equal(med_analyze(full, med_str_of(word), &tokens, &count, NULL), MED_OK);
            assert_true(count >= 1);
            memcpy(stem, tokens[0].term.ptr, tokens[0].term.len);
            term = (struct med_str){.ptr = stem, .len = tokens[0].term.len};
            check_watched(full, quick, med_str_of(word), &term, 1);
        }
    }
    med_analyzer_free(&quick);
}

static void watched_terms_are_found_as_by_the_full_analysis(void **state)
{
    static const char *const pieces[] = {"IL", "il", "6", "-", " ", "\u2011", "COVID", "19", "Tnf",
        "\u03b1", "alpha", "alphas", "p53", "dying", "AED", "aed", "patients'", "patient's",
        "don't", ".", "0.05", ",", "1,000", "mg", "\u00b5g", "\u00e9tude", "A", "a", "x-ray", "(",
        ")", "Ski", "ing", "B", "12", "vitamin", "HbA1c", "beta", "\u00ad", "soft\u00adhyphen",
        "\xff", "naive"};
    struct med_analyzer *full = *state, *quick;
    struct med_buf text, kept;
    struct med_rng rng;
    assert_int_equal(med_analyzer_new(&quick, NULL), MED_OK);
    med_rng_seed(&rng, test_seed());
    med_buf_init(&text, MED_MIB);
    med_buf_init(&kept, MED_MIB);
    for (int round = 0; round < 20000; round++) {
        const struct med_token *tokens;
        struct med_str terms[4];
        size_t count, ends[5] = {0}, watched = 0;
        med_buf_reset(&text);
        med_buf_reset(&kept);
        for (uint64_t n = 1 + med_rng_below(&rng, 30); n > 0; n--)
            med_buf_puts(&text, pieces[med_rng_below(&rng, sizeof pieces / sizeof *pieces)]);
        assert_int_equal(med_analyze(full, med_buf_str(&text), &tokens, &count, NULL), MED_OK);
        for (; count && watched < 4; watched++) {
            struct med_str term = tokens[med_rng_below(&rng, count)].term;
            med_buf_append_str(&kept, term);
            ends[watched + 1] = kept.len;
        }
        for (size_t i = 0; i < watched; i++)
            terms[i] = med_str_sub(med_buf_str(&kept), ends[i], ends[i + 1]);
        check_watched(full, quick, med_buf_str(&text), terms, watched);
    }
    med_buf_free(&text);
    med_buf_free(&kept);
    med_analyzer_free(&quick);
}

static void expect_function_words(struct med_analyzer *a, const char *text, const char *pattern)
{
    const struct med_token *t;
    size_t count;
    assert_int_equal(med_analyze(a, med_str_of(text), &t, &count, NULL), MED_OK);
    assert_int_equal(count, strlen(pattern));
    for (size_t i = 0; i < count; i++)
        assert_int_equal(med_is_function_word(med_str_of(text), &t[i]), pattern[i] == 'f');
}

static void function_words_are_told_from_names(void **state)
{
    expect_function_words(*state, "What is the role of IL-6 during sepsis", "fff.f...f.");
    expect_function_words(*state, "Does WHO recommend it for hepatitis A", "f..ff..");
    expect_function_words(*state, "A trial only why between any very IT", "f.fffff.");
    /* Every word of the list, which proves that the table is sorted. */
    expect_function_words(*state,
        "a about also am an and any are as at be been between both but by can could did do does "
        "during each "
        "few for from had has have how i if in into is it may might more most no not of on only or "
        "other our "
        "same should so some such than that the their then there these they this to too very was "
        "we were what "
        "when where why which who whom will with would you your",
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff");
}

static void running_out_of_memory_is_an_error(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 200; n++) {
        struct med_analyzer *a = NULL;
        const struct med_token *t;
        size_t count;
        med_mem_fail_after(n);
        enum med_code code = med_analyzer_new(&a, NULL);
        if (code == MED_OK)
            code = med_analyze(a, MED_STR("\u03B2-blockers and IL-6"), &t, &count, NULL);
        bool finished = code == MED_OK;
        med_mem_fail_after(0);
        med_analyzer_free(&a);
        if (finished) return;
        assert_int_equal(code, MED_E_NOMEM);
    }
    fail_msg("the analyzer never got enough memory");
}

static void vocabulary_numbers_terms_in_order_of_appearance(void **state)
{
    (void)state;
    struct med_vocab *vocab = NULL;
    assert_int_equal(med_vocab_new(&vocab, NULL), MED_OK);
    const uint32_t count = 50000;
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < count; i++) {
            char term[32];
            int len = snprintf(term, sizeof(term), "term%u", i * 7);
            uint32_t id;
            struct med_str s = {.ptr = term, .len = (size_t)len};
            assert_int_equal(med_vocab_intern(vocab, s, &id, NULL), MED_OK);
            assert_int_equal(id, i);
            assert_int_equal(med_vocab_find(vocab, s), i);
            assert_true(med_str_eq(med_vocab_term(vocab, id), s));
        }
    }
    assert_int_equal(med_vocab_count(vocab), count);
    assert_int_equal(med_vocab_find(vocab, MED_STR("absent")), MED_NO_TERM);
    med_vocab_free(&vocab);
    assert_null(vocab);
}

/* Some word of one to twenty letters and digits, of which there are more than any cache holds. */
static size_t draw_word(struct med_rng *rng, char *word)
{
    static const char *const endings[] = {"", "s", "ing", "ational", "ies", "ed", "ability", "ly"};
    size_t len = 1 + med_rng_below(rng, 14);
    for (size_t i = 0; i < len; i++) {
        uint64_t kind = med_rng_below(rng, 40);
        char first = kind == 0 ? '0' : kind < 4 ? 'A' : 'a';
        word[i] = (char)(first + (char)med_rng_below(rng, kind == 0 ? 10 : 26));
    }
    const char *ending = endings[med_rng_below(rng, 8)];
    memcpy(word + len, ending, strlen(ending) + 1);
    return len + strlen(ending);
}

/* Sixteen bytes at a time inside a text, byte by byte at its end; from a cache or not. */
static void a_word_has_one_term_and_one_number_wherever_it_stands(void **state)
{
    struct med_analyzer *fresh = NULL;
    struct med_vocab *vocab = NULL, *other = NULL;
    struct med_rng rng;
    med_rng_seed(&rng, 11);
    assert_int_equal(med_analyzer_new(&fresh, NULL), MED_OK);
    assert_int_equal(med_vocab_new(&vocab, NULL), MED_OK);
    assert_int_equal(med_vocab_new(&other, NULL), MED_OK);
    for (unsigned text = 0; text < 2000; text++) {
        char words[50][40], all[50 * 40 + 1] = "";
        size_t len = 0, count, one;
        for (size_t i = 0; i < 50; i++) {
            if (i && med_rng_below(&rng, 3) == 0) /* words come again */
                memcpy(words[i], words[i - 1], sizeof words[i]);
            else
                draw_word(&rng, words[i]);
            len += (size_t)snprintf(all + len, sizeof all - len, "%s; ", words[i]);
        }
        const struct med_token *tokens, *alone;
        uint32_t ids[50], id;
        assert_int_equal(med_analyze(*state, med_str_of(all), &tokens, &count, NULL), MED_OK);
        assert_int_equal(count, 50);
        assert_int_equal(med_vocab_intern_tokens(vocab, tokens, count, ids, NULL), MED_OK);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(med_analyze(fresh, med_str_of(words[i]), &alone, &one, NULL), MED_OK);
            assert_int_equal(one, 1);
            assert_true(med_str_eq(alone->term, tokens[i].term));
            assert_int_equal(med_vocab_intern(other, alone->term, &id, NULL), MED_OK);
            assert_int_equal(ids[i], id);
        }
    }
    assert_true(med_vocab_count(vocab) > 50000);
    assert_int_equal(med_vocab_count(vocab), med_vocab_count(other));
    med_vocab_free(&other);
    med_vocab_free(&vocab);
    med_analyzer_free(&fresh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(words_are_folded_and_stemmed, setup, teardown),
        cmocka_unit_test_setup_teardown(numbers_stay_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(medical_names_survive, setup, teardown),
        cmocka_unit_test_setup_teardown(offsets_point_into_the_source, setup, teardown),
        cmocka_unit_test_setup_teardown(long_words_are_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(any_bytes_keep_the_invariants, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_do_not_depend_on_history, setup, teardown),
        cmocka_unit_test_setup_teardown(
            watched_words_are_found_whatever_stemming_takes_off, setup, teardown),
        cmocka_unit_test_setup_teardown(
            watched_terms_are_found_as_by_the_full_analysis, setup, teardown),
        cmocka_unit_test_setup_teardown(function_words_are_told_from_names, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_word_has_one_term_and_one_number_wherever_it_stands, setup, teardown),
        cmocka_unit_test(running_out_of_memory_is_an_error),
        cmocka_unit_test(vocabulary_numbers_terms_in_order_of_appearance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

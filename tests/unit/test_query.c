/* The query language: what is plain, what restricts, where an error points, and that the set of a
 * boolean query is exactly the set of its meaning. */
#include "common/mem.h"
#include "common/rng.h"
#include "index/build.h"
#include "index/internal.h"

#include "tests/support/support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct med_arena *arena;

/* The tree in postfix order: "title:aspirin stroke AND". */
static const char *tree_of(const char *query)
{
    static char text[2048];
    struct query_parsed parsed;
    struct med_err err = {0};
    if (query_parse(med_str_of(query), false, arena, &parsed, &err)) {
        snprintf(text, sizeof text, "%s", err.text);
        return text;
    }
    static const char *const ops[] = {"", "AND", "OR", "NOT"};
    size_t at = 0;
    text[0] = '\0';
    for (size_t i = 0; i < parsed.tree.count; i++) {
        const struct query_node *n = &parsed.tree.nodes[i];
        const char *quote = n->phrase ? "\"" : "";
        if (n->op != QUERY_LEAF)
            at +=
                (size_t)snprintf(text + at, sizeof text - at, "%s%s", at ? " | " : "", ops[n->op]);
        else
            at += (size_t)snprintf(text + at, sizeof text - at, "%s%s:%s" MED_STR_FMT "%s",
                at ? " | " : "", query_scope_name(n->scope), quote, MED_STR_ARG(n->text), quote);
    }
    return text;
}

static const char *words_of(const char *query)
{
    static char text[2048];
    struct query_parsed parsed;
    size_t at = 0;
    text[0] = '\0';
    assert_int_equal(query_parse(med_str_of(query), false, arena, &parsed, NULL), MED_OK);
    for (size_t i = 0; i < parsed.word_count; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s" MED_STR_FMT, i ? "," : "",
            MED_STR_ARG(parsed.words[i]));
    return text;
}

static void plain_questions_stay_plain(void **state)
{
    (void)state;
    static const char *const plain[] = {"Does aspirin prevent stroke?", "what's the dose",
        "interleukin 6 (IL-6) levels", "1) aspirin 2) ibuprofen", "[18F]FDG PET",
        "[Effects of exercise on asthma].", "HLA-B*57:01 and abacavir", "the OR was 1.4",
        "aspirin: benefits and harms", "ratio 1:2", "and or not", "OR", "Crohn's disease - therapy",
        "? ! -", "p.Val600Glu", "https://example.org/x", "AND", "t(9;22) (q34;q11)", "a * b",
        "[Ca2+]i in cells", "f() of x", "()", "alpha (+)-thalassemia",
        "the odds ratio (OR) of death", "Is the holmium:YAG laser better?", ""};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        assert_string_equal(tree_of(plain[i]), "");
        assert_string_equal(words_of(plain[i]), plain[i]);
    }
}

static void phrases_and_fields_restrict_and_words_rank(void **state)
{
    (void)state;
    assert_string_equal(tree_of("\"heart failure\" in children"), "all:\"heart failure\"");
    assert_string_equal(words_of("\"heart failure\" in children"), "heart failure,in children");
    assert_string_equal(
        tree_of("year:2015..2020 asthma title:child"), "year:2015..2020 | title:child | AND");
    assert_string_equal(words_of("year:2015..2020 asthma title:child"), "asthma,child");
    assert_string_equal(tree_of("heart failure[ti] outcomes"), "title:heart failure");
    assert_string_equal(tree_of("cardiomy* outcomes"), "all:cardiomy*");
    assert_string_equal(tree_of("TITLE:x"), "title:x");
}

static void operators_bind_not_before_and_before_or(void **state)
{
    (void)state;
    assert_string_equal(tree_of("a OR b AND c"), "all:a | all:b | all:c | AND | OR");
    assert_string_equal(tree_of("(a OR b) AND c"), "all:a | all:b | OR | all:c | AND");
    assert_string_equal(tree_of("a NOT b"), "all:a | all:b | NOT | AND");
    assert_string_equal(tree_of("NOT NOT a"), "all:a | NOT | NOT");
    assert_string_equal(tree_of("a \"b c\" OR d e"), "all:a | all:\"b c\" | AND | all:d e | OR");
    assert_string_equal(tree_of("asthma[mh] AND (child OR adolescent[tiab]) AND 2015:2020[dp]"),
        "mesh:asthma | all:child | tiab:adolescent | OR | AND | year:2015:2020 | AND");
    assert_string_equal(tree_of("smith j[au] AND n engl j med[ta] AND review[pt]"),
        "author:smith j | journal:n engl j med | AND | type:review | AND");
    assert_string_equal(words_of("a AND NOT (b OR NOT c) NOT d"), "a,c");
}

static void errors_name_the_place_and_what_was_expected(void **state)
{
    (void)state;
    static const struct {
        const char *query;
        unsigned at;
        const char *says;
    } cases[] = {{"a \"b", 2, "not closed"}, {"a AND ()", 6, "empty"},
        {"titel:x", 0, "did you mean \"title\""}, {"a AND foo:b", 6, "unknown field"},
        {"asthma[tj]", 6, "unknown tag"}, {"x year:2020..2015", 7, "reversed"},
        {"2020:2015[dp]", 0, "reversed"}, {"year:soon", 5, "is no year"}, {"*", 0, "wildcard"},
        {"title:*", 6, "wildcard"}, {"a AND *", 6, "wildcard"}, {"a AND", 2, "behind AND"},
        {"a OR OR b", 2, "behind OR"}, {"AND a", 0, "before"}, {"a AND (b", 6, "not closed"},
        {"a AND b)", 7, "closes none"}, {"a AND NOT", 6, "behind NOT"},
        {"\"\" x", 0, "between the quotes"}, {"a AND (", 6, "parenthesis"},
        {"title:(a b)", 6, "expected a word"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char place[32];
        const char *text = tree_of(cases[i].query);
        snprintf(place, sizeof place, "query, byte %u: ", cases[i].at);
        if (strncmp(text, place, strlen(place)) != 0 || !strstr(text, cases[i].says))
            fail_msg("%s: \"%s\"", cases[i].query, text);
    }
}

static void limits_hold(void **state)
{
    (void)state;
    struct query_parsed parsed;
    char *text = med_malloc(32 * 1024);
    size_t at = 0;
    for (int i = 0; i < 1100; i++)
        at += (size_t)snprintf(text + at, 32, "%sa%d", i ? " OR " : "", i);
    assert_int_equal(query_parse(med_str_of(text), false, arena, &parsed, NULL), MED_E_LIMIT);
    memset(text, '(', 100);
    memcpy(text + 100, "a AND b", 8);
    assert_int_equal(query_parse(med_str_of(text), false, arena, &parsed, NULL), MED_E_LIMIT);
    memset(text, 'x', MED_QUERY_BYTES_MAX + 1);
    text[MED_QUERY_BYTES_MAX + 1] = '\0';
    assert_int_equal(query_parse(med_str_of(text), false, arena, &parsed, NULL), MED_E_LIMIT);
    med_free(text);
}

static void no_bytes_break_the_parser(void **state)
{
    (void)state;
    static const char *const pieces[] = {"AND", "OR", "NOT", "(", ")", "\"", "[ti]", "[x]",
        "title:", "year:", "2019", "..", " ", " ", " ", "a", "heart", "*", "'", "?", "\xC3\xA9",
        ":", "-"};
    struct med_rng rng;
    med_rng_seed(&rng, med_test_seed());
    for (int round = 0; round < 20000; round++) {
        char text[256];
        size_t len = 0;
        struct query_parsed parsed;
        for (uint64_t n = med_rng_below(&rng, 24); n-- > 0;) {
            const char *piece = pieces[med_rng_below(&rng, sizeof pieces / sizeof *pieces)];
            len += (size_t)snprintf(text + len, sizeof text - len, "%s", piece);
        }
        med_arena_reset(arena);
        struct med_str query = {.ptr = text, .len = len};
        if (query_parse(query, round % 2, arena, &parsed, NULL)) continue;
        size_t depth = 0;
        for (size_t i = 0; i < parsed.tree.count; i++) {
            enum query_op op = parsed.tree.nodes[i].op;
            assert_true(depth >= (op == QUERY_LEAF ? 0u : op == QUERY_NOT ? 1u : 2u));
            depth += op == QUERY_LEAF;
            depth -= op == QUERY_AND || op == QUERY_OR;
            assert_true(depth <= MED_QUERY_DEPTH_MAX + 1);
        }
        assert_true(parsed.tree.count == 0 || depth == 1);
    }
}

/* --- sets against their meaning --- */

#define DOC_COUNT 200u
#define WORD_COUNT 8u
static const char *const vocabulary[WORD_COUNT] = {
    "asthma", "zinc", "renal", "stroke", "albumin", "fever", "cohort", "IL-6"};

struct fixture {
    char dir[64];
    struct med_data *data;
    struct med_store *store;
    struct med_index *index;
    struct med_searcher *searcher;
    unsigned title[DOC_COUNT], body[DOC_COUNT], mesh[DOC_COUNT]; /* masks of words */
    char bodies[DOC_COUNT][256], titles[DOC_COUNT][160];
};

static char *words_text(struct med_rng *rng, unsigned *ret_mask, char *out, size_t size)
{
    size_t at = 0;
    *ret_mask = 0;
    out[0] = '\0';
    for (uint64_t n = med_rng_below(rng, 5); n-- > 0;) {
        uint64_t w = med_rng_below(rng, WORD_COUNT);
        *ret_mask |= 1u << w;
        at += (size_t)snprintf(out + at, size - at, "%s%s", at ? " " : "", vocabulary[w]);
    }
    return out;
}

static void fixture_put(struct fixture *f, struct med_batch *batch, struct med_rng *rng, unsigned i)
{
    char id[32], title[160] = "Report ";
    struct med_mesh mesh = {0};
    words_text(rng, &f->title[i], title + 7, sizeof title - 7);
    words_text(rng, &f->body[i], f->bodies[i], sizeof f->bodies[i]);
    memcpy(f->titles[i], title, sizeof title);
    uint64_t w = med_rng_below(rng, 2 * WORD_COUNT);
    if (w < WORD_COUNT) mesh.descriptor = med_str_of(vocabulary[w]);
    f->mesh[i] = w < WORD_COUNT ? 1u << w : 0;
    snprintf(id, sizeof id, "doc:%u", i);
    struct med_section section = {.kind = MED_SECTION_ABSTRACT, .body = med_str_of(f->bodies[i])};
    struct med_doc doc = {.id = med_str_of(id),
        .source_id = med_str_of(id + 4),
        .title = med_str_of(title),
        .sections = &section,
        .section_count = f->body[i] != 0,
        .mesh = &mesh,
        .mesh_count = w < WORD_COUNT};
    enum med_put_outcome outcome;
    assert_int_equal(med_batch_put(batch, &doc, &outcome, NULL), MED_OK);
}

static void fixture_open(struct fixture *f, struct med_rng *rng)
{
    char store_dir[128];
    struct med_batch *batch;
    struct med_build_report report;
    struct med_build_options options = {.threads = 1, .lexical_only = true};
    snprintf(f->dir, sizeof f->dir, "/tmp/medicus-query-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(store_dir, sizeof store_dir, "%s/docs", f->dir);
    assert_int_equal(med_data_open(f->dir, true, med_fs_posix(), &f->data, NULL), MED_OK);
    assert_int_equal(med_store_open(store_dir, MED_STORE_READ_WRITE, &f->store, NULL), MED_OK);
    assert_int_equal(med_batch_begin(f->store, &batch, NULL), MED_OK);
    for (unsigned i = 0; i < DOC_COUNT; i++) fixture_put(f, batch, rng, i);
    assert_int_equal(med_batch_commit(&batch, NULL), MED_OK);
    assert_int_equal(med_build(f->data, f->store, &options, &report, NULL), MED_OK);
    assert_int_equal(med_index_open(f->data, f->store, 0, true, &f->index, NULL), MED_OK);
    assert_int_equal(med_searcher_new(&f->searcher, NULL), MED_OK);
}

static void fixture_close(struct fixture *f)
{
    med_searcher_free(&f->searcher);
    med_index_release(&f->index);
    med_store_close(&f->store);
    med_data_close(&f->data);
    assert_int_equal(med_fs_remove_tree(med_fs_posix(), f->dir, NULL), MED_OK);
}

static uint64_t total_of(struct fixture *f, const char *query)
{
    struct med_search_request request = MED_SEARCH_REQUEST_DEFAULT;
    struct med_answer *answer;
    struct med_err err = {0};
    request.query = med_str_of(query);
    request.mode = MED_MODE_LEXICAL;
    request.limit = 1000;
    if (med_search(f->index, f->searcher, &request, arena, &answer, &err))
        fail_msg("%s: %s", query, err.text);
    assert_true(answer->ranking->total_exact);
    assert_int_equal(answer->count, answer->ranking->total); /* all of them can be had */
    return answer->ranking->total;
}

/* A query and the documents that it stands for. */
struct meaning {
    struct med_buf text;
    bool truth[DOC_COUNT];
};

static void random_word(struct fixture *f, struct med_rng *rng, struct meaning *m)
{
    static const char *const tags[] = {"", "[ti]", "[tiab]", "[mh]"};
    uint64_t w = med_rng_below(rng, WORD_COUNT), tag = med_rng_below(rng, 4);
    for (unsigned i = 0; i < DOC_COUNT; i++) {
        unsigned mask = tag == 3 ? f->mesh[i] : f->title[i];
        if (tag == 0 || tag == 2) mask |= f->body[i];
        if (tag == 0) mask |= f->mesh[i];
        m->truth[i] = mask >> w & 1;
    }
    med_buf_reset(&m->text);
    if (w < 7 && tag < 3 && med_rng_below(rng, 3) == 0) /* no other word begins so */
        med_buf_printf(&m->text, "%.4s*%s", vocabulary[w], tags[tag]);
    else
        med_buf_printf(&m->text, "%s%s", vocabulary[w], tags[tag]);
}

/* a = a op b, or NOT a. */
static void combine(struct meaning *a, const struct meaning *b, uint64_t op)
{
    static const char *const between[] = {") AND (", ") OR (", ") NOT ("};
    struct med_buf text;
    med_buf_init(&text, MED_QUERY_BYTES_MAX);
    med_buf_puts(&text, op == 3 ? "NOT (" : "(");
    med_buf_append_str(&text, med_buf_str(&a->text));
    if (op < 3) med_buf_puts(&text, between[op]);
    if (op < 3) med_buf_append_str(&text, med_buf_str(&b->text));
    med_buf_puts(&text, ")");
    med_buf_reset(&a->text);
    med_buf_append_str(&a->text, med_buf_str(&text));
    med_buf_free(&text);
    for (unsigned i = 0; i < DOC_COUNT; i++) {
        bool x = a->truth[i], y = b->truth[i];
        a->truth[i] = op == 0 ? x && y : op == 1 ? x || y : op == 2 ? x && !y : !x;
    }
}

/* The meaning of a random expression, in stack[0]. */
static void random_expression(struct fixture *f, struct med_rng *rng, struct meaning stack[5])
{
    size_t depth = 0;
    for (uint64_t steps = 3 + med_rng_below(rng, 9); steps-- > 0;) {
        uint64_t op = med_rng_below(rng, 4);
        if (depth < 2 || (depth < 5 && med_rng_below(rng, 2))) {
            random_word(f, rng, &stack[depth++]);
        } else if (op == 3) {
            combine(&stack[depth - 1], &stack[depth - 1], op);
        } else {
            combine(&stack[depth - 2], &stack[depth - 1], op);
            depth--;
        }
    }
    for (; depth > 1; depth--) combine(&stack[depth - 2], &stack[depth - 1], 1);
}

static void a_boolean_query_returns_exactly_its_set(void **state)
{
    (void)state;
    struct fixture *f = med_calloc(1, sizeof *f);
    struct med_rng rng;
    med_rng_seed(&rng, med_test_seed());
    fixture_open(f, &rng);
    struct meaning *stack = med_calloc(5, sizeof *stack);
    for (int i = 0; i < 5; i++) med_buf_init(&stack[i].text, MED_QUERY_BYTES_MAX);
    for (int round = 0; round < 150; round++) {
        char whole[4200];
        size_t expected = 0;
        med_arena_reset(arena);
        random_expression(f, &rng, stack);
        snprintf(whole, sizeof whole, "(%s) AND NOT nothinglikethis", stack[0].text.data);
        for (unsigned i = 0; i < DOC_COUNT; i++) expected += stack[0].truth[i];
        assert_int_equal(total_of(f, whole), expected);
    }
    for (int i = 0; i < 5; i++) med_buf_free(&stack[i].text);
    med_free(stack);
    for (unsigned a = 0; a < WORD_COUNT - 1; a++) { /* phrases, against the text */
        char phrase[40];
        size_t expected = 0;
        snprintf(phrase, sizeof phrase, "%s %s", vocabulary[a], vocabulary[(a + 3) % 7]);
        med_arena_reset(arena);
        char query[160];
        snprintf(query, sizeof query, "\"%s\"[tiab] AND NOT \"%s\"[ti]", phrase, phrase);
        for (unsigned i = 0; i < DOC_COUNT; i++)
            expected += strstr(f->bodies[i], phrase) && !strstr(f->titles[i], phrase);
        assert_int_equal(total_of(f, query), expected);
    }
    fixture_close(f);
    med_free(f);
}

static void a_failing_allocation_fails_the_search_and_nothing_else(void **state)
{
    (void)state;
    struct fixture *f = med_calloc(1, sizeof *f);
    struct med_rng rng;
    med_rng_seed(&rng, med_test_seed());
    fixture_open(f, &rng);
    struct med_search_request request = MED_SEARCH_REQUEST_DEFAULT;
    request.query = MED_STR("(asthma[tiab] OR \"renal stroke\" OR alb*) NOT mesh:fevre");
    request.sort = MED_SORT_DATE;
    request.facet_mask = (1u << MED_FACET_COUNT) - 1;
    request.facet_values = 10;
    enum med_code code = MED_E_NOMEM;
    for (uint64_t n = 1; code; n++) {
        struct med_arena *own = NULL;
        struct med_searcher *searcher = NULL;
        struct med_answer *answer;
        assert_int_equal(med_arena_new(64 * MED_MIB, &own, NULL), MED_OK);
        assert_int_equal(med_searcher_new(&searcher, NULL), MED_OK);
        med_mem_fail_after(n);
        code = med_search(f->index, searcher, &request, own, &answer, NULL);
        med_mem_fail_after(0);
        assert_true(code == MED_OK || code == MED_E_NOMEM);
        med_searcher_free(&searcher);
        med_arena_free(&own);
        assert_true(n < 10000);
    }
    fixture_close(f);
    med_free(f);
}

static int open_arena(void **state)
{
    (void)state;
    return med_arena_new(1024 * MED_MIB, &arena, NULL) != MED_OK;
}

static int close_arena(void **state)
{
    (void)state;
    med_arena_free(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_questions_stay_plain),
        cmocka_unit_test(phrases_and_fields_restrict_and_words_rank),
        cmocka_unit_test(operators_bind_not_before_and_before_or),
        cmocka_unit_test(errors_name_the_place_and_what_was_expected),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(no_bytes_break_the_parser),
        cmocka_unit_test(a_boolean_query_returns_exactly_its_set),
        cmocka_unit_test(a_failing_allocation_fails_the_search_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, open_arena, close_arena);
}

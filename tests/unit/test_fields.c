/* Fields, attributes and filters on a real data folder: what is found is exactly what is there. */
#include "common/mem.h"
#include "common/rng.h"
#include "index/build.h"
#include "index/internal.h"
#include "index/spell.h"

#include "tests/support/support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define DOC_COUNT 1000u

static struct {
    char dir[64];
    struct med_data *data;
    struct med_store *store;
    struct med_index *index;
    struct med_searcher *searcher;
    struct med_arena *arena;
} fx;

static struct med_str text_of(const char *fmt, ...)
{
    char line[512];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    return (struct med_str){.ptr = med_arena_strndup(fx.arena, line, (size_t)n), .len = (size_t)n};
}

/* Document i: selectivities of 50 %, 10 %, 1 %, .1 % by MeSH, journals and types in turn. */
static void put_document(struct med_batch *batch, unsigned i)
{
    static const char *const drugs[] = {"metformin", "warfarin", "insulin", "aspirin", "lithium"};
    static const char *const journals[][2] = {
        {"The New England journal of medicine", "N. Engl. J. Med."},
        {"Lancet (London, England)", "Lancet"}, {"Diabetes care", "Diabetes Care"}};
    struct med_section section = {.kind = MED_SECTION_ABSTRACT,
        .body = text_of("We gave %s to %u adults with %s; %s was compared with %s in ward %u.",
            drugs[i % 5], i, i % 3 ? "asthma" : "type 2 diabetes", drugs[i % 5], drugs[i % 7 % 5],
            i % 13)};
    struct med_str types[] = {
        MED_STR("Journal Article"), i % 4 ? MED_STR("Review") : MED_STR("Case Reports")};
    struct med_mesh mesh[4] = {{.descriptor = MED_STR("Humans")}};
    size_t mesh_count = 1;
    if (i % 2 == 0) mesh[mesh_count++].descriptor = MED_STR("Asthma");
    if (i % 100 == 7)
        mesh[mesh_count++] =
            (struct med_mesh){.descriptor = MED_STR("Diabetes Mellitus, Type 2"), .major = true};
    if (i == 421) mesh[mesh_count++].descriptor = MED_STR("Gitelman Syndrome");
    struct med_author authors[] = {{.family = MED_STR("Müller"), .initials = MED_STR("KH")},
        {.family = text_of("Doe%u", i % 10), .initials = MED_STR("J")}};
    struct med_doc doc = {.id = text_of("pmid:%u", 990400000 + i),
        .source_id = text_of("%u", 990400000 + i),
        .pmid = text_of("%u", 990400000 + i),
        .source = MED_SOURCE_PUBMED,
        .title = text_of("%s in ward %u: report %u", drugs[i % 5], i % 13, i),
        .sections = &section,
        .section_count = 1,
        .date = {.year = (uint16_t)(2000 + i % 20)},
        .journal = {.title = med_str_of(journals[i % 3][0]),
            .iso_abbreviation = med_str_of(journals[i % 3][1])},
        .language = i % 10 ? MED_STR("eng") : MED_STR("fre"),
        .publication_types = types,
        .publication_type_count = 2,
        .mesh = mesh,
        .mesh_count = mesh_count,
        .authors = authors,
        .author_count = 2};
    enum med_put_outcome outcome;
    assert_int_equal(med_batch_put(batch, &doc, &outcome, NULL), MED_OK);
}

static int open_fixture(void **state)
{
    (void)state;
    char store_dir[128];
    struct med_batch *batch;
    struct med_build_report report;
    struct med_err err = {0};
    snprintf(fx.dir, sizeof fx.dir, "/tmp/medicus-fields-XXXXXX");
    if (!mkdtemp(fx.dir)) return 1;
    snprintf(store_dir, sizeof store_dir, "%s/docs", fx.dir);
    struct med_build_options options = {.threads = 2, .dim = 32};
    if (med_arena_new(1024 * MED_MIB, &fx.arena, NULL) ||
        med_data_open(fx.dir, true, med_fs_posix(), &fx.data, &err) ||
        med_store_open(store_dir, MED_STORE_READ_WRITE, &fx.store, &err) ||
        med_batch_begin(fx.store, &batch, &err))
        return 1;
    for (unsigned i = 0; i < DOC_COUNT; i++) put_document(batch, i);
    if (med_batch_commit(&batch, &err) || med_build(fx.data, fx.store, &options, &report, &err) ||
        med_index_open(fx.data, fx.store, 0, true, &fx.index, &err) ||
        med_searcher_new(&fx.searcher, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    return 0;
}

static int close_fixture(void **state)
{
    (void)state;
    med_searcher_free(&fx.searcher);
    med_index_release(&fx.index);
    med_store_close(&fx.store);
    med_data_close(&fx.data);
    med_arena_free(&fx.arena);
    return med_fs_remove_tree(med_fs_posix(), fx.dir, NULL);
}

static struct med_answer *search_with(struct med_search_request request)
{
    struct med_answer *answer = NULL;
    struct med_err err = {0};
    if (med_search(fx.index, fx.searcher, &request, fx.arena, &answer, &err))
        fail_msg("%s", err.text);
    return answer;
}

static struct med_search_request ask(const char *query, enum med_mode mode)
{
    struct med_search_request request = MED_SEARCH_REQUEST_DEFAULT;
    request.query = med_str_of(query);
    request.mode = mode;
    return request;
}

static struct med_str_list one(const char *value)
{
    struct med_str *item = med_arena_alloc(fx.arena, sizeof *item);
    *item = med_str_of(value);
    return (struct med_str_list){.items = item, .count = 1};
}

/* --- the true top k at every selectivity --- */

static bool selected(const struct med_doc *doc, const char *mesh, unsigned year, bool reviews)
{
    bool found = !mesh;
    for (size_t i = 0; mesh && i < doc->mesh_count; i++)
        found |= med_str_eq(doc->mesh[i].descriptor, med_str_of(mesh));
    return found && (!year || doc->date.year == year) &&
           (!reviews || med_str_eq(doc->publication_types[1], MED_STR("Review")));
}

static void a_filter_gives_the_true_top_k_at_every_selectivity(void **state)
{
    (void)state;
    static const struct {
        const char *mesh;
        unsigned year;
        bool reviews;
        size_t expected;
    } cases[] = {{"Humans", 0, false, 1000}, {NULL, 0, true, 750}, {"Asthma", 0, false, 500},
        {NULL, 2004, false, 50}, {"Diabetes Mellitus, Type 2", 0, false, 10},
        {"Diabetes Mellitus, Type 2", 2007, true, 10}, {"Gitelman Syndrome", 0, false, 1}};
    for (enum med_mode mode = MED_MODE_LEXICAL; mode <= MED_MODE_DENSE; mode++) {
        struct med_search_request all = ask("metformin or warfarin for adults in ward 7", mode);
        all.limit = 1000;
        all.authority_weight = 0;
        all.exact_dense = true;
        struct med_answer *truth = search_with(all);
        for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
            struct med_search_request request = all;
            request.limit = 10;
            request.exact_dense = false;
            if (cases[c].mesh) request.filter.mesh = one(cases[c].mesh);
            if (cases[c].reviews) request.filter.types = one("review");
            request.filter.year_min = request.filter.year_max = cases[c].year;
            struct med_answer *got = search_with(request);
            size_t at = 0, matches = 0;
            for (size_t i = 0; i < truth->count; i++) {
                if (!selected(
                        truth->results[i].doc, cases[c].mesh, cases[c].year, cases[c].reviews))
                    continue;
                matches++;
                if (at == 10) continue;
                assert_true(at < got->count);
                const struct med_ranked *x = &got->results[at].rank, *y = &truth->results[i].rank;
                float a = mode == MED_MODE_DENSE ? x->dense : x->lexical;
                float b = mode == MED_MODE_DENSE ? y->dense : y->lexical;
                assert_true(a == b); /* ties may stand in any order */
                at++;
            }
            assert_int_equal(matches, cases[c].expected);
            assert_int_equal(got->count, matches < 10 ? matches : 10);
        }
    }
}

/* --- fields --- */

static uint64_t total_of(const char *query)
{
    struct med_answer *a = search_with(ask(query, MED_MODE_HYBRID));
    assert_true(a->ranking->total_exact);
    return a->ranking->total;
}

static void fields_find_what_documents_say_about_themselves(void **state)
{
    (void)state;
    assert_int_equal(total_of("mesh:asthma"), 500);
    assert_int_equal(total_of("mesh:\"diabetes mellitus type 2\""), 10);
    assert_int_equal(total_of("diabetes[mh]"), 10); /* a word of the heading */
    assert_int_equal(total_of("Diabetes Mellitus, Type 2[majr]"), 10);
    assert_int_equal(total_of("asthma[majr]"), 0);
    assert_int_equal(total_of("journal:\"n engl j med\""), 334);
    assert_int_equal(total_of("journal:Lancet"), 333);
    assert_int_equal(total_of("lancet london england[ta]"), 333);
    assert_int_equal(total_of("author:muller"), 1000);
    assert_int_equal(total_of("muller kh[au]"), 1000);
    assert_int_equal(total_of("muller k[au]"), 1000);
    assert_int_equal(total_of("muller h[au]"), 0);
    assert_int_equal(total_of("doe3[au]"), 100);
    assert_int_equal(total_of("type:\"case reports\""), 250);
    assert_int_equal(total_of("lang:french"), 100);
    assert_int_equal(total_of("fr[la] AND eng[la]"), 0);
    assert_int_equal(total_of("year:2003..2004"), 100);
    assert_int_equal(total_of("2003:2004[dp]"), 100);
    assert_int_equal(total_of("year:2019.."), 50);
    assert_int_equal(total_of("source:pubmed"), 1000);
    assert_int_equal(total_of("source:guideline"), 0);
    assert_int_equal(total_of("title:metformin"), 200);
    assert_int_equal(total_of("metform*[ti]"), 200);
}

static void text_tags_leave_mesh_out(void **state)
{
    (void)state;
    size_t both = 0, text = 0;
    for (unsigned i = 0; i < DOC_COUNT; i++) {
        text += i % 3 != 0;
        both += i % 3 != 0 || i % 2 == 0;
    }
    assert_int_equal(total_of("asthma[tw]"), both);
    assert_int_equal(total_of("asthma[tiab]"), text);
}

static void a_value_that_no_document_has_is_named_with_near_ones(void **state)
{
    (void)state;
    struct med_search_request request = ask("metformin", MED_MODE_HYBRID);
    request.filter.mesh = one("Astma");
    struct med_answer *a = search_with(request);
    assert_int_equal(a->count, 0);
    assert_int_equal(a->ranking->notice_count, 2);
    assert_string_equal(a->ranking->notices[0].ptr,
        "no document has the MeSH heading \"Astma\"; near are \"Asthma\"");
    request.filter.mesh = (struct med_str_list){0};
    const struct med_ranking *rest = search_with(request)->ranking;
    char hint[100];
    snprintf(hint, sizeof hint, "0 results with mesh:Astma; %s%llu without it",
        rest->total_exact ? "" : "at least ", (unsigned long long)rest->total);
    assert_string_equal(a->ranking->notices[1].ptr, hint);
    a = search_with(ask("journal:Lancettt", MED_MODE_HYBRID));
    assert_int_equal(a->count, 0);
    assert_non_null(strstr(a->ranking->notices[0].ptr, "Lancet (London, England)"));
}

/* --- order by date, facets --- */

static void sort_by_date_is_exact_over_all_matches(void **state)
{
    (void)state;
    struct med_search_request request = ask("metformin asthma", MED_MODE_HYBRID);
    request.sort = MED_SORT_DATE;
    request.limit = 1000;
    struct med_answer *a = search_with(request);
    size_t expected = 0;
    for (unsigned i = 0; i < DOC_COUNT; i++)
        expected += (i % 5 == 0 || i % 7 % 5 == 0) && (i % 3 != 0 || i % 2 == 0);
    assert_int_equal(a->ranking->total, expected);
    assert_int_equal(a->count, expected);
    for (size_t i = 1; i < a->count; i++) {
        const struct med_result *x = &a->results[i - 1], *y = &a->results[i];
        assert_true(x->doc->date.year >= y->doc->date.year);
        if (x->doc->date.year == y->doc->date.year)
            assert_true(med_str_cmp(x->document_id, y->document_id) < 0);
    }
    request.limit = 7;
    request.offset = 20;
    struct med_answer *page = search_with(request);
    for (size_t i = 0; i < page->count; i++)
        assert_true(med_str_eq(page->results[i].id, a->results[20 + i].id));
}

static uint64_t facet(const struct med_answer *a, enum med_facet f, const char *value)
{
    for (size_t i = 0; i < a->ranking->facets[f].count; i++) {
        const struct med_facet_value *v = &a->ranking->facets[f].values[i];
        if (med_str_eq(v->value, med_str_of(value))) return v->count;
    }
    return 0;
}

static void facets_count_every_match(void **state)
{
    (void)state;
    struct med_search_request request = ask("mesh:asthma AND metformin[ti]", MED_MODE_LEXICAL);
    request.facet_mask = (1u << MED_FACET_COUNT) - 1;
    request.facet_values = 20;
    struct med_answer *a = search_with(request);
    assert_int_equal(a->ranking->total, 100); /* every tenth document */
    assert_int_equal(facet(a, MED_FACET_LANGUAGE, "fre"), 100);
    assert_int_equal(facet(a, MED_FACET_TYPE, "Journal Article"), 100);
    assert_int_equal(facet(a, MED_FACET_TYPE, "Case Reports"), 50);
    assert_int_equal(facet(a, MED_FACET_YEAR, "2010"), 50);
    assert_int_equal(facet(a, MED_FACET_MESH, "Humans"), 100);
    assert_int_equal(facet(a, MED_FACET_SOURCE, "pubmed"), 100);
    assert_int_equal(facet(a, MED_FACET_JOURNAL, "Diabetes care"), 33);
    request = ask("metformin", MED_MODE_LEXICAL); /* a plain question: what has its words */
    request.facet_mask = 1u << MED_FACET_SOURCE;
    request.facet_values = 5;
    size_t expected = 0;
    for (unsigned i = 0; i < DOC_COUNT; i++) expected += i % 5 == 0 || i % 7 % 5 == 0;
    assert_int_equal(facet(search_with(request), MED_FACET_SOURCE, "pubmed"), expected);
}

/* --- spelling --- */

static void a_misspelt_word_is_offered_and_applied_only_when_nothing_is_found(void **state)
{
    (void)state;
    struct med_answer *a = search_with(ask("metfornim for asthma", MED_MODE_HYBRID));
    assert_string_equal(a->ranking->suggestion.ptr, "metformin for asthma");
    assert_int_equal(a->ranking->searched.len, 0);
    assert_true(a->count > 0);
    a = search_with(ask("wafrarin", MED_MODE_HYBRID));
    assert_string_equal(a->ranking->searched.ptr, "warfarin");
    assert_int_equal(a->count, 10);
    assert_non_null(strstr(a->ranking->notices[0].ptr, "nothing was found for \"wafrarin\""));
    a = search_with(ask("asthma AND mesh:\"Gitleman Syndrome\"", MED_MODE_HYBRID));
    assert_string_equal(a->ranking->searched.ptr, "asthma AND mesh:\"gitelman Syndrome\"");
    assert_int_equal(a->count, 1);
    a = search_with(ask("asthma in adults", MED_MODE_HYBRID));
    assert_int_equal(a->ranking->suggestion.len, 0);
    struct med_search_request literal = ask("wafrarin", MED_MODE_LEXICAL);
    literal.literal = true;
    a = search_with(literal);
    assert_int_equal(a->count, 0);
    assert_int_equal(a->ranking->suggestion.len, 0);
}

/* The distance of the nearest word that may be offered for a term, by a look at all of them. */
static unsigned nearest(const struct med_lex *lex, struct med_str typed, unsigned limit)
{
    unsigned least = limit;
    for (uint32_t t = 0; t < med_lex_term_count(lex); t++) {
        struct med_buf term;
        uint32_t df;
        med_buf_init(&term, 1000);
        assert_int_equal(med_lex_term_at(lex, t, &term, &df, NULL), MED_OK);
        unsigned d = spell_distance(typed, med_buf_str(&term), limit);
        bool is_word = term.len >= 4 && term.data[0] == typed.ptr[0];
        for (size_t i = 0; i < term.len; i++)
            is_word = is_word && term.data[i] >= 'a' && term.data[i] <= 'z';
        if (is_word && d < least && df >= (d > 1 ? MED_SPELL_FAR_DF_MIN : 1)) least = d;
        med_buf_free(&term);
    }
    return least;
}

static struct med_str stem_of(const char *word)
{
    const struct med_token *tokens;
    size_t count;
    struct med_str stem;
    assert_int_equal(
        med_analyze(fx.searcher->analyzer, med_str_of(word), &tokens, &count, NULL), MED_OK);
    assert_int_equal(count, 1);
    assert_true(med_arena_str(fx.arena, tokens[0].term, &stem));
    return stem;
}

static void no_word_is_nearer_than_the_one_that_is_offered(void **state)
{
    (void)state;
    static const char *const words[] = {"metformin", "warfarin", "asthma", "diabetes", "adults"};
    const struct med_lex *lex = med_index_segment(fx.index, 0)->lex;
    struct med_rng rng;
    unsigned offered = 0, refused = 0;
    med_rng_seed(&rng, med_test_seed());
    for (int round = 0; round < 300; round++) {
        char typed[32];
        int len = snprintf(typed, sizeof typed, "%s", words[round % 5]);
        for (uint64_t n = 1 + med_rng_below(&rng, 3); n > 0; n--)
            typed[1 + med_rng_below(&rng, (uint64_t)len - 1)] =
                (char)('a' + med_rng_below(&rng, 26));
        struct med_str term = stem_of(typed);
        unsigned limit = len >= 7 ? 3 : 2, least = nearest(lex, term, limit);
        if (med_lex_find(lex, term, NULL, NULL)) continue;
        const char *suggestion = search_with(ask(typed, MED_MODE_LEXICAL))->ranking->suggestion.ptr;
        if (suggestion) assert_int_equal(spell_distance(term, stem_of(suggestion), limit), least);
        offered += suggestion && *suggestion;
        refused += least == limit && !suggestion;
    }
    assert_true(offered > 50 && refused > 5);
}

/* What is offered, and what the offers ruled out, drawn at random. */
struct offers {
    struct med_rng *rng;
    const struct med_lex *lex;
    struct med_str prefix;
    uint32_t next; /* ordinal of the first term that was not seen */
    char dead[64];
    size_t dead_len;
};

static void must_be_dead(struct offers *o, uint32_t end)
{
    for (; o->next < end; o->next++) {
        struct med_buf term;
        med_buf_init(&term, 1000);
        assert_int_equal(med_lex_term_at(o->lex, o->next, &term, NULL, NULL), MED_OK);
        struct med_str dead = {.ptr = o->dead, .len = o->dead_len};
        assert_true(!med_str_starts(med_buf_str(&term), o->prefix) ||
                    (o->dead_len && med_str_starts(med_buf_str(&term), dead)));
        med_buf_free(&term);
    }
}

static enum med_code on_offer(void *ctx, struct med_str term, size_t *ret_dead, struct med_err *err)
{
    struct offers *o = ctx;
    uint32_t ordinal;
    (void)err;
    assert_int_equal(*ret_dead, 0);
    assert_true(med_lex_find(o->lex, term, &ordinal, NULL));
    assert_true(med_str_starts(term, o->prefix));
    must_be_dead(o, ordinal);
    o->next = ordinal + 1;
    o->dead_len = term.len ? med_rng_below(o->rng, term.len + 1) : 0;
    memcpy(o->dead, term.ptr, o->dead_len);
    *ret_dead = o->dead_len;
    return MED_OK;
}

static void a_scan_offers_all_terms_that_were_not_ruled_out(void **state)
{
    (void)state;
    const struct med_lex *lex = med_index_segment(fx.index, 0)->lex;
    struct med_rng rng;
    uint32_t count = med_lex_term_count(lex);
    med_rng_seed(&rng, med_test_seed());
    for (int round = 0; round < 200; round++) {
        struct offers o = {.rng = &rng, .lex = lex};
        struct med_buf term;
        med_buf_init(&term, 1000);
        uint32_t ordinal = (uint32_t)med_rng_below(&rng, count);
        assert_int_equal(med_lex_term_at(lex, ordinal, &term, NULL, NULL), MED_OK);
        o.prefix = med_str_sub(med_buf_str(&term), 0, med_rng_below(&rng, 3));
        assert_int_equal(med_lex_scan(lex, o.prefix, on_offer, &o, NULL), MED_OK);
        must_be_dead(&o, count);
        med_buf_free(&term);
    }
}

/* --- damage --- */

static void damaged_attributes_are_refused(void **state)
{
    (void)state;
    const struct med_segment *s = med_index_segment(fx.index, 0);
    assert_int_equal(med_segment_check(s, NULL), MED_OK);
    for (size_t m = 0; m < sizeof s->maps / sizeof *s->maps; m++) {
        const struct med_map *map = &s->maps[m];
        if (map->len < 8 || memcmp(map->ptr, MED_ATTRIBUTES_MAGIC, 8) != 0) continue;
        uint8_t *copy = med_malloc(map->len);
        struct med_attributes a;
        struct med_rng rng;
        med_rng_seed(&rng, med_test_seed());
        for (int round = 0; round < 2000; round++) {
            memcpy(copy, map->ptr, map->len);
            copy[med_rng_below(&rng, map->len)] ^= (uint8_t)(1u << med_rng_below(&rng, 8));
            struct med_map bad = {.ptr = copy, .len = map->len};
            if (round % 3 == 0) bad.len = med_rng_below(&rng, map->len);
            if (med_attributes_open(bad, &a, NULL)) continue;
            for (uint32_t v = 0; v < a.value_count; v++) (void)med_attribute_text(&a, v);
        }
        med_free(copy);
        return;
    }
    fail_msg("a segment without attributes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_filter_gives_the_true_top_k_at_every_selectivity),
        cmocka_unit_test(fields_find_what_documents_say_about_themselves),
        cmocka_unit_test(text_tags_leave_mesh_out),
        cmocka_unit_test(a_value_that_no_document_has_is_named_with_near_ones),
        cmocka_unit_test(sort_by_date_is_exact_over_all_matches),
        cmocka_unit_test(facets_count_every_match),
        cmocka_unit_test(a_misspelt_word_is_offered_and_applied_only_when_nothing_is_found),
        cmocka_unit_test(no_word_is_nearer_than_the_one_that_is_offered),
        cmocka_unit_test(a_scan_offers_all_terms_that_were_not_ruled_out),
        cmocka_unit_test(damaged_attributes_are_refused),
    };
    return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}

/* Similar articles: near ones first, never the document itself or what belongs to it. */
#include "index/similar.h"
#include "tests/unit/index_fixture.h"

static struct index_fixture fx;

static const char *const subjects[] = {"insulin glargine for type 2 diabetes",
    "apixaban for atrial fibrillation", "salbutamol for childhood asthma",
    "adalimumab for rheumatoid arthritis", "levothyroxine for hypothyroidism"};
static const char *const texts[] = {
    "Basal insulin lowered HbA1c and fasting glucose; hypoglycaemia was rare at night.",
    "Anticoagulation prevented stroke; major bleeding was rarer than with warfarin.",
    "Inhaled bronchodilators relieved wheeze in children; spirometry improved.",
    "TNF blockade reduced joint swelling and erosions; infections were more frequent.",
    "Thyroid hormone normalised TSH; fatigue improved in half of the participants."};

static struct med_doc document(unsigned i)
{
    struct med_section *section = med_arena_calloc(fx.arena, 1, sizeof *section);
    char *id = med_arena_printf(fx.arena, "pmid:%u", 990500000 + i);
    if (!id) abort();
    char *title = med_arena_printf(fx.arena, "Trial of %s at centre %u", subjects[i % 5], i);
    *section = (struct med_section){.kind = MED_SECTION_ABSTRACT, .body = med_str_of(texts[i % 5])};
    return (struct med_doc){.id = med_str_of(id),
        .source_id = med_str_of(id + 5),
        .pmid = med_str_of(id + 5),
        .source = MED_SOURCE_PUBMED,
        .title = med_str_of(title),
        .sections = section,
        .section_count = 1};
}

static void put_documents(void)
{
    struct med_doc docs[60];
    for (unsigned i = 0; i < 60; i++) docs[i] = document(i);
    static struct med_link notice = {
        .kind = MED_LINK_RETRACTION_OF, .target = {.ptr = "pmid:990500000", .len = 14}};
    docs[5].links = &notice; /* pmid:990500005 retracts pmid:990500000 */
    docs[5].link_count = 1;
    docs[10].id = MED_STR("pmcid:PMC990500000"); /* its full text */
    docs[10].pmid = MED_STR("990500000");
    docs[10].pmcid = MED_STR("PMC990500000");
    docs[10].source = MED_SOURCE_PMC;
    fixture_put(&fx, docs, 60);
}

static int open_all(void **state)
{
    (void)state;
    fixture_open(&fx);
    put_documents();
    fixture_build(&fx, false);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    fixture_close(&fx);
    return 0;
}

static struct med_answer *similar(const char *id, struct med_search_request request)
{
    struct med_answer *answer;
    struct med_str found;
    FIXTURE_OK(med_similar(fx.index, fx.store, fx.searcher, med_str_of(id), &request, fx.arena,
        &answer, &found, &ok_err));
    return answer;
}

static void check_neighbours(enum med_mode mode)
{
    for (unsigned i = 1; i < 5; i++) {
        struct med_search_request request = MED_SEARCH_REQUEST_DEFAULT;
        char *id = med_arena_printf(fx.arena, "pmid:%u", 990500000 + i);
        request.mode = mode;
        request.limit = 8;
        struct med_answer *a = similar(id, request);
        assert_int_equal(a->count, 8);
        for (size_t k = 0; k < a->count; k++) {
            const struct med_result *r = &a->results[k];
            if (!memmem(r->title.ptr, r->title.len, subjects[i], strlen(subjects[i])))
                fail_msg("%s: " MED_STR_FMT, id, MED_STR_ARG(r->title));
            assert_false(med_str_eq(r->document_id, med_str_of(id)));
            if (k) assert_true(a->results[k - 1].rank.score >= r->rank.score);
        }
    }
}

static void neighbours_are_of_the_same_subject(void **state)
{
    (void)state;
    for (enum med_mode mode = 0; mode < MED_MODE_COUNT; mode++) check_neighbours(mode);
}

static void what_belongs_to_the_document_is_left_out(void **state)
{
    (void)state;
    struct med_search_request request = MED_SEARCH_REQUEST_DEFAULT;
    request.limit = 100;
    const char *ids[] = {"pmid:990500000", "pmcid:PMC990500000", "pmid:990500000~0"};
    for (size_t n = 0; n < sizeof ids / sizeof *ids; n++) {
        struct med_answer *a = similar(ids[n], request);
        assert_int_equal(a->count, 57); /* 60 without both halves of the work and its notice */
        for (size_t i = 0; i < a->count; i++) {
            assert_false(med_str_ends(a->results[i].document_id, MED_STR("990500000")));
            assert_false(med_str_eq(a->results[i].document_id, MED_STR("pmid:990500005")));
        }
    }
}

static void pages_fit_together_and_filters_hold(void **state)
{
    (void)state;
    struct med_search_request request = MED_SEARCH_REQUEST_DEFAULT;
    request.limit = 10;
    struct med_answer *all = similar("pmid:990500001", request);
    request.limit = 5;
    request.offset = 5;
    struct med_answer *second = similar("pmid:990500001", request);
    assert_int_equal(second->count, 5);
    for (size_t i = 0; i < 5; i++)
        assert_true(med_str_eq(second->results[i].id, all->results[i + 5].id));
    request.offset = 0;
    request.filter.source_mask = 1u << MED_SOURCE_GUIDELINE;
    assert_int_equal(similar("pmid:990500001", request)->count, 0);
}

static void an_unknown_document_is_not_found(void **state)
{
    (void)state;
    struct med_search_request request = MED_SEARCH_REQUEST_DEFAULT;
    struct med_answer *answer;
    struct med_str found;
    struct med_doc late = document(99);
    fixture_put(&fx, &late, 1);
    const char *ids[] = {"pmid:1", "~", "pmid:990500099"}; /* the last one is stored only */
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        assert_int_equal(med_similar(fx.index, fx.store, fx.searcher, med_str_of(ids[i]), &request,
                             fx.arena, &answer, &found, NULL),
            MED_E_NOT_FOUND);
}

static void without_vectors_its_words_decide(void **state)
{
    (void)state;
    fixture_build(&fx, true);
    check_neighbours(MED_MODE_HYBRID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(neighbours_are_of_the_same_subject),
        cmocka_unit_test(what_belongs_to_the_document_is_left_out),
        cmocka_unit_test(pages_fit_together_and_filters_hold),
        cmocka_unit_test(an_unknown_document_is_not_found),
        cmocka_unit_test(without_vectors_its_words_decide),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}

/* From documents in a store to answers: build, rank, present, fetch, on a real data folder. */
#include "common/mem.h"
#include "index/build.h"
#include "index/internal.h"

#include "tests/support/support.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define DOC_COUNT 400u

static const char *const subjects[] = {"metoprolol", "insulin glargine", "adalimumab", "apixaban",
    "sertraline", "IL-6 blockade", "dapagliflozin", "amoxicillin", "levothyroxine", "salbutamol"};
static const char *const settings[] = {"children with asthma", "adults after myocardial infarction",
    "pregnant women", "kidney transplant recipients", "patients in intensive care", "primary care",
    "COVID-19 wards", "people over eighty"};
static const char *const outcomes[] = {"mortality fell", "hospital stay was shorter",
    "HbA1c did not change", "bleeding was more frequent", "quality of life improved",
    "adverse events were rare"};

struct fixture {
    char dir[64];
    struct med_data *data;
    struct med_store *store;
    struct med_index *index;
    struct med_searcher *searcher;
    struct med_arena *arena;
};

static struct fixture fx;

static struct med_str text_of(struct med_arena *arena, const char *fmt, ...)
{
    char line[1024];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    return (struct med_str){.ptr = med_arena_strndup(arena, line, (size_t)n), .len = (size_t)n};
}

static void put(struct med_batch *batch, struct med_doc *doc)
{
    enum med_put_outcome outcome;
    assert_int_equal(med_batch_put(batch, doc, &outcome, NULL), MED_OK);
}

static void put_plain(struct med_batch *batch, struct med_arena *arena, unsigned i)
{
    const char *subject = subjects[i % 10], *setting = settings[i / 10 % 8],
               *outcome = outcomes[i / 7 % 6];
    struct med_section section = {.kind = MED_SECTION_ABSTRACT,
        .body = text_of(arena,
            "We studied %s in %s at centre %u. The dose was raised every week until the goal was "
            "met. After %u months "
            "%s. Treatment with %s was compared with usual care by blinded assessors.",
            subject, setting, i, i % 24 + 1, outcome, subject)};
    struct med_str types[] = {MED_STR("Journal Article"),
        i % 3 ? MED_STR("Randomized Controlled Trial") : MED_STR("Case Reports")};
    struct med_doc doc = {.id = text_of(arena, "pmid:%u", 990100000 + i),
        .source_id = text_of(arena, "%u", 990100000 + i),
        .pmid = text_of(arena, "%u", 990100000 + i),
        .source = MED_SOURCE_PUBMED,
        .title = text_of(arena, "%s in %s: study %u", subject, setting, i),
        .sections = &section,
        .section_count = 1,
        .date = {.year = (uint16_t)(2000 + i % 25)},
        .publication_types = types,
        .publication_type_count = 2};
    put(batch, &doc);
}

/* An abstract and its full text; a retracted paper whose own record does not say so, and the notice
 * that does. */
static void put_special(struct med_batch *batch)
{
    struct med_section abstract = {.kind = MED_SECTION_ABSTRACT,
        .body = MED_STR("Zoledronate was given to postmenopausal women with osteoporosis. "
                        "Fractures were halved.")};
    struct med_doc citation = {.id = MED_STR("pmid:990200001"),
        .source_id = MED_STR("990200001"),
        .pmid = MED_STR("990200001"),
        .source = MED_SOURCE_PUBMED,
        .title = MED_STR("Zoledronate and fractures"),
        .sections = &abstract,
        .section_count = 1};
    put(batch, &citation);
    struct med_section sections[] = {
        {.kind = MED_SECTION_BODY,
            .level = 1,
            .heading = MED_STR("Methods"),
            .path = MED_STR("Methods"),
            .body = MED_STR(
                "Women received zoledronate 5 mg once a year. Bone density was measured by DXA.")},
        {.kind = MED_SECTION_BODY,
            .level = 1,
            .heading = MED_STR("Results"),
            .path = MED_STR("Results"),
            .body = MED_STR(
                "Hip fractures occurred in 1.4% with zoledronate and in 2.5% with placebo.")},
    };
    struct med_doc full = {.id = MED_STR("pmcid:PMC990200001"),
        .source_id = MED_STR("PMC990200001"),
        .pmid = MED_STR("990200001"),
        .pmcid = MED_STR("PMC990200001"),
        .source = MED_SOURCE_PMC,
        .title = MED_STR("Zoledronate and fractures"),
        .sections = sections,
        .section_count = 2};
    put(batch, &full);
    struct med_section body = {.kind = MED_SECTION_ABSTRACT,
        .body = MED_STR("Xylometazoline cured baldness in all participants of this trial. No side "
                        "effects were seen.")};
    struct med_doc paper = {.id = MED_STR("pmid:990300001"),
        .source_id = MED_STR("990300001"),
        .pmid = MED_STR("990300001"),
        .source = MED_SOURCE_PUBMED,
        .title = MED_STR("Xylometazoline for baldness"),
        .sections = &body,
        .section_count = 1};
    put(batch, &paper);
    struct med_link link = {.kind = MED_LINK_RETRACTION_OF, .target = MED_STR("pmid:990300001")};
    struct med_str type = MED_STR("Retraction of Publication");
    struct med_doc notice = {.id = MED_STR("pmid:990300002"),
        .source_id = MED_STR("990300002"),
        .pmid = MED_STR("990300002"),
        .source = MED_SOURCE_PUBMED,
        .title = MED_STR("Retraction: Xylometazoline for baldness"),
        .links = &link,
        .link_count = 1,
        .publication_types = &type,
        .publication_type_count = 1};
    put(batch, &notice);
}

static int open_fixture(void **state)
{
    (void)state;
    char store_dir[128];
    struct med_batch *batch;
    struct med_build_report report;
    struct med_err err = {0};
    snprintf(fx.dir, sizeof fx.dir, "/tmp/medicus-index-XXXXXX");
    if (!mkdtemp(fx.dir)) return 1;
    snprintf(store_dir, sizeof store_dir, "%s/docs", fx.dir);
    if (med_arena_new(256 * MED_MIB, &fx.arena, NULL) ||
        med_data_open(fx.dir, true, med_fs_posix(), &fx.data, &err) ||
        med_store_open(store_dir, MED_STORE_READ_WRITE, &fx.store, &err) ||
        med_batch_begin(fx.store, &batch, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    for (unsigned i = 0; i < DOC_COUNT; i++) put_plain(batch, fx.arena, i);
    put_special(batch);
    struct med_build_options options = {.threads = 2, .dim = 64};
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
    enum med_code code = med_search(fx.index, fx.searcher, &request, fx.arena, &answer, &err);
    if (code) fail_msg("%s", err.text);
    return answer;
}

static struct med_search_request ask(const char *query, enum med_mode mode)
{
    struct med_search_request request = MED_SEARCH_REQUEST_DEFAULT;
    request.query = med_str_of(query);
    request.mode = mode;
    return request;
}

static void every_mode_answers_with_scores_in_order(void **state)
{
    (void)state;
    for (enum med_mode mode = 0; mode < MED_MODE_COUNT; mode++) {
        struct med_answer *a =
            search_with(ask("Does metoprolol reduce mortality after myocardial infarction?", mode));
        assert_int_equal(a->count, 10);
        assert_int_equal(a->ranking->mode, mode);
        for (size_t i = 0; i < a->count; i++) {
            const struct med_result *r = &a->results[i];
            assert_true(r->rank.score > 0 && r->rank.score <= 1 + 1e-12);
            const struct med_authority *a_parts = &r->rank.authority_parts;
            double sum = r->rank.lexical_part + r->rank.dense_part + a_parts->evidence +
                         a_parts->grade + a_parts->recency + a_parts->status;
            assert_true(fabs(sum - r->rank.score) < 1e-12);
            if (i) assert_true(a->results[i - 1].rank.score >= r->rank.score);
            assert_true(r->snippet.len > 0 && r->snippet.len <= MED_SNIPPET_CHARS);
            for (size_t h = 0; h < r->highlight_count; h++)
                assert_true(r->highlights[h].start < r->highlights[h].end &&
                            r->highlights[h].end <= r->snippet.len);
        }
        assert_non_null(memmem(a->results[0].text.ptr, a->results[0].text.len, "metoprolol", 10));
    }
}

static void the_text_of_a_result_is_the_span_of_the_canonical_text(void **state)
{
    (void)state;
    struct med_answer *a = search_with(ask("insulin glargine in pregnant women", MED_MODE_HYBRID));
    for (size_t i = 0; i < a->count; i++) {
        struct med_text *text;
        assert_int_equal(med_text_make(a->results[i].doc, fx.arena, &text, NULL), MED_OK);
        struct med_span s = a->results[i].span;
        assert_true(med_str_eq(med_str_sub(text->bytes, s.start, s.end), a->results[i].text));
    }
}

static void abstract_and_full_text_are_one_work(void **state)
{
    (void)state;
    struct med_search_request request = ask("zoledronate fractures", MED_MODE_HYBRID);
    struct med_answer *a = search_with(request);
    size_t found = 0;
    for (size_t i = 0; i < a->count; i++)
        found += med_str_ends(a->results[i].document_id, MED_STR("990200001"));
    assert_int_equal(found, 1);
    assert_int_equal(a->results[0].also_count, 1);
    request.group = MED_GROUP_NONE;
    a = search_with(request);
    for (found = 0;
         found < a->count && med_str_ends(a->results[found].document_id, MED_STR("990200001"));)
        found++;
    assert_int_equal(found, 3); /* the abstract and two sections */
}

static void a_notice_flags_the_paper_it_retracts(void **state)
{
    (void)state;
    struct med_answer *a = search_with(ask("xylometazoline baldness", MED_MODE_LEXICAL));
    assert_int_equal(a->count, 2);
    for (size_t i = 0; i < 2; i++) {
        bool paper = med_str_eq(a->results[i].document_id, MED_STR("pmid:990300001"));
        assert_int_equal((a->results[i].flags & MED_FLAG_RETRACTED) != 0, paper);
    }
    struct med_search_request request = ask("xylometazoline baldness", MED_MODE_LEXICAL);
    request.filter.flags_none = MED_FLAG_RETRACTED;
    assert_int_equal(search_with(request)->count, 1);
    struct med_fetched *f;
    assert_int_equal(
        med_fetch(fx.store, fx.index, 0, MED_STR("pmid:990300001"), fx.arena, &f, NULL), MED_OK);
    assert_true(f->flags & MED_FLAG_RETRACTED);
}

static void a_filter_that_leaves_few_still_fills_the_answer(void **state)
{
    (void)state;
    for (enum med_mode mode = 0; mode < MED_MODE_COUNT; mode++) {
        struct med_search_request request = ask("treatment compared with usual care", mode);
        request.filter.year_min = request.filter.year_max = 2003; /* 16 of 404 documents */
        request.limit = 16;
        struct med_answer *a = search_with(request);
        assert_int_equal(a->count, 16);
        for (size_t i = 0; i < a->count; i++) assert_int_equal(a->results[i].doc->date.year, 2003);
        request.filter.evidence_mask = 1u << MED_EVIDENCE_CASE;
        a = search_with(request);
        assert_true(a->count > 0 && a->count < 16);
        for (size_t i = 0; i < a->count; i++)
            assert_int_equal(a->results[i].evidence, MED_EVIDENCE_CASE);
    }
}

static void pages_do_not_overlap_and_do_not_depend_on_the_limit(void **state)
{
    (void)state;
    struct med_search_request request =
        ask("apixaban bleeding in people over eighty", MED_MODE_HYBRID);
    request.limit = 30;
    struct med_answer *all = search_with(request);
    request.limit = 10;
    for (request.offset = 0; request.offset < 30; request.offset += 10) {
        struct med_answer *page = search_with(request);
        for (size_t i = 0; i < 10; i++) {
            assert_true(med_str_eq(page->results[i].id, all->results[request.offset + i].id));
            assert_true(page->results[i].rank.score == all->results[request.offset + i].rank.score);
        }
    }
}

static void unknown_words_answer_nothing_and_empty_queries_are_no_error(void **state)
{
    (void)state;
    for (enum med_mode mode = 0; mode < MED_MODE_COUNT; mode++) {
        assert_int_equal(search_with(ask("qwertyzzz", mode))->count, 0);
        assert_int_equal(search_with(ask(" ?! ", mode))->count, 0);
    }
}

static void function_words_weigh_little_but_acronyms_do_not(void **state)
{
    (void)state;
    struct query q;
    struct med_analyzer *a = fx.searcher->analyzer;
    assert_int_equal(query_analyse(a, MED_STR("What is the dose?"), fx.arena, &q, NULL), MED_OK);
    assert_int_equal(q.term_count, 4);
    for (size_t i = 0; i < 3; i++) assert_true(q.terms[i].weight < 0.2f);
    assert_true(q.terms[3].weight == 1);
    assert_int_equal(query_analyse(a, MED_STR("the WHO ladder"), fx.arena, &q, NULL), MED_OK);
    assert_true(q.terms[1].weight == 1);
    assert_int_equal(query_analyse(a, MED_STR("pain, Pain, PAIN"), fx.arena, &q, NULL), MED_OK);
    assert_int_equal(q.term_count, 1);
}

/* Requests of the kinds that agents send all day; rarer ones (phrases, facets, export) may
 * allocate.
 */
static void search_everything(struct med_arena *arena)
{
    static const char *const questions[] = {"metoprolol in children with asthma",
        "does IL-6 blockade change mortality in COVID-19 wards", "apixaban bleeding", "dose"};
    for (size_t q = 0; q < sizeof questions / sizeof *questions; q++) {
        for (enum med_mode mode = 0; mode < MED_MODE_COUNT; mode++) {
            for (unsigned kind = 0; kind < 4; kind++) {
                struct med_search_request request = MED_SEARCH_REQUEST_DEFAULT;
                struct med_answer *answer;
                request.query = med_str_of(questions[q]);
                request.mode = mode;
                if (kind == 1) request.filter.year_min = 2010;
                if (kind == 2) request.group = MED_GROUP_NONE;
                if (kind == 3) request.fusion = MED_FUSION_RRF;
                med_arena_reset(arena);
                assert_int_equal(
                    med_search(fx.index, fx.searcher, &request, arena, &answer, NULL), MED_OK);
                assert_true(answer->count > 0);
            }
        }
    }
}

static void a_warm_search_allocates_nothing(void **state)
{
    (void)state;
    const uint64_t many = 1000000;
    struct med_arena *arena;
    assert_int_equal(med_arena_new(MED_REQUEST_ARENA_BYTES_MAX, &arena, NULL), MED_OK);
    for (int round = 0; round < 2; round++) search_everything(arena);
    med_mem_fail_after(many);
    search_everything(arena);
    uint64_t left = med_mem_fail_left();
    med_mem_fail_after(0);
    assert_int_equal(many - left, 0);
    med_arena_free(&arena);
}

static void reciprocal_rank_fusion_gives_one_for_first_in_both(void **state)
{
    (void)state;
    struct med_search_request request = ask("zoledronate", MED_MODE_HYBRID);
    request.fusion = MED_FUSION_RRF;
    struct med_answer *a = search_with(request);
    assert_true(a->results[0].rank.score > 0.95 && a->results[0].rank.score <= 1);
}

static void fetch_finds_documents_chunks_and_aliases(void **state)
{
    (void)state;
    struct med_fetched *f;
    struct med_err err;
    assert_int_equal(
        med_fetch(fx.store, fx.index, 0, MED_STR("pmcid:PMC990200001~1"), fx.arena, &f, &err),
        MED_OK);
    assert_true(f->is_chunk && f->chunk == 1 && f->chunk_count == 2);
    assert_int_equal(f->also_count, 1);
    assert_int_equal(
        med_fetch(fx.store, NULL, 0, MED_STR("PMC990200001"), fx.arena, &f, &err), MED_OK);
    assert_int_equal(
        med_fetch(fx.store, fx.index, 0, MED_STR("pmid:990200001~9"), fx.arena, &f, &err),
        MED_E_NOT_FOUND);
    assert_int_equal(
        med_fetch(fx.store, fx.index, 0, MED_STR("pmid:1"), fx.arena, &f, &err), MED_E_NOT_FOUND);
    assert_int_equal(med_fetch(fx.store, fx.index, 0, MED_STR("../../etc"), fx.arena, &f, &err),
        MED_E_NOT_FOUND);
}

static void a_rebuild_keeps_the_encoder_and_answers_the_same(void **state)
{
    (void)state;
    struct med_build_options options = {.threads = 1};
    struct med_build_report report;
    struct med_index *again = NULL;
    struct med_search_request request = ask("sertraline quality of life", MED_MODE_HYBRID);
    struct med_answer *before = search_with(request), *after;
    assert_int_equal(med_build(fx.data, fx.store, &options, &report, NULL), MED_OK);
    assert_false(report.encoder_trained);
    assert_int_equal(
        med_index_open(fx.data, fx.store, report.generation, true, &again, NULL), MED_OK);
    assert_string_equal(
        med_index_manifest(again)->encoder_id, med_index_manifest(fx.index)->encoder_id);
    assert_int_equal(med_search(again, fx.searcher, &request, fx.arena, &after, NULL), MED_OK);
    assert_int_equal(before->count, after->count);
    for (size_t i = 0; i < before->count; i++) {
        assert_true(med_str_eq(before->results[i].id, after->results[i].id));
        assert_true(before->results[i].rank.score == after->results[i].rank.score);
    }
    assert_int_equal(med_index_check(again, NULL, NULL), MED_OK);
    med_index_release(&again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_mode_answers_with_scores_in_order),
        cmocka_unit_test(the_text_of_a_result_is_the_span_of_the_canonical_text),
        cmocka_unit_test(abstract_and_full_text_are_one_work),
        cmocka_unit_test(a_notice_flags_the_paper_it_retracts),
        cmocka_unit_test(a_filter_that_leaves_few_still_fills_the_answer),
        cmocka_unit_test(pages_do_not_overlap_and_do_not_depend_on_the_limit),
        cmocka_unit_test(unknown_words_answer_nothing_and_empty_queries_are_no_error),
        cmocka_unit_test(function_words_weigh_little_but_acronyms_do_not),
        cmocka_unit_test(a_warm_search_allocates_nothing),
        cmocka_unit_test(reciprocal_rank_fusion_gives_one_for_first_in_both),
        cmocka_unit_test(fetch_finds_documents_chunks_and_aliases),
        cmocka_unit_test(a_rebuild_keeps_the_encoder_and_answers_the_same),
    };
    return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}

/* Authority, the overlay, and the operator's list of retractions. */
#include "index/build.h"
#include "index/internal.h"

#include "common/mem.h"
#include "common/rng.h"
#include "tests/support/support.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define REFERENCE 20250701

static struct med_err err;
#define OK(call)                                                                                   \
    do {                                                                                           \
        enum med_code ok_code = (call);                                                            \
        if (ok_code != MED_OK) fail_msg("%s: %s", #call, err.text);                                \
    } while (0)

#define assert_near(a, b, epsilon) assert_true(fabs((a) - (b)) <= (epsilon))

/* --- the formula --- */

static double authority_of(struct med_authority_facts facts)
{
    struct med_authority a = med_authority_of(&facts, REFERENCE);
    return med_authority_value(&a);
}

static double factor_of(struct med_authority_facts facts, double weight)
{
    struct med_authority a = med_authority_of(&facts, REFERENCE);
    a = med_authority_weigh(&a, &facts, weight);
    return 1 + a.evidence + a.grade + a.recency + a.status;
}

static void authority_never_falls_with_a_better_level(void **state)
{
    (void)state;
    double before = 0;
    for (enum med_evidence e = MED_EVIDENCE_OPINION; e < MED_EVIDENCE_COUNT; e++) {
        double now = authority_of((struct med_authority_facts){.evidence = e});
        assert_true(now >= before);
        before = now;
    }
    struct med_authority_facts editorial = {.evidence = MED_EVIDENCE_OPINION};
    struct med_authority_facts review = {.evidence = MED_EVIDENCE_SYSTEMATIC_REVIEW};
    assert_true(authority_of(editorial) < 0.5 && authority_of(review) > 0.5);
}

static void what_is_unknown_is_neutral(void **state)
{
    (void)state;
    struct med_authority_facts unknown = {0};
    assert_near(authority_of(unknown), MED_AUTHORITY_NEUTRAL, 0);
    for (int i = 0; i <= 10; i++) assert_near(factor_of(unknown, i / 10.0), 1, 0);
    struct med_authority_facts dated = {.date = 20240000};
    struct med_authority a = med_authority_of(&dated, 0); /* no reference date */
    assert_near(a.recency, 0, 0);
}

static void recency_is_lost_by_half_in_a_half_life(void **state)
{
    (void)state;
    struct med_authority_facts f = {.date = REFERENCE};
    double new = authority_of(f) - 0.5;
    assert_true(new > 0);
    f.date = REFERENCE - 10 * 10000;
    assert_near(authority_of(f) - 0.5, 0, 1e-12);
    f.date = REFERENCE - 20 * 10000;
    assert_near(authority_of(f) - 0.5, -new / 2, 1e-12);
    double before = 1;
    for (uint32_t year = 2025; year > 1900; year--) {
        f.date = year * 10000;
        assert_true(authority_of(f) < before);
        before = authority_of(f);
    }
    f.date = 20990101; /* the future is as new as today */
    assert_near(authority_of(f) - 0.5, new, 1e-12);
}

static void grades_are_read_and_move_a_little(void **state)
{
    (void)state;
    assert_int_equal(med_grades_parse(MED_STR("B, C, D, I")),
        MED_GRADE_B | MED_GRADE_C | MED_GRADE_D | MED_GRADE_I);
    assert_int_equal(med_grades_parse(MED_STR("grade A")), MED_GRADE_A);
    assert_int_equal(med_grades_parse(MED_STR("moderate; very low certainty")),
        MED_GRADE_MODERATE | MED_GRADE_LOW);
    assert_int_equal(med_grades_parse(MED_STR("Class I, Level B")), 0);
    assert_int_equal(med_grades_parse(MED_STR("1A")), 0);
    assert_int_equal(med_grades_parse((struct med_str){0}), 0);
    struct med_authority_facts f = {.evidence = MED_EVIDENCE_GUIDELINE};
    double plain = authority_of(f);
    f.grade = MED_GRADE_A;
    double a = authority_of(f);
    f.grade = MED_GRADE_B;
    double b = authority_of(f);
    f.grade = MED_GRADE_I;
    assert_true(a > b && b > plain && plain > authority_of(f));
    f.grade = MED_GRADE_D;
    assert_true(plain > authority_of(f));
}

static void every_combination_stays_between_0_and_1(void **state)
{
    (void)state;
    for (unsigned e = 0; e < MED_EVIDENCE_COUNT; e++) {
        for (unsigned grade = 0; grade < 256; grade++) {
            for (uint32_t flags = 0; flags < 32; flags++) {
                struct med_authority_facts f = {.evidence = (enum med_evidence)e,
                    .grade = (uint8_t)grade,
                    .date = grade % 2 ? REFERENCE : 19000101,
                    .flags = flags};
                struct med_authority a = med_authority_of(&f, REFERENCE);
                double sum = 0.5 + a.evidence + a.grade + a.recency + a.status;
                assert_true(sum >= -1e-12 && sum <= 1);
                assert_near(sum, med_authority_value(&a), 1e-12);
                assert_true(factor_of(f, 1) >= 0);
            }
        }
    }
}

static void a_retraction_halves_the_score_at_every_weight(void **state)
{
    (void)state;
    struct med_authority_facts f = {.evidence = MED_EVIDENCE_SYSTEMATIC_REVIEW,
        .grade = MED_GRADE_A,
        .date = REFERENCE,
        .flags = MED_FLAG_RETRACTED};
    assert_near(authority_of(f), 0, 0);
    for (int i = 0; i <= 10; i++) assert_near(factor_of(f, i / 10.0), 0.5, 1e-12);
    f.flags = MED_FLAG_CONCERN;
    struct med_authority_facts sound = f, corrected = f;
    sound.flags = 0;
    corrected.flags = MED_FLAG_ERRATUM | MED_FLAG_RETRACTION_NOTICE;
    assert_true(authority_of(f) < authority_of(sound));
    assert_near(authority_of(corrected), authority_of(sound), 0);
    assert_near(med_authority_weight(-1), MED_AUTHORITY_WEIGHT_DEFAULT, 0);
    assert_near(med_authority_weight(NAN), MED_AUTHORITY_WEIGHT_DEFAULT, 0);
    assert_near(med_authority_weight(7), 1, 0);
}

/* --- a data folder --- */

struct world {
    char dir[MED_PATH_MAX];
    struct med_data *data;
    struct med_store *store;
    struct med_index *index;
    struct med_searcher *searcher;
    struct med_arena *arena;
};

static int setup(void **state)
{
    struct world *w = med_calloc(1, sizeof *w);
    char docs[MED_PATH_MAX];
    med_test_temp_new(w->dir);
    OK(med_arena_new(256 * MED_MIB, &w->arena, &err));
    OK(med_data_open(w->dir, true, NULL, &w->data, &err));
    OK(med_path_join(docs, w->dir, "docs", &err));
    OK(med_store_open(docs, MED_STORE_READ_WRITE, &w->store, &err));
    OK(med_searcher_new(&w->searcher, &err));
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    med_searcher_free(&w->searcher);
    if (w->index) med_index_release(&w->index);
    med_store_close(&w->store);
    med_data_close(&w->data);
    med_arena_free(&w->arena);
    med_test_temp_remove(w->dir);
    med_free(w);
    return 0;
}

static void build(struct world *w)
{
    struct med_build_options options = {.threads = 1, .lexical_only = true};
    struct med_build_report report;
    if (w->index) med_index_release(&w->index);
    OK(med_build(w->data, w->store, &options, &report, &err));
    OK(med_index_open(w->data, w->store, 0, true, &w->index, &err));
}

/* One document; `link` may have no target. */
struct paper {
    const char *id, *type, *pmid, *doi, *title;
    struct med_link link;
    struct med_date date;
    const char *grade, *organization;
};

static void put(struct world *w, const struct paper *papers, size_t count)
{
    struct med_batch *batch;
    OK(med_batch_begin(w->store, &batch, &err));
    for (size_t i = 0; i < count; i++) {
        const struct paper *p = &papers[i];
        struct med_str type = med_str_of(p->type), id = med_str_of(p->id);
        struct med_section section = {.kind = MED_SECTION_ABSTRACT,
            .body = MED_STR("Warfarin was compared with aspirin after stroke.")};
        struct med_doc doc = {.id = id,
            .source_id = id,
            .pmid = med_str_of(p->pmid),
            .doi = med_str_of(p->doi),
            .source = med_str_starts(id, MED_STR("pmcid:"))       ? MED_SOURCE_PMC
                      : med_str_starts(id, MED_STR("guideline:")) ? MED_SOURCE_GUIDELINE
                                                                  : MED_SOURCE_PUBMED,
            .title = med_str_of(p->title ? p->title : "Warfarin after stroke"),
            .sections = &section,
            .section_count = 1,
            .publication_types = &type,
            .publication_type_count = p->type ? 1 : 0,
            .links = (struct med_link *)&p->link,
            .link_count = p->link.target.len ? 1 : 0,
            .date = p->date,
            .grade = med_str_of(p->grade),
            .organization = med_str_of(p->organization)};
        enum med_put_outcome outcome;
        OK(med_batch_put(batch, &doc, &outcome, &err));
    }
    OK(med_batch_commit(&batch, &err));
}

static struct med_buf overlay_bytes(struct world *w)
{
    struct med_snapshot *snapshot;
    struct med_retraction_list list;
    struct med_buf bytes;
    med_buf_init(&bytes, 64 * MED_MIB);
    OK(med_retractions_load(w->data, w->arena, &list, &err));
    OK(med_snapshot_open(w->store, &snapshot, &err));
    OK(med_overlay_make(snapshot, &list, &bytes, &err));
    med_snapshot_close(&snapshot);
    return bytes;
}

/* Flags that the overlay adds; the kind of the link to `other`, or MED_LINK_COUNT. */
static uint32_t overlay_says(
    struct world *w, const char *id, const char *other, enum med_link_kind *ret_kind)
{
    struct med_buf bytes = overlay_bytes(w);
    struct med_overlay o;
    OK(med_overlay_open(bytes.data, bytes.len, &o, &err));
    const struct med_overlay_entry *e = med_overlay_find(&o, med_str_of(id));
    uint32_t flags = e ? e->flags : 0;
    *ret_kind = MED_LINK_COUNT;
    for (uint32_t i = 0; e && i < e->link_count; i++) {
        struct med_link link = med_overlay_link_at(&o, e, i);
        if (med_str_eq(link.target, med_str_of(other))) *ret_kind = link.kind;
    }
    med_buf_free(&bytes);
    return flags;
}

static const struct paper trial = {.id = "pmid:1", .pmid = "1", .doi = "10.5555/one"};
static const struct paper notice = {.id = "pmid:2",
    .pmid = "2",
    .type = "Retraction of Publication",
    .link = {.kind = MED_LINK_RETRACTION_OF, .target = {"pmid:1", 6}}};

static void notice_and_paper_arrive_in_either_order(void **state)
{
    struct world *first = *state, *second;
    assert_int_equal(setup((void **)&second), 0);
    put(first, &trial, 1);
    put(first, &notice, 1);
    put(second, &notice, 1);
    put(second, &trial, 1);
    struct med_buf a = overlay_bytes(first), b = overlay_bytes(second);
    assert_int_equal(a.len, b.len);
    assert_memory_equal(a.data, b.data, a.len);
    med_buf_free(&a);
    med_buf_free(&b);
    enum med_link_kind kind;
    assert_int_equal(overlay_says(first, "pmid:1", "pmid:2", &kind), MED_FLAG_RETRACTED);
    assert_int_equal(kind, MED_LINK_RETRACTION_IN);
    assert_int_equal(overlay_says(first, "pmid:2", "pmid:1", &kind) & MED_FLAG_RETRACTED, 0);
    assert_int_equal(teardown((void **)&second), 0);
}

static void a_notice_alone_says_nothing_about_absent_papers(void **state)
{
    struct world *w = *state;
    enum med_link_kind kind;
    put(w, &notice, 1);
    assert_int_equal(overlay_says(w, "pmid:1", "pmid:2", &kind), 0);
    assert_int_equal(overlay_says(w, "pmid:2", "pmid:1", &kind), 0);
}

static void an_erratum_is_no_retraction(void **state)
{
    struct world *w = *state;
    struct paper papers[] = {trial,
        {.id = "pmid:3",
            .type = "Published Erratum",
            .link = {.kind = MED_LINK_ERRATUM_FOR, .target = MED_STR("doi:10.5555/one")}},
        {.id = "pmid:4", .link = {.kind = MED_LINK_COMMENT_ON, .target = MED_STR("pmid:1")}},
        {.id = "pmid:5",
            .link = {.kind = MED_LINK_PARTIAL_RETRACTION_OF, .target = MED_STR("pmid:6")}},
        {.id = "pmid:6"}};
    enum med_link_kind kind;
    put(w, papers, 5);
    assert_int_equal(overlay_says(w, "pmid:1", "pmid:3", &kind), MED_FLAG_ERRATUM);
    assert_int_equal(kind, MED_LINK_ERRATUM_IN);
    assert_int_equal(overlay_says(w, "pmid:1", "pmid:4", &kind), MED_FLAG_ERRATUM);
    assert_int_equal(kind, MED_LINK_COMMENT_IN);
    assert_int_equal(overlay_says(w, "pmid:6", "pmid:5", &kind), MED_FLAG_CONCERN);
}

static void the_full_text_knows_what_the_abstract_says(void **state)
{
    struct world *w = *state;
    struct paper papers[] = {
        {.id = "pmid:1",
            .pmid = "1",
            .link = {.kind = MED_LINK_RETRACTION_IN, .target = MED_STR("pmid:2")}},
        {.id = "pmcid:PMC1", .pmid = "1"}, {.id = "pmid:2", .pmid = "2"}};
    enum med_link_kind kind;
    put(w, papers, 3);
    assert_int_equal(overlay_says(w, "pmcid:PMC1", "pmid:2", &kind), MED_FLAG_RETRACTED);
    assert_int_equal(kind, MED_LINK_RETRACTION_IN);
    assert_int_equal(overlay_says(w, "pmid:2", "pmid:1", &kind), MED_FLAG_RETRACTION_NOTICE);
    assert_int_equal(kind, MED_LINK_RETRACTION_OF);
}

static void a_full_text_has_the_level_of_its_citation(void **state)
{
    struct world *w = *state;
    struct paper papers[] = {{.id = "pmid:1", .pmid = "1", .type = "Randomized Controlled Trial"},
        {.id = "pmcid:PMC1", .pmid = "1", .type = "Case Reports"}, {.id = "pmid:2"}};
    struct med_fetched *f;
    put(w, papers, 3);
    build(w);
    OK(med_fetch(w->store, w->index, 0, MED_STR("pmcid:PMC1"), w->arena, &f, &err));
    assert_int_equal(f->evidence, MED_EVIDENCE_RANDOMIZED_TRIAL);
    struct med_search_request request = MED_SEARCH_REQUEST_DEFAULT;
    struct med_answer *answer;
    request.query = MED_STR("warfarin");
    request.group = MED_GROUP_NONE;
    request.filter.evidence_mask = 1u << MED_EVIDENCE_RANDOMIZED_TRIAL;
    OK(med_search(w->index, w->searcher, &request, w->arena, &answer, &err));
    assert_int_equal(answer->count, 2);
    assert_near(answer->results[0].rank.authority, answer->results[1].rank.authority, 0);
}

static void a_newer_guideline_supersedes_its_family(void **state)
{
    struct world *w = *state;
    struct paper papers[] = {
        {.id = "guideline:asthma-2019", .date = {.year = 2019}, .organization = "GINA"},
        {.id = "guideline:asthma-2022", .date = {.year = 2022}, .organization = "GINA"},
        {.id = "guideline:asthma-v4", .date = {.year = 2024}, .organization = "GINA"},
        {.id = "guideline:asthma-2025", .date = {.year = 2025}, .organization = "Another"},
        {.id = "guideline:copd-2020", .date = {.year = 2020}, .organization = "GINA"},
        {.id = "guideline:old-name",
            .link = {.kind = MED_LINK_UPDATE_IN, .target = MED_STR("guideline:copd-2020")}}};
    enum med_link_kind kind;
    put(w, papers, 6);
    const char *newest = "guideline:asthma-v4";
    assert_int_equal(overlay_says(w, "guideline:asthma-2019", newest, &kind), MED_FLAG_SUPERSEDED);
    assert_int_equal(kind, MED_LINK_UPDATE_IN);
    assert_int_equal(overlay_says(w, "guideline:asthma-2022", newest, &kind), MED_FLAG_SUPERSEDED);
    assert_int_equal(overlay_says(w, newest, "guideline:asthma-2019", &kind), 0);
    assert_int_equal(kind, MED_LINK_UPDATE_OF);
    assert_int_equal(overlay_says(w, "guideline:asthma-2025", newest, &kind), 0);
    assert_int_equal(overlay_says(w, "guideline:copd-2020", "guideline:old-name", &kind), 0);
    assert_int_equal(kind, MED_LINK_UPDATE_OF);
}

static void families_are_cut_at_trailing_years_and_versions(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *slug, *family;
        uint32_t year, version;
    } cases[] = {{"asthma-2019", "asthma", 2019, 0}, {"asthma-2022-03-28", "asthma", 2022, 0},
        {"Asthma-v3", "asthma", 0, 3}, {"asthma-version-3", "asthma", 0, 3},
        {"asthma-2019-update", "asthma", 2019, 0}, {"asthma", "asthma", 0, 0},
        {"covid-19", "covid-19", 0, 0}, {"type-2-diabetes", "type-2-diabetes", 0, 0},
        {"hepatitis-b-2", "hepatitis-b-2", 0, 0}, {"2019", "2019", 2019, 0}, {"-", "-", 0, 0},
        {"ng80-2021.v2", "ng80", 2021, 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct med_str family;
        uint32_t year, version;
        OK(med_slug_family(med_str_of(cases[i].slug), w->arena, &family, &year, &version, &err));
        assert_true(med_str_eq(family, med_str_of(cases[i].family)));
        assert_int_equal(year, cases[i].year);
        assert_int_equal(version, cases[i].version);
    }
}

/* --- the operator's list --- */

static struct med_retractions_report add_list(struct world *w, const char *text)
{
    struct med_retractions_report r;
    OK(med_retractions_add(w->data, med_str_of(text), &r, &err));
    return r;
}

static void a_list_names_papers_by_pmid_and_doi(void **state)
{
    struct world *w = *state;
    struct paper papers[] = {trial, {.id = "pmid:7", .pmid = "7"}, {.id = "pmid:8", .pmid = "8"}};
    enum med_link_kind kind;
    put(w, papers, 3);
    struct med_retractions_report r =
        add_list(w, "# ours\nhttps://doi.org/10.5555/ONE\n\n7\nnonsense here\n");
    assert_int_equal(r.added, 2);
    assert_int_equal(r.skipped, 1);
    assert_int_equal(r.first_skipped, 5);
    assert_int_equal(overlay_says(w, "pmid:1", "", &kind), MED_FLAG_RETRACTED);
    assert_int_equal(kind, MED_LINK_RETRACTION_IN);
    assert_int_equal(overlay_says(w, "pmid:7", "", &kind), MED_FLAG_RETRACTED);
    assert_int_equal(overlay_says(w, "pmid:8", "", &kind), 0);
    assert_int_equal(add_list(w, "pmid:7").known, 1);
    OK(med_retractions_remove(w->data, MED_STR("7\n9\n"), &r, &err));
    assert_int_equal(r.removed, 1);
    assert_int_equal(r.known, 1);
    assert_int_equal(r.total, 1);
    assert_int_equal(overlay_says(w, "pmid:7", "", &kind), 0);
}

static void a_retraction_watch_table_keeps_its_natures(void **state)
{
    struct world *w = *state;
    struct paper papers[] = {trial, {.id = "pmid:7"}, {.id = "pmid:8"}, {.id = "pmid:9"}, notice};
    enum med_link_kind kind;
    put(w, papers, 5);
    struct med_retractions_report r =
        add_list(w, "\xEF\xBB\xBFRecord ID,Title,RetractionDOI,RetractionPubMedID,OriginalPaperDOI,"
                    "OriginalPaperPubMedID,RetractionNature\r\n"
                    "1,\"A \"\"quoted\"\",\ntitle\",unavailable,2,10.5555/one,0,Retraction\r\n"
                    "2,B,,0,,7,Expression of concern\r\n"
                    "3,C,,0,,8,Correction\r\n"
                    "4,D,,0,,9,Reinstatement\r\n");
    assert_int_equal(r.added, 3);
    assert_int_equal(r.skipped, 1);
    assert_int_equal(overlay_says(w, "pmid:1", "pmid:2", &kind), MED_FLAG_RETRACTED);
    assert_int_equal(kind, MED_LINK_RETRACTION_IN);
    assert_int_equal(overlay_says(w, "pmid:7", "", &kind), MED_FLAG_CONCERN);
    assert_int_equal(overlay_says(w, "pmid:8", "", &kind), MED_FLAG_ERRATUM);
    assert_int_equal(overlay_says(w, "pmid:9", "", &kind), 0);
}

static void a_notice_on_the_list_is_not_retracted(void **state)
{
    struct world *w = *state;
    struct paper papers[] = {trial, notice};
    enum med_link_kind kind;
    put(w, papers, 2);
    add_list(w, "pmid:2\n");
    assert_int_equal(overlay_says(w, "pmid:2", "", &kind) & MED_FLAG_RETRACTED, 0);
}

static void bad_lists_are_refused_and_change_nothing(void **state)
{
    struct world *w = *state;
    struct med_retractions_report r;
    struct med_retraction_list list;
    static const char *const bad[] = {"", "\n\n", "a,b,c\n", "OriginalPaperDOI\n\n", "\"", "0\n"};
    add_list(w, "pmid:1");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(med_retractions_add(w->data, med_str_of(bad[i]), &r, &err), MED_E_INVALID);
    OK(med_retractions_load(w->data, w->arena, &list, &err));
    assert_int_equal(list.count, 1);
    char path[MED_PATH_MAX];
    OK(med_path_join(path, w->dir, MED_RETRACTIONS_FILE, &err));
    OK(med_fs_replace(med_fs_posix(), path, "retraction-in\tnobody\t\n", 22, &err));
    assert_int_equal(med_retractions_load(w->data, w->arena, &list, &err), MED_E_CORRUPT);
}

/* --- an index --- */

static struct med_answer *search(struct world *w, double authority_weight)
{
    struct med_search_request request = MED_SEARCH_REQUEST_DEFAULT;
    struct med_answer *answer;
    request.query = MED_STR("warfarin aspirin stroke");
    request.authority_weight = authority_weight;
    OK(med_search(w->index, w->searcher, &request, w->arena, &answer, &err));
    return answer;
}

static size_t place_of(const struct med_answer *answer, const char *id)
{
    for (size_t i = 0; i < answer->count; i++) {
        if (med_str_eq(answer->results[i].document_id, med_str_of(id))) return i;
    }
    fail_msg("%s was not found", id);
    return 0;
}

static bool has_link(
    const struct med_link *links, size_t count, enum med_link_kind kind, const char *id)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        found += links[i].kind == kind && med_str_eq(links[i].target, med_str_of(id));
    assert_true(found <= 1);
    return found == 1;
}

static void put_mixture(struct world *w)
{
    const struct paper papers[] = {trial, notice,
        {.id = "pmid:10", .type = "Editorial", .date = {.year = 2023}},
        {.id = "pmid:11", .type = "Randomized Controlled Trial", .date = {.year = 2005}},
        {.id = "pmid:12", .type = "Systematic Review", .date = {.year = 2015, .month = 4}},
        {.id = "guideline:stroke-2021",
            .type = "Practice Guideline",
            .date = {.year = 2021},
            .grade = "A, B"},
        {.id = "pmid:13"}};
    put(w, papers, sizeof papers / sizeof *papers);
}

static void the_terms_of_a_score_add_up_to_it(void **state)
{
    struct world *w = *state;
    put_mixture(w);
    build(w);
    for (int i = 0; i <= 20; i++) {
        struct med_answer *answer = search(w, i / 20.0);
        for (size_t r = 0; r < answer->count; r++) {
            const struct med_ranked *k = &answer->results[r].rank;
            double sum = k->lexical_part + k->dense_part + k->authority_parts.evidence +
                         k->authority_parts.grade + k->authority_parts.recency +
                         k->authority_parts.status;
            assert_true(fabs(sum - k->score) < 1e-12);
            assert_true(k->score > 0 && k->score <= 1 + 1e-12);
            if (r) assert_true(k->score <= answer->results[r - 1].rank.score);
        }
    }
}

static void a_larger_weight_moves_strong_evidence_up(void **state)
{
    struct world *w = *state;
    put_mixture(w);
    build(w);
    struct med_answer *answer = search(w, 1);
    assert_int_equal(place_of(answer, "guideline:stroke-2021"), 0);
    assert_int_equal(place_of(answer, "pmid:12"), 1);
    assert_true(place_of(answer, "pmid:11") < place_of(answer, "pmid:13"));
    assert_true(place_of(answer, "pmid:13") < place_of(answer, "pmid:10"));
    assert_int_equal(place_of(answer, "pmid:1"), answer->count - 1);
    answer = search(w, 0);
    assert_int_equal(place_of(answer, "pmid:1"), answer->count - 1); /* the floor */
    for (size_t i = 0; i < answer->count; i++)
        assert_near(answer->results[i].rank.authority_parts.evidence, 0, 0);
}

static void without_metadata_no_weight_changes_a_score(void **state)
{
    struct world *w = *state;
    static char ids[40][16];
    for (size_t i = 0; i < 40; i++) {
        snprintf(ids[i], sizeof ids[i], "doc:%zu", i);
        struct paper p = {.id = ids[i], .title = i % 3 ? "Stroke" : "Aspirin"};
        put(w, &p, 1);
    }
    build(w);
    struct med_answer *zero = search(w, 0), *one = search(w, 1);
    assert_int_equal(zero->count, one->count);
    for (size_t i = 0; i < zero->count; i++) {
        assert_true(med_str_eq(zero->results[i].id, one->results[i].id));
        assert_near(zero->results[i].rank.score, one->results[i].rank.score, 0);
    }
}

static void answers_link_both_ways_when_one_side_states_it(void **state)
{
    struct world *w = *state;
    struct med_fetched *f;
    put_mixture(w);
    build(w);
    struct med_answer *answer = search(w, -1);
    const struct med_result *paper = &answer->results[place_of(answer, "pmid:1")];
    const struct med_result *other = &answer->results[place_of(answer, "pmid:2")];
    assert_true(paper->flags & MED_FLAG_RETRACTED);
    assert_false(other->flags & MED_FLAG_RETRACTED);
    assert_true(has_link(paper->links, paper->link_count, MED_LINK_RETRACTION_IN, "pmid:2"));
    assert_true(has_link(other->links, other->link_count, MED_LINK_RETRACTION_OF, "pmid:1"));
    OK(med_fetch(w->store, w->index, 0, MED_STR("doi:10.5555/one"), w->arena, &f, &err));
    assert_true(f->flags & MED_FLAG_RETRACTED);
    assert_true(has_link(f->links, f->link_count, MED_LINK_RETRACTION_IN, "pmid:2"));
    OK(med_fetch(w->store, NULL, 0, MED_STR("pmid:2"), w->arena, &f, &err));
    assert_true(has_link(f->links, f->link_count, MED_LINK_RETRACTION_OF, "pmid:1"));
}

static void retracted_articles_can_be_left_out(void **state)
{
    struct world *w = *state;
    struct med_search_request request = MED_SEARCH_REQUEST_DEFAULT;
    struct med_answer *answer;
    put_mixture(w);
    add_list(w, "pmid:11");
    build(w);
    request.query = MED_STR("warfarin");
    request.filter.flags_none = MED_FLAG_RETRACTED;
    OK(med_search(w->index, w->searcher, &request, w->arena, &answer, &err));
    assert_int_equal(answer->count, 5);
    request.filter = (struct med_search_filter){.flags_all = MED_FLAG_RETRACTED};
    OK(med_search(w->index, w->searcher, &request, w->arena, &answer, &err));
    assert_int_equal(answer->count, 2);
}

/* --- damage --- */

static void damaged_overlays_are_an_error_and_never_a_crash(void **state)
{
    struct world *w = *state;
    struct med_rng rng;
    struct med_overlay o;
    volatile uint64_t read = 0; /* every string is touched, for the sanitizers */
    put_mixture(w);
    add_list(w, "pmid:11\npmid:12\tpmid:2\n");
    struct med_buf bytes = overlay_bytes(w);
    OK(med_overlay_open(bytes.data, bytes.len, &o, &err));
    assert_true(o.entry_count > 0 && o.link_count > 0);
    for (size_t len = 1; len < bytes.len; len++)
        assert_int_equal(med_overlay_open(bytes.data, len, &o, &err), MED_E_CORRUPT);
    med_rng_seed(&rng, med_test_seed());
    for (int i = 0; i < 20000; i++) {
        size_t at = (size_t)med_rng_below(&rng, bytes.len);
        uint8_t bit = (uint8_t)(1u << med_rng_below(&rng, 8));
        bytes.data[at] ^= (char)bit;
        enum med_code code = med_overlay_open(bytes.data, bytes.len, &o, &err);
        assert_true(code == MED_OK || code == MED_E_CORRUPT);
        for (uint32_t e = 0; !code && e < o.entry_count; e++) {
            (void)med_overlay_find(&o, med_overlay_id(&o, e));
            for (uint32_t k = 0; k < o.entries[e].link_count; k++) {
                struct med_link link = med_overlay_link_at(&o, &o.entries[e], k);
                read += med_hash64(link.target.ptr, link.target.len) +
                        med_hash64(link.note.ptr, link.note.len);
            }
        }
        bytes.data[at] ^= (char)bit;
    }
    med_buf_free(&bytes);
}

static void memory_that_runs_out_makes_no_overlay(void **state)
{
    struct world *w = *state;
    struct med_snapshot *snapshot;
    struct med_retraction_list list;
    put_mixture(w);
    add_list(w, "pmid:11\tpmid:2\n");
    OK(med_snapshot_open(w->store, &snapshot, &err));
    for (uint64_t n = 1;; n++) {
        struct med_buf bytes;
        med_buf_init(&bytes, MED_MIB);
        med_mem_fail_after(n);
        enum med_code code = med_retractions_load(w->data, w->arena, &list, &err);
        if (!code) code = med_overlay_make(snapshot, &list, &bytes, &err);
        med_mem_fail_after(0);
        med_buf_free(&bytes);
        if (!code) break;
        assert_int_equal(code, MED_E_NOMEM);
    }
    med_snapshot_close(&snapshot);
}

static void a_flipped_bit_in_a_published_overlay_is_found(void **state)
{
    struct world *w = *state;
    char path[MED_PATH_MAX];
    struct med_buf bytes;
    struct med_index *index;
    put_mixture(w);
    build(w);
    OK(med_path_join(path, w->dir, "generations/1/" MED_OVERLAY_FILE, &err));
    med_buf_init(&bytes, MED_MIB);
    OK(med_read_file(path, &bytes, &err));
    bytes.data[bytes.len - 1] ^= 1;
    OK(med_fs_replace(med_fs_posix(), path, bytes.data, bytes.len, &err));
    assert_int_equal(med_index_open(w->data, w->store, 0, true, &index, &err), MED_E_CORRUPT);
    assert_int_equal(
        med_manifest_verify(w->data, med_index_manifest(w->index), NULL, &err), MED_E_CORRUPT);
    OK(med_fs_replace(med_fs_posix(), path, bytes.data, bytes.len - 1, &err));
    assert_int_equal(med_index_open(w->data, w->store, 0, false, &index, &err), MED_E_CORRUPT);
    OK(med_fs_posix()->ops->unlink(med_fs_posix(), path, &err));
    assert_int_not_equal(med_index_open(w->data, w->store, 0, false, &index, &err), MED_OK);
    med_buf_free(&bytes);
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(authority_never_falls_with_a_better_level),
        cmocka_unit_test(what_is_unknown_is_neutral),
        cmocka_unit_test(recency_is_lost_by_half_in_a_half_life),
        cmocka_unit_test(grades_are_read_and_move_a_little),
        cmocka_unit_test(every_combination_stays_between_0_and_1),
        cmocka_unit_test(a_retraction_halves_the_score_at_every_weight),
        WITH_WORLD(notice_and_paper_arrive_in_either_order),
        WITH_WORLD(a_notice_alone_says_nothing_about_absent_papers),
        WITH_WORLD(an_erratum_is_no_retraction),
        WITH_WORLD(the_full_text_knows_what_the_abstract_says),
        WITH_WORLD(a_full_text_has_the_level_of_its_citation),
        WITH_WORLD(a_newer_guideline_supersedes_its_family),
        WITH_WORLD(families_are_cut_at_trailing_years_and_versions),
        WITH_WORLD(a_list_names_papers_by_pmid_and_doi),
        WITH_WORLD(a_retraction_watch_table_keeps_its_natures),
        WITH_WORLD(a_notice_on_the_list_is_not_retracted),
        WITH_WORLD(bad_lists_are_refused_and_change_nothing),
        WITH_WORLD(the_terms_of_a_score_add_up_to_it),
        WITH_WORLD(a_larger_weight_moves_strong_evidence_up),
        WITH_WORLD(without_metadata_no_weight_changes_a_score),
        WITH_WORLD(answers_link_both_ways_when_one_side_states_it),
        WITH_WORLD(retracted_articles_can_be_left_out),
        WITH_WORLD(damaged_overlays_are_an_error_and_never_a_crash),
        WITH_WORLD(memory_that_runs_out_makes_no_overlay),
        WITH_WORLD(a_flipped_bit_in_a_published_overlay_is_found),
    };
    return cmocka_run_group_tests_name("authority", tests, NULL, NULL);
}

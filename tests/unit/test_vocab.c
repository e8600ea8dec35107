/* Vocabularies: reading, storing, the compiled thesaurus, looking up, explosion, expansion. */
#include "index/terms.h"
#include "index/thesaurus.h"
#include "tests/unit/index_fixture.h"

#include "common/rng.h"

static const char xml[] =
    "<?xml version=\"1.0\"?>\n<!DOCTYPE DescriptorRecordSet SYSTEM \"desc.dtd\">\n"
    "<DescriptorRecordSet>\n"
    "<DescriptorRecord><DescriptorUI>D009203</DescriptorUI>"
    "<DescriptorName><String>Myocardial Infarction</String></DescriptorName>"
    "<PharmacologicalActionList><PharmacologicalAction><DescriptorReferredTo>"
    "<DescriptorUI>D000001</DescriptorUI><DescriptorName><String>Other</String></DescriptorName>"
    "</DescriptorReferredTo></PharmacologicalAction></PharmacologicalActionList>"
    "<TreeNumberList><TreeNumber>C14.280.647.500</TreeNumber></TreeNumberList>"
    "<ConceptList><Concept><ConceptName><String>Myocardial Infarction</String></ConceptName>"
    "<TermList><Term IsPermutedTermYN=\"N\"><String>Myocardial Infarction</String></Term>"
    "<Term IsPermutedTermYN=\"Y\"><String>Infarction, Myocardial</String></Term>"
    "<Term IsPermutedTermYN=\"N\"><String>Heart Attack</String></Term></TermList>"
    "</Concept></ConceptList></DescriptorRecord>\n"
    "<DescriptorRecord><DescriptorUI>D000002</DescriptorUI></DescriptorRecord>\n"
    "<DescriptorRecord><DescriptorUI>D006331</DescriptorUI>"
    "<DescriptorName><String>Heart &amp; Vessels</String></DescriptorName>"
    "<TreeNumberList><TreeNumber>C14.280</TreeNumber></TreeNumberList></DescriptorRecord>\n"
    "</DescriptorRecordSet>\n";

static const char lines[] = "id\tname\tsynonyms\n"
                            "D009203\tMyocardial Infarction\tCardiac Infarct|C14.907.585.500\n"
                            "D015607\tAnterior Wall Infarction\tC14.280.647.500.093\n"
                            "\n# a remark\n"
                            "broken\n"
                            "D000163\tAcquired Immunodeficiency Syndrome\tAIDS\n"
                            "D001249\tAsthma, Bronchial\tC08.127|C08.127\r\n";

static struct index_fixture fx;

static const char *write_file(const char *name, const char *text)
{
    static char path[MED_PATH_MAX];
    snprintf(path, sizeof path, "/tmp/medicus-vocab-%d-%s", (int)getpid(), name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    return path;
}

static struct med_vocabulary_report add(const char *name, const char *text)
{
    struct med_vocabulary_report report;
    const char *path = write_file(name, text);
    FIXTURE_OK(med_vocabularies_add(fx.data, path, &report, &ok_err));
    unlink(path);
    return report;
}

static struct med_doc document(unsigned i, const char *title, const char *text)
{
    struct med_section *section = med_arena_calloc(fx.arena, 1, sizeof *section);
    *section = (struct med_section){.kind = MED_SECTION_ABSTRACT, .body = med_str_of(text)};
    char *id = med_arena_printf(fx.arena, "pmid:%u", 990400000 + i);
    if (!id) abort();
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
    static struct med_mesh heading = {.descriptor = {.ptr = "Myocardial Infarction", .len = 21},
        .ui = {.ptr = "D009203", .len = 7}};
    struct med_doc docs[60];
    for (unsigned i = 0; i < 60; i++)
        docs[i] = document(i, "Ward notes",
            i % 3 ? "The ward was quiet and the nurses wrote their notes. Hearing aids were lent."
                  : "Breathing exercises were taught to the patients of this ward.");
    docs[0] = document(0, "Aspirin", "Aspirin after myocardial infarction lowered mortality.");
    docs[1] = document(1, "Aspirin again", "Heart attack survivors took aspirin every day.");
    docs[0].mesh = &heading;
    docs[0].mesh_count = 1;
    for (unsigned i = 2; i < 6; i++)
        docs[i] = document(i, "Lungs",
            "Patients with chronic obstructive pulmonary disease (COPD) coughed. COPD is common.");
    docs[6] = document(6, "Lungs alone", "Chronic obstructive pulmonary disease was studied.");
    fixture_put(&fx, docs, 60);
}

static int open_all(void **state)
{
    (void)state;
    fixture_open(&fx);
    struct med_vocabulary_report report = add("Desc2026.XML.tsv.xml", xml);
    assert_int_equal(report.entries, 2);
    assert_int_equal(report.skipped, 1);
    assert_int_equal(report.synonyms, 1); /* neither the name nor its permutation */
    report = add("own.tsv", lines);
    assert_int_equal(report.entries, 4);
    assert_int_equal(report.trees, 3);
    assert_int_equal(report.skipped, 1);
    assert_int_equal(report.first_skipped, 6);
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

/* --- the stored vocabularies --- */

static void vocabularies_are_listed_merged_and_removed(void **state)
{
    (void)state;
    struct med_vocabulary_info *list;
    struct med_vocabulary all;
    size_t count, before;
    struct med_vocabulary_report report = add("more.tsv", "D009203\tMI\tCoronary Attack\n");
    assert_false(report.replaced);
    assert_true(add("more.tsv", "D009203\tMI\tCoronary Attack\n").replaced);
    FIXTURE_OK(med_vocabularies_list(fx.data, fx.arena, &list, &before, &ok_err));
    FIXTURE_OK(med_vocabularies_load(fx.data, fx.arena, &all, &ok_err));
    bool seen = false;
    for (size_t i = 0; i < all.count; i++) {
        const struct med_vocabulary_entry *e = &all.entries[i];
        if (i) assert_true(med_str_cmp(all.entries[i - 1].id, e->id) < 0);
        if (!med_str_eq(e->id, MED_STR("D009203"))) continue;
        seen = true;
        assert_int_equal(e->tree_count, 2);
        for (size_t k = 0; k < e->synonym_count; k++)
            assert_false(med_str_eq(e->synonyms[k], e->name));
        assert_int_equal(e->synonym_count, 4); /* of three files, one of them under another name */
    }
    assert_true(seen);
    FIXTURE_OK(med_vocabularies_remove(fx.data, report.name, &ok_err));
    assert_int_equal(med_vocabularies_remove(fx.data, report.name, NULL), MED_E_NOT_FOUND);
    assert_int_equal(med_vocabularies_remove(fx.data, "../docs/data", NULL), MED_E_NOT_FOUND);
    FIXTURE_OK(med_vocabularies_list(fx.data, fx.arena, &list, &count, &ok_err));
    assert_int_equal(count + 1, before);
}

static void what_is_no_vocabulary_is_refused(void **state)
{
    (void)state;
    struct med_vocabulary_report report;
    const char *texts[] = {"", "\n\n", "one column only\n", "<a><b/></a>",
        "<DescriptorRecordSet><DescriptorRecord><Descr", "\t\t\t\n", "\xff\xfe\x01"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const char *path = write_file("bad.tsv", texts[i]);
        assert_int_equal(med_vocabularies_add(fx.data, path, &report, NULL), MED_E_INVALID);
        unlink(path);
    }
    assert_int_not_equal(med_vocabularies_add(fx.data, "/nonexistent", &report, NULL), MED_OK);
}

static void a_damaged_file_is_noticed(void **state)
{
    (void)state;
    char path[MED_PATH_MAX + MED_VOCABULARY_NAME_MAX + 16];
    struct med_vocabulary all;
    struct med_vocabulary_report report = add("damaged.tsv", "X1\tone\ttwo\n");
    snprintf(path, sizeof path, "%s/vocab/%s.tsv", fx.dir, report.name);
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    fseek(file, 60, SEEK_SET);
    fputc('#', file);
    fclose(file);
    assert_int_equal(med_vocabularies_load(fx.data, fx.arena, &all, NULL), MED_E_CORRUPT);
    FIXTURE_OK(med_vocabularies_remove(fx.data, report.name, &ok_err));
}

/* --- the thesaurus --- */

static struct med_term *look_up(const char *text, size_t *ret_count)
{
    struct med_term *terms;
    FIXTURE_OK(med_terms_find(
        fx.index, fx.searcher, med_str_of(text), 10, fx.arena, &terms, ret_count, &ok_err));
    return terms;
}

static void a_term_is_found_by_any_of_its_names(void **state)
{
    (void)state;
    const char *names[] = {"D009203", "myocardial infarctions", "Heart attack", "cardiac infarct",
        "what is a heart attack?"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t count;
        struct med_term *terms = look_up(names[i], &count);
        if (count == 0) fail_msg("%s is not found", names[i]);
        assert_true(med_str_eq(terms[0].id, MED_STR("D009203")));
        assert_int_equal(terms[0].documents, 1);
        assert_int_equal(terms[0].tree_count, 2);
        assert_int_equal(terms[0].narrower, 1);
    }
    size_t count;
    (void)look_up("zymurgy", &count);
    assert_int_equal(count, 0);
    (void)look_up(" ", &count);
    assert_int_equal(count, 0);
    assert_true(med_str_eq(look_up("bronchial asthma", &count)[0].id, MED_STR("D001249")));
    assert_int_equal(look_up("COPD", &count)[0].kind, MED_CONCEPT_ABBREVIATION);
}

static void a_descriptor_explodes_to_what_is_below_it(void **state)
{
    (void)state;
    const struct med_thesaurus *t = &fx.index->thesaurus;
    uint32_t concept, *all;
    size_t count;
    bool found;
    FIXTURE_OK(med_thesaurus_descriptor(
        t, MED_STR("heart & vessels"), fx.searcher->analyzer, &found, &concept, &ok_err));
    assert_true(found);
    FIXTURE_OK(med_thesaurus_explode(t, concept, fx.arena, &all, &count, &ok_err));
    assert_int_equal(count, 3);
    for (size_t i = 1; i < count; i++) assert_true(all[i - 1] < all[i]);
    FIXTURE_OK(med_thesaurus_descriptor(
        t, MED_STR("D015607"), fx.searcher->analyzer, &found, &concept, &ok_err));
    FIXTURE_OK(med_thesaurus_explode(t, concept, fx.arena, &all, &count, &ok_err));
    assert_int_equal(count, 1);
}

static struct med_answer *ask(const char *query, bool expand)
{
    struct med_search_request request = MED_SEARCH_REQUEST_DEFAULT;
    struct med_answer *answer;
    request.query = med_str_of(query);
    request.mode = MED_MODE_LEXICAL;
    request.expand = expand;
    FIXTURE_OK(med_search(fx.index, fx.searcher, &request, fx.arena, &answer, &ok_err));
    return answer;
}

static void mesh_finds_what_is_indexed_with_narrower_descriptors(void **state)
{
    (void)state;
    const char *queries[] = {"mesh:\"heart & vessels\"", "mesh:D006331", "mesh:\"heart attack\"",
        "\"Myocardial Infarction\"[mh]"};
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        struct med_answer *a = ask(queries[i], false);
        if (a->count != 1) fail_msg("%s found %zu", queries[i], a->count);
        assert_true(med_str_eq(a->results[0].document_id, MED_STR("pmid:990400000")));
    }
    assert_int_equal(ask("mesh:\"Anterior Wall Infarction\"", false)->count, 0);
}

static void damaged_bytes_are_refused_or_harmless(void **state)
{
    (void)state;
    struct med_map map = fx.index->thesaurus_map;
    uint8_t *copy = med_arena_alloc(fx.arena, map.len);
    struct med_thesaurus t;
    struct med_rng rng;
    assert_non_null(copy);
    med_rng_seed(&rng, med_test_seed());
    for (size_t len = 0; len < map.len; len += 1 + len / 7)
        assert_true(len == 0 || med_thesaurus_open(map.ptr, len, &t, NULL) == MED_E_CORRUPT);
    for (int round = 0; round < 5000; round++) {
        memcpy(copy, map.ptr, map.len);
        for (int k = 0; k < 3; k++)
            copy[med_rng_below(&rng, map.len)] ^= (uint8_t)(1 + med_rng_below(&rng, 255));
        if (med_thesaurus_open(copy, map.len, &t, NULL)) continue;
        uint32_t first, *all;
        size_t count;
        (void)med_thesaurus_find(&t, MED_STR("heart attack"), &first);
        struct med_arena *arena;
        assert_int_equal(med_arena_new(MED_MIB, &arena, NULL), MED_OK);
        assert_int_equal(med_thesaurus_explode(&t, 0, arena, &all, &count, NULL), MED_OK);
        med_arena_free(&arena);
    }
}

/* --- expansion --- */

static bool has(const struct med_answer *a, const char *id)
{
    for (size_t i = 0; i < a->count; i++) {
        if (med_str_eq(a->results[i].document_id, med_str_of(id))) return true;
    }
    return false;
}

static void other_names_find_more_and_weigh_less(void **state)
{
    (void)state;
    struct med_answer *plain = ask("heart attack", false), *more = ask("heart attack", true);
    assert_false(has(plain, "pmid:990400000"));
    assert_true(has(more, "pmid:990400000"));
    assert_true(med_str_eq(more->results[0].document_id, MED_STR("pmid:990400001")));
    assert_int_equal(plain->ranking->expansion_count, 0);
    assert_int_equal(more->ranking->expansion_count, 1);
    const struct med_expansion *e = more->ranking->expansions;
    assert_true(med_str_eq(e->typed, MED_STR("heart attack")));
    assert_true(med_str_eq(e->added[0], MED_STR("Myocardial Infarction")));
}

static void abbreviations_work_both_ways(void **state)
{
    (void)state;
    assert_false(has(ask("COPD", false), "pmid:990400006"));
    assert_true(has(ask("COPD", true), "pmid:990400006"));
    assert_true(has(ask("copd", true), "pmid:990400006")); /* the word means nothing else here */
    struct med_answer *a = ask("chronic obstructive pulmonary disease", true);
    assert_int_equal(a->ranking->expansion_count, 1);
    assert_true(med_str_eq(a->ranking->expansions[0].added[0], MED_STR("COPD")));
}

static void an_acronym_is_not_the_word_in_small_letters(void **state)
{
    (void)state;
    assert_int_equal(ask("hearing aids", true)->ranking->expansion_count, 0);
}

static void a_query_without_other_names_is_answered_as_ever(void **state)
{
    (void)state;
    const char *queries[] = {"quiet ward", "nurses", "zymurgy", "the of and"};
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        struct med_answer *a = ask(queries[i], false), *b = ask(queries[i], true);
        assert_int_equal(a->count, b->count);
        for (size_t k = 0; k < a->count; k++)
            assert_true(a->results[k].rank.score == b->results[k].rank.score);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_term_is_found_by_any_of_its_names),
        cmocka_unit_test(a_descriptor_explodes_to_what_is_below_it),
        cmocka_unit_test(mesh_finds_what_is_indexed_with_narrower_descriptors),
        cmocka_unit_test(damaged_bytes_are_refused_or_harmless),
        cmocka_unit_test(other_names_find_more_and_weigh_less),
        cmocka_unit_test(abbreviations_work_both_ways),
        cmocka_unit_test(an_acronym_is_not_the_word_in_small_letters),
        cmocka_unit_test(a_query_without_other_names_is_answered_as_ever),
        cmocka_unit_test(vocabularies_are_listed_merged_and_removed),
        cmocka_unit_test(what_is_no_vocabulary_is_refused),
        cmocka_unit_test(a_damaged_file_is_noticed),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}

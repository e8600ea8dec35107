/* The record format and the helpers of the document model. */
#include "common/limits.h"
#include "common/mem.h"
#include "common/rng.h"
#include "index/document/document.h"
#include "tests/support/support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct med_arena *new_arena(void)
{
    struct med_arena *arena = NULL;
    assert_int_equal(med_arena_new(MED_DOC_ARENA_BYTES_MAX, &arena, NULL), MED_OK);
    return arena;
}

static struct med_str random_str(struct med_rng *rng, struct med_arena *arena, size_t max)
{
    size_t len = med_rng_below(rng, 3) == 0 ? 0 : (size_t)med_rng_below(rng, max + 1);
    char *ptr = med_arena_alloc(arena, len + 1);
    assert_non_null(ptr);
    for (size_t i = 0; i < len; i++) ptr[i] = (char)('a' + med_rng_below(rng, 26));
    return len > 0 ? (struct med_str){.ptr = ptr, .len = len} : (struct med_str){0};
}

static struct med_str *random_list(struct med_rng *rng, struct med_arena *arena, size_t *ret_count)
{
    *ret_count = (size_t)med_rng_below(rng, 5);
    struct med_str *list = med_arena_calloc(arena, *ret_count, sizeof *list);
    for (size_t i = 0; i < *ret_count; i++) list[i] = random_str(rng, arena, 30);
    return list;
}

static struct med_doc *random_doc(struct med_rng *rng, struct med_arena *arena)
{
    struct med_doc *d = med_arena_calloc(arena, 1, sizeof *d);
    d->id = MED_STR("doc:1");
    d->source = (enum med_source)med_rng_below(rng, MED_SOURCE_COUNT);
    struct med_str *strings[] = {&d->source_id, &d->title, &d->vernacular_title, &d->journal.title,
        &d->journal.iso_abbreviation, &d->journal.issn, &d->journal.volume, &d->journal.issue,
        &d->journal.pages, &d->date_text, &d->pmid, &d->pmcid, &d->doi, &d->language, &d->url,
        &d->organization, &d->grade, &d->licence, &d->metadata_json};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
        *strings[i] = random_str(rng, arena, 300);
    }
    d->section_count = (size_t)med_rng_below(rng, 6);
    d->sections = med_arena_calloc(arena, d->section_count, sizeof *d->sections);
    for (size_t i = 0; i < d->section_count; i++) {
        d->sections[i] = (struct med_section){.path = random_str(rng, arena, 20),
            .heading = random_str(rng, arena, 20),
            .body = random_str(rng, arena, 2000),
            .kind = (enum med_section_kind)med_rng_below(rng, MED_SECTION_OTHER + 1),
            .level = (uint8_t)med_rng_below(rng, 256)};
    }
    d->author_count = (size_t)med_rng_below(rng, 5);
    d->authors = med_arena_calloc(arena, d->author_count, sizeof *d->authors);
    for (size_t i = 0; i < d->author_count; i++) {
        d->authors[i] = (struct med_author){.family = random_str(rng, arena, 20),
            .given = random_str(rng, arena, 20),
            .initials = random_str(rng, arena, 3),
            .orcid = random_str(rng, arena, 19),
            .collective = med_rng_below(rng, 2) == 1};
    }
    d->mesh_count = (size_t)med_rng_below(rng, 5);
    d->mesh = med_arena_calloc(arena, d->mesh_count, sizeof *d->mesh);
    for (size_t i = 0; i < d->mesh_count; i++) {
        d->mesh[i] = (struct med_mesh){.descriptor = random_str(rng, arena, 20),
            .ui = random_str(rng, arena, 7),
            .qualifiers = random_str(rng, arena, 20),
            .major = med_rng_below(rng, 2) == 1};
    }
    d->link_count = (size_t)med_rng_below(rng, 5);
    d->links = med_arena_calloc(arena, d->link_count, sizeof *d->links);
    for (size_t i = 0; i < d->link_count; i++) {
        d->links[i] =
            (struct med_link){.kind = (enum med_link_kind)med_rng_below(rng, MED_LINK_COUNT),
                .target = random_str(rng, arena, 20),
                .note = random_str(rng, arena, 60)};
    }
    if (med_rng_below(rng, 2)) {
        d->date = (struct med_date){(uint16_t)(1900 + med_rng_below(rng, 130)),
            (uint8_t)med_rng_below(rng, 13), (uint8_t)med_rng_below(rng, 32)};
    }
    d->publication_types = random_list(rng, arena, &d->publication_type_count);
    d->keywords = random_list(rng, arena, &d->keyword_count);
    d->chemicals = random_list(rng, arena, &d->chemical_count);
    return d;
}

static void encode(const struct med_doc *doc, struct med_buf *buf)
{
    med_buf_init(buf, MED_DOC_ARENA_BYTES_MAX);
    med_doc_encode(doc, buf);
    assert_int_equal(med_buf_status(buf, NULL), MED_OK);
}

static void decoding_gives_back_what_was_encoded(void **state)
{
    (void)state;
    struct med_rng rng;
    med_rng_seed(&rng, med_test_seed());
    struct med_arena *arena = new_arena();
    for (int round = 0; round < 500; round++) {
        med_arena_reset(arena);
        struct med_doc *doc = random_doc(&rng, arena), *back = NULL;
        struct med_buf first, second;
        encode(doc, &first);
        assert_int_equal(med_doc_decode(first.data, first.len, arena, &back, NULL), MED_OK);
        encode(back, &second); /* the encoding is canonical: equal bytes are equal documents */
        assert_int_equal(first.len, second.len);
        assert_memory_equal(first.data, second.data, first.len);
        assert_true(med_str_eq(doc->title, back->title));
        assert_int_equal(doc->section_count, back->section_count);
        for (size_t i = 0; i < doc->section_count; i++) {
            assert_true(med_str_eq(doc->sections[i].body, back->sections[i].body));
            assert_int_equal(doc->sections[i].kind, back->sections[i].kind);
            assert_int_equal(doc->sections[i].level, back->sections[i].level);
        }
        assert_int_equal(doc->link_count, back->link_count);
        assert_int_equal(doc->date.year, back->date.year);
        assert_int_equal(doc->date.day, doc->date.year ? back->date.day : doc->date.day);
        assert_true(med_str_eq(doc->metadata_json, back->metadata_json));
        med_buf_free(&first);
        med_buf_free(&second);
    }
    med_arena_free(&arena);
}

static void damaged_records_are_refused_or_decode_within_bounds(void **state)
{
    (void)state;
    struct med_rng rng;
    med_rng_seed(&rng, med_test_seed());
    struct med_arena *arena = new_arena();
    for (int round = 0; round < 200; round++) {
        med_arena_reset(arena);
        struct med_doc *back = NULL;
        struct med_buf buf, again;
        encode(random_doc(&rng, arena), &buf);
        for (int flip = 0; flip < 50; flip++) {
            /* A heap copy of the exact size: address sanitizer sees a read past its end. */
            size_t len = flip % 2 ? buf.len : (size_t)med_rng_below(&rng, buf.len);
            uint8_t *bytes = med_malloc(len > 0 ? len : 1);
            memcpy(bytes, buf.data, len);
            if (len > 0 && flip % 2) {
                bytes[med_rng_below(&rng, len)] ^= (uint8_t)(1u << med_rng_below(&rng, 8));
            }
            enum med_code code = med_doc_decode(bytes, len, arena, &back, NULL);
            assert_true(code == MED_OK || code == MED_E_CORRUPT);
            if (code == MED_OK) {
                encode(back, &again);
                med_buf_free(&again);
                (void)med_doc_flags(back);
            }
            med_free(bytes);
        }
        med_buf_free(&buf);
    }
    med_arena_free(&arena);
}

static void unknown_fields_are_skipped_and_counts_cannot_allocate(void **state)
{
    (void)state;
    struct med_arena *arena = new_arena();
    struct med_doc doc = {.id = MED_STR("doc:1"), .title = MED_STR("T")}, *back = NULL;
    struct med_buf buf;
    encode(&doc, &buf);
    med_buf_put_varint(&buf, 1000);
    med_buf_put_varint(&buf, 3);
    med_buf_puts(&buf, "new");
    assert_int_equal(med_doc_decode(buf.data, buf.len, arena, &back, NULL), MED_OK);
    assert_true(med_str_eq(back->title, MED_STR("T")));
    /* "\x01" version, tag of sections, two bytes of payload: a count that would need gigabytes */
    static const char huge[] = "\x01\x01\x05"
                               "doc:1"
                               "\x06\x05\xff\xff\xff\xff\x0f";
    assert_int_equal(med_doc_decode(huge, sizeof huge - 1, arena, &back, NULL), MED_E_CORRUPT);
    assert_int_equal(med_doc_decode("", 0, arena, &back, NULL), MED_E_CORRUPT);
    assert_int_equal(med_doc_decode("\x02", 1, arena, &back, NULL), MED_E_CORRUPT);
    assert_int_equal(med_doc_decode("\x01", 1, arena, &back, NULL), MED_E_CORRUPT); /* no id */
    med_buf_free(&buf);
    med_arena_free(&arena);
}

static void ids_follow_the_rules(void **state)
{
    (void)state;
    const char *good[] = {"pmid:1", "pmcid:PMC2", "guideline:a/b", "doc:MED-1", "doi:10.1/x"};
    const char *bad[] = {
        "", "pmid:", "31452104", "x:1", "doc:a b", "doc:a~1", "doc:a\tb", "doc:\x7f"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(med_doc_id_check(med_str_of(good[i]), NULL), MED_OK);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct med_err err = {0};
        assert_int_equal(med_doc_id_check(med_str_of(bad[i]), &err), MED_E_INVALID);
        assert_true(err.text[0] != '\0');
    }
    char longest[MED_ID_BYTES_MAX + 2];
    memset(longest, 'x', sizeof longest);
    memcpy(longest, "doc:", 4);
    assert_int_equal(med_doc_id_check((struct med_str){longest, MED_ID_BYTES_MAX}, NULL), MED_OK);
    assert_int_equal(
        med_doc_id_check((struct med_str){longest, MED_ID_BYTES_MAX + 1}, NULL), MED_E_INVALID);
}

static void ids_are_understood_as_people_write_them(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"PMC123", "pmcid:PMC123"},
        {"pmc123~4", "pmcid:PMC123~4"},
        {"pmcid:123", "pmcid:PMC123"},
        {"PMCID: PMC123", "pmcid:PMC123"},
        {"31452104", "31452104"},
        {" PMID: 31452104 ", "pmid:31452104"},
        {"doi:10.1/X", "doi:10.1/x"},
        {"10.1000/ABC", "doi:10.1000/abc"},
        {"https://doi.org/10.1000/ABC", "doi:10.1000/abc"},
        {"https://pubmed.ncbi.nlm.nih.gov/123/", "pmid:123"},
        {"https://pmc.ncbi.nlm.nih.gov/articles/PMC9/", "pmcid:PMC9"},
        {"guideline:x", "guideline:x"},
        {"doc:MED-1~2", "doc:MED-1~2"},
    };
    struct med_arena *arena = new_arena();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct med_str id;
        assert_int_equal(med_doc_id_normalize(med_str_of(cases[i][0]), arena, &id, NULL), MED_OK);
        assert_string_equal(id.ptr, cases[i][1]);
    }
    struct med_str id;
    assert_int_equal(med_doc_id_normalize(MED_STR("  "), arena, &id, NULL), MED_E_INVALID);
    med_arena_free(&arena);
}

static void every_usable_name_is_an_alias_once(void **state)
{
    (void)state;
    struct med_arena *arena = new_arena();
    struct med_doc doc = {.id = MED_STR("pmid:1"),
        .pmid = MED_STR("1"),
        .pmcid = MED_STR("PMC2"),
        .doi = MED_STR("10.1/Ab")};
    struct med_str aliases[4];
    size_t count;
    assert_int_equal(med_doc_aliases(&doc, arena, aliases, &count, NULL), MED_OK);
    assert_int_equal(count, 3);
    assert_string_equal(aliases[0].ptr, "pmid:1");
    assert_string_equal(aliases[1].ptr, "pmcid:PMC2");
    assert_string_equal(aliases[2].ptr, "doi:10.1/ab");
    doc.doi = MED_STR("10.1/a b"); /* cannot be asked for */
    assert_int_equal(med_doc_aliases(&doc, arena, aliases, &count, NULL), MED_OK);
    assert_int_equal(count, 2);
    med_arena_free(&arena);
}

static const char *url_name(struct med_arena *arena, const char *url)
{
    struct med_str name;
    assert_int_equal(med_doc_url_name(med_str_of(url), arena, &name, NULL), MED_OK);
    return name.len ? name.ptr : "";
}

static void a_web_address_has_one_name(void **state)
{
    (void)state;
    struct med_arena *arena = new_arena();
    const char *name = url_name(arena, "https://Example.org/Guide?x=Y");
    static const char *const same[] = {"http://example.org/Guide?x=Y",
        " HTTPS://EXAMPLE.ORG/Guide?x=Y ", "https://example.org/Guide?x=Y#part",
        "https://example.org/Guide?x=Y/"};
    static const char *const others[] = {"https://example.org/guide?x=Y",
        "https://example.org/Guide?x=y", "https://example.org", "https://example.com/Guide?x=Y"};
    static const char *const none[] = {"", "https://", "http:///", "#", "pmid:1", "ftp://a/b"};
    assert_int_equal(strlen(name), 4 + MED_HASH_HEX_LEN);
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        assert_string_equal(url_name(arena, same[i]), name);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_string_not_equal(url_name(arena, others[i]), name);
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_string_equal(url_name(arena, none[i]), "");
    med_arena_free(&arena);
}

static void dates_are_read_as_written(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        struct med_date date;
    } cases[] = {{"2019", {2019, 0, 0}}, {"2019-03-01", {2019, 3, 1}}, {"2019 Mar 1", {2019, 3, 1}},
        {"15 March 2019", {2019, 3, 15}}, {"March 15, 2019", {2019, 3, 15}},
        {"March 2019", {2019, 3, 0}}, {"1998 Dec-1999 Jan", {1998, 12, 0}},
        {"2000 Spring", {2000, 0, 0}}, {"Winter 2001", {2001, 0, 0}}, {"1976-1977", {1976, 0, 0}},
        {"2020-13-40", {2020, 0, 0}}, {"2019 Nov-Dec", {2019, 11, 0}},
        {"2021-06-30T12:00:00Z", {2021, 6, 30}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct med_date date = {0};
        assert_true(med_date_parse(med_str_of(cases[i].text), &date));
        assert_int_equal(date.year, cases[i].date.year);
        assert_int_equal(date.month, cases[i].date.month);
        assert_int_equal(date.day, cases[i].date.day);
    }
    struct med_date date;
    assert_false(med_date_parse(MED_STR("in press"), &date));
    assert_false(med_date_parse((struct med_str){0}, &date));
}

static void the_notice_is_not_the_retracted_paper(void **state)
{
    (void)state;
    struct med_str retracted = MED_STR("Retracted Publication");
    struct med_str notice = MED_STR("Retraction of Publication");
    struct med_link in = {.kind = MED_LINK_RETRACTION_IN}, of = {.kind = MED_LINK_RETRACTION_OF};
    struct med_link erratum = {.kind = MED_LINK_ERRATUM_IN};
    struct med_doc doc = {.publication_types = &retracted, .publication_type_count = 1};
    assert_int_equal(med_doc_flags(&doc), MED_FLAG_RETRACTED);
    doc = (struct med_doc){.links = &in, .link_count = 1};
    assert_int_equal(med_doc_flags(&doc), MED_FLAG_RETRACTED);
    doc = (struct med_doc){
        .publication_types = &notice, .publication_type_count = 1, .links = &of, .link_count = 1};
    assert_int_equal(med_doc_flags(&doc), MED_FLAG_RETRACTION_NOTICE);
    doc = (struct med_doc){.links = &of, .link_count = 1};
    assert_int_equal(med_doc_flags(&doc), MED_FLAG_RETRACTION_NOTICE);
    doc = (struct med_doc){.links = &erratum, .link_count = 1};
    assert_int_equal(med_doc_flags(&doc), MED_FLAG_ERRATUM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decoding_gives_back_what_was_encoded),
        cmocka_unit_test(damaged_records_are_refused_or_decode_within_bounds),
        cmocka_unit_test(unknown_fields_are_skipped_and_counts_cannot_allocate),
        cmocka_unit_test(ids_follow_the_rules),
        cmocka_unit_test(ids_are_understood_as_people_write_them),
        cmocka_unit_test(every_usable_name_is_an_alias_once),
        cmocka_unit_test(a_web_address_has_one_name),
        cmocka_unit_test(dates_are_read_as_written),
        cmocka_unit_test(the_notice_is_not_the_retracted_paper),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

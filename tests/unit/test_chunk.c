/* Passages: bounds, coverage and stability, on chosen and on random documents (seed in
 * MEDICUS_SEED). */
#include "common/limits.h"
#include "common/mem.h"
#include "common/rng.h"
#include "common/unicode.h"
#include "index/document/text.h"
#include "tests/support/support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct result {
    struct med_arena *arena;
    struct med_text *text;
    struct med_chunk *chunks;
    size_t count;
};

static struct result make(const struct med_doc *doc)
{
    struct result r = {0};
    assert_int_equal(med_arena_new(MED_DOC_ARENA_BYTES_MAX, &r.arena, NULL), MED_OK);
    assert_int_equal(med_text_make(doc, r.arena, &r.text, NULL), MED_OK);
    assert_int_equal(med_chunk_make(doc, r.text, r.arena, &r.chunks, &r.count, NULL), MED_OK);
    return r;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool inside_code_point(struct med_str s, size_t pos)
{
    return pos < s.len && ((unsigned char)s.ptr[pos] & 0xc0) == 0x80;
}

/* What holds for the chunks of every document. */
static void assert_invariants(const struct med_doc *doc, const struct result *r)
{
    struct med_str bytes = r->text->bytes;
    uint8_t *covered = med_calloc(bytes.len + 1, 1);
    assert_non_null(covered);
    uint32_t end = 0;
    for (size_t i = 0; i < r->count; i++) {
        const struct med_chunk *c = &r->chunks[i];
        assert_int_equal(c->number, i);
        assert_true(
            c->span.start >= end && c->span.start < c->span.end && c->span.end <= bytes.len);
        end = c->span.end;
        assert_false(is_space(bytes.ptr[c->span.start]) || is_space(bytes.ptr[c->span.end - 1]));
        assert_false(
            inside_code_point(bytes, c->span.start) || inside_code_point(bytes, c->span.end));
        struct med_str text = med_str_sub(bytes, c->span.start, c->span.end);
        assert_int_equal(c->word_count, med_word_count(text));
        assert_in_range(c->word_count, 1, MED_CHUNK_WORDS_MAX);
        assert_true(text.len <= MED_CHUNK_BYTES_MAX);
        assert_true(med_hash128_eq(c->hash, med_hash128(text.ptr, text.len)));
        assert_true(c->section == UINT32_MAX || c->section < doc->section_count);
        for (uint32_t at = c->span.start; at < c->span.end; at++) covered[at]++;
    }
    for (size_t i = 0; i < doc->section_count; i++) {
        struct med_span body = r->text->bodies[i];
        for (uint32_t at = body.start; at < body.end; at++) {
            if (!is_space(bytes.ptr[at])) assert_int_equal(covered[at], 1);
        }
    }
    med_free(covered);
}

/* A chunk of a body section stays inside the section. */
static void assert_within_sections(const struct med_doc *doc, const struct result *r)
{
    for (size_t i = 0; i < r->count; i++) {
        const struct med_chunk *c = &r->chunks[i];
        if (c->section == UINT32_MAX || doc->sections[c->section].kind == MED_SECTION_ABSTRACT)
            continue;
        assert_true(c->span.start >= r->text->headings[c->section].start);
        assert_true(c->span.end <= r->text->bodies[c->section].end);
    }
}

static struct med_str words(struct med_arena *arena, unsigned count, unsigned per_sentence)
{
    struct med_buf buf;
    struct med_str s;
    med_buf_init(&buf, MED_DOC_TEXT_BYTES_MAX);
    for (unsigned i = 1; i <= count; i++)
        med_buf_printf(&buf, "%s%s%s", (i - 1) % per_sentence == 0 ? "Word" : "word",
            i % per_sentence == 0 || i == count ? "." : "", i < count ? " " : "");
    assert_true(med_arena_str(arena, med_buf_str(&buf), &s));
    med_buf_free(&buf);
    return s;
}

static struct med_arena *new_arena(void)
{
    struct med_arena *arena = NULL;
    assert_int_equal(med_arena_new(MED_DOC_ARENA_BYTES_MAX, &arena, NULL), MED_OK);
    return arena;
}

static void a_document_without_body_is_its_title(void **state)
{
    (void)state;
    struct med_doc doc = {.id = MED_STR("pmid:1"), .title = MED_STR(" A title. ")};
    struct result r = make(&doc);
    assert_int_equal(r.count, 1);
    assert_int_equal(r.chunks[0].section, UINT32_MAX);
    assert_int_equal(r.chunks[0].span.start, 1);
    assert_int_equal(r.chunks[0].word_count, 2);
    med_arena_free(&r.arena);

    doc.title = (struct med_str){0};
    r = make(&doc);
    assert_int_equal(r.count, 0);
    med_arena_free(&r.arena);
}

static void an_abstract_with_labels_is_one_chunk_up_to_the_limit(void **state)
{
    (void)state;
    struct med_arena *arena = new_arena();
    struct med_section s[] = {
        {.path = MED_STR("Abstract > Methods"),
            .heading = MED_STR("Methods"),
            .body = words(arena, 159, 20)},
        {.path = MED_STR("Abstract > Results"),
            .heading = MED_STR("Results"),
            .body = words(arena, 159, 20)},
    };
    struct med_doc doc = {
        .id = MED_STR("pmid:1"), .title = MED_STR("T"), .sections = s, .section_count = 2};
    struct result r = make(&doc);
    assert_int_equal(r.count, 1);
    assert_int_equal(r.chunks[0].word_count, 320);
    assert_true(med_str_eq(r.chunks[0].path, MED_STR("Abstract")));
    assert_invariants(&doc, &r);
    med_arena_free(&r.arena);
    med_arena_free(&arena);
}

static void a_long_abstract_is_cut_at_a_label(void **state)
{
    (void)state;
    struct med_arena *arena = new_arena();
    struct med_section s[] = {
        {.path = MED_STR("BACKGROUND"),
            .heading = MED_STR("BACKGROUND"),
            .body = words(arena, 60, 20)},
        {.path = MED_STR("METHODS"), .heading = MED_STR("METHODS"), .body = words(arena, 90, 15)},
        {.path = MED_STR("RESULTS"), .heading = MED_STR("RESULTS"), .body = words(arena, 170, 17)},
        {.path = MED_STR("CONCLUSIONS"),
            .heading = MED_STR("CONCLUSIONS"),
            .body = words(arena, 60, 20)},
    };
    struct med_doc doc = {
        .id = MED_STR("pmid:1"), .title = MED_STR("T"), .sections = s, .section_count = 4};
    struct result r = make(&doc);
    assert_int_equal(r.count, 2);
    assert_int_equal(r.chunks[0].section, 0);
    assert_int_equal(r.chunks[1].section, 2);
    assert_int_equal(r.chunks[1].span.start, r.text->headings[2].start);
    assert_int_equal(r.chunks[0].path.len, 0);
    assert_invariants(&doc, &r);
    med_arena_free(&r.arena);
    med_arena_free(&arena);
}

static void sections_are_cut_evenly_at_sentence_ends(void **state)
{
    (void)state;
    struct med_arena *arena = new_arena();
    for (unsigned n = 321; n < 3000; n += 37) {
        struct med_section s = {.path = MED_STR("Results"),
            .heading = MED_STR("Results"),
            .body = words(arena, n, 22),
            .kind = MED_SECTION_BODY};
        struct med_doc doc = {
            .id = MED_STR("pmid:1"), .title = MED_STR("T"), .sections = &s, .section_count = 1};
        struct result r = make(&doc);
        assert_invariants(&doc, &r);
        assert_int_equal(r.chunks[0].span.start, r.text->headings[0].start);
        for (size_t i = 0; i < r.count; i++) {
            assert_int_equal(r.text->bytes.ptr[r.chunks[i].span.end - 1], '.');
            assert_in_range(r.chunks[i].word_count, n < 560 ? 140 : 170, MED_CHUNK_WORDS_MAX);
        }
        med_arena_free(&r.arena);
        med_arena_reset(arena);
    }
    med_arena_free(&arena);
}

static void a_heading_stays_with_its_text(void **state)
{
    (void)state;
    struct med_arena *arena = new_arena();
    struct med_section s[] = {
        {.path = MED_STR("Methods"), .heading = MED_STR("Methods"), .kind = MED_SECTION_BODY},
        {.path = MED_STR("Methods > Design"),
            .heading = MED_STR("Design"),
            .body = MED_STR("A trial."),
            .kind = MED_SECTION_BODY},
        {.path = MED_STR("Do not screen (grade D)"),
            .heading = MED_STR("Do not screen (grade D)"),
            .kind = MED_SECTION_BODY},
    };
    struct med_doc doc = {
        .id = MED_STR("pmid:1"), .title = MED_STR("T"), .sections = s, .section_count = 3};
    struct result r = make(&doc);
    assert_int_equal(
        r.count, 2); /* "Methods" alone is none: its sub-section carries it in its path */
    assert_int_equal(r.chunks[0].section, 1);
    assert_int_equal(r.chunks[0].word_count, 3);
    assert_int_equal(r.chunks[1].section, 2);
    assert_invariants(&doc, &r);
    assert_within_sections(&doc, &r);
    med_arena_free(&r.arena);
    med_arena_free(&arena);
}

static void an_endless_sentence_is_cut_at_words(void **state)
{
    (void)state;
    struct med_arena *arena = new_arena();
    struct med_section s = {.body = words(arena, 1000, 1000), .kind = MED_SECTION_BODY};
    struct med_doc doc = {
        .id = MED_STR("pmid:1"), .title = MED_STR("T"), .sections = &s, .section_count = 1};
    struct result r = make(&doc);
    assert_invariants(&doc, &r);
    assert_int_equal(r.count, 4);
    for (size_t i = 0; i < r.count; i++) assert_in_range(r.chunks[i].word_count, 220, 280);
    med_arena_free(&r.arena);
    med_arena_free(&arena);
}

static void unicode_spaces_divide_words_too(void **state)
{
    (void)state;
    static const char *const WIDE[] = {"\xc2\xa0", "\xe2\x80\x89", "\xe2\x80\xaf", "\xe3\x80\x80"};
    for (unsigned every = 1; every < 80; every += 3) {
        struct med_buf buf;
        med_buf_init(&buf, MED_MIB);
        for (unsigned i = 0; i < 4000; i++) {
            if (every > 1 && i % every == 0) med_buf_puts(&buf, i % 7 == 0 ? ". A" : " ");
            med_buf_puts(&buf, WIDE[i % 4]);
            med_buf_puts(&buf, "5");
        }
        struct med_section s = {.body = med_buf_str(&buf), .kind = MED_SECTION_BODY};
        struct med_doc doc = {
            .id = MED_STR("pmid:1"), .title = MED_STR("T"), .sections = &s, .section_count = 1};
        struct result r = make(&doc);
        assert_invariants(&doc, &r);
        assert_true(r.count >= 4000 / MED_CHUNK_WORDS_MAX);
        med_arena_free(&r.arena);
        med_buf_free(&buf);
    }
}

static void text_without_spaces_is_cut_between_code_points(void **state)
{
    (void)state;
    struct med_arena *arena = new_arena();
    struct med_buf buf;
    med_buf_init(&buf, MED_MIB);
    for (int i = 0; i < 10000; i++)
        med_buf_puts(&buf, i % 40 == 39 ? "\xe3\x80\x82" : "\xe6\x82\xa3");
    for (int i = 0; i < 10000; i++) med_buf_puts(&buf, "\xf0\x9f\xa7\xac");
    struct med_section s = {.body = med_buf_str(&buf), .kind = MED_SECTION_BODY};
    struct med_doc doc = {
        .id = MED_STR("pmid:1"), .title = MED_STR("T"), .sections = &s, .section_count = 1};
    struct result r = make(&doc);
    assert_invariants(&doc, &r);
    for (size_t i = 0; i < r.count; i++)
        assert_true(r.chunks[i].span.end - r.chunks[i].span.start > 3000);
    med_buf_free(&buf);
    med_arena_free(&r.arena);
    med_arena_free(&arena);
}

static void a_list_of_single_words_takes_linear_time(void **state)
{
    (void)state;
    struct med_buf buf;
    med_buf_init(&buf, 16 * MED_MIB);
    for (int i = 0; i < 2000000; i++) med_buf_puts(&buf, "a\n");
    struct med_section s = {.body = med_buf_str(&buf), .kind = MED_SECTION_BODY};
    struct med_doc doc = {
        .id = MED_STR("pmid:1"), .title = MED_STR("T"), .sections = &s, .section_count = 1};
    struct result r = make(&doc);
    assert_true(r.count > 6000 && r.count < 9000);
    med_buf_free(&buf);
    med_arena_free(&r.arena);
}

static void running_out_of_memory_is_an_error(void **state)
{
    (void)state;
    struct med_arena *arena = new_arena();
    struct med_section s = {.body = words(arena, 2000, 20), .kind = MED_SECTION_BODY};
    struct med_doc doc = {
        .id = MED_STR("pmid:1"), .title = MED_STR("T"), .sections = &s, .section_count = 1};
    struct med_text *text = NULL;
    assert_int_equal(med_text_make(&doc, arena, &text, NULL), MED_OK);
    enum med_code code = MED_E_NOMEM;
    for (uint64_t n = 1; code != MED_OK; n++) {
        struct med_chunk *chunks = NULL;
        size_t count = 0;
        med_mem_fail_after(n);
        code = med_chunk_make(&doc, text, arena, &chunks, &count, NULL);
        med_mem_fail_after(0);
        assert_true(code == MED_OK || code == MED_E_NOMEM);
        assert_true(n < 100);
    }
    med_arena_free(&arena);
}

static void random_piece(struct med_rng *rng, struct med_buf *buf)
{
    static const char *const PIECES[] = {"word", "a", "the", "IL-6", "0.05", "(P < .05)", "et al.",
        "e.g.", "J.", "\xce\xb2-blocker", "\xe6\x82\xa3\xe8\x80\x85\xe3\x80\x82", "\xc3\xa9tude",
        "[12].", "stop.", "Why?", "Yes!", "The", "Patients", "...", "\xf0\x9f\xa7\xac", "1.",
        "E. coli"};
    static const char *const SPACES[] = {
        " ", " ", " ", " ", " ", " ", "  ", "\n", "\t", "", "\n\n", "\r\n"};
    med_buf_puts(buf, PIECES[med_rng_below(rng, sizeof PIECES / sizeof *PIECES)]);
    med_buf_puts(buf, SPACES[med_rng_below(rng, sizeof SPACES / sizeof *SPACES)]);
}

static struct med_str random_text(struct med_rng *rng, struct med_arena *arena, uint64_t pieces_max)
{
    struct med_buf buf;
    struct med_str s;
    med_buf_init(&buf, MED_MIB);
    uint64_t pieces = med_rng_below(rng, pieces_max + 1);
    uint64_t glue = med_rng_below(rng, 20); /* some texts hold very long words */
    for (uint64_t i = 0; i < pieces; i++) {
        random_piece(rng, &buf);
        for (uint64_t k = 0; glue == 0 && k < 400; k++) med_buf_puts(&buf, "\xe6\x82\xa3");
    }
    assert_true(med_arena_str(arena, med_buf_str(&buf), &s));
    med_buf_free(&buf);
    return s;
}

static struct med_doc random_doc(struct med_rng *rng, struct med_arena *arena)
{
    static const char *const PATHS[] = {
        "", "Methods", "Methods > Design", "Results", "Results > A > B"};
    struct med_doc doc = {.id = MED_STR("doc:random")};
    doc.title = random_text(rng, arena, med_rng_below(rng, 8) == 0 ? 500 : 12);
    doc.section_count = med_rng_below(rng, 7);
    doc.sections = med_arena_calloc(arena, doc.section_count + 1, sizeof *doc.sections);
    assert_non_null(doc.sections);
    for (size_t i = 0; i < doc.section_count; i++) {
        struct med_section *s = &doc.sections[i];
        s->path = med_str_of(PATHS[med_rng_below(rng, 5)]);
        s->heading = random_text(rng, arena, med_rng_below(rng, 30) == 0 ? 700 : 6);
        s->body = random_text(rng, arena, med_rng_below(rng, 3) == 0 ? 2000 : 200);
        s->kind = med_rng_below(rng, 2) ? MED_SECTION_ABSTRACT : MED_SECTION_BODY;
    }
    return doc;
}

static void random_documents_keep_every_promise(void **state)
{
    (void)state;
    uint64_t seed = med_test_seed();
    struct med_arena *arena = new_arena();
    for (uint64_t i = 0; i < 400; i++) {
        struct med_rng rng;
        med_rng_seed(&rng, seed + i);
        struct med_doc doc = random_doc(&rng, arena);
        struct result a = make(&doc), b = make(&doc);
        assert_invariants(&doc, &a);
        assert_within_sections(&doc, &a);
        assert_int_equal(a.count, b.count);
        for (size_t k = 0; k < a.count; k++) {
            assert_memory_equal(&a.chunks[k].span, &b.chunks[k].span, sizeof a.chunks[k].span);
            assert_true(med_hash128_eq(a.chunks[k].hash, b.chunks[k].hash));
        }
        med_arena_free(&a.arena);
        med_arena_free(&b.arena);
        med_arena_reset(arena);
    }
    med_arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_document_without_body_is_its_title),
        cmocka_unit_test(an_abstract_with_labels_is_one_chunk_up_to_the_limit),
        cmocka_unit_test(a_long_abstract_is_cut_at_a_label),
        cmocka_unit_test(sections_are_cut_evenly_at_sentence_ends),
        cmocka_unit_test(a_heading_stays_with_its_text),
        cmocka_unit_test(an_endless_sentence_is_cut_at_words),
        cmocka_unit_test(unicode_spaces_divide_words_too),
        cmocka_unit_test(text_without_spaces_is_cut_between_code_points),
        cmocka_unit_test(a_list_of_single_words_takes_linear_time),
        cmocka_unit_test(running_out_of_memory_is_an_error),
        cmocka_unit_test(random_documents_keep_every_promise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

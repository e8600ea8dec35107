/* Canonical text and sentence ends. */
#include "common/limits.h"
#include "common/mem.h"
#include "index/document/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct med_arena *new_arena(void)
{
    struct med_arena *arena = NULL;
    assert_int_equal(med_arena_new(MED_DOC_ARENA_BYTES_MAX, &arena, NULL), MED_OK);
    return arena;
}

static void assert_span(const struct med_text *text, struct med_span span, const char *expected)
{
    struct med_str got = med_str_sub(text->bytes, span.start, span.end);
    assert_int_equal(got.len, strlen(expected));
    assert_memory_equal(got.ptr ? got.ptr : "", expected, got.len);
}

static void text_joins_non_empty_pieces_by_blank_lines(void **state)
{
    (void)state;
    struct med_arena *arena = new_arena();
    struct med_section sections[] = {
        {.path = MED_STR("Methods"), .heading = MED_STR("Methods"), .kind = MED_SECTION_BODY},
        {.path = MED_STR("Methods > Design"),
            .heading = MED_STR("Design"),
            .body = MED_STR("One.\nTwo.")},
        {.body = MED_STR("No heading.")},
    };
    struct med_doc doc = {.id = MED_STR("doc:1"),
        .title = MED_STR("Title"),
        .sections = sections,
        .section_count = 3};
    struct med_text *text = NULL;
    assert_int_equal(med_text_make(&doc, arena, &text, NULL), MED_OK);
    assert_string_equal(text->bytes.ptr, "Title\n\nMethods\n\nDesign\n\nOne.\nTwo.\n\nNo heading.");
    assert_int_equal(text->bytes.len, strlen(text->bytes.ptr));
    assert_int_equal(text->section_count, 3);
    assert_span(text, text->title, "Title");
    assert_span(text, text->headings[0], "Methods");
    assert_span(text, text->bodies[0], "");
    assert_span(text, text->headings[1], "Design");
    assert_span(text, text->bodies[1], "One.\nTwo.");
    assert_span(text, text->headings[2], "");
    assert_span(text, text->bodies[2], "No heading.");
    med_arena_free(&arena);
}

/* Every span, of texts whose pieces may be missing. */
static void any_slice_of_a_layout_is_that_of_the_text(void **state)
{
    (void)state;
    const struct med_str words[] = {{0}, MED_STR("A"), MED_STR("Two words")};
    struct med_arena *arena = new_arena();
    for (unsigned n = 0; n < 243; n++) {
        struct med_section sections[] = {
            {.heading = words[n / 3 % 3], .body = words[n / 9 % 3]},
            {.heading = words[n / 27 % 3], .body = words[n / 81 % 3]},
        };
        struct med_doc doc = {.id = MED_STR("doc:1"),
            .title = words[n % 3],
            .sections = sections,
            .section_count = 2};
        struct med_text *text, *layout;
        struct med_str slice;
        med_arena_reset(arena);
        assert_int_equal(med_text_make(&doc, arena, &text, NULL), MED_OK);
        assert_int_equal(med_text_layout(&doc, arena, &layout, NULL), MED_OK);
        uint32_t len = (uint32_t)text->bytes.len;
        assert_int_equal(layout->bytes.len, len);
        assert_memory_equal(layout->headings, text->headings, 4 * sizeof(struct med_span));
        for (struct med_span at = {0}; at.start <= len; at.start++) {
            for (at.end = at.start; at.end <= len; at.end++) {
                assert_int_equal(med_text_slice(&doc, layout, at, arena, &slice, NULL), MED_OK);
                assert_true(med_str_eq(slice, med_str_sub(text->bytes, at.start, at.end)));
            }
        }
        assert_int_equal(
            med_text_slice(&doc, layout, (struct med_span){0, len + 1}, arena, &slice, NULL),
            MED_E_INVALID);
        assert_int_equal(med_text_slice(&doc, layout, (struct med_span){1, 0}, arena, &slice, NULL),
            MED_E_INVALID);
    }
    med_arena_free(&arena);
}

static void text_of_nothing_is_empty(void **state)
{
    (void)state;
    struct med_arena *arena = new_arena();
    struct med_doc doc = {.id = MED_STR("doc:1")};
    struct med_text *text = NULL;
    assert_int_equal(med_text_make(&doc, arena, &text, NULL), MED_OK);
    assert_int_equal(text->bytes.len, 0);
    assert_int_equal(text->section_count, 0);
    med_arena_free(&arena);
}

static void text_beyond_the_limit_is_refused(void **state)
{
    (void)state;
    struct med_arena *arena = new_arena();
    char *big = med_calloc(1, MED_DOC_TEXT_BYTES_MAX);
    assert_non_null(big);
    memset(big, 'x', MED_DOC_TEXT_BYTES_MAX);
    struct med_section section = {.body = {.ptr = big, .len = MED_DOC_TEXT_BYTES_MAX}};
    struct med_doc doc = {
        .id = MED_STR("doc:1"), .title = MED_STR("T"), .sections = &section, .section_count = 1};
    struct med_text *text = NULL;
    struct med_err err = {0};
    assert_int_equal(med_text_make(&doc, arena, &text, &err), MED_E_LIMIT);
    assert_non_null(strstr(err.text, "doc:1"));
    section.body.len -= 3;
    assert_int_equal(med_text_make(&doc, arena, &text, NULL), MED_OK);
    med_free(big);
    med_arena_free(&arena);
}

/* '|' marks the expected ends. */
static const char *const SENTENCES[] = {
    "We enrolled 120 patients.| The mean age was 54.3 years.| P < .05 was significant.",
    "As Smith et al. reported, mortality fell.| Jones et al.| The trial ended.",
    "Drugs, e.g. aspirin, i.e. salicylates, vs. placebo were used.| No effect was seen.",
    "See Fig. 2 and Figs. A and B.| Data are in Table 1.",
    "Dr. Brown and Prof. Green of St. Louis agreed.| Mr. White did not.",
    "The rate was 0.05.| It then rose (P=.03).| Then it fell.",
    "J. Smith and A. B. Jones wrote it.| E. coli grew.| S. aureus did not.",
    "1. Age above 60 years.| 2. No prior stroke.",
    "a. First item\n|b. Second item",
    "Mortality fell [12].| Survival rose.[13] | It was safe. [14,15]| We conclude so.",
    "Mortality fell by half.12,13| Patients lived longer.",
    "Was it safe?| Yes!| It was.",
    "(It was small.)| \"It was large.\"| Both hold.",
    "Vitamin D.| Patients with hepatitis B.| Hepatitis C was excluded.",
    "Patients had hepatitis B.| Cirrhosis was rare.",
    "The U.S. Preventive Services Task Force recommends it.| It was done in the U.S.| The rest "
    "waited.",
    "We measured mRNA.| mRNA levels rose.| p53 was lost.| miR-21 rose.",
    "It was given i.v. for 5 min. at rest.| It took 5 min.| Pain fell.",
    "approx. 5 mg, ca. 10 mL, No. 5, Dec. 2019, vol. 3.| Ten died.",
    "One line\n|Another line.\n\n|A third",
    "Results were mixed... but promising.| So they say...| We agree.",
    "\xe6\x82\xa3\xe8\x80\x85\xe3\x80\x82|\xe6\xb2\xbb\xe7\x96\x97\xe3\x80\x82",
    "The trial (NCT01234567; www.example.org) ended.| Hb was 7.5 g/dL.| 10 patients died.",
    "The p value was 0.04 vs. 0.05.| \xce\xb2-blockers helped.",
    "At 37 \xc2\xb0"
    "C.| Samples were frozen.",
    "Spp. of Candida, incl. C. albicans, were found.",
    "Washington, D.C.| Patients were seen.",
    "no stop at the end",
    "...",
    ".",
};

static void check_sentences(struct med_arena *arena, const char *marked)
{
    char plain[1024], got[2048];
    size_t n = 0;
    for (const char *p = marked; *p; p++) {
        if (*p != '|') plain[n++] = *p;
    }
    struct med_span *spans = NULL;
    size_t count = 0, at = 0, len = 0;
    struct med_str text = {.ptr = plain, .len = n};
    assert_int_equal(med_sentences(text, arena, &spans, &count, NULL), MED_OK);
    for (size_t i = 0; i < count; i++) {
        /* The mark stands behind the sentence and, in the table, before or behind its white space.
         */
        while (at < spans[i].start) got[len++] = plain[at++];
        if (i > 0) got[len++] = '|';
        while (at < spans[i].end) got[len++] = plain[at++];
    }
    got[len] = '\0';
    /* Compare without white space: the table may put the mark on either side of it. */
    char a[2048], b[2048];
    size_t an = 0, bn = 0;
    for (const char *p = marked; *p; p++) {
        if (*p != ' ' && *p != '\n') a[an++] = *p;
    }
    for (const char *p = got; *p; p++) {
        if (*p != ' ' && *p != '\n') b[bn++] = *p;
    }
    a[an] = b[bn] = '\0';
    assert_string_equal(b, a);
}

static void sentences_end_where_a_reader_would_end_them(void **state)
{
    (void)state;
    struct med_arena *arena = new_arena();
    for (size_t i = 0; i < sizeof SENTENCES / sizeof *SENTENCES; i++)
        check_sentences(arena, SENTENCES[i]);
    med_arena_free(&arena);
}

static void sentences_of_white_space_are_none(void **state)
{
    (void)state;
    struct med_arena *arena = new_arena();
    struct med_span *spans = NULL;
    size_t count = 1;
    assert_int_equal(med_sentences(MED_STR(" \n\t "), arena, &spans, &count, NULL), MED_OK);
    assert_int_equal(count, 0);
    assert_int_equal(med_sentences((struct med_str){0}, arena, &spans, &count, NULL), MED_OK);
    assert_int_equal(count, 0);
    med_arena_free(&arena);
}

/* A quadratic splitter would need minutes for these. */
static void sentences_of_hostile_text_take_linear_time(void **state)
{
    (void)state;
    static const char *const UNITS[] = {
        ".", ".)", "a.", ". ", "a.1", ".[1", "\xe3\x80\x82", "?", "\n.", "E. "};
    struct med_arena *arena = new_arena();
    size_t size = 8 * MED_MIB;
    char *bytes = med_malloc(size);
    assert_non_null(bytes);
    for (size_t u = 0; u < sizeof UNITS / sizeof *UNITS; u++) {
        size_t unit = strlen(UNITS[u]), len = 0;
        while (len + unit < size) {
            memcpy(bytes + len, UNITS[u], unit);
            len += unit;
        }
        bytes[len++] = 'x';
        struct med_span *spans = NULL;
        size_t count = 0;
        struct med_str text = {.ptr = bytes, .len = len};
        assert_int_equal(med_sentences(text, arena, &spans, &count, NULL), MED_OK);
        assert_true(count > 0);
        med_arena_reset(arena);
    }
    med_free(bytes);
    med_arena_free(&arena);
}

static void words_are_runs_between_white_space(void **state)
{
    (void)state;
    assert_int_equal(med_word_count((struct med_str){0}), 0);
    assert_int_equal(med_word_count(MED_STR("  ")), 0);
    assert_int_equal(med_word_count(MED_STR("one")), 1);
    assert_int_equal(med_word_count(MED_STR(" one\ttwo\n three-four  ")), 3);
    /* Whoever counts with a Unicode library's split must not find more. */
    static const char *const WIDE[] = {"\xc2\x85", "\xc2\xa0", "\xe1\x9a\x80", "\xe2\x80\x80",
        "\xe2\x80\x89", "\xe2\x80\x8a", "\xe2\x80\xa8", "\xe2\x80\xa9", "\xe2\x80\xaf",
        "\xe2\x81\x9f", "\xe3\x80\x80"};
    for (size_t i = 0; i < sizeof WIDE / sizeof *WIDE; i++) {
        char text[64];
        int len = snprintf(text, sizeof text, "%s5%s%smg %s %sday%s", WIDE[i], WIDE[i], WIDE[i],
            WIDE[i], WIDE[i], WIDE[i]);
        assert_int_equal(med_word_count((struct med_str){.ptr = text, .len = (size_t)len}), 4);
    }
    assert_int_equal(med_word_count(MED_STR("a\xe2\x80\x8b"
                                            "b \xc2\xa1")),
        2);
    assert_int_equal(med_word_count(MED_STR("a\xc2")), 1);
    assert_int_equal(med_word_count(MED_STR("a\xe2\x80")), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_joins_non_empty_pieces_by_blank_lines),
        cmocka_unit_test(any_slice_of_a_layout_is_that_of_the_text),
        cmocka_unit_test(text_of_nothing_is_empty),
        cmocka_unit_test(text_beyond_the_limit_is_refused),
        cmocka_unit_test(sentences_end_where_a_reader_would_end_them),
        cmocka_unit_test(sentences_of_white_space_are_none),
        cmocka_unit_test(sentences_of_hostile_text_take_linear_time),
        cmocka_unit_test(words_are_runs_between_white_space),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

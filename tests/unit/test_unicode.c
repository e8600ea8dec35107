/* UTF-8 against a table-driven reference, normal forms, the fold for search, character classes. */
#include "common/mem.h"
#include "common/rng.h"
#include "common/unicode.h"
#include "tests/support/support.h"

#include <setjmp.h>

#include <cmocka.h>

/* The rows of table 3-7 of the Unicode Standard, "Well-Formed UTF-8 Byte Sequences". */
static const struct {
    size_t len;
    uint8_t least[4], most[4];
} well_formed[] = {
    {1, {0x00}, {0x7F}},
    {2, {0xC2, 0x80}, {0xDF, 0xBF}},
    {3, {0xE0, 0xA0, 0x80}, {0xE0, 0xBF, 0xBF}},
    {3, {0xE1, 0x80, 0x80}, {0xEC, 0xBF, 0xBF}},
    {3, {0xED, 0x80, 0x80}, {0xED, 0x9F, 0xBF}},
    {3, {0xEE, 0x80, 0x80}, {0xEF, 0xBF, 0xBF}},
    {4, {0xF0, 0x90, 0x80, 0x80}, {0xF0, 0xBF, 0xBF, 0xBF}},
    {4, {0xF1, 0x80, 0x80, 0x80}, {0xF3, 0xBF, 0xBF, 0xBF}},
    {4, {0xF4, 0x80, 0x80, 0x80}, {0xF4, 0x8F, 0xBF, 0xBF}},
};

/* Length of the sequence at the beginning, by the table; 0 = ill-formed. */
static size_t reference_len(const uint8_t *p, size_t len)
{
    for (size_t row = 0; row < sizeof well_formed / sizeof *well_formed; row++) {
        bool fits = len >= well_formed[row].len;
        for (size_t i = 0; fits && i < well_formed[row].len; i++) {
            fits = p[i] >= well_formed[row].least[i] && p[i] <= well_formed[row].most[i];
        }
        if (fits) return well_formed[row].len;
    }
    return 0;
}

static void check_against_reference(const uint8_t *p, size_t len)
{
    struct med_str s = {.ptr = (const char *)p, .len = len};
    bool valid = true;
    for (size_t pos = 0; pos < len;) {
        size_t step = reference_len(p + pos, len - pos), after = pos;
        uint32_t cp = med_utf8_next(s, &after);
        assert_int_equal(after - pos, step > 0 ? step : 1);
        if (step == 0) assert_int_equal(cp, 0xFFFD);
        valid = valid && step > 0;
        assert_int_equal(med_utf8_floor(s, pos), pos);
        for (size_t inside = pos + 1; inside < after; inside++) {
            assert_int_equal(med_utf8_floor(s, inside), pos);
        }
        pos = after;
    }
    assert_int_equal(med_utf8_valid(p, len), valid);
    assert_int_equal(med_utf8_floor(s, len), len);
    assert_int_equal(med_utf8_floor(s, len + 9), len);
}

static void random_bytes_are_judged_as_the_unicode_table_judges(void **state)
{
    (void)state;
    /* The bytes at which the table's rows begin and end, so that random text is often nearly right.
     */
    static const uint8_t edges[] = {0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0,
        0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF};
    struct med_rng rng;
    med_rng_seed(&rng, med_test_seed());
    for (int round = 0; round < 200000; round++) {
        uint8_t text[24];
        size_t len = (size_t)med_rng_below(&rng, sizeof text + 1);
        for (size_t i = 0; i < len; i++) {
            bool edge = med_rng_below(&rng, 8) > 0;
            text[i] = edge ? edges[med_rng_below(&rng, sizeof edges)] : (uint8_t)med_rng_u64(&rng);
        }
        check_against_reference(text, len);
    }
}

static void every_code_point_survives_encoding(void **state)
{
    (void)state;
    struct med_buf buf;
    med_buf_init(&buf, 16);
    for (uint32_t cp = 0; cp <= 0x10FFFF; cp++) {
        bool surrogate = cp >= 0xD800 && cp <= 0xDFFF;
        med_buf_reset(&buf);
        med_utf8_put(&buf, cp);
        size_t pos = 0;
        uint32_t back = med_utf8_next(med_buf_str(&buf), &pos);
        if (back != (surrogate ? 0xFFFD : cp) || pos != buf.len) fail_msg("U+%04X", (unsigned)cp);
        if (reference_len((uint8_t *)buf.data, buf.len) != buf.len)
            fail_msg("U+%04X", (unsigned)cp);
    }
    med_buf_reset(&buf);
    med_utf8_put(&buf, 0x110000);
    assert_string_equal(buf.data, "\xEF\xBF\xBD");
    med_buf_free(&buf);
    assert_true(med_utf8_valid(NULL, 0));
}

typedef enum med_code (*transform)(struct med_str s, struct med_buf *out, struct med_err *err);

static void check_transform(transform fn, const char *from, const char *to)
{
    struct med_buf out;
    med_buf_init(&out, 1000);
    assert_int_equal(fn(med_str_of(from), &out, NULL), MED_OK);
    assert_string_equal(out.data ? out.data : "", to);
    med_buf_free(&out);
}

static void nfc_composes_orders_and_cleans(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"", ""},
        {"plain ASCII\ttext\n", "plain ASCII\ttext\n"},
        {"a\rb\x01"
         "c",
            "a b c"},
        {"\x01\xC3\xA9", " \xC3\xA9"},
        {"e\xCC\x81", "\xC3\xA9"}, /* e + acute */
        {"xe\xCC\x81y", "x\xC3\xA9y"},
        {"\xC3\xA9", "\xC3\xA9"},
        {"\xE2\x84\xAB", "\xC3\x85"},                             /* angstrom sign */
        {"e\xCC\x81\xCC\xA3", "\xE1\xBA\xB9\xCC\x81"},            /* e + acute + dot below */
        {"\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB", "\xED\x95\x9C"}, /* Hangul from its letters */
        {"\xEF\xAC\x81", "\xEF\xAC\x81"},                         /* the fi ligature stays */
        {"\xE0\xA7\x87\xE0\xA6\xBE", "\xE0\xA7\x8B"},             /* two Bengali vowel signs */
        {"\xCC\x81"
         "a",
            "\xCC\x81"
            "a"}, /* a mark without a letter */
        {"a\xFFz", "a\xEF\xBF\xBDz"},
        {"\xE2\x82", "\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"\xCE\xB1-\xCE\xB2 \xE2\x89\xA5 5 \xC2\xB5g",
            "\xCE\xB1-\xCE\xB2 \xE2\x89\xA5 5 \xC2\xB5g"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        check_transform(med_utf8_nfc, pairs[i][0], pairs[i][1]);
    }
}

static void folding_makes_spellings_meet(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"", ""}, {"HbA1c IL-6", "hba1c il-6"}, {"Sj\xC3\xB6gren", "sjogren"},
        {"Sjo\xCC\x88gren", "sjogren"}, {"\xE2\x84\xAB", "a"},
        {"Stra\xC3\x9F"
         "e",
            "strasse"},
        {"\xEF\xAC\x81"
         "brosis",
            "fibrosis"},
        {"\xC5\x92"
         "dema S\xC3\xB8rensen",
            "oedema sorensen"},
        {"\xCE\x92-blocker", "\xCE\xB2-blocker"},
        {"\xC2\xB5g", "\xCE\xBCg"},               /* the micro sign is the Greek letter */
        {"\xCE\xA3\xCF\x82", "\xCF\x83\xCF\x83"}, /* capital and final sigma */
        {"x\xC2\xB2", "x2"},
        {"anti\xC2\xAD"
         "body",
            "antibody"},                    /* soft hyphen */
        {"\xEF\xBC\xA1\xEF\xBC\x91", "a1"}, /* full-width */
        {"\xD0\x99", "\xD0\xB9"},           /* Cyrillic keeps its marks */
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        check_transform(med_utf8_fold, pairs[i][0], pairs[i][1]);
    }
}

static void put_random_text(struct med_rng *rng, struct med_buf *text)
{
    /* Blocks with letters, marks that reorder, Hangul letters and syllables, ligatures, Indic vowel
     * signs. */
    static const uint32_t blocks[][2] = {{0x00, 0x7F}, {0x41, 0x5A}, {0xC0, 0x17F}, {0x300, 0x36F},
        {0x370, 0x3FF}, {0x590, 0x5FF}, {0x980, 0x9FF}, {0xB80, 0xDFF}, {0x1100, 0x11FF},
        {0x1E00, 0x1FFF}, {0x2000, 0x206F}, {0x2100, 0x218F}, {0x3040, 0x30FF}, {0xAC00, 0xD7A3},
        {0xF900, 0xFB4F}, {0xFE00, 0xFFFF}, {0x1D100, 0x1D7FF}, {0x1F600, 0x1F64F}, {0, 0x10FFFF}};
    size_t count = sizeof blocks / sizeof *blocks;
    unsigned len = (unsigned)med_rng_below(rng, 30);
    for (unsigned i = 0; i < len; i++) {
        const uint32_t *block = blocks[med_rng_below(rng, count)];
        med_utf8_put(text, block[0] + (uint32_t)med_rng_below(rng, block[1] - block[0] + 1));
        if (med_rng_below(rng, 20) == 0) med_buf_putc(text, (char)med_rng_below(rng, 256));
    }
}

static void normalising_twice_changes_nothing_more(void **state)
{
    (void)state;
    struct med_rng rng;
    med_rng_seed(&rng, med_test_seed());
    struct med_buf text, once, twice;
    med_buf_init(&text, 1 << 16);
    med_buf_init(&once, 1 << 16);
    med_buf_init(&twice, 1 << 16);
    for (int round = 0; round < 30000; round++) {
        med_buf_reset(&text);
        med_buf_reset(&once);
        med_buf_reset(&twice);
        put_random_text(&rng, &text);
        assert_int_equal(med_utf8_nfc(med_buf_str(&text), &once, NULL), MED_OK);
        assert_true(med_utf8_valid(once.data, once.len));
        assert_int_equal(med_utf8_nfc(med_buf_str(&once), &twice, NULL), MED_OK);
        assert_true(med_str_eq(med_buf_str(&once), med_buf_str(&twice)));
    }
    med_buf_free(&text);
    med_buf_free(&once);
    med_buf_free(&twice);
}

static void a_mountain_of_marks_takes_linear_time_and_stays_normal(void **state)
{
    (void)state;
    struct med_buf text, once, twice;
    med_buf_init(&text, 1 << 24);
    med_buf_init(&once, 1 << 24);
    med_buf_init(&twice, 1 << 24);
    med_buf_putc(&text, 'a');
    for (int i = 0; i < 500000; i++) med_utf8_put(&text, i % 2 ? 0x301 : 0x323); /* above, below */
    assert_int_equal(med_utf8_nfc(med_buf_str(&text), &once, NULL), MED_OK);
    assert_int_equal(med_utf8_nfc(med_buf_str(&once), &twice, NULL), MED_OK);
    assert_true(med_str_eq(med_buf_str(&once), med_buf_str(&twice)));
    med_buf_reset(&once);
    assert_int_equal(med_utf8_fold(med_buf_str(&text), &once, NULL), MED_OK);
    assert_string_equal(once.data, "a");
    med_buf_free(&text);
    med_buf_free(&once);
    med_buf_free(&twice);
}

static void a_full_buffer_is_an_error_not_a_cut_text(void **state)
{
    (void)state;
    struct med_buf out;
    med_buf_init(&out, 4);
    struct med_err err;
    assert_int_equal(med_utf8_nfc(MED_STR("\xC3\xA9\xC3\xA9z"), &out, &err), MED_E_LIMIT);
    med_buf_free(&out);
    med_buf_init(&out, 1000);
    med_mem_fail_after(1);
    assert_int_equal(med_utf8_fold(MED_STR("abc"), &out, &err), MED_E_NOMEM);
    med_buf_free(&out);
}

static void characters_have_classes(void **state)
{
    (void)state;
    assert_int_equal(med_char_class('a'), MED_CHAR_LETTER);
    assert_int_equal(med_char_class('7'), MED_CHAR_DIGIT);
    assert_int_equal(med_char_class('\n'), MED_CHAR_SPACE);
    assert_int_equal(med_char_class('-'), MED_CHAR_OTHER);
    assert_int_equal(med_char_class(0), MED_CHAR_OTHER);
    assert_int_equal(med_char_class(0x3B2), MED_CHAR_LETTER);
    assert_int_equal(med_char_class(0x660), MED_CHAR_DIGIT);
    assert_int_equal(med_char_class(0x2009), MED_CHAR_SPACE);
    assert_int_equal(med_char_class(0xA0), MED_CHAR_SPACE);
    assert_int_equal(med_char_class(0x301), MED_CHAR_MARK);
    assert_int_equal(med_char_class(0x4E00), MED_CHAR_LETTER);
    assert_int_equal(med_char_class(0x2013), MED_CHAR_OTHER);
    assert_int_equal(med_char_class(0xFFFFFFFF), MED_CHAR_OTHER);
    assert_true(med_char_is_upper('A') && med_char_is_upper(0x394));
    assert_false(med_char_is_upper('a') || med_char_is_upper(0x3B4) || med_char_is_upper('1'));
    assert_false(med_char_is_upper(0xFFFFFFFF));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_bytes_are_judged_as_the_unicode_table_judges),
        cmocka_unit_test(every_code_point_survives_encoding),
        cmocka_unit_test(nfc_composes_orders_and_cleans),
        cmocka_unit_test(folding_makes_spellings_meet),
        cmocka_unit_test(normalising_twice_changes_nothing_more),
        cmocka_unit_test(a_mountain_of_marks_takes_linear_time_and_stays_normal),
        cmocka_unit_test(a_full_buffer_is_an_error_not_a_cut_text),
        cmocka_unit_test(characters_have_classes),
    };
    return cmocka_run_group_tests_name("unicode", tests, NULL, NULL);
}

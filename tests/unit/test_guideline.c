/* Guidelines: front matter, Markdown, HTML, plain text, slugs; 85 real ones where they are there.
 */
#include "common/fs.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/rng.h"
#include "index/document/text.h"
#include "tests/support/support.h"
#include "tests/unit/ingest_help.h"

#include <dirent.h>

static struct kept *parse_named(const char *name, enum med_format format, struct med_str bytes)
{
    struct kept *kept = kept_new();
    struct med_doc_sink sink = kept_sink(kept);
    struct bytes_input b = {.bytes = bytes, .step = 100};
    struct med_input in = {.read = bytes_read, .ctx = &b, .name = med_str_of(name)};
    struct med_err err = {0};
    enum med_code code = med_parse(&in, format, &sink, &err);
    if (code != MED_OK) print_error("%s\n", err.text);
    assert_int_equal(code, MED_OK);
    assert_int_equal(kept->doc_count + kept->skip_count, 1);
    return kept;
}

static struct kept *parse_text(const char *name, enum med_format format, const char *text)
{
    return parse_named(name, format, med_str_of(text));
}

static struct kept *parse_file(const char *path, const char *name)
{
    struct med_buf buf;
    med_buf_init(&buf, MED_MIB);
    assert_int_equal(med_read_file(path, &buf, NULL), MED_OK);
    enum med_format format = med_format_detect(buf.data, buf.len);
    struct kept *kept = parse_named(name, format, med_buf_str(&buf));
    med_buf_free(&buf);
    return kept;
}

static void check_section(
    const struct med_doc *d, size_t i, const char *path, const char *heading, const char *body)
{
    assert_true(i < d->section_count);
    assert_str(d->sections[i].path, path);
    assert_str(d->sections[i].heading, heading);
    assert_str(d->sections[i].body, body);
    assert_int_equal(d->sections[i].kind, MED_SECTION_BODY);
}

static void front_matter_fills_the_document(void **state)
{
    (void)state;
    struct kept *kept = parse_file("tests/data/guideline/tea.md", "ignored.md");
    assert_int_equal(kept->doc_count, 1);
    const struct med_doc *d = kept->docs[0];
    assert_str(d->id, "guideline:tea-health-2024");
    assert_str(d->source_id, "tea-health-2024");
    assert_int_equal(d->source, MED_SOURCE_GUIDELINE);
    assert_str(d->title, "Tea: how much is enough?");
    assert_str(d->organization, "Council of Invented Guidelines");
    assert_int_equal(d->publication_type_count, 2);
    assert_str(d->publication_types[0], "Practice Guideline");
    assert_int_equal(d->date.year, 2024);
    assert_int_equal(d->date.month, 5);
    assert_int_equal(d->date.day, 6);
    assert_str(d->grade, "A, C");
    assert_str(d->url, "https://guidelines.example/tea");
    assert_str(d->language, "en");
    assert_str(d->licence, "CC0-1.0");
    assert_int_equal(d->keyword_count, 2);
    assert_str(d->keywords[0], "tea");
    assert_str(d->keywords[1], "health");
    assert_int_equal(d->link_count, 1);
    assert_int_equal(d->links[0].kind, MED_LINK_UPDATE_OF);
    assert_str(d->links[0].target, "guideline:tea-health-2019");
    assert_str(d->metadata_json, "{\"version\":3,\"reviewers\":[\"A. Reader\",\"B. "
                                 "Reader\"],\"panel\":{\"chair\":\"C. Chair\",\"members\":7}}");
    assert_int_equal(med_json_check(d->metadata_json.ptr, d->metadata_json.len, 16, NULL), MED_OK);
    kept_free(kept);
}

static void markdown_becomes_sections_and_plain_lines(void **state)
{
    (void)state;
    struct kept *kept = parse_file("tests/data/guideline/tea.md", "tea.md");
    const struct med_doc *d = kept->docs[0];
    check_section(d, 0, "", "", "Opening words with a link to evidence, code and a cup.");
    check_section(d, 1, "Adults (grade A)", "Adults (grade A)", "Offer one cup a day. Never six.");
    check_section(d, 2, "Adults (grade A) > Exceptions", "Exceptions",
        "1. pregnancy\n2. allergy\n- to milk\n- to lemon\nDrug | Dose\nTea | 200 mL\nMilk | 10 mL");
    check_section(d, 3, "Children (grade D)", "Children (grade D)",
        "dose = 5 mL\nx < 3\nIn a box.\nQuoted & said.");
    check_section(d, 4, "Setext heading", "Setext heading", "Done.\nA footnote.");
    assert_int_equal(d->section_count, 5);
    assert_int_equal(d->sections[1].level, 2);
    kept_free(kept);
}

static void html_becomes_sections_without_the_page_around_them(void **state)
{
    (void)state;
    struct kept *kept = parse_file("tests/data/guideline/page.html", "Coffee_Guideline v2.html.gz");
    const struct med_doc *d = kept->docs[0];
    assert_str(d->id, "guideline:coffee-guideline-v2");
    assert_str(d->title, "Coffee guideline");
    assert_str(d->language, "en-GB");
    assert_str(d->grade, "B"); /* from the heading: no front matter states one */
    assert_str(d->publication_types[0], "Practice Guideline");
    check_section(d, 0, "", "", "For adults\u00a0only \u2014 see the annex.");
    check_section(d, 1, "Dose (grade B)", "Dose (grade B)",
        "- One cup\n- Two cups\n1. small\n2. large\nCup: 150\u00a0mL");
    check_section(d, 2, "Dose (grade B) > By age", "By age",
        "Doses\nAge | Cups\n20 | 2 strong\nline 1\nline 2\nUnclosed paragraph");
    check_section(d, 3, "Harms", "Harms", "Loose text.");
    assert_int_equal(d->section_count, 4);
    kept_free(kept);
}

static void plain_text_headings_are_found_conservatively(void **state)
{
    (void)state;
    struct med_buf buf;
    med_buf_init(&buf, MED_MIB);
    assert_int_equal(med_read_file("tests/data/guideline/plain.txt", &buf, NULL), MED_OK);
    struct kept *kept = parse_named("plain.txt", MED_FORMAT_TEXT, med_buf_str(&buf));
    med_buf_free(&buf);
    const struct med_doc *d = kept->docs[0];
    assert_str(d->id, "guideline:plain");
    assert_str(d->title, "Water guideline of 2020");
    check_section(d, 0, "", "", "This text is wrapped over two lines.");
    check_section(d, 1, "1. AIMS", "1. AIMS", "To drink.");
    check_section(d, 2, "2. Methods and scope", "2. Methods and scope", "");
    check_section(d, 3, "2. Methods and scope > 2.1 Search", "2.1 Search",
        "We searched:\n- one base\n- another base\n1. first\n2. second");
    check_section(
        d, 4, "RECOMMENDATIONS", "RECOMMENDATIONS", "Drink water. This line ends like a sentence.");
    check_section(d, 5, "RECOMMENDATIONS > Harms", "Harms", "None are known.");
    assert_int_equal(d->section_count, 6);
    kept_free(kept);
}

static void slug_comes_from_id_then_name_then_title(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *id;
    } CASES[] = {
        {"a/b/NICE NG-12_v3.md", "# T\n\nx", "guideline:nice-ng-12-v3"},
        {"x.md", "---\nslug: My~Slug\n---\n# T\n", "guideline:my-slug"},
        {"x.md", "---\nid: guideline:abc\n---\n# T\n", "guideline:abc"},
        {"", "# Title of All\n\nx", "guideline:title-of-all"},
        {"-", "# Title of All\n\nx", "guideline:title-of-all"},
        {"leitlinie-f\xc3\xbcr.md", "# T\n\nx", "guideline:leitlinie-f\xc3\xbcr"},
        {"a.b.markdown.gz", "# T\n\nx", "guideline:a-b"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct kept *kept = parse_text(CASES[i].name, MED_FORMAT_MARKDOWN, CASES[i].text);
        assert_int_equal(kept->doc_count, 1);
        assert_str(kept->docs[0]->id, CASES[i].id);
        kept_free(kept);
    }
}

static void titles_are_found_and_not_repeated(void **state)
{
    (void)state;
    struct kept *kept = parse_text("x.md", MED_FORMAT_MARKDOWN,
        "---\ntitle: Given\n---\n# Other\n\nText.\n\n## Sub\n\nMore.\n");
    assert_str(kept->docs[0]->title, "Given");
    check_section(kept->docs[0], 0, "Other", "Other", "Text.");
    check_section(kept->docs[0], 1, "Other > Sub", "Sub", "More.");
    kept_free(kept);
    kept = parse_text("x.md", MED_FORMAT_MARKDOWN, "## Screen no one (grade D)\n\n## Treat all\n");
    assert_str(kept->docs[0]->title, "Screen no one (grade D)");
    assert_int_equal(kept->docs[0]->section_count,
        2); /* headings without text stay: they are the recommendation */
    assert_str(kept->docs[0]->grade, "D");
    kept_free(kept);
    kept = parse_text("x.txt", MED_FORMAT_TEXT, "---\ntitle: Given\n---\nFirst words\ngo on.\n");
    assert_str(kept->docs[0]->title, "Given");
    check_section(kept->docs[0], 0, "", "", "First words go on.");
    kept_free(kept);
    kept = parse_text("x.html", MED_FORMAT_HTML, "<title>Page</title><p>Words");
    assert_str(kept->docs[0]->title, "Page");
    kept_free(kept);
}

static void wrong_front_matter_is_told_with_its_line(void **state)
{
    (void)state;
    struct kept *kept =
        parse_text("x.md", MED_FORMAT_MARKDOWN, "---\ntitle: T\ngrade: [A, B\n---\n# T\n");
    assert_int_equal(kept->skip_count, 1);
    assert_non_null(strstr(kept->skips[0].reason, "front matter, line"));
    kept_free(kept);
    kept = parse_text("x.md", MED_FORMAT_MARKDOWN, "---\n- a\n- b\n---\n# T\n");
    assert_int_equal(kept->skip_count, 1);
    kept_free(kept);
    /* No front matter, only a rule. */
    kept = parse_text("x.md", MED_FORMAT_MARKDOWN, "---\n\nText without an end mark.\n");
    assert_int_equal(kept->doc_count, 1);
    kept_free(kept);
    /* Anchors and aliases cannot amplify. */
    kept = parse_text("x.md", MED_FORMAT_MARKDOWN, "---\na: &x [1, 2]\nb: [*x, *x]\n---\n# T\n");
    assert_int_equal(kept->doc_count, 1);
    assert_str(kept->docs[0]->metadata_json, "{\"a\":[1,2],\"b\":[null,null]}");
    kept_free(kept);
    kept = parse_text("x.md", MED_FORMAT_MARKDOWN, "  \n");
    assert_int_equal(kept->skip_count, 1);
    kept_free(kept);
}

static void encodings_end_as_utf8(void **state)
{
    (void)state;
    struct kept *kept = parse_text("x.html", MED_FORMAT_HTML,
        "<html><head><meta charset=\"iso-8859-1\"><title>T</title></head><body><p>caf\xe9 \xe0 "
        "la</p></body></html>");
    check_section(kept->docs[0], 0, "", "", "caf\u00e9 \u00e0 la");
    kept_free(kept);
    kept = parse_text("x.md", MED_FORMAT_MARKDOWN, "\xef\xbb\xbf# T\n\nE\xcc\x81t\xff\n");
    assert_str(kept->docs[0]->title, "T");
    check_section(kept->docs[0], 0, "", "", "\u00c9t\ufffd");
    kept_free(kept);
}

/* Whatever the bytes: a document or a reason, never a crash; run under the sanitizers. */
static void random_bytes_never_break_a_parser(void **state)
{
    (void)state;
    static const char *const PIECES[] = {"---\n", "# ", "## H\n", "\n", "- ", "1. ", "| a | b |\n",
        "|---|---|\n", "<p>", "</p>", "<table><tr><td>", "<ul><li>", "</ul>", "<h2>", "</h2>",
        "<!--", "-->", "<script>", "&amp;", "&#0;", "a: b\n", "[x](y)", "[^1]", "```\n", "word ",
        "WORDS\n", "====\n", "\xff", "\xc3\xa9", "*", "_", "~~", "<main>", "key: [1, {a: b}]\n"};
    uint64_t seed = med_test_seed();
    for (uint64_t i = 0; i < 600; i++) {
        struct med_rng rng;
        struct med_buf buf;
        med_rng_seed(&rng, seed + i);
        med_buf_init(&buf, MED_MIB);
        for (uint64_t n = 1 + med_rng_below(&rng, 200); n > 0; n--)
            med_buf_puts(&buf, PIECES[med_rng_below(&rng, sizeof PIECES / sizeof *PIECES)]);
        static const enum med_format FORMATS[] = {
            MED_FORMAT_MARKDOWN, MED_FORMAT_HTML, MED_FORMAT_TEXT};
        struct kept *kept = parse_named("x", FORMATS[i % 3], med_buf_str(&buf));
        if (kept->doc_count == 1) {
            struct med_text *text = NULL;
            assert_int_equal(med_text_make(kept->docs[0], kept->arena, &text, NULL), MED_OK);
        }
        kept_free(kept);
        med_buf_free(&buf);
    }
}

static void deep_html_keeps_its_text(void **state)
{
    (void)state;
    struct med_buf buf;
    med_buf_init(&buf, MED_MIB);
    for (int i = 0; i < 5000; i++) med_buf_puts(&buf, "<div>");
    med_buf_puts(&buf, "Deep down.");
    struct kept *kept = parse_named("x", MED_FORMAT_HTML, med_buf_str(&buf));
    assert_int_equal(kept->doc_count + kept->skip_count, 1);
    med_buf_free(&buf);
    kept_free(kept);
}

/* Each would take minutes, or all memory, in a parser with a quadratic path: longer than a test may
 * run. */
static void hostile_markup_takes_linear_time(void **state)
{
    (void)state;
    static const struct {
        enum med_format format;
        const char *head, *unit;
        unsigned count;
        const char *tail;
    } CASES[] = {
        {MED_FORMAT_MARKDOWN, "", "[a](", 50000, ""},
        {MED_FORMAT_MARKDOWN, "", "*a_ ", 50000, ""},
        {MED_FORMAT_MARKDOWN, "", "> ", 20000, "a"},
        {MED_FORMAT_MARKDOWN, "|a|\n|-|\n", "|x\n", 200000, ""},
        {MED_FORMAT_MARKDOWN, "", "|a", 50000, ""},
        {MED_FORMAT_MARKDOWN, "", "1. x\n", 200000, ""},
        {MED_FORMAT_HTML, "<p>", "<div>", 100000, "x"},
        {MED_FORMAT_HTML, "<p>x<!--", "a-", 2000000, ""},
        {MED_FORMAT_HTML, "<p>x", "&amp", 300000, ""},
        {MED_FORMAT_HTML, "<p>x", "<a b=", 200000, ""},
        {MED_FORMAT_HTML, "<ol>", "<li>x", 100000, ""},
        {MED_FORMAT_TEXT, "", "1. A\n\n", 100000, ""},
        {MED_FORMAT_TEXT, "", "\n", 100000, "x"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct med_buf buf;
        med_buf_init(&buf, 16 * MED_MIB);
        med_buf_puts(&buf, CASES[i].head);
        for (unsigned n = 0; n < CASES[i].count; n++) med_buf_puts(&buf, CASES[i].unit);
        med_buf_puts(&buf, CASES[i].tail);
        kept_free(parse_named("x", CASES[i].format, med_buf_str(&buf)));
        med_buf_free(&buf);
    }
}

/* A head of 1,000 columns above 5,000 short rows. */
static void wide_tables_are_not_filled_up(void **state)
{
    (void)state;
    struct med_buf buf;
    med_buf_init(&buf, MED_MIB);
    for (int i = 0; i < 1000; i++) med_buf_puts(&buf, "|a");
    med_buf_puts(&buf, "\n");
    for (int i = 0; i < 1000; i++) med_buf_puts(&buf, "|-");
    for (int i = 0; i < 5000; i++) med_buf_puts(&buf, "\n|x|");
    struct kept *kept = parse_named("x", MED_FORMAT_MARKDOWN, med_buf_str(&buf));
    assert_int_equal(kept->doc_count, 1);
    assert_true(kept->docs[0]->sections[0].body.len < 100000);
    med_buf_free(&buf);
    kept_free(kept);
}

static enum med_code ignore_document(void *ctx, const struct med_doc *doc, struct med_err *err)
{
    (void)err;
    *(bool *)ctx = doc->title.len > 0 && doc->section_count > 0;
    return MED_OK;
}

static enum med_code refuse_skip(
    void *ctx, uint64_t offset, uint64_t line, const char *reason, struct med_err *err)
{
    (void)ctx, (void)offset, (void)line;
    return med_fail(err, MED_E_INTERNAL, "skipped: %s", reason);
}

static void running_out_of_memory_is_an_error_at_every_allocation(void **state)
{
    (void)state;
    static const char *const FILES[] = {"tea.md", "page.html", "plain.txt"};
    for (size_t i = 0; i < 3; i++) {
        char path[MED_PATH_MAX];
        struct med_buf buf;
        med_buf_init(&buf, MED_MIB);
        assert_int_equal(med_path_join(path, "tests/data/guideline", FILES[i], NULL), MED_OK);
        assert_int_equal(med_read_file(path, &buf, NULL), MED_OK);
        enum med_format format = med_format_detect(buf.data, buf.len);
        enum med_code code = MED_E_NOMEM;
        bool whole = false;
        for (uint64_t n = 1; code != MED_OK; n++) {
            assert_in_range(n, 1, 10000);
            struct bytes_input b = {.bytes = med_buf_str(&buf)};
            struct med_input in = {.read = bytes_read, .ctx = &b, .name = MED_STR("x")};
            struct med_doc_sink sink = {
                .document = ignore_document, .skipped = refuse_skip, .ctx = &whole};
            struct med_err err = {0};
            med_mem_fail_after(n);
            code = med_parse(&in, format, &sink, &err);
            med_mem_fail_after(0);
            if (code != MED_OK && code != MED_E_NOMEM) print_error("%s\n", err.text);
            assert_true(code == MED_OK || code == MED_E_NOMEM);
        }
        assert_true(whole);
        med_buf_free(&buf);
    }
}

/* ---- the real ones ---- */

/* Headings of level 2 and deeper in the file, by its lines. */
static size_t count_headings(struct med_str text)
{
    size_t count = 0;
    for (size_t i = 0; i + 2 < text.len; i++) {
        bool start = i == 0 || text.ptr[i - 1] == '\n';
        count += start && text.ptr[i] == '#' && text.ptr[i + 1] == '#';
    }
    return count;
}

static void check_real(const char *dir, const char *name)
{
    char path[MED_PATH_MAX];
    struct med_buf buf;
    med_buf_init(&buf, MED_MIB);
    assert_int_equal(med_path_join(path, dir, name, NULL), MED_OK);
    assert_int_equal(med_read_file(path, &buf, NULL), MED_OK);
    struct kept *kept = parse_named(name, med_format_detect(buf.data, buf.len), med_buf_str(&buf));
    assert_int_equal(kept->doc_count, 1);
    const struct med_doc *d = kept->docs[0];
    size_t headings = 0;
    for (size_t i = 0; i < d->section_count; i++) {
        headings += d->sections[i].heading.len > 0;
        if (d->sections[i].level > 2)
            assert_non_null(memmem(d->sections[i].path.ptr, d->sections[i].path.len, " > ", 3));
    }
    assert_int_equal(headings, count_headings(med_buf_str(&buf)));
    assert_true(d->title.len > 0 && d->grade.len > 0 && d->date.year == 2021);
    assert_str(d->organization, "U.S. Preventive Services Task Force");
    kept_free(kept);
    med_buf_free(&buf);
}

static void real_guidelines_keep_headings_and_grades(void **state)
{
    (void)state;
    char dir[MED_PATH_MAX];
    if (!med_test_shared(dir, "data/guidelines/uspstf")) skip();
    size_t count = 0;
    DIR *folder = opendir(dir);
    assert_non_null(folder);
    for (struct dirent *e = readdir(folder); e; e = readdir(folder)) {
        if (!med_str_ends(med_str_of(e->d_name), MED_STR(".md"))) continue;
        check_real(dir, e->d_name);
        count++;
    }
    closedir(folder);
    assert_int_equal(count, 85);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(front_matter_fills_the_document),
        cmocka_unit_test(markdown_becomes_sections_and_plain_lines),
        cmocka_unit_test(html_becomes_sections_without_the_page_around_them),
        cmocka_unit_test(plain_text_headings_are_found_conservatively),
        cmocka_unit_test(slug_comes_from_id_then_name_then_title),
        cmocka_unit_test(titles_are_found_and_not_repeated),
        cmocka_unit_test(wrong_front_matter_is_told_with_its_line),
        cmocka_unit_test(encodings_end_as_utf8),
        cmocka_unit_test(random_bytes_never_break_a_parser),
        cmocka_unit_test(deep_html_keeps_its_text),
        cmocka_unit_test(hostile_markup_takes_linear_time),
        cmocka_unit_test(wide_tables_are_not_filled_up),
        cmocka_unit_test(running_out_of_memory_is_an_error_at_every_allocation),
        cmocka_unit_test(real_guidelines_keep_headings_and_grades),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

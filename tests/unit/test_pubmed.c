/* PubMed XML: every field, recovery from damage, and counts on real files where they are there. */
#include "common/fs.h"
#include "common/mem.h"
#include "common/rng.h"
#include "index/ingest/input.h"
#include "tests/support/support.h"
#include "tests/unit/ingest_help.h"

static struct med_str fixture(struct med_buf *buf)
{
    med_buf_init(buf, MED_MIB);
    assert_int_equal(med_read_file("tests/data/pubmed/citations.xml", buf, NULL), MED_OK);
    return med_buf_str(buf);
}

static enum med_code ignore_document(void *ctx, const struct med_doc *doc, struct med_err *err)
{
    (void)ctx, (void)doc, (void)err;
    return MED_OK;
}

static enum med_code ignore_deletion(
    void *ctx, struct med_str id, struct med_precedence precedence, struct med_err *err)
{
    (void)ctx, (void)id, (void)precedence, (void)err;
    return MED_OK;
}

static void check_article(const struct med_doc *d)
{
    assert_str(d->id, "pmid:990000001");
    assert_str(d->source_id, "990000001");
    assert_int_equal(d->source, MED_SOURCE_PUBMED);
    assert_str(d->title, "Effect of CO2 on Quercus pollen & asthma: a trial.");
    assert_str(d->vernacular_title, "Effet du CO2");
    assert_int_equal(d->section_count, 4);
    assert_str(d->sections[0].heading, "BACKGROUND");
    assert_str(d->sections[0].path, "BACKGROUND");
    assert_str(d->sections[0].body, "Pollen is bothersome.");
    assert_int_equal(d->sections[0].kind, MED_SECTION_ABSTRACT);
    assert_str(d->sections[1].body, "We took 109 grains, x=1.");
    assert_str(d->sections[2].heading, "");
    assert_str(d->sections[2].body, "Nothing was found \u03bc\u2009< 3.");
    assert_int_equal(d->sections[3].kind, MED_SECTION_OTHER);
    assert_str(d->sections[3].path, "Other abstract (fre)");
    assert_int_equal(d->author_count, 2);
    assert_str(d->authors[0].family, "M\u00fcller");
    assert_str(d->authors[0].given, "Ada Bea");
    assert_str(d->authors[0].initials, "AB Jr");
    assert_str(d->authors[0].orcid, "0000-0001-0002-000X");
    assert_true(d->authors[1].collective);
    assert_str(d->authors[1].family, "Pollen Study Group");
    assert_str(d->journal.title, "Journal of Invented Medicine");
    assert_str(d->journal.iso_abbreviation, "J Invent Med");
    assert_str(d->journal.issn, "0000-0019");
    assert_str(d->journal.volume, "7");
    assert_str(d->journal.issue, "3");
    assert_str(d->journal.pages, "11-19");
    assert_int_equal(d->date.year, 2020);
    assert_int_equal(d->date.month, 11);
    assert_int_equal(d->date.day, 5);
    assert_int_equal(d->publication_type_count, 2);
    assert_str(d->publication_types[1], "Randomized Controlled Trial");
    assert_int_equal(d->mesh_count, 2);
    assert_str(d->mesh[0].descriptor, "Asthma");
    assert_str(d->mesh[0].ui, "D001249");
    assert_str(d->mesh[0].qualifiers, "complications; therapy*");
    assert_true(d->mesh[0].major);
    assert_false(d->mesh[1].major);
    assert_int_equal(d->keyword_count, 2);
    assert_str(d->keywords[1], "CO2");
    assert_int_equal(d->chemical_count, 1);
    assert_str(d->chemicals[0], "Carbon Dioxide");
    assert_str(d->pmid, "990000001");
    assert_str(d->pmcid, "PMC9900001");
    assert_str(d->doi, "10.9999/jim.2020.1");
    assert_str(d->language, "eng");
    assert_str(d->url, "https://library.example/990000001");
    assert_int_equal(d->link_count, 3);
    assert_int_equal(d->links[0].kind, MED_LINK_RETRACTION_IN);
    assert_str(d->links[0].target, "pmid:990000002");
    assert_str(d->links[0].note, "J Invent Med. 2021;8:1");
    assert_int_equal(d->links[1].kind, MED_LINK_ERRATUM_IN);
    assert_str(d->links[1].target, "");
    assert_int_equal(d->links[2].kind, MED_LINK_OTHER);
    assert_str(d->links[2].note, "SummaryForPatientsIn: Leaflet");
    assert_int_equal(d->precedence.sequence, 202401220);
    assert_int_equal(d->precedence.version, 2);
    assert_int_equal(d->precedence.date_revised, 20220304);
    assert_int_equal(
        med_doc_flags(d), MED_FLAG_RETRACTED | MED_FLAG_ERRATUM | MED_FLAG_HAS_ABSTRACT);
}

static void check_fixture(const struct kept *kept)
{
    assert_int_equal(kept->skip_count, 0);
    assert_int_equal(kept->doc_count, 3);
    check_article(kept->docs[0]);
    const struct med_doc *notice = kept->docs[1];
    assert_str(notice->title, "A title without an abstract.");
    assert_int_equal(notice->section_count, 0);
    assert_str(notice->url, "https://pubmed.ncbi.nlm.nih.gov/12/");
    assert_str(notice->pmcid, "PMC777");
    assert_str(notice->journal.pages, "1-2");
    assert_int_equal(notice->date.year, 1998);
    assert_int_equal(notice->date.month, 12);
    assert_str(notice->date_text, "1998 Dec-1999 Jan");
    assert_int_equal(med_doc_flags(notice), MED_FLAG_RETRACTION_NOTICE);
    const struct med_doc *book = kept->docs[2];
    assert_str(book->title, "Grains");
    assert_str(book->journal.title, "The Book of Pollen");
    assert_str(book->organization, "Invented Press");
    assert_str(book->url, ""); /* nine digits: not an address at PubMed */
    assert_int_equal(book->section_count, 1);
    assert_str(book->sections[0].body, "First part.\nSecond part.");
    assert_int_equal(book->author_count, 1);
    assert_str(book->authors[0].family, "Writer");
    assert_int_equal(book->date.year, 2012);
    assert_int_equal(kept->deletion_count, 2);
    assert_str(kept->deletions[1].id, "pmid:78");
    assert_int_equal(kept->deletions[1].precedence.sequence, 202401220);
}

static void every_field_is_read(void **state)
{
    (void)state;
    struct med_buf buf;
    struct med_str xml = fixture(&buf);
    const size_t steps[] = {0, 1, 7, 4096};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct kept *kept = parse_bytes(MED_FORMAT_PUBMED_XML, xml, steps[i]);
        check_fixture(kept);
        kept_free(kept);
    }
    med_buf_free(&buf);
}

static void a_truncated_file_keeps_what_was_complete(void **state)
{
    (void)state;
    struct med_buf buf;
    struct med_str xml = fixture(&buf);
    for (size_t len = 0; len < xml.len; len += 61) {
        struct kept *kept = parse_bytes(MED_FORMAT_PUBMED_XML, med_str_sub(xml, 0, len), 0);
        if (kept->doc_count > 0) check_article(kept->docs[0]);
        /* From the root on, a cut is always told. */
        if (len > 400) assert_int_equal(kept->skip_count, 1);
        kept_free(kept);
    }
    med_buf_free(&buf);
}

#define ARTICLE(pmid, inner)                                                                       \
    "<PubmedArticle><MedlineCitation><PMID Version=\"1\">" pmid "</PMID><Article>"                 \
    "<ArticleTitle>" inner "</ArticleTitle></Article></MedlineCitation></PubmedArticle>\n"

/* Three records with something wrong in the middle: the first and the third arrive, one skip is
 * told. */
static void assert_only_middle_lost(struct med_str xml)
{
    struct kept *kept = parse_bytes(MED_FORMAT_PUBMED_XML, xml, 0);
    assert_int_equal(kept->doc_count, 2);
    assert_str(kept->docs[0]->title, "one");
    assert_str(kept->docs[1]->title, "three");
    assert_int_equal(kept->skip_count, 1);
    assert_int_equal(kept->skips[0].line, 3);
    kept_free(kept);
}

static void a_malformed_record_costs_only_itself(void **state)
{
    (void)state;
#define SET(middle)                                                                                \
    MED_STR("<PubmedArticleSet>\n" ARTICLE("1", "one")                                             \
            middle ARTICLE("3", "three") "</PubmedArticleSet>")
    assert_only_middle_lost(SET(ARTICLE("2", "a <i>b</b>")));
    assert_only_middle_lost(SET(ARTICLE("2", "a & b")));
    assert_only_middle_lost(SET(ARTICLE("2", "bad \xff byte")));
    assert_only_middle_lost(SET(ARTICLE("2", "bad &#0; character")));
    assert_only_middle_lost(SET(ARTICLE("2", "unknown &lol; entity")));
    assert_only_middle_lost(SET(ARTICLE("2", "open <!-- comment")));
    assert_only_middle_lost(SET(ARTICLE("2", "open <![CDATA[ section")));
    assert_only_middle_lost(SET(ARTICLE("2", "")));
    assert_only_middle_lost(SET(ARTICLE("two", "no number")));
    assert_only_middle_lost(SET("<PubmedArticle><MedlineCitation><PMID>2</PMID>\n"));
    assert_only_middle_lost(SET("<PubmedArticle><MedlineCitation><PMID>2</PMID></Medline"));
    assert_only_middle_lost(SET("<PubmedArticle attr=<oops></PubmedArticle>"));
    assert_only_middle_lost(SET("<PubmedArticle/>"));
}

static void markup_characters_and_entities_are_text(void **state)
{
    (void)state;
    struct kept *kept = parse_bytes(MED_FORMAT_PUBMED_XML,
        MED_STR("<Unknown>" ARTICLE("1", "<![CDATA[a <PubmedArticle> b]]> &lt;c&gt; "
                                         "&#x3b1;&alpha;&nbsp;&eacute; e\xcc\x81") "</Unknown>"),
        3);
    assert_int_equal(kept->skip_count, 0);
    assert_int_equal(kept->doc_count, 1);
    assert_str(kept->docs[0]->title, "a <PubmedArticle> b <c> αα\u00a0é é");
    kept_free(kept);
}

static void entity_bombs_are_refused(void **state)
{
    (void)state;
    struct kept *kept = parse_bytes(MED_FORMAT_PUBMED_XML,
        MED_STR(
            "<!DOCTYPE s [<!ENTITY a \"<PubmedArticle>x</PubmedArticle>\">"
            "<!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\"><!ENTITY c SYSTEM \"file:///etc/passwd\">]>"
            "<s>" ARTICLE("1", "&b;") ARTICLE("2", "&c;") ARTICLE("3", "ok") "</s>"),
        0);
    assert_int_equal(kept->doc_count, 1);
    assert_str(kept->docs[0]->id, "pmid:3");
    assert_int_equal(kept->skip_count, 2);
    kept_free(kept);
}

static void deep_nesting_is_refused(void **state)
{
    (void)state;
    struct med_buf buf;
    med_buf_init(&buf, 64 * MED_MIB);
    med_buf_puts(&buf, "<s><PubmedArticle>");
    for (int i = 0; i < 200000; i++) med_buf_puts(&buf, "<i>");
    med_buf_puts(&buf, "</PubmedArticle>" ARTICLE("3", "ok") "</s>");
    struct kept *kept = parse_bytes(MED_FORMAT_PUBMED_XML, med_buf_str(&buf), 0);
    assert_int_equal(kept->doc_count, 1);
    assert_int_equal(kept->skip_count, 1);
    kept_free(kept);
    med_buf_free(&buf);
}

static void a_record_above_the_limit_costs_only_itself(void **state)
{
    (void)state;
    struct med_buf buf;
    med_buf_init(&buf, 128 * MED_MIB);
    med_buf_puts(&buf, "<s>\n<PubmedArticle><MedlineCitation><PMID>1</PMID>");
    for (int i = 0; i < 66; i++) memset(med_buf_extend(&buf, MED_MIB), 'x', MED_MIB);
    med_buf_puts(&buf, "</MedlineCitation></PubmedArticle>" ARTICLE("3", "ok") "</s>");
    struct kept *kept = parse_bytes(MED_FORMAT_PUBMED_XML, med_buf_str(&buf), 0);
    assert_int_equal(kept->doc_count, 1);
    assert_str(kept->docs[0]->id, "pmid:3");
    assert_int_equal(kept->skip_count, 1);
    kept_free(kept);
    med_buf_free(&buf);
}

static void many_open_comments_cost_linear_time(void **state)
{
    (void)state;
    struct med_buf buf;
    med_buf_init(&buf, 64 * MED_MIB);
    for (int i = 0; i < 20000; i++) med_buf_puts(&buf, "<PubmedArticle><!-- <![CDATA[ <? ");
    med_buf_puts(&buf, ARTICLE("3", "ok"));
    struct kept *kept = parse_bytes(MED_FORMAT_PUBMED_XML, med_buf_str(&buf), 0);
    assert_int_equal(kept->doc_count, 1);
    kept_free(kept);
    med_buf_free(&buf);
}

static void other_encodings_are_converted(void **state)
{
    (void)state;
    struct kept *kept = parse_bytes(MED_FORMAT_PUBMED_XML,
        MED_STR(
            "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><s>" ARTICLE("1", "caf\xe9") "</s>"),
        5);
    assert_int_equal(kept->doc_count, 1);
    assert_str(kept->docs[0]->title, "café");
    kept_free(kept);
    const char *ascii =
        "<?xml version=\"1.0\" encoding=\"UTF-16\"?><s>" ARTICLE("1", "wide") "</s>";
    struct med_buf buf;
    med_buf_init(&buf, MED_MIB);
    med_buf_puts(&buf, "\xff\xfe");
    for (const char *p = ascii; *p; p++) {
        med_buf_putc(&buf, *p);
        med_buf_putc(&buf, 0);
    }
    assert_int_equal(med_format_detect(buf.data, buf.len), MED_FORMAT_PUBMED_XML);
    kept = parse_bytes(MED_FORMAT_PUBMED_XML, med_buf_str(&buf), 3);
    assert_int_equal(kept->doc_count, 1);
    assert_str(kept->docs[0]->title, "wide");
    kept_free(kept);
    med_buf_free(&buf);
}

/* Whatever happens to the bytes, the parser ends, and what it hands out is a document. */
static void random_damage_is_survived(void **state)
{
    (void)state;
    struct med_rng rng;
    med_rng_seed(&rng, med_test_seed());
    struct med_buf buf;
    struct med_str xml = fixture(&buf);
    static const char nasty[] = "<>&;!-[]?/\"'=\0\xff\xc3 PD";
    char *copy = med_malloc(xml.len);
    assert_non_null(copy);
    for (int round = 0; round < 400; round++) {
        memcpy(copy, xml.ptr, xml.len);
        for (uint64_t n = 1 + med_rng_below(&rng, 8); n > 0; n--) {
            copy[med_rng_below(&rng, xml.len)] = nasty[med_rng_below(&rng, sizeof nasty - 1)];
        }
        size_t step = round % 2 ? 0 : 1 + (size_t)med_rng_below(&rng, 500);
        struct kept *kept =
            parse_bytes(MED_FORMAT_PUBMED_XML, (struct med_str){copy, xml.len}, step);
        for (size_t i = 0; i < kept->doc_count; i++) {
            assert_int_equal(med_doc_id_check(kept->docs[i]->id, NULL), MED_OK);
        }
        kept_free(kept);
    }
    med_free(copy);
    med_buf_free(&buf);
}

static void running_out_of_memory_is_an_error_at_every_allocation(void **state)
{
    (void)state;
    struct med_buf buf;
    struct med_str xml = fixture(&buf);
    enum med_code code = MED_E_NOMEM;
    for (uint64_t n = 1; code != MED_OK; n++) {
        assert_in_range(n, 1, 10000);
        struct kept *kept = kept_new();
        struct med_doc_sink sink = kept_sink(kept);
        sink.document = ignore_document;
        sink.deletion = ignore_deletion;
        struct bytes_input b = {.bytes = xml};
        struct med_input in = {.read = bytes_read, .ctx = &b};
        med_mem_fail_after(n);
        code = med_parse(&in, MED_FORMAT_PUBMED_XML, &sink, NULL);
        med_mem_fail_after(0);
        assert_true(code == MED_OK || code == MED_E_NOMEM);
        assert_int_equal(kept->skip_count, 0);
        kept_free(kept);
    }
    med_buf_free(&buf);
}

/* Independent counts, by Python's ElementTree: citations, with a non-empty Abstract, deleted PMIDs,
 * labelled AbstractText, MeshHeading, CommentsCorrections. */
static const struct {
    const char *name;
    size_t docs, abstracts, deleted, labelled, mesh, links;
} expected[] = {
    {"articlesearch_pubmed_result", 107, 107, 0, 191, 1120, 1660},
    {"biopython_pubmed1", 2, 1, 0, 0, 32, 0},
    {"biopython_pubmed4", 1, 1, 0, 4, 21, 49},
    {"biopython_pubmed5", 1, 1, 0, 4, 0, 40},
    {"biopython_pubmed6", 1, 1, 0, 0, 0, 53},
    {"cytyds_ade", 5, 4, 0, 13, 76, 0},
    {"jmjamison_pubmed_result", 2, 0, 0, 0, 22, 35},
    {"medline16n0902", 604, 526, 1, 1075, 1404, 3620},
    {"ortho_pubmed_result", 292, 269, 0, 381, 3901, 17},
    {"polonas_pubmed_results", 20, 19, 0, 46, 0, 0},
    {"pubMR_pubmed_result", 93, 92, 0, 36, 1622, 10},
    {"pubmed_parser_29768149", 1, 1, 0, 4, 23, 2},
    {"pubmed_parser_36400559", 4, 3, 0, 4, 20, 0},
    {"reciter_a", 70, 67, 0, 76, 583, 504},
    {"reciter_wex2004", 6, 6, 0, 0, 104, 191},
    {"reciter_xul2005", 1, 1, 0, 3, 0, 47},
    {"seedtk_pubmed", 100, 96, 0, 82, 678, 3},
};

static void check_counts(const struct kept *kept, size_t i)
{
    size_t abstracts = 0, labelled = 0, mesh = 0, links = 0;
    for (size_t k = 0; k < kept->doc_count; k++) {
        const struct med_doc *d = kept->docs[k];
        abstracts += (med_doc_flags(d) & MED_FLAG_HAS_ABSTRACT) != 0;
        links += d->link_count;
        for (size_t m = 0; m < d->mesh_count; m++) mesh += d->mesh[m].ui.ptr[0] == 'D';
        for (size_t s = 0; s < d->section_count; s++) {
            labelled +=
                d->sections[s].kind == MED_SECTION_ABSTRACT && d->sections[s].heading.len > 0;
        }
        assert_true(d->title.len > 0);
        assert_true(d->date.year > 1900);
        assert_true(d->journal.title.len > 0);
    }
    assert_int_equal(kept->skip_count, 0);
    assert_int_equal(kept->doc_count, expected[i].docs);
    assert_int_equal(abstracts, expected[i].abstracts);
    assert_int_equal(kept->deletion_count, expected[i].deleted);
    assert_int_equal(labelled, expected[i].labelled);
    assert_int_equal(mesh, expected[i].mesh);
    assert_int_equal(links, expected[i].links);
}

static void real_files_give_the_counts_of_an_independent_parser(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        char name[256], path[MED_PATH_MAX];
        snprintf(name, sizeof name, "data/pubmed/%s.xml.gz", expected[i].name);
        if (!med_test_shared(path, name)) skip();
        struct med_raw raw;
        struct med_stream *stream = NULL;
        struct med_str head;
        assert_int_equal(med_raw_open(path, &raw, NULL), MED_OK);
        struct med_input file = {.read = med_raw_read, .ctx = &raw};
        assert_int_equal(med_stream_open(&file, &stream, NULL), MED_OK);
        assert_int_equal(med_stream_head(stream, &head, NULL), MED_OK);
        assert_int_equal(med_format_detect(head.ptr, head.len), MED_FORMAT_PUBMED_XML);
        struct med_input in = {.read = med_stream_read, .ctx = stream};
        struct kept *kept = kept_new();
        struct med_doc_sink sink = kept_sink(kept);
        assert_int_equal(med_parse(&in, MED_FORMAT_PUBMED_XML, &sink, NULL), MED_OK);
        assert_null(med_stream_problem(stream));
        print_message("%s\n", expected[i].name);
        check_counts(kept, i);
        kept_free(kept);
        med_stream_close(&stream);
        med_raw_close(&raw);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_is_read),
        cmocka_unit_test(a_truncated_file_keeps_what_was_complete),
        cmocka_unit_test(a_malformed_record_costs_only_itself),
        cmocka_unit_test(markup_characters_and_entities_are_text),
        cmocka_unit_test(entity_bombs_are_refused),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(a_record_above_the_limit_costs_only_itself),
        cmocka_unit_test(many_open_comments_cost_linear_time),
        cmocka_unit_test(other_encodings_are_converted),
        cmocka_unit_test(random_damage_is_survived),
        cmocka_unit_test(running_out_of_memory_is_an_error_at_every_allocation),
        cmocka_unit_test(real_files_give_the_counts_of_an_independent_parser),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

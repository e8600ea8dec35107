/* JATS: every field of an invented article, several articles in a stream, and 1,200 real ones where
 * they are there. */
#include "common/fs.h"
#include "common/mem.h"
#include "index/document/text.h"
#include "index/ingest/input.h"
#include "tests/support/support.h"
#include "tests/unit/ingest_help.h"

static struct kept *parse_file(const char *path, size_t step)
{
    struct med_buf buf;
    med_buf_init(&buf, MED_MIB);
    assert_int_equal(med_read_file(path, &buf, NULL), MED_OK);
    struct kept *kept = parse_bytes(MED_FORMAT_JATS, med_buf_str(&buf), step);
    med_buf_free(&buf);
    return kept;
}

static struct kept *parse_text(const char *text)
{
    return parse_bytes(MED_FORMAT_JATS, med_str_of(text), 0);
}

static void front_matter_fills_the_document(void **state)
{
    (void)state;
    struct kept *kept = parse_file("tests/data/jats/article.nxml", 0);
    assert_int_equal(kept->skip_count, 0);
    assert_int_equal(kept->doc_count, 1);
    const struct med_doc *d = kept->docs[0];
    assert_str(d->id, "pmcid:PMC9900101");
    assert_str(d->source_id, "PMC9900101");
    assert_str(d->pmcid, "PMC9900101");
    assert_str(d->pmid, "990000101");
    assert_str(d->doi, "10.9999/jim.2021.7");
    assert_int_equal(d->source, MED_SOURCE_PMC);
    assert_str(d->url, "https://www.ncbi.nlm.nih.gov/pmc/articles/PMC9900101/");
    assert_str(d->title, "Walking and Quercus tea: a trial");
    assert_int_equal(d->author_count, 2);
    assert_str(d->authors[0].family, "M\u00fcller");
    assert_str(d->authors[0].given, "Jean-Pierre A.");
    assert_str(d->authors[0].initials, "JPA Jr");
    assert_str(d->authors[0].orcid, "0000-0001-0002-000X");
    assert_str(d->authors[1].family, "The Tea Study Group");
    assert_true(d->authors[1].collective);
    assert_str(d->journal.title, "Journal of Invented Medicine");
    assert_str(d->journal.iso_abbreviation, "J Invent Med");
    assert_str(d->journal.issn, "0000-0019");
    assert_str(d->journal.volume, "7");
    assert_str(d->journal.issue, "3");
    assert_str(d->journal.pages, "11-19");
    assert_int_equal(d->date.year,
        2021); /* the earliest exact one; neither "collection" nor the release at PMC */
    assert_int_equal(d->date.month, 3);
    assert_int_equal(d->date.day, 9);
    assert_int_equal(d->publication_type_count, 2);
    assert_str(d->publication_types[0], "Journal Article");
    assert_str(d->publication_types[1], "Randomized Controlled Trial");
    assert_int_equal(d->keyword_count, 3);
    assert_str(d->keywords[0], "Tea");
    assert_str(d->keywords[1], "walking");
    assert_str(d->keywords[2], "Cardiology");
    assert_int_equal(d->link_count, 2);
    assert_int_equal(d->links[0].kind, MED_LINK_ERRATUM_FOR);
    assert_str(d->links[0].target, "doi:10.9999/jim.2020.1");
    assert_int_equal(d->links[1].kind, MED_LINK_OTHER);
    assert_str(d->links[1].target, "pmid:990000001");
    assert_str(d->links[1].note, "the protocol");
    assert_str(d->licence, "https://creativecommons.org/licenses/by/4.0/");
    assert_str(d->language, "en");
    kept_free(kept);
}

static const struct {
    const char *path, *heading, *body;
    enum med_section_kind kind;
} SECTIONS[] = {
    {"Abstract > Background", "Background", "Tea is drunk.", MED_SECTION_ABSTRACT},
    {"Abstract > Results", "Results", "Pulse fell (P < .05) by 10^9\u00a0units \u2013 CO2 did not.",
        MED_SECTION_ABSTRACT},
    {"Plain language summary", "Plain language summary", "Tea is fine.", MED_SECTION_OTHER},
    {"Abstract (fr)", "Abstract (fr)", "Le th\u00e9 est bon.", MED_SECTION_OTHER},
    {"Full text", "", "An opening without a heading.", MED_SECTION_BODY},
    {"Methods", "Methods",
        "We asked walkers. They agreed. See reference 5, Smith 2010 and Figure 1.",
        MED_SECTION_BODY},
    {"Methods > Participants", "Participants",
        "They were:\n- adults\nb) awake\nand willing.\n- Cup: 200 mL", MED_SECTION_BODY},
    {"Methods > Participants > Figure 1", "Figure 1", "Flow.\nOf all walkers.",
        MED_SECTION_CAPTION},
    {"Methods", "", "More on methods.", MED_SECTION_BODY},
    {"Results", "Results", "The rate was a/b=x^2.", MED_SECTION_BODY},
    {"Results > Table 1", "Table 1", "Pulse by group\na Adjusted for age.", MED_SECTION_CAPTION},
    {"Results > Key points", "Key points", "Drink tea.", MED_SECTION_BODY},
    {"Figure 9", "Figure 9", "Two cups.", MED_SECTION_CAPTION},
    {"Figure 2", "Figure 2", "A cup.", MED_SECTION_CAPTION},
    {"Appendix 1", "Appendix 1", "The questionnaire.", MED_SECTION_BODY},
};
#define SECTION_COUNT (sizeof SECTIONS / sizeof *SECTIONS)

static void text_flows_into_sections_without_its_noise(void **state)
{
    (void)state;
    for (size_t step = 0; step < 50; step += 7) {
        struct kept *kept = parse_file("tests/data/jats/article.nxml", step);
        assert_int_equal(kept->doc_count, 1);
        const struct med_doc *d = kept->docs[0];
        for (size_t i = 0; i < d->section_count && i < SECTION_COUNT; i++) {
            assert_str(d->sections[i].path, SECTIONS[i].path);
            assert_str(d->sections[i].heading, SECTIONS[i].heading);
            assert_str(d->sections[i].body, SECTIONS[i].body);
            assert_int_equal(d->sections[i].kind, SECTIONS[i].kind);
        }
        assert_int_equal(d->section_count, SECTION_COUNT);
        assert_int_equal(d->sections[6].level, 2);
        kept_free(kept);
    }
}

#define ARTICLE(type, meta, rest)                                                                  \
    "<article article-type=\"" type "\"><front><article-meta>" meta                                \
    "<title-group><article-title>T</article-title></title-group></article-meta></front>" rest      \
    "</article>"

static void identity_falls_from_pmcid_to_pmid_to_doi(void **state)
{
    (void)state;
    struct kept *kept = parse_text("<root>" ARTICLE(
        "letter", "<article-id pub-id-type=\"pmc\">123</article-id>", "") ARTICLE("editorial",
        "<article-id pub-id-type=\"pmid\">55</article-id><article-id "
        "pub-id-type=\"doi\">10.1/x</article-id>",
        "") ARTICLE("review-article",
        "<article-id pub-id-type=\"doi\">https://doi.org/10.1000/A(b)~c d</article-id>", "")
            ARTICLE("case-report", "", "<body><p>Lost.</p></body>") "</root>");
    assert_int_equal(kept->doc_count, 3);
    assert_str(kept->docs[0]->id, "pmcid:PMC123");
    assert_str(kept->docs[0]->publication_types[0], "Letter");
    assert_str(kept->docs[1]->id, "pmid:55");
    assert_str(kept->docs[1]->source_id, "55");
    assert_str(kept->docs[1]->url, "https://doi.org/10.1/x");
    assert_str(kept->docs[2]->id, "doc:10.1000%2Fa%28b%29%7Ec%20d");
    assert_int_equal(kept->docs[2]->publication_type_count, 2);
    assert_str(kept->docs[2]->publication_types[1], "Review");
    assert_int_equal(kept->skip_count, 1);
    assert_non_null(strstr(kept->skips[0].reason, "PMCID"));
    kept_free(kept);
}

static void corrections_and_retractions_are_links_and_types(void **state)
{
    (void)state;
    struct kept *kept = parse_text("<root>" ARTICLE("retraction",
        "<article-id pub-id-type=\"pmc\">PMC1</article-id><related-article "
        "related-article-type=\"retracted-article\" "
        "ext-link-type=\"pmc\" href=\"PMC2\"/>",
        "") ARTICLE("research-article",
        "<article-id pub-id-type=\"pmc\">PMC2</article-id><related-article "
        "related-article-type=\"retraction-forward\" "
        "ext-link-type=\"pmid\" href=\"77\"/>",
        "") ARTICLE("correction", "<article-id pub-id-type=\"pmc\">PMC3</article-id>",
        "") "</root>");
    assert_int_equal(kept->doc_count, 3);
    assert_str(kept->docs[0]->publication_types[0], "Retraction of Publication");
    assert_int_equal(kept->docs[0]->links[0].kind, MED_LINK_RETRACTION_OF);
    assert_str(kept->docs[0]->links[0].target, "pmcid:PMC2");
    assert_false(med_doc_flags(kept->docs[0]) & MED_FLAG_RETRACTED);
    assert_true(med_doc_flags(kept->docs[0]) & MED_FLAG_RETRACTION_NOTICE);
    assert_str(kept->docs[1]->links[0].target, "pmid:77");
    assert_true(med_doc_flags(kept->docs[1]) & MED_FLAG_RETRACTED);
    assert_str(kept->docs[2]->publication_types[0], "Published Erratum");
    kept_free(kept);
}

static void a_broken_article_costs_only_itself(void **state)
{
    (void)state;
    struct kept *kept =
        parse_text("<root>" ARTICLE("letter", "<article-id pub-id-type=\"pmc\">1</article-id>",
            "") "<article><front><article-meta></front></article>" ARTICLE("letter",
            "<article-id pub-id-type=\"pmc\">3</article-id>", "") "<article><front>");
    assert_int_equal(kept->doc_count, 2);
    assert_str(kept->docs[1]->id, "pmcid:PMC3");
    assert_int_equal(kept->skip_count, 2);
    kept_free(kept);
}

static void deep_sections_keep_their_text(void **state)
{
    (void)state;
    struct med_buf buf;
    med_buf_init(&buf, MED_MIB);
    med_buf_puts(&buf, "<article><front><article-meta><article-id "
                       "pub-id-type=\"pmc\">1</article-id></article-meta></front><body>");
    for (int i = 0; i < 200; i++) med_buf_printf(&buf, "<sec><title>S%d</title>", i);
    med_buf_puts(&buf, "<p>Deep down.</p>");
    for (int i = 0; i < 200; i++) med_buf_puts(&buf, "</sec>");
    med_buf_puts(&buf, "</body></article>");
    struct kept *kept = parse_bytes(MED_FORMAT_JATS, med_buf_str(&buf), 0);
    assert_int_equal(kept->doc_count, 1);
    const struct med_doc *d = kept->docs[0];
    bool found = false;
    for (size_t i = 0; i < d->section_count; i++)
        found = found || med_str_eq(d->sections[i].body, MED_STR("Deep down."));
    assert_true(found);
    med_buf_free(&buf);
    kept_free(kept);
}

static enum med_code ignore_document(void *ctx, const struct med_doc *doc, struct med_err *err)
{
    (void)ctx, (void)doc, (void)err;
    return MED_OK;
}

static void running_out_of_memory_is_an_error_at_every_allocation(void **state)
{
    (void)state;
    struct med_buf buf;
    med_buf_init(&buf, MED_MIB);
    assert_int_equal(med_read_file("tests/data/jats/article.nxml", &buf, NULL), MED_OK);
    enum med_code code = MED_E_NOMEM;
    for (uint64_t n = 1; code != MED_OK; n++) {
        assert_in_range(n, 1, 10000);
        struct kept *kept = kept_new();
        struct med_doc_sink sink = kept_sink(kept);
        sink.document = ignore_document;
        struct bytes_input b = {.bytes = med_buf_str(&buf)};
        struct med_input in = {.read = bytes_read, .ctx = &b};
        med_mem_fail_after(n);
        code = med_parse(&in, MED_FORMAT_JATS, &sink, NULL);
        med_mem_fail_after(0);
        assert_true(code == MED_OK || code == MED_E_NOMEM);
        assert_int_equal(kept->skip_count, 0);
        kept_free(kept);
    }
    med_buf_free(&buf);
}

/* ---- the real ones ---- */

struct census {
    struct med_arena *arena;
    size_t docs, pmids, titles, paths, authors, dates, abstracts, licences, skips, captions, chunks;
};

static enum med_code count_document(void *ctx, const struct med_doc *doc, struct med_err *err)
{
    struct census *n = ctx;
    size_t chunk_count = 0, paths = 0, captions = 0;
    struct med_text *text = NULL;
    struct med_chunk *chunks = NULL;
    med_arena_reset(n->arena);
    assert_int_equal(med_text_make(doc, n->arena, &text, err), MED_OK);
    assert_int_equal(med_chunk_make(doc, text, n->arena, &chunks, &chunk_count, err), MED_OK);
    for (size_t i = 0; i < chunk_count; i++)
        assert_in_range(chunks[i].word_count, 1, MED_CHUNK_WORDS_MAX);
    for (size_t i = 0; i < doc->section_count; i++) {
        paths += doc->sections[i].path.len > 0;
        captions += doc->sections[i].kind == MED_SECTION_CAPTION;
    }
    n->docs++;
    n->pmids += doc->pmid.len > 0;
    n->titles += doc->title.len > 0;
    n->paths += paths > 0;
    n->authors += doc->author_count > 0;
    n->dates += doc->date.year > 1980 && doc->date.year < 2030;
    n->abstracts += (med_doc_flags(doc) & MED_FLAG_HAS_ABSTRACT) != 0;
    n->licences += doc->licence.len > 0;
    n->captions += captions;
    n->chunks += chunk_count;
    return med_doc_id_check(doc->id, err);
}

static enum med_code count_skip(
    void *ctx, uint64_t offset, uint64_t line, const char *reason, struct med_err *err)
{
    (void)offset, (void)line, (void)err;
    print_error("skipped: %s\n", reason);
    ((struct census *)ctx)->skips++;
    return MED_OK;
}

static enum med_code count_member(void *ctx, const struct med_input *in, struct med_err *err)
{
    struct med_doc_sink sink = {.document = count_document, .skipped = count_skip, .ctx = ctx};
    return med_parse(in, MED_FORMAT_JATS, &sink, err);
}

static void real_articles_arrive_whole(void **state)
{
    (void)state;
    char path[MED_PATH_MAX], problem[MED_TAR_PROBLEM_MAX] = "";
    if (!med_test_shared(path, "data/jats/pmc-oa-ccby-1200.tar.gz")) skip();
    struct census n = {0};
    struct med_raw raw;
    struct med_stream *stream = NULL;
    struct med_err err = {0};
    assert_int_equal(med_arena_new(MED_DOC_ARENA_BYTES_MAX, &n.arena, NULL), MED_OK);
    assert_int_equal(med_raw_open(path, &raw, &err), MED_OK);
    struct med_input file = {.read = med_raw_read, .ctx = &raw, .name = med_base_name(path)};
    assert_int_equal(med_stream_open(&file, &stream, &err), MED_OK);
    struct med_input unpacked = {.read = med_stream_read, .ctx = stream, .name = file.name};
    enum med_code code = med_tar_each(&unpacked, count_member, &n, problem, &err);
    if (code != MED_OK) print_error("%s\n", err.text);
    assert_int_equal(code, MED_OK);
    assert_string_equal(problem, "");
    assert_int_equal(n.skips, 0);
    assert_int_equal(n.docs, 1200);
    assert_int_equal(n.titles, 1200);
    assert_int_equal(n.pmids, 1173);
    assert_int_equal(n.dates, 1200);
    assert_int_equal(n.licences, 1200);
    assert_int_equal(n.paths, 1199); /* one holds front matter only */
    assert_int_equal(n.authors, 1200);
    assert_int_equal(n.abstracts, 1169);
    assert_true(n.captions > 4500 && n.chunks > 30000);
    med_stream_close(&stream);
    med_raw_close(&raw);
    med_arena_free(&n.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(front_matter_fills_the_document),
        cmocka_unit_test(text_flows_into_sections_without_its_noise),
        cmocka_unit_test(identity_falls_from_pmcid_to_pmid_to_doi),
        cmocka_unit_test(corrections_and_retractions_are_links_and_types),
        cmocka_unit_test(a_broken_article_costs_only_itself),
        cmocka_unit_test(deep_sections_keep_their_text),
        cmocka_unit_test(running_out_of_memory_is_an_error_at_every_allocation),
        cmocka_unit_test(real_articles_arrive_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

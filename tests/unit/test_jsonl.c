/* JSON Lines: BEIR's form, the native form, bad lines, and the sets that are there. */
#include "common/json.h"
#include "common/rng.h"
#include "index/ingest/input.h"
#include "tests/support/support.h"
#include "tests/unit/ingest_help.h"

static void beir_records_are_read(void **state)
{
    (void)state;
    static const char text[] =
        "\xef\xbb\xbf{\"_id\": \"MED-1\", \"title\": \"A  title\", \"text\": \"One.\\n\\nTwo.\", "
        "\"metadata\": {\"url\": \"https://x.example/1\", \"n\": 1.50}}\r\n"
        "\n"
        "{\"_id\": 42, \"text\": \"Only text\", \"metadata\": {}}\n"
        "{\"_id\": \"a b~c%/\\u00e9\", \"title\": \"Odd id\", \"text\": \"\"}\n"
        "{\"_id\": \"last\", \"title\": \"cafe\\u0301\", \"text\": \"no line end\"}";
    const size_t steps[] = {0, 1, 13};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct kept *kept =
            parse_bytes(MED_FORMAT_JSONL, (struct med_str){text, sizeof text - 1}, steps[i]);
        assert_int_equal(kept->skip_count, 0);
        assert_int_equal(kept->doc_count, 4);
        const struct med_doc *d = kept->docs[0];
        assert_str(d->id, "doc:MED-1");
        assert_str(d->source_id, "MED-1");
        assert_int_equal(d->source, MED_SOURCE_OTHER);
        assert_str(d->title, "A title");
        assert_int_equal(d->section_count, 1);
        assert_str(d->sections[0].body, "One.\nTwo.");
        assert_str(d->url, "https://x.example/1");
        assert_str(d->metadata_json, "{\"url\": \"https://x.example/1\", \"n\": 1.50}");
        assert_str(kept->docs[1]->id, "doc:42");
        assert_str(kept->docs[1]->title, "");
        assert_str(kept->docs[1]->metadata_json, "");
        assert_str(kept->docs[2]->id, "doc:a%20b%7Ec%25/é");
        assert_str(kept->docs[2]->source_id, "a b~c%/é");
        assert_str(kept->docs[3]->title, "café"); /* NFC */
        kept_free(kept);
    }
}

static void native_records_are_read(void **state)
{
    (void)state;
    struct kept *kept = parse_bytes(MED_FORMAT_JSONL,
        MED_STR(
            "{\"id\":\"guideline:x\",\"title\":\"T\",\"source\":\"guideline\",\"abstract\":\"A.\","
            "\"sections\":[{\"heading\":\"H\",\"path\":\"G > H\",\"level\":2,\"text\":\"B.\"},"
            "{\"kind\":\"caption\",\"body\":\"C.\"}],"
            "\"authors\":[\"Doe, "
            "Jo\",\"WHO\",{\"family\":\"Roe\",\"given\":\"Ed\",\"orcid\":\"0\"},"
            "{\"collective\":\"Group\"}],"
            "\"date\":\"2020-02-03\",\"journal\":{\"title\":\"J\",\"volume\":7},"
            "\"publication_types\":[\"Guideline\"],\"mesh\":[\"Asthma\",{\"descriptor\":\"Humans\","
            "\"ui\":\"D006801\",\"major\":true}],\"keywords\":\"one\",\"chemicals\":[\"x\",null,"
            "\"\"],"
            "\"doi\":\"https://doi.org/10.1/AB\",\"pmid\":123,\"pmcid\":\"PMC9\",\"url\":\"u\","
            "\"language\":\"en\",\"links\":[{\"kind\":\"update-of\",\"target\":\"guideline:w\"}],"
            "\"grade\":\"B\",\"organization\":\"O\",\"licence\":\"CC0\","
            "\"extra\":[1,{\"a\":\"}\"}],\"metadata\":{\"k\":\"v\"}}\n"
            "{\"pmid\":\"7\",\"title\":\"No id\",\"year\":1999,\"journal\":\"J\"}\n"
            "{\"id\":\"plain\",\"text\":\"t\"}\n"),
        0);
    assert_int_equal(kept->skip_count, 0);
    assert_int_equal(kept->doc_count, 3);
    const struct med_doc *d = kept->docs[0];
    assert_str(d->id, "guideline:x");
    assert_str(d->source_id, "x");
    assert_int_equal(d->source, MED_SOURCE_GUIDELINE);
    assert_int_equal(d->section_count, 3);
    assert_int_equal(d->sections[0].kind, MED_SECTION_ABSTRACT);
    assert_str(d->sections[1].path, "G > H");
    assert_int_equal(d->sections[1].level, 2);
    assert_int_equal(d->sections[2].kind, MED_SECTION_CAPTION);
    assert_int_equal(d->author_count, 4);
    assert_str(d->authors[0].given, "Jo");
    assert_str(d->authors[1].family, "WHO");
    assert_true(d->authors[3].collective);
    assert_int_equal(d->date.day, 3);
    assert_str(d->journal.volume, "7");
    assert_int_equal(d->mesh_count, 2);
    assert_true(d->mesh[1].major);
    assert_int_equal(d->keyword_count, 1);
    assert_int_equal(d->chemical_count, 1);
    assert_str(d->doi, "10.1/ab");
    assert_str(d->pmid, "123");
    assert_int_equal(d->links[0].kind, MED_LINK_UPDATE_OF);
    assert_str(d->grade, "B");
    assert_str(d->licence, "CC0");
    assert_str(d->metadata_json, "{\"extra\":[1,{\"a\":\"}\"}],\"metadata\":{\"k\":\"v\"}}");
    assert_str(kept->docs[1]->id, "pmid:7");
    assert_int_equal(kept->docs[1]->date.year, 1999);
    assert_str(kept->docs[2]->id, "doc:plain");
    kept_free(kept);
}

static void bad_lines_are_told_with_their_number_and_skipped(void **state)
{
    (void)state;
    static const char text[] = "{\"_id\":\"1\",\"text\":\"ok\"}\n"
                               "not json\n"
                               "{\"_id\":\"2\",\"text\":\"\xff\"}\n"
                               "{\"text\":\"no id\"}\n"
                               "{\"_id\":\"3\"}\n"
                               "[1]\n"
                               "{\"_id\":\"4\",\"title\":[]}\n"
                               "{\"_id\":\"5\",\"text\":\"x\",\"year\":\"soon\"}\n"
                               "{\"_id\":\"6\",\"_id\":\"7\",\"text\":\"twice\"}\n"
                               "{\"_id\":\"8\",\"text\":\"ok\"}\n"
                               "{\"_id\":\"9\",\"text\":\"cut";
    struct kept *kept = parse_bytes(MED_FORMAT_JSONL, (struct med_str){text, sizeof text - 1}, 5);
    assert_int_equal(kept->doc_count, 2);
    assert_str(kept->docs[1]->id, "doc:8");
    const uint64_t lines[] = {2, 3, 4, 5, 6, 7, 8, 9, 11};
    assert_int_equal(kept->skip_count, 9);
    for (size_t i = 0; i < 9; i++) {
        assert_int_equal(kept->skips[i].line, lines[i]);
        assert_true(kept->skips[i].reason[0] != '\0');
    }
    assert_int_equal(kept->skips[0].offset, 24);
    kept_free(kept);
}

static void random_damage_is_survived(void **state)
{
    (void)state;
    static const char good[] =
        "{\"id\":\"guideline:x\",\"title\":\"T\",\"sections\":[{\"heading\":\"H\",\"level\":2,"
        "\"text\":\"B.\"}],\"authors\":[\"Doe, Jo\",{\"family\":\"Roe\"}],\"year\":2020,\"mesh\":"
        "[\"A\"],\"links\":[{\"kind\":\"x\"}],\"other\":{\"a\":[1,\"}\",null]},\"metadata\":{}}\n";
    static const char nasty[] = "{}[]\":,\\\n0-e\xff nt";
    struct med_rng rng;
    med_rng_seed(&rng, med_test_seed());
    for (int round = 0; round < 3000; round++) {
        char bytes[sizeof good - 1];
        memcpy(bytes, good, sizeof bytes);
        for (uint64_t n = 1 + med_rng_below(&rng, 3); n > 0; n--) {
            bytes[med_rng_below(&rng, sizeof bytes)] = nasty[med_rng_below(&rng, sizeof nasty - 1)];
        }
        size_t len = 1 + (size_t)med_rng_below(&rng, sizeof bytes);
        struct kept *kept = parse_bytes(MED_FORMAT_JSONL, (struct med_str){bytes, len}, 50);
        for (size_t i = 0; i < kept->doc_count; i++) {
            struct med_str metadata = kept->docs[i]->metadata_json;
            if (metadata.len == 0) continue;
            assert_int_equal(med_json_check(metadata.ptr, metadata.len, 64, NULL), MED_OK);
        }
        kept_free(kept);
    }
}

/* A line of a gigabyte, made while it is read. */
struct endless {
    uint64_t left;
    size_t tail_pos;
};

static enum med_code endless_read(
    void *ctx, void *ptr, size_t cap, size_t *ret_len, struct med_err *err)
{
    (void)err;
    static const char tail[] = "\n{\"_id\":\"after\",\"text\":\"ok\"}\n";
    struct endless *e = ctx;
    if (e->left > 0) {
        *ret_len = e->left < cap ? (size_t)e->left : cap;
        memset(ptr, 'x', *ret_len);
        e->left -= *ret_len;
        return MED_OK;
    }
    size_t len = sizeof tail - 1 - e->tail_pos;
    *ret_len = len < cap ? len : cap;
    memcpy(ptr, tail + e->tail_pos, *ret_len);
    e->tail_pos += *ret_len;
    return MED_OK;
}

static void a_line_of_a_gigabyte_is_refused_within_the_limit(void **state)
{
    (void)state;
    struct endless e = {.left = MED_GIB};
    struct med_input in = {.read = endless_read, .ctx = &e};
    struct kept *kept = kept_new();
    struct med_doc_sink sink = kept_sink(kept);
    assert_int_equal(med_parse(&in, MED_FORMAT_JSONL, &sink, NULL), MED_OK);
    assert_int_equal(kept->doc_count, 1);
    assert_str(kept->docs[0]->id, "doc:after");
    assert_int_equal(kept->skip_count, 1);
    assert_int_equal(kept->skips[0].line, 1);
    FILE *status = fopen("/proc/self/status", "r");
    char line[256];
    long peak_kib = 0;
    while (status && fgets(line, sizeof line, status)) {
        (void)sscanf(line, "VmHWM: %ld", &peak_kib);
    }
    if (status) fclose(status);
    assert_in_range(peak_kib, 0, 600 * 1024); /* sanitizers included */
    kept_free(kept);
}

/* `empty`: records of the set with neither title nor text. */
static void check_set(const char *name, size_t docs, size_t empty, const char *first_id)
{
    char path[MED_PATH_MAX];
    if (!med_test_shared(path, name)) skip();
    struct med_raw raw;
    struct med_stream *stream = NULL;
    struct med_str head;
    assert_int_equal(med_raw_open(path, &raw, NULL), MED_OK);
    struct med_input file = {.read = med_raw_read, .ctx = &raw};
    assert_int_equal(med_stream_open(&file, &stream, NULL), MED_OK);
    assert_int_equal(med_stream_head(stream, &head, NULL), MED_OK);
    assert_int_equal(med_format_detect(head.ptr, head.len), MED_FORMAT_JSONL);
    struct med_input in = {.read = med_stream_read, .ctx = stream};
    struct kept *kept = kept_new();
    struct med_doc_sink sink = kept_sink(kept);
    assert_int_equal(med_parse(&in, MED_FORMAT_JSONL, &sink, NULL), MED_OK);
    assert_int_equal(kept->skip_count, empty);
    assert_int_equal(kept->doc_count, docs);
    assert_str(kept->docs[0]->id, first_id);
    kept_free(kept);
    med_stream_close(&stream);
    med_raw_close(&raw);
}

static void real_sets_are_read_whole(void **state)
{
    (void)state;
    check_set("data/beir/scifact/corpus.jsonl.gz", 5183, 0, "doc:4983");
    check_set("data/beir/nfcorpus/corpus.jsonl.gz", 3395, 0, "doc:MED-118");
    check_set("data/beir/med/corpus.jsonl.gz", 1033, 0, "doc:1");
    check_set("data/beir/pubmedqa/corpus.jsonl.gz", 1000, 0, "doc:21645374");
    check_set("data/beir/bioasq/corpus.jsonl.gz", 13449, 0, "doc:34022131");
    check_set("data/scale/pubmed-abstracts-18k.jsonl.gz", 17927, 23, "doc:10024335");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(beir_records_are_read),
        cmocka_unit_test(native_records_are_read),
        cmocka_unit_test(bad_lines_are_told_with_their_number_and_skipped),
        cmocka_unit_test(random_damage_is_survived),
        cmocka_unit_test(a_line_of_a_gigabyte_is_refused_within_the_limit),
        cmocka_unit_test(real_sets_are_read_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Files, folders, gzip, tar, detection, and the driver with a store. */
#include "index/ingest/input.h"
#include "index/store/store.h"
#include "tests/support/support.h"
#include "tests/unit/ingest_help.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

static char folder[MED_PATH_MAX];

static int set_up(void **state)
{
    (void)state;
    med_test_temp_new(folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    med_test_temp_remove(folder);
    return 0;
}

static const char *in_folder(const char *name)
{
    static char paths[32][MED_PATH_MAX]; /* more than a test asks for */
    static unsigned turn;
    char *path = paths[turn++ % 32];
    assert_int_equal(med_path_join(path, folder, name, NULL), MED_OK);
    return path;
}

static const char *put(const char *name, const void *bytes, size_t len)
{
    const char *path = in_folder(name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
    return path;
}

static const char *put_text(const char *name, const char *text)
{
    return put(name, text, strlen(text));
}

/* Appends one gzip member. */
static void gzip(struct med_buf *out, struct med_str bytes)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    size_t bound = deflateBound(&z, bytes.len), before = out->len;
    z.next_out = med_buf_extend(out, bound);
    assert_non_null(z.next_out);
    z.avail_out = (uInt)bound;
    z.next_in = (Bytef *)(uintptr_t)bytes.ptr;
    z.avail_in = (uInt)bytes.len;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    out->len = before + z.total_out;
    deflateEnd(&z);
}

/* Appends one member of a ustar archive. */
static void tar(struct med_buf *out, const char *name, struct med_str bytes)
{
    char head[512] = {0};
    snprintf(head, 100, "%s", name);
    memcpy(head + 100,
        "0000644\0"
        "0000000\0"
        "0000000\0",
        24);
    snprintf(head + 124, 12, "%011o", (unsigned)bytes.len);
    memcpy(head + 136,
        "00000000000\0"
        "        "
        "0",
        21);
    memcpy(head + 257,
        "ustar\0"
        "00",
        8);
    unsigned sum = 0;
    for (size_t i = 0; i < sizeof head; i++) sum += (unsigned char)head[i];
    snprintf(head + 148, 8, "%06o", sum);
    med_buf_append(out, head, sizeof head);
    med_buf_append_str(out, bytes);
    while (out->len % 512) med_buf_putc(out, 0);
}

struct problems {
    size_t count;
    char last_file[256], last_reason[256];
    uint64_t last_line;
};

static void on_problem(
    void *ctx, const char *file, uint64_t offset, uint64_t line, const char *reason)
{
    (void)offset;
    struct problems *p = ctx;
    p->count++;
    p->last_line = line;
    snprintf(p->last_file, sizeof p->last_file, "%s", file);
    snprintf(p->last_reason, sizeof p->last_reason, "%s", reason);
}

static struct problems problems;
static struct med_ingest_summary summary;

static enum med_code ingest(struct med_store *store, const char *path)
{
    const struct med_ingest_options options = {
        .known = MED_KNOWN_AGAIN, .problem = on_problem, .problem_ctx = &problems};
    problems = (struct problems){0};
    return med_ingest(store, &path, 1, &options, &summary, NULL);
}

static struct med_store *open_store(void)
{
    struct med_store *store = NULL;
    struct med_err err = {0};
    enum med_code code = med_store_open(in_folder("docs"), MED_STORE_READ_WRITE, &store, &err);
    if (code != MED_OK) print_error("%s\n", err.text);
    assert_int_equal(code, MED_OK);
    return store;
}

static uint64_t live_documents(struct med_store *store)
{
    struct med_snapshot *snapshot = NULL;
    assert_int_equal(med_snapshot_open(store, &snapshot, NULL), MED_OK);
    uint64_t count = med_snapshot_doc_count(snapshot);
    med_snapshot_close(&snapshot);
    return count;
}

#define LINE(id) "{\"_id\":\"" id "\",\"title\":\"T" id "\",\"text\":\"Text.\"}\n"

static void sequence_numbers_come_from_names(void **state)
{
    (void)state;
    assert_int_equal(med_sequence_of_name(MED_STR("pubmed24n1220.xml.gz")), 202401220);
    assert_int_equal(med_sequence_of_name(MED_STR("medline16n0902.xml.gz")), 201600902);
    assert_int_equal(med_sequence_of_name(MED_STR("pubmed25n0001.xml")), 202500001);
    assert_int_equal(med_sequence_of_name(MED_STR("pubmed24n.xml")), 0);
    assert_int_equal(med_sequence_of_name(MED_STR("pubmed24n12x0.xml")), 0);
    assert_int_equal(med_sequence_of_name(MED_STR("pubmed_parser_1.xml")), 0);
    assert_int_equal(med_sequence_of_name(MED_STR("corpus.jsonl")), 0);
    assert_str(med_base_name("/a/b.xml"), "b.xml");
    assert_str(med_base_name("b.xml"), "b.xml");
}

static void formats_are_told_by_content(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum med_format format;
    } cases[] = {
        {"<?xml version=\"1.0\"?>\n<!DOCTYPE PubmedArticleSet>\n<PubmedArticleSet>",
            MED_FORMAT_PUBMED_XML},
        {"<RAW>\n<PubmedArticle>", MED_FORMAT_PUBMED_XML},
        {"<!-- <article> --><MedlineCitationSet>", MED_FORMAT_PUBMED_XML},
        {"<?xml version=\"1.0\"?><article article-type=\"research-article\">", MED_FORMAT_JATS},
        {"<!DOCTYPE article PUBLIC \"-//NLM//DTD JATS\" \"x\">\n<article>", MED_FORMAT_JATS},
        {"<pmc-articleset><article>", MED_FORMAT_JATS},
        {"<!doctype HTML><html><body><article>", MED_FORMAT_HTML},
        {"<html lang=\"en\">", MED_FORMAT_HTML},
        {"<h1>Guideline</h1><p>Text</p>", MED_FORMAT_HTML},
        {"<?xml version=\"1.0\"?><note><to>x</to></note>", MED_FORMAT_UNKNOWN},
        {"{\"_id\":\"1\"}\n{\"_id\":\"2\"}\n", MED_FORMAT_JSONL},
        {"broken\n{\"_id\":\"1\"}\n{\"_id\":\"2\"}\n", MED_FORMAT_JSONL},
        {"{\n  \"a\": 1\n}\n", MED_FORMAT_UNKNOWN},
        {"[{\"a\": 1}]\n", MED_FORMAT_UNKNOWN},
        {"---\ntitle: x\n---\nText.\n", MED_FORMAT_MARKDOWN},
        {"# Title\n\nText.\n", MED_FORMAT_MARKDOWN},
        {"Title\n=====\n\nText.\n", MED_FORMAT_MARKDOWN},
        {"Plain words, in a sentence.\nMore, of them.\n", MED_FORMAT_TEXT},
        {"a\tb\n1\t2\n3\t4\n5\t6\n", MED_FORMAT_UNKNOWN},
        {"a,b,c\n1,2,3\n3,4,5\n5,6,7\n", MED_FORMAT_UNKNOWN},
        {"id,name,synonyms\nD1,Aspirin,\"ASA, acid\"\nD2,Heparin,\nD3,Iron,Fe\n",
            MED_FORMAT_UNKNOWN},
        {"One, two.\nThe dose was 1,000 units; then\nmore, much more,\nthan 2,000.\n",
            MED_FORMAT_TEXT},
        {"%PDF-1.7\n", MED_FORMAT_UNKNOWN},
        {"", MED_FORMAT_UNKNOWN},
        {" \n\t\n", MED_FORMAT_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum med_format got = med_format_detect(cases[i].text, strlen(cases[i].text));
        if (got != cases[i].format) print_error("%s\n", cases[i].text);
        assert_int_equal(got, cases[i].format);
    }
    assert_int_equal(med_format_detect("ab\0cd", 5), MED_FORMAT_UNKNOWN);
}

static struct med_str read_in_steps(const void *bytes, size_t len, size_t step, size_t cap,
    struct med_buf *out, const char **ret_problem, enum med_code *ret_code)
{
    struct bytes_input b = {.bytes = {bytes, len}, .step = step};
    struct med_input raw = {.read = bytes_read, .ctx = &b};
    struct med_stream *stream = NULL;
    struct med_str head;
    char block[777];
    size_t got = 1;
    med_buf_init(out, 256 * MED_MIB);
    assert_int_equal(med_stream_open(&raw, &stream, NULL), MED_OK);
    *ret_code = med_stream_head(stream, &head, NULL);
    while (*ret_code == MED_OK && got > 0) {
        *ret_code = med_stream_read(stream, block, cap, &got, NULL);
        if (*ret_code == MED_OK) med_buf_append(out, block, got);
    }
    *ret_problem = med_stream_problem(stream);
    med_stream_close(&stream);
    return med_buf_str(out);
}

static struct med_str read_all(const void *bytes, size_t len, struct med_buf *out,
    const char **ret_problem, enum med_code *ret_code)
{
    return read_in_steps(bytes, len, 1000, 777, out, ret_problem, ret_code);
}

static void gzip_is_read_member_by_member_and_damage_is_told(void **state)
{
    (void)state;
    struct med_buf packed, out;
    const char *problem;
    enum med_code code;
    med_buf_init(&packed, MED_MIB);
    gzip(&packed, MED_STR("first "));
    size_t first = packed.len;
    gzip(&packed, MED_STR("second"));
    struct med_str got = read_all(packed.data, packed.len, &out, &problem, &code);
    assert_str(got, "first second");
    assert_null(problem);
    med_buf_free(&out);
    got = read_all(packed.data, packed.len - 3, &out, &problem, &code);
    assert_str(med_str_sub(got, 0, 6), "first ");
    assert_non_null(problem);
    med_buf_free(&out);
    packed.data[first + 12] ^= 0x55;
    got = read_all(packed.data, packed.len, &out, &problem, &code);
    assert_int_equal(code, MED_OK);
    assert_str(med_str_sub(got, 0, 6), "first ");
    assert_non_null(problem);
    med_buf_free(&out);
    got = read_all("plain", 5, &out, &problem, &code);
    assert_str(got, "plain");
    assert_null(problem);
    med_buf_free(&out);
    med_buf_free(&packed);
}

/* Longer than the head that is read first, so that pieces of every size are met behind it. */
static void gzip_may_arrive_and_be_taken_in_any_pieces(void **state)
{
    (void)state;
    struct med_buf packed, text, out;
    const char *problem;
    enum med_code code;
    uint32_t x = 1;
    med_buf_init(&packed, MED_MIB);
    med_buf_init(&text, MED_MIB);
    while (text.len < 70000) {
        x = x * 1664525 + 1013904223;
        med_buf_printf(&text, "%u ", x >> (x % 31));
    }
    struct med_str whole = med_buf_str(&text);
    gzip(&packed, med_str_sub(whole, 0, 3));
    gzip(&packed, (struct med_str){0});
    gzip(&packed, med_str_sub(whole, 3, 69000));
    size_t last = packed.len;
    gzip(&packed, med_str_sub(whole, 69000, whole.len));
    for (size_t step = 1; step < 40; step++) {
        struct med_str got =
            read_in_steps(packed.data, packed.len, step, step * 7 % 29 + 1, &out, &problem, &code);
        assert_int_equal(code, MED_OK);
        assert_null(problem);
        assert_int_equal(got.len, whole.len);
        assert_memory_equal(got.ptr, whole.ptr, whole.len);
        med_buf_free(&out);
    }
    for (size_t len = last; len < packed.len; len++) { /* cut off at every byte */
        struct med_str got = read_in_steps(packed.data, len, 19, 13, &out, &problem, &code);
        assert_int_equal(code, MED_OK);
        assert_true((problem == NULL) == (len == last));
        assert_in_range(got.len, 69000, whole.len);
        assert_memory_equal(got.ptr, whole.ptr, got.len);
        med_buf_free(&out);
    }
    med_buf_free(&text);
    med_buf_free(&packed);
}

static void a_decompression_bomb_is_refused(void **state)
{
    (void)state;
    struct med_buf packed, out, zeros;
    const char *problem;
    enum med_code code;
    med_buf_init(&zeros, 64 * MED_MIB);
    med_buf_init(&packed, 64 * MED_MIB);
    memset(med_buf_extend(&zeros, 32 * MED_MIB), 'a', 32 * MED_MIB);
    gzip(&packed, med_buf_str(&zeros));
    (void)read_all(packed.data, packed.len, &out, &problem, &code);
    assert_int_equal(code, MED_E_LIMIT);
    med_buf_free(&out);
    med_buf_free(&zeros);
    med_buf_free(&packed);
}

static void the_same_thing_twice_changes_nothing(void **state)
{
    (void)state;
    struct med_store *store = open_store();
    const char *path = put_text("a.jsonl", LINE("1") LINE("2") "oops\n" LINE("3"));
    assert_int_equal(ingest(store, path), MED_OK);
    assert_int_equal(summary.files, 1);
    assert_int_equal(summary.added, 3);
    assert_int_equal(summary.skipped, 1);
    assert_int_equal(summary.bytes_read, strlen(LINE("1")) * 3 + 5);
    assert_int_equal(problems.count, 1);
    assert_int_equal(problems.last_line, 3);
    assert_int_equal(ingest(store, path), MED_OK);
    assert_int_equal(summary.added, 0);
    assert_int_equal(summary.updated, 0);
    assert_int_equal(summary.unchanged, 3);
    assert_int_equal(live_documents(store), 3);
    med_store_close(&store);
}

static void folders_are_walked_and_other_files_passed_over(void **state)
{
    (void)state;
    struct med_store *store = open_store();
    assert_int_equal(mkdir(in_folder("in"), 0700), 0);
    assert_int_equal(mkdir(in_folder("in/sub"), 0700), 0);
    put_text("in/a.jsonl", LINE("1"));
    put_text("in/sub/b.txt", LINE("2")); /* content decides */
    put_text("in/.hidden.jsonl", LINE("3"));
    put_text("in/empty.xml", "");
    put_text("in/note.xml", "<?xml version=\"1.0\"?><note>x</note>");
    put("in/binary",
        "\x7f"
        "ELF\0\0\0",
        7);
    assert_int_equal(symlink(".", in_folder("in/loop")), 0);
    assert_int_equal(ingest(store, in_folder("in")), MED_OK);
    assert_int_equal(summary.files, 2);
    assert_int_equal(summary.added, 2);
    assert_int_equal(problems.count, 5);
    assert_int_equal(live_documents(store), 2);
    med_store_close(&store);
}

static void the_queries_of_a_beir_folder_do_not_become_documents(void **state)
{
    (void)state;
    struct med_store *store = open_store();
    assert_int_equal(mkdir(in_folder("beir"), 0700), 0);
    assert_int_equal(mkdir(in_folder("beir/qrels"), 0700), 0);
    put_text("beir/corpus.jsonl", LINE("1"));
    put_text("beir/queries.jsonl", LINE("2"));
    put_text("beir/qrels/dev.tsv", "query-id\tcorpus-id\tscore\n2\t1\t1\n");
    assert_int_equal(ingest(store, in_folder("beir")), MED_OK);
    assert_int_equal(summary.added, 1);
    assert_int_equal(problems.count, 2);
    med_store_close(&store);
}

static void a_bad_path_does_not_stop_the_others(void **state)
{
    (void)state;
    struct med_store *store = open_store();
    const char *paths[] = {in_folder("absent.xml"), put_text("a.jsonl", LINE("1"))};
    const struct med_ingest_options options = {.problem = on_problem, .problem_ctx = &problems};
    struct med_err err = {0};
    problems = (struct problems){0};
    assert_int_equal(med_ingest(store, paths, 2, &options, &summary, &err), MED_E_NOT_FOUND);
    assert_non_null(strstr(err.text, "absent.xml"));
    assert_int_equal(summary.added, 1);
    assert_int_equal(problems.count, 1);
    assert_int_equal(ingest(store, put_text("empty", "")), MED_E_INVALID);
    assert_int_equal(
        ingest(store, put_text("n.xml", "<?xml version=\"1.0\"?><n/>")), MED_E_INVALID);
    assert_int_equal(live_documents(store), 1);
    med_store_close(&store);
}

static void a_truncated_gzip_keeps_what_was_complete(void **state)
{
    (void)state;
    struct med_store *store = open_store();
    struct med_buf lines, packed;
    med_buf_init(&lines, MED_MIB);
    med_buf_init(&packed, MED_MIB);
    for (unsigned i = 0; i < 2000; i++) {
        med_buf_printf(&lines, "{\"_id\":\"%u\",\"text\":\"%u\"}\n", i, i * 2654435761u);
    }
    gzip(&packed, med_buf_str(&lines));
    const char *path = put("cut.jsonl.gz", packed.data, packed.len / 2);
    assert_int_equal(ingest(store, path), MED_OK);
    assert_in_range(summary.added, 100, 1999);
    assert_int_equal(live_documents(store), summary.added);
    assert_in_range(problems.count, 1, 2); /* the cut, and the line that it cut */
    assert_non_null(strstr(problems.last_reason, "truncated"));
    med_buf_free(&lines);
    med_buf_free(&packed);
    med_store_close(&store);
}

static void archives_are_read_member_by_member(void **state)
{
    (void)state;
    struct med_store *store = open_store();
    struct med_buf archive, packed;
    med_buf_init(&archive, MED_MIB);
    med_buf_init(&packed, MED_MIB);
    tar(&archive, "x/one.jsonl", MED_STR(LINE("1") LINE("2")));
    tar(&archive, "../../two.jsonl", MED_STR(LINE("3") "oops\n"));
    tar(&archive, "image.png", (struct med_str){"\x89PNG\0\0", 6});
    gzip(&packed, MED_STR(LINE("4")));
    tar(&archive, "four.jsonl.gz", med_buf_str(&packed));
    size_t complete = archive.len;
    memset(med_buf_extend(&archive, 1024), 0, 1024);
    assert_int_equal(ingest(store, put("a.tar", archive.data, archive.len)), MED_OK);
    assert_int_equal(summary.added, 4);
    assert_int_equal(summary.skipped, 2);
    assert_int_equal(summary.files, 1);
    assert_int_equal(problems.count, 2);
    assert_string_equal(problems.last_file, "a.tar/image.png");
    med_buf_reset(&packed);
    gzip(&packed, med_buf_str(&archive));
    assert_int_equal(ingest(store, put("a.tar.gz", packed.data, packed.len)), MED_OK);
    assert_int_equal(summary.unchanged, 4);
    assert_int_equal(ingest(store, put("cut.tar", archive.data, complete - 600)), MED_OK);
    assert_int_equal(summary.unchanged, 3);
    assert_int_equal(problems.count, 3);
    med_buf_free(&archive);
    med_buf_free(&packed);
    med_store_close(&store);
}

static void a_source_name_labels_what_has_no_source_of_its_own(void **state)
{
    (void)state;
    struct med_store *store = open_store();
    const char *path = put_text("a.jsonl", LINE("1"));
    struct med_ingest_options options = {.source_name = MED_STR("guideline")};
    assert_int_equal(med_ingest(store, &path, 1, &options, &summary, NULL), MED_OK);
    struct med_snapshot *snapshot = NULL;
    struct med_arena *arena = NULL;
    struct med_doc *doc = NULL;
    assert_int_equal(med_arena_new(MED_MIB, &arena, NULL), MED_OK);
    assert_int_equal(med_snapshot_open(store, &snapshot, NULL), MED_OK);
    assert_int_equal(med_snapshot_get(snapshot, MED_STR("doc:1"), arena, &doc, NULL), MED_OK);
    assert_int_equal(doc->source, MED_SOURCE_GUIDELINE);
    med_arena_free(&arena);
    med_snapshot_close(&snapshot);
    options.source_name = MED_STR("mine");
    assert_int_equal(med_ingest(store, &path, 1, &options, &summary, NULL), MED_E_USAGE);
    med_store_close(&store);
}

static void stdin_is_read_to_its_end(void **state)
{
    (void)state;
    struct med_store *store = open_store();
    const char *path = put_text("piped", LINE("1") LINE("2"));
    int saved = dup(STDIN_FILENO), fd = open(path, O_RDONLY);
    assert_true(saved >= 0 && fd >= 0);
    assert_int_equal(dup2(fd, STDIN_FILENO), STDIN_FILENO);
    assert_int_equal(ingest(store, "-"), MED_OK);
    assert_int_equal(dup2(saved, STDIN_FILENO), STDIN_FILENO);
    close(saved);
    close(fd);
    assert_int_equal(summary.added, 2);
    med_store_close(&store);
}

/* More records than one batch holds. */
static void a_large_file_arrives_in_several_commits(void **state)
{
    (void)state;
    struct med_store *store = open_store();
    struct med_buf lines;
    med_buf_init(&lines, 4 * MED_MIB);
    for (unsigned i = 0; i < 25000; i++) med_buf_printf(&lines, "{\"_id\":%u,\"text\":\"t\"}\n", i);
    assert_int_equal(ingest(store, put("large.jsonl", lines.data, lines.len)), MED_OK);
    assert_int_equal(summary.added, 25000);
    assert_int_equal(live_documents(store), 25000);
    med_buf_free(&lines);
    med_store_close(&store);
}

static bool refuse(void *ctx, const char *stage, uint64_t done, uint64_t total, const char *unit)
{
    (void)ctx, (void)stage, (void)done, (void)total, (void)unit;
    return false;
}

static void a_cancelled_ingest_says_so(void **state)
{
    (void)state;
    struct med_store *store = open_store();
    const struct med_progress progress = {.report = refuse};
    const struct med_ingest_options options = {.progress = &progress};
    const char *path = put_text("a.jsonl", LINE("1"));
    assert_int_equal(med_ingest(store, &path, 1, &options, &summary, NULL), MED_E_CANCELLED);
    assert_int_equal(live_documents(store), summary.added);
    med_store_close(&store);
}

static void any_order_of_update_files_gives_the_same_store(void **state)
{
    (void)state;
#define SET(inner) "<PubmedArticleSet>" inner "</PubmedArticleSet>"
#define ARTICLE(pmid, title)                                                                       \
    "<PubmedArticle><MedlineCitation><PMID Version=\"1\">" pmid                                    \
    "</PMID><Article><ArticleTitle>" title                                                         \
    "</ArticleTitle></Article></MedlineCitation></PubmedArticle>"
    const char *files[3] = {
        put_text("pubmed24n0001.xml", SET(ARTICLE("1", "old") ARTICLE("2", "kept"))),
        put_text("pubmed24n0002.xml",
            SET(ARTICLE("1", "new") "<DeleteCitation><PMID>2</PMID></DeleteCitation>")),
        put_text("pubmed24n0003.xml", SET(ARTICLE("3", "three"))),
    };
    static const int orders[][3] = {{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {1, 2, 0}};
    for (size_t i = 0; i < 4; i++) {
        struct med_store *store = open_store();
        for (size_t k = 0; k < 3; k++) assert_int_equal(ingest(store, files[orders[i][k]]), MED_OK);
        assert_int_equal(
            ingest(store, files[0]), MED_OK); /* re-reading the old one changes nothing */
        struct med_snapshot *snapshot = NULL;
        struct med_arena *arena = NULL;
        struct med_doc *doc = NULL;
        assert_int_equal(med_arena_new(MED_MIB, &arena, NULL), MED_OK);
        assert_int_equal(med_snapshot_open(store, &snapshot, NULL), MED_OK);
        assert_int_equal(med_snapshot_doc_count(snapshot), 2);
        assert_int_equal(med_snapshot_get(snapshot, MED_STR("pmid:1"), arena, &doc, NULL), MED_OK);
        assert_str(doc->title, "new");
        assert_int_equal(
            med_snapshot_get(snapshot, MED_STR("pmid:2"), arena, &doc, NULL), MED_E_GONE);
        med_arena_free(&arena);
        med_snapshot_close(&snapshot);
        med_store_close(&store);
        med_test_temp_remove(in_folder("docs"));
    }
}

static void a_real_update_file_arrives_whole(void **state)
{
    (void)state;
    char path[MED_PATH_MAX];
    if (!med_test_shared(path, "data/pubmed/medline16n0902.xml.gz")) skip();
    struct med_store *store = open_store();
    assert_int_equal(ingest(store, path), MED_OK);
    assert_int_equal(summary.records, 605);
    assert_int_equal(summary.added, 604);
    assert_int_equal(summary.deleted, 1); /* of what was never there: remembered */
    assert_int_equal(summary.skipped, 0);
    assert_int_equal(ingest(store, path), MED_OK);
    assert_int_equal(summary.unchanged, 604 + 1);
    assert_int_equal(live_documents(store), 604);
    med_store_close(&store);
}

int main(void)
{
#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sequence_numbers_come_from_names),
        cmocka_unit_test(formats_are_told_by_content),
        cmocka_unit_test(gzip_is_read_member_by_member_and_damage_is_told),
        cmocka_unit_test(gzip_may_arrive_and_be_taken_in_any_pieces),
        cmocka_unit_test(a_decompression_bomb_is_refused),
        WITH_FOLDER(the_same_thing_twice_changes_nothing),
        WITH_FOLDER(folders_are_walked_and_other_files_passed_over),
        WITH_FOLDER(the_queries_of_a_beir_folder_do_not_become_documents),
        WITH_FOLDER(a_bad_path_does_not_stop_the_others),
        WITH_FOLDER(a_truncated_gzip_keeps_what_was_complete),
        WITH_FOLDER(archives_are_read_member_by_member),
        WITH_FOLDER(a_source_name_labels_what_has_no_source_of_its_own),
        WITH_FOLDER(stdin_is_read_to_its_end),
        WITH_FOLDER(a_large_file_arrives_in_several_commits),
        WITH_FOLDER(a_cancelled_ingest_says_so),
        WITH_FOLDER(any_order_of_update_files_gives_the_same_store),
        WITH_FOLDER(a_real_update_file_arrives_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Many threads make of an input what one makes, in bounded memory. */
#include "tests/unit/ingest_help.h"

#include "common/fs.h"
#include "index/ingest/pipeline.h"
#include "index/store/store.h"
#include "tests/support/support.h"

#include <pthread.h>
#include <stdatomic.h>

/* A record in every disguise: look-alikes in comments, CDATA, attributes and instructions, inner
 * records, a broken one, one cut off by the next, a deletion. */
static void put_records(struct med_buf *out, unsigned round)
{
    unsigned id = round * 10;
    med_buf_printf(out,
        "<PubmedArticle><MedlineCitation><PMID Version=\"1\">%u</PMID><Article><ArticleTitle>"
        "Plain %u <i>x</i></ArticleTitle></Article></MedlineCitation></PubmedArticle>\n",
        id + 1, round);
    med_buf_printf(out,
        "<!-- <PubmedArticle> --><PubmedArticle><MedlineCitation><PMID>%u</PMID><Article>"
        "<ArticleTitle><![CDATA[</PubmedArticle><PubmedArticle>]]>kept</ArticleTitle>"
        "<!-- </PubmedArticle> --></Article></MedlineCitation></PubmedArticle>\n",
        id + 2);
    med_buf_printf(out,
        "<?note </PubmedArticle> ?>\n<PubmedArticle Status='/PubmedArticle>'><MedlineCitation>"
        "<PMID>%u</PMID>"
        "<Article><ArticleTitle>In <?x <PubmedArticle> ?>between</ArticleTitle></Article>"
        "</MedlineCitation></PubmedArticle>",
        id + 3);
    med_buf_printf(out,
        "<PubmedArticle><MedlineCitation><PMID>%u</PMID><Article><ArticleTitle>No end tag", id + 4);
    med_buf_printf(out,
        "<MedlineCitation><PMID>%u</PMID></MedlineCitation><PubmedArticle><MedlineCitation>"
        "<PMID>%u</PMID><Article><ArticleTitle>a < b</ArticleTitle></Article></MedlineCitation>"
        "</PubmedArticle><PubmedArticleX><PMID>1</PMID></PubmedArticleX>\n",
        id + 5, id + 6);
    med_buf_printf(out,
        "<MedlineCitation><PMID Version=\"2\">%u</PMID><Article><ArticleTitle>Alone %u"
        "</ArticleTitle><Abstract><AbstractText>%0*u</AbstractText></Abstract></Article>"
        "</MedlineCitation>\n<DeleteCitation><PMID>%u</PMID></DeleteCitation>\n",
        id + 7, round, (int)(round % 700) + 1, round, id + 1);
}

struct expected {
    struct kept *kept;
    size_t skips;
};

static void on_problem(
    void *ctx, const char *file, uint64_t offset, uint64_t line, const char *reason)
{
    (void)file;
    struct expected *e = ctx;
    if (e->skips < e->kept->skip_count) {
        assert_int_equal(offset, e->kept->skips[e->skips].offset);
        assert_int_equal(line, e->kept->skips[e->skips].line);
        assert_string_equal(reason, e->kept->skips[e->skips].reason);
    }
    e->skips++;
}

static void same_documents(struct med_store *store, const struct kept *kept)
{
    struct med_snapshot *snapshot;
    struct med_arena *arena;
    struct med_buf left, right;
    med_buf_init(&left, MED_MIB);
    med_buf_init(&right, MED_MIB);
    assert_int_equal(med_arena_new(64 * MED_MIB, &arena, NULL), MED_OK);
    assert_int_equal(med_snapshot_open(store, &snapshot, NULL), MED_OK);
    for (size_t i = 0; i < kept->doc_count; i++) {
        struct med_doc *doc;
        enum med_code code = med_snapshot_get(snapshot, kept->docs[i]->id, arena, &doc, NULL);
        med_buf_reset(&left);
        med_buf_reset(&right);
        if (code == MED_E_GONE) continue;
        assert_int_equal(code, MED_OK);
        med_doc_encode(doc, &left);
        med_doc_encode(kept->docs[i], &right);
        assert_int_equal(left.len, right.len);
        assert_memory_equal(left.data, right.data, left.len);
        med_arena_reset(arena);
    }
    assert_int_equal(med_snapshot_doc_count(snapshot), kept->doc_count - kept->deletion_count);
    med_snapshot_close(&snapshot);
    med_arena_free(&arena);
    med_buf_free(&left);
    med_buf_free(&right);
}

static void many_threads_make_what_one_makes(void **state)
{
    (void)state;
    enum { ROUNDS = 99 }; /* kept->deletions holds no more */
    char dir[MED_PATH_MAX], path[MED_PATH_MAX], docs[MED_PATH_MAX];
    struct med_buf xml;
    struct med_store *store;
    struct med_err err = {0};
    med_buf_init(&xml, 64 * MED_MIB);
    med_buf_puts(
        &xml, "<?xml version=\"1.0\"?>\n<!DOCTYPE x [<!ELEMENT PubmedArticle ANY>]>\n<Set>");
    for (unsigned i = 0; i < ROUNDS; i++) {
        put_records(&xml, i);
        med_buf_printf(&xml, "<filler>%0*u</filler>\n", 9000, i); /* many pieces */
        if (i == 50) {                                            /* larger than a piece */
            med_buf_puts(&xml, "<MedlineCitation><PMID>7777777</PMID><Article><ArticleTitle>");
            med_buf_printf(&xml, "%0*u", 700000, i);
            med_buf_puts(&xml, "</ArticleTitle></Article></MedlineCitation>");
        }
    }
    struct kept *kept = parse_bytes(MED_FORMAT_PUBMED_XML, med_buf_str(&xml), 0);
    assert_int_equal(kept->doc_count, ROUNDS * 4 + 1);
    assert_int_equal(kept->deletion_count, ROUNDS);
    assert_true(kept->skip_count == 100); /* as many as are kept */
    med_test_temp_new(dir);
    assert_int_equal(med_path_join(path, dir, "all.xml", &err), MED_OK);
    assert_int_equal(med_path_join(docs, dir, "docs", &err), MED_OK);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(xml.data, 1, xml.len, file), xml.len);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(med_store_open(docs, MED_STORE_READ_WRITE, &store, &err), MED_OK);
    struct expected expected = {.kept = kept};
    struct med_ingest_options options = {.problem = on_problem, .problem_ctx = &expected};
    struct med_ingest_summary summary;
    const char *paths[] = {path};
    for (int again = 0; again < 2; again++) {
        expected.skips = 0;
        assert_int_equal(med_ingest(store, paths, 1, &options, &summary, &err), MED_OK);
        assert_int_equal(summary.records, ROUNDS * 5 + 1);
        assert_int_equal(summary.skipped, expected.skips);
        assert_int_equal(summary.bytes_read, xml.len);
    }
    same_documents(store, kept);
    struct med_snapshot *snapshot;
    uint64_t problems;
    assert_int_equal(med_snapshot_open(store, &snapshot, NULL), MED_OK);
    assert_int_equal(med_snapshot_check(snapshot, NULL, &problems, &err), MED_OK);
    med_snapshot_close(&snapshot);
    med_store_close(&store);
    med_test_temp_remove(dir);
    kept_free(kept);
    med_buf_free(&xml);
}

/* Hands out everything up to `cut` at once, then the rest. */
static enum med_code cut_read(
    void *ctx, void *ptr, size_t cap, size_t *ret_len, struct med_err *err)
{
    struct bytes_input *b = ctx;
    size_t until = b->pos < b->step ? b->step : b->bytes.len;
    struct bytes_input part = {.bytes = {b->bytes.ptr, until}, .pos = b->pos};
    enum med_code code = bytes_read(&part, ptr, cap, ret_len, err);
    b->pos = part.pos;
    return code;
}

static void a_cut_between_reads_may_fall_anywhere(void **state)
{
    (void)state;
    struct med_buf xml;
    med_buf_init(&xml, MED_MIB);
    med_buf_puts(&xml, "<Set>");
    put_records(&xml, 1);
    med_buf_puts(&xml, "</Set>");
    struct kept *whole = parse_bytes(MED_FORMAT_PUBMED_XML, med_buf_str(&xml), 0);
    assert_int_equal(whole->doc_count, 4);
    assert_int_equal(whole->skip_count, 2);
    for (size_t cut = 1; cut < xml.len; cut++) {
        struct kept *kept = kept_new();
        struct med_doc_sink sink = kept_sink(kept);
        struct bytes_input b = {.bytes = med_buf_str(&xml), .step = cut};
        struct med_input in = {.read = cut_read, .ctx = &b};
        assert_int_equal(med_parse(&in, MED_FORMAT_PUBMED_XML, &sink, NULL), MED_OK);
        assert_int_equal(kept->doc_count, whole->doc_count);
        assert_int_equal(kept->deletion_count, whole->deletion_count);
        assert_int_equal(kept->skip_count, whole->skip_count);
        for (size_t i = 0; i < whole->doc_count; i++)
            assert_true(med_str_eq(kept->docs[i]->title, whole->docs[i]->title));
        for (size_t i = 0; i < whole->skip_count; i++) {
            assert_int_equal(kept->skips[i].offset, whole->skips[i].offset);
            assert_int_equal(kept->skips[i].line, whole->skips[i].line);
            assert_string_equal(kept->skips[i].reason, whole->skips[i].reason);
        }
        kept_free(kept);
    }
    kept_free(whole);
    med_buf_free(&xml);
}

/* ---- the pipeline alone ---- */

#define PIECE_BYTES ((size_t)MED_MIB)
#define PIECES 200u

struct flow {
    struct med_pipeline *pipeline;
    atomic_uint pushed;
    bool stopped;
};

static enum med_code work(void *ctx, struct med_piece *piece, struct med_err *err)
{
    (void)ctx, (void)err;
    piece->bytes_done++;
    return MED_OK;
}

static void *push_pieces(void *ctx)
{
    struct flow *flow = ctx;
    for (unsigned i = 0; i < PIECES && !flow->stopped; i++) {
        struct med_piece *piece = med_pipeline_blank(flow->pipeline);
        if (!piece || !med_buf_extend(&piece->bytes, PIECE_BYTES)) abort();
        piece->file = i;
        piece->bytes_done = 0;
        atomic_fetch_add(&flow->pushed, 1);
        flow->stopped = !med_pipeline_push(flow->pipeline, piece);
    }
    med_pipeline_end(flow->pipeline);
    return NULL;
}

static void pieces_keep_their_order_and_wait_for_room(void **state)
{
    (void)state;
    void *ctxs[3] = {NULL};
    struct flow flow = {0};
    pthread_t reader;
    assert_int_equal(med_pipeline_new(3, work, ctxs, &flow.pipeline, NULL), MED_OK);
    assert_int_equal(pthread_create(&reader, NULL, push_pieces, &flow), 0);
    unsigned taken = 0;
    for (;;) {
        struct med_piece *piece;
        enum med_pop got = med_pipeline_pop(flow.pipeline, 1000, &piece);
        if (got == MED_POP_END) break;
        if (got == MED_POP_NOTHING_YET) continue;
        assert_int_equal(piece->file, taken++);
        assert_int_equal(piece->bytes_done, 1);
        /* One that waits for room has been counted, too. */
        assert_in_range(
            atomic_load(&flow.pushed), taken, taken + MED_PIPELINE_BYTES / PIECE_BYTES + 1);
        med_pipeline_recycle(flow.pipeline, piece);
    }
    assert_int_equal(taken, PIECES);
    assert_int_equal(pthread_join(reader, NULL), 0);
    med_pipeline_free(&flow.pipeline);
    assert_null(flow.pipeline);
}

static void who_waits_for_room_is_woken_by_a_stop(void **state)
{
    (void)state;
    void *ctxs[1] = {NULL};
    struct flow flow = {0};
    pthread_t reader;
    assert_int_equal(med_pipeline_new(1, work, ctxs, &flow.pipeline, NULL), MED_OK);
    assert_int_equal(pthread_create(&reader, NULL, push_pieces, &flow), 0);
    struct med_piece *piece;
    while (med_pipeline_pop(flow.pipeline, 1000, &piece) != MED_POP_PIECE) continue;
    med_pipeline_recycle(flow.pipeline, piece);
    med_pipeline_stop(flow.pipeline);
    assert_int_equal(pthread_join(reader, NULL), 0); /* would wait forever */
    assert_true(flow.stopped);
    med_pipeline_free(&flow.pipeline);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_threads_make_what_one_makes),
        cmocka_unit_test(a_cut_between_reads_may_fall_anywhere),
        cmocka_unit_test(pieces_keep_their_order_and_wait_for_room),
        cmocka_unit_test(who_waits_for_room_is_woken_by_a_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

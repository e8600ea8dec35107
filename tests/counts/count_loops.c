/* Fixed work, whose instructions are counted (counts.py):
 *
 *   count_loops prepare DIR SAMPLE   makes the collection in an empty folder; not counted
 *   count_loops run DIR SAMPLE       does each piece of work; prints its name and repetitions
 *
 * The collection are 21,000 documents made of sentences of deploy/sample, by a fixed seed and with
 * one thread: enough for a graph. Each piece of work is a function named op_..., called once, after
 * the same work was done elsewhere (warm), so that what is made on first use is not counted. */
#include "common/cpu.h"
#include "common/fs.h"
#include "common/mem.h"
#include "common/rng.h"
#include "index/build.h"
#include "index/doc_set.h"
#include "index/ingest/ingest.h"
#include "index/internal.h"
#include "service/answer.h"

#include <stdio.h>
#include <stdlib.h>

#define DOCS 21000u
#define SENTENCES 5u /* of a document */
#define QUERIES 64u  /* sentences as well, of at most: */
#define QUERY_BYTES 90u
#define PASSAGES 1000u /* of what is done passage by passage */
#define OP __attribute__((noinline, noclone))

struct work {
    struct med_data *data;
    struct med_store *store;
    struct med_index *index;
    struct med_searcher *searcher;
    struct med_arena *kept, *arena;
    const struct med_segment *segment;
    struct med_buf xml, json;
    size_t xml_records;
    struct med_str *sentences;
    size_t sentence_count, sentence_cap;
    struct med_str queries[QUERIES];
    struct query parsed[QUERIES];
    struct med_lex_query lexical[QUERIES];
    float vectors[QUERIES][MED_DIM_MAX];
    struct med_str passages[PASSAGES];
    struct med_bag bags[PASSAGES];
    uint64_t *docs, *words;
    struct med_answer *answer;
};

static struct med_err err;

static void must(enum med_code code)
{
    if (code == MED_OK) return;
    fprintf(stderr, "count_loops: %s\n", err.text);
    exit(1);
}

/* --- the sample --- */

static enum med_code keep_document(void *ctx, const struct med_doc *doc, struct med_err *e)
{
    struct work *w = ctx;
    w->xml_records++;
    for (size_t i = 0; i < doc->section_count; i++) {
        struct med_span *spans;
        size_t count;
        struct med_str body;
        if (!med_arena_str(w->kept, doc->sections[i].body, &body)) return MED_E_NOMEM;
        enum med_code code = med_sentences(body, w->kept, &spans, &count, e);
        if (code) return code;
        for (size_t k = 0; k < count; k++) {
            if (!med_grow(
                    &w->sentences, &w->sentence_cap, w->sentence_count + 1, sizeof *w->sentences))
                return MED_E_NOMEM;
            w->sentences[w->sentence_count++] = med_str_sub(body, spans[k].start, spans[k].end);
        }
    }
    return MED_OK;
}

static enum med_code pass_document(void *ctx, const struct med_doc *doc, struct med_err *e)
{
    (void)ctx, (void)doc, (void)e;
    return MED_OK;
}

static enum med_code pass_deletion(
    void *ctx, struct med_str id, struct med_precedence precedence, struct med_err *e)
{
    (void)ctx, (void)id, (void)precedence, (void)e;
    return MED_OK;
}

static enum med_code refuse_skipped(
    void *ctx, uint64_t offset, uint64_t line, const char *reason, struct med_err *e)
{
    (void)ctx, (void)offset, (void)line;
    return med_fail(e, MED_E_INVALID, "%s", reason);
}

struct reader {
    struct med_str left;
};

static enum med_code read_some(void *ctx, void *ptr, size_t cap, size_t *ret_len, struct med_err *e)
{
    struct reader *r = ctx;
    (void)e;
    *ret_len = r->left.len < cap ? r->left.len : cap;
    memcpy(ptr, r->left.ptr, *ret_len);
    r->left = med_str_sub(r->left, *ret_len, r->left.len);
    return MED_OK;
}

static void parse_xml(struct work *w,
    enum med_code (*document)(void *ctx, const struct med_doc *doc, struct med_err *e))
{
    struct reader reader = {.left = med_buf_str(&w->xml)};
    const struct med_input in = {
        .read = read_some, .ctx = &reader, .name = MED_STR("cardiology.xml")};
    const struct med_doc_sink sink = {
        .document = document, .deletion = pass_deletion, .skipped = refuse_skipped, .ctx = w};
    must(med_parse(&in, MED_FORMAT_PUBMED_XML, &sink, &err));
}

static void open_store(struct work *w, const char *dir, bool create)
{
    char docs[MED_PATH_MAX];
    must(med_path_join(docs, dir, "docs", &err));
    must(med_data_open(dir, create, med_fs_posix(), &w->data, &err));
    must(
        med_store_open(docs, create ? MED_STORE_READ_WRITE : MED_STORE_READ_ONLY, &w->store, &err));
}

static void prepare(struct work *w)
{
    struct med_batch *batch;
    struct med_rng rng;
    med_rng_seed(&rng, 1);
    must(med_batch_begin(w->store, &batch, &err));
    for (unsigned n = 0; n < DOCS; n++) {
        struct med_buf body;
        enum med_put_outcome outcome;
        med_arena_reset(w->arena);
        med_buf_init(&body, MED_MIB);
        for (unsigned i = 0; i < SENTENCES; i++) {
            if (i) med_buf_putc(&body, ' ');
            med_buf_append_str(&body, w->sentences[med_rng_below(&rng, w->sentence_count)]);
        }
        struct med_section section = {.kind = MED_SECTION_ABSTRACT, .body = med_buf_str(&body)};
        struct med_doc doc = {.id = med_str_of(med_arena_printf(w->arena, "doc:%05u", n)),
            .source_id = med_str_of(med_arena_printf(w->arena, "%05u", n)),
            .source = MED_SOURCE_OTHER,
            .title = w->sentences[med_rng_below(&rng, w->sentence_count)],
            .date = {.year = (uint16_t)(1990 + n % 35)},
            .sections = &section,
            .section_count = 1};
        must(med_batch_put(batch, &doc, &outcome, &err));
        med_buf_free(&body);
    }
    must(med_batch_commit(&batch, &err));
    const struct med_build_options options = {.threads = 1, .dim = 64, .reference_date = 20260101};
    struct med_build_report report;
    must(med_build(w->data, w->store, &options, &report, &err));
}

/* --- inputs of the work --- */

static void make_queries(struct work *w)
{
    for (size_t i = 0; i < QUERIES; i++) {
        struct med_str s = w->sentences[i * w->sentence_count / QUERIES];
        w->queries[i] = med_str_sub(s, 0, s.len < QUERY_BYTES ? s.len : QUERY_BYTES);
        struct med_search_request request = MED_SEARCH_REQUEST_DEFAULT;
        struct med_ranking *ranking;
        request.query = w->queries[i];
        must(med_rank(w->index, w->searcher, &request, w->kept, &ranking, &err));
        must(query_analyse(w->searcher->analyzer, w->queries[i], w->kept, &w->parsed[i], &err));
        struct query *q = &w->parsed[i];
        struct med_lex_term *terms = med_arena_calloc(w->kept, q->term_count + 1, sizeof *terms);
        uint32_t *rows = med_arena_calloc(w->kept, q->term_count + 1, sizeof *rows);
        float *counts = med_arena_calloc(w->kept, q->term_count + 1, sizeof *counts);
        struct med_bag bag = {.rows = rows, .counts = counts};
        w->lexical[i] =
            (struct med_lex_query){.terms = terms, .k1 = 1.2f, .b = .6f, .avg_len = 100};
        for (size_t t = 0; t < q->term_count; t++) {
            uint32_t ordinal, df, row = med_corpus_find(w->index->encoder, q->terms[t].term);
            q->terms[t].idf = (float)query_idf(w->index, q->terms[t].term);
            if (med_segment_find(w->segment, q->terms[t].term, &ordinal, &df))
                terms[w->lexical[i].term_count++] = (struct med_lex_term){
                    .ordinal = ordinal, .weight = q->terms[t].idf * q->terms[t].weight};
            rows[bag.count] = row;
            counts[bag.count] = q->terms[t].weight;
            bag.count += row != MED_NO_TERM;
        }
        med_corpus_encode(w->index->encoder, &bag, w->vectors[i], NULL);
        must(med_search(w->index, w->searcher, &request, w->kept, &w->answer, &err));
    }
}

static void make_passages(struct work *w)
{
    for (size_t i = 0; i < PASSAGES; i++) {
        const struct med_token *tokens;
        size_t count;
        struct med_buf text;
        med_buf_init(&text, MED_MIB);
        for (size_t k = 0; k < SENTENCES; k++) {
            med_buf_append_str(&text, w->sentences[(i * 7 + k * 13) % w->sentence_count]);
            med_buf_putc(&text, ' ');
        }
        if (!med_arena_str(w->kept, med_buf_str(&text), &w->passages[i])) abort();
        med_buf_free(&text);
        must(med_analyze(w->searcher->analyzer, w->passages[i], &tokens, &count, &err));
        uint32_t *rows = med_arena_calloc(w->kept, count + 1, sizeof *rows);
        float *counts = med_arena_calloc(w->kept, count + 1, sizeof *counts);
        struct med_bag *bag = &w->bags[i];
        *bag = (struct med_bag){.rows = rows, .counts = counts};
        for (size_t t = 0; t < count; t++) {
            rows[bag->count] = med_corpus_find(w->index->encoder, tokens[t].term);
            counts[bag->count] = 1;
            bag->count += rows[bag->count] != MED_NO_TERM;
        }
    }
}

/* --- the work --- */

static size_t analyse(struct work *w)
{
    for (size_t i = 0; i < PASSAGES; i++) {
        const struct med_token *tokens;
        size_t count;
        must(med_analyze(w->searcher->analyzer, w->passages[i], &tokens, &count, &err));
    }
    return PASSAGES;
}

static size_t encode(struct work *w)
{
    float vector[MED_DIM_MAX];
    for (size_t i = 0; i < PASSAGES; i++)
        med_corpus_encode(w->index->encoder, &w->bags[i], vector, NULL);
    return PASSAGES;
}

static size_t lexical(struct work *w, size_t k)
{
    struct med_hit hits[MED_POOL_DEPTH_DEFAULT];
    size_t count;
    for (size_t i = 0; i < QUERIES; i++)
        must(med_lex_search(w->segment->lex, w->searcher->scratch, &w->lexical[i],
            (struct med_filter){0}, NULL, k, hits, &count, &err));
    return QUERIES;
}

static size_t lexical_10(struct work *w)
{
    return lexical(w, 10);
}

static size_t lexical_200(struct work *w)
{
    return lexical(w, MED_POOL_DEPTH_DEFAULT);
}

static size_t dense(struct work *w, bool exact)
{
    const struct med_dense_params params = {.exact = exact};
    struct med_hit hits[10];
    size_t count;
    for (size_t i = 0; i < QUERIES; i++)
        must(med_dense_search(w->segment->dense, w->vectors[i], (struct med_filter){0}, &params, 10,
            hits, &count, &err));
    return QUERIES;
}

static size_t dense_walk(struct work *w)
{
    return dense(w, false);
}

static size_t dense_scan(struct work *w)
{
    return dense(w, true);
}

static size_t rank_hybrid(struct work *w)
{
    for (size_t i = 0; i < QUERIES; i++) {
        struct med_search_request request = MED_SEARCH_REQUEST_DEFAULT;
        struct med_ranking *ranking;
        request.query = w->queries[i];
        med_arena_reset(w->arena);
        must(med_rank(w->index, w->searcher, &request, w->arena, &ranking, &err));
    }
    return QUERIES;
}

static size_t search_hybrid(struct work *w)
{
    for (size_t i = 0; i < QUERIES; i++) {
        struct med_search_request request = MED_SEARCH_REQUEST_DEFAULT;
        request.query = w->queries[i];
        struct med_answer *answer;
        med_arena_reset(w->arena);
        must(med_search(w->index, w->searcher, &request, w->arena, &answer, &err));
    }
    return QUERIES;
}

static size_t snippet(struct work *w)
{
    for (size_t i = 0; i < PASSAGES; i++) {
        const struct snippet_terms terms = snippet_terms_of(&w->parsed[i % QUERIES]);
        struct med_str text;
        struct med_span *highlights;
        size_t count;
        med_arena_reset(w->arena);
        must(snippet_make(w->searcher->analyzer, w->passages[i], &terms, w->arena, &text,
            &highlights, &count, &err));
    }
    return PASSAGES;
}

static size_t filter_years(struct work *w)
{
    for (unsigned i = 0; i < 100; i++) {
        doc_set_fill(w->docs, w->segment->doc_count);
        doc_set_years(w->segment, w->docs, 1990 + i % 30, 2000 + i % 30);
        (void)doc_set_passages(w->segment, w->docs, w->words);
    }
    return 100;
}

static size_t load_document(struct work *w)
{
    struct med_snapshot *snapshot;
    must(med_snapshot_open(w->store, &snapshot, &err));
    for (uint32_t i = 0; i < PASSAGES; i++) {
        struct med_doc *doc;
        med_arena_reset(w->arena);
        must(med_snapshot_get(
            snapshot, med_segment_doc_id(w->segment, i * 17), w->arena, &doc, &err));
    }
    med_snapshot_close(&snapshot);
    return PASSAGES;
}

static size_t answer_as_json(struct work *w)
{
    struct search_params params;
    struct view view = {.public_url = public_url_of(NULL)};
    search_params_init(&params);
    params.request.query = w->queries[QUERIES - 1];
    for (unsigned i = 0; i < 100; i++) {
        med_buf_reset(&w->json);
        answer_json(&view, &params, med_index_manifest(w->index), w->answer, &w->json);
    }
    must(med_buf_status(&w->json, &err));
    return 100;
}

static size_t xml_record(struct work *w)
{
    parse_xml(w, pass_document);
    return w->xml_records;
}

#define COUNTED(name)                                                                              \
    OP static size_t op_##name(struct work *w)                                                     \
    {                                                                                              \
        return name(w);                                                                            \
    }
COUNTED(analyse)
COUNTED(encode)
COUNTED(lexical_10)
COUNTED(lexical_200)
COUNTED(dense_walk)
COUNTED(dense_scan)
COUNTED(rank_hybrid)
COUNTED(search_hybrid)
COUNTED(snippet)
COUNTED(filter_years)
COUNTED(load_document)
COUNTED(answer_as_json)
COUNTED(xml_record)

static const struct {
    const char *name;
    size_t (*warm)(struct work *w);
    size_t (*op)(struct work *w);
} ops[] = {{"analyse", analyse, op_analyse}, {"encode", encode, op_encode},
    {"lexical_10", lexical_10, op_lexical_10}, {"lexical_200", lexical_200, op_lexical_200},
    {"dense_walk", dense_walk, op_dense_walk}, {"dense_scan", dense_scan, op_dense_scan},
    {"rank_hybrid", rank_hybrid, op_rank_hybrid},
    {"search_hybrid", search_hybrid, op_search_hybrid}, {"snippet", snippet, op_snippet},
    {"filter_years", filter_years, op_filter_years},
    {"load_document", load_document, op_load_document},
    {"answer_as_json", answer_as_json, op_answer_as_json},
    {"xml_record", xml_record, op_xml_record}};

static void run(struct work *w)
{
    must(med_index_open(w->data, w->store, 0, true, &w->index, &err));
    w->segment = med_index_segment(w->index, 0);
    w->docs = med_calloc(doc_set_words(w->segment), sizeof *w->docs);
    w->words = med_calloc((size_t)w->segment->chunk_count / 64 + 1, sizeof *w->words);
    if (!w->docs || !w->words) abort();
    if (med_dense_describe(w->segment->dense).kind != MED_DENSE_HNSW)
        must(med_fail(&err, MED_E_INVALID, "the collection has no graph"));
    make_queries(w);
    make_passages(w);
    printf("cpu %s\n", med_cpu_name(med_cpu_level()));
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        (void)ops[i].warm(w);
        printf("%s %zu\n", ops[i].name, ops[i].op(w));
    }
    med_free(w->docs);
    med_free(w->words);
    med_index_release(&w->index);
}

int main(int argc, char **argv)
{
    struct work *w = med_calloc(1, sizeof *w);
    char path[MED_PATH_MAX];
    if (argc != 4 || !w) {
        fprintf(stderr, "Usage: count_loops prepare|run DIR SAMPLE\n");
        return 2;
    }
    bool create = strcmp(argv[1], "prepare") == 0;
    must(med_arena_new(MED_GIB, &w->kept, &err));
    must(med_arena_new(MED_GIB, &w->arena, &err));
    must(med_searcher_new(&w->searcher, &err));
    med_buf_init(&w->xml, 16 * MED_MIB);
    med_buf_init(&w->json, 16 * MED_MIB);
    must(med_path_join(path, argv[3], "pubmed/cardiology.xml", &err));
    must(med_read_file(path, &w->xml, &err));
    parse_xml(w, keep_document);
    open_store(w, argv[2], create);
    if (create)
        prepare(w);
    else
        run(w);
    med_store_close(&w->store);
    med_data_close(&w->data);
    med_searcher_free(&w->searcher);
    med_buf_free(&w->xml);
    med_buf_free(&w->json);
    med_free(w->sentences);
    med_arena_free(&w->kept);
    med_arena_free(&w->arena);
    med_free(w);
    return 0;
}

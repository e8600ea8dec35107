/* What every engine of a comparison is given, from a data folder of medicus:
 *
 *   bench_extract DATA OUT QUERIES_MAX QUERIES.jsonl...
 *
 *   OUT/raw.txt      "title TAB text", one line per passage; one passage is one document everywhere
 *   OUT/terms.txt    the terms of the same passage, blanks between them; those of the title as
 * often as BM25F counts them, so that plain BM25 over this line is BM25F over the fields
 *   OUT/queries.txt  "question TAB distinct terms": of all files evenly, in a seeded random order,
 *                    so that the first n are as good a sample as all
 *   OUT/vectors.f32, OUT/queries.f32   the vectors of passages and questions that have one
 *   OUT/meta.json    how many of each, and the bytes of text */
#include "engine.h"

#include "common/arena.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/rng.h"
#include "index/document/text.h"
#include "index/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct out {
    FILE *raw, *terms, *vectors;
    uint64_t passages, text_bytes, vector_rows, queries, query_rows;
};

struct extract {
    struct med_data *data;
    struct med_store *store;
    struct med_snapshot *snapshot;
    struct med_index *index;
    struct med_analyzer *analyzer;
    struct med_arena *arena;
    const char *dir;
    float *row;
    struct out out;
};

static void must(enum med_code code, const struct med_err *err)
{
    if (code != MED_OK) engine_die(err->text);
}

static FILE *create(const struct extract *x, const char *name)
{
    struct med_err err = {0};
    char path[MED_PATH_MAX];
    must(med_path_join(path, x->dir, name, &err), &err);
    FILE *file = fopen(path, "w");
    if (!file) engine_die("a file cannot be created");
    return file;
}

static void finish(FILE *file)
{
    if (ferror(file) || fclose(file) != 0) engine_die("a file cannot be written");
}

/* Without tabs and line ends, which separate fields and passages here. */
static void put_raw(FILE *file, struct med_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        putc_unlocked(c < ' ' || c == 0x7f ? ' ' : c, file);
    }
}

static void put_terms(struct extract *x, struct med_str text, uint32_t times)
{
    struct med_err err = {0};
    const struct med_token *tokens;
    size_t count;
    must(med_analyze(x->analyzer, text, &tokens, &count, &err), &err);
    for (uint32_t t = 0; t < times; t++)
        for (size_t i = 0; i < count; i++)
            fprintf(x->out.terms, MED_STR_FMT " ", MED_STR_ARG(tokens[i].term));
}

static void put_passage(struct extract *x, struct med_str title, struct med_str text)
{
    put_raw(x->out.raw, title);
    putc('\t', x->out.raw);
    put_raw(x->out.raw, text);
    putc('\n', x->out.raw);
    put_terms(x, title, MED_LEX_WEIGHTS_DEFAULT.title);
    put_terms(x, text, 1);
    putc('\n', x->out.terms);
    x->out.text_bytes += title.len + text.len;
    x->out.passages++;
}

static void put_vector(struct extract *x, const struct med_segment *segment, uint32_t chunk)
{
    struct med_err err = {0};
    if (!segment->dense || med_dense_is_zero(segment->dense, chunk)) return;
    must(med_dense_row(segment->dense, chunk, x->row, &err), &err);
    fwrite(x->row, sizeof *x->row, med_dense_dim(segment->dense), x->out.vectors);
    x->out.vector_rows++;
}

static void put_document(struct extract *x, const struct med_segment *segment, uint32_t ordinal)
{
    struct med_err err = {0};
    struct med_doc *doc;
    struct med_text *text;
    const struct med_doc_row *row = &segment->docs[ordinal];
    med_arena_reset(x->arena);
    must(med_snapshot_get_version(
             x->snapshot, med_segment_doc_id(segment, ordinal), row->version, x->arena, &doc, &err),
        &err);
    must(med_text_make(doc, x->arena, &text, &err), &err);
    struct med_str title = med_str_sub(text->bytes, text->title.start, text->title.end);
    for (uint32_t c = row->first_chunk; c < row->first_chunk + row->chunk_count; c++) {
        struct med_chunk_row span = segment->chunks[c];
        struct med_str body = {0}; /* a document without one has its title as passage */
        if (span.start >= text->title.end) body = med_str_sub(text->bytes, span.start, span.end);
        put_passage(x, title, body);
        put_vector(x, segment, c);
    }
}

static void put_passages(struct extract *x)
{
    x->out.raw = create(x, "raw.txt");
    x->out.terms = create(x, "terms.txt");
    x->out.vectors = create(x, "vectors.f32");
    for (uint32_t s = 0; s < x->index->segment_count; s++) {
        const struct med_segment *segment = x->index->segments[s];
        for (uint32_t d = 0; d < segment->doc_count; d++)
            if (med_segment_is_live(segment, d)) put_document(x, segment, d);
    }
    finish(x->out.raw);
    finish(x->out.terms);
    finish(x->out.vectors);
}

static void put_query(struct extract *x, struct med_str text, FILE *queries, FILE *vectors)
{
    struct med_err err = {0};
    struct query query;
    med_arena_reset(x->arena);
    must(query_analyse(x->analyzer, text, x->arena, &query, &err), &err);
    put_raw(queries, text);
    putc('\t', queries);
    for (size_t i = 0; i < query.term_count; i++)
        fprintf(queries, MED_STR_FMT " ", MED_STR_ARG(query.terms[i].term));
    putc('\n', queries);
    x->out.queries++;

    const struct med_corpus_encoder *encoder = x->index->encoder;
    if (!encoder) return;
    uint32_t rows[MED_QUERY_TERMS_MAX];
    float counts[MED_QUERY_TERMS_MAX];
    struct med_bag bag = {.rows = rows, .counts = counts, .count = query.term_count};
    for (size_t i = 0; i < query.term_count; i++) {
        rows[i] = med_corpus_find(encoder, query.terms[i].term);
        counts[i] = query.terms[i].weight;
    }
    bool known;
    med_corpus_encode(encoder, &bag, x->row, &known);
    if (!known) return;
    fwrite(x->row, sizeof *x->row, med_corpus_dim(encoder), vectors);
    x->out.query_rows++;
}

static void put_queries(struct extract *x, size_t max, char **paths, int path_count)
{
    struct lines *files = med_calloc((size_t)path_count, sizeof *files);
    struct med_str *all = NULL;
    size_t count = 0, cap = 0;
    if (!files) engine_die("out of memory");
    for (int i = 0; i < path_count; i++) {
        lines_open(paths[i], &files[i]);
        for (size_t j = 0; j < files[i].count; j++) {
            if (!med_grow(&all, &cap, count + 1, sizeof *all)) engine_die("out of memory");
            all[count++] = files[i].items[j];
        }
    }
    if (max > count) max = count;
    for (size_t i = 0; i < max; i++) all[i] = all[i * count / max];
    struct med_rng rng;
    med_rng_seed(&rng, 1);
    FILE *queries = create(x, "queries.txt"), *vectors = create(x, "queries.f32");
    for (size_t left = max; left > 0; left--) {
        struct med_err err = {0};
        struct med_json *line;
        size_t chosen = med_rng_below(&rng, (uint32_t)left);
        must(med_json_parse(all[chosen].ptr, all[chosen].len, &line, &err), &err);
        put_query(x, med_json_get_str(line, "text"), queries, vectors);
        med_json_free(&line);
        all[chosen] = all[left - 1];
    }
    finish(queries);
    finish(vectors);
    for (int i = 0; i < path_count; i++) lines_close(&files[i]);
    med_free(files);
    med_free(all);
}

static void open_all(struct extract *x, const char *data)
{
    struct med_err err = {0};
    char docs[MED_PATH_MAX];
    must(med_analyzer_new(&x->analyzer, &err), &err);
    must(med_arena_new(256 * MED_MIB, &x->arena, &err), &err);
    must(med_data_open(data, false, med_fs_posix(), &x->data, &err), &err);
    must(med_path_join(docs, data, "docs", &err), &err);
    must(med_store_open(docs, MED_STORE_READ_ONLY, &x->store, &err), &err);
    must(med_index_open(x->data, x->store, 0, true, &x->index, &err), &err);
    must(med_snapshot_open(x->store, &x->snapshot, &err), &err);
    if (x->index->encoder) {
        x->row = med_calloc(med_corpus_dim(x->index->encoder), sizeof *x->row);
        if (!x->row) engine_die("out of memory");
    }
}

static void close_all(struct extract *x)
{
    med_free(x->row);
    med_snapshot_close(&x->snapshot);
    med_index_release(&x->index);
    med_store_close(&x->store);
    med_data_close(&x->data);
    med_arena_free(&x->arena);
    med_analyzer_free(&x->analyzer);
}

int main(int argc, char **argv)
{
    struct med_err err = {0};
    unsigned long long max;
    if (argc < 5 || !med_str_to_u64(med_str_of(argv[3]), &max) || max == 0)
        engine_die("usage: bench_extract DATA OUT QUERIES_MAX QUERIES.jsonl...");
    struct extract x = {.dir = argv[2]};
    must(med_fs_mkdir_all(med_fs_posix(), x.dir, &err), &err);
    open_all(&x, argv[1]);
    put_passages(&x);
    put_queries(&x, (size_t)max, argv + 4, argc - 4);
    FILE *meta = create(&x, "meta.json");
    fprintf(meta,
        "{\"passages\":%" PRIu64 ",\"text_bytes\":%" PRIu64 ",\"vectors\":%" PRIu64
        ",\"dim\":%u,\"queries\":%" PRIu64 ",\"query_vectors\":%" PRIu64 "}\n",
        x.out.passages, x.out.text_bytes, x.out.vector_rows,
        x.index->encoder ? med_corpus_dim(x.index->encoder) : 0, x.out.queries, x.out.query_rows);
    finish(meta);
    close_all(&x);
    return 0;
}

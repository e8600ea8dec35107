/* Collections for benchmarks:
 *
 *   bench_collection passages DATA                        the passages of a data folder
 *   bench_collection generate SEED PASSAGES SOURCE.jsonl  as many, made from those of the source
 *   bench_collection compare SOURCE.jsonl RESULT.jsonl QUESTIONS.jsonl...
 *
 * The first two write JSON Lines that `medicus ingest` and the peers read (`_id`, `title`, `text`:
 * one record, one passage); compare prints the distributions of two collections side by side. */
#include "tests/bench/bench_collection.h"

#include "common/fs.h"
#include "common/limits.h"
#include "common/mem.h"
#include "index/document/text.h"
#include "index/store/store.h"
#include "tests/bench/lines.h"

#include <stdio.h>
#include <stdlib.h>

const char *const bench_kind_names[BENCH_KIND_COUNT] = {"citation", "abstract", "article"};

void bench_must(enum med_code code, const struct med_err *err)
{
    if (code == MED_OK) return;
    fprintf(stderr, "bench_collection: %s\n", err->text);
    exit(1);
}

void *bench_calloc(size_t count, size_t size)
{
    void *p = med_calloc(count ? count : 1, size);
    if (p) return p;
    fprintf(stderr, "bench_collection: out of memory\n");
    exit(1);
}

/* --- reading --- */

static enum bench_kind kind_of(const struct bench_record *r)
{
    if (r->title.len == 0) return BENCH_CITATION;
    if (med_str_starts(r->id, MED_STR("pmcid:")) || med_str_starts(r->id, MED_STR("article:")))
        return BENCH_ARTICLE;
    return BENCH_ABSTRACT;
}

static struct bench_record record_of(const struct med_json *line)
{
    struct bench_record r = {.id = med_json_get_str(line, "_id"),
        .title = med_json_get_str(line, "title"),
        .text = med_json_get_str(line, "text")};
    const char *tilde = r.id.len ? memchr(r.id.ptr, '~', r.id.len) : NULL;
    r.document = tilde ? med_str_sub(r.id, 0, (size_t)(tilde - r.id.ptr)) : r.id;
    r.kind = kind_of(&r);
    return r;
}

struct reader {
    void (*fn)(void *ctx, const struct bench_record *record);
    void *ctx;
};

static void read_record(void *ctx, const struct med_json *line)
{
    const struct reader *r = ctx;
    struct bench_record record = record_of(line);
    r->fn(r->ctx, &record);
}

void bench_each_record(
    const char *path, void (*fn)(void *ctx, const struct bench_record *record), void *ctx)
{
    struct med_err err = {0};
    struct reader r = {fn, ctx};
    bench_must(bench_each_line(path, read_record, &r, &err), &err);
}

/* --- the passages of a data folder --- */

static enum med_code dump_passage(struct med_buf *line, const struct med_doc *doc,
    const struct med_text *text, const struct med_chunk *chunk, struct med_err *err)
{
    med_buf_reset(line);
    struct med_jw w = med_jw_of(line, false);
    char id[MED_ID_BYTES_MAX + 16];
    snprintf(id, sizeof id, MED_STR_FMT "~%u", MED_STR_ARG(doc->id), chunk->number);
    med_jw_object(&w);
    med_jw_kcstr(&w, "_id", id);
    med_jw_kstr(&w, "title", doc->title);
    med_jw_kstr(&w, "text", med_str_sub(text->bytes, chunk->span.start, chunk->span.end));
    med_jw_object_end(&w);
    med_buf_putc(line, '\n');
    enum med_code code = med_buf_status(line, err);
    if (!code && fwrite(line->data, 1, line->len, stdout) != line->len)
        code = med_fail(err, MED_E_IO, "cannot write to standard output");
    return code;
}

static enum med_code dump_document(
    void *ctx, const struct med_doc *doc, struct med_arena *arena, struct med_err *err)
{
    struct med_text *text;
    struct med_chunk *chunks = NULL;
    size_t count = 0;
    enum med_code code = med_text_make(doc, arena, &text, err);
    if (!code) code = med_chunk_make(doc, text, arena, &chunks, &count, err);
    for (size_t i = 0; !code && i < count; i++)
        code = dump_passage(ctx, doc, text, &chunks[i], err);
    return code;
}

void bench_passages(const char *data_folder)
{
    struct med_err err = {0};
    struct med_store *store;
    struct med_snapshot *snapshot;
    struct med_buf line;
    char docs[MED_PATH_MAX];
    med_buf_init(&line, MED_GIB);
    bench_must(med_path_join(docs, data_folder, "docs", &err), &err);
    bench_must(med_store_open(docs, MED_STORE_READ_ONLY, &store, &err), &err);
    bench_must(med_snapshot_open(store, &snapshot, &err), &err);
    bench_must(med_snapshot_each(snapshot, dump_document, &line, &err), &err);
    med_snapshot_close(&snapshot);
    med_store_close(&store);
    med_buf_free(&line);
}

/* --- the program --- */

static int usage(void)
{
    fprintf(stderr,
        "usage: bench_collection passages DATA\n"
        "       bench_collection generate SEED PASSAGES SOURCE.jsonl\n"
        "       bench_collection compare SOURCE.jsonl RESULT.jsonl QUESTIONS.jsonl...\n");
    return 2;
}

int main(int argc, char **argv)
{
    unsigned long long seed, passages;
    static char buffer[1 << 20];
    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    if (argc == 3 && strcmp(argv[1], "passages") == 0) {
        bench_passages(argv[2]);
    } else if (argc == 5 && strcmp(argv[1], "generate") == 0) {
        if (!med_str_to_u64(med_str_of(argv[2]), &seed) ||
            !med_str_to_u64(med_str_of(argv[3]), &passages))
            return usage();
        bench_generate(argv[4], seed, passages);
    } else if (argc >= 5 && strcmp(argv[1], "compare") == 0) {
        bench_compare(
            (const char *const *)argv + 2, (const char *const *)argv + 4, (size_t)argc - 4);
    } else {
        return usage();
    }
    if (fflush(stdout) == 0) return 0;
    fprintf(stderr, "bench_collection: cannot write to standard output\n");
    return 1;
}

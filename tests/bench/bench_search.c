/* Speed of search in one process and one thread, without HTTP:
 *
 *   bench_search [--queries N] DATA QUERIES.jsonl...
 *
 * Takes the questions (BEIR: one object with `text` per line), at most N, evenly from all files,
 * asks each in every mode after a warm-up, and prints a Markdown table: mean, median and 99th
 * percentile in milliseconds of the whole search (to 10 results with snippets) and of its stages.
 */
#include "common/clock.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/limits.h"
#include "common/mem.h"
#include "index/search.h"

#include <stdio.h>
#include <stdlib.h>

#define QUERIES_MAX 100000
#define WARM_UP 200

enum stage { ANALYSE, LEXICAL, DENSE, FUSE, PRESENT, WHOLE, STAGE_COUNT };
static const char *const stage_names[] = {
    "analyse", "lexical half", "dense half", "fuse", "load and snippets", "**whole**"};

struct bench {
    struct med_arena *texts, *request;
    struct med_str *queries;
    size_t query_count, query_cap;
    struct med_data *data;
    struct med_store *store;
    struct med_index *index;
    struct med_searcher *searcher;
    double *ms[STAGE_COUNT];
};

static void must(enum med_code code, const struct med_err *err)
{
    if (code == MED_OK) return;
    fprintf(stderr, "bench_search: %s\n", err->text);
    exit(1);
}

static void add_query(struct bench *b, struct med_str text)
{
    struct med_str copy;
    if (b->query_count == QUERIES_MAX) return;
    if (!med_grow(&b->queries, &b->query_cap, b->query_count + 1, sizeof *b->queries) ||
        !med_arena_str(b->texts, text, &copy))
        abort();
    b->queries[b->query_count++] = copy;
}

static void read_queries(struct bench *b, const char *path)
{
    struct med_err err = {0};
    struct med_buf buf;
    med_buf_init(&buf, 256 * MED_MIB);
    must(med_read_file(path, &buf, &err), &err);
    const char *pos = buf.data, *end = buf.data + buf.len;
    while (pos < end) {
        const char *stop = memchr(pos, '\n', (size_t)(end - pos));
        if (!stop) stop = end;
        struct med_json *line;
        if (stop > pos && med_json_parse(pos, (size_t)(stop - pos), &line, NULL) == MED_OK) {
            struct med_str text = med_json_get_str(line, "text");
            if (text.len > 0) add_query(b, text);
            med_json_free(&line);
        }
        pos = stop + 1;
    }
    med_buf_free(&buf);
}

/* Every nth query, so that all files have their share. */
static void thin_out(struct bench *b, size_t wanted)
{
    if (wanted == 0 || wanted >= b->query_count) return;
    for (size_t i = 0; i < wanted; i++) b->queries[i] = b->queries[i * b->query_count / wanted];
    b->query_count = wanted;
}

static void open_index(struct bench *b, const char *path)
{
    struct med_err err = {0};
    char docs[MED_PATH_MAX];
    must(med_data_open(path, false, med_fs_posix(), &b->data, &err), &err);
    must(med_path_join(docs, path, "docs", &err), &err);
    must(med_store_open(docs, MED_STORE_READ_ONLY, &b->store, &err), &err);
    must(med_index_open(b->data, b->store, 0, true, &b->index, &err), &err);
    must(med_searcher_new(&b->searcher, &err), &err);
}

static void ask(struct bench *b, enum med_mode mode, size_t i)
{
    struct med_err err = {0};
    struct med_search_request request = MED_SEARCH_REQUEST_DEFAULT;
    struct med_answer *answer;
    request.query = b->queries[i];
    request.literal = true; /* questions as people wrote them, stray quotes included */
    request.mode = mode;
    med_arena_reset(b->request);
    uint64_t start = med_now_ns();
    must(med_search(b->index, b->searcher, &request, b->request, &answer, &err), &err);
    uint64_t ns = med_now_ns() - start;
    b->ms[ANALYSE][i] = (double)answer->ranking->ns.analyse * 1e-6;
    b->ms[LEXICAL][i] = (double)answer->ranking->ns.lexical * 1e-6;
    b->ms[DENSE][i] = (double)answer->ranking->ns.dense * 1e-6;
    b->ms[FUSE][i] = (double)answer->ranking->ns.fuse * 1e-6;
    b->ms[PRESENT][i] = (double)answer->ns_present * 1e-6;
    b->ms[WHOLE][i] = (double)ns * 1e-6;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_stage(struct bench *b, const char *mode, enum stage stage)
{
    double sum = 0, *ms = b->ms[stage];
    for (size_t i = 0; i < b->query_count; i++) sum += ms[i];
    if (sum <= 0) return;
    qsort(ms, b->query_count, sizeof *ms, by_value);
    printf("| %s | %s | %.3f | %.3f | %.3f |\n", mode, stage_names[stage],
        sum / (double)b->query_count, ms[b->query_count / 2], ms[b->query_count * 99 / 100]);
}

int main(int argc, char **argv)
{
    struct bench b = {0};
    struct med_err err = {0};
    unsigned long long wanted = 0;
    int arg = 1;
    if (argc > 3 && strcmp(argv[1], "--queries") == 0) {
        if (!med_str_to_u64(med_str_of(argv[2]), &wanted)) return 2;
        arg = 3;
    }
    if (argc - arg < 2) {
        fprintf(stderr, "Usage: bench_search [--queries N] DATA QUERIES.jsonl...\n");
        return 2;
    }
    must(med_arena_new(MED_GIB, &b.texts, &err), &err);
    must(med_arena_new(MED_REQUEST_ARENA_BYTES_MAX, &b.request, &err), &err);
    for (int i = arg + 1; i < argc; i++) read_queries(&b, argv[i]);
    thin_out(&b, (size_t)wanted);
    if (b.query_count == 0) must(med_fail(&err, MED_E_INVALID, "no questions found"), &err);
    for (size_t i = 0; i < STAGE_COUNT; i++)
        if (!(b.ms[i] = med_calloc(b.query_count, sizeof *b.ms[i]))) abort();
    open_index(&b, argv[arg]);

    printf("| mode | stage | mean ms | p50 ms | p99 ms |\n|---|---|---|---|---|\n");
    static const enum med_mode modes[] = {MED_MODE_LEXICAL, MED_MODE_DENSE, MED_MODE_HYBRID};
    for (size_t m = 0; m < sizeof modes / sizeof *modes; m++) {
        for (size_t i = 0; i < b.query_count && i < WARM_UP; i++) ask(&b, modes[m], i);
        for (size_t i = 0; i < b.query_count; i++) ask(&b, modes[m], i);
        for (size_t s = 0; s < STAGE_COUNT; s++) print_stage(&b, med_mode_name(modes[m]), s);
    }
    printf("\n%zu questions.\n", b.query_count);

    for (size_t i = 0; i < STAGE_COUNT; i++) med_free(b.ms[i]);
    med_free(b.queries);
    med_searcher_free(&b.searcher);
    med_index_release(&b.index);
    med_store_close(&b.store);
    med_data_close(&b.data);
    med_arena_free(&b.texts);
    med_arena_free(&b.request);
    return 0;
}

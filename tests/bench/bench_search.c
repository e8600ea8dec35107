/* Speed of search in one process and one thread, without HTTP:
 *
 *   bench_search [--queries N] [--filters] DATA QUERIES.jsonl...
 *
 * Takes the questions (BEIR: one object with `text` per line), at most N, evenly from all files,
 * asks each in every mode after a warm-up, and prints a Markdown table: mean, median and 99th
 * percentile in milliseconds of the whole search (to 10 results with snippets) and of its stages.
 *
 * --filters asks hybrid questions within sets of documents instead: years, words in quotes, and
 * both together, chosen so that the sets hold from half of the collection to a few documents. Each
 * line has the share of documents, the times, and how often they are those of no filter. The
 * questions lose everything that the query language would read.
 */
#include "common/clock.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/limits.h"
#include "common/mem.h"
#include "index/search.h"

#include <math.h>
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

static void search(struct bench *b, const struct med_search_request *request, size_t i)
{
    struct med_err err = {0};
    struct med_answer *answer;
    med_arena_reset(b->request);
    uint64_t start = med_now_ns();
    must(med_search(b->index, b->searcher, request, b->request, &answer, &err), &err);
    uint64_t ns = med_now_ns() - start;
    b->ms[ANALYSE][i] = (double)answer->ranking->ns.analyse * 1e-6;
    b->ms[LEXICAL][i] = (double)answer->ranking->ns.lexical * 1e-6;
    b->ms[DENSE][i] = (double)answer->ranking->ns.dense * 1e-6;
    b->ms[FUSE][i] = (double)answer->ranking->ns.fuse * 1e-6;
    b->ms[PRESENT][i] = (double)answer->ns_present * 1e-6;
    b->ms[WHOLE][i] = (double)ns * 1e-6;
}

static void ask(struct bench *b, enum med_mode mode, size_t i)
{
    struct med_search_request request = MED_SEARCH_REQUEST_DEFAULT;
    request.query = b->queries[i];
    request.literal = true; /* questions as people wrote them, stray quotes included */
    request.mode = mode;
    search(b, &request, i);
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

/* --- filters --- */

struct filter {
    char word[100]; /* empty: years alone */
    uint32_t year_min, year_max;
    double share; /* of documents; -1: nothing chosen yet */
};
static const double shares[] = {.5, .2, .1, .05, .02, .01, .003, .001, 1e-4, 1e-5};
#define SHARES (sizeof shares / sizeof *shares)

static bool is_nearer(double share, double than, double wanted)
{
    return than < 0 || fabs(log(share / wanted)) < fabs(log(than / wanted));
}

static double document_count(const struct bench *b)
{
    double count = 0;
    for (size_t s = 0; s < med_index_manifest(b->index)->segment_count; s++)
        count += med_index_segment(b->index, s)->doc_count;
    return count;
}

/* The years from which on the collection holds about the shares. */
static void choose_years(const struct bench *b, struct filter *filters)
{
    static uint64_t counts[10000];
    double count = 0;
    for (size_t s = 0; s < med_index_manifest(b->index)->segment_count; s++) {
        const struct med_segment *segment = med_index_segment(b->index, s);
        for (uint32_t d = 0; d < segment->doc_count; d++)
            counts[segment->docs[d].date / 10000 % 10000]++;
    }
    for (uint32_t year = 9999; year > 0; year--) {
        count += (double)counts[year];
        double share = count / document_count(b);
        for (size_t i = 0; count > 0 && i < SHARES; i++) {
            if (!is_nearer(share, filters[i].share, shares[i])) continue;
            filters[i].year_min = year;
            filters[i].share = share;
        }
    }
}

/* Words of the largest segment that about these shares of its passages have. */
static void choose_words(const struct bench *b, struct filter *filters)
{
    const struct med_segment *largest = med_index_segment(b->index, 0);
    struct med_err err = {0};
    struct med_buf term;
    med_buf_init(&term, MED_KIB);
    for (uint32_t t = 0; t < med_lex_term_count(largest->lex); t++) {
        uint32_t df;
        med_buf_reset(&term);
        must(med_lex_term_at(largest->lex, t, &term, &df, &err), &err);
        bool plain = term.len > 3 && term.len < sizeof filters->word;
        for (size_t i = 0; i < term.len; i++) plain &= term.data[i] >= 'a' && term.data[i] <= 'z';
        double share = (double)df / largest->chunk_count;
        for (size_t i = 0; plain && i < SHARES; i++) {
            if (!is_nearer(share, filters[i].share, shares[i])) continue;
            memcpy(filters[i].word, term.data, term.len);
            filters[i].word[term.len] = '\0';
            filters[i].share = share;
        }
    }
    med_buf_free(&term);
}

/* The question as words, and what restricts it. */
static struct med_str within(struct bench *b, size_t i, const struct filter *f)
{
    static char text[MED_QUERY_BYTES_MAX + 200];
    size_t len = 0;
    struct med_str q = b->queries[i];
    for (size_t k = 0; k < q.len && len < 1000; k++) {
        char c = q.ptr[k];
        bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (unsigned char)c >= 0x80;
        text[len++] = word ? c : c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : ' ';
    }
    if (f->word[0]) len += (size_t)snprintf(text + len, 200, " \"%s\"", f->word);
    return (struct med_str){.ptr = text, .len = len};
}

/* Prints a line; base is that of no filter, {0} while it is being measured. */
static void measure_filter(
    struct bench *b, const char *kind, const struct filter *f, double base[2])
{
    struct med_search_request request = MED_SEARCH_REQUEST_DEFAULT;
    request.filter.year_min = f->year_min;
    request.filter.year_max = f->year_max;
    for (size_t round = 0; round < 2; round++) {
        size_t count = round ? b->query_count : b->query_count < WARM_UP ? b->query_count : WARM_UP;
        for (size_t i = 0; i < count; i++) {
            request.query = within(b, i, f);
            search(b, &request, i);
        }
    }
    qsort(b->ms[WHOLE], b->query_count, sizeof **b->ms, by_value);
    double p50 = b->ms[WHOLE][b->query_count / 2], p99 = b->ms[WHOLE][b->query_count * 99 / 100];
    if (!base[0]) {
        base[0] = p50;
        base[1] = p99;
    }
    printf("| %s | %.4f %% | %.3f | %.3f | %.2f | %.2f |\n", kind, f->share * 100, p50, p99,
        p50 / base[0], p99 / base[1]);
    fflush(stdout);
}

static void measure_filters(struct bench *b)
{
    struct filter none = {.share = 1}, years[SHARES], words[SHARES];
    double base[2] = {0};
    for (size_t i = 0; i < SHARES; i++) years[i] = words[i] = (struct filter){.share = -1};
    choose_years(b, years);
    choose_words(b, words);
    printf("| hybrid, within | documents | p50 ms | p99 ms | p50 of none's | p99 of none's |\n"
           "|---|---|---|---|---|---|\n");
    measure_filter(b, "no filter", &none, base);
    for (size_t i = 0; i < SHARES; i++) {
        struct filter both = words[i];
        both.year_min = years[0].year_min;
        both.share *= years[0].share;
        bool again = i && years[i].year_min == years[i - 1].year_min;
        if (years[i].share > 0 && !again) measure_filter(b, "years", &years[i], base);
        measure_filter(b, "a word", &words[i], base);
        measure_filter(b, "a word and half of the years, about", &both, base);
    }
}

int main(int argc, char **argv)
{
    struct bench b = {0};
    struct med_err err = {0};
    unsigned long long wanted = 0;
    bool filters = false;
    int arg = 1;
    if (argc > 3 && strcmp(argv[1], "--queries") == 0) {
        if (!med_str_to_u64(med_str_of(argv[2]), &wanted)) return 2;
        arg = 3;
    }
    if (argc > arg && strcmp(argv[arg], "--filters") == 0) {
        filters = true;
        arg++;
    }
    if (argc - arg < 2) {
        fprintf(stderr, "Usage: bench_search [--queries N] [--filters] DATA QUERIES.jsonl...\n");
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

    if (filters) measure_filters(&b);
    if (!filters) printf("| mode | stage | mean ms | p50 ms | p99 ms |\n|---|---|---|---|---|\n");
    static const enum med_mode modes[] = {MED_MODE_LEXICAL, MED_MODE_DENSE, MED_MODE_HYBRID};
    for (size_t m = 0; !filters && m < sizeof modes / sizeof *modes; m++) {
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

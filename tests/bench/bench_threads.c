/* Searches per second in one process on several threads, without HTTP:
 *
 *   bench_threads [--mode hybrid|lexical|dense] THREADS SECONDS DATA QUESTIONS
 *
 * QUESTIONS has one per line, read as queries as the server reads them. Each thread has a searcher
 * and an arena of its own and asks them all in turn, each beginning at another place, after a
 * warm-up of one second. Answers have 10 results with snippets; they are not rendered. Prints JSON:
 * the rate, and the processor time that a search took. bench_service.py compares it with `medicus
 * serve`. */
#include "common/clock.h"
#include "common/fs.h"
#include "common/limits.h"
#include "common/mem.h"
#include "index/search.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#define THREADS_MAX 64u

struct bench {
    struct med_index *index;
    enum med_mode mode;
    struct med_str *questions;
    size_t question_count;
    atomic_bool stop;
    atomic_uint_fast64_t done;
};

struct thread {
    struct bench *bench;
    pthread_t id;
    size_t first; /* question */
};

static void must(enum med_code code, const struct med_err *err)
{
    if (code == MED_OK) return;
    fprintf(stderr, "bench_threads: %s\n", err->text);
    exit(1);
}

static void *run(void *arg)
{
    struct thread *t = arg;
    struct bench *b = t->bench;
    struct med_err err = {0};
    struct med_searcher *searcher;
    struct med_arena *arena;
    must(med_searcher_new(&searcher, &err), &err);
    must(med_arena_new(MED_REQUEST_ARENA_BYTES_MAX, &arena, &err), &err);
    for (size_t i = t->first; !atomic_load(&b->stop); i++) {
        struct med_search_request request = MED_SEARCH_REQUEST_DEFAULT;
        struct med_answer *answer;
        request.query = b->questions[i % b->question_count];
        request.mode = b->mode;
        med_arena_reset(arena);
        must(med_search(b->index, searcher, &request, arena, &answer, &err), &err);
        atomic_fetch_add(&b->done, 1);
    }
    med_arena_free(&arena);
    med_searcher_free(&searcher);
    return NULL;
}

static double cpu_s(void)
{
    struct rusage u;
    (void)getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

static void sleep_s(double s)
{
    struct timespec t = {.tv_sec = (time_t)s, .tv_nsec = (long)((s - (double)(time_t)s) * 1e9)};
    (void)nanosleep(&t, NULL);
}

static void read_questions(struct bench *b, const char *path, struct med_buf *text)
{
    struct med_err err = {0};
    size_t cap = 0;
    med_buf_init(text, 64 * MED_MIB);
    must(med_read_file(path, text, &err), &err);
    for (size_t at = 0; at < text->len;) {
        size_t end = at;
        while (end < text->len && text->data[end] != '\n') end++;
        if (!med_grow(&b->questions, &cap, b->question_count + 1, sizeof *b->questions)) abort();
        if (end > at) b->questions[b->question_count++] = med_str_sub(med_buf_str(text), at, end);
        at = end + 1;
    }
    if (!b->question_count) must(med_fail(&err, MED_E_INVALID, "%s is empty", path), &err);
}

static void measure(struct bench *b, unsigned count, double seconds)
{
    struct thread threads[THREADS_MAX];
    for (unsigned i = 0; i < count; i++) {
        threads[i] = (struct thread){.bench = b, .first = i * b->question_count / count};
        if (pthread_create(&threads[i].id, NULL, run, &threads[i])) abort();
    }
    sleep_s(1);
    uint64_t done = atomic_load(&b->done), start_ns = med_now_ns();
    double cpu = cpu_s();
    sleep_s(seconds);
    double n = (double)(atomic_load(&b->done) - done);
    cpu = cpu_s() - cpu;
    double passed = (double)(med_now_ns() - start_ns) * 1e-9;
    atomic_store(&b->stop, true);
    for (unsigned i = 0; i < count; i++) pthread_join(threads[i].id, NULL);
    printf("{\"threads\": %u, \"rate\": %.1f, \"cpu_us\": %.1f}\n", count, n / passed,
        n > 0 ? cpu / n * 1e6 : 0);
}

int main(int argc, char **argv)
{
    struct bench b = {.mode = MED_MODE_HYBRID};
    struct med_err err = {0};
    struct med_data *data;
    struct med_store *store;
    struct med_buf text;
    char docs[MED_PATH_MAX];
    int arg = 1;
    bool known = true;
    if (argc > 2 && strcmp(argv[1], "--mode") == 0) {
        known = med_mode_parse(med_str_of(argv[2]), &b.mode);
        arg = 3;
    }
    unsigned long threads = argc - arg == 4 ? strtoul(argv[arg], NULL, 10) : 0;
    if (!threads || threads > THREADS_MAX || !known) {
        fprintf(stderr, "Usage: bench_threads [--mode MODE] THREADS SECONDS DATA QUESTIONS\n");
        return 2;
    }
    read_questions(&b, argv[arg + 3], &text);
    must(med_data_open(argv[arg + 2], false, med_fs_posix(), &data, &err), &err);
    must(med_path_join(docs, argv[arg + 2], "docs", &err), &err);
    must(med_store_open(docs, MED_STORE_READ_ONLY, &store, &err), &err);
    must(med_index_open(data, store, 0, true, &b.index, &err), &err);
    measure(&b, (unsigned)threads, strtod(argv[arg + 1], NULL));
    med_index_release(&b.index);
    med_store_close(&store);
    med_data_close(&data);
    med_free(b.questions);
    med_buf_free(&text);
    return 0;
}

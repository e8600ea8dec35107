/* Threads take pieces from one atomic counter until it runs out or somebody fails. Threads are
 * started per call: the build's loops run for seconds, a pool would only add a lifetime to manage.
 */
#include "common/parallel.h"

#include "common/mem.h"

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define THREADS_MAX 1024u
#define CPU_SET_MAX 16384

struct loop {
    uint64_t count;
    uint64_t grain;
    enum med_code (*fn)(void *, unsigned, uint64_t, uint64_t, struct med_err *);
    void *ctx;
    _Atomic uint64_t next_piece;
    atomic_bool stop;
    pthread_mutex_t lock; /* guards the two below */
    enum med_code code;   /* of the first error */
    struct med_err err;
};

struct worker {
    struct loop *loop;
    unsigned number;
    pthread_t thread;
};

static void note_failure(struct loop *loop, enum med_code code, const struct med_err *err)
{
    pthread_mutex_lock(&loop->lock);
    if (loop->code == MED_OK) {
        loop->code = code;
        loop->err = *err;
    }
    pthread_mutex_unlock(&loop->lock);
    atomic_store(&loop->stop, true);
}

static void run_pieces(struct loop *loop, unsigned number)
{
    /* Rounded up without overflow; the counter itself cannot overflow, as it passes the end once
     * per thread. */
    uint64_t pieces = loop->count / loop->grain + (loop->count % loop->grain != 0);
    while (!atomic_load_explicit(&loop->stop, memory_order_relaxed)) {
        uint64_t piece = atomic_fetch_add(&loop->next_piece, 1);
        if (piece >= pieces) return;
        uint64_t begin = piece * loop->grain;
        uint64_t left = loop->count - begin;
        uint64_t end = begin + (left < loop->grain ? left : loop->grain);
        struct med_err err = {0};
        enum med_code code = loop->fn(loop->ctx, number, begin, end, &err);
        if (code != MED_OK) note_failure(loop, code, &err);
    }
}

static void *worker_main(void *arg)
{
    struct worker *worker = arg;
    run_pieces(worker->loop, worker->number);
    return NULL;
}

enum med_code med_parallel_for(unsigned threads, uint64_t count, uint64_t grain,
    enum med_code (*fn)(
        void *ctx, unsigned worker, uint64_t begin, uint64_t end, struct med_err *err),
    void *ctx, struct med_err *err)
{
    assert(grain > 0);
    if (count == 0) return MED_OK;
    uint64_t pieces = count / grain + (count % grain != 0);
    if (threads > THREADS_MAX) threads = THREADS_MAX;
    if (threads > pieces) threads = (unsigned)pieces;
    if (threads < 1) threads = 1;

    struct worker *workers = med_calloc(threads, sizeof *workers);
    if (!workers) return med_fail(err, MED_E_NOMEM, "out of memory for %u threads", threads);
    struct loop loop = {.count = count, .grain = grain, .fn = fn, .ctx = ctx};
    pthread_mutex_init(&loop.lock, NULL);
    unsigned started = 1;
    for (; started < threads; started++) {
        workers[started] = (struct worker){.loop = &loop, .number = started};
        /* Fewer threads than asked for still do all the work. */
        if (pthread_create(&workers[started].thread, NULL, worker_main, &workers[started]) != 0)
            break;
    }
    run_pieces(&loop, 0);
    for (unsigned i = 1; i < started; i++) pthread_join(workers[i].thread, NULL);
    pthread_mutex_destroy(&loop.lock);
    med_free(workers);
    if (loop.code != MED_OK && err) *err = loop.err;
    return loop.code;
}

static unsigned affinity_count(void)
{
    unsigned found = 1;
    cpu_set_t *set = CPU_ALLOC(CPU_SET_MAX);
    size_t bytes = CPU_ALLOC_SIZE(CPU_SET_MAX);
    if (set && sched_getaffinity(0, bytes, set) == 0) found = (unsigned)CPU_COUNT_S(bytes, set);
    CPU_FREE(set);
    return found > 0 ? found : 1;
}

/* cpu.max of one cgroup folder: "max 100000" or "150000 100000" (microseconds per period). 0 = no
 * limit. */
static unsigned quota_of(const char *folder)
{
    char path[512];
    int len = snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", folder);
    if (len < 0 || (size_t)len >= sizeof path) return 0;
    FILE *file = fopen(path, "re");
    if (!file) return 0;
    unsigned long long quota, period;
    int fields = fscanf(file, "%llu %llu", &quota, &period);
    fclose(file);
    if (fields != 2 || period == 0 || quota == 0) return 0;
    unsigned long long cpus =
        (quota + period - 1) / period; /* one and a half processors keep two threads busy */
    return cpus > THREADS_MAX ? THREADS_MAX : (unsigned)cpus;
}

/* The tightest quota on the way from this process's cgroup (version 2) up to the root. 0 = none. */
static unsigned cgroup_quota(void)
{
    char line[400], folder[sizeof line] = "";
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (!file) return 0;
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, "0::/", 4) != 0) continue;
        line[strcspn(line, "\n")] = '\0';
        snprintf(folder, sizeof folder, "%s", line + 3);
    }
    fclose(file);
    unsigned tightest = 0;
    for (;;) {
        unsigned quota = quota_of(folder);
        if (quota > 0 && (tightest == 0 || quota < tightest)) tightest = quota;
        char *slash = strrchr(folder, '/');
        if (!slash) return tightest;
        *slash = '\0';
    }
}

unsigned med_cpu_count(void)
{
    unsigned count = affinity_count();
    unsigned quota = cgroup_quota();
    return quota > 0 && quota < count ? quota : count;
}

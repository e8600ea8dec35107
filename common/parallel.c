/* Threads take pieces from one atomic counter until it runs out or somebody fails. med_parallel_for
 * starts its threads per call: most of the build's loops run for seconds. A team keeps them: the
 * loops of a training step take tenths of a millisecond, and starting threads took longer. */
#include "common/parallel.h"

#include "common/mem.h"

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define THREADS_MAX 1024u
#define CPU_SET_MAX 16384
#define BACKGROUND_NICE 10
#define IOPRIO_WHO_PROCESS 1
#define IOPRIO_IDLE (3 << 13) /* IOPRIO_CLASS_IDLE of linux/ioprio.h */
#define LOOKS_MAX 2000u       /* some tens of microseconds before a thread sleeps */

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
    struct med_team *team;
    unsigned number;
    pthread_t thread;
};

struct med_team {
    struct worker *workers;
    unsigned count; /* threads there are, the caller included */
    struct loop loop;
    _Atomic uint64_t round; /* loops begun; a change wakes the workers */
    atomic_uint busy;       /* workers that have not left the loop */
    atomic_bool ending;
    pthread_mutex_t lock; /* what the two conditions wait under */
    pthread_cond_t begun, left;
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

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

/* Until another loop has begun than `seen`: first looking, because most loops follow at once. */
static uint64_t next_round(struct med_team *team, uint64_t seen)
{
    uint64_t round;
    for (unsigned i = 0; i < LOOKS_MAX; i++, relax()) {
        round = atomic_load_explicit(&team->round, memory_order_acquire);
        if (round != seen) return round;
    }
    pthread_mutex_lock(&team->lock);
    while ((round = atomic_load(&team->round)) == seen)
        pthread_cond_wait(&team->begun, &team->lock);
    pthread_mutex_unlock(&team->lock);
    return round;
}

static void *worker_main(void *arg)
{
    struct worker *worker = arg;
    struct med_team *team = worker->team;
    for (uint64_t round = 0;;) {
        round = next_round(team, round);
        if (atomic_load(&team->ending)) return NULL;
        run_pieces(&team->loop, worker->number);
        if (atomic_fetch_sub(&team->busy, 1) > 1) continue;
        pthread_mutex_lock(&team->lock);
        pthread_cond_signal(&team->left);
        pthread_mutex_unlock(&team->lock);
    }
}

static void begin_round(struct med_team *team)
{
    pthread_mutex_lock(&team->lock);
    atomic_store(&team->busy, team->count - 1);
    atomic_fetch_add(&team->round, 1);
    pthread_cond_broadcast(&team->begun);
    pthread_mutex_unlock(&team->lock);
}

enum med_code med_team_new(unsigned threads, struct med_team **ret_team, struct med_err *err)
{
    if (threads > THREADS_MAX) threads = THREADS_MAX;
    if (threads < 1) threads = 1;
    struct med_team *team = med_calloc(1, sizeof *team);
    struct worker *workers = med_calloc(threads, sizeof *workers);
    if (!team || !workers) {
        med_free(team);
        med_free(workers);
        return med_fail(err, MED_E_NOMEM, "out of memory for %u threads", threads);
    }
    team->workers = workers;
    pthread_mutex_init(&team->lock, NULL);
    pthread_cond_init(&team->begun, NULL);
    pthread_cond_init(&team->left, NULL);
    pthread_mutex_init(&team->loop.lock, NULL);
    for (team->count = 1; team->count < threads; team->count++) {
        struct worker *worker = &workers[team->count];
        *worker = (struct worker){.team = team, .number = team->count};
        /* Fewer threads than asked for still do all the work. */
        if (pthread_create(&worker->thread, NULL, worker_main, worker) != 0) break;
    }
    *ret_team = team;
    return MED_OK;
}

void med_team_free(struct med_team **team_ref)
{
    struct med_team *team = *team_ref;
    if (!team) return;
    *team_ref = NULL;
    atomic_store(&team->ending, true);
    begin_round(team);
    for (unsigned i = 1; i < team->count; i++) pthread_join(team->workers[i].thread, NULL);
    pthread_mutex_destroy(&team->loop.lock);
    pthread_cond_destroy(&team->left);
    pthread_cond_destroy(&team->begun);
    pthread_mutex_destroy(&team->lock);
    med_free(team->workers);
    med_free(team);
}

enum med_code med_team_for(struct med_team *team, uint64_t count, uint64_t grain,
    enum med_code (*fn)(
        void *ctx, unsigned worker, uint64_t begin, uint64_t end, struct med_err *err),
    void *ctx, struct med_err *err)
{
    struct loop *loop = &team->loop;
    assert(grain > 0);
    loop->count = count;
    loop->grain = grain;
    loop->fn = fn;
    loop->ctx = ctx;
    loop->code = MED_OK;
    atomic_store(&loop->next_piece, 0);
    atomic_store(&loop->stop, false);
    bool shared = team->count > 1 && count > grain;
    if (shared) begin_round(team);
    run_pieces(loop, 0);
    for (unsigned i = 0; shared && i < LOOKS_MAX && atomic_load(&team->busy); i++) relax();
    if (shared && atomic_load(&team->busy)) {
        pthread_mutex_lock(&team->lock);
        while (atomic_load(&team->busy)) pthread_cond_wait(&team->left, &team->lock);
        pthread_mutex_unlock(&team->lock);
    }
    if (loop->code != MED_OK && err) *err = loop->err;
    return loop->code;
}

enum med_code med_parallel_for(unsigned threads, uint64_t count, uint64_t grain,
    enum med_code (*fn)(
        void *ctx, unsigned worker, uint64_t begin, uint64_t end, struct med_err *err),
    void *ctx, struct med_err *err)
{
    assert(grain > 0);
    if (count == 0) return MED_OK;
    uint64_t pieces = count / grain + (count % grain != 0);
    struct med_team *team;
    enum med_code code = med_team_new(threads < pieces ? threads : (unsigned)pieces, &team, err);
    if (code != MED_OK) return code;
    code = med_team_for(team, count, grain, fn, ctx, err);
    med_team_free(&team);
    return code;
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

void med_step_back(void)
{
    (void)!nice(BACKGROUND_NICE);
    (void)!syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_IDLE);
}

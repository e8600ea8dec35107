#include "service/worker_pool.h"

#include "common/clock.h"
#include "common/mem.h"
#include "service/admission.h"

#include <pthread.h>

struct worker {
    struct worker_pool *pool;
    void *state;
    pthread_t thread;
};

struct worker_pool {
    struct worker_pool_options options;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t filled;
    void **ring;
    size_t head, count;
    struct admission admission;
    bool stopping;
    struct worker *workers;
    unsigned states, threads; /* how many exist */
};

static void *worker_main(void *arg)
{
    struct worker *self = arg;
    struct worker_pool *p = self->pool;
    pthread_mutex_lock(&p->mutex);
    for (;;) {
        while (p->count == 0 && !p->stopping) pthread_cond_wait(&p->filled, &p->mutex);
        if (p->count == 0) break;
        void *job = p->ring[p->head];
        p->head = (p->head + 1) % p->options.depth;
        admission_taken(&p->admission, --p->count);
        pthread_mutex_unlock(&p->mutex);
        uint64_t begin = med_now_ns();
        p->options.run(p->options.ctx, self->state, job);
        uint64_t took_ns = med_now_ns() - begin;
        pthread_mutex_lock(&p->mutex);
        admission_served(&p->admission, took_ns);
    }
    pthread_mutex_unlock(&p->mutex);
    return NULL;
}

static enum med_code start(struct worker_pool *p, struct med_err *err)
{
    for (unsigned i = 0; i < p->options.threads; i++) {
        struct worker *w = &p->workers[i];
        w->pool = p;
        enum med_code code = p->options.state_new(p->options.ctx, &w->state, err);
        if (code) return code;
        p->states++;
        int failed = pthread_create(&w->thread, NULL, worker_main, w);
        if (failed) return med_fail_errno(err, failed, "cannot start a search thread");
        p->threads++;
    }
    return MED_OK;
}

enum med_code worker_pool_new(
    const struct worker_pool_options *options, struct worker_pool **ret_pool, struct med_err *err)
{
    struct worker_pool *p = med_calloc(1, sizeof *p);
    if (!p) return med_fail(err, MED_E_NOMEM, "out of memory for the search threads");
    p->options = *options;
    p->admission = (struct admission){
        .threads = options->threads, .depth = options->depth, .wait_ns = options->wait_ns};
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->filled, NULL);
    p->ring = med_calloc(options->depth, sizeof *p->ring);
    p->workers = med_calloc(options->threads, sizeof *p->workers);
    enum med_code code = p->ring && p->workers
                             ? start(p, err)
                             : med_fail(err, MED_E_NOMEM, "out of memory for the search threads");
    if (code) {
        worker_pool_free(&p);
        return code;
    }
    *ret_pool = p;
    return MED_OK;
}

static bool admits(struct worker_pool *p, bool urgent)
{
    return !p->stopping && admission_ask(&p->admission, p->count, urgent, med_now_ns());
}

bool worker_pool_admits(struct worker_pool *p, bool urgent)
{
    pthread_mutex_lock(&p->mutex);
    bool yes = admits(p, urgent);
    pthread_mutex_unlock(&p->mutex);
    return yes;
}

bool worker_pool_submit(struct worker_pool *p, void *job, bool urgent)
{
    pthread_mutex_lock(&p->mutex);
    bool taken = admits(p, urgent);
    if (taken) p->ring[(p->head + p->count++) % p->options.depth] = job;
    pthread_mutex_unlock(&p->mutex);
    /* Not before: the thread that wakes up would wait for the mutex at once. */
    if (taken) pthread_cond_signal(&p->filled);
    return taken;
}

struct worker_pool_stats worker_pool_stats(struct worker_pool *p)
{
    pthread_mutex_lock(&p->mutex);
    struct worker_pool_stats stats = {.waiting = p->count,
        .refused = p->admission.refused,
        .served_ns = (uint64_t)p->admission.served_ns,
        .overload = admission_is_overload(&p->admission, med_now_ns())};
    pthread_mutex_unlock(&p->mutex);
    return stats;
}

void worker_pool_stop(struct worker_pool *p)
{
    pthread_mutex_lock(&p->mutex);
    p->stopping = true;
    pthread_cond_broadcast(&p->filled);
    pthread_mutex_unlock(&p->mutex);
    for (unsigned i = 0; i < p->threads; i++) pthread_join(p->workers[i].thread, NULL);
    p->threads = 0;
}

void worker_pool_free(struct worker_pool **pool)
{
    struct worker_pool *p = *pool;
    *pool = NULL;
    if (!p) return;
    worker_pool_stop(p);
    for (unsigned i = 0; i < p->states; i++)
        p->options.state_free(p->options.ctx, p->workers[i].state);
    pthread_cond_destroy(&p->filled);
    pthread_mutex_destroy(&p->mutex);
    med_free(p->ring);
    med_free(p->workers);
    med_free(p);
}

/* A fixed number of threads that take jobs from a bounded queue, first come, first served. A queue
 * that is full, or that would make everybody wait for nothing (admission.h), says no: the caller
 * answers "try again later". */
#pragma once

#include "common/err.h"

#include <stdbool.h>
#include <stdint.h>

struct worker_pool;
/* run is called with the thread's own state. state_new and state_free run on the calling thread. */
struct worker_pool_options {
    unsigned threads;
    size_t depth;
    uint64_t wait_ns; /* how long a job may wait in overload */
    void *ctx;
    enum med_code (*state_new)(void *ctx, void **ret_state, struct med_err *err);
    void (*state_free)(void *ctx, void *state);
    void (*run)(void *ctx, void *state, void *job);
};
enum med_code worker_pool_new(const struct worker_pool_options *options,
    struct worker_pool **ret_pool, struct med_err *err) MED_CHECK;
/* Whether a job would be taken now; false counts as a refusal. Any thread. */
bool worker_pool_admits(struct worker_pool *pool, bool urgent);
/* false: not taken. Any thread. */
bool worker_pool_submit(struct worker_pool *pool, void *job, bool urgent);
struct worker_pool_stats {
    size_t waiting;
    uint64_t refused;
    uint64_t served_ns; /* that a job takes lately */
    bool overload;
};
struct worker_pool_stats worker_pool_stats(struct worker_pool *pool);
/* Runs what is queued, then ends the threads; submit says no from now on. */
void worker_pool_stop(struct worker_pool *pool);
void worker_pool_free(struct worker_pool **pool);

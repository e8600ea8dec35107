/* A fixed number of threads that take jobs from a bounded queue. Full means no: the caller answers
 * "try again later" instead of letting everybody wait. */
#pragma once

#include "common/err.h"

#include <stdbool.h>
#include <stdint.h>

struct worker_pool;
/* run is called with the thread's own state. state_new and state_free run on the calling thread. */
struct worker_pool_options {
    unsigned threads;
    size_t depth;
    void *ctx;
    enum med_code (*state_new)(void *ctx, void **ret_state, struct med_err *err);
    void (*state_free)(void *ctx, void *state);
    void (*run)(void *ctx, void *state, void *job);
};
enum med_code worker_pool_new(const struct worker_pool_options *options,
    struct worker_pool **ret_pool, struct med_err *err) MED_CHECK;
/* false: the queue is full. Any thread. */
bool worker_pool_submit(struct worker_pool *pool, void *job);
size_t worker_pool_waiting(const struct worker_pool *pool);
/* Runs what is queued, then ends the threads; submit says no from now on. */
void worker_pool_stop(struct worker_pool *pool);
void worker_pool_free(struct worker_pool **pool);

/* Data-parallel loops for the build. Never used on the query path. */
#pragma once

#include "common/err.h"

#include <stdint.h>

/* Runs fn(ctx, worker, begin, end) over [0, count) in pieces of `grain`, on `threads` threads (the
 * caller is worker 0). The first error stops the hand-out of further pieces and is returned. Which
 * worker gets which piece is not fixed: for deterministic results write to outputs indexed by
 * position, not by worker. */
enum med_code med_parallel_for(unsigned threads, uint64_t count, uint64_t grain,
    enum med_code (*fn)(
        void *ctx, unsigned worker, uint64_t begin, uint64_t end, struct med_err *err),
    void *ctx, struct med_err *err) MED_CHECK;

/* The same loop again and again: threads that wait between loops instead of being started for each.
 * For work that is cut into loops of less than some milliseconds. One loop at a time, from the
 * thread that made the team. */
struct med_team;
enum med_code med_team_new(
    unsigned threads, struct med_team **ret_team, struct med_err *err) MED_CHECK;
enum med_code med_team_for(struct med_team *team, uint64_t count, uint64_t grain,
    enum med_code (*fn)(
        void *ctx, unsigned worker, uint64_t begin, uint64_t end, struct med_err *err),
    void *ctx, struct med_err *err) MED_CHECK;
void med_team_free(struct med_team **team);

unsigned med_cpu_count(void); /* processors this process may use (affinity and cgroup respected) */

/* Gives the calling thread, and those that it starts, the lowest priorities that still make
 * progress on a busy machine: of the processors, and of the disk. Where that is not allowed nothing
 * changes. */
void med_step_back(void);

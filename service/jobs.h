/* The long work of a server: each job is a process of its own (child.h), so that its memory, its
 * threads and its end do not touch serving.
 *
 * Three lanes run beside each other, one job at a time in each:
 *   index     update, rebuild    one; another one is refused (MED_E_CONFLICT)
 *   store     ingest, delete     in turn, at most JOBS_QUEUED_MAX wait (MED_E_BUSY)
 *   snapshot  snapshot           one; another one is refused
 *
 * A thread per lane starts the process, reads its progress from a pipe, and reaps it. To cancel a
 * job is to send its process SIGTERM, after a while SIGKILL; it then publishes nothing,
 * and what an ingest has committed stays. A server that stops cancels what runs. One that dies
 * leaves its jobs' processes a closed pipe, at which they stop by themselves; the next server calls
 * those jobs lost.
 *
 * Any thread. One lock, never held while something is waited for. */
#pragma once

#include "service/job_record.h"

#define JOBS_QUEUED_MAX 16u
#define JOBS_KILL_AFTER_S 10
#define JOBS_KILL_AT_STOP_S 2

/* Called once, by the lane's thread, after the job has ended and was saved. */
typedef void (*job_done)(void *ctx, const struct job_record *job);

struct job_request {
    enum job_kind kind;
    const char *const *args; /* of the command, NULL-terminated, without the data folder; copied */
    const char *spool;       /* a folder that is removed at the end; or NULL; copied */
    const char *key;         /* Idempotency-Key, or NULL; copied */
    job_done done;           /* or NULL */
    void *ctx;
};

struct jobs;
/* Reads what earlier servers kept. Jobs that were running are lost. data is borrowed. */
enum med_code jobs_new(const char *data, struct jobs **ret_jobs, struct med_err *err) MED_CHECK;
/* Begins to stop: nothing is accepted any more, everything is cancelled. Does not wait. */
void jobs_begin_stop(struct jobs *jobs);
/* The same; waits for it, calls the last `done`s. Nothing is accepted afterwards. */
void jobs_stop(struct jobs *jobs);
void jobs_free(struct jobs **jobs); /* stopped */

/* On MED_E_CONFLICT *ret_job is the job that is in the way; id 0: a build of another process, whose
 * progress it has. With the key of an earlier job of the same kind that job is returned, and
 * nothing is started: *ret_known; its `done` is not called. */
enum med_code jobs_submit(struct jobs *jobs, const struct job_request *request,
    struct job_record *ret_job, bool *ret_known, struct med_err *err) MED_CHECK;
bool jobs_find(struct jobs *jobs, uint64_t id, struct job_record *ret_job);
/* Newest first; freed with med_free. */
enum med_code jobs_list(struct jobs *jobs, struct job_record **ret_list, size_t *ret_count,
    struct med_err *err) MED_CHECK;
/* MED_E_NOT_FOUND; MED_E_CONFLICT: it has ended already. Cancelled is what its state says later. */
enum med_code jobs_cancel(
    struct jobs *jobs, uint64_t id, struct job_record *ret_job, struct med_err *err) MED_CHECK;
/* medicus_jobs_running{kind}, medicus_jobs_ended_total{kind,state} since the start. */
void jobs_metrics(struct jobs *jobs, struct med_buf *out);

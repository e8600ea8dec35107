/* A job as it is shown and kept: what was asked for, how far it is, how it ended.
 *
 *   queued --> running --> succeeded | failed | cancelled
 *                     \--> lost      the server ended before the job did
 *
 * <data>/jobs/<id>.json holds one, written when it begins, with each stage and at its end; the
 * newest JOBS_KEPT are kept. */
#pragma once

#include "common/fs.h"
#include "common/json.h"
#include "service/progress_line.h"

#define JOBS_FOLDER "jobs"
#define JOBS_KEPT 50u
#define JOB_KEY_MAX 64
#define JOB_RESULT_MAX (8 * 1024)
#define JOB_TIME_MAX 24

enum job_kind { JOB_INGEST, JOB_DELETE, JOB_UPDATE, JOB_REBUILD, JOB_SNAPSHOT, JOB_KIND_COUNT };
enum job_state {
    JOB_QUEUED,
    JOB_RUNNING,
    JOB_SUCCEEDED,
    JOB_FAILED,
    JOB_CANCELLED,
    JOB_LOST,
    JOB_STATE_COUNT
};
const char *job_kind_name(enum job_kind kind);
const char *job_state_name(enum job_state state);
static inline bool job_has_ended(enum job_state state)
{
    return state > JOB_RUNNING;
}

struct job_record {
    uint64_t id;
    enum job_kind kind;
    enum job_state state;
    struct progress_line progress; /* stage empty: none told yet */
    char created[JOB_TIME_MAX], started[JOB_TIME_MAX], finished[JOB_TIME_MAX]; /* or empty */
    int exit_status;              /* once it has ended: common/err.h; 128 + a signal's number */
    char error[MED_ERR_TEXT_MAX]; /* or empty */
    char result[JOB_RESULT_MAX];  /* JSON: what the command printed; or empty */
    char key[JOB_KEY_MAX + 1];    /* the request's Idempotency-Key; or empty */
};

void job_record_json(const struct job_record *job, struct med_jw *w);
bool job_record_parse(struct med_str text, struct job_record *ret_job);
/* "12 rebuild running: encode 120 of 1000 passages, 0:12 left" */
void job_record_text(const struct job_record *job, struct med_buf *out);

/* <data>/jobs/<id>.json, atomically. */
enum med_code job_record_save(
    const char *data, const struct job_record *job, struct med_err *err) MED_CHECK;
/* Those in the folder, newest first, at most JOBS_KEPT; what cannot be read is passed over. Freed
 * with med_free. */
enum med_code job_records_load(const char *data, struct job_record **ret_jobs, size_t *ret_count,
    struct med_err *err) MED_CHECK;
/* The file of a job in the folder: suffix ".json", ".out", ".err". */
enum med_code job_path(const char *data, uint64_t id, const char *suffix,
    char ret_path[MED_PATH_MAX], struct med_err *err) MED_CHECK;

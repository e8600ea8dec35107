#include "service/job_record.h"

#include "common/mem.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define FILE_BYTES_MAX (64 * 1024)

static const char *const kinds[JOB_KIND_COUNT] = {
    "ingest", "delete", "update", "rebuild", "snapshot"};
static const char *const states[JOB_STATE_COUNT] = {
    "queued", "running", "succeeded", "failed", "cancelled", "lost"};

const char *job_kind_name(enum job_kind kind)
{
    return kinds[kind];
}

const char *job_state_name(enum job_state state)
{
    return states[state];
}

static void time_or_null(struct med_jw *w, const char *key, const char *time)
{
    med_jw_kcstr(w, key, time[0] ? time : NULL);
}

void job_record_json(const struct job_record *job, struct med_jw *w)
{
    const struct progress_line *p = &job->progress;
    med_jw_object(w);
    med_jw_kint(w, "id", (long long)job->id);
    med_jw_kcstr(w, "kind", kinds[job->kind]);
    med_jw_kcstr(w, "state", states[job->state]);
    med_jw_key(w, "progress");
    if (p->stage[0]) {
        med_jw_object(w);
        med_jw_kcstr(w, "stage", p->stage);
        med_jw_kint(w, "done", (long long)p->done);
        med_jw_key(w, "total");
        if (p->total)
            med_jw_uint(w, p->total);
        else
            med_jw_null(w);
        med_jw_kcstr(w, "unit", p->unit);
        med_jw_kint(w, "records", (long long)p->counted);
        med_jw_key(w, "eta_seconds");
        if (p->eta_s >= 0 && job->state == JOB_RUNNING)
            med_jw_int(w, p->eta_s);
        else
            med_jw_null(w);
        med_jw_object_end(w);
    } else {
        med_jw_null(w);
    }
    time_or_null(w, "created", job->created);
    time_or_null(w, "started", job->started);
    time_or_null(w, "finished", job->finished);
    med_jw_key(w, "exit_status");
    if (job_has_ended(job->state) && job->state != JOB_LOST)
        med_jw_int(w, job->exit_status);
    else
        med_jw_null(w);
    med_jw_kcstr(w, "error", job->error[0] ? job->error : NULL);
    med_jw_key(w, "result");
    if (job->result[0])
        med_jw_raw(w, med_str_of(job->result));
    else
        med_jw_null(w);
    med_jw_kcstr(w, "idempotency_key", job->key[0] ? job->key : NULL);
    med_jw_object_end(w);
}

static int index_of(struct med_str word, const char *const *words, int count)
{
    for (int i = 0; i < count; i++) {
        if (med_str_eq(word, med_str_of(words[i]))) return i;
    }
    return -1;
}

static void copy(const struct med_json *object, const char *key, char *out, size_t size)
{
    struct med_str s = med_json_get_str(object, key);
    snprintf(out, size, MED_STR_FMT, MED_STR_ARG(s));
}

static long long number(const struct med_json *object, const char *key)
{
    long long x;
    return med_json_int(med_json_get(object, key), 0, 1ll << 53, &x) ? x : 0;
}

/* The result stands in the text as it was printed: what a command prints is a flat object. */
static void copy_result(struct med_str text, char out[JOB_RESULT_MAX])
{
    static const char begin[] = "\"result\":{", end[] = ",\"idempotency_key\":";
    const char *a = memmem(text.ptr, text.len, begin, sizeof begin - 1);
    const char *b = NULL;
    for (const char *at = a; at;) {
        b = at == a ? NULL : at;
        size_t left = (size_t)(text.ptr + text.len - at - 1);
        at = memmem(at + 1, left, end, sizeof end - 1);
    }
    if (!a || !b || b < a) return;
    a += sizeof begin - 2;
    if ((size_t)(b - a) < JOB_RESULT_MAX) snprintf(out, JOB_RESULT_MAX, "%.*s", (int)(b - a), a);
}

bool job_record_parse(struct med_str text, struct job_record *ret_job)
{
    struct med_json *root;
    if (text.len == 0 || med_json_parse(text.ptr, text.len, &root, NULL) != MED_OK) return false;
    struct job_record job = {
        .id = (uint64_t)number(root, "id"), .exit_status = (int)number(root, "exit_status")};
    int kind = index_of(med_json_get_str(root, "kind"), kinds, JOB_KIND_COUNT);
    int state = index_of(med_json_get_str(root, "state"), states, JOB_STATE_COUNT);
    const struct med_json *p = med_json_get(root, "progress");
    copy(root, "created", job.created, sizeof job.created);
    copy(root, "started", job.started, sizeof job.started);
    copy(root, "finished", job.finished, sizeof job.finished);
    copy(root, "error", job.error, sizeof job.error);
    copy(root, "idempotency_key", job.key, sizeof job.key);
    if (p) {
        copy(p, "stage", job.progress.stage, sizeof job.progress.stage);
        copy(p, "unit", job.progress.unit, sizeof job.progress.unit);
        job.progress.done = (uint64_t)number(p, "done");
        job.progress.total = (uint64_t)number(p, "total");
        job.progress.counted = (uint64_t)number(p, "records");
    }
    job.progress.eta_s = -1;
    copy_result(text, job.result);
    med_json_free(&root);
    if (job.id == 0 || kind < 0 || state < 0) return false;
    job.kind = (enum job_kind)kind;
    job.state = (enum job_state)state;
    *ret_job = job;
    return true;
}

void job_record_text(const struct job_record *job, struct med_buf *out)
{
    med_buf_printf(out, "%" PRIu64 " %s %s", job->id, kinds[job->kind], states[job->state]);
    if (job->state == JOB_RUNNING) {
        med_buf_puts(out, ": ");
        progress_line_text(&job->progress, out);
    } else if (job->error[0]) {
        med_buf_printf(out, ": %s", job->error);
    }
}

/* --- files --- */

enum med_code job_path(const char *data, uint64_t id, const char *suffix,
    char ret_path[MED_PATH_MAX], struct med_err *err)
{
    char name[64];
    snprintf(name, sizeof name, JOBS_FOLDER "/%" PRIu64 "%s", id, suffix);
    return med_path_join(ret_path, data, name, err);
}

enum med_code job_record_save(const char *data, const struct job_record *job, struct med_err *err)
{
    char path[MED_PATH_MAX];
    struct med_buf text;
    med_buf_init(&text, FILE_BYTES_MAX);
    struct med_jw w = med_jw_of(&text, false);
    job_record_json(job, &w);
    med_buf_putc(&text, '\n');
    enum med_code code = med_buf_status(&text, err);
    if (!code) code = job_path(data, job->id, ".json", path, err);
    if (!code) code = med_fs_replace(med_fs_posix(), path, text.data, text.len, err);
    med_buf_free(&text);
    return code;
}

static int newest_first(const void *a, const void *b)
{
    uint64_t x = ((const struct job_record *)a)->id, y = ((const struct job_record *)b)->id;
    return x > y ? -1 : x < y;
}

static bool load_one(const char *dir, const char *name, struct job_record *ret_job)
{
    char path[MED_PATH_MAX];
    struct med_buf text;
    if (!med_str_ends(med_str_of(name), MED_STR(".json"))) return false;
    med_buf_init(&text, FILE_BYTES_MAX);
    bool ok = med_path_join(path, dir, name, NULL) == MED_OK &&
              med_read_file(path, &text, NULL) == MED_OK &&
              job_record_parse(med_buf_str(&text), ret_job);
    med_buf_free(&text);
    return ok;
}

enum med_code job_records_load(
    const char *data, struct job_record **ret_jobs, size_t *ret_count, struct med_err *err)
{
    char dir[MED_PATH_MAX];
    struct job_record *jobs = NULL;
    size_t count = 0, cap = 0;
    enum med_code code = med_path_join(dir, data, JOBS_FOLDER, err);
    if (code) return code;
    DIR *folder = opendir(dir);
    if (!folder && errno != ENOENT) return med_fail_errno(err, errno, "cannot read %s", dir);
    for (const struct dirent *e; folder && !code && (e = readdir(folder));) {
        if (!med_grow(&jobs, &cap, count + 1, sizeof *jobs))
            code = med_fail(err, MED_E_NOMEM, "out of memory for the list of jobs");
        else if (load_one(dir, e->d_name, &jobs[count]))
            count++;
    }
    if (folder) closedir(folder);
    if (count) qsort(jobs, count, sizeof *jobs, newest_first);
    if (code) {
        med_free(jobs);
        return code;
    }
    *ret_jobs = jobs;
    *ret_count = count < JOBS_KEPT ? count : JOBS_KEPT;
    return MED_OK;
}

#include "service/jobs.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "service/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define LOOK_EVERY_MS 100 /* for a cancellation, while the process says nothing */
#define OUTPUT_BYTES_MAX (64 * 1024)
#define ARGS_MAX 24

enum lane { LANE_INDEX, LANE_STORE, LANE_SNAPSHOT, LANE_COUNT };

static const enum lane lane_of[JOB_KIND_COUNT] = {[JOB_INGEST] = LANE_STORE,
    [JOB_DELETE] = LANE_STORE,
    [JOB_UPDATE] = LANE_INDEX,
    [JOB_REBUILD] = LANE_INDEX,
    [JOB_SNAPSHOT] = LANE_SNAPSHOT};

struct job {
    struct job *next; /* newest first */
    struct job_record record;
    char *args[ARGS_MAX + 1];
    char *spool;
    job_done done;
    void *ctx;
    bool cancel;
};

struct runner {
    struct jobs *jobs;
    enum lane lane;
    pthread_t thread;
    bool runs;
};

struct jobs {
    const char *data;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t wake;
    struct job *first;
    uint64_t last_id;
    bool stopping;
    uint64_t ended[JOB_KIND_COUNT][JOB_STATE_COUNT]; /* since the start, for metrics */
    struct runner runners[LANE_COUNT];
};

static void now_text(char out[JOB_TIME_MAX])
{
    char text[MED_TIME_TEXT_LEN + 1];
    med_time_text(med_unix_time_s(), text);
    snprintf(out, JOB_TIME_MAX, "%s", text);
}

static void free_job(struct job *job)
{
    for (size_t i = 0; i < ARGS_MAX; i++) med_free(job->args[i]);
    med_free(job->spool);
    med_free(job);
}

/* A job that cannot be kept is still done: the server's log has it. */
static void save(struct jobs *jobs, const struct job_record *record)
{
    struct med_err err = {0};
    if (job_record_save(jobs->data, record, &err))
        med_log(MED_LOG_WARN, "jobs", "cannot keep job %llu: %s", (unsigned long long)record->id,
            err.text);
}

/* --- one process --- */

struct process {
    struct jobs *jobs;
    struct job *job;
    pid_t pid;
    int progress_fd;
    struct med_buf line;
    uint64_t told_ns; /* when it was asked to end; 0 = not yet */
    bool killed;
};

static void on_line(struct process *p, struct med_str text)
{
    struct progress_line line;
    if (!progress_line_parse(text, &line)) return;
    pthread_mutex_lock(&p->jobs->mutex);
    bool next_stage = strcmp(p->job->record.progress.stage, line.stage) != 0;
    p->job->record.progress = line;
    struct job_record copy = p->job->record;
    pthread_mutex_unlock(&p->jobs->mutex);
    if (next_stage) save(p->jobs, &copy);
}

/* False at the end of the pipe. */
static bool read_progress(struct process *p)
{
    char bytes[2048];
    ssize_t n = read(p->progress_fd, bytes, sizeof bytes);
    if (n < 0) return errno == EINTR || errno == EAGAIN;
    for (ssize_t i = 0; i < n; i++) {
        if (bytes[i] != '\n') {
            med_buf_putc(&p->line, bytes[i]);
            continue;
        }
        if (med_buf_status(&p->line, NULL) == MED_OK) on_line(p, med_buf_str(&p->line));
        med_buf_reset(&p->line);
    }
    return n > 0;
}

static void end_when_cancelled(struct process *p)
{
    pthread_mutex_lock(&p->jobs->mutex);
    bool cancel = p->job->cancel;
    uint64_t patience_s = p->jobs->stopping ? JOBS_KILL_AT_STOP_S : JOBS_KILL_AFTER_S;
    pthread_mutex_unlock(&p->jobs->mutex);
    if (!cancel || p->killed) return;
    uint64_t now = med_now_ns();
    if (!p->told_ns) {
        p->told_ns = now;
        kill(p->pid, SIGTERM);
    } else if (now - p->told_ns > patience_s * 1000000000ull) {
        p->killed = true;
        kill(p->pid, SIGKILL);
    }
}

static int open_output(const struct process *p, const char *suffix, struct med_err *err)
{
    char path[MED_PATH_MAX];
    if (job_path(p->jobs->data, p->job->record.id, suffix, path, err)) return -1;
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (fd < 0) (void)med_fail_errno(err, errno, "cannot create %s", path);
    return fd;
}

/* Runs to the end; the exit status. */
static int follow(struct process *p)
{
    for (bool more = true; more;) {
        struct pollfd fd = {.fd = p->progress_fd, .events = POLLIN};
        if (poll(&fd, 1, LOOK_EVERY_MS) > 0) more = read_progress(p);
        end_when_cancelled(p);
    }
    /* The pipe is closed a moment before the process ends, unless it was closed on purpose. */
    return child_wait(p->pid);
}

static enum med_code run_process(struct process *p, int *ret_status, struct med_err *err)
{
    int out = open_output(p, ".out", err), problems = open_output(p, ".err", err), pipes[2];
    if (out < 0 || problems < 0 || pipe2(pipes, O_CLOEXEC) != 0) {
        enum med_code code =
            out < 0 || problems < 0 ? MED_E_IO : med_fail_errno(err, errno, "cannot make a pipe");
        if (out >= 0) close(out);
        if (problems >= 0) close(problems);
        return code;
    }
    const struct child_files files = {.out = out, .err = problems, .progress = pipes[1]};
    enum med_code code = child_start((const char *const *)p->job->args, &files, &p->pid, err);
    close(out);
    close(problems);
    close(pipes[1]);
    p->progress_fd = pipes[0];
    if (!code) *ret_status = follow(p);
    close(pipes[0]);
    return code;
}

/* --- how it ended --- */

static void read_output(struct jobs *jobs, uint64_t id, const char *suffix, struct med_buf *text)
{
    char path[MED_PATH_MAX];
    if (job_path(jobs->data, id, suffix, path, NULL) != MED_OK) return;
    if (med_read_file(path, text, NULL) != MED_OK) med_buf_reset(text);
    unlink(path);
}

/* The last line of stderr that the program said about itself. */
static void take_error(struct med_str text, char out[MED_ERR_TEXT_MAX])
{
    const struct med_str mark = MED_STR("medicus: ");
    for (size_t at = 0, end; at < text.len; at = end + 1) {
        for (end = at; end < text.len && text.ptr[end] != '\n';) end++;
        struct med_str line = med_str_sub(text, at, end);
        if (!med_str_starts(line, mark)) continue;
        line = med_str_sub(line, mark.len, line.len);
        snprintf(out, MED_ERR_TEXT_MAX, MED_STR_FMT, MED_STR_ARG(line));
    }
}

static void take_output(struct jobs *jobs, struct job_record *r)
{
    struct med_buf text;
    med_buf_init(&text, OUTPUT_BYTES_MAX);
    read_output(jobs, r->id, ".err", &text);
    if (r->state == JOB_FAILED && !r->error[0]) take_error(med_buf_str(&text), r->error);
    med_buf_reset(&text);
    read_output(jobs, r->id, ".out", &text);
    struct med_str json = med_str_trim(med_buf_str(&text));
    bool object = json.len > 1 && json.ptr[0] == '{' && json.len < JOB_RESULT_MAX &&
                  med_json_check(json.ptr, json.len, MED_JSON_WRITER_DEPTH, NULL) == MED_OK;
    if (object) snprintf(r->result, sizeof r->result, MED_STR_FMT, MED_STR_ARG(json));
    med_buf_free(&text);
    if (r->state == JOB_FAILED && !r->error[0])
        snprintf(r->error, sizeof r->error,
            r->exit_status > 128 ? "the process was ended by signal %d"
                                 : "the process ended with status %d",
            r->exit_status > 128 ? r->exit_status - 128 : r->exit_status);
}

static void finish(struct jobs *jobs, struct job *job, int status, const struct med_err *failure)
{
    pthread_mutex_lock(&jobs->mutex);
    struct job_record r = job->record;
    bool cancelled = job->cancel;
    pthread_mutex_unlock(&jobs->mutex);
    r.exit_status = status;
    r.state = status == 0 ? JOB_SUCCEEDED : cancelled ? JOB_CANCELLED : JOB_FAILED;
    if (failure) snprintf(r.error, sizeof r.error, "%s", failure->text);
    now_text(r.finished);
    take_output(jobs, &r);
    struct med_err err = {0};
    if (job->spool && med_fs_remove_tree(med_fs_posix(), job->spool, &err))
        med_log(MED_LOG_WARN, "jobs", "%s", err.text);
    save(jobs, &r);
    /* Not the sentence: it may name documents. */
    med_log(r.state == JOB_FAILED ? MED_LOG_ERROR : MED_LOG_INFO, "jobs",
        "job %llu (%s) %s, exit status %d", (unsigned long long)r.id, job_kind_name(r.kind),
        job_state_name(r.state), r.exit_status);
    pthread_mutex_lock(&jobs->mutex);
    job->record = r;
    jobs->ended[r.kind][r.state]++;
    pthread_mutex_unlock(&jobs->mutex);
    if (job->done) job->done(job->ctx, &r);
}

static void run_job(struct jobs *jobs, struct job *job)
{
    struct process p = {.jobs = jobs, .job = job};
    struct med_err err = {0};
    int status = 0;
    pthread_mutex_lock(&jobs->mutex);
    struct job_record r = job->record;
    bool cancelled = job->cancel;
    pthread_mutex_unlock(&jobs->mutex);
    enum med_code code = MED_OK;
    if (cancelled) {
        status = med_code_exit_status(MED_E_CANCELLED);
    } else {
        save(jobs, &r);
        med_log(MED_LOG_INFO, "jobs", "job %llu (%s) begins", (unsigned long long)r.id,
            job_kind_name(r.kind));
        med_buf_init(&p.line, PROGRESS_LINE_MAX);
        code = run_process(&p, &status, &err);
        med_buf_free(&p.line);
    }
    if (code) status = med_code_exit_status(code);
    finish(jobs, job, status, code ? &err : NULL);
}

/* --- lanes --- */

static struct job *oldest_queued(struct jobs *jobs, enum lane lane)
{
    struct job *found = NULL;
    for (struct job *j = jobs->first; j; j = j->next) {
        if (lane_of[j->record.kind] == lane && j->record.state == JOB_QUEUED) found = j;
    }
    return found;
}

/* Ended jobs beyond the newest JOBS_KEPT. With the mutex held. */
static void forget_old(struct jobs *jobs)
{
    size_t count = 0;
    for (struct job **at = &jobs->first; *at;) {
        struct job *j = *at;
        char path[MED_PATH_MAX];
        if (++count <= JOBS_KEPT || !job_has_ended(j->record.state)) {
            at = &j->next;
            continue;
        }
        *at = j->next;
        if (job_path(jobs->data, j->record.id, ".json", path, NULL) == MED_OK) unlink(path);
        free_job(j);
    }
}

static void *lane_main(void *arg)
{
    struct runner *r = arg;
    struct jobs *jobs = r->jobs;
    pthread_mutex_lock(&jobs->mutex);
    for (;;) {
        struct job *job = oldest_queued(jobs, r->lane);
        if (!job && jobs->stopping) break;
        if (!job) {
            pthread_cond_wait(&jobs->wake, &jobs->mutex);
            continue;
        }
        job->record.state = JOB_RUNNING;
        now_text(job->record.started);
        pthread_mutex_unlock(&jobs->mutex);
        run_job(jobs, job);
        pthread_mutex_lock(&jobs->mutex);
        forget_old(jobs);
    }
    pthread_mutex_unlock(&jobs->mutex);
    return NULL;
}

/* --- asking --- */

static struct job *find(struct jobs *jobs, uint64_t id)
{
    for (struct job *j = jobs->first; j; j = j->next) {
        if (j->record.id == id) return j;
    }
    return NULL;
}

static bool append(struct job *job, const char *arg)
{
    size_t i = 0;
    while (job->args[i]) i++;
    return i < ARGS_MAX && (job->args[i] = med_strndup(arg, strlen(arg))) != NULL;
}

static enum med_code new_job(
    struct jobs *jobs, const struct job_request *request, struct job **ret_job, struct med_err *err)
{
    const char *const fixed[] = {
        "--data", jobs->data, "--json", "--background", "--progress-fd", CHILD_PROGRESS_TEXT, NULL};
    struct job *job = med_calloc(1, sizeof *job);
    if (!job) return med_fail(err, MED_E_NOMEM, "out of memory for a job");
    const char *const *more = request->args;
    bool ok = append(job, *more++);
    for (const char *const *a = fixed; ok && *a; a++) ok = append(job, *a);
    while (ok && *more) ok = append(job, *more++);
    if (ok && request->spool)
        ok = (job->spool = med_strndup(request->spool, strlen(request->spool))) != NULL;
    if (!ok) {
        free_job(job);
        return med_fail(err, MED_E_NOMEM, "out of memory for a job");
    }
    job->record.kind = request->kind;
    job->record.progress.eta_s = -1;
    job->done = request->done;
    job->ctx = request->ctx;
    if (request->key) snprintf(job->record.key, sizeof job->record.key, "%s", request->key);
    now_text(job->record.created);
    *ret_job = job;
    return MED_OK;
}

/* With the mutex held. What is in the way, or MED_OK. */
static enum med_code find_room(
    struct jobs *jobs, enum job_kind kind, struct job_record *ret_job, struct med_err *err)
{
    enum lane lane = lane_of[kind];
    size_t waiting = 0;
    if (jobs->stopping) return med_fail(err, MED_E_CANCELLED, "the server is stopping");
    for (const struct job *j = jobs->first; j; j = j->next) {
        if (lane_of[j->record.kind] != lane || job_has_ended(j->record.state)) continue;
        waiting++;
        if (lane == LANE_STORE) continue;
        *ret_job = j->record;
        return med_fail(err, MED_E_CONFLICT, "job %llu (%s) is running",
            (unsigned long long)j->record.id, job_kind_name(j->record.kind));
    }
    if (waiting > JOBS_QUEUED_MAX)
        return med_fail(err, MED_E_BUSY, "%zu jobs are waiting already", waiting);
    return MED_OK;
}

static bool known_by_key(
    const struct jobs *jobs, const struct job_request *request, struct job_record *ret_job)
{
    for (const struct job *j = jobs->first; request->key && j; j = j->next) {
        if (j->record.kind != request->kind || strcmp(j->record.key, request->key) != 0) continue;
        *ret_job = j->record;
        return true;
    }
    return false;
}

enum med_code jobs_submit(struct jobs *jobs, const struct job_request *request,
    struct job_record *ret_job, bool *ret_known, struct med_err *err)
{
    struct progress_line elsewhere;
    struct job *job = NULL;
    *ret_known = false;
    char dir[MED_PATH_MAX];
    enum med_code code = med_path_join(dir, jobs->data, JOBS_FOLDER, err);
    if (!code) code = med_fs_mkdir_all(med_fs_posix(), dir, err);
    if (!code) code = new_job(jobs, request, &job, err);
    if (code) return code;
    /* A build of this server is in the lane, which is looked at first, under the mutex. */
    bool other = lane_of[request->kind] == LANE_INDEX && progress_of_build(jobs->data, &elsewhere);
    pthread_mutex_lock(&jobs->mutex);
    *ret_known = known_by_key(jobs, request, ret_job);
    if (!*ret_known) code = find_room(jobs, request->kind, ret_job, err);
    if (!code && !*ret_known && other) {
        *ret_job = (struct job_record){.progress = elsewhere};
        code = med_fail(err, MED_E_CONFLICT,
            "a build that was started elsewhere is running (process %ld)", elsewhere.pid);
    }
    if (!code && !*ret_known) {
        job->record.id = ++jobs->last_id;
        job->next = jobs->first;
        jobs->first = job;
        *ret_job = job->record;
        job = NULL;
        pthread_cond_broadcast(&jobs->wake);
    }
    pthread_mutex_unlock(&jobs->mutex);
    if (job) free_job(job);
    return code;
}

bool jobs_find(struct jobs *jobs, uint64_t id, struct job_record *ret_job)
{
    pthread_mutex_lock(&jobs->mutex);
    const struct job *job = find(jobs, id);
    if (job) *ret_job = job->record;
    pthread_mutex_unlock(&jobs->mutex);
    return job != NULL;
}

enum med_code jobs_list(
    struct jobs *jobs, struct job_record **ret_list, size_t *ret_count, struct med_err *err)
{
    struct job_record *list = NULL;
    size_t count = 0, cap = 0;
    bool ok = true;
    pthread_mutex_lock(&jobs->mutex);
    for (const struct job *j = jobs->first; ok && j; j = j->next) {
        ok = med_grow(&list, &cap, count + 1, sizeof *list);
        if (ok) list[count++] = j->record;
    }
    pthread_mutex_unlock(&jobs->mutex);
    if (!ok) {
        med_free(list);
        return med_fail(err, MED_E_NOMEM, "out of memory for the list of jobs");
    }
    *ret_list = list;
    *ret_count = count;
    return MED_OK;
}

enum med_code jobs_cancel(
    struct jobs *jobs, uint64_t id, struct job_record *ret_job, struct med_err *err)
{
    enum med_code code = MED_OK;
    pthread_mutex_lock(&jobs->mutex);
    struct job *job = find(jobs, id);
    if (!job)
        code = med_fail(err, MED_E_NOT_FOUND, "there is no job %llu", (unsigned long long)id);
    else if (job_has_ended(job->record.state))
        code = med_fail(err, MED_E_CONFLICT, "job %llu has ended already: %s",
            (unsigned long long)id, job_state_name(job->record.state));
    else
        job->cancel = true;
    if (job) *ret_job = job->record;
    pthread_mutex_unlock(&jobs->mutex);
    return code;
}

void jobs_metrics(struct jobs *jobs, struct med_buf *out)
{
    unsigned running[JOB_KIND_COUNT] = {0};
    uint64_t ended[JOB_KIND_COUNT][JOB_STATE_COUNT];
    pthread_mutex_lock(&jobs->mutex);
    for (const struct job *j = jobs->first; j; j = j->next)
        running[j->record.kind] += j->record.state == JOB_RUNNING;
    memcpy(ended, jobs->ended, sizeof ended);
    pthread_mutex_unlock(&jobs->mutex);
    med_buf_puts(out, "# HELP medicus_jobs_running Jobs that run, by kind.\n"
                      "# TYPE medicus_jobs_running gauge\n");
    for (int k = 0; k < JOB_KIND_COUNT; k++)
        med_buf_printf(out, "medicus_jobs_running{kind=\"%s\"} %u\n",
            job_kind_name((enum job_kind)k), running[k]);
    med_buf_puts(out, "# HELP medicus_jobs_ended_total Jobs that ended, by kind and how.\n"
                      "# TYPE medicus_jobs_ended_total counter\n");
    for (int k = 0; k < JOB_KIND_COUNT; k++) {
        for (int s = JOB_SUCCEEDED; s <= JOB_CANCELLED; s++)
            med_buf_printf(out, "medicus_jobs_ended_total{kind=\"%s\",state=\"%s\"} %llu\n",
                job_kind_name((enum job_kind)k), job_state_name((enum job_state)s),
                (unsigned long long)ended[k][s]);
    }
}

/* --- life --- */

static enum med_code load(struct jobs *jobs, struct med_err *err)
{
    struct job_record *kept = NULL;
    size_t count = 0;
    enum med_code code = job_records_load(jobs->data, &kept, &count, err);
    for (size_t i = count; !code && i > 0; i--) {
        struct job *job = med_calloc(1, sizeof *job);
        if (!job) {
            code = med_fail(err, MED_E_NOMEM, "out of memory for the list of jobs");
            break;
        }
        job->record = kept[i - 1];
        if (!job_has_ended(job->record.state)) {
            job->record.state = JOB_LOST;
            snprintf(job->record.error, sizeof job->record.error,
                "the server ended before the job did; what it had published or stored is there");
            save(jobs, &job->record);
        }
        job->next = jobs->first;
        jobs->first = job;
        if (job->record.id > jobs->last_id) jobs->last_id = job->record.id;
    }
    med_free(kept);
    return code;
}

enum med_code jobs_new(const char *data, struct jobs **ret_jobs, struct med_err *err)
{
    struct jobs *jobs = med_calloc(1, sizeof *jobs);
    if (!jobs) return med_fail(err, MED_E_NOMEM, "out of memory for the server");
    jobs->data = data;
    pthread_mutex_init(&jobs->mutex, NULL);
    pthread_cond_init(&jobs->wake, NULL);
    enum med_code code = load(jobs, err);
    for (int i = 0; !code && i < LANE_COUNT; i++) {
        struct runner *r = &jobs->runners[i];
        *r = (struct runner){.jobs = jobs, .lane = (enum lane)i};
        int failed = pthread_create(&r->thread, NULL, lane_main, r);
        if (failed) code = med_fail_errno(err, failed, "cannot start a thread");
        r->runs = !failed;
    }
    if (code) {
        jobs_stop(jobs);
        jobs_free(&jobs);
        return code;
    }
    *ret_jobs = jobs;
    return MED_OK;
}

void jobs_begin_stop(struct jobs *jobs)
{
    pthread_mutex_lock(&jobs->mutex);
    jobs->stopping = true;
    for (struct job *j = jobs->first; j; j = j->next) j->cancel |= !job_has_ended(j->record.state);
    pthread_cond_broadcast(&jobs->wake);
    pthread_mutex_unlock(&jobs->mutex);
}

void jobs_stop(struct jobs *jobs)
{
    jobs_begin_stop(jobs);
    for (int i = 0; i < LANE_COUNT; i++) {
        if (jobs->runners[i].runs) pthread_join(jobs->runners[i].thread, NULL);
        jobs->runners[i].runs = false;
    }
}

void jobs_free(struct jobs **jobs_ptr)
{
    struct jobs *jobs = *jobs_ptr;
    *jobs_ptr = NULL;
    if (!jobs) return;
    for (struct job *j = jobs->first, *next; j; j = next) {
        next = j->next;
        free_job(j);
    }
    pthread_cond_destroy(&jobs->wake);
    pthread_mutex_destroy(&jobs->mutex);
    med_free(jobs);
}

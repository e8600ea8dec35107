/* The operator's routes, below /v1/admin: a key with the scope admin is needed always.
 *
 * Long work becomes a job (jobs.h). Adding and deleting documents wait for theirs: the request is
 * deferred, holds no search thread, and is answered by the job's end. */
#include "service/admin.h"

#include "common/clock.h"
#include "common/json.h"
#include "common/limits.h"
#include "common/mem.h"
#include "service/generations_json.h"
#include "service/upload.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#define REBUILD_ARGS_MAX 32
#define NAME_MAX_LEN 100

/* --- answers --- */

static void answer_job(struct http_response *response, int status, const struct job_record *job)
{
    respond(response, status, MEDIA_JSON);
    if (status == 202)
        http_response_header(response, "Location", "/v1/admin/jobs/%" PRIu64, job->id);
    struct med_jw w = med_jw_of(&response->body, false);
    job_record_json(job, &w);
    med_buf_putc(&response->body, '\n');
}

static void answer_error(const struct http_request *r, struct http_response *response,
    enum med_code code, struct med_err *err)
{
    err->code = code;
    respond_error(r, response, err);
}

/* 409 with the job that is in the way. */
static void answer_conflict(const struct http_request *r, struct http_response *response,
    const struct job_record *job, const struct med_err *err)
{
    char detail[MED_ERR_TEXT_MAX + 200];
    struct med_buf progress;
    med_buf_init(&progress, MED_KIB);
    progress_line_text(&job->progress, &progress);
    snprintf(
        detail, sizeof detail, "%s: " MED_STR_FMT, err->text, MED_STR_ARG(med_buf_str(&progress)));
    med_buf_free(&progress);
    if (job->id) http_response_header(response, "Location", "/v1/admin/jobs/%" PRIu64, job->id);
    respond_problem(r, response, PROBLEM_CONFLICT, detail);
}

/* The problem that a failed job's exit status stands for. */
static enum problem problem_of_job(const struct job_record *job)
{
    if (job->state == JOB_CANCELLED) return PROBLEM_STOPPING;
    switch (job->exit_status) {
    case 3: return PROBLEM_INVALID_DOCUMENTS;
    case 4: return PROBLEM_NOT_FOUND;
    case 6: return PROBLEM_DAMAGED_DATA;
    case 7: return PROBLEM_NO_SPACE;
    case 8: return PROBLEM_STORAGE;
    case 9: return PROBLEM_CONFLICT;
    case 10: return PROBLEM_OUT_OF_MEMORY;
    default: return PROBLEM_INTERNAL;
    }
}

/* --- jobs that are waited for --- */

#define DELETE_ARG_ID 3 /* where a deletion's arguments name the document */

struct waiting {
    struct server *server;
    const struct http_request *request;
    struct http_response *response;
    struct audit_ids ids; /* of what is to be deleted */
};

static void finish_waiting(struct waiting *w)
{
    /* The routes see a constant request; the server's own part of it is not. */
    struct http_request *request = (struct http_request *)(uintptr_t)w->request;
    access_headers(w->request, w->response);
    audit_write(w->server->audit, w->request, route_name((enum route)w->request->route),
        w->response->status, w->response->status == 200 ? &w->ids : NULL);
    med_buf_free(&w->ids.list);
    med_free(w);
    http_request_finish(request);
}

static void on_job_done(void *ctx, const struct job_record *job)
{
    struct waiting *w = ctx;
    if (job->state == JOB_SUCCEEDED)
        answer_job(w->response, 200, job);
    else
        respond_problem(w->request, w->response, problem_of_job(job),
            job->error[0] ? job->error : "the job was cancelled");
    finish_waiting(w);
}

/* The caller's own, or none; false: it cannot be one. */
static bool idempotency_key(
    const struct http_request *r, struct http_response *response, char ret_key[JOB_KEY_MAX + 1])
{
    struct med_str value;
    ret_key[0] = '\0';
    if (!http_header_get(r, "Idempotency-Key", &value)) return true;
    bool good = value.len > 0 && value.len <= JOB_KEY_MAX;
    for (size_t i = 0; good && i < value.len; i++) good = value.ptr[i] > ' ' && value.ptr[i] <= '~';
    if (good) {
        memcpy(ret_key, value.ptr, value.len);
        ret_key[value.len] = '\0';
    } else {
        respond_problem(r, response, PROBLEM_INVALID_PARAMETER,
            "Idempotency-Key takes 1 to 64 printable characters without spaces");
    }
    return good;
}

/* True: a job began, which now owns its spool folder. */
static bool submit_and_answer(struct server *server, const struct http_request *r,
    struct http_response *response, struct job_request *request, bool wait)
{
    char key[JOB_KEY_MAX + 1];
    struct job_record job = {0};
    struct med_err err = {0};
    struct waiting *waiting = NULL;
    bool known;
    if (!idempotency_key(r, response, key)) return false;
    if (key[0]) request->key = key;
    if (wait) {
        waiting = med_malloc(sizeof *waiting);
        if (!waiting) {
            respond_problem(r, response, PROBLEM_OUT_OF_MEMORY, NULL);
            return false;
        }
        *waiting = (struct waiting){.server = server, .request = r, .response = response};
        audit_ids_begin(server->audit, &waiting->ids);
        if (request->kind == JOB_DELETE)
            audit_id(&waiting->ids, med_str_of(request->args[DELETE_ARG_ID]));
        request->done = on_job_done;
        request->ctx = waiting;
        http_request_defer((struct http_request *)(uintptr_t)r);
    }
    enum med_code code = jobs_submit(server->admin->jobs, request, &job, &known, &err);
    /* With a job on its way the answer is not ours any more. */
    if (wait && !code && !known) return true;
    if (code == MED_E_CONFLICT)
        answer_conflict(r, response, &job, &err);
    else if (code == MED_E_CANCELLED)
        respond_problem(r, response, PROBLEM_STOPPING, err.text);
    else if (code)
        answer_error(r, response, code, &err);
    else
        answer_job(response, known && job_has_ended(job.state) ? 200 : 202, &job);
    if (wait) finish_waiting(waiting);
    return !code && !known;
}

/* --- parameters --- */

struct pairs {
    struct query_pair *items;
    size_t count;
};

static bool read_query(struct worker_state *worker, const struct http_request *r,
    struct http_response *response, struct pairs *ret_pairs)
{
    struct med_err err = {0};
    enum med_code code =
        query_pairs(r->query, worker->arena, &ret_pairs->items, &ret_pairs->count, &err);
    if (code) answer_error(r, response, code, &err);
    return !code;
}

static void refuse_parameter(
    const struct http_request *r, struct http_response *response, struct med_str name)
{
    char detail[200];
    snprintf(detail, sizeof detail, "unknown parameter \"%.*s\"",
        (int)(name.len < 60 ? name.len : 60), name.ptr);
    respond_problem(r, response, PROBLEM_UNKNOWN_PARAMETER, detail);
}

static bool is_file_name(struct med_str s)
{
    bool good = s.len > 0 && s.len <= NAME_MAX_LEN && s.ptr[0] != '.' && s.ptr[0] != '-';
    for (size_t i = 0; good && i < s.len; i++) {
        char c = s.ptr[i];
        good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '.' || c == '_' || c == '-';
    }
    return good;
}

static bool is_source(struct med_str s)
{
    bool good = false;
    for (int i = 0; i < MED_SOURCE_COUNT; i++)
        good |= med_str_eq(s, med_str_of(med_source_name((enum med_source)i)));
    return good;
}

struct upload_params {
    struct med_str name, source;
    bool async;
};

static bool read_upload_params(struct worker_state *worker, const struct http_request *r,
    struct http_response *response, struct upload_params *p)
{
    struct pairs pairs;
    *p = (struct upload_params){.name = MED_STR("upload")};
    if (!read_query(worker, r, response, &pairs)) return false;
    for (size_t i = 0; i < pairs.count; i++) {
        struct med_str name = pairs.items[i].name, value = pairs.items[i].value;
        if (med_str_eq(name, MED_STR("name")) && is_file_name(value)) {
            p->name = value;
        } else if (med_str_eq(name, MED_STR("source")) && is_source(value)) {
            p->source = value;
        } else if (med_str_eq(name, MED_STR("async"))) {
            struct med_err err = {0};
            enum med_code code = query_bool(name, value, &p->async, &err);
            if (code) answer_error(r, response, code, &err);
            if (code) return false;
        } else if (med_str_eq(name, MED_STR("name")) || med_str_eq(name, MED_STR("source"))) {
            respond_problem(r, response, PROBLEM_INVALID_PARAMETER,
                "name takes up to 100 letters, digits, dots, hyphens and underscores; source is "
                "pubmed, pmc, guideline or other");
            return false;
        } else {
            refuse_parameter(r, response, name);
            return false;
        }
    }
    return true;
}

/* --- documents --- */

bool admin_begin_upload(
    struct admin *admin, struct http_request *request, struct http_response *response)
{
    struct upload *upload;
    struct med_err err = {0};
    enum med_code code = upload_begin(admin->data, &upload, &err);
    if (code) {
        answer_error(request, response, code, &err);
        return false;
    }
    request->sink = &upload->sink;
    request->body_bytes_max = admin->body_bytes_max;
    return true;
}

void route_admin_documents(struct server *server, struct worker_state *worker,
    const struct http_request *request, struct http_response *response)
{
    struct upload *upload = (struct upload *)(void *)request->sink;
    struct upload_params params;
    struct med_err err = {0};
    char source[NAME_MAX_LEN + 1], key[JOB_KEY_MAX + 1];
    if (!read_upload_params(worker, request, response, &params) ||
        !idempotency_key(request, response, key))
        return;
    if (upload->bytes == 0) {
        respond_problem(request, response, PROBLEM_INVALID_DOCUMENTS, "the body is empty");
        return;
    }
    enum med_code code = upload_finish(upload, params.name, &err);
    if (code) {
        answer_error(request, response, code, &err);
        return;
    }
    snprintf(source, sizeof source, MED_STR_FMT, MED_STR_ARG(params.source));
    const char *args[] = {"ingest", "--again", "--", upload->path, NULL};
    const char *with_source[] = {"ingest", "--again", "--source", source, "--", upload->path, NULL};
    struct job_request job = {
        .kind = JOB_INGEST, .args = params.source.len ? with_source : args, .spool = upload->dir};
    upload->kept = submit_and_answer(server, request, response, &job, !params.async);
}

void route_admin_document(struct server *server, struct worker_state *worker,
    const struct http_request *request, struct http_response *response)
{
    const struct med_str prefix = MED_STR("/v1/admin/documents/");
    struct med_str encoded = med_str_sub(request->path, prefix.len, request->path.len);
    char id[MED_ID_BYTES_MAX + 1];
    struct pairs pairs;
    if (!read_query(worker, request, response, &pairs)) return;
    if (pairs.count) {
        refuse_parameter(request, response, pairs.items[0].name);
        return;
    }
    char *decoded = med_arena_alloc(worker->arena, encoded.len + 1);
    struct med_str text = decoded ? percent_decode(encoded, false, decoded) : encoded;
    if (!decoded || text.len > MED_ID_BYTES_MAX) {
        respond_problem(request, response, PROBLEM_NOT_FOUND, "no document has such an id");
        return;
    }
    memcpy(id, text.ptr, text.len);
    id[text.len] = '\0';
    const char *args[] = {"delete", "--quiet", "--", [DELETE_ARG_ID] = id, NULL};
    struct job_request job = {.kind = JOB_DELETE, .args = args};
    (void)submit_and_answer(server, request, response, &job, true);
}

/* --- update, rebuild, snapshot --- */

/* A job that has no parameters but what a JSON object may name. */
static bool body_is_empty(const struct http_request *r, struct http_response *response)
{
    struct med_str body = med_str_trim(med_buf_str(&r->body));
    if (body.len == 0 || med_str_eq(body, MED_STR("{}"))) return true;
    respond_problem(r, response, PROBLEM_UNKNOWN_PARAMETER, "this route takes no parameters");
    return false;
}

/* "--memory" and its value behind the arguments; false: the server says nothing about it. */
static bool memory_args(const struct server *server, const char *args[2], char text[32])
{
    if (!server->admin->job_memory) return false;
    snprintf(text, 32, "%llu", (unsigned long long)server->admin->job_memory);
    args[0] = "--memory";
    args[1] = text;
    return true;
}

void route_admin_update(struct server *server, struct worker_state *worker,
    const struct http_request *request, struct http_response *response)
{
    const char *args[5] = {"update", "--quiet"};
    char memory[32];
    (void)worker;
    (void)memory_args(server, args + 2, memory);
    if (!body_is_empty(request, response)) return;
    struct job_request job = {.kind = JOB_UPDATE, .args = args};
    (void)submit_and_answer(server, request, response, &job, false);
}

struct rebuild_args {
    const char *list[REBUILD_ARGS_MAX];
    size_t count;
    char numbers[REBUILD_ARGS_MAX][32];
};

static void add_arg(struct rebuild_args *args, const char *arg)
{
    if (args->count + 1 < REBUILD_ARGS_MAX) args->list[args->count++] = arg;
}

static bool add_member(struct rebuild_args *args, const struct med_json *member)
{
    static const struct {
        const char *name, *option;
        enum med_json_type type;
        double min, max;
        bool whole;
    } rows[] = {
        {"retrain", "--retrain", MED_JSON_BOOL, 0, 0, false},
        {"full", "--full", MED_JSON_BOOL, 0, 0, false},
        {"lexical_only", "--lexical-only", MED_JSON_BOOL, 0, 0, false},
        {"dim", "--dim", MED_JSON_NUMBER, 0, MED_DIM_MAX, true},
        {"seed", "--seed", MED_JSON_NUMBER, 0, 9007199254740991.0, true},
        {"keep", "--keep", MED_JSON_NUMBER, 1, 1000, true},
        {"gate_overlap", "--gate-overlap", MED_JSON_NUMBER, 0, 1, false},
        {"memory", "--memory", MED_JSON_STRING, 0, 0, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(med_json_key(member), rows[i].name) != 0) continue;
        if (med_json_type(member) != rows[i].type) return false;
        if (rows[i].type == MED_JSON_BOOL) {
            if (med_json_bool(member)) add_arg(args, rows[i].option);
            return true;
        }
        if (rows[i].type == MED_JSON_STRING) {
            struct med_str size = med_json_string(member);
            unsigned long long bytes;
            if (!med_str_to_bytes(size, &bytes)) return false;
            char *copy = args->numbers[args->count];
            snprintf(copy, sizeof args->numbers[0], "%llu", bytes);
            add_arg(args, rows[i].option);
            add_arg(args, copy);
            return true;
        }
        double x = med_json_number(member);
        if (x < rows[i].min || x > rows[i].max) return false;
        if (rows[i].whole && x != floor(x)) return false;
        char *text = args->numbers[args->count];
        snprintf(text, sizeof args->numbers[0], rows[i].whole ? "%.0f" : "%.15g", x);
        add_arg(args, rows[i].option);
        add_arg(args, text);
        return true;
    }
    return false;
}

void route_admin_rebuild(struct server *server, struct worker_state *worker,
    const struct http_request *request, struct http_response *response)
{
    struct rebuild_args args = {.list = {"build", "--quiet"}, .count = 2};
    /* In front, so that what the body says wins. */
    if (memory_args(server, args.list + args.count, args.numbers[args.count])) args.count += 2;
    struct med_json *root = NULL;
    struct med_err err = {0};
    struct med_str body = med_str_trim(med_buf_str(&request->body));
    (void)worker;
    if (body.len && med_json_parse(body.ptr, body.len, &root, &err) != MED_OK) {
        respond_problem(request, response, PROBLEM_INVALID_JSON, err.text);
        return;
    }
    bool good = !root || med_json_type(root) == MED_JSON_OBJECT;
    for (const struct med_json *m = root && good ? med_json_first(root) : NULL; good && m;
         m = med_json_next(m))
        good = add_member(&args, m);
    med_json_free(&root);
    if (!good) {
        respond_problem(request, response, PROBLEM_INVALID_PARAMETER,
            "the body may name retrain, full, lexical_only (true or false), dim, seed, keep (whole "
            "numbers), gate_overlap (0 to 1) and memory (a size such as \"2G\")");
        return;
    }
    struct job_request job = {.kind = JOB_REBUILD, .args = args.list};
    (void)submit_and_answer(server, request, response, &job, false);
}

/* The server gives the name: the caller chooses no paths. */
void route_admin_snapshot(struct server *server, struct worker_state *worker,
    const struct http_request *request, struct http_response *response)
{
    char name[96], time[MED_TIME_TEXT_LEN + 1], dest[MED_PATH_MAX];
    struct med_err err = {0};
    (void)worker;
    if (!body_is_empty(request, response)) return;
    if (!server->admin->snapshot_dir) {
        respond_problem(request, response, PROBLEM_NOT_IMPLEMENTED,
            "this server was started without --snapshot-dir");
        return;
    }
    med_time_text(med_unix_time_s(), time);
    snprintf(name, sizeof name, "medicus-%s-%08x", time,
        (unsigned)atomic_fetch_add(&server->id_next, 1));
    for (char *c = name; *c; c++) {
        if (*c == ':') *c = '-';
    }
    enum med_code code = med_path_join(dest, server->admin->snapshot_dir, name, &err);
    if (code) {
        answer_error(request, response, code, &err);
        return;
    }
    const char *args[] = {"backup", "--quiet", "--", dest, NULL};
    struct job_request job = {.kind = JOB_SNAPSHOT, .args = args};
    (void)submit_and_answer(server, request, response, &job, false);
}

/* --- jobs --- */

static void build_json(const struct progress_line *p, struct med_jw *w)
{
    med_jw_object(w);
    med_jw_kint(w, "process", p->pid);
    med_jw_kcstr(w, "command", p->command);
    med_jw_kcstr(w, "stage", p->stage[0] ? p->stage : NULL);
    med_jw_kint(w, "done", (long long)p->done);
    med_jw_kint(w, "total", (long long)p->total);
    med_jw_kcstr(w, "unit", p->unit);
    med_jw_key(w, "eta_seconds");
    if (p->eta_s >= 0)
        med_jw_int(w, p->eta_s);
    else
        med_jw_null(w);
    med_jw_object_end(w);
}

void route_admin_jobs(struct server *server, struct worker_state *worker,
    const struct http_request *request, struct http_response *response)
{
    struct job_record *list;
    size_t count;
    struct med_err err = {0};
    struct progress_line build;
    bool runs_index = false;
    (void)worker;
    enum med_code code = jobs_list(server->admin->jobs, &list, &count, &err);
    if (code) {
        answer_error(request, response, code, &err);
        return;
    }
    bool builds = progress_of_build(server->admin->data, &build);
    respond(response, 200, MEDIA_JSON);
    struct med_jw w = med_jw_of(&response->body, false);
    med_jw_object(&w);
    med_jw_key(&w, "jobs");
    med_jw_array(&w);
    for (size_t i = 0; i < count; i++) {
        job_record_json(&list[i], &w);
        runs_index |= list[i].state == JOB_RUNNING &&
                      (list[i].kind == JOB_UPDATE || list[i].kind == JOB_REBUILD);
    }
    med_jw_array_end(&w);
    med_jw_key(&w, "elsewhere");
    if (builds && !runs_index)
        build_json(&build, &w);
    else
        med_jw_null(&w);
    med_jw_object_end(&w);
    med_buf_putc(&response->body, '\n');
    med_free(list);
}

static bool number_in_path(
    struct med_str path, struct med_str prefix, struct med_str suffix, uint64_t *ret_number)
{
    unsigned long long number;
    if (path.len <= prefix.len + suffix.len ||
        !med_str_to_u64(med_str_sub(path, prefix.len, path.len - suffix.len), &number))
        return false;
    *ret_number = number;
    return number > 0;
}

void route_admin_job(struct server *server, struct worker_state *worker,
    const struct http_request *request, struct http_response *response)
{
    uint64_t id = 0;
    struct job_record job;
    struct med_err err = {0};
    (void)worker;
    if (!number_in_path(request->path, MED_STR("/v1/admin/jobs/"), (struct med_str){0}, &id) ||
        !jobs_find(server->admin->jobs, id, &job)) {
        respond_problem(request, response, PROBLEM_NOT_FOUND, "there is no such job");
        return;
    }
    if (!med_str_eq(request->method, MED_STR("DELETE"))) {
        answer_job(response, 200, &job);
        return;
    }
    enum med_code code = jobs_cancel(server->admin->jobs, id, &job, &err);
    if (code)
        answer_error(request, response, code, &err);
    else
        answer_job(response, 202, &job);
}

/* --- generations --- */

void route_admin_generations(struct server *server, struct worker_state *worker,
    const struct http_request *request, struct http_response *response)
{
    struct med_data *data = NULL;
    struct med_generation_info *list;
    struct med_err err = {0};
    size_t count;
    enum med_code code = med_data_open(server->admin->data, false, NULL, &data, &err);
    if (!code) code = med_generation_list(data, worker->arena, &list, &count, &err);
    if (data) med_data_close(&data);
    if (code) {
        answer_error(request, response, code, &err);
        return;
    }
    respond(response, 200, MEDIA_JSON);
    struct med_jw w = med_jw_of(&response->body, false);
    med_jw_object(&w);
    med_jw_key(&w, "generations");
    generations_json(list, count, &w);
    med_jw_object_end(&w);
    med_buf_putc(&response->body, '\n');
}

void route_admin_activate(struct server *server, struct worker_state *worker,
    const struct http_request *request, struct http_response *response)
{
    struct med_data *data = NULL;
    struct med_err err = {0};
    uint64_t number = 0, before = 0;
    (void)worker;
    if (!body_is_empty(request, response)) return;
    if (!number_in_path(
            request->path, MED_STR("/v1/admin/generations/"), MED_STR("/activate"), &number)) {
        respond_problem(request, response, PROBLEM_NOT_FOUND, "there is no such generation");
        return;
    }
    enum med_code code = med_data_open(server->admin->data, false, NULL, &data, &err);
    if (!code && med_generation_current(data, &before, NULL) != MED_OK) before = 0;
    if (!code) code = med_generation_activate(data, number, &err);
    if (data) med_data_close(&data);
    if (code) {
        answer_error(request, response, code, &err);
        return;
    }
    respond(response, 200, MEDIA_JSON);
    med_buf_printf(
        &response->body, "{\"current\":%" PRIu64 ",\"before\":%" PRIu64 "}\n", number, before);
}

/* The least that libmicrohttpd needs to answer as `medicus serve` does: I/O threads that only read
 * and write, every request suspended, handed to a bounded pool and resumed. It knows one answer.
 *
 *   bench_http_min ANSWER [IO_THREADS [WORKERS]]
 *
 * ANSWER is a file: a line with the status, fields as "Name: value" lines, an empty line, the body.
 * Prints its address and serves until its standard input ends. bench_http.py compares the two. */
#include "common/buf.h"
#include "common/limits.h"
#include "common/mem.h"
#include "service/worker_pool.h"

#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FIELDS_MAX 16

static struct {
    unsigned status;
    struct {
        char *name, *value;
    } fields[FIELDS_MAX];
    size_t field_count;
    struct med_str body;
} answer;

static struct worker_pool *pool;

/* One request: NULL -> began -> suspended -> ready. */
struct exchange {
    struct MHD_Connection *connection;
    bool submitted;
    struct med_buf body; /* written by the worker */
};

static void work(void *ctx, void *state, void *job)
{
    (void)ctx, (void)state;
    struct exchange *x = job;
    med_buf_append_str(&x->body, answer.body);
    MHD_resume_connection(x->connection);
}

static enum MHD_Result send_answer(struct exchange *x)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(x->body.len, x->body.data, MHD_RESPMEM_PERSISTENT);
    for (size_t i = 0; i < answer.field_count; i++)
        (void)MHD_add_response_header(response, answer.fields[i].name, answer.fields[i].value);
    enum MHD_Result result = MHD_queue_response(x->connection, answer.status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
    const char *method, const char *version, const char *upload, size_t *upload_size, void **state)
{
    (void)cls, (void)url, (void)method, (void)version, (void)upload;
    struct exchange *x = *state;
    if (!x) {
        *state = x = med_calloc(1, sizeof *x);
        if (!x) return MHD_NO;
        x->connection = connection;
        med_buf_init(&x->body, MED_RESPONSE_BYTES_MAX);
        return MHD_YES;
    }
    if (*upload_size) {
        *upload_size = 0;
        return MHD_YES;
    }
    if (x->submitted) return send_answer(x);
    x->submitted = true;
    MHD_suspend_connection(connection);
    if (worker_pool_submit(pool, x, true)) return MHD_YES;
    MHD_resume_connection(connection);
    return MHD_NO;
}

static void on_completed(
    void *cls, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode why)
{
    (void)cls, (void)connection, (void)why;
    struct exchange *x = *state;
    if (x) med_buf_free(&x->body);
    med_free(x);
    *state = NULL;
}

static enum med_code no_state(void *ctx, void **ret_state, struct med_err *err)
{
    (void)ctx, (void)err;
    *ret_state = NULL;
    return MED_OK;
}

static void free_nothing(void *ctx, void *state)
{
    (void)ctx, (void)state;
}

static void die(const char *why)
{
    fprintf(stderr, "bench_http_min: %s\n", why);
    exit(1);
}

static void read_answer(const char *path)
{
    static char text[1 << 20];
    FILE *f = fopen(path, "rb");
    if (!f) die("cannot open the answer");
    size_t len = fread(text, 1, sizeof text - 1, f);
    (void)fclose(f);
    text[len] = '\0';
    char *end = text, *line = text;
    answer.status = (unsigned)strtoul(line, NULL, 10);
    for (line = strchr(line, '\n'); line; line = end) {
        line++;
        end = strchr(line, '\n');
        if (!end) die("the answer has no empty line");
        *end = '\0';
        if (end == line) break;
        char *colon = strstr(line, ": ");
        if (!colon || answer.field_count == FIELDS_MAX) die("a field is wrong");
        *colon = '\0';
        answer.fields[answer.field_count].name = line;
        answer.fields[answer.field_count++].value = colon + 2;
    }
    answer.body = (struct med_str){.ptr = end + 1, .len = len - (size_t)(end + 1 - text)};
}

int main(int argc, char **argv)
{
    struct med_err err = {0};
    if (argc < 2) die("usage: bench_http_min ANSWER [IO_THREADS [WORKERS]]");
    read_answer(argv[1]);
    struct worker_pool_options options = {
        .threads = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 2,
        .depth = MED_QUEUE_DEPTH_DEFAULT,
        .state_new = no_state,
        .state_free = free_nothing,
        .run = work};
    if (worker_pool_new(&options, &pool, &err)) die(err.text);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL,
        on_request, NULL, MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address,
        MHD_OPTION_THREAD_POOL_SIZE, argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 2u,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)MED_CONNECTIONS_DEFAULT, MHD_OPTION_NOTIFY_COMPLETED,
        on_completed, NULL, MHD_OPTION_END);
    if (!daemon) die("cannot listen");
    printf("listening on http://127.0.0.1:%u\n",
        (unsigned)MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
    (void)fflush(stdout);
    while (getchar() != EOF) {
    }
    worker_pool_stop(pool);
    MHD_stop_daemon(daemon);
    worker_pool_free(&pool);
    return 0;
}

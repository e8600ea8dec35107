/* See audit.h. */
#include "service/audit.h"

#include "common/clock.h"
#include "common/json.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#define LINE_BYTES_MAX (AUDIT_IDS_BYTES_MAX + 8 * AUDIT_BODY_BYTES_MAX)
#define SECRET_PREFIX "medicus_"

struct audit {
    pthread_mutex_t mutex; /* guards what follows, and the order of lines */
    int fd;                /* -1: off */
    bool torn;             /* the last line is not whole */
    bool failing;
    atomic_bool on, query_text;
    atomic_uint_fast64_t failures;
};

enum med_code audit_new(struct audit **ret_audit, struct med_err *err)
{
    struct audit *a = med_calloc(1, sizeof *a);
    if (!a) return med_fail(err, MED_E_NOMEM, "out of memory for the audit log");
    pthread_mutex_init(&a->mutex, NULL);
    a->fd = -1;
    *ret_audit = a;
    return MED_OK;
}

void audit_free(struct audit **audit)
{
    struct audit *a = *audit;
    *audit = NULL;
    if (!a) return;
    if (a->fd >= 0) close(a->fd);
    pthread_mutex_destroy(&a->mutex);
    med_free(a);
}

enum med_code audit_open(struct audit *a, const char *path, bool query_text, struct med_err *err)
{
    int fd = -1;
    if (path) {
        fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0) return med_fail_errno(err, errno, "cannot append to the audit log %s", path);
    }
    pthread_mutex_lock(&a->mutex);
    int before = a->fd;
    a->fd = fd;
    a->torn = a->failing = false;
    atomic_store(&a->query_text, query_text);
    atomic_store(&a->on, fd >= 0);
    pthread_mutex_unlock(&a->mutex);
    if (before >= 0) close(before);
    return MED_OK;
}

bool audit_is_on(struct audit *a)
{
    return atomic_load_explicit(&a->on, memory_order_relaxed);
}

void audit_ids_begin(struct audit *a, struct audit_ids *ids)
{
    if (!ids->list.max) med_buf_init(&ids->list, AUDIT_IDS_BYTES_MAX);
    med_buf_reset(&ids->list);
    ids->on = audit_is_on(a);
}

void audit_id(struct audit_ids *ids, struct med_str id)
{
    if (!ids || !ids->on) return;
    if (ids->list.len) med_buf_putc(&ids->list, ',');
    struct med_jw w = med_jw_of(&ids->list, false);
    med_jw_str(&w, id);
}

/* --- lines --- */

/* Text that a caller sent, without secrets that it should not have put there. */
static void put_text(struct med_jw *w, const char *name, struct med_str text)
{
    struct med_buf clean;
    struct med_str prefix = MED_STR(SECRET_PREFIX);
    med_buf_init(&clean, AUDIT_BODY_BYTES_MAX + prefix.len);
    if (text.len > AUDIT_BODY_BYTES_MAX) text.len = AUDIT_BODY_BYTES_MAX;
    med_buf_append_str(&clean, text);
    for (size_t i = 0; clean.data && i + prefix.len < clean.len; i++) {
        if (memcmp(clean.data + i, prefix.ptr, prefix.len) != 0) continue;
        for (i += prefix.len; i < clean.len; i++) {
            char c = clean.data[i];
            if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) break;
            clean.data[i] = '*';
        }
    }
    med_jw_kstr(w, name, med_buf_str(&clean));
    if (clean.data) secret_wipe(clean.data, clean.len);
    med_buf_free(&clean);
}

static void put_address(struct med_jw *w, const unsigned char peer[16])
{
    static const unsigned char mapped[12] = {[10] = 0xFF, [11] = 0xFF};
    char text[INET6_ADDRSTRLEN] = "?";
    bool four = memcmp(peer, mapped, sizeof mapped) == 0;
    (void)inet_ntop(four ? AF_INET : AF_INET6, four ? peer + 12 : peer, text, sizeof text);
    med_jw_kcstr(w, "address", text);
}

static void put_line(const struct audit *a, const struct http_request *r, const char *route,
    int status, const struct audit_ids *ids, struct med_buf *out)
{
    char time[MED_TIME_TEXT_LEN + 1];
    struct med_jw w = med_jw_of(out, false);
    med_time_text(med_unix_time_s(), time);
    med_jw_object(&w);
    med_jw_kcstr(&w, "time", time);
    med_jw_kcstr(&w, "request_id", r->id);
    med_jw_key(&w, "key");
    if (r->caller.key_id[0]) {
        med_jw_object(&w);
        med_jw_kcstr(&w, "id", r->caller.key_id);
        med_jw_kcstr(&w, "name", r->caller.key_name);
        med_jw_object_end(&w);
    } else {
        med_jw_null(&w);
    }
    put_address(&w, r->peer);
    med_jw_kstr(&w, "method", r->method);
    med_jw_kcstr(&w, "route", route);
    med_jw_kint(&w, "status", status);
    med_jw_key(&w, "ids");
    med_buf_putc(out, '[');
    if (ids && ids->on && !ids->list.code) med_buf_append_str(out, med_buf_str(&ids->list));
    med_jw_raw(&w, MED_STR("]"));
    if (ids && ids->list.code) med_jw_kbool(&w, "ids_left_out", true);
    if (atomic_load_explicit(&a->query_text, memory_order_relaxed)) {
        put_text(&w, "target", r->target);
        put_text(&w, "body", med_buf_str(&r->body));
    }
    med_jw_object_end(&w);
    med_buf_putc(out, '\n');
}

/* false: not or not wholly written, see errno. */
static bool append(struct audit *a, const struct med_buf *line)
{
    if (a->fd < 0) return true; /* switched off in the meantime */
    if (a->torn && write(a->fd, "\n", 1) != 1) return false;
    a->torn = false;
    ssize_t n;
    do n = write(a->fd, line->data, line->len);
    while (n < 0 && errno == EINTR);
    if (n == (ssize_t)line->len) return true;
    a->torn = n > 0;
    if (n >= 0) errno = ENOSPC;
    return false;
}

void audit_write(struct audit *a, const struct http_request *r, const char *route, int status,
    const struct audit_ids *ids)
{
    struct med_buf line;
    if (!audit_is_on(a)) return;
    med_buf_init(&line, LINE_BYTES_MAX);
    put_line(a, r, route, status, ids, &line);
    pthread_mutex_lock(&a->mutex);
    errno = ENOMEM;
    bool ok = line.code == MED_OK && append(a, &line), changed = ok == a->failing;
    int failed = errno;
    a->failing = !ok;
    pthread_mutex_unlock(&a->mutex);
    med_buf_free(&line);
    if (!ok) atomic_fetch_add(&a->failures, 1);
    if (!ok && changed)
        med_log(MED_LOG_ERROR, "audit", "the audit log cannot be written: %s", strerror(failed));
    else if (changed)
        med_log(MED_LOG_WARN, "audit", "the audit log is written again");
}

uint64_t audit_failures(const struct audit *a)
{
    return atomic_load(&a->failures);
}

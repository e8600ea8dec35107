#include "service/upload.h"

#include "common/log.h"
#include "common/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define SPOOL_FOLDER "spool"

static struct upload *upload_of(struct http_sink *sink)
{
    return (struct upload *)(void *)sink;
}

static void take(struct http_sink *sink, const void *ptr, size_t len)
{
    struct upload *u = upload_of(sink);
    const char *bytes = ptr;
    for (size_t done = 0; done < len && u->err.code == MED_OK;) {
        ssize_t n = write(u->fd, bytes + done, len - done);
        if (n > 0)
            done += (size_t)n;
        else if (errno != EINTR)
            u->err.code = med_fail_errno(&u->err, errno, "the body cannot be stored");
    }
    u->bytes += len;
}

static void discard(struct http_sink *sink)
{
    struct upload *u = upload_of(sink);
    struct med_err err = {0};
    if (u->fd >= 0) close(u->fd);
    if (!u->kept && u->dir[0] && med_fs_remove_tree(med_fs_posix(), u->dir, &err))
        med_log(MED_LOG_WARN, "spool", "%s", err.text);
    med_free(u);
}

enum med_code upload_begin(const char *data, struct upload **ret_upload, struct med_err *err)
{
    static atomic_uint_fast64_t counter;
    char spool[MED_PATH_MAX], name[64];
    struct upload *u = med_calloc(1, sizeof *u);
    if (!u) return med_fail(err, MED_E_NOMEM, "out of memory for a body");
    u->fd = -1;
    u->sink = (struct http_sink){.write = take, .free = discard};
    snprintf(name, sizeof name, "upload-%ld-%llu", (long)getpid(),
        (unsigned long long)atomic_fetch_add(&counter, 1));
    enum med_code code = med_path_join(spool, data, SPOOL_FOLDER, err);
    if (!code) code = med_path_join(u->dir, spool, name, err);
    if (!code) code = med_fs_mkdir_all(med_fs_posix(), u->dir, err);
    if (!code) code = med_path_join(u->path, u->dir, "body", err);
    if (!code) {
        u->fd = open(u->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (u->fd < 0) code = med_fail_errno(err, errno, "the body cannot be stored");
    }
    if (code) {
        discard(&u->sink);
        return code;
    }
    *ret_upload = u;
    return MED_OK;
}

enum med_code upload_finish(struct upload *u, struct med_str name, struct med_err *err)
{
    char wanted[128], path[MED_PATH_MAX];
    if (u->err.code) {
        *err = u->err;
        return err->code;
    }
    close(u->fd);
    u->fd = -1;
    snprintf(wanted, sizeof wanted, MED_STR_FMT, MED_STR_ARG(name));
    enum med_code code = med_path_join(path, u->dir, wanted, err);
    if (!code && rename(u->path, path) != 0)
        code = med_fail_errno(err, errno, "the body cannot be stored");
    if (!code) memcpy(u->path, path, sizeof path);
    return code;
}

/* The process that the name of a spool folder tells has ended. */
static bool is_left_over(const char *name)
{
    struct med_str s = med_str_of(name);
    unsigned long long pid;
    size_t start = 0, end;
    while (start < s.len && s.ptr[start] != '-') start++;
    for (end = ++start; end < s.len && s.ptr[end] != '-';) end++;
    return start < s.len && med_str_to_u64(med_str_sub(s, start, end), &pid) && pid > 0 &&
           pid < 1u << 30 && kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

void spool_sweep(const char *data)
{
    char spool[MED_PATH_MAX], path[MED_PATH_MAX];
    if (med_path_join(spool, data, SPOOL_FOLDER, NULL) != MED_OK) return;
    DIR *folder = opendir(spool);
    for (const struct dirent *e; folder && (e = readdir(folder));) {
        struct med_err err = {0};
        if (!is_left_over(e->d_name) || med_path_join(path, spool, e->d_name, NULL) != MED_OK)
            continue;
        if (med_fs_remove_tree(med_fs_posix(), path, &err))
            med_log(MED_LOG_WARN, "spool", "%s", err.text);
    }
    if (folder) closedir(folder);
}

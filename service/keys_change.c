/* Changing the key file: one writer at a time, across processes. See keys.h. */
#include "service/keys.h"

#include "common/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static enum med_code take_lock(const char *data, int *ret_fd, struct med_err *err)
{
    char path[MED_PATH_MAX];
    enum med_code code = med_path_join(path, data, "keys.lock", err);
    if (code) return code;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), rc;
    if (fd < 0) return med_fail_errno(err, errno, "cannot open the lock %s", path);
    do rc = flock(fd, LOCK_EX);
    while (rc != 0 && errno == EINTR);
    if (rc != 0) {
        code = med_fail_errno(err, errno, "cannot take the lock %s", path);
        close(fd);
        return code;
    }
    *ret_fd = fd;
    return MED_OK;
}

/* A key made by root must be readable for the server, which runs as the owner of the folder. */
static enum med_code give_to_owner(const char *data, const char *path, struct med_err *err)
{
    struct stat st;
    if (geteuid() != 0 || stat(data, &st) != 0 || st.st_uid == 0) return MED_OK;
    if (chown(path, st.st_uid, st.st_gid) == 0) return MED_OK;
    return med_fail_errno(err, errno, "cannot give %s to the owner of %s", path, data);
}

static enum med_code save(
    const char *data, const struct med_fs *fs, const struct key_set *set, struct med_err *err)
{
    char path[MED_PATH_MAX];
    struct med_buf bytes;
    med_buf_init(&bytes, KEYS_FILE_BYTES_MAX);
    keys_write(set, &bytes);
    enum med_code code = med_buf_status(&bytes, err);
    if (!code) code = med_path_join(path, data, "keys", err);
    if (!code) {
        mode_t before = umask(077); /* the only thread of a command */
        code = med_fs_replace(fs, path, bytes.data, bytes.len, err);
        (void)umask(before);
    }
    med_buf_free(&bytes);
    return code ? code : give_to_owner(data, path, err);
}

enum med_code keys_change(const char *data, const struct med_fs *fs, keys_change_fn change,
    void *ctx, struct med_err *err)
{
    struct key_set set;
    int lock;
    enum med_code code = take_lock(data, &lock, err);
    if (code) return code;
    code = keys_load(data, &set, err);
    if (!code) {
        code = change(ctx, &set, err);
        if (!code) code = save(data, fs ? fs : med_fs_posix(), &set, err);
        keys_free(&set);
    }
    close(lock);
    return code;
}

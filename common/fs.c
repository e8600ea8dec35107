/* The POSIX side of the file seam, and what is the same for every implementation of it. */
#include "common/fs.h"

#include "common/mem.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MODE 0640
#define FOLDER_MODE 0750
#define READ_PIECE_BYTES 65536

/* --- POSIX --- */

static int open_retry(const char *path, int flags, mode_t mode)
{
    int fd;
    do fd = open(path, flags | O_CLOEXEC, mode);
    while (fd < 0 && errno == EINTR);
    return fd;
}

static enum med_code posix_create(
    const struct med_fs *fs, const char *path, struct med_file **ret_file, struct med_err *err)
{
    size_t path_size = strlen(path) + 1;
    struct med_file *file = med_calloc(1, sizeof *file + path_size);
    if (!file) return med_fail(err, MED_E_NOMEM, "out of memory creating %s", path);
    memcpy(file->path, path, path_size);
    file->fs = fs;
    file->fd = open_retry(path, O_WRONLY | O_CREAT | O_TRUNC, FILE_MODE);
    if (file->fd < 0) {
        int errnum = errno;
        med_free(file);
        return med_fail_errno(err, errnum, "cannot create %s", path);
    }
    *ret_file = file;
    return MED_OK;
}

static enum med_code posix_write(
    struct med_file *file, const void *ptr, size_t len, uint64_t offset, struct med_err *err)
{
    const char *from = ptr;
    while (len > 0) {
        ssize_t written = pwrite(file->fd, from, len, (off_t)offset);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return med_fail_errno(err, errno, "cannot write %s", file->path);
        if (written == 0)
            return med_fail(err, MED_E_IO, "cannot write %s: nothing was taken", file->path);
        from += written;
        len -= (size_t)written;
        offset += (uint64_t)written;
    }
    return MED_OK;
}

static enum med_code posix_sync(struct med_file *file, struct med_err *err)
{
    int rc;
    do rc = fdatasync(file->fd);
    while (rc != 0 && errno == EINTR);
    if (rc != 0) return med_fail_errno(err, errno, "cannot sync %s", file->path);
    return MED_OK;
}

static enum med_code posix_close(struct med_file *file, struct med_err *err)
{
    enum med_code code = MED_OK;
    /* On Linux the descriptor is gone after EINTR too; closing again could hit somebody else's. */
    if (close(file->fd) != 0 && errno != EINTR) {
        code = med_fail_errno(err, errno, "cannot close %s", file->path);
    }
    med_free(file);
    return code;
}

static enum med_code posix_rename(
    const struct med_fs *fs, const char *from, const char *to, struct med_err *err)
{
    (void)fs;
    if (rename(from, to) != 0)
        return med_fail_errno(err, errno, "cannot rename %s to %s", from, to);
    return MED_OK;
}

static enum med_code posix_unlink(const struct med_fs *fs, const char *path, struct med_err *err)
{
    (void)fs;
    if (unlink(path) != 0) return med_fail_errno(err, errno, "cannot remove %s", path);
    return MED_OK;
}

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static enum med_code posix_mkdir(const struct med_fs *fs, const char *path, struct med_err *err)
{
    (void)fs;
    if (mkdir(path, FOLDER_MODE) == 0) return MED_OK;
    int errnum = errno;
    if (errnum == EEXIST && is_folder(path)) return MED_OK;
    return med_fail_errno(err, errnum, "cannot create the folder %s", path);
}

static enum med_code posix_rmdir(const struct med_fs *fs, const char *path, struct med_err *err)
{
    (void)fs;
    if (rmdir(path) != 0) return med_fail_errno(err, errno, "cannot remove the folder %s", path);
    return MED_OK;
}

static enum med_code posix_sync_dir(const struct med_fs *fs, const char *path, struct med_err *err)
{
    (void)fs;
    int fd = open_retry(path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0) return med_fail_errno(err, errno, "cannot open the folder %s", path);
    int rc;
    do rc = fsync(fd);
    while (rc != 0 && errno == EINTR);
    int errnum = errno;
    close(fd);
    if (rc != 0) return med_fail_errno(err, errnum, "cannot sync the folder %s", path);
    return MED_OK;
}

const struct med_fs *med_fs_posix(void)
{
    static const struct med_fs_ops ops = {
        .create = posix_create,
        .write = posix_write,
        .sync = posix_sync,
        .close = posix_close,
        .rename = posix_rename,
        .unlink = posix_unlink,
        .mkdir = posix_mkdir,
        .rmdir = posix_rmdir,
        .sync_dir = posix_sync_dir,
    };
    static const struct med_fs fs = {.ops = &ops};
    return &fs;
}

/* --- any implementation --- */

enum med_code med_file_create(
    const struct med_fs *fs, const char *path, struct med_file **ret_file, struct med_err *err)
{
    struct med_hasher *hasher = med_hasher_new();
    if (!hasher) return med_fail(err, MED_E_NOMEM, "out of memory creating %s", path);
    struct med_file *file;
    enum med_code code = fs->ops->create(fs, path, &file, err);
    if (code != MED_OK) {
        med_hasher_free(&hasher);
        return code;
    }
    file->hasher = hasher;
    *ret_file = file;
    return MED_OK;
}

enum med_code med_file_append(
    struct med_file *file, const void *ptr, size_t len, struct med_err *err)
{
    if (len == 0) return MED_OK;
    enum med_code code = file->fs->ops->write(file, ptr, len, file->size, err);
    if (code != MED_OK) return code;
    med_hasher_update(file->hasher, ptr, len);
    file->size += len;
    return MED_OK;
}

enum med_code med_file_finish(
    struct med_file **file, uint64_t *ret_size, struct med_hash128 *ret_hash, struct med_err *err)
{
    struct med_file *f = *file;
    enum med_code code = f->fs->ops->sync(f, err);
    if (code != MED_OK) {
        med_file_discard(file);
        return code;
    }
    *file = NULL;
    uint64_t size = f->size;
    struct med_hash128 hash = med_hasher_digest(f->hasher);
    med_hasher_free(&f->hasher);
    code = f->fs->ops->close(f, err);
    if (code != MED_OK) return code;
    if (ret_size) *ret_size = size;
    if (ret_hash) *ret_hash = hash;
    return MED_OK;
}

void med_file_discard(struct med_file **file)
{
    struct med_file *f = *file;
    if (!f) return;
    *file = NULL;
    const struct med_fs *fs = f->fs;
    char *path = med_strndup(f->path, strlen(f->path)); /* close frees the file and its path */
    med_hasher_free(&f->hasher);
    /* This is an error path already: a second failure leaves a stray file, which nothing refers to.
     */
    enum med_code code = fs->ops->close(f, NULL);
    if (path) code = fs->ops->unlink(fs, path, NULL);
    (void)code;
    med_free(path);
}

/* The folder that contains path. */
static enum med_code parent_of(char ret_dir[MED_PATH_MAX], const char *path, struct med_err *err)
{
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/') len--;
    while (len > 0 && path[len - 1] != '/') len--;
    while (len > 1 && path[len - 1] == '/') len--;
    if (len >= MED_PATH_MAX)
        return med_fail(err, MED_E_LIMIT, "the path is too long: %.80s...", path);
    memcpy(ret_dir, len > 0 ? path : ".", len > 0 ? len : 1);
    ret_dir[len > 0 ? len : 1] = '\0';
    return MED_OK;
}

static enum med_code write_whole(
    const struct med_fs *fs, const char *path, const void *ptr, size_t len, struct med_err *err)
{
    struct med_file *file;
    enum med_code code = med_file_create(fs, path, &file, err);
    if (code != MED_OK) return code;
    code = med_file_append(file, ptr, len, err);
    if (code != MED_OK) {
        med_file_discard(&file);
        return code;
    }
    return med_file_finish(&file, NULL, NULL, err);
}

enum med_code med_fs_replace(
    const struct med_fs *fs, const char *path, const void *ptr, size_t len, struct med_err *err)
{
    /* Two processes that replace the same file must not write into one temporary file. */
    static _Atomic unsigned counter;
    char dir[MED_PATH_MAX], temporary[MED_PATH_MAX];
    enum med_code code = parent_of(dir, path, err);
    if (code != MED_OK) return code;
    int n = snprintf(temporary, sizeof temporary, "%s.tmp-%ld-%u", path, (long)getpid(),
        atomic_fetch_add(&counter, 1));
    if (n < 0 || (size_t)n >= sizeof temporary) {
        return med_fail(err, MED_E_LIMIT, "the path is too long: %.80s...", path);
    }
    code = write_whole(fs, temporary, ptr, len, err);
    if (code != MED_OK) return code;
    code = fs->ops->rename(fs, temporary, path, err);
    if (code != MED_OK) {
        enum med_code ignored = fs->ops->unlink(fs, temporary, NULL);
        (void)ignored;
        return code;
    }
    return fs->ops->sync_dir(fs, dir, err);
}

static enum med_code make_synced(const struct med_fs *fs, const char *path, struct med_err *err)
{
    char parent[MED_PATH_MAX];
    enum med_code code = parent_of(parent, path, err);
    if (code != MED_OK) return code;
    code = fs->ops->mkdir(fs, path, err);
    if (code != MED_OK) return code;
    return fs->ops->sync_dir(fs, parent, err);
}

enum med_code med_fs_mkdir_all(const struct med_fs *fs, const char *path, struct med_err *err)
{
    char prefix[MED_PATH_MAX];
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof prefix) {
        return med_fail(err, MED_E_LIMIT, "not a usable path: \"%.80s\"", path);
    }
    memcpy(prefix, path, len + 1);
    for (size_t i = 1; i <= len; i++) {
        if (prefix[i] != '/' && prefix[i] != '\0') continue;
        char was = prefix[i];
        prefix[i] = '\0';
        if (!is_folder(prefix)) {
            enum med_code code = make_synced(fs, prefix, err);
            if (code != MED_OK) return code;
        }
        prefix[i] = was;
    }
    return MED_OK;
}

/* One entry of the walk: children first, folders when they are left. */
static enum med_code remove_entry(const struct med_fs *fs, const FTSENT *entry, struct med_err *err)
{
    switch (entry->fts_info) {
    case FTS_D: return MED_OK;
    case FTS_DP: return fs->ops->rmdir(fs, entry->fts_path, err);
    case FTS_NS:
    case FTS_DNR:
    case FTS_ERR:
        return med_fail_errno(err, entry->fts_errno, "cannot read the folder %s", entry->fts_path);
    default: return fs->ops->unlink(fs, entry->fts_path, err);
    }
}

enum med_code med_fs_remove_tree(const struct med_fs *fs, const char *path, struct med_err *err)
{
    char root[MED_PATH_MAX];
    size_t len = strlen(path);
    if (len >= sizeof root)
        return med_fail(err, MED_E_LIMIT, "the path is too long: %.80s...", path);
    memcpy(root, path, len + 1);
    struct stat st;
    if (lstat(root, &st) != 0) {
        if (errno == ENOENT) return MED_OK;
        return med_fail_errno(err, errno, "cannot remove %s", path);
    }
    char *roots[] = {root, NULL};
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
    if (!walk) return med_fail_errno(err, errno, "cannot read the folder %s", path);
    enum med_code code = MED_OK;
    while (code == MED_OK) {
        errno = 0;
        FTSENT *entry = fts_read(walk);
        if (!entry) {
            if (errno != 0) code = med_fail_errno(err, errno, "cannot read the folder %s", path);
            break;
        }
        code = remove_entry(fs, entry, err);
    }
    fts_close(walk);
    return code;
}

/* --- reading --- */

enum med_code med_map_open(const char *path, struct med_map *ret_map, struct med_err *err)
{
    int fd = open_retry(path, O_RDONLY, 0);
    if (fd < 0) return med_fail_errno(err, errno, "cannot open %s", path);
    enum med_code code = MED_OK;
    struct stat st;
    struct med_map map = {0};
    if (fstat(fd, &st) != 0) {
        code = med_fail_errno(err, errno, "cannot examine %s", path);
    } else if (!S_ISREG(st.st_mode)) {
        code = med_fail(err, MED_E_INVALID, "%s is not a regular file", path);
    } else if (st.st_size > 0) {
        map.len = (size_t)st.st_size;
        void *ptr = mmap(NULL, map.len, PROT_READ, MAP_SHARED, fd, 0);
        if (ptr == MAP_FAILED)
            code = med_fail_errno(err, errno, "cannot map %s", path);
        else
            map.ptr = ptr;
    }
    close(fd);
    if (code == MED_OK) *ret_map = map;
    return code;
}

void med_map_close(struct med_map *map)
{
    /* A map's pages belong to nobody else, so that the const may be cast away here. */
    if (map->ptr) munmap((void *)(uintptr_t)map->ptr, map->len);
    *map = (struct med_map){0};
}

enum med_code med_read_file(const char *path, struct med_buf *buf, struct med_err *err)
{
    int fd = open_retry(path, O_RDONLY, 0);
    if (fd < 0) return med_fail_errno(err, errno, "cannot open %s", path);
    char piece[READ_PIECE_BYTES];
    enum med_code code = MED_OK;
    while (code == MED_OK) {
        ssize_t len = read(fd, piece, sizeof piece);
        if (len < 0 && errno == EINTR) continue;
        if (len < 0) code = med_fail_errno(err, errno, "cannot read %s", path);
        if (len <= 0) break;
        med_buf_append(buf, piece, (size_t)len);
        code = med_buf_status(buf, err);
        if (code != MED_OK) med_err_prefix(err, "cannot read %s", path);
    }
    close(fd);
    return code;
}

bool med_path_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

enum med_code med_path_join(
    char ret_path[MED_PATH_MAX], const char *dir, const char *name, struct med_err *err)
{
    size_t dir_len = strlen(dir), name_len = strlen(name);
    bool slash = dir_len > 0 && dir[dir_len - 1] != '/';
    if (dir_len >= MED_PATH_MAX || name_len >= MED_PATH_MAX ||
        dir_len + slash + name_len >= MED_PATH_MAX) {
        return med_fail(err, MED_E_LIMIT, "the path is too long: %.80s/%.80s", dir, name);
    }
    char path[MED_PATH_MAX]; /* dir may be ret_path itself */
    memcpy(path, dir, dir_len);
    if (slash) path[dir_len] = '/';
    memcpy(path + dir_len + slash, name, name_len + 1);
    memcpy(ret_path, path, dir_len + slash + name_len + 1);
    return MED_OK;
}

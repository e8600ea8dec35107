/* The file seam: every write that durability depends on goes through here.
 *
 * `struct med_fs` is a table of operations. Production uses med_fs_posix(); tests put a
 * fault-injecting twin in its place (tests/support/faulty_fs.h) that fails, tears, drops and
 * reorders what was not yet synced. Reading published files is by read-only memory map and does not
 * pass the seam.
 *
 * The durable publication of a file is: create + write + sync + close, rename, sync_dir. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "common/hash.h"

#include <stdint.h>
#include <sys/types.h>

struct med_fs;
struct med_file; /* a file open for writing */

struct med_fs_ops {
    enum med_code (*create)(
        const struct med_fs *fs, const char *path, struct med_file **ret_file, struct med_err *err);
    enum med_code (*write)(
        struct med_file *file, const void *ptr, size_t len, uint64_t offset, struct med_err *err);
    enum med_code (*sync)(struct med_file *file, struct med_err *err);
    /* Frees the file, also on failure. */
    enum med_code (*close)(struct med_file *file, struct med_err *err);
    enum med_code (*rename)(
        const struct med_fs *fs, const char *from, const char *to, struct med_err *err);
    enum med_code (*unlink)(const struct med_fs *fs, const char *path, struct med_err *err);
    /* An existing folder is fine. */
    enum med_code (*mkdir)(const struct med_fs *fs, const char *path, struct med_err *err);
    enum med_code (*rmdir)(const struct med_fs *fs, const char *path, struct med_err *err);
    enum med_code (*sync_dir)(const struct med_fs *fs, const char *path, struct med_err *err);
};

struct med_fs {
    const struct med_fs_ops *ops;
    void *ctx;
};

struct med_file {
    const struct med_fs *fs;
    uint64_t size;             /* bytes appended so far */
    int fd;                    /* -1 where the implementation has none */
    void *impl;                /* the implementation's own */
    struct med_hasher *hasher; /* running checksum of appended bytes */
    char path[];               /* for error sentences */
};

const struct med_fs *med_fs_posix(void); /* process lifetime */

/* Sequential writing with a running size and XXH3-128 of everything appended. Appends are buffered
 * by the caller (write pieces of at least some KiB). med_file_finish syncs, closes (consumes *file,
 * also on failure) and reports both (each may be NULL); when the sync fails the file is removed.
 * med_file_discard closes and unlinks, for error paths; *file may be NULL. */
enum med_code med_file_create(const struct med_fs *fs, const char *path, struct med_file **ret_file,
    struct med_err *err) MED_CHECK;
enum med_code med_file_append(
    struct med_file *file, const void *ptr, size_t len, struct med_err *err) MED_CHECK;
enum med_code med_file_finish(struct med_file **file, uint64_t *ret_size,
    struct med_hash128 *ret_hash, struct med_err *err) MED_CHECK;
void med_file_discard(struct med_file **file);

/* Writes path durably and atomically: temporary name in the same folder, sync, rename, sync of the
 * folder. */
enum med_code med_fs_replace(const struct med_fs *fs, const char *path, const void *ptr, size_t len,
    struct med_err *err) MED_CHECK;
/* Creates parents too; the folder above each new one is synced. */
enum med_code med_fs_mkdir_all(
    const struct med_fs *fs, const char *path, struct med_err *err) MED_CHECK;
/* An absent path is fine. Never follows links and never leaves the file system of path. */
enum med_code med_fs_remove_tree(
    const struct med_fs *fs, const char *path, struct med_err *err) MED_CHECK;

/* Read-only views. A map of an empty file has ptr NULL and len 0. A file that shrinks while mapped
 * is the operator's fault; published files are never written again. */
struct med_map {
    const uint8_t *ptr;
    size_t len;
};
enum med_code med_map_open(
    const char *path, struct med_map *ret_map, struct med_err *err) MED_CHECK;
void med_map_close(struct med_map *map);

/* The whole file appended to buf, bounded by the buffer's maximum. */
enum med_code med_read_file(const char *path, struct med_buf *buf, struct med_err *err) MED_CHECK;
bool med_path_exists(const char *path);
/* "a/b" + "c" -> "a/b/c" into a caller's array; MED_E_LIMIT when it does not fit. */
#define MED_PATH_MAX 4096
enum med_code med_path_join(
    char ret_path[MED_PATH_MAX], const char *dir, const char *name, struct med_err *err) MED_CHECK;

/* Making a backup. The order matters: pin, copy the docstore, copy what the generation names, and
 * last the list without which it is no backup. */
#include "index/backup.h"

#include "common/clock.h"
#include "common/mem.h"
#include "index/backup_list.h"
#include "index/data_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE_BYTES ((size_t)4 << 20)

struct backup {
    struct med_data *data;
    const struct med_fs *fs;
    const struct med_backup_options *options;
    struct backup_list list;
    const char *dest;
    struct backup_tar *tar;       /* NULL: a folder */
    int fd;                       /* of the archive */
    char docs[MED_PATH_MAX];      /* where the docstore's copy is */
    char temporary[MED_PATH_MAX]; /* of the archive, until it is whole; or empty */
    char spool[MED_PATH_MAX];     /* to be removed at the end, or empty */
    uint64_t bytes_total, bytes_done;
    bool began; /* something was written to dest */
};

static bool is_stream(const char *path)
{
    return strcmp(path, "-") == 0;
}

static bool is_archive(const char *path)
{
    return is_stream(path) || med_str_ends(med_str_of(path), MED_STR(".tar"));
}

/* --- one file --- */

static enum med_code make_parents(const struct backup *b, const char *path, struct med_err *err)
{
    char dir[MED_PATH_MAX];
    snprintf(dir, sizeof dir, "%s", path);
    char *slash = strrchr(dir, '/');
    if (!slash) return MED_OK;
    *slash = '\0';
    return med_fs_mkdir_all(b->fs, dir, err);
}

/* Where the bytes go: a file of the folder, or the archive. */
struct sink {
    struct med_file *file;
    struct backup_tar *tar;
};

static enum med_code sink_open(
    struct backup *b, const char *name, uint64_t size, struct sink *sink, struct med_err *err)
{
    char path[MED_PATH_MAX];
    *sink = (struct sink){.tar = b->tar};
    if (b->tar) return backup_tar_begin(b->tar, name, size, b->list.created_unix_s, err);
    enum med_code code = med_path_join(path, b->dest, name, err);
    if (!code) code = make_parents(b, path, err);
    if (!code) code = med_file_create(b->fs, path, &sink->file, err);
    if (!code && strcmp(name, "keys") == 0 && sink->file->fd >= 0 &&
        fchmod(sink->file->fd, 0600) != 0)
        code = med_fail_errno(err, errno, "cannot protect %s", path);
    return code;
}

static enum med_code sink_write(struct sink *s, const void *ptr, size_t len, struct med_err *err)
{
    return s->tar ? backup_tar_write(s->tar, ptr, len, err)
                  : med_file_append(s->file, ptr, len, err);
}

static enum med_code copy_bytes(struct backup *b, const struct med_map *map, struct sink *sink,
    struct med_hash128 *ret_hash, struct med_err *err)
{
    struct med_hasher *hasher = med_hasher_new();
    if (!hasher) return med_fail(err, MED_E_NOMEM, "out of memory");
    enum med_code code = MED_OK;
    for (size_t at = 0; !code && at < map->len;) {
        size_t len = map->len - at < PIECE_BYTES ? map->len - at : PIECE_BYTES;
        med_hasher_update(hasher, map->ptr + at, len);
        code = sink_write(sink, map->ptr + at, len, err);
        at += len;
        b->bytes_done += len;
        if (!code &&
            !med_progress(b->options->progress, "backup", b->bytes_done, b->bytes_total, "bytes"))
            code = med_fail(err, MED_E_CANCELLED, "the backup was stopped");
    }
    *ret_hash = med_hasher_digest(hasher);
    med_hasher_free(&hasher);
    return code;
}

/* expected: what the manifest says about the file, or NULL. */
static enum med_code copy_file(struct backup *b, const char *path, const char *name,
    const struct med_file_ref *expected, struct med_err *err)
{
    struct med_map map;
    struct med_hash128 hash;
    struct sink sink = {0};
    enum med_code code = med_map_open(path, &map, err);
    if (code) return code;
    b->began = true;
    code = sink_open(b, name, map.len, &sink, err);
    if (!code) code = copy_bytes(b, &map, &sink, &hash, err);
    if (!code && sink.file) code = med_file_finish(&sink.file, NULL, NULL, err);
    if (sink.file) med_file_discard(&sink.file);
    if (!code && expected && (map.len != expected->size || !med_hash128_eq(hash, expected->hash)))
        code = med_fail(err, MED_E_CORRUPT,
            "%s fails its checksum: `medicus check` tells more, and an earlier generation may be "
            "whole",
            path);
    if (!code) code = backup_list_add(&b->list, name, map.len, hash, err);
    med_map_close(&map);
    return code;
}

/* A file of the data folder that may be absent. */
static enum med_code copy_optional(struct backup *b, const char *name, struct med_err *err)
{
    char path[MED_PATH_MAX];
    enum med_code code = med_path_join(path, b->data->path, name, err);
    if (code || !med_path_exists(path)) return code;
    return copy_file(b, path, name, NULL, err);
}

/* Every regular file of a folder of the data folder; an absent one has none. */
static enum med_code copy_folder(struct backup *b, const char *folder, struct med_err *err)
{
    char dir[MED_PATH_MAX], name[BACKUP_NAME_MAX], path[MED_PATH_MAX];
    struct dirent **entries = NULL;
    struct stat st;
    enum med_code code = med_path_join(dir, b->data->path, folder, err);
    if (code) return code;
    int count = scandir(dir, &entries, NULL, alphasort);
    if (count < 0 && errno == ENOENT) return MED_OK;
    if (count < 0) return med_fail_errno(err, errno, "cannot read the folder %s", dir);
    for (int i = 0; i < count; i++) {
        int len = snprintf(name, sizeof name, "%s/%s", folder, entries[i]->d_name);
        med_free(entries[i]);
        bool wanted = !code && len < BACKUP_NAME_MAX && backup_name_ok(name);
        if (wanted) code = med_path_join(path, b->data->path, name, err);
        if (wanted && !code && stat(path, &st) == 0 && S_ISREG(st.st_mode))
            code = copy_file(b, path, name, NULL, err);
    }
    med_free(entries);
    return code;
}

/* --- what belongs to a backup --- */

static enum med_code copy_refs(struct backup *b, const char *folder, const char *id,
    const struct med_file_ref *files, size_t count, struct med_err *err)
{
    enum med_code code = MED_OK;
    for (size_t i = 0; !code && i < count; i++) {
        char path[MED_PATH_MAX], name[BACKUP_NAME_MAX];
        code = data_path(b->data, folder, id, files[i].name, path, err);
        snprintf(name, sizeof name, "%s/%s/%s", folder, id, files[i].name);
        if (!code) code = copy_file(b, path, name, &files[i], err);
    }
    return code;
}

static enum med_code copy_generation(
    struct backup *b, const struct med_manifest *m, struct med_err *err)
{
    char folder[64];
    enum med_code code = MED_OK;
    for (size_t i = 0; !code && i < m->segment_count; i++)
        code = copy_refs(
            b, "segments", m->segments[i].id, m->segments[i].files, m->segments[i].file_count, err);
    if (!code && m->encoder_id[0])
        code =
            copy_refs(b, "encoders", m->encoder_id, m->encoder_files, m->encoder_file_count, err);
    snprintf(folder, sizeof folder, "generations/%" PRIu64, m->number);
    return code ? code : copy_folder(b, folder, err);
}

static uint64_t bytes_of(const struct med_manifest *m)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < m->segment_count; i++) {
        for (size_t k = 0; k < m->segments[i].file_count; k++)
            bytes += m->segments[i].files[k].size;
    }
    for (size_t k = 0; k < m->encoder_file_count; k++) bytes += m->encoder_files[k].size;
    return bytes;
}

/* --- the destination --- */

static enum med_code refuse_full_folder(const char *dir, struct med_err *err)
{
    DIR *folder = opendir(dir);
    if (!folder && errno == ENOENT) return MED_OK;
    if (!folder) return med_fail_errno(err, errno, "cannot read %s", dir);
    bool empty = true;
    for (const struct dirent *e = readdir(folder); e; e = readdir(folder))
        empty &= strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
    closedir(folder);
    return empty ? MED_OK
                 : med_fail(err, MED_E_CONFLICT,
                       "%s is not empty: a backup goes into a folder of its own", dir);
}

static enum med_code open_archive(struct backup *b, struct med_err *err)
{
    b->fd = STDOUT_FILENO;
    if (!is_stream(b->dest)) {
        if (med_path_exists(b->dest))
            return med_fail(err, MED_E_CONFLICT, "%s exists already", b->dest);
        if (snprintf(b->temporary, sizeof b->temporary, "%s.tmp-%ld", b->dest, (long)getpid()) >=
            (int)sizeof b->temporary)
            return med_fail(err, MED_E_LIMIT, "the name of the archive is too long");
        b->fd = open(b->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (b->fd < 0) {
            enum med_code code = med_fail_errno(err, errno, "cannot create %s", b->dest);
            b->temporary[0] = '\0';
            return code;
        }
    } else if (isatty(b->fd)) {
        return med_fail(err, MED_E_USAGE, "an archive is not for a terminal: redirect stdout");
    }
    return backup_tar_writer(b->fd, &b->tar, err);
}

static enum med_code open_dest(struct backup *b, struct med_err *err)
{
    enum med_code code;
    if (is_archive(b->dest)) {
        code = med_path_join(b->spool, b->data->path, "spool", err);
        if (!code) code = med_fs_mkdir_all(b->fs, b->spool, err);
        size_t len = strlen(b->spool);
        if (!code) snprintf(b->spool + len, sizeof b->spool - len, "/backup-%ld", (long)getpid());
        if (!code) code = med_fs_remove_tree(b->fs, b->spool, err);
        if (!code) code = med_path_join(b->docs, b->spool, "docs", err);
        if (!code) code = open_archive(b, err);
    } else {
        code = refuse_full_folder(b->dest, err);
        if (!code) code = med_path_join(b->docs, b->dest, "docs", err);
        b->began = !code;
    }
    return code ? code : med_fs_mkdir_all(b->fs, b->docs, err);
}

/* The copy was written by LMDB: read it back for its checksum, and make it durable. */
static enum med_code copy_store(struct backup *b, struct med_store *store, struct med_err *err)
{
    char path[MED_PATH_MAX];
    struct med_map map;
    if (!med_progress(b->options->progress, "store", 0, 0, "bytes"))
        return med_fail(err, MED_E_CANCELLED, "the backup was stopped");
    enum med_code code = med_store_copy(store, b->docs, err);
    if (!code) code = med_path_join(path, b->docs, "data.mdb", err);
    if (!code && b->tar) return copy_file(b, path, "docs/data.mdb", NULL, err);
    if (!code) code = med_map_open(path, &map, err);
    if (code) return code;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        code = med_fail_errno(err, errno, "cannot write %s to the disk", path);
    if (fd >= 0) close(fd);
    struct med_hash128 hash = med_hash128(map.ptr, map.len);
    b->bytes_done += map.len;
    if (!code) code = backup_list_add(&b->list, "docs/data.mdb", map.len, hash, err);
    med_map_close(&map);
    return code;
}

/* Folders that were made are synced by med_fs_mkdir_all above them; their own entries here. */
static enum med_code sync_folders(struct backup *b, struct med_err *err)
{
    char path[MED_PATH_MAX], last[MED_PATH_MAX] = "";
    enum med_code code = MED_OK;
    for (size_t i = 0; !code && i < b->list.count; i++) {
        code = med_path_join(path, b->dest, b->list.items[i].name, err);
        char *slash = strrchr(path, '/');
        *slash = '\0';
        if (code || strcmp(path, last) == 0) continue;
        code = b->fs->ops->sync_dir(b->fs, path, err);
        memcpy(last, path, sizeof last);
    }
    return code;
}

static enum med_code finish(struct backup *b, struct med_err *err)
{
    char path[MED_PATH_MAX];
    struct med_buf buf;
    med_buf_init(&buf, BACKUP_LIST_BYTES_MAX);
    enum med_code code = backup_list_write(&b->list, &buf, err);
    if (!code && b->tar) {
        code = backup_tar_begin(b->tar, MED_BACKUP_FILE, buf.len, b->list.created_unix_s, err);
        if (!code) code = backup_tar_write(b->tar, buf.data, buf.len, err);
        if (!code) code = backup_tar_finish(&b->tar, err);
        if (!code && b->temporary[0]) {
            if (fsync(b->fd) != 0) code = med_fail_errno(err, errno, "cannot write %s", b->dest);
            if (!code) code = b->fs->ops->rename(b->fs, b->temporary, b->dest, err);
            if (!code) b->temporary[0] = '\0';
        }
    } else if (!code) {
        code = sync_folders(b, err);
        if (!code) code = med_path_join(path, b->dest, MED_BACKUP_FILE, err);
        if (!code) code = med_fs_replace(b->fs, path, buf.data, buf.len, err);
    }
    med_buf_free(&buf);
    return code;
}

static void clean_up(struct backup *b, bool failed)
{
    struct med_err ignored;
    enum med_code code = MED_OK;
    backup_tar_free(&b->tar);
    if (b->fd > STDERR_FILENO) close(b->fd);
    if (b->temporary[0]) unlink(b->temporary);
    if (b->spool[0]) code = med_fs_remove_tree(b->fs, b->spool, &ignored);
    if (failed && b->began && !is_archive(b->dest))
        code = med_fs_remove_tree(b->fs, b->dest, &ignored);
    (void)code; /* what cannot be removed is no backup without its list */
    backup_list_free(&b->list);
}

enum med_code med_backup(struct med_data *data, struct med_store *store, const char *dest,
    const struct med_backup_options *options, struct med_backup_report *ret_report,
    struct med_err *err)
{
    struct backup b = {.data = data, .fs = data->fs, .options = options, .dest = dest, .fd = -1};
    struct med_pin *pin = NULL;
    b.list.created_unix_s = med_unix_time_s();
    enum med_code code = med_arena_new(BACKUP_LIST_BYTES_MAX, &b.list.arena, err);
    if (!code) code = med_generation_pin(data, 0, &pin, err);
    if (code == MED_E_NO_INDEX) code = MED_OK;
    const struct med_manifest *m = pin ? med_pin_manifest(pin) : NULL;
    if (m) b.list.generation = m->number;
    if (m) b.bytes_total = bytes_of(m);
    if (!code) code = open_dest(&b, err);
    if (!code) code = copy_store(&b, store, err);
    b.bytes_total += b.bytes_done;
    if (!code && m) code = copy_generation(&b, m, err);
    if (!code) code = copy_optional(&b, "retractions", err);
    if (!code) code = copy_folder(&b, "vocab", err);
    if (!code && !options->without_keys) code = copy_optional(&b, "keys", err);
    if (!code) code = finish(&b, err);
    struct med_backup_report report = {.generation = b.list.generation, .files = b.list.count};
    for (size_t i = 0; i < b.list.count; i++) report.bytes += b.list.items[i].size;
    clean_up(&b, code != MED_OK);
    med_pin_release(&pin);
    if (!code) *ret_report = report;
    return code;
}

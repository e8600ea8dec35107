/* Restoring a backup. RESTORING is the first file of the target and the last one to go: until then
 * nobody opens the folder, whatever ended the restore. */
#include "index/backup.h"

#include "common/mem.h"
#include "index/backup_list.h"
#include "index/data_folder.h"
#include "index/search.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE_BYTES ((size_t)1 << 20)

struct restore {
    const struct med_fs *fs;
    const struct med_backup_options *options;
    const char *source, *target;
    struct backup_list list; /* what BACKUP says */
    struct backup_list seen; /* of an archive: what came */
    char *piece;
    uint64_t bytes_done, bytes_total;
};

/* --- the target --- */

static bool is_ours(const char *name)
{
    static const char *const names[] = {"docs", "segments", "encoders", "generations", "vocab",
        "keys", "retractions", "CURRENT", "current.lock", "spool", "build.lock"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i], name) == 0) return true;
    }
    return false;
}

/* Takes away what an interrupted restore left; anything else in the folder refuses it. */
static enum med_code clear_target(struct restore *r, bool unfinished, struct med_err *err)
{
    enum med_code code = MED_OK;
    struct dirent **entries = NULL;
    int count = scandir(r->target, &entries, NULL, alphasort);
    if (count < 0) return med_fail_errno(err, errno, "cannot read %s", r->target);
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        char path[MED_PATH_MAX];
        /* The marker, and what it was called before it was whole. */
        bool marker = strncmp(name, MED_RESTORING_FILE, sizeof MED_RESTORING_FILE - 1) == 0;
        bool skip = marker || strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
        if (!code && !skip && (!unfinished || !is_ours(name)))
            code = med_fail(err, MED_E_CONFLICT,
                "%s is not empty: a backup is restored into a folder of its own", r->target);
        if (!code && !skip) code = med_path_join(path, r->target, name, err);
        if (!code && !skip) code = med_fs_remove_tree(r->fs, path, err);
        med_free(entries[i]);
    }
    med_free(entries);
    return code;
}

static enum med_code open_target(struct restore *r, struct med_err *err)
{
    char marker[MED_PATH_MAX];
    static const char text[] =
        "a backup is being restored here; when that was interrupted, run it again\n";
    enum med_code code = med_path_join(marker, r->target, MED_RESTORING_FILE, err);
    if (!code && med_path_exists(r->target)) code = clear_target(r, med_path_exists(marker), err);
    if (!code) code = med_fs_mkdir_all(r->fs, r->target, err);
    if (!code) code = med_fs_replace(r->fs, marker, text, sizeof text - 1, err);
    return code;
}

/* --- files --- */

/* Reads up to cap bytes of whatever a file comes from; 0 at its end. */
typedef enum med_code (*read_fn)(
    void *ctx, void *ptr, size_t cap, size_t *ret_len, struct med_err *err);

static enum med_code read_archive(
    void *ctx, void *ptr, size_t cap, size_t *ret_len, struct med_err *err)
{
    return backup_tar_read(ctx, ptr, cap, ret_len, err);
}

static enum med_code read_fd(void *ctx, void *ptr, size_t cap, size_t *ret_len, struct med_err *err)
{
    ssize_t n;
    do n = read(*(int *)ctx, ptr, cap);
    while (n < 0 && errno == EINTR);
    if (n < 0) return med_fail_errno(err, errno, "cannot read the backup");
    *ret_len = (size_t)n;
    return MED_OK;
}

static enum med_code create(
    struct restore *r, const char *name, struct med_file **ret_file, struct med_err *err)
{
    char path[MED_PATH_MAX], dir[MED_PATH_MAX];
    enum med_code code = med_path_join(path, r->target, name, err);
    if (code) return code;
    memcpy(dir, path, sizeof dir);
    *strrchr(dir, '/') = '\0';
    code = med_fs_mkdir_all(r->fs, dir, err);
    if (!code) code = med_file_create(r->fs, path, ret_file, err);
    if (!code && strcmp(name, "keys") == 0 && fchmod((*ret_file)->fd, 0600) != 0) {
        code = med_fail_errno(err, errno, "cannot protect %s", path);
        med_file_discard(ret_file);
    }
    return code;
}

static enum med_code take_file(struct restore *r, const char *name, read_fn read, void *ctx,
    uint64_t *ret_size, struct med_hash128 *ret_hash, struct med_err *err)
{
    struct med_file *file;
    size_t len = 1;
    enum med_code code = create(r, name, &file, err);
    if (code) return code;
    while (!code && len) {
        code = read(ctx, r->piece, PIECE_BYTES, &len, err);
        if (!code && len) code = med_file_append(file, r->piece, len, err);
        r->bytes_done += len;
        if (!code &&
            !med_progress(r->options->progress, "restore", r->bytes_done, r->bytes_total, "bytes"))
            code = med_fail(err, MED_E_CANCELLED, "the restore was stopped");
    }
    if (code) {
        med_file_discard(&file);
        return code;
    }
    return med_file_finish(&file, ret_size, ret_hash, err);
}

static enum med_code compare(
    const struct backup_entry *wanted, uint64_t size, struct med_hash128 hash, struct med_err *err)
{
    if (size == wanted->size && med_hash128_eq(hash, wanted->hash)) return MED_OK;
    return med_fail(err, MED_E_CORRUPT, "the backup is damaged: %s %s; use another backup",
        wanted->name, size == wanted->size ? "fails its checksum" : "has another size");
}

static enum med_code from_folder(struct restore *r, struct med_err *err)
{
    char path[MED_PATH_MAX];
    struct med_buf buf;
    med_buf_init(&buf, BACKUP_LIST_BYTES_MAX);
    enum med_code code = med_path_join(path, r->source, MED_BACKUP_FILE, err);
    if (!code) code = med_read_file(path, &buf, err);
    if (code == MED_E_NOT_FOUND)
        code = med_fail(err, MED_E_NOT_FOUND,
            "%s is no complete backup: it has no file " MED_BACKUP_FILE, r->source);
    if (!code) code = backup_list_parse(&r->list, med_buf_str(&buf), err);
    med_buf_free(&buf);
    for (size_t i = 0; !code && i < r->list.count; i++) r->bytes_total += r->list.items[i].size;
    for (size_t i = 0; !code && i < r->list.count; i++) {
        uint64_t size;
        struct med_hash128 hash;
        code = med_path_join(path, r->source, r->list.items[i].name, err);
        if (code) break;
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
            return med_fail(err, MED_E_CORRUPT, "the backup is not complete: %s is missing",
                r->list.items[i].name);
        code = take_file(r, r->list.items[i].name, read_fd, &fd, &size, &hash, err);
        close(fd);
        if (!code) code = compare(&r->list.items[i], size, hash, err);
    }
    return code;
}

/* --- archives: the list comes last --- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct backup_entry *)a)->name, ((const struct backup_entry *)b)->name);
}

static enum med_code read_list(struct restore *r, struct backup_tar *tar, struct med_err *err)
{
    struct med_buf buf;
    size_t len = 1;
    med_buf_init(&buf, BACKUP_LIST_BYTES_MAX);
    enum med_code code = MED_OK;
    while (!code && len) {
        code = backup_tar_read(tar, r->piece, PIECE_BYTES, &len, err);
        if (!code) med_buf_append(&buf, r->piece, len);
    }
    if (!code) code = med_buf_status(&buf, err);
    if (!code) code = backup_list_parse(&r->list, med_buf_str(&buf), err);
    med_buf_free(&buf);
    return code;
}

static enum med_code compare_lists(struct restore *r, struct med_err *err)
{
    if (r->list.count != r->seen.count)
        return med_fail(err, MED_E_CORRUPT,
            "the archive is not complete: %zu of %zu files are there", r->seen.count,
            r->list.count);
    if (r->list.count == 0) return MED_OK;
    qsort(r->list.items, r->list.count, sizeof *r->list.items, by_name);
    qsort(r->seen.items, r->seen.count, sizeof *r->seen.items, by_name);
    enum med_code code = MED_OK;
    for (size_t i = 0; !code && i < r->list.count; i++) {
        if (strcmp(r->list.items[i].name, r->seen.items[i].name) != 0)
            return med_fail(err, MED_E_CORRUPT, "the archive is not complete: %s is missing",
                r->list.items[i].name);
        code = compare(&r->list.items[i], r->seen.items[i].size, r->seen.items[i].hash, err);
    }
    return code;
}

static enum med_code from_archive(struct restore *r, int fd, struct med_err *err)
{
    struct backup_tar *tar = NULL;
    bool listed = false;
    enum med_code code = med_arena_new(BACKUP_LIST_BYTES_MAX, &r->seen.arena, err);
    if (!code) code = backup_tar_reader(fd, &tar, err);
    while (!code) {
        const char *name;
        uint64_t size;
        struct med_hash128 hash;
        code = backup_tar_next(tar, &name, &size, err);
        if (code || !name) break;
        if (strcmp(name, MED_BACKUP_FILE) == 0) {
            code = read_list(r, tar, err);
            listed = true;
        } else if (!backup_name_ok(name)) {
            code = med_fail(err, MED_E_CORRUPT, "this is no backup: it has a file \"%.80s\"", name);
        } else {
            char copy[BACKUP_NAME_MAX]; /* the name lives until the next one */
            snprintf(copy, sizeof copy, "%s", name);
            code = take_file(r, copy, read_archive, tar, &size, &hash, err);
            if (!code) code = backup_list_add(&r->seen, copy, size, hash, err);
        }
    }
    backup_tar_free(&tar);
    if (!code && !listed)
        code = med_fail(err, MED_E_CORRUPT,
            "the archive is cut off, or no backup: it has no file " MED_BACKUP_FILE);
    return code ? code : compare_lists(r, err);
}

/* --- what came must be a whole data folder --- */

static enum med_code check_all(
    struct restore *r, struct med_data *data, struct med_backup_report *report, struct med_err *err)
{
    char docs[MED_PATH_MAX];
    struct med_store *store = NULL;
    struct med_snapshot *snapshot = NULL;
    struct med_index *index = NULL;
    uint64_t problems = 0;
    const struct med_progress *progress = r->options->progress;
    enum med_code code = med_path_join(docs, r->target, "docs", err);
    if (!code) code = med_store_open(docs, MED_STORE_READ_WRITE, &store, err);
    if (!code) code = med_snapshot_open(store, &snapshot, err);
    if (!code) code = med_snapshot_check(snapshot, progress, &problems, err);
    if (!code) report->documents = med_snapshot_doc_count(snapshot);
    if (!code && r->list.generation)
        code = med_index_open(data, store, r->list.generation, false, &index, err);
    if (!code && index) code = med_index_check(index, progress, err);
    med_index_release(&index);
    med_snapshot_close(&snapshot);
    if (store) med_store_close(&store);
    return code;
}

static enum med_code finish(
    struct restore *r, struct med_backup_report *report, struct med_err *err)
{
    char marker[MED_PATH_MAX];
    struct med_data *data;
    enum med_code code = data_open_unfinished(r->target, r->fs, &data, err);
    if (code) return code;
    /* Verifies every file that the manifest names, and writes CURRENT durably. */
    if (r->list.generation) code = med_generation_activate(data, r->list.generation, err);
    if (!code) code = check_all(r, data, report, err);
    for (size_t i = 0; !code && i < r->list.count; i++) {
        char dir[MED_PATH_MAX];
        code = med_path_join(dir, r->target, r->list.items[i].name, err);
        if (code) break;
        *strrchr(dir, '/') = '\0';
        code = r->fs->ops->sync_dir(r->fs, dir, err);
    }
    if (!code) code = med_path_join(marker, r->target, MED_RESTORING_FILE, err);
    if (!code) code = r->fs->ops->unlink(r->fs, marker, err);
    if (!code) code = r->fs->ops->sync_dir(r->fs, r->target, err);
    med_data_close(&data);
    return code;
}

enum med_code med_restore(const char *source, const char *target,
    const struct med_backup_options *options, struct med_backup_report *ret_report,
    struct med_err *err)
{
    struct restore r = {
        .fs = med_fs_posix(), .options = options, .source = source, .target = target};
    struct med_backup_report report = {0};
    struct stat st;
    int fd = STDIN_FILENO;
    bool stream = strcmp(source, "-") == 0;
    if (!stream && stat(source, &st) != 0)
        return med_fail_errno(err, errno, "cannot open the backup %s", source);
    bool archive = stream || S_ISREG(st.st_mode);
    if (archive && !stream) fd = open(source, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return med_fail_errno(err, errno, "cannot open the backup %s", source);
    enum med_code code = med_arena_new(BACKUP_LIST_BYTES_MAX, &r.list.arena, err);
    r.piece = med_malloc(PIECE_BYTES);
    if (!code && !r.piece) code = med_fail(err, MED_E_NOMEM, "out of memory");
    if (!code) code = open_target(&r, err);
    if (!code) code = archive ? from_archive(&r, fd, err) : from_folder(&r, err);
    if (!code) code = finish(&r, &report, err);
    report.generation = r.list.generation;
    report.files = r.list.count;
    for (size_t i = 0; i < r.list.count; i++) report.bytes += r.list.items[i].size;
    if (fd > STDERR_FILENO) close(fd);
    med_free(r.piece);
    backup_list_free(&r.list);
    backup_list_free(&r.seen);
    if (!code) *ret_report = report;
    return code;
}

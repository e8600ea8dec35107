/* The data folder: its parts, the build lock, new segments and encoders, and sweeping of what dead
 * builds left. */
#include "index/data_folder.h"

#include "common/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MODE 0640
#define LOCK_ATTEMPTS 5
#define LOCK_PAUSE_US 10000
#define NUMBERS_MAX 1000000u
#define SWEEP_ARENA_BYTES_MAX (256 * MED_MIB)
#define TEMPORARY_MARK ".tmp-" /* what med_fs_replace puts behind a name */

struct med_build_lock {
    int fd;
};

/* --- paths --- */

enum med_code data_path(const struct med_data *data, const char *folder, const char *name,
    const char *file, char ret_path[MED_PATH_MAX], struct med_err *err)
{
    int len = snprintf(ret_path, MED_PATH_MAX, "%s/%s%s%s%s%s", data->path, folder, name ? "/" : "",
        name ? name : "", file ? "/" : "", file ? file : "");
    if (len < 0 || len >= MED_PATH_MAX) {
        return med_fail(
            err, MED_E_LIMIT, "the path of the data folder is too long: %.80s...", data->path);
    }
    return MED_OK;
}

enum med_code generation_path(const struct med_data *data, uint64_t number, const char *file,
    char ret_path[MED_PATH_MAX], struct med_err *err)
{
    char name[24];
    snprintf(name, sizeof name, "%" PRIu64, number);
    return data_path(data, "generations", name, file, ret_path, err);
}

/* --- opening --- */

static enum med_code make_folders(const struct med_data *data, struct med_err *err)
{
    static const char *const folders[] = {"docs", "segments", "encoders", "generations"};
    enum med_code code = med_fs_mkdir_all(data->fs, data->path, err);
    for (size_t i = 0; code == MED_OK && i < sizeof folders / sizeof *folders; i++) {
        char path[MED_PATH_MAX];
        code = data_path(data, folders[i], NULL, NULL, path, err);
        if (code == MED_OK) code = med_fs_mkdir_all(data->fs, path, err);
    }
    return code;
}

/* A folder in which a restore did not finish looks whole and may not be. */
static enum med_code refuse_unfinished(const struct med_data *data, struct med_err *err)
{
    char path[MED_PATH_MAX];
    enum med_code code = data_path(data, MED_RESTORING_FILE, NULL, NULL, path, err);
    if (code == MED_OK && med_path_exists(path))
        code = med_fail(err, MED_E_CONFLICT,
            "a backup is being restored into %s; when that was interrupted, run the restore again",
            data->path);
    return code;
}

static enum med_code open_folder(const char *path, bool create, bool unfinished,
    const struct med_fs *fs, struct med_data **ret_data, struct med_err *err)
{
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/') len--;
    if (len == 0 || len >= MED_PATH_MAX)
        return med_fail(err, MED_E_USAGE, "not a usable data folder: \"%.80s\"", path);
    struct med_data *data = med_calloc(1, sizeof *data);
    if (!data) return med_fail(err, MED_E_NOMEM, "out of memory");
    data->fs = fs ? fs : med_fs_posix();
    memcpy(data->path, path, len);
    enum med_code code = unfinished ? MED_OK : refuse_unfinished(data, err);
    struct stat st;
    if (code != MED_OK) {
        med_data_close(&data);
        return code;
    }
    if (create) {
        code = make_folders(data, err);
    } else if (stat(data->path, &st) != 0) {
        code = errno == ENOENT
                   ? med_fail(err, MED_E_NOT_FOUND,
                         "there is no data folder %s: `medicus ingest --data %s FILE...` makes one",
                         data->path, data->path)
                   : med_fail_errno(err, errno, "cannot open the data folder %s", data->path);
    } else if (!S_ISDIR(st.st_mode)) {
        code = med_fail(err, MED_E_USAGE, "%s is not a folder", data->path);
    }
    if (code != MED_OK) {
        med_data_close(&data);
        return code;
    }
    *ret_data = data;
    return MED_OK;
}

enum med_code med_data_open(const char *path, bool create, const struct med_fs *fs,
    struct med_data **ret_data, struct med_err *err)
{
    return open_folder(path, create, false, fs, ret_data, err);
}

enum med_code data_open_unfinished(
    const char *path, const struct med_fs *fs, struct med_data **ret_data, struct med_err *err)
{
    return open_folder(path, false, true, fs, ret_data, err);
}

void med_data_close(struct med_data **data)
{
    med_free(*data);
    *data = NULL;
}

const char *med_data_path(const struct med_data *data)
{
    return data->path;
}

/* --- locks --- */

enum med_code lock_file(const char *path, bool wait, int *ret_fd, struct med_err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
    if (fd < 0) return med_fail_errno(err, errno, "cannot open the lock %s", path);
    int rc;
    do rc = flock(fd, LOCK_EX | (wait ? 0 : LOCK_NB));
    while (rc != 0 && errno == EINTR);
    if (rc == 0) {
        *ret_fd = fd;
        return MED_OK;
    }
    int errnum = errno;
    close(fd);
    if (errnum == EWOULDBLOCK) return MED_E_BUSY;
    return med_fail_errno(err, errnum, "cannot take the lock %s", path);
}

/* The process that holds the lock wrote its id into it; 0 when that cannot be read. */
static long lock_holder(const char *path)
{
    struct med_buf buf;
    unsigned long long pid = 0;
    med_buf_init(&buf, 64);
    if (med_read_file(path, &buf, NULL) != MED_OK ||
        !med_str_to_u64(med_str_trim(med_buf_str(&buf)), &pid))
        pid = 0;
    med_buf_free(&buf);
    return (long)pid;
}

static enum med_code sweep(struct med_data *data, struct med_err *err);

enum med_code med_build_lock_take(
    struct med_data *data, struct med_build_lock **ret_lock, struct med_err *err)
{
    char path[MED_PATH_MAX], text[24];
    int fd;
    struct med_build_lock *lock = med_calloc(1, sizeof *lock);
    if (!lock) return med_fail(err, MED_E_NOMEM, "out of memory");
    enum med_code code = data_path(data, "build.lock", NULL, NULL, path, err);
    if (code == MED_OK) code = lock_file(path, false, &fd, err);
    /* Somebody may only be asking whether it is held. */
    for (int i = 0; code == MED_E_BUSY && i < LOCK_ATTEMPTS; i++) {
        usleep(LOCK_PAUSE_US);
        code = lock_file(path, false, &fd, err);
    }
    if (code == MED_E_BUSY) {
        code = med_fail(err, MED_E_CONFLICT,
            "another build of %s is running (process %ld): wait for it or end it", data->path,
            lock_holder(path));
    }
    if (code != MED_OK) {
        med_free(lock);
        return code;
    }
    lock->fd = fd;
    int len = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    /* Only for the sentence above: a full disk must not keep the build from trying. */
    if (ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)len, 0) < 0) len = 0;
    code = sweep(data, err);
    if (code != MED_OK) {
        med_build_lock_release(&lock);
        return code;
    }
    *ret_lock = lock;
    return MED_OK;
}

bool med_build_lock_held(const struct med_data *data, long *ret_pid)
{
    char path[MED_PATH_MAX];
    if (data_path(data, "build.lock", NULL, NULL, path, NULL) != MED_OK) return false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    bool held = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    close(fd);
    if (held) *ret_pid = lock_holder(path);
    return held;
}

void med_build_lock_release(struct med_build_lock **lock)
{
    if (!*lock) return;
    close((*lock)->fd);
    med_free(*lock);
    *lock = NULL;
}

/* --- folders' contents --- */

typedef enum med_code (*name_visit)(void *ctx, const char *name, struct med_err *err);

struct names {
    char **list;
    size_t count, cap;
};

static int cmp_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool add_name(struct names *names, const char *name)
{
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) return true;
    if (!med_grow(&names->list, &names->cap, names->count + 1, sizeof *names->list)) return false;
    char *copy = med_strndup(name, strlen(name));
    if (!copy) return false;
    names->list[names->count++] = copy;
    return true;
}

static enum med_code read_names(const char *dir, struct names *names, struct med_err *err)
{
    DIR *folder = opendir(dir);
    if (!folder && errno == ENOENT) return MED_OK;
    if (!folder) return med_fail_errno(err, errno, "cannot read the folder %s", dir);
    enum med_code code = MED_OK;
    while (code == MED_OK) {
        errno = 0;
        const struct dirent *entry = readdir(folder);
        if (!entry && errno != 0)
            code = med_fail_errno(err, errno, "cannot read the folder %s", dir);
        if (!entry) break;
        if (!add_name(names, entry->d_name)) code = med_fail(err, MED_E_NOMEM, "out of memory");
    }
    closedir(folder);
    if (names->count > 0) qsort(names->list, names->count, sizeof *names->list, cmp_names);
    return code;
}

/* Calls visit for each name in order. An absent folder has none. The list is read before the first
 * visit, which may remove entries. */
static enum med_code each_name(const char *dir, name_visit visit, void *ctx, struct med_err *err)
{
    struct names names = {0};
    enum med_code code = read_names(dir, &names, err);
    for (size_t i = 0; i < names.count; i++) {
        if (code == MED_OK) code = visit(ctx, names.list[i], err);
        med_free(names.list[i]);
    }
    med_free(names.list);
    return code;
}

struct numbers {
    struct med_arena *arena;
    uint64_t *list;
    size_t count, cap;
};

static enum med_code add_number(void *ctx, const char *name, struct med_err *err)
{
    struct numbers *n = ctx;
    unsigned long long number;
    if (name[0] == '0' || !med_str_to_u64(med_str_of(name), &number)) return MED_OK;
    if (n->count == n->cap) {
        size_t cap = n->cap ? 2 * n->cap : 64;
        uint64_t *list = cap <= NUMBERS_MAX ? med_arena_calloc(n->arena, cap, sizeof *list) : NULL;
        if (!list) return med_fail(err, MED_E_NOMEM, "too many generations");
        if (n->count > 0) memcpy(list, n->list, n->count * sizeof *list);
        n->list = list;
        n->cap = cap;
    }
    n->list[n->count++] = number;
    return MED_OK;
}

static int cmp_numbers(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

enum med_code generation_numbers(const struct med_data *data, struct med_arena *arena,
    uint64_t **ret_numbers, size_t *ret_count, struct med_err *err)
{
    char dir[MED_PATH_MAX];
    struct numbers n = {.arena = arena};
    enum med_code code = data_path(data, "generations", NULL, NULL, dir, err);
    if (code == MED_OK) code = each_name(dir, add_number, &n, err);
    if (code != MED_OK) return code;
    if (n.count > 0) qsort(n.list, n.count, sizeof *n.list, cmp_numbers);
    *ret_numbers = n.list;
    *ret_count = n.count;
    return MED_OK;
}

enum med_code manifest_read(const struct med_data *data, uint64_t number, struct med_arena *arena,
    struct med_manifest **ret_manifest, struct med_err *err)
{
    char path[MED_PATH_MAX];
    struct med_buf buf;
    med_buf_init(&buf, MANIFEST_BYTES_MAX);
    enum med_code code = generation_path(data, number, "MANIFEST", path, err);
    if (code == MED_OK) code = med_read_file(path, &buf, err);
    struct med_manifest *manifest;
    if (code == MED_OK) code = med_manifest_parse(med_buf_str(&buf), arena, &manifest, err);
    if (code == MED_OK && manifest->number != number) {
        code = med_fail(err, MED_E_CORRUPT, "the manifest is that of another generation");
    }
    med_buf_free(&buf);
    if (code != MED_OK) {
        med_err_prefix(err, "generation %" PRIu64, number);
        return code;
    }
    *ret_manifest = manifest;
    return MED_OK;
}

/* --- what manifests name --- */

struct named {
    struct med_manifest **manifests;
    size_t count;
    bool complete; /* all could be read */
};

static enum med_code read_all(
    struct med_data *data, struct med_arena *arena, struct named *ret_named, struct med_err *err)
{
    uint64_t *numbers;
    size_t count;
    enum med_code code = generation_numbers(data, arena, &numbers, &count, err);
    if (code != MED_OK) return code;
    struct named named = {
        .complete = true, .manifests = med_arena_calloc(arena, count, sizeof *named.manifests)};
    if (!named.manifests) return med_fail(err, MED_E_NOMEM, "out of memory");
    for (size_t i = 0; i < count; i++) {
        code = manifest_read(data, numbers[i], arena, &named.manifests[named.count], err);
        if (code == MED_OK)
            named.count++;
        else if (code == MED_E_NOMEM)
            return code;
        else if (code != MED_E_NOT_FOUND)
            named.complete = false;
    }
    *ret_named = named;
    return MED_OK;
}

static bool names_segment(const struct named *named, const char *id)
{
    for (size_t i = 0; i < named->count; i++) {
        for (size_t k = 0; k < named->manifests[i]->segment_count; k++) {
            if (strcmp(named->manifests[i]->segments[k].id, id) == 0) return true;
        }
    }
    return false;
}

static bool names_encoder(const struct named *named, const char *id)
{
    for (size_t i = 0; i < named->count; i++) {
        if (strcmp(named->manifests[i]->encoder_id, id) == 0) return true;
    }
    return false;
}

/* --- sweeping --- */

struct sweep_ctx {
    struct med_data *data;
    const struct named *named;
    const char *folder;
    bool (*is_named)(const struct named *, const char *);
};

static enum med_code sweep_folder(void *ctx, const char *name, struct med_err *err)
{
    struct sweep_ctx *s = ctx;
    char path[MED_PATH_MAX];
    /* Names that are none of ours are left alone. */
    if (!manifest_id_ok(name) || s->is_named(s->named, name)) return MED_OK;
    enum med_code code = data_path(s->data, s->folder, name, NULL, path, err);
    return code == MED_OK ? med_fs_remove_tree(s->data->fs, path, err) : code;
}

enum med_code sweep_unnamed(struct med_data *data, bool encoders, struct med_err *err)
{
    struct med_arena *arena;
    struct named named;
    char dir[MED_PATH_MAX];
    enum med_code code = med_arena_new(SWEEP_ARENA_BYTES_MAX, &arena, err);
    if (code != MED_OK) return code;
    code = read_all(data, arena, &named, err);
    if (code == MED_OK && named.complete) {
        struct sweep_ctx s = {
            .data = data, .named = &named, .folder = "segments", .is_named = names_segment};
        code = data_path(data, s.folder, NULL, NULL, dir, err);
        if (code == MED_OK) code = each_name(dir, sweep_folder, &s, err);
        s.folder = "encoders";
        s.is_named = names_encoder;
        if (code == MED_OK && encoders) code = data_path(data, s.folder, NULL, NULL, dir, err);
        if (code == MED_OK && encoders) code = each_name(dir, sweep_folder, &s, err);
    }
    med_arena_free(&arena);
    return code;
}

static enum med_code remove_temporary(
    const struct med_data *data, const char *path, struct med_err *err)
{
    enum med_code code = data->fs->ops->unlink(data->fs, path, err);
    return code == MED_E_NOT_FOUND ? MED_OK : code;
}

static enum med_code sweep_root(void *ctx, const char *name, struct med_err *err)
{
    struct med_data *data = ctx;
    char path[MED_PATH_MAX];
    if (strncmp(name, "CURRENT" TEMPORARY_MARK, sizeof "CURRENT" TEMPORARY_MARK - 1) != 0)
        return MED_OK;
    enum med_code code = data_path(data, name, NULL, NULL, path, err);
    return code == MED_OK ? remove_temporary(data, path, err) : code;
}

/* A generation's folder without a manifest was being made, or removed, when its process died. */
static enum med_code sweep_generations(
    struct med_data *data, struct med_arena *arena, struct med_err *err)
{
    uint64_t *numbers;
    size_t count;
    enum med_code code = generation_numbers(data, arena, &numbers, &count, err);
    for (size_t i = 0; code == MED_OK && i < count; i++) {
        char path[MED_PATH_MAX];
        code = generation_path(data, numbers[i], "MANIFEST", path, err);
        if (code != MED_OK || med_path_exists(path)) continue;
        code = generation_path(data, numbers[i], NULL, path, err);
        if (code == MED_OK) code = med_fs_remove_tree(data->fs, path, err);
    }
    return code;
}

static enum med_code sweep(struct med_data *data, struct med_err *err)
{
    struct med_arena *arena;
    enum med_code code = med_arena_new(SWEEP_ARENA_BYTES_MAX, &arena, err);
    if (code != MED_OK) return code;
    code = each_name(data->path, sweep_root, data, err);
    if (code == MED_OK) code = sweep_generations(data, arena, err);
    if (code == MED_OK) code = sweep_unnamed(data, false, err);
    med_arena_free(&arena);
    if (code != MED_OK) med_err_prefix(err, "cannot sweep what an earlier build left");
    return code;
}

/* --- new parts --- */

enum med_code med_data_new_segment(struct med_data *data, char ret_id[MED_NAME_LEN + 1],
    char ret_dir[MED_PATH_MAX], struct med_err *err)
{
    struct med_hash128 random;
    char id[MED_NAME_LEN + 1];
    if (getrandom(&random, sizeof random, 0) != sizeof random) {
        return med_fail(err, MED_E_IO, "the system gives no random numbers");
    }
    med_hash128_hex(random, id);
    enum med_code code = data_path(data, "segments", id, NULL, ret_dir, err);
    if (code == MED_OK) code = med_fs_mkdir_all(data->fs, ret_dir, err);
    if (code == MED_OK) memcpy(ret_id, id, sizeof id);
    return code;
}

enum med_code med_data_new_encoder(
    struct med_data *data, const char *id, char ret_dir[MED_PATH_MAX], struct med_err *err)
{
    if (!manifest_id_ok(id))
        return med_fail(err, MED_E_INVALID, "\"%.40s\" is not usable as an encoder's id", id);
    struct med_arena *arena;
    struct named named;
    char dir[MED_PATH_MAX];
    enum med_code code = med_arena_new(SWEEP_ARENA_BYTES_MAX, &arena, err);
    if (code != MED_OK) return code;
    code = data_path(data, "encoders", id, NULL, dir, err);
    if (code == MED_OK) code = read_all(data, arena, &named, err);
    if (code == MED_OK && named.complete && !names_encoder(&named, id)) {
        code = med_fs_remove_tree(data->fs, dir, err);
    }
    if (code == MED_OK) code = med_fs_mkdir_all(data->fs, dir, err);
    med_arena_free(&arena);
    if (code == MED_OK) memcpy(ret_dir, dir, strlen(dir) + 1);
    return code;
}

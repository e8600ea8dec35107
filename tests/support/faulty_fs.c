/* Keeping the record: every operation is carried out on the real folder and noted. What the notes
 * mean is explained in faulty_fs_internal.h. */
#include "tests/support/faulty_fs_internal.h"

#include "common/mem.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct open_file {
    struct med_file *real;
    struct node *node;
};

static enum med_code no_memory(struct med_err *err)
{
    return med_fail(err, MED_E_NOMEM, "out of memory in the faulty file system");
}

static const struct med_fs_ops *posix_ops(void)
{
    return med_fs_posix()->ops;
}

/* --- nodes and names --- */

static struct node *node_new(struct med_faulty_fs *f, bool folder)
{
    if (!med_grow(&f->nodes, &f->nodes_cap, f->node_count + 1, sizeof *f->nodes)) return NULL;
    struct node *node = med_calloc(1, sizeof *node);
    if (!node) return NULL;
    node->folder = folder;
    med_buf_init(&node->synced, FILE_BYTES_MAX);
    f->nodes[f->node_count++] = node;
    return node;
}

static struct entry *entry_find(struct entries *entries, const char *name)
{
    for (size_t i = 0; i < entries->count; i++) {
        if (strcmp(entries->items[i].name, name) == 0) return &entries->items[i];
    }
    return NULL;
}

bool med_faulty_entry_set(struct entries *entries, const char *name, struct node *node)
{
    struct entry *old = entry_find(entries, name);
    if (old) {
        old->node = node;
        return true;
    }
    if (!med_grow(&entries->items, &entries->cap, entries->count + 1, sizeof *entries->items)) {
        return false;
    }
    char *copy = med_strndup(name, strlen(name));
    if (!copy) return false;
    entries->items[entries->count++] = (struct entry){.name = copy, .node = node};
    return true;
}

void med_faulty_entry_clear(struct entries *entries, const char *name)
{
    struct entry *old = entry_find(entries, name);
    if (!old) return;
    med_free(old->name);
    *old = entries->items[--entries->count];
}

void med_faulty_entries_free(struct entries *entries)
{
    for (size_t i = 0; i < entries->count; i++) med_free(entries->items[i].name);
    med_free(entries->items);
    *entries = (struct entries){0};
}

/* Where the node really is, from the leaf up. */
enum med_code med_faulty_real_path(const struct med_faulty_fs *f, const struct node *node,
    char ret_path[MED_PATH_MAX], struct med_err *err)
{
    char path[MED_PATH_MAX];
    size_t at = sizeof path - 1;
    path[at] = '\0';
    for (; node != f->root; node = node->parent) {
        assert(node->parent); /* what was removed has no path; its bytes were loaded before */
        size_t len = strlen(node->name);
        if (len + 1 > at)
            return med_fail(err, MED_E_LIMIT, "the path of %s is too long", node->name);
        at -= len;
        memcpy(path + at, node->name, len);
        path[--at] = '/';
    }
    int len = snprintf(ret_path, MED_PATH_MAX, "%s%s", f->root_path, path + at);
    if (len < 0 || len >= MED_PATH_MAX) return med_fail(err, MED_E_LIMIT, "a path is too long");
    return MED_OK;
}

enum med_code med_faulty_lookup(struct med_faulty_fs *f, struct node *dir, const char *name,
    struct node **ret_node, struct med_err *err)
{
    struct entry *known = entry_find(&dir->now, name);
    *ret_node = known ? known->node : NULL;
    if (known) return MED_OK;
    char path[MED_PATH_MAX];
    enum med_code code = med_faulty_real_path(f, dir, path, err);
    if (code == MED_OK) code = med_path_join(path, path, name, err);
    struct stat st;
    if (code != MED_OK || lstat(path, &st) != 0) return code;
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) return MED_OK;
    struct node *node = node_new(f, S_ISDIR(st.st_mode));
    if (!node) return no_memory(err);
    node->name = med_strndup(name, strlen(name));
    node->parent = dir;
    if (!node->name || !med_faulty_entry_set(&dir->baseline, name, node) ||
        !med_faulty_entry_set(&dir->now, name, node)) {
        return no_memory(err);
    }
    *ret_node = node;
    return MED_OK;
}

/* Splits path into its folder's node and the last name; for the root itself the name is empty. */
static enum med_code resolve(struct med_faulty_fs *f, const char *path, struct node **ret_dir,
    char ret_name[NAME_MAX + 1], struct med_err *err)
{
    size_t root_len = strlen(f->root_path);
    if (strncmp(path, f->root_path, root_len) != 0 || (path[root_len] && path[root_len] != '/')) {
        return med_fail(err, MED_E_INTERNAL, "%s lies outside %s", path, f->root_path);
    }
    struct node *dir = f->root;
    ret_name[0] = '\0';
    for (const char *at = path + root_len; *at;) {
        size_t len = strcspn(at, "/");
        if (len > NAME_MAX) return med_fail(err, MED_E_LIMIT, "a name in %s is too long", path);
        bool counts = len > 0 && !(len == 1 && at[0] == '.');
        assert(!(len == 2 && memcmp(at, "..", 2) == 0));
        if (counts && ret_name[0]) { /* the name before was that of a folder */
            struct node *next;
            enum med_code code = med_faulty_lookup(f, dir, ret_name, &next, err);
            if (code != MED_OK) return code;
            if (!next || !next->folder)
                return med_fail(err, MED_E_NOT_FOUND, "no folder for %s", path);
            dir = next;
        }
        if (counts) {
            memcpy(ret_name, at, len);
            ret_name[len] = '\0';
        }
        at += len + (at[len] == '/');
    }
    *ret_dir = dir;
    return MED_OK;
}

/* Reads the bytes of a file that the record has not touched yet: they count as synced. */
static enum med_code load(struct med_faulty_fs *f, struct node *node, struct med_err *err)
{
    if (!node || node->folder || node->loaded) return MED_OK;
    char path[MED_PATH_MAX];
    enum med_code code = med_faulty_real_path(f, node, path, err);
    if (code == MED_OK) code = med_read_file(path, &node->synced, err);
    if (code == MED_OK) node->loaded = true;
    return code;
}

/* --- faults --- */

enum fate { FATE_NORMAL, FATE_IN_FLIGHT, FATE_FAIL };

/* Counts the operation and says what becomes of it. In flight: the power fails now, the record
 * keeps it, the caller sees a failure and the real folder stays as it is. */
static enum fate next_fate(struct med_faulty_fs *f)
{
    f->op_count++;
    if (f->crashed) return FATE_FAIL;
    if (f->crash_countdown > 0 && --f->crash_countdown == 0) {
        f->crashed = true;
        return med_rng_below(&f->rng, 2) ? FATE_IN_FLIGHT : FATE_FAIL;
    }
    if (f->fail_countdown > 0 && --f->fail_countdown == 0) return FATE_FAIL;
    return FATE_NORMAL;
}

static enum med_code fault(const struct med_faulty_fs *f, const char *what, struct med_err *err)
{
    return med_fail(
        err, MED_E_IO, "%s: %s", what, f->crashed ? "the power is off" : "injected failure");
}

static struct med_faulty_fs *lock(const struct med_fs *fs)
{
    struct med_faulty_fs *f = fs->ctx;
    pthread_mutex_lock(&f->lock);
    return f;
}

static enum med_code unlock(struct med_faulty_fs *f, enum med_code code)
{
    pthread_mutex_unlock(&f->lock);
    return code;
}

/* --- directory operations --- */

static bool copy_name(const char *name, char **ret_copy)
{
    *ret_copy = name ? med_strndup(name, strlen(name)) : NULL;
    return !name || *ret_copy;
}

static bool log_op(struct med_faulty_fs *f, struct node *from_dir, const char *from,
    struct node *to_dir, const char *to, struct node *node)
{
    if (!med_grow(&f->log, &f->log_cap, f->log_count + 1, sizeof *f->log)) return false;
    struct dir_op op = {.from_dir = from_dir, .to_dir = to_dir, .node = node};
    if (!copy_name(from, &op.from) || !copy_name(to, &op.to)) {
        med_free(op.from);
        return false;
    }
    f->log[f->log_count++] = op;
    return true;
}

/* Brings `now` and the node's place up to date after the real operation. */
static bool move_node(
    struct node *from_dir, const char *from, struct node *to_dir, const char *to, struct node *node)
{
    if (from) med_faulty_entry_clear(&from_dir->now, from);
    node->parent = NULL;
    if (!to) return true;
    struct entry *replaced = entry_find(&to_dir->now, to);
    if (replaced) replaced->node->parent = NULL;
    char *name = med_strndup(to, strlen(to));
    if (!name || !med_faulty_entry_set(&to_dir->now, to, node)) {
        med_free(name);
        return false;
    }
    med_free(node->name);
    node->name = name;
    node->parent = to_dir;
    return true;
}

static enum med_code create_node(struct med_faulty_fs *f, struct node *dir, const char *name,
    bool folder, bool in_flight, struct node **ret_node, struct med_err *err)
{
    struct node *node = node_new(f, folder);
    if (!node) return no_memory(err);
    node->loaded = true;
    if (!log_op(f, NULL, NULL, dir, name, node)) return no_memory(err);
    if (!in_flight && !move_node(NULL, NULL, dir, name, node)) return no_memory(err);
    *ret_node = node;
    return MED_OK;
}

static bool add_change(
    struct node *node, bool truncate, const void *ptr, size_t len, uint64_t offset)
{
    if (!med_grow(
            &node->changes, &node->changes_cap, node->change_count + 1, sizeof *node->changes)) {
        return false;
    }
    uint8_t *data = len > 0 ? med_malloc(len) : NULL;
    if (len > 0 && !data) return false;
    if (len > 0) memcpy(data, ptr, len);
    node->changes[node->change_count++] =
        (struct change){.truncate = truncate, .offset = offset, .len = len, .data = data};
    return true;
}

static enum med_code record_create(struct med_faulty_fs *f, const char *path, bool in_flight,
    struct node **ret_node, struct med_err *err)
{
    struct node *dir, *node;
    char name[NAME_MAX + 1];
    enum med_code code = resolve(f, path, &dir, name, err);
    if (code == MED_OK) code = med_faulty_lookup(f, dir, name, &node, err);
    if (code != MED_OK) return code;
    if (!node) return create_node(f, dir, name, false, in_flight, ret_node, err);
    code = load(f, node, err);
    if (code == MED_OK && !add_change(node, true, NULL, 0, 0)) code = no_memory(err);
    *ret_node = node;
    return code;
}

static enum med_code open_new(const struct med_fs *fs, const char *path, struct node *node,
    struct med_file **ret_file, struct med_err *err)
{
    size_t path_size = strlen(path) + 1;
    struct med_file *file = med_calloc(1, sizeof *file + path_size);
    struct open_file *open = med_calloc(1, sizeof *open);
    enum med_code code = file && open ? MED_OK : no_memory(err);
    if (code == MED_OK) code = posix_ops()->create(med_fs_posix(), path, &open->real, err);
    if (code != MED_OK) {
        med_free(file);
        med_free(open);
        return code;
    }
    open->node = node;
    memcpy(file->path, path, path_size);
    file->fs = fs;
    file->fd = -1;
    file->impl = open;
    *ret_file = file;
    return MED_OK;
}

static enum med_code faulty_create(
    const struct med_fs *fs, const char *path, struct med_file **ret_file, struct med_err *err)
{
    struct med_faulty_fs *f = lock(fs);
    enum fate fate = next_fate(f);
    if (fate == FATE_FAIL) return unlock(f, fault(f, path, err));
    struct node *node;
    enum med_code code = record_create(f, path, fate == FATE_IN_FLIGHT, &node, err);
    if (code == MED_OK && fate == FATE_IN_FLIGHT) code = fault(f, path, err);
    if (code == MED_OK) code = open_new(fs, path, node, ret_file, err);
    return unlock(f, code);
}

static enum med_code faulty_write(
    struct med_file *file, const void *ptr, size_t len, uint64_t offset, struct med_err *err)
{
    struct med_faulty_fs *f = lock(file->fs);
    struct open_file *open = file->impl;
    enum fate fate = next_fate(f);
    if (fate == FATE_FAIL) return unlock(f, fault(f, file->path, err));
    size_t fits = len <= f->space_left ? len : (size_t)f->space_left;
    if (f->space_left != UINT64_MAX) f->space_left -= fits;
    enum med_code code = MED_OK;
    if (fits > 0 && !add_change(open->node, false, ptr, fits, offset)) code = no_memory(err);
    if (code == MED_OK && fate == FATE_IN_FLIGHT) code = fault(f, file->path, err);
    if (code == MED_OK && fits > 0) code = posix_ops()->write(open->real, ptr, fits, offset, err);
    if (code == MED_OK && fits < len) {
        code = med_fail(err, MED_E_NO_SPACE, "cannot write %s: injected full disk", file->path);
    }
    return unlock(f, code);
}

bool med_faulty_extend(struct med_buf *image, uint64_t size)
{
    if (size <= image->len) return true;
    size_t more = (size_t)size - image->len;
    void *at = med_buf_extend(image, more);
    if (at) memset(at, 0, more);
    return at != NULL;
}

bool med_faulty_apply(struct med_buf *image, const struct change *change)
{
    if (change->truncate) med_buf_reset(image);
    if (!med_faulty_extend(image, change->offset + change->len)) return false;
    if (change->len > 0) memcpy(image->data + change->offset, change->data, change->len);
    return true;
}

static void clear_changes(struct node *node)
{
    for (size_t i = 0; i < node->change_count; i++) med_free(node->changes[i].data);
    node->change_count = 0;
}

static enum med_code faulty_sync(struct med_file *file, struct med_err *err)
{
    struct med_faulty_fs *f = lock(file->fs);
    struct open_file *open = file->impl;
    /* In flight some of the writes may be on disk, which is what the record says without it. */
    if (next_fate(f) != FATE_NORMAL) return unlock(f, fault(f, file->path, err));
    struct node *node = open->node;
    for (size_t i = 0; i < node->change_count; i++) {
        if (!med_faulty_apply(&node->synced, &node->changes[i])) return unlock(f, no_memory(err));
    }
    clear_changes(node);
    return unlock(f, MED_OK); /* the real disk need not be bothered */
}

static enum med_code faulty_close(struct med_file *file, struct med_err *err)
{
    struct med_faulty_fs *f = lock(file->fs);
    struct open_file *open = file->impl;
    enum med_code code = posix_ops()->close(open->real, err);
    if (code == MED_OK && f->crashed) code = fault(f, file->path, err);
    med_free(open);
    med_free(file);
    return unlock(f, code);
}

static enum med_code rename_locked(
    struct med_faulty_fs *f, bool in_flight, const char *from, const char *to, struct med_err *err)
{
    struct node *from_dir, *to_dir, *node, *replaced;
    char from_name[NAME_MAX + 1], to_name[NAME_MAX + 1];
    enum med_code code = resolve(f, from, &from_dir, from_name, err);
    if (code == MED_OK) code = resolve(f, to, &to_dir, to_name, err);
    if (code == MED_OK) code = med_faulty_lookup(f, from_dir, from_name, &node, err);
    if (code == MED_OK && !node)
        code = med_fail(err, MED_E_NOT_FOUND, "cannot rename %s: absent", from);
    if (code == MED_OK) code = med_faulty_lookup(f, to_dir, to_name, &replaced, err);
    if (code == MED_OK) code = load(f, node, err);
    if (code == MED_OK) code = load(f, replaced, err);
    if (code == MED_OK && !in_flight) code = posix_ops()->rename(med_fs_posix(), from, to, err);
    if (code != MED_OK || node == replaced) return code;
    if (!log_op(f, from_dir, from_name, to_dir, to_name, node)) return no_memory(err);
    if (in_flight) return fault(f, from, err);
    return move_node(from_dir, from_name, to_dir, to_name, node) ? MED_OK : no_memory(err);
}

static enum med_code faulty_rename(
    const struct med_fs *fs, const char *from, const char *to, struct med_err *err)
{
    struct med_faulty_fs *f = lock(fs);
    enum fate fate = next_fate(f);
    if (fate == FATE_FAIL) return unlock(f, fault(f, from, err));
    return unlock(f, rename_locked(f, fate == FATE_IN_FLIGHT, from, to, err));
}

/* unlink and rmdir: the record does not distinguish them. */
static enum med_code remove_locked(struct med_faulty_fs *f, bool in_flight, const char *path,
    enum med_code (*real)(const struct med_fs *, const char *, struct med_err *),
    struct med_err *err)
{
    struct node *dir, *node;
    char name[NAME_MAX + 1];
    enum med_code code = resolve(f, path, &dir, name, err);
    if (code == MED_OK) code = med_faulty_lookup(f, dir, name, &node, err);
    if (code == MED_OK) code = load(f, node, err);
    if (code == MED_OK && !in_flight) code = real(med_fs_posix(), path, err);
    /* Absent, or a link or the like, of which the record knows nothing. */
    if (code == MED_OK && !node) return in_flight ? fault(f, path, err) : MED_OK;
    if (code != MED_OK) return code;
    if (!log_op(f, dir, name, NULL, NULL, node)) return no_memory(err);
    if (in_flight) return fault(f, path, err);
    return move_node(dir, name, NULL, NULL, node) ? MED_OK : no_memory(err);
}

static enum med_code faulty_unlink(const struct med_fs *fs, const char *path, struct med_err *err)
{
    struct med_faulty_fs *f = lock(fs);
    enum fate fate = next_fate(f);
    if (fate == FATE_FAIL) return unlock(f, fault(f, path, err));
    return unlock(f, remove_locked(f, fate == FATE_IN_FLIGHT, path, posix_ops()->unlink, err));
}

static enum med_code faulty_rmdir(const struct med_fs *fs, const char *path, struct med_err *err)
{
    struct med_faulty_fs *f = lock(fs);
    enum fate fate = next_fate(f);
    if (fate == FATE_FAIL) return unlock(f, fault(f, path, err));
    return unlock(f, remove_locked(f, fate == FATE_IN_FLIGHT, path, posix_ops()->rmdir, err));
}

static enum med_code mkdir_locked(
    struct med_faulty_fs *f, bool in_flight, const char *path, struct med_err *err)
{
    struct node *dir, *node;
    char name[NAME_MAX + 1];
    enum med_code code = resolve(f, path, &dir, name, err);
    if (code == MED_OK) code = med_faulty_lookup(f, dir, name, &node, err);
    if (code == MED_OK && !in_flight) code = posix_ops()->mkdir(med_fs_posix(), path, err);
    if (code == MED_OK && !node) code = create_node(f, dir, name, true, in_flight, &node, err);
    return code == MED_OK && in_flight ? fault(f, path, err) : code;
}

static enum med_code faulty_mkdir(const struct med_fs *fs, const char *path, struct med_err *err)
{
    struct med_faulty_fs *f = lock(fs);
    enum fate fate = next_fate(f);
    if (fate == FATE_FAIL) return unlock(f, fault(f, path, err));
    return unlock(f, mkdir_locked(f, fate == FATE_IN_FLIGHT, path, err));
}

/* A rename between two folders that is durable in one is durable in the other, and so is what came
 * before it there. */
static void raise_floors(struct med_faulty_fs *f)
{
    for (bool again = true; again;) {
        again = false;
        for (size_t i = 0; i < f->log_count; i++) {
            struct node *a = f->log[i].from_dir, *b = f->log[i].to_dir;
            if (!a || !b || (a->floor > i) == (b->floor > i)) continue;
            struct node *lower = a->floor > i ? b : a;
            lower->floor = i + 1;
            again = true;
        }
    }
}

static enum med_code sync_dir_locked(struct med_faulty_fs *f, const char *path, struct med_err *err)
{
    struct node *dir, *node;
    char name[NAME_MAX + 1];
    enum med_code code = resolve(f, path, &dir, name, err);
    if (code != MED_OK) return code;
    node = dir;
    if (name[0]) code = med_faulty_lookup(f, dir, name, &node, err);
    if (code != MED_OK) return code;
    if (!node || !node->folder) return med_fail(err, MED_E_NOT_FOUND, "no folder %s", path);
    node->floor = f->log_count;
    raise_floors(f);
    return MED_OK;
}

static enum med_code faulty_sync_dir(const struct med_fs *fs, const char *path, struct med_err *err)
{
    struct med_faulty_fs *f = lock(fs);
    if (next_fate(f) != FATE_NORMAL) return unlock(f, fault(f, path, err));
    return unlock(f, sync_dir_locked(f, path, err));
}

/* --- life --- */

enum med_code med_faulty_fs_new(
    const char *root, uint64_t seed, struct med_faulty_fs **ret_faulty, struct med_err *err)
{
    static const struct med_fs_ops ops = {
        .create = faulty_create,
        .write = faulty_write,
        .sync = faulty_sync,
        .close = faulty_close,
        .rename = faulty_rename,
        .unlink = faulty_unlink,
        .mkdir = faulty_mkdir,
        .rmdir = faulty_rmdir,
        .sync_dir = faulty_sync_dir,
    };
    struct med_faulty_fs *f = med_calloc(1, sizeof *f);
    if (!f) return no_memory(err);
    pthread_mutex_init(&f->lock, NULL);
    f->seam = (struct med_fs){.ops = &ops, .ctx = f};
    f->space_left = UINT64_MAX;
    med_rng_seed(&f->rng, seed);
    size_t root_len = strlen(root);
    while (root_len > 1 && root[root_len - 1] == '/') root_len--;
    f->root_path = med_strndup(root, root_len);
    f->root = f->root_path ? node_new(f, true) : NULL;
    if (!f->root) {
        med_faulty_fs_free(&f);
        return no_memory(err);
    }
    *ret_faulty = f;
    return MED_OK;
}

void med_faulty_fs_free(struct med_faulty_fs **faulty)
{
    struct med_faulty_fs *f = *faulty;
    if (!f) return;
    for (size_t i = 0; i < f->node_count; i++) {
        struct node *node = f->nodes[i];
        clear_changes(node);
        med_free(node->changes);
        med_buf_free(&node->synced);
        med_faulty_entries_free(&node->baseline);
        med_faulty_entries_free(&node->now);
        med_free(node->name);
        med_free(node);
    }
    for (size_t i = 0; i < f->log_count; i++) {
        med_free(f->log[i].from);
        med_free(f->log[i].to);
    }
    med_free(f->nodes);
    med_free(f->log);
    med_free(f->root_path);
    pthread_mutex_destroy(&f->lock);
    med_free(f);
    *faulty = NULL;
}

const struct med_fs *med_faulty_fs_seam(struct med_faulty_fs *faulty)
{
    return &faulty->seam;
}

void med_faulty_fs_crash_after(struct med_faulty_fs *faulty, uint64_t n_ops)
{
    faulty->crash_countdown = n_ops;
    faulty->crashed = false;
}

void med_faulty_fs_fail_once(struct med_faulty_fs *faulty, uint64_t n_ops)
{
    faulty->fail_countdown = n_ops;
}

void med_faulty_fs_space(struct med_faulty_fs *faulty, uint64_t bytes)
{
    faulty->space_left = bytes;
}

uint64_t med_faulty_fs_op_count(const struct med_faulty_fs *faulty)
{
    return faulty->op_count;
}

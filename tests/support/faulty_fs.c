/* The record has three parts: nodes (files and folders, for ever, also after their removal), for
 * each file its synced bytes and the changes since, and one log of directory operations. A folder's
 * entries at the beginning
 * (`baseline`) plus a prefix of the log give its entries after a crash; plus the whole log, its
 * entries now.
 *
 * Nodes are made lazily: a name is looked up in the real folder when an operation first mentions
 * it. A file's bytes are read ("loaded") just before the first change that could make them
 * unreadable. */
#include "tests/support/faulty_fs.h"

#include "common/mem.h"
#include "common/rng.h"

#include <assert.h>
#include <dirent.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SECTOR_BYTES 512u
#define FILE_BYTES_MAX ((size_t)1 << 32)

struct change {
    bool truncate; /* to nothing; otherwise a write */
    uint64_t offset;
    size_t len;
    uint8_t *data;
};

struct entry {
    char *name;
    struct node *node;
};

struct entries {
    struct entry *items;
    size_t count, cap;
};

struct node {
    bool folder;
    struct node *parent; /* where it really is now; NULL for the root and for what was removed */
    char *name;
    /* files */
    bool loaded;
    struct med_buf synced;
    struct change *changes; /* since the last sync */
    size_t change_count, changes_cap;
    /* folders */
    struct entries baseline, now;
    size_t floor; /* this many operations of the log are durable here */
    size_t cut;   /* while materializing: this many survive */
};

/* create, mkdir: only `to`; unlink, rmdir: only `from`; rename: both. */
struct dir_op {
    struct node *from_dir, *to_dir;
    char *from, *to;
    struct node *node;
};

struct med_faulty_fs {
    struct med_fs seam; /* its ctx is this structure */
    pthread_mutex_t lock;
    char *root_path;
    struct node *root;
    struct node **nodes;
    size_t node_count, nodes_cap;
    struct dir_op *log;
    size_t log_count, log_cap;
    struct med_rng rng;
    uint64_t op_count;
    uint64_t crash_countdown; /* 0 = off */
    uint64_t fail_countdown;
    bool crashed;
    uint64_t space_left;
};

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

static bool entry_set(struct entries *entries, const char *name, struct node *node)
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

static void entry_clear(struct entries *entries, const char *name)
{
    struct entry *old = entry_find(entries, name);
    if (!old) return;
    med_free(old->name);
    *old = entries->items[--entries->count];
}

static void entries_free(struct entries *entries)
{
    for (size_t i = 0; i < entries->count; i++) med_free(entries->items[i].name);
    med_free(entries->items);
    *entries = (struct entries){0};
}

/* Where the node really is, from the leaf up. */
static enum med_code real_path(const struct med_faulty_fs *f, const struct node *node,
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

/* The node under this name, from the record or, on first mention, from the real folder. NULL in
 * *ret_node = none. */
static enum med_code lookup(struct med_faulty_fs *f, struct node *dir, const char *name,
    struct node **ret_node, struct med_err *err)
{
    struct entry *known = entry_find(&dir->now, name);
    *ret_node = known ? known->node : NULL;
    if (known) return MED_OK;
    char path[MED_PATH_MAX];
    enum med_code code = real_path(f, dir, path, err);
    if (code == MED_OK) code = med_path_join(path, path, name, err);
    struct stat st;
    if (code != MED_OK || lstat(path, &st) != 0) return code;
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) return MED_OK;
    struct node *node = node_new(f, S_ISDIR(st.st_mode));
    if (!node) return no_memory(err);
    node->name = med_strndup(name, strlen(name));
    node->parent = dir;
    if (!node->name || !entry_set(&dir->baseline, name, node) ||
        !entry_set(&dir->now, name, node)) {
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
            enum med_code code = lookup(f, dir, ret_name, &next, err);
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
    enum med_code code = real_path(f, node, path, err);
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
    if (from) entry_clear(&from_dir->now, from);
    node->parent = NULL;
    if (!to) return true;
    struct entry *replaced = entry_find(&to_dir->now, to);
    if (replaced) replaced->node->parent = NULL;
    char *name = med_strndup(to, strlen(to));
    if (!name || !entry_set(&to_dir->now, to, node)) {
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
    if (code == MED_OK) code = lookup(f, dir, name, &node, err);
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

/* Grows with zeros up to size; never shrinks. */
static bool extend_to(struct med_buf *image, uint64_t size)
{
    if (size <= image->len) return true;
    size_t more = (size_t)size - image->len;
    void *at = med_buf_extend(image, more);
    if (at) memset(at, 0, more);
    return at != NULL;
}

static bool apply_change(struct med_buf *image, const struct change *change)
{
    if (change->truncate) med_buf_reset(image);
    if (!extend_to(image, change->offset + change->len)) return false;
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
        if (!apply_change(&node->synced, &node->changes[i])) return unlock(f, no_memory(err));
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
    if (code == MED_OK) code = lookup(f, from_dir, from_name, &node, err);
    if (code == MED_OK && !node)
        code = med_fail(err, MED_E_NOT_FOUND, "cannot rename %s: absent", from);
    if (code == MED_OK) code = lookup(f, to_dir, to_name, &replaced, err);
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
    if (code == MED_OK) code = lookup(f, dir, name, &node, err);
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
    if (code == MED_OK) code = lookup(f, dir, name, &node, err);
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
    if (name[0]) code = lookup(f, dir, name, &node, err);
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

/* --- what is left after a loss of power --- */

/* A number in [least, most]: one end, the other, or anything. */
static size_t draw(struct med_faulty_fs *f, size_t least, size_t most)
{
    switch (med_rng_below(&f->rng, 3)) {
    case 0: return least;
    case 1: return most;
    default: return least + (size_t)med_rng_below(&f->rng, most - least + 1);
    }
}

static void draw_cuts(struct med_faulty_fs *f)
{
    size_t common_floor = 0;
    for (size_t i = 0; i < f->node_count; i++) {
        if (f->nodes[i]->floor > common_floor) common_floor = f->nodes[i]->floor;
    }
    bool one_journal = med_rng_below(&f->rng, 2) == 0;
    size_t common_cut = draw(f, common_floor, f->log_count);
    for (size_t i = 0; i < f->node_count; i++) {
        struct node *node = f->nodes[i];
        node->cut = one_journal ? common_cut : draw(f, node->floor, f->log_count);
    }
    /* A rename between folders happens in both or in neither. */
    for (bool again = true; again;) {
        again = false;
        for (size_t i = 0; i < f->log_count; i++) {
            struct node *a = f->log[i].from_dir, *b = f->log[i].to_dir;
            if (!a || !b || (a->cut > i) == (b->cut > i)) continue;
            struct node *longer = a->cut > i ? a : b;
            assert(longer->floor <= i);
            longer->cut = i;
            again = true;
        }
    }
}

static bool surviving_entries(
    const struct med_faulty_fs *f, struct node *dir, struct entries *ret_entries)
{
    for (size_t i = 0; i < dir->baseline.count; i++) {
        struct entry *entry = &dir->baseline.items[i];
        if (!entry_set(ret_entries, entry->name, entry->node)) return false;
    }
    for (size_t i = 0; i < dir->cut; i++) {
        const struct dir_op *op = &f->log[i];
        if (op->from_dir == dir) entry_clear(ret_entries, op->from);
        if (op->to_dir == dir && !entry_set(ret_entries, op->to, op->node)) return false;
    }
    return true;
}

/* Applies the part of a write that falls into sectors whose cut lies behind it. */
static bool apply_sectors(
    struct med_buf *image, const struct change *change, size_t number, const size_t *sector_cuts)
{
    for (size_t done = 0; done < change->len;) {
        uint64_t at = change->offset + done;
        size_t room = SECTOR_BYTES - (size_t)(at % SECTOR_BYTES);
        size_t len = change->len - done < room ? change->len - done : room;
        if (number < sector_cuts[at / SECTOR_BYTES]) {
            if (!extend_to(image, at + len)) return false;
            memcpy(image->data + at, change->data + done, len);
        }
        done += len;
    }
    return true;
}

/* Writes [first, end) of the node's changes, each sector as far as its own cut. */
static bool tear(struct med_faulty_fs *f, const struct node *node, size_t first, size_t end,
    struct med_buf *image)
{
    uint64_t size = image->len;
    for (size_t i = first; i < end; i++) {
        uint64_t change_end = node->changes[i].offset + node->changes[i].len;
        if (change_end > size) size = change_end;
    }
    size_t sector_count = (size_t)(size / SECTOR_BYTES) + 1;
    size_t *sector_cuts = med_calloc(sector_count, sizeof *sector_cuts);
    if (!sector_cuts) return false;
    for (size_t i = 0; i < sector_count; i++) sector_cuts[i] = draw(f, first, end);
    bool ok = true;
    for (size_t i = first; ok && i < end; i++) {
        ok = apply_sectors(image, &node->changes[i], i, sector_cuts);
    }
    med_free(sector_cuts);
    /* The length is metadata: it may have arrived although the bytes did not. */
    if (ok && med_rng_below(&f->rng, 2)) ok = extend_to(image, size);
    return ok;
}

static bool surviving_bytes(struct med_faulty_fs *f, const struct node *node, struct med_buf *image)
{
    /* How many of the truncations happened decides which writes can be there at all. */
    size_t truncations = 0;
    for (size_t i = 0; i < node->change_count; i++) truncations += node->changes[i].truncate;
    size_t kept = draw(f, 0, truncations);
    size_t first = 0, seen = 0;
    while (seen < kept) seen += node->changes[first++].truncate;
    size_t end = first;
    while (end < node->change_count && !node->changes[end].truncate) end++;
    if (kept == 0) med_buf_append(image, node->synced.data, node->synced.len);
    if (med_rng_below(&f->rng, 3) > 0) return tear(f, node, first, end, image);
    for (size_t i = first; i < end; i++) {
        if (!apply_change(image, &node->changes[i])) return false;
    }
    return true;
}

static enum med_code write_image(const char *path, const struct med_buf *image, struct med_err *err)
{
    struct med_file *file;
    enum med_code code = posix_ops()->create(med_fs_posix(), path, &file, err);
    if (code != MED_OK) return code;
    code = posix_ops()->write(file, image->data, image->len, 0, err);
    enum med_code closed = posix_ops()->close(file, code == MED_OK ? err : NULL);
    return code != MED_OK ? code : closed;
}

static enum med_code materialize_file(
    struct med_faulty_fs *f, struct node *node, const char *path, struct med_err *err)
{
    struct med_buf image;
    med_buf_init(&image, FILE_BYTES_MAX);
    enum med_code code = MED_OK;
    if (node->loaded) {
        if (!surviving_bytes(f, node, &image)) code = no_memory(err);
    } else { /* never touched through the seam: as it is now */
        char real[MED_PATH_MAX];
        code = real_path(f, node, real, err);
        if (code == MED_OK) code = med_read_file(real, &image, err);
    }
    if (code == MED_OK) code = med_buf_status(&image, err);
    if (code == MED_OK) code = write_image(path, &image, err);
    med_buf_free(&image);
    return code;
}

/* Makes nodes of everything in the real folder that no operation has mentioned. */
static enum med_code adopt_strangers(struct med_faulty_fs *f, struct node *dir, struct med_err *err)
{
    if (!dir->parent && dir != f->root) return MED_OK; /* removed */
    char path[MED_PATH_MAX];
    enum med_code code = real_path(f, dir, path, err);
    if (code != MED_OK) return code;
    DIR *stream = opendir(path);
    if (!stream) return MED_OK; /* made and lost in flight */
    for (struct dirent *d; code == MED_OK && (d = readdir(stream));) {
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0) continue;
        struct node *node;
        code = lookup(f, dir, d->d_name, &node, err);
    }
    closedir(stream);
    return code;
}

struct pending {
    struct node *dir;
    char *path;
};

struct work {
    struct pending *items;
    size_t count, cap;
};

static bool work_add(struct work *work, struct node *dir, const char *path)
{
    if (!med_grow(&work->items, &work->cap, work->count + 1, sizeof *work->items)) return false;
    char *copy = med_strndup(path, strlen(path));
    if (!copy) return false;
    work->items[work->count++] = (struct pending){.dir = dir, .path = copy};
    return true;
}

static enum med_code materialize_folder(struct med_faulty_fs *f, struct node *dir, const char *path,
    struct work *work, struct med_err *err)
{
    struct entries entries = {0};
    enum med_code code = posix_ops()->mkdir(med_fs_posix(), path, err);
    if (code == MED_OK && !surviving_entries(f, dir, &entries)) code = no_memory(err);
    for (size_t i = 0; code == MED_OK && i < entries.count; i++) {
        struct node *node = entries.items[i].node;
        char child[MED_PATH_MAX];
        code = med_path_join(child, path, entries.items[i].name, err);
        if (code != MED_OK) break;
        if (!node->folder)
            code = materialize_file(f, node, child, err);
        else if (!work_add(work, node, child))
            code = no_memory(err);
    }
    entries_free(&entries);
    return code;
}

enum med_code med_faulty_fs_materialize(
    struct med_faulty_fs *f, const char *dir, struct med_err *err)
{
    pthread_mutex_lock(&f->lock);
    enum med_code code = MED_OK;
    for (size_t i = 0; code == MED_OK && i < f->node_count; i++) { /* the list grows meanwhile */
        if (f->nodes[i]->folder) code = adopt_strangers(f, f->nodes[i], err);
    }
    draw_cuts(f);
    struct work work = {0};
    if (code == MED_OK && !work_add(&work, f->root, dir)) code = no_memory(err);
    while (code == MED_OK && work.count > 0) {
        struct pending next = work.items[--work.count];
        code = materialize_folder(f, next.dir, next.path, &work, err);
        med_free(next.path);
    }
    while (work.count > 0) med_free(work.items[--work.count].path);
    med_free(work.items);
    return unlock(f, code);
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
        entries_free(&node->baseline);
        entries_free(&node->now);
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

/* What is left after a loss of power: draws a prefix of the log for every folder and, for every
 * file, how much of what was written since its last sync has arrived; then writes the outcome into
 * a new folder. */
#include "common/mem.h"
#include "tests/support/faulty_fs_internal.h"

#include <assert.h>
#include <dirent.h>
#include <string.h>

#define SECTOR_BYTES 512u

static enum med_code no_memory(struct med_err *err)
{
    return med_fail(err, MED_E_NOMEM, "out of memory drawing what is left after a crash");
}

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
        if (!med_faulty_entry_set(ret_entries, entry->name, entry->node)) return false;
    }
    for (size_t i = 0; i < dir->cut; i++) {
        const struct dir_op *op = &f->log[i];
        if (op->from_dir == dir) med_faulty_entry_clear(ret_entries, op->from);
        if (op->to_dir == dir && !med_faulty_entry_set(ret_entries, op->to, op->node)) return false;
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
            if (!med_faulty_extend(image, at + len)) return false;
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
    if (ok && med_rng_below(&f->rng, 2)) ok = med_faulty_extend(image, size);
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
        if (!med_faulty_apply(image, &node->changes[i])) return false;
    }
    return true;
}

static enum med_code write_image(const char *path, const struct med_buf *image, struct med_err *err)
{
    struct med_file *file;
    enum med_code code = med_fs_posix()->ops->create(med_fs_posix(), path, &file, err);
    if (code != MED_OK) return code;
    code = med_fs_posix()->ops->write(file, image->data, image->len, 0, err);
    enum med_code closed = med_fs_posix()->ops->close(file, code == MED_OK ? err : NULL);
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
        code = med_faulty_real_path(f, node, real, err);
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
    enum med_code code = med_faulty_real_path(f, dir, path, err);
    if (code != MED_OK) return code;
    DIR *stream = opendir(path);
    if (!stream) return MED_OK; /* made and lost in flight */
    for (struct dirent *d; code == MED_OK && (d = readdir(stream));) {
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0) continue;
        struct node *node;
        code = med_faulty_lookup(f, dir, d->d_name, &node, err);
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
    enum med_code code = med_fs_posix()->ops->mkdir(med_fs_posix(), path, err);
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
    med_faulty_entries_free(&entries);
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
    pthread_mutex_unlock(&f->lock);
    return code;
}

/* Pins, and what must respect them: listing and pruning.
 *
 * A pin is a shared flock on a generation's MANIFEST. Prune takes the lock exclusively, looks at
 * CURRENT once more, and removes the MANIFEST while it holds the lock. A reader that opened the
 * file just before finds it unlinked once it has its own lock and starts again; one that has the
 * lock keeps prune away. Segments go after that, when no manifest that is left names them: those of
 * pinned generations do. flock belongs to the open file, so pins of one process count against its
 * own prune too. */
#include "index/data_folder.h"

#include "common/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIN_ATTEMPTS_MAX 1000
#define PIN_ARENA_BYTES_MAX (128 * MED_MIB)

struct med_pin {
    const struct med_data *data;
    struct med_arena *arena;
    const struct med_manifest *manifest;
    int fd; /* -1: nothing is locked */
};

static bool locks_unsupported(int errnum)
{
    return errnum == ENOLCK || errnum == EOPNOTSUPP || errnum == ENOSYS || errnum == EINVAL;
}

/* 0, or an error number. EWOULDBLOCK only with LOCK_NB. */
static int lock(int fd, int how)
{
    int rc;
    do rc = flock(fd, how);
    while (rc != 0 && errno == EINTR);
    return rc == 0 ? 0 : errno;
}

static bool is_unlinked(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && st.st_nlink == 0;
}

/* One attempt. MED_E_CONFLICT: the generation was pruned, or another became current, meanwhile. */
static enum med_code try_pin(
    const struct med_data *data, uint64_t number, bool follow, int *ret_fd, struct med_err *err)
{
    char path[MED_PATH_MAX];
    uint64_t now;
    enum med_code code = generation_path(data, number, "MANIFEST", path, err);
    if (code != MED_OK) return code;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno != ENOENT) return med_fail_errno(err, errno, "cannot open %s", path);
    if (fd >= 0) {
        int errnum = lock(fd, LOCK_SH);
        if (errnum != 0 && !locks_unsupported(errnum)) {
            close(fd);
            return med_fail_errno(err, errnum, "cannot lock %s", path);
        }
    }
    bool gone = fd < 0 || is_unlinked(fd);
    code = follow ? med_generation_current(data, &now, err) : MED_OK;
    if (code == MED_OK && follow && now != number) {
        code = MED_E_CONFLICT;
    } else if (code == MED_OK && gone) {
        code = follow ? med_fail(err, MED_E_CORRUPT,
                            "CURRENT names generation %" PRIu64
                            ", which is not there: activate another one",
                            number)
                      : med_fail(err, MED_E_NOT_FOUND, "there is no generation %" PRIu64, number);
    }
    if (code != MED_OK) {
        if (fd >= 0) close(fd);
        return code;
    }
    *ret_fd = fd;
    return MED_OK;
}

enum med_code med_generation_pin(
    struct med_data *data, uint64_t number, struct med_pin **ret_pin, struct med_err *err)
{
    int fd = -1;
    uint64_t wanted = number;
    enum med_code code = MED_E_CONFLICT;
    for (int attempt = 0; code == MED_E_CONFLICT && attempt < PIN_ATTEMPTS_MAX; attempt++) {
        code = number ? MED_OK : med_generation_current(data, &wanted, err);
        if (code == MED_OK) code = try_pin(data, wanted, number == 0, &fd, err);
    }
    if (code == MED_E_CONFLICT)
        return med_fail(err, MED_E_BUSY, "generations change faster than one can be opened");
    if (code != MED_OK) return code;
    struct med_pin *pin = med_calloc(1, sizeof *pin);
    if (!pin) {
        close(fd);
        return med_fail(err, MED_E_NOMEM, "out of memory");
    }
    pin->data = data;
    pin->fd = fd;
    code = med_arena_new(PIN_ARENA_BYTES_MAX, &pin->arena, err);
    struct med_manifest *manifest;
    if (code == MED_OK) code = manifest_read(data, wanted, pin->arena, &manifest, err);
    if (code != MED_OK) {
        med_pin_release(&pin);
        return code;
    }
    pin->manifest = manifest;
    *ret_pin = pin;
    return MED_OK;
}

enum med_code med_generation_pin_staged(struct med_data *data, const struct med_manifest *manifest,
    struct med_pin **ret_pin, struct med_err *err)
{
    struct med_pin *pin = med_calloc(1, sizeof *pin);
    if (!pin) return med_fail(err, MED_E_NOMEM, "out of memory");
    *pin = (struct med_pin){.data = data, .manifest = manifest, .fd = -1};
    *ret_pin = pin;
    return MED_OK;
}

void med_pin_release(struct med_pin **pin)
{
    if (!*pin) return;
    if ((*pin)->fd >= 0) close((*pin)->fd);
    med_arena_free(&(*pin)->arena);
    med_free(*pin);
    *pin = NULL;
}

const struct med_manifest *med_pin_manifest(const struct med_pin *pin)
{
    return pin->manifest;
}

enum med_code med_pin_map(const struct med_pin *pin, const struct med_segment_ref *segment,
    const char *file, bool verify, struct med_map *ret_map, struct med_err *err)
{
    const struct med_manifest *m = pin->manifest;
    const struct med_file_ref *files = segment ? segment->files : m->encoder_files, *ref = NULL;
    size_t count = segment ? segment->file_count : m->encoder_file_count;
    for (size_t i = 0; i < count && !ref; i++) {
        if (strcmp(files[i].name, file) == 0) ref = &files[i];
    }
    const char *folder = segment ? "segments" : "encoders",
               *id = segment ? segment->id : m->encoder_id;
    if (!ref) {
        return med_fail(err, MED_E_NOT_FOUND, "generation %" PRIu64 " has no file %s/%s/%s",
            m->number, folder, id, file);
    }
    char path[MED_PATH_MAX];
    enum med_code code = data_path(pin->data, folder, id, file, path, err);
    return code == MED_OK ? map_checked(path, ref, verify, ret_map, err) : code;
}

/* A file of the generation itself. */
static enum med_code map_part(const struct med_pin *pin, const struct med_file_ref *ref,
    bool verify, struct med_map *ret_map, struct med_err *err)
{
    char path[MED_PATH_MAX];
    *ret_map = (struct med_map){0};
    if (!ref->name[0]) return MED_OK;
    enum med_code code = generation_path(pin->data, pin->manifest->number, ref->name, path, err);
    return code == MED_OK ? map_checked(path, ref, verify, ret_map, err) : code;
}

enum med_code med_pin_map_overlay(
    const struct med_pin *pin, bool verify, struct med_map *ret_map, struct med_err *err)
{
    return map_part(pin, &pin->manifest->overlay, verify, ret_map, err);
}

enum med_code med_pin_map_thesaurus(
    const struct med_pin *pin, bool verify, struct med_map *ret_map, struct med_err *err)
{
    return map_part(pin, &pin->manifest->thesaurus, verify, ret_map, err);
}

enum med_code med_pin_map_patch(const struct med_pin *pin, const struct med_segment_ref *segment,
    bool verify, struct med_map *ret_map, struct med_err *err)
{
    return map_part(pin, &segment->patch, verify, ret_map, err);
}

/* --- listing --- */

/* Takes the generation exclusively. MED_E_BUSY: pinned; MED_E_NOT_FOUND: it has no manifest. */
static enum med_code lock_exclusive(
    const struct med_data *data, uint64_t number, int *ret_fd, struct med_err *err)
{
    char path[MED_PATH_MAX];
    enum med_code code = generation_path(data, number, "MANIFEST", path, err);
    if (code != MED_OK) return code;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return med_fail_errno(err, errno, "cannot open %s", path);
    int errnum = lock(fd, LOCK_EX | LOCK_NB);
    if (errnum == 0) {
        *ret_fd = fd;
        return MED_OK;
    }
    close(fd);
    if (errnum == EWOULDBLOCK)
        return med_fail(err, MED_E_BUSY, "generation %" PRIu64 " is in use", number);
    return med_fail_errno(err, errnum, "cannot lock %s", path);
}

static enum med_code describe(struct med_data *data, uint64_t number, uint64_t current,
    struct med_generation_info *ret_info, struct med_err *err)
{
    struct med_arena *arena;
    struct med_manifest *m;
    int fd;
    struct med_generation_info info = {.number = number, .current = number == current};
    enum med_code code = med_arena_new(PIN_ARENA_BYTES_MAX, &arena, err);
    if (code != MED_OK) return code;
    code = manifest_read(data, number, arena, &m, err);
    if (code == MED_OK) {
        info.created_unix_s = m->created_unix_s;
        info.doc_count = m->doc_count;
        info.segment_count = m->segment_count;
        memcpy(info.encoder_id, m->encoder_id, sizeof info.encoder_id);
        info.chunk_count = med_manifest_chunk_count(m);
        for (size_t i = 0; i < m->segment_count; i++) {
            info.bytes += m->segments[i].patch.size;
            for (size_t k = 0; k < m->segments[i].file_count; k++)
                info.bytes += m->segments[i].files[k].size;
        }
        for (size_t k = 0; k < m->encoder_file_count; k++) info.bytes += m->encoder_files[k].size;
        info.bytes += m->overlay.size + m->thesaurus.size;
    }
    med_arena_free(&arena);
    if (code == MED_E_CORRUPT || code == MED_E_UNSUPPORTED) code = MED_OK; /* listed with zeros */
    if (code != MED_OK) return code;
    code = lock_exclusive(data, number, &fd, err);
    info.pinned = code == MED_E_BUSY;
    if (code == MED_OK) close(fd);
    *ret_info = info;
    return MED_OK;
}

enum med_code med_generation_list(struct med_data *data, struct med_arena *arena,
    struct med_generation_info **ret_list, size_t *ret_count, struct med_err *err)
{
    uint64_t *numbers, current = 0;
    size_t count, described = 0;
    if (med_generation_current(data, &current, NULL) != MED_OK) current = 0;
    enum med_code code = generation_numbers(data, arena, &numbers, &count, err);
    if (code != MED_OK) return code;
    struct med_generation_info *list = med_arena_calloc(arena, count, sizeof *list);
    if (!list) return med_fail(err, MED_E_NOMEM, "out of memory");
    for (size_t i = count; i > 0; i--) {
        code = describe(data, numbers[i - 1], current, &list[described], err);
        if (code == MED_OK)
            described++;
        else if (code != MED_E_NOT_FOUND) /* pruned meanwhile, or never finished */
            return code;
    }
    *ret_list = list;
    *ret_count = described;
    return MED_OK;
}

/* --- pruning --- */

/* Removes one generation unless it is pinned or current. */
static enum med_code remove_generation(
    struct med_data *data, uint64_t number, bool *ret_removed, struct med_err *err)
{
    char path[MED_PATH_MAX], dir[MED_PATH_MAX];
    uint64_t current;
    int fd;
    *ret_removed = false;
    enum med_code code = generation_path(data, number, "MANIFEST", path, err);
    if (code == MED_OK) code = generation_path(data, number, NULL, dir, err);
    if (code == MED_OK) code = lock_exclusive(data, number, &fd, err);
    if (code == MED_E_BUSY || code == MED_E_NOT_FOUND) return MED_OK;
    if (code != MED_OK) return code;
    /* Under the lock: an activation holds a pin until CURRENT is written. */
    code = med_generation_current(data, &current, err);
    if (code == MED_OK && current != number) {
        code = data->fs->ops->unlink(data->fs, path, err);
        if (code == MED_OK) code = data->fs->ops->sync_dir(data->fs, dir, err);
        *ret_removed = code == MED_OK;
    }
    close(fd);
    return *ret_removed ? med_fs_remove_tree(data->fs, dir, err) : code;
}

enum med_code med_generation_prune(
    struct med_data *data, size_t keep, uint64_t *ret_removed, struct med_err *err)
{
    struct med_arena *arena;
    uint64_t *numbers, current, removed = 0;
    size_t count;
    enum med_code code = med_generation_current(data, &current, err);
    if (code == MED_OK) code = med_arena_new(PIN_ARENA_BYTES_MAX, &arena, err);
    if (code != MED_OK) return code;
    code = generation_numbers(data, arena, &numbers, &count, err);
    for (size_t i = 0; code == MED_OK && i < count && count - i > keep; i++) {
        bool gone;
        if (numbers[i] == current) continue;
        code = remove_generation(data, numbers[i], &gone, err);
        removed += gone;
    }
    med_arena_free(&arena);
    if (code == MED_OK) code = sweep_unnamed(data, true, err);
    if (code == MED_OK) *ret_removed = removed;
    return code;
}

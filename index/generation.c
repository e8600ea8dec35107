/* Publishing: verification, the durable manifest, and CURRENT.
 *
 * Order of a publish: files of segments were synced by their writers; then the folders that hold
 * them, the overlay with its folder, the manifest (temporary name, sync, rename, sync of its
 * folder), generations/, and at last CURRENT. Until the rename of CURRENT is durable the old
 * generation serves; what was written before is swept by the next build.
 *
 * CURRENT is one line: the number, a space, the XXH3-64 of the number's digits in hex.
 *
 * Locks, in this order: build.lock (the caller's), a generation's MANIFEST, current.lock (around
 * each rename of CURRENT, because an activation does not take the build lock). */
#include "index/data_folder.h"

#include "common/clock.h"
#include "common/parallel.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define VERIFY_THREADS_MAX 4u
#define VERIFY_PIECE_BYTES ((size_t)8 << 20)
#define PUBLISH_ARENA_BYTES_MAX (64 * MED_MIB)
#define CURRENT_BYTES_MAX 256
#define PATCH_PREFIX "patch-"

/* --- CURRENT --- */

static int current_text(uint64_t number, char ret_text[CURRENT_BYTES_MAX])
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%" PRIu64, number);
    return snprintf(ret_text, CURRENT_BYTES_MAX, "%s %016" PRIx64 "\n", digits,
        med_hash64(digits, (size_t)len));
}

enum med_code med_generation_current(
    const struct med_data *data, uint64_t *ret_number, struct med_err *err)
{
    char path[MED_PATH_MAX], expected[CURRENT_BYTES_MAX];
    struct med_buf buf;
    unsigned long long number;
    enum med_code code = data_path(data, "CURRENT", NULL, NULL, path, err);
    if (code != MED_OK) return code;
    med_buf_init(&buf, CURRENT_BYTES_MAX);
    code = med_read_file(path, &buf, err);
    if (code == MED_E_NOT_FOUND) {
        code = med_fail(err, MED_E_NO_INDEX,
            "nothing is published in %s yet: `medicus build --data %s` does it", data->path,
            data->path);
    }
    if (code == MED_OK || code == MED_E_LIMIT) {
        struct med_str text = med_buf_str(&buf);
        const char *space = text.len > 0 ? memchr(text.ptr, ' ', text.len) : NULL;
        struct med_str digits = {.ptr = text.ptr, .len = space ? (size_t)(space - text.ptr) : 0};
        bool ok = code == MED_OK && space && med_str_to_u64(digits, &number) && number > 0;
        if (ok) {
            int len = current_text(number, expected);
            ok = med_str_eq(text, (struct med_str){.ptr = expected, .len = (size_t)len});
        }
        code = ok ? MED_OK
                  : med_fail(err, MED_E_CORRUPT,
                        "%s is damaged: `medicus generations --data %s activate N` repairs it",
                        path, data->path);
    }
    med_buf_free(&buf);
    if (code == MED_OK) *ret_number = number;
    return code;
}

static enum med_code write_current(struct med_data *data, uint64_t number, struct med_err *err)
{
    char path[MED_PATH_MAX], text[CURRENT_BYTES_MAX];
    enum med_code code = data_path(data, "CURRENT", NULL, NULL, path, err);
    if (code != MED_OK) return code;
    int len = current_text(number, text);
    return med_fs_replace(data->fs, path, text, (size_t)len, err);
}

/* After a failure: puts the old number back when the rename had been done already. True when
 * CURRENT names the old generation for certain, also after a loss of power. */
static bool switch_back(struct med_data *data, uint64_t before, uint64_t number)
{
    char path[MED_PATH_MAX];
    uint64_t now;
    if (med_generation_current(data, &now, NULL) != MED_OK || now != number) return true;
    if (before == number) return true;
    if (before != 0) return write_current(data, before, NULL) == MED_OK;
    return data_path(data, "CURRENT", NULL, NULL, path, NULL) == MED_OK &&
           data->fs->ops->unlink(data->fs, path, NULL) == MED_OK &&
           data->fs->ops->sync_dir(data->fs, data->path, NULL) == MED_OK;
}

/* The commit point. *ret_unchanged (also on failure): see switch_back. */
static enum med_code switch_current(
    struct med_data *data, uint64_t number, bool *ret_unchanged, struct med_err *err)
{
    char path[MED_PATH_MAX];
    int fd;
    uint64_t before = 0;
    *ret_unchanged = true;
    enum med_code code = data_path(data, "current.lock", NULL, NULL, path, err);
    if (code == MED_OK) code = lock_file(path, true, &fd, err);
    if (code != MED_OK) return code;
    if (med_generation_current(data, &before, NULL) != MED_OK) before = 0;
    code = write_current(data, number, err);
    *ret_unchanged = code != MED_OK && switch_back(data, before, number);
    if (code != MED_OK && !*ret_unchanged) {
        med_err_prefix(
            err, "whether generation %" PRIu64 " is now the current one is not certain", number);
    }
    close(fd);
    return code;
}

/* --- verification --- */

struct verify_file {
    const struct med_file_ref *ref;
    const char *folder, *id;
    bool checksum; /* otherwise only the size */
};

struct verify {
    struct med_data *data;
    struct verify_file *files;
    size_t count, cap;
    uint64_t bytes_total;
    const struct med_progress *progress;
    _Atomic uint64_t bytes_done;
};

enum med_code map_checked(const char *path, const struct med_file_ref *ref, bool checksum,
    struct med_map *ret_map, struct med_err *err)
{
    struct med_map map;
    enum med_code code = med_map_open(path, &map, err);
    if (code == MED_E_NOT_FOUND) return med_fail(err, MED_E_CORRUPT, "%s is missing", path);
    if (code != MED_OK) return code;
    if (map.len != ref->size) {
        code = med_fail(
            err, MED_E_CORRUPT, "%s has %zu bytes instead of %" PRIu64, path, map.len, ref->size);
    } else if (checksum && !med_hash128_eq(med_hash128(map.ptr, map.len), ref->hash)) {
        code = med_fail(err, MED_E_CORRUPT, "%s fails its checksum", path);
    }
    if (code != MED_OK) {
        med_map_close(&map);
        return code;
    }
    *ret_map = map;
    return MED_OK;
}

/* Reads a map piece by piece, so that long files show progress and can be stopped. */
static enum med_code hash_map(struct verify *v, unsigned worker, const struct med_map *map,
    struct med_hash128 *ret_hash, struct med_err *err)
{
    struct med_hasher *hasher = med_hasher_new();
    if (!hasher) return med_fail(err, MED_E_NOMEM, "out of memory");
    enum med_code code = MED_OK;
    if (map->len > 0) madvise((void *)(uintptr_t)map->ptr, map->len, MADV_SEQUENTIAL);
    for (size_t at = 0; code == MED_OK && at < map->len;) {
        size_t len = map->len - at < VERIFY_PIECE_BYTES ? map->len - at : VERIFY_PIECE_BYTES;
        med_hasher_update(hasher, map->ptr + at, len);
        at += len;
        uint64_t done = atomic_fetch_add(&v->bytes_done, len) + len;
        /* Progress is told by the thread that started the work, which is worker 0. */
        if (worker == 0 && !med_progress(v->progress, "verify", done, v->bytes_total, "bytes")) {
            code = med_fail(err, MED_E_CANCELLED, "verification was stopped");
        }
    }
    *ret_hash = med_hasher_digest(hasher);
    med_hasher_free(&hasher);
    return code;
}

static enum med_code verify_one(
    struct verify *v, unsigned worker, const struct verify_file *file, struct med_err *err)
{
    char path[MED_PATH_MAX];
    struct med_map map;
    struct med_hash128 hash;
    enum med_code code = data_path(v->data, file->folder, file->id, file->ref->name, path, err);
    if (code == MED_OK) code = map_checked(path, file->ref, false, &map, err);
    if (code != MED_OK || !file->checksum) {
        if (code == MED_OK) med_map_close(&map);
        return code;
    }
    code = hash_map(v, worker, &map, &hash, err);
    med_map_close(&map);
    if (code == MED_OK && !med_hash128_eq(hash, file->ref->hash)) {
        code = med_fail(err, MED_E_CORRUPT, "%s fails its checksum", path);
    }
    return code;
}

static enum med_code verify_range(
    void *ctx, unsigned worker, uint64_t begin, uint64_t end, struct med_err *err)
{
    struct verify *v = ctx;
    enum med_code code = MED_OK;
    for (uint64_t i = begin; code == MED_OK && i < end; i++)
        code = verify_one(v, worker, &v->files[i], err);
    return code;
}

static bool has_file(const struct med_file_ref *files, size_t count, const struct med_file_ref *ref)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(files[i].name, ref->name) == 0) {
            return files[i].size == ref->size && med_hash128_eq(files[i].hash, ref->hash);
        }
    }
    return false;
}

static void add_files(struct verify *v, const char *folder, const char *id,
    const struct med_file_ref *files, size_t count, const struct med_file_ref *known,
    size_t known_count)
{
    for (size_t i = 0; i < count; i++) {
        bool checksum = !has_file(known, known_count, &files[i]);
        v->files[v->count++] = (struct verify_file){
            .ref = &files[i], .folder = folder, .id = id, .checksum = checksum};
        if (checksum) v->bytes_total += files[i].size;
    }
}

enum med_code manifest_verify_new(struct med_data *data, const struct med_manifest *m,
    const struct med_manifest *known, const struct med_progress *progress, struct med_err *err)
{
    struct verify v = {.data = data, .progress = progress};
    struct med_arena *arena;
    enum med_code code = med_arena_new(PUBLISH_ARENA_BYTES_MAX, &arena, err);
    if (code != MED_OK) return code;
    size_t count = m->encoder_file_count + 2; /* and the generation's own two */
    for (size_t i = 0; i < m->segment_count; i++)
        count += m->segments[i].file_count + 1; /* and its patch */
    v.files = med_arena_calloc(arena, count, sizeof *v.files);
    if (!v.files) {
        med_arena_free(&arena);
        return med_fail(err, MED_E_NOMEM, "out of memory for %zu files", count);
    }
    for (size_t i = 0; i < m->segment_count; i++) {
        const struct med_segment_ref *s = &m->segments[i], *same = NULL;
        for (size_t k = 0; known && k < known->segment_count; k++) {
            if (strcmp(known->segments[k].id, s->id) == 0) same = &known->segments[k];
        }
        add_files(&v, "segments", s->id, s->files, s->file_count, same ? same->files : NULL,
            same ? same->file_count : 0);
    }
    bool same_encoder = known && strcmp(known->encoder_id, m->encoder_id) == 0;
    if (m->encoder_id[0]) {
        add_files(&v, "encoders", m->encoder_id, m->encoder_files, m->encoder_file_count,
            same_encoder ? known->encoder_files : NULL,
            same_encoder ? known->encoder_file_count : 0);
    }
    char number[24];
    snprintf(number, sizeof number, "%" PRIu64, m->number);
    for (size_t i = 0; i < m->segment_count; i++) {
        if (m->segments[i].patch.name[0])
            add_files(&v, "generations", number, &m->segments[i].patch, 1, NULL, 0);
    }
    if (m->overlay.name[0]) add_files(&v, "generations", number, &m->overlay, 1, NULL, 0);
    if (m->thesaurus.name[0]) add_files(&v, "generations", number, &m->thesaurus, 1, NULL, 0);
    unsigned threads = med_cpu_count() < VERIFY_THREADS_MAX ? med_cpu_count() : VERIFY_THREADS_MAX;
    code = med_parallel_for(threads, v.count, 1, verify_range, &v, err);
    med_arena_free(&arena);
    return code;
}

enum med_code med_manifest_verify(struct med_data *data, const struct med_manifest *manifest,
    const struct med_progress *progress, struct med_err *err)
{
    return manifest_verify_new(data, manifest, NULL, progress, err);
}

/* --- publishing --- */

static enum med_code sync_folder(
    struct med_data *data, const char *folder, const char *name, struct med_err *err)
{
    char path[MED_PATH_MAX];
    enum med_code code = data_path(data, folder, name, NULL, path, err);
    return code == MED_OK ? data->fs->ops->sync_dir(data->fs, path, err) : code;
}

static enum med_code sync_parts(
    struct med_data *data, const struct med_manifest *m, struct med_err *err)
{
    enum med_code code = MED_OK;
    for (size_t i = 0; code == MED_OK && i < m->segment_count; i++) {
        code = sync_folder(data, "segments", m->segments[i].id, err);
    }
    if (code == MED_OK) code = sync_folder(data, "segments", NULL, err);
    if (code == MED_OK && m->encoder_id[0]) {
        code = sync_folder(data, "encoders", m->encoder_id, err);
        if (code == MED_OK) code = sync_folder(data, "encoders", NULL, err);
    }
    return code;
}

static enum med_code next_number(
    struct med_data *data, struct med_arena *arena, uint64_t *ret_number, struct med_err *err)
{
    uint64_t *numbers, current, last = 0;
    size_t count;
    enum med_code code = generation_numbers(data, arena, &numbers, &count, err);
    if (code != MED_OK) return code;
    if (count > 0) last = numbers[count - 1];
    if (med_generation_current(data, &current, NULL) == MED_OK && current > last) last = current;
    *ret_number = last + 1;
    return MED_OK;
}

/* A file of the generation itself; without bytes there is none. Durable with its name before there
 * is a MANIFEST: a generation that has one has all its files. */
static enum med_code write_part(struct med_data *data, uint64_t number, const char *name,
    struct med_str bytes, struct med_file_ref *ret_ref, struct med_err *err)
{
    char path[MED_PATH_MAX], dir[MED_PATH_MAX];
    struct med_file *file;
    struct med_file_ref ref = {0};
    *ret_ref = ref;
    if (bytes.len == 0) return MED_OK;
    snprintf(ref.name, sizeof ref.name, "%s", name);
    enum med_code code = generation_path(data, number, name, path, err);
    if (code == MED_OK) code = generation_path(data, number, NULL, dir, err);
    if (code == MED_OK) code = med_file_create(data->fs, path, &file, err);
    if (code != MED_OK) return code;
    code = med_file_append(file, bytes.ptr, bytes.len, err);
    if (code != MED_OK) {
        med_file_discard(&file);
        return code;
    }
    code = med_file_finish(&file, &ref.size, &ref.hash, err);
    if (code == MED_OK) code = data->fs->ops->sync_dir(data->fs, dir, err);
    if (code == MED_OK) *ret_ref = ref;
    return code;
}

/* The patches of segments; the manifest's list of segments is the publisher's own copy. */
static enum med_code write_patches(
    struct med_data *data, struct med_manifest *m, struct med_err *err)
{
    enum med_code code = MED_OK;
    for (size_t i = 0; code == MED_OK && i < m->segment_count; i++) {
        char name[sizeof m->segments[i].patch.name];
        struct med_segment_ref *s = &m->segments[i];
        snprintf(name, sizeof name, "%s%s", PATCH_PREFIX, s->id);
        code = write_part(data, m->number, name, s->patch_bytes, &s->patch, err);
    }
    return code;
}

static enum med_code write_parts(struct med_data *data, struct med_manifest *m, struct med_err *err)
{
    char dir[MED_PATH_MAX];
    enum med_code code = generation_path(data, m->number, NULL, dir, err);
    if (code == MED_OK) code = med_fs_mkdir_all(data->fs, dir, err);
    if (code == MED_OK)
        code = write_part(data, m->number, "overlay", m->overlay_bytes, &m->overlay, err);
    if (code == MED_OK)
        code = write_part(data, m->number, "thesaurus", m->thesaurus_bytes, &m->thesaurus, err);
    if (code == MED_OK) code = write_patches(data, m, err);
    return code;
}

static enum med_code write_manifest(
    struct med_data *data, const struct med_manifest *m, struct med_err *err)
{
    char path[MED_PATH_MAX];
    struct med_buf buf;
    med_buf_init(&buf, MANIFEST_BYTES_MAX);
    enum med_code code = generation_path(data, m->number, "MANIFEST", path, err);
    if (code == MED_OK) code = med_manifest_write(m, &buf, err);
    if (code == MED_OK) code = med_fs_replace(data->fs, path, buf.data, buf.len, err);
    if (code == MED_OK) code = sync_folder(data, "generations", NULL, err);
    med_buf_free(&buf);
    return code;
}

/* After a failure. A second one leaves it to the next sweep. */
static void remove_unpublished(struct med_data *data, uint64_t number)
{
    char dir[MED_PATH_MAX];
    enum med_code code = generation_path(data, number, NULL, dir, NULL);
    if (code == MED_OK) code = med_fs_remove_tree(data->fs, dir, NULL);
    (void)code;
}

/* What the old patches were says nothing about the new generation. */
static enum med_code copy_segments(
    struct med_manifest *m, struct med_arena *arena, struct med_err *err)
{
    struct med_segment_ref *own = med_arena_calloc(arena, m->segment_count + 1, sizeof *own);
    if (!own) return med_fail(err, MED_E_NOMEM, "out of memory for %zu segments", m->segment_count);
    for (size_t i = 0; i < m->segment_count; i++) {
        own[i] = m->segments[i];
        own[i].patch = (struct med_file_ref){0};
    }
    m->segments = own;
    return MED_OK;
}

enum med_code med_generation_publish(struct med_data *data, struct med_manifest *manifest,
    const struct med_progress *progress, struct med_err *err)
{
    return med_generation_publish_checked(data, manifest, NULL, NULL, progress, err);
}

enum med_code med_generation_publish_checked(struct med_data *data, struct med_manifest *manifest,
    med_publish_check check, void *ctx, const struct med_progress *progress, struct med_err *err)
{
    struct med_manifest m = *manifest;
    m.overlay = m.thesaurus = (struct med_file_ref){0}; /* written below */
    struct med_manifest *known = NULL;
    struct med_arena *arena;
    uint64_t current;
    enum med_code code = med_arena_new(PUBLISH_ARENA_BYTES_MAX, &arena, err);
    if (code != MED_OK) return code;
    code = copy_segments(&m, arena, err);
    /* What the serving generation uses was read whole when it was published. */
    if (med_generation_current(data, &current, NULL) != MED_OK ||
        manifest_read(data, current, arena, &known, NULL) != MED_OK) {
        known = NULL;
    }
    if (code == MED_OK) code = next_number(data, arena, &m.number, err);
    if (code == MED_OK && m.created_unix_s == 0) m.created_unix_s = med_unix_time_s();
    if (code == MED_OK) code = manifest_verify_new(data, &m, known, progress, err);
    if (code == MED_OK) code = sync_parts(data, &m, err);
    if (code == MED_OK) {
        bool unchanged = true;
        code = write_parts(data, &m, err);
        if (code == MED_OK && check) code = check(ctx, &m, err);
        if (code == MED_OK) code = write_manifest(data, &m, err);
        if (code == MED_OK) code = switch_current(data, m.number, &unchanged, err);
        if (code != MED_OK && unchanged) remove_unpublished(data, m.number);
    }
    for (size_t i = 0; code == MED_OK && i < m.segment_count; i++)
        manifest->segments[i].patch = m.segments[i].patch;
    med_arena_free(&arena);
    if (code != MED_OK) return code;
    manifest->overlay = m.overlay;
    manifest->thesaurus = m.thesaurus;
    manifest->number = m.number;
    manifest->created_unix_s = m.created_unix_s;
    return MED_OK;
}

enum med_code med_generation_activate(struct med_data *data, uint64_t number, struct med_err *err)
{
    struct med_pin *pin;
    if (number == 0) return med_fail(err, MED_E_USAGE, "generations are counted from 1");
    /* The pin keeps prune away until CURRENT names the generation. */
    enum med_code code = med_generation_pin(data, number, &pin, err);
    if (code != MED_OK) return code;
    code = med_manifest_verify(data, med_pin_manifest(pin), NULL, err);
    bool unchanged;
    if (code == MED_OK) code = switch_current(data, number, &unchanged, err);
    med_pin_release(&pin);
    return code;
}

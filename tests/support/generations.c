#include "tests/support/generations.h"

#include "common/mem.h"
#include "common/rng.h"
#include "index/data_folder.h"

#include <stdio.h>

#define FILE_BYTES_MAX 3000

/* The number, then random bytes of a length that also follows from it. */
static size_t fill(uint64_t content, unsigned file, uint8_t bytes[FILE_BYTES_MAX])
{
    struct med_rng rng;
    med_rng_seed(&rng, content * 10 + file);
    size_t len = sizeof content + (size_t)med_rng_below(&rng, FILE_BYTES_MAX - sizeof content);
    memcpy(bytes, &content, sizeof content);
    for (size_t i = sizeof content; i < len; i++) bytes[i] = (uint8_t)med_rng_u64(&rng);
    return len;
}

static enum med_code write_file(const struct med_fs *fs, const char *dir, const char *name,
    uint64_t content, unsigned file, struct med_file_ref *ret_ref, struct med_err *err)
{
    char path[MED_PATH_MAX];
    uint8_t bytes[FILE_BYTES_MAX];
    size_t len = fill(content, file, bytes), half = len / 2;
    struct med_file *out;
    enum med_code code = med_path_join(path, dir, name, err);
    if (code == MED_OK) code = med_file_create(fs, path, &out, err);
    if (code != MED_OK) return code;
    code = med_file_append(out, bytes, half, err);
    if (code == MED_OK) code = med_file_append(out, bytes + half, len - half, err);
    if (code != MED_OK) {
        med_file_discard(&out);
        return code;
    }
    snprintf(ret_ref->name, sizeof ret_ref->name, "%s", name);
    return med_file_finish(&out, &ret_ref->size, &ret_ref->hash, err);
}

enum med_code test_generation_write(
    struct med_data *data, uint64_t content, struct test_generation *g, struct med_err *err)
{
    static const char *const names[TEST_GENERATION_FILES] = {"lexicon", "postings", "lengths"};
    char dir[MED_PATH_MAX];
    *g = (struct test_generation){0};
    enum med_code code = med_data_new_segment(data, g->segment.id, dir, err);
    for (unsigned i = 0; code == MED_OK && i < TEST_GENERATION_FILES; i++) {
        code = write_file(data->fs, dir, names[i], content, i, &g->files[i], err);
    }
    char id[MED_NAME_LEN + 1];
    snprintf(id, sizeof id, "encoder-%llu", (unsigned long long)content);
    if (code == MED_OK) code = med_data_new_encoder(data, id, dir, err);
    if (code == MED_OK)
        code = write_file(data->fs, dir, "weights", content, 99, &g->encoder_file, err);
    if (code != MED_OK) return code;
    g->segment.files = g->files;
    g->segment.file_count = TEST_GENERATION_FILES;
    snprintf(g->overlay, sizeof g->overlay, "overlay %llu", (unsigned long long)content);
    snprintf(g->patch, sizeof g->patch, "patch %llu", (unsigned long long)content);
    g->segment.patch_bytes = med_str_of(g->patch);
    g->segment.doc_count = 1;
    g->segment.chunk_count = 2;
    g->manifest = (struct med_manifest){.medicus_version = "0.1.0",
        .doc_count = 1,
        .segments = &g->segment,
        .segment_count = 1,
        .encoder_files = &g->encoder_file,
        .encoder_file_count = 1,
        .k1 = 0.9,
        .b = 0.4,
        .overlay_bytes = med_str_of(g->overlay),
        .notes = MED_STR("{\"stage\":[1,2,3]}")};
    memcpy(g->manifest.encoder_id, id, sizeof id);
    return MED_OK;
}

enum med_code test_generation_publish(
    struct med_data *data, uint64_t content, struct test_generation *g, struct med_err *err)
{
    enum med_code code = test_generation_write(data, content, g, err);
    return code == MED_OK ? med_generation_publish(data, &g->manifest, NULL, err) : code;
}

static bool part_is(struct med_map map, const char *name, uint64_t content)
{
    char text[32];
    int len = snprintf(text, sizeof text, "%s %llu", name, (unsigned long long)content);
    bool right = map.len == (size_t)len && memcmp(map.ptr, text, map.len) == 0;
    med_map_close(&map);
    return right;
}

/* The files of the generation itself. */
static bool parts_are(const struct med_pin *pin, uint64_t content, struct med_err *err)
{
    struct med_map map;
    const struct med_manifest *m = med_pin_manifest(pin);
    return med_pin_map_overlay(pin, true, &map, err) == MED_OK &&
           part_is(map, "overlay", content) &&
           med_pin_map_patch(pin, &m->segments[0], true, &map, err) == MED_OK &&
           part_is(map, "patch", content);
}

static bool file_is(const struct med_map *map, uint64_t content, unsigned file)
{
    uint8_t bytes[FILE_BYTES_MAX];
    size_t len = fill(content, file, bytes);
    return map->len == len && memcmp(map->ptr, bytes, len) == 0;
}

uint64_t test_generation_content(const struct med_pin *pin, struct med_err *err)
{
    const struct med_manifest *m = med_pin_manifest(pin);
    uint64_t content = 0;
    struct med_map map;
    if (m->segment_count != 1 || m->segments[0].file_count != TEST_GENERATION_FILES) return 0;
    for (unsigned i = 0; i < TEST_GENERATION_FILES; i++) {
        if (med_pin_map(pin, &m->segments[0], m->segments[0].files[i].name, true, &map, err) !=
            MED_OK)
            return 0;
        if (i == 0 && map.len >= sizeof content) memcpy(&content, map.ptr, sizeof content);
        bool right = file_is(&map, content, i);
        med_map_close(&map);
        if (!right) return 0;
    }
    if (med_pin_map(pin, NULL, "weights", true, &map, err) != MED_OK) return 0;
    bool right = file_is(&map, content, 99);
    med_map_close(&map);
    return right && parts_are(pin, content, err) ? content : 0;
}

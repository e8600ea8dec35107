/* What manifest.c, data_folder.c, generation.c and pin.c share; see generation.h. */
#pragma once

#include "common/limits.h"
#include "index/generation.h"

#define MANIFEST_BYTES_MAX (16 * MED_MIB)

struct med_data {
    const struct med_fs *fs;
    char path[MED_PATH_MAX];
};

/* med_data_open for a folder that is being restored (backup.h), which nobody else may open. */
enum med_code data_open_unfinished(const char *path, const struct med_fs *fs,
    struct med_data **ret_data, struct med_err *err) MED_CHECK;

/* An id that may be part of a path: 1..MED_NAME_LEN of [0-9a-z_-]. */
bool manifest_id_ok(const char *id);

/* <data>/<folder>/<name>/<file>; NULL ends the path early. */
enum med_code data_path(const struct med_data *data, const char *folder, const char *name,
    const char *file, char ret_path[MED_PATH_MAX], struct med_err *err) MED_CHECK;
enum med_code generation_path(const struct med_data *data, uint64_t number, const char *file,
    char ret_path[MED_PATH_MAX], struct med_err *err) MED_CHECK;

/* Numbers of the folders below generations/, ascending, in the arena. Complete ones and leavings
 * alike. */
enum med_code generation_numbers(const struct med_data *data, struct med_arena *arena,
    uint64_t **ret_numbers, size_t *ret_count, struct med_err *err) MED_CHECK;
/* The manifest of a generation, without locks. MED_E_NOT_FOUND: it has none. */
enum med_code manifest_read(const struct med_data *data, uint64_t number, struct med_arena *arena,
    struct med_manifest **ret_manifest, struct med_err *err) MED_CHECK;

/* Removes segments (and encoders, when wanted) that no manifest names. Does nothing when a manifest
 * cannot be read: what it names is not known then. Under the build lock. */
enum med_code sweep_unnamed(struct med_data *data, bool encoders, struct med_err *err) MED_CHECK;

/* Opens or makes a lock file and takes its flock. MED_E_BUSY when it is held and wait is false. */
enum med_code lock_file(const char *path, bool wait, int *ret_fd, struct med_err *err) MED_CHECK;

/* med_manifest_verify, but files that `known` (may be NULL) names with the same checksum are only
 * measured. */
enum med_code manifest_verify_new(struct med_data *data, const struct med_manifest *manifest,
    const struct med_manifest *known, const struct med_progress *progress,
    struct med_err *err) MED_CHECK;
/* Maps a file and compares its size, and its checksum when wanted. */
enum med_code map_checked(const char *path, const struct med_file_ref *ref, bool checksum,
    struct med_map *ret_map, struct med_err *err) MED_CHECK;

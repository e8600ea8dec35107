/* The files that a list of paths stands for: files as they are, folders walked in byte order of
 * names. */
#pragma once

#include "common/arena.h"

#include <stdbool.h>
#include <stdint.h>

struct med_walk_file {
    const char *path;
    uint64_t size;       /* 0 when unknown (stdin, pipes) */
    bool named;          /* by the caller, not found in a folder */
    const char *problem; /* why it will not be read, or NULL */
    enum med_code code;  /* of the problem; MED_OK for what is passed over in folders */
};

/* Everything lives in the arena. A path that cannot be read is an entry with a problem, not an
 * error. Folders reached through a link inside a folder are not entered. */
enum med_code med_walk(const char *const *paths, size_t path_count, struct med_arena *arena,
    struct med_walk_file **ret_files, size_t *ret_count, struct med_err *err) MED_CHECK;

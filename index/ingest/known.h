/* Which files were ingested before, by the store's input log: a file of the same name, size and
 * content need not be read again. */
#pragma once

#include "common/arena.h"
#include "index/store/store.h"

struct med_known {
    struct med_input_entry *entries; /* with a hash, by name */
    size_t count;
};
/* Everything lives in the arena. */
enum med_code med_known_load(struct med_store *store, struct med_arena *arena,
    struct med_known *ret_known, struct med_err *err) MED_CHECK;
/* Reads the file only where the log has one of its name and size. name is its base name. */
enum med_code med_known_has(const struct med_known *known, const char *path, struct med_str name,
    uint64_t size, bool *ret_has, struct med_err *err) MED_CHECK;

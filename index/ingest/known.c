#include "index/ingest/known.h"

#include "common/fs.h"

#include <stdlib.h>

static int by_name(const void *a, const void *b)
{
    return med_str_cmp(
        ((const struct med_input_entry *)a)->name, ((const struct med_input_entry *)b)->name);
}

enum med_code med_known_load(struct med_store *store, struct med_arena *arena,
    struct med_known *ret_known, struct med_err *err)
{
    struct med_snapshot *snapshot;
    struct med_input_entry *all;
    size_t count, kept = 0;
    enum med_code code = med_snapshot_open(store, &snapshot, err);
    if (code != MED_OK) return code;
    code = med_snapshot_inputs(snapshot, SIZE_MAX, arena, &all, &count, err);
    med_snapshot_close(&snapshot);
    if (code != MED_OK) return code;
    for (size_t i = 0; i < count; i++) {
        if (all[i].hash.lo || all[i].hash.hi) all[kept++] = all[i];
    }
    if (kept > 0) qsort(all, kept, sizeof *all, by_name);
    *ret_known = (struct med_known){.entries = all, .count = kept};
    return MED_OK;
}

/* The first entry that is not before name. */
static size_t lower_bound(const struct med_known *known, struct med_str name)
{
    size_t low = 0, high = known->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (med_str_cmp(known->entries[mid].name, name) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

enum med_code med_known_has(const struct med_known *known, const char *path, struct med_str name,
    uint64_t size, bool *ret_has, struct med_err *err)
{
    struct med_map map = {0};
    struct med_hash128 hash = {0};
    bool hashed = false;
    *ret_has = false;
    for (size_t i = lower_bound(known, name);
         i < known->count && med_str_eq(known->entries[i].name, name); i++) {
        if (known->entries[i].bytes != size) continue;
        if (!hashed) {
            enum med_code code = med_map_open(path, &map, err);
            if (code != MED_OK) return code;
            hash = med_hash128(map.ptr, map.len);
            med_map_close(&map);
            hashed = true;
        }
        if (!med_hash128_eq(hash, known->entries[i].hash)) continue;
        *ret_has = true;
        break;
    }
    return MED_OK;
}

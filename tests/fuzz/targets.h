/* What can be fuzzed: one row per parser of untrusted bytes.
 *
 * A target takes any bytes, runs the code under test and checks what must hold of every outcome:
 * an error code is fine, a crash, a leak, a broken invariant or MED_E_INTERNAL is not. A broken
 * invariant ends the process (fuzz_require), as a sanitizer would. */
#pragma once

#include "common/buf.h"

#include <stdint.h>

/* Collects inputs to start from. */
struct fuzz_pool;
void fuzz_pool_add(struct fuzz_pool *pool, const void *ptr, size_t len);

struct fuzz_target {
    const char *name;
    unsigned formats; /* bits 1 << enum med_format of the files that are good to start from */
    void (*run)(struct med_str bytes);
    /* Makes inputs out of a file of such a format (empty: out of nothing) in place of the file
     * itself. May be NULL. */
    void (*seeds)(struct fuzz_pool *pool, struct med_str source);
};

extern const struct fuzz_target fuzz_targets[];
extern const size_t fuzz_target_count;
/* targets_service.c */
void fuzz_run_keys(struct med_str bytes);
void fuzz_seeds_keys(struct fuzz_pool *pool, struct med_str source);
void fuzz_run_config(struct med_str bytes);
void fuzz_seeds_config(struct fuzz_pool *pool, struct med_str source);

/* NULL: no such target. */
const struct fuzz_target *fuzz_target_find(const char *name);

_Noreturn void fuzz_broken(const char *file, int line, const char *what);
#define fuzz_require(condition)                                                                    \
    do {                                                                                           \
        if (!(condition)) fuzz_broken(__FILE__, __LINE__, #condition);                             \
    } while (0)

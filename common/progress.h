/* Progress of long work, told to whoever started it; also the way to stop it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define MED_PROGRESS_COUNT "records"

struct med_progress {
    /* stage: a stable word ("ingest", "analyse", "train", "encode", "graph", "merge", "verify",
     * "wait", "rewrite"). total 0 = unknown. Returns false to ask the work to stop: it then ends
     * with MED_E_CANCELLED and publishes nothing. Work that is measured in one unit and counted in
     * another (bytes read, records found) tells the count first, with the unit MED_PROGRESS_COUNT.
     * Called from the thread that started the work, at most some tens of times a second. */
    bool (*report)(void *ctx, const char *stage, uint64_t done, uint64_t total, const char *unit);
    void *ctx;
};

/* NULL-safe; true = go on. */
static inline bool med_progress(const struct med_progress *p, const char *stage, uint64_t done,
    uint64_t total, const char *unit)
{
    return !p || !p->report || p->report(p->ctx, stage, done, total, unit);
}

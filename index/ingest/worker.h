/* What the workers of an ingest do: the items of a piece to outcomes. */
#pragma once

#include "index/ingest/pipeline.h"

#include <stdatomic.h>

struct med_worker_rules {
    bool relabel; /* documents of formats that name no source are of this one */
    enum med_source label;
    /* Cleared while most documents turn out to be in the store already, so that they are not
     * compressed in vain. */
    atomic_bool compress;
};

struct med_worker;
/* Borrows store and rules. */
enum med_code med_worker_new(struct med_store *store, const struct med_worker_rules *rules,
    struct med_worker **ret_worker, struct med_err *err) MED_CHECK;
void med_worker_free(struct med_worker **worker);
/* `work` of the pipeline; ctx is the struct med_worker. */
enum med_code med_worker_run(void *ctx, struct med_piece *piece, struct med_err *err) MED_CHECK;

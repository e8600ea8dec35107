/* An update on its way, for update.c and update_merge.c. */
#pragma once

#include "index/builder.h"
#include "index/update.h"

struct update {
    struct build b; /* the pipeline of the new segment; owns lock, snapshot and arena */
    struct med_build_options build_options;
    const struct med_update_options *options;
    struct med_index *next;
    struct med_id_version *store; /* all live documents of the snapshot */
    size_t store_count;
    uint8_t *fates;          /* enum fate, parallel */
    uint32_t base_count;     /* segments of the base */
    uint64_t **gone;         /* per base segment: documents that die now; NULL = none */
    uint64_t **dead;         /* per base segment: all dead ones, patched into `next` */
    struct med_buf *patches; /* per segment of `next` */
    struct med_buf overlay;
    struct med_manifest manifest;
    struct med_update_report report;
};

/* Merges what is due (or asked for) of u->next's segments: the merged ones take the place of
 * theirs, without patches. */
enum med_code update_merge(struct update *u, struct med_err *err) MED_CHECK;

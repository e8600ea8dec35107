/* medicus ingest --watch: what arrives in the folders is ingested, in batches.
 *
 * A file is complete when it has a .md5 companion that fits, or when its size and time did not
 * change between two looks; with --require-md5 only the former counts. A file that cannot be read,
 * or does not fit its companion, is reported once and tried again when it, or the companion,
 * changes. What was ingested is known by the store's input log, also after a restart. */
#pragma once

#include "index/ingest/ingest.h"
#include "service/options.h"
#include "service/workspace.h"

/* After each batch, with its summary. */
typedef void (*watch_batch)(void *ctx, const struct med_ingest_summary *summary);

/* Until stop_requested(); then MED_OK. ingest: as for one run. Full disks and damaged stores end
 * it with their code; a file never does. */
enum med_code watch_folders(const struct options *options, struct workspace *w,
    const struct med_ingest_options *ingest, watch_batch batch, void *ctx,
    struct med_err *err) MED_CHECK;

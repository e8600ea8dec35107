/* The first thread of an ingest: files -> streams -> records -> pieces of the pipeline. */
#pragma once

#include "index/ingest/known.h"
#include "index/ingest/pipeline.h"
#include "index/ingest/walk.h"

struct med_reader_job {
    const struct med_ingest_options *options;
    const struct med_walk_file *files;
    size_t file_count;
    const struct med_known *known;
    struct med_pipeline *pipeline;
    /* Why not all could be read, once the reader has ended: out of memory. */
    enum med_code code;
    struct med_err err;
};

/* The file's name in the log, in ids and messages. Borrowed from its path. */
struct med_str med_reader_name(const struct med_walk_file *file);

/* Reads all files, each followed by a piece with its end, and ends the pipeline. Returns early when
 * the pipeline is stopped. For pthread_create. */
void *med_reader_main(void *job);

/* The way of the input from the thread that reads to the thread that writes, through workers.
 *
 *   reader --push--> [ pieces in order ] <--take, done-- workers
 *                    [ pieces in order ] --pop--> writer, in the order of push
 *
 * A piece is a run of records of one file, or what is to be said about a file. The reader fills its
 * items; a worker turns them into outcomes; the writer takes these in order, so that the store is
 * what one thread would have made of the input.
 *
 * Memory: push waits while the pieces on the way hold MED_PIPELINE_BYTES of records (or one piece,
 * however large: a record may have 64 MiB), or while every slot is taken. Pieces are used again.
 *
 * One mutex, never held while working; nothing else is shared. */
#pragma once

#include "common/buf.h"
#include "index/ingest/parser.h"
#include "index/store/store.h"

#define MED_PIPELINE_BYTES (8 * MED_MIB)

/* What the reader puts in: a record in `bytes`, or one that it skipped. */
struct med_piece_item {
    struct med_source_record record; /* bytes and skipped's reason: see `at` */
    size_t at;                       /* of the bytes, or of the reason, in piece->bytes */
    bool skipped;
};

enum med_outcome_kind { MED_OUTCOME_DOCUMENT, MED_OUTCOME_DELETION, MED_OUTCOME_SKIPPED };
/* What a worker puts in, in the order of the records. Everything lives in the piece's arena. */
struct med_piece_outcome {
    enum med_outcome_kind kind;
    struct med_prepared prepared; /* of a deletion: id and precedence */
    uint64_t offset, line;        /* of what was skipped */
    const char *reason;
};

/* The end of a file: how its reading ended. */
struct med_piece_end {
    bool is_end;
    bool known;         /* passed over: ingested before */
    bool found_any;     /* it had something that is read */
    bool refused;       /* not to be read: it does not fit its checksum */
    bool unread;        /* the walk over the paths found it unreadable */
    enum med_code code; /* of the file; MED_OK: read to its end */
    struct med_err err; /* the sentence */
    uint64_t bytes;     /* 0: not known, or not read to its end */
    struct med_hash128 hash;
};

struct med_piece {
    size_t file;              /* which of the run's files */
    struct med_buf label;     /* the name of an archive's member, NUL-terminated; else empty */
    struct med_origin origin; /* its name is borrowed from the file's path or from label */
    struct med_buf bytes;
    struct med_piece_item *items;
    size_t item_count, item_cap;
    struct med_piece_end end;
    uint64_t bytes_done, bytes_read; /* of the whole run when the piece was pushed */

    struct med_arena *arena;
    struct med_piece_outcome *outcomes;
    size_t outcome_count, outcome_cap;
    enum med_code code; /* a worker could not go on */
    struct med_err err;
};

struct med_pipeline;
/* `work` turns items into outcomes; a code other than MED_OK ends up in the piece. `ctxs` holds one
 * context for each worker. Starts the workers. */
enum med_code med_pipeline_new(unsigned worker_count,
    enum med_code (*work)(void *ctx, struct med_piece *piece, struct med_err *err),
    void *const *ctxs, struct med_pipeline **ret_pipeline, struct med_err *err) MED_CHECK;
/* Stops and joins the workers. Nobody may be in push or pop any more. */
void med_pipeline_free(struct med_pipeline **pipeline);

/* The reader's side. An empty piece to fill; NULL when out of memory. */
struct med_piece *med_pipeline_blank(struct med_pipeline *pipeline);
/* Takes the piece. False: the pipeline was stopped, and the reader should end. */
bool med_pipeline_push(struct med_pipeline *pipeline, struct med_piece *piece);
void med_pipeline_end(struct med_pipeline *pipeline); /* nothing more will be pushed */

/* The writer's side. */
enum med_pop { MED_POP_PIECE, MED_POP_NOTHING_YET, MED_POP_END };
/* Waits at most wait_ms. */
enum med_pop med_pipeline_pop(
    struct med_pipeline *pipeline, unsigned wait_ms, struct med_piece **ret_piece);
void med_pipeline_recycle(struct med_pipeline *pipeline, struct med_piece *piece);
void med_pipeline_stop(struct med_pipeline *pipeline); /* from any thread */

/* A ring of pieces under one mutex; see pipeline.h.
 *
 *      written       next_work        pushed
 *         |              |              |
 *   ... [done][done][at work][done][filled][filled] ...      counts, never reset
 *
 * Three conditions: room (the reader waits), work (workers wait), done (the writer waits). */
#include "index/ingest/pipeline.h"

#include "common/fs.h"
#include "common/limits.h"
#include "common/mem.h"

#include <pthread.h>
#include <time.h>

#define SLOTS_PER_WORKER 64
#define SPARE_MAX 64
#define KEPT_BYTES_MAX (4 * MED_MIB) /* larger buffers are not kept for the next piece */
#define ARENA_BYTES_MAX (4ull * MED_GIB)

struct slot {
    struct med_piece *piece;
    size_t bytes;
    bool done;
};

struct worker {
    struct med_pipeline *pipeline;
    void *ctx;
    pthread_t thread;
};

struct med_pipeline {
    enum med_code (*work)(void *ctx, struct med_piece *piece, struct med_err *err);
    struct worker *workers;
    unsigned started;
    pthread_mutex_t mutex;
    pthread_cond_t room, more, done;
    struct slot *slots;
    size_t slot_count;
    uint64_t pushed, next_work, written;
    uint64_t bytes; /* of the pieces on the way */
    bool ended, stopped;
    struct med_piece *spare[SPARE_MAX];
    size_t spare_count;
};

/* ---- pieces ---- */

static void free_piece(struct med_piece *piece)
{
    if (!piece) return;
    med_buf_free(&piece->label);
    med_buf_free(&piece->bytes);
    med_free(piece->items);
    med_free(piece->outcomes);
    med_arena_free(&piece->arena);
    med_free(piece);
}

struct med_piece *med_pipeline_blank(struct med_pipeline *pipeline)
{
    struct med_piece *piece = NULL;
    pthread_mutex_lock(&pipeline->mutex);
    if (pipeline->spare_count > 0) piece = pipeline->spare[--pipeline->spare_count];
    pthread_mutex_unlock(&pipeline->mutex);
    if (piece) return piece;
    piece = med_calloc(1, sizeof *piece);
    if (!piece) return NULL;
    med_buf_init(&piece->label, MED_PATH_MAX * 2);
    med_buf_init(&piece->bytes, MED_GIB);
    if (med_arena_new(ARENA_BYTES_MAX, &piece->arena, NULL) == MED_OK) return piece;
    free_piece(piece);
    return NULL;
}

void med_pipeline_recycle(struct med_pipeline *pipeline, struct med_piece *piece)
{
    bool large = piece->bytes.cap > KEPT_BYTES_MAX || med_arena_used(piece->arena) > KEPT_BYTES_MAX;
    if (!large) {
        med_buf_reset(&piece->label);
        med_buf_reset(&piece->bytes);
        med_arena_reset(piece->arena);
        piece->item_count = piece->outcome_count = 0;
        piece->end = (struct med_piece_end){0};
        piece->code = MED_OK;
        pthread_mutex_lock(&pipeline->mutex);
        bool kept = pipeline->spare_count < SPARE_MAX;
        if (kept) pipeline->spare[pipeline->spare_count++] = piece;
        pthread_mutex_unlock(&pipeline->mutex);
        if (kept) return;
    }
    free_piece(piece);
}

/* ---- workers ---- */

static struct slot *slot_of(struct med_pipeline *p, uint64_t number)
{
    return &p->slots[number % p->slot_count];
}

static void *worker_main(void *arg)
{
    struct worker *worker = arg;
    struct med_pipeline *p = worker->pipeline;
    pthread_mutex_lock(&p->mutex);
    for (;;) {
        while (!p->stopped && p->next_work == p->pushed) pthread_cond_wait(&p->more, &p->mutex);
        if (p->stopped) break;
        uint64_t number = p->next_work++;
        struct med_piece *piece = slot_of(p, number)->piece;
        pthread_mutex_unlock(&p->mutex);
        piece->code = p->work(worker->ctx, piece, &piece->err);
        pthread_mutex_lock(&p->mutex);
        slot_of(p, number)->done = true;
        if (number == p->written) pthread_cond_signal(&p->done);
    }
    pthread_mutex_unlock(&p->mutex);
    return NULL;
}

enum med_code med_pipeline_new(unsigned worker_count,
    enum med_code (*work)(void *ctx, struct med_piece *piece, struct med_err *err),
    void *const *ctxs, struct med_pipeline **ret_pipeline, struct med_err *err)
{
    struct med_pipeline *p = med_calloc(1, sizeof *p);
    if (!p) return med_fail(err, MED_E_NOMEM, "out of memory for a pipeline");
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->room, NULL);
    pthread_cond_init(&p->more, NULL);
    pthread_cond_init(&p->done, &monotonic);
    pthread_condattr_destroy(&monotonic);
    p->work = work;
    p->slot_count = (size_t)worker_count * SLOTS_PER_WORKER;
    p->slots = med_calloc(p->slot_count, sizeof *p->slots);
    p->workers = med_calloc(worker_count, sizeof *p->workers);
    bool enough = p->slots && p->workers;
    for (unsigned i = 0; enough && i < worker_count; i++) {
        p->workers[i] = (struct worker){.pipeline = p, .ctx = ctxs[i]};
        if (pthread_create(&p->workers[i].thread, NULL, worker_main, &p->workers[i]) != 0) break;
        p->started++;
    }
    if (p->started == 0) { /* fewer than asked for still do all the work */
        med_pipeline_free(&p);
        return med_fail(err, MED_E_NOMEM, "the system gives no threads for the ingest");
    }
    *ret_pipeline = p;
    return MED_OK;
}

void med_pipeline_free(struct med_pipeline **pipeline)
{
    struct med_pipeline *p = *pipeline;
    *pipeline = NULL;
    if (!p) return;
    med_pipeline_stop(p);
    for (unsigned i = 0; i < p->started; i++) pthread_join(p->workers[i].thread, NULL);
    for (uint64_t i = p->written; i < p->pushed; i++) free_piece(slot_of(p, i)->piece);
    while (p->spare_count > 0) free_piece(p->spare[--p->spare_count]);
    pthread_cond_destroy(&p->room);
    pthread_cond_destroy(&p->more);
    pthread_cond_destroy(&p->done);
    pthread_mutex_destroy(&p->mutex);
    med_free(p->slots);
    med_free(p->workers);
    med_free(p);
}

/* ---- reader and writer ---- */

bool med_pipeline_push(struct med_pipeline *p, struct med_piece *piece)
{
    size_t bytes = piece->bytes.len;
    pthread_mutex_lock(&p->mutex);
    while (!p->stopped && p->pushed > p->written &&
           (p->pushed - p->written == p->slot_count || p->bytes + bytes > MED_PIPELINE_BYTES)) {
        pthread_cond_wait(&p->room, &p->mutex);
    }
    bool goes_on = !p->stopped;
    if (goes_on) {
        *slot_of(p, p->pushed++) = (struct slot){.piece = piece, .bytes = bytes};
        p->bytes += bytes;
        pthread_cond_signal(&p->more);
    }
    pthread_mutex_unlock(&p->mutex);
    if (!goes_on) free_piece(piece);
    return goes_on;
}

void med_pipeline_end(struct med_pipeline *p)
{
    pthread_mutex_lock(&p->mutex);
    p->ended = true;
    pthread_cond_signal(&p->done);
    pthread_mutex_unlock(&p->mutex);
}

void med_pipeline_stop(struct med_pipeline *p)
{
    pthread_mutex_lock(&p->mutex);
    p->stopped = true;
    pthread_cond_broadcast(&p->room);
    pthread_cond_broadcast(&p->more);
    pthread_cond_broadcast(&p->done);
    pthread_mutex_unlock(&p->mutex);
}

enum med_pop med_pipeline_pop(
    struct med_pipeline *p, unsigned wait_ms, struct med_piece **ret_piece)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)(wait_ms % 1000) * 1000000;
    until.tv_sec += wait_ms / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    enum med_pop got = MED_POP_NOTHING_YET;
    pthread_mutex_lock(&p->mutex);
    for (int rc = 0; rc == 0 && got == MED_POP_NOTHING_YET;) {
        if (p->written < p->pushed && slot_of(p, p->written)->done)
            got = MED_POP_PIECE;
        else if (p->stopped || (p->ended && p->written == p->pushed))
            got = MED_POP_END;
        else
            rc = pthread_cond_timedwait(&p->done, &p->mutex, &until);
    }
    if (got == MED_POP_PIECE) {
        struct slot *slot = slot_of(p, p->written++);
        *ret_piece = slot->piece;
        p->bytes -= slot->bytes;
        pthread_cond_signal(&p->room);
    }
    pthread_mutex_unlock(&p->mutex);
    return got;
}

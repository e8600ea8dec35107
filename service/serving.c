#include "service/serving.h"

#include "common/clock.h"
#include "common/fs.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/parallel.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#define POLL_MS 1000
#define RETRY_S 30 /* a generation that failed is tried again after this */
#define LIST_BYTES_MAX (64 * MED_MIB)

/* A generation over the docstore that it was opened with. */
struct serving_view {
    atomic_uint references;
    struct med_store *store;
    struct med_index *index;
};

/* A generation that was served before. */
struct kept {
    struct serving_view *view;
    uint64_t until_ns;
};

struct serving {
    char path[MED_PATH_MAX];
    uint64_t keep_s;
    struct med_data *data; /* opened once, by the constructor or the poller */
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t wake;
    bool stopping;
    struct serving_view *view;          /* replaced by the constructor and the poller only */
    struct kept kept[SERVING_KEPT_MAX]; /* the latest first; the others are NULL */
    struct serving_status status;
    pthread_t poller;
    bool poller_runs;
    int64_t failed_at_s; /* the poller's own */
};

static enum med_code open_data(struct serving *s, struct med_err *err)
{
    return s->data ? MED_OK : med_data_open(s->path, false, med_fs_posix(), &s->data, err);
}

static void release_view(struct serving_view **view)
{
    struct serving_view *v = *view;
    *view = NULL;
    if (!v || atomic_fetch_sub(&v->references, 1) > 1) return;
    med_index_release(&v->index);
    if (v->store) med_store_close(&v->store);
    med_free(v);
}

static enum med_code open_view(
    struct serving *s, uint64_t generation, struct serving_view **ret_view, struct med_err *err)
{
    char docs[MED_PATH_MAX];
    struct serving_view *v = med_calloc(1, sizeof *v);
    if (!v) return med_fail(err, MED_E_NOMEM, "out of memory for a generation");
    atomic_init(&v->references, 1);
    enum med_code code = open_data(s, err);
    if (!code) code = med_path_join(docs, s->path, "docs", err);
    if (!code) code = med_store_open(docs, MED_STORE_READ_ONLY, &v->store, err);
    if (!code) code = med_index_open(s->data, v->store, generation, true, &v->index, err);
    if (code) {
        release_view(&v);
        return code;
    }
    *ret_view = v;
    return MED_OK;
}

static void describe(const struct med_index *index, struct serving_status *status)
{
    const struct med_manifest *m = med_index_manifest(index);
    status->generation = m->number;
    status->created_unix_s = m->created_unix_s;
    status->documents = m->doc_count;
    status->passages = med_manifest_chunk_count(m);
    status->bytes = med_index_bytes(index);
    status->failed_generation = 0;
    status->failure[0] = '\0';
}

/* Keeps what was served until now, and returns what nobody may keep any longer, or NULL. Under the
 * mutex. */
static struct serving_view *keep(struct serving *s, struct serving_view *old)
{
    if (s->keep_s == 0) return old;
    struct serving_view *last = s->kept[SERVING_KEPT_MAX - 1].view;
    memmove(s->kept + 1, s->kept, (SERVING_KEPT_MAX - 1) * sizeof *s->kept);
    s->kept[0] = (struct kept){.view = old, .until_ns = med_now_ns() + s->keep_s * 1000000000ull};
    return last;
}

/* Closes those whose time is over, or all. */
static void drop_kept(struct serving *s, bool all)
{
    struct serving_view *expired[SERVING_KEPT_MAX] = {NULL};
    uint64_t now = med_now_ns();
    pthread_mutex_lock(&s->mutex);
    for (size_t i = 0; i < SERVING_KEPT_MAX; i++) {
        if (!s->kept[i].view || (!all && s->kept[i].until_ns > now)) continue;
        expired[i] = s->kept[i].view;
        s->kept[i].view = NULL;
    }
    pthread_mutex_unlock(&s->mutex);
    for (size_t i = 0; i < SERVING_KEPT_MAX; i++) release_view(&expired[i]);
}

/* Opens and verifies a generation (0: the current one) and puts it in place. */
static enum med_code load(struct serving *s, uint64_t generation, struct med_err *err)
{
    struct serving_view *fresh = NULL, *old, *dropped;
    enum med_code code = open_view(s, generation, &fresh, err);
    if (code) return code;
    bool alone = med_index_manifest(fresh->index)->alone;
    pthread_mutex_lock(&s->mutex);
    old = s->view;
    bool again =
        old && med_index_manifest(old->index)->number == med_index_manifest(fresh->index)->number;
    dropped = old && !alone && !again ? keep(s, old) : old;
    s->view = fresh;
    describe(fresh->index, &s->status);
    if (old) s->status.swaps++;
    struct serving_status now = s->status;
    pthread_mutex_unlock(&s->mutex);
    release_view(&dropped);
    if (alone) drop_kept(s, true);
    med_log(MED_LOG_INFO, "generation", "serving generation %llu: %llu documents, %llu passages",
        (unsigned long long)now.generation, (unsigned long long)now.documents,
        (unsigned long long)now.passages);
    return MED_OK;
}

static void note_failure(struct serving *s, uint64_t generation, const struct med_err *err)
{
    pthread_mutex_lock(&s->mutex);
    bool known =
        s->status.failed_generation == generation && strcmp(s->status.failure, err->text) == 0;
    s->status.failed_generation = generation;
    snprintf(s->status.failure, sizeof s->status.failure, "%s", err->text);
    if (!known) s->status.failures++;
    pthread_mutex_unlock(&s->mutex);
    s->failed_at_s = med_unix_time_s();
    if (!known)
        med_log(MED_LOG_ERROR, "generation", "cannot serve generation %llu, keeping what is: %s",
            (unsigned long long)generation, err->text);
}

/* The current generation is the one that is served: what failed was taken back. */
static void forget_failure(struct serving *s)
{
    pthread_mutex_lock(&s->mutex);
    bool failed = s->status.failure[0] != '\0';
    s->status.failed_generation = 0;
    s->status.failure[0] = '\0';
    pthread_mutex_unlock(&s->mutex);
    if (failed) med_log(MED_LOG_INFO, "generation", "the current generation is served again");
}

/* Whether older generations may stand in for this one, which then has not purged any document. */
static bool may_be_replaced(struct serving *s, uint64_t generation)
{
    struct med_pin *pin;
    struct med_err ignored = {0};
    /* A purge removes older generations itself: those beside an unreadable manifest are allowed. */
    if (med_generation_pin(s->data, generation, &pin, &ignored)) return true;
    bool may = !med_pin_manifest(pin)->alone;
    med_pin_release(&pin);
    return may;
}

/* A server that starts on a damaged generation serves the newest intact one before it, as one that
 * was running would: MED_OK, and the status says what failed. Otherwise what was wrong. */
static enum med_code load_an_earlier_one(struct serving *s, enum med_code code, struct med_err *err)
{
    struct med_arena *arena;
    struct med_generation_info *list;
    struct med_err ignored = {0};
    size_t count = 0;
    uint64_t current;
    if (!s->data || med_generation_current(s->data, &current, &ignored)) return code;
    if (!may_be_replaced(s, current)) return code;
    if (med_arena_new(LIST_BYTES_MAX, &arena, &ignored)) return code;
    bool loaded = false;
    if (med_generation_list(s->data, arena, &list, &count, &ignored)) count = 0;
    for (size_t i = 0; i < count && !loaded; i++)
        loaded = list[i].number < current && !load(s, list[i].number, &ignored);
    med_arena_free(&arena);
    if (!loaded) return code;
    note_failure(s, current, err);
    return MED_OK;
}

static void look(struct serving *s)
{
    struct med_err err = {0};
    bool replaced = s->view && med_store_is_replaced(s->view->store);
    uint64_t current = 0, serving, failed;
    pthread_mutex_lock(&s->mutex);
    serving = s->status.generation;
    failed = s->status.failed_generation;
    pthread_mutex_unlock(&s->mutex);
    enum med_code code = open_data(s, &err);
    if (!code) code = med_generation_current(s->data, &current, &err);
    /* Nothing there yet is what --wait waits for, not a failure. */
    if (serving == 0 && (code == MED_E_NOT_FOUND || code == MED_E_NO_INDEX)) return;
    if (!code && current == serving && !replaced) {
        forget_failure(s);
        return;
    }
    if (!code && current == failed && med_unix_time_s() - s->failed_at_s < RETRY_S) return;
    if (!code) code = load(s, 0, &err);
    if (code) note_failure(s, current, &err);
}

static void *poller_main(void *arg)
{
    struct serving *s = arg;
    /* A new generation is read from its first byte to its last: searches go first. */
    med_step_back();
    pthread_mutex_lock(&s->mutex);
    while (!s->stopping) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += POLL_MS / 1000;
        while (!s->stopping && pthread_cond_timedwait(&s->wake, &s->mutex, &until) != ETIMEDOUT) {
        }
        if (s->stopping) break;
        pthread_mutex_unlock(&s->mutex);
        drop_kept(s, false);
        look(s);
        pthread_mutex_lock(&s->mutex);
    }
    pthread_mutex_unlock(&s->mutex);
    return NULL;
}

enum med_code serving_new(const char *data_path, bool wait, uint64_t keep_s,
    struct serving **ret_serving, struct med_err *err)
{
    struct serving *s = med_calloc(1, sizeof *s);
    if (!s) return med_fail(err, MED_E_NOMEM, "out of memory for the server");
    s->keep_s = keep_s;
    pthread_mutex_init(&s->mutex, NULL);
    pthread_cond_init(&s->wake, NULL);
    enum med_code code = MED_OK;
    if ((size_t)snprintf(s->path, sizeof s->path, "%s", data_path) >= sizeof s->path)
        code = med_fail(err, MED_E_LIMIT, "the path of the data folder is too long");
    if (!code) code = load(s, 0, err);
    if (code == MED_E_CORRUPT) code = load_an_earlier_one(s, code, err);
    if (wait && (code == MED_E_NOT_FOUND || code == MED_E_NO_INDEX)) {
        med_log(MED_LOG_INFO, "waiting", "nothing to serve yet in %s", data_path);
        code = MED_OK;
    }
    if (!code) {
        int failed = pthread_create(&s->poller, NULL, poller_main, s);
        if (failed) code = med_fail_errno(err, failed, "cannot start a thread");
        s->poller_runs = !failed;
    }
    if (code) {
        serving_free(&s);
        return code;
    }
    *ret_serving = s;
    return MED_OK;
}

void serving_free(struct serving **serving)
{
    struct serving *s = *serving;
    *serving = NULL;
    if (!s) return;
    pthread_mutex_lock(&s->mutex);
    s->stopping = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->mutex);
    if (s->poller_runs) pthread_join(s->poller, NULL);
    release_view(&s->view);
    for (size_t i = 0; i < SERVING_KEPT_MAX; i++) release_view(&s->kept[i].view);
    if (s->data) med_data_close(&s->data);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->mutex);
    med_free(s);
}

bool serving_acquire(struct serving *s, uint64_t generation, struct served *ret_served)
{
    pthread_mutex_lock(&s->mutex);
    struct serving_view *found = s->view;
    if (found && generation && med_index_manifest(found->index)->number != generation) found = NULL;
    for (size_t i = 0; i < SERVING_KEPT_MAX && generation && !found; i++) {
        struct serving_view *kept = s->kept[i].view;
        if (kept && med_index_manifest(kept->index)->number == generation) found = kept;
    }
    if (found) {
        atomic_fetch_add(&found->references, 1);
        *ret_served = (struct served){.store = found->store, .index = found->index, .view = found};
    }
    pthread_mutex_unlock(&s->mutex);
    return found != NULL;
}

void serving_release(struct served *served)
{
    release_view(&served->view);
    served->index = NULL;
    served->store = NULL;
}

void serving_status(struct serving *s, struct serving_status *ret_status)
{
    pthread_mutex_lock(&s->mutex);
    *ret_status = s->status;
    pthread_mutex_unlock(&s->mutex);
}

#include "service/watch.h"

#include "common/arena.h"
#include "common/limits.h"
#include "common/mem.h"
#include "index/ingest/md5.h"
#include "index/ingest/walk.h"
#include "service/child.h"
#include "service/stop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FILES_BYTES_MAX (1 * MED_GIB)
#define EXIT_BUSY 9

/* What a file looked like, and its companion. */
struct look {
    uint64_t size, inode;
    struct timespec changed, md5_changed;
};
struct seen {
    char *path;
    struct look look;
    bool done; /* with this look: ingested, or found to be unusable */
    bool there;
};
struct watch {
    const struct options *options;
    struct workspace *w;
    const struct med_ingest_options *ingest;
    struct seen *seen; /* by path */
    size_t count, cap;
    bool owes_update;
};

static bool same_look(const struct look *a, const struct look *b)
{
    return a->size == b->size && a->inode == b->inode && a->changed.tv_sec == b->changed.tv_sec &&
           a->changed.tv_nsec == b->changed.tv_nsec &&
           a->md5_changed.tv_sec == b->md5_changed.tv_sec &&
           a->md5_changed.tv_nsec == b->md5_changed.tv_nsec;
}

static bool look_at(const char *path, struct look *ret_look)
{
    char companion[MED_PATH_MAX];
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode)) return false;
    *ret_look = (struct look){
        .size = (uint64_t)st.st_size, .inode = (uint64_t)st.st_ino, .changed = st.st_mtim};
    if (snprintf(companion, sizeof companion, "%s.md5", path) < (int)sizeof companion &&
        stat(companion, &st) == 0)
        ret_look->md5_changed = st.st_mtim;
    return true;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct seen *)a)->path, ((const struct seen *)b)->path);
}

static struct seen *find_seen(struct watch *watch, const char *path)
{
    struct seen key = {.path = (char *)(uintptr_t)path};
    return watch->count ? bsearch(&key, watch->seen, watch->count, sizeof key, by_path) : NULL;
}

/* --- one look at the folders --- */

static enum med_code remember(
    struct watch *watch, const char *path, const struct look *look, struct med_err *err)
{
    char *copy = med_strndup(path, strlen(path));
    if (!copy || !med_grow(&watch->seen, &watch->cap, watch->count + 1, sizeof *watch->seen)) {
        med_free(copy);
        return med_fail(err, MED_E_NOMEM, "out of memory for a list of files");
    }
    watch->seen[watch->count++] = (struct seen){.path = copy, .look = *look, .there = true};
    return MED_OK;
}

/* Its companion is there and fits. */
static bool is_checked(const char *path)
{
    return med_md5_check(path, true, NULL) == MED_OK;
}

/* Complete, and not dealt with yet. */
static bool is_due(struct watch *watch, struct seen *s, const struct look *look)
{
    bool unchanged = same_look(&s->look, look);
    if (!unchanged) {
        s->look = *look;
        s->done = false;
    }
    if (s->done) return false;
    if (med_has_md5_companion(s->path)) {
        /* The companion may be older than the file's last byte: then it fits at a later look. */
        return unchanged || is_checked(s->path);
    }
    return unchanged && !watch->options->require_md5 && look->size > 0;
}

/* Paths of due files in the arena. New ones are remembered; those that went away are forgotten. */
static enum med_code look_around(struct watch *watch, struct med_arena *arena,
    const char ***ret_due, size_t *ret_count, struct med_err *err)
{
    struct med_walk_file *files = NULL;
    size_t count = 0, known = watch->count, due = 0;
    enum med_code code =
        med_walk(watch->options->args, watch->options->arg_count, arena, &files, &count, err);
    const char **paths = med_arena_calloc(arena, count + 1, sizeof *paths);
    if (!code && !paths) code = med_fail(err, MED_E_NOMEM, "out of memory for a list of files");
    for (size_t i = 0; i < watch->count; i++) watch->seen[i].there = false;
    for (size_t i = 0; !code && i < count; i++) {
        struct look look;
        if (files[i].problem || !look_at(files[i].path, &look)) continue;
        struct seen *s = find_seen(watch, files[i].path);
        if (!s) continue;
        s->there = true;
        if (is_due(watch, s, &look)) paths[due++] = s->path;
    }
    /* New ones come behind the list that is in order; tidy() puts them in their places. */
    for (size_t i = 0; !code && i < count; i++) {
        struct seen key = {.path = (char *)(uintptr_t)files[i].path};
        struct look look;
        bool known_path = known && bsearch(&key, watch->seen, known, sizeof key, by_path);
        if (files[i].problem || known_path || !look_at(files[i].path, &look)) continue;
        code = remember(watch, files[i].path, &look, err);
        if (!code && is_checked(files[i].path)) paths[due++] = watch->seen[watch->count - 1].path;
    }
    *ret_due = paths;
    *ret_count = due;
    return code;
}

/* Forgets what went away, and puts the new ones in order. Paths handed out before stay valid for
 * files that are there. */
static void tidy(struct watch *watch)
{
    size_t kept = 0;
    for (size_t i = 0; i < watch->count; i++) {
        if (watch->seen[i].there)
            watch->seen[kept++] = watch->seen[i];
        else
            med_free(watch->seen[i].path);
    }
    watch->count = kept;
    if (kept) qsort(watch->seen, kept, sizeof *watch->seen, by_path);
}

/* --- what is done with them --- */

/* A code that the next file would meet too. */
static bool is_fatal(enum med_code code)
{
    return code == MED_E_NO_SPACE || code == MED_E_NOMEM || code == MED_E_INTERNAL ||
           code == MED_E_CANCELLED;
}

static enum med_code ingest_due(struct watch *watch, const char *const *due, size_t count,
    watch_batch batch, void *ctx, struct med_err *err)
{
    struct med_ingest_summary summary;
    struct med_ingest_options options = *watch->ingest;
    if (!watch->options->again) options.known = MED_KNOWN_SKIP;
    enum med_code code = med_ingest(watch->w->store, due, count, &options, &summary, err);
    if (code == MED_E_CANCELLED && stop_requested()) return MED_OK;
    if (is_fatal(code)) return code;
    for (size_t i = 0; i < count; i++) {
        struct seen *s = find_seen(watch, due[i]);
        if (s) s->done = true;
    }
    if (summary.added + summary.updated + summary.deleted) watch->owes_update = true;
    batch(ctx, &summary);
    return MED_OK;
}

/* Another build may be running: then later. */
static void update(struct watch *watch)
{
    const char *args[] = {"update", "--data", watch->options->data, "--quiet", NULL};
    const struct child_files files = {.out = -1, .err = STDERR_FILENO, .progress = -1};
    pid_t pid;
    struct med_err err = {0};
    enum med_code code = child_start(args, &files, &pid, &err);
    int status = code ? med_code_exit_status(code) : child_wait(pid);
    if (status == EXIT_BUSY) return;
    watch->owes_update = false;
    if (status == 0)
        say(watch->options, "what was ingested is searchable");
    else
        say(watch->options, "the update ended with status %d %s; it is tried after the next batch",
            status, err.text);
}

static void pause_for(uint64_t seconds)
{
    /* In pieces: a signal may come between the question and the sleep. */
    for (uint64_t i = 0; i < seconds * 5 && !stop_requested(); i++) {
        struct timespec piece = {.tv_nsec = 200000000};
        nanosleep(&piece, NULL);
    }
}

enum med_code watch_folders(const struct options *options, struct workspace *w,
    const struct med_ingest_options *ingest, watch_batch batch, void *ctx, struct med_err *err)
{
    struct watch watch = {.options = options, .w = w, .ingest = ingest};
    enum med_code code = MED_OK;
    while (!code && !stop_requested()) {
        struct med_arena *arena;
        const char **due = NULL;
        size_t count = 0;
        code = med_arena_new(FILES_BYTES_MAX, &arena, err);
        if (code) break;
        code = look_around(&watch, arena, &due, &count, err);
        if (!code) tidy(&watch);
        if (!code && count) code = ingest_due(&watch, due, count, batch, ctx, err);
        med_arena_free(&arena);
        if (!code && options->update && watch.owes_update && !stop_requested()) update(&watch);
        if (!code) pause_for(options->interval_s);
    }
    for (size_t i = 0; i < watch.count; i++) med_free(watch.seen[i].path);
    med_free(watch.seen);
    return code;
}

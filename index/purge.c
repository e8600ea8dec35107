#include "index/purge.h"

#include "common/clock.h"
#include "common/mem.h"
#include "index/data_folder.h"
#include "index/update.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#define POLL_MS 200u
#define RELATED_MAX 100u
#define PATIENCE "in use by another process (a server, a search, a backup)"

struct purge {
    struct med_data *data;
    struct med_store *store;
    const struct med_str *ids;
    size_t count;
    const struct med_purge_options *options;
    struct med_arena *arena, *scratch;
    struct med_purge_report report;
};

static enum med_code out_of_memory(struct med_err *err)
{
    return med_fail(err, MED_E_NOMEM, "out of memory for the purge");
}

/* --- what is to go --- */

static bool is_listed(const struct purge *p, struct med_str id)
{
    for (size_t i = 0; i < p->count; i++)
        if (med_str_eq(p->ids[i], id)) return true;
    return false;
}

static enum med_code note_related(struct purge *p, struct med_str id, struct med_err *err)
{
    struct med_purge_report *r = &p->report;
    if (is_listed(p, id) || r->related_count == RELATED_MAX) return MED_OK;
    for (size_t i = 0; i < r->related_count; i++)
        if (med_str_eq(r->related[i], id)) return MED_OK;
    return med_arena_str(p->arena, id, &r->related[r->related_count++]) ? MED_OK
                                                                        : out_of_memory(err);
}

static enum med_code collect_related(
    struct purge *p, struct med_snapshot *snapshot, const struct med_doc *doc, struct med_err *err)
{
    struct med_str aliases[4], *ids;
    size_t alias_count = 0, count;
    enum med_code code = med_doc_aliases(doc, p->scratch, aliases, &alias_count, err);
    for (size_t i = 0; !code && i < alias_count; i++) {
        code = med_snapshot_find_alias(snapshot, aliases[i], p->scratch, &ids, &count, err);
        for (size_t k = 0; !code && k < count; k++) code = note_related(p, ids[k], err);
    }
    return code;
}

/* Nobody has it under this id: perhaps it is another name of one. */
static enum med_code unknown(
    struct purge *p, struct med_snapshot *snapshot, struct med_str id, struct med_err *err)
{
    struct med_str *ids;
    size_t count = 0;
    enum med_code code = med_snapshot_find_alias(snapshot, id, p->scratch, &ids, &count, err);
    if (code) return code;
    if (count)
        return med_fail(err, MED_E_NOT_FOUND,
            MED_STR_FMT " is a name of document " MED_STR_FMT
                        ": give the id of the document; nothing was purged",
            MED_STR_ARG(id), MED_STR_ARG(ids[0]));
    return med_fail(err, MED_E_NOT_FOUND,
        "there is no document " MED_STR_FMT ", and none was purged under this id; nothing was "
        "purged",
        MED_STR_ARG(id));
}

static enum med_code look_up(struct purge *p, struct med_snapshot *snapshot, struct med_str id,
    struct med_precedence *ret_precedence, bool *ret_live, struct med_err *err)
{
    struct med_doc *doc;
    struct med_err why;
    bool blocked = false;
    *ret_live = false;
    med_arena_reset(p->scratch);
    enum med_code code = med_doc_id_check(id, err);
    if (!code) code = med_snapshot_is_blocked(snapshot, id, &blocked, err);
    if (code) return code;
    code = med_snapshot_get(snapshot, id, p->scratch, &doc, &why);
    if (code == MED_OK) {
        *ret_live = true;
        *ret_precedence = doc->precedence;
        return collect_related(p, snapshot, doc, err);
    }
    if (code == MED_E_GONE || blocked) {
        p->report.again += blocked;
        return MED_OK;
    }
    if (code == MED_E_NOT_FOUND) return unknown(p, snapshot, id, err);
    if (err) *err = why;
    return code;
}

/* Deletes and blocks; all or none. */
static enum med_code mark(struct purge *p, struct med_err *err)
{
    struct med_batch *batch = NULL;
    struct med_snapshot *snapshot = NULL;
    enum med_put_outcome outcome;
    struct med_precedence *precedences = med_calloc(p->count, sizeof *precedences);
    bool *live = med_calloc(p->count, sizeof *live);
    p->report.related = med_arena_calloc(p->arena, RELATED_MAX, sizeof *p->report.related);
    enum med_code code = precedences && live && p->report.related ? MED_OK : out_of_memory(err);
    if (!code) code = med_snapshot_open(p->store, &snapshot, err);
    for (size_t i = 0; !code && i < p->count; i++)
        code = look_up(p, snapshot, p->ids[i], &precedences[i], &live[i], err);
    if (snapshot) med_snapshot_close(&snapshot);
    if (!code) code = med_batch_begin(p->store, &batch, err);
    for (size_t i = 0; !code && i < p->count; i++) {
        if (live[i]) code = med_batch_delete(batch, p->ids[i], precedences[i], &outcome, err);
        if (!code) code = med_batch_block(batch, p->ids[i], true, err);
    }
    if (!code) code = med_batch_commit(&batch, err);
    med_batch_abort(&batch);
    med_free(precedences);
    med_free(live);
    if (!code) p->report.purged = p->count;
    return code;
}

/* --- generations --- */

static enum med_code publish(struct purge *p, struct med_err *err)
{
    uint64_t current;
    size_t older;
    struct med_generation_info *list;
    struct med_update_report report;
    struct med_update_options update = {.merge = MED_UPDATE_MERGE_DEAD,
        .alone = true,
        .threads = p->options->threads,
        .keep = 1,
        .progress = p->options->progress};
    enum med_code code = med_generation_current(p->data, &current, err);
    if (code == MED_E_NO_INDEX) return MED_OK;
    if (!code) code = med_generation_list(p->data, p->arena, &list, &older, err);
    if (!code) code = med_update(p->data, p->store, &update, &report, err);
    if (code) {
        med_err_prefix(err, "no generation without the documents could be published; they are "
                            "deleted, and purging them again goes on from here");
        return code;
    }
    p->report.generation = report.generation;
    p->report.generations_removed = older; /* all of them, or the purge fails */
    p->report.merged_segments = report.merged_segments;
    return MED_OK;
}

/* One attempt; *ret_left: older generations that somebody holds, or may hold. */
static enum med_code prune(struct purge *p, uint64_t *ret_left, struct med_err *err)
{
    struct med_build_lock *lock;
    struct med_generation_info *list;
    uint64_t removed = 0;
    size_t count = 0;
    med_arena_reset(p->scratch);
    enum med_code code = med_build_lock_take(p->data, &lock, err);
    if (code) return code;
    code = med_generation_prune(p->data, 1, &removed, err);
    if (!code) code = med_generation_list(p->data, p->scratch, &list, &count, err);
    med_build_lock_release(&lock);
    if (code) return code;
    *ret_left = 0;
    for (size_t i = 0; i < count; i++) *ret_left += !list[i].current;
    return MED_OK;
}

static enum med_code remove_older(struct purge *p, struct med_err *err)
{
    uint64_t left = 0, start = med_now_ns();
    if (!p->report.generation) return MED_OK;
    for (;;) {
        enum med_code code = prune(p, &left, err);
        uint64_t waited_ms = (med_now_ns() - start) / 1000000;
        if (code || left == 0) return code;
        if (waited_ms >= p->options->wait_ms)
            return med_fail(err, MED_E_BUSY,
                "%" PRIu64 " older generations that may hold the documents are " PATIENCE
                ": they are no longer found in generation %" PRIu64
                ", but their bytes are still on disk; end that process, then purge them again",
                left, p->report.generation);
        if (!med_progress(p->options->progress, "wait", waited_ms, p->options->wait_ms, "ms"))
            return med_fail(err, MED_E_CANCELLED,
                "the purge was stopped; purging the same ids again completes it");
        nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
    }
}

/* --- bytes --- */

static uint64_t store_bytes(const struct purge *p)
{
    char dir[MED_PATH_MAX], path[MED_PATH_MAX];
    struct stat st;
    bool there = med_path_join(dir, med_data_path(p->data), "docs", NULL) == MED_OK &&
                 med_path_join(path, dir, "data.mdb", NULL) == MED_OK && stat(path, &st) == 0;
    return there ? (uint64_t)st.st_size : 0;
}

static enum med_code erase(struct purge *p, struct med_err *err)
{
    struct med_batch *batch = NULL;
    enum med_code code = med_batch_begin(p->store, &batch, err);
    for (size_t i = 0; !code && i < p->count; i++) {
        struct med_err why;
        code = med_batch_purge(batch, p->ids[i], &why);
        if (code == MED_E_NOT_FOUND)
            code = MED_OK; /* erased before */
        else if (code && err)
            *err = why;
    }
    if (!code) code = med_batch_commit(&batch, err);
    med_batch_abort(&batch);
    p->report.bytes_before = store_bytes(p);
    if (!code) code = med_store_rewrite(p->store, p->options->progress, err);
    p->report.bytes_after = store_bytes(p);
    if (code)
        med_err_prefix(err, "the documents are gone from the index and from the store's tables, "
                            "but their bytes are still in its file: purge them again");
    return code;
}

/* "backup-1234", "1234-upload": the first number is the process that made it. */
static bool owner_is_dead(const char *name)
{
    while (*name && (*name < '0' || *name > '9')) name++;
    long pid = strtol(name, NULL, 10);
    return pid > 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

static enum med_code empty_spool(struct purge *p, struct med_err *err)
{
    char dir[MED_PATH_MAX], path[MED_PATH_MAX];
    enum med_code code = med_path_join(dir, med_data_path(p->data), "spool", err);
    DIR *folder = code ? NULL : opendir(dir);
    while (!code && folder) {
        const struct dirent *entry = readdir(folder);
        if (!entry) break;
        if (!owner_is_dead(entry->d_name)) continue;
        code = med_path_join(path, dir, entry->d_name, err);
        if (!code) code = med_fs_remove_tree(p->data->fs, path, err);
    }
    if (folder) closedir(folder);
    return code;
}

enum med_code med_purge(struct med_data *data, struct med_store *store, const struct med_str *ids,
    size_t count, const struct med_purge_options *options, struct med_arena *arena,
    struct med_purge_report *ret_report, struct med_err *err)
{
    struct purge p = {.data = data,
        .store = store,
        .ids = ids,
        .count = count,
        .options = options,
        .arena = arena};
    if (count == 0) return med_fail(err, MED_E_INVALID, "no ids to purge");
    enum med_code code = med_arena_new(MED_DOC_ARENA_BYTES_MAX, &p.scratch, err);
    if (!code) code = mark(&p, err);
    if (!code) code = publish(&p, err);
    if (!code) code = remove_older(&p, err);
    if (!code) code = erase(&p, err);
    if (!code) code = empty_spool(&p, err);
    med_arena_free(&p.scratch);
    if (!code) *ret_report = p.report;
    return code;
}

enum med_code med_purge_allow(
    struct med_store *store, const struct med_str *ids, size_t count, struct med_err *err)
{
    struct med_snapshot *snapshot = NULL;
    struct med_batch *batch = NULL;
    enum med_code code = med_snapshot_open(store, &snapshot, err);
    for (size_t i = 0; !code && i < count; i++) {
        bool blocked;
        code = med_snapshot_is_blocked(snapshot, ids[i], &blocked, err);
        if (!code && !blocked)
            code = med_fail(err, MED_E_NOT_FOUND,
                MED_STR_FMT " is not blocked: nothing was changed", MED_STR_ARG(ids[i]));
    }
    if (snapshot) med_snapshot_close(&snapshot);
    if (!code) code = med_batch_begin(store, &batch, err);
    for (size_t i = 0; !code && i < count; i++) code = med_batch_block(batch, ids[i], false, err);
    if (!code) code = med_batch_commit(&batch, err);
    med_batch_abort(&batch);
    return code;
}

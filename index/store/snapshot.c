/* Snapshots: one state of the store, for as long as they live. */
#include "index/store/snapshot.h"
#include "index/store/internal.h"

#include "common/mem.h"

static void end(struct med_snapshot **snapshot)
{
    if (!*snapshot) return;
    med_txn_abort(&(*snapshot)->txn);
    store_zctx_give((*snapshot)->store, &(*snapshot)->zctx);
    med_free(*snapshot);
    *snapshot = NULL;
}

/* A snapshot that was closed before, awake again; NULL when there is none that can be. */
static struct med_snapshot *wake(struct med_store *store)
{
    struct med_snapshot *snapshot = NULL;
    pthread_mutex_lock(&store->dict_mutex);
    if (store->idle_count > 0) snapshot = store->idle[--store->idle_count];
    pthread_mutex_unlock(&store->dict_mutex);
    if (snapshot && med_txn_resume(snapshot->txn, NULL) != MED_OK)
        end(&snapshot); /* the map has grown, for one */
    return snapshot;
}

static enum med_code make(
    struct med_store *store, struct med_snapshot **ret_snapshot, struct med_err *err)
{
    struct med_snapshot *snapshot = med_calloc(1, sizeof *snapshot);
    if (!snapshot) return med_fail(err, MED_E_NOMEM, "out of memory for a snapshot");
    snapshot->store = store;
    enum med_code code = store_zctx_take(store, &snapshot->zctx, err);
    if (code == MED_OK) code = med_txn_begin(store->env, false, &snapshot->txn, err);
    if (code != MED_OK) {
        end(&snapshot);
        return code;
    }
    *ret_snapshot = snapshot;
    return MED_OK;
}

enum med_code med_snapshot_open(
    struct med_store *store, struct med_snapshot **ret_snapshot, struct med_err *err)
{
    struct med_snapshot *snapshot = wake(store);
    enum med_code code = snapshot ? MED_OK : make(store, &snapshot, err);
    if (code == MED_OK) code = store_state_read(snapshot->txn, &snapshot->state, err);
    if (code != MED_OK) {
        end(&snapshot);
        return code;
    }
    *ret_snapshot = snapshot;
    return MED_OK;
}

void med_snapshot_close(struct med_snapshot **snapshot_ptr)
{
    struct med_snapshot *snapshot = *snapshot_ptr;
    if (!snapshot) return;
    struct med_store *store = snapshot->store;
    med_txn_pause(snapshot->txn);
    pthread_mutex_lock(&store->dict_mutex);
    if (store->idle_count < STORE_IDLE_MAX) {
        store->idle[store->idle_count++] = snapshot;
        snapshot = NULL;
    }
    pthread_mutex_unlock(&store->dict_mutex);
    end(&snapshot);
    *snapshot_ptr = NULL;
}

void store_idle_end(struct med_store *store)
{
    while (store->idle_count > 0) end(&store->idle[--store->idle_count]);
}

uint64_t med_snapshot_doc_count(const struct med_snapshot *snapshot)
{
    return snapshot->state.doc_count;
}

uint64_t med_snapshot_txn_id(const struct med_snapshot *snapshot)
{
    uint64_t count = snapshot->state.commit_count;
    return count ? count : med_txn_id(snapshot->txn);
}

static enum med_code not_found(struct med_str id, struct med_err *err)
{
    return med_fail(err, MED_E_NOT_FOUND, "there is no document " MED_STR_FMT, MED_STR_ARG(id));
}

enum med_code med_snapshot_is_blocked(
    struct med_snapshot *snapshot, struct med_str id, bool *ret_blocked, struct med_err *err)
{
    return store_is_blocked(snapshot->txn, &snapshot->state, id, ret_blocked, err);
}

/* --- one document --- */

enum med_code snapshot_read(struct med_snapshot *snapshot, struct med_str id, uint32_t version,
    struct med_arena *arena, struct med_doc **ret_doc, struct med_hash128 *ret_hash,
    struct med_err *err)
{
    char key[MED_VERSION_KEY_BYTES_MAX];
    struct med_str bytes, raw;
    struct med_doc *doc;
    enum med_code code =
        med_txn_get(snapshot->txn, TABLE_VERSIONS, med_version_key(key, id, version), &bytes, err);
    if (code == MED_E_NOT_FOUND) {
        return med_fail(
            err, code, "there is no version %u of document " MED_STR_FMT, version, MED_STR_ARG(id));
    }
    if (code == MED_OK) {
        code = store_unpack(
            snapshot->store, snapshot->txn, snapshot->zctx, bytes, arena, &raw, ret_hash, err);
    }
    if (code == MED_OK) code = med_doc_decode(raw.ptr, raw.len, arena, &doc, err);
    if (code == MED_OK && !med_str_eq(doc->id, id))
        code = med_fail(err, MED_E_CORRUPT, "the record has another id");
    if (code != MED_OK) {
        med_err_prefix(err, MED_STR_FMT " version %u", MED_STR_ARG(id), version);
        return code;
    }
    doc->store_version = version;
    *ret_doc = doc;
    return MED_OK;
}

/* The live version that the head names. */
static enum med_code read_live(struct med_snapshot *snapshot, struct med_str id,
    const struct med_head *head, struct med_arena *arena, struct med_doc **ret_doc,
    struct med_err *err)
{
    struct med_hash128 hash;
    struct med_doc *doc;
    enum med_code code = snapshot_read(snapshot, id, head->version, arena, &doc, &hash, err);
    if (code == MED_E_NOT_FOUND || code == MED_E_GONE) {
        return med_fail(err, MED_E_CORRUPT, "the current version of " MED_STR_FMT " is missing",
            MED_STR_ARG(id));
    }
    if (code != MED_OK) return code;
    if (!med_hash128_eq(hash, head->hash)) {
        return med_fail(err, MED_E_CORRUPT,
            "the current version of " MED_STR_FMT " is not what its head says", MED_STR_ARG(id));
    }
    doc->precedence = head->precedence;
    *ret_doc = doc;
    return MED_OK;
}

enum med_code med_snapshot_get(struct med_snapshot *snapshot, struct med_str id,
    struct med_arena *arena, struct med_doc **ret_doc, struct med_err *err)
{
    struct med_head head;
    enum med_code code = store_head(snapshot->txn, id, &head, err);
    if (code == MED_E_NOT_FOUND) return not_found(id, err);
    if (code != MED_OK) return code;
    if (!head.live) {
        return med_fail(err, MED_E_GONE, "document " MED_STR_FMT " was deleted", MED_STR_ARG(id));
    }
    return read_live(snapshot, id, &head, arena, ret_doc, err);
}

enum med_code med_snapshot_get_version(struct med_snapshot *snapshot, struct med_str id,
    uint32_t version, struct med_arena *arena, struct med_doc **ret_doc, struct med_err *err)
{
    struct med_head head;
    struct med_hash128 hash;
    enum med_code code = store_head(snapshot->txn, id, &head, err);
    if (code == MED_E_NOT_FOUND) return not_found(id, err);
    if (code != MED_OK) return code;
    if (head.live && version == head.version)
        return read_live(snapshot, id, &head, arena, ret_doc, err);
    return snapshot_read(snapshot, id, version, arena, ret_doc, &hash, err);
}

/* --- aliases --- */

struct id_list {
    struct med_str *ids;
    size_t count, cap;
};

static enum med_code add_id(
    struct id_list *list, struct med_arena *arena, struct med_str id, struct med_err *err)
{
    if (list->count == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 4;
        struct med_str *ids = med_arena_calloc(arena, cap, sizeof *ids);
        if (!ids) return med_fail(err, MED_E_NOMEM, "out of memory for ids");
        if (list->count > 0) memcpy(ids, list->ids, list->count * sizeof *ids);
        list->ids = ids;
        list->cap = cap;
    }
    if (!med_arena_str(arena, id, &list->ids[list->count])) {
        return med_fail(err, MED_E_NOMEM, "out of memory for ids");
    }
    list->count++;
    return MED_OK;
}

enum med_code med_snapshot_find_alias(struct med_snapshot *snapshot, struct med_str alias,
    struct med_arena *arena, struct med_str **ret_ids, size_t *ret_count, struct med_err *err)
{
    struct id_list list = {0};
    struct med_head head;
    struct med_cursor *cursor = NULL;
    enum med_code code = MED_OK;
    if (alias.len > 0 && alias.len <= MED_ID_BYTES_MAX) {
        code = store_head(snapshot->txn, alias, &head, err);
        /* Its own id is a document's first name; it is not kept in the table of the others. */
        bool own = code == MED_OK && head.live;
        if (code == MED_E_NOT_FOUND) code = MED_OK;
        if (code == MED_OK) code = med_cursor_open(snapshot->txn, TABLE_ALIASES, &cursor, err);
        struct med_str key = alias, id;
        if (code == MED_OK) code = med_cursor_move(cursor, MED_MOVE_EXACT, &key, &id, err);
        while (code == MED_OK) {
            if (own && med_str_cmp(alias, id) < 0) {
                own = false;
                code = add_id(&list, arena, alias, err);
            }
            if (code == MED_OK) code = add_id(&list, arena, id, err);
            if (code == MED_OK)
                code = med_cursor_move(cursor, MED_MOVE_NEXT_DUPLICATE, &key, &id, err);
        }
        if (code == MED_E_NOT_FOUND) code = own ? add_id(&list, arena, alias, err) : MED_OK;
    }
    med_cursor_close(&cursor);
    if (code != MED_OK) return code;
    *ret_ids = list.ids;
    *ret_count = list.count;
    return MED_OK;
}

/* --- all documents --- */

/* Visits the heads of live documents in order. */
typedef enum med_code (*head_visit)(
    void *ctx, struct med_str id, const struct med_head *head, struct med_err *err);

static enum med_code each_live_head(
    struct med_snapshot *snapshot, head_visit visit, void *ctx, struct med_err *err)
{
    struct med_cursor *cursor;
    struct med_str id = {0}, bytes;
    enum med_code code = med_cursor_open(snapshot->txn, TABLE_HEADS, &cursor, err);
    if (code != MED_OK) return code;
    code = med_cursor_move(cursor, MED_MOVE_FIRST, &id, &bytes, err);
    bool more = code == MED_OK;
    if (code == MED_E_NOT_FOUND) code = MED_OK;
    while (code == MED_OK && more) {
        struct med_head head;
        if (id.len > MED_ID_BYTES_MAX || !med_head_decode(bytes, &head)) {
            code = med_fail(err, MED_E_CORRUPT, "a head record is damaged");
            break;
        }
        if (head.live) code = visit(ctx, id, &head, err);
        if (code != MED_OK) break;
        code = med_cursor_move(cursor, MED_MOVE_NEXT, &id, &bytes, err);
        more = code == MED_OK;
        if (code == MED_E_NOT_FOUND) code = MED_OK;
    }
    med_cursor_close(&cursor);
    return code;
}

struct each_ctx {
    struct med_snapshot *snapshot;
    struct med_arena *arena;
    med_doc_visit visit;
    void *ctx;
};

static enum med_code visit_document(
    void *ctx, struct med_str id, const struct med_head *head, struct med_err *err)
{
    struct each_ctx *each = ctx;
    struct med_doc *doc;
    med_arena_reset(each->arena);
    enum med_code code = read_live(each->snapshot, id, head, each->arena, &doc, err);
    return code == MED_OK ? each->visit(each->ctx, doc, each->arena, err) : code;
}

enum med_code med_snapshot_each(
    struct med_snapshot *snapshot, med_doc_visit visit, void *ctx, struct med_err *err)
{
    struct each_ctx each = {.snapshot = snapshot, .visit = visit, .ctx = ctx};
    enum med_code code = med_arena_new(MED_DOC_ARENA_BYTES_MAX, &each.arena, err);
    if (code != MED_OK) return code;
    code = each_live_head(snapshot, visit_document, &each, err);
    med_arena_free(&each.arena);
    return code;
}

struct list_ctx {
    struct med_arena *arena;
    struct med_id_version *list;
    size_t count, cap;
};

static enum med_code list_document(
    void *ctx, struct med_str id, const struct med_head *head, struct med_err *err)
{
    struct list_ctx *l = ctx;
    if (l->count == l->cap)
        return med_fail(err, MED_E_CORRUPT, "more documents are live than the store counts");
    if (!med_arena_str(l->arena, id, &l->list[l->count].id)) {
        return med_fail(err, MED_E_NOMEM, "out of memory for a list of %zu documents", l->cap);
    }
    l->list[l->count++].version = head->version;
    return MED_OK;
}

enum med_code med_snapshot_list(struct med_snapshot *snapshot, struct med_arena *arena,
    struct med_id_version **ret_list, size_t *ret_count, struct med_err *err)
{
    struct list_ctx l = {.arena = arena, .cap = (size_t)snapshot->state.doc_count};
    l.list = med_arena_calloc(arena, l.cap, sizeof *l.list);
    if (!l.list)
        return med_fail(err, MED_E_NOMEM, "out of memory for a list of %zu documents", l.cap);
    enum med_code code = each_live_head(snapshot, list_document, &l, err);
    if (code == MED_OK && l.count != l.cap) {
        code = med_fail(err, MED_E_CORRUPT, "fewer documents are live than the store counts");
    }
    if (code != MED_OK) return code;
    *ret_list = l.list;
    *ret_count = l.count;
    return MED_OK;
}

/* --- input log --- */

enum med_code med_snapshot_inputs(struct med_snapshot *snapshot, size_t limit,
    struct med_arena *arena, struct med_input_entry **ret_entries, size_t *ret_count,
    struct med_err *err)
{
    uint64_t there = med_txn_count(snapshot->txn, TABLE_INPUTS);
    size_t cap = there < limit ? (size_t)there : limit, count = 0;
    struct med_input_entry *entries = med_arena_calloc(arena, cap, sizeof *entries);
    if (!entries) return med_fail(err, MED_E_NOMEM, "out of memory for the input log");
    struct med_cursor *cursor;
    struct med_str key = {0}, bytes;
    enum med_code code = med_cursor_open(snapshot->txn, TABLE_INPUTS, &cursor, err);
    if (code != MED_OK) return code;
    while (code == MED_OK && count < cap) {
        code =
            med_cursor_move(cursor, count == 0 ? MED_MOVE_LAST : MED_MOVE_PREV, &key, &bytes, err);
        if (code != MED_OK) break;
        struct med_input_entry *entry = &entries[count];
        if (!med_input_decode(bytes, entry)) {
            code = med_fail(err, MED_E_CORRUPT, "the input log is damaged");
        } else if (!med_arena_str(arena, entry->name, &entry->name)) {
            code = med_fail(err, MED_E_NOMEM, "out of memory for the input log");
        } else {
            count++;
        }
    }
    med_cursor_close(&cursor);
    if (code != MED_OK && code != MED_E_NOT_FOUND) return code;
    *ret_entries = entries;
    *ret_count = count;
    return MED_OK;
}

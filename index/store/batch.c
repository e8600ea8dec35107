/* Batches: one write transaction that puts and deletes documents by the rules of precedence.
 *
 * Everything that can fail without touching the database (encoding, compressing) comes first; after
 * that a failed write poisons the batch, which can then only be aborted. Aliases are kept in the
 * head as well as in their table, so that a new version finds the names of the one it replaces
 * without unpacking it. */
#include "index/store/internal.h"

#include "common/clock.h"
#include "common/mem.h"

#include <assert.h>

#define PUT_ARENA_BYTES_MAX (64 * MED_KIB) /* aliases of one document */
#define PACKED_BYTES_MAX (2 * MED_RECORD_BYTES_MAX)

/* --- life --- */

static void free_batch(struct med_batch *batch)
{
    med_txn_abort(&batch->txn);
    med_zctx_free(&batch->zctx);
    med_arena_free(&batch->arena);
    med_dict_free(&batch->new_dict);
    med_buf_free(&batch->raw);
    med_buf_free(&batch->packed);
    med_buf_free(&batch->record);
    med_buf_free(&batch->head);
    med_free(batch);
}

static enum med_code prepare(struct med_batch *batch, struct med_err *err)
{
    med_buf_init(&batch->raw, MED_RECORD_BYTES_MAX);
    med_buf_init(&batch->packed, PACKED_BYTES_MAX);
    med_buf_init(&batch->record, PACKED_BYTES_MAX);
    med_buf_init(&batch->head, MED_HEAD_BYTES_MAX + MED_INPUT_NAME_BYTES_MAX);
    enum med_code code = med_arena_new(PUT_ARENA_BYTES_MAX, &batch->arena, err);
    if (code == MED_OK) code = med_zctx_new(&batch->zctx, err);
    if (code == MED_OK) code = med_txn_begin(batch->store->env, true, &batch->txn, err);
    if (code == MED_OK) code = store_state_read(batch->txn, &batch->state, err);
    if (code == MED_OK && batch->state.dict_id != 0) {
        code = store_dict(batch->store, batch->txn, batch->state.dict_id, &batch->dict, err);
        if (code == MED_OK) store_dict_use(batch->store, batch->dict);
    }
    return code;
}

enum med_code med_batch_begin(
    struct med_store *store, struct med_batch **ret_batch, struct med_err *err)
{
    if (store->read_only)
        return med_fail(err, MED_E_PERMISSION, "the docstore is open for reading only");
    struct med_batch *batch = med_calloc(1, sizeof *batch);
    if (!batch) return med_fail(err, MED_E_NOMEM, "out of memory for a batch");
    batch->store = store;
    enum med_code code = prepare(batch, err);
    if (code != MED_OK) {
        free_batch(batch);
        return code;
    }
    *ret_batch = batch;
    return MED_OK;
}

void med_batch_abort(struct med_batch **batch)
{
    if (*batch) free_batch(*batch);
    *batch = NULL;
}

uint64_t med_batch_bytes(const struct med_batch *batch)
{
    return batch->bytes;
}

enum med_code med_batch_commit(struct med_batch **batch_ptr, struct med_err *err)
{
    struct med_batch *batch = *batch_ptr;
    *batch_ptr = NULL;
    enum med_code code = batch->code;
    if (code != MED_OK) {
        code =
            med_fail(err, code, "an earlier write of this batch failed: nothing of it was stored");
    } else if (batch->bytes > 0) { /* an empty batch leaves no new state */
        code = store_state_write(batch->txn, &batch->state, err);
        if (code == MED_OK) code = med_txn_commit(&batch->txn, err);
    }
    if (code == MED_OK && batch->new_dict) store_dict_add(batch->store, &batch->new_dict);
    free_batch(batch);
    return code;
}

/* --- writing --- */

static enum med_code check_usable(const struct med_batch *batch, struct med_err *err)
{
    if (batch->code != MED_OK) {
        return med_fail(
            err, batch->code, "an earlier write of this batch failed: abort it and begin again");
    }
    if (batch->bytes > STORE_BATCH_BYTES_MAX) {
        return med_fail(err, MED_E_LIMIT,
            "a batch holds at most %llu MiB: commit it and begin another",
            STORE_BATCH_BYTES_MAX / MED_MIB);
    }
    return MED_OK;
}

static enum med_code put(struct med_batch *batch, enum store_table table, struct med_str key,
    struct med_str value, struct med_err *err)
{
    enum med_code code = med_txn_put(batch->txn, table, key, value, err);
    if (code != MED_OK) batch->code = code;
    batch->bytes += key.len + value.len;
    return code;
}

static bool has_alias(const struct med_head *head, struct med_str alias)
{
    for (size_t i = 0; i < head->alias_count; i++) {
        if (med_str_eq(head->aliases[i], alias)) return true;
    }
    return false;
}

static enum med_code move_aliases(struct med_batch *batch, struct med_str id,
    const struct med_head *from, const struct med_head *to, struct med_err *err)
{
    enum med_code code = MED_OK;
    for (size_t i = 0; code == MED_OK && i < from->alias_count; i++) {
        if (has_alias(to, from->aliases[i])) continue;
        code = med_txn_delete(batch->txn, TABLE_ALIASES, from->aliases[i], id, err);
        if (code != MED_OK) batch->code = code;
    }
    for (size_t i = 0; code == MED_OK && i < to->alias_count; i++) {
        if (!has_alias(from, to->aliases[i]))
            code = put(batch, TABLE_ALIASES, to->aliases[i], id, err);
    }
    return code;
}

static enum med_code put_head(
    struct med_batch *batch, struct med_str id, const struct med_head *head, struct med_err *err)
{
    med_buf_reset(&batch->head);
    med_head_encode(head, &batch->head);
    enum med_code code = med_buf_status(&batch->head, err);
    return code == MED_OK ? put(batch, TABLE_HEADS, id, med_buf_str(&batch->head), err) : code;
}

/* What put and delete have in common. `next` is filled but for its version. */
static enum med_code write_version(struct med_batch *batch, struct med_str id,
    struct med_str record, const struct med_head *current, struct med_head *next,
    struct med_err *err)
{
    char key[MED_VERSION_KEY_BYTES_MAX];
    next->version = current->version + 1;
    if (next->version == 0) return med_fail(err, MED_E_LIMIT, "too many versions of one document");
    enum med_code code =
        put(batch, TABLE_VERSIONS, med_version_key(key, id, next->version), record, err);
    /* Aliases first: the current head's strings lie in the record that put_head replaces. */
    if (code == MED_OK) code = move_aliases(batch, id, current, next, err);
    if (code == MED_OK) code = put_head(batch, id, next, err);
    if (code != MED_OK) return code;
    if (next->live && !current->live) batch->state.doc_count++;
    if (!next->live && current->live) batch->state.doc_count--;
    return MED_OK;
}

static enum med_code touch(struct med_batch *batch, struct med_str id,
    const struct med_head *current, struct med_precedence precedence, struct med_err *err)
{
    struct med_head head = *current;
    head.precedence = precedence;
    return put_head(batch, id, &head, err);
}

/* Copies the aliases into the arena: the map's bytes may move with the next write. */
static enum med_code read_current(struct med_batch *batch, struct med_str id,
    struct med_head *ret_head, bool *ret_found, struct med_err *err)
{
    enum med_code code = store_head(batch->txn, id, ret_head, err);
    *ret_found = code == MED_OK;
    if (code == MED_E_NOT_FOUND) {
        *ret_head = (struct med_head){0};
        return MED_OK;
    }
    for (size_t i = 0; code == MED_OK && i < ret_head->alias_count; i++) {
        if (!med_arena_str(batch->arena, ret_head->aliases[i], &ret_head->aliases[i])) {
            code = med_fail(err, MED_E_NOMEM, "out of memory for aliases");
        }
    }
    return code;
}

static struct med_candidate candidate_of(const struct med_head *head)
{
    return (struct med_candidate){
        .live = head->live, .precedence = head->precedence, .hash = head->hash};
}

/* A new version of a document. */
static enum med_code write_prepared(struct med_batch *batch, const struct med_prepared *prepared,
    const struct med_head *current, struct med_head *next, struct med_err *err)
{
    enum med_code code = MED_OK;
    struct med_str record = prepared->record;
    memcpy(next->aliases, prepared->names, sizeof next->aliases);
    next->alias_count = prepared->name_count;
    if (record.len == 0) {
        code = store_pack(batch->zctx, batch->dict, prepared->raw, prepared->hash, &batch->packed,
            &batch->record, err);
        record = med_buf_str(&batch->record);
    }
    if (code == MED_OK) code = write_version(batch, prepared->id, record, current, next, err);
    if (code == MED_OK && batch->state.doc_count >= batch->state.next_training && !batch->new_dict)
        code = batch_train(batch, err);
    return code;
}

static enum med_code put_prepared(struct med_batch *batch, const struct med_prepared *prepared,
    enum med_put_outcome *ret_outcome, struct med_err *err)
{
    struct med_head next = {
        .live = true, .precedence = prepared->precedence, .hash = prepared->hash};
    struct med_head current;
    bool found, blocked;
    enum med_code code = store_is_blocked(batch->txn, &batch->state, prepared->id, &blocked, err);
    if (code == MED_OK && blocked) *ret_outcome = MED_PUT_BLOCKED;
    if (code == MED_OK && !blocked) code = read_current(batch, prepared->id, &current, &found, err);
    if (code != MED_OK || blocked) return code;
    struct med_candidate now = candidate_of(&current), incoming = candidate_of(&next);
    enum med_put_outcome outcome;
    enum med_decision decision = med_decide(found ? &now : NULL, &incoming, &outcome);
    if (decision == MED_DECIDE_TOUCH)
        code = touch(batch, prepared->id, &current, prepared->precedence, err);
    if (decision == MED_DECIDE_WRITE) code = write_prepared(batch, prepared, &current, &next, err);
    if (code == MED_OK) *ret_outcome = outcome;
    return code;
}

enum med_code med_batch_put(struct med_batch *batch, const struct med_doc *doc,
    enum med_put_outcome *ret_outcome, struct med_err *err)
{
    struct med_prepared prepared;
    enum med_code code = check_usable(batch, err);
    if (code != MED_OK) return code;
    med_arena_reset(batch->arena);
    code = store_prepare(doc, &batch->raw, batch->arena, &prepared, err);
    return code == MED_OK ? put_prepared(batch, &prepared, ret_outcome, err) : code;
}

enum med_code med_batch_put_prepared(struct med_batch *batch, const struct med_prepared *prepared,
    enum med_put_outcome *ret_outcome, struct med_err *err)
{
    enum med_code code = check_usable(batch, err);
    if (code != MED_OK) return code;
    med_arena_reset(batch->arena);
    return put_prepared(batch, prepared, ret_outcome, err);
}

enum med_code med_batch_delete(struct med_batch *batch, struct med_str id,
    struct med_precedence precedence, enum med_put_outcome *ret_outcome, struct med_err *err)
{
    enum med_code code = check_usable(batch, err);
    if (code == MED_OK) code = med_doc_id_check(id, err);
    if (code != MED_OK) return code;
    med_arena_reset(batch->arena);
    struct med_head next = {.live = false, .precedence = precedence};
    struct med_head current;
    bool found, blocked;
    code = store_is_blocked(batch->txn, &batch->state, id, &blocked, err);
    if (code == MED_OK && blocked) *ret_outcome = MED_PUT_BLOCKED;
    if (code == MED_OK && !blocked) code = read_current(batch, id, &current, &found, err);
    if (code != MED_OK || blocked) return code;
    struct med_candidate now = candidate_of(&current), incoming = candidate_of(&next);
    enum med_put_outcome outcome;
    enum med_decision decision = med_decide(found ? &now : NULL, &incoming, &outcome);
    if (decision == MED_DECIDE_TOUCH) code = touch(batch, id, &current, precedence, err);
    if (decision == MED_DECIDE_WRITE) {
        med_buf_reset(&batch->record);
        med_record_encode(&(struct med_record){.codec = MED_CODEC_DELETED}, &batch->record);
        code = med_buf_status(&batch->record, err);
        if (code == MED_OK)
            code = write_version(batch, id, med_buf_str(&batch->record), &current, &next, err);
    }
    if (code == MED_OK) *ret_outcome = outcome;
    return code;
}

enum med_code med_batch_log_input(
    struct med_batch *batch, const struct med_input_entry *entry, struct med_err *err)
{
    enum med_code code = check_usable(batch, err);
    if (code != MED_OK) return code;
    struct med_cursor *cursor;
    struct med_str key = {0}, value;
    uint64_t last = 0;
    code = med_cursor_open(batch->txn, TABLE_INPUTS, &cursor, err);
    if (code != MED_OK) return code;
    code = med_cursor_move(cursor, MED_MOVE_LAST, &key, &value, err);
    if (code == MED_OK && !med_be64_read(key, &last))
        code = med_fail(err, MED_E_CORRUPT, "the input log is damaged");
    med_cursor_close(&cursor);
    if (code != MED_OK && code != MED_E_NOT_FOUND) return code;
    struct med_input_entry cut = *entry;
    if (cut.name.len > MED_INPUT_NAME_BYTES_MAX) cut.name.len = MED_INPUT_NAME_BYTES_MAX;
    char key_bytes[8];
    med_buf_reset(&batch->head);
    med_input_encode(&cut, &batch->head);
    code = med_buf_status(&batch->head, err);
    if (code != MED_OK) return code;
    return put(batch, TABLE_INPUTS, med_be64(key_bytes, last + 1), med_buf_str(&batch->head), err);
}

/* --- removal --- */

static bool is_kept(uint32_t version, const uint32_t *keep, size_t keep_count)
{
    for (size_t i = 0; i < keep_count; i++) {
        if (keep[i] == version) return true;
    }
    return false;
}

/* Removes version records of id but for `current` (0 = none is) and those in keep. */
static enum med_code remove_versions(struct med_batch *batch, struct med_str id, uint32_t current,
    const uint32_t *keep, size_t keep_count, uint64_t *ret_removed, struct med_err *err)
{
    char bytes[MED_VERSION_KEY_BYTES_MAX];
    uint64_t removed = 0;
    for (uint32_t version = 1;;) {
        /* Each step looks again: cursors and slices do not outlive a delete. */
        struct med_cursor *cursor;
        struct med_str key = med_version_key(bytes, id, version), value, found_id;
        enum med_code code = med_cursor_open(batch->txn, TABLE_VERSIONS, &cursor, err);
        if (code != MED_OK) return code;
        code = med_cursor_move(cursor, MED_MOVE_SEEK, &key, &value, err);
        med_cursor_close(&cursor);
        if (code != MED_OK && code != MED_E_NOT_FOUND) return code;
        if (code == MED_E_NOT_FOUND || !med_version_key_split(key, &found_id, &version) ||
            !med_str_eq(found_id, id)) {
            break;
        }
        if (version != current && !is_kept(version, keep, keep_count)) {
            code = med_txn_delete(batch->txn, TABLE_VERSIONS, med_version_key(bytes, id, version),
                (struct med_str){0}, err);
            if (code != MED_OK) {
                batch->code = code;
                return code;
            }
            removed++;
            batch->bytes += sizeof bytes;
        }
        if (version == UINT32_MAX) break;
        version++;
    }
    *ret_removed = removed;
    return MED_OK;
}

enum med_code med_batch_trim(struct med_batch *batch, struct med_str id, const uint32_t *keep,
    size_t keep_count, uint64_t *ret_removed, struct med_err *err)
{
    struct med_head head;
    enum med_code code = check_usable(batch, err);
    if (code == MED_OK) code = store_head(batch->txn, id, &head, err);
    if (code == MED_E_NOT_FOUND)
        return med_fail(err, code, "there is no document " MED_STR_FMT, MED_STR_ARG(id));
    if (code != MED_OK) return code;
    return remove_versions(batch, id, head.version, keep, keep_count, ret_removed, err);
}

enum med_code med_batch_purge(struct med_batch *batch, struct med_str id, struct med_err *err)
{
    enum med_code code = check_usable(batch, err);
    if (code != MED_OK) return code;
    med_arena_reset(batch->arena);
    struct med_head head;
    bool found;
    uint64_t removed;
    code = read_current(batch, id, &head, &found, err);
    if (code != MED_OK) return code;
    if (!found)
        return med_fail(err, MED_E_NOT_FOUND, "there is no document " MED_STR_FMT, MED_STR_ARG(id));
    code = remove_versions(batch, id, 0, NULL, 0, &removed, err);
    if (code == MED_OK) code = move_aliases(batch, id, &head, &(struct med_head){0}, err);
    if (code == MED_OK)
        code = med_txn_delete(batch->txn, TABLE_HEADS, id, (struct med_str){0}, err);
    if (code != MED_OK) {
        batch->code = code;
        return code;
    }
    if (head.live) batch->state.doc_count--;
    batch->bytes += id.len + sizeof head;
    return MED_OK;
}

enum med_code med_batch_block(
    struct med_batch *batch, struct med_str id, bool blocked, struct med_err *err)
{
    char key_bytes[STORE_BLOCKED_KEY_BYTES], time_bytes[8];
    enum med_code code = check_usable(batch, err);
    if (code == MED_OK) code = med_doc_id_check(id, err);
    if (code != MED_OK) return code;
    struct med_str key = store_blocked_key(key_bytes, &batch->state, id);
    if (blocked)
        return put(batch, TABLE_META, key, med_be64(time_bytes, (uint64_t)med_unix_time_s()), err);
    code = med_txn_delete(batch->txn, TABLE_META, key, (struct med_str){0}, err);
    if (code != MED_OK) batch->code = code;
    batch->bytes += key.len;
    return code;
}

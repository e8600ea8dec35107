/* Writing the store anew. LMDB gives the pages of what was removed to later writers, and until then
 * the old bytes are in the file; a compression dictionary keeps pieces of the documents it was
 * trained on for as long as a record needs it. So every record is read, compressed with a
 * dictionary that was trained on what is there now, and put in order into a new environment beside
 * the old one; then the two folders change names (renameat2, RENAME_EXCHANGE).
 *
 * The writer lock of the old environment is held from the first read to the exchange: no batch can
 * be lost in between. Whoever waits for it learns from med_txn_begin that the folder was replaced.
 *
 *   crash before the exchange: a folder <docs>.new, removed by the next rewrite
 *   crash after it:            <docs>.new holds the old files; the next rewrite removes it */
#include "index/store/internal.h"

#include "common/fs.h"
#include "common/mem.h"

#include <stdio.h>

#define NEW_SUFFIX ".new"
#define COMMIT_BYTES (256 * MED_MIB)
#define DICT_ID 1u
#define PROGRESS_RECORDS 1024u

struct rewrite {
    struct med_batch *from;
    struct med_env *to;
    struct med_txn *txn;   /* of `to` */
    struct med_dict *dict; /* the new one; NULL = none */
    struct med_arena *arena;
    uint64_t uncommitted_bytes, done, total;
    const struct med_progress *progress;
};

static enum med_code put(struct rewrite *r, enum store_table table, struct med_str key,
    struct med_str value, struct med_err *err)
{
    enum med_code code = med_txn_put(r->txn, table, key, value, err);
    r->uncommitted_bytes += key.len + value.len;
    if (code == MED_OK && r->uncommitted_bytes >= COMMIT_BYTES) {
        r->uncommitted_bytes = 0;
        code = med_txn_commit(&r->txn, err);
        if (code == MED_OK) code = med_txn_begin(r->to, true, &r->txn, err);
    }
    return code;
}

/* The record of a version, compressed anew. One that cannot be read stays as it is: `check` reports
 * it, and it must not keep others from being purged. */
static enum med_code put_version(
    struct rewrite *r, struct med_str key, struct med_str bytes, struct med_err *err)
{
    struct med_batch *b = r->from;
    struct med_record record;
    struct med_str raw;
    struct med_hash128 hash;
    if (!med_record_decode(bytes, &record) || record.codec != MED_CODEC_ZSTD)
        return put(r, TABLE_VERSIONS, key, bytes, err);
    med_arena_reset(r->arena);
    enum med_code code = store_unpack(b->store, b->txn, b->zctx, bytes, r->arena, &raw, &hash, err);
    if (code == MED_E_CORRUPT) return put(r, TABLE_VERSIONS, key, bytes, err);
    if (code != MED_OK) return code;
    code = store_pack(b->zctx, r->dict, raw, hash, &b->packed, &b->record, err);
    return code == MED_OK ? put(r, TABLE_VERSIONS, key, med_buf_str(&b->record), err) : code;
}

static enum med_code tell(struct rewrite *r, struct med_err *err)
{
    if (++r->done % PROGRESS_RECORDS != 0 ||
        med_progress(r->progress, "rewrite", r->done, r->total, "records"))
        return MED_OK;
    return med_fail(err, MED_E_CANCELLED, "the docstore was not written anew");
}

static enum med_code copy_table(struct rewrite *r, enum store_table table, struct med_err *err)
{
    struct med_cursor *cursor;
    struct med_str key = {0}, value;
    enum med_code code = med_cursor_open(r->from->txn, table, &cursor, err);
    if (code != MED_OK) return code;
    code = med_cursor_move(cursor, MED_MOVE_FIRST, &key, &value, err);
    while (code == MED_OK) {
        if (table == TABLE_VERSIONS)
            code = put_version(r, key, value, err);
        else if (table != TABLE_META || !med_str_eq(key, STORE_STATE_KEY))
            code = put(r, table, key, value, err);
        if (code == MED_OK) code = tell(r, err);
        if (code == MED_OK) code = med_cursor_move(cursor, MED_MOVE_NEXT, &key, &value, err);
    }
    med_cursor_close(&cursor);
    return code == MED_E_NOT_FOUND ? MED_OK : code;
}

/* The dictionary of the new store, where the old one has any. */
static enum med_code put_dictionary(struct rewrite *r, struct med_err *err)
{
    char key[4];
    struct med_buf bytes;
    if (r->from->state.dict_id == 0) return MED_OK;
    med_buf_init(&bytes, MED_DICT_BYTES_MAX);
    enum med_code code = batch_dictionary(r->from, &bytes, err);
    if (code == MED_OK) code = med_dict_new(DICT_ID, med_buf_str(&bytes), &r->dict, err);
    if (code == MED_OK)
        code = put(r, TABLE_DICTS, med_be32(key, DICT_ID), med_buf_str(&bytes), err);
    med_buf_free(&bytes);
    return code == MED_E_UNSUPPORTED ? MED_OK : code;
}

static enum med_code copy_all(struct rewrite *r, struct med_err *err)
{
    static const enum store_table copied[] = {
        TABLE_HEADS, TABLE_VERSIONS, TABLE_ALIASES, TABLE_INPUTS, TABLE_META};
    struct med_store_state state = r->from->state;
    for (size_t i = 0; i < sizeof copied / sizeof *copied; i++)
        r->total += med_txn_count(r->from->txn, copied[i]);
    enum med_code code = med_txn_begin(r->to, true, &r->txn, err);
    if (code == MED_OK) code = put_dictionary(r, err);
    for (size_t i = 0; code == MED_OK && i < sizeof copied / sizeof *copied; i++)
        code = copy_table(r, copied[i], err);
    state.dict_id = r->dict ? DICT_ID : 0;
    if (code == MED_OK) code = store_state_write(r->txn, &state, err);
    if (code == MED_OK) code = med_txn_commit(&r->txn, err);
    med_txn_abort(&r->txn);
    return code;
}

static enum med_code rewrite_into(
    struct rewrite *r, struct med_store *store, const char *dir, struct med_err *err)
{
    struct med_store *fresh = NULL;
    const struct med_fs *fs = med_fs_posix();
    enum med_code code = med_fs_remove_tree(fs, dir, err);
    if (code == MED_OK) code = med_fs_mkdir_all(fs, dir, err);
    if (code == MED_OK) code = med_arena_new(MED_RECORD_BYTES_MAX + MED_MIB, &r->arena, err);
    if (code == MED_OK) code = med_store_open(dir, MED_STORE_READ_WRITE, &fresh, err);
    if (code == MED_OK) r->to = fresh->env;
    if (code == MED_OK) code = copy_all(r, err);
    if (fresh) med_store_close(&fresh);
    if (code == MED_OK) code = fs->ops->sync_dir(fs, dir, err);
    if (code == MED_OK) code = med_env_exchange(store->env, dir, err);
    med_arena_free(&r->arena);
    med_dict_free(&r->dict);
    return code;
}

enum med_code med_store_rewrite(
    struct med_store *store, const struct med_progress *progress, struct med_err *err)
{
    char dir[MED_PATH_MAX];
    const char *path = med_env_path(store->env);
    struct rewrite r = {.progress = progress};
    if ((size_t)snprintf(dir, sizeof dir, "%s%s", path, NEW_SUFFIX) >= sizeof dir)
        return med_fail(err, MED_E_LIMIT, "the path of the docstore is too long");
    enum med_code code = med_batch_begin(store, &r.from, err);
    if (code != MED_OK) return code;
    code = rewrite_into(&r, store, dir, err);
    med_batch_abort(&r.from);
    struct med_err ignored;
    enum med_code removed =
        med_fs_remove_tree(med_fs_posix(), dir, code == MED_OK ? err : &ignored);
    return code != MED_OK ? code : removed;
}

/* What the files of this folder share. Not for others, except tests. */
#pragma once

#include "index/store/compress.h"
#include "index/store/lmdb_env.h"
#include "index/store/record.h"
#include "index/store/store.h"

#include <pthread.h>

enum store_table {
    TABLE_HEADS,
    TABLE_VERSIONS,
    TABLE_ALIASES,
    TABLE_INPUTS,
    TABLE_DICTS,
    TABLE_META,
    TABLE_COUNT
};

#define STORE_DICTS_MAX 64
#define STORE_SPARE_MAX 64
#define STORE_IDLE_MAX 16 /* each holds one of LMDB's reader slots */
/* A batch takes no more than this, so that its room in the map can be known before it begins
 * (lmdb_env.h). Twice: pages that split are half full. Twice again for heads, aliases and branches
 * of very small documents. */
#define STORE_BATCH_BYTES_MAX MED_GIB
#define STORE_ROOM_BYTES (4 * STORE_BATCH_BYTES_MAX)
#define STORE_MAP_BYTES (1024 * MED_GIB)
#define STORE_FIRST_TRAINING                                                                       \
    2000 /* documents; then again whenever the store has grown so many times: */
#define STORE_TRAINING_GROWTH 50

struct med_store {
    struct med_env *env; /* perhaps shared with other stores of this process */
    bool read_only;
    pthread_mutex_t
        dict_mutex; /* guards what stands below; entries stay until the store is closed */
    struct med_dict *dicts[STORE_DICTS_MAX];
    size_t dict_count;
    const struct med_dict *current;          /* of new records, as committed; NULL = none */
    struct med_zctx *spare[STORE_SPARE_MAX]; /* of closed snapshots, for the next ones */
    size_t spare_count;
    struct med_snapshot *idle[STORE_IDLE_MAX]; /* closed ones whose transactions rest */
    size_t idle_count;
};

/* med_store_open with other sizes: tests of map growth. */
enum med_code store_open_sized(const char *dir, enum med_store_mode mode, uint64_t map_bytes,
    uint64_t room_bytes, struct med_store **ret_store, struct med_err *err) MED_CHECK;

/* The dictionary with this id, loaded on first use. Borrowed from the store. */
enum med_code store_dict(struct med_store *store, struct med_txn *txn, uint32_t id,
    const struct med_dict **ret_dict, struct med_err *err) MED_CHECK;
/* Working memory for one reader, and back: making it anew for each search was a quarter of a small
 * one. */
enum med_code store_zctx_take(
    struct med_store *store, struct med_zctx **ret_zctx, struct med_err *err) MED_CHECK;
void store_zctx_give(struct med_store *store, struct med_zctx **zctx);
/* Ends what is kept for the next snapshots. */
void store_idle_end(struct med_store *store);
/* Gives a committed dictionary to the store (takes it, frees it when there is no place). It is the
 * one in use from now on. */
void store_dict_add(struct med_store *store, struct med_dict **dict);
/* The committed dictionary in use, for those who prepare documents. */
void store_dict_use(struct med_store *store, const struct med_dict *dict);
const struct med_dict *store_dict_in_use(struct med_store *store);

enum med_code store_state_read(
    struct med_txn *txn, struct med_store_state *ret_state, struct med_err *err) MED_CHECK;
enum med_code store_state_write(
    struct med_txn *txn, const struct med_store_state *state, struct med_err *err) MED_CHECK;

#define STORE_STATE_KEY MED_STR("state")
/* The key under which a blocked id is remembered. */
#define STORE_BLOCKED_KEY_BYTES 23 /* "blocked" and a hash */
struct med_str store_blocked_key(
    char ret_key[STORE_BLOCKED_KEY_BYTES], const struct med_store_state *state, struct med_str id);
enum med_code store_is_blocked(struct med_txn *txn, const struct med_store_state *state,
    struct med_str id, bool *ret_blocked, struct med_err *err) MED_CHECK;

/* Reads a head. MED_E_NOT_FOUND leaves err alone. Aliases borrow from the map. */
enum med_code store_head(struct med_txn *txn, struct med_str id, struct med_head *ret_head,
    struct med_err *err) MED_CHECK;
/* The encoded document of a record's bytes, checked against its hash, in the arena. MED_E_GONE for
 * a deletion. */
enum med_code store_unpack(struct med_store *store, struct med_txn *txn, struct med_zctx *zctx,
    struct med_str bytes, struct med_arena *arena, struct med_str *ret_raw,
    struct med_hash128 *ret_hash, struct med_err *err) MED_CHECK;

struct med_batch {
    struct med_store *store;
    struct med_txn *txn;
    struct med_zctx *zctx;
    struct med_arena *arena; /* of one put */
    struct med_store_state state;
    struct med_dict *new_dict;   /* trained in this batch: the store's once it is committed */
    const struct med_dict *dict; /* in use; NULL = none */
    struct med_buf raw, packed, record, head;
    uint64_t bytes;
    enum med_code code; /* the first failed write: the batch can only be aborted then */
};

/* Encodes doc into raw, hashes it and collects its names (in the arena). */
enum med_code store_prepare(const struct med_doc *doc, struct med_buf *raw, struct med_arena *arena,
    struct med_prepared *ret_prepared, struct med_err *err) MED_CHECK;
/* Makes the version record of an encoded document in `record`; `packed` is room to work in. */
enum med_code store_pack(struct med_zctx *zctx, const struct med_dict *dict, struct med_str raw,
    struct med_hash128 hash, struct med_buf *packed, struct med_buf *record,
    struct med_err *err) MED_CHECK;
/* Trains a dictionary from what is there, appended to `out`. MED_E_UNSUPPORTED: the documents are
 * too few or too alike. */
enum med_code batch_dictionary(
    struct med_batch *batch, struct med_buf *out, struct med_err *err) MED_CHECK;
/* Trains a dictionary from what is there and makes it the one in use; once per batch. Does nothing
 * (and tries again later) when the documents are too alike for one. */
enum med_code batch_train(struct med_batch *batch, struct med_err *err) MED_CHECK;

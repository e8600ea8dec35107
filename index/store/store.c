/* Opening and closing the store, and what batches and snapshots have in common: state, heads,
 * dictionaries, records. */
#include "index/store/internal.h"

#include "common/mem.h"

#include <sys/random.h>

static const struct med_table_spec tables[TABLE_COUNT] = {
    [TABLE_HEADS] = {.name = "heads"},
    [TABLE_VERSIONS] = {.name = "versions"},
    [TABLE_ALIASES] = {.name = "aliases", .duplicates = true},
    [TABLE_INPUTS] = {.name = "inputs"},
    [TABLE_DICTS] = {.name = "dicts"},
    [TABLE_META] = {.name = "meta"},
};

/* --- state --- */

enum med_code store_state_read(
    struct med_txn *txn, struct med_store_state *ret_state, struct med_err *err)
{
    struct med_str bytes;
    enum med_code code = med_txn_get(txn, TABLE_META, STORE_STATE_KEY, &bytes, err);
    if (code == MED_E_NOT_FOUND)
        return med_fail(err, MED_E_CORRUPT, "the docstore has no state record");
    return code == MED_OK ? med_state_decode(bytes, ret_state, err) : code;
}

enum med_code store_state_write(
    struct med_txn *txn, const struct med_store_state *state, struct med_err *err)
{
    struct med_buf buf;
    struct med_store_state next = *state;
    next.commit_count++;
    if (next.commit_count < med_txn_id(txn)) next.commit_count = med_txn_id(txn);
    med_buf_init(&buf, MED_KIB);
    med_state_encode(&next, &buf);
    enum med_code code = med_buf_status(&buf, err);
    if (code == MED_OK)
        code = med_txn_put(txn, TABLE_META, STORE_STATE_KEY, med_buf_str(&buf), err);
    med_buf_free(&buf);
    return code;
}

/* A new store gets its state record; an old one's is checked. */
static enum med_code check_state(
    struct med_store *store, enum med_store_mode mode, struct med_err *err)
{
    struct med_txn *txn;
    struct med_str bytes;
    struct med_store_state state = {.next_training = STORE_FIRST_TRAINING};
    enum med_code code = med_txn_begin(store->env, false, &txn, err);
    if (code != MED_OK) return code;
    code = med_txn_get(txn, TABLE_META, STORE_STATE_KEY, &bytes, err);
    if (code == MED_OK) code = med_state_decode(bytes, &state, err);
    med_txn_abort(&txn);
    if (code != MED_E_NOT_FOUND) return code;
    if (mode == MED_STORE_READ_ONLY)
        return med_fail(err, MED_E_CORRUPT, "the docstore has no state record");
    code = med_txn_begin(store->env, true, &txn, err);
    if (code != MED_OK) return code;
    code = med_txn_get(
        txn, TABLE_META, STORE_STATE_KEY, &bytes, err); /* another process may have been first */
    if (code == MED_E_NOT_FOUND) {
        if (getrandom(state.store_id, sizeof state.store_id, 0) != sizeof state.store_id) {
            code = med_fail(err, MED_E_IO, "the system gives no random numbers");
        } else {
            code = store_state_write(txn, &state, err);
        }
        if (code == MED_OK) return med_txn_commit(&txn, err);
    }
    med_txn_abort(&txn);
    return code;
}

/* --- opening --- */

enum med_code store_open_sized(const char *dir, enum med_store_mode mode, uint64_t map_bytes,
    uint64_t room_bytes, struct med_store **ret_store, struct med_err *err)
{
    struct med_store *store = med_calloc(1, sizeof *store);
    if (!store) return med_fail(err, MED_E_NOMEM, "out of memory");
    pthread_mutex_init(&store->dict_mutex, NULL);
    store->read_only = mode == MED_STORE_READ_ONLY;
    const struct med_env_options options = {
        .tables = tables,
        .table_count = TABLE_COUNT,
        .read_only = mode == MED_STORE_READ_ONLY,
        .map_bytes = map_bytes,
        .room_bytes = room_bytes,
    };
    enum med_code code = med_env_open(dir, &options, &store->env, err);
    if (code == MED_OK) code = check_state(store, mode, err);
    if (code != MED_OK) {
        med_err_prefix(err, "docstore");
        med_store_close(&store);
        return code;
    }
    *ret_store = store;
    return MED_OK;
}

enum med_code med_store_open(
    const char *dir, enum med_store_mode mode, struct med_store **ret_store, struct med_err *err)
{
    return store_open_sized(dir, mode, STORE_MAP_BYTES, STORE_ROOM_BYTES, ret_store, err);
}

void med_store_close(struct med_store **store_ptr)
{
    struct med_store *store = *store_ptr;
    *store_ptr = NULL;
    if (!store) return;
    for (size_t i = 0; i < store->dict_count; i++) med_dict_free(&store->dicts[i]);
    store_idle_end(store);
    med_env_close(&store->env);
    while (store->spare_count > 0) med_zctx_free(&store->spare[--store->spare_count]);
    pthread_mutex_destroy(&store->dict_mutex);
    med_free(store);
}

enum med_code med_store_copy(struct med_store *store, const char *dir, struct med_err *err)
{
    return med_env_copy(store->env, dir, err);
}

bool med_store_is_replaced(const struct med_store *store)
{
    return med_env_is_replaced(store->env);
}

/* --- dictionaries --- */

static const struct med_dict *find_dict(const struct med_store *store, uint32_t id)
{
    for (size_t i = 0; i < store->dict_count; i++) {
        if (med_dict_id(store->dicts[i]) == id) return store->dicts[i];
    }
    return NULL;
}

static enum med_code load_dict(
    struct med_store *store, struct med_txn *txn, uint32_t id, struct med_err *err)
{
    char key[4];
    struct med_str bytes;
    if (store->dict_count == STORE_DICTS_MAX) {
        return med_fail(err, MED_E_LIMIT, "more than %d compression dictionaries", STORE_DICTS_MAX);
    }
    enum med_code code = med_txn_get(txn, TABLE_DICTS, med_be32(key, id), &bytes, err);
    if (code == MED_E_NOT_FOUND)
        return med_fail(err, MED_E_CORRUPT, "compression dictionary %u is missing", id);
    if (code == MED_OK) code = med_dict_new(id, bytes, &store->dicts[store->dict_count], err);
    if (code == MED_OK) store->dict_count++;
    return code;
}

enum med_code store_dict(struct med_store *store, struct med_txn *txn, uint32_t id,
    const struct med_dict **ret_dict, struct med_err *err)
{
    enum med_code code = MED_OK;
    pthread_mutex_lock(&store->dict_mutex);
    const struct med_dict *dict = find_dict(store, id);
    if (!dict) {
        code = load_dict(store, txn, id, err);
        if (code == MED_OK) dict = store->dicts[store->dict_count - 1];
    }
    pthread_mutex_unlock(&store->dict_mutex);
    if (code == MED_OK) *ret_dict = dict;
    return code;
}

void store_dict_add(struct med_store *store, struct med_dict **dict)
{
    pthread_mutex_lock(&store->dict_mutex);
    if (store->dict_count < STORE_DICTS_MAX && !find_dict(store, med_dict_id(*dict))) {
        store->current = store->dicts[store->dict_count++] = *dict;
        *dict = NULL;
    }
    pthread_mutex_unlock(&store->dict_mutex);
    med_dict_free(dict);
}

void store_dict_use(struct med_store *store, const struct med_dict *dict)
{
    pthread_mutex_lock(&store->dict_mutex);
    store->current = dict;
    pthread_mutex_unlock(&store->dict_mutex);
}

const struct med_dict *store_dict_in_use(struct med_store *store)
{
    pthread_mutex_lock(&store->dict_mutex);
    const struct med_dict *dict = store->current;
    pthread_mutex_unlock(&store->dict_mutex);
    return dict;
}

/* --- blocked ids --- */

struct med_str store_blocked_key(
    char ret_key[STORE_BLOCKED_KEY_BYTES], const struct med_store_state *state, struct med_str id)
{
    char bytes[sizeof state->store_id + MED_ID_BYTES_MAX];
    size_t len = id.len < MED_ID_BYTES_MAX ? id.len : MED_ID_BYTES_MAX;
    memcpy(bytes, state->store_id, sizeof state->store_id);
    if (len) memcpy(bytes + sizeof state->store_id, id.ptr, len);
    struct med_hash128 hash = med_hash128(bytes, sizeof state->store_id + len);
    memcpy(ret_key, "blocked", 7);
    memcpy(ret_key + 7, &hash, sizeof hash);
    return (struct med_str){.ptr = ret_key, .len = STORE_BLOCKED_KEY_BYTES};
}

enum med_code store_is_blocked(struct med_txn *txn, const struct med_store_state *state,
    struct med_str id, bool *ret_blocked, struct med_err *err)
{
    char key[STORE_BLOCKED_KEY_BYTES];
    struct med_str value;
    *ret_blocked = false;
    if (med_txn_count(txn, TABLE_META) <= 1) return MED_OK; /* the state alone */
    enum med_code code =
        med_txn_get(txn, TABLE_META, store_blocked_key(key, state, id), &value, err);
    *ret_blocked = code == MED_OK;
    return code == MED_E_NOT_FOUND ? MED_OK : code;
}

/* --- heads and records --- */

enum med_code store_head(
    struct med_txn *txn, struct med_str id, struct med_head *ret_head, struct med_err *err)
{
    struct med_str bytes;
    if (id.len == 0 || id.len > MED_ID_BYTES_MAX) return MED_E_NOT_FOUND;
    enum med_code code = med_txn_get(txn, TABLE_HEADS, id, &bytes, err);
    if (code != MED_OK) return code;
    if (!med_head_decode(bytes, ret_head)) {
        return med_fail(
            err, MED_E_CORRUPT, "the head record of " MED_STR_FMT " is damaged", MED_STR_ARG(id));
    }
    return MED_OK;
}

enum med_code store_zctx_take(
    struct med_store *store, struct med_zctx **ret_zctx, struct med_err *err)
{
    struct med_zctx *zctx = NULL;
    pthread_mutex_lock(&store->dict_mutex);
    if (store->spare_count > 0) zctx = store->spare[--store->spare_count];
    pthread_mutex_unlock(&store->dict_mutex);
    if (!zctx) return med_zctx_new(ret_zctx, err);
    *ret_zctx = zctx;
    return MED_OK;
}

void store_zctx_give(struct med_store *store, struct med_zctx **zctx)
{
    if (!*zctx) return;
    pthread_mutex_lock(&store->dict_mutex);
    if (store->spare_count < STORE_SPARE_MAX) {
        store->spare[store->spare_count++] = *zctx;
        *zctx = NULL;
    }
    pthread_mutex_unlock(&store->dict_mutex);
    med_zctx_free(zctx);
}

enum med_code store_unpack(struct med_store *store, struct med_txn *txn, struct med_zctx *zctx,
    struct med_str bytes, struct med_arena *arena, struct med_str *ret_raw,
    struct med_hash128 *ret_hash, struct med_err *err)
{
    struct med_record record;
    if (!med_record_decode(bytes, &record))
        return med_fail(err, MED_E_CORRUPT, "a version record is damaged");
    if (record.codec == MED_CODEC_DELETED)
        return med_fail(err, MED_E_GONE, "this version is a deletion");
    char *raw = med_arena_alloc(arena, record.raw_len);
    if (!raw)
        return med_fail(
            err, MED_E_NOMEM, "out of memory for a document of %u bytes", record.raw_len);
    enum med_code code = MED_OK;
    if (record.codec == MED_CODEC_RAW) {
        if (record.raw_len > 0) memcpy(raw, record.payload.ptr, record.raw_len);
    } else {
        const struct med_dict *dict = NULL;
        if (record.dict_id != 0) code = store_dict(store, txn, record.dict_id, &dict, err);
        if (code == MED_OK)
            code = med_zctx_decompress(zctx, dict, record.payload, raw, record.raw_len, err);
    }
    if (code != MED_OK) return code;
    if (!med_hash128_eq(med_doc_hash(raw, record.raw_len), record.hash)) {
        return med_fail(err, MED_E_CORRUPT, "a version record fails its checksum");
    }
    *ret_raw = (struct med_str){.ptr = raw, .len = record.raw_len};
    *ret_hash = record.hash;
    return MED_OK;
}

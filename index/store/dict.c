/* Training of the compression dictionary, from documents spread evenly over the store. */
#include "index/store/internal.h"

#include "common/mem.h"

#define SAMPLES_MAX 2000
#define SAMPLE_BYTES_MAX (16 * MED_KIB) /* of one document: its start is what documents share */
#define SAMPLES_BYTES_MAX (8 * MED_MIB)
/* What training is given: its time grows with the bytes, and four times as many (2,000 citations)
 * made a dictionary that was .4 % better, in 0.39 s instead of 0.12. */
#define TRAINING_BYTES (1280 * MED_KIB)

struct samples {
    struct med_buf bytes;
    size_t sizes[SAMPLES_MAX];
    unsigned count;
};

static enum med_code add_sample(struct med_batch *batch, struct med_str id,
    const struct med_head *head, struct med_arena *arena, struct samples *samples,
    struct med_err *err)
{
    char key[MED_VERSION_KEY_BYTES_MAX];
    struct med_str bytes, raw;
    struct med_hash128 hash;
    med_arena_reset(arena);
    enum med_code code = med_txn_get(
        batch->txn, TABLE_VERSIONS, med_version_key(key, id, head->version), &bytes, err);
    if (code == MED_OK)
        code = store_unpack(batch->store, batch->txn, batch->zctx, bytes, arena, &raw, &hash, err);
    /* A damaged record must not stop an ingest of others: `check` reports it. */
    if (code == MED_E_NOT_FOUND || code == MED_E_CORRUPT) return MED_OK;
    if (code != MED_OK) return code;
    size_t len = raw.len < SAMPLE_BYTES_MAX ? raw.len : SAMPLE_BYTES_MAX;
    if (len == 0 || len > SAMPLES_BYTES_MAX - samples->bytes.len) return MED_OK;
    med_buf_append(&samples->bytes, raw.ptr, len);
    samples->sizes[samples->count++] = len;
    return MED_OK;
}

static enum med_code collect(
    struct med_batch *batch, struct med_arena *arena, struct samples *samples, struct med_err *err)
{
    uint64_t stride = batch->state.doc_count / SAMPLES_MAX + 1, at = 0;
    struct med_cursor *cursor;
    struct med_str id = {0}, bytes;
    enum med_code code = med_cursor_open(batch->txn, TABLE_HEADS, &cursor, err);
    if (code != MED_OK) return code;
    code = med_cursor_move(cursor, MED_MOVE_FIRST, &id, &bytes, err);
    while (code == MED_OK && samples->count < SAMPLES_MAX) {
        struct med_head head;
        if (at++ % stride == 0 && id.len <= MED_ID_BYTES_MAX && med_head_decode(bytes, &head) &&
            head.live) {
            code = add_sample(batch, id, &head, arena, samples, err);
        }
        if (code == MED_OK) code = med_cursor_move(cursor, MED_MOVE_NEXT, &id, &bytes, err);
    }
    med_cursor_close(&cursor);
    if (code != MED_OK && code != MED_E_NOT_FOUND) return code;
    return med_buf_status(&samples->bytes, err);
}

/* Leaves out samples evenly until the rest is enough. */
static void thin(struct samples *samples)
{
    size_t every = samples->bytes.len / TRAINING_BYTES + 1, from = 0, to = 0;
    unsigned kept = 0;
    for (unsigned i = 0; i < samples->count; i++) {
        size_t size = samples->sizes[i];
        if (i % every == 0) {
            memmove(samples->bytes.data + to, samples->bytes.data + from, size);
            to += size;
            samples->sizes[kept++] = size;
        }
        from += size;
    }
    samples->bytes.len = to;
    samples->count = kept;
}

static enum med_code install(struct med_batch *batch, struct med_str bytes, struct med_err *err)
{
    uint32_t id = batch->state.dict_id + 1;
    char key[4];
    struct med_dict *dict;
    enum med_code code = med_dict_new(id, bytes, &dict, err);
    if (code != MED_OK) return code;
    code = med_txn_put(batch->txn, TABLE_DICTS, med_be32(key, id), bytes, err);
    if (code != MED_OK) {
        med_dict_free(&dict);
        batch->code = code;
        return code;
    }
    batch->bytes += bytes.len;
    batch->state.dict_id = id;
    batch->new_dict = dict;
    batch->dict = dict;
    return MED_OK;
}

enum med_code batch_dictionary(struct med_batch *batch, struct med_buf *out, struct med_err *err)
{
    struct med_arena *arena = NULL;
    struct samples *samples = med_calloc(1, sizeof *samples);
    if (!samples) return med_fail(err, MED_E_NOMEM, "out of memory for training a dictionary");
    med_buf_init(&samples->bytes, SAMPLES_BYTES_MAX);
    enum med_code code = med_arena_new(MED_RECORD_BYTES_MAX + MED_MIB, &arena, err);
    if (code == MED_OK) code = collect(batch, arena, samples, err);
    if (code == MED_OK) thin(samples);
    if (code == MED_OK)
        code = med_dict_train(&samples->bytes, samples->sizes, samples->count, out, err);
    med_arena_free(&arena);
    med_buf_free(&samples->bytes);
    med_free(samples);
    return code;
}

enum med_code batch_train(struct med_batch *batch, struct med_err *err)
{
    struct med_buf dict;
    uint64_t growth = STORE_TRAINING_GROWTH;
    med_buf_init(&dict, MED_DICT_BYTES_MAX);
    enum med_code code = batch_dictionary(batch, &dict, err);
    if (code == MED_E_UNSUPPORTED ||
        (code == MED_OK && batch->state.dict_id + 1 >= STORE_DICTS_MAX)) {
        growth = 2;
        code = MED_OK;
    } else if (code == MED_OK) {
        code = install(batch, med_buf_str(&dict), err);
    }
    if (code == MED_OK) batch->state.next_training = batch->state.doc_count * growth;
    med_buf_free(&dict);
    return code;
}

/* The work on a document that needs no transaction: see store.h. */
#include "index/store/internal.h"

#include "common/mem.h"

#define PACKED_BYTES_MAX (2 * MED_RECORD_BYTES_MAX)

/* The names under which the document is found besides its id; names too long for a key are left
 * out. */
static enum med_code collect_names(const struct med_doc *doc, struct med_arena *arena,
    struct med_prepared *prepared, struct med_err *err)
{
    struct med_str names[MED_HEAD_ALIASES_MAX];
    size_t count;
    enum med_code code = med_head_names(doc, arena, names, &count, err);
    for (size_t i = 0; code == MED_OK && i < count; i++) {
        bool known = med_str_eq(names[i], doc->id);
        if (names[i].len == 0 || names[i].len > MED_ID_BYTES_MAX) continue;
        for (size_t j = 0; j < prepared->name_count; j++)
            known |= med_str_eq(names[i], prepared->names[j]);
        if (!known) prepared->names[prepared->name_count++] = names[i];
    }
    return code;
}

enum med_code store_prepare(const struct med_doc *doc, struct med_buf *raw, struct med_arena *arena,
    struct med_prepared *ret_prepared, struct med_err *err)
{
    enum med_code code = med_doc_id_check(doc->id, err);
    if (code != MED_OK) return code;
    med_buf_reset(raw);
    med_doc_encode(doc, raw);
    code = med_buf_status(raw, err);
    if (code != MED_OK) return code;
    struct med_prepared prepared = {.id = doc->id,
        .precedence = doc->precedence,
        .hash = med_doc_hash(raw->data, raw->len),
        .raw = med_buf_str(raw)};
    code = collect_names(doc, arena, &prepared, err);
    if (code == MED_OK) *ret_prepared = prepared;
    return code;
}

enum med_code store_pack(struct med_zctx *zctx, const struct med_dict *dict, struct med_str raw,
    struct med_hash128 hash, struct med_buf *packed, struct med_buf *record, struct med_err *err)
{
    med_buf_reset(packed);
    enum med_code code = med_zctx_compress(zctx, dict, raw, packed, err);
    if (code != MED_OK) return code;
    struct med_record made = {
        .codec = MED_CODEC_RAW, .raw_len = (uint32_t)raw.len, .hash = hash, .payload = raw};
    if (packed->len < raw.len) {
        made.codec = MED_CODEC_ZSTD;
        made.dict_id = dict ? med_dict_id(dict) : 0;
        made.payload = med_buf_str(packed);
    }
    med_buf_reset(record);
    med_record_encode(&made, record);
    return med_buf_status(record, err);
}

struct med_preparer {
    struct med_store *store;
    struct med_zctx *zctx;
    struct med_buf raw, packed, record;
};

enum med_code med_preparer_new(
    struct med_store *store, struct med_preparer **ret_preparer, struct med_err *err)
{
    struct med_preparer *p = med_calloc(1, sizeof *p);
    if (!p) return med_fail(err, MED_E_NOMEM, "out of memory for preparing documents");
    p->store = store;
    med_buf_init(&p->raw, MED_RECORD_BYTES_MAX);
    med_buf_init(&p->packed, PACKED_BYTES_MAX);
    med_buf_init(&p->record, PACKED_BYTES_MAX);
    enum med_code code = med_zctx_new(&p->zctx, err);
    if (code == MED_OK)
        *ret_preparer = p;
    else
        med_preparer_free(&p);
    return code;
}

void med_preparer_free(struct med_preparer **preparer)
{
    struct med_preparer *p = *preparer;
    *preparer = NULL;
    if (!p) return;
    med_zctx_free(&p->zctx);
    med_buf_free(&p->raw);
    med_buf_free(&p->packed);
    med_buf_free(&p->record);
    med_free(p);
}

static enum med_code no_memory(struct med_err *err)
{
    return med_fail(err, MED_E_NOMEM, "out of memory for prepared documents");
}

enum med_code med_prepare(struct med_preparer *preparer, const struct med_doc *doc,
    struct med_arena *arena, struct med_prepared *ret_prepared, struct med_err *err)
{
    struct med_prepared prepared;
    enum med_code code = store_prepare(doc, &preparer->raw, arena, &prepared, err);
    if (code != MED_OK) return code;
    if (!med_arena_str(arena, prepared.id, &prepared.id) ||
        !med_arena_str(arena, prepared.raw, &prepared.raw))
        return no_memory(err);
    for (size_t i = 0; i < prepared.name_count; i++) {
        if (!med_arena_str(arena, prepared.names[i], &prepared.names[i])) return no_memory(err);
    }
    *ret_prepared = prepared;
    return MED_OK;
}

enum med_code med_prepare_record(struct med_preparer *preparer, struct med_prepared *prepared,
    struct med_arena *arena, struct med_err *err)
{
    const struct med_dict *dict = store_dict_in_use(preparer->store);
    if (!dict) return MED_OK;
    enum med_code code = store_pack(preparer->zctx, dict, prepared->raw, prepared->hash,
        &preparer->packed, &preparer->record, err);
    if (code != MED_OK) return code;
    if (!med_arena_str(arena, med_buf_str(&preparer->record), &prepared->record))
        return no_memory(err);
    return MED_OK;
}

/* A snapshot's inside, for snapshot.c and check.c. */
#pragma once

#include "index/store/internal.h"

struct med_snapshot {
    struct med_store *store;
    struct med_txn *txn;
    struct med_zctx *zctx;
    struct med_store_state state;
};

/* Reads and decodes one version, checked against its own hash, id and format. MED_E_NOT_FOUND,
 * MED_E_GONE. */
enum med_code snapshot_read(struct med_snapshot *snapshot, struct med_str id, uint32_t version,
    struct med_arena *arena, struct med_doc **ret_doc, struct med_hash128 *ret_hash,
    struct med_err *err) MED_CHECK;

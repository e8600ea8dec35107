/* zstd, an adapter: compress.c is the only file that includes its headers. */
#pragma once

#include "common/buf.h"

/* A trained dictionary, ready for both directions. Immutable: any thread may use it. */
struct med_dict;
enum med_code med_dict_new(
    uint32_t id, struct med_str bytes, struct med_dict **ret_dict, struct med_err *err) MED_CHECK;
void med_dict_free(struct med_dict **dict);
uint32_t med_dict_id(const struct med_dict *dict);

/* Trains from samples that lie one after the other. MED_E_UNSUPPORTED when they are too few or too
 * alike. */
#define MED_DICT_BYTES_MAX (110 * 1024)
enum med_code med_dict_train(const struct med_buf *samples, const size_t *sizes, unsigned count,
    struct med_buf *out, struct med_err *err) MED_CHECK;

/* Working memory of one thread, made when each direction is first used: it is large. */
struct med_zctx;
enum med_code med_zctx_new(struct med_zctx **ret_zctx, struct med_err *err) MED_CHECK;
void med_zctx_free(struct med_zctx **zctx);
/* Appends the frame to out. dict may be NULL. */
enum med_code med_zctx_compress(struct med_zctx *zctx, const struct med_dict *dict,
    struct med_str raw, struct med_buf *out, struct med_err *err) MED_CHECK;
/* MED_E_CORRUPT unless the frame gives exactly raw_len bytes. */
enum med_code med_zctx_decompress(struct med_zctx *zctx, const struct med_dict *dict,
    struct med_str packed, void *raw, size_t raw_len, struct med_err *err) MED_CHECK;

/* Fetch for one id and for many, in every form; shared by the command line and the HTTP routes. */
#pragma once

#include "service/answer.h"
#include "service/audit.h"

struct fetch_source {
    struct med_store *store;
    const struct med_index *index; /* may be NULL */
    uint32_t sources;              /* that may be seen; 0 = all */
    struct audit_ids *ids;         /* are told what was read; may be NULL */
};

/* med_fetch of an id of a caller; the audit log is told. */
enum med_code fetch_load(const struct fetch_source *source, struct med_str id,
    struct med_arena *arena, struct med_fetched **ret_fetched, struct med_err *err) MED_CHECK;

/* Writes the answer about what was selected; brief: without lists of metadata. */
typedef void (*fetch_render_fn)(void *ctx, const struct med_fetched *fetched,
    const struct selection *selection, bool brief, struct med_buf *out);
/* Has the answer written within a budget of bytes (0 = none; that of params does not count): first
 * whole, then brief, then with less text, down to a piece that is worth showing. Where that is
 * still too much, nothing is written and *ret_needed is its size in bytes. */
enum med_code fetch_fitted(const struct med_fetched *fetched, const struct fetch_params *params,
    size_t budget, fetch_render_fn write, void *ctx, struct med_arena *arena, struct med_buf *out,
    size_t *ret_needed, struct med_err *err) MED_CHECK;
/* The refusal of a budget that is too small for what is named. */
enum med_code fetch_too_few(
    uint64_t tokens, const char *what, size_t needed_bytes, struct med_err *err);

/* One document in one of MEDIA_ANSWERS. With params->max_tokens the whole answer keeps to it:
 * without lists of metadata first, then with less text; MED_E_INVALID tells the tokens that are
 * needed. What was written before stays when it fails. */
enum med_code fetch_one(enum media media, const struct fetch_source *source,
    const struct view *view, const struct fetch_params *params, struct med_str id,
    struct med_arena *arena, struct med_buf *out, struct med_err *err) MED_CHECK;

/* For each id, in order, the document or what is wrong with the id; as JSON {"documents": [...]}.
 * max_tokens is for all together: ids that found no room stand in "rest". The arena is reset
 * between documents; ids live elsewhere. Fails only for reasons other than the ids; *ret_errors
 * counts ids that gave an error (citations have no other place for them). */
enum med_code fetch_many(enum media media, const struct fetch_source *source,
    const struct view *view, const struct fetch_params *params, const struct med_str *ids,
    size_t count, struct med_arena *arena, struct med_buf *out, size_t *ret_errors,
    struct med_err *err) MED_CHECK;

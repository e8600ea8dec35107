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

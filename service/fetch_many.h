/* The JSON of fetch for one id and for many, shared by the command line and the HTTP routes. */
#pragma once

#include "service/answer.h"
#include "service/audit.h"

struct fetch_source {
    struct med_store *store;
    const struct med_index *index; /* may be NULL */
    uint32_t sources;              /* that may be seen; 0 = all */
    struct audit_ids *ids;         /* are told what was read; may be NULL */
};

/* One document; nothing is written when it fails. */
enum med_code fetch_one_json(const struct fetch_source *source, const struct view *view,
    const struct fetch_params *params, struct med_str id, struct med_arena *arena,
    struct med_buf *out, struct med_err *err) MED_CHECK;

/* {"documents": [...]}: for each id, in order, the document or {"id", "error": {...}}. max_tokens
 * is for all together. The arena is reset between documents; ids live elsewhere. Fails only for
 * reasons other than the ids; *ret_errors counts ids that gave an error. */
enum med_code fetch_many_json(const struct fetch_source *source, const struct view *view,
    const struct fetch_params *params, const struct med_str *ids, size_t count,
    struct med_arena *arena, struct med_buf *out, size_t *ret_errors,
    struct med_err *err) MED_CHECK;

/* One JSON object to one document: BEIR's form and the native form, see README.md. */
#pragma once

#include "common/json.h"
#include "index/document/document.h"

/* `json` is the text of one object. Strings and arrays live in the arena; scratch is a buffer to
 * work in. MED_E_INVALID with the reason for what is no document: not JSON, no id, neither title
 * nor text, a field of the wrong type. */
enum med_code med_doc_from_json(struct med_str json, struct med_arena *arena,
    struct med_buf *scratch, struct med_doc **ret_doc, struct med_err *err) MED_CHECK;

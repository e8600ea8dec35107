/* From the text of an input to the text of a document: NFC, white space in order. */
#pragma once

#include "index/document/document.h"

/* One line: runs of white space and control characters become one space, ends trimmed. The result
 * lives in the arena; scratch is a buffer to work in. Invalid UTF-8 becomes U+FFFD: refuse it
 * before where that matters. */
enum med_code med_clean_line(struct med_str raw, struct med_arena *arena, struct med_buf *scratch,
    struct med_str *ret_text, struct med_err *err) MED_CHECK;
/* The same, but a run of white space with a line end in it becomes one "\n": paragraphs stay. */
enum med_code med_clean_text(struct med_str raw, struct med_arena *arena, struct med_buf *scratch,
    struct med_str *ret_text, struct med_err *err) MED_CHECK;

/* A DOI without "doi:" or resolver address, lower-cased; empty when it does not begin with "10.".
 */
struct med_str med_clean_doi(struct med_str raw, struct med_arena *arena);

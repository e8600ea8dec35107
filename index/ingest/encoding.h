/* UTF-8 out of any encoding that the system's iconv knows: an input in front of an input.
 *
 * The encoding is told by a byte order mark, else by the XML declaration at the head, else it is
 * UTF-8. UTF-8 passes through as it is (its mark removed) and is NOT checked here. Bytes that the
 * declared encoding does not have become U+FFFD. */
#pragma once

#include "index/ingest/ingest.h"

struct med_utf8_input;

/* Borrows in. Reads its head. */
enum med_code med_utf8_input_open(
    const struct med_input *in, struct med_utf8_input **ret_input, struct med_err *err) MED_CHECK;
/* The same contract as med_input.read; ctx is the struct med_utf8_input. */
enum med_code med_utf8_input_read(
    void *ctx, void *ptr, size_t cap, size_t *ret_len, struct med_err *err) MED_CHECK;
void med_utf8_input_close(struct med_utf8_input **input);

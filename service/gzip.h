/* Answers in gzip, for callers that ask for it. */
#pragma once

#include "common/buf.h"

/* False: it would not be shorter, or memory is short; then *ret is empty. *ret is initialised here
 * and owned by the caller. */
bool gzip_pack(struct med_str bytes, struct med_buf *ret);

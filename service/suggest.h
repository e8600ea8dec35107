/* "Did you mean": the nearest of some known words. */
#pragma once

#include "common/str.h"

/* The known word with the smallest edit distance to `given`, or NULL when none is near enough to be
 * what was meant. */
const char *suggest_word(struct med_str given, const char *const *known, size_t count);

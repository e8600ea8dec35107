/* Spelling: edit distance, and what a query's words were probably meant to be. */
#pragma once

#include "index/search.h"

/* Damerau's distance (insert, delete, replace, swap neighbours) of two byte strings, at most `cap`;
 * ASCII case does not count. Strings of more than 64 bytes are `cap` apart. */
unsigned spell_distance(struct med_str a, struct med_str b, unsigned cap);

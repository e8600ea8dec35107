/* The YAML between "---" lines at the head of a text.
 *
 * A mapping of keys to scalars or lists. Two liberties that people take are allowed: a ": " inside
 * an unquoted value, and a list where a single value is meant (or the other way round). */
#pragma once

#include "common/json.h"
#include "index/document/document.h"

struct med_front_entry {
    struct med_str key;     /* lower case */
    struct med_str *values; /* scalars of a scalar or list; none for a nested mapping */
    size_t value_count;
    struct med_str json; /* the whole value as JSON */
};

struct med_front {
    struct med_front_entry *entries;
    size_t count;
};

/* Splits `text` into the front matter's inside and what follows it; false when it has none. */
bool med_front_split(struct med_str text, struct med_str *ret_yaml, struct med_str *ret_rest);
/* MED_E_INVALID with the line for what is no YAML mapping. Everything lives in the arena. */
enum med_code med_front_parse(struct med_str yaml, struct med_arena *arena,
    struct med_front *ret_front, struct med_err *err) MED_CHECK;
/* The entry under the first of the NULL-terminated keys that is there, or NULL. */
const struct med_front_entry *med_front_get(const struct med_front *front, const char *const *keys);

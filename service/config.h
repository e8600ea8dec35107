/* The configuration file: lines of `name = value`.
 *
 *   # a comment is a line of its own
 *   listen = 127.0.0.1:8080
 *   access-log = true
 *
 * Names are those of the long options that also have an environment variable; a dash may be written
 * as an underscore. A value goes to the end of its line, without the white space around it; there
 * are no quotes and no continuations. An empty value leaves the default. This part knows no names:
 * options.h does. */
#pragma once

#include "common/arena.h"
#include "common/str.h"

#define CONFIG_BYTES_MAX ((size_t)1 << 20)
#define CONFIG_ENTRIES_MAX 1000

struct config_entry {
    const char *name, *value; /* NUL-terminated, in the arena; the name with dashes */
    unsigned line;
};
struct config {
    struct config_entry *entries;
    size_t count;
};

/* MED_E_USAGE names the line and what is wrong with it: no "=", no name, a name given twice,
 * control characters, bytes that are not UTF-8. MED_E_LIMIT, MED_E_NOMEM. */
enum med_code config_parse(struct med_str text, struct med_arena *arena, struct config *ret_config,
    struct med_err *err) MED_CHECK;

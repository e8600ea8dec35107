/* Files of one JSON object per line. */
#pragma once

#include "common/json.h"

/* Calls fn with each line's object, in order; it lives until fn returns. */
enum med_code bench_each_line(const char *path, void (*fn)(void *ctx, const struct med_json *line),
    void *ctx, struct med_err *err) MED_CHECK;

/* Progress as a process tells it to others: one JSON object.
 *
 *   {"pid":7,"command":"build","stage":"encode","done":120,"total":1000,"unit":"passages",
 *    "counted":0,"eta_seconds":12}
 *
 * A server that started the process reads such lines from a pipe (--progress-fd); a build from the
 * command line keeps the newest one in <data>/build.progress, beside the lock that it holds, for
 * `medicus info`, `medicus jobs` and the server. */
#pragma once

#include "common/buf.h"

#define PROGRESS_FILE "build.progress"
#define PROGRESS_LINE_MAX 512

struct progress_line {
    long pid;
    char command[24], stage[24], unit[24];
    uint64_t done, total; /* total 0: unknown */
    uint64_t counted;     /* records, where bytes are measured and records counted */
    int64_t eta_s;        /* of the stage; -1: unknown */
};
void progress_line_write(const struct progress_line *line, struct med_buf *out);
bool progress_line_parse(struct med_str text, struct progress_line *ret_line);
/* "encode 120 of 1000 passages, 0:12 left" */
void progress_line_text(const struct progress_line *line, struct med_buf *out);

/* Of a build that some other process is making of this data folder. False when there is none; its
 * stage is empty when it has not told any yet. */
bool progress_of_build(const char *data, struct progress_line *ret_line);

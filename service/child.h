/* The program started once more, with other arguments: long work of a server or a watcher is done
 * by processes of its own, whose memory, threads and end are their own. posix_spawn, never fork: a
 * process with threads and OpenBLAS does not survive that. */
#pragma once

#include "common/err.h"

#include <stdbool.h>
#include <sys/types.h>

struct child_files { /* descriptors that it gets; -1: /dev/null, or no progress */
    int out, err, progress;
};
/* args: NULL-terminated, the subcommand first. The child inherits nothing else but the environment.
 * The progress descriptor becomes --progress-fd CHILD_PROGRESS_FD, which args must say. Reap it
 * with waitpid. */
#define CHILD_PROGRESS_FD 3
#define CHILD_PROGRESS_TEXT "3"
enum med_code child_start(const char *const *args, const struct child_files *files, pid_t *ret_pid,
    struct med_err *err) MED_CHECK;
/* Waits; 128 + the signal's number for one that a signal ended. */
int child_wait(pid_t pid);

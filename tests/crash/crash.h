/* What the crash tests share: counts, children that are killed, and a way to stop with a sentence
 * in any process. */
#pragma once

#include "common/err.h"
#include "common/rng.h"
#include "tests/support/support.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* Not an assertion of the test framework, because it must also work in a child. */
#define CHECK(condition, ...)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);                        \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fprintf(stderr, "\n");                                                                 \
            fflush(stderr);                                                                        \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)
#define OK(call)                                                                                   \
    do {                                                                                           \
        enum med_code ok_code = (call);                                                            \
        CHECK(ok_code == MED_OK, "%s", crash_err.text);                                            \
    } while (0)

extern struct med_err crash_err;

/* `few` by default, `many` with MEDICUS_SOAK in the environment. */
int crash_rounds(int few, int many);
/* Temporary folders in memory where there is such a place and TMPDIR does not say otherwise:
 * neither a kill nor a simulated loss of power needs a disk, and thousands of syncs take minutes
 * there. */
void crash_prefer_memory(void);
/* Starts work(ctx, pipe) in a child, which writes 8-byte numbers into the pipe, kills the child
 * some random time after the first number came (at most `most_us` microseconds), and returns the
 * last number that came; 0 for none. */
uint64_t crash_kill_while(
    void (*work)(void *ctx, int pipe), void *ctx, struct med_rng *rng, uint64_t most_us);
/* Tells the parent; in a child of crash_kill_while. */
void crash_acknowledge(int pipe, uint64_t number);
/* Runs work(ctx) in a child. The exit status: 0 = fine, CRASH_SKIP = not possible here. */
#define CRASH_SKIP 77
int crash_in_child(void (*work)(void *ctx), void *ctx);

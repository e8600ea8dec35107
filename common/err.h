/* Errors: one code for programs, one sentence for people.
 *
 * Every fallible function returns an enum med_code and takes an optional `struct med_err *err`
 * last, which is written only on failure. The sentence says what happened and, where the caller can
 * act, what to do next. Outputs are named ret_x and written only on success. */
#pragma once

#include <stdarg.h>
#include <stddef.h>

enum med_code {
    MED_OK = 0,
    MED_E_USAGE,       /* the command line or configuration is wrong */
    MED_E_INVALID,     /* input (request, record, file) is malformed */
    MED_E_NOT_FOUND,   /* the named thing does not exist */
    MED_E_GONE,        /* it existed and was removed */
    MED_E_CONFLICT,    /* the state forbids it: already running, already there */
    MED_E_BUSY,        /* overloaded: try again later */
    MED_E_LIMIT,       /* a limit of common/limits.h was exceeded */
    MED_E_TIMEOUT,     /* a deadline passed */
    MED_E_CANCELLED,   /* the caller asked to stop */
    MED_E_UNSUPPORTED, /* known, but not by this build or version */
    MED_E_PERMISSION,  /* the operating system or a key refuses */
    MED_E_NO_INDEX,    /* nothing is published in the data folder yet */
    MED_E_CORRUPT,     /* bytes on disk fail a checksum or an invariant */
    MED_E_GATE,        /* a new generation does not pass the gate before publishing */
    MED_E_NO_SPACE,    /* the disk or the map is full */
    MED_E_IO,          /* any other failure of the operating system */
    MED_E_NOMEM,       /* allocation failed or a memory budget was reached */
    MED_E_INTERNAL,    /* a defect in medicus itself */
    MED_CODE_COUNT
};

#define MED_ERR_TEXT_MAX 512

struct med_err {
    enum med_code code;
    char text[MED_ERR_TEXT_MAX];
};

#define MED_CHECK __attribute__((warn_unused_result))
#define MED_PRINTF(fmt_arg, first) __attribute__((format(printf, fmt_arg, first)))

/* Fills err (may be NULL) with a formatted sentence and returns code: `return med_fail(...)`. */
enum med_code med_fail(struct med_err *err, enum med_code code, const char *fmt, ...)
    MED_PRINTF(3, 4);

/* The same for a failed system call: errnum chooses the code (ENOSPC -> NO_SPACE, EACCES ->
 * PERMISSION, ...) and its description is appended to the sentence. */
enum med_code med_fail_errno(struct med_err *err, int errnum, const char *fmt, ...)
    MED_PRINTF(3, 4);

#ifdef __clang_analyzer__
/* The static analyser does not look into err.c: this tells it that a failure is never MED_OK. */
#define med_fail(err, code, ...) (med_fail(err, code, __VA_ARGS__), (code))
#define med_fail_errno(...) (med_fail_errno(__VA_ARGS__), MED_E_IO)
#endif

/* Puts "context: " in front of an error that is passed up. */
void med_err_prefix(struct med_err *err, const char *fmt, ...) MED_PRINTF(2, 3);

/* Stable lower-case name ("corrupt"), used in logs, JSON and problem types. */
const char *med_code_name(enum med_code code);

/* The documented exit status of the command line: 0 ok, 2 usage, 3 invalid input, 4 not found, 5 no
 * index, 6 corrupt, 7 no space, 8 I/O or permission, 9 busy or conflict, 10 out of memory or limit,
 * 11 kept back by the gate, 130 cancelled, 70 internal. */
int med_code_exit_status(enum med_code code);

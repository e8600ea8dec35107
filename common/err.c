/* Errors are values: filling one never allocates, so that "out of memory" can always be said. */
#include "common/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* See the header: macros for the static analyser. */
#undef med_fail
#undef med_fail_errno

/* Names and exit statuses side by side, so that a new code cannot forget either. */
static const struct {
    const char *name;
    int exit_status;
} codes[MED_CODE_COUNT] = {
    [MED_OK] = {"ok", 0},
    [MED_E_USAGE] = {"usage", 2},
    [MED_E_INVALID] = {"invalid", 3},
    [MED_E_NOT_FOUND] = {"not-found", 4},
    [MED_E_GONE] = {"gone", 4},
    [MED_E_CONFLICT] = {"conflict", 9},
    [MED_E_BUSY] = {"busy", 9},
    [MED_E_LIMIT] = {"limit", 10},
    [MED_E_TIMEOUT] = {"timeout", 9},
    [MED_E_CANCELLED] = {"cancelled", 130},
    [MED_E_UNSUPPORTED] = {"unsupported", 3},
    [MED_E_PERMISSION] = {"permission", 8},
    [MED_E_NO_INDEX] = {"no-index", 5},
    [MED_E_CORRUPT] = {"corrupt", 6},
    [MED_E_GATE] = {"gate", 11},
    [MED_E_NO_SPACE] = {"no-space", 7},
    [MED_E_IO] = {"io", 8},
    [MED_E_NOMEM] = {"out-of-memory", 10},
    [MED_E_INTERNAL] = {"internal", 70},
};

static void fill(struct med_err *err, enum med_code code, const char *fmt, va_list args)
{
    err->code = code;
    if (vsnprintf(err->text, sizeof err->text, fmt, args) < 0) err->text[0] = '\0';
}

enum med_code med_fail(struct med_err *err, enum med_code code, const char *fmt, ...)
{
    if (!err) return code;
    va_list args;
    va_start(args, fmt);
    fill(err, code, fmt, args);
    va_end(args);
    return code;
}

static enum med_code code_of_errno(int errnum)
{
    switch (errnum) {
    case ENOSPC:
    case EFBIG: /* a limit on the size of files: what helps is the same */
    case EDQUOT: return MED_E_NO_SPACE;
    case EACCES:
    case EPERM:
    case EROFS: return MED_E_PERMISSION;
    case ENOENT: return MED_E_NOT_FOUND;
    case EEXIST: return MED_E_CONFLICT;
    case EAGAIN:
    case EBUSY: return MED_E_BUSY;
    case ENOMEM: return MED_E_NOMEM;
    case ENAMETOOLONG:
    case EMFILE:
    case ENFILE: return MED_E_LIMIT;
    case ETIMEDOUT: return MED_E_TIMEOUT;
    default: return MED_E_IO;
    }
}

enum med_code med_fail_errno(struct med_err *err, int errnum, const char *fmt, ...)
{
    enum med_code code = code_of_errno(errnum);
    if (!err) return code;
    va_list args;
    va_start(args, fmt);
    fill(err, code, fmt, args);
    va_end(args);
    char scratch[128];
    const char *reason =
        strerror_r(errnum, scratch, sizeof scratch); /* the GNU one: always a text */
    size_t used = strlen(err->text);
    snprintf(err->text + used, sizeof err->text - used, ": %s", reason);
    return code;
}

void med_err_prefix(struct med_err *err, const char *fmt, ...)
{
    if (!err) return;
    char was[MED_ERR_TEXT_MAX];
    memcpy(was, err->text, sizeof was);
    va_list args;
    va_start(args, fmt);
    fill(err, err->code, fmt, args);
    va_end(args);
    size_t used = strlen(err->text);
    int len = snprintf(err->text + used, sizeof err->text - used, ": %s", was);
    (void)len; /* a sentence that does not fit loses its end */
}

const char *med_code_name(enum med_code code)
{
    return (unsigned)code < MED_CODE_COUNT ? codes[code].name : "unknown";
}

int med_code_exit_status(enum med_code code)
{
    return (unsigned)code < MED_CODE_COUNT ? codes[code].exit_status : 70;
}

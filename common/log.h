/* Messages of the server and the command line, to stderr. Library code (outside service/) never
 * logs: it returns errors. */
#pragma once

#include "common/err.h"

enum med_log_level { MED_LOG_DEBUG, MED_LOG_INFO, MED_LOG_WARN, MED_LOG_ERROR };
enum med_log_format { MED_LOG_TEXT, MED_LOG_JSON };

/* Any thread, at any time. Without it: INFO and above, as text. */
void med_log_setup(enum med_log_level least, enum med_log_format format);
/* One line, one write(2). event is a stable word, fmt a sentence; control characters are escaped
 * and what exceeds 4 KiB is cut. Any thread, at any time, also without memory. */
void med_log(enum med_log_level level, const char *event, const char *fmt, ...) MED_PRINTF(3, 4);

/* A member of the line's object with MED_LOG_JSON; with MED_LOG_TEXT only the sentence is shown. */
struct med_log_field {
    const char *name;
    const char *text; /* NULL: the number */
    double number;
};
void med_log_fields(enum med_log_level level, const char *event, const struct med_log_field *fields,
    size_t count, const char *fmt, ...) MED_PRINTF(5, 6);

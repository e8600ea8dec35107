/* A log line is built in one array on the stack and leaves with one write(2), so that lines of
 * several threads never mix and logging works when memory is exhausted. What does not fit is cut.
 */
#include "common/log.h"

#include "common/clock.h"
#include "common/unicode.h"

#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define LINE_BYTES_MAX 4096
#define MESSAGE_BYTES_MAX 2048

/* Changed while others log: each line is written by one value of each. */
static atomic_int least_level = MED_LOG_INFO;
static atomic_int line_format = MED_LOG_TEXT;

void med_log_setup(enum med_log_level least, enum med_log_format format)
{
    atomic_store(&least_level, (int)least);
    atomic_store(&line_format, (int)format);
}

struct line {
    size_t len;
    bool full; /* something did not fit */
    char text[LINE_BYTES_MAX];
};

/* Appends when there is room for all of it; 16 bytes stay free for the end of the line. */
static void put(struct line *line, const char *ptr, size_t len)
{
    if (line->len + len > sizeof line->text - 16) {
        line->full = true;
        return;
    }
    memcpy(line->text + line->len, ptr, len);
    line->len += len;
}

static void put_cstr(struct line *line, const char *cstr)
{
    put(line, cstr, strlen(cstr));
}

/* Control characters would let a caller forge lines or drive the reader's terminal. */
static void put_escaped(struct line *line, const char *cstr)
{
    struct med_str s = med_str_of(cstr);
    for (size_t pos = 0; pos < s.len;) {
        size_t start = pos;
        uint32_t cp = med_utf8_next(s, &pos);
        char escape[16];
        if (cp < 0x20 || (cp >= 0x7F && cp < 0xA0) || cp == 0x2028 || cp == 0x2029) {
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned)cp);
            put_cstr(line, escape);
        } else if (cp == 0xFFFD) {
            put_cstr(line, "\xEF\xBF\xBD");
        } else if (line_format == MED_LOG_JSON && (cp == '"' || cp == '\\')) {
            put_cstr(line, cp == '"' ? "\\\"" : "\\\\"); /* whole or not at all */
        } else {
            put(line, s.ptr + start, pos - start);
        }
    }
}

static const char *level_name(enum med_log_level level)
{
    switch (level) {
    case MED_LOG_DEBUG: return "debug";
    case MED_LOG_INFO: return "info";
    case MED_LOG_WARN: return "warn";
    case MED_LOG_ERROR: return "error";
    }
    return "unknown";
}

/* Whole or not at all. */
static void put_field(struct line *line, const struct med_log_field *field)
{
    size_t before = line->len;
    char number[32];
    line->full = false;
    put_cstr(line, ",\"");
    put_cstr(line, field->name);
    put_cstr(line, field->text ? "\":\"" : "\":");
    if (field->text) {
        put_escaped(line, field->text);
        put_cstr(line, "\"");
    } else {
        snprintf(number, sizeof number, "%.15g", field->number);
        put_cstr(line, number);
    }
    if (line->full) line->len = before;
}

static void write_line(enum med_log_level level, const char *event,
    const struct med_log_field *fields, size_t count, const char *fmt, va_list args)
{
    if ((int)level < atomic_load_explicit(&least_level, memory_order_relaxed)) return;
    char message[MESSAGE_BYTES_MAX];
    if (vsnprintf(message, sizeof message, fmt, args) < 0) message[0] = '\0';

    char time_text[MED_TIME_TEXT_LEN + 1];
    med_time_text(med_unix_time_s(), time_text);
    bool json = atomic_load_explicit(&line_format, memory_order_relaxed) == MED_LOG_JSON;
    struct line line = {.len = 0};
    put_cstr(&line, json ? "{\"time\":\"" : "");
    put_cstr(&line, time_text);
    put_cstr(&line, json ? "\",\"level\":\"" : " ");
    put_cstr(&line, level_name(level));
    put_cstr(&line, json ? "\",\"event\":\"" : " ");
    put_escaped(&line, event);
    put_cstr(&line, json ? "\",\"message\":\"" : ": ");
    put_escaped(&line, message);
    if (json) line.text[line.len++] = '"'; /* one of the bytes that put keeps free */
    for (size_t i = 0; json && i < count; i++) put_field(&line, &fields[i]);
    const char *end = json ? "}\n" : "\n";
    memcpy(line.text + line.len, end, strlen(end));
    line.len += strlen(end);
    /* Nobody is left to tell when stderr cannot be written. */
    if (write(STDERR_FILENO, line.text, line.len) < 0) return;
}

void med_log(enum med_log_level level, const char *event, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    write_line(level, event, NULL, 0, fmt, args);
    va_end(args);
}

void med_log_fields(enum med_log_level level, const char *event, const struct med_log_field *fields,
    size_t count, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    write_line(level, event, fields, count, fmt, args);
    va_end(args);
}

/* The writing half of json.h. It keeps no tree: text goes straight into the buffer, and the
 * buffer's sticky failure is the only error there is. Unbalanced or too deep nesting is a
 * programmer's error. */
#include "common/json.h"
#include "common/unicode.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define NUMBER_TEXT_MAX 400 /* the largest double has 309 digits before the point */
#define DECIMALS_MAX 17

struct med_jw med_jw_of(struct med_buf *buf, bool pretty)
{
    return (struct med_jw){.buf = buf, .pretty = pretty};
}

static void new_line(struct med_jw *w)
{
    if (!w->pretty) return;
    med_buf_putc(w->buf, '\n');
    for (unsigned i = 0; i < w->depth; i++) med_buf_puts(w->buf, "  ");
}

/* What must stand in front of a value or key at this place. */
static void separate(struct med_jw *w)
{
    if (w->after_key) {
        w->after_key = false;
        return;
    }
    if (w->depth == 0) return;
    if (w->has_item[w->depth - 1]) med_buf_putc(w->buf, ',');
    w->has_item[w->depth - 1] = true;
    new_line(w);
}

static void open_container(struct med_jw *w, char bracket)
{
    separate(w);
    assert(w->depth < MED_JSON_WRITER_DEPTH);
    med_buf_putc(w->buf, bracket);
    w->has_item[w->depth++] = false;
}

static void close_container(struct med_jw *w, char bracket)
{
    assert(w->depth > 0 && !w->after_key);
    w->depth--;
    if (w->has_item[w->depth]) new_line(w);
    med_buf_putc(w->buf, bracket);
}

void med_jw_object(struct med_jw *w)
{
    open_container(w, '{');
}

void med_jw_object_end(struct med_jw *w)
{
    close_container(w, '}');
}

void med_jw_array(struct med_jw *w)
{
    open_container(w, '[');
}

void med_jw_array_end(struct med_jw *w)
{
    close_container(w, ']');
}

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

static void put_special(struct med_buf *buf, uint32_t cp)
{
    static const char names[] = "\"\\\b\f\n\r\t";
    static const char escapes[] = "\"\\bfnrt";
    const char *at = cp > 0 && cp < 0x80 ? strchr(names, (int)cp) : NULL;
    if (at) {
        med_buf_putc(buf, '\\');
        med_buf_putc(buf, escapes[at - names]);
    } else if (cp < 0x20) {
        med_buf_printf(buf, "\\u%04x", (unsigned)cp);
    } else {
        med_utf8_put(buf, cp);
    }
}

static void put_string(struct med_buf *buf, struct med_str s)
{
    med_buf_putc(buf, '"');
    for (size_t pos = 0; pos < s.len;) {
        size_t start = pos;
        while (pos < s.len && is_plain((unsigned char)s.ptr[pos])) pos++;
        med_buf_append(buf, s.ptr + start, pos - start);
        if (pos < s.len) put_special(buf, med_utf8_next(s, &pos));
    }
    med_buf_putc(buf, '"');
}

void med_jw_key(struct med_jw *w, const char *key)
{
    assert(w->depth > 0 && !w->after_key);
    separate(w);
    put_string(w->buf, med_str_of(key));
    med_buf_puts(w->buf, w->pretty ? ": " : ":");
    w->after_key = true;
}

void med_jw_str(struct med_jw *w, struct med_str s)
{
    separate(w);
    put_string(w->buf, s);
}

void med_jw_raw(struct med_jw *w, struct med_str json)
{
    separate(w);
    med_buf_append_str(w->buf, json);
}

void med_jw_null(struct med_jw *w)
{
    med_jw_raw(w, MED_STR("null"));
}

void med_jw_bool(struct med_jw *w, bool v)
{
    med_jw_raw(w, v ? MED_STR("true") : MED_STR("false"));
}

void med_jw_cstr(struct med_jw *w, const char *s)
{
    if (s)
        med_jw_str(w, med_str_of(s));
    else
        med_jw_null(w);
}

void med_jw_int(struct med_jw *w, long long v)
{
    separate(w);
    med_buf_printf(w->buf, "%lld", v);
}

void med_jw_uint(struct med_jw *w, unsigned long long v)
{
    separate(w);
    med_buf_printf(w->buf, "%llu", v);
}

void med_jw_double(struct med_jw *w, double v)
{
    if (!isfinite(v)) {
        med_jw_null(w);
        return;
    }
    char text[NUMBER_TEXT_MAX];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        double back = strtod(text, NULL);
        if (!(back < v) && !(back > v)) break;
    }
    med_jw_raw(w, med_str_of(text));
}

void med_jw_float(struct med_jw *w, double v, int decimals)
{
    if (!isfinite(v)) {
        med_jw_null(w);
        return;
    }
    if (decimals < 0) decimals = 0;
    if (decimals > DECIMALS_MAX) decimals = DECIMALS_MAX;
    char text[NUMBER_TEXT_MAX];
    snprintf(text, sizeof text, "%.*f", decimals, v);
    struct med_str s = med_str_of(text);
    if (decimals > 0) {
        while (s.ptr[s.len - 1] == '0') s.len--;
        if (s.ptr[s.len - 1] == '.') s.len--;
    }
    med_jw_raw(w, med_str_eq(s, MED_STR("-0")) ? MED_STR("0") : s);
}

void med_jw_kstr(struct med_jw *w, const char *key, struct med_str s)
{
    med_jw_key(w, key);
    med_jw_str(w, s);
}

void med_jw_kcstr(struct med_jw *w, const char *key, const char *s)
{
    med_jw_key(w, key);
    med_jw_cstr(w, s);
}

void med_jw_kint(struct med_jw *w, const char *key, long long v)
{
    med_jw_key(w, key);
    med_jw_int(w, v);
}

void med_jw_kbool(struct med_jw *w, const char *key, bool v)
{
    med_jw_key(w, key);
    med_jw_bool(w, v);
}

void med_jw_kdouble(struct med_jw *w, const char *key, double v)
{
    med_jw_key(w, key);
    med_jw_double(w, v);
}

/* JSON in and out.
 *
 * In: bytes pass a strict gate (RFC 8259 grammar, UTF-8, depth, no duplicate keys, no lone
 * surrogates) before cJSON sees them, because cJSON alone accepts much that is not JSON. Also
 * refused: \u0000 inside strings (C strings cannot carry it) and numbers beyond the range of a
 * double. Values are borrowed from the parsed tree.
 *
 * Out: an append-only writer into a med_buf; it inserts commas and escapes, numbers keep full
 * precision. Nesting and keys that do not balance are a programmer's error. */
#pragma once

#include "common/buf.h"

struct med_json; /* a parsed value (a cJSON node behind the curtain) */

/* The gate alone. The sentence names the byte position. */
enum med_code med_json_check(
    const char *ptr, size_t len, size_t depth_max, struct med_err *err) MED_CHECK;
/* Gate + parse. *ret_root is freed by med_json_free. Depth is limited to MED_JSON_DEPTH_MAX. */
enum med_code med_json_parse(
    const char *ptr, size_t len, struct med_json **ret_root, struct med_err *err) MED_CHECK;
void med_json_free(struct med_json **root);

enum med_json_type {
    MED_JSON_NULL,
    MED_JSON_BOOL,
    MED_JSON_NUMBER,
    MED_JSON_STRING,
    MED_JSON_ARRAY,
    MED_JSON_OBJECT
};
enum med_json_type med_json_type(const struct med_json *v);
const char *med_json_type_name(enum med_json_type type); /* "an array", for error sentences */
/* NULL when absent or not an object. */
const struct med_json *med_json_get(const struct med_json *object, const char *key);
/* Children of arrays and objects, in the order of the text. */
const struct med_json *med_json_first(const struct med_json *container);
const struct med_json *med_json_next(const struct med_json *child);
const char *med_json_key(const struct med_json *child); /* of an object's member */
size_t med_json_count(const struct med_json *container);
struct med_str med_json_string(const struct med_json *v); /* {NULL,0} unless a string */
double med_json_number(const struct med_json *v);         /* 0 unless a number */
bool med_json_bool(const struct med_json *v);             /* false unless true */
/* Numbers that are whole, exact (at most 2^53 in size) and within [min, max]; false otherwise. */
bool med_json_int(const struct med_json *v, long long min, long long max, long long *ret_x);
/* Convenience: the string under key, or {NULL,0}. */
struct med_str med_json_get_str(const struct med_json *object, const char *key);

#define MED_JSON_WRITER_DEPTH 32
struct med_jw {
    struct med_buf *buf;
    bool pretty;
    unsigned depth;
    bool has_item[MED_JSON_WRITER_DEPTH];
    bool after_key;
};

struct med_jw med_jw_of(struct med_buf *buf, bool pretty); /* borrows buf */
void med_jw_object(struct med_jw *w);
void med_jw_object_end(struct med_jw *w);
void med_jw_array(struct med_jw *w);
void med_jw_array_end(struct med_jw *w);
void med_jw_key(struct med_jw *w, const char *key);
void med_jw_str(struct med_jw *w, struct med_str s); /* invalid UTF-8 becomes U+FFFD */
void med_jw_cstr(struct med_jw *w, const char *s);   /* NULL gives null */
void med_jw_int(struct med_jw *w, long long v);
void med_jw_uint(struct med_jw *w, unsigned long long v);
/* The shortest text that reads back the same; not finite gives null. */
void med_jw_double(struct med_jw *w, double v);
/* Fixed decimals, trailing zeros cut. */
void med_jw_float(struct med_jw *w, double v, int decimals);
void med_jw_bool(struct med_jw *w, bool v);
void med_jw_null(struct med_jw *w);
void med_jw_raw(struct med_jw *w, struct med_str json); /* already valid JSON */
/* key + value */
void med_jw_kstr(struct med_jw *w, const char *key, struct med_str s);
void med_jw_kcstr(struct med_jw *w, const char *key, const char *s);
void med_jw_kint(struct med_jw *w, const char *key, long long v);
void med_jw_kbool(struct med_jw *w, const char *key, bool v);
void med_jw_kdouble(struct med_jw *w, const char *key, double v);

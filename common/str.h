/* A borrowed slice of bytes, usually UTF-8, not NUL-terminated. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct med_str {
    const char *ptr; /* NULL only when len is 0 */
    size_t len;
};

#define MED_STR(lit) ((struct med_str){.ptr = (lit), .len = sizeof(lit) - 1})
#define MED_STR_FMT "%.*s"
#define MED_STR_ARG(s) (int)(s).len, (s).ptr ? (s).ptr : ""

static inline struct med_str med_str_of(const char *cstr)
{
    return (struct med_str){.ptr = cstr, .len = cstr ? strlen(cstr) : 0};
}

static inline struct med_str med_str_sub(struct med_str s, size_t start, size_t end)
{
    return (struct med_str){.ptr = s.ptr + start, .len = end - start};
}

static inline bool med_str_eq(struct med_str a, struct med_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool med_str_eq_nocase(struct med_str a, struct med_str b); /* ASCII case only */
bool med_str_starts(struct med_str s, struct med_str prefix);
bool med_str_ends(struct med_str s, struct med_str suffix);
int med_str_cmp(struct med_str a, struct med_str b); /* bytewise, as memcmp */
struct med_str med_str_trim(struct med_str s);       /* ASCII white space */

/* Whole-string decimal numbers; false (and *ret_x untouched) for anything else or out of range. */
bool med_str_to_u64(struct med_str s, unsigned long long *ret_x);
/* Bytes, with K, M, G or T (powers of 1024): "1500M", "2g". */
bool med_str_to_bytes(struct med_str s, unsigned long long *ret_x);
bool med_str_to_i64(struct med_str s, long long *ret_x);
bool med_str_to_double(struct med_str s, double *ret_x);

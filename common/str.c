/* Slices: comparison, trimming and strict number parsing. */
#include "common/str.h"

#include <math.h>
#include <stdlib.h>

/* The longest number text that is still parsed; what is longer is not a number that a person wrote.
 */
#define NUMBER_TEXT_MAX 512

static unsigned char lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

bool med_str_eq_nocase(struct med_str a, struct med_str b)
{
    if (a.len != b.len) return false;
    for (size_t i = 0; i < a.len; i++) {
        if (lower(a.ptr[i]) != lower(b.ptr[i])) return false;
    }
    return true;
}

bool med_str_starts(struct med_str s, struct med_str prefix)
{
    if (s.len < prefix.len) return false;
    return prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0;
}

bool med_str_ends(struct med_str s, struct med_str suffix)
{
    if (s.len < suffix.len) return false;
    return suffix.len == 0 || memcmp(s.ptr + (s.len - suffix.len), suffix.ptr, suffix.len) == 0;
}

int med_str_cmp(struct med_str a, struct med_str b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common > 0 ? memcmp(a.ptr, b.ptr, common) : 0;
    if (order != 0) return order;
    return (a.len > b.len) - (a.len < b.len);
}

struct med_str med_str_trim(struct med_str s)
{
    while (s.len > 0 && is_space(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && is_space(s.ptr[s.len - 1])) s.len--;
    return s;
}

bool med_str_to_u64(struct med_str s, unsigned long long *ret_x)
{
    if (s.len == 0) return false;
    unsigned long long x = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') return false;
        if (__builtin_mul_overflow(x, 10ull, &x)) return false;
        if (__builtin_add_overflow(x, (unsigned long long)(s.ptr[i] - '0'), &x)) return false;
    }
    *ret_x = x;
    return true;
}

bool med_str_to_bytes(struct med_str s, unsigned long long *ret_x)
{
    static const char units[] = "KMGT";
    unsigned shift = 0;
    unsigned long long x;
    for (unsigned i = 0; s.len && units[i]; i++) {
        if ((s.ptr[s.len - 1] & ~0x20) == units[i]) shift = 10 * (i + 1);
    }
    if (!med_str_to_u64(shift ? med_str_sub(s, 0, s.len - 1) : s, &x)) return false;
    if (x > ~0ull >> shift) return false;
    *ret_x = x << shift;
    return true;
}

bool med_str_to_i64(struct med_str s, long long *ret_x)
{
    bool negative = s.len > 0 && s.ptr[0] == '-';
    if (negative) s = med_str_sub(s, 1, s.len);
    unsigned long long magnitude;
    if (!med_str_to_u64(s, &magnitude)) return false;
    unsigned long long magnitude_max = (unsigned long long)__LONG_LONG_MAX__ + negative;
    if (magnitude > magnitude_max) return false;
    /* Negated as unsigned, because the smallest number has no positive twin. */
    *ret_x = (long long)(negative ? 0ull - magnitude : magnitude);
    return true;
}

/* [+-] digits [. digits] [e [+-] digits], with a digit on at least one side of the point. strtod
 * alone also takes hexadecimal, "inf" and leading white space. */
static bool is_decimal_text(struct med_str s)
{
    size_t i = 0, digits = 0;
    if (i < s.len && (s.ptr[i] == '-' || s.ptr[i] == '+')) i++;
    for (; i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9'; i++) digits++;
    if (i < s.len && s.ptr[i] == '.') {
        i++;
        for (; i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9'; i++) digits++;
    }
    if (digits == 0) return false;
    if (i < s.len && (s.ptr[i] == 'e' || s.ptr[i] == 'E')) {
        i++;
        if (i < s.len && (s.ptr[i] == '-' || s.ptr[i] == '+')) i++;
        if (i == s.len) return false;
        while (i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9') i++;
    }
    return i == s.len;
}

bool med_str_to_double(struct med_str s, double *ret_x)
{
    char text[NUMBER_TEXT_MAX];
    if (s.len >= sizeof text || !is_decimal_text(s)) return false;
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    double x = strtod(text, NULL);
    if (!isfinite(x)) return false;
    *ret_x = x;
    return true;
}

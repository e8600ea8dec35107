/* Growable buffers and the reader that takes their bricks apart again.
 *
 * One byte more than len is always reserved, so that the text stays NUL-terminated without a second
 * append. */
#include "common/buf.h"

#include "common/mem.h"

#include <stdarg.h>
#include <stdio.h>

#define CAP_MIN 64
#define VARINT_BYTES_MAX 10

void med_buf_init(struct med_buf *buf, size_t bytes_max)
{
    *buf = (struct med_buf){.max = bytes_max};
}

void med_buf_free(struct med_buf *buf)
{
    med_free(buf->data);
    *buf = (struct med_buf){.max = buf->max};
}

void med_buf_reset(struct med_buf *buf)
{
    buf->len = 0;
    buf->code = MED_OK;
    if (buf->data) buf->data[0] = '\0';
}

/* Makes room for len more bytes and the NUL. */
static bool reserve(struct med_buf *buf, size_t len)
{
    if (buf->code != MED_OK) return false;
    if (len > buf->max || buf->len > buf->max - len) {
        buf->code = MED_E_LIMIT;
        return false;
    }
    size_t need;
    if (!med_size_add(buf->len + len, 1, &need)) {
        buf->code = MED_E_NOMEM;
        return false;
    }
    if (need <= buf->cap) return true;
    size_t cap = buf->cap < CAP_MIN ? CAP_MIN : buf->cap;
    while (cap < need) {
        if (!med_size_mul(cap, 2, &cap)) cap = need;
    }
    /* Doubling past the maximum would only waste memory. */
    if (cap > buf->max) cap = need > buf->max ? need : buf->max;
    char *grown = med_realloc_array(buf->data, cap, 1);
    if (!grown) {
        buf->code = MED_E_NOMEM;
        return false;
    }
    buf->data = grown;
    buf->cap = cap;
    return true;
}

void *med_buf_extend(struct med_buf *buf, size_t len)
{
    if (!reserve(buf, len)) return NULL;
    char *at = buf->data + buf->len;
    buf->len += len;
    buf->data[buf->len] = '\0';
    return at;
}

void med_buf_append(struct med_buf *buf, const void *ptr, size_t len)
{
    if (len == 0) return;
    void *at = med_buf_extend(buf, len);
    if (at) memcpy(at, ptr, len);
}

void med_buf_append_str(struct med_buf *buf, struct med_str s)
{
    med_buf_append(buf, s.ptr, s.len);
}

void med_buf_puts(struct med_buf *buf, const char *cstr)
{
    med_buf_append(buf, cstr, strlen(cstr));
}

void med_buf_putc(struct med_buf *buf, char c)
{
    med_buf_append(buf, &c, 1);
}

void med_buf_printf(struct med_buf *buf, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    size_t room = buf->code == MED_OK ? buf->cap - buf->len : 0;
    int len = vsnprintf(room > 0 ? buf->data + buf->len : NULL, room, fmt, args);
    if (len < 0) {
        if (buf->code == MED_OK) buf->code = MED_E_INTERNAL;
    } else if ((size_t)len < room && buf->len + (size_t)len <= buf->max) {
        buf->len += (size_t)len; /* it fitted at the first try */
    } else {
        if (room > 0)
            buf->data[buf->len] = '\0'; /* undo the partial text, in case there is no room */
        char *at = med_buf_extend(buf, (size_t)len);
        if (at) vsnprintf(at, (size_t)len + 1, fmt, again);
    }
    va_end(again);
    va_end(args);
}

void med_buf_put_u32(struct med_buf *buf, uint32_t v)
{
    uint8_t bytes[4];
    for (unsigned i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(v >> (8 * i));
    med_buf_append(buf, bytes, sizeof bytes);
}

void med_buf_put_u64(struct med_buf *buf, uint64_t v)
{
    uint8_t bytes[8];
    for (unsigned i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(v >> (8 * i));
    med_buf_append(buf, bytes, sizeof bytes);
}

void med_buf_put_varint(struct med_buf *buf, uint64_t v)
{
    uint8_t bytes[VARINT_BYTES_MAX];
    size_t len = 0;
    while (v >= 0x80) {
        bytes[len++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    bytes[len++] = (uint8_t)v;
    med_buf_append(buf, bytes, len);
}

enum med_code med_buf_status(const struct med_buf *buf, struct med_err *err)
{
    if (buf->code == MED_OK) return MED_OK;
    if (buf->code == MED_E_LIMIT) {
        return med_fail(err, MED_E_LIMIT, "the text exceeds its limit of %zu bytes", buf->max);
    }
    if (buf->code == MED_E_NOMEM) {
        return med_fail(err, MED_E_NOMEM, "out of memory after %zu bytes", buf->len);
    }
    return med_fail(err, buf->code, "a text could not be formatted");
}

struct med_reader med_reader_of(const void *ptr, size_t len)
{
    static const uint8_t nothing[1];
    const uint8_t *pos = ptr ? ptr : nothing;
    return (struct med_reader){.pos = pos, .end = pos + (ptr ? len : 0), .ok = true};
}

/* The next len bytes, or NULL and a reader that has failed. */
static const uint8_t *take(struct med_reader *r, size_t len)
{
    if (!r->ok || len > (size_t)(r->end - r->pos)) {
        r->ok = false;
        return NULL;
    }
    const uint8_t *at = r->pos;
    r->pos += len;
    return at;
}

uint8_t med_read_u8(struct med_reader *r)
{
    const uint8_t *at = take(r, 1);
    return at ? at[0] : 0;
}

uint32_t med_read_u32(struct med_reader *r)
{
    const uint8_t *at = take(r, 4);
    uint32_t v = 0;
    for (unsigned i = 0; at && i < 4; i++) v |= (uint32_t)at[i] << (8 * i);
    return v;
}

uint64_t med_read_u64(struct med_reader *r)
{
    const uint8_t *at = take(r, 8);
    uint64_t v = 0;
    for (unsigned i = 0; at && i < 8; i++) v |= (uint64_t)at[i] << (8 * i);
    return v;
}

uint64_t med_read_varint(struct med_reader *r)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 7 * VARINT_BYTES_MAX; shift += 7) {
        uint8_t byte = med_read_u8(r);
        if (!r->ok) return 0;
        if (shift == 63 && byte > 1) break; /* more than 64 bits, or an eleventh byte */
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) return v;
    }
    r->ok = false;
    return 0;
}

struct med_str med_read_bytes(struct med_reader *r, size_t len)
{
    const uint8_t *at = take(r, len);
    if (!at || len == 0) return (struct med_str){0};
    return (struct med_str){.ptr = (const char *)at, .len = len};
}

/* version | generation | fingerprint | offset | checksum, as bytes; see cursor.h. */
#include "service/cursor.h"

#include "common/buf.h"
#include "common/hash.h"

#define CURSOR_VERSION 1
#define CURSOR_BYTES_MAX 40u
#define SUM_BYTES 4u

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static uint32_t sum_of(const void *bytes, size_t len)
{
    return (uint32_t)(med_hash64(bytes, len) >> 32);
}

void cursor_write(const struct cursor *cursor, char ret_text[CURSOR_TEXT_MAX + 1])
{
    struct med_buf b;
    med_buf_init(&b, CURSOR_BYTES_MAX);
    med_buf_putc(&b, CURSOR_VERSION);
    med_buf_put_varint(&b, cursor->generation);
    med_buf_put_u64(&b, cursor->fingerprint);
    med_buf_put_varint(&b, cursor->offset);
    med_buf_put_u32(&b, b.data ? sum_of(b.data, b.len) : 0);
    size_t n = 0;
    for (size_t bit = 0; !b.code && bit < b.len * 8; bit += 6) {
        unsigned pair = (unsigned char)b.data[bit / 8] << 8;
        if (bit / 8 + 1 < b.len) pair |= (unsigned char)b.data[bit / 8 + 1];
        ret_text[n++] = digits[pair >> (10 - bit % 8) & 63];
    }
    ret_text[n] = '\0';
    med_buf_free(&b);
}

bool cursor_read(struct med_str text, struct cursor *ret_cursor)
{
    uint8_t bytes[CURSOR_BYTES_MAX + 4] = {0};
    size_t len = text.len * 6 / 8;
    if (text.len > CURSOR_TEXT_MAX || len > CURSOR_BYTES_MAX || len < SUM_BYTES + 1) return false;
    if (text.len != (len * 8 + 5) / 6) return false;
    for (size_t i = 0; i < text.len; i++) {
        const char *digit = text.ptr[i] ? strchr(digits, text.ptr[i]) : NULL;
        if (!digit) return false;
        size_t bit = i * 6;
        unsigned pair = (unsigned)(digit - digits) << (10 - bit % 8);
        bytes[bit / 8] |= (uint8_t)(pair >> 8);
        bytes[bit / 8 + 1] |= (uint8_t)pair;
    }
    struct med_reader r = med_reader_of(bytes, len);
    if (med_read_u8(&r) != CURSOR_VERSION) return false;
    struct cursor c = {.generation = med_read_varint(&r), .fingerprint = med_read_u64(&r)};
    uint64_t offset = med_read_varint(&r);
    size_t summed = (size_t)(r.pos - bytes);
    uint32_t sum = med_read_u32(&r);
    if (!r.ok || r.pos != r.end || bytes[len] || offset > UINT32_MAX) return false;
    if (sum != sum_of(bytes, summed)) return false;
    c.offset = (uint32_t)offset;
    *ret_cursor = c;
    return true;
}

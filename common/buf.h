/* A growable byte buffer with a mandatory maximum.
 *
 * Appends never fail loudly: the first failure (maximum or memory) sticks in `code`, later appends
 * do nothing, and the producer checks once at the end. Non-empty `data` is always NUL-terminated.
 */
#pragma once

#include "common/err.h"
#include "common/str.h"

#include <stdint.h>

struct med_buf {
    char *data; /* NULL until the first append */
    size_t len;
    size_t cap;
    size_t max;
    enum med_code code; /* MED_OK, MED_E_LIMIT or MED_E_NOMEM */
};

void med_buf_init(struct med_buf *buf, size_t bytes_max);
void med_buf_free(struct med_buf *buf);
void med_buf_reset(struct med_buf *buf); /* len = 0 and code = OK; memory is kept */

void med_buf_append(struct med_buf *buf, const void *ptr, size_t len);
void med_buf_append_str(struct med_buf *buf, struct med_str s);
void med_buf_puts(struct med_buf *buf, const char *cstr);
void med_buf_putc(struct med_buf *buf, char c);
void med_buf_printf(struct med_buf *buf, const char *fmt, ...) MED_PRINTF(2, 3);
/* Room for len bytes at the end, already counted in len; NULL after a failure. */
void *med_buf_extend(struct med_buf *buf, size_t len);

/* Little-endian fixed and LEB128 integers, the building bricks of our record formats. */
void med_buf_put_u32(struct med_buf *buf, uint32_t v);
void med_buf_put_u64(struct med_buf *buf, uint64_t v);
void med_buf_put_varint(struct med_buf *buf, uint64_t v);

enum med_code med_buf_status(const struct med_buf *buf, struct med_err *err) MED_CHECK;
static inline struct med_str med_buf_str(const struct med_buf *buf)
{
    return (struct med_str){.ptr = buf->data, .len = buf->len};
}

/* Reading the same bricks back from untrusted bytes: `ok` turns false at the first overrun and
 * stays false, reads then return 0 or an empty slice. */
struct med_reader {
    const uint8_t *pos;
    const uint8_t *end;
    bool ok;
};

struct med_reader med_reader_of(const void *ptr, size_t len);
uint8_t med_read_u8(struct med_reader *r);
uint32_t med_read_u32(struct med_reader *r);
uint64_t med_read_u64(struct med_reader *r);
uint64_t med_read_varint(struct med_reader *r);
struct med_str med_read_bytes(struct med_reader *r, size_t len); /* borrowed from the input */

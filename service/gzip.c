/* The writing half of zlib. */
#include "service/gzip.h"

#include <limits.h>
#include <zlib.h>

#define LEVEL 5          /* a tenth larger than the best, at twice the speed */
#define WINDOW (15 + 16) /* 32 KiB, with gzip's header */
#define MEMORY 8

bool gzip_pack(struct med_str bytes, struct med_buf *ret)
{
    z_stream z = {0};
    med_buf_init(ret, bytes.len);
    if (bytes.len > UINT_MAX / 2) return false;
    if (deflateInit2(&z, LEVEL, Z_DEFLATED, WINDOW, MEMORY, Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    void *out = med_buf_extend(ret, bytes.len);
    int end = Z_MEM_ERROR;
    if (out) {
        z.next_in = (z_const Bytef *)(uintptr_t)bytes.ptr;
        z.avail_in = (uInt)bytes.len;
        z.next_out = out;
        z.avail_out = (uInt)bytes.len;
        end = deflate(&z, Z_FINISH);
        ret->len = z.total_out;
    }
    (void)deflateEnd(&z);
    if (end == Z_STREAM_END) return true;
    med_buf_free(ret);
    return false;
}

/* Files and gzip; see input.h. ISA-L (at 1,200 MB/s; zlib: 480) is included here only. */
#include "index/ingest/input.h"

#include "common/limits.h"
#include "common/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <isa-l/igzip_lib.h>
#include <stdio.h>
#include <unistd.h>

#define IN_BYTES ((size_t)64 << 10)
#define RATIO_SLACK (4 * MED_MIB) /* small inputs may expand to this without being bombs */

enum med_code med_raw_open(const char *path, struct med_raw *ret_raw, struct med_err *err)
{
    bool is_stdin = strcmp(path, "-") == 0;
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) return med_fail_errno(err, errno, "cannot open '%s'", path);
    if (!is_stdin) (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    *ret_raw = (struct med_raw){.fd = fd, .path = path};
    return MED_OK;
}

enum med_code med_raw_read(void *ctx, void *ptr, size_t cap, size_t *ret_len, struct med_err *err)
{
    struct med_raw *raw = ctx;
    ssize_t len;
    do len = read(raw->fd, ptr, cap);
    while (len < 0 && errno == EINTR);
    if (len < 0) return med_fail_errno(err, errno, "cannot read '%s'", raw->path);
    raw->bytes += (uint64_t)len;
    *ret_len = (size_t)len;
    return MED_OK;
}

void med_raw_close(struct med_raw *raw)
{
    if (raw->fd > STDIN_FILENO) close(raw->fd);
    raw->fd = -1;
}

struct med_stream {
    const struct med_input *raw;
    bool gzip;
    bool raw_ended;
    bool ended; /* nothing more will be handed out */
    bool in_member;
    struct inflate_state z;
    uint64_t raw_bytes, out_bytes;
    const char *problem;
    size_t in_start, in_end;
    size_t head_start, head_len;
    unsigned char in[IN_BYTES];
    unsigned char head[MED_HEAD_BYTES];
};

static enum med_code fill(struct med_stream *s, size_t wanted, struct med_err *err)
{
    while (!s->raw_ended && s->in_end - s->in_start < wanted) {
        if (s->in_start > 0) {
            memmove(s->in, s->in + s->in_start, s->in_end - s->in_start);
            s->in_end -= s->in_start;
            s->in_start = 0;
        }
        size_t len = 0;
        enum med_code code =
            s->raw->read(s->raw->ctx, s->in + s->in_end, IN_BYTES - s->in_end, &len, err);
        if (code != MED_OK) return code;
        if (len == 0) s->raw_ended = true;
        s->in_end += len;
        s->raw_bytes += len;
    }
    return MED_OK;
}

static bool at_gzip_magic(const struct med_stream *s)
{
    return s->in_end - s->in_start >= 2 && s->in[s->in_start] == 0x1f &&
           s->in[s->in_start + 1] == 0x8b;
}

static void begin_member(struct med_stream *s)
{
    isal_inflate_init(&s->z);
    s->z.crc_flag = ISAL_GZIP; /* header and checksum are read and verified */
    s->in_member = true;
}

enum med_code med_stream_open(
    const struct med_input *raw, struct med_stream **ret_stream, struct med_err *err)
{
    struct med_stream *s = med_calloc(1, sizeof *s);
    if (!s) return med_fail(err, MED_E_NOMEM, "out of memory for reading");
    s->raw = raw;
    enum med_code code = fill(s, 2, err);
    if (code == MED_OK && at_gzip_magic(s)) {
        begin_member(s);
        s->gzip = true;
    }
    if (code != MED_OK) {
        med_free(s);
        return code;
    }
    *ret_stream = s;
    return MED_OK;
}

void med_stream_close(struct med_stream **stream)
{
    if (!*stream) return;
    med_free(*stream);
    *stream = NULL;
}

const char *med_stream_problem(const struct med_stream *stream)
{
    return stream->problem;
}

uint64_t med_stream_bytes(const struct med_stream *stream)
{
    return stream->out_bytes;
}

static void end_with(struct med_stream *s, const char *problem)
{
    s->problem = problem;
    s->ended = true;
}

/* Between members: the next one, zero padding (of tapes), or garbage. */
static enum med_code next_member(struct med_stream *s, struct med_err *err)
{
    enum med_code code = fill(s, 2, err);
    if (code != MED_OK) return code;
    if (at_gzip_magic(s)) {
        begin_member(s);
        return MED_OK;
    }
    for (size_t i = s->in_start; i < s->in_end; i++) {
        if (s->in[i] != 0) {
            end_with(s, "the gzip data is followed by something else, which was ignored");
            return MED_OK;
        }
    }
    s->in_start = s->in_end;
    if (s->raw_ended) s->ended = true;
    return MED_OK;
}

static enum med_code gunzip(
    struct med_stream *s, unsigned char *ptr, size_t cap, size_t *ret_len, struct med_err *err)
{
    *ret_len = 0;
    while (!s->ended && *ret_len == 0) {
        enum med_code code = s->in_member ? fill(s, 1, err) : next_member(s, err);
        if (code != MED_OK) return code;
        if (!s->in_member || s->ended) continue;
        s->z.next_in = s->in + s->in_start;
        s->z.avail_in = (uint32_t)(s->in_end - s->in_start);
        s->z.next_out = ptr;
        s->z.avail_out = cap < UINT32_MAX ? (uint32_t)cap : UINT32_MAX;
        size_t room = s->z.avail_out;
        int rc = isal_inflate(&s->z);
        bool starved = s->in_start == s->in_end; /* what it had taken in before may have been all */
        s->in_start = s->in_end - s->z.avail_in;
        *ret_len = room - s->z.avail_out;
        s->out_bytes += *ret_len;
        if (rc < 0)
            end_with(s, "the gzip data is damaged");
        else if (s->z.block_state == ISAL_BLOCK_FINISH)
            s->in_member = false;
        else if (starved && *ret_len == 0)
            end_with(s, "the gzip data ends early: the file is truncated");
        uint64_t used = s->raw_bytes - (s->in_end - s->in_start);
        if (s->out_bytes > RATIO_SLACK && s->out_bytes / MED_GZIP_RATIO_MAX > used) {
            return med_fail(err, MED_E_LIMIT,
                "the gzip data expands more than %llu-fold: refused as a decompression bomb",
                MED_GZIP_RATIO_MAX);
        }
    }
    return MED_OK;
}

/* Behind the head. */
static enum med_code read_on(
    struct med_stream *s, void *ptr, size_t cap, size_t *ret_len, struct med_err *err)
{
    if (s->gzip) return gunzip(s, ptr, cap, ret_len, err);
    size_t left = s->in_end - s->in_start;
    if (left > 0) {
        size_t len = left < cap ? left : cap;
        memcpy(ptr, s->in + s->in_start, len);
        s->in_start += len;
        *ret_len = len;
    } else if (s->raw_ended) {
        *ret_len = 0;
    } else {
        enum med_code code = s->raw->read(s->raw->ctx, ptr, cap, ret_len, err);
        if (code != MED_OK) return code;
        if (*ret_len == 0) s->raw_ended = true;
    }
    s->out_bytes += *ret_len;
    return MED_OK;
}

enum med_code med_stream_head(struct med_stream *s, struct med_str *ret_head, struct med_err *err)
{
    while (s->head_len < MED_HEAD_BYTES) {
        size_t len = 0;
        enum med_code code =
            read_on(s, s->head + s->head_len, MED_HEAD_BYTES - s->head_len, &len, err);
        if (code != MED_OK) return code;
        if (len == 0) break;
        s->head_len += len;
    }
    *ret_head = (struct med_str){.ptr = (const char *)s->head, .len = s->head_len};
    return MED_OK;
}

enum med_code med_stream_read(
    void *ctx, void *ptr, size_t cap, size_t *ret_len, struct med_err *err)
{
    struct med_stream *s = ctx;
    size_t left = s->head_len - s->head_start;
    if (left == 0) return read_on(s, ptr, cap, ret_len, err);
    size_t len = left < cap ? left : cap;
    memcpy(ptr, s->head + s->head_start, len);
    s->head_start += len;
    *ret_len = len;
    return MED_OK;
}

struct med_str med_base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return med_str_of(slash && slash[1] ? slash + 1 : path);
}

uint64_t med_sequence_of_name(struct med_str name)
{
    if (med_str_starts(name, MED_STR("pubmed")))
        name = med_str_sub(name, 6, name.len);
    else if (med_str_starts(name, MED_STR("medline")))
        name = med_str_sub(name, 7, name.len);
    else
        return 0;
    size_t digits = 0;
    if (name.len < 4 || name.ptr[2] != 'n') return 0;
    while (3 + digits < name.len && name.ptr[3 + digits] >= '0' && name.ptr[3 + digits] <= '9') {
        digits++;
    }
    unsigned long long year, number;
    if (!med_str_to_u64(med_str_sub(name, 0, 2), &year)) return 0;
    if (digits == 0 || digits > 5 || (3 + digits < name.len && name.ptr[3 + digits] != '.')) {
        return 0;
    }
    if (!med_str_to_u64(med_str_sub(name, 3, 3 + digits), &number)) return 0;
    return (2000 + year) * 100000 + number;
}

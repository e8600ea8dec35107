/* See encoding.h. Raw bytes wait in `raw`; conversion writes straight into the caller's buffer. */
#include "index/ingest/encoding.h"

#include "common/mem.h"

#include <errno.h>
#include <iconv.h>

#define RAW_BYTES ((size_t)64 << 10)
#define HEAD_BYTES 1024 /* an XML declaration is shorter */
#define REPLACEMENT "\xef\xbf\xbd"

struct med_utf8_input {
    const struct med_input *in;
    iconv_t converter;
    bool converts;
    bool ended; /* `in` has nothing more */
    size_t start, end;
    char raw[RAW_BYTES];
};

static enum med_code fill(struct med_utf8_input *u, size_t wanted, struct med_err *err)
{
    while (!u->ended && u->end - u->start < wanted) {
        if (u->start > 0) {
            memmove(u->raw, u->raw + u->start, u->end - u->start);
            u->end -= u->start;
            u->start = 0;
        }
        size_t len = 0;
        enum med_code code =
            u->in->read(u->in->ctx, u->raw + u->end, RAW_BYTES - u->end, &len, err);
        if (code != MED_OK) return code;
        if (len == 0) u->ended = true;
        u->end += len;
    }
    return MED_OK;
}

/* The value of `encoding` in an XML declaration, or empty. */
static struct med_str declared_encoding(struct med_str head)
{
    if (!med_str_starts(head, MED_STR("<?xml"))) return (struct med_str){0};
    const char *end = memchr(head.ptr, '>', head.len);
    if (!end) return (struct med_str){0};
    size_t len = (size_t)(end - head.ptr);
    const char *name = memmem(head.ptr, len, "encoding", 8);
    if (!name) return (struct med_str){0};
    const char *p = name + 8;
    while (p < end && *p != '"' && *p != '\'') p++;
    if (p == end) return (struct med_str){0};
    const char *close = memchr(p + 1, *p, (size_t)(end - p - 1));
    if (!close) return (struct med_str){0};
    return (struct med_str){.ptr = p + 1, .len = (size_t)(close - p - 1)};
}

/* The encoding's name for iconv in `name`, empty for UTF-8; cuts the byte order mark. False for a
 * name that cannot be one. */
static bool detect(struct med_utf8_input *u, char name[64])
{
    struct med_str head = {.ptr = u->raw + u->start, .len = u->end - u->start};
    name[0] = '\0';
    if (med_str_starts(head, MED_STR("\xef\xbb\xbf"))) {
        u->start += 3;
    } else if (med_str_starts(head, MED_STR("\xfe\xff"))) {
        u->start += 2;
        memcpy(name, "UTF-16BE", 9);
    } else if (med_str_starts(head, MED_STR("\xff\xfe"))) {
        u->start += 2;
        memcpy(name, "UTF-16LE", 9);
    } else if (med_str_starts(head, ((struct med_str){.ptr = "\0<", .len = 2}))) {
        memcpy(name, "UTF-16BE", 9);
    } else if (med_str_starts(head, ((struct med_str){.ptr = "<\0", .len = 2}))) {
        memcpy(name, "UTF-16LE", 9);
    } else {
        struct med_str declared = declared_encoding(head);
        /* A head that could be read byte by byte is not in 16 or 32 bits, whatever it says. */
        bool wide = declared.len >= 5 &&
                    (med_str_eq_nocase(med_str_sub(declared, 0, 4), MED_STR("UCS-")) ||
                        med_str_eq_nocase(med_str_sub(declared, 0, 5), MED_STR("UTF-1")) ||
                        med_str_eq_nocase(med_str_sub(declared, 0, 5), MED_STR("UTF-3")));
        if (declared.len == 0 || wide || med_str_eq_nocase(declared, MED_STR("UTF-8")) ||
            med_str_eq_nocase(declared, MED_STR("UTF8")) ||
            med_str_eq_nocase(declared, MED_STR("US-ASCII"))) {
            return true;
        }
        if (declared.len > 40 || memchr(declared.ptr, '/', declared.len)) return false;
        memcpy(name, declared.ptr, declared.len);
        name[declared.len] = '\0';
    }
    return true;
}

enum med_code med_utf8_input_open(
    const struct med_input *in, struct med_utf8_input **ret_input, struct med_err *err)
{
    struct med_utf8_input *u = med_calloc(1, sizeof *u);
    if (!u) return med_fail(err, MED_E_NOMEM, "out of memory for reading");
    u->in = in;
    enum med_code code = fill(u, HEAD_BYTES, err);
    if (code != MED_OK) {
        med_free(u);
        return code;
    }
    char name[64];
    if (detect(u, name) && name[0] != '\0') {
        u->converter = iconv_open("UTF-8", name);
        u->converts = u->converter != (iconv_t)-1; /* NOLINT: POSIX says so */
    }
    *ret_input = u;
    return MED_OK;
}

void med_utf8_input_close(struct med_utf8_input **input)
{
    if (!*input) return;
    if ((*input)->converts) iconv_close((*input)->converter);
    med_free(*input);
    *input = NULL;
}

enum med_code med_utf8_input_read(
    void *ctx, void *ptr, size_t cap, size_t *ret_len, struct med_err *err)
{
    struct med_utf8_input *u = ctx;
    char *out = ptr;
    size_t room = cap;
    if (!u->converts && u->start == u->end) { /* the usual case: no copy */
        if (!u->ended) return u->in->read(u->in->ctx, ptr, cap, ret_len, err);
        *ret_len = 0;
        return MED_OK;
    }
    if (!u->converts) {
        size_t len = u->end - u->start < cap ? u->end - u->start : cap;
        memcpy(ptr, u->raw + u->start, len);
        u->start += len;
        *ret_len = len;
        return MED_OK;
    }
    while (room == cap) {
        enum med_code code = fill(u, 1, err);
        if (code != MED_OK) return code;
        if (u->start == u->end) break;
        char *from = u->raw + u->start;
        size_t left = u->end - u->start;
        size_t rc = iconv(u->converter, &from, &left, &out, &room);
        int errnum = rc == (size_t)-1 ? errno : 0;
        u->start = u->end - left;
        if (errnum == EINVAL && !u->ended) { /* half a character: wait for the rest of it */
            code = fill(u, left + 1, err);
            if (code != MED_OK) return code;
        } else if ((errnum == EILSEQ || errnum == EINVAL) && room >= 3) {
            memcpy(out, REPLACEMENT, 3);
            out += 3;
            room -= 3;
            u->start++;
        } else if (errnum != 0) {
            break; /* E2BIG: the caller's buffer is full */
        }
    }
    *ret_len = cap - room;
    return MED_OK;
}

/* The only file that includes nettle. */
#include "index/ingest/md5.h"

#include "common/buf.h"
#include "common/fs.h"
#include "common/limits.h"
#include "index/ingest/input.h"

#include <nettle/md5.h>
#include <stdio.h>

#define SUFFIX ".md5"
#define COMPANION_BYTES_MAX (64 * MED_KIB)
#define PIECE_BYTES ((size_t)256 << 10)
#define HEX_LEN (2 * MD5_DIGEST_SIZE)

bool med_is_md5_companion(const char *path)
{
    return med_str_ends(med_str_of(path), MED_STR(SUFFIX));
}

static bool companion_of(const char *path, char ret_path[MED_PATH_MAX])
{
    int len = snprintf(ret_path, MED_PATH_MAX, "%s" SUFFIX, path);
    return len > 0 && len < MED_PATH_MAX && med_path_exists(ret_path);
}

bool med_has_md5_companion(const char *path)
{
    char companion[MED_PATH_MAX];
    return companion_of(path, companion);
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* The first run of exactly 32 hexadecimal digits that no other letter touches. */
static bool find_checksum(struct med_str text, unsigned char ret_digest[MD5_DIGEST_SIZE])
{
    for (size_t at = 0, end; at < text.len; at = end + 1) {
        for (end = at; end < text.len && hex_digit(text.ptr[end]) >= 0;) end++;
        if (end - at != HEX_LEN) continue;
        for (size_t i = 0; i < MD5_DIGEST_SIZE; i++)
            ret_digest[i] = (unsigned char)(hex_digit(text.ptr[at + 2 * i]) << 4 |
                                            hex_digit(text.ptr[at + 2 * i + 1]));
        return true;
    }
    return false;
}

static enum med_code digest_of(
    const char *path, unsigned char ret_digest[MD5_DIGEST_SIZE], struct med_err *err)
{
    struct med_raw raw;
    struct md5_ctx ctx;
    struct med_buf piece;
    size_t len = 1;
    enum med_code code = med_raw_open(path, &raw, err);
    if (code != MED_OK) return code;
    md5_init(&ctx);
    med_buf_init(&piece, PIECE_BYTES);
    void *bytes = med_buf_extend(&piece, PIECE_BYTES);
    if (!bytes) code = med_fail(err, MED_E_NOMEM, "out of memory");
    while (code == MED_OK && len > 0) {
        code = med_raw_read(&raw, bytes, PIECE_BYTES, &len, err);
        if (code == MED_OK) md5_update(&ctx, len, bytes);
    }
    if (code == MED_OK) md5_digest(&ctx, MD5_DIGEST_SIZE, ret_digest);
    med_buf_free(&piece);
    med_raw_close(&raw);
    return code;
}

enum med_code med_md5_check(const char *path, bool required, struct med_err *err)
{
    char companion[MED_PATH_MAX];
    unsigned char expected[MD5_DIGEST_SIZE], found[MD5_DIGEST_SIZE];
    struct med_buf text;
    if (!companion_of(path, companion))
        return required
                   ? med_fail(err, MED_E_NOT_FOUND,
                         "there is no " SUFFIX " file beside it, and --require-md5 asks for one")
                   : MED_OK;
    med_buf_init(&text, COMPANION_BYTES_MAX);
    enum med_code code = med_read_file(companion, &text, err);
    if (code == MED_OK && !find_checksum(med_buf_str(&text), expected))
        code = med_fail(err, MED_E_INVALID, "%s holds no MD5 checksum", companion);
    med_buf_free(&text);
    if (code == MED_OK) code = digest_of(path, found, err);
    if (code == MED_OK && memcmp(expected, found, sizeof found) != 0)
        code = med_fail(
            err, MED_E_CORRUPT, "its content does not fit its " SUFFIX " file: fetch both again");
    return code;
}

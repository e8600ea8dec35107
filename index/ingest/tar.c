/* Tar archives through libarchive, which is included here only. Only the tar reader is enabled and
 * nothing is extracted: names are labels, never paths. */
#include "index/ingest/input.h"

#include "common/mem.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdio.h>

#define BLOCK_BYTES ((size_t)64 << 10)
#define TAR_MAGIC_AT 257

struct tar {
    const struct med_input *in;
    struct archive *archive;
    enum med_code read_code; /* of the input underneath */
    struct med_err read_err;
    const char *damage; /* of the open member */
    char block[BLOCK_BYTES];
};

bool med_tar_detect(struct med_str head)
{
    return head.len >= 512 && memcmp(head.ptr + TAR_MAGIC_AT, "ustar", 5) == 0;
}

static la_ssize_t on_read(struct archive *archive, void *ctx, const void **ret_block)
{
    struct tar *tar = ctx;
    size_t len = 0;
    tar->read_code = tar->in->read(tar->in->ctx, tar->block, BLOCK_BYTES, &len, &tar->read_err);
    if (tar->read_code != MED_OK) {
        archive_set_error(archive, -1, "%s", tar->read_err.text);
        return -1;
    }
    *ret_block = tar->block;
    return (la_ssize_t)len;
}

static enum med_code read_member(
    void *ctx, void *ptr, size_t cap, size_t *ret_len, struct med_err *err)
{
    struct tar *tar = ctx;
    la_ssize_t len = tar->damage ? 0 : archive_read_data(tar->archive, ptr, cap);
    if (tar->read_code != MED_OK) {
        if (err) *err = tar->read_err;
        return tar->read_code;
    }
    if (len < 0) {
        tar->damage = "the archive is truncated or damaged";
        len = 0;
    }
    *ret_len = (size_t)len;
    return MED_OK;
}

enum med_code med_tar_each(const struct med_input *in,
    enum med_code (*member)(void *ctx, const struct med_input *in, struct med_err *err), void *ctx,
    char ret_problem[MED_TAR_PROBLEM_MAX], struct med_err *err)
{
    ret_problem[0] = '\0';
    struct tar *tar = med_calloc(1, sizeof *tar);
    if (!tar) return med_fail(err, MED_E_NOMEM, "out of memory for an archive");
    tar->in = in;
    tar->archive = archive_read_new();
    enum med_code code = MED_OK;
    if (!tar->archive || archive_read_support_format_tar(tar->archive) != ARCHIVE_OK ||
        archive_read_open(tar->archive, tar, NULL, on_read, NULL) != ARCHIVE_OK) {
        code = tar->read_code != MED_OK ? tar->read_code : MED_E_INVALID;
        code = med_fail(err, code, "the archive cannot be read: %s",
            tar->archive ? archive_error_string(tar->archive) : "out of memory");
        goto out;
    }
    while (code == MED_OK && !tar->damage) {
        struct archive_entry *entry;
        int rc = archive_read_next_header(tar->archive, &entry);
        if (tar->read_code != MED_OK) {
            if (err) *err = tar->read_err;
            code = tar->read_code;
            break;
        }
        if (rc == ARCHIVE_EOF) break;
        if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN) {
            const char *why = archive_error_string(tar->archive);
            snprintf(ret_problem, MED_TAR_PROBLEM_MAX, "the archive is truncated or damaged: %s",
                why ? why : "unknown reason");
            break;
        }
        if (archive_entry_filetype(entry) != AE_IFREG) continue;
        const char *name = archive_entry_pathname(entry);
        struct med_input one = {
            .read = read_member, .ctx = tar, .name = med_base_name(name ? name : "member")};
        one.sequence = med_sequence_of_name(one.name);
        code = member(ctx, &one, err);
    }
    if (tar->damage) snprintf(ret_problem, MED_TAR_PROBLEM_MAX, "%s", tar->damage);
out:
    if (tar->archive) archive_read_free(tar->archive);
    med_free(tar);
    return code;
}

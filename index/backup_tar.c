/* Backups as one stream: pax archives through libarchive. */
#include "index/backup_list.h"

#include "common/mem.h"

#include <archive.h>
#include <archive_entry.h>

struct backup_tar {
    struct archive *archive;
    bool writes;
};

static enum med_code fail(struct backup_tar *tar, const char *what, struct med_err *err)
{
    int errnum = archive_errno(tar->archive);
    const char *why = archive_error_string(tar->archive);
    if (tar->writes && errnum > 0) return med_fail_errno(err, errnum, "%s", what);
    return med_fail(
        err, tar->writes ? MED_E_IO : MED_E_CORRUPT, "%s: %s", what, why ? why : "unknown reason");
}

static enum med_code made(
    struct archive *archive, bool writes, struct backup_tar **ret_tar, struct med_err *err)
{
    struct backup_tar *tar = archive ? med_calloc(1, sizeof *tar) : NULL;
    if (!tar) {
        if (archive) archive_free(archive);
        return med_fail(err, MED_E_NOMEM, "out of memory for an archive");
    }
    *tar = (struct backup_tar){.archive = archive, .writes = writes};
    *ret_tar = tar;
    return MED_OK;
}

void backup_tar_free(struct backup_tar **tar)
{
    if (!*tar) return;
    archive_free((*tar)->archive);
    med_free(*tar);
    *tar = NULL;
}

enum med_code backup_tar_writer(int fd, struct backup_tar **ret_tar, struct med_err *err)
{
    struct backup_tar *tar;
    enum med_code code = made(archive_write_new(), true, &tar, err);
    if (code) return code;
    if (archive_write_set_format_pax_restricted(tar->archive) != ARCHIVE_OK ||
        archive_write_open_fd(tar->archive, fd) != ARCHIVE_OK) {
        code = fail(tar, "cannot begin an archive", err);
        backup_tar_free(&tar);
        return code;
    }
    *ret_tar = tar;
    return MED_OK;
}

enum med_code backup_tar_begin(struct backup_tar *tar, const char *name, uint64_t size,
    int64_t unix_time_s, struct med_err *err)
{
    struct archive_entry *entry = archive_entry_new();
    if (!entry) return med_fail(err, MED_E_NOMEM, "out of memory for an archive");
    archive_entry_set_pathname(entry, name);
    archive_entry_set_size(entry, (la_int64_t)size);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0600);
    archive_entry_set_mtime(entry, unix_time_s, 0);
    int rc = archive_write_header(tar->archive, entry);
    archive_entry_free(entry);
    return rc == ARCHIVE_OK ? MED_OK : fail(tar, "cannot write the archive", err);
}

enum med_code backup_tar_write(
    struct backup_tar *tar, const void *ptr, size_t len, struct med_err *err)
{
    la_ssize_t n = archive_write_data(tar->archive, ptr, len);
    return n >= 0 && (size_t)n == len ? MED_OK : fail(tar, "cannot write the archive", err);
}

enum med_code backup_tar_finish(struct backup_tar **tar, struct med_err *err)
{
    enum med_code code = MED_OK;
    if (archive_write_close((*tar)->archive) != ARCHIVE_OK)
        code = fail(*tar, "cannot finish the archive", err);
    backup_tar_free(tar);
    return code;
}

enum med_code backup_tar_reader(int fd, struct backup_tar **ret_tar, struct med_err *err)
{
    struct backup_tar *tar;
    enum med_code code = made(archive_read_new(), false, &tar, err);
    if (code) return code;
    if (archive_read_support_format_tar(tar->archive) != ARCHIVE_OK ||
        archive_read_open_fd(tar->archive, fd, (size_t)1 << 20) != ARCHIVE_OK) {
        code = fail(tar, "this is no backup archive", err);
        backup_tar_free(&tar);
        return code;
    }
    *ret_tar = tar;
    return MED_OK;
}

enum med_code backup_tar_next(
    struct backup_tar *tar, const char **ret_name, uint64_t *ret_size, struct med_err *err)
{
    struct archive_entry *entry;
    do {
        int rc = archive_read_next_header(tar->archive, &entry);
        if (rc == ARCHIVE_EOF) {
            *ret_name = NULL;
            return MED_OK;
        }
        if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN) return fail(tar, "the archive is damaged", err);
    } while (archive_entry_filetype(entry) != AE_IFREG);
    const char *name = archive_entry_pathname(entry);
    if (!name) return med_fail(err, MED_E_CORRUPT, "the archive has a file without a name");
    *ret_name = name;
    *ret_size = (uint64_t)archive_entry_size(entry);
    return MED_OK;
}

enum med_code backup_tar_read(
    struct backup_tar *tar, void *ptr, size_t cap, size_t *ret_len, struct med_err *err)
{
    la_ssize_t n = archive_read_data(tar->archive, ptr, cap);
    if (n < 0) return fail(tar, "the archive is damaged", err);
    *ret_len = (size_t)n;
    return MED_OK;
}

/* What is common to both directions of a backup (backup.h): the list of its files, and where files
 * come from or go to, a folder or a tar stream. */
#pragma once

#include "common/arena.h"
#include "common/fs.h"
#include "index/backup.h"

#define BACKUP_LIST_BYTES_MAX (64 * MED_MIB)
#define BACKUP_NAME_MAX 512

struct backup_entry {
    const char *name; /* relative: "segments/<id>/postings" */
    uint64_t size;
    struct med_hash128 hash;
};
struct backup_list {
    struct med_arena *arena; /* of the names */
    struct backup_entry *items;
    size_t count, cap;
    uint64_t generation;
    int64_t created_unix_s;
};
void backup_list_free(struct backup_list *list);
enum med_code backup_list_add(struct backup_list *list, const char *name, uint64_t size,
    struct med_hash128 hash, struct med_err *err) MED_CHECK;
enum med_code backup_list_write(
    const struct backup_list *list, struct med_buf *out, struct med_err *err) MED_CHECK;
/* Checks everything: its own checksum, names that stay inside. list->arena must be set. */
enum med_code backup_list_parse(
    struct backup_list *list, struct med_str text, struct med_err *err) MED_CHECK;
/* A name that may stand in a backup: no way out of the folder, and one that backups have. */
bool backup_name_ok(const char *name);

/* --- backup_tar.c: the only other file that includes libarchive --- */
struct backup_tar;
/* Borrows fd. */
enum med_code backup_tar_writer(int fd, struct backup_tar **ret_tar, struct med_err *err) MED_CHECK;
enum med_code backup_tar_begin(struct backup_tar *tar, const char *name, uint64_t size,
    int64_t unix_time_s, struct med_err *err) MED_CHECK;
enum med_code backup_tar_write(
    struct backup_tar *tar, const void *ptr, size_t len, struct med_err *err) MED_CHECK;
/* Ends the archive; consumes *tar, also on failure. */
enum med_code backup_tar_finish(struct backup_tar **tar, struct med_err *err) MED_CHECK;
enum med_code backup_tar_reader(int fd, struct backup_tar **ret_tar, struct med_err *err) MED_CHECK;
/* The next regular file; *ret_name NULL at the end. The name lives until the next call. */
enum med_code backup_tar_next(struct backup_tar *tar, const char **ret_name, uint64_t *ret_size,
    struct med_err *err) MED_CHECK;
enum med_code backup_tar_read(
    struct backup_tar *tar, void *ptr, size_t cap, size_t *ret_len, struct med_err *err) MED_CHECK;
void backup_tar_free(struct backup_tar **tar);

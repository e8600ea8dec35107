/* The fault-injecting twin of the file seam (common/fs.h).
 *
 * It works on a real folder, so that the code under test can map and read what it wrote, and keeps
 * a record of what a disk would know: which bytes and which directory entries were synced, and
 * everything since. From the record it can write, again and again, a folder that a loss of power at
 * this moment might leave behind.
 *
 * What a loss of power may do
 *  - Synced bytes of a file stay. Of the writes since, every 512-byte sector holds the state after
 * some prefix of the writes to it, each sector for itself: kept, dropped, torn. A file may have its
 * new length and zeros.
 *  - Truncation by create() of an existing file may be lost, but then so are all later writes.
 *  - Entries of a synced folder stay. Of the creates, renames, unlinks, mkdirs and rmdirs since, a
 * prefix survives: by one draw in two the same prefix for all folders, as the journals of ext4 and
 * xfs have it; otherwise another one for each folder, as POSIX allows and other file systems do. A
 * rename is never half done.
 *  - Syncing a file keeps its bytes, not its name.
 *  - The operation during which the power fails may have happened or not.
 * Files that were there before, or that are written around the seam (LMDB), count as synced. */
#pragma once

#include "common/fs.h"

struct med_faulty_fs;

/* root: an existing folder; every path that passes the seam must lie below it and start with the
 * same text. */
enum med_code med_faulty_fs_new(const char *root, uint64_t seed, struct med_faulty_fs **ret_faulty,
    struct med_err *err) MED_CHECK;
void med_faulty_fs_free(struct med_faulty_fs **faulty); /* close all files before */

/* Borrowed: lives as long as the twin. Its operations may be called from several threads. */
const struct med_fs *med_faulty_fs_seam(struct med_faulty_fs *faulty);

/* The power fails during the nth operation from now (1 = the very next): it and all later ones give
 * MED_E_IO. 0 switches it off. Everything but close counts. */
void med_faulty_fs_crash_after(struct med_faulty_fs *faulty, uint64_t n_ops);
/* Only the nth operation from now fails, without any effect, with MED_E_IO. 0 switches it off. */
void med_faulty_fs_fail_once(struct med_faulty_fs *faulty, uint64_t n_ops);
/* The disk is full after that many more bytes: the write that crosses the line is cut there, it and
 * all later ones give MED_E_NO_SPACE. UINT64_MAX switches it off. */
void med_faulty_fs_space(struct med_faulty_fs *faulty, uint64_t bytes);

/* Operations so far; run once without faults to learn how many a procedure has, then fail each. */
uint64_t med_faulty_fs_op_count(const struct med_faulty_fs *faulty);

/* Writes into dir (created if absent, otherwise empty) what a loss of power now might leave. Every
 * call draws anew. */
enum med_code med_faulty_fs_materialize(
    struct med_faulty_fs *faulty, const char *dir, struct med_err *err) MED_CHECK;

/* The record behind tests/support/faulty_fs.h, shared by the file that keeps it (faulty_fs.c) and
 * the file that draws ruins from it (faulty_fs_ruins.c).
 *
 * It has three parts: nodes (files and folders, for ever, also after their removal), for each file
 * its synced bytes and the changes since, and one log of directory operations. A folder's entries
 * at the beginning (`baseline`) plus a prefix of the log give its entries after a crash; plus the
 * whole log, its entries now.
 *
 * Nodes are made lazily: a name is looked up in the real folder when an operation first mentions
 * it. A file's bytes are read ("loaded") just before the first change that could make them
 * unreadable. */
#pragma once

#include "common/rng.h"
#include "tests/support/faulty_fs.h"

#include <pthread.h>

#define FILE_BYTES_MAX ((size_t)1 << 32)

struct change {
    bool truncate; /* to nothing; otherwise a write */
    uint64_t offset;
    size_t len;
    uint8_t *data;
};

struct entry {
    char *name;
    struct node *node;
};

struct entries {
    struct entry *items;
    size_t count, cap;
};

struct node {
    bool folder;
    struct node *parent; /* where it really is now; NULL for the root and for what was removed */
    char *name;
    /* files */
    bool loaded;
    struct med_buf synced;
    struct change *changes; /* since the last sync */
    size_t change_count, changes_cap;
    /* folders */
    struct entries baseline, now;
    size_t floor; /* this many operations of the log are durable here */
    size_t cut;   /* while materializing: this many survive */
};

/* create, mkdir: only `to`; unlink, rmdir: only `from`; rename: both. */
struct dir_op {
    struct node *from_dir, *to_dir;
    char *from, *to;
    struct node *node;
};

struct med_faulty_fs {
    struct med_fs seam; /* its ctx is this structure */
    pthread_mutex_t lock;
    char *root_path;
    struct node *root;
    struct node **nodes;
    size_t node_count, nodes_cap;
    struct dir_op *log;
    size_t log_count, log_cap;
    struct med_rng rng;
    uint64_t op_count;
    uint64_t crash_countdown; /* 0 = off */
    uint64_t fail_countdown;
    bool crashed;
    uint64_t space_left;
};

/* Where the node really is now. */
enum med_code med_faulty_real_path(const struct med_faulty_fs *f, const struct node *node,
    char ret_path[MED_PATH_MAX], struct med_err *err) MED_CHECK;
/* The node under this name, from the record or, on first mention, from the real folder. *ret_node =
 * NULL: none. */
enum med_code med_faulty_lookup(struct med_faulty_fs *f, struct node *dir, const char *name,
    struct node **ret_node, struct med_err *err) MED_CHECK;

/* false = out of memory; an entry of that name is replaced. */
bool med_faulty_entry_set(struct entries *entries, const char *name, struct node *node);
void med_faulty_entry_clear(struct entries *entries, const char *name);
void med_faulty_entries_free(struct entries *entries);

/* Grows with zeros up to size, never shrinks; false = out of memory. */
bool med_faulty_extend(struct med_buf *image, uint64_t size);
bool med_faulty_apply(struct med_buf *image, const struct change *change);

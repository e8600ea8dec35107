/* LMDB behind a thin wrapper: lmdb_env.c is the only file that knows its types, flags and error
 * numbers.
 *
 * An environment is a folder with a few named tables. Opening one folder twice in a process would
 * silently drop LMDB's locks, so environments are shared: a second open of the same folder returns
 * the first with a reference more.
 *
 * Map size. The map is address space, not memory and not disk, so a large one is reserved at once;
 * where the system refuses, half of it is tried, and so on. A write transaction starts only when
 * the map has room for a copy of all pages in use plus `room_bytes`: a transaction copies each old
 * page at most once and its caller bounds what is new, so that MDB_MAP_FULL cannot happen half-way.
 * When that room is missing the map grows before the transaction begins; this needs a moment
 * without transactions in this process, otherwise MED_E_BUSY. A map that another process has
 * outgrown (MDB_MAP_RESIZED) grows in the same way. Under a limit on address space (RLIMIT_AS) the
 * map takes at most half of it; only then may a transaction start with less room, and end with
 * MED_E_NO_SPACE.
 *
 * Lookups that find nothing return MED_E_NOT_FOUND and leave err alone. Slices that come back point
 * into the map and live until the next write in the same transaction, or its end. */
#pragma once

#include "common/err.h"
#include "common/str.h"

#include <stdint.h>

#define MED_ENV_TABLES_MAX 8
#define MED_ENV_KEY_BYTES_MAX 511 /* LMDB's compiled-in limit, also of duplicate values */
#define MED_ENV_READERS 1024

struct med_table_spec {
    const char *name;
    bool duplicates; /* several sorted values under one key */
};

struct med_env_options {
    const struct med_table_spec *tables; /* tables are named by their position here */
    unsigned table_count;
    bool read_only; /* never writes; without locks where the lock file cannot be made */
    uint64_t map_bytes;
    uint64_t room_bytes;
};

struct med_env;
enum med_code med_env_open(const char *dir, const struct med_env_options *options,
    struct med_env **ret_env, struct med_err *err) MED_CHECK;
void med_env_close(struct med_env **env);
/* A compacted copy of a consistent state into an existing empty folder; writers go on meanwhile. */
enum med_code med_env_copy(struct med_env *env, const char *dir, struct med_err *err) MED_CHECK;
uint64_t med_env_map_bytes(struct med_env *env);
const char *med_env_path(const struct med_env *env);
/* Another folder has taken this one's name. Write transactions then end with MED_E_BUSY: what they
 * store would be lost. */
bool med_env_is_replaced(const struct med_env *env);
/* Puts the folder `dir` in the place of the environment's in one durable step; `dir` then names the
 * old one. MED_E_UNSUPPORTED when the file system cannot do that. */
enum med_code med_env_exchange(
    const struct med_env *env, const char *dir, struct med_err *err) MED_CHECK;

struct med_txn;
enum med_code med_txn_begin(
    struct med_env *env, bool write, struct med_txn **ret_txn, struct med_err *err) MED_CHECK;
enum med_code med_txn_commit(struct med_txn **txn, struct med_err *err) MED_CHECK; /* consumes */
void med_txn_abort(struct med_txn **txn); /* also ends a reading one */
/* A reading transaction that rests sees nothing and holds nothing back: kept for the next reader,
 * who resumes it and sees what is committed by then. Between the two it can only be aborted, and
 * that is also what is left when resuming fails. */
void med_txn_pause(struct med_txn *txn);
enum med_code med_txn_resume(struct med_txn *txn, struct med_err *err) MED_CHECK;
uint64_t med_txn_id(const struct med_txn *txn);
uint64_t med_txn_count(struct med_txn *txn, unsigned table); /* entries in a table */

enum med_code med_txn_get(struct med_txn *txn, unsigned table, struct med_str key,
    struct med_str *ret_value, struct med_err *err) MED_CHECK;
/* Replaces, or adds a duplicate (one that is there already is fine). Keys that come in order are
 * appended. */
enum med_code med_txn_put(struct med_txn *txn, unsigned table, struct med_str key,
    struct med_str value, struct med_err *err) MED_CHECK;
/* value names the duplicate; empty for plain tables. Absent is fine. */
enum med_code med_txn_delete(struct med_txn *txn, unsigned table, struct med_str key,
    struct med_str value, struct med_err *err) MED_CHECK;

enum med_move {
    MED_MOVE_FIRST,
    MED_MOVE_LAST,
    MED_MOVE_NEXT,
    MED_MOVE_PREV,
    MED_MOVE_SEEK,
    MED_MOVE_EXACT,
    MED_MOVE_NEXT_DUPLICATE
};
struct med_cursor;
enum med_code med_cursor_open(struct med_txn *txn, unsigned table, struct med_cursor **ret_cursor,
    struct med_err *err) MED_CHECK;
void med_cursor_close(struct med_cursor **cursor); /* before its transaction ends */
/* SEEK goes to the first key >= *key, EXACT to *key; *key and *ret_value then say where the cursor
 * is. */
enum med_code med_cursor_move(struct med_cursor *cursor, enum med_move move, struct med_str *key,
    struct med_str *ret_value, struct med_err *err) MED_CHECK;

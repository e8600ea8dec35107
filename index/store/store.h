/* The docstore: every version of every document, in LMDB.
 *
 *   heads     id                      -> current version, live or deleted, precedence, content
 *                                        hash, aliases
 *   versions  id '\0' version (BE32)  -> dictionary id, raw length, zstd(record)
 *   aliases   alias, hash of address  -> ids (an abstract and its full text share a PMID)
 *   inputs    sequence number         -> what was ingested, when, how many
 *   dicts     dictionary id           -> zstd dictionary
 *   meta      "state"                 -> format, documents, dictionary in use, store id
 *             "blocked" hash of id    -> when: nothing is stored under this id (a purged document)
 *
 * A commit that returned MED_OK survives power loss. One writer at a time (LMDB's lock), any number
 * of readers.
 *
 * Precedence: of two PubMed records with one id the larger (sequence, version, date_revised) wins,
 * then the larger content hash, so that any order of files gives the same store (live documents,
 * deletions, aliases; version numbers count what was stored here and depend on the order). A
 * deletion is a version of its own: it wins over everything of the same or a smaller sequence and
 * stays, so that an old file cannot resurrect what was deleted. Documents of other sources have
 * precedence {0,0,0}: between two such, deletions included, what arrives later wins. (PubMed
 * records always have a version, at least 1, and so never are of that kind.) To delete whatever is
 * there now, pass the precedence of the document as read back.
 *
 * The same content with a larger precedence makes no new version. An id is an alias of its document
 * by itself; names longer than MED_ID_BYTES_MAX are not kept.
 *
 * One folder is open once in a process: opening it again gives another handle to the same
 * environment (but not for writing when it is open for reading). Do not use a store across fork. A
 * handle may be used by any thread. */
#pragma once

#include "common/limits.h"
#include "common/progress.h"
#include "index/document/document.h"

struct med_store;

enum med_store_mode {
    MED_STORE_READ_WRITE, /* creates the folder when absent */
    MED_STORE_READ_ONLY,
};

/* dir is <data>/docs. The map grows by itself (lmdb_env.h). lock.mdb is pre-allocated (a sparse one
 * dies with SIGBUS on a full disk). Read-only on a folder that cannot be written: without locks,
 * which is right for a replica whose files nobody changes. MED_E_NOT_FOUND: no store there
 * (read-only); MED_E_UNSUPPORTED: a newer format; MED_E_CORRUPT. */
enum med_code med_store_open(const char *dir, enum med_store_mode mode,
    struct med_store **ret_store, struct med_err *err) MED_CHECK;
void med_store_close(struct med_store **store); /* after its batches and snapshots */
/* A compacted copy of one consistent state into an existing empty folder, for backups; writers are
 * not held up. */
enum med_code med_store_copy(
    struct med_store *store, const char *dir, struct med_err *err) MED_CHECK;

/* Writes the store anew and puts the new files in place of the old ones, in one step: the bytes of
 * what was removed are gone, also those in free pages and in compression dictionaries, which hold
 * pieces of the documents they were trained on. Waits for a batch of another process and keeps
 * others out meanwhile; needs room for both. Readers go on with the old files until they open the
 * store anew (med_store_is_replaced); a writer that waited gets MED_E_BUSY. Afterwards this handle
 * reads the old files as well: close it. MED_E_UNSUPPORTED where the file system cannot exchange
 * two folders; MED_E_NO_SPACE, MED_E_CANCELLED: the old store is in place, unchanged. */
enum med_code med_store_rewrite(
    struct med_store *store, const struct med_progress *progress, struct med_err *err) MED_CHECK;
/* The files under the store's name are others than those that are open. */
bool med_store_is_replaced(const struct med_store *store);

enum med_put_outcome {
    MED_PUT_ADDED,     /* was not there, or deleted */
    MED_PUT_UPDATED,   /* a new version of a live document */
    MED_PUT_UNCHANGED, /* the same content; or a deletion of what is not there (which is remembered)
                        */
    MED_PUT_OLDER,     /* what is there has precedence */
    MED_PUT_DELETED,   /* a live document was deleted */
    MED_PUT_BLOCKED,   /* the id is blocked: nothing was stored */
};

/* A batch is one write transaction: all of it becomes durable at commit, or none. One thread.
 * Beginning waits for the writer before, also of other processes; a thread that begins a second one
 * waits for itself forever. After a failed write (MED_E_NO_SPACE, MED_E_IO) every further call
 * fails and only abort is left; nothing stored before is lost. A malformed document (MED_E_INVALID,
 * MED_E_LIMIT for more than 64 MiB) leaves the batch usable. A batch of more than 1 GiB refuses
 * further puts with MED_E_LIMIT. */
struct med_batch;
#define MED_PREPARED_NAMES_MAX 5
enum med_code med_batch_begin(
    struct med_store *store, struct med_batch **ret_batch, struct med_err *err) MED_CHECK;
enum med_code med_batch_put(struct med_batch *batch, const struct med_doc *doc,
    enum med_put_outcome *ret_outcome, struct med_err *err) MED_CHECK;
enum med_code med_batch_delete(struct med_batch *batch, struct med_str id,
    struct med_precedence precedence, enum med_put_outcome *ret_outcome,
    struct med_err *err) MED_CHECK;

/* A document made ready for a batch: encoded, hashed and compressed, which is most of the work of a
 * put, by any thread, whether a batch is open or not. Everything lives in the arena. */
struct med_prepared {
    struct med_str id;
    struct med_precedence precedence;
    struct med_hash128 hash;
    struct med_str names[MED_PREPARED_NAMES_MAX];
    size_t name_count;
    struct med_str raw;    /* the encoded document */
    struct med_str record; /* the bytes to store; empty: the batch makes them when it needs them */
};
/* Working memory of one thread, to be freed before the store is closed. */
struct med_preparer;
enum med_code med_preparer_new(
    struct med_store *store, struct med_preparer **ret_preparer, struct med_err *err) MED_CHECK;
void med_preparer_free(struct med_preparer **preparer);
/* Encodes and hashes. MED_E_INVALID, MED_E_LIMIT: as med_batch_put. */
enum med_code med_prepare(struct med_preparer *preparer, const struct med_doc *doc,
    struct med_arena *arena, struct med_prepared *ret_prepared, struct med_err *err) MED_CHECK;
/* Compresses, with the dictionary that the store uses now; before there is one, leaves that to the
 * batch, which may train it. */
enum med_code med_prepare_record(struct med_preparer *preparer, struct med_prepared *prepared,
    struct med_arena *arena, struct med_err *err) MED_CHECK;
/* What med_batch_put does with the document. */
enum med_code med_batch_put_prepared(struct med_batch *batch, const struct med_prepared *prepared,
    enum med_put_outcome *ret_outcome, struct med_err *err) MED_CHECK;

struct med_input_entry {
    struct med_str name;
    uint64_t sequence;
    int64_t unix_time_s;
    uint64_t added, updated, unchanged, deleted, skipped;
    uint64_t bytes;          /* of the file */
    struct med_hash128 hash; /* of its bytes; 0: not known, or not read to its end */
};
enum med_code med_batch_log_input(
    struct med_batch *batch, const struct med_input_entry *entry, struct med_err *err) MED_CHECK;
/* Removes the versions of id but for the current one and those in keep (that a kept generation
 * needs). */
enum med_code med_batch_trim(struct med_batch *batch, struct med_str id, const uint32_t *keep,
    size_t keep_count, uint64_t *ret_removed, struct med_err *err) MED_CHECK;
/* Removes everything about id, its deletion mark included, as if it had never been there.
 * MED_E_NOT_FOUND. */
enum med_code med_batch_purge(
    struct med_batch *batch, struct med_str id, struct med_err *err) MED_CHECK;
/* From now on nothing is stored under the id, so that a purged document does not come back with an
 * old file; or again. The store remembers a hash of id and store, not the id. */
enum med_code med_batch_block(
    struct med_batch *batch, struct med_str id, bool blocked, struct med_err *err) MED_CHECK;
/* Both consume *batch. commit returns after the data is on disk; on failure nothing of the batch is
 * stored. */
enum med_code med_batch_commit(struct med_batch **batch, struct med_err *err) MED_CHECK;
void med_batch_abort(struct med_batch **batch);
/* Rough bytes waiting in the batch, for callers that commit by size. */
uint64_t med_batch_bytes(const struct med_batch *batch);

/* A snapshot sees one state for as long as it lives. One thread at a time may use it (MDB_NOTLS).
 */
struct med_snapshot;
enum med_code med_snapshot_open(
    struct med_store *store, struct med_snapshot **ret_snapshot, struct med_err *err) MED_CHECK;
void med_snapshot_close(struct med_snapshot **snapshot);
uint64_t med_snapshot_doc_count(const struct med_snapshot *snapshot); /* live documents */
/* Identifies the state: grows with every commit. Builds record it. */
uint64_t med_snapshot_txn_id(const struct med_snapshot *snapshot);

/* Whether the id is blocked (med_batch_block). */
enum med_code med_snapshot_is_blocked(struct med_snapshot *snapshot, struct med_str id,
    bool *ret_blocked, struct med_err *err) MED_CHECK;
/* Live version by id (store_version set). MED_E_NOT_FOUND; MED_E_GONE when deleted. The document
 * lives in the arena. */
enum med_code med_snapshot_get(struct med_snapshot *snapshot, struct med_str id,
    struct med_arena *arena, struct med_doc **ret_doc, struct med_err *err) MED_CHECK;
/* A given version, live or not, deleted documents included. MED_E_GONE for a version that is a
 * deletion. The precedence of the document is set for the current version only. */
enum med_code med_snapshot_get_version(struct med_snapshot *snapshot, struct med_str id,
    uint32_t version, struct med_arena *arena, struct med_doc **ret_doc,
    struct med_err *err) MED_CHECK;
/* Ids of live documents that carry the alias, in byte order, strings in the arena. Count 0 is not
 * an error. */
enum med_code med_snapshot_find_alias(struct med_snapshot *snapshot, struct med_str alias,
    struct med_arena *arena, struct med_str **ret_ids, size_t *ret_count,
    struct med_err *err) MED_CHECK;
/* Visits live documents in byte order of their ids; the arena passed to visit is reset after each
 * call. The visitor may read from the same snapshot. */
typedef enum med_code (*med_doc_visit)(
    void *ctx, const struct med_doc *doc, struct med_arena *arena, struct med_err *err);
enum med_code med_snapshot_each(
    struct med_snapshot *snapshot, med_doc_visit visit, void *ctx, struct med_err *err) MED_CHECK;
/* Ids and versions of live documents in byte order, without reading the records (for parallel
 * readers and checks). */
struct med_id_version {
    struct med_str id;
    uint32_t version;
};
enum med_code med_snapshot_list(struct med_snapshot *snapshot, struct med_arena *arena,
    struct med_id_version **ret_list, size_t *ret_count, struct med_err *err) MED_CHECK;
/* Newest entries of the input log first, at most limit. */
enum med_code med_snapshot_inputs(struct med_snapshot *snapshot, size_t limit,
    struct med_arena *arena, struct med_input_entry **ret_entries, size_t *ret_count,
    struct med_err *err) MED_CHECK;
/* Reads everything: records decode, hashes match, heads and versions and aliases agree. With
 * problems *ret_problems is set, the code is MED_E_CORRUPT and the sentence tells the first; other
 * codes mean that the check did not finish. */
enum med_code med_snapshot_check(struct med_snapshot *snapshot, const struct med_progress *progress,
    uint64_t *ret_problems, struct med_err *err) MED_CHECK;

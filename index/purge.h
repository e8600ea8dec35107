/* Purge: documents are removed for good, from every place below the data folder that has them.
 *
 *   1 store        marked as deleted, and their ids blocked (med_batch_block): nothing brings them
 *                  back, also not the file they came from
 *   2 generation   an update that writes every segment with a dead document again, and makes the
 *                  overlay anew; it says that older generations are not to be kept open
 *   3 older ones   are removed; while a process holds one, this waits
 *   4 store        every version is removed, then the whole store is written anew
 *                  (med_store_rewrite), because free pages and dictionaries still have the bytes
 *   5 spool        leavings of dead processes
 *
 * Each step is durable before the next begins, and each can be done again: a purge that was stopped
 * is completed by purging the same ids once more. What was ingested but not indexed yet is indexed
 * on the way. Not reached: backups and the files that were ingested; single words in the encoder,
 * until it is trained again; what other documents say about it (their links, with its id); names of
 * files in the input log; blocks that the file system freed but did not overwrite. */
#pragma once

#include "index/generation.h"
#include "index/store/store.h"

struct med_purge_options {
    unsigned threads;
    uint64_t wait_ms; /* for processes that hold an older generation */
    const struct med_progress *progress;
};
struct med_purge_report {
    uint64_t purged, again; /* documents; those whose purge had been begun before */
    uint64_t generation;    /* without them; 0: nothing was published */
    uint64_t generations_removed, merged_segments;
    uint64_t bytes_before, bytes_after; /* of the docstore */
    struct med_str *related;            /* other documents of the same works: they stay */
    size_t related_count;
};
/* Ids are those of documents, live or deleted, or of a purge that was begun. Checked first:
 * MED_E_NOT_FOUND names one that is neither, and nothing is done. MED_E_BUSY: a process holds an
 * older generation; MED_E_CONFLICT: a build runs. The report's strings live in the arena. Close the
 * store afterwards: its files were replaced. */
enum med_code med_purge(struct med_data *data, struct med_store *store, const struct med_str *ids,
    size_t count, const struct med_purge_options *options, struct med_arena *arena,
    struct med_purge_report *ret_report, struct med_err *err) MED_CHECK;
/* Lets documents under these ids in again. MED_E_NOT_FOUND names one that is not blocked. */
enum med_code med_purge_allow(struct med_store *store, const struct med_str *ids, size_t count,
    struct med_err *err) MED_CHECK;

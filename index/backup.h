/* A consistent copy of a data folder, made while others serve, ingest and build; and back.
 *
 *   <backup>/docs/data.mdb            one state of the docstore, compacted
 *   <backup>/generations/<n>/...      the generation that was current
 *   <backup>/segments/, encoders/     what it names
 *   <backup>/retractions, vocab/      the operator's lists
 *   <backup>/keys                     the API keys (hashed), unless they are left out
 *   <backup>/BACKUP                   names, sizes and checksums of all of the above; written last
 *
 * The generation is pinned before the docstore is copied, so that every document that it needs is
 * in the copy. As a stream the same files are a tar archive whose last member is BACKUP.
 *
 * BACKUP is text: "medicus-backup 1", "created <time>", "generation <n>", a line "<XXH3-128> <size>
 * <name>" per file, and "xxh3 <XXH3-128 of the lines above>". A folder without it is no backup.
 * While a folder is being restored it holds a file RESTORING, and no command opens it. */
#pragma once

#include "index/generation.h"
#include "index/store/store.h"

#define MED_BACKUP_FILE "BACKUP"

struct med_backup_options {
    bool without_keys;
    const struct med_progress *progress; /* stages "store", "backup", "restore", "verify" */
};
struct med_backup_report {
    uint64_t generation; /* 0: nothing was published */
    uint64_t files, bytes;
    uint64_t documents; /* of the restored docstore; restore only */
};

/* dest: "-" is a stream on fd 1, a name ending in ".tar" one archive, anything else a folder that
 * does not exist or is empty. A stream needs room for a copy of the docstore in <data>/spool
 * meanwhile. What was begun is removed after a failure. MED_E_CONFLICT: dest is not empty;
 * MED_E_CORRUPT: a published file fails its checksum. */
enum med_code med_backup(struct med_data *data, struct med_store *store, const char *dest,
    const struct med_backup_options *options, struct med_backup_report *ret_report,
    struct med_err *err) MED_CHECK;

/* source: as above ("-" reads fd 0). target must not exist, be empty, or be what an interrupted
 * restore left. Every file is compared with its checksum on the way; then the generation is
 * activated and everything is checked as `medicus check` does; only then the target can be opened.
 * MED_E_CORRUPT: the backup is damaged or not complete. */
enum med_code med_restore(const char *source, const char *target,
    const struct med_backup_options *options, struct med_backup_report *ret_report,
    struct med_err *err) MED_CHECK;

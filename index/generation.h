/* Generations: what is served, and how it becomes so.
 *
 *   <data>/docs/                      the docstore (store.h)
 *   <data>/segments/<id>/<file>       write-once, shared by generations
 *   <data>/encoders/<id>/<file>       write-once
 *   <data>/generations/<number>/MANIFEST   names and checksums of all that the generation uses
 *   <data>/generations/<number>/overlay    what changes about unchanged documents (overlay.h)
 *   <data>/generations/<number>/thesaurus  vocabularies and abbreviations (thesaurus.h)
 *   <data>/generations/<number>/patch-<segment id>  what it changes about a segment (patch.h)
 *   <data>/CURRENT                    the serving generation's number; its durable rename is THE
 *                                     commit point
 *   <data>/build.lock                 flock: one build at a time
 *   <data>/current.lock               flock: held for the moment in which CURRENT is replaced
 *
 * A generation is immutable. Writers: write new files into <data>/segments/<new id>/, sync, then
 * med_generation_publish. Readers: take a shared flock on the generation's MANIFEST, then re-read
 * CURRENT; prune takes it exclusively. What a crash leaves behind (segments that no manifest names,
 * temporary names) is swept by the next build under build.lock.
 *
 * Order of locks: build.lock, a generation's MANIFEST, current.lock. A data folder may be used by
 * several threads; what else is thread-bound says so. */
#pragma once

#include "common/arena.h"
#include "common/fs.h"
#include "common/progress.h"
#include "index/lexical/lexical.h" /* med_file_ref */

#define MED_MANIFEST_VERSION 2         /* 1: no patches; still written where there are none */
#define MED_RESTORING_FILE "RESTORING" /* while a backup is being restored (backup.h) */
#define MED_NAME_LEN 32                /* hex ids of segments and encoders */

struct med_segment_ref {
    char id[MED_NAME_LEN + 1];
    struct med_file_ref *files;
    size_t file_count;
    uint64_t doc_count;
    uint64_t chunk_count;
    /* Words that were encoded, and those of them that the encoder does not know; 0: not known. */
    uint64_t token_count, unknown_count;
    /* Of the generation, not of the segment. */
    struct med_file_ref patch;  /* set by publish; an empty name: nothing is changed */
    struct med_str patch_bytes; /* what publish writes there, borrowed; not read back */
    uint64_t dead_doc_count, dead_chunk_count; /* of the counts above */
};

struct med_manifest {
    uint64_t number;        /* set by publish */
    int64_t created_unix_s; /* set by publish when 0 */
    char medicus_version[24];
    uint32_t text_version, chunker_version, analyzer_version;
    uint64_t store_txn_id; /* state of the docstore it was built from */
    uint64_t doc_count;    /* live documents of that state */
    struct med_segment_ref *segments;
    size_t segment_count;
    char encoder_id[MED_NAME_LEN + 1]; /* empty: lexical only */
    struct med_file_ref *encoder_files;
    size_t encoder_file_count;
    uint32_t title_weight, mesh_weight;
    double k1, b;
    double fusion_weight;       /* of the dense half, calibrated */
    struct med_str calibration; /* JSON object: how the weight was found */
    /* When the encoder was trained; 0 documents: not known. */
    uint64_t trained_doc_count;
    double trained_unknown_rate;
    /* Of the vocabularies in the thesaurus (med_vocabularies_hash); zero: there are none. */
    struct med_hash128 vocabulary;
    double recall_at_10;        /* of the dense index against exact search */
    int32_t reference_date;     /* yyyymmdd that recency is counted from */
    struct med_str last_input;  /* name of the newest ingested file */
    struct med_str last_update; /* of the PubMed file with the largest sequence; may be empty */
    struct med_str notes;       /* JSON object: stage times and counts of the build, for `info` */
    bool alone; /* documents were purged: nobody is to keep an older generation open */
    struct med_file_ref overlay;   /* set by publish; an empty name: the generation has none */
    struct med_str overlay_bytes;  /* what publish writes there, borrowed; not read back */
    struct med_file_ref thesaurus; /* the same for the thesaurus (thesaurus.h) */
    struct med_str thesaurus_bytes;
};

/* The data folder. Creates it (and its sub-folders) when create is set; otherwise MED_E_NOT_FOUND
 * says how to make one. */
struct med_data;
enum med_code med_data_open(const char *path, bool create, const struct med_fs *fs,
    struct med_data **ret_data, struct med_err *err) MED_CHECK;
void med_data_close(struct med_data **data);
const char *med_data_path(const struct med_data *data);

/* One build at a time, across processes. MED_E_CONFLICT names the holder's process id. Sweeps the
 * leavings of dead builds. */
struct med_build_lock;
enum med_code med_build_lock_take(
    struct med_data *data, struct med_build_lock **ret_lock, struct med_err *err) MED_CHECK;
/* Whether somebody, this process included, holds it; *ret_pid is who, 0 when that is not known. */
bool med_build_lock_held(const struct med_data *data, long *ret_pid);
void med_build_lock_release(struct med_build_lock **lock);

/* A fresh, empty folder <data>/segments/<id> with a new random id. Call under the build lock. */
enum med_code med_data_new_segment(struct med_data *data, char ret_id[MED_NAME_LEN + 1],
    char ret_dir[MED_PATH_MAX], struct med_err *err) MED_CHECK;
/* <data>/encoders/<id>, id of [0-9a-z_-]: empty, unless a generation uses that encoder already. Its
 * files then are the same ones, because the id is a hash of them; so move files into the folder by
 * renaming, never write them there in place. */
enum med_code med_data_new_encoder(struct med_data *data, const char *id,
    char ret_dir[MED_PATH_MAX], struct med_err *err) MED_CHECK;

/* Reads every file named in the manifest and compares size and checksum; the sentence names the
 * first bad file. */
enum med_code med_manifest_verify(struct med_data *data, const struct med_manifest *manifest,
    const struct med_progress *progress, struct med_err *err) MED_CHECK;
/* Verifies (what the current generation does not use already is read whole, the rest measured),
 * writes generations/<next>/MANIFEST durably, syncs every folder involved, renames CURRENT. After
 * MED_OK the generation survives power loss; after any error the old one still serves. Call under
 * the build lock. */
enum med_code med_generation_publish(struct med_data *data, struct med_manifest *manifest,
    const struct med_progress *progress, struct med_err *err) MED_CHECK;
/* The same, with a look at the whole before anybody can see it: every file but MANIFEST and CURRENT
 * is in place when `check` is called with the finished manifest. What it returns, other than
 * MED_OK, keeps the generation from being published. A crash meanwhile leaves a folder without a
 * manifest, which the next build sweeps. */
typedef enum med_code (*med_publish_check)(
    void *ctx, const struct med_manifest *staged, struct med_err *err);
enum med_code med_generation_publish_checked(struct med_data *data, struct med_manifest *manifest,
    med_publish_check check, void *ctx, const struct med_progress *progress,
    struct med_err *err) MED_CHECK;
/* Makes an older generation current (roll back); all its files are verified first. Needs no build
 * lock. It also repairs a damaged CURRENT. MED_E_NOT_FOUND. */
enum med_code med_generation_activate(
    struct med_data *data, uint64_t number, struct med_err *err) MED_CHECK;

/* Number in CURRENT; MED_E_NO_INDEX when nothing is published; MED_E_CORRUPT when CURRENT is
 * unreadable. */
enum med_code med_generation_current(
    const struct med_data *data, uint64_t *ret_number, struct med_err *err) MED_CHECK;

/* A pinned generation: its files cannot be pruned while it is held (also by other processes). */
struct med_pin;
/* number 0 = current. Loads and checks the manifest (own checksum, format version), not the files.
 * Borrows data. MED_E_NO_INDEX, MED_E_NOT_FOUND, MED_E_CORRUPT, MED_E_UNSUPPORTED (a newer format).
 * Where the file system has no locks (read-only replicas) it pins nothing. */
enum med_code med_generation_pin(struct med_data *data, uint64_t number, struct med_pin **ret_pin,
    struct med_err *err) MED_CHECK;
/* The generation that a med_publish_check is looking at. manifest is borrowed. The build lock,
 * which the publisher holds, keeps the files where they are. */
enum med_code med_generation_pin_staged(struct med_data *data, const struct med_manifest *manifest,
    struct med_pin **ret_pin, struct med_err *err) MED_CHECK;
const struct med_manifest *med_pin_manifest(const struct med_pin *pin);
/* Maps a file of a segment, or of the encoder when segment is NULL, verifying size and checksum
 * when verify is set. */
enum med_code med_pin_map(const struct med_pin *pin, const struct med_segment_ref *segment,
    const char *file, bool verify, struct med_map *ret_map, struct med_err *err) MED_CHECK;
/* The same for the generation's overlay; an empty map where it has none. */
enum med_code med_pin_map_overlay(
    const struct med_pin *pin, bool verify, struct med_map *ret_map, struct med_err *err) MED_CHECK;
/* The same for its thesaurus. */
enum med_code med_pin_map_thesaurus(
    const struct med_pin *pin, bool verify, struct med_map *ret_map, struct med_err *err) MED_CHECK;
/* The same for a segment's patch. */
enum med_code med_pin_map_patch(const struct med_pin *pin, const struct med_segment_ref *segment,
    bool verify, struct med_map *ret_map, struct med_err *err) MED_CHECK;
void med_pin_release(struct med_pin **pin);

/* Of words that the encoder does not know; 0 where nothing was encoded. */
double med_segment_unknown_rate(const struct med_segment_ref *segment);
double med_manifest_unknown_rate(const struct med_manifest *manifest);
/* Passages that can be found. */
uint64_t med_manifest_chunk_count(const struct med_manifest *manifest);

struct med_generation_info {
    uint64_t number;
    int64_t created_unix_s;
    uint64_t doc_count, chunk_count, segment_count, bytes;
    char encoder_id[MED_NAME_LEN + 1];
    bool current, pinned;
};
/* Newest first. A generation whose manifest cannot be read is listed with zeros. */
enum med_code med_generation_list(struct med_data *data, struct med_arena *arena,
    struct med_generation_info **ret_list, size_t *ret_count, struct med_err *err) MED_CHECK;
/* Removes all but the newest `keep` generations and the current one, skipping pinned ones, then
 * unreferenced segments and encoders (unless a manifest cannot be read: what it names is not known
 * then). Under the build lock. */
enum med_code med_generation_prune(
    struct med_data *data, size_t keep, uint64_t *ret_removed, struct med_err *err) MED_CHECK;

/* The manifest's text: JSON, closed by a line with its own XXH3-128. Parsing checks everything. */
enum med_code med_manifest_write(
    const struct med_manifest *manifest, struct med_buf *out, struct med_err *err) MED_CHECK;
enum med_code med_manifest_parse(struct med_str text, struct med_arena *arena,
    struct med_manifest **ret_manifest, struct med_err *err) MED_CHECK;

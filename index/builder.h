/* What the stages of a build hand to each other (build.c, analyse.c, encode.c, calibrate.c). */
#pragma once

#include "common/memory.h"
#include "index/build.h"
#include "index/fields.h"
#include "index/internal.h"

/* Every passage as the ids of its terms, in reading order: what training and encoding read. */
struct forward {
    uint32_t *tokens; /* of titles and passages, document by document */
    size_t token_count, token_cap;
    struct med_file_array token_file;  /* open: tokens are its bytes */
    uint64_t *title_start, *title_end; /* per document: its title in tokens */
    size_t title_start_cap, title_end_cap;
    uint64_t *chunk_start; /* per chunk: where its tokens begin */
    size_t chunk_cap;
    uint64_t *chunk_sentence; /* per chunk: its first sentence */
    size_t chunk_sentence_cap;
    uint64_t *sentence_start; /* per sentence: where it begins in tokens */
    size_t sentence_count, sentence_cap;
    uint32_t *chunk_doc; /* per chunk: its document's ordinal */
    size_t chunk_doc_cap;
    uint64_t
        *chunk_end; /* per chunk: where its tokens end (the next document's title may follow) */
    size_t chunk_end_cap;
    uint32_t doc_count, chunk_count;
};

struct build {
    struct med_data *data;
    struct med_store *store;
    const struct med_fs *fs;
    const struct med_build_options *options;
    unsigned threads;
    uint64_t memory;          /* bytes of memory to keep within; 0 = no bound (memory.c) */
    uint64_t token_bytes_max; /* of the forward lists, in memory */
    struct med_build_lock *lock;
    struct med_snapshot *snapshot;
    struct med_arena *arena; /* lives as long as the build */
    struct med_id_version *docs;
    size_t doc_count;
    struct med_vocab *vocab;
    struct med_lex_writer *lex;
    struct med_segment_tables *tables;
    struct med_fields_writer *fields;
    struct med_statements_writer *statements;
    struct med_overlay_builder *overlay;
    struct med_buf overlay_bytes;
    struct med_thesaurus_builder *thesaurus;
    struct med_buf thesaurus_bytes;
    struct forward forward;
    char segment_id[MED_NAME_LEN + 1];
    char segment_dir[MED_PATH_MAX];
    struct med_segment_ref segment;
    struct med_file_ref files[16];
    struct med_corpus_encoder *encoder;
    struct med_map encoder_map; /* when the encoder is an earlier one */
    struct med_file_ref encoder_file;
    struct med_manifest manifest;
    struct med_build_report report;
};

/* Heading path above the passage's own heading, for body sections; empty for abstracts. */
struct med_str build_context(const struct med_doc *doc, const struct med_chunk *chunk);

/* --- one segment from a list of documents (assemble.c) --- */
/* Folder and writers; the manifest's weights are set. */
enum med_code build_open_segment(struct build *b, struct med_err *err) MED_CHECK;
/* Everything but the vectors, after build_analyse; fills b->segment. */
enum med_code build_write_segment(struct build *b, struct med_err *err) MED_CHECK;
/* Vectors and graph by b->encoder. MED_E_INTERNAL when the graph finds too little. */
enum med_code build_make_vectors(struct build *b, struct med_err *err) MED_CHECK;
/* Opens the new segment as it would be served and asks it. */
enum med_code build_check_segment(struct build *b, struct med_err *err) MED_CHECK;
/* What recency is counted from: today (UTC), in builds and updates alike. */
int32_t build_reference_date(const struct build *b);
/* The newest file, and the newest of PubMed's numbered ones (which need not be the last that came),
 * for the manifest; builds and updates alike. */
enum med_code build_name_inputs(struct med_snapshot *snapshot, struct med_arena *arena,
    struct med_manifest *manifest, struct med_err *err) MED_CHECK;
/* After a failure: removes the segments that no manifest names. Publishing may have failed after
 * the commit point, and then the new generation needs its segment. Before build_release. */
void build_discard(struct build *b);
void build_release(struct build *b);

/* Adds to lost[ordinal of a term] what `docs` (bit per document of the segment) contribute to its
 * df, by analysing the versions that the segment was made from. MED_E_CORRUPT when that is more
 * than there is; MED_E_NOT_FOUND when the store has a version no more. */
enum med_code build_losses(struct med_snapshot *snapshot, const struct med_segment *segment,
    struct med_lex_weights weights, const uint64_t *docs, unsigned threads, uint32_t *lost,
    struct med_err *err) MED_CHECK;

/* For `check`: the segment's patch says what its dead documents contribute, as far as the store
 * still has them. MED_E_CORRUPT. */
enum med_code build_check_losses(struct med_snapshot *snapshot, const struct med_segment *segment,
    struct med_lex_weights weights, struct med_err *err) MED_CHECK;

/* --- memory (memory.c) ---
 * A budget is of memory that the kernel cannot take back: pages of mapped files do not count. What
 * grows with the texts goes to files when it outgrows its share: postings (runs, which are merged)
 * and the passages' term ids (a file without a name). What grows with the vocabulary is bounded by
 * learning from less: the encoder's terms and training passages. */
/* Takes the budget from the options; MED_E_NOMEM when the documents do not fit into it, with what
 * would. b->doc_count is known. */
enum med_code build_memory_plan(struct build *b, struct med_err *err) MED_CHECK;
/* Room for `more` tokens. */
enum med_code build_tokens_reserve(struct build *b, size_t more, struct med_err *err) MED_CHECK;
/* What training may learn from. MED_E_NOMEM. */
enum med_code build_train_bounds(
    struct build *b, struct med_train_bounds *ret_bounds, struct med_err *err) MED_CHECK;

/* Reads b->docs (ids and versions, in byte order) into whichever writers there are. */
enum med_code build_analyse(struct build *b, struct med_err *err) MED_CHECK;
/* Trains on all passages but those of held-out documents (bit per document; NULL = none). */
enum med_code build_train(struct build *b, const uint64_t *held_out,
    struct med_corpus_encoder **ret_encoder, struct med_err *err) MED_CHECK;
/* Encodes every passage into a dense index in dir. */
enum med_code build_encode(struct build *b, const struct med_corpus_encoder *encoder,
    const char *dir, enum med_dense_kind kind, struct med_file_ref ret_files[MED_DENSE_FILE_COUNT],
    struct med_dense_report *ret_report, struct med_err *err) MED_CHECK;
/* Chooses at most MED_CALIBRATION_DOCS_MAX documents, at most a fifth; a bitmap in the build's
 * arena. */
enum med_code build_hold_out(
    struct build *b, uint64_t **ret_held_out, size_t *ret_count, struct med_err *err) MED_CHECK;
/* The fusion weight, from sentences of the held-out documents. `encoder` never saw them; dense_dir
 * holds its dense index. */
enum med_code build_calibrate(struct build *b, const uint64_t *held_out,
    struct med_corpus_encoder *encoder, const char *dense_dir, struct med_err *err) MED_CHECK;

/* Opens segment files that are not published yet. */
enum med_code segment_open_unpublished(const char *dir, const char *dense_dir,
    const struct med_segment_ref *ref, struct med_segment **ret_segment,
    struct med_err *err) MED_CHECK;

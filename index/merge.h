/* Merging segments: several open segments without their dead documents -> one new segment.
 *
 * Nothing is analysed and nothing is encoded: postings are renumbered, rows and vectors copied. The
 * result has the bytes that a build over the same documents would write, but for the graph, which
 * is built anew over the copied vectors and is as good as any. Tables, lexicon and lengths are held
 * in memory as in a build; postings, vectors and values are streamed. */
#pragma once

#include "index/segment.h"

struct med_merge_input {
    const struct med_segment *segment;
    const uint64_t *dead; /* bit per document: not in the result; NULL = none */
};
struct med_merge_options {
    struct med_lex_weights weights; /* of the inputs, all the same */
    enum med_dense_kind kind;       /* MED_DENSE_AUTO: as a build chooses */
    unsigned threads;               /* of the graph; 0 = all */
    uint64_t seed;
    const struct med_progress *progress; /* stages "merge", "graph", "verify" */
};
#define MED_SEGMENT_FILES_MAX 16
struct med_merge_result {
    struct med_file_ref files[MED_SEGMENT_FILES_MAX]; /* in dir, synced */
    size_t file_count;
    uint64_t doc_count, chunk_count;
    bool has_dense;
    struct med_dense_report dense;
    struct {
        double tables, lexical, vectors, graph;
    } seconds;
};
/* Writes into dir, which is empty; the inputs stay open. Documents come in byte order of their ids;
 * one id may be live in one input only. MED_E_INVALID when no document is left, or when some inputs
 * have vectors and others have none (or others); MED_E_CORRUPT; MED_E_CANCELLED. */
enum med_code med_segment_merge(const struct med_merge_input *inputs, size_t count,
    const struct med_merge_options *options, const struct med_fs *fs, const char *dir,
    struct med_merge_result *ret_result, struct med_err *err) MED_CHECK;

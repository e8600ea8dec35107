/* Build: docstore -> a published generation of one segment.
 *
 * Where the current generation has the same versions of text, passages and analysis, the same
 * vocabularies and an encoder (or none is wanted), what did not change since is neither analysed
 * nor encoded again: an update whose segments are all merged into one (update.h), with the bytes
 * that analysing everything would give. What only a pass over all texts can tell then stays as the
 * last such pass found it: the abbreviations, and how often names are used. Otherwise, and with
 * `retrain` or `full`:
 *
 * One snapshot of the docstore is read; documents are chunked and analysed on all cores, merged in
 * order into the lexical index, the corpus encoder is trained (or kept), passages are encoded, the
 * dense index is built and measured, the fusion weight is calibrated, everything is verified, and
 * only then published. A failure at any point leaves the old generation serving. */
#pragma once

#include "index/gate.h"
#include "index/generation.h"
#include "index/store/store.h"

struct med_build_options {
    bool retrain; /* train a new encoder although a usable one exists */
    bool full;    /* analyse and encode everything, whatever the current generation has */
    bool lexical_only;
    uint32_t dim; /* of a new encoder; 0 = MED_DIM_DEFAULT */
    uint64_t seed;
    unsigned threads;       /* 0 = all */
    uint64_t memory;        /* bytes, see builder.h; 0 = three quarters of what is free */
    int32_t reference_date; /* yyyymmdd that recency is counted from; 0 = today */
    /* Not NULL: encoder and calibration come from the current generation of this folder. Tests
     * compare an update with a build that has nothing else from before. */
    struct med_data *encoder_of;
    double gate_overlap; /* floor of the gate's canary queries (gate.h); 0 = not compared */
    size_t keep;         /* generations kept after publishing; 0 = 3 */
    const struct med_progress *progress;
};
struct med_build_report {
    uint64_t generation, doc_count, chunk_count, term_count;
    bool has_encoder; /* false: lexical only */
    bool encoder_trained;
    /* Bounds of training, and whether memory set them: then the encoder knows fewer terms. */
    bool train_reduced;
    uint32_t train_terms, train_passages;
    bool merged;                        /* the current generation was re-used */
    uint64_t analysed, encoded, reused; /* documents; passages; documents */
    double fusion_weight, recall_at_10;
    struct med_gate_report gate;
    uint64_t text_bytes, index_bytes;
    struct {
        double analyse, lexical, train, encode, graph, calibrate, merge, verify, total;
    } seconds;
};
/* MED_E_NOT_FOUND when the store holds no document; MED_E_CONFLICT when another build runs. */
enum med_code med_build(struct med_data *data, struct med_store *store,
    const struct med_build_options *options, struct med_build_report *ret_report,
    struct med_err *err) MED_CHECK;

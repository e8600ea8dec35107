/* Update: what changed in the docstore -> a small new segment and patches of the old ones,
 * published as a new generation that shares the old segments.
 *
 *   plan       the snapshot's list of (id, version) against the live rows of the current generation
 *   losses     documents that went or were replaced: what the statistics lose (losses.c)
 *   analyse, encode   documents that came, with the encoder there is
 *   works      classes of documents that span segments (works.h)
 *   overlay    from rows, statements and works of all segments, and the operator's list
 *   merge      segments that have become many, or hold many dead documents (policy.h)
 *   gate, publish     as in a build
 *
 * Searches then give what a build of the same state with the same encoder and calibration would
 * give (ids, totals, facets; scores within 1e-6), but for the thesaurus: abbreviations and how
 * often the corpus uses a name stay as the last build that read everything found them, and a new
 * vocabulary waits for the next one. Recency is counted from the day of the publish, as in a build.
 */
#pragma once

#include "index/build.h"

enum med_update_merge {
    MED_UPDATE_MERGE_DUE,  /* what the policy asks for (policy.h) */
    MED_UPDATE_MERGE_ALL,  /* into one segment without dead documents; publishes in any case */
    MED_UPDATE_MERGE_DEAD, /* what is due, and every segment with a dead document; the same */
};

struct med_update_options {
    enum med_update_merge merge;
    bool alone;             /* see med_manifest */
    unsigned threads;       /* 0 = all */
    uint64_t memory;        /* as in a build */
    size_t keep;            /* generations kept after publishing; 0 = 3 */
    int32_t reference_date; /* yyyymmdd that recency is counted from; 0 = today */
    double gate_overlap;    /* as in a build */
    const struct med_progress *progress;
};

/* What the store has that the generation has not, and the other way round, in documents. */
struct med_changes {
    uint64_t added, changed, removed, same;
};

struct med_update_report {
    bool published; /* false: nothing had changed, the generation is the one before */
    uint64_t generation, doc_count, chunk_count;
    struct med_changes changes;
    bool overlay_changed;
    uint64_t analysed, encoded;       /* documents; passages */
    uint64_t merged_segments, copied; /* how many went into others; passages that were copied */
    uint64_t segments, dead; /* of the generation; documents that its segments still carry */
    uint64_t term_count;     /* distinct terms where there is one segment, else 0 */
    bool has_encoder;
    double fusion_weight, recall_at_10;
    uint64_t index_bytes;            /* of segments and encoder */
    double dead_share, unknown_rate; /* of documents; of words in the whole index */
    uint64_t new_bytes;              /* written for this generation */
    struct med_gate_report gate;
    struct {
        double plan, losses, analyse, encode, overlay, merge, merge_graph, verify,
            total; /* merge_graph: within merge */
    } seconds;
};
/* MED_E_NO_INDEX: there is no generation to start from; MED_E_UNSUPPORTED: it was made with another
 * version of text, passages or analysis. Both say `medicus build`. MED_E_CONFLICT: another build
 * runs. MED_E_GATE: the gate kept it back. After any error the old generation serves. */
enum med_code med_update(struct med_data *data, struct med_store *store,
    const struct med_update_options *options, struct med_update_report *ret_report,
    struct med_err *err) MED_CHECK;

/* What an update would do, without doing it. */
struct med_index;
enum med_code med_update_pending(const struct med_index *index, struct med_snapshot *snapshot,
    struct med_changes *ret_changes, struct med_err *err) MED_CHECK;

/* The gate: what a generation must show before it is published. `build` and `update` pass it to
 * med_generation_publish_checked, which has compared the checksums of all that is new before.
 *
 *   it opens       as a server would open it: every table, the encoder, the overlay, the thesaurus
 *   counts         its live documents and their versions are those of the docstore's snapshot
 *   recall         the dense index of new segments finds what an exact scan finds (share of the ten
 *                  nearest)
 *   canary queries titles of documents that the current generation has too: its first results are
 *                  found again, and the documents themselves too (compare.h)
 *
 * The first generation has nothing to be compared with; nor has one after a current generation
 * that cannot be opened any more. A new encoder, or another analyser, ranks differently: the
 * canary's floor is far below what such a change costs, and far above chance. */
#pragma once

#include "index/compare.h"

#define MED_GATE_OVERLAP_MIN .5 /* seen: .94-1 with the same encoder, .7-.8 with a new one */
#define MED_GATE_RECALL_MIN .8

struct med_gate {
    struct med_data *data;
    struct med_store *store;
    struct med_snapshot *snapshot;       /* what the generation was made from */
    double overlap_min;                  /* of the canary queries; 0 = not compared */
    const struct med_progress *progress; /* stage "gate" */
    struct med_gate_report {
        double recall_at_10;
        bool compared; /* with the current generation: */
        struct med_canary canary;
    } report;
};
/* A med_publish_check; gate is a struct med_gate. MED_E_GATE: the sentence says which check failed,
 * what was expected and what was found. Other codes: the gate itself could not be asked. */
enum med_code med_gate_check(
    void *gate, const struct med_manifest *staged, struct med_err *err) MED_CHECK;

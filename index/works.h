/* Works across segments, for an update.
 *
 * Documents that share a PMID, PMCID or DOI are one work (tables.c). A segment's rows know the
 * classes within the segment; when documents come and go, classes grow over segments, shrink and
 * split. What an update changed is looked at and nothing else: every document that came, and every
 * one that shared a work with one that went, together with all that their names lead to in the
 * store's table of aliases. */
#pragma once

#include "index/internal.h"

/* What the patches of the segments have to say about works: per segment an array in the order of
 * documents, in the arena. */
struct works {
    struct med_patch_work **of_segment;
    uint32_t *counts;
};

/* `next` is the state to come: its segments carry the new sets of dead documents, but still the
 * works of the state before, as does its list of shared works. `gone` has per segment the documents
 * that died since (NULL: none); segments from `fresh` on are new. */
enum med_code works_update(const struct med_index *next, struct med_snapshot *snapshot,
    uint64_t *const *gone, uint32_t fresh, struct med_arena *arena, struct works *ret_works,
    struct med_err *err) MED_CHECK;

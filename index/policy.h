/* Which segments of a generation are merged, and when.
 *
 * Every update adds a small segment, and every search visits all segments: their number must stay
 * small, without writing large segments again and again. Segments are put into tiers by size, each
 * tier MED_MERGE_FANOUT times the one below, as size-tiered log-structured stores do (O'Neil et al.
 * 1996, "The log-structured merge-tree"). When a tier is full its segments become one of the tier
 * above, together with all smaller ones. So a document is written once per tier: log(n) times
 * instead of n / batch times, and a generation has at most MED_MERGE_FANOUT - 1 segments per tier.
 * (Within the lowest tier it is written again with every seventh update, while that is cheap.)
 *
 * Dead documents cost room and time until their segment is written again; one that is dead by more
 * than a third is written alone: each death then pays for at most two documents that are copied. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Small: more is written (each document log_F(n) times); large: more segments, which every query
 * visits. */
#define MED_MERGE_FANOUT 8u
/* Segments below this size are one tier: writing them costs less than a second. */
#define MED_MERGE_FLOOR_PASSAGES 4096u
/* More segments than this are not kept, whatever their tiers: what a query pays at most. */
#define MED_MERGE_SEGMENTS_MAX 24u
/* A segment with more dead documents than this share is written again. */
#define MED_MERGE_DEAD_SHARE_MAX (1.0 / 3)

/* A segment, as the policy sees it. */
struct med_segment_size {
    uint64_t live_passages;
    uint64_t docs, dead_docs;
};
/* The next merge that is due: ret_chosen[i] tells which segments become one; how many they are, 0 =
 * none is due. One chosen segment is to be written again without its dead documents. Segments
 * without live documents are never chosen: they are dropped without being read. Ask again, with
 * what came out, until nothing is due. */
size_t med_merge_choose(const struct med_segment_size *segments, size_t count, bool *ret_chosen);

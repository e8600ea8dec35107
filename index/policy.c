#include "index/policy.h"

#include <string.h>

static unsigned tier_of(uint64_t passages)
{
    unsigned tier = 0;
    for (uint64_t limit = MED_MERGE_FLOOR_PASSAGES; passages > limit; limit *= MED_MERGE_FANOUT)
        tier++;
    return tier;
}

static bool is_alive(const struct med_segment_size *s)
{
    return s->dead_docs < s->docs;
}

static bool is_rotten(const struct med_segment_size *s)
{
    return is_alive(s) && (double)s->dead_docs > MED_MERGE_DEAD_SHARE_MAX * (double)s->docs;
}

static size_t choose_up_to(
    const struct med_segment_size *segments, size_t count, unsigned tier, bool *ret_chosen)
{
    size_t chosen = 0;
    for (size_t i = 0; i < count; i++) {
        ret_chosen[i] = is_alive(&segments[i]) && tier_of(segments[i].live_passages) <= tier;
        chosen += ret_chosen[i];
    }
    return chosen;
}

size_t med_merge_choose(const struct med_segment_size *segments, size_t count, bool *ret_chosen)
{
    size_t of_tier[64] = {0}, alive = 0;
    unsigned highest = 0;
    memset(ret_chosen, 0, count * sizeof *ret_chosen);
    for (size_t i = 0; i < count; i++) {
        if (!is_alive(&segments[i])) continue;
        unsigned tier = tier_of(segments[i].live_passages);
        of_tier[tier]++;
        alive++;
        if (tier > highest) highest = tier;
    }
    for (unsigned tier = highest + 1; tier-- > 0;) {
        if (of_tier[tier] >= MED_MERGE_FANOUT)
            return choose_up_to(segments, count, tier, ret_chosen);
    }
    if (alive > MED_MERGE_SEGMENTS_MAX) { /* too many, and no tier is full: the lowest that help */
        size_t below = 0;
        for (unsigned tier = 0; tier <= highest; tier++) {
            below += of_tier[tier];
            if (below > 1 && alive - below + 1 <= MED_MERGE_SEGMENTS_MAX)
                return choose_up_to(segments, count, tier, ret_chosen);
        }
    }
    for (size_t i = 0; i < count; i++) {
        ret_chosen[i] = is_rotten(&segments[i]);
        if (ret_chosen[i]) return 1;
    }
    return 0;
}

/* The merging policy, driven by years of updates: few segments, and little written again. */
#include "index/policy.h"

#include "common/mem.h"
#include "common/rng.h"
#include "tests/support/support.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SEGMENTS_MAX 64u

struct world {
    struct med_segment_size segments[SEGMENTS_MAX];
    size_t count, most;
    uint64_t added, copied, died;
};

/* One document per passage. */
static void settle(struct world *w)
{
    bool chosen[SEGMENTS_MAX];
    for (size_t n; (n = med_merge_choose(w->segments, w->count, chosen)) > 0;) {
        struct med_segment_size merged = {0};
        size_t kept = 0;
        for (size_t i = 0; i < w->count; i++) {
            assert_true(!chosen[i] || w->segments[i].live_passages > 0);
            if (chosen[i])
                merged.live_passages += w->segments[i].live_passages;
            else
                w->segments[kept++] = w->segments[i];
            n -= chosen[i];
        }
        assert_int_equal(n, 0);
        merged.docs = merged.live_passages;
        w->copied += merged.docs;
        w->segments[kept++] = merged;
        w->count = kept;
    }
    size_t kept = 0;
    for (size_t i = 0; i < w->count; i++)
        if (w->segments[i].live_passages) w->segments[kept++] = w->segments[i];
    w->count = kept;
    if (w->count > w->most) w->most = w->count;
}

static void add(struct world *w, uint64_t docs)
{
    assert_true(w->count < SEGMENTS_MAX);
    w->segments[w->count++] = (struct med_segment_size){.live_passages = docs, .docs = docs};
    w->added += docs;
}

/* Deaths fall on segments by size. */
static void kill(struct world *w, struct med_rng *rng, uint64_t deaths)
{
    uint64_t live = 0;
    for (size_t i = 0; i < w->count; i++) live += w->segments[i].live_passages;
    for (size_t i = 0; i < w->count && live; i++) {
        struct med_segment_size *s = &w->segments[i];
        double share = (double)s->live_passages / (double)live * (0.5 + med_rng_unit(rng));
        uint64_t n = (uint64_t)(share * (double)deaths);
        if (n > s->live_passages) n = s->live_passages;
        s->live_passages -= n;
        s->dead_docs += n;
        w->died += n;
    }
}

static double tiers(uint64_t docs)
{
    double share = (double)docs / MED_MERGE_FLOOR_PASSAGES;
    return share > 1 ? log(share) / log(MED_MERGE_FANOUT) : 0;
}

static void what_is_added_is_written_once_per_tier(void **state)
{
    (void)state;
    struct med_rng rng;
    med_rng_seed(&rng, med_test_seed());
    for (unsigned trial = 0; trial < 20; trial++) {
        struct world w = {0};
        uint64_t largest = 1 + med_rng_below(&rng, 20000);
        unsigned updates = 1000 + (unsigned)med_rng_below(&rng, 4000);
        for (unsigned i = 0; i < updates; i++) {
            add(&w, 1 + med_rng_below(&rng, largest));
            settle(&w);
        }
        double amplification = (double)w.copied / (double)w.added;
        print_message("%u updates, %llu documents: at most %zu segments, written %.2f times\n",
            updates, (unsigned long long)w.added, w.most, 1 + amplification);
        /* Within the lowest tier what is there is written at every seventh update, until it has
         * outgrown the tier: half of the tier on average. */
        double mean = (double)w.added / updates;
        double lowest = MED_MERGE_FLOOR_PASSAGES / mean / (2.0 * (MED_MERGE_FANOUT - 1));
        assert_true(amplification <= tiers(w.added) + 2 + lowest);
        assert_true(w.most <= MED_MERGE_SEGMENTS_MAX);
    }
}

static void deaths_are_paid_for_once(void **state)
{
    (void)state;
    struct med_rng rng;
    med_rng_seed(&rng, med_test_seed());
    struct world w = {0};
    add(&w, 2000000);
    settle(&w);
    for (unsigned day = 0; day < 3650; day++) {
        add(&w, 2000);
        kill(&w, &rng, 1500);
        settle(&w);
        for (size_t i = 0; i < w.count; i++)
            assert_true((double)w.segments[i].dead_docs <=
                        MED_MERGE_DEAD_SHARE_MAX * (double)w.segments[i].docs);
    }
    double allowed = (double)w.added * (tiers(w.added) + 2) + 3 * (double)w.died;
    print_message("ten years of daily updates: at most %zu segments, %.2f documents copied per "
                  "change\n",
        w.most, (double)w.copied / (double)(w.added - 2000000 + w.died));
    assert_true((double)w.copied <= allowed);
    assert_true(w.most <= MED_MERGE_SEGMENTS_MAX);
}

static void a_large_index_is_not_written_for_a_few_small_segments(void **state)
{
    (void)state;
    bool chosen[MED_MERGE_FANOUT];
    struct med_segment_size s[MED_MERGE_FANOUT] = {{1000000, 1000000, 0}};
    for (size_t i = 1; i < MED_MERGE_FANOUT; i++) s[i] = (struct med_segment_size){100, 100, 10};
    assert_int_equal(med_merge_choose(s, MED_MERGE_FANOUT, chosen), 0);
    s[0] = s[1];
    assert_int_equal(med_merge_choose(s, MED_MERGE_FANOUT, chosen), MED_MERGE_FANOUT);
    assert_int_equal(med_merge_choose(s, 0, chosen), 0);
}

static void empty_segments_are_left_to_be_dropped(void **state)
{
    (void)state;
    bool chosen[3];
    const struct med_segment_size s[] = {{0, 10, 10}, {500, 1000, 500}, {0, 20, 20}};
    assert_int_equal(med_merge_choose(s, 3, chosen), 1);
    assert_true(chosen[1] && !chosen[0] && !chosen[2]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_added_is_written_once_per_tier),
        cmocka_unit_test(deaths_are_paid_for_once),
        cmocka_unit_test(a_large_index_is_not_written_for_a_few_small_segments),
        cmocka_unit_test(empty_segments_are_left_to_be_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

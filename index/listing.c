/* Results of a set of documents that have no score: their number, and their order by date. */
#include "index/match.h"

#include "common/mem.h"

#include <stdlib.h>

struct listed {
    uint32_t date, segment, doc;
};

static enum med_code out_of_memory(struct med_err *err)
{
    return med_fail(err, MED_E_NOMEM, "the list of results needs more memory than there is");
}

static bool in_set(const struct match *match, uint32_t segment, uint32_t doc)
{
    const uint64_t *set = match->docs[segment];
    return !set || (set[doc >> 6] >> (doc & 63) & 1);
}

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

enum med_code listing_total(const struct med_index *x, const struct match *match,
    enum med_group group, struct med_arena *arena, uint64_t *ret_total, struct med_err *err)
{
    uint64_t total = 0;
    size_t shared = 0;
    uint64_t *works = med_arena_alloc(arena, (x->shared_count + 1) * sizeof *works);
    if (!works) return out_of_memory(err);
    for (uint32_t s = 0; s < x->segment_count; s++) {
        const struct med_segment *segment = x->segments[s];
        for (uint32_t d = 0; d < segment->doc_count; d++) {
            if (!in_set(match, s, d)) continue;
            if (group == MED_GROUP_NONE)
                total += segment->docs[d].chunk_count;
            else if (med_segment_shared(segment, d) && shared < x->shared_count)
                works[shared++] = med_segment_work(segment, d);
            else
                total++;
        }
    }
    if (shared) qsort(works, shared, sizeof *works, by_number);
    for (size_t i = 0; i < shared; i++) total += i == 0 || works[i] != works[i - 1];
    *ret_total = total;
    return MED_OK;
}

/* --- newest first --- */

static int by_date(const void *a, const void *b, void *ctx)
{
    const struct listed *x = a, *y = b;
    const struct med_index *index = ctx;
    if (x->date != y->date) return x->date > y->date ? -1 : 1;
    if (x->segment == y->segment) return x->doc < y->doc ? -1 : x->doc > y->doc;
    return med_str_cmp(med_segment_doc_id(index->segments[x->segment], x->doc),
        med_segment_doc_id(index->segments[y->segment], y->doc));
}

static struct listed *collect(
    const struct med_index *x, const struct match *match, size_t *ret_count)
{
    struct listed *list = NULL;
    size_t count = 0, cap = 0;
    for (uint32_t s = 0; s < x->segment_count; s++) {
        for (uint32_t d = 0; d < x->segments[s]->doc_count; d++) {
            if (!in_set(match, s, d)) continue;
            if (!med_grow(&list, &cap, count + 1, sizeof *list)) {
                med_free(list);
                return NULL;
            }
            list[count++] =
                (struct listed){.date = x->segments[s]->docs[d].date, .segment = s, .doc = d};
        }
    }
    if (count) qsort_r(list, count, sizeof *list, by_date, (void *)(uintptr_t)x);
    if (!list) list = med_malloc(1);
    *ret_count = count;
    return list;
}

/* Works that are in the answer already: open addressing, 0 = free. */
struct works {
    uint64_t *slots;
    size_t mask;
};

static bool add_work(struct works *w, uint64_t work)
{
    work |= 1;
    size_t at = work * 0x9E3779B97F4A7C15ull & w->mask;
    while (w->slots[at] && w->slots[at] != work) at = (at + 1) & w->mask;
    if (w->slots[at]) return false;
    w->slots[at] = work;
    return true;
}

static bool is_ranked(
    const struct med_ranking *ranking, size_t count, uint32_t segment, uint32_t chunk)
{
    for (size_t i = 0; i < count; i++) {
        if (ranking->items[i].segment == segment && ranking->items[i].chunk == chunk) return true;
    }
    return false;
}

static void append(struct med_ranking *ranking, uint32_t segment, uint32_t doc, uint32_t chunk)
{
    ranking->items[ranking->count++] =
        (struct med_ranked){.segment = segment, .doc = doc, .chunk = chunk};
}

enum med_code listing_fill(const struct med_index *x, const struct match *match, size_t wanted,
    enum med_group group, struct med_arena *arena, struct med_ranking *ranking, struct med_err *err)
{
    size_t count = 0, scored = ranking->count, slots = 64;
    struct med_ranked *items = med_arena_alloc(arena, (wanted + scored + 1) * sizeof *items);
    while (slots < 4 * (wanted + scored)) slots *= 2;
    struct works works = {
        .slots = med_arena_calloc(arena, slots, sizeof *works.slots), .mask = slots - 1};
    if (!items || !works.slots) return out_of_memory(err);
    struct listed *list = collect(x, match, &count);
    if (!list) return out_of_memory(err);
    if (scored) memcpy(items, ranking->items, scored * sizeof *items);
    ranking->items = items;
    for (size_t i = 0; i < scored; i++)
        (void)add_work(&works, med_segment_work(x->segments[items[i].segment], items[i].doc));
    for (size_t i = 0; i < count && ranking->count < wanted; i++) {
        const struct med_segment *s = x->segments[list[i].segment];
        const struct med_doc_row *row = &s->docs[list[i].doc];
        if (group == MED_GROUP_DOCUMENT) {
            if (add_work(&works, med_segment_work(s, list[i].doc)))
                append(ranking, list[i].segment, list[i].doc, row->first_chunk);
            continue;
        }
        for (uint32_t c = 0; c < row->chunk_count && ranking->count < wanted; c++) {
            if (!is_ranked(ranking, scored, list[i].segment, row->first_chunk + c))
                append(ranking, list[i].segment, list[i].doc, row->first_chunk + c);
        }
    }
    med_free(list);
    return MED_OK;
}

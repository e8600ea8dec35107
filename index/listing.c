/* Results of a set of documents that have no score: their number, and their order by date. */
#include "index/match.h"

#include "common/mem.h"
#include "index/doc_set.h"

#include <stdlib.h>
#include <string.h>

#define YEARS 65536u
#define LISTING_GROWTH 8

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
    return !set || doc_set_has(set, doc);
}

/* The first document of the set from `doc` on; `count` when there is none. Words without any cost
 * one look. */
static uint32_t next_in_set(
    const struct match *match, uint32_t segment, uint32_t doc, uint32_t count)
{
    const uint64_t *set = match->docs[segment];
    while (set && doc < count) {
        uint64_t left = set[doc >> 6] >> (doc & 63);
        if (left) return doc + (uint32_t)__builtin_ctzll(left);
        doc = (doc | 63) + 1;
    }
    return doc < count ? doc : count;
}

/* Documents, less those that are another one of a work that was counted. */
static uint64_t count_works(const struct med_index *x, const struct match *match)
{
    uint64_t total = 0;
    for (uint32_t s = 0; s < x->segment_count; s++)
        total += match->docs[s] ? doc_set_count(match->docs[s], doc_set_words(x->segments[s]))
                                : x->segments[s]->doc_count;
    for (size_t i = 0, end; i < x->shared_count; i = end) {
        uint64_t members = 0;
        for (end = i; end < x->shared_count && x->shared[end].work == x->shared[i].work; end++)
            members += in_set(match, x->shared[end].segment, x->shared[end].doc);
        total -= members ? members - 1 : 0;
    }
    return total;
}

uint64_t listing_total(const struct med_index *x, const struct match *match, enum med_group group)
{
    if (group == MED_GROUP_DOCUMENT) return count_works(x, match);
    uint64_t total = 0;
    for (uint32_t s = 0; s < x->segment_count; s++) total += match->filters[s].set_count;
    return total;
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

/* The latest year of which, together with those behind it, the set has at least `wanted` documents;
 * 0 when all are needed. */
static uint32_t first_year(
    const struct med_index *x, const struct match *match, size_t wanted, uint32_t *counts)
{
    uint32_t year = YEARS - 1;
    size_t count = 0;
    memset(counts, 0, YEARS * sizeof *counts);
    for (uint32_t s = 0; s < x->segment_count; s++) {
        const uint16_t *years = x->segments[s]->columns->years;
        uint32_t n = x->segments[s]->doc_count;
        for (uint32_t d = next_in_set(match, s, 0, n); d < n; d = next_in_set(match, s, d + 1, n))
            counts[years[d]]++;
    }
    for (; year > 0; year--) {
        count += counts[year];
        if (count >= wanted) break;
    }
    return year;
}

/* The documents of the set from a year on, newest first. */
static struct listed *collect(
    const struct med_index *x, const struct match *match, uint32_t year, size_t *ret_count)
{
    struct listed *list = NULL;
    size_t count = 0, cap = 0;
    for (uint32_t s = 0; s < x->segment_count; s++) {
        const struct med_segment *segment = x->segments[s];
        uint32_t n = segment->doc_count;
        for (uint32_t d = next_in_set(match, s, 0, n); d < n; d = next_in_set(match, s, d + 1, n)) {
            if (segment->columns->years[d] < year) continue;
            if (!med_grow(&list, &cap, count + 1, sizeof *list)) {
                med_free(list);
                return NULL;
            }
            list[count++] = (struct listed){.date = segment->docs[d].date, .segment = s, .doc = d};
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

/* Appends what the set has from a year on, as far as it is wanted. */
static enum med_code fill_from(const struct med_index *x, const struct match *match, size_t wanted,
    enum med_group group, uint32_t year, struct works *works, struct med_ranking *ranking,
    struct med_err *err)
{
    size_t count = 0, scored = ranking->count;
    struct listed *list = collect(x, match, year, &count);
    if (!list) return out_of_memory(err);
    memset(works->slots, 0, (works->mask + 1) * sizeof *works->slots);
    for (size_t i = 0; i < scored; i++) {
        const struct med_ranked *r = &ranking->items[i];
        (void)add_work(works, med_segment_work(x->segments[r->segment], r->doc));
    }
    for (size_t i = 0; i < count && ranking->count < wanted; i++) {
        const struct med_segment *s = x->segments[list[i].segment];
        const struct med_doc_row *row = &s->docs[list[i].doc];
        if (group == MED_GROUP_DOCUMENT) {
            if (add_work(works, med_segment_work(s, list[i].doc)))
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

enum med_code listing_fill(const struct med_index *x, const struct match *match, size_t wanted,
    enum med_group group, struct med_arena *arena, struct med_ranking *ranking, struct med_err *err)
{
    size_t scored = ranking->count, slots = 64;
    struct med_ranked *items = med_arena_alloc(arena, (wanted + scored + 1) * sizeof *items);
    uint32_t *counts = med_arena_alloc(arena, YEARS * sizeof *counts), year;
    while (slots < 4 * (wanted + scored)) slots *= 2;
    struct works works = {
        .slots = med_arena_alloc(arena, slots * sizeof *works.slots), .mask = slots - 1};
    if (!items || !counts || !works.slots) return out_of_memory(err);
    if (scored) memcpy(items, ranking->items, scored * sizeof *items);
    ranking->items = items;
    /* Works may have many members, so that the latest years may not be enough. */
    for (size_t documents = 2 * (wanted + scored);; documents *= LISTING_GROWTH) {
        year = first_year(x, match, documents, counts);
        ranking->count = scored;
        enum med_code code = fill_from(x, match, wanted, group, year, &works, ranking, err);
        if (code || ranking->count >= wanted || year == 0) return code;
    }
}

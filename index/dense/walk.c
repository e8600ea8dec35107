/* The search of Malkov and Yashunin (2018), algorithms 2 and 5, on arrays.
 *
 * The beam is one array, best first, of the rows seen so far that may still matter. The best that
 * was not yet expanded is next: its links are looked up, and the bytes of those not visited are
 * sent for. Meanwhile the rows that were sent for before are scored four at a time, and what is
 * good enough is inserted. When the best `ef` rows are expanded, the walk is over.
 *
 *      beam   | 17 .91 x | 4 .88 x | 203 .86   | 9 .80 x | ...      x = expanded
 *                                    ^ cursor: nothing before it is unexpanded
 *
 * On the levels above 0 the beam is narrow but, other than in the paper, wider than one, and all of
 * it enters level 0: passages form tight clusters that have few links to each other, and a walk
 * that enters the wrong one never leaves it.
 *
 * A filter does not steer the walk, it only decides which rows of the final beam are answers;
 * callers widen the beam. An allowed row that was seen but fell out of the beam is no answer:
 * others, nearer and also allowed, may never have been seen. Too few answers then mean an exact
 * scan.
 *
 * Visited rows are bits; which were set is noted, so that clearing costs what the walk has seen and
 * not the size of the index. */
#include "index/dense/walk.h"

#include "common/mem.h"
#include "index/dense/format.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define EXPANDED 0x80000000u /* row numbers of graphs have 31 bits */
#define NOTES_MAX 16384u
#define LIKELY 2u /* places from the cursor on whose links will soon be wanted */
#define UPPER_BEAM_MIN 4u
#define UPPER_BEAM_SHARE 8u /* of ef */
#define GROUP_MARGIN 16u
#define SPILL_MAX 65536u

struct beam_item {
    float score;
    uint32_t row; /* with EXPANDED */
};

struct walker {
    struct walker *next; /* in the pool */
    uint64_t *visited;   /* one bit per row */
    uint32_t *notes;     /* the rows whose bit is set, unless there were more than NOTES_MAX */
    uint32_t note_count;
    struct beam_item *beam;
    size_t beam_cap; /* allocated */
    size_t beam_max; /* in use */
    size_t beam_count;
    struct beam_item *spill; /* seen, but not in the beam; kept while `spilling` */
    size_t spill_cap, spill_count;
    bool spilling;
};

struct med_walk_pool {
    pthread_mutex_t lock; /* guards idle */
    struct walker *idle;
    uint32_t count;
};

/* --- links --- */

enum med_code med_links_index(struct med_links *links, uint32_t count, struct med_err *err)
{
    links->upper_starts = med_malloc((size_t)(count / 64 + 1) * sizeof *links->upper_starts);
    if (!links->upper_starts)
        return med_fail(err, MED_E_NOMEM, "out of memory for the links of %u vectors", count);
    uint32_t lists = 0;
    for (uint32_t row = 0; row < count; row++) {
        if (row % 64 == 0) links->upper_starts[row / 64] = lists;
        lists += links->levels[row] > 1 ? links->levels[row] - 1u : 0u;
    }
    return MED_OK;
}

void med_links_free(struct med_links *links)
{
    med_free(links->upper_starts);
    links->upper_starts = NULL;
}

static const uint32_t *links_of(
    const struct med_links *links, uint32_t row, uint32_t level, uint32_t *ret_max)
{
    if (level == 0) {
        *ret_max = 2 * links->m;
        return links->level_0 + (size_t)row * 2 * links->m;
    }
    size_t list = links->upper_starts[row / 64] + (size_t)level - 1;
    for (uint32_t before = row / 64 * 64; before < row; before++)
        list += links->levels[before] > 1 ? links->levels[before] - 1u : 0u;
    *ret_max = links->m;
    return links->upper + list * links->m;
}

/* --- the pool --- */

static void walker_free(struct walker *w)
{
    if (!w) return;
    med_free(w->visited);
    med_free(w->notes);
    med_free(w->beam);
    med_free(w->spill);
    med_free(w);
}

static struct walker *walker_new(uint32_t count)
{
    struct walker *w = med_calloc(1, sizeof *w);
    if (!w) return NULL;
    w->visited = med_calloc((size_t)count / 64 + 1, sizeof *w->visited);
    w->notes = med_malloc(NOTES_MAX * sizeof *w->notes);
    if (w->visited && w->notes) return w;
    walker_free(w);
    return NULL;
}

enum med_code med_walk_pool_new(
    uint32_t count, struct med_walk_pool **ret_pool, struct med_err *err)
{
    struct med_walk_pool *pool = med_calloc(1, sizeof *pool);
    if (!pool) return med_fail(err, MED_E_NOMEM, "out of memory for searches");
    pthread_mutex_init(&pool->lock, NULL);
    pool->count = count;
    *ret_pool = pool;
    return MED_OK;
}

void med_walk_pool_free(struct med_walk_pool **pool)
{
    if (!*pool) return;
    for (struct walker *w = (*pool)->idle, *next; w; w = next) {
        next = w->next;
        walker_free(w);
    }
    pthread_mutex_destroy(&(*pool)->lock);
    med_free(*pool);
    *pool = NULL;
}

static struct walker *borrow(struct med_walk_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    struct walker *w = pool->idle;
    if (w) pool->idle = w->next;
    pthread_mutex_unlock(&pool->lock);
    return w ? w : walker_new(pool->count);
}

static void give_back(struct med_walk_pool *pool, struct walker *w)
{
    pthread_mutex_lock(&pool->lock);
    w->next = pool->idle;
    pool->idle = w;
    pthread_mutex_unlock(&pool->lock);
}

/* --- visited rows --- */

static inline bool visit(struct walker *w, uint32_t row)
{
    uint64_t bit = 1ull << (row & 63);
    if (w->visited[row >> 6] & bit) return false;
    w->visited[row >> 6] |= bit;
    if (w->note_count < NOTES_MAX) w->notes[w->note_count] = row;
    w->note_count++;
    return true;
}

static void forget_visits(struct walker *w, uint32_t count)
{
    if (w->note_count > NOTES_MAX) {
        memset(w->visited, 0, ((size_t)count / 64 + 1) * sizeof *w->visited);
    } else {
        for (uint32_t i = 0; i < w->note_count; i++) w->visited[w->notes[i] >> 6] = 0;
    }
    w->note_count = 0;
}

/* --- the beam --- */

/* What does not fit the spill is forgotten: it only makes the next round smaller. */
static inline void spill(struct walker *w, struct beam_item item)
{
    if (w->spilling && w->spill_count < SPILL_MAX) w->spill[w->spill_count++] = item;
}

/* Where it was put; beam_max when it is not good enough. Equal scores: first come, first. */
static inline size_t beam_insert(struct walker *w, float score, uint32_t row)
{
    struct beam_item *beam = w->beam, item = {.score = score, .row = row};
    if (w->beam_count == w->beam_max) {
        struct beam_item *worst = &beam[w->beam_count - 1];
        if (score <= worst->score) {
            spill(w, item);
            return w->beam_max;
        }
        spill(w, *worst);
    }
    size_t low = 0, high = w->beam_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (beam[middle].score >= score)
            low = middle + 1;
        else
            high = middle;
    }
    if (w->beam_count < w->beam_max) w->beam_count++;
    memmove(&beam[low + 1], &beam[low], (w->beam_count - 1 - low) * sizeof *beam);
    beam[low] = item;
    return low;
}

/* --- one level --- */

struct walk {
    const struct med_dense_rows *rows;
    const struct med_links *links;
    const struct med_dense_query *query;
    struct med_filter filter;
    struct walker *walker;
};

/* Rows on their way: the links of one row that were not visited before. */
struct batch {
    uint32_t rows[2 * MED_GRAPH_M_MAX];
    uint32_t count;
};

static void gather(const struct walk *k, uint32_t row, uint32_t level, struct batch *ret_batch)
{
    uint32_t max, count = 0;
    const uint32_t *links = links_of(k->links, row, level, &max);
    for (uint32_t i = 0; i < max && links[i] != MED_GRAPH_NO_LINK; i++) {
        if (!visit(k->walker, links[i])) continue;
        med_dense_prefetch(k->rows, links[i]);
        ret_batch->rows[count++] = links[i];
    }
    ret_batch->count = count;
}

__attribute__((always_inline)) static inline void prefetch_links(
    const struct med_links *links, uint32_t row)
{
    const uint32_t *list = links->level_0 + (size_t)row * 2 * links->m;
    for (uint32_t i = 0; i < 2 * links->m; i += MED_DENSE_ALIGN / sizeof *list)
        __builtin_prefetch(list + i);
}

/* Scores a batch and puts its rows where they belong; the best place that was taken. The links of
 * what is likely to be next are fetched. */
static size_t consider(const struct walk *k, const struct batch *batch, size_t cursor)
{
    size_t best = k->walker->beam_max;
    for (uint32_t i = 0; i < batch->count; i += 4) {
        uint32_t left = batch->count - i, part = left < 4 ? left : 4, four[4];
        for (uint32_t j = 0; j < 4; j++) four[j] = batch->rows[j < part ? i + j : i];
        float scores[4];
        med_dense_near4(k->rows, k->query, four, scores);
        for (uint32_t j = 0; j < part; j++) {
            size_t place = beam_insert(k->walker, scores[j], four[j]);
            if (place < cursor + LIKELY) prefetch_links(k->links, four[j]);
            if (place < best) best = place;
        }
    }
    return best;
}

/* The best of the first `ef` rows of the beam that was not expanded; false: there is none. */
static bool next_row(struct walker *w, size_t ef, size_t *cursor, uint32_t *ret_row)
{
    size_t end = w->beam_count < ef ? w->beam_count : ef;
    while (*cursor < end && w->beam[*cursor].row & EXPANDED) ++*cursor;
    if (*cursor >= end) return false;
    *ret_row = w->beam[*cursor].row;
    w->beam[*cursor].row |= EXPANDED;
    return true;
}

/* Follows the links of the best `ef` rows of the beam that were not yet expanded. While one batch
 * is scored, the next one is on its way: its row is chosen one batch early, which costs a few
 * batches more and saves waiting for memory in each. */
static void expand(const struct walk *k, uint32_t level, size_t ef)
{
    struct batch batches[2];
    uint32_t row, turn = 0;
    size_t cursor = 0;
    batches[1].count = 0;
    for (;;) {
        struct batch *coming = &batches[turn & 1], *ready = &batches[~turn & 1];
        coming->count = 0;
        bool more = next_row(k->walker, ef, &cursor, &row);
        if (more) gather(k, row, level, coming);
        if (!more && ready->count == 0) break;
        size_t best = consider(k, ready, cursor);
        if (best < cursor) cursor = best;
        turn++;
    }
}

/* The beam holds the rows to start from. */
static void begin_level(const struct walk *k, size_t width)
{
    struct walker *w = k->walker;
    w->beam_max = width;
    forget_visits(w, k->rows->count);
    for (size_t i = 0; i < w->beam_count; i++) {
        w->beam[i].row &= ~EXPANDED;
        visit(w, w->beam[i].row);
    }
}

/* --- answers --- */

static int by_row(const void *a, const void *b)
{
    uint32_t x = ((const struct beam_item *)a)->row & ~EXPANDED;
    uint32_t y = ((const struct beam_item *)b)->row & ~EXPANDED;
    return x < y ? -1 : x > y;
}

/* The exact scores of what the beam holds; `items` are its rows, best first, or in ascending order
 * of number when there are groups. The fine bytes of rows that can no longer be among the best k
 * are not read. */
static void collect(
    const struct walk *k, const struct beam_item *items, size_t count, struct med_dense_top *top)
{
    const struct med_dense_rows *rows = k->rows;
    float slack = (float)k->query->slack * k->query->scale;
    for (size_t i = 0; i < count; i++) {
        if (i + 4 < count) med_dense_prefetch_fine(rows, items[i + 4].row & ~EXPANDED);
        uint32_t row = items[i].row & ~EXPANDED;
        if (!med_filter_has(k->filter, row)) continue;
        if (top->count == top->k && rows->scales &&
            items[i].score + rows->scales[row] * slack < top->hits[0].score)
            continue;
        med_dense_top_offer(rows, top, row, med_dense_score_at(rows, k->query, row));
    }
}

static int by_score(const void *a, const void *b)
{
    const struct beam_item *x = a, *y = b;
    return x->score > y->score ? -1 : x->score < y->score;
}

/* Widens the beam and fills it from the spill. */
static enum med_code widen(struct walker *w, size_t width, struct med_err *err)
{
    size_t all = w->beam_count + w->spill_count, need = all > width ? all : width;
    if (!med_grow(&w->beam, &w->beam_cap, need + 1, sizeof *w->beam))
        return med_fail(err, MED_E_NOMEM, "out of memory searching vectors");
    memcpy(w->beam + w->beam_count, w->spill, w->spill_count * sizeof *w->spill);
    qsort(w->beam, all, sizeof *w->beam, by_score);
    w->beam_max = width;
    w->beam_count = all < width ? all : width;
    w->spill_count = all - w->beam_count < SPILL_MAX ? all - w->beam_count : SPILL_MAX;
    memcpy(w->spill, w->beam + w->beam_count, w->spill_count * sizeof *w->spill);
    return MED_OK;
}

/* Level 0 until the beam has top->k answers of different groups. */
static enum med_code walk_groups(
    const struct walk *k, size_t ef, struct med_dense_top *top, struct med_err *err)
{
    struct walker *w = k->walker;
    enum med_code code = MED_OK;
    for (;;) {
        expand(k, 0, ef);
        qsort(w->beam, w->beam_count, sizeof *w->beam, by_row);
        med_dense_top_clear(top);
        collect(k, w->beam, w->beam_count, top);
        bool enough = top->count + top->is_waiting >= top->k;
        if (enough || w->beam_count < w->beam_max || w->beam_max * 2 > MED_WALK_EF_MAX) break;
        code = widen(w, w->beam_max * 2, err);
        if (code != MED_OK) break;
        ef *= 2;
    }
    return code;
}

/* --- the whole walk --- */

static enum med_code descend(
    struct walk *k, size_t ef, struct med_dense_top *top, struct med_err *err)
{
    struct walker *w = k->walker;
    size_t upper = ef / UPPER_BEAM_SHARE > UPPER_BEAM_MIN ? ef / UPPER_BEAM_SHARE : UPPER_BEAM_MIN;
    size_t width = top->groups ? top->k + top->k / 4 + GROUP_MARGIN : top->k;
    if (width < ef) width = ef;
    if (!med_grow(&w->beam, &w->beam_cap, width + 1, sizeof *w->beam) ||
        (top->groups && !med_grow(&w->spill, &w->spill_cap, SPILL_MAX, sizeof *w->spill)))
        return med_fail(err, MED_E_NOMEM, "out of memory searching vectors");
    uint32_t entry = k->links->entry_point;
    w->spilling = false;
    w->spill_count = w->beam_count = 0;
    w->beam_max = 1;
    beam_insert(w, med_dense_near(k->rows, k->query, entry), entry);
    for (uint32_t level = k->links->max_level; level > 0; level--) {
        begin_level(k, upper < width ? upper : width);
        expand(k, level, SIZE_MAX);
    }
    begin_level(k, width);
    w->spilling = top->groups != NULL;
    if (top->groups) return walk_groups(k, ef, top, err);
    expand(k, 0, ef);
    collect(k, w->beam, w->beam_count, top);
    return MED_OK;
}

enum med_code med_graph_walk(const struct med_dense_rows *rows, const struct med_links *links,
    struct med_walk_pool *pool, const struct med_dense_query *query, struct med_filter filter,
    uint32_t ef, struct med_dense_top *top, struct med_err *err)
{
    assert(ef > 0 && ef <= MED_WALK_EF_MAX);
    if (links->linked_count == 0) return MED_OK;
    struct walker *w = borrow(pool);
    if (!w) return med_fail(err, MED_E_NOMEM, "out of memory searching vectors");
    struct walk k = {.rows = rows, .links = links, .query = query, .filter = filter, .walker = w};
    enum med_code code = descend(&k, ef, top, err);
    forget_visits(w, rows->count);
    give_back(pool, w);
    return code;
}

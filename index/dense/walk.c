/* The search of Malkov and Yashunin (2018), algorithms 2 and 5, on arrays.
 *
 * The beam is one array, best first, of the rows seen so far that may still matter. The best that
 * was not yet expanded is next: its links are looked up, those not visited are scored four at a
 * time while the bytes of the following ones are on their way, and what is good enough is inserted.
 * When everything in the beam is expanded, the walk is over.
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
#include <string.h>

#define EXPANDED 0x80000000u /* row numbers of graphs have 31 bits */
#define NOTES_MAX 16384u
#define CACHE_LINE_VALUES 32u
#define PREFETCH_LINES_MAX 16u
#define UPPER_BEAM_MIN 4u
#define UPPER_BEAM_SHARE 8u /* of ef */

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
    size_t beam_max; /* in use: ef */
    size_t beam_count;
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

static struct walker *borrow(struct med_walk_pool *pool, uint32_t ef)
{
    pthread_mutex_lock(&pool->lock);
    struct walker *w = pool->idle;
    if (w) pool->idle = w->next;
    pthread_mutex_unlock(&pool->lock);
    if (!w) w = walker_new(pool->count);
    if (w && !med_grow(&w->beam, &w->beam_cap, (size_t)ef + 1, sizeof *w->beam)) {
        walker_free(w);
        w = NULL;
    }
    return w;
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

/* Where it was put; beam_max when it is not good enough. Equal scores: first come, first. */
static inline size_t beam_insert(struct walker *w, float score, uint32_t row)
{
    struct beam_item *beam = w->beam;
    if (w->beam_count == w->beam_max && score <= beam[w->beam_count - 1].score) return w->beam_max;
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
    beam[low] = (struct beam_item){.score = score, .row = row};
    return low;
}

static void prefetch_row(const struct med_dense_rows *rows, uint32_t row)
{
    const uint16_t *values = med_dense_row_at(rows, row);
    uint32_t lines = rows->padded / CACHE_LINE_VALUES;
    if (lines > PREFETCH_LINES_MAX) lines = PREFETCH_LINES_MAX;
    for (uint32_t l = 0; l < lines; l++) __builtin_prefetch(values + l * CACHE_LINE_VALUES);
}

/* --- one level --- */

struct walk {
    const struct med_dense_rows *rows;
    const struct med_links *links;
    const float *query;
    struct med_filter filter;
    struct walker *walker;
};

/* The links of a row that were not visited; their first bytes are fetched. */
static uint32_t gather(
    const struct walk *k, uint32_t row, uint32_t level, uint32_t ret_found[2 * MED_GRAPH_M_MAX])
{
    uint32_t max, count = 0;
    const uint32_t *links = links_of(k->links, row, level, &max);
    for (uint32_t i = 0; i < max && links[i] != MED_GRAPH_NO_LINK; i++) {
        if (!visit(k->walker, links[i])) continue;
        if (count < 8) prefetch_row(k->rows, links[i]);
        ret_found[count++] = links[i];
    }
    return count;
}

/* Scores rows[0..count) and puts them where they belong; the best place that was taken. */
static size_t consider(const struct walk *k, const uint32_t *found, uint32_t count)
{
    const struct med_dense_rows *rows = k->rows;
    size_t best = k->walker->beam_max;
    for (uint32_t i = 0; i < count; i += 4) {
        uint32_t part = count - i < 4 ? count - i : 4;
        const uint16_t *four[4];
        for (uint32_t j = 0; j < 4; j++)
            four[j] = med_dense_row_at(rows, found[j < part ? i + j : i]);
        for (uint32_t j = i + 8; j < count && j < i + 12; j++) prefetch_row(rows, found[j]);
        float scores[4];
        if (part == 4) {
            rows->kernels->dot4(four, k->query, rows->padded, scores);
        } else {
            for (uint32_t j = 0; j < part; j++)
                scores[j] = rows->kernels->dot(four[j], k->query, rows->padded);
        }
        for (uint32_t j = 0; j < part; j++) {
            float score = med_dense_clean(scores[j]);
            size_t place = beam_insert(k->walker, score, found[i + j]);
            if (place < best) best = place;
        }
    }
    return best;
}

/* The beam holds the rows to start from. */
static void walk_level(const struct walk *k, uint32_t level)
{
    struct walker *w = k->walker;
    uint32_t found[2 * MED_GRAPH_M_MAX];
    forget_visits(w, k->rows->count);
    for (size_t i = 0; i < w->beam_count; i++) {
        w->beam[i].row &= ~EXPANDED;
        visit(w, w->beam[i].row);
    }
    size_t cursor = 0;
    while (cursor < w->beam_count) {
        uint32_t row = w->beam[cursor].row;
        if (row & EXPANDED) {
            cursor++;
            continue;
        }
        w->beam[cursor].row |= EXPANDED;
        uint32_t count = gather(k, row, level, found);
        size_t best = consider(k, found, count);
        if (best < cursor) cursor = best;
    }
}

/* --- the whole walk --- */

/* The beam's best k that are answers. */
static void collect(const struct walk *k, struct med_dense_top *top)
{
    for (size_t i = 0; i < k->walker->beam_count && top->count < top->k; i++) {
        struct beam_item item = k->walker->beam[i];
        uint32_t row = item.row & ~EXPANDED;
        if (med_filter_has(k->filter, row)) med_dense_top_offer(k->rows, top, row, item.score);
    }
}

enum med_code med_graph_walk(const struct med_dense_rows *rows, const struct med_links *links,
    struct med_walk_pool *pool, const float *query, struct med_filter filter, uint32_t ef,
    struct med_dense_top *top, struct med_err *err)
{
    assert(ef > 0 && ef <= MED_WALK_EF_MAX);
    if (links->linked_count == 0) return MED_OK;
    struct walker *w = borrow(pool, ef);
    if (!w) return med_fail(err, MED_E_NOMEM, "out of memory searching vectors");
    struct walk k = {.rows = rows, .links = links, .query = query, .filter = filter, .walker = w};
    uint32_t upper =
        ef / UPPER_BEAM_SHARE > UPPER_BEAM_MIN ? ef / UPPER_BEAM_SHARE : UPPER_BEAM_MIN;
    w->beam_max = upper < ef ? upper : ef;
    w->beam_count = 0;
    beam_insert(w, med_dense_score_at(rows, query, links->entry_point), links->entry_point);
    for (uint32_t level = links->max_level; level > 0; level--) walk_level(&k, level);
    w->beam_max = ef;
    walk_level(&k, 0);
    collect(&k, top);
    forget_visits(w, rows->count);
    give_back(pool, w);
    return MED_OK;
}

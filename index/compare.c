#include "index/compare.h"

#include "index/internal.h"

#define CANARY_DEPTH 10u
#define CANARY_ARENA_BYTES_MAX (512 * MED_MIB)

/* --- documents --- */

/* Walks the live documents of all segments in byte order of their ids. */
struct walk {
    const struct med_index *index;
    uint32_t *next; /* per segment */
    uint32_t segment, doc;
    struct med_str id;
    bool end;
};

static void step(struct walk *w)
{
    uint32_t best = UINT32_MAX;
    for (uint32_t s = 0; s < w->index->segment_count; s++) {
        const struct med_segment *segment = w->index->segments[s];
        while (w->next[s] < segment->doc_count && !med_segment_is_live(segment, w->next[s]))
            w->next[s]++;
        if (w->next[s] == segment->doc_count) continue;
        struct med_str id = med_segment_doc_id(segment, w->next[s]);
        if (best != UINT32_MAX && med_str_cmp(id, w->id) >= 0) continue;
        best = s;
        w->id = id;
    }
    w->end = best == UINT32_MAX;
    if (w->end) return;
    w->segment = best;
    w->doc = w->next[best]++;
}

static enum med_code walk_begin(
    struct walk *w, const struct med_index *index, struct med_arena *arena, struct med_err *err)
{
    *w = (struct walk){
        .index = index, .next = med_arena_calloc(arena, index->segment_count + 1, sizeof *w->next)};
    if (!w->next) return med_fail(err, MED_E_NOMEM, "out of memory while comparing generations");
    step(w);
    return MED_OK;
}

static uint32_t version_of(const struct walk *w)
{
    return w->index->segments[w->segment]->docs[w->doc].version;
}

static enum med_code compare_documents(struct walk *a, struct walk *b, med_difference_visit visit,
    void *ctx, struct med_differences *d, struct med_err *err)
{
    enum med_code code = MED_OK;
    while (!code && (!a->end || !b->end)) {
        int order = a->end ? 1 : b->end ? -1 : med_str_cmp(a->id, b->id);
        struct med_str id = order <= 0 ? a->id : b->id;
        enum med_difference what = order < 0                        ? MED_DOCUMENT_REMOVED
                                   : order > 0                      ? MED_DOCUMENT_ADDED
                                   : version_of(a) == version_of(b) ? MED_DOCUMENT_SAME
                                                                    : MED_DOCUMENT_CHANGED;
        d->same += what == MED_DOCUMENT_SAME;
        d->added += what == MED_DOCUMENT_ADDED;
        d->changed += what == MED_DOCUMENT_CHANGED;
        d->removed += what == MED_DOCUMENT_REMOVED;
        if (visit) code = visit(ctx, what, id, err);
        if (order <= 0) step(a);
        if (order >= 0) step(b);
    }
    return code;
}

enum med_code med_index_differences(const struct med_index *before, const struct med_index *after,
    med_difference_visit visit, void *ctx, struct med_differences *ret_differences,
    struct med_err *err)
{
    struct med_arena *arena;
    struct walk a, b;
    struct med_differences d = {0};
    enum med_code code = med_arena_new(MED_MIB, &arena, err);
    if (code) return code;
    code = walk_begin(&a, before, arena, err);
    if (!code) code = walk_begin(&b, after, arena, err);
    if (!code) code = compare_documents(&a, &b, visit, ctx, &d, err);
    med_arena_free(&arena);
    if (!code) *ret_differences = d;
    return code;
}

bool med_index_find(const struct med_index *index, struct med_str id, uint32_t *ret_version)
{
    for (uint32_t i = 0; i < index->segment_count; i++) {
        const struct med_segment *s = index->segments[i];
        uint32_t doc;
        if (!med_segment_find_doc(s, 0, id, &doc)) continue;
        *ret_version = s->docs[doc].version;
        return true;
    }
    return false;
}

uint64_t med_index_live_count(const struct med_index *index)
{
    return index->stats.doc_count;
}

/* --- canary queries --- */

struct sample {
    struct med_str ids[MED_CANARY_MAX];
    uint32_t versions[MED_CANARY_MAX];
    uint32_t count;
    uint64_t seen, stride;
    const struct med_index *after;
};

static enum med_code take_sample(
    void *ctx, enum med_difference what, struct med_str id, struct med_err *err)
{
    struct sample *s = ctx;
    (void)err;
    if (what != MED_DOCUMENT_SAME || s->seen++ % s->stride || s->count == MED_CANARY_MAX)
        return MED_OK;
    if (med_index_find(s->after, id, &s->versions[s->count])) s->ids[s->count++] = id;
    return MED_OK;
}

struct canary {
    const struct med_index *before, *after;
    struct med_searcher *searcher;
    struct med_arena *arena;
    uint32_t depth_after;
    struct med_canary report;
    double overlap_sum;
    uint32_t overlap_count;
};

static enum med_code best(struct canary *c, const struct med_index *index, struct med_str query,
    uint32_t limit, struct med_ranking **ret_ranking, struct med_err *err)
{
    struct med_search_request request = MED_SEARCH_REQUEST_DEFAULT;
    request.query = query;
    request.limit = limit;
    request.literal = true;
    return med_rank(index, c->searcher, &request, c->arena, ret_ranking, err);
}

static struct med_str id_of(const struct med_index *index, const struct med_ranked *r)
{
    return med_segment_doc_id(index->segments[r->segment], r->doc);
}

static bool holds(
    const struct med_index *index, const struct med_ranking *r, size_t depth, struct med_str id)
{
    for (size_t i = 0; i < r->count && i < depth; i++) {
        if (med_str_eq(id_of(index, &r->items[i]), id)) return true;
    }
    return false;
}

static enum med_code ask(
    struct canary *c, struct med_str own, struct med_str title, struct med_err *err)
{
    struct med_ranking *before, *after;
    enum med_code code = best(c, c->before, title, CANARY_DEPTH, &before, err);
    if (!code) code = best(c, c->after, title, c->depth_after, &after, err);
    if (code) return code;
    uint32_t there = 0, again = 0, version;
    for (size_t i = 0; i < before->count && i < CANARY_DEPTH; i++) {
        struct med_str id = id_of(c->before, &before->items[i]);
        if (!med_index_find(c->after, id, &version)) continue;
        there++;
        again += holds(c->after, after, c->depth_after, id);
    }
    c->report.queries++;
    c->report.found_before += holds(c->before, before, CANARY_DEPTH, own);
    c->report.found_after += holds(c->after, after, c->depth_after, own);
    if (there == 0) return MED_OK;
    c->overlap_sum += (double)again / there;
    c->overlap_count++;
    return MED_OK;
}

static enum med_code ask_all(struct canary *c, const struct sample *sample, struct med_err *err)
{
    struct med_snapshot *snapshot;
    enum med_code code = med_snapshot_open(c->after->store, &snapshot, err);
    if (code) return code;
    for (uint32_t i = 0; !code && i < sample->count; i++) {
        struct med_doc *doc;
        med_arena_reset(c->arena);
        code = med_snapshot_get_version(
            snapshot, sample->ids[i], sample->versions[i], c->arena, &doc, err);
        struct med_str title = code ? (struct med_str){0} : doc->title;
        if (title.len == 0 || title.len > MED_QUERY_BYTES_MAX) continue;
        code = ask(c, sample->ids[i], title, err);
    }
    med_snapshot_close(&snapshot);
    return code;
}

enum med_code med_index_canary(const struct med_index *before, const struct med_index *after,
    struct med_canary *ret_canary, struct med_err *err)
{
    struct med_differences d;
    struct sample sample = {.after = after, .stride = 1};
    struct canary c = {.before = before, .after = after};
    uint64_t was = med_index_live_count(before), is = med_index_live_count(after);
    uint64_t growth = was ? (is + was - 1) / was : 1;
    c.depth_after = CANARY_DEPTH * (uint32_t)(growth < 1 ? 1 : growth < 20 ? growth : 20);
    enum med_code code = med_index_differences(before, after, NULL, NULL, &d, err);
    if (code) return code;
    sample.stride = d.same / MED_CANARY_MAX + 1;
    code = med_index_differences(before, after, take_sample, &sample, &d, err);
    if (!code) code = med_arena_new(CANARY_ARENA_BYTES_MAX, &c.arena, err);
    if (!code) code = med_searcher_new(&c.searcher, err);
    if (!code) code = ask_all(&c, &sample, err);
    if (c.searcher) med_searcher_free(&c.searcher);
    med_arena_free(&c.arena);
    if (code) return code;
    c.report.overlap = c.overlap_count ? c.overlap_sum / c.overlap_count : 1;
    *ret_canary = c.report;
    return MED_OK;
}

#include "index/gate.h"

#include "index/internal.h"

#include <inttypes.h>

#define GATE_ARENA_BYTES_MAX (16 * MED_GIB)
#define RECALL_QUERIES 20u
#define RECALL_DEPTH 10u
#define CHECKS 3u /* for the progress */

static enum med_code fails(struct med_err *err, const char *check)
{
    if (err) err->code = MED_E_GATE;
    med_err_prefix(err, "the gate keeps the new generation back: %s", check);
    return MED_E_GATE;
}

static bool told(const struct med_gate *gate, uint64_t done)
{
    return med_progress(gate->progress, "gate", done, CHECKS, "checks");
}

/* Both lists are in byte order of ids. */
static enum med_code check_counts(
    struct med_gate *gate, const struct med_index *index, struct med_err *err)
{
    struct med_arena *arena;
    struct med_id_version *docs;
    size_t count;
    uint64_t live = med_index_live_count(index);
    enum med_code code = med_arena_new(GATE_ARENA_BYTES_MAX, &arena, err);
    if (code) return code;
    code = med_snapshot_list(gate->snapshot, arena, &docs, &count, err);
    if (!code && live != count) {
        (void)med_fail(err, MED_E_GATE,
            "the docstore has %zu documents, the new index has %" PRIu64, count, live);
        code = fails(err, "counts");
    }
    for (size_t i = 0; !code && i < count; i++) {
        uint32_t version = 0;
        if (med_index_find(index, docs[i].id, &version) && version == docs[i].version) continue;
        (void)med_fail(err, MED_E_GATE,
            "version %" PRIu32 " of " MED_STR_FMT " is expected, the new index has %s",
            docs[i].version, MED_STR_ARG(docs[i].id), version ? "another one" : "none");
        code = fails(err, "documents");
    }
    med_arena_free(&arena);
    return code;
}

struct recall {
    struct med_searcher *searcher;
    struct med_arena *arena;
    uint64_t found, wanted;
};

/* The passages that the graph finds, among those that a scan finds. */
static enum med_code compare_halves(
    struct recall *r, const struct med_index *index, struct med_str title, struct med_err *err)
{
    struct med_ranking *exact, *walked;
    struct med_search_request request = MED_SEARCH_REQUEST_DEFAULT;
    request.query = title;
    request.mode = MED_MODE_DENSE;
    request.limit = RECALL_DEPTH;
    request.literal = true;
    request.group = MED_GROUP_NONE;
    request.authority_weight = 0;
    enum med_code code = med_rank(index, r->searcher, &request, r->arena, &walked, err);
    request.exact_dense = true;
    if (!code) code = med_rank(index, r->searcher, &request, r->arena, &exact, err);
    if (code) return code;
    r->wanted += exact->count;
    for (size_t i = 0; i < exact->count; i++) {
        bool found = false;
        for (size_t k = 0; !found && k < walked->count; k++)
            found = walked->items[k].segment == exact->items[i].segment &&
                    walked->items[k].chunk == exact->items[i].chunk;
        r->found += found;
    }
    return MED_OK;
}

static bool names_segment(const struct med_manifest *m, const char *id)
{
    for (size_t i = 0; i < m->segment_count; i++) {
        if (strcmp(m->segments[i].id, id) == 0) return true;
    }
    return false;
}

/* New segments only, each by itself: those that serve already were asked when they were new, and an
 * update must not scan all that there is. */
static enum med_code ask_titles(
    struct med_gate *gate, const struct med_index *index, struct recall *r, struct med_err *err)
{
    enum med_code code = MED_OK;
    struct med_pin *current = NULL;
    struct med_index view = *index;
    view.segment_count = 1;
    if (med_generation_pin(gate->data, 0, &current, NULL) != MED_OK) current = NULL;
    for (uint32_t s = 0; !code && s < index->segment_count; s++) {
        const struct med_segment *segment = index->segments[s];
        if (current && names_segment(med_pin_manifest(current), segment->ref->id)) continue;
        view.segments = &index->segments[s];
        uint32_t stride = segment->doc_count / RECALL_QUERIES + 1;
        for (uint32_t d = 0; !code && d < segment->doc_count; d += stride) {
            struct med_doc *doc;
            if (!med_segment_is_live(segment, d)) continue;
            med_arena_reset(r->arena);
            code = med_snapshot_get_version(gate->snapshot, med_segment_doc_id(segment, d),
                segment->docs[d].version, r->arena, &doc, err);
            if (!code && doc->title.len && doc->title.len <= MED_QUERY_BYTES_MAX)
                code = compare_halves(r, &view, doc->title, err);
        }
    }
    if (current) med_pin_release(&current);
    return code;
}

static enum med_code check_recall(
    struct med_gate *gate, const struct med_index *index, struct med_err *err)
{
    struct recall r = {0};
    gate->report.recall_at_10 = 1;
    if (!index->encoder) return MED_OK;
    enum med_code code = med_arena_new(MED_DOC_ARENA_BYTES_MAX, &r.arena, err);
    if (!code) code = med_searcher_new(&r.searcher, err);
    if (!code) code = ask_titles(gate, index, &r, err);
    if (r.searcher) med_searcher_free(&r.searcher);
    med_arena_free(&r.arena);
    if (code || r.wanted == 0) return code;
    gate->report.recall_at_10 = (double)r.found / (double)r.wanted;
    if (gate->report.recall_at_10 >= MED_GATE_RECALL_MIN) return MED_OK;
    (void)med_fail(err, MED_E_GATE,
        "the dense index finds %.0f %% of the nearest passages, at least %.0f %% are expected",
        100 * gate->report.recall_at_10, 100 * MED_GATE_RECALL_MIN);
    return fails(err, "recall");
}

static enum med_code check_canary(
    struct med_gate *gate, const struct med_index *index, struct med_err *err)
{
    struct med_index *before;
    struct med_canary *c = &gate->report.canary;
    if (gate->overlap_min <= 0 ||
        med_index_open(gate->data, gate->store, 0, false, &before, NULL) != MED_OK)
        return MED_OK;
    enum med_code code = med_index_canary(before, index, c, err);
    med_index_release(&before);
    if (code) return code;
    gate->report.compared = true;
    if (c->overlap < gate->overlap_min) {
        (void)med_fail(err, MED_E_GATE,
            "%.0f %% of the current generation's first results are found again, at least %.0f %% "
            "are expected (%u queries)",
            100 * c->overlap, 100 * gate->overlap_min, c->queries);
        return fails(err, "canary queries");
    }
    if (c->found_after < gate->overlap_min * c->found_before) {
        (void)med_fail(err, MED_E_GATE,
            "%u titles find their own document, with the current generation %u do (of %u)",
            c->found_after, c->found_before, c->queries);
        return fails(err, "canary queries");
    }
    return MED_OK;
}

enum med_code med_gate_check(void *ctx, const struct med_manifest *staged, struct med_err *err)
{
    struct med_gate *gate = ctx;
    struct med_index *index;
    gate->report = (struct med_gate_report){0};
    enum med_code code = med_index_open_staged(gate->data, gate->store, staged, &index, err);
    if (code == MED_E_CORRUPT) return fails(err, "structure");
    if (code) return code;
    bool stopped = !told(gate, 0);
    if (!stopped) code = check_counts(gate, index, err);
    if (!code && !stopped) stopped = !told(gate, 1);
    if (!code && !stopped) code = check_recall(gate, index, err);
    if (!code && !stopped) stopped = !told(gate, 2);
    if (!code && !stopped) code = check_canary(gate, index, err);
    if (!code && !stopped) stopped = !told(gate, CHECKS);
    med_index_release(&index);
    return !code && stopped ? med_fail(err, MED_E_CANCELLED, "the gate was stopped") : code;
}

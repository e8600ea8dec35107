/* All documents of a query, one after the other, without loading them together. */
#include "index/match.h"

static enum med_code hand_over(const struct med_index *x, const struct med_searcher *searcher,
    const struct med_ranking *ranking, med_export_fn fn, void *ctx, struct med_err *err)
{
    struct med_snapshot *snapshot = NULL;
    struct med_arena *arena = NULL;
    enum med_code code = med_snapshot_open(x->store, &snapshot, err);
    if (!code) code = med_arena_new(MED_DOC_ARENA_BYTES_MAX, &arena, err);
    for (size_t i = 0; !code && i < ranking->count; i++) {
        const struct med_ranked *r = &ranking->items[i];
        const struct med_segment *s = x->segments[r->segment];
        struct med_doc *doc;
        med_arena_reset(arena);
        code = med_snapshot_get_version(
            snapshot, med_segment_doc_id(s, r->doc), s->docs[r->doc].version, arena, &doc, err);
        if (!code)
            code = fn(ctx, doc, s->flags[r->doc], (enum med_evidence)s->evidence[r->doc], err);
        if (!code && searcher->shown) searcher->shown(searcher->shown_ctx, doc->id);
    }
    med_arena_free(&arena);
    if (snapshot) med_snapshot_close(&snapshot);
    return code;
}

enum med_code med_export(const struct med_index *index, struct med_searcher *searcher,
    const struct med_search_request *request, struct med_arena *arena, med_export_fn fn, void *ctx,
    uint64_t *ret_total, uint64_t *ret_count, struct med_err *err)
{
    struct query query;
    struct med_search_request all = *request;
    struct med_ranking *ranking = med_arena_calloc(arena, 1, sizeof *ranking);
    if (!ranking) return med_fail(err, MED_E_NOMEM, "the export needs too much memory");
    all.sort = MED_SORT_DATE;
    all.offset = 0;
    all.limit = MED_EXPORT_DOCS_MAX;
    all.group = MED_GROUP_DOCUMENT;
    all.facet_mask = 0;
    enum med_code code = query_understand(searcher->analyzer, &all, arena, &query, err);
    if (!code) code = rank_query(index, searcher, &all, &query, arena, ranking, err);
    if (code) return code;
    *ret_total = ranking->total;
    *ret_count = ranking->count;
    return hand_over(index, searcher, ranking, fn, ctx, err);
}

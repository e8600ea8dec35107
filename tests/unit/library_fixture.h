/* A library that lives through a history, in a folder that is updated and in one that is built
 * anew, and the comparison of both: for tests of updates, merging and builds. */
#pragma once

#include "index/update.h"

#include "common/mem.h"
#include "index/similar.h"
#include "tests/unit/index_fixture.h"
#include "tests/unit/random_docs.h"

#include <math.h>

#define DOCS 160u
#define REFERENCE_DATE 20260701

struct library {
    struct index_fixture f; /* the one that is updated */
    char fresh_dir[MED_PATH_MAX];
    struct med_data *fresh_data; /* the one that is built anew each time */
    struct med_index *fresh;
    struct med_arena *arena, *queries;
    struct med_rng rng;
    uint64_t seed;
    unsigned revisions[2 * DOCS]; /* 0 = not there */
    unsigned next_revision;
};

static inline uint64_t seed_of_run(void)
{
    const char *text = getenv("MEDICUS_SEED");
    return text ? strtoull(text, NULL, 10) : 20261122;
}

static inline void library_open(struct library *l, uint64_t seed)
{
    *l = (struct library){.seed = seed};
    fixture_open(&l->f);
    med_test_temp_new(l->fresh_dir);
    FIXTURE_OK(med_arena_new(512 * MED_MIB, &l->arena, &ok_err));
    FIXTURE_OK(med_arena_new(512 * MED_MIB, &l->queries, &ok_err));
    FIXTURE_OK(med_data_open(l->fresh_dir, true, med_fs_posix(), &l->fresh_data, &ok_err));
    med_rng_seed(&l->rng, seed);
}

static inline void library_close(struct library *l)
{
    med_index_release(&l->fresh);
    med_data_close(&l->fresh_data);
    fixture_close(&l->f);
    med_arena_free(&l->arena);
    med_arena_free(&l->queries);
    med_test_temp_remove(l->fresh_dir);
}

/* --- what happens to a library --- */

static inline void put(struct library *l, struct med_batch *batch, unsigned n)
{
    enum med_put_outcome outcome;
    struct med_doc doc = random_doc(l->arena, l->seed, n, ++l->next_revision, DOCS);
    FIXTURE_OK(med_batch_put(batch, &doc, &outcome, &ok_err));
    l->revisions[n] = l->next_revision;
    med_arena_reset(l->arena);
}

static inline void delete_doc(struct library *l, struct med_batch *batch, unsigned n)
{
    enum med_put_outcome outcome;
    FIXTURE_OK(med_batch_delete(
        batch, random_id(l->arena, n), (struct med_precedence){0}, &outcome, &ok_err));
    assert_int_equal(outcome, MED_PUT_DELETED);
    l->revisions[n] = 0;
}

static inline void retract(struct library *l)
{
    struct med_retractions_report report;
    unsigned n = (unsigned)med_rng_below(&l->rng, DOCS);
    char *text = med_arena_printf(l->arena, "pmid:%u\ndoi:10.1/%u\n", 1000 + n, n / 3);
    if (med_rng_below(&l->rng, 3)) {
        FIXTURE_OK(med_retractions_add(l->f.data, med_str_of(text), &report, &ok_err));
        FIXTURE_OK(med_retractions_add(l->fresh_data, med_str_of(text), &report, &ok_err));
    } else {
        FIXTURE_OK(med_retractions_remove(l->f.data, med_str_of(text), &report, &ok_err));
        FIXTURE_OK(med_retractions_remove(l->fresh_data, med_str_of(text), &report, &ok_err));
    }
}

static inline void begin_with_some(struct library *l)
{
    struct med_batch *batch;
    FIXTURE_OK(med_batch_begin(l->f.store, &batch, &ok_err));
    for (unsigned n = 0; n < DOCS; n++)
        if (med_rng_below(&l->rng, 4)) put(l, batch, n);
    FIXTURE_OK(med_batch_commit(&batch, &ok_err));
}

static inline void change_some(struct library *l, uint64_t count)
{
    struct med_batch *batch;
    FIXTURE_OK(med_batch_begin(l->f.store, &batch, &ok_err));
    for (uint64_t i = 0; i < count; i++) {
        unsigned n = (unsigned)med_rng_below(&l->rng, DOCS);
        if (!l->revisions[n] || med_rng_below(&l->rng, 2))
            put(l, batch, n);
        else
            delete_doc(l, batch, n);
    }
    FIXTURE_OK(med_batch_commit(&batch, &ok_err));
}

static inline void update(
    struct library *l, enum med_update_merge merge, struct med_update_report *report)
{
    struct med_update_options options = {
        .merge = merge, .threads = 2, .reference_date = REFERENCE_DATE, .keep = 2};
    med_index_release(&l->f.index);
    FIXTURE_OK(med_update(l->f.data, l->f.store, &options, report, &ok_err));
    FIXTURE_OK(med_index_open(l->f.data, l->f.store, 0, true, &l->f.index, &ok_err));
    FIXTURE_OK(med_index_check(l->f.index, NULL, &ok_err));
}

static inline void build(struct library *l, bool lexical_only)
{
    struct med_build_options options = {
        .threads = 2, .dim = 32, .lexical_only = lexical_only, .reference_date = REFERENCE_DATE};
    struct med_build_report report;
    med_index_release(&l->f.index);
    FIXTURE_OK(med_build(l->f.data, l->f.store, &options, &report, &ok_err));
    FIXTURE_OK(med_index_open(l->f.data, l->f.store, 0, true, &l->f.index, &ok_err));
}

static inline void build_fresh(struct library *l)
{
    struct med_build_options options = {.threads = 2,
        .reference_date = REFERENCE_DATE,
        .lexical_only = !med_index_manifest(l->f.index)->encoder_id[0],
        .encoder_of = l->f.data,
        .keep = 1};
    struct med_build_report report;
    med_index_release(&l->fresh);
    FIXTURE_OK(med_build(l->fresh_data, l->f.store, &options, &report, &ok_err));
    assert_false(report.encoder_trained);
    FIXTURE_OK(med_index_open(l->fresh_data, l->f.store, 0, true, &l->fresh, &ok_err));
}

/* --- comparing --- */

static char context[600]; /* of the comparison, for messages */

#define assert_same(a, b, what)                                                                    \
    do {                                                                                           \
        uint64_t same_a = (a), same_b = (b);                                                       \
        if (same_a != same_b)                                                                      \
            fail_msg("%s: %s: %llu after the update, %llu in a fresh build", context, what,        \
                (unsigned long long)same_a, (unsigned long long)same_b);                           \
    } while (0)
#define assert_same_text(a, b, what)                                                               \
    do {                                                                                           \
        struct med_str same_a = (a), same_b = (b);                                                 \
        if (!med_str_eq(same_a, same_b))                                                           \
            fail_msg("%s: %s: \"%.*s\" after the update, \"%.*s\" in a fresh build", context,      \
                what, MED_STR_ARG(same_a), MED_STR_ARG(same_b));                                   \
    } while (0)

static inline void compare_result(const struct med_result *a, const struct med_result *b)
{
    assert_same_text(a->id, b->id, "id");
    if (fabs(a->rank.score - b->rank.score) > 1e-6 ||
        fabs(a->rank.authority - b->rank.authority) > 1e-9 ||
        fabsf(a->rank.lexical - b->rank.lexical) > 1e-5f ||
        fabsf(a->rank.dense - b->rank.dense) > 1e-6f)
        fail_msg("%s: %.*s: score %.9f (%f, %f) and %.9f (%f, %f)", context, MED_STR_ARG(a->id),
            a->rank.score, (double)a->rank.lexical, (double)a->rank.dense, b->rank.score,
            (double)b->rank.lexical, (double)b->rank.dense);
    assert_same(a->version, b->version, "version");
    assert_same(a->flags, b->flags, "flags");
    assert_same(a->evidence, b->evidence, "evidence");
    assert_same_text(a->snippet, b->snippet, "snippet");
    assert_same(a->also_count, b->also_count, "other ids");
    for (size_t i = 0; i < a->also_count; i++)
        assert_same_text(a->also[i], b->also[i], "another id");
    assert_same(a->link_count, b->link_count, "links");
    for (size_t i = 0; i < a->link_count; i++)
        assert_same_text(a->links[i].target, b->links[i].target, "a link");
}

static inline void compare_answers(const struct med_answer *a, const struct med_answer *b)
{
    const struct med_ranking *x = a->ranking, *y = b->ranking;
    assert_same(x->total, y->total, "total");
    assert_same(x->total_exact, y->total_exact, "total's relation");
    assert_same(x->mode, y->mode, "mode");
    assert_same(a->count, b->count, "results");
    for (size_t i = 0; i < a->count; i++) compare_result(&a->results[i], &b->results[i]);
    for (size_t f = 0; f < MED_FACET_COUNT; f++) {
        assert_same(x->facets[f].count, y->facets[f].count, "values of a facet");
        for (size_t i = 0; i < x->facets[f].count; i++) {
            assert_same_text(x->facets[f].values[i].value, y->facets[f].values[i].value, "facet");
            assert_same(x->facets[f].values[i].count, y->facets[f].values[i].count, "facet count");
        }
    }
    assert_same(x->notice_count, y->notice_count, "notices");
    for (size_t i = 0; i < x->notice_count; i++)
        assert_same_text(x->notices[i], y->notices[i], "a notice");
    assert_same_text(x->suggestion, y->suggestion, "suggestion");
}

static inline void compare_search(struct library *l, const struct med_search_request *request)
{
    struct med_answer *a = NULL, *b = NULL;
    struct med_err err_a = {0}, err_b = {0};
    snprintf(context, sizeof context,
        "MEDICUS_SEED=%llu \"%.*s\" mode %d group %d sort %d fusion %d",
        (unsigned long long)l->seed, MED_STR_ARG(request->query), (int)request->mode,
        (int)request->group, (int)request->sort, (int)request->fusion);
    enum med_code code_a = med_search(l->f.index, l->f.searcher, request, l->queries, &a, &err_a);
    enum med_code code_b = med_search(l->fresh, l->f.searcher, request, l->queries, &b, &err_b);
    if (code_a != code_b) fail_msg("%s: %s / %s", context, err_a.text, err_b.text);
    if (!code_a) compare_answers(a, b);
    med_arena_reset(l->queries);
}

static inline void compare_similar(struct library *l, unsigned n)
{
    struct med_answer *a, *b;
    struct med_str id;
    struct med_err err_a = {0}, err_b = {0};
    struct med_search_request request = MED_SEARCH_REQUEST_DEFAULT;
    request.limit = 8;
    struct med_str given = random_id(l->queries, n);
    snprintf(context, sizeof context, "MEDICUS_SEED=%llu similar to %.*s",
        (unsigned long long)l->seed, MED_STR_ARG(given));
    enum med_code code_a = med_similar(
        l->f.index, l->f.store, l->f.searcher, given, &request, l->queries, &a, &id, &err_a);
    enum med_code code_b = med_similar(
        l->fresh, l->f.store, l->f.searcher, given, &request, l->queries, &b, &id, &err_b);
    if (code_a != code_b) fail_msg("%s: %s / %s", context, err_a.text, err_b.text);
    if (!code_a) compare_answers(a, b);
    med_arena_reset(l->queries);
}

struct exported {
    struct med_arena *arena;
    struct med_str ids[DOCS];
    uint32_t flags[DOCS];
    size_t count;
};

static inline enum med_code take(void *ctx, const struct med_doc *doc, uint32_t flags,
    enum med_evidence evidence, struct med_err *err)
{
    struct exported *e = ctx;
    (void)evidence;
    e->flags[e->count] = flags;
    if (!med_arena_str(e->arena, doc->id, &e->ids[e->count++]))
        return med_fail(err, MED_E_NOMEM, "no memory");
    return MED_OK;
}

static inline void compare_export(struct library *l, const char *query)
{
    static struct exported a, b;
    struct med_search_request request = MED_SEARCH_REQUEST_DEFAULT;
    uint64_t total_a, total_b, count;
    request.query = med_str_of(query);
    snprintf(context, sizeof context, "MEDICUS_SEED=%llu export \"%s\"",
        (unsigned long long)l->seed, query);
    a = b = (struct exported){.arena = l->queries};
    FIXTURE_OK(med_export(
        l->f.index, l->f.searcher, &request, l->queries, take, &a, &total_a, &count, &ok_err));
    FIXTURE_OK(med_export(
        l->fresh, l->f.searcher, &request, l->queries, take, &b, &total_b, &count, &ok_err));
    assert_same(total_a, total_b, "total");
    assert_same(a.count, b.count, "documents");
    for (size_t i = 0; i < a.count; i++) {
        assert_same_text(a.ids[i], b.ids[i], "id");
        assert_same(a.flags[i], b.flags[i], "flags");
    }
    med_arena_reset(l->queries);
}

static const char *const fixed_queries[] = {"", "\"IL-6\" AND carditis", "carditis NOT neuroma",
    "cardi* OR hepat*", "carditis[ti]", "carditis[tiab]", "\"Heart Failure\"[mh]",
    "Sepsis[majr] OR Anemia[mh]", "Lancet[ta]", "Lanzet[ta]", "review[pt] carditis", "eng[la]",
    "year:1995..2010 neuroma", "source:pmc", "source:guideline carditis", "cardittis", "hepattoma",
    "osteoplasti", "nothingatall", "Spesis[mh]", "NOT carditis"};

static inline void compare_everything(struct library *l)
{
    struct med_search_request request = MED_SEARCH_REQUEST_DEFAULT;
    request.limit = 10;
    request.facet_mask = (1u << MED_FACET_COUNT) - 1;
    request.facet_values = 20;
    for (size_t i = 0; i < sizeof fixed_queries / sizeof *fixed_queries + 12; i++) {
        size_t fixed = sizeof fixed_queries / sizeof *fixed_queries;
        struct med_arena *arena = l->arena;
        med_arena_reset(arena);
        struct med_search_request r = request;
        r.query = i < fixed ? med_str_of(fixed_queries[i])
                            : random_text(arena, &l->rng, 1 + med_rng_below(&l->rng, 6), false);
        r.mode = (enum med_mode)med_rng_below(&l->rng, MED_MODE_COUNT);
        r.group = med_rng_below(&l->rng, 4) ? MED_GROUP_DOCUMENT : MED_GROUP_NONE;
        r.sort = med_rng_below(&l->rng, 5) ? MED_SORT_RELEVANCE : MED_SORT_DATE;
        r.fusion = med_rng_below(&l->rng, 5) ? MED_FUSION_CONVEX : MED_FUSION_RRF;
        r.offset = (uint32_t)med_rng_below(&l->rng, 3) * 5;
        r.pool_depth = med_rng_below(&l->rng, 2) ? 0 : 12; /* small: the pools are cut */
        compare_search(l, &r);
        for (enum med_mode m = 0; m < MED_MODE_COUNT; m++) {
            struct med_search_request plain = request;
            plain.query = r.query;
            plain.mode = m;
            plain.filter.year_min = (uint32_t)(med_rng_below(&l->rng, 2) * 2005);
            plain.filter.flags_none = (uint32_t)(med_rng_below(&l->rng, 2) * MED_FLAG_RETRACTED);
            compare_search(l, &plain);
        }
    }
    for (int i = 0; i < 12; i++) compare_similar(l, (unsigned)med_rng_below(&l->rng, DOCS));
    compare_export(l, "cardi* OR neur*");
    compare_export(l, "carditis");
}

/* Bytes of the overlay: made from segments, and from the store. */
static inline void compare_overlays(struct library *l)
{
    struct med_snapshot *snapshot;
    struct med_retraction_list list;
    struct med_buf made;
    med_buf_init(&made, 64 * MED_MIB);
    FIXTURE_OK(med_snapshot_open(l->f.store, &snapshot, &ok_err));
    FIXTURE_OK(med_retractions_load(l->f.data, l->queries, &list, &ok_err));
    FIXTURE_OK(med_overlay_make(snapshot, &list, &made, &ok_err));
    const struct med_map *map = &l->f.index->overlay_map;
    snprintf(context, sizeof context, "MEDICUS_SEED=%llu overlay", (unsigned long long)l->seed);
    assert_same(map->len, made.len, "bytes");
    if (made.len && memcmp(map->ptr, made.data, made.len) != 0) fail_msg("%s differs", context);
    med_buf_free(&made);
    med_snapshot_close(&snapshot);
    med_arena_reset(l->queries);
}

static inline void compare_statistics(struct library *l)
{
    const struct med_index *a = l->f.index, *b = l->fresh;
    snprintf(context, sizeof context, "MEDICUS_SEED=%llu statistics", (unsigned long long)l->seed);
    assert_same(a->stats.doc_count, b->stats.doc_count, "documents");
    assert_same(a->stats.chunk_count, b->stats.chunk_count, "passages");
    assert_same(a->stats.length_sum, b->stats.length_sum, "length");
    assert_same(a->manifest->doc_count, b->manifest->doc_count, "documents in the manifest");
    assert_same(med_manifest_chunk_count(a->manifest), med_manifest_chunk_count(b->manifest),
        "passages in the manifest");
    assert_same(a->shared_count, b->shared_count, "documents that share a work");
    struct med_buf term;
    med_buf_init(&term, MED_MIB);
    for (uint32_t s = 0; s < b->segment_count; s++) { /* df of every term that is left */
        const struct med_lex *lex = b->segments[s]->lex;
        for (uint32_t t = 0; t < med_lex_term_count(lex); t++) {
            uint32_t df, sum = 0;
            med_buf_reset(&term);
            FIXTURE_OK(med_lex_term_at(lex, t, &term, &df, &ok_err));
            for (uint32_t i = 0; i < a->segment_count; i++) {
                uint32_t ordinal, n;
                if (med_segment_find(a->segments[i], med_buf_str(&term), &ordinal, &n)) sum += n;
            }
            snprintf(context, sizeof context, "MEDICUS_SEED=%llu df of \"%.*s\"",
                (unsigned long long)l->seed, (int)term.len, term.data);
            assert_same(sum, df, "passages");
        }
    }
    med_buf_free(&term);
}

static inline void compare(struct library *l)
{
    build_fresh(l);
    compare_statistics(l);
    compare_overlays(l);
    compare_everything(l);
}

/* The merged segment against the one of a fresh build: file by file the same bytes. */
static inline void compare_segments(const struct med_index *a, const struct med_index *b)
{
    assert_int_equal(a->segment_count, 1);
    const struct med_segment_ref *x = a->segments[0]->ref, *y = b->segments[0]->ref;
    assert_int_equal(x->dead_doc_count, 0);
    assert_int_equal(x->patch.size, 0);
    assert_int_equal(x->file_count, y->file_count);
    for (size_t i = 0; i < x->file_count; i++) {
        assert_string_equal(x->files[i].name, y->files[i].name);
        if (!med_hash128_eq(x->files[i].hash, y->files[i].hash))
            fail_msg("%s of the merged segment differs", x->files[i].name);
    }
}

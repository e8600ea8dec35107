/* An update gives what a build would give. Random histories of a library are followed by updates;
 * after each, searches of every kind are compared with those of an index that was built afresh from
 * the same store with the same encoder and calibration. */
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

static uint64_t seed_of_run(void)
{
    const char *text = getenv("MEDICUS_SEED");
    return text ? strtoull(text, NULL, 10) : 20261122;
}

static void library_open(struct library *l, uint64_t seed)
{
    *l = (struct library){.seed = seed};
    fixture_open(&l->f);
    med_test_temp_new(l->fresh_dir);
    FIXTURE_OK(med_arena_new(512 * MED_MIB, &l->arena, &ok_err));
    FIXTURE_OK(med_arena_new(512 * MED_MIB, &l->queries, &ok_err));
    FIXTURE_OK(med_data_open(l->fresh_dir, true, med_fs_posix(), &l->fresh_data, &ok_err));
    med_rng_seed(&l->rng, seed);
}

static void library_close(struct library *l)
{
    med_index_release(&l->fresh);
    med_data_close(&l->fresh_data);
    fixture_close(&l->f);
    med_arena_free(&l->arena);
    med_arena_free(&l->queries);
    med_test_temp_remove(l->fresh_dir);
}

/* --- what happens to a library --- */

static void put(struct library *l, struct med_batch *batch, unsigned n)
{
    enum med_put_outcome outcome;
    struct med_doc doc = random_doc(l->arena, l->seed, n, ++l->next_revision, DOCS);
    FIXTURE_OK(med_batch_put(batch, &doc, &outcome, &ok_err));
    l->revisions[n] = l->next_revision;
    med_arena_reset(l->arena);
}

static void delete_doc(struct library *l, struct med_batch *batch, unsigned n)
{
    enum med_put_outcome outcome;
    FIXTURE_OK(med_batch_delete(
        batch, random_id(l->arena, n), (struct med_precedence){0}, &outcome, &ok_err));
    assert_int_equal(outcome, MED_PUT_DELETED);
    l->revisions[n] = 0;
}

static void retract(struct library *l)
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

static void begin_with_some(struct library *l)
{
    struct med_batch *batch;
    FIXTURE_OK(med_batch_begin(l->f.store, &batch, &ok_err));
    for (unsigned n = 0; n < DOCS; n++)
        if (med_rng_below(&l->rng, 4)) put(l, batch, n);
    FIXTURE_OK(med_batch_commit(&batch, &ok_err));
}

static void change_some(struct library *l, uint64_t count)
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

static void update(struct library *l, enum med_update_merge merge, struct med_update_report *report)
{
    struct med_update_options options = {
        .merge = merge, .threads = 2, .reference_date = REFERENCE_DATE, .keep = 2};
    med_index_release(&l->f.index);
    FIXTURE_OK(med_update(l->f.data, l->f.store, &options, report, &ok_err));
    FIXTURE_OK(med_index_open(l->f.data, l->f.store, 0, true, &l->f.index, &ok_err));
    FIXTURE_OK(med_index_check(l->f.index, NULL, &ok_err));
}

static void build(struct library *l, bool lexical_only)
{
    struct med_build_options options = {
        .threads = 2, .dim = 32, .lexical_only = lexical_only, .reference_date = REFERENCE_DATE};
    struct med_build_report report;
    med_index_release(&l->f.index);
    FIXTURE_OK(med_build(l->f.data, l->f.store, &options, &report, &ok_err));
    FIXTURE_OK(med_index_open(l->f.data, l->f.store, 0, true, &l->f.index, &ok_err));
}

static void build_fresh(struct library *l)
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

static void compare_result(const struct med_result *a, const struct med_result *b)
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

static void compare_answers(const struct med_answer *a, const struct med_answer *b)
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

static void compare_search(struct library *l, const struct med_search_request *request)
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

static void compare_similar(struct library *l, unsigned n)
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

static enum med_code take(void *ctx, const struct med_doc *doc, uint32_t flags,
    enum med_evidence evidence, struct med_err *err)
{
    struct exported *e = ctx;
    (void)evidence;
    e->flags[e->count] = flags;
    if (!med_arena_str(e->arena, doc->id, &e->ids[e->count++]))
        return med_fail(err, MED_E_NOMEM, "no memory");
    return MED_OK;
}

static void compare_export(struct library *l, const char *query)
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

static void compare_everything(struct library *l)
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
static void compare_overlays(struct library *l)
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

static void compare_statistics(struct library *l)
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

static void compare(struct library *l)
{
    build_fresh(l);
    compare_statistics(l);
    compare_overlays(l);
    compare_everything(l);
}

/* --- promises --- */

static void run_history(uint64_t seed, bool lexical_only, int updates)
{
    struct library l;
    struct med_update_report report;
    library_open(&l, seed);
    begin_with_some(&l);
    build(&l, lexical_only);
    for (int i = 0; i < updates; i++) {
        change_some(&l, med_rng_below(&l.rng, 30));
        if (med_rng_below(&l.rng, 2)) retract(&l);
        update(&l, MED_UPDATE_MERGE_DUE, &report);
        compare(&l);
    }
    library_close(&l);
}

static void updates_equal_a_fresh_build(void **state)
{
    (void)state;
    uint64_t seed = seed_of_run();
    print_message("MEDICUS_SEED=%llu\n", (unsigned long long)seed);
    int rounds = getenv("MEDICUS_SOAK") ? 100 : 3;
    for (int i = 0; i < rounds; i++) run_history(seed + (uint64_t)i, i % 3 == 2, 5);
}

/* The merged segment against the one of a fresh build: file by file the same bytes. */
static void compare_segments(const struct med_index *a, const struct med_index *b)
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

static void merging_changes_no_answer(void **state)
{
    (void)state;
    uint64_t seed = seed_of_run() + 1000;
    int rounds = getenv("MEDICUS_SOAK") ? 30 : 2;
    for (int round = 0; round < rounds; round++, seed++) {
        struct library l;
        struct med_update_report report;
        print_message("MEDICUS_SEED=%llu\n", (unsigned long long)seed);
        library_open(&l, seed);
        begin_with_some(&l);
        build(&l, round % 2);
        for (int i = 0; i < 6; i++) {
            static const enum med_update_merge modes[] = {MED_UPDATE_MERGE_DUE,
                MED_UPDATE_MERGE_DUE, MED_UPDATE_MERGE_DEAD, MED_UPDATE_MERGE_ALL};
            enum med_update_merge mode =
                i == 5 ? MED_UPDATE_MERGE_ALL : modes[med_rng_below(&l.rng, 4)];
            change_some(&l, i == 2 ? 150 : med_rng_below(&l.rng, 30));
            if (med_rng_below(&l.rng, 2)) retract(&l);
            update(&l, mode, &report);
            if (mode != MED_UPDATE_MERGE_DUE) assert_int_equal(report.dead, 0);
            assert_int_equal(report.analysed, report.changes.added + report.changes.changed);
            if (mode == MED_UPDATE_MERGE_ALL) {
                build_fresh(&l);
                compare_segments(l.f.index, l.fresh);
            }
            compare(&l);
        }
        library_close(&l);
    }
}

/* --- histories that chance seldom writes --- */

static void put_titled(struct library *l, const char *id, const char *title, const char *journal)
{
    struct med_section section = {.body = med_str_of(title), .kind = MED_SECTION_ABSTRACT};
    struct med_doc doc = {.id = med_str_of(id), .title = med_str_of(title)};
    doc.sections = &section;
    doc.section_count = 1;
    doc.journal.title = med_str_of(journal);
    fixture_put(&l->f, &doc, 1);
}

static void put_work(struct library *l, const char *id, const char *pmid, const char *doi)
{
    struct med_doc doc = {.id = med_str_of(id),
        .title = MED_STR("carditis again"),
        .pmid = med_str_of(pmid),
        .doi = med_str_of(doi)};
    fixture_put(&l->f, &doc, 1);
}

static void remove_id(struct library *l, const char *id)
{
    struct med_batch *batch;
    enum med_put_outcome outcome;
    FIXTURE_OK(med_batch_begin(l->f.store, &batch, &ok_err));
    FIXTURE_OK(
        med_batch_delete(batch, med_str_of(id), (struct med_precedence){0}, &outcome, &ok_err));
    FIXTURE_OK(med_batch_commit(&batch, &ok_err));
}

static struct med_answer *search(struct library *l, const char *query)
{
    struct med_answer *answer;
    struct med_search_request request = MED_SEARCH_REQUEST_DEFAULT;
    request.query = med_str_of(query);
    request.mode = MED_MODE_LEXICAL;
    FIXTURE_OK(med_search(l->f.index, l->f.searcher, &request, l->queries, &answer, &ok_err));
    return answer;
}

/* Small works in segments of their own: joined by a bridge, told apart when it goes. */
static void works_follow_their_documents(void **state)
{
    (void)state;
    struct library l;
    struct med_update_report report;
    library_open(&l, seed_of_run());
    put_work(&l, "doc:b", "1", "");
    put_titled(&l, "doc:z", "something else", "Lancet");
    build(&l, true);
    put_work(&l, "doc:c", "", "10.1/c");
    update(&l, MED_UPDATE_MERGE_DUE, &report);
    assert_int_equal(search(&l, "carditis")->count, 2);
    put_work(&l, "doc:a", "1", "10.1/c"); /* the bridge, and now the first by id */
    update(&l, MED_UPDATE_MERGE_DUE, &report);
    const struct med_answer *answer = search(&l, "carditis");
    assert_int_equal(answer->count, 1);
    assert_int_equal(answer->results[0].also_count, 2);
    compare(&l);
    remove_id(&l, "doc:a");
    update(&l, MED_UPDATE_MERGE_DUE, &report);
    assert_int_equal(search(&l, "carditis")->count, 2);
    compare(&l);
    put_work(&l, "doc:c", "1", ""); /* an old document joins by itself */
    update(&l, MED_UPDATE_MERGE_DUE, &report);
    assert_int_equal(search(&l, "carditis")->count, 1);
    compare(&l);
    library_close(&l);
}

static void nothing_dead_is_offered(void **state)
{
    (void)state;
    struct library l;
    struct med_update_report report;
    library_open(&l, seed_of_run());
    put_titled(&l, "doc:a", "carditis carditis", "Lancet");
    put_titled(&l, "doc:b", "carditis hepatitis zebrafenib", "Annals of Zebras");
    put_titled(&l, "doc:c", "hepatitis neuroma", "Lancet");
    build(&l, true);
    remove_id(&l, "doc:b");
    update(&l, MED_UPDATE_MERGE_DUE, &report);
    assert_int_equal(report.changes.removed, 1);
    assert_int_equal(report.analysed, 0);
    assert_int_equal(report.segments, 1);
    assert_int_equal(search(&l, "zebrafenib")->count, 0);
    assert_int_equal(search(&l, "zebrafenip")->ranking->suggestion.len, 0);
    const struct med_ranking *r = search(&l, "\"Annals of Zebra\"[ta]")->ranking;
    assert_int_equal(r->notice_count, 1);
    assert_null(memmem(r->notices[0].ptr, r->notices[0].len, "Annals of Zebras", 16));
    r = search(&l, "\"Annals of Zebras\"[ta]")->ranking;
    assert_int_equal(r->total, 0);
    assert_int_equal(r->notice_count, 1); /* no document has it */
    compare(&l);
    library_close(&l);
}

/* The last document of a segment takes the segment with it; the last of all leaves an empty index
 * that fills again. */
static void a_library_may_become_empty(void **state)
{
    (void)state;
    struct library l;
    struct med_update_report report;
    library_open(&l, seed_of_run());
    put_titled(&l, "doc:a", "carditis of the heart", "Lancet");
    build(&l, true);
    put_titled(&l, "doc:b", "hepatitis of the liver", "Lancet");
    update(&l, MED_UPDATE_MERGE_DUE, &report);
    assert_int_equal(report.segments, 2);
    remove_id(&l, "doc:a");
    update(&l, MED_UPDATE_MERGE_DUE, &report);
    assert_int_equal(report.segments, 1);
    assert_int_equal(report.dead, 0);
    compare(&l);
    remove_id(&l, "doc:b");
    update(&l, MED_UPDATE_MERGE_DUE, &report);
    assert_true(report.published);
    assert_int_equal(report.segments, 0);
    assert_int_equal(search(&l, "hepatitis")->count, 0);
    assert_int_equal(search(&l, "hepatitis OR carditis")->ranking->total, 0);
    update(&l, MED_UPDATE_MERGE_DUE, &report);
    assert_false(report.published);
    put_titled(&l, "doc:a", "carditis once more", "Lancet");
    update(&l, MED_UPDATE_MERGE_DUE, &report);
    assert_int_equal(search(&l, "carditis")->count, 1);
    compare(&l);
    library_close(&l);
}

static void nothing_changed_publishes_nothing(void **state)
{
    (void)state;
    struct library l;
    struct med_update_report report;
    struct med_changes pending;
    struct med_snapshot *snapshot;
    library_open(&l, seed_of_run());
    begin_with_some(&l);
    build(&l, false);
    uint64_t number = med_index_manifest(l.f.index)->number;
    update(&l, MED_UPDATE_MERGE_DUE, &report);
    assert_false(report.published);
    assert_int_equal(report.generation, number);
    unsigned n = 0;
    while (!l.revisions[n]) n++;
    struct med_batch *batch;
    FIXTURE_OK(med_batch_begin(l.f.store, &batch, &ok_err));
    delete_doc(&l, batch, n);
    l.next_revision--; /* the same content again is no change */
    struct med_doc doc = random_doc(l.arena, l.seed, n + 2 * DOCS, 1, DOCS);
    enum med_put_outcome outcome;
    FIXTURE_OK(med_batch_put(batch, &doc, &outcome, &ok_err));
    FIXTURE_OK(med_batch_commit(&batch, &ok_err));
    FIXTURE_OK(med_snapshot_open(l.f.store, &snapshot, &ok_err));
    FIXTURE_OK(med_update_pending(l.f.index, snapshot, &pending, &ok_err));
    med_snapshot_close(&snapshot);
    assert_int_equal(pending.added, 1);
    assert_int_equal(pending.changed, 0);
    assert_int_equal(pending.removed, 1);
    update(&l, MED_UPDATE_MERGE_DUE, &report);
    assert_int_equal(report.generation, number + 1);
    assert_int_equal(report.analysed, 1);
    assert_memory_equal(&report.changes, &pending, 3 * sizeof pending.added);
    library_close(&l);
}

/* A generation like the current one but for what `change` does to its manifest. */
static void publish_changed(
    struct library *l, void (*change)(struct med_manifest *m, void *ctx), void *ctx)
{
    struct med_build_lock *lock;
    struct med_pin *pin;
    struct med_map patches[16], overlay, thesaurus;
    FIXTURE_OK(med_build_lock_take(l->f.data, &lock, &ok_err));
    FIXTURE_OK(med_generation_pin(l->f.data, 0, &pin, &ok_err));
    struct med_manifest m = *med_pin_manifest(pin);
    FIXTURE_OK(med_pin_map_overlay(pin, true, &overlay, &ok_err));
    FIXTURE_OK(med_pin_map_thesaurus(pin, true, &thesaurus, &ok_err));
    m.overlay_bytes = (struct med_str){(const char *)overlay.ptr, overlay.len};
    m.thesaurus_bytes = (struct med_str){(const char *)thesaurus.ptr, thesaurus.len};
    assert_true(m.segment_count <= 16);
    for (size_t i = 0; i < m.segment_count; i++) {
        FIXTURE_OK(med_pin_map_patch(pin, &m.segments[i], true, &patches[i], &ok_err));
        m.segments[i].patch_bytes = (struct med_str){(const char *)patches[i].ptr, patches[i].len};
    }
    change(&m, ctx);
    FIXTURE_OK(med_generation_publish(l->f.data, &m, NULL, &ok_err));
    for (size_t i = 0; i < m.segment_count; i++) med_map_close(&patches[i]);
    med_map_close(&overlay);
    med_map_close(&thesaurus);
    med_pin_release(&pin);
    med_build_lock_release(&lock);
}

static void forget_statements(struct med_manifest *m, void *ctx)
{
    (void)ctx;
    for (size_t i = 0; i < m->segment_count; i++) {
        struct med_segment_ref *s = &m->segments[i];
        for (size_t f = 0; f < s->file_count; f++)
            if (strcmp(s->files[f].name, "statements") == 0)
                s->files[f] = s->files[--s->file_count];
    }
}

static void segments_of_an_older_version_can_be_updated(void **state)
{
    (void)state;
    struct library l;
    struct med_update_report report;
    library_open(&l, seed_of_run() + 77);
    begin_with_some(&l);
    build(&l, false);
    publish_changed(&l, forget_statements, NULL);
    change_some(&l, 20);
    retract(&l);
    update(&l, MED_UPDATE_MERGE_DUE, &report);
    compare(&l);
    library_close(&l);
}

/* Takes one more from some term than its dead documents had; all checksums are right. */
static void take_too_much(struct med_manifest *m, void *ctx)
{
    struct med_str bytes = m->segments[0].patch_bytes;
    uint8_t *copy = ctx;
    assert_true(bytes.len > 0 && bytes.len < 65536);
    memcpy(copy, bytes.ptr, bytes.len);
    ((struct med_patch_term *)(void *)(copy + bytes.len))[-1].df++;
    m->segments[0].patch_bytes = (struct med_str){(const char *)copy, bytes.len};
}

static void check_recounts_what_the_dead_had(void **state)
{
    (void)state;
    struct library l;
    struct med_update_report report;
    struct med_err err = {0};
    static _Alignas(8) uint8_t copy[65536];
    library_open(&l, seed_of_run() + 78);
    begin_with_some(&l);
    build(&l, true);
    change_some(&l, 20);
    update(&l, MED_UPDATE_MERGE_DUE, &report);
    publish_changed(&l, take_too_much, copy);
    med_index_release(&l.f.index);
    FIXTURE_OK(med_index_open(l.f.data, l.f.store, 0, true, &l.f.index, &ok_err));
    assert_int_equal(med_index_check(l.f.index, NULL, &err), MED_E_CORRUPT);
    library_close(&l);
}

/* --- bytes that rot --- */

/* Flips a bit at a random place, or back at the place that was drawn. */
static void flip(struct library *l, const char *path, int bit, long *at, bool draw)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    if (draw) *at = (long)med_rng_below(&l->rng, (uint64_t)ftell(file));
    assert_int_equal(fseek(file, *at, SEEK_SET), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, *at, SEEK_SET), 0);
    assert_int_equal(fputc(byte ^ bit, file), byte ^ bit);
    assert_int_equal(fclose(file), 0);
}

/* Opened without checksums, as if these had been wrong too: an error or an answer, no crash. */
static void damaged_patches_and_statements_never_crash(void **state)
{
    (void)state;
    struct library l;
    struct med_update_report report;
    library_open(&l, seed_of_run() + 79);
    begin_with_some(&l);
    build(&l, false);
    change_some(&l, 30);
    update(&l, MED_UPDATE_MERGE_DUE, &report);
    med_index_release(&l.f.index);
    struct med_pin *pin;
    FIXTURE_OK(med_generation_pin(l.f.data, 0, &pin, &ok_err));
    const struct med_segment_ref *s = &med_pin_manifest(pin)->segments[0];
    const char *paths[] = {med_arena_printf(l.f.arena, "%s/generations/%llu/%s", l.f.dir,
                               (unsigned long long)report.generation, s->patch.name),
        med_arena_printf(l.f.arena, "%s/segments/%s/statements", l.f.dir, s->id)};
    for (int round = 0; round < 300; round++) {
        struct med_index *index = NULL;
        struct med_err err = {0};
        long at;
        int bit = 1 << med_rng_below(&l.rng, 8);
        flip(&l, paths[round % 2], bit, &at, true);
        enum med_code code = med_index_open(l.f.data, l.f.store, 0, true, &index, &err);
        assert_int_equal(code, MED_E_CORRUPT); /* with checksums it is always found */
        code = med_index_open(l.f.data, l.f.store, 0, false, &index, &err);
        if (!code) {
            l.f.index = index;
            (void)search(&l, "carditis neuroma");
            med_index_release(&l.f.index);
            med_arena_reset(l.queries);
        } else {
            assert_int_equal(code, MED_E_CORRUPT);
        }
        flip(&l, paths[round % 2], bit, &at, false);
    }
    med_pin_release(&pin);
    library_close(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(updates_equal_a_fresh_build),
        cmocka_unit_test(merging_changes_no_answer),
        cmocka_unit_test(works_follow_their_documents),
        cmocka_unit_test(nothing_dead_is_offered),
        cmocka_unit_test(a_library_may_become_empty),
        cmocka_unit_test(nothing_changed_publishes_nothing),
        cmocka_unit_test(segments_of_an_older_version_can_be_updated),
        cmocka_unit_test(check_recounts_what_the_dead_had),
        cmocka_unit_test(damaged_patches_and_statements_never_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

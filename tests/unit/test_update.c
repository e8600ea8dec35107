/* An update gives what a build would give. Random histories of a library are followed by updates;
 * after each, searches of every kind are compared with those of an index that was built afresh from
 * the same store with the same encoder and calibration. */
#include "index/terms.h"
#include "index/vocabularies.h"
#include "tests/unit/library_fixture.h"

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

static uint64_t documents_with(struct library *l, const char *heading)
{
    struct med_term *terms;
    size_t count;
    FIXTURE_OK(med_terms_find(
        l->f.index, l->f.searcher, med_str_of(heading), 1, l->queries, &terms, &count, &ok_err));
    assert_int_equal(count, 1);
    return terms[0].documents;
}

static void put_heading(struct library *l, const char *id, const char *heading)
{
    struct med_mesh mesh = {.descriptor = med_str_of(heading)};
    struct med_doc doc = {
        .id = med_str_of(id), .title = MED_STR("a title"), .mesh = &mesh, .mesh_count = 1};
    fixture_put(&l->f, &doc, 1);
}

static void headings_are_counted_anew(void **state)
{
    (void)state;
    struct library l;
    struct med_update_report report;
    struct med_vocabulary_report added;
    library_open(&l, seed_of_run());
    const char *path = med_arena_printf(l.f.arena, "%s/headings.tsv", l.fresh_dir);
    const char lines[] = "D1\tHeart Failure\tcardiac failure\nD2\tSepsis\t\n";
    FIXTURE_OK(med_fs_replace(med_fs_posix(), path, lines, sizeof lines - 1, &ok_err));
    FIXTURE_OK(med_vocabularies_add(l.f.data, path, &added, &ok_err));
    put_heading(&l, "doc:a", "Heart Failure");
    put_heading(&l, "doc:b", "Heart Failure");
    put_heading(&l, "doc:c", "Sepsis");
    build(&l, true);
    assert_int_equal(documents_with(&l, "cardiac failure"), 2);
    remove_id(&l, "doc:c");
    put_heading(&l, "doc:d", "Heart Failure");
    update(&l, MED_UPDATE_MERGE_DUE, &report);
    assert_int_equal(documents_with(&l, "cardiac failure"), 3);
    assert_int_equal(documents_with(&l, "Sepsis"), 0);
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
        cmocka_unit_test(works_follow_their_documents),
        cmocka_unit_test(nothing_dead_is_offered),
        cmocka_unit_test(headings_are_counted_anew),
        cmocka_unit_test(a_library_may_become_empty),
        cmocka_unit_test(nothing_changed_publishes_nothing),
        cmocka_unit_test(segments_of_an_older_version_can_be_updated),
        cmocka_unit_test(check_recounts_what_the_dead_had),
        cmocka_unit_test(damaged_patches_and_statements_never_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Merging segments changes no answer, and a build that takes over what has not changed has the
 * bytes of one that analyses everything. */
#include "tests/unit/library_fixture.h"

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

static struct med_build_report rebuild(struct library *l, bool full)
{
    struct med_build_options options = {
        .threads = 2, .full = full, .reference_date = REFERENCE_DATE, .keep = 2};
    struct med_build_report report;
    med_index_release(&l->f.index);
    FIXTURE_OK(med_build(l->f.data, l->f.store, &options, &report, &ok_err));
    FIXTURE_OK(med_index_open(l->f.data, l->f.store, 0, true, &l->f.index, &ok_err));
    return report;
}

/* One bit of the current generation's postings is not what was written. */
static void damage_postings(struct library *l)
{
    char path[MED_PATH_MAX], folder[MED_PATH_MAX];
    FIXTURE_OK(med_path_join(folder, l->f.dir, "segments", &ok_err));
    FIXTURE_OK(med_path_join(path, folder, l->f.index->segments[0]->ref->id, &ok_err));
    FIXTURE_OK(med_path_join(folder, path, "postings", &ok_err));
    FILE *file = fopen(folder, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, 200, SEEK_SET), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, 200, SEEK_SET), 0);
    assert_int_equal(fputc(byte ^ 1, file), byte ^ 1);
    fclose(file);
}

static void a_build_reuses_what_did_not_change(void **state)
{
    (void)state;
    struct library l;
    struct med_update_report report;
    library_open(&l, seed_of_run() + 2000);
    begin_with_some(&l);
    build(&l, false);
    change_some(&l, 10);
    update(&l, MED_UPDATE_MERGE_DUE, &report);
    change_some(&l, 10);
    struct med_build_report r = rebuild(&l, false);
    assert_true(r.merged && !r.encoder_trained && r.has_encoder);
    assert_true(r.analysed > 0 && r.analysed <= 10 && r.encoded >= r.analysed);
    assert_int_equal(r.analysed + r.reused, r.doc_count);
    build_fresh(&l);
    compare_segments(l.f.index, l.fresh);
    compare(&l);
    r = rebuild(&l, false); /* nothing to do, and published all the same */
    assert_true(r.merged && r.analysed == 0 && r.encoded == 0 && r.reused == r.doc_count);
    compare_segments(l.f.index, l.fresh);
    r = rebuild(&l, true);
    assert_true(!r.merged && r.analysed == r.doc_count && r.encoded == r.chunk_count);
    compare_segments(l.f.index, l.fresh);
    damage_postings(&l);
    change_some(&l, 10);
    r = rebuild(&l, false); /* begins with the documents, and is sound again */
    assert_true(!r.merged);
    compare(&l);
    library_close(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merging_changes_no_answer),
        cmocka_unit_test(a_build_reuses_what_did_not_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What keeps a generation from being published, with damage as it really happens: an index that
 * misses documents, one that has another version, an encoder that belongs to other vectors. */
#include "common/rng.h"
#include "index/build.h"
#include "index/internal.h"

#include "tests/support/support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define DOC_COUNT 300u

static const char *const words[] = {"metoprolol", "insulin", "adalimumab", "apixaban", "sertraline",
    "dapagliflozin", "amoxicillin", "levothyroxine", "salbutamol", "warfarin", "asthma",
    "myocardial", "pregnancy", "kidney", "delirium", "sepsis", "covid", "stroke", "bleeding",
    "mortality", "fracture", "cough", "rash"};
#define WORD_COUNT (sizeof words / sizeof *words)

struct fixture {
    char dir[MED_PATH_MAX];
    struct med_data *data;
    struct med_store *store;
    struct med_build_report report;
};

static void put(struct med_store *store, unsigned number, uint64_t seed, const char *more)
{
    struct med_batch *batch;
    enum med_put_outcome outcome;
    char title[200], body[600], id[40];
    struct med_rng rng;
    med_rng_seed(&rng, seed * 100000 + number);
    const char *w[6];
    for (int i = 0; i < 6; i++) w[i] = words[med_rng_below(&rng, WORD_COUNT)];
    snprintf(id, sizeof id, "doc:%u", number);
    snprintf(title, sizeof title, "%s and %s in %s, report %u", w[0], w[1], w[2], number);
    snprintf(body, sizeof body, "We saw %s with %s. Then %s came before %s and %s. %s %s", w[0],
        w[1], w[3], w[4], w[5], w[2], more);
    struct med_section section = {.kind = MED_SECTION_ABSTRACT, .body = med_str_of(body)};
    struct med_doc doc = {.id = med_str_of(id),
        .source_id = med_str_sub(med_str_of(id), 4, strlen(id)),
        .source = MED_SOURCE_OTHER,
        .title = med_str_of(title),
        .sections = &section,
        .section_count = 1};
    assert_int_equal(med_batch_begin(store, &batch, NULL), MED_OK);
    assert_int_equal(med_batch_put(batch, &doc, &outcome, NULL), MED_OK);
    assert_int_equal(med_batch_commit(&batch, NULL), MED_OK);
}

static enum med_code build(struct fixture *f, bool retrain, struct med_err *err)
{
    struct med_build_options options = {.seed = 1,
        .threads = 1,
        .dim = 32,
        .retrain = retrain,
        .gate_overlap = MED_GATE_OVERLAP_MIN};
    return med_build(f->data, f->store, &options, &f->report, err);
}

static void open_fixture(struct fixture *f, uint64_t seed)
{
    char docs[MED_PATH_MAX];
    struct med_err err = {0};
    med_test_temp_new(f->dir);
    assert_int_equal(med_data_open(f->dir, true, NULL, &f->data, NULL), MED_OK);
    assert_int_equal(med_path_join(docs, f->dir, "docs", NULL), MED_OK);
    assert_int_equal(med_store_open(docs, MED_STORE_READ_WRITE, &f->store, NULL), MED_OK);
    for (unsigned i = 0; i < DOC_COUNT; i++) put(f->store, i, seed, "");
    if (build(f, false, &err)) fail_msg("%s", err.text);
}

static void close_fixture(struct fixture *f)
{
    med_store_close(&f->store);
    med_data_close(&f->data);
    med_test_temp_remove(f->dir);
}

/* Publishes `manifest` anew, as it is, through the gate. */
static enum med_code publish(
    struct fixture *f, const struct med_manifest *manifest, struct med_err *err)
{
    struct med_manifest m = *manifest;
    struct med_gate gate = {
        .data = f->data, .store = f->store, .overlap_min = MED_GATE_OVERLAP_MIN};
    struct med_build_lock *lock;
    assert_int_equal(med_build_lock_take(f->data, &lock, err), MED_OK);
    assert_int_equal(med_snapshot_open(f->store, &gate.snapshot, err), MED_OK);
    enum med_code code =
        med_generation_publish_checked(f->data, &m, med_gate_check, &gate, NULL, err);
    med_snapshot_close(&gate.snapshot);
    med_build_lock_release(&lock);
    return code;
}

static void assert_kept_back(
    struct fixture *f, const struct med_manifest *manifest, const char *check, const char *reason)
{
    struct med_err err = {0};
    uint64_t current, before;
    char path[MED_PATH_MAX + 40];
    assert_int_equal(med_generation_current(f->data, &before, NULL), MED_OK);
    assert_int_equal(publish(f, manifest, &err), MED_E_GATE);
    assert_int_equal(err.code, MED_E_GATE);
    if (!strstr(err.text, check) || !strstr(err.text, reason)) fail_msg("%s", err.text);
    assert_int_equal(med_generation_current(f->data, &current, NULL), MED_OK);
    assert_int_equal(current, before);
    snprintf(path, sizeof path, "%s/generations/%llu", f->dir, (unsigned long long)before + 1);
    assert_false(med_path_exists(path));
}

static void an_ordinary_build_passes_and_is_compared(void **state)
{
    struct fixture f;
    struct med_err err = {0};
    (void)state;
    open_fixture(&f, 1);
    assert_false(f.report.gate.compared);
    for (unsigned i = 0; i < 40; i++) put(f.store, DOC_COUNT + i, 1, "");
    if (build(&f, false, &err)) fail_msg("%s", err.text);
    assert_true(f.report.gate.compared);
    assert_true(f.report.gate.canary.queries >= 40);
    assert_true(f.report.gate.canary.overlap > .7);
    assert_int_equal(f.report.gate.recall_at_10, 1);
    if (build(&f, true, &err)) fail_msg("with a new encoder: %s", err.text);
    assert_true(f.report.gate.compared);
    close_fixture(&f);
}

static void an_index_that_misses_a_document_is_kept_back(void **state)
{
    struct fixture f;
    struct med_pin *pin;
    (void)state;
    open_fixture(&f, 1);
    assert_int_equal(med_generation_pin(f.data, 0, &pin, NULL), MED_OK);
    put(f.store, DOC_COUNT, 1, "");
    assert_kept_back(&f, med_pin_manifest(pin), "counts",
        "the docstore has 301 documents, the new index has 300");
    med_pin_release(&pin);
    close_fixture(&f);
}

static void an_index_of_an_older_version_is_kept_back(void **state)
{
    struct fixture f;
    struct med_pin *pin;
    (void)state;
    open_fixture(&f, 1);
    assert_int_equal(med_generation_pin(f.data, 0, &pin, NULL), MED_OK);
    put(f.store, 17, 1, "It was withdrawn later.");
    assert_kept_back(&f, med_pin_manifest(pin), "documents", "version 2 of doc:17");
    med_pin_release(&pin);
    close_fixture(&f);
}

/* Every checksum is right, every count is right, and every answer would be wrong. */
static void an_encoder_of_other_vectors_is_kept_back(void **state)
{
    struct fixture f, other;
    struct med_pin *pin, *foreign;
    struct med_map map;
    struct med_file_ref file = {0};
    struct med_file *out;
    char dir[MED_PATH_MAX], path[MED_PATH_MAX];
    (void)state;
    open_fixture(&f, 1);
    open_fixture(&other, 2);
    assert_int_equal(med_generation_pin(f.data, 0, &pin, NULL), MED_OK);
    assert_int_equal(med_generation_pin(other.data, 0, &foreign, NULL), MED_OK);
    struct med_manifest m = *med_pin_manifest(pin);
    memcpy(m.encoder_id, med_pin_manifest(foreign)->encoder_id, sizeof m.encoder_id);
    assert_int_equal(med_data_new_encoder(f.data, m.encoder_id, dir, NULL), MED_OK);
    assert_int_equal(med_path_join(path, dir, MED_ENCODER_FILE, NULL), MED_OK);
    assert_int_equal(med_pin_map(foreign, NULL, MED_ENCODER_FILE, true, &map, NULL), MED_OK);
    assert_int_equal(med_file_create(med_fs_posix(), path, &out, NULL), MED_OK);
    assert_int_equal(med_file_append(out, map.ptr, map.len, NULL), MED_OK);
    assert_int_equal(med_file_finish(&out, &file.size, &file.hash, NULL), MED_OK);
    med_map_close(&map);
    snprintf(file.name, sizeof file.name, "%s", MED_ENCODER_FILE);
    m.encoder_files = &file;
    m.fusion_weight = 1;
    assert_kept_back(&f, &m, "canary queries", "first results are found again");
    med_pin_release(&pin);
    med_pin_release(&foreign);
    close_fixture(&f);
    close_fixture(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ordinary_build_passes_and_is_compared),
        cmocka_unit_test(an_index_that_misses_a_document_is_kept_back),
        cmocka_unit_test(an_index_of_an_older_version_is_kept_back),
        cmocka_unit_test(an_encoder_of_other_vectors_is_kept_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

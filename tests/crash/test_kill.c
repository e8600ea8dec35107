/* SIGKILL at any moment: what was acknowledged is there, what was half done is not. */
#include "common/limits.h"
#include "index/store/store.h"
#include "tests/crash/crash.h"
#include "tests/support/generations.h"

#include <dirent.h>
#include <setjmp.h>

#include <cmocka.h>

#define BATCH_DOCS 40

struct folder {
    char dir[MED_PATH_MAX];
    uint64_t done; /* batches, or published contents, that are there before a round */
};

/* --- ingest --- */

static void put_numbered(struct med_batch *batch, const char *id, uint64_t title)
{
    char text[32];
    enum med_put_outcome outcome;
    snprintf(text, sizeof text, "%llu", (unsigned long long)title);
    struct med_section section = {
        .body = MED_STR("Patients were randomly assigned to treatment or placebo.")};
    struct med_doc doc = {
        .id = med_str_of(id), .title = med_str_of(text), .sections = &section, .section_count = 1};
    OK(med_batch_put(batch, &doc, &outcome, &crash_err));
}

/* Batch n adds documents and sets the one counter to n, so that half a batch would show. */
static void ingest_on(void *ctx, int pipe)
{
    struct folder *f = ctx;
    struct med_store *store;
    OK(med_store_open(f->dir, MED_STORE_READ_WRITE, &store, &crash_err));
    for (uint64_t n = f->done + 1;; n++) {
        struct med_batch *batch;
        OK(med_batch_begin(store, &batch, &crash_err));
        for (uint64_t i = 0; i < BATCH_DOCS; i++) {
            char id[32];
            snprintf(id, sizeof id, "doc:%08llu", (unsigned long long)(n * BATCH_DOCS + i));
            put_numbered(batch, id, n);
        }
        put_numbered(batch, "doc:counter", n);
        OK(med_batch_commit(&batch, &crash_err));
        crash_acknowledge(pipe, n);
    }
}

static uint64_t counter_of(struct med_snapshot *snapshot, struct med_arena *arena)
{
    struct med_doc *doc;
    unsigned long long n = 0;
    enum med_code code =
        med_snapshot_get(snapshot, MED_STR("doc:counter"), arena, &doc, &crash_err);
    if (code == MED_E_NOT_FOUND) return 0;
    OK(code);
    CHECK(med_str_to_u64(doc->title, &n), "not a number");
    return n;
}

/* Reopens, checks everything, and returns the number of batches that are there. */
static uint64_t batches_there(const char *dir, bool whole)
{
    struct med_store *store;
    struct med_snapshot *snapshot;
    struct med_arena *arena;
    uint64_t problems;
    OK(med_arena_new(64 * MED_MIB, &arena, &crash_err));
    OK(med_store_open(dir, MED_STORE_READ_WRITE, &store, &crash_err));
    OK(med_snapshot_open(store, &snapshot, &crash_err));
    uint64_t n = counter_of(snapshot, arena);
    CHECK(
        med_snapshot_doc_count(snapshot) == (n ? n * BATCH_DOCS + 1 : 0), "half a batch is there");
    if (whole) {
        OK(med_snapshot_check(snapshot, NULL, &problems, &crash_err));
    }
    for (uint64_t i = 0; i < BATCH_DOCS && n > 0; i++) {
        struct med_doc *doc;
        const char *id =
            med_arena_printf(arena, "doc:%08llu", (unsigned long long)(n * BATCH_DOCS + i));
        OK(med_snapshot_get(snapshot, med_str_of(id), arena, &doc, &crash_err));
    }
    med_snapshot_close(&snapshot);
    med_store_close(&store);
    med_arena_free(&arena);
    return n;
}

static void acknowledged_batches_survive_a_kill(void **state)
{
    (void)state;
    struct folder f = {.done = 0};
    struct med_rng rng;
    med_rng_seed(&rng, med_test_seed());
    med_test_temp_new(f.dir);
    int rounds = crash_rounds(50, 500);
    for (int round = 0; round < rounds; round++) {
        uint64_t acknowledged = crash_kill_while(ingest_on, &f, &rng, 60000);
        uint64_t least = acknowledged > f.done ? acknowledged : f.done;
        uint64_t there = batches_there(f.dir, round % (rounds / 10) == 0 || round == rounds - 1);
        /* One more may have been committed and not yet told. */
        CHECK(there == least || there == least + 1, "%llu batches acknowledged, %llu there",
            (unsigned long long)least, (unsigned long long)there);
        f.done = there;
    }
    printf("%llu batches in %d lives\n", (unsigned long long)f.done, rounds);
    med_test_temp_remove(f.dir);
}

/* --- publishing --- */

static void publish_on(void *ctx, int pipe)
{
    struct folder *f = ctx;
    struct med_data *data;
    OK(med_data_open(f->dir, true, NULL, &data, &crash_err));
    for (uint64_t content = f->done + 1;; content++) {
        struct med_build_lock *lock;
        struct test_generation g;
        uint64_t removed;
        OK(med_build_lock_take(data, &lock, &crash_err));
        OK(test_generation_publish(data, content, &g, &crash_err));
        crash_acknowledge(pipe, content);
        OK(med_generation_prune(data, 2, &removed, &crash_err));
        med_build_lock_release(&lock);
    }
}

static uint64_t content_there(struct med_data *data)
{
    struct med_pin *pin;
    enum med_code code = med_generation_pin(data, 0, &pin, &crash_err);
    if (code == MED_E_NO_INDEX) return 0;
    OK(code);
    OK(med_manifest_verify(data, med_pin_manifest(pin), NULL, &crash_err));
    uint64_t content = test_generation_content(pin, &crash_err);
    CHECK(content > 0, "the files are not those that were published");
    med_pin_release(&pin);
    return content;
}

static size_t entries_of(const char *dir, const char *name)
{
    char path[MED_PATH_MAX];
    size_t count = 0;
    OK(med_path_join(path, dir, name, &crash_err));
    DIR *folder = opendir(path);
    if (!folder) return 0;
    while (readdir(folder)) count++;
    closedir(folder);
    return count - 2; /* "." and ".." */
}

static void the_published_generation_survives_a_kill(void **state)
{
    (void)state;
    struct folder f = {.done = 0};
    struct med_rng rng;
    med_rng_seed(&rng, med_test_seed());
    med_test_temp_new(f.dir);
    int rounds = crash_rounds(50, 500);
    for (int round = 0; round < rounds; round++) {
        uint64_t acknowledged = crash_kill_while(publish_on, &f, &rng, 40000);
        uint64_t least = acknowledged > f.done ? acknowledged : f.done;
        struct med_data *data;
        struct med_build_lock *lock;
        OK(med_data_open(f.dir, true, NULL, &data, &crash_err));
        uint64_t there = content_there(data);
        CHECK(there == least || there == least + 1, "%llu acknowledged, %llu there",
            (unsigned long long)least, (unsigned long long)there);
        OK(med_build_lock_take(data, &lock, &crash_err)); /* sweeps */
        CHECK(content_there(data) == there, "sweeping changed what is served");
        med_build_lock_release(&lock);
        CHECK(entries_of(f.dir, "segments") <= entries_of(f.dir, "generations"), "leavings stay");
        med_data_close(&data);
        f.done = there;
    }
    printf("%llu generations in %d lives\n", (unsigned long long)f.done, rounds);
    med_test_temp_remove(f.dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acknowledged_batches_survive_a_kill),
        cmocka_unit_test(the_published_generation_survives_a_kill),
    };
    crash_prefer_memory();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The docstore on a full disk: a clear error, nothing lost, readers go on, and a retry works once
 * there is space. Once with a limit on the size of files, which needs no privileges, and once with
 * a real small disk where one may be made. */
#include "common/limits.h"
#include "index/store/store.h"
#include "tests/crash/crash.h"

#include <sched.h>
#include <setjmp.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <cmocka.h>

#define BATCH_DOCS 20
#define BODY_BYTES 4000

static char dir[MED_PATH_MAX]; /* of the running test, in the child */

static enum med_code put_batch(struct med_store *store, uint64_t n)
{
    struct med_batch *batch;
    struct med_rng rng;
    enum med_code code = med_batch_begin(store, &batch, &crash_err);
    if (code != MED_OK) return code;
    med_rng_seed(&rng, n);
    for (uint64_t i = 0; code == MED_OK && i < BATCH_DOCS; i++) {
        char id[32], body[BODY_BYTES];
        enum med_put_outcome outcome;
        snprintf(id, sizeof id, "doc:%08llu", (unsigned long long)(n * BATCH_DOCS + i));
        for (size_t k = 0; k < sizeof body; k++) body[k] = (char)('a' + med_rng_below(&rng, 26));
        struct med_section section = {.body = {.ptr = body, .len = sizeof body}};
        struct med_doc doc = {.id = med_str_of(id),
            .title = MED_STR("title"),
            .sections = &section,
            .section_count = 1};
        code = med_batch_put(batch, &doc, &outcome, &crash_err);
    }
    if (code == MED_OK) return med_batch_commit(&batch, &crash_err);
    med_batch_abort(&batch);
    return code;
}

static void check_store(struct med_store *store, uint64_t batches)
{
    struct med_snapshot *snapshot;
    uint64_t problems;
    OK(med_snapshot_open(store, &snapshot, &crash_err));
    CHECK(med_snapshot_doc_count(snapshot) == batches * BATCH_DOCS,
        "%llu documents instead of %llu", (unsigned long long)med_snapshot_doc_count(snapshot),
        (unsigned long long)(batches * BATCH_DOCS));
    OK(med_snapshot_check(snapshot, NULL, &problems, &crash_err));
    med_snapshot_close(&snapshot);
}

/* Puts batches until the disk is full; returns how many there are. */
static uint64_t fill(struct med_store *store, uint64_t from)
{
    for (uint64_t n = from;; n++) {
        CHECK(n < 10000, "the disk never gets full");
        enum med_code code = put_batch(store, n);
        if (code == MED_OK) continue;
        CHECK(code == MED_E_NO_SPACE, "%s: %s", med_code_name(code), crash_err.text);
        CHECK(strstr(crash_err.text, "nothing stored before is lost"), "%s", crash_err.text);
        return n;
    }
}

static void limit_file_size(rlim_t bytes)
{
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0, "%s", strerror(errno));
    limit.rlim_cur = bytes;
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0, "%s", strerror(errno));
}

static void with_file_size_limit(void *ctx)
{
    (void)ctx;
    struct med_store *store;
    signal(SIGXFSZ, SIG_IGN);
    OK(med_store_open(dir, MED_STORE_READ_WRITE, &store, &crash_err));
    uint64_t batches = 0;
    for (rlim_t mib = 2; mib <= 6; mib += 2) {
        limit_file_size(mib * MED_MIB + mib * 1000); /* not on a page's boundary */
        batches = fill(store, batches);
        CHECK(batches > 0, "nothing fits");
        CHECK(
            put_batch(store, batches) == MED_E_NO_SPACE, "%s", crash_err.text); /* again the same */
        check_store(store, batches);
        med_store_close(&store); /* opening needs no space */
        OK(med_store_open(dir, MED_STORE_READ_WRITE, &store, &crash_err));
        check_store(store, batches);
    }
    limit_file_size(RLIM_INFINITY);
    OK(put_batch(store, batches));
    check_store(store, batches + 1);
    med_store_close(&store);
}

static void a_file_size_limit_loses_nothing(void **state)
{
    (void)state;
    med_test_temp_new(dir);
    assert_int_equal(crash_in_child(with_file_size_limit, NULL), 0);
    med_test_temp_remove(dir);
}

static void write_ballast(const char *path, size_t bytes)
{
    FILE *file = fopen(path, "w");
    CHECK(file, "%s", strerror(errno));
    for (size_t i = 0; i < bytes; i++) fputc('x', file);
    CHECK(fclose(file) == 0, "%s", strerror(errno));
}

static void on_a_small_disk(void *ctx)
{
    (void)ctx;
    struct med_store *store, *reader;
    char ballast[MED_PATH_MAX], docs[MED_PATH_MAX];
    if (unshare(geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) != 0) _exit(CRASH_SKIP);
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) _exit(CRASH_SKIP);
    if (mount("tmpfs", dir, "tmpfs", 0, "size=8m") != 0) _exit(CRASH_SKIP);
    OK(med_path_join(ballast, dir, "ballast", &crash_err));
    OK(med_path_join(docs, dir, "docs", &crash_err));
    write_ballast(ballast, 3 * MED_MIB);
    OK(med_store_open(docs, MED_STORE_READ_WRITE, &store, &crash_err));
    uint64_t batches = fill(store, 0);
    check_store(store, batches);
    med_store_close(&store);
    OK(med_store_open(
        docs, MED_STORE_READ_ONLY, &reader, &crash_err)); /* a new reader on the full disk */
    check_store(reader, batches);
    med_store_close(&reader);
    CHECK(unlink(ballast) == 0, "%s", strerror(errno));
    OK(med_store_open(docs, MED_STORE_READ_WRITE, &store, &crash_err));
    OK(put_batch(store, batches));
    check_store(store, batches + 1);
    CHECK(fill(store, batches + 1) > batches + 1, "the space that came back is not used");
    med_store_close(&store);
}

static void a_full_disk_loses_nothing(void **state)
{
    (void)state;
    med_test_temp_new(dir);
    int status = crash_in_child(on_a_small_disk, NULL);
    med_test_temp_remove(dir);
    if (status == CRASH_SKIP) {
        printf("no small disk can be mounted here\n");
        skip();
    }
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_size_limit_loses_nothing),
        cmocka_unit_test(a_full_disk_loses_nothing),
    };
    crash_prefer_memory();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

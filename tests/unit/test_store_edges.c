/* The docstore's edges: opening, sharing, replicas, growth of the map, damage, lack of memory. */
#include "common/rng.h"
#include "tests/unit/store_fixture.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- opening --- */

static void a_folder_is_open_once_in_a_process(void **state)
{
    struct fixture *f = *state;
    struct med_store *second, *reader;
    OK(med_store_open(f->dir, MED_STORE_READ_WRITE, &second, &err));
    assert_ptr_equal(second->env, f->store->env);
    OK(med_store_open(f->dir, MED_STORE_READ_ONLY, &reader, &err));
    assert_ptr_equal(reader->env, f->store->env);
    struct med_batch *batch;
    assert_int_equal(med_batch_begin(reader, &batch, &err), MED_E_PERMISSION);
    med_store_close(&f->store);
    med_store_close(&reader);
    struct fixture g = {.store = second, .arena = f->arena};
    struct med_doc doc = document("doc:a", "a");
    assert_int_equal(put(&g, &doc), MED_PUT_ADDED);
    med_store_close(&second);
    OK(med_store_open(f->dir, MED_STORE_READ_ONLY, &f->store, &err));
    assert_int_equal(med_store_open(f->dir, MED_STORE_READ_WRITE, &second, &err), MED_E_CONFLICT);
    assert_title(f, "doc:a", "a");
}

static void the_lock_file_is_allocated(void **state)
{
    struct fixture *f = *state;
    char path[MED_PATH_MAX];
    struct stat st;
    OK(med_path_join(path, f->dir, "lock.mdb", &err));
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size > 0 && (off_t)st.st_blocks * 512 >= st.st_size);
}

static void reading_an_absent_store_says_so(void **state)
{
    struct fixture *f = *state;
    char path[MED_PATH_MAX];
    struct med_store *store;
    OK(med_path_join(path, f->dir, "nothing", &err));
    assert_int_equal(med_store_open(path, MED_STORE_READ_ONLY, &store, &err), MED_E_NOT_FOUND);
    assert_false(med_path_exists(path));
}

/* As another user, who may read the folder but not write there. */
static void a_replica_reads_a_read_only_folder_without_locks(void **state)
{
    struct fixture *f = *state;
    struct med_doc doc = document("doc:a", "a");
    put(f, &doc);
    char path[MED_PATH_MAX];
    med_store_close(&f->store);
    OK(med_path_join(path, f->dir, "lock.mdb", &err));
    assert_int_equal(unlink(path), 0);
    OK(med_path_join(path, f->dir, "data.mdb", &err));
    assert_int_equal(chmod(path, 0444), 0);
    assert_int_equal(chmod(f->dir, 0555), 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) _exit(0);
        if (med_store_open(f->dir, MED_STORE_READ_ONLY, &f->store, &err) != MED_OK) _exit(1);
        struct med_snapshot *snapshot;
        struct med_doc *back;
        if (med_snapshot_open(f->store, &snapshot, &err) != MED_OK) _exit(2);
        if (med_snapshot_get(snapshot, doc.id, f->arena, &back, &err) != MED_OK) _exit(3);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(chmod(f->dir, 0755), 0);
    assert_int_equal(chmod(path, 0640), 0);
}

/* --- the map --- */

static void the_map_grows_between_batches(void **state)
{
    struct fixture *f = *state;
    med_store_close(&f->store);
    OK(store_open_sized(f->dir, MED_STORE_READ_WRITE, 2 * MED_MIB, MED_MIB, &f->store, &err));
    uint64_t before = med_env_map_bytes(f->store->env);
    for (int i = 0; i < 40; i++) put_many(f, i * 200, (i + 1) * 200);
    assert_true(med_env_map_bytes(f->store->env) > before);
    assert_int_equal(doc_count(f), 8000);
    assert_sound(f);
}

static void a_map_that_cannot_grow_is_an_error_and_loses_nothing(void **state)
{
    struct fixture *f = *state;
    med_store_close(&f->store);
    /* Without the room that keeps this from happening. */
    OK(store_open_sized(f->dir, MED_STORE_READ_WRITE, MED_MIB, 0, &f->store, &err));
    struct med_doc small = document("doc:a", "a");
    put(f, &small);
    struct med_section section = {.body = {.ptr = med_malloc(4 * MED_MIB), .len = 4 * MED_MIB}};
    struct med_rng rng;
    med_rng_seed(&rng, 1);
    for (size_t i = 0; i < section.body.len; i++)
        ((char *)section.body.ptr)[i] = (char)med_rng_u64(&rng);
    struct med_doc big = document("doc:big", "big");
    big.sections = &section;
    big.section_count = 1;
    struct med_batch *batch;
    enum med_put_outcome outcome;
    OK(med_batch_begin(f->store, &batch, &err));
    assert_int_equal(med_batch_put(batch, &big, &outcome, &err), MED_E_NO_SPACE);
    assert_int_equal(med_batch_put(batch, &small, &outcome, &err), MED_E_NO_SPACE); /* poisoned */
    assert_int_equal(med_batch_commit(&batch, &err), MED_E_NO_SPACE);
    assert_title(f, "doc:a", "a");
    med_store_close(&f->store);
    OK(store_open_sized(f->dir, MED_STORE_READ_WRITE, MED_MIB, 16 * MED_MIB, &f->store, &err));
    assert_int_equal(put(f, &big), MED_PUT_ADDED);
    assert_sound(f);
    med_free((void *)section.body.ptr);
}

static void a_map_grown_by_another_process_is_adopted(void **state)
{
    struct fixture *f = *state;
    med_store_close(&f->store);
    OK(store_open_sized(f->dir, MED_STORE_READ_WRITE, MED_MIB, 0, &f->store, &err));
    pid_t pid = fork();
    if (pid == 0) { /* its own environment: what it inherited is not touched */
        struct fixture g = *f;
        if (med_store_open(f->dir, MED_STORE_READ_WRITE, &g.store, &err) != MED_OK) _exit(1);
        put_many(&g, 0, 8000);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(doc_count(f), 8000);
    struct med_doc doc = document("doc:a", "a");
    assert_int_equal(put(f, &doc), MED_PUT_ADDED);
    assert_sound(f);
}

/* With a part of it taken, batches go on as long as the map has room. */
static void a_limit_on_address_space_is_lived_with(void **state)
{
    struct fixture *f = *state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* their shadow memory is larger than any sensible limit */
#endif
    med_store_close(&f->store);
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit limit = {.rlim_cur = 1 * MED_GIB, .rlim_max = 1 * MED_GIB};
        if (setrlimit(RLIMIT_AS, &limit) != 0) _exit(1);
        if (med_store_open(f->dir, MED_STORE_READ_WRITE, &f->store, &err) != MED_OK) _exit(2);
        for (int i = 0; i < 10; i++) put_many(f, i * 1000, (i + 1) * 1000);
        assert_sound(f);
        if (med_env_map_bytes(f->store->env) > MED_GIB / 2) _exit(3);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    OK(med_store_open(f->dir, MED_STORE_READ_WRITE, &f->store, &err));
    assert_int_equal(doc_count(f), 10000);
}

/* --- damage --- */

static void with_value(struct fixture *f, enum store_table table, struct med_str key, size_t flip)
{
    struct med_txn *txn;
    struct med_str value;
    char copy[4096];
    OK(med_txn_begin(f->store->env, true, &txn, &err));
    OK(med_txn_get(txn, table, key, &value, &err));
    assert_true(value.len <= sizeof copy);
    memcpy(copy, value.ptr, value.len);
    copy[flip / 8 % value.len] ^= (char)(1 << flip % 8);
    OK(med_txn_put(txn, table, key, (struct med_str){.ptr = copy, .len = value.len}, &err));
    OK(med_txn_commit(&txn, &err));
}

static void every_flipped_bit_of_a_record_is_noticed(void **state)
{
    struct fixture *f = *state;
    struct med_doc doc = document(
                       "doc:a", "A title that is long enough to be worth compressing, compressing"),
                   *back;
    put(f, &doc);
    char key_bytes[MED_VERSION_KEY_BYTES_MAX];
    struct med_str key = med_version_key(key_bytes, doc.id, 1);
    struct med_txn *txn;
    struct med_str value;
    OK(med_txn_begin(f->store->env, false, &txn, &err));
    OK(med_txn_get(txn, TABLE_VERSIONS, key, &value, &err));
    size_t bits = value.len * 8;
    med_txn_abort(&txn);
    for (size_t bit = 0; bit < bits; bit++) {
        with_value(f, TABLE_VERSIONS, key, bit);
        med_arena_reset(f->arena);
        enum med_code code = get(f, "doc:a", &back);
        /* A flip that changes nothing that is read (zstd's unused bits) still gives the right text.
         */
        if (code == MED_OK)
            assert_true(med_str_eq(back->title, doc.title));
        else
            assert_int_equal(code, MED_E_CORRUPT);
        with_value(f, TABLE_VERSIONS, key, bit);
    }
    assert_title(f, "doc:a", "A title that is long enough to be worth compressing, compressing");
}

static void check_finds_what_disagrees(void **state)
{
    struct fixture *f = *state;
    struct med_doc doc = document("doc:a", "a");
    doc.doi = MED_STR("10.1/a");
    put(f, &doc);
    struct med_txn *txn;
    OK(med_txn_begin(f->store->env, true, &txn, &err));
    OK(med_txn_put(txn, TABLE_ALIASES, MED_STR("doi:10.1/b"), MED_STR("doc:a"), &err));
    OK(med_txn_put(txn, TABLE_VERSIONS, MED_STR("doc:b\0\0\0\0\1"), MED_STR("nonsense"), &err));
    OK(med_txn_commit(&txn, &err));
    struct med_snapshot *snapshot = snapshot_of(f);
    uint64_t problems;
    assert_int_equal(med_snapshot_check(snapshot, NULL, &problems, &err), MED_E_CORRUPT);
    assert_int_equal(problems, 2);
    med_snapshot_close(&snapshot);
    with_value(f, TABLE_HEADS, MED_STR("doc:a"), 30 * 8); /* in the hash */
    struct med_doc *back;
    assert_int_equal(get(f, "doc:a", &back), MED_E_CORRUPT);
}

static void a_cut_off_or_foreign_file_is_refused(void **state)
{
    struct fixture *f = *state;
    char path[MED_PATH_MAX];
    for (int i = 0; i < 5; i++) put_many(f, i * 4000, (i + 1) * 4000);
    med_store_close(&f->store);
    OK(med_path_join(path, f->dir, "data.mdb", &err));
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(truncate(path, st.st_size / 2), 0);
    assert_int_equal(med_store_open(f->dir, MED_STORE_READ_WRITE, &f->store, &err), MED_E_CORRUPT);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < 100000; i++) fputc('x', file);
    fclose(file);
    assert_int_equal(med_store_open(f->dir, MED_STORE_READ_ONLY, &f->store, &err), MED_E_CORRUPT);
}

static void a_newer_format_is_refused(void **state)
{
    struct fixture *f = *state;
    struct med_txn *txn;
    struct med_str value;
    char copy[64];
    OK(med_txn_begin(f->store->env, true, &txn, &err));
    OK(med_txn_get(txn, TABLE_META, MED_STR("state"), &value, &err));
    size_t len = value.len;
    memcpy(copy, value.ptr, len);
    copy[0] = MED_STORE_FORMAT + 1;
    OK(med_txn_put(
        txn, TABLE_META, MED_STR("state"), (struct med_str){.ptr = copy, .len = len}, &err));
    OK(med_txn_commit(&txn, &err));
    med_store_close(&f->store);
    assert_int_equal(
        med_store_open(f->dir, MED_STORE_READ_WRITE, &f->store, &err), MED_E_UNSUPPORTED);
}

static void memory_that_runs_out_loses_nothing(void **state)
{
    struct fixture *f = *state;
    struct med_doc before = document("doc:before", "x"), doc = document("doc:a", "a");
    doc.doi = MED_STR("10.1/a");
    put(f, &before);
    for (uint64_t n = 1;; n++) {
        struct med_batch *batch = NULL;
        enum med_put_outcome outcome;
        med_mem_fail_after(n);
        enum med_code code = med_batch_begin(f->store, &batch, &err);
        if (code == MED_OK) code = med_batch_put(batch, &doc, &outcome, &err);
        if (code == MED_OK) code = med_batch_commit(&batch, &err);
        med_mem_fail_after(0);
        med_batch_abort(&batch);
        if (code == MED_OK) break;
        assert_int_equal(code, MED_E_NOMEM);
        assert_int_equal(doc_count(f), 1);
    }
    assert_int_equal(doc_count(f), 2);
    assert_sound(f);
}

/* --- writing anew --- */

/* True when the bytes are somewhere in the folder's data file. */
static bool on_disk(const struct fixture *f, struct med_str bytes)
{
    char path[MED_PATH_MAX];
    struct med_map map;
    OK(med_path_join(path, f->dir, "data.mdb", &err));
    OK(med_map_open(path, &map, &err));
    bool found = memmem(map.ptr, map.len, bytes.ptr, bytes.len) != NULL;
    med_map_close(&map);
    return found;
}

/* The stored bytes under a key, in the arena. */
static struct med_str stored(struct fixture *f, enum store_table table, struct med_str key)
{
    struct med_txn *txn;
    struct med_str bytes, copy;
    OK(med_txn_begin(f->store->env, false, &txn, &err));
    OK(med_txn_get(txn, table, key, &bytes, &err));
    assert_true(med_arena_str(f->arena, bytes, &copy));
    med_txn_abort(&txn);
    return copy;
}

static void writing_anew_leaves_nothing_of_what_was_purged(void **state)
{
    struct fixture *f = *state;
    struct med_doc secret = document("doc:secret", "A diary of an unnamed patient from Nowhere");
    struct med_section section = {.kind = MED_SECTION_ABSTRACT,
        .body = MED_STR("Every word of this diary was meant for nobody but its writer.")};
    char key[MED_VERSION_KEY_BYTES_MAX], dict_key[4];
    secret.sections = &section;
    secret.section_count = 1;
    put(f, &secret);
    for (int i = 0; i < 2100; i++) {
        struct med_doc doc = document(med_arena_printf(f->arena, "doc:%d", i),
            med_arena_printf(f->arena, "Title number %d of many that are much alike", i * 7919));
        put(f, &doc);
    }
    struct med_str record =
        stored(f, TABLE_VERSIONS, med_version_key(key, MED_STR("doc:secret"), 1));
    struct med_str dict = stored(f, TABLE_DICTS, med_be32(dict_key, 1));
    struct med_batch *batch;
    OK(med_batch_begin(f->store, &batch, &err));
    OK(med_batch_purge(batch, secret.id, &err));
    OK(med_batch_block(batch, secret.id, true, &err));
    OK(med_batch_commit(&batch, &err));
    assert_true(on_disk(f, record)); /* in a free page */
    uint64_t before = doc_count(f);
    struct med_snapshot *old = snapshot_of(f), *now;
    uint64_t txn_id = med_snapshot_txn_id(old);
    OK(med_store_rewrite(f->store, NULL, &err));
    struct med_doc *doc;
    OK(med_snapshot_get(old, MED_STR("doc:7"), f->arena, &doc, &err)); /* readers go on */
    med_snapshot_close(&old);
    assert_true(med_store_is_replaced(f->store));
    assert_int_equal(med_batch_begin(f->store, &batch, &err), MED_E_BUSY);
    reopen(f);
    assert_false(med_store_is_replaced(f->store));
    assert_false(on_disk(f, record));
    assert_false(on_disk(f, secret.id));
    assert_false(on_disk(f, dict)); /* another was trained, without the diary */
    assert_int_equal(doc_count(f), before);
    now = snapshot_of(f);
    assert_true(med_snapshot_txn_id(now) > txn_id);
    med_snapshot_close(&now);
    for (int i = 0; i < 2100; i += 100)
        assert_title(f, med_arena_printf(f->arena, "doc:%d", i),
            med_arena_printf(f->arena, "Title number %d of many that are much alike", i * 7919));
    assert_sound(f);
}

static void nothing_is_stored_under_a_blocked_id(void **state)
{
    struct fixture *f = *state;
    struct med_doc doc = document("doc:a", "a"), *back;
    bool blocked;
    put(f, &doc);
    struct med_batch *batch;
    OK(med_batch_begin(f->store, &batch, &err));
    OK(med_batch_purge(batch, doc.id, &err));
    OK(med_batch_block(batch, doc.id, true, &err));
    OK(med_batch_commit(&batch, &err));
    assert_int_equal(put(f, &doc), MED_PUT_BLOCKED);
    assert_int_equal(delete (f, "doc:a", 5), MED_PUT_BLOCKED);
    OK(med_store_rewrite(f->store, NULL, &err));
    reopen(f);
    assert_int_equal(put(f, &doc), MED_PUT_BLOCKED);
    assert_int_equal(get(f, "doc:a", &back), MED_E_NOT_FOUND);
    struct med_doc other = document("doc:b", "b");
    assert_int_equal(put(f, &other), MED_PUT_ADDED);
    OK(med_batch_begin(f->store, &batch, &err));
    OK(med_batch_block(batch, doc.id, false, &err));
    OK(med_batch_commit(&batch, &err));
    struct med_snapshot *snapshot = snapshot_of(f);
    OK(med_snapshot_is_blocked(snapshot, doc.id, &blocked, &err));
    med_snapshot_close(&snapshot);
    assert_false(blocked);
    assert_int_equal(put(f, &doc), MED_PUT_ADDED);
    assert_sound(f);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_folder_is_open_once_in_a_process),
        TEST(the_lock_file_is_allocated),
        TEST(reading_an_absent_store_says_so),
        TEST(a_replica_reads_a_read_only_folder_without_locks),
        TEST(the_map_grows_between_batches),
        TEST(a_map_that_cannot_grow_is_an_error_and_loses_nothing),
        TEST(a_map_grown_by_another_process_is_adopted),
        TEST(a_limit_on_address_space_is_lived_with),
        TEST(every_flipped_bit_of_a_record_is_noticed),
        TEST(check_finds_what_disagrees),
        TEST(a_cut_off_or_foreign_file_is_refused),
        TEST(a_newer_format_is_refused),
        TEST(memory_that_runs_out_loses_nothing),
        TEST(writing_anew_leaves_nothing_of_what_was_purged),
        TEST(nothing_is_stored_under_a_blocked_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Generations: manifests as text, publishing, rolling back, pins, pruning, locks, sweeping, damage.
 */
#include "common/limits.h"
#include "common/mem.h"
#include "common/rng.h"
#include "index/data_folder.h"
#include "tests/support/faulty_fs.h"
#include "tests/support/generations.h"
#include "tests/support/support.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct med_err err;
#define OK(call)                                                                                   \
    do {                                                                                           \
        enum med_code ok_code = (call);                                                            \
        if (ok_code != MED_OK) fail_msg("%s: %s", #call, err.text);                                \
    } while (0)

struct fixture {
    char dir[MED_PATH_MAX];
    struct med_data *data;
    struct med_arena *arena;
};

static int setup(void **state)
{
    struct fixture *f = med_calloc(1, sizeof *f);
    med_test_temp_new(f->dir);
    OK(med_arena_new(64 * MED_MIB, &f->arena, &err));
    OK(med_data_open(f->dir, true, NULL, &f->data, &err));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    med_data_close(&f->data);
    med_arena_free(&f->arena);
    med_test_temp_remove(f->dir);
    med_free(f);
    return 0;
}

static void publish(struct fixture *f, uint64_t content)
{
    struct med_build_lock *lock;
    struct test_generation g;
    OK(med_build_lock_take(f->data, &lock, &err));
    OK(test_generation_publish(f->data, content, &g, &err));
    med_build_lock_release(&lock);
}

static uint64_t current(struct fixture *f)
{
    uint64_t number;
    OK(med_generation_current(f->data, &number, &err));
    return number;
}

static bool exists(struct fixture *f, const char *name)
{
    char path[MED_PATH_MAX];
    OK(med_path_join(path, f->dir, name, &err));
    return med_path_exists(path);
}

static size_t entry_count(struct fixture *f, const char *folder)
{
    char command[MED_PATH_MAX + 64];
    snprintf(command, sizeof command, "ls -A '%s/%s' | wc -l", f->dir, folder);
    FILE *pipe = popen(command, "r");
    unsigned count = 0;
    assert_int_equal(fscanf(pipe, "%u", &count), 1);
    pclose(pipe);
    return count;
}

static void write_file(struct fixture *f, const char *name, const char *bytes)
{
    char path[MED_PATH_MAX];
    OK(med_path_join(path, f->dir, name, &err));
    OK(med_fs_replace(med_fs_posix(), path, bytes, strlen(bytes), &err));
}

/* --- manifests as text --- */

static struct med_file_ref two_files[] = {
    {.name = "lexicon", .size = 12, .hash = {.lo = 1, .hi = 2}},
    {.name = "graph.v2", .size = 1ull << 40, .hash = {.lo = UINT64_MAX, .hi = 3}},
};
static struct med_segment_ref one_segment = {.id = "00112233445566778899aabbccddeeff",
    .files = two_files,
    .file_count = 2,
    .doc_count = 7,
    .chunk_count = 9};

static struct med_manifest full_manifest(void)
{
    return (struct med_manifest){.number = 3,
        .created_unix_s = 1700000000,
        .medicus_version = "0.1.0",
        .text_version = 1,
        .chunker_version = 2,
        .analyzer_version = 3,
        .store_txn_id = 99,
        .doc_count = 7,
        .segments = &one_segment,
        .segment_count = 1,
        .encoder_id = "abc-1",
        .encoder_files = two_files,
        .encoder_file_count = 1,
        .title_weight = 2,
        .mesh_weight = 1,
        .k1 = 0.9,
        .b = 0.4,
        .fusion_weight = 1.0 / 3,
        .calibration = MED_STR("{\"curve\":[[0.1,0.5],[0.2,{}]],\"why\":\"caf\xc3\xa9 "
                               "\\\"x\\\"\",\"ok\":true,\"no\":null}"),
        .recall_at_10 = 0.97,
        .reference_date = 20260301,
        .last_input = MED_STR("pubmed26n0001.xml.gz"),
        .notes = MED_STR("{}")};
}

static const char *text_of(struct fixture *f, const struct med_manifest *m)
{
    struct med_buf buf;
    med_buf_init(&buf, MED_MIB);
    OK(med_manifest_write(m, &buf, &err));
    const char *text = med_arena_strndup(f->arena, buf.data, buf.len);
    med_buf_free(&buf);
    return text;
}

static void a_manifest_reads_back_as_it_was_written(void **state)
{
    struct fixture *f = *state;
    struct med_manifest m = full_manifest(), *back;
    const char *text = text_of(f, &m);
    OK(med_manifest_parse(med_str_of(text), f->arena, &back, &err));
    assert_int_equal(back->number, 3);
    assert_string_equal(back->segments[0].id, one_segment.id);
    assert_string_equal(back->segments[0].files[1].name, "graph.v2");
    assert_true(back->segments[0].files[1].size == 1ull << 40);
    assert_true(med_hash128_eq(back->segments[0].files[1].hash, two_files[1].hash));
    assert_true(back->fusion_weight == 1.0 / 3);
    assert_int_equal(back->encoder_file_count, 1);
    assert_true(med_str_eq(back->calibration, m.calibration));
    assert_true(med_str_eq(back->notes, m.notes));
    assert_string_equal(text_of(f, back), text); /* nothing was lost */
    m = (struct med_manifest){.number = 1};
    OK(med_manifest_parse(med_str_of(text_of(f, &m)), f->arena, &back, &err));
    assert_int_equal(back->segment_count, 0);
    assert_int_equal(back->calibration.len, 0);
}

static void every_flipped_bit_of_a_manifest_is_noticed(void **state)
{
    struct fixture *f = *state;
    struct med_manifest m = full_manifest(), *back;
    const char *text = text_of(f, &m);
    size_t len = strlen(text);
    char *copy = med_arena_strndup(f->arena, text, len);
    for (size_t bit = 0; bit < len * 8; bit++) {
        copy[bit / 8] ^= (char)(1 << bit % 8);
        assert_int_equal(
            med_manifest_parse((struct med_str){.ptr = copy, .len = len}, f->arena, &back, &err),
            MED_E_CORRUPT);
        copy[bit / 8] ^= (char)(1 << bit % 8);
    }
    for (size_t cut = 0; cut < len; cut++) {
        assert_int_equal(med_manifest_parse((struct med_str){.ptr = cut ? copy : NULL, .len = cut},
                             f->arena, &back, &err),
            MED_E_CORRUPT);
    }
}

/* The text with one piece exchanged and the checksum made right again. */
static struct med_str with(struct fixture *f, const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from), *end = strstr(text, "\nxxh3:");
    assert_non_null(at);
    char *json = med_arena_printf(f->arena, "%.*s%s%.*s\n", (int)(at - text), text, to,
        (int)(end - at - (long)strlen(from)), at + strlen(from));
    char hex[MED_HASH_HEX_LEN + 1];
    med_hash128_hex(med_hash128(json, strlen(json)), hex);
    return med_str_of(med_arena_printf(f->arena, "%sxxh3:%s\n", json, hex));
}

static void a_manifest_is_checked_beyond_its_checksum(void **state)
{
    struct fixture *f = *state;
    struct med_manifest m = full_manifest(), *back;
    const char *text = text_of(f, &m);
    static const struct {
        const char *from, *to;
        enum med_code code;
    } cases[] = {
        {"\"format\": 1", "\"format\": 1, \"unknown\": [1]", MED_OK},
        {"\"format\": 1", "\"format\": 3", MED_E_UNSUPPORTED},
        {"\"format\": 1", "\"format\": 0", MED_E_CORRUPT},
        {"\"generation\": 3", "\"generation\": 0", MED_E_CORRUPT},
        {"\"generation\": 3", "\"generation\": 3.5", MED_E_CORRUPT},
        {"\"size\": 12", "\"size\": -1", MED_E_CORRUPT},
        {"\"name\": \"lexicon\"", "\"name\": \"../lexicon\"", MED_E_CORRUPT},
        {"\"name\": \"lexicon\"", "\"name\": \".\"", MED_E_CORRUPT},
        {"\"id\": \"00112233445566778899aabbccddeeff\"", "\"id\": \"../../etc\"", MED_E_CORRUPT},
        {"\"id\": \"00112233445566778899aabbccddeeff\"",
            "\"id\": \"00112233445566778899aabbccddeeff0\"", MED_E_CORRUPT},
        {"\"id\": \"abc-1\"", "\"id\": \"\"", MED_E_CORRUPT},
        {"\"xxh3\": \"0", "\"xxh3\": \"g", MED_E_CORRUPT},
        {"\"k1\": 0.9", "\"k1\": \"0.9\"", MED_E_CORRUPT},
        {"\"notes\": {}", "\"notes\": []", MED_E_CORRUPT},
        {"\"segments\": [", "\"segments_\": [", MED_E_CORRUPT},
        {"\"reference_date\": 20260301", "\"reference_date\": 99999999999", MED_E_CORRUPT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum med_code code =
            med_manifest_parse(with(f, text, cases[i].from, cases[i].to), f->arena, &back, &err);
        if (code != cases[i].code)
            fail_msg("%s -> %s gives %s", cases[i].from, cases[i].to, med_code_name(code));
    }
}

static void an_unusable_manifest_is_not_written(void **state)
{
    (void)state;
    struct med_buf buf;
    med_buf_init(&buf, MED_MIB);
    struct med_manifest m = full_manifest();
    m.notes = MED_STR("[]");
    assert_int_equal(med_manifest_write(&m, &buf, &err), MED_E_INVALID);
    m.notes = MED_STR("{\"a\":}");
    assert_int_equal(med_manifest_write(&m, &buf, &err), MED_E_INVALID);
    m = full_manifest();
    m.b = 0.0 / 0.0;
    assert_int_equal(med_manifest_write(&m, &buf, &err), MED_E_INVALID);
    m = full_manifest();
    memcpy(m.encoder_id, "A/B", 4);
    assert_int_equal(med_manifest_write(&m, &buf, &err), MED_E_INVALID);
    med_buf_free(&buf);
}

/* --- publishing --- */

static void nothing_published_says_what_to_do(void **state)
{
    struct fixture *f = *state;
    uint64_t number;
    struct med_pin *pin;
    struct med_data *data;
    assert_int_equal(med_generation_current(f->data, &number, &err), MED_E_NO_INDEX);
    assert_int_equal(med_generation_pin(f->data, 0, &pin, &err), MED_E_NO_INDEX);
    assert_int_equal(med_generation_pin(f->data, 4, &pin, &err), MED_E_NOT_FOUND);
    assert_int_equal(
        med_data_open("/nonexistent/medicus", false, NULL, &data, &err), MED_E_NOT_FOUND);
    assert_non_null(strstr(err.text, "medicus ingest"));
}

static void what_is_published_opens(void **state)
{
    struct fixture *f = *state;
    publish(f, 11);
    publish(f, 12);
    assert_int_equal(current(f), 2);
    struct med_pin *pin;
    OK(med_generation_pin(f->data, 0, &pin, &err));
    const struct med_manifest *m = med_pin_manifest(pin);
    assert_int_equal(m->number, 2);
    assert_true(m->created_unix_s > 0);
    OK(med_manifest_verify(f->data, m, NULL, &err));
    assert_int_equal(test_generation_content(pin, &err), 12);
    struct med_map map;
    assert_int_equal(
        med_pin_map(pin, &m->segments[0], "nothing", true, &map, &err), MED_E_NOT_FOUND);
    OK(med_pin_map(pin, NULL, m->encoder_files[0].name, true, &map, &err));
    med_map_close(&map);
    med_pin_release(&pin);
    OK(med_generation_pin(f->data, 1, &pin, &err));
    assert_int_equal(test_generation_content(pin, &err), 11);
    med_pin_release(&pin);
}

static void a_patch_belongs_to_its_generation(void **state)
{
    struct fixture *f = *state;
    publish(f, 1);
    struct med_pin *pin;
    struct med_map map;
    OK(med_generation_pin(f->data, 0, &pin, &err));
    struct med_manifest m = *med_pin_manifest(pin);
    m.segments[0].patch_bytes = MED_STR("what changed");
    m.segments[0].dead_doc_count = m.segments[0].dead_chunk_count = 1;
    OK(med_generation_publish(f->data, &m, NULL, &err));
    med_pin_release(&pin);
    OK(med_generation_pin(f->data, 1, &pin, &err)); /* the one before has its own */
    OK(med_pin_map_patch(pin, &med_pin_manifest(pin)->segments[0], true, &map, &err));
    assert_memory_equal(map.ptr, "patch 1", 7);
    med_map_close(&map);
    med_pin_release(&pin);
    OK(med_generation_pin(f->data, 2, &pin, &err));
    const struct med_manifest *back = med_pin_manifest(pin);
    assert_int_equal(back->segments[0].dead_doc_count, 1);
    assert_int_equal(med_manifest_chunk_count(back), back->segments[0].chunk_count - 1);
    OK(med_pin_map_patch(pin, &back->segments[0], true, &map, &err));
    assert_memory_equal(map.ptr, "what changed", 12);
    med_map_close(&map);
    char path[MED_PATH_MAX];
    OK(generation_path(f->data, 2, back->segments[0].patch.name, path, &err));
    OK(med_fs_replace(med_fs_posix(), path, "what chanted", 12, &err));
    assert_int_equal(med_manifest_verify(f->data, back, NULL, &err), MED_E_CORRUPT);
    assert_int_equal(med_pin_map_patch(pin, &back->segments[0], true, &map, &err), MED_E_CORRUPT);
    med_pin_release(&pin);
    /* A version without patches would bring the dead back: it must refuse. */
    struct med_segment_ref patched = one_segment;
    m = full_manifest();
    m.segments = &patched;
    assert_non_null(strstr(text_of(f, &m), "\"format\": 1"));
    memcpy(patched.patch.name, "patch-x", 8);
    patched.dead_doc_count = 8; /* more than there are */
    const char *text = text_of(f, &m);
    assert_non_null(strstr(text, "\"format\": 2"));
    struct med_manifest *parsed;
    assert_int_equal(med_manifest_parse(med_str_of(text), f->arena, &parsed, &err), MED_E_CORRUPT);
}

static void a_damaged_file_is_not_published(void **state)
{
    struct fixture *f = *state;
    publish(f, 1);
    struct test_generation g;
    OK(test_generation_write(f->data, 2, &g, &err));
    g.files[1].hash.lo ^= 1;
    assert_int_equal(med_generation_publish(f->data, &g.manifest, NULL, &err), MED_E_CORRUPT);
    g.files[1].hash.lo ^= 1;
    g.files[0].size++;
    assert_int_equal(med_generation_publish(f->data, &g.manifest, NULL, &err), MED_E_CORRUPT);
    g.files[0].size--;
    memcpy(g.files[0].name, "absent", 7);
    assert_int_equal(med_generation_publish(f->data, &g.manifest, NULL, &err), MED_E_CORRUPT);
    assert_non_null(strstr(err.text, "absent is missing"));
    assert_int_equal(current(f), 1);
    assert_int_equal(entry_count(f, "generations"), 1);
}

static void a_reused_segment_is_measured_and_a_new_one_read(void **state)
{
    struct fixture *f = *state;
    publish(f, 1);
    struct med_pin *pin;
    OK(med_generation_pin(f->data, 0, &pin, &err));
    struct med_manifest m = *med_pin_manifest(pin);
    OK(med_generation_publish(f->data, &m, NULL, &err));
    assert_int_equal(m.number, 2);
    char path[MED_PATH_MAX];
    OK(data_path(f->data, "segments", m.segments[0].id, m.segments[0].files[0].name, path, &err));
    assert_int_equal(truncate(path, 3), 0);
    assert_int_equal(med_generation_publish(f->data, &m, NULL, &err), MED_E_CORRUPT);
    med_pin_release(&pin);
}

static bool stop(void *ctx, const char *stage, uint64_t done, uint64_t total, const char *unit)
{
    (void)ctx;
    (void)done;
    (void)total;
    (void)unit;
    assert_string_equal(stage, "verify");
    return false;
}

static void a_stopped_publish_changes_nothing(void **state)
{
    struct fixture *f = *state;
    publish(f, 1);
    struct test_generation g;
    struct med_progress progress = {.report = stop};
    OK(test_generation_write(f->data, 2, &g, &err));
    enum med_code code = med_generation_publish(f->data, &g.manifest, &progress, &err);
    /* All files may have fallen to other threads, which do not report. */
    if (code == MED_OK) skip();
    assert_int_equal(code, MED_E_CANCELLED);
    assert_int_equal(current(f), 1);
}

static void rolling_back_activates_a_verified_generation(void **state)
{
    struct fixture *f = *state;
    publish(f, 1);
    publish(f, 2);
    OK(med_generation_activate(f->data, 1, &err));
    assert_int_equal(current(f), 1);
    assert_int_equal(med_generation_activate(f->data, 7, &err), MED_E_NOT_FOUND);
    publish(f, 3); /* numbers are never used again */
    assert_int_equal(current(f), 3);
    struct med_pin *pin;
    OK(med_generation_pin(f->data, 2, &pin, &err));
    const struct med_segment_ref *s = &med_pin_manifest(pin)->segments[0];
    char path[MED_PATH_MAX];
    OK(data_path(f->data, "segments", s->id, s->files[0].name, path, &err));
    med_pin_release(&pin);
    FILE *file = fopen(path, "r+");
    fputc('#', file);
    fclose(file);
    assert_int_equal(med_generation_activate(f->data, 2, &err), MED_E_CORRUPT);
    assert_int_equal(current(f), 3);
}

static void a_damaged_current_is_an_error_that_activation_repairs(void **state)
{
    struct fixture *f = *state;
    uint64_t number;
    publish(f, 1);
    static const char *const bad[] = {"", "1", "1\n", "2 0000000000000000\n", "nonsense", "-1 0\n",
        "99999999999999999999999999 0000000000000000\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_file(f, "CURRENT", bad[i]);
        assert_int_equal(med_generation_current(f->data, &number, &err), MED_E_CORRUPT);
        assert_non_null(strstr(err.text, "`medicus generations --data "));
    }
    OK(med_generation_activate(f->data, 1, &err));
    assert_int_equal(current(f), 1);
    char longer[1000];
    memset(longer, '1', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    write_file(f, "CURRENT", longer);
    assert_int_equal(med_generation_current(f->data, &number, &err), MED_E_CORRUPT);
    publish(f, 2);
    assert_int_equal(current(f), 2);
}

/* --- pruning --- */

static uint64_t prune(struct fixture *f, size_t keep)
{
    struct med_build_lock *lock;
    uint64_t removed;
    OK(med_build_lock_take(f->data, &lock, &err));
    OK(med_generation_prune(f->data, keep, &removed, &err));
    med_build_lock_release(&lock);
    return removed;
}

static void prune_keeps_the_newest_the_current_and_the_pinned(void **state)
{
    struct fixture *f = *state;
    for (uint64_t i = 1; i <= 6; i++) publish(f, i);
    OK(med_generation_activate(f->data, 2, &err));
    struct med_pin *pin;
    OK(med_generation_pin(f->data, 3, &pin, &err));
    assert_int_equal(prune(f, 1), 3); /* 1, 4, 5 */
    assert_int_equal(entry_count(f, "generations"), 3);
    assert_int_equal(entry_count(f, "segments"), 3);
    assert_int_equal(test_generation_content(pin, &err), 3);
    struct med_generation_info *list;
    size_t count;
    OK(med_generation_list(f->data, f->arena, &list, &count, &err));
    assert_int_equal(count, 3);
    assert_int_equal(list[0].number, 6);
    assert_true(list[1].pinned && list[1].number == 3);
    assert_true(list[2].current && !list[2].pinned);
    assert_true(list[0].bytes > 0 && list[0].chunk_count > 0);
    med_pin_release(&pin);
    assert_int_equal(prune(f, 1), 1);
    assert_int_equal(prune(f, 0), 1);
    assert_int_equal(current(f), 2);
    assert_int_equal(entry_count(f, "segments"), 1);
    assert_int_equal(entry_count(f, "encoders"), 1);
}

static void a_pin_of_another_process_counts(void **state)
{
    struct fixture *f = *state;
    publish(f, 1);
    int ready[2], go[2];
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(go), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct med_pin *pin;
        char c = 'x';
        if (med_generation_pin(f->data, 0, &pin, &err) != MED_OK) _exit(1);
        if (write(ready[1], &c, 1) != 1 || read(go[0], &c, 1) != 1) _exit(2);
        _exit(test_generation_content(pin, &err) == 1 ? 0 : 3);
    }
    char c;
    assert_int_equal(read(ready[0], &c, 1), 1);
    publish(f, 2);
    assert_int_equal(prune(f, 1), 0);
    assert_int_equal(write(go[1], "x", 1), 1);
    int status;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    assert_int_equal(prune(f, 1), 1);
    for (int i = 0; i < 2; i++) {
        close(ready[i]);
        close(go[i]);
    }
}

static void an_unreadable_manifest_keeps_its_segments(void **state)
{
    struct fixture *f = *state;
    publish(f, 1);
    publish(f, 2);
    write_file(f, "generations/1/MANIFEST", "from the future");
    assert_int_equal(prune(f, 2), 0);
    assert_int_equal(entry_count(f, "segments"), 2);
    struct med_generation_info *list;
    size_t count;
    OK(med_generation_list(f->data, f->arena, &list, &count, &err));
    assert_int_equal(count, 2);
    assert_int_equal(list[1].bytes, 0);
    struct med_pin *pin;
    assert_int_equal(med_generation_pin(f->data, 1, &pin, &err), MED_E_CORRUPT);
    assert_int_equal(prune(f, 1), 1);
    assert_int_equal(entry_count(f, "segments"), 1);
}

/* --- locks and sweeping --- */

static void one_build_at_a_time(void **state)
{
    struct fixture *f = *state;
    struct med_build_lock *lock, *second;
    char pid[32];
    OK(med_build_lock_take(f->data, &lock, &err));
    assert_int_equal(med_build_lock_take(f->data, &second, &err), MED_E_CONFLICT);
    snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    assert_non_null(strstr(err.text, pid));
    med_build_lock_release(&lock);
    OK(med_build_lock_take(f->data, &lock, &err));
    med_build_lock_release(&lock);
}

static void the_next_build_sweeps_what_a_dead_one_left(void **state)
{
    struct fixture *f = *state;
    publish(f, 1);
    struct test_generation g;
    OK(test_generation_write(f->data, 2, &g, &err));
    write_file(f, "CURRENT.tmp-1-1", "x");
    char path[MED_PATH_MAX];
    OK(med_path_join(path, f->dir, "generations/9", &err));
    OK(med_fs_mkdir_all(med_fs_posix(), path, &err));
    write_file(f, "generations/9/MANIFEST.tmp-1-1", "x");
    OK(med_path_join(path, f->dir, "segments/README.txt", &err));
    write_file(f, "segments/README.txt", "an operator's own");
    assert_int_equal(entry_count(f, "segments"), 3);
    struct med_build_lock *lock;
    OK(med_build_lock_take(f->data, &lock, &err));
    med_build_lock_release(&lock);
    assert_false(exists(f, "CURRENT.tmp-1-1"));
    assert_false(exists(f, "generations/9"));
    assert_int_equal(entry_count(f, "segments"), 2);
    struct med_pin *pin;
    OK(med_generation_pin(f->data, 0, &pin, &err));
    OK(med_manifest_verify(f->data, med_pin_manifest(pin), NULL, &err));
    med_pin_release(&pin);
}

static void an_encoder_in_use_is_not_emptied(void **state)
{
    struct fixture *f = *state;
    char dir[MED_PATH_MAX];
    publish(f, 1);
    struct med_pin *pin;
    OK(med_generation_pin(f->data, 0, &pin, &err));
    OK(med_data_new_encoder(f->data, med_pin_manifest(pin)->encoder_id, dir, &err));
    OK(med_manifest_verify(f->data, med_pin_manifest(pin), NULL, &err));
    med_pin_release(&pin);
    OK(med_data_new_encoder(f->data, "unused", dir, &err));
    write_file(f, "encoders/unused/weights", "x");
    OK(med_data_new_encoder(f->data, "unused", dir, &err));
    assert_false(exists(f, "encoders/unused/weights"));
    assert_int_equal(med_data_new_encoder(f->data, "../x", dir, &err), MED_E_INVALID);
}

/* --- readers against a writer --- */

struct race {
    struct fixture *f;
    atomic_bool done;
    _Atomic uint64_t opened;
};

static void *read_on(void *ctx)
{
    struct race *r = ctx;
    struct med_err e;
    uint64_t last = 0;
    while (!atomic_load(&r->done)) {
        struct med_pin *pin;
        if (med_generation_pin(r->f->data, 0, &pin, &e) != MED_OK) return "pin failed";
        uint64_t content = test_generation_content(pin, &e);
        bool whole = med_manifest_verify(r->f->data, med_pin_manifest(pin), NULL, &e) == MED_OK;
        bool forward = content == med_pin_manifest(pin)->number && content >= last;
        last = content;
        med_pin_release(&pin);
        if (!whole || !forward) return "a pinned generation was not whole";
        atomic_fetch_add(&r->opened, 1);
    }
    return NULL;
}

static void readers_always_find_a_whole_generation(void **state)
{
    struct fixture *f = *state;
    struct race race = {.f = f};
    pthread_t threads[2];
    publish(f, 1);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &race), 0);
    for (uint64_t i = 2; i <= 30; i++) {
        publish(f, i);
        prune(f, 1);
    }
    atomic_store(&race.done, true);
    for (size_t i = 0; i < 2; i++) {
        void *why;
        pthread_join(threads[i], &why);
        if (why) fail_msg("%s", (const char *)why);
    }
    assert_true(race.opened > 0);
}

static void memory_that_runs_out_publishes_nothing(void **state)
{
    struct fixture *f = *state;
    publish(f, 1);
    struct test_generation g;
    OK(test_generation_write(f->data, 2, &g, &err));
    for (uint64_t n = 1;; n++) {
        med_mem_fail_after(n);
        enum med_code code = med_generation_publish(f->data, &g.manifest, NULL, &err);
        med_mem_fail_after(0);
        if (code == MED_OK) break;
        assert_int_equal(current(f), 1);
    }
    assert_int_equal(current(f), g.manifest.number);
    struct med_pin *pin;
    OK(med_generation_pin(f->data, 0, &pin, &err));
    assert_int_equal(test_generation_content(pin, &err), 2);
    med_pin_release(&pin);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_manifest_reads_back_as_it_was_written),
        TEST(every_flipped_bit_of_a_manifest_is_noticed),
        TEST(a_manifest_is_checked_beyond_its_checksum),
        TEST(an_unusable_manifest_is_not_written),
        TEST(nothing_published_says_what_to_do),
        TEST(what_is_published_opens),
        TEST(a_patch_belongs_to_its_generation),
        TEST(a_damaged_file_is_not_published),
        TEST(a_reused_segment_is_measured_and_a_new_one_read),
        TEST(a_stopped_publish_changes_nothing),
        TEST(rolling_back_activates_a_verified_generation),
        TEST(a_damaged_current_is_an_error_that_activation_repairs),
        TEST(prune_keeps_the_newest_the_current_and_the_pinned),
        TEST(a_pin_of_another_process_counts),
        TEST(an_unreadable_manifest_keeps_its_segments),
        TEST(one_build_at_a_time),
        TEST(the_next_build_sweeps_what_a_dead_one_left),
        TEST(an_encoder_in_use_is_not_emptied),
        TEST(readers_always_find_a_whole_generation),
        TEST(memory_that_runs_out_publishes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

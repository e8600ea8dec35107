/* The fault-injecting file system must be both possible and merciless: what was synced is always
 * there, and every loss that a disk may inflict does happen in some draw. */
#include "tests/support/faulty_fs.h"

#include "common/mem.h"
#include "tests/support/support.h"

#include <setjmp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define DRAWS 300

struct fixture {
    char base[MED_PATH_MAX], root[MED_PATH_MAX], left[MED_PATH_MAX];
    struct med_faulty_fs *faulty;
    const struct med_fs *fs;
};

static int set_up(void **state)
{
    struct fixture *t = med_calloc(1, sizeof *t);
    med_test_temp_new(t->base);
    assert_int_equal(med_path_join(t->root, t->base, "root", NULL), MED_OK);
    assert_int_equal(med_path_join(t->left, t->base, "left", NULL), MED_OK);
    assert_int_equal(mkdir(t->root, 0700), 0);
    assert_int_equal(med_faulty_fs_new(t->root, med_test_seed(), &t->faulty, NULL), MED_OK);
    t->fs = med_faulty_fs_seam(t->faulty);
    *state = t;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *t = *state;
    med_faulty_fs_free(&t->faulty);
    med_test_temp_remove(t->base);
    med_free(t);
    return 0;
}

/* Paths below the real root or below what a crash left; a few can be in use at once. */
static const char *below(const char *dir, const char *name)
{
    static char paths[4][MED_PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 4];
    assert_int_equal(med_path_join(path, dir, name, NULL), MED_OK);
    return path;
}

static void crash(struct fixture *t)
{
    assert_int_equal(med_fs_remove_tree(med_fs_posix(), t->left, NULL), MED_OK);
    struct med_err err;
    if (med_faulty_fs_materialize(t->faulty, t->left, &err) != MED_OK) fail_msg("%s", err.text);
}

/* The bytes of a file as text; "-" when it is absent. Valid until the next call. */
static const char *content(const char *path)
{
    static struct med_buf buf;
    med_buf_free(&buf);
    med_buf_init(&buf, 1 << 20);
    if (!med_path_exists(path)) return "-";
    assert_int_equal(med_read_file(path, &buf, NULL), MED_OK);
    return buf.data ? buf.data : "";
}

static const char *survivor(struct fixture *t, const char *name)
{
    return content(below(t->left, name));
}

static struct med_file *begin(struct fixture *t, const char *name, const char *text)
{
    struct med_file *file;
    assert_int_equal(med_file_create(t->fs, below(t->root, name), &file, NULL), MED_OK);
    assert_int_equal(med_file_append(file, text, strlen(text), NULL), MED_OK);
    return file;
}

/* Closes without syncing. */
static void end(struct med_file *file)
{
    med_hasher_free(&file->hasher);
    assert_int_equal(file->fs->ops->close(file, NULL), MED_OK);
}

static void a_durably_replaced_file_is_there_in_every_draw(void **state)
{
    struct fixture *t = *state;
    assert_int_equal(med_fs_replace(t->fs, below(t->root, "a"), "first", 5, NULL), MED_OK);
    assert_int_equal(med_fs_mkdir_all(t->fs, below(t->root, "d/e"), NULL), MED_OK);
    assert_int_equal(med_fs_replace(t->fs, below(t->root, "d/e/b"), "deep", 4, NULL), MED_OK);
    assert_string_equal(content(below(t->root, "a")), "first"); /* the real folder shows it too */
    for (int i = 0; i < DRAWS; i++) {
        crash(t);
        assert_string_equal(survivor(t, "a"), "first");
        assert_string_equal(survivor(t, "d/e/b"), "deep");
    }
}

static void an_unsynced_file_may_be_absent_empty_torn_or_whole(void **state)
{
    struct fixture *t = *state;
    char text[1301];
    memset(text, 'x', 1300);
    text[1300] = '\0';
    end(begin(t, "a", text));
    bool absent = false, empty = false, whole = false, torn = false, zeros = false;
    for (int i = 0; i < DRAWS; i++) {
        crash(t);
        const char *seen = survivor(t, "a");
        struct stat st;
        size_t size = stat(below(t->left, "a"), &st) == 0 ? (size_t)st.st_size : 0;
        size_t len = strlen(seen);
        bool is_absent = strcmp(seen, "-") == 0;
        absent = absent || is_absent;
        empty = empty || (!is_absent && size == 0);
        whole = whole || strcmp(seen, text) == 0;
        torn = torn || (len == 512 || len == 1024);
        zeros = zeros || (size == 1300 && len == 0);
    }
    assert_true(absent && empty && whole && torn && zeros);
}

static void syncing_a_file_keeps_its_bytes_but_not_its_name(void **state)
{
    struct fixture *t = *state;
    struct med_file *file = begin(t, "a", "bytes");
    assert_int_equal(med_file_finish(&file, NULL, NULL, NULL), MED_OK);
    bool absent = false, there = false;
    for (int i = 0; i < DRAWS; i++) {
        crash(t);
        const char *seen = survivor(t, "a");
        if (strcmp(seen, "-") == 0)
            absent = true;
        else
            there = true;
        if (strcmp(seen, "-") != 0) assert_string_equal(seen, "bytes");
    }
    assert_true(absent && there);
}

static void an_unsynced_rename_is_old_or_new_but_never_half(void **state)
{
    struct fixture *t = *state;
    assert_int_equal(med_fs_replace(t->fs, below(t->root, "CURRENT"), "1", 1, NULL), MED_OK);
    struct med_file *file = begin(t, "tmp", "2");
    assert_int_equal(med_file_finish(&file, NULL, NULL, NULL), MED_OK);
    assert_int_equal(
        t->fs->ops->rename(t->fs, below(t->root, "tmp"), below(t->root, "CURRENT"), NULL), MED_OK);
    bool old = false, new = false;
    for (int i = 0; i < DRAWS; i++) {
        crash(t);
        const char *seen = survivor(t, "CURRENT");
        old = old || strcmp(seen, "1") == 0;
        new = new || strcmp(seen, "2") == 0;
        assert_true(strcmp(seen, "1") == 0 || strcmp(seen, "2") == 0);
        if (strcmp(seen, "2") == 0) assert_string_equal(survivor(t, "tmp"), "-");
    }
    assert_true(old && new);
}

static void a_rename_before_the_sync_can_expose_torn_bytes(void **state)
{
    struct fixture *t = *state;
    end(begin(t, "tmp", "2"));
    assert_int_equal(
        t->fs->ops->rename(t->fs, below(t->root, "tmp"), below(t->root, "CURRENT"), NULL), MED_OK);
    assert_int_equal(t->fs->ops->sync_dir(t->fs, t->root, NULL), MED_OK);
    bool empty = false, whole = false;
    for (int i = 0; i < DRAWS; i++) {
        crash(t);
        const char *seen = survivor(t, "CURRENT");
        assert_string_not_equal(seen, "-");
        empty = empty || seen[0] != '2';
        whole = whole || seen[0] == '2';
    }
    assert_true(empty && whole);
}

static void removed_files_may_come_back_until_the_folder_is_synced(void **state)
{
    struct fixture *t = *state;
    assert_int_equal(med_fs_mkdir_all(t->fs, below(t->root, "d"), NULL), MED_OK);
    assert_int_equal(med_fs_replace(t->fs, below(t->root, "d/a"), "old", 3, NULL), MED_OK);
    assert_int_equal(t->fs->ops->unlink(t->fs, below(t->root, "d/a"), NULL), MED_OK);
    bool back = false, gone = false;
    for (int i = 0; i < DRAWS; i++) {
        crash(t);
        const char *seen = survivor(t, "d/a");
        back = back || strcmp(seen, "old") == 0;
        gone = gone || strcmp(seen, "-") == 0;
    }
    assert_true(back && gone);
    assert_int_equal(t->fs->ops->sync_dir(t->fs, below(t->root, "d"), NULL), MED_OK);
    assert_int_equal(med_fs_remove_tree(t->fs, below(t->root, "d"), NULL), MED_OK);
    assert_int_equal(t->fs->ops->sync_dir(t->fs, t->root, NULL), MED_OK);
    for (int i = 0; i < DRAWS; i++) {
        crash(t);
        assert_string_equal(survivor(t, "d/a"), "-");
        assert_false(med_path_exists(below(t->left, "d")));
    }
}

static void entries_of_one_folder_survive_in_order(void **state)
{
    struct fixture *t = *state;
    end(begin(t, "1", ""));
    end(begin(t, "2", ""));
    end(begin(t, "3", ""));
    for (int i = 0; i < DRAWS; i++) {
        crash(t);
        bool one = med_path_exists(below(t->left, "1"));
        bool two = med_path_exists(below(t->left, "2"));
        bool three = med_path_exists(below(t->left, "3"));
        assert_true(one >= two && two >= three);
    }
}

static void folders_may_be_reordered_but_a_move_between_them_is_atomic(void **state)
{
    struct fixture *t = *state;
    assert_int_equal(med_fs_mkdir_all(t->fs, below(t->root, "x"), NULL), MED_OK);
    assert_int_equal(med_fs_mkdir_all(t->fs, below(t->root, "y"), NULL), MED_OK);
    assert_int_equal(med_fs_replace(t->fs, below(t->root, "x/a"), "a", 1, NULL), MED_OK);
    end(begin(t, "x/first", ""));
    end(begin(t, "y/second", ""));
    assert_int_equal(
        t->fs->ops->rename(t->fs, below(t->root, "x/a"), below(t->root, "y/a"), NULL), MED_OK);
    bool reordered = false, moved = false, stayed = false;
    for (int i = 0; i < DRAWS; i++) {
        crash(t);
        bool in_x = med_path_exists(below(t->left, "x/a"));
        bool in_y = med_path_exists(below(t->left, "y/a"));
        assert_true(in_x != in_y);
        bool first = med_path_exists(below(t->left, "x/first"));
        bool second = med_path_exists(below(t->left, "y/second"));
        assert_true(!in_y || (first && second));
        reordered = reordered || (second && !first);
        moved = moved || in_y;
        stayed = stayed || in_x;
    }
    assert_true(reordered && moved && stayed);
    assert_int_equal(t->fs->ops->sync_dir(t->fs, below(t->root, "y"), NULL), MED_OK);
    for (int i = 0; i < DRAWS; i++) {
        crash(t);
        assert_true(med_path_exists(below(t->left, "y/a")));
        assert_true(med_path_exists(below(t->left, "x/first")));
    }
}

static void overwriting_in_place_mixes_old_and_new_sectors(void **state)
{
    struct fixture *t = *state;
    char old[1537], new[1537];
    memset(old, 'o', 1536);
    memset(new, 'n', 1536);
    old[1536] = new[1536] = '\0';
    assert_int_equal(med_fs_replace(t->fs, below(t->root, "a"), old, 1536, NULL), MED_OK);
    struct med_file *file = begin(t, "a", new); /* create truncates */
    bool was = false, is = false;
    for (int i = 0; i < DRAWS; i++) {
        crash(t);
        const char *seen = survivor(t, "a");
        assert_null(strchr(seen, 'o') ? strchr(seen, 'n') : NULL); /* truncation comes first */
        was = was || strcmp(seen, old) == 0;
        is = is || strcmp(seen, new) == 0;
    }
    assert_true(was && is);
    assert_int_equal(t->fs->ops->sync(file, NULL), MED_OK);
    assert_int_equal(t->fs->ops->write(file, old, 1536, 0, NULL), MED_OK);
    bool mixed = false;
    for (int i = 0; i < DRAWS; i++) {
        crash(t);
        const char *seen = survivor(t, "a");
        assert_int_equal(strlen(seen), 1536);
        for (size_t at = 0; at < 1536; at++) assert_int_equal(seen[at], seen[at / 512 * 512]);
        mixed = mixed || (strchr(seen, 'o') && strchr(seen, 'n'));
    }
    assert_true(mixed);
    end(file);
}

static void files_from_before_and_from_elsewhere_count_as_synced(void **state)
{
    struct fixture *t = *state;
    const struct med_fs *around = med_fs_posix();
    assert_int_equal(med_fs_mkdir_all(around, below(t->root, "docs/sub"), NULL), MED_OK);
    assert_int_equal(med_fs_replace(around, below(t->root, "docs/data.mdb"), "m", 1, NULL), MED_OK);
    assert_int_equal(med_fs_replace(around, below(t->root, "docs/sub/x"), "x", 1, NULL), MED_OK);
    assert_int_equal(med_fs_replace(around, below(t->root, "a"), "before", 6, NULL), MED_OK);
    end(begin(t, "a", "after")); /* seen by the record only now */
    assert_int_equal(med_fs_replace(around, below(t->root, "late"), "l", 1, NULL), MED_OK);
    bool before = false, after = false;
    for (int i = 0; i < DRAWS; i++) {
        crash(t);
        assert_string_equal(survivor(t, "docs/data.mdb"), "m");
        assert_string_equal(survivor(t, "docs/sub/x"), "x");
        assert_string_equal(survivor(t, "late"), "l");
        before = before || strcmp(survivor(t, "a"), "before") == 0;
        after = after || strcmp(survivor(t, "a"), "after") == 0;
    }
    assert_true(before && after);
}

static void a_renamed_folder_takes_its_files_along(void **state)
{
    struct fixture *t = *state;
    assert_int_equal(med_fs_mkdir_all(t->fs, below(t->root, "seg/tmp"), NULL), MED_OK);
    assert_int_equal(med_fs_replace(t->fs, below(t->root, "seg/tmp/f"), "f", 1, NULL), MED_OK);
    assert_int_equal(
        t->fs->ops->rename(t->fs, below(t->root, "seg/tmp"), below(t->root, "seg/7"), NULL),
        MED_OK);
    assert_int_equal(med_fs_replace(t->fs, below(t->root, "seg/7/g"), "g", 1, NULL), MED_OK);
    assert_int_equal(t->fs->ops->sync_dir(t->fs, below(t->root, "seg"), NULL), MED_OK);
    for (int i = 0; i < DRAWS; i++) {
        crash(t);
        assert_string_equal(survivor(t, "seg/7/f"), "f");
        assert_string_equal(survivor(t, "seg/7/g"), "g");
        assert_false(med_path_exists(below(t->left, "seg/tmp")));
    }
}

static void after_the_crash_every_operation_fails(void **state)
{
    struct fixture *t = *state;
    struct med_file *open = begin(t, "open", "x");
    med_faulty_fs_crash_after(t->faulty, 2);
    assert_int_equal(t->fs->ops->mkdir(t->fs, below(t->root, "one"), NULL), MED_OK);
    struct med_err err;
    assert_int_equal(t->fs->ops->mkdir(t->fs, below(t->root, "two"), &err), MED_E_IO);
    assert_non_null(strstr(err.text, "the power is off"));
    assert_false(med_path_exists(below(t->root, "two")));
    assert_int_equal(t->fs->ops->mkdir(t->fs, below(t->root, "three"), NULL), MED_E_IO);
    assert_int_equal(t->fs->ops->unlink(t->fs, below(t->root, "open"), NULL), MED_E_IO);
    assert_int_equal(t->fs->ops->sync_dir(t->fs, t->root, NULL), MED_E_IO);
    assert_int_equal(med_file_append(open, "y", 1, NULL), MED_E_IO);
    assert_int_equal(med_file_finish(&open, NULL, NULL, NULL), MED_E_IO);
    assert_null(open);
    assert_true(med_faulty_fs_op_count(t->faulty) >= 8);
}

/* One operation may happen or not at the very moment of the crash; both must come up. */
static void the_operation_in_flight_may_have_happened(void **state)
{
    (void)state;
    bool happened = false, did_not = false;
    for (int i = 0; i < 100; i++) {
        struct fixture *t;
        set_up((void **)&t);
        assert_int_equal(med_fs_replace(t->fs, below(t->root, "a"), "old", 3, NULL), MED_OK);
        med_faulty_fs_crash_after(t->faulty, 4); /* create, write, sync, and then the rename */
        assert_int_equal(med_fs_replace(t->fs, below(t->root, "a"), "new", 3, NULL), MED_E_IO);
        assert_string_equal(content(below(t->root, "a")), "old");
        crash(t);
        happened = happened || strcmp(survivor(t, "a"), "new") == 0;
        did_not = did_not || strcmp(survivor(t, "a"), "old") == 0;
        void *done = t;
        tear_down(&done);
    }
    assert_true(happened && did_not);
}

static void replacing_is_atomic_at_every_point_of_failure(void **state)
{
    (void)state;
    bool finished = false;
    for (uint64_t n = 1; !finished; n++) {
        struct fixture *t;
        set_up((void **)&t);
        assert_int_equal(med_fs_replace(t->fs, below(t->root, "a"), "old", 3, NULL), MED_OK);
        med_faulty_fs_crash_after(t->faulty, n);
        finished = med_fs_replace(t->fs, below(t->root, "a"), "new!", 4, NULL) == MED_OK;
        for (int i = 0; i < 50; i++) {
            crash(t);
            const char *seen = survivor(t, "a");
            assert_true(strcmp(seen, "new!") == 0 || (!finished && strcmp(seen, "old") == 0));
        }
        void *done = t;
        tear_down(&done);
    }
}

static void a_single_failure_is_reported_and_cleaned_up(void **state)
{
    struct fixture *t = *state;
    for (uint64_t n = 1; n <= 4; n++) {
        med_faulty_fs_fail_once(t->faulty, n);
        assert_int_equal(med_fs_replace(t->fs, below(t->root, "a"), "x", 1, NULL), MED_E_IO);
    }
    assert_int_equal(rmdir(t->root), 0); /* no temporary file was left */
    assert_int_equal(mkdir(t->root, 0700), 0);
    assert_int_equal(med_fs_replace(t->fs, below(t->root, "a"), "x", 1, NULL), MED_OK);
}

static void a_full_disk_cuts_the_write_that_crosses_the_line(void **state)
{
    struct fixture *t = *state;
    struct med_file *file = begin(t, "a", "12345");
    med_faulty_fs_space(t->faulty, 3);
    assert_int_equal(med_file_append(file, "67", 2, NULL), MED_OK);
    assert_int_equal(med_file_append(file, "89", 2, NULL), MED_E_NO_SPACE);
    assert_string_equal(content(below(t->root, "a")), "12345678");
    assert_int_equal(med_file_append(file, "9", 1, NULL), MED_E_NO_SPACE);
    med_faulty_fs_space(t->faulty, UINT64_MAX);
    assert_int_equal(med_file_append(file, "9", 1, NULL), MED_OK);
    med_file_discard(&file);
    assert_false(med_path_exists(below(t->root, "a")));
}

static void the_same_seed_draws_the_same_ruins(void **state)
{
    (void)state;
    char seen[2][40][8];
    for (int run = 0; run < 2; run++) {
        struct fixture *t;
        set_up((void **)&t);
        struct med_faulty_fs *faulty;
        assert_int_equal(med_faulty_fs_new(t->root, 7, &faulty, NULL), MED_OK);
        med_faulty_fs_free(&t->faulty);
        t->faulty = faulty;
        t->fs = med_faulty_fs_seam(faulty);
        end(begin(t, "a", "text"));
        for (int i = 0; i < 40; i++) {
            crash(t);
            snprintf(seen[run][i], sizeof seen[run][i], "%s", survivor(t, "a"));
        }
        void *done = t;
        tear_down(&done);
    }
    for (int i = 0; i < 40; i++) assert_string_equal(seen[0][i], seen[1][i]);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(a_durably_replaced_file_is_there_in_every_draw),
        WITH_FIXTURE(an_unsynced_file_may_be_absent_empty_torn_or_whole),
        WITH_FIXTURE(syncing_a_file_keeps_its_bytes_but_not_its_name),
        WITH_FIXTURE(an_unsynced_rename_is_old_or_new_but_never_half),
        WITH_FIXTURE(a_rename_before_the_sync_can_expose_torn_bytes),
        WITH_FIXTURE(removed_files_may_come_back_until_the_folder_is_synced),
        WITH_FIXTURE(entries_of_one_folder_survive_in_order),
        WITH_FIXTURE(folders_may_be_reordered_but_a_move_between_them_is_atomic),
        WITH_FIXTURE(overwriting_in_place_mixes_old_and_new_sectors),
        WITH_FIXTURE(files_from_before_and_from_elsewhere_count_as_synced),
        WITH_FIXTURE(a_renamed_folder_takes_its_files_along),
        WITH_FIXTURE(after_the_crash_every_operation_fails),
        cmocka_unit_test(the_operation_in_flight_may_have_happened),
        cmocka_unit_test(replacing_is_atomic_at_every_point_of_failure),
        WITH_FIXTURE(a_single_failure_is_reported_and_cleaned_up),
        WITH_FIXTURE(a_full_disk_cuts_the_write_that_crosses_the_line),
        cmocka_unit_test(the_same_seed_draws_the_same_ruins),
    };
    return cmocka_run_group_tests_name("faulty_fs", tests, NULL, NULL);
}

/* The POSIX side of the file seam, memory maps, paths, and the log line. */
#include "common/fs.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "tests/support/support.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[MED_PATH_MAX];

static int make_dir(void **state)
{
    (void)state;
    med_test_temp_new(dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    med_test_temp_remove(dir);
    return 0;
}

static const char *at(const char *name)
{
    static char paths[4][MED_PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 4];
    assert_int_equal(med_path_join(path, dir, name, NULL), MED_OK);
    return path;
}

static void assert_content(const char *path, const char *content)
{
    struct med_buf buf;
    med_buf_init(&buf, 1 << 20);
    assert_int_equal(med_read_file(path, &buf, NULL), MED_OK);
    assert_string_equal(buf.data ? buf.data : "", content);
    med_buf_free(&buf);
}

static void appended_bytes_are_counted_and_hashed(void **state)
{
    (void)state;
    struct med_file *file;
    assert_int_equal(med_file_create(med_fs_posix(), at("a"), &file, NULL), MED_OK);
    assert_int_equal(fcntl(file->fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(med_file_append(file, "hello ", 6, NULL), MED_OK);
    assert_int_equal(med_file_append(file, NULL, 0, NULL), MED_OK);
    assert_int_equal(med_file_append(file, "world", 5, NULL), MED_OK);
    uint64_t size;
    struct med_hash128 hash;
    assert_int_equal(med_file_finish(&file, &size, &hash, NULL), MED_OK);
    assert_null(file);
    assert_int_equal(size, 11);
    assert_true(med_hash128_eq(hash, med_hash128("hello world", 11)));
    assert_content(at("a"), "hello world");
}

static void a_discarded_file_is_gone(void **state)
{
    (void)state;
    struct med_file *file;
    assert_int_equal(med_file_create(med_fs_posix(), at("a"), &file, NULL), MED_OK);
    assert_int_equal(med_file_append(file, "x", 1, NULL), MED_OK);
    med_file_discard(&file);
    assert_null(file);
    med_file_discard(&file);
    assert_false(med_path_exists(at("a")));
}

static void replacing_leaves_no_other_file(void **state)
{
    (void)state;
    assert_int_equal(med_fs_replace(med_fs_posix(), at("CURRENT"), "1", 1, NULL), MED_OK);
    assert_int_equal(med_fs_replace(med_fs_posix(), at("CURRENT"), "22", 2, NULL), MED_OK);
    assert_content(at("CURRENT"), "22");
    assert_int_equal(unlink(at("CURRENT")), 0);
    assert_int_equal(rmdir(dir), 0); /* it was empty */
    assert_int_equal(mkdir(dir, 0700), 0);
    struct med_err err;
    assert_int_equal(med_fs_replace(med_fs_posix(), at("no/such"), "1", 1, &err), MED_E_NOT_FOUND);
    assert_non_null(strstr(err.text, "no/such"));
}

static void folders_are_made_with_their_parents_and_removed_whole(void **state)
{
    (void)state;
    const struct med_fs *fs = med_fs_posix();
    assert_int_equal(med_fs_mkdir_all(fs, at("a/b//c/"), NULL), MED_OK);
    assert_int_equal(med_fs_mkdir_all(fs, at("a/b/c"), NULL), MED_OK);
    assert_int_equal(med_fs_replace(fs, at("a/b/file"), "x", 1, NULL), MED_OK);
    assert_int_equal(med_fs_mkdir_all(fs, at("a/b/file"), NULL), MED_E_CONFLICT);
    assert_int_equal(med_fs_replace(fs, at("outside"), "keep", 4, NULL), MED_OK);
    assert_int_equal(symlink(dir, at("a/link")), 0);
    assert_int_equal(symlink(at("outside"), at("a/b/link")), 0);
    assert_int_equal(med_fs_remove_tree(fs, at("a"), NULL), MED_OK);
    assert_false(med_path_exists(at("a")));
    assert_content(at("outside"), "keep");
    assert_int_equal(med_fs_remove_tree(fs, at("a"), NULL), MED_OK);
    assert_int_equal(med_fs_remove_tree(fs, at("outside"), NULL), MED_OK);
    assert_false(med_path_exists(at("outside")));
}

static void operations_say_what_failed(void **state)
{
    (void)state;
    const struct med_fs *fs = med_fs_posix();
    struct med_err err;
    struct med_file *file = NULL;
    assert_int_equal(med_file_create(fs, dir, &file, &err), MED_E_IO);
    assert_null(file);
    assert_int_equal(fs->ops->rename(fs, at("x"), at("y"), &err), MED_E_NOT_FOUND);
    assert_int_equal(fs->ops->unlink(fs, at("x"), &err), MED_E_NOT_FOUND);
    assert_int_equal(fs->ops->rmdir(fs, at("x"), &err), MED_E_NOT_FOUND);
    assert_int_equal(fs->ops->sync_dir(fs, at("x"), &err), MED_E_NOT_FOUND);
    assert_non_null(strstr(err.text, "No such file"));
    assert_int_equal(fs->ops->mkdir(fs, dir, &err), MED_OK);
    assert_int_equal(fs->ops->mkdir(fs, at("x/y"), &err), MED_E_NOT_FOUND);
}

static void a_full_disk_is_told_apart(void **state)
{
    (void)state;
    if (access("/dev/full", W_OK) != 0) skip();
    const struct med_fs *fs = med_fs_posix();
    struct med_file *file;
    assert_int_equal(med_file_create(fs, "/dev/full", &file, NULL), MED_OK);
    assert_int_equal(med_file_append(file, "x", 1, NULL), MED_E_NO_SPACE);
    med_hasher_free(&file->hasher);
    assert_int_equal(fs->ops->close(file, NULL), MED_OK);
}

static void a_map_shows_the_file(void **state)
{
    (void)state;
    struct med_map map;
    assert_int_equal(med_fs_replace(med_fs_posix(), at("a"), "bytes", 5, NULL), MED_OK);
    assert_int_equal(med_map_open(at("a"), &map, NULL), MED_OK);
    assert_int_equal(map.len, 5);
    assert_memory_equal(map.ptr, "bytes", 5);
    med_map_close(&map);
    assert_null(map.ptr);
    assert_int_equal(med_fs_replace(med_fs_posix(), at("a"), "", 0, NULL), MED_OK);
    assert_int_equal(med_map_open(at("a"), &map, NULL), MED_OK);
    assert_true(map.ptr == NULL && map.len == 0);
    med_map_close(&map);
    assert_int_equal(med_map_open(at("none"), &map, NULL), MED_E_NOT_FOUND);
    assert_int_equal(med_map_open(dir, &map, NULL), MED_E_INVALID);
}

static void reading_is_bounded_by_the_buffer(void **state)
{
    (void)state;
    char big[200000];
    memset(big, 'b', sizeof big);
    assert_int_equal(med_fs_replace(med_fs_posix(), at("big"), big, sizeof big, NULL), MED_OK);
    struct med_buf buf;
    med_buf_init(&buf, sizeof big);
    assert_int_equal(med_read_file(at("big"), &buf, NULL), MED_OK);
    assert_int_equal(buf.len, sizeof big);
    med_buf_free(&buf);
    med_buf_init(&buf, sizeof big - 1);
    struct med_err err;
    assert_int_equal(med_read_file(at("big"), &buf, &err), MED_E_LIMIT);
    assert_non_null(strstr(err.text, "big"));
    med_buf_free(&buf);
    assert_int_equal(med_read_file(at("none"), &buf, NULL), MED_E_NOT_FOUND);
}

static void paths_join_with_one_slash(void **state)
{
    (void)state;
    char path[MED_PATH_MAX];
    assert_int_equal(med_path_join(path, "a/b", "c", NULL), MED_OK);
    assert_string_equal(path, "a/b/c");
    assert_int_equal(med_path_join(path, path, "d", NULL), MED_OK);
    assert_string_equal(path, "a/b/c/d");
    assert_int_equal(med_path_join(path, "/", "c", NULL), MED_OK);
    assert_string_equal(path, "/c");
    assert_int_equal(med_path_join(path, "", "c", NULL), MED_OK);
    assert_string_equal(path, "c");
    char longer[MED_PATH_MAX];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_int_equal(med_path_join(path, longer, "c", NULL), MED_E_LIMIT);
    assert_int_equal(med_path_join(path, "a", longer, NULL), MED_E_LIMIT);
    assert_string_equal(path, "c");
}

static void every_failed_allocation_leaves_no_file(void **state)
{
    (void)state;
    bool done = false;
    for (uint64_t n = 1; !done; n++) {
        med_mem_fail_after(n);
        enum med_code code = med_fs_replace(med_fs_posix(), at("a"), "x", 1, NULL);
        med_mem_fail_after(0);
        assert_true(code == MED_OK || code == MED_E_NOMEM);
        assert_int_equal(med_path_exists(at("a")), code == MED_OK);
        done = code == MED_OK;
    }
}

/* Runs one call with stderr in a file, and reads that file. */
static void capture_log(struct med_buf *text, enum med_log_format format, const char *message)
{
    const char *path = at("stderr");
    fflush(stderr);
    int saved = dup(STDERR_FILENO), fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(fd, STDERR_FILENO);
    med_log_setup(MED_LOG_INFO, format);
    med_log(MED_LOG_DEBUG, "quiet", "not shown");
    const struct med_log_field fields[] = {
        {.name = "path", .text = message}, {.name = "left", .number = 1.5}};
    med_log_fields(MED_LOG_WARN, "disk", fields, 2, "%s", message);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(fd);
    med_buf_reset(text);
    assert_int_equal(med_read_file(path, text, NULL), MED_OK);
}

static void a_log_line_cannot_be_forged(void **state)
{
    (void)state;
    struct med_buf text;
    med_buf_init(&text, 1 << 16);
    capture_log(&text, MED_LOG_TEXT, "a\nb \x1b[31m \"q\" \xC2\x9B \xFF");
    assert_string_equal(
        text.data + 20, " warn disk: a\\u000ab \\u001b[31m \"q\" \\u009b \xEF\xBF\xBD\n");
    capture_log(&text, MED_LOG_JSON, "a\nb \"q\" \\ \xFF");
    assert_int_equal(med_json_check(text.data, text.len, 2, NULL), MED_OK);
    struct med_json *root;
    assert_int_equal(med_json_parse(text.data, text.len, &root, NULL), MED_OK);
    assert_true(med_str_eq(med_json_get_str(root, "level"), MED_STR("warn")));
    assert_true(
        med_str_eq(med_json_get_str(root, "message"), MED_STR("a\nb \"q\" \\ \xEF\xBF\xBD")));
    assert_true(med_str_eq(med_json_get_str(root, "path"), med_json_get_str(root, "message")));
    assert_non_null(strstr(text.data, ",\"left\":1.5}"));
    med_json_free(&root);
    for (size_t len = 2000; len < 2048; len++) { /* cut at every place in an escape */
        char longer[2048] = "x";
        memset(longer + len % 2, len % 3 ? '"' : '\n', len - len % 2);
        longer[len] = '\0';
        capture_log(&text, MED_LOG_JSON, longer);
        assert_int_equal(med_json_check(text.data, text.len, 2, NULL), MED_OK);
    }
    med_buf_free(&text);
}

#define WITH_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_DIR(appended_bytes_are_counted_and_hashed),
        WITH_DIR(a_discarded_file_is_gone),
        WITH_DIR(replacing_leaves_no_other_file),
        WITH_DIR(folders_are_made_with_their_parents_and_removed_whole),
        WITH_DIR(operations_say_what_failed),
        WITH_DIR(a_full_disk_is_told_apart),
        WITH_DIR(a_map_shows_the_file),
        WITH_DIR(reading_is_bounded_by_the_buffer),
        WITH_DIR(paths_join_with_one_slash),
        WITH_DIR(every_failed_allocation_leaves_no_file),
        WITH_DIR(a_log_line_cannot_be_forged),
    };
    return cmocka_run_group_tests_name("fs", tests, NULL, NULL);
}

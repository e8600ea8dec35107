/* The JSON gate, the tree and the writer.
 *
 * Documented exceptions from JSONTestSuite's "must accept" files, four of 95: the two with a
 * duplicate key and the two with \u0000, which RFC 8259 leaves to the reader and common/json.h
 * refuses. */
#include "common/json.h"
#include "common/limits.h"
#include "common/mem.h"
#include "common/rng.h"
#include "tests/support/support.h"

#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static enum med_code parse(const char *text, struct med_json **ret_root)
{
    /* A copy of exactly the text, so that the address sanitizer sees a read behind its end. */
    size_t len = strlen(text);
    char *copy = med_malloc(len);
    memcpy(copy, text, len);
    struct med_err err;
    enum med_code code = med_json_parse(copy, len, ret_root, &err);
    assert_int_equal(med_json_check(copy, len, MED_JSON_DEPTH_MAX, NULL), code);
    med_free(copy);
    return code;
}

static void what_is_not_json_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"", " ", "[", "]", "{", "[1", "[1,", "[1,]", "[,1]",
        "[1 2]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{'a':1}", "{\"a\":1 \"b\":2}",
        "[1]]", "[1] x", "01", "-", "-01", "1.", ".5", "+1", "1e", "1e+", "0x1", "NaN", "Infinity",
        "tru", "truex", "nul", "\"", "\"a", "\"\\x\"", "\"\\u12\"", "\"\\u12G4\"", "\"\t\"",
        "\"\x01\"", "\"\xFF\"", "\"\xC0\x80\"", "\"\xED\xA0\x80\"", "\"\\ud800\"", "\"\\udc00\"",
        "\"\\ud800\\u0041\"", "\"\\ud800x\"", "\"\\", "\"\\u", "\xEF\xBB\xBF[]", "[1}", "{\"a\":1]",
        "//c\n1", "1e999", "[1]\f", "\"a\\u0000b\"", "{\"\\u0000\":1}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct med_json *root = NULL;
        if (parse(texts[i], &root) != MED_E_INVALID) fail_msg("accepted: %s", texts[i]);
        assert_null(root);
    }
    assert_int_equal(med_json_check("1\0", 2, 5, NULL), MED_E_INVALID);
    assert_int_equal(med_json_check("\"\0\"", 3, 5, NULL), MED_E_INVALID);
    assert_int_equal(med_json_check(NULL, 0, 5, NULL), MED_E_INVALID);
}

static void the_sentence_names_the_byte(void **state)
{
    (void)state;
    struct med_err err;
    assert_int_equal(med_json_check("{\"a\": tru}", 10, 5, &err), MED_E_INVALID);
    assert_string_equal(err.text, "not valid JSON: an unknown word at byte 6");
}

static void duplicate_keys_are_refused_however_they_are_written(void **state)
{
    (void)state;
    struct med_json *root = NULL;
    assert_int_equal(parse("{\"a\":1,\"a\":1}", &root), MED_E_INVALID);
    assert_int_equal(parse("{\"a\":1,\"\\u0061\":1}", &root), MED_E_INVALID);
    assert_int_equal(parse("{\"\":1,\"b\":{},\"\":2}", &root), MED_E_INVALID);
    assert_int_equal(parse("[{\"x\":{\"a\":1,\"b\":2,\"a\":3}}]", &root), MED_E_INVALID);
    assert_int_equal(parse("{\"a\":{\"a\":{\"a\":[{\"a\":1},{\"a\":2}]}},\"A\":1}", &root), MED_OK);
    med_json_free(&root);
    assert_null(root);
}

static void depth_is_limited_exactly(void **state)
{
    (void)state;
    char text[2 * 100 + 1];
    for (size_t depth = 63; depth <= 65; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        text[2 * depth] = '\0';
        struct med_json *root = NULL;
        assert_int_equal(parse(text, &root), depth <= MED_JSON_DEPTH_MAX ? MED_OK : MED_E_LIMIT);
        med_json_free(&root);
    }
    size_t many = 1 << 20;
    char *deep = med_malloc(many);
    memset(deep, '[', many);
    assert_int_equal(med_json_check(deep, many, MED_JSON_DEPTH_MAX, NULL), MED_E_LIMIT);
    assert_int_equal(
        med_json_check(deep, many, SIZE_MAX, NULL), MED_E_INVALID); /* no stack to overflow */
    med_free(deep);
    assert_int_equal(med_json_check("1", 1, 0, NULL), MED_OK);
    assert_int_equal(med_json_check("[]", 2, 0, NULL), MED_E_LIMIT);
}

static void values_are_read_back(void **state)
{
    (void)state;
    struct med_json *root = NULL;
    assert_int_equal(parse(" { \"q\" : \"sep\\u0073is \\ud83d\\ude00\\n\", \"limit\": 10, \"f\": "
                           "[1.5, true, null],"
                           " \"o\": {} , \"no\":false}\r\n",
                         &root),
        MED_OK);
    assert_int_equal(med_json_type(root), MED_JSON_OBJECT);
    assert_int_equal(med_json_count(root), 5);
    assert_true(med_str_eq(med_json_get_str(root, "q"), MED_STR("sepsis \xF0\x9F\x98\x80\n")));
    assert_null(med_json_get(root, "Q"));
    assert_null(med_json_get(med_json_get(root, "f"), "q"));
    assert_null(med_json_get(NULL, "q"));
    assert_null(med_json_get_str(root, "limit").ptr);
    const struct med_json *f = med_json_get(root, "f");
    assert_int_equal(med_json_type(f), MED_JSON_ARRAY);
    const struct med_json *child = med_json_first(f);
    assert_true(fabs(med_json_number(child) - 1.5) < 1e-15);
    child = med_json_next(child);
    assert_int_equal(med_json_type(child), MED_JSON_BOOL);
    assert_true(med_json_bool(child));
    child = med_json_next(child);
    assert_int_equal(med_json_type(child), MED_JSON_NULL);
    assert_null(med_json_next(child));
    assert_string_equal(med_json_key(med_json_first(root)), "q");
    assert_null(med_json_first(med_json_get(root, "o")));
    assert_null(med_json_first(med_json_get(root, "q")));
    assert_false(med_json_bool(med_json_get(root, "no")));
    assert_false(med_json_bool(med_json_get(root, "q")));
    assert_string_equal(med_json_type_name(MED_JSON_ARRAY), "an array");
    med_json_free(&root);
    med_json_free(&root);
}

static bool int_of(const char *text, long long min, long long max, long long *ret_x)
{
    struct med_json *root = NULL;
    assert_int_equal(parse(text, &root), MED_OK);
    bool ok = med_json_int(root, min, max, ret_x);
    med_json_free(&root);
    return ok;
}

static void integers_are_whole_exact_and_in_range(void **state)
{
    (void)state;
    long long x = -7;
    assert_true(int_of("10", 1, 10, &x) && x == 10);
    assert_true(int_of("1e1", 1, 10, &x) && x == 10);
    assert_true(int_of("-0", 0, 10, &x) && x == 0);
    assert_true(int_of("9007199254740992", 0, INT64_MAX, &x) && x == 1ll << 53);
    x = -7;
    static const char *const not_ints[] = {
        "0", "11", "1.5", "\"5\"", "null", "true", "1e300", "-1e300", "9007199254740994"};
    for (size_t i = 0; i < sizeof not_ints / sizeof *not_ints; i++) {
        assert_false(int_of(not_ints[i], 1, i == 8 ? INT64_MAX : 10, &x));
    }
    assert_int_equal(x, -7);
}

static void numbers_longer_than_cjson_can_read_keep_their_value(void **state)
{
    (void)state;
    struct med_json *root = NULL;
    char text[400];
    snprintf(text, sizeof text, "[1.%0100d5, -%0*d, 3]", 0, 1, 0);
    assert_int_equal(parse(text, &root), MED_OK);
    const struct med_json *v = med_json_first(root);
    assert_true(fabs(med_json_number(v) - 1) < 1e-15);
    assert_true(fabs(med_json_number(med_json_next(med_json_next(v))) - 3) < 1e-15);
    assert_int_equal(med_json_count(root), 3);
    med_json_free(&root);

    char digits[120];
    memset(digits, '9', 100);
    digits[100] = '\0';
    assert_int_equal(parse(digits, &root), MED_OK);
    assert_true(fabs(med_json_number(root) / 1e100 - 1) < 1e-15);
    med_json_free(&root);
    assert_int_equal(
        parse("-0.000000000000000000000000000000000000000000000000000000000000000000000012345",
            &root),
        MED_OK);
    assert_true(fabs(med_json_number(root) / -1.2345e-71 - 1) < 1e-15);
    med_json_free(&root);
}

static void every_failed_allocation_is_reported(void **state)
{
    (void)state;
    static const char text[] =
        "{\"a\":[1,2,{\"b\":\"c\"}],\"long\":1."
        "0000000000000000000000000000000000000000000000000000000000000000000001,\"d\":{}}";
    bool done = false;
    for (uint64_t n = 1; !done; n++) {
        struct med_json *root = NULL;
        med_mem_fail_after(n);
        enum med_code code = med_json_parse(text, strlen(text), &root, NULL);
        med_mem_fail_after(0);
        assert_true(code == MED_OK || code == MED_E_NOMEM);
        assert_int_equal(root != NULL, code == MED_OK);
        med_json_free(&root);
        done = code == MED_OK;
        assert_true(n < 1000);
    }
}

/* --- JSONTestSuite --- */

static bool is_documented_exception(const char *name)
{
    static const char *const names[] = {"y_object_duplicated_key.json",
        "y_object_duplicated_key_and_value.json", "y_object_escaped_null_in_key.json",
        "y_string_null_escape.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0) return true;
    }
    return false;
}

static void unpack(const char *archive, const char *dir)
{
    char command[3 * MED_PATH_MAX];
    snprintf(command, sizeof command, "tar -xzf '%s' -C '%s'", archive, dir);
    assert_int_equal(system(command), 0);
}

/* The name begins with y (accept), n (refuse) or i (either, but no crash). */
static void check_suite_file(const char *dir, const char *name, unsigned counts[3])
{
    char path[MED_PATH_MAX];
    assert_int_equal(med_path_join(path, dir, name, NULL), MED_OK);
    struct med_map map;
    assert_int_equal(med_map_open(path, &map, NULL), MED_OK);
    struct med_json *root = NULL;
    enum med_code code = med_json_parse((const char *)map.ptr, map.len, &root, NULL);
    if (code == MED_OK) med_json_free(&root);
    bool accept = name[0] == 'y' && !is_documented_exception(name);
    if (name[0] != 'i' && (code == MED_OK) != accept) fail_msg("%s: %s", name, med_code_name(code));
    counts[name[0] == 'y' ? 0 : name[0] == 'n' ? 1 : 2]++;
    med_map_close(&map);
}

static void json_test_suite_is_judged_as_it_asks(void **state)
{
    (void)state;
    char archive[MED_PATH_MAX], dir[MED_PATH_MAX], files[MED_PATH_MAX];
    if (!med_test_shared(archive, "data/jsontestsuite/test_parsing.tar.gz")) {
        print_message("skipped: no %s\n", archive);
        skip();
    }
    med_test_temp_new(dir);
    unpack(archive, dir);
    assert_int_equal(med_path_join(files, dir, "test_parsing", NULL), MED_OK);
    DIR *stream = opendir(files);
    assert_non_null(stream);
    unsigned counts[3] = {0};
    for (struct dirent *d; (d = readdir(stream));) {
        if (d->d_name[0] != '.') check_suite_file(files, d->d_name, counts);
    }
    closedir(stream);
    med_test_temp_remove(dir);
    assert_int_equal(counts[0], 95);
    assert_int_equal(counts[1], 188);
    assert_int_equal(counts[2], 35);
}

/* --- writer --- */

static void write_sample(struct med_jw *w)
{
    med_jw_object(w);
    med_jw_kstr(w, "text", MED_STR("a\"b\\c\n\x01\x7F\xC3\xA9\xFF"));
    med_jw_kcstr(w, "none", NULL);
    med_jw_kint(w, "int", INT64_MIN);
    med_jw_kbool(w, "yes", true);
    med_jw_kdouble(w, "tenth", .1);
    med_jw_key(w, "list");
    med_jw_array(w);
    med_jw_uint(w, UINT64_MAX);
    med_jw_null(w);
    med_jw_float(w, 1.50, 4);
    med_jw_raw(w, MED_STR("{}"));
    med_jw_array(w);
    med_jw_array_end(w);
    med_jw_array_end(w);
    med_jw_key(w, "empty");
    med_jw_object(w);
    med_jw_object_end(w);
    med_jw_object_end(w);
}

static void the_writer_puts_commas_and_escapes(void **state)
{
    (void)state;
    struct med_buf buf;
    med_buf_init(&buf, 10000);
    struct med_jw w = med_jw_of(&buf, false);
    write_sample(&w);
    assert_string_equal(buf.data,
        "{\"text\":\"a\\\"b\\\\c\\n\\u0001\x7F\xC3\xA9\xEF\xBF\xBD\",\"none\":null,"
        "\"int\":-9223372036854775808,\"yes\":true,\"tenth\":0.1,"
        "\"list\":[18446744073709551615,null,1.5,{},[]],\"empty\":{}}");
    med_buf_reset(&buf);
    w = med_jw_of(&buf, true);
    write_sample(&w);
    assert_non_null(strstr(buf.data, "{\n  \"text\": \"a"));
    assert_non_null(strstr(buf.data, "\"list\": [\n    18446744073709551615,\n    null,"));
    assert_non_null(strstr(buf.data, "    []\n  ],\n  \"empty\": {}\n}"));
    assert_int_equal(med_json_check(buf.data, buf.len, 10, NULL), MED_OK);
    med_buf_free(&buf);
}

static const char *number_text(struct med_buf *buf, double v, int decimals)
{
    med_buf_reset(buf);
    struct med_jw w = med_jw_of(buf, false);
    if (decimals < 0)
        med_jw_double(&w, v);
    else
        med_jw_float(&w, v, decimals);
    return buf->data;
}

static void doubles_are_short_and_read_back_the_same(void **state)
{
    (void)state;
    struct med_buf buf;
    med_buf_init(&buf, 1000);
    assert_string_equal(number_text(&buf, .1, -1), "0.1");
    assert_string_equal(number_text(&buf, 100, -1), "100");
    assert_string_equal(number_text(&buf, (double)NAN, -1), "null");
    assert_string_equal(number_text(&buf, (double)INFINITY, 3), "null");
    assert_string_equal(number_text(&buf, .123456, 3), "0.123");
    assert_string_equal(number_text(&buf, 2, 3), "2");
    assert_string_equal(number_text(&buf, 100, 0), "100");
    assert_string_equal(number_text(&buf, -.0001, 3), "0");
    assert_int_equal(strlen(number_text(&buf, 1e308, 2)), 309);
    struct med_rng rng;
    med_rng_seed(&rng, med_test_seed());
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = med_rng_u64(&rng);
        double v;
        memcpy(&v, &bits, sizeof v);
        if (!isfinite(v)) continue;
        struct med_json *root;
        assert_int_equal(parse(number_text(&buf, v, -1), &root), MED_OK);
        double back = med_json_number(root);
        assert_memory_equal(&back, &v, sizeof v);
        med_json_free(&root);
    }
    med_buf_free(&buf);
}

static void any_bytes_written_are_valid_json(void **state)
{
    (void)state;
    struct med_rng rng;
    med_rng_seed(&rng, med_test_seed());
    struct med_buf buf;
    med_buf_init(&buf, 1 << 16);
    for (int round = 0; round < 20000; round++) {
        char bytes[32];
        size_t len = (size_t)med_rng_below(&rng, sizeof bytes + 1);
        for (size_t i = 0; i < len; i++) bytes[i] = (char)med_rng_below(&rng, 256);
        for (size_t i = 0; i < len; i++) bytes[i] = bytes[i] ? bytes[i] : 'x'; /* NUL is refused */
        med_buf_reset(&buf);
        struct med_jw w = med_jw_of(&buf, round % 2);
        med_jw_array(&w);
        med_jw_str(&w, (struct med_str){bytes, len});
        med_jw_array_end(&w);
        struct med_err err;
        if (med_json_check(buf.data, buf.len, 3, &err) != MED_OK) fail_msg("%s", err.text);
    }
    med_buf_free(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_json_is_refused),
        cmocka_unit_test(the_sentence_names_the_byte),
        cmocka_unit_test(duplicate_keys_are_refused_however_they_are_written),
        cmocka_unit_test(depth_is_limited_exactly),
        cmocka_unit_test(values_are_read_back),
        cmocka_unit_test(integers_are_whole_exact_and_in_range),
        cmocka_unit_test(numbers_longer_than_cjson_can_read_keep_their_value),
        cmocka_unit_test(every_failed_allocation_is_reported),
        cmocka_unit_test(json_test_suite_is_judged_as_it_asks),
        cmocka_unit_test(the_writer_puts_commas_and_escapes),
        cmocka_unit_test(doubles_are_short_and_read_back_the_same),
        cmocka_unit_test(any_bytes_written_are_valid_json),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}

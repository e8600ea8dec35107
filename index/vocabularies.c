/* Storing and loading vocabularies. See vocabularies.h. */
#include "index/vocabularies.h"

#include "index/data_folder.h"
#include "index/ingest/input.h"
#include "index/vocabulary_parse.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FOLDER "vocab"
#define SUFFIX ".tsv"
#define HEADER "# medicus vocabulary 1: id, name, synonyms, tree numbers\n"
#define CHECKSUM_PREFIX "# xxh3 "
#define ARENA_BYTES_MAX (4 * MED_VOCABULARY_BYTES_MAX)
#define READ_BYTES ((size_t)64 << 10)
#define FILES_MAX 256u

static enum med_code out_of_memory(struct med_err *err)
{
    return med_fail(err, MED_E_NOMEM, "out of memory for the vocabularies");
}

/* "dir/desc2026.xml.gz" -> "desc2026"; other characters than [a-z0-9_-] become dashes. */
static void name_of_path(const char *path, char ret_name[MED_VOCABULARY_NAME_MAX + 1])
{
    static const char *const suffixes[] = {".gz", ".tsv", ".xml", ".txt", ".csv"};
    struct med_str base = med_base_name(path);
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        struct med_str suffix = med_str_of(suffixes[i]);
        if (base.len > suffix.len && med_str_ends(base, suffix)) base.len -= suffix.len;
    }
    size_t n = 0;
    for (size_t i = 0; i < base.len && n < MED_VOCABULARY_NAME_MAX; i++) {
        char c = base.ptr[i];
        if (c >= 'A' && c <= 'Z') c = (char)(c + ('a' - 'A'));
        bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
        ret_name[n++] = plain ? c : '-';
    }
    ret_name[n] = '\0';
    if (strcmp(ret_name, "-") == 0 || n == 0)
        snprintf(ret_name, MED_VOCABULARY_NAME_MAX, "vocabulary");
}

static bool name_ok(const char *name)
{
    size_t len = strlen(name);
    return len > 0 && len <= MED_VOCABULARY_NAME_MAX &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == len;
}

static enum med_code file_path(
    const struct med_data *data, const char *name, char ret_path[MED_PATH_MAX], struct med_err *err)
{
    char file[MED_VOCABULARY_NAME_MAX + sizeof SUFFIX];
    snprintf(file, sizeof file, "%s" SUFFIX, name);
    return data_path(data, FOLDER, file, NULL, ret_path, err);
}

/* --- adding --- */

static enum med_code read_text(struct med_stream *stream, struct med_buf *out, struct med_err *err)
{
    char piece[READ_BYTES];
    size_t len = 1;
    enum med_code code = MED_OK;
    while (!code && len) {
        code = med_stream_read(stream, piece, sizeof piece, &len, err);
        if (!code) med_buf_append(out, piece, len);
        if (out->code) break;
    }
    return code ? code : med_buf_status(out, err);
}

static enum med_code read_stream(struct med_stream *stream, const char *path,
    struct vocabulary_reader *reader, struct med_err *err)
{
    struct med_str head;
    enum med_code code = med_stream_head(stream, &head, err);
    if (code) return code;
    head = med_str_trim(head);
    if (med_str_starts(head, MED_STR("\xef\xbb\xbf"))) head = med_str_sub(head, 3, head.len);
    if (head.len && head.ptr[0] == '<') {
        struct med_input in = {.read = med_stream_read, .ctx = stream, .name = med_base_name(path)};
        return vocabulary_xml(reader, &in, err);
    }
    struct med_buf text;
    med_buf_init(&text, MED_VOCABULARY_BYTES_MAX);
    code = read_text(stream, &text, err);
    if (!code) code = vocabulary_lines(reader, med_buf_str(&text), err);
    med_buf_free(&text);
    return code;
}

static enum med_code read_file(
    const char *path, struct vocabulary_reader *reader, struct med_err *err)
{
    struct med_raw raw;
    struct med_stream *stream;
    enum med_code code = med_raw_open(path, &raw, err);
    if (code) return code;
    struct med_input in = {.read = med_raw_read, .ctx = &raw, .name = med_str_of(path)};
    code = med_stream_open(&in, &stream, err);
    if (!code) {
        code = read_stream(stream, path, reader, err);
        const char *problem = code ? NULL : med_stream_problem(stream);
        if (problem) code = med_fail(err, MED_E_INVALID, "%s: %s", path, problem);
        med_stream_close(&stream);
    }
    med_raw_close(&raw);
    return code;
}

static void put_list(struct med_buf *out, const struct med_str *list, size_t count)
{
    med_buf_putc(out, '\t');
    for (size_t i = 0; i < count; i++) {
        if (i) med_buf_putc(out, '|');
        med_buf_append_str(out, list[i]);
    }
}

static enum med_code save(struct med_data *data, const char *name,
    const struct med_vocabulary *vocabulary, struct med_err *err)
{
    char path[MED_PATH_MAX], hex[MED_HASH_HEX_LEN + 1];
    struct med_buf out;
    med_buf_init(&out, MED_VOCABULARY_BYTES_MAX);
    med_buf_puts(&out, HEADER);
    for (size_t i = 0; i < vocabulary->count; i++) {
        const struct med_vocabulary_entry *e = &vocabulary->entries[i];
        med_buf_append_str(&out, e->id);
        med_buf_putc(&out, '\t');
        med_buf_append_str(&out, e->name);
        put_list(&out, e->synonyms, e->synonym_count);
        put_list(&out, e->trees, e->tree_count);
        med_buf_putc(&out, '\n');
    }
    enum med_code code = med_buf_status(&out, err);
    if (!code) {
        med_hash128_hex(med_hash128(out.data, out.len), hex);
        med_buf_printf(&out, CHECKSUM_PREFIX "%s\n", hex);
        code = med_buf_status(&out, err);
    }
    if (!code) code = data_path(data, FOLDER, NULL, NULL, path, err);
    if (!code) code = med_fs_mkdir_all(data->fs, path, err);
    if (!code) code = file_path(data, name, path, err);
    if (!code) code = med_fs_replace(data->fs, path, out.data, out.len, err);
    med_buf_free(&out);
    return code;
}

static void count_entries(const struct med_vocabulary *v, size_t *ret_synonyms, size_t *ret_trees)
{
    *ret_synonyms = *ret_trees = 0;
    for (size_t i = 0; i < v->count; i++) {
        *ret_synonyms += v->entries[i].synonym_count;
        *ret_trees += v->entries[i].tree_count;
    }
}

enum med_code med_vocabularies_add(struct med_data *data, const char *path,
    struct med_vocabulary_report *ret_report, struct med_err *err)
{
    struct med_vocabulary_report report = {0};
    struct med_vocabulary vocabulary;
    struct vocabulary_reader reader;
    struct med_arena *arena;
    char target[MED_PATH_MAX];
    name_of_path(path, report.name);
    enum med_code code = med_arena_new(ARENA_BYTES_MAX, &arena, err);
    if (code) return code;
    vocabulary_init(&reader, arena);
    code = read_file(path, &reader, err);
    if (!code && reader.count == 0)
        code = med_fail(err, MED_E_INVALID,
            "%s holds no entry; MeSH descriptor XML and lines of id<TAB>name<TAB>a|b|c are read",
            path);
    if (!code) code = vocabulary_finish(&reader, &vocabulary, err);
    if (!code) code = file_path(data, report.name, target, err);
    if (!code) {
        report.replaced = med_path_exists(target);
        report.entries = vocabulary.count;
        report.skipped = reader.skipped;
        report.first_skipped = reader.first_skipped;
        count_entries(&vocabulary, &report.synonyms, &report.trees);
        code = save(data, report.name, &vocabulary, err);
    }
    vocabulary_free(&reader);
    med_arena_free(&arena);
    if (!code) *ret_report = report;
    return code;
}

/* --- what is stored --- */

static int by_name(const void *a, const void *b)
{
    const struct med_str *x = a, *y = b;
    return med_str_cmp(*x, *y);
}

/* Names of the stored files, without suffix, in order. */
static enum med_code stored_names(const struct med_data *data, struct med_arena *arena,
    struct med_str **ret_names, size_t *ret_count, struct med_err *err)
{
    char path[MED_PATH_MAX];
    struct med_str suffix = MED_STR(SUFFIX);
    struct med_str *names = med_arena_calloc(arena, FILES_MAX, sizeof *names);
    size_t count = 0;
    if (!names) return out_of_memory(err);
    enum med_code code = data_path(data, FOLDER, NULL, NULL, path, err);
    if (code) return code;
    DIR *dir = opendir(path);
    if (!dir && errno != ENOENT) return med_fail_errno(err, errno, "cannot read %s", path);
    for (struct dirent *e; dir && !code && (e = readdir(dir));) {
        struct med_str file = med_str_of(e->d_name);
        if (file.len <= suffix.len || !med_str_ends(file, suffix)) continue;
        char *name = med_arena_strndup(arena, file.ptr, file.len - suffix.len);
        if (!name) code = out_of_memory(err);
        if (code || !name_ok(name)) continue;
        if (count == FILES_MAX)
            code = med_fail(err, MED_E_LIMIT, "more than %u vocabularies in %s", FILES_MAX, path);
        else
            names[count++] = med_str_of(name);
    }
    if (dir) closedir(dir);
    if (code) return code;
    if (count) qsort(names, count, sizeof *names, by_name);
    *ret_names = names;
    *ret_count = count;
    return MED_OK;
}

/* Cuts the checksum line off; false when it does not fit. */
static bool check_sum(struct med_str *text)
{
    struct med_str prefix = MED_STR(CHECKSUM_PREFIX);
    size_t line = prefix.len + MED_HASH_HEX_LEN + 1;
    struct med_hash128 stated;
    if (text->len < line || text->ptr[text->len - 1] != '\n') return false;
    struct med_str body = med_str_sub(*text, 0, text->len - line);
    struct med_str last = med_str_sub(*text, body.len, text->len - 1);
    if (!med_str_starts(last, prefix) ||
        !med_hash128_from_hex(med_str_sub(last, prefix.len, last.len), &stated) ||
        !med_hash128_eq(stated, med_hash128(body.ptr, body.len)))
        return false;
    *text = body;
    return true;
}

static enum med_code load_one(const struct med_data *data, struct med_str name,
    struct vocabulary_reader *reader, uint64_t *ret_bytes, struct med_err *err)
{
    char path[MED_PATH_MAX];
    struct med_buf buf;
    enum med_code code = file_path(data, name.ptr, path, err);
    if (code) return code;
    med_buf_init(&buf, MED_VOCABULARY_BYTES_MAX);
    code = med_read_file(path, &buf, err);
    struct med_str text = med_buf_str(&buf);
    *ret_bytes = text.len;
    if (!code && !check_sum(&text))
        code = med_fail(err, MED_E_CORRUPT,
            "%s fails its checksum; add the vocabulary again, or remove it", path);
    if (!code) code = vocabulary_lines(reader, text, err);
    med_buf_free(&buf);
    return code;
}

enum med_code med_vocabularies_load(const struct med_data *data, struct med_arena *arena,
    struct med_vocabulary *ret_vocabulary, struct med_err *err)
{
    struct vocabulary_reader reader;
    struct med_str *names;
    size_t count = 0;
    uint64_t bytes;
    vocabulary_init(&reader, arena);
    enum med_code code = stored_names(data, arena, &names, &count, err);
    for (size_t i = 0; !code && i < count; i++)
        code = load_one(data, names[i], &reader, &bytes, err);
    if (!code) code = vocabulary_finish(&reader, ret_vocabulary, err);
    vocabulary_free(&reader);
    return code;
}

static enum med_code hash_one(const struct med_data *data, struct med_str name,
    struct med_hasher *hasher, struct med_err *err)
{
    char path[MED_PATH_MAX];
    struct med_buf buf;
    enum med_code code = file_path(data, name.ptr, path, err);
    if (code) return code;
    med_buf_init(&buf, MED_VOCABULARY_BYTES_MAX);
    code = med_read_file(path, &buf, err);
    if (!code) {
        med_hasher_update(hasher, name.ptr, name.len + 1);
        med_hasher_update(hasher, buf.data, buf.len);
    }
    med_buf_free(&buf);
    return code;
}

enum med_code med_vocabularies_hash(const struct med_data *data, struct med_arena *arena,
    struct med_hash128 *ret_hash, struct med_err *err)
{
    struct med_str *names;
    size_t count = 0;
    enum med_code code = stored_names(data, arena, &names, &count, err);
    *ret_hash = (struct med_hash128){0};
    if (code || count == 0) return code;
    struct med_hasher *hasher = med_hasher_new();
    if (!hasher) return out_of_memory(err);
    for (size_t i = 0; !code && i < count; i++) code = hash_one(data, names[i], hasher, err);
    if (!code) *ret_hash = med_hasher_digest(hasher);
    med_hasher_free(&hasher);
    return code;
}

enum med_code med_vocabularies_list(const struct med_data *data, struct med_arena *arena,
    struct med_vocabulary_info **ret_list, size_t *ret_count, struct med_err *err)
{
    struct med_str *names;
    size_t count = 0;
    enum med_code code = stored_names(data, arena, &names, &count, err);
    if (code) return code;
    struct med_vocabulary_info *list = med_arena_calloc(arena, count + 1, sizeof *list);
    if (!list) return out_of_memory(err);
    for (size_t i = 0; !code && i < count; i++) {
        struct vocabulary_reader reader;
        struct med_vocabulary v;
        vocabulary_init(&reader, arena);
        list[i].name = names[i];
        code = load_one(data, names[i], &reader, &list[i].bytes, err);
        if (!code) code = vocabulary_finish(&reader, &v, err);
        vocabulary_free(&reader);
        if (code) break;
        list[i].entries = v.count;
        count_entries(&v, &list[i].synonyms, &list[i].trees);
    }
    if (code) return code;
    *ret_list = list;
    *ret_count = count;
    return MED_OK;
}

enum med_code med_vocabularies_remove(struct med_data *data, const char *name, struct med_err *err)
{
    char path[MED_PATH_MAX], folder[MED_PATH_MAX];
    if (!name_ok(name))
        return med_fail(err, MED_E_NOT_FOUND, "no vocabulary is called %.64s", name);
    enum med_code code = file_path(data, name, path, err);
    if (!code) code = data_path(data, FOLDER, NULL, NULL, folder, err);
    if (code) return code;
    if (!med_path_exists(path))
        return med_fail(err, MED_E_NOT_FOUND,
            "no vocabulary is called %s; `medicus vocab list` shows those that there are", name);
    code = data->fs->ops->unlink(data->fs, path, err);
    return code ? code : data->fs->ops->sync_dir(data->fs, folder, err);
}

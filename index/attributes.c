/* Document -> values: writing and opening the attributes of a segment. See fields.h. */
#include "index/fields.h"

#include "common/limits.h"
#include "common/mem.h"

#include <stdio.h>

struct med_attributes_writer {
    struct med_vocab *values; /* in the order of their first use */
    uint32_t *doc_start, *entries;
    size_t doc_count, doc_cap, entry_count, entry_cap;
};

static enum med_code out_of_memory(struct med_err *err)
{
    return med_fail(err, MED_E_NOMEM, "out of memory for the attributes of documents");
}

/* --- writing --- */

enum med_code med_attributes_writer_new(
    struct med_attributes_writer **ret_writer, struct med_err *err)
{
    struct med_attributes_writer *w = med_calloc(1, sizeof *w);
    if (!w) return out_of_memory(err);
    enum med_code code = med_vocab_new(&w->values, err);
    if (code) {
        med_attributes_writer_free(&w);
        return code;
    }
    *ret_writer = w;
    return MED_OK;
}

void med_attributes_writer_free(struct med_attributes_writer **writer)
{
    struct med_attributes_writer *w = *writer;
    if (!w) return;
    med_vocab_free(&w->values);
    med_free(w->doc_start);
    med_free(w->entries);
    med_free(w);
    *writer = NULL;
}

enum med_code med_attributes_doc(struct med_attributes_writer *w, struct med_err *err)
{
    if (!med_grow(&w->doc_start, &w->doc_cap, w->doc_count + 2, sizeof *w->doc_start))
        return out_of_memory(err);
    w->doc_start[w->doc_count++] = (uint32_t)w->entry_count;
    return MED_OK;
}

enum med_code med_attributes_value(
    struct med_attributes_writer *w, struct med_str value, uint32_t *ret_value, struct med_err *err)
{
    return med_vocab_intern(w->values, value, ret_value, err);
}

enum med_code med_attributes_add(
    struct med_attributes_writer *w, uint32_t value, struct med_err *err)
{
    for (size_t i = w->doc_start[w->doc_count - 1]; i < w->entry_count; i++) {
        if (w->entries[i] == value) return MED_OK;
    }
    if (w->entry_count == UINT32_MAX ||
        !med_grow(&w->entries, &w->entry_cap, w->entry_count + 1, sizeof *w->entries))
        return out_of_memory(err);
    w->entries[w->entry_count++] = value;
    return MED_OK;
}

static enum med_code append(struct med_file *file, const void *ptr, size_t len, struct med_err *err)
{
    return len ? med_file_append(file, ptr, len, err) : MED_OK;
}

static enum med_code write_attributes(
    struct med_attributes_writer *w, struct med_file *file, struct med_err *err)
{
    uint32_t value_count = med_vocab_count(w->values);
    struct med_attributes_header h = {.doc_count = (uint32_t)w->doc_count,
        .value_count = value_count,
        .entry_count = (uint32_t)w->entry_count};
    memcpy(h.magic, MED_ATTRIBUTES_MAGIC, sizeof h.magic);
    uint32_t *starts = med_malloc(((size_t)value_count + 1) * sizeof *starts);
    if (!starts) return out_of_memory(err);
    for (uint32_t v = 0; v < value_count; v++) {
        starts[v] = (uint32_t)h.heap_len;
        h.heap_len += med_vocab_term(w->values, v).len;
    }
    starts[value_count] = (uint32_t)h.heap_len;
    enum med_code code = MED_OK;
    if (h.heap_len > UINT32_MAX)
        code = med_fail(err, MED_E_LIMIT, "the values of the fields take more than 4 GiB");
    if (!med_grow(&w->doc_start, &w->doc_cap, w->doc_count + 1, sizeof *w->doc_start))
        code = out_of_memory(err);
    if (!code) {
        w->doc_start[w->doc_count] = (uint32_t)w->entry_count;
        code = append(file, &h, sizeof h, err);
    }
    if (!code) code = append(file, starts, ((size_t)value_count + 1) * sizeof *starts, err);
    if (!code) code = append(file, w->doc_start, (w->doc_count + 1) * sizeof *w->doc_start, err);
    if (!code) code = append(file, w->entries, w->entry_count * sizeof *w->entries, err);
    for (uint32_t v = 0; !code && v < value_count; v++) {
        struct med_str value = med_vocab_term(w->values, v);
        code = append(file, value.ptr, value.len, err);
    }
    med_free(starts);
    return code;
}

enum med_code med_attributes_finish(struct med_attributes_writer *w, const struct med_fs *fs,
    const char *dir, struct med_file_ref *ret_file, struct med_err *err)
{
    char path[MED_PATH_MAX];
    struct med_file *file = NULL;
    enum med_code code = med_path_join(path, dir, "attributes", err);
    if (!code) code = med_file_create(fs, path, &file, err);
    if (!code) code = write_attributes(w, file, err);
    if (code) {
        if (file) med_file_discard(&file);
        return code;
    }
    snprintf(ret_file->name, sizeof ret_file->name, "attributes");
    return med_file_finish(&file, &ret_file->size, &ret_file->hash, err);
}

/* --- reading --- */

static enum med_code corrupt(struct med_err *err, const char *what)
{
    return med_fail(err, MED_E_CORRUPT, "the attributes are damaged: %s", what);
}

static bool ascends(const uint32_t *starts, uint32_t count, uint64_t end, uint32_t least)
{
    if (starts[0] != 0 || starts[count] != end) return false;
    for (uint32_t i = 0; i < count; i++) {
        if (starts[i] > starts[i + 1] || starts[i + 1] - starts[i] < least) return false;
    }
    return true;
}

enum med_code med_attributes_open(
    struct med_map map, struct med_attributes *ret_attributes, struct med_err *err)
{
    struct med_attributes_header h;
    if (map.len < sizeof h) return corrupt(err, "no header");
    memcpy(&h, map.ptr, sizeof h);
    if (memcmp(h.magic, MED_ATTRIBUTES_MAGIC, sizeof h.magic) != 0)
        return corrupt(err, "no header");
    uint64_t numbers = (uint64_t)h.value_count + 1 + h.doc_count + 1 + h.entry_count;
    uint64_t rest = map.len - sizeof h;
    if (rest < numbers * 4 || rest - numbers * 4 != h.heap_len || h.heap_len > UINT32_MAX)
        return corrupt(err, "the size is wrong");
    struct med_attributes a = {.doc_count = h.doc_count, .value_count = h.value_count};
    a.value_start = (const uint32_t *)(map.ptr + sizeof h);
    a.doc_start = a.value_start + h.value_count + 1;
    a.entries = a.doc_start + h.doc_count + 1;
    a.heap = (const char *)(a.entries + h.entry_count);
    if (!ascends(a.value_start, h.value_count, h.heap_len, 1) ||
        !ascends(a.doc_start, h.doc_count, h.entry_count, 0))
        return corrupt(err, "offsets are out of order");
    for (uint32_t i = 0; i < h.entry_count; i++) {
        if (a.entries[i] >= h.value_count) return corrupt(err, "an entry is out of range");
    }
    *ret_attributes = a;
    return MED_OK;
}

/* The fields index and the attributes of a segment: writing, and opening what has no folder of its
 * own. See fields.h. */
#include "index/fields.h"

#include "common/limits.h"
#include "common/mem.h"
#include "common/unicode.h"
#include "embed/analyzer.h"

#include <stdio.h>

#define FIELD_TEXT_BYTES_MAX (4 * MED_MIB)
#define FIELDS_DIR "fields"

struct med_fields_writer {
    struct med_vocab *vocab, *values;
    struct med_lex_writer *lex;
    struct med_analyzer *analyzer;
    uint32_t *terms; /* of the document being added */
    size_t term_count, term_cap;
    uint32_t *doc_start, *entries;
    size_t doc_count, doc_cap, entry_count, entry_cap;
    struct med_buf term, folded;
};

static enum med_code out_of_memory(struct med_err *err)
{
    return med_fail(err, MED_E_NOMEM, "out of memory for the fields of documents");
}

/* --- values --- */

static enum med_code normal_form(
    struct med_str value, struct med_buf *folded, struct med_buf *out, struct med_err *err)
{
    size_t begin = out->len;
    if (value.len > MED_FIELD_VALUE_BYTES_MAX)
        value.len = med_utf8_floor(value, MED_FIELD_VALUE_BYTES_MAX);
    med_buf_reset(folded);
    enum med_code code = med_utf8_fold(value, folded, err);
    if (code) return code;
    struct med_str text = med_buf_str(folded);
    bool gap = false;
    for (size_t at = 0; at < text.len;) {
        size_t start = at;
        enum med_char_class class = med_char_class(med_utf8_next(text, &at));
        if (class == MED_CHAR_LETTER || class == MED_CHAR_DIGIT || class == MED_CHAR_MARK) {
            if (out->len - begin + gap + at - start > MED_FIELD_VALUE_BYTES_MAX) break;
            if (gap) med_buf_putc(out, ' ');
            med_buf_append(out, text.ptr + start, at - start);
            gap = false;
        } else {
            gap = out->len > begin;
        }
    }
    return med_buf_status(out, err);
}

enum med_code med_field_term(
    enum med_field field, struct med_str value, struct med_buf *out, struct med_err *err)
{
    struct med_buf folded;
    med_buf_init(&folded, FIELD_TEXT_BYTES_MAX);
    med_buf_putc(out, (char)field);
    enum med_code code = normal_form(value, &folded, out, err);
    med_buf_free(&folded);
    return code;
}

struct med_str med_language_code(struct med_str given)
{
    static const char *const languages[][6] = {{"eng", "en", "english"},
        {"fre", "fra", "fr", "french"}, {"ger", "deu", "de", "german"}, {"spa", "es", "spanish"},
        {"ita", "it", "italian"}, {"por", "pt", "portuguese"}, {"rus", "ru", "russian"},
        {"jpn", "ja", "japanese"}, {"chi", "zho", "zh", "chinese"}, {"kor", "ko", "korean"},
        {"pol", "pl", "polish"}, {"dut", "nld", "nl", "dutch"}, {"swe", "sv", "swedish"},
        {"dan", "da", "danish"}, {"nor", "nob", "no", "nb", "norwegian"}, {"fin", "fi", "finnish"},
        {"tur", "tr", "turkish"}, {"ara", "ar", "arabic"}, {"heb", "he", "hebrew"},
        {"cze", "ces", "cs", "czech"}, {"hun", "hu", "hungarian"}, {"ukr", "uk", "ukrainian"},
        {"per", "fas", "fa", "persian"}, {"gre", "ell", "el", "greek"},
        {"rum", "ron", "ro", "romanian"}, {"bul", "bg", "bulgarian"}, {"hin", "hi", "hindi"}};
    for (size_t i = 0; i < sizeof languages / sizeof *languages; i++) {
        for (size_t k = 0; k < 6 && languages[i][k]; k++) {
            if (med_str_eq_nocase(given, med_str_of(languages[i][k])))
                return med_str_of(languages[i][0]);
        }
    }
    return given;
}

/* --- writing --- */

enum med_code med_fields_writer_new(struct med_fields_writer **ret_writer, struct med_err *err)
{
    struct med_fields_writer *w = med_calloc(1, sizeof *w);
    if (!w) return out_of_memory(err);
    med_buf_init(&w->term, FIELD_TEXT_BYTES_MAX);
    med_buf_init(&w->folded, FIELD_TEXT_BYTES_MAX);
    struct med_lex_weights weights = MED_LEX_WEIGHTS_DEFAULT;
    enum med_code code = med_vocab_new(&w->vocab, err);
    if (!code) code = med_vocab_new(&w->values, err);
    if (!code) code = med_analyzer_new(&w->analyzer, err);
    if (!code) code = med_lex_writer_new(w->vocab, weights, &w->lex, err);
    if (code) {
        med_fields_writer_free(&w);
        return code;
    }
    *ret_writer = w;
    return MED_OK;
}

void med_fields_writer_free(struct med_fields_writer **writer)
{
    struct med_fields_writer *w = *writer;
    if (!w) return;
    med_lex_writer_free(&w->lex);
    med_vocab_free(&w->vocab);
    med_vocab_free(&w->values);
    med_analyzer_free(&w->analyzer);
    med_buf_free(&w->term);
    med_buf_free(&w->folded);
    med_free(w->terms);
    med_free(w->doc_start);
    med_free(w->entries);
    med_free(w);
    *writer = NULL;
}

/* The bytes in w->term as a term of the document. */
static enum med_code add_term(struct med_fields_writer *w, struct med_err *err)
{
    enum med_code code = med_buf_status(&w->term, err);
    if (code || w->term.len < 2) return code;
    if (!med_grow(&w->terms, &w->term_cap, w->term_count + 1, sizeof *w->terms))
        return out_of_memory(err);
    code = med_vocab_intern(w->vocab, med_buf_str(&w->term), &w->terms[w->term_count], err);
    if (!code) w->term_count++;
    return code;
}

static enum med_code add_whole(
    struct med_fields_writer *w, enum med_field field, struct med_str value, struct med_err *err)
{
    med_buf_reset(&w->term);
    med_buf_putc(&w->term, (char)field);
    enum med_code code = normal_form(value, &w->folded, &w->term, err);
    return code ? code : add_term(w, err);
}

static enum med_code add_word(
    struct med_fields_writer *w, enum med_field field, struct med_str word, struct med_err *err)
{
    med_buf_reset(&w->term);
    med_buf_putc(&w->term, (char)field);
    med_buf_append_str(&w->term, word);
    return add_term(w, err);
}

static enum med_code add_words(
    struct med_fields_writer *w, enum med_field field, struct med_str value, struct med_err *err)
{
    const struct med_token *tokens;
    size_t count;
    enum med_code code = med_analyze(w->analyzer, value, &tokens, &count, err);
    for (size_t i = 0; !code && i < count; i++) code = add_word(w, field, tokens[i].term, err);
    return code;
}

/* The value as it stands, once per document. */
static enum med_code add_attribute(
    struct med_fields_writer *w, enum med_field field, struct med_str value, struct med_err *err)
{
    uint32_t id;
    if (value.len == 0) return MED_OK;
    if (value.len > MED_FIELD_VALUE_BYTES_MAX)
        value.len = med_utf8_floor(value, MED_FIELD_VALUE_BYTES_MAX);
    med_buf_reset(&w->term);
    med_buf_putc(&w->term, (char)field);
    med_buf_append_str(&w->term, value);
    enum med_code code = med_buf_status(&w->term, err);
    if (!code) code = med_vocab_intern(w->values, med_buf_str(&w->term), &id, err);
    if (code) return code;
    for (size_t i = w->doc_start[w->doc_count - 1]; i < w->entry_count; i++) {
        if (w->entries[i] == id) return MED_OK;
    }
    if (w->entry_count == UINT32_MAX ||
        !med_grow(&w->entries, &w->entry_cap, w->entry_count + 1, sizeof *w->entries))
        return out_of_memory(err);
    w->entries[w->entry_count++] = id;
    return MED_OK;
}

static enum med_code add_author(
    struct med_fields_writer *w, const struct med_author *author, struct med_err *err)
{
    char name[MED_FIELD_VALUE_BYTES_MAX + 1];
    enum med_code code = add_whole(w, MED_FIELD_AUTHOR_FAMILY, author->family, err);
    struct med_str initials = author->initials.len ? author->initials : author->given;
    if (code || author->collective || initials.len == 0) return code;
    size_t first = 0;
    (void)med_utf8_next(initials, &first);
    size_t lengths[] = {author->initials.len, first};
    for (size_t i = 0; !code && i < 2; i++) {
        if (lengths[i] == 0 || (i == 1 && lengths[0] == first)) continue;
        int n = snprintf(name, sizeof name, MED_STR_FMT " %.*s", MED_STR_ARG(author->family),
            (int)lengths[i], initials.ptr);
        if (n > 0 && (size_t)n < sizeof name)
            code = add_whole(w, MED_FIELD_AUTHOR, med_str_of(name), err);
    }
    return code;
}

static enum med_code add_mesh(
    struct med_fields_writer *w, const struct med_mesh *mesh, struct med_err *err)
{
    enum med_code code = add_whole(w, MED_FIELD_MESH, mesh->descriptor, err);
    if (!code && mesh->major) code = add_whole(w, MED_FIELD_MESH_MAJOR, mesh->descriptor, err);
    if (!code) code = add_words(w, MED_FIELD_MESH_WORD, mesh->descriptor, err);
    if (!code) code = add_attribute(w, MED_FIELD_MESH, mesh->descriptor, err);
    return code;
}

static enum med_code add_journal(
    struct med_fields_writer *w, const struct med_doc *doc, struct med_err *err)
{
    struct med_str title = doc->journal.title, iso = doc->journal.iso_abbreviation;
    enum med_code code = add_whole(w, MED_FIELD_JOURNAL, title, err);
    if (!code) code = add_whole(w, MED_FIELD_JOURNAL, iso, err);
    if (!code) code = add_words(w, MED_FIELD_JOURNAL_WORD, title, err);
    if (!code) code = add_words(w, MED_FIELD_JOURNAL_WORD, iso, err);
    if (!code) code = add_attribute(w, MED_FIELD_JOURNAL, title.len ? title : iso, err);
    return code;
}

static enum med_code add_labels(
    struct med_fields_writer *w, const struct med_doc *doc, struct med_err *err)
{
    enum med_code code = MED_OK;
    for (size_t i = 0; !code && i < doc->publication_type_count; i++) {
        code = add_whole(w, MED_FIELD_TYPE, doc->publication_types[i], err);
        if (!code) code = add_attribute(w, MED_FIELD_TYPE, doc->publication_types[i], err);
    }
    for (size_t i = 0; !code && i < doc->keyword_count; i++) {
        code = add_whole(w, MED_FIELD_KEYWORD, doc->keywords[i], err);
        if (!code) code = add_words(w, MED_FIELD_KEYWORD_WORD, doc->keywords[i], err);
    }
    for (size_t i = 0; !code && i < doc->chemical_count; i++) {
        code = add_whole(w, MED_FIELD_CHEMICAL, doc->chemicals[i], err);
        if (!code) code = add_words(w, MED_FIELD_KEYWORD_WORD, doc->chemicals[i], err);
    }
    struct med_str language = med_language_code(doc->language);
    if (!code) code = add_whole(w, MED_FIELD_LANGUAGE, language, err);
    if (!code) code = add_attribute(w, MED_FIELD_LANGUAGE, language, err);
    return code;
}

enum med_code med_fields_add(struct med_fields_writer *w, const struct med_doc *doc,
    const struct med_vocab *vocab, const uint32_t *title, size_t title_count, struct med_err *err)
{
    if (!med_grow(&w->doc_start, &w->doc_cap, w->doc_count + 2, sizeof *w->doc_start))
        return out_of_memory(err);
    w->doc_start[w->doc_count++] = (uint32_t)w->entry_count;
    w->term_count = 0;
    enum med_code code = MED_OK;
    for (size_t i = 0; !code && i < title_count; i++)
        code = add_word(w, MED_FIELD_TITLE_WORD, med_vocab_term(vocab, title[i]), err);
    for (size_t i = 0; !code && i < doc->mesh_count; i++) code = add_mesh(w, &doc->mesh[i], err);
    for (size_t i = 0; !code && i < doc->author_count; i++)
        code = add_author(w, &doc->authors[i], err);
    if (!code) code = add_journal(w, doc, err);
    if (!code) code = add_labels(w, doc, err);
    if (code) return code;
    struct med_lex_field none = {0};
    struct med_lex_field all = {.terms = w->terms, .term_count = w->term_count, .length = 1};
    code = med_lex_writer_doc(w->lex, none, none, err);
    return code ? code : med_lex_writer_chunk(w->lex, all, err);
}

/* The lexical writer's files, under names of their own. */
static enum med_code finish_lexical(struct med_fields_writer *w, const struct med_fs *fs,
    const char *dir, struct med_file_ref *files, struct med_err *err)
{
    static const char *const names[MED_LEX_FILE_COUNT] = {
        "field_lexicon", "field_postings", "field_lengths"};
    char sub[MED_PATH_MAX], from[MED_PATH_MAX], to[MED_PATH_MAX];
    enum med_code code = med_path_join(sub, dir, FIELDS_DIR, err);
    if (!code) code = fs->ops->mkdir(fs, sub, err);
    if (!code) code = med_lex_writer_finish(w->lex, fs, sub, files, err);
    for (size_t i = 0; !code && i < MED_LEX_FILE_COUNT; i++) {
        code = med_path_join(from, sub, files[i].name, err);
        if (!code) code = med_path_join(to, dir, names[i], err);
        if (!code) code = fs->ops->rename(fs, from, to, err);
        snprintf(files[i].name, sizeof files[i].name, "%s", names[i]);
    }
    if (!code) code = med_fs_remove_tree(fs, sub, err);
    return code;
}

static enum med_code append(struct med_file *file, const void *ptr, size_t len, struct med_err *err)
{
    return len ? med_file_append(file, ptr, len, err) : MED_OK;
}

static enum med_code write_attributes(
    struct med_fields_writer *w, struct med_file *file, struct med_err *err)
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

enum med_code med_fields_finish(struct med_fields_writer *w, const struct med_fs *fs,
    const char *dir, struct med_file_ref ret_files[MED_FIELD_FILE_COUNT], struct med_err *err)
{
    char path[MED_PATH_MAX];
    struct med_file *file = NULL;
    struct med_file_ref *ref = &ret_files[MED_LEX_FILE_COUNT];
    enum med_code code = finish_lexical(w, fs, dir, ret_files, err);
    if (!code) code = med_path_join(path, dir, "attributes", err);
    if (!code) code = med_file_create(fs, path, &file, err);
    if (!code) code = write_attributes(w, file, err);
    if (code) {
        if (file) med_file_discard(&file);
        return code;
    }
    snprintf(ref->name, sizeof ref->name, "attributes");
    return med_file_finish(&file, &ref->size, &ref->hash, err);
}

/* --- reading attributes --- */

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

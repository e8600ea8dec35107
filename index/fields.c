/* The fields index of a segment: terms and attributes of each document. See fields.h. */
#include "index/fields.h"

#include "common/limits.h"
#include "common/mem.h"
#include "common/unicode.h"
#include "embed/analyzer.h"

#include <stdio.h>

#define FIELD_TEXT_BYTES_MAX (4 * MED_MIB)

struct med_fields_writer {
    struct med_vocab *vocab;
    struct med_lex_writer *lex;
    struct med_attributes_writer *attributes;
    struct med_analyzer *analyzer;
    uint32_t *terms; /* of the document being added */
    size_t term_count, term_cap;
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

size_t med_field_headings(
    struct med_lex_weights weights, struct med_lex_heading ret_headings[MED_LEX_HEADINGS_MAX])
{
    const struct med_lex_heading headings[] = {{MED_FIELD_TITLE_WORD, weights.title},
        {MED_FIELD_MESH_WORD, weights.mesh}, {MED_FIELD_KEYWORD_WORD, weights.mesh}};
    memcpy(ret_headings, headings, sizeof headings);
    return sizeof headings / sizeof *headings;
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
    if (!code) code = med_attributes_writer_new(&w->attributes, err);
    if (!code) code = med_analyzer_new(&w->analyzer, err);
    if (!code) code = med_lex_writer_new(w->vocab, weights, &w->lex, err);
    if (code) {
        med_fields_writer_free(&w);
        return code;
    }
    *ret_writer = w;
    return MED_OK;
}

enum med_code med_fields_spill(struct med_fields_writer *w, const struct med_fs *fs,
    const char *dir, uint64_t bytes, struct med_err *err)
{
    return med_lex_writer_spill(w->lex, fs, dir, MED_FIELD_FILE_PREFIX "run-", bytes, err);
}

void med_fields_writer_free(struct med_fields_writer **writer)
{
    struct med_fields_writer *w = *writer;
    if (!w) return;
    med_lex_writer_free(&w->lex);
    med_vocab_free(&w->vocab);
    med_attributes_writer_free(&w->attributes);
    med_analyzer_free(&w->analyzer);
    med_buf_free(&w->term);
    med_buf_free(&w->folded);
    med_free(w->terms);
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
    if (!code) code = med_attributes_value(w->attributes, med_buf_str(&w->term), &id, err);
    return code ? code : med_attributes_add(w->attributes, id, err);
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
    w->term_count = 0;
    enum med_code code = med_attributes_doc(w->attributes, err);
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

enum med_code med_fields_finish(struct med_fields_writer *w, const struct med_fs *fs,
    const char *dir, struct med_file_ref ret_files[MED_FIELD_FILE_COUNT], struct med_err *err)
{
    enum med_code code =
        med_lex_writer_finish(w->lex, fs, dir, MED_FIELD_FILE_PREFIX, ret_files, err);
    return code
               ? code
               : med_attributes_finish(w->attributes, fs, dir, &ret_files[MED_LEX_FILE_COUNT], err);
}

/* What a document says about itself besides its text, findable: the fields index of a segment.
 *
 *   field_lexicon, field_postings, field_lengths
 *       a lexical index (lexical/) in which a "passage" is a document and a term is one byte of
 *       enum med_field followed by a value
 *   attributes
 *       the way back, document -> values, for counting:
 *       header | u32 value_start[values + 1] | u32 doc_start[docs + 1] | u32 entries[] | heap
 *       a value is one byte of enum med_field and the text as the first document wrote it; the
 *       entries of a document are ordinals of values, each once
 *
 * Whole values are compared in normal form: compatibility and case folded, everything but letters
 * and digits a space, one space between words. "N. Engl. J. Med." and "n engl j med" are one value.
 * Words are what the analyzer makes of a value. */
#pragma once

#include "index/document/document.h"
#include "index/lexical/lexical.h"

/* Values are bytes on disk: they never change their meaning. */
enum med_field {
    MED_FIELD_TITLE_WORD = 'T',
    MED_FIELD_MESH = 'D',
    MED_FIELD_MESH_MAJOR = 'M',
    MED_FIELD_MESH_WORD = 'd',
    MED_FIELD_KEYWORD_WORD = 'k', /* of keywords and chemicals */
    MED_FIELD_KEYWORD = 'K',
    MED_FIELD_CHEMICAL = 'C',
    MED_FIELD_JOURNAL = 'J', /* full title, or ISO abbreviation */
    MED_FIELD_JOURNAL_WORD = 'j',
    MED_FIELD_AUTHOR = 'A', /* "family initials", and "family i" for more than one initial */
    MED_FIELD_AUTHOR_FAMILY = 'a',
    MED_FIELD_TYPE = 'P',
    MED_FIELD_LANGUAGE = 'L',
};
#define MED_FIELD_VALUE_BYTES_MAX                                                                  \
    240u /* longer values are cut, when written and when looked for                                \
          */

/* Appends the field's byte and the value in normal form. */
enum med_code med_field_term(
    enum med_field field, struct med_str value, struct med_buf *out, struct med_err *err) MED_CHECK;
/* The code under which a language is kept ("eng") for any of its codes and its English name; the
 * value itself when it is not known. */
struct med_str med_language_code(struct med_str given);

/* Which fields hold how often a document's title and headings have a term, and what each counts in
 * the lexical index; how many there are. */
size_t med_field_headings(
    struct med_lex_weights weights, struct med_lex_heading ret_headings[MED_LEX_HEADINGS_MAX]);

/* --- writing: every document once, in order --- */
struct med_fields_writer;
enum med_code med_fields_writer_new(
    struct med_fields_writer **ret_writer, struct med_err *err) MED_CHECK;
/* As med_lex_writer_spill. */
enum med_code med_fields_spill(struct med_fields_writer *writer, const struct med_fs *fs,
    const char *dir, uint64_t bytes, struct med_err *err) MED_CHECK;
void med_fields_writer_free(struct med_fields_writer **writer);
/* `title` are the ids of the title's terms in `vocab`: they were analysed already. */
enum med_code med_fields_add(struct med_fields_writer *writer, const struct med_doc *doc,
    const struct med_vocab *vocab, const uint32_t *title, size_t title_count,
    struct med_err *err) MED_CHECK;
/* The names of the fields' lexical index begin with this. */
#define MED_FIELD_FILE_PREFIX "field_"
#define MED_FIELD_FILE_COUNT 4
enum med_code med_fields_finish(struct med_fields_writer *writer, const struct med_fs *fs,
    const char *dir, struct med_file_ref ret_files[MED_FIELD_FILE_COUNT],
    struct med_err *err) MED_CHECK;

/* --- attributes --- */
struct med_attributes_header {
    char magic[8];
    uint32_t doc_count, value_count, entry_count, reserved;
    uint64_t heap_len;
};
_Static_assert(sizeof(struct med_attributes_header) == 32, "on-disk layout");
#define MED_ATTRIBUTES_MAGIC "MEDATTR1"

/* Writing: documents in order, each followed by its values. */
struct med_attributes_writer;
enum med_code med_attributes_writer_new(
    struct med_attributes_writer **ret_writer, struct med_err *err) MED_CHECK;
void med_attributes_writer_free(struct med_attributes_writer **writer);
/* Begins the next document. */
enum med_code med_attributes_doc(
    struct med_attributes_writer *writer, struct med_err *err) MED_CHECK;
/* The ordinal of a value, which is its field's byte and its text. */
enum med_code med_attributes_value(struct med_attributes_writer *writer, struct med_str value,
    uint32_t *ret_value, struct med_err *err) MED_CHECK;
/* Gives the value to the document, once. */
enum med_code med_attributes_add(
    struct med_attributes_writer *writer, uint32_t value, struct med_err *err) MED_CHECK;
enum med_code med_attributes_finish(struct med_attributes_writer *writer, const struct med_fs *fs,
    const char *dir, struct med_file_ref *ret_file, struct med_err *err) MED_CHECK;

/* Reading. */
struct med_attributes {
    uint32_t doc_count, value_count;
    const uint32_t *value_start, *doc_start, *entries;
    const char *heap;
};
/* Validates every offset; borrows the map. MED_E_CORRUPT. */
enum med_code med_attributes_open(
    struct med_map map, struct med_attributes *ret_attributes, struct med_err *err) MED_CHECK;
static inline enum med_field med_attribute_field(const struct med_attributes *a, uint32_t value)
{
    return (enum med_field)(unsigned char)a->heap[a->value_start[value]];
}
static inline struct med_str med_attribute_text(const struct med_attributes *a, uint32_t value)
{
    return (struct med_str){.ptr = a->heap + a->value_start[value] + 1,
        .len = a->value_start[value + 1] - a->value_start[value] - 1};
}

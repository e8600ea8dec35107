/* The operator's vocabularies: <data>/vocab/<name>.tsv.
 *
 * Imported are NLM's MeSH descriptors as XML (https://www.nlm.nih.gov/mesh/xmlmesh.html) and lines
 * of `id<TAB>name<TAB>a|b|c`, plain or gzipped; what looks like a MeSH tree number among a|b|c is
 * one, so that `id<TAB>name<TAB>C14.280.647` adds places in the tree. Entries of the same id, in
 * one file or in several, are one entry. Permuted terms ("Infarction, Myocardial" marked as such)
 * are left out.
 *
 * Stored is one line per entry, in byte order of ids: id, name, a|b|c, tree numbers; the last line
 * holds a checksum. A vocabulary is applied by the next build (thesaurus.h). */
#pragma once

#include "index/generation.h"

#define MED_VOCABULARY_NAME_MAX 64
#define MED_VOCABULARY_TERM_BYTES_MAX 400u
#define MED_VOCABULARY_BYTES_MAX (512 * MED_MIB)

struct med_vocabulary_entry {
    struct med_str id, name;
    struct med_str *synonyms; /* distinct, without the name */
    size_t synonym_count;
    struct med_str *trees; /* distinct, in byte order */
    size_t tree_count;
};
struct med_vocabulary {
    struct med_vocabulary_entry *entries; /* in byte order of ids, each once */
    size_t count;
};

struct med_vocabulary_report {
    char name[MED_VOCABULARY_NAME_MAX + 1];
    bool replaced; /* one of that name was there */
    size_t entries, synonyms, trees;
    size_t skipped;         /* records without id or name, or broken */
    uint64_t first_skipped; /* line of the first, or 0 */
};

/* Reads a file (or "-") and stores it durably under a name made from the path's base name
 * ("desc2026.xml.gz" -> "desc2026"). MED_E_INVALID when there is no entry in it. */
enum med_code med_vocabularies_add(struct med_data *data, const char *path,
    struct med_vocabulary_report *ret_report, struct med_err *err) MED_CHECK;
/* MED_E_NOT_FOUND. */
enum med_code med_vocabularies_remove(
    struct med_data *data, const char *name, struct med_err *err) MED_CHECK;

struct med_vocabulary_info {
    struct med_str name;
    size_t entries, synonyms, trees;
    uint64_t bytes;
};
/* In byte order of names, in the arena. MED_E_CORRUPT names the damaged file. */
enum med_code med_vocabularies_list(const struct med_data *data, struct med_arena *arena,
    struct med_vocabulary_info **ret_list, size_t *ret_count, struct med_err *err) MED_CHECK;
/* All vocabularies as one, in the arena. */
enum med_code med_vocabularies_load(const struct med_data *data, struct med_arena *arena,
    struct med_vocabulary *ret_vocabulary, struct med_err *err) MED_CHECK;
/* Of the names and bytes of all stored vocabularies; zero when there is none. */
enum med_code med_vocabularies_hash(const struct med_data *data, struct med_arena *arena,
    struct med_hash128 *ret_hash, struct med_err *err) MED_CHECK;

/* What the documents of a segment say about others: a write-once file of the segment, from which
 * the overlay of a new generation is made without reading documents that did not change
 * (overlay.h).
 *
 *   header   "MEDSTMT1", counts
 *   entries  one per document that has links with targets, or an organisation as guidelines have
 *            them; in the order of documents
 *   links    kind, target, note
 *   heap     strings
 *
 * What else an overlay is made of (own flags, evidence, source, date, id) is in the document's row.
 * An entry refers to nothing but its document, so that segments are merged by copying entries. */
#pragma once

#include "common/fs.h"
#include "index/document/document.h"
#include "index/lexical/lexical.h" /* med_file_ref */

#define MED_STATEMENTS_FILE "statements"

/* --- on disk, little-endian --- */
struct med_statements_header {
    char magic[8];
    uint32_t entry_count, link_count;
    uint64_t heap_len;
};
_Static_assert(sizeof(struct med_statements_header) == 24, "on-disk layout");
#define MED_STATEMENTS_MAGIC "MEDSTMT1"

struct med_statements_entry {
    uint32_t doc;
    uint32_t organization, organization_len; /* in the heap */
    uint32_t first_link, link_count;
};
_Static_assert(sizeof(struct med_statements_entry) == 20, "on-disk layout");

struct med_statements_link {
    uint32_t target, target_len, note, note_len;
    uint32_t kind; /* enum med_link_kind */
};
_Static_assert(sizeof(struct med_statements_link) == 20, "on-disk layout");

/* --- writing --- */
struct med_statements_writer;
enum med_code med_statements_writer_new(
    struct med_statements_writer **ret_writer, struct med_err *err) MED_CHECK;
void med_statements_writer_free(struct med_statements_writer **writer);
/* Documents in ascending order; those with nothing to say leave no entry. Links without a target,
 * and of kind other, are left out. */
enum med_code med_statements_add(struct med_statements_writer *writer, uint32_t doc,
    struct med_str organization, const struct med_link *links, size_t link_count,
    struct med_err *err) MED_CHECK;
enum med_code med_statements_finish(struct med_statements_writer *writer, const struct med_fs *fs,
    const char *dir, struct med_file_ref *ret_file, struct med_err *err) MED_CHECK;

/* --- reading --- */
struct med_statements {
    const struct med_statements_entry *entries;
    const struct med_statements_link *links;
    const char *heap;
    uint32_t entry_count, link_count;
};
/* Validates every entry; borrows the map. MED_E_CORRUPT. */
enum med_code med_statements_open(struct med_map map, uint32_t doc_count,
    struct med_statements *ret_statements, struct med_err *err) MED_CHECK;
struct med_str med_statements_organization(
    const struct med_statements *statements, const struct med_statements_entry *entry);
/* Link `i` of an entry; its strings are borrowed. */
struct med_link med_statements_link_at(
    const struct med_statements *statements, const struct med_statements_entry *entry, uint32_t i);

/* A segment: some documents, analysed, encoded and frozen. Written once, shared by generations.
 *
 *   documents  fixed-size records (struct med_doc_row), then a heap of their strings
 *   chunks     three arrays: document ordinal, span, content hash of each chunk
 *   lexicon, postings, lengths   the lexical index (lexical/)
 *   field_lexicon, field_postings, field_lengths, attributes   fields of documents (fields.h)
 *   statements                   what its documents say about others (statements.h); absent in
 *                                segments of older versions
 *   vectors, graph               the dense index (dense/); absent in a lexical-only generation
 *
 * What a generation changes about a segment (documents that are dead, works that span segments) is
 * in its patch (patch.h). Reading code asks for what is live: med_segment_find, _is_live, _work.
 *
 * Documents are in byte order of their ids; the chunks of a document are neighbours. */
#pragma once

#include "index/dense/dense.h"
#include "index/document/text.h"
#include "index/fields.h"
#include "index/generation.h"
#include "index/lexical/lexical.h"
#include "index/patch.h"
#include "index/statements.h"

/* On disk, little-endian. Strings are offsets into the heap. */
struct med_doc_row {
    uint64_t
        work; /* hash that all members of one work (abstract and full text of an article) share */
    uint32_t id, source_id;
    uint16_t id_len, source_id_len;
    uint32_t version; /* of the document in the store */
    uint32_t first_chunk;
    uint32_t chunk_count;
    uint32_t date;    /* yyyymmdd with zeros for unknown parts; 0 = unknown */
    uint32_t flags;   /* enum med_doc_flag, of the document alone */
    uint8_t source;   /* enum med_source */
    uint8_t evidence; /* enum med_evidence */
    uint8_t shared;   /* 1: other documents of the segment belong to the same work */
    uint8_t grade;    /* bits of enum med_grade */
    uint8_t reserved[4];
};
_Static_assert(sizeof(struct med_doc_row) == 48, "on-disk layout");

struct med_chunk_row {
    uint32_t start, end; /* bytes of the canonical text */
};
_Static_assert(sizeof(struct med_chunk_row) == 8, "on-disk layout");

/* Both tables open with this. */
struct med_tables_header {
    char magic[8];
    uint32_t count; /* rows */
    uint32_t reserved;
    uint64_t heap_len; /* documents only */
};
_Static_assert(sizeof(struct med_tables_header) == 24, "on-disk layout");
#define MED_DOCS_MAGIC "MEDDOCS1"
#define MED_CHUNKS_MAGIC "MEDCHNK1"

/* --- writing --- */
struct med_segment_tables; /* collects the two tables in memory */
struct med_segment;
enum med_code med_tables_new(struct med_segment_tables **ret_tables, struct med_err *err) MED_CHECK;
void med_tables_free(struct med_segment_tables **tables);
enum med_code med_tables_add(struct med_segment_tables *tables, const struct med_doc *doc,
    const struct med_chunk *chunks, size_t chunk_count, struct med_err *err) MED_CHECK;
/* Copies a document and its passages from an open segment (merge.h). Its work stays what it is: a
 * table is made by adding or by copying. */
enum med_code med_tables_copy(struct med_segment_tables *tables, const struct med_segment *from,
    uint32_t doc, struct med_err *err) MED_CHECK;
/* Replaces the provisional works by the classes of documents that share a PMID, PMCID or DOI, then
 * writes the two files. */
#define MED_TABLE_FILE_COUNT 2
enum med_code med_tables_finish(struct med_segment_tables *tables, const struct med_fs *fs,
    const char *dir, struct med_file_ref ret_files[MED_TABLE_FILE_COUNT],
    struct med_err *err) MED_CHECK;

/* One file of a segment from pieces one behind the other, synced. */
enum med_code med_segment_write_file(const struct med_fs *fs, const char *dir, const char *name,
    const struct med_str *pieces, size_t piece_count, struct med_file_ref *ret_ref,
    struct med_err *err) MED_CHECK;

/* --- reading --- */
struct doc_columns; /* doc_set.h */
struct med_segment {
    const struct med_segment_ref *ref;
    struct med_map maps[12];
    const struct med_doc_row *docs;
    /* Per document: the row's, and in an open generation what the overlay adds. */
    uint32_t *flags;
    uint8_t *evidence; /* enum med_evidence */
    struct doc_columns *columns;
    uint32_t doc_count;
    const char *heap;
    uint64_t heap_len;
    uint32_t chunk_count;
    const uint32_t *chunk_doc; /* per chunk: document ordinal, non-decreasing */
    const struct med_chunk_row *chunks;
    const uint64_t *chunk_hash;
    struct med_lex *lex;
    struct med_lex *fields; /* its "passages" are documents */
    struct med_attributes attributes;
    struct med_dense *dense; /* NULL when lexical only */
    bool has_statements;
    struct med_statements statements;
    struct med_map patch_map;
    struct med_patch patch;
    uint64_t *live_docs; /* bit per document; NULL: all */
    struct med_filter live_chunks;
    uint32_t live_doc_count;
    uint64_t live_length_sum;     /* of live chunks, as BM25F counts length */
    struct med_patch_work *works; /* per document; NULL: the rows are right */
};
/* Maps and validates; verify also compares the checksums. */
enum med_code med_segment_open(const struct med_pin *pin, const struct med_segment_ref *ref,
    bool verify, struct med_segment **ret_segment, struct med_err *err) MED_CHECK;
void med_segment_close(struct med_segment **segment);
struct med_str med_segment_doc_id(const struct med_segment *segment, uint32_t doc);
struct med_str med_segment_source_id(const struct med_segment *segment, uint32_t doc);
static inline bool med_segment_is_live(const struct med_segment *segment, uint32_t doc)
{
    return !segment->live_docs || (segment->live_docs[doc >> 6] >> (doc & 63) & 1);
}
/* The live document of that id, looking from ordinal `from` on; false when there is none. */
bool med_segment_find_doc(
    const struct med_segment *segment, uint32_t from, struct med_str id, uint32_t *ret_doc);
/* The work of a document, and whether other live documents belong to it. */
static inline uint64_t med_segment_work(const struct med_segment *segment, uint32_t doc)
{
    return segment->works ? segment->works[doc].work : segment->docs[doc].work;
}
static inline bool med_segment_shared(const struct med_segment *segment, uint32_t doc)
{
    return segment->works ? segment->works[doc].shared : segment->docs[doc].shared;
}
/* A term of the lexical index and its df among live documents; false when none of them has it. */
bool med_segment_find(const struct med_segment *segment, struct med_str term, uint32_t *ret_ordinal,
    uint32_t *ret_df);
/* Cross-checks of `medicus check`: order of ids, chunk ranges, lexical invariants,
 * fields, vector norms. */
enum med_code med_segment_check(const struct med_segment *segment, struct med_err *err) MED_CHECK;

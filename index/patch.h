/* The patch of a segment: what a generation changes about it. A segment is never written again, so
 * that its documents that were replaced or deleted since (tombstones), and works that its documents
 * now share with those of other segments, are in a file of the generation.
 *
 *   header   "MEDPTCH1", counts
 *   dead     bit per document: neither found nor counted any more
 *   works    documents whose work is not (only) what the row says, ascending
 *   terms    what the df of a term loses by the dead documents, by ordinal in "lexicon", ascending
 *
 * The losses make statistics live: N, df and the sum of lengths are those of the segment less
 * these, as if the dead documents had never been analysed. They cannot be read off the postings,
 * which do not tell title from body; whoever removes a document analyses its old version once more
 * (update.h), and `medicus check` does so again for all. */
#pragma once

#include "common/buf.h"

/* --- on disk, little-endian --- */
struct med_patch_header {
    char magic[8];
    uint32_t doc_count; /* of the segment, dead or not */
    uint32_t dead_doc_count, dead_chunk_count;
    uint32_t work_count, term_count;
    uint32_t reserved;
    uint64_t dead_length; /* of the dead chunks: what the sum of lengths loses */
};
_Static_assert(sizeof(struct med_patch_header) == 40, "on-disk layout");
#define MED_PATCH_MAGIC "MEDPTCH1"

struct med_patch_work {
    uint64_t work;
    uint32_t doc;
    uint8_t shared; /* 1: other live documents belong to the same work */
    uint8_t reserved[3];
};
_Static_assert(sizeof(struct med_patch_work) == 16, "on-disk layout");

struct med_patch_term {
    uint32_t ordinal, df;
};
_Static_assert(sizeof(struct med_patch_term) == 8, "on-disk layout");

/* A patch in memory; when opened, it borrows the file's bytes. */
struct med_patch {
    uint32_t doc_count, dead_doc_count, dead_chunk_count, work_count, term_count;
    uint64_t dead_length;
    const uint64_t *dead; /* doc_count / 64 + 1 words */
    const struct med_patch_work *works;
    const struct med_patch_term *terms;
};

static inline bool med_patch_is_dead(const struct med_patch *patch, uint32_t doc)
{
    return patch->dead && (patch->dead[doc >> 6] >> (doc & 63) & 1);
}
/* What the df of a term loses. */
uint32_t med_patch_lost(const struct med_patch *patch, uint32_t ordinal);

/* Appends the bytes of the file. */
enum med_code med_patch_write(
    const struct med_patch *patch, struct med_buf *out, struct med_err *err) MED_CHECK;
/* Validates order, ranges and counts; no bytes are a patch that changes nothing. What only the
 * segment can tell (chunks, lengths, terms) is compared when the segment is opened. MED_E_CORRUPT.
 */
enum med_code med_patch_open(const void *ptr, size_t len, uint32_t doc_count,
    struct med_patch *ret_patch, struct med_err *err) MED_CHECK;

/* Sets of a segment's documents, a bit each, and what filters compare: columns.
 *
 * A filter looks at all documents of a collection. It reads the two bytes that it is about instead
 * of rows of 48, 64 documents at a time, and the set of documents becomes the set of their passages
 * without looking at any document: each word of passages takes as many bits of documents as
 * passages begin in it. A million documents take about as long as reading their column. */
#pragma once

#include "index/segment.h"

/* Every column has room for whole words of the set. */
struct doc_columns {
    uint16_t *years;        /* 0 = unknown */
    uint8_t *sources;       /* enum med_source */
    uint64_t *with_chunks;  /* set of the documents that have passages */
    uint64_t *chunk_starts; /* bit per passage: the first one of a document */
};
enum med_code doc_columns_make(struct med_segment *segment, struct med_err *err) MED_CHECK;
void doc_columns_free(struct doc_columns **columns);

static inline size_t doc_set_words(const struct med_segment *segment)
{
    return (size_t)segment->doc_count / 64 + 1;
}
static inline bool doc_set_has(const uint64_t *set, uint32_t doc)
{
    return set[doc >> 6] >> (doc & 63) & 1;
}
void doc_set_fill(uint64_t *set, uint32_t doc_count); /* all of them */
uint64_t doc_set_count(const uint64_t *set, size_t words);

/* Each keeps the documents of the set that pass. */
void doc_set_and(uint64_t *set, const uint64_t *other, size_t words);
void doc_set_years(const struct med_segment *segment, uint64_t *set, uint32_t year_min,
    uint32_t year_max); /* 0 = open; documents without a year are not within any */
void doc_set_sources(const struct med_segment *segment, uint64_t *set, uint32_t mask);
void doc_set_evidence(const struct med_segment *segment, uint64_t *set, uint32_t mask);
void doc_set_flags(const struct med_segment *segment, uint64_t *set, uint32_t all, uint32_t none);

/* The passages of the documents in the set: words for all passages of the segment. Returns how many
 * they are. */
uint32_t doc_set_passages(const struct med_segment *segment, const uint64_t *set, uint64_t *words);

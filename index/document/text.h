/* Canonical text and chunks.
 *
 * Canonical text: the title, then for each section its heading and its body, every non-empty piece
 * joined by a blank line
 * ("\n\n"). UTF-8, NFC. All offsets anywhere in medicus are bytes into it, half-open [start, end).
 * The text is a function of the document and MED_TEXT_VERSION alone. */
#pragma once

#include "common/limits.h"
#include "index/document/document.h"

#define MED_TEXT_VERSION 1
#define MED_CHUNKER_VERSION 2

/* No chunk is longer, whatever its script: 20 bytes for each of the MED_CHUNK_WORDS_MAX words.
 * Prose in any alphabet stays below it; text without spaces (Chinese, Japanese, sequences) is
 * bounded by it, and weighs 20 bytes a word when chunks are balanced. */
#define MED_CHUNK_BYTES_MAX (MED_CHUNK_WORDS_MAX * 20)

struct med_span {
    uint32_t start, end;
};

struct med_text {
    struct med_str bytes;
    struct med_span title;
    struct med_span *headings; /* one per section; empty span where there is none */
    struct med_span *bodies;   /* one per section */
    size_t section_count;
};

enum med_code med_text_make(const struct med_doc *doc, struct med_arena *arena,
    struct med_text **ret_text, struct med_err *err) MED_CHECK;

/* The same without the text: spans and bytes.len are those of the canonical text, bytes.ptr is
 * NULL. For who needs little of a long document. */
enum med_code med_text_layout(const struct med_doc *doc, struct med_arena *arena,
    struct med_text **ret_text, struct med_err *err) MED_CHECK;
/* The bytes [span.start, span.end) of the canonical text, of which `text` is at least the layout.
 * Borrowed from the document where they lie within one piece of it, else in the arena.
 * MED_E_INVALID when the span lies outside. */
enum med_code med_text_slice(const struct med_doc *doc, const struct med_text *text,
    struct med_span span, struct med_arena *arena, struct med_str *ret_slice,
    struct med_err *err) MED_CHECK;

/* A passage: the unit of retrieval.
 * Sentence and section boundaries; 200-300 words, never more than MED_CHUNK_WORDS_MAX words or
 * MED_CHUNK_BYTES_MAX bytes (a longer sentence is cut at a word, a longer word between code
 * points); never across sections, except that consecutive MED_SECTION_ABSTRACT sections are one,
 * whole up to MED_CHUNK_WORDS_MAX, and cut at their labels where a longer one allows. A document
 * without any body has one chunk: its title (several, should the title exceed the bounds); one
 * without a title too has its headings, or no chunk at all. Headings inside an abstract chunk
 * belong to its span; the heading that opens a chunk's section lies inside the span of the
 * section's first chunk, and counts as words. A heading with neither body nor sub-sections is a
 * chunk of its own, so that it can be found. Chunks of a section are of even size, so that no crumb
 * of some ten words is left where it can be avoided. Every byte of a body that is not white space
 * is in exactly one chunk. */
struct med_chunk {
    uint32_t number;      /* n of "<document id>~<n>", from 0 */
    struct med_span span; /* into the canonical text, trimmed of white space */
    uint32_t
        section; /* index of the first section it covers; UINT32_MAX for the title-only chunk */
    struct med_str path; /* heading path, shown and used as context for encoding; what the sections
                          * it covers have in common; may be empty */
    uint32_t word_count;
    struct med_hash128 hash; /* of the chunk's bytes */
};

enum med_code med_chunk_make(const struct med_doc *doc, const struct med_text *text,
    struct med_arena *arena, struct med_chunk **ret_chunks, size_t *ret_count,
    struct med_err *err) MED_CHECK;

/* Sentence ends of a text: aware of abbreviations (e.g., et al., Dr., vs., Fig. 2), decimals,
 * initials, "P < .05." and closing brackets; a line break always ends one. Spans cover the text
 * without the white space between them. Linear time. */
enum med_code med_sentences(struct med_str text, struct med_arena *arena,
    struct med_span **ret_spans, size_t *ret_count, struct med_err *err) MED_CHECK;

/* Words as a person counts them: maximal runs of anything but white space, Unicode's included (5
 * and mg are two also with a no-break space between them). A run of nothing but Unicode white space
 * between ASCII white space counts as one. */
uint32_t med_word_count(struct med_str text);

/* Canonical text and chunks.
 *
 * Canonical text: the title, then for each section its heading and its body, every non-empty piece joined by a blank line
 * ("\n\n"). UTF-8, NFC. All offsets anywhere in medicus are bytes into it, half-open [start, end).
 * The text is a function of the document and MED_TEXT_VERSION alone. */
#pragma once

#include "index/document/document.h"

#define MED_TEXT_VERSION 1
#define MED_CHUNKER_VERSION 1

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

enum med_code med_text_make(const struct med_doc *doc, struct med_arena *arena, struct med_text **ret_text, struct med_err *err) MED_CHECK;

/* A passage: the unit of retrieval.
 * Sentence and section boundaries; 200-300 words, never more than MED_CHUNK_WORDS_MAX (a longer sentence is cut at a
 * word); never across sections, except that consecutive MED_SECTION_ABSTRACT sections are one, whole up to
 * MED_CHUNK_WORDS_MAX. A document without any body has one chunk: its title. Headings inside an abstract chunk belong to
 * its span; the heading that opens a chunk's section lies inside the span of the section's first chunk. Trailing chunks
 * are balanced so that no crumb of some ten words is left where it can be avoided. */
struct med_chunk {
    uint32_t number;      /* n of "<document id>~<n>", from 0 */
    struct med_span span; /* into the canonical text, trimmed of white space */
    uint32_t section;     /* index of the first section it covers; UINT32_MAX for the title-only chunk */
    struct med_str path;  /* heading path, shown and used as context for encoding; may be empty */
    uint32_t word_count;
    struct med_hash128 hash; /* of the chunk's bytes */
};

enum med_code med_chunk_make(const struct med_doc *doc, const struct med_text *text, struct med_arena *arena, struct med_chunk **ret_chunks, size_t *ret_count, struct med_err *err) MED_CHECK;

/* Sentence ends of a text: aware of abbreviations (e.g., et al., Dr., vs., Fig. 2), decimals, initials, "P < .05."
 * and closing brackets. Spans cover the text without the white space between them. */
enum med_code med_sentences(struct med_str text, struct med_arena *arena, struct med_span **ret_spans, size_t *ret_count, struct med_err *err) MED_CHECK;

/* Words as a person counts them: maximal runs of non-space. */
uint32_t med_word_count(struct med_str text);

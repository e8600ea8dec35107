/* Inner interface of the folder: white space as the chunker sees it, and sentences one at a time.
 *
 * White space is ASCII white space. The Unicode spaces (no-break, thin) bind what they stand
 * between, as in "5 mg". */
#pragma once

#include "index/document/text.h"

static inline bool med_is_space(char c)
{
    return c == ' ' || (unsigned char)(c - '\t') <= '\r' - '\t';
}

/* Set text, leave the rest zero. */
struct med_sentence_iter {
    struct med_str text;
    size_t pos;
};

/* The next sentence, without the white space around it; false at the end. */
bool med_sentence_next(struct med_sentence_iter *it, struct med_span *ret_span);

/* Snowball English stems behind a cache, the adapter over libstemmer (stemmer.c is the only file
 * that includes it). One per thread. */
#pragma once

#include "common/err.h"
#include "common/str.h"

#include <stdint.h>

struct med_stemmer;
struct med_stemmer *med_stemmer_new(void); /* NULL = out of memory */
void med_stemmer_free(struct med_stemmer **stemmer);

/* The stem of a lower-case UTF-8 word of 1..MED_TERM_BYTES_MAX bytes, of which that many can be
 * read: written to ret_stem, which has room for MED_TERM_BYTES_MAX bytes; returns its length, 0
 * when out of memory. A stem is never longer than its word. *ret_alike: 0, or a number that this
 * stemmer gives to words with this stem only; modulo MED_STEM_ALIKE_SLOTS it spreads over all
 * slots, as a direct-mapped table wants it. */
#define MED_STEM_ALIKE_SLOTS 32768u
size_t med_stem(
    struct med_stemmer *stemmer, const char *word, size_t len, char *ret_stem, uint64_t *ret_alike);

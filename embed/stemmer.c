/* A direct-mapped cache in front of libstemmer.
 *
 * Words follow Zipf's law, so a small table without any replacement policy answers more than nine
 * words in ten. One entry is one cache line: word, stem, both lengths. Longer words go to the
 * stemmer each time. */
#include "embed/stemmer.h"

#include "common/limits.h"
#include "common/mem.h"

#include <libstemmer.h>
#include <stdint.h>

#define STEM_CACHE_ENTRIES 16384u
#define STEM_CACHE_WORD_MAX 31u

struct stem_entry {
    char word[STEM_CACHE_WORD_MAX];
    uint8_t word_len; /* 0 = empty */
    char stem[STEM_CACHE_WORD_MAX];
    uint8_t stem_len;
};
_Static_assert(sizeof(struct stem_entry) == 64, "one entry is one cache line");

struct med_stemmer {
    struct sb_stemmer *snowball;
    struct stem_entry *cache;
};

struct med_stemmer *med_stemmer_new(void)
{
    struct med_stemmer *stemmer = med_calloc(1, sizeof(*stemmer));
    if (!stemmer) return NULL;
    stemmer->snowball = sb_stemmer_new("english", "UTF_8");
    stemmer->cache = med_aligned_alloc(STEM_CACHE_ENTRIES * sizeof(struct stem_entry));
    if (!stemmer->snowball || !stemmer->cache) {
        med_stemmer_free(&stemmer);
        return NULL;
    }
    memset(stemmer->cache, 0, STEM_CACHE_ENTRIES * sizeof(struct stem_entry));
    return stemmer;
}

void med_stemmer_free(struct med_stemmer **stemmer_ref)
{
    struct med_stemmer *stemmer = *stemmer_ref;
    if (!stemmer) return;
    *stemmer_ref = NULL;
    if (stemmer->snowball) sb_stemmer_delete(stemmer->snowball);
    med_free(stemmer->cache);
    med_free(stemmer);
}

/* Multiplies eight bytes at a time; good enough to spread words over the table. */
static uint32_t stem_hash(const char *word, size_t len)
{
    uint64_t h = len * 0x9e3779b97f4a7c15ull;
    for (; len >= 8; word += 8, len -= 8) {
        uint64_t piece;
        memcpy(&piece, word, 8);
        h = (h ^ piece) * 0x9fb21c651e98df25ull;
        h ^= h >> 32;
    }
    uint64_t piece = 0;
    for (size_t i = 0; i < len; i++) piece |= (uint64_t)(uint8_t)word[i] << (8 * i);
    h = (h ^ piece) * 0x9fb21c651e98df25ull;
    return (uint32_t)(h >> 40);
}

static size_t stem_uncached(
    struct med_stemmer *stemmer, const char *word, size_t len, char *ret_stem)
{
    const sb_symbol *stem = sb_stemmer_stem(stemmer->snowball, (const sb_symbol *)word, (int)len);
    if (!stem) return 0;
    size_t stem_len = (size_t)sb_stemmer_length(stemmer->snowball);
    if (stem_len == 0 ||
        stem_len > len) { /* not known to happen; the word itself is a safe answer */
        memcpy(ret_stem, word, len);
        return len;
    }
    memcpy(ret_stem, stem, stem_len);
    return stem_len;
}

size_t med_stem(struct med_stemmer *stemmer, const char *word, size_t len, char *ret_stem)
{
    if (len > STEM_CACHE_WORD_MAX) return stem_uncached(stemmer, word, len, ret_stem);
    struct stem_entry *entry = &stemmer->cache[stem_hash(word, len) & (STEM_CACHE_ENTRIES - 1)];
    if (entry->word_len != len || memcmp(entry->word, word, len) != 0) {
        char stem[MED_TERM_BYTES_MAX];
        size_t stem_len = stem_uncached(stemmer, word, len, stem);
        if (!stem_len) return 0;
        memcpy(entry->word, word, len);
        entry->word_len = (uint8_t)len;
        memcpy(entry->stem, stem, stem_len);
        entry->stem_len = (uint8_t)stem_len;
    }
    memcpy(ret_stem, entry->stem, STEM_CACHE_WORD_MAX); /* a constant size is one move */
    return entry->stem_len;
}

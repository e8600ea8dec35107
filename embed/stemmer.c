/* Direct-mapped caches in front of libstemmer.
 *
 * Words follow Zipf's law, so a small table without any replacement policy answers more than nine
 * words in ten. Words of up to sixteen bytes, nearly all, are compared as two numbers; a stem is a
 * beginning of its word with a few other bytes behind it, so that an entry is half a cache line and
 * the table stays in the second-level cache. Longer words have a table of their own; those beyond
 * its entries go to the stemmer each time. */
#include "embed/stemmer.h"

#include "common/limits.h"
#include "common/mem.h"

#include <libstemmer.h>

#define SHORT_ENTRIES 32768u
#define SHORT_WORD_MAX 16u
#define TAIL_MAX 6u
#define LONG_ENTRIES 2048u
#define LONG_WORD_MAX 31u

_Static_assert(SHORT_ENTRIES <= MED_STEM_ALIKE_SLOTS, "the low bits of `alike` are the entry");

struct short_entry {
    uint64_t word[2]; /* its bytes, then zeros; all zeros = empty */
    uint64_t alike;   /* see stemmer.h */
    uint8_t len;      /* of the stem: so many bytes of the word .. */
    uint8_t keep;
    char tail[TAIL_MAX]; /* .. and these behind them */
};
_Static_assert(sizeof(struct short_entry) == 32, "two entries are one cache line");

struct long_entry {
    char word[LONG_WORD_MAX];
    uint8_t word_len; /* 0 = empty */
    char stem[LONG_WORD_MAX];
    uint8_t stem_len;
};
_Static_assert(sizeof(struct long_entry) == 64, "one entry is one cache line");

struct med_stemmer {
    struct sb_stemmer *snowball;
    struct short_entry *shorts;
    struct long_entry *longs;
    uint64_t words; /* put into `shorts` so far */
};

struct med_stemmer *med_stemmer_new(void)
{
    struct med_stemmer *stemmer = med_calloc(1, sizeof(*stemmer));
    if (!stemmer) return NULL;
    stemmer->snowball = sb_stemmer_new("english", "UTF_8");
    stemmer->shorts = med_aligned_alloc(SHORT_ENTRIES * sizeof(struct short_entry));
    stemmer->longs = med_aligned_alloc(LONG_ENTRIES * sizeof(struct long_entry));
    if (!stemmer->snowball || !stemmer->shorts || !stemmer->longs) {
        med_stemmer_free(&stemmer);
        return NULL;
    }
    memset(stemmer->shorts, 0, SHORT_ENTRIES * sizeof(struct short_entry));
    memset(stemmer->longs, 0, LONG_ENTRIES * sizeof(struct long_entry));
    return stemmer;
}

void med_stemmer_free(struct med_stemmer **stemmer_ref)
{
    struct med_stemmer *stemmer = *stemmer_ref;
    if (!stemmer) return;
    *stemmer_ref = NULL;
    if (stemmer->snowball) sb_stemmer_delete(stemmer->snowball);
    med_free(stemmer->shorts);
    med_free(stemmer->longs);
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

static size_t stem_long(struct med_stemmer *stemmer, const char *word, size_t len, char *ret_stem)
{
    if (len > LONG_WORD_MAX) return stem_uncached(stemmer, word, len, ret_stem);
    struct long_entry *entry = &stemmer->longs[stem_hash(word, len) & (LONG_ENTRIES - 1)];
    if (entry->word_len != len || memcmp(entry->word, word, len) != 0) {
        char stem[MED_TERM_BYTES_MAX];
        size_t stem_len = stem_uncached(stemmer, word, len, stem);
        if (!stem_len) return 0;
        memcpy(entry->word, word, len);
        entry->word_len = (uint8_t)len;
        memcpy(entry->stem, stem, stem_len);
        entry->stem_len = (uint8_t)stem_len;
    }
    memcpy(ret_stem, entry->stem, LONG_WORD_MAX); /* a constant size is one move */
    return entry->stem_len;
}

/* Fills the entry; false when the stem is too unlike its word to be kept in one. */
static bool remember(struct med_stemmer *stemmer, struct short_entry *entry,
    const uint64_t padded[2], const char *word, const char *stem, size_t stem_len)
{
    size_t keep = 0;
    while (keep < stem_len && word[keep] == stem[keep]) keep++;
    if (stem_len - keep > TAIL_MAX) return false;
    *entry = (struct short_entry){.word = {padded[0], padded[1]},
        .alike = ++stemmer->words * MED_STEM_ALIKE_SLOTS + (uint64_t)(entry - stemmer->shorts),
        .len = (uint8_t)stem_len,
        .keep = (uint8_t)keep};
    memcpy(entry->tail, stem + keep, stem_len - keep);
    return true;
}

size_t med_stem(
    struct med_stemmer *stemmer, const char *word, size_t len, char *ret_stem, uint64_t *ret_alike)
{
    *ret_alike = 0;
    if (len > SHORT_WORD_MAX) return stem_long(stemmer, word, len, ret_stem);
    uint64_t padded[2];
    memcpy(padded, word, sizeof padded);
    if (len < 8) padded[0] &= (1ull << 8 * len) - 1;
    padded[1] = len <= 8 ? 0 : padded[1] & UINT64_MAX >> (128 - 8 * len);
    uint64_t hash = (padded[0] ^ padded[1] * 0x9e3779b97f4a7c15ull) * 0x9fb21c651e98df25ull;
    struct short_entry *entry = &stemmer->shorts[(hash ^ hash >> 32) >> 12 & (SHORT_ENTRIES - 1)];
    if (entry->word[0] != padded[0] || entry->word[1] != padded[1]) {
        char stem[MED_TERM_BYTES_MAX];
        size_t stem_len = stem_uncached(stemmer, word, len, stem);
        if (!stem_len || !remember(stemmer, entry, padded, word, stem, stem_len)) {
            memcpy(ret_stem, stem, stem_len);
            return stem_len;
        }
    }
    memcpy(ret_stem, padded, sizeof padded);
    memcpy(ret_stem + entry->keep, entry->tail, TAIL_MAX);
    *ret_alike = entry->alike;
    return entry->len;
}

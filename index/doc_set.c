/* See doc_set.h. Comparisons are written as loops over 64 bytes that compilers turn into vector
 * instructions; the results are packed to a word. */
#include "index/doc_set.h"

#include "common/cpu.h"
#include "common/mem.h"

#define YEAR_MAX 65535u

/* --- columns --- */

void doc_columns_free(struct doc_columns **columns)
{
    struct doc_columns *c = *columns;
    if (!c) return;
    med_free(c->years);
    med_free(c->sources);
    med_free(c->with_chunks);
    med_free(c->chunk_starts);
    med_free(c);
    *columns = NULL;
}

static bool allocate(struct med_segment *s)
{
    size_t docs = doc_set_words(s) * 64;
    struct doc_columns *c = s->columns = med_calloc(1, sizeof *c);
    if (!c) return false;
    c->years = med_calloc(docs, sizeof *c->years);
    c->sources = med_calloc(docs, sizeof *c->sources);
    c->with_chunks = med_calloc(docs / 64, sizeof *c->with_chunks);
    c->chunk_starts = med_calloc((size_t)s->chunk_count / 64 + 1, sizeof *c->chunk_starts);
    s->flags = med_calloc(docs, sizeof *s->flags);
    s->evidence = med_calloc(docs, sizeof *s->evidence);
    return c->years && c->sources && c->with_chunks && c->chunk_starts && s->flags && s->evidence;
}

enum med_code doc_columns_make(struct med_segment *s, struct med_err *err)
{
    if (!allocate(s))
        return med_fail(err, MED_E_NOMEM, "out of memory while opening segment %s", s->ref->id);
    struct doc_columns *c = s->columns;
    for (uint32_t d = 0; d < s->doc_count; d++) {
        const struct med_doc_row *row = &s->docs[d];
        uint32_t year = row->date / 10000;
        s->flags[d] = row->flags;
        s->evidence[d] = row->evidence;
        c->years[d] = (uint16_t)(year < YEAR_MAX ? year : YEAR_MAX);
        c->sources[d] = row->source;
        if (!row->chunk_count) continue;
        c->with_chunks[d >> 6] |= 1ull << (d & 63);
        c->chunk_starts[row->first_chunk >> 6] |= 1ull << (row->first_chunk & 63);
    }
    return MED_OK;
}

/* --- sets --- */

void doc_set_fill(uint64_t *set, uint32_t doc_count)
{
    memset(set, 0xFF, doc_count / 64 * sizeof *set);
    set[doc_count / 64] = (1ull << (doc_count % 64)) - 1;
}

uint64_t doc_set_count(const uint64_t *set, size_t words)
{
    uint64_t count = 0;
    for (size_t w = 0; w < words; w++) count += (uint64_t)__builtin_popcountll(set[w]);
    return count;
}

void doc_set_and(uint64_t *set, const uint64_t *other, size_t words)
{
    for (size_t w = 0; w < words; w++) set[w] &= other[w];
}

/* Bytes of 0 or 1 to bits: the product moves eight of them to its uppermost byte. */
static uint64_t pack(const uint8_t bytes[64])
{
    uint64_t word = 0;
    for (unsigned i = 0; i < 8; i++) {
        uint64_t eight;
        memcpy(&eight, bytes + 8 * i, sizeof eight);
        word |= (eight * 0x0102040810204080ull >> 56) << 8 * i;
    }
    return word;
}

void doc_set_years(const struct med_segment *s, uint64_t *set, uint32_t year_min, uint32_t year_max)
{
    uint32_t low = year_min ? year_min : 1, high = year_max ? year_max : YEAR_MAX;
    if (high > YEAR_MAX) high = YEAR_MAX;
    for (size_t w = 0; w < doc_set_words(s); w++) {
        const uint16_t *years = s->columns->years + w * 64;
        uint8_t in[64];
        if (!set[w]) continue;
        if (low > high) {
            set[w] = 0;
            continue;
        }
        for (unsigned i = 0; i < 64; i++)
            in[i] = (uint16_t)(years[i] - low) <= (uint16_t)(high - low);
        set[w] &= pack(in);
    }
}

/* Keeps documents whose value is one of the mask's. */
static void keep_values(
    const struct med_segment *s, uint64_t *set, const uint8_t *column, uint32_t mask)
{
    for (size_t w = 0; w < doc_set_words(s); w++) {
        uint8_t in[64] = {0};
        if (!set[w]) continue;
        for (uint32_t left = mask; left; left &= left - 1) {
            uint8_t value = (uint8_t)__builtin_ctz(left);
            for (unsigned i = 0; i < 64; i++) in[i] |= column[w * 64 + i] == value;
        }
        set[w] &= pack(in);
    }
}

void doc_set_sources(const struct med_segment *s, uint64_t *set, uint32_t mask)
{
    keep_values(s, set, s->columns->sources, mask);
}

void doc_set_evidence(const struct med_segment *s, uint64_t *set, uint32_t mask)
{
    keep_values(s, set, s->evidence, mask);
}

void doc_set_flags(const struct med_segment *s, uint64_t *set, uint32_t all, uint32_t none)
{
    uint32_t told = all | none;
    if (all & none) memset(set, 0, doc_set_words(s) * sizeof *set);
    for (size_t w = 0; w < doc_set_words(s); w++) {
        const uint32_t *flags = s->flags + w * 64;
        uint8_t in[64];
        if (!set[w]) continue;
        for (unsigned i = 0; i < 64; i++) in[i] = (flags[i] & told) == all;
        set[w] &= pack(in);
    }
}

/* --- passages --- */

/* Moves the lowest bits of `bits` to the places that are set in `places`. */
static uint64_t deposit_portable(uint64_t bits, uint64_t places)
{
    uint64_t word = 0;
    for (; places; places &= places - 1, bits >>= 1)
        if (bits & 1) word |= places & -places;
    return word;
}

#if defined(__x86_64__)
__attribute__((target("bmi2"))) static uint64_t deposit_bmi2(uint64_t bits, uint64_t places)
{
    return __builtin_ia32_pdep_di(bits, places);
}
#endif

typedef uint64_t (*deposit_fn)(uint64_t bits, uint64_t places);

static deposit_fn best_deposit(void)
{
#if defined(__x86_64__)
    if (med_cpu_level() >= MED_CPU_AVX2 && __builtin_cpu_supports("bmi2")) return deposit_bmi2;
#endif
    return deposit_portable;
}

/* The 64 bits of the set from `doc` on. The set has a word behind its last document. */
static uint64_t bits_from(const uint64_t *set, size_t words, uint32_t doc)
{
    size_t w = doc >> 6;
    unsigned shift = doc & 63;
    uint64_t bits = set[w] >> shift;
    return shift && w + 1 < words ? bits | set[w + 1] << (64 - shift) : bits;
}

/* Which of the passages from `chunk` on that begin a document begin one of the set. */
static uint64_t chosen_starts(const struct med_segment *s, const uint64_t *set, uint32_t chunk,
    uint64_t starts, deposit_fn deposit)
{
    uint32_t first = s->chunk_doc[chunk + (uint32_t)__builtin_ctzll(starts)];
    uint32_t last = s->chunk_doc[chunk + 63 - (uint32_t)__builtin_clzll(starts)];
    uint64_t chosen = 0;
    if (last - first + 1 == (uint32_t)__builtin_popcountll(starts)) {
        uint64_t bits = bits_from(set, doc_set_words(s), first);
        return starts == UINT64_MAX ? bits : deposit(bits, starts);
    }
    for (uint64_t left = starts; left; left &= left - 1) { /* some have no passages */
        if (doc_set_has(set, s->chunk_doc[chunk + (uint32_t)__builtin_ctzll(left)]))
            chosen |= left & -left;
    }
    return chosen;
}

uint32_t doc_set_passages(const struct med_segment *s, const uint64_t *set, uint64_t *words)
{
    size_t count = (size_t)s->chunk_count / 64 + 1;
    deposit_fn deposit = best_deposit();
    uint64_t inside = 0; /* 1: the passage before belongs to a document of the set */
    for (size_t w = 0; w < count; w++) {
        uint64_t starts = s->columns->chunk_starts[w], following = ~starts;
        uint64_t chosen = starts ? chosen_starts(s, set, (uint32_t)w * 64, starts, deposit) : 0;
        /* A carry runs through the passages that follow a chosen one and stops at the next start:
         * those that it turned to zero belong to the chosen document. */
        uint64_t seeds = (chosen << 1 | inside) & following;
        words[w] = chosen | (following & ~(following + seeds));
        inside = words[w] >> 63;
    }
    words[count - 1] &= (1ull << (s->chunk_count % 64)) - 1;
    return (uint32_t)doc_set_count(words, count);
}

/* The vocabulary: an open-addressing hash table over terms kept in blocks.
 *
 * Terms never move, so that slices handed out stay valid: they are copied into blocks of
 * VOCAB_BLOCK_BYTES which are only ever added. A slot of the table holds id + 1 and the upper half
 * of the hash, so that most probes of other terms end without touching the term's bytes. */
#include "embed/vocab.h"

#include "common/hash.h"
#include "common/mem.h"
#include "embed/stemmer.h"

#include <assert.h>

#define VOCAB_BLOCK_BYTES ((size_t)256 * 1024)
#define VOCAB_SLOTS_MIN ((size_t)1024)
#define INTERN_BATCH 32u

struct vocab_slot {
    uint32_t id_plus_1; /* 0 = empty */
    uint32_t tag;       /* upper half of the hash */
};

struct vocab_term {
    const char *ptr;
    size_t len;
};

struct vocab_recent {
    uint64_t alike; /* 0 = empty */
    uint32_t id;
};

struct med_vocab {
    struct vocab_slot *slots; /* a power of two, at most half full */
    size_t slot_count;
    struct vocab_term *terms; /* by id */
    size_t terms_cap;
    uint32_t count;
    char **blocks;
    size_t blocks_cap, block_count;
    size_t block_used, block_size; /* of the last block */
    struct vocab_recent *recent;   /* MED_STEM_ALIKE_SLOTS, by token; NULL before the first one */
};

enum med_code med_vocab_new(struct med_vocab **ret_vocab, struct med_err *err)
{
    struct med_vocab *vocab = med_calloc(1, sizeof(*vocab));
    if (!vocab) return med_fail(err, MED_E_NOMEM, "no memory for a vocabulary");
    vocab->slots = med_calloc(VOCAB_SLOTS_MIN, sizeof(*vocab->slots));
    if (!vocab->slots) {
        med_free(vocab);
        return med_fail(err, MED_E_NOMEM, "no memory for a vocabulary");
    }
    vocab->slot_count = VOCAB_SLOTS_MIN;
    *ret_vocab = vocab;
    return MED_OK;
}

void med_vocab_free(struct med_vocab **vocab_ref)
{
    struct med_vocab *vocab = *vocab_ref;
    if (!vocab) return;
    *vocab_ref = NULL;
    for (size_t i = 0; i < vocab->block_count; i++) med_free(vocab->blocks[i]);
    med_free(vocab->blocks);
    med_free(vocab->recent);
    med_free(vocab->terms);
    med_free(vocab->slots);
    med_free(vocab);
}

static uint64_t eight_bytes(const char *at)
{
    uint64_t bytes;
    memcpy(&bytes, at, sizeof bytes);
    return bytes;
}

/* What memcmp does, without a call: terms are short. */
static bool same_bytes(const char *a, const char *b, size_t len)
{
    if (len < 8) {
        for (size_t i = 0; i < len; i++)
            if (a[i] != b[i]) return false;
        return true;
    }
    for (size_t i = 0; i + 8 < len; i += 8)
        if (eight_bytes(a + i) != eight_bytes(b + i)) return false;
    return eight_bytes(a + len - 8) == eight_bytes(b + len - 8);
}

/* The slot of the term, or the empty slot where it belongs. */
static size_t vocab_slot_of(const struct med_vocab *vocab, struct med_str term, uint64_t hash)
{
    size_t mask = vocab->slot_count - 1;
    uint32_t tag = (uint32_t)(hash >> 32);
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        const struct vocab_slot *slot = &vocab->slots[i];
        if (!slot->id_plus_1) return i;
        if (slot->tag != tag) continue;
        const struct vocab_term *t = &vocab->terms[slot->id_plus_1 - 1];
        if (t->len == term.len && same_bytes(t->ptr, term.ptr, term.len)) return i;
    }
}

static bool vocab_grow_slots(struct med_vocab *vocab)
{
    size_t count = vocab->slot_count * 2;
    struct vocab_slot *slots = med_calloc(count, sizeof(*slots));
    if (!slots) return false;
    for (uint32_t id = 0; id < vocab->count; id++) {
        uint64_t hash = med_hash64(vocab->terms[id].ptr, vocab->terms[id].len);
        size_t i = hash & (count - 1);
        while (slots[i].id_plus_1) i = (i + 1) & (count - 1);
        slots[i] = (struct vocab_slot){.id_plus_1 = id + 1, .tag = (uint32_t)(hash >> 32)};
    }
    med_free(vocab->slots);
    vocab->slots = slots;
    vocab->slot_count = count;
    return true;
}

static const char *vocab_copy(struct med_vocab *vocab, struct med_str term)
{
    if (!vocab->block_count || vocab->block_size - vocab->block_used < term.len) {
        size_t size = term.len > VOCAB_BLOCK_BYTES ? term.len : VOCAB_BLOCK_BYTES;
        if (!med_grow(&vocab->blocks, &vocab->blocks_cap, vocab->block_count + 1, sizeof(char *)))
            return NULL;
        char *block = med_malloc(size);
        if (!block) return NULL;
        vocab->blocks[vocab->block_count++] = block;
        vocab->block_size = size;
        vocab->block_used = 0;
    }
    char *at = vocab->blocks[vocab->block_count - 1] + vocab->block_used;
    if (term.len) memcpy(at, term.ptr, term.len);
    vocab->block_used += term.len;
    return at;
}

static enum med_code intern_hashed(struct med_vocab *vocab, struct med_str term, uint64_t hash,
    uint32_t *ret_id, struct med_err *err)
{
    size_t i = vocab_slot_of(vocab, term, hash);
    if (vocab->slots[i].id_plus_1) {
        *ret_id = vocab->slots[i].id_plus_1 - 1;
        return MED_OK;
    }
    if (vocab->count >= MED_NO_TERM - 1)
        return med_fail(err, MED_E_LIMIT, "a vocabulary holds at most 2^32 - 2 terms");
    if ((size_t)vocab->count + 1 > vocab->slot_count / 2) {
        if (!vocab_grow_slots(vocab)) goto nomem;
        i = vocab_slot_of(vocab, term, hash);
    }
    if (!med_grow(
            &vocab->terms, &vocab->terms_cap, (size_t)vocab->count + 1, sizeof(*vocab->terms)))
        goto nomem;
    const char *copy = vocab_copy(vocab, term);
    if (!copy) goto nomem;
    uint32_t id = vocab->count++;
    vocab->terms[id] = (struct vocab_term){.ptr = copy, .len = term.len};
    vocab->slots[i] = (struct vocab_slot){.id_plus_1 = id + 1, .tag = (uint32_t)(hash >> 32)};
    *ret_id = id;
    return MED_OK;
nomem:
    return med_fail(err, MED_E_NOMEM, "no memory for a vocabulary of %u terms", vocab->count);
}

enum med_code med_vocab_intern(
    struct med_vocab *vocab, struct med_str term, uint32_t *ret_id, struct med_err *err)
{
    return intern_hashed(vocab, term, med_hash64(term.ptr, term.len), ret_id, err);
}

/* A search of the table is three loads that follow from each other, each a miss in a large
 * vocabulary: those of a batch are sent off together. */
static void fetch_ahead(const struct med_vocab *vocab, const uint64_t *hashes, size_t count)
{
    const struct vocab_slot *slots[INTERN_BATCH];
    for (size_t i = 0; i < count; i++) {
        slots[i] = &vocab->slots[hashes[i] & (vocab->slot_count - 1)];
        __builtin_prefetch(slots[i]);
    }
    for (size_t i = 0; i < count; i++)
        if (slots[i]->id_plus_1) __builtin_prefetch(&vocab->terms[slots[i]->id_plus_1 - 1]);
    for (size_t i = 0; i < count; i++)
        if (slots[i]->id_plus_1) __builtin_prefetch(vocab->terms[slots[i]->id_plus_1 - 1].ptr);
}

static struct vocab_recent *recent_of(struct med_vocab *vocab, const struct med_token *token)
{
    return &vocab->recent[token->alike % MED_STEM_ALIKE_SLOTS];
}

/* At most INTERN_BATCH tokens. */
static enum med_code intern_batch(struct med_vocab *vocab, const struct med_token *tokens,
    size_t count, uint32_t *ret_ids, struct med_err *err)
{
    size_t searched[INTERN_BATCH], searches = 0;
    uint64_t hashes[INTERN_BATCH];
    for (size_t i = 0; i < count; i++) {
        const struct vocab_recent *recent = recent_of(vocab, &tokens[i]);
        ret_ids[i] = recent->id;
        if (tokens[i].alike && recent->alike == tokens[i].alike) continue;
        searched[searches] = i;
        hashes[searches++] = med_hash64(tokens[i].term.ptr, tokens[i].term.len);
    }
    fetch_ahead(vocab, hashes, searches);
    for (size_t k = 0; k < searches; k++) {
        const struct med_token *token = &tokens[searched[k]];
        uint32_t *id = &ret_ids[searched[k]];
        enum med_code code = intern_hashed(vocab, token->term, hashes[k], id, err);
        if (code != MED_OK) return code;
        if (token->alike)
            *recent_of(vocab, token) = (struct vocab_recent){.alike = token->alike, .id = *id};
    }
    return MED_OK;
}

enum med_code med_vocab_intern_tokens(struct med_vocab *vocab, const struct med_token *tokens,
    size_t count, uint32_t *ret_ids, struct med_err *err)
{
    enum med_code code = MED_OK;
    if (!vocab->recent) vocab->recent = med_calloc(MED_STEM_ALIKE_SLOTS, sizeof *vocab->recent);
    if (!vocab->recent) return med_fail(err, MED_E_NOMEM, "no memory for a vocabulary");
    for (size_t i = 0; code == MED_OK && i < count; i += INTERN_BATCH) {
        size_t rest = count - i;
        code = intern_batch(
            vocab, tokens + i, rest < INTERN_BATCH ? rest : INTERN_BATCH, ret_ids + i, err);
    }
    return code;
}

uint32_t med_vocab_find(const struct med_vocab *vocab, struct med_str term)
{
    size_t i = vocab_slot_of(vocab, term, med_hash64(term.ptr, term.len));
    return vocab->slots[i].id_plus_1 ? vocab->slots[i].id_plus_1 - 1 : MED_NO_TERM;
}

struct med_str med_vocab_term(const struct med_vocab *vocab, uint32_t id)
{
    assert(id < vocab->count);
    return (struct med_str){.ptr = vocab->terms[id].ptr, .len = vocab->terms[id].len};
}

uint32_t med_vocab_count(const struct med_vocab *vocab)
{
    return vocab->count;
}

/* The vocabulary: an open-addressing hash table over terms kept in blocks.
 *
 * Terms never move, so that slices handed out stay valid: they are copied into blocks of
 * VOCAB_BLOCK_BYTES which are only ever added. A slot of the table holds id + 1 and the upper half
 * of the hash, so that most probes of other terms end without touching the term's bytes. */
#include "embed/vocab.h"

#include "common/hash.h"
#include "common/mem.h"

#include <assert.h>

#define VOCAB_BLOCK_BYTES ((size_t)256 * 1024)
#define VOCAB_SLOTS_MIN ((size_t)1024)

struct vocab_slot {
    uint32_t id_plus_1; /* 0 = empty */
    uint32_t tag;       /* upper half of the hash */
};

struct vocab_term {
    const char *ptr;
    size_t len;
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
    med_free(vocab->terms);
    med_free(vocab->slots);
    med_free(vocab);
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
        if (t->len == term.len && memcmp(t->ptr, term.ptr, term.len) == 0) return i;
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

enum med_code med_vocab_intern(
    struct med_vocab *vocab, struct med_str term, uint32_t *ret_id, struct med_err *err)
{
    uint64_t hash = med_hash64(term.ptr, term.len);
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

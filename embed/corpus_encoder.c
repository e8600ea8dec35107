/* The finished encoder: one block of bytes, in memory after training, mapped when served.
 *
 *   header (128)  | term starts u32[terms + 1] | slots {id + 1, tag}[slots] | term bytes | rows
 * half[terms][dim]
 *
 * Every section begins at a multiple of 64; where it begins follows from the counts in the header
 * alone, so that there are no offsets to mistrust. Integers are little-endian. Row r belongs to the
 * term whose bytes lie between starts r and r + 1, and is already multiplied by that term's idf.
 * The slots are an open addressing table over XXH3-64 (linear probing; the tag is the hash's upper
 * half). */
#include "embed/corpus_internal.h"

#include "common/hash.h"
#include "common/mem.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#define FORMAT_VERSION 1
#define ALIGNMENT 64u
#define SLOTS_MIN 16u
#define ROW_RMS 4.0 /* of saved rows: far from both ends of what half floats can say */
#define ENCODE_PIECE 256

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the file format is little-endian");

static const char magic[8] = {'M', 'E', 'D', 'C', 'O', 'R', 'P', 'E'};

struct file_header {
    char magic[8];
    uint32_t version;
    uint32_t dim;
    uint32_t term_count;
    uint32_t slot_count; /* a power of two, at least twice the terms */
    uint64_t term_bytes;
    uint64_t file_bytes;
    uint64_t trained_passages;
    uint64_t seed;
    uint64_t reserved[8];
    uint64_t checksum; /* XXH3-64 of the header before it */
};
_Static_assert(sizeof(struct file_header) == 128, "on disk");

struct file_slot {
    uint32_t id_plus_1; /* 0 = empty */
    uint32_t tag;
};
_Static_assert(sizeof(struct file_slot) == 8, "on disk");

struct layout {
    uint64_t starts, slots, terms, rows, end;
};

struct med_corpus_encoder {
    const struct file_header *header;
    const uint32_t *starts;
    const struct file_slot *slots;
    const char *terms;
    const uint16_t *rows;
    const struct med_corpus_kernels *kernels;
    uint8_t *owned; /* the image, when it is not borrowed */
};

static uint64_t align(uint64_t offset)
{
    return (offset + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* Counts are 32 bits and term_bytes below 2^32: nothing here can overflow. */
static struct layout layout_of(const struct file_header *h)
{
    struct layout l;
    l.starts = align(sizeof *h);
    l.slots = align(l.starts + ((uint64_t)h->term_count + 1) * sizeof(uint32_t));
    l.terms = align(l.slots + (uint64_t)h->slot_count * sizeof(struct file_slot));
    l.rows = align(l.terms + h->term_bytes);
    l.end = l.rows + (uint64_t)h->term_count * h->dim * sizeof(uint16_t);
    return l;
}

static uint64_t header_checksum(const struct file_header *h)
{
    return med_hash64(h, offsetof(struct file_header, checksum));
}

/* --- writing --- */

static void fill_slots(struct file_slot *slots, uint32_t slot_count, const struct corpus_set *set)
{
    for (uint32_t r = 0; r < set->row_count; r++) {
        struct med_str term = med_vocab_term(set->corpus->vocab, set->term_of[r]);
        uint64_t hash = med_hash64(term.ptr, term.len);
        uint32_t at = (uint32_t)hash & (slot_count - 1);
        while (slots[at].id_plus_1 != 0) at = (at + 1) & (slot_count - 1);
        slots[at] = (struct file_slot){.id_plus_1 = r + 1, .tag = (uint32_t)(hash >> 32)};
    }
}

static void fill_rows(
    uint16_t *rows, const struct corpus_set *set, uint32_t dim, const float *vectors)
{
    double square = 0;
    for (size_t r = 0; r < set->row_count; r++) {
        double row = 0;
        for (size_t d = 0; d < dim; d++)
            row += (double)vectors[r * dim + d] * (double)vectors[r * dim + d];
        square += row * (double)set->idf[r] * (double)set->idf[r];
    }
    float scale = square > 0 ? (float)(ROW_RMS / sqrt(square / set->row_count)) : 0;
    for (size_t r = 0; r < set->row_count; r++) {
        for (size_t d = 0; d < dim; d++) {
            float value = vectors[r * dim + d] * set->idf[r] * scale;
            rows[r * dim + d] = med_float_to_half(value);
        }
    }
}

enum med_code corpus_image(const struct corpus_set *set, uint32_t dim, const float *vectors,
    uint64_t seed, uint8_t **ret_image, size_t *ret_len, struct med_err *err)
{
    struct file_header h = {
        .version = FORMAT_VERSION,
        .dim = dim,
        .term_count = set->row_count,
        .slot_count = SLOTS_MIN,
        .trained_passages = set->passage_count,
        .seed = seed,
    };
    memcpy(h.magic, magic, sizeof magic);
    while (h.slot_count < 2 * (uint64_t)h.term_count) h.slot_count *= 2;
    for (uint32_t r = 0; r < set->row_count; r++)
        h.term_bytes += med_vocab_term(set->corpus->vocab, set->term_of[r]).len;
    struct layout l = layout_of(&h);
    h.file_bytes = l.end;
    h.checksum = header_checksum(&h);
    uint8_t *image = med_aligned_alloc(l.end);
    if (!image)
        return med_fail(err, MED_E_NOMEM, "out of memory for an encoder of %u terms", h.term_count);
    memset(image, 0, l.end);
    memcpy(image, &h, sizeof h);
    uint32_t *starts = (uint32_t *)(void *)(image + l.starts);
    for (uint32_t r = 0; r < set->row_count; r++) {
        struct med_str term = med_vocab_term(set->corpus->vocab, set->term_of[r]);
        memcpy(image + l.terms + starts[r], term.ptr, term.len);
        starts[r + 1] = starts[r] + (uint32_t)term.len;
    }
    fill_slots((struct file_slot *)(void *)(image + l.slots), h.slot_count, set);
    fill_rows((uint16_t *)(void *)(image + l.rows), set, dim, vectors);
    *ret_image = image;
    *ret_len = l.end;
    return MED_OK;
}

enum med_code med_corpus_save(const struct med_corpus_encoder *encoder, const struct med_fs *fs,
    const char *path, uint64_t *ret_size, struct med_hash128 *ret_hash, struct med_err *err)
{
    struct med_file *file;
    enum med_code code = med_file_create(fs, path, &file, err);
    if (code != MED_OK) return code;
    code = med_file_append(file, encoder->header, encoder->header->file_bytes, err);
    if (code != MED_OK) {
        med_file_discard(&file);
        return code;
    }
    return med_file_finish(&file, ret_size, ret_hash, err);
}

/* --- reading --- */

static enum med_code check_header(const struct file_header *h, size_t len, struct med_err *err)
{
    if (len < sizeof *h || memcmp(h->magic, magic, sizeof magic) != 0)
        return med_fail(err, MED_E_CORRUPT, "not a corpus encoder");
    if (h->checksum != header_checksum(h))
        return med_fail(err, MED_E_CORRUPT, "the header of the encoder is damaged");
    if (h->version != FORMAT_VERSION)
        return med_fail(err, MED_E_UNSUPPORTED,
            "the encoder has format %u, this program reads %u: build --retrain makes a new one",
            h->version, FORMAT_VERSION);
    bool counts = h->dim >= MED_CORPUS_LANES && h->dim <= CORPUS_DIM_MAX &&
                  h->dim % MED_CORPUS_LANES == 0 && h->term_count > 0 &&
                  h->term_count <= MED_ENCODER_VOCAB_MAX && h->slot_count >= SLOTS_MIN &&
                  (h->slot_count & (h->slot_count - 1)) == 0 && h->slot_count > h->term_count &&
                  h->term_bytes <= h->term_count * MED_TERM_BYTES_MAX;
    if (!counts || layout_of(h).end != len || h->file_bytes != len)
        return med_fail(err, MED_E_CORRUPT, "the encoder's sizes contradict each other");
    return MED_OK;
}

static bool tables_are_sound(const struct med_corpus_encoder *e)
{
    const struct file_header *h = e->header;
    if (e->starts[0] != 0 || e->starts[h->term_count] != h->term_bytes) return false;
    for (uint32_t r = 0; r < h->term_count; r++) {
        if (e->starts[r + 1] < e->starts[r]) return false;
        if (e->starts[r + 1] - e->starts[r] > MED_TERM_BYTES_MAX) return false;
    }
    uint32_t empty = 0;
    for (uint32_t s = 0; s < h->slot_count; s++) {
        if (e->slots[s].id_plus_1 > h->term_count) return false;
        empty += e->slots[s].id_plus_1 == 0;
    }
    return empty > 0; /* so that every search of the table ends */
}

enum med_code med_corpus_open(
    const void *bytes, size_t len, struct med_corpus_encoder **ret_encoder, struct med_err *err)
{
    if ((uintptr_t)bytes % ALIGNMENT != 0)
        return med_fail(err, MED_E_INVALID, "an encoder's bytes must be aligned to %u", ALIGNMENT);
    enum med_code code = check_header(bytes, len, err);
    if (code != MED_OK) return code;
    const struct file_header *header = bytes;
    struct layout l = layout_of(header);
    const uint8_t *at = bytes;
    struct med_corpus_encoder *encoder = med_calloc(1, sizeof *encoder);
    if (!encoder) return med_fail(err, MED_E_NOMEM, "out of memory opening an encoder");
    *encoder = (struct med_corpus_encoder){
        .header = header,
        .starts = (const uint32_t *)(const void *)(at + l.starts),
        .slots = (const struct file_slot *)(const void *)(at + l.slots),
        .terms = (const char *)(at + l.terms),
        .rows = (const uint16_t *)(const void *)(at + l.rows),
        .kernels = med_corpus_kernels(med_cpu_level()),
    };
    if (!tables_are_sound(encoder)) {
        med_corpus_free(&encoder);
        return med_fail(err, MED_E_CORRUPT, "the encoder's table of terms is damaged");
    }
    *ret_encoder = encoder;
    return MED_OK;
}

enum med_code corpus_adopt(
    uint8_t **image, size_t len, struct med_corpus_encoder **ret_encoder, struct med_err *err)
{
    enum med_code code = med_corpus_open(*image, len, ret_encoder, err);
    if (code != MED_OK) return code;
    (*ret_encoder)->owned = *image;
    *image = NULL;
    return MED_OK;
}

void med_corpus_free(struct med_corpus_encoder **encoder)
{
    if (!*encoder) return;
    med_free((*encoder)->owned);
    med_free(*encoder);
    *encoder = NULL;
}

uint32_t med_corpus_dim(const struct med_corpus_encoder *encoder)
{
    return encoder->header->dim;
}

uint32_t med_corpus_term_count(const struct med_corpus_encoder *encoder)
{
    return encoder->header->term_count;
}

uint64_t med_corpus_trained_passages(const struct med_corpus_encoder *encoder)
{
    return encoder->header->trained_passages;
}

uint32_t med_corpus_find(const struct med_corpus_encoder *encoder, struct med_str term)
{
    uint64_t hash = med_hash64(term.ptr, term.len);
    uint32_t mask = encoder->header->slot_count - 1, tag = (uint32_t)(hash >> 32);
    for (uint32_t at = (uint32_t)hash & mask;; at = (at + 1) & mask) {
        struct file_slot slot = encoder->slots[at];
        if (slot.id_plus_1 == 0) return MED_NO_TERM;
        if (slot.tag != tag) continue;
        uint32_t row = slot.id_plus_1 - 1, start = encoder->starts[row];
        if (encoder->starts[row + 1] - start == term.len &&
            memcmp(encoder->terms + start, term.ptr, term.len) == 0)
            return row;
    }
}

/* --- encoding --- */

/* Scales to length 1; false = nothing to scale, or damaged rows (not finite). */
static bool normalise(const struct med_corpus_encoder *encoder, float *vector)
{
    size_t dim = encoder->header->dim;
    float square = encoder->kernels->dot(vector, vector, dim);
    if (!(square > 0) || !isfinite(square)) {
        memset(vector, 0, dim * sizeof *vector);
        return false;
    }
    float scale = 1 / sqrtf(square);
    for (size_t d = 0; d < dim; d++) vector[d] *= scale;
    return true;
}

void med_corpus_encode(const struct med_corpus_encoder *encoder, const struct med_bag *bag,
    float *ret_vector, bool *ret_known)
{
    const struct file_header *h = encoder->header;
    uint32_t rows[ENCODE_PIECE];
    float weights[ENCODE_PIECE];
    memset(ret_vector, 0, h->dim * sizeof *ret_vector);
    for (size_t i = 0; i < bag->count;) {
        size_t count = 0;
        for (; i < bag->count && count < ENCODE_PIECE; i++) {
            if (bag->rows[i] >= h->term_count || !(bag->counts[i] > 0)) continue;
            rows[count] = bag->rows[i];
            weights[count++] = med_corpus_tf_weight(bag->counts[i]);
        }
        encoder->kernels->add_half_rows(encoder->rows, h->dim, rows, weights, count, ret_vector);
    }
    bool known = normalise(encoder, ret_vector);
    if (ret_known) *ret_known = known;
}

/* The bytes of a lexical index, shared by its writer and its readers. All integers are
 * little-endian. README.md has the picture; this header has the structs, the codes of impact
 * frontiers and the loads. */
#pragma once

#include "common/str.h"

#include <stdint.h>

#define LEX_FORMAT_VERSION 1u
#define LEX_LEXICON_MAGIC "MEDLEXT\n"
#define LEX_POSTINGS_MAGIC "MEDPOST\n"
#define LEX_LENGTHS_MAGIC "MEDLENS\n"

#define LEX_BLOCK 128u          /* postings per block; lists shorter than this are plain varints */
#define LEX_TERMS_PER_BLOCK 16u /* front-coded terms per lexicon block */
#define LEX_PAD_BYTES                                                                              \
    64u /* zeros at the end of postings and lengths, so that vector loads stay inside */
#define LEX_CHUNKS_MAX 0x7FFFFFFFu
#define LEX_WTF_MAX 0xFFFFu /* term frequencies and lengths saturate here */
#define LEX_LEN_MAX 0xFFFFu
#define LEX_ID_BITS_MAX 31u
#define LEX_WTF_BITS_MAX 16u
#define LEX_BLOCK_IMPACTS 3u
#define LEX_TERM_IMPACTS 6u
#define LEX_TERM_BYTES_MAX 255u

struct lex_lexicon_header {
    char magic[8];
    uint32_t version;
    uint32_t term_count;
    uint32_t block_count;
    uint32_t chunk_count;
    uint64_t blocks_size;   /* bytes behind keys and offsets */
    uint64_t postings_size; /* of the postings file */
    uint8_t reserved[24];
};
_Static_assert(sizeof(struct lex_lexicon_header) == 64, "on disk");

struct lex_postings_header {
    char magic[8];
    uint32_t version;
    uint32_t term_count;
    uint32_t chunk_count;
    uint32_t reserved0;
    uint64_t posting_count;
    uint8_t reserved[32];
};
_Static_assert(sizeof(struct lex_postings_header) == 64, "on disk");

struct lex_lengths_header {
    char magic[8];
    uint32_t version;
    uint32_t chunk_count;
    uint64_t length_sum;
    uint32_t length_max;
    uint8_t reserved[36];
};
_Static_assert(sizeof(struct lex_lengths_header) == 64, "on disk");

/* An impact is a (term frequency, length) pair in one byte each, rounded so that it never scores
 * lower than what it stands for: the frequency up (255 = any), the length down. A frequency of 0 is
 * an unused entry. */
struct lex_impact {
    uint8_t wtf, len;
};

/* A list of LEX_BLOCK or more postings begins with this, then come last_ids[block_count] (u32),
 * blocks[block_count], and the packed payload. */
struct lex_list_header {
    struct lex_impact impacts[LEX_TERM_IMPACTS]; /* of the whole list */
    uint32_t first_id;
};
_Static_assert(sizeof(struct lex_list_header) == 16, "on disk");

struct lex_block {
    uint32_t offset; /* into the payload: packed gaps - 1, then packed frequencies - 1 */
    uint8_t id_bits, wtf_bits;
    struct lex_impact impacts[LEX_BLOCK_IMPACTS];
};
_Static_assert(sizeof(struct lex_block) == 12, "on disk");

static inline uint32_t lex_load_u32(const uint8_t *at)
{
    uint32_t v;
    memcpy(&v, at, sizeof(v));
    return v;
}

static inline uint32_t lex_packed_bytes(uint32_t count, uint32_t bits)
{
    return (count * bits + 7) / 8;
}

/* Lengths in one byte: exact below 32, then 16 steps per octave; the code's length is the smallest
 * of its class. */
static inline uint8_t lex_len_code(uint32_t len)
{
    if (len < 32) return (uint8_t)len;
    uint32_t shift = 27u - (uint32_t)__builtin_clz(len); /* len >> shift is in 16..31 */
    return (uint8_t)(32 + (shift - 1) * 16 + ((len >> shift) - 16));
}

static inline uint32_t lex_len_of_code(uint8_t code)
{
    if (code < 32) return code;
    uint32_t shift = (code - 32u) / 16 + 1;
    return (16 + (code - 32u) % 16) << shift;
}

static inline uint8_t lex_wtf_code(uint32_t wtf)
{
    return wtf < 255 ? (uint8_t)wtf : 255;
}

/* The first eight bytes of a term as a number that sorts like the term. */
static inline uint64_t lex_term_key(struct med_str term)
{
    uint64_t key = 0;
    if (term.len >= 8) {
        memcpy(&key, term.ptr, 8);
    } else if (term.len) {
        memcpy(&key, term.ptr, term.len);
    }
    return __builtin_bswap64(key);
}

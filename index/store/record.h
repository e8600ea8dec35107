/* The bytes in the store's tables, as pure functions. Little-endian, a format byte first; keys are
 * big-endian so that byte order is numeric order.
 *
 *   head     format 1 | live 1 | version 4 | sequence 8 | PubMed version 4 | date revised 4 |
 *            hash 16 | aliases: n 1, n x (len 2, bytes)
 *   version  format 1 | codec 1 | dictionary 4 | raw length 4 | hash of raw 16 | payload
 *   state    format 4 | dictionary 4 | live documents 8 | next training 8 | store id 16 |
 *            commits 8 (absent in older stores)
 *   input    format 1 or 2 | varints: sequence, time, added, updated, unchanged, deleted, skipped |
 *            since format 2: size (varint), hash 16 | name
 *
 * Everything decoded was untrusted bytes: false or MED_E_CORRUPT for whatever does not fit. */
#pragma once

#include "common/limits.h"
#include "index/document/document.h"
#include "index/store/store.h"

#define MED_STORE_FORMAT 1
#define MED_INPUT_FORMAT 2
#define MED_HEAD_ALIASES_MAX MED_PREPARED_NAMES_MAX /* of med_doc_aliases, and the address */
#define MED_RECORD_BYTES_MAX (64 * MED_MIB)         /* one encoded document */
#define MED_HEAD_BYTES_MAX (64 + MED_HEAD_ALIASES_MAX * (2 + MED_ID_BYTES_MAX))
#define MED_INPUT_NAME_BYTES_MAX 4096

struct med_head {
    bool live;
    uint32_t version;
    struct med_precedence precedence;
    struct med_hash128 hash;                      /* of the encoded document; zero for a deletion */
    struct med_str aliases[MED_HEAD_ALIASES_MAX]; /* other names than the id; none when deleted */
    size_t alias_count;
};
/* The names of a document in the order of med_doc_aliases, then that of its own address unless the
 * others give it away. In the arena. */
enum med_code med_head_names(const struct med_doc *doc, struct med_arena *arena,
    struct med_str ret_names[MED_HEAD_ALIASES_MAX], size_t *ret_count,
    struct med_err *err) MED_CHECK;
void med_head_encode(const struct med_head *head, struct med_buf *out);
bool med_head_decode(
    struct med_str bytes, struct med_head *ret_head); /* aliases borrow from bytes */

enum med_codec { MED_CODEC_RAW, MED_CODEC_ZSTD, MED_CODEC_DELETED, MED_CODEC_COUNT };
struct med_record {
    enum med_codec codec;
    uint32_t dict_id; /* 0 = none */
    uint32_t raw_len;
    struct med_hash128 hash;
    struct med_str payload;
};
#define MED_RECORD_HEADER_BYTES 26
void med_record_encode(const struct med_record *record, struct med_buf *out);
bool med_record_decode(struct med_str bytes, struct med_record *ret_record);

struct med_store_state {
    uint32_t dict_id;       /* of new records; 0 = none yet */
    uint64_t doc_count;     /* live */
    uint64_t next_training; /* a dictionary is trained once there are so many live documents */
    unsigned char store_id[16];
    /* Counts commits, also across copies, in which LMDB's own count begins anew. Absent in stores
     * of older versions: 0. */
    uint64_t commit_count;
};
void med_state_encode(const struct med_store_state *state, struct med_buf *out);
enum med_code med_state_decode(
    struct med_str bytes, struct med_store_state *ret_state, struct med_err *err) MED_CHECK;

void med_input_encode(const struct med_input_entry *entry, struct med_buf *out);
bool med_input_decode(
    struct med_str bytes, struct med_input_entry *ret_entry); /* the name borrows */

/* id '\0' version, into ret_key[MED_VERSION_KEY_BYTES_MAX]. The id is at most MED_ID_BYTES_MAX. */
#define MED_VERSION_KEY_BYTES_MAX (MED_ID_BYTES_MAX + 5)
struct med_str med_version_key(char ret_key[], struct med_str id, uint32_t version);
bool med_version_key_split(struct med_str key, struct med_str *ret_id, uint32_t *ret_version);
struct med_str med_be32(char ret_bytes[4], uint32_t x);
struct med_str med_be64(char ret_bytes[8], uint64_t x);
bool med_be64_read(struct med_str bytes, uint64_t *ret_x);

/* --- precedence --- */
struct med_candidate {
    bool live;
    struct med_precedence precedence;
    struct med_hash128 hash;
};
/* > 0: a beats b. A total order, so that the largest wins whatever the order of arrival. */
int med_candidate_cmp(const struct med_candidate *a, const struct med_candidate *b);

enum med_decision {
    MED_DECIDE_KEEP,  /* nothing changes */
    MED_DECIDE_TOUCH, /* the same content with a larger precedence: only the head changes */
    MED_DECIDE_WRITE, /* a new version */
};
/* current NULL: the id is new. ret_outcome is what the caller of put or delete is told. */
enum med_decision med_decide(const struct med_candidate *current,
    const struct med_candidate *incoming, enum med_put_outcome *ret_outcome);

/* An open index: the three maps and what open() validated. Internal to this folder. */
#pragma once

#include "common/buf.h"
#include "index/lexical/format.h"
#include "index/lexical/lexical.h"

struct med_lex {
    struct med_map postings;
    const uint8_t *keys;    /* u64[block_count]: first bytes of each block's first term */
    const uint8_t *offsets; /* u32[block_count + 1] into blocks */
    const uint8_t *blocks;
    const uint16_t *lengths; /* chunk_count of them, then padding; each <= length_max */
    uint64_t length_sum;
    uint64_t posting_count;
    uint32_t term_count, block_count, chunk_count;
    uint32_t length_max;
};

/* One lexicon entry. The term's bytes live here because they are front-coded. */
struct lex_entry {
    uint32_t ordinal;
    uint32_t df;
    uint32_t posting_count; /* 1..chunk_count */
    const uint8_t
        *record; /* the list: varints, or a lex_list_header when posting_count >= LEX_BLOCK */
    size_t record_size;
    size_t term_len;
    char term[LEX_TERM_BYTES_MAX + 1];
};

/* The entry at an ordinal below term_count; MED_E_CORRUPT when the bytes do not make sense. */
enum med_code lex_entry_at(const struct med_lex *lex, uint32_t ordinal, struct lex_entry *ret_entry,
    struct med_err *err) MED_CHECK;
/* The entry of a term; *ret_found = false when absent. */
enum med_code lex_entry_find(const struct med_lex *lex, struct med_str term,
    struct lex_entry *ret_entry, bool *ret_found, struct med_err *err) MED_CHECK;

/* All entries in order, each decoded once. */
struct lex_walk {
    const struct med_lex *lex;
    struct lex_entry entry; /* the current one */
    uint32_t next;          /* ordinal of the one behind it */
    struct med_reader bytes;
    uint64_t record_start;
};
struct lex_walk lex_walk_of(const struct med_lex *lex);
/* Moves to the next entry; *ret_more = false at the end. MED_E_CORRUPT also when terms are not in
 * byte order. */
enum med_code lex_walk_next(struct lex_walk *walk, bool *ret_more, struct med_err *err) MED_CHECK;

/* One posting list from its beginning to its end, with frequencies and without scores: what merging
 * reads. Decoding checks what lex_cursor checks. Internal to this folder. */
#pragma once

#include "index/lexical/pack.h"
#include "index/lexical/reader.h"

struct lex_list {
    const struct med_lex *lex;
    const uint8_t *last_ids, *blocks, *payload; /* NULL for short lists */
    size_t payload_size;
    uint32_t posting_count;
    uint32_t read; /* postings of the blocks up to the current one */
    uint32_t base; /* ids of the next block are behind this one (wraps to -1 before chunk 0) */
    uint32_t count, pos; /* of the current block; the posting at pos is the next one */
    uint32_t ids[LEX_BLOCK + LEX_UNPACK_SLACK];
    uint32_t wtfs[LEX_BLOCK + LEX_UNPACK_SLACK];
};

/* Decodes the first block; it has at least one posting. */
enum med_code lex_list_open(struct lex_list *list, const struct med_lex *lex,
    const struct lex_entry *entry, struct med_err *err) MED_CHECK;
/* Decodes the next block, whatever pos is; count = 0 at the end. */
enum med_code lex_list_next_block(struct lex_list *list, struct med_err *err) MED_CHECK;
/* Moves pos to the first posting at or behind id: *ret_wtf is its frequency when it is id's, else
 * 0. Ids never go back. */
enum med_code lex_list_seek(
    struct lex_list *list, uint32_t id, uint32_t *ret_wtf, struct med_err *err) MED_CHECK;

/* All postings of a list with less than LEX_BLOCK of them. */
enum med_code lex_list_short(const struct med_lex *lex, const struct lex_entry *entry,
    uint32_t *ret_ids, uint32_t *ret_wtfs, struct med_err *err) MED_CHECK;

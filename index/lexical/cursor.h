/* A cursor over one posting list: moves forward by chunk id, decodes a block only when asked, and
 * knows upper bounds of what its postings contribute, for the block and for the whole list. Short
 * lists are decoded at once and look like a single block.
 *
 * Everything read is checked: a block's ids must end with the id that the skip data promised, which
 * must be below the number of chunks and ascend from block to block. */
#pragma once

#include "index/lexical/pack.h"
#include "index/lexical/reader.h"
#include "index/lexical/score.h"

/* What the cursors of one query share. */
struct lex_context {
    const struct med_lex *lex;
    struct lex_scoring scoring;
    float code_norms[256]; /* by length code of an impact */
};

struct lex_cursor {
    const struct lex_context *context;
    float factor;
    uint32_t bound;         /* no posting of the list contributes more */
    uint32_t posting_count; /* > 0 */
    uint32_t block_count;

    const uint8_t *last_ids, *blocks, *payload; /* NULL for short lists */
    size_t payload_size;
    uint32_t first_id;

    uint32_t block;       /* where the cursor is; block_count = behind the end */
    uint32_t block_base;  /* ids of the block are behind this one (wraps to -1 before chunk 0) */
    uint32_t block_last;  /* and end with this one */
    uint32_t block_bound; /* valid when has_block_bound */
    bool has_block_bound;

    uint32_t decoded; /* the block whose ids are below; UINT32_MAX = none */
    bool scored;      /* contributions are there too */
    uint32_t count;   /* of decoded ids */
    uint32_t pos;     /* first decoded id that may be of interest; moves forward within a block */
    uint32_t ids[LEX_BLOCK + LEX_UNPACK_SLACK]; /* the slack repeats the last id */
    uint32_t contributions[LEX_BLOCK + LEX_UNPACK_SLACK];
};

void lex_context_init(
    struct lex_context *context, const struct med_lex *lex, const struct lex_scoring *scoring);

enum med_code lex_cursor_open(struct lex_cursor *cursor, const struct lex_context *context,
    struct med_lex_term term, struct med_err *err) MED_CHECK;

/* Back to the beginning of the list. */
void lex_cursor_rewind(struct lex_cursor *cursor);
/* Moves to the first block that ends at or behind id. */
enum med_code lex_cursor_seek_slow(
    struct lex_cursor *cursor, uint32_t id, struct med_err *err) MED_CHECK;
static inline enum med_code lex_cursor_seek(
    struct lex_cursor *cursor, uint32_t id, struct med_err *err)
{
    if (cursor->block_last >= id || cursor->block >= cursor->block_count) return MED_OK;
    return lex_cursor_seek_slow(cursor, id, err);
}
static inline bool lex_cursor_at_end(const struct lex_cursor *cursor)
{
    return cursor->block >= cursor->block_count;
}
/* First id that the current block can hold. */
static inline uint32_t lex_cursor_block_start(const struct lex_cursor *cursor)
{
    return cursor->block_base + 1;
}

/* Fetches what the next window will ask for. */
static inline void lex_cursor_prefetch_skips(const struct lex_cursor *cursor)
{
    if (!cursor->blocks) return;
    __builtin_prefetch(cursor->blocks + ((size_t)cursor->block + 8) * sizeof(struct lex_block));
    __builtin_prefetch(cursor->last_ids + ((size_t)cursor->block + 16) * sizeof(uint32_t));
}

/* Upper bound within the current block. */
uint32_t lex_cursor_block_bound(struct lex_cursor *cursor);
/* Upper bound within block j >= the current one. */
uint32_t lex_cursor_bound_of(const struct lex_cursor *cursor, uint32_t j);
static inline uint32_t lex_cursor_last_of(const struct lex_cursor *cursor, uint32_t j)
{
    return cursor->last_ids ? lex_load_u32(cursor->last_ids + (size_t)j * 4) : cursor->block_last;
}

/* Decodes the current block's ids (not at the end); scores them too. */
enum med_code lex_cursor_decode_slow(struct lex_cursor *cursor, struct med_err *err) MED_CHECK;
static inline enum med_code lex_cursor_decode(struct lex_cursor *cursor, struct med_err *err)
{
    return cursor->decoded == cursor->block ? MED_OK : lex_cursor_decode_slow(cursor, err);
}
void lex_cursor_score(struct lex_cursor *cursor);

/* In the decoded block: where the first id >= `id` is, looking from pos on; `id` must not be behind
 * the block's last. */
uint32_t lex_cursor_lower_bound(const struct lex_cursor *cursor, uint32_t id);
/* Adds the contributions of `count` ascending ids that are not behind the decoded block's last to
 * sums; pos moves. */
void lex_cursor_add(struct lex_cursor *cursor, const uint32_t *ids, uint32_t *sums, size_t count);

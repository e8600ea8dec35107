#include "index/lexical/cursor.h"

#include "index/lexical/kernels.h"
#include "index/lexical/list.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define CACHE_LINE 64u
#define PREFETCH_BYTES 256u

/* A block's payload, before it is known whether it will be decoded. */
static void fetch(const uint8_t *payload)
{
    for (size_t i = 0; i < PREFETCH_BYTES; i += CACHE_LINE) __builtin_prefetch(payload + i);
}

/* Searches and kernels look at whole vectors: what is behind the end must be harmless. */
static void fill_slack(struct lex_cursor *c)
{
    for (uint32_t i = 0; i < LEX_UNPACK_SLACK; i++) c->ids[c->count + i] = c->block_last;
}

static enum med_code corrupt(struct med_err *err)
{
    return med_fail(err, MED_E_CORRUPT, "the lexical index is damaged: a posting list");
}

void lex_context_init(
    struct lex_context *context, const struct med_lex *lex, const struct lex_scoring *scoring)
{
    context->lex = lex;
    context->scoring = *scoring;
    for (uint32_t code = 0; code < 256; code++)
        context->code_norms[code] = lex_norm(scoring, lex_len_of_code((uint8_t)code));
}

static uint32_t impacts_bound(
    const struct lex_cursor *c, const struct lex_impact *impacts, uint32_t count)
{
    uint32_t best = 0;
    for (uint32_t i = 0; i < count && impacts[i].wtf; i++) {
        uint32_t bound =
            lex_impact_bound(c->factor, impacts[i], c->context->code_norms[impacts[i].len]);
        if (bound > best) best = bound;
    }
    return best;
}

/* --- opening --- */

static enum med_code open_short(
    struct lex_cursor *c, const struct lex_entry *entry, struct med_err *err)
{
    uint32_t wtfs[LEX_BLOCK + LEX_UNPACK_SLACK];
    enum med_code code = lex_list_short(c->context->lex, entry, c->ids, wtfs, err);
    if (code != MED_OK) return code;
    c->count = entry->posting_count;
    c->block_count = 1;
    c->block_base = c->ids[0] - 1;
    c->block_last = c->ids[c->count - 1];
    c->decoded = 0;
    fill_slack(c);
    lex_score_block(&c->context->scoring, c->ids, wtfs, c->count, c->context->lex->lengths,
        c->factor, c->contributions);
    c->scored = true;
    for (uint32_t i = 0; i < c->count; i++)
        if (c->contributions[i] > c->bound) c->bound = c->contributions[i];
    c->block_bound = c->bound;
    c->has_block_bound = true;
    return MED_OK;
}

static enum med_code open_blocked(
    struct lex_cursor *c, const struct lex_entry *entry, struct med_err *err)
{
    struct lex_list_header header;
    c->block_count = (entry->posting_count + LEX_BLOCK - 1) / LEX_BLOCK;
    size_t skips = (size_t)c->block_count * (sizeof(uint32_t) + sizeof(struct lex_block));
    if (entry->record_size < sizeof(header) + skips) return corrupt(err);
    memcpy(&header, entry->record, sizeof(header));
    c->last_ids = entry->record + sizeof(header);
    c->blocks = c->last_ids + (size_t)c->block_count * sizeof(uint32_t);
    c->payload = c->blocks + (size_t)c->block_count * sizeof(struct lex_block);
    c->payload_size = entry->record_size - sizeof(header) - skips;
    c->first_id = header.first_id;
    c->block_base = c->first_id - 1;
    c->block_last = lex_load_u32(c->last_ids);
    if (c->first_id > c->block_last || c->block_last >= c->context->lex->chunk_count)
        return corrupt(err);
    c->decoded = UINT32_MAX;
    c->bound = impacts_bound(c, header.impacts, LEX_TERM_IMPACTS);
    return MED_OK;
}

enum med_code lex_cursor_open(struct lex_cursor *c, const struct lex_context *context,
    struct med_lex_term term, struct med_err *err)
{
    struct lex_entry entry;
    enum med_code code = lex_entry_at(context->lex, term.ordinal, &entry, err);
    if (code != MED_OK) return code;
    memset(c, 0, offsetof(struct lex_cursor, ids));
    c->context = context;
    c->factor = lex_factor(&context->scoring, term.weight);
    c->posting_count = entry.posting_count;
    return entry.posting_count < LEX_BLOCK ? open_short(c, &entry, err)
                                           : open_blocked(c, &entry, err);
}

/* --- moving --- */

void lex_cursor_rewind(struct lex_cursor *c)
{
    c->pos = 0;
    if (c->block == 0) return;
    c->block = 0;
    if (!c->last_ids) return;
    c->block_base = c->first_id - 1;
    c->block_last = lex_load_u32(c->last_ids);
    c->has_block_bound = false;
}

enum med_code lex_cursor_seek_slow(struct lex_cursor *c, uint32_t id, struct med_err *err)
{
    uint32_t low = c->block + 1, step = 1, high = low;
    /* Galloping, then a binary search: blocks before low end before id, block `high` does not (or
     * is the end). */
    while (high < c->block_count && lex_cursor_last_of(c, high) < id) {
        low = high + 1;
        high = c->block_count - high > step ? high + step : c->block_count;
        step *= 2;
    }
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (lex_cursor_last_of(c, middle) < id)
            low = middle + 1;
        else
            high = middle;
    }
    c->block = low;
    c->has_block_bound = false;
    c->pos = 0;
    if (low >= c->block_count) return MED_OK;
    c->block_base = lex_cursor_last_of(c, low - 1);
    c->block_last = lex_cursor_last_of(c, low);
    if (c->block_last <= c->block_base || c->block_last >= c->context->lex->chunk_count)
        return corrupt(err);
    return MED_OK;
}

static struct lex_block load_block(const struct lex_cursor *c, uint32_t j)
{
    struct lex_block block;
    memcpy(&block, c->blocks + (size_t)j * sizeof(block), sizeof(block));
    return block;
}

/* The bound of a block's impacts: impacts_bound, with one division for all of them. */
static uint32_t block_impacts_bound(const struct lex_cursor *c, const struct lex_impact *impacts)
{
#if defined(__x86_64__)
    const float *norms = c->context->code_norms;
    __m128i wtf = _mm_setr_epi32(impacts[0].wtf, impacts[1].wtf, impacts[2].wtf, 0);
    __m128 norm =
        _mm_setr_ps(norms[impacts[0].len], norms[impacts[1].len], norms[impacts[2].len], 1);
    __m128 tf = _mm_cvtepi32_ps(wtf),
           any = _mm_castsi128_ps(_mm_cmpeq_epi32(wtf, _mm_set1_epi32(255)));
    __m128 share = _mm_div_ps(tf, _mm_add_ps(tf, norm));
    share = _mm_or_ps(_mm_andnot_ps(any, share), _mm_and_ps(any, _mm_set1_ps(1)));
    __m128i best = _mm_cvtps_epi32(_mm_mul_ps(_mm_set1_ps(c->factor), share));
    best = _mm_and_si128(best, _mm_cmpgt_epi32(wtf, _mm_setzero_si128()));
    uint32_t lanes[4], bound = 0;
    _mm_storeu_si128((__m128i *)(void *)lanes, best);
    for (uint32_t i = 0; i < LEX_BLOCK_IMPACTS; i++)
        if (lanes[i] > bound) bound = lanes[i];
    return bound + (bound >> 20) + 1;
#else
    return impacts_bound(c, impacts, LEX_BLOCK_IMPACTS);
#endif
}

uint32_t lex_cursor_bound_of(const struct lex_cursor *c, uint32_t j)
{
    if (!c->blocks) return c->bound;
    struct lex_block block = load_block(c, j);
    uint32_t bound = block_impacts_bound(c, block.impacts);
    return bound < c->bound ? bound : c->bound;
}

uint32_t lex_cursor_block_bound(struct lex_cursor *c)
{
    if (!c->has_block_bound) {
        if (c->blocks) {
            uint32_t offset = load_block(c, c->block).offset;
            if (offset < c->payload_size) fetch(c->payload + offset);
        }
        c->block_bound = lex_cursor_bound_of(c, c->block);
        c->has_block_bound = true;
    }
    return c->block_bound;
}

/* --- decoding --- */

static uint32_t block_postings(const struct lex_cursor *c, uint32_t j)
{
    return j + 1 < c->block_count ? LEX_BLOCK : c->posting_count - j * LEX_BLOCK;
}

enum med_code lex_cursor_decode_slow(struct lex_cursor *c, struct med_err *err)
{
    struct lex_block block = load_block(c, c->block);
    c->count = block_postings(c, c->block);
    c->pos = 0;
    c->scored = false;
    c->decoded = UINT32_MAX;
    if (block.id_bits > LEX_ID_BITS_MAX || block.wtf_bits > LEX_WTF_BITS_MAX) return corrupt(err);
    size_t need = (size_t)lex_packed_bytes(c->count, block.id_bits) +
                  lex_packed_bytes(c->count, block.wtf_bits);
    if (block.offset > c->payload_size || need > c->payload_size - block.offset)
        return corrupt(err);
    /* What follows is the block that is decoded next, most of the time. */
    fetch(c->payload + block.offset + need);
    uint64_t last =
        lex_unpack_ids(c->payload + block.offset, c->count, block.id_bits, c->block_base, c->ids);
    if (last != c->block_last) return corrupt(err);
    fill_slack(c);
    c->decoded = c->block;
    return MED_OK;
}

static const uint8_t *packed_wtfs(const struct lex_cursor *c, uint32_t *ret_bits)
{
    struct lex_block block = load_block(c, c->decoded);
    *ret_bits = block.wtf_bits;
    return c->payload + block.offset + lex_packed_bytes(c->count, block.id_bits);
}

void lex_cursor_score(struct lex_cursor *c)
{
    if (c->scored) return;
    uint32_t bits, wtfs[LEX_BLOCK + LEX_UNPACK_SLACK];
    const uint8_t *in = packed_wtfs(c, &bits);
    lex_unpack_plus_1(in, c->count, bits, wtfs);
    lex_score_block(&c->context->scoring, c->ids, wtfs, c->count, c->context->lex->lengths,
        c->factor, c->contributions);
    c->scored = true;
}

uint32_t lex_cursor_lower_bound(const struct lex_cursor *c, uint32_t id)
{
    /* The slack repeats the block's last id, which is not below id. */
    const uint32_t *at = c->ids + c->pos;
    while (at[7] < id) at += 8;
    while (*at < id) at++;
    return (uint32_t)(at - c->ids);
}

void lex_cursor_add(struct lex_cursor *c, const uint32_t *ids, uint32_t *sums, size_t count)
{
    uint32_t which[LEX_BLOCK + LEX_KERNEL_SLACK], at[LEX_BLOCK + LEX_KERNEL_SLACK];
    size_t found = lex_intersect(c->ids, &c->pos, ids, count, which, at);
    if (!found) return;
    if (c->scored) {
        for (size_t i = 0; i < found; i++) sums[which[i]] += c->contributions[at[i]];
        return;
    }
    uint32_t bits;
    const uint8_t *in = packed_wtfs(c, &bits);
    const uint16_t *lengths = c->context->lex->lengths;
    const struct lex_scoring *s = &c->context->scoring;
    for (size_t i = 0; i < found; i++) {
        uint32_t wtf = lex_unpack_one(in, bits, at[i]) + 1;
        sums[which[i]] += lex_contribution(c->factor, wtf, lex_norm(s, lengths[ids[which[i]]]));
    }
}

/* Opening an index and looking up terms.
 *
 * Lexicon: 16 terms per block; a block begins with a whole term, the others share a prefix with
 * their predecessor. `keys` holds the first eight bytes of each block's first term as a sortable
 * number, so that the binary search walks a compact array and compares terms only where keys are
 * equal. */
#include "index/lexical/reader.h"

#include "common/mem.h"

static enum med_code corrupt(struct med_err *err, const char *what)
{
    return med_fail(err, MED_E_CORRUPT, "the lexical index is damaged: %s", what);
}

static enum med_code open_lexicon(struct med_lex *lex, struct med_map map, struct med_err *err)
{
    struct lex_lexicon_header h;
    if (map.len < sizeof(h)) return corrupt(err, "the lexicon is too short");
    memcpy(&h, map.ptr, sizeof(h));
    if (memcmp(h.magic, LEX_LEXICON_MAGIC, sizeof(h.magic)) != 0)
        return corrupt(err, "the lexicon has no signature");
    if (h.version != LEX_FORMAT_VERSION)
        return med_fail(err, MED_E_UNSUPPORTED, "lexical index version %u is not known", h.version);
    uint64_t blocks = ((uint64_t)h.term_count + LEX_TERMS_PER_BLOCK - 1) / LEX_TERMS_PER_BLOCK;
    uint64_t index_size = blocks * 8 + (blocks + 1) * 4;
    if (h.block_count != blocks || h.chunk_count > LEX_CHUNKS_MAX || h.blocks_size > map.len ||
        map.len != sizeof(h) + index_size + h.blocks_size || h.postings_size != lex->postings.len)
        return corrupt(err, "the lexicon's counts do not fit its size");
    lex->term_count = h.term_count;
    lex->block_count = h.block_count;
    lex->chunk_count = h.chunk_count;
    lex->keys = map.ptr + sizeof(h);
    lex->offsets = lex->keys + (size_t)blocks * 8;
    lex->blocks = lex->offsets + ((size_t)blocks + 1) * 4;
    uint32_t previous = 0;
    for (uint64_t i = 0; i <= blocks; i++) {
        uint32_t offset = lex_load_u32(lex->offsets + i * 4);
        if (offset < previous || offset > h.blocks_size || (i == 0 && offset != 0))
            return corrupt(err, "the lexicon's blocks are out of order");
        previous = offset;
    }
    return previous == h.blocks_size ? MED_OK : corrupt(err, "the lexicon's last block is cut");
}

static enum med_code open_postings(const struct med_lex *lex, uint32_t *ret_chunk_count,
    uint64_t *ret_posting_count, struct med_err *err)
{
    struct lex_postings_header h;
    if (lex->postings.len < sizeof(h) + LEX_PAD_BYTES)
        return corrupt(err, "the postings are too short");
    memcpy(&h, lex->postings.ptr, sizeof(h));
    if (memcmp(h.magic, LEX_POSTINGS_MAGIC, sizeof(h.magic)) != 0 ||
        h.version != LEX_FORMAT_VERSION)
        return corrupt(err, "the postings have no signature");
    *ret_chunk_count = h.chunk_count;
    *ret_posting_count = h.posting_count;
    return MED_OK;
}

static enum med_code open_lengths(struct med_lex *lex, struct med_map map, struct med_err *err)
{
    struct lex_lengths_header h;
    if (map.len < sizeof(h)) return corrupt(err, "the lengths are too short");
    memcpy(&h, map.ptr, sizeof(h));
    if (memcmp(h.magic, LEX_LENGTHS_MAGIC, sizeof(h.magic)) != 0 || h.version != LEX_FORMAT_VERSION)
        return corrupt(err, "the lengths have no signature");
    if (h.chunk_count != lex->chunk_count || h.length_max > LEX_LEN_MAX ||
        map.len != sizeof(h) + (size_t)h.chunk_count * 2 + LEX_PAD_BYTES)
        return corrupt(err, "the number of lengths is not that of passages");
    lex->lengths = (const uint16_t *)(const void *)(map.ptr + sizeof(h));
    uint64_t sum = 0;
    uint32_t max = 0;
    for (uint32_t i = 0; i < h.chunk_count; i++) {
        sum += lex->lengths[i];
        if (lex->lengths[i] > max) max = lex->lengths[i];
    }
    if (sum != h.length_sum || max != h.length_max)
        return corrupt(err, "the lengths do not add up");
    lex->length_sum = sum;
    lex->length_max = max;
    return MED_OK;
}

enum med_code med_lex_open(struct med_map lexicon, struct med_map postings, struct med_map lengths,
    struct med_lex **ret_lex, struct med_err *err)
{
    struct med_lex *lex = med_calloc(1, sizeof(*lex));
    if (!lex) return med_fail(err, MED_E_NOMEM, "no memory to open a lexical index");
    lex->postings = postings;
    uint32_t chunk_count = 0;
    enum med_code code = open_postings(lex, &chunk_count, &lex->posting_count, err);
    if (code == MED_OK) code = open_lexicon(lex, lexicon, err);
    if (code == MED_OK && chunk_count != lex->chunk_count)
        code = corrupt(err, "lexicon and postings are not of one index");
    if (code == MED_OK) code = open_lengths(lex, lengths, err);
    if (code != MED_OK) {
        med_free(lex);
        return code;
    }
    *ret_lex = lex;
    return MED_OK;
}

void med_lex_free(struct med_lex **lex)
{
    med_free(*lex);
    *lex = NULL;
}

uint32_t med_lex_chunk_count(const struct med_lex *lex)
{
    return lex->chunk_count;
}

uint64_t med_lex_length_sum(const struct med_lex *lex)
{
    return lex->length_sum;
}

uint32_t med_lex_length(const struct med_lex *lex, uint32_t chunk)
{
    return lex->lengths[chunk];
}

uint32_t med_lex_term_count(const struct med_lex *lex)
{
    return lex->term_count;
}

/* --- entries --- */

struct block_reader {
    struct med_reader bytes;
    uint64_t record_start; /* of the next entry's list, from the start of the postings file */
};

static struct med_reader block_bytes(const struct med_lex *lex, uint32_t block)
{
    uint32_t start = lex_load_u32(lex->offsets + (size_t)block * 4);
    uint32_t end = lex_load_u32(lex->offsets + ((size_t)block + 1) * 4);
    return med_reader_of(lex->blocks + start, end - start);
}

static bool locate_record(
    const struct med_lex *lex, struct block_reader *r, uint64_t size, struct lex_entry *entry)
{
    uint64_t limit = lex->postings.len - LEX_PAD_BYTES, start = r->record_start;
    if (start > limit || size > limit - start) return false;
    uint64_t end = start + size;
    if (entry->posting_count >= LEX_BLOCK) start = (start + 3) & ~(uint64_t)3;
    if (start > end) return false;
    entry->record = lex->postings.ptr + start;
    entry->record_size = (size_t)(end - start);
    r->record_start = end;
    return true;
}

/* Reads the next entry over the previous one, whose term it may share a prefix with. */
static bool next_entry(
    const struct med_lex *lex, struct block_reader *r, bool first, struct lex_entry *entry)
{
    uint64_t shared = 0;
    if (first)
        r->record_start = med_read_varint(&r->bytes);
    else
        shared = med_read_varint(&r->bytes);
    uint64_t suffix = med_read_varint(&r->bytes);
    if (!r->bytes.ok || shared > entry->term_len || suffix > LEX_TERM_BYTES_MAX - shared)
        return false;
    struct med_str rest = med_read_bytes(&r->bytes, (size_t)suffix);
    if (!r->bytes.ok) return false;
    if (rest.len) memcpy(entry->term + shared, rest.ptr, rest.len);
    entry->term_len = (size_t)(shared + suffix);
    uint64_t df = med_read_varint(&r->bytes);
    uint64_t beyond = med_read_varint(&r->bytes);
    uint64_t size = med_read_varint(&r->bytes);
    if (!r->bytes.ok || df > lex->chunk_count || beyond > lex->chunk_count - df || df + beyond == 0)
        return false;
    entry->df = (uint32_t)df;
    entry->posting_count = (uint32_t)(df + beyond);
    return locate_record(lex, r, size, entry);
}

static uint32_t block_term_count(const struct med_lex *lex, uint32_t block)
{
    uint32_t first = block * LEX_TERMS_PER_BLOCK;
    return lex->term_count - first < LEX_TERMS_PER_BLOCK ? lex->term_count - first
                                                         : LEX_TERMS_PER_BLOCK;
}

enum med_code lex_entry_at(
    const struct med_lex *lex, uint32_t ordinal, struct lex_entry *ret_entry, struct med_err *err)
{
    if (ordinal >= lex->term_count)
        return med_fail(err, MED_E_INVALID, "there is no term %u in the lexical index", ordinal);
    struct block_reader r = {.bytes = block_bytes(lex, ordinal / LEX_TERMS_PER_BLOCK)};
    ret_entry->term_len = 0;
    for (uint32_t i = 0; i <= ordinal % LEX_TERMS_PER_BLOCK; i++)
        if (!next_entry(lex, &r, i == 0, ret_entry)) return corrupt(err, "a lexicon block");
    ret_entry->ordinal = ordinal;
    return MED_OK;
}

struct lex_walk lex_walk_of(const struct med_lex *lex)
{
    return (struct lex_walk){.lex = lex};
}

enum med_code lex_walk_next(struct lex_walk *w, bool *ret_more, struct med_err *err)
{
    char before[LEX_TERM_BYTES_MAX + 1];
    size_t before_len = w->entry.term_len;
    *ret_more = w->next < w->lex->term_count;
    if (!*ret_more) return MED_OK;
    memcpy(before, w->entry.term, before_len);
    bool first = w->next % LEX_TERMS_PER_BLOCK == 0;
    if (first) {
        w->bytes = block_bytes(w->lex, w->next / LEX_TERMS_PER_BLOCK);
        w->entry.term_len = 0;
    }
    struct block_reader r = {.bytes = w->bytes, .record_start = w->record_start};
    if (!next_entry(w->lex, &r, first, &w->entry)) return corrupt(err, "a lexicon block");
    struct med_str a = {.ptr = before, .len = before_len};
    struct med_str b = {.ptr = w->entry.term, .len = w->entry.term_len};
    if (w->next > 0 && med_str_cmp(a, b) >= 0) return corrupt(err, "its terms are out of order");
    w->bytes = r.bytes;
    w->record_start = r.record_start;
    w->entry.ordinal = w->next++;
    return MED_OK;
}

/* The first term of a block as it is stored; empty when the bytes are damaged. */
static struct med_str block_first_term(const struct med_lex *lex, uint32_t block)
{
    struct med_reader r = block_bytes(lex, block);
    med_read_varint(&r);
    uint64_t len = med_read_varint(&r);
    if (!r.ok || len > LEX_TERM_BYTES_MAX) return (struct med_str){.ptr = NULL, .len = 0};
    return med_read_bytes(&r, (size_t)len);
}

/* True when the block's first term is not behind the term. */
static bool block_starts_before(
    const struct med_lex *lex, uint32_t block, uint64_t key, struct med_str term)
{
    uint64_t block_key;
    memcpy(&block_key, lex->keys + (size_t)block * 8, sizeof(block_key));
    if (block_key != key) return block_key < key;
    return med_str_cmp(block_first_term(lex, block), term) <= 0;
}

enum med_code lex_entry_find(const struct med_lex *lex, struct med_str term,
    struct lex_entry *ret_entry, bool *ret_found, struct med_err *err)
{
    *ret_found = false;
    if (term.len > LEX_TERM_BYTES_MAX) return MED_OK;
    uint64_t key = lex_term_key(term);
    uint32_t low = 0, high = lex->block_count; /* blocks before `low` start at or before the term */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (block_starts_before(lex, middle, key, term))
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0) return MED_OK;
    uint32_t block = low - 1, count = block_term_count(lex, block);
    struct block_reader r = {.bytes = block_bytes(lex, block)};
    ret_entry->term_len = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!next_entry(lex, &r, i == 0, ret_entry)) return corrupt(err, "a lexicon block");
        struct med_str at = {.ptr = ret_entry->term, .len = ret_entry->term_len};
        int order = med_str_cmp(at, term);
        if (order > 0) return MED_OK;
        if (order < 0) continue;
        ret_entry->ordinal = block * LEX_TERMS_PER_BLOCK + i;
        *ret_found = true;
        return MED_OK;
    }
    return MED_OK;
}

bool med_lex_find(
    const struct med_lex *lex, struct med_str term, uint32_t *ret_ordinal, uint32_t *ret_df)
{
    struct lex_entry entry;
    bool found = false;
    if (lex_entry_find(lex, term, &entry, &found, NULL) != MED_OK || !found) return false;
    if (ret_ordinal) *ret_ordinal = entry.ordinal;
    if (ret_df) *ret_df = entry.df;
    return true;
}

enum med_code med_lex_term_at(const struct med_lex *lex, uint32_t ordinal, struct med_buf *ret_term,
    uint32_t *ret_df, struct med_err *err)
{
    struct lex_entry entry;
    enum med_code code = lex_entry_at(lex, ordinal, &entry, err);
    if (code != MED_OK) return code;
    med_buf_append(ret_term, entry.term, entry.term_len);
    code = med_buf_status(ret_term, err);
    if (code == MED_OK && ret_df) *ret_df = entry.df;
    return code;
}

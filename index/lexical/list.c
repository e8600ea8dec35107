#include "index/lexical/list.h"

static enum med_code corrupt(struct med_err *err)
{
    return med_fail(err, MED_E_CORRUPT, "the lexical index is damaged: a posting list");
}

enum med_code lex_list_short(const struct med_lex *lex, const struct lex_entry *entry,
    uint32_t *ret_ids, uint32_t *ret_wtfs, struct med_err *err)
{
    struct med_reader r = med_reader_of(entry->record, entry->record_size);
    uint64_t id = UINT64_MAX;
    for (uint32_t i = 0; i < entry->posting_count; i++) {
        uint64_t head = med_read_varint(&r), rest = 0;
        if (head & 1) rest = med_read_varint(&r) + 1;
        id += head >> 1;
        if (!r.ok || head >> 1 == 0 || head >> 1 > LEX_CHUNKS_MAX || id >= lex->chunk_count ||
            rest >= LEX_WTF_MAX)
            return corrupt(err);
        ret_ids[i] = (uint32_t)id;
        ret_wtfs[i] = (uint32_t)rest + 1;
    }
    return MED_OK;
}

enum med_code lex_list_open(struct lex_list *l, const struct med_lex *lex,
    const struct lex_entry *entry, struct med_err *err)
{
    memset(l, 0, offsetof(struct lex_list, ids));
    l->lex = lex;
    l->posting_count = entry->posting_count;
    if (entry->posting_count < LEX_BLOCK) {
        l->read = l->count = entry->posting_count;
        return lex_list_short(lex, entry, l->ids, l->wtfs, err);
    }
    struct lex_list_header header;
    uint32_t block_count = (entry->posting_count + LEX_BLOCK - 1) / LEX_BLOCK;
    size_t skips = (size_t)block_count * (sizeof(uint32_t) + sizeof(struct lex_block));
    if (entry->record_size < sizeof(header) + skips) return corrupt(err);
    memcpy(&header, entry->record, sizeof(header));
    l->last_ids = entry->record + sizeof(header);
    l->blocks = l->last_ids + (size_t)block_count * sizeof(uint32_t);
    l->payload = l->blocks + (size_t)block_count * sizeof(struct lex_block);
    l->payload_size = entry->record_size - sizeof(header) - skips;
    l->base = header.first_id - 1;
    if (header.first_id > lex_load_u32(l->last_ids)) return corrupt(err);
    return lex_list_next_block(l, err);
}

enum med_code lex_list_next_block(struct lex_list *l, struct med_err *err)
{
    uint32_t left = l->posting_count - l->read, at = l->read / LEX_BLOCK;
    l->count = l->pos = 0;
    if (left == 0) return MED_OK;
    uint32_t count = left < LEX_BLOCK ? left : LEX_BLOCK;
    uint32_t last = lex_load_u32(l->last_ids + (size_t)at * 4);
    struct lex_block block;
    memcpy(&block, l->blocks + (size_t)at * sizeof(block), sizeof(block));
    if (block.id_bits > LEX_ID_BITS_MAX || block.wtf_bits > LEX_WTF_BITS_MAX ||
        last >= l->lex->chunk_count || (at > 0 && last <= l->base))
        return corrupt(err);
    size_t id_bytes = lex_packed_bytes(count, block.id_bits);
    size_t need = id_bytes + lex_packed_bytes(count, block.wtf_bits);
    if (block.offset > l->payload_size || need > l->payload_size - block.offset)
        return corrupt(err);
    const uint8_t *in = l->payload + block.offset;
    if (lex_unpack_ids(in, count, block.id_bits, l->base, l->ids) != last) return corrupt(err);
    lex_unpack_plus_1(in + id_bytes, count, block.wtf_bits, l->wtfs);
    for (uint32_t i = 0; i < count; i++)
        if (l->wtfs[i] > LEX_WTF_MAX) return corrupt(err);
    l->base = last;
    l->read += count;
    l->count = count;
    return MED_OK;
}

enum med_code lex_list_seek(struct lex_list *l, uint32_t id, uint32_t *ret_wtf, struct med_err *err)
{
    *ret_wtf = 0;
    while (l->count > 0 && l->ids[l->count - 1] < id) {
        enum med_code code = lex_list_next_block(l, err);
        if (code != MED_OK) return code;
    }
    if (l->count == 0) return MED_OK;
    while (l->ids[l->pos] < id) l->pos++;
    if (l->ids[l->pos] == id) *ret_wtf = l->wtfs[l->pos];
    return MED_OK;
}

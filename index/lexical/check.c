/* Verifying an index posting by posting: what open() and the searches take on trust for speed,
 * because checksums vouch for it, is proved here: terms in order, ids in order, frontiers that
 * dominate every posting, counts that add up. */
#include "index/lexical/cursor.h"

struct checker {
    const struct med_lex *lex;
    struct lex_context context;
    uint64_t postings;
    uint64_t end; /* of the last record, in the postings file */
};

static enum med_code bad_term(const struct lex_entry *entry, const char *what, struct med_err *err)
{
    return med_fail(err, MED_E_CORRUPT,
        "the lexical index is damaged: term \"" MED_STR_FMT "\": %s", (int)entry->term_len,
        entry->term, what);
}

static bool dominated(const struct lex_impact *impacts, uint32_t count, uint32_t wtf, uint32_t len)
{
    for (uint32_t i = 0; i < count; i++)
        if (impacts[i].wtf >= lex_wtf_code(wtf) && impacts[i].len <= lex_len_code(len)) return true;
    return false;
}

/* One decoded block against its own frontier and the list's. */
static enum med_code check_block(const struct checker *k, const struct lex_cursor *c,
    const struct lex_entry *entry, const struct lex_list_header *list, struct med_err *err)
{
    struct lex_block block;
    memcpy(&block, c->blocks + (size_t)c->block * sizeof(block), sizeof(block));
    const uint8_t *in = c->payload + block.offset + lex_packed_bytes(c->count, block.id_bits);
    if (c->block == 0 && c->ids[0] != list->first_id)
        return bad_term(entry, "the first id differs", err);
    for (uint32_t i = 0; i < c->count; i++) {
        uint32_t wtf = lex_unpack_one(in, block.wtf_bits, i) + 1;
        uint32_t len = k->lex->lengths[c->ids[i]];
        if (!dominated(block.impacts, LEX_BLOCK_IMPACTS, wtf, len) ||
            !dominated(list->impacts, LEX_TERM_IMPACTS, wtf, len))
            return bad_term(entry, "a posting is above its frontier", err);
        if (c->contributions[i] > lex_cursor_bound_of(c, c->block))
            return bad_term(entry, "a posting is above its bound", err);
    }
    return MED_OK;
}

static enum med_code check_list(
    struct checker *k, const struct lex_entry *entry, struct med_err *err)
{
    struct lex_cursor c;
    struct med_lex_term term = {.ordinal = entry->ordinal, .weight = 1};
    enum med_code code = lex_cursor_open(&c, &k->context, term, err);
    uint64_t seen = 0;
    struct lex_list_header list;
    if (entry->posting_count >= LEX_BLOCK) memcpy(&list, entry->record, sizeof(list));
    while (code == MED_OK && !lex_cursor_at_end(&c)) {
        code = lex_cursor_decode(&c, err);
        if (code != MED_OK) break;
        lex_cursor_score(&c);
        seen += c.count;
        if (c.blocks) code = check_block(k, &c, entry, &list, err);
        if (code == MED_OK) code = lex_cursor_seek(&c, c.block_last + 1, err);
    }
    if (code != MED_OK) return code;
    if (seen != entry->posting_count) return bad_term(entry, "the number of postings differs", err);
    k->postings += seen;
    return MED_OK;
}

static enum med_code check_terms(struct checker *k, struct med_err *err)
{
    struct lex_entry entry, previous = {.term_len = 0};
    for (uint32_t ordinal = 0; ordinal < k->lex->term_count; ordinal++) {
        enum med_code code = lex_entry_at(k->lex, ordinal, &entry, err);
        if (code != MED_OK) return code;
        struct med_str term = {.ptr = entry.term, .len = entry.term_len};
        struct med_str before = {.ptr = previous.term, .len = previous.term_len};
        if (ordinal > 0 && med_str_cmp(before, term) >= 0)
            return bad_term(&entry, "out of order", err);
        if (ordinal % LEX_TERMS_PER_BLOCK == 0) {
            uint64_t key;
            memcpy(&key, k->lex->keys + (size_t)(ordinal / LEX_TERMS_PER_BLOCK) * 8, sizeof(key));
            if (key != lex_term_key(term)) return bad_term(&entry, "the search key differs", err);
        }
        uint64_t start = (uint64_t)(entry.record - k->lex->postings.ptr);
        if (start < k->end || start - k->end > 3)
            return bad_term(&entry, "its list is misplaced", err);
        k->end = start + entry.record_size;
        code = check_list(k, &entry, err);
        if (code != MED_OK) return code;
        previous = entry;
    }
    return MED_OK;
}

enum med_code med_lex_check(const struct med_lex *lex, struct med_err *err)
{
    struct checker k = {.lex = lex, .end = sizeof(struct lex_postings_header)};
    float avg_len = lex->chunk_count ? (float)lex->length_sum / (float)lex->chunk_count : 0;
    struct med_lex_term term = {.weight = 1};
    struct med_lex_query query = {.terms = &term,
        .term_count = 1,
        .k1 = MED_BM25_K1_DEFAULT,
        .b = MED_BM25_B_DEFAULT,
        .avg_len = avg_len};
    struct lex_scoring scoring;
    enum med_code code = lex_scoring_of(&query, &scoring, err);
    if (code == MED_OK) {
        lex_context_init(&k.context, lex, &scoring);
        code = check_terms(&k, err);
    }
    if (code == MED_OK &&
        (k.postings != lex->posting_count || k.end + LEX_PAD_BYTES != lex->postings.len))
        code = med_fail(
            err, MED_E_CORRUPT, "the lexical index is damaged: its postings do not add up");
    return code;
}

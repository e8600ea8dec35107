/* Encodings of the store's tables and the precedence of versions; see record.h. */
#include "index/store/record.h"

#include <assert.h>

/* --- heads --- */

static void put_hash(struct med_buf *out, struct med_hash128 hash)
{
    med_buf_put_u64(out, hash.lo);
    med_buf_put_u64(out, hash.hi);
}

static struct med_hash128 read_hash(struct med_reader *r)
{
    struct med_hash128 hash;
    hash.lo = med_read_u64(r);
    hash.hi = med_read_u64(r);
    return hash;
}

enum med_code med_head_names(const struct med_doc *doc, struct med_arena *arena,
    struct med_str ret_names[MED_HEAD_ALIASES_MAX], size_t *ret_count, struct med_err *err)
{
    struct med_str address, id;
    enum med_code code = med_doc_aliases(doc, arena, ret_names, ret_count, err);
    if (!code) code = med_doc_url_name(doc->url, arena, &address, err);
    if (code || address.len == 0) return code;
    /* PubMed, PMC and DOI addresses are understood without help. */
    bool told = false;
    if (med_doc_id_normalize(doc->url, arena, &id, NULL) == MED_OK) {
        for (size_t i = 0; i < *ret_count; i++) told |= med_str_eq(id, ret_names[i]);
    }
    if (!told) ret_names[(*ret_count)++] = address;
    return MED_OK;
}

void med_head_encode(const struct med_head *head, struct med_buf *out)
{
    assert(head->version > 0 && head->alias_count <= MED_HEAD_ALIASES_MAX);
    med_buf_putc(out, MED_STORE_FORMAT);
    med_buf_putc(out, head->live ? 1 : 0);
    med_buf_put_u32(out, head->version);
    med_buf_put_u64(out, head->precedence.sequence);
    med_buf_put_u32(out, head->precedence.version);
    med_buf_put_u32(out, head->precedence.date_revised);
    put_hash(out, head->hash);
    med_buf_putc(out, (char)head->alias_count);
    for (size_t i = 0; i < head->alias_count; i++) {
        assert(head->aliases[i].len <= MED_ID_BYTES_MAX);
        med_buf_putc(out, (char)(head->aliases[i].len & 0xff));
        med_buf_putc(out, (char)(head->aliases[i].len >> 8));
        med_buf_append_str(out, head->aliases[i]);
    }
}

bool med_head_decode(struct med_str bytes, struct med_head *ret_head)
{
    struct med_reader r = med_reader_of(bytes.ptr, bytes.len);
    struct med_head head = {0};
    uint8_t format = med_read_u8(&r);
    uint8_t live = med_read_u8(&r);
    head.live = live == 1;
    head.version = med_read_u32(&r);
    head.precedence.sequence = med_read_u64(&r);
    head.precedence.version = med_read_u32(&r);
    head.precedence.date_revised = med_read_u32(&r);
    head.hash = read_hash(&r);
    head.alias_count = med_read_u8(&r);
    if (!r.ok || format != MED_STORE_FORMAT || live > 1 || head.version == 0 ||
        head.alias_count > MED_HEAD_ALIASES_MAX || (!head.live && head.alias_count > 0)) {
        return false;
    }
    for (size_t i = 0; i < head.alias_count; i++) {
        size_t len = med_read_u8(&r);
        len |= (size_t)med_read_u8(&r) << 8;
        head.aliases[i] = med_read_bytes(&r, len);
        if (len == 0 || len > MED_ID_BYTES_MAX) return false;
    }
    if (!r.ok || r.pos != r.end) return false;
    *ret_head = head;
    return true;
}

/* --- versions --- */

void med_record_encode(const struct med_record *record, struct med_buf *out)
{
    size_t start = out->len;
    med_buf_putc(out, MED_STORE_FORMAT);
    med_buf_putc(out, (char)record->codec);
    med_buf_put_u32(out, record->dict_id);
    med_buf_put_u32(out, record->raw_len);
    put_hash(out, record->hash);
    assert(out->code != MED_OK || out->len - start == MED_RECORD_HEADER_BYTES);
    med_buf_append_str(out, record->payload);
}

bool med_record_decode(struct med_str bytes, struct med_record *ret_record)
{
    struct med_reader r = med_reader_of(bytes.ptr, bytes.len);
    struct med_record record = {0};
    uint8_t format = med_read_u8(&r);
    uint8_t codec = med_read_u8(&r);
    record.dict_id = med_read_u32(&r);
    record.raw_len = med_read_u32(&r);
    record.hash = read_hash(&r);
    if (!r.ok || format != MED_STORE_FORMAT || codec >= MED_CODEC_COUNT) return false;
    record.codec = (enum med_codec)codec;
    record.payload = med_read_bytes(&r, (size_t)(r.end - r.pos));
    if (record.raw_len > MED_RECORD_BYTES_MAX) return false;
    if (record.codec == MED_CODEC_RAW && record.payload.len != record.raw_len) return false;
    if (record.codec == MED_CODEC_DELETED && (record.raw_len != 0 || record.payload.len != 0))
        return false;
    if (record.codec != MED_CODEC_ZSTD && record.dict_id != 0) return false;
    *ret_record = record;
    return true;
}

/* --- the store's state --- */

void med_state_encode(const struct med_store_state *state, struct med_buf *out)
{
    med_buf_put_u32(out, MED_STORE_FORMAT);
    med_buf_put_u32(out, state->dict_id);
    med_buf_put_u64(out, state->doc_count);
    med_buf_put_u64(out, state->next_training);
    med_buf_append(out, state->store_id, sizeof state->store_id);
    med_buf_put_u64(out, state->commit_count);
}

enum med_code med_state_decode(
    struct med_str bytes, struct med_store_state *ret_state, struct med_err *err)
{
    struct med_reader r = med_reader_of(bytes.ptr, bytes.len);
    struct med_store_state state = {0};
    uint32_t format = med_read_u32(&r);
    if (r.ok && format > MED_STORE_FORMAT) {
        return med_fail(err, MED_E_UNSUPPORTED,
            "the docstore has format %u, this version of medicus knows %u: use a newer one", format,
            MED_STORE_FORMAT);
    }
    state.dict_id = med_read_u32(&r);
    state.doc_count = med_read_u64(&r);
    state.next_training = med_read_u64(&r);
    struct med_str store_id = med_read_bytes(&r, sizeof state.store_id);
    if (r.ok && r.pos != r.end) state.commit_count = med_read_u64(&r);
    if (!r.ok || r.pos != r.end || format == 0) {
        return med_fail(
            err, MED_E_CORRUPT, "the docstore's state record is damaged: restore it from a backup");
    }
    memcpy(state.store_id, store_id.ptr, sizeof state.store_id);
    *ret_state = state;
    return MED_OK;
}

/* --- input log --- */

void med_input_encode(const struct med_input_entry *entry, struct med_buf *out)
{
    const uint64_t numbers[] = {entry->sequence, (uint64_t)entry->unix_time_s, entry->added,
        entry->updated, entry->unchanged, entry->deleted, entry->skipped, entry->bytes};
    med_buf_putc(out, MED_INPUT_FORMAT);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        med_buf_put_varint(out, numbers[i]);
    med_buf_put_u64(out, entry->hash.lo);
    med_buf_put_u64(out, entry->hash.hi);
    med_buf_append_str(out, entry->name);
}

bool med_input_decode(struct med_str bytes, struct med_input_entry *ret_entry)
{
    struct med_reader r = med_reader_of(bytes.ptr, bytes.len);
    struct med_input_entry entry = {0};
    uint8_t format = med_read_u8(&r);
    if (format != 1 && format != MED_INPUT_FORMAT) return false;
    entry.sequence = med_read_varint(&r);
    entry.unix_time_s = (int64_t)med_read_varint(&r);
    entry.added = med_read_varint(&r);
    entry.updated = med_read_varint(&r);
    entry.unchanged = med_read_varint(&r);
    entry.deleted = med_read_varint(&r);
    entry.skipped = med_read_varint(&r);
    if (format == MED_INPUT_FORMAT) {
        entry.bytes = med_read_varint(&r);
        entry.hash.lo = med_read_u64(&r);
        entry.hash.hi = med_read_u64(&r);
    }
    if (!r.ok || (size_t)(r.end - r.pos) > MED_INPUT_NAME_BYTES_MAX) return false;
    entry.name = med_read_bytes(&r, (size_t)(r.end - r.pos));
    *ret_entry = entry;
    return true;
}

/* --- keys --- */

struct med_str med_be32(char ret_bytes[4], uint32_t x)
{
    for (unsigned i = 0; i < 4; i++) ret_bytes[i] = (char)(x >> (24 - 8 * i) & 0xff);
    return (struct med_str){.ptr = ret_bytes, .len = 4};
}

struct med_str med_be64(char ret_bytes[8], uint64_t x)
{
    for (unsigned i = 0; i < 8; i++) ret_bytes[i] = (char)(x >> (56 - 8 * i) & 0xff);
    return (struct med_str){.ptr = ret_bytes, .len = 8};
}

bool med_be64_read(struct med_str bytes, uint64_t *ret_x)
{
    if (bytes.len != 8) return false;
    uint64_t x = 0;
    for (unsigned i = 0; i < 8; i++) x = x << 8 | (uint8_t)bytes.ptr[i];
    *ret_x = x;
    return true;
}

struct med_str med_version_key(char ret_key[], struct med_str id, uint32_t version)
{
    assert(id.len <= MED_ID_BYTES_MAX);
    memcpy(ret_key, id.ptr, id.len);
    ret_key[id.len] = '\0';
    med_be32(ret_key + id.len + 1, version);
    return (struct med_str){.ptr = ret_key, .len = id.len + 5};
}

bool med_version_key_split(struct med_str key, struct med_str *ret_id, uint32_t *ret_version)
{
    if (key.len < 6 || key.len > MED_VERSION_KEY_BYTES_MAX || key.ptr[key.len - 5] != '\0')
        return false;
    uint32_t version = 0;
    for (size_t i = key.len - 4; i < key.len; i++) version = version << 8 | (uint8_t)key.ptr[i];
    *ret_id = (struct med_str){.ptr = key.ptr, .len = key.len - 5};
    *ret_version = version;
    return true;
}

/* --- precedence --- */

static int cmp_u64(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

int med_candidate_cmp(const struct med_candidate *a, const struct med_candidate *b)
{
    int c = cmp_u64(a->precedence.sequence, b->precedence.sequence);
    /* A deletion wins over every version of the same or a smaller sequence. */
    if (c == 0) c = cmp_u64(!a->live, !b->live);
    if (c == 0) c = cmp_u64(a->precedence.version, b->precedence.version);
    if (c == 0) c = cmp_u64(a->precedence.date_revised, b->precedence.date_revised);
    if (c == 0) c = cmp_u64(a->hash.hi, b->hash.hi);
    if (c == 0) c = cmp_u64(a->hash.lo, b->hash.lo);
    return c;
}

static bool no_precedence(const struct med_candidate *c)
{
    return c->precedence.sequence == 0 && c->precedence.version == 0 &&
           c->precedence.date_revised == 0;
}

enum med_decision med_decide(const struct med_candidate *current,
    const struct med_candidate *incoming, enum med_put_outcome *ret_outcome)
{
    if (!current) {
        /* Deleting what was never there is remembered: an older file may still bring it. */
        *ret_outcome = incoming->live ? MED_PUT_ADDED : MED_PUT_DELETED;
        return MED_DECIDE_WRITE;
    }
    bool same = current->live == incoming->live &&
                (!current->live || med_hash128_eq(current->hash, incoming->hash));
    int c = med_candidate_cmp(incoming, current);
    if (same) {
        *ret_outcome = MED_PUT_UNCHANGED;
        return c > 0 ? MED_DECIDE_TOUCH : MED_DECIDE_KEEP;
    }
    bool by_arrival = no_precedence(current) && no_precedence(incoming);
    if (c < 0 && !by_arrival) {
        *ret_outcome = MED_PUT_OLDER;
        return MED_DECIDE_KEEP;
    }
    if (!incoming->live)
        *ret_outcome = MED_PUT_DELETED;
    else
        *ret_outcome = current->live ? MED_PUT_UPDATED : MED_PUT_ADDED;
    return MED_DECIDE_WRITE;
}

/* Inversion in memory: every term has a chain of slices with its postings as varints.
 *
 *   posting = varint((chunk - previous chunk) << 1 | (wtf > 1)) [varint(wtf - 2)]
 *
 * where the chunk before the first is -1, and
 *
 *   chain.head --> [ 4 bytes | next ] --> [ 12 bytes | next ] --> [ 20 ... | next ]
 *                                                                   chain.tail, used, level
 *
 * The last four bytes of a slice name its successor. Slices grow by about a third of what the chain
 * holds, so that rare terms, which are most terms, cost eight bytes and frequent ones waste little;
 * they are cut from pool blocks and die with the writer. The varint form is also the final form of
 * short lists (encode.c writes it).
 *
 * A document's title and MeSH terms are kept until its next chunk or document: they are added to
 * each chunk, and counted once in df when no body of the document had them. */
#include "index/lexical/writer.h"

#include "common/mem.h"

#include <assert.h>

const uint16_t lex_slice_bytes[16] = {
    8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048};
#define UNITS_PER_BLOCK (LEX_POOL_BLOCK_BYTES / LEX_UNIT)
#define POSTING_BYTES_MAX 10u
/* Terms of a passage lie anywhere in the tables: fetched while others are worked on. */
#define CHAINS_AHEAD 16u
#define SLICES_AHEAD 8u

enum med_code med_lex_writer_new(const struct med_vocab *vocab, struct med_lex_weights weights,
    struct med_lex_writer **ret_writer, struct med_err *err)
{
    struct med_lex_writer *w = med_calloc(1, sizeof(*w));
    if (!w) return med_fail(err, MED_E_NOMEM, "no memory for a lexical index writer");
    w->vocab = vocab;
    w->weights = weights;
    *ret_writer = w;
    return MED_OK;
}

static void free_pool(struct med_lex_writer *w)
{
    for (size_t i = 0; i < w->pool_count; i++) med_free(w->pool[i]);
    w->pool_count = w->pool_used = 0;
}

void med_lex_writer_free(struct med_lex_writer **writer)
{
    struct med_lex_writer *w = *writer;
    if (!w) return;
    *writer = NULL;
    free_pool(w);
    med_free(w->pool);
    med_free(w->chains);
    med_free(w->df);
    med_free(w->lengths);
    med_free(w->touched);
    med_free(w->title);
    med_free(w->runs);
    med_free(w);
}

uint64_t med_lex_writer_bytes(const struct med_lex_writer *w)
{
    return sizeof(*w) + w->chains_cap * sizeof(*w->chains) + w->df_cap * sizeof(*w->df) +
           (uint64_t)w->pool_count * LEX_POOL_BLOCK_BYTES + w->pool_cap * sizeof(*w->pool) +
           w->lengths_cap * sizeof(*w->lengths) + w->touched_cap * sizeof(*w->touched) +
           w->title_cap * sizeof(*w->title);
}

/* --- slices --- */

static uint8_t *slice_at(const struct med_lex_writer *w, uint32_t slice)
{
    uint32_t unit = slice - 1;
    return w->pool[unit / UNITS_PER_BLOCK] + (size_t)(unit % UNITS_PER_BLOCK) * LEX_UNIT;
}

/* A new slice of the level; 0 when out of memory. */
static uint32_t slice_new(struct med_lex_writer *w, uint32_t level)
{
    uint32_t units = lex_slice_bytes[level] / LEX_UNIT;
    if (!w->pool_count || w->pool_used + units > UNITS_PER_BLOCK) {
        if (w->pool_count + 1 > UINT32_MAX / UNITS_PER_BLOCK) return 0;
        if (!med_grow(&w->pool, &w->pool_cap, w->pool_count + 1, sizeof(*w->pool))) return 0;
        uint8_t *block = med_malloc(LEX_POOL_BLOCK_BYTES);
        if (!block) return 0;
        w->pool[w->pool_count++] = block;
        w->pool_used = 0;
    }
    uint32_t unit = (uint32_t)(w->pool_count - 1) * UNITS_PER_BLOCK + w->pool_used;
    w->pool_used += units;
    return unit + 1;
}

static bool chain_append(
    struct med_lex_writer *w, struct lex_chain *chain, const uint8_t *bytes, uint32_t len)
{
    if (!chain->head) {
        chain->head = chain->tail = slice_new(w, 0);
        if (!chain->head) return false;
    }
    uint8_t *slice = slice_at(w, chain->tail);
    uint32_t room = lex_slice_bytes[chain->level] - 4u;
    uint32_t used = chain->used;
    for (uint32_t i = 0; i < len; i++) {
        if (used == room) {
            uint32_t level = chain->level < 15 ? chain->level + 1u : 15;
            uint32_t next = slice_new(w, level);
            if (!next) return false;
            memcpy(slice + room, &next, 4);
            chain->tail = next;
            chain->level = level & 15;
            slice = slice_at(w, next);
            room = lex_slice_bytes[level] - 4u;
            used = 0;
        }
        slice[used++] = bytes[i];
    }
    chain->used = used & 0xFFF;
    return true;
}

struct lex_chain_reader lex_chain_reader_of(
    const struct med_lex_writer *writer, const struct lex_chain *chain)
{
    struct lex_chain_reader r = {.writer = writer, .chain = chain, .slice = chain->head};
    if (!chain->head) return r;
    r.pos = slice_at(writer, chain->head);
    r.end = r.pos + (chain->head == chain->tail ? chain->used : lex_slice_bytes[0] - 4u);
    return r;
}

static int chain_byte(struct lex_chain_reader *r)
{
    if (r->pos == r->end) {
        if (r->slice == r->chain->tail) return -1;
        memcpy(&r->slice, r->end, 4);
        if (r->level < 15) r->level++;
        r->pos = slice_at(r->writer, r->slice);
        bool last = r->slice == r->chain->tail;
        r->end = r->pos + (last ? r->chain->used : lex_slice_bytes[r->level] - 4u);
        if (r->pos == r->end) return -1;
    }
    return *r->pos++;
}

static bool chain_varint(struct lex_chain_reader *r, uint64_t *ret_v)
{
    uint64_t v = 0;
    for (unsigned shift = 0;; shift += 7) {
        int byte = chain_byte(r);
        if (byte < 0) return false;
        v |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) break;
    }
    *ret_v = v;
    return true;
}

bool lex_chain_next(struct lex_chain_reader *reader, uint32_t *chunk, uint32_t *ret_wtf)
{
    uint64_t head, rest = 0;
    if (!reader->slice || !chain_varint(reader, &head)) return false;
    if (head & 1) {
        if (!chain_varint(reader, &rest)) return false;
        rest += 1;
    }
    *chunk += (uint32_t)(head >> 1);
    *ret_wtf = (uint32_t)rest + 1;
    return true;
}

/* --- documents --- */

static enum med_code writer_fail_nomem(struct med_err *err, const struct med_lex_writer *w)
{
    return med_fail(err, MED_E_NOMEM, "no memory for the postings of %u passages", w->chunk_count);
}

/* Chains for every id of the vocabulary, which grows while texts are analysed. */
static enum med_code reserve_chains(
    struct med_lex_writer *w, struct med_lex_field field, struct med_err *err)
{
    uint32_t count = med_vocab_count(w->vocab);
    for (size_t i = 0; i < field.term_count; i++) assert(field.terms[i] < count);
    size_t before = w->chains_cap;
    if (count <= before) return MED_OK;
    if (!med_grow(&w->chains, &w->chains_cap, count, sizeof(*w->chains)))
        return writer_fail_nomem(err, w);
    memset(w->chains + before, 0, (w->chains_cap - before) * sizeof(*w->chains));
    return MED_OK;
}

static void finish_doc(struct med_lex_writer *w)
{
    if (w->doc_has_chunks) {
        for (size_t i = 0; i < w->title_count; i++) {
            struct lex_chain *chain = &w->chains[w->title[i].term];
            if (chain->body_doc != w->doc_count) chain->df++;
        }
    }
    w->doc_has_chunks = false;
    w->title_count = 0;
    w->title_len = 0;
}

static uint32_t saturate(uint64_t v)
{
    return v > LEX_WTF_MAX ? LEX_WTF_MAX : (uint32_t)v;
}

/* Collects distinct terms through chain.wtf, as a chunk does. */
static bool add_title_terms(struct med_lex_writer *w, struct med_lex_field field, uint32_t weight)
{
    if (!weight) return true;
    if (!med_grow(&w->title, &w->title_cap, w->title_count + field.term_count, sizeof(*w->title)))
        return false;
    for (size_t i = 0; i < field.term_count; i++) {
        struct lex_chain *chain = &w->chains[field.terms[i]];
        if (!chain->wtf) w->title[w->title_count++].term = field.terms[i];
        chain->wtf = (uint16_t)saturate((uint64_t)chain->wtf + weight);
    }
    return true;
}

enum med_code med_lex_writer_doc(struct med_lex_writer *w, struct med_lex_field title,
    struct med_lex_field mesh, struct med_err *err)
{
    if (w->closed)
        return med_fail(err, MED_E_CONFLICT, "a finished lexical index takes no documents");
    finish_doc(w);
    enum med_code code = MED_OK;
    if (w->spill_fs && (uint64_t)w->pool_count * LEX_POOL_BLOCK_BYTES > w->spill_bytes)
        code = lex_spill_run(w, err);
    if (code == MED_OK) code = reserve_chains(w, title, err);
    if (code == MED_OK) code = reserve_chains(w, mesh, err);
    if (code != MED_OK) return code;
    w->doc_count++;
    bool ok =
        add_title_terms(w, title, w->weights.title) && add_title_terms(w, mesh, w->weights.mesh);
    for (size_t i = 0; i < w->title_count; i++) {
        struct lex_chain *chain = &w->chains[w->title[i].term];
        w->title[i].wtf = chain->wtf;
        chain->wtf = 0;
    }
    if (!ok) return writer_fail_nomem(err, w);
    w->title_len = saturate(
        (uint64_t)w->weights.title * title.length + (uint64_t)w->weights.mesh * mesh.length);
    return MED_OK;
}

static bool write_posting(struct med_lex_writer *w, struct lex_chain *chain)
{
    uint8_t bytes[POSTING_BYTES_MAX];
    uint32_t len = 0, wtf = chain->wtf;
    uint64_t head = (uint64_t)(w->chunk_count + 1 - chain->last) << 1 | (wtf > 1);
    for (; head >= 0x80; head >>= 7) bytes[len++] = (uint8_t)(head | 0x80);
    bytes[len++] = (uint8_t)head;
    if (wtf > 1) {
        uint32_t rest = wtf - 2;
        for (; rest >= 0x80; rest >>= 7) bytes[len++] = (uint8_t)(rest | 0x80);
        bytes[len++] = (uint8_t)rest;
    }
    chain->last = w->chunk_count + 1;
    chain->wtf = 0;
    return chain_append(w, chain, bytes, len);
}

static void fetch_tail(const struct med_lex_writer *w, uint32_t term)
{
    const struct lex_chain *chain = &w->chains[term];
    if (chain->tail) __builtin_prefetch(slice_at(w, chain->tail) + chain->used, 1);
}

enum med_code med_lex_writer_chunk(
    struct med_lex_writer *w, struct med_lex_field body, struct med_err *err)
{
    if (w->closed || !w->doc_count)
        return med_fail(err, MED_E_CONFLICT, "a passage must follow its document");
    if (w->chunk_count >= LEX_CHUNKS_MAX)
        return med_fail(err, MED_E_LIMIT, "a segment holds at most %u passages", LEX_CHUNKS_MAX);
    enum med_code code = reserve_chains(w, body, err);
    if (code != MED_OK) return code;
    if (!med_grow(
            &w->touched, &w->touched_cap, body.term_count + w->title_count, sizeof(*w->touched)) ||
        !med_grow(&w->lengths, &w->lengths_cap, (size_t)w->chunk_count + 1, sizeof(*w->lengths)))
        return writer_fail_nomem(err, w);
    size_t touched = 0;
    for (size_t i = 0; i < body.term_count; i++) {
        if (i + CHAINS_AHEAD < body.term_count)
            __builtin_prefetch(&w->chains[body.terms[i + CHAINS_AHEAD]], 1);
        struct lex_chain *chain = &w->chains[body.terms[i]];
        if (!chain->wtf) {
            w->touched[touched++] = body.terms[i];
            chain->df++;
            chain->body_doc = w->doc_count;
        }
        chain->wtf = (uint16_t)saturate((uint64_t)chain->wtf + 1);
    }
    for (size_t i = 0; i < w->title_count; i++) {
        struct lex_chain *chain = &w->chains[w->title[i].term];
        if (!chain->wtf) w->touched[touched++] = w->title[i].term;
        chain->wtf = (uint16_t)saturate((uint64_t)chain->wtf + w->title[i].wtf);
    }
    bool ok = true;
    for (size_t i = 0; i < touched; i++) {
        if (i + SLICES_AHEAD < touched) fetch_tail(w, w->touched[i + SLICES_AHEAD]);
        if (ok) ok = write_posting(w, &w->chains[w->touched[i]]);
        w->chains[w->touched[i]].wtf = 0;
    }
    if (!ok) {
        w->closed = w->broken = true;
        return writer_fail_nomem(err, w);
    }
    uint32_t len = saturate((uint64_t)body.length + w->title_len);
    w->lengths[w->chunk_count++] = (uint16_t)len;
    w->length_sum += len;
    if (len > w->length_max) w->length_max = len;
    w->posting_count += touched;
    w->doc_has_chunks = true;
    return MED_OK;
}

void lex_writer_close(struct med_lex_writer *w)
{
    finish_doc(w);
    w->closed = true;
}

/* Adds the df of what is in memory to that of the runs. */
static bool add_df(struct med_lex_writer *w)
{
    size_t count = med_vocab_count(w->vocab), before = w->df_cap;
    if (!med_grow(&w->df, &w->df_cap, count ? count : 1, sizeof(*w->df))) return false;
    memset(w->df + before, 0, (w->df_cap - before) * sizeof(*w->df));
    for (size_t i = 0; i < count && i < w->chains_cap; i++) w->df[i] += w->chains[i].df;
    return true;
}

bool lex_writer_drop(struct med_lex_writer *w)
{
    if (!w->df_is_whole && !add_df(w)) return false;
    free_pool(w);
    if (w->chains) memset(w->chains, 0, w->chains_cap * sizeof(*w->chains));
    w->chunk_count = w->doc_count = w->length_max = 0;
    w->length_sum = w->posting_count = 0;
    return true;
}

const uint32_t *med_lex_writer_df(struct med_lex_writer *w)
{
    lex_writer_close(w);
    if (!w->df_is_whole && !add_df(w)) return NULL;
    w->df_is_whole = true;
    return w->df;
}

/* Encoding the collected postings into the three files. Terms are visited in byte order; each list
 * is decoded from its chain once. Lists shorter than a block keep their varints; longer ones are
 * cut into blocks of 128, packed, and described by impact frontiers. The picture of the bytes is in
 * README.md. */
#include "common/buf.h"
#include "common/mem.h"
#include "index/lexical/impacts.h"
#include "index/lexical/pack.h"
#include "index/lexical/writer.h"

#include <stdlib.h>

#define FLUSH_BYTES ((size_t)1 << 20)
#define PIECE_BYTES_MAX ((uint64_t)UINT32_MAX)
#define TERM_BYTES_MAX 255u

struct sorted_term {
    uint64_t key;
    uint32_t id;
};

struct encoder {
    const struct med_lex_writer *writer;
    struct sorted_term *terms;
    uint32_t term_count;
    float avg_len;
    struct med_file *file;                    /* postings */
    uint64_t postings_pos;                    /* file size once `out` is flushed */
    struct med_buf out;                       /* postings on their way to the file */
    struct med_buf payload, last_ids, blocks; /* of the list being encoded */
    struct med_buf lexicon, keys, offsets;
    struct med_str previous; /* term */
};

static int compare_terms(const void *a, const void *b, void *vocab)
{
    const struct sorted_term *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return med_str_cmp(med_vocab_term(vocab, x->id), med_vocab_term(vocab, y->id));
}

static enum med_code sort_terms(struct encoder *e, struct med_err *err)
{
    const struct med_lex_writer *w = e->writer;
    size_t count = med_vocab_count(w->vocab);
    if (count > w->chains_cap) count = w->chains_cap;
    e->terms = med_malloc((count ? count : 1) * sizeof(*e->terms));
    if (!e->terms) return med_fail(err, MED_E_NOMEM, "no memory to sort %zu terms", count);
    for (uint32_t id = 0; id < count; id++) {
        if (!w->chains[id].last) continue;
        struct med_str term = med_vocab_term(w->vocab, id);
        if (term.len > TERM_BYTES_MAX)
            return med_fail(err, MED_E_LIMIT, "a term has %zu bytes, at most %u are possible",
                term.len, TERM_BYTES_MAX);
        e->terms[e->term_count++] = (struct sorted_term){.key = lex_term_key(term), .id = id};
    }
    qsort_r(e->terms, e->term_count, sizeof(*e->terms), compare_terms, (void *)(uintptr_t)w->vocab);
    return MED_OK;
}

/* --- postings --- */

static enum med_code flush(struct encoder *e, size_t at_least, struct med_err *err)
{
    if (e->out.len < at_least) return MED_OK;
    enum med_code code = med_buf_status(&e->out, err);
    if (code != MED_OK) return code;
    if (e->out.len) code = med_file_append(e->file, e->out.data, e->out.len, err);
    med_buf_reset(&e->out);
    return code;
}

static void encode_short(
    struct encoder *e, const uint32_t *ids, const uint32_t *wtfs, uint32_t count)
{
    uint32_t previous = UINT32_MAX;
    for (uint32_t i = 0; i < count; i++) {
        med_buf_put_varint(&e->out, (uint64_t)(ids[i] - previous) << 1 | (wtfs[i] > 1));
        if (wtfs[i] > 1) med_buf_put_varint(&e->out, wtfs[i] - 2);
        previous = ids[i];
    }
}

static void encode_block(struct encoder *e, const uint32_t *ids, const uint32_t *wtfs,
    uint32_t count, uint32_t base, struct lex_frontier *term_frontier)
{
    uint32_t gaps[LEX_BLOCK], tfs[LEX_BLOCK], gap_bits = 0, tf_bits = 0;
    struct lex_frontier frontier;
    lex_frontier_init(&frontier);
    for (uint32_t i = 0; i < count; i++) {
        gaps[i] = ids[i] - (i ? ids[i - 1] : base) - 1;
        tfs[i] = wtfs[i] - 1;
        gap_bits |= gaps[i];
        tf_bits |= tfs[i];
        lex_frontier_add_posting(&frontier, wtfs[i], e->writer->lengths[ids[i]]);
    }
    struct lex_block block = {.offset = (uint32_t)e->payload.len,
        .id_bits = (uint8_t)lex_bits_of(gap_bits),
        .wtf_bits = (uint8_t)lex_bits_of(tf_bits)};
    lex_frontier_take(&frontier, e->avg_len, LEX_BLOCK_IMPACTS, block.impacts);
    for (uint32_t i = 0; i < LEX_BLOCK_IMPACTS; i++)
        if (block.impacts[i].wtf) lex_frontier_add(term_frontier, block.impacts[i]);
    med_buf_put_u32(&e->last_ids, ids[count - 1]);
    med_buf_append(&e->blocks, &block, sizeof(block));
    uint32_t id_bytes = lex_packed_bytes(count, block.id_bits);
    uint32_t all_bytes = id_bytes + lex_packed_bytes(count, block.wtf_bits);
    uint8_t *at = med_buf_extend(&e->payload, all_bytes);
    if (!at || !all_bytes) return;
    memset(at, 0, all_bytes);
    lex_pack(gaps, count, block.id_bits, at);
    lex_pack(tfs, count, block.wtf_bits, at + id_bytes);
}

/* Encodes one term's list at the end of `out`; returns its number of postings. */
static uint64_t encode_list(struct encoder *e, const struct lex_chain *chain)
{
    uint32_t ids[LEX_BLOCK], wtfs[LEX_BLOCK], count = 0, chunk = UINT32_MAX, base = 0;
    uint64_t total = 0;
    struct lex_frontier frontier;
    struct lex_list_header header = {.first_id = 0};
    struct lex_chain_reader reader = lex_chain_reader_of(e->writer, chain);
    lex_frontier_init(&frontier);
    med_buf_reset(&e->payload);
    med_buf_reset(&e->last_ids);
    med_buf_reset(&e->blocks);
    for (bool more = true; more;) {
        more = lex_chain_next(&reader, &chunk, &wtfs[count]);
        if (more) {
            ids[count++] = chunk;
            total++;
        } else if (total < LEX_BLOCK) {
            encode_short(e, ids, wtfs, count);
            return total;
        }
        if (count < LEX_BLOCK && (more || count == 0)) continue;
        if (total <= LEX_BLOCK && more) {
            header.first_id = ids[0];
            base = ids[0] - 1; /* the first gap is 1; wraps for chunk 0 as the reader's does */
        }
        encode_block(e, ids, wtfs, count, base, &frontier);
        base = ids[count - 1];
        count = 0;
    }
    lex_frontier_take(&frontier, e->avg_len, LEX_TERM_IMPACTS, header.impacts);
    uint64_t end = e->postings_pos + e->out.len;
    for (uint64_t pad = (0 - end) & 3; pad > 0; pad--) med_buf_putc(&e->out, 0);
    med_buf_append(&e->out, &header, sizeof(header));
    med_buf_append_str(&e->out, med_buf_str(&e->last_ids));
    med_buf_append_str(&e->out, med_buf_str(&e->blocks));
    med_buf_append_str(&e->out, med_buf_str(&e->payload));
    return total;
}

/* --- lexicon --- */

static void add_lexicon_entry(struct encoder *e, uint32_t ordinal, struct med_str term, uint32_t df,
    uint64_t posting_count, uint64_t record_start, uint64_t record_size)
{
    size_t shared = 0;
    if (ordinal % LEX_TERMS_PER_BLOCK == 0) {
        med_buf_put_u64(&e->keys, lex_term_key(term));
        med_buf_put_u32(&e->offsets, (uint32_t)e->lexicon.len);
        med_buf_put_varint(&e->lexicon, record_start);
    } else {
        while (shared < term.len && shared < e->previous.len &&
               term.ptr[shared] == e->previous.ptr[shared])
            shared++;
        med_buf_put_varint(&e->lexicon, shared);
    }
    med_buf_put_varint(&e->lexicon, term.len - shared);
    med_buf_append(&e->lexicon, term.ptr + shared, term.len - shared);
    med_buf_put_varint(&e->lexicon, df);
    med_buf_put_varint(&e->lexicon, posting_count - df);
    med_buf_put_varint(&e->lexicon, record_size);
    e->previous = term;
}

static enum med_code encode_terms(struct encoder *e, struct med_err *err)
{
    for (uint32_t ordinal = 0; ordinal < e->term_count; ordinal++) {
        uint32_t id = e->terms[ordinal].id;
        const struct lex_chain *chain = &e->writer->chains[id];
        uint64_t start = e->postings_pos + e->out.len;
        uint64_t posting_count = encode_list(e, chain);
        uint64_t size = e->postings_pos + e->out.len - start;
        add_lexicon_entry(e, ordinal, med_vocab_term(e->writer->vocab, id), chain->df,
            posting_count, start, size);
        enum med_code code = MED_OK;
        struct med_buf *const bufs[] = {
            &e->payload, &e->last_ids, &e->blocks, &e->lexicon, &e->out};
        for (size_t i = 0; i < sizeof(bufs) / sizeof(bufs[0]); i++) {
            code = med_buf_status(bufs[i], err);
            if (code != MED_OK) return code;
        }
        if (e->out.len >= FLUSH_BYTES) {
            uint64_t pos = e->postings_pos + e->out.len;
            code = flush(e, 1, err);
            if (code != MED_OK) return code;
            e->postings_pos = pos;
        }
    }
    return MED_OK;
}

/* --- files --- */

static enum med_code create(const struct med_fs *fs, const char *dir, const char *name,
    struct med_file_ref *ref, struct med_file **ret_file, struct med_err *err)
{
    char path[MED_PATH_MAX];
    enum med_code code = med_path_join(path, dir, name, err);
    if (code != MED_OK) return code;
    memset(ref, 0, sizeof(*ref));
    memcpy(ref->name, name, strlen(name));
    return med_file_create(fs, path, ret_file, err);
}

static enum med_code append(struct med_file *file, const void *ptr, size_t len, struct med_err *err)
{
    return len ? med_file_append(file, ptr, len, err) : MED_OK;
}

static enum med_code write_postings(struct encoder *e, const struct med_fs *fs, const char *dir,
    struct med_file_ref *ref, struct med_err *err)
{
    static const uint8_t padding[LEX_PAD_BYTES] = {0};
    enum med_code code = create(fs, dir, "postings", ref, &e->file, err);
    if (code != MED_OK) return code;
    struct lex_postings_header header = {.magic = LEX_POSTINGS_MAGIC,
        .version = LEX_FORMAT_VERSION,
        .term_count = e->term_count,
        .chunk_count = e->writer->chunk_count,
        .posting_count = e->writer->posting_count};
    code = append(e->file, &header, sizeof(header), err);
    e->postings_pos = sizeof(header);
    if (code == MED_OK) code = encode_terms(e, err);
    if (code == MED_OK) {
        e->postings_pos += e->out.len;
        code = flush(e, 0, err);
    }
    if (code == MED_OK) code = append(e->file, padding, sizeof(padding), err);
    if (code == MED_OK) return med_file_finish(&e->file, &ref->size, &ref->hash, err);
    return code;
}

static enum med_code write_lexicon(struct encoder *e, const struct med_fs *fs, const char *dir,
    uint64_t postings_size, struct med_file_ref *ref, struct med_err *err)
{
    uint32_t block_count = (e->term_count + LEX_TERMS_PER_BLOCK - 1) / LEX_TERMS_PER_BLOCK;
    med_buf_put_u32(&e->offsets, (uint32_t)e->lexicon.len);
    enum med_code code = med_buf_status(&e->keys, err);
    if (code == MED_OK) code = med_buf_status(&e->offsets, err);
    if (code == MED_OK) code = create(fs, dir, "lexicon", ref, &e->file, err);
    if (code != MED_OK) return code;
    struct lex_lexicon_header header = {.magic = LEX_LEXICON_MAGIC,
        .version = LEX_FORMAT_VERSION,
        .term_count = e->term_count,
        .block_count = block_count,
        .chunk_count = e->writer->chunk_count,
        .blocks_size = e->lexicon.len,
        .postings_size = postings_size};
    code = append(e->file, &header, sizeof(header), err);
    if (code == MED_OK) code = append(e->file, e->keys.data, e->keys.len, err);
    if (code == MED_OK) code = append(e->file, e->offsets.data, e->offsets.len, err);
    if (code == MED_OK) code = append(e->file, e->lexicon.data, e->lexicon.len, err);
    if (code == MED_OK) code = med_file_finish(&e->file, &ref->size, &ref->hash, err);
    return code;
}

static enum med_code write_lengths(struct encoder *e, const struct med_fs *fs, const char *dir,
    struct med_file_ref *ref, struct med_err *err)
{
    static const uint8_t padding[LEX_PAD_BYTES] = {0};
    const struct med_lex_writer *w = e->writer;
    enum med_code code = create(fs, dir, "lengths", ref, &e->file, err);
    if (code != MED_OK) return code;
    struct lex_lengths_header header = {.magic = LEX_LENGTHS_MAGIC,
        .version = LEX_FORMAT_VERSION,
        .chunk_count = w->chunk_count,
        .length_sum = w->length_sum,
        .length_max = w->length_max};
    code = append(e->file, &header, sizeof(header), err);
    if (code == MED_OK)
        code = append(e->file, w->lengths, w->chunk_count * sizeof(*w->lengths), err);
    if (code == MED_OK) code = append(e->file, padding, sizeof(padding), err);
    if (code == MED_OK) code = med_file_finish(&e->file, &ref->size, &ref->hash, err);
    return code;
}

enum med_code med_lex_writer_finish(struct med_lex_writer *writer, const struct med_fs *fs,
    const char *dir, struct med_file_ref ret_files[MED_LEX_FILE_COUNT], struct med_err *err)
{
    if (writer->broken)
        return med_fail(
            err, MED_E_CONFLICT, "a lexical index that ran out of memory cannot be finished");
    lex_writer_close(writer);
    struct encoder e = {.writer = writer};
    if (writer->chunk_count) e.avg_len = (float)writer->length_sum / (float)writer->chunk_count;
    struct med_buf *const bufs[] = {
        &e.out, &e.payload, &e.last_ids, &e.blocks, &e.lexicon, &e.keys, &e.offsets};
    for (size_t i = 0; i < sizeof(bufs) / sizeof(bufs[0]); i++)
        med_buf_init(bufs[i], PIECE_BYTES_MAX);
    struct med_file_ref refs[MED_LEX_FILE_COUNT];
    enum med_code code = sort_terms(&e, err);
    if (code == MED_OK) code = write_postings(&e, fs, dir, &refs[1], err);
    if (code == MED_OK) code = write_lexicon(&e, fs, dir, refs[1].size, &refs[0], err);
    if (code == MED_OK) code = write_lengths(&e, fs, dir, &refs[2], err);
    if (code == MED_OK) memcpy(ret_files, refs, sizeof(refs));
    if (e.file) med_file_discard(&e.file);
    for (size_t i = 0; i < sizeof(bufs) / sizeof(bufs[0]); i++) med_buf_free(bufs[i]);
    med_free(e.terms);
    return code;
}

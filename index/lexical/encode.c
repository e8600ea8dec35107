/* Encoding postings into the three files. Lists shorter than a block are varints; longer ones are
 * cut into blocks of 128, packed, and described by impact frontiers. The picture of the bytes is in
 * README.md.
 *
 * A posting waits in `ids` and `wtfs` until its block is full; a full block waits in `payload`,
 * `last_ids` and `blocks` until its term is closed, because a list's header stands before them. */
#include "index/lexical/encode.h"

#include "common/buf.h"
#include "common/mem.h"
#include "index/lexical/impacts.h"
#include "index/lexical/pack.h"

#include <stdio.h>

#define FLUSH_BYTES ((size_t)1 << 20)
#define PIECE_BYTES_MAX ((uint64_t)UINT32_MAX)

struct lex_encoder {
    const struct med_fs *fs;
    const char *dir, *prefix;
    struct lex_shape shape;
    float avg_len;
    struct med_file_ref postings_ref;
    struct med_file *file;  /* postings, then the others one by one */
    uint64_t postings_pos;  /* file size once `out` is flushed */
    struct med_buf out;     /* postings on their way to the file */
    uint32_t term_count;    /* so far */
    uint64_t posting_count; /* so far, of closed terms */
    struct med_buf lexicon, keys, offsets;
    char previous[LEX_TERM_BYTES_MAX]; /* term */
    size_t previous_len;
    /* of the term being collected */
    uint32_t ids[LEX_BLOCK], wtfs[LEX_BLOCK], count;
    uint64_t total;
    uint32_t first_id, base;
    struct med_buf payload, last_ids, blocks;
    struct lex_frontier frontier;
};

#define ENCODER_BUFS 7
static void bufs_of(struct lex_encoder *e, struct med_buf *ret_bufs[ENCODER_BUFS])
{
    struct med_buf *const all[ENCODER_BUFS] = {
        &e->payload, &e->last_ids, &e->blocks, &e->out, &e->lexicon, &e->keys, &e->offsets};
    memcpy(ret_bufs, all, sizeof(all));
}

static enum med_code create(
    struct lex_encoder *e, const char *name, struct med_file_ref *ref, struct med_err *err)
{
    char path[MED_PATH_MAX];
    memset(ref, 0, sizeof(*ref));
    snprintf(ref->name, sizeof(ref->name), "%s%s", e->prefix, name);
    enum med_code code = med_path_join(path, e->dir, ref->name, err);
    if (code != MED_OK) return code;
    return med_file_create(e->fs, path, &e->file, err);
}

static enum med_code append(struct med_file *file, const void *ptr, size_t len, struct med_err *err)
{
    return len ? med_file_append(file, ptr, len, err) : MED_OK;
}

enum med_code lex_encoder_new(const struct med_fs *fs, const char *dir, const char *prefix,
    const struct lex_shape *shape, struct lex_encoder **ret_encoder, struct med_err *err)
{
    struct lex_encoder *e = med_calloc(1, sizeof(*e));
    if (!e) return med_fail(err, MED_E_NOMEM, "no memory to encode a lexical index");
    e->fs = fs;
    e->dir = dir;
    e->prefix = prefix;
    e->shape = *shape;
    if (shape->chunk_count) e->avg_len = (float)shape->length_sum / (float)shape->chunk_count;
    struct med_buf *bufs[ENCODER_BUFS];
    bufs_of(e, bufs);
    for (size_t i = 0; i < ENCODER_BUFS; i++) med_buf_init(bufs[i], PIECE_BYTES_MAX);
    lex_frontier_init(&e->frontier);
    struct lex_postings_header header = {.magic = LEX_POSTINGS_MAGIC,
        .version = LEX_FORMAT_VERSION,
        .term_count = shape->term_count,
        .chunk_count = shape->chunk_count,
        .posting_count = shape->posting_count};
    enum med_code code = create(e, "postings", &e->postings_ref, err);
    if (code == MED_OK) code = append(e->file, &header, sizeof(header), err);
    if (code != MED_OK) {
        lex_encoder_free(&e);
        return code;
    }
    e->postings_pos = sizeof(header);
    *ret_encoder = e;
    return MED_OK;
}

void lex_encoder_free(struct lex_encoder **encoder)
{
    struct lex_encoder *e = *encoder;
    if (!e) return;
    *encoder = NULL;
    if (e->file) med_file_discard(&e->file);
    struct med_buf *bufs[ENCODER_BUFS];
    bufs_of(e, bufs);
    for (size_t i = 0; i < ENCODER_BUFS; i++) med_buf_free(bufs[i]);
    med_free(e);
}

/* --- postings --- */

static enum med_code flush(struct lex_encoder *e, size_t at_least, struct med_err *err)
{
    if (e->out.len < at_least) return MED_OK;
    enum med_code code = med_buf_status(&e->out, err);
    if (code != MED_OK) return code;
    if (e->out.len) code = med_file_append(e->file, e->out.data, e->out.len, err);
    e->postings_pos += e->out.len;
    med_buf_reset(&e->out);
    return code;
}

static void encode_short(struct lex_encoder *e)
{
    uint32_t previous = UINT32_MAX;
    for (uint32_t i = 0; i < e->count; i++) {
        med_buf_put_varint(&e->out, (uint64_t)(e->ids[i] - previous) << 1 | (e->wtfs[i] > 1));
        if (e->wtfs[i] > 1) med_buf_put_varint(&e->out, e->wtfs[i] - 2);
        previous = e->ids[i];
    }
}

static void encode_block(struct lex_encoder *e)
{
    uint32_t gaps[LEX_BLOCK], tfs[LEX_BLOCK], gap_bits = 0, tf_bits = 0, count = e->count;
    struct lex_frontier frontier;
    lex_frontier_init(&frontier);
    for (uint32_t i = 0; i < count; i++) {
        gaps[i] = e->ids[i] - (i ? e->ids[i - 1] : e->base) - 1;
        tfs[i] = e->wtfs[i] - 1;
        gap_bits |= gaps[i];
        tf_bits |= tfs[i];
        lex_frontier_add_posting(&frontier, e->wtfs[i], e->shape.lengths[e->ids[i]]);
    }
    struct lex_block block = {.offset = (uint32_t)e->payload.len,
        .id_bits = (uint8_t)lex_bits_of(gap_bits),
        .wtf_bits = (uint8_t)lex_bits_of(tf_bits)};
    lex_frontier_take(&frontier, e->avg_len, LEX_BLOCK_IMPACTS, block.impacts);
    for (uint32_t i = 0; i < LEX_BLOCK_IMPACTS; i++)
        if (block.impacts[i].wtf) lex_frontier_add(&e->frontier, block.impacts[i]);
    med_buf_put_u32(&e->last_ids, e->ids[count - 1]);
    med_buf_append(&e->blocks, &block, sizeof(block));
    e->base = e->ids[count - 1];
    e->count = 0;
    uint32_t id_bytes = lex_packed_bytes(count, block.id_bits);
    uint32_t all_bytes = id_bytes + lex_packed_bytes(count, block.wtf_bits);
    uint8_t *at = med_buf_extend(&e->payload, all_bytes);
    if (!at || !all_bytes) return;
    memset(at, 0, all_bytes);
    lex_pack(gaps, count, block.id_bits, at);
    lex_pack(tfs, count, block.wtf_bits, at + id_bytes);
}

void lex_encoder_posting(struct lex_encoder *e, uint32_t chunk, uint32_t wtf)
{
    if (e->total++ == 0) {
        e->first_id = chunk;
        e->base = chunk - 1; /* the first gap is 1; wraps for chunk 0 as the reader's does */
    }
    e->ids[e->count] = chunk;
    e->wtfs[e->count++] = wtf;
    if (e->count == LEX_BLOCK) encode_block(e);
}

/* The collected list, at the end of `out`. */
static void encode_list(struct lex_encoder *e)
{
    if (e->total < LEX_BLOCK) {
        encode_short(e);
        return;
    }
    if (e->count) encode_block(e);
    struct lex_list_header header = {.first_id = e->first_id};
    lex_frontier_take(&e->frontier, e->avg_len, LEX_TERM_IMPACTS, header.impacts);
    uint64_t end = e->postings_pos + e->out.len;
    for (uint64_t pad = (0 - end) & 3; pad > 0; pad--) med_buf_putc(&e->out, 0);
    med_buf_append(&e->out, &header, sizeof(header));
    med_buf_append_str(&e->out, med_buf_str(&e->last_ids));
    med_buf_append_str(&e->out, med_buf_str(&e->blocks));
    med_buf_append_str(&e->out, med_buf_str(&e->payload));
}

/* --- lexicon --- */

static void add_lexicon_entry(struct lex_encoder *e, struct med_str term, uint32_t df,
    uint64_t record_start, uint64_t record_size)
{
    size_t shared = 0;
    if (e->term_count % LEX_TERMS_PER_BLOCK == 0) {
        med_buf_put_u64(&e->keys, lex_term_key(term));
        med_buf_put_u32(&e->offsets, (uint32_t)e->lexicon.len);
        med_buf_put_varint(&e->lexicon, record_start);
    } else {
        while (shared < term.len && shared < e->previous_len &&
               term.ptr[shared] == e->previous[shared])
            shared++;
        med_buf_put_varint(&e->lexicon, shared);
    }
    med_buf_put_varint(&e->lexicon, term.len - shared);
    med_buf_append(&e->lexicon, term.ptr + shared, term.len - shared);
    med_buf_put_varint(&e->lexicon, df);
    med_buf_put_varint(&e->lexicon, e->total - df);
    med_buf_put_varint(&e->lexicon, record_size);
    memcpy(e->previous, term.ptr, term.len);
    e->previous_len = term.len;
}

enum med_code lex_encoder_term(
    struct lex_encoder *e, struct med_str term, uint32_t df, struct med_err *err)
{
    if (term.len > LEX_TERM_BYTES_MAX)
        return med_fail(err, MED_E_LIMIT, "a term has %zu bytes, at most %u are possible", term.len,
            LEX_TERM_BYTES_MAX);
    uint64_t start = e->postings_pos + e->out.len;
    encode_list(e);
    add_lexicon_entry(e, term, df, start, e->postings_pos + e->out.len - start);
    e->term_count++;
    e->posting_count += e->total;
    e->total = e->count = 0;
    struct med_buf *bufs[ENCODER_BUFS];
    bufs_of(e, bufs);
    for (size_t i = 0; i < ENCODER_BUFS; i++) {
        enum med_code code = med_buf_status(bufs[i], err);
        if (code != MED_OK) return code;
    }
    med_buf_reset(&e->payload);
    med_buf_reset(&e->last_ids);
    med_buf_reset(&e->blocks);
    return flush(e, FLUSH_BYTES, err);
}

/* --- files --- */

static enum med_code finish_postings(struct lex_encoder *e, struct med_err *err)
{
    static const uint8_t padding[LEX_PAD_BYTES] = {0};
    if (e->term_count != e->shape.term_count || e->posting_count != e->shape.posting_count)
        return med_fail(err, MED_E_INTERNAL,
            "a lexical index got %u terms with %llu postings instead of %u with %llu",
            e->term_count, (unsigned long long)e->posting_count, e->shape.term_count,
            (unsigned long long)e->shape.posting_count);
    enum med_code code = flush(e, 0, err);
    if (code == MED_OK) code = append(e->file, padding, sizeof(padding), err);
    if (code == MED_OK)
        code = med_file_finish(&e->file, &e->postings_ref.size, &e->postings_ref.hash, err);
    return code;
}

static enum med_code write_lexicon(
    struct lex_encoder *e, struct med_file_ref *ref, struct med_err *err)
{
    med_buf_put_u32(&e->offsets, (uint32_t)e->lexicon.len);
    enum med_code code = med_buf_status(&e->offsets, err);
    if (code == MED_OK) code = create(e, "lexicon", ref, err);
    if (code != MED_OK) return code;
    struct lex_lexicon_header header = {.magic = LEX_LEXICON_MAGIC,
        .version = LEX_FORMAT_VERSION,
        .term_count = e->term_count,
        .block_count = (e->term_count + LEX_TERMS_PER_BLOCK - 1) / LEX_TERMS_PER_BLOCK,
        .chunk_count = e->shape.chunk_count,
        .blocks_size = e->lexicon.len,
        .postings_size = e->postings_ref.size};
    code = append(e->file, &header, sizeof(header), err);
    if (code == MED_OK) code = append(e->file, e->keys.data, e->keys.len, err);
    if (code == MED_OK) code = append(e->file, e->offsets.data, e->offsets.len, err);
    if (code == MED_OK) code = append(e->file, e->lexicon.data, e->lexicon.len, err);
    if (code == MED_OK) code = med_file_finish(&e->file, &ref->size, &ref->hash, err);
    return code;
}

static enum med_code write_lengths(
    struct lex_encoder *e, struct med_file_ref *ref, struct med_err *err)
{
    static const uint8_t padding[LEX_PAD_BYTES] = {0};
    const struct lex_shape *shape = &e->shape;
    enum med_code code = create(e, "lengths", ref, err);
    if (code != MED_OK) return code;
    struct lex_lengths_header header = {.magic = LEX_LENGTHS_MAGIC,
        .version = LEX_FORMAT_VERSION,
        .chunk_count = shape->chunk_count,
        .length_sum = shape->length_sum,
        .length_max = shape->length_max};
    code = append(e->file, &header, sizeof(header), err);
    if (code == MED_OK)
        code = append(
            e->file, shape->lengths, (size_t)shape->chunk_count * sizeof(*shape->lengths), err);
    if (code == MED_OK) code = append(e->file, padding, sizeof(padding), err);
    if (code == MED_OK) code = med_file_finish(&e->file, &ref->size, &ref->hash, err);
    return code;
}

enum med_code lex_encoder_finish(
    struct lex_encoder *e, struct med_file_ref ret_files[MED_LEX_FILE_COUNT], struct med_err *err)
{
    struct med_file_ref refs[MED_LEX_FILE_COUNT];
    enum med_code code = finish_postings(e, err);
    refs[1] = e->postings_ref;
    if (code == MED_OK) code = write_lexicon(e, &refs[0], err);
    if (code == MED_OK) code = write_lengths(e, &refs[2], err);
    if (code == MED_OK) memcpy(ret_files, refs, sizeof(refs));
    return code;
}

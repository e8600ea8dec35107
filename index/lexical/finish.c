/* Feeding the encoder from the collected postings: terms in byte order, each chain decoded once. */
#include "common/mem.h"
#include "index/lexical/encode.h"
#include "index/lexical/writer.h"

#include <stdlib.h>

#define CHAINS_AHEAD 24u
#define SLICES_AHEAD 12u

struct sorted_term {
    uint64_t key;
    uint32_t id;
};

static int compare_terms(const void *a, const void *b, void *vocab)
{
    const struct sorted_term *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return med_str_cmp(med_vocab_term(vocab, x->id), med_vocab_term(vocab, y->id));
}

/* The terms that occur, in byte order; freed by med_free. */
static enum med_code sort_terms(const struct med_lex_writer *w, struct sorted_term **ret_terms,
    uint32_t *ret_count, struct med_err *err)
{
    uint32_t term_count = 0;
    size_t count = med_vocab_count(w->vocab);
    if (count > w->chains_cap) count = w->chains_cap;
    struct sorted_term *terms = med_malloc((count ? count : 1) * sizeof(*terms));
    if (!terms) return med_fail(err, MED_E_NOMEM, "no memory to sort %zu terms", count);
    for (uint32_t id = 0; id < count; id++) {
        if (!w->chains[id].last) continue;
        terms[term_count++] =
            (struct sorted_term){.key = lex_term_key(med_vocab_term(w->vocab, id)), .id = id};
    }
    qsort_r(terms, term_count, sizeof(*terms), compare_terms, (void *)(uintptr_t)w->vocab);
    *ret_terms = terms;
    *ret_count = term_count;
    return MED_OK;
}

static enum med_code encode_chain(
    const struct med_lex_writer *w, uint32_t id, struct lex_encoder *encoder, struct med_err *err)
{
    const struct lex_chain *chain = &w->chains[id];
    struct lex_chain_reader reader = lex_chain_reader_of(w, chain);
    uint32_t chunk = UINT32_MAX, wtf;
    while (lex_chain_next(&reader, &chunk, &wtf)) lex_encoder_posting(encoder, chunk, wtf);
    return lex_encoder_term(encoder, med_vocab_term(w->vocab, id), chain->df, err);
}

/* Terms follow each other by their bytes, their chains and postings lie anywhere. */
static void fetch_ahead(
    const struct med_lex_writer *w, const struct sorted_term *terms, uint32_t i, uint32_t count)
{
    if (i + CHAINS_AHEAD < count) __builtin_prefetch(&w->chains[terms[i + CHAINS_AHEAD].id]);
    if (i + SLICES_AHEAD >= count) return;
    uint32_t id = terms[i + SLICES_AHEAD].id;
    __builtin_prefetch(lex_chain_reader_of(w, &w->chains[id]).pos);
    __builtin_prefetch(med_vocab_term(w->vocab, id).ptr);
}

enum med_code lex_writer_write(const struct med_lex_writer *writer, const struct med_fs *fs,
    const char *dir, const char *prefix, struct med_file_ref ret_files[MED_LEX_FILE_COUNT],
    struct med_err *err)
{
    struct lex_shape shape = {.lengths = writer->lengths,
        .chunk_count = writer->chunk_count,
        .length_max = writer->length_max,
        .length_sum = writer->length_sum,
        .posting_count = writer->posting_count};
    struct sorted_term *terms = NULL;
    struct lex_encoder *encoder = NULL;
    enum med_code code = sort_terms(writer, &terms, &shape.term_count, err);
    if (code == MED_OK) code = lex_encoder_new(fs, dir, prefix, &shape, &encoder, err);
    for (uint32_t i = 0; code == MED_OK && i < shape.term_count; i++) {
        fetch_ahead(writer, terms, i, shape.term_count);
        code = encode_chain(writer, terms[i].id, encoder, err);
    }
    if (code == MED_OK) code = lex_encoder_finish(encoder, ret_files, err);
    lex_encoder_free(&encoder);
    med_free(terms);
    return code;
}

enum med_code med_lex_writer_finish(struct med_lex_writer *writer, const struct med_fs *fs,
    const char *dir, const char *prefix, struct med_file_ref ret_files[MED_LEX_FILE_COUNT],
    struct med_err *err)
{
    if (writer->broken)
        return med_fail(
            err, MED_E_CONFLICT, "a lexical index that ran out of memory cannot be finished");
    lex_writer_close(writer);
    enum med_code code = writer->run_count
                             ? lex_spill_merge(writer, fs, dir, prefix, ret_files, err)
                             : lex_writer_write(writer, fs, dir, prefix, ret_files, err);
    if (code != MED_OK) return code;
    if (!lex_writer_drop(writer))
        return med_fail(err, MED_E_NOMEM, "no memory for the document frequencies");
    writer->df_is_whole = true;
    med_free(writer->chains);
    writer->chains = NULL;
    writer->chains_cap = 0;
    return MED_OK;
}

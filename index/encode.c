/* Training the corpus encoder on a sample of the passages, and encoding all of them. */
#include "index/builder.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/parallel.h"
#include "common/rng.h"

#define ENCODE_BLOCK 8192u
#define ENCODE_GRAIN 256u
#define QUESTIONS 200u     /* that recall is measured with */
#define QUESTION_WORDS 8u  /* as people ask: 9 words, function words included */
#define QUESTION_TRIES 20u /* a passage may be empty, or all of its words unknown */

static enum med_code out_of_memory(struct med_err *err)
{
    return med_fail(err, MED_E_NOMEM, "out of memory while encoding passages");
}

static bool has_bit(const uint64_t *words, uint32_t i)
{
    return words && (words[i >> 6] >> (i & 63) & 1);
}

/* --- training --- */

struct sample {
    uint32_t *tokens;
    size_t token_count, token_cap;
    uint64_t *sentences;
    size_t sentence_count, sentence_cap;
    uint64_t *docs;
    size_t doc_count, doc_cap;
};

static bool sample_sentence(struct sample *s, const struct forward *f, uint64_t begin, uint64_t end)
{
    size_t n = end - begin;
    if (!med_grow(&s->sentences, &s->sentence_cap, s->sentence_count + 2, sizeof *s->sentences) ||
        !med_grow(&s->tokens, &s->token_cap, s->token_count + n + 1, sizeof *s->tokens))
        return false;
    s->sentences[s->sentence_count++] = s->token_count;
    memcpy(s->tokens + s->token_count, f->tokens + begin, n * sizeof *s->tokens);
    s->token_count += n;
    s->sentences[s->sentence_count] = s->token_count;
    return true;
}

/* One passage becomes one training document: the title of its document, then its sentences. */
static bool sample_passage(struct sample *s, const struct forward *f, uint32_t chunk)
{
    if (!med_grow(&s->docs, &s->doc_cap, s->doc_count + 2, sizeof *s->docs)) return false;
    s->docs[s->doc_count++] = s->sentence_count;
    uint32_t doc = f->chunk_doc[chunk];
    if (!sample_sentence(s, f, f->title_start[doc], f->title_end[doc])) return false;
    uint64_t end = f->chunk_end[chunk];
    for (uint64_t i = f->chunk_sentence[chunk]; i < f->chunk_sentence[chunk + 1]; i++) {
        bool last = i + 1 == f->chunk_sentence[chunk + 1];
        uint64_t begin =
            i == f->chunk_sentence[chunk] ? f->chunk_start[chunk] : f->sentence_start[i];
        if (!sample_sentence(s, f, begin, last ? end : f->sentence_start[i + 1])) return false;
    }
    s->docs[s->doc_count] = s->sentence_count;
    return true;
}

enum med_code build_train(struct build *b, const uint64_t *held_out,
    struct med_corpus_encoder **ret_encoder, struct med_err *err)
{
    const struct forward *f = &b->forward;
    struct sample s = {0};
    struct med_rng rng;
    med_rng_seed(&rng, b->options->seed + 1);
    struct med_train_bounds bounds = {MED_TRAIN_PASSAGES_MAX, MED_ENCODER_VOCAB_MAX};
    enum med_code code = build_train_bounds(b, &bounds, err);
    for (uint32_t c = 0; !code && c < f->chunk_count; c++) {
        bool drawn = f->chunk_count <= bounds.passages ||
                     med_rng_below(&rng, f->chunk_count) < bounds.passages;
        if (!drawn || has_bit(held_out, f->chunk_doc[c]) || s.doc_count == bounds.passages)
            continue;
        if (!sample_passage(&s, f, c)) code = out_of_memory(err);
    }
    if (!code) {
        struct med_train_corpus corpus = {.vocab = b->vocab,
            .df = med_lex_writer_df(b->lex),
            .passage_count = f->chunk_count,
            .tokens = s.tokens,
            .sentence_starts = s.sentences,
            .sentence_count = s.sentence_count,
            .doc_starts = s.docs,
            .doc_count = (uint32_t)s.doc_count};
        struct med_train_options options = {.dim = b->options->dim,
            .seed = b->options->seed,
            .threads = b->threads,
            .bounds = bounds,
            .progress = b->options->progress};
        code = s.doc_count == 0 ? med_fail(err, MED_E_UNSUPPORTED, "there is nothing to train on")
                                : med_corpus_train(&corpus, &options, ret_encoder, err);
    }
    med_free(s.tokens);
    med_free(s.sentences);
    med_free(s.docs);
    return code;
}

/* --- encoding --- */

struct encode_worker {
    float *counts;  /* per encoder row, zero between passages */
    uint32_t *rows; /* rows of the current passage */
    float *values;  /* their counts, in the same order */
    uint64_t known, unknown;
};

struct encoding {
    const struct build *build;
    const struct med_corpus_encoder *encoder;
    uint32_t *row_of; /* per vocabulary id */
    struct encode_worker *workers;
    uint32_t first; /* of the block */
    float *vectors;
};

static size_t gather(
    const struct encoding *e, struct encode_worker *w, uint64_t begin, uint64_t end, size_t count)
{
    const struct forward *f = &e->build->forward;
    for (uint64_t i = begin; i < end; i++) {
        uint32_t row = e->row_of[f->tokens[i]];
        if (row == MED_NO_TERM) {
            w->unknown++;
            continue;
        }
        w->known++;
        if (w->counts[row] == 0) w->rows[count++] = row;
        w->counts[row] += 1;
    }
    return count;
}

static enum med_code encode_range(
    void *ctx, unsigned worker, uint64_t begin, uint64_t end, struct med_err *err)
{
    (void)err;
    struct encoding *e = ctx;
    struct encode_worker *w = &e->workers[worker];
    const struct forward *f = &e->build->forward;
    uint32_t dim = med_corpus_dim(e->encoder);
    for (uint64_t i = begin; i < end; i++) {
        uint32_t chunk = e->first + (uint32_t)i, doc = f->chunk_doc[chunk];
        size_t n = gather(e, w, f->title_start[doc], f->title_end[doc], 0);
        n = gather(e, w, f->chunk_start[chunk], f->chunk_end[chunk], n);
        for (size_t k = 0; k < n; k++) {
            w->values[k] = w->counts[w->rows[k]];
            w->counts[w->rows[k]] = 0;
        }
        struct med_bag bag = {.rows = w->rows, .counts = w->values, .count = n};
        bool known;
        med_corpus_encode(e->encoder, &bag, e->vectors + i * dim, &known);
    }
    return MED_OK;
}

static enum med_code encode_blocks(
    struct encoding *e, struct med_dense_writer *writer, struct med_err *err)
{
    const struct build *b = e->build;
    uint32_t total = b->forward.chunk_count;
    for (e->first = 0; e->first < total; e->first += ENCODE_BLOCK) {
        uint32_t n = total - e->first < ENCODE_BLOCK ? total - e->first : ENCODE_BLOCK;
        enum med_code code = med_parallel_for(b->threads, n, ENCODE_GRAIN, encode_range, e, err);
        if (!code) code = med_dense_writer_add(writer, e->vectors, n, err);
        if (code) return code;
        if (!med_progress(b->options->progress, "encode", e->first + n, total, "passages"))
            return med_fail(err, MED_E_CANCELLED, "the build was stopped; nothing was published");
    }
    return MED_OK;
}

/* A few words drawn from a passage: as near as we get to a question about it. False when none of
 * them has a vector. */
static bool draw_question(const struct encoding *e, struct med_rng *rng, float *ret_vector)
{
    const struct forward *f = &e->build->forward;
    struct encode_worker *w = &e->workers[0];
    uint32_t chunk = (uint32_t)med_rng_below(rng, f->chunk_count);
    uint64_t begin = f->chunk_start[chunk], count = f->chunk_end[chunk] - begin;
    size_t words = 0;
    for (unsigned i = 0; count > 0 && i < QUESTION_WORDS; i++) {
        uint64_t at = begin + med_rng_below(rng, count);
        words = gather(e, w, at, at + 1, words);
    }
    for (size_t i = 0; i < words; i++) {
        w->values[i] = 1;
        w->counts[w->rows[i]] = 0;
    }
    struct med_bag bag = {.rows = w->rows, .counts = w->values, .count = words};
    bool known;
    med_corpus_encode(e->encoder, &bag, ret_vector, &known);
    return known;
}

/* Into e->vectors, where nothing is needed any more. */
static size_t draw_questions(struct encoding *e)
{
    struct med_rng rng;
    uint32_t dim = med_corpus_dim(e->encoder);
    size_t count = 0;
    uint64_t known = e->workers[0].known, unknown = e->workers[0].unknown;
    med_rng_seed(&rng, e->build->options->seed + 2);
    for (unsigned i = 0; i < QUESTIONS * QUESTION_TRIES && count < QUESTIONS; i++)
        count += draw_question(e, &rng, e->vectors + count * dim);
    e->workers[0].known = known; /* these were no texts */
    e->workers[0].unknown = unknown;
    return count;
}

static enum med_code prepare(struct encoding *e, struct med_err *err)
{
    const struct build *b = e->build;
    uint32_t terms = med_corpus_term_count(e->encoder), vocab = med_vocab_count(b->vocab);
    e->row_of = med_calloc(vocab + 1, sizeof *e->row_of);
    e->workers = med_calloc(b->threads, sizeof *e->workers);
    e->vectors = med_calloc((size_t)ENCODE_BLOCK * med_corpus_dim(e->encoder), sizeof *e->vectors);
    if (!e->row_of || !e->workers || !e->vectors) return out_of_memory(err);
    for (uint32_t i = 0; i < vocab; i++)
        e->row_of[i] = med_corpus_find(e->encoder, med_vocab_term(b->vocab, i));
    for (unsigned i = 0; i < b->threads; i++) {
        e->workers[i].counts = med_calloc(terms + 1, sizeof(float));
        e->workers[i].rows = med_calloc(terms + 1, sizeof(uint32_t));
        e->workers[i].values = med_calloc(terms + 1, sizeof(float));
        if (!e->workers[i].counts || !e->workers[i].rows || !e->workers[i].values)
            return out_of_memory(err);
    }
    return MED_OK;
}

enum med_code build_encode(struct build *b, const struct med_corpus_encoder *encoder,
    const char *dir, enum med_dense_kind kind, struct med_file_ref ret_files[MED_DENSE_FILE_COUNT],
    struct med_dense_report *ret_report, struct med_err *err)
{
    struct encoding e = {.build = b, .encoder = encoder};
    struct med_dense_options options = {.kind = kind,
        .dim = med_corpus_dim(encoder),
        .threads = b->threads,
        .seed = b->options->seed,
        .progress = b->options->progress};
    struct med_dense_writer *writer = NULL;
    enum med_code code = prepare(&e, err);
    if (!code) code = med_dense_writer_new(b->fs, dir, &options, &writer, err);
    if (!code) code = encode_blocks(&e, writer, err);
    uint64_t start = med_now_ns();
    if (!code && b->forward.chunk_count > 0)
        med_dense_writer_ask(writer, e.vectors, draw_questions(&e));
    if (!code) code = med_dense_writer_finish(writer, ret_files, ret_report, err);
    b->report.seconds.graph = (double)(med_now_ns() - start) * 1e-9;
    med_dense_writer_free(&writer);
    uint64_t known = 0, unknown = 0;
    for (unsigned i = 0; e.workers && i < b->threads; i++) {
        known += e.workers[i].known;
        unknown += e.workers[i].unknown;
        med_free(e.workers[i].counts);
        med_free(e.workers[i].rows);
        med_free(e.workers[i].values);
    }
    b->segment.token_count = known + unknown;
    b->segment.unknown_count = unknown;
    med_free(e.workers);
    med_free(e.row_of);
    med_free(e.vectors);
    return code;
}

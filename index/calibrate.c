/* Calibration of the fusion weight without judgements.
 *
 * A sentence of a document that the encoder was not trained on becomes the query; the document,
 * with that sentence taken out of it, is what should be found among all others. For each weight of
 * a grid the mean nDCG@10 of such queries is measured, and the LARGEST weight that loses at most
 * MAX_LOSS of the best is taken: a sentence shares more words with its own document than a question
 * does, so that these queries underrate the dense half. README.md has the measurements behind it.
 */
#include "index/builder.h"

#include "common/json.h"
#include "common/mem.h"
#include "common/parallel.h"
#include "common/rng.h"

#include <math.h>
#include <pthread.h>

#define WEIGHT_STEP 0.1
#define WEIGHT_COUNT 7 /* 0, .1, ... .6 */
#define WEIGHT_DEFAULT 0.45
#define MAX_LOSS 0.04
#define DOCS_MIN 200 /* below it the default is as good a guess */
#define QUERY_WORDS_MIN 6
#define PIECE_WORDS 20u
#define TOP 10u

struct outcome {
    bool used;
    float gain[WEIGHT_COUNT]; /* nDCG@10 at each weight of the grid */
};

struct calibration_run {
    const struct build *build;
    const struct med_index *index;
    const struct med_segment *segment;
    const uint32_t *docs; /* held out */
    struct outcome *outcomes;
    pthread_mutex_t *snapshot_lock; /* a snapshot belongs to one thread at a time */
};

struct calibration_worker {
    struct med_searcher *searcher;
    struct med_arena *arena;
    struct med_buf scratch;
    const struct calibration_run *run;
};

/* A passage as term counts: the indexed fields less one sentence. */
struct passage_bag {
    struct med_str *terms; /* distinct */
    float *body, *title, *mesh;
    size_t count, cap;
    uint32_t length; /* weighted, as the lexical index counts it */
};

static enum med_code out_of_memory(struct med_err *err)
{
    return med_fail(err, MED_E_NOMEM, "out of memory while calibrating");
}

enum med_code build_hold_out(
    struct build *b, uint64_t **ret_held_out, size_t *ret_count, struct med_err *err)
{
    size_t n = b->doc_count, count = n / 5;
    if (count > MED_CALIBRATION_DOCS_MAX) count = MED_CALIBRATION_DOCS_MAX;
    if (n < DOCS_MIN) count = 0;
    uint64_t *words = med_arena_calloc(b->arena, n / 64 + 1, sizeof *words);
    if (!words) return out_of_memory(err);
    struct med_rng rng;
    med_rng_seed(&rng, b->options->seed + 2);
    for (size_t held = 0; held < count;) {
        uint64_t d = med_rng_below(&rng, n);
        if (words[d >> 6] >> (d & 63) & 1) continue;
        words[d >> 6] |= 1ull << (d & 63);
        held++;
    }
    *ret_held_out = words;
    *ret_count = count;
    return MED_OK;
}

/* --- the target without the sentence --- */

static enum med_code bag_add(struct passage_bag *bag, struct med_arena *arena, struct med_str term,
    int field, struct med_err *err)
{
    size_t i = 0;
    while (i < bag->count && !med_str_eq(bag->terms[i], term)) i++;
    if (i == bag->count) {
        if (bag->count == bag->cap)
            return MED_OK; /* a very long passage: the rest cannot change the outcome much */
        bag->body[i] = bag->title[i] = bag->mesh[i] = 0;
        if (!med_arena_str(arena, term, &bag->terms[i])) return out_of_memory(err);
        bag->count++;
    }
    float *counts = field == 0 ? bag->body : field == 1 ? bag->title : bag->mesh;
    counts[i] += 1;
    return MED_OK;
}

/* Terms of text outside [skip.start, skip.end) into the bag. */
static enum med_code bag_text(struct calibration_worker *w, struct passage_bag *bag,
    struct med_str text, struct med_span skip, int field, uint32_t weight, struct med_err *err)
{
    const struct med_token *tokens;
    size_t count;
    enum med_code code = med_analyze(w->searcher->analyzer, text, &tokens, &count, err);
    for (size_t i = 0; !code && i < count; i++) {
        if (tokens[i].start >= skip.start && tokens[i].end <= skip.end) continue;
        code = bag_add(bag, w->arena, tokens[i].term, field, err);
        bag->length += tokens[i].extra ? 0 : weight;
    }
    return code;
}

static enum med_code make_bag(struct calibration_worker *w, const struct med_doc *doc,
    const struct med_text *text, const struct med_chunk *chunk, struct med_span sentence,
    struct passage_bag *bag, struct med_err *err)
{
    const struct med_manifest *m = &w->run->build->manifest;
    struct med_span none = {0, 0};
    bag->cap = 4096;
    bag->terms = med_arena_alloc(w->arena, bag->cap * sizeof *bag->terms);
    bag->body = med_arena_alloc(w->arena, bag->cap * sizeof(float));
    bag->title = med_arena_alloc(w->arena, bag->cap * sizeof(float));
    bag->mesh = med_arena_alloc(w->arena, bag->cap * sizeof(float));
    if (!bag->terms || !bag->body || !bag->title || !bag->mesh) return out_of_memory(err);
    struct med_str body = med_str_sub(text->bytes, chunk->span.start, chunk->span.end);
    enum med_code code = bag_text(w, bag, body, sentence, 0, 1, err);
    if (!code) code = bag_text(w, bag, build_context(doc, chunk), none, 0, 1, err);
    if (!code) code = bag_text(w, bag, doc->title, none, 1, m->title_weight, err);
    if (!code)
        code = bag_text(w, bag, build_mesh_text(doc, &w->scratch), none, 2, m->mesh_weight, err);
    return code;
}

/* BM25F as lexical.h defines it. */
static double bag_lexical(
    const struct passage_bag *bag, const struct query *query, const struct med_index *x)
{
    const struct med_manifest *m = x->manifest;
    double avg = (double)x->stats.length_sum / (double)x->stats.chunk_count;
    double norm = m->k1 * (1 - m->b + m->b * bag->length / avg), score = 0;
    for (size_t t = 0; t < query->term_count; t++) {
        for (size_t i = 0; i < bag->count; i++) {
            if (!med_str_eq(bag->terms[i], query->terms[t].term)) continue;
            double wtf = (double)bag->body[i] + (double)m->title_weight * bag->title[i] +
                         (double)m->mesh_weight * bag->mesh[i];
            score +=
                query->terms[t].weight * query->terms[t].idf * wtf * (m->k1 + 1) / (wtf + norm);
        }
    }
    return score;
}

static bool encode_terms(const struct med_corpus_encoder *encoder, struct med_arena *arena,
    const struct med_str *terms, const float *counts, size_t count, float *ret_vector)
{
    uint32_t *rows = med_arena_alloc(arena, (count + 1) * sizeof *rows);
    float *values = med_arena_alloc(arena, (count + 1) * sizeof *values);
    bool known = false;
    if (!rows || !values) return false;
    struct med_bag bag = {.rows = rows, .counts = values};
    for (size_t i = 0; i < count; i++) {
        uint32_t row = counts[i] > 0 ? med_corpus_find(encoder, terms[i]) : MED_NO_TERM;
        if (row == MED_NO_TERM) continue;
        rows[bag.count] = row;
        values[bag.count++] = counts[i];
    }
    med_corpus_encode(encoder, &bag, ret_vector, &known);
    return known;
}

static double bag_dense(
    struct calibration_worker *w, const struct passage_bag *bag, const struct query *query)
{
    const struct med_corpus_encoder *encoder = w->run->index->encoder;
    uint32_t dim = med_corpus_dim(encoder);
    float passage[MED_DIM_MAX], question[MED_DIM_MAX];
    float *sum = med_arena_calloc(w->arena, bag->count + 1, sizeof *sum);
    float *counts = med_arena_calloc(w->arena, query->term_count + 1, sizeof *counts);
    struct med_str *terms = med_arena_calloc(w->arena, query->term_count + 1, sizeof *terms);
    if (!sum || !counts || !terms) return 0;
    for (size_t i = 0; i < bag->count; i++)
        sum[i] = bag->body[i] + bag->title[i]; /* what build_encode encodes */
    for (size_t t = 0; t < query->term_count; t++) {
        counts[t] = query->terms[t].weight;
        terms[t] = query->terms[t].term;
    }
    if (!encode_terms(encoder, w->arena, bag->terms, sum, bag->count, passage) ||
        !encode_terms(encoder, w->arena, terms, counts, query->term_count, question))
        return 0;
    double dot = 0;
    for (uint32_t i = 0; i < dim; i++) dot += (double)passage[i] * question[i];
    return dot;
}

/* --- one query --- */

/* Rank of the target among the others at one weight -> gain. */
static float gain_at(double weight, const struct med_ranking *others, double lexical, double dense)
{
    double lexical_max = fmax(others->lexical_max, lexical),
           dense_max = fmax(others->dense_max, dense);
    double target = (lexical_max > 0 ? (1 - weight) * lexical / lexical_max : 0) +
                    (dense_max > 0 ? weight * fmax(dense, 0) / dense_max : 0);
    unsigned rank = 1;
    for (size_t i = 0; i < others->count && rank <= TOP; i++) {
        const struct med_ranked *r = &others->items[i];
        double score = (lexical_max > 0 ? (1 - weight) * r->lexical / lexical_max : 0) +
                       (dense_max > 0 ? weight * fmax(r->dense, 0) / dense_max : 0);
        rank += score > target;
    }
    return rank <= TOP ? (float)(1 / log2(rank + 1.0)) : 0;
}

static enum med_code try_sentence(struct calibration_worker *w, const struct med_doc *doc,
    const struct med_text *text, const struct med_chunk *chunk, struct med_span sentence,
    struct outcome *ret_outcome, struct med_err *err)
{
    const struct med_index *x = w->run->index;
    struct med_str body = med_str_sub(text->bytes, chunk->span.start, chunk->span.end);
    struct med_search_request request = MED_SEARCH_REQUEST_DEFAULT;
    struct med_ranking others = {0};
    struct passage_bag bag = {0};
    struct query query;
    request.query = med_str_sub(body, sentence.start, sentence.end);
    if (request.query.len > MED_QUERY_BYTES_MAX) return MED_OK;
    request.exclude_id = doc->id;
    request.limit = TOP;
    request.fusion_weight = WEIGHT_DEFAULT;
    request.authority_weight = 0;
    enum med_code code = query_analyse(w->searcher->analyzer, request.query, w->arena, &query, err);
    if (!code) code = rank_query(x, w->searcher, &request, &query, w->arena, &others, err);
    if (!code) code = make_bag(w, doc, text, chunk, sentence, &bag, err);
    if (code || others.mode != MED_MODE_HYBRID) return code;
    double lexical = bag_lexical(&bag, &query, x), dense = bag_dense(w, &bag, &query);
    for (unsigned i = 0; i < WEIGHT_COUNT; i++)
        ret_outcome->gain[i] = gain_at(i * WEIGHT_STEP, &others, lexical, dense);
    ret_outcome->used = true;
    return MED_OK;
}

/* Texts without sentence ends (lower-cased collections, lists) are cut into pieces of some words.
 */
static size_t cut_pieces(struct med_str body, struct med_span *pieces, size_t pieces_max)
{
    size_t count = 0, pos = 0;
    while (pos < body.len && count < pieces_max) {
        struct med_span piece = {.start = (uint32_t)pos};
        for (unsigned words = 0; pos < body.len && words < PIECE_WORDS; words++) {
            while (pos < body.len && body.ptr[pos] != ' ' && body.ptr[pos] != '\n') pos++;
            piece.end = (uint32_t)pos;
            while (pos < body.len && (body.ptr[pos] == ' ' || body.ptr[pos] == '\n')) pos++;
        }
        pieces[count++] = piece;
    }
    return count;
}

/* A sentence that could be a question's worth of words, and leaves something of the passage behind.
 */
static bool choose_sentence(struct med_str body, const struct med_span *sentences, size_t count,
    struct med_rng *rng, struct med_span *ret_sentence)
{
    struct med_span pieces[64];
    if (count < 2) {
        count = cut_pieces(body, pieces, sizeof pieces / sizeof *pieces);
        sentences = pieces;
    }
    size_t start = count ? med_rng_below(rng, count) : 0;
    for (size_t i = 0; count > 1 && i < count; i++) {
        struct med_span s = sentences[(start + i) % count];
        if (med_word_count(med_str_sub(body, s.start, s.end)) < QUERY_WORDS_MIN) continue;
        *ret_sentence = s;
        return true;
    }
    return false;
}

static enum med_code try_document(struct calibration_worker *w, size_t i, struct med_err *err)
{
    const struct calibration_run *run = w->run;
    struct med_str id = med_segment_doc_id(run->segment, run->docs[i]);
    struct med_rng rng;
    struct med_doc *doc;
    struct med_text *text;
    struct med_chunk *chunks;
    struct med_span *sentences, sentence;
    size_t chunk_count, count;
    med_rng_seed(&rng, run->build->options->seed + run->docs[i] * 7919ull);
    pthread_mutex_lock(run->snapshot_lock);
    enum med_code code = med_snapshot_get(run->build->snapshot, id, w->arena, &doc, err);
    pthread_mutex_unlock(run->snapshot_lock);
    if (!code) code = med_text_make(doc, w->arena, &text, err);
    if (!code) code = med_chunk_make(doc, text, w->arena, &chunks, &chunk_count, err);
    if (code || chunk_count == 0) return code;
    const struct med_chunk *chunk = &chunks[med_rng_below(&rng, chunk_count)];
    if (chunk->section == UINT32_MAX) return MED_OK;
    struct med_str body = med_str_sub(text->bytes, chunk->span.start, chunk->span.end);
    code = med_sentences(body, w->arena, &sentences, &count, err);
    if (code || !choose_sentence(body, sentences, count, &rng, &sentence)) return code;
    return try_sentence(w, doc, text, chunk, sentence, &run->outcomes[i], err);
}

static enum med_code try_range(
    void *ctx, unsigned worker, uint64_t begin, uint64_t end, struct med_err *err)
{
    (void)worker;
    struct calibration_worker w = {.run = ctx};
    med_buf_init(&w.scratch, 4 * MED_MIB);
    enum med_code code = med_searcher_new(&w.searcher, err);
    if (!code) code = med_arena_new(2 * MED_DOC_ARENA_BYTES_MAX, &w.arena, err);
    for (uint64_t i = begin; !code && i < end; i++) {
        med_arena_reset(w.arena);
        code = try_document(&w, i, err);
    }
    med_arena_free(&w.arena);
    med_searcher_free(&w.searcher);
    med_buf_free(&w.scratch);
    return code;
}

/* --- the choice --- */

static enum med_code choose_weight(
    struct build *b, const struct outcome *outcomes, size_t count, struct med_err *err)
{
    double mean[WEIGHT_COUNT] = {0}, best = 0;
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        if (!outcomes[i].used) continue;
        used++;
        for (unsigned k = 0; k < WEIGHT_COUNT; k++) mean[k] += outcomes[i].gain[k];
    }
    for (unsigned k = 0; used && k < WEIGHT_COUNT; k++) {
        mean[k] /= (double)used;
        best = fmax(best, mean[k]);
    }
    b->manifest.fusion_weight = WEIGHT_DEFAULT;
    for (unsigned k = 0; used >= DOCS_MIN / 10 && k < WEIGHT_COUNT; k++) {
        if (mean[k] >= best * (1 - MAX_LOSS)) b->manifest.fusion_weight = k * WEIGHT_STEP;
    }
    struct med_buf buf;
    med_buf_init(&buf, 4 * MED_KIB);
    struct med_jw w = med_jw_of(&buf, false);
    med_jw_object(&w);
    med_jw_kcstr(&w, "method", used >= DOCS_MIN / 10 ? "held-out sentences" : "default");
    med_jw_kint(&w, "queries", (long long)used);
    med_jw_key(&w, "ndcg@10");
    med_jw_array(&w);
    for (unsigned k = 0; k < WEIGHT_COUNT; k++) med_jw_float(&w, mean[k], 4);
    med_jw_array_end(&w);
    med_jw_kdouble(&w, "weight_step", WEIGHT_STEP);
    med_jw_object_end(&w);
    enum med_code code = med_buf_status(&buf, err);
    if (!code && !med_arena_str(b->arena, med_buf_str(&buf), &b->manifest.calibration))
        code = out_of_memory(err);
    med_buf_free(&buf);
    return code;
}

static enum med_code list_held_out(struct build *b, const uint64_t *held_out,
    struct calibration_run *run, size_t *ret_count, struct med_err *err)
{
    size_t count = 0;
    for (size_t d = 0; d < b->doc_count; d++) count += held_out[d >> 6] >> (d & 63) & 1;
    uint32_t *docs = med_arena_calloc(b->arena, count + 1, sizeof *docs);
    run->outcomes = med_arena_calloc(b->arena, count + 1, sizeof *run->outcomes);
    if (!docs || !run->outcomes) return out_of_memory(err);
    count = 0;
    for (size_t d = 0; d < b->doc_count; d++) {
        if (held_out[d >> 6] >> (d & 63) & 1) docs[count++] = (uint32_t)d;
    }
    run->docs = docs;
    *ret_count = count;
    return MED_OK;
}

enum med_code build_calibrate(struct build *b, const uint64_t *held_out,
    struct med_corpus_encoder *encoder, const char *dense_dir, struct med_err *err)
{
    struct med_segment *segment = NULL;
    pthread_mutex_t snapshot_lock = PTHREAD_MUTEX_INITIALIZER;
    struct calibration_run run = {.build = b, .snapshot_lock = &snapshot_lock};
    size_t count = 0;
    enum med_code code = list_held_out(b, held_out, &run, &count, err);
    if (!code && count)
        code = segment_open_unpublished(b->segment_dir, dense_dir, &b->segment, &segment, err);
    if (!code && count) {
        struct med_index x = {
            .manifest = &b->manifest, .segments = &segment, .segment_count = 1, .encoder = encoder};
        x.stats.chunk_count = segment->live_chunks.set_count;
        x.stats.doc_count = segment->live_doc_count;
        x.stats.length_sum = segment->live_length_sum;
        run.index = &x;
        run.segment = segment;
        for (size_t done = 0; !code && done < count;) { /* in steps, to report progress */
            size_t step = count - done < 256 ? count - done : 256;
            struct calibration_run part = run;
            part.docs += done;
            part.outcomes += done;
            code = med_parallel_for(b->threads, step, 16, try_range, &part, err);
            done += step;
            if (!code && !med_progress(b->options->progress, "calibrate", done, count, "queries"))
                code =
                    med_fail(err, MED_E_CANCELLED, "the build was stopped; nothing was published");
        }
    }
    if (!code) code = choose_weight(b, run.outcomes, count, err);
    med_segment_close(&segment);
    return code;
}

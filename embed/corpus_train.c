/* Contrastive training of term vectors, and med_corpus_train, which drives all the stages.
 *
 * A batch is PAIRS texts q_i with the texts p_i they belong to: title -> passage, sentence -> rest
 * of its passage, each with a fifth of its words left out at random. With cosines s_ij = q_i . p_j
 * the loss is the symmetric InfoNCE
 *
 *   L = -1/2n sum_i [ log e^(s_ii/T) / sum_j e^(s_ij/T)  +  log e^(s_ii/T) / sum_j e^(s_ji/T) ]
 *
 * and T decides a lot: at .05 a small corpus is learnt by heart, at .25 the vectors stay smooth and
 * generalise.
 *
 * A batch touches a few thousand of the term vectors. They are numbered by first appearance
 * (slots), the batch is turned around into term -> texts, and each vector then gathers its own
 * gradient and takes its own Adam step: no shared sums, hence no locks and the same bits with any
 * number of threads. */
#include "embed/blas.h"
#include "embed/corpus_internal.h"

#include "common/mem.h"
#include "common/parallel.h"
#include "common/rng.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#define PAIRS_MAX 256 /* per batch */
#define TEXTS_MAX (2 * PAIRS_MAX)
#define BLOCK_PAIRS 64 /* of the similarity matrix, a piece of parallel work */
#define EPOCHS_MAX 10
#define EPOCHS_MIN 2
#define PAIRS_PER_TRAINING_MAX 3200000ull /* fewer epochs on large corpora, in larger steps */
#define SENTENCES_PER_PASSAGE 2           /* drawn anew in each epoch */
#define WORD_DROPOUT 0.2
#define TITLE_IN_REST 0.5
#define TITLE_TOKENS_MIN 2
#define HALVES_TOKENS_MIN 12 /* a passage of one sentence is split */
#define TEMPERATURE 0.25f
#define RATE 0.02 /* of a training of up to RATE_BATCHES; then in proportion .. */
#define RATE_BATCHES 1600u
#define RATE_MAX 0.15 /* .. to this */
#define RATE_FLOOR 0.05
#define WARM_UP 0.1
#define BETA1 0.9
#define BETA2 0.999
#define PASSAGES_PER_DIM 8 /* a small corpus does not hold 256 topics */
#define DIM_SMALL 64u
#define THREADS_MAX 64u
/* Of memory, for med_train_fit */
#define VOCAB_BYTES 20    /* per term of the corpus: tables of prepare */
#define SAMPLE_BYTES 8    /* per token: the token, its share of sentences and units */
#define TOKEN_BYTES 24    /* per token: that, and the matrix by passages and by terms */
#define PASSAGE_BYTES 96u /* per passage: offsets, pairs */
#define TRAIN_SEED_SALT 0x7261696eull

enum pair_kind { PAIR_TITLE, PAIR_SENTENCE_1, PAIR_SENTENCE_2, PAIR_KINDS };
_Static_assert(PAIR_KINDS == 1 + SENTENCES_PER_PASSAGE, "one kind per drawn sentence");

struct contrast {
    const struct corpus_set *set;
    const struct med_corpus_kernels *kernels;
    unsigned threads;
    struct med_team *team;
    uint32_t dim;
    uint64_t seed;
    float *vectors, *first, *second; /* rows x dim: the vectors and Adam's two moments */
    uint64_t *pairs;                 /* passage * PAIR_KINDS + kind, shuffled per epoch */
    uint64_t pair_count;

    /* One batch */
    const uint64_t *batch;
    uint32_t batch_pairs;
    uint64_t epoch;
    struct corpus_bag *bags; /* q then p, TEXTS_MAX */
    float *texts;            /* TEXTS_MAX x dim: normalised */
    float *lengths;          /* TEXTS_MAX, before */
    float *gradients;        /* TEXTS_MAX x dim: of the unnormalised texts */
    float *similar;          /* PAIRS_MAX x PAIRS_MAX: e^(s/T), then dL/ds */
    float *row_sums, *column_sums;
    uint32_t *slot_of; /* per row: slot + 1 in this batch, 0 = none */
    uint32_t *rows;    /* per slot */
    uint32_t *starts;  /* per slot: first occurrence */
    uint32_t *texts_of;
    float *weights_of; /* occurrences by slot */
    uint32_t slot_count;
    struct med_adam step;
    float *scratch; /* threads x dim */
};

/* --- texts of a pair --- */

static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t x = (a ^ b * 0x9e3779b97f4a7c15ull) * 0xbf58476d1ce4e5b9ull;
    return x ^ x >> 29;
}

/* Adds a stretch of tokens, each left out with probability WORD_DROPOUT. */
static void add_with_dropout(
    struct contrast *c, struct corpus_bag *bag, struct med_rng *rng, uint64_t begin, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (med_rng_unit(rng) >= WORD_DROPOUT) corpus_bag_add(bag, c->set, begin + i, 1);
}

/* The pair's two texts. Units are drawn so that an epoch's two sentences of a passage differ. */
static void make_pair(
    struct contrast *c, uint64_t pair, struct corpus_bag *query, struct corpus_bag *target)
{
    const struct corpus_passage *p = &c->set->passages[pair / PAIR_KINDS];
    enum pair_kind kind = (enum pair_kind)(pair % PAIR_KINDS);
    struct med_rng shared, rng;
    uint64_t base = mix(c->seed, c->epoch);
    med_rng_seed(&shared, mix(base, pair / PAIR_KINDS * PAIR_KINDS));
    med_rng_seed(&rng, mix(base, pair) ^ TRAIN_SEED_SALT);
    corpus_bag_clear(query);
    corpus_bag_clear(target);
    uint64_t cut_begin, body_end = p->token_begin + p->token_count;
    uint32_t cut_count;
    bool with_title = false;
    if (kind == PAIR_TITLE) {
        cut_begin = p->token_begin;
        cut_count = 0;
        add_with_dropout(c, query, &rng, p->title_begin, p->title_count);
    } else if (p->unit_count == 1) {
        cut_begin = p->token_begin;
        cut_count = p->token_count / 2;
        add_with_dropout(c, query, &rng, cut_begin, cut_count);
    } else {
        uint32_t unit = (uint32_t)med_rng_below(&shared, p->unit_count);
        if (kind == PAIR_SENTENCE_2) {
            uint32_t ahead = 1 + (uint32_t)med_rng_below(&shared, p->unit_count - 1);
            unit = (uint32_t)(((uint64_t)unit + ahead) % p->unit_count);
        }
        const struct corpus_unit *u = &c->set->units[p->unit_begin + unit];
        cut_begin = u->token_begin;
        cut_count = u->token_count;
        with_title = med_rng_unit(&rng) < TITLE_IN_REST;
        add_with_dropout(c, query, &rng, cut_begin, cut_count);
    }
    add_with_dropout(c, target, &rng, p->token_begin, (uint32_t)(cut_begin - p->token_begin));
    add_with_dropout(
        c, target, &rng, cut_begin + cut_count, (uint32_t)(body_end - cut_begin - cut_count));
    if (with_title) add_with_dropout(c, target, &rng, p->title_begin, p->title_count);
    corpus_bag_weigh(query, c->set);
    corpus_bag_weigh(target, c->set);
}

static bool pair_exists(const struct corpus_passage *p, enum pair_kind kind)
{
    switch (kind) {
    case PAIR_TITLE: return p->title_count >= TITLE_TOKENS_MIN;
    case PAIR_SENTENCE_1: return p->unit_count > 1 || p->token_count >= HALVES_TOKENS_MIN;
    case PAIR_SENTENCE_2: return p->unit_count > 1;
    case PAIR_KINDS: break;
    }
    return false;
}

static enum med_code list_pairs(struct contrast *c, struct med_err *err)
{
    const struct corpus_set *set = c->set;
    c->pairs = med_realloc_array(NULL, set->passage_count * PAIR_KINDS, sizeof *c->pairs);
    if (!c->pairs) return med_fail(err, MED_E_NOMEM, "out of memory listing training pairs");
    for (uint64_t pair = 0; pair < set->passage_count * PAIR_KINDS; pair++) {
        if (pair_exists(&set->passages[pair / PAIR_KINDS], (enum pair_kind)(pair % PAIR_KINDS)))
            c->pairs[c->pair_count++] = pair;
    }
    return MED_OK;
}

/* --- forward --- */

static void normalise(struct contrast *c, uint32_t text)
{
    float *v = c->texts + (size_t)text * c->dim;
    float length = sqrtf(c->kernels->dot(v, v, c->dim));
    c->lengths[text] = length;
    float scale = length > 0 ? 1 / length : 0;
    for (uint32_t d = 0; d < c->dim; d++) v[d] *= scale;
}

static enum med_code encode_pairs(
    void *ctx, unsigned worker, uint64_t begin, uint64_t end, struct med_err *err)
{
    (void)worker;
    (void)err;
    struct contrast *c = ctx;
    for (uint64_t i = begin; i < end; i++) {
        uint32_t texts[2] = {(uint32_t)i, (uint32_t)i + c->batch_pairs};
        make_pair(c, c->batch[i], &c->bags[texts[0]], &c->bags[texts[1]]);
        for (unsigned side = 0; side < 2; side++) {
            const struct corpus_bag *bag = &c->bags[texts[side]];
            float *v = c->texts + (size_t)texts[side] * c->dim;
            memset(v, 0, c->dim * sizeof *v);
            c->kernels->add_float_rows(c->vectors, c->dim, bag->rows, bag->weights, bag->count, v);
            normalise(c, texts[side]);
        }
    }
    return MED_OK;
}

/* term -> texts, by counting. */
static void turn_around(struct contrast *c)
{
    uint32_t texts = 2 * c->batch_pairs;
    c->slot_count = 0;
    for (uint32_t t = 0; t < texts; t++) {
        const struct corpus_bag *bag = &c->bags[t];
        for (uint32_t i = 0; i < bag->count; i++) {
            uint32_t *slot = &c->slot_of[bag->rows[i]];
            if (*slot == 0) {
                c->rows[c->slot_count] = bag->rows[i];
                c->starts[c->slot_count] = 0;
                *slot = ++c->slot_count;
            }
            c->starts[*slot - 1]++;
        }
    }
    uint32_t at = 0;
    for (uint32_t s = 0; s < c->slot_count; s++) {
        uint32_t count = c->starts[s];
        c->starts[s] = at;
        at += count;
    }
    c->starts[c->slot_count] = at;
    for (uint32_t t = 0; t < texts; t++) {
        const struct corpus_bag *bag = &c->bags[t];
        for (uint32_t i = 0; i < bag->count; i++) {
            uint32_t to = c->starts[c->slot_of[bag->rows[i]] - 1]++;
            c->texts_of[to] = t;
            c->weights_of[to] = bag->weights[i];
        }
    }
    /* Each start is now its end. */
    memmove(c->starts + 1, c->starts, c->slot_count * sizeof *c->starts);
    c->starts[0] = 0;
    for (uint32_t s = 0; s < c->slot_count; s++) c->slot_of[c->rows[s]] = 0;
}

static void compare_block(struct contrast *c, size_t begin, size_t end)
{
    size_t n = c->batch_pairs, dim = c->dim;
    float *block = c->similar + begin * n;
    med_blas_sgemm(false, true, end - begin, n, dim, 1 / TEMPERATURE, c->texts + begin * dim, dim,
        c->texts + n * dim, dim, 0, block, n);
    for (size_t i = begin; i < end; i++) {
        float sum = 0;
        for (size_t j = 0; j < n; j++) sum += c->similar[i * n + j] = expf(c->similar[i * n + j]);
        c->row_sums[i] = sum;
    }
}

/* Piece 0 turns the batch around, which needs no similarities; each other one is a block of them.
 */
static enum med_code compare_pairs(
    void *ctx, unsigned worker, uint64_t begin, uint64_t end, struct med_err *err)
{
    (void)worker;
    (void)err;
    struct contrast *c = ctx;
    for (uint64_t piece = begin; piece < end; piece++) {
        size_t from = (piece - 1) * BLOCK_PAIRS, to = from + BLOCK_PAIRS;
        if (piece == 0)
            turn_around(c);
        else
            compare_block(c, from, to < c->batch_pairs ? to : c->batch_pairs);
    }
    return MED_OK;
}

/* --- backward --- */

/* From the gradient of a normalised text to that of the sum it came from. */
static void through_norm(struct contrast *c, size_t text)
{
    const float *v = c->texts + text * c->dim;
    float *g = c->gradients + text * c->dim;
    float along = c->kernels->dot(g, v, c->dim);
    float scale = c->lengths[text] > 0 ? 1 / c->lengths[text] : 0;
    for (uint32_t d = 0; d < c->dim; d++) g[d] = (g[d] - along * v[d]) * scale;
}

static enum med_code query_gradients(
    void *ctx, unsigned worker, uint64_t begin, uint64_t end, struct med_err *err)
{
    (void)worker;
    (void)err;
    struct contrast *c = ctx;
    size_t n = c->batch_pairs, dim = c->dim;
    float scale = 0.5f / ((float)n * TEMPERATURE);
    for (uint64_t i = begin; i < end; i++) {
        float *row = c->similar + i * n, by_row = 1 / c->row_sums[i];
        for (size_t j = 0; j < n; j++) row[j] *= (by_row + 1 / c->column_sums[j]) * scale;
        row[i] -= 2 * scale;
    }
    med_blas_sgemm(false, false, end - begin, dim, n, 1, c->similar + begin * n, n,
        c->texts + n * dim, dim, 0, c->gradients + begin * dim, dim);
    for (uint64_t i = begin; i < end; i++) through_norm(c, i);
    return MED_OK;
}

static enum med_code target_gradients(
    void *ctx, unsigned worker, uint64_t begin, uint64_t end, struct med_err *err)
{
    (void)worker;
    (void)err;
    struct contrast *c = ctx;
    size_t n = c->batch_pairs, dim = c->dim;
    med_blas_sgemm(true, false, end - begin, dim, n, 1, c->similar + begin, n, c->texts, dim, 0,
        c->gradients + (n + begin) * dim, dim);
    for (uint64_t i = begin; i < end; i++) through_norm(c, n + i);
    return MED_OK;
}

static enum med_code step_terms(
    void *ctx, unsigned worker, uint64_t begin, uint64_t end, struct med_err *err)
{
    (void)err;
    struct contrast *c = ctx;
    float *gradient = c->scratch + (size_t)worker * c->dim;
    for (uint64_t s = begin; s < end; s++) {
        uint32_t from = c->starts[s], count = c->starts[s + 1] - from;
        memset(gradient, 0, c->dim * sizeof *gradient);
        c->kernels->add_float_rows(
            c->gradients, c->dim, c->texts_of + from, c->weights_of + from, count, gradient);
        size_t row = (size_t)c->rows[s] * c->dim;
        c->kernels->adam(
            c->vectors + row, c->first + row, c->second + row, gradient, c->dim, &c->step);
    }
    return MED_OK;
}

static void sum_columns(const float *restrict similar, size_t n, float *restrict sums)
{
    memset(sums, 0, n * sizeof *sums);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) sums[j] += similar[i * n + j];
}

static enum med_code train_batch(struct contrast *c, struct med_err *err)
{
    struct med_team *team = c->team;
    uint64_t n = c->batch_pairs, blocks = (n + BLOCK_PAIRS - 1) / BLOCK_PAIRS;
    enum med_code code = med_team_for(team, n, 8, encode_pairs, c, err);
    if (code == MED_OK) code = med_team_for(team, 1 + blocks, 1, compare_pairs, c, err);
    if (code != MED_OK) return code;
    sum_columns(c->similar, n, c->column_sums);
    code = med_team_for(team, n, BLOCK_PAIRS, query_gradients, c, err);
    if (code == MED_OK) code = med_team_for(team, n, BLOCK_PAIRS, target_gradients, c, err);
    if (code == MED_OK) code = med_team_for(team, c->slot_count, 64, step_terms, c, err);
    return code;
}

/* --- the schedule --- */

static struct med_adam adam_step(uint64_t step, uint64_t steps)
{
    double done = (double)step / (double)steps;
    double peak = RATE * fmin(fmax(1, (double)steps / RATE_BATCHES), RATE_MAX / RATE);
    double rate = peak * fmin(1, done / WARM_UP) * fmax(RATE_FLOOR, 1 - done);
    return (struct med_adam){
        .rate = (float)(rate / (1 - pow(BETA1, (double)step))),
        .beta1 = (float)BETA1,
        .beta2 = (float)BETA2,
        .second_scale = (float)(1 / (1 - pow(BETA2, (double)step))),
    };
}

static void shuffle(uint64_t *pairs, uint64_t count, uint64_t seed)
{
    struct med_rng rng;
    med_rng_seed(&rng, seed);
    for (uint64_t i = count; i > 1; i--) {
        uint64_t j = med_rng_below(&rng, i), swap = pairs[i - 1];
        pairs[i - 1] = pairs[j];
        pairs[j] = swap;
    }
}

static enum med_code train_epochs(
    struct contrast *c, const struct med_progress *progress, struct med_err *err)
{
    uint64_t epochs = PAIRS_PER_TRAINING_MAX / c->pair_count;
    if (epochs > EPOCHS_MAX) epochs = EPOCHS_MAX;
    if (epochs < EPOCHS_MIN) epochs = EPOCHS_MIN;
    uint64_t size = c->pair_count < PAIRS_MAX ? c->pair_count : PAIRS_MAX;
    uint64_t batches = c->pair_count / size, step = 0; /* an epoch's remainder waits for the next */
    for (c->epoch = 0; c->epoch < epochs; c->epoch++) {
        shuffle(c->pairs, c->pair_count, mix(c->seed, c->epoch));
        for (uint64_t b = 0; b < batches; b++) {
            c->batch = c->pairs + b * size;
            c->batch_pairs = (uint32_t)size;
            c->step = adam_step(++step, epochs * batches);
            enum med_code code = train_batch(c, err);
            if (code != MED_OK) return code;
            if (!med_progress(progress, "train", step, epochs * batches, "batches"))
                return med_fail(err, MED_E_CANCELLED, "training was stopped");
        }
    }
    return MED_OK;
}

static float *table_of_zeros(size_t cells)
{
    float *table = med_table_alloc(cells * sizeof *table);
    if (table) memset(table, 0, cells * sizeof *table);
    return table;
}

static bool contrast_alloc(struct contrast *c)
{
    size_t rows = c->set->row_count, dim = c->dim;
    /* A text has at most as many different terms as a bag holds. */
    size_t occurrences = (size_t)TEXTS_MAX * CORPUS_BAG_TEXT_MAX;
    size_t slots = rows < occurrences ? rows : occurrences;
    size_t cells;
    if (!med_size_mul(rows, dim, &cells)) return false;
    c->first = table_of_zeros(cells);
    c->second = table_of_zeros(cells);
    c->bags = med_realloc_array(NULL, TEXTS_MAX, sizeof *c->bags);
    c->texts = med_realloc_array(NULL, TEXTS_MAX * dim, sizeof(float));
    c->gradients = med_realloc_array(NULL, TEXTS_MAX * dim, sizeof(float));
    c->lengths = med_realloc_array(NULL, TEXTS_MAX, sizeof(float));
    c->similar = med_realloc_array(NULL, (size_t)PAIRS_MAX * PAIRS_MAX, sizeof(float));
    c->row_sums = med_realloc_array(NULL, PAIRS_MAX, sizeof(float));
    c->column_sums = med_realloc_array(NULL, PAIRS_MAX, sizeof(float));
    c->slot_of = med_calloc(rows, sizeof *c->slot_of);
    c->rows = med_realloc_array(NULL, slots, sizeof *c->rows);
    c->starts = med_realloc_array(NULL, slots + 1, sizeof *c->starts);
    c->texts_of = med_realloc_array(NULL, occurrences, sizeof *c->texts_of);
    c->weights_of = med_realloc_array(NULL, occurrences, sizeof *c->weights_of);
    c->scratch = med_realloc_array(NULL, c->threads * dim, sizeof(float));
    return c->first && c->second && c->bags && c->texts && c->gradients && c->lengths &&
           c->similar && c->row_sums && c->column_sums && c->slot_of && c->rows && c->starts &&
           c->texts_of && c->weights_of && c->scratch;
}

static void contrast_free(struct contrast *c)
{
    void *all[] = {c->first, c->second, c->pairs, c->bags, c->texts, c->gradients, c->lengths,
        c->similar, c->row_sums, c->column_sums, c->slot_of, c->rows, c->starts, c->texts_of,
        c->weights_of, c->scratch};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) med_free(all[i]);
}

enum med_code corpus_contrast(const struct corpus_set *set, uint32_t dim, uint64_t seed,
    unsigned threads, const struct med_progress *progress, float *vectors, struct med_err *err)
{
    struct contrast c = {
        .set = set,
        .kernels = med_corpus_kernels(med_cpu_level()),
        .threads = threads,
        .dim = dim,
        .seed = seed,
        .vectors = vectors,
    };
    enum med_code code = list_pairs(&c, err);
    /* Nothing to contrast (one-line records without titles): the SVD's vectors stay. */
    if (code != MED_OK || c.pair_count < 2) goto out;
    if (!contrast_alloc(&c)) {
        code = med_fail(err, MED_E_NOMEM, "out of memory training %u term vectors", set->row_count);
        goto out;
    }
    code = med_team_new(threads, &c.team, err);
    if (code == MED_OK) code = train_epochs(&c, progress, err);
out:
    med_team_free(&c.team);
    contrast_free(&c);
    return code;
}

/* --- all stages --- */

static uint32_t round_up(uint32_t value)
{
    return (value + MED_CORPUS_LANES - 1) / MED_CORPUS_LANES * MED_CORPUS_LANES;
}

static uint32_t dim_for(const struct corpus_set *set, uint32_t wanted)
{
    uint64_t dim = set->passage_count / PASSAGES_PER_DIM;
    if (dim < DIM_SMALL) dim = DIM_SMALL;
    if (dim > set->passage_count) dim = set->passage_count;
    if (dim > set->row_count) dim = set->row_count;
    return round_up(dim < wanted ? (uint32_t)dim : wanted);
}

/* The peaks: while vectors are trained they have Adam's two moments beside them; while the SVD runs
 * there are both products and the matrix twice. Beside that the tables of prepare, the sample of
 * the caller, and blocks whose size depends on nothing. */
bool med_train_fit(uint64_t bytes, uint32_t dim, unsigned threads,
    const struct med_train_size *size, struct med_train_bounds *ret_bounds)
{
    uint64_t width = round_up(dim ? dim : MED_DIM_DEFAULT) + 16;
    uint64_t term_svd = 4 * width, term_train = 12 * width;
    double text = TOKEN_BYTES * size->passage_tokens; /* sample and matrix */
    uint64_t passage = (uint64_t)text + 4 * width + PASSAGE_BYTES;
    uint64_t fixed = (uint64_t)size->vocab * VOCAB_BYTES + width * width * 144 +
                     threads * width * 4096 + TEXTS_MAX * (sizeof(struct corpus_bag) + 16 * width) +
                     8ull * TEXTS_MAX * CORPUS_BAG_TEXT_MAX;
    uint64_t left = bytes > fixed ? bytes - fixed : 0;
    uint64_t terms = left / term_train, passages_max = size->passages;
    if (terms > size->vocab) terms = size->vocab;
    if (terms > MED_ENCODER_VOCAB_MAX) terms = MED_ENCODER_VOCAB_MAX;
    if (passages_max > MED_TRAIN_PASSAGES_MAX) passages_max = MED_TRAIN_PASSAGES_MAX;
    /* While the vectors are trained the sample is there as well. */
    uint64_t passages = (left - terms * term_svd) / passage;
    if (passages > passages_max) passages = passages_max;
    uint64_t beside = passages * (uint64_t)(SAMPLE_BYTES * size->passage_tokens + PASSAGE_BYTES);
    if (terms * term_train + beside > left) terms = (left - beside) / term_train;
    *ret_bounds =
        (struct med_train_bounds){.passages = (uint32_t)passages, .terms = (uint32_t)terms};
    return (passages == passages_max || passages >= MED_TRAIN_PASSAGES_MIN) &&
           (terms == size->vocab || terms >= MED_ENCODER_VOCAB_MIN);
}

enum med_code med_corpus_train(const struct med_train_corpus *corpus,
    const struct med_train_options *options, struct med_corpus_encoder **ret_encoder,
    struct med_err *err)
{
    uint32_t dim = options->dim ? options->dim : MED_DIM_DEFAULT;
    if (dim > CORPUS_DIM_MAX)
        return med_fail(err, MED_E_LIMIT, "the corpus encoder has at most %u dimensions, not %u",
            CORPUS_DIM_MAX, dim);
    unsigned threads = options->threads ? options->threads : med_cpu_count();
    if (threads > THREADS_MAX) threads = THREADS_MAX;
    struct corpus_set set = {0};
    float *vectors = NULL;
    uint8_t *image = NULL;
    size_t image_len;
    struct med_train_bounds bounds = options->bounds;
    if (!bounds.passages) bounds.passages = MED_TRAIN_PASSAGES_MAX;
    if (!bounds.terms) bounds.terms = MED_ENCODER_VOCAB_MAX;
    enum med_code code = corpus_prepare(corpus, options->seed, bounds, &set, err);
    if (code != MED_OK) goto out;
    dim = dim_for(&set, dim);
    code = corpus_svd(&set, dim, options->seed, threads, options->progress, &vectors, err);
    if (code != MED_OK) goto out;
    code = corpus_contrast(&set, dim, options->seed, threads, options->progress, vectors, err);
    if (code != MED_OK) goto out;
    code = corpus_smooth(&set, dim, threads, vectors, err);
    if (code != MED_OK) goto out;
    code = corpus_image(&set, dim, vectors, options->seed, &image, &image_len, err);
    if (code != MED_OK) goto out;
    code = corpus_adopt(&image, image_len, ret_encoder, err);
out:
    corpus_set_free(&set);
    med_free(vectors);
    med_free(image);
    return code;
}

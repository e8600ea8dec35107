/* What training sees of a corpus: passages of at most CORPUS_PASSAGE_TOKENS_MAX tokens made of
 * units (sentences), and a row for each term worth one. Nothing is copied but offsets; tokens stay
 * the caller's. */
#include "embed/corpus_internal.h"

#include "common/mem.h"
#include "common/rng.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* --- units and passages --- */

static bool add_unit(struct corpus_set *set, uint64_t begin, uint32_t count)
{
    if (!med_grow(&set->units, &set->units_cap, set->unit_count + 1, sizeof *set->units))
        return false;
    set->units[set->unit_count++] =
        (struct corpus_unit){.token_begin = begin, .token_count = count};
    return true;
}

/* One sentence: joined to the unit before it when short, cut into equal pieces when long. */
static bool add_sentence(struct corpus_set *set, size_t first_unit, uint64_t begin, uint64_t count)
{
    if (count == 0) return true;
    if (set->unit_count > first_unit && count < CORPUS_SENTENCE_TOKENS_MIN) {
        struct corpus_unit *last = &set->units[set->unit_count - 1];
        if (last->token_count + count <= CORPUS_SENTENCE_TOKENS_MAX) {
            last->token_count += (uint32_t)count;
            return true;
        }
    }
    if (count <= CORPUS_SENTENCE_TOKENS_MAX) return add_unit(set, begin, (uint32_t)count);
    uint64_t pieces = (count + CORPUS_SENTENCE_TOKENS_CUT - 1) / CORPUS_SENTENCE_TOKENS_CUT;
    uint64_t piece = (count + pieces - 1) / pieces;
    for (uint64_t at = 0; at < count; at += piece) {
        uint64_t rest = count - at;
        if (!add_unit(set, begin + at, (uint32_t)(rest < piece ? rest : piece))) return false;
    }
    return true;
}

/* Cuts a document's units into passages of about equal length. */
static bool add_passages(
    struct corpus_set *set, size_t first_unit, uint64_t title_begin, uint32_t title_count)
{
    uint64_t total = 0;
    for (size_t u = first_unit; u < set->unit_count; u++) total += set->units[u].token_count;
    if (total == 0) return true;
    uint64_t pieces = (total + CORPUS_PASSAGE_TOKENS_MAX - 1) / CORPUS_PASSAGE_TOKENS_MAX;
    uint64_t target = pieces == 1 ? CORPUS_PASSAGE_TOKENS_MAX : (total + pieces - 1) / pieces + 20;
    if (target > CORPUS_PASSAGE_TOKENS_MAX) target = CORPUS_PASSAGE_TOKENS_MAX;
    for (size_t u = first_unit; u < set->unit_count;) {
        struct corpus_passage passage = {
            .unit_begin = u,
            .token_begin = set->units[u].token_begin,
            .title_begin = title_begin,
            .title_count = title_count,
        };
        do {
            passage.token_count += set->units[u].token_count;
            passage.unit_count++;
            u++;
        } while (u < set->unit_count && passage.token_count + set->units[u].token_count <= target);
        if (!med_grow(
                &set->passages, &set->passages_cap, set->passage_count + 1, sizeof *set->passages))
            return false;
        set->passages[set->passage_count++] = passage;
    }
    return true;
}

static enum med_code cut_documents(struct corpus_set *set, struct med_err *err)
{
    const struct med_train_corpus *corpus = set->corpus;
    for (uint32_t d = 0; d < corpus->doc_count; d++) {
        uint64_t sentence = corpus->doc_starts[d], end = corpus->doc_starts[d + 1];
        assert(sentence <= end && end <= corpus->sentence_count);
        if (sentence == end) continue;
        uint64_t title_begin = corpus->sentence_starts[sentence];
        uint64_t title_count = corpus->sentence_starts[sentence + 1] - title_begin;
        if (title_count > CORPUS_PASSAGE_TOKENS_MAX) title_count = CORPUS_PASSAGE_TOKENS_MAX;
        size_t first_unit = set->unit_count;
        for (sentence++; sentence < end; sentence++) {
            uint64_t begin = corpus->sentence_starts[sentence];
            uint64_t stop = corpus->sentence_starts[sentence + 1];
            assert(begin <= stop);
            if (!add_sentence(set, first_unit, begin, stop - begin)) goto nomem;
        }
        if (!add_passages(set, first_unit, title_begin, (uint32_t)title_count)) goto nomem;
    }
    return MED_OK;
nomem:
    return med_fail(
        err, MED_E_NOMEM, "out of memory preparing %u documents for training", corpus->doc_count);
}

/* Keeps a random `wanted` of the passages, in their order (selection sampling, Knuth 3.4.2 S). */
static void sample_passages(struct corpus_set *set, uint64_t seed, size_t wanted)
{
    if (set->passage_count <= wanted) return;
    struct med_rng rng;
    med_rng_seed(&rng, seed);
    size_t kept = 0;
    for (size_t i = 0; kept < wanted; i++) {
        uint64_t left = set->passage_count - i;
        if (med_rng_below(&rng, left) < wanted - kept) set->passages[kept++] = set->passages[i];
    }
    set->passage_count = kept;
}

/* --- terms --- */

/* Calls for each token of the passage, title included. */
static void count_terms(const struct corpus_set *set, const struct corpus_passage *passage,
    uint32_t number, uint32_t *seen, uint32_t *df)
{
    const uint32_t *tokens = set->corpus->tokens;
    for (uint32_t i = 0; i < passage->token_count + passage->title_count; i++) {
        uint32_t id = i < passage->token_count
                          ? tokens[passage->token_begin + i]
                          : tokens[passage->title_begin + (i - passage->token_count)];
        if (seen[id] == number) continue;
        seen[id] = number;
        df[id]++;
    }
}

/* The df from which on terms get a row, so that at most `wanted` do; *ret_room = how many of that
 * very df still do. */
static uint32_t df_threshold(
    const uint32_t *df, uint32_t count, uint64_t wanted, uint64_t *ret_room)
{
    /* Higher counts share the last one: 255 occurrences each, they cannot exceed the maximum. */
    uint64_t with_df[256] = {0};
    for (uint32_t id = 0; id < count; id++) with_df[df[id] < 255 ? df[id] : 255]++;
    uint64_t kept = 0;
    for (uint32_t threshold = 255; threshold > 1; threshold--) {
        if (kept + with_df[threshold] > wanted) {
            *ret_room = wanted - kept;
            return threshold;
        }
        kept += with_df[threshold];
    }
    *ret_room = wanted > kept ? wanted - kept : 0;
    return 1;
}

static enum med_code choose_terms(struct corpus_set *set, uint64_t wanted, struct med_err *err)
{
    const struct med_train_corpus *corpus = set->corpus;
    uint32_t count = med_vocab_count(corpus->vocab);
    uint32_t *df = med_calloc(count, sizeof *df), *seen = med_calloc(count, sizeof *seen);
    set->row_of = med_realloc_array(NULL, count, sizeof *set->row_of);
    set->term_of = med_realloc_array(NULL, count, sizeof *set->term_of);
    set->idf = med_realloc_array(NULL, count, sizeof *set->idf);
    enum med_code code = MED_OK;
    if (!df || !seen || !set->row_of || !set->term_of || !set->idf) {
        code = med_fail(err, MED_E_NOMEM, "out of memory choosing among %u terms", count);
        goto out;
    }
    for (size_t p = 0; p < set->passage_count; p++)
        count_terms(set, &set->passages[p], (uint32_t)p + 1, seen, df);
    /* A caller's statistics that do not cover its own sample would make weights negative. */
    uint64_t total = corpus->passage_count;
    if (total < set->passage_count) total = set->passage_count;
    uint64_t room;
    uint32_t threshold = df_threshold(df, count, wanted, &room);
    for (uint32_t id = 0; id < count; id++) {
        set->row_of[id] = MED_NO_TERM;
        if (df[id] < threshold || med_vocab_term(corpus->vocab, id).len > MED_TERM_BYTES_MAX)
            continue;
        if (df[id] == threshold && threshold < 255) {
            if (room == 0) continue;
            room--;
        }
        double corpus_df = corpus->df[id] > df[id] ? corpus->df[id] : df[id];
        double idf = log(((double)total + 1) / (corpus_df + 0.5));
        if (!(idf > 0)) continue;
        set->row_of[id] = set->row_count;
        set->term_of[set->row_count] = id;
        set->idf[set->row_count++] = (float)idf;
    }
out:
    med_free(df);
    med_free(seen);
    return code;
}

enum med_code corpus_prepare(const struct med_train_corpus *corpus, uint64_t seed,
    struct med_train_bounds bounds, struct corpus_set *ret_set, struct med_err *err)
{
    struct corpus_set set = {.corpus = corpus};
    enum med_code code = cut_documents(&set, err);
    if (code == MED_OK) {
        sample_passages(&set, seed, bounds.passages);
        code = choose_terms(&set, bounds.terms, err);
    }
    if (code == MED_OK && (set.passage_count < 2 || set.row_count < 2)) {
        code = med_fail(err, MED_E_UNSUPPORTED,
            "too little text to learn an encoder from: %zu passages, %u terms", set.passage_count,
            set.row_count);
    }
    if (code != MED_OK) {
        corpus_set_free(&set);
        return code;
    }
    *ret_set = set;
    return MED_OK;
}

void corpus_set_free(struct corpus_set *set)
{
    med_free(set->units);
    med_free(set->passages);
    med_free(set->row_of);
    med_free(set->term_of);
    med_free(set->idf);
    *set = (struct corpus_set){0};
}

/* --- bags --- */

#define BAG_SLOTS (sizeof((struct corpus_bag *)0)->slots / sizeof(uint16_t))
_Static_assert(BAG_SLOTS >= CORPUS_BAG_TEXT_MAX * 3 / 2, "the bag's table must not fill up");

void corpus_bag_clear(struct corpus_bag *bag)
{
    bag->count = 0;
    memset(bag->slots, 0, sizeof bag->slots);
}

static void bag_add_row(struct corpus_bag *bag, uint32_t row)
{
    uint32_t slot = row * 2654435761u >> 8;
    for (;; slot++) {
        uint16_t *at = &bag->slots[slot % BAG_SLOTS];
        if (*at == 0) {
            if (bag->count == CORPUS_BAG_TEXT_MAX) return;
            bag->rows[bag->count] = row;
            bag->weights[bag->count] = 1;
            *at = (uint16_t)++bag->count;
            return;
        }
        if (bag->rows[*at - 1] == row) {
            bag->weights[*at - 1] += 1;
            return;
        }
    }
}

void corpus_bag_add(struct corpus_bag *bag, const struct corpus_set *set, uint64_t token_begin,
    uint32_t token_count)
{
    for (uint32_t i = 0; i < token_count; i++) {
        uint32_t row = set->row_of[set->corpus->tokens[token_begin + i]];
        if (row != MED_NO_TERM) bag_add_row(bag, row);
    }
}

void corpus_bag_weigh(struct corpus_bag *bag, const struct corpus_set *set)
{
    for (uint32_t i = 0; i < bag->count; i++)
        bag->weights[i] = med_corpus_tf_weight(bag->weights[i]) * set->idf[bag->rows[i]];
}

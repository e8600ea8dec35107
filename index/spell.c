/* Spelling. See spell.h. */
#include "index/spell.h"

#include "common/mem.h"

#define WORD_BYTES_MAX 64u

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

unsigned spell_distance(struct med_str a, struct med_str b, unsigned cap)
{
    unsigned rows[3][WORD_BYTES_MAX + 1];
    size_t difference = a.len > b.len ? a.len - b.len : b.len - a.len;
    if (a.len > WORD_BYTES_MAX || b.len > WORD_BYTES_MAX || difference >= cap) return cap;
    for (size_t j = 0; j <= b.len; j++) rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= a.len; i++) {
        unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        unsigned least = row[0] = (unsigned)i;
        for (size_t j = 1; j <= b.len; j++) {
            char x = lower(a.ptr[i - 1]), y = lower(b.ptr[j - 1]);
            unsigned best = above[j - 1] + (x != y);
            if (above[j] + 1 < best) best = above[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            if (i > 1 && j > 1 && x == lower(b.ptr[j - 2]) && lower(a.ptr[i - 2]) == y &&
                before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
            if (best < least) least = best;
        }
        if (least >= cap) return cap;
    }
    unsigned d = rows[a.len % 3][b.len];
    return d < cap ? d : cap;
}

/* --- suggestions --- */

#define WORD_BYTES_MIN 4u
#define LONG_WORD_BYTES 7u
#define SAMPLE_DOCS 5u

struct correction {
    size_t start, end; /* in the query */
    struct med_str term, word;
    uint64_t df;
    unsigned distance;
};

struct speller {
    const struct med_index *index;
    struct med_searcher *searcher;
    struct med_arena *arena;
    struct med_str query;
    struct correction found[MED_SPELL_WORDS_MAX];
    size_t found_count;
};

static enum med_code out_of_memory(struct med_err *err)
{
    return med_fail(err, MED_E_NOMEM, "the search needs more memory than one request may use");
}

static bool is_word(struct med_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (lower(s.ptr[i]) < 'a' || lower(s.ptr[i]) > 'z') return false;
    }
    return s.len >= WORD_BYTES_MIN && s.len <= WORD_BYTES_MAX;
}

static uint64_t frequency(const struct med_index *x, struct med_str term)
{
    uint64_t sum = 0;
    for (uint32_t s = 0; s < x->segment_count; s++) {
        uint32_t ordinal, df;
        if (med_segment_find(x->segments[s], term, &ordinal, &df)) sum += df;
    }
    return sum;
}

/* Keeps the candidate when it is nearer than the best, or as near and more frequent, or both and
 * first by its bytes: the order in which segments offer their terms decides nothing. */
static enum med_code consider(struct speller *k, struct med_str typed, uint64_t typed_df,
    struct med_str candidate, unsigned cap, struct correction *best, struct med_err *err)
{
    unsigned limit = best->term.len ? best->distance + 1 : cap + 1;
    unsigned d = spell_distance(typed, candidate, limit);
    if (d == 0 || d >= limit) return MED_OK;
    uint64_t df = frequency(k->index, candidate);
    if (df < MED_SPELL_RATIO_MIN * typed_df || df < (d > 1 ? MED_SPELL_FAR_DF_MIN : 1))
        return MED_OK;
    bool tie = best->term.len && d == best->distance;
    if (tie && df < best->df) return MED_OK;
    if (tie && df == best->df && med_str_cmp(candidate, best->term) >= 0) return MED_OK;
    if (!med_arena_str(k->arena, candidate, &best->term)) return out_of_memory(err);
    best->df = df;
    best->distance = d;
    return MED_OK;
}

/* A walk along the lexicon with the rows of spell_distance's table for the term at hand. The next
 * term keeps the rows of the beginning that both have; a row whose least value is too much rules
 * out every term that begins so (Wang, Feng and Li, "Trie-Join", 2010). */
struct scan {
    struct speller *speller;
    struct med_str typed;
    uint64_t typed_df;
    unsigned cap;
    struct correction *best;
    char term[WORD_BYTES_MAX];
    size_t depth; /* rows that are right, of `term` */
    uint8_t rows[WORD_BYTES_MAX + 1][WORD_BYTES_MAX + 1];
};

/* The row of the term's byte number `depth`, and its least value. */
static unsigned fill_row(struct scan *scan, size_t depth)
{
    struct med_str typed = scan->typed;
    const char *term = scan->term;
    uint8_t *row = scan->rows[depth], *above = scan->rows[depth - 1];
    unsigned least = row[0] = (uint8_t)depth;
    for (size_t j = 1; j <= typed.len; j++) {
        char x = term[depth - 1], y = lower(typed.ptr[j - 1]);
        unsigned best = above[j - 1] + (x != y);
        if (above[j] + 1u < best) best = above[j] + 1u;
        if (row[j - 1] + 1u < best) best = row[j - 1] + 1u;
        if (depth > 1 && j > 1 && x == lower(typed.ptr[j - 2]) && term[depth - 2] == y &&
            scan->rows[depth - 2][j - 2] + 1u < best)
            best = scan->rows[depth - 2][j - 2] + 1u;
        row[j] = (uint8_t)best;
        if (best < least) least = best;
    }
    return least;
}

static enum med_code offered(void *ctx, struct med_str term, size_t *ret_dead, struct med_err *err)
{
    struct scan *scan = ctx;
    unsigned limit = scan->best->term.len ? scan->best->distance + 1 : scan->cap + 1;
    size_t common = 0;
    while (
        common < scan->depth && common < term.len && scan->term[common] == lower(term.ptr[common]))
        common++;
    scan->depth = common;
    for (size_t i = common; i < term.len; i++) {
        char c = lower(term.ptr[i]);
        bool letter = i < WORD_BYTES_MAX && c >= 'a' && c <= 'z';
        if (letter) scan->term[i] = c;
        if (!letter || fill_row(scan, i + 1) >= limit) {
            *ret_dead = i + 1;
            return MED_OK;
        }
        scan->depth = i + 1;
    }
    if (!is_word(term) || scan->rows[term.len][scan->typed.len] >= limit) return MED_OK;
    return consider(scan->speller, scan->typed, scan->typed_df, term, scan->cap, scan->best, err);
}

/* Terms of a lexicon that begin with the same letter. */
static enum med_code scan(struct speller *k, const struct med_lex *lex, struct med_str typed,
    uint64_t typed_df, unsigned cap, struct correction *best, struct med_err *err)
{
    struct scan scan = {
        .speller = k, .typed = typed, .typed_df = typed_df, .cap = cap, .best = best};
    for (size_t j = 0; j <= typed.len; j++) scan.rows[0][j] = (uint8_t)j;
    return med_lex_scan(lex, med_str_sub(typed, 0, 1), offered, &scan, err);
}

/* What the scan does not see: a wrong first letter that is one too many, or swapped. */
static enum med_code try_beginnings(struct speller *k, struct med_str typed, uint64_t typed_df,
    unsigned cap, struct correction *best, struct med_err *err)
{
    char swapped[WORD_BYTES_MAX];
    memcpy(swapped, typed.ptr, typed.len);
    swapped[0] = typed.ptr[1];
    swapped[1] = typed.ptr[0];
    struct med_str with_swap = {.ptr = swapped, .len = typed.len};
    enum med_code code =
        consider(k, typed, typed_df, med_str_sub(typed, 1, typed.len), cap, best, err);
    return code ? code : consider(k, typed, typed_df, with_swap, cap, best, err);
}

/* The word of the text whose stem is the term and that is nearest to what was typed. */
static enum med_code nearest_surface(struct speller *k, struct med_str text,
    struct med_str typed_word, struct correction *c, unsigned *best, struct med_err *err)
{
    const struct med_token *tokens;
    size_t count;
    enum med_code code = med_analyze(k->searcher->analyzer, text, &tokens, &count, err);
    for (size_t i = 0; !code && i < count; i++) {
        struct med_str word = med_str_sub(text, tokens[i].start, tokens[i].end);
        if (!med_str_eq(tokens[i].term, c->term) || !is_word(word)) continue;
        unsigned d = spell_distance(typed_word, word, WORD_BYTES_MAX);
        if (d >= *best) continue;
        *best = d;
        char *copy = med_arena_strndup(k->arena, word.ptr, word.len);
        if (!copy) return out_of_memory(err);
        for (size_t b = 0; b < word.len; b++) copy[b] = lower(copy[b]);
        c->word = (struct med_str){.ptr = copy, .len = word.len};
    }
    return code;
}

/* --- documents that write a stem out --- */

struct sample {
    const struct med_segment *segment;
    struct med_hit hit;
};

static bool comes_before(const struct sample *a, const struct sample *b)
{
    if (a->hit.score != b->hit.score) return a->hit.score > b->hit.score;
    if (a->segment == b->segment) return a->hit.chunk < b->hit.chunk;
    return med_str_cmp(med_segment_doc_id(a->segment, a->segment->chunk_doc[a->hit.chunk]),
               med_segment_doc_id(b->segment, b->segment->chunk_doc[b->hit.chunk])) < 0;
}

/* The few documents that say most about the stem, best first, over all segments. */
static enum med_code sample_documents(struct speller *k, struct med_str stem,
    struct sample samples[SAMPLE_DOCS], size_t *ret_count, struct med_err *err)
{
    size_t kept = 0;
    for (uint32_t s = 0; s < k->index->segment_count; s++) {
        const struct med_segment *segment = k->index->segments[s];
        struct med_hit hits[SAMPLE_DOCS];
        struct med_lex_term term = {.weight = 1};
        size_t count = 0;
        if (!med_segment_find(segment, stem, &term.ordinal, NULL)) continue;
        struct med_lex_query q = {.terms = &term,
            .term_count = 1,
            .k1 = MED_BM25_K1_DEFAULT,
            .b = MED_BM25_B_DEFAULT,
            .avg_len = 100};
        enum med_code code = med_lex_search(segment->lex, k->searcher->scratch, &q,
            segment->live_chunks, segment->chunk_doc, SAMPLE_DOCS, hits, &count, err);
        if (code) return code;
        for (size_t i = 0; i < count; i++) {
            struct sample fresh = {.segment = segment, .hit = hits[i]};
            size_t at = kept < SAMPLE_DOCS ? kept++ : SAMPLE_DOCS;
            for (; at > 0 && comes_before(&fresh, &samples[at - 1]); at--)
                if (at < SAMPLE_DOCS) samples[at] = samples[at - 1];
            if (at < SAMPLE_DOCS) samples[at] = fresh;
        }
    }
    *ret_count = kept;
    return MED_OK;
}

/* The nearest word of one document. */
static enum med_code read_sample(struct speller *k, struct med_snapshot *snapshot,
    struct med_arena *scratch, const struct sample *sample, struct med_str typed_word,
    struct correction *c, unsigned *best, struct med_err *err)
{
    struct med_doc *doc;
    struct med_text *text;
    uint32_t d = sample->segment->chunk_doc[sample->hit.chunk];
    med_arena_reset(scratch);
    enum med_code code = med_snapshot_get_version(snapshot, med_segment_doc_id(sample->segment, d),
        sample->segment->docs[d].version, scratch, &doc, err);
    if (!code) code = med_text_make(doc, scratch, &text, err);
    if (!code) code = nearest_surface(k, text->bytes, typed_word, c, best, err);
    for (size_t m = 0; !code && m < doc->mesh_count; m++)
        code = nearest_surface(k, doc->mesh[m].descriptor, typed_word, c, best, err);
    for (size_t m = 0; !code && m < doc->keyword_count; m++)
        code = nearest_surface(k, doc->keywords[m], typed_word, c, best, err);
    for (size_t m = 0; !code && m < doc->chemical_count; m++)
        code = nearest_surface(k, doc->chemicals[m], typed_word, c, best, err);
    return code;
}

/* Reads a few documents with the stem. A word that is further away than its stem promised (another
 * ending) is none. */
static enum med_code find_surface(struct speller *k, struct med_str typed_word, unsigned cap,
    struct correction *c, struct med_err *err)
{
    struct med_snapshot *snapshot = NULL;
    struct med_arena *scratch = NULL;
    struct sample samples[SAMPLE_DOCS];
    size_t count = 0;
    unsigned best = cap + 2;
    enum med_code code = sample_documents(k, c->term, samples, &count, err);
    if (!code) code = med_snapshot_open(k->index->store, &snapshot, err);
    if (!code) code = med_arena_new(MED_DOC_ARENA_BYTES_MAX, &scratch, err);
    for (size_t i = 0; !code && i < count; i++)
        code = read_sample(k, snapshot, scratch, &samples[i], typed_word, c, &best, err);
    med_arena_free(&scratch);
    if (snapshot) med_snapshot_close(&snapshot);
    return code;
}

static enum med_code correct(
    struct speller *k, struct med_str term, size_t start, size_t end, struct med_err *err)
{
    uint64_t df = frequency(k->index, term);
    bool rare = df <= MED_SPELL_RARE_DF_MAX &&
                k->index->stats.chunk_count >= MED_SPELL_RATIO_MIN * (df + 1);
    if (df && !rare) return MED_OK;
    struct correction c = {.start = start, .end = end};
    unsigned cap = end - start >= LONG_WORD_BYTES ? 2 : 1;
    enum med_code code = try_beginnings(k, term, df, cap, &c, err);
    for (uint32_t s = 0; !code && s < k->index->segment_count; s++)
        code = scan(k, k->index->segments[s]->lex, term, df, cap, &c, err);
    if (!code && c.term.len)
        code = find_surface(k, med_str_sub(k->query, start, end), cap, &c, err);
    if (!code && c.word.len) k->found[k->found_count++] = c;
    return code;
}

/* The misspelt words of one slice of the query. */
static enum med_code correct_slice(struct speller *k, struct med_str slice, struct med_err *err)
{
    const struct med_token *tokens;
    size_t count;
    size_t base = (size_t)(slice.ptr - k->query.ptr);
    enum med_code code = med_analyze(k->searcher->analyzer, slice, &tokens, &count, err);
    if (code) return code;
    struct correction *words = med_arena_calloc(k->arena, count + 1, sizeof *words);
    size_t word_count = 0;
    if (!words) return out_of_memory(err);
    for (size_t i = 0; i < count; i++) { /* the next analysis takes the tokens away */
        struct med_str word = med_str_sub(slice, tokens[i].start, tokens[i].end);
        bool prefix = tokens[i].end < slice.len && slice.ptr[tokens[i].end] == '*';
        if (tokens[i].extra || prefix || !is_word(word) || !is_word(tokens[i].term) ||
            med_is_function_word(slice, &tokens[i]))
            continue;
        struct correction *w = &words[word_count++];
        w->start = base + tokens[i].start;
        w->end = base + tokens[i].end;
        if (!med_arena_str(k->arena, tokens[i].term, &w->term)) return out_of_memory(err);
    }
    for (size_t i = 0; !code && i < word_count && k->found_count < MED_SPELL_WORDS_MAX; i++)
        code = correct(k, words[i].term, words[i].start, words[i].end, err);
    return code;
}

enum med_code spell_suggest(const struct med_index *index, struct med_searcher *searcher,
    const struct med_search_request *request, const struct query *query, struct med_arena *arena,
    struct med_str *ret_suggestion, struct med_err *err)
{
    struct speller k = {
        .index = index, .searcher = searcher, .arena = arena, .query = request->query};
    enum med_code code = MED_OK;
    *ret_suggestion = (struct med_str){0};
    for (size_t i = 0; !code && i < query->word_count && k.found_count < MED_SPELL_WORDS_MAX; i++)
        code = correct_slice(&k, query->words[i], err);
    if (code || k.found_count == 0) return code;
    struct med_buf text;
    size_t at = 0;
    med_buf_init(&text, 2 * MED_QUERY_BYTES_MAX);
    for (size_t i = 0; i < k.found_count; i++) {
        med_buf_append_str(&text, med_str_sub(k.query, at, k.found[i].start));
        med_buf_append_str(&text, k.found[i].word);
        at = k.found[i].end;
    }
    med_buf_append_str(&text, med_str_sub(k.query, at, k.query.len));
    code = med_buf_status(&text, err);
    if (!code && !med_arena_str(arena, med_buf_str(&text), ret_suggestion))
        code = out_of_memory(err);
    med_buf_free(&text);
    return code;
}

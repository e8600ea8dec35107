/* A larger collection from a real one.
 *
 * A generated passage has the kind, the structure and nearly the length of a passage of the source.
 * Its sentences are the source's, sentences in the same place of passages about the same subject
 * (which share rare terms with it), and splices of both at a function word or comma that both have.
 * That keeps which words occur together, at what distance and how often.
 *
 * Terms follow a Pitman-Yor process that is continued from where the source ends (Pitman 1996,
 * "Some developments of the Blackwell-MacQueen urn scheme"): of a term with df f a share d / f of
 * the occurrences becomes new terms, which make a family of their own. With the discount d that the
 * source's vocabulary grows with (Heaps' law), the number of terms grows as n^d and the number of
 * terms per df keeps its shape. A new term belongs where the old one was, so it has the same
 * neighbours; all passages of one document take the same one. The root of the word is spelled
 * anew, its ending stays, so that the stemmer treats it alike.
 *
 * The same seed and source give the same bytes. Single-threaded. */
#include "tests/bench/bench_collection.h"

#include "common/hash.h"
#include "common/json.h"
#include "common/limits.h"
#include "common/mem.h"
#include "common/rng.h"
#include "embed/analyzer.h"
#include "embed/vocab.h"
#include "index/document/text.h"

#include <math.h>
#include <stdio.h>

#define SOURCE_BYTES_MAX (4 * MED_GIB)
#define TOPIC_DF_MAX 1000u /* a term that at most so many passages have tells a subject */
#define CANDIDATES 6u      /* passages looked at to find one about the same subject */
#define DONORS 2u
#define SPELLINGS_MAX 250u

/* How a sentence of the result is made, of 100. */
#define KEPT 25u
#define REPLACED 40u /* the rest is spliced */

/* Terms are one of these, each with a growth of its own. */
enum term_class { WORD, MIXED, LONG_NUMBER, TERM_CLASS_COUNT };

struct token {
    uint32_t term;
    uint32_t start; /* byte of the passage */
    uint16_t len;
    uint8_t root;     /* bytes that word and stem share */
    uint8_t junction; /* ' ': a function word; ',': a comma follows; where splices may be */
};

struct sentence {
    uint32_t start, end;   /* bytes of the passage */
    uint32_t first, count; /* tokens of the passage */
};

/* Its bytes are the title, a line break and the text; its first sentence is the title. */
struct passage {
    size_t bytes, token, sentence; /* where its own begin */
    uint32_t len, token_count, sentence_count;
    uint32_t document;
    enum bench_kind kind;
};

struct clone {
    uint32_t documents;
    uint32_t spelling;
};

/* The new terms that a term of the source became. */
struct family {
    struct clone *clones;
    size_t cap;
    uint32_t count, documents;
};

struct generator {
    uint64_t seed;
    struct med_rng rng;
    struct med_analyzer *analyzer;
    struct med_vocab *vocab, *spelled; /* terms of the source; roots of new words */
    struct med_buf bytes, document, piece;
    struct med_arena *arena; /* for one passage's sentences */
    struct token *tokens;
    struct sentence *sentences;
    struct passage *passages;
    size_t token_count, token_cap, sentence_count, sentence_cap, passage_count, passage_cap;
    uint32_t document_count;
    uint32_t *first_passage; /* of each document, and one more */
    /* Per term. */
    uint32_t *df, *last; /* documents that have it; the last one counted */
    size_t *posting;     /* [term] to [term + 1): what of topic_passages has it */
    uint32_t *topic_passages;
    enum term_class *class_of;
    struct family *families;
    uint32_t *chosen_for, *choice; /* the document that the choice was made for; 0 = the old term */
    uint32_t *marked;              /* the passage that was last marked as having the term */
    double discount[TERM_CLASS_COUNT];
    uint32_t documents_made, passages_marked;
    uint64_t made, wanted;
    struct med_buf title, text, line;
};

static void *grown(void *array, size_t *cap, size_t need, size_t size)
{
    struct med_err err = {0};
    if (!med_grow(&array, cap, need, size))
        bench_must(med_fail(&err, MED_E_NOMEM, "out of memory for the source"), &err);
    return array;
}

/* --- the source --- */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static uint8_t root_of(struct med_str word, struct med_str term)
{
    size_t n = 0;
    while (n < word.len && n < term.len && lower(word.ptr[n]) == term.ptr[n]) n++;
    if (n < 3) n = word.len;
    return (uint8_t)(n > UINT8_MAX ? UINT8_MAX : n);
}

static uint8_t junction_of(struct med_str text, const struct med_token *token)
{
    if (token->end < text.len && text.ptr[token->end] == ',') return ',';
    return med_is_function_word(text, token) ? ' ' : 0;
}

static void add_tokens(struct generator *g, struct passage *p, struct med_str text)
{
    struct med_err err = {0};
    const struct med_token *found;
    size_t count;
    bench_must(med_analyze(g->analyzer, text, &found, &count, &err), &err);
    g->tokens = grown(g->tokens, &g->token_cap, g->token_count + count, sizeof *g->tokens);
    p->token = g->token_count;
    for (size_t i = 0; i < count; i++) {
        const struct med_token *f = &found[i];
        if (f->extra || f->end - f->start > UINT16_MAX) continue;
        struct token *t = &g->tokens[g->token_count++];
        *t = (struct token){.start = f->start,
            .len = (uint16_t)(f->end - f->start),
            .root = root_of(med_str_sub(text, f->start, f->end), f->term),
            .junction = junction_of(text, f)};
        bench_must(med_vocab_intern(g->vocab, f->term, &t->term, &err), &err);
    }
    p->token_count = (uint32_t)(g->token_count - p->token);
}

static void add_sentence(struct generator *g, struct passage *p, size_t start, size_t end)
{
    g->sentences =
        grown(g->sentences, &g->sentence_cap, g->sentence_count + 1, sizeof *g->sentences);
    const struct sentence *before = &g->sentences[g->sentence_count - 1];
    struct sentence s = {.start = (uint32_t)start,
        .end = (uint32_t)end,
        .first = p->sentence_count ? before->first + before->count : 0};
    while (
        s.first + s.count < p->token_count && g->tokens[p->token + s.first + s.count].start < end)
        s.count++;
    g->sentences[g->sentence_count++] = s;
    p->sentence_count++;
}

/* The parts of a citation end with a full stop, also behind initials, where a sentence of prose
 * would go on. */
static void add_citation_parts(struct generator *g, struct passage *p, struct med_str text)
{
    size_t start = 1;
    for (size_t i = 1; i + 1 < text.len; i++) {
        if (text.ptr[i] != '.' || text.ptr[i + 1] != ' ') continue;
        add_sentence(g, p, start, i + 1);
        start = i + 2;
    }
    if (start < text.len) add_sentence(g, p, start, text.len);
}

static void add_sentences(
    struct generator *g, struct passage *p, struct med_str text, size_t title_len)
{
    struct med_err err = {0};
    struct med_span *spans;
    size_t count, at = title_len + 1;
    p->sentence = g->sentence_count;
    add_sentence(g, p, 0, title_len);
    if (p->kind == BENCH_CITATION) {
        add_citation_parts(g, p, text);
        return;
    }
    med_arena_reset(g->arena);
    bench_must(
        med_sentences(med_str_sub(text, at, text.len), g->arena, &spans, &count, &err), &err);
    for (size_t i = 0; i < count; i++) add_sentence(g, p, at + spans[i].start, at + spans[i].end);
}

static void add_passage(void *ctx, const struct bench_record *record)
{
    struct generator *g = ctx;
    struct med_err err = {0};
    size_t start = g->bytes.len;
    med_buf_append_str(&g->bytes, record->title);
    med_buf_putc(&g->bytes, '\n');
    med_buf_append_str(&g->bytes, record->text);
    bench_must(med_buf_status(&g->bytes, &err), &err);
    struct med_str text = med_str_sub(med_buf_str(&g->bytes), start, g->bytes.len);

    g->passages = grown(g->passages, &g->passage_cap, g->passage_count + 1, sizeof *g->passages);
    struct passage *p = &g->passages[g->passage_count++];
    *p = (struct passage){.bytes = start, .len = (uint32_t)text.len, .kind = record->kind};
    add_tokens(g, p, text);
    add_sentences(g, p, text, record->title.len);
    if (g->passage_count == 1 || !med_str_eq(record->document, med_buf_str(&g->document))) {
        g->document_count++;
        med_buf_reset(&g->document);
        med_buf_append_str(&g->document, record->document);
    }
    p->document = g->document_count - 1;
}

static struct med_str bytes_of(const struct generator *g, const struct passage *p)
{
    return (struct med_str){.ptr = g->bytes.data + p->bytes, .len = p->len};
}

/* --- statistics of the source --- */

static size_t digits_of(struct med_str s)
{
    size_t digits = 0;
    for (size_t i = 0; i < s.len; i++) digits += s.ptr[i] >= '0' && s.ptr[i] <= '9';
    return digits;
}

static enum term_class classify(struct med_str term)
{
    size_t digits = digits_of(term);
    if (digits == 0) return WORD;
    return digits == term.len && digits >= 6 ? LONG_NUMBER : MIXED;
}

static void shuffle(struct med_rng *rng, uint32_t *list, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        size_t j = med_rng_below(rng, i);
        uint32_t swapped = list[i - 1];
        list[i - 1] = list[j];
        list[j] = swapped;
    }
}

static uint32_t *shuffled_documents(struct generator *g)
{
    uint32_t *order = bench_calloc(g->document_count, sizeof *order);
    for (uint32_t i = 0; i < g->document_count; i++) order[i] = i;
    shuffle(&g->rng, order, g->document_count);
    return order;
}

/* df, and the growth of each class from half of the documents to all of them: the exponent of
 * Heaps' law where the result goes on from. */
static void count_terms(struct generator *g)
{
    uint32_t *order = shuffled_documents(g);
    uint64_t seen[TERM_CLASS_COUNT] = {0}, at_half[TERM_CLASS_COUNT];
    for (uint32_t i = 0; i < g->document_count; i++) {
        if (i == g->document_count / 2) memcpy(at_half, seen, sizeof seen);
        const struct passage *from = &g->passages[g->first_passage[order[i]]],
                             *to = &g->passages[g->first_passage[order[i] + 1] - 1];
        for (size_t t = from->token; t < to->token + to->token_count; t++) {
            uint32_t term = g->tokens[t].term;
            if (g->last[term] == i + 1) continue;
            g->last[term] = i + 1;
            if (g->df[term]++ == 0) seen[g->class_of[term]]++;
        }
    }
    for (int c = 0; c < TERM_CLASS_COUNT; c++)
        g->discount[c] = seen[c] && at_half[c] ? log2((double)seen[c] / (double)at_half[c]) : 0;
    fprintf(stderr, "growth: words n^%.3f, with digits n^%.3f, long numbers n^%.3f\n",
        g->discount[WORD], g->discount[MIXED], g->discount[LONG_NUMBER]);
    med_free(order);
}

/* Calls for each distinct term of each passage that tells a subject. */
static void list_topics(struct generator *g)
{
    uint32_t term_count = med_vocab_count(g->vocab);
    uint32_t *passages_with = bench_calloc(term_count, sizeof *passages_with);
    for (int fill = 0; fill < 2; fill++) {
        for (uint32_t i = 0; i < g->passage_count; i++) {
            const struct passage *p = &g->passages[i];
            g->passages_marked++;
            for (size_t t = p->token; t < p->token + p->token_count; t++) {
                uint32_t term = g->tokens[t].term;
                if (g->marked[term] == g->passages_marked) continue;
                g->marked[term] = g->passages_marked;
                passages_with[term]++;
                size_t end = g->posting[term + 1];
                if (fill && g->posting[term] < end)
                    g->topic_passages[end - passages_with[term]] = i;
            }
        }
        if (fill) break;
        for (uint32_t t = 0; t < term_count; t++) {
            bool tells = passages_with[t] > 1 && passages_with[t] <= TOPIC_DF_MAX;
            g->posting[t + 1] = g->posting[t] + (tells ? passages_with[t] : 0);
            passages_with[t] = 0;
        }
        g->topic_passages = bench_calloc(g->posting[term_count], sizeof *g->topic_passages);
    }
    med_free(passages_with);
}

static void read_source(struct generator *g, const char *path)
{
    struct med_err err = {0};
    bench_must(med_analyzer_new(&g->analyzer, &err), &err);
    bench_must(med_vocab_new(&g->vocab, &err), &err);
    bench_must(med_vocab_new(&g->spelled, &err), &err);
    bench_must(med_arena_new(MED_DOC_ARENA_BYTES_MAX, &g->arena, &err), &err);
    med_buf_init(&g->bytes, SOURCE_BYTES_MAX);
    struct med_buf *small[] = {&g->document, &g->piece, &g->title, &g->text, &g->line};
    for (size_t i = 0; i < sizeof small / sizeof *small; i++) med_buf_init(small[i], MED_GIB);
    bench_each_record(path, add_passage, g);
    if (g->passage_count == 0) bench_must(med_fail(&err, MED_E_INVALID, "no passages"), &err);

    size_t terms = med_vocab_count(g->vocab);
    g->first_passage = bench_calloc(g->document_count + 1, sizeof *g->first_passage);
    for (size_t i = g->passage_count; i-- > 0;)
        g->first_passage[g->passages[i].document] = (uint32_t)i;
    g->first_passage[g->document_count] = (uint32_t)g->passage_count;
    g->df = bench_calloc(terms, sizeof *g->df);
    g->last = bench_calloc(terms, sizeof *g->last);
    g->posting = bench_calloc(terms + 1, sizeof *g->posting);
    g->class_of = bench_calloc(terms, sizeof *g->class_of);
    g->families = bench_calloc(terms, sizeof *g->families);
    g->chosen_for = bench_calloc(terms, sizeof *g->chosen_for);
    g->choice = bench_calloc(terms, sizeof *g->choice);
    g->marked = bench_calloc(terms, sizeof *g->marked);
    for (uint32_t t = 0; t < terms; t++) g->class_of[t] = classify(med_vocab_term(g->vocab, t));
    count_terms(g);
    list_topics(g);
}

/* --- new terms --- */

static char other_letter(struct med_rng *rng, char c)
{
    static const char vowels[] = "aeiou", consonants[] = "bcdfghklmnprstvz";
    bool upper = c >= 'A' && c <= 'Z';
    char low = lower(c);
    if (c >= '0' && c <= '9') return (char)('0' + med_rng_below(rng, 10));
    if (low < 'a' || low > 'z') return c;
    char drawn =
        strchr("aeiouy", low) ? vowels[med_rng_below(rng, 5)] : consonants[med_rng_below(rng, 16)];
    return upper ? (char)(drawn & ~0x20) : drawn;
}

/* Another root for the word: the first letter stays three times in four and short ones grow; a code
 * with many digits changes these only; numbers grow only when there is no other of their length. */
static void spell(
    struct generator *g, uint32_t term, uint32_t spelling, struct med_str root, struct med_buf *out)
{
    struct med_rng rng;
    uint64_t key[3] = {g->seed, term, spelling};
    med_rng_seed(&rng, med_hash64(key, sizeof key));
    enum term_class class = g->class_of[term];
    bool code = class != WORD && digits_of(root) >= 4;
    bool keep_first = root.len > 4 && med_rng_below(&rng, 4) > 0;
    for (size_t i = 0; i < root.len; i++) {
        char c = root.ptr[i], model = i == 1 ? 'n' : 'a';
        bool keep = code       ? c < '0' || c > '9'
                    : i == 0   ? keep_first
                    : c >= 'a' ? med_rng_below(&rng, 3) == 0
                               : false;
        med_buf_putc(out, keep ? c : other_letter(&rng, c));
        bool grows = class == WORD && root.len < 8 && (i == 1 || i == 3);
        if (grows) med_buf_putc(out, other_letter(&rng, c < 'a' ? (char)(model & ~0x20) : model));
    }
    if (class != WORD && spelling >= 32) med_buf_putc(out, other_letter(&rng, '0'));
}

/* A spelling that neither the source nor another new term has. */
static uint32_t new_spelling(struct generator *g, uint32_t term, struct med_str root)
{
    struct med_err err = {0};
    struct family *family = &g->families[term];
    uint32_t spelling = family->count ? family->clones[family->count - 1].spelling : 0;
    for (uint32_t tries = 0; tries < SPELLINGS_MAX; tries++) {
        uint32_t id, before = med_vocab_count(g->spelled);
        med_buf_reset(&g->piece);
        spell(g, term, ++spelling, root, &g->piece);
        for (size_t i = 0; i < g->piece.len; i++) g->piece.data[i] = lower(g->piece.data[i]);
        if (med_vocab_find(g->vocab, med_buf_str(&g->piece)) != MED_NO_TERM) continue;
        bench_must(med_vocab_intern(g->spelled, med_buf_str(&g->piece), &id, &err), &err);
        if (med_vocab_count(g->spelled) > before) break;
    }
    return spelling;
}

/* A member of the term's family by the urn's rule: one that has documents, or a new one. */
static uint32_t choose_clone(struct generator *g, uint32_t term, struct med_str root)
{
    struct family *f = &g->families[term];
    double d = g->discount[g->class_of[term]];
    double drawn = med_rng_unit(&g->rng) * (f->documents + d) - d * (1 + f->count);
    uint32_t i = 0;
    if (drawn >= 0 && f->count > 0) {
        while (i + 1 < f->count && (drawn -= f->clones[i].documents - d) >= 0) i++;
    } else {
        i = f->count;
        uint32_t spelling = new_spelling(g, term, root);
        f->clones = grown(f->clones, &f->cap, i + 1, sizeof *f->clones);
        f->clones[f->count++] = (struct clone){.spelling = spelling};
    }
    f->clones[i].documents++;
    f->documents++;
    return i;
}

/* What the term becomes in the current document: 0 itself, else a member of its family and 1. */
static uint32_t choice_of(struct generator *g, uint32_t term, struct med_str root)
{
    if (g->chosen_for[term] == g->documents_made) return g->choice[term];
    bool becomes_new = med_rng_unit(&g->rng) * g->df[term] < g->discount[g->class_of[term]];
    g->chosen_for[term] = g->documents_made;
    g->choice[term] = becomes_new ? choose_clone(g, term, root) + 1 : 0;
    return g->choice[term];
}

/* --- passages --- */

/* Tokens [first, end) of a passage and the bytes [start, stop) that hold them. */
struct stretch {
    const struct passage *passage;
    uint32_t start, stop, first, end;
};

static void write_stretch(struct generator *g, struct stretch s, struct med_buf *out)
{
    struct med_str text = bytes_of(g, s.passage);
    uint32_t at = s.start;
    for (uint32_t i = s.first; i < s.end; i++) {
        const struct token *t = &g->tokens[s.passage->token + i];
        struct med_str root = med_str_sub(text, t->start, t->start + t->root);
        uint32_t choice = choice_of(g, t->term, root);
        if (!choice) continue;
        med_buf_append_str(out, med_str_sub(text, at, t->start));
        spell(g, t->term, g->families[t->term].clones[choice - 1].spelling, root, out);
        at = t->start + t->root;
    }
    if (at < s.stop) med_buf_append_str(out, med_str_sub(text, at, s.stop));
}

static struct stretch whole(const struct passage *p, const struct sentence *s)
{
    return (struct stretch){p, s->start, s->end, s->first, s->first + s->count};
}

static bool like_long(uint32_t a, uint32_t b)
{
    return 2 * a >= b && 2 * b >= a;
}

/* Cuts `head` behind a junction and lets `tail` go on behind the same one, where what follows is
 * nearly as long. False when they have none in common. */
static bool splice(struct generator *g, struct stretch *head, struct stretch *tail)
{
    uint32_t count = head->end - head->first;
    if (count < 4) return false;
    uint32_t from = head->first + 1 + (uint32_t)med_rng_below(&g->rng, count - 2);
    for (uint32_t i = from; i + 1 < head->end; i++) {
        const struct token *a = &g->tokens[head->passage->token + i];
        if (!a->junction) continue;
        for (uint32_t k = tail->first; k + 1 < tail->end; k++) {
            const struct token *b = &g->tokens[tail->passage->token + k];
            bool same = a->junction == b->junction && (a->junction == ',' || a->term == b->term);
            if (!same || !like_long(head->end - i, tail->end - k)) continue;
            head->end = i + 1;
            head->stop = a->start + a->len;
            tail->first = k + 1;
            tail->start = b->start + b->len;
            return true;
        }
    }
    return false;
}

/* The sentence of the donor in about the same place; the title for the title. */
static const struct sentence *counterpart(
    struct generator *g, const struct passage *p, uint32_t at, const struct passage *donor)
{
    const struct sentence *own = &g->sentences[p->sentence + at];
    uint32_t k = 0;
    if (at > 0) {
        if (donor->sentence_count < 2) return NULL;
        k = 1 + (at - 1) * (donor->sentence_count - 1) / (p->sentence_count - 1);
    }
    for (uint32_t tries = 0; tries < 3; tries++, k++) {
        if (k >= donor->sentence_count || (at == 0 && k > 0)) return NULL;
        const struct sentence *other = &g->sentences[donor->sentence + k];
        if (like_long(own->count, other->count)) return other;
    }
    return NULL;
}

static void write_sentence(struct generator *g, const struct passage *p, uint32_t at,
    const struct passage *donor, struct med_buf *out)
{
    const struct sentence *own = &g->sentences[p->sentence + at];
    const struct sentence *other = donor ? counterpart(g, p, at, donor) : NULL;
    uint64_t drawn = med_rng_below(&g->rng, 100);
    struct stretch head = whole(p, own);
    if (other && drawn >= KEPT) {
        struct stretch tail = whole(donor, other);
        if (drawn < KEPT + REPLACED && at > 0) {
            write_stretch(g, tail, out);
            return;
        }
        if (splice(g, &head, &tail)) {
            write_stretch(g, head, out);
            write_stretch(g, tail, out);
            return;
        }
    }
    write_stretch(g, head, out);
}

/* --- passages about the same subject --- */

static void mark_terms(struct generator *g, const struct passage *p)
{
    g->passages_marked++;
    for (size_t t = p->token; t < p->token + p->token_count; t++)
        g->marked[g->tokens[t].term] = g->passages_marked;
}

static bool tells_subject(const struct generator *g, uint32_t term)
{
    return g->posting[term] < g->posting[term + 1];
}

/* Of kind and not of the document, with a rare term of p; NULL when a few draws found none. */
static const struct passage *draw_near(struct generator *g, const struct passage *p)
{
    for (uint32_t tries = 0; tries < 8 && p->token_count > 0; tries++) {
        uint32_t term = g->tokens[p->token + med_rng_below(&g->rng, p->token_count)].term;
        if (!tells_subject(g, term)) continue;
        size_t first = g->posting[term], count = g->posting[term + 1] - first;
        const struct passage *q =
            &g->passages[g->topic_passages[first + med_rng_below(&g->rng, count)]];
        if (q->kind == p->kind && q->document != p->document) return q;
    }
    return NULL;
}

/* How much of q is about what the marked passage is about. */
static double likeness(const struct generator *g, const struct passage *q)
{
    double sum = 0;
    for (size_t t = q->token; t < q->token + q->token_count; t++) {
        uint32_t term = g->tokens[t].term;
        if (g->marked[term] == g->passages_marked && tells_subject(g, term)) sum += 1;
    }
    return sum / sqrt(q->token_count + 1.);
}

static const struct passage *find_donor(struct generator *g, const struct passage *p)
{
    const struct passage *best = NULL;
    double best_likeness = -1;
    for (uint32_t i = 0; i < CANDIDATES; i++) {
        const struct passage *q = draw_near(g, p);
        double like = q ? likeness(g, q) : -1;
        if (like <= best_likeness) continue;
        best = q;
        best_likeness = like;
    }
    return best;
}

/* --- the result --- */

/* Years as citations have them: more of the later ones. Filters of any selectivity can be made of
 * them. */
static uint64_t draw_year(struct generator *g)
{
    return 2025 - (uint64_t)(50 * pow(med_rng_unit(&g->rng), 1.7));
}

static void write_record(struct generator *g, enum bench_kind kind)
{
    struct med_err err = {0};
    char id[32];
    snprintf(id, sizeof id, "%s:%09llu", kind == BENCH_ARTICLE ? "article" : "record",
        (unsigned long long)g->made);
    med_buf_reset(&g->line);
    struct med_jw w = med_jw_of(&g->line, false);
    med_jw_object(&w);
    med_jw_kcstr(&w, "_id", id);
    if (g->title.len) med_jw_kstr(&w, "title", med_buf_str(&g->title));
    med_jw_kstr(&w, "text", med_buf_str(&g->text));
    med_jw_kint(&w, "year", (long long)draw_year(g));
    med_jw_object_end(&w);
    med_buf_putc(&g->line, '\n');
    bench_must(med_buf_status(&g->line, &err), &err);
    if (fwrite(g->line.data, 1, g->line.len, stdout) != g->line.len)
        bench_must(med_fail(&err, MED_E_IO, "cannot write to standard output"), &err);
    g->made++;
}

static void write_text(
    struct generator *g, const struct passage *p, const struct passage *const donors[DONORS])
{
    med_buf_reset(&g->text);
    for (uint32_t i = 1; i < p->sentence_count; i++) {
        uint32_t start = g->sentences[p->sentence + i].start;
        uint32_t before = g->sentences[p->sentence + i - 1].end;
        if (i > 1) med_buf_append_str(&g->text, med_str_sub(bytes_of(g, p), before, start));
        write_sentence(g, p, i, donors[med_rng_below(&g->rng, DONORS)], &g->text);
    }
}

static bool is_one_passage(struct med_str text)
{
    return text.len <= MED_CHUNK_BYTES_MAX && med_word_count(text) <= MED_CHUNK_WORDS_MAX;
}

static void make_passage(struct generator *g, const struct passage *p, bool first)
{
    const struct passage *donors[DONORS];
    mark_terms(g, p);
    for (uint32_t i = 0; i < DONORS; i++) donors[i] = find_donor(g, p);
    if (first) { /* the passages of a document have one title */
        med_buf_reset(&g->title);
        write_sentence(g, p, 0, donors[0], &g->title);
    }
    write_text(g, p, donors);
    for (int tries = 0; tries < 4 && !is_one_passage(med_buf_str(&g->text)); tries++) {
        if (tries == 3) memset(donors, 0, sizeof donors);
        write_text(g, p, donors);
    }
    write_record(g, p->kind);
}

static void make_documents(struct generator *g)
{
    uint32_t *order = shuffled_documents(g);
    for (uint32_t i = 0; g->made < g->wanted; i++) {
        if (i == g->document_count) {
            shuffle(&g->rng, order, g->document_count);
            i = 0;
        }
        g->documents_made++;
        uint32_t first = g->first_passage[order[i]], end = g->first_passage[order[i] + 1];
        for (uint32_t p = first; p < end && g->made < g->wanted; p++)
            make_passage(g, &g->passages[p], p == first);
    }
    med_free(order);
}

void bench_generate(const char *source, uint64_t seed, uint64_t passages)
{
    struct generator *g = bench_calloc(1, sizeof *g);
    g->seed = seed;
    g->wanted = passages;
    med_rng_seed(&g->rng, seed);
    read_source(g, source);
    make_documents(g);
    uint64_t added = med_vocab_count(g->spelled);
    fprintf(stderr, "%llu passages of %u documents' copies, %llu new terms\n",
        (unsigned long long)g->made, g->documents_made, (unsigned long long)added);
    for (uint32_t t = 0; t < med_vocab_count(g->vocab); t++) med_free(g->families[t].clones);
    void *arrays[] = {g->tokens, g->sentences, g->passages, g->first_passage, g->df, g->last,
        g->posting, g->topic_passages, g->class_of, g->families, g->chosen_for, g->choice,
        g->marked};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) med_free(arrays[i]);
    struct med_buf *bufs[] = {&g->bytes, &g->document, &g->piece, &g->title, &g->text, &g->line};
    for (size_t i = 0; i < sizeof bufs / sizeof *bufs; i++) med_buf_free(bufs[i]);
    med_arena_free(&g->arena);
    med_vocab_free(&g->vocab);
    med_vocab_free(&g->spelled);
    med_analyzer_free(&g->analyzer);
    med_free(g);
}

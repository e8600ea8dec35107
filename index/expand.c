/* Expansion: other names of what a query says.
 *
 * The query's terms are compared with the thesaurus, longest match first: abbreviations that the
 * corpus defines, and the operator's descriptors with all their names. What is found adds the terms
 * of its other names that the corpus uses, the most frequent ones first. Together the added terms
 * of a name weigh at most a fraction of what the typed words weigh, so that a document with the
 * typed words stays in front of one with other names only. README.md has the measurements. */
#include "index/internal.h"

#include "common/limits.h"

#include <math.h>
#include <stdlib.h>

#define NAMES_PER_MATCH_MAX 1u
#define NAMES_LOOKED_AT_MAX 4096u
#define EXPANSIONS_MAX 32u
#define ADDED_TERMS_MAX 64u
#define KEY_BYTES_MAX (64 * MED_KIB)

/* What the added terms of a name weigh at most together, as a share of the typed words. */
#define WEIGHT_LONG_FORM .2  /* COPD -> chronic obstructive pulmonary disease */
#define WEIGHT_SHORT_FORM .3 /* and back */
#define WEIGHT_SYNONYM .1    /* heart attack -> myocardial infarction */
#define SHARE_MIN 50         /* percent of a short form's definitions that must mean this */
#define COMMON .05           /* a name that more documents mention finds enough by itself */
#define COMMON_DOCS_MIN 20.0 /* unless the index is so small that a share says nothing */

struct expander {
    const struct med_index *index;
    const struct med_thesaurus *t;
    struct med_arena *arena;
    struct query *query;
    size_t typed_count; /* terms of the query before the first was added */
    struct med_ranking *ranking;
};

static enum med_code out_of_memory(struct med_err *err)
{
    return med_fail(err, MED_E_NOMEM, "the search needs more memory than one request may use");
}

double query_idf(const struct med_index *x, struct med_str term)
{
    uint64_t df = 0;
    for (uint32_t s = 0; s < x->segment_count; s++) {
        uint32_t ordinal, n = 0;
        if (med_segment_find(x->segments[s], term, &ordinal, &n)) df += n;
    }
    double all = (double)x->stats.chunk_count, d = (double)df;
    return df ? log(1 + (all - d + 0.5) / (d + 0.5)) : 0;
}

static bool next_term(struct med_str key, size_t *at, struct med_str *ret_term)
{
    if (*at >= key.len) return false;
    const char *space = memchr(key.ptr + *at, ' ', key.len - *at);
    size_t end = space ? (size_t)(space - key.ptr) : key.len;
    *ret_term = med_str_sub(key, *at, end);
    *at = end + 1;
    return true;
}

static struct query_term *find_term(struct query *q, size_t count, struct med_str term)
{
    for (size_t i = 0; i < count; i++) {
        if (med_str_eq(q->terms[i].term, term)) return &q->terms[i];
    }
    return NULL;
}

/* --- adding --- */

/* Adds the terms of a name that were not typed; false when there are none. `typed` is what the
 * matched words weigh together. */
static bool add_name(struct expander *x, struct med_str key, double typed, double weight)
{
    double sum = 0;
    size_t at = 0, fresh = 0;
    struct med_str term;
    while (next_term(key, &at, &term)) {
        if (find_term(x->query, x->typed_count, term)) continue;
        sum += query_idf(x->index, term);
        fresh++;
    }
    if (fresh == 0 || sum <= 0 || x->query->term_count + fresh > x->typed_count + ADDED_TERMS_MAX)
        return false;
    float w = (float)(weight * fmin(1, typed / sum));
    at = 0;
    while (next_term(key, &at, &term)) {
        if (find_term(x->query, x->typed_count, term)) continue;
        struct query_term *same = find_term(x->query, x->query->term_count, term);
        if (!same) {
            same = &x->query->terms[x->query->term_count++];
            *same = (struct query_term){.term = term, .added = true};
        }
        if (w > same->weight) same->weight = w;
    }
    return true;
}

struct choice {
    uint32_t name;
    uint32_t docs;
    double weight;
};

static int by_docs(const void *a, const void *b)
{
    const struct choice *x = a, *y = b;
    if (x->weight != y->weight) return x->weight > y->weight ? -1 : 1;
    if (x->docs != y->docs) return x->docs > y->docs ? -1 : 1;
    return x->name < y->name ? -1 : x->name > y->name;
}

/* The other names of what `name` names, as candidates. */
static size_t other_names(
    const struct expander *x, uint32_t name, struct choice *list, size_t count)
{
    const struct med_thesaurus *t = x->t;
    const struct med_concept *c = &t->concepts[t->names[name].concept];
    bool short_form = name != c->first_name;
    double weight = WEIGHT_SYNONYM;
    if (c->kind == MED_CONCEPT_ABBREVIATION) {
        if (short_form && c->share < SHARE_MIN) return count;
        weight = (short_form ? WEIGHT_LONG_FORM : WEIGHT_SHORT_FORM) * c->share / 100;
    }
    for (uint32_t i = c->first_name; i < c->first_name + c->name_count; i++) {
        const struct med_name *n = &t->names[i];
        if (i == name || n->doc_count == 0 || count == NAMES_LOOKED_AT_MAX) continue;
        list[count++] = (struct choice){.name = i, .docs = n->doc_count, .weight = weight};
    }
    return count;
}

/* A name that is found only as it is written was typed so. */
static bool typed_so(const struct med_thesaurus *t, uint32_t name, struct med_str typed)
{
    if (!(t->names[name].flags & MED_NAME_AS_WRITTEN)) return true;
    return med_str_starts(typed, med_name_text(t, name));
}

static double typed_weight(const struct expander *x, struct med_str key)
{
    double sum = 0;
    size_t at = 0;
    struct med_str term;
    while (next_term(key, &at, &term)) {
        const struct query_term *q = find_term(x->query, x->typed_count, term);
        if (q) sum += (double)q->weight * fmax(query_idf(x->index, term), 0);
    }
    /* A word that no document has says as much as one that a single document has. */
    return sum > 0 ? sum : log(1 + (double)x->index->stats.chunk_count);
}

/* Expands one match; *ret_added says whether anything came of it. */
static enum med_code expand_match(struct expander *x, struct med_str typed, struct med_str key,
    uint32_t first, uint32_t count, bool *ret_added, struct med_err *err)
{
    struct choice *list = med_arena_alloc(x->arena, NAMES_LOOKED_AT_MAX * sizeof *list);
    struct med_expansion e = {
        .typed = typed, .added = med_arena_calloc(x->arena, NAMES_PER_MATCH_MAX, sizeof *e.added)};
    size_t n = 0;
    double common = fmax(COMMON_DOCS_MIN, COMMON * (double)x->index->stats.doc_count);
    if (!list || !e.added) return out_of_memory(err);
    for (uint32_t i = first; i < first + count; i++) {
        uint32_t name = x->t->keys[i];
        if (x->t->names[name].doc_count > common) continue;
        if (typed_so(x->t, name, typed)) n = other_names(x, name, list, n);
    }
    if (n) qsort(list, n, sizeof *list, by_docs);
    double weight = typed_weight(x, key);
    for (size_t i = 0; i < n && e.added_count < NAMES_PER_MATCH_MAX; i++) {
        if (!add_name(x, med_name_key(x->t, list[i].name), weight, list[i].weight)) continue;
        e.added[e.added_count++] = med_name_text(x->t, list[i].name);
    }
    *ret_added = e.added_count > 0;
    if (*ret_added) x->ranking->expansions[x->ranking->expansion_count++] = e;
    return MED_OK;
}

/* --- matching --- */

/* The longest run of tokens from `from` on that the thesaurus has. */
static size_t longest_match(const struct med_thesaurus *t, const struct med_token *tokens,
    size_t from, size_t count, struct med_buf *key, uint32_t *ret_first, uint32_t *ret_count)
{
    size_t most = count - from < MED_NAME_TERMS_MAX ? count - from : MED_NAME_TERMS_MAX;
    for (size_t n = most; n > 0; n--) {
        med_buf_reset(key);
        med_thesaurus_key(tokens + from, n, key);
        if (key->code) return 0;
        *ret_count = med_thesaurus_find(t, med_buf_str(key), ret_first);
        if (*ret_count) return n;
    }
    return 0;
}

static enum med_code expand_tokens(struct expander *x, struct med_str text,
    const struct med_token *tokens, size_t count, struct med_err *err)
{
    enum med_code code = MED_OK;
    struct med_buf key;
    med_buf_init(&key, KEY_BYTES_MAX);
    for (size_t i = 0; !code && i < count && x->ranking->expansion_count < EXPANSIONS_MAX;) {
        uint32_t first, found;
        size_t n = longest_match(x->t, tokens, i, count, &key, &first, &found);
        bool added = false;
        if (n) {
            uint32_t start = tokens[i].start, end = tokens[i].end;
            for (size_t k = 1; k < n; k++) end = tokens[i + k].end > end ? tokens[i + k].end : end;
            code = expand_match(
                x, med_str_sub(text, start, end), med_buf_str(&key), first, found, &added, err);
        }
        i += n ? n : 1;
    }
    med_buf_free(&key);
    return code;
}

enum med_code query_expand(const struct med_index *index, struct med_analyzer *analyzer,
    struct query *query, struct med_arena *arena, struct med_ranking *ranking, struct med_err *err)
{
    const struct med_token *tokens;
    size_t count;
    if (index->thesaurus.key_count == 0) return MED_OK;
    struct query_term *terms =
        med_arena_calloc(arena, query->term_count + ADDED_TERMS_MAX, sizeof *terms);
    ranking->expansions = med_arena_calloc(arena, EXPANSIONS_MAX, sizeof *ranking->expansions);
    if (!terms || !ranking->expansions) return out_of_memory(err);
    if (query->term_count) memcpy(terms, query->terms, query->term_count * sizeof *terms);
    query->terms = terms;
    struct expander x = {.index = index,
        .t = &index->thesaurus,
        .arena = arena,
        .query = query,
        .typed_count = query->term_count,
        .ranking = ranking};
    enum med_code code = med_analyze(analyzer, query->text, &tokens, &count, err);
    return code ? code : expand_tokens(&x, query->text, tokens, count, err);
}

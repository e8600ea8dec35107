/* See terms.h. */
#include "index/terms.h"

#include "common/limits.h"
#include "index/internal.h"

#define KEY_BYTES_MAX (64 * MED_KIB)
#define PREFIX_BYTES_MIN 4u
#define PREFIX_NAMES_MAX 2000u /* names looked at that begin with the text */

struct lookup {
    const struct med_index *index;
    struct med_searcher *searcher;
    const struct med_thesaurus *t;
    struct med_arena *arena;
    struct med_term *terms;
    uint32_t *concepts;
    size_t count, limit;
};

static enum med_code out_of_memory(struct med_err *err)
{
    return med_fail(err, MED_E_NOMEM, "the request needs too much memory");
}

bool med_terms_any(const struct med_index *index)
{
    return index->thesaurus.concept_count > 0;
}

/* Live documents of the searcher's sources with this heading. *ret_known: a document, live or dead,
 * has it by this name. */
static enum med_code count_allowed(struct lookup *l, struct med_str heading, uint64_t *ret_count,
    bool *ret_known, struct med_err *err)
{
    struct med_buf term;
    uint64_t found = 0;
    *ret_known = false;
    med_buf_init(&term, MED_KIB);
    enum med_code code = med_field_term(MED_FIELD_MESH, heading, &term, err);
    for (uint32_t i = 0; !code && i < l->index->segment_count; i++) {
        const struct med_segment *s = l->index->segments[i];
        uint32_t ordinal;
        if (!med_lex_find(s->fields, med_buf_str(&term), &ordinal, NULL)) continue;
        *ret_known = true;
        uint64_t *set = med_arena_calloc(l->arena, (size_t)s->doc_count / 64 + 1, sizeof *set);
        if (!set) code = out_of_memory(err);
        if (!code) code = med_lex_mark(s->fields, l->searcher->scratch, ordinal, NULL, set, err);
        for (uint32_t d = 0; !code && d < s->doc_count; d++)
            found += (set[d >> 6] >> (d & 63) & 1) && med_segment_is_live(s, d) &&
                     med_source_allowed(l->searcher->sources, s->docs[d].source);
    }
    med_buf_free(&term);
    if (!code) *ret_count = found;
    return code;
}

/* What a caller who may not see all sources is told: a heading's documents among those it may see,
 * and nothing of texts that it may not. */
static enum med_code describe_allowed(struct lookup *l, struct med_term *term, struct med_err *err)
{
    bool known;
    enum med_code code = count_allowed(l, term->name, &term->documents, &known, err);
    term->mentions = term->documents;
    return code;
}

/* What a build counted is old after an update. A heading that no document has by its name was
 * counted by its id, and is left as it was. */
static enum med_code count_again(struct lookup *l, struct med_term *term, struct med_err *err)
{
    const struct med_index *x = l->index;
    bool as_built = x->segment_count == 1 && !x->segments[0]->live_docs, known;
    uint64_t count;
    if (as_built || term->kind != MED_CONCEPT_DESCRIPTOR) return MED_OK;
    enum med_code code = count_allowed(l, term->name, &count, &known, err);
    if (!code && known) term->documents = count;
    return code;
}

static enum med_code describe(struct lookup *l, uint32_t concept, struct med_str matched,
    struct med_term *term, struct med_err *err)
{
    const struct med_thesaurus *t = l->t;
    const struct med_concept *c = &t->concepts[concept];
    *term = (struct med_term){.kind = (enum med_concept_kind)c->kind,
        .id = med_concept_id(t, concept),
        .name = med_name_text(t, c->first_name),
        .matched = matched,
        .documents = c->doc_count,
        .share = c->share};
    term->entry_terms = med_arena_calloc(l->arena, c->name_count, sizeof *term->entry_terms);
    term->trees = med_arena_calloc(l->arena, c->tree_count + 1, sizeof *term->trees);
    if (!term->entry_terms || !term->trees) return out_of_memory(err);
    for (uint32_t i = c->first_name; i < c->first_name + c->name_count; i++) {
        if (t->names[i].doc_count > term->mentions) term->mentions = t->names[i].doc_count;
        if (i == c->first_name || t->names[i].flags & MED_NAME_TURNED) continue;
        term->entry_terms[term->entry_term_count++] = med_name_text(t, i);
    }
    for (uint32_t i = c->first_tree; i < c->first_tree + c->tree_count; i++)
        term->trees[term->tree_count++] = med_tree_text(t, i);
    uint32_t *below;
    size_t count;
    enum med_code code = med_thesaurus_explode(t, concept, l->arena, &below, &count, err);
    if (!code) term->narrower = count - 1;
    if (!code)
        code = l->searcher->sources ? describe_allowed(l, term, err) : count_again(l, term, err);
    return code;
}

static enum med_code add(
    struct lookup *l, uint32_t concept, struct med_str matched, struct med_err *err)
{
    for (size_t i = 0; i < l->count; i++) {
        if (l->concepts[i] == concept) return MED_OK;
    }
    if (l->count == l->limit) return MED_OK;
    /* Abbreviations are passages of somebody's text. */
    if (l->searcher->sources && l->t->concepts[concept].kind == MED_CONCEPT_ABBREVIATION)
        return MED_OK;
    enum med_code code = describe(l, concept, matched, &l->terms[l->count], err);
    if (!code) l->concepts[l->count++] = concept;
    return code;
}

/* Every concept that has a name of this key: preferred names first. */
static enum med_code add_key(
    struct lookup *l, struct med_str key, bool *ret_found, struct med_err *err)
{
    uint32_t first, count = med_thesaurus_find(l->t, key, &first);
    enum med_code code = MED_OK;
    *ret_found = count > 0;
    for (int preferred = 1; preferred >= 0; preferred--) {
        for (uint32_t i = first; !code && i < first + count; i++) {
            uint32_t name = l->t->keys[i], concept = l->t->names[name].concept;
            if ((l->t->concepts[concept].first_name == name) == preferred)
                code = add(l, concept, med_name_text(l->t, name), err);
        }
    }
    return code;
}

static enum med_code add_parts(struct lookup *l, const struct med_token *tokens, size_t count,
    struct med_buf *key, struct med_err *err)
{
    for (size_t i = 0; i < count;) {
        size_t n = count - i < MED_NAME_TERMS_MAX ? count - i : MED_NAME_TERMS_MAX;
        bool found = false;
        for (; n > 0 && !found; n -= !found) {
            med_buf_reset(key);
            med_thesaurus_key(tokens + i, n, key);
            enum med_code code = med_buf_status(key, err);
            if (!code) code = add_key(l, med_buf_str(key), &found, err);
            if (code) return code;
        }
        i += found ? n : 1;
    }
    return MED_OK;
}

static enum med_code add_beginning(struct lookup *l, struct med_str key, struct med_err *err)
{
    uint32_t at;
    enum med_code code = MED_OK;
    bool whole_words = key.len < PREFIX_BYTES_MIN; /* "ms" begins too much */
    (void)med_thesaurus_find(l->t, key, &at);
    for (uint32_t n = 0; !code && n < PREFIX_NAMES_MAX && at + n < l->t->key_count; n++) {
        uint32_t name = l->t->keys[at + n];
        struct med_str other = med_name_key(l->t, name);
        if (!med_str_starts(other, key) || l->count == l->limit) break;
        if (whole_words && other.len > key.len && other.ptr[key.len] != ' ') continue;
        code = add(l, l->t->names[name].concept, med_name_text(l->t, name), err);
    }
    return code;
}

enum med_code med_terms_find(const struct med_index *index, struct med_searcher *searcher,
    struct med_str text, size_t limit, struct med_arena *arena, struct med_term **ret_terms,
    size_t *ret_count, struct med_err *err)
{
    struct lookup l = {.index = index,
        .searcher = searcher,
        .t = &index->thesaurus,
        .arena = arena,
        .limit = limit,
        .terms = med_arena_calloc(arena, limit + 1, sizeof *l.terms),
        .concepts = med_arena_calloc(arena, limit + 1, sizeof *l.concepts)};
    const struct med_token *tokens;
    size_t count;
    bool found;
    uint32_t concept;
    struct med_buf key;
    if (!l.terms || !l.concepts) return out_of_memory(err);
    if (text.len > MED_QUERY_BYTES_MAX)
        return med_fail(err, MED_E_LIMIT, "the query has %zu bytes; at most %llu are accepted",
            text.len, MED_QUERY_BYTES_MAX);
    enum med_code code =
        med_thesaurus_descriptor(l.t, text, searcher->analyzer, &found, &concept, err);
    if (!code && found && med_str_eq(med_str_trim(text), med_concept_id(l.t, concept)))
        code = add(&l, concept, med_concept_id(l.t, concept), err);
    if (!code) code = med_analyze(searcher->analyzer, text, &tokens, &count, err);
    if (code) return code;
    med_buf_init(&key, KEY_BYTES_MAX);
    med_thesaurus_key(tokens, count, &key);
    code = med_buf_status(&key, err);
    if (!code && key.len) code = add_key(&l, med_buf_str(&key), &found, err);
    if (!code && key.len) code = add_beginning(&l, med_buf_str(&key), err);
    if (!code && l.count == 0) code = add_parts(&l, tokens, count, &key, err);
    med_buf_free(&key);
    if (code) return code;
    *ret_terms = l.terms;
    *ret_count = l.count;
    return MED_OK;
}

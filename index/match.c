/* Sets of documents. See match.h.
 *
 * A leaf is planned once (which terms of which index) and then run in every segment. The sets of a
 * segment live on a stack of bitmaps; an operator replaces its operands by its result. */
#include "index/match.h"

#include "common/unicode.h"
#include "index/doc_set.h"
#include "index/spell.h"

#include <stdarg.h>
#include <stdio.h>

enum plan_kind {
    PLAN_ROWS,      /* source or year: the document table */
    PLAN_FIELD_ANY, /* any of the terms in the fields index */
    PLAN_FIELD_ALL, /* all of them */
    PLAN_TEXT       /* all words, and together when it is a phrase */
};

struct word {
    struct med_str term;
    struct med_str prefix; /* "cardio" of "cardio*"; empty: the term alone */
    uint32_t start, end;
    bool extra;
};

struct plan {
    enum plan_kind kind;
    const struct query_node *leaf;
    struct med_str *terms;
    size_t term_count;
    struct word *words;
    size_t word_count;
    uint32_t source_mask;
};

struct matcher {
    const struct med_index *index;
    struct med_searcher *searcher;
    const struct med_search_request *request;
    struct med_arena *arena;
    struct med_ranking *ranking;
    struct query_node *nodes; /* the tree, then the filter */
    size_t node_count;
    struct plan *plans; /* parallel to nodes; leaves only */
    uint64_t *stack[MED_QUERY_DEPTH_MAX + 4];
    uint64_t *spare, *spare_2, *labelled, *titled; /* of a leaf that is being run */
    size_t words;                                  /* of the largest segment's bitmaps */
    struct phrase_check check;
};

static enum med_code out_of_memory(struct med_err *err)
{
    return med_fail(err, MED_E_NOMEM, "the search needs more memory than one request may use");
}

enum med_code notice_add(
    struct med_ranking *ranking, struct med_arena *arena, struct med_err *err, const char *fmt, ...)
{
    char text[400];
    va_list args;
    if (ranking->notice_count == MED_NOTICES_MAX) return MED_OK;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (!ranking->notices)
        ranking->notices = med_arena_calloc(arena, MED_NOTICES_MAX, sizeof *ranking->notices);
    if (!ranking->notices ||
        !med_arena_str(arena, med_str_of(text), &ranking->notices[ranking->notice_count]))
        return out_of_memory(err);
    ranking->notice_count++;
    return MED_OK;
}

/* --- the filter as a program --- */

static void push_node(struct matcher *m, struct query_node node)
{
    m->nodes[m->node_count++] = node;
}

/* "any of the list", joined with what stands before by AND. */
static void push_list(struct matcher *m, enum query_scope scope, struct med_str_list list)
{
    bool before = m->node_count > 0;
    for (size_t i = 0; i < list.count; i++) {
        push_node(
            m, (struct query_node){.scope = scope, .phrase = true, .text = list.items[i], .at = 0});
        if (i) push_node(m, (struct query_node){.op = QUERY_OR});
    }
    if (before && list.count) push_node(m, (struct query_node){.op = QUERY_AND});
}

static enum med_code make_program(
    struct matcher *m, const struct query_tree *tree, struct med_err *err)
{
    const struct med_search_filter *f = &m->request->filter;
    size_t cap = tree->count +
                 2 * (f->types.count + f->journals.count + f->languages.count + f->mesh.count) + 8;
    m->nodes = med_arena_calloc(m->arena, cap, sizeof *m->nodes);
    m->plans = med_arena_calloc(m->arena, cap, sizeof *m->plans);
    if (!m->nodes || !m->plans) return out_of_memory(err);
    if (tree->count) memcpy(m->nodes, tree->nodes, tree->count * sizeof *m->nodes);
    m->node_count = tree->count;
    push_list(m, QUERY_TYPE, f->types);
    push_list(m, QUERY_JOURNAL, f->journals);
    push_list(m, QUERY_LANGUAGE, f->languages);
    push_list(m, QUERY_MESH, f->mesh);
    return MED_OK;
}

/* --- planning a leaf --- */

/* Whether a live document has the term among its fields. More documents than are dead tell it at
 * once; of rarer terms the documents are looked at. */
static enum med_code somewhere(
    struct matcher *m, struct med_str term, bool *ret_exists, struct med_err *err)
{
    *ret_exists = false;
    for (uint32_t i = 0; !*ret_exists && i < m->index->segment_count; i++) {
        const struct med_segment *s = m->index->segments[i];
        uint32_t ordinal, df;
        if (!med_lex_find(s->fields, term, &ordinal, &df)) continue;
        *ret_exists = df > s->patch.dead_doc_count;
        if (*ret_exists) break;
        memset(m->spare, 0, doc_set_words(s) * sizeof *m->spare);
        enum med_code code =
            med_lex_mark(s->fields, m->searcher->scratch, ordinal, NULL, m->spare, err);
        if (code) return code;
        for (size_t k = 0; k < doc_set_words(s); k++) *ret_exists |= m->spare[k] & s->live_docs[k];
    }
    return MED_OK;
}

static enum med_code add_field_term(struct matcher *m, struct plan *p, enum med_field field,
    struct med_str value, bool *ret_exists, struct med_err *err)
{
    struct med_buf buf;
    med_buf_init(&buf, MED_KIB);
    enum med_code code = med_field_term(field, value, &buf, err);
    bool exists = false;
    if (!code && buf.len > 1) code = somewhere(m, med_buf_str(&buf), &exists, err);
    if (exists && !med_arena_str(m->arena, med_buf_str(&buf), &p->terms[p->term_count]))
        code = out_of_memory(err);
    else if (exists)
        p->term_count++;
    med_buf_free(&buf);
    *ret_exists |= exists;
    return code;
}

/* Words of the value as terms of a field, all of which must be there. */
static enum med_code add_field_words(
    struct matcher *m, struct plan *p, enum med_field field, struct med_err *err)
{
    const struct med_token *tokens;
    size_t count;
    enum med_code code = med_analyze(m->searcher->analyzer, p->leaf->text, &tokens, &count, err);
    if (code) return code;
    p->kind = PLAN_FIELD_ALL;
    p->terms = med_arena_calloc(m->arena, count + 1, sizeof *p->terms);
    if (!p->terms) return out_of_memory(err);
    for (size_t i = 0; i < count; i++) {
        if (tokens[i].extra) continue;
        char *term =
            med_arena_printf(m->arena, "%c" MED_STR_FMT, (char)field, MED_STR_ARG(tokens[i].term));
        if (!term) return out_of_memory(err);
        p->terms[p->term_count++] = med_str_of(term);
    }
    return MED_OK;
}

static bool is_nearer(unsigned a, struct med_str text_a, unsigned b, struct med_str text_b)
{
    return a != b ? a < b : med_str_cmp(text_a, text_b) < 0;
}

/* The values that live documents have, as bits; NULL: all. */
static enum med_code live_values(const struct matcher *m, const struct med_segment *s,
    uint64_t **ret_values, struct med_err *err)
{
    const struct med_attributes *a = &s->attributes;
    *ret_values = NULL;
    if (!s->live_docs) return MED_OK;
    uint64_t *values = med_arena_calloc(m->arena, (size_t)a->value_count / 64 + 1, sizeof *values);
    if (!values) return out_of_memory(err);
    for (uint32_t d = 0; d < s->doc_count; d++) {
        if (!med_segment_is_live(s, d)) continue;
        for (uint32_t i = a->doc_start[d]; i < a->doc_start[d + 1]; i++)
            values[a->entries[i] >> 6] |= 1ull << (a->entries[i] & 63);
    }
    *ret_values = values;
    return MED_OK;
}

/* Values that look like what was asked for, nearest first, then by their bytes, as text in `out`.
 */
static enum med_code near_values(const struct matcher *m, enum med_field field,
    struct med_str asked, char *out, size_t out_size, struct med_err *err)
{
    struct med_str near[3];
    unsigned distances[3];
    size_t count = 0;
    unsigned cap = asked.len < 5 ? 2 : asked.len < 12 ? 3 : 5;
    for (uint32_t s = 0; s < m->index->segment_count; s++) {
        const struct med_attributes *a = &m->index->segments[s]->attributes;
        uint64_t *live;
        enum med_code code = live_values(m, m->index->segments[s], &live, err);
        if (code) return code;
        for (uint32_t v = 0; v < a->value_count; v++) {
            if (med_attribute_field(a, v) != field) continue;
            if (live && !(live[v >> 6] >> (v & 63) & 1)) continue;
            struct med_str text = med_attribute_text(a, v);
            unsigned d = spell_distance(asked, text, cap);
            bool begins = asked.len >= 3 && text.len > asked.len &&
                          med_str_eq_nocase(asked, med_str_sub(text, 0, asked.len));
            size_t head = asked.len < text.len ? asked.len : text.len;
            unsigned start = spell_distance(asked, med_str_sub(text, 0, head), cap);
            if (d == cap && start < cap) d = start;
            if (d == cap && begins) d = cap - 1;
            bool known = d == cap;
            for (size_t i = 0; i < count; i++) known |= med_str_eq(near[i], text);
            if (known) continue;
            if (count == 3 && !is_nearer(d, text, distances[2], near[2])) continue;
            size_t at = count < 3 ? count++ : 2;
            for (; at > 0 && is_nearer(d, text, distances[at - 1], near[at - 1]); at--) {
                near[at] = near[at - 1];
                distances[at] = distances[at - 1];
            }
            near[at] = text;
            distances[at] = d;
        }
    }
    int used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < count && used >= 0 && (size_t)used < out_size; i++)
        used += snprintf(out + used, out_size - (size_t)used, "%s\"" MED_STR_FMT "\"",
            i ? ", " : "; near are ", MED_STR_ARG(near[i]));
    return MED_OK;
}

static const char *label_of(enum query_scope scope)
{
    return scope == QUERY_TYPE       ? "publication type"
           : scope == QUERY_LANGUAGE ? "language"
           : scope == QUERY_JOURNAL  ? "journal"
           : scope == QUERY_AUTHOR   ? "author"
                                     : "MeSH heading";
}

static enum med_code tell_unknown(
    struct matcher *m, const struct plan *p, enum med_field field, struct med_err *err)
{
    char near[300];
    enum med_code code = near_values(m, field, p->leaf->text, near, sizeof near, err);
    if (code) return code;
    return notice_add(m->ranking, m->arena, err, "no document has the %s \"%.*s\"%s",
        label_of(p->leaf->scope), (int)(p->leaf->text.len < 60 ? p->leaf->text.len : 60),
        p->leaf->text.ptr, near);
}

/* The descriptor that the value names, by any of its names, and all that are narrower. */
static enum med_code add_exploded(
    struct matcher *m, struct plan *p, enum med_field field, bool *ret_exists, struct med_err *err)
{
    const struct med_thesaurus *t = &m->index->thesaurus;
    uint32_t concept, *all;
    size_t count;
    bool found;
    if (t->concept_count == 0) return MED_OK;
    enum med_code code =
        med_thesaurus_descriptor(t, p->leaf->text, m->searcher->analyzer, &found, &concept, err);
    if (code || !found) return code;
    code = med_thesaurus_explode(t, concept, m->arena, &all, &count, err);
    if (code) return code;
    p->terms = med_arena_calloc(m->arena, count + 3, sizeof *p->terms);
    if (!p->terms) return out_of_memory(err);
    for (size_t i = 0; !code && i < count; i++) {
        struct med_str name = med_name_text(t, t->concepts[all[i]].first_name);
        code = add_field_term(m, p, field, name, ret_exists, err);
    }
    return code;
}

static enum med_code plan_field(struct matcher *m, struct plan *p, struct med_err *err)
{
    bool exists = false;
    struct med_str value = p->leaf->text;
    enum med_code code = MED_OK;
    enum med_field field = MED_FIELD_MESH, words = 0;
    p->kind = PLAN_FIELD_ANY;
    p->terms = med_arena_calloc(m->arena, 3, sizeof *p->terms);
    if (!p->terms) return out_of_memory(err);
    switch (p->leaf->scope) {
    case QUERY_MESH: words = MED_FIELD_MESH_WORD; break;
    case QUERY_MAJR: field = MED_FIELD_MESH_MAJOR; break;
    case QUERY_JOURNAL:
        field = MED_FIELD_JOURNAL;
        words = MED_FIELD_JOURNAL_WORD;
        break;
    case QUERY_AUTHOR:
        field = MED_FIELD_AUTHOR;
        code = add_field_term(m, p, MED_FIELD_AUTHOR_FAMILY, value, &exists, err);
        break;
    case QUERY_TYPE: field = MED_FIELD_TYPE; break;
    case QUERY_LANGUAGE:
        field = MED_FIELD_LANGUAGE;
        value = med_language_code(value);
        break;
    case QUERY_ALL:
    case QUERY_TITLE:
    case QUERY_TEXT:
    case QUERY_SOURCE:
    case QUERY_YEAR:
    case QUERY_SCOPE_COUNT: return med_fail(err, MED_E_INTERNAL, "a leaf without a field");
    }
    bool mesh = p->leaf->scope == QUERY_MESH || p->leaf->scope == QUERY_MAJR;
    if (!code && mesh) code = add_exploded(m, p, field, &exists, err);
    if (!code) code = add_field_term(m, p, field, value, &exists, err);
    if (code || exists) return code;
    if (words) {
        code = add_field_words(m, p, words, err);
        exists = p->term_count > 0;
        for (size_t i = 0; !code && exists && i < p->term_count; i++)
            code = somewhere(m, p->terms[i], &exists, err);
    }
    if (field == MED_FIELD_MESH_MAJOR) field = MED_FIELD_MESH;
    return code || exists ? code : tell_unknown(m, p, field, err);
}

static enum med_code plan_source(struct plan *p, struct med_err *err)
{
    p->kind = PLAN_ROWS;
    for (unsigned i = 0; i < MED_SOURCE_COUNT; i++) {
        if (med_str_eq_nocase(p->leaf->text, med_str_of(med_source_name((enum med_source)i))))
            p->source_mask |= 1u << i;
    }
    if (p->source_mask) return MED_OK;
    return med_fail(err, MED_E_INVALID,
        "query, byte %u: \"%.*s\" is no source; expected pubmed, pmc, guideline or other",
        p->leaf->at, (int)(p->leaf->text.len < 40 ? p->leaf->text.len : 40), p->leaf->text.ptr);
}

/* The bytes in front of a trailing "*", folded; empty when there is none. */
static enum med_code prefix_of(struct matcher *m, struct med_str text,
    const struct med_token *token, struct med_str *ret_prefix, struct med_err *err)
{
    *ret_prefix = (struct med_str){0};
    if (token->extra || token->end >= text.len || text.ptr[token->end] != '*' ||
        token->end - token->start < MED_QUERY_PREFIX_BYTES_MIN)
        return MED_OK;
    struct med_buf folded;
    med_buf_init(&folded, MED_KIB);
    enum med_code code = med_utf8_fold(med_str_sub(text, token->start, token->end), &folded, err);
    if (!code && !med_arena_str(m->arena, med_buf_str(&folded), ret_prefix))
        code = out_of_memory(err);
    med_buf_free(&folded);
    return code;
}

static enum med_code plan_text(struct matcher *m, struct plan *p, struct med_err *err)
{
    const struct med_token *tokens;
    size_t count;
    struct med_str text = p->leaf->text;
    enum med_code code = med_analyze(m->searcher->analyzer, text, &tokens, &count, err);
    if (code) return code;
    p->kind = PLAN_TEXT;
    p->words = med_arena_calloc(m->arena, count + 1, sizeof *p->words);
    p->terms = med_arena_calloc(m->arena, count + 1, sizeof *p->terms);
    if (!p->words || !p->terms) return out_of_memory(err);
    for (int all = p->leaf->phrase; all < 2 && p->word_count == 0; all++) {
        for (size_t i = 0; !code && i < count; i++) {
            if (!all && med_is_function_word(text, &tokens[i])) continue;
            struct word *w = &p->words[p->word_count++];
            *w = (struct word){
                .start = tokens[i].start, .end = tokens[i].end, .extra = tokens[i].extra};
            if (!med_arena_str(m->arena, tokens[i].term, &w->term)) return out_of_memory(err);
            code = prefix_of(m, text, &tokens[i], &w->prefix, err);
            if (p->leaf->phrase && !w->extra) p->terms[p->term_count++] = w->term;
        }
    }
    return code;
}

static enum med_code plan_leaves(struct matcher *m, struct med_err *err)
{
    for (size_t i = 0; i < m->node_count; i++) {
        struct plan *p = &m->plans[i];
        enum med_code code = MED_OK;
        p->leaf = &m->nodes[i];
        if (p->leaf->op != QUERY_LEAF) continue;
        if (p->leaf->scope == QUERY_YEAR)
            p->kind = PLAN_ROWS;
        else if (p->leaf->scope == QUERY_SOURCE)
            code = plan_source(p, err);
        else if (p->leaf->scope <= QUERY_TEXT)
            code = plan_text(m, p, err);
        else
            code = plan_field(m, p, err);
        if (code) return code;
    }
    return MED_OK;
}

/* --- running in a segment --- */

static enum med_code mark_field(struct matcher *m, const struct med_segment *s, struct med_str term,
    uint64_t *set, struct med_err *err)
{
    uint32_t ordinal;
    if (!med_lex_find(s->fields, term, &ordinal, NULL)) return MED_OK;
    return med_lex_mark(s->fields, m->searcher->scratch, ordinal, NULL, set, err);
}

static enum med_code mark_prefix(struct matcher *m, const struct med_lex *lex,
    const uint32_t *groups, struct med_str prefix, uint64_t *set, struct med_err *err)
{
    struct med_buf term;
    uint32_t ordinal;
    med_buf_init(&term, MED_KIB);
    enum med_code code = med_lex_lower_bound(lex, prefix, &ordinal, err);
    for (uint32_t n = 0; !code && ordinal < med_lex_term_count(lex); n++, ordinal++) {
        med_buf_reset(&term);
        code = med_lex_term_at(lex, ordinal, &term, NULL, err);
        if (code || !med_str_starts(med_buf_str(&term), prefix)) break;
        if (n == MED_PREFIX_TERMS_MAX)
            code = med_fail(err, MED_E_LIMIT,
                "more than %u words begin with \"" MED_STR_FMT "\"; write more letters before *",
                MED_PREFIX_TERMS_MAX, MED_STR_ARG(prefix));
        if (!code) code = med_lex_mark(lex, m->searcher->scratch, ordinal, groups, set, err);
    }
    med_buf_free(&term);
    return code;
}

/* Documents with the word in a field of words: bits are added to `set`. */
static enum med_code mark_label(struct matcher *m, const struct med_segment *s,
    enum med_field field, const struct word *w, uint64_t *set, struct med_err *err)
{
    char *term = med_arena_printf(m->arena, "%c" MED_STR_FMT, (char)field, MED_STR_ARG(w->term));
    if (!term) return out_of_memory(err);
    enum med_code code = mark_field(m, s, med_str_of(term), set, err);
    if (code || !w->prefix.len) return code;
    term = med_arena_printf(m->arena, "%c" MED_STR_FMT, (char)field, MED_STR_ARG(w->prefix));
    if (!term) return out_of_memory(err);
    return mark_prefix(m, s->fields, NULL, med_str_of(term), set, err);
}

/* Takes those away that have the word among MeSH and keywords only. */
static enum med_code drop_labels(struct matcher *m, const struct med_segment *s,
    const struct word *w, uint64_t *set, struct med_err *err)
{
    static const enum med_field fields[] = {MED_FIELD_MESH_WORD, MED_FIELD_KEYWORD_WORD};
    size_t n = doc_set_words(s);
    uint64_t *labelled = m->labelled, *title = m->titled;
    struct phrase phrase = {.terms = &w->term, .term_count = 1, .prefix = w->prefix};
    memset(labelled, 0, n * sizeof *labelled);
    memset(title, 0, n * sizeof *title);
    enum med_code code = mark_label(m, s, MED_FIELD_TITLE_WORD, w, title, err);
    for (size_t i = 0; !code && i < 2; i++) {
        code = mark_label(m, s, fields[i], w, labelled, err);
    }
    for (size_t i = 0; i < n; i++) {
        labelled[i] &= set[i] & ~title[i];
        set[i] &= ~labelled[i];
    }
    if (!code) code = phrase_filter(&m->check, s, labelled, &phrase, QUERY_TEXT, err);
    for (size_t i = 0; i < n; i++) set[i] |= labelled[i];
    return code;
}

static enum med_code mark_word(struct matcher *m, const struct med_segment *s, const struct word *w,
    enum query_scope scope, uint64_t *set, struct med_err *err)
{
    uint32_t ordinal;
    enum med_code code = MED_OK;
    memset(set, 0, doc_set_words(s) * sizeof *set);
    if (scope == QUERY_TITLE) return mark_label(m, s, MED_FIELD_TITLE_WORD, w, set, err);
    if (med_segment_find(s, w->term, &ordinal, NULL))
        code = med_lex_mark(s->lex, m->searcher->scratch, ordinal, s->chunk_doc, set, err);
    if (!code && w->prefix.len) code = mark_prefix(m, s->lex, s->chunk_doc, w->prefix, set, err);
    if (!code && scope == QUERY_TEXT) code = drop_labels(m, s, w, set, err);
    return code;
}

static bool covers(const struct word *joined, const struct word *part)
{
    return joined->extra && !part->extra && joined->start <= part->start &&
           part->end <= joined->end;
}

/* All words; a compound ("IL-6") by its parts or by its joined form ("il6"). */
static enum med_code run_words(struct matcher *m, const struct plan *p, const struct med_segment *s,
    uint64_t *set, struct med_err *err)
{
    size_t n = doc_set_words(s);
    enum query_scope scope = p->leaf->scope;
    bool adjacent = p->leaf->phrase && p->term_count > 1;
    enum query_scope of_word = adjacent && scope == QUERY_TEXT ? QUERY_ALL : scope;
    doc_set_fill(set, s->doc_count);
    for (size_t i = 0; i < p->word_count; i++) {
        const struct word *w = &p->words[i];
        bool covered = false;
        if (p->leaf->phrase && w->extra) continue;
        for (size_t k = 0; !p->leaf->phrase && k < p->word_count; k++)
            covered |= covers(&p->words[k], w);
        if (covered) continue;
        enum med_code code = MED_OK;
        uint64_t *one = m->spare, *parts = m->spare_2;
        if (w->extra) {
            doc_set_fill(parts, s->doc_count);
            for (size_t k = 0; !code && k < p->word_count; k++) {
                if (!covers(w, &p->words[k])) continue;
                code = mark_word(m, s, &p->words[k], of_word, one, err);
                doc_set_and(parts, one, n);
            }
        }
        if (!code) code = mark_word(m, s, w, of_word, one, err);
        if (code) return code;
        for (size_t k = 0; w->extra && k < n; k++) one[k] |= parts[k];
        doc_set_and(set, one, n);
    }
    if (p->word_count == 0) memset(set, 0, n * sizeof *set);
    if (!adjacent) return MED_OK;
    struct phrase phrase = {.terms = p->terms, .term_count = p->term_count};
    return phrase_filter(&m->check, s, set, &phrase, scope, err);
}

static void run_rows(const struct plan *p, const struct med_segment *s, uint64_t *set)
{
    doc_set_fill(set, s->doc_count);
    if (p->leaf->scope == QUERY_SOURCE)
        doc_set_sources(s, set, p->source_mask);
    else
        doc_set_years(s, set, p->leaf->year_min, p->leaf->year_max);
}

static enum med_code run_leaf(struct matcher *m, const struct plan *p, const struct med_segment *s,
    uint64_t *set, struct med_err *err)
{
    enum med_code code = MED_OK;
    size_t n = doc_set_words(s);
    if (p->kind == PLAN_TEXT) return run_words(m, p, s, set, err);
    if (p->kind == PLAN_ROWS) {
        run_rows(p, s, set);
        return MED_OK;
    }
    memset(set, 0, n * sizeof *set);
    if (p->kind == PLAN_FIELD_ALL && p->term_count) doc_set_fill(set, s->doc_count);
    for (size_t i = 0; !code && i < p->term_count; i++) {
        if (p->kind == PLAN_FIELD_ANY) {
            code = mark_field(m, s, p->terms[i], set, err);
            continue;
        }
        memset(m->spare, 0, n * sizeof *m->spare);
        code = mark_field(m, s, p->terms[i], m->spare, err);
        doc_set_and(set, m->spare, n);
    }
    return code;
}

static enum med_code run_program(
    struct matcher *m, const struct med_segment *s, uint64_t **ret_set, struct med_err *err)
{
    size_t depth = 0, n = doc_set_words(s);
    for (size_t i = 0; i < m->node_count; i++) {
        enum query_op op = m->nodes[i].op;
        if (op == QUERY_LEAF) {
            uint64_t **top = &m->stack[depth++];
            if (!*top) *top = med_arena_alloc(m->arena, m->words * sizeof **top);
            if (!*top) return out_of_memory(err);
            enum med_code code = run_leaf(m, &m->plans[i], s, *top, err);
            if (code && m->nodes[i].scope <= QUERY_TEXT)
                med_err_prefix(err, "query, byte %u", m->nodes[i].at);
            if (code) return code;
            continue;
        }
        uint64_t *a = m->stack[op == QUERY_NOT ? depth - 1 : depth - 2], *b = m->stack[depth - 1];
        if (op == QUERY_NOT) {
            doc_set_fill(m->spare, s->doc_count);
            for (size_t k = 0; k < n; k++) a[k] = m->spare[k] & ~a[k];
        } else {
            for (size_t k = 0; k < n; k++) a[k] = op == QUERY_AND ? a[k] & b[k] : a[k] | b[k];
            depth--;
        }
    }
    *ret_set = depth ? m->stack[0] : NULL;
    return MED_OK;
}

/* --- from documents to passages --- */

static void keep_passing(const struct matcher *m, const struct med_segment *s, uint64_t *docs)
{
    const struct med_search_filter *f = &m->request->filter;
    uint32_t d;
    doc_set_and(docs, s->columns->with_chunks, doc_set_words(s));
    if (s->live_docs) doc_set_and(docs, s->live_docs, doc_set_words(s));
    if (f->year_min || f->year_max) doc_set_years(s, docs, f->year_min, f->year_max);
    if (f->source_mask) doc_set_sources(s, docs, f->source_mask);
    if (m->searcher->sources) doc_set_sources(s, docs, m->searcher->sources);
    if (f->evidence_mask) doc_set_evidence(s, docs, f->evidence_mask);
    if (f->flags_all | f->flags_none) doc_set_flags(s, docs, f->flags_all, f->flags_none);
    if (m->request->exclude_id.len && med_segment_find_doc(s, 0, m->request->exclude_id, &d))
        docs[d >> 6] &= ~(1ull << (d & 63));
}

static enum med_code make_filter(struct matcher *m, const struct med_segment *s,
    const uint64_t *set, struct med_filter *ret_filter, uint64_t **ret_docs, struct med_err *err)
{
    size_t n = doc_set_words(s);
    uint64_t *words = med_arena_alloc(m->arena, ((size_t)s->chunk_count / 64 + 1) * sizeof *words);
    uint64_t *docs = med_arena_alloc(m->arena, n * sizeof *docs);
    if (!words || !docs) return out_of_memory(err);
    if (set)
        memcpy(docs, set, n * sizeof *docs);
    else
        doc_set_fill(docs, s->doc_count);
    keep_passing(m, s, docs);
    *ret_filter =
        (struct med_filter){.words = words, .set_count = doc_set_passages(s, docs, words)};
    *ret_docs = docs;
    return MED_OK;
}

static bool filter_is_open(const struct med_searcher *searcher, const struct med_search_request *r)
{
    static const struct med_search_filter open;
    return memcmp(&r->filter, &open, sizeof open) == 0 && r->exclude_id.len == 0 &&
           !searcher->sources;
}

static enum med_code make_spare(struct matcher *m, struct med_err *err)
{
    for (uint32_t i = 0; i < m->index->segment_count; i++)
        if (doc_set_words(m->index->segments[i]) > m->words)
            m->words = doc_set_words(m->index->segments[i]);
    m->spare = med_arena_alloc(m->arena, (4 * m->words + 1) * sizeof *m->spare);
    if (!m->spare) return out_of_memory(err);
    m->spare_2 = m->spare + m->words;
    m->labelled = m->spare_2 + m->words;
    m->titled = m->labelled + m->words;
    return MED_OK;
}

static enum med_code make_sets(struct matcher *m, struct match *match, struct med_err *err)
{
    for (uint32_t i = 0; i < m->index->segment_count; i++) {
        uint64_t *set = NULL;
        const struct med_segment *s = m->index->segments[i];
        enum med_code code = run_program(m, s, &set, err);
        if (!code) code = make_filter(m, s, set, &match->filters[i], &match->docs[i], err);
        if (code) return code;
    }
    return MED_OK;
}

enum med_code match_make(const struct med_index *index, struct med_searcher *searcher,
    const struct med_search_request *request, const struct query *query, struct med_arena *arena,
    struct med_ranking *ranking, struct match *ret_match, struct med_err *err)
{
    struct matcher m = {.index = index,
        .searcher = searcher,
        .request = request,
        .arena = arena,
        .ranking = ranking,
        .check = {.index = index, .analyzer = searcher->analyzer}};
    struct match match = {.restricted = query->tree.count > 0};
    match.filters = med_arena_calloc(arena, index->segment_count + 1, sizeof *match.filters);
    match.docs = med_arena_calloc(arena, index->segment_count + 1, sizeof *match.docs);
    if (!match.filters || !match.docs) return out_of_memory(err);
    for (uint32_t i = 0; i < index->segment_count; i++) {
        match.filters[i] = index->segments[i]->live_chunks;
        match.docs[i] = index->segments[i]->live_docs;
    }
    if (match.restricted || !filter_is_open(searcher, request)) {
        enum med_code code = make_program(&m, &query->tree, err);
        if (!code) code = make_spare(&m, err);
        if (!code) code = plan_leaves(&m, err);
        if (!code) code = make_sets(&m, &match, err);
        phrase_check_close(&m.check);
        if (code) return code;
    }
    *ret_match = match;
    return MED_OK;
}

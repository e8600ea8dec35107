/* Opening a thesaurus and looking things up. See thesaurus.h. */
#include "index/thesaurus.h"

#include "common/limits.h"

#include <stdlib.h>

#define KEY_BYTES_MAX (16 * MED_KIB)

static enum med_code corrupt(struct med_err *err, const char *what)
{
    return med_fail(err, MED_E_CORRUPT, "the thesaurus is damaged: %s", what);
}

static bool in_heap(uint64_t at, uint64_t len, uint64_t heap_len)
{
    return at <= heap_len && len <= heap_len - at;
}

/* --- validation --- */

static enum med_code check_concepts(
    const struct med_thesaurus *t, uint64_t heap_len, struct med_err *err)
{
    uint32_t name = 0, tree = 0;
    for (uint32_t i = 0; i < t->concept_count; i++) {
        const struct med_concept *c = &t->concepts[i];
        if (c->kind >= MED_CONCEPT_KIND_COUNT || c->share > 100 || c->name_count == 0 ||
            !in_heap(c->id, c->id_len, heap_len))
            return corrupt(err, "a concept is out of range");
        if (c->first_name != name || c->name_count > t->name_count - name ||
            c->first_tree != tree || c->tree_count > t->tree_count - tree)
            return corrupt(err, "concepts and names disagree");
        for (uint32_t k = 0; k < c->name_count; k++) {
            const struct med_name *n = &t->names[name + k];
            if (n->concept != i || n->text_len == 0 || !in_heap(n->text, n->text_len, heap_len) ||
                !in_heap(n->key, n->key_len, heap_len))
                return corrupt(err, "a name is out of range");
        }
        for (uint32_t k = 0; k < c->tree_count; k++) {
            const struct med_tree *r = &t->trees[tree + k];
            if (r->concept != i || r->len == 0 || !in_heap(r->text, r->len, heap_len))
                return corrupt(err, "a tree number is out of range");
        }
        name += c->name_count;
        tree += c->tree_count;
    }
    if (name != t->name_count || tree != t->tree_count)
        return corrupt(err, "concepts and names disagree");
    return MED_OK;
}

static enum med_code check_order(const struct med_thesaurus *t, struct med_err *err)
{
    for (uint32_t i = 0; i < t->key_count; i++) {
        if (t->keys[i] >= t->name_count) return corrupt(err, "a key is out of range");
        if (i && med_str_cmp(med_name_key(t, t->keys[i - 1]), med_name_key(t, t->keys[i])) > 0)
            return corrupt(err, "keys are out of order");
    }
    for (uint32_t i = 0; i < t->tree_count; i++) {
        if (t->by_tree[i] >= t->tree_count) return corrupt(err, "a tree number is out of range");
        if (i &&
            med_str_cmp(med_tree_text(t, t->by_tree[i - 1]), med_tree_text(t, t->by_tree[i])) > 0)
            return corrupt(err, "tree numbers are out of order");
    }
    return MED_OK;
}

enum med_code med_thesaurus_open(
    const void *ptr, size_t len, struct med_thesaurus *ret_thesaurus, struct med_err *err)
{
    struct med_thesaurus_header h;
    if (len == 0) {
        *ret_thesaurus = (struct med_thesaurus){0};
        return MED_OK;
    }
    if (len < sizeof h) return corrupt(err, "it has no header");
    memcpy(&h, ptr, sizeof h);
    if (memcmp(h.magic, MED_THESAURUS_MAGIC, sizeof h.magic) != 0)
        return corrupt(err, "it has no header");
    uint64_t concepts = (uint64_t)h.concept_count * sizeof(struct med_concept);
    uint64_t names = (uint64_t)h.name_count * sizeof(struct med_name);
    uint64_t keys = (uint64_t)h.key_count * sizeof(uint32_t);
    uint64_t trees = (uint64_t)h.tree_count * sizeof(struct med_tree);
    uint64_t by_tree = (uint64_t)h.tree_count * sizeof(uint32_t);
    uint64_t tables = concepts + names + keys + trees + by_tree, left = len - sizeof h;
    if (left < tables || left - tables != h.heap_len) return corrupt(err, "it has the wrong size");
    const uint8_t *p = (const uint8_t *)ptr + sizeof h;
    struct med_thesaurus t = {.concepts = (const struct med_concept *)p,
        .names = (const struct med_name *)(p + concepts),
        .keys = (const uint32_t *)(p + concepts + names),
        .trees = (const struct med_tree *)(p + concepts + names + keys),
        .by_tree = (const uint32_t *)(p + concepts + names + keys + trees),
        .heap = (const char *)p + tables,
        .concept_count = h.concept_count,
        .name_count = h.name_count,
        .key_count = h.key_count,
        .tree_count = h.tree_count};
    enum med_code code = check_concepts(&t, h.heap_len, err);
    if (!code) code = check_order(&t, err);
    if (!code) *ret_thesaurus = t;
    return code;
}

/* --- strings --- */

struct med_str med_concept_id(const struct med_thesaurus *t, uint32_t concept)
{
    const struct med_concept *c = &t->concepts[concept];
    return (struct med_str){.ptr = t->heap + c->id, .len = c->id_len};
}

struct med_str med_name_text(const struct med_thesaurus *t, uint32_t name)
{
    const struct med_name *n = &t->names[name];
    return (struct med_str){.ptr = t->heap + n->text, .len = n->text_len};
}

struct med_str med_name_key(const struct med_thesaurus *t, uint32_t name)
{
    const struct med_name *n = &t->names[name];
    return (struct med_str){.ptr = t->heap + n->key, .len = n->key_len};
}

struct med_str med_tree_text(const struct med_thesaurus *t, uint32_t tree)
{
    return (struct med_str){.ptr = t->heap + t->trees[tree].text, .len = t->trees[tree].len};
}

void med_thesaurus_key(const struct med_token *tokens, size_t count, struct med_buf *out)
{
    for (size_t i = 0; i < count; i++) {
        if (i) med_buf_putc(out, ' ');
        med_buf_append_str(out, tokens[i].term);
    }
}

/* --- look-up --- */

uint32_t med_thesaurus_find(const struct med_thesaurus *t, struct med_str key, uint32_t *ret_first)
{
    uint32_t low = 0, high = t->key_count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (med_str_cmp(med_name_key(t, t->keys[mid]), key) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    uint32_t end = low;
    while (end < t->key_count && med_str_eq(med_name_key(t, t->keys[end]), key)) end++;
    *ret_first = low;
    return end - low;
}

/* Descriptors are in byte order of their ids, in front of the abbreviations. */
static bool find_id(const struct med_thesaurus *t, struct med_str id, uint32_t *ret_concept)
{
    uint32_t low = 0, high = t->concept_count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        bool before = t->concepts[mid].kind == MED_CONCEPT_DESCRIPTOR;
        int order = before ? med_str_cmp(med_concept_id(t, mid), id) : 1;
        if (order == 0) {
            *ret_concept = mid;
            return true;
        }
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return false;
}

enum med_code med_thesaurus_descriptor(const struct med_thesaurus *t, struct med_str text,
    struct med_analyzer *analyzer, bool *ret_found, uint32_t *ret_concept, struct med_err *err)
{
    const struct med_token *tokens;
    struct med_buf key;
    size_t count;
    text = med_str_trim(text);
    *ret_found = find_id(t, text, ret_concept);
    if (*ret_found) return MED_OK;
    enum med_code code = med_analyze(analyzer, text, &tokens, &count, err);
    if (code) return code;
    med_buf_init(&key, KEY_BYTES_MAX);
    med_thesaurus_key(tokens, count, &key);
    uint32_t first = 0, n = 0, best = UINT32_MAX;
    if (!key.code && key.len) n = med_thesaurus_find(t, med_buf_str(&key), &first);
    med_buf_free(&key);
    for (uint32_t i = first; i < first + n; i++) {
        const struct med_name *name = &t->names[t->keys[i]];
        const struct med_concept *c = &t->concepts[name->concept];
        if (c->kind != MED_CONCEPT_DESCRIPTOR) continue;
        bool preferred = t->keys[i] == c->first_name;
        if (preferred || best == UINT32_MAX) best = name->concept;
        if (preferred) break;
    }
    *ret_found = best != UINT32_MAX;
    if (*ret_found) *ret_concept = best;
    return MED_OK;
}

/* --- explosion --- */

static int by_ordinal(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* Where the tree numbers that are not before `text` begin. */
static uint32_t lower_bound(const struct med_thesaurus *t, struct med_str text)
{
    uint32_t low = 0, high = t->tree_count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (med_str_cmp(med_tree_text(t, t->by_tree[mid]), text) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static bool is_below(struct med_str tree, struct med_str top)
{
    return med_str_starts(tree, top) && (tree.len == top.len || tree.ptr[top.len] == '.');
}

enum med_code med_thesaurus_explode(const struct med_thesaurus *t, uint32_t concept,
    struct med_arena *arena, uint32_t **ret_concepts, size_t *ret_count, struct med_err *err)
{
    const struct med_concept *c = &t->concepts[concept];
    size_t count = 1;
    uint32_t *list = NULL;
    for (int pass = 0; pass < 2; pass++) { /* count, then fill */
        size_t n = 0;
        if (pass) list = med_arena_alloc(arena, count * sizeof *list);
        if (pass && !list) return med_fail(err, MED_E_NOMEM, "the request needs too much memory");
        if (pass) list[n] = concept;
        n++;
        for (uint32_t k = 0; k < c->tree_count; k++) {
            struct med_str top = med_tree_text(t, c->first_tree + k);
            for (uint32_t i = lower_bound(t, top); i < t->tree_count; i++) {
                struct med_str tree = med_tree_text(t, t->by_tree[i]);
                if (!med_str_starts(tree, top)) break;
                if (!is_below(tree, top)) continue;
                if (pass) list[n] = t->trees[t->by_tree[i]].concept;
                n++;
            }
        }
        count = n;
    }
    qsort(list, count, sizeof *list, by_ordinal);
    size_t kept = 1;
    for (size_t i = 1; i < count; i++) {
        if (list[i] != list[kept - 1]) list[kept++] = list[i];
    }
    *ret_concepts = list;
    *ret_count = kept;
    return MED_OK;
}

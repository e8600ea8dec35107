/* Making a thesaurus: names are analysed, counted in the corpus, sorted and written.
 *
 * Counting goes over the term ids of the whole corpus once. A name is a sequence of ids; the
 * longest name that begins with a term says how far to look from there, and most terms begin none.
 * Sequences are compared by a 64-bit hash of their ids: with some hundred thousand names a wrong
 * count is not to be expected in the life of a universe. */
#include "index/thesaurus.h"

#include "common/hash.h"
#include "common/limits.h"
#include "common/mem.h"
#include "embed/vocab.h"

#include <math.h>
#include <stdlib.h>

#define BUILDER_ARENA_BYTES_MAX (8 * MED_GIB)
#define KEY_BYTES_MAX (64 * MED_KIB)
#define CONCEPTS_MAX 4000000u
#define SHARE_MIN .1     /* of a short form's definitions, to be kept */
#define LOOSE_FACTOR 8.0 /* see case_matters */
#define LOOSE_LETTERS_MIN 3u

struct heading {
    struct med_str text;
    uint32_t docs;
};

struct med_thesaurus_builder {
    struct med_arena *arena;
    struct med_abbreviation_counter *abbreviations;
    struct heading *headings; /* open addressing by text: descriptors and their ids */
    size_t heading_count, heading_slots;
    uint64_t doc_count;
    /* while finishing */
    struct med_analyzer *analyzer;
    struct med_concept *concepts;
    struct med_name *names;
    struct med_tree *trees;
    size_t concept_count, concept_cap, name_count, name_cap, tree_count, tree_cap;
    struct med_buf heap, scratch;
};

static enum med_code out_of_memory(struct med_err *err)
{
    return med_fail(err, MED_E_NOMEM, "out of memory for the thesaurus");
}

enum med_code med_thesaurus_builder_new(
    struct med_thesaurus_builder **ret_builder, struct med_err *err)
{
    struct med_thesaurus_builder *b = med_calloc(1, sizeof *b);
    if (!b) return out_of_memory(err);
    med_buf_init(&b->heap, MED_THESAURUS_BYTES_MAX);
    med_buf_init(&b->scratch, KEY_BYTES_MAX);
    enum med_code code = med_arena_new(BUILDER_ARENA_BYTES_MAX, &b->arena, err);
    if (!code) code = med_abbreviation_counter_new(&b->abbreviations, err);
    if (code) {
        med_thesaurus_builder_free(&b);
        return code;
    }
    *ret_builder = b;
    return MED_OK;
}

void med_thesaurus_builder_free(struct med_thesaurus_builder **builder)
{
    struct med_thesaurus_builder *b = *builder;
    if (!b) return;
    med_abbreviation_counter_free(&b->abbreviations);
    med_free(b->headings);
    med_free(b->concepts);
    med_free(b->names);
    med_free(b->trees);
    med_buf_free(&b->heap);
    med_buf_free(&b->scratch);
    med_arena_free(&b->arena);
    med_free(b);
    *builder = NULL;
}

/* --- headings --- */

static struct heading *heading_slot(struct heading *table, size_t slots, struct med_str text)
{
    size_t at = med_hash64(text.ptr, text.len) & (slots - 1);
    while (table[at].text.len && !med_str_eq(table[at].text, text)) at = (at + 1) & (slots - 1);
    return &table[at];
}

static enum med_code count_heading(
    struct med_thesaurus_builder *b, struct med_str text, struct med_err *err)
{
    if (text.len == 0) return MED_OK;
    if (2 * (b->heading_count + 1) > b->heading_slots) {
        size_t slots = b->heading_slots ? 2 * b->heading_slots : 1024;
        struct heading *grown = med_calloc(slots, sizeof *grown);
        if (!grown) return out_of_memory(err);
        for (size_t i = 0; i < b->heading_slots; i++) {
            if (b->headings[i].text.len)
                *heading_slot(grown, slots, b->headings[i].text) = b->headings[i];
        }
        med_free(b->headings);
        b->headings = grown;
        b->heading_slots = slots;
    }
    struct heading *h = heading_slot(b->headings, b->heading_slots, text);
    if (!h->text.len) {
        if (!med_arena_str(b->arena, text, &h->text)) return out_of_memory(err);
        b->heading_count++;
    }
    h->docs++;
    return MED_OK;
}

static uint32_t heading_docs(const struct med_thesaurus_builder *b, struct med_str text)
{
    if (!b->heading_slots || !text.len) return 0;
    return heading_slot(b->headings, b->heading_slots, text)->docs;
}

enum med_code med_thesaurus_builder_add(struct med_thesaurus_builder *b, const struct med_doc *doc,
    const struct med_definition *definitions, size_t definition_count, struct med_err *err)
{
    enum med_code code =
        med_abbreviation_counter_add(b->abbreviations, definitions, definition_count, err);
    for (size_t i = 0; !code && i < doc->mesh_count; i++) {
        code = count_heading(b, doc->mesh[i].descriptor, err);
        if (!code) code = count_heading(b, doc->mesh[i].ui, err);
    }
    b->doc_count++;
    return code;
}

/* --- concepts and names --- */

static uint32_t to_heap(struct med_thesaurus_builder *b, struct med_str s)
{
    uint32_t at = (uint32_t)b->heap.len;
    med_buf_append_str(&b->heap, s);
    return at;
}

/* A single word in capitals, which analysis cannot tell from the word in small letters. */
static bool is_acronym(struct med_str text)
{
    size_t capitals = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == ' ' || (text.ptr[i] >= 'a' && text.ptr[i] <= 'z')) return false;
        capitals += text.ptr[i] >= 'A' && text.ptr[i] <= 'Z';
    }
    return capitals >= 2 && text.len <= MED_SHORT_FORM_CHARS_MAX;
}

/* "aids" is stemmed to "aid" and "all" is a function word; "copd" stays and means nothing else. */
static bool acronym_is_ambiguous(struct med_str text, const struct med_token *token)
{
    char small[MED_SHORT_FORM_CHARS_MAX];
    if (text.len < LOOSE_LETTERS_MIN || text.len > sizeof small) return true;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        small[i] = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
    }
    struct med_str lower = {.ptr = small, .len = text.len};
    struct med_token typed = *token;
    typed.start = 0;
    typed.end = (uint32_t)text.len;
    return !med_str_eq(lower, token->term) || med_is_function_word(lower, &typed);
}

/* Adds a name unless its concept has one of the same key. */
static enum med_code add_name(
    struct med_thesaurus_builder *b, struct med_str text, uint32_t flags, struct med_err *err)
{
    const struct med_token *tokens;
    size_t count;
    enum med_code code = med_analyze(b->analyzer, text, &tokens, &count, err);
    if (code) return code;
    if (text.len == 0 || text.len > UINT16_MAX) return MED_OK;
    med_buf_reset(&b->scratch);
    if (count && count <= MED_NAME_TERMS_MAX) med_thesaurus_key(tokens, count, &b->scratch);
    struct med_str key = med_buf_str(&b->scratch);
    code = med_buf_status(&b->scratch, err);
    if (code) return code;
    struct med_concept *c = &b->concepts[b->concept_count - 1];
    for (uint32_t i = c->first_name; i < b->name_count; i++) {
        const struct med_name *n = &b->names[i];
        struct med_str other = {.ptr = b->heap.data + n->key, .len = n->key_len};
        if (key.len && med_str_eq(other, key)) return MED_OK;
    }
    if (is_acronym(text) && count == 1 && acronym_is_ambiguous(text, tokens))
        flags |= MED_NAME_AS_WRITTEN;
    if (!med_grow(&b->names, &b->name_cap, b->name_count + 1, sizeof *b->names))
        return out_of_memory(err);
    b->names[b->name_count++] = (struct med_name){.text = to_heap(b, text),
        .text_len = (uint16_t)text.len,
        .key = to_heap(b, key),
        .key_len = (uint16_t)key.len,
        .concept = (uint32_t)b->concept_count - 1,
        .flags = flags};
    c->name_count++;
    return med_buf_status(&b->heap, err);
}

/* "Diabetes Mellitus, Type 1" also as "Type 1 Diabetes Mellitus". */
static enum med_code add_turned(
    struct med_thesaurus_builder *b, struct med_str text, struct med_err *err)
{
    size_t comma = 0, commas = 0;
    for (size_t i = 0; i + 1 < text.len; i++) {
        if (text.ptr[i] != ',' || text.ptr[i + 1] != ' ') continue;
        comma = i;
        commas++;
    }
    if (commas != 1) return MED_OK;
    struct med_str head = med_str_trim(med_str_sub(text, comma + 1, text.len));
    struct med_str tail = med_str_sub(text, 0, comma);
    char *turned = med_arena_printf(
        b->arena, MED_STR_FMT " " MED_STR_FMT, MED_STR_ARG(head), MED_STR_ARG(tail));
    if (!turned) return out_of_memory(err);
    return add_name(b, med_str_of(turned), MED_NAME_TURNED, err);
}

static enum med_code open_concept(
    struct med_thesaurus_builder *b, struct med_concept concept, struct med_err *err)
{
    if (b->concept_count == CONCEPTS_MAX)
        return med_fail(
            err, MED_E_LIMIT, "the vocabularies have more than %u entries", CONCEPTS_MAX);
    if (!med_grow(&b->concepts, &b->concept_cap, b->concept_count + 1, sizeof *b->concepts))
        return out_of_memory(err);
    concept.first_name = (uint32_t)b->name_count;
    concept.first_tree = (uint32_t)b->tree_count;
    b->concepts[b->concept_count++] = concept;
    return MED_OK;
}

static enum med_code add_descriptor(
    struct med_thesaurus_builder *b, const struct med_vocabulary_entry *e, struct med_err *err)
{
    uint32_t by_name = heading_docs(b, e->name), by_id = heading_docs(b, e->id);
    struct med_concept concept = {.kind = MED_CONCEPT_DESCRIPTOR,
        .share = 100,
        .id = to_heap(b, e->id),
        .id_len = (uint16_t)e->id.len,
        .doc_count = by_name > by_id ? by_name : by_id};
    enum med_code code = open_concept(b, concept, err);
    if (!code) code = add_name(b, e->name, 0, err);
    for (size_t i = 0; !code && i < e->synonym_count; i++)
        code = add_name(b, e->synonyms[i], 0, err);
    if (!code) code = add_turned(b, e->name, err);
    for (size_t i = 0; !code && i < e->synonym_count; i++)
        code = add_turned(b, e->synonyms[i], err);
    for (size_t i = 0; !code && i < e->tree_count; i++) {
        if (!med_grow(&b->trees, &b->tree_cap, b->tree_count + 1, sizeof *b->trees))
            return out_of_memory(err);
        b->trees[b->tree_count++] = (struct med_tree){.text = to_heap(b, e->trees[i]),
            .len = (uint32_t)e->trees[i].len,
            .concept = (uint32_t)b->concept_count - 1};
        b->concepts[b->concept_count - 1].tree_count++;
    }
    return code;
}

/* Two documents where there are few, more where chance has more room. */
static uint32_t definitions_min(uint64_t doc_count)
{
    return doc_count < 1000 ? 2 : doc_count < 100000 ? 3 : 5;
}

static enum med_code add_abbreviations(struct med_thesaurus_builder *b, struct med_err *err)
{
    struct med_abbreviation *list;
    size_t count;
    enum med_code code = med_abbreviation_counter_keep(
        b->abbreviations, definitions_min(b->doc_count), SHARE_MIN, b->arena, &list, &count, err);
    for (size_t i = 0; !code && i < count; i++) {
        double share = 100.0 * list[i].doc_count / list[i].short_form_docs;
        struct med_concept concept = {.kind = MED_CONCEPT_ABBREVIATION,
            .share = (uint8_t)lround(share),
            .id = (uint32_t)b->heap.len,
            .doc_count = list[i].doc_count};
        code = open_concept(b, concept, err);
        if (!code) code = add_name(b, list[i].long_form, 0, err);
        if (!code) code = add_name(b, list[i].short_form, 0, err);
    }
    return code;
}

/* --- counting mentions --- */

struct sequence {
    uint64_t hash; /* 0 = free slot */
    uint32_t docs, last_doc;
};
struct counting {
    struct sequence *table;
    size_t slots;
    uint8_t *longest; /* per term: terms of the longest name that begins with it */
};

static uint64_t hash_step(uint64_t h, uint32_t term)
{
    h = (h ^ term) * 0x9E3779B97F4A7C15ull;
    return (h ^ h >> 29) | 1;
}

static struct sequence *sequence_slot(const struct counting *c, uint64_t hash)
{
    size_t at = (hash >> 20) & (c->slots - 1);
    while (c->table[at].hash && c->table[at].hash != hash) at = (at + 1) & (c->slots - 1);
    return &c->table[at];
}

/* The hash of a key; 0 when the corpus lacks one of its terms. */
static uint64_t key_hash(
    struct med_str key, const struct med_vocab *vocab, uint32_t *ret_first, uint8_t *ret_count)
{
    uint64_t h = 0;
    *ret_count = 0;
    for (size_t start = 0; start < key.len;) {
        const char *space = memchr(key.ptr + start, ' ', key.len - start);
        size_t end = space ? (size_t)(space - key.ptr) : key.len;
        uint32_t id = med_vocab_find(vocab, med_str_sub(key, start, end));
        if (id == MED_NO_TERM) return 0;
        if (start == 0) *ret_first = id;
        h = hash_step(h, id);
        (*ret_count)++;
        start = end + 1;
    }
    return h;
}

static void count_run(void *ctx, uint32_t doc, const uint32_t *terms, size_t count)
{
    struct counting *c = ctx;
    for (size_t i = 0; i < count; i++) {
        size_t longest = c->longest[terms[i]];
        uint64_t h = 0;
        for (size_t n = 0; n < longest && i + n < count; n++) {
            h = hash_step(h, terms[i + n]);
            struct sequence *s = sequence_slot(c, h);
            if (!s->hash || s->last_doc == doc + 1) continue;
            s->last_doc = doc + 1;
            s->docs++;
        }
    }
}

static enum med_code count_mentions(
    struct med_thesaurus_builder *b, const struct med_term_runs *runs, struct med_err *err)
{
    struct counting c = {.slots = 1024};
    while (c.slots < 2 * b->name_count) c.slots *= 2;
    c.table = med_calloc(c.slots, sizeof *c.table);
    c.longest = med_calloc((size_t)med_vocab_count(runs->vocab) + 1, 1);
    uint64_t *hashes = med_arena_calloc(b->arena, b->name_count + 1, sizeof *hashes);
    bool ok = c.table && c.longest && hashes;
    for (size_t i = 0; ok && i < b->name_count; i++) {
        struct med_str key = {.ptr = b->heap.data + b->names[i].key, .len = b->names[i].key_len};
        uint32_t first = 0;
        uint8_t terms;
        if (!key.len || !(hashes[i] = key_hash(key, runs->vocab, &first, &terms))) continue;
        sequence_slot(&c, hashes[i])->hash = hashes[i];
        if (terms > c.longest[first]) c.longest[first] = terms;
    }
    if (ok) runs->each(runs->runs, count_run, &c);
    for (size_t i = 0; ok && i < b->name_count; i++) {
        if (hashes[i]) b->names[i].doc_count = sequence_slot(&c, hashes[i])->docs;
    }
    med_free(c.table);
    med_free(c.longest);
    return ok ? MED_OK : out_of_memory(err);
}

/* A short form in small letters is taken for the abbreviation only where the word has hardly any
 * other use: "copd" is, "map" is not. */
static void case_matters(struct med_thesaurus_builder *b)
{
    for (size_t i = 0; i < b->concept_count; i++) {
        const struct med_concept *c = &b->concepts[i];
        if (c->kind != MED_CONCEPT_ABBREVIATION || c->name_count < 2) continue;
        struct med_name *name = &b->names[c->first_name + 1];
        double definitions = c->share ? 100.0 * c->doc_count / c->share : c->doc_count;
        if (name->text_len < LOOSE_LETTERS_MIN || definitions * LOOSE_FACTOR < name->doc_count)
            name->flags |= MED_NAME_AS_WRITTEN;
    }
}

/* --- writing --- */

struct ordinal {
    struct med_str text;
    uint32_t at;
};

static int by_text(const void *a, const void *b)
{
    const struct ordinal *x = a, *y = b;
    int order = med_str_cmp(x->text, y->text);
    return order ? order : x->at < y->at ? -1 : x->at > y->at;
}

static void put_ordinals(struct ordinal *list, size_t count, struct med_buf *out)
{
    if (count) qsort(list, count, sizeof *list, by_text);
    for (size_t i = 0; i < count; i++) med_buf_put_u32(out, list[i].at);
}

static enum med_code write_file(
    struct med_thesaurus_builder *b, struct med_buf *out, struct med_err *err)
{
    size_t most = b->name_count > b->tree_count ? b->name_count : b->tree_count, key_count = 0;
    struct ordinal *list = med_arena_calloc(b->arena, most + 1, sizeof *list);
    if (!list) return out_of_memory(err);
    for (size_t i = 0; i < b->name_count; i++) {
        struct med_str key = {.ptr = b->heap.data + b->names[i].key, .len = b->names[i].key_len};
        if (key.len) list[key_count++] = (struct ordinal){.text = key, .at = (uint32_t)i};
    }
    struct med_thesaurus_header h = {.concept_count = (uint32_t)b->concept_count,
        .name_count = (uint32_t)b->name_count,
        .key_count = (uint32_t)key_count,
        .tree_count = (uint32_t)b->tree_count,
        .heap_len = b->heap.len};
    memcpy(h.magic, MED_THESAURUS_MAGIC, sizeof h.magic);
    med_buf_append(out, &h, sizeof h);
    med_buf_append(out, b->concepts, b->concept_count * sizeof *b->concepts);
    med_buf_append(out, b->names, b->name_count * sizeof *b->names);
    put_ordinals(list, key_count, out);
    if (b->tree_count) med_buf_append(out, b->trees, b->tree_count * sizeof *b->trees);
    for (size_t i = 0; i < b->tree_count; i++) {
        const struct med_tree *t = &b->trees[i];
        list[i] = (struct ordinal){
            .text = {.ptr = b->heap.data + t->text, .len = t->len}, .at = (uint32_t)i};
    }
    put_ordinals(list, b->tree_count, out);
    med_buf_append(out, b->heap.data, b->heap.len);
    return med_buf_status(out, err);
}

enum med_code med_thesaurus_builder_finish(struct med_thesaurus_builder *b,
    const struct med_vocabulary *vocabulary, const struct med_term_runs *runs,
    struct med_analyzer *analyzer, struct med_buf *out, struct med_err *err)
{
    enum med_code code = MED_OK;
    b->analyzer = analyzer;
    for (size_t i = 0; !code && i < vocabulary->count; i++)
        code = add_descriptor(b, &vocabulary->entries[i], err);
    if (!code) code = add_abbreviations(b, err);
    if (code || b->concept_count == 0) return code;
    code = count_mentions(b, runs, err);
    if (!code) case_matters(b);
    if (!code) code = write_file(b, out, err);
    return code;
}

/* The thesaurus of a generation: descriptors of the operator's vocabularies and the abbreviations
 * of the corpus, compiled for look-up by a sequence of terms.
 *
 *   header    "MEDTHES1", counts
 *   concepts  one per descriptor (in byte order of ids), then one per abbreviation (of short forms)
 *   names     of each concept, the preferred one first; an abbreviation has its long form and its
 *             short form
 *   keys      ordinals of the names that can be looked up, in byte order of their keys
 *   trees     tree numbers of each concept
 *   by_tree   ordinals of trees, in byte order of the tree numbers
 *   heap      strings
 *
 * A key is a name's terms as analysis makes them, joined by spaces, so that "Infarctions,
 * Myocardial" finds what "infarction, myocardial" finds. It is a file of the generation, written by
 * the build and named by the manifest with size and checksum; it is validated all the same. */
#pragma once

#include "embed/analyzer.h"
#include "index/abbreviations.h"
#include "index/document/document.h"
#include "index/vocabularies.h"

#define MED_THESAURUS_FILE "thesaurus"
#define MED_THESAURUS_BYTES_MAX (1 * MED_GIB)
#define MED_NAME_TERMS_MAX 10u /* longer names are shown, but not looked up */

/* --- on disk, little-endian --- */
struct med_thesaurus_header {
    char magic[8];
    uint32_t concept_count, name_count, key_count, tree_count;
    uint64_t heap_len;
};
_Static_assert(sizeof(struct med_thesaurus_header) == 32, "on-disk layout");
#define MED_THESAURUS_MAGIC "MEDTHES1"

enum med_concept_kind { MED_CONCEPT_DESCRIPTOR, MED_CONCEPT_ABBREVIATION, MED_CONCEPT_KIND_COUNT };

struct med_concept {
    uint32_t id; /* in the heap: "D009203"; empty for abbreviations */
    uint32_t first_name, name_count;
    uint32_t first_tree, tree_count;
    uint32_t doc_count; /* documents indexed with the descriptor; that define the abbreviation */
    uint16_t id_len;
    uint8_t kind;  /* enum med_concept_kind */
    uint8_t share; /* of the short form's definitions, in percent; 100 for descriptors */
};
_Static_assert(sizeof(struct med_concept) == 28, "on-disk layout");

enum med_name_flag {
    MED_NAME_AS_WRITTEN = 1u << 0, /* found only where it is typed in the same case: "AIDS" */
    MED_NAME_TURNED = 1u << 1,     /* made from "B, A"; not shown */
};
struct med_name {
    uint32_t text, key; /* in the heap */
    uint16_t text_len, key_len;
    uint32_t concept;
    uint32_t doc_count; /* documents of the index that mention it in title or text */
    uint32_t flags;
};
_Static_assert(sizeof(struct med_name) == 24, "on-disk layout");

struct med_tree {
    uint32_t text; /* in the heap */
    uint32_t len;
    uint32_t concept;
};
_Static_assert(sizeof(struct med_tree) == 12, "on-disk layout");

/* --- making: during a build, one thread --- */
struct med_thesaurus_builder;
enum med_code med_thesaurus_builder_new(
    struct med_thesaurus_builder **ret_builder, struct med_err *err) MED_CHECK;
void med_thesaurus_builder_free(struct med_thesaurus_builder **builder);
/* Every document once: its headings, and the abbreviations that it defines. */
enum med_code med_thesaurus_builder_add(struct med_thesaurus_builder *builder,
    const struct med_doc *doc, const struct med_definition *definitions, size_t definition_count,
    struct med_err *err) MED_CHECK;
/* The corpus as runs of term ids, one or several runs per document, documents in order; counts the
 * documents that mention a name. */
struct med_term_runs {
    const struct med_vocab *vocab;
    /* Calls visit(ctx, document, terms, count) for every run, in order of documents. */
    void (*each)(const void *runs,
        void (*visit)(void *ctx, uint32_t doc, const uint32_t *terms, size_t count), void *ctx);
    const void *runs;
};
/* Appends the bytes of the file to `out`; nothing where there is neither vocabulary nor
 * abbreviation. */
enum med_code med_thesaurus_builder_finish(struct med_thesaurus_builder *builder,
    const struct med_vocabulary *vocabulary, const struct med_term_runs *runs,
    struct med_analyzer *analyzer, struct med_buf *out, struct med_err *err) MED_CHECK;

/* --- reading: any number of threads --- */
struct med_thesaurus {
    const struct med_concept *concepts;
    const struct med_name *names;
    const uint32_t *keys;
    const struct med_tree *trees;
    const uint32_t *by_tree;
    const char *heap;
    uint32_t concept_count, name_count, key_count, tree_count;
};
/* Validates everything; borrows the bytes. No bytes are an empty thesaurus. MED_E_CORRUPT. */
enum med_code med_thesaurus_open(const void *ptr, size_t len, struct med_thesaurus *ret_thesaurus,
    struct med_err *err) MED_CHECK;
struct med_str med_concept_id(const struct med_thesaurus *t, uint32_t concept);
struct med_str med_name_text(const struct med_thesaurus *t, uint32_t name);
struct med_str med_name_key(const struct med_thesaurus *t, uint32_t name);
struct med_str med_tree_text(const struct med_thesaurus *t, uint32_t tree);
/* The names with exactly this key: keys[*ret_first], ...; returns how many. */
uint32_t med_thesaurus_find(const struct med_thesaurus *t, struct med_str key, uint32_t *ret_first);

/* The descriptor that the text names: by id ("D009203"), or by any of its names as analysis sees
 * them, preferred names first. False when there is none. */
enum med_code med_thesaurus_descriptor(const struct med_thesaurus *t, struct med_str text,
    struct med_analyzer *analyzer, bool *ret_found, uint32_t *ret_concept,
    struct med_err *err) MED_CHECK;
/* Tree explosion: the descriptor and all that are narrower, in order, in the arena. */
enum med_code med_thesaurus_explode(const struct med_thesaurus *t, uint32_t concept,
    struct med_arena *arena, uint32_t **ret_concepts, size_t *ret_count,
    struct med_err *err) MED_CHECK;

/* The tokens' terms joined by spaces, appended to `out` (which has the maximum). */
void med_thesaurus_key(const struct med_token *tokens, size_t count, struct med_buf *out);

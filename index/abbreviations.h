/* Abbreviations that the corpus itself defines: "chronic obstructive pulmonary disease (COPD)" and
 * "COPD (chronic obstructive pulmonary disease)".
 *
 * Schwartz and Hearst (2003), "A simple algorithm for identifying abbreviation definitions in
 * biomedical text": the characters of the short form are looked for from right to left in the words
 * before (or inside) the parenthesis; the first one must begin a word. Here a short form also needs
 * a capital letter, and a definition counts once per document. */
#pragma once

#include "common/arena.h"
#include "embed/analyzer.h"

#define MED_SHORT_FORM_CHARS_MAX 10
#define MED_LONG_FORM_BYTES_MAX 200
#define MED_ABBREVIATION_PAIRS_MAX 4000000u /* distinct pairs counted; later ones are left out */
#define MED_LONG_FORMS_MAX 4u               /* kept per short form */

struct med_definition {
    struct med_str short_form, long_form; /* slices of the text */
    struct med_str key; /* the long form's terms joined by spaces: its plural is the same */
};

/* The long form of `short_form` that ends where `before` ends, or an empty slice. */
struct med_str med_long_form(struct med_str short_form, struct med_str before);

/* Every distinct definition in the text of one document. Keys and the list live in the arena, the
 * other slices are the text's. */
enum med_code med_definitions_find(struct med_str text, struct med_analyzer *analyzer,
    struct med_arena *arena, struct med_definition **ret_list, size_t *ret_count,
    struct med_err *err) MED_CHECK;

/* Counts documents per pair. One thread; the order of adding decides which spelling is shown. */
struct med_abbreviation_counter;
enum med_code med_abbreviation_counter_new(
    struct med_abbreviation_counter **ret_counter, struct med_err *err) MED_CHECK;
void med_abbreviation_counter_free(struct med_abbreviation_counter **counter);
/* The definitions of one document; everything is copied. */
enum med_code med_abbreviation_counter_add(struct med_abbreviation_counter *counter,
    const struct med_definition *list, size_t count, struct med_err *err) MED_CHECK;

struct med_abbreviation {
    struct med_str short_form, long_form, key; /* live as long as the counter */
    uint32_t doc_count;                        /* documents that define it so */
    uint32_t short_form_docs; /* documents that define the short form, whatever it means there */
};
/* The pairs that at least `docs_min` documents define and that are at least `share_min` of the
 * short form's definitions, at most MED_LONG_FORMS_MAX per short form; by short form, most frequent
 * first. In the arena. */
enum med_code med_abbreviation_counter_keep(const struct med_abbreviation_counter *counter,
    uint32_t docs_min, double share_min, struct med_arena *arena,
    struct med_abbreviation **ret_list, size_t *ret_count, struct med_err *err) MED_CHECK;

/* Looking terms up: descriptors of the operator's vocabularies and abbreviations of the corpus. */
#pragma once

#include "index/search.h"
#include "index/thesaurus.h"

#define MED_TERMS_LIMIT_DEFAULT 10
#define MED_TERMS_LIMIT_MAX 100

struct med_term {
    enum med_concept_kind kind;
    struct med_str id;           /* "D009203"; empty for abbreviations */
    struct med_str name;         /* preferred name; the long form of an abbreviation */
    struct med_str matched;      /* the name that the query named */
    struct med_str *entry_terms; /* the other names; the short form of an abbreviation */
    size_t entry_term_count;
    struct med_str *trees; /* tree numbers */
    size_t tree_count;
    uint64_t narrower;  /* descriptors below it in the tree */
    uint64_t documents; /* of this index with the heading; that define the abbreviation */
    uint64_t mentions;  /* documents that have one of the names in title or text, at least */
    unsigned share;     /* of the short form's definitions that mean this, in percent */
};

/* What the text names: the whole of it (an id, or any name), then what begins with it; where there
 * is neither, what its parts name, longest first. Each once, at most `limit`. Everything lives in
 * the arena. Count 0 is not an error. With a limited searcher
 * (med_searcher_limit) abbreviations are left out, and documents and mentions count what it may
 * see.
 */
enum med_code med_terms_find(const struct med_index *index, struct med_searcher *searcher,
    struct med_str text, size_t limit, struct med_arena *arena, struct med_term **ret_terms,
    size_t *ret_count, struct med_err *err) MED_CHECK;
/* False when the generation has neither vocabulary nor abbreviation. */
bool med_terms_any(const struct med_index *index);

/* Two generations side by side: which documents differ, and whether they answer alike. For the gate
 * of a publish (gate.h) and for `medicus generations compare`. */
#pragma once

#include "index/search.h"

enum med_difference {
    MED_DOCUMENT_SAME,
    MED_DOCUMENT_ADDED,
    MED_DOCUMENT_CHANGED, /* another version */
    MED_DOCUMENT_REMOVED
};
struct med_differences {
    uint64_t same, added, changed, removed;
};
/* id is borrowed from the index. An error ends the comparison. */
typedef enum med_code (*med_difference_visit)(
    void *ctx, enum med_difference what, struct med_str id, struct med_err *err);
/* Live documents, in byte order of their ids; visit may be NULL. */
enum med_code med_index_differences(const struct med_index *before, const struct med_index *after,
    med_difference_visit visit, void *ctx, struct med_differences *ret_differences,
    struct med_err *err) MED_CHECK;

/* Version of a live document; false when the generation does not have it. */
bool med_index_find(const struct med_index *index, struct med_str id, uint32_t *ret_version);
uint64_t med_index_live_count(const struct med_index *index);

/* Canary queries: titles of documents that both have in the same version, at most MED_CANARY_MAX of
 * them, chosen evenly. Overlap is the mean share of the ten best documents before that are, where
 * they still exist, among the best afterwards: among the ten best, or, in an index that has grown n
 * times, among the 10 n best, at most 200. */
#define MED_CANARY_MAX 50u
struct med_canary {
    uint32_t queries;
    double overlap;                     /* 1 when there was no query to ask */
    uint32_t found_before, found_after; /* queries that found their own document in those */
};
/* Titles are read from the store of `after`. */
enum med_code med_index_canary(const struct med_index *before, const struct med_index *after,
    struct med_canary *ret_canary, struct med_err *err) MED_CHECK;

/* Working memory of searches; grows to what the largest query needed and stays. */
#pragma once

#include "index/lexical/cursor.h"
#include "index/lexical/kernels.h"
#include "index/lexical/topk.h"

struct med_lex_scratch {
    struct lex_context context;
    struct lex_cursor *cursors;
    size_t cursor_cap;
    struct lex_cursor **order; /* cursors by falling worth, see search.c */
    size_t order_cap;
    uint32_t *bounds; /* parallel to order, for the current window */
    size_t bounds_cap;
    struct lex_cursor **optional; /* the window's non-essential cursors */
    size_t optional_cap;
    uint32_t *optional_bounds;
    size_t optional_bounds_cap;
    struct lex_topk_item *heap;
    size_t heap_cap;
    uint64_t *bits; /* one per chunk, for counting; all zero between calls */
    size_t bits_cap;
    uint32_t *sums; /* of given chunks */
    size_t sums_cap;
    struct lex_sums sums_of_window; /* all zero between windows */
    uint32_t candidates[LEX_WINDOW + 16], candidate_sums[LEX_WINDOW + 16];
};

/* Opens a cursor per term with a positive weight; *ret_count may be less than the query's terms. */
enum med_code lex_scratch_open(struct med_lex_scratch *scratch, const struct med_lex *lex,
    const struct med_lex_query *query, size_t *ret_count, struct med_err *err) MED_CHECK;

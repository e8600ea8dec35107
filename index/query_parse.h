/* The query language: text -> a boolean tree and the words to rank by.
 *
 *   heart failure outcomes              a plain question: no tree, all words rank
 *   "heart failure" in children         a phrase or a field restricts, the other words only rank
 *   (aspirin OR clopidogrel) AND stroke AND NOT mesh:Hemorrhage AND year:2015..2020
 *   asthma[mh] AND (child OR adolescent[tiab]) AND 2015:2020[dp]
 *
 * With an operator (AND, OR, NOT in capitals) every part restricts, neighbours are joined by AND,
 * and NOT binds before AND before OR. Words that stand together are one operand: `NOT heart attack`
 * excludes documents with both words, and a trailing tag belongs to all of them, as in PubMed.
 * Words below NOT do not rank. Quotes are phrases. `word*` stands for all words that begin so.
 *
 * Parentheses, apostrophes, question marks and unknown brackets of a plain question are plain text.
 *
 * The tree is a program for a stack machine: operands in order, operators behind theirs. Parsing
 * uses explicit stacks; depth and number of operands are limited. */
#pragma once

#include "common/arena.h"
#include "common/err.h"

#include <stdbool.h>
#include <stdint.h>

#define MED_QUERY_DEPTH_MAX 64u
#define MED_QUERY_LEAVES_MAX 1024u
#define MED_QUERY_PREFIX_BYTES_MIN 3u

enum query_scope {
    QUERY_ALL, /* title, text, MeSH, keywords */
    QUERY_TITLE,
    QUERY_TEXT, /* title and text, without MeSH and keywords */
    QUERY_MESH,
    QUERY_MAJR, /* MeSH as major topic */
    QUERY_JOURNAL,
    QUERY_AUTHOR,
    QUERY_TYPE,
    QUERY_LANGUAGE,
    QUERY_SOURCE,
    QUERY_YEAR,
    QUERY_SCOPE_COUNT
};
const char *query_scope_name(enum query_scope scope); /* "title", ... as before the colon */

enum query_op { QUERY_LEAF, QUERY_AND, QUERY_OR, QUERY_NOT };

struct query_node {
    enum query_op op;
    /* a leaf: */
    enum query_scope scope;
    bool phrase;
    struct med_str text;         /* borrowed from the query */
    uint32_t year_min, year_max; /* QUERY_YEAR; 0 = open */
    uint32_t at;                 /* byte position in the query */
};

struct query_tree {
    struct query_node *nodes;
    size_t count;
};

struct query_parsed {
    struct query_tree tree; /* count 0: a plain question */
    struct med_str *words;  /* slices of the query to rank by, in order */
    size_t word_count;
};

/* strict: where anything restricts, words that would only rank restrict too.
 * Everything lives in the arena or borrows from text. MED_E_INVALID with the byte position and what
 * was expected there; MED_E_LIMIT for too many operands or parentheses. */
enum med_code query_parse(struct med_str text, bool strict, struct med_arena *arena,
    struct query_parsed *ret_parsed, struct med_err *err) MED_CHECK;
/* "2019", "2015..2020", "2015:2020", "2015-2020", "2015..", "2015/03/01:2020"; the sentence begins
 * "byte <at>: ". */
enum med_code query_years(struct med_str text, uint32_t at, uint32_t *ret_min, uint32_t *ret_max,
    struct med_err *err) MED_CHECK;

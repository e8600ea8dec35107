/* Judging passages and not only articles: does a returned passage hold the evidence?
 *
 * The input is JSON Lines {"query_id", "doc_id", "evidence"}: a verbatim piece of that document
 * which answers the query; a query may have several. The evidence is looked up in the canonical
 * text of the document and of the other documents of its work, with any amount of white space
 * equal. A passage holds it when it covers at least half of its bytes (it may cross a boundary). */
#pragma once

#include "index/judgements.h"
#include "index/search.h"

#define MED_PASSAGE_DEPTHS 3 /* 1, 5, 10 */
#define MED_PASSAGE_DEPTH_MAX 10
static const uint32_t med_passage_depths[MED_PASSAGE_DEPTHS] = {1, 5, MED_PASSAGE_DEPTH_MAX};
#define MED_GROUP_COUNT 2

/* Means over queries: share with a hit within the depth, and 1 / rank of the first hit (0 beyond
 * 10). */
struct med_passage_measures {
    double success[MED_PASSAGE_DEPTHS];
    double mrr_10;
};
struct med_passage_scores {
    struct med_passage_measures passage; /* the result holds the evidence */
    struct med_passage_measures article; /* the result belongs to the work that has it */
};
struct med_passage_report {
    struct med_passage_scores modes[MED_MODE_COUNT][MED_GROUP_COUNT]; /* [..][enum med_group] */
    uint64_t query_count;    /* with evidence that was found: the means are over these */
    uint64_t evidence_count; /* lines of the file that belong to a query */
    uint64_t absent_queries; /* lines whose query is not among the queries */
    uint64_t absent_docs;    /* lines whose document is not in this index */
    uint64_t absent_texts;   /* lines whose evidence does not stand in its document */
};

/* The start and end of `evidence` in `text` at or after `from`; white space of any amount and kind
 * is equal. False when it does not stand there, or is empty. */
bool med_evidence_find(
    struct med_str text, struct med_str evidence, size_t from, struct med_span *ret_span);
/* Whether the passage covers at least half of the evidence. */
bool med_evidence_covered(struct med_span passage, struct med_span evidence);

struct med_eval_options;
/* The passages of the first results with the defaults of search (pool included). MED_E_INVALID
 * names the file and the line. */
enum med_code med_passage_eval(const struct med_index *index, const struct med_topics *topics,
    const struct med_eval_options *options, struct med_passage_report *ret_report,
    struct med_err *err) MED_CHECK;

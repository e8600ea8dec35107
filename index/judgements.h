/* Queries and relevance judgements, in the BEIR and TREC forms. */
#pragma once

#include "common/arena.h"
#include "common/err.h"

struct med_judgement {
    struct med_str doc; /* the id that stood in the input */
    int gain;
};
struct med_topic {
    struct med_str id, text;
    const struct med_judgement *judged; /* sorted by doc */
    size_t judged_count;
    size_t relevant_count; /* gain > 0 */
};
struct med_topics {
    struct med_topic *items; /* in the order of the file */
    size_t count;
};

/* queries: JSON Lines with _id and text, TREC topics (<top> ... <num> ... <title>), or lines
 * "id<TAB>text". qrels: tab-separated with a header line (query, document, gain), or TREC's four
 * columns. Everything lives in the arena. MED_E_INVALID names the file and the line. */
enum med_code med_topics_read(const char *queries_path, const char *qrels_path,
    struct med_arena *arena, struct med_topics *ret_topics, struct med_err *err) MED_CHECK;
/* 0 when not judged. */
int med_topic_gain(const struct med_topic *topic, struct med_str doc);

/* The search grammar: named parameters, the same for the query string, JSON bodies and the command
 * line. One table; an unknown name is refused with a suggestion, because a filter that is silently
 * ignored gives wrong answers that look right. */
#pragma once

#include "common/json.h"
#include "index/search.h"

#define SEARCH_LIST_VALUES_MAX 32

struct search_list {
    struct med_str values[SEARCH_LIST_VALUES_MAX];
};

/* The request's filter points into the lists: not to be copied. */
struct search_params {
    struct med_search_request request;
    struct search_list types, journals, languages, mesh;
    bool detailed, explain;
    uint32_t seen; /* rows of the table that were given */
};

/* What a deployment chooses for requests that do not say; negative = the built-in default. Call it
 * before other threads start. */
void search_params_deploy(double authority_weight);
void search_params_init(struct search_params *params);
/* One parameter as text; the text of a query is borrowed. Dashes in the name count as underscores.
 * MED_E_USAGE: the name is unknown; MED_E_INVALID: the value is wrong, or given twice. */
enum med_code search_params_set(struct search_params *params, struct med_str name,
    struct med_str value, struct med_err *err) MED_CHECK;
/* A JSON body: filters stand in the object "filters". Strings live in the arena. */
enum med_code search_params_json(struct search_params *params, const struct med_json *root,
    struct med_arena *arena, struct med_err *err) MED_CHECK;
/* One member of such a body, "filters" too; for bodies that have members of their own. */
enum med_code search_params_member(struct search_params *params, const struct med_json *member,
    struct med_arena *arena, struct med_err *err) MED_CHECK;
/* After the last one: what must be there is there, and goes together. */
enum med_code search_params_finish(struct search_params *params, struct med_err *err) MED_CHECK;
/* The same for a request without a query: limit and offset go together, and none was given. */
enum med_code search_params_window(struct search_params *params, struct med_err *err) MED_CHECK;
/* Everything that an answer depends on besides index and configuration, as one line: for ETags. */
void search_params_canonical(const struct search_params *params, struct med_buf *out);

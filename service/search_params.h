/* The search grammar: named parameters, the same for the query string, JSON bodies and the command
 * line. One table; an unknown name is refused with a suggestion, because a filter that is silently
 * ignored gives wrong answers that look right. */
#pragma once

#include "common/json.h"
#include "index/search.h"
#include "service/cursor.h"
#include "service/media.h"

#define SEARCH_LIST_VALUES_MAX 32

struct search_list {
    struct med_str values[SEARCH_LIST_VALUES_MAX];
};

/* The request's filter points into the lists: not to be copied. */
struct search_params {
    struct med_search_request request;
    struct search_list types, journals, languages, mesh;
    bool detailed, explain;
    uint64_t max_tokens; /* of the whole answer; 0 = as many as it takes */
    bool form_given;     /* format= was, and wins over Accept: */
    enum media form;
    struct med_str cursor;
    uint64_t generation;  /* that the cursor names; 0 = the newest */
    struct med_str about; /* the document whose neighbours are wanted, instead of a query */
    uint32_t seen;        /* rows of the table that were given */
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
/* A second body, for what the first one did not say: defaults. */
enum med_code search_params_defaults(struct search_params *params, const struct med_json *member,
    struct med_arena *arena, struct med_err *err) MED_CHECK;
/* After the last one: what must be there is there, and goes together. A cursor sets generation and
 * offset; one of another request is MED_E_INVALID. */
enum med_code search_params_finish(struct search_params *params, struct med_err *err) MED_CHECK;
/* The same for a request without a query; `about` is set before. */
enum med_code search_params_window(struct search_params *params, struct med_err *err) MED_CHECK;
/* The cursor behind the first `offset` results of the request in a generation. */
void search_params_cursor(const struct search_params *params, uint64_t generation, uint32_t offset,
    char ret_text[CURSOR_TEXT_MAX + 1]);
/* Everything that an answer depends on besides index and configuration, as one line: for ETags. */
void search_params_canonical(const struct search_params *params, struct med_buf *out);

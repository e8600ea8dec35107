/* What most commands open: the data folder, the docstore, a generation. */
#pragma once

#include "index/search.h"
#include "service/options.h"
#include "service/search_params.h"

struct workspace {
    struct med_data *data;
    struct med_store *store;
    struct med_index *index;
};

enum workspace_need {
    WORKSPACE_CREATE,    /* for writing: the folder is made when absent */
    WORKSPACE_WRITE,     /* for writing into a store that is there */
    WORKSPACE_STORE,     /* for reading documents */
    WORKSPACE_ANY_INDEX, /* and the current generation, if there is one */
    WORKSPACE_INDEX,     /* and the current generation, verified */
};
/* Everything is closed again when it fails. */
enum med_code workspace_open(const struct options *options, enum workspace_need need,
    struct workspace *ret_workspace, struct med_err *err) MED_CHECK;
void workspace_close(struct workspace *workspace);

/* The form that a search is printed in: --format, --json, or text. */
enum media command_form(const struct options *options, const struct search_params *params);
/* Opens the generation that a cursor names in place of the current one. MED_E_GONE. */
enum med_code command_resume(
    struct workspace *workspace, const struct search_params *params, struct med_err *err) MED_CHECK;

/* A message for people, on stderr, unless --quiet. */
void say(const struct options *options, const char *fmt, ...) MED_PRINTF(2, 3);

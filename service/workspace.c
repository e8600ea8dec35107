#include "service/workspace.h"

#include "common/fs.h"

#include <errno.h>
#include <stdio.h>

static enum med_code open_parts(const struct options *options, enum workspace_need need,
    struct workspace *w, struct med_err *err)
{
    if (!options->data || !*options->data)
        return med_fail(
            err, MED_E_USAGE, "which data folder? Give --data FOLDER or set MEDICUS_DATA");
    bool create = need == WORKSPACE_CREATE, writes = create || need == WORKSPACE_WRITE;
    enum med_code code = med_data_open(options->data, create, med_fs_posix(), &w->data, err);
    if (code) return code;
    char docs[MED_PATH_MAX];
    code = med_path_join(docs, med_data_path(w->data), "docs", err);
    if (code) return code;
    if (!create && !med_path_exists(docs) && errno == EACCES)
        return med_fail(err, MED_E_IO, "cannot read %s: Permission denied", docs);
    if (!create && !med_path_exists(docs))
        return med_fail(err, MED_E_NOT_FOUND,
            "there are no documents in %s yet: `medicus ingest --data %s FILE...` adds some",
            options->data, options->data);
    code =
        med_store_open(docs, writes ? MED_STORE_READ_WRITE : MED_STORE_READ_ONLY, &w->store, err);
    if (code) return code;
    if (need == WORKSPACE_INDEX) return med_index_open(w->data, w->store, 0, true, &w->index, err);
    if (need != WORKSPACE_ANY_INDEX) return MED_OK;
    code = med_index_open(w->data, w->store, 0, false, &w->index, err);
    return code == MED_E_NO_INDEX ? MED_OK : code;
}

enum med_code workspace_open(const struct options *options, enum workspace_need need,
    struct workspace *ret_workspace, struct med_err *err)
{
    struct workspace w = {0};
    enum med_code code = open_parts(options, need, &w, err);
    if (code) {
        workspace_close(&w);
        return code;
    }
    *ret_workspace = w;
    return MED_OK;
}

void workspace_close(struct workspace *w)
{
    med_index_release(&w->index);
    if (w->store) med_store_close(&w->store);
    if (w->data) med_data_close(&w->data);
}

enum media command_form(const struct options *options, const struct search_params *params)
{
    return params->form_given ? params->form : options->json ? MEDIA_JSON : MEDIA_TEXT;
}

enum med_code command_resume(
    struct workspace *w, const struct search_params *params, struct med_err *err)
{
    if (!params->generation || med_index_manifest(w->index)->number == params->generation)
        return MED_OK;
    med_index_release(&w->index);
    enum med_code code =
        med_index_open(w->data, w->store, params->generation, true, &w->index, err);
    if (code != MED_E_NOT_FOUND) return code;
    return med_fail(err, MED_E_GONE,
        "cursor: generation %llu is gone; search again without the cursor",
        (unsigned long long)params->generation);
}

void say(const struct options *options, const char *fmt, ...)
{
    if (options->quiet) return;
    va_list args;
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
}

/* medicus delete: documents leave the store, and with the next update or build the index. */
#include "common/json.h"
#include "common/limits.h"
#include "service/command.h"
#include "service/progress_bar.h"
#include "service/workspace.h"

struct outcome {
    uint64_t deleted, absent;
};

/* A deletion of the precedence that the document has, so that it wins over what is there, and what
 * is newer wins over it. */
static enum med_code delete_one(struct workspace *w, struct med_batch *batch, struct med_str id,
    struct outcome *o, struct med_err *err)
{
    struct med_snapshot *snapshot;
    struct med_arena *arena = NULL;
    struct med_doc *doc;
    enum med_put_outcome outcome = MED_PUT_UNCHANGED;
    enum med_code code = med_snapshot_open(w->store, &snapshot, err);
    if (code) return code;
    code = med_arena_new(MED_DOC_ARENA_BYTES_MAX, &arena, err);
    if (!code) code = med_snapshot_get(snapshot, id, arena, &doc, err);
    if (!code) code = med_batch_delete(batch, id, doc->precedence, &outcome, err);
    bool absent = code == MED_E_NOT_FOUND || code == MED_E_GONE;
    o->deleted += !code && outcome == MED_PUT_DELETED;
    o->absent += absent;
    med_arena_free(&arena);
    med_snapshot_close(&snapshot);
    return absent ? MED_OK : code;
}

static enum med_code delete_all(
    const struct options *options, struct workspace *w, struct outcome *o, struct med_err *err)
{
    struct med_batch *batch;
    enum med_code code = med_batch_begin(w->store, &batch, err);
    if (code) return code;
    for (unsigned i = 0; !code && i < options->arg_count; i++)
        code = delete_one(w, batch, med_str_of(options->args[i]), o, err);
    if (code)
        med_batch_abort(&batch);
    else
        code = med_batch_commit(&batch, err);
    return code;
}

static enum med_code report(
    const struct options *options, const struct outcome *o, struct med_err *err)
{
    struct med_buf out;
    med_buf_init(&out, MED_KIB);
    if (options->json)
        med_buf_printf(&out, "{\"deleted\":%llu,\"not_found\":%llu}\n",
            (unsigned long long)o->deleted, (unsigned long long)o->absent);
    else
        med_buf_printf(&out, "deleted %llu, not found %llu\n", (unsigned long long)o->deleted,
            (unsigned long long)o->absent);
    enum med_code code = command_print(&out, err);
    med_buf_free(&out);
    return code;
}

enum med_code cmd_delete(const struct options *options, struct med_err *err)
{
    struct workspace w;
    struct outcome o = {0};
    struct progress_bar bar; /* for a server that deletes: priority, and the signals */
    if (options->arg_count == 0)
        return med_fail(err, MED_E_USAGE, "which documents? Give their ids, such as pmid:123");
    enum med_code code = workspace_open(options, WORKSPACE_WRITE, &w, err);
    if (code) return code;
    progress_bar_begin(&bar, options, "delete", false);
    code = delete_all(options, &w, &o, err);
    progress_bar_end(&bar);
    if (!code) code = report(options, &o, err);
    if (!code && o.deleted == 0)
        code = med_fail(err, MED_E_NOT_FOUND, "none of them is in the store");
    if (!code) say(options, "the next update or build takes them out of the index");
    workspace_close(&w);
    return code;
}

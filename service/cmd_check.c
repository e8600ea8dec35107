/* medicus check: reads everything and says what is wrong. */
#include "common/json.h"
#include "common/limits.h"
#include "service/command.h"
#include "service/progress_bar.h"
#include "service/stop.h"
#include "service/workspace.h"

struct findings {
    uint64_t documents, problems, generation, passages;
    bool has_index;
};

static enum med_code check_store(
    struct workspace *w, struct progress_bar *bar, struct findings *f, struct med_err *err)
{
    struct med_snapshot *snapshot;
    enum med_code code = med_snapshot_open(w->store, &snapshot, err);
    if (code) return code;
    f->documents = med_snapshot_doc_count(snapshot);
    code = med_snapshot_check(snapshot, &bar->progress, &f->problems, err);
    med_snapshot_close(&snapshot);
    if (!code && f->problems)
        code = med_fail(err, MED_E_CORRUPT,
            "the docstore has %llu problems; restore the data folder from a backup, or ingest the "
            "sources into a new one",
            (unsigned long long)f->problems);
    if (code) med_err_prefix(err, "docstore");
    return code;
}

static enum med_code check_index(
    struct workspace *w, struct progress_bar *bar, struct findings *f, struct med_err *err)
{
    enum med_code code = med_generation_current(w->data, &f->generation, err);
    if (code == MED_E_NO_INDEX) return MED_OK;
    if (code) return code;
    struct med_pin *pin = NULL;
    code = med_generation_pin(w->data, 0, &pin, err);
    if (!code) code = med_manifest_verify(w->data, med_pin_manifest(pin), &bar->progress, err);
    if (!code) code = med_index_open(w->data, w->store, 0, false, &w->index, err);
    if (!code) code = med_index_check(w->index, &bar->progress, err);
    if (!code) {
        const struct med_manifest *m = med_index_manifest(w->index);
        f->has_index = true;
        f->passages = med_manifest_chunk_count(m);
    }
    if (pin) med_pin_release(&pin);
    return code;
}

static void report(const struct options *options, const struct findings *f, struct med_buf *out)
{
    if (options->json) {
        struct med_jw w = med_jw_of(out, false);
        med_jw_object(&w);
        med_jw_kbool(&w, "ok", true);
        med_jw_kint(&w, "documents", (long long)f->documents);
        med_jw_key(&w, "generation");
        if (f->has_index)
            med_jw_uint(&w, f->generation);
        else
            med_jw_null(&w);
        med_jw_kint(&w, "passages", (long long)f->passages);
        med_jw_object_end(&w);
        med_buf_putc(out, '\n');
        return;
    }
    med_buf_printf(out, "docstore: %llu documents, ok\n", (unsigned long long)f->documents);
    if (f->has_index)
        med_buf_printf(out, "generation %llu: %llu passages, ok\n",
            (unsigned long long)f->generation, (unsigned long long)f->passages);
    else
        med_buf_puts(out, "no generation published yet\n");
}

enum med_code cmd_check(const struct options *options, struct med_err *err)
{
    struct workspace w;
    struct findings findings = {0};
    enum med_code code = workspace_open(options, WORKSPACE_STORE, &w, err);
    if (code) return code;
    struct progress_bar bar;
    progress_bar_init(&bar, options->quiet);
    stop_on_signals();
    struct med_buf out;
    med_buf_init(&out, MED_MIB);
    code = check_store(&w, &bar, &findings, err);
    if (!code) code = check_index(&w, &bar, &findings, err);
    progress_bar_clear(&bar);
    if (!code) {
        report(options, &findings, &out);
        code = command_print(&out, err);
    }
    med_buf_free(&out);
    workspace_close(&w);
    return code;
}

/* medicus update: what changed in the store -> a new generation that shares the old segments. */
#include "index/update.h"

#include "common/json.h"
#include "common/limits.h"
#include "service/command.h"
#include "service/progress_bar.h"
#include "service/workspace.h"

static void report_json(const struct med_update_report *r, struct med_buf *out)
{
    struct med_jw w = med_jw_of(out, false);
    med_jw_object(&w);
    med_jw_kbool(&w, "published", r->published);
    med_jw_kint(&w, "generation", (long long)r->generation);
    med_jw_kint(&w, "documents", (long long)r->doc_count);
    med_jw_kint(&w, "passages", (long long)r->chunk_count);
    med_jw_kint(&w, "added", (long long)r->changes.added);
    med_jw_kint(&w, "changed", (long long)r->changes.changed);
    med_jw_kint(&w, "removed", (long long)r->changes.removed);
    med_jw_kbool(&w, "overlay_changed", r->overlay_changed);
    med_jw_kint(&w, "documents_analysed", (long long)r->analysed);
    med_jw_kint(&w, "passages_encoded", (long long)r->encoded);
    med_jw_kint(&w, "documents_reused", (long long)r->changes.same);
    med_jw_kint(&w, "merged_segments", (long long)r->merged_segments);
    med_jw_kint(&w, "passages_copied", (long long)r->copied);
    med_jw_kint(&w, "segments", (long long)r->segments);
    med_jw_kint(&w, "dead_documents", (long long)r->dead);
    med_jw_kint(&w, "new_bytes", (long long)r->new_bytes);
    med_jw_key(&w, "seconds");
    med_jw_object(&w);
    med_jw_kdouble(&w, "plan", r->seconds.plan);
    med_jw_kdouble(&w, "losses", r->seconds.losses);
    med_jw_kdouble(&w, "analyse", r->seconds.analyse);
    med_jw_kdouble(&w, "encode", r->seconds.encode);
    med_jw_kdouble(&w, "overlay", r->seconds.overlay);
    med_jw_kdouble(&w, "merge", r->seconds.merge);
    med_jw_kdouble(&w, "verify", r->seconds.verify);
    med_jw_kdouble(&w, "total", r->seconds.total);
    med_jw_object_end(&w);
    med_jw_object_end(&w);
    med_buf_putc(out, '\n');
}

static void report_text(const struct med_update_report *r, struct med_buf *out)
{
    if (!r->published) {
        med_buf_printf(out, "nothing has changed since generation %llu (%llu documents)\n",
            (unsigned long long)r->generation, (unsigned long long)r->doc_count);
        return;
    }
    med_buf_printf(out,
        "published generation %llu: %llu documents, %llu passages; %llu added, %llu changed, "
        "%llu removed\n",
        (unsigned long long)r->generation, (unsigned long long)r->doc_count,
        (unsigned long long)r->chunk_count, (unsigned long long)r->changes.added,
        (unsigned long long)r->changes.changed, (unsigned long long)r->changes.removed);
    med_buf_printf(out,
        "%llu documents analysed, %llu passages encoded, %llu documents reused; %llu segments with "
        "%llu dead documents; %.1f MiB written\n",
        (unsigned long long)r->analysed, (unsigned long long)r->encoded,
        (unsigned long long)r->changes.same, (unsigned long long)r->segments,
        (unsigned long long)r->dead, (double)r->new_bytes / (double)MED_MIB);
    if (r->merged_segments)
        med_buf_printf(out, "%llu segments were merged, %llu passages copied\n",
            (unsigned long long)r->merged_segments, (unsigned long long)r->copied);
    med_buf_printf(out,
        "seconds: plan %.1f, losses %.1f, analyse %.1f, encode %.1f, overlay %.1f, merge %.1f, "
        "verify %.1f, total %.1f\n",
        r->seconds.plan, r->seconds.losses, r->seconds.analyse, r->seconds.encode,
        r->seconds.overlay, r->seconds.merge, r->seconds.verify, r->seconds.total);
}

static enum med_code update(const struct options *options, struct workspace *w,
    struct med_update_report *ret_report, struct med_err *err)
{
    struct progress_bar bar;
    progress_bar_begin(&bar, options, "update", true);
    struct med_update_options update_options = {.threads = (unsigned)options->threads,
        .keep = options->keep,
        .memory = options->memory,
        .gate_overlap = options->gate_overlap,
        .progress = &bar.progress};
    enum med_code code = med_update(w->data, w->store, &update_options, ret_report, err);
    progress_bar_end(&bar);
    return code;
}

enum med_code cmd_update(const struct options *options, struct med_err *err)
{
    if (options->arg_count)
        return med_fail(
            err, MED_E_USAGE, "update takes no arguments; documents come from `ingest`");
    struct workspace w;
    struct med_update_report report = {0};
    struct med_buf out;
    med_buf_init(&out, MED_MIB);
    enum med_code code = workspace_open(options, WORKSPACE_STORE, &w, err);
    if (code) return code;
    code = update(options, &w, &report, err);
    if (!code) {
        if (options->json)
            report_json(&report, &out);
        else
            report_text(&report, &out);
        code = command_print(&out, err);
    }
    med_buf_free(&out);
    workspace_close(&w);
    return code;
}

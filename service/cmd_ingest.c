/* medicus ingest: files -> store, with a summary and the records that were skipped. */
#include "common/json.h"
#include "common/limits.h"
#include "index/ingest/ingest.h"
#include "index/ingest/input.h"
#include "service/command.h"
#include "service/progress_bar.h"
#include "service/stop.h"
#include "service/watch.h"
#include "service/workspace.h"

#include <stdio.h>

#define PROBLEMS_SHOWN 20
#define PROBLEMS_TOLD 10 /* in JSON, each of at most REASON_MAX characters */
#define REASON_MAX 200

struct problems {
    const struct options *options;
    struct progress_bar *bar;
    uint64_t count;
    struct med_buf json; /* the first ones, as members of a list */
};

static void remember(
    struct problems *p, const char *file, uint64_t offset, uint64_t line, const char *reason)
{
    struct med_jw w = med_jw_of(&p->json, false);
    struct med_str text = med_str_of(reason);
    if (text.len > REASON_MAX) text.len = REASON_MAX;
    if (p->count > 1) med_buf_putc(&p->json, ',');
    med_jw_object(&w);
    med_jw_kstr(&w, "file", med_base_name(file));
    med_jw_kint(&w, "line", (long long)line);
    med_jw_kint(&w, "byte", (long long)offset);
    med_jw_kstr(&w, "reason", text);
    med_jw_object_end(&w);
}

static void on_problem(
    void *ctx, const char *file, uint64_t offset, uint64_t line, const char *reason)
{
    struct problems *p = ctx;
    if (p->count++ < PROBLEMS_TOLD) remember(p, file, offset, line, reason);
    if (p->count > PROBLEMS_SHOWN) return;
    progress_bar_clear(p->bar);
    if (line)
        say(p->options, "skipped: %s, line %llu, byte %llu: %s", file, (unsigned long long)line,
            (unsigned long long)offset, reason);
    else
        say(p->options, "skipped: %s: %s", file, reason);
}

static enum med_code print_summary(
    const struct problems *p, const struct med_ingest_summary *s, struct med_err *err)
{
    const struct options *options = p->options;
    struct med_buf out;
    med_buf_init(&out, MED_MIB);
    if (options->json) {
        struct med_jw w = med_jw_of(&out, false);
        med_jw_object(&w);
        med_jw_kint(&w, "added", (long long)s->added);
        med_jw_kint(&w, "updated", (long long)s->updated);
        med_jw_kint(&w, "unchanged", (long long)s->unchanged);
        med_jw_kint(&w, "older", (long long)s->older);
        med_jw_kint(&w, "deleted", (long long)s->deleted);
        med_jw_kint(&w, "blocked", (long long)s->blocked);
        med_jw_kint(&w, "skipped", (long long)s->skipped);
        med_jw_kint(&w, "records", (long long)s->records);
        med_jw_kint(&w, "files", (long long)s->files);
        med_jw_kint(&w, "known_files", (long long)s->known_files);
        med_jw_kint(&w, "bytes", (long long)s->bytes_read);
        med_jw_key(&w, "problems");
        med_jw_array(&w);
        if (p->json.len) med_jw_raw(&w, med_buf_str(&p->json));
        med_jw_array_end(&w);
        med_jw_object_end(&w);
        med_buf_putc(&out, '\n');
    } else {
        med_buf_printf(&out,
            "added %llu, updated %llu, unchanged %llu, older %llu, deleted %llu, skipped %llu "
            "(%llu records in %llu files)\n",
            (unsigned long long)s->added, (unsigned long long)s->updated,
            (unsigned long long)s->unchanged, (unsigned long long)s->older,
            (unsigned long long)s->deleted, (unsigned long long)s->skipped,
            (unsigned long long)s->records, (unsigned long long)s->files);
        if (s->known_files)
            med_buf_printf(&out, "%llu files were ingested before (--again reads them again)\n",
                (unsigned long long)s->known_files);
        if (s->blocked)
            med_buf_printf(&out,
                "%llu records were left out: their documents were purged (`medicus purge --allow "
                "ID` lets one in again)\n",
                (unsigned long long)s->blocked);
    }
    enum med_code code = command_print(&out, err);
    med_buf_free(&out);
    return code;
}

/* Nothing usable is not a success: a wrong path or format should not look like a finished load. */
static enum med_code judge(const struct med_ingest_summary *s, struct med_err *err)
{
    if (s->added + s->updated + s->unchanged + s->older + s->deleted + s->blocked + s->known_files)
        return MED_OK;
    if (s->skipped)
        return med_fail(err, MED_E_INVALID, "no record could be read; the reasons are above");
    return med_fail(err, MED_E_INVALID,
        "no documents found: give PubMed or JATS XML, guidelines (Markdown, HTML, text) or JSON "
        "Lines, plain or gzipped");
}

/* After each batch of a watched folder. */
static void on_batch(void *ctx, const struct med_ingest_summary *summary)
{
    struct problems *p = ctx;
    struct med_err err;
    progress_bar_clear(p->bar);
    bool said = summary->records || summary->files || p->count;
    /* Nobody reading the summary is no reason to stop. */
    if (said && print_summary(p, summary, &err)) say(p->options, "%s", err.text);
    p->count = 0;
    med_buf_reset(&p->json);
}

static enum med_code ingest_once(const struct options *options, struct workspace *w,
    const struct med_ingest_options *ingest, struct problems *problems, struct med_err *err)
{
    struct med_ingest_summary summary = {0};
    struct med_err print_err;
    enum med_code code =
        med_ingest(w->store, options->args, options->arg_count, ingest, &summary, err);
    progress_bar_clear(problems->bar);
    if (problems->count > PROBLEMS_SHOWN)
        say(options, "... and %llu more", (unsigned long long)(problems->count - PROBLEMS_SHOWN));
    enum med_code printed = print_summary(problems, &summary, &print_err);
    if (!code && printed) {
        *err = print_err;
        code = printed;
    }
    if (!code) code = judge(&summary, err);
    if (!code && summary.added + summary.updated + summary.deleted)
        say(options, "`medicus update --data %s` makes it searchable (`build` the first time)",
            options->data);
    return code;
}

enum med_code cmd_ingest(const struct options *options, struct med_err *err)
{
    if (options->arg_count == 0)
        return med_fail(
            err, MED_E_USAGE, "what should be read? Give files, folders or - for stdin");
    struct workspace w;
    enum med_code code = workspace_open(options, WORKSPACE_CREATE, &w, err);
    if (code) return code;
    struct progress_bar bar;
    progress_bar_begin(&bar, options, "ingest", false);
    struct problems problems = {.options = options, .bar = &bar};
    med_buf_init(&problems.json, PROBLEMS_TOLD * MED_MIB);
    struct med_ingest_options ingest = {.source_name = med_str_of(options->source_name),
        .known = options->again ? MED_KNOWN_AGAIN : MED_KNOWN_SKIP_UPDATES,
        .require_md5 = options->require_md5,
        .progress = &bar.progress,
        .problem = on_problem,
        .problem_ctx = &problems};
    code = options->watch ? watch_folders(options, &w, &ingest, on_batch, &problems, err)
                          : ingest_once(options, &w, &ingest, &problems, err);
    progress_bar_clear(&bar);
    med_buf_free(&problems.json);
    workspace_close(&w);
    return code;
}

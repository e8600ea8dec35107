/* medicus purge: documents are removed for good. */
#include "common/json.h"
#include "common/limits.h"
#include "index/purge.h"
#include "service/command.h"
#include "service/progress_bar.h"
#include "service/stop.h"
#include "service/workspace.h"

#include <stdio.h>
#include <unistd.h>

#define IDS_BYTES_MAX (64 * MED_MIB)
#define ARENA_BYTES_MAX (512 * MED_MIB)
#define MS_PER_S 1000u

struct id_list {
    struct med_str *ids;
    size_t count, cap;
};

static enum med_code add_id(
    struct id_list *list, struct med_str id, struct med_arena *arena, struct med_err *err)
{
    struct med_str kept;
    if (id.len == 0) return MED_OK;
    for (size_t i = 0; i < list->count; i++)
        if (med_str_eq(list->ids[i], id)) return MED_OK;
    if (list->count == list->cap) {
        size_t cap = list->cap ? 2 * list->cap : 64;
        struct med_str *grown = med_arena_calloc(arena, cap, sizeof *grown);
        if (!grown) return med_fail(err, MED_E_NOMEM, "out of memory for the list of ids");
        if (list->count) memcpy(grown, list->ids, list->count * sizeof *grown);
        list->ids = grown;
        list->cap = cap;
    }
    if (!med_arena_str(arena, id, &kept))
        return med_fail(err, MED_E_NOMEM, "out of memory for the list of ids");
    list->ids[list->count++] = kept;
    return MED_OK;
}

/* One id per line; "-" is stdin. */
static enum med_code read_ids(
    const char *path, struct id_list *list, struct med_arena *arena, struct med_err *err)
{
    struct med_buf text;
    med_buf_init(&text, IDS_BYTES_MAX);
    bool from_stdin = strcmp(path, "-") == 0;
    enum med_code code = med_read_file(from_stdin ? "/dev/stdin" : path, &text, err);
    struct med_str rest = med_buf_str(&text);
    while (!code && rest.len) {
        const char *end = memchr(rest.ptr, '\n', rest.len);
        size_t len = end ? (size_t)(end - rest.ptr) : rest.len;
        code = add_id(list, med_str_trim(med_str_sub(rest, 0, len)), arena, err);
        rest = med_str_sub(rest, end ? len + 1 : len, rest.len);
    }
    med_buf_free(&text);
    return code;
}

static enum med_code collect(const struct options *options, struct id_list *list,
    struct med_arena *arena, struct med_err *err)
{
    enum med_code code = MED_OK;
    for (unsigned i = 0; !code && i < options->arg_count; i++)
        code = add_id(list, med_str_of(options->args[i]), arena, err);
    if (!code && options->from) code = read_ids(options->from, list, arena, err);
    if (!code && list->count == 0)
        code = med_fail(err, MED_E_USAGE,
            "which documents? Give their ids, or --from FILE with one id per line");
    return code;
}

/* Nobody removes documents for good by accident: a person is asked, a script says --yes. */
static enum med_code confirm(
    const struct options *options, const struct id_list *list, struct med_err *err)
{
    char answer[16] = "";
    if (options->yes) return MED_OK;
    if (!isatty(STDIN_FILENO))
        return med_fail(err, MED_E_USAGE,
            "purging cannot be undone: add --yes to remove %zu document%s for good", list->count,
            list->count == 1 ? "" : "s");
    fprintf(stderr,
        "Remove %zu document%s for good, from every version, index and generation "
        "(first: " MED_STR_FMT ")? This cannot be undone. Type yes: ",
        list->count, list->count == 1 ? "" : "s", MED_STR_ARG(list->ids[0]));
    if (!fgets(answer, sizeof answer, stdin) || strcmp(answer, "yes\n") != 0)
        return med_fail(err, MED_E_CANCELLED, "nothing was purged");
    return MED_OK;
}

static void report_json(const struct med_purge_report *r, struct med_buf *out)
{
    struct med_jw w = med_jw_of(out, false);
    med_jw_object(&w);
    med_jw_kint(&w, "purged", (long long)r->purged);
    med_jw_kint(&w, "purged_before", (long long)r->again);
    med_jw_kint(&w, "generation", (long long)r->generation);
    med_jw_kint(&w, "generations_removed", (long long)r->generations_removed);
    med_jw_kint(&w, "merged_segments", (long long)r->merged_segments);
    med_jw_kint(&w, "docstore_bytes_before", (long long)r->bytes_before);
    med_jw_kint(&w, "docstore_bytes_after", (long long)r->bytes_after);
    med_jw_key(&w, "related");
    med_jw_array(&w);
    for (size_t i = 0; i < r->related_count; i++) med_jw_str(&w, r->related[i]);
    med_jw_array_end(&w);
    med_jw_object_end(&w);
    med_buf_putc(out, '\n');
}

static void report_text(const struct med_purge_report *r, struct med_buf *out)
{
    med_buf_printf(
        out, "purged %llu document%s", (unsigned long long)r->purged, r->purged == 1 ? "" : "s");
    if (r->generation)
        med_buf_printf(out,
            "; generation %llu is without them, %llu older ones were removed, %llu segments "
            "written anew",
            (unsigned long long)r->generation, (unsigned long long)r->generations_removed,
            (unsigned long long)r->merged_segments);
    med_buf_printf(out, "\ndocstore written anew: %.1f MiB, before %.1f MiB\n",
        (double)r->bytes_after / (double)MED_MIB, (double)r->bytes_before / (double)MED_MIB);
    for (size_t i = 0; i < r->related_count; i++)
        med_buf_printf(
            out, MED_STR_FMT " belongs to the same work and stays\n", MED_STR_ARG(r->related[i]));
    med_buf_puts(out,
        "Their ids are blocked (`medicus purge --allow ID` lets one in again). Yours to remove:\n"
        "backups made before, and the files they came from. Single words stay in the encoder\n"
        "until `medicus build --retrain`.\n");
}

static enum med_code purge(const struct options *options, struct workspace *w,
    const struct id_list *list, struct med_arena *arena, struct med_buf *out, struct med_err *err)
{
    struct progress_bar bar;
    struct med_purge_report report = {0};
    progress_bar_init(&bar, options->quiet);
    stop_on_signals();
    struct med_purge_options purge_options = {.threads = (unsigned)options->threads,
        .wait_ms = options->wait_s * MS_PER_S,
        .progress = &bar.progress};
    enum med_code code =
        med_purge(w->data, w->store, list->ids, list->count, &purge_options, arena, &report, err);
    progress_bar_clear(&bar);
    if (code) return code;
    if (options->json)
        report_json(&report, out);
    else
        report_text(&report, out);
    return MED_OK;
}

static enum med_code allow(const struct options *options, struct workspace *w,
    const struct id_list *list, struct med_buf *out, struct med_err *err)
{
    enum med_code code = med_purge_allow(w->store, list->ids, list->count, err);
    if (code) return code;
    if (options->json)
        med_buf_printf(out, "{\"allowed\":%zu}\n", list->count);
    else
        med_buf_printf(out,
            "%zu id%s may be ingested again (with --again where the file was ingested before)\n",
            list->count, list->count == 1 ? "" : "s");
    return MED_OK;
}

enum med_code cmd_purge(const struct options *options, struct med_err *err)
{
    struct workspace w = {0};
    struct id_list list = {0};
    struct med_buf out;
    struct med_arena *arena;
    enum med_code code = med_arena_new(ARENA_BYTES_MAX, &arena, err);
    if (code) return code;
    med_buf_init(&out, MED_MIB);
    code = collect(options, &list, arena, err);
    if (!code && !options->allow) code = confirm(options, &list, err);
    if (!code) code = workspace_open(options, WORKSPACE_WRITE, &w, err);
    if (!code)
        code = options->allow ? allow(options, &w, &list, &out, err)
                              : purge(options, &w, &list, arena, &out, err);
    workspace_close(&w);
    if (!code) code = command_print(&out, err);
    med_buf_free(&out);
    med_arena_free(&arena);
    return code;
}

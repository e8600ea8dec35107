/* medicus retractions: the operator's list of retracted articles. */
#include "common/json.h"
#include "common/limits.h"
#include "index/ingest/input.h"
#include "index/retractions.h"
#include "service/command.h"
#include "service/workspace.h"

#define FILE_BYTES_MAX (256 * MED_MIB)
#define READ_BYTES ((size_t)64 << 10)

/* A whole file, or stdin for "-", gunzipped where it is gzipped. */
static enum med_code read_all(const char *path, struct med_buf *out, struct med_err *err)
{
    struct med_raw raw;
    struct med_stream *stream = NULL;
    char piece[READ_BYTES];
    size_t len = 1;
    enum med_code code = med_raw_open(path, &raw, err);
    if (code) return code;
    struct med_input in = {.read = med_raw_read, .ctx = &raw, .name = med_str_of(path)};
    code = med_stream_open(&in, &stream, err);
    while (!code && len) {
        code = med_stream_read(stream, piece, sizeof piece, &len, err);
        if (!code) med_buf_append(out, piece, len);
        if (out->code) len = 0;
    }
    const char *problem = code ? NULL : med_stream_problem(stream);
    if (problem) code = med_fail(err, MED_E_INVALID, "%s: %s", path, problem);
    if (!code) code = med_buf_status(out, err);
    med_stream_close(&stream);
    med_raw_close(&raw);
    return code;
}

static void report(const struct options *options, const struct med_retractions_report *r, bool add,
    struct med_buf *out)
{
    if (options->json) {
        struct med_jw w = med_jw_of(out, false);
        med_jw_object(&w);
        med_jw_kint(&w, "added", (long long)r->added);
        med_jw_kint(&w, "removed", (long long)r->removed);
        med_jw_kint(&w, add ? "known" : "not_in_list", (long long)r->known);
        med_jw_kint(&w, "skipped", (long long)r->skipped);
        med_jw_kint(&w, "total", (long long)r->total);
        med_jw_object_end(&w);
        med_buf_putc(out, '\n');
        return;
    }
    med_buf_printf(out, "%s %zu, %s %zu, skipped %zu; %zu in the list\n", add ? "added" : "removed",
        add ? r->added : r->removed, add ? "known" : "not in the list", r->known, r->skipped,
        r->total);
    if (r->skipped)
        med_buf_printf(out, "line %zu is the first without a PMID or DOI that could be used\n",
            r->first_skipped);
    if (r->added || r->removed) med_buf_puts(out, "`medicus update` applies the list\n");
}

static enum med_code change(
    const struct options *options, struct med_data *data, struct med_buf *out, struct med_err *err)
{
    bool add = options->args[0][0] == 'a';
    struct med_retractions_report r;
    struct med_buf text;
    if (options->arg_count != 2)
        return med_fail(err, MED_E_USAGE, "which list? Give one file, or - for stdin");
    med_buf_init(&text, FILE_BYTES_MAX);
    enum med_code code = read_all(options->args[1], &text, err);
    if (!code)
        code = add ? med_retractions_add(data, med_buf_str(&text), &r, err)
                   : med_retractions_remove(data, med_buf_str(&text), &r, err);
    if (!code) report(options, &r, add, out);
    med_buf_free(&text);
    return code;
}

static enum med_code list(
    const struct options *options, struct med_data *data, struct med_buf *out, struct med_err *err)
{
    struct med_retraction_list all;
    struct med_arena *arena;
    enum med_code code = med_arena_new(4 * FILE_BYTES_MAX, &arena, err);
    if (code) return code;
    code = med_retractions_load(data, arena, &all, err);
    struct med_jw w = med_jw_of(out, false);
    if (!code && options->json) med_jw_array(&w);
    for (size_t i = 0; !code && i < all.count; i++) {
        const struct med_retraction *r = &all.items[i];
        if (!options->json) {
            med_buf_printf(out, "%s\t" MED_STR_FMT "\t" MED_STR_FMT "\n",
                med_link_kind_name(r->kind), MED_STR_ARG(r->paper), MED_STR_ARG(r->notice));
            continue;
        }
        med_jw_object(&w);
        med_jw_kcstr(&w, "kind", med_link_kind_name(r->kind));
        med_jw_kstr(&w, "paper", r->paper);
        med_jw_key(&w, "notice");
        if (r->notice.len)
            med_jw_str(&w, r->notice);
        else
            med_jw_null(&w);
        med_jw_object_end(&w);
    }
    if (!code && options->json) {
        med_jw_array_end(&w);
        med_buf_putc(out, '\n');
    }
    med_arena_free(&arena);
    return code;
}

enum med_code cmd_retractions(const struct options *options, struct med_err *err)
{
    struct med_str verb = med_str_of(options->arg_count ? options->args[0] : "");
    bool is_list = med_str_eq(verb, MED_STR("list"));
    bool is_change = med_str_eq(verb, MED_STR("add")) || med_str_eq(verb, MED_STR("remove"));
    if ((!is_list && !is_change) || (is_list && options->arg_count != 1))
        return med_fail(err, MED_E_USAGE, "what to do? retractions add FILE, list, or remove FILE");
    struct workspace w;
    struct med_buf out;
    enum med_code code = workspace_open(options, WORKSPACE_STORE, &w, err);
    if (code) return code;
    med_buf_init(&out, FILE_BYTES_MAX);
    code = is_list ? list(options, w.data, &out, err) : change(options, w.data, &out, err);
    if (!code) code = command_print(&out, err);
    med_buf_free(&out);
    workspace_close(&w);
    return code;
}

#include "service/progress_line.h"

#include "common/fs.h"
#include "common/json.h"
#include "index/generation.h"

#include <inttypes.h>
#include <stdio.h>

void progress_line_write(const struct progress_line *line, struct med_buf *out)
{
    struct med_jw w = med_jw_of(out, false);
    med_jw_object(&w);
    med_jw_kint(&w, "pid", line->pid);
    med_jw_kcstr(&w, "command", line->command);
    med_jw_kcstr(&w, "stage", line->stage);
    med_jw_kint(&w, "done", (long long)line->done);
    med_jw_kint(&w, "total", (long long)line->total);
    med_jw_kcstr(&w, "unit", line->unit);
    med_jw_kint(&w, "counted", (long long)line->counted);
    med_jw_kint(&w, "eta_seconds", line->eta_s);
    med_jw_object_end(&w);
    med_buf_putc(out, '\n');
}

static void copy(const struct med_json *object, const char *key, char *out, size_t size)
{
    struct med_str s = med_json_get_str(object, key);
    snprintf(out, size, MED_STR_FMT, MED_STR_ARG(s));
}

static long long number(const struct med_json *object, const char *key, long long otherwise)
{
    long long x;
    return med_json_int(med_json_get(object, key), -1, 1ll << 53, &x) ? x : otherwise;
}

bool progress_line_parse(struct med_str text, struct progress_line *ret_line)
{
    struct med_json *root;
    if (text.len == 0 || med_json_parse(text.ptr, text.len, &root, NULL) != MED_OK) return false;
    struct progress_line line = {.pid = (long)number(root, "pid", 0),
        .done = (uint64_t)number(root, "done", 0),
        .total = (uint64_t)number(root, "total", 0),
        .counted = (uint64_t)number(root, "counted", 0),
        .eta_s = number(root, "eta_seconds", -1)};
    copy(root, "command", line.command, sizeof line.command);
    copy(root, "stage", line.stage, sizeof line.stage);
    copy(root, "unit", line.unit, sizeof line.unit);
    bool ok = med_json_type(root) == MED_JSON_OBJECT && line.stage[0];
    med_json_free(&root);
    if (ok) *ret_line = line;
    return ok;
}

void progress_line_text(const struct progress_line *line, struct med_buf *out)
{
    if (!line->stage[0]) {
        med_buf_puts(out, "beginning");
        return;
    }
    med_buf_printf(out, "%s %" PRIu64, line->stage, line->done);
    if (line->total) med_buf_printf(out, " of %" PRIu64, line->total);
    med_buf_printf(out, " %s", line->unit);
    if (line->counted) med_buf_printf(out, ", %" PRIu64 " records", line->counted);
    if (line->eta_s >= 0)
        med_buf_printf(out, ", %" PRId64 ":%02" PRId64 " left", line->eta_s / 60, line->eta_s % 60);
}

bool progress_of_build(const char *data_path, struct progress_line *ret_line)
{
    struct med_data *data;
    struct med_buf text;
    char path[MED_PATH_MAX];
    long pid = 0;
    if (med_data_open(data_path, false, NULL, &data, NULL) != MED_OK) return false;
    bool held = med_build_lock_held(data, &pid);
    med_data_close(&data);
    if (!held) return false;
    struct progress_line line = {.pid = pid, .command = "build", .eta_s = -1}, told;
    med_buf_init(&text, PROGRESS_LINE_MAX);
    if (med_path_join(path, data_path, PROGRESS_FILE, NULL) == MED_OK &&
        med_read_file(path, &text, NULL) == MED_OK &&
        progress_line_parse(med_buf_str(&text), &told) && told.pid == pid)
        line = told;
    med_buf_free(&text);
    *ret_line = line;
    return true;
}

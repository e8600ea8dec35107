/* medicus backup and restore. */
#include "common/json.h"
#include "common/limits.h"
#include "index/backup.h"
#include "service/command.h"
#include "service/progress_bar.h"
#include "service/stop.h"
#include "service/workspace.h"

#include <inttypes.h>

static enum med_code print_report(const struct options *options, const struct med_backup_report *r,
    bool restored, struct med_err *err)
{
    struct med_buf out;
    med_buf_init(&out, MED_MIB);
    if (options->json) {
        struct med_jw w = med_jw_of(&out, false);
        med_jw_object(&w);
        if (!restored) med_jw_kcstr(&w, "destination", options->args[0]);
        med_jw_kint(&w, "generation", (long long)r->generation);
        if (restored) med_jw_kint(&w, "documents", (long long)r->documents);
        med_jw_kint(&w, "files", (long long)r->files);
        med_jw_kint(&w, "bytes", (long long)r->bytes);
        med_jw_object_end(&w);
        med_buf_putc(&out, '\n');
    } else {
        med_buf_printf(&out, "%s %" PRIu64 " files, %.1f MiB", restored ? "restored" : "backed up",
            r->files, (double)r->bytes / (double)MED_MIB);
        if (restored) med_buf_printf(&out, ", %" PRIu64 " documents", r->documents);
        if (r->generation)
            med_buf_printf(&out, ", generation %" PRIu64 "\n", r->generation);
        else
            med_buf_puts(&out, ", no generation\n");
    }
    enum med_code code = command_print(&out, err);
    med_buf_free(&out);
    return code;
}

enum med_code cmd_backup(const struct options *options, struct med_err *err)
{
    if (options->arg_count != 1)
        return med_fail(err, MED_E_USAGE,
            "where to? Give a new folder, a file that ends in .tar, or - for stdout");
    struct workspace w;
    struct progress_bar bar;
    struct med_backup_report report;
    enum med_code code = workspace_open(options, WORKSPACE_STORE, &w, err);
    if (code) return code;
    progress_bar_begin(&bar, options, "backup", false);
    struct med_backup_options backup = {
        .without_keys = options->without_keys, .progress = &bar.progress};
    code = med_backup(w.data, w.store, options->args[0], &backup, &report, err);
    progress_bar_clear(&bar);
    /* With the archive on stdout there is no place for a summary. */
    if (!code && !med_str_eq(med_str_of(options->args[0]), MED_STR("-")))
        code = print_report(options, &report, false, err);
    workspace_close(&w);
    return code;
}

enum med_code cmd_restore(const struct options *options, struct med_err *err)
{
    if (options->arg_count != 1)
        return med_fail(err, MED_E_USAGE,
            "from where? Give a folder or archive of `medicus backup`, or - for stdin");
    if (!options->data || !*options->data)
        return med_fail(err, MED_E_USAGE, "into which folder? Give --data FOLDER, a new one");
    struct progress_bar bar;
    struct med_backup_report report;
    progress_bar_begin(&bar, options, "restore", false);
    struct med_backup_options restore = {.progress = &bar.progress};
    enum med_code code = med_restore(options->args[0], options->data, &restore, &report, err);
    progress_bar_clear(&bar);
    return code ? code : print_report(options, &report, true, err);
}

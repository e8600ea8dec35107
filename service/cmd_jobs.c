/* medicus jobs: the jobs that servers of this data folder keep, and a build that runs elsewhere. */
#include "common/limits.h"
#include "common/mem.h"
#include "service/command.h"
#include "service/job_record.h"

static void print(
    const struct options *options, const struct job_record *jobs, size_t count, struct med_buf *out)
{
    struct progress_line build;
    bool builds = progress_of_build(options->data, &build);
    if (options->json) {
        struct med_jw w = med_jw_of(out, false);
        med_jw_array(&w);
        for (size_t i = 0; i < count; i++) job_record_json(&jobs[i], &w);
        med_jw_array_end(&w);
        med_buf_putc(out, '\n');
        return;
    }
    for (size_t i = 0; i < count; i++) {
        job_record_text(&jobs[i], out);
        med_buf_printf(out, "  (%s)\n", jobs[i].finished[0] ? jobs[i].finished : jobs[i].created);
    }
    if (builds) {
        med_buf_printf(out, "process %ld holds the build lock: %s: ", build.pid, build.command);
        progress_line_text(&build, out);
        med_buf_putc(out, '\n');
    }
    if (!count && !builds) med_buf_puts(out, "no jobs\n");
}

enum med_code cmd_jobs(const struct options *options, struct med_err *err)
{
    struct job_record *jobs;
    size_t count;
    if (options->arg_count) return med_fail(err, MED_E_USAGE, "jobs takes no arguments");
    if (!options->data || !*options->data)
        return med_fail(
            err, MED_E_USAGE, "which data folder? Give --data FOLDER or set MEDICUS_DATA");
    enum med_code code = job_records_load(options->data, &jobs, &count, err);
    if (code) return code;
    struct med_buf out;
    med_buf_init(&out, 16 * MED_MIB);
    print(options, jobs, count, &out);
    code = command_print(&out, err);
    med_buf_free(&out);
    med_free(jobs);
    return code;
}

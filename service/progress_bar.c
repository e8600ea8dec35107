#include "service/progress_bar.h"

#include "common/clock.h"
#include "common/parallel.h"
#include "service/stop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DRAW_EVERY_NS 100000000ull
#define TELL_EVERY_NS 200000000ull
#define BAR_WIDTH 24

static void time_left(char *out, size_t size, double seconds)
{
    if (seconds < 0 || seconds > 99 * 3600.0)
        snprintf(out, size, "--:--");
    else if (seconds < 3600)
        snprintf(out, size, "%d:%02d", (int)seconds / 60, (int)seconds % 60);
    else
        snprintf(out, size, "%d:%02d:%02d", (int)seconds / 3600, (int)seconds / 60 % 60,
            (int)seconds % 60);
}

static void amount(char *out, size_t size, double n)
{
    static const char *const suffix[] = {"", "k", "M", "G", "T"};
    size_t i = 0;
    for (; n >= 10000 && i < 4; i++) n /= 1000;
    snprintf(out, size, n < 100 && i ? "%.1f%s" : "%.0f%s", n, suffix[i]);
}

static double seconds_since(uint64_t start_ns)
{
    return (double)(med_now_ns() - start_ns) * 1e-9;
}

/* Of the stage, from its mean rate; -1 where nothing can be said yet. */
static double seconds_left(const struct progress_bar *bar)
{
    const struct progress_line *l = &bar->line;
    double elapsed = seconds_since(bar->stage_start_ns);
    if (!l->total || !l->done || elapsed < 0.2) return -1;
    double missing = l->done < l->total ? (double)(l->total - l->done) : 0;
    return missing * elapsed / (double)l->done;
}

static void draw(struct progress_bar *bar)
{
    const struct progress_line *l = &bar->line;
    double elapsed = seconds_since(bar->stage_start_ns);
    double rate = elapsed > 0.2 ? (double)l->done / elapsed : 0;
    char cells[BAR_WIDTH + 1], count[16], all[24] = "", per_second[16], left[16], eta[32] = "";
    size_t filled = l->total ? (size_t)((double)BAR_WIDTH * (double)l->done / (double)l->total) : 0;
    if (filled > BAR_WIDTH) filled = BAR_WIDTH;
    memset(cells, '#', filled);
    memset(cells + filled, '.', BAR_WIDTH - filled);
    cells[BAR_WIDTH] = '\0';
    amount(count, sizeof count, (double)l->done);
    amount(per_second, sizeof per_second, rate);
    if (l->total) {
        char text[16];
        amount(text, sizeof text, (double)l->total);
        snprintf(all, sizeof all, "/%s", text);
        time_left(left, sizeof left, seconds_left(bar));
        snprintf(eta, sizeof eta, "  ETA %s", left);
    }
    fprintf(stderr, "\r\033[K%-10s [%s] %s%s %s", l->stage, cells, count, all, l->unit);
    if (bar->counts) {
        amount(count, sizeof count, (double)l->counted);
        amount(per_second, sizeof per_second, elapsed > 0.2 ? (double)l->counted / elapsed : 0);
        fprintf(stderr, "  %s " MED_PROGRESS_COUNT "  %s " MED_PROGRESS_COUNT "/s%s", count,
            per_second, eta);
    } else {
        fprintf(stderr, "  %s/s%s", per_second, eta);
    }
    fflush(stderr);
    bar->drawn = true;
}

/* One write of less than a page: a reader sees a whole line, or one that does not parse. */
static void keep(const struct progress_bar *bar, const struct med_buf *line)
{
    int fd = open(bar->file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (fd < 0) return;
    (void)!write(fd, line->data, line->len);
    close(fd);
}

/* False when whoever asked for the lines has gone: then nobody waits for the work either. */
static bool tell(struct progress_bar *bar)
{
    struct med_buf line;
    bool go_on = true;
    double left = seconds_left(bar);
    bar->line.eta_s = left < 0 ? -1 : (int64_t)(left + .5);
    med_buf_init(&line, PROGRESS_LINE_MAX);
    progress_line_write(&bar->line, &line);
    if (med_buf_status(&line, NULL) == MED_OK) {
        if (bar->fd >= 0) go_on = write(bar->fd, line.data, line.len) >= 0 || errno != EPIPE;
        if (bar->file[0]) keep(bar, &line);
    }
    med_buf_free(&line);
    return go_on;
}

static bool report(void *ctx, const char *stage, uint64_t done, uint64_t total, const char *unit)
{
    struct progress_bar *bar = ctx;
    struct progress_line *l = &bar->line;
    if (stop_requested()) return false;
    if (!bar->visible && bar->fd < 0 && !bar->file[0]) return true;
    uint64_t now = med_now_ns();
    if (strncmp(l->stage, stage, sizeof l->stage - 1) != 0) {
        snprintf(l->stage, sizeof l->stage, "%s", stage);
        bar->stage_start_ns = now;
        bar->last_draw_ns = bar->last_told_ns = 0;
        bar->counts = false;
        l->counted = l->done = l->total = 0;
    }
    if (unit && total == 0 && strcmp(unit, MED_PROGRESS_COUNT) == 0) {
        l->counted = done;
        bar->counts = true;
        return true;
    }
    l->done = done;
    l->total = total;
    snprintf(l->unit, sizeof l->unit, "%s", unit ? unit : "");
    if (bar->visible && now - bar->last_draw_ns >= DRAW_EVERY_NS) {
        bar->last_draw_ns = now;
        draw(bar);
    }
    if (now - bar->last_told_ns < TELL_EVERY_NS) return true;
    bar->last_told_ns = now;
    return tell(bar);
}

void progress_bar_init(struct progress_bar *bar, bool quiet)
{
    *bar = (struct progress_bar){.visible = !quiet && isatty(STDERR_FILENO), .fd = -1};
    bar->progress = (struct med_progress){.report = report, .ctx = bar};
    bar->line.pid = (long)getpid();
}

void progress_bar_begin(
    struct progress_bar *bar, const struct options *options, const char *command, bool builds)
{
    progress_bar_init(bar, options->quiet);
    snprintf(bar->line.command, sizeof bar->line.command, "%s", command);
    stop_on_signals();
    if (options->background) med_step_back();
    if (options->progress_fd) {
        bar->fd = (int)options->progress_fd;
        int flags = fcntl(bar->fd, F_GETFL);
        if (flags < 0 || fcntl(bar->fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
            fcntl(bar->fd, F_SETFD, FD_CLOEXEC) != 0)
            bar->fd = -1;
    }
    if (builds && med_path_join(bar->file, options->data, PROGRESS_FILE, NULL) != MED_OK)
        bar->file[0] = '\0';
}

void progress_bar_clear(struct progress_bar *bar)
{
    if (bar->drawn) fputs("\r\033[K", stderr);
    bar->drawn = false;
}

void progress_bar_end(struct progress_bar *bar)
{
    progress_bar_clear(bar);
    if (bar->file[0] && bar->last_told_ns) unlink(bar->file);
    bar->file[0] = '\0';
}

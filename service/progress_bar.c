#include "service/progress_bar.h"

#include "common/clock.h"
#include "service/stop.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DRAW_EVERY_NS 100000000ull
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

static void draw(struct progress_bar *bar, uint64_t done, uint64_t total, const char *unit)
{
    double elapsed = (double)(med_now_ns() - bar->stage_start_ns) * 1e-9;
    double rate = elapsed > 0.2 ? (double)done / elapsed : 0;
    char cells[BAR_WIDTH + 1], count[16], all[24] = "", per_second[16], left[16], eta[32] = "";
    size_t filled = total ? (size_t)((double)BAR_WIDTH * (double)done / (double)total) : 0;
    if (filled > BAR_WIDTH) filled = BAR_WIDTH;
    memset(cells, '#', filled);
    memset(cells + filled, '.', BAR_WIDTH - filled);
    cells[BAR_WIDTH] = '\0';
    amount(count, sizeof count, (double)done);
    amount(per_second, sizeof per_second, rate);
    if (total) {
        char text[16];
        amount(text, sizeof text, (double)total);
        snprintf(all, sizeof all, "/%s", text);
        double missing = done < total ? (double)(total - done) : 0;
        time_left(left, sizeof left, rate > 0 ? missing / rate : -1);
        snprintf(eta, sizeof eta, "  ETA %s", left);
    }
    fprintf(stderr, "\r\033[K%-10s [%s] %s%s %s", bar->stage, cells, count, all, unit);
    if (bar->counts) {
        amount(count, sizeof count, (double)bar->counted);
        amount(per_second, sizeof per_second, elapsed > 0.2 ? (double)bar->counted / elapsed : 0);
        fprintf(stderr, "  %s " MED_PROGRESS_COUNT "  %s " MED_PROGRESS_COUNT "/s%s", count,
            per_second, eta);
    } else {
        fprintf(stderr, "  %s/s%s", per_second, eta);
    }
    fflush(stderr);
    bar->drawn = true;
}

static bool report(void *ctx, const char *stage, uint64_t done, uint64_t total, const char *unit)
{
    struct progress_bar *bar = ctx;
    if (stop_requested()) return false;
    if (!bar->visible) return true;
    uint64_t now = med_now_ns();
    if (strncmp(bar->stage, stage, sizeof bar->stage - 1) != 0) {
        snprintf(bar->stage, sizeof bar->stage, "%s", stage);
        bar->stage_start_ns = now;
        bar->last_draw_ns = 0;
        bar->counts = false;
    }
    if (unit && total == 0 && strcmp(unit, MED_PROGRESS_COUNT) == 0) {
        bar->counted = done;
        bar->counts = true;
        return true;
    }
    if (now - bar->last_draw_ns < DRAW_EVERY_NS) return true;
    bar->last_draw_ns = now;
    draw(bar, done, total, unit ? unit : "");
    return true;
}

void progress_bar_init(struct progress_bar *bar, bool quiet)
{
    *bar = (struct progress_bar){.visible = !quiet && isatty(STDERR_FILENO)};
    bar->progress = (struct med_progress){.report = report, .ctx = bar};
}

void progress_bar_clear(struct progress_bar *bar)
{
    if (bar->drawn) fputs("\r\033[K", stderr);
    bar->drawn = false;
}

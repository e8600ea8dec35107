/* How far long work is: one line on a terminal, with rate and time left; lines of JSON for the
 * process that asked for them (progress_line.h). */
#pragma once

#include "common/fs.h"
#include "common/progress.h"
#include "service/options.h"
#include "service/progress_line.h"

struct progress_bar {
    struct med_progress progress; /* hand this to the work */
    bool visible;                 /* stderr is a terminal and nobody asked for quiet */
    bool drawn;
    struct progress_line line; /* of the present stage */
    bool counts;               /* it counts records besides measuring */
    uint64_t stage_start_ns, last_draw_ns, last_told_ns;
    int fd;                  /* lines go there; -1: nowhere */
    char file[MED_PATH_MAX]; /* the newest line is kept there; or empty */
};

/* Also stops the work when stop_requested(). bar must stay where it is. */
void progress_bar_init(struct progress_bar *bar, bool quiet);
/* The same for a command that may be somebody's job: takes --progress-fd and --background, and
 * begins to listen to signals. With builds (they hold the build lock) the progress is kept beside
 * the lock too. */
void progress_bar_begin(
    struct progress_bar *bar, const struct options *options, const char *command, bool builds);
/* Takes the line away, before anything else is printed. */
void progress_bar_clear(struct progress_bar *bar);
/* The work has ended: nothing is left beside the lock. */
void progress_bar_end(struct progress_bar *bar);

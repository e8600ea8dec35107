/* One line on a terminal that tells how far long work is, with rate and time left. */
#pragma once

#include "common/progress.h"

struct progress_bar {
    struct med_progress progress; /* hand this to the work */
    bool visible;                 /* stderr is a terminal and nobody asked for quiet */
    bool drawn;
    char stage[24];
    uint64_t counted; /* of MED_PROGRESS_COUNT, where the stage counts besides measuring */
    bool counts;
    uint64_t stage_start_ns, last_draw_ns;
};

/* Also stops the work when stop_requested(). bar must stay where it is. */
void progress_bar_init(struct progress_bar *bar, bool quiet);
/* Takes the line away, before anything else is printed. */
void progress_bar_clear(struct progress_bar *bar);

/* SIGINT and SIGTERM of long commands: a flag that the progress callback reads. */
#pragma once

#include <stdbool.h>

/* SIGPIPE and SIGXFSZ become error codes of write(2). For every command, first thing. */
void stop_ignore_write_signals(void);
/* The first signal asks to stop, a second one kills. */
void stop_on_signals(void);
bool stop_requested(void);

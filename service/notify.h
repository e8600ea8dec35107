/* What a service manager is told (sd_notify): ready, reloading, stopping, still alive. Nothing
 * happens outside of systemd. Main thread only. The only adapter over libsystemd. */
#pragma once

#include <stdbool.h>

void notify_ready(const char *status);
void notify_reloading(void);
void notify_stopping(void);
/* For the unit's WatchdogSec: call about once a second while the server responds; too long a pause
 * makes the service manager restart it. */
void notify_alive(void);

#include "service/notify.h"

#include <stdio.h>
#include <systemd/sd-daemon.h>
#include <time.h>

/* A failed notification is the service manager's loss: there is nobody else to tell. */
static void notify(const char *state)
{
    (void)sd_notify(0, state);
}

void notify_ready(const char *status)
{
    char state[256];
    snprintf(state, sizeof state, "READY=1\nSTATUS=%s", status);
    notify(state);
}

void notify_reloading(void)
{
    char state[64];
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%lld",
        (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    notify(state);
}

void notify_stopping(void)
{
    notify("STOPPING=1");
}

void notify_alive(void)
{
    notify("WATCHDOG=1");
}

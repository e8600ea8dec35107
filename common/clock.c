#include "common/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

uint64_t med_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int64_t med_unix_time_s(void)
{
    return (int64_t)time(NULL);
}

void med_time_text(int64_t unix_s, char ret_text[MED_TIME_TEXT_LEN + 1])
{
    /* Four-digit years only; what lies outside is shown as the nearest end. */
    const int64_t first = -62167219200, last = 253402300799;
    time_t at = (time_t)(unix_s < first ? first : unix_s > last ? last : unix_s);
    struct tm tm;
    gmtime_r(&at, &tm);
    char text[80]; /* as wide as seven ints could be, which they are not */
    snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900, tm.tm_mon + 1,
        tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    memcpy(ret_text, text, MED_TIME_TEXT_LEN);
    ret_text[MED_TIME_TEXT_LEN] = '\0';
}

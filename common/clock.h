/* Time. Monotonic for durations, wall clock only for stamps that people read. */
#pragma once

#include <stdint.h>

uint64_t med_now_ns(void);     /* CLOCK_MONOTONIC */
int64_t med_unix_time_s(void); /* seconds since 1970, UTC */
/* "2026-03-01T12:00:00Z" */
#define MED_TIME_TEXT_LEN 20
void med_time_text(int64_t unix_s, char ret_text[MED_TIME_TEXT_LEN + 1]);

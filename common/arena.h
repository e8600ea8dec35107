/* A capped bump allocator: many small things that die together.
 *
 * Pointers stay valid until reset or free. Not thread-safe: one arena belongs to one thread at a
 * time. */
#pragma once

#include "common/err.h"
#include "common/str.h"

#include <stdint.h>

struct med_arena;

/* bytes_max is the hard cap on everything the arena hands out; memory is taken from the system in
 * growing blocks. */
enum med_code med_arena_new(
    size_t bytes_max, struct med_arena **ret_arena, struct med_err *err) MED_CHECK;
void med_arena_free(struct med_arena **arena); /* consumes: *arena becomes NULL */

/* 16-byte aligned; NULL when the cap or the system's memory is exhausted. calloc zeroes. */
void *med_arena_alloc(struct med_arena *arena, size_t size);
void *med_arena_calloc(struct med_arena *arena, size_t count, size_t size);
char *med_arena_strndup(struct med_arena *arena, const char *ptr, size_t len); /* adds a NUL */
/* Copies s into the arena; false when out of memory. An empty s gives {NULL, 0}. */
bool med_arena_str(struct med_arena *arena, struct med_str s, struct med_str *ret_s);
/* The parts one after the other; false when out of memory. */
bool med_arena_join(
    struct med_arena *arena, const struct med_str *parts, size_t count, struct med_str *ret_s);
char *med_arena_printf(struct med_arena *arena, const char *fmt, ...) MED_PRINTF(2, 3);

void med_arena_reset(struct med_arena *arena); /* everything dies, the largest block is kept */
size_t med_arena_used(const struct med_arena *arena);

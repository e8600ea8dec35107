/* The arena is a list of blocks, newest first. Each block doubles the one before (up to
 * BLOCK_BYTES_MAX), an allocation larger than that gets a block of its own size. Reset keeps the
 * largest block, so that a request arena settles at the size its requests need and then never asks
 * the system again. */
#include "common/arena.h"

#include "common/mem.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#define ALIGNMENT 16
#define BLOCK_BYTES_MIN ((size_t)4096)
#define BLOCK_BYTES_MAX ((size_t)4 << 20)

struct block {
    struct block *older;
    size_t size; /* usable bytes */
    size_t used;
    size_t pad_to_16;
    unsigned char bytes[];
};
_Static_assert(sizeof(struct block) % ALIGNMENT == 0, "the first byte of a block is aligned");

struct med_arena {
    struct block *newest;
    size_t bytes_max;
    size_t used; /* over all blocks, with alignment */
};

enum med_code med_arena_new(size_t bytes_max, struct med_arena **ret_arena, struct med_err *err)
{
    struct med_arena *arena = med_calloc(1, sizeof *arena);
    if (!arena) return med_fail(err, MED_E_NOMEM, "out of memory for an arena");
    arena->bytes_max = bytes_max;
    *ret_arena = arena;
    return MED_OK;
}

static void free_blocks(struct block *block)
{
    while (block) {
        struct block *older = block->older;
        med_free(block);
        block = older;
    }
}

void med_arena_free(struct med_arena **arena)
{
    if (!*arena) return;
    free_blocks((*arena)->newest);
    med_free(*arena);
    *arena = NULL;
}

static bool add_block(struct med_arena *arena, size_t size)
{
    size_t block_size = arena->newest ? arena->newest->size : BLOCK_BYTES_MIN / 2;
    block_size = block_size < BLOCK_BYTES_MAX / 2 ? block_size * 2 : BLOCK_BYTES_MAX;
    if (block_size < size) block_size = size;
    size_t total;
    if (!med_size_add(sizeof(struct block), block_size, &total)) return false;
    struct block *block = med_malloc(total);
    if (!block) return false;
    block->older = arena->newest;
    block->size = block_size;
    block->used = 0;
    arena->newest = block;
    return true;
}

void *med_arena_alloc(struct med_arena *arena, size_t size)
{
    size_t rounded;
    if (!med_size_add(size > 0 ? size : 1, ALIGNMENT - 1, &rounded)) return NULL;
    rounded = rounded / ALIGNMENT * ALIGNMENT;
    if (rounded > arena->bytes_max - arena->used) return NULL;
    struct block *block = arena->newest;
    if (!block || rounded > block->size - block->used) {
        if (!add_block(arena, rounded)) return NULL;
        block = arena->newest;
    }
    void *ptr = block->bytes + block->used;
    block->used += rounded;
    arena->used += rounded;
    assert(arena->used <= arena->bytes_max);
    return ptr;
}

void *med_arena_calloc(struct med_arena *arena, size_t count, size_t size)
{
    size_t bytes;
    if (!med_size_mul(count, size, &bytes)) return NULL;
    void *ptr = med_arena_alloc(arena, bytes);
    if (ptr) memset(ptr, 0, bytes);
    return ptr;
}

char *med_arena_strndup(struct med_arena *arena, const char *ptr, size_t len)
{
    size_t bytes;
    if (!med_size_add(len, 1, &bytes)) return NULL;
    char *copy = med_arena_alloc(arena, bytes);
    if (!copy) return NULL;
    if (len > 0) memcpy(copy, ptr, len);
    copy[len] = '\0';
    return copy;
}

bool med_arena_str(struct med_arena *arena, struct med_str s, struct med_str *ret_s)
{
    if (s.len == 0) {
        *ret_s = (struct med_str){0};
        return true;
    }
    char *copy = med_arena_strndup(arena, s.ptr, s.len);
    if (!copy) return false;
    *ret_s = (struct med_str){.ptr = copy, .len = s.len};
    return true;
}

bool med_arena_join(
    struct med_arena *arena, const struct med_str *parts, size_t count, struct med_str *ret_s)
{
    size_t len = 1;
    for (size_t i = 0; i < count; i++) {
        if (!med_size_add(len, parts[i].len, &len)) return false;
    }
    char *text = med_arena_alloc(arena, len), *end = text;
    if (!text) return false;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len > 0) memcpy(end, parts[i].ptr, parts[i].len);
        end += parts[i].len;
    }
    *end = '\0';
    *ret_s = (struct med_str){.ptr = text, .len = len - 1};
    return true;
}

char *med_arena_printf(struct med_arena *arena, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, args);
    char *text = len < 0 ? NULL : med_arena_alloc(arena, (size_t)len + 1);
    if (text) vsnprintf(text, (size_t)len + 1, fmt, again);
    va_end(again);
    va_end(args);
    return text;
}

void med_arena_reset(struct med_arena *arena)
{
    struct block *largest = arena->newest;
    for (struct block *block = arena->newest; block; block = block->older) {
        if (block->size > largest->size) largest = block;
    }
    for (struct block *block = arena->newest; block;) {
        struct block *older = block->older;
        if (block != largest) med_free(block);
        block = older;
    }
    if (largest) {
        largest->older = NULL;
        largest->used = 0;
    }
    arena->newest = largest;
    arena->used = 0;
}

size_t med_arena_used(const struct med_arena *arena)
{
    return arena->used;
}

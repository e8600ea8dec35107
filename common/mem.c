/* Checked allocation. The countdown that makes one allocation fail costs a relaxed load per call
 * while it is off. */
#include "common/mem.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ALIGNMENT 64
#define HUGE_PAGE_BYTES ((size_t)2 << 20)

static _Atomic uint64_t fail_countdown; /* 0 = off; 1 = the next allocation fails */

void med_mem_fail_after(uint64_t n)
{
    atomic_store(&fail_countdown, n);
}

uint64_t med_mem_fail_left(void)
{
    return atomic_load(&fail_countdown);
}

/* True when this allocation is the one that must fail. The switch then is off again. */
static bool must_fail(void)
{
    uint64_t left = atomic_load_explicit(&fail_countdown, memory_order_relaxed);
    while (left > 0) {
        if (atomic_compare_exchange_weak(&fail_countdown, &left, left - 1)) return left == 1;
    }
    return false;
}

bool med_size_mul(size_t a, size_t b, size_t *ret_x)
{
    size_t x;
    if (__builtin_mul_overflow(a, b, &x)) return false;
    *ret_x = x;
    return true;
}

bool med_size_add(size_t a, size_t b, size_t *ret_x)
{
    size_t x;
    if (__builtin_add_overflow(a, b, &x)) return false;
    *ret_x = x;
    return true;
}

void *med_malloc(size_t size)
{
    if (must_fail()) return NULL;
    return malloc(size > 0 ? size : 1);
}

void *med_calloc(size_t count, size_t size)
{
    size_t bytes;
    if (!med_size_mul(count, size, &bytes) || must_fail()) return NULL;
    return calloc(bytes > 0 ? bytes : 1, 1);
}

void *med_realloc_array(void *ptr, size_t count, size_t size)
{
    size_t bytes;
    if (!med_size_mul(count, size, &bytes) || must_fail()) return NULL;
    return realloc(ptr, bytes > 0 ? bytes : 1); /* never the free() that a size of 0 may mean */
}

char *med_strndup(const char *ptr, size_t len)
{
    size_t bytes;
    if (!med_size_add(len, 1, &bytes)) return NULL;
    char *copy = med_malloc(bytes);
    if (!copy) return NULL;
    if (len > 0) memcpy(copy, ptr, len);
    copy[len] = '\0';
    return copy;
}

void med_free(void *ptr)
{
    free(ptr);
}

void *med_aligned_alloc(size_t size)
{
    size_t rounded;
    if (!med_size_add(size > 0 ? size : 1, ALIGNMENT - 1, &rounded) || must_fail()) return NULL;
    return aligned_alloc(ALIGNMENT, rounded / ALIGNMENT * ALIGNMENT);
}

void *med_table_alloc(size_t size)
{
    size_t rounded;
    if (size < 2 * HUGE_PAGE_BYTES) return med_aligned_alloc(size);
    if (!med_size_add(size, HUGE_PAGE_BYTES - 1, &rounded) || must_fail()) return NULL;
    rounded = rounded / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES;
    void *table = aligned_alloc(HUGE_PAGE_BYTES, rounded);
    if (table) (void)madvise(table, rounded, MADV_HUGEPAGE); /* without it: slower, not wrong */
    return table;
}

bool med_grow(void *ptr_to_ptr, size_t *cap, size_t need, size_t elem_size)
{
    if (need <= *cap) return true;
    size_t next = *cap < 8 ? 8 : *cap;
    while (next < need) {
        if (!med_size_mul(next, 2, &next)) next = need;
    }
    /* The pointer is copied as bytes: a `struct x **` may not be read through a `void **`. */
    void *old;
    memcpy(&old, ptr_to_ptr, sizeof old);
    void *grown = med_realloc_array(old, next, elem_size);
    if (!grown) return false;
    memcpy(ptr_to_ptr, &grown, sizeof grown);
    *cap = next;
    return true;
}

/* Allocation: checked sizes, failures as values, and a switch that lets tests fail the nth
 * allocation. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Each returns NULL when memory or the size arithmetic fails. Freed by med_free. */
void *med_malloc(size_t size) __attribute__((malloc, alloc_size(1)));
void *med_calloc(size_t count, size_t size) __attribute__((malloc, alloc_size(1, 2)));
void *med_realloc_array(void *ptr, size_t count, size_t size) __attribute__((alloc_size(2, 3)));
char *med_strndup(const char *ptr, size_t len);
void med_free(void *ptr);

/* 64-byte aligned, for SIMD; freed by med_free. */
void *med_aligned_alloc(size_t size);

/* The same for a large table that is read at random: on huge pages where the system gives them to
 * who asks, so that a row costs no miss of the address cache. Counts as memory once touched. */
void *med_table_alloc(size_t size);

/* false on overflow; *ret_x is written only on success. */
bool med_size_mul(size_t a, size_t b, size_t *ret_x);
bool med_size_add(size_t a, size_t b, size_t *ret_x);

/* Grows *ptr (elements of elem_size, *cap of them) so that it holds at least `need`, by doubling.
 * ptr_to_ptr is the address of the caller's pointer. false = out of memory, nothing has changed. */
bool med_grow(void *ptr_to_ptr, size_t *cap, size_t need, size_t elem_size);

/* Tests only: the nth allocation from now on fails, once; 1 is the very next one. 0 switches it
 * off. Process-wide. */
void med_mem_fail_after(uint64_t n);
/* How many more succeed before that one: tests count allocations by it. 0 when it is off. */
uint64_t med_mem_fail_left(void);

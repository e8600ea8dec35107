/* How much memory there is, and arrays that do not count as such. */
#pragma once

#include "common/err.h"

#include <stddef.h>
#include <stdint.h>

/* Bytes that this process could still take: what the machine has available, and what the limits of
 * its cgroup and those above leave, without the page cache in them. UINT64_MAX when neither tells.
 */
uint64_t med_memory_available(void);

/* An array in a file without a name: the kernel can write it out and take its pages back, which it
 * cannot do with memory. One thread grows it, which may move it. */
struct med_file_array {
    void *ptr; /* NULL = not open */
    size_t bytes;
    int fd;
};
/* MED_E_IO, MED_E_NO_SPACE: nothing was opened. */
enum med_code med_file_array_open(
    const char *dir, size_t bytes, struct med_file_array *ret_array, struct med_err *err) MED_CHECK;
/* To at least `bytes`, by doubling. The blocks are reserved, so that a full disk is an error here
 * and not a signal later; the array then stays as it was. */
enum med_code med_file_array_grow(
    struct med_file_array *array, size_t bytes, struct med_err *err) MED_CHECK;
void med_file_array_close(struct med_file_array *array);

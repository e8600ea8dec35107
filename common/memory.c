#include "common/memory.h"

#include "common/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The number behind `key` in a file of lines "key number"; key "" = the first number. False where
 * there is none ("max"). */
static bool number_in(const char *path, const char *key, uint64_t *ret_x)
{
    char line[256];
    bool found = false;
    FILE *file = fopen(path, "re");
    if (!file) return false;
    size_t len = strlen(key);
    while (!found && fgets(line, sizeof line, file)) {
        unsigned long long x;
        if (strncmp(line, key, len) != 0 || sscanf(line + len, " %llu", &x) != 1) continue;
        *ret_x = x;
        found = true;
    }
    fclose(file);
    return found;
}

/* What one cgroup folder leaves; UINT64_MAX = no limit. */
static uint64_t left_in(const char *folder)
{
    static const char *const names[] = {"memory.max", "memory.current", "memory.stat"};
    char paths[3][512];
    uint64_t max, used, cache = 0;
    for (size_t i = 0; i < 3; i++) {
        int len = snprintf(paths[i], sizeof paths[i], "/sys/fs/cgroup%s/%s", folder, names[i]);
        if (len < 0 || (size_t)len >= sizeof paths[i]) return UINT64_MAX;
    }
    if (!number_in(paths[0], "", &max) || !number_in(paths[1], "", &used)) return UINT64_MAX;
    if (!number_in(paths[2], "file ", &cache) || cache > used) cache = 0;
    used -= cache;
    return max > used ? max - used : 0;
}

uint64_t med_memory_available(void)
{
    char line[400], folder[sizeof line] = "";
    uint64_t least = UINT64_MAX, kib;
    if (number_in("/proc/meminfo", "MemAvailable:", &kib)) least = kib * 1024;
    FILE *file = fopen("/proc/self/cgroup", "re");
    while (file && fgets(line, sizeof line, file)) {
        if (strncmp(line, "0::/", 4) != 0) continue;
        line[strcspn(line, "\n")] = '\0';
        snprintf(folder, sizeof folder, "%s", line + 3);
    }
    if (file) fclose(file);
    for (;;) {
        uint64_t left = left_in(folder);
        if (left < least) least = left;
        char *slash = strrchr(folder, '/');
        if (!slash) return least;
        *slash = '\0';
    }
}

/* --- arrays in files --- */

static enum med_code failed(struct med_err *err, const char *what, int number)
{
    return med_fail(err, number == ENOSPC || number == EDQUOT ? MED_E_NO_SPACE : MED_E_IO,
        "%s a temporary file: %s", what, strerror(number));
}

enum med_code med_file_array_open(
    const char *dir, size_t bytes, struct med_file_array *ret_array, struct med_err *err)
{
    char path[MED_PATH_MAX];
    struct med_file_array array = {.bytes = bytes};
    array.fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (array.fd < 0) { /* a file system without nameless files */
        enum med_code code = med_path_join(path, dir, "array-XXXXXX", err);
        if (code) return code;
        array.fd = mkostemp(path, O_CLOEXEC);
        if (array.fd >= 0) unlink(path);
    }
    if (array.fd < 0) return failed(err, "opening", errno);
    int number = posix_fallocate(array.fd, 0, (off_t)bytes);
    void *ptr =
        number ? MAP_FAILED : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, array.fd, 0);
    if (ptr == MAP_FAILED) {
        enum med_code code = failed(err, "reserving", number ? number : errno);
        close(array.fd);
        return code;
    }
    array.ptr = ptr;
    *ret_array = array;
    return MED_OK;
}

enum med_code med_file_array_grow(struct med_file_array *array, size_t bytes, struct med_err *err)
{
    size_t wanted = array->bytes;
    if (bytes <= wanted) return MED_OK;
    while (wanted < bytes) {
        if (wanted > SIZE_MAX / 4)
            return med_fail(err, MED_E_LIMIT, "a temporary file is too large");
        wanted *= 2;
    }
    int number = posix_fallocate(array->fd, 0, (off_t)wanted);
    if (number) return failed(err, "reserving", number);
    void *ptr = mremap(array->ptr, array->bytes, wanted, MREMAP_MAYMOVE);
    if (ptr == MAP_FAILED) return failed(err, "mapping", errno);
    array->ptr = ptr;
    array->bytes = wanted;
    return MED_OK;
}

void med_file_array_close(struct med_file_array *array)
{
    if (!array->ptr) return;
    munmap(array->ptr, array->bytes);
    close(array->fd);
    *array = (struct med_file_array){0};
}

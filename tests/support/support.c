#include "tests/support/support.h"

#include "common/clock.h"

#include <stdio.h>
#include <stdlib.h>

uint64_t med_test_seed(void)
{
    unsigned long long seed = med_now_ns();
    const char *wanted = getenv("MEDICUS_SEED");
    if (wanted && !med_str_to_u64(med_str_of(wanted), &seed)) {
        fprintf(stderr, "MEDICUS_SEED is not a number: %s\n", wanted);
        abort();
    }
    fprintf(stderr, "MEDICUS_SEED=%llu\n", seed);
    return seed;
}

void med_test_temp_new(char ret_dir[MED_PATH_MAX])
{
    const char *base = getenv("TMPDIR");
    int len = snprintf(ret_dir, MED_PATH_MAX, "%s/medicus-test-XXXXXX", base ? base : "/tmp");
    if (len < 0 || len >= MED_PATH_MAX || !mkdtemp(ret_dir)) {
        perror("mkdtemp");
        abort();
    }
}

void med_test_temp_remove(const char *dir)
{
    struct med_err err;
    if (med_fs_remove_tree(med_fs_posix(), dir, &err) != MED_OK) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
}

bool med_test_shared(char ret_path[MED_PATH_MAX], const char *name)
{
    const char *shared = getenv("MEDICUS_SHARED");
    if (med_path_join(ret_path, shared ? shared : "../shared", name, NULL) != MED_OK) return false;
    return med_path_exists(ret_path);
}

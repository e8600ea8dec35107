/* What several test programs need: seeds, temporary folders, and the way to optional outside data.
 */
#pragma once

#include "common/fs.h"

#include <stdint.h>

/* The seed of a random test: MEDICUS_SEED from the environment, otherwise from the clock. It
 * is printed, so that a failure can be repeated. */
uint64_t med_test_seed(void);

/* A new empty folder below TMPDIR; med_test_temp_remove deletes it with all it holds. Both stop the
 * test program when that fails. */
void med_test_temp_new(char ret_dir[MED_PATH_MAX]);
void med_test_temp_remove(const char *dir);

/* Test data that is not part of the repository: MEDICUS_SHARED, or the folder `shared` beside the
 * source root (the working directory of the unit tests). False when there is no such file: the test
 * then skips itself and says so. */
bool med_test_shared(char ret_path[MED_PATH_MAX], const char *name);

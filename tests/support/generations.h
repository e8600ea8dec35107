/* Small generations with made-up files, for tests of publishing: the bytes of every file follow
 * from one number. */
#pragma once

#include "index/generation.h"

#define TEST_GENERATION_FILES 3

struct test_generation {
    struct med_manifest manifest; /* points into this structure: do not copy it */
    struct med_segment_ref segment;
    struct med_file_ref files[TEST_GENERATION_FILES];
    struct med_file_ref encoder_file;
    char overlay[32], patch[32]; /* the number in digits */
};

/* Writes a segment and an encoder through the data folder's seam, durably, and fills a manifest for
 * them. */
enum med_code test_generation_write(struct med_data *data, uint64_t content,
    struct test_generation *ret_generation, struct med_err *err) MED_CHECK;
/* The same, and publishes. Call under the build lock. */
enum med_code test_generation_publish(struct med_data *data, uint64_t content,
    struct test_generation *ret_generation, struct med_err *err) MED_CHECK;
/* The number that the pinned generation's files were made of; 0 when one of them is not as it
 * should be. */
uint64_t test_generation_content(const struct med_pin *pin, struct med_err *err);

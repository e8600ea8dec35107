/* Token buckets. A bucket holds at most rate.count tokens (one window's worth, which is also the
 * largest burst) and fills evenly. Who finds at least one token may take more than there are: the
 * bucket goes into debt and the next ones wait for longer. So a batch counts in full, whatever its
 * size, and is never refused after it was begun.
 *
 * Not thread-safe: the owner of the buckets has the lock. */
#pragma once

#include "service/keys.h"

struct bucket {
    struct rate rate; /* count 0: no limit */
    double tokens;
    uint64_t at_ns; /* when the tokens were counted; 0 = full */
};

/* Takes one token. false: none is there; *ret_wait_s (at least 1) is when to come back. */
bool bucket_take(struct bucket *bucket, uint64_t now_ns, uint32_t *ret_wait_s);
/* Takes `tokens` more, into debt if need be. */
void bucket_charge(struct bucket *bucket, uint64_t now_ns, uint32_t tokens);
/* Whole tokens left, and the seconds until it is full again. */
void bucket_state(
    struct bucket *bucket, uint64_t now_ns, uint32_t *ret_remaining, uint32_t *ret_full_after_s);

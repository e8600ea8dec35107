/* The generation that is being served, and how it changes.
 *
 * One thread looks at CURRENT every second. A new generation is opened and verified beside the old
 * one, off the query path, and only then put in its place; requests that hold the old one finish on
 * it, and it stays open for cursors: the last SERVING_KEPT_MAX, each for keep_s seconds. They are
 * mapped files that nobody reads, so they cost address space and disk, and prune leaves them alone.
 * A generation without documents that older ones have, purged for good, says so: then none of those
 * is kept. A docstore that was written anew is opened in the same way, with the generation over it.
 * When anything is wrong the old one stays, and the reason shows in serving_status until the
 * current generation is served. */
#pragma once

#include "index/search.h"

#define SERVING_KEPT_MAX 3u

struct serving;

/* wait: nothing to serve yet is fine. Otherwise MED_E_NOT_FOUND, MED_E_NO_INDEX, ... Where the
 * current generation is damaged the newest intact one with a smaller number is served, unless
 * documents were purged since, and serving_status says so. MED_E_CORRUPT: there is none, or CURRENT
 * itself is damaged, and nobody knows which generation the operator wants. */
enum med_code serving_new(const char *data_path, bool wait, uint64_t keep_s,
    struct serving **ret_serving, struct med_err *err) MED_CHECK;
/* After this nobody may hold an index of it. */
void serving_free(struct serving **serving);

struct served {
    struct med_store *store;
    struct med_index *index;
    struct serving_view *view; /* what keeps both open */
};
/* A reference to a generation: 0 = the newest; false when it is not open (any more). Generations
 * that were served stay open for a while, so that readers can turn the page. Any thread. */
bool serving_acquire(struct serving *serving, uint64_t generation, struct served *ret_served);
void serving_release(struct served *served);

struct serving_status {
    uint64_t generation; /* 0: none */
    int64_t created_unix_s;
    uint64_t documents, passages, bytes;
    uint64_t swaps, failures;
    uint64_t failed_generation; /* which could not be opened, 0 = none; the reason: */
    char failure[MED_ERR_TEXT_MAX];
};
void serving_status(struct serving *serving, struct serving_status *ret_status);

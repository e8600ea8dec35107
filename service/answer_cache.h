/* Answers of searches that were asked before, from the generation that is served.
 *
 * The key is everything that the bytes of an answer depend on, compared whole: a hash alone could
 * give somebody the answer to another question. The first request to a newer generation empties the
 * cache, so that nothing purged is kept. When it is full the entries that were not used for longest
 * go. Any thread. */
#pragma once

#include "common/buf.h"

struct answer_cache;
/* bytes_max bounds keys and answers together; 0: nothing is ever kept. */
enum med_code answer_cache_new(
    size_t bytes_max, struct answer_cache **ret_cache, struct med_err *err) MED_CHECK;
void answer_cache_free(struct answer_cache **cache);
bool answer_cache_is_on(const struct answer_cache *cache);

/* What one answer consists of. Slices given to _put are copied. */
struct cached_answer {
    struct med_str body, ids; /* ids: for the audit log */
    bool has_ids;
    uint64_t total;
    struct med_str next_cursor;
};
/* True: the parts are appended to the buffers. want_ids: an answer kept without ids does not count,
 * and ids may be NULL otherwise. */
bool answer_cache_get(struct answer_cache *cache, uint64_t generation, struct med_str key,
    bool want_ids, struct med_buf *body, struct med_buf *ids, struct med_buf *cursor,
    uint64_t *ret_total);
/* Keeps a copy; silently none when memory or the bound does not allow it. */
void answer_cache_put(struct answer_cache *cache, uint64_t generation, struct med_str key,
    const struct cached_answer *answer);

struct answer_cache_stats {
    uint64_t hits, misses, entries, bytes;
};
struct answer_cache_stats answer_cache_stats(struct answer_cache *cache);

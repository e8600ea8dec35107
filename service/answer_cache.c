/* A hash table of chains and a list by use, under one mutex: a hit copies a few kilobytes, which
 * takes less time than the search of any other thread. */
#include "service/answer_cache.h"

#include "common/hash.h"
#include "common/mem.h"

#include <pthread.h>

#define BUCKET_COUNT 4096
#define ENTRY_SHARE 8 /* an answer larger than 1/8 of the cache is not worth the others */

struct entry {
    struct entry *chain, *newer, *older;
    uint64_t hash, total;
    size_t bytes; /* of this block */
    bool has_ids;
    struct med_str key, body, ids, next_cursor; /* behind this struct */
};

struct answer_cache {
    pthread_mutex_t mutex;
    size_t bytes_max;
    uint64_t generation;
    struct entry *newest, *oldest;
    struct answer_cache_stats stats;
    struct entry *buckets[BUCKET_COUNT];
};

enum med_code answer_cache_new(
    size_t bytes_max, struct answer_cache **ret_cache, struct med_err *err)
{
    struct answer_cache *c = med_calloc(1, sizeof *c);
    if (!c) return med_fail(err, MED_E_NOMEM, "out of memory for the cache of answers");
    pthread_mutex_init(&c->mutex, NULL);
    c->bytes_max = bytes_max;
    *ret_cache = c;
    return MED_OK;
}

static struct entry **place_of(struct answer_cache *c, uint64_t hash, struct med_str key)
{
    struct entry **e = &c->buckets[hash % BUCKET_COUNT];
    while (*e && !((*e)->hash == hash && med_str_eq((*e)->key, key))) e = &(*e)->chain;
    return e;
}

static void unlink_use(struct answer_cache *c, struct entry *e)
{
    *(e->newer ? &e->newer->older : &c->newest) = e->older;
    *(e->older ? &e->older->newer : &c->oldest) = e->newer;
}

static void link_use(struct answer_cache *c, struct entry *e)
{
    e->newer = NULL;
    e->older = c->newest;
    *(c->newest ? &c->newest->newer : &c->oldest) = e;
    c->newest = e;
}

static void drop(struct answer_cache *c, struct entry *e)
{
    struct entry **place = place_of(c, e->hash, e->key);
    *place = e->chain;
    unlink_use(c, e);
    c->stats.entries--;
    c->stats.bytes -= e->bytes;
    med_free(e);
}

/* False: the generation is older than what the cache is about. */
static bool move_to(struct answer_cache *c, uint64_t generation)
{
    if (generation > c->generation) {
        while (c->oldest) drop(c, c->oldest);
        c->generation = generation;
    }
    return generation == c->generation;
}

void answer_cache_free(struct answer_cache **cache)
{
    struct answer_cache *c = *cache;
    *cache = NULL;
    if (!c) return;
    while (c->oldest) drop(c, c->oldest);
    pthread_mutex_destroy(&c->mutex);
    med_free(c);
}

bool answer_cache_is_on(const struct answer_cache *c)
{
    return c->bytes_max > 0;
}

bool answer_cache_get(struct answer_cache *c, uint64_t generation, struct med_str key,
    bool want_ids, struct med_buf *body, struct med_buf *ids, struct med_buf *cursor,
    uint64_t *ret_total)
{
    uint64_t hash = med_hash64(key.ptr, key.len);
    pthread_mutex_lock(&c->mutex);
    struct entry *e = move_to(c, generation) ? *place_of(c, hash, key) : NULL;
    if (e && want_ids && !e->has_ids) e = NULL;
    if (e) {
        unlink_use(c, e);
        link_use(c, e);
        med_buf_append(body, e->body.ptr, e->body.len);
        if (want_ids) med_buf_append(ids, e->ids.ptr, e->ids.len);
        med_buf_append(cursor, e->next_cursor.ptr, e->next_cursor.len);
        *ret_total = e->total;
    }
    *(e ? &c->stats.hits : &c->stats.misses) += 1;
    pthread_mutex_unlock(&c->mutex);
    return e != NULL;
}

static struct med_str copy_behind(char **end, struct med_str text)
{
    struct med_str copy = {.ptr = *end, .len = text.len};
    if (text.len) memcpy(*end, text.ptr, text.len);
    *end += text.len;
    return copy;
}

static struct entry *entry_new(
    uint64_t hash, struct med_str key, const struct cached_answer *a, size_t bytes)
{
    struct entry *e = med_calloc(1, bytes);
    if (!e) return NULL;
    char *end = (char *)(e + 1);
    e->hash = hash;
    e->total = a->total;
    e->bytes = bytes;
    e->has_ids = a->has_ids;
    e->key = copy_behind(&end, key);
    e->body = copy_behind(&end, a->body);
    e->ids = copy_behind(&end, a->ids);
    e->next_cursor = copy_behind(&end, a->next_cursor);
    return e;
}

void answer_cache_put(struct answer_cache *c, uint64_t generation, struct med_str key,
    const struct cached_answer *answer)
{
    size_t bytes = sizeof(struct entry) + key.len + answer->body.len + answer->ids.len +
                   answer->next_cursor.len;
    if (bytes > c->bytes_max / ENTRY_SHARE) return;
    uint64_t hash = med_hash64(key.ptr, key.len);
    struct entry *fresh = entry_new(hash, key, answer, bytes);
    if (!fresh) return;
    pthread_mutex_lock(&c->mutex);
    bool current = move_to(c, generation);
    struct entry *before = current ? *place_of(c, hash, key) : NULL;
    if (before) drop(c, before);
    if (current) {
        while (c->stats.bytes + bytes > c->bytes_max) drop(c, c->oldest);
        *place_of(c, hash, key) = fresh;
        link_use(c, fresh);
        c->stats.entries++;
        c->stats.bytes += bytes;
    }
    pthread_mutex_unlock(&c->mutex);
    if (!current) med_free(fresh);
}

struct answer_cache_stats answer_cache_stats(struct answer_cache *c)
{
    pthread_mutex_lock(&c->mutex);
    struct answer_cache_stats stats = c->stats;
    pthread_mutex_unlock(&c->mutex);
    return stats;
}

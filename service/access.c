/* See access.h. */
#include "service/access.h"

#include "common/clock.h"
#include "common/mem.h"
#include "service/server.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>

/* Wrong keys of one address in a minute, before 429. Addresses share these buckets by a hash: two
 * that meet in one only find each other's wrong keys counted. */
#define WRONG_PER_MINUTE 30
#define ADDRESS_BUCKETS 1024

enum failure { FAILURE_MISSING, FAILURE_INVALID, FAILURE_EXPIRED, FAILURE_SCOPE, FAILURE_COUNT };
static const char *const failure_names[FAILURE_COUNT] = {"missing", "invalid", "expired", "scope"};

struct access {
    struct access_options options;
    bool open_without_keys;
    pthread_rwlock_t keys_lock; /* guards set and stamp */
    struct key_set set;
    struct stat stamp; /* of the file that was read; zero: it was absent */
    pthread_mutex_t buckets_lock;
    struct bucket *of_key; /* one per key of the set */
    struct bucket of_server;
    struct bucket of_address[ADDRESS_BUCKETS];
    uint64_t address_seed;
    atomic_uint_fast64_t failures[FAILURE_COUNT], limited;
};

/* --- the keys --- */

static void stamp_of(const char *data, struct stat *ret)
{
    char path[MED_PATH_MAX];
    if (med_path_join(path, data, "keys", NULL) || stat(path, ret) != 0) *ret = (struct stat){0};
}

static bool same_stamp(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mode == b->st_mode && a->st_uid == b->st_uid &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static struct rate rate_of(const struct access *a, const struct key *key)
{
    return key->rate.count ? key->rate : a->options.rate;
}

static bool same_rate(struct rate a, struct rate b)
{
    return a.count == b.count && a.window_s == b.window_s;
}

/* A bucket keeps its level while its rate stays. */
static void set_rate(struct bucket *bucket, struct rate rate)
{
    if (!same_rate(bucket->rate, rate)) *bucket = (struct bucket){.rate = rate};
}

/* Takes the set over; both locks are held, or nobody else knows of the access yet. */
static void replace(struct access *a, struct key_set *set, struct bucket *buckets)
{
    for (size_t i = 0; i < set->count; i++) {
        for (size_t k = 0; k < a->set.count; k++) {
            if (strcmp(set->items[i].id, a->set.items[k].id) == 0) buckets[i] = a->of_key[k];
        }
        set_rate(&buckets[i], rate_of(a, &set->items[i]));
    }
    keys_free(&a->set);
    med_free(a->of_key);
    a->set = *set;
    a->of_key = buckets;
}

enum med_code access_reload(struct access *a, bool always, bool *ret_changed, struct med_err *err)
{
    struct stat stamp;
    struct key_set set;
    *ret_changed = false;
    stamp_of(a->options.data, &stamp); /* before reading: a change in between is seen next time */
    pthread_rwlock_rdlock(&a->keys_lock);
    bool same = same_stamp(&stamp, &a->stamp);
    pthread_rwlock_unlock(&a->keys_lock);
    if (same && !always) return MED_OK;
    enum med_code code = keys_load(a->options.data, &set, err);
    struct bucket *buckets = code ? NULL : med_calloc(set.count + 1, sizeof *buckets);
    if (!code && !buckets) {
        code = med_fail(err, MED_E_NOMEM, "out of memory for the keys");
        keys_free(&set);
    }
    pthread_rwlock_wrlock(&a->keys_lock);
    a->stamp = stamp; /* a broken file is reported once, not every second */
    if (!code) {
        pthread_mutex_lock(&a->buckets_lock);
        replace(a, &set, buckets);
        pthread_mutex_unlock(&a->buckets_lock);
    }
    pthread_rwlock_unlock(&a->keys_lock);
    *ret_changed = !code;
    return code;
}

enum med_code access_new(
    const struct access_options *options, struct access **ret_access, struct med_err *err)
{
    bool changed;
    char hex[2 * sizeof(uint64_t) + 1];
    struct access *a = med_calloc(1, sizeof *a);
    if (!a) return med_fail(err, MED_E_NOMEM, "out of memory for the keys");
    pthread_rwlock_init(&a->keys_lock, NULL);
    pthread_mutex_init(&a->buckets_lock, NULL);
    access_configure(a, options);
    for (size_t i = 0; i < ADDRESS_BUCKETS; i++)
        a->of_address[i].rate = (struct rate){.count = WRONG_PER_MINUTE, .window_s = 60};
    enum med_code code = secret_random_hex(sizeof(uint64_t), hex, err);
    if (!code) a->address_seed = med_hash64(hex, sizeof hex);
    if (!code) code = access_reload(a, true, &changed, err);
    if (code)
        access_free(&a);
    else
        *ret_access = a;
    return code;
}

void access_free(struct access **access)
{
    struct access *a = *access;
    *access = NULL;
    if (!a) return;
    keys_free(&a->set);
    med_free(a->of_key);
    pthread_rwlock_destroy(&a->keys_lock);
    pthread_mutex_destroy(&a->buckets_lock);
    med_free(a);
}

void access_configure(struct access *a, const struct access_options *options)
{
    pthread_rwlock_wrlock(&a->keys_lock);
    pthread_mutex_lock(&a->buckets_lock);
    a->options = *options;
    set_rate(&a->of_server, options->rate);
    for (size_t i = 0; i < a->set.count; i++) set_rate(&a->of_key[i], rate_of(a, &a->set.items[i]));
    pthread_mutex_unlock(&a->buckets_lock);
    pthread_rwlock_unlock(&a->keys_lock);
}

bool access_asks(struct access *a)
{
    pthread_rwlock_rdlock(&a->keys_lock);
    bool asks = a->set.asked;
    pthread_rwlock_unlock(&a->keys_lock);
    return asks;
}

size_t access_key_count(struct access *a)
{
    pthread_rwlock_rdlock(&a->keys_lock);
    size_t count = a->set.count;
    pthread_rwlock_unlock(&a->keys_lock);
    return count;
}

void access_open_without_keys(struct access *a, bool open)
{
    a->open_without_keys = open;
}

/* --- the check --- */

/* "Bearer <secret>" -> the secret; empty: another scheme. RFC 6750, RFC 9110 section 11. */
static struct med_str bearer(struct med_str value)
{
    struct med_str scheme = MED_STR("Bearer "), none = {0};
    value = med_str_trim(value);
    if (value.len < scheme.len || !med_str_eq_nocase(med_str_sub(value, 0, scheme.len), scheme))
        return none;
    return med_str_trim(med_str_sub(value, scheme.len, value.len));
}

/* false: two different ones. Empty: none was sent. */
static bool secret_of(const struct http_request *r, struct med_str *ret_secret)
{
    struct med_str field, one = {0}, other = {0};
    if (http_header_get(r, "Authorization", &field)) one = bearer(field);
    if (http_header_get(r, "X-API-Key", &field)) other = med_str_trim(field);
    *ret_secret = one.len ? one : other;
    return !one.len || !other.len || secret_text_equal(one, other);
}

static void count(struct access *a, enum failure failure)
{
    atomic_fetch_add_explicit(&a->failures[failure], 1, memory_order_relaxed);
}

static void limited(struct access *a, const struct http_request *r, struct http_response *response,
    uint32_t wait_s, const char *detail)
{
    atomic_fetch_add_explicit(&a->limited, 1, memory_order_relaxed);
    http_response_header(response, "Retry-After", "%u", wait_s);
    respond_problem(r, response, PROBLEM_RATE_LIMITED, detail);
}

static void unauthorized(struct access *a, const struct http_request *r,
    struct http_response *response, enum failure failure, const char *detail)
{
    uint32_t wait_s = 0;
    bool wrong = failure != FAILURE_MISSING;
    count(a, failure);
    if (wrong) {
        /* One network of IPv6 belongs to one customer. IPv4 is mapped: its last 4 bytes tell. */
        static const unsigned char mapped[12] = {[10] = 0xFF, [11] = 0xFF};
        size_t len = memcmp(r->peer, mapped, sizeof mapped) == 0 ? 16 : 8;
        uint64_t mixed[2] = {a->address_seed, med_hash64(r->peer, len)};
        size_t at = med_hash64(mixed, sizeof mixed) % ADDRESS_BUCKETS;
        pthread_mutex_lock(&a->buckets_lock);
        bool few = bucket_take(&a->of_address[at], med_now_ns(), &wait_s);
        pthread_mutex_unlock(&a->buckets_lock);
        if (!few) {
            limited(a, r, response, wait_s, "too many wrong keys from this address");
            return;
        }
    }
    http_response_header(response, "WWW-Authenticate", "Bearer realm=\"medicus\"%s",
        wrong ? ", error=\"invalid_token\"" : "");
    respond_problem(r, response, PROBLEM_UNAUTHORIZED, detail);
}

/* Looks the secret up; the bucket's index is the key's. */
static enum failure identify(struct access *a, struct med_str secret, struct caller *caller,
    unsigned *ret_scopes, struct bucket **ret_bucket)
{
    const struct key *key = secret_well_formed(secret) ? keys_find(&a->set, secret) : NULL;
    if (!key) return FAILURE_INVALID;
    if (key->expires_unix_s && key->expires_unix_s <= med_unix_time_s()) return FAILURE_EXPIRED;
    memcpy(caller->key_id, key->id, sizeof caller->key_id);
    memcpy(caller->key_name, key->name, sizeof caller->key_name);
    caller->trusted = true;
    caller->source_mask = key->source_mask;
    *ret_scopes = key->scopes;
    *ret_bucket = &a->of_key[key - a->set.items];
    return FAILURE_COUNT;
}

static bool take(
    struct access *a, struct bucket *bucket, struct caller *caller, uint32_t *ret_wait_s)
{
    uint64_t now = med_now_ns();
    pthread_mutex_lock(&a->buckets_lock);
    bool ok = bucket_take(bucket, now, ret_wait_s);
    caller->rate = bucket->rate;
    bucket_state(bucket, now, &caller->remaining, &caller->full_after_s);
    pthread_mutex_unlock(&a->buckets_lock);
    return ok;
}

struct verdict {
    bool asks, open, taken;
    enum failure failure; /* FAILURE_COUNT: none */
    unsigned scopes;
    uint32_t wait_s;
};

/* Everything that needs the set of keys. */
static struct verdict judge(
    struct access *a, enum need need, struct med_str secret, struct caller *caller)
{
    struct verdict v = {.failure = FAILURE_MISSING, .taken = true};
    struct bucket *bucket = &a->of_server;
    pthread_rwlock_rdlock(&a->keys_lock);
    v.asks = a->set.asked;
    v.open = !v.asks && a->open_without_keys;
    if (need == NEED_METRICS && a->options.metrics_open) v.open = true;
    if (secret.len && v.asks) v.failure = identify(a, secret, caller, &v.scopes, &bucket);
    bool served = v.failure == FAILURE_COUNT || v.open;
    /* Health and metrics are not searches: a limit must not blind those who watch. */
    if (served && need >= NEED_SEARCH) v.taken = take(a, bucket, caller, &v.wait_s);
    pthread_rwlock_unlock(&a->keys_lock);
    caller->trusted |= v.open;
    return v;
}

static const char *missing_detail(enum need need, bool asks)
{
    if (asks) return "send a key as Authorization: Bearer KEY, or as X-API-Key: KEY";
    return need == NEED_ADMIN
               ? "admin routes need a key, and this server has none: `medicus key add NAME --scope "
                 "admin` makes one"
               : "this server has no keys, and asks for one on this address";
}

bool access_check(
    struct access *a, enum need need, struct http_request *r, struct http_response *response)
{
    struct med_str secret;
    if (secret_of(r, &secret)) {
        if (need == NEED_SEARCH_LATER) need = secret.len ? NEED_SEARCH : NEED_NOTHING;
        return access_check_key(a, need, secret, r, response);
    }
    respond_problem(r, response, PROBLEM_BAD_REQUEST,
        "Authorization and X-API-Key hold different keys; send one of them");
    return false;
}

bool access_key_sent(const struct http_request *r)
{
    struct med_str secret;
    return !secret_of(r, &secret) || secret.len;
}

bool access_check_key(struct access *a, enum need need, struct med_str secret,
    struct http_request *r, struct http_response *response)
{
    static const char *const details[FAILURE_COUNT] = {
        [FAILURE_INVALID] = "this key is not known here: it is mistyped, or was revoked",
        [FAILURE_EXPIRED] = "this key has expired"};
    struct caller *caller = &r->caller;
    struct verdict v = judge(a, need, secret, caller);
    bool known = v.failure == FAILURE_COUNT;
    if (need == NEED_NOTHING) return true;
    if (!known && !(v.open && need != NEED_ADMIN)) {
        if (v.failure == FAILURE_MISSING)
            unauthorized(a, r, response, FAILURE_MISSING, missing_detail(need, v.asks));
        else
            unauthorized(a, r, response, v.failure, details[v.failure]);
        return false;
    }
    unsigned wanted = need == NEED_ADMIN ? SCOPE_ADMIN : need == NEED_SEARCH ? SCOPE_SEARCH : 0;
    if (known && wanted && !(v.scopes & wanted)) {
        count(a, FAILURE_SCOPE);
        http_response_header(response, "WWW-Authenticate",
            "Bearer realm=\"medicus\", error=\"insufficient_scope\", scope=\"%s\"",
            scopes_text(wanted));
        respond_problem(r, response, PROBLEM_INSUFFICIENT_SCOPE,
            wanted == SCOPE_ADMIN ? "this key has not the scope admin"
                                  : "this key has not the scope search");
        return false;
    }
    if (v.taken) return true;
    limited(a, r, response, v.wait_s,
        known ? "this key may send no more requests for now"
              : "this server answers no more requests without a key for now");
    return false;
}

void access_charge(struct access *a, struct http_request *r, uint32_t more)
{
    struct caller *caller = &r->caller;
    if (!caller->rate.count || !more) return;
    uint64_t now = med_now_ns();
    pthread_rwlock_rdlock(&a->keys_lock);
    struct bucket *bucket = caller->key_id[0] ? NULL : &a->of_server;
    for (size_t i = 0; !bucket && i < a->set.count; i++) {
        if (strcmp(a->set.items[i].id, caller->key_id) == 0) bucket = &a->of_key[i];
    }
    if (bucket) {
        pthread_mutex_lock(&a->buckets_lock);
        bucket_charge(bucket, now, more);
        bucket_state(bucket, now, &caller->remaining, &caller->full_after_s);
        pthread_mutex_unlock(&a->buckets_lock);
    }
    pthread_rwlock_unlock(&a->keys_lock);
}

/* draft-ietf-httpapi-ratelimit-headers, structured fields: the policy's quota and window, what is
 * left of it and in how many seconds all of it is there again. */
void access_headers(const struct http_request *r, struct http_response *response)
{
    const struct caller *caller = &r->caller;
    if (!caller->rate.count) return;
    const char *name = caller->key_id[0] ? "key" : "server";
    http_response_header(response, "RateLimit-Policy", "\"%s\";q=%u;w=%u", name, caller->rate.count,
        caller->rate.window_s);
    http_response_header(
        response, "RateLimit", "\"%s\";r=%u;t=%u", name, caller->remaining, caller->full_after_s);
}

void access_metrics(struct access *a, struct med_buf *out)
{
    const char *name = "medicus_auth_failures_total";
    med_buf_printf(out, "# HELP %s Requests refused for their key, by reason.\n# TYPE %s counter\n",
        name, name);
    for (size_t i = 0; i < FAILURE_COUNT; i++)
        med_buf_printf(out, "%s{reason=\"%s\"} %llu\n", name, failure_names[i],
            (unsigned long long)atomic_load(&a->failures[i]));
    metrics_write_value(out, "medicus_rate_limited_total", "counter",
        "Requests refused because there were too many.", (double)atomic_load(&a->limited));
    metrics_write_value(
        out, "medicus_keys", "gauge", "API keys that are known.", (double)access_key_count(a));
}

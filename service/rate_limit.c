/* See rate_limit.h. */
#include "service/rate_limit.h"

static double tokens_per_ns(struct rate rate)
{
    return (double)rate.count / ((double)rate.window_s * 1e9);
}

static void refill(struct bucket *b, uint64_t now_ns)
{
    double full = b->rate.count;
    if (b->at_ns == 0)
        b->tokens = full;
    else if (now_ns > b->at_ns)
        b->tokens += (double)(now_ns - b->at_ns) * tokens_per_ns(b->rate);
    if (b->tokens > full) b->tokens = full;
    b->at_ns = now_ns;
}

/* Seconds until `tokens` more are there, rounded up. */
static uint32_t seconds_for(const struct bucket *b, double tokens)
{
    double seconds = tokens / tokens_per_ns(b->rate) * 1e-9;
    if (seconds >= UINT32_MAX) return UINT32_MAX;
    uint32_t whole = (uint32_t)seconds;
    return whole + (seconds > whole);
}

bool bucket_take(struct bucket *b, uint64_t now_ns, uint32_t *ret_wait_s)
{
    if (!b->rate.count) return true;
    refill(b, now_ns);
    if (b->tokens >= 1) {
        b->tokens -= 1;
        return true;
    }
    uint32_t wait = seconds_for(b, 1 - b->tokens);
    *ret_wait_s = wait ? wait : 1;
    return false;
}

void bucket_charge(struct bucket *b, uint64_t now_ns, uint32_t tokens)
{
    if (!b->rate.count) return;
    refill(b, now_ns);
    b->tokens -= tokens;
}

void bucket_state(
    struct bucket *b, uint64_t now_ns, uint32_t *ret_remaining, uint32_t *ret_full_after_s)
{
    *ret_remaining = *ret_full_after_s = 0;
    if (!b->rate.count) return;
    refill(b, now_ns);
    *ret_remaining = b->tokens > 0 ? (uint32_t)b->tokens : 0;
    *ret_full_after_s = seconds_for(b, b->rate.count - b->tokens);
}

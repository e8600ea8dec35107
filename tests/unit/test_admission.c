/* Who may wait for a search thread: bursts are taken up, standing queues are not. */
#include "service/admission.h"

#include "common/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define MS 1000000ull
#define DEPTH 100u
#define WAIT_MS 10

/* A server in a world of its own, in which nothing but the arguments moves the clock. */
struct world {
    struct admission a;
    uint64_t now_ns, took_ns; /* of each request */
    size_t waiting;
    uint64_t idle_at_ns[2]; /* per thread */
    uint64_t let_in, refused, done, longest_ns, idle_ns;
    uint64_t came_ns[DEPTH]; /* of those that wait, in order */
};

static struct world world_of(uint64_t took_ns)
{
    struct world w = {.a = {.threads = 2, .depth = DEPTH, .wait_ns = WAIT_MS * MS},
        .now_ns = 1000 * MS,
        .took_ns = took_ns};
    for (int i = 0; i < 100; i++) admission_served(&w.a, took_ns);
    return w;
}

static void take(struct world *w, size_t thread)
{
    uint64_t waited = w->now_ns - w->came_ns[0];
    if (waited > w->longest_ns) w->longest_ns = waited;
    w->waiting--;
    for (size_t i = 0; i < w->waiting; i++) w->came_ns[i] = w->came_ns[i + 1];
    w->idle_at_ns[thread] = w->now_ns + w->took_ns;
    w->done++;
    admission_taken(&w->a, w->waiting);
    admission_served(&w->a, w->took_ns);
}

static bool come(struct world *w, bool urgent)
{
    bool yes = admission_ask(&w->a, w->waiting, urgent, w->now_ns);
    if (yes) w->came_ns[w->waiting++] = w->now_ns;
    *(yes ? &w->let_in : &w->refused) += 1;
    return yes;
}

/* Some time, in which one comes every `every_ns` (0: nobody). */
static void run(struct world *w, uint64_t ns, uint64_t every_ns)
{
    const uint64_t step_ns = MS / 10;
    for (uint64_t at = 0; at < ns; at += step_ns, w->now_ns += step_ns) {
        if (every_ns && at % every_ns == 0) (void)come(w, false);
        for (size_t t = 0; t < 2; t++) {
            if (w->idle_at_ns[t] > w->now_ns) continue;
            if (w->waiting)
                take(w, t);
            else
                w->idle_ns += step_ns;
        }
    }
}

static void a_burst_is_answered_whole(void **state)
{
    (void)state;
    struct world w = world_of(MS);
    for (size_t i = 0; i < DEPTH; i++) assert_true(come(&w, false));
    assert_false(come(&w, false)); /* there is an end to it */
    run(&w, 100 * MS, 0);
    assert_int_equal(w.done, DEPTH);
    assert_false(w.a.overload);
    assert_int_equal(w.a.refused, 1);
}

static void as_many_as_can_be_answered_are_let_in(void **state)
{
    (void)state;
    struct world w = world_of(MS);
    run(&w, 2000 * MS, MS / 2); /* two threads, each a thousand a second */
    assert_int_equal(w.refused, 0);
    assert_false(w.a.overload);
}

static void overload_keeps_waits_short_and_threads_busy(void **state)
{
    (void)state;
    struct world w = world_of(MS);
    run(&w, 500 * MS, MS / 10); /* ten thousand a second, five times too many */
    assert_true(w.a.overload);
    w.longest_ns = w.idle_ns = w.let_in = w.refused = w.done = 0;
    run(&w, 2000 * MS, MS / 10);
    assert_true(w.a.overload);
    assert_in_range(w.longest_ns, 5 * MS, (WAIT_MS + 2) * MS);
    assert_int_equal(w.idle_ns, 0);
    assert_in_range(w.done, 3950, 4050); /* what two threads can do in two seconds */
    assert_int_equal(w.let_in + w.refused, 20000);
    assert_in_range(w.refused, 15900, 16100);
    assert_true(w.a.refused >= w.refused);
}

static void bursts_are_welcome_again_after_an_overload(void **state)
{
    (void)state;
    struct world w = world_of(MS);
    run(&w, 500 * MS, MS / 10);
    assert_true(w.a.overload);
    run(&w, ADMISSION_CALM_NS + 100 * MS, 0);
    for (size_t i = 0; i < DEPTH; i++) assert_true(come(&w, false));
    assert_false(w.a.overload);
}

static void a_few_callers_are_no_overload_however_long_searches_take(void **state)
{
    (void)state;
    struct world w = world_of(200 * MS);
    for (int round = 0; round < 50; round++) {
        /* Ten callers, each of whom asks again when it has an answer. */
        while (w.waiting < 2 * ADMISSION_ALWAYS) assert_true(come(&w, false));
        run(&w, 200 * MS, 0);
    }
    assert_int_equal(w.refused, 0);
}

static void threads_that_stand_still_for_a_moment_are_no_overload(void **state)
{
    (void)state;
    struct world w = world_of(MS);
    for (int round = 0; round < 10; round++) {
        w.idle_at_ns[0] = w.idle_at_ns[1] = w.now_ns + 400 * MS; /* others had the processors */
        run(&w, 1000 * MS, 5 * MS);
    }
    assert_int_equal(w.refused, 0);
    assert_false(w.a.overload);
}

static void slower_searches_let_fewer_wait(void **state)
{
    (void)state;
    uint64_t longest[3], took_ns[3] = {MS / 2, MS, 2 * MS};
    for (size_t i = 0; i < 3; i++) {
        struct world w = world_of(MS); /* the average has to find out */
        w.took_ns = took_ns[i];
        run(&w, 1000 * MS, MS / 10);
        w.longest_ns = 0;
        run(&w, 1000 * MS, MS / 10);
        longest[i] = w.longest_ns;
        assert_in_range(longest[i], 5 * MS, (WAIT_MS + 4) * MS);
    }
}

static void an_operator_is_let_in_during_an_overload(void **state)
{
    (void)state;
    struct world w = world_of(MS);
    run(&w, 500 * MS, MS / 10);
    while (come(&w, false)) {
    }
    assert_true(w.a.overload);
    assert_true(come(&w, true));
    while (w.waiting < DEPTH) assert_true(come(&w, true));
    assert_false(come(&w, true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_is_answered_whole),
        cmocka_unit_test(as_many_as_can_be_answered_are_let_in),
        cmocka_unit_test(overload_keeps_waits_short_and_threads_busy),
        cmocka_unit_test(bursts_are_welcome_again_after_an_overload),
        cmocka_unit_test(a_few_callers_are_no_overload_however_long_searches_take),
        cmocka_unit_test(threads_that_stand_still_for_a_moment_are_no_overload),
        cmocka_unit_test(slower_searches_let_fewer_wait),
        cmocka_unit_test(an_operator_is_let_in_during_an_overload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

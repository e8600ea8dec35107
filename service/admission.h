/* Whether one more request may wait for a search thread. Pure arithmetic: time is an argument,
 * locks are the caller's.
 *
 * A queue does two things. It takes up a burst, which is good: everybody is answered a little
 * later. And it can stand, when more comes than can be done: then everybody waits as long as the
 * queue is deep, and nobody is answered sooner for it. Controlled delay (Nichols and Jacobson,
 * "Controlling Queue Delay", 2012; RFC 8289) tells the two apart by how long the queue stands. Here
 * what was taken from it meanwhile counts instead of time: threads that do not run, because others
 * have the processors, are no overload, and a burst that the queue can hold never is.
 *
 *   CALM      up to `depth` may wait
 *     | a request that came now would wait more than wait_ns, and has done so while as many were
 *     | taken from the queue as fit into it: that is more than a burst
 *     v
 *   OVERLOAD  only as many may wait as begin within wait_ns; everybody else is refused when the
 *     |       header has been read
 *     | nobody had to be refused for ADMISSION_CALM_NS
 *     v
 *   CALM
 *
 * How long a request would wait follows from how many wait and what requests took lately (a moving
 * average). Some per thread may always wait: no thread is without work because of this, and a few
 * callers who each wait for their answer are no overload however long a search takes. What was let
 * in is answered: nothing is thrown out of the queue. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Less than the second of Retry-After: who comes back in a crowd finds room for one. */
#define ADMISSION_CALM_NS 500000000ull

#define ADMISSION_ALWAYS 2 /* per thread */

struct admission {
    unsigned threads;
    size_t depth;
    uint64_t wait_ns;
    double served_ns;    /* that a request takes a thread, lately; 0: not known */
    bool standing;       /* the queue is too long */
    size_t taken;        /* from it since then */
    uint64_t refused_ns; /* when the last one was refused in overload */
    bool overload;
    uint64_t refused; /* how many were, for whatever reason */
};
/* The time that the next one would wait, behind `waiting` others, with every thread busy. */
uint64_t admission_wait_ns(const struct admission *admission, size_t waiting);
/* May one more wait, or begin at once where a thread is idle? Counts those that may not. Urgent
 * ones (an operator's) only need room. */
bool admission_ask(struct admission *admission, size_t waiting, bool urgent, uint64_t now_ns);
/* Whether some are being refused so that the others need not wait. */
bool admission_is_overload(const struct admission *admission, uint64_t now_ns);
/* One has left the queue; this many still wait. */
void admission_taken(struct admission *admission, size_t waiting);
/* One was done, and took a thread that long. */
void admission_served(struct admission *admission, uint64_t took_ns);

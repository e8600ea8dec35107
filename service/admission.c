#include "service/admission.h"

#define AVERAGE_OVER 32 /* requests that the moving average remembers, about */

uint64_t admission_wait_ns(const struct admission *a, size_t waiting)
{
    return (uint64_t)(a->served_ns * (double)(waiting + 1) / a->threads);
}

static bool is_too_long(const struct admission *a, size_t waiting)
{
    return waiting >= (size_t)a->threads * ADMISSION_ALWAYS &&
           admission_wait_ns(a, waiting) > a->wait_ns;
}

bool admission_is_overload(const struct admission *a, uint64_t now_ns)
{
    return a->overload && now_ns - a->refused_ns < ADMISSION_CALM_NS;
}

bool admission_ask(struct admission *a, size_t waiting, bool urgent, uint64_t now_ns)
{
    bool room = waiting < a->depth, too_long = is_too_long(a, waiting);
    if (too_long && !a->standing) {
        a->standing = true;
        a->taken = 0;
    }
    if (too_long && a->taken >= a->depth) {
        if (!a->overload) a->refused_ns = now_ns;
        a->overload = true;
    }
    if (!too_long) a->overload = admission_is_overload(a, now_ns);
    if (room && (urgent || !a->overload || !too_long)) return true;
    if (a->overload) a->refused_ns = now_ns;
    a->refused++;
    return false;
}

void admission_taken(struct admission *a, size_t waiting)
{
    a->taken++;
    if (!is_too_long(a, waiting)) a->standing = false;
}

void admission_served(struct admission *a, uint64_t took_ns)
{
    double took = (double)took_ns;
    a->served_ns += a->served_ns > 0 ? (took - a->served_ns) / AVERAGE_OVER : took;
}

#include "index/spell.h"

#define WORD_BYTES_MAX 64u

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

unsigned spell_distance(struct med_str a, struct med_str b, unsigned cap)
{
    unsigned rows[3][WORD_BYTES_MAX + 1];
    size_t difference = a.len > b.len ? a.len - b.len : b.len - a.len;
    if (a.len > WORD_BYTES_MAX || b.len > WORD_BYTES_MAX || difference >= cap) return cap;
    for (size_t j = 0; j <= b.len; j++) rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= a.len; i++) {
        unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        unsigned least = row[0] = (unsigned)i;
        for (size_t j = 1; j <= b.len; j++) {
            char x = lower(a.ptr[i - 1]), y = lower(b.ptr[j - 1]);
            unsigned best = above[j - 1] + (x != y);
            if (above[j] + 1 < best) best = above[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            if (i > 1 && j > 1 && x == lower(b.ptr[j - 2]) && lower(a.ptr[i - 2]) == y &&
                before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
            if (best < least) least = best;
        }
        if (least >= cap) return cap;
    }
    unsigned d = rows[a.len % 3][b.len];
    return d < cap ? d : cap;
}

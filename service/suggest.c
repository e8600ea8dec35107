#include "service/suggest.h"

#define WORD_BYTES_MAX 40

/* Levenshtein's distance with one row; words of this program are short. */
static size_t distance(struct med_str a, struct med_str b)
{
    size_t row[WORD_BYTES_MAX + 1];
    for (size_t j = 0; j <= b.len; j++) row[j] = j;
    for (size_t i = 0; i < a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < b.len; j++) {
            size_t replaced = diagonal + (a.ptr[i] != b.ptr[j]);
            size_t inserted = (row[j + 1] < row[j] ? row[j + 1] : row[j]) + 1;
            diagonal = row[j + 1];
            row[j + 1] = replaced < inserted ? replaced : inserted;
        }
    }
    return row[b.len];
}

const char *suggest_word(struct med_str given, const char *const *known, size_t count)
{
    if (given.len == 0 || given.len > WORD_BYTES_MAX) return NULL;
    const char *best = NULL;
    size_t best_distance = given.len < 5 ? 2 : 3;
    if (best_distance > given.len) best_distance = given.len;
    for (size_t i = 0; i < count; i++) {
        struct med_str word = med_str_of(known[i]);
        if (word.len > WORD_BYTES_MAX) continue;
        size_t d = distance(given, word);
        if (d < best_distance || (!best && d == best_distance && d < given.len)) {
            best = known[i];
            best_distance = d;
        }
    }
    return best;
}

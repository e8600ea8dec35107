#include "index/lexical/impacts.h"

#include "index/lexical/lexical.h"

#include <stdbool.h>

void lex_frontier_init(struct lex_frontier *f)
{
    memset(f->len_min, 255, sizeof(f->len_min));
    f->code_max = 0;
}

void lex_frontier_add(struct lex_frontier *f, struct lex_impact impact)
{
    if (impact.len < f->len_min[impact.wtf]) f->len_min[impact.wtf] = impact.len;
    if (impact.wtf > f->code_max) f->code_max = impact.wtf;
}

/* The score that the entry allows, up to the term's weight, under the default parameters. */
static float reference_score(struct lex_impact impact, float avg_len)
{
    float tf = impact.wtf;
    float len = (float)lex_len_of_code(impact.len) / avg_len;
    return tf / (tf + MED_BM25_K1_DEFAULT * (1 - MED_BM25_B_DEFAULT + MED_BM25_B_DEFAULT * len));
}

/* Merges the two neighbours whose common upper bound exceeds the best entry least. */
static uint32_t merge_cheapest(struct lex_impact *set, uint32_t count, float avg_len)
{
    float best = 0, cheapest = 0;
    for (uint32_t i = 0; i < count; i++) {
        float score = reference_score(set[i], avg_len);
        if (score > best) best = score;
    }
    uint32_t at = 0;
    for (uint32_t i = 0; i + 1 < count; i++) {
        struct lex_impact merged = {.wtf = set[i].wtf, .len = set[i + 1].len};
        float score = reference_score(merged, avg_len), high = reference_score(set[i], avg_len),
              low = reference_score(set[i + 1], avg_len);
        float cost = 0.01f * (score - (high > low ? high : low));
        if (score > best) cost += score - best;
        if (i == 0 || cost < cheapest) {
            cheapest = cost;
            at = i;
        }
    }
    set[at].len = set[at + 1].len;
    for (uint32_t i = at + 1; i + 1 < count; i++) set[i] = set[i + 1];
    return count - 1;
}

void lex_frontier_take(
    struct lex_frontier *f, float avg_len, uint32_t cap, struct lex_impact *ret_impacts)
{
    /* Sorted by falling frequency and falling length; at most 255 entries, in practice a handful.
     */
    struct lex_impact set[256];
    uint32_t count = 0;
    uint8_t len_best = 255;
    for (uint32_t code = f->code_max; code > 0; code--) {
        uint8_t len = f->len_min[code];
        f->len_min[code] = 255;
        if (len >= len_best) continue;
        len_best = len;
        set[count++] = (struct lex_impact){.wtf = (uint8_t)code, .len = len};
    }
    f->code_max = 0;
    while (count > cap) count = merge_cheapest(set, count, avg_len > 0 ? avg_len : 1);
    memset(ret_impacts, 0, cap * sizeof(*ret_impacts));
    for (uint32_t i = 0; i < count; i++) ret_impacts[i] = set[i];
}

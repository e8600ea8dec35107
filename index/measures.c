/* Retrieval measures with trec_eval's rules: linear gain, log2 discount, ideal from all judged
 * documents, negative and absent judgements count as 0. nDCG after Jaervelin and Kekaelaeinen
 * (2002). */
#include "index/eval.h"

#include <math.h>
#include <stdlib.h>

static int trec_order(const void *a, const void *b)
{
    const struct med_eval_item *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return med_str_cmp(y->doc, x->doc);
}

void med_eval_order(struct med_eval_item *items, size_t count)
{
    if (count) qsort(items, count, sizeof *items, trec_order);
}

static double dcg_ideal(const int *sorted_gains, size_t count, size_t cut)
{
    double sum = 0;
    for (size_t i = 0; i < count && i < cut && sorted_gains[i] > 0; i++)
        sum += sorted_gains[i] / log2((double)i + 2);
    return sum;
}

static double dcg(const int *gains, size_t count, size_t cut)
{
    double sum = 0;
    for (size_t i = 0; i < count && i < cut; i++) {
        if (gains[i] > 0) sum += gains[i] / log2((double)i + 2);
    }
    return sum;
}

struct med_eval_scores med_eval_query(
    const int *ranked, size_t ranked_count, const int *all, size_t all_count)
{
    struct med_eval_scores s = {0};
    size_t relevant = 0;
    while (relevant < all_count && all[relevant] > 0) relevant++;
    if (relevant == 0) return s;
    double ideal_10 = dcg_ideal(all, all_count, 10), ideal_100 = dcg_ideal(all, all_count, 100);
    s.ndcg_10 = dcg(ranked, ranked_count, 10) / ideal_10;
    s.ndcg_100 = dcg(ranked, ranked_count, 100) / ideal_100;
    size_t found = 0;
    for (size_t i = 0; i < ranked_count; i++) {
        if (ranked[i] <= 0) continue;
        found++;
        double rank = (double)i + 1;
        s.map += (double)found / rank / (double)relevant;
        if (found == 1 && i < 10) s.mrr_10 = 1 / rank;
        if (i < 10) s.precision_10 += 0.1;
        if (i < 100) s.recall_100 += 1 / (double)relevant;
        if (i < 1000) s.recall_1000 += 1 / (double)relevant;
    }
    return s;
}

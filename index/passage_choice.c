/* Which passage of a document is shown.
 *
 * A document's rank comes from its best passage. The words of a long article's subject stand in
 * most of its passages, and the fused score tells them apart badly: the one that answers is among
 * the best four much more often than it is the first. There, the passage wins in which one place of
 * a snippet's size covers most of the query. Order and scores of documents do not change. */
#include "index/internal.h"

#define WINDOW_WEIGHT 0.5 /* of the covered share of idf, beside the share of the best score */

enum med_code passage_choose(const struct med_segment *segment, struct med_analyzer *analyzer,
    const struct snippet_terms *terms, const struct med_doc *doc, const struct med_text *text,
    const struct med_ranked *rank, struct med_arena *arena, uint32_t *ret_chunk,
    struct med_err *err)
{
    uint32_t best = rank->chunk;
    double best_value = -1;
    for (uint32_t i = 0; i < rank->passage_count; i++) {
        const struct med_chunk_row *chunk = &segment->chunks[rank->passages[i]];
        struct med_str passage;
        double covered;
        if (chunk->end > text->bytes.len) continue; /* whoever shows it reports it */
        if ((double)rank->passage_shares[i] + WINDOW_WEIGHT <= best_value)
            continue; /* cannot win */
        enum med_code code = med_text_slice(
            doc, text, (struct med_span){chunk->start, chunk->end}, arena, &passage, err);
        if (!code) code = snippet_weigh(analyzer, passage, terms, arena, &covered, err);
        if (code) return code;
        double value = (double)rank->passage_shares[i] + WINDOW_WEIGHT * covered;
        if (value <= best_value) continue;
        best = rank->passages[i];
        best_value = value;
    }
    *ret_chunk = best;
    return MED_OK;
}

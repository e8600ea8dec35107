#include "index/lexical/scratch.h"

#include "common/mem.h"

enum med_code med_lex_scratch_new(struct med_lex_scratch **ret_scratch, struct med_err *err)
{
    struct med_lex_scratch *scratch = med_aligned_alloc(sizeof(*scratch));
    if (!scratch) return med_fail(err, MED_E_NOMEM, "no memory for lexical search");
    memset(scratch, 0, sizeof(*scratch));
    *ret_scratch = scratch;
    return MED_OK;
}

void med_lex_scratch_free(struct med_lex_scratch **scratch)
{
    struct med_lex_scratch *s = *scratch;
    if (!s) return;
    *scratch = NULL;
    med_free(s->cursors);
    med_free(s->order);
    med_free(s->bounds);
    med_free(s->optional);
    med_free(s->optional_bounds);
    med_free(s->heap);
    med_free(s->bits);
    med_free(s->sums);
    med_free(s);
}

enum med_code lex_scratch_open(struct med_lex_scratch *s, const struct med_lex *lex,
    const struct med_lex_query *query, size_t *ret_count, struct med_err *err)
{
    struct lex_scoring scoring;
    enum med_code code = lex_scoring_of(query, &scoring, err);
    if (code != MED_OK) return code;
    size_t n = query->term_count ? query->term_count : 1;
    if (!med_grow(&s->cursors, &s->cursor_cap, n, sizeof(*s->cursors)) ||
        !med_grow(&s->order, &s->order_cap, n, sizeof(*s->order)) ||
        !med_grow(&s->bounds, &s->bounds_cap, n, sizeof(*s->bounds)) ||
        !med_grow(&s->optional, &s->optional_cap, n, sizeof(*s->optional)) ||
        !med_grow(&s->optional_bounds, &s->optional_bounds_cap, n, sizeof(*s->optional_bounds)))
        return med_fail(err, MED_E_NOMEM, "no memory for a query of %zu terms", query->term_count);
    lex_context_init(&s->context, lex, &scoring);
    size_t count = 0;
    for (size_t i = 0; i < query->term_count; i++) {
        if (!(query->terms[i].weight > 0)) continue;
        code = lex_cursor_open(&s->cursors[count], &s->context, query->terms[i], err);
        if (code != MED_OK) return code;
        count++;
    }
    *ret_count = count;
    return MED_OK;
}

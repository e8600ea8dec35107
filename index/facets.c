/* Facets: how many documents of a set have each value. Counts are of documents, exact. */
#include "index/match.h"

#include "common/mem.h"
#include "index/evidence.h"

#include <stdio.h>
#include <stdlib.h>

#define YEARS_MAX 10000u

static const char *const facet_names[MED_FACET_COUNT] = {
    "year", "type", "journal", "mesh", "language", "source", "evidence"};

const char *med_facet_name(enum med_facet facet)
{
    return (unsigned)facet < MED_FACET_COUNT ? facet_names[facet] : "unknown";
}

struct tally {
    struct med_facet_value *values;
    size_t count, cap;
};

static enum med_code out_of_memory(struct med_err *err)
{
    return med_fail(err, MED_E_NOMEM, "the facets need more memory than one request may use");
}

/* --- the set --- */

/* Documents with any content word of a plain question, within the filter. */
static enum med_code matching(const struct med_segment *s, struct med_searcher *searcher,
    const struct query *query, const uint64_t *within, uint64_t *set, struct med_err *err)
{
    enum med_code code = MED_OK;
    bool content = false;
    for (size_t t = 0; t < query->term_count; t++) content |= query->terms[t].weight >= 1;
    for (size_t t = 0; !code && t < query->term_count; t++) {
        uint32_t ordinal;
        if (content && query->terms[t].weight < 1) continue;
        if (med_segment_find(s, query->terms[t].term, &ordinal, NULL))
            code = med_lex_mark(s->lex, searcher->scratch, ordinal, s->chunk_doc, set, err);
    }
    for (size_t i = 0; within && i <= s->doc_count / 64; i++) set[i] &= within[i];
    return code;
}

/* --- counting --- */

static enum med_code add_value(
    struct tally *t, struct med_str value, uint64_t count, struct med_err *err)
{
    if (!med_grow(&t->values, &t->cap, t->count + 1, sizeof *t->values)) return out_of_memory(err);
    t->values[t->count++] = (struct med_facet_value){.value = value, .count = count};
    return MED_OK;
}

static enum med_field field_of(enum med_facet facet)
{
    return facet == MED_FACET_TYPE      ? MED_FIELD_TYPE
           : facet == MED_FACET_JOURNAL ? MED_FIELD_JOURNAL
           : facet == MED_FACET_MESH    ? MED_FIELD_MESH
                                        : MED_FIELD_LANGUAGE;
}

static enum med_code count_attributes(const struct med_segment *s, const uint64_t *set,
    uint32_t mask, struct tally *tallies, struct med_err *err)
{
    const struct med_attributes *a = &s->attributes;
    enum med_code code = MED_OK;
    uint32_t *counts = med_calloc((size_t)a->value_count + 1, sizeof *counts);
    if (!counts) return out_of_memory(err);
    for (uint32_t d = 0; d < s->doc_count; d++) {
        if (set && !(set[d >> 6] >> (d & 63) & 1)) continue;
        for (uint32_t i = a->doc_start[d]; i < a->doc_start[d + 1]; i++) counts[a->entries[i]]++;
    }
    for (uint32_t v = 0; !code && v < a->value_count; v++) {
        if (!counts[v]) continue;
        for (enum med_facet f = MED_FACET_TYPE; !code && f <= MED_FACET_LANGUAGE; f++) {
            if (mask >> f & 1 && field_of(f) == med_attribute_field(a, v))
                code = add_value(&tallies[f], med_attribute_text(a, v), counts[v], err);
        }
    }
    med_free(counts);
    return code;
}

static void count_rows(const struct med_segment *s, const uint64_t *set, uint64_t *years,
    uint64_t *sources, uint64_t *levels)
{
    for (uint32_t d = 0; d < s->doc_count; d++) {
        if (set && !(set[d >> 6] >> (d & 63) & 1)) continue;
        uint32_t year = s->docs[d].date / 10000;
        if (year && year < YEARS_MAX) years[year]++;
        sources[s->docs[d].source]++;
        if (s->evidence[d] < MED_EVIDENCE_COUNT) levels[s->evidence[d]]++;
    }
}

/* --- sorting and cutting --- */

static int by_value(const void *a, const void *b)
{
    const struct med_facet_value *x = a, *y = b;
    return med_str_cmp(x->value, y->value);
}

static int by_count(const void *a, const void *b)
{
    const struct med_facet_value *x = a, *y = b;
    if (x->count != y->count) return x->count > y->count ? -1 : 1;
    return by_value(a, b);
}

/* Equal values of several segments become one; the most frequent ones stay. */
static enum med_code finish(struct tally *t, uint32_t limit, bool keep_order,
    struct med_arena *arena, struct med_facet_counts *ret, struct med_err *err)
{
    size_t kept = 0;
    if (t->count && !keep_order) {
        qsort(t->values, t->count, sizeof *t->values, by_value);
        for (size_t i = 0; i < t->count; i++) {
            if (kept && med_str_eq(t->values[kept - 1].value, t->values[i].value))
                t->values[kept - 1].count += t->values[i].count;
            else
                t->values[kept++] = t->values[i];
        }
        t->count = kept;
        qsort(t->values, t->count, sizeof *t->values, by_count);
    }
    if (t->count > limit) t->count = limit;
    ret->count = t->count;
    ret->values = med_arena_calloc(arena, t->count + 1, sizeof *ret->values);
    if (!ret->values) return out_of_memory(err);
    for (size_t i = 0; i < t->count; i++) ret->values[i] = t->values[i];
    return MED_OK;
}

static enum med_code finish_rows(const struct med_search_request *r, const uint64_t *years,
    const uint64_t *sources, const uint64_t *levels, struct tally *tallies, struct med_arena *arena,
    struct med_err *err)
{
    enum med_code code = MED_OK;
    for (uint32_t y = YEARS_MAX; !code && y-- > 0;) {
        if (!years[y] || !(r->facet_mask >> MED_FACET_YEAR & 1)) continue;
        char *text = med_arena_printf(arena, "%u", y);
        if (!text) return out_of_memory(err);
        code = add_value(&tallies[MED_FACET_YEAR], med_str_of(text), years[y], err);
    }
    for (unsigned i = 0; !code && i < MED_SOURCE_COUNT; i++) {
        if (sources[i])
            code = add_value(&tallies[MED_FACET_SOURCE],
                med_str_of(med_source_name((enum med_source)i)), sources[i], err);
    }
    for (unsigned i = 0; !code && i < MED_EVIDENCE_COUNT; i++) {
        if (levels[i])
            code = add_value(&tallies[MED_FACET_EVIDENCE],
                med_str_of(med_evidence_name((enum med_evidence)i)), levels[i], err);
    }
    return code;
}

enum med_code facets_count(const struct med_index *index, struct med_searcher *searcher,
    const struct med_search_request *r, const struct query *query, const struct match *match,
    struct med_arena *arena, struct med_ranking *ranking, struct med_err *err)
{
    struct tally tallies[MED_FACET_COUNT] = {0};
    uint64_t sources[MED_SOURCE_COUNT] = {0}, levels[MED_EVIDENCE_COUNT] = {0};
    enum med_code code = MED_OK;
    if (!r->facet_mask) return MED_OK;
    uint64_t *years = med_arena_calloc(arena, YEARS_MAX, sizeof *years);
    if (!years) return out_of_memory(err);
    for (uint32_t i = 0; !code && i < index->segment_count; i++) {
        const struct med_segment *s = index->segments[i];
        const uint64_t *set = match->docs[i];
        if (!match->restricted) {
            uint64_t *any = med_arena_calloc(arena, (size_t)s->doc_count / 64 + 1, sizeof *any);
            if (!any) code = out_of_memory(err);
            if (!code) code = matching(s, searcher, query, set, any, err);
            set = any;
        }
        if (!code) code = count_attributes(s, set, r->facet_mask, tallies, err);
        if (!code) count_rows(s, set, years, sources, levels);
    }
    if (!code) code = finish_rows(r, years, sources, levels, tallies, arena, err);
    for (enum med_facet f = 0; f < MED_FACET_COUNT; f++) {
        if (!code && r->facet_mask >> f & 1)
            code = finish(
                &tallies[f], r->facet_values, f == MED_FACET_YEAR, arena, &ranking->facets[f], err);
        med_free(tallies[f].values);
    }
    return code;
}

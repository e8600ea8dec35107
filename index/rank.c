/* Ranking: candidates of both halves, both scores for each, one fused score.
 *
 * Fusion is the convex combination of Bruch, Gai and Ingber (2023): score = (1 - w) * lexical / max
 * + w * dense / max, each score divided by the pool's maximum, with 0 as the theoretical minimum of
 * BM25 and as the floor of the cosine. Reciprocal rank fusion (Cormack, Clarke and Buettcher 2009,
 * k = 60) is the alternative, scaled so that first in both halves is 1.
 *
 * The fused score is the relevance; authority (authority.h) adds to it or takes from it. Where that
 * lifts the best candidate above 1, all scores of the answer are divided by the best one: cutting
 * each off at 1 would make the best ones equal and lose their order. */
#include "index/candidates.h"
#include "index/match.h"

#include "common/clock.h"
#include "common/mem.h"

#include <math.h>

#define RRF_K 60.0
#define POOL_GROWTH 4             /* of the next pool, for pages behind the first */
#define PASSAGES_OF_DOC_MAX 4096u /* a longer document shows the passage that gave its score */
#define SCORE_ROUNDING 1e-12      /* a sum of parts may be this far above 1 */

struct ranker {
    const struct med_index *index;
    struct med_searcher *searcher;
    const struct med_search_request *request;
    const struct query *query;
    struct med_arena *arena;
    struct med_filter *filters;  /* per segment */
    struct med_lex_term **terms; /* per segment: the query's terms found there */
    size_t *term_counts;
    const float *vector; /* NULL: no dense half */
    struct pool pool;
};

static enum med_code out_of_memory(struct med_err *err)
{
    return med_fail(err, MED_E_NOMEM, "the search needs more memory than one request may use");
}

/* --- terms and vector --- */

static enum med_code find_terms(struct ranker *k, struct query *query, struct med_err *err)
{
    const struct med_index *x = k->index;
    size_t n = query->term_count;
    k->terms = med_arena_calloc(k->arena, x->segment_count + 1, sizeof *k->terms);
    k->term_counts = med_arena_calloc(k->arena, x->segment_count + 1, sizeof *k->term_counts);
    uint32_t *ordinals = med_arena_calloc(k->arena, x->segment_count * n + 1, sizeof *ordinals);
    if (!k->terms || !k->term_counts || !ordinals) return out_of_memory(err);
    for (size_t t = 0; t < n; t++) {
        query->terms[t].df = 0;
        for (uint32_t s = 0; s < x->segment_count; s++) {
            uint32_t df = 0, *ordinal = &ordinals[s * n + t];
            if (!med_segment_find(x->segments[s], query->terms[t].term, ordinal, &df))
                *ordinal = MED_NO_TERM;
            query->terms[t].df += df;
        }
        double df = (double)query->terms[t].df, all = (double)x->stats.chunk_count;
        query->terms[t].idf = df > 0 ? (float)log(1 + (all - df + 0.5) / (df + 0.5)) : 0;
    }
    for (uint32_t s = 0; s < x->segment_count; s++) {
        k->terms[s] = med_arena_calloc(k->arena, n + 1, sizeof **k->terms);
        if (!k->terms[s]) return out_of_memory(err);
        for (size_t t = 0; t < n; t++) {
            if (ordinals[s * n + t] == MED_NO_TERM) continue;
            k->terms[s][k->term_counts[s]++] = (struct med_lex_term){.ordinal = ordinals[s * n + t],
                .weight = query->terms[t].idf * query->terms[t].weight};
        }
    }
    return MED_OK;
}

static enum med_code encode_query(
    struct ranker *k, struct med_ranking *ranking, struct med_err *err)
{
    const struct med_corpus_encoder *encoder = k->index->encoder;
    if (!encoder || k->request->mode == MED_MODE_LEXICAL) return MED_OK;
    size_t n = k->query->term_count;
    k->vector = k->request->vector;
    if (k->vector) return MED_OK;
    uint32_t *rows = med_arena_calloc(k->arena, n + 1, sizeof *rows);
    float *counts = med_arena_calloc(k->arena, n + 1, sizeof *counts);
    float *vector = med_arena_calloc(k->arena, med_corpus_dim(encoder), sizeof *vector);
    if (!rows || !counts || !vector) return out_of_memory(err);
    struct med_bag bag = {.rows = rows, .counts = counts};
    for (size_t t = 0; t < n; t++) {
        if (k->query->terms[t].added) continue;
        uint32_t row = med_corpus_find(encoder, k->query->terms[t].term);
        if (row == MED_NO_TERM) {
            ranking->unknown_term_count++;
            continue;
        }
        rows[bag.count] = row;
        counts[bag.count++] = k->query->terms[t].weight;
    }
    bool known;
    med_corpus_encode(encoder, &bag, vector, &known);
    if (known) k->vector = vector;
    return MED_OK;
}

static struct med_lex_query lexical_query(const struct ranker *k, uint32_t segment)
{
    const struct med_index *x = k->index;
    double avg =
        x->stats.chunk_count ? (double)x->stats.length_sum / (double)x->stats.chunk_count : 1;
    return (struct med_lex_query){.terms = k->terms[segment],
        .term_count = k->term_counts[segment],
        .k1 = (float)x->manifest->k1,
        .b = (float)x->manifest->b,
        .avg_len = (float)avg};
}

/* --- candidates --- */

static enum med_code lexical_half(struct ranker *k, size_t depth, struct med_err *err)
{
    struct med_hit *hits = med_arena_alloc(k->arena, depth * sizeof *hits);
    struct found *found =
        med_arena_alloc(k->arena, (k->index->segment_count * depth + 1) * sizeof *found);
    size_t found_count = 0;
    if (!hits || !found) return out_of_memory(err);
    for (uint32_t s = 0; s < k->index->segment_count; s++) {
        const struct med_segment *segment = k->index->segments[s];
        const uint32_t *groups =
            k->request->group == MED_GROUP_DOCUMENT ? segment->chunk_doc : NULL;
        struct med_lex_query q = lexical_query(k, s);
        size_t count;
        enum med_code code = med_lex_search(segment->lex, k->searcher->scratch, &q, k->filters[s],
            groups, depth, hits, &count, err);
        if (code) return code;
        for (size_t i = 0; i < count; i++)
            found[found_count++] =
                (struct found){.segment = s, .chunk = hits[i].chunk, .score = hits[i].score};
    }
    k->pool.lexical = found;
    k->pool.lexical_count = found_best(k->index, found, found_count, depth);
    k->pool.lexical_full = k->pool.lexical_count == depth;
    return MED_OK;
}

/* Adds the best passage of each of the `depth` best documents, or the `depth` best passages. */
static enum med_code dense_segment(struct ranker *k, uint32_t s, size_t depth, struct found *found,
    size_t *found_count, struct med_err *err)
{
    const struct med_segment *segment = k->index->segments[s];
    struct med_dense_params params = {.exact = k->request->exact_dense,
        .groups = k->request->group == MED_GROUP_DOCUMENT ? segment->chunk_doc : NULL};
    struct med_hit *hits = med_arena_alloc(k->arena, (depth + 1) * sizeof *hits);
    size_t count;
    if (!hits) return out_of_memory(err);
    enum med_code code = med_dense_search(
        segment->dense, k->vector, k->filters[s], &params, depth, hits, &count, err);
    for (size_t i = 0; !code && i < count; i++) {
        found[(*found_count)++] = (struct found){.segment = s,
            .chunk = hits[i].chunk,
            .score = hits[i].score,
            .last = hits[i].score == 0 && med_dense_is_zero(segment->dense, hits[i].chunk)};
    }
    return code;
}

static enum med_code dense_half(struct ranker *k, size_t depth, struct med_err *err)
{
    struct found *found =
        med_arena_alloc(k->arena, (k->index->segment_count * depth + 1) * sizeof *found);
    size_t found_count = 0;
    if (!found) return out_of_memory(err);
    for (uint32_t s = 0; s < k->index->segment_count; s++) {
        if (!k->index->segments[s]->dense) continue;
        enum med_code code = dense_segment(k, s, depth, found, &found_count, err);
        if (code) return code;
    }
    k->pool.dense = found;
    k->pool.dense_count = found_best(k->index, found, found_count, depth);
    k->pool.dense_full = k->pool.dense_count == depth;
    return MED_OK;
}

/* The scores of the half that did not find a candidate; candidates are in order of place. */
static enum med_code score_candidates(struct ranker *k, struct med_err *err)
{
    struct pool *p = &k->pool;
    uint32_t *chunks = med_arena_alloc(k->arena, (p->count + 1) * sizeof *chunks);
    uint32_t *places = med_arena_alloc(k->arena, (p->count + 1) * sizeof *places);
    float *scores = med_arena_alloc(k->arena, (p->count + 1) * sizeof *scores);
    if (!chunks || !places || !scores) return out_of_memory(err);
    for (size_t begin = 0, end; begin < p->count; begin = end) {
        uint32_t s = p->items[begin].segment;
        size_t n = 0;
        for (end = begin; end < p->count && p->items[end].segment == s; end++) {
            if (p->items[end].lexical_known || k->request->mode == MED_MODE_DENSE) continue;
            chunks[n] = p->items[end].chunk;
            places[n++] = (uint32_t)end;
        }
        struct med_lex_query q = lexical_query(k, s);
        enum med_code code = MED_OK;
        if (n)
            code = med_lex_score(
                k->index->segments[s]->lex, k->searcher->scratch, &q, chunks, n, scores, err);
        if (code) return code;
        for (size_t i = 0; i < n; i++) p->items[places[i]].lexical = scores[i];
        n = 0;
        for (size_t i = begin; i < end; i++) {
            if (p->items[i].dense_known || !k->vector || !k->index->segments[s]->dense) continue;
            chunks[n] = p->items[i].chunk;
            places[n++] = (uint32_t)i;
        }
        if (n)
            code = med_dense_score(k->index->segments[s]->dense, k->vector, chunks, n, scores, err);
        if (code) return code;
        for (size_t i = 0; i < n; i++) p->items[places[i]].dense = scores[i];
    }
    return MED_OK;
}

/* --- fusion --- */

static double lexical_of(const struct candidate *c)
{
    return c->lexical;
}

static double dense_of(const struct candidate *c)
{
    return c->dense;
}

static double score_of(const struct candidate *c)
{
    return c->score;
}

static void fuse_convex(struct ranker *k, struct med_ranking *ranking)
{
    struct pool *p = &k->pool;
    for (size_t i = 0; i < p->count; i++) {
        ranking->lexical_max = fmax(ranking->lexical_max, p->items[i].lexical);
        ranking->dense_max = fmax(ranking->dense_max, p->items[i].dense);
    }
    double w = ranking->fusion_weight;
    for (size_t i = 0; i < p->count; i++) {
        struct candidate *c = &p->items[i];
        c->lexical_part =
            ranking->lexical_max > 0 ? (1 - w) * c->lexical / ranking->lexical_max : 0;
        c->dense_part = ranking->dense_max > 0 ? w * fmax(c->dense, 0) / ranking->dense_max : 0;
        c->score = c->lexical_part + c->dense_part;
    }
}

static void fuse_rrf(struct ranker *k)
{
    struct pool *p = &k->pool;
    const double scale = (RRF_K + 1) / 2;
    const struct keyed *order = pool_order(p, k->index, dense_of);
    for (size_t i = 0; i < p->count; i++)
        p->items[order[i].at].dense_part = scale / (RRF_K + 1 + (double)i);
    order = pool_order(p, k->index, lexical_of);
    for (size_t i = 0; i < p->count; i++) {
        struct candidate *c = &p->items[order[i].at];
        c->lexical_part = c->lexical > 0 ? scale / (RRF_K + 1 + (double)i) : 0;
        c->score = c->lexical_part + c->dense_part;
    }
}

static double sum_of_parts(const struct candidate *c)
{
    return c->lexical_part + c->dense_part + c->parts.evidence + c->parts.grade + c->parts.recency +
           c->parts.status;
}

static void scale_parts(struct candidate *c, double scale)
{
    c->lexical_part *= scale;
    c->dense_part *= scale;
    c->parts.evidence *= scale;
    c->parts.grade *= scale;
    c->parts.recency *= scale;
    c->parts.status *= scale;
    c->score = sum_of_parts(c);
}

static void apply_authority(struct ranker *k, struct med_ranking *ranking)
{
    struct pool *p = &k->pool;
    double best = 0;
    for (size_t i = 0; i < p->count; i++) {
        struct candidate *c = &p->items[i];
        const struct med_segment *s = k->index->segments[c->segment];
        const struct med_doc_row *row = &s->docs[c->doc];
        struct med_authority_facts facts = {.evidence = (enum med_evidence)s->evidence[c->doc],
            .grade = row->grade,
            .date = row->date,
            .flags = s->flags[c->doc]};
        struct med_authority a = med_authority_of(&facts, k->index->manifest->reference_date);
        c->authority = med_authority_value(&a);
        a = med_authority_weigh(&a, &facts, ranking->authority_weight);
        c->parts = (struct med_authority){.evidence = c->score * a.evidence,
            .grade = c->score * a.grade,
            .recency = c->score * a.recency,
            .status = c->score * a.status};
        c->score = sum_of_parts(c);
        best = fmax(best, c->score);
    }
    bool above = best > 1 + SCORE_ROUNDING;
    ranking->scale = above ? 1 / best : 1;
    for (size_t i = 0; above && i < p->count; i++) scale_parts(&p->items[i], ranking->scale);
}

static double effective_weight(const struct ranker *k, enum med_mode mode)
{
    if (mode == MED_MODE_LEXICAL) return 0;
    if (mode == MED_MODE_DENSE) return 1;
    double asked = k->request->fusion_weight;
    return asked >= 0 ? asked : k->index->manifest->fusion_weight;
}

/* What there may be one result of: a work, or a passage. Never 0. */
static uint64_t result_key(const struct ranker *k, uint32_t segment, uint32_t doc, uint32_t chunk)
{
    return k->request->group == MED_GROUP_DOCUMENT
               ? med_segment_work(k->index->segments[segment], doc) | 1
               : ((uint64_t)segment + 1) << 32 | chunk;
}

/* One result per work, best passage first; or every passage. They follow those of a pool before,
 * which keep their places: a deeper page never changes what an earlier one showed. */
static enum med_code collect(struct ranker *k, struct med_ranking *ranking, struct med_err *err)
{
    struct pool *p = &k->pool;
    struct med_ranked *before = ranking->items;
    size_t most = ranking->count + p->count, slots = 16;
    const struct keyed *order = pool_order(p, k->index, score_of);
    ranking->items = med_arena_alloc(k->arena, (most + 1) * sizeof *ranking->items);
    while (slots < most * 2) slots *= 2;
    uint64_t *seen = med_arena_calloc(k->arena, slots, sizeof *seen);
    if (!ranking->items || !seen) return out_of_memory(err);
    for (size_t i = 0; i < ranking->count; i++) {
        const struct med_ranked *r = &before[i];
        ranking->items[i] = *r;
        (void)key_add(seen, slots, result_key(k, r->segment, r->doc, r->chunk));
    }
    for (size_t i = 0; i < p->count; i++) {
        const struct candidate *c = &p->items[order[i].at];
        if (!key_add(seen, slots, result_key(k, c->segment, c->doc, c->chunk))) continue;
        ranking->items[ranking->count++] = (struct med_ranked){.segment = c->segment,
            .doc = c->doc,
            .chunk = c->chunk,
            .score = c->score,
            .lexical = c->lexical,
            .dense = c->dense,
            .lexical_part = c->lexical_part,
            .dense_part = c->dense_part,
            .authority_parts = c->parts,
            .authority = c->authority};
    }
    return MED_OK;
}

static enum med_code fill_pool(
    struct ranker *k, size_t depth, struct med_ranking *ranking, struct med_err *err)
{
    k->pool = (struct pool){0};
    enum med_code code = MED_OK;
    uint64_t t0 = med_now_ns();
    if (ranking->mode != MED_MODE_DENSE) code = lexical_half(k, depth, err);
    uint64_t t1 = med_now_ns();
    if (!code && ranking->mode != MED_MODE_LEXICAL) code = dense_half(k, depth, err);
    uint64_t t2 = med_now_ns();
    if (code) return code;
    code = pool_merge(&k->pool, k->index, k->arena, err);
    if (!code) code = score_candidates(k, err);
    if (code) return code;
    if (k->request->fusion == MED_FUSION_RRF && ranking->mode == MED_MODE_HYBRID)
        fuse_rrf(k);
    else
        fuse_convex(k, ranking);
    apply_authority(k, ranking);
    code = collect(k, ranking, err);
    ranking->ns.lexical += t1 - t0;
    ranking->ns.dense += t2 - t1;
    ranking->ns.fuse += med_now_ns() - t2;
    return code;
}

/* --- passages of one document --- */

/* Keeps the best ones, best first; equal ones in the order of the text. */
static void keep_passage(struct med_ranked *r, uint32_t chunk, double score)
{
    uint32_t at = r->passage_count < MED_PASSAGES_RANKED ? r->passage_count++ : MED_PASSAGES_RANKED;
    for (; at > 0 && score > r->passage_shares[at - 1]; at--) {
        if (at == MED_PASSAGES_RANKED) continue; /* the last one falls out */
        r->passages[at] = r->passages[at - 1];
        r->passage_shares[at] = r->passage_shares[at - 1];
    }
    if (at == MED_PASSAGES_RANKED) return;
    r->passages[at] = chunk;
    r->passage_shares[at] = (float)score;
}

static enum med_code rank_passages_of(
    struct ranker *k, const struct med_ranking *ranking, struct med_ranked *r, struct med_err *err)
{
    const struct med_segment *s = k->index->segments[r->segment];
    uint32_t all = s->docs[r->doc].chunk_count, first = s->docs[r->doc].first_chunk, n = 0;
    if (all < 2 || all > PASSAGES_OF_DOC_MAX) return MED_OK;
    uint32_t *chunks = med_arena_alloc(k->arena, all * sizeof *chunks);
    float *lexical = med_arena_calloc(k->arena, all, sizeof *lexical);
    float *dense = med_arena_calloc(k->arena, all, sizeof *dense);
    if (!chunks || !lexical || !dense) return out_of_memory(err);
    for (uint32_t c = first; c < first + all; c++) {
        if (med_filter_has(k->filters[r->segment], c)) chunks[n++] = c;
    }
    struct med_lex_query q = lexical_query(k, r->segment);
    enum med_code code = MED_OK;
    if (ranking->lexical_max > 0)
        code = med_lex_score(s->lex, k->searcher->scratch, &q, chunks, n, lexical, err);
    if (!code && k->vector && s->dense && ranking->dense_max > 0)
        code = med_dense_score(s->dense, k->vector, chunks, n, dense, err);
    if (code) return code;
    double w = ranking->fusion_weight;
    for (uint32_t i = 0; i < n; i++) {
        double score = 0;
        if (ranking->lexical_max > 0) score += (1 - w) * lexical[i] / ranking->lexical_max;
        if (ranking->dense_max > 0) score += w * fmax(dense[i], 0) / ranking->dense_max;
        keep_passage(r, chunks[i], score);
    }
    double best = r->passage_count ? r->passage_shares[0] : 0;
    if (best <= 0) r->passage_count = 0;
    for (uint32_t i = 0; i < r->passage_count; i++)
        r->passage_shares[i] = (float)(r->passage_shares[i] / best);
    return MED_OK;
}

/* For the results that will be shown. */
static enum med_code rank_passages(
    struct ranker *k, struct med_ranking *ranking, struct med_err *err)
{
    const struct med_search_request *request = k->request;
    size_t end = (size_t)request->offset + request->limit;
    if (!request->rank_passages || request->group != MED_GROUP_DOCUMENT) return MED_OK;
    for (size_t i = request->offset; i < end && i < ranking->count; i++) {
        enum med_code code = rank_passages_of(k, ranking, &ranking->items[i], err);
        if (code) return code;
    }
    return MED_OK;
}

/* --- sets of known size --- */

/* The passage with most of the query's words speaks for each document that was listed from `from`
 * on. */
static enum med_code choose_passages(
    struct ranker *k, size_t from, struct med_ranking *ranking, struct med_err *err)
{
    for (size_t i = from; i < ranking->count; i++) {
        struct med_ranked *r = &ranking->items[i];
        const struct med_segment *s = k->index->segments[r->segment];
        uint32_t n = s->docs[r->doc].chunk_count, first = s->docs[r->doc].first_chunk;
        struct med_lex_query q = lexical_query(k, r->segment);
        if (k->request->group == MED_GROUP_NONE || n < 2 || !q.term_count) continue;
        uint32_t *chunks = med_arena_alloc(k->arena, n * sizeof *chunks);
        float *scores = med_arena_alloc(k->arena, n * sizeof *scores);
        if (!chunks || !scores) return out_of_memory(err);
        for (uint32_t c = 0; c < n; c++) chunks[c] = first + c;
        enum med_code code =
            med_lex_score(s->lex, k->searcher->scratch, &q, chunks, n, scores, err);
        if (code) return code;
        for (uint32_t c = 0; c < n; c++) {
            if (scores[c] <= r->lexical) continue;
            r->lexical = scores[c];
            r->chunk = first + c;
        }
    }
    return MED_OK;
}

/* What has no score follows what has one, and the total is the set's. */
static enum med_code complete(struct ranker *k, const struct match *match, size_t wanted,
    struct med_ranking *ranking, struct med_err *err)
{
    size_t scored = ranking->count;
    size_t first = scored > k->request->offset ? scored : k->request->offset;
    enum med_group group = k->request->group;
    enum med_code code = MED_OK;
    ranking->total = listing_total(k->index, match, group);
    ranking->total_exact = true;
    if (scored < wanted)
        code = listing_fill(k->index, match, wanted, group, k->arena, ranking, err);
    return code ? code : choose_passages(k, first, ranking, err);
}

static enum med_code list_by_date(
    struct ranker *k, const struct match *match, struct med_ranking *ranking, struct med_err *err)
{
    uint64_t start = med_now_ns();
    size_t wanted = (size_t)k->request->offset + k->request->limit;
    enum med_code code = complete(k, match, wanted, ranking, err);
    ranking->mode = k->request->mode;
    if (!code && k->request->sort != MED_SORT_DATE && ranking->total)
        code = notice_add(ranking, k->arena, err,
            "the query has no words to rank by; the newest documents come first");
    ranking->ns.lexical += med_now_ns() - start;
    return code;
}

enum med_code rank_query(const struct med_index *index, struct med_searcher *searcher,
    const struct med_search_request *request, struct query *query, struct med_arena *arena,
    struct med_ranking *ranking, struct med_err *err)
{
    struct ranker k = {
        .index = index, .searcher = searcher, .request = request, .query = query, .arena = arena};
    ranking->query_term_count = (uint32_t)query->term_count;
    struct match match;
    uint64_t start = med_now_ns();
    enum med_code code = match_make(index, searcher, request, query, arena, ranking, &match, err);
    k.filters = match.filters;
    if (!code) code = facets_count(index, searcher, request, query, &match, arena, ranking, err);
    ranking->ns.lexical = med_now_ns() - start;
    if (!code && request->expand)
        code = query_expand(index, searcher->analyzer, query, arena, ranking, err);
    if (!code) code = find_terms(&k, query, err);
    if (!code) code = encode_query(&k, ranking, err);
    if (code) return code;
    ranking->mode =
        request->mode == MED_MODE_HYBRID && !k.vector ? MED_MODE_LEXICAL : request->mode;
    ranking->fusion_weight = effective_weight(&k, ranking->mode);
    ranking->authority_weight = med_authority_weight(request->authority_weight);
    bool by_date = request->sort == MED_SORT_DATE || (match.restricted && !query->term_count);
    if (by_date) return list_by_date(&k, &match, ranking, err);
    if (ranking->mode == MED_MODE_DENSE && !k.vector)
        return MED_OK; /* no word of the query has a vector */

    /* Depths do not depend on the page, so that pages of any size fit together. */
    size_t wanted = (size_t)request->offset + request->limit;
    size_t depth = request->pool_depth ? request->pool_depth : MED_POOL_DEPTH_DEFAULT;
    for (;;) {
        if (depth > MED_POOL_DEPTH_MAX) depth = MED_POOL_DEPTH_MAX;
        code = fill_pool(&k, depth, ranking, err);
        bool more = k.pool.lexical_full || k.pool.dense_full;
        if (code || ranking->count >= wanted || !more || depth == MED_POOL_DEPTH_MAX) break;
        depth *= POOL_GROWTH;
    }
    ranking->total = ranking->count;
    ranking->total_exact = !k.pool.lexical_full && !k.pool.dense_full;
    if (!code) code = rank_passages(&k, ranking, err);
    if (!code && match.restricted) code = complete(&k, &match, wanted, ranking, err);
    return code;
}

enum med_code med_rank(const struct med_index *index, struct med_searcher *searcher,
    const struct med_search_request *request, struct med_arena *arena,
    struct med_ranking **ret_ranking, struct med_err *err)
{
    struct med_ranking *ranking = med_arena_calloc(arena, 1, sizeof *ranking);
    if (!ranking) return out_of_memory(err);
    struct query query;
    uint64_t start = med_now_ns();
    enum med_code code = query_analyse(searcher->analyzer, request->query, arena, &query, err);
    ranking->ns.analyse = med_now_ns() - start;
    if (!code) code = rank_query(index, searcher, request, &query, arena, ranking, err);
    if (code) return code;
    *ret_ranking = ranking;
    return MED_OK;
}

enum med_code med_searcher_new(struct med_searcher **ret_searcher, struct med_err *err)
{
    struct med_searcher *s = med_calloc(1, sizeof *s);
    if (!s) return med_fail(err, MED_E_NOMEM, "out of memory for a search thread");
    enum med_code code = med_analyzer_new(&s->analyzer, err);
    if (!code) code = med_lex_scratch_new(&s->scratch, err);
    if (code) {
        med_searcher_free(&s);
        return code;
    }
    *ret_searcher = s;
    return MED_OK;
}

void med_searcher_limit(struct med_searcher *searcher, uint32_t sources)
{
    searcher->sources = sources;
}

void med_searcher_watch(
    struct med_searcher *searcher, void (*shown)(void *ctx, struct med_str id), void *ctx)
{
    searcher->shown = shown;
    searcher->shown_ctx = ctx;
}

void med_searcher_free(struct med_searcher **searcher)
{
    struct med_searcher *s = *searcher;
    if (!s) return;
    med_analyzer_free(&s->analyzer);
    med_lex_scratch_free(&s->scratch);
    med_free(s);
    *searcher = NULL;
}

const char *med_mode_name(enum med_mode mode)
{
    switch (mode) {
    case MED_MODE_HYBRID: return "hybrid";
    case MED_MODE_LEXICAL: return "lexical";
    case MED_MODE_DENSE: return "dense";
    case MED_MODE_COUNT: break;
    }
    return "unknown";
}

bool med_mode_parse(struct med_str name, enum med_mode *ret_mode)
{
    for (enum med_mode m = 0; m < MED_MODE_COUNT; m++) {
        if (med_str_eq(name, med_str_of(med_mode_name(m)))) {
            *ret_mode = m;
            return true;
        }
    }
    return false;
}

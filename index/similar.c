/* Similar articles. See similar.h. */
#include "index/similar.h"

#include "index/internal.h"

#include <math.h>
#include <stdlib.h>

#define TITLE_WEIGHT 2.0f
#define MESH_WEIGHT 3.0f
#define EXCLUDED_MAX 256u
#define FUSION_WEIGHT .5
#define MESH_BYTES_MAX (1 * MED_MIB)

/* A term of the document and how often it has it. */
struct counted {
    struct med_str term;
    float tf, weight;
};
struct counts {
    struct counted *items; /* open addressing, by term */
    size_t slots, count;
};

static enum med_code out_of_memory(struct med_err *err)
{
    return med_fail(err, MED_E_NOMEM, "the request needs too much memory");
}

/* --- the document in the index --- */

static bool find_document(
    const struct med_index *x, struct med_str id, uint32_t *ret_segment, uint32_t *ret_doc)
{
    for (uint32_t s = 0; s < x->segment_count; s++) {
        if (!med_segment_find_doc(x->segments[s], 0, id, ret_doc)) continue;
        *ret_segment = s;
        return true;
    }
    return false;
}

/* --- its words --- */

static bool count_term(struct counts *c, struct med_arena *arena, struct med_str term, float tf)
{
    if (2 * (c->count + 1) > c->slots) {
        struct counts grown = {.slots = c->slots ? 2 * c->slots : 256, .count = c->count};
        grown.items = med_arena_calloc(arena, grown.slots, sizeof *grown.items);
        if (!grown.items) return false;
        for (size_t i = 0; i < c->slots; i++) {
            if (!c->items[i].term.len) continue;
            size_t at = med_hash64(c->items[i].term.ptr, c->items[i].term.len);
            while (grown.items[at & (grown.slots - 1)].term.len) at++;
            grown.items[at & (grown.slots - 1)] = c->items[i];
        }
        *c = grown;
    }
    size_t at = med_hash64(term.ptr, term.len);
    struct counted *item;
    for (;; at++) {
        item = &c->items[at & (c->slots - 1)];
        if (!item->term.len) break;
        if (med_str_eq(item->term, term)) {
            item->tf += tf;
            return true;
        }
    }
    c->count++;
    *item = (struct counted){.tf = tf};
    return med_arena_str(arena, term, &item->term);
}

static enum med_code count_text(struct counts *c, struct med_analyzer *analyzer,
    struct med_str text, float weight, struct med_arena *arena, struct med_err *err)
{
    const struct med_token *tokens;
    size_t count;
    enum med_code code = med_analyze(analyzer, text, &tokens, &count, err);
    for (size_t i = 0; !code && i < count; i++) {
        if (med_is_function_word(text, &tokens[i])) continue;
        if (!count_term(c, arena, tokens[i].term, weight)) code = out_of_memory(err);
    }
    return code;
}

static enum med_code count_document(struct counts *c, struct med_analyzer *analyzer,
    const struct med_fetched *f, struct med_arena *arena, struct med_err *err)
{
    struct med_buf mesh;
    enum med_code code = count_text(c, analyzer, f->doc->title, TITLE_WEIGHT, arena, err);
    for (size_t i = 0; !code && i < f->chunk_count && i < MED_SIMILAR_PASSAGES_MAX; i++) {
        struct med_span s = f->chunks[i].span;
        if (f->chunks[i].section == UINT32_MAX) continue; /* the title again */
        code = count_text(c, analyzer, med_str_sub(f->text->bytes, s.start, s.end), 1, arena, err);
    }
    med_buf_init(&mesh, MESH_BYTES_MAX);
    if (!code)
        code = count_text(c, analyzer, build_mesh_text(f->doc, &mesh), MESH_WEIGHT, arena, err);
    med_buf_free(&mesh);
    return code;
}

static int by_weight(const void *a, const void *b)
{
    const struct counted *x = a, *y = b;
    if (x->weight != y->weight) return x->weight > y->weight ? -1 : 1;
    return med_str_cmp(x->term, y->term);
}

/* The terms of the greatest tf-idf as a query; BM25F multiplies by idf once more, so that a term's
 * weight here is what its frequency adds. */
static enum med_code choose_terms(const struct med_index *x, struct counts *c,
    struct med_arena *arena, struct query *ret_query, struct med_err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < c->slots; i++) {
        struct counted item = c->items[i];
        if (!item.term.len) continue;
        item.weight = (1 + logf(item.tf)) * (float)query_idf(x, item.term);
        if (item.weight > 0) c->items[n++] = item; /* n <= i: the table is not used any more */
    }
    if (n) qsort(c->items, n, sizeof *c->items, by_weight);
    if (n > MED_SIMILAR_TERMS_MAX) n = MED_SIMILAR_TERMS_MAX;
    struct query q = {.terms = med_arena_calloc(arena, n + 1, sizeof *q.terms)};
    if (!q.terms) return out_of_memory(err);
    float most = 0;
    for (size_t i = 0; i < n; i++) most = fmaxf(most, 1 + logf(c->items[i].tf));
    for (size_t i = 0; i < n; i++)
        q.terms[q.term_count++] = (struct query_term){
            .term = c->items[i].term, .weight = (1 + logf(c->items[i].tf)) / most};
    *ret_query = q;
    return MED_OK;
}

/* --- its vector --- */

/* The normalised mean of its passages' vectors; NULL when it has none. */
static enum med_code mean_vector(const struct med_index *x, uint32_t segment, uint32_t doc,
    struct med_arena *arena, float **ret_vector, struct med_err *err)
{
    const struct med_segment *s = x->segments[segment];
    *ret_vector = NULL;
    if (!s->dense) return MED_OK;
    uint32_t dim = med_dense_dim(s->dense), n = s->docs[doc].chunk_count;
    float *sum = med_arena_calloc(arena, dim, sizeof *sum);
    float *row = med_arena_calloc(arena, dim, sizeof *row);
    if (!sum || !row) return out_of_memory(err);
    if (n > MED_SIMILAR_PASSAGES_MAX) n = MED_SIMILAR_PASSAGES_MAX;
    for (uint32_t i = 0; i < n; i++) {
        enum med_code code = med_dense_row(s->dense, s->docs[doc].first_chunk + i, row, err);
        if (code) return code;
        for (uint32_t k = 0; k < dim; k++) sum[k] += isfinite(row[k]) ? row[k] : 0;
    }
    double norm = 0;
    for (uint32_t k = 0; k < dim; k++) norm += (double)sum[k] * (double)sum[k];
    if (!(norm > 1e-12)) return MED_OK;
    for (uint32_t k = 0; k < dim; k++) sum[k] = (float)((double)sum[k] / sqrt(norm));
    *ret_vector = sum;
    return MED_OK;
}

/* --- what must not be returned --- */

static bool is_version_or_notice(enum med_link_kind kind)
{
    return kind != MED_LINK_OTHER && kind != MED_LINK_COMMENT_IN && kind != MED_LINK_COMMENT_ON;
}

/* The works of the document itself and of its notices, errata and versions. */
static size_t excluded_works(
    const struct med_index *x, uint64_t own, const struct med_fetched *f, uint64_t *ret_works)
{
    size_t count = 0;
    ret_works[count++] = own;
    for (size_t i = 0; i < f->link_count && count < EXCLUDED_MAX; i++) {
        uint32_t segment, doc;
        const struct med_link *link = &f->links[i];
        if (!is_version_or_notice(link->kind) || !link->target.len) continue;
        if (find_document(x, link->target, &segment, &doc))
            ret_works[count++] = med_segment_work(x->segments[segment], doc);
    }
    return count;
}

static void drop_works(const struct med_index *x, const uint64_t *works, size_t work_count,
    struct med_ranking *ranking)
{
    size_t kept = 0;
    for (size_t i = 0; i < ranking->count; i++) {
        const struct med_ranked *r = &ranking->items[i];
        uint64_t work = med_segment_work(x->segments[r->segment], r->doc);
        bool dropped = false;
        for (size_t k = 0; k < work_count; k++) dropped |= works[k] == work;
        if (!dropped) ranking->items[kept++] = *r;
    }
    uint64_t gone = ranking->count - kept;
    ranking->count = kept;
    ranking->total -= gone < ranking->total ? gone : ranking->total;
}

static enum med_code rank_similar(const struct med_index *x, struct med_searcher *searcher,
    const struct med_search_request *asked, const struct med_fetched *f, struct query *query,
    struct med_arena *arena, struct med_ranking *ranking, struct med_err *err)
{
    struct med_search_request request = *asked;
    struct counts counts = {0};
    uint64_t works[EXCLUDED_MAX];
    uint32_t segment, doc;
    float *vector;
    if (!find_document(x, f->doc->id, &segment, &doc))
        return med_fail(err, MED_E_NOT_FOUND,
            MED_STR_FMT " is stored, but not in this generation; the next build takes it in",
            MED_STR_ARG(f->doc->id));
    size_t work_count = excluded_works(x, med_segment_work(x->segments[segment], doc), f, works);
    enum med_code code = count_document(&counts, searcher->analyzer, f, arena, err);
    if (!code) code = choose_terms(x, &counts, arena, query, err);
    if (!code) code = mean_vector(x, segment, doc, arena, &vector, err);
    if (code) return code;
    request.exclude_id = f->doc->id;
    request.expand = false;
    request.vector = vector;
    if (request.fusion_weight < 0) request.fusion_weight = FUSION_WEIGHT;
    if (request.authority_weight < 0) request.authority_weight = 0;
    if (!vector && request.mode != MED_MODE_LEXICAL) request.mode = MED_MODE_LEXICAL;
    request.limit += (uint32_t)work_count;
    code = rank_query(x, searcher, &request, query, arena, ranking, err);
    if (!code) drop_works(x, works, work_count, ranking);
    return code;
}

enum med_code med_similar(const struct med_index *index, struct med_store *store,
    struct med_searcher *searcher, struct med_str id, const struct med_search_request *request,
    struct med_arena *arena, struct med_answer **ret_answer, struct med_str *ret_id,
    struct med_err *err)
{
    struct med_ranking *ranking = med_arena_calloc(arena, 1, sizeof *ranking);
    struct med_fetched *fetched;
    struct query query = {0};
    if (!ranking) return out_of_memory(err);
    enum med_code code = med_fetch(store, index, searcher->sources, id, arena, &fetched, err);
    if (!code) code = rank_similar(index, searcher, request, fetched, &query, arena, ranking, err);
    if (!code)
        code = answer_make(index, searcher, request, &query, ranking, arena, ret_answer, err);
    if (!code) *ret_id = fetched->doc->id;
    return code;
}

/* A search answer as JSON: what GET /v1/search sends and `medicus search --json` prints.
 *
 * The bytes are a function of generation, request and configuration alone, so that they can have a
 * strong ETag. Times are told only when explain asks for them. */
#include "service/answer.h"

#include "common/limits.h"

#include <stdio.h>

#define SCORE_DECIMALS 6

static void notices(const struct view *view, const struct search_params *params,
    const struct med_answer *answer, struct med_jw *w)
{
    const struct med_ranking *ranking = answer->ranking;
    char text[160];
    med_jw_key(w, "notices");
    med_jw_array(w);
    for (size_t i = 0; i < ranking->notice_count; i++) med_jw_str(w, ranking->notices[i]);
    if (view->held_back) {
        snprintf(text, sizeof text,
            "max_tokens left %zu results out; send the request again with cursor=next_cursor",
            view->held_back);
        med_jw_cstr(w, text);
    }
    if (view->cut)
        med_jw_cstr(w, "max_tokens cut the text of the last result; fetch its id for all of it");
    if (answer->count == 0 && !view->held_back && ranking->total > 0)
        med_jw_cstr(w, "there is nothing behind the last result; use a smaller offset");
    else if (ranking->total == 0 && ranking->notice_count == 0)
        med_jw_cstr(w, "no results; try other words, or mode=dense");
    if (ranking->mode != params->request.mode && params->request.mode == MED_MODE_HYBRID)
        med_jw_cstr(w, "no word of the query is known to the encoder; ranked by words alone");
    else if (ranking->mode != params->request.mode)
        med_jw_cstr(w, "this index cannot answer in the mode that was asked for");
    med_jw_array_end(w);
}

static void explain_json(
    const struct med_result *r, const struct med_ranking *ranking, struct med_jw *w)
{
    med_jw_key(w, "explain");
    med_jw_object(w);
    med_jw_kdouble(w, "lexical", r->rank.lexical);
    med_jw_kdouble(w, "dense", r->rank.dense);
    med_jw_kdouble(w, "lexical_part", r->rank.lexical_part);
    med_jw_kdouble(w, "dense_part", r->rank.dense_part);
    const struct med_authority *parts = &r->rank.authority_parts;
    med_jw_kdouble(w, "evidence_part", parts->evidence);
    med_jw_kdouble(w, "grade_part", parts->grade);
    med_jw_kdouble(w, "recency_part", parts->recency);
    med_jw_kdouble(w, "retraction_part", parts->status);
    med_jw_kdouble(w, "score", r->rank.score);
    med_jw_kdouble(w, "authority", r->rank.authority);
    med_jw_kdouble(w, "fusion_weight", ranking->fusion_weight);
    med_jw_kdouble(w, "authority_weight", ranking->authority_weight);
    med_jw_object_end(w);
}

static void details_json(const struct med_result *r, struct med_jw *w)
{
    med_jw_kstr(w, "text", r->text);
    med_jw_kint(w, "start_byte", r->span.start);
    med_jw_kint(w, "end_byte", r->span.start + (long long)r->text.len);
    if (r->text.len < r->span.end - r->span.start) med_jw_kbool(w, "truncated", true);
    med_jw_kstr(w, "section", r->path);
    med_jw_kint(w, "version", r->version);
    citation_json(r->doc, w);
    med_jw_key(w, "also");
    med_jw_array(w);
    for (size_t i = 0; i < r->also_count; i++) med_jw_str(w, r->also[i]);
    med_jw_array_end(w);
    links_json(r->links, r->link_count, w);
}

static void highlights_json(const struct med_result *r, struct med_jw *w)
{
    med_jw_key(w, "highlights");
    med_jw_array(w);
    for (size_t i = 0; i < r->highlight_count; i++) {
        med_jw_array(w);
        med_jw_uint(w, r->highlights[i].start);
        med_jw_uint(w, r->highlights[i].end);
        med_jw_array_end(w);
    }
    med_jw_array_end(w);
}

static void result_json(const struct view *view, const struct search_params *params,
    const struct med_result *r, const struct med_ranking *ranking, struct med_jw *w)
{
    struct med_buf url;
    med_buf_init(&url, MED_MIB);
    document_url(view, r->url, r->document_id, &url);
    med_jw_object(w);
    med_jw_kstr(w, "id", r->id);
    if (params->detailed) {
        med_jw_kstr(w, "document_id", r->document_id);
        med_jw_kstr(w, "source_id", r->source_id);
    }
    med_jw_kstr(w, "title", r->title);
    med_jw_kstr(w, "url", med_buf_str(&url));
    med_jw_kstr(w, "snippet", r->snippet);
    if (params->detailed) highlights_json(r, w);
    med_jw_key(w, "score");
    med_jw_float(w, r->rank.score, SCORE_DECIMALS);
    med_jw_key(w, "year");
    if (r->doc->date.year)
        med_jw_uint(w, r->doc->date.year);
    else
        med_jw_null(w);
    med_jw_kcstr(w, "source", med_source_name(r->doc->source));
    med_jw_kcstr(w, "evidence", med_evidence_name(r->evidence));
    flags_json(r->flags, w);
    if (params->detailed) details_json(r, w);
    if (params->explain) explain_json(r, ranking, w);
    med_jw_object_end(w);
    med_buf_free(&url);
}

static void times_json(const struct med_answer *answer, struct med_jw *w)
{
    const struct med_ranking *k = answer->ranking;
    uint64_t sum = k->ns.analyse + k->ns.lexical + k->ns.dense + k->ns.fuse + answer->ns_present;
    med_jw_key(w, "took_ms");
    med_jw_float(w, (double)sum * 1e-6, 3);
    med_jw_key(w, "stages_ms");
    med_jw_object(w);
    med_jw_key(w, "analyse");
    med_jw_float(w, (double)k->ns.analyse * 1e-6, 3);
    med_jw_key(w, "lexical");
    med_jw_float(w, (double)k->ns.lexical * 1e-6, 3);
    med_jw_key(w, "dense");
    med_jw_float(w, (double)k->ns.dense * 1e-6, 3);
    med_jw_key(w, "fuse");
    med_jw_float(w, (double)k->ns.fuse * 1e-6, 3);
    med_jw_key(w, "present");
    med_jw_float(w, (double)answer->ns_present * 1e-6, 3);
    med_jw_object_end(w);
}

static void facets_json(
    const struct search_params *params, const struct med_ranking *ranking, struct med_jw *w)
{
    if (!params->request.facet_mask) return;
    med_jw_key(w, "facets");
    med_jw_object(w);
    for (enum med_facet f = 0; f < MED_FACET_COUNT; f++) {
        if (!(params->request.facet_mask >> f & 1)) continue;
        med_jw_key(w, med_facet_name(f));
        med_jw_array(w);
        for (size_t i = 0; i < ranking->facets[f].count; i++) {
            med_jw_object(w);
            med_jw_kstr(w, "value", ranking->facets[f].values[i].value);
            med_jw_kint(w, "count", (long long)ranking->facets[f].values[i].count);
            med_jw_object_end(w);
        }
        med_jw_array_end(w);
    }
    med_jw_object_end(w);
}

/* Other names that were searched for as well. */
static void expansions_json(const struct med_ranking *ranking, struct med_jw *w)
{
    med_jw_key(w, "expansions");
    med_jw_array(w);
    for (size_t i = 0; i < ranking->expansion_count; i++) {
        const struct med_expansion *e = &ranking->expansions[i];
        med_jw_object(w);
        med_jw_kstr(w, "typed", e->typed);
        med_jw_key(w, "added");
        med_jw_array(w);
        for (size_t k = 0; k < e->added_count; k++) med_jw_str(w, e->added[k]);
        med_jw_array_end(w);
        med_jw_object_end(w);
    }
    med_jw_array_end(w);
}

void answer_json(const struct view *view, const struct search_params *params,
    const struct med_manifest *manifest, const struct med_answer *answer, struct med_buf *out)
{
    const struct med_ranking *ranking = answer->ranking;
    struct med_jw w = med_jw_of(out, view->pretty);
    med_jw_object(&w);
    if (view->similar_to.len)
        med_jw_kstr(&w, "similar_to", view->similar_to);
    else
        med_jw_kstr(&w, "query", params->request.query);
    med_jw_kcstr(&w, "mode", med_mode_name(ranking->mode));
    meta_json(view, manifest, &w);
    med_jw_kint(&w, "total", (long long)ranking->total);
    med_jw_kcstr(&w, "total_relation", ranking->total_exact ? "eq" : "gte");
    if (ranking->suggestion.len) med_jw_kstr(&w, "suggestion", ranking->suggestion);
    if (ranking->searched.len) med_jw_kstr(&w, "searched", ranking->searched);
    if (ranking->expansion_count || params->request.expand) expansions_json(ranking, &w);
    if (params->explain) times_json(answer, &w);
    facets_json(params, ranking, &w);
    med_jw_key(&w, "results");
    med_jw_array(&w);
    for (size_t i = 0; i < answer->count; i++)
        result_json(view, params, &answer->results[i], ranking, &w);
    med_jw_array_end(&w);
    if (view->held_back || view->cut) med_jw_kbool(&w, "truncated", true);
    if (view->next_cursor[0]) med_jw_kcstr(&w, "next_cursor", view->next_cursor);
    notices(view, params, answer, &w);
    med_jw_object_end(&w);
    med_buf_putc(out, '\n');
}

void answer_ndjson(const struct view *view, const struct search_params *params,
    const struct med_answer *answer, struct med_buf *out)
{
    for (size_t i = 0; i < answer->count; i++) {
        struct med_jw w = med_jw_of(out, false);
        result_json(view, params, &answer->results[i], answer->ranking, &w);
        med_buf_putc(out, '\n');
    }
}

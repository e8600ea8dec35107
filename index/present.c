/* From ordinals to what a caller reads: documents, passages, snippets; and fetch. */
#include "index/match.h"
#include "index/spell.h"

#include "common/clock.h"

#include <stdio.h>

static enum med_code out_of_memory(struct med_err *err)
{
    return med_fail(err, MED_E_NOMEM, "the answer needs more memory than one request may use");
}

/* Other documents of the same work, from the sorted list of shared works. */
static enum med_code siblings(const struct med_index *x, uint32_t sources, uint32_t segment,
    uint32_t doc, struct med_arena *arena, struct med_result *r, struct med_err *err)
{
    uint64_t work = med_segment_work(x->segments[segment], doc);
    if (!med_segment_shared(x->segments[segment], doc)) return MED_OK;
    size_t first, count = index_shared_of(x, work, &first);
    r->also = med_arena_calloc(arena, count + 1, sizeof *r->also);
    if (!r->also) return out_of_memory(err);
    for (size_t i = first; i < first + count; i++) {
        const struct shared_work *w = &x->shared[i];
        if (w->segment == segment && w->doc == doc) continue;
        if (!med_source_allowed(sources, x->segments[w->segment]->docs[w->doc].source)) continue;
        r->also[r->also_count++] = med_segment_doc_id(x->segments[w->segment], w->doc);
    }
    return MED_OK;
}

static enum med_code present_one(const struct med_index *x, struct med_searcher *searcher,
    struct med_snapshot *snapshot, const struct snippet_terms *terms, const struct med_ranked *rank,
    struct med_arena *arena, struct med_result *r, struct med_err *err)
{
    const struct med_segment *s = x->segments[rank->segment];
    const struct med_doc_row *row = &s->docs[rank->doc];
    struct med_text *text;
    r->rank = *rank;
    r->document_id = med_segment_doc_id(s, rank->doc);
    r->source_id = med_segment_source_id(s, rank->doc);
    r->version = row->version;
    r->evidence = (enum med_evidence)s->evidence[rank->doc];
    r->flags = s->flags[rank->doc];
    enum med_code code =
        med_snapshot_get_version(snapshot, r->document_id, row->version, arena, &r->doc, err);
    if (!code) code = med_text_layout(r->doc, arena, &text, err);
    if (!code)
        code = passage_choose(
            s, searcher->analyzer, terms, r->doc, text, rank, arena, &r->rank.chunk, err);
    if (code) return code;
    uint32_t number = r->rank.chunk - row->first_chunk;
    char *id = med_arena_printf(arena, MED_STR_FMT "~%u", MED_STR_ARG(r->document_id), number);
    if (!id) return out_of_memory(err);
    r->id = med_str_of(id);
    r->title = r->doc->title;
    r->url = r->doc->url;
    const struct med_chunk_row *chunk = &s->chunks[r->rank.chunk];
    r->span = (struct med_span){chunk->start, chunk->end};
    if (r->span.end > text->bytes.len)
        return med_fail(err, MED_E_CORRUPT, "passage " MED_STR_FMT " lies outside its document",
            MED_STR_ARG(r->id));
    code = med_text_slice(r->doc, text, r->span, arena, &r->text, err);
    if (code) return code;
    for (size_t i = text->section_count; i-- > 0;) {
        uint32_t start = text->headings[i].end ? text->headings[i].start : text->bodies[i].start;
        if (text->bodies[i].end && start <= r->span.start) {
            r->path = r->doc->sections[i].path;
            break;
        }
    }
    code = snippet_make(searcher->analyzer, r->text, terms, arena, &r->snippet, &r->highlights,
        &r->highlight_count, err);
    if (!code) code = siblings(x, searcher->sources, rank->segment, rank->doc, arena, r, err);
    if (!code) code = links_of(x, snapshot, r->doc, arena, &r->links, &r->link_count, err);
    return code;
}

enum med_code answer_make(const struct med_index *index, struct med_searcher *searcher,
    const struct med_search_request *request, const struct query *query,
    struct med_ranking *ranking, struct med_arena *arena, struct med_answer **ret_answer,
    struct med_err *err)
{
    struct med_answer *answer = med_arena_calloc(arena, 1, sizeof *answer);
    if (!answer) return out_of_memory(err);
    struct med_snapshot *snapshot = NULL;
    uint64_t start = med_now_ns();
    const struct snippet_terms terms = snippet_terms_of(query);
    enum med_code code = med_snapshot_open(index->store, &snapshot, err);
    if (code) return code;
    size_t available = ranking->count > request->offset ? ranking->count - request->offset : 0;
    answer->ranking = ranking;
    answer->generation = index->manifest->number;
    answer->count = available < request->limit ? available : request->limit;
    answer->results = med_arena_calloc(arena, answer->count + 1, sizeof *answer->results);
    if (!answer->results) code = out_of_memory(err);
    for (size_t i = 0; !code && i < answer->count; i++)
        code = present_one(index, searcher, snapshot, &terms, &ranking->items[request->offset + i],
            arena, &answer->results[i], err);
    med_snapshot_close(&snapshot);
    if (code) return code;
    for (size_t i = 0; searcher->shown && i < answer->count; i++)
        searcher->shown(searcher->shown_ctx, answer->results[i].id);
    answer->ns_present = med_now_ns() - start;
    *ret_answer = answer;
    return MED_OK;
}

static enum med_code understand_and_rank(const struct med_index *index,
    struct med_searcher *searcher, const struct med_search_request *request,
    struct med_arena *arena, struct query *query, struct med_ranking *ranking, struct med_err *err)
{
    uint64_t start = med_now_ns();
    struct med_search_request shown = *request;
    shown.rank_passages = true;
    enum med_code code = query_understand(searcher->analyzer, request, arena, query, err);
    ranking->ns.analyse = med_now_ns() - start;
    if (!code) code = rank_query(index, searcher, &shown, query, arena, ranking, err);
    return code;
}

/* Offers the query in its right spelling. When nothing was found, what that finds is the answer,
 * and says so. */
static enum med_code mind_spelling(const struct med_index *index, struct med_searcher *searcher,
    const struct med_search_request *request, struct med_arena *arena, struct query *query,
    struct med_ranking **ranking, struct med_err *err)
{
    struct med_str suggestion;
    if (request->literal) return MED_OK;
    enum med_code code = spell_suggest(index, searcher, request, query, arena, &suggestion, err);
    if (code || !suggestion.len) return code;
    (*ranking)->suggestion = suggestion;
    if ((*ranking)->count) return MED_OK;
    struct med_search_request corrected = *request;
    struct query corrected_query;
    struct med_ranking *second = med_arena_calloc(arena, 1, sizeof *second);
    if (!second) return out_of_memory(err);
    corrected.query = suggestion;
    code = understand_and_rank(index, searcher, &corrected, arena, &corrected_query, second, err);
    if (code || second->count == 0) return code;
    second->suggestion = second->searched = suggestion;
    *ranking = second;
    *query = corrected_query;
    return notice_add(second, arena, err,
        "nothing was found for \"%.*s\"; these are results for \"%.*s\"",
        (int)(request->query.len < 100 ? request->query.len : 100), request->query.ptr,
        (int)(suggestion.len < 100 ? suggestion.len : 100), suggestion.ptr);
}

enum med_code med_search(const struct med_index *index, struct med_searcher *searcher,
    const struct med_search_request *request, struct med_arena *arena,
    struct med_answer **ret_answer, struct med_err *err)
{
    struct med_ranking *ranking = med_arena_calloc(arena, 1, sizeof *ranking);
    if (!ranking) return out_of_memory(err);
    struct query query;
    enum med_code code = understand_and_rank(index, searcher, request, arena, &query, ranking, err);
    if (!code) code = mind_spelling(index, searcher, request, arena, &query, &ranking, err);
    if (!code && ranking->total == 0 && !request->literal)
        code = hints_add(index, searcher, request, arena, ranking, err);
    return code ? code
                : answer_make(index, searcher, request, &query, ranking, arena, ret_answer, err);
}

/* --- fetch --- */

/* "<document id>~<n>" -> document id and n; false when it is no chunk id. */
static bool split_chunk_id(struct med_str id, struct med_str *ret_document, uint32_t *ret_number)
{
    for (size_t i = id.len; i-- > 0;) {
        if (id.ptr[i] != '~') continue;
        unsigned long long n;
        struct med_str digits = med_str_sub(id, i + 1, id.len);
        if (!med_str_to_u64(digits, &n) || n >= MED_CHUNKS_PER_DOC_MAX) return false;
        *ret_document = med_str_sub(id, 0, i);
        *ret_number = (uint32_t)n;
        return true;
    }
    return false;
}

/* An id without its prefix, as it stood in the input: the forms that it may have here. */
static enum med_code find_bare(struct med_snapshot *snapshot, struct med_str id,
    struct med_arena *arena, struct med_doc **ret_doc, struct med_err *err)
{
    static const char *const prefixes[] = {"pmid:", "doc:", "guideline:"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        char *full = med_arena_printf(arena, "%s" MED_STR_FMT, prefixes[i], MED_STR_ARG(id));
        if (!full) return out_of_memory(err);
        enum med_code code = med_snapshot_get(snapshot, med_str_of(full), arena, ret_doc, err);
        if (code != MED_E_NOT_FOUND) return code;
    }
    return med_fail(err, MED_E_NOT_FOUND, "no document has the id " MED_STR_FMT, MED_STR_ARG(id));
}

/* The live document whose own web address this is. */
static enum med_code find_address(struct med_snapshot *snapshot, struct med_str url,
    struct med_arena *arena, struct med_doc **ret_doc, struct med_err *err)
{
    struct med_str name, *ids;
    size_t count = 0;
    enum med_code code = med_doc_url_name(url, arena, &name, err);
    if (!code && name.len) code = med_snapshot_find_alias(snapshot, name, arena, &ids, &count, err);
    if (code) return code;
    return count ? med_snapshot_get(snapshot, ids[0], arena, ret_doc, err) : MED_E_NOT_FOUND;
}

/* The live document that the id names, directly, as an alias, or without its prefix. */
static enum med_code find_document(struct med_snapshot *snapshot, struct med_str id,
    struct med_arena *arena, struct med_doc **ret_doc, struct med_err *err)
{
    struct med_str normal, *ids;
    size_t count;
    enum med_code code = med_snapshot_get(snapshot, id, arena, ret_doc, err);
    if (code != MED_E_NOT_FOUND) return code;
    code = med_doc_id_normalize(id, arena, &normal, err);
    if (code)
        return med_fail(
            err, MED_E_NOT_FOUND, "no document has the id " MED_STR_FMT, MED_STR_ARG(id));
    code = med_snapshot_get(snapshot, normal, arena, ret_doc, err);
    if (code != MED_E_NOT_FOUND) return code;
    code = med_snapshot_find_alias(snapshot, normal, arena, &ids, &count, err);
    if (code) return code;
    if (count == 0) return find_bare(snapshot, id, arena, ret_doc, err);
    return med_snapshot_get(snapshot, ids[0], arena, ret_doc, err);
}

/* Whether the document with this id is of an allowed source. */
static enum med_code is_allowed(struct med_snapshot *snapshot, uint32_t sources, struct med_str id,
    struct med_arena *arena, bool *ret_allowed, struct med_err *err)
{
    struct med_doc *doc;
    *ret_allowed = true;
    if (!sources) return MED_OK;
    enum med_code code = med_snapshot_get(snapshot, id, arena, &doc, err);
    if (!code) *ret_allowed = med_source_allowed(sources, doc->source);
    return code;
}

/* Like find_document; what is not allowed looks as if it did not exist, also when it was deleted.
 * Of several documents with the alias the first that is allowed counts. */
static enum med_code find_allowed(struct med_snapshot *snapshot, uint32_t sources,
    struct med_str id, struct med_arena *arena, struct med_doc **ret_doc, struct med_err *err)
{
    struct med_str normal, *ids;
    size_t count = 0;
    struct med_doc *doc = NULL;
    enum med_code code = find_document(snapshot, id, arena, &doc, err);
    if (!sources || (code && code != MED_E_NOT_FOUND && code != MED_E_GONE)) {
        if (!code) *ret_doc = doc;
        return code;
    }
    bool allowed = !code && med_source_allowed(sources, doc->source);
    if (!allowed && med_doc_id_normalize(id, arena, &normal, NULL) == MED_OK) {
        code = med_snapshot_find_alias(snapshot, normal, arena, &ids, &count, err);
        if (code) return code;
    }
    for (size_t i = 0; !allowed && i < count; i++) {
        code = med_snapshot_get(snapshot, ids[i], arena, &doc, err);
        if (code && code != MED_E_NOT_FOUND && code != MED_E_GONE) return code;
        allowed = !code && med_source_allowed(sources, doc->source);
    }
    if (!allowed)
        return med_fail(
            err, MED_E_NOT_FOUND, "no document has the id " MED_STR_FMT, MED_STR_ARG(id));
    *ret_doc = doc;
    return MED_OK;
}

static enum med_code find_siblings(struct med_snapshot *snapshot, uint32_t sources,
    struct med_arena *arena, struct med_fetched *f, struct med_err *err)
{
    struct med_str aliases[4];
    size_t alias_count;
    enum med_code code = med_doc_aliases(f->doc, arena, aliases, &alias_count, err);
    if (code) return code;
    size_t cap = 16;
    f->also = med_arena_calloc(arena, cap, sizeof *f->also);
    if (!f->also) return out_of_memory(err);
    for (size_t a = 0; a < alias_count; a++) {
        struct med_str *ids;
        size_t count;
        code = med_snapshot_find_alias(snapshot, aliases[a], arena, &ids, &count, err);
        if (code) return code;
        for (size_t i = 0; i < count && f->also_count < cap; i++) {
            bool known = med_str_eq(ids[i], f->doc->id);
            for (size_t k = 0; k < f->also_count; k++) known |= med_str_eq(ids[i], f->also[k]);
            bool allowed = !known;
            if (!known) code = is_allowed(snapshot, sources, ids[i], arena, &allowed, err);
            if (code) return code;
            if (allowed) f->also[f->also_count++] = ids[i];
        }
    }
    return MED_OK;
}

/* A passage is fetched from the version in which it was found: its number means another text in a
 * newer one. What is said about the newer one (a retraction) holds for it too. */
static enum med_code find_indexed(struct med_snapshot *snapshot, const struct med_index *x,
    struct med_arena *arena, struct med_fetched *f, struct med_err *err)
{
    uint32_t doc;
    f->current = true;
    f->flags = med_doc_flags(f->doc);
    for (uint32_t s = 0; f->is_chunk && x && s < x->segment_count; s++) {
        struct med_doc *older;
        if (!med_segment_find_doc(x->segments[s], 0, f->doc->id, &doc)) continue;
        uint32_t version = x->segments[s]->docs[doc].version;
        if (version >= f->doc->store_version) return MED_OK;
        enum med_code code =
            med_snapshot_get_version(snapshot, f->doc->id, version, arena, &older, err);
        if (code == MED_E_NOT_FOUND || code == MED_E_GONE) return MED_OK;
        if (code) return code;
        f->doc = older;
        f->current = false;
        return MED_OK;
    }
    return MED_OK;
}

enum med_code med_fetch(struct med_store *store, const struct med_index *index, uint32_t sources,
    struct med_str id, struct med_arena *arena, struct med_fetched **ret_fetched,
    struct med_err *err)
{
    struct med_fetched *f = med_arena_calloc(arena, 1, sizeof *f);
    if (!f) return out_of_memory(err);
    struct med_snapshot *snapshot = NULL;
    struct med_str document = id;
    enum med_code code = med_snapshot_open(store, &snapshot, err);
    if (!code) code = find_address(snapshot, id, arena, &f->doc, err);
    bool hidden = code == MED_OK && !med_source_allowed(sources, f->doc->source);
    if (code == MED_E_NOT_FOUND || hidden || (code == MED_E_GONE && sources)) {
        f->is_chunk = split_chunk_id(id, &document, &f->chunk);
        code = find_allowed(snapshot, sources, document, arena, &f->doc, err);
    }
    if (!code) code = find_indexed(snapshot, index, arena, f, err);
    if (!code) code = find_siblings(snapshot, sources, arena, f, err);
    if (!code) code = links_of(index, snapshot, f->doc, arena, &f->links, &f->link_count, err);
    med_snapshot_close(&snapshot);
    if (!code) code = med_text_make(f->doc, arena, &f->text, err);
    if (!code) code = med_chunk_make(f->doc, f->text, arena, &f->chunks, &f->chunk_count, err);
    if (code) return code;
    if (f->is_chunk && f->chunk >= f->chunk_count)
        return med_fail(err, MED_E_NOT_FOUND,
            MED_STR_FMT
            " has passages ~0 to ~%zu; there is no ~%u (it may have been in an older version)",
            MED_STR_ARG(document), f->chunk_count - 1, f->chunk);
    f->evidence = med_evidence_of(f->doc);
    f->flags |= med_doc_flags(f->doc);
    /* The index may know more than the document itself. */
    const struct med_overlay_entry *more =
        index ? med_overlay_find(&index->overlay, f->doc->id) : NULL;
    if (more) f->flags |= more->flags;
    if (more && more->evidence > f->evidence) f->evidence = (enum med_evidence)more->evidence;
    *ret_fetched = f;
    return MED_OK;
}

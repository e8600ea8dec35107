/* Passage-level judgement: the file, where its evidence stands, and what the modes find of it. */
#include "index/passage_eval.h"

#include "common/fs.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/parallel.h"
#include "common/unicode.h"
#include "index/eval.h"
#include "index/internal.h"

#include <stdlib.h>

#define EVIDENCE_FILE_BYTES_MAX MED_GIB
#define EVIDENCE_ARENA_BYTES_MAX (4 * MED_GIB)
#define OCCURRENCES_MAX 16 /* of one sentence in one document */

/* Where the evidence of a query stands. */
struct place {
    size_t topic;
    uint32_t segment, doc;
    uint64_t work;
    struct med_span span;
};

/* A document of the index under one of its names. */
struct name {
    struct med_str id;
    uint32_t segment, doc;
};

struct evidence {
    const struct med_index *index;
    const struct med_topics *topics;
    const struct med_eval_options *options;
    struct med_passage_report *report;
    struct med_arena *scratch; /* reset for each line */
    struct med_snapshot *snapshot;
    struct name *names; /* sorted */
    size_t name_count;
    size_t *by_id; /* topics in order of their ids */
    struct place *places;
    size_t place_count, place_cap;
    struct med_passage_scores *scores; /* topics x modes x groups */
};

static enum med_code out_of_memory(struct med_err *err)
{
    return med_fail(err, MED_E_NOMEM, "out of memory for the evidence");
}

/* --- matching --- */

/* Moves on over white space of any kind; true when there was some. */
static bool skip_space(struct med_str text, size_t *pos)
{
    size_t start = *pos;
    while (*pos < text.len) {
        size_t next = *pos;
        uint32_t c = med_utf8_next(text, &next);
        if (c > ' ' && med_char_class(c) != MED_CHAR_SPACE) break;
        *pos = next;
    }
    return *pos > start;
}

static bool matches_at(struct med_str text, size_t at, struct med_str evidence, size_t *ret_end)
{
    size_t e = 0;
    while (e < evidence.len) {
        size_t gap = e, here = at;
        if (skip_space(evidence, &gap)) {
            if (gap == evidence.len) break;
            if (!skip_space(text, &here)) return false;
            e = gap;
            at = here;
        }
        if (at >= text.len || text.ptr[at] != evidence.ptr[e]) return false;
        at++;
        e++;
    }
    *ret_end = at;
    return true;
}

bool med_evidence_find(
    struct med_str text, struct med_str evidence, size_t from, struct med_span *ret_span)
{
    size_t lead = 0;
    skip_space(evidence, &lead);
    evidence = med_str_sub(evidence, lead, evidence.len);
    if (evidence.len == 0) return false;
    while (from < text.len) {
        const char *at = memchr(text.ptr + from, evidence.ptr[0], text.len - from);
        if (!at) return false;
        size_t start = (size_t)(at - text.ptr), end;
        if (matches_at(text, start, evidence, &end)) {
            *ret_span = (struct med_span){(uint32_t)start, (uint32_t)end};
            return true;
        }
        from = start + 1;
    }
    return false;
}

bool med_evidence_covered(struct med_span passage, struct med_span evidence)
{
    uint32_t start = passage.start > evidence.start ? passage.start : evidence.start;
    uint32_t end = passage.end < evidence.end ? passage.end : evidence.end;
    return end > start && 2 * (uint64_t)(end - start) >= evidence.end - evidence.start;
}

/* --- reading --- */

static int by_name(const void *a, const void *b)
{
    const struct name *x = a, *y = b;
    return med_str_cmp(x->id, y->id);
}

/* Every document under the id of the input and under its own. */
static enum med_code collect_names(struct evidence *e, struct med_err *err)
{
    const struct med_index *x = e->index;
    e->names = med_calloc(2 * x->stats.doc_count + 1, sizeof *e->names);
    if (!e->names) return out_of_memory(err);
    for (uint32_t s = 0; s < x->segment_count; s++) {
        for (uint32_t d = 0; d < x->segments[s]->doc_count; d++) {
            if (!med_segment_is_live(x->segments[s], d)) continue;
            e->names[e->name_count++] =
                (struct name){med_segment_source_id(x->segments[s], d), s, d};
            e->names[e->name_count++] = (struct name){med_segment_doc_id(x->segments[s], d), s, d};
        }
    }
    qsort(e->names, e->name_count, sizeof *e->names, by_name);
    return MED_OK;
}

static int by_topic_id(const void *a, const void *b, void *ctx)
{
    const struct med_topics *topics = ctx;
    return med_str_cmp(topics->items[*(const size_t *)a].id, topics->items[*(const size_t *)b].id);
}

static enum med_code sort_topics(struct evidence *e, struct med_err *err)
{
    e->by_id = med_calloc(e->topics->count + 1, sizeof *e->by_id);
    if (!e->by_id) return out_of_memory(err);
    for (size_t i = 0; i < e->topics->count; i++) e->by_id[i] = i;
    qsort_r(e->by_id, e->topics->count, sizeof *e->by_id, by_topic_id, (void *)e->topics);
    return MED_OK;
}

static bool find_topic(const struct evidence *e, struct med_str id, size_t *ret_topic)
{
    size_t low = 0, high = e->topics->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = med_str_cmp(e->topics->items[e->by_id[mid]].id, id);
        if (order == 0) {
            *ret_topic = e->by_id[mid];
            return true;
        }
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return false;
}

/* Adds every place where the evidence stands in this document. */
static enum med_code add_places(struct evidence *e, size_t topic, uint32_t segment, uint32_t doc,
    struct med_str text, struct med_err *err)
{
    const struct med_segment *s = e->index->segments[segment];
    struct med_doc *document;
    struct med_text *canonical;
    enum med_code code = med_snapshot_get_version(
        e->snapshot, med_segment_doc_id(s, doc), s->docs[doc].version, e->scratch, &document, err);
    if (!code) code = med_text_make(document, e->scratch, &canonical, err);
    if (code) return code;
    struct med_span span = {0};
    for (size_t n = 0; n < OCCURRENCES_MAX; n++) {
        if (!med_evidence_find(canonical->bytes, text, span.end, &span)) break;
        if (!med_grow(&e->places, &e->place_cap, e->place_count + 1, sizeof *e->places))
            return out_of_memory(err);
        e->places[e->place_count++] =
            (struct place){topic, segment, doc, med_segment_work(s, doc), span};
    }
    return MED_OK;
}

static enum med_code add_works_places(struct evidence *e, size_t topic, const struct name *name,
    struct med_str text, struct med_err *err)
{
    const struct med_index *x = e->index;
    uint64_t work = med_segment_work(x->segments[name->segment], name->doc);
    bool shared = med_segment_shared(x->segments[name->segment], name->doc);
    size_t before = e->place_count;
    enum med_code code = add_places(e, topic, name->segment, name->doc, text, err);
    for (size_t i = 0; !code && shared && i < x->shared_count; i++) {
        const struct shared_work *w = &x->shared[i];
        if (w->work == work && !(w->segment == name->segment && w->doc == name->doc))
            code = add_places(e, topic, w->segment, w->doc, text, err);
    }
    if (!code && e->place_count == before) e->report->absent_texts++;
    return code;
}

static enum med_code add_line(struct evidence *e, const struct med_json *root, struct med_err *err)
{
    struct med_str query = med_json_get_str(root, "query_id");
    struct med_str doc = med_json_get_str(root, "doc_id");
    struct med_str raw = med_json_get_str(root, "evidence");
    if (query.len == 0 || doc.len == 0 || med_str_trim(raw).len == 0)
        return med_fail(
            err, MED_E_INVALID, "expected the strings \"query_id\", \"doc_id\" and \"evidence\"");
    size_t topic;
    if (!find_topic(e, query, &topic)) {
        e->report->absent_queries++;
        return MED_OK;
    }
    e->report->evidence_count++;
    struct name wanted = {.id = doc};
    const struct name *name = bsearch(&wanted, e->names, e->name_count, sizeof *e->names, by_name);
    if (!name) {
        e->report->absent_docs++;
        return MED_OK;
    }
    struct med_buf text;
    med_buf_init(&text, MED_DOC_TEXT_BYTES_MAX);
    enum med_code code = med_utf8_nfc(raw, &text, err);
    if (!code) code = add_works_places(e, topic, name, med_buf_str(&text), err);
    med_buf_free(&text);
    return code;
}

static enum med_code read_lines(struct evidence *e, struct med_str rest, struct med_err *err)
{
    for (size_t number = 1; rest.len; number++) {
        const char *end = memchr(rest.ptr, '\n', rest.len);
        size_t len = end ? (size_t)(end - rest.ptr) : rest.len;
        struct med_str line = med_str_trim(med_str_sub(rest, 0, len));
        rest = med_str_sub(rest, end ? len + 1 : len, rest.len);
        if (line.len == 0) continue;
        struct med_json *root = NULL;
        med_arena_reset(e->scratch);
        enum med_code code = med_json_parse(line.ptr, line.len, &root, err);
        if (!code) code = add_line(e, root, err);
        med_json_free(&root);
        if (code) {
            med_err_prefix(err, "%s: line %zu", e->options->evidence_path, number);
            return code;
        }
    }
    return MED_OK;
}

static int by_topic(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    return x->topic < y->topic ? -1 : x->topic > y->topic;
}

static enum med_code read_evidence(struct evidence *e, struct med_err *err)
{
    struct med_buf file;
    med_buf_init(&file, EVIDENCE_FILE_BYTES_MAX);
    enum med_code code = med_read_file(e->options->evidence_path, &file, err);
    if (!code) code = collect_names(e, err);
    if (!code) code = sort_topics(e, err);
    if (!code) code = med_snapshot_open(e->index->store, &e->snapshot, err);
    if (!code) code = read_lines(e, med_buf_str(&file), err);
    if (e->snapshot) med_snapshot_close(&e->snapshot);
    med_buf_free(&file);
    if (!code && e->place_count == 0)
        code = med_fail(err, MED_E_INVALID,
            "%s: no evidence of these queries stands in the documents of this index",
            e->options->evidence_path);
    if (!code) qsort(e->places, e->place_count, sizeof *e->places, by_topic);
    return code;
}

/* --- judging --- */

/* The first place of the topic or, when it has none, of a later one. */
static size_t first_place(const struct evidence *e, size_t topic)
{
    size_t low = 0, high = e->place_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (e->places[mid].topic < topic)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static void judge(const struct evidence *e, size_t topic, const struct med_ranked *r,
    bool *ret_passage, bool *ret_article)
{
    const struct med_segment *s = e->index->segments[r->segment];
    struct med_span span = {s->chunks[r->chunk].start, s->chunks[r->chunk].end};
    *ret_passage = *ret_article = false;
    for (size_t i = first_place(e, topic); i < e->place_count; i++) {
        const struct place *p = &e->places[i];
        if (p->topic != topic) break;
        *ret_article |= p->work == med_segment_work(s, r->doc);
        *ret_passage |=
            p->segment == r->segment && p->doc == r->doc && med_evidence_covered(span, p->span);
    }
}

static void first_hit(struct med_passage_measures *m, uint32_t rank)
{
    for (size_t i = 0; i < MED_PASSAGE_DEPTHS; i++) m->success[i] = rank <= med_passage_depths[i];
    m->mrr_10 = 1 / (double)rank;
}

static enum med_code judge_ranking(const struct evidence *e, size_t topic,
    struct med_searcher *searcher, struct med_arena *arena, size_t mode, enum med_group group,
    struct med_err *err)
{
    struct med_search_request request = MED_SEARCH_REQUEST_DEFAULT;
    request.query = e->topics->items[topic].text;
    request.mode = e->options->modes[mode];
    request.group = group;
    request.limit = MED_PASSAGE_DEPTH_MAX;
    request.fusion = e->options->fusion;
    request.fusion_weight = e->options->fusion_weight;
    request.authority_weight = e->options->authority_weight;
    request.literal = true;
    struct med_answer *answer;
    enum med_code code = med_search(e->index, searcher, &request, arena, &answer, err);
    if (code) return code;
    struct med_passage_scores *scores =
        &e->scores[(topic * e->options->mode_count + mode) * MED_GROUP_COUNT + group];
    bool had_passage = false, had_article = false;
    for (uint32_t i = 0; i < answer->count; i++) {
        bool passage, article;
        judge(e, topic, &answer->results[i].rank, &passage, &article);
        if (passage && !had_passage) first_hit(&scores->passage, i + 1);
        if (article && !had_article) first_hit(&scores->article, i + 1);
        had_passage |= passage;
        had_article |= article;
    }
    return MED_OK;
}

static bool has_place(const struct evidence *e, size_t topic)
{
    size_t i = first_place(e, topic);
    return i < e->place_count && e->places[i].topic == topic;
}

static enum med_code judge_range(
    void *ctx, unsigned worker, uint64_t begin, uint64_t end, struct med_err *err)
{
    struct evidence *e = ctx;
    struct med_searcher *searcher = NULL;
    struct med_arena *arena = NULL;
    enum med_code code = med_searcher_new(&searcher, err);
    if (!code) code = med_arena_new(EVIDENCE_ARENA_BYTES_MAX, &arena, err);
    for (uint64_t t = begin; !code && t < end; t++) {
        if (!has_place(e, t)) continue;
        for (size_t i = 0; !code && i < e->options->mode_count * MED_GROUP_COUNT; i++) {
            med_arena_reset(arena);
            code = judge_ranking(e, t, searcher, arena, i / MED_GROUP_COUNT,
                (enum med_group)(i % MED_GROUP_COUNT), err);
        }
        if (!code && worker == 0 &&
            !med_progress(e->options->progress, "passages", t, e->topics->count, "queries"))
            code = med_fail(err, MED_E_CANCELLED, "the evaluation was stopped");
    }
    med_arena_free(&arena);
    med_searcher_free(&searcher);
    return code;
}

static void add_measures(
    struct med_passage_measures *sum, const struct med_passage_measures *m, double scale)
{
    for (size_t i = 0; i < MED_PASSAGE_DEPTHS; i++) sum->success[i] += m->success[i] * scale;
    sum->mrr_10 += m->mrr_10 * scale;
}

static void summarize(const struct evidence *e)
{
    struct med_passage_report *report = e->report;
    for (size_t t = 0; t < e->topics->count; t++) report->query_count += has_place(e, t);
    double scale = 1 / (double)report->query_count;
    for (size_t t = 0; t < e->topics->count; t++) {
        if (!has_place(e, t)) continue;
        for (size_t m = 0; m < e->options->mode_count; m++) {
            for (size_t g = 0; g < MED_GROUP_COUNT; g++) {
                const struct med_passage_scores *s =
                    &e->scores[(t * e->options->mode_count + m) * MED_GROUP_COUNT + g];
                add_measures(&report->modes[m][g].passage, &s->passage, scale);
                add_measures(&report->modes[m][g].article, &s->article, scale);
            }
        }
    }
}

enum med_code med_passage_eval(const struct med_index *index, const struct med_topics *topics,
    const struct med_eval_options *options, struct med_passage_report *ret_report,
    struct med_err *err)
{
    struct med_passage_report report = {0};
    struct evidence e = {.index = index, .topics = topics, .options = options, .report = &report};
    enum med_code code = med_arena_new(EVIDENCE_ARENA_BYTES_MAX, &e.scratch, err);
    if (!code) code = read_evidence(&e, err);
    if (!code) {
        e.scores =
            med_calloc(topics->count * options->mode_count * MED_GROUP_COUNT + 1, sizeof *e.scores);
        if (!e.scores) code = out_of_memory(err);
    }
    if (!code) code = med_parallel_for(options->threads, topics->count, 32, judge_range, &e, err);
    if (!code) summarize(&e);
    med_arena_free(&e.scratch);
    med_free(e.names);
    med_free(e.by_id);
    med_free(e.places);
    med_free(e.scores);
    if (code) return code;
    *ret_report = report;
    return MED_OK;
}

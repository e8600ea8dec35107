/* What to do about an answer without results: which part of the request is in the way, and how much
 * there is without it. Each filter, and each part that the query joins with AND, is left out in
 * turn and the rest is searched as before; so the numbers are those that the next request gets. */
#include "index/match.h"

#include <stdio.h>

enum part {
    PART_YEAR,
    PART_SOURCE,
    PART_EVIDENCE,
    PART_TYPE,
    PART_JOURNAL,
    PART_LANGUAGE,
    PART_MESH,
    PART_RETRACTED_ONLY,
    PART_HAS_ABSTRACT,
    PART_EXCLUDE_RETRACTED,
    PART_COUNT
};

#define HINTS_MAX 5u
#define HINT_BYTES 200u

struct hinter {
    const struct med_index *index;
    struct med_searcher *searcher;
    const struct med_search_request *request;
    struct med_arena *arena;
    struct med_ranking *ranking; /* the empty one, which gets the notices */
    unsigned hints, parts;       /* given; tried */
};

/* Empties a list, or a number; false when there was nothing. */
static bool clear_list(struct med_str_list *list)
{
    bool any = list->count > 0;
    list->count = 0;
    return any;
}

static bool clear_mask(uint32_t *mask)
{
    bool any = *mask != 0;
    *mask = 0;
    return any;
}

static bool clear_flag(uint32_t *flags, uint32_t flag)
{
    bool any = *flags & flag;
    *flags &= ~flag;
    return any;
}

static bool leave_out(enum part part, struct med_search_filter *f)
{
    switch (part) {
    case PART_YEAR: {
        bool from = clear_mask(&f->year_min), to = clear_mask(&f->year_max);
        return from || to;
    }
    case PART_SOURCE: return clear_mask(&f->source_mask);
    case PART_EVIDENCE: return clear_mask(&f->evidence_mask);
    case PART_TYPE: return clear_list(&f->types);
    case PART_JOURNAL: return clear_list(&f->journals);
    case PART_LANGUAGE: return clear_list(&f->languages);
    case PART_MESH: return clear_list(&f->mesh);
    case PART_RETRACTED_ONLY: return clear_flag(&f->flags_all, MED_FLAG_RETRACTED);
    case PART_HAS_ABSTRACT: return clear_flag(&f->flags_all, MED_FLAG_HAS_ABSTRACT);
    case PART_EXCLUDE_RETRACTED: return clear_flag(&f->flags_none, MED_FLAG_RETRACTED);
    case PART_COUNT: break;
    }
    return false;
}

static void years_text(uint32_t from, uint32_t to, struct med_buf *out)
{
    med_buf_puts(out, "year:");
    if (from) med_buf_printf(out, "%u", from);
    if (from != to) med_buf_puts(out, "..");
    if (to && from != to) med_buf_printf(out, "%u", to);
}

static void list_text(const char *name, const struct med_str_list *list, struct med_buf *out)
{
    med_buf_printf(out, "%s:", name);
    for (size_t i = 0; i < list->count; i++) {
        if (i) med_buf_puts(out, "; ");
        med_buf_append_str(out, list->items[i]);
    }
}

static void describe(enum part part, const struct med_search_filter *f, struct med_buf *out)
{
    const char *separator = "";
    switch (part) {
    case PART_YEAR: years_text(f->year_min, f->year_max, out); break;
    case PART_SOURCE:
        med_buf_puts(out, "source:");
        for (unsigned i = 0; i < MED_SOURCE_COUNT; i++) {
            if (!(f->source_mask >> i & 1)) continue;
            med_buf_printf(out, "%s%s", separator, med_source_name((enum med_source)i));
            separator = ",";
        }
        break;
    case PART_EVIDENCE:
        med_buf_puts(out, "evidence:");
        for (unsigned i = 0; i < MED_EVIDENCE_COUNT; i++) {
            if (!(f->evidence_mask >> i & 1)) continue;
            med_buf_printf(out, "%s%s", separator, med_evidence_name((enum med_evidence)i));
            separator = ",";
        }
        break;
    case PART_TYPE: list_text("type", &f->types, out); break;
    case PART_JOURNAL: list_text("journal", &f->journals, out); break;
    case PART_LANGUAGE: list_text("language", &f->languages, out); break;
    case PART_MESH: list_text("mesh", &f->mesh, out); break;
    case PART_RETRACTED_ONLY: med_buf_puts(out, "retracted:only"); break;
    case PART_HAS_ABSTRACT: med_buf_puts(out, "has_abstract:true"); break;
    case PART_EXCLUDE_RETRACTED: med_buf_puts(out, "exclude_retracted"); break;
    case PART_COUNT: break;
    }
}

/* How much is found with another filter, or another tree (NULL: the query's own). */
static enum med_code count_with(struct hinter *h, const struct med_search_filter *filter,
    const struct query_tree *tree, uint64_t *ret_total, bool *ret_exact, struct med_err *err)
{
    struct med_search_request request = *h->request;
    struct query query;
    struct med_ranking *ranking = med_arena_calloc(h->arena, 1, sizeof *ranking);
    if (!ranking) return med_fail(err, MED_E_NOMEM, "the search needs too much memory");
    request.filter = *filter;
    request.offset = 0;
    request.limit = 1;
    request.facet_mask = 0;
    enum med_code code = query_understand(h->searcher->analyzer, &request, h->arena, &query, err);
    if (!code && tree) query.tree = *tree;
    if (!code) code = rank_query(h->index, h->searcher, &request, &query, h->arena, ranking, err);
    if (code) return code;
    *ret_total = ranking->total;
    *ret_exact = ranking->total_exact;
    return MED_OK;
}

static enum med_code tell(struct hinter *h, struct med_str part, uint64_t total, bool exact,
    const char *ending, struct med_err *err)
{
    if (!total || h->hints == HINTS_MAX) return MED_OK;
    h->hints++;
    return notice_add(h->ranking, h->arena, err, "0 results with %.*s; %s%llu without %s",
        (int)(part.len < HINT_BYTES ? part.len : HINT_BYTES), part.ptr, exact ? "" : "at least ",
        (unsigned long long)total, ending);
}

static enum med_code try_filters(struct hinter *h, struct med_err *err)
{
    struct med_buf text;
    enum med_code code = MED_OK;
    med_buf_init(&text, MED_QUERY_BYTES_MAX);
    for (enum part part = 0; !code && part < PART_COUNT; part++) {
        struct med_search_filter filter = h->request->filter;
        uint64_t total = 0;
        bool exact = false;
        if (!leave_out(part, &filter)) continue;
        h->parts++;
        med_buf_reset(&text);
        describe(part, &h->request->filter, &text);
        code = count_with(h, &filter, NULL, &total, &exact, err);
        if (!code && text.len) code = tell(h, med_buf_str(&text), total, exact, "it", err);
    }
    med_buf_free(&text);
    return code;
}

/* The first node of the operand that ends with node `last`. */
static size_t first_of(const struct query_tree *tree, size_t last)
{
    size_t missing = 1, i = last + 1;
    while (missing) {
        i--;
        missing--;
        enum query_op op = tree->nodes[i].op;
        missing += op == QUERY_LEAF ? 0 : op == QUERY_NOT ? 1 : 2;
    }
    return i;
}

static void leaf_text(const struct query_node *leaf, struct med_buf *out)
{
    if (leaf->scope == QUERY_YEAR) {
        years_text(leaf->year_min, leaf->year_max, out);
        return;
    }
    if (leaf->scope != QUERY_ALL) med_buf_printf(out, "%s:", query_scope_name(leaf->scope));
    med_buf_puts(out, "\"");
    med_buf_append_str(out, leaf->text);
    med_buf_puts(out, "\"");
}

/* The tree without the nodes from first to last, and without the AND that joins them. */
static enum med_code try_without(
    struct hinter *h, const struct query_tree *tree, size_t leaf, size_t and, struct med_err *err)
{
    struct query_tree rest = {.count = 0};
    struct med_buf text;
    uint64_t total = 0;
    bool exact = false;
    rest.nodes = med_arena_calloc(h->arena, tree->count + 1, sizeof *rest.nodes);
    if (!rest.nodes) return med_fail(err, MED_E_NOMEM, "the search needs too much memory");
    for (size_t i = 0; i < tree->count; i++) {
        if (i != leaf && i != and) rest.nodes[rest.count++] = tree->nodes[i];
    }
    h->parts++;
    med_buf_init(&text, MED_QUERY_BYTES_MAX + MED_KIB);
    leaf_text(&tree->nodes[leaf], &text);
    enum med_code code = count_with(h, &h->request->filter, &rest, &total, &exact, err);
    if (!code) code = tell(h, med_buf_str(&text), total, exact, "it", err);
    med_buf_free(&text);
    return code;
}

/* Single words, phrases and fields that the query joins with AND. The operands of the outermost
 * ANDs are visited from the right; what is more complex than a leaf stays as it is. */
static enum med_code try_query(struct hinter *h, struct med_err *err)
{
    struct query query;
    enum med_code code = query_understand(h->searcher->analyzer, h->request, h->arena, &query, err);
    const struct query_tree *tree = &query.tree;
    if (code || tree->count == 0) return code;
    if (tree->count == 1) /* beside words that only rank */
        return query.word_count && tree->nodes[0].scope >= QUERY_MESH
                   ? try_without(h, tree, 0, tree->count, err)
                   : MED_OK;
    size_t last = tree->count - 1;
    while (!code && tree->nodes[last].op == QUERY_AND && h->hints < HINTS_MAX) {
        size_t right = first_of(tree, last - 1);
        if (right == last - 1) code = try_without(h, tree, right, last, err);
        bool more = right > 0 && tree->nodes[right - 1].op == QUERY_AND;
        if (!more && !code && right == 1) code = try_without(h, tree, 0, last, err);
        if (!more) break;
        last = right - 1;
    }
    return code;
}

enum med_code hints_add(const struct med_index *index, struct med_searcher *searcher,
    const struct med_search_request *request, struct med_arena *arena, struct med_ranking *ranking,
    struct med_err *err)
{
    struct hinter h = {.index = index,
        .searcher = searcher,
        .request = request,
        .arena = arena,
        .ranking = ranking};
    enum med_code code = try_filters(&h, err);
    unsigned filters = h.parts;
    if (!code) code = try_query(&h, err);
    if (code || h.hints || filters < 2) return code;
    struct med_search_filter none = {0};
    uint64_t total = 0;
    bool exact = false;
    code = count_with(&h, &none, NULL, &total, &exact, err);
    return code ? code : tell(&h, MED_STR("these filters"), total, exact, "any of them", err);
}

/* Making an overlay: statements are collected from documents, resolved against the store, turned
 * around, and written per document they are about.
 *
 *   document says     -> statement (about an alias)         med_overlay_builder_add
 *   alias             -> work -> its documents              resolve
 *   per document      -> finding (flags, one link)          tell
 *   findings, sorted  -> entries and links                  write_overlay
 *
 * A document that says something about itself (retraction-in, a publication type) says it for its
 * whole work, so that the full text knows what the abstract's record says. */
#include "index/overlay.h"

#include "common/mem.h"
#include "index/evidence.h"

#include <stdlib.h>

#define OVERLAY_ARENA_BYTES_MAX (8 * MED_GIB)
#define OVERLAY_HEAP_BYTES_MAX (4 * MED_GIB - 1)
#define OWN_FLAGS                                                                                  \
    (MED_FLAG_RETRACTED | MED_FLAG_RETRACTION_NOTICE | MED_FLAG_CONCERN | MED_FLAG_ERRATUM |       \
        MED_FLAG_SUPERSEDED)

/* `from` says that it stands in `kind` to `target`. */
struct statement {
    struct med_str from, target, note;
    enum med_link_kind kind;
};

struct guideline {
    struct med_str id, family, organization;
    struct med_date date;
    uint32_t year, version; /* of the slug */
};

/* Something to write about `id`: flags, and a link unless it has no kind. */
struct finding {
    struct med_str id, other, note;
    uint32_t flags;
    enum med_evidence evidence;
    int kind; /* enum med_link_kind; -1 = no link */
};

struct med_overlay_builder {
    struct med_arena *arena;   /* all strings */
    struct med_arena *scratch; /* one resolution */
    struct statement *statements;
    size_t statement_count, statement_cap;
    struct med_overlay_member
        *flagged; /* documents whose own record says something about themselves */
    size_t flagged_count, flagged_cap;
    struct med_str *full_texts; /* ids */
    size_t full_text_count, full_text_cap;
    struct guideline *guidelines;
    size_t guideline_count, guideline_cap;
    struct finding *findings;
    size_t finding_count, finding_cap;
    med_overlay_work_fn work; /* NULL: documents are read */
    void *work_ctx;
};

static enum med_code out_of_memory(struct med_err *err)
{
    return med_fail(err, MED_E_NOMEM, "out of memory for the overlay");
}

enum med_code med_overlay_builder_new(struct med_overlay_builder **ret_builder, struct med_err *err)
{
    struct med_overlay_builder *b = med_calloc(1, sizeof *b);
    if (!b) return out_of_memory(err);
    enum med_code code = med_arena_new(OVERLAY_ARENA_BYTES_MAX, &b->arena, err);
    if (!code) code = med_arena_new(MED_DOC_ARENA_BYTES_MAX, &b->scratch, err);
    if (code) {
        med_overlay_builder_free(&b);
        return code;
    }
    *ret_builder = b;
    return MED_OK;
}

void med_overlay_builder_free(struct med_overlay_builder **builder)
{
    struct med_overlay_builder *b = *builder;
    if (!b) return;
    med_free(b->statements);
    med_free(b->flagged);
    med_free(b->full_texts);
    med_free(b->guidelines);
    med_free(b->findings);
    med_arena_free(&b->arena);
    med_arena_free(&b->scratch);
    med_free(b);
    *builder = NULL;
}

/* --- collecting --- */

static enum med_code add_guideline(
    struct med_overlay_builder *b, const struct med_overlay_facts *facts, struct med_err *err)
{
    struct med_str prefix = MED_STR("guideline:");
    if (!med_str_starts(facts->id, prefix)) return MED_OK;
    struct guideline g = {.date = facts->date};
    if (!med_grow(&b->guidelines, &b->guideline_cap, b->guideline_count + 1, sizeof g) ||
        !med_arena_str(b->arena, facts->id, &g.id) ||
        !med_arena_str(b->arena, facts->organization, &g.organization))
        return out_of_memory(err);
    struct med_str slug = med_str_sub(g.id, prefix.len, g.id.len);
    enum med_code code = med_slug_family(slug, b->arena, &g.family, &g.year, &g.version, err);
    if (!code) b->guidelines[b->guideline_count++] = g;
    return code;
}

enum med_code med_overlay_builder_add_facts(
    struct med_overlay_builder *b, const struct med_overlay_facts *facts, struct med_err *err)
{
    uint32_t own = facts->own_flags & OWN_FLAGS;
    struct med_str id = {0};
    if ((own || facts->link_count) && !med_arena_str(b->arena, facts->id, &id))
        return out_of_memory(err);
    if (own) {
        if (!med_grow(&b->flagged, &b->flagged_cap, b->flagged_count + 1, sizeof *b->flagged))
            return out_of_memory(err);
        b->flagged[b->flagged_count++] = (struct med_overlay_member){.id = id, .own_flags = own};
    }
    for (size_t i = 0; i < facts->link_count; i++) {
        const struct med_link *link = &facts->links[i];
        if (link->kind == MED_LINK_OTHER || link->target.len == 0) continue;
        struct statement s = {.from = id, .kind = link->kind};
        if (!med_grow(&b->statements, &b->statement_cap, b->statement_count + 1, sizeof s) ||
            !med_arena_str(b->arena, link->target, &s.target) ||
            !med_arena_str(b->arena, link->note, &s.note))
            return out_of_memory(err);
        b->statements[b->statement_count++] = s;
    }
    if (facts->source == MED_SOURCE_PMC) {
        if (!med_grow(&b->full_texts, &b->full_text_cap, b->full_text_count + 1, sizeof id) ||
            !med_arena_str(b->arena, facts->id, &b->full_texts[b->full_text_count]))
            return out_of_memory(err);
        b->full_text_count++;
    }
    return facts->source == MED_SOURCE_GUIDELINE ? add_guideline(b, facts, err) : MED_OK;
}

enum med_code med_overlay_builder_add(
    struct med_overlay_builder *b, const struct med_doc *doc, struct med_err *err)
{
    struct med_overlay_facts facts = {.id = doc->id,
        .own_flags = med_doc_flags(doc),
        .source = doc->source,
        .date = doc->date,
        .organization = doc->organization,
        .links = doc->links,
        .link_count = doc->link_count};
    return med_overlay_builder_add_facts(b, &facts, err);
}

void med_overlay_builder_ask(struct med_overlay_builder *b, med_overlay_work_fn work, void *ctx)
{
    b->work = work;
    b->work_ctx = ctx;
}

/* --- resolving --- */

static enum med_code add_members(struct med_overlay_builder *b, struct med_snapshot *snapshot,
    struct med_str alias, struct med_overlay_member members[MED_OVERLAY_MEMBERS_MAX], size_t *count,
    struct med_err *err)
{
    struct med_str *ids;
    size_t id_count;
    enum med_code code = med_snapshot_find_alias(snapshot, alias, b->scratch, &ids, &id_count, err);
    for (size_t i = 0; !code && i < id_count && *count < MED_OVERLAY_MEMBERS_MAX; i++) {
        bool known = false;
        for (size_t k = 0; k < *count; k++) known |= med_str_eq(ids[i], members[k].id);
        if (!known) members[(*count)++] = (struct med_overlay_member){.id = ids[i]};
    }
    return code;
}

/* A list that grows while it is walked: every document is read for its aliases. */
static enum med_code resolve_by_reading(struct med_overlay_builder *b,
    struct med_snapshot *snapshot, struct med_str alias,
    struct med_overlay_member members[MED_OVERLAY_MEMBERS_MAX], size_t *ret_count,
    struct med_err *err)
{
    size_t count = 0;
    med_arena_reset(b->scratch);
    enum med_code code = add_members(b, snapshot, alias, members, &count, err);
    for (size_t i = 0; !code && i < count; i++) {
        struct med_doc *doc;
        struct med_str aliases[4];
        size_t alias_count = 0;
        code = med_snapshot_get(snapshot, members[i].id, b->scratch, &doc, err);
        if (code) return code;
        members[i].own_flags = med_doc_flags(doc);
        members[i].evidence = med_evidence_of(doc);
        code = med_doc_aliases(doc, b->scratch, aliases, &alias_count, err);
        for (size_t k = 0; !code && k < alias_count; k++)
            code = add_members(b, snapshot, aliases[k], members, &count, err);
    }
    if (!code) *ret_count = count;
    return code;
}

static bool is_member(const struct med_overlay_member *members, size_t count, struct med_str id)
{
    for (size_t i = 0; i < count; i++) {
        if (med_str_eq(members[i].id, id)) return true;
    }
    return false;
}

/* The same from what is known of works. *ret_all: false when they are too large for that. */
static enum med_code resolve_by_asking(struct med_overlay_builder *b, struct med_snapshot *snapshot,
    struct med_str alias, struct med_overlay_member members[MED_OVERLAY_MEMBERS_MAX],
    size_t *ret_count, bool *ret_all, struct med_err *err)
{
    size_t count = 0, named = 0;
    *ret_all = false;
    med_arena_reset(b->scratch);
    enum med_code code = add_members(b, snapshot, alias, members, &named, err);
    if (code || named == MED_OVERLAY_MEMBERS_MAX) return code;
    count = named;
    for (size_t i = 0; !code && i < named; i++) {
        struct med_overlay_member work[MED_OVERLAY_MEMBERS_MAX];
        size_t n;
        code = b->work(b->work_ctx, members[i].id, work, &n, err);
        if (code || n > MED_OVERLAY_MEMBERS_MAX) return code;
        for (size_t k = 0; k < n; k++) {
            size_t at = 0;
            while (at < count && !med_str_eq(members[at].id, work[k].id)) at++;
            if (at == MED_OVERLAY_MEMBERS_MAX) return MED_OK;
            if (at == count) count++;
            members[at] = work[k];
        }
    }
    *ret_count = count;
    *ret_all = true;
    return code;
}

/* The live documents of the work that the alias names; those that carry the alias itself first. */
static enum med_code resolve(struct med_overlay_builder *b, struct med_snapshot *snapshot,
    struct med_str alias, struct med_overlay_member members[MED_OVERLAY_MEMBERS_MAX],
    size_t *ret_count, struct med_err *err)
{
    bool all = false;
    enum med_code code = MED_OK;
    if (b->work) code = resolve_by_asking(b, snapshot, alias, members, ret_count, &all, err);
    return code || all ? code : resolve_by_reading(b, snapshot, alias, members, ret_count, err);
}

/* --- turning around --- */

/* What a document is when it carries a link of this kind. */
static uint32_t flags_of_kind(enum med_link_kind kind)
{
    switch (kind) {
    case MED_LINK_RETRACTION_IN: return MED_FLAG_RETRACTED;
    case MED_LINK_RETRACTION_OF: return MED_FLAG_RETRACTION_NOTICE;
    case MED_LINK_CONCERN_IN:
    case MED_LINK_PARTIAL_RETRACTION_IN: return MED_FLAG_CONCERN;
    case MED_LINK_ERRATUM_IN: return MED_FLAG_ERRATUM;
    case MED_LINK_UPDATE_IN: return MED_FLAG_SUPERSEDED;
    case MED_LINK_ERRATUM_FOR:
    case MED_LINK_CONCERN_FOR:
    case MED_LINK_COMMENT_IN:
    case MED_LINK_COMMENT_ON:
    case MED_LINK_UPDATE_OF:
    case MED_LINK_REPUBLISHED_IN:
    case MED_LINK_REPUBLISHED_FROM:
    case MED_LINK_PARTIAL_RETRACTION_OF:
    case MED_LINK_OTHER:
    case MED_LINK_COUNT: break;
    }
    return 0;
}

/* Records that `m` stands in `kind` to `other`. A notice is not retracted, and what was retracted
 * by its own record is no notice. */
static enum med_code tell(struct med_overlay_builder *b, const struct med_overlay_member *m,
    int kind, uint32_t flags, struct med_str other, struct med_str note, struct med_err *err)
{
    struct finding f = {.kind = kind, .note = note, .flags = flags};
    if (m->own_flags & MED_FLAG_RETRACTION_NOTICE) f.flags &= ~(uint32_t)MED_FLAG_RETRACTED;
    if (m->own_flags & MED_FLAG_RETRACTED) f.flags &= ~(uint32_t)MED_FLAG_RETRACTION_NOTICE;
    if (!med_grow(&b->findings, &b->finding_cap, b->finding_count + 1, sizeof f) ||
        !med_arena_str(b->arena, m->id, &f.id) || !med_arena_str(b->arena, other, &f.other))
        return out_of_memory(err);
    b->findings[b->finding_count++] = f;
    return MED_OK;
}

/* The name under which the others know a work: the alias itself where it is a document's id. */
static enum med_code name_of(struct med_overlay_builder *b,
    const struct med_overlay_member *members, size_t count, struct med_str alias,
    struct med_str *ret_name, struct med_err *err)
{
    struct med_str name = count && !is_member(members, count, alias) ? members[0].id : alias;
    return med_arena_str(b->arena, name, ret_name) ? MED_OK : out_of_memory(err);
}

/* Both directions of one statement: the target's documents hear of the author, and the author's
 * work shares what the author says of itself. */
static enum med_code spread(struct med_overlay_builder *b, struct med_snapshot *snapshot,
    const struct statement *s, struct med_err *err)
{
    struct med_overlay_member members[MED_OVERLAY_MEMBERS_MAX];
    size_t count;
    enum med_link_kind inverse = med_link_inverse(s->kind);
    enum med_code code = resolve(b, snapshot, s->target, members, &count, err);
    if (code) return code;
    if (is_member(members, count, s->from)) return MED_OK; /* about its own work: says nothing */
    for (size_t i = 0; !code && i < count; i++)
        code = tell(b, &members[i], inverse, flags_of_kind(inverse), s->from, s->note, err);
    struct med_str target;
    if (!code) code = name_of(b, members, count, s->target, &target, err);
    if (!code) code = resolve(b, snapshot, s->from, members, &count, err);
    for (size_t i = 0; !code && i < count; i++) {
        bool self = med_str_eq(members[i].id, s->from);
        if (self && !(flags_of_kind(s->kind) & ~members[i].own_flags)) continue; /* it knows */
        code = tell(
            b, &members[i], self ? -1 : (int)s->kind, flags_of_kind(s->kind), target, s->note, err);
    }
    return code;
}

/* The highest level of a work is the level of each of its documents. */
static enum med_code spread_evidence(struct med_overlay_builder *b, struct med_snapshot *snapshot,
    struct med_str full_text, struct med_err *err)
{
    struct med_overlay_member members[MED_OVERLAY_MEMBERS_MAX];
    enum med_evidence best = MED_EVIDENCE_UNKNOWN;
    size_t count;
    enum med_code code = resolve(b, snapshot, full_text, members, &count, err);
    for (size_t i = 0; !code && i < count; i++)
        best = members[i].evidence > best ? members[i].evidence : best;
    for (size_t i = 0; !code && i < count; i++) {
        if (members[i].evidence == best) continue;
        struct finding f = {.kind = -1, .evidence = best};
        if (!med_grow(&b->findings, &b->finding_cap, b->finding_count + 1, sizeof f) ||
            !med_arena_str(b->arena, members[i].id, &f.id))
            return out_of_memory(err);
        b->findings[b->finding_count++] = f;
    }
    return code;
}

static enum med_code spread_flags(struct med_overlay_builder *b, struct med_snapshot *snapshot,
    const struct med_overlay_member *from, struct med_err *err)
{
    struct med_overlay_member members[MED_OVERLAY_MEMBERS_MAX];
    size_t count;
    enum med_code code = resolve(b, snapshot, from->id, members, &count, err);
    for (size_t i = 0; !code && i < count; i++) {
        uint32_t news = from->own_flags & ~members[i].own_flags;
        if (!news || med_str_eq(members[i].id, from->id)) continue;
        code = tell(b, &members[i], -1, news, (struct med_str){0}, (struct med_str){0}, err);
    }
    return code;
}

static enum med_code apply_list(struct med_overlay_builder *b, struct med_snapshot *snapshot,
    const struct med_retraction_list *list, struct med_err *err)
{
    const struct med_str note = MED_STR("on the operator's list");
    enum med_code code = MED_OK;
    for (size_t i = 0; !code && list && i < list->count; i++) {
        const struct med_retraction *r = &list->items[i];
        enum med_link_kind inverse = med_link_inverse(r->kind);
        struct med_overlay_member members[MED_OVERLAY_MEMBERS_MAX];
        struct med_str paper, notice;
        size_t count;
        code = resolve(b, snapshot, r->notice, members, &count, err);
        if (!code) code = name_of(b, members, count, r->notice, &notice, err);
        if (!code) code = resolve(b, snapshot, r->paper, members, &count, err);
        if (!code) code = name_of(b, members, count, r->paper, &paper, err);
        for (size_t k = 0; !code && k < count; k++)
            code = tell(b, &members[k], (int)r->kind, flags_of_kind(r->kind), notice, note, err);
        if (!code) code = resolve(b, snapshot, notice, members, &count, err);
        for (size_t k = 0; !code && k < count; k++)
            code = tell(b, &members[k], (int)inverse, flags_of_kind(inverse), paper, note, err);
    }
    return code;
}

/* --- families of guidelines --- */

static int compare_guidelines(const void *a, const void *b)
{
    const struct guideline *x = a, *y = b;
    int order = med_str_cmp(x->family, y->family);
    if (order == 0) order = med_str_cmp(x->organization, y->organization);
    return order ? order : med_str_cmp(x->id, y->id);
}

static int compare_known(uint32_t a, uint32_t b)
{
    return a && b ? (a > b) - (a < b) : 0;
}

/* Newer by date, as precisely as both are known; then by what the slugs say. */
static bool is_newer(const struct guideline *a, const struct guideline *b)
{
    uint32_t year_a = a->date.year ? a->date.year : a->year;
    uint32_t year_b = b->date.year ? b->date.year : b->year;
    int order = compare_known(year_a, year_b);
    if (order == 0) order = compare_known(a->date.month, b->date.month);
    if (order == 0 && a->date.month && b->date.month)
        order = compare_known(a->date.day, b->date.day);
    if (order == 0) order = compare_known(a->year, b->year);
    if (order == 0) order = compare_known(a->version, b->version);
    return order > 0;
}

static enum med_code spread_families(
    struct med_overlay_builder *b, struct med_snapshot *snapshot, struct med_err *err)
{
    const struct med_str note = MED_STR("newer version");
    enum med_code code = MED_OK;
    if (b->guideline_count)
        qsort(b->guidelines, b->guideline_count, sizeof *b->guidelines, compare_guidelines);
    for (size_t begin = 0, end; begin < b->guideline_count; begin = end) {
        const struct guideline *first = &b->guidelines[begin], *newest = first;
        for (end = begin + 1; end < b->guideline_count; end++) {
            const struct guideline *g = &b->guidelines[end];
            if (!med_str_eq(g->family, first->family) ||
                !med_str_eq(g->organization, first->organization))
                break;
            if (is_newer(g, newest)) newest = g;
        }
        for (size_t i = begin; !code && i < end; i++) {
            const struct guideline *g = &b->guidelines[i];
            if (!is_newer(newest, g)) continue;
            struct statement s = {
                .from = newest->id, .target = g->id, .kind = MED_LINK_UPDATE_OF, .note = note};
            code = spread(b, snapshot, &s, err);
            struct med_overlay_member m = {.id = newest->id};
            if (!code) code = tell(b, &m, MED_LINK_UPDATE_OF, 0, g->id, note, err);
        }
        if (code) return code;
    }
    return MED_OK;
}

/* --- writing --- */

static int compare_findings(const void *a, const void *b)
{
    const struct finding *x = a, *y = b;
    int order = med_str_cmp(x->id, y->id);
    if (order == 0) order = (x->kind > y->kind) - (x->kind < y->kind);
    if (order == 0) order = med_str_cmp(x->other, y->other);
    return order ? order : med_str_cmp(y->note, x->note); /* a note before none */
}

/* False for a repetition, and for a link without a name where one with a name follows. */
static bool is_new_link(const struct finding *findings, size_t count, size_t i)
{
    const struct finding *f = &findings[i];
    if (f->kind < 0) return false;
    if (f->other.len == 0 && i + 1 < count && findings[i + 1].kind == f->kind) return false;
    return i == 0 || findings[i - 1].kind != f->kind ||
           !med_str_eq(findings[i - 1].other, f->other);
}

static uint32_t to_heap(struct med_buf *heap, struct med_str s)
{
    uint32_t at = (uint32_t)heap->len;
    med_buf_append_str(heap, s);
    return at;
}

struct parts {
    struct med_buf entries, links, heap;
    uint32_t entry_count, link_count;
};

static void write_document(struct parts *p, const struct finding *findings, size_t count)
{
    struct med_overlay_entry entry = {.id = to_heap(&p->heap, findings[0].id),
        .id_len = (uint16_t)findings[0].id.len,
        .first_link = p->link_count};
    for (size_t i = 0; i < count; i++) {
        const struct finding *f = &findings[i];
        entry.flags |= f->flags;
        if (f->evidence > entry.evidence) entry.evidence = (uint8_t)f->evidence;
        if (!is_new_link(findings, count, i)) continue;
        struct med_overlay_link link = {.id = to_heap(&p->heap, f->other),
            .id_len = (uint16_t)f->other.len,
            .kind = (uint16_t)f->kind,
            .note = to_heap(&p->heap, f->note),
            .note_len = (uint32_t)f->note.len};
        med_buf_append(&p->links, &link, sizeof link);
        p->link_count++;
    }
    if (entry.flags & MED_FLAG_RETRACTION_NOTICE) entry.flags &= ~(uint32_t)MED_FLAG_RETRACTED;
    entry.link_count = p->link_count - entry.first_link;
    med_buf_append(&p->entries, &entry, sizeof entry);
    p->entry_count++;
}

static enum med_code write_overlay(
    struct med_overlay_builder *b, struct med_buf *out, struct med_err *err)
{
    struct parts p = {0};
    med_buf_init(&p.entries, OVERLAY_HEAP_BYTES_MAX);
    med_buf_init(&p.links, OVERLAY_HEAP_BYTES_MAX);
    med_buf_init(&p.heap, OVERLAY_HEAP_BYTES_MAX);
    if (b->finding_count)
        qsort(b->findings, b->finding_count, sizeof *b->findings, compare_findings);
    for (size_t begin = 0, end; begin < b->finding_count; begin = end) {
        for (end = begin + 1; end < b->finding_count; end++) {
            if (!med_str_eq(b->findings[end].id, b->findings[begin].id)) break;
        }
        write_document(&p, &b->findings[begin], end - begin);
    }
    struct med_overlay_header head = {
        .entry_count = p.entry_count, .link_count = p.link_count, .heap_len = p.heap.len};
    memcpy(head.magic, MED_OVERLAY_MAGIC, sizeof head.magic);
    med_buf_append(out, &head, sizeof head);
    med_buf_append_str(out, med_buf_str(&p.entries));
    med_buf_append_str(out, med_buf_str(&p.links));
    med_buf_append_str(out, med_buf_str(&p.heap));
    enum med_code code = med_buf_status(&p.entries, err);
    if (!code) code = med_buf_status(&p.links, err);
    if (!code) code = med_buf_status(&p.heap, err);
    if (!code) code = med_buf_status(out, err);
    med_buf_free(&p.entries);
    med_buf_free(&p.links);
    med_buf_free(&p.heap);
    return code;
}

enum med_code med_overlay_builder_finish(struct med_overlay_builder *b,
    struct med_snapshot *snapshot, const struct med_retraction_list *list, struct med_buf *out,
    struct med_err *err)
{
    enum med_code code = MED_OK;
    for (size_t i = 0; !code && i < b->statement_count; i++)
        code = spread(b, snapshot, &b->statements[i], err);
    for (size_t i = 0; !code && i < b->flagged_count; i++)
        code = spread_flags(b, snapshot, &b->flagged[i], err);
    for (size_t i = 0; !code && i < b->full_text_count; i++)
        code = spread_evidence(b, snapshot, b->full_texts[i], err);
    if (!code) code = spread_families(b, snapshot, err);
    if (!code) code = apply_list(b, snapshot, list, err);
    return code ? code : write_overlay(b, out, err);
}

static enum med_code visit(
    void *ctx, const struct med_doc *doc, struct med_arena *arena, struct med_err *err)
{
    (void)arena;
    return med_overlay_builder_add(ctx, doc, err);
}

enum med_code med_overlay_make(struct med_snapshot *snapshot,
    const struct med_retraction_list *list, struct med_buf *out, struct med_err *err)
{
    struct med_overlay_builder *b;
    enum med_code code = med_overlay_builder_new(&b, err);
    if (code) return code;
    code = med_snapshot_each(snapshot, visit, b, err);
    if (!code) code = med_overlay_builder_finish(b, snapshot, list, out, err);
    med_overlay_builder_free(&b);
    return code;
}

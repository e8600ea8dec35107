/* The overlay of a state from its open segments: rows, statements and works know everything that
 * an overlay is made of, so that no document is read. Equal to med_overlay_make on the same state,
 * byte by byte (tests/unit/test_update.c). */
#include "index/internal.h"

#include "common/mem.h"

struct maker {
    const struct med_index *index;
    struct med_overlay_builder *builder;
    struct med_link *links; /* of one document */
    size_t link_cap;
};

static struct med_date date_of(uint32_t packed)
{
    return (struct med_date){.year = (uint16_t)(packed / 10000),
        .month = (uint8_t)(packed / 100 % 100),
        .day = (uint8_t)(packed % 100)};
}

static struct med_overlay_member member_of(const struct med_segment *s, uint32_t doc)
{
    return (struct med_overlay_member){.id = med_segment_doc_id(s, doc),
        .own_flags = s->docs[doc].flags,
        .evidence = (enum med_evidence)s->docs[doc].evidence};
}

/* A med_overlay_work_fn. */
static enum med_code work_of(void *ctx, struct med_str id,
    struct med_overlay_member members[MED_OVERLAY_MEMBERS_MAX], size_t *ret_count,
    struct med_err *err)
{
    const struct med_index *x = ctx;
    const struct med_segment *s = NULL;
    uint32_t doc = 0;
    for (uint32_t i = 0; !s && i < x->segment_count; i++) {
        if (med_segment_find_doc(x->segments[i], 0, id, &doc)) s = x->segments[i];
    }
    if (!s) return med_fail(err, MED_E_NOT_FOUND, MED_STR_FMT " is in no segment", MED_STR_ARG(id));
    *ret_count = 1;
    members[0] = member_of(s, doc);
    if (!med_segment_shared(s, doc)) return MED_OK;
    size_t first, count = index_shared_of(x, med_segment_work(s, doc), &first);
    *ret_count = count;
    for (size_t i = 0; i < count && i < MED_OVERLAY_MEMBERS_MAX; i++) {
        const struct shared_work *w = &x->shared[first + i];
        members[i] = member_of(x->segments[w->segment], w->doc);
    }
    return MED_OK;
}

/* Own flags and evidence matter to the other documents of a work: where there are none, they say
 * nothing. */
static enum med_code add_document(struct maker *m, const struct med_segment *s, uint32_t doc,
    const struct med_statements_entry *entry, struct med_err *err)
{
    const struct med_doc_row *row = &s->docs[doc];
    bool shared = med_segment_shared(s, doc);
    struct med_overlay_facts facts = {.id = med_segment_doc_id(s, doc),
        .own_flags = shared ? row->flags : 0,
        .source = (enum med_source)row->source,
        .date = date_of(row->date)};
    if (facts.source == MED_SOURCE_PMC && !shared) facts.source = MED_SOURCE_OTHER;
    if (entry) {
        if (!med_grow(&m->links, &m->link_cap, entry->link_count + 1, sizeof *m->links))
            return med_fail(err, MED_E_NOMEM, "out of memory for the overlay");
        for (uint32_t i = 0; i < entry->link_count; i++)
            m->links[i] = med_statements_link_at(&s->statements, entry, i);
        facts.links = m->links;
        facts.link_count = entry->link_count;
        facts.organization = med_statements_organization(&s->statements, entry);
    }
    return med_overlay_builder_add_facts(m->builder, &facts, err);
}

static enum med_code add_segment(struct maker *m, const struct med_segment *s, struct med_err *err)
{
    enum med_code code = MED_OK;
    uint32_t next = 0;
    for (uint32_t d = 0; !code && d < s->doc_count; d++) {
        const struct med_statements_entry *entry = NULL;
        if (next < s->statements.entry_count && s->statements.entries[next].doc == d)
            entry = &s->statements.entries[next++];
        if (med_segment_is_live(s, d)) code = add_document(m, s, d, entry, err);
    }
    return code;
}

enum med_code index_overlay(const struct med_index *x, struct med_snapshot *snapshot,
    const struct med_retraction_list *list, struct med_buf *out, struct med_err *err)
{
    struct maker m = {.index = x};
    for (uint32_t i = 0; i < x->segment_count; i++) {
        if (!x->segments[i]->has_statements) return med_overlay_make(snapshot, list, out, err);
    }
    enum med_code code = med_overlay_builder_new(&m.builder, err);
    if (code) return code;
    med_overlay_builder_ask(m.builder, work_of, (void *)(uintptr_t)x);
    for (uint32_t i = 0; !code && i < x->segment_count; i++)
        code = add_segment(&m, x->segments[i], err);
    if (!code) code = med_overlay_builder_finish(m.builder, snapshot, list, out, err);
    med_overlay_builder_free(&m.builder);
    med_free(m.links);
    return code;
}

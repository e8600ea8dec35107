/* The links of a document as an answer shows them: what its own record states, and what the overlay
 * knows from the other side. */
#include "index/internal.h"

static enum med_code out_of_memory(struct med_err *err)
{
    return med_fail(err, MED_E_NOMEM, "the answer needs more memory than one request may use");
}

struct links {
    struct med_link *items;
    size_t count;
};

/* Adds a link unless it is there. One without a name gives way to one of its kind that has one;
 * callers add those with names first. */
static void add(struct links *links, struct med_link link)
{
    for (size_t i = 0; i < links->count; i++) {
        struct med_link *known = &links->items[i];
        if (known->kind != link.kind) continue;
        if (link.target.len == 0 && known->target.len && link.kind != MED_LINK_OTHER) return;
        if (!med_str_eq(known->target, link.target)) continue;
        if (link.target.len == 0 && !med_str_eq(known->note, link.note)) continue;
        if (known->note.len == 0) known->note = link.note;
        return;
    }
    links->items[links->count++] = link;
}

/* The document that the target names, when it is in the store: "doi:..." becomes the id that the
 * other side uses. */
static enum med_code resolve(struct med_snapshot *snapshot, struct med_arena *arena,
    struct med_str *target, struct med_err *err)
{
    struct med_str *ids;
    size_t count;
    enum med_code code = med_snapshot_find_alias(snapshot, *target, arena, &ids, &count, err);
    if (code || count == 0) return code;
    for (size_t i = 0; i < count; i++) {
        if (med_str_eq(ids[i], *target)) return MED_OK;
    }
    *target = ids[0];
    return MED_OK;
}

enum med_code links_of(const struct med_index *index, struct med_snapshot *snapshot,
    const struct med_doc *doc, struct med_arena *arena, struct med_link **ret_links,
    size_t *ret_count, struct med_err *err)
{
    const struct med_overlay_entry *entry =
        index ? med_overlay_find(&index->overlay, doc->id) : NULL;
    size_t foreign = entry ? entry->link_count : 0;
    struct links links = {0};
    links.items = med_arena_calloc(arena, doc->link_count + foreign + 1, sizeof *links.items);
    if (!links.items) return out_of_memory(err);
    for (int named = 1; named >= 0; named--) {
        for (size_t i = 0; i < doc->link_count; i++) {
            struct med_link link = doc->links[i];
            if ((link.target.len > 0) != named) continue;
            enum med_code code = named ? resolve(snapshot, arena, &link.target, err) : MED_OK;
            if (code) return code;
            add(&links, link);
        }
        for (uint32_t i = 0; i < foreign; i++) {
            struct med_link link = med_overlay_link_at(&index->overlay, entry, i);
            if ((link.target.len > 0) == named) add(&links, link);
        }
    }
    *ret_links = links.items;
    *ret_count = links.count;
    return MED_OK;
}

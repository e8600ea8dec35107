/* See works.h. Union-find over the documents that are looked at; the root of a class is its first
 * document by id, as in a build. */
#include "index/works.h"

#include "common/mem.h"

#include <stdlib.h>

struct node {
    struct med_str id;
    uint32_t segment, doc, parent, size;
};

struct classes {
    const struct med_index *next;
    struct med_snapshot *snapshot;
    uint32_t fresh;
    struct med_arena *scratch; /* one document */
    struct node *nodes;
    size_t count, cap;
    uint32_t *slots; /* of nodes by id, + 1; open addressing */
    size_t slot_count;
};

static enum med_code out_of_memory(struct med_err *err)
{
    return med_fail(err, MED_E_NOMEM, "out of memory while grouping documents into works");
}

/* --- nodes --- */

static size_t slot_of(const struct classes *c, struct med_str id)
{
    size_t at = med_hash64(id.ptr, id.len) & (c->slot_count - 1);
    while (c->slots[at] && !med_str_eq(c->nodes[c->slots[at] - 1].id, id))
        at = (at + 1) & (c->slot_count - 1);
    return at;
}

static bool grow_slots(struct classes *c)
{
    if (2 * (c->count + 1) <= c->slot_count) return true;
    size_t slot_count = c->slot_count ? 2 * c->slot_count : 1024;
    uint32_t *slots = med_calloc(slot_count, sizeof *slots);
    if (!slots) return false;
    med_free(c->slots);
    c->slots = slots;
    c->slot_count = slot_count;
    for (size_t i = 0; i < c->count; i++) c->slots[slot_of(c, c->nodes[i].id)] = (uint32_t)i + 1;
    return true;
}

static enum med_code add_node(struct classes *c, struct med_str id, uint32_t segment, uint32_t doc,
    uint32_t *ret_node, struct med_err *err)
{
    if (!grow_slots(c) || !med_grow(&c->nodes, &c->cap, c->count + 1, sizeof *c->nodes))
        return out_of_memory(err);
    size_t at = slot_of(c, id);
    if (!c->slots[at]) {
        c->nodes[c->count] = (struct node){
            .id = id, .segment = segment, .doc = doc, .parent = (uint32_t)c->count, .size = 1};
        c->slots[at] = (uint32_t)++c->count;
    }
    *ret_node = c->slots[at] - 1;
    return MED_OK;
}

/* The id's live row, with the id as the segment has it. */
static enum med_code add_id(
    struct classes *c, struct med_str id, uint32_t *ret_node, struct med_err *err)
{
    for (uint32_t s = c->next->segment_count; s-- > 0;) {
        uint32_t doc;
        const struct med_segment *segment = c->next->segments[s];
        if (med_segment_find_doc(segment, 0, id, &doc))
            return add_node(c, med_segment_doc_id(segment, doc), s, doc, ret_node, err);
    }
    return med_fail(err, MED_E_CORRUPT,
        "the docstore knows " MED_STR_FMT " by another name, but it is in no segment",
        MED_STR_ARG(id));
}

static uint32_t find_root(struct classes *c, uint32_t x)
{
    while (c->nodes[x].parent != x) {
        c->nodes[x].parent = c->nodes[c->nodes[x].parent].parent;
        x = c->nodes[x].parent;
    }
    return x;
}

static void join(struct classes *c, uint32_t a, uint32_t b)
{
    a = find_root(c, a);
    b = find_root(c, b);
    if (a == b) return;
    if (med_str_cmp(c->nodes[b].id, c->nodes[a].id) < 0) {
        uint32_t swap = a;
        a = b;
        b = swap;
    }
    c->nodes[b].parent = a;
    c->nodes[a].size += c->nodes[b].size;
}

/* --- following names --- */

/* An old document that shared nothing is reached from new ones only. */
static bool leads_on(const struct classes *c, const struct node *n)
{
    return n->segment >= c->fresh || med_segment_shared(c->next->segments[n->segment], n->doc);
}

static enum med_code follow(struct classes *c, uint32_t node, struct med_err *err)
{
    struct med_doc *doc;
    struct med_str aliases[4];
    size_t alias_count = 0;
    med_arena_reset(c->scratch);
    enum med_code code = med_snapshot_get(c->snapshot, c->nodes[node].id, c->scratch, &doc, err);
    if (!code) code = med_doc_aliases(doc, c->scratch, aliases, &alias_count, err);
    for (size_t a = 0; !code && a < alias_count; a++) {
        struct med_str *ids;
        size_t id_count = 0;
        code = med_snapshot_find_alias(c->snapshot, aliases[a], c->scratch, &ids, &id_count, err);
        for (size_t i = 0; !code && i < id_count; i++) {
            uint32_t other;
            code = add_id(c, ids[i], &other, err);
            if (!code) join(c, node, other);
        }
    }
    return code;
}

static enum med_code add_fresh(struct classes *c, struct med_err *err)
{
    enum med_code code = MED_OK;
    for (uint32_t s = c->fresh; s < c->next->segment_count; s++) {
        const struct med_segment *segment = c->next->segments[s];
        uint32_t node;
        for (uint32_t d = 0; !code && d < segment->doc_count; d++)
            code = add_node(c, med_segment_doc_id(segment, d), s, d, &node, err);
    }
    return code;
}

/* Those who shared a work with a document that died. */
static enum med_code add_bereft(struct classes *c, uint64_t *const *gone, struct med_err *err)
{
    for (uint32_t s = 0; s < c->fresh; s++) {
        const struct med_segment *segment = c->next->segments[s];
        for (uint32_t d = 0; gone[s] && d < segment->doc_count; d++) {
            if (!(gone[s][d >> 6] >> (d & 63) & 1) || !med_segment_shared(segment, d)) continue;
            size_t first, n = index_shared_of(c->next, med_segment_work(segment, d), &first);
            for (size_t i = first; i < first + n; i++) {
                uint32_t node;
                const struct shared_work *w = &c->next->shared[i];
                const struct med_segment *of = c->next->segments[w->segment];
                if (!med_segment_is_live(of, w->doc)) continue;
                enum med_code code =
                    add_node(c, med_segment_doc_id(of, w->doc), w->segment, w->doc, &node, err);
                if (code) return code;
            }
        }
    }
    return MED_OK;
}

/* --- the result --- */

static int by_doc(const void *a, const void *b)
{
    const struct med_patch_work *x = a, *y = b;
    return x->doc < y->doc ? -1 : x->doc > y->doc;
}

/* The old patches' works of documents that were not looked at stay. */
static bool keep_old(struct classes *c, struct works *works)
{
    for (uint32_t s = 0; s < c->next->segment_count; s++) {
        const struct med_segment *segment = c->next->segments[s];
        for (uint32_t i = 0; i < segment->patch.work_count; i++) {
            struct med_patch_work w = segment->patch.works[i];
            if (!med_segment_is_live(segment, w.doc)) continue;
            if (!grow_slots(c)) return false;
            if (c->slots[slot_of(c, med_segment_doc_id(segment, w.doc))]) continue;
            works->of_segment[s][works->counts[s]++] = w;
        }
    }
    return true;
}

static enum med_code write_works(
    struct classes *c, struct med_arena *arena, struct works *works, struct med_err *err)
{
    uint32_t n = c->next->segment_count;
    uint64_t *room = med_arena_calloc(arena, n + 1, sizeof *room);
    works->of_segment = med_arena_calloc(arena, n + 1, sizeof *works->of_segment);
    works->counts = med_arena_calloc(arena, n + 1, sizeof *works->counts);
    if (!room || !works->of_segment || !works->counts) return out_of_memory(err);
    for (size_t i = 0; i < c->count; i++) room[c->nodes[i].segment]++;
    for (uint32_t s = 0; s < n; s++) {
        room[s] += c->next->segments[s]->patch.work_count;
        works->of_segment[s] = med_arena_calloc(arena, room[s] + 1, sizeof **works->of_segment);
        if (!works->of_segment[s]) return out_of_memory(err);
    }
    if (!keep_old(c, works)) return out_of_memory(err);
    for (uint32_t i = 0; i < c->count; i++) {
        const struct node *node = &c->nodes[i], *root = &c->nodes[find_root(c, i)];
        const struct med_doc_row *row = &c->next->segments[node->segment]->docs[node->doc];
        struct med_patch_work w = {.work = med_hash64(root->id.ptr, root->id.len),
            .doc = node->doc,
            .shared = root->size > 1};
        if (w.work != row->work || w.shared != row->shared)
            works->of_segment[node->segment][works->counts[node->segment]++] = w;
    }
    for (uint32_t s = 0; s < n; s++) {
        if (works->counts[s])
            qsort(works->of_segment[s], works->counts[s], sizeof **works->of_segment, by_doc);
    }
    return MED_OK;
}

enum med_code works_update(const struct med_index *next, struct med_snapshot *snapshot,
    uint64_t *const *gone, uint32_t fresh, struct med_arena *arena, struct works *ret_works,
    struct med_err *err)
{
    struct classes c = {.next = next, .snapshot = snapshot, .fresh = fresh};
    enum med_code code = med_arena_new(MED_DOC_ARENA_BYTES_MAX, &c.scratch, err);
    if (!code) code = add_fresh(&c, err);
    if (!code) code = add_bereft(&c, gone, err);
    for (uint32_t i = 0; !code && i < c.count; i++) { /* grows while it is walked */
        if (leads_on(&c, &c.nodes[i])) code = follow(&c, i, err);
    }
    if (!code) code = write_works(&c, arena, ret_works, err);
    med_arena_free(&c.scratch);
    med_free(c.nodes);
    med_free(c.slots);
    return code;
}

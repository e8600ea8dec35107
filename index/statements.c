/* See statements.h. */
#include "index/statements.h"

#include "common/mem.h"
#include "index/segment.h"

#define STATEMENTS_BYTES_MAX (4 * MED_GIB - 1)

struct med_statements_writer {
    struct med_buf entries, links, heap;
    uint32_t entry_count, link_count;
};

enum med_code med_statements_writer_new(
    struct med_statements_writer **ret_writer, struct med_err *err)
{
    struct med_statements_writer *w = med_calloc(1, sizeof *w);
    if (!w) return med_fail(err, MED_E_NOMEM, "out of memory for the statements of documents");
    med_buf_init(&w->entries, STATEMENTS_BYTES_MAX);
    med_buf_init(&w->links, STATEMENTS_BYTES_MAX);
    med_buf_init(&w->heap, STATEMENTS_BYTES_MAX);
    *ret_writer = w;
    return MED_OK;
}

void med_statements_writer_free(struct med_statements_writer **writer)
{
    struct med_statements_writer *w = *writer;
    if (!w) return;
    med_buf_free(&w->entries);
    med_buf_free(&w->links);
    med_buf_free(&w->heap);
    med_free(w);
    *writer = NULL;
}

static uint32_t to_heap(struct med_buf *heap, struct med_str s)
{
    uint32_t at = (uint32_t)heap->len;
    med_buf_append_str(heap, s);
    return at;
}

static bool counts(const struct med_link *link)
{
    return link->kind != MED_LINK_OTHER && link->target.len > 0;
}

enum med_code med_statements_add(struct med_statements_writer *w, uint32_t doc,
    struct med_str organization, const struct med_link *links, size_t link_count,
    struct med_err *err)
{
    struct med_statements_entry entry = {.doc = doc,
        .organization = to_heap(&w->heap, organization),
        .organization_len = (uint32_t)organization.len,
        .first_link = w->link_count};
    for (size_t i = 0; i < link_count; i++) {
        if (!counts(&links[i])) continue;
        struct med_statements_link link = {.target = to_heap(&w->heap, links[i].target),
            .target_len = (uint32_t)links[i].target.len,
            .note = to_heap(&w->heap, links[i].note),
            .note_len = (uint32_t)links[i].note.len,
            .kind = (uint32_t)links[i].kind};
        med_buf_append(&w->links, &link, sizeof link);
        w->link_count++;
    }
    entry.link_count = w->link_count - entry.first_link;
    if (entry.link_count || organization.len) {
        med_buf_append(&w->entries, &entry, sizeof entry);
        w->entry_count++;
    }
    enum med_code code = med_buf_status(&w->entries, err);
    if (!code) code = med_buf_status(&w->links, err);
    return code ? code : med_buf_status(&w->heap, err);
}

enum med_code med_statements_finish(struct med_statements_writer *w, const struct med_fs *fs,
    const char *dir, struct med_file_ref *ret_file, struct med_err *err)
{
    struct med_statements_header head = {
        .entry_count = w->entry_count, .link_count = w->link_count, .heap_len = w->heap.len};
    memcpy(head.magic, MED_STATEMENTS_MAGIC, sizeof head.magic);
    struct med_str pieces[] = {{.ptr = (const char *)&head, .len = sizeof head},
        med_buf_str(&w->entries), med_buf_str(&w->links), med_buf_str(&w->heap)};
    return med_segment_write_file(fs, dir, MED_STATEMENTS_FILE, pieces, 4, ret_file, err);
}

/* --- reading --- */

static enum med_code corrupt(struct med_err *err, const char *what)
{
    return med_fail(err, MED_E_CORRUPT, "the statements of documents are damaged: %s", what);
}

static bool in_heap(uint64_t at, uint64_t len, uint64_t heap_len)
{
    return at <= heap_len && len <= heap_len - at;
}

static enum med_code validate(
    const struct med_statements *s, uint64_t heap_len, uint32_t doc_count, struct med_err *err)
{
    uint32_t next = 0;
    for (uint32_t i = 0; i < s->entry_count; i++) {
        const struct med_statements_entry *e = &s->entries[i];
        if (e->doc >= doc_count || (i && e->doc <= e[-1].doc))
            return corrupt(err, "documents are out of order");
        if (!in_heap(e->organization, e->organization_len, heap_len))
            return corrupt(err, "an organisation is out of range");
        if (e->first_link != next || e->link_count > s->link_count - next)
            return corrupt(err, "entries and links disagree");
        next += e->link_count;
    }
    if (next != s->link_count) return corrupt(err, "entries and links disagree");
    for (uint32_t i = 0; i < s->link_count; i++) {
        const struct med_statements_link *l = &s->links[i];
        if (l->kind >= MED_LINK_COUNT || !in_heap(l->target, l->target_len, heap_len) ||
            !in_heap(l->note, l->note_len, heap_len))
            return corrupt(err, "a link is out of range");
    }
    return MED_OK;
}

enum med_code med_statements_open(struct med_map map, uint32_t doc_count,
    struct med_statements *ret_statements, struct med_err *err)
{
    struct med_statements_header h;
    if (map.len < sizeof h) return corrupt(err, "no header");
    memcpy(&h, map.ptr, sizeof h);
    if (memcmp(h.magic, MED_STATEMENTS_MAGIC, sizeof h.magic) != 0)
        return corrupt(err, "no header");
    uint64_t entries = (uint64_t)h.entry_count * sizeof(struct med_statements_entry);
    uint64_t links = (uint64_t)h.link_count * sizeof(struct med_statements_link);
    uint64_t left = map.len - sizeof h;
    if (left < entries + links || left - entries - links != h.heap_len)
        return corrupt(err, "the size is wrong");
    const uint8_t *p = map.ptr + sizeof h;
    struct med_statements s = {.entries = (const struct med_statements_entry *)(const void *)p,
        .links = (const struct med_statements_link *)(const void *)(p + entries),
        .heap = (const char *)p + entries + links,
        .entry_count = h.entry_count,
        .link_count = h.link_count};
    enum med_code code = validate(&s, h.heap_len, doc_count, err);
    if (!code) *ret_statements = s;
    return code;
}

static struct med_str text_at(const struct med_statements *s, uint32_t at, uint32_t len)
{
    return (struct med_str){.ptr = len ? s->heap + at : NULL, .len = len};
}

struct med_str med_statements_organization(
    const struct med_statements *s, const struct med_statements_entry *entry)
{
    return text_at(s, entry->organization, entry->organization_len);
}

struct med_link med_statements_link_at(
    const struct med_statements *s, const struct med_statements_entry *entry, uint32_t i)
{
    const struct med_statements_link *l = &s->links[entry->first_link + i];
    return (struct med_link){.kind = (enum med_link_kind)l->kind,
        .target = text_at(s, l->target, l->target_len),
        .note = text_at(s, l->note, l->note_len)};
}

/* The record format: what the store compresses and hashes.
 *
 *   version u8 = 1
 *   field*  : tag varint, payload length varint, payload      tags strictly ascending, empty fields
 * left out
 *
 * A payload is the bytes of a string, a varint, or for lists: count varint, then the items one
 * after the other. Strings inside a list are length varint + bytes. The order and the left-out
 * empties make the encoding canonical: equal documents have equal bytes, so that the hash of the
 * bytes is the identity of the content.
 *
 * New fields get new tags at the end; a reader skips tags it does not know. An item of a list never
 * grows: what is to be added to authors or sections becomes a list of its own with one entry per
 * item. */
#include "index/document/document.h"

#include "common/limits.h"

#include <assert.h>

#define RECORD_VERSION 1

enum tag {
    TAG_ID = 1,
    TAG_SOURCE_ID,
    TAG_SOURCE,
    TAG_TITLE,
    TAG_VERNACULAR_TITLE,
    TAG_SECTIONS,
    TAG_AUTHORS,
    TAG_JOURNAL,
    TAG_DATE,
    TAG_DATE_TEXT,
    TAG_PUBLICATION_TYPES,
    TAG_MESH,
    TAG_KEYWORDS,
    TAG_CHEMICALS,
    TAG_PMID,
    TAG_PMCID,
    TAG_DOI,
    TAG_LANGUAGE,
    TAG_URL,
    TAG_LINKS,
    TAG_ORGANIZATION,
    TAG_GRADE,
    TAG_LICENCE,
    TAG_METADATA_JSON,
};

/* ---- writing: lengths first, so that nothing has to be moved afterwards ---- */

static size_t varint_len(uint64_t v)
{
    size_t len = 1;
    while (v >= 0x80) {
        v >>= 7;
        len++;
    }
    return len;
}

static size_t str_len(struct med_str s)
{
    return varint_len(s.len) + s.len;
}

static void put_str(struct med_buf *out, struct med_str s)
{
    med_buf_put_varint(out, s.len);
    med_buf_append_str(out, s);
}

static void put_field(struct med_buf *out, enum tag tag, size_t payload_len)
{
    med_buf_put_varint(out, (uint64_t)tag);
    med_buf_put_varint(out, payload_len);
}

static void put_str_field(struct med_buf *out, enum tag tag, struct med_str s)
{
    if (s.len == 0) return;
    put_field(out, tag, s.len);
    med_buf_append_str(out, s);
}

static void put_str_list(
    struct med_buf *out, enum tag tag, const struct med_str *list, size_t count)
{
    if (count == 0) return;
    size_t len = varint_len(count);
    for (size_t i = 0; i < count; i++) len += str_len(list[i]);
    put_field(out, tag, len);
    med_buf_put_varint(out, count);
    for (size_t i = 0; i < count; i++) put_str(out, list[i]);
}

static void put_sections(struct med_buf *out, const struct med_doc *doc)
{
    if (doc->section_count == 0) return;
    size_t len = varint_len(doc->section_count);
    for (size_t i = 0; i < doc->section_count; i++) {
        const struct med_section *s = &doc->sections[i];
        len += 2 + str_len(s->path) + str_len(s->heading) + str_len(s->body);
    }
    put_field(out, TAG_SECTIONS, len);
    med_buf_put_varint(out, doc->section_count);
    for (size_t i = 0; i < doc->section_count; i++) {
        const struct med_section *s = &doc->sections[i];
        med_buf_putc(out, (char)s->kind);
        med_buf_putc(out, (char)s->level);
        put_str(out, s->path);
        put_str(out, s->heading);
        put_str(out, s->body);
    }
}

static void put_authors(struct med_buf *out, const struct med_doc *doc)
{
    if (doc->author_count == 0) return;
    size_t len = varint_len(doc->author_count);
    for (size_t i = 0; i < doc->author_count; i++) {
        const struct med_author *a = &doc->authors[i];
        len +=
            1 + str_len(a->family) + str_len(a->given) + str_len(a->initials) + str_len(a->orcid);
    }
    put_field(out, TAG_AUTHORS, len);
    med_buf_put_varint(out, doc->author_count);
    for (size_t i = 0; i < doc->author_count; i++) {
        const struct med_author *a = &doc->authors[i];
        med_buf_putc(out, a->collective ? 1 : 0);
        put_str(out, a->family);
        put_str(out, a->given);
        put_str(out, a->initials);
        put_str(out, a->orcid);
    }
}

static void put_journal(struct med_buf *out, const struct med_doc *doc)
{
    const struct med_str parts[] = {doc->journal.title, doc->journal.iso_abbreviation,
        doc->journal.issn, doc->journal.volume, doc->journal.issue, doc->journal.pages};
    size_t len = 0, filled = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        len += str_len(parts[i]);
        filled += parts[i].len;
    }
    if (filled == 0) return;
    put_field(out, TAG_JOURNAL, len);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) put_str(out, parts[i]);
}

static void put_mesh(struct med_buf *out, const struct med_doc *doc)
{
    if (doc->mesh_count == 0) return;
    size_t len = varint_len(doc->mesh_count);
    for (size_t i = 0; i < doc->mesh_count; i++) {
        const struct med_mesh *m = &doc->mesh[i];
        len += 1 + str_len(m->descriptor) + str_len(m->ui) + str_len(m->qualifiers);
    }
    put_field(out, TAG_MESH, len);
    med_buf_put_varint(out, doc->mesh_count);
    for (size_t i = 0; i < doc->mesh_count; i++) {
        const struct med_mesh *m = &doc->mesh[i];
        med_buf_putc(out, m->major ? 1 : 0);
        put_str(out, m->descriptor);
        put_str(out, m->ui);
        put_str(out, m->qualifiers);
    }
}

static void put_links(struct med_buf *out, const struct med_doc *doc)
{
    if (doc->link_count == 0) return;
    size_t len = varint_len(doc->link_count);
    for (size_t i = 0; i < doc->link_count; i++) {
        len += 1 + str_len(doc->links[i].target) + str_len(doc->links[i].note);
    }
    put_field(out, TAG_LINKS, len);
    med_buf_put_varint(out, doc->link_count);
    for (size_t i = 0; i < doc->link_count; i++) {
        assert((unsigned)doc->links[i].kind < MED_LINK_COUNT);
        med_buf_putc(out, (char)doc->links[i].kind);
        put_str(out, doc->links[i].target);
        put_str(out, doc->links[i].note);
    }
}

void med_doc_encode(const struct med_doc *doc, struct med_buf *out)
{
    assert((unsigned)doc->source < MED_SOURCE_COUNT);
    med_buf_putc(out, RECORD_VERSION);
    put_str_field(out, TAG_ID, doc->id);
    put_str_field(out, TAG_SOURCE_ID, doc->source_id);
    if (doc->source != MED_SOURCE_OTHER) {
        put_field(out, TAG_SOURCE, 1);
        med_buf_putc(out, (char)doc->source);
    }
    put_str_field(out, TAG_TITLE, doc->title);
    put_str_field(out, TAG_VERNACULAR_TITLE, doc->vernacular_title);
    put_sections(out, doc);
    put_authors(out, doc);
    put_journal(out, doc);
    if (doc->date.year != 0) {
        put_field(out, TAG_DATE, 4);
        med_buf_put_u32(
            out, (uint32_t)doc->date.year << 16 | (uint32_t)doc->date.month << 8 | doc->date.day);
    }
    put_str_field(out, TAG_DATE_TEXT, doc->date_text);
    put_str_list(out, TAG_PUBLICATION_TYPES, doc->publication_types, doc->publication_type_count);
    put_mesh(out, doc);
    put_str_list(out, TAG_KEYWORDS, doc->keywords, doc->keyword_count);
    put_str_list(out, TAG_CHEMICALS, doc->chemicals, doc->chemical_count);
    put_str_field(out, TAG_PMID, doc->pmid);
    put_str_field(out, TAG_PMCID, doc->pmcid);
    put_str_field(out, TAG_DOI, doc->doi);
    put_str_field(out, TAG_LANGUAGE, doc->language);
    put_str_field(out, TAG_URL, doc->url);
    put_links(out, doc);
    put_str_field(out, TAG_ORGANIZATION, doc->organization);
    put_str_field(out, TAG_GRADE, doc->grade);
    put_str_field(out, TAG_LICENCE, doc->licence);
    put_str_field(out, TAG_METADATA_JSON, doc->metadata_json);
}

/* ---- reading: every length against what is left, every number against its range ---- */

struct decoder {
    struct med_arena *arena;
    struct med_doc *doc;
    bool no_memory;
};

static struct med_str get_str(struct med_reader *r)
{
    uint64_t len = med_read_varint(r);
    if (len > (uint64_t)(r->end - r->pos)) {
        r->ok = false;
        return (struct med_str){0};
    }
    return med_read_bytes(r, (size_t)len);
}

static uint8_t get_below(struct med_reader *r, unsigned bound)
{
    uint8_t v = med_read_u8(r);
    if (v >= bound) {
        r->ok = false;
        return 0;
    }
    return v;
}

/* The count of a list whose items take at least item_len_min bytes, and its zeroed array. NULL when
 * it cannot be: a count that the payload has no room for is never allocated. */
static void *get_array(struct decoder *d, struct med_reader *r, size_t item_len_min,
    size_t item_size, size_t *ret_count)
{
    uint64_t count = med_read_varint(r);
    if (!r->ok || count == 0 || count > (uint64_t)(r->end - r->pos) / item_len_min) {
        r->ok = false;
        return NULL;
    }
    void *array = med_arena_calloc(d->arena, (size_t)count, item_size);
    if (!array) {
        d->no_memory = true;
        r->ok = false;
        return NULL;
    }
    *ret_count = (size_t)count;
    return array;
}

static void get_str_list(
    struct decoder *d, struct med_reader *r, struct med_str **ret_list, size_t *ret_count)
{
    struct med_str *list = get_array(d, r, 1, sizeof *list, ret_count);
    for (size_t i = 0; list && i < *ret_count; i++) list[i] = get_str(r);
    *ret_list = list;
}

static void get_sections(struct decoder *d, struct med_reader *r)
{
    struct med_section *list = get_array(d, r, 5, sizeof *list, &d->doc->section_count);
    if (list && d->doc->section_count > MED_DOC_SECTIONS_MAX) r->ok = false;
    for (size_t i = 0; list && r->ok && i < d->doc->section_count; i++) {
        list[i].kind = (enum med_section_kind)get_below(r, MED_SECTION_OTHER + 1);
        list[i].level = med_read_u8(r);
        list[i].path = get_str(r);
        list[i].heading = get_str(r);
        list[i].body = get_str(r);
    }
    d->doc->sections = list;
}

static void get_authors(struct decoder *d, struct med_reader *r)
{
    struct med_author *list = get_array(d, r, 5, sizeof *list, &d->doc->author_count);
    for (size_t i = 0; list && r->ok && i < d->doc->author_count; i++) {
        list[i].collective = get_below(r, 2) == 1;
        list[i].family = get_str(r);
        list[i].given = get_str(r);
        list[i].initials = get_str(r);
        list[i].orcid = get_str(r);
    }
    d->doc->authors = list;
}

static void get_journal(struct decoder *d, struct med_reader *r)
{
    d->doc->journal.title = get_str(r);
    d->doc->journal.iso_abbreviation = get_str(r);
    d->doc->journal.issn = get_str(r);
    d->doc->journal.volume = get_str(r);
    d->doc->journal.issue = get_str(r);
    d->doc->journal.pages = get_str(r);
}

static void get_mesh(struct decoder *d, struct med_reader *r)
{
    struct med_mesh *list = get_array(d, r, 4, sizeof *list, &d->doc->mesh_count);
    for (size_t i = 0; list && r->ok && i < d->doc->mesh_count; i++) {
        list[i].major = get_below(r, 2) == 1;
        list[i].descriptor = get_str(r);
        list[i].ui = get_str(r);
        list[i].qualifiers = get_str(r);
    }
    d->doc->mesh = list;
}

static void get_links(struct decoder *d, struct med_reader *r)
{
    struct med_link *list = get_array(d, r, 3, sizeof *list, &d->doc->link_count);
    for (size_t i = 0; list && r->ok && i < d->doc->link_count; i++) {
        list[i].kind = (enum med_link_kind)get_below(r, MED_LINK_COUNT);
        list[i].target = get_str(r);
        list[i].note = get_str(r);
    }
    d->doc->links = list;
}

static struct med_date get_date(struct med_reader *r)
{
    uint32_t v = med_read_u32(r);
    struct med_date date = {
        .year = (uint16_t)(v >> 16), .month = (uint8_t)(v >> 8), .day = (uint8_t)v};
    if (date.year == 0 || date.month > 12 || date.day > 31) r->ok = false;
    return date;
}

static void get_field(struct decoder *d, uint64_t tag, struct med_reader *r)
{
    struct med_doc *doc = d->doc;
    size_t left = (size_t)(r->end - r->pos);
    switch (tag) {
    case TAG_ID: doc->id = med_read_bytes(r, left); break;
    case TAG_SOURCE_ID: doc->source_id = med_read_bytes(r, left); break;
    case TAG_SOURCE: doc->source = (enum med_source)get_below(r, MED_SOURCE_COUNT); break;
    case TAG_TITLE: doc->title = med_read_bytes(r, left); break;
    case TAG_VERNACULAR_TITLE: doc->vernacular_title = med_read_bytes(r, left); break;
    case TAG_SECTIONS: get_sections(d, r); break;
    case TAG_AUTHORS: get_authors(d, r); break;
    case TAG_JOURNAL: get_journal(d, r); break;
    case TAG_DATE: doc->date = get_date(r); break;
    case TAG_DATE_TEXT: doc->date_text = med_read_bytes(r, left); break;
    case TAG_PUBLICATION_TYPES:
        get_str_list(d, r, &doc->publication_types, &doc->publication_type_count);
        break;
    case TAG_MESH: get_mesh(d, r); break;
    case TAG_KEYWORDS: get_str_list(d, r, &doc->keywords, &doc->keyword_count); break;
    case TAG_CHEMICALS: get_str_list(d, r, &doc->chemicals, &doc->chemical_count); break;
    case TAG_PMID: doc->pmid = med_read_bytes(r, left); break;
    case TAG_PMCID: doc->pmcid = med_read_bytes(r, left); break;
    case TAG_DOI: doc->doi = med_read_bytes(r, left); break;
    case TAG_LANGUAGE: doc->language = med_read_bytes(r, left); break;
    case TAG_URL: doc->url = med_read_bytes(r, left); break;
    case TAG_LINKS: get_links(d, r); break;
    case TAG_ORGANIZATION: doc->organization = med_read_bytes(r, left); break;
    case TAG_GRADE: doc->grade = med_read_bytes(r, left); break;
    case TAG_LICENCE: doc->licence = med_read_bytes(r, left); break;
    case TAG_METADATA_JSON: doc->metadata_json = med_read_bytes(r, left); break;
    default: r->pos = r->end; break; /* of a newer version */
    }
    if (r->pos != r->end) r->ok = false; /* a payload with something behind its content */
}

enum med_code med_doc_decode(const void *bytes, size_t len, struct med_arena *arena,
    struct med_doc **ret_doc, struct med_err *err)
{
    struct decoder d = {.arena = arena, .doc = med_arena_calloc(arena, 1, sizeof *d.doc)};
    if (!d.doc) return med_fail(err, MED_E_NOMEM, "out of memory for a document");
    struct med_reader r = med_reader_of(bytes, len);
    uint8_t version = med_read_u8(&r);
    if (!r.ok) return med_fail(err, MED_E_CORRUPT, "the document record is empty");
    if (version != RECORD_VERSION) {
        return med_fail(err, MED_E_CORRUPT, "the document record has version %u, not %u", version,
            RECORD_VERSION);
    }
    uint64_t last_tag = 0;
    while (r.ok && r.pos < r.end) {
        uint64_t tag = med_read_varint(&r);
        uint64_t payload_len = med_read_varint(&r);
        if (!r.ok || tag <= last_tag || payload_len > (uint64_t)(r.end - r.pos)) {
            return med_fail(err, MED_E_CORRUPT, "the document record is malformed after field %llu",
                (unsigned long long)last_tag);
        }
        last_tag = tag;
        struct med_reader payload = med_reader_of(r.pos, (size_t)payload_len);
        r.pos += payload_len;
        get_field(&d, tag, &payload);
        if (d.no_memory) return med_fail(err, MED_E_NOMEM, "out of memory for a document");
        if (!payload.ok) {
            return med_fail(err, MED_E_CORRUPT, "field %llu of the document record is malformed",
                (unsigned long long)tag);
        }
    }
    struct med_err why;
    if (med_doc_id_check(d.doc->id, &why) != MED_OK) {
        return med_fail(err, MED_E_CORRUPT, "the document record has no valid id: %s", why.text);
    }
    *ret_doc = d.doc;
    return MED_OK;
}

struct med_hash128 med_doc_hash(const void *encoded, size_t len)
{
    return med_hash128(encoded, len);
}

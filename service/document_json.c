/* A document or passage as JSON: what GET /v1/documents/{id} sends and `medicus fetch --json`
 * prints. */
#include "service/answer.h"

#include "common/limits.h"

static const char *kind_name(enum med_section_kind kind)
{
    switch (kind) {
    case MED_SECTION_ABSTRACT: return "abstract";
    case MED_SECTION_BODY: return "body";
    case MED_SECTION_CAPTION: return "caption";
    case MED_SECTION_OTHER: return "other";
    }
    return "other";
}

static void strings_json(
    struct med_jw *w, const char *key, const struct med_str *items, size_t count)
{
    med_jw_key(w, key);
    med_jw_array(w);
    for (size_t i = 0; i < count; i++) med_jw_str(w, items[i]);
    med_jw_array_end(w);
}

static void optional(struct med_jw *w, const char *key, struct med_str s)
{
    if (s.len) med_jw_kstr(w, key, s);
}

/* What a reader needs to choose: the size of a section, and the ids of the passages that begin or
 * lie in it. */
static void section_passages(
    const struct med_fetched *f, struct med_span heading, struct med_span body, struct med_jw *w)
{
    struct med_span all = {.start = heading.end > heading.start ? heading.start : body.start,
        .end = body.end > body.start ? body.end : heading.end};
    struct med_buf id;
    med_buf_init(&id, 2 * MED_KIB);
    med_jw_kint(w, "tokens", (all.end - all.start) / MED_BYTES_PER_TOKEN + 1);
    med_jw_key(w, "passages");
    med_jw_array(w);
    for (size_t i = 0; i < f->chunk_count; i++) {
        struct med_span chunk = f->chunks[i].span;
        if (chunk.end <= all.start || chunk.start >= all.end) continue;
        med_buf_reset(&id);
        med_buf_printf(&id, MED_STR_FMT "~%u", MED_STR_ARG(f->doc->id), f->chunks[i].number);
        med_jw_str(w, med_buf_str(&id));
    }
    med_jw_array_end(w);
    med_buf_free(&id);
}

static void outline_json(const struct med_fetched *f, bool detailed, struct med_jw *w)
{
    med_jw_key(w, "sections");
    med_jw_array(w);
    for (size_t i = 0; i < f->doc->section_count; i++) {
        const struct med_section *s = &f->doc->sections[i];
        struct med_span heading = f->text->headings[i], body = f->text->bodies[i];
        bool has_heading = heading.end > heading.start, has_body = body.end > body.start;
        if (!has_heading && !has_body) continue;
        med_jw_object(w);
        med_jw_kstr(w, "path", s->path);
        med_jw_kcstr(w, "kind", kind_name(s->kind));
        med_jw_kint(w, "start_byte", has_heading ? heading.start : body.start);
        med_jw_kint(w, "end_byte", has_body ? body.end : heading.end);
        if (detailed) section_passages(f, heading, body, w);
        med_jw_object_end(w);
    }
    med_jw_array_end(w);
}

static void passages_json(const struct med_fetched *f, struct med_jw *w)
{
    struct med_buf id;
    med_buf_init(&id, 2 * MED_KIB);
    med_jw_key(w, "passages");
    med_jw_array(w);
    for (size_t i = 0; i < f->chunk_count; i++) {
        med_buf_reset(&id);
        med_buf_printf(&id, MED_STR_FMT "~%u", MED_STR_ARG(f->doc->id), f->chunks[i].number);
        med_jw_object(w);
        med_jw_kstr(w, "id", med_buf_str(&id));
        med_jw_kint(w, "start_byte", f->chunks[i].span.start);
        med_jw_kint(w, "end_byte", f->chunks[i].span.end);
        med_jw_kint(w, "words", f->chunks[i].word_count);
        med_jw_object_end(w);
    }
    med_jw_array_end(w);
    med_buf_free(&id);
}

static void mesh_json(const struct med_doc *doc, struct med_jw *w)
{
    med_jw_key(w, "mesh");
    med_jw_array(w);
    for (size_t i = 0; i < doc->mesh_count; i++) {
        med_jw_object(w);
        med_jw_kstr(w, "descriptor", doc->mesh[i].descriptor);
        optional(w, "ui", doc->mesh[i].ui);
        optional(w, "qualifiers", doc->mesh[i].qualifiers);
        med_jw_kbool(w, "major", doc->mesh[i].major);
        med_jw_object_end(w);
    }
    med_jw_array_end(w);
}

static void metadata_json(const struct med_fetched *f, struct med_jw *w)
{
    const struct med_doc *doc = f->doc;
    strings_json(w, "publication_types", doc->publication_types, doc->publication_type_count);
    mesh_json(doc, w);
    strings_json(w, "keywords", doc->keywords, doc->keyword_count);
    strings_json(w, "chemicals", doc->chemicals, doc->chemical_count);
    links_json(f->links, f->link_count, w);
    optional(w, "volume", doc->journal.volume);
    optional(w, "issue", doc->journal.issue);
    optional(w, "pages", doc->journal.pages);
    optional(w, "language", doc->language);
    optional(w, "organization", doc->organization);
    optional(w, "grade", doc->grade);
    optional(w, "licence", doc->licence);
    if (doc->metadata_json.len) {
        med_jw_key(w, "metadata");
        med_jw_raw(w, doc->metadata_json);
    }
}

/* Where a reader of a cut text goes on: the passage that holds the cut. */
void document_rest_json(const struct med_fetched *f, const struct selection *s, struct med_jw *w)
{
    med_jw_kbool(w, "truncated", s->truncated);
    if (!s->truncated) return;
    med_jw_kint(w, "next_start_byte", s->cut);
    for (size_t i = 0; i < f->chunk_count; i++) {
        if (f->chunks[i].span.end <= s->cut) continue;
        struct med_buf id;
        med_buf_init(&id, 2 * MED_KIB);
        med_buf_printf(&id, MED_STR_FMT "~%u", MED_STR_ARG(f->doc->id), f->chunks[i].number);
        med_jw_kstr(w, "continue_at", med_buf_str(&id));
        med_buf_free(&id);
        return;
    }
}

void document_json(const struct view *view, const struct med_fetched *f, const struct selection *s,
    struct med_jw *w)
{
    const struct med_doc *doc = f->doc;
    struct med_buf text;
    med_buf_init(&text, MED_MIB);
    med_jw_object(w);
    med_buf_append_str(&text, doc->id);
    if (f->is_chunk) med_buf_printf(&text, "~%u", f->chunk);
    med_jw_kstr(w, "id", med_buf_str(&text));
    med_jw_kstr(w, "document_id", doc->id);
    med_jw_kstr(w, "source_id", doc->source_id);
    med_jw_kstr(w, "title", doc->title);
    optional(w, "vernacular_title", doc->vernacular_title);
    med_buf_reset(&text);
    document_url(view, doc->url, doc->id, &text);
    med_jw_kstr(w, "url", med_buf_str(&text));
    if (view->outline) {
        med_jw_kint(w, "tokens", (long long)(f->text->bytes.len / MED_BYTES_PER_TOKEN + 1));
    } else {
        med_jw_kstr(w, "text", s->text);
        med_jw_kint(w, "start_byte", s->count ? s->spans[0].start : 0);
        med_jw_kint(w, "end_byte", s->count ? s->spans[s->count - 1].end : 0);
        document_rest_json(f, s, w);
    }
    if (f->is_chunk) med_jw_kstr(w, "section", f->chunks[f->chunk].path);
    med_jw_kint(w, "version", doc->store_version);
    med_jw_kbool(w, "current", f->current);
    if (!f->current)
        med_jw_kcstr(w, "notice",
            "this passage is of the version that was indexed; the document has a newer one, which "
            "the next update of the index takes in");
    if (view->manifest) meta_json(view, view->manifest, w);
    med_jw_key(w, "year");
    if (doc->date.year)
        med_jw_uint(w, doc->date.year);
    else
        med_jw_null(w);
    med_jw_kcstr(w, "source", med_source_name(doc->source));
    med_jw_kcstr(w, "evidence", med_evidence_name(f->evidence));
    flags_json(f->flags, w);
    citation_json(doc, w);
    strings_json(w, "also", f->also, f->also_count);
    if (view->brief) {
        links_json(f->links, f->link_count, w);
        med_jw_kbool(w, "brief", true);
    } else if (!view->outline) {
        metadata_json(f, w);
    }
    if (view->outline || (!f->is_chunk && !view->brief)) outline_json(f, view->outline, w);
    if (!f->is_chunk && !view->brief && !view->outline) passages_json(f, w);
    med_jw_object_end(w);
    med_buf_free(&text);
}

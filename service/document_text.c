/* A document or passage for people: plain text and Markdown. */
#include "service/answer.h"

#include "common/limits.h"

/* Lines of what a reader needs to judge and cite the text. */
static void facts(const struct view *view, const struct med_fetched *f, const char *end_of_line,
    struct med_buf *out)
{
    const struct med_doc *doc = f->doc;
    if (doc->author_count) {
        authors_text(doc, 6, out);
        med_buf_puts(out, end_of_line);
    }
    if (doc->journal.title.len || doc->date.year) {
        med_buf_append_str(out, doc->journal.title);
        if (doc->journal.title.len && doc->date.year) med_buf_puts(out, ", ");
        date_text(doc->date, out);
        med_buf_puts(out, end_of_line);
    }
    med_buf_append_str(out, doc->id);
    if (f->is_chunk) med_buf_printf(out, "~%u", f->chunk);
    med_buf_printf(out, " | %s | %s", med_source_name(doc->source), med_evidence_name(f->evidence));
    flags_text(f->flags, out);
    med_buf_puts(out, end_of_line);
    links_text(f->links, f->link_count, end_of_line, out);
    document_url(view, doc->url, doc->id, out);
    med_buf_putc(out, '\n');
    if (!f->current) med_buf_puts(out, "(an older version of this document)\n");
    if (f->is_chunk && f->chunks[f->chunk].path.len) {
        med_buf_puts(out, "Section: ");
        med_buf_append_str(out, f->chunks[f->chunk].path);
        med_buf_putc(out, '\n');
    }
}

static void cut_note(const struct selection *s, struct med_buf *out)
{
    if (s->truncated)
        med_buf_printf(out, "\n[cut here by max_tokens; start_byte %u goes on]\n", s->cut);
}

/* Headings, indented or as a list, with sizes and passages. */
static void outline(const struct med_fetched *f, bool markdown, struct med_buf *out)
{
    for (size_t i = 0; i < f->doc->section_count; i++) {
        const struct med_section *s = &f->doc->sections[i];
        struct med_span heading = f->text->headings[i], body = f->text->bodies[i];
        struct med_span all = {.start = heading.end > heading.start ? heading.start : body.start,
            .end = body.end > body.start ? body.end : heading.end};
        if (all.end <= all.start) continue;
        for (unsigned n = 1; n < s->level; n++) med_buf_puts(out, "  ");
        if (markdown) med_buf_puts(out, "- ");
        med_buf_append_str(out, s->heading.len ? s->heading : MED_STR("(text)"));
        med_buf_printf(out, " (%u tokens", (all.end - all.start) / MED_BYTES_PER_TOKEN + 1);
        for (size_t k = 0, shown = 0; k < f->chunk_count; k++) {
            struct med_span chunk = f->chunks[k].span;
            if (chunk.end <= all.start || chunk.start >= all.end) continue;
            med_buf_printf(out, "%s~%u", shown++ ? ", " : "; passages ", f->chunks[k].number);
        }
        med_buf_puts(out, ")\n");
    }
}

void document_text(const struct view *view, const struct med_fetched *f, const struct selection *s,
    struct med_buf *out)
{
    med_buf_append_str(out, f->doc->title);
    med_buf_putc(out, '\n');
    facts(view, f, "\n", out);
    med_buf_putc(out, '\n');
    if (view->outline) {
        outline(f, false, out);
        return;
    }
    struct med_str text = s->text;
    /* The canonical text opens with the title, which stands above already. */
    if (s->count && s->spans[0].start == 0 && f->text->title.end <= text.len && !f->is_chunk) {
        text = med_str_sub(text, f->text->title.end, text.len);
        while (text.len && text.ptr[0] == '\n') text = med_str_sub(text, 1, text.len);
    }
    med_buf_append_str(out, text);
    med_buf_putc(out, '\n');
    cut_note(s, out);
}

/* The part of span that lies inside the selection's piece; false when nothing does. */
static bool inside(struct med_span span, struct med_span piece, struct med_span *ret_part)
{
    uint32_t start = span.start > piece.start ? span.start : piece.start;
    uint32_t end = span.end < piece.end ? span.end : piece.end;
    if (start >= end) return false;
    *ret_part = (struct med_span){.start = start, .end = end};
    return true;
}

void document_markdown(const struct view *view, const struct med_fetched *f,
    const struct selection *s, struct med_buf *out)
{
    med_buf_puts(out, "# ");
    med_buf_append_str(out, f->doc->title);
    med_buf_puts(out, "\n\n");
    facts(view, f, "  \n", out);
    if (view->outline) {
        med_buf_putc(out, '\n');
        outline(f, true, out);
        return;
    }
    for (size_t i = 0; i < s->count; i++) {
        for (size_t k = 0; k < f->text->section_count; k++) {
            struct med_span part;
            if (inside(f->text->headings[k], s->spans[i], &part)) {
                unsigned level = f->doc->sections[k].level ? f->doc->sections[k].level : 1;
                med_buf_putc(out, '\n');
                for (unsigned n = 0; n < level + 1 && n < 6; n++) med_buf_putc(out, '#');
                med_buf_putc(out, ' ');
                med_buf_append_str(out, med_str_sub(f->text->bytes, part.start, part.end));
                med_buf_putc(out, '\n');
            }
            if (inside(f->text->bodies[k], s->spans[i], &part)) {
                med_buf_putc(out, '\n');
                struct med_str body = med_str_sub(f->text->bytes, part.start, part.end);
                /* A paragraph is one line of the canonical text. */
                for (size_t b = 0; b < body.len; b++) {
                    if (body.ptr[b] == '\n') med_buf_putc(out, '\n');
                    med_buf_putc(out, body.ptr[b]);
                }
                med_buf_putc(out, '\n');
            }
        }
    }
    cut_note(s, out);
}

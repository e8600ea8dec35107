/* What the forms of citations share, and which function writes which. */
#include "service/citation.h"

#include "common/limits.h"

#include <stdio.h>

const char *const citation_months[13] = {
    "", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

void citation_line(struct med_str value, struct med_buf *out)
{
    value = med_str_trim(value);
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        med_buf_putc(out, c < ' ' || c == 0x7F ? ' ' : (char)c);
    }
}

void citation_abstract(const struct med_doc *doc, struct med_buf *out)
{
    for (size_t i = 0; i < doc->section_count; i++) {
        const struct med_section *s = &doc->sections[i];
        if (s->kind != MED_SECTION_ABSTRACT) continue;
        if (out->len) med_buf_putc(out, ' ');
        citation_line(s->heading, out);
        if (s->heading.len) med_buf_puts(out, ": ");
        citation_line(s->body, out);
    }
}

static bool all_digits(struct med_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') return false;
    }
    return s.len > 0;
}

void citation_pages(struct med_str pages, struct page_range *r)
{
    size_t dash = 0;
    pages = med_str_trim(pages);
    *r = (struct page_range){.start = pages};
    while (dash < pages.len && pages.ptr[dash] != '-') dash++;
    struct med_str start = med_str_trim(med_str_sub(pages, 0, dash));
    if (dash == pages.len || !start.len) return;
    struct med_str end = med_str_trim(med_str_sub(pages, dash + 1, pages.len));
    for (size_t i = 0; i < end.len; i++) {
        if (end.ptr[i] == ';' || end.ptr[i] == ',' || end.ptr[i] == '-')
            return; /* several ranges */
    }
    r->start = start;
    r->end = end;
    if (!all_digits(start) || !all_digits(end) || end.len >= start.len ||
        start.len >= sizeof r->end_text)
        return;
    size_t kept = start.len - end.len;
    memcpy(r->end_text, start.ptr, kept);
    memcpy(r->end_text + kept, end.ptr, end.len);
    r->end = (struct med_str){.ptr = r->end_text, .len = start.len};
}

static void status_part(
    const struct citation *c, const char *what, enum med_link_kind kind, struct med_buf *out)
{
    if (out->len) med_buf_putc(out, ' ');
    med_buf_puts(out, what);
    for (size_t i = 0; i < c->link_count; i++) {
        if (c->links[i].kind != kind) continue;
        struct med_str where = c->links[i].target.len ? c->links[i].target : c->links[i].note;
        if (where.len == 0) continue;
        med_buf_puts(out, "; see ");
        citation_line(where, out);
        break;
    }
    med_buf_putc(out, '.');
}

void citation_status(const struct citation *c, struct med_buf *out)
{
    if (c->flags & MED_FLAG_RETRACTED) status_part(c, "RETRACTED", MED_LINK_RETRACTION_IN, out);
    if (c->flags & MED_FLAG_CONCERN)
        status_part(c, "Expression of concern", MED_LINK_CONCERN_IN, out);
    if (c->flags & MED_FLAG_RETRACTION_NOTICE)
        status_part(c, "Retraction notice", MED_LINK_RETRACTION_OF, out);
}

void citation_begin(enum media media, struct med_buf *out)
{
    if (media == MEDIA_CSL) med_buf_putc(out, '[');
}

void citation_end(enum media media, struct med_buf *out)
{
    if (media == MEDIA_CSL) med_buf_puts(out, "\n]\n");
}

void citation_write(enum media media, const struct view *view, const struct citation *c,
    size_t index, bool many, struct med_buf *out)
{
    if (media == MEDIA_BIBTEX) {
        if (index) med_buf_putc(out, '\n');
        citation_bibtex(view, c, out);
    } else if (media == MEDIA_CSL) {
        med_buf_puts(out, index ? ",\n" : "\n");
        citation_csl(view, c, out);
    } else if (media == MEDIA_VANCOUVER) {
        if (many) med_buf_printf(out, "%zu. ", index + 1);
        citation_vancouver(view, c, out);
    } else if (media == MEDIA_NBIB) {
        if (c->doc->pmid.len) citation_nbib(c, out);
    } else {
        citation_ris(view, c, out);
    }
}

/* The forms that are tagged lines: RIS, and NBIB as PubMed writes it. */
#include "service/citation.h"

#include "common/limits.h"
#include "common/unicode.h"

#define NBIB_COLUMNS 88

/* --- RIS: lines end with CR LF, also for old readers --- */

static void tag(struct med_buf *out, const char *name, struct med_str value)
{
    value = med_str_trim(value);
    if (value.len == 0) return;
    med_buf_printf(out, "%s  - ", name);
    citation_line(value, out);
    med_buf_puts(out, "\r\n");
}

static void ris_authors(const struct med_doc *doc, struct med_buf *text, struct med_buf *out)
{
    for (size_t i = 0; i < doc->author_count; i++) {
        const struct med_author *a = &doc->authors[i];
        struct med_str first = a->given.len ? a->given : a->initials;
        med_buf_reset(text);
        med_buf_append_str(text, a->family);
        if (first.len) med_buf_puts(text, ", ");
        med_buf_append_str(text, first);
        tag(out, "AU", med_buf_str(text));
    }
}

static void ris_date(struct med_date date, struct med_buf *text, struct med_buf *out)
{
    if (!date.year) return;
    med_buf_printf(out, "PY  - %04u\r\n", date.year);
    med_buf_reset(text);
    med_buf_printf(text, "%04u/", date.year);
    if (date.month) med_buf_printf(text, "%02u", date.month);
    med_buf_putc(text, '/');
    if (date.day) med_buf_printf(text, "%02u", date.day);
    med_buf_putc(text, '/');
    tag(out, "DA", med_buf_str(text));
}

void citation_ris(const struct view *view, const struct citation *c, struct med_buf *out)
{
    const struct med_doc *doc = c->doc;
    struct page_range pages;
    struct med_buf text;
    med_buf_init(&text, MED_RESPONSE_BYTES_MAX);
    bool article = doc->source == MED_SOURCE_PUBMED || doc->source == MED_SOURCE_PMC;
    tag(out, "TY",
        article                               ? MED_STR("JOUR")
        : doc->source == MED_SOURCE_GUIDELINE ? MED_STR("RPRT")
                                              : MED_STR("GEN"));
    tag(out, "ID", doc->id);
    tag(out, "TI", doc->title);
    ris_authors(doc, &text, out);
    ris_date(doc->date, &text, out);
    tag(out, "T2", doc->journal.title);
    tag(out, "J2", doc->journal.iso_abbreviation);
    tag(out, "VL", doc->journal.volume);
    tag(out, "IS", doc->journal.issue);
    citation_pages(doc->journal.pages, &pages);
    tag(out, "SP", pages.start);
    tag(out, "EP", pages.end);
    tag(out, "SN", doc->journal.issn);
    tag(out, "PB", doc->organization);
    tag(out, "DO", doc->doi);
    tag(out, "AN", doc->pmid);
    tag(out, "C2", doc->pmcid);
    tag(out, "LA", doc->language);
    for (size_t i = 0; i < doc->publication_type_count; i++)
        tag(out, "M3", doc->publication_types[i]);
    for (size_t i = 0; i < doc->mesh_count; i++) tag(out, "KW", doc->mesh[i].descriptor);
    for (size_t i = 0; i < doc->keyword_count; i++) tag(out, "KW", doc->keywords[i]);
    med_buf_reset(&text);
    citation_abstract(doc, &text);
    tag(out, "AB", med_buf_str(&text));
    med_buf_reset(&text);
    citation_status(c, &text);
    tag(out, "N1", med_buf_str(&text));
    med_buf_reset(&text);
    document_url(view, doc->url, doc->id, &text);
    tag(out, "UR", med_buf_str(&text));
    med_buf_puts(out, "ER  - \r\n\r\n");
    if (med_buf_status(&text, NULL)) out->code = text.code;
    med_buf_free(&text);
}

/* --- NBIB: tags of four columns, long values go on in column seven --- */

static void field(struct med_buf *out, const char *name, struct med_str value)
{
    value = med_str_trim(value);
    if (value.len == 0) return;
    med_buf_printf(out, "%-4s- ", name);
    size_t column = 6;
    for (size_t i = 0; i < value.len;) {
        size_t end = i;
        while (end < value.len && (unsigned char)value.ptr[end] > ' ') end++;
        if (i && column + 1 + (end - i) > NBIB_COLUMNS) {
            med_buf_puts(out, "\n      ");
            column = 6;
        } else if (i) {
            med_buf_putc(out, ' ');
            column++;
        }
        citation_line(med_str_sub(value, i, end), out);
        column += end - i;
        while (end < value.len && (unsigned char)value.ptr[end] <= ' ') end++;
        i = end;
    }
    med_buf_putc(out, '\n');
}

static void nbib_authors(const struct med_doc *doc, struct med_buf *text, struct med_buf *out)
{
    for (size_t i = 0; i < doc->author_count; i++) {
        const struct med_author *a = &doc->authors[i];
        if (a->collective) {
            field(out, "CN", a->family);
            continue;
        }
        struct med_str first = a->given.len ? a->given : a->initials;
        med_buf_reset(text);
        med_buf_append_str(text, a->family);
        if (first.len) med_buf_puts(text, ", ");
        med_buf_append_str(text, first);
        field(out, "FAU", med_buf_str(text));
        med_buf_reset(text);
        author_name(a, text);
        field(out, "AU", med_buf_str(text));
    }
}

/* One line per qualifier, behind a slash; a star stands before what is a major topic. */
static void nbib_mesh(const struct med_mesh *m, struct med_buf *text, struct med_buf *out)
{
    bool starred = false;
    for (size_t i = 0; i < m->qualifiers.len; i++) starred |= m->qualifiers.ptr[i] == '*';
    for (size_t at = 0; at == 0 || at < m->qualifiers.len;) {
        struct med_str q = list_next(m->qualifiers, ';', &at);
        bool major = q.len && q.ptr[q.len - 1] == '*';
        med_buf_reset(text);
        if (m->major && !starred) med_buf_putc(text, '*');
        med_buf_append_str(text, m->descriptor);
        if (q.len) med_buf_puts(text, major ? "/*" : "/");
        med_buf_append_str(text, med_str_sub(q, 0, q.len - major));
        field(out, "MH", med_buf_str(text));
    }
}

static void nbib_links(const struct citation *c, struct med_buf *text, struct med_buf *out)
{
    static const char *const tags[MED_LINK_COUNT] = {[MED_LINK_RETRACTION_IN] = "RIN",
        [MED_LINK_RETRACTION_OF] = "ROF",
        [MED_LINK_ERRATUM_IN] = "EIN",
        [MED_LINK_ERRATUM_FOR] = "EFR",
        [MED_LINK_CONCERN_IN] = "ECI",
        [MED_LINK_CONCERN_FOR] = "ECF",
        [MED_LINK_COMMENT_IN] = "CIN",
        [MED_LINK_COMMENT_ON] = "CON",
        [MED_LINK_UPDATE_IN] = "UIN",
        [MED_LINK_UPDATE_OF] = "UOF",
        [MED_LINK_REPUBLISHED_IN] = "RPI",
        [MED_LINK_REPUBLISHED_FROM] = "RPF"};
    for (size_t i = 0; i < c->link_count; i++) {
        const struct med_link *link = &c->links[i];
        if ((unsigned)link->kind >= MED_LINK_COUNT || !tags[link->kind]) continue;
        struct med_str pmid = MED_STR("pmid:");
        med_buf_reset(text);
        med_buf_append_str(text, link->note);
        if (med_str_starts(link->target, pmid))
            med_buf_printf(text, "%sPMID: " MED_STR_FMT, text->len ? " " : "",
                MED_STR_ARG(med_str_sub(link->target, pmid.len, link->target.len)));
        field(out, tags[link->kind], med_buf_str(text));
    }
}

static void nbib_date(struct med_date date, struct med_buf *text, struct med_buf *out)
{
    med_buf_reset(text);
    if (date.year) med_buf_printf(text, "%u", date.year);
    if (date.year && date.month && date.month <= 12) {
        med_buf_printf(text, " %s", citation_months[date.month]);
        if (date.day) med_buf_printf(text, " %u", date.day);
    }
    field(out, "DP", med_buf_str(text));
}

static void labelled(struct med_buf *out, struct med_buf *text, const char *tag_name,
    struct med_str value, const char *label)
{
    if (!value.len) return;
    med_buf_reset(text);
    med_buf_append_str(text, value);
    med_buf_printf(text, " [%s]", label);
    field(out, tag_name, med_buf_str(text));
}

void citation_nbib(const struct citation *c, struct med_buf *out)
{
    const struct med_doc *doc = c->doc;
    struct med_buf text;
    med_buf_init(&text, MED_RESPONSE_BYTES_MAX);
    field(out, "PMID", doc->pmid);
    if (doc->journal.issn.len) { /* readers want its kind; this one stands for any */
        med_buf_append_str(&text, doc->journal.issn);
        med_buf_puts(&text, " (Linking)");
        field(out, "IS", med_buf_str(&text));
    }
    field(out, "VI", doc->journal.volume);
    field(out, "IP", doc->journal.issue);
    nbib_date(doc->date, &text, out);
    field(out, "TI", doc->title);
    field(out, "PG", doc->journal.pages);
    labelled(out, &text, "LID", doc->doi, "doi");
    med_buf_reset(&text);
    citation_abstract(doc, &text);
    field(out, "AB", med_buf_str(&text));
    nbib_authors(doc, &text, out);
    if (doc->organization.len) field(out, "CN", doc->organization);
    field(out, "LA", doc->language);
    for (size_t i = 0; i < doc->publication_type_count; i++)
        field(out, "PT", doc->publication_types[i]);
    field(out, "TT", doc->vernacular_title);
    field(out, "TA", doc->journal.iso_abbreviation);
    field(out, "JT", doc->journal.title);
    for (size_t i = 0; i < doc->mesh_count; i++) nbib_mesh(&doc->mesh[i], &text, out);
    for (size_t i = 0; i < doc->keyword_count; i++) field(out, "OT", doc->keywords[i]);
    nbib_links(c, &text, out);
    field(out, "PMC", doc->pmcid);
    labelled(out, &text, "AID", doc->doi, "doi");
    med_buf_reset(&text);
    citation_status(c, &text);
    field(out, "GN", med_buf_str(&text));
    med_buf_putc(out, '\n');
    if (med_buf_status(&text, NULL)) out->code = text.code;
    med_buf_free(&text);
}

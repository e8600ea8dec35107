/* BibTeX, CSL-JSON, and Vancouver style. */
#include "service/citation.h"

#include "common/limits.h"

#define AUTHORS_SHOWN 6 /* of Vancouver, then et al. */

/* --- BibTeX --- */

/* BibTeX counts braces even where they are escaped. */
static bool balanced(struct med_str value)
{
    size_t open = 0;
    for (size_t i = 0; i < value.len; i++) {
        open += value.ptr[i] == '{';
        if (value.ptr[i] == '}' && open-- == 0) return false;
    }
    return open == 0;
}

/* With TeX's special characters escaped; braces that come in no pairs have names. */
static void tex(struct med_str value, struct med_buf *out)
{
    value = med_str_trim(value);
    bool pairs = balanced(value);
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        if (c && strchr("&%$#_", c))
            med_buf_printf(out, "\\%c", c);
        else if (c == '{' || c == '}')
            med_buf_puts(out, pairs      ? (c == '{' ? "\\{" : "\\}")
                              : c == '{' ? "\\textbraceleft{}"
                                         : "\\textbraceright{}");
        else if (c == '~')
            med_buf_puts(out, "\\textasciitilde{}");
        else if (c == '^')
            med_buf_puts(out, "\\textasciicircum{}");
        else if (c == '\\')
            med_buf_puts(out, "\\textbackslash{}");
        else
            med_buf_putc(out, (unsigned char)c < ' ' || c == 0x7F ? ' ' : c);
    }
}

static void bib_open(struct med_buf *out, const char *name, const char *open)
{
    med_buf_printf(out, ",\n  %s = %s", name, open);
}

static void bib(struct med_buf *out, const char *name, struct med_str value)
{
    if (med_str_trim(value).len == 0) return;
    bib_open(out, name, "{");
    tex(value, out);
    med_buf_putc(out, '}');
}

/* Addresses stand as they are, but for what would unbalance the braces. */
static void bib_verbatim(struct med_buf *out, const char *name, struct med_str value)
{
    if (value.len == 0) return;
    bib_open(out, name, "{");
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        if (c == '{' || c == '}' || c == '\\')
            med_buf_printf(out, "%%%02X", (unsigned)c);
        else
            citation_line(med_str_sub(value, i, i + 1), out);
    }
    med_buf_putc(out, '}');
}

static void bib_authors(const struct med_doc *doc, struct med_buf *out)
{
    if (doc->author_count == 0) return;
    bib_open(out, "author", "{");
    for (size_t i = 0; i < doc->author_count; i++) {
        const struct med_author *a = &doc->authors[i];
        struct med_str first = a->given.len ? a->given : a->initials;
        if (i) med_buf_puts(out, " and ");
        if (!first.len) med_buf_putc(out, '{');
        tex(a->family, out);
        if (!first.len) med_buf_putc(out, '}');
        if (first.len) med_buf_puts(out, ", ");
        tex(first, out);
    }
    med_buf_putc(out, '}');
}

static void bib_keywords(const struct med_doc *doc, struct med_buf *out)
{
    if (doc->mesh_count + doc->keyword_count == 0) return;
    bib_open(out, "keywords", "{");
    for (size_t i = 0; i < doc->mesh_count + doc->keyword_count; i++) {
        if (i) med_buf_puts(out, "; ");
        tex(i < doc->mesh_count ? doc->mesh[i].descriptor : doc->keywords[i - doc->mesh_count],
            out);
    }
    med_buf_putc(out, '}');
}

/* Letters, digits and dashes of the id. */
static void bib_key(struct med_str id, struct med_buf *out)
{
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (plain || c == '-' || c == '.') med_buf_putc(out, c);
        if (c == ':' || c == '/') med_buf_putc(out, '-');
    }
}

static void bib_pages(struct med_str text, struct med_buf *out)
{
    struct page_range pages;
    citation_pages(text, &pages);
    if (pages.start.len == 0) return;
    bib_open(out, "pages", "{");
    tex(pages.start, out);
    if (pages.end.len) med_buf_puts(out, "--");
    tex(pages.end, out);
    med_buf_putc(out, '}');
}

void citation_bibtex(const struct view *view, const struct citation *c, struct med_buf *out)
{
    static const char *const months[13] = {
        "", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"};
    const struct med_doc *doc = c->doc;
    struct med_buf text;
    med_buf_init(&text, MED_RESPONSE_BYTES_MAX);
    bool article = doc->source == MED_SOURCE_PUBMED || doc->source == MED_SOURCE_PMC;
    bool report = doc->source == MED_SOURCE_GUIDELINE;
    med_buf_puts(out, article ? "@article{" : report ? "@techreport{" : "@misc{");
    bib_key(doc->id, out);
    bib_authors(doc, out);
    if (doc->title.len) {
        bib_open(out, "title", "{{"); /* titles keep their capitals */
        tex(doc->title, out);
        med_buf_puts(out, "}}");
    }
    bib(out, "journal", doc->journal.title);
    bib(out, report ? "institution" : "organization", doc->organization);
    if (doc->date.year) med_buf_printf(out, ",\n  year = {%04u}", doc->date.year);
    if (doc->date.year && doc->date.month && doc->date.month <= 12)
        med_buf_printf(out, ",\n  month = %s", months[doc->date.month]);
    bib(out, "volume", doc->journal.volume);
    bib(out, "number", doc->journal.issue);
    bib_pages(doc->journal.pages, out);
    bib(out, "issn", doc->journal.issn);
    bib_verbatim(out, "doi", doc->doi);
    bib(out, "pmid", doc->pmid);
    bib(out, "pmcid", doc->pmcid);
    bib(out, "language", doc->language);
    document_url(view, doc->url, doc->id, &text);
    bib_verbatim(out, "url", med_buf_str(&text));
    med_buf_reset(&text);
    citation_abstract(doc, &text);
    bib(out, "abstract", med_buf_str(&text));
    bib_keywords(doc, out);
    med_buf_reset(&text);
    citation_status(c, &text);
    bib(out, "note", med_buf_str(&text));
    med_buf_puts(out, "\n}\n");
    if (med_buf_status(&text, NULL)) out->code = text.code;
    med_buf_free(&text);
}

/* --- CSL-JSON --- */

static void csl(struct med_jw *w, const char *key, struct med_str value)
{
    if (value.len) med_jw_kstr(w, key, value);
}

static void csl_authors(const struct med_doc *doc, struct med_jw *w)
{
    if (doc->author_count == 0) return;
    med_jw_key(w, "author");
    med_jw_array(w);
    for (size_t i = 0; i < doc->author_count; i++) {
        const struct med_author *a = &doc->authors[i];
        struct med_str first = a->given.len ? a->given : a->initials;
        med_jw_object(w);
        med_jw_kstr(w, first.len ? "family" : "literal", a->family);
        csl(w, "given", first);
        med_jw_object_end(w);
    }
    med_jw_array_end(w);
}

static void csl_date(struct med_date date, struct med_jw *w)
{
    if (!date.year) return;
    med_jw_key(w, "issued");
    med_jw_object(w);
    med_jw_key(w, "date-parts");
    med_jw_array(w);
    med_jw_array(w);
    med_jw_uint(w, date.year);
    if (date.month) med_jw_uint(w, date.month);
    if (date.month && date.day) med_jw_uint(w, date.day);
    med_jw_array_end(w);
    med_jw_array_end(w);
    med_jw_object_end(w);
}

void citation_csl(const struct view *view, const struct citation *c, struct med_buf *out)
{
    const struct med_doc *doc = c->doc;
    struct page_range pages;
    struct med_buf text;
    med_buf_init(&text, MED_RESPONSE_BYTES_MAX);
    bool article = doc->source == MED_SOURCE_PUBMED || doc->source == MED_SOURCE_PMC;
    struct med_jw w = med_jw_of(out, false);
    med_jw_object(&w);
    med_jw_kstr(&w, "id", doc->id);
    med_jw_kcstr(&w, "type",
        article                               ? "article-journal"
        : doc->source == MED_SOURCE_GUIDELINE ? "report"
                                              : "document");
    csl(&w, "title", doc->title);
    csl_authors(doc, &w);
    csl_date(doc->date, &w);
    csl(&w, "container-title", doc->journal.title);
    csl(&w, "container-title-short", doc->journal.iso_abbreviation);
    csl(&w, "volume", doc->journal.volume);
    csl(&w, "issue", doc->journal.issue);
    citation_pages(doc->journal.pages, &pages);
    med_buf_append_str(&text, pages.start);
    if (pages.end.len) med_buf_putc(&text, '-');
    med_buf_append_str(&text, pages.end);
    csl(&w, "page", med_buf_str(&text));
    csl(&w, "ISSN", doc->journal.issn);
    csl(&w, "publisher", doc->organization);
    csl(&w, "DOI", doc->doi);
    csl(&w, "PMID", doc->pmid);
    csl(&w, "PMCID", doc->pmcid);
    csl(&w, "language", doc->language);
    med_buf_reset(&text);
    document_url(view, doc->url, doc->id, &text);
    csl(&w, "URL", med_buf_str(&text));
    med_buf_reset(&text);
    citation_abstract(doc, &text);
    csl(&w, "abstract", med_buf_str(&text));
    med_buf_reset(&text);
    citation_status(c, &text);
    csl(&w, "note", med_buf_str(&text));
    med_jw_object_end(&w);
    if (med_buf_status(&text, NULL)) out->code = text.code;
    med_buf_free(&text);
}

/* --- Vancouver --- */

/* The value and a full stop, unless it ends with a sentence of its own. */
static void sentence(struct med_str value, struct med_buf *out)
{
    value = med_str_trim(value);
    if (value.len == 0) return;
    citation_line(value, out);
    char last = value.ptr[value.len - 1];
    med_buf_puts(out, last == '.' || last == '?' || last == '!' ? " " : ". ");
}

/* "123-129" as 123-9: digits that both have are written once. */
static void short_pages(struct med_str text, struct med_buf *out)
{
    struct page_range pages;
    citation_pages(text, &pages);
    citation_line(pages.start, out);
    if (pages.end.len == 0) return;
    size_t same = 0;
    bool numbers = pages.start.len == pages.end.len;
    for (size_t i = 0; i < pages.end.len; i++)
        numbers = numbers && pages.end.ptr[i] >= '0' && pages.end.ptr[i] <= '9';
    while (numbers && same + 1 < pages.end.len && pages.start.ptr[same] == pages.end.ptr[same])
        same++;
    med_buf_putc(out, '-');
    citation_line(med_str_sub(pages.end, same, pages.end.len), out);
}

static void journal_part(const struct med_doc *doc, struct med_buf *out)
{
    bool numbered = doc->journal.volume.len || doc->journal.issue.len;
    struct med_str name = doc->journal.iso_abbreviation;
    for (size_t i = 0; i < name.len; i++) { /* the NLM writes abbreviations without stops */
        if (name.ptr[i] == ' ')
            med_buf_putc(out, ' ');
        else if (name.ptr[i] != '.')
            citation_line(med_str_sub(name, i, i + 1), out);
    }
    if (name.len)
        med_buf_puts(out, ". ");
    else
        sentence(doc->journal.title.len ? doc->journal.title : doc->organization, out);
    if (doc->date.year) {
        med_buf_printf(out, "%u", doc->date.year);
        if (doc->date.month && doc->date.month <= 12)
            med_buf_printf(out, " %s", citation_months[doc->date.month]);
        if (doc->date.month && doc->date.day) med_buf_printf(out, " %u", doc->date.day);
    }
    if (numbered && doc->date.year) med_buf_putc(out, ';');
    citation_line(doc->journal.volume, out);
    if (doc->journal.issue.len) {
        med_buf_putc(out, '(');
        citation_line(doc->journal.issue, out);
        med_buf_putc(out, ')');
    }
    if (doc->journal.pages.len) {
        med_buf_putc(out, ':');
        short_pages(doc->journal.pages, out);
    }
    if (numbered || doc->journal.pages.len || doc->date.year) med_buf_puts(out, ". ");
}

static void named(struct med_buf *out, const char *name, struct med_str value)
{
    if (value.len == 0) return;
    med_buf_puts(out, name);
    citation_line(value, out);
    med_buf_puts(out, ". ");
}

void citation_vancouver(const struct view *view, const struct citation *c, struct med_buf *out)
{
    const struct med_doc *doc = c->doc;
    struct med_buf text;
    med_buf_init(&text, MED_RESPONSE_BYTES_MAX);
    for (size_t i = 0; i < doc->author_count && i < AUTHORS_SHOWN; i++) {
        if (i) med_buf_puts(&text, doc->authors[i].collective ? "; " : ", ");
        author_name(&doc->authors[i], &text);
    }
    if (doc->author_count > AUTHORS_SHOWN) med_buf_puts(&text, ", et al");
    sentence(med_buf_str(&text), out);
    sentence(doc->title, out);
    journal_part(doc, out);
    named(out, "doi: ", doc->doi);
    named(out, "PMID: ", doc->pmid);
    named(out, "PMCID: ", doc->pmcid);
    if (!doc->doi.len && !doc->pmid.len) {
        med_buf_reset(&text);
        document_url(view, doc->url, doc->id, &text);
        med_buf_puts(out, "Available from: ");
        citation_line(med_buf_str(&text), out);
        med_buf_putc(out, ' ');
    }
    med_buf_reset(&text);
    citation_status(c, &text);
    citation_line(med_buf_str(&text), out);
    while (out->len && out->data[out->len - 1] == ' ') out->len--;
    med_buf_putc(out, '\n');
    if (med_buf_status(&text, NULL)) out->code = text.code;
    med_buf_free(&text);
}

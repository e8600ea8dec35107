/* Records of an export. See export.h. */
#include "service/export.h"

static const char *const format_names[EXPORT_FORMAT_COUNT] = {"ris", "csv", "ids"};

const char *export_format_name(enum export_format format)
{
    return format_names[format];
}

enum med_code export_format_parse(
    struct med_str name, enum export_format *ret_format, struct med_err *err)
{
    for (unsigned i = 0; i < EXPORT_FORMAT_COUNT; i++) {
        if (!med_str_eq(name, med_str_of(format_names[i]))) continue;
        *ret_format = (enum export_format)i;
        return MED_OK;
    }
    return med_fail(err, MED_E_INVALID, "format: ris, csv or ids expected, not \"%.*s\"",
        (int)(name.len < 40 ? name.len : 40), name.ptr ? name.ptr : "");
}

enum med_code export_params_set(
    struct search_params *params, struct med_str name, struct med_str value, struct med_err *err)
{
    static const char *const allowed[] = {"q", "query", "year", "source", "evidence", "type",
        "journal", "language", "mesh", "retracted", "exclude_retracted", "exclude-retracted",
        "has_abstract", "has-abstract"};
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) {
        if (med_str_eq(name, med_str_of(allowed[i])))
            return search_params_set(params, name, value, err);
    }
    return med_fail(err, MED_E_USAGE,
        "unknown parameter \"%.*s\" of an export, which has all hits, the newest first; known are "
        "q, format, year, source, evidence, type, journal, language, mesh, retracted, "
        "exclude_retracted, has_abstract",
        (int)(name.len < 60 ? name.len : 60), name.ptr ? name.ptr : "");
}

/* --- RIS --- */

static void tag(struct med_buf *out, const char *name, struct med_str value)
{
    value = med_str_trim(value);
    if (value.len == 0) return;
    med_buf_printf(out, "%s  - ", name);
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        med_buf_putc(out, c < ' ' || c == 0x7F ? ' ' : (char)c);
    }
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

static void ris_abstract(const struct med_doc *doc, struct med_buf *text, struct med_buf *out)
{
    med_buf_reset(text);
    for (size_t i = 0; i < doc->section_count; i++) {
        const struct med_section *s = &doc->sections[i];
        if (s->kind != MED_SECTION_ABSTRACT) continue;
        if (text->len) med_buf_putc(text, ' ');
        med_buf_append_str(text, s->heading);
        if (s->heading.len) med_buf_puts(text, ": ");
        med_buf_append_str(text, s->body);
    }
    tag(out, "AB", med_buf_str(text));
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

static void ris_pages(struct med_str pages, struct med_buf *out)
{
    size_t dash = 0;
    while (dash < pages.len && pages.ptr[dash] != '-') dash++;
    tag(out, "SP", med_str_sub(pages, 0, dash));
    if (dash < pages.len) tag(out, "EP", med_str_sub(pages, dash + 1, pages.len));
}

static void ris_record(const struct view *view, const struct med_doc *doc, struct med_buf *out)
{
    struct med_buf text;
    med_buf_init(&text, 64u << 20);
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
    ris_pages(doc->journal.pages, out);
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
    ris_abstract(doc, &text, out);
    med_buf_reset(&text);
    document_url(view, doc->url, doc->id, &text);
    tag(out, "UR", med_buf_str(&text));
    med_buf_puts(out, "ER  - \r\n\r\n");
    if (med_buf_status(&text, NULL)) out->code = text.code;
    med_buf_free(&text);
}

/* --- CSV --- */

static void cell(struct med_buf *out, struct med_str value)
{
    char first = value.len ? value.ptr[0] : 0;
    med_buf_putc(out, '"');
    if (first == '=' || first == '+' || first == '-' || first == '@' || first == '\t')
        med_buf_putc(out, '\'');
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if (c == '"') med_buf_putc(out, '"');
        med_buf_putc(out, c < ' ' || c == 0x7F ? ' ' : (char)c);
    }
    med_buf_putc(out, '"');
}

static void next_cell(struct med_buf *out, struct med_str value)
{
    med_buf_putc(out, ',');
    cell(out, value);
}

static void csv_record(const struct view *view, const struct med_doc *doc, uint32_t flags,
    enum med_evidence evidence, struct med_buf *out)
{
    struct med_buf text;
    med_buf_init(&text, 64u << 20);
    cell(out, doc->id);
    next_cell(out, doc->pmid);
    next_cell(out, doc->pmcid);
    next_cell(out, doc->doi);
    next_cell(out, doc->title);
    for (size_t i = 0; i < doc->author_count; i++) {
        if (i) med_buf_puts(&text, "; ");
        author_name(&doc->authors[i], &text);
    }
    next_cell(out, med_buf_str(&text));
    next_cell(out, doc->journal.title);
    med_buf_reset(&text);
    date_text(doc->date, &text);
    next_cell(out, med_buf_str(&text));
    next_cell(out, doc->journal.volume);
    next_cell(out, doc->journal.issue);
    next_cell(out, doc->journal.pages);
    med_buf_reset(&text);
    for (size_t i = 0; i < doc->publication_type_count; i++) {
        if (i) med_buf_puts(&text, "; ");
        med_buf_append_str(&text, doc->publication_types[i]);
    }
    next_cell(out, med_buf_str(&text));
    next_cell(out, doc->language);
    next_cell(out, med_str_of(med_source_name(doc->source)));
    next_cell(out, med_str_of(med_evidence_name(evidence)));
    next_cell(out, flags & MED_FLAG_RETRACTED ? MED_STR("yes") : MED_STR("no"));
    med_buf_reset(&text);
    document_url(view, doc->url, doc->id, &text);
    next_cell(out, med_buf_str(&text));
    med_buf_puts(out, "\r\n");
    if (med_buf_status(&text, NULL)) out->code = text.code;
    med_buf_free(&text);
}

void export_begin(enum export_format format, struct med_buf *out)
{
    if (format == EXPORT_CSV)
        med_buf_puts(out, "id,pmid,pmcid,doi,title,authors,journal,date,volume,issue,pages,"
                          "publication_types,language,source,evidence,retracted,url\r\n");
}

void export_record(enum export_format format, const struct view *view, const struct med_doc *doc,
    uint32_t flags, enum med_evidence evidence, struct med_buf *out)
{
    switch (format) {
    case EXPORT_RIS: ris_record(view, doc, out); break;
    case EXPORT_CSV: csv_record(view, doc, flags, evidence, out); break;
    case EXPORT_IDS:
        med_buf_append_str(out, doc->id);
        med_buf_putc(out, '\n');
        break;
    case EXPORT_FORMAT_COUNT: break;
    }
}

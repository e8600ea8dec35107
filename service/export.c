/* Records of an export. See export.h. */
#include "service/export.h"

#include "service/citation.h"

static const struct {
    const char *name;
    enum media media;
} formats[EXPORT_FORMAT_COUNT] = {
    [EXPORT_RIS] = {"ris", MEDIA_RIS},
    [EXPORT_CSV] = {"csv", MEDIA_CSV},
    [EXPORT_IDS] = {"ids", MEDIA_TEXT},
    [EXPORT_BIBTEX] = {"bibtex", MEDIA_BIBTEX},
    [EXPORT_CSL] = {"csl-json", MEDIA_CSL},
    [EXPORT_VANCOUVER] = {"vancouver", MEDIA_VANCOUVER},
    [EXPORT_NBIB] = {"nbib", MEDIA_NBIB},
};

enum media export_media(enum export_format format)
{
    return formats[format].media;
}

enum export_format export_format_of(enum media media)
{
    for (enum export_format i = 0; i < EXPORT_FORMAT_COUNT; i++) {
        if (formats[i].media == media) return i;
    }
    return EXPORT_RIS;
}

enum med_code export_format_parse(
    struct med_str name, enum export_format *ret_format, struct med_err *err)
{
    for (unsigned i = 0; i < EXPORT_FORMAT_COUNT; i++) {
        if (!med_str_eq(name, med_str_of(formats[i].name))) continue;
        *ret_format = (enum export_format)i;
        return MED_OK;
    }
    return med_fail(err, MED_E_INVALID,
        "format: ris, bibtex, csl-json, vancouver, nbib, csv or ids expected, not \"%.*s\"",
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
    citation_begin(formats[format].media, out);
    if (format == EXPORT_CSV)
        med_buf_puts(out, "id,pmid,pmcid,doi,title,authors,journal,date,volume,issue,pages,"
                          "publication_types,language,source,evidence,retracted,url\r\n");
}

void export_record(enum export_format format, const struct view *view, const struct med_doc *doc,
    uint32_t flags, enum med_evidence evidence, size_t index, struct med_buf *out)
{
    if (format == EXPORT_CSV) {
        csv_record(view, doc, flags, evidence, out);
    } else if (format == EXPORT_IDS) {
        med_buf_append_str(out, doc->id);
        med_buf_putc(out, '\n');
    } else {
        struct citation citation = {
            .doc = doc, .flags = flags, .links = doc->links, .link_count = doc->link_count};
        citation_write(formats[format].media, view, &citation, index, true, out);
    }
}

void export_end(enum export_format format, struct med_buf *out)
{
    citation_end(formats[format].media, out);
}

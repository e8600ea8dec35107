/* PubMed and MEDLINE XML to documents: PubmedArticle, MedlineCitation, PubmedBookArticle /
 * BookDocument, and the deletions of update files. Follows NLM's DTDs of 2013 to 2025
 * ("MEDLINE/PubMed XML Data Elements",
 * https://www.nlm.nih.gov/bsd/licensee/elements_descriptions.html).
 *
 * Each record is parsed by itself. The stack of open elements gives every element its meaning: a
 * PMID under MedlineCitation is the record's own, under CommentsCorrections the target of a link,
 * elsewhere nothing. An element that holds text (`text` in the table) collects all character data
 * until its end tag, so that inline markup inside it (<i>, <sub>, MathML) never cuts it. Strings
 * live in one arena, lists in growable arrays; both are re-used by the next record. */
#include "index/ingest/clean.h"
#include "index/ingest/pubmed_elements.h"
#include "index/ingest/xml.h"

#include "common/mem.h"

#include <assert.h>
#include <stdio.h>

struct raw_date {
    struct med_str year, month, day, season, medline;
};

/* What one record is made in. `doc` points into it. */
struct pubmed {
    const struct med_doc_sink *sink; /* of the record at hand */
    struct med_xml *xml;
    struct med_arena *arena;
    struct med_buf text, scratch;
    const struct med_pubmed_element
        *stack[MED_XML_DEPTH_MAX + 1]; /* [depth] is the innermost open element */
    unsigned depth;
    unsigned collecting; /* depth of the element whose text is collected; 0 = none */

    struct med_doc doc;
    size_t section_cap, author_cap, mesh_cap, type_cap, keyword_cap, chemical_cap, link_cap;
    struct med_str book_title, medline_ta, start_page, end_page, other_pmcid, article_id_doi;
    struct raw_date pub_date, article_date, contribution_date, revised;
    bool is_book;
    size_t book_author_count; /* authors of the whole book, in front of the chapter's own */

    /* Attributes of the open elements. */
    bool authors_wanted; /* the author list is not one of editors */
    bool author_open;    /* the last author of doc is the open one */
    bool id_wanted;      /* the identifier is of the kind that counts */
    bool major;
    struct med_str label, ui, other_language, other_type, id_type, ref_type;
    struct med_link link;
    unsigned long long pmid_version;

    struct med_str *deleted; /* ids of a DeleteCitation */
    size_t deleted_count, deleted_cap;
    bool pushed; /* errors from here on are the sink's */
};

static enum el above(const struct pubmed *p, unsigned levels)
{
    return p->depth > levels ? p->stack[p->depth - levels]->el : EL_UNKNOWN;
}

static enum med_code clean(
    struct pubmed *p, struct med_str raw, struct med_str *ret_text, struct med_err *err)
{
    return med_clean_line(raw, p->arena, &p->scratch, ret_text, err);
}

static enum med_code no_memory(struct med_err *err)
{
    return med_fail(err, MED_E_NOMEM, "out of memory for a citation");
}

/* Appends one zeroed element to a list of the document. */
#define APPEND(p, list, count, cap)                                                                \
    (med_grow(&(p)->doc.list, &(p)->cap, (p)->doc.count + 1, sizeof *(p)->doc.list)                \
            ? (memset(&(p)->doc.list[(p)->doc.count], 0, sizeof *(p)->doc.list),                   \
                  &(p)->doc.list[(p)->doc.count++])                                                \
            : NULL)

static void reset(struct pubmed *p, uint64_t sequence)
{
    struct med_doc old = p->doc;
    p->doc = (struct med_doc){.source = MED_SOURCE_PUBMED,
        .sections = old.sections,
        .authors = old.authors,
        .publication_types = old.publication_types,
        .mesh = old.mesh,
        .keywords = old.keywords,
        .chemicals = old.chemicals,
        .links = old.links,
        .precedence = {.sequence = sequence}};
    p->book_title = p->medline_ta = p->start_page = p->end_page = (struct med_str){0};
    p->other_pmcid = p->article_id_doi = (struct med_str){0};
    p->pub_date = p->article_date = p->contribution_date = p->revised = (struct raw_date){0};
    p->is_book = false;
    p->book_author_count = 0;
    p->deleted_count = 0;
    p->author_open = false;
    p->depth = p->collecting = 0;
    med_arena_reset(p->arena);
}

static bool is(struct med_str s, const char *text)
{
    return med_str_eq(s, med_str_of(text));
}

/* ---- start tags: attributes ---- */

static enum med_code start_element(
    struct pubmed *p, enum el el, const struct med_xml_element *e, struct med_err *err)
{
    enum med_code code = MED_OK;
    switch ((int)el) {
    case EL_ABSTRACT_TEXT:
        code = clean(p, med_xml_attr(e, "Label"), &p->label, err);
        if (is(p->label, "UNLABELLED") || is(p->label, "UNASSIGNED")) p->label.len = 0;
        break;
    case EL_OTHER_ABSTRACT:
        code = clean(p, med_xml_attr(e, "Language"), &p->other_language, err);
        if (code == MED_OK) code = clean(p, med_xml_attr(e, "Type"), &p->other_type, err);
        break;
    case EL_PMID:
        p->pmid_version = 0;
        if (!med_str_to_u64(med_xml_attr(e, "Version"), &p->pmid_version)) p->pmid_version = 0;
        if (p->pmid_version > UINT32_MAX) p->pmid_version = 0;
        break;
    case EL_ELOCATION_ID:
        p->id_wanted =
            is(med_xml_attr(e, "EIdType"), "doi") && !is(med_xml_attr(e, "ValidYN"), "N");
        break;
    case EL_ARTICLE_ID: code = clean(p, med_xml_attr(e, "IdType"), &p->id_type, err); break;
    case EL_IDENTIFIER: p->id_wanted = is(med_xml_attr(e, "Source"), "ORCID"); break;
    case EL_OTHER_ID: p->id_wanted = is(med_xml_attr(e, "Source"), "NLM"); break;
    case EL_PARAM: p->id_wanted = is(med_xml_attr(e, "Name"), "url"); break;
    case EL_DESCRIPTOR:
    case EL_QUALIFIER:
    case EL_SUPPL_MESH_NAME:
        p->major = is(med_xml_attr(e, "MajorTopicYN"), "Y");
        code = clean(p, med_xml_attr(e, "UI"), &p->ui, err);
        break;
    case EL_MESH_HEADING:
        if (!APPEND(p, mesh, mesh_count, mesh_cap)) code = no_memory(err);
        break;
    case EL_AUTHOR_LIST: p->authors_wanted = !is(med_xml_attr(e, "Type"), "editors"); break;
    case EL_AUTHOR:
        p->author_open = above(p, 1) == EL_AUTHOR_LIST && p->authors_wanted;
        if (p->author_open && !APPEND(p, authors, author_count, author_cap)) code = no_memory(err);
        if (p->author_open && above(p, 2) == EL_BOOK) p->book_author_count++;
        break;
    case EL_COMMENTS_CORRECTIONS:
        p->link = (struct med_link){0};
        code = clean(p, med_xml_attr(e, "RefType"), &p->ref_type, err);
        break;
    case EL_BOOK_DOCUMENT: p->is_book = true; break;
    default: break;
    }
    return code;
}

static enum med_code on_start(void *ctx, const struct med_xml_element *element, struct med_err *err)
{
    struct pubmed *p = ctx;
    const struct med_pubmed_element *known = element->tag;
    assert(p->depth < MED_XML_DEPTH_MAX);
    p->stack[++p->depth] = known;
    if (p->collecting || known->el == EL_UNKNOWN) return MED_OK;
    if (known->text) {
        p->collecting = p->depth;
        med_buf_reset(&p->text);
    }
    return start_element(p, known->el, element, err);
}

static const void *tag_of(struct med_str name)
{
    return med_pubmed_element(name);
}

static enum med_code on_text(void *ctx, struct med_str text, struct med_err *err)
{
    struct pubmed *p = ctx;
    if (!p->collecting) return MED_OK;
    med_buf_append_str(&p->text, text);
    return med_buf_status(&p->text, err);
}

/* ---- end tags: values ---- */

static struct raw_date *open_date(struct pubmed *p)
{
    switch ((int)above(p, 1)) {
    case EL_PUB_DATE: return &p->pub_date;
    case EL_ARTICLE_DATE: return &p->article_date;
    case EL_CONTRIBUTION_DATE: return &p->contribution_date;
    case EL_DATE_REVISED: return &p->revised;
    default: return NULL;
    }
}

static void take_date_part(struct pubmed *p, enum el el, struct med_str text)
{
    struct raw_date *date = open_date(p);
    if (!date) return;
    switch ((int)el) {
    case EL_YEAR: date->year = text; break;
    case EL_MONTH: date->month = text; break;
    case EL_DAY: date->day = text; break;
    case EL_SEASON: date->season = text; break;
    default: date->medline = text; break;
    }
}

/* "http://orcid.org/0000-0001-2345-6789", "0000000123456789" -> "0000-0001-2345-6789". */
static struct med_str clean_orcid(struct pubmed *p, struct med_str text)
{
    char digits[16];
    size_t count = 0;
    for (size_t i = text.len; i > 0 && count < 16; i--) {
        char c = text.ptr[i - 1];
        bool check = (c == 'X' || c == 'x') && count == 0;
        if (check || (c >= '0' && c <= '9'))
            digits[15 - count++] = check ? 'X' : c;
        else if (c != '-')
            break;
    }
    if (count < 16) return (struct med_str){0};
    struct med_str dash = MED_STR("-"), orcid = {0};
    const struct med_str parts[] = {
        {digits, 4}, dash, {digits + 4, 4}, dash, {digits + 8, 4}, dash, {digits + 12, 4}};
    return med_arena_join(p->arena, parts, 7, &orcid) ? orcid : (struct med_str){0};
}

static enum med_code take_author_part(
    struct pubmed *p, enum el el, struct med_str text, struct med_err *err)
{
    if (above(p, 1) != EL_AUTHOR || !p->author_open || p->doc.author_count == 0) return MED_OK;
    struct med_author *author = &p->doc.authors[p->doc.author_count - 1];
    switch ((int)el) {
    case EL_LAST_NAME: author->family = text; break;
    case EL_FORE_NAME: author->given = text; break;
    case EL_INITIALS: author->initials = text; break;
    case EL_COLLECTIVE_NAME:
        author->family = text;
        author->collective = true;
        break;
    case EL_SUFFIX: {
        char *joined = med_arena_printf(p->arena, MED_STR_FMT "%s" MED_STR_FMT,
            MED_STR_ARG(author->initials), author->initials.len ? " " : "", MED_STR_ARG(text));
        if (!joined) return no_memory(err);
        author->initials = med_str_of(joined); /* as printed: "Smith JA Jr" */
        break;
    }
    default:
        if (p->id_wanted) author->orcid = clean_orcid(p, text);
        break;
    }
    return MED_OK;
}

static enum med_code append_str(
    struct med_str **list, size_t *count, size_t *cap, struct med_str text, struct med_err *err)
{
    if (text.len == 0) return MED_OK;
    if (!med_grow(list, cap, *count + 1, sizeof **list)) return no_memory(err);
    (*list)[(*count)++] = text;
    return MED_OK;
}

/* One AbstractText, of the abstract itself or of one in another language. Neighbours without a
 * label are one section. */
static enum med_code take_abstract(struct pubmed *p, struct med_str text, struct med_err *err)
{
    bool other = above(p, 1) == EL_OTHER_ABSTRACT;
    if ((!other && above(p, 1) != EL_ABSTRACT) || text.len == 0) return MED_OK;
    struct med_str heading = p->label, path = p->label;
    if (other) {
        bool plain = is(p->other_type, "plain-language-summary");
        char *name = med_arena_printf(p->arena, "%s%s" MED_STR_FMT "%s",
            plain ? "Plain language summary" : "Other abstract", p->other_language.len ? " (" : "",
            MED_STR_ARG(p->other_language), p->other_language.len ? ")" : "");
        if (!name) return no_memory(err);
        path = med_str_of(name);
        if (heading.len > 0) {
            name = med_arena_printf(p->arena, "%s > " MED_STR_FMT, name, MED_STR_ARG(heading));
            if (!name) return no_memory(err);
            path = med_str_of(name);
        } else {
            heading = path;
        }
    }
    enum med_section_kind kind = other ? MED_SECTION_OTHER : MED_SECTION_ABSTRACT;
    struct med_section *last =
        p->doc.section_count > 0 ? &p->doc.sections[p->doc.section_count - 1] : NULL;
    if (last && last->kind == kind && med_str_eq(last->path, path) && p->label.len == 0) {
        char *joined = med_arena_printf(
            p->arena, MED_STR_FMT "\n" MED_STR_FMT, MED_STR_ARG(last->body), MED_STR_ARG(text));
        if (!joined) return no_memory(err);
        last->body = med_str_of(joined);
        return MED_OK;
    }
    if (p->doc.section_count >= MED_DOC_SECTIONS_MAX) {
        return med_fail(
            err, MED_E_LIMIT, "the abstract has more than %llu sections", MED_DOC_SECTIONS_MAX);
    }
    struct med_section *section = APPEND(p, sections, section_count, section_cap);
    if (!section) return no_memory(err);
    *section = (struct med_section){.path = path,
        .heading = heading,
        .body = text,
        .kind = kind,
        .level = heading.len == 0 ? 0 : (other && p->label.len > 0 ? 2 : 1)};
    return MED_OK;
}

static enum med_code take_mesh(
    struct pubmed *p, enum el el, struct med_str text, struct med_err *err)
{
    if (text.len == 0) return MED_OK;
    if (el == EL_SUPPL_MESH_NAME) { /* a disease or protocol that has no descriptor yet */
        struct med_mesh *entry = APPEND(p, mesh, mesh_count, mesh_cap);
        if (!entry) return no_memory(err);
        *entry = (struct med_mesh){.descriptor = text, .ui = p->ui};
        return MED_OK;
    }
    if (above(p, 1) != EL_MESH_HEADING || p->doc.mesh_count == 0) return MED_OK;
    struct med_mesh *entry = &p->doc.mesh[p->doc.mesh_count - 1];
    entry->major = entry->major || p->major;
    if (el == EL_DESCRIPTOR) {
        entry->descriptor = text;
        entry->ui = p->ui;
        return MED_OK;
    }
    const struct med_str parts[] = {
        entry->qualifiers, {"; ", entry->qualifiers.len ? 2 : 0}, text, {"*", p->major ? 1 : 0}};
    return med_arena_join(p->arena, parts, 4, &entry->qualifiers) ? MED_OK : no_memory(err);
}

static bool is_pmid(struct med_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') return false;
    }
    return text.len > 0 && text.len <= 19;
}

static enum med_code pmid_id(
    struct pubmed *p, struct med_str pmid, struct med_str *ret_id, struct med_err *err)
{
    const struct med_str parts[] = {MED_STR("pmid:"), pmid};
    return med_arena_join(p->arena, parts, 2, ret_id) ? MED_OK : no_memory(err);
}

static enum med_code take_pmid(struct pubmed *p, struct med_str text, struct med_err *err)
{
    switch ((int)above(p, 1)) {
    case EL_MEDLINE_CITATION:
    case EL_BOOK_DOCUMENT:
        p->doc.pmid = text;
        p->doc.precedence.version = (uint32_t)p->pmid_version;
        return MED_OK;
    case EL_COMMENTS_CORRECTIONS:
        return is_pmid(text) ? pmid_id(p, text, &p->link.target, err) : MED_OK;
    case EL_DELETE_CITATION:
    case EL_DELETE_DOCUMENT: {
        if (!is_pmid(text)) return med_fail(err, MED_E_INVALID, "a deleted PMID is no number");
        struct med_str id = {0};
        enum med_code code = pmid_id(p, text, &id, err);
        if (code != MED_OK) return code;
        return append_str(&p->deleted, &p->deleted_count, &p->deleted_cap, id, err);
    }
    default: return MED_OK;
    }
}

static void take_pmcid(struct med_str text, struct med_str *ret_pmcid)
{
    size_t len = 3;
    if (ret_pmcid->len > 0 || !med_str_starts(text, MED_STR("PMC"))) return;
    while (len < text.len && text.ptr[len] >= '0' && text.ptr[len] <= '9') len++;
    if (len > 3) *ret_pmcid = med_str_sub(text, 0, len); /* "PMC4699307 [Available on ...]" */
}

static void take_article_id(struct pubmed *p, struct med_str text)
{
    enum el owner = above(p, 2); /* not of a reference */
    if (above(p, 1) != EL_ARTICLE_ID_LIST ||
        (owner != EL_PUBMED_DATA && owner != EL_PUBMED_BOOK_DATA && owner != EL_BOOK_DOCUMENT)) {
        return;
    }
    if (is(p->id_type, "doi") && p->article_id_doi.len == 0) {
        p->article_id_doi = med_clean_doi(text, p->arena);
    } else if (is(p->id_type, "pmc")) {
        take_pmcid(text, &p->doc.pmcid);
    }
}

static void take_journal_part(struct pubmed *p, enum el el, struct med_str text)
{
    enum el owner = above(p, 1);
    switch ((int)el) {
    case EL_TITLE:
        if (owner == EL_JOURNAL) p->doc.journal.title = text;
        break;
    case EL_ISO_ABBREVIATION: p->doc.journal.iso_abbreviation = text; break;
    case EL_ISSN:
        if (owner == EL_JOURNAL) p->doc.journal.issn = text;
        break;
    case EL_VOLUME:
        if (owner == EL_JOURNAL_ISSUE) p->doc.journal.volume = text;
        break;
    case EL_ISSUE:
        if (owner == EL_JOURNAL_ISSUE) p->doc.journal.issue = text;
        break;
    case EL_MEDLINE_PGN: p->doc.journal.pages = text; break;
    case EL_START_PAGE: p->start_page = text; break;
    case EL_END_PAGE: p->end_page = text; break;
    case EL_MEDLINE_TA: p->medline_ta = text; break;
    default: break;
    }
}

static enum med_code take_text(
    struct pubmed *p, enum el el, struct med_str text, struct med_err *err)
{
    enum el owner = above(p, 1);
    struct med_doc *doc = &p->doc;
    switch ((int)el) {
    case EL_ARTICLE_TITLE:
        if (owner == EL_ARTICLE || owner == EL_BOOK_DOCUMENT) doc->title = text;
        return MED_OK;
    case EL_BOOK_TITLE: p->book_title = text; return MED_OK;
    case EL_VERNACULAR_TITLE: doc->vernacular_title = text; return MED_OK;
    case EL_ABSTRACT_TEXT: return take_abstract(p, text, err);
    case EL_COPYRIGHT:
        if (owner == EL_ABSTRACT) doc->licence = text;
        return MED_OK;
    case EL_LAST_NAME:
    case EL_FORE_NAME:
    case EL_INITIALS:
    case EL_SUFFIX:
    case EL_COLLECTIVE_NAME:
    case EL_IDENTIFIER: return take_author_part(p, el, text, err);
    case EL_YEAR:
    case EL_MONTH:
    case EL_DAY:
    case EL_SEASON:
    case EL_MEDLINE_DATE: take_date_part(p, el, text); return MED_OK;
    case EL_LANGUAGE:
        if (doc->language.len == 0) doc->language = text;
        return MED_OK;
    case EL_PUBLICATION_TYPE:
        if (owner != EL_PUBLICATION_TYPE_LIST && owner != EL_BOOK_DOCUMENT) return MED_OK;
        return append_str(
            &doc->publication_types, &doc->publication_type_count, &p->type_cap, text, err);
    case EL_DESCRIPTOR:
    case EL_QUALIFIER:
    case EL_SUPPL_MESH_NAME: return take_mesh(p, el, text, err);
    case EL_KEYWORD:
        return append_str(&doc->keywords, &doc->keyword_count, &p->keyword_cap, text, err);
    case EL_NAME_OF_SUBSTANCE:
        if (owner != EL_CHEMICAL) return MED_OK;
        return append_str(&doc->chemicals, &doc->chemical_count, &p->chemical_cap, text, err);
    case EL_PMID: return take_pmid(p, text, err);
    case EL_ARTICLE_ID: take_article_id(p, text); return MED_OK;
    case EL_ELOCATION_ID:
        if (p->id_wanted && doc->doi.len == 0) doc->doi = med_clean_doi(text, p->arena);
        return MED_OK;
    case EL_OTHER_ID:
        if (p->id_wanted) take_pmcid(text, &p->other_pmcid);
        return MED_OK;
    case EL_REF_SOURCE: p->link.note = text; return MED_OK;
    case EL_PARAM:
        if (p->id_wanted && owner == EL_OBJECT && doc->url.len == 0) doc->url = text;
        return MED_OK;
    case EL_PUBLISHER_NAME: doc->organization = text; return MED_OK;
    default: take_journal_part(p, el, text); return MED_OK;
    }
}

static enum med_code end_link(struct pubmed *p, struct med_err *err)
{
    struct med_str type = p->ref_type;
    p->link.kind = med_pubmed_link_kind(type);
    if (p->link.kind == MED_LINK_OTHER && type.len > 0) { /* keep what it is */
        char *note = med_arena_printf(p->arena, MED_STR_FMT "%s" MED_STR_FMT, MED_STR_ARG(type),
            p->link.note.len ? ": " : "", MED_STR_ARG(p->link.note));
        if (!note) return no_memory(err);
        p->link.note = med_str_of(note);
    }
    /* What was retracted and replaced is a retracted article, and its replacement is named. */
    bool retracted = is(type, "RetractedandRepublishedIn");
    for (int i = 0; i < (retracted ? 2 : 1); i++) {
        struct med_link *link = APPEND(p, links, link_count, link_cap);
        if (!link) return no_memory(err);
        *link = p->link;
        if (i == 1) link->kind = MED_LINK_RETRACTION_IN;
    }
    return MED_OK;
}

static enum med_code on_end(void *ctx, struct med_str name, struct med_err *err)
{
    (void)name;
    struct pubmed *p = ctx;
    enum el el = p->stack[p->depth]->el;
    enum med_code code = MED_OK;
    if (p->collecting == p->depth) {
        struct med_str text = {0};
        p->collecting = 0;
        code = clean(p, med_buf_str(&p->text), &text, err);
        if (code == MED_OK) code = take_text(p, el, text, err);
    } else if (!p->collecting && el == EL_COMMENTS_CORRECTIONS) {
        code = end_link(p, err);
    } else if (!p->collecting && el == EL_AUTHOR) {
        if (p->author_open && p->doc.authors[p->doc.author_count - 1].family.len == 0 &&
            p->doc.authors[p->doc.author_count - 1].given.len == 0) {
            p->doc.author_count--; /* "CompleteYN" lists may hold empty ones */
        }
        p->author_open = false;
    }
    p->depth--;
    return code;
}

/* ---- the whole record ---- */

static bool set_date(struct pubmed *p, const struct raw_date *raw)
{
    struct med_date *date = &p->doc.date;
    if (raw->medline.len > 0 && med_date_parse(raw->medline, date)) {
        p->doc.date_text = raw->medline;
        return true;
    }
    if (!med_date_parse(raw->year, date)) return false;
    date->month = med_month_parse(raw->month);
    unsigned long long day;
    if (date->month > 0 && med_str_to_u64(raw->day, &day) && day >= 1 && day <= 31) {
        date->day = (uint8_t)day;
    }
    if (raw->season.len > 0) {
        char *text = med_arena_printf(p->arena, MED_STR_FMT " " MED_STR_FMT, MED_STR_ARG(raw->year),
            MED_STR_ARG(raw->season));
        p->doc.date_text = med_str_of(text);
    }
    return true;
}

static enum med_code complete_pages(struct pubmed *p, struct med_err *err)
{
    if (p->doc.journal.pages.len > 0 || p->start_page.len == 0) return MED_OK;
    p->doc.journal.pages = p->start_page;
    if (p->end_page.len == 0) return MED_OK;
    char *pages = med_arena_printf(p->arena, MED_STR_FMT "-" MED_STR_FMT,
        MED_STR_ARG(p->start_page), MED_STR_ARG(p->end_page));
    if (!pages) return no_memory(err);
    p->doc.journal.pages = med_str_of(pages);
    return MED_OK;
}

/* What follows from several elements, and what has a second source. */
static enum med_code complete(struct pubmed *p, struct med_err *err)
{
    struct med_doc *doc = &p->doc;
    if (p->is_book) {
        if (doc->title.len == 0)
            doc->title = p->book_title;
        else
            doc->journal.title = p->book_title;
        if (p->book_author_count > 0 && doc->author_count > p->book_author_count) {
            doc->authors += p->book_author_count; /* undone by push_document */
            doc->author_count -= p->book_author_count;
        }
    }
    if (doc->title.len == 0) doc->title = doc->vernacular_title;
    if (doc->title.len == 0 && doc->section_count == 0) {
        return med_fail(err, MED_E_INVALID, "the record has neither a title nor an abstract");
    }
    if (!set_date(p, &p->contribution_date) && !set_date(p, &p->pub_date)) {
        (void)set_date(p, &p->article_date);
    }
    struct med_date revised;
    if (med_date_parse(p->revised.year, &revised)) {
        unsigned long long day = 0;
        if (!med_str_to_u64(p->revised.day, &day) || day > 31) day = 0;
        doc->precedence.date_revised =
            revised.year * 10000u + med_month_parse(p->revised.month) * 100u + (uint32_t)day;
    }
    if (doc->journal.iso_abbreviation.len == 0) doc->journal.iso_abbreviation = p->medline_ta;
    if (doc->pmcid.len == 0) doc->pmcid = p->other_pmcid;
    if (doc->doi.len == 0) doc->doi = p->article_id_doi;
    doc->source_id = doc->pmid;
    enum med_code code = complete_pages(p, err);
    if (code == MED_OK) code = pmid_id(p, doc->pmid, &doc->id, err);
    if (code != MED_OK) return code;
    if (doc->url.len == 0 && doc->pmid.len <= 8) {
        const struct med_str parts[] = {
            MED_STR("https://pubmed.ncbi.nlm.nih.gov/"), doc->pmid, MED_STR("/")};
        if (!med_arena_join(p->arena, parts, 3, &doc->url)) return no_memory(err);
    }
    return MED_OK;
}

static enum med_code push_deletions(struct pubmed *p, struct med_err *err)
{
    enum med_code code = MED_OK;
    for (size_t i = 0; i < p->deleted_count && code == MED_OK; i++) {
        code = p->sink->deletion(p->sink->ctx, p->deleted[i], p->doc.precedence, err);
    }
    return code;
}

static enum med_code push_document(struct pubmed *p, struct med_err *err)
{
    struct med_author *authors = p->doc.authors;
    size_t text_bytes = p->doc.title.len;
    for (size_t i = 0; i < p->doc.section_count; i++) text_bytes += p->doc.sections[i].body.len;
    if (text_bytes > MED_DOC_TEXT_BYTES_MAX) {
        return med_fail(err, MED_E_LIMIT, "the text of the record has %zu bytes", text_bytes);
    }
    enum med_code code = complete(p, err);
    if (code == MED_OK) {
        code = p->sink->document(p->sink->ctx, &p->doc, err);
        p->pushed = true;
    }
    p->doc.authors = authors;
    return code;
}

static enum med_code parse_record(void *parser, const struct med_origin *origin,
    const struct med_source_record *record, const struct med_doc_sink *sink, struct med_err *err)
{
    struct pubmed *p = parser;
    struct med_err why;
    reset(p, origin->sequence);
    p->sink = sink;
    p->pushed = false;
    med_xml_set_line(p->xml, record->line);
    enum med_code code = med_xml_parse(p->xml, record->bytes, &why);
    bool deletes = is(record->name, "DeleteCitation") || is(record->name, "DeleteDocument");
    if (code == MED_OK && deletes) {
        code = push_deletions(p, &why);
        p->pushed = true;
    } else if (code == MED_OK && !is_pmid(p->doc.pmid)) {
        code = med_fail(&why, MED_E_INVALID, "the record has no PMID that is a number");
    } else if (code == MED_OK) {
        code = push_document(p, &why);
    }
    if (code == MED_OK) return MED_OK;
    if (!p->pushed && (code == MED_E_INVALID || code == MED_E_LIMIT)) {
        return sink->skipped(sink->ctx, record->offset, record->line, why.text, err);
    }
    if (err) *err = why;
    return code;
}

static enum med_code split(
    const struct med_input *in, const struct med_record_sink *sink, struct med_err *err)
{
    static const struct med_xml_record_kind kinds[] = {{"PubmedArticle", false},
        {"MedlineCitation", true}, {"PubmedBookArticle", false}, {"BookDocument", true},
        {"DeleteCitation", false}, {"DeleteDocument", false}};
    return med_xml_records(in, kinds, sizeof kinds / sizeof *kinds, sink, err);
}

static void close_parser(void *parser)
{
    struct pubmed *p = parser;
    med_xml_free(&p->xml);
    med_arena_free(&p->arena);
    med_buf_free(&p->text);
    med_buf_free(&p->scratch);
    med_free(p->doc.sections);
    med_free(p->doc.authors);
    med_free(p->doc.publication_types);
    med_free(p->doc.mesh);
    med_free(p->doc.keywords);
    med_free(p->doc.chemicals);
    med_free(p->doc.links);
    med_free(p->deleted);
    med_free(p);
}

static enum med_code open_parser(void **ret_parser, struct med_err *err)
{
    struct pubmed *p = med_calloc(1, sizeof *p);
    if (!p) return no_memory(err);
    med_buf_init(&p->text, MED_DOC_TEXT_BYTES_MAX);
    med_buf_init(&p->scratch, 2 * MED_DOC_TEXT_BYTES_MAX);
    const struct med_xml_handler handler = {on_start, on_end, on_text, p, tag_of};
    enum med_code code = med_arena_new(MED_DOC_ARENA_BYTES_MAX, &p->arena, err);
    if (code == MED_OK) code = med_xml_new(&handler, &p->xml, err);
    if (code == MED_OK)
        *ret_parser = p;
    else
        close_parser(p);
    return code;
}

const struct med_parser_kind med_parser_pubmed = {split, open_parser, parse_record, close_parser};

/* JATS full texts to documents: the Archiving and Publishing tag sets 1.x and NLM DTD 2.3, one or
 * several articles in a stream (https://jats.nlm.nih.gov). Each article becomes a small tree; this
 * file reads its front matter, jats_text.c what there is to read in abstract, body, floats and
 * appendices.
 *
 * Heading paths: "Abstract > Methods" for the abstract, "Methods > Participants" for the body,
 * "Results > Table 2" for a caption, "Full text" for paragraphs outside all sections. */
#include "index/ingest/clean.h"
#include "index/ingest/jats_text.h"

#include "common/limits.h"
#include "common/mem.h"

/* Of distinct keywords: more are no description. */
#define LIST_MAX 1000

struct jats {
    struct med_xml *xml;
    struct med_arena *arena;
    struct med_tree tree;
    struct med_jats_text text;
    struct med_doc doc;
    size_t author_cap, type_cap, keyword_cap, link_cap;
    bool starved; /* a small allocation failed: the document is not complete */
};

static enum med_code no_memory(struct jats *j, struct med_err *err)
{
    return med_tree_no_memory(j->arena, err);
}

/* The result of med_arena_printf as a slice; a failure is remembered. */
static struct med_str printed(struct jats *j, char *text)
{
    if (!text) j->starved = true;
    return med_str_of(text);
}

static bool is(struct med_str s, const char *text)
{
    return med_str_eq_nocase(s, med_str_of(text));
}

static bool contains(struct med_str s, const char *lower_case)
{
    size_t len = strlen(lower_case);
    for (size_t i = 0; i + len <= s.len; i++) {
        if (med_str_eq_nocase(med_str_sub(s, i, i + len), med_str_of(lower_case))) return true;
    }
    return false;
}

static struct med_str line(struct jats *j, const struct med_node *node)
{
    return med_jats_line(&j->text, node);
}

static struct med_str digits_of(struct med_str s)
{
    size_t start = 0, end;
    if (s.len > 3 && is(med_str_sub(s, 0, 3), "pmc")) start = 3;
    for (end = start; end < s.len && s.ptr[end] >= '0' && s.ptr[end] <= '9'; end++) continue;
    bool all = end > start && end == s.len && end - start <= 19;
    return all ? med_str_sub(s, start, end) : (struct med_str){0};
}

static bool add_str(struct med_str **list, size_t *count, size_t *cap, struct med_str text)
{
    for (size_t i = 0; i < *count; i++) {
        if (med_str_eq_nocase((*list)[i], text)) return true;
    }
    if (text.len == 0 || *count >= LIST_MAX) return true;
    if (!med_grow(list, cap, *count + 1, sizeof **list)) return false;
    (*list)[(*count)++] = text;
    return true;
}

static bool add_type(struct jats *j, const char *type)
{
    return add_str(
        &j->doc.publication_types, &j->doc.publication_type_count, &j->type_cap, med_str_of(type));
}

static bool add_keyword(struct jats *j, struct med_str text)
{
    return add_str(&j->doc.keywords, &j->doc.keyword_count, &j->keyword_cap, text);
}

/* ---- identity ---- */

static void take_ids(struct jats *j, const struct med_node *meta)
{
    for (const struct med_node *n = meta->first; n; n = n->next) {
        if (!med_node_is(n, "article-id")) continue;
        struct med_str type = med_node_attr(n, "pub-id-type"), text = line(j, n);
        struct med_str digits = digits_of(text);
        if ((is(type, "pmc") || is(type, "pmcid")) && digits.len > 0 && j->doc.pmcid.len == 0)
            j->doc.pmcid =
                printed(j, med_arena_printf(j->arena, "PMC" MED_STR_FMT, MED_STR_ARG(digits)));
        else if (is(type, "pmid") && j->doc.pmid.len == 0)
            j->doc.pmid = digits;
        else if (is(type, "doi") && j->doc.doi.len == 0)
            j->doc.doi = med_clean_doi(text, j->arena);
    }
}

/* Every byte but letters, digits and "-._" as %XX. */
static char *percent_encoded(struct med_arena *arena, struct med_str s)
{
    static const char HEX[] = "0123456789ABCDEF";
    char *out = med_arena_alloc(arena, 3 * s.len + 1);
    size_t len = 0;
    for (size_t i = 0; out && i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '.' || c == '_';
        if (!plain) out[len++] = '%';
        if (!plain) out[len++] = HEX[c >> 4];
        out[len++] = plain ? (char)c : HEX[c & 15];
    }
    if (out) out[len] = '\0';
    return out;
}

static enum med_code set_identity(struct jats *j, struct med_err *err)
{
    struct med_doc *doc = &j->doc;
    struct med_arena *arena = j->arena;
    char *id = NULL, *url = NULL;
    if (doc->pmcid.len > 0) {
        id = med_arena_printf(arena, "pmcid:" MED_STR_FMT, MED_STR_ARG(doc->pmcid));
        url = med_arena_printf(arena, "https://www.ncbi.nlm.nih.gov/pmc/articles/" MED_STR_FMT "/",
            MED_STR_ARG(doc->pmcid));
        doc->source_id = doc->pmcid;
    } else if (doc->pmid.len > 0) {
        id = med_arena_printf(arena, "pmid:" MED_STR_FMT, MED_STR_ARG(doc->pmid));
        doc->source_id = doc->pmid;
    } else if (doc->doi.len > 0) {
        char *encoded = percent_encoded(arena, doc->doi);
        if (encoded) id = med_arena_printf(arena, "doc:%s", encoded);
        doc->source_id = doc->doi;
    } else {
        return med_fail(err, MED_E_INVALID, "the article has none of PMCID, PMID and DOI");
    }
    if (!url && doc->doi.len > 0)
        url = med_arena_printf(arena, "https://doi.org/" MED_STR_FMT, MED_STR_ARG(doc->doi));
    else if (!url)
        url = med_arena_printf(
            arena, "https://pubmed.ncbi.nlm.nih.gov/" MED_STR_FMT "/", MED_STR_ARG(doc->pmid));
    if (!id || !url) return no_memory(j, err);
    doc->id = med_str_of(id);
    doc->url = med_str_of(url);
    return med_doc_id_check(doc->id, err);
}

/* ---- people ---- */

/* "Jean-Pierre A." -> "JPA"; "JA" and "J.A." are initials already. */
static struct med_str initials_of(struct jats *j, struct med_str given)
{
    char *out = med_arena_alloc(j->arena, given.len + 1);
    size_t len = 0;
    bool start = true, capitals = true;
    for (size_t i = 0; i < given.len; i++) {
        char c = given.ptr[i];
        if (c >= 'a' && c <= 'z') capitals = false;
    }
    capitals = capitals && given.len <= 5;
    for (size_t i = 0; out && i < given.len; i++) {
        unsigned char c = (unsigned char)given.ptr[i];
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c >= 0x80;
        if (letter && (start || capitals || (c & 0xc0) == 0x80)) {
            /* the bytes that continue a code point go with its first one only */
            if ((c & 0xc0) != 0x80 || (len > 0 && i > 0 && given.ptr[i - 1] == out[len - 1] &&
                                          (unsigned char)out[len - 1] >= 0x80))
                out[len++] = (char)c;
        }
        start = !letter && c != '\'';
    }
    return len > 0 ? (struct med_str){.ptr = out, .len = len} : (struct med_str){0};
}

static struct med_str find_orcid(struct jats *j, const struct med_node *contrib)
{
    for (const struct med_node *n = contrib->first; n; n = n->next) {
        bool wanted = med_node_is(n, "contrib-id") || med_node_is(n, "uri");
        if (!wanted) continue;
        struct med_str text = line(j, n);
        if (!contains(text, "orcid") && !is(med_node_attr(n, "contrib-id-type"), "orcid")) continue;
        if (text.len >= 19) return med_str_sub(text, text.len - 19, text.len);
    }
    return (struct med_str){0};
}

static bool take_author(struct jats *j, const struct med_node *contrib)
{
    struct med_author author = {0};
    const struct med_node *name = med_node_child(contrib, "name");
    const struct med_node *collab = med_node_child(contrib, "collab");
    if (!name) name = med_node_path(contrib, "name-alternatives/name");
    if (!name) name = med_node_child(contrib, "string-name");
    if (!collab) collab = med_node_path(contrib, "collab-alternatives/collab");
    if (name) {
        const struct med_node *given = med_node_child(name, "given-names");
        author.family = line(j, med_node_child(name, "surname"));
        author.given = line(j, given);
        author.initials = given ? med_node_attr(given, "initials") : (struct med_str){0};
        if (author.initials.len == 0) author.initials = initials_of(j, author.given);
        struct med_str suffix = line(j, med_node_child(name, "suffix"));
        if (suffix.len > 0)
            author.initials = printed(j, med_arena_printf(j->arena, MED_STR_FMT " " MED_STR_FMT,
                                             MED_STR_ARG(author.initials), MED_STR_ARG(suffix)));
        if (author.family.len == 0) author.family = line(j, name);
        author.orcid = find_orcid(j, contrib);
    } else if (collab) {
        author.family = line(j, collab);
        author.collective = true;
    }
    if (author.family.len == 0) return true;
    if (!med_grow(&j->doc.authors, &j->author_cap, j->doc.author_count + 1, sizeof author))
        return false;
    j->doc.authors[j->doc.author_count++] = author;
    return true;
}

static bool take_authors(struct jats *j, const struct med_node *meta)
{
    for (const struct med_node *g = meta->first; g; g = g->next) {
        if (!med_node_is(g, "contrib-group")) continue;
        for (const struct med_node *c = g->first; c; c = c->next) {
            struct med_str type =
                med_node_is(c, "contrib") ? med_node_attr(c, "contrib-type") : MED_STR("-");
            if ((type.len == 0 || is(type, "author")) && !take_author(j, c)) return false;
            if (med_node_is(c, "collab") && c == med_node_child(g, "collab") && !take_author(j, g))
                return false; /* DTD 2.3 */
        }
    }
    return true;
}

/* ---- journal and date ---- */

static void take_journal(struct jats *j, const struct med_node *front, const struct med_node *meta)
{
    const struct med_node *journal = med_node_child(front, "journal-meta");
    if (journal) {
        const struct med_node *title = med_node_path(journal, "journal-title-group/journal-title");
        j->doc.journal.title = line(j, title ? title : med_node_child(journal, "journal-title"));
        const struct med_node *abbrev =
            med_node_path(journal, "journal-title-group/abbrev-journal-title");
        if (!abbrev) abbrev = med_node_child(journal, "abbrev-journal-title");
        j->doc.journal.iso_abbreviation = line(j, abbrev);
        for (const struct med_node *n = journal->first; n; n = n->next) {
            struct med_str type = med_node_attr(n, "journal-id-type");
            bool ta =
                med_node_is(n, "journal-id") && (is(type, "iso-abbrev") || is(type, "nlm-ta"));
            if (ta && j->doc.journal.iso_abbreviation.len == 0)
                j->doc.journal.iso_abbreviation = line(j, n);
            if (med_node_is(n, "issn") && j->doc.journal.issn.len == 0)
                j->doc.journal.issn = line(j, n);
        }
    }
    j->doc.journal.volume = line(j, med_node_child(meta, "volume"));
    j->doc.journal.issue = line(j, med_node_child(meta, "issue"));
    struct med_str first = line(j, med_node_child(meta, "fpage")),
                   last = line(j, med_node_child(meta, "lpage"));
    j->doc.journal.pages = first.len > 0 ? first : line(j, med_node_child(meta, "elocation-id"));
    if (first.len > 0 && last.len > 0 && !med_str_eq(first, last))
        j->doc.journal.pages = printed(j, med_arena_printf(j->arena, MED_STR_FMT "-" MED_STR_FMT,
                                              MED_STR_ARG(first), MED_STR_ARG(last)));
}

static struct med_date read_date(struct jats *j, const struct med_node *node)
{
    struct med_date date = {0};
    unsigned long long day;
    if (!med_date_parse(line(j, med_node_child(node, "year")), &date)) return (struct med_date){0};
    date.month = med_month_parse(line(j, med_node_child(node, "month")));
    date.day = 0;
    if (date.month > 0 && med_str_to_u64(line(j, med_node_child(node, "day")), &day) && day >= 1 &&
        day <= 31)
        date.day = (uint8_t)day;
    return date;
}

/* Kinds of pub-date: 2 = publication, 1 = only when there is nothing better, 0 = never. */
static int date_rank(const struct med_node *node)
{
    struct med_str type = med_node_attr(node, "pub-type");
    if (type.len == 0) type = med_node_attr(node, "date-type");
    if (type.len == 0 || is(type, "epub") || is(type, "ppub") || is(type, "collection") ||
        is(type, "epub-ppub") || is(type, "pub"))
        return 2;
    return is(type, "retracted") || is(type, "corrected") || is(type, "ecorrected") ? 0 : 1;
}

/* The earliest date of publication; of one year's, one with a month before one without. */
static bool is_earlier(struct med_date a, struct med_date b)
{
    if (a.year != b.year) return a.year < b.year;
    if ((a.month == 0) != (b.month == 0)) return a.month != 0;
    if (a.month != b.month) return a.month < b.month;
    if ((a.day == 0) != (b.day == 0)) return a.day != 0;
    return a.day < b.day;
}

static void take_date(struct jats *j, const struct med_node *meta)
{
    int best_rank = 0;
    for (const struct med_node *n = meta->first; n; n = n->next) {
        if (!med_node_is(n, "pub-date")) continue;
        int rank = date_rank(n);
        struct med_date date = read_date(j, n);
        if (date.year == 0 || rank == 0 || rank < best_rank) continue;
        if (rank == best_rank && !is_earlier(date, j->doc.date)) continue;
        best_rank = rank;
        j->doc.date = date;
        struct med_str season = line(j, med_node_child(n, "season"));
        j->doc.date_text = (struct med_str){0};
        if (season.len > 0 && date.month == 0)
            j->doc.date_text = printed(
                j, med_arena_printf(j->arena, "%u " MED_STR_FMT, date.year, MED_STR_ARG(season)));
    }
}

/* ---- types, subjects, links ---- */

static bool take_types(struct jats *j, const struct med_node *article)
{
    static const char *const TYPES[][2] = {{"research-article", "Journal Article"},
        {"review-article", "Review"}, {"systematic-review", "Systematic Review"},
        {"meta-analysis", "Meta-Analysis"}, {"case-report", "Case Reports"},
        {"brief-report", "Journal Article"}, {"rapid-communication", "Journal Article"},
        {"editorial", "Editorial"}, {"letter", "Letter"}, {"reply", "Letter"},
        {"article-commentary", "Comment"}, {"discussion", "Comment"},
        {"correction", "Published Erratum"}, {"addendum", "Published Erratum"},
        {"retraction", "Retraction of Publication"},
        {"partial-retraction", "Retraction of Publication"},
        {"retracted-article", "Retracted Publication"},
        {"expression-of-concern", "Expression of Concern"}, {"news", "News"},
        {"protocol", "Clinical Trial Protocol"}, {"study-protocol", "Clinical Trial Protocol"},
        {"guideline", "Guideline"}, {"practice-guideline", "Practice Guideline"},
        {"clinical-trial", "Clinical Trial"}, {"abstract", "Meeting Abstract"},
        {"meeting-report", "Congress"}, {"obituary", "Obituary"}, {"dataset", "Dataset"},
        {"introduction", "Introductory Journal Article"}, {"preprint", "Preprint"}};
    struct med_str given = med_node_attr(article, "article-type");
    bool known = false;
    for (size_t i = 0; i < sizeof TYPES / sizeof *TYPES; i++) {
        if (!is(given, TYPES[i][0])) continue;
        known = true;
        bool also = is(given, "review-article") || is(given, "case-report") ||
                    is(given, "systematic-review") || is(given, "meta-analysis") ||
                    is(given, "clinical-trial");
        if ((also && !add_type(j, "Journal Article")) || !add_type(j, TYPES[i][1])) return false;
    }
    return known || add_type(j, "Journal Article");
}

/* A heading subject names the kind of the article, more finely than article-type does. */
static bool type_of_subject(struct jats *j, struct med_str subject)
{
    static const char *const TYPES[][2] = {
        {"randomized controlled trial", "Randomized Controlled Trial"},
        {"randomised controlled trial", "Randomized Controlled Trial"},
        {"systematic review", "Systematic Review"}, {"meta-analysis", "Meta-Analysis"},
        {"practice guideline", "Practice Guideline"}, {"study protocol", "Clinical Trial Protocol"},
        {"case report", "Case Reports"}, {"clinical trial protocol", "Clinical Trial Protocol"}};
    for (size_t i = 0; i < sizeof TYPES / sizeof *TYPES; i++) {
        if (contains(subject, TYPES[i][0]) && !add_type(j, TYPES[i][1])) return false;
    }
    bool review = is(subject, "review") || is(subject, "reviews") || is(subject, "review article");
    if (review && !add_type(j, "Review")) return false;
    return !is(subject, "editorial") || add_type(j, "Editorial");
}

static bool take_subjects(struct jats *j, const struct med_node *meta)
{
    const struct med_node *top = med_node_child(meta, "article-categories");
    for (const struct med_node *n = top; n; n = med_node_next(n, top, false)) {
        if (!med_node_is(n, "subject")) continue;
        struct med_str kind = med_node_attr(n->parent, "subj-group-type"), text = line(j, n);
        bool heading = is(kind, "heading") || is(kind, "article-type") || is(kind, "toc-heading");
        if (heading ? !type_of_subject(j, text)
                    : !is(kind, "hwp-journal-coll") && !add_keyword(j, text))
            return false;
    }
    return true;
}

static bool take_keywords(struct jats *j, const struct med_node *meta)
{
    for (const struct med_node *g = meta->first; g; g = g->next) {
        if (!med_node_is(g, "kwd-group") || is(med_node_attr(g, "kwd-group-type"), "abbreviations"))
            continue;
        for (const struct med_node *n = g; n; n = med_node_next(n, g, false)) {
            bool wanted = med_node_is(n, "kwd") || med_node_is(n, "compound-kwd");
            if (wanted && !add_keyword(j, line(j, n))) return false;
        }
    }
    return true;
}

static enum med_link_kind link_kind(struct med_str type)
{
    static const struct {
        const char *type;
        enum med_link_kind kind;
    } KINDS[] = {{"corrected-article", MED_LINK_ERRATUM_FOR},
        {"addended-article", MED_LINK_ERRATUM_FOR}, {"correction-forward", MED_LINK_ERRATUM_IN},
        {"retracted-article", MED_LINK_RETRACTION_OF},
        {"retraction-forward", MED_LINK_RETRACTION_IN},
        {"partial-retraction", MED_LINK_PARTIAL_RETRACTION_OF},
        {"object-of-concern", MED_LINK_CONCERN_FOR}, {"concern-forward", MED_LINK_CONCERN_IN},
        {"commentary-article", MED_LINK_COMMENT_ON}, {"commentary", MED_LINK_COMMENT_IN},
        {"letter", MED_LINK_COMMENT_ON}, {"updated-article", MED_LINK_UPDATE_OF},
        {"update", MED_LINK_UPDATE_IN}, {"republished-article", MED_LINK_REPUBLISHED_FROM}};
    for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++) {
        if (is(type, KINDS[i].type)) return KINDS[i].kind;
    }
    return MED_LINK_OTHER;
}

/* The id that a related-article names in its href or text: DOI, PMID or PMCID. */
static struct med_str link_target(struct jats *j, const struct med_node *node)
{
    struct med_str href = med_node_attr(node, "href"), type = med_node_attr(node, "ext-link-type");
    if (href.len == 0) href = line(j, node);
    struct med_str doi = med_clean_doi(href, j->arena), digits = digits_of(href);
    const char *prefix = NULL;
    if (doi.len > 0)
        return printed(j, med_arena_printf(j->arena, "doi:" MED_STR_FMT, MED_STR_ARG(doi)));
    if (is(type, "pubmed") || is(type, "pmid"))
        prefix = "pmid:";
    else if (is(type, "pmc") || is(type, "pmcid") || (digits.len > 0 && digits.len < href.len))
        prefix = "pmcid:PMC";
    if (!prefix || digits.len == 0) return (struct med_str){0};
    return printed(j, med_arena_printf(j->arena, "%s" MED_STR_FMT, prefix, MED_STR_ARG(digits)));
}

static bool take_links(struct jats *j, const struct med_node *meta)
{
    for (const struct med_node *n = meta->first; n; n = n->next) {
        if (!med_node_is(n, "related-article")) continue;
        struct med_str type = med_node_attr(n, "related-article-type"), note = line(j, n);
        struct med_link link = {.kind = link_kind(type), .target = link_target(j, n), .note = note};
        if (link.kind == MED_LINK_OTHER && note.len == 0) link.note = type;
        if (!med_grow(&j->doc.links, &j->link_cap, j->doc.link_count + 1, sizeof link))
            return false;
        j->doc.links[j->doc.link_count++] = link;
    }
    return true;
}

/* ---- the rest of the front ---- */

/* A licence's address where one is given, else its type or wording. */
static struct med_str find_licence(struct jats *j, const struct med_node *meta)
{
    const struct med_node *licence = med_node_path(meta, "permissions/license");
    if (!licence) licence = med_node_child(meta, "license");
    if (!licence) return line(j, med_node_path(meta, "permissions/copyright-statement"));
    struct med_str href = med_node_attr(licence, "href");
    if (href.len == 0) href = line(j, med_node_find(licence, "license_ref"));
    for (const struct med_node *n = licence; n && href.len == 0;
         n = med_node_next(n, licence, false)) {
        struct med_str target = med_node_attr(n, "href");
        if (contains(target, "creativecommons.org")) href = target;
    }
    if (href.len == 0) href = med_node_attr(licence, "license-type");
    return href.len > 0 ? href : line(j, licence);
}

static enum med_code take_title(struct jats *j, const struct med_node *meta, struct med_err *err)
{
    const struct med_node *group = med_node_child(meta, "title-group");
    j->doc.title = line(j, med_node_child(group, "article-title"));
    struct med_str subtitle = line(j, med_node_child(group, "subtitle"));
    if (subtitle.len > 0 && j->doc.title.len > 0) {
        bool mark = strchr(":?!.", j->doc.title.ptr[j->doc.title.len - 1]);
        char *title = med_arena_printf(j->arena, MED_STR_FMT "%s " MED_STR_FMT,
            MED_STR_ARG(j->doc.title), mark ? "" : ":", MED_STR_ARG(subtitle));
        if (!title) return no_memory(j, err);
        j->doc.title = med_str_of(title);
    }
    const struct med_node *translated = med_node_path(group, "trans-title-group/trans-title");
    j->doc.vernacular_title =
        line(j, translated ? translated : med_node_child(group, "trans-title"));
    return MED_OK;
}

static struct med_str lower(struct jats *j, struct med_str s)
{
    char *out = med_arena_strndup(j->arena, s.ptr, s.len);
    if (!out) j->starved = true;
    for (size_t i = 0; out && i < s.len; i++) {
        if (out[i] >= 'A' && out[i] <= 'Z') out[i] = (char)(out[i] + 32);
    }
    return out && s.len > 0 ? (struct med_str){.ptr = out, .len = s.len} : (struct med_str){0};
}

/* ---- text ---- */

enum abstract_use { ABSTRACT_MAIN, ABSTRACT_OTHER, ABSTRACT_NOT };

static enum abstract_use abstract_use(const struct med_node *node)
{
    struct med_str type = med_node_attr(node, "abstract-type");
    if (is(type, "graphical") || is(type, "teaser") || is(type, "toc") || is(type, "video") ||
        is(type, "ASCII"))
        return ABSTRACT_NOT;
    bool main = type.len == 0 || is(type, "normal") || is(type, "structured") ||
                is(type, "unstructured") || is(type, "section") || is(type, "sections");
    return main && med_node_is(node, "abstract") ? ABSTRACT_MAIN : ABSTRACT_OTHER;
}

static struct med_str abstract_name(struct jats *j, const struct med_node *node)
{
    struct med_str name = line(j, med_node_child(node, "title"));
    struct med_str language = med_node_attr(node, "lang"),
                   type = med_node_attr(node, "abstract-type");
    if (name.len > 0) return name;
    if (med_node_is(node, "trans-abstract") && language.len > 0)
        return printed(
            j, med_arena_printf(j->arena, "Abstract (" MED_STR_FMT ")", MED_STR_ARG(language)));
    if (is(type, "plain-language-summary")) return MED_STR("Plain language summary");
    if (is(type, "executive-summary")) return MED_STR("Executive summary");
    if (is(type, "editor") || is(type, "editors-summary")) return MED_STR("Editor's summary");
    return MED_STR("Summary");
}

/* The main abstract first. Where none is marked so, the first other one that is worth reading takes
 * its place. */
static void flow_abstracts(struct jats *j, const struct med_node *meta)
{
    struct med_flow *f = &j->text.main;
    const struct med_node *main = NULL, *other = NULL;
    for (const struct med_node *n = meta->first; n; n = n->next) {
        if (!med_node_is(n, "abstract") && !med_node_is(n, "trans-abstract")) continue;
        enum abstract_use use = abstract_use(n);
        if (use == ABSTRACT_MAIN && !main) main = n;
        if (use == ABSTRACT_OTHER && !other && med_node_is(n, "abstract")) other = n;
    }
    if (!main) main = other;
    if (main) {
        f->kind = MED_SECTION_ABSTRACT;
        med_flow_base(f, MED_STR("Abstract"), MED_STR("Abstract"));
        med_jats_flow(&j->text, main, 1);
        med_flow_base(f, (struct med_str){0}, (struct med_str){0});
    }
    f->kind = MED_SECTION_OTHER;
    for (const struct med_node *n = meta->first; n; n = n->next) {
        bool wanted = med_node_is(n, "abstract") || med_node_is(n, "trans-abstract");
        if (!wanted || n == main || abstract_use(n) == ABSTRACT_NOT) continue;
        med_flow_heading(f, 1, abstract_name(j, n));
        med_jats_flow(&j->text, n, 2);
        med_flow_leave(f, 1);
    }
    f->kind = MED_SECTION_BODY;
}

static void flow_text(struct jats *j, const struct med_node *article, const struct med_node *meta)
{
    struct med_flow *f = &j->text.main;
    flow_abstracts(j, meta);
    med_flow_base(f, (struct med_str){0}, MED_STR("Full text"));
    const struct med_node *body = med_node_child(article, "body");
    if (body) med_jats_flow(&j->text, body, 1);
    for (const struct med_node *n = article->first; n; n = n->next) {
        if (med_node_is(n, "floats-group") || med_node_is(n, "floats-wrap"))
            med_jats_flow(&j->text, n, 1);
    }
    const struct med_node *back = med_node_child(article, "back");
    for (const struct med_node *n = back ? back->first : NULL; n; n = n->next) {
        if (med_node_is(n, "app-group") || med_node_is(n, "app") || med_node_is(n, "sec"))
            med_jats_flow(&j->text, n, 1);
    }
}

/* ---- the whole article ---- */

static enum med_code make_document(struct jats *j, struct med_err *err)
{
    const struct med_node *article = med_node_child(j->tree.root, "article");
    const struct med_node *front = med_node_child(article, "front");
    const struct med_node *meta = med_node_child(front, "article-meta");
    if (!meta) return med_fail(err, MED_E_INVALID, "the article has no article-meta");
    take_ids(j, meta);
    enum med_code code = set_identity(j, err);
    if (code == MED_OK) code = take_title(j, meta, err);
    if (code != MED_OK) return code;
    take_journal(j, front, meta);
    take_date(j, meta);
    j->doc.licence = find_licence(j, meta);
    j->doc.language = lower(j, med_node_attr(article, "lang"));
    if (!take_authors(j, meta) || !take_types(j, article) || !take_keywords(j, meta) ||
        !take_subjects(j, meta) || !take_links(j, meta))
        return no_memory(j, err);
    flow_text(j, article, meta);
    code = med_flow_finish(&j->text.main, false, err);
    if (code == MED_OK) code = med_flow_finish(&j->text.aux, false, err);
    if (code == MED_OK && j->starved) code = no_memory(j, err);
    if (code != MED_OK) return code;
    j->doc.sections = j->text.main.sections;
    j->doc.section_count = j->text.main.count;
    if (j->doc.title.len == 0 && j->doc.section_count == 0)
        return med_fail(err, MED_E_INVALID, "the article has neither a title nor a text");
    return MED_OK;
}

static void reset(struct jats *j, uint64_t sequence)
{
    struct med_doc old = j->doc;
    j->doc = (struct med_doc){.source = MED_SOURCE_PMC,
        .authors = old.authors,
        .publication_types = old.publication_types,
        .keywords = old.keywords,
        .links = old.links,
        .precedence = {.sequence = sequence}};
    j->starved = false;
    med_arena_reset(j->arena);
    med_jats_text_begin(&j->text, j->arena);
}

static enum med_code parse_record(void *parser, const struct med_origin *origin,
    const struct med_source_record *record, const struct med_doc_sink *sink, struct med_err *err)
{
    struct jats *j = parser;
    struct med_err why = {0};
    reset(j, origin->sequence);
    enum med_code code = med_tree_begin(&j->tree, j->arena, MED_JATS_IGNORED, &why);
    med_xml_set_line(j->xml, record->line);
    if (code == MED_OK) code = med_xml_parse(j->xml, record->bytes, &why);
    if (code == MED_OK) code = make_document(j, &why);
    if (code == MED_OK) return sink->document(sink->ctx, &j->doc, err);
    if (code == MED_E_INVALID || code == MED_E_LIMIT)
        return sink->skipped(sink->ctx, record->offset, record->line, why.text, err);
    if (err) *err = why;
    return code;
}

static enum med_code split(
    const struct med_input *in, const struct med_record_sink *sink, struct med_err *err)
{
    static const struct med_xml_record_kind KINDS[] = {{"article", false}};
    return med_xml_records(in, KINDS, 1, sink, err);
}

static void close_parser(void *parser)
{
    struct jats *j = parser;
    med_xml_free(&j->xml);
    med_arena_free(&j->arena);
    med_jats_text_free(&j->text);
    med_free(j->doc.authors);
    med_free(j->doc.publication_types);
    med_free(j->doc.keywords);
    med_free(j->doc.links);
    med_free(j);
}

static enum med_code open_parser(void **ret_parser, struct med_err *err)
{
    struct jats *j = med_calloc(1, sizeof *j);
    if (!j) return med_fail(err, MED_E_NOMEM, "out of memory for an article");
    med_jats_text_init(&j->text);
    const struct med_xml_handler handler = med_tree_handler(&j->tree);
    enum med_code code = med_arena_new(MED_DOC_ARENA_BYTES_MAX, &j->arena, err);
    if (code == MED_OK) code = med_xml_new(&handler, &j->xml, err);
    if (code == MED_OK)
        *ret_parser = j;
    else
        close_parser(j);
    return code;
}

const struct med_parser_kind med_parser_jats = {split, open_parser, parse_record, close_parser};

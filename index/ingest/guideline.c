/* Guidelines to documents: Markdown, HTML and plain text with optional front matter.
 *
 * Front matter: title, organization, type, date, grade, url, language, licence, id or slug,
 * keywords, doi, pmid, supersedes and superseded_by (slugs) fill the document's own fields; every
 * other key goes into metadata_json.
 *
 * Identity: the slug is `id` or `slug` of the front matter, else the file's name without extension,
 * else (stdin) the title. In it everything but letters and digits is one '-'. One slug is one
 * guideline: a second file of the same slug, from whatever folder, is an update of the first; give
 * them different `id`s where they are not. */
#include "index/ingest/guideline.h"

#include "common/json.h"
#include "common/mem.h"
#include "common/unicode.h"
#include "index/ingest/clean.h"
#include "index/ingest/encoding.h"
#include "index/ingest/front_matter.h"
#include "index/ingest/tree.h"

#define SLUG_BYTES_MAX 200
#define READ_BYTES ((size_t)64 << 10)

struct parser {
    struct med_str file_name;
    struct med_guideline g;
    struct med_front front;
    struct med_doc doc;
    struct med_buf scratch;
    enum med_code code; /* the first failure of a helper that returns a string */
    struct med_err err;
};

void med_guideline_heading(struct med_guideline *g, unsigned level, struct med_str text)
{
    if (text.len == 0) return;
    bool first = !g->any_heading;
    g->any_heading = true;
    if (first && level == 1) {
        if (g->title.len == 0) g->title = text;
        if (med_str_eq_nocase(g->title, text)) {
            med_flow_leave(&g->flow, 1);
            return;
        }
    }
    med_flow_heading(&g->flow, level, text);
}

/* ---- front matter to fields ---- */

/* Remembers a failure; true when code is none. */
static bool ok(struct parser *p, enum med_code code)
{
    if (p->code == MED_OK) p->code = code;
    return code == MED_OK;
}

static struct med_str front_str(struct parser *p, const char *const *keys)
{
    const struct med_front_entry *e = med_front_get(&p->front, keys);
    struct med_str text = {0};
    if (!e || e->value_count == 0) return text;
    (void)ok(p, med_clean_line(e->values[0], p->g.arena, &p->scratch, &text, &p->err));
    return text;
}

static struct med_str *front_list(struct parser *p, const char *const *keys, size_t *ret_count)
{
    const struct med_front_entry *e = med_front_get(&p->front, keys);
    *ret_count = 0;
    if (!e || e->value_count == 0) return NULL;
    for (size_t i = 0; i < e->value_count; i++) {
        struct med_str *v = &e->values[i];
        if (!ok(p, med_clean_line(*v, p->g.arena, &p->scratch, v, &p->err))) return NULL;
    }
    *ret_count = e->value_count;
    return e->values;
}

#define KEYS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define TITLE KEYS("title")
#define ORGANIZATION KEYS("organization", "organisation", "publisher", "issuer")
#define TYPE KEYS("type", "publication_type", "publication_types")
#define DATE KEYS("date", "published", "publication_date", "year")
#define GRADE KEYS("grade", "grades")
#define URL KEYS("url", "link")
#define LANGUAGE KEYS("language", "lang")
#define LICENCE KEYS("licence", "license")
#define SLUG KEYS("id", "slug")
#define KEYWORDS KEYS("keywords", "tags")
#define DOI KEYS("doi")
#define PMID KEYS("pmid")
#define SUPERSEDES KEYS("supersedes", "replaces")
#define SUPERSEDED KEYS("superseded_by", "replaced_by")

static struct med_str joined(struct parser *p, const struct med_str *list, size_t count)
{
    struct med_str text = {0};
    med_buf_reset(&p->scratch);
    for (size_t i = 0; i < count; i++) {
        if (i > 0) med_buf_puts(&p->scratch, ", ");
        med_buf_append_str(&p->scratch, list[i]);
    }
    if (!med_arena_str(p->g.arena, med_buf_str(&p->scratch), &text))
        (void)ok(p, med_tree_no_memory(p->g.arena, &p->err));
    return text;
}

/* Lower-cased, everything but ASCII letters and digits and non-ASCII characters as single '-', none
 * at the ends. */
static struct med_str slug_of(struct parser *p, struct med_str s)
{
    char *out = med_arena_alloc(p->g.arena, s.len + 1);
    size_t len = 0;
    if (!out) (void)ok(p, med_tree_no_memory(p->g.arena, &p->err));
    for (size_t i = 0; out && i < s.len; i++) {
        char c = s.ptr[i];
        if (c >= 'A' && c <= 'Z') c = (char)(c + 32);
        bool keep = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (unsigned char)c >= 0x80;
        if (keep)
            out[len++] = c;
        else if (len > 0 && out[len - 1] != '-')
            out[len++] = '-';
    }
    struct med_str slug = {.ptr = out, .len = len};
    if (len > SLUG_BYTES_MAX) slug.len = med_utf8_floor(slug, SLUG_BYTES_MAX);
    while (slug.len > 0 && slug.ptr[slug.len - 1] == '-') slug.len--;
    return slug;
}

static struct med_str without_extension(struct med_str name)
{
    static const char *const EXTENSIONS[] = {
        ".gz", ".md", ".markdown", ".mdown", ".html", ".htm", ".xhtml", ".txt", ".text"};
    for (size_t i = 0; i < sizeof EXTENSIONS / sizeof *EXTENSIONS; i++) {
        struct med_str e = med_str_of(EXTENSIONS[i]);
        if (name.len > e.len && med_str_eq_nocase(med_str_sub(name, name.len - e.len, name.len), e))
            name.len -= e.len;
    }
    for (size_t i = name.len; i > 0; i--) { /* a member of an archive comes with its path */
        if (name.ptr[i - 1] == '/') return med_str_sub(name, i, name.len);
    }
    return name;
}

static enum med_code set_identity(struct parser *p, struct med_err *err)
{
    struct med_str given = front_str(p, SLUG), slug;
    if (med_str_starts(given, MED_STR("guideline:"))) given = med_str_sub(given, 10, given.len);
    slug = slug_of(p, given);
    if (slug.len == 0) slug = slug_of(p, without_extension(p->file_name));
    if (slug.len == 0) slug = slug_of(p, p->doc.title);
    if (slug.len == 0)
        return med_fail(
            err, MED_E_INVALID, "the guideline has neither an id nor a file name nor a title");
    if (p->doc.title.len == 0) p->doc.title = slug;
    char *id = med_arena_printf(p->g.arena, "guideline:" MED_STR_FMT, MED_STR_ARG(slug));
    if (!id) return med_tree_no_memory(p->g.arena, err);
    p->doc.id = med_str_of(id);
    p->doc.source_id = slug;
    return med_doc_id_check(p->doc.id, err);
}

/* "... (grade B)" in headings, in their order, when the front matter states none. */
static struct med_str grades_of_headings(struct parser *p)
{
    struct med_str found[16];
    size_t count = 0;
    for (size_t i = 0; i < p->doc.section_count && count < 16; i++) {
        struct med_str h = p->doc.sections[i].heading;
        for (size_t at = 0; at + 8 < h.len && count < 16; at++) {
            if (!med_str_eq_nocase(med_str_sub(h, at, at + 7), MED_STR("(grade "))) continue;
            const char *close = memchr(h.ptr + at, ')', h.len - at);
            if (!close) break;
            struct med_str grade = med_str_trim(med_str_sub(h, at + 7, (size_t)(close - h.ptr)));
            bool known = grade.len == 0 || grade.len > 12;
            for (size_t k = 0; k < count; k++) known = known || med_str_eq(found[k], grade);
            if (!known) found[count++] = grade;
        }
    }
    return count > 0 ? joined(p, found, count) : (struct med_str){0};
}

static enum med_code set_links(struct parser *p, struct med_err *err)
{
    size_t newer_count, older_count;
    struct med_str *newer = front_list(p, SUPERSEDED, &newer_count),
                   *older = front_list(p, SUPERSEDES, &older_count);
    struct med_link *links =
        med_arena_calloc(p->g.arena, newer_count + older_count + 1, sizeof *links);
    if (!links) return med_tree_no_memory(p->g.arena, err);
    for (size_t i = 0; i < newer_count + older_count; i++) {
        struct med_str name = i < newer_count ? newer[i] : older[i - newer_count];
        if (med_str_starts(name, MED_STR("guideline:"))) name = med_str_sub(name, 10, name.len);
        struct med_str slug = slug_of(p, name);
        if (slug.len == 0) continue;
        char *id = med_arena_printf(p->g.arena, "guideline:" MED_STR_FMT, MED_STR_ARG(slug));
        if (!id) return med_tree_no_memory(p->g.arena, err);
        links[p->doc.link_count++] =
            (struct med_link){.kind = i < newer_count ? MED_LINK_UPDATE_IN : MED_LINK_UPDATE_OF,
                .target = med_str_of(id)};
    }
    p->doc.links = links;
    return MED_OK;
}

/* A list, or one value with commas. */
static enum med_code set_keywords(struct parser *p, struct med_err *err)
{
    size_t count, pieces = 1;
    struct med_str *list = front_list(p, KEYWORDS, &count);
    p->doc.keywords = list;
    p->doc.keyword_count = count;
    if (count != 1) return MED_OK;
    for (size_t i = 0; i < list->len; i++) pieces += list->ptr[i] == ',' || list->ptr[i] == ';';
    p->doc.keywords = med_arena_calloc(p->g.arena, pieces, sizeof *list);
    p->doc.keyword_count = 0;
    if (!p->doc.keywords) return med_tree_no_memory(p->g.arena, err);
    for (size_t start = 0, end; start <= list->len; start = end + 1) {
        end = start;
        while (end < list->len && list->ptr[end] != ',' && list->ptr[end] != ';') end++;
        struct med_str word = med_str_trim(med_str_sub(*list, start, end));
        if (word.len > 0) p->doc.keywords[p->doc.keyword_count++] = word;
    }
    return MED_OK;
}

static bool is_own_key(struct med_str key)
{
    const char *const *const OWN[] = {TITLE, ORGANIZATION, TYPE, DATE, GRADE, URL, LANGUAGE,
        LICENCE, SLUG, KEYWORDS, DOI, PMID, SUPERSEDES, SUPERSEDED};
    for (size_t i = 0; i < sizeof OWN / sizeof *OWN; i++) {
        for (const char *const *k = OWN[i]; *k; k++) {
            if (med_str_eq(key, med_str_of(*k))) return true;
        }
    }
    return false;
}

static enum med_code set_metadata(struct parser *p, struct med_err *err)
{
    bool any = false;
    med_buf_reset(&p->scratch);
    struct med_jw w = med_jw_of(&p->scratch, false);
    med_jw_object(&w);
    for (size_t i = 0; i < p->front.count; i++) {
        const struct med_front_entry *e = &p->front.entries[i];
        bool again = false; /* JSON keys are unique: the first one counts */
        for (size_t k = 0; k < i; k++) again = again || med_str_eq(p->front.entries[k].key, e->key);
        if (again || is_own_key(e->key) || e->json.len == 0) continue;
        med_jw_key(&w, e->key.ptr);
        med_jw_raw(&w, e->json);
        any = true;
    }
    med_jw_object_end(&w);
    enum med_code code = med_buf_status(&p->scratch, err);
    if (code != MED_OK || !any) return code;
    bool copied = med_arena_str(p->g.arena, med_buf_str(&p->scratch), &p->doc.metadata_json);
    return copied ? MED_OK : med_tree_no_memory(p->g.arena, err);
}

static enum med_code set_fields(struct parser *p, struct med_err *err)
{
    static struct med_str default_type = {"Practice Guideline", 18};
    struct med_doc *doc = &p->doc;
    size_t count;
    doc->source = MED_SOURCE_GUIDELINE;
    doc->organization = front_str(p, ORGANIZATION);
    doc->publication_types = front_list(p, TYPE, &doc->publication_type_count);
    if (doc->publication_type_count == 0) {
        doc->publication_types = &default_type;
        doc->publication_type_count = 1;
    }
    struct med_str date = front_str(p, DATE);
    if (med_date_parse(date, &doc->date))
        doc->date_text = doc->date.month == 0 && date.len > 4 ? date : (struct med_str){0};
    struct med_str *grades = front_list(p, GRADE, &count);
    doc->grade = count > 0 ? joined(p, grades, count) : grades_of_headings(p);
    doc->url = front_str(p, URL);
    doc->language = front_str(p, LANGUAGE);
    if (doc->language.len == 0) doc->language = p->g.language;
    doc->licence = front_str(p, LICENCE);
    enum med_code code = set_keywords(p, err);
    if (code != MED_OK) return code;
    doc->doi = med_clean_doi(front_str(p, DOI), p->g.arena);
    unsigned long long number;
    struct med_str pmid = front_str(p, PMID);
    if (med_str_to_u64(pmid, &number)) doc->pmid = pmid;
    code = set_links(p, err);
    return code == MED_OK ? set_metadata(p, err) : code;
}

/* ---- the whole file ---- */

static enum med_code read_all(const struct med_input *in, struct med_buf *out, struct med_err *err)
{
    struct med_utf8_input *utf8 = NULL;
    enum med_code code = med_utf8_input_open(in, &utf8, err);
    size_t len = 1;
    while (code == MED_OK && len > 0) {
        char piece[READ_BYTES];
        code = med_utf8_input_read(utf8, piece, sizeof piece, &len, err);
        if (code == MED_OK) med_buf_append(out, piece, len);
        if (code == MED_OK) code = med_buf_status(out, err);
    }
    med_utf8_input_close(&utf8);
    return code;
}

static enum med_code make_document(
    struct parser *p, enum med_format format, struct med_str text, struct med_err *err)
{
    struct med_str yaml, rest = text;
    enum med_code code = MED_OK;
    if (med_front_split(text, &yaml, &rest))
        code = med_front_parse(yaml, p->g.arena, &p->front, err);
    if (code != MED_OK) return code;
    p->g.title = front_str(p, TITLE);
    if (format == MED_FORMAT_HTML)
        code = med_guideline_html(&p->g, rest, err);
    else if (format == MED_FORMAT_MARKDOWN)
        code = med_guideline_markdown(&p->g, rest, err);
    else
        code = med_guideline_text(&p->g, rest, err);
    if (code == MED_OK) code = med_flow_finish(&p->g.flow, true, err);
    if (code == MED_OK) code = med_flow_finish(&p->g.aux, true, err);
    if (code != MED_OK) return code;
    p->doc.title = p->g.title.len > 0 ? p->g.title : p->g.page_title;
    p->doc.sections = p->g.flow.sections;
    p->doc.section_count = p->g.flow.count;
    if (p->doc.title.len == 0 && p->doc.section_count > 0)
        p->doc.title = p->doc.sections[0].heading;
    if (p->doc.title.len == 0 && p->doc.section_count == 0)
        return med_fail(err, MED_E_INVALID, "the file has no text");
    code = set_identity(p, err);
    if (p->code == MED_OK && code == MED_OK) code = set_fields(p, err);
    if (p->code == MED_OK) return code;
    if (err) *err = p->err;
    return p->code;
}

static enum med_code split(
    const struct med_input *in, const struct med_record_sink *sink, struct med_err *err)
{
    struct med_buf text;
    struct med_err why = {0};
    med_buf_init(&text, MED_DOC_TEXT_BYTES_MAX);
    enum med_code code = read_all(in, &text, &why);
    const struct med_source_record whole = {.bytes = med_buf_str(&text), .line = 1};
    if (code == MED_OK) {
        code = sink->record(sink->ctx, &whole, err);
    } else if (code == MED_E_LIMIT) {
        code = sink->skipped(sink->ctx, 0, 1, why.text, err);
    } else if (err) {
        *err = why;
    }
    med_buf_free(&text);
    return code;
}

static enum med_code parse_record(void *parser, const struct med_origin *origin,
    const struct med_source_record *record, const struct med_doc_sink *sink, struct med_err *err)
{
    struct parser *p = parser;
    struct med_err why = {0};
    *p = (struct parser){.file_name = origin->name, .g.arena = p->g.arena};
    med_arena_reset(p->g.arena);
    med_buf_init(&p->scratch, 2 * MED_DOC_TEXT_BYTES_MAX);
    med_flow_init(&p->g.flow);
    med_flow_init(&p->g.aux);
    med_flow_begin(&p->g.flow, p->g.arena);
    med_flow_begin(&p->g.aux, p->g.arena);
    enum med_code code = make_document(p, origin->format, record->bytes, &why);
    if (code == MED_OK)
        code = sink->document(sink->ctx, &p->doc, err);
    else if (code == MED_E_INVALID || code == MED_E_LIMIT)
        code = sink->skipped(sink->ctx, record->offset, record->line, why.text, err);
    else if (err)
        *err = why;
    med_flow_free(&p->g.flow);
    med_flow_free(&p->g.aux);
    med_buf_free(&p->scratch);
    return code;
}

static void close_parser(void *parser)
{
    struct parser *p = parser;
    med_arena_free(&p->g.arena);
    med_free(p);
}

static enum med_code open_parser(void **ret_parser, struct med_err *err)
{
    struct parser *p = med_calloc(1, sizeof *p);
    if (!p) return med_fail(err, MED_E_NOMEM, "out of memory for a guideline");
    enum med_code code = med_arena_new(MED_DOC_ARENA_BYTES_MAX, &p->g.arena, err);
    if (code == MED_OK)
        *ret_parser = p;
    else
        close_parser(p);
    return code;
}

const struct med_parser_kind med_parser_guideline = {
    split, open_parser, parse_record, close_parser};

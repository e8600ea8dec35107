/* The fields of a JSON record, one function per kind of field. A field of the wrong type refuses
 * the record: silently dropped data would be found missing only years later. null is the same as
 * absent. */
#include "index/ingest/json_doc.h"

#include "common/limits.h"
#include "index/document/text.h"
#include "index/ingest/clean.h"

#include <stdio.h>

struct maker {
    const struct med_json *root;
    struct med_str json;
    struct med_arena *arena;
    struct med_buf *scratch;
    struct med_doc *doc;
    struct med_err *err;
};

static enum med_code no_memory(struct maker *m)
{
    return med_fail(m->err, MED_E_NOMEM, "out of memory for a record");
}

/* NULL for absent and null. */
static const struct med_json *field(const struct med_json *object, const char *key)
{
    const struct med_json *v = med_json_get(object, key);
    return v && med_json_type(v) != MED_JSON_NULL ? v : NULL;
}

static enum med_code wrong_type(
    struct maker *m, const char *key, const struct med_json *v, const char *wanted)
{
    return med_fail(m->err, MED_E_INVALID, "\"%s\" is %s, not %s", key,
        med_json_type_name(med_json_type(v)), wanted);
}

/* A string, or a number as its digits. Cleaned to one line, or to paragraphs. */
static enum med_code text_of(struct maker *m, const char *key, const struct med_json *v,
    bool paragraphs, struct med_str *ret_text)
{
    if (!v || med_json_type(v) == MED_JSON_NULL) return MED_OK;
    if (med_json_type(v) == MED_JSON_NUMBER) {
        long long number;
        char *text;
        if (med_json_int(v, -(1ll << 53), 1ll << 53, &number)) {
            text = med_arena_printf(m->arena, "%lld", number);
        } else {
            text = med_arena_printf(m->arena, "%.17g", med_json_number(v));
        }
        if (!text) return no_memory(m);
        *ret_text = med_str_of(text);
        return MED_OK;
    }
    if (med_json_type(v) != MED_JSON_STRING) return wrong_type(m, key, v, "a string");
    struct med_str raw = med_json_string(v);
    return paragraphs ? med_clean_text(raw, m->arena, m->scratch, ret_text, m->err)
                      : med_clean_line(raw, m->arena, m->scratch, ret_text, m->err);
}

static enum med_code line_field(
    struct maker *m, const struct med_json *object, const char *key, struct med_str *ret_text)
{
    return text_of(m, key, field(object, key), false, ret_text);
}

/* An array of strings, or one string. */
static enum med_code list_field(
    struct maker *m, const char *key, struct med_str **ret_list, size_t *ret_count)
{
    const struct med_json *v = field(m->root, key);
    if (!v) return MED_OK;
    bool array = med_json_type(v) == MED_JSON_ARRAY;
    size_t count = array ? med_json_count(v) : 1;
    struct med_str *list = med_arena_calloc(m->arena, count, sizeof *list);
    if (!list) return no_memory(m);
    size_t filled = 0;
    for (const struct med_json *item = array ? med_json_first(v) : v; item;
         item = array ? med_json_next(item) : NULL) {
        enum med_code code = text_of(m, key, item, false, &list[filled]);
        if (code != MED_OK) return code;
        if (list[filled].len > 0) filled++;
    }
    *ret_list = list;
    *ret_count = filled;
    return MED_OK;
}

/* ---- id ---- */

/* What an id may not hold, and '%' so that the encoding can be undone. */
static bool must_encode(unsigned char c)
{
    return c <= ' ' || c == 0x7f || c == '~' || c == '%';
}

static enum med_code encoded_id(
    struct maker *m, const char *prefix, struct med_str source_id, struct med_str *ret_id)
{
    med_buf_reset(m->scratch);
    med_buf_puts(m->scratch, prefix);
    for (size_t i = 0; i < source_id.len; i++) {
        unsigned char c = (unsigned char)source_id.ptr[i];
        if (must_encode(c))
            med_buf_printf(m->scratch, "%%%02X", c);
        else
            med_buf_putc(m->scratch, (char)c);
    }
    enum med_code code = med_buf_status(m->scratch, m->err);
    if (code != MED_OK) return code;
    if (!med_arena_str(m->arena, med_buf_str(m->scratch), ret_id)) return no_memory(m);
    return med_doc_id_check(*ret_id, m->err);
}

/* "pmid:1", "guideline:x" as they are; everything else under doc:. */
static enum med_code native_id(struct maker *m, struct med_str given)
{
    static const char *const prefixes[] = {"pmid:", "pmcid:", "guideline:", "doc:"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        struct med_str prefix = med_str_of(prefixes[i]);
        if (given.len > prefix.len && med_str_starts(given, prefix)) {
            m->doc->source_id = med_str_sub(given, prefix.len, given.len);
            m->doc->id = given;
            return med_doc_id_check(given, m->err);
        }
    }
    m->doc->source_id = given;
    return encoded_id(m, "doc:", given, &m->doc->id);
}

static enum med_code make_id(struct maker *m)
{
    struct med_doc *doc = m->doc;
    const struct med_json *beir = field(m->root, "_id"), *own = field(m->root, "id");
    struct med_str given = {0};
    if (beir && med_json_type(beir) == MED_JSON_STRING) {
        if (!med_arena_str(m->arena, med_json_string(beir), &given)) return no_memory(m);
    } else {
        enum med_code code = text_of(m, beir ? "_id" : "id", beir ? beir : own, false, &given);
        if (code != MED_OK) return code;
    }
    if (given.len > 0 && !beir) return native_id(m, given);
    if (given.len > 0) {
        doc->source_id = given;
        return encoded_id(m, "doc:", given, &doc->id);
    }
    struct med_str name = doc->pmid.len > 0 ? doc->pmid : doc->pmcid;
    if (name.len == 0) return med_fail(m->err, MED_E_INVALID, "the record has no _id or id");
    doc->source_id = name;
    return encoded_id(m, doc->pmid.len > 0 ? "pmid:" : "pmcid:", name, &doc->id);
}

/* ---- structured fields ---- */

/* "Family, Given" is split; any other string is kept whole, for names cannot be guessed. */
static enum med_code make_author(
    struct maker *m, const struct med_json *v, struct med_author *author)
{
    if (med_json_type(v) == MED_JSON_OBJECT) {
        struct med_str collective = {0};
        enum med_code code = line_field(m, v, "family", &author->family);
        if (code == MED_OK) code = line_field(m, v, "given", &author->given);
        if (code == MED_OK) code = line_field(m, v, "initials", &author->initials);
        if (code == MED_OK) code = line_field(m, v, "orcid", &author->orcid);
        if (code == MED_OK) code = line_field(m, v, "collective", &collective);
        if (collective.len > 0) {
            author->family = collective;
            author->collective = true;
        }
        return code;
    }
    struct med_str name = {0};
    enum med_code code = text_of(m, "authors", v, false, &name);
    if (code != MED_OK || name.len == 0) return code;
    const char *comma = memchr(name.ptr, ',', name.len);
    size_t at = comma ? (size_t)(comma - name.ptr) : name.len;
    author->family = med_str_trim(med_str_sub(name, 0, at));
    if (comma) author->given = med_str_trim(med_str_sub(name, at + 1, name.len));
    return MED_OK;
}

static enum med_code make_authors(struct maker *m)
{
    const struct med_json *v = field(m->root, "authors");
    if (!v) return MED_OK;
    if (med_json_type(v) != MED_JSON_ARRAY) return wrong_type(m, "authors", v, "an array");
    struct med_author *list = med_arena_calloc(m->arena, med_json_count(v), sizeof *list);
    if (!list) return no_memory(m);
    m->doc->authors = list;
    for (const struct med_json *item = med_json_first(v); item; item = med_json_next(item)) {
        enum med_code code = make_author(m, item, &list[m->doc->author_count]);
        if (code != MED_OK) return code;
        if (list[m->doc->author_count].family.len > 0) m->doc->author_count++;
    }
    return MED_OK;
}

static enum med_code make_mesh(struct maker *m)
{
    const struct med_json *v = field(m->root, "mesh");
    if (!v) return MED_OK;
    if (med_json_type(v) != MED_JSON_ARRAY) return wrong_type(m, "mesh", v, "an array");
    struct med_mesh *list = med_arena_calloc(m->arena, med_json_count(v), sizeof *list);
    if (!list) return no_memory(m);
    m->doc->mesh = list;
    for (const struct med_json *item = med_json_first(v); item; item = med_json_next(item)) {
        struct med_mesh *mesh = &list[m->doc->mesh_count];
        enum med_code code;
        if (med_json_type(item) == MED_JSON_OBJECT) {
            code = line_field(m, item, "descriptor", &mesh->descriptor);
            if (code == MED_OK) code = line_field(m, item, "ui", &mesh->ui);
            if (code == MED_OK) code = line_field(m, item, "qualifiers", &mesh->qualifiers);
            mesh->major = med_json_bool(field(item, "major"));
        } else {
            code = text_of(m, "mesh", item, false, &mesh->descriptor);
        }
        if (code != MED_OK) return code;
        if (mesh->descriptor.len > 0) m->doc->mesh_count++;
    }
    return MED_OK;
}

static enum med_code make_links(struct maker *m)
{
    const struct med_json *v = field(m->root, "links");
    if (!v) return MED_OK;
    if (med_json_type(v) != MED_JSON_ARRAY) return wrong_type(m, "links", v, "an array");
    struct med_link *list = med_arena_calloc(m->arena, med_json_count(v), sizeof *list);
    if (!list) return no_memory(m);
    m->doc->links = list;
    for (const struct med_json *item = med_json_first(v); item; item = med_json_next(item)) {
        if (med_json_type(item) != MED_JSON_OBJECT) return wrong_type(m, "links", item, "objects");
        struct med_link *link = &list[m->doc->link_count];
        struct med_str kind = {0};
        enum med_code code = line_field(m, item, "kind", &kind);
        if (code == MED_OK) code = line_field(m, item, "target", &link->target);
        if (code == MED_OK) code = line_field(m, item, "note", &link->note);
        if (code != MED_OK) return code;
        link->kind = MED_LINK_OTHER;
        for (int k = 0; k < MED_LINK_COUNT; k++) {
            const char *name = med_link_kind_name((enum med_link_kind)k);
            if (med_str_eq(kind, med_str_of(name))) link->kind = (enum med_link_kind)k;
        }
        m->doc->link_count++;
    }
    return MED_OK;
}

static enum med_code make_journal(struct maker *m)
{
    const struct med_json *v = field(m->root, "journal");
    struct med_doc *doc = m->doc;
    if (!v) return MED_OK;
    if (med_json_type(v) != MED_JSON_OBJECT) {
        return text_of(m, "journal", v, false, &doc->journal.title);
    }
    enum med_code code = line_field(m, v, "title", &doc->journal.title);
    if (code == MED_OK) {
        code = line_field(m, v, "iso_abbreviation", &doc->journal.iso_abbreviation);
    }
    if (code == MED_OK) code = line_field(m, v, "issn", &doc->journal.issn);
    if (code == MED_OK) code = line_field(m, v, "volume", &doc->journal.volume);
    if (code == MED_OK) code = line_field(m, v, "issue", &doc->journal.issue);
    if (code == MED_OK) code = line_field(m, v, "pages", &doc->journal.pages);
    return code;
}

static enum med_code make_date(struct maker *m)
{
    struct med_str text = {0};
    enum med_code code = line_field(m, m->root, "date", &text);
    if (code == MED_OK && text.len == 0) code = line_field(m, m->root, "year", &text);
    if (code != MED_OK || text.len == 0) return code;
    if (!med_date_parse(text, &m->doc->date)) {
        return med_fail(m->err, MED_E_INVALID, "\"" MED_STR_FMT "\" is no date",
            (int)(text.len < 40 ? text.len : 40), text.ptr);
    }
    return MED_OK;
}

/* ---- text ---- */

static enum med_section_kind kind_of(struct med_str name)
{
    if (med_str_eq(name, MED_STR("abstract"))) return MED_SECTION_ABSTRACT;
    if (med_str_eq(name, MED_STR("caption"))) return MED_SECTION_CAPTION;
    if (med_str_eq(name, MED_STR("other"))) return MED_SECTION_OTHER;
    return MED_SECTION_BODY;
}

static enum med_code make_section(
    struct maker *m, const struct med_json *v, struct med_section *section)
{
    if (med_json_type(v) != MED_JSON_OBJECT) return wrong_type(m, "sections", v, "objects");
    struct med_str kind = {0};
    const struct med_json *text = field(v, "text");
    enum med_code code = line_field(m, v, "heading", &section->heading);
    if (code == MED_OK) code = line_field(m, v, "path", &section->path);
    if (code == MED_OK) code = line_field(m, v, "kind", &kind);
    if (code == MED_OK) {
        code = text_of(m, "text", text ? text : field(v, "body"), true, &section->body);
    }
    if (code != MED_OK) return code;
    if (section->path.len == 0) section->path = section->heading;
    long long level = section->heading.len > 0 ? 1 : 0;
    const struct med_json *given = field(v, "level");
    if (given && !med_json_int(given, 0, 255, &level)) {
        return med_fail(m->err, MED_E_INVALID, "\"level\" is not a number from 0 to 255");
    }
    section->level = (uint8_t)level;
    section->kind = kind_of(kind);
    return MED_OK;
}

/* abstract, text and sections, in this order. A `text` that fits into one passage is kept whole
 * like an abstract. */
static enum med_code make_sections(struct maker *m)
{
    const struct med_json *list = field(m->root, "sections");
    if (list && med_json_type(list) != MED_JSON_ARRAY) {
        return wrong_type(m, "sections", list, "an array");
    }
    size_t count = list ? med_json_count(list) : 0;
    if (count + 2 > MED_DOC_SECTIONS_MAX) {
        return med_fail(m->err, MED_E_LIMIT, "the record has %zu sections", count);
    }
    struct med_section *sections = med_arena_calloc(m->arena, count + 2, sizeof *sections);
    if (!sections) return no_memory(m);
    struct med_str abstract = {0}, text = {0};
    enum med_code code = text_of(m, "abstract", field(m->root, "abstract"), true, &abstract);
    if (code == MED_OK) code = text_of(m, "text", field(m->root, "text"), true, &text);
    if (code != MED_OK) return code;
    size_t n = 0;
    if (abstract.len > 0) {
        sections[n++] = (struct med_section){.body = abstract, .kind = MED_SECTION_ABSTRACT};
    }
    if (text.len > 0) {
        bool passage = abstract.len == 0 && med_word_count(text) <= MED_CHUNK_WORDS_MAX;
        sections[n++] = (struct med_section){
            .body = text, .kind = passage ? MED_SECTION_ABSTRACT : MED_SECTION_BODY};
    }
    for (const struct med_json *v = list ? med_json_first(list) : NULL; v; v = med_json_next(v)) {
        code = make_section(m, v, &sections[n]);
        if (code != MED_OK) return code;
        if (sections[n].body.len > 0 || sections[n].heading.len > 0) n++;
    }
    size_t bytes = m->doc->title.len;
    for (size_t i = 0; i < n; i++) {
        bytes += sections[i].body.len + sections[i].heading.len + 4;
    }
    if (bytes > MED_DOC_TEXT_BYTES_MAX) {
        return med_fail(m->err, MED_E_LIMIT, "the text of the record has %zu bytes", bytes);
    }
    m->doc->sections = sections;
    m->doc->section_count = n;
    return MED_OK;
}

/* ---- metadata, verbatim ---- */

static bool is_known(struct med_str key)
{
    static const char *const known[] = {"_id", "id", "title", "vernacular_title", "text",
        "abstract", "sections", "authors", "journal", "year", "date", "publication_types", "mesh",
        "keywords", "chemicals", "doi", "pmid", "pmcid", "url", "language", "source", "links",
        "grade", "organization", "licence", "metadata"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (med_str_eq(key, med_str_of(known[i]))) return true;
    }
    return false;
}

static size_t skip_space(struct med_str s, size_t pos)
{
    while (pos < s.len && strchr(" \t\r\n", s.ptr[pos])) pos++;
    return pos;
}

/* Behind the string that opens at pos. The text has passed the gate: what is opened is closed. */
static size_t skip_string(struct med_str s, size_t pos)
{
    for (pos++; pos < s.len && s.ptr[pos] != '"'; pos++) {
        if (s.ptr[pos] == '\\') pos++;
    }
    return pos + 1;
}

/* Behind the value at pos. */
static size_t skip_value(struct med_str s, size_t pos)
{
    size_t depth = 0;
    while (pos < s.len) {
        char c = s.ptr[pos];
        if (c == '"') {
            pos = skip_string(s, pos);
            if (depth == 0) return pos;
            continue;
        }
        bool closes = c == '}' || c == ']';
        if (c == '{' || c == '[')
            depth++;
        else if (closes && depth > 0 && --depth == 0)
            return pos + 1;
        else if (depth == 0 && (closes || strchr(", \t\r\n", c)))
            return pos;
        pos++;
    }
    return pos;
}

static bool is_empty(struct med_str value)
{
    if (med_str_eq(value, MED_STR("null"))) return true;
    return value.len >= 2 && value.ptr[0] == '{' && skip_space(value, 1) == value.len - 1;
}

/* `metadata` alone as it stands; with unknown members, an object of these and of "metadata". */
static enum med_code make_metadata(struct maker *m)
{
    struct med_str s = m->json, metadata = {0};
    size_t unknown_count = 0;
    med_buf_reset(m->scratch);
    med_buf_putc(m->scratch, '{');
    for (size_t pos = skip_space(s, 0) + 1; pos < s.len;) {
        pos = skip_space(s, pos);
        if (pos >= s.len || s.ptr[pos] != '"') break;
        size_t key_end = skip_string(s, pos);
        struct med_str key = med_str_sub(s, pos, key_end);
        pos = skip_space(s, key_end) + 1; /* ':' */
        pos = skip_space(s, pos);
        size_t end = skip_value(s, pos);
        struct med_str value = med_str_sub(s, pos, end < s.len ? end : s.len);
        struct med_str name = med_str_sub(key, 1, key.len - 1);
        if (med_str_eq(name, MED_STR("metadata"))) {
            if (!is_empty(value)) metadata = value;
        } else if (!is_known(name)) {
            if (unknown_count++ > 0) med_buf_putc(m->scratch, ',');
            med_buf_append_str(m->scratch, key);
            med_buf_putc(m->scratch, ':');
            med_buf_append_str(m->scratch, value);
        }
        pos = skip_space(s, end);
        if (pos < s.len && s.ptr[pos] == ',') pos++;
    }
    if (unknown_count > 0 && metadata.len > 0) {
        med_buf_puts(m->scratch, ",\"metadata\":");
        med_buf_append_str(m->scratch, metadata);
    }
    med_buf_putc(m->scratch, '}');
    enum med_code code = med_buf_status(m->scratch, m->err);
    if (code != MED_OK) return code;
    struct med_str chosen = unknown_count > 0 ? med_buf_str(m->scratch) : metadata;
    if (!med_arena_str(m->arena, chosen, &m->doc->metadata_json)) return no_memory(m);
    return MED_OK;
}

/* ---- all of it ---- */

static enum med_code make_names(struct maker *m)
{
    struct med_doc *doc = m->doc;
    const struct med_json *metadata = field(m->root, "metadata");
    struct med_str doi = {0}, source = {0};
    enum med_code code = line_field(m, m->root, "doi", &doi);
    if (code == MED_OK) code = line_field(m, m->root, "pmid", &doc->pmid);
    if (code == MED_OK) code = line_field(m, m->root, "pmcid", &doc->pmcid);
    if (code == MED_OK) code = line_field(m, m->root, "url", &doc->url);
    if (code == MED_OK) code = line_field(m, m->root, "source", &source);
    if (code == MED_OK) code = line_field(m, m->root, "language", &doc->language);
    if (code == MED_OK) code = line_field(m, m->root, "grade", &doc->grade);
    if (code == MED_OK) code = line_field(m, m->root, "organization", &doc->organization);
    if (code == MED_OK) code = line_field(m, m->root, "licence", &doc->licence);
    if (code != MED_OK) return code;
    doc->doi = med_clean_doi(doi, m->arena);
    if (doc->url.len == 0) { /* BEIR's sets keep the address there */
        struct med_str url = med_json_get_str(metadata, "url");
        if (!med_arena_str(m->arena, url, &doc->url)) return no_memory(m);
    }
    for (int i = 0; i < MED_SOURCE_COUNT; i++) {
        const char *name = med_source_name((enum med_source)i);
        if (med_str_eq(source, med_str_of(name))) doc->source = (enum med_source)i;
    }
    return MED_OK;
}

static enum med_code make(struct maker *m)
{
    struct med_doc *doc = m->doc;
    if (med_json_type(m->root) != MED_JSON_OBJECT) {
        return med_fail(m->err, MED_E_INVALID, "the record is %s, not an object",
            med_json_type_name(med_json_type(m->root)));
    }
    enum med_code code = make_names(m);
    if (code == MED_OK) code = make_id(m);
    if (code == MED_OK) code = line_field(m, m->root, "title", &doc->title);
    if (code == MED_OK) code = line_field(m, m->root, "vernacular_title", &doc->vernacular_title);
    if (code == MED_OK) code = make_sections(m);
    if (code == MED_OK && doc->title.len == 0 && doc->section_count == 0) {
        code = med_fail(m->err, MED_E_INVALID, "the record has neither a title nor a text");
    }
    if (code == MED_OK) code = make_authors(m);
    if (code == MED_OK) code = make_journal(m);
    if (code == MED_OK) code = make_date(m);
    if (code == MED_OK) code = make_mesh(m);
    if (code == MED_OK) code = make_links(m);
    if (code == MED_OK) {
        code = list_field(
            m, "publication_types", &doc->publication_types, &doc->publication_type_count);
    }
    if (code == MED_OK) code = list_field(m, "keywords", &doc->keywords, &doc->keyword_count);
    if (code == MED_OK) code = list_field(m, "chemicals", &doc->chemicals, &doc->chemical_count);
    if (code == MED_OK) code = make_metadata(m);
    return code;
}

enum med_code med_doc_from_json(struct med_str json, struct med_arena *arena,
    struct med_buf *scratch, struct med_doc **ret_doc, struct med_err *err)
{
    struct med_json *root = NULL;
    enum med_code code = med_json_parse(json.ptr, json.len, &root, err);
    if (code != MED_OK) return code;
    struct maker m = {.root = root, .json = json, .arena = arena, .scratch = scratch, .err = err};
    m.doc = med_arena_calloc(arena, 1, sizeof *m.doc);
    code = m.doc ? make(&m) : no_memory(&m);
    med_json_free(&root);
    if (code == MED_OK) *ret_doc = m.doc;
    return code;
}

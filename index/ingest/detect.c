/* Formats by content: the first 64 KiB decide, names never do. What looks like nothing we read
 * (binary bytes, tables, other XML, a JSON document over many lines) is unknown, so that a folder
 * can be ingested as it is. */
#include "index/ingest/ingest.h"

#include <assert.h>

#define LINES_LOOKED_AT 50

const char *med_format_name(enum med_format format)
{
    switch (format) {
    case MED_FORMAT_UNKNOWN: return "unknown";
    case MED_FORMAT_PUBMED_XML: return "pubmed-xml";
    case MED_FORMAT_JATS: return "jats";
    case MED_FORMAT_JSONL: return "jsonl";
    case MED_FORMAT_MARKDOWN: return "markdown";
    case MED_FORMAT_HTML: return "html";
    case MED_FORMAT_TEXT: return "text";
    }
    assert(!"a format without a name");
    return "";
}

static bool is_name_end(char c)
{
    return c == '>' || c == '/' || c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool tag_is(struct med_str rest, const char *name)
{
    size_t len = strlen(name);
    return rest.len > len && med_str_eq_nocase(med_str_sub(rest, 0, len), med_str_of(name)) &&
           is_name_end(rest.ptr[len]);
}

static bool tag_in(struct med_str rest, const char *const *names)
{
    for (; *names; names++) {
        if (tag_is(rest, *names)) return true;
    }
    return false;
}

/* Behind `closer`, or the end. */
static size_t skip_to(struct med_str s, size_t pos, const char *closer)
{
    const char *hit = memmem(s.ptr + pos, s.len - pos, closer, strlen(closer));
    return hit ? (size_t)(hit - s.ptr) + strlen(closer) : s.len;
}

static enum med_format detect_markup(struct med_str s)
{
    static const char *const pubmed[] = {"PubmedArticleSet", "PubmedArticle", "MedlineCitationSet",
        "MedlineCitation", "PubmedBookArticleSet", "PubmedBookArticle", "BookDocumentSet",
        "BookDocument", "DeleteCitation", "DeleteDocument", NULL};
    static const char *const html[] = {"html", "head", "body", "div", "p", "h1", "h2", "h3", "main",
        "section", "ul", "ol", "table", "title", "meta", "span", "nav", "header", NULL};
    bool xml = false, first = true;
    for (size_t pos = 0; pos < s.len;) {
        const char *tag = memchr(s.ptr + pos, '<', s.len - pos);
        if (!tag) break;
        pos = (size_t)(tag - s.ptr);
        struct med_str rest = med_str_sub(s, pos + 1, s.len);
        if (med_str_starts(rest, MED_STR("!--"))) {
            pos = skip_to(s, pos, "-->");
        } else if (med_str_starts(rest, MED_STR("?"))) {
            if (med_str_starts(rest, MED_STR("?xml"))) xml = true;
            pos = skip_to(s, pos, "?>");
        } else if (rest.len > 8 &&
                   med_str_eq_nocase(med_str_sub(rest, 0, 8), MED_STR("!DOCTYPE"))) {
            struct med_str name = med_str_trim(med_str_sub(rest, 8, rest.len));
            if (tag_is(name, "html")) return MED_FORMAT_HTML;
            xml = true;
            pos++;
        } else {
            if (tag_in(rest, pubmed)) return MED_FORMAT_PUBMED_XML;
            if (tag_is(rest, "article") && (xml || first)) return MED_FORMAT_JATS;
            if (first && tag_is(rest, "pmc-articleset")) return MED_FORMAT_JATS;
            if (first && rest.len > 0 && rest.ptr[0] != '!' && rest.ptr[0] != '/') {
                if (tag_in(rest, html)) return MED_FORMAT_HTML;
                first = false;
            }
            pos++;
        }
    }
    return MED_FORMAT_UNKNOWN;
}

struct line_counts {
    unsigned lines, json, headings, table;
};

static bool is_underline(struct med_str line)
{
    if (line.len < 4 || (line.ptr[0] != '=' && line.ptr[0] != '-')) return false;
    for (size_t i = 1; i < line.len; i++) {
        if (line.ptr[i] != line.ptr[0]) return false;
    }
    return true;
}

/* A comma in prose has a space behind it, or stands inside a number: this one parts the cells of a
 * table. */
static bool is_tight(struct med_str line, size_t pos)
{
    if (pos == 0 || pos + 1 >= line.len || line.ptr[pos + 1] == ' ') return false;
    char before = line.ptr[pos - 1], behind = line.ptr[pos + 1];
    return !(before >= '0' && before <= '9' && behind >= '0' && behind <= '9');
}

/* Looks at lines that are complete in the head (or all, for a short input). */
static struct line_counts count_lines(struct med_str s)
{
    struct line_counts n = {0};
    unsigned tabs_before = 0, commas_before = 0;
    for (size_t pos = 0; pos < s.len && n.lines < LINES_LOOKED_AT;) {
        const char *end = memchr(s.ptr + pos, '\n', s.len - pos);
        size_t next = end ? (size_t)(end - s.ptr) + 1 : s.len;
        struct med_str line = med_str_trim(med_str_sub(s, pos, next));
        pos = next;
        if (line.len == 0) continue;
        unsigned tabs = 0, commas = 0, tight = 0;
        for (size_t i = 0; i < line.len; i++) {
            if (line.ptr[i] == '\t') tabs++;
            if (line.ptr[i] != ',' && line.ptr[i] != ';') continue;
            commas++;
            tight += is_tight(line, i);
        }
        bool comma_table = commas >= 2 && commas == commas_before && line.ptr[line.len - 1] != '.';
        if ((tabs > 0 && tabs == tabs_before) || comma_table || tight > 0) n.table++;
        tabs_before = tabs;
        commas_before = commas;
        n.lines++;
        if (line.ptr[0] == '{' && line.len > 1) n.json++;
        size_t hashes = 0;
        while (hashes < line.len && line.ptr[hashes] == '#') hashes++;
        if (hashes >= 1 && hashes <= 6 && hashes < line.len && line.ptr[hashes] == ' ') {
            n.headings++;
        } else if (is_underline(line)) {
            n.headings++;
        }
    }
    return n;
}

static bool is_binary(struct med_str s)
{
    size_t controls = 0;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c == 0) return true;
        controls += c < ' ' && c != '\n' && c != '\r' && c != '\t' && c != '\f';
    }
    return controls > s.len / 100 + 1;
}

enum med_format med_format_detect(const void *head, size_t len)
{
    struct med_str s = {.ptr = head, .len = len};
    if (med_str_starts(s, MED_STR("\xef\xbb\xbf"))) s = med_str_sub(s, 3, s.len);
    bool utf16 =
        len >= 4 && (memcmp(head, "\xff\xfe<\0", 4) == 0 || memcmp(head, "\xfe\xff\0<", 4) == 0 ||
                        memcmp(head, "<\0?\0", 4) == 0 || memcmp(head, "\0<\0?", 4) == 0);
    char narrow[4096]; /* the ASCII of a UTF-16 head: enough for its root */
    if (utf16) {
        size_t n = 0;
        for (size_t i = 0; i < s.len && n < sizeof narrow; i++) {
            if (s.ptr[i] > 0) narrow[n++] = s.ptr[i];
        }
        s = (struct med_str){.ptr = narrow, .len = n};
    }
    s = med_str_trim(s);
    if (s.len == 0 || is_binary(s) || med_str_starts(s, MED_STR("%PDF"))) return MED_FORMAT_UNKNOWN;
    if (s.ptr[0] == '<') return detect_markup(s);
    struct line_counts n = count_lines(s);
    if ((s.ptr[0] == '{' && n.json > 0) || n.json * 2 > n.lines) return MED_FORMAT_JSONL;
    if (s.ptr[0] == '{' || s.ptr[0] == '[') return MED_FORMAT_UNKNOWN;
    if (med_str_starts(s, MED_STR("---\n")) || med_str_starts(s, MED_STR("---\r\n"))) {
        return MED_FORMAT_MARKDOWN;
    }
    if (n.headings > 0) return MED_FORMAT_MARKDOWN;
    if (n.lines >= 4 && n.table * 2 > n.lines) return MED_FORMAT_UNKNOWN;
    return MED_FORMAT_TEXT;
}

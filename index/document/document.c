/* Names, ids, aliases, dates and flags of documents. The record format is in record.c. */
#include "index/document/document.h"

#include "common/limits.h"

#include <assert.h>
#include <stdio.h>

const char *med_source_name(enum med_source source)
{
    static const char *const names[] = {"other", "pubmed", "pmc", "guideline"};
    _Static_assert(sizeof names / sizeof *names == MED_SOURCE_COUNT, "one name per source");
    assert((unsigned)source < MED_SOURCE_COUNT);
    return names[source];
}

const char *med_link_kind_name(enum med_link_kind kind)
{
    static const char *const names[] = {"retraction-in", "retraction-of", "erratum-in",
        "erratum-for", "concern-in", "concern-for", "comment-in", "comment-on", "update-in",
        "update-of", "republished-in", "republished-from", "partial-retraction-in",
        "partial-retraction-of", "other"};
    _Static_assert(sizeof names / sizeof *names == MED_LINK_COUNT, "one name per kind of link");
    assert((unsigned)kind < MED_LINK_COUNT);
    return names[kind];
}

/* ASCII only: identifiers and prefixes know no other letters. */
static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static bool all_digits(struct med_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') return false;
    }
    return s.len > 0;
}

static const struct {
    struct med_str text;
} known_prefixes[] = {
    {{"pmid:", 5}}, {{"pmcid:", 6}}, {{"guideline:", 10}}, {{"doc:", 4}}, {{"doi:", 4}}};
#define PREFIX_COUNT (sizeof known_prefixes / sizeof *known_prefixes)

enum med_code med_doc_id_check(struct med_str id, struct med_err *err)
{
    if (id.len == 0) return med_fail(err, MED_E_INVALID, "the id is empty");
    if (id.len > MED_ID_BYTES_MAX) {
        return med_fail(err, MED_E_INVALID, "the id has %zu bytes, at most %llu are allowed",
            id.len, MED_ID_BYTES_MAX);
    }
    size_t prefix_len = 0;
    for (size_t i = 0; i < PREFIX_COUNT && prefix_len == 0; i++) {
        if (med_str_starts(id, known_prefixes[i].text)) prefix_len = known_prefixes[i].text.len;
    }
    if (prefix_len == 0) {
        return med_fail(
            err, MED_E_INVALID, "the id must begin with pmid:, pmcid:, guideline:, doc: or doi:");
    }
    if (prefix_len == id.len) {
        return med_fail(err, MED_E_INVALID, "the id has nothing after its prefix");
    }
    for (size_t i = 0; i < id.len; i++) {
        unsigned char c = (unsigned char)id.ptr[i];
        if (c <= ' ' || c == 0x7f) {
            return med_fail(
                err, MED_E_INVALID, "the id has a space or control character at byte %zu", i);
        }
        if (c == '~') {
            return med_fail(err, MED_E_INVALID,
                "the id has a '~' at byte %zu, which separates chunk numbers", i);
        }
    }
    return MED_OK;
}

/* prefix + s with ASCII letters in lower case where asked for. NULL ptr when out of memory. */
static struct med_str prefixed(
    struct med_arena *arena, const char *prefix, struct med_str s, bool lower_case)
{
    size_t prefix_len = strlen(prefix);
    char *ptr = med_arena_alloc(arena, prefix_len + s.len + 1);
    if (!ptr) return (struct med_str){0};
    memcpy(ptr, prefix, prefix_len);
    for (size_t i = 0; i < s.len; i++) {
        ptr[prefix_len + i] = lower_case ? lower(s.ptr[i]) : s.ptr[i];
    }
    ptr[prefix_len + s.len] = '\0';
    return (struct med_str){.ptr = ptr, .len = prefix_len + s.len};
}

enum med_code med_doc_aliases(const struct med_doc *doc, struct med_arena *arena,
    struct med_str ret_aliases[4], size_t *ret_count, struct med_err *err)
{
    const struct {
        const char *prefix;
        struct med_str value;
        bool lower_case;
    } names[] = {{"", doc->id, false}, {"pmid:", doc->pmid, false}, {"pmcid:", doc->pmcid, false},
        {"doi:", doc->doi, true}};
    size_t count = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (names[i].value.len == 0) continue;
        struct med_str alias =
            prefixed(arena, names[i].prefix, names[i].value, names[i].lower_case);
        if (!alias.ptr) return med_fail(err, MED_E_NOMEM, "out of memory for aliases");
        /* A name that breaks the rules of ids (a DOI with a space) could not be asked for. */
        bool usable = med_doc_id_check(alias, NULL) == MED_OK;
        for (size_t k = 0; k < count; k++) {
            if (med_str_eq(alias, ret_aliases[k])) usable = false;
        }
        if (usable) ret_aliases[count++] = alias;
    }
    *ret_count = count;
    return MED_OK;
}

/* Cuts `prefix` (ASCII case does not matter) and white space behind it. */
static bool cut_prefix(struct med_str *s, struct med_str prefix)
{
    if (s->len < prefix.len) return false;
    if (!med_str_eq_nocase(med_str_sub(*s, 0, prefix.len), prefix)) return false;
    *s = med_str_trim(med_str_sub(*s, prefix.len, s->len));
    return true;
}

static void cut_web_address(struct med_str *s, bool *ret_pubmed, bool *ret_doi)
{
    struct med_str rest = *s;
    if (!cut_prefix(&rest, MED_STR("https://"))) cut_prefix(&rest, MED_STR("http://"));
    *ret_doi = cut_prefix(&rest, MED_STR("doi.org/")) || cut_prefix(&rest, MED_STR("dx.doi.org/"));
    *ret_pubmed = cut_prefix(&rest, MED_STR("pubmed.ncbi.nlm.nih.gov/")) ||
                  cut_prefix(&rest, MED_STR("www.ncbi.nlm.nih.gov/pubmed/"));
    bool pmc = cut_prefix(&rest, MED_STR("pmc.ncbi.nlm.nih.gov/articles/")) ||
               cut_prefix(&rest, MED_STR("www.ncbi.nlm.nih.gov/pmc/articles/"));
    if (!*ret_doi && !*ret_pubmed && !pmc) return;
    if ((*ret_pubmed || pmc) && rest.len > 0 && rest.ptr[rest.len - 1] == '/') rest.len--;
    *s = rest;
}

/* "PMC" and digits, perhaps with "~" and a chunk number behind. */
static bool looks_like_pmcid(struct med_str s)
{
    if (s.len < 4 || !med_str_eq_nocase(med_str_sub(s, 0, 3), MED_STR("PMC"))) return false;
    const char *tilde = memchr(s.ptr, '~', s.len);
    return all_digits(med_str_sub(s, 3, tilde ? (size_t)(tilde - s.ptr) : s.len));
}

enum med_code med_doc_id_normalize(
    struct med_str given, struct med_arena *arena, struct med_str *ret_id, struct med_err *err)
{
    struct med_str s = med_str_trim(given);
    if (s.len == 0) return med_fail(err, MED_E_INVALID, "the id is empty");
    if (s.len > 2 * MED_ID_BYTES_MAX) {
        return med_fail(err, MED_E_INVALID, "the id has %zu bytes, at most %llu are allowed", s.len,
            MED_ID_BYTES_MAX);
    }
    bool is_pmid, is_doi;
    cut_web_address(&s, &is_pmid, &is_doi);
    if (s.len == 0) return med_fail(err, MED_E_INVALID, "the address names no document");
    struct med_str id = {0};
    if (is_pmid || cut_prefix(&s, MED_STR("pmid:"))) {
        id = prefixed(arena, "pmid:", s, false);
    } else if (is_doi || cut_prefix(&s, MED_STR("doi:")) || med_str_starts(s, MED_STR("10."))) {
        id = prefixed(arena, "doi:", s, true);
    } else if (looks_like_pmcid(s) || cut_prefix(&s, MED_STR("pmcid:"))) {
        bool has_letters = s.len >= 3 && med_str_eq_nocase(med_str_sub(s, 0, 3), MED_STR("PMC"));
        id = prefixed(arena, "pmcid:PMC", has_letters ? med_str_sub(s, 3, s.len) : s, false);
    } else if (cut_prefix(&s, MED_STR("guideline:"))) {
        id = prefixed(arena, "guideline:", s, false);
    } else if (cut_prefix(&s, MED_STR("doc:"))) {
        id = prefixed(arena, "doc:", s, false);
    } else {
        id = prefixed(arena, "", s, false);
    }
    if (!id.ptr) return med_fail(err, MED_E_NOMEM, "out of memory for an id");
    *ret_id = id;
    return MED_OK;
}

enum med_code med_doc_url_name(
    struct med_str url, struct med_arena *arena, struct med_str *ret_name, struct med_err *err)
{
    struct med_str rest = med_str_trim(url);
    *ret_name = (struct med_str){0};
    if (!cut_prefix(&rest, MED_STR("https://")) && !cut_prefix(&rest, MED_STR("http://")))
        return MED_OK;
    const char *mark = rest.len ? memchr(rest.ptr, '#', rest.len) : NULL;
    if (mark) rest.len = (size_t)(mark - rest.ptr);
    if (rest.len && rest.ptr[rest.len - 1] == '/') rest.len--;
    if (rest.len == 0) return MED_OK;
    char *bytes = med_arena_strndup(arena, rest.ptr, rest.len);
    char *name = bytes ? med_arena_alloc(arena, MED_STR("url:").len + MED_HASH_HEX_LEN + 1) : NULL;
    if (!name) return med_fail(err, MED_E_NOMEM, "out of memory for the name of an address");
    for (size_t i = 0; i < rest.len && bytes[i] != '/' && bytes[i] != '?'; i++)
        bytes[i] = lower(bytes[i]);
    memcpy(name, "url:", 4);
    med_hash128_hex(med_hash128(bytes, rest.len), name + 4);
    *ret_name = (struct med_str){.ptr = name, .len = 4 + MED_HASH_HEX_LEN};
    return MED_OK;
}

uint8_t med_month_parse(struct med_str text)
{
    static const char names[12][4] = {
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"};
    unsigned long long number;
    if (med_str_to_u64(text, &number)) return number >= 1 && number <= 12 ? (uint8_t)number : 0;
    if (text.len < 3) return 0;
    for (uint8_t i = 0; i < 12; i++) {
        if (med_str_eq_nocase(med_str_sub(text, 0, 3), med_str_of(names[i]))) return i + 1;
    }
    return 0;
}

/* The next run of letters or of digits; empty at the end. */
static struct med_str next_word(struct med_str s, size_t *pos)
{
    size_t i = *pos;
    while (i < s.len && !((s.ptr[i] >= '0' && s.ptr[i] <= '9') ||
                            (lower(s.ptr[i]) >= 'a' && lower(s.ptr[i]) <= 'z'))) {
        i++;
    }
    size_t start = i;
    bool digits = i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9';
    while (i < s.len && (digits ? s.ptr[i] >= '0' && s.ptr[i] <= '9'
                                : lower(s.ptr[i]) >= 'a' && lower(s.ptr[i]) <= 'z')) {
        i++;
    }
    *pos = i;
    return med_str_sub(s, start, i);
}

bool med_date_parse(struct med_str text, struct med_date *ret_date)
{
    if (!text.ptr) return false;
    struct med_date date = {0};
    struct med_str before = {0}; /* the word in front of the year, for "15 March 2020" */
    struct med_str earlier = {0};
    size_t pos = 0;
    struct med_str word;
    while ((word = next_word(text, &pos)).len > 0) {
        unsigned long long year;
        if (word.len == 4 && med_str_to_u64(word, &year) && year >= 1000 && year <= 2999) {
            date.year = (uint16_t)year;
            break;
        }
        earlier = before;
        before = word;
    }
    if (date.year == 0) return false;
    struct med_str month = next_word(text, &pos);
    date.month = month.len > 0 ? med_month_parse(month) : 0;
    struct med_str day = {0};
    if (date.month > 0) {
        day = next_word(text, &pos);
    } else if (before.len > 0 && !all_digits(before)) {
        date.month = med_month_parse(before);
        day = earlier;
    } else if (before.len > 0 && earlier.len > 0 && !all_digits(earlier)) {
        date.month = med_month_parse(earlier); /* "March 15, 2020" */
        day = before;
    }
    unsigned long long number;
    if (date.month > 0 && day.len > 0 && day.len <= 2 && med_str_to_u64(day, &number) &&
        number >= 1 && number <= 31) {
        date.day = (uint8_t)number;
    }
    *ret_date = date;
    return true;
}

static bool has_publication_type(const struct med_doc *doc, struct med_str name)
{
    for (size_t i = 0; i < doc->publication_type_count; i++) {
        if (med_str_eq_nocase(doc->publication_types[i], name)) return true;
    }
    return false;
}

static bool has_link(const struct med_doc *doc, enum med_link_kind kind)
{
    for (size_t i = 0; i < doc->link_count; i++) {
        if (doc->links[i].kind == kind) return true;
    }
    return false;
}

uint32_t med_doc_flags(const struct med_doc *doc)
{
    uint32_t flags = 0;
    bool retracted_type = has_publication_type(doc, MED_STR("Retracted Publication"));
    /* MeSH renamed "Retraction of Publication" to "Retraction Notice" in 2025. */
    bool notice = has_publication_type(doc, MED_STR("Retraction of Publication")) ||
                  has_publication_type(doc, MED_STR("Retraction Notice")) ||
                  (has_link(doc, MED_LINK_RETRACTION_OF) && !retracted_type);
    if (notice) flags |= MED_FLAG_RETRACTION_NOTICE;
    if (!notice && (retracted_type || has_link(doc, MED_LINK_RETRACTION_IN))) {
        flags |= MED_FLAG_RETRACTED;
    }
    if (has_link(doc, MED_LINK_CONCERN_IN)) flags |= MED_FLAG_CONCERN;
    if (has_link(doc, MED_LINK_ERRATUM_IN)) flags |= MED_FLAG_ERRATUM;
    if (has_link(doc, MED_LINK_UPDATE_IN)) flags |= MED_FLAG_SUPERSEDED;
    for (size_t i = 0; i < doc->section_count; i++) {
        const struct med_section *section = &doc->sections[i];
        if (section->body.len == 0) continue;
        if (section->kind == MED_SECTION_ABSTRACT) flags |= MED_FLAG_HAS_ABSTRACT;
        if (section->kind == MED_SECTION_BODY) flags |= MED_FLAG_FULL_TEXT;
    }
    return flags;
}

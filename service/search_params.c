#include "service/search_params.h"

#include "common/hash.h"
#include "common/limits.h"
#include "common/unicode.h"
#include "service/suggest.h"

#include <stdio.h>

typedef enum med_code (*param_setter)(
    struct search_params *params, struct med_str value, struct med_err *err);

#define JSON_TEXT (1u << MED_JSON_STRING)
#define JSON_NUMBER (1u << MED_JSON_NUMBER)
#define JSON_BOOL (1u << MED_JSON_BOOL)
#define JSON_LIST (1u << MED_JSON_ARRAY | JSON_TEXT)
#define FACET_VALUES_DEFAULT 10u
#define FACET_VALUES_MAX 100u

struct param_row {
    const char *name;
    bool filter;         /* stands inside "filters" in a JSON body */
    unsigned json_types; /* what a JSON body may give */
    const char *expects; /* for error sentences */
    param_setter set;
};

static enum med_code wrong(struct med_err *err, const char *expected, struct med_str value)
{
    return med_fail(err, MED_E_INVALID, "%s expected, not \"%.*s\"", expected,
        (int)(value.len < 60 ? value.len : 60), value.ptr ? value.ptr : "");
}

/* --- setters --- */

static enum med_code set_query(struct search_params *p, struct med_str v, struct med_err *err)
{
    (void)err;
    p->request.query = v;
    return MED_OK;
}

static enum med_code whole(
    struct med_str v, uint64_t min, uint64_t max, uint32_t *ret, struct med_err *err)
{
    unsigned long long n;
    if (!med_str_to_u64(v, &n) || n < min || n > max) {
        char expected[80];
        snprintf(expected, sizeof expected, "a whole number from %llu to %llu",
            (unsigned long long)min, (unsigned long long)max);
        return wrong(err, expected, v);
    }
    *ret = (uint32_t)n;
    return MED_OK;
}

static enum med_code set_limit(struct search_params *p, struct med_str v, struct med_err *err)
{
    return whole(v, 1, MED_LIMIT_MAX, &p->request.limit, err);
}

static enum med_code set_offset(struct search_params *p, struct med_str v, struct med_err *err)
{
    return whole(v, 0, MED_POOL_DEPTH_MAX - 1, &p->request.offset, err);
}

static enum med_code set_mode(struct search_params *p, struct med_str v, struct med_err *err)
{
    return med_mode_parse(v, &p->request.mode) ? MED_OK : wrong(err, "hybrid, lexical or dense", v);
}

/* Position of the word in a list of two; -1 when it is neither. */
static int either(struct med_str v, const char *zero, const char *one)
{
    return med_str_eq(v, med_str_of(zero)) ? 0 : med_str_eq(v, med_str_of(one)) ? 1 : -1;
}

static enum med_code set_group_by(struct search_params *p, struct med_str v, struct med_err *err)
{
    int at = either(v, "document", "none");
    if (at < 0) return wrong(err, "document or none", v);
    p->request.group = at ? MED_GROUP_NONE : MED_GROUP_DOCUMENT;
    return MED_OK;
}

static enum med_code set_format(struct search_params *p, struct med_str v, struct med_err *err)
{
    int at = either(v, "concise", "detailed");
    if (at < 0) return wrong(err, "concise or detailed", v);
    p->detailed = at == 1;
    return MED_OK;
}

static enum med_code set_fusion(struct search_params *p, struct med_str v, struct med_err *err)
{
    int at = either(v, "convex", "rrf");
    if (at < 0) return wrong(err, "convex or rrf", v);
    p->request.fusion = at ? MED_FUSION_RRF : MED_FUSION_CONVEX;
    return MED_OK;
}

static enum med_code weight(struct med_str v, double *ret, struct med_err *err)
{
    double w;
    if (!med_str_to_double(v, &w) || !(w >= 0 && w <= 1))
        return wrong(err, "a number from 0 to 1", v);
    *ret = w;
    return MED_OK;
}

static enum med_code set_weight(struct search_params *p, struct med_str v, struct med_err *err)
{
    return weight(v, &p->request.fusion_weight, err);
}

static enum med_code set_authority(struct search_params *p, struct med_str v, struct med_err *err)
{
    return weight(v, &p->request.authority_weight, err);
}

static enum med_code boolean(struct med_str v, bool *ret, struct med_err *err)
{
    bool yes = v.len == 0 || med_str_eq(v, MED_STR("true")) || med_str_eq(v, MED_STR("1"));
    if (!yes && !med_str_eq(v, MED_STR("false")) && !med_str_eq(v, MED_STR("0")))
        return wrong(err, "true or false", v);
    *ret = yes;
    return MED_OK;
}

static enum med_code set_explain(struct search_params *p, struct med_str v, struct med_err *err)
{
    return boolean(v, &p->explain, err);
}

static enum med_code set_expand(struct search_params *p, struct med_str v, struct med_err *err)
{
    return boolean(v, &p->request.expand, err);
}

static enum med_code set_flag(uint32_t *mask, uint32_t bit, struct med_str v, struct med_err *err)
{
    bool yes;
    enum med_code code = boolean(v, &yes, err);
    if (!code && yes) *mask |= bit;
    return code;
}

static enum med_code set_retracted(struct search_params *p, struct med_str v, struct med_err *err)
{
    return set_flag(&p->request.filter.flags_none, MED_FLAG_RETRACTED, v, err);
}

static enum med_code set_abstract(struct search_params *p, struct med_str v, struct med_err *err)
{
    return set_flag(&p->request.filter.flags_all, MED_FLAG_HAS_ABSTRACT, v, err);
}

static bool parse_year(struct med_str v, uint32_t *ret_year)
{
    unsigned long long n;
    if (v.len == 0) return true; /* an open end */
    if (v.len != 4 || !med_str_to_u64(v, &n) || n < 1000) return false;
    *ret_year = (uint32_t)n;
    return true;
}

static enum med_code set_year(struct search_params *p, struct med_str v, struct med_err *err)
{
    uint32_t from = 0, to = 0;
    size_t dots = 0;
    while (dots + 1 < v.len && !(v.ptr[dots] == '.' && v.ptr[dots + 1] == '.')) dots++;
    bool range = dots + 1 < v.len;
    struct med_str left = range ? med_str_sub(v, 0, dots) : v;
    struct med_str right = range ? med_str_sub(v, dots + 2, v.len) : v;
    bool ok = v.len && (!range || left.len || right.len) && parse_year(left, &from) &&
              parse_year(right, &to) && (!from || !to || from <= to);
    if (!ok) return wrong(err, "a year or a range such as 2019, 2015..2020, 2015.. or ..2020", v);
    p->request.filter.year_min = from;
    p->request.filter.year_max = to;
    return MED_OK;
}

typedef const char *(*name_of)(unsigned value);

static const char *source_name(unsigned value)
{
    return med_source_name((enum med_source)value);
}

static const char *evidence_name(unsigned value)
{
    return med_evidence_name((enum med_evidence)value);
}

static enum med_code set_mask(struct med_str list, name_of name, unsigned count, const char *what,
    uint32_t *ret_mask, struct med_err *err)
{
    uint32_t mask = 0;
    for (size_t at = 0; at <= list.len;) {
        size_t end = at;
        while (end < list.len && list.ptr[end] != ',') end++;
        struct med_str word = med_str_trim(med_str_sub(list, at, end));
        const char *known[32];
        unsigned i = 0;
        for (; i < count; i++) {
            known[i] = name(i);
            if (med_str_eq_nocase(word, med_str_of(known[i]))) break;
        }
        if (i == count) {
            const char *near = suggest_word(word, known, count);
            if (near)
                return med_fail(err, MED_E_INVALID, "\"%.*s\" is no %s; did you mean \"%s\"?",
                    (int)(word.len < 60 ? word.len : 60), word.ptr ? word.ptr : "", what, near);
            return wrong(err, what, word);
        }
        mask |= 1u << i;
        at = end + 1;
    }
    *ret_mask = mask;
    return MED_OK;
}

static enum med_code set_source(struct search_params *p, struct med_str v, struct med_err *err)
{
    return set_mask(v, source_name, MED_SOURCE_COUNT,
        "source (pubmed, pmc, guideline, other; several separated by commas)",
        &p->request.filter.source_mask, err);
}

static enum med_code set_evidence(struct search_params *p, struct med_str v, struct med_err *err)
{
    return set_mask(v, evidence_name, MED_EVIDENCE_COUNT,
        "evidence level (guideline, systematic-review, randomized-trial, trial, review, "
        "observational, case-report, opinion, unknown; several separated by commas)",
        &p->request.filter.evidence_mask, err);
}

/* Values of documents may hold commas ("Diabetes Mellitus, Type 2"): they are separated by
 * semicolons. */
static enum med_code set_values(
    struct search_list *list, struct med_str v, struct med_str_list *ret_list, struct med_err *err)
{
    size_t count = 0;
    for (size_t at = 0, end; at <= v.len; at = end + 1) {
        for (end = at; end < v.len && v.ptr[end] != ';';) end++;
        struct med_str value = med_str_trim(med_str_sub(v, at, end));
        if (value.len == 0) return wrong(err, "one or more values, separated by semicolons,", v);
        if (!med_utf8_valid(value.ptr, value.len)) return wrong(err, "valid UTF-8", value);
        if (count == SEARCH_LIST_VALUES_MAX)
            return med_fail(
                err, MED_E_LIMIT, "at most %d values are accepted", SEARCH_LIST_VALUES_MAX);
        list->values[count++] = value;
    }
    *ret_list = (struct med_str_list){.items = list->values, .count = count};
    return MED_OK;
}

static enum med_code set_type(struct search_params *p, struct med_str v, struct med_err *err)
{
    return set_values(&p->types, v, &p->request.filter.types, err);
}

static enum med_code set_journal(struct search_params *p, struct med_str v, struct med_err *err)
{
    return set_values(&p->journals, v, &p->request.filter.journals, err);
}

static enum med_code set_language(struct search_params *p, struct med_str v, struct med_err *err)
{
    return set_values(&p->languages, v, &p->request.filter.languages, err);
}

static enum med_code set_mesh(struct search_params *p, struct med_str v, struct med_err *err)
{
    return set_values(&p->mesh, v, &p->request.filter.mesh, err);
}

static enum med_code set_state(struct search_params *p, struct med_str v, struct med_err *err)
{
    int at = either(v, "only", "exclude");
    if (at < 0) return wrong(err, "only or exclude", v);
    if (at == 0) p->request.filter.flags_all |= MED_FLAG_RETRACTED;
    if (at == 1) p->request.filter.flags_none |= MED_FLAG_RETRACTED;
    return MED_OK;
}

static enum med_code set_sort(struct search_params *p, struct med_str v, struct med_err *err)
{
    int at = either(v, "relevance", "date");
    if (at < 0) return wrong(err, "relevance or date", v);
    p->request.sort = at ? MED_SORT_DATE : MED_SORT_RELEVANCE;
    return MED_OK;
}

static const char *facet_name(unsigned value)
{
    return med_facet_name((enum med_facet)value);
}

static enum med_code set_facets(struct search_params *p, struct med_str v, struct med_err *err)
{
    return set_mask(v, facet_name, MED_FACET_COUNT,
        "facet (year, type, journal, mesh, language, source, evidence; several separated by "
        "commas)",
        &p->request.facet_mask, err);
}

static enum med_code set_facet_limit(struct search_params *p, struct med_str v, struct med_err *err)
{
    return whole(v, 1, FACET_VALUES_MAX, &p->request.facet_values, err);
}

static enum med_code set_tokens(struct search_params *p, struct med_str v, struct med_err *err)
{
    unsigned long long n;
    if (!med_str_to_u64(v, &n) || n < 1 || n > MED_TOKENS_MAX)
        return wrong(err, "a whole number from 1 to 1000000000", v);
    p->max_tokens = n;
    return MED_OK;
}

static enum med_code set_cursor(struct search_params *p, struct med_str v, struct med_err *err)
{
    if (v.len == 0) return wrong(err, "the next_cursor of an answer", v);
    p->cursor = v;
    return MED_OK;
}

static enum med_code set_form(struct search_params *p, struct med_str v, struct med_err *err)
{
    p->form_given = true;
    return media_parse(v, MEDIA_ANSWERS, &p->form, err);
}

/* --- the table --- */

static const struct param_row rows[] = {
    {"query", false, JSON_TEXT, "text", set_query},
    {"q", false, JSON_TEXT, "text", set_query},
    {"limit", false, JSON_NUMBER, "a whole number", set_limit},
    {"offset", false, JSON_NUMBER, "a whole number", set_offset},
    {"mode", false, JSON_TEXT, "a word", set_mode},
    {"group_by", false, JSON_TEXT, "a word", set_group_by},
    {"response_format", false, JSON_TEXT, "a word", set_format},
    {"max_tokens", false, JSON_NUMBER, "a whole number", set_tokens},
    {"cursor", false, JSON_TEXT, "text", set_cursor},
    {"format", false, JSON_TEXT, "a word", set_form},
    {"fusion", false, JSON_TEXT, "a word", set_fusion},
    {"fusion_weight", false, JSON_NUMBER, "a number", set_weight},
    {"authority_weight", false, JSON_NUMBER, "a number", set_authority},
    {"explain", false, JSON_BOOL, "true or false", set_explain},
    {"expand", false, JSON_BOOL, "true or false", set_expand},
    {"year", true, JSON_TEXT | JSON_NUMBER, "a year or a range such as \"2015..2020\"", set_year},
    {"source", true, JSON_LIST, "a word or a list of words", set_source},
    {"evidence", true, JSON_LIST, "a word or a list of words", set_evidence},
    {"type", true, JSON_LIST, "a value or a list of values", set_type},
    {"journal", true, JSON_LIST, "a value or a list of values", set_journal},
    {"language", true, JSON_LIST, "a value or a list of values", set_language},
    {"mesh", true, JSON_LIST, "a value or a list of values", set_mesh},
    {"retracted", true, JSON_TEXT, "a word", set_state},
    {"sort", false, JSON_TEXT, "a word", set_sort},
    {"facets", false, JSON_LIST, "a word or a list of words", set_facets},
    {"facet_limit", false, JSON_NUMBER, "a whole number", set_facet_limit},
    {"exclude_retracted", true, JSON_BOOL, "true or false", set_retracted},
    {"has_abstract", true, JSON_BOOL, "true or false", set_abstract},
};
#define ROW_COUNT (sizeof rows / sizeof *rows)
_Static_assert(ROW_COUNT <= 32, "seen is a mask of 32");

static double deployment_authority_weight = -1; /* set before other threads start */

void search_params_deploy(double authority_weight)
{
    deployment_authority_weight = authority_weight;
}

void search_params_init(struct search_params *params)
{
    *params = (struct search_params){.request = MED_SEARCH_REQUEST_DEFAULT};
    params->request.authority_weight = deployment_authority_weight;
    params->request.facet_values = FACET_VALUES_DEFAULT;
}

static const struct param_row *find(struct med_str name)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        struct med_str known = med_str_of(rows[i].name);
        bool same = known.len == name.len;
        for (size_t k = 0; same && k < name.len; k++)
            same = known.ptr[k] == (name.ptr[k] == '-' ? '_' : name.ptr[k]);
        if (same) return &rows[i];
    }
    return NULL;
}

static enum med_code unknown(struct med_str name, bool in_body, struct med_err *err)
{
    const char *known[ROW_COUNT + 2];
    for (size_t i = 0; i < ROW_COUNT; i++) known[i] = rows[i].name;
    known[ROW_COUNT] = "filters";
    known[ROW_COUNT + 1] = "queries";
    const char *near = suggest_word(name, known, ROW_COUNT + (in_body ? 2 : 0));
    int len = (int)(name.len < 60 ? name.len : 60);
    if (near)
        return med_fail(err, MED_E_USAGE, "unknown parameter \"%.*s\"; did you mean \"%s\"?", len,
            name.ptr ? name.ptr : "", near);
    return med_fail(err, MED_E_USAGE,
        "unknown parameter \"%.*s\"; known are query, limit, offset, cursor, mode, "
        "group_by, response_format, max_tokens, format, fusion, fusion_weight, authority_weight, "
        "explain, expand, sort, facets, "
        "facet_limit, year, source, evidence, type, journal, language, mesh, retracted, "
        "exclude_retracted, has_abstract",
        len, name.ptr ? name.ptr : "");
}

static uint32_t seen_bit(const struct param_row *row)
{
    return row->set == set_query ? 1 : 1u << (row - rows); /* q and query are one */
}

static enum med_code apply(struct search_params *params, const struct param_row *row,
    struct med_str value, struct med_err *err)
{
    if (params->seen & seen_bit(row))
        return med_fail(
            err, MED_E_INVALID, "%s is given twice", row->set == set_query ? "query" : row->name);
    params->seen |= seen_bit(row);
    enum med_code code = row->set(params, value, err);
    if (code) med_err_prefix(err, "%s", row->name);
    return code;
}

enum med_code search_params_set(
    struct search_params *params, struct med_str name, struct med_str value, struct med_err *err)
{
    const struct param_row *row = find(name);
    return row ? apply(params, row, value, err) : unknown(name, false, err);
}

/* --- JSON --- */

static enum med_code list_text(const struct med_json *list, char separator, struct med_arena *arena,
    struct med_str *ret_text, struct med_err *err)
{
    struct med_buf joined;
    med_buf_init(&joined, MED_QUERY_BYTES_MAX);
    for (const struct med_json *item = med_json_first(list); item; item = med_json_next(item)) {
        struct med_str word = med_json_string(item);
        if (med_json_type(item) != MED_JSON_STRING || memchr(word.ptr, separator, word.len)) {
            med_buf_free(&joined);
            return med_fail(err, MED_E_INVALID, "a list of words expected");
        }
        if (item != med_json_first(list)) med_buf_putc(&joined, separator);
        med_buf_append_str(&joined, word);
    }
    enum med_code code = med_buf_status(&joined, err);
    if (!code && !med_arena_str(arena, med_buf_str(&joined), ret_text))
        code = med_fail(err, MED_E_NOMEM, "the request needs too much memory");
    med_buf_free(&joined);
    return code;
}

/* A JSON value as the text that the setters take. */
static enum med_code value_text(const struct med_json *v, char separator, struct med_arena *arena,
    struct med_str *ret_text, struct med_err *err)
{
    long long n;
    const char *text = NULL;
    switch (med_json_type(v)) {
    case MED_JSON_STRING: *ret_text = med_json_string(v); return MED_OK;
    case MED_JSON_ARRAY: return list_text(v, separator, arena, ret_text, err);
    case MED_JSON_BOOL: text = med_json_bool(v) ? "true" : "false"; break;
    case MED_JSON_NUMBER:
        text = med_json_int(v, -(1ll << 53), 1ll << 53, &n)
                   ? med_arena_printf(arena, "%lld", n)
                   : med_arena_printf(arena, "%.17g", med_json_number(v));
        if (!text) return med_fail(err, MED_E_NOMEM, "the request needs too much memory");
        break;
    case MED_JSON_NULL:
    case MED_JSON_OBJECT: return med_fail(err, MED_E_INTERNAL, "a value of the wrong type");
    }
    *ret_text = med_str_of(text);
    return MED_OK;
}

static char separator_of(const struct param_row *row)
{
    bool values = row->set == set_type || row->set == set_journal || row->set == set_language ||
                  row->set == set_mesh;
    return values ? ';' : ',';
}

static enum med_code apply_member(struct search_params *params, const struct med_json *member,
    bool in_filters, bool is_default, struct med_arena *arena, struct med_err *err)
{
    struct med_str name = med_str_of(med_json_key(member)), text;
    const struct param_row *row = find(name);
    if (!row) return unknown(name, true, err);
    if (row->filter != in_filters)
        return med_fail(err, MED_E_INVALID,
            row->filter ? "%s belongs inside \"filters\"" : "%s belongs beside \"filters\"",
            row->name);
    enum med_json_type type = med_json_type(member);
    if (!(row->json_types & 1u << type))
        return med_fail(err, MED_E_INVALID, "%s: %s expected, not %s", row->name, row->expects,
            med_json_type_name(type));
    if (is_default && params->seen & seen_bit(row)) return MED_OK;
    enum med_code code = value_text(member, separator_of(row), arena, &text, err);
    if (code) {
        med_err_prefix(err, "%s", row->name);
        return code;
    }
    return apply(params, row, text, err);
}

static enum med_code member(struct search_params *params, const struct med_json *m, bool is_default,
    struct med_arena *arena, struct med_err *err)
{
    if (!med_str_eq(med_str_of(med_json_key(m)), MED_STR("filters")))
        return apply_member(params, m, false, is_default, arena, err);
    if (med_json_type(m) != MED_JSON_OBJECT)
        return med_fail(err, MED_E_INVALID, "filters: an object expected, not %s",
            med_json_type_name(med_json_type(m)));
    enum med_code code = MED_OK;
    for (const struct med_json *f = med_json_first(m); f && !code; f = med_json_next(f))
        code = apply_member(params, f, true, is_default, arena, err);
    return code;
}

enum med_code search_params_member(struct search_params *params, const struct med_json *m,
    struct med_arena *arena, struct med_err *err)
{
    return member(params, m, false, arena, err);
}

enum med_code search_params_defaults(struct search_params *params, const struct med_json *m,
    struct med_arena *arena, struct med_err *err)
{
    return member(params, m, true, arena, err);
}

enum med_code search_params_json(struct search_params *params, const struct med_json *root,
    struct med_arena *arena, struct med_err *err)
{
    if (med_json_type(root) != MED_JSON_OBJECT)
        return med_fail(err, MED_E_INVALID, "the body must be a JSON object, not %s",
            med_json_type_name(med_json_type(root)));
    enum med_code code = MED_OK;
    for (const struct med_json *m = med_json_first(root); m && !code; m = med_json_next(m))
        code = search_params_member(params, m, arena, err);
    return code;
}

/* What decides which results there are and in which order, as one line. */
static void canonical_ranking(const struct search_params *params, struct med_buf *out)
{
    const struct med_search_request *r = &params->request;
    const struct med_search_filter *f = &r->filter;
    med_buf_printf(out, "%d %d %d %.17g %.17g %u %u %u %u %u %u %d %d ", (int)r->mode,
        (int)r->fusion, (int)r->group, r->fusion_weight, r->authority_weight, f->year_min,
        f->year_max, f->source_mask, f->evidence_mask, f->flags_all, f->flags_none, (int)r->sort,
        r->expand);
    const struct med_str_list *lists[] = {&f->types, &f->journals, &f->languages, &f->mesh};
    for (size_t l = 0; l < sizeof lists / sizeof *lists; l++) {
        for (size_t i = 0; i < lists[l]->count; i++) {
            med_buf_append_str(out, lists[l]->items[i]);
            med_buf_putc(out, ';');
        }
        med_buf_putc(out, ' ');
    }
    med_buf_append_str(out, params->about);
    med_buf_putc(out, ' ');
    med_buf_append_str(out, r->query);
}

static uint64_t fingerprint(const struct search_params *params)
{
    struct med_buf text;
    med_buf_init(&text, MED_MIB);
    canonical_ranking(params, &text);
    uint64_t hash = med_hash64(text.data, text.len);
    med_buf_free(&text);
    return hash;
}

void search_params_cursor(const struct search_params *params, uint64_t generation, uint32_t offset,
    char ret_text[CURSOR_TEXT_MAX + 1])
{
    cursor_write(
        &(struct cursor){
            .generation = generation, .fingerprint = fingerprint(params), .offset = offset},
        ret_text);
}

static enum med_code check_window(struct search_params *params, struct med_err *err)
{
    struct med_search_request *r = &params->request;
    struct cursor cursor;
    if (params->cursor.len) {
        if (r->offset)
            return med_fail(err, MED_E_INVALID,
                "cursor and offset: give one of them; a cursor holds the place");
        if (!cursor_read(params->cursor, &cursor))
            return med_fail(
                err, MED_E_INVALID, "cursor: this is not the next_cursor of an answer, unchanged");
        if (cursor.fingerprint != fingerprint(params))
            return med_fail(err, MED_E_INVALID,
                "cursor: it belongs to another request; send it with the same query, filters and "
                "ranking, or begin without it");
        if (cursor.offset >= MED_POOL_DEPTH_MAX)
            return med_fail(err, MED_E_INVALID, "cursor: it lies behind the last page");
        r->offset = cursor.offset;
        params->generation = cursor.generation;
        if (r->limit > MED_POOL_DEPTH_MAX - r->offset) r->limit = MED_POOL_DEPTH_MAX - r->offset;
    }
    if ((uint64_t)r->offset + r->limit <= MED_POOL_DEPTH_MAX) return MED_OK;
    return med_fail(err, MED_E_INVALID, "offset + limit may be at most %d; narrow the search",
        MED_POOL_DEPTH_MAX);
}

enum med_code search_params_finish(struct search_params *params, struct med_err *err)
{
    struct med_search_request *r = &params->request;
    r->query = med_str_trim(r->query);
    if (r->query.len == 0)
        return med_fail(err, MED_E_INVALID, "query is missing: say what to search for");
    if (r->query.len > MED_QUERY_BYTES_MAX)
        return med_fail(err, MED_E_LIMIT, "the query has %zu bytes; at most %llu are accepted",
            r->query.len, MED_QUERY_BYTES_MAX);
    if (!med_utf8_valid(r->query.ptr, r->query.len))
        return med_fail(err, MED_E_INVALID, "query is not valid UTF-8");
    return check_window(params, err);
}

enum med_code search_params_window(struct search_params *params, struct med_err *err)
{
    struct med_search_request *r = &params->request;
    if (r->query.len)
        return med_fail(err, MED_E_INVALID, "query has no place here: the document is the query");
    if (r->facet_mask || r->sort != MED_SORT_RELEVANCE)
        return med_fail(err, MED_E_INVALID, "facets and sort have no place here");
    return check_window(params, err);
}

void search_params_canonical(const struct search_params *params, struct med_buf *out)
{
    const struct med_search_request *r = &params->request;
    med_buf_printf(out, "%u %u %d %d %u %u %llu ", r->limit, r->offset, params->detailed,
        params->explain, r->facet_mask, r->facet_values, (unsigned long long)params->max_tokens);
    canonical_ranking(params, out);
}

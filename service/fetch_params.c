/* The parameters of fetch: one table for the query string, JSON bodies and the command line. */
#include "common/limits.h"
#include "service/answer.h"
#include "service/suggest.h"

#define WINDOW_MAX 20

static enum med_code number(
    struct med_str value, uint64_t min, uint64_t max, uint64_t *ret, struct med_err *err)
{
    unsigned long long n;
    if (!med_str_to_u64(value, &n) || n < min || n > max)
        return med_fail(err, MED_E_INVALID, "a whole number from %llu to %llu expected",
            (unsigned long long)min, (unsigned long long)max);
    *ret = n;
    return MED_OK;
}

static enum med_code set_sections(struct fetch_params *p, struct med_str v, struct med_err *err)
{
    return fetch_params_sections(p, v, err);
}

static enum med_code set_tokens(struct fetch_params *p, struct med_str v, struct med_err *err)
{
    return number(v, 1, MED_TOKENS_MAX, &p->max_tokens, err);
}

static enum med_code set_window(struct fetch_params *p, struct med_str v, struct med_err *err)
{
    uint64_t n = 0;
    enum med_code code = number(v, 0, WINDOW_MAX, &n, err);
    p->window = (uint32_t)n;
    return code;
}

static enum med_code set_start(struct fetch_params *p, struct med_str v, struct med_err *err)
{
    uint64_t n = 0;
    enum med_code code = number(v, 0, MED_DOC_TEXT_BYTES_MAX, &n, err);
    p->start_byte = (uint32_t)n;
    return code;
}

static enum med_code set_view(struct fetch_params *p, struct med_str v, struct med_err *err)
{
    p->outline = med_str_eq(v, MED_STR("outline"));
    if (p->outline || med_str_eq(v, MED_STR("text"))) return MED_OK;
    return med_fail(err, MED_E_INVALID, "text or outline expected");
}

static enum med_code set_form(struct fetch_params *p, struct med_str v, struct med_err *err)
{
    p->form_given = true;
    return media_parse(v, MEDIA_ANSWERS, &p->form, err);
}

static const struct {
    const char *name;
    enum med_json_type type; /* in a JSON body */
    enum med_code (*set)(struct fetch_params *p, struct med_str v, struct med_err *err);
} rows[] = {
    {"format", MED_JSON_STRING, set_form},
    {"sections", MED_JSON_STRING, set_sections},
    {"max_tokens", MED_JSON_NUMBER, set_tokens},
    {"window", MED_JSON_NUMBER, set_window},
    {"start_byte", MED_JSON_NUMBER, set_start},
    {"view", MED_JSON_STRING, set_view},
};
#define ROW_COUNT (sizeof rows / sizeof *rows)

enum med_code fetch_params_set(struct fetch_params *params, struct med_str name,
    struct med_str value, const char *also, struct med_err *err)
{
    const char *known[ROW_COUNT + 1];
    for (size_t i = 0; i < ROW_COUNT; i++) {
        known[i] = rows[i].name;
        if (!med_str_eq(name, med_str_of(rows[i].name))) continue;
        enum med_code code = rows[i].set(params, value, err);
        if (code) med_err_prefix(err, "%s", rows[i].name);
        return code;
    }
    known[ROW_COUNT] = also;
    const char *near = suggest_word(name, known, ROW_COUNT + 1);
    int len = (int)(name.len < 60 ? name.len : 60);
    if (near)
        return med_fail(err, MED_E_USAGE, "unknown parameter \"%.*s\"; did you mean \"%s\"?", len,
            name.ptr ? name.ptr : "", near);
    return med_fail(err, MED_E_USAGE,
        "unknown parameter \"%.*s\"; known are %s, format, sections, max_tokens, window, "
        "start_byte, view",
        len, name.ptr ? name.ptr : "", also);
}

enum med_code fetch_params_member(struct fetch_params *params, const struct med_json *member,
    struct med_arena *arena, struct med_err *err)
{
    struct med_str name = med_str_of(med_json_key(member)), value = {0};
    enum med_json_type type = med_json_type(member);
    long long n;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (!med_str_eq(name, med_str_of(rows[i].name)) || type == rows[i].type) continue;
        return med_fail(err, MED_E_INVALID, "%s: %s expected, not %s", rows[i].name,
            med_json_type_name(rows[i].type), med_json_type_name(type));
    }
    if (type == MED_JSON_NUMBER) {
        const char *text = med_json_int(member, 0, 1ll << 53, &n)
                               ? med_arena_printf(arena, "%lld", n)
                               : med_arena_printf(arena, "%.17g", med_json_number(member));
        if (!text) return med_fail(err, MED_E_NOMEM, "the request needs too much memory");
        value = med_str_of(text);
    } else {
        value = med_json_string(member);
    }
    return fetch_params_set(params, name, value, "ids", err);
}

enum med_code fetch_params_section_list(
    struct fetch_params *params, const struct med_json *list, struct med_err *err)
{
    if (med_json_type(list) != MED_JSON_ARRAY)
        return med_fail(err, MED_E_INVALID, "sections: a list of strings expected, not %s",
            med_json_type_name(med_json_type(list)));
    for (const struct med_json *v = med_json_first(list); v; v = med_json_next(v)) {
        struct med_str name = med_str_trim(med_json_string(v));
        if (med_json_type(v) != MED_JSON_STRING || name.len == 0)
            return med_fail(err, MED_E_INVALID, "sections: headings expected");
        if (params->section_count == FETCH_SECTIONS_MAX)
            return med_fail(err, MED_E_LIMIT, "sections: at most %d", FETCH_SECTIONS_MAX);
        params->sections[params->section_count++] = name;
    }
    return MED_OK;
}

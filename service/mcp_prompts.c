/* MCP's prompts: texts of api-spec/mcp-tools.json with the caller's words in them, and completion
 * of the one argument that the library can complete. */
#include "common/limits.h"
#include "service/mcp.h"

#define TOPIC "topic" /* the argument that is completed */
#define VALUES_MAX 20

static const struct mcp_prompt *find(struct med_str name, struct med_err *err)
{
    for (const struct mcp_prompt *p = mcp_prompts; p->name; p++) {
        if (med_str_eq(name, med_str_of(p->name))) return p;
    }
    (void)med_fail(err, MED_E_NOT_FOUND, "unknown prompt; prompts/list names them");
    return NULL;
}

static bool has_argument(const struct mcp_prompt *p, struct med_str name)
{
    for (size_t i = 0; i < sizeof p->arguments / sizeof *p->arguments; i++) {
        if (p->arguments[i] && med_str_eq(name, med_str_of(p->arguments[i]))) return true;
    }
    return false;
}

static enum med_code check_arguments(
    const struct mcp_prompt *p, const struct med_json *arguments, struct med_err *err)
{
    for (const struct med_json *m = med_json_first(arguments); m; m = med_json_next(m)) {
        struct med_str name = med_str_of(med_json_key(m));
        if (!has_argument(p, name))
            return med_fail(err, MED_E_INVALID, "prompt %s has no argument \"%.*s\"", p->name,
                (int)(name.len < 60 ? name.len : 60), name.ptr ? name.ptr : "");
    }
    for (size_t i = 0; i < sizeof p->arguments / sizeof *p->arguments; i++) {
        if (!p->arguments[i]) continue;
        const struct med_json *v = med_json_get(arguments, p->arguments[i]);
        if (!v || med_json_type(v) != MED_JSON_STRING || !med_str_trim(med_json_string(v)).len)
            return med_fail(err, MED_E_INVALID,
                "prompt %s: the argument %s is missing or no string", p->name, p->arguments[i]);
    }
    return MED_OK;
}

/* The text with each "{name}" replaced; the caller's words are not looked at again. */
static void fill(const char *text, const struct med_json *arguments, struct med_buf *out)
{
    struct med_str rest = med_str_of(text);
    while (rest.len) {
        const char *open = memchr(rest.ptr, '{', rest.len);
        size_t at = open ? (size_t)(open - rest.ptr) : rest.len;
        med_buf_append(out, rest.ptr, at);
        rest = med_str_sub(rest, at, rest.len);
        if (!open) break;
        const char *close = memchr(rest.ptr, '}', rest.len);
        size_t end = close ? (size_t)(close - rest.ptr) : rest.len - 1;
        for (const struct med_json *m = med_json_first(arguments); m; m = med_json_next(m)) {
            if (med_str_eq(med_str_of(med_json_key(m)), med_str_sub(rest, 1, end)))
                med_buf_append_str(out, med_str_trim(med_json_string(m)));
        }
        rest = med_str_sub(rest, end + 1, rest.len);
    }
}

enum med_code mcp_prompt_get(
    struct med_str name, const struct med_json *arguments, struct med_jw *w, struct med_err *err)
{
    const struct mcp_prompt *p = find(name, err);
    struct med_buf text;
    if (!p) return MED_E_NOT_FOUND;
    enum med_code code = check_arguments(p, arguments, err);
    if (code) return code;
    med_buf_init(&text, MED_REQUEST_BODY_BYTES_MAX + 4 * MED_KIB);
    fill(p->text, arguments, &text);
    code = med_buf_status(&text, err);
    if (!code) {
        med_jw_kcstr(w, "description", p->description);
        med_jw_key(w, "messages");
        med_jw_array(w);
        med_jw_object(w);
        med_jw_kcstr(w, "role", "user");
        med_jw_key(w, "content");
        med_jw_object(w);
        med_jw_kcstr(w, "type", "text");
        med_jw_kstr(w, "text", med_buf_str(&text));
        med_jw_object_end(w);
        med_jw_object_end(w);
        med_jw_array_end(w);
    }
    med_buf_free(&text);
    return code;
}

enum med_code mcp_complete(struct mcp_engine *engine, struct med_str prompt,
    struct med_str argument, struct med_str value, struct med_jw *w, struct med_err *err)
{
    struct med_term *terms = NULL;
    size_t count = 0;
    const struct med_index *index = engine->source.index;
    value = med_str_trim(value);
    if (prompt.ptr && !find(prompt, err)) return MED_E_NOT_FOUND;
    if (index && value.len && prompt.ptr && med_str_eq(argument, MED_STR(TOPIC))) {
        enum med_code code = med_terms_find(
            index, engine->searcher, value, VALUES_MAX, engine->arena, &terms, &count, err);
        if (code) return code;
    }
    med_jw_key(w, "completion");
    med_jw_object(w);
    med_jw_key(w, "values");
    med_jw_array(w);
    for (size_t i = 0; i < count; i++) med_jw_str(w, terms[i].name);
    med_jw_array_end(w);
    med_jw_kbool(w, "hasMore", false);
    med_jw_object_end(w);
    return MED_OK;
}

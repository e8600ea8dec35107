#include "service/fetch_many.h"

#include "common/limits.h"
#include "common/unicode.h"
#include "service/problem.h"

static enum med_code load(const struct fetch_source *source, const struct fetch_params *params,
    struct med_str id, struct med_arena *arena, struct med_fetched **ret_fetched,
    struct selection *ret_selection, struct med_err *err)
{
    if (!med_utf8_valid(id.ptr, id.len))
        return med_fail(err, MED_E_INVALID, "the id is not valid UTF-8");
    enum med_code code =
        med_fetch(source->store, source->index, source->sources, id, arena, ret_fetched, err);
    if (!code) audit_id(source->ids, id);
    return code ? code : document_select(*ret_fetched, params, arena, ret_selection, err);
}

enum med_code fetch_one_json(const struct fetch_source *source, const struct view *view,
    const struct fetch_params *params, struct med_str id, struct med_arena *arena,
    struct med_buf *out, struct med_err *err)
{
    struct med_fetched *fetched;
    struct selection selection;
    enum med_code code = load(source, params, id, arena, &fetched, &selection, err);
    if (code) return code;
    struct med_jw w = med_jw_of(out, view->pretty);
    document_json(view, fetched, &selection, &w);
    med_buf_putc(out, '\n');
    return MED_OK;
}

/* The caller's fault with one id; anything else is a failure of the whole request. */
static bool is_about_the_id(enum med_code code)
{
    return code == MED_E_NOT_FOUND || code == MED_E_GONE || code == MED_E_INVALID ||
           code == MED_E_LIMIT;
}

enum med_code fetch_many_json(const struct fetch_source *source, const struct view *view,
    const struct fetch_params *params, const struct med_str *ids, size_t count,
    struct med_arena *arena, struct med_buf *out, size_t *ret_errors, struct med_err *err)
{
    struct med_jw w = med_jw_of(out, view->pretty);
    struct fetch_params left = *params;
    size_t errors = 0;
    bool spent = false;
    med_jw_object(&w);
    med_jw_key(&w, "documents");
    med_jw_array(&w);
    for (size_t i = 0; i < count; i++) {
        struct med_fetched *fetched;
        struct selection selection;
        struct med_err one = {0};
        med_arena_reset(arena);
        enum med_code code =
            spent ? med_fail(&one, MED_E_LIMIT,
                        "max_tokens was used up by the documents before; fetch this one alone")
                  : load(source, &left, ids[i], arena, &fetched, &selection, &one);
        if (code && !is_about_the_id(code)) {
            if (err) *err = one;
            return code;
        }
        if (code) {
            errors++;
            med_jw_object(&w);
            med_jw_kstr(&w, "id", ids[i]);
            med_jw_key(&w, "error");
            problem_json(problem_of_code(code), one.text, NULL, &w);
            med_jw_object_end(&w);
            continue;
        }
        document_json(view, fetched, &selection, &w);
        if (params->max_tokens == 0) continue;
        uint64_t used = selection.text.len / MED_BYTES_PER_TOKEN + 1;
        spent = selection.truncated || used >= left.max_tokens;
        left.max_tokens -= spent ? left.max_tokens : used;
    }
    med_jw_array_end(&w);
    med_jw_object_end(&w);
    med_buf_putc(out, '\n');
    *ret_errors = errors;
    return MED_OK;
}

/* medicus vocab: the operator's vocabularies (MeSH and others). */
#include "common/json.h"
#include "common/limits.h"
#include "index/vocabularies.h"
#include "service/command.h"
#include "service/workspace.h"

#define LIST_BYTES_MAX (1 * MED_MIB)

static enum med_code add(
    const struct options *options, struct med_data *data, struct med_buf *out, struct med_err *err)
{
    struct med_vocabulary_report r;
    enum med_code code = med_vocabularies_add(data, options->args[1], &r, err);
    if (code) return code;
    if (options->json) {
        struct med_jw w = med_jw_of(out, false);
        med_jw_object(&w);
        med_jw_kcstr(&w, "name", r.name);
        med_jw_kbool(&w, "replaced", r.replaced);
        med_jw_kint(&w, "entries", (long long)r.entries);
        med_jw_kint(&w, "synonyms", (long long)r.synonyms);
        med_jw_kint(&w, "tree_numbers", (long long)r.trees);
        med_jw_kint(&w, "skipped", (long long)r.skipped);
        med_jw_object_end(&w);
        med_buf_putc(out, '\n');
        return MED_OK;
    }
    med_buf_printf(out, "%s %s: %zu entries, %zu synonyms, %zu tree numbers\n",
        r.replaced ? "replaced" : "added", r.name, r.entries, r.synonyms, r.trees);
    if (r.skipped)
        med_buf_printf(out, "skipped %zu records without id or name, the first at line %llu\n",
            r.skipped, (unsigned long long)r.first_skipped);
    med_buf_puts(out, "`medicus build` applies it\n");
    return MED_OK;
}

static enum med_code drop(
    const struct options *options, struct med_data *data, struct med_buf *out, struct med_err *err)
{
    enum med_code code = med_vocabularies_remove(data, options->args[1], err);
    if (code) return code;
    if (options->json) {
        struct med_jw w = med_jw_of(out, false);
        med_jw_object(&w);
        med_jw_kcstr(&w, "removed", options->args[1]);
        med_jw_object_end(&w);
        med_buf_putc(out, '\n');
    } else {
        med_buf_printf(out, "removed %s; `medicus build` applies it\n", options->args[1]);
    }
    return MED_OK;
}

static enum med_code list(
    const struct options *options, struct med_data *data, struct med_buf *out, struct med_err *err)
{
    struct med_vocabulary_info *all;
    struct med_arena *arena;
    size_t count;
    enum med_code code = med_arena_new(4 * MED_VOCABULARY_BYTES_MAX, &arena, err);
    if (code) return code;
    code = med_vocabularies_list(data, arena, &all, &count, err);
    struct med_jw w = med_jw_of(out, false);
    if (!code && options->json) med_jw_array(&w);
    for (size_t i = 0; !code && i < count; i++) {
        const struct med_vocabulary_info *v = &all[i];
        if (!options->json) {
            med_buf_printf(out,
                MED_STR_FMT "\t%zu entries\t%zu synonyms\t%zu tree numbers\t%llu bytes\n",
                MED_STR_ARG(v->name), v->entries, v->synonyms, v->trees,
                (unsigned long long)v->bytes);
            continue;
        }
        med_jw_object(&w);
        med_jw_kstr(&w, "name", v->name);
        med_jw_kint(&w, "entries", (long long)v->entries);
        med_jw_kint(&w, "synonyms", (long long)v->synonyms);
        med_jw_kint(&w, "tree_numbers", (long long)v->trees);
        med_jw_kint(&w, "bytes", (long long)v->bytes);
        med_jw_object_end(&w);
    }
    if (!code && options->json) {
        med_jw_array_end(&w);
        med_buf_putc(out, '\n');
    }
    med_arena_free(&arena);
    return code;
}

enum med_code cmd_vocab(const struct options *options, struct med_err *err)
{
    struct med_str verb = med_str_of(options->arg_count ? options->args[0] : "");
    bool is_add = med_str_eq(verb, MED_STR("add")), is_list = med_str_eq(verb, MED_STR("list"));
    bool known = is_add || is_list || med_str_eq(verb, MED_STR("remove"));
    if (!known || options->arg_count != (is_list ? 1 : 2))
        return med_fail(err, MED_E_USAGE, "what to do? vocab add FILE, list, or remove NAME");
    struct workspace w;
    struct med_buf out;
    enum med_code code =
        workspace_open(options, is_add ? WORKSPACE_CREATE : WORKSPACE_STORE, &w, err);
    if (code) return code;
    med_buf_init(&out, LIST_BYTES_MAX);
    if (is_add)
        code = add(options, w.data, &out, err);
    else if (is_list)
        code = list(options, w.data, &out, err);
    else
        code = drop(options, w.data, &out, err);
    if (!code) code = command_print(&out, err);
    med_buf_free(&out);
    workspace_close(&w);
    return code;
}

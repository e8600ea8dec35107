/* medicus generations: list, compare, activate, prune. */
#include "common/clock.h"
#include "common/json.h"
#include "common/limits.h"
#include "service/command.h"
#include "service/generations_json.h"
#include "service/workspace.h"

#include <inttypes.h>
#include <stdio.h>

#define OUT_BYTES_MAX (1 * MED_GIB) /* ids of a comparison */

struct run {
    const struct options *options;
    struct workspace w;
    struct med_buf out;
};

static enum med_code number_of(const char *text, uint64_t *ret_number, struct med_err *err)
{
    unsigned long long number;
    if (!med_str_to_u64(med_str_of(text), &number) || number == 0)
        return med_fail(err, MED_E_USAGE, "\"%.40s\" is no number of a generation", text);
    *ret_number = number;
    return MED_OK;
}

static void list_text(const struct med_generation_info *list, size_t count, struct med_buf *out)
{
    if (count == 0)
        med_buf_puts(out, "no generation published yet\n");
    else
        med_buf_printf(out, "%6s  %-20s %12s %12s %8s %12s  %s\n", "number", "created", "documents",
            "passages", "segments", "bytes", "");
    for (size_t i = 0; i < count; i++) {
        const struct med_generation_info *g = &list[i];
        char date[MED_TIME_TEXT_LEN + 1];
        med_time_text(g->created_unix_s, date);
        med_buf_printf(out,
            "%6" PRIu64 "  %-20s %12" PRIu64 " %12" PRIu64 " %8" PRIu64 " %12" PRIu64 "  %s%s%s\n",
            g->number, g->created_unix_s ? date : "damaged", g->doc_count, g->chunk_count,
            g->segment_count, g->bytes, g->current ? "current" : "",
            g->current && g->pinned ? ", " : "", g->pinned ? "in use" : "");
    }
}

static enum med_code list(struct run *r, struct med_err *err)
{
    struct med_arena *arena;
    struct med_generation_info *all;
    size_t count;
    enum med_code code = med_arena_new(64 * MED_MIB, &arena, err);
    if (code) return code;
    code = med_generation_list(r->w.data, arena, &all, &count, err);
    if (!code && r->options->json) {
        struct med_jw w = med_jw_of(&r->out, false);
        generations_json(all, count, &w);
        med_buf_putc(&r->out, '\n');
    } else if (!code) {
        list_text(all, count, &r->out);
    }
    med_arena_free(&arena);
    return code;
}

/* --- compare --- */

static const char *const difference_names[] = {
    [MED_DOCUMENT_ADDED] = "added",
    [MED_DOCUMENT_CHANGED] = "changed",
    [MED_DOCUMENT_REMOVED] = "removed",
};

struct id_list {
    struct med_buf *out;
    struct med_jw *w;           /* NULL: lines of text */
    enum med_difference wanted; /* of the JSON list that is being written */
};

static enum med_code print_id(
    void *ctx, enum med_difference what, struct med_str id, struct med_err *err)
{
    struct id_list *l = ctx;
    if (what == MED_DOCUMENT_SAME || (l->w && what != l->wanted)) return MED_OK;
    if (l->w)
        med_jw_str(l->w, id);
    else
        med_buf_printf(l->out, "%s\t" MED_STR_FMT "\n", difference_names[what], MED_STR_ARG(id));
    return med_buf_status(l->out, err);
}

static void side_json(const char *name, const struct med_index *index, struct med_jw *w)
{
    const struct med_manifest *m = med_index_manifest(index);
    char date[MED_TIME_TEXT_LEN + 1];
    med_time_text(m->created_unix_s, date);
    med_jw_key(w, name);
    med_jw_object(w);
    med_jw_kint(w, "number", (long long)m->number);
    med_jw_kcstr(w, "created", date);
    med_jw_kint(w, "documents", (long long)med_index_live_count(index));
    med_jw_kint(w, "bytes", (long long)med_index_bytes(index));
    med_jw_kcstr(w, "encoder", m->encoder_id[0] ? m->encoder_id : NULL);
    med_jw_kdouble(w, "fusion_weight", m->fusion_weight);
    med_jw_object_end(w);
}

static enum med_code compare_json(struct run *r, const struct med_index *a,
    const struct med_index *b, const struct med_canary *canary, struct med_err *err)
{
    struct med_jw w = med_jw_of(&r->out, false);
    struct med_differences d = {0};
    struct id_list l = {.out = &r->out, .w = &w};
    enum med_code code = med_index_differences(a, b, NULL, NULL, &d, err);
    med_jw_object(&w);
    side_json("before", a, &w);
    side_json("after", b, &w);
    med_jw_kint(&w, "same", (long long)d.same);
    const uint64_t counts[] = {0, d.added, d.changed, d.removed};
    for (int i = MED_DOCUMENT_ADDED; !code && i <= MED_DOCUMENT_REMOVED; i++) {
        l.wanted = (enum med_difference)i;
        med_jw_kint(&w, difference_names[i], (long long)counts[i]);
        if (!r->options->ids) continue;
        char key[24];
        snprintf(key, sizeof key, "%s_ids", difference_names[i]);
        med_jw_key(&w, key);
        med_jw_array(&w);
        code = med_index_differences(a, b, print_id, &l, &d, err);
        med_jw_array_end(&w);
    }
    med_jw_key(&w, "canary");
    med_jw_object(&w);
    med_jw_kint(&w, "queries", canary->queries);
    med_jw_kdouble(&w, "overlap", canary->overlap);
    med_jw_kint(&w, "found_before", canary->found_before);
    med_jw_kint(&w, "found_after", canary->found_after);
    med_jw_object_end(&w);
    med_jw_object_end(&w);
    med_buf_putc(&r->out, '\n');
    return code;
}

static enum med_code compare_text(struct run *r, const struct med_index *a,
    const struct med_index *b, const struct med_canary *canary, struct med_err *err)
{
    struct med_differences d;
    struct id_list l = {.out = &r->out};
    const struct med_manifest *ma = med_index_manifest(a), *mb = med_index_manifest(b);
    enum med_code code =
        med_index_differences(a, b, r->options->ids ? print_id : NULL, &l, &d, err);
    if (code) return code;
    med_buf_printf(&r->out,
        "documents  %" PRIu64 " added, %" PRIu64 " changed, %" PRIu64 " removed, %" PRIu64
        " the same\n",
        d.added, d.changed, d.removed, d.same);
    med_buf_printf(
        &r->out, "bytes      %" PRIu64 " -> %" PRIu64 "\n", med_index_bytes(a), med_index_bytes(b));
    med_buf_printf(&r->out, "encoder    %s\n",
        strcmp(ma->encoder_id, mb->encoder_id) == 0 ? "the same" : "another one");
    if (canary->queries)
        med_buf_printf(&r->out,
            "canary     %.0f %% of the first ten results are found again; %u and %u of %u titles "
            "find their document\n",
            100 * canary->overlap, canary->found_before, canary->found_after, canary->queries);
    return MED_OK;
}

static enum med_code compare(struct run *r, struct med_err *err)
{
    uint64_t numbers[2];
    struct med_index *sides[2] = {NULL, NULL};
    struct med_canary canary;
    enum med_code code = MED_OK;
    if (r->options->arg_count != 3)
        return med_fail(err, MED_E_USAGE, "which two? generations compare BEFORE AFTER");
    for (int i = 0; !code && i < 2; i++) {
        code = number_of(r->options->args[1 + i], &numbers[i], err);
        if (!code) code = med_index_open(r->w.data, r->w.store, numbers[i], true, &sides[i], err);
    }
    if (!code) code = med_index_canary(sides[0], sides[1], &canary, err);
    if (!code)
        code =
            (r->options->json ? compare_json : compare_text)(r, sides[0], sides[1], &canary, err);
    for (int i = 0; i < 2; i++) med_index_release(&sides[i]);
    return code;
}

/* --- changes --- */

static enum med_code activate(struct run *r, struct med_err *err)
{
    uint64_t number = 0, before = 0;
    if (r->options->arg_count != 2)
        return med_fail(err, MED_E_USAGE, "which one? generations activate NUMBER");
    enum med_code code = number_of(r->options->args[1], &number, err);
    if (code) return code;
    if (med_generation_current(r->w.data, &before, NULL)) before = 0;
    code = med_generation_activate(r->w.data, number, err);
    if (code) return code;
    if (r->options->json)
        med_buf_printf(
            &r->out, "{\"current\":%" PRIu64 ",\"before\":%" PRIu64 "}\n", number, before);
    else
        med_buf_printf(&r->out, "generation %" PRIu64 " is the current one%s\n", number,
            before == number ? " already" : "");
    return MED_OK;
}

static enum med_code prune(struct run *r, struct med_err *err)
{
    struct med_build_lock *lock;
    uint64_t removed;
    if (r->options->arg_count != 1)
        return med_fail(err, MED_E_USAGE, "prune takes --keep N and no other argument");
    enum med_code code = med_build_lock_take(r->w.data, &lock, err);
    if (code) return code;
    code = med_generation_prune(r->w.data, r->options->keep, &removed, err);
    med_build_lock_release(&lock);
    if (!code)
        med_buf_printf(&r->out,
            r->options->json ? "{\"removed\":%" PRIu64 "}\n" : "removed %" PRIu64 " generations\n",
            removed);
    return code;
}

enum med_code cmd_generations(const struct options *options, struct med_err *err)
{
    static const struct {
        const char *name;
        enum med_code (*run)(struct run *r, struct med_err *err);
    } verbs[] = {{"list", list}, {"compare", compare}, {"activate", activate}, {"prune", prune}};
    struct run r = {.options = options};
    const char *verb = options->arg_count ? options->args[0] : "list";
    size_t i = 0;
    while (i < 4 && strcmp(verbs[i].name, verb) != 0) i++;
    if (i == 4 || (i == 0 && options->arg_count > 1))
        return med_fail(err, MED_E_USAGE,
            "what to do? generations list, compare A B, activate N, or prune --keep N");
    enum med_code code = workspace_open(options, WORKSPACE_STORE, &r.w, err);
    if (code) return code;
    med_buf_init(&r.out, OUT_BYTES_MAX);
    code = verbs[i].run(&r, err);
    if (!code) code = command_print(&r.out, err);
    med_buf_free(&r.out);
    workspace_close(&r.w);
    return code;
}

/* The merging step of an update. At this point the state to come is in memory, patched and grouped
 * into works, so that a merged segment gets rows that are right as they are. */
#include "index/updating.h"

#include "common/clock.h"
#include "common/mem.h"
#include "index/merge.h"
#include "index/policy.h"

#include <stdio.h>

static enum med_code out_of_memory(struct med_err *err)
{
    return med_fail(err, MED_E_NOMEM, "out of memory while merging segments");
}

/* --- choosing --- */

static size_t choose_all(const struct med_segment_size *sizes, uint32_t count, bool *chosen)
{
    size_t n = 0;
    bool dead = false;
    for (uint32_t i = 0; i < count; i++) {
        chosen[i] = sizes[i].dead_docs < sizes[i].docs;
        n += chosen[i];
        dead |= chosen[i] && sizes[i].dead_docs;
    }
    return n > 1 || dead ? n : 0;
}

static size_t choose_one_with_dead(
    const struct med_segment_size *sizes, uint32_t count, bool *chosen)
{
    for (uint32_t i = 0; i < count; i++) {
        chosen[i] = sizes[i].dead_docs && sizes[i].dead_docs < sizes[i].docs;
        if (chosen[i]) return 1;
    }
    return 0;
}

static size_t choose(const struct update *u, struct med_segment_size *sizes, bool *chosen)
{
    const struct med_index *x = u->next;
    size_t n;
    for (uint32_t i = 0; i < x->segment_count; i++) {
        const struct med_segment *s = x->segments[i];
        sizes[i] =
            (struct med_segment_size){.live_passages = s->chunk_count - s->patch.dead_chunk_count,
                .docs = s->doc_count,
                .dead_docs = s->patch.dead_doc_count};
    }
    if (u->options->merge == MED_UPDATE_MERGE_ALL)
        return choose_all(sizes, x->segment_count, chosen);
    n = med_merge_choose(sizes, x->segment_count, chosen);
    if (n == 0 && u->options->merge == MED_UPDATE_MERGE_DEAD)
        n = choose_one_with_dead(sizes, x->segment_count, chosen);
    return n;
}

/* --- merging --- */

/* Bytes that were damaged on disk must not get a checksum that says they are right. What this
 * update wrote is not read again. */
static enum med_code verify(
    const struct med_index *x, const struct med_segment_ref *ref, struct med_err *err)
{
    const struct med_segment_ref *base = x->manifest->segments;
    enum med_code code = MED_OK;
    if (ref < base || ref >= base + x->manifest->segment_count) return MED_OK;
    for (size_t i = 0; !code && i < ref->file_count; i++) {
        struct med_map map;
        code = med_pin_map(x->pin, ref, ref->files[i].name, true, &map, err);
        if (!code) med_map_close(&map);
    }
    return code;
}

/* The new segment's name and files, as the manifest will tell them; in the arena. */
static enum med_code describe(struct update *u, const struct med_merge_result *result,
    const char *id, const bool *chosen, struct med_segment_ref **ret_ref, struct med_err *err)
{
    const struct med_index *x = u->next;
    struct med_segment_ref *ref = med_arena_calloc(u->b.arena, 1, sizeof *ref);
    if (!ref) return out_of_memory(err);
    ref->files = med_arena_calloc(u->b.arena, result->file_count, sizeof *ref->files);
    if (!ref->files) return out_of_memory(err);
    memcpy(ref->files, result->files, result->file_count * sizeof *ref->files);
    snprintf(ref->id, sizeof ref->id, "%s", id);
    ref->file_count = result->file_count;
    ref->doc_count = result->doc_count;
    ref->chunk_count = result->chunk_count;
    for (uint32_t i = 0; i < x->segment_count; i++) {
        if (!chosen[i]) continue;
        ref->token_count += x->segments[i]->ref->token_count;
        ref->unknown_count += x->segments[i]->ref->unknown_count;
    }
    for (size_t i = 0; i < ref->file_count; i++) u->report.new_bytes += ref->files[i].size;
    *ret_ref = ref;
    return MED_OK;
}

/* The chosen segments and their patches go, the merged one comes last. */
static void put_in_place(struct update *u, const bool *chosen, struct med_segment *merged)
{
    struct med_index *x = u->next;
    uint32_t kept = 0, count = x->segment_count;
    for (uint32_t i = 0; i < count; i++) {
        if (chosen[i]) {
            med_segment_close(&x->segments[i]);
            med_buf_free(&u->patches[i]);
            continue;
        }
        struct med_buf patch = u->patches[i];
        u->patches[i] = (struct med_buf){0};
        u->patches[kept] = patch;
        x->segments[kept++] = x->segments[i];
    }
    x->segments[kept++] = merged;
    x->segment_count = kept;
}

static void note(struct update *u, const struct med_merge_result *result, size_t count)
{
    u->report.merged_segments += count;
    u->report.copied += result->chunk_count;
    u->report.seconds.merge_graph += result->seconds.graph;
    if (!result->has_dense) return;
    double recall = (double)result->dense.recall_at_10;
    if (u->options->merge == MED_UPDATE_MERGE_ALL || recall < u->manifest.recall_at_10)
        u->manifest.recall_at_10 = recall;
}

static enum med_code merge_chosen(
    struct update *u, const bool *chosen, size_t count, struct med_err *err)
{
    struct med_index *x = u->next;
    struct med_merge_input *inputs = med_calloc(count, sizeof *inputs);
    struct med_merge_options options = {
        .weights = {u->manifest.title_weight, u->manifest.mesh_weight},
        .threads = u->options->threads,
        .progress = u->options->progress};
    struct med_merge_result result;
    struct med_segment_ref *ref = NULL;
    struct med_segment *merged = NULL;
    char id[MED_NAME_LEN + 1], dir[MED_PATH_MAX];
    size_t n = 0;
    if (!inputs) return out_of_memory(err);
    enum med_code code = MED_OK;
    for (uint32_t i = 0; !code && i < x->segment_count; i++) {
        if (!chosen[i]) continue;
        inputs[n++] = (struct med_merge_input){x->segments[i], x->segments[i]->patch.dead};
        code = verify(x, x->segments[i]->ref, err);
    }
    if (!code) code = med_data_new_segment(u->b.data, id, dir, err);
    if (code) {
        med_free(inputs);
        return code;
    }
    code = med_segment_merge(inputs, n, &options, u->b.fs, dir, &result, err);
    med_free(inputs);
    if (!code) code = describe(u, &result, id, chosen, &ref, err);
    if (!code)
        code = segment_open_unpublished(dir, result.has_dense ? dir : NULL, ref, &merged, err);
    if (code) {
        struct med_err ignored;
        enum med_code removed = med_fs_remove_tree(u->b.fs, dir, &ignored);
        (void)removed; /* what stays is swept by the next build */
        return code;
    }
    note(u, &result, n);
    put_in_place(u, chosen, merged);
    return MED_OK;
}

enum med_code update_merge(struct update *u, struct med_err *err)
{
    uint64_t start = med_now_ns();
    uint32_t cap = u->next->segment_count;
    struct med_segment_size *sizes = med_calloc((size_t)cap + 1, sizeof *sizes);
    bool *chosen = med_calloc((size_t)cap + 1, sizeof *chosen);
    enum med_code code = sizes && chosen ? MED_OK : out_of_memory(err);
    while (!code) {
        size_t n = choose(u, sizes, chosen);
        if (n == 0) break;
        code = merge_chosen(u, chosen, n, err);
    }
    med_free(sizes);
    med_free(chosen);
    u->report.seconds.merge = (double)(med_now_ns() - start) * 1e-9;
    return code;
}

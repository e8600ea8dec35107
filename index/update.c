/* See update.h. The base generation is opened once and then turned, in memory, into the state to
 * come (`next`): its segments get new patches, the new segment is put behind them. Every later step
 * looks at that state with the accessors that searches use. */
#include "index/updating.h"

#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"
#include "index/data_folder.h"
#include "index/gate.h"
#include "index/works.h"

#include <stdio.h>

#define UPDATE_ARENA_BYTES_MAX (16 * MED_GIB)
#define OVERLAY_BYTES_MAX (8 * MED_GIB)
#define PATCH_BYTES_MAX (4 * MED_GIB)
#define GENERATIONS_KEPT_DEFAULT 3

enum fate { FATE_ADDED, FATE_SAME, FATE_CHANGED }; /* of a document of the store */

static double seconds_since(uint64_t start)
{
    return (double)(med_now_ns() - start) / 1e9;
}

static enum med_code out_of_memory(struct med_err *err)
{
    return med_fail(err, MED_E_NOMEM, "out of memory for the update");
}

/* --- the plan --- */

static bool has_bit(const uint64_t *bits, uint32_t i)
{
    return bits && (bits[i >> 6] >> (i & 63) & 1);
}

/* The fates of documents by one segment; both sides are in byte order of ids. *ret_gone: live rows
 * that the store has not any more, or in another version. */
static enum med_code plan_segment(const struct med_segment *s, const struct med_id_version *store,
    size_t count, uint8_t *fates, struct med_arena *arena, struct med_changes *changes,
    uint64_t **ret_gone, struct med_err *err)
{
    size_t at = 0;
    *ret_gone = NULL;
    for (uint32_t d = 0; d < s->doc_count; d++) {
        if (!med_segment_is_live(s, d)) continue;
        struct med_str id = med_segment_doc_id(s, d);
        while (at < count && med_str_cmp(store[at].id, id) < 0) at++;
        bool there = at < count && med_str_eq(store[at].id, id);
        if (there && store[at].version == s->docs[d].version) {
            fates[at] = FATE_SAME;
            changes->same++;
            continue;
        }
        if (there) fates[at] = FATE_CHANGED;
        changes->changed += there;
        changes->removed += !there;
        if (!*ret_gone)
            *ret_gone = med_arena_calloc(arena, s->doc_count / 64 + 1, sizeof **ret_gone);
        if (!*ret_gone) return out_of_memory(err);
        (*ret_gone)[d >> 6] |= 1ull << (d & 63);
    }
    return MED_OK;
}

static enum med_code plan(const struct med_index *x, const struct med_id_version *store,
    size_t count, struct med_arena *arena, uint8_t **ret_fates, uint64_t ***ret_gone,
    struct med_changes *ret_changes, struct med_err *err)
{
    struct med_changes changes = {0};
    uint8_t *fates = med_arena_calloc(arena, count + 1, sizeof *fates);
    uint64_t **gone = med_arena_calloc(arena, x->segment_count + 1, sizeof *gone);
    if (!fates || !gone) return out_of_memory(err);
    for (uint32_t s = 0; s < x->segment_count; s++) {
        enum med_code code =
            plan_segment(x->segments[s], store, count, fates, arena, &changes, &gone[s], err);
        if (code) return code;
    }
    changes.added = count - changes.same - changes.changed;
    *ret_fates = fates;
    *ret_gone = gone;
    *ret_changes = changes;
    return MED_OK;
}

enum med_code med_update_pending(const struct med_index *index, struct med_snapshot *snapshot,
    struct med_changes *ret_changes, struct med_err *err)
{
    struct med_arena *arena;
    struct med_id_version *store;
    uint8_t *fates;
    uint64_t **gone;
    size_t count;
    enum med_code code = med_arena_new(UPDATE_ARENA_BYTES_MAX, &arena, err);
    if (code) return code;
    code = med_snapshot_list(snapshot, arena, &store, &count, err);
    if (!code) code = plan(index, store, count, arena, &fates, &gone, ret_changes, err);
    med_arena_free(&arena);
    return code;
}

/* What new files are derived from, or copied: damaged bytes must not get a checksum that says they
 * are right. Postings and vectors are not among it; whoever opens the generation reads them. */
static enum med_code verify_base(const struct med_index *x, struct med_err *err)
{
    static const char *const names[] = {
        "documents", "chunks", "lexicon", "lengths", MED_STATEMENTS_FILE};
    struct med_map map;
    enum med_code code = med_pin_map_thesaurus(x->pin, true, &map, err);
    if (!code) med_map_close(&map);
    if (!code && x->encoder) code = med_pin_map(x->pin, NULL, MED_ENCODER_FILE, true, &map, err);
    if (!code && x->encoder) med_map_close(&map);
    for (uint32_t s = 0; !code && s < x->segment_count; s++) {
        const struct med_segment_ref *ref = x->segments[s]->ref;
        size_t count = sizeof names / sizeof *names - !x->segments[s]->has_statements;
        code = med_pin_map_patch(x->pin, ref, true, &map, err);
        if (!code) med_map_close(&map);
        for (size_t i = 0; !code && i < count; i++) {
            code = med_pin_map(x->pin, ref, names[i], true, &map, err);
            if (!code) med_map_close(&map);
        }
    }
    return code;
}

static enum med_code prepare(struct update *u, struct med_err *err)
{
    struct build *b = &u->b;
    uint64_t start = med_now_ns();
    u->build_options = (struct med_build_options){.threads = u->options->threads,
        .memory = u->options->memory,
        .reference_date = u->options->reference_date,
        .progress = u->options->progress};
    b->options = &u->build_options;
    enum med_code code = med_build_lock_take(b->data, &b->lock, err);
    if (!code) code = med_index_open(b->data, b->store, 0, false, &u->next, err);
    if (!code) code = verify_base(u->next, err);
    if (!code) code = med_snapshot_open(b->store, &b->snapshot, err);
    if (!code) code = med_arena_new(UPDATE_ARENA_BYTES_MAX, &b->arena, err);
    if (!code) code = med_snapshot_list(b->snapshot, b->arena, &u->store, &u->store_count, err);
    if (!code)
        code = plan(u->next, u->store, u->store_count, b->arena, &u->fates, &u->gone,
            &u->report.changes, err);
    if (code) return code;
    u->base_count = u->next->segment_count;
    u->manifest = *u->next->manifest;
    b->manifest = u->manifest;
    u->dead = med_arena_calloc(b->arena, u->base_count + 1, sizeof *u->dead);
    u->patches = med_arena_calloc(b->arena, u->base_count + 2, sizeof *u->patches);
    b->docs = med_arena_calloc(
        b->arena, u->report.changes.added + u->report.changes.changed + 1, sizeof *b->docs);
    if (!u->dead || !u->patches || !b->docs) return out_of_memory(err);
    for (uint32_t s = 0; s <= u->base_count; s++) med_buf_init(&u->patches[s], PATCH_BYTES_MAX);
    for (size_t i = 0; i < u->store_count; i++)
        if (u->fates[i] != FATE_SAME) b->docs[b->doc_count++] = u->store[i];
    u->report.seconds.plan = seconds_since(start);
    return MED_OK;
}

/* --- patches --- */

static uint32_t count_bits(const uint64_t *bits, uint32_t count)
{
    uint32_t n = 0;
    for (size_t i = 0; bits && i <= count / 64; i++) n += (uint32_t)__builtin_popcountll(bits[i]);
    return n;
}

/* What the old patch took from terms, and what the documents that die now take. */
static enum med_code lose_terms(struct update *u, uint32_t segment, struct med_patch *patch,
    struct med_patch_term **ret_terms, struct med_err *err)
{
    const struct med_segment *s = u->next->segments[segment];
    uint32_t term_count = med_lex_term_count(s->lex), n = 0;
    struct med_lex_weights weights = {u->manifest.title_weight, u->manifest.mesh_weight};
    uint32_t *lost = med_calloc((size_t)term_count + 1, sizeof *lost);
    if (!lost) return out_of_memory(err);
    for (uint32_t i = 0; i < s->patch.term_count; i++)
        lost[s->patch.terms[i].ordinal] = s->patch.terms[i].df;
    enum med_code code =
        build_losses(u->b.snapshot, s, weights, u->gone[segment], u->options->threads, lost, err);
    for (uint32_t t = 0; t < term_count; t++) n += lost[t] > 0;
    *ret_terms = code ? NULL : med_calloc((size_t)n + 1, sizeof **ret_terms);
    if (!code && !*ret_terms) code = out_of_memory(err);
    for (uint32_t t = 0; !code && t < term_count; t++)
        if (lost[t])
            (*ret_terms)[patch->term_count++] =
                (struct med_patch_term){.ordinal = t, .df = lost[t]};
    patch->terms = *ret_terms;
    med_free(lost);
    return code;
}

static void count_dead(const struct med_segment *s, const uint64_t *dead, struct med_patch *patch)
{
    patch->dead = dead;
    patch->dead_doc_count = count_bits(dead, s->doc_count);
    for (uint32_t c = 0; c < s->chunk_count; c++) {
        if (!has_bit(dead, s->chunk_doc[c])) continue;
        patch->dead_chunk_count++;
        patch->dead_length += med_lex_length(s->lex, c);
    }
}

/* Writes a segment's patch and puts it on. */
static enum med_code put_on(
    struct update *u, uint32_t segment, const struct med_patch *patch, struct med_err *err)
{
    struct med_buf bytes;
    med_buf_init(&bytes, PATCH_BYTES_MAX);
    bool empty = !patch->dead_doc_count && !patch->work_count;
    enum med_code code = empty ? MED_OK : med_patch_write(patch, &bytes, err);
    if (!code) code = segment_patch(u->next->segments[segment], med_buf_str(&bytes), err);
    if (code) {
        med_buf_free(&bytes);
        return code;
    }
    med_buf_free(&u->patches[segment]);
    u->patches[segment] = bytes;
    return MED_OK;
}

/* The dead of a segment; works stay as they were. */
static enum med_code bury(struct update *u, uint32_t segment, struct med_err *err)
{
    struct med_segment *s = u->next->segments[segment];
    struct med_patch patch = s->patch;
    size_t words = (size_t)s->doc_count / 64 + 1;
    struct med_patch_term *terms = NULL;
    uint64_t *dead = med_arena_calloc(u->b.arena, words, sizeof *dead);
    if (!dead) return out_of_memory(err);
    for (size_t i = 0; i < words; i++)
        dead[i] =
            (s->patch.dead ? s->patch.dead[i] : 0) | (u->gone[segment] ? u->gone[segment][i] : 0);
    patch.term_count = patch.dead_chunk_count = 0;
    patch.dead_length = 0;
    count_dead(s, dead, &patch);
    enum med_code code = lose_terms(u, segment, &patch, &terms, err);
    if (!code) code = put_on(u, segment, &patch, err);
    med_free(terms);
    return code;
}

static enum med_code bury_all(struct update *u, struct med_err *err)
{
    enum med_code code = MED_OK;
    uint64_t start = med_now_ns();
    for (uint32_t s = 0; !code && s < u->base_count; s++) {
        if (u->gone[s]) code = bury(u, s, err);
    }
    u->report.seconds.losses = seconds_since(start);
    return code;
}

/* --- the new segment --- */

static enum med_code append_segment(struct update *u, struct med_err *err)
{
    struct med_index *x = u->next;
    struct build *b = &u->b;
    struct med_segment *fresh;
    struct med_segment **list = med_calloc((size_t)x->segment_count + 1, sizeof *list);
    if (!list) return out_of_memory(err);
    if (x->segment_count) memcpy(list, x->segments, x->segment_count * sizeof *list);
    med_free(x->segments);
    x->segments = list;
    enum med_code code = segment_open_unpublished(
        b->segment_dir, b->encoder ? b->segment_dir : NULL, &b->segment, &fresh, err);
    if (!code) x->segments[x->segment_count++] = fresh;
    return code;
}

static enum med_code add_segment(struct update *u, struct med_err *err)
{
    struct build *b = &u->b;
    uint64_t start = med_now_ns();
    if (b->doc_count == 0) return MED_OK;
    enum med_code code = build_open_segment(b, err);
    if (!code) code = build_analyse(b, err);
    if (!code) code = build_write_segment(b, err);
    u->report.seconds.analyse = seconds_since(start);
    u->report.analysed = b->doc_count;
    start = med_now_ns();
    b->encoder = u->next->encoder; /* borrowed; taken back in release */
    if (!code && b->encoder) code = build_make_vectors(b, err);
    u->report.seconds.encode = seconds_since(start);
    if (!code && b->encoder) {
        u->report.encoded = b->forward.chunk_count;
        if (b->report.recall_at_10 < u->manifest.recall_at_10)
            u->manifest.recall_at_10 = b->report.recall_at_10;
    }
    if (!code) code = build_check_segment(b, err);
    return code ? code : append_segment(u, err);
}

/* --- what documents say about each other --- */

static enum med_code regroup(struct update *u, struct med_err *err)
{
    struct works works;
    enum med_code code =
        works_update(u->next, u->b.snapshot, u->gone, u->base_count, u->b.arena, &works, err);
    for (uint32_t s = 0; !code && s < u->next->segment_count; s++) {
        struct med_segment *segment = u->next->segments[s];
        struct med_patch patch = segment->patch;
        if (!patch.work_count && !works.counts[s]) continue;
        patch.works = works.of_segment[s];
        patch.work_count = works.counts[s];
        code = put_on(u, s, &patch, err);
    }
    return code ? code : index_collect_shared(u->next, err);
}

static enum med_code make_overlay(struct update *u, struct med_err *err)
{
    struct med_retraction_list list;
    struct med_map before = u->next->overlay_map;
    uint64_t start = med_now_ns();
    enum med_code code = regroup(u, err);
    if (!code) code = med_retractions_load(u->b.data, u->b.arena, &list, err);
    if (!code) code = index_overlay(u->next, u->b.snapshot, &list, &u->overlay, err);
    u->report.overlay_changed =
        u->overlay.len != before.len ||
        (before.len && memcmp(u->overlay.data, before.ptr, before.len) != 0);
    u->report.seconds.overlay = seconds_since(start);
    return code;
}

/* --- publishing --- */

static enum med_code write_notes(struct update *u, struct med_err *err)
{
    struct med_buf buf;
    const struct med_update_report *r = &u->report;
    med_buf_init(&buf, 16 * MED_KIB);
    struct med_jw w = med_jw_of(&buf, false);
    med_jw_object(&w);
    med_jw_key(&w, "update");
    med_jw_object(&w);
    med_jw_kint(&w, "added", (long long)r->changes.added);
    med_jw_kint(&w, "changed", (long long)r->changes.changed);
    med_jw_kint(&w, "removed", (long long)r->changes.removed);
    med_jw_kint(&w, "analysed", (long long)r->analysed);
    med_jw_kint(&w, "encoded", (long long)r->encoded);
    med_jw_kint(&w, "merged_segments", (long long)r->merged_segments);
    med_jw_kint(&w, "copied", (long long)r->copied);
    med_jw_object_end(&w);
    med_jw_key(&w, "seconds");
    med_jw_object(&w);
    med_jw_kdouble(&w, "plan", r->seconds.plan);
    med_jw_kdouble(&w, "losses", r->seconds.losses);
    med_jw_kdouble(&w, "analyse", r->seconds.analyse);
    med_jw_kdouble(&w, "encode", r->seconds.encode);
    med_jw_kdouble(&w, "overlay", r->seconds.overlay);
    med_jw_kdouble(&w, "merge", r->seconds.merge);
    med_jw_object_end(&w);
    med_jw_object_end(&w);
    enum med_code code = med_buf_status(&buf, err);
    if (!code && !med_arena_str(u->b.arena, med_buf_str(&buf), &u->manifest.notes))
        code = out_of_memory(err);
    med_buf_free(&buf);
    return code;
}

/* Segments in which something lives, each with its patch. */
static enum med_code list_segments(struct update *u, struct med_err *err)
{
    struct med_manifest *m = &u->manifest;
    struct med_index *x = u->next;
    m->segments = med_arena_calloc(u->b.arena, x->segment_count + 1, sizeof *m->segments);
    if (!m->segments) return out_of_memory(err);
    m->segment_count = 0;
    for (uint32_t s = 0; s < x->segment_count; s++) {
        const struct med_segment *segment = x->segments[s];
        if (segment->live_doc_count == 0) continue;
        struct med_segment_ref *ref = &m->segments[m->segment_count++];
        *ref = *segment->ref;
        /* An untouched patch is the file of the generation before. */
        struct med_str bytes = u->patches[s].len
                                   ? med_buf_str(&u->patches[s])
                                   : (struct med_str){.ptr = (const char *)segment->patch_map.ptr,
                                         .len = segment->patch_map.len};
        if (!segment->patch.dead_doc_count && !segment->patch.work_count)
            bytes = (struct med_str){0};
        ref->patch_bytes = bytes;
        ref->dead_doc_count = segment->patch.dead_doc_count;
        ref->dead_chunk_count = segment->patch.dead_chunk_count;
        u->report.dead += ref->dead_doc_count;
        u->report.new_bytes += bytes.len;
    }
    return MED_OK;
}

static enum med_code fill_manifest(struct update *u, struct med_err *err)
{
    struct med_manifest *m = &u->manifest;
    m->number = 0;
    m->alone = u->options->alone;
    m->created_unix_s = 0;
    m->store_txn_id = med_snapshot_txn_id(u->b.snapshot);
    m->doc_count = u->store_count;
    m->reference_date = build_reference_date(&u->b);
    m->overlay_bytes = med_buf_str(&u->overlay);
    m->thesaurus_bytes = (struct med_str){
        .ptr = (const char *)u->next->thesaurus_map.ptr, .len = u->next->thesaurus_map.len};
    snprintf(m->medicus_version, sizeof m->medicus_version, "%s", MEDICUS_VERSION);
    enum med_code code = build_name_inputs(u->b.snapshot, u->b.arena, m, err);
    if (!code) code = list_segments(u, err);
    return code ? code : write_notes(u, err);
}

static enum med_code publish(struct update *u, struct med_err *err)
{
    uint64_t start = med_now_ns();
    struct med_gate gate = {.data = u->b.data,
        .store = u->b.store,
        .snapshot = u->b.snapshot,
        .overlap_min = u->options->gate_overlap,
        .progress = u->options->progress};
    enum med_code code = fill_manifest(u, err);
    if (!code)
        code = med_generation_publish_checked(
            u->b.data, &u->manifest, med_gate_check, &gate, u->options->progress, err);
    if (code) return code;
    u->report.published = true;
    u->report.gate = gate.report;
    u->report.new_bytes += u->manifest.overlay.size + u->manifest.thesaurus.size;
    for (size_t i = 0; i < u->b.segment.file_count; i++) u->report.new_bytes += u->b.files[i].size;
    u->report.seconds.verify = seconds_since(start);
    return MED_OK;
}

/* After the base has been let go. What could not be pruned now is pruned by the next one: published
 * is published. */
static void prune(struct update *u)
{
    struct med_err ignored;
    uint64_t removed;
    size_t keep = u->options->keep ? u->options->keep : GENERATIONS_KEPT_DEFAULT;
    u->b.encoder = NULL; /* was the base's */
    med_index_release(&u->next);
    enum med_code code = med_generation_prune(u->b.data, keep, &removed, &ignored);
    (void)code;
}

static void describe(struct update *u)
{
    const struct med_manifest *m = &u->manifest;
    struct med_update_report *r = &u->report;
    r->generation = m->number;
    r->doc_count = m->doc_count;
    r->chunk_count = med_manifest_chunk_count(m);
    r->segments = m->segment_count;
    r->unknown_rate = med_manifest_unknown_rate(m);
    r->has_encoder = m->encoder_id[0] != '\0';
    r->fusion_weight = m->fusion_weight;
    r->recall_at_10 = m->recall_at_10;
    r->index_bytes = 0;
    for (size_t i = 0; i < m->segment_count; i++)
        for (size_t f = 0; f < m->segments[i].file_count; f++)
            r->index_bytes += m->segments[i].files[f].size;
    for (size_t i = 0; i < m->encoder_file_count; i++) r->index_bytes += m->encoder_files[i].size;
    if (m->segment_count == 1 && u->next->segment_count == 1)
        r->term_count = med_lex_term_count(u->next->segments[0]->lex);
    r->dead = 0;
    for (size_t i = 0; i < m->segment_count; i++) r->dead += m->segments[i].dead_doc_count;
    r->dead_share = r->dead ? (double)r->dead / (double)(r->dead + r->doc_count) : 0;
}

static void release(struct update *u)
{
    u->b.encoder = NULL; /* the index has it */
    if (u->next) med_index_release(&u->next);
    for (uint32_t s = 0; u->patches && s <= u->base_count; s++) med_buf_free(&u->patches[s]);
    med_buf_free(&u->overlay);
    build_release(&u->b);
}

enum med_code med_update(struct med_data *data, struct med_store *store,
    const struct med_update_options *options, struct med_update_report *ret_report,
    struct med_err *err)
{
    struct update u = {.b = {.data = data, .store = store, .fs = data->fs}, .options = options};
    uint64_t start = med_now_ns();
    med_buf_init(&u.overlay, OVERLAY_BYTES_MAX);
    enum med_code code = prepare(&u, err);
    if (!code) code = bury_all(&u, err);
    if (!code) code = add_segment(&u, err);
    if (!code) code = make_overlay(&u, err);
    const struct med_changes *c = &u.report.changes;
    bool any = c->added || c->changed || c->removed || u.report.overlay_changed ||
               options->merge != MED_UPDATE_MERGE_DUE;
    if (!code && any) code = update_merge(&u, err);
    if (!code && any) code = publish(&u, err);
    if (code) build_discard(&u.b);
    if (!code) describe(&u);
    if (!code && u.report.published) prune(&u);
    u.report.seconds.total = seconds_since(start);
    release(&u);
    if (!code) *ret_report = u.report;
    return code;
}

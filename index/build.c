/* A build from the first document to the published generation. See build.h and builder.h. */
#include "index/builder.h"

#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"
#include "index/data_folder.h"
#include "index/update.h"

#include <stdio.h>

#define BUILD_ARENA_BYTES_MAX (16 * MED_GIB)
#define GENERATIONS_KEPT_DEFAULT 3
#define OVERLAY_BYTES_MAX (8 * MED_GIB)
#define INPUTS_LOOKED_AT 100000u /* of the log, for the newest file of PubMed */
#define CALIBRATION_DIR "calibration"

static double seconds_since(uint64_t start)
{
    return (double)(med_now_ns() - start) / 1e9;
}

static enum med_code prepare(struct build *b, struct med_err *err)
{
    enum med_code code = med_build_lock_take(b->data, &b->lock, err);
    if (!code) code = med_snapshot_open(b->store, &b->snapshot, err);
    if (!code) code = med_arena_new(BUILD_ARENA_BYTES_MAX, &b->arena, err);
    if (!code) code = med_snapshot_list(b->snapshot, b->arena, &b->docs, &b->doc_count, err);
    if (code) return code;
    if (b->doc_count == 0)
        return med_fail(err, MED_E_NOT_FOUND,
            "the docstore is empty: run `medicus ingest --data %s PATH...` first",
            med_data_path(b->data));
    struct med_lex_weights weights = MED_LEX_WEIGHTS_DEFAULT;
    b->manifest = (struct med_manifest){.text_version = MED_TEXT_VERSION,
        .chunker_version = MED_CHUNKER_VERSION,
        .analyzer_version = MED_ANALYZER_VERSION,
        .store_txn_id = med_snapshot_txn_id(b->snapshot),
        .doc_count = b->doc_count,
        .title_weight = weights.title,
        .mesh_weight = weights.mesh,
        .k1 = (double)MED_BM25_K1_DEFAULT,
        .b = (double)MED_BM25_B_DEFAULT,
        .recall_at_10 = 1};
    snprintf(
        b->manifest.medicus_version, sizeof b->manifest.medicus_version, "%s", MEDICUS_VERSION);
    code = build_open_segment(b, err);
    if (!code) code = med_overlay_builder_new(&b->overlay, err);
    if (!code) code = med_thesaurus_builder_new(&b->thesaurus, err);
    return code;
}

/* What documents and the operator's list say about other documents, for the generation's overlay.
 */
static enum med_code make_overlay(struct build *b, struct med_err *err)
{
    struct med_retraction_list list;
    med_buf_init(&b->overlay_bytes, OVERLAY_BYTES_MAX);
    enum med_code code = med_retractions_load(b->data, b->arena, &list, err);
    if (!code)
        code = med_overlay_builder_finish(b->overlay, b->snapshot, &list, &b->overlay_bytes, err);
    med_overlay_builder_free(&b->overlay);
    b->manifest.overlay_bytes = med_buf_str(&b->overlay_bytes);
    return code;
}

/* Every title and passage as the ids of its terms. */
static void each_run(const void *runs,
    void (*visit)(void *ctx, uint32_t doc, const uint32_t *terms, size_t count), void *ctx)
{
    const struct forward *f = runs;
    uint32_t chunk = 0;
    for (uint32_t d = 0; d < f->doc_count; d++) {
        visit(ctx, d, f->tokens + f->title_start[d], f->title_end[d] - f->title_start[d]);
        for (; chunk < f->chunk_count && f->chunk_doc[chunk] == d; chunk++)
            visit(ctx, d, f->tokens + f->chunk_start[chunk],
                f->chunk_end[chunk] - f->chunk_start[chunk]);
    }
}

/* The operator's vocabularies and the corpus's abbreviations, for the generation's thesaurus. */
static enum med_code make_thesaurus(struct build *b, struct med_err *err)
{
    struct med_vocabulary vocabulary;
    struct med_analyzer *analyzer = NULL;
    struct med_term_runs runs = {.vocab = b->vocab, .each = each_run, .runs = &b->forward};
    med_buf_init(&b->thesaurus_bytes, MED_THESAURUS_BYTES_MAX);
    enum med_code code = med_vocabularies_hash(b->data, b->arena, &b->manifest.vocabulary, err);
    if (!code) code = med_vocabularies_load(b->data, b->arena, &vocabulary, err);
    if (!code) code = med_analyzer_new(&analyzer, err);
    if (!code)
        code = med_thesaurus_builder_finish(
            b->thesaurus, &vocabulary, &runs, analyzer, &b->thesaurus_bytes, err);
    if (analyzer) med_analyzer_free(&analyzer);
    med_thesaurus_builder_free(&b->thesaurus);
    b->manifest.thesaurus_bytes = med_buf_str(&b->thesaurus_bytes);
    return code;
}

/* --- the encoder --- */

/* Takes a generation's encoder and calibration over, when they can serve this build too. */
static enum med_code take_encoder(
    struct build *b, const struct med_pin *pin, bool *ret_kept, struct med_err *err)
{
    const struct med_manifest *m = med_pin_manifest(pin);
    bool usable = m->encoder_id[0] && m->encoder_file_count == 1 &&
                  m->analyzer_version == MED_ANALYZER_VERSION;
    if (!usable) return MED_OK;
    enum med_code code = med_pin_map(pin, NULL, MED_ENCODER_FILE, true, &b->encoder_map, err);
    if (!code) code = med_corpus_open(b->encoder_map.ptr, b->encoder_map.len, &b->encoder, err);
    if (!code && !med_arena_str(b->arena, m->calibration, &b->manifest.calibration))
        code = med_fail(err, MED_E_NOMEM, "out of memory while reading the calibration");
    memcpy(b->manifest.encoder_id, m->encoder_id, sizeof m->encoder_id);
    b->encoder_file = m->encoder_files[0];
    b->manifest.fusion_weight = m->fusion_weight;
    b->manifest.trained_doc_count = m->trained_doc_count;
    b->manifest.trained_unknown_rate = m->trained_unknown_rate;
    *ret_kept = !code;
    return code;
}

/* The current generation's encoder. */
static enum med_code keep_encoder(struct build *b, bool *ret_kept, struct med_err *err)
{
    struct med_pin *pin = NULL;
    struct med_data *of = b->options->encoder_of ? b->options->encoder_of : b->data;
    *ret_kept = false;
    if (b->options->retrain) return MED_OK;
    enum med_code code = med_generation_pin(of, 0, &pin, err);
    if (code == MED_E_NO_INDEX) return MED_OK;
    if (code) return code;
    code = take_encoder(b, pin, ret_kept, err);
    med_pin_release(&pin);
    return code;
}

/* Saves the encoder under the name of its own hash. */
static enum med_code save_encoder(struct build *b, struct med_err *err)
{
    char staged[MED_PATH_MAX], dir[MED_PATH_MAX], final[MED_PATH_MAX];
    enum med_code code = med_path_join(staged, b->segment_dir, MED_ENCODER_FILE, err);
    if (!code)
        code = med_corpus_save(
            b->encoder, b->fs, staged, &b->encoder_file.size, &b->encoder_file.hash, err);
    if (code) return code;
    snprintf(b->encoder_file.name, sizeof b->encoder_file.name, "%s", MED_ENCODER_FILE);
    med_hash128_hex(b->encoder_file.hash, b->manifest.encoder_id);
    code = med_data_new_encoder(b->data, b->manifest.encoder_id, dir, err);
    if (!code) code = med_path_join(final, dir, MED_ENCODER_FILE, err);
    if (!code) code = b->fs->ops->rename(b->fs, staged, final, err);
    if (!code) code = b->fs->ops->sync_dir(b->fs, dir, err);
    return code;
}

/* Calibrates with an encoder that never saw the held-out documents. When those are more than 5 % of
 * all, the encoder that will serve is then trained again on everything. */
static enum med_code train_and_calibrate(struct build *b, struct med_err *err)
{
    uint64_t *held_out;
    size_t held_count;
    struct med_corpus_encoder *trial = NULL;
    struct med_file_ref files[MED_DENSE_FILE_COUNT];
    struct med_dense_report report;
    char dir[MED_PATH_MAX];
    enum med_code code = build_hold_out(b, &held_out, &held_count, err);
    if (!code &&
        held_count * 20 <= b->doc_count) { /* few: train once, calibrate on the final index later */
        code = build_train(b, held_count ? held_out : NULL, &b->encoder, err);
        return code;
    }
    if (!code) code = build_train(b, held_out, &trial, err);
    if (!code) code = med_path_join(dir, b->segment_dir, CALIBRATION_DIR, err);
    if (!code) code = b->fs->ops->mkdir(b->fs, dir, err);
    if (!code) code = build_encode(b, trial, dir, MED_DENSE_FLAT, files, &report, err);
    uint64_t start = med_now_ns();
    if (!code) code = build_calibrate(b, held_out, trial, dir, err);
    b->report.seconds.calibrate = seconds_since(start);
    if (!code) code = med_fs_remove_tree(b->fs, dir, err);
    med_corpus_free(&trial);
    if (!code) code = build_train(b, NULL, &b->encoder, err);
    return code;
}

static enum med_code make_dense(struct build *b, struct med_err *err)
{
    uint64_t start = med_now_ns();
    bool kept = false;
    if (b->options->lexical_only) return MED_OK;
    enum med_code code = keep_encoder(b, &kept, err);
    if (!code && !kept) code = train_and_calibrate(b, err);
    b->report.seconds.train = seconds_since(start) - b->report.seconds.calibrate;
    if (code == MED_E_UNSUPPORTED) return MED_OK; /* too little to learn from: lexical only */
    if (code) return code;
    b->report.encoder_trained = !kept;
    b->report.has_encoder = true;
    code = build_make_vectors(b, err);
    b->manifest.recall_at_10 = b->report.recall_at_10;
    if (!code && !kept && !b->manifest.calibration.len) {
        uint64_t *held_out;
        size_t held_count;
        start = med_now_ns();
        code = build_hold_out(b, &held_out, &held_count, err);
        if (!code) code = build_calibrate(b, held_out, b->encoder, b->segment_dir, err);
        b->report.seconds.calibrate = seconds_since(start);
    }
    if (!kept) {
        b->manifest.trained_doc_count = b->doc_count;
        b->manifest.trained_unknown_rate = med_segment_unknown_rate(&b->segment);
    }
    if (!code && (!kept || b->options->encoder_of)) code = save_encoder(b, err);
    return code;
}

/* --- publishing --- */

static enum med_code write_notes(struct build *b, struct med_err *err)
{
    struct med_buf buf;
    med_buf_init(&buf, 16 * MED_KIB);
    struct med_jw w = med_jw_of(&buf, false);
    med_jw_object(&w);
    med_jw_kint(&w, "terms", (long long)b->report.term_count);
    med_jw_kint(&w, "text_bytes", (long long)b->report.text_bytes);
    med_jw_kbool(&w, "encoder_trained", b->report.encoder_trained);
    if (b->report.encoder_trained && b->report.train_reduced) {
        med_jw_kint(&w, "encoder_terms_limited_to", b->report.train_terms);
        med_jw_kint(&w, "encoder_passages_limited_to", b->report.train_passages);
    }
    med_jw_kdouble(&w, "unknown_term_rate", med_segment_unknown_rate(&b->segment));
    med_jw_key(&w, "seconds");
    med_jw_object(&w);
    med_jw_kdouble(&w, "analyse", b->report.seconds.analyse);
    med_jw_kdouble(&w, "lexical", b->report.seconds.lexical);
    med_jw_kdouble(&w, "train", b->report.seconds.train);
    med_jw_kdouble(&w, "encode", b->report.seconds.encode);
    med_jw_kdouble(&w, "graph", b->report.seconds.graph);
    med_jw_kdouble(&w, "calibrate", b->report.seconds.calibrate);
    med_jw_object_end(&w);
    med_jw_object_end(&w);
    enum med_code code = med_buf_status(&buf, err);
    if (!code && !med_arena_str(b->arena, med_buf_str(&buf), &b->manifest.notes))
        code = med_fail(err, MED_E_NOMEM, "out of memory while writing the manifest");
    med_buf_free(&buf);
    return code;
}

enum med_code build_name_inputs(struct med_snapshot *snapshot, struct med_arena *arena,
    struct med_manifest *manifest, struct med_err *err)
{
    struct med_input_entry *inputs;
    size_t count;
    uint64_t newest = 0;
    enum med_code code =
        med_snapshot_inputs(snapshot, INPUTS_LOOKED_AT, arena, &inputs, &count, err);
    if (code) return code;
    if (count) manifest->last_input = inputs[0].name;
    for (size_t i = 0; i < count; i++) {
        if (inputs[i].sequence <= newest) continue;
        newest = inputs[i].sequence;
        manifest->last_update = inputs[i].name;
    }
    return MED_OK;
}

static enum med_code publish(struct build *b, struct med_err *err)
{
    uint64_t start = med_now_ns(), removed;
    enum med_code code = build_check_segment(b, err);
    if (!code) code = write_notes(b, err);
    if (!code) code = build_name_inputs(b->snapshot, b->arena, &b->manifest, err);
    if (code) return code;
    b->manifest.reference_date = build_reference_date(b);
    b->manifest.segments = &b->segment;
    b->manifest.segment_count = 1;
    if (b->manifest.encoder_id[0]) {
        b->manifest.encoder_files = &b->encoder_file;
        b->manifest.encoder_file_count = 1;
        b->report.index_bytes += b->encoder_file.size;
    }
    for (size_t i = 0; i < b->segment.file_count; i++) b->report.index_bytes += b->files[i].size;
    struct med_gate whole = {.data = b->data,
        .store = b->store,
        .snapshot = b->snapshot,
        .overlap_min = b->options->gate_overlap,
        .progress = b->options->progress};
    code = med_generation_publish_checked(
        b->data, &b->manifest, med_gate_check, &whole, b->options->progress, err);
    if (code) return code;
    b->report.gate = whole.report;
    b->report.generation = b->manifest.number;
    b->report.fusion_weight = b->manifest.fusion_weight;
    b->report.recall_at_10 = b->manifest.recall_at_10;
    b->report.seconds.verify = seconds_since(start);
    /* What could not be pruned now is pruned by the next build: published is published. */
    struct med_err ignored;
    size_t keep = b->options->keep ? b->options->keep : GENERATIONS_KEPT_DEFAULT;
    if (med_generation_prune(b->data, keep, &removed, &ignored)) return MED_OK;
    return MED_OK;
}

void build_discard(struct build *b)
{
    struct med_err ignored;
    if (!b->lock) return;
    enum med_code swept = sweep_unnamed(b->data, false, &ignored);
    (void)swept; /* the next build does it */
}

static enum med_code build_anew(struct med_data *data, struct med_store *store,
    const struct med_build_options *options, struct med_build_report *ret_report,
    struct med_err *err)
{
    struct build b = {.data = data, .store = store, .fs = data->fs, .options = options};
    uint64_t start = med_now_ns();
    enum med_code code = prepare(&b, err);
    uint64_t analyse_start = med_now_ns();
    if (!code) code = build_analyse(&b, err);
    b.report.seconds.analyse = seconds_since(analyse_start);
    if (!code) code = make_overlay(&b, err);
    if (!code) code = make_thesaurus(&b, err);
    if (!code) code = build_write_segment(&b, err);
    if (!code) code = make_dense(&b, err);
    if (!code) code = publish(&b, err);
    if (code) build_discard(&b);
    b.report.doc_count = b.report.analysed = b.doc_count;
    b.report.encoded = b.report.has_encoder ? b.report.chunk_count : 0;
    b.report.seconds.total = seconds_since(start);
    build_release(&b);
    if (!code) *ret_report = b.report;
    return code;
}

/* --- re-using the current generation --- */

static bool same_kind(const struct med_manifest *m, const struct med_build_options *options)
{
    bool lexical = m->encoder_id[0] == '\0';
    return m->text_version == MED_TEXT_VERSION && m->chunker_version == MED_CHUNKER_VERSION &&
           m->analyzer_version == MED_ANALYZER_VERSION && m->segment_count > 0 &&
           lexical == options->lexical_only && (lexical || m->encoder_file_count == 1);
}

/* Nothing that goes wrong here is an error: a build that starts from the documents heals it. */
static bool can_reuse(
    struct med_data *data, struct med_store *store, const struct med_build_options *options)
{
    struct med_arena *arena = NULL;
    struct med_pin *pin = NULL;
    struct med_snapshot *snapshot = NULL;
    struct med_hash128 vocabulary;
    struct med_err ignored;
    if (options->full || options->retrain || options->encoder_of || options->dim) return false;
    bool ok = med_arena_new(MED_MIB, &arena, &ignored) == MED_OK &&
              med_generation_pin(data, 0, &pin, &ignored) == MED_OK &&
              same_kind(med_pin_manifest(pin), options) &&
              med_vocabularies_hash(data, arena, &vocabulary, &ignored) == MED_OK &&
              med_hash128_eq(vocabulary, med_pin_manifest(pin)->vocabulary) &&
              med_snapshot_open(store, &snapshot, &ignored) == MED_OK &&
              med_snapshot_doc_count(snapshot) > 0;
    if (snapshot) med_snapshot_close(&snapshot);
    if (pin) med_pin_release(&pin);
    med_arena_free(&arena);
    return ok;
}

static void describe_merged(const struct med_update_report *u, struct med_build_report *r)
{
    *r = (struct med_build_report){.generation = u->generation,
        .doc_count = u->doc_count,
        .chunk_count = u->chunk_count,
        .term_count = u->term_count,
        .has_encoder = u->has_encoder,
        .merged = true,
        .analysed = u->analysed,
        .encoded = u->encoded,
        .reused = u->changes.same,
        .fusion_weight = u->fusion_weight,
        .recall_at_10 = u->recall_at_10,
        .gate = u->gate,
        .index_bytes = u->index_bytes};
    r->seconds.analyse = u->seconds.losses + u->seconds.analyse;
    r->seconds.encode = u->seconds.encode;
    r->seconds.graph = u->seconds.merge_graph;
    r->seconds.merge = u->seconds.merge - u->seconds.merge_graph;
    r->seconds.verify = u->seconds.verify;
    r->seconds.total = u->seconds.total;
}

enum med_code med_build(struct med_data *data, struct med_store *store,
    const struct med_build_options *options, struct med_build_report *ret_report,
    struct med_err *err)
{
    if (can_reuse(data, store, options)) {
        struct med_update_report report;
        struct med_update_options update = {.merge = MED_UPDATE_MERGE_ALL,
            .threads = options->threads,
            .memory = options->memory,
            .keep = options->keep,
            .reference_date = options->reference_date,
            .gate_overlap = options->gate_overlap,
            .progress = options->progress};
        enum med_code code = med_update(data, store, &update, &report, err);
        if (code == MED_OK) describe_merged(&report, ret_report);
        /* A damaged or foreign segment: the documents are there to begin anew. */
        if (code != MED_E_CORRUPT && code != MED_E_UNSUPPORTED && code != MED_E_NO_INDEX)
            return code;
    }
    return build_anew(data, store, options, ret_report, err);
}

/* medicus info: what the data folder holds, and what could be done about it. */
#include "common/clock.h"
#include "common/json.h"
#include "common/limits.h"
#include "index/update.h"
#include "index/vocabularies.h"
#include "service/command.h"
#include "service/progress_line.h"
#include "service/workspace.h"

#include <stdio.h>

#define GROWTH_ADVISED 1.3  /* documents now, of those that the encoder was trained on */
#define UNKNOWN_ADVISED .02 /* share of unknown words above that at training */
#define DEAD_ADVISED .2     /* share of documents */

struct facts {
    struct workspace w;
    uint64_t documents, txn_id;
    const struct med_manifest *manifest; /* NULL: nothing published */
    uint64_t passages;
    struct med_generation_info *generations;
    size_t generation_count;
    struct med_input_entry *inputs;
    size_t input_count;
    struct med_changes pending; /* since the generation */
    uint64_t dead;              /* documents that segments still carry */
    double dead_share, growth, unknown_rate, unknown_at_training;
    char advice_text[400];
    const char *advice;
    bool new_vocabulary; /* the vocabularies are not those of the generation */
    bool builds;         /* somebody does, now: */
    struct progress_line build;
};

static const char *advise(struct facts *f)
{
    const struct med_changes *p = &f->pending;
    if (f->documents == 0 && !f->manifest)
        return "the store is empty: `medicus ingest` reads documents into it";
    if (!f->manifest) return "nothing is searchable yet: `medicus build` makes the first index";
    if (p->added || p->changed || p->removed) {
        snprintf(f->advice_text, sizeof f->advice_text,
            "%llu documents were added, %llu changed and %llu removed since: `medicus update` (or "
            "`build`) makes that searchable",
            (unsigned long long)p->added, (unsigned long long)p->changed,
            (unsigned long long)p->removed);
        return f->advice_text;
    }
    if (f->new_vocabulary)
        return "the vocabularies have changed since: `medicus build` applies them";
    if (f->growth > GROWTH_ADVISED || f->unknown_rate > f->unknown_at_training + UNKNOWN_ADVISED) {
        snprintf(f->advice_text, sizeof f->advice_text,
            "the encoder was trained on %.0f %% of these documents and knows %.1f %% of their "
            "words "
            "(then %.1f %%): `medicus build --retrain` makes a new one",
            100 / f->growth, 100 * (1 - f->unknown_rate), 100 * (1 - f->unknown_at_training));
        return f->advice_text;
    }
    if (f->dead_share > DEAD_ADVISED) {
        snprintf(f->advice_text, sizeof f->advice_text,
            "%.0f %% of the documents that the segments carry are dead: `medicus build` merges "
            "them",
            100 * f->dead_share);
        return f->advice_text;
    }
    return NULL;
}

static void measure_drift(struct facts *f)
{
    const struct med_manifest *m = f->manifest;
    for (size_t i = 0; i < m->segment_count; i++) f->dead += m->segments[i].dead_doc_count;
    f->dead_share = f->dead ? (double)f->dead / (double)(f->dead + m->doc_count) : 0;
    f->growth = 1;
    if (!m->trained_doc_count) return;
    f->growth = (double)m->doc_count / (double)m->trained_doc_count;
    f->unknown_rate = med_manifest_unknown_rate(m);
    f->unknown_at_training = m->trained_unknown_rate;
}

static enum med_code gather(struct facts *f, struct med_arena *arena, struct med_err *err)
{
    struct med_snapshot *snapshot;
    enum med_code code = med_snapshot_open(f->w.store, &snapshot, err);
    if (code) return code;
    f->documents = med_snapshot_doc_count(snapshot);
    f->txn_id = med_snapshot_txn_id(snapshot);
    code = med_snapshot_inputs(snapshot, 5, arena, &f->inputs, &f->input_count, err);
    if (!code && f->w.index && med_index_manifest(f->w.index)->store_txn_id != f->txn_id)
        code = med_update_pending(f->w.index, snapshot, &f->pending, err);
    med_snapshot_close(&snapshot);
    if (!code)
        code = med_generation_list(f->w.data, arena, &f->generations, &f->generation_count, err);
    if (code) return code;
    if (f->w.index) {
        f->manifest = med_index_manifest(f->w.index);
        f->passages = med_manifest_chunk_count(f->manifest);
        measure_drift(f);
        struct med_hash128 vocabulary;
        code = med_vocabularies_hash(f->w.data, arena, &vocabulary, err);
        f->new_vocabulary = !code && !med_hash128_eq(vocabulary, f->manifest->vocabulary);
    }
    f->advice = advise(f);
    f->builds = progress_of_build(med_data_path(f->w.data), &f->build);
    return code;
}

static void index_json(const struct facts *f, struct med_jw *w)
{
    const struct med_manifest *m = f->manifest;
    char date[MED_TIME_TEXT_LEN + 1];
    med_time_text(m->created_unix_s, date);
    med_jw_object(w);
    med_jw_kint(w, "generation", (long long)m->number);
    med_jw_kcstr(w, "index_date", date);
    med_jw_kcstr(w, "built_by", m->medicus_version);
    med_jw_kint(w, "documents", (long long)m->doc_count);
    med_jw_kint(w, "passages", (long long)f->passages);
    med_jw_kint(w, "segments", (long long)m->segment_count);
    med_jw_kint(w, "dead_documents", (long long)f->dead);
    med_jw_kint(w, "bytes", (long long)med_index_bytes(f->w.index));
    med_jw_kcstr(w, "encoder", m->encoder_id[0] ? m->encoder_id : NULL);
    med_jw_kdouble(w, "fusion_weight", m->fusion_weight);
    med_jw_key(w, "calibration");
    if (m->calibration.len)
        med_jw_raw(w, m->calibration);
    else
        med_jw_null(w);
    med_jw_kdouble(w, "recall_at_10", m->recall_at_10);
    med_jw_key(w, "drift");
    if (m->trained_doc_count) {
        med_jw_object(w);
        med_jw_kint(w, "documents_at_training", (long long)m->trained_doc_count);
        med_jw_kdouble(w, "unknown_words_at_training", f->unknown_at_training);
        med_jw_kdouble(w, "unknown_words", f->unknown_rate);
        med_jw_object_end(w);
    } else {
        med_jw_null(w);
    }
    med_jw_kstr(w, "last_input", m->last_input);
    med_jw_kstr(w, "last_update", m->last_update);
    med_jw_key(w, "build");
    if (m->notes.len)
        med_jw_raw(w, m->notes);
    else
        med_jw_null(w);
    med_jw_object_end(w);
}

static void report_json(const struct facts *f, struct med_buf *out)
{
    struct med_jw w = med_jw_of(out, false);
    med_jw_object(&w);
    med_jw_kcstr(&w, "data", med_data_path(f->w.data));
    med_jw_kcstr(&w, "version", MEDICUS_VERSION);
    med_jw_key(&w, "store");
    med_jw_object(&w);
    med_jw_kint(&w, "documents", (long long)f->documents);
    med_jw_kint(&w, "state", (long long)f->txn_id);
    med_jw_object_end(&w);
    med_jw_key(&w, "index");
    if (f->manifest)
        index_json(f, &w);
    else
        med_jw_null(&w);
    med_jw_key(&w, "pending");
    med_jw_object(&w);
    med_jw_kint(&w, "added", (long long)f->pending.added);
    med_jw_kint(&w, "changed", (long long)f->pending.changed);
    med_jw_kint(&w, "removed", (long long)f->pending.removed);
    med_jw_object_end(&w);
    med_jw_key(&w, "generations");
    med_jw_array(&w);
    for (size_t i = 0; i < f->generation_count; i++) {
        const struct med_generation_info *g = &f->generations[i];
        med_jw_object(&w);
        med_jw_kint(&w, "number", (long long)g->number);
        med_jw_kint(&w, "documents", (long long)g->doc_count);
        med_jw_kint(&w, "bytes", (long long)g->bytes);
        med_jw_kbool(&w, "current", g->current);
        med_jw_object_end(&w);
    }
    med_jw_array_end(&w);
    med_jw_key(&w, "running");
    if (f->builds) {
        med_jw_object(&w);
        med_jw_kcstr(&w, "command", f->build.command);
        med_jw_kint(&w, "process", f->build.pid);
        med_jw_kcstr(&w, "stage", f->build.stage[0] ? f->build.stage : NULL);
        med_jw_object_end(&w);
    } else {
        med_jw_null(&w);
    }
    med_jw_kcstr(&w, "advice", f->advice);
    med_jw_object_end(&w);
    med_buf_putc(out, '\n');
}

static void report_text(const struct facts *f, struct med_buf *out)
{
    char date[MED_TIME_TEXT_LEN + 1];
    med_buf_printf(out, "data folder   %s\n", med_data_path(f->w.data));
    med_buf_printf(out, "documents     %llu\n", (unsigned long long)f->documents);
    for (size_t i = 0; i < f->input_count; i++) {
        const struct med_input_entry *e = &f->inputs[i];
        med_time_text(e->unix_time_s, date);
        med_buf_printf(out,
            "input         %s  " MED_STR_FMT ": %llu added, %llu updated, %llu deleted\n", date,
            MED_STR_ARG(e->name), (unsigned long long)e->added, (unsigned long long)e->updated,
            (unsigned long long)e->deleted);
    }
    const struct med_manifest *m = f->manifest;
    if (!m) {
        med_buf_puts(out, "generation    none\n");
    } else {
        med_time_text(m->created_unix_s, date);
        med_buf_printf(out,
            "generation    %llu of %s: %llu documents, %llu passages, %.1f MiB (%zu kept)\n",
            (unsigned long long)m->number, date, (unsigned long long)m->doc_count,
            (unsigned long long)f->passages, (double)med_index_bytes(f->w.index) / (double)MED_MIB,
            f->generation_count);
        med_buf_printf(out, "segments      %zu, with %llu dead documents (%.1f %%)\n",
            m->segment_count, (unsigned long long)f->dead, 100 * f->dead_share);
        med_buf_printf(out, "encoder       %s\n", m->encoder_id[0] ? m->encoder_id : "none");
        if (m->trained_doc_count)
            med_buf_printf(out,
                "drift         trained on %llu documents, %.2f %% of their words unknown; now "
                "%.2f %%\n",
                (unsigned long long)m->trained_doc_count, 100 * f->unknown_at_training,
                100 * f->unknown_rate);
        med_buf_printf(out, "fusion weight %.2f (of the dense half)\n", m->fusion_weight);
        if (m->calibration.len)
            med_buf_printf(out, "calibration   " MED_STR_FMT "\n", MED_STR_ARG(m->calibration));
        med_buf_printf(
            out, "recall@10     %.3f (dense index against exact search)\n", m->recall_at_10);
    }
    if (f->builds) {
        med_buf_printf(out, "running       %s (process %ld): ", f->build.command, f->build.pid);
        progress_line_text(&f->build, out);
        med_buf_putc(out, '\n');
    }
    if (f->advice) med_buf_printf(out, "advice        %s\n", f->advice);
}

enum med_code cmd_info(const struct options *options, struct med_err *err)
{
    struct facts facts = {0};
    struct med_arena *arena = NULL;
    struct med_buf out;
    med_buf_init(&out, 16 * MED_MIB);
    enum med_code code = workspace_open(options, WORKSPACE_ANY_INDEX, &facts.w, err);
    if (code) return code;
    code = med_arena_new(64 * MED_MIB, &arena, err);
    if (!code) code = gather(&facts, arena, err);
    if (!code) {
        if (options->json)
            report_json(&facts, &out);
        else
            report_text(&facts, &out);
        code = command_print(&out, err);
    }
    med_buf_free(&out);
    med_arena_free(&arena);
    workspace_close(&facts.w);
    return code;
}

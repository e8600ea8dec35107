/* An open generation: pinned, mapped, shared by threads through a reference count. */
#include "index/builder.h"

#include "common/mem.h"

#include <stdlib.h>

static int compare_shared(const void *a, const void *b, void *ctx)
{
    const struct shared_work *x = a, *y = b;
    const struct med_index *index = ctx;
    if (x->work != y->work) return x->work < y->work ? -1 : 1;
    if (x->segment == y->segment) return x->doc < y->doc ? -1 : x->doc > y->doc;
    return med_str_cmp(med_segment_doc_id(index->segments[x->segment], x->doc),
        med_segment_doc_id(index->segments[y->segment], y->doc));
}

/* The few documents that share a work with others, so that an answer can name its siblings. */
enum med_code index_collect_shared(struct med_index *x, struct med_err *err)
{
    size_t cap = 0;
    med_free(x->shared);
    x->shared = NULL;
    x->shared_count = 0;
    for (uint32_t s = 0; s < x->segment_count; s++) {
        const struct med_segment *segment = x->segments[s];
        for (uint32_t d = 0; d < segment->doc_count; d++) {
            if (!med_segment_is_live(segment, d) || !med_segment_shared(segment, d)) continue;
            if (!med_grow(&x->shared, &cap, x->shared_count + 1, sizeof *x->shared))
                return med_fail(err, MED_E_NOMEM, "out of memory for the list of works");
            x->shared[x->shared_count++] =
                (struct shared_work){.work = med_segment_work(segment, d), .segment = s, .doc = d};
        }
    }
    if (x->shared_count) qsort_r(x->shared, x->shared_count, sizeof *x->shared, compare_shared, x);
    return MED_OK;
}

size_t index_shared_of(const struct med_index *x, uint64_t work, size_t *ret_first)
{
    size_t low = 0, high = x->shared_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (x->shared[mid].work < work)
            low = mid + 1;
        else
            high = mid;
    }
    size_t end = low;
    while (end < x->shared_count && x->shared[end].work == work) end++;
    *ret_first = low;
    return end - low;
}

static enum med_code open_encoder(struct med_index *x, bool verify, struct med_err *err)
{
    if (!x->manifest->encoder_id[0]) return MED_OK;
    enum med_code code = med_pin_map(x->pin, NULL, MED_ENCODER_FILE, verify, &x->encoder_map, err);
    if (!code) code = med_corpus_open(x->encoder_map.ptr, x->encoder_map.len, &x->encoder, err);
    return code;
}

/* Adds what the overlay knows to the flags and levels of the segments' documents. */
static enum med_code open_overlay(struct med_index *x, bool verify, struct med_err *err)
{
    enum med_code code = med_pin_map_overlay(x->pin, verify, &x->overlay_map, err);
    if (!code) code = med_overlay_open(x->overlay_map.ptr, x->overlay_map.len, &x->overlay, err);
    if (code) return code;
    for (uint32_t s = 0; s < x->segment_count; s++) {
        uint32_t from = 0, d;
        for (uint32_t i = 0; i < x->overlay.entry_count; i++) {
            if (!med_segment_find_doc(x->segments[s], from, med_overlay_id(&x->overlay, i), &d))
                continue;
            const struct med_overlay_entry *e = &x->overlay.entries[i];
            x->segments[s]->flags[d] |= e->flags;
            if (e->evidence > x->segments[s]->evidence[d])
                x->segments[s]->evidence[d] = e->evidence;
            from = d + 1;
        }
    }
    x->bytes += x->overlay_map.len;
    return MED_OK;
}

static enum med_code open_thesaurus(struct med_index *x, bool verify, struct med_err *err)
{
    enum med_code code = med_pin_map_thesaurus(x->pin, verify, &x->thesaurus_map, err);
    if (!code)
        code = med_thesaurus_open(x->thesaurus_map.ptr, x->thesaurus_map.len, &x->thesaurus, err);
    x->bytes += x->thesaurus_map.len;
    return code;
}

static enum med_code open_segments(struct med_index *x, bool verify, struct med_err *err)
{
    const struct med_manifest *m = x->manifest;
    x->segments = med_calloc(m->segment_count ? m->segment_count : 1, sizeof(struct med_segment *));
    if (!x->segments) return med_fail(err, MED_E_NOMEM, "out of memory while opening a generation");
    for (size_t i = 0; i < m->segment_count; i++) {
        enum med_code code =
            med_segment_open(x->pin, &m->segments[i], verify, &x->segments[i], err);
        if (code) return code;
        x->segment_count++;
        const struct med_segment *s = x->segments[i];
        if (s->dense && (!x->encoder || med_dense_dim(s->dense) != med_corpus_dim(x->encoder)))
            return med_fail(err, MED_E_CORRUPT,
                "generation %llu: segment %s does not fit the encoder",
                (unsigned long long)m->number, s->ref->id);
        x->stats.chunk_count += s->live_chunks.set_count;
        x->stats.doc_count += s->live_doc_count;
        x->stats.length_sum += s->live_length_sum;
        x->bytes += s->patch_map.len;
        for (size_t f = 0; f < m->segments[i].file_count; f++)
            x->bytes += m->segments[i].files[f].size;
    }
    return MED_OK;
}

/* Takes the pin, also on failure. */
static enum med_code open_pinned(struct med_pin *pin, struct med_store *store, bool verify,
    struct med_index **ret_index, struct med_err *err)
{
    struct med_index *x = med_calloc(1, sizeof *x);
    if (!x) {
        med_pin_release(&pin);
        return med_fail(err, MED_E_NOMEM, "out of memory while opening a generation");
    }
    atomic_init(&x->references, 1);
    x->store = store;
    x->pin = pin;
    x->manifest = med_pin_manifest(pin);
    const struct med_manifest *m = x->manifest;
    enum med_code code = MED_OK;
    if (m->analyzer_version != MED_ANALYZER_VERSION || m->text_version != MED_TEXT_VERSION ||
        m->chunker_version != MED_CHUNKER_VERSION)
        code = med_fail(err, MED_E_UNSUPPORTED,
            "generation %llu was made with another version of text, passages or analysis; run "
            "`medicus build`",
            (unsigned long long)m->number);
    if (!code) code = open_encoder(x, verify, err);
    if (!code) code = open_segments(x, verify, err);
    if (!code) code = open_overlay(x, verify, err);
    if (!code) code = open_thesaurus(x, verify, err);
    if (!code) code = index_collect_shared(x, err);
    if (code) {
        med_index_release(&x);
        return code;
    }
    *ret_index = x;
    return MED_OK;
}

enum med_code med_index_open(struct med_data *data, struct med_store *store, uint64_t number,
    bool verify, struct med_index **ret_index, struct med_err *err)
{
    struct med_pin *pin;
    enum med_code code = med_generation_pin(data, number, &pin, err);
    return code ? code : open_pinned(pin, store, verify, ret_index, err);
}

enum med_code med_index_open_staged(struct med_data *data, struct med_store *store,
    const struct med_manifest *manifest, struct med_index **ret_index, struct med_err *err)
{
    struct med_pin *pin;
    enum med_code code = med_generation_pin_staged(data, manifest, &pin, err);
    return code ? code : open_pinned(pin, store, false, ret_index, err);
}

struct med_index *med_index_retain(struct med_index *x)
{
    atomic_fetch_add_explicit(&x->references, 1, memory_order_relaxed);
    return x;
}

void med_index_release(struct med_index **index)
{
    struct med_index *x = *index;
    *index = NULL;
    if (!x || atomic_fetch_sub_explicit(&x->references, 1, memory_order_acq_rel) != 1) return;
    for (uint32_t i = 0; i < x->segment_count; i++) med_segment_close(&x->segments[i]);
    med_free(x->segments);
    med_free(x->shared);
    med_corpus_free(&x->encoder);
    med_map_close(&x->encoder_map);
    med_map_close(&x->overlay_map);
    med_map_close(&x->thesaurus_map);
    med_pin_release(&x->pin);
    med_free(x);
}

const struct med_manifest *med_index_manifest(const struct med_index *x)
{
    return x->manifest;
}

const struct med_segment *med_index_segment(const struct med_index *x, size_t i)
{
    return x->segments[i];
}

uint64_t med_index_bytes(const struct med_index *x)
{
    return x->bytes + x->encoder_map.len;
}

static enum med_code check_documents(struct med_index *x, const struct med_segment *s,
    struct med_snapshot *snapshot, struct med_arena *arena, const struct med_progress *progress,
    struct med_err *err)
{
    for (uint32_t d = 0; d < s->doc_count; d++) {
        struct med_doc *doc;
        struct med_text *text;
        med_arena_reset(arena);
        struct med_str id = med_segment_doc_id(s, d);
        if (!med_segment_is_live(s, d)) continue;
        enum med_code code =
            med_snapshot_get_version(snapshot, id, s->docs[d].version, arena, &doc, err);
        if (code) {
            med_err_prefix(err, "generation %llu needs version %u of " MED_STR_FMT,
                (unsigned long long)x->manifest->number, s->docs[d].version, MED_STR_ARG(id));
            return code == MED_E_NOT_FOUND || code == MED_E_GONE ? MED_E_CORRUPT : code;
        }
        code = med_text_make(doc, arena, &text, err);
        if (code) return code;
        uint32_t last = s->docs[d].first_chunk + s->docs[d].chunk_count;
        for (uint32_t c = s->docs[d].first_chunk; c < last; c++) {
            struct med_chunk_row row = s->chunks[c];
            if (row.end > text->bytes.len ||
                med_hash128(text->bytes.ptr + row.start, row.end - row.start).lo !=
                    s->chunk_hash[c])
                return med_fail(err, MED_E_CORRUPT,
                    "passage %u of " MED_STR_FMT " is not where the index says",
                    c - s->docs[d].first_chunk, MED_STR_ARG(id));
        }
        if (d % 256 == 0 && !med_progress(progress, "documents", d, s->doc_count, "documents"))
            return med_fail(err, MED_E_CANCELLED, "the check was stopped");
    }
    return MED_OK;
}

enum med_code med_index_check(
    struct med_index *x, const struct med_progress *progress, struct med_err *err)
{
    struct med_snapshot *snapshot = NULL;
    struct med_arena *arena = NULL;
    enum med_code code = med_snapshot_open(x->store, &snapshot, err);
    if (!code) code = med_arena_new(MED_DOC_ARENA_BYTES_MAX, &arena, err);
    for (uint32_t i = 0; !code && i < x->segment_count; i++) {
        code = med_segment_check(x->segments[i], err);
        struct med_lex_weights weights = {x->manifest->title_weight, x->manifest->mesh_weight};
        if (!code) code = build_check_losses(snapshot, x->segments[i], weights, err);
        if (!code) code = check_documents(x, x->segments[i], snapshot, arena, progress, err);
    }
    med_arena_free(&arena);
    med_snapshot_close(&snapshot);
    return code;
}

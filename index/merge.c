/* The order of documents decides everything: ids are merged first, each document gets its new
 * ordinal and its passages their new numbers, and each part of the segment is then written in that
 * order. */
#include "index/merge.h"

#include "common/clock.h"
#include "common/mem.h"

#define ROWS_AT_ONCE 65536u /* between two reports of progress */

struct place {
    uint32_t input, doc;
};

struct merge {
    const struct med_merge_input *inputs;
    size_t count;
    const struct med_merge_options *options;
    const struct med_fs *fs;
    const char *dir;
    struct place *order; /* per new document */
    uint32_t doc_count, chunk_count;
    uint32_t **doc_to;   /* per input and document: its new ordinal, or MED_LEX_LEFT_OUT */
    uint32_t **chunk_to; /* the same for passages */
    struct med_merge_result result;
};

static enum med_code out_of_memory(struct med_err *err)
{
    return med_fail(err, MED_E_NOMEM, "out of memory while merging segments");
}

static double seconds_since(uint64_t start)
{
    return (double)(med_now_ns() - start) / 1e9;
}

static enum med_code tell(
    const struct merge *m, uint64_t done, uint64_t total, const char *unit, struct med_err *err)
{
    return med_progress(m->options->progress, "merge", done, total, unit)
               ? MED_OK
               : med_fail(err, MED_E_CANCELLED, "merging was stopped");
}

static bool is_dead(const struct med_merge_input *in, uint32_t doc)
{
    return in->dead && (in->dead[doc >> 6] >> (doc & 63) & 1);
}

/* --- the new order --- */

static enum med_code allocate(struct merge *m, struct med_err *err)
{
    uint64_t docs = 0;
    m->doc_to = med_calloc(m->count, sizeof *m->doc_to);
    m->chunk_to = med_calloc(m->count, sizeof *m->chunk_to);
    if (!m->doc_to || !m->chunk_to) return out_of_memory(err);
    for (size_t i = 0; i < m->count; i++) {
        const struct med_segment *s = m->inputs[i].segment;
        docs += s->doc_count;
        m->doc_to[i] = med_calloc((size_t)s->doc_count + 1, sizeof **m->doc_to);
        m->chunk_to[i] = med_calloc((size_t)s->chunk_count + 1, sizeof **m->chunk_to);
        if (!m->doc_to[i] || !m->chunk_to[i]) return out_of_memory(err);
    }
    if (docs >= UINT32_MAX)
        return med_fail(err, MED_E_LIMIT, "more than %u documents in one segment", UINT32_MAX);
    m->order = med_calloc((size_t)docs + 1, sizeof *m->order);
    return m->order ? MED_OK : out_of_memory(err);
}

/* The ordinal of the first live document at or behind doc. */
static uint32_t next_live(const struct merge *m, size_t input, uint32_t doc)
{
    const struct med_merge_input *in = &m->inputs[input];
    while (doc < in->segment->doc_count && is_dead(in, doc))
        m->doc_to[input][doc++] = MED_LEX_LEFT_OUT;
    return doc;
}

static enum med_code take_doc(struct merge *m, size_t input, uint32_t doc, struct med_err *err)
{
    const struct med_segment *s = m->inputs[input].segment;
    uint32_t n = s->docs[doc].chunk_count;
    if (n >= UINT32_MAX - m->chunk_count)
        return med_fail(err, MED_E_LIMIT, "more than %u passages in one segment", UINT32_MAX);
    m->order[m->doc_count] = (struct place){.input = (uint32_t)input, .doc = doc};
    m->doc_to[input][doc] = m->doc_count++;
    for (uint32_t c = 0; c < n; c++)
        m->chunk_to[input][s->docs[doc].first_chunk + c] = m->chunk_count++;
    return MED_OK;
}

/* Merges the ids. Damaged segments may have them in any order: then a later id is too small. */
static enum med_code order_docs(struct merge *m, struct med_err *err)
{
    uint32_t *at = med_calloc(m->count, sizeof *at);
    if (!at) return out_of_memory(err);
    struct med_str last = {0};
    enum med_code code = MED_OK;
    for (size_t i = 0; i < m->count; i++) {
        const struct med_segment *s = m->inputs[i].segment;
        at[i] = next_live(m, i, 0);
        for (uint32_t c = 0; c < s->chunk_count; c++) m->chunk_to[i][c] = MED_LEX_LEFT_OUT;
    }
    while (!code) {
        size_t first = m->count;
        struct med_str least = {0};
        for (size_t i = 0; i < m->count; i++) {
            if (at[i] >= m->inputs[i].segment->doc_count) continue;
            struct med_str id = med_segment_doc_id(m->inputs[i].segment, at[i]);
            if (first < m->count && med_str_cmp(id, least) >= 0) continue;
            first = i;
            least = id;
        }
        if (first == m->count) break;
        if (last.ptr && med_str_cmp(last, least) >= 0)
            code = med_fail(err, MED_E_CORRUPT,
                "segment %s: document " MED_STR_FMT " is out of order, or in two segments",
                m->inputs[first].segment->ref->id, MED_STR_ARG(least));
        last = least;
        if (!code) code = take_doc(m, first, at[first], err);
        at[first] = next_live(m, first, at[first] + 1);
    }
    med_free(at);
    if (!code && m->doc_count == 0)
        code = med_fail(err, MED_E_INVALID, "no document is left to make a segment of");
    return code;
}

/* --- the parts --- */

static enum med_code merge_tables(struct merge *m, struct med_err *err)
{
    struct med_segment_tables *tables = NULL;
    enum med_code code = med_tables_new(&tables, err);
    for (uint32_t d = 0; !code && d < m->doc_count; d++) {
        struct place p = m->order[d];
        code = med_tables_copy(tables, m->inputs[p.input].segment, p.doc, err);
    }
    if (!code)
        code =
            med_tables_finish(tables, m->fs, m->dir, m->result.files + m->result.file_count, err);
    med_tables_free(&tables);
    m->result.file_count += MED_TABLE_FILE_COUNT;
    return code;
}

static enum med_code merge_lexical(struct merge *m, bool fields, struct med_err *err)
{
    struct med_lex_merge_input *inputs = med_calloc(m->count, sizeof *inputs);
    if (!inputs) return out_of_memory(err);
    struct med_lex_merge_options options = {
        .prefix = fields ? MED_FIELD_FILE_PREFIX : "", .progress = m->options->progress};
    if (!fields) options.heading_count = med_field_headings(m->options->weights, options.headings);
    for (size_t i = 0; i < m->count; i++) {
        const struct med_segment *s = m->inputs[i].segment;
        inputs[i] = fields
                        ? (struct med_lex_merge_input){.lex = s->fields, .chunk_to = m->doc_to[i]}
                        : (struct med_lex_merge_input){.lex = s->lex,
                              .chunk_to = m->chunk_to[i],
                              .chunk_doc = s->chunk_doc,
                              .headings = s->fields};
    }
    enum med_code code = med_lex_merge(inputs, m->count, fields ? m->doc_count : m->chunk_count,
        &options, m->fs, m->dir, m->result.files + m->result.file_count, err);
    med_free(inputs);
    m->result.file_count += MED_LEX_FILE_COUNT;
    return code;
}

static struct med_str value_bytes(const struct med_attributes *a, uint32_t value)
{
    return (struct med_str){.ptr = a->heap + a->value_start[value],
        .len = a->value_start[value + 1] - a->value_start[value]};
}

/* value_to: per input and value, its ordinal in the result + 1 once it is known. */
static enum med_code copy_attributes(struct merge *m, struct med_attributes_writer *writer,
    uint32_t *const *value_to, struct med_err *err)
{
    enum med_code code = MED_OK;
    for (uint32_t d = 0; !code && d < m->doc_count; d++) {
        struct place p = m->order[d];
        const struct med_attributes *a = &m->inputs[p.input].segment->attributes;
        uint32_t *known = value_to[p.input];
        code = med_attributes_doc(writer, err);
        for (uint32_t i = a->doc_start[p.doc]; !code && i < a->doc_start[p.doc + 1]; i++) {
            uint32_t value = a->entries[i], to = known[value] - 1;
            if (!known[value]) {
                code = med_attributes_value(writer, value_bytes(a, value), &to, err);
                known[value] = to + 1;
            }
            if (!code) code = med_attributes_add(writer, to, err);
        }
    }
    return code;
}

static enum med_code merge_attributes(struct merge *m, struct med_err *err)
{
    struct med_attributes_writer *writer = NULL;
    uint32_t **value_to = med_calloc(m->count, sizeof *value_to);
    enum med_code code = value_to ? med_attributes_writer_new(&writer, err) : out_of_memory(err);
    for (size_t i = 0; !code && i < m->count; i++) {
        const struct med_attributes *a = &m->inputs[i].segment->attributes;
        value_to[i] = med_calloc((size_t)a->value_count + 1, sizeof **value_to);
        if (!value_to[i]) code = out_of_memory(err);
    }
    if (!code) code = copy_attributes(m, writer, value_to, err);
    if (!code)
        code = med_attributes_finish(
            writer, m->fs, m->dir, &m->result.files[m->result.file_count], err);
    for (size_t i = 0; value_to && i < m->count; i++) med_free(value_to[i]);
    med_free(value_to);
    med_attributes_writer_free(&writer);
    m->result.file_count++;
    return code;
}

static enum med_code copy_statements(struct med_statements_writer *writer,
    const struct med_statements *s, const struct med_statements_entry *entry, uint32_t doc,
    struct med_err *err)
{
    struct med_link *links = med_calloc((size_t)entry->link_count + 1, sizeof *links);
    if (!links) return out_of_memory(err);
    for (uint32_t i = 0; i < entry->link_count; i++) links[i] = med_statements_link_at(s, entry, i);
    enum med_code code = med_statements_add(
        writer, doc, med_statements_organization(s, entry), links, entry->link_count, err);
    med_free(links);
    return code;
}

/* Nothing when an input was made before there were statements: overlays are then made from the
 * store. */
static enum med_code merge_statements(struct merge *m, struct med_err *err)
{
    struct med_statements_writer *writer = NULL;
    for (size_t i = 0; i < m->count; i++)
        if (!m->inputs[i].segment->has_statements) return MED_OK;
    uint32_t *next = med_calloc(m->count, sizeof *next); /* entry per input */
    enum med_code code = next ? med_statements_writer_new(&writer, err) : out_of_memory(err);
    for (uint32_t d = 0; !code && d < m->doc_count; d++) {
        struct place p = m->order[d];
        const struct med_statements *s = &m->inputs[p.input].segment->statements;
        uint32_t *at = &next[p.input];
        while (*at < s->entry_count && s->entries[*at].doc < p.doc) ++*at;
        if (*at < s->entry_count && s->entries[*at].doc == p.doc)
            code = copy_statements(writer, s, &s->entries[*at], d, err);
    }
    if (!code)
        code = med_statements_finish(
            writer, m->fs, m->dir, &m->result.files[m->result.file_count++], err);
    med_statements_writer_free(&writer);
    med_free(next);
    return code;
}

/* --- vectors --- */

static enum med_code same_vectors(const struct merge *m, bool *ret_dense, struct med_err *err)
{
    const struct med_dense *first = m->inputs[0].segment->dense;
    for (size_t i = 1; i < m->count; i++) {
        const struct med_dense *other = m->inputs[i].segment->dense;
        if (!first != !other || (first && med_dense_dim(first) != med_dense_dim(other)))
            return med_fail(err, MED_E_INVALID, "segments %s and %s have different vectors",
                m->inputs[0].segment->ref->id, m->inputs[i].segment->ref->id);
    }
    *ret_dense = first != NULL;
    return MED_OK;
}

/* Documents that are neighbours before and after are copied at once. */
static enum med_code copy_vectors(
    struct merge *m, struct med_dense_writer *writer, struct med_err *err)
{
    enum med_code code = MED_OK;
    uint32_t done = 0, told = 0;
    for (uint32_t d = 0; !code && d < m->doc_count;) {
        struct place p = m->order[d];
        const struct med_segment *s = m->inputs[p.input].segment;
        uint32_t first = s->docs[p.doc].first_chunk, count = 0;
        for (uint32_t doc = p.doc; d < m->doc_count && count < ROWS_AT_ONCE; d++, doc++) {
            if (m->order[d].input != p.input || m->order[d].doc != doc) break;
            count += s->docs[doc].chunk_count;
        }
        code = med_dense_writer_copy(writer, s->dense, first, count, err);
        done += count;
        if (!code && done - told >= ROWS_AT_ONCE) {
            code = tell(m, done, m->chunk_count, "vectors", err);
            told = done;
        }
    }
    return code;
}

static enum med_code merge_vectors(struct merge *m, struct med_err *err)
{
    uint64_t start = med_now_ns();
    struct med_dense_options options = {.kind = m->options->kind,
        .dim = med_dense_dim(m->inputs[0].segment->dense),
        .threads = m->options->threads,
        .seed = m->options->seed,
        .progress = m->options->progress};
    struct med_dense_writer *writer = NULL;
    enum med_code code = med_dense_writer_new(m->fs, m->dir, &options, &writer, err);
    if (!code) code = copy_vectors(m, writer, err);
    m->result.seconds.vectors = seconds_since(start);
    start = med_now_ns();
    if (!code)
        code = med_dense_writer_finish(
            writer, m->result.files + m->result.file_count, &m->result.dense, err);
    m->result.seconds.graph = seconds_since(start);
    med_dense_writer_free(&writer);
    m->result.file_count += MED_DENSE_FILE_COUNT;
    return code;
}

/* --- all of it --- */

static enum med_code merge_parts(struct merge *m, struct med_err *err)
{
    uint64_t start = med_now_ns();
    enum med_code code = same_vectors(m, &m->result.has_dense, err);
    if (!code) code = allocate(m, err);
    if (!code) code = order_docs(m, err);
    if (!code) code = merge_tables(m, err);
    m->result.seconds.tables = seconds_since(start);
    start = med_now_ns();
    if (!code) code = merge_lexical(m, false, err);
    if (!code) code = merge_lexical(m, true, err);
    if (!code) code = merge_attributes(m, err);
    if (!code) code = merge_statements(m, err);
    m->result.seconds.lexical = seconds_since(start);
    if (!code && m->result.has_dense) code = merge_vectors(m, err);
    return code;
}

enum med_code med_segment_merge(const struct med_merge_input *inputs, size_t count,
    const struct med_merge_options *options, const struct med_fs *fs, const char *dir,
    struct med_merge_result *ret_result, struct med_err *err)
{
    if (count == 0) return med_fail(err, MED_E_INVALID, "there are no segments to merge");
    struct merge m = {.inputs = inputs, .count = count, .options = options, .fs = fs, .dir = dir};
    enum med_code code = merge_parts(&m, err);
    for (size_t i = 0; i < count; i++) {
        if (m.doc_to) med_free(m.doc_to[i]);
        if (m.chunk_to) med_free(m.chunk_to[i]);
    }
    med_free(m.doc_to);
    med_free(m.chunk_to);
    med_free(m.order);
    if (code) return code;
    m.result.doc_count = m.doc_count;
    m.result.chunk_count = m.chunk_count;
    *ret_result = m.result;
    return MED_OK;
}

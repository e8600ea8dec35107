/* Opening and checking a segment. The maps' contents were checksummed; their structure is validated
 * all the same, because a checksum says that the bytes are what was written, not that what was
 * written makes sense. */
#include "index/builder.h"

#include "common/limits.h"
#include "common/mem.h"
#include "index/doc_set.h"
#include "index/evidence.h"

#include <math.h>

enum {
    MAP_DOCUMENTS,
    MAP_CHUNKS,
    MAP_LEXICON,
    MAP_POSTINGS,
    MAP_LENGTHS,
    MAP_FIELD_LEXICON,
    MAP_FIELD_POSTINGS,
    MAP_FIELD_LENGTHS,
    MAP_ATTRIBUTES,
    MAP_STATEMENTS,
    MAP_VECTORS,
    MAP_GRAPH,
    MAP_COUNT
};
static const char *const map_names[MAP_COUNT] = {"documents", "chunks", "lexicon", "postings",
    "lengths", "field_lexicon", "field_postings", "field_lengths", "attributes",
    MED_STATEMENTS_FILE, "vectors", "graph"};
_Static_assert(
    MAP_COUNT <= sizeof((struct med_segment){0}.maps) / sizeof(struct med_map), "maps fit");

static enum med_code corrupt(struct med_err *err, const struct med_segment *s, const char *what)
{
    return med_fail(err, MED_E_CORRUPT, "segment %s: %s", s->ref->id, what);
}

static bool has_file(const struct med_segment_ref *ref, const char *name)
{
    for (size_t i = 0; i < ref->file_count; i++) {
        if (strcmp(ref->files[i].name, name) == 0) return true;
    }
    return false;
}

/* Header and exact size; *ret_count rows. */
static bool table_header(
    struct med_map map, const char *magic, struct med_tables_header *ret_header)
{
    if (map.len < sizeof *ret_header) return false;
    memcpy(ret_header, map.ptr, sizeof *ret_header);
    return memcmp(ret_header->magic, magic, sizeof ret_header->magic) == 0;
}

static enum med_code open_documents(struct med_segment *s, struct med_err *err)
{
    struct med_map map = s->maps[MAP_DOCUMENTS];
    struct med_tables_header h;
    if (!table_header(map, MED_DOCS_MAGIC, &h))
        return corrupt(err, s, "the document table has no header");
    uint64_t rows = (uint64_t)h.count * sizeof *s->docs;
    if (map.len - sizeof h < rows || map.len - sizeof h - rows != h.heap_len)
        return corrupt(err, s, "the document table has the wrong size");
    s->docs = (const struct med_doc_row *)(map.ptr + sizeof h);
    s->doc_count = h.count;
    s->heap = (const char *)map.ptr + sizeof h + rows;
    s->heap_len = h.heap_len;
    return MED_OK;
}

static enum med_code open_chunks(struct med_segment *s, struct med_err *err)
{
    struct med_map map = s->maps[MAP_CHUNKS];
    struct med_tables_header h;
    if (!table_header(map, MED_CHUNKS_MAGIC, &h))
        return corrupt(err, s, "the chunk table has no header");
    uint64_t docs_len = ((uint64_t)h.count * 4 + 7) / 8 * 8;
    uint64_t rows_len = (uint64_t)h.count * sizeof *s->chunks;
    uint64_t hash_len = (uint64_t)h.count * sizeof *s->chunk_hash;
    if (map.len - sizeof h != docs_len + rows_len + hash_len)
        return corrupt(err, s, "the chunk table has the wrong size");
    const uint8_t *p = map.ptr + sizeof h;
    s->chunk_count = h.count;
    s->chunk_doc = (const uint32_t *)p;
    s->chunks = (const struct med_chunk_row *)(p + docs_len);
    s->chunk_hash = (const uint64_t *)(p + docs_len + rows_len);
    return MED_OK;
}

/* What every later access relies on: ranges of strings, and chunks that tile the documents in
 * order. */
static enum med_code validate_tables(const struct med_segment *s, struct med_err *err)
{
    uint32_t next = 0;
    for (uint32_t d = 0; d < s->doc_count; d++) {
        const struct med_doc_row *row = &s->docs[d];
        if ((uint64_t)row->id + row->id_len > s->heap_len ||
            (uint64_t)row->source_id + row->source_id_len > s->heap_len || row->id_len == 0 ||
            row->source >= MED_SOURCE_COUNT || row->evidence >= MED_EVIDENCE_COUNT)
            return corrupt(err, s, "a document row is out of range");
        if (row->first_chunk != next || row->chunk_count > s->chunk_count - next)
            return corrupt(err, s, "documents and chunks disagree");
        for (uint32_t c = next; c < next + row->chunk_count; c++) {
            if (s->chunk_doc[c] != d || s->chunks[c].start > s->chunks[c].end)
                return corrupt(err, s, "a chunk row is out of range");
        }
        next += row->chunk_count;
    }
    if (next != s->chunk_count) return corrupt(err, s, "documents and chunks disagree");
    return MED_OK;
}

static enum med_code open_fields(struct med_segment *s, struct med_err *err)
{
    enum med_code code = med_lex_open(s->maps[MAP_FIELD_LEXICON], s->maps[MAP_FIELD_POSTINGS],
        s->maps[MAP_FIELD_LENGTHS], &s->fields, err);
    if (!code) code = med_attributes_open(s->maps[MAP_ATTRIBUTES], &s->attributes, err);
    if (code) {
        med_err_prefix(err, "segment %s", s->ref->id);
        return code;
    }
    if (med_lex_chunk_count(s->fields) != s->doc_count || s->attributes.doc_count != s->doc_count)
        return corrupt(err, s, "the fields have another number of documents");
    return MED_OK;
}

static enum med_code open_parts(struct med_segment *s, struct med_err *err)
{
    enum med_code code = open_documents(s, err);
    if (!code) code = open_chunks(s, err);
    if (!code) code = validate_tables(s, err);
    if (!code) code = doc_columns_make(s, err);
    if (!code)
        code = med_lex_open(
            s->maps[MAP_LEXICON], s->maps[MAP_POSTINGS], s->maps[MAP_LENGTHS], &s->lex, err);
    if (code) return code;
    if (med_lex_chunk_count(s->lex) != s->chunk_count)
        return corrupt(err, s, "the lexical index has another number of passages");
    code = open_fields(s, err);
    s->has_statements = s->maps[MAP_STATEMENTS].ptr;
    if (!code && s->has_statements)
        code = med_statements_open(s->maps[MAP_STATEMENTS], s->doc_count, &s->statements, err);
    if (code || !s->maps[MAP_GRAPH].ptr) return code;
    code = med_dense_open(s->maps[MAP_VECTORS], s->maps[MAP_GRAPH], &s->dense, err);
    if (code) return code;
    if (med_dense_count(s->dense) != s->chunk_count)
        return corrupt(err, s, "the dense index has another number of passages");
    return MED_OK;
}

/* --- what the generation changes --- */

static enum med_code make_live_sets(struct med_segment *s, struct med_err *err)
{
    size_t doc_words = (size_t)s->doc_count / 64 + 1, chunk_words = (size_t)s->chunk_count / 64 + 1;
    uint64_t *docs = med_calloc(doc_words, sizeof *docs);
    uint64_t *chunks = med_calloc(chunk_words, sizeof *chunks);
    s->live_docs = docs;
    s->live_chunks.words = chunks;
    if (!docs || !chunks)
        return med_fail(err, MED_E_NOMEM, "out of memory while opening segment %s", s->ref->id);
    uint32_t dead_chunks = 0;
    uint64_t dead_length = 0;
    for (uint32_t c = 0; c < s->chunk_count; c++) {
        uint32_t d = s->chunk_doc[c];
        if (med_patch_is_dead(&s->patch, d)) {
            dead_chunks++;
            dead_length += med_lex_length(s->lex, c);
            continue;
        }
        chunks[c >> 6] |= 1ull << (c & 63);
    }
    for (uint32_t d = 0; d < s->doc_count; d++) {
        if (!med_patch_is_dead(&s->patch, d)) docs[d >> 6] |= 1ull << (d & 63);
    }
    if (dead_chunks != s->patch.dead_chunk_count || dead_length != s->patch.dead_length)
        return corrupt(err, s, "its patch counts other passages");
    s->live_chunks.set_count = s->chunk_count - dead_chunks;
    s->live_doc_count = s->doc_count - s->patch.dead_doc_count;
    s->live_length_sum -= dead_length;
    return MED_OK;
}

static enum med_code patch_works(struct med_segment *s, struct med_err *err)
{
    s->works = med_calloc((size_t)s->doc_count + 1, sizeof *s->works);
    if (!s->works)
        return med_fail(err, MED_E_NOMEM, "out of memory while opening segment %s", s->ref->id);
    for (uint32_t d = 0; d < s->doc_count; d++)
        s->works[d] =
            (struct med_patch_work){.work = s->docs[d].work, .doc = d, .shared = s->docs[d].shared};
    for (uint32_t i = 0; i < s->patch.work_count; i++)
        s->works[s->patch.works[i].doc] = s->patch.works[i];
    return MED_OK;
}

static void drop_patch(struct med_segment *s)
{
    med_free(s->live_docs);
    med_free((void *)(uintptr_t)s->live_chunks.words);
    med_free(s->works);
    s->live_docs = NULL;
    s->works = NULL;
    s->patch = (struct med_patch){0};
    s->live_doc_count = s->doc_count;
    s->live_chunks = (struct med_filter){.set_count = s->chunk_count};
}

enum med_code segment_patch(struct med_segment *s, struct med_str bytes, struct med_err *err)
{
    drop_patch(s);
    s->live_length_sum = med_lex_length_sum(s->lex);
    enum med_code code = med_patch_open(bytes.ptr, bytes.len, s->doc_count, &s->patch, err);
    if (code) {
        med_err_prefix(err, "segment %s", s->ref->id);
        return code;
    }
    const struct med_patch_term *last = s->patch.terms + s->patch.term_count;
    if (s->patch.term_count && last[-1].ordinal >= med_lex_term_count(s->lex))
        return corrupt(err, s, "its patch names an unknown term");
    if (s->patch.dead_doc_count) code = make_live_sets(s, err);
    if (!code && s->patch.work_count) code = patch_works(s, err);
    return code;
}

/* The patch that the manifest names. */
static enum med_code apply_patch(struct med_segment *s, struct med_err *err)
{
    struct med_str bytes = {.ptr = (const char *)s->patch_map.ptr, .len = s->patch_map.len};
    enum med_code code = segment_patch(s, bytes, err);
    if (!code && (s->patch.dead_doc_count != s->ref->dead_doc_count ||
                     s->patch.dead_chunk_count != s->ref->dead_chunk_count))
        return corrupt(err, s, "its patch and the manifest disagree");
    return code;
}

static enum med_code map_unpublished(
    const char *dir, const char *dense_dir, int which, struct med_map *ret_map, struct med_err *err)
{
    char path[MED_PATH_MAX];
    bool is_dense = which == MAP_VECTORS || which == MAP_GRAPH;
    if (is_dense && !dense_dir) return MED_OK;
    enum med_code code = med_path_join(path, is_dense ? dense_dir : dir, map_names[which], err);
    if (!code) code = med_map_open(path, ret_map, err);
    return code;
}

enum med_code segment_open_unpublished(const char *dir, const char *dense_dir,
    const struct med_segment_ref *ref, struct med_segment **ret_segment, struct med_err *err)
{
    struct med_segment *s = med_calloc(1, sizeof *s);
    if (!s) return med_fail(err, MED_E_NOMEM, "out of memory while opening segment %s", ref->id);
    s->ref = ref;
    enum med_code code = MED_OK;
    for (int i = 0; !code && i < MAP_COUNT; i++)
        code = map_unpublished(dir, dense_dir, i, &s->maps[i], err);
    if (!code) code = open_parts(s, err);
    if (!code) code = apply_patch(s, err);
    if (code) {
        med_segment_close(&s);
        return code;
    }
    *ret_segment = s;
    return MED_OK;
}

static enum med_code needs_build(const struct med_segment_ref *ref, struct med_err *err)
{
    return med_fail(err, MED_E_UNSUPPORTED,
        "segment %s was made by an older version, without fields to filter by: run medicus build",
        ref->id);
}

enum med_code med_segment_open(const struct med_pin *pin, const struct med_segment_ref *ref,
    bool verify, struct med_segment **ret_segment, struct med_err *err)
{
    struct med_segment *s = med_calloc(1, sizeof *s);
    if (!s) return med_fail(err, MED_E_NOMEM, "out of memory while opening segment %s", ref->id);
    s->ref = ref;
    enum med_code code = MED_OK;
    for (int i = 0; !code && i < MAP_COUNT; i++) {
        bool optional = i >= MAP_STATEMENTS;
        bool there = has_file(ref, map_names[i]);
        if (optional && !there) continue;
        if (i == MAP_ATTRIBUTES || i == MAP_FIELD_LEXICON) {
            if (!there) code = needs_build(ref, err);
            if (code) break;
        }
        code = med_pin_map(pin, ref, map_names[i], verify, &s->maps[i], err);
    }
    if (!code) code = med_pin_map_patch(pin, ref, verify, &s->patch_map, err);
    if (!code) code = open_parts(s, err);
    if (!code) code = apply_patch(s, err);
    if (code) {
        med_segment_close(&s);
        return code;
    }
    *ret_segment = s;
    return MED_OK;
}

void med_segment_close(struct med_segment **segment)
{
    struct med_segment *s = *segment;
    if (!s) return;
    med_lex_free(&s->lex);
    med_lex_free(&s->fields);
    med_dense_free(&s->dense);
    med_free(s->flags);
    med_free(s->evidence);
    doc_columns_free(&s->columns);
    drop_patch(s);
    med_map_close(&s->patch_map);
    for (int i = 0; i < MAP_COUNT; i++) med_map_close(&s->maps[i]);
    med_free(s);
    *segment = NULL;
}

struct med_str med_segment_doc_id(const struct med_segment *s, uint32_t doc)
{
    return (struct med_str){.ptr = s->heap + s->docs[doc].id, .len = s->docs[doc].id_len};
}

bool med_segment_find_doc(
    const struct med_segment *s, uint32_t from, struct med_str id, uint32_t *ret_doc)
{
    uint32_t low = from, high = s->doc_count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        int order = med_str_cmp(med_segment_doc_id(s, mid), id);
        if (order == 0) {
            *ret_doc = mid;
            return med_segment_is_live(s, mid);
        }
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return false;
}

bool med_segment_find(
    const struct med_segment *s, struct med_str term, uint32_t *ret_ordinal, uint32_t *ret_df)
{
    uint32_t ordinal, df;
    if (!med_lex_find(s->lex, term, &ordinal, &df)) return false;
    uint32_t lost = med_patch_lost(&s->patch, ordinal);
    if (lost >= df) return false;
    if (ret_ordinal) *ret_ordinal = ordinal;
    if (ret_df) *ret_df = df - lost;
    return true;
}

struct med_str med_segment_source_id(const struct med_segment *s, uint32_t doc)
{
    return (struct med_str){
        .ptr = s->heap + s->docs[doc].source_id, .len = s->docs[doc].source_id_len};
}

/* Every stored vector has length one, or is the zero of a passage without known terms. */
static enum med_code check_vectors(const struct med_segment *s, struct med_err *err)
{
    float row[MED_DIM_MAX];
    uint32_t dim = med_dense_dim(s->dense);
    for (uint32_t c = 0; c < s->chunk_count; c++) {
        enum med_code code = med_dense_row(s->dense, c, row, err);
        if (code) return code;
        double norm = 0;
        for (uint32_t i = 0; i < dim; i++) norm += (double)row[i] * row[i];
        if (!(norm == 0 || fabs(norm - 1) < 0.02))
            return med_fail(err, MED_E_CORRUPT,
                "segment %s: the vector of passage %u has squared length %g", s->ref->id, c, norm);
    }
    return MED_OK;
}

/* Every posting of the fields, and that each attribute of a document finds the document. */
static enum med_code check_fields(const struct med_segment *s, struct med_err *err)
{
    const struct med_attributes *a = &s->attributes;
    struct med_buf term;
    med_buf_init(&term, MED_MIB);
    enum med_code code = med_lex_check(s->fields, err);
    for (uint32_t v = 0; !code && v < a->value_count; v++) {
        med_buf_reset(&term);
        code = med_field_term(med_attribute_field(a, v), med_attribute_text(a, v), &term, err);
        bool found = term.len < 2 || med_lex_find(s->fields, med_buf_str(&term), NULL, NULL);
        if (!code && !found) code = corrupt(err, s, "an attribute is not in the fields index");
    }
    med_buf_free(&term);
    return code;
}

/* No term loses more than it has. What exactly it loses takes the documents (med_index_check). */
static enum med_code check_losses(const struct med_segment *s, struct med_err *err)
{
    struct med_buf term;
    med_buf_init(&term, MED_MIB);
    enum med_code code = MED_OK;
    for (uint32_t i = 0; !code && i < s->patch.term_count; i++) {
        uint32_t df;
        med_buf_reset(&term);
        code = med_lex_term_at(s->lex, s->patch.terms[i].ordinal, &term, &df, err);
        if (!code && s->patch.terms[i].df > df)
            code = corrupt(err, s, "its patch takes more from a term than it has");
    }
    med_buf_free(&term);
    return code;
}

enum med_code med_segment_check(const struct med_segment *s, struct med_err *err)
{
    for (uint32_t d = 1; d < s->doc_count; d++) {
        if (med_str_cmp(med_segment_doc_id(s, d - 1), med_segment_doc_id(s, d)) >= 0)
            return corrupt(err, s, "document ids are out of order");
    }
    enum med_code code = med_lex_check(s->lex, err);
    if (!code) code = check_losses(s, err);
    if (!code) code = check_fields(s, err);
    if (!code && s->dense) code = check_vectors(s, err);
    return code;
}

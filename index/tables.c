/* The document and chunk tables of a segment: writing.
 *
 *   documents   header "MEDDOCS1" | rows | heap
 *   chunks      header "MEDCHNK1" | u32 document[n], padded to 8 bytes | rows[n] | u64 hash[n]
 *
 * Works: two documents that share a PMID, PMCID or DOI are one work. Every alias is hashed, equal
 * hashes are joined by union-find, and the class is named by the hash of its first document's id,
 * so that the name is a function of the members. */
#include "index/segment.h"

#include "common/limits.h"
#include "common/mem.h"
#include "index/evidence.h"

#include <stdio.h>
#include <stdlib.h>

#define TABLE_HEAP_BYTES_MAX (4 * MED_GIB - 1)

struct alias_entry {
    uint64_t hash;
    uint32_t doc;
};

struct med_segment_tables {
    struct med_doc_row *docs;
    size_t doc_count, doc_cap;
    struct med_buf heap;
    uint32_t *chunk_doc;
    size_t chunk_doc_cap;
    struct med_chunk_row *chunks;
    size_t chunk_cap;
    uint64_t *chunk_hash;
    size_t chunk_hash_cap;
    size_t chunk_count;
    struct alias_entry *aliases;
    size_t alias_count, alias_cap;
    struct med_arena *arena; /* for one document's aliases */
    bool copied;             /* the rows say already which work they belong to */
};

enum med_code med_tables_new(struct med_segment_tables **ret_tables, struct med_err *err)
{
    struct med_segment_tables *t = med_calloc(1, sizeof *t);
    if (!t) return med_fail(err, MED_E_NOMEM, "out of memory for the document table");
    med_buf_init(&t->heap, TABLE_HEAP_BYTES_MAX);
    enum med_code code = med_arena_new(MED_MIB, &t->arena, err);
    if (code) {
        med_tables_free(&t);
        return code;
    }
    *ret_tables = t;
    return MED_OK;
}

void med_tables_free(struct med_segment_tables **tables)
{
    struct med_segment_tables *t = *tables;
    if (!t) return;
    med_free(t->docs);
    med_free(t->chunk_doc);
    med_free(t->chunks);
    med_free(t->chunk_hash);
    med_free(t->aliases);
    med_buf_free(&t->heap);
    med_arena_free(&t->arena);
    med_free(t);
    *tables = NULL;
}

static uint32_t heap_add(struct med_buf *heap, struct med_str s)
{
    uint32_t at = (uint32_t)heap->len;
    med_buf_append_str(heap, s);
    return at;
}

static uint32_t packed_date(struct med_date d)
{
    return d.year * 10000u + d.month * 100u + d.day;
}

static enum med_code add_aliases(
    struct med_segment_tables *t, const struct med_doc *doc, uint32_t ordinal, struct med_err *err)
{
    struct med_str aliases[4];
    size_t count;
    med_arena_reset(t->arena);
    enum med_code code = med_doc_aliases(doc, t->arena, aliases, &count, err);
    if (code) return code;
    if (!med_grow(&t->aliases, &t->alias_cap, t->alias_count + count, sizeof *t->aliases))
        return med_fail(err, MED_E_NOMEM, "out of memory for the alias table");
    for (size_t i = 0; i < count; i++)
        t->aliases[t->alias_count++] = (struct alias_entry){
            .hash = med_hash64(aliases[i].ptr, aliases[i].len), .doc = ordinal};
    return MED_OK;
}

static enum med_code make_room(
    struct med_segment_tables *t, size_t chunk_count, struct med_err *err)
{
    size_t need = t->chunk_count + chunk_count;
    if (need >= UINT32_MAX || t->doc_count + 1 >= UINT32_MAX)
        return med_fail(err, MED_E_LIMIT, "more than %u passages in one segment", UINT32_MAX);
    if (!med_grow(&t->docs, &t->doc_cap, t->doc_count + 1, sizeof *t->docs) ||
        !med_grow(&t->chunk_doc, &t->chunk_doc_cap, need, sizeof *t->chunk_doc) ||
        !med_grow(&t->chunks, &t->chunk_cap, need, sizeof *t->chunks) ||
        !med_grow(&t->chunk_hash, &t->chunk_hash_cap, need, sizeof *t->chunk_hash))
        return med_fail(err, MED_E_NOMEM, "out of memory for the tables of %zu passages", need);
    return MED_OK;
}

enum med_code med_tables_add(struct med_segment_tables *t, const struct med_doc *doc,
    const struct med_chunk *chunks, size_t chunk_count, struct med_err *err)
{
    uint32_t ordinal = (uint32_t)t->doc_count;
    enum med_code code = make_room(t, chunk_count, err);
    if (!code) code = add_aliases(t, doc, ordinal, err);
    if (code) return code;
    t->docs[t->doc_count++] = (struct med_doc_row){
        .id = heap_add(&t->heap, doc->id),
        .id_len = (uint16_t)doc->id.len,
        .source_id = heap_add(&t->heap, doc->source_id),
        .source_id_len = (uint16_t)doc->source_id.len,
        .version = doc->store_version,
        .first_chunk = (uint32_t)t->chunk_count,
        .chunk_count = (uint32_t)chunk_count,
        .date = packed_date(doc->date),
        .flags = med_doc_flags(doc),
        .source = (uint8_t)doc->source,
        .evidence = (uint8_t)med_evidence_of(doc),
        .grade = med_grades_parse(doc->grade),
    };
    for (size_t i = 0; i < chunk_count; i++) {
        t->chunk_doc[t->chunk_count] = ordinal;
        t->chunks[t->chunk_count] =
            (struct med_chunk_row){chunks[i].span.start, chunks[i].span.end};
        t->chunk_hash[t->chunk_count++] = chunks[i].hash.lo;
    }
    return med_buf_status(&t->heap, err);
}

enum med_code med_tables_copy(
    struct med_segment_tables *t, const struct med_segment *from, uint32_t doc, struct med_err *err)
{
    struct med_doc_row row = from->docs[doc];
    uint32_t ordinal = (uint32_t)t->doc_count, first = row.first_chunk;
    enum med_code code = make_room(t, row.chunk_count, err);
    if (code) return code;
    row.id = heap_add(&t->heap, med_segment_doc_id(from, doc));
    row.source_id = heap_add(&t->heap, med_segment_source_id(from, doc));
    row.first_chunk = (uint32_t)t->chunk_count;
    row.work = med_segment_work(from, doc);
    row.shared = med_segment_shared(from, doc);
    t->docs[t->doc_count++] = row;
    for (uint32_t c = first; c < first + row.chunk_count; c++) {
        t->chunk_doc[t->chunk_count] = ordinal;
        t->chunks[t->chunk_count] = from->chunks[c];
        t->chunk_hash[t->chunk_count++] = from->chunk_hash[c];
    }
    t->copied = true;
    return med_buf_status(&t->heap, err);
}

static uint32_t find_root(uint32_t *parent, uint32_t x)
{
    while (parent[x] != x) {
        parent[x] = parent[parent[x]];
        x = parent[x];
    }
    return x;
}

static int compare_aliases(const void *a, const void *b)
{
    const struct alias_entry *x = a, *y = b;
    if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
    return x->doc < y->doc ? -1 : x->doc > y->doc;
}

static enum med_code join_works(struct med_segment_tables *t, struct med_err *err)
{
    uint32_t *parent = med_calloc(t->doc_count ? t->doc_count : 1, sizeof *parent);
    if (!parent)
        return med_fail(err, MED_E_NOMEM, "out of memory while grouping documents into works");
    for (uint32_t i = 0; i < t->doc_count; i++) parent[i] = i;
    if (t->alias_count) qsort(t->aliases, t->alias_count, sizeof *t->aliases, compare_aliases);
    for (size_t i = 1; i < t->alias_count; i++) {
        if (t->aliases[i].hash != t->aliases[i - 1].hash) continue;
        uint32_t a = find_root(parent, t->aliases[i].doc),
                 b = find_root(parent, t->aliases[i - 1].doc);
        if (a < b)
            parent[b] = a;
        else
            parent[a] = b;
    }
    for (uint32_t i = 0; i < t->doc_count; i++) {
        uint32_t root = find_root(parent, i);
        if (root != i) t->docs[i].shared = t->docs[root].shared = 1;
        const struct med_doc_row *first = &t->docs[root];
        t->docs[i].work = med_hash64(t->heap.data + first->id, first->id_len);
    }
    med_free(parent);
    return MED_OK;
}

enum med_code med_segment_write_file(const struct med_fs *fs, const char *dir, const char *name,
    const struct med_str *pieces, size_t piece_count, struct med_file_ref *ret_ref,
    struct med_err *err)
{
    char path[MED_PATH_MAX];
    struct med_file *file = NULL;
    enum med_code code = med_path_join(path, dir, name, err);
    if (!code) code = med_file_create(fs, path, &file, err);
    for (size_t i = 0; !code && i < piece_count; i++) {
        if (pieces[i].len) code = med_file_append(file, pieces[i].ptr, pieces[i].len, err);
    }
    if (code) {
        if (file) med_file_discard(&file);
        return code;
    }
    snprintf(ret_ref->name, sizeof ret_ref->name, "%s", name);
    return med_file_finish(&file, &ret_ref->size, &ret_ref->hash, err);
}

static struct med_str bytes_of(const void *ptr, size_t len)
{
    return (struct med_str){.ptr = ptr, .len = len};
}

enum med_code med_tables_finish(struct med_segment_tables *t, const struct med_fs *fs,
    const char *dir, struct med_file_ref ret_files[MED_TABLE_FILE_COUNT], struct med_err *err)
{
    static const char zeros[8];
    enum med_code code = t->copied ? MED_OK : join_works(t, err);
    if (code) return code;

    struct med_tables_header head = {.count = (uint32_t)t->doc_count, .heap_len = t->heap.len};
    memcpy(head.magic, MED_DOCS_MAGIC, sizeof head.magic);
    struct med_str documents[] = {
        bytes_of(&head, sizeof head),
        bytes_of(t->docs, t->doc_count * sizeof *t->docs),
        med_buf_str(&t->heap),
    };
    code = med_segment_write_file(fs, dir, "documents", documents, 3, &ret_files[0], err);
    if (code) return code;

    size_t n = t->chunk_count;
    struct med_tables_header chunk_head = {.count = (uint32_t)n};
    memcpy(chunk_head.magic, MED_CHUNKS_MAGIC, sizeof chunk_head.magic);
    struct med_str chunks[] = {
        bytes_of(&chunk_head, sizeof chunk_head),
        bytes_of(t->chunk_doc, n * sizeof *t->chunk_doc),
        bytes_of(zeros, n % 2 ? 4 : 0),
        bytes_of(t->chunks, n * sizeof *t->chunks),
        bytes_of(t->chunk_hash, n * sizeof *t->chunk_hash),
    };
    return med_segment_write_file(fs, dir, "chunks", chunks, 5, &ret_files[1], err);
}

/* Reading "graph" trusts nothing: sizes are compared with what the header implies before anything
 * is touched, then every link, offset and row number is checked once, so that the search need not.
 * A link on level l must lead to a row that is on level l: FAISS would otherwise read the links of
 * another row, or beyond the end. */
#include "index/dense/graph.h"

#include "common/limits.h"
#include "common/mem.h"

#include <math.h>
#include <string.h>

#define PIECE_BYTES ((size_t)1 << 16)

static enum med_code corrupt(struct med_err *err, const char *what)
{
    return med_fail(err, MED_E_CORRUPT, "the vector graph is damaged: %s", what);
}

/* --- reading --- */

static enum med_code read_header(struct med_map map, const struct med_dense_rows *rows,
    struct med_graph_header *ret_header, struct med_err *err)
{
    struct med_graph_header header;
    if (map.len < sizeof header) return corrupt(err, "too short");
    if ((uintptr_t)map.ptr % MED_DENSE_ALIGN != 0)
        return med_fail(err, MED_E_INVALID, "graphs must be mapped at a multiple of 64");
    memcpy(&header, map.ptr, sizeof header);
    if (memcmp(header.magic, MED_GRAPH_MAGIC, sizeof header.magic) != 0)
        return corrupt(err, "it does not begin as one");
    if (header.version != MED_GRAPH_VERSION)
        return med_fail(err, MED_E_UNSUPPORTED, "graph version %u is not known", header.version);
    if (header.check != med_hash64(&header, offsetof(struct med_graph_header, check)))
        return corrupt(err, "its header");
    if (header.dim != rows->dim || header.count != rows->count ||
        header.metric != MED_VECTORS_INNER_PRODUCT || header.linked_count > header.count)
        return corrupt(err, "it belongs to other vectors");
    if (!(header.recall_at_10 >= 0 && header.recall_at_10 <= 1) ||
        !(header.search_ef >= 0 && header.search_ef <= 1e6f))
        return corrupt(err, "its report");
    uint64_t end = sizeof header;
    for (size_t s = 0; s < MED_GRAPH_SECTION_COUNT; s++) {
        struct med_graph_section section = header.sections[s];
        if (section.offset != end || section.offset > map.len ||
            section.bytes > map.len - section.offset)
            return corrupt(err, "its sections");
        end = section.offset + section.bytes;
        end = (end + MED_DENSE_ALIGN - 1) / MED_DENSE_ALIGN * MED_DENSE_ALIGN;
    }
    if (end != map.len) return corrupt(err, "its length");
    *ret_header = header;
    return MED_OK;
}

static const void *section_at(
    struct med_map map, const struct med_graph_header *header, unsigned section)
{
    return map.ptr + header->sections[section].offset;
}

/* All links of one list: below count, and to rows that are on that level. */
static bool links_valid(const struct med_links *links, uint32_t count, const uint32_t *list,
    uint32_t size, uint32_t level)
{
    for (uint32_t i = 0; i < size; i++) {
        if (list[i] == MED_GRAPH_NO_LINK) break;
        if (list[i] >= count || links->levels[list[i]] <= level) return false;
    }
    return true;
}

static enum med_code read_hnsw(
    struct med_map map, uint32_t count, struct med_graph *graph, struct med_err *err)
{
    const struct med_graph_header *header = &graph->header;
    uint64_t m = header->m;
    if (m < MED_GRAPH_M_MIN || m > MED_GRAPH_M_MAX || count > INT32_MAX)
        return corrupt(err, "its number of links");
    if (header->sections[0].bytes != count || header->sections[1].bytes != count * 2 * m * 4 ||
        header->sections[2].bytes % (m * 4) != 0)
        return corrupt(err, "its sections do not fit its count");
    struct med_links links = {
        .levels = section_at(map, header, 0),
        .level_0 = section_at(map, header, 1),
        .upper = section_at(map, header, 2),
        .upper_count = header->sections[2].bytes / 4,
        .m = header->m,
        .entry_point = header->entry_point,
        .max_level = header->max_level,
        .linked_count = header->linked_count,
    };
    uint64_t upper_count = 0;
    uint32_t linked_count = 0;
    for (uint32_t row = 0; row < count; row++) {
        uint32_t levels = links.levels[row];
        if (levels > MED_GRAPH_LEVELS_MAX || levels > links.max_level + 1)
            return corrupt(err, "a level");
        if (levels > 1) upper_count += (levels - 1) * m;
        linked_count += levels > 0;
    }
    if (upper_count != links.upper_count || upper_count / m > UINT32_MAX ||
        linked_count != header->linked_count)
        return corrupt(err, "its levels do not fit its links");
    if (linked_count > 0 &&
        (links.entry_point >= count || links.levels[links.entry_point] != links.max_level + 1))
        return corrupt(err, "its entry point");
    const uint32_t *upper = links.upper;
    for (uint32_t row = 0; row < count; row++) {
        const uint32_t *level_0 = links.level_0 + row * 2 * m;
        bool valid = links.levels[row] > 0
                         ? links_valid(&links, count, level_0, (uint32_t)(2 * m), 0)
                         : level_0[0] == MED_GRAPH_NO_LINK;
        for (uint32_t level = 1; level < links.levels[row]; level++, upper += m)
            valid &= links_valid(&links, count, upper, (uint32_t)m, level);
        if (!valid) return corrupt(err, "a link");
    }
    enum med_code code = med_links_index(&links, count, err);
    if (code == MED_OK) graph->links = links;
    return code;
}

static enum med_code check_lists(
    const struct med_ivf *ivf, uint32_t count, uint32_t linked_count, struct med_err *err)
{
    uint64_t *seen = med_calloc(count / 64 + 1, sizeof *seen);
    if (!seen) return med_fail(err, MED_E_NOMEM, "out of memory checking %u rows", count);
    enum med_code code = MED_OK;
    bool valid = ivf->offsets[0] == 0 && ivf->offsets[ivf->centroids.count] == linked_count;
    for (uint32_t list = 0; valid && list < ivf->centroids.count; list++)
        valid = ivf->offsets[list] <= ivf->offsets[list + 1];
    for (uint32_t i = 0; valid && i < linked_count; i++) {
        uint32_t row = ivf->ids[i];
        valid = row < count && !(seen[row >> 6] >> (row & 63) & 1);
        if (valid) seen[row >> 6] |= 1ull << (row & 63);
    }
    if (!valid) code = corrupt(err, "a list");
    med_free(seen);
    return code;
}

static enum med_code read_ivf(struct med_map map, const struct med_dense_rows *rows,
    struct med_graph *graph, struct med_err *err)
{
    const struct med_graph_header *header = &graph->header;
    uint64_t lists = header->list_count;
    uint32_t padded = med_half_padded(rows->dim);
    if (lists == 0 || header->sections[0].bytes != lists * padded * sizeof(uint16_t) ||
        header->sections[1].bytes != (lists + 1) * sizeof(uint64_t) ||
        header->sections[2].bytes != (uint64_t)header->linked_count * sizeof(uint32_t))
        return corrupt(err, "its sections do not fit its count");
    struct med_ivf ivf = {
        .centroids = {.base = section_at(map, header, 0),
            .padded = padded,
            .dim = rows->dim,
            .count = header->list_count,
            .kernels = rows->kernels},
        .offsets = section_at(map, header, 1),
        .ids = section_at(map, header, 2),
    };
    enum med_code code = check_lists(&ivf, rows->count, header->linked_count, err);
    if (code == MED_OK) graph->ivf = ivf;
    return code;
}

enum med_code med_graph_read(struct med_map map, const struct med_dense_rows *rows,
    struct med_graph *ret_graph, struct med_err *err)
{
    struct med_graph graph = {0};
    enum med_code code = read_header(map, rows, &graph.header, err);
    if (code != MED_OK) return code;
    switch (graph.header.kind) {
    case MED_DENSE_FLAT: break;
    case MED_DENSE_HNSW: code = read_hnsw(map, rows->count, &graph, err); break;
    case MED_DENSE_IVF: code = read_ivf(map, rows, &graph, err); break;
    default: code = corrupt(err, "its kind"); break;
    }
    if (code == MED_OK) *ret_graph = graph;
    return code;
}

void med_graph_close(struct med_graph *graph)
{
    med_links_free(&graph->links);
}

/* --- writing --- */

/* Appends in pieces: med_file_append wants more than a few bytes at a time. */
struct out {
    struct med_file *file;
    uint8_t *piece;
    size_t len;
    struct med_err *err;
    enum med_code code; /* the first failure stays */
};

static void out_flush(struct out *out)
{
    if (out->code == MED_OK) out->code = med_file_append(out->file, out->piece, out->len, out->err);
    out->len = 0;
}

static void out_put(struct out *out, const void *ptr, size_t len)
{
    const uint8_t *from = ptr;
    while (len > 0 && out->code == MED_OK) {
        size_t part = PIECE_BYTES - out->len < len ? PIECE_BYTES - out->len : len;
        memcpy(out->piece + out->len, from, part);
        out->len += part;
        from += part;
        len -= part;
        if (out->len == PIECE_BYTES) out_flush(out);
    }
}

static void out_align(struct out *out)
{
    static const uint8_t zeros[MED_DENSE_ALIGN];
    size_t over = out->len % MED_DENSE_ALIGN; /* pieces are multiples of it */
    if (over > 0) out_put(out, zeros, MED_DENSE_ALIGN - over);
}

static enum med_code out_begin(const struct med_fs *fs, const char *path,
    const struct med_graph_header *header, struct out *out, struct med_err *err)
{
    *out = (struct out){.err = err, .piece = med_malloc(PIECE_BYTES)};
    if (!out->piece) return med_fail(err, MED_E_NOMEM, "out of memory writing %s", path);
    out->code = med_file_create(fs, path, &out->file, err);
    if (out->code != MED_OK) {
        med_free(out->piece);
        return out->code;
    }
    out_put(out, header, sizeof *header);
    return MED_OK;
}

static enum med_code out_end(struct out *out, struct med_file_ref *ret_file, struct med_err *err)
{
    out_align(out);
    if (out->len > 0) out_flush(out);
    med_free(out->piece);
    if (out->code != MED_OK) {
        med_file_discard(&out->file);
        return out->code;
    }
    struct med_file_ref ref = {.name = "graph"};
    enum med_code code = med_file_finish(&out->file, &ref.size, &ref.hash, err);
    if (code == MED_OK) *ret_file = ref;
    return code;
}

static void seal(struct med_graph_header *header, const uint64_t bytes[MED_GRAPH_SECTION_COUNT])
{
    memcpy(header->magic, MED_GRAPH_MAGIC, sizeof header->magic);
    header->version = MED_GRAPH_VERSION;
    header->metric = MED_VECTORS_INNER_PRODUCT;
    uint64_t end = sizeof *header;
    for (size_t s = 0; s < MED_GRAPH_SECTION_COUNT; s++) {
        header->sections[s] = (struct med_graph_section){.offset = end, .bytes = bytes[s]};
        end += (bytes[s] + MED_DENSE_ALIGN - 1) / MED_DENSE_ALIGN * MED_DENSE_ALIGN;
    }
    header->check = med_hash64(header, offsetof(struct med_graph_header, check));
}

enum med_code med_graph_write_flat(const struct med_fs *fs, const char *path,
    struct med_graph_header *header, struct med_file_ref *ret_file, struct med_err *err)
{
    seal(header, (const uint64_t[MED_GRAPH_SECTION_COUNT]){0});
    struct out out;
    enum med_code code = out_begin(fs, path, header, &out, err);
    return code == MED_OK ? out_end(&out, ret_file, err) : code;
}

enum med_code med_graph_write_hnsw(const struct med_fs *fs, const char *path,
    struct med_graph_header *header, const struct med_links *links, struct med_file_ref *ret_file,
    struct med_err *err)
{
    header->m = links->m;
    header->entry_point = links->entry_point;
    header->max_level = links->max_level;
    header->linked_count = links->linked_count;
    uint64_t bytes[MED_GRAPH_SECTION_COUNT] = {header->count,
        header->count * 2 * links->m * sizeof(uint32_t), links->upper_count * sizeof(uint32_t)};
    seal(header, bytes);
    struct out out;
    enum med_code code = out_begin(fs, path, header, &out, err);
    if (code != MED_OK) return code;
    out_put(&out, links->levels, bytes[0]);
    out_align(&out);
    out_put(&out, links->level_0, bytes[1]);
    out_align(&out);
    out_put(&out, links->upper, bytes[2]);
    return out_end(&out, ret_file, err);
}

enum med_code med_graph_write_ivf(const struct med_fs *fs, const char *path,
    struct med_graph_header *header, const struct med_ivf *ivf, struct med_file_ref *ret_file,
    struct med_err *err)
{
    uint64_t lists = ivf->centroids.count;
    header->list_count = ivf->centroids.count;
    header->linked_count = (uint32_t)ivf->offsets[lists];
    uint64_t bytes[MED_GRAPH_SECTION_COUNT] = {lists * ivf->centroids.padded * sizeof(uint16_t),
        (lists + 1) * sizeof(uint64_t), header->linked_count * sizeof(uint32_t)};
    seal(header, bytes);
    struct out out;
    enum med_code code = out_begin(fs, path, header, &out, err);
    if (code != MED_OK) return code;
    out_put(&out, ivf->centroids.base, bytes[0]);
    out_align(&out);
    out_put(&out, ivf->offsets, bytes[1]);
    out_align(&out);
    out_put(&out, ivf->ids, bytes[2]);
    return out_end(&out, ret_file, err);
}

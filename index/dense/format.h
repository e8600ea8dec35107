/* The bytes of the two files. Little-endian, as all processors we run on; every struct is checked
 * by size here and field by field on reading. README.md has the picture. */
#pragma once

#include <stdint.h>

#define MED_VECTORS_MAGIC "MEDVECT"
#define MED_VECTORS_END_MAGIC "MEDVEND"
#define MED_GRAPH_MAGIC "MEDGRAP"
#define MED_VECTORS_VERSION 2u
#define MED_VECTORS_VERSION_HALVES 1u /* the one before: read, not written */
#define MED_GRAPH_VERSION 1u
#define MED_DENSE_ALIGN 64u

/* FP16 (version 1): a row is fp16[dim], zeros up to a multiple of 64 bytes.
 * PLANES (version 2): a value is scale * (256 * coarse + fine), with one scale per row and two
 * signed bytes that are stored with 128 added. Rows come in blocks of MED_VECTORS_BLOCK_ROWS: the
 * coarse bytes of each, then the fine bytes of each, 128 beyond the dimension up to a multiple of
 * 64, and zeros for the rows that the last block lacks. The scales, fp32[count], follow the blocks.
 * Walks read the coarse bytes only. */
enum med_vectors_encoding { MED_VECTORS_FP16 = 1, MED_VECTORS_PLANES = 2 };
#define MED_VECTORS_BLOCK_ROWS 16u
#define MED_VECTORS_LEVELS 32639.0f /* 127 * 256 + 127: the largest value of a row */
#define MED_VECTORS_VALUE_MAX 65504.0f
enum med_vectors_metric { MED_VECTORS_INNER_PRODUCT = 1 };

/* The beginning of "vectors". `check` is the XXH3-64 of everything before it in the struct. */
struct med_vectors_header {
    char magic[8];
    uint32_t version;
    uint32_t dim;
    uint32_t encoding;
    uint32_t metric;
    uint32_t stride_bytes; /* of a row, of a row in one plane: a multiple of 64 */
    uint32_t reserved[7];
    uint64_t check;
};
_Static_assert(sizeof(struct med_vectors_header) == 64, "the header is one cache line");

/* The end of "vectors": what is only known after the last row. */
struct med_vectors_trailer {
    char magic[8];
    uint64_t count;
    uint64_t rows_offset;
    uint64_t scales_offset; /* a multiple of 64; 0 in version 1 */
    uint64_t zero_count;    /* rows of zeros: those of scale 0 */
    uint64_t header_check;
    uint64_t reserved;
    uint64_t check;
};
_Static_assert(sizeof(struct med_vectors_trailer) == 64, "the trailer is one cache line");

struct med_graph_section {
    uint64_t offset; /* a multiple of 64 */
    uint64_t bytes;
};

#define MED_GRAPH_SECTION_COUNT 3

/* The beginning of "graph". Flat has no sections.
 * HNSW: levels u8[count] (how many levels the row is on; 0 = not in the graph), then the links of
 *       level 0 as u32[count][2 * m], then those of the levels above, row by row, level by level,
 *       as u32[m]; a list ends early at MED_GRAPH_NO_LINK.
 * IVF:  centroids fp16[lists][padded dim], list offsets u64[lists + 1], row numbers u32[...]. */
struct med_graph_header {
    char magic[8];
    uint32_t version;
    uint32_t kind; /* enum med_dense_kind */
    uint32_t dim;
    uint32_t metric;
    uint64_t count;
    uint32_t m;
    uint32_t ef_construction;
    uint32_t entry_point;  /* HNSW */
    uint32_t max_level;    /* HNSW */
    uint32_t list_count;   /* IVF */
    uint32_t linked_count; /* rows in the graph or in a list */
    float recall_at_10;
    float search_ef;
    struct med_graph_section sections[MED_GRAPH_SECTION_COUNT];
    uint64_t reserved[9];
    uint64_t check;
};
_Static_assert(sizeof(struct med_graph_header) == 192, "the header is three cache lines");

#define MED_GRAPH_NO_LINK UINT32_MAX
#define MED_GRAPH_LEVELS_MAX 24u
#define MED_GRAPH_M_MIN 2u
#define MED_GRAPH_M_MAX 256u

/* The bytes of the two files. Little-endian, as all processors we run on; every struct is checked
 * by size here and field by field on reading. README.md has the picture. */
#pragma once

#include <stdint.h>

#define MED_VECTORS_MAGIC "MEDVECT"
#define MED_VECTORS_END_MAGIC "MEDVEND"
#define MED_GRAPH_MAGIC "MEDGRAP"
#define MED_DENSE_VERSION 1u
#define MED_DENSE_ALIGN 64u

enum med_vectors_encoding { MED_VECTORS_FP16 = 1 };
enum med_vectors_metric { MED_VECTORS_INNER_PRODUCT = 1 };

/* The beginning of "vectors". `check` is the XXH3-64 of everything before it in the struct. */
struct med_vectors_header {
    char magic[8];
    uint32_t version;
    uint32_t dim;
    uint32_t encoding;
    uint32_t metric;
    uint32_t stride_bytes; /* from row to row: a multiple of 64 */
    uint32_t reserved[7];
    uint64_t check;
};
_Static_assert(sizeof(struct med_vectors_header) == 64, "the header is one cache line");

/* The end of "vectors": what is only known after the last row. codes_offset is where a second,
 * coarser copy of the rows begins, 0 = there is none; version 1 writes none. */
struct med_vectors_trailer {
    char magic[8];
    uint64_t count;
    uint64_t rows_offset;
    uint64_t codes_offset;
    uint64_t zero_count; /* rows of zeros */
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

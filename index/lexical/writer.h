/* Shared by the two halves of the writer: writer.c collects postings, finish.c feeds the encoder.
 */
#pragma once

#include "index/lexical/format.h"
#include "index/lexical/lexical.h"

/* One list in memory: a chain of slices holding varints, see writer.c. */
struct lex_chain {
    uint32_t df;       /* as defined in lexical.h */
    uint32_t last;     /* last chunk + 1; 0 = no posting yet */
    uint32_t head;     /* first slice, in units of LEX_UNIT bytes + 1; 0 = none */
    uint32_t tail;     /* slice being written */
    uint32_t body_doc; /* document + 1 whose body last had the term */
    uint16_t used : 12;
    uint16_t level : 4;
    uint16_t wtf; /* in the chunk being added */
};
_Static_assert(sizeof(struct lex_chain) == 24, "one per vocabulary term: keep it small");

/* Postings that went to files: an index of its own, of the passages behind those of earlier runs.
 */
struct lex_run {
    uint32_t chunk_count;
    struct med_file_ref files[MED_LEX_FILE_COUNT];
};

struct lex_title_term {
    uint32_t term, wtf;
};

struct med_lex_writer {
    const struct med_vocab *vocab;
    struct med_lex_weights weights;
    struct lex_chain *chains; /* by vocabulary id */
    size_t chains_cap;
    uint32_t *df; /* the answer of med_lex_writer_df; before it, of the passages in runs */
    size_t df_cap;
    uint8_t **pool; /* blocks of LEX_POOL_BLOCK_BYTES */
    size_t pool_cap, pool_count;
    uint32_t pool_used; /* units of the last block */
    uint16_t *lengths;
    size_t lengths_cap;
    uint64_t length_sum;
    uint32_t length_max;
    uint32_t chunk_count;
    uint64_t posting_count;
    uint32_t *touched; /* distinct terms of the chunk being added */
    size_t touched_cap;
    struct lex_title_term *title; /* distinct terms of title and MeSH of the current document */
    size_t title_cap, title_count;
    uint32_t title_len;
    uint32_t doc_count;
    bool doc_has_chunks;
    const struct med_fs *spill_fs; /* NULL: everything stays in memory */
    const char *spill_prefix;
    char spill_dir[MED_PATH_MAX];
    uint64_t spill_bytes; /* of the pool */
    struct lex_run *runs;
    size_t runs_cap, run_count;
    bool closed; /* no more documents */
    bool df_is_whole;
    bool broken; /* out of memory within a passage: nothing can be written any more */
};

#define LEX_UNIT 8u
#define LEX_POOL_BLOCK_BYTES (1u << 20)
extern const uint16_t lex_slice_bytes[16];

/* Reads a chain from its beginning, byte by byte. */
struct lex_chain_reader {
    const struct med_lex_writer *writer;
    const uint8_t *pos, *end;
    const struct lex_chain *chain;
    uint32_t slice, level;
};
struct lex_chain_reader lex_chain_reader_of(
    const struct med_lex_writer *writer, const struct lex_chain *chain);
/* False at the end. The caller keeps *chunk (start with UINT32_MAX: the gap is added). */
bool lex_chain_next(struct lex_chain_reader *reader, uint32_t *chunk, uint32_t *ret_wtf);

/* Counts title and MeSH terms of the current document that no body had; further chunks are refused.
 */
void lex_writer_close(struct med_lex_writer *writer);
/* finish.c: writes what is in memory. */
enum med_code lex_writer_write(const struct med_lex_writer *writer, const struct med_fs *fs,
    const char *dir, const char *prefix, struct med_file_ref ret_files[MED_LEX_FILE_COUNT],
    struct med_err *err) MED_CHECK;
/* Forgets the postings in memory, keeps their df. False = out of memory, nothing has changed. */
bool lex_writer_drop(struct med_lex_writer *writer);

/* --- spill.c --- */
/* The postings in memory become a run. Between documents. */
enum med_code lex_spill_run(struct med_lex_writer *writer, struct med_err *err) MED_CHECK;
/* All runs become one index, and are removed. */
enum med_code lex_spill_merge(struct med_lex_writer *writer, const struct med_fs *fs,
    const char *dir, const char *prefix, struct med_file_ref ret_files[MED_LEX_FILE_COUNT],
    struct med_err *err) MED_CHECK;

/* The encoder of the three files: postings come in, term by term in byte order, blocks and lexicon
 * entries go out. finish.c feeds it from a writer's chains, merge.c from other indexes; equal
 * postings give equal bytes. Internal to this folder. */
#pragma once

#include "index/lexical/format.h"
#include "index/lexical/lexical.h"

/* What the headers promise before the first posting is seen. */
struct lex_shape {
    const uint16_t *lengths; /* per chunk; borrowed until finish */
    uint32_t chunk_count;
    uint32_t length_max;
    uint64_t length_sum;
    uint32_t term_count;
    uint64_t posting_count;
};

struct lex_encoder;
/* Creates dir/<prefix>postings; fs, dir and prefix are borrowed. */
enum med_code lex_encoder_new(const struct med_fs *fs, const char *dir, const char *prefix,
    const struct lex_shape *shape, struct lex_encoder **ret_encoder, struct med_err *err) MED_CHECK;
/* A posting of the term that is being collected: chunks ascend, 0 < wtf <= LEX_WTF_MAX. */
void lex_encoder_posting(struct lex_encoder *encoder, uint32_t chunk, uint32_t wtf);
/* Closes the term; it has at least one posting and is behind the term before. MED_E_LIMIT when it
 * has more than LEX_TERM_BYTES_MAX bytes. */
enum med_code lex_encoder_term(
    struct lex_encoder *encoder, struct med_str term, uint32_t df, struct med_err *err) MED_CHECK;
/* Writes what is left. MED_E_INTERNAL when terms or postings are not as many as promised. */
enum med_code lex_encoder_finish(struct lex_encoder *encoder,
    struct med_file_ref ret_files[MED_LEX_FILE_COUNT], struct med_err *err) MED_CHECK;
/* Removes a file that was not finished. */
void lex_encoder_free(struct lex_encoder **encoder);

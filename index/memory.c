/* A build's memory: what it is held to, and what becomes of each part. See builder.h. */
#include "index/builder.h"

#include "common/mem.h"

#include <malloc.h>
#include <stdio.h>

/* Measured; README.md has the figures. */
#define BASE_BYTES (64 * MED_MIB) /* code, libraries, and what a round of analysis holds */
#define THREAD_BYTES (8 * MED_MIB)
#define DOC_BYTES 900ull /* while it is analysed: rows, attributes, statements, its new words */
#define DOC_BYTES_LATER 100ull
#define VOCAB_BYTES 64ull
#define MMAP_BYTES (256 * 1024)
/* Of what the budget leaves beyond that: half for postings, then term ids and the fields' postings.
 * The rest is for what takes more than its estimate. */
#define POSTING_SHARE 2
#define TOKEN_SHARE 4
#define FIELD_SHARE 8
#define SHARE_BYTES_MIN (3 * MED_MIB / 2) /* before a file is worth it */

static double mib(uint64_t bytes)
{
    return (double)bytes / (double)MED_MIB;
}

static uint64_t share_of(uint64_t left, uint64_t share)
{
    return left / share > SHARE_BYTES_MIN ? left / share : SHARE_BYTES_MIN;
}

enum med_code build_memory_plan(struct build *b, struct med_err *err)
{
    /* Large blocks go back to the system when they are freed, also after larger ones were. */
    mallopt(M_MMAP_THRESHOLD, MMAP_BYTES);
    b->memory = b->options->memory ? b->options->memory : med_memory_available() / 4 * 3;
    uint64_t needed = BASE_BYTES + b->threads * THREAD_BYTES + b->doc_count * DOC_BYTES;
    if (needed > b->memory)
        return med_fail(err, MED_E_NOMEM,
            "%zu documents need at least %.0f MiB of memory at once, and the budget is %.0f MiB: "
            "allow more with --memory, or ingest and build a part of them and add the others in "
            "steps with `medicus update`",
            b->doc_count, mib(needed), mib(b->memory));
    uint64_t left = b->memory - needed;
    b->token_bytes_max = share_of(left, TOKEN_SHARE);
    enum med_code code = med_lex_writer_spill(
        b->lex, b->fs, b->segment_dir, "run-", share_of(left, POSTING_SHARE), err);
    if (!code)
        code = med_fields_spill(b->fields, b->fs, b->segment_dir, share_of(left, FIELD_SHARE), err);
    return code;
}

enum med_code build_tokens_reserve(struct build *b, size_t more, struct med_err *err)
{
    struct forward *f = &b->forward;
    size_t need = f->token_count + more;
    enum med_code code = MED_OK;
    if (f->token_file.ptr) {
        code = med_file_array_grow(&f->token_file, need * sizeof *f->tokens, err);
        f->tokens = f->token_file.ptr;
        return code;
    }
    if (!b->memory || need * sizeof *f->tokens <= b->token_bytes_max) {
        if (med_grow(&f->tokens, &f->token_cap, need, sizeof *f->tokens)) return MED_OK;
        return med_fail(
            err, MED_E_NOMEM, "out of memory for the words of %u passages", f->chunk_count);
    }
    code = med_file_array_open(b->segment_dir, 2 * need * sizeof *f->tokens, &f->token_file, err);
    if (code) return code;
    memcpy(f->token_file.ptr, f->tokens, f->token_count * sizeof *f->tokens);
    med_free(f->tokens);
    f->tokens = f->token_file.ptr;
    return MED_OK;
}

/* What a build holds while it trains. */
static uint64_t held_bytes(const struct build *b)
{
    const struct forward *f = &b->forward;
    uint64_t tokens = f->token_file.ptr ? 0 : f->token_count * sizeof *f->tokens;
    return BASE_BYTES + b->threads * THREAD_BYTES + b->doc_count * DOC_BYTES_LATER + tokens +
           f->chunk_count * 28ull + f->sentence_count * 8 +
           med_vocab_count(b->vocab) * VOCAB_BYTES + b->overlay_bytes.len + b->thesaurus_bytes.len;
}

enum med_code build_train_bounds(
    struct build *b, struct med_train_bounds *ret_bounds, struct med_err *err)
{
    const struct forward *f = &b->forward;
    uint64_t held = held_bytes(b);
    struct med_train_size size = {.vocab = med_vocab_count(b->vocab),
        .passages = f->chunk_count,
        .passage_tokens = f->chunk_count ? (double)f->token_count / f->chunk_count : 0};
    if (!b->memory) return MED_OK; /* the greatest */
    malloc_trim(0);                /* analysis leaves holes that training would not fill */
    uint64_t left = b->memory > held ? b->memory - held : 0;
    bool fits = med_train_fit(left, b->options->dim, b->threads, &size, ret_bounds);
    uint64_t terms = size.vocab < MED_ENCODER_VOCAB_MAX ? size.vocab : MED_ENCODER_VOCAB_MAX;
    uint64_t passages =
        size.passages < MED_TRAIN_PASSAGES_MAX ? size.passages : MED_TRAIN_PASSAGES_MAX;
    b->report.train_terms = ret_bounds->terms;
    b->report.train_passages = ret_bounds->passages;
    b->report.train_reduced = ret_bounds->terms < terms || ret_bounds->passages < passages;
    if (fits) return MED_OK;
    return med_fail(err, MED_E_NOMEM,
        "there is no memory left to train an encoder: %.0f of %.0f MiB are in use; allow more with "
        "--memory, build with --lexical-only, or ingest and build a part of the documents and add "
        "the others in steps with `medicus update`",
        mib(held), mib(b->memory));
}

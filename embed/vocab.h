/* A vocabulary in memory: terms <-> dense ids in order of first appearance. Used while building. */
#pragma once

#include "common/err.h"
#include "common/str.h"
#include "embed/analyzer.h"

#include <stdint.h>

struct med_vocab;
enum med_code med_vocab_new(struct med_vocab **ret_vocab, struct med_err *err) MED_CHECK;
void med_vocab_free(struct med_vocab **vocab);
/* Id of the term, added when new. One writer. */
enum med_code med_vocab_intern(
    struct med_vocab *vocab, struct med_str term, uint32_t *ret_id, struct med_err *err) MED_CHECK;
/* The same for what an analyzer gave, always the same one: words seen lately cost no search, and
 * searches wait for memory together. ret_ids[count]. */
enum med_code med_vocab_intern_tokens(struct med_vocab *vocab, const struct med_token *tokens,
    size_t count, uint32_t *ret_ids, struct med_err *err) MED_CHECK;
#define MED_NO_TERM UINT32_MAX
uint32_t med_vocab_find(const struct med_vocab *vocab, struct med_str term); /* or MED_NO_TERM */
struct med_str med_vocab_term(
    const struct med_vocab *vocab, uint32_t id); /* lives as long as the vocabulary */
uint32_t med_vocab_count(const struct med_vocab *vocab);

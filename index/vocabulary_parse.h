/* Reading one vocabulary, from XML or lines: vocabularies.c's other half. */
#pragma once

#include "index/ingest/ingest.h"
#include "index/vocabularies.h"

/* One record as it was read; records of one id are joined by vocabulary_finish. */
struct vocabulary_record {
    struct med_vocabulary_entry entry;
    size_t order, synonym_cap, tree_cap;
};
struct vocabulary_reader {
    struct med_arena *arena;
    struct med_buf scratch;
    struct vocabulary_record *records; /* freed by vocabulary_free; strings live in the arena */
    size_t count, cap;
    size_t skipped;
    uint64_t first_skipped;
};
void vocabulary_init(struct vocabulary_reader *reader, struct med_arena *arena);
void vocabulary_free(struct vocabulary_reader *reader);
enum med_code vocabulary_xml(
    struct vocabulary_reader *reader, const struct med_input *in, struct med_err *err) MED_CHECK;
enum med_code vocabulary_lines(
    struct vocabulary_reader *reader, struct med_str text, struct med_err *err) MED_CHECK;
/* Sorts and joins what was read so far; in the arena. */
enum med_code vocabulary_finish(struct vocabulary_reader *reader,
    struct med_vocabulary *ret_vocabulary, struct med_err *err) MED_CHECK;

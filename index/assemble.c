/* One segment from a list of documents: the part of the pipeline that a build and an update share.
 *
 *   build_open_segment   folder and writers, before build_analyse fills them
 *   build_write_segment  everything but the vectors
 *   build_make_vectors   vectors and graph, with the encoder there is
 *   build_check_segment  opened as it would be served, and asked */
#include "index/builder.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/parallel.h"

#include <stdio.h>

#define CANARY_QUERIES 20u
#define RECALL_MIN .8 /* of the dense index: below it something is broken */
#define LEXICAL_FILE_COUNT                                                                         \
    (MED_TABLE_FILE_COUNT + MED_LEX_FILE_COUNT + MED_FIELD_FILE_COUNT + 1) /* and statements */

enum med_code build_open_segment(struct build *b, struct med_err *err)
{
    struct med_lex_weights weights = {b->manifest.title_weight, b->manifest.mesh_weight};
    b->threads = b->options->threads ? b->options->threads : med_cpu_count();
    enum med_code code = med_vocab_new(&b->vocab, err);
    if (!code) code = med_lex_writer_new(b->vocab, weights, &b->lex, err);
    if (!code) code = med_tables_new(&b->tables, err);
    if (!code) code = med_fields_writer_new(&b->fields, err);
    if (!code) code = med_statements_writer_new(&b->statements, err);
    if (!code) code = med_data_new_segment(b->data, b->segment_id, b->segment_dir, err);
    if (!code) code = build_memory_plan(b, err);
    return code;
}

enum med_code build_write_segment(struct build *b, struct med_err *err)
{
    uint64_t start = med_now_ns();
    struct med_file_ref *files = b->files;
    enum med_code code = med_tables_finish(b->tables, b->fs, b->segment_dir, files, err);
    files += MED_TABLE_FILE_COUNT;
    if (!code) code = med_lex_writer_finish(b->lex, b->fs, b->segment_dir, "", files, err);
    files += MED_LEX_FILE_COUNT;
    if (!code) code = med_fields_finish(b->fields, b->fs, b->segment_dir, files, err);
    files += MED_FIELD_FILE_COUNT;
    if (!code) code = med_statements_finish(b->statements, b->fs, b->segment_dir, files, err);
    med_fields_writer_free(&b->fields);
    med_tables_free(&b->tables);
    med_statements_writer_free(&b->statements);
    if (code) return code;
    b->segment = (struct med_segment_ref){.files = b->files,
        .file_count = LEXICAL_FILE_COUNT,
        .doc_count = b->doc_count,
        .chunk_count = b->forward.chunk_count};
    snprintf(b->segment.id, sizeof b->segment.id, "%s", b->segment_id);
    b->report.chunk_count = b->forward.chunk_count;
    b->report.term_count = med_vocab_count(b->vocab);
    b->report.seconds.lexical = (double)(med_now_ns() - start) * 1e-9;
    return MED_OK;
}

enum med_code build_make_vectors(struct build *b, struct med_err *err)
{
    struct med_dense_report dense;
    uint64_t start = med_now_ns();
    enum med_code code = build_encode(b, b->encoder, b->segment_dir, MED_DENSE_AUTO,
        b->files + b->segment.file_count, &dense, err);
    if (code) return code;
    b->segment.file_count += MED_DENSE_FILE_COUNT;
    b->report.recall_at_10 = (double)dense.recall_at_10;
    b->report.seconds.encode = (double)(med_now_ns() - start) * 1e-9 - b->report.seconds.graph;
    if (dense.recall_at_10 < RECALL_MIN)
        return med_fail(err, MED_E_INTERNAL,
            "the dense index finds only %.0f %% of the nearest passages; nothing was published",
            100 * (double)dense.recall_at_10);
    return MED_OK;
}

/* Titles of some documents as queries: the index must answer as exhaustive scoring does. */
static enum med_code canary(struct build *b, const struct med_segment *s, struct med_err *err)
{
    struct med_lex_scratch *scratch = NULL;
    enum med_code code = med_lex_scratch_new(&scratch, err);
    double avg = (double)med_lex_length_sum(s->lex) / (s->chunk_count ? s->chunk_count : 1);
    for (uint32_t i = 0; !code && i < CANARY_QUERIES && i < s->doc_count; i++) {
        uint32_t d = (uint32_t)((uint64_t)i * s->doc_count / CANARY_QUERIES % s->doc_count);
        const struct forward *f = &b->forward;
        struct med_lex_term terms[16];
        struct med_lex_query q = {.terms = terms,
            .k1 = (float)b->manifest.k1,
            .b = (float)b->manifest.b,
            .avg_len = (float)avg};
        for (uint64_t t = f->title_start[d]; t < f->title_end[d] && q.term_count < 16; t++) {
            uint32_t ordinal, df;
            if (!med_lex_find(s->lex, med_vocab_term(b->vocab, f->tokens[t]), &ordinal, &df))
                continue;
            bool repeated = false;
            for (size_t k = 0; k < q.term_count; k++) repeated |= terms[k].ordinal == ordinal;
            if (!repeated)
                terms[q.term_count++] =
                    (struct med_lex_term){.ordinal = ordinal, .weight = 1.0f / (float)(1 + df)};
        }
        struct med_hit fast[10], slow[10];
        size_t fast_count = 0, slow_count = 0;
        struct med_filter all = {0};
        code = med_lex_search(s->lex, scratch, &q, all, s->chunk_doc, 10, fast, &fast_count, err);
        if (!code)
            code = med_lex_search_exhaustive(
                s->lex, &q, all, s->chunk_doc, 10, slow, &slow_count, err);
        if (code) break;
        bool same = fast_count == slow_count;
        for (size_t k = 0; same && k < fast_count; k++) same = fast[k].chunk == slow[k].chunk;
        if (!same)
            code = med_fail(err, MED_E_INTERNAL,
                "a canary query is answered wrongly by the new index; "
                "nothing was published");
    }
    med_lex_scratch_free(&scratch);
    return code;
}

enum med_code build_check_segment(struct build *b, struct med_err *err)
{
    struct med_segment *s = NULL;
    bool dense = b->segment.file_count > LEXICAL_FILE_COUNT;
    enum med_code code = segment_open_unpublished(
        b->segment_dir, dense ? b->segment_dir : NULL, &b->segment, &s, err);
    if (!code && s->doc_count != b->doc_count)
        code = med_fail(err, MED_E_INTERNAL,
            "the new segment has %u documents instead of %zu; nothing was published", s->doc_count,
            b->doc_count);
    if (!code) code = canary(b, s, err);
    med_segment_close(&s);
    return code;
}

/* Today's date (UTC): what recency is counted from, fixed in the generation. */
int32_t build_reference_date(const struct build *b)
{
    char text[MED_TIME_TEXT_LEN + 1];
    if (b->options->reference_date) return b->options->reference_date;
    med_time_text(med_unix_time_s(), text);
    return (text[0] - '0') * 10000000 + (text[1] - '0') * 1000000 + (text[2] - '0') * 100000 +
           (text[3] - '0') * 10000 + (text[5] - '0') * 1000 + (text[6] - '0') * 100 +
           (text[8] - '0') * 10 + (text[9] - '0');
}

static void forward_free(struct forward *f)
{
    if (!f->token_file.ptr) med_free(f->tokens);
    med_file_array_close(&f->token_file);
    med_free(f->title_start);
    med_free(f->title_end);
    med_free(f->chunk_start);
    med_free(f->chunk_end);
    med_free(f->chunk_sentence);
    med_free(f->chunk_doc);
    med_free(f->sentence_start);
}

void build_release(struct build *b)
{
    med_corpus_free(&b->encoder);
    med_map_close(&b->encoder_map);
    med_tables_free(&b->tables);
    med_fields_writer_free(&b->fields);
    med_statements_writer_free(&b->statements);
    med_overlay_builder_free(&b->overlay);
    med_buf_free(&b->overlay_bytes);
    med_thesaurus_builder_free(&b->thesaurus);
    med_buf_free(&b->thesaurus_bytes);
    med_lex_writer_free(&b->lex);
    med_vocab_free(&b->vocab);
    forward_free(&b->forward);
    med_snapshot_close(&b->snapshot);
    med_arena_free(&b->arena);
    med_build_lock_release(&b->lock);
}

/* What the statistics of a segment lose by documents. A term's df counts passages by what their
 * body says, and a document with the term in its title or headings at least once (lexical.h); the
 * postings do not tell these apart, so the documents are analysed once more, in the version that
 * the segment was made from, by the same code. */
#include "index/builder.h"

#include "common/mem.h"
#include "common/parallel.h"

#define LOSSES_ARENA_BYTES_MAX (4 * MED_GIB)

static enum med_code list_documents(
    struct build *b, const struct med_segment *s, const uint64_t *docs, struct med_err *err)
{
    size_t count = 0;
    for (size_t i = 0; i <= s->doc_count / 64; i++) count += (size_t)__builtin_popcountll(docs[i]);
    b->docs = med_arena_calloc(b->arena, count + 1, sizeof *b->docs);
    if (!b->docs) return med_fail(err, MED_E_NOMEM, "out of memory for %zu documents", count);
    for (uint32_t d = 0; d < s->doc_count; d++) {
        if (docs[d >> 6] >> (d & 63) & 1)
            b->docs[b->doc_count++] = (struct med_id_version){
                .id = med_segment_doc_id(s, d), .version = s->docs[d].version};
    }
    return MED_OK;
}

static enum med_code add_up(
    struct build *b, const struct med_segment *s, uint32_t *lost, struct med_err *err)
{
    const uint32_t *df = med_lex_writer_df(b->lex);
    if (!df) return med_fail(err, MED_E_NOMEM, "out of memory for the losses of a segment");
    for (uint32_t t = 0; t < med_vocab_count(b->vocab); t++) {
        uint32_t ordinal, has;
        if (df[t] == 0) continue;
        if (!med_lex_find(s->lex, med_vocab_term(b->vocab, t), &ordinal, &has) ||
            has - lost[ordinal] < df[t])
            return med_fail(err, MED_E_CORRUPT,
                "segment %s was not made from what the docstore has: run `medicus build`",
                s->ref->id);
        lost[ordinal] += df[t];
    }
    return MED_OK;
}

enum med_code build_losses(struct med_snapshot *snapshot, const struct med_segment *s,
    struct med_lex_weights weights, const uint64_t *docs, unsigned threads, uint32_t *lost,
    struct med_err *err)
{
    static const struct med_build_options plain;
    struct build b = {
        .snapshot = snapshot, .options = &plain, .threads = threads ? threads : med_cpu_count()};
    enum med_code code = med_arena_new(LOSSES_ARENA_BYTES_MAX, &b.arena, err);
    if (!code) code = list_documents(&b, s, docs, err);
    if (!code) code = med_vocab_new(&b.vocab, err);
    if (!code) code = med_lex_writer_new(b.vocab, weights, &b.lex, err);
    if (!code) code = build_analyse(&b, err);
    if (!code) code = add_up(&b, s, lost, err);
    b.snapshot = NULL; /* the caller's */
    build_release(&b);
    return code;
}

enum med_code build_check_losses(struct med_snapshot *snapshot, const struct med_segment *s,
    struct med_lex_weights weights, struct med_err *err)
{
    const struct med_patch *p = &s->patch;
    uint32_t next = 0;
    if (p->dead_doc_count == 0) return MED_OK;
    uint32_t *lost = med_calloc((size_t)med_lex_term_count(s->lex) + 1, sizeof *lost);
    if (!lost) return med_fail(err, MED_E_NOMEM, "out of memory for the losses of a segment");
    enum med_code code = build_losses(snapshot, s, weights, p->dead, 0, lost, err);
    for (uint32_t t = 0; !code && t < med_lex_term_count(s->lex); t++) {
        bool listed = next < p->term_count && p->terms[next].ordinal == t;
        if ((listed ? p->terms[next].df : 0) != lost[t])
            code = med_fail(err, MED_E_CORRUPT,
                "segment %s: its patch does not take from term %u what the dead documents had",
                s->ref->id, t);
        next += listed;
    }
    med_free(lost);
    /* A version that no generation needs any more may be gone: nothing is left to compare with. */
    return code == MED_E_NOT_FOUND || code == MED_E_GONE ? MED_OK : code;
}

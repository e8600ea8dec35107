/* Analysis of a whole corpus: documents -> chunks -> term ids -> lexical index, tables and forward
 * lists.
 *
 * Workers read, chunk and analyse documents in pieces of neighbours; each interns terms into a
 * vocabulary of its own. The calling thread takes the pieces in order and maps local to global ids,
 * so that global ids, and with them every byte of the index, do not depend on how many workers
 * there were. */
#include "index/builder.h"

#include "common/mem.h"
#include "common/parallel.h"

#include <pthread.h>
#include <stdatomic.h>

#define PIECE_DOCS 64u
#define PIECES_PER_ROUND 32u
#define ROUND_SHARE                                                                                \
    64u /* of the memory budget; parsed and analysed, a text takes 4 to 8 times as much */
#define FIELD_TEXT_BYTES_MAX (4 * MED_MIB)

/* A run of local term ids inside a piece. */
struct run_of_terms {
    size_t start, count;
    uint32_t length; /* in words: extra terms do not count */
};

struct piece_chunk {
    struct run_of_terms body;
    size_t first_sentence, sentence_count; /* starts, relative to the piece's terms */
};

struct piece_doc {
    struct med_doc *doc;
    struct med_chunk *chunks;
    size_t chunk_count;
    struct run_of_terms title, mesh;
    struct piece_chunk *passages;
    struct med_definition *definitions; /* abbreviations */
    size_t definition_count;
};

struct piece {
    struct med_arena *arena;
    unsigned worker;
    struct piece_doc docs[PIECE_DOCS];
    size_t doc_count;
    uint32_t *terms;
    size_t term_count, term_cap;
    size_t *sentences;
    size_t sentence_count, sentence_cap;
    uint64_t text_bytes;
    bool put_off; /* to the next round: this one holds enough */
};

struct worker {
    struct med_analyzer *analyzer;
    struct med_vocab *vocab;
    struct med_buf scratch;
    uint32_t *global; /* local id -> global id */
    size_t global_count, global_cap;
};

struct analysis {
    struct build *build;
    struct worker *workers;
    unsigned worker_count;
    struct piece *pieces;
    size_t first_doc;             /* of this round */
    _Atomic uint64_t round_bytes; /* of texts that the round holds so far */
    uint64_t round_bytes_max;
    pthread_mutex_t snapshot_lock; /* a snapshot belongs to one thread at a time */
};

static enum med_code out_of_memory(struct med_err *err)
{
    return med_fail(err, MED_E_NOMEM, "out of memory while analysing documents");
}

struct med_str build_mesh_text(const struct med_doc *doc, struct med_buf *scratch)
{
    med_buf_reset(scratch);
    for (size_t i = 0; i < doc->mesh_count; i++) {
        med_buf_append_str(scratch, doc->mesh[i].descriptor);
        med_buf_puts(scratch, " . ");
    }
    for (size_t i = 0; i < doc->keyword_count; i++) {
        med_buf_append_str(scratch, doc->keywords[i]);
        med_buf_puts(scratch, " . ");
    }
    for (size_t i = 0; i < doc->chemical_count; i++) {
        med_buf_append_str(scratch, doc->chemicals[i]);
        med_buf_puts(scratch, " . ");
    }
    return med_buf_str(scratch);
}

struct med_str build_context(const struct med_doc *doc, const struct med_chunk *chunk)
{
    if (chunk->section >= doc->section_count ||
        doc->sections[chunk->section].kind == MED_SECTION_ABSTRACT)
        return (struct med_str){0};
    struct med_str path = chunk->path, heading = doc->sections[chunk->section].heading;
    return path.len >= heading.len ? med_str_sub(path, 0, path.len - heading.len) : path;
}

/* Analyses text into the piece; sentence starts are noted where `sentences` is given (spans of the
 * same text). */
static enum med_code add_terms(struct worker *w, struct piece *p, struct med_str text,
    const struct med_span *sentences, size_t sentence_count, struct run_of_terms *run,
    struct med_err *err)
{
    const struct med_token *tokens;
    size_t count;
    enum med_code code = med_analyze(w->analyzer, text, &tokens, &count, err);
    if (code) return code;
    if (!med_grow(&p->terms, &p->term_cap, p->term_count + count, sizeof *p->terms) ||
        !med_grow(&p->sentences, &p->sentence_cap, p->sentence_count + sentence_count + 1,
            sizeof *p->sentences))
        return out_of_memory(err);
    code = med_vocab_intern_tokens(w->vocab, tokens, count, p->terms + p->term_count, err);
    if (code) return code;
    size_t next = 0;
    for (size_t i = 0; i < count; i++) {
        bool opens = false;
        for (; next < sentence_count && tokens[i].start >= sentences[next].start; next++)
            opens = true;
        if (opens) p->sentences[p->sentence_count++] = p->term_count;
        p->term_count++;
        run->count++;
        run->length += !tokens[i].extra;
    }
    return MED_OK;
}

static enum med_code analyse_passage(struct worker *w, struct piece *p, const struct med_doc *doc,
    const struct med_text *text, const struct med_chunk *chunk, struct piece_chunk *passage,
    struct med_err *err)
{
    passage->body.start = p->term_count;
    passage->first_sentence = p->sentence_count;
    enum med_code code = MED_OK;
    if (chunk->section !=
        UINT32_MAX) { /* else the title is all there is, and it is a field of its own */
        struct med_str body = med_str_sub(text->bytes, chunk->span.start, chunk->span.end);
        struct med_span *sentences;
        size_t sentence_count;
        code = med_sentences(body, p->arena, &sentences, &sentence_count, err);
        if (!code) code = add_terms(w, p, body, sentences, sentence_count, &passage->body, err);
        if (!code) code = add_terms(w, p, build_context(doc, chunk), NULL, 0, &passage->body, err);
    }
    passage->sentence_count = p->sentence_count - passage->first_sentence;
    return code;
}

static enum med_code analyse_doc(struct analysis *a, struct worker *w, struct piece *p,
    const struct med_id_version *doc, struct med_err *err)
{
    struct piece_doc *d = &p->docs[p->doc_count];
    struct med_text *text;
    *d = (struct piece_doc){0};
    pthread_mutex_lock(&a->snapshot_lock);
    enum med_code code =
        med_snapshot_get_version(a->build->snapshot, doc->id, doc->version, p->arena, &d->doc, err);
    pthread_mutex_unlock(&a->snapshot_lock);
    if (!code) code = med_text_make(d->doc, p->arena, &text, err);
    if (!code) code = med_chunk_make(d->doc, text, p->arena, &d->chunks, &d->chunk_count, err);
    if (code) return code;
    d->title.start = p->term_count;
    code = add_terms(w, p, d->doc->title, NULL, 0, &d->title, err);
    d->mesh.start = p->term_count;
    if (!code) code = add_terms(w, p, build_mesh_text(d->doc, &w->scratch), NULL, 0, &d->mesh, err);
    d->passages = med_arena_calloc(p->arena, d->chunk_count + 1, sizeof *d->passages);
    if (!code && !d->passages) code = out_of_memory(err);
    for (size_t c = 0; !code && c < d->chunk_count; c++)
        code = analyse_passage(w, p, d->doc, text, &d->chunks[c], &d->passages[c], err);
    if (!code)
        code = med_definitions_find(
            text->bytes, w->analyzer, p->arena, &d->definitions, &d->definition_count, err);
    p->text_bytes += text->bytes.len;
    p->doc_count++;
    return code;
}

static enum med_code analyse_pieces(
    void *ctx, unsigned worker, uint64_t begin, uint64_t end, struct med_err *err)
{
    struct analysis *a = ctx;
    for (uint64_t i = begin; i < end; i++) {
        struct piece *p = &a->pieces[i];
        p->put_off = i > 0 && atomic_load(&a->round_bytes) > a->round_bytes_max;
        if (p->put_off) continue;
        enum med_code new_code =
            med_arena_new(PIECE_DOCS * MED_DOC_ARENA_BYTES_MAX, &p->arena, err);
        if (new_code) return new_code;
        p->worker = worker;
        p->doc_count = p->term_count = p->sentence_count = 0;
        p->text_bytes = 0;
        size_t first = a->first_doc + i * PIECE_DOCS;
        for (size_t d = first; d < first + PIECE_DOCS && d < a->build->doc_count; d++) {
            enum med_code code = analyse_doc(a, &a->workers[worker], p, &a->build->docs[d], err);
            if (code) {
                med_err_prefix(err, MED_STR_FMT, MED_STR_ARG(a->build->docs[d].id));
                return code;
            }
        }
        atomic_fetch_add(&a->round_bytes, p->text_bytes);
    }
    return MED_OK;
}

/* --- merging, in order, on the calling thread --- */

static enum med_code to_global(
    struct build *b, struct worker *w, struct piece *p, struct med_err *err)
{
    uint32_t local_count = med_vocab_count(w->vocab);
    if (!med_grow(&w->global, &w->global_cap, local_count, sizeof *w->global))
        return out_of_memory(err);
    while (w->global_count < local_count) w->global[w->global_count++] = MED_NO_TERM;
    for (size_t i = 0; i < p->term_count; i++) {
        uint32_t local = p->terms[i];
        if (w->global[local] == MED_NO_TERM) {
            enum med_code code =
                med_vocab_intern(b->vocab, med_vocab_term(w->vocab, local), &w->global[local], err);
            if (code) return code;
        }
        p->terms[i] = w->global[local];
    }
    return MED_OK;
}

static struct med_lex_field field_of(const struct piece *p, struct run_of_terms run)
{
    return (struct med_lex_field){
        .terms = p->terms + run.start, .term_count = run.count, .length = run.length};
}

static enum med_code forward_tokens(
    struct build *b, const struct piece *p, struct run_of_terms run, struct med_err *err)
{
    struct forward *f = &b->forward;
    enum med_code code = build_tokens_reserve(b, run.count, err);
    if (code || !run.count) return code;
    memcpy(f->tokens + f->token_count, p->terms + run.start, run.count * sizeof *f->tokens);
    f->token_count += run.count;
    return MED_OK;
}

static enum med_code forward_chunk(
    struct build *b, const struct piece *p, const struct piece_chunk *c, struct med_err *err)
{
    struct forward *f = &b->forward;
    size_t n = f->chunk_count;
    if (!med_grow(&f->chunk_start, &f->chunk_cap, n + 1, sizeof *f->chunk_start) ||
        !med_grow(&f->chunk_end, &f->chunk_end_cap, n + 1, sizeof *f->chunk_end) ||
        !med_grow(&f->chunk_sentence, &f->chunk_sentence_cap, n + 2, sizeof *f->chunk_sentence) ||
        !med_grow(&f->chunk_doc, &f->chunk_doc_cap, n + 1, sizeof *f->chunk_doc) ||
        !med_grow(&f->sentence_start, &f->sentence_cap, f->sentence_count + c->sentence_count,
            sizeof *f->sentence_start))
        return out_of_memory(err);
    f->chunk_start[n] = f->token_count;
    f->chunk_sentence[n] = f->sentence_count;
    f->chunk_doc[n] = f->doc_count - 1;
    for (size_t i = 0; i < c->sentence_count; i++)
        f->sentence_start[f->sentence_count++] =
            f->token_count + p->sentences[c->first_sentence + i] - c->body.start;
    enum med_code code = forward_tokens(b, p, c->body, err);
    if (code) return code;
    f->chunk_end[n] = f->token_count;
    f->chunk_sentence[n + 1] = f->sentence_count;
    f->chunk_count++;
    return MED_OK;
}

static enum med_code merge_doc(
    struct build *b, const struct piece *p, const struct piece_doc *d, struct med_err *err)
{
    struct forward *f = &b->forward;
    enum med_code code = MED_OK;
    if (b->tables) code = med_tables_add(b->tables, d->doc, d->chunks, d->chunk_count, err);
    if (!code && b->statements)
        code = med_statements_add(b->statements, f->doc_count, d->doc->organization, d->doc->links,
            d->doc->link_count, err);
    if (!code && b->overlay) code = med_overlay_builder_add(b->overlay, d->doc, err);
    if (!code && b->thesaurus)
        code = med_thesaurus_builder_add(
            b->thesaurus, d->doc, d->definitions, d->definition_count, err);
    if (!code && b->fields)
        code = med_fields_add(
            b->fields, d->doc, b->vocab, p->terms + d->title.start, d->title.count, err);
    if (!code) code = med_lex_writer_doc(b->lex, field_of(p, d->title), field_of(p, d->mesh), err);
    if (code) return code;
    size_t n = f->doc_count;
    if (!med_grow(&f->title_start, &f->title_start_cap, n + 1, sizeof *f->title_start) ||
        !med_grow(&f->title_end, &f->title_end_cap, n + 1, sizeof *f->title_end))
        return out_of_memory(err);
    f->title_start[n] = f->token_count;
    code = forward_tokens(b, p, d->title, err);
    if (code) return code;
    f->title_end[n] = f->token_count;
    f->doc_count++;
    for (size_t c = 0; !code && c < d->chunk_count; c++) {
        code = med_lex_writer_chunk(b->lex, field_of(p, d->passages[c].body), err);
        if (!code) code = forward_chunk(b, p, &d->passages[c], err);
    }
    return code;
}

/* Nothing is kept for the next round: after a stretch of full texts all pieces would stay large. */
static void empty_piece(struct piece *p)
{
    med_arena_free(&p->arena);
    med_free(p->terms);
    med_free(p->sentences);
    *p = (struct piece){0};
}

static enum med_code merge_piece(struct analysis *a, struct piece *p, struct med_err *err)
{
    enum med_code code = to_global(a->build, &a->workers[p->worker], p, err);
    for (size_t i = 0; !code && i < p->doc_count; i++)
        code = merge_doc(a->build, p, &p->docs[i], err);
    a->build->report.text_bytes += p->text_bytes;
    return code;
}

static enum med_code run_rounds(struct analysis *a, struct med_err *err)
{
    struct build *b = a->build;
    while (a->first_doc < b->doc_count) {
        size_t left = b->doc_count - a->first_doc;
        size_t pieces = (left + PIECE_DOCS - 1) / PIECE_DOCS;
        if (pieces > PIECES_PER_ROUND) pieces = PIECES_PER_ROUND;
        atomic_store(&a->round_bytes, 0);
        enum med_code code = med_parallel_for(a->worker_count, pieces, 1, analyse_pieces, a, err);
        size_t merged = 0;
        /* One may have been put off although a later one was not: that one is analysed again. */
        for (; !code && merged < pieces && !a->pieces[merged].put_off; merged++) {
            code = merge_piece(a, &a->pieces[merged], err);
            empty_piece(&a->pieces[merged]);
        }
        if (code) return code;
        for (size_t i = merged; i < pieces; i++) empty_piece(&a->pieces[i]);
        a->first_doc += merged * PIECE_DOCS;
        size_t done = a->first_doc < b->doc_count ? a->first_doc : b->doc_count;
        if (!med_progress(b->options->progress, "analyse", done, b->doc_count, "documents"))
            return med_fail(err, MED_E_CANCELLED, "the build was stopped; nothing was published");
    }
    return MED_OK;
}

static enum med_code prepare(struct analysis *a, struct med_err *err)
{
    enum med_code code = MED_OK;
    a->workers = med_calloc(a->worker_count, sizeof *a->workers);
    a->pieces = med_calloc(PIECES_PER_ROUND, sizeof *a->pieces);
    if (!a->workers || !a->pieces) return out_of_memory(err);
    for (unsigned i = 0; !code && i < a->worker_count; i++) {
        med_buf_init(&a->workers[i].scratch, FIELD_TEXT_BYTES_MAX);
        code = med_analyzer_new(&a->workers[i].analyzer, err);
        if (!code) code = med_vocab_new(&a->workers[i].vocab, err);
    }
    return code;
}

static void release(struct analysis *a)
{
    for (unsigned i = 0; a->workers && i < a->worker_count; i++) {
        med_analyzer_free(&a->workers[i].analyzer);
        med_vocab_free(&a->workers[i].vocab);
        med_buf_free(&a->workers[i].scratch);
        med_free(a->workers[i].global);
    }
    for (size_t i = 0; a->pieces && i < PIECES_PER_ROUND; i++) empty_piece(&a->pieces[i]);
    med_free(a->workers);
    med_free(a->pieces);
    pthread_mutex_destroy(&a->snapshot_lock);
}

enum med_code build_analyse(struct build *b, struct med_err *err)
{
    struct analysis a = {.build = b,
        .worker_count = b->threads,
        .round_bytes_max = b->memory ? b->memory / ROUND_SHARE : UINT64_MAX};
    pthread_mutex_init(&a.snapshot_lock, NULL);
    enum med_code code = prepare(&a, err);
    if (!code) code = run_rounds(&a, err);
    release(&a);
    return code;
}

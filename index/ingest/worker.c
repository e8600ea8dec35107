/* See worker.h. All records of a piece are parsed before the first is compressed: what each of the
 * two needs (libxml's tables, the dictionary's) then stays in the core's cache. */
#include "index/ingest/worker.h"

#include "common/mem.h"

#define FORMATS (MED_FORMAT_TEXT + 1)

struct med_worker {
    const struct med_worker_rules *rules;
    struct med_preparer *preparer;
    struct {
        const struct med_parser_kind *kind;
        void *parser;
    } parsers[FORMATS]; /* opened when a format is first met */
    struct med_piece *piece;
};

static struct med_piece_outcome *add(
    struct med_worker *w, enum med_outcome_kind kind, struct med_err *err)
{
    struct med_piece *p = w->piece;
    if (!med_grow(&p->outcomes, &p->outcome_cap, p->outcome_count + 1, sizeof *p->outcomes)) {
        (void)med_fail(err, MED_E_NOMEM, "out of memory for documents");
        return NULL;
    }
    struct med_piece_outcome *outcome = &p->outcomes[p->outcome_count++];
    *outcome = (struct med_piece_outcome){.kind = kind};
    return outcome;
}

static enum med_code on_skipped(
    void *ctx, uint64_t offset, uint64_t line, const char *reason, struct med_err *err)
{
    struct med_worker *w = ctx;
    struct med_piece_outcome *outcome = add(w, MED_OUTCOME_SKIPPED, err);
    if (!outcome) return MED_E_NOMEM;
    outcome->offset = offset;
    outcome->line = line;
    outcome->reason = med_arena_strndup(w->piece->arena, reason, strlen(reason));
    return outcome->reason ? MED_OK : med_fail(err, MED_E_NOMEM, "out of memory for a message");
}

static enum med_code on_document(void *ctx, const struct med_doc *doc, struct med_err *err)
{
    struct med_worker *w = ctx;
    struct med_doc labelled;
    struct med_prepared prepared;
    struct med_err why;
    enum med_format format = w->piece->origin.format;
    if (w->rules->relabel && format != MED_FORMAT_PUBMED_XML && format != MED_FORMAT_JATS) {
        labelled = *doc;
        labelled.source = w->rules->label;
        doc = &labelled;
    }
    enum med_code code = med_prepare(w->preparer, doc, w->piece->arena, &prepared, &why);
    if (code == MED_E_INVALID || code == MED_E_LIMIT) return on_skipped(w, 0, 0, why.text, err);
    struct med_piece_outcome *outcome = code == MED_OK ? add(w, MED_OUTCOME_DOCUMENT, &why) : NULL;
    if (outcome) {
        outcome->prepared = prepared;
        return MED_OK;
    }
    if (err) *err = why;
    return code != MED_OK ? code : MED_E_NOMEM;
}

static enum med_code on_deletion(
    void *ctx, struct med_str id, struct med_precedence precedence, struct med_err *err)
{
    struct med_worker *w = ctx;
    struct med_piece_outcome *outcome = add(w, MED_OUTCOME_DELETION, err);
    if (!outcome) return MED_E_NOMEM;
    outcome->prepared.precedence = precedence;
    if (med_arena_str(w->piece->arena, id, &outcome->prepared.id)) return MED_OK;
    return med_fail(err, MED_E_NOMEM, "out of memory for a deletion");
}

static enum med_code parse_item(
    struct med_worker *w, const struct med_piece_item *item, struct med_err *err)
{
    const struct med_doc_sink sink = {on_document, on_deletion, on_skipped, w};
    const struct med_origin *origin = &w->piece->origin;
    const char *bytes = w->piece->bytes.data + item->at;
    if (item->skipped) return on_skipped(w, item->record.offset, item->record.line, bytes, err);
    const struct med_parser_kind *kind = med_parser_kind(origin->format);
    if (!w->parsers[origin->format].kind) {
        enum med_code code = kind->open(&w->parsers[origin->format].parser, err);
        if (code != MED_OK) return code;
        w->parsers[origin->format].kind = kind;
    }
    struct med_source_record record = item->record;
    record.bytes.ptr = bytes;
    return kind->record(w->parsers[origin->format].parser, origin, &record, &sink, err);
}

enum med_code med_worker_run(void *ctx, struct med_piece *piece, struct med_err *err)
{
    struct med_worker *w = ctx;
    w->piece = piece;
    enum med_code code = MED_OK;
    for (size_t i = 0; i < piece->item_count && code == MED_OK; i++)
        code = parse_item(w, &piece->items[i], err);
    bool compress = atomic_load_explicit(&w->rules->compress, memory_order_relaxed);
    for (size_t i = 0; compress && i < piece->outcome_count && code == MED_OK; i++) {
        if (piece->outcomes[i].kind == MED_OUTCOME_DOCUMENT)
            code = med_prepare_record(w->preparer, &piece->outcomes[i].prepared, piece->arena, err);
    }
    return code;
}

void med_worker_free(struct med_worker **worker)
{
    struct med_worker *w = *worker;
    *worker = NULL;
    if (!w) return;
    for (size_t i = 0; i < FORMATS; i++)
        if (w->parsers[i].kind) w->parsers[i].kind->close(w->parsers[i].parser);
    med_preparer_free(&w->preparer);
    med_free(w);
}

enum med_code med_worker_new(struct med_store *store, const struct med_worker_rules *rules,
    struct med_worker **ret_worker, struct med_err *err)
{
    struct med_worker *w = med_calloc(1, sizeof *w);
    if (!w) return med_fail(err, MED_E_NOMEM, "out of memory for a parser");
    w->rules = rules;
    enum med_code code = med_preparer_new(store, &w->preparer, err);
    if (code == MED_OK)
        *ret_worker = w;
    else
        med_worker_free(&w);
    return code;
}

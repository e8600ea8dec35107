/* The table of formats, and both halves of one in one thread. */
#include "index/ingest/parser.h"

#include <assert.h>

const struct med_parser_kind *med_parser_kind(enum med_format format)
{
    switch (format) {
    case MED_FORMAT_PUBMED_XML: return &med_parser_pubmed;
    case MED_FORMAT_JATS: return &med_parser_jats;
    case MED_FORMAT_JSONL: return &med_parser_jsonl;
    case MED_FORMAT_MARKDOWN:
    case MED_FORMAT_HTML:
    case MED_FORMAT_TEXT: return &med_parser_guideline;
    case MED_FORMAT_UNKNOWN: break;
    }
    return NULL;
}

struct direct {
    const struct med_parser_kind *kind;
    void *parser;
    struct med_origin origin;
    const struct med_doc_sink *sink;
};

static enum med_code on_record(
    void *ctx, const struct med_source_record *record, struct med_err *err)
{
    struct direct *d = ctx;
    return d->kind->record(d->parser, &d->origin, record, d->sink, err);
}

static enum med_code on_skipped(
    void *ctx, uint64_t offset, uint64_t line, const char *reason, struct med_err *err)
{
    struct direct *d = ctx;
    return d->sink->skipped(d->sink->ctx, offset, line, reason, err);
}

enum med_code med_parse(const struct med_input *in, enum med_format format,
    const struct med_doc_sink *sink, struct med_err *err)
{
    struct direct d = {.kind = med_parser_kind(format),
        .origin = {.format = format, .name = in->name, .sequence = in->sequence},
        .sink = sink};
    assert(d.kind);
    const struct med_record_sink records = {on_record, on_skipped, &d};
    enum med_code code = d.kind->open(&d.parser, err);
    if (code != MED_OK) return code;
    code = d.kind->split(in, &records, err);
    d.kind->close(d.parser);
    return code;
}

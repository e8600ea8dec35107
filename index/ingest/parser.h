/* A format in two halves, so that records can be parsed by several threads.
 *
 * `split` cuts a stream into records: sequential, a small part of the work, and the only half that
 * needs more of the file than one record. `record` makes documents of one record and needs nothing
 * else than its bytes, so that any thread does it with a parser of its own, in any order. A line of
 * JSON, a citation, an article and a whole guideline is a record. */
#pragma once

#include "index/ingest/ingest.h"

struct med_source_record {
    struct med_str name;  /* of its XML element: static; empty in other formats */
    struct med_str bytes; /* XML and guidelines: UTF-8, checked (XML only) */
    uint64_t offset;      /* of its first byte in the (decompressed, converted) input */
    uint64_t line;        /* from 1 */
};

struct med_record_sink {
    /* A code other than MED_OK stops the reading and is passed up; a malformed record is the
     * callee's to report. */
    enum med_code (*record)(void *ctx, const struct med_source_record *record, struct med_err *err);
    /* Broken, too long or truncated records, a file that ends early: same shape as
     * med_doc_sink.skipped. */
    enum med_code (*skipped)(
        void *ctx, uint64_t offset, uint64_t line, const char *reason, struct med_err *err);
    void *ctx;
};

/* What records need to know of their file. */
struct med_origin {
    enum med_format format;
    struct med_str name;
    uint64_t sequence;
};

struct med_parser_kind {
    /* Reads `in` to its end. */
    enum med_code (*split)(
        const struct med_input *in, const struct med_record_sink *sink, struct med_err *err);
    enum med_code (*open)(void **ret_parser, struct med_err *err);
    /* Malformed records are told to sink->skipped; other codes are the sink's or MED_E_NOMEM. */
    enum med_code (*record)(void *parser, const struct med_origin *origin,
        const struct med_source_record *record, const struct med_doc_sink *sink,
        struct med_err *err);
    void (*close)(void *parser);
};

extern const struct med_parser_kind med_parser_pubmed, med_parser_jats, med_parser_jsonl,
    med_parser_guideline;

/* NULL for MED_FORMAT_UNKNOWN. */
const struct med_parser_kind *med_parser_kind(enum med_format format);

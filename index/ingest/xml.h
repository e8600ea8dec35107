/* XML in two steps, so that one bad record costs only itself.
 *
 * 1. med_xml_records cuts a stream of any size into records: the bytes of `<PubmedArticle
 * ...>...</PubmedArticle>` or `<article>...</article>`, whatever the root around them is. It works
 * on bytes, outside comments, CDATA, processing instructions and the DOCTYPE, so that neither a
 * malformed record nor a truncated end nor an unknown root reaches its neighbours. Other encodings
 * than UTF-8 (byte order mark or XML declaration) are converted first.
 * 2. med_xml_parse runs one record through libxml's SAX2 push parser as a document of its own.
 *
 * Never: network, external entities, DTD loading, entity declarations (a declared entity is as good
 * as undeclared, so amplification is impossible). Known entities: numeric ones, the five of XML and
 * the names of HTML 4; any other makes the record malformed. Depth is limited to MED_XML_DEPTH_MAX,
 * a record to MED_XML_RECORD_BYTES_MAX. xml.c is the only file that includes libxml for XML. */
#pragma once

#include "common/limits.h"
#include "index/ingest/parser.h"

#define MED_XML_RECORD_BYTES_MAX (64 * MED_MIB) /* one record is held in memory */

struct med_xml_attr {
    struct med_str name;   /* local name: "href" of xlink:href, "lang" of xml:lang */
    struct med_str prefix; /* "xlink", "xml"; empty without one */
    struct med_str value;  /* entities resolved, borrowed until the callback returns */
};

struct med_xml_element {
    struct med_str name;   /* local name: "math" of mml:math */
    struct med_str prefix; /* "mml"; need not be declared */
    const void *tag;       /* what med_xml_handler.tag said about the name */
    const struct med_xml_attr *attrs;
    size_t attr_count;
};

/* Value of the attribute with that local name, or {NULL, 0}. */
static inline struct med_str med_xml_attr(const struct med_xml_element *element, const char *name)
{
    struct med_str wanted = med_str_of(name);
    for (size_t i = 0; i < element->attr_count; i++) {
        if (med_str_eq(element->attrs[i].name, wanted)) return element->attrs[i].value;
    }
    return (struct med_str){0};
}

/* Callbacks of one parse. Everything is borrowed until the callback returns. Any code but MED_OK
 * stops the parse and is returned by med_xml_parse. Each may be NULL. Start and end are always
 * balanced unless the parse fails. */
struct med_xml_handler {
    enum med_code (*start)(void *ctx, const struct med_xml_element *element, struct med_err *err);
    enum med_code (*end)(void *ctx, struct med_str name, struct med_err *err); /* local name */
    /* Character data, CDATA included, UTF-8, in pieces: one text node may arrive in several calls,
     * white space between elements arrives as well. */
    enum med_code (*text)(void *ctx, struct med_str text, struct med_err *err);
    void *ctx;
    /* What an element's name means to the callee; asked seldom, remembered for all elements of that
     * name. */
    const void *(*tag)(struct med_str name);
};

/* A parser, reused for any number of records. One thread at a time. */
struct med_xml;
enum med_code med_xml_new(
    const struct med_xml_handler *handler, struct med_xml **ret_xml, struct med_err *err) MED_CHECK;
void med_xml_free(struct med_xml **xml);

/* Parses one complete UTF-8 document or record. MED_E_INVALID with the reason and the line within
 * the record when it is malformed (callbacks up to that point have run: throw away what they made),
 * MED_E_LIMIT for depth, or a callback's code. */
enum med_code med_xml_parse(
    struct med_xml *xml, struct med_str bytes, struct med_err *err) MED_CHECK;

/* Messages and med_xml_position of the next parses count lines from `line` (1 at first): the line
 * of the record in its file. */
void med_xml_set_line(struct med_xml *xml, uint64_t line);

/* Where the parser is within the record, for use in callbacks: byte offset from 0, line from that
 * of med_xml_set_line. Offsets are exact only at the pace of the parser's input, so use them for
 * messages. */
void med_xml_position(const struct med_xml *xml, uint64_t *ret_offset, uint64_t *ret_line);

/* A kind of record. One that may also stand inside another record (MedlineCitation in
 * PubmedArticle) is `inner`: there it is a part, not a record. A start tag of any other kind inside
 * an open record shows that the open one is broken: it is reported and the new one begins. */
struct med_xml_record_kind {
    const char *name;
    bool inner;
};

/* Reads `in` to its end. */
enum med_code med_xml_records(const struct med_input *in, const struct med_xml_record_kind *kinds,
    size_t kind_count, const struct med_record_sink *sink, struct med_err *err) MED_CHECK;

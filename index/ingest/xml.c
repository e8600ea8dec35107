/* libxml's SAX2 push parser behind the callbacks of xml.h. Records are cut out of their files by
 * records.c.
 *
 * The handler table leaves out everything that could reach the network or a file (resolveEntity,
 * externalSubset) and everything that could store an entity (entityDecl, internalSubset), so that
 * nothing declared in a document is ever expanded. XML_PARSE_HUGE stays off. */
#include "index/ingest/xml.h"

#include "common/mem.h"

#include <libxml/HTMLparser.h>
#include <libxml/parser.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>

/* Larger than nearly every record; small enough that libxml's limit on its look-ahead (10 MB) is
 * never met. */
#define PIECE_BYTES ((size_t)64 << 10)
#define ATTRS_MAX 1024u

/* libxml keeps one copy of each name, at one address, for the life of a parser: what is known of a
 * name is found by that address. A parser that has met more names than any real file has is made
 * anew: libxml would refuse further names after 10 MB of them. */
#define NAMES_CACHED 512u /* a power of two */
#define NAMES_MAX 20000

/* Entities are put in by value: NOENT here means "characters, not references", and there is nothing
 * to load. */
#define PARSE_OPTIONS (XML_PARSE_NONET | XML_PARSE_NOENT | XML_PARSE_IGNORE_ENC)

struct name {
    const xmlChar *address;
    struct med_str text;
    const void *tag;
};

struct med_xml {
    struct med_xml_handler handler;
    struct name names[NAMES_CACHED];
    xmlDictPtr dict; /* held, so that no address in `names` is ever used for another name */
    xmlParserCtxtPtr ctxt;
    struct med_xml_attr *attrs;
    size_t attr_cap;
    unsigned depth;
    int first_line;
    enum med_code code; /* of the callback or check that stopped the parse */
    struct med_err err;
    bool has_reason; /* libxml's first complaint */
    int reason_line;
    char reason[256];
    xmlEntity entity; /* the named entity being put in */
    xmlChar entity_text[8];
};

static const struct name *name_at(struct med_xml *xml, const xmlChar *address)
{
    static const struct name none;
    if (!address) return &none;
    struct name *name = &xml->names[((uintptr_t)address ^ (uintptr_t)address >> 9) % NAMES_CACHED];
    if (name->address != address) {
        struct med_str text = med_str_of((const char *)address);
        *name = (struct name){.address = address,
            .text = text,
            .tag = xml->handler.tag ? xml->handler.tag(text) : NULL};
    }
    return name;
}

static void stop(struct med_xml *xml, enum med_code code)
{
    if (xml->code == MED_OK) xml->code = code;
    xmlStopParser(xml->ctxt);
}

static void on_start(void *ctx, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri,
    int ns_count, const xmlChar **ns, int attr_count, int default_count, const xmlChar **attrs)
{
    (void)uri, (void)ns_count, (void)ns, (void)default_count;
    struct med_xml *xml = ctx;
    if (xml->code != MED_OK) return;
    if (++xml->depth > MED_XML_DEPTH_MAX) {
        stop(xml, med_fail(&xml->err, MED_E_LIMIT, "elements are nested deeper than %d",
                      MED_XML_DEPTH_MAX));
        return;
    }
    if (!xml->handler.start) return;
    size_t count = attr_count > 0 ? (size_t)attr_count : 0;
    if (count > ATTRS_MAX) {
        stop(xml, med_fail(&xml->err, MED_E_LIMIT, "an element has %zu attributes", count));
        return;
    }
    if (!med_grow(&xml->attrs, &xml->attr_cap, count, sizeof *xml->attrs)) {
        stop(xml, med_fail(&xml->err, MED_E_NOMEM, "out of memory for attributes"));
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const xmlChar *const *a = attrs + i * 5; /* local name, prefix, URI, value, end */
        xml->attrs[i] = (struct med_xml_attr){.name = name_at(xml, a[0])->text,
            .prefix = name_at(xml, a[1])->text,
            .value = {.ptr = (const char *)a[3], .len = (size_t)(a[4] - a[3])}};
    }
    const struct name *known = name_at(xml, name);
    struct med_xml_element element = {.name = known->text,
        .tag = known->tag,
        .prefix = name_at(xml, prefix)->text,
        .attrs = xml->attrs,
        .attr_count = count};
    enum med_code code = xml->handler.start(xml->handler.ctx, &element, &xml->err);
    if (code != MED_OK) stop(xml, code);
}

static void on_end(void *ctx, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
    (void)prefix, (void)uri;
    struct med_xml *xml = ctx;
    if (xml->code != MED_OK) return;
    if (xml->depth > 0) xml->depth--;
    if (!xml->handler.end) return;
    enum med_code code = xml->handler.end(xml->handler.ctx, name_at(xml, name)->text, &xml->err);
    if (code != MED_OK) stop(xml, code);
}

static void on_text(void *ctx, const xmlChar *text, int len)
{
    struct med_xml *xml = ctx;
    if (xml->code != MED_OK || !xml->handler.text || len <= 0) return;
    struct med_str piece = {.ptr = (const char *)text, .len = (size_t)len};
    enum med_code code = xml->handler.text(xml->handler.ctx, piece, &xml->err);
    if (code != MED_OK) stop(xml, code);
}

static size_t put_utf8(unsigned code_point, xmlChar text[4])
{
    if (code_point < 0x80) {
        text[0] = (xmlChar)code_point;
        return 1;
    }
    if (code_point < 0x800) {
        text[0] = (xmlChar)(0xc0 | code_point >> 6);
        text[1] = (xmlChar)(0x80 | (code_point & 0x3f));
        return 2;
    }
    text[0] = (xmlChar)(0xe0 | code_point >> 12);
    text[1] = (xmlChar)(0x80 | (code_point >> 6 & 0x3f));
    text[2] = (xmlChar)(0x80 | (code_point & 0x3f));
    return 3;
}

/* Asked for every entity that is neither numeric nor one of the five. */
static xmlEntityPtr on_entity(void *ctx, const xmlChar *name)
{
    struct med_xml *xml = ctx;
    if (xml->code != MED_OK) return NULL;
    const htmlEntityDesc *known = htmlEntityLookup(name);
    if (!known || known->value > 0xffff) {
        stop(xml, med_fail(&xml->err, MED_E_INVALID, "line %d: entity '%.64s' is not known",
                      xml->ctxt->input ? xml->ctxt->input->line : 0, (const char *)name));
        return NULL;
    }
    size_t len = put_utf8(known->value, xml->entity_text);
    xml->entity_text[len] = 0;
    xml->entity = (xmlEntity){.type = XML_ENTITY_DECL,
        .name = name,
        .content = xml->entity_text,
        .orig = xml->entity_text,
        .length = (int)len,
        .etype = XML_INTERNAL_PREDEFINED_ENTITY};
    return &xml->entity;
}

static void on_error(void *ctx, xmlErrorPtr error)
{
    struct med_xml *xml = ctx;
    if (!error || error->level < XML_ERR_ERROR || error->domain == XML_FROM_NAMESPACE) return;
    if (xml->has_reason) return;
    xml->has_reason = true;
    xml->reason_line = error->line;
    struct med_str text = med_str_trim(med_str_of(error->message));
    snprintf(xml->reason, sizeof xml->reason, MED_STR_FMT, MED_STR_ARG(text));
    for (char *p = xml->reason; *p; p++) {
        if ((unsigned char)*p < ' ') *p = ' ';
    }
}

static void free_context(struct med_xml *xml)
{
    if (!xml->ctxt) return;
    xmlDocPtr doc = xml->ctxt->myDoc; /* a SAX parse makes none, an internal subset may */
    xmlFreeParserCtxt(xml->ctxt);
    if (doc) xmlFreeDoc(doc);
    xmlDictFree(xml->dict);
    xml->dict = NULL;
    xml->ctxt = NULL;
    memset(xml->names, 0, sizeof xml->names);
}

static bool make_context(struct med_xml *xml)
{
    xmlSAXHandler sax = {.initialized = XML_SAX2_MAGIC,
        .startElementNs = on_start,
        .endElementNs = on_end,
        .characters = on_text,
        .ignorableWhitespace = on_text,
        .cdataBlock = on_text,
        .getEntity = on_entity,
        .serror = on_error};
    free_context(xml);
    xml->ctxt = xmlCreatePushParserCtxt(&sax, xml, NULL, 0, NULL);
    if (xml->ctxt && xmlDictReference(xml->ctxt->dict) == 0) xml->dict = xml->ctxt->dict;
    return xml->ctxt != NULL;
}

enum med_code med_xml_new(
    const struct med_xml_handler *handler, struct med_xml **ret_xml, struct med_err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, xmlInitParser);
    struct med_xml *xml = med_calloc(1, sizeof *xml);
    if (!xml) return med_fail(err, MED_E_NOMEM, "out of memory for an XML parser");
    xml->handler = *handler;
    xml->first_line = 1;
    if (!make_context(xml)) {
        med_free(xml);
        return med_fail(err, MED_E_NOMEM, "out of memory for an XML parser");
    }
    *ret_xml = xml;
    return MED_OK;
}

void med_xml_free(struct med_xml **xml)
{
    if (!*xml) return;
    free_context(*xml);
    med_free((*xml)->attrs);
    med_free(*xml);
    *xml = NULL;
}

enum med_code med_xml_parse(struct med_xml *xml, struct med_str bytes, struct med_err *err)
{
    xml->depth = 0;
    xml->code = MED_OK;
    xml->has_reason = false;
    bool worn = !xml->ctxt || xmlDictSize(xml->ctxt->dict) > NAMES_MAX;
    if (worn ? !make_context(xml) : xmlCtxtResetPush(xml->ctxt, NULL, 0, NULL, NULL) != 0) {
        return med_fail(err, MED_E_NOMEM, "out of memory for an XML parser");
    }
    xmlCtxtUseOptions(xml->ctxt, PARSE_OPTIONS);
    if (xml->ctxt->input) xml->ctxt->input->line = xml->first_line;
    for (size_t pos = 0; pos < bytes.len && xml->code == MED_OK && xml->ctxt->wellFormed;) {
        size_t len = bytes.len - pos < PIECE_BYTES ? bytes.len - pos : PIECE_BYTES;
        xmlParseChunk(xml->ctxt, bytes.ptr + pos, (int)len, 0);
        pos += len;
    }
    if (xml->code == MED_OK && xml->ctxt->wellFormed) xmlParseChunk(xml->ctxt, NULL, 0, 1);
    if (xml->code != MED_OK) {
        if (err) *err = xml->err;
        return xml->code;
    }
    if (!xml->ctxt->wellFormed) {
        return med_fail(err, MED_E_INVALID, "line %d: %s", xml->reason_line,
            xml->has_reason ? xml->reason : "malformed XML");
    }
    return MED_OK;
}

void med_xml_set_line(struct med_xml *xml, uint64_t line)
{
    xml->first_line = line < INT_MAX ? (int)line : INT_MAX - 1;
}

void med_xml_position(const struct med_xml *xml, uint64_t *ret_offset, uint64_t *ret_line)
{
    long offset = xmlByteConsumed(xml->ctxt);
    *ret_offset = offset > 0 ? (uint64_t)offset : 0;
    int line = xml->ctxt->input ? xml->ctxt->input->line : 1;
    *ret_line = line > 0 ? (uint64_t)line : 1;
}

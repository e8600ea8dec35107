#include "index/ingest/html.h"

#include "common/unicode.h"

#include <libxml/HTMLparser.h>
#include <libxml/parser.h>

#include <pthread.h>

#define ATTRS_MAX 64
#define PIECE_BYTES ((size_t)64 << 10)

struct html {
    struct med_xml_handler handler;
    htmlParserCtxtPtr ctxt;
    unsigned depth;
    enum med_code code;
    struct med_err err;
};

static struct med_str str_of(const xmlChar *s)
{
    return med_str_of((const char *)s);
}

static void set_code(struct html *h, enum med_code code)
{
    if (code == MED_OK) return;
    h->code = code;
    xmlStopParser(h->ctxt);
}

static void on_start(void *ctx, const xmlChar *name, const xmlChar **attrs)
{
    struct html *h = ctx;
    struct med_xml_attr list[ATTRS_MAX];
    size_t count = 0;
    if (h->code != MED_OK || ++h->depth > MED_XML_DEPTH_MAX || !h->handler.start) return;
    for (; attrs && attrs[0] && count < ATTRS_MAX; attrs += 2)
        list[count++] = (struct med_xml_attr){.name = str_of(attrs[0]), .value = str_of(attrs[1])};
    struct med_xml_element element = {.name = str_of(name), .attrs = list, .attr_count = count};
    set_code(h, h->handler.start(h->handler.ctx, &element, &h->err));
}

static void on_end(void *ctx, const xmlChar *name)
{
    struct html *h = ctx;
    if (h->code != MED_OK || h->depth == 0) return;
    if (h->depth-- > MED_XML_DEPTH_MAX || !h->handler.end) return;
    set_code(h, h->handler.end(h->handler.ctx, str_of(name), &h->err));
}

static void on_text(void *ctx, const xmlChar *text, int len)
{
    struct html *h = ctx;
    if (h->code != MED_OK || len <= 0 || !h->handler.text) return;
    struct med_str piece = {.ptr = (const char *)text, .len = (size_t)len};
    set_code(h, h->handler.text(h->handler.ctx, piece, &h->err));
}

static void on_error(void *ctx, xmlErrorPtr error)
{
    (void)ctx, (void)error; /* every page has some */
}

enum med_code med_html_parse(
    struct med_str bytes, const struct med_xml_handler *handler, struct med_err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, xmlInitParser);
    struct html h = {.handler = *handler};
    htmlSAXHandler sax = {.initialized = 1,
        .startElement = on_start,
        .endElement = on_end,
        .characters = on_text,
        .cdataBlock = on_text,
        .ignorableWhitespace = on_text,
        .serror = on_error};
    xmlCharEncoding encoding =
        med_utf8_valid(bytes.ptr, bytes.len) ? XML_CHAR_ENCODING_UTF8 : XML_CHAR_ENCODING_NONE;
    h.ctxt = htmlCreatePushParserCtxt(&sax, &h, NULL, 0, NULL, encoding);
    if (!h.ctxt) return med_fail(err, MED_E_NOMEM, "out of memory for an HTML parser");
    htmlCtxtUseOptions(
        h.ctxt, HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING | HTML_PARSE_NONET |
                    (encoding == XML_CHAR_ENCODING_UTF8 ? HTML_PARSE_IGNORE_ENC : 0));
    for (size_t pos = 0; pos < bytes.len && h.code == MED_OK;) {
        size_t len = bytes.len - pos < PIECE_BYTES ? bytes.len - pos : PIECE_BYTES;
        htmlParseChunk(h.ctxt, bytes.ptr + pos, (int)len, 0);
        pos += len;
    }
    if (h.code == MED_OK) htmlParseChunk(h.ctxt, NULL, 0, 1);
    if (h.ctxt->myDoc) xmlFreeDoc(h.ctxt->myDoc);
    h.ctxt->myDoc = NULL;
    htmlFreeParserCtxt(h.ctxt);
    if (h.code != MED_OK && err) *err = h.err;
    return h.code;
}

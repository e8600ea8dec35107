/* What reading PubMed's files costs at least, for bench_ingest.py:
 *
 *   bench_ingest_peers PEER FILE.xml.gz...
 *
 *   zlib        gunzip alone, streaming
 *   libdeflate  gunzip alone, the whole file at once (in memory)
 *   libxml2     the SAX2 push parser alone, empty handlers, over the same bytes
 *   expat       the same with expat
 *
 * Prints {"bytes", "seconds"}: bytes of XML, and the time of the library's calls alone. The parsers
 * get each piece as it comes out of zlib, whose time is left out. */
#include "common/clock.h"
#include "common/fs.h"
#include "common/limits.h"
#include "common/mem.h"

#include <expat.h>
#include <libdeflate.h>
#include <libxml/parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#define PIECE_BYTES ((unsigned)64 << 10)

struct peer {
    const char *name;
    void (*begin)(void);
    void (*piece)(const char *ptr, int len); /* len 0: the end */
};

static xmlParserCtxtPtr xml;
static XML_Parser expat;

static void die(const char *what)
{
    fprintf(stderr, "bench_ingest_peers: %s\n", what);
    exit(1);
}

static void xml_start(void *ctx, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri,
    int ns_count, const xmlChar **ns, int attr_count, int default_count, const xmlChar **attrs)
{
    (void)ctx, (void)name, (void)prefix, (void)uri, (void)ns_count, (void)ns, (void)attr_count;
    (void)default_count, (void)attrs;
}

static void xml_end(void *ctx, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
    (void)ctx, (void)name, (void)prefix, (void)uri;
}

static void xml_text(void *ctx, const xmlChar *text, int len)
{
    (void)ctx, (void)text, (void)len;
}

static void xml_begin(void)
{
    static xmlSAXHandler sax = {.initialized = XML_SAX2_MAGIC,
        .startElementNs = xml_start,
        .endElementNs = xml_end,
        .characters = xml_text,
        .ignorableWhitespace = xml_text,
        .cdataBlock = xml_text};
    xml = xmlCreatePushParserCtxt(&sax, NULL, NULL, 0, NULL);
    if (!xml) die("out of memory");
    xmlCtxtUseOptions(xml, XML_PARSE_NONET | XML_PARSE_NOENT);
}

static void xml_piece(const char *ptr, int len)
{
    int rc = xmlParseChunk(xml, ptr, len, len == 0);
    if (rc != 0 || !xml->wellFormed) die("libxml2 finds the file malformed");
    if (len == 0) xmlFreeParserCtxt(xml);
}

static void XMLCALL expat_start(void *ctx, const XML_Char *name, const XML_Char **attrs)
{
    (void)ctx, (void)name, (void)attrs;
}

static void XMLCALL expat_end(void *ctx, const XML_Char *name)
{
    (void)ctx, (void)name;
}

static void XMLCALL expat_text(void *ctx, const XML_Char *text, int len)
{
    (void)ctx, (void)text, (void)len;
}

static void expat_begin(void)
{
    expat = XML_ParserCreate("UTF-8");
    if (!expat) die("out of memory");
    XML_SetElementHandler(expat, expat_start, expat_end);
    XML_SetCharacterDataHandler(expat, expat_text);
}

static void expat_piece(const char *ptr, int len)
{
    if (XML_Parse(expat, ptr, len, len == 0) != XML_STATUS_OK)
        die("expat finds the file malformed");
    if (len == 0) XML_ParserFree(expat);
}

static const struct peer parsers[] = {
    {"libxml2", xml_begin, xml_piece}, {"expat", expat_begin, expat_piece}};

/* Gunzips in pieces; the time of zlib without a parser, else that of the parser. */
static void stream(
    const struct peer *parser, struct med_str gz, uint64_t *ret_bytes, uint64_t *ret_ns)
{
    static char piece[PIECE_BYTES];
    z_stream z = {0};
    z.next_in = (Bytef *)(uintptr_t)gz.ptr;
    z.avail_in = (uInt)gz.len;
    if (inflateInit2(&z, 15 + 16) != Z_OK) die("out of memory");
    if (parser) parser->begin();
    for (int rc = Z_OK; rc != Z_STREAM_END;) {
        z.next_out = (Bytef *)piece;
        z.avail_out = PIECE_BYTES;
        uint64_t start = med_now_ns();
        rc = inflate(&z, Z_NO_FLUSH);
        uint64_t unpacked = med_now_ns();
        if (rc != Z_OK && rc != Z_STREAM_END) die("damaged gzip");
        unsigned len = PIECE_BYTES - z.avail_out;
        *ret_bytes += len;
        if (parser && len > 0) parser->piece(piece, (int)len);
        *ret_ns += parser ? med_now_ns() - unpacked : unpacked - start;
    }
    if (parser) parser->piece(piece, 0);
    inflateEnd(&z);
}

/* Lengths are at the end of a gzip member, modulo 2^32. */
static void whole(struct med_str gz, uint64_t *ret_bytes, uint64_t *ret_ns)
{
    const unsigned char *tail = (const unsigned char *)gz.ptr + gz.len - 4;
    size_t room = tail[0] | (size_t)tail[1] << 8 | (size_t)tail[2] << 16 | (size_t)tail[3] << 24;
    char *out = med_malloc(room + 1);
    struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
    size_t len;
    if (!out || !d) die("out of memory");
    memset(out, 0, room); /* the system's zeroing of pages is not libdeflate's */
    uint64_t start = med_now_ns();
    if (libdeflate_gzip_decompress(d, gz.ptr, gz.len, out, room, &len) != LIBDEFLATE_SUCCESS)
        die("damaged gzip");
    *ret_ns += med_now_ns() - start;
    *ret_bytes += len;
    libdeflate_free_decompressor(d);
    med_free(out);
}

int main(int argc, char **argv)
{
    if (argc < 3) die("see its head");
    struct med_str name = med_str_of(argv[1]);
    const struct peer *parser = NULL;
    bool unpacks = med_str_eq(name, MED_STR("libdeflate"));
    for (size_t i = 0; i < sizeof parsers / sizeof *parsers; i++)
        if (med_str_eq(name, med_str_of(parsers[i].name))) parser = &parsers[i];
    if (!parser && !unpacks && !med_str_eq(name, MED_STR("zlib"))) die("no such peer");
    uint64_t bytes = 0, ns = 0;
    for (int i = 2; i < argc; i++) {
        struct med_map map;
        struct med_err err;
        if (med_map_open(argv[i], &map, &err) != MED_OK) die(err.text);
        struct med_str gz = {.ptr = (const char *)map.ptr, .len = map.len};
        if (gz.len < 18) die("not a gzip file");
        if (unpacks)
            whole(gz, &bytes, &ns);
        else
            stream(parser, gz, &bytes, &ns);
        med_map_close(&map);
    }
    printf("{\"bytes\": %llu, \"seconds\": %.6f}\n", (unsigned long long)bytes, (double)ns / 1e9);
    return 0;
}

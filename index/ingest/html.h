/* HTML as found in the wild, to the callbacks of xml.h: libxml's forgiving parser, without network
 * or scripts. html.c is the only file that includes libxml for HTML. */
#pragma once

#include "index/ingest/xml.h"

/* Parses a whole page or fragment. Its encoding is UTF-8 if the bytes are that, else what its
 * <meta> says, else Windows-1252. Names are in lower case; elements deeper than MED_XML_DEPTH_MAX
 * are left out, their text is not. Errors in the markup are never failures: only a callback's code
 * or MED_E_NOMEM. */
enum med_code med_html_parse(
    struct med_str bytes, const struct med_xml_handler *handler, struct med_err *err) MED_CHECK;

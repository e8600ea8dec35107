/* The forms that answers have, and which of them a caller prefers (RFC 9110, section 12). */
#pragma once

#include "common/err.h"
#include "common/str.h"

enum media {
    MEDIA_JSON,
    MEDIA_NDJSON,
    MEDIA_TEXT,
    MEDIA_MARKDOWN,
    MEDIA_RIS, /* from here to MEDIA_NBIB: citations */
    MEDIA_BIBTEX,
    MEDIA_CSL,
    MEDIA_VANCOUVER,
    MEDIA_NBIB,
    MEDIA_CSV,
    MEDIA_METRICS,
    MEDIA_HTML,
    MEDIA_CSS,
    MEDIA_JS,
    MEDIA_SVG,
    MEDIA_COUNT
};
#define MEDIA_BIT(media) (1u << (media))
#define MEDIA_CITATIONS                                                                            \
    (MEDIA_BIT(MEDIA_RIS) | MEDIA_BIT(MEDIA_BIBTEX) | MEDIA_BIT(MEDIA_CSL) |                       \
        MEDIA_BIT(MEDIA_VANCOUVER) | MEDIA_BIT(MEDIA_NBIB))
/* What searches and fetches offer. */
#define MEDIA_ANSWERS                                                                              \
    (MEDIA_BIT(MEDIA_JSON) | MEDIA_BIT(MEDIA_NDJSON) | MEDIA_BIT(MEDIA_TEXT) |                     \
        MEDIA_BIT(MEDIA_MARKDOWN) | MEDIA_CITATIONS)

const char *media_type(enum media media);   /* "application/json" */
const char *media_suffix(enum media media); /* "ris", of file names */
/* The offered form (a mask of MEDIA_BIT) of that name; MED_E_INVALID lists them. */
enum med_code media_parse(
    struct med_str name, unsigned offered, enum media *ret_media, struct med_err *err) MED_CHECK;

/* The best of the offered forms for the value of an Accept field (empty: anything); the first one
 * among equals. False: none is accepted. */
bool media_negotiate(struct med_str accept, unsigned offered, enum media *ret_media);
/* "application/json, text/plain", for error sentences; cut to size. */
void media_list(unsigned offered, char *ret_text, size_t size);

/* The quality, 0..1, that an Accept-Encoding field gives a coding by name or by "*"; negative when
 * it names neither. */
double coding_quality(struct med_str accept_encoding, const char *coding);
/* The next element of a list field, trimmed; *at moves behind it. */
struct med_str list_next(struct med_str list, char separator, size_t *at);

/* Export of all hits of a query, for reference managers and spreadsheets. */
#pragma once

#include "service/answer.h"

enum export_format {
    EXPORT_RIS,
    EXPORT_CSV,
    EXPORT_IDS,
    EXPORT_BIBTEX,
    EXPORT_CSL,
    EXPORT_VANCOUVER,
    EXPORT_NBIB,
    EXPORT_FORMAT_COUNT
};
enum media export_media(enum export_format format);
enum export_format export_format_of(enum media media); /* RIS where there is none */
/* MED_E_INVALID names the formats. */
enum med_code export_format_parse(
    struct med_str name, enum export_format *ret_format, struct med_err *err) MED_CHECK;
/* The query and the filters of the search grammar; anything else is refused, because an export has
 * all hits in one order. */
enum med_code export_params_set(struct search_params *params, struct med_str name,
    struct med_str value, struct med_err *err) MED_CHECK;

void export_begin(enum export_format format, struct med_buf *out);
/* One record, the index-th; begin and end stand around all of them. Citations are citation.h's; CSV
 * is RFC 4180, and a value that a spreadsheet would take for a formula gets an apostrophe in front.
 */
void export_record(enum export_format format, const struct view *view, const struct med_doc *doc,
    uint32_t flags, enum med_evidence evidence, size_t index, struct med_buf *out);
void export_end(enum export_format format, struct med_buf *out);

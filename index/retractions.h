/* The operator's list of retractions: <data>/retractions.
 *
 * One article per line: kind, its PMID or DOI, its notice's PMID or DOI, separated by tabs; sorted,
 * without duplicates. It is applied by the next build. What a line says adds to what documents say;
 * removing a line takes back only what the line said.
 *
 * Imported are plain lines (a PMID, or a DOI in any usual form, or "pmid:..." / "doi:...") and CSV
 * or tab-separated tables with a header, among them Retraction Watch's: OriginalPaperPubMedID,
 * OriginalPaperDOI, RetractionPubMedID, RetractionDOI, RetractionNature. Of its natures,
 * retractions, expressions of concern and corrections are kept as what they are; a reinstatement
 * is not a retraction. */
#pragma once

#include "index/document/document.h"
#include "index/generation.h"

#define MED_RETRACTIONS_FILE "retractions"

struct med_retraction {
    enum med_link_kind kind; /* RETRACTION_IN, CONCERN_IN or ERRATUM_IN */
    struct med_str paper;    /* "pmid:..." or "doi:..." */
    struct med_str notice;   /* the same, or empty */
};
struct med_retraction_list {
    struct med_retraction *items; /* in order of kind, paper, notice */
    size_t count;
};

/* The stored list, in the arena; empty when there is none. MED_E_CORRUPT names the bad line. */
enum med_code med_retractions_load(const struct med_data *data, struct med_arena *arena,
    struct med_retraction_list *ret_list, struct med_err *err) MED_CHECK;

struct med_retractions_report {
    size_t added, removed, known; /* known: there already, or (removing) not there */
    size_t total;                 /* in the list afterwards */
    size_t skipped;               /* lines without a usable PMID or DOI */
    size_t first_skipped;         /* number of the first such line, or 0 */
};
/* Adds or removes what `text` (a file's bytes) names, durably; one writer at a time, across
 * processes. Removing takes every line about a paper. A text without any usable line is
 * MED_E_INVALID and changes nothing. */
enum med_code med_retractions_add(struct med_data *data, struct med_str text,
    struct med_retractions_report *ret_report, struct med_err *err) MED_CHECK;
enum med_code med_retractions_remove(struct med_data *data, struct med_str text,
    struct med_retractions_report *ret_report, struct med_err *err) MED_CHECK;

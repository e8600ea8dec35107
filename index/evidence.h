/* Evidence levels from publication types.
 *
 * The order follows the Oxford CEBM levels of evidence (2011) with guidelines on top, as far as a
 * publication type can tell. */
#pragma once

#include "index/document/document.h"

enum med_evidence {
    MED_EVIDENCE_UNKNOWN,
    MED_EVIDENCE_OPINION,       /* editorial, comment, letter */
    MED_EVIDENCE_CASE,          /* case reports */
    MED_EVIDENCE_OBSERVATIONAL, /* observational, comparative, cohort */
    MED_EVIDENCE_REVIEW,        /* narrative review */
    MED_EVIDENCE_TRIAL,         /* controlled or clinical trial, not randomized */
    MED_EVIDENCE_RANDOMIZED_TRIAL,
    MED_EVIDENCE_SYSTEMATIC_REVIEW, /* systematic review, meta-analysis */
    MED_EVIDENCE_GUIDELINE,
    MED_EVIDENCE_COUNT
};
enum med_evidence med_evidence_of(const struct med_doc *doc);
const char *med_evidence_name(enum med_evidence level); /* "randomized-trial" */

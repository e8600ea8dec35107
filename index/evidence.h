/* Evidence levels from publication types, and the grades that a document states.
 *
 * The order follows the Oxford CEBM levels of evidence (2011) with guidelines on top, as far as a
 * publication type can tell. What levels and grades are worth in ranking is in authority.c. */
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

/* Stated grades as bits: the letters of the US Preventive Services Task Force, and the certainty of
 * evidence of GRADE. */
enum med_grade {
    MED_GRADE_A = 1u << 0,
    MED_GRADE_B = 1u << 1,
    MED_GRADE_C = 1u << 2,
    MED_GRADE_D = 1u << 3,
    MED_GRADE_I = 1u << 4, /* insufficient evidence */
    MED_GRADE_HIGH = 1u << 5,
    MED_GRADE_MODERATE = 1u << 6,
    MED_GRADE_LOW = 1u << 7, /* low or very low */
};
/* "B, C, D, I", "moderate; low". Grades of another system ("Class I, level B", "1A") are 0: there
 * the same letters mean something else. */
uint8_t med_grades_parse(struct med_str text);

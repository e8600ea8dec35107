/* Clinical authority: how much the kind, the grade, the age and the status of a document speak for
 * it, apart from what was asked.
 *
 *   authority = neutral + evidence + grade + recency + status          0..1, neutral = .5
 *   score     = relevance * (1 + w * (evidence + grade + recency) + w' * status)
 *
 * w is the request's authority_weight (0..1, negative = MED_AUTHORITY_WEIGHT_DEFAULT). w' is w as
 * well, except for retracted articles: there it never falls below MED_RETRACTION_WEIGHT_MIN, so
 * that a retracted article keeps half of its relevance at every w, 0 included, and w only tunes
 * what is a matter of preference. It stays findable: nothing is removed.
 *
 * What is not known adds 0: a corpus without publication types, dates and links ranks exactly as
 * without authority. The table of values and its sources are in authority.c.
 *
 * Recency is counted from the generation's reference date, never from the clock: an answer is a
 * function of generation, request and configuration. */
#pragma once

#include "index/evidence.h"

#define MED_AUTHORITY_NEUTRAL 0.5
#define MED_AUTHORITY_WEIGHT_DEFAULT 0.2
#define MED_RETRACTION_WEIGHT_MIN 1.0
#define MED_RECENCY_HALF_LIFE_YEARS 10.0

/* What a document row knows. */
struct med_authority_facts {
    enum med_evidence evidence;
    uint8_t grade;  /* bits of enum med_grade */
    uint32_t date;  /* yyyymmdd with zeros for unknown parts; 0 = unknown */
    uint32_t flags; /* enum med_doc_flag, overlay included */
};

/* What each term adds. The same shape serves for the terms of the authority (sum = authority -
 * neutral) and, weighed and multiplied by the relevance, for the terms of a score. */
struct med_authority {
    double evidence, grade, recency, status;
};

/* reference_date is yyyymmdd; 0 = none, recency then adds 0. Pure; any thread. */
struct med_authority med_authority_of(
    const struct med_authority_facts *facts, int32_t reference_date);
/* 0..1. */
double med_authority_value(const struct med_authority *authority);
/* The terms as they enter 1 + ... of the formula above, for a weight of 0..1. */
struct med_authority med_authority_weigh(
    const struct med_authority *authority, const struct med_authority_facts *facts, double weight);
/* A request's weight: negative or not a number = the default, more than 1 = 1. */
double med_authority_weight(double asked);

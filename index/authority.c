/* The table of authority, with its sources.
 *
 * Evidence levels: Oxford Centre for Evidence-Based Medicine, "The Oxford 2011 Levels of Evidence",
 * row "does this intervention help": 1 systematic review of randomized trials, 2 randomized trial,
 * 3 non-randomized controlled cohort, 4 case series, 5 mechanism-based reasoning. Guidelines stand
 * above level 1: they are systematic reviews plus a judgement (Institute of Medicine, "Clinical
 * Practice Guidelines We Can Trust", 2011). Oxford has no row for narrative reviews; they are not
 * evidence of their own and count as neutral, like articles whose type says nothing.
 *
 * Grades: US Preventive Services Task Force, "Grade Definitions" (2012): A high certainty of
 * substantial benefit, B of moderate benefit, C small benefit, D recommended against, I evidence
 * insufficient. GRADE certainty of evidence: high, moderate, low, very low (Guyatt et al., BMJ
 * 2008;336:924). A document that states several grades gets their mean.
 *
 * Recency: half of the gain is lost after ten years. Systematic reviews need updating after 5.5
 * years in the median (Shojania et al., Ann Intern Med 2007;147:224), conclusions of clinical
 * research last for decades (Poynard et al., Ann Intern Med 2002;136:888); ten years stand between
 * them, and the term stays small because of that width.
 *
 * Status: a retracted article has authority 0, whatever else is known about it. An expression of
 * concern or a partial retraction, and a newer version, each cost .25. An erratum costs nothing:
 * the article was put right. */
#include "index/authority.h"

#include <math.h>

/* clang-format off */
static const double evidence_terms[MED_EVIDENCE_COUNT] = {
    [MED_EVIDENCE_UNKNOWN]           =  0,
    [MED_EVIDENCE_OPINION]           = -0.30, /* Oxford 5 */
    [MED_EVIDENCE_CASE]              = -0.20, /* Oxford 4 */
    [MED_EVIDENCE_OBSERVATIONAL]     =  0,    /* Oxford 3 */
    [MED_EVIDENCE_REVIEW]            =  0,
    [MED_EVIDENCE_TRIAL]             =  0.05, /* Oxford 2 to 3 */
    [MED_EVIDENCE_RANDOMIZED_TRIAL]  =  0.15, /* Oxford 2 */
    [MED_EVIDENCE_SYSTEMATIC_REVIEW] =  0.30, /* Oxford 1 */
    [MED_EVIDENCE_GUIDELINE]         =  0.35,
};

static const struct {
    enum med_grade grade;
    double term;
} grade_terms[] = {
    {MED_GRADE_A,             0.06},
    {MED_GRADE_B,             0.04},
    {MED_GRADE_C,             0},
    {MED_GRADE_D,            -0.03},
    {MED_GRADE_I,            -0.04},
    {MED_GRADE_HIGH,          0.06},
    {MED_GRADE_MODERATE,      0.03},
    {MED_GRADE_LOW,          -0.03}, /* low and very low */
};
/* clang-format on */

#define RECENCY_TERM 0.08 /* today's article gains it, a very old one loses it */
#define CONCERN_TERM (-0.25)
#define SUPERSEDED_TERM (-0.25)

static double grade_term(uint8_t grades)
{
    double sum = 0;
    unsigned count = 0;
    for (size_t i = 0; i < sizeof grade_terms / sizeof *grade_terms; i++) {
        if (!(grades & grade_terms[i].grade)) continue;
        sum += grade_terms[i].term;
        count++;
    }
    return count ? sum / count : 0;
}

/* Years since year 0; unknown months count as the middle of the year, unknown days of the month. */
static double years_of(uint32_t date)
{
    uint32_t year = date / 10000, month = date / 100 % 100, day = date % 100;
    if (month == 0) return year + 0.5;
    return year + (month - 1 + (day ? (day - 1) / 31.0 : 0.5)) / 12.0;
}

static double recency_term(uint32_t date, int32_t reference_date)
{
    if (date < 10000 || reference_date < 10000) return 0;
    double age = fmax(years_of((uint32_t)reference_date) - years_of(date), 0);
    return RECENCY_TERM * (2 * exp2(-age / MED_RECENCY_HALF_LIFE_YEARS) - 1);
}

struct med_authority med_authority_of(
    const struct med_authority_facts *facts, int32_t reference_date)
{
    struct med_authority a = {0};
    if (facts->flags & MED_FLAG_RETRACTED) {
        a.status = -MED_AUTHORITY_NEUTRAL;
        return a;
    }
    if ((unsigned)facts->evidence < MED_EVIDENCE_COUNT)
        a.evidence = evidence_terms[facts->evidence];
    a.grade = grade_term(facts->grade);
    a.recency = recency_term(facts->date, reference_date);
    if (facts->flags & MED_FLAG_CONCERN) a.status += CONCERN_TERM;
    if (facts->flags & MED_FLAG_SUPERSEDED) a.status += SUPERSEDED_TERM;
    double others = MED_AUTHORITY_NEUTRAL + a.evidence + a.grade + a.recency;
    a.status = fmax(a.status, -others); /* never below 0 */
    return a;
}

double med_authority_value(const struct med_authority *a)
{
    double sum = MED_AUTHORITY_NEUTRAL + a->evidence + a->grade + a->recency + a->status;
    return fmin(fmax(sum, 0), 1);
}

struct med_authority med_authority_weigh(
    const struct med_authority *a, const struct med_authority_facts *facts, double weight)
{
    bool retracted = facts->flags & MED_FLAG_RETRACTED;
    double status_weight = retracted ? fmax(weight, MED_RETRACTION_WEIGHT_MIN) : weight;
    return (struct med_authority){.evidence = weight * a->evidence,
        .grade = weight * a->grade,
        .recency = weight * a->recency,
        .status = status_weight * a->status};
}

double med_authority_weight(double asked)
{
    return asked >= 0 ? fmin(asked, 1) : MED_AUTHORITY_WEIGHT_DEFAULT;
}

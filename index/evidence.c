#include "index/evidence.h"

/* One table: publication type -> level. A document has the highest level that any of its types gives. The names are
 * those of NLM's publication types; JATS and guideline parsers map theirs onto them. */
static const struct {
    struct med_str type;
    enum med_evidence level;
} evidence_table[] = {
    {MED_STR("Practice Guideline"), MED_EVIDENCE_GUIDELINE},
    {MED_STR("Guideline"), MED_EVIDENCE_GUIDELINE},
    {MED_STR("Consensus Development Conference"), MED_EVIDENCE_GUIDELINE},
    {MED_STR("Consensus Development Conference, NIH"), MED_EVIDENCE_GUIDELINE},
    {MED_STR("Systematic Review"), MED_EVIDENCE_SYSTEMATIC_REVIEW},
    {MED_STR("Meta-Analysis"), MED_EVIDENCE_SYSTEMATIC_REVIEW},
    {MED_STR("Network Meta-Analysis"), MED_EVIDENCE_SYSTEMATIC_REVIEW},
    {MED_STR("Randomized Controlled Trial"), MED_EVIDENCE_RANDOMIZED_TRIAL},
    {MED_STR("Pragmatic Clinical Trial"), MED_EVIDENCE_RANDOMIZED_TRIAL},
    {MED_STR("Equivalence Trial"), MED_EVIDENCE_RANDOMIZED_TRIAL},
    {MED_STR("Controlled Clinical Trial"), MED_EVIDENCE_TRIAL},
    {MED_STR("Clinical Trial"), MED_EVIDENCE_TRIAL},
    {MED_STR("Clinical Trial, Phase I"), MED_EVIDENCE_TRIAL},
    {MED_STR("Clinical Trial, Phase II"), MED_EVIDENCE_TRIAL},
    {MED_STR("Clinical Trial, Phase III"), MED_EVIDENCE_TRIAL},
    {MED_STR("Clinical Trial, Phase IV"), MED_EVIDENCE_TRIAL},
    {MED_STR("Review"), MED_EVIDENCE_REVIEW},
    {MED_STR("Scoping Review"), MED_EVIDENCE_REVIEW},
    {MED_STR("Observational Study"), MED_EVIDENCE_OBSERVATIONAL},
    {MED_STR("Comparative Study"), MED_EVIDENCE_OBSERVATIONAL},
    {MED_STR("Multicenter Study"), MED_EVIDENCE_OBSERVATIONAL},
    {MED_STR("Evaluation Study"), MED_EVIDENCE_OBSERVATIONAL},
    {MED_STR("Validation Study"), MED_EVIDENCE_OBSERVATIONAL},
    {MED_STR("Twin Study"), MED_EVIDENCE_OBSERVATIONAL},
    {MED_STR("Case Reports"), MED_EVIDENCE_CASE},
    {MED_STR("Editorial"), MED_EVIDENCE_OPINION},
    {MED_STR("Comment"), MED_EVIDENCE_OPINION},
    {MED_STR("Letter"), MED_EVIDENCE_OPINION},
    {MED_STR("News"), MED_EVIDENCE_OPINION},
};

enum med_evidence med_evidence_of(const struct med_doc *doc)
{
    enum med_evidence best = MED_EVIDENCE_UNKNOWN;
    for (size_t i = 0; i < doc->publication_type_count; i++) {
        for (size_t k = 0; k < sizeof evidence_table / sizeof *evidence_table; k++) {
            if (evidence_table[k].level > best &&
                med_str_eq_nocase(doc->publication_types[i], evidence_table[k].type))
                best = evidence_table[k].level;
        }
    }
    return best;
}

const char *med_evidence_name(enum med_evidence level)
{
    switch (level) {
    case MED_EVIDENCE_OPINION: return "opinion";
    case MED_EVIDENCE_CASE: return "case-report";
    case MED_EVIDENCE_OBSERVATIONAL: return "observational";
    case MED_EVIDENCE_REVIEW: return "review";
    case MED_EVIDENCE_TRIAL: return "trial";
    case MED_EVIDENCE_RANDOMIZED_TRIAL: return "randomized-trial";
    case MED_EVIDENCE_SYSTEMATIC_REVIEW: return "systematic-review";
    case MED_EVIDENCE_GUIDELINE: return "guideline";
    case MED_EVIDENCE_UNKNOWN:
    case MED_EVIDENCE_COUNT: break;
    }
    return "unknown";
}

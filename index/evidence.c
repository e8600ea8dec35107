#include "index/evidence.h"

/* One table: publication type -> level. A document has the highest level that any of its types
 * gives. The names are those of NLM's publication types; JATS and guideline parsers map theirs onto
 * them. */
static const struct {
    const char *type;
    enum med_evidence level;
} evidence_table[] = {
    {"Practice Guideline", MED_EVIDENCE_GUIDELINE},
    {"Guideline", MED_EVIDENCE_GUIDELINE},
    {"Consensus Development Conference", MED_EVIDENCE_GUIDELINE},
    {"Consensus Development Conference, NIH", MED_EVIDENCE_GUIDELINE},
    {"Systematic Review", MED_EVIDENCE_SYSTEMATIC_REVIEW},
    {"Meta-Analysis", MED_EVIDENCE_SYSTEMATIC_REVIEW},
    {"Network Meta-Analysis", MED_EVIDENCE_SYSTEMATIC_REVIEW},
    {"Randomized Controlled Trial", MED_EVIDENCE_RANDOMIZED_TRIAL},
    {"Pragmatic Clinical Trial", MED_EVIDENCE_RANDOMIZED_TRIAL},
    {"Equivalence Trial", MED_EVIDENCE_RANDOMIZED_TRIAL},
    {"Controlled Clinical Trial", MED_EVIDENCE_TRIAL},
    {"Clinical Trial", MED_EVIDENCE_TRIAL},
    {"Clinical Trial, Phase I", MED_EVIDENCE_TRIAL},
    {"Clinical Trial, Phase II", MED_EVIDENCE_TRIAL},
    {"Clinical Trial, Phase III", MED_EVIDENCE_TRIAL},
    {"Clinical Trial, Phase IV", MED_EVIDENCE_TRIAL},
    {"Review", MED_EVIDENCE_REVIEW},
    {"Scoping Review", MED_EVIDENCE_REVIEW},
    {"Observational Study", MED_EVIDENCE_OBSERVATIONAL},
    {"Comparative Study", MED_EVIDENCE_OBSERVATIONAL},
    {"Multicenter Study", MED_EVIDENCE_OBSERVATIONAL},
    {"Evaluation Study", MED_EVIDENCE_OBSERVATIONAL},
    {"Validation Study", MED_EVIDENCE_OBSERVATIONAL},
    {"Twin Study", MED_EVIDENCE_OBSERVATIONAL},
    {"Case Reports", MED_EVIDENCE_CASE},
    {"Editorial", MED_EVIDENCE_OPINION},
    {"Comment", MED_EVIDENCE_OPINION},
    {"Letter", MED_EVIDENCE_OPINION},
    {"News", MED_EVIDENCE_OPINION},
};

enum med_evidence med_evidence_of(const struct med_doc *doc)
{
    enum med_evidence best = MED_EVIDENCE_UNKNOWN;
    for (size_t i = 0; i < doc->publication_type_count; i++) {
        for (size_t k = 0; k < sizeof evidence_table / sizeof *evidence_table; k++) {
            if (evidence_table[k].level > best &&
                med_str_eq_nocase(doc->publication_types[i], med_str_of(evidence_table[k].type)))
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

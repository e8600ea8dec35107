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

static uint8_t grade_of_word(struct med_str word)
{
    static const struct {
        const char *word;
        enum med_grade grade;
    } words[] = {{"A", MED_GRADE_A}, {"B", MED_GRADE_B}, {"C", MED_GRADE_C}, {"D", MED_GRADE_D},
        {"I", MED_GRADE_I}, {"insufficient", MED_GRADE_I}, {"high", MED_GRADE_HIGH},
        {"moderate", MED_GRADE_MODERATE}, {"low", MED_GRADE_LOW}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (med_str_eq_nocase(word, med_str_of(words[i].word))) return (uint8_t)words[i].grade;
    }
    return 0;
}

/* Words that may stand around a grade without changing what it means. */
static bool is_filler(struct med_str word)
{
    static const char *const words[] = {
        "grade", "grades", "very", "certainty", "quality", "evidence", "statement", "and", "of"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (med_str_eq_nocase(word, med_str_of(words[i]))) return true;
    }
    return false;
}

static bool is_separator(char c)
{
    return c == ',' || c == ';' || c == '/' || c == ' ' || c == '\t' || c == '|' || c == ':' ||
           c == '[' || c == ']' || c == '"';
}

uint8_t med_grades_parse(struct med_str text)
{
    unsigned grades = 0;
    for (size_t at = 0; at < text.len;) {
        size_t end = at;
        while (end < text.len && !is_separator(text.ptr[end])) end++;
        struct med_str word = med_str_sub(text, at, end);
        uint8_t grade = grade_of_word(word);
        if (word.len && !grade && !is_filler(word)) return 0; /* another system */
        grades |= grade;
        at = end + 1;
    }
    return (uint8_t)grades;
}

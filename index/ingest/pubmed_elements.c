#include "index/ingest/pubmed_elements.h"

#include <stdlib.h>

/* Sorted by name for the binary search. */
static const struct med_pubmed_element elements[] = {
    {"Abstract", EL_ABSTRACT, false},
    {"AbstractText", EL_ABSTRACT_TEXT, true},
    {"Article", EL_ARTICLE, false},
    {"ArticleDate", EL_ARTICLE_DATE, false},
    {"ArticleId", EL_ARTICLE_ID, true},
    {"ArticleIdList", EL_ARTICLE_ID_LIST, false},
    {"ArticleTitle", EL_ARTICLE_TITLE, true},
    {"Author", EL_AUTHOR, false},
    {"AuthorList", EL_AUTHOR_LIST, false},
    {"Book", EL_BOOK, false},
    {"BookDocument", EL_BOOK_DOCUMENT, false},
    {"BookTitle", EL_BOOK_TITLE, true},
    {"Chemical", EL_CHEMICAL, false},
    {"CollectiveName", EL_COLLECTIVE_NAME, true},
    {"CommentsCorrections", EL_COMMENTS_CORRECTIONS, false},
    {"ContributionDate", EL_CONTRIBUTION_DATE, false},
    {"CopyrightInformation", EL_COPYRIGHT, true},
    {"DateRevised", EL_DATE_REVISED, false},
    {"Day", EL_DAY, true},
    {"DeleteCitation", EL_DELETE_CITATION, false},
    {"DeleteDocument", EL_DELETE_DOCUMENT, false},
    {"DescriptorName", EL_DESCRIPTOR, true},
    {"ELocationID", EL_ELOCATION_ID, true},
    {"EndPage", EL_END_PAGE, true},
    {"ForeName", EL_FORE_NAME, true},
    {"ISOAbbreviation", EL_ISO_ABBREVIATION, true},
    {"ISSN", EL_ISSN, true},
    {"Identifier", EL_IDENTIFIER, true},
    {"Initials", EL_INITIALS, true},
    {"Issue", EL_ISSUE, true},
    {"Journal", EL_JOURNAL, false},
    {"JournalIssue", EL_JOURNAL_ISSUE, false},
    {"Keyword", EL_KEYWORD, true},
    {"Language", EL_LANGUAGE, true},
    {"LastName", EL_LAST_NAME, true},
    {"MedlineCitation", EL_MEDLINE_CITATION, false},
    {"MedlineDate", EL_MEDLINE_DATE, true},
    {"MedlineJournalInfo", EL_MEDLINE_JOURNAL_INFO, false},
    {"MedlinePgn", EL_MEDLINE_PGN, true},
    {"MedlineTA", EL_MEDLINE_TA, true},
    {"MeshHeading", EL_MESH_HEADING, false},
    {"Month", EL_MONTH, true},
    {"NameOfSubstance", EL_NAME_OF_SUBSTANCE, true},
    {"Object", EL_OBJECT, false},
    {"OtherAbstract", EL_OTHER_ABSTRACT, false},
    {"OtherID", EL_OTHER_ID, true},
    {"PMID", EL_PMID, true},
    {"Param", EL_PARAM, true},
    {"PubDate", EL_PUB_DATE, false},
    {"PublicationType", EL_PUBLICATION_TYPE, true},
    {"PublicationTypeList", EL_PUBLICATION_TYPE_LIST, false},
    {"PublisherName", EL_PUBLISHER_NAME, true},
    {"PubmedBookData", EL_PUBMED_BOOK_DATA, false},
    {"PubmedData", EL_PUBMED_DATA, false},
    {"QualifierName", EL_QUALIFIER, true},
    {"RefSource", EL_REF_SOURCE, true},
    {"Season", EL_SEASON, true},
    {"StartPage", EL_START_PAGE, true},
    {"Suffix", EL_SUFFIX, true},
    {"SupplMeshName", EL_SUPPL_MESH_NAME, true},
    {"Title", EL_TITLE, true},
    {"VernacularTitle", EL_VERNACULAR_TITLE, true},
    {"Volume", EL_VOLUME, true},
    {"Year", EL_YEAR, true},
};

static int compare(const void *key, const void *element)
{
    const struct med_str *name = key;
    const char *other = ((const struct med_pubmed_element *)element)->name;
    int order = strncmp(name->ptr, other, name->len);
    return order != 0 ? order : (other[name->len] == '\0' ? 0 : -1);
}

const struct med_pubmed_element *med_pubmed_element(struct med_str name)
{
    static const struct med_pubmed_element unknown = {"", EL_UNKNOWN, false};
    if (name.len == 0) return &unknown;
    const struct med_pubmed_element *found =
        bsearch(&name, elements, sizeof elements / sizeof *elements, sizeof *elements, compare);
    return found ? found : &unknown;
}

enum med_link_kind med_pubmed_link_kind(struct med_str ref_type)
{
    static const struct {
        const char *name;
        enum med_link_kind kind;
    } kinds[] = {
        {"RetractionIn", MED_LINK_RETRACTION_IN},
        {"RetractionOf", MED_LINK_RETRACTION_OF},
        {"PartialRetractionIn", MED_LINK_PARTIAL_RETRACTION_IN},
        {"PartialRetractionOf", MED_LINK_PARTIAL_RETRACTION_OF},
        {"ErratumIn", MED_LINK_ERRATUM_IN},
        {"ErratumFor", MED_LINK_ERRATUM_FOR},
        {"ExpressionOfConcernIn", MED_LINK_CONCERN_IN},
        {"ExpressionOfConcernFor", MED_LINK_CONCERN_FOR},
        {"CommentIn", MED_LINK_COMMENT_IN},
        {"CommentOn", MED_LINK_COMMENT_ON},
        {"UpdateIn", MED_LINK_UPDATE_IN},
        {"UpdateOf", MED_LINK_UPDATE_OF},
        {"RepublishedIn", MED_LINK_REPUBLISHED_IN},
        {"RepublishedFrom", MED_LINK_REPUBLISHED_FROM},
        {"CorrectedandRepublishedIn", MED_LINK_REPUBLISHED_IN},
        {"CorrectedandRepublishedFrom", MED_LINK_REPUBLISHED_FROM},
        {"RetractedandRepublishedIn", MED_LINK_REPUBLISHED_IN},
        {"RetractedandRepublishedFrom", MED_LINK_REPUBLISHED_FROM},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (med_str_eq_nocase(ref_type, med_str_of(kinds[i].name))) return kinds[i].kind;
    }
    return MED_LINK_OTHER;
}

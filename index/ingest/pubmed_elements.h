/* The element names of PubMed XML that mean something to pubmed.c, and the RefTypes of its links.
 */
#pragma once

#include "index/document/document.h"

enum el {
    EL_UNKNOWN,
    EL_ABSTRACT,
    EL_ABSTRACT_TEXT,
    EL_ARTICLE,
    EL_ARTICLE_DATE,
    EL_ARTICLE_ID,
    EL_ARTICLE_ID_LIST,
    EL_ARTICLE_TITLE,
    EL_AUTHOR,
    EL_AUTHOR_LIST,
    EL_BOOK,
    EL_BOOK_DOCUMENT,
    EL_BOOK_TITLE,
    EL_CHEMICAL,
    EL_COLLECTIVE_NAME,
    EL_COMMENTS_CORRECTIONS,
    EL_CONTRIBUTION_DATE,
    EL_COPYRIGHT,
    EL_DATE_REVISED,
    EL_DAY,
    EL_DELETE_CITATION,
    EL_DELETE_DOCUMENT,
    EL_DESCRIPTOR,
    EL_ELOCATION_ID,
    EL_END_PAGE,
    EL_FORE_NAME,
    EL_IDENTIFIER,
    EL_INITIALS,
    EL_ISO_ABBREVIATION,
    EL_ISSN,
    EL_ISSUE,
    EL_JOURNAL,
    EL_JOURNAL_ISSUE,
    EL_KEYWORD,
    EL_LANGUAGE,
    EL_LAST_NAME,
    EL_MEDLINE_CITATION,
    EL_MEDLINE_DATE,
    EL_MEDLINE_JOURNAL_INFO,
    EL_MEDLINE_PGN,
    EL_MEDLINE_TA,
    EL_MESH_HEADING,
    EL_MONTH,
    EL_NAME_OF_SUBSTANCE,
    EL_OBJECT,
    EL_OTHER_ABSTRACT,
    EL_OTHER_ID,
    EL_PARAM,
    EL_PMID,
    EL_PUB_DATE,
    EL_PUBLICATION_TYPE,
    EL_PUBLICATION_TYPE_LIST,
    EL_PUBLISHER_NAME,
    EL_PUBMED_BOOK_DATA,
    EL_PUBMED_DATA,
    EL_QUALIFIER,
    EL_REF_SOURCE,
    EL_SEASON,
    EL_START_PAGE,
    EL_SUFFIX,
    EL_SUPPL_MESH_NAME,
    EL_TITLE,
    EL_VERNACULAR_TITLE,
    EL_VOLUME,
    EL_YEAR,
};

struct med_pubmed_element {
    const char *name;
    enum el el;
    bool text; /* holds character data: everything inside it is its text */
};

/* Never NULL: EL_UNKNOWN for every other name. */
const struct med_pubmed_element *med_pubmed_element(struct med_str name);

/* "RetractionIn" -> MED_LINK_RETRACTION_IN; MED_LINK_OTHER for those without a kind of their own.
 */
enum med_link_kind med_pubmed_link_kind(struct med_str ref_type);

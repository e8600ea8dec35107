/* The document model: what a parser produces, the store keeps and an answer shows.
 *
 * All strings are UTF-8 in NFC, borrowed from the arena (or the record bytes) that the document was
 * made in. An absent string is {NULL, 0}; absent numbers are 0. A document is immutable once it
 * left its parser. */
#pragma once

#include "common/arena.h"
#include "common/buf.h"
#include "common/hash.h"

#include <stdint.h>

enum med_source {
    MED_SOURCE_OTHER,
    MED_SOURCE_PUBMED,
    MED_SOURCE_PMC,
    MED_SOURCE_GUIDELINE,
    MED_SOURCE_COUNT
};
const char *med_source_name(enum med_source source); /* "pubmed", "pmc", "guideline", "other" */

/* A section is one heading with the text that belongs to it directly. */
enum med_section_kind {
    MED_SECTION_ABSTRACT, /* consecutive abstract sections (the labels) form ONE chunking section */
    MED_SECTION_BODY,
    MED_SECTION_CAPTION, /* a table's or figure's caption */
    MED_SECTION_OTHER,   /* other-language abstracts, plain-language summaries */
};

struct med_section {
    struct med_str path; /* heading path, components joined by " > ", e.g. "Methods > Participants";
                            may be empty */
    struct med_str
        heading; /* last component of path, as it appears in the canonical text; may be empty */
    struct med_str body; /* paragraphs joined by "\n"; may be empty */
    enum med_section_kind kind;
    uint8_t level; /* 1 = top heading; 0 = no heading */
};

struct med_author {
    struct med_str
        family; /* or the whole name of a collective author, with given and initials empty */
    struct med_str given;
    struct med_str initials;
    struct med_str orcid;
    bool collective;
};

struct med_mesh {
    struct med_str descriptor;
    struct med_str ui;         /* "D009203" */
    struct med_str qualifiers; /* "therapy; mortality", major ones marked with a trailing '*' */
    bool major;                /* the descriptor or one of its qualifiers is a major topic */
};

enum med_link_kind {
    MED_LINK_RETRACTION_IN, /* this document was retracted by target */
    MED_LINK_RETRACTION_OF, /* this document is the notice that retracts target */
    MED_LINK_ERRATUM_IN,
    MED_LINK_ERRATUM_FOR,
    MED_LINK_CONCERN_IN,
    MED_LINK_CONCERN_FOR,
    MED_LINK_COMMENT_IN,
    MED_LINK_COMMENT_ON,
    MED_LINK_UPDATE_IN,
    MED_LINK_UPDATE_OF,
    MED_LINK_REPUBLISHED_IN,
    MED_LINK_REPUBLISHED_FROM,
    MED_LINK_PARTIAL_RETRACTION_IN,
    MED_LINK_PARTIAL_RETRACTION_OF,
    MED_LINK_OTHER,
    MED_LINK_COUNT
};
const char *med_link_kind_name(enum med_link_kind kind); /* "retraction-in", ... */

struct med_link {
    enum med_link_kind kind;
    struct med_str target; /* a document id ("pmid:123") or empty when the source names none */
    struct med_str note;   /* the citation text as the source gives it */
};

struct med_date {
    uint16_t year; /* 0 = unknown */
    uint8_t month; /* 0 = unknown */
    uint8_t day;   /* 0 = unknown */
};

/* Which of two versions of one id wins: compared field by field, larger wins; see store.h. */
struct med_precedence {
    uint64_t sequence; /* of the update file the record came in: year * 100000 + file number; 0 =
                          not from one */
    uint32_t version;  /* PubMed's PMID Version; 0 = none */
    uint32_t date_revised; /* yyyymmdd; 0 = none */
};

struct med_doc {
    struct med_str id; /* "pmid:31452104", "pmcid:PMC6715678", "guideline:<slug>", "doc:<id>" */
    struct med_str source_id; /* the id as it stood in the input: "31452104", "PMC6715678",
                                 "MED-118", the slug */
    enum med_source source;
    struct med_str title;
    struct med_str vernacular_title;
    struct med_section *sections;
    size_t section_count;
    struct med_author *authors;
    size_t author_count;
    struct {
        struct med_str title, iso_abbreviation, issn, volume, issue, pages;
    } journal;
    struct med_date date;     /* of publication */
    struct med_str date_text; /* as printed ("2019 Nov-Dec"), where it says more than date */
    struct med_str *publication_types;
    size_t publication_type_count;
    struct med_mesh *mesh;
    size_t mesh_count;
    struct med_str *keywords;
    size_t keyword_count;
    struct med_str *chemicals;
    size_t chemical_count;
    struct med_str pmid, pmcid,
        doi;                 /* bare: "31452104", "PMC6715678", "10.1000/x" (DOI lower-cased) */
    struct med_str language; /* ISO 639: as given ("eng", "en") */
    struct med_str url;      /* where a reader can open it; empty = the server makes one */
    struct med_link *links;
    size_t link_count;
    struct med_str organization; /* of a guideline */
    struct med_str grade;        /* evidence grades as stated, "B, C, D, I" */
    struct med_str licence;
    struct med_str
        metadata_json; /* BEIR `metadata` and unknown native fields, verbatim JSON, or empty */
    struct med_precedence precedence;
    uint32_t store_version; /* 1, 2, ...: set by the store when read back; 0 before */
};

/* The record format (own, little-endian, tagged, version byte first) that the store compresses.
 * Fields may be added by new tags; a reader skips tags it does not know. store_version and
 * precedence are not part of it. */
void med_doc_encode(const struct med_doc *doc, struct med_buf *out);
/* Slices borrow from `bytes`; arrays live in the arena. MED_E_CORRUPT for anything malformed. */
enum med_code med_doc_decode(const void *bytes, size_t len, struct med_arena *arena,
    struct med_doc **ret_doc, struct med_err *err) MED_CHECK;
/* Identity of the content: hash of the encoded record. */
struct med_hash128 med_doc_hash(const void *encoded, size_t len);

/* Id rules: 1..MED_ID_BYTES_MAX bytes of UTF-8, a known prefix and ':', no control characters or
 * spaces, no '~' (which separates the chunk number). The sentence says which rule failed. */
enum med_code med_doc_id_check(struct med_str id, struct med_err *err) MED_CHECK;
/* Every name that fetches the document: its id, "pmid:..", "pmcid:..", "doi:..". At most 4, in the
 * arena. */
enum med_code med_doc_aliases(const struct med_doc *doc, struct med_arena *arena,
    struct med_str ret_aliases[4], size_t *ret_count, struct med_err *err) MED_CHECK;
/* "PMC123" -> "pmcid:PMC123", "31452104" stays unless pmid: is written; "doi:10.1/X" -> lower case;
 * trims. */
enum med_code med_doc_id_normalize(struct med_str given, struct med_arena *arena,
    struct med_str *ret_id, struct med_err *err) MED_CHECK;
/* The name by which a store finds a document from its web address: "url:" and a hash of the address
 * without scheme, fragment and slash at its end, its host in lower case. Empty when `url` is no
 * address of the web. In the arena. */
enum med_code med_doc_url_name(struct med_str url, struct med_arena *arena,
    struct med_str *ret_name, struct med_err *err) MED_CHECK;

/* Dates as people and formats write them: "2019", "2019-03-01", "2019 Mar 1", "15 March 2019",
 * "March 15, 2019", "2018 Dec-2019 Jan" (the first). False when there is no year. */
bool med_date_parse(struct med_str text, struct med_date *ret_date);
/* "Mar", "March", "3", "03" -> 3; 0 when it is no month. */
uint8_t med_month_parse(struct med_str text);

/* Flags that follow from the document alone. */
enum med_doc_flag {
    MED_FLAG_RETRACTED =
        1u << 0, /* Retracted Publication, or a retraction-in link. Never for the notice */
    MED_FLAG_RETRACTION_NOTICE = 1u << 1, /* Retraction of Publication */
    MED_FLAG_CONCERN = 1u << 2,           /* expression-of-concern-in link */
    MED_FLAG_ERRATUM = 1u << 3,           /* has an erratum-in link */
    MED_FLAG_SUPERSEDED = 1u << 4,        /* update-in link */
    MED_FLAG_HAS_ABSTRACT = 1u << 5,
    MED_FLAG_FULL_TEXT = 1u << 6,
};
uint32_t med_doc_flags(const struct med_doc *doc);

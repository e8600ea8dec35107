/* Documents as citations that reference managers read: RIS, BibTeX, CSL-JSON, Vancouver (the NLM's
 * style of ICMJE), and NBIB, the MEDLINE format of PubMed.
 *
 * Every form says when an article was retracted or has an expression of concern, because a
 * reference list travels without the engine that knows it. Values are escaped for their form;
 * control characters become spaces. */
#pragma once

#include "service/answer.h"
#include "service/media.h"

struct citation {
    const struct med_doc *doc;
    uint32_t flags; /* enum med_doc_flag */
    const struct med_link *links;
    size_t link_count;
};

/* Each record of NBIB begins with its PMID, so documents without one are left out there: a reader
 * would take their lines for part of the record before.
 *
 * media: one of MEDIA_CITATIONS. index: of the record among those written; begin and end stand
 * around all of them. many: Vancouver numbers its lines. */
void citation_begin(enum media media, struct med_buf *out);
void citation_write(enum media media, const struct view *view, const struct citation *citation,
    size_t index, bool many, struct med_buf *out);
void citation_end(enum media media, struct med_buf *out);

/* --- shared by the forms --- */
/* "123-9" -> "123" and "129"; anything that is no plain range is all start. */
struct page_range {
    struct med_str start, end; /* end may be empty */
    char end_text[32];         /* what end points to when it was completed */
};
void citation_pages(struct med_str pages, struct page_range *ret_range);
/* "Retracted; see pmid:2." or nothing */
void citation_status(const struct citation *citation, struct med_buf *out);
/* In one line. */
void citation_line(struct med_str value, struct med_buf *out);
/* The abstract with its labels, in one line. */
void citation_abstract(const struct med_doc *doc, struct med_buf *out);
extern const char *const citation_months[13]; /* [1] = "Jan" */

void citation_ris(const struct view *view, const struct citation *citation, struct med_buf *out);
void citation_nbib(const struct citation *citation, struct med_buf *out);
void citation_bibtex(const struct view *view, const struct citation *citation, struct med_buf *out);
void citation_csl(const struct view *view, const struct citation *citation, struct med_buf *out);
void citation_vancouver(
    const struct view *view, const struct citation *citation, struct med_buf *out);

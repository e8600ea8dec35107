/* Rendering of answers, shared by the command line and the HTTP routes: the same bytes on both. */
#pragma once

#include "common/json.h"
#include "index/similar.h"
#include "index/terms.h"
#include "service/search_params.h"

struct view {
    struct med_str public_url; /* without a slash at its end */
    struct med_str similar_to; /* id of the document that the answer is about, or empty */
    bool pretty;
    bool color;   /* text on a terminal */
    bool limited; /* the caller sees some sources only: input files' names are not told */
    /* Set by answer_write: how a reader goes on. */
    char next_cursor[CURSOR_TEXT_MAX + 1]; /* empty: these were the last results */
    size_t held_back;                      /* results that max_tokens left out */
    bool cut;                              /* the text of the last result is shortened */
    /* Of one document: */
    const struct med_manifest *manifest; /* named in the answer, or NULL */
    bool outline;
    bool brief; /* without lists, for max_tokens */
};
#define PUBLIC_URL_DEFAULT "http://127.0.0.1:8080"
struct med_str public_url_of(const char *given); /* NULL = the default; cuts slashes at the end */

/* --- search: one answer --- */
/* In one of MEDIA_ANSWERS. Sets view->next_cursor, and keeps to params->max_tokens: results are
 * left out from the end and the last text is cut at a sentence's end (in the answer itself, which
 * is changed). MED_E_INVALID tells how many tokens one result needs. A concise JSON answer without
 * max_tokens has its snippets shortened where that keeps it below about 150 tokens per result. */
enum med_code answer_write(enum media media, struct view *view, const struct search_params *params,
    const struct med_manifest *manifest, struct med_answer *answer, struct med_arena *arena,
    struct med_buf *out, struct med_err *err) MED_CHECK;
/* The same without a budget. */
void answer_json(const struct view *view, const struct search_params *params,
    const struct med_manifest *manifest, const struct med_answer *answer, struct med_buf *out);
void answer_ndjson(const struct view *view, const struct search_params *params,
    const struct med_answer *answer, struct med_buf *out); /* one result per line */
void answer_text(const struct view *view, const struct search_params *params,
    const struct med_manifest *manifest, const struct med_answer *answer, struct med_buf *out);
void answer_markdown(const struct view *view, const struct search_params *params,
    const struct med_manifest *manifest, const struct med_answer *answer, struct med_buf *out);

/* --- terms --- */
struct terms_answer {
    struct med_str query;
    uint64_t generation;
    struct med_term *terms;
    size_t count;
    bool any; /* the generation has a vocabulary or abbreviations */
};
void terms_json(const struct view *view, const struct terms_answer *answer, struct med_buf *out);
void terms_text(const struct terms_answer *answer, struct med_buf *out);

/* --- fetch: one document or passage --- */
#define FETCH_SECTIONS_MAX 32
struct fetch_params {
    struct med_str sections[FETCH_SECTIONS_MAX]; /* headings or heading paths; none = everything */
    size_t section_count;
    uint64_t max_tokens; /* 0 = everything; a token counts as 4 bytes. Of the text for
                            document_select, of the whole answer for fetch_one and fetch_many */
    uint32_t window;     /* passages around the one that was asked for */
    uint32_t start_byte; /* what lies before it was read already */
    bool outline;        /* headings with passages and sizes, no text */
    bool form_given;     /* format= was, and wins over Accept: */
    enum media form;
};
/* "Methods, Results > Harms"; the names are borrowed. */
enum med_code fetch_params_sections(
    struct fetch_params *params, struct med_str list, struct med_err *err) MED_CHECK;
/* The same of a JSON list of headings. */
enum med_code fetch_params_section_list(
    struct fetch_params *params, const struct med_json *list, struct med_err *err) MED_CHECK;

/* One parameter as text; `also` is another name that the caller knows, for the error. MED_E_USAGE:
 * the name is unknown. */
enum med_code fetch_params_set(struct fetch_params *params, struct med_str name,
    struct med_str value, const char *also, struct med_err *err) MED_CHECK;
/* The same of a JSON body. */
enum med_code fetch_params_member(struct fetch_params *params, const struct med_json *member,
    struct med_arena *arena, struct med_err *err) MED_CHECK;

/* The part of a document that was asked for. */
struct selection {
    struct med_span *spans; /* of the canonical text, in order */
    size_t count;
    struct med_str text; /* the spans, joined by blank lines */
    bool truncated;      /* max_tokens cut it, at the byte: */
    uint32_t cut;
};
/* In the arena. MED_E_NOT_FOUND names the sections that there are. */
enum med_code document_select(const struct med_fetched *fetched, const struct fetch_params *params,
    struct med_arena *arena, struct selection *ret_selection, struct med_err *err) MED_CHECK;

void document_json(const struct view *view, const struct med_fetched *fetched,
    const struct selection *selection, struct med_jw *w);
void document_text(const struct view *view, const struct med_fetched *fetched,
    const struct selection *selection, struct med_buf *out);
void document_markdown(const struct view *view, const struct med_fetched *fetched,
    const struct selection *selection, struct med_buf *out);

/* --- parts that search and fetch share --- */
/* Where to cut s so that at most bytes_max are left: behind a sentence, or a word of a first
 * sentence that is longer. */
enum med_code text_cut(struct med_str s, size_t bytes_max, struct med_arena *arena, size_t *ret_cut,
    struct med_err *err) MED_CHECK;
/* Keys "generation", "index_date", "last_input", "last_update". */
void meta_json(const struct view *view, const struct med_manifest *manifest, struct med_jw *w);
void meta_text(const struct view *view, const struct med_manifest *manifest, struct med_buf *out);
void percent_encode(struct med_str s, struct med_buf *out); /* all but unreserved characters */
/* The document's own address, or the server's for it. */
void document_url(
    const struct view *view, struct med_str own_url, struct med_str id, struct med_buf *out);
void flags_json(uint32_t flags, struct med_jw *w);
void flags_text(uint32_t flags, struct med_buf *out); /* " [retracted]..." */
/* "truncated", and where a reader goes on: "continue_at", the passage that holds the cut. */
void document_rest_json(
    const struct med_fetched *fetched, const struct selection *selection, struct med_jw *w);
/* A whole JSON text as an element of a list two levels deep; its lines are indented. */
void embed_json(struct med_jw *w, struct med_str json);
/* Links to other documents: retractions, errata, updates, ... */
void links_json(const struct med_link *links, size_t count, struct med_jw *w);
/* One line each, comments left out. */
void links_text(
    const struct med_link *links, size_t count, const char *end_of_line, struct med_buf *out);
void author_name(const struct med_author *author, struct med_buf *out); /* "Family I" */
void authors_text(const struct med_doc *doc, size_t shown, struct med_buf *out);
void date_text(struct med_date date, struct med_buf *out); /* "2019-03" */
/* Keys of citation data: authors, journal, publication date, doi, pmid, pmcid. */
void citation_json(const struct med_doc *doc, struct med_jw *w);

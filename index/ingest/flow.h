/* From a flow of headings, lines and words to the sections of a document: what JATS, Markdown, HTML
 * and plain text share.
 *
 * Lines are cleaned (white space, NFC) and joined by "\n" to the body of the open section. A
 * section is written when the next heading comes; text that goes on in an outer section after an
 * inner one ended becomes a further section of the same path, without repeating the heading.
 * Captions follow the section in which they stood. The first failure sticks: check the code of
 * med_flow_finish. */
#pragma once

#include "index/document/document.h"

#define MED_FLOW_DEPTH_MAX 64 /* deeper headings stay at this level */

struct med_flow {
    struct med_arena *arena;
    struct med_section *sections; /* freed by med_flow_free */
    size_t count, cap;
    enum med_section_kind kind; /* of the sections to come */

    struct {
        struct med_str heading, path;
        bool written; /* its heading is in a section already */
    } open[MED_FLOW_DEPTH_MAX];
    unsigned depth;
    struct med_str base;

    struct med_section *captions; /* waiting for the end of the open section */
    size_t caption_count, caption_cap;

    struct med_buf body, line, scratch;
    bool bullet; /* the next text opens a list item */
    bool glued;  /* the next break is none: a term and its definition share a line */
    enum med_code code;
    struct med_err err;
};

void med_flow_init(struct med_flow *flow);
void med_flow_free(struct med_flow *flow);
/* Starts the next document. Its strings will live in the arena. */
void med_flow_begin(struct med_flow *flow, struct med_arena *arena);

void med_flow_text(struct med_flow *flow, struct med_str text);
void med_flow_break(struct med_flow *flow);  /* ends the line, if there is something on it */
void med_flow_bullet(struct med_flow *flow); /* ends the line; the next one begins with "- " */
/* A citation marker inside text: a superscript one vanishes, one in brackets with nothing but its
 * like vanishes with the brackets ("shown [12, 13]."), any other stays ("as in reference 12"). */
void med_flow_cite(struct med_flow *flow, struct med_str text, bool superscript);

/* Opens a section at level 1, 2, ... under the open ones of lower levels. An empty heading groups
 * without a name. */
void med_flow_heading(struct med_flow *flow, unsigned level, struct med_str heading);
void med_flow_leave(
    struct med_flow *flow, unsigned level); /* closes the sections of that level and deeper */
/* Closes all sections. The headings to come stand below base ("Abstract"), which is no heading in
 * the text itself; lone is the path of text outside all headings. */
void med_flow_base(struct med_flow *flow, struct med_str base, struct med_str lone);
void med_flow_caption(struct med_flow *flow, struct med_str heading, struct med_str body);

/* Takes the cleaned line, or all lines, out instead of making a section: for titles and captions.
 */
struct med_str med_flow_take_line(struct med_flow *flow);
struct med_str med_flow_take_body(struct med_flow *flow);

/* Writes what is open. keep_lone_headings: sections with neither body nor sub-sections stay (a
 * recommendation may be nothing but a heading). */
enum med_code med_flow_finish(
    struct med_flow *flow, bool keep_lone_headings, struct med_err *err) MED_CHECK;

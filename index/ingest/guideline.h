/* Inner interface of the guideline parsers: one file per format turns its bytes into headings and
 * lines of a flow. */
#pragma once

#include "index/ingest/flow.h"
#include "index/ingest/xml.h"

struct med_guideline {
    struct med_arena *arena;
    struct med_flow flow; /* sections */
    struct med_flow aux;  /* headings, while they are read */
    struct med_str title; /* from the front matter, else the first top heading or what the format
                             calls the title */
    struct med_str page_title; /* <title>: the last resort */
    struct med_str language;   /* the format's own statement */
    bool any_heading;
    unsigned cell_depth; /* open table cells in HTML */
};

/* A heading; the first one of level 1 becomes the title where there is none, and is left out where
 * it repeats it. */
void med_guideline_heading(struct med_guideline *g, unsigned level, struct med_str text);

enum med_code med_guideline_markdown(
    struct med_guideline *g, struct med_str text, struct med_err *err) MED_CHECK;
/* Also for the HTML blocks inside Markdown. */
enum med_code med_guideline_html(
    struct med_guideline *g, struct med_str text, struct med_err *err) MED_CHECK;
enum med_code med_guideline_text(
    struct med_guideline *g, struct med_str text, struct med_err *err) MED_CHECK;

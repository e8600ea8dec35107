/* Running text of JATS: what of an abstract, a body or a caption is read, and how it flows. */
#pragma once

#include "index/ingest/flow.h"
#include "index/ingest/tree.h"

struct med_jats_text {
    struct med_flow main; /* the document's sections */
    struct med_flow aux;  /* headings and captions, which are read while a line of main is open */
    struct med_buf scratch;
};

void med_jats_text_init(struct med_jats_text *t);
void med_jats_text_free(struct med_jats_text *t);
void med_jats_text_begin(struct med_jats_text *t, struct med_arena *arena);

/* The node's text on one line. */
struct med_str med_jats_line(struct med_jats_text *t, const struct med_node *node);
/* The node's sections, paragraphs and captions flow into t->main; top-level sections become
 * headings of `level`. */
void med_jats_flow(struct med_jats_text *t, const struct med_node *node, unsigned level);
/* Elements that never hold text worth reading: for med_tree_begin. */
extern const char *const MED_JATS_IGNORED[];

/* Markdown through cmark-gfm (CommonMark with tables). The only file that includes it. */
#include "index/ingest/guideline.h"

#include <cmark-gfm-core-extensions.h>
#include <cmark-gfm.h>

#include <pthread.h>
#include <stdio.h>

/* Of all tables of a text; beyond it they are read as plain lines. */
#define TABLE_CELLS_MAX ((size_t)1 << 20)

struct walk {
    struct med_guideline *g;
    struct med_flow *f; /* g->flow, or g->aux inside a heading */
    enum med_code code;
    struct med_err *err;
};

/* The nodes of extensions have no constants in the installed headers, only names. */
static bool is_kind(cmark_node *node, const char *name)
{
    return strcmp(cmark_node_get_type_string(node), name) == 0;
}

static bool is_row(cmark_node *node)
{
    return is_kind(node, "table_row") || is_kind(node, "table_header");
}

static void start_item(struct walk *w, cmark_node *item)
{
    cmark_node *list = cmark_node_parent(item);
    if (cmark_node_get_list_type(list) != CMARK_ORDERED_LIST) {
        med_flow_bullet(w->f);
        return;
    }
    char number[16];
    int first = cmark_node_get_list_start(list), n = first;
    cmark_node *before = cmark_node_previous(item);
    for (; before && n - first < 1000; before = cmark_node_previous(before)) n++;
    snprintf(number, sizeof number, "%d. ", n);
    med_flow_break(w->f);
    med_flow_text(w->f, med_str_of(number));
    w->f->glued = true;
}

static void code_lines(struct med_flow *f, struct med_str code)
{
    med_flow_break(f);
    for (size_t pos = 0; pos < code.len;) {
        const char *end = memchr(code.ptr + pos, '\n', code.len - pos);
        size_t next = end ? (size_t)(end - code.ptr) : code.len;
        med_flow_text(f, med_str_sub(code, pos, next));
        med_flow_break(f);
        pos = next + 1;
    }
}

static void enter(struct walk *w, cmark_node *node)
{
    struct med_str literal = med_str_of(cmark_node_get_literal(node));
    cmark_node_type type = cmark_node_get_type(node);
    if (is_kind(node, "table_cell")) {
        if (cmark_node_previous(node)) med_flow_text(w->f, MED_STR(" | "));
        return;
    }
    switch ((int)type) {
    case CMARK_NODE_HEADING:
        med_flow_break(w->f);
        w->f = &w->g->aux;
        break;
    case CMARK_NODE_ITEM: start_item(w, node); break;
    case CMARK_NODE_TEXT:
    case CMARK_NODE_CODE: med_flow_text(w->f, literal); break;
    case CMARK_NODE_SOFTBREAK: med_flow_text(w->f, MED_STR(" ")); break;
    case CMARK_NODE_LINEBREAK:
        if (w->f == &w->g->flow)
            med_flow_break(w->f);
        else
            med_flow_text(w->f, MED_STR(" "));
        break;
    case CMARK_NODE_CODE_BLOCK: code_lines(w->f, literal); break;
    case CMARK_NODE_HTML_BLOCK:
        med_flow_break(w->f);
        w->code = med_guideline_html(w->g, literal, w->err);
        break;
    case CMARK_NODE_HTML_INLINE: med_flow_text(w->f, MED_STR(" ")); break;
    case CMARK_NODE_PARAGRAPH:
    case CMARK_NODE_LIST:
    case CMARK_NODE_BLOCK_QUOTE:
    case CMARK_NODE_THEMATIC_BREAK:
    case CMARK_NODE_FOOTNOTE_DEFINITION: med_flow_break(w->f); break;
    default:
        if (is_row(node) || is_kind(node, "table")) med_flow_break(w->f);
        break;
    }
}

static void leave(struct walk *w, cmark_node *node)
{
    cmark_node_type type = cmark_node_get_type(node);
    if (type == CMARK_NODE_HEADING) {
        w->f = &w->g->flow;
        struct med_str text = med_flow_take_line(&w->g->aux);
        med_guideline_heading(w->g, (unsigned)cmark_node_get_heading_level(node), text);
    } else if (type == CMARK_NODE_PARAGRAPH || type == CMARK_NODE_ITEM || is_row(node) ||
               type == CMARK_NODE_FOOTNOTE_DEFINITION) {
        med_flow_break(w->f);
    }
}

/* cmark fills every row of a table up to the width of its head: a small text could become billions
 * of cells. */
static bool tables_are_bounded(struct med_str text)
{
    size_t lines = 1, bars = 0, bars_max = 0;
    for (size_t i = 0; i < text.len; i++) {
        bars += text.ptr[i] == '|';
        if (bars > bars_max) bars_max = bars;
        if (text.ptr[i] != '\n') continue;
        lines++;
        bars = 0;
    }
    return bars_max + 1 <= TABLE_CELLS_MAX / lines;
}

static cmark_node *parse(struct med_str text)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    static const char *const EXTENSIONS[] = {"strikethrough", "tasklist", "table"};
    size_t count = sizeof EXTENSIONS / sizeof *EXTENSIONS - (tables_are_bounded(text) ? 0 : 1);
    pthread_once(&once, cmark_gfm_core_extensions_ensure_registered);
    cmark_parser *parser = cmark_parser_new(CMARK_OPT_VALIDATE_UTF8 | CMARK_OPT_FOOTNOTES);
    for (size_t i = 0; i < count; i++) {
        cmark_syntax_extension *extension = cmark_find_syntax_extension(EXTENSIONS[i]);
        if (extension) cmark_parser_attach_syntax_extension(parser, extension);
    }
    cmark_parser_feed(parser, text.ptr ? text.ptr : "", text.len);
    cmark_node *document = cmark_parser_finish(parser);
    cmark_parser_free(parser);
    return document;
}

enum med_code med_guideline_markdown(
    struct med_guideline *g, struct med_str text, struct med_err *err)
{
    struct walk w = {.g = g, .f = &g->flow, .err = err};
    cmark_node *document = parse(text);
    if (!document) return med_fail(err, MED_E_NOMEM, "out of memory for a Markdown text");
    cmark_iter *iter = cmark_iter_new(document);
    for (cmark_event_type event = cmark_iter_next(iter);
         event != CMARK_EVENT_DONE && w.code == MED_OK; event = cmark_iter_next(iter)) {
        cmark_node *node = cmark_iter_get_node(iter);
        /* Struck out is what its authors took back. */
        if (event == CMARK_EVENT_ENTER && is_kind(node, "strikethrough"))
            cmark_iter_reset(iter, node, CMARK_EVENT_EXIT);
        else if (event == CMARK_EVENT_ENTER)
            enter(&w, node);
        else
            leave(&w, node);
    }
    cmark_iter_free(iter);
    cmark_node_free(document);
    return w.code;
}

/* HTML guidelines: the page's <main> if it has one, else its body, without what is not text. */
#include "index/ingest/guideline.h"
#include "index/ingest/html.h"
#include "index/ingest/tree.h"

#include <stdio.h>

static const char *const IGNORED[] = {"script", "style", "nav", "noscript", "template", "iframe",
    "svg", "button", "select", "input", "footer", "object", "canvas", "audio", "video", NULL};
static const char *const BLOCKS[] = {"p", "div", "section", "article", "main", "header", "aside",
    "ul", "ol", "dl", "dd", "table", "caption", "tr", "blockquote", "figure", "figcaption",
    "address", "details", "summary", "fieldset", "hr", "form", "thead", "tbody", "tfoot", "pre",
    "center", NULL};

static unsigned heading_level(const struct med_node *node)
{
    bool heading = node->name.len == 2 && node->name.ptr[0] == 'h' && node->name.ptr[1] >= '1' &&
                   node->name.ptr[1] <= '6';
    return heading ? (unsigned)(node->name.ptr[1] - '0') : 0;
}

static bool has_attr(const struct med_node *node, const char *name)
{
    for (size_t i = 0; i < node->attr_count; i++) {
        if (med_str_eq(node->attrs[i].name, med_str_of(name))) return true;
    }
    return false;
}

static bool is_hidden(const struct med_node *node)
{
    struct med_str role = med_node_attr(node, "role");
    return has_attr(node, "hidden") ||
           med_str_eq(med_node_attr(node, "aria-hidden"), MED_STR("true")) ||
           med_str_eq(role, MED_STR("navigation")) || med_str_eq(role, MED_STR("contentinfo"));
}

/* <sup><a href="#ref1">1</a></sup> */
static bool is_note_mark(const struct med_node *node)
{
    if (!med_node_is(node, "sup")) return false;
    const struct med_node *link = med_node_find(node, "a");
    return link && med_str_starts(med_node_attr(link, "href"), MED_STR("#"));
}

static struct med_str heading_text(struct med_guideline *g, const struct med_node *top)
{
    for (const struct med_node *n = top; n;) {
        bool skip = n != top && (is_hidden(n) || is_note_mark(n));
        if (!skip && n->name.len == 0) med_flow_text(&g->aux, n->text);
        if (med_node_is(n, "br")) med_flow_text(&g->aux, MED_STR(" "));
        n = med_node_next(n, top, skip);
    }
    return med_flow_take_line(&g->aux);
}

/* A cell stays in its row, whatever it holds. */
static void line_break(struct med_guideline *g)
{
    if (g->cell_depth > 0)
        med_flow_text(&g->flow, MED_STR(" "));
    else
        med_flow_break(&g->flow);
}

static bool is_cell(const struct med_node *node)
{
    return med_node_is(node, "td") || med_node_is(node, "th");
}

static void preformatted(struct med_guideline *g, struct med_str text)
{
    for (size_t pos = 0; pos < text.len;) {
        const char *end = memchr(text.ptr + pos, '\n', text.len - pos);
        size_t next = end ? (size_t)(end - text.ptr) : text.len;
        med_flow_text(&g->flow, med_str_sub(text, pos, next));
        if (end) line_break(g);
        pos = next + 1;
    }
}

static void start_item(struct med_guideline *g, const struct med_node *node)
{
    struct med_flow *f = &g->flow;
    line_break(g);
    if (!med_node_is(node->parent, "ol")) {
        if (g->cell_depth == 0) med_flow_bullet(f);
        return;
    }
    unsigned number = 0; /* what is far down an endless list is not counted */
    for (const struct med_node *n = node->parent->first; n && n != node && number < 1000;
         n = n->next)
        number += med_node_is(n, "li");
    char text[16];
    snprintf(text, sizeof text, "%u. ", number + 1);
    med_flow_text(f, med_str_of(text));
    f->glued = true;
}

static void start_cell(struct med_guideline *g, const struct med_node *node)
{
    const struct med_node *n = node->parent ? node->parent->first : node;
    while (n != node && !is_cell(n)) n = n->next;
    if (n != node) med_flow_text(&g->flow, MED_STR(" | "));
    g->cell_depth++;
}

/* True when the node's children are to be read. */
static bool enter(struct med_guideline *g, const struct med_node *node)
{
    if (node->name.len == 0) {
        if (med_node_is(node->parent, "pre"))
            preformatted(g, node->text);
        else
            med_flow_text(&g->flow, node->text);
        return false;
    }
    if (is_hidden(node) || is_note_mark(node) || med_node_is(node, "head")) return false;
    if (heading_level(node) > 0 && g->cell_depth == 0) {
        med_guideline_heading(g, heading_level(node), heading_text(g, node));
        return false;
    }
    if (is_cell(node))
        start_cell(g, node);
    else if (med_node_is(node, "li"))
        start_item(g, node);
    else if (med_node_is(node, "br") || med_node_is(node, "dt") || med_node_in(node, BLOCKS))
        line_break(g);
    return true;
}

static void leave(struct med_guideline *g, const struct med_node *node)
{
    if (is_cell(node)) {
        g->cell_depth--;
    } else if (med_node_is(node, "dt")) {
        med_flow_text(&g->flow, MED_STR(": "));
        g->flow.glued = true;
    } else if (med_node_is(node, "li") || med_node_in(node, BLOCKS)) {
        line_break(g);
    }
}

static void walk(struct med_guideline *g, const struct med_node *top)
{
    const struct med_node *node = top;
    for (;;) {
        bool inside = enter(g, node);
        if (inside && node->first) {
            node = node->first;
            continue;
        }
        if (inside) leave(g, node);
        while (node != top && !node->next) {
            node = node->parent;
            leave(g, node);
        }
        if (node == top) break;
        node = node->next;
    }
}

enum med_code med_guideline_html(struct med_guideline *g, struct med_str text, struct med_err *err)
{
    struct med_tree tree;
    enum med_code code = med_tree_begin(&tree, g->arena, IGNORED, err);
    struct med_xml_handler handler = med_tree_handler(&tree);
    if (code == MED_OK) code = med_html_parse(text, &handler, err);
    if (code != MED_OK) return code;
    const struct med_node *html = med_node_child(tree.root, "html"),
                          *top = med_node_find(tree.root, "main");
    const struct med_node *title = med_node_path(html, "head/title");
    if (html && g->language.len == 0) g->language = med_node_attr(html, "lang");
    if (title && g->page_title.len == 0) g->page_title = heading_text(g, title);
    if (!top) top = html;
    if (top) walk(g, top);
    med_flow_break(&g->flow);
    return MED_OK;
}

/* The elements of JATS's running text (JATS Journal Archiving tag library 1.3; NLM DTD 2.3) and
 * what each means for the flow. An element that is not in the table is inline: its text simply
 * flows on.
 *
 * Left out: tables' cells, references, footnotes of the text, supplementary files, TeX beside
 * MathML, and sections that are about the article instead of its subject (funding, competing
 * interests, contributions). Captions of figures and tables, with the tables' footnotes, become
 * sections of their own. */
#include "index/ingest/jats_text.h"

#include "common/limits.h"

enum role {
    ROLE_INLINE,
    ROLE_BLOCK,   /* a line of its own */
    ROLE_SECTION, /* heading + content */
    ROLE_ITEM,    /* of a list */
    ROLE_TERM,    /* "term: definition" on one line */
    ROLE_TITLE,
    ROLE_LABEL,
    ROLE_CAPTIONED, /* figure, table */
    ROLE_NOTE,      /* footnote: read below tables only */
    ROLE_XREF,
    ROLE_SUPERSCRIPT,
    ROLE_SPACE,
    ROLE_SKIPPED,
};

static const struct {
    const char *name;
    enum role role;
} ROLES[] = {{"abstract", ROLE_BLOCK}, {"ack", ROLE_SKIPPED}, {"address", ROLE_BLOCK},
    {"aff", ROLE_SKIPPED}, {"alt-text", ROLE_SKIPPED}, {"app", ROLE_SECTION},
    {"attrib", ROLE_BLOCK}, {"author-notes", ROLE_SKIPPED}, {"bio", ROLE_SKIPPED},
    {"body", ROLE_BLOCK}, {"boxed-text", ROLE_SECTION}, {"break", ROLE_SPACE},
    {"caption", ROLE_BLOCK}, {"chem-struct-wrap", ROLE_CAPTIONED}, {"contrib-group", ROLE_SKIPPED},
    {"def", ROLE_INLINE}, {"def-item", ROLE_ITEM}, {"def-list", ROLE_BLOCK},
    {"disp-formula", ROLE_BLOCK}, {"disp-quote", ROLE_BLOCK}, {"fig", ROLE_CAPTIONED},
    {"fn", ROLE_NOTE}, {"fn-group", ROLE_SKIPPED}, {"glossary", ROLE_SKIPPED}, {"hr", ROLE_SPACE},
    {"label", ROLE_LABEL}, {"list", ROLE_BLOCK}, {"list-item", ROLE_ITEM},
    {"long-desc", ROLE_SKIPPED}, {"media", ROLE_SKIPPED}, {"notes", ROLE_SKIPPED},
    {"object-id", ROLE_SKIPPED}, {"p", ROLE_BLOCK}, {"permissions", ROLE_SKIPPED},
    {"preformat", ROLE_BLOCK}, {"sec", ROLE_SECTION}, {"sec-meta", ROLE_SKIPPED},
    {"speech", ROLE_BLOCK}, {"statement", ROLE_BLOCK}, {"subtitle", ROLE_BLOCK},
    {"sup", ROLE_SUPERSCRIPT}, {"supplementary-material", ROLE_SKIPPED},
    {"table-wrap", ROLE_CAPTIONED}, {"table-wrap-foot", ROLE_BLOCK}, {"term", ROLE_TERM},
    {"title", ROLE_TITLE}, {"trans-abstract", ROLE_BLOCK}, {"verse-group", ROLE_BLOCK},
    {"verse-line", ROLE_BLOCK}, {"xref", ROLE_XREF}};

const char *const MED_JATS_IGNORED[] = {"annotation", "annotation-xml", "array", "counts",
    "graphic", "inline-graphic", "processing-meta", "ref-list", "response", "sub-article", "table",
    "tex-math", "tgroup", NULL};

/* Headings, letters only and in lower case, of sections that are about the article. */
static const char *const NOISE[] = {"acknowledgement", "acknowledgements", "acknowledgment",
    "acknowledgments", "additionalfile", "additionalfiles", "additionalinformation",
    "associateddata", "authorcontribution", "authorcontributions", "authordisclosures",
    "authorinformation", "authorscontribution", "authorscontributions", "authorsinformation",
    "availabilityofdata", "availabilityofdataandmaterial", "availabilityofdataandmaterials",
    "availabilityofsupportingdata", "availabilityofdatamaterials", "competinginterest",
    "competinginterests", "conflictofinterest", "conflictofinterests",
    "conflictofintereststatement", "conflictsofinterest", "consentforpublication",
    "consenttopublish", "contributors", "contributorship", "copyright", "dataavailability",
    "dataavailabilitystatement", "datasharingstatement", "declarationofcompetinginterest",
    "declarationofconflictinginterests", "declarationofinterest", "declarationofinterests",
    "disclosure", "disclosures", "electronicsupplementarymaterial", "financialdisclosure",
    "financialsupport", "funding", "fundingsource", "fundingsources", "fundingstatement",
    "fundingsupport", "grantsupport", "prepublicationhistory", "provenanceandpeerreview",
    "publishersnote", "references", "roleoffundingsource", "roleofthefundingsource",
    "sourceoffunding", "sourcesoffunding", "supplementary", "supplementarydata",
    "supplementaryfile", "supplementaryfiles", "supplementaryinformation", "supplementarymaterial",
    "supplementarymaterials", "supplementalmaterial", "supplementalmaterials", "supplementaldata",
    "supportinginformation"};

static enum role role_of(const struct med_node *node)
{
    size_t low = 0, high = sizeof ROLES / sizeof *ROLES;
    while (low < high) {
        size_t mid = (low + high) / 2;
        int order = med_str_cmp(node->name, med_str_of(ROLES[mid].name));
        if (order == 0) return ROLES[mid].role;
        if (order < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return ROLE_INLINE;
}

static bool is_noise(struct med_str heading)
{
    char letters[48];
    size_t len = 0;
    for (size_t i = 0; i < heading.len; i++) {
        char c = heading.ptr[i];
        if (c >= 'A' && c <= 'Z') c = (char)(c + 32);
        if (c < 'a' || c > 'z') continue;
        if (len == sizeof letters - 1) return false;
        letters[len++] = c;
    }
    letters[len] = '\0';
    for (size_t i = 0; i < sizeof NOISE / sizeof *NOISE; i++) {
        if (letters[0] == NOISE[i][0] && strcmp(letters, NOISE[i]) == 0) return true;
    }
    return false;
}

void med_jats_text_init(struct med_jats_text *t)
{
    med_flow_init(&t->main);
    med_flow_init(&t->aux);
    med_buf_init(&t->scratch, MED_DOC_TEXT_BYTES_MAX);
}

void med_jats_text_free(struct med_jats_text *t)
{
    med_flow_free(&t->main);
    med_flow_free(&t->aux);
    med_buf_free(&t->scratch);
}

void med_jats_text_begin(struct med_jats_text *t, struct med_arena *arena)
{
    med_flow_begin(&t->main, arena);
    med_flow_begin(&t->aux, arena);
}

/* ---- inline ---- */

/* All character data of the node, as it stands, in t->scratch. */
static struct med_str raw_text(struct med_jats_text *t, const struct med_node *top)
{
    med_buf_reset(&t->scratch);
    for (const struct med_node *n = top; n; n = med_node_next(n, top, false))
        med_buf_append_str(&t->scratch, n->text);
    return med_str_trim(med_buf_str(&t->scratch));
}

/* The child that is all the node holds, white space aside. */
static bool holds_only(const struct med_node *node, const char *name)
{
    bool found = false;
    for (const struct med_node *c = node->first; c; c = c->next) {
        if (med_node_is(c, name))
            found = true;
        else if (c->name.len > 0 || med_str_trim(c->text).len > 0)
            return false;
    }
    return found;
}

static bool in_superscript(const struct med_node *node)
{
    for (int i = 0; i < 3 && node; i++, node = node->parent) {
        if (med_node_is(node, "sup")) return true;
    }
    return false;
}

static bool has_letters(struct med_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if ((s.ptr[i] >= 'a' && s.ptr[i] <= 'z') || (s.ptr[i] >= 'A' && s.ptr[i] <= 'Z'))
            return true;
    }
    return false;
}

/* Citation and footnote markers of every style go; names and years, figures and tables stay. */
static void flow_xref(struct med_jats_text *t, struct med_flow *f, const struct med_node *node)
{
    struct med_str type = med_node_attr(node, "ref-type"), text = raw_text(t, node);
    bool note = med_str_eq(type, MED_STR("fn")) || med_str_eq(type, MED_STR("table-fn"));
    bool reference = med_str_eq(type, MED_STR("bibr")) || med_str_eq(type, MED_STR("ref"));
    if (in_superscript(node) || holds_only(node, "sup"))
        med_flow_cite(f, text, true);
    else if (note)
        med_flow_cite(f, text, !has_letters(text));
    else if (reference && !has_letters(text))
        med_flow_cite(f, text, false);
    else
        med_flow_text(f, text);
}

/* 10<sup>9</sup> is not 109. */
static void flow_superscript(
    struct med_jats_text *t, struct med_flow *f, const struct med_node *node)
{
    if (f->line.len == 0 || med_node_find(node, "xref")) return;
    char before = f->line.data[f->line.len - 1];
    struct med_str text = raw_text(t, node);
    if (before < '0' || before > '9' || text.len == 0) return;
    bool minus = text.ptr[0] == '-' || med_str_starts(text, MED_STR("\xe2\x88\x92")) ||
                 med_str_starts(text, MED_STR("\xe2\x80\x93"));
    if (minus || (text.ptr[0] >= '0' && text.ptr[0] <= '9')) med_flow_text(f, MED_STR("^"));
}

/* MathML whose layout carries the meaning. */
static void flow_math_operator(struct med_flow *f, const struct med_node *node)
{
    bool fraction = med_node_is(node->parent, "mfrac"), power = med_node_is(node->parent, "msup");
    if (!fraction && !power) return;
    const struct med_node *first = node->parent->first;
    while (first && first->name.len == 0) first = first->next;
    if (first != node) med_flow_text(f, fraction ? MED_STR("/") : MED_STR("^"));
}

/* ---- blocks ---- */

/* One walk over a subtree. In a nested one (a caption, a heading) sections and figures mean
 * nothing. */
struct walk {
    struct med_jats_text *t;
    struct med_flow *f;
    bool nested;
    unsigned level; /* of the next section */
};

static void run(struct walk *w, const struct med_node *top);

static struct med_str without_end_mark(struct med_str s)
{
    while (s.len > 0 &&
           (s.ptr[s.len - 1] == '.' || s.ptr[s.len - 1] == ':' || s.ptr[s.len - 1] == ' '))
        s.len--;
    return s;
}

struct med_str med_jats_line(struct med_jats_text *t, const struct med_node *node)
{
    if (!node) return (struct med_str){0};
    struct walk w = {.t = t, .f = &t->aux, .nested = true};
    run(&w, node);
    struct med_str lines = med_flow_take_body(&t->aux);
    if (lines.len == 0 || !memchr(lines.ptr, '\n', lines.len)) return lines;
    char *line = med_arena_strndup(t->aux.arena, lines.ptr, lines.len);
    if (!line) return (struct med_str){0};
    for (size_t i = 0; i < lines.len; i++) {
        if (line[i] == '\n') line[i] = ' ';
    }
    return (struct med_str){.ptr = line, .len = lines.len};
}

static struct med_str section_heading(struct med_jats_text *t, const struct med_node *node)
{
    const struct med_node *title = med_node_child(node, "title");
    if (!title) title = med_node_path(node, "caption/title");
    struct med_str heading = without_end_mark(med_jats_line(t, title));
    if (heading.len == 0)
        heading = without_end_mark(med_jats_line(t, med_node_child(node, "label")));
    if (heading.len == 0 && med_node_is(node, "boxed-text")) heading = MED_STR("Box");
    if (heading.len == 0 && med_node_is(node, "app")) heading = MED_STR("Appendix");
    return heading;
}

static void flow_captioned(struct med_jats_text *t, struct med_flow *f, const struct med_node *node)
{
    struct med_str heading = without_end_mark(med_jats_line(t, med_node_child(node, "label")));
    if (heading.len == 0) heading = med_node_is(node, "fig") ? MED_STR("Figure") : MED_STR("Table");
    struct walk w = {.t = t, .f = &t->aux, .nested = true};
    for (const struct med_node *c = node->first; c; c = c->next) {
        if (c->name.len > 0 && !med_node_is(c, "label") && role_of(c) != ROLE_SKIPPED) run(&w, c);
        med_flow_break(&t->aux);
    }
    med_flow_caption(f, heading, med_flow_take_body(&t->aux));
}

/* The figures and tables that a section about the article holds: publishers put them there when
 * they float at the end of the text. */
static void flow_floats(struct walk *w, const struct med_node *section)
{
    med_flow_break(w->f);
    const struct med_node *n = section;
    for (bool skip = false; (n = med_node_next(n, section, skip));) {
        enum role role = n->name.len > 0 ? role_of(n) : ROLE_INLINE;
        if (role == ROLE_CAPTIONED) flow_captioned(w->t, w->f, n);
        skip = role == ROLE_CAPTIONED || role == ROLE_SKIPPED;
    }
}

/* The label of a list item or footnote opens its line; all others are part of a heading or numbers.
 */
static bool enter_label(struct walk *w, const struct med_node *node)
{
    bool item = med_node_is(node->parent, "list-item"), note = med_node_is(node->parent, "fn");
    bool statement = med_node_is(node->parent, "statement");
    if (item) w->f->bullet = false;
    return item || note || statement;
}

/* True when the node's children are to be read. */
static bool enter(struct walk *w, const struct med_node *node)
{
    static const char *const HEADED[] = {
        "sec", "app", "abstract", "trans-abstract", "boxed-text", NULL};
    struct med_flow *f = w->f;
    if (node->name.len == 0) {
        med_flow_text(f, node->text);
        return false;
    }
    if (node->parent) flow_math_operator(f, node);
    switch (role_of(node)) {
    case ROLE_INLINE:
    case ROLE_TERM: return true;
    case ROLE_BLOCK: med_flow_break(f); return true;
    case ROLE_SECTION:
        if (w->nested) return true;
        struct med_str heading = section_heading(w->t, node);
        if (is_noise(heading)) {
            flow_floats(w, node);
            return false;
        }
        med_flow_heading(f, w->level++, heading);
        return true;
    case ROLE_ITEM: med_flow_bullet(f); return true;
    case ROLE_TITLE:
        if (!w->nested && node->parent &&
            (med_node_in(node->parent, HEADED) || med_node_is(node->parent->parent, "boxed-text")))
            return false; /* it is the heading */
        med_flow_break(f);
        return true;
    case ROLE_LABEL: return enter_label(w, node);
    case ROLE_CAPTIONED:
        if (!w->nested) flow_captioned(w->t, f, node);
        return false;
    case ROLE_NOTE:
        if (w->nested) med_flow_break(f);
        return w->nested;
    case ROLE_XREF: flow_xref(w->t, f, node); return false;
    case ROLE_SUPERSCRIPT: flow_superscript(w->t, f, node); return true;
    case ROLE_SPACE: med_flow_text(f, MED_STR(" ")); return true;
    case ROLE_SKIPPED: return false;
    }
    return true;
}

static void leave(struct walk *w, const struct med_node *node)
{
    switch ((int)role_of(node)) {
    case ROLE_BLOCK:
    case ROLE_TITLE:
    case ROLE_ITEM: med_flow_break(w->f); break;
    case ROLE_NOTE:
        if (w->nested) med_flow_break(w->f);
        break;
    case ROLE_SECTION:
        if (!w->nested) med_flow_leave(w->f, --w->level);
        break;
    case ROLE_TERM:
        med_flow_text(w->f, MED_STR(": "));
        w->f->glued = true;
        break;
    case ROLE_LABEL:
        med_flow_text(w->f, MED_STR(" "));
        w->f->glued = true;
        break;
    default: break;
    }
}

static void run(struct walk *w, const struct med_node *top)
{
    const struct med_node *node = top;
    for (;;) {
        bool plain = w->nested && node == top; /* its role was the caller's concern */
        bool inside = plain || enter(w, node);
        if (inside && node->first) {
            node = node->first;
            continue;
        }
        if (inside && !plain) leave(w, node);
        while (node != top && !node->next) {
            node = node->parent;
            if (node != top || !w->nested) leave(w, node);
        }
        if (node == top) break;
        node = node->next;
    }
}

void med_jats_flow(struct med_jats_text *t, const struct med_node *node, unsigned level)
{
    struct walk w = {.t = t, .f = &t->main, .level = level};
    run(&w, node);
    med_flow_break(&t->main);
}

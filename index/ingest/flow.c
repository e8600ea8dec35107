#include "index/ingest/flow.h"

#include "common/limits.h"
#include "common/mem.h"
#include "index/ingest/clean.h"

/* Stand in a line for the start and end of a citation marker; control characters never come from an
 * input. */
#define CITE_START '\x01'
#define CITE_END '\x02'

void med_flow_init(struct med_flow *flow)
{
    *flow = (struct med_flow){0};
    med_buf_init(&flow->body, MED_DOC_TEXT_BYTES_MAX);
    med_buf_init(&flow->line, MED_DOC_TEXT_BYTES_MAX);
    med_buf_init(&flow->scratch, 2 * MED_DOC_TEXT_BYTES_MAX);
}

void med_flow_free(struct med_flow *flow)
{
    med_buf_free(&flow->body);
    med_buf_free(&flow->line);
    med_buf_free(&flow->scratch);
    med_free(flow->sections);
    med_free(flow->captions);
    *flow = (struct med_flow){0};
}

void med_flow_begin(struct med_flow *flow, struct med_arena *arena)
{
    flow->arena = arena;
    flow->count = flow->caption_count = 0;
    flow->kind = MED_SECTION_BODY;
    flow->depth = 0;
    flow->base = flow->open[0].heading = flow->open[0].path = (struct med_str){0};
    flow->open[0].written = false;
    flow->bullet = flow->glued = false;
    flow->code = MED_OK;
    med_buf_reset(&flow->body);
    med_buf_reset(&flow->line);
}

static void fail(struct med_flow *flow, enum med_code code)
{
    if (flow->code == MED_OK) flow->code = code;
}

static void fail_limit(struct med_flow *flow, const char *what)
{
    fail(flow, med_fail(&flow->err, MED_E_LIMIT, "the document has too many %s", what));
}

static bool is_blank(struct med_str s)
{
    return med_str_trim(s).len == 0;
}

/* ---- lines ---- */

void med_flow_text(struct med_flow *flow, struct med_str text)
{
    bool blank = is_blank(text);
    if (blank && flow->line.len == 0) return;
    if (!blank) {
        if (flow->bullet) med_buf_puts(&flow->line, "- ");
        flow->bullet = flow->glued = false;
    }
    size_t at = flow->line.len;
    med_buf_append_str(&flow->line, text);
    for (; at < flow->line.len; at++) {
        char *c = &flow->line.data[at];
        if (*c == CITE_START || *c == CITE_END) *c = ' ';
    }
}

void med_flow_cite(struct med_flow *flow, struct med_str text, bool superscript)
{
    med_buf_putc(&flow->line, CITE_START);
    if (!superscript) med_flow_text(flow, text);
    med_buf_putc(&flow->line, CITE_END);
}

static bool starts_any(const char *p, const char *end, const char *const *list, size_t *ret_len)
{
    for (; *list; list++) {
        size_t len = strlen(*list);
        if ((size_t)(end - p) >= len && memcmp(p, *list, len) == 0) {
            *ret_len = len;
            return true;
        }
    }
    return false;
}

/* Behind the run of markers and what separates them that starts at p; *ret_markers counts them,
 * *ret_behind is the place behind the last one. */
static const char *marker_run(
    const char *p, const char *end, const char **ret_behind, size_t *ret_markers)
{
    static const char *const SEPARATORS[] = {" ", ",", ";", "-", "\xe2\x80\x93", "\xe2\x80\x94",
        "\xe2\x80\x91", "\xc2\xa0", "\xe2\x80\x89", "\n", NULL};
    *ret_markers = 0;
    *ret_behind = p;
    for (size_t len; p < end;) {
        if (*p == CITE_START) {
            const char *close = memchr(p, CITE_END, (size_t)(end - p));
            if (!close) break;
            p = *ret_behind = close + 1;
            ++*ret_markers;
        } else if (starts_any(p, end, SEPARATORS, &len)) {
            p += len;
        } else {
            break;
        }
    }
    return p;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Removes citation markers from the line, in place. */
static void drop_citations(struct med_buf *line)
{
    if (line->len == 0 || !memchr(line->data, CITE_START, line->len)) return;
    const char *p = line->data, *end = p + line->len, *behind;
    char *out = line->data;
    size_t markers;
    while (p < end) {
        if (*p == '[' || *p == '(') {
            const char *close = marker_run(p + 1, end, &behind, &markers);
            if (markers > 0 && close < end && *close == (*p == '[' ? ']' : ')')) {
                while (out > line->data && is_space(out[-1])) out--;
                p = close + 1;
                continue;
            }
        } else if (*p == CITE_START && p + 1 < end && p[1] == CITE_END) {
            const char *run = p;
            p += 2;
            /* Separators go only where another superscript marker follows them. */
            (void)marker_run(run, end, &behind, &markers);
            if (markers > 1) p = behind;
            if (p < end && strchr(".,;:)", *p)) {
                while (out > line->data && is_space(out[-1])) out--;
            }
            continue;
        }
        if (*p != CITE_START && *p != CITE_END) *out++ = *p;
        p++;
    }
    line->len = (size_t)(out - line->data);
}

struct med_str med_flow_take_line(struct med_flow *flow)
{
    struct med_str line = {0};
    drop_citations(&flow->line);
    enum med_code code = med_buf_status(&flow->line, &flow->err);
    if (code == MED_OK)
        code = med_clean_line(
            med_buf_str(&flow->line), flow->arena, &flow->scratch, &line, &flow->err);
    fail(flow, code);
    med_buf_reset(&flow->line);
    flow->bullet = flow->glued = false;
    return line;
}

void med_flow_break(struct med_flow *flow)
{
    if (flow->glued || (flow->line.len == 0 && flow->line.code == MED_OK)) return;
    bool bullet = flow->bullet;
    struct med_str line = med_flow_take_line(flow);
    if (line.len == 0) {
        flow->bullet = bullet;
        return;
    }
    if (flow->body.len > 0) med_buf_putc(&flow->body, '\n');
    med_buf_append_str(&flow->body, line);
    if (flow->body.code != MED_OK) fail(flow, med_buf_status(&flow->body, &flow->err));
}

void med_flow_bullet(struct med_flow *flow)
{
    flow->glued = false;
    med_flow_break(flow);
    flow->bullet = true;
}

/* ---- sections ---- */

static struct med_section *append(struct med_flow *flow)
{
    if (flow->count >= MED_DOC_SECTIONS_MAX) {
        fail_limit(flow, "sections");
        return NULL;
    }
    if (!med_grow(&flow->sections, &flow->cap, flow->count + 1, sizeof *flow->sections)) {
        fail(flow, med_fail(&flow->err, MED_E_NOMEM, "out of memory for sections"));
        return NULL;
    }
    return &flow->sections[flow->count++];
}

struct med_str med_flow_take_body(struct med_flow *flow)
{
    struct med_str body = {0};
    flow->glued = false;
    med_flow_break(flow);
    flow->bullet = false;
    if (flow->body.len > 0 && !med_arena_str(flow->arena, med_buf_str(&flow->body), &body))
        fail(flow, med_fail(&flow->err, MED_E_NOMEM, "out of memory for a section"));
    med_buf_reset(&flow->body);
    return body;
}

/* Writes the open section, if it has text or a heading that was not written yet, and the captions
 * that wait. */
static void flush(struct med_flow *flow)
{
    struct med_str body = med_flow_take_body(flow);
    unsigned d = flow->depth;
    bool heading = flow->open[d].heading.len > 0 && !flow->open[d].written;
    if (flow->code == MED_OK && (heading || body.len > 0)) {
        struct med_section *s = append(flow);
        if (s)
            *s = (struct med_section){
                .path = flow->open[d].path.len > 0 ? flow->open[d].path : flow->open[0].path,
                .heading = heading ? flow->open[d].heading : (struct med_str){0},
                .body = body,
                .kind = flow->kind,
                .level = heading ? (uint8_t)d : 0};
        flow->open[d].written = true;
    }
    for (size_t i = 0; i < flow->caption_count && flow->code == MED_OK; i++) {
        struct med_section *s = append(flow);
        if (s) *s = flow->captions[i];
    }
    flow->caption_count = 0;
}

static struct med_str join(struct med_flow *flow, struct med_str path, struct med_str heading)
{
    if (path.len == 0) return heading;
    if (heading.len == 0) return path;
    char *joined = med_arena_printf(
        flow->arena, MED_STR_FMT " > " MED_STR_FMT, MED_STR_ARG(path), MED_STR_ARG(heading));
    if (!joined) fail(flow, med_fail(&flow->err, MED_E_NOMEM, "out of memory for a heading path"));
    return med_str_of(joined);
}

void med_flow_leave(struct med_flow *flow, unsigned level)
{
    flush(flow);
    if (level < 1) level = 1;
    if (flow->depth >= level) flow->depth = level - 1;
}

void med_flow_heading(struct med_flow *flow, unsigned level, struct med_str heading)
{
    if (level >= MED_FLOW_DEPTH_MAX) level = MED_FLOW_DEPTH_MAX - 1;
    med_flow_leave(flow, level);
    struct med_str path = flow->depth > 0 ? flow->open[flow->depth].path : flow->base;
    while (flow->depth < level) { /* a skipped level has no name of its own */
        flow->depth++;
        flow->open[flow->depth].heading = (struct med_str){0};
        flow->open[flow->depth].path = path;
        flow->open[flow->depth].written = false;
    }
    flow->open[level].heading = heading;
    flow->open[level].path = join(flow, path, heading);
}

void med_flow_base(struct med_flow *flow, struct med_str base, struct med_str lone)
{
    flush(flow);
    flow->depth = 0;
    flow->base = base;
    flow->open[0].path = lone;
}

void med_flow_caption(struct med_flow *flow, struct med_str heading, struct med_str body)
{
    if (body.len == 0 || flow->code != MED_OK) return;
    if (!med_grow(
            &flow->captions, &flow->caption_cap, flow->caption_count + 1, sizeof *flow->captions)) {
        fail(flow, med_fail(&flow->err, MED_E_NOMEM, "out of memory for captions"));
        return;
    }
    unsigned d = flow->depth;
    struct med_str outer = d > 0 ? flow->open[d].path : flow->base;
    flow->captions[flow->caption_count++] = (struct med_section){.path = join(flow, outer, heading),
        .heading = heading,
        .body = body,
        .kind = MED_SECTION_CAPTION,
        .level = (uint8_t)(d + 1)};
}

static bool is_below(struct med_str path, struct med_str above)
{
    return path.len > above.len + 3 && med_str_starts(path, above) &&
           memcmp(path.ptr + above.len, " > ", 3) == 0;
}

enum med_code med_flow_finish(struct med_flow *flow, bool keep_lone_headings, struct med_err *err)
{
    flush(flow);
    if (flow->code != MED_OK) {
        if (err) *err = flow->err;
        return flow->code;
    }
    if (keep_lone_headings) return MED_OK;
    /* From the end, so that a section whose sub-sections all were empty goes too. */
    size_t kept = flow->count;
    for (size_t i = flow->count; i-- > 0;) {
        const struct med_section *s = &flow->sections[i];
        bool parent = kept < flow->count && is_below(flow->sections[kept].path, s->path);
        if (s->body.len > 0 || parent) flow->sections[--kept] = *s;
    }
    flow->count -= kept;
    if (flow->count > 0)
        memmove(flow->sections, flow->sections + kept, flow->count * sizeof *flow->sections);
    return MED_OK;
}

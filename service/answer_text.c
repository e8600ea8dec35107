/* Search answers as a list for people, on a terminal or through curl. */
#include "service/answer.h"

#include "common/limits.h"
#include "common/unicode.h"

#define WRAP_COLUMNS 96

#define BOLD "\033[1m"
#define DIM "\033[2m"
#define PLAIN "\033[0m"

/* Writes s wrapped at words, indented; the bytes inside marks are bold where color is on. Text from
 * documents never sends escape sequences to a terminal: controls become spaces. */
static void wrapped(const struct view *view, struct med_str s, const struct med_span *marks,
    size_t mark_count, struct med_buf *out)
{
    size_t column = 0, mark = 0;
    bool bold = false;
    med_buf_puts(out, "   ");
    for (size_t i = 0; i < s.len;) {
        size_t end = i;
        while (end < s.len && (unsigned char)s.ptr[end] > ' ') end++;
        if (column && column + (end - i) >= WRAP_COLUMNS) {
            med_buf_puts(out, "\n   ");
            column = 0;
        } else if (column && end > i) {
            med_buf_putc(out, ' ');
            column++;
        }
        for (; i < end; i++) {
            while (mark < mark_count && marks[mark].end <= i) mark++;
            bool inside = view->color && mark < mark_count && marks[mark].start <= i;
            if (inside != bold) med_buf_puts(out, inside ? BOLD : PLAIN);
            bold = inside;
            med_buf_putc(out, s.ptr[i] == 0x7F ? ' ' : s.ptr[i]);
            column++;
        }
        if (bold) med_buf_puts(out, PLAIN);
        bold = false;
        while (i < s.len && (unsigned char)s.ptr[i] <= ' ') i++;
    }
    med_buf_putc(out, '\n');
}

static void one_line(struct med_str s, struct med_buf *out)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        med_buf_putc(out, c < ' ' || c == 0x7F ? ' ' : (char)c);
    }
}

static void result_text(const struct view *view, const struct search_params *params, size_t number,
    const struct med_result *r, struct med_buf *out)
{
    med_buf_printf(out, "%zu. %s", number, view->color ? BOLD : "");
    one_line(r->title.len ? r->title : r->document_id, out);
    if (view->color) med_buf_puts(out, PLAIN);
    flags_text(r->flags, out);
    med_buf_puts(out, "\n   ");
    if (view->color) med_buf_puts(out, DIM);
    one_line(r->id, out);
    if (r->doc->date.year) med_buf_printf(out, " | %u", r->doc->date.year);
    med_buf_printf(out, " | %s | %s | score %.4f", med_source_name(r->doc->source),
        med_evidence_name(r->evidence), r->rank.score);
    if (params->explain) {
        const struct med_authority *a = &r->rank.authority_parts;
        med_buf_printf(out,
            " = lexical %.4f + dense %.4f + evidence %.4f + grade %.4f + recency %.4f + retraction "
            "%.4f",
            r->rank.lexical_part, r->rank.dense_part, a->evidence, a->grade, a->recency, a->status);
    }
    if (view->color) med_buf_puts(out, PLAIN);
    med_buf_putc(out, '\n');
    if (params->detailed)
        wrapped(view, r->text, NULL, 0, out);
    else
        wrapped(view, r->snippet, r->highlights, r->highlight_count, out);
    med_buf_puts(out, "   ");
    document_url(view, r->url, r->document_id, out);
    med_buf_puts(out, "\n\n");
}

/* Sentences for the reader, in front of the results. */
static void hints_text(const struct med_ranking *ranking, struct med_buf *out)
{
    for (size_t i = 0; i < ranking->notice_count; i++) {
        one_line(ranking->notices[i], out);
        med_buf_putc(out, '\n');
    }
    if (ranking->suggestion.len && !ranking->searched.len) {
        med_buf_puts(out, "Did you mean: ");
        one_line(ranking->suggestion, out);
        med_buf_putc(out, '\n');
    }
    for (size_t i = 0; i < ranking->expansion_count; i++) {
        const struct med_expansion *e = &ranking->expansions[i];
        med_buf_puts(out, i ? "; " : "Also: ");
        one_line(e->typed, out);
        for (size_t k = 0; k < e->added_count; k++) {
            med_buf_puts(out, k ? ", " : " -> ");
            one_line(e->added[k], out);
        }
    }
    if (ranking->expansion_count) med_buf_puts(out, "\n\n");
}

static void footer(const struct view *view, const struct search_params *params,
    const struct med_manifest *manifest, const struct med_answer *answer, struct med_buf *out)
{
    const struct med_ranking *ranking = answer->ranking;
    if (answer->count == 0 && !view->held_back)
        med_buf_puts(out, ranking->count ? "No results behind this offset.\n"
                                         : "No results. Try other words or fewer filters.\n");
    else
        med_buf_printf(out, "%u to %zu of %s%llu, %s, ", params->request.offset + 1,
            params->request.offset + answer->count, ranking->total_exact ? "" : "at least ",
            (unsigned long long)ranking->total, med_mode_name(ranking->mode));
    meta_text(view, manifest, out);
    med_buf_putc(out, '\n');
    if (view->cut) med_buf_puts(out, "The last text is cut; fetch its id for all of it.\n");
    if (view->held_back)
        med_buf_printf(out, "%zu results are left out by max_tokens.\n", view->held_back);
    if (view->next_cursor[0]) med_buf_printf(out, "More: cursor %s\n", view->next_cursor);
}

void answer_text(const struct view *view, const struct search_params *params,
    const struct med_manifest *manifest, const struct med_answer *answer, struct med_buf *out)
{
    hints_text(answer->ranking, out);
    for (size_t i = 0; i < answer->count; i++)
        result_text(view, params, params->request.offset + i + 1, &answer->results[i], out);
    footer(view, params, manifest, answer, out);
}

/* --- Markdown --- */

/* As plain text of Markdown, in one line; the bytes inside marks are bold. */
static void escaped(
    struct med_str s, const struct med_span *marks, size_t mark_count, struct med_buf *out)
{
    for (size_t i = 0, mark = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (mark < mark_count && marks[mark].start == i) med_buf_puts(out, "**");
        if (c && strchr("\\`*_[]<>", c)) med_buf_putc(out, '\\');
        med_buf_putc(out, c < ' ' || c == 0x7F ? ' ' : (char)c);
        if (mark < mark_count && marks[mark].end == i + 1) {
            med_buf_puts(out, "**");
            mark++;
        }
    }
}

static void result_markdown(const struct view *view, const struct search_params *params,
    size_t number, const struct med_result *r, struct med_buf *out)
{
    med_buf_printf(out, "%zu. **", number);
    escaped(r->title.len ? r->title : r->document_id, NULL, 0, out);
    med_buf_puts(out, "**");
    flags_text(r->flags, out);
    med_buf_puts(out, "  \n   `");
    one_line(r->id, out);
    med_buf_putc(out, '`');
    if (r->doc->date.year) med_buf_printf(out, ", %u", r->doc->date.year);
    med_buf_printf(out, ", %s, %s, score %.4f  \n   ", med_source_name(r->doc->source),
        med_evidence_name(r->evidence), r->rank.score);
    if (params->detailed)
        escaped(r->text, NULL, 0, out);
    else
        escaped(r->snippet, r->highlights, r->highlight_count, out);
    med_buf_puts(out, "  \n   <");
    document_url(view, r->url, r->document_id, out);
    med_buf_puts(out, ">\n\n");
}

void answer_markdown(const struct view *view, const struct search_params *params,
    const struct med_manifest *manifest, const struct med_answer *answer, struct med_buf *out)
{
    hints_text(answer->ranking, out);
    if (out->len && answer->count) med_buf_putc(out, '\n');
    for (size_t i = 0; i < answer->count; i++)
        result_markdown(view, params, params->request.offset + i + 1, &answer->results[i], out);
    footer(view, params, manifest, answer, out);
}

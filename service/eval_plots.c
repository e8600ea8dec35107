/* The plots of the evaluation page: inline SVG that takes its colours from the page's style sheet,
 * so that it follows light and dark. Every mark has a <title> that says its value. */
#include "service/eval_report.h"

#include <math.h>
#include <stdio.h>

#define PLOT_WIDTH 370 /* two plots beside each other */

void eval_html_escape(struct med_str text, struct med_buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        switch (text.ptr[i]) {
        case '&': med_buf_puts(out, "&amp;"); break;
        case '<': med_buf_puts(out, "&lt;"); break;
        case '>': med_buf_puts(out, "&gt;"); break;
        case '"': med_buf_puts(out, "&quot;"); break;
        default: med_buf_putc(out, text.ptr[i]);
        }
    }
}

static void open_svg(int width, int height, const char *label, struct med_buf *out)
{
    med_buf_printf(out,
        "<svg viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\" aria-label=\"%s\">\n",
        width, height, width, height, label);
}

static void text_at(double x, double y, const char *class, const char *text, struct med_buf *out)
{
    med_buf_printf(out, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">%s</text>\n", x, y, class, text);
}

static void line_at(
    double x1, double y1, double x2, double y2, const char *class, struct med_buf *out)
{
    med_buf_printf(out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"%s\"/>\n",
        x1, y1, x2, y2, class);
}

/* --- one measure, a bar for each mode --- */

void eval_plot_measure(const struct eval_view *v, enum med_measure m, struct med_buf *out)
{
    const int left = 62, width = PLOT_WIDTH, row = 26, top = 28;
    const double room = width - left - 56;
    open_svg(width, top + row * (int)v->options->mode_count + 6, eval_measure_label(m), out);
    text_at(0, 14, "name", eval_measure_label(m), out);
    for (size_t i = 0; i < v->options->mode_count; i++) {
        const char *mode = med_mode_name(v->options->modes[i]);
        double value = med_measure_of(&v->report->modes[i], m);
        double y = top + row * (double)i;
        text_at(left - 8, y + 13, "end", mode, out);
        med_buf_printf(out,
            "<rect x=\"%d\" y=\"%.1f\" width=\"%.1f\" height=\"18\" rx=\"2\" class=\"%s\">"
            "<title>%s %s %.4f</title></rect>\n",
            left, y, fmax(value * room, 1), mode, mode, eval_measure_label(m), value);
        med_buf_printf(out, "<text x=\"%.1f\" y=\"%.1f\" class=\"value\">%.4f</text>\n",
            left + value * room + 6, y + 13, value);
    }
    line_at(left, top - 4, left, top + row * (double)v->options->mode_count, "axis", out);
    med_buf_puts(out, "</svg>\n");
}

/* --- sorted differences --- */

#define DIFF_WIDTH 760
#define DIFF_LEFT 48
#define DIFF_TOP 10
#define DIFF_HALF 84.0           /* height from 0 to the largest difference */
#define DIFF_TITLED_QUERIES 400u /* more marks than that are thinner than a pointer */

/* The area between 0 and the differences of one sign, as steps. */
static void step_area(const struct med_eval_comparison *c, size_t begin, size_t end, double slot,
    double scale, const char *class, struct med_buf *out)
{
    if (begin == end) return;
    const double zero = DIFF_TOP + DIFF_HALF;
    med_buf_printf(
        out, "<path class=\"%s\" d=\"M%.2f %.1f", class, DIFF_LEFT + slot * (double)begin, zero);
    for (size_t i = begin; i < end; i++)
        med_buf_printf(out, "V%.1fH%.2f", zero - c->changes[i].difference * scale,
            DIFF_LEFT + slot * (double)(i + 1));
    med_buf_printf(out, "V%.1fZ\"/>\n", zero);
}

static void difference_titles(const struct eval_view *v, const struct med_eval_comparison *c,
    double slot, struct med_buf *out)
{
    for (size_t i = 0; i < v->report->query_count; i++) {
        const struct med_eval_row *q = &v->report->queries[c->changes[i].query];
        med_buf_printf(out,
            "<rect x=\"%.2f\" y=\"%d\" width=\"%.2f\" height=\"%.0f\" class=\"hover\"><title>",
            DIFF_LEFT + slot * (double)i, DIFF_TOP, slot, 2 * DIFF_HALF);
        eval_html_escape(q->id, out);
        med_buf_printf(out, " %+.4f: ", c->changes[i].difference);
        eval_html_escape(q->text, out);
        med_buf_puts(out, "</title></rect>\n");
    }
}

void eval_plot_differences(
    const struct eval_view *v, const struct med_eval_comparison *c, struct med_buf *out)
{
    size_t n = (size_t)v->report->query_count;
    double largest = fmax(fabs(c->changes[0].difference), fabs(c->changes[n - 1].difference));
    largest = fmax(ceil(largest * 4) / 4, 0.25);
    double slot = (DIFF_WIDTH - DIFF_LEFT - 8) / (double)n;
    const double zero = DIFF_TOP + DIFF_HALF;
    open_svg(DIFF_WIDTH, 2 * DIFF_TOP + 2 * (int)DIFF_HALF + 14, "differences per query", out);
    for (int i = -2; i <= 2; i++) {
        char label[16];
        double y = zero - i * DIFF_HALF / 2;
        snprintf(label, sizeof label, i ? "%+.3g" : "%.0f", i * largest / 2);
        line_at(DIFF_LEFT, y, DIFF_WIDTH - 8, y, i ? "grid" : "axis", out);
        text_at(DIFF_LEFT - 6, y + 4, "end", label, out);
    }
    step_area(c, 0, (size_t)c->worse, slot, DIFF_HALF / largest, "down", out);
    step_area(c, n - (size_t)c->better, n, slot, DIFF_HALF / largest, "up", out);
    if (n <= DIFF_TITLED_QUERIES) difference_titles(v, c, slot, out);
    char label[96];
    snprintf(label, sizeof label, "%llu worse", (unsigned long long)c->worse);
    text_at(DIFF_LEFT, 2 * zero + 8, "start", label, out);
    snprintf(label, sizeof label, "%llu equal", (unsigned long long)c->equal);
    text_at((DIFF_LEFT + DIFF_WIDTH) / 2.0, 2 * zero + 8, "middle", label, out);
    snprintf(label, sizeof label, "%llu better", (unsigned long long)c->better);
    text_at(DIFF_WIDTH - 8, 2 * zero + 8, "end", label, out);
    med_buf_puts(out, "</svg>\n");
}

/* --- a sweep --- */

#define SWEEP_HEIGHT 210
#define SWEEP_LEFT 48
#define SWEEP_RIGHT 14
#define SWEEP_TOP 28
#define SWEEP_BOTTOM 26

struct frame {
    double x0, x1, y0, y1; /* values at the edges */
};

static double frame_x(const struct frame *f, double x)
{
    double share = f->x1 > f->x0 ? (x - f->x0) / (f->x1 - f->x0) : 0.5;
    return SWEEP_LEFT + share * (PLOT_WIDTH - SWEEP_LEFT - SWEEP_RIGHT);
}

static double frame_y(const struct frame *f, double y)
{
    double share = (y - f->y0) / (f->y1 - f->y0);
    return SWEEP_HEIGHT - SWEEP_BOTTOM - share * (SWEEP_HEIGHT - SWEEP_TOP - SWEEP_BOTTOM);
}

/* 1, 2 or 5 times a power of ten: about four grid lines. */
static double grid_step(double range)
{
    double power = pow(10, floor(log10(range / 4))), rest = range / 4 / power;
    return power * (rest > 5 ? 10 : rest > 2 ? 5 : rest > 1 ? 2 : 1);
}

static void sweep_grid(const struct frame *f, double step, struct med_buf *out)
{
    char label[32];
    for (double y = f->y0; y <= f->y1 + step / 2; y += step) {
        line_at(SWEEP_LEFT, frame_y(f, y), PLOT_WIDTH - SWEEP_RIGHT, frame_y(f, y), "grid", out);
        snprintf(label, sizeof label, "%.*f", step < 0.0099 ? 3 : 2, y);
        text_at(SWEEP_LEFT - 6, frame_y(f, y) + 4, "end", label, out);
    }
    for (int i = 0; i <= 4; i++) {
        double x = f->x0 + (f->x1 - f->x0) * i / 4;
        snprintf(label, sizeof label, "%.3g", x);
        text_at(frame_x(f, x), SWEEP_HEIGHT - 8, "middle", label, out);
    }
}

void eval_plot_sweep(
    const struct eval_view *v, size_t number, enum med_measure m, struct med_buf *out)
{
    const struct med_sweep *s = &v->options->sweeps[number];
    const struct med_sweep_point *points = v->report->sweeps[number];
    size_t n = med_sweep_value_count(s), best = 0;
    struct frame f = {s->from, points[n - 1].value, 1, 0};
    for (size_t i = 0; i < n; i++) {
        double y = med_measure_of(&points[i].scores, m);
        f.y0 = fmin(f.y0, y);
        f.y1 = fmax(f.y1, y);
        if (y > med_measure_of(&points[best].scores, m)) best = i;
    }
    double step = grid_step(fmax(f.y1 - f.y0, 0.004));
    f.y0 = floor(f.y0 / step) * step;
    f.y1 = fmax(ceil(f.y1 / step - 1e-9) * step, f.y0 + step);
    if (f.y1 > 1 + step / 2) { /* all of them are 1 */
        f.y0 -= step;
        f.y1 -= step;
    }
    double used = s->of == MED_SWEEP_FUSION ? v->fusion_weight : v->authority_weight;
    char title[96];
    snprintf(title, sizeof title, "%s, best %.4f at %.4g", eval_measure_label(m),
        med_measure_of(&points[best].scores, m), points[best].value);
    open_svg(PLOT_WIDTH, SWEEP_HEIGHT, title, out);
    text_at(0, 14, "name", title, out);
    sweep_grid(&f, step, out);
    if (used >= f.x0 && used <= f.x1)
        line_at(frame_x(&f, used), SWEEP_TOP, frame_x(&f, used), SWEEP_HEIGHT - SWEEP_BOTTOM,
            "used", out);
    med_buf_puts(out, "<polyline class=\"curve\" points=\"");
    for (size_t i = 0; i < n; i++)
        med_buf_printf(out, "%.1f,%.1f ", frame_x(&f, points[i].value),
            frame_y(&f, med_measure_of(&points[i].scores, m)));
    med_buf_puts(out, "\"/>\n");
    for (size_t i = 0; i < n; i++) {
        double y = med_measure_of(&points[i].scores, m);
        med_buf_printf(out,
            "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%s\" class=\"dot\"><title>%.4g: %.4f"
            "</title></circle>\n",
            frame_x(&f, points[i].value), frame_y(&f, y), i == best ? "5" : "3", points[i].value,
            y);
    }
    med_buf_puts(out, "</svg>\n");
}

/* --- evidence: article and passage side by side --- */

void eval_plot_passages(
    const struct eval_view *v, size_t mode, enum med_group group, struct med_buf *out)
{
    const int width = 240, left = 34, top = 28, height = 170, bottom = 22;
    const double room = height - top - bottom;
    const struct med_passage_scores *s = &v->report->passages.modes[mode][group];
    char title[64], label[32];
    snprintf(title, sizeof title, "%s, group_by %s", med_mode_name(v->options->modes[mode]),
        eval_group_name(group));
    open_svg(width, height, title, out);
    text_at(0, 14, "name", title, out);
    for (int i = 0; i <= 2; i++) {
        double y = top + room * (2 - i) / 2;
        snprintf(label, sizeof label, "%.1f", i / 2.0);
        line_at(left, y, width, y, i ? "grid" : "axis", out);
        text_at(left - 6, y + 4, "end", label, out);
    }
    for (size_t d = 0; d < MED_PASSAGE_DEPTHS; d++) {
        double x = left + 10 + 66 * (double)d;
        const double values[2] = {s->article.success[d], s->passage.success[d]};
        for (int k = 0; k < 2; k++)
            med_buf_printf(out,
                "<rect x=\"%.1f\" y=\"%.1f\" width=\"22\" height=\"%.1f\" class=\"%s\">"
                "<title>%s in the first %u: %.4f</title></rect>\n",
                x + 24 * k, top + room * (1 - values[k]), room * values[k],
                k ? "passage" : "article", k ? "passage" : "article", med_passage_depths[d],
                values[k]);
        snprintf(label, sizeof label, "first %u", med_passage_depths[d]);
        text_at(x + 23, height - 6, "middle", label, out);
    }
    med_buf_puts(out, "</svg>\n");
}

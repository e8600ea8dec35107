/* Plain text: the first line is the title, blank lines part paragraphs, lines of one paragraph are
 * joined.
 *
 * A line is a heading if it is underlined with '=' or '-', or stands alone between blank lines, is
 * short, does not end like a sentence, and is numbered ("2.1 Dosage", unless the next line counts
 * on as in a list) or all in capitals. */
#include "index/ingest/guideline.h"

#define HEADING_BYTES_MAX 100
#define HEADING_WORDS_MAX 12

struct lines {
    struct med_str text;
    size_t pos;
};

/* The next line without its end; false behind the last one. */
static bool next_line(struct lines *l, struct med_str *ret_line)
{
    if (l->pos >= l->text.len) return false;
    const char *end = memchr(l->text.ptr + l->pos, '\n', l->text.len - l->pos);
    size_t stop = end ? (size_t)(end - l->text.ptr) : l->text.len;
    *ret_line = med_str_trim(med_str_sub(l->text, l->pos, stop));
    l->pos = stop + 1;
    return true;
}

static struct med_str peek(struct lines l, bool skip_blank)
{
    struct med_str line = {0};
    while (next_line(&l, &line) && line.len == 0 && skip_blank) continue;
    return line;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* 1 for '=', 2 for '-', 0 for anything else. */
static unsigned underline_level(struct med_str line)
{
    if (line.len < 3 || (line.ptr[0] != '=' && line.ptr[0] != '-')) return 0;
    for (size_t i = 1; i < line.len; i++) {
        if (line.ptr[i] != line.ptr[0]) return 0;
    }
    return line.ptr[0] == '=' ? 1 : 2;
}

/* "2.1 Dosage" -> 2, "3. Aims" -> 1, else 0. *ret_end: behind the number and its spaces. */
static unsigned number_level(struct med_str line, size_t *ret_end)
{
    unsigned level = 0;
    size_t at = 0;
    while (at < line.len && is_digit(line.ptr[at])) {
        while (at < line.len && is_digit(line.ptr[at])) at++;
        level++;
        if (at < line.len && line.ptr[at] == '.') at++;
    }
    if (level == 0 || at >= line.len || line.ptr[at] != ' ' || at > 12) return 0;
    while (at < line.len && line.ptr[at] == ' ') at++;
    *ret_end = at;
    return at < line.len ? level : 0;
}

static bool is_all_capitals(struct med_str line)
{
    unsigned letters = 0;
    for (size_t i = 0; i < line.len; i++) {
        char c = line.ptr[i];
        if ((c >= 'a' && c <= 'z') || (unsigned char)c >= 0x80) return false;
        letters += c >= 'A' && c <= 'Z';
    }
    return letters >= 4;
}

static bool is_short(struct med_str line)
{
    unsigned words = 1;
    for (size_t i = 0; i < line.len; i++) words += line.ptr[i] == ' ';
    return line.len <= HEADING_BYTES_MAX && words <= HEADING_WORDS_MAX &&
           !strchr(".;,", line.ptr[line.len - 1]);
}

static bool is_item(struct med_str line)
{
    size_t end;
    if (line.len > 2 && strchr("-*+", line.ptr[0]) && line.ptr[1] == ' ') return true;
    if (med_str_starts(line, MED_STR("\xe2\x80\xa2"))) return true;
    bool bracket = line.len > 3 &&
                   (is_digit(line.ptr[0]) || (line.ptr[0] >= 'a' && line.ptr[0] <= 'z')) &&
                   line.ptr[1] == ')' && line.ptr[2] == ' ';
    return bracket || number_level(line, &end) == 1;
}

/* Level of the heading that `line` is, else 0; rest is what follows it. */
static unsigned heading_level(
    struct med_str line, bool after_blank, struct lines rest, bool *ret_underlined)
{
    struct med_str below = peek(rest, false);
    size_t end;
    *ret_underlined = underline_level(below) > 0 && below.len * 2 >= line.len;
    if (*ret_underlined) return underline_level(below);
    if (!after_blank || below.len > 0 || !is_short(line)) return 0;
    unsigned level = number_level(line, &end);
    if (level > 0) {
        char c = line.ptr[end];
        size_t next_end;
        bool counts_on = number_level(peek(rest, true), &next_end) == level;
        return c >= 'A' && c <= 'Z' && !counts_on ? level : 0;
    }
    return is_all_capitals(line) ? 1 : 0;
}

static void flow_line(struct med_flow *f, struct med_str line)
{
    if (is_item(line)) {
        med_flow_break(f);
        bool dash = line.ptr[0] == '*' || line.ptr[0] == '+' || (unsigned char)line.ptr[0] == 0xe2;
        if (dash) {
            line = med_str_trim(
                med_str_sub(line, (unsigned char)line.ptr[0] == 0xe2 ? 3 : 1, line.len));
            med_flow_bullet(f);
        }
    } else {
        med_flow_text(f, MED_STR(" "));
    }
    med_flow_text(f, line);
}

enum med_code med_guideline_text(struct med_guideline *g, struct med_str text, struct med_err *err)
{
    (void)err;
    struct lines lines = {.text = text};
    struct med_str line;
    bool after_blank = true, first = true;
    while (next_line(&lines, &line)) {
        if (line.len == 0) {
            med_flow_break(&g->flow);
            after_blank = true;
            continue;
        }
        bool underlined = false;
        unsigned level = heading_level(line, after_blank, lines, &underlined);
        if (first) level = 1;
        if (level > 0) {
            if (underlined) (void)next_line(&lines, &(struct med_str){0});
            med_flow_break(&g->flow);
            med_flow_text(&g->aux, line);
            struct med_str heading = med_flow_take_line(&g->aux);
            bool opening =
                first && g->title.len > 0 && !underlined && !med_str_eq_nocase(heading, g->title);
            if (opening)
                flow_line(&g->flow, line); /* the title is known: this is text */
            else
                med_guideline_heading(g, level, heading);
        } else {
            flow_line(&g->flow, line);
        }
        after_blank = level > 0;
        first = false;
    }
    med_flow_break(&g->flow);
    return MED_OK;
}

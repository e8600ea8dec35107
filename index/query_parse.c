/* Parsing of queries: tokens, then operator precedence with explicit stacks. See query_parse.h. */
#include "index/query_parse.h"

#include "common/limits.h"
#include "index/spell.h"

#include <stdarg.h>
#include <stdio.h>

enum token_kind { T_WORD, T_PHRASE, T_FIELD, T_TAG, T_OPEN, T_CLOSE, T_AND, T_OR, T_NOT, T_END };

struct token {
    enum token_kind kind;
    enum query_scope scope; /* of T_FIELD and T_TAG */
    struct med_str text;
    uint32_t at;
};

struct parser {
    struct med_str query;
    struct med_arena *arena;
    struct token *tokens;
    size_t token_count, next;
    bool strict, has_operator, has_syntax;
    struct query_node *nodes;
    size_t node_count, leaf_count;
    struct {
        enum token_kind kind;
        uint32_t at;
        bool negative; /* T_OPEN: how it was outside */
    } stack[MED_QUERY_DEPTH_MAX];
    size_t depth;
    bool negative, negative_next; /* inside an odd number of NOTs; the next operand is */
    struct med_str *words;
    size_t word_count;
};

static const struct {
    const char *name; /* the first of a scope is its name */
    enum query_scope scope;
    bool field, tag;
} names[] = {
    {"all", QUERY_ALL, true, true},
    {"title", QUERY_TITLE, true, true},
    {"tiab", QUERY_TEXT, true, true},
    {"mesh", QUERY_MESH, true, true},
    {"majr", QUERY_MAJR, true, true},
    {"journal", QUERY_JOURNAL, true, true},
    {"author", QUERY_AUTHOR, true, true},
    {"type", QUERY_TYPE, true, false},
    {"lang", QUERY_LANGUAGE, true, true},
    {"source", QUERY_SOURCE, true, false},
    {"year", QUERY_YEAR, true, false},
    {"language", QUERY_LANGUAGE, true, true},
    {"tw", QUERY_ALL, false, true},
    {"all fields", QUERY_ALL, false, true},
    {"text word", QUERY_ALL, false, true},
    {"ti", QUERY_TITLE, false, true},
    {"title/abstract", QUERY_TEXT, false, true},
    {"mh", QUERY_MESH, false, true},
    {"mesh terms", QUERY_MESH, false, true},
    {"mesh major topic", QUERY_MAJR, false, true},
    {"ta", QUERY_JOURNAL, false, true},
    {"au", QUERY_AUTHOR, false, true},
    {"pt", QUERY_TYPE, false, true},
    {"publication type", QUERY_TYPE, false, true},
    {"la", QUERY_LANGUAGE, false, true},
    {"dp", QUERY_YEAR, false, true},
    {"pdat", QUERY_YEAR, false, true},
    {"date - publication", QUERY_YEAR, false, true},
};
#define NAME_COUNT (sizeof names / sizeof *names)

const char *query_scope_name(enum query_scope scope)
{
    for (size_t i = 0; i < NAME_COUNT; i++) {
        if (names[i].scope == scope) return names[i].name;
    }
    return "unknown";
}

__attribute__((format(printf, 4, 5))) static enum med_code fail_at(
    struct med_err *err, enum med_code code, uint32_t at, const char *fmt, ...)
{
    char text[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return med_fail(err, code, "query, byte %u: %s", at, text);
}

static int shown(struct med_str s)
{
    return (int)(s.len < 40 ? s.len : 40);
}

/* --- characters --- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Something that an analyzer can make a term of. */
static bool has_content(struct med_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (is_letter(s.ptr[i]) || is_digit(s.ptr[i]) || (unsigned char)s.ptr[i] >= 0x80)
            return true;
    }
    return false;
}

static bool is_wildcard(struct med_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] != '*') return false;
    }
    return s.len > 0;
}

static bool is_prefix(struct med_str s)
{
    return s.len > MED_QUERY_PREFIX_BYTES_MIN && s.ptr[s.len - 1] == '*' &&
           has_content(med_str_sub(s, 0, s.len - 1)) && s.ptr[s.len - 2] != '*';
}

/* --- years --- */

static bool year_of(struct med_str s, uint32_t *ret_year)
{
    uint32_t year = 0;
    s = med_str_trim(s);
    if (s.len < 4 || (s.len > 4 && s.ptr[4] != '/')) return false;
    for (size_t i = 0; i < 4; i++) {
        if (!is_digit(s.ptr[i])) return false;
        year = year * 10 + (uint32_t)(s.ptr[i] - '0');
    }
    for (size_t i = 4; i < s.len; i++) {
        if (!is_digit(s.ptr[i]) && s.ptr[i] != '/') return false;
    }
    *ret_year = year;
    return year >= 1000;
}

enum med_code query_years(
    struct med_str text, uint32_t at, uint32_t *ret_min, uint32_t *ret_max, struct med_err *err)
{
    uint32_t min = 0, max = 0;
    size_t cut = 0, behind = 0;
    for (size_t i = 0; i < text.len && !behind; i++) {
        bool dots = text.ptr[i] == '.' && i + 1 < text.len && text.ptr[i + 1] == '.';
        if (!dots && text.ptr[i] != ':' && text.ptr[i] != '-') continue;
        cut = i;
        behind = i + (dots ? 2 : 1);
    }
    struct med_str left = med_str_trim(behind ? med_str_sub(text, 0, cut) : text);
    struct med_str right = med_str_trim(behind ? med_str_sub(text, behind, text.len) : text);
    bool ok = (left.len || right.len) && (left.len == 0 || year_of(left, &min)) &&
              (right.len == 0 || year_of(right, &max));
    if (!ok)
        return fail_at(err, MED_E_INVALID, at,
            "\"%.*s\" is no year; expected a year or a range such as 2019, 2015..2020 or 2015..",
            shown(text), text.ptr ? text.ptr : "");
    if (min && max && min > max)
        return fail_at(err, MED_E_INVALID, at,
            "the range %u to %u is reversed; expected the earlier year first", min, max);
    *ret_min = min;
    *ret_max = max;
    return MED_OK;
}

/* --- tokens --- */

static bool find_name(struct med_str name, bool tag, enum query_scope *ret_scope)
{
    for (size_t i = 0; i < NAME_COUNT; i++) {
        if ((tag ? names[i].tag : names[i].field) &&
            med_str_eq_nocase(name, med_str_of(names[i].name))) {
            *ret_scope = names[i].scope;
            return true;
        }
    }
    return false;
}

static const char *near_name(struct med_str name, bool tag)
{
    const char *best = NULL;
    unsigned least = 3;
    for (size_t i = 0; i < NAME_COUNT; i++) {
        if (!(tag ? names[i].tag : names[i].field)) continue;
        unsigned d = spell_distance(name, med_str_of(names[i].name), least);
        if (d < least && d < name.len) {
            least = d;
            best = names[i].name;
        }
    }
    return best;
}

static enum med_code unknown_name(struct med_str name, bool tag, uint32_t at, struct med_err *err)
{
    const char *near = near_name(name, tag);
    const char *known = tag ? "[ti], [tiab], [mh], [majr], [au], [ta], [pt], [dp], [la]"
                            : "title, tiab, mesh, majr, journal, author, type, lang, source, year";
    return fail_at(err, MED_E_INVALID, at, "unknown %s \"%.*s\"%s%s%s; expected one of %s",
        tag ? "tag" : "field", shown(name), name.ptr, near ? ", did you mean \"" : "",
        near ? near : "", near ? "\"?" : "", known);
}

static void push_token(struct parser *p, enum token_kind kind, size_t from, size_t to)
{
    p->tokens[p->token_count++] =
        (struct token){.kind = kind, .text = med_str_sub(p->query, from, to), .at = (uint32_t)from};
}

/* A bracket behind a word or phrase that names a field; *at moves behind it. Other brackets are
 * text: "[18F]FDG", "[Effects of ...]". */
static enum med_code lex_bracket(struct parser *p, size_t *at, struct med_err *err)
{
    struct med_str q = p->query;
    size_t from = *at, to = from + 1;
    enum query_scope scope = QUERY_ALL;
    while (to < q.len && q.ptr[to] != ']') to++;
    *at = from + 1;
    if (to == q.len || p->token_count == 0) return MED_OK;
    enum token_kind before = p->tokens[p->token_count - 1].kind;
    if (before != T_WORD && before != T_PHRASE) return MED_OK;
    struct med_str name = med_str_trim(med_str_sub(q, from + 1, to));
    if (find_name(name, true, &scope)) {
        push_token(p, T_TAG, from, to + 1);
        p->tokens[p->token_count - 1].scope = scope;
        *at = to + 1;
        return MED_OK;
    }
    bool attached = !is_space(q.ptr[from - 1]) && name.len >= 2 && name.len <= 4;
    for (size_t i = 0; i < name.len; i++) attached &= name.ptr[i] >= 'a' && name.ptr[i] <= 'z';
    return attached ? unknown_name(name, true, (uint32_t)from, err) : MED_OK;
}

static enum med_code lex_phrase(struct parser *p, size_t *at, struct med_err *err)
{
    struct med_str q = p->query;
    size_t from = *at, to = from + 1;
    while (to < q.len && q.ptr[to] != '"') to++;
    if (to == q.len)
        return fail_at(err, MED_E_INVALID, (uint32_t)from,
            "this quote is not closed; expected another \" behind it");
    if (!has_content(med_str_sub(q, from + 1, to)))
        return fail_at(
            err, MED_E_INVALID, (uint32_t)from, "nothing between the quotes; expected words");
    push_token(p, T_PHRASE, from + 1, to);
    *at = to + 1;
    return MED_OK;
}

/* "field:" in front of something; *at moves behind the colon. */
static enum med_code lex_field(struct parser *p, size_t *at, bool *ret_is, struct med_err *err)
{
    struct med_str q = p->query;
    size_t from = *at, to = from;
    enum query_scope scope = QUERY_ALL;
    bool lower = true;
    *ret_is = false;
    for (; to < q.len && (is_letter(q.ptr[to]) || q.ptr[to] == '_'); to++)
        lower &= !(q.ptr[to] >= 'A' && q.ptr[to] <= 'Z');
    if (to == from || to + 1 >= q.len || q.ptr[to] != ':' || is_space(q.ptr[to + 1]) ||
        q.ptr[to + 1] == '/')
        return MED_OK;
    struct med_str name = med_str_sub(q, from, to);
    if (!find_name(name, false, &scope)) {
        /* "Is the holmium:YAG laser better?" asks for no field. */
        bool prose = med_str_ends(med_str_trim(q), MED_STR("?")) && !near_name(name, false);
        if (!lower || name.len < 2 || prose) return MED_OK;
        return unknown_name(name, false, (uint32_t)from, err);
    }
    push_token(p, T_FIELD, from, to + 1);
    p->tokens[p->token_count - 1].scope = scope;
    *at = to + 1;
    *ret_is = true;
    return MED_OK;
}

static bool ends_word(struct med_str q, size_t at)
{
    char c = q.ptr[at];
    return is_space(c) || c == '"' || c == '(' || c == ')' || c == '[';
}

static enum token_kind kind_of_word(struct med_str word)
{
    if (med_str_eq(word, MED_STR("AND"))) return T_AND;
    if (med_str_eq(word, MED_STR("OR"))) return T_OR;
    if (med_str_eq(word, MED_STR("NOT"))) return T_NOT;
    return T_WORD;
}

static void lex_word(struct parser *p, size_t *at)
{
    size_t from = *at, to = from;
    while (to < p->query.len && (to == from || !ends_word(p->query, to))) to++;
    struct med_str word = med_str_sub(p->query, from, to);
    bool value = p->token_count && p->tokens[p->token_count - 1].kind == T_FIELD;
    bool abbreviation = from > 0 && p->query.ptr[from - 1] == '(' && to < p->query.len &&
                        p->query.ptr[to] == ')'; /* "the odds ratio (OR)" */
    *at = to;
    if (has_content(word) || is_wildcard(word) || value)
        push_token(p, value || abbreviation ? T_WORD : kind_of_word(word), from, to);
}

static enum med_code lex(struct parser *p, struct med_err *err)
{
    struct med_str q = p->query;
    enum med_code code = MED_OK;
    for (size_t at = 0; !code && at < q.len;) {
        char c = q.ptr[at];
        bool start = at == 0 || is_space(q.ptr[at - 1]) || q.ptr[at - 1] == '(', is_field = false;
        if (is_space(c)) {
            at++;
        } else if (c == '"') {
            code = lex_phrase(p, &at, err);
        } else if (c == '(' || c == ')') {
            push_token(p, c == '(' ? T_OPEN : T_CLOSE, at, at + 1);
            at++;
        } else if (c == '[') {
            code = lex_bracket(p, &at, err);
        } else {
            if (start) code = lex_field(p, &at, &is_field, err);
            if (!code && !is_field) lex_word(p, &at);
        }
    }
    p->tokens[p->token_count] = (struct token){.kind = T_END, .at = (uint32_t)q.len};
    return code;
}

/* --- plain text or syntax --- */

/* "the OR was 1.4": an odds ratio. */
static bool is_odds_ratio(const struct parser *p, size_t i)
{
    static const char *const before[] = {"the", "an", "adjusted", "pooled", "crude", "summary"};
    if (p->tokens[i].kind != T_OR || i == 0 || p->tokens[i - 1].kind != T_WORD) return false;
    for (size_t k = 0; k < sizeof before / sizeof *before; k++) {
        if (med_str_eq(p->tokens[i - 1].text, med_str_of(before[k]))) return true;
    }
    struct med_str after = p->tokens[i + 1].text;
    return after.len && (after.ptr[0] == '=' || after.ptr[0] == '<' || after.ptr[0] == '>');
}

static bool is_operator(enum token_kind kind)
{
    return kind == T_AND || kind == T_OR || kind == T_NOT;
}

static void find_syntax(struct parser *p)
{
    size_t others = 0;
    for (size_t i = 0; i < p->token_count; i++) others += !is_operator(p->tokens[i].kind);
    for (size_t i = 0; i < p->token_count; i++) {
        struct token *t = &p->tokens[i];
        if (is_operator(t->kind) && (others == 0 || is_odds_ratio(p, i))) t->kind = T_WORD;
        p->has_operator |= is_operator(t->kind);
        p->has_syntax |= t->kind == T_PHRASE || t->kind == T_FIELD || t->kind == T_TAG ||
                         (t->kind == T_WORD && is_prefix(t->text));
    }
}

static enum med_code check_tokens(const struct parser *p, struct med_err *err)
{
    bool alone = p->token_count == 1;
    for (size_t i = 0; i < p->token_count; i++) {
        const struct token *t = &p->tokens[i];
        bool start = t->at == 0 || is_space(p->query.ptr[t->at - 1]);
        if (t->kind == T_OPEN && start && p->tokens[i + 1].kind == T_CLOSE &&
            (p->has_operator || p->has_syntax))
            return fail_at(
                err, MED_E_INVALID, t->at, "these parentheses are empty; expected words in them");
        if (t->kind == T_WORD && is_wildcard(t->text) &&
            (alone || p->has_operator || p->has_syntax))
            return fail_at(err, MED_E_INVALID, t->at,
                "a wildcard alone would match everything; expected at least %u letters before *",
                MED_QUERY_PREFIX_BYTES_MIN);
    }
    return MED_OK;
}

/* --- operands --- */

static enum med_code emit_leaf(
    struct parser *p, struct query_node leaf, bool ranks, struct med_err *err)
{
    bool words = leaf.scope <= QUERY_MAJR;
    if (p->leaf_count == MED_QUERY_LEAVES_MAX)
        return fail_at(err, MED_E_LIMIT, leaf.at, "more than %u operands", MED_QUERY_LEAVES_MAX);
    p->leaf_count++;
    if (leaf.scope == QUERY_YEAR) {
        enum med_code code = query_years(leaf.text, leaf.at, &leaf.year_min, &leaf.year_max, err);
        if (code) return code;
    }
    if (words && ranks) p->words[p->word_count++] = leaf.text;
    p->nodes[p->node_count++] = leaf;
    return MED_OK;
}

/* Words that stand together, up to something else. */
static struct med_str take_run(struct parser *p)
{
    struct med_str first = p->tokens[p->next].text, last = first;
    while (p->tokens[p->next].kind == T_WORD) last = p->tokens[p->next++].text;
    return (struct med_str){.ptr = first.ptr, .len = (size_t)(last.ptr + last.len - first.ptr)};
}

/* One operand at the next token; *ret_restricts is false for words that only rank. */
static enum med_code operand(struct parser *p, bool ranks, bool *ret_restricts, struct med_err *err)
{
    struct token t = p->tokens[p->next];
    struct query_node leaf = {.scope = QUERY_ALL, .at = t.at, .text = t.text};
    *ret_restricts = true;
    if (t.kind == T_FIELD) {
        struct token value = p->tokens[++p->next];
        if (value.kind != T_WORD && value.kind != T_PHRASE)
            return fail_at(err, MED_E_INVALID, value.at,
                "expected a word or a quoted phrase behind " MED_STR_FMT, MED_STR_ARG(t.text));
        leaf.scope = t.scope;
        leaf.at = value.at;
        leaf.text = value.text;
        leaf.phrase = value.kind == T_PHRASE;
        p->next++;
        return emit_leaf(p, leaf, ranks, err);
    }
    leaf.phrase = t.kind == T_PHRASE;
    if (leaf.phrase)
        p->next++;
    else
        leaf.text = take_run(p);
    if (p->tokens[p->next].kind == T_TAG) {
        leaf.scope = p->tokens[p->next++].scope;
        return emit_leaf(p, leaf, ranks, err);
    }
    if (leaf.phrase || p->has_operator || p->strict) return emit_leaf(p, leaf, ranks, err);
    *ret_restricts = false;
    p->words[p->word_count++] = leaf.text;
    return MED_OK;
}

/* Without operators: phrases, tagged words and prefixes restrict, and all must hold. */
static enum med_code parse_list(struct parser *p, struct med_err *err)
{
    size_t operands = 0;
    while (p->tokens[p->next].kind != T_END) {
        struct token t = p->tokens[p->next];
        bool restricts = false;
        if (t.kind == T_OPEN || t.kind == T_CLOSE || t.kind == T_TAG) {
            p->next++;
            continue;
        }
        enum med_code code = operand(p, true, &restricts, err);
        if (code) return code;
        for (size_t i = 0; !restricts && i < p->token_count; i++) {
            /* A prefix among words that only rank restricts on its own. */
            struct token w = p->tokens[i];
            if (w.kind != T_WORD || w.at < t.at || !is_prefix(w.text) || i >= p->next) continue;
            code = emit_leaf(p, (struct query_node){.at = w.at, .text = w.text}, false, err);
            if (code) return code;
            if (operands++) p->nodes[p->node_count++] = (struct query_node){.op = QUERY_AND};
        }
        if (restricts && operands++)
            p->nodes[p->node_count++] = (struct query_node){.op = QUERY_AND};
    }
    return MED_OK;
}

/* --- operators --- */

static int precedence(enum token_kind kind)
{
    return kind == T_NOT ? 3 : kind == T_AND ? 2 : kind == T_OR ? 1 : 0;
}

static void pop_operator(struct parser *p)
{
    enum token_kind kind = p->stack[--p->depth].kind;
    enum query_op op = kind == T_NOT ? QUERY_NOT : kind == T_AND ? QUERY_AND : QUERY_OR;
    p->nodes[p->node_count++] = (struct query_node){.op = op, .at = p->stack[p->depth].at};
}

static enum med_code push_operator(
    struct parser *p, enum token_kind kind, uint32_t at, struct med_err *err)
{
    if (kind != T_OPEN && kind != T_NOT) {
        while (p->depth && precedence(p->stack[p->depth - 1].kind) >= precedence(kind))
            pop_operator(p);
    }
    if (p->depth == MED_QUERY_DEPTH_MAX)
        return fail_at(err, MED_E_LIMIT, at, "more than %u levels of nesting", MED_QUERY_DEPTH_MAX);
    p->stack[p->depth].kind = kind;
    p->stack[p->depth].at = at;
    p->stack[p->depth].negative = p->negative;
    p->depth++;
    if (kind == T_NOT) p->negative_next = !p->negative_next;
    if (kind == T_OPEN) {
        p->negative ^= p->negative_next;
        p->negative_next = false;
    }
    return MED_OK;
}

static enum med_code close_group(struct parser *p, uint32_t at, struct med_err *err)
{
    while (p->depth && p->stack[p->depth - 1].kind != T_OPEN) pop_operator(p);
    if (p->depth == 0)
        return fail_at(err, MED_E_INVALID, at, "this parenthesis closes none; expected a ( before");
    p->negative = p->stack[--p->depth].negative;
    return MED_OK;
}

static enum med_code no_operand(
    const struct token *before, const struct token *t, struct med_err *err)
{
    if (before && is_operator(before->kind))
        return fail_at(err, MED_E_INVALID, before->at,
            "nothing stands behind " MED_STR_FMT "; expected a word, a phrase or a parenthesis",
            MED_STR_ARG(before->text));
    if (before && before->kind == T_OPEN)
        return fail_at(err, MED_E_INVALID, before->at,
            t->kind == T_CLOSE ? "these parentheses are empty; expected words in them"
                               : "nothing stands behind this parenthesis; expected words and a )");
    return fail_at(err, MED_E_INVALID, t->at,
        "nothing stands before this; expected a word, a phrase or a parenthesis");
}

static enum med_code parse_expression(struct parser *p, struct med_err *err)
{
    bool wanted = true; /* an operand must come */
    for (;;) {
        const struct token *t = &p->tokens[p->next], *before = p->next ? t - 1 : NULL;
        enum med_code code = MED_OK;
        if (t->kind == T_END || t->kind == T_CLOSE || t->kind == T_AND || t->kind == T_OR) {
            if (wanted) return no_operand(before, t, err);
            if (t->kind == T_END) break;
            wanted = t->kind != T_CLOSE;
            code = t->kind == T_CLOSE ? close_group(p, t->at, err)
                                      : push_operator(p, t->kind, t->at, err);
            p->next++;
        } else if (t->kind == T_TAG) {
            return fail_at(err, MED_E_INVALID, t->at, "expected words in front of this tag");
        } else {
            if (!wanted) code = push_operator(p, T_AND, t->at, err);
            wanted = t->kind == T_NOT || t->kind == T_OPEN;
            if (!code && wanted) {
                code = push_operator(p, t->kind, t->at, err);
                p->next++;
            } else if (!code) {
                bool restricts, negative = p->negative ^ p->negative_next;
                code = operand(p, !negative, &restricts, err);
                p->negative_next = false;
            }
        }
        if (code) return code;
    }
    while (p->depth) {
        if (p->stack[p->depth - 1].kind == T_OPEN)
            return fail_at(err, MED_E_INVALID, p->stack[p->depth - 1].at,
                "this parenthesis is not closed; expected a ) behind it");
        pop_operator(p);
    }
    return MED_OK;
}

enum med_code query_parse(struct med_str text, bool strict, struct med_arena *arena,
    struct query_parsed *ret_parsed, struct med_err *err)
{
    struct parser p = {.query = text, .strict = strict, .arena = arena};
    if (text.len > MED_QUERY_BYTES_MAX)
        return med_fail(err, MED_E_LIMIT, "the query has %zu bytes; at most %llu are accepted",
            text.len, MED_QUERY_BYTES_MAX);
    p.tokens = med_arena_calloc(arena, text.len + 2, sizeof *p.tokens);
    p.words = med_arena_calloc(arena, text.len + 2, sizeof *p.words);
    if (!p.tokens || !p.words) return med_fail(err, MED_E_NOMEM, "the query needs too much memory");
    enum med_code code = lex(&p, err);
    if (code) return code;
    find_syntax(&p);
    code = check_tokens(&p, err);
    if (code) return code;
    *ret_parsed = (struct query_parsed){.words = p.words, .word_count = 1};
    p.words[0] = text;
    if (!p.has_operator && !p.has_syntax) return MED_OK;
    p.nodes = med_arena_calloc(arena, 3 * p.token_count + 3, sizeof *p.nodes);
    if (!p.nodes) return med_fail(err, MED_E_NOMEM, "the query needs too much memory");
    code = p.has_operator ? parse_expression(&p, err) : parse_list(&p, err);
    if (code) return code;
    ret_parsed->tree = (struct query_tree){.nodes = p.nodes, .count = p.node_count};
    ret_parsed->word_count = p.word_count;
    return MED_OK;
}

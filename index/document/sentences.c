/* Sentence ends in medical prose.
 *
 * A line break always ends a sentence: bodies hold one paragraph per line. Within a line, a full
 * stop, question or exclamation mark is a candidate; what follows it at once (closing brackets and
 * quotes, citation numbers as in "mortality.12" or "mortality. [12]") still belongs to the
 * sentence. The candidate is an end if white space follows and the next word can open a sentence,
 * unless the word before the full stop is
 *
 *   - an abbreviation that never ends a sentence ("vs.", "e.g.", "Dr.", "Fig."),
 *   - one that stands before numbers ("No. 5", "Dec. 2019"),
 *   - one that often ends a sentence, or a single capital ("et al.", "U.S.", "J. Smith", "vitamin
 * D."): then the next word must be one that opens sentences ("The", "We", "Patients") or the word
 * before must be one that takes a letter ("vitamin", "hepatitis"),
 *   - the number or letter of an enumeration at the very start of the sentence ("1. Age above 60").
 *
 * Chinese and Japanese stops end a sentence without white space. The lists are short on purpose: a
 * missed end makes a passage slightly longer, a false one tears a statement from its condition. */
#include "index/document/sentences.h"

#include "common/unicode.h"

#define SENTENCES_USUAL 32 /* of a passage */

static const char *const NEVER_LAST[] = {"e.g", "eg", "i.e", "ie", "vs", "v.s", "cf", "viz", "ca",
    "approx", "resp", "dr", "drs", "prof", "mr", "mrs", "ms", "st", "mt", "fig", "figs", "tab",
    "eq", "eqs", "eqn", "ref", "refs", "sect", "chap", "suppl", "supp", "ssp", "subsp", "incl",
    "excl", "esp", "dept", "univ", "assoc", "z.b", "p.ex"};
static const char *const BEFORE_NUMBERS[] = {"no", "nos", "nr", "vol", "p", "pp", "ed", "art",
    "sec", "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec", "n",
    "gen", "cat"};
static const char *const OFTEN_LAST[] = {
    "al", "etc", "inc", "ltd", "co", "corp", "jr", "sr", "sp", "spp", "ph.d", "m.d", "bros", "var"};
static const char *const TAKES_LETTER[] = {"vitamin", "hepatitis", "type", "types", "group",
    "groups", "grade", "class", "influenza", "factor", "arm", "cohort", "stage", "protein",
    "immunoglobulin", "part", "panel", "level", "category", "streptococcus", "antigen", "troponin",
    "apolipoprotein", "cyclosporine", "cyclosporin", "amphotericin", "model", "site", "center",
    "centre", "drug", "treatment", "hemophilia", "haemophilia", "child"};
static const char *const OPENERS[] = {"the", "we", "in", "this", "these", "our", "a", "an",
    "however", "it", "there", "their", "they", "that", "those", "to", "of", "for", "from", "with",
    "at", "on", "as", "by", "after", "all", "although", "among", "both", "but", "compared",
    "conversely", "during", "each", "finally", "furthermore", "here", "if", "its", "moreover",
    "most", "no", "nevertheless", "one", "only", "overall", "other", "patients", "results",
    "methods", "method", "conclusion", "conclusions", "background", "objective", "objectives",
    "participants", "data", "women", "men", "children", "several", "since", "some", "such", "thus",
    "therefore", "two", "three", "using", "when", "whereas", "while", "further", "future",
    "additionally", "also", "because", "between", "similarly", "subjects", "she", "he", "his",
    "her", "is", "are", "can", "not", "under", "without"};

/* Case-insensitive for ASCII; lists are lower case. */
static bool in_list(struct med_str word, const char *const *list, size_t count)
{
    char lower[16];
    if (word.len == 0 || word.len >= sizeof lower) return false;
    for (size_t i = 0; i < word.len; i++) {
        char c = word.ptr[i];
        lower[i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
    }
    lower[word.len] = '\0';
    for (size_t i = 0; i < count; i++) {
        if (lower[0] == list[i][0] && strcmp(lower, list[i]) == 0) return true;
    }
    return false;
}
#define IN_LIST(word, list) in_list((word), (list), sizeof(list) / sizeof *(list))

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return is_upper(c) || is_lower(c);
}

static bool is_stop(char c)
{
    return c == '.' || c == '?' || c == '!';
}

/* Length of a Chinese or Japanese stop at pos: ideographic full stop, full-width ! and ?; else 0.
 */
static size_t wide_stop(struct med_str s, size_t pos)
{
    if (s.len - pos < 3) return 0;
    const char *p = s.ptr + pos;
    bool stop = memcmp(p, "\xe3\x80\x82", 3) == 0 || memcmp(p, "\xef\xbc\x81", 3) == 0 ||
                memcmp(p, "\xef\xbc\x9f", 3) == 0;
    return stop ? 3 : 0;
}

/* Length of a closing bracket or quote at pos (ASCII, curly, angle, full-width), else 0. */
static size_t closer(struct med_str s, size_t pos)
{
    char c = s.ptr[pos];
    if (c == ')' || c == ']' || c == '}' || c == '"' || c == '\'') return 1;
    if (s.len - pos >= 2 && memcmp(s.ptr + pos, "\xc2\xbb", 2) == 0) return 2;
    if (s.len - pos < 3) return 0;
    static const char *const WIDE[] = {
        "\xe2\x80\x9d", "\xe2\x80\x99", "\xef\xbc\x89", "\xe3\x80\x8d"};
    for (size_t i = 0; i < sizeof WIDE / sizeof *WIDE; i++) {
        if (memcmp(s.ptr + pos, WIDE[i], 3) == 0) return 3;
    }
    return 0;
}

static bool is_citation_byte(char c)
{
    return is_digit(c) || c == ',' || c == '-' || (unsigned char)c >= 0x80; /* dashes */
}

/* Where citation numbers that follow a stop end: "mortality.12,13 The" and "mortality. [12] The";
 * else pos. */
static size_t skip_citation(struct med_str s, size_t stop, size_t pos)
{
    size_t at = pos;
    if (at < s.len && is_digit(s.ptr[at]) && stop > 0 && is_letter(s.ptr[stop - 1])) {
        while (at < s.len && is_citation_byte(s.ptr[at])) at++;
        return at == s.len || med_is_space(s.ptr[at]) ? at : pos;
    }
    if (at < s.len && s.ptr[at] == ' ') at++;
    if (at >= s.len || s.ptr[at] != '[') return pos;
    size_t open = at++;
    while (at < s.len && (is_citation_byte(s.ptr[at]) || s.ptr[at] == ' ')) at++;
    if (at == open + 1 || at >= s.len || s.ptr[at] != ']') return pos;
    at++;
    return at == s.len || med_is_space(s.ptr[at]) ? at : pos;
}

/* The word that ends just before `end`, without opening brackets and quotes, not reaching before
 * `start`. */
static struct med_str word_before(struct med_str s, size_t start, size_t end)
{
    size_t at = end;
    while (at > start && !med_is_space(s.ptr[at - 1])) at--;
    while (at < end && strchr("([{\"'", s.ptr[at])) at++;
    return med_str_sub(s, at, end);
}

static struct med_str word_at(struct med_str s, size_t pos)
{
    size_t end = pos;
    while (end < s.len && is_letter(s.ptr[end])) end++;
    return med_str_sub(s, pos, end);
}

/* "U.S", "J.A": single letters with full stops between them. */
static bool is_initials(struct med_str word)
{
    if (word.len % 2 == 0) return false;
    for (size_t i = 0; i < word.len; i++) {
        if (i % 2 == 0 ? !is_letter(word.ptr[i]) : word.ptr[i] != '.') return false;
    }
    return true;
}

/* A number, a single letter or a small roman numeral: what counts the items of a list. */
static bool is_enumerator(struct med_str word)
{
    if (word.len == 0 || word.len > 4) return false;
    bool number = true, roman = true;
    for (size_t i = 0; i < word.len; i++) {
        number = number && (is_digit(word.ptr[i]) || (i > 0 && word.ptr[i] == '.'));
        roman = roman && strchr("ivxIVX", word.ptr[i]);
    }
    return number || roman || (word.len == 1 && is_letter(word.ptr[0]));
}

/* A lower-case word opens a sentence only if it is a name such as mRNA, p53, eGFR, miR-21. */
static bool is_lower_name(struct med_str s, size_t pos)
{
    for (size_t i = pos + 1; i < s.len && (is_letter(s.ptr[i]) || is_digit(s.ptr[i])); i++) {
        if (!is_lower(s.ptr[i])) return true;
    }
    return false;
}

static bool wide_can_open(struct med_str s, size_t pos)
{
    uint32_t cp = med_utf8_next(s, &pos);
    bool cased = (cp >= 0xdf && cp <= 0x24f) || (cp >= 0x400 && cp <= 0x52f);
    return !cased || med_char_is_upper(cp);
}

/* Is the full stop at `stop`, in a sentence from `start`, an end when the next word is at `next`?
 */
static bool full_stop_ends(struct med_str s, size_t start, size_t stop, size_t next)
{
    struct med_str word = word_before(s, start, stop);
    char c = s.ptr[next];
    if (word.ptr == s.ptr + start && is_enumerator(word)) return false;
    if (IN_LIST(word, NEVER_LAST)) return false;
    if (is_digit(c) && IN_LIST(word, BEFORE_NUMBERS)) return false;
    if (is_lower(c) && !is_lower_name(s, next)) return false;
    if ((unsigned char)c >= 0x80 && !wide_can_open(s, next)) return false;
    if (strchr(",;:)]}/%=<>+-", c)) return false;

    bool opener = IN_LIST(word_at(s, next), OPENERS);
    if (IN_LIST(word, OFTEN_LAST)) return opener;
    if (is_initials(word) && (is_upper(word.ptr[0]) || word.len == 1)) {
        size_t before = (size_t)(word.ptr - s.ptr);
        while (before > start && med_is_space(s.ptr[before - 1])) before--;
        return opener || (word.len == 1 && IN_LIST(word_before(s, start, before), TAKES_LETTER));
    }
    return true;
}

/* If the stop at `stop` ends the sentence that began at `start`: the end of the sentence, else 0.
 */
static size_t sentence_end(struct med_str s, size_t start, size_t stop)
{
    size_t end = stop, step = wide_stop(s, stop);
    bool wide = step > 0;
    char mark = s.ptr[stop];
    end += wide ? step : 1;
    while (end < s.len && is_stop(s.ptr[end])) end++;
    while (end < s.len && (step = closer(s, end)) > 0) end += step;
    if (wide) return end;
    end = skip_citation(s, stop, end);
    if (end == s.len) return end;
    if (!med_is_space(s.ptr[end])) return 0;

    size_t next = end;
    while (next < s.len && med_is_space(s.ptr[next])) {
        if (s.ptr[next] == '\n') return end;
        next++;
    }
    if (next == s.len) return end;
    if (mark == '.') return full_stop_ends(s, start, stop, next) ? end : 0;
    return is_lower(s.ptr[next]) && !is_lower_name(s, next) ? 0 : end;
}

/* Bytes at which a sentence may end. */
static const bool CANDIDATES[256] = {
    ['.'] = true, ['\n'] = true, ['?'] = true, ['!'] = true, [0xe3] = true, [0xef] = true};

bool med_sentence_next(struct med_sentence_iter *it, struct med_span *ret_span)
{
    struct med_str s = it->text;
    size_t start = it->pos;
    while (start < s.len && med_is_space(s.ptr[start])) start++;
    if (start == s.len) return false;

    size_t end = 0, at = start;
    for (; at < s.len && end == 0; at++) {
        if (!CANDIDATES[(unsigned char)s.ptr[at]]) continue;
        if (s.ptr[at] == '\n') {
            end = at;
        } else if ((unsigned char)s.ptr[at] < 0x80 || wide_stop(s, at) > 0) {
            end = sentence_end(s, start, at);
            while (at + 1 < s.len && is_stop(s.ptr[at]) && is_stop(s.ptr[at + 1])) at++;
        }
    }
    if (end == 0) end = s.len;
    it->pos = end;
    while (med_is_space(s.ptr[end - 1])) end--;
    *ret_span = (struct med_span){.start = (uint32_t)start, .end = (uint32_t)end};
    return true;
}

enum med_code med_sentences(struct med_str text, struct med_arena *arena,
    struct med_span **ret_spans, size_t *ret_count, struct med_err *err)
{
    if (text.len > UINT32_MAX)
        return med_fail(err, MED_E_LIMIT, "a text of %zu bytes is too long to split", text.len);
    size_t count = 0, cap = SENTENCES_USUAL;
    struct med_span *spans = med_arena_alloc(arena, cap * sizeof *spans), span;
    struct med_sentence_iter it = {.text = text};
    while (spans && med_sentence_next(&it, &span)) {
        if (count == cap) {
            struct med_span *grown = med_arena_alloc(arena, 2 * cap * sizeof *grown);
            if (grown) memcpy(grown, spans, count * sizeof *grown);
            spans = grown;
            cap *= 2;
        }
        if (spans) spans[count++] = span;
    }
    if (!spans) return med_fail(err, MED_E_NOMEM, "no memory for %zu sentences", cap);
    *ret_spans = spans;
    *ret_count = count;
    return MED_OK;
}

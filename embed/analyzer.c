/* The analyzer: one pass over the text, compound by compound.
 *
 * A *part* is a run of letters and digits ("IL", "6", "HbA1c", "0.05"); a *compound* is parts
 * joined by hyphens of any kind ("IL-6-induced"), or a short capital word and a number or Greek
 * letter behind one space ("IL 6"). Each part becomes a term. Within a compound, each run of
 * neighbouring parts that look like names (a digit, a Greek letter, capitals, a single letter) also
 * gives its joined form as an extra term at the position of the run's first part:
 *
 *   "IL-6-induced"     il(0) il6(0, extra) 6(1) induc(2)         "IL6"            il6(0)
 *   "anti-TNF-α"       anti(0) tnf(1) tnfalpha(1, extra) alpha(2)  "TNFα"           tnfalpha(0)
 *   "β-blockers"       beta(0) betablock(0, extra) blocker(1)     "beta-blockers"  the same
 *   "covid-19"         covid(0) covid19(0, extra) 19(1)           "HIV-positive"   hiv(0) posit(1)
 *
 * ASCII bytes go through one 256-byte table; other characters through a cache of folded code points
 * (char_fold.h); letter-only words through the stem cache (stemmer.h). Nothing is normalised up
 * front, so that offsets are those of the source. Term bytes go to one growing buffer; until the
 * end of the call tokens hold offsets into it. */
#include "embed/analyzer.h"

#include "common/limits.h"
#include "common/mem.h"
#include "common/unicode.h"
#include "embed/char_fold.h"
#include "embed/stemmer.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define COMPOUND_PARTS_MAX 16 /* a longer chain is cut into several compounds */
#define JOINED_PARTS_MAX 5    /* chemical names with more locants are found by their parts */
#define JOINED_BYTES_MAX 32
#define CAPITAL_LETTERS_MAX 6 /* "COVID", "mRNA"; longer capitals are headlines */
#define LEFT_LETTERS_MAX 8    /* the word before a number: "covid-19", "factor-8" */
#define NUMBER_DIGITS_MAX 4
#define GREEK_MU 0x3BCu
#define GREEK_RUN_MAX 3 /* a longer run is Greek text and stays Greek */

struct part {
    uint32_t start, end; /* bytes of the source */
    uint16_t len;        /* bytes of text */
    uint16_t letters, digits;
    bool inner_upper; /* a capital behind the first character */
    bool all_upper;
    bool greek;   /* exactly one Greek letter */
    bool point;   /* a decimal point was seen */
    bool grouped; /* a comma of thousands was seen */
    char text[MED_TERM_BYTES_MAX];
};

struct med_analyzer {
    struct med_stemmer *stemmer;
    struct med_token
        *tokens; /* while analysing, term.ptr is NULL and `offsets` tells where the bytes are */
    size_t token_cap, token_count;
    size_t *offsets;
    size_t offset_cap;
    char *bytes;
    size_t bytes_cap, bytes_len;
    uint32_t position;
    bool nomem;
    const struct med_watch *watch; /* of the call; NULL: every term matters */
    uint8_t ascii[256]; /* the folded byte of an ASCII letter or digit, 0 for all others */
    struct part parts[COMPOUND_PARTS_MAX];
    struct med_fold_cache folds;
};

enum med_code med_analyzer_new(struct med_analyzer **ret_analyzer, struct med_err *err)
{
    struct med_analyzer *a = med_calloc(1, sizeof(*a));
    if (!a) return med_fail(err, MED_E_NOMEM, "no memory for an analyzer");
    med_fold_cache_init(&a->folds);
    a->stemmer = med_stemmer_new();
    if (!a->stemmer) {
        med_analyzer_free(&a);
        return med_fail(err, MED_E_NOMEM, "no memory for a stemmer");
    }
    for (int c = '0'; c <= '9'; c++) a->ascii[c] = (uint8_t)c;
    for (int c = 'a'; c <= 'z'; c++) a->ascii[c] = (uint8_t)c;
    for (int c = 'A'; c <= 'Z'; c++) a->ascii[c] = (uint8_t)(c - 'A' + 'a');
    *ret_analyzer = a;
    return MED_OK;
}

void med_analyzer_free(struct med_analyzer **analyzer)
{
    struct med_analyzer *a = *analyzer;
    if (!a) return;
    *analyzer = NULL;
    med_stemmer_free(&a->stemmer);
    med_fold_cache_free(&a->folds);
    med_free(a->tokens);
    med_free(a->offsets);
    med_free(a->bytes);
    med_free(a);
}

/* --- reading one part --- */

static bool is_digit(struct med_str text, size_t pos)
{
    return pos < text.len && text.ptr[pos] >= '0' && text.ptr[pos] <= '9';
}

/* True when text[pos] begins or continues a word. */
static bool is_word_at(struct med_analyzer *a, struct med_str text, size_t pos)
{
    if (pos >= text.len) return false;
    uint8_t c = (uint8_t)text.ptr[pos];
    if (c < 0x80) return a->ascii[c] != 0;
    size_t next;
    enum med_fold_kind kind = med_fold_at(&a->folds, text, pos, &next)->kind;
    return kind == MED_FOLD_LETTER || kind == MED_FOLD_DIGIT || kind == MED_FOLD_GREEK ||
           kind == MED_FOLD_SINGLE;
}

static void part_append(struct part *part, const char *bytes, size_t len)
{
    if (part->len + len > MED_TERM_BYTES_MAX) return;
    memcpy(part->text + part->len, bytes, len);
    part->len = (uint16_t)(part->len + len);
}

static void part_count(struct part *part, bool digit, bool upper)
{
    if (digit) {
        if (part->digits < UINT16_MAX) part->digits++;
        return;
    }
    if (upper && part->letters + part->digits > 0) part->inner_upper = true;
    if (!upper) part->all_upper = false;
    if (part->letters < UINT16_MAX) part->letters++;
}

#if defined(__SSE2__)
/* The same for what sixteen bytes hold of the run; 16 = it may go on. Letters differ from capitals
 * in one bit, which digits have set. */
static unsigned part_ascii_sixteen(const char *at, struct part *part)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
    __m128i lower = _mm_or_si128(bytes, _mm_set1_epi8(0x20));
    __m128i letter = _mm_and_si128(_mm_cmpgt_epi8(lower, _mm_set1_epi8('a' - 1)),
        _mm_cmplt_epi8(lower, _mm_set1_epi8('z' + 1)));
    __m128i digit = _mm_and_si128(_mm_cmpgt_epi8(bytes, _mm_set1_epi8('0' - 1)),
        _mm_cmplt_epi8(bytes, _mm_set1_epi8('9' + 1)));
    unsigned word = (unsigned)_mm_movemask_epi8(_mm_or_si128(letter, digit));
    unsigned run = (unsigned)__builtin_ctz(~word), mask = (1u << run) - 1;
    unsigned digits = (unsigned)_mm_movemask_epi8(digit) & mask;
    unsigned small = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(lower, bytes)) & mask & ~digits;
    unsigned capitals = mask & ~digits & ~small;
    if (part->letters + part->digits == 0 ? capitals > 1 : capitals > 0) part->inner_upper = true;
    if (small) part->all_upper = false;
    unsigned digit_count = digits ? (unsigned)__builtin_popcount(digits) : 0;
    part->digits = (uint16_t)(part->digits + digit_count);
    part->letters = (uint16_t)(part->letters + run - digit_count);
    _mm_storeu_si128((__m128i *)(void *)(part->text + part->len), lower);
    part->len = (uint16_t)(part->len + run);
    return run;
}
#endif

/* Appends the run of ASCII letters and digits at pos; returns where it ends. */
static size_t part_ascii_run(
    const struct med_analyzer *a, struct med_str text, size_t pos, struct part *part)
{
#if defined(__SSE2__)
    while (text.len - pos >= 16 && part->len + 16u <= MED_TERM_BYTES_MAX) {
        unsigned run = part_ascii_sixteen(text.ptr + pos, part);
        pos += run;
        if (run < 16) return pos;
    }
#endif
    for (; pos < text.len; pos++) {
        uint8_t c = (uint8_t)text.ptr[pos], folded = a->ascii[c];
        if (!folded) break;
        if (part->len < MED_TERM_BYTES_MAX) part->text[part->len++] = (char)folded;
        part_count(part, folded <= '9', folded != c);
    }
    return pos;
}

static uint32_t folded_code_point(const struct med_folded *f)
{
    size_t at = 0;
    return med_utf8_next((struct med_str){.ptr = f->bytes, .len = f->len}, &at);
}

/* A run of one to three Greek letters is spelled with their names ("αβ" = "alphabeta"), a mu in
 * front of a Latin letter is the prefix micro ("μg" = "ug"), a longer or accented run is Greek
 * text. Returns where the run ends. */
static size_t part_greek_run(
    struct med_analyzer *a, struct med_str text, size_t pos, struct part *part)
{
    size_t run = 0, end = pos, next;
    bool spelled = true;
    while (end < text.len) {
        const struct med_folded *f = med_fold_at(&a->folds, text, end, &next);
        if (f->kind != MED_FOLD_GREEK) break;
        if (!med_greek_name(folded_code_point(f))) spelled = false;
        end = next;
        run++;
    }
    if (run > GREEK_RUN_MAX) spelled = false;
    for (; pos < end; pos = next) {
        const struct med_folded *f = med_fold_at(&a->folds, text, pos, &next);
        uint32_t cp = folded_code_point(f);
        bool micro = cp == GREEK_MU && run == 1 && part->letters == 0 && end < text.len &&
                     a->ascii[(uint8_t)text.ptr[end]] > '9';
        if (micro) {
            part_append(part, "u", 1);
        } else if (!spelled) {
            part_append(part, f->bytes, f->len);
        } else {
            part->greek = run == 1 && part->letters == 0;
            part_append(part, med_greek_name(cp), strlen(med_greek_name(cp)));
        }
        part_count(part, false, f->upper);
    }
    return end;
}

/* What follows a point or comma at pos (of `size` bytes) inside a number; returns where the number
 * goes on, 0 when it ends. */
static size_t part_number_goes_on(
    struct med_str text, size_t pos, size_t size, bool comma, struct part *part)
{
    if (part->letters || !part->digits || part->point || !is_digit(text, pos + size)) return 0;
    if (!comma) {
        part->point = true;
        part_append(part, ".", 1);
        return pos + size;
    }
    if (part->len > 3 && !part->grouped) return 0;
    if (!is_digit(text, pos + 2) || !is_digit(text, pos + 3) || is_digit(text, pos + 4)) return 0;
    part->grouped = true;
    return pos + size;
}

/* Where the word goes on behind an apostrophe at pos; 0 when it ends there. A possessive s is
 * swallowed by *ret_skip. */
static size_t part_apostrophe(struct med_analyzer *a, struct med_str text, size_t pos, size_t size,
    const struct part *part, size_t *ret_skip)
{
    size_t after = pos + size;
    if (!part->letters || after >= text.len || a->ascii[(uint8_t)text.ptr[after]] <= '9') return 0;
    if (a->ascii[(uint8_t)text.ptr[after]] == 's' && !is_word_at(a, text, after + 1)) {
        *ret_skip = after + 1;
        return 0;
    }
    return after;
}

/* Reads the part that begins at pos (is_word_at holds) and returns the position behind it. */
static size_t read_part(struct med_analyzer *a, struct med_str text, size_t pos, struct part *part)
{
    memset(part, 0, offsetof(struct part, text));
    part->all_upper = true;
    part->start = (uint32_t)pos;
    size_t skip = 0;
    for (;;) {
        size_t run_end = part_ascii_run(a, text, pos, part);
        if (run_end > pos) part->end = (uint32_t)run_end;
        pos = run_end;
        if (pos >= text.len || text.ptr[pos] == ' ') break;
        size_t next = pos + 1, on = 0;
        uint8_t c = (uint8_t)text.ptr[pos];
        struct med_folded f = {.kind = MED_FOLD_BREAK};
        if (c == '.') {
            f.kind = MED_FOLD_POINT;
        } else if (c == '\'') {
            f.kind = MED_FOLD_APOSTROPHE;
        } else if (c >= 0x80) {
            f = *med_fold_at(&a->folds, text, pos, &next);
        } else if (c == ',') {
            on = part_number_goes_on(text, pos, 1, true, part);
        }
        switch ((enum med_fold_kind)f.kind) {
        case MED_FOLD_LETTER:
        case MED_FOLD_DIGIT:
            part_append(part, f.bytes, f.len);
            part_count(part, f.kind == MED_FOLD_DIGIT, f.upper);
            on = next;
            part->end = (uint32_t)on;
            break;
        case MED_FOLD_GREEK:
            on = part_greek_run(a, text, pos, part);
            part->end = (uint32_t)on;
            break;
        case MED_FOLD_SINGLE:
            if (part->letters || part->digits) break;
            part_append(part, f.bytes, f.len);
            part_count(part, false, false);
            part->end = (uint32_t)next;
            skip = next;
            break;
        case MED_FOLD_POINT: on = part_number_goes_on(text, pos, next - pos, false, part); break;
        case MED_FOLD_APOSTROPHE:
            on = part_apostrophe(a, text, pos, next - pos, part, &skip);
            break;
        case MED_FOLD_SKIP: on = next; break;
        case MED_FOLD_HYPHEN:
        case MED_FOLD_BREAK: break;
        }
        if (!on) break;
        pos = on;
    }
    if (part->letters > 1 || part->digits) part->greek = false;
    return skip ? skip : pos;
}

/* --- watched terms ---
 *
 * A stem begins with the same two bytes as its word, but for "dying" and its like (die), and for
 * words of which one byte is left ("aed"). So two bytes tell whether a word can be watched, before
 * it is looked up or even read. */

/* 12 bits of a pair of bytes; different pairs may share them. */
static unsigned pair_bits(uint8_t first, uint8_t second)
{
    return (first * 64u ^ second) & 4095;
}

static bool is_watched(const struct med_watch *watch, uint8_t first, uint8_t second)
{
    unsigned bits = pair_bits(first, second);
    return watch->starts[bits >> 6] >> (bits & 63) & 1;
}

static void watch_pair(struct med_watch *watch, uint8_t first, uint8_t second)
{
    unsigned bits = pair_bits(first, second);
    watch->starts[bits >> 6] |= 1ull << (bits & 63);
}

void med_watch_add(struct med_watch *watch, struct med_str term)
{
    if (term.len == 0) return;
    uint8_t first = (uint8_t)term.ptr[0];
    if (term.len == 1) {
        for (unsigned second = 0; second < 256; second++) watch_pair(watch, first, (uint8_t)second);
        return;
    }
    watch_pair(watch, first, (uint8_t)term.ptr[1]);
    if (term.ptr[1] == 'i') watch_pair(watch, first, 'y');
}

/* Where the word that begins at pos ends, when it is a plain one that nobody watches: a letter and
 * letters or digits behind it, with nothing before or behind that a compound could be made of. 0
 * when it has to be read. */
static size_t skip_word(const struct med_analyzer *a, struct med_str text, size_t pos)
{
    const uint8_t *bytes = (const uint8_t *)text.ptr;
    if (text.len - pos < 2) return 0;
    uint8_t first = a->ascii[bytes[pos]], second = a->ascii[bytes[pos + 1]];
    bool capital = first != bytes[pos] && second != bytes[pos + 1] && second > '9';
    if (first <= '9' || capital || is_watched(a->watch, first, second)) return 0;
    for (pos += 1; pos < text.len && a->ascii[bytes[pos]]; pos++) continue;
    bool goes_on =
        pos < text.len && (bytes[pos] >= 0x80 || bytes[pos] == '-' || bytes[pos] == '\'');
    return goes_on ? 0 : pos;
}

/* --- emitting terms --- */

static bool room_for_token(struct med_analyzer *a)
{
    if (a->token_count < a->token_cap && a->token_count < a->offset_cap &&
        a->bytes_cap - a->bytes_len >= MED_TERM_BYTES_MAX)
        return true;
    return med_grow(&a->tokens, &a->token_cap, a->token_count + 1, sizeof(*a->tokens)) &&
           med_grow(&a->offsets, &a->offset_cap, a->token_count + 1, sizeof(*a->offsets)) &&
           med_grow(&a->bytes, &a->bytes_cap, a->bytes_len + MED_TERM_BYTES_MAX, 1);
}

/* Adds a token of `len` folded bytes, stemmed when they are letters only. As many can be read as a
 * term may have. */
static void emit(
    struct med_analyzer *a, const char *text, size_t len, bool stem, struct med_token token)
{
    if (len == 0 || a->nomem) return;
    if (a->watch && !is_watched(a->watch, (uint8_t)text[0], len > 1 ? (uint8_t)text[1] : 0)) return;
    if (!room_for_token(a)) {
        a->nomem = true;
        return;
    }
    if (stem) {
        len = med_stem(a->stemmer, text, len, a->bytes + a->bytes_len, &token.alike);
        if (!len) {
            a->nomem = true;
            return;
        }
    } else {
        memcpy(a->bytes + a->bytes_len, text, MED_TERM_BYTES_MAX); /* a constant size: moves */
    }
    token.term.len = len;
    a->tokens[a->token_count] = token;
    a->offsets[a->token_count++] = a->bytes_len;
    a->bytes_len += len;
}

static void emit_part(struct med_analyzer *a, const struct part *part)
{
    emit(a, part->text, part->len, part->digits == 0,
        (struct med_token){.start = part->start, .end = part->end, .position = a->position});
    a->position++;
}

/* --- compounds --- */

static bool is_short_number(const struct part *p)
{
    return p->letters == 0 && !p->point && p->digits <= NUMBER_DIGITS_MAX;
}

static bool is_letters(const struct part *p)
{
    return p->digits == 0;
}

/* A Greek letter or its name: "α" and "alpha" are treated alike. */
static bool is_greek(const struct part *p)
{
    return p->greek || (p->digits == 0 && med_is_greek_name(p->text, p->len));
}

static bool is_name_like(const struct part *p)
{
    if (p->digits || p->letters == 1 || is_greek(p)) return true;
    return p->inner_upper && p->letters <= CAPITAL_LETTERS_MAX;
}

/* Widens the run [first, last] of name-like parts to the neighbour that it names or is named by. */
static void widen_run(const struct part *parts, size_t count, size_t *first, size_t *last)
{
    const struct part *head = &parts[*first];
    if (*first > 0 && is_short_number(head) && is_letters(head - 1) &&
        head[-1].letters <= LEFT_LETTERS_MAX) {
        --*first;
        return;
    }
    if (*first != *last || !(is_greek(head) || (head->letters == 1 && !head->digits))) return;
    if (*last + 1 < count && is_letters(head + 1)) {
        ++*last;
    } else if (*first > 0 && is_letters(head - 1)) {
        --*first;
    }
}

static void emit_joined(struct med_analyzer *a, const struct part *parts, size_t first, size_t last)
{
    char joined[MED_TERM_BYTES_MAX];
    size_t len = 0;
    unsigned letters = 0, digits = 0;
    if (last - first + 1 > JOINED_PARTS_MAX) return;
    for (size_t i = first; i <= last; i++) {
        if (parts[i].point || len + parts[i].len > JOINED_BYTES_MAX) return;
        memcpy(joined + len, parts[i].text, parts[i].len);
        len += parts[i].len;
        letters += parts[i].letters;
        digits += parts[i].digits;
    }
    if (!letters) return;
    emit(a, joined, len, digits == 0,
        (struct med_token){.start = parts[first].start,
            .end = parts[last].end,
            .position = a->position,
            .extra = true});
}

/* Emits the parts in order, each joined form behind its first part. */
static void emit_compound(struct med_analyzer *a, const struct part *parts, size_t count)
{
    size_t i = 0;
    while (i < count) {
        size_t first = i;
        while (first < count && !is_name_like(&parts[first])) first++;
        size_t last = first;
        while (last + 1 < count && is_name_like(&parts[last + 1])) last++;
        size_t run_end = last;
        if (first < count) widen_run(parts, count, &first, &last);
        for (; i < count && i < first; i++) emit_part(a, &parts[i]);
        if (i >= count) return;
        emit_part(a, &parts[i]);
        if (last > first) {
            a->position--;
            emit_joined(a, parts, first, last);
            a->position++;
        }
        for (i++; i < count && i <= run_end; i++) emit_part(a, &parts[i]);
    }
}

/* "IL 6", "COVID 19", "TNF alpha": a short capital word, then a number or a Greek letter. */
static bool may_join_over_space(const struct part *p)
{
    return p->digits == 0 && p->all_upper && !is_greek(p) && p->letters >= 2 &&
           p->letters < CAPITAL_LETTERS_MAX;
}

/* Reads and emits the compound that begins at pos; returns the position behind it. */
static size_t analyze_compound(struct med_analyzer *a, struct med_str text, size_t pos)
{
    struct part *parts = a->parts;
    size_t count = 1;
    pos = read_part(a, text, pos, &parts[0]);
    while (count < COMPOUND_PARTS_MAX && pos < text.len) {
        uint8_t c = (uint8_t)text.ptr[pos];
        size_t next = pos + 1;
        if (c == ' ') {
            if (count > 1 || !may_join_over_space(&parts[0]) || !is_word_at(a, text, next)) break;
            pos = read_part(a, text, next, &parts[1]);
            if (is_short_number(&parts[1]) || is_greek(&parts[1])) {
                count = 2;
            } else {
                emit_part(a, &parts[0]);
                parts[0] = parts[1];
            }
            continue;
        }
        if (c < 0x80 && c != '-') break;
        if (c >= 0x80 && med_fold_at(&a->folds, text, pos, &next)->kind != MED_FOLD_HYPHEN) break;
        if (!is_word_at(a, text, next)) break;
        pos = read_part(a, text, next, &parts[count++]);
    }
    if (count == 1)
        emit_part(a, &parts[0]);
    else
        emit_compound(a, parts, count);
    return pos;
}

static enum med_code analyze(struct med_analyzer *a, struct med_str text,
    const struct med_token **ret_tokens, size_t *ret_count, struct med_err *err)
{
    if (text.len >= UINT32_MAX)
        return med_fail(err, MED_E_LIMIT, "a text to analyse is 4 GiB or longer");
    a->token_count = a->bytes_len = 0;
    a->position = 0;
    a->nomem = false;
    for (size_t pos = 0; pos < text.len && !a->nomem;) {
        uint8_t c = (uint8_t)text.ptr[pos];
        size_t skipped = a->watch && a->ascii[c] ? skip_word(a, text, pos) : 0;
        if (skipped) {
            a->position++;
            pos = skipped;
        } else if (a->ascii[c] || (c >= 0x80 && is_word_at(a, text, pos))) {
            pos = analyze_compound(a, text, pos);
        } else if (c < 0x80) {
            pos++;
        } else {
            med_fold_at(&a->folds, text, pos, &pos);
        }
    }
    if (a->nomem)
        return med_fail(err, MED_E_NOMEM, "no memory to analyse a text of %zu bytes", text.len);
    for (size_t i = 0; i < a->token_count; i++) a->tokens[i].term.ptr = a->bytes + a->offsets[i];
    *ret_tokens = a->tokens;
    *ret_count = a->token_count;
    return MED_OK;
}

enum med_code med_analyze(struct med_analyzer *a, struct med_str text,
    const struct med_token **ret_tokens, size_t *ret_count, struct med_err *err)
{
    a->watch = NULL;
    return analyze(a, text, ret_tokens, ret_count, err);
}

enum med_code med_analyze_watched(struct med_analyzer *a, struct med_str text,
    const struct med_watch *watch, const struct med_token **ret_tokens, size_t *ret_count,
    struct med_err *err)
{
    a->watch = watch;
    return analyze(a, text, ret_tokens, ret_count, err);
}

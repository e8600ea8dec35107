/* Finding and counting abbreviations. See abbreviations.h. */
#include "index/abbreviations.h"

#include "common/hash.h"
#include "common/limits.h"
#include "common/mem.h"

#include <stdlib.h>

#define COUNTER_ARENA_BYTES_MAX (2 * MED_GIB)
#define DEFINITIONS_PER_DOC_MAX 4096u
#define KEY_BYTES_MAX (4 * MED_KIB)

static enum med_code out_of_memory(struct med_err *err)
{
    return med_fail(err, MED_E_NOMEM, "out of memory while collecting abbreviations");
}

/* --- characters: what is not ASCII counts as a letter that matches nothing --- */

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || is_upper(c) || (c >= '0' && c <= '9');
}

static bool in_word(char c)
{
    return is_alnum(c) || (unsigned char)c >= 0x80;
}

static char lower(char c)
{
    return is_upper(c) ? (char)(c + ('a' - 'A')) : c;
}

static bool is_gap(char c)
{
    return c == ' ' || c == '\n' || c == '\t';
}

static size_t word_count(struct med_str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) n += !is_gap(s.ptr[i]) && (i == 0 || is_gap(s.ptr[i - 1]));
    return n;
}

/* --- one definition --- */

/* 2 to 10 characters, at most two words, begins with a letter or digit, has a capital letter. */
static bool is_short_form(struct med_str s)
{
    bool capital = false;
    size_t letters = 0;
    if (s.len < 2 || s.len > MED_SHORT_FORM_CHARS_MAX || !is_alnum(s.ptr[0])) return false;
    for (size_t i = 0; i < s.len; i++) {
        capital |= is_upper(s.ptr[i]);
        letters += in_word(s.ptr[i]) && !(s.ptr[i] >= '0' && s.ptr[i] <= '9');
        if (s.ptr[i] == '=' || s.ptr[i] == '<' || s.ptr[i] == '>' || s.ptr[i] == '%') return false;
    }
    return capital && letters >= 2 && word_count(s) <= 2;
}

/* Where the long form begins: every character of the short form is found from right to left, the
 * first one at the beginning of a word. */
static bool match_characters(struct med_str sf, struct med_str text, size_t *ret_start)
{
    size_t l = text.len;
    for (size_t s = sf.len; s-- > 0;) {
        char c = lower(sf.ptr[s]);
        if (!is_alnum(c)) continue;
        for (;;) {
            if (l == 0) return false;
            l--;
            bool begins = l == 0 || !in_word(text.ptr[l - 1]);
            if (lower(text.ptr[l]) == c && (s > 0 || begins)) break;
        }
    }
    while (l > 0 && !is_gap(text.ptr[l - 1])) l--;
    *ret_start = l;
    return true;
}

static bool holds_word(struct med_str text, struct med_str word)
{
    for (size_t i = 0; i + word.len <= text.len; i++) {
        bool begins = i == 0 || !in_word(text.ptr[i - 1]);
        bool ends = i + word.len == text.len || !in_word(text.ptr[i + word.len]);
        if (begins && ends && memcmp(text.ptr + i, word.ptr, word.len) == 0) return true;
    }
    return false;
}

struct med_str med_long_form(struct med_str sf, struct med_str before)
{
    struct med_str none = {0};
    size_t start, characters = 0;
    before = med_str_trim(before);
    for (size_t i = 0; i < sf.len; i++) characters += is_alnum(sf.ptr[i]);
    if (characters < 2 || !match_characters(sf, before, &start)) return none;
    struct med_str lf = med_str_trim(med_str_sub(before, start, before.len));
    while (lf.len && !in_word(lf.ptr[0])) lf = med_str_sub(lf, 1, lf.len);
    size_t words = word_count(lf);
    size_t words_max = characters + 5 < 2 * characters ? characters + 5 : 2 * characters;
    bool brackets = lf.len && (memchr(lf.ptr, '(', lf.len) || memchr(lf.ptr, ')', lf.len) ||
                                  memchr(lf.ptr, '[', lf.len) || memchr(lf.ptr, ']', lf.len));
    if (lf.len <= sf.len || lf.len > MED_LONG_FORM_BYTES_MAX || words > words_max || brackets ||
        memchr(lf.ptr, '\n', lf.len) || holds_word(lf, sf))
        return none;
    return lf;
}

/* --- a text --- */

/* The part of the sentence in front of `end` that a long form can be in. */
static struct med_str sentence_before(struct med_str text, size_t end)
{
    size_t start = end, words = 0;
    while (start > 0 && words < 2 * MED_SHORT_FORM_CHARS_MAX &&
           end - start < 2 * MED_LONG_FORM_BYTES_MAX) {
        char c = text.ptr[start - 1];
        if (c == '\n') break;
        bool stop = c == '.' || c == '?' || c == '!' || c == ';';
        if (stop && start < end && is_gap(text.ptr[start])) break;
        words += is_gap(c);
        start--;
    }
    return med_str_sub(text, start, end);
}

/* "COPD; see below" -> "COPD". */
static struct med_str first_part(struct med_str inside)
{
    for (size_t i = 0; i + 1 < inside.len; i++) {
        if ((inside.ptr[i] == ';' || inside.ptr[i] == ',') && is_gap(inside.ptr[i + 1]))
            return med_str_trim(med_str_sub(inside, 0, i));
    }
    return med_str_trim(inside);
}

static struct med_str last_word(struct med_str s)
{
    s = med_str_trim(s);
    size_t start = s.len;
    while (start > 0 && !is_gap(s.ptr[start - 1])) start--;
    return med_str_sub(s, start, s.len);
}

/* The definition that the parenthesis at [open, close) makes, if it makes one. */
static bool definition_at(
    struct med_str text, size_t open, size_t close, struct med_definition *ret_definition)
{
    struct med_str before = sentence_before(text, open);
    struct med_str inside = first_part(med_str_sub(text, open + 1, close));
    struct med_str sf = inside, lf = {0};
    if (is_short_form(sf)) lf = med_long_form(sf, before);
    if (!lf.len && word_count(inside) >= 2) { /* the other way round */
        sf = last_word(before);
        lf = is_short_form(sf) ? med_long_form(sf, inside) : (struct med_str){0};
        if (lf.len && lf.ptr != inside.ptr) lf.len = 0; /* it must be all of the parenthesis */
    }
    *ret_definition = (struct med_definition){.short_form = sf, .long_form = lf};
    return lf.len > 0;
}

static enum med_code make_key(struct med_analyzer *analyzer, struct med_str text,
    struct med_arena *arena, struct med_str *ret_key, struct med_err *err)
{
    const struct med_token *tokens;
    struct med_buf key;
    size_t count;
    enum med_code code = med_analyze(analyzer, text, &tokens, &count, err);
    if (code) return code;
    med_buf_init(&key, KEY_BYTES_MAX);
    for (size_t i = 0; i < count; i++) {
        if (i) med_buf_putc(&key, ' ');
        med_buf_append_str(&key, tokens[i].term);
    }
    code = med_buf_status(&key, err);
    if (!code && !med_arena_str(arena, med_buf_str(&key), ret_key)) code = out_of_memory(err);
    med_buf_free(&key);
    return code;
}

static bool known(const struct med_definition *list, size_t count, const struct med_definition *d)
{
    for (size_t i = 0; i < count; i++) {
        if (med_str_eq(list[i].short_form, d->short_form) && med_str_eq(list[i].key, d->key))
            return true;
    }
    return false;
}

enum med_code med_definitions_find(struct med_str text, struct med_analyzer *analyzer,
    struct med_arena *arena, struct med_definition **ret_list, size_t *ret_count,
    struct med_err *err)
{
    struct med_definition *list = NULL;
    size_t count = 0, cap = 0, open = SIZE_MAX;
    for (size_t i = 0; i < text.len && count < DEFINITIONS_PER_DOC_MAX; i++) {
        if (text.ptr[i] == '(') open = i;
        if (text.ptr[i] != ')' || open == SIZE_MAX) continue;
        struct med_definition d;
        size_t start = open;
        open = SIZE_MAX;
        if (i - start > MED_LONG_FORM_BYTES_MAX || !definition_at(text, start, i, &d)) continue;
        enum med_code code = make_key(analyzer, d.long_form, arena, &d.key, err);
        if (code) return code;
        if (d.key.len == 0 || known(list, count, &d)) continue;
        if (count == cap) {
            cap = cap ? 2 * cap : 8;
            struct med_definition *grown = med_arena_alloc(arena, cap * sizeof *grown);
            if (!grown) return out_of_memory(err);
            if (count) memcpy(grown, list, count * sizeof *grown);
            list = grown;
        }
        list[count++] = d;
    }
    *ret_list = list;
    *ret_count = count;
    return MED_OK;
}

/* --- counting --- */

struct med_abbreviation_counter {
    struct med_arena *arena;
    struct med_abbreviation *items; /* short_form_docs is not used here */
    size_t count, cap;
    uint32_t *slots; /* open addressing: item + 1, 0 = free */
    size_t slot_count;
};

enum med_code med_abbreviation_counter_new(
    struct med_abbreviation_counter **ret_counter, struct med_err *err)
{
    struct med_abbreviation_counter *c = med_calloc(1, sizeof *c);
    if (!c) return out_of_memory(err);
    enum med_code code = med_arena_new(COUNTER_ARENA_BYTES_MAX, &c->arena, err);
    if (code) {
        med_free(c);
        return code;
    }
    *ret_counter = c;
    return MED_OK;
}

void med_abbreviation_counter_free(struct med_abbreviation_counter **counter)
{
    struct med_abbreviation_counter *c = *counter;
    if (!c) return;
    med_arena_free(&c->arena);
    med_free(c->items);
    med_free(c->slots);
    med_free(c);
    *counter = NULL;
}

static uint64_t pair_hash(struct med_str short_form, struct med_str key)
{
    uint64_t h[2] = {med_hash64(short_form.ptr, short_form.len), med_hash64(key.ptr, key.len)};
    return med_hash64(h, sizeof h);
}

static size_t find_slot(
    const struct med_abbreviation_counter *c, struct med_str short_form, struct med_str key)
{
    size_t slot = pair_hash(short_form, key) & (c->slot_count - 1);
    while (c->slots[slot]) {
        const struct med_abbreviation *a = &c->items[c->slots[slot] - 1];
        if (med_str_eq(a->short_form, short_form) && med_str_eq(a->key, key)) break;
        slot = (slot + 1) & (c->slot_count - 1);
    }
    return slot;
}

static bool grow_slots(struct med_abbreviation_counter *c)
{
    if (2 * (c->count + 1) <= c->slot_count) return true;
    size_t wanted = c->slot_count ? 2 * c->slot_count : 1024;
    uint32_t *slots = med_calloc(wanted, sizeof *slots);
    if (!slots) return false;
    med_free(c->slots);
    c->slots = slots;
    c->slot_count = wanted;
    for (size_t i = 0; i < c->count; i++)
        slots[find_slot(c, c->items[i].short_form, c->items[i].key)] = (uint32_t)i + 1;
    return true;
}

enum med_code med_abbreviation_counter_add(struct med_abbreviation_counter *c,
    const struct med_definition *list, size_t count, struct med_err *err)
{
    for (size_t i = 0; i < count; i++) {
        if (!grow_slots(c)) return out_of_memory(err);
        size_t slot = find_slot(c, list[i].short_form, list[i].key);
        if (c->slots[slot]) {
            c->items[c->slots[slot] - 1].doc_count++;
            continue;
        }
        if (c->count == MED_ABBREVIATION_PAIRS_MAX) continue;
        if (!med_grow(&c->items, &c->cap, c->count + 1, sizeof *c->items))
            return out_of_memory(err);
        struct med_abbreviation *a = &c->items[c->count];
        *a = (struct med_abbreviation){.doc_count = 1};
        if (!med_arena_str(c->arena, list[i].short_form, &a->short_form) ||
            !med_arena_str(c->arena, list[i].long_form, &a->long_form) ||
            !med_arena_str(c->arena, list[i].key, &a->key))
            return out_of_memory(err);
        c->slots[slot] = (uint32_t)++c->count;
    }
    return MED_OK;
}

/* --- keeping --- */

static int by_short_form(const void *a, const void *b)
{
    const struct med_abbreviation *x = a, *y = b;
    int order = med_str_cmp(x->short_form, y->short_form);
    if (order) return order;
    if (x->doc_count != y->doc_count) return x->doc_count > y->doc_count ? -1 : 1;
    return med_str_cmp(x->key, y->key);
}

enum med_code med_abbreviation_counter_keep(const struct med_abbreviation_counter *c,
    uint32_t docs_min, double share_min, struct med_arena *arena,
    struct med_abbreviation **ret_list, size_t *ret_count, struct med_err *err)
{
    size_t kept = 0;
    struct med_abbreviation *all = med_arena_alloc(arena, (c->count + 1) * sizeof *all);
    if (!all) return out_of_memory(err);
    if (c->count) {
        memcpy(all, c->items, c->count * sizeof *all);
        qsort(all, c->count, sizeof *all, by_short_form);
    }
    for (size_t begin = 0, end; begin < c->count; begin = end) {
        uint64_t sum = 0;
        for (end = begin; end < c->count; end++) {
            if (!med_str_eq(all[end].short_form, all[begin].short_form)) break;
            sum += all[end].doc_count;
        }
        for (size_t i = begin; i < end && i < begin + MED_LONG_FORMS_MAX; i++) {
            if (all[i].doc_count < docs_min || (double)all[i].doc_count < share_min * (double)sum)
                break;
            all[kept] = all[i]; /* kept <= i */
            all[kept++].short_form_docs = (uint32_t)sum;
        }
    }
    *ret_list = all;
    *ret_count = kept;
    return MED_OK;
}

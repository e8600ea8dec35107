/* Passages of a document.
 *
 * A group is what one passage may not leave: a section with its heading, or a run of abstract
 * sections. A group that fits is one chunk, and most abstracts do. A longer one is a row of units,
 * which are headings, sentences and pieces of very long sentences, each knowing what a cut behind
 * it would cost:
 *
 *     heading | sentence . sentence . sentence | piece , piece , piece . sentence |
 *             ^never                           ^paragraph: 40  ^4000   ^sentence: 120      ^label
 * of an abstract: 0
 *
 * The cuts are the cheapest by dynamic programming over the last at most MED_CHUNK_WORDS_MAX words:
 * squared distance of every chunk from the group's even share, plus the cuts. All in integers, so
 * that every machine cuts alike.
 *
 * A heading alone becomes a chunk only where it says something that nothing below it carries on: a
 * section that has neither a body nor sub-sections. */
#include "common/hash.h"
#include "common/limits.h"
#include "common/mem.h"
#include "common/unicode.h"
#include "index/document/sentences.h"

/* What a cut behind a unit costs; a chunk half as long as its share costs 256. */
#define CUT_LABEL 0
#define CUT_PARAGRAPH 40
#define CUT_SENTENCE 120
#define CUT_INSIDE 4000
#define CUT_HEADING 16000

/* Longer sentences are laid out in pieces of about this size. */
#define PIECE_WORDS 32
#define PIECE_BYTES 400
/* Shorter sentences join the next one in their paragraph or list: bounds the work for lists of
 * single words. */
#define UNIT_WORDS_MIN 5

/* A word of more bytes than this is weighed as several, so that text without spaces is balanced
 * too. */
#define WORD_BYTES (MED_CHUNK_BYTES_MAX / MED_CHUNK_WORDS_MAX)

/* A group is cut into so many chunks that its even share is at most this: leaves sentences room
 * below the hard bound. */
#define SHARE_WORDS_MAX (MED_CHUNK_WORDS_TARGET + 30)

static const struct med_str JOIN = {" > ", 3};

struct unit {
    struct med_span span;
    uint32_t words;
    uint32_t cut_cost;
    uint32_t section;
    /* dynamic programming: the best way to end a chunk behind this unit */
    uint64_t best_cost;
    uint32_t best_first; /* first unit of that chunk */
};

struct chunker {
    const struct med_doc *doc;
    const struct med_text *text;
    struct unit *units;
    size_t unit_count, unit_cap;
    struct med_chunk *chunks;
    size_t chunk_count, chunk_cap;
};

static struct med_str slice(const struct chunker *c, struct med_span span)
{
    return med_str_sub(c->text->bytes, span.start, span.end);
}

static struct med_span trimmed(const struct chunker *c, struct med_span span)
{
    const char *p = c->text->bytes.ptr;
    while (span.start < span.end && med_is_space(p[span.start])) span.start++;
    while (span.end > span.start && med_is_space(p[span.end - 1])) span.end--;
    return span;
}

static bool is_blank(const struct chunker *c, struct med_span span)
{
    span = trimmed(c, span);
    return span.start == span.end;
}

/* The components that the paths of two sections have in common, from the top. */
static struct med_str common_path(struct med_str a, struct med_str b)
{
    size_t at = 0, common = 0;
    for (; at < a.len && at < b.len && a.ptr[at] == b.ptr[at]; at++) {
        if (med_str_starts(med_str_sub(a, at, a.len), JOIN) &&
            med_str_starts(med_str_sub(b, at, b.len), JOIN))
            common = at;
    }
    if (at == a.len && (at == b.len || med_str_starts(med_str_sub(b, at, b.len), JOIN)))
        common = at;
    if (at == b.len && at < a.len && med_str_starts(med_str_sub(a, at, a.len), JOIN)) common = at;
    return common > 0 ? med_str_sub(a, 0, common) : (struct med_str){0};
}

static enum med_code add_chunk(struct chunker *c, struct med_span span, uint32_t first_section,
    uint32_t last_section, struct med_err *err)
{
    if (c->chunk_count == MED_CHUNKS_PER_DOC_MAX)
        return med_fail(err, MED_E_LIMIT,
            "the document " MED_STR_FMT " has more than %llu passages", MED_STR_ARG(c->doc->id),
            MED_CHUNKS_PER_DOC_MAX);
    if (!med_grow(&c->chunks, &c->chunk_cap, c->chunk_count + 1, sizeof *c->chunks))
        return med_fail(
            err, MED_E_NOMEM, "no memory for passages of " MED_STR_FMT, MED_STR_ARG(c->doc->id));

    struct med_str bytes = slice(c, span), path = {0};
    if (first_section != UINT32_MAX) {
        path = c->doc->sections[first_section].path;
        for (uint32_t i = first_section + 1; i <= last_section; i++)
            path = common_path(path, c->doc->sections[i].path);
    }
    c->chunks[c->chunk_count] = (struct med_chunk){.number = (uint32_t)c->chunk_count,
        .span = span,
        .section = first_section,
        .path = path,
        .word_count = med_word_count(bytes),
        .hash = med_hash128(bytes.ptr, bytes.len)};
    c->chunk_count++;
    return MED_OK;
}

static enum med_code add_unit(struct chunker *c, struct med_span span, uint32_t words,
    uint32_t cut_cost, uint32_t section, struct med_err *err)
{
    if (!med_grow(&c->units, &c->unit_cap, c->unit_count + 1, sizeof *c->units))
        return med_fail(
            err, MED_E_NOMEM, "no memory for passages of " MED_STR_FMT, MED_STR_ARG(c->doc->id));
    c->units[c->unit_count++] =
        (struct unit){.span = span, .words = words, .cut_cost = cut_cost, .section = section};
    return MED_OK;
}

/* End of the piece that starts at span.start: at most PIECE_WORDS words by ASCII white space, and
 * PIECE_BYTES bytes, which bounds the words that Unicode white space divides; at least one code
 * point; behind a word, or inside one that is longer than a piece. */
static uint32_t piece_end(const struct chunker *c, struct med_span span)
{
    struct med_str s = c->text->bytes;
    uint32_t end = 0, words = 0, at = span.start;
    while (at < span.end && words < PIECE_WORDS) {
        while (at < span.end && med_is_space(s.ptr[at])) at++;
        while (at < span.end && at - span.start <= PIECE_BYTES && !med_is_space(s.ptr[at])) at++;
        if (at - span.start > PIECE_BYTES) break;
        words++;
        end = at;
    }
    if (end == 0) end = (uint32_t)med_utf8_floor(s, span.start + PIECE_BYTES);
    return end > span.start
               ? end
               : span.start + PIECE_BYTES; /* the latter only in bytes that are not UTF-8 */
}

/* A heading or sentence, in pieces when it is long. cut_cost is that of the cut behind all of it.
 */
static enum med_code add_sentence(struct chunker *c, struct med_span span, uint32_t cut_cost,
    uint32_t section, struct med_err *err)
{
    enum med_code code = MED_OK;
    uint32_t words = med_word_count(slice(c, span)), end;
    if (words > MED_CHUNK_WORDS_MAX || span.end - span.start > MED_CHUNK_BYTES_MAX) {
        while (code == MED_OK && (end = piece_end(c, span)) < span.end) {
            struct med_span piece = {.start = span.start, .end = end};
            code = add_unit(c, piece, med_word_count(slice(c, piece)), CUT_INSIDE, section, err);
            span = trimmed(c, (struct med_span){.start = end, .end = span.end});
        }
        words = med_word_count(slice(c, span));
    }
    return code == MED_OK ? add_unit(c, span, words, cut_cost, section, err) : code;
}

/* The sentences of one body. The last one's cut costs as a label's. */
static enum med_code add_body(struct chunker *c, uint32_t section, struct med_err *err)
{
    enum med_code code = MED_OK;
    struct med_span body = c->text->bodies[section], span, next;
    struct med_sentence_iter it = {.text = slice(c, body)};
    bool more = med_sentence_next(&it, &span);
    while (more && code == MED_OK) {
        uint32_t words = med_word_count(med_str_sub(it.text, span.start, span.end));
        bool same_line = true;
        while ((more = med_sentence_next(&it, &next))) {
            same_line = !memchr(it.text.ptr + span.end, '\n', next.start - span.end);
            if (words >= UNIT_WORDS_MIN) break;
            uint32_t next_words = med_word_count(med_str_sub(it.text, next.start, next.end));
            if (words + next_words > MED_CHUNK_WORDS_MAX ||
                next.end - span.start > MED_CHUNK_BYTES_MAX)
                break;
            words += next_words;
            span.end = next.end;
        }
        uint32_t cut_cost = !more ? CUT_LABEL : same_line ? CUT_SENTENCE : CUT_PARAGRAPH;
        struct med_span absolute = {.start = body.start + span.start, .end = body.start + span.end};
        code = add_sentence(c, absolute, cut_cost, section, err);
        span = next;
    }
    return code;
}

static uint64_t chunk_cost(
    const struct unit *first, const struct unit *last, uint32_t words, uint64_t share)
{
    uint64_t bytes = last->span.end - first->span.start;
    uint64_t weight = words > bytes / WORD_BYTES ? words : bytes / WORD_BYTES;
    uint64_t off = weight > share ? weight - share : share - weight;
    return off * off * 1024 / (share * share) + last->cut_cost;
}

/* Fills best_cost and best_first of every unit. */
static void find_cuts(struct chunker *c, uint64_t share)
{
    for (size_t last = 0; last < c->unit_count; last++) {
        struct unit *u = &c->units[last];
        u->best_cost = UINT64_MAX;
        uint32_t words = 0;
        for (size_t first = last + 1; first-- > 0;) {
            words += c->units[first].words;
            uint32_t bytes = u->span.end - c->units[first].span.start;
            if (first < last && (words > MED_CHUNK_WORDS_MAX || bytes > MED_CHUNK_BYTES_MAX)) break;
            uint64_t cost = chunk_cost(&c->units[first], u, words, share);
            if (first > 0) cost += c->units[first - 1].best_cost;
            if (cost < u->best_cost) {
                u->best_cost = cost;
                u->best_first = (uint32_t)first;
            }
        }
    }
}

/* Cuts the collected units. The best cuts are read from the end and turned into forward links in
 * place: best_cost of a chunk's first unit then holds the index behind its last one. */
static enum med_code emit_units(struct chunker *c, struct med_err *err)
{
    uint64_t words = 0;
    for (size_t i = 0; i < c->unit_count; i++) words += c->units[i].words;
    uint64_t bytes = c->units[c->unit_count - 1].span.end - c->units[0].span.start;
    uint64_t weight = words > bytes / WORD_BYTES ? words : bytes / WORD_BYTES;
    uint64_t count = weight / SHARE_WORDS_MAX + 1;
    find_cuts(c, weight / count > 0 ? weight / count : 1);

    size_t end = c->unit_count;
    while (end > 0) {
        uint32_t first = c->units[end - 1].best_first;
        c->units[first].best_cost = end;
        end = first;
    }
    enum med_code code = MED_OK;
    for (size_t first = 0; first < c->unit_count && code == MED_OK; first = end) {
        end = (size_t)c->units[first].best_cost;
        struct unit *a = &c->units[first], *z = &c->units[end - 1];
        struct med_span span = {.start = a->span.start, .end = z->span.end};
        code = add_chunk(c, span, a->section, z->section, err);
    }
    return code;
}

/* Cuts sections [first, last], which have some text. */
static enum med_code chunk_group(
    struct chunker *c, uint32_t first, uint32_t last, struct med_err *err)
{
    struct med_span whole = trimmed(c, (struct med_span){.start = c->text->headings[first].start,
                                           .end = c->text->bodies[last].end});
    if (whole.end - whole.start <= MED_CHUNK_BYTES_MAX &&
        med_word_count(slice(c, whole)) <= MED_CHUNK_WORDS_MAX)
        return add_chunk(c, whole, first, last, err);

    enum med_code code = MED_OK;
    c->unit_count = 0;
    for (uint32_t i = first; i <= last && code == MED_OK; i++) {
        struct med_span heading = trimmed(c, c->text->headings[i]);
        if (heading.start < heading.end) code = add_sentence(c, heading, CUT_HEADING, i, err);
        if (code == MED_OK) code = add_body(c, i, err);
    }
    return code == MED_OK ? emit_units(c, err) : code;
}

static bool has_subsection(const struct chunker *c, uint32_t section)
{
    if (section + 1 >= c->doc->section_count) return false;
    struct med_str path = c->doc->sections[section].path, next = c->doc->sections[section + 1].path;
    return med_str_starts(next, path) &&
           med_str_starts(med_str_sub(next, path.len, next.len), JOIN);
}

static bool has_bodies(const struct chunker *c, uint32_t first, uint32_t last)
{
    for (uint32_t i = first; i <= last; i++) {
        if (!is_blank(c, c->text->bodies[i])) return true;
    }
    return false;
}

static enum med_code chunk_sections(struct chunker *c, struct med_err *err)
{
    enum med_code code = MED_OK;
    uint32_t count = (uint32_t)c->doc->section_count, last;
    for (uint32_t first = 0; first < count && code == MED_OK; first = last + 1) {
        last = first;
        if (c->doc->sections[first].kind == MED_SECTION_ABSTRACT) {
            while (last + 1 < count && c->doc->sections[last + 1].kind == MED_SECTION_ABSTRACT)
                last++;
        }
        bool lone_heading =
            first == last && !is_blank(c, c->text->headings[first]) && !has_subsection(c, first);
        if (lone_heading || has_bodies(c, first, last)) code = chunk_group(c, first, last, err);
    }
    return code;
}

/* The title stands for a document that has nothing else; one beyond the bounds is cut as a sentence
 * is. */
static enum med_code chunk_title(struct chunker *c, struct med_err *err)
{
    struct med_span title = trimmed(c, c->text->title);
    if (title.start == title.end) return MED_OK;
    c->unit_count = 0;
    enum med_code code = add_sentence(c, title, CUT_LABEL, UINT32_MAX, err);
    if (code != MED_OK) return code;
    return c->unit_count > 1 ? emit_units(c, err)
                             : add_chunk(c, title, UINT32_MAX, UINT32_MAX, err);
}

enum med_code med_chunk_make(const struct med_doc *doc, const struct med_text *text,
    struct med_arena *arena, struct med_chunk **ret_chunks, size_t *ret_count, struct med_err *err)
{
    struct chunker c = {.doc = doc, .text = text};
    uint32_t count = (uint32_t)text->section_count;
    bool bodies = count > 0 && has_bodies(&c, 0, count - 1);
    enum med_code code = MED_OK;
    if (!bodies) code = chunk_title(&c, err);
    if (code == MED_OK && c.chunk_count == 0) code = chunk_sections(&c, err);
    if (code != MED_OK) goto out;

    struct med_chunk *chunks =
        med_arena_alloc(arena, (c.chunk_count > 0 ? c.chunk_count : 1) * sizeof *chunks);
    if (!chunks) {
        code = med_fail(
            err, MED_E_NOMEM, "no memory for passages of " MED_STR_FMT, MED_STR_ARG(doc->id));
        goto out;
    }
    if (c.chunk_count > 0) memcpy(chunks, c.chunks, c.chunk_count * sizeof *chunks);
    *ret_chunks = chunks;
    *ret_count = c.chunk_count;
out:
    med_free(c.units);
    med_free(c.chunks);
    return code;
}

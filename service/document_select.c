/* Which part of a document an answer shows: everything, one passage, some sections; cut at a
 * sentence end where a token budget says so. */
#include "service/answer.h"

#include "common/limits.h"
#include "common/unicode.h"

static enum med_code out_of_memory(struct med_err *err)
{
    return med_fail(err, MED_E_NOMEM, "the document needs more memory than one request may use");
}

enum med_code fetch_params_sections(
    struct fetch_params *params, struct med_str list, struct med_err *err)
{
    for (size_t at = 0; at <= list.len;) {
        size_t end = at;
        while (end < list.len && list.ptr[end] != ',') end++;
        struct med_str name = med_str_trim(med_str_sub(list, at, end));
        if (name.len) {
            if (params->section_count == FETCH_SECTIONS_MAX)
                return med_fail(
                    err, MED_E_INVALID, "sections: at most %d may be named", FETCH_SECTIONS_MAX);
            params->sections[params->section_count++] = name;
        }
        at = end + 1;
    }
    return MED_OK;
}

/* The name is the section's heading, its path, or the path of a section above it. */
static bool section_matches(const struct med_section *section, struct med_str name)
{
    struct med_str path = section->path;
    if (section->kind == MED_SECTION_ABSTRACT && med_str_eq_nocase(name, MED_STR("abstract")))
        return true;
    if (med_str_eq_nocase(section->heading, name) || med_str_eq_nocase(path, name)) return true;
    for (size_t at = 0; at + 3 <= path.len; at++) {
        if (memcmp(path.ptr + at, " > ", 3) != 0) continue;
        struct med_str above = med_str_sub(path, 0, at);
        if (med_str_eq_nocase(above, name)) return true;
        size_t last = at;
        while (last > 0 && path.ptr[last - 1] != '>') last--;
        if (med_str_eq_nocase(med_str_trim(med_str_sub(path, last, at)), name)) return true;
    }
    return false;
}

static enum med_code no_such_section(const struct med_fetched *f, struct med_err *err)
{
    struct med_buf names;
    med_buf_init(&names, 300);
    for (size_t i = 0; i < f->doc->section_count; i++) {
        struct med_str path = f->doc->sections[i].path;
        if (path.len == 0) continue;
        if (names.len + path.len + 4 > 290) {
            med_buf_puts(&names, ", ...");
            break;
        }
        if (names.len) med_buf_puts(&names, ", ");
        med_buf_append_str(&names, path);
    }
    enum med_code code = med_fail(err, MED_E_NOT_FOUND,
        names.len ? "no section of that name; there are: %s" : "this document has no sections%s",
        names.data ? names.data : "");
    med_buf_free(&names);
    return code;
}

static enum med_code select_sections(const struct med_fetched *f, const struct fetch_params *params,
    struct selection *s, struct med_err *err)
{
    for (size_t i = 0; i < f->doc->section_count; i++) {
        bool wanted = false;
        for (size_t k = 0; k < params->section_count && !wanted; k++)
            wanted = section_matches(&f->doc->sections[i], params->sections[k]);
        if (!wanted) continue;
        struct med_span heading = f->text->headings[i], body = f->text->bodies[i];
        struct med_span span = {.start = heading.end > heading.start ? heading.start : body.start,
            .end = body.end > body.start ? body.end : heading.end};
        if (span.end <= span.start) continue;
        /* Neighbours become one span. */
        if (s->count && span.start - s->spans[s->count - 1].end <= 2)
            s->spans[s->count - 1].end = span.end;
        else
            s->spans[s->count++] = span;
    }
    return s->count ? MED_OK : no_such_section(f, err);
}

/* Canonical text has headings on lines of their own, without a full stop. */
static bool is_heading(struct med_str line)
{
    char c = line.len ? line.ptr[line.len - 1] : 0;
    bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    return word || c == ':';
}

enum med_code text_cut(
    struct med_str s, size_t limit, struct med_arena *arena, size_t *ret_cut, struct med_err *err)
{
    if (s.len <= limit) {
        *ret_cut = s.len;
        return MED_OK;
    }
    struct med_span *sentences;
    size_t count, cut = 0;
    size_t seen = limit + 2000 < s.len ? med_utf8_floor(s, limit + 2000) : s.len;
    enum med_code code = med_sentences(med_str_sub(s, 0, seen), arena, &sentences, &count, err);
    if (code) return code;
    for (size_t i = 0; i < count && sentences[i].end <= limit; i++) {
        if (!is_heading(med_str_sub(s, sentences[i].start, sentences[i].end)))
            cut = sentences[i].end;
    }
    if (cut == 0) {
        cut = med_utf8_floor(s, limit);
        size_t space = cut;
        while (space > 0 && s.ptr[space - 1] != ' ') space--;
        if (space > 1) cut = space - 1;
    }
    *ret_cut = cut;
    return MED_OK;
}

static enum med_code apply_budget(const struct med_fetched *f, uint64_t max_tokens,
    struct med_arena *arena, struct selection *s, struct med_err *err)
{
    uint64_t left = max_tokens * MED_BYTES_PER_TOKEN;
    for (size_t i = 0; i < s->count; i++) {
        struct med_span *span = &s->spans[i];
        struct med_str piece = med_str_sub(f->text->bytes, span->start, span->end);
        if (piece.len > left) {
            size_t cut;
            enum med_code code = text_cut(piece, (size_t)left, arena, &cut, err);
            if (code) return code;
            span->end = span->start + (uint32_t)cut;
            s->truncated = true;
            s->cut = span->end;
            s->count = cut ? i + 1 : i;
            return MED_OK;
        }
        left -= piece.len;
        left -= left < 2 ? left : 2; /* the blank line between pieces */
    }
    return MED_OK;
}

/* The passage with those around it: they follow each other in the text, headings between them. */
static struct med_span window_of(const struct med_fetched *f, uint32_t window)
{
    size_t last = f->chunk_count - 1;
    size_t from = f->chunk > window ? f->chunk - window : 0;
    size_t to = last - f->chunk > window ? f->chunk + window : last;
    return (struct med_span){.start = f->chunks[from].span.start, .end = f->chunks[to].span.end};
}

/* Leaves out what was read already. */
static enum med_code skip_to(
    const struct med_fetched *f, uint32_t start, struct selection *s, struct med_err *err)
{
    size_t kept = 0;
    if (start > f->text->bytes.len || med_utf8_floor(f->text->bytes, start) != start)
        return med_fail(err, MED_E_INVALID,
            "start_byte: take next_start_byte of an answer; the text has %zu bytes",
            f->text->bytes.len);
    for (size_t i = 0; i < s->count; i++) {
        struct med_span span = s->spans[i];
        if (span.start < start) span.start = start;
        while (span.start < span.end && (unsigned char)f->text->bytes.ptr[span.start] <= ' ')
            span.start++;
        if (span.start < span.end) s->spans[kept++] = span;
    }
    s->count = kept;
    if (kept) return MED_OK;
    return med_fail(err, MED_E_INVALID, "start_byte: there is nothing behind byte %u of it", start);
}

static enum med_code join(
    const struct med_fetched *f, struct med_arena *arena, struct selection *s, struct med_err *err)
{
    size_t len = 0;
    for (size_t i = 0; i < s->count; i++)
        len += (size_t)(s->spans[i].end - s->spans[i].start) + (i ? 2 : 0);
    if (s->count == 1) {
        s->text = med_str_sub(f->text->bytes, s->spans[0].start, s->spans[0].end);
        return MED_OK;
    }
    char *text = med_arena_alloc(arena, len + 1);
    if (!text) return out_of_memory(err);
    size_t at = 0;
    for (size_t i = 0; i < s->count; i++) {
        if (i) {
            memcpy(text + at, "\n\n", 2);
            at += 2;
        }
        size_t piece = s->spans[i].end - s->spans[i].start;
        if (piece) memcpy(text + at, f->text->bytes.ptr + s->spans[i].start, piece);
        at += piece;
    }
    s->text = (struct med_str){.ptr = text, .len = at};
    return MED_OK;
}

enum med_code document_select(const struct med_fetched *f, const struct fetch_params *params,
    struct med_arena *arena, struct selection *ret_selection, struct med_err *err)
{
    struct selection s = {0};
    s.spans = med_arena_calloc(arena, f->doc->section_count + 1, sizeof *s.spans);
    if (!s.spans) return out_of_memory(err);
    enum med_code code = MED_OK;
    if (params->outline) {
        s.count = 0;
    } else if (f->is_chunk) {
        s.spans[s.count++] = window_of(f, params->window);
    } else if (params->section_count) {
        code = select_sections(f, params, &s, err);
    } else if (f->text->bytes.len) {
        s.spans[s.count++] = (struct med_span){.start = 0, .end = (uint32_t)f->text->bytes.len};
    }
    if (!code && params->start_byte && s.count) code = skip_to(f, params->start_byte, &s, err);
    if (!code && params->max_tokens) code = apply_budget(f, params->max_tokens, arena, &s, err);
    if (!code) code = join(f, arena, &s, err);
    if (!code) *ret_selection = s;
    return code;
}

/* The small pieces that search answers and documents are made of. */
#include "service/answer.h"

#include "common/clock.h"
#include "common/limits.h"

static const struct {
    uint32_t bit;
    const char *name;
} shown_flags[] = {
    {MED_FLAG_RETRACTED, "retracted"},
    {MED_FLAG_RETRACTION_NOTICE, "retraction-notice"},
    {MED_FLAG_CONCERN, "expression-of-concern"},
    {MED_FLAG_ERRATUM, "erratum"},
    {MED_FLAG_SUPERSEDED, "superseded"},
    {MED_FLAG_FULL_TEXT, "full-text"},
};
#define FLAG_COUNT (sizeof shown_flags / sizeof *shown_flags)

struct med_str public_url_of(const char *given)
{
    struct med_str url = med_str_of(given && *given ? given : PUBLIC_URL_DEFAULT);
    while (url.len && url.ptr[url.len - 1] == '/') url.len--;
    return url;
}

void percent_encode(struct med_str s, struct med_buf *out)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '.' || c == '_' || c == '~';
        if (plain) {
            med_buf_putc(out, (char)c);
        } else {
            char text[3] = {'%', hex[c >> 4], hex[c & 15]};
            med_buf_append(out, text, sizeof text);
        }
    }
}

void document_url(
    const struct view *view, struct med_str own_url, struct med_str id, struct med_buf *out)
{
    if (own_url.len) {
        med_buf_append_str(out, own_url);
        return;
    }
    med_buf_append_str(out, view->public_url);
    med_buf_puts(out, "/v1/documents/");
    percent_encode(id, out);
}

void meta_json(const struct view *view, const struct med_manifest *manifest, struct med_jw *w)
{
    char date[MED_TIME_TEXT_LEN + 1];
    med_time_text(manifest->created_unix_s, date);
    med_jw_kint(w, "generation", (long long)manifest->number);
    med_jw_kcstr(w, "index_date", date);
    if (manifest->last_input.len && !view->limited)
        med_jw_kstr(w, "last_input", manifest->last_input);
    if (manifest->last_update.len) med_jw_kstr(w, "last_update", manifest->last_update);
}

void meta_text(const struct view *view, const struct med_manifest *manifest, struct med_buf *out)
{
    char date[MED_TIME_TEXT_LEN + 1];
    med_time_text(manifest->created_unix_s, date);
    med_buf_printf(out, "generation %llu of %s", (unsigned long long)manifest->number, date);
    struct med_str last = manifest->last_update.len ? manifest->last_update : manifest->last_input;
    if (last.len && !view->limited) med_buf_printf(out, ", up to " MED_STR_FMT, MED_STR_ARG(last));
}

void flags_json(uint32_t flags, struct med_jw *w)
{
    med_jw_key(w, "flags");
    med_jw_array(w);
    for (size_t i = 0; i < FLAG_COUNT; i++) {
        if (flags & shown_flags[i].bit) med_jw_cstr(w, shown_flags[i].name);
    }
    med_jw_array_end(w);
}

void flags_text(uint32_t flags, struct med_buf *out)
{
    for (size_t i = 0; i < FLAG_COUNT; i++) {
        if (flags & shown_flags[i].bit) med_buf_printf(out, " [%s]", shown_flags[i].name);
    }
}

void embed_json(struct med_jw *w, struct med_str json)
{
    struct med_buf lines;
    med_buf_init(&lines, MED_RESPONSE_BYTES_MAX);
    json = med_str_trim(json);
    for (size_t i = 0; i < json.len; i++) {
        med_buf_putc(&lines, json.ptr[i]);
        if (json.ptr[i] == '\n') med_buf_puts(&lines, "    ");
    }
    med_jw_raw(w, med_buf_str(&lines));
    if (lines.code) w->buf->code = lines.code;
    med_buf_free(&lines);
}

void links_json(const struct med_link *links, size_t count, struct med_jw *w)
{
    med_jw_key(w, "links");
    med_jw_array(w);
    for (size_t i = 0; i < count; i++) {
        med_jw_object(w);
        med_jw_kcstr(w, "kind", med_link_kind_name(links[i].kind));
        if (links[i].target.len) med_jw_kstr(w, "id", links[i].target);
        if (links[i].note.len) med_jw_kstr(w, "note", links[i].note);
        med_jw_object_end(w);
    }
    med_jw_array_end(w);
}

void links_text(
    const struct med_link *links, size_t count, const char *end_of_line, struct med_buf *out)
{
    for (size_t i = 0; i < count; i++) {
        enum med_link_kind kind = links[i].kind;
        if (kind == MED_LINK_COMMENT_IN || kind == MED_LINK_COMMENT_ON || kind == MED_LINK_OTHER)
            continue;
        med_buf_puts(out, med_link_kind_name(kind));
        med_buf_putc(out, ' ');
        med_buf_append_str(out, links[i].target.len ? links[i].target : links[i].note);
        med_buf_puts(out, end_of_line);
    }
}

void author_name(const struct med_author *author, struct med_buf *out)
{
    med_buf_append_str(out, author->family);
    struct med_str first = author->initials.len ? author->initials : author->given;
    if (first.len) {
        if (author->family.len) med_buf_putc(out, ' ');
        med_buf_append_str(out, first);
    }
}

void authors_text(const struct med_doc *doc, size_t shown, struct med_buf *out)
{
    for (size_t i = 0; i < doc->author_count && i < shown; i++) {
        if (i) med_buf_puts(out, ", ");
        author_name(&doc->authors[i], out);
    }
    if (doc->author_count > shown) med_buf_puts(out, ", et al.");
}

void date_text(struct med_date date, struct med_buf *out)
{
    if (date.year) med_buf_printf(out, "%04u", date.year);
    if (date.year && date.month) med_buf_printf(out, "-%02u", date.month);
    if (date.year && date.month && date.day) med_buf_printf(out, "-%02u", date.day);
}

static void kstr_or_null(struct med_jw *w, const char *key, struct med_str s)
{
    med_jw_key(w, key);
    if (s.len)
        med_jw_str(w, s);
    else
        med_jw_null(w);
}

void citation_json(const struct med_doc *doc, struct med_jw *w)
{
    struct med_buf text;
    med_buf_init(&text, MED_MIB);
    med_jw_key(w, "authors");
    med_jw_array(w);
    for (size_t i = 0; i < doc->author_count; i++) {
        med_buf_reset(&text);
        author_name(&doc->authors[i], &text);
        med_jw_str(w, med_buf_str(&text));
    }
    med_jw_array_end(w);
    kstr_or_null(w, "journal", doc->journal.title);
    med_buf_reset(&text);
    date_text(doc->date, &text);
    kstr_or_null(w, "date", med_buf_str(&text));
    kstr_or_null(w, "doi", doc->doi);
    kstr_or_null(w, "pmid", doc->pmid);
    kstr_or_null(w, "pmcid", doc->pmcid);
    med_buf_free(&text);
}

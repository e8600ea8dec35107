/* The words in which keys are described: scopes, sources, rates, dates. See keys.h. */
#include "service/keys.h"

#include "common/clock.h"
#include "index/document/document.h"
#include "service/suggest.h"

#include <stdio.h>
#include <time.h>

#define DAY_S 86400

bool key_name_valid(struct med_str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && (c == '\0' || !strchr("._-", c))) return false;
    }
    return name.len > 0 && name.len <= KEY_NAME_MAX;
}

/* A list of words of `known`, separated by commas, as a mask. */
static enum med_code parse_words(struct med_str list, const char *const *known, unsigned count,
    const char *what, uint32_t *ret_mask, struct med_err *err)
{
    uint32_t mask = 0;
    for (size_t at = 0, end; at <= list.len; at = end + 1) {
        for (end = at; end < list.len && list.ptr[end] != ',';) end++;
        struct med_str word = med_str_trim(med_str_sub(list, at, end));
        unsigned i = 0;
        while (i < count && !med_str_eq_nocase(word, med_str_of(known[i]))) i++;
        if (i < count) {
            mask |= 1u << i;
            continue;
        }
        const char *near = suggest_word(word, known, count);
        int len = (int)(word.len < 60 ? word.len : 60);
        if (near)
            return med_fail(err, MED_E_USAGE, "\"%.*s\" is no %s; did you mean \"%s\"?", len,
                word.ptr ? word.ptr : "", what, near);
        return med_fail(err, MED_E_USAGE, "\"%.*s\" is no %s", len, word.ptr ? word.ptr : "", what);
    }
    *ret_mask = mask;
    return MED_OK;
}

enum med_code scopes_parse(struct med_str text, unsigned *ret_scopes, struct med_err *err)
{
    static const char *const known[] = {"search", "admin"};
    uint32_t mask = 0;
    enum med_code code =
        parse_words(text, known, 2, "scope; known are search and admin", &mask, err);
    if (!code) *ret_scopes = mask;
    return code;
}

const char *scopes_text(unsigned scopes)
{
    return scopes == SCOPE_ALL ? "search,admin" : scopes == SCOPE_ADMIN ? "admin" : "search";
}

enum med_code sources_parse(struct med_str text, uint32_t *ret_mask, struct med_err *err)
{
    const char *known[MED_SOURCE_COUNT];
    for (unsigned i = 0; i < MED_SOURCE_COUNT; i++) known[i] = med_source_name((enum med_source)i);
    return parse_words(text, known, MED_SOURCE_COUNT,
        "source; known are pubmed, pmc, guideline and other", ret_mask, err);
}

void sources_text(uint32_t mask, struct med_buf *out)
{
    bool first = true;
    for (unsigned i = 0; i < MED_SOURCE_COUNT; i++) {
        if (mask && !(mask >> i & 1)) continue;
        if (!first) med_buf_putc(out, ',');
        med_buf_puts(out, med_source_name((enum med_source)i));
        first = false;
    }
}

static const struct {
    const char *name;
    uint32_t seconds;
} units[] = {{"s", 1}, {"min", 60}, {"h", 3600}};

enum med_code rate_parse(struct med_str text, struct rate *ret_rate, struct med_err *err)
{
    unsigned long long n;
    size_t slash = 0;
    text = med_str_trim(text);
    while (slash < text.len && text.ptr[slash] != '/') slash++;
    struct med_str number = med_str_trim(med_str_sub(text, 0, slash));
    for (size_t i = 0; slash < text.len && i < sizeof units / sizeof *units; i++) {
        struct med_str unit = med_str_trim(med_str_sub(text, slash + 1, text.len));
        if (!med_str_eq(unit, med_str_of(units[i].name))) continue;
        if (!med_str_to_u64(number, &n) || n < 1 || n > 1000000000) break;
        *ret_rate = (struct rate){.count = (uint32_t)n, .window_s = units[i].seconds};
        return MED_OK;
    }
    return med_fail(err, MED_E_USAGE,
        "\"%.*s\" is no rate: a number of requests per s, min or h expected, such as 10/s",
        (int)(text.len < 60 ? text.len : 60), text.ptr ? text.ptr : "");
}

void rate_text(struct rate rate, char ret_text[RATE_TEXT_MAX])
{
    const char *unit = rate.window_s == 3600 ? "h" : rate.window_s == 60 ? "min" : "s";
    if (rate.count)
        snprintf(ret_text, RATE_TEXT_MAX, "%u/%s", rate.count, unit);
    else
        snprintf(ret_text, RATE_TEXT_MAX, "unlimited");
}

enum med_code expiry_parse(struct med_str text, int64_t *ret_unix_s, struct med_err *err)
{
    char copy[MED_TIME_TEXT_LEN + 1] = "", back[MED_TIME_TEXT_LEN + 1];
    struct tm tm = {0};
    text = med_str_trim(text);
    bool day = text.len == 10;
    if (day || text.len == MED_TIME_TEXT_LEN) {
        memcpy(copy, text.ptr, text.len);
        const char *end = strptime(copy, day ? "%Y-%m-%d" : "%Y-%m-%dT%H:%M:%SZ", &tm);
        int64_t at = end && !*end ? (int64_t)timegm(&tm) : -1;
        if (at > 0) med_time_text(at, back);
        /* timegm takes the 31st of February for the 3rd of March. */
        if (at > 0 && memcmp(back, copy, text.len) == 0) {
            *ret_unix_s = at + (day ? DAY_S : 0);
            return MED_OK;
        }
    }
    return med_fail(err, MED_E_USAGE, "\"%.*s\" is no date; 2027-01-31 or 2027-01-31T12:00:00Z",
        (int)(text.len < 60 ? text.len : 60), text.ptr ? text.ptr : "");
}

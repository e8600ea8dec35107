#include "service/media.h"

#include <stdio.h>

static const struct {
    const char *type, *name, *suffix;
} forms[MEDIA_COUNT] = {
    [MEDIA_JSON] = {"application/json", "json", "json"},
    [MEDIA_NDJSON] = {"application/x-ndjson", "ndjson", "ndjson"},
    [MEDIA_TEXT] = {"text/plain; charset=utf-8", "text", "txt"},
    [MEDIA_MARKDOWN] = {"text/markdown; charset=utf-8", "markdown", "md"},
    [MEDIA_RIS] = {"application/x-research-info-systems", "ris", "ris"},
    [MEDIA_BIBTEX] = {"application/x-bibtex", "bibtex", "bib"},
    [MEDIA_CSL] = {"application/vnd.citationstyles.csl+json", "csl-json", "csl.json"},
    [MEDIA_VANCOUVER] = {"text/x-bibliography; charset=utf-8", "vancouver", "txt"},
    [MEDIA_NBIB] = {"application/nbib", "nbib", "nbib"},
    [MEDIA_CSV] = {"text/csv; charset=utf-8", "csv", "csv"},
    [MEDIA_METRICS] = {"text/plain; version=0.0.4; charset=utf-8", "metrics", "txt"},
    [MEDIA_HTML] = {"text/html; charset=utf-8", "html", "html"},
    [MEDIA_CSS] = {"text/css; charset=utf-8", "css", "css"},
    [MEDIA_JS] = {"text/javascript; charset=utf-8", "javascript", "js"},
    [MEDIA_SVG] = {"image/svg+xml", "svg", "svg"},
};

const char *media_type(enum media media)
{
    return forms[media].type;
}

const char *media_suffix(enum media media)
{
    return forms[media].suffix;
}

enum med_code media_parse(
    struct med_str name, unsigned offered, enum media *ret_media, struct med_err *err)
{
    char names[200];
    int used = 0;
    names[0] = '\0';
    for (unsigned i = 0; i < MEDIA_COUNT; i++) {
        if (!(offered & 1u << i)) continue;
        if (med_str_eq(name, med_str_of(forms[i].name))) {
            *ret_media = (enum media)i;
            return MED_OK;
        }
        if (used >= 0 && (size_t)used < sizeof names)
            used += snprintf(
                names + used, sizeof names - (size_t)used, "%s%s", used ? ", " : "", forms[i].name);
    }
    return med_fail(err, MED_E_INVALID, "one of %s expected, not \"%.*s\"", names,
        (int)(name.len < 40 ? name.len : 40), name.ptr ? name.ptr : "");
}

struct med_str list_next(struct med_str list, char separator, size_t *at)
{
    size_t start = *at, end = start;
    while (end < list.len && list.ptr[end] != separator) end++;
    *at = end + 1;
    return med_str_trim(med_str_sub(list, start, end));
}

/* The type without its parameters. */
static struct med_str bare(const char *type)
{
    size_t at = 0;
    return list_next(med_str_of(type), ';', &at);
}

/* How specifically a media range covers the type: 0 not, 1 any, 2 main type, 3 exactly. */
static int covers(struct med_str range, const char *type)
{
    struct med_str full = bare(type);
    if (med_str_eq(range, MED_STR("*/*")) || med_str_eq(range, MED_STR("*"))) return 1;
    if (med_str_eq_nocase(range, full)) return 3;
    size_t slash = 0;
    while (slash < full.len && full.ptr[slash] != '/') slash++;
    bool wild = range.len == slash + 2 && range.ptr[slash + 1] == '*';
    return wild && med_str_eq_nocase(
                       med_str_sub(range, 0, slash + 1), med_str_sub(full, 0, slash + 1))
               ? 2
               : 0;
}

/* An element's q; 1 when it has none. */
static double quality(struct med_str item, size_t at)
{
    double q = 1;
    while (at < item.len) {
        struct med_str param = list_next(item, ';', &at);
        if (param.len > 2 && (param.ptr[0] == 'q' || param.ptr[0] == 'Q') && param.ptr[1] == '=')
            (void)med_str_to_double(med_str_sub(param, 2, param.len), &q);
    }
    return q;
}

static double quality_of(struct med_str accept, const char *type)
{
    int best = 0;
    double q = 0;
    for (size_t at = 0; at < accept.len;) {
        struct med_str item = list_next(accept, ',', &at);
        size_t inner = 0;
        int how = covers(list_next(item, ';', &inner), type);
        if (how <= best) continue;
        best = how;
        q = quality(item, inner);
    }
    return q;
}

bool media_negotiate(struct med_str accept, unsigned offered, enum media *ret_media)
{
    double best = 0;
    if (med_str_trim(accept).len == 0) accept = MED_STR("*/*");
    for (unsigned i = 0; i < MEDIA_COUNT; i++) {
        double q = offered & 1u << i ? quality_of(accept, forms[i].type) : 0;
        if (q <= best) continue;
        best = q;
        *ret_media = (enum media)i;
    }
    return best > 0;
}

void media_list(unsigned offered, char *ret_text, size_t size)
{
    size_t used = 0;
    ret_text[0] = '\0';
    for (unsigned i = 0; i < MEDIA_COUNT && used < size; i++) {
        if (!(offered & 1u << i)) continue;
        struct med_str type = bare(forms[i].type);
        int n = snprintf(
            ret_text + used, size - used, "%s%.*s", used ? ", " : "", (int)type.len, type.ptr);
        used += n > 0 ? (size_t)n : 0;
    }
}

double coding_quality(struct med_str list, const char *coding)
{
    double named = -1, any = -1;
    for (size_t at = 0; at < list.len;) {
        struct med_str item = list_next(list, ',', &at);
        size_t inner = 0;
        struct med_str name = list_next(item, ';', &inner);
        if (med_str_eq_nocase(name, med_str_of(coding)))
            named = quality(item, inner);
        else if (med_str_eq(name, MED_STR("*")))
            any = quality(item, inner);
    }
    return named >= 0 ? named : any;
}

#include "service/gate.h"

static const char *const known_methods[] = {
    "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "QUERY"};

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

struct med_str percent_decode(struct med_str text, bool plus_is_space, char *ret_bytes)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%' && i + 2 < text.len && hex_digit(text.ptr[i + 1]) >= 0 &&
            hex_digit(text.ptr[i + 2]) >= 0) {
            c = (char)(hex_digit(text.ptr[i + 1]) << 4 | hex_digit(text.ptr[i + 2]));
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        ret_bytes[n++] = c;
    }
    return (struct med_str){.ptr = ret_bytes, .len = n};
}

static bool is_token(struct med_str s)
{
    static const char extra[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && (c == '\0' || !strchr(extra, c))) return false;
    }
    return s.len > 0;
}

static enum problem bad(struct med_err *detail, const char *sentence)
{
    (void)med_fail(detail, MED_E_INVALID, "%s", sentence);
    return PROBLEM_BAD_REQUEST;
}

static enum problem check_method(struct med_str method, struct med_err *detail)
{
    if (!is_token(method)) return bad(detail, "the method is not a token");
    for (size_t i = 0; i < sizeof known_methods / sizeof *known_methods; i++) {
        if (med_str_eq(method, med_str_of(known_methods[i]))) return PROBLEM_NONE;
    }
    (void)med_fail(detail, MED_E_UNSUPPORTED, "unknown method; GET, HEAD and POST are served");
    return PROBLEM_NOT_IMPLEMENTED;
}

/* Bytes and percent-encodings of a path or a query string. */
static enum problem check_encoding(struct med_str s, bool is_path, struct med_err *detail)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c <= ' ' || c == 0x7F) return bad(detail, "a space or control character in the target");
        if (c > 0x7F)
            return bad(detail, "the target holds raw non-ASCII bytes; percent-encode them");
        if (c == '#' || c == '\\') return bad(detail, "\"#\" or \"\\\" in the target");
        if (c != '%') continue;
        int high = i + 2 < s.len ? hex_digit(s.ptr[i + 1]) : -1;
        int low = i + 2 < s.len ? hex_digit(s.ptr[i + 2]) : -1;
        if (high < 0 || low < 0) return bad(detail, "a malformed percent-encoding in the target");
        int decoded = high << 4 | low;
        if (decoded == 0) return bad(detail, "%00 in the target");
        bool space = decoded == '\t' || decoded == '\n' || decoded == '\r';
        if ((decoded < ' ' && (is_path || !space)) || decoded == 0x7F)
            return bad(detail, "an encoded control character in the target");
        i += 2;
    }
    return PROBLEM_NONE;
}

static bool has_dot_segment(struct med_str path)
{
    size_t start = 0;
    for (size_t i = 0; i <= path.len; i++) {
        if (i < path.len && path.ptr[i] != '/') continue;
        struct med_str segment = med_str_sub(path, start, i);
        if (med_str_eq(segment, MED_STR(".")) || med_str_eq(segment, MED_STR(".."))) return true;
        start = i + 1;
    }
    return false;
}

/* "http://host/path" -> "/path": servers must accept the absolute form. */
static void cut_absolute_form(struct http_request *r)
{
    struct med_str scheme = MED_STR("http://");
    if (r->path.len < scheme.len || !med_str_eq_nocase(med_str_sub(r->path, 0, scheme.len), scheme))
        return;
    size_t at = scheme.len;
    while (at < r->path.len && r->path.ptr[at] != '/') at++;
    r->path = at < r->path.len ? med_str_sub(r->path, at, r->path.len) : MED_STR("/");
}

static enum problem check_target(
    const struct gate_limits *limits, struct http_request *r, struct med_err *detail)
{
    if (r->target.len > limits->target_bytes_max) {
        (void)med_fail(detail, MED_E_LIMIT, "the target has %zu bytes; at most %zu are accepted",
            r->target.len, limits->target_bytes_max);
        return PROBLEM_URI_TOO_LONG;
    }
    cut_absolute_form(r);
    bool asterisk = med_str_eq(r->path, MED_STR("*")) && med_str_eq(r->method, MED_STR("OPTIONS"));
    if (!asterisk && (r->path.len == 0 || r->path.ptr[0] != '/'))
        return bad(detail, "the target must begin with \"/\"");
    enum problem problem = check_encoding(r->path, true, detail);
    if (problem == PROBLEM_NONE) problem = check_encoding(r->query, false, detail);
    if (problem == PROBLEM_NONE && has_dot_segment(r->path))
        problem = bad(detail, "\".\" or \"..\" as a path segment");
    return problem;
}

static bool is_host(struct med_str host)
{
    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && (c == '\0' || !strchr("-._:[]", c))) return false;
    }
    return host.len > 0;
}

struct framing {
    unsigned hosts, lengths, encodings, types, authorizations, keys, expects;
    struct med_str host, length, encoding, expect;
};

static enum problem read_fields(
    const struct http_request *r, struct framing *f, struct med_err *detail)
{
    for (size_t i = 0; i < r->header_count; i++) {
        struct med_str name = r->headers[i].name, value = r->headers[i].value;
        if (!is_token(name)) return bad(detail, "a header field's name is not a token");
        for (size_t k = 0; k < value.len; k++) {
            unsigned char c = (unsigned char)value.ptr[k];
            if ((c < ' ' && c != '\t') || c == 0x7F)
                return bad(detail, "a control character in a header field");
        }
        value = med_str_trim(value);
        if (med_str_eq_nocase(name, MED_STR("Host"))) {
            f->hosts++;
            f->host = value;
        } else if (med_str_eq_nocase(name, MED_STR("Content-Length"))) {
            f->lengths++;
            f->length = value;
        } else if (med_str_eq_nocase(name, MED_STR("Transfer-Encoding"))) {
            f->encodings++;
            f->encoding = value;
        } else if (med_str_eq_nocase(name, MED_STR("Expect"))) {
            f->expects++;
            f->expect = value;
        } else if (med_str_eq_nocase(name, MED_STR("Content-Type"))) {
            f->types++;
        } else if (med_str_eq_nocase(name, MED_STR("Authorization"))) {
            f->authorizations++;
        } else if (med_str_eq_nocase(name, MED_STR("X-API-Key"))) {
            f->keys++;
        }
    }
    return PROBLEM_NONE;
}

static enum problem check_framing(const struct gate_limits *limits, const struct http_request *r,
    const struct framing *f, struct med_err *detail)
{
    unsigned long long length = 0;
    if (f->lengths && f->encodings)
        return bad(detail, "Content-Length together with Transfer-Encoding");
    if (f->lengths > 1) return bad(detail, "more than one Content-Length field");
    if (f->encodings > 1) return bad(detail, "more than one Transfer-Encoding field");
    if (f->encodings && !med_str_eq(r->version, MED_STR("HTTP/1.1")))
        return bad(detail, "Transfer-Encoding in an HTTP/1.0 request");
    if (f->encodings && !med_str_eq_nocase(f->encoding, MED_STR("chunked"))) {
        (void)med_fail(detail, MED_E_UNSUPPORTED, "only the transfer encoding chunked is known");
        return PROBLEM_NOT_IMPLEMENTED;
    }
    for (size_t i = 0; i < f->length.len; i++) {
        if (f->length.ptr[i] < '0' || f->length.ptr[i] > '9')
            return bad(detail, "Content-Length is not a number");
    }
    if (f->lengths && (f->length.len == 0 || !med_str_to_u64(f->length, &length)))
        return bad(detail, "Content-Length is not a number");
    if (length > limits->body_bytes_max) {
        (void)med_fail(detail, MED_E_LIMIT, "the body has %llu bytes; at most %zu are accepted",
            length, limits->body_bytes_max);
        return PROBLEM_PAYLOAD_TOO_LARGE;
    }
    return PROBLEM_NONE;
}

static enum problem check_fields(const struct gate_limits *limits, const struct http_request *r,
    bool *ret_close, struct med_err *detail)
{
    struct framing f = {0};
    *ret_close = true;
    if (r->header_count == r->header_count_max) {
        (void)med_fail(detail, MED_E_LIMIT, "more than %zu header fields", r->header_count_max - 1);
        return PROBLEM_TOO_MANY_HEADERS;
    }
    enum problem problem = read_fields(r, &f, detail);
    if (problem == PROBLEM_NONE) problem = check_framing(limits, r, &f, detail);
    if (problem == PROBLEM_PAYLOAD_TOO_LARGE) *ret_close = false;
    if (problem != PROBLEM_NONE) return problem;
    if (f.hosts > 1) return bad(detail, "more than one Host field");
    if (f.hosts == 0 && med_str_eq(r->version, MED_STR("HTTP/1.1")))
        return bad(detail, "no Host field");
    if (f.hosts && !is_host(f.host)) return bad(detail, "the Host field is malformed");
    if (f.types > 1) return bad(detail, "more than one Content-Type field");
    if (f.authorizations > 1) return bad(detail, "more than one Authorization field");
    if (f.keys > 1) return bad(detail, "more than one X-API-Key field");
    if (f.expects && !med_str_eq_nocase(f.expect, MED_STR("100-continue"))) {
        (void)med_fail(detail, MED_E_UNSUPPORTED, "only Expect: 100-continue is known");
        return PROBLEM_EXPECTATION_FAILED;
    }
    *ret_close = false;
    return PROBLEM_NONE;
}

enum problem gate_check(const struct gate_limits *limits, struct http_request *request,
    bool *ret_close, struct med_err *detail)
{
    enum problem problem = check_fields(limits, request, ret_close, detail);
    if (problem != PROBLEM_NONE) return problem;
    if (request->odd_request_line) {
        *ret_close = true;
        return bad(detail, "stray bytes (NUL, folded lines or repeated spaces) in the header");
    }
    problem = check_method(request->method, detail);
    if (problem == PROBLEM_NONE) problem = check_target(limits, request, detail);
    *ret_close = problem == PROBLEM_BAD_REQUEST;
    return problem;
}

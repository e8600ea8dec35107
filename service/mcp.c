/* JSON-RPC and the rules of the four revisions; mcp_tools.c does the work.
 *
 * A message passes: JSON -> shape of JSON-RPC -> era (see mcp.h) -> for the modern era its _meta,
 * then the headers that must repeat parts of the body, then the revision -> method -> parameters.
 * The first thing that is wrong answers. */
#include "service/mcp.h"

#include "common/limits.h"
#include "service/problem.h"

#include <stdio.h>

#define META_VERSION "io.modelcontextprotocol/protocolVersion"
#define META_CAPABILITIES "io.modelcontextprotocol/clientCapabilities"
#define META_CLIENT "io.modelcontextprotocol/clientInfo"
#define META_SERVER "io.modelcontextprotocol/serverInfo"
#define SERVER_TITLE "medicus, a medical library"
/* Definitions change with the program, documents with a generation. */
#define TTL_DEFINITIONS_MS 3600000
#define TTL_DOCUMENT_MS 60000
#define STATUS_NOTHING_TO_SAY 202

static const char *const revision_names[MCP_REVISION_COUNT] = {
    [MCP_2025_03_26] = "2025-03-26",
    [MCP_2025_06_18] = "2025-06-18",
    [MCP_2025_11_25] = "2025-11-25",
    [MCP_2026_07_28] = "2026-07-28",
};
#define NEWEST_LEGACY MCP_2025_11_25

const struct mcp_extension *mcp_extension;

/* One message on its way. */
struct call {
    struct mcp_engine *engine;
    const struct mcp_headers *headers;
    enum mcp_revision *session;
    const struct med_json *root, *id, *params, *meta;
    struct med_str method;
    bool modern, in_batch;
    enum mcp_revision revision;
    struct med_buf *out;
    int status;
};

static bool revision_find(struct med_str name, enum mcp_revision *ret_revision)
{
    for (int i = 0; i < MCP_REVISION_COUNT; i++) {
        if (!med_str_eq(name, med_str_of(revision_names[i]))) continue;
        *ret_revision = (enum mcp_revision)i;
        return true;
    }
    return false;
}

/* --- answers --- */

static void write_id(const struct call *c, struct med_jw *w)
{
    long long n;
    if (c->id && med_json_type(c->id) == MED_JSON_STRING) {
        med_jw_kstr(w, "id", med_json_string(c->id));
    } else if (c->id && med_json_int(c->id, -(1ll << 53), 1ll << 53, &n)) {
        med_jw_kint(w, "id", n);
    } else if (!c->modern) {
        /* JSON-RPC wants null where the id is not known; the modern revision wants nothing. */
        med_jw_key(w, "id");
        med_jw_null(w);
    }
}

/* Opens {"jsonrpc", "id", "error": {"code", "message"; the caller may add data. */
static struct med_jw error_open(struct call *c, int code, const char *sentence)
{
    bool malformed = code == MCP_PARSE_ERROR || code == MCP_INVALID_REQUEST ||
                     code == MCP_HEADER_MISMATCH || code == MCP_UNSUPPORTED_VERSION;
    if (c->modern && code == MCP_METHOD_NOT_FOUND)
        c->status = 404;
    else if (malformed || (c->modern && code == MCP_INVALID_PARAMS))
        c->status = 400;
    struct med_jw w = med_jw_of(c->out, false);
    med_jw_object(&w);
    med_jw_kcstr(&w, "jsonrpc", "2.0");
    write_id(c, &w);
    med_jw_key(&w, "error");
    med_jw_object(&w);
    med_jw_kint(&w, "code", code);
    med_jw_kcstr(&w, "message", sentence);
    return w;
}

static void error_close(struct med_jw *w)
{
    med_jw_object_end(w);
    med_jw_object_end(w);
}

static void error(struct call *c, int code, const char *sentence)
{
    struct med_jw w = error_open(c, code, sentence);
    error_close(&w);
}

void mcp_refuse(int code, const char *sentence, struct med_buf *out)
{
    struct call c = {.out = out};
    error(&c, code, sentence);
}

void mcp_refuse_problem(struct med_str version, struct med_str problem, struct med_buf *out)
{
    struct call c = {.out = out};
    struct med_json *root = NULL;
    struct med_buf sentence;
    enum mcp_revision revision;
    if (version.ptr && revision_find(version, &revision)) c.modern = revision > NEWEST_LEGACY;
    med_buf_init(&sentence, 4 * MED_KIB);
    if (med_json_parse(problem.ptr, problem.len, &root, NULL) == MED_OK)
        med_buf_printf(&sentence, MED_STR_FMT ": " MED_STR_FMT,
            MED_STR_ARG(med_json_get_str(root, "title")),
            MED_STR_ARG(med_json_get_str(root, "detail")));
    struct med_jw w = error_open(&c, MCP_REFUSED, sentence.data ? sentence.data : "refused");
    if (root) {
        med_jw_key(&w, "data");
        med_jw_raw(&w, med_str_trim(problem));
    }
    error_close(&w);
    med_json_free(&root);
    med_buf_free(&sentence);
}

static void revisions_json(struct med_jw *w, const char *key)
{
    med_jw_key(w, key);
    med_jw_array(w);
    for (int i = MCP_REVISION_COUNT - 1; i >= 0; i--) med_jw_cstr(w, revision_names[i]);
    med_jw_array_end(w);
}

static void unsupported(struct call *c, struct med_str requested)
{
    struct med_jw w =
        error_open(c, MCP_UNSUPPORTED_VERSION, "this protocol version is not supported");
    med_jw_key(&w, "data");
    med_jw_object(&w);
    revisions_json(&w, "supported");
    med_jw_kstr(&w, "requested", requested);
    med_jw_object_end(&w);
    error_close(&w);
}

static void server_info(struct med_jw *w, const char *key)
{
    med_jw_key(w, key);
    med_jw_object(w);
    med_jw_kcstr(w, "name", "medicus");
    med_jw_kcstr(w, "title", SERVER_TITLE);
    med_jw_kcstr(w, "version", MEDICUS_VERSION);
    med_jw_object_end(w);
}

static struct med_jw result_open(struct call *c)
{
    struct med_jw w = med_jw_of(c->out, false);
    med_jw_object(&w);
    med_jw_kcstr(&w, "jsonrpc", "2.0");
    write_id(c, &w);
    med_jw_key(&w, "result");
    med_jw_object(&w);
    if (c->modern) {
        med_jw_kcstr(&w, "resultType", "complete");
        med_jw_key(&w, "_meta");
        med_jw_object(&w);
        server_info(&w, META_SERVER);
        med_jw_object_end(&w);
    }
    return w;
}

static void result_close(struct med_jw *w)
{
    med_jw_object_end(w);
    med_jw_object_end(w);
}

/* How long a client may keep the result. Documents are the organisation's own. */
static void caching(const struct call *c, struct med_jw *w, int ttl_ms, const char *scope)
{
    if (!c->modern) return;
    med_jw_kint(w, "ttlMs", ttl_ms);
    med_jw_kcstr(w, "cacheScope", scope);
}

/* --- methods --- */

static void capabilities(struct med_jw *w)
{
    med_jw_key(w, "capabilities");
    med_jw_raw(w, MED_STR("{\"tools\":{},\"resources\":{},\"prompts\":{},\"completions\":{}}"));
}

static void instructions(struct med_jw *w)
{
    med_jw_key(w, "instructions");
    med_jw_raw(w, med_str_of(mcp_spec[MCP_SPEC_INSTRUCTIONS]));
}

static bool is_object_or_absent(const struct med_json *object, const char *key)
{
    const struct med_json *v = med_json_get(object, key);
    return !v || med_json_type(v) == MED_JSON_OBJECT;
}

/* An unknown revision is answered with the newest legacy one, which the client may refuse. */
static void initialize(struct call *c)
{
    const struct med_json *version = med_json_get(c->params, "protocolVersion");
    enum mcp_revision revision;
    if (c->in_batch) {
        error(c, MCP_INVALID_REQUEST, "initialize must not be part of a batch");
        return;
    }
    if (!version || med_json_type(version) != MED_JSON_STRING) {
        error(c, MCP_INVALID_PARAMS, "params.protocolVersion: a string expected");
        return;
    }
    if (!is_object_or_absent(c->params, "capabilities") ||
        !is_object_or_absent(c->params, "clientInfo")) {
        error(c, MCP_INVALID_PARAMS, "params.capabilities and params.clientInfo are objects");
        return;
    }
    if (!revision_find(med_json_string(version), &revision) || revision > NEWEST_LEGACY)
        revision = NEWEST_LEGACY;
    *c->session = revision;
    struct med_jw w = result_open(c);
    med_jw_kcstr(&w, "protocolVersion", revision_names[revision]);
    capabilities(&w);
    server_info(&w, "serverInfo");
    instructions(&w);
    result_close(&w);
}

static void ping(struct call *c)
{
    struct med_jw w = result_open(c);
    result_close(&w);
}

static void discover(struct call *c)
{
    struct med_jw w = result_open(c);
    revisions_json(&w, "supportedVersions");
    capabilities(&w);
    instructions(&w);
    caching(c, &w, TTL_DEFINITIONS_MS, "public");
    result_close(&w);
}

/* Every list here has one page, so that no cursor was ever given out. */
static void list(struct call *c, const char *key, int part)
{
    struct med_str items = med_str_of(mcp_spec[part]);
    if (med_json_get(c->params, "cursor")) {
        error(c, MCP_INVALID_PARAMS, "params.cursor: unknown; the list has one page");
        return;
    }
    struct med_jw w = result_open(c);
    med_jw_key(&w, key);
    if (mcp_extension && mcp_extension->items[part]) {
        struct med_buf all;
        med_buf_init(&all, MED_MIB);
        med_buf_append_str(&all, med_str_sub(items, 0, items.len - 1));
        med_buf_printf(&all, "%s]", mcp_extension->items[part]);
        med_jw_raw(&w, med_buf_str(&all));
        med_buf_free(&all);
    } else {
        med_jw_raw(&w, items);
    }
    caching(c, &w, TTL_DEFINITIONS_MS, "public");
    result_close(&w);
}

static void tools_list(struct call *c)
{
    list(c, "tools", MCP_SPEC_TOOLS);
}

/* A library is searched, not listed: what it holds is one resource, and its documents are reached
 * through the template. */
static void resources_list(struct call *c)
{
    list(c, "resources", MCP_SPEC_RESOURCES);
}

static void templates_list(struct call *c)
{
    list(c, "resourceTemplates", MCP_SPEC_TEMPLATES);
}

static void prompts_list(struct call *c)
{
    list(c, "prompts", MCP_SPEC_PROMPTS);
}

/* The test build's own things come first. true: answered. */
static bool extended(struct call *c, struct med_str name)
{
    struct med_buf *out = c->out;
    size_t before = out->len;
    if (!mcp_extension) return false;
    struct med_jw w = result_open(c);
    if (!mcp_extension->answer(c->method, name, c->params, &w)) {
        out->len = before;
        return false;
    }
    if (med_str_eq(c->method, MED_STR("resources/read")))
        caching(c, &w, TTL_DOCUMENT_MS, "private");
    result_close(&w);
    return true;
}

static void tools_call(struct call *c)
{
    const struct med_json *name = med_json_get(c->params, "name");
    const struct med_json *arguments = med_json_get(c->params, "arguments");
    enum mcp_tool tool;
    if (!name || med_json_type(name) != MED_JSON_STRING) {
        error(c, MCP_INVALID_PARAMS, "params.name: the name of a tool expected");
        return;
    }
    if (extended(c, med_json_string(name))) return;
    if (!mcp_tool_find(med_json_string(name), &tool)) {
        error(c, MCP_INVALID_PARAMS, "unknown tool; tools/list names them");
        return;
    }
    if (arguments && med_json_type(arguments) != MED_JSON_OBJECT) {
        error(c, MCP_INVALID_PARAMS, "params.arguments: an object expected");
        return;
    }
    struct med_jw w = result_open(c);
    mcp_tool_call(c->engine, tool, arguments, &w);
    result_close(&w);
}

static void resource_error(struct call *c, const struct med_err *err, struct med_str uri)
{
    enum problem problem = problem_of_code(err->code);
    bool missing = err->code == MED_E_NOT_FOUND || err->code == MED_E_GONE;
    if (missing || err->code == MED_E_INVALID) {
        bool legacy = missing && !c->modern;
        struct med_jw w =
            error_open(c, legacy ? MCP_RESOURCE_NOT_FOUND : MCP_INVALID_PARAMS, err->text);
        med_jw_key(&w, "data");
        med_jw_object(&w);
        med_jw_kstr(&w, "uri", uri);
        med_jw_object_end(&w);
        error_close(&w);
    } else {
        error(c, MCP_INTERNAL_ERROR, problem_row(problem)->title);
    }
}

static void resources_read(struct call *c)
{
    const struct med_json *given = med_json_get(c->params, "uri");
    struct med_err err = {0};
    struct med_buf text;
    const char *mime_type = NULL;
    if (!given || med_json_type(given) != MED_JSON_STRING) {
        error(c, MCP_INVALID_PARAMS, "params.uri: a string expected");
        return;
    }
    struct med_str uri = med_json_string(given);
    if (extended(c, uri)) return;
    med_buf_init(&text, MED_RESPONSE_BYTES_MAX);
    enum med_code code = mcp_resource_read(c->engine, uri, &mime_type, &text, &err);
    if (!code) code = med_buf_status(&text, &err);
    if (code) {
        err.code = code;
        resource_error(c, &err, uri);
    } else {
        struct med_jw w = result_open(c);
        med_jw_key(&w, "contents");
        med_jw_array(&w);
        med_jw_object(&w);
        med_jw_kstr(&w, "uri", uri);
        med_jw_kcstr(&w, "mimeType", mime_type);
        med_jw_kstr(&w, "text", med_buf_str(&text));
        med_jw_object_end(&w);
        med_jw_array_end(&w);
        caching(c, &w, TTL_DOCUMENT_MS, "private");
        result_close(&w);
    }
    med_buf_free(&text);
}

static void params_error(struct call *c, const struct med_err *err)
{
    error(c, err->code == MED_E_NOMEM ? MCP_INTERNAL_ERROR : MCP_INVALID_PARAMS, err->text);
}

static void prompts_get(struct call *c)
{
    const struct med_json *name = med_json_get(c->params, "name");
    const struct med_json *arguments = med_json_get(c->params, "arguments");
    struct med_err err = {0};
    size_t before = c->out->len;
    if (!name || med_json_type(name) != MED_JSON_STRING) {
        error(c, MCP_INVALID_PARAMS, "params.name: the name of a prompt expected");
        return;
    }
    if (arguments && med_json_type(arguments) != MED_JSON_OBJECT) {
        error(c, MCP_INVALID_PARAMS, "params.arguments: an object expected");
        return;
    }
    if (extended(c, med_json_string(name))) return;
    struct med_jw w = result_open(c);
    err.code = mcp_prompt_get(med_json_string(name), arguments, &w, &err);
    if (!err.code) {
        result_close(&w);
        return;
    }
    c->out->len = before;
    params_error(c, &err);
}

static void complete(struct call *c)
{
    const struct med_json *ref = med_json_get(c->params, "ref");
    const struct med_json *argument = med_json_get(c->params, "argument");
    struct med_str type = med_json_get_str(ref, "type");
    bool prompt = med_str_eq(type, MED_STR("ref/prompt"));
    struct med_str target = med_json_get_str(ref, prompt ? "name" : "uri");
    struct med_err err = {0};
    size_t before = c->out->len;
    if ((!prompt && !med_str_eq(type, MED_STR("ref/resource"))) || !target.ptr) {
        error(c, MCP_INVALID_PARAMS,
            "params.ref: a prompt with its name, or a resource with its uri");
        return;
    }
    if (!med_json_get_str(argument, "name").ptr || !med_json_get_str(argument, "value").ptr) {
        error(c, MCP_INVALID_PARAMS, "params.argument: name and value expected, both strings");
        return;
    }
    if (extended(c, target)) return;
    struct med_jw w = result_open(c);
    err.code = mcp_complete(c->engine, prompt ? target : (struct med_str){0},
        med_json_get_str(argument, "name"), med_json_get_str(argument, "value"), &w, &err);
    if (!err.code) {
        result_close(&w);
        return;
    }
    c->out->len = before;
    params_error(c, &err);
}

enum { LEGACY = 1, MODERN = 2 };
static const struct {
    const char *name;
    unsigned eras;
    const char *named_by; /* the parameter that Mcp-Name repeats */
    void (*run)(struct call *c);
} methods[] = {
    {"initialize", LEGACY, NULL, initialize},
    {"ping", LEGACY, NULL, ping},
    {"server/discover", MODERN, NULL, discover},
    {"tools/list", LEGACY | MODERN, NULL, tools_list},
    {"tools/call", LEGACY | MODERN, "name", tools_call},
    {"resources/list", LEGACY | MODERN, NULL, resources_list},
    {"resources/templates/list", LEGACY | MODERN, NULL, templates_list},
    {"resources/read", LEGACY | MODERN, "uri", resources_read},
    {"prompts/list", LEGACY | MODERN, NULL, prompts_list},
    {"prompts/get", LEGACY | MODERN, "name", prompts_get},
    {"completion/complete", LEGACY | MODERN, NULL, complete},
};
#define METHOD_COUNT (sizeof methods / sizeof *methods)

/* --- headers of the modern era --- */

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* "=?base64?...?=" stands for what a header cannot carry. false: it is malformed. */
static bool header_value(struct med_str s, struct med_arena *arena, struct med_str *ret_value)
{
    struct med_str open = MED_STR("=?base64?"), close = MED_STR("?=");
    *ret_value = s;
    if (s.len < open.len + close.len || !med_str_starts(s, open) || !med_str_ends(s, close))
        return true;
    s = med_str_sub(s, open.len, s.len - close.len);
    char *bytes = med_arena_alloc(arena, s.len + 1);
    if (!bytes || s.len % 4) return false;
    size_t n = 0, digits = s.len;
    while (digits && s.len - digits < 2 && s.ptr[digits - 1] == '=') digits--;
    uint32_t bits = 0;
    unsigned held = 0;
    for (size_t i = 0; i < digits; i++) {
        int digit = base64_digit(s.ptr[i]);
        if (digit < 0) return false;
        bits = (bits << 6 | (uint32_t)digit) & 0xFFFF;
        held += 6;
        if (held < 8) continue;
        held -= 8;
        bytes[n++] = (char)(unsigned char)(bits >> held & 0xFF);
    }
    *ret_value = (struct med_str){.ptr = bytes, .len = n};
    return true;
}

/* Proxies decide by the headers and the server by the body: they must say the same. NULL: they do.
 */
static const char *headers_mismatch(const struct call *c, struct med_str version)
{
    const struct mcp_headers *h = c->headers;
    struct med_str name;
    if (h->repeated) return "header mismatch: a header field was sent twice";
    if (!h->version.ptr) return "header mismatch: MCP-Protocol-Version is missing";
    if (!med_str_eq(h->version, version))
        return "header mismatch: MCP-Protocol-Version differs from _meta";
    if (!h->method.ptr) return "header mismatch: Mcp-Method is missing";
    if (!med_str_eq(h->method, c->method)) return "header mismatch: Mcp-Method differs from method";
    for (size_t i = 0; i < METHOD_COUNT; i++) {
        if (!methods[i].named_by || !med_str_eq(c->method, med_str_of(methods[i].name))) continue;
        const struct med_json *body = med_json_get(c->params, methods[i].named_by);
        if (!body || med_json_type(body) != MED_JSON_STRING) return NULL;
        if (!h->name.ptr) return "header mismatch: Mcp-Name is missing";
        if (!header_value(h->name, c->engine->arena, &name))
            return "header mismatch: Mcp-Name is malformed";
        if (!med_str_eq(name, med_json_string(body)))
            return "header mismatch: Mcp-Name differs from the body";
    }
    return NULL;
}

/* --- one message --- */

/* What a modern request must bring. false: answered. */
static bool check_modern(struct call *c)
{
    const struct med_json *version = med_json_get(c->meta, META_VERSION);
    const struct med_json *given = med_json_get(c->meta, META_CAPABILITIES);
    const char *mismatch = NULL;
    if (c->in_batch) {
        error(c, MCP_INVALID_REQUEST, "a request that names its revision is sent alone");
    } else if (!version || med_json_type(version) != MED_JSON_STRING) {
        error(c, MCP_INVALID_PARAMS, "params._meta: " META_VERSION " is missing or no string");
    } else if (!given || med_json_type(given) != MED_JSON_OBJECT) {
        error(c, MCP_INVALID_PARAMS, "params._meta: " META_CAPABILITIES " is missing or no object");
    } else if (!is_object_or_absent(c->meta, META_CLIENT)) {
        error(c, MCP_INVALID_PARAMS, "params._meta: " META_CLIENT " is no object");
    } else if (c->headers && (mismatch = headers_mismatch(c, med_json_string(version)))) {
        error(c, MCP_HEADER_MISMATCH, mismatch);
    } else if (!revision_find(med_json_string(version), &c->revision) ||
               c->revision <= NEWEST_LEGACY) {
        unsupported(c, med_json_string(version));
    } else {
        return true;
    }
    return false;
}

/* Which era, and which revision of it. false: answered. */
static bool choose_revision(struct call *c)
{
    const struct med_json *named = med_json_get(c->meta, META_VERSION);
    struct med_str header = c->headers ? c->headers->version : (struct med_str){0};
    bool known = header.ptr && revision_find(header, &c->revision);
    if (!known) c->revision = *c->session;
    /* A legacy revision may stand in _meta too, when nothing contradicts it. */
    bool agrees = !c->headers || med_str_eq(header, med_json_string(named));
    enum mcp_revision of_meta;
    if (named && agrees && revision_find(med_json_string(named), &of_meta) &&
        of_meta <= NEWEST_LEGACY) {
        c->revision = of_meta;
        return true;
    }
    c->modern = named || (known && c->revision > NEWEST_LEGACY) ||
                med_str_eq(c->method, MED_STR("server/discover"));
    if (c->modern) return check_modern(c);
    if (!header.ptr || known) return true;
    unsupported(c, header);
    return false;
}

/* The shape of JSON-RPC. false: answered, or nothing to say. */
static bool read_message(struct call *c)
{
    const struct med_json *root = c->root, *version = med_json_get(root, "jsonrpc");
    const struct med_json *method = med_json_get(root, "method");
    long long n;
    c->id = med_json_get(root, "id");
    c->params = med_json_get(root, "params");
    c->meta = med_json_get(c->params, "_meta");
    bool good_id = !c->id || med_json_type(c->id) == MED_JSON_STRING ||
                   med_json_int(c->id, -(1ll << 53), 1ll << 53, &n);
    if (med_json_type(root) != MED_JSON_OBJECT) {
        error(c, MCP_INVALID_REQUEST, "a JSON-RPC message is an object");
    } else if (!good_id) {
        error(c, MCP_INVALID_REQUEST, "id: a string or a whole number expected");
    } else if (!version || !med_str_eq(med_json_string(version), MED_STR("2.0"))) {
        error(c, MCP_INVALID_REQUEST, "jsonrpc: \"2.0\" expected");
    } else if (!method && c->id && (med_json_get(root, "result") || med_json_get(root, "error"))) {
        c->status = STATUS_NOTHING_TO_SAY; /* an answer, although nothing was asked */
    } else if (!method || med_json_type(method) != MED_JSON_STRING) {
        error(c, MCP_INVALID_REQUEST, "method: a string expected");
    } else if (c->params && med_json_type(c->params) != MED_JSON_OBJECT) {
        error(c, c->id ? MCP_INVALID_PARAMS : MCP_INVALID_REQUEST, "params: an object expected");
    } else {
        c->method = med_json_string(method);
        return true;
    }
    return false;
}

static void answer_one(struct call *c)
{
    c->status = 200;
    med_arena_reset(c->engine->arena);
    if (!read_message(c)) return;
    if (!c->id) { /* a notification; none of them changes anything here */
        c->status = STATUS_NOTHING_TO_SAY;
        return;
    }
    if (!choose_revision(c)) return;
    for (size_t i = 0; i < METHOD_COUNT; i++) {
        if (!med_str_eq(c->method, med_str_of(methods[i].name))) continue;
        if (!(methods[i].eras & (c->modern ? MODERN : LEGACY))) continue;
        methods[i].run(c);
        return;
    }
    error(c, MCP_METHOD_NOT_FOUND, "this server has no such method");
}

/* Answers stand in the order of the requests. */
static void answer_batch(struct call *c)
{
    struct med_buf answer;
    bool any = false;
    if (*c->session != MCP_2025_03_26 || med_json_count(c->root) == 0 ||
        med_json_count(c->root) > MED_BATCH_QUERIES_MAX) {
        char sentence[96];
        snprintf(sentence, sizeof sentence,
            "a batch has 1 to %d messages, and only revision 2025-03-26 has batches",
            MED_BATCH_QUERIES_MAX);
        error(c, MCP_INVALID_REQUEST, sentence);
        return;
    }
    med_buf_init(&answer, MED_RESPONSE_BYTES_MAX);
    for (const struct med_json *m = med_json_first(c->root); m; m = med_json_next(m)) {
        struct call one = {.engine = c->engine,
            .headers = c->headers,
            .session = c->session,
            .root = m,
            .in_batch = true,
            .out = &answer};
        med_buf_reset(&answer);
        c->engine->messages++;
        answer_one(&one);
        if (med_buf_status(&answer, NULL)) {
            med_buf_reset(&answer);
            error(&one, MCP_INTERNAL_ERROR, "the answer is too large; ask for less");
        }
        if (answer.len == 0) continue; /* a notification */
        med_buf_putc(c->out, any ? ',' : '[');
        med_buf_append_str(c->out, med_buf_str(&answer));
        any = true;
    }
    if (any)
        med_buf_putc(c->out, ']');
    else
        c->status = STATUS_NOTHING_TO_SAY;
    med_buf_free(&answer);
}

int mcp_answer(struct mcp_engine *engine, const struct mcp_headers *headers,
    enum mcp_revision *session, struct med_str message, struct med_buf *out)
{
    struct med_json *root = NULL;
    struct med_err err = {0};
    struct call c = {
        .engine = engine, .headers = headers, .session = session, .out = out, .status = 200};
    enum mcp_revision of_header;
    /* Without a readable body the header alone tells how to say so. */
    if (headers && headers->version.ptr && revision_find(headers->version, &of_header)) {
        c.modern = of_header > NEWEST_LEGACY;
        *session = of_header;
    }
    if (med_json_parse(message.ptr ? message.ptr : "", message.len, &root, &err)) {
        error(&c, MCP_PARSE_ERROR, err.text);
        return c.status;
    }
    c.root = root;
    if (med_json_type(root) == MED_JSON_ARRAY)
        answer_batch(&c);
    else
        answer_one(&c);
    med_json_free(&root);
    return c.status;
}

/* The program with what the official MCP conformance suite expects of a server under test: tools,
 * resources and prompts of fixed names that answer fixed things. Linked from the objects of the
 * program itself; the program has none of this (test_mcp.py looks). Everything that is not in the
 * tables below, the protocol above all, is the program's own. */
#include "service/mcp.h"

#include <string.h>

#define PNG                                                                                        \
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg" \
    "gg=="
#define WAV "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQIAAAAAAA=="
#define TEXT(text) "{\"type\":\"text\",\"text\":\"" text "\"}"
#define IMAGE "{\"type\":\"image\",\"data\":\"" PNG "\",\"mimeType\":\"image/png\"}"
#define AUDIO "{\"type\":\"audio\",\"data\":\"" WAV "\",\"mimeType\":\"audio/wav\"}"
#define PART(uri, mime_type, member)                                                               \
    "{\"uri\":\"" uri "\",\"mimeType\":\"" mime_type "\"," member "}"
#define EMBEDDED(uri) "{\"type\":\"resource\",\"resource\":" PART(uri, "text/plain", INSIDE) "}"
#define INSIDE "\"text\":\"Inside.\""
#define USER(content) "{\"role\":\"user\",\"content\":" content "}"

/* One member of the result; "{arg1}" stands for an argument of the request. */
static const struct {
    const char *method, *name, *key, *value;
} answers[] = {
    {"tools/call", "test_simple_text", "content", "[" TEXT("A simple text.") "]"},
    {"tools/call", "test_image_content", "content", "[" IMAGE "]"},
    {"tools/call", "test_audio_content", "content", "[" AUDIO "]"},
    {"tools/call", "test_embedded_resource", "content", "[" EMBEDDED("test://embedded") "]"},
    {"tools/call", "test_multiple_content_types", "content",
        "[" TEXT("Three kinds.") "," IMAGE "," EMBEDDED("test://mixed") "]"},
    {"tools/call", "test_error_handling", "content", "[" TEXT("It always fails.") "]"},
    {"tools/call", "json_schema_2020_12_tool", "content", "[" TEXT("Its schema matters.") "]"},
    {"resources/read", "test://static-text", "contents",
        "[" PART("test://static-text", "text/plain", INSIDE) "]"},
    {"resources/read", "test://static-binary", "contents",
        "[" PART("test://static-binary", "image/png", "\"blob\":\"" PNG "\"") "]"},
    {"resources/read", "test://template/123/data", "contents",
        "[" PART("test://template/123/data", "text/plain", "\"text\":\"The data of 123.\"") "]"},
    {"prompts/get", "test_simple_prompt", "messages", "[" USER(TEXT("A simple prompt.")) "]"},
    {"prompts/get", "test_prompt_with_arguments", "messages",
        "[" USER(TEXT("arg1 is {arg1}, arg2 is {arg2}")) "]"},
    {"prompts/get", "test_prompt_with_embedded_resource", "messages",
        "[" USER(EMBEDDED("{resourceUri}")) "," USER(TEXT("Read it.")) "]"},
    {"prompts/get", "test_prompt_with_image", "messages",
        "[" USER(IMAGE) "," USER(TEXT("Look at it.")) "]"},
    {"completion/complete", "test_prompt_with_arguments", "completion",
        "{\"values\":[\"test\"],\"hasMore\":false}"},
};

/* The caller's words go in as they are: the suite sends plain ones. */
static void fill(const char *template, const struct med_json *arguments, struct med_buf *out)
{
    struct med_str rest = med_str_of(template);
    while (rest.len) {
        size_t used = 1;
        for (const struct med_json *m = med_json_first(arguments); m; m = med_json_next(m)) {
            struct med_str name = med_str_of(med_json_key(m));
            if (rest.ptr[0] != '{' || rest.len < name.len + 2 || rest.ptr[name.len + 1] != '}' ||
                !med_str_eq(med_str_sub(rest, 1, name.len + 1), name))
                continue;
            med_buf_append_str(out, med_json_string(m));
            used = name.len + 2;
            break;
        }
        if (used == 1) med_buf_putc(out, rest.ptr[0]);
        rest = med_str_sub(rest, used, rest.len);
    }
}

static bool answer(
    struct med_str method, struct med_str name, const struct med_json *params, struct med_jw *w)
{
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        if (!med_str_eq(method, med_str_of(answers[i].method)) ||
            !med_str_eq(name, med_str_of(answers[i].name)))
            continue;
        struct med_buf value;
        med_buf_init(&value, MED_MIB);
        fill(answers[i].value, med_json_get(params, "arguments"), &value);
        med_jw_key(w, answers[i].key);
        med_jw_raw(w, med_buf_str(&value));
        med_buf_free(&value);
        if (med_str_eq(name, MED_STR("test_error_handling"))) med_jw_kbool(w, "isError", true);
        return true;
    }
    return false;
}

#define NO_ARGUMENTS "\"inputSchema\":{\"type\":\"object\"}"
#define TOOL(name, schema) ",{\"name\":\"" name "\",\"description\":\"A fixture.\"," schema "}"
#define ARGUMENT(name) "{\"name\":\"" name "\",\"description\":\"Any word.\",\"required\":true}"
#define PROMPT(name, arguments)                                                                    \
    ",{\"name\":\"" name "\",\"description\":\"A fixture.\",\"arguments\":[" arguments "]}"
#define NAMED(key, uri, name, mime_type)                                                           \
    ",{\"" key "\":\"" uri "\",\"name\":\"" name "\",\"mimeType\":\"" mime_type "\"}"
/* As the scenario json-schema-2020-12 wants it. */
#define SCHEMA_2020_12                                                                             \
    "\"inputSchema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\","               \
    "\"type\":\"object\",\"$defs\":{\"address\":{\"$anchor\":\"addressDef\",\"type\":\"object\","  \
    "\"properties\":{\"street\":{\"type\":\"string\"},\"city\":{\"type\":\"string\"}}}},"          \
    "\"properties\":{\"name\":{\"type\":\"string\"},\"address\":{\"$ref\":\"#/$defs/address\"},"   \
    "\"contactMethod\":{\"type\":\"string\",\"enum\":[\"phone\",\"email\"]},"                      \
    "\"phone\":{\"type\":\"string\"},\"email\":{\"type\":\"string\"}},"                            \
    "\"allOf\":[{\"anyOf\":[{\"required\":[\"phone\"]},{\"required\":[\"email\"]}]}],"             \
    "\"if\":{\"properties\":{\"contactMethod\":{\"const\":\"phone\"}},"                            \
    "\"required\":[\"contactMethod\"]},\"then\":{\"required\":[\"phone\"]},"                       \
    "\"else\":{\"required\":[\"email\"]},\"additionalProperties\":false}"

static const struct mcp_extension fixture = {
    .items =
        {
            [MCP_SPEC_TOOLS] = TOOL("test_simple_text", NO_ARGUMENTS)
                TOOL("test_image_content", NO_ARGUMENTS) TOOL("test_audio_content", NO_ARGUMENTS)
                    TOOL("test_embedded_resource", NO_ARGUMENTS) TOOL("test_multiple_content_types",
                        NO_ARGUMENTS) TOOL("test_error_handling", NO_ARGUMENTS)
                        TOOL("json_schema_2020_12_tool", SCHEMA_2020_12),
            [MCP_SPEC_RESOURCES] = NAMED("uri", "test://static-text", "text", "text/plain")
                NAMED("uri", "test://static-binary", "binary", "image/png"),
            [MCP_SPEC_TEMPLATES] =
                NAMED("uriTemplate", "test://template/{id}/data", "template", "text/plain"),
            [MCP_SPEC_PROMPTS] = PROMPT("test_simple_prompt", "")
                PROMPT("test_prompt_with_arguments", ARGUMENT("arg1") "," ARGUMENT("arg2"))
                    PROMPT("test_prompt_with_embedded_resource", ARGUMENT("resourceUri"))
                        PROMPT("test_prompt_with_image", ""),
        },
    .answer = answer,
};

__attribute__((constructor)) static void extend(void)
{
    mcp_extension = &fixture;
}

/* MCP, the Model Context Protocol: one JSON-RPC message in, at most one out. No sockets:
 * routes_mcp.c carries it over HTTP, cmd_mcp.c over stdin and stdout.
 *
 * Two eras of the protocol are served side by side, told apart message by message:
 *
 *   legacy (2025-03-26, 2025-06-18, 2025-11-25)   initialize first, then plain requests
 *   modern (2026-07-28)                           no handshake: every request names its revision
 *                                                 and the client's capabilities in params._meta
 *
 * A request is modern when its _meta names a revision, when the MCP-Protocol-Version header names
 * the modern one, or when its method is server/discover. Nothing is remembered between messages
 * except, on stdio, the revision that initialize agreed on.
 *
 * What the tools are called, take and give stands in api-spec/mcp-tools.json, which the build puts
 * into the binary. Specification: modelcontextprotocol.io, the four revisions above. */
#pragma once

#include "common/arena.h"
#include "service/fetch_many.h"
#include "service/serving.h"

enum mcp_revision {
    MCP_2025_03_26, /* the only one with batches */
    MCP_2025_06_18,
    MCP_2025_11_25,
    MCP_2026_07_28,
    MCP_REVISION_COUNT
};

/* What the answers are made of; one thread at a time. */
struct mcp_engine {
    struct serving *serving;    /* for pages of a generation before */
    struct fetch_source source; /* both NULL: nothing is published yet */
    struct med_searcher *searcher;
    struct med_arena *arena; /* reset before each message */
    struct view view;
    /* Told of every search, for metrics; may be NULL. */
    void (*searched)(void *ctx, const struct med_answer *answer);
    void *ctx;
    /* The worst that happened, for the log: a failure that is not the caller's. */
    enum med_code failure;
    uint32_t messages; /* answered so far: a batch has several */
};

/* What HTTP says outside of the body; what was not sent is {NULL, 0}. */
struct mcp_headers {
    struct med_str version, method, name;
    bool repeated; /* one of them came twice */
};

/* Answers one message, or a batch. headers is NULL on a transport that has none. *session is the
 * revision of requests that do not name their own, and is set by initialize. Returns the HTTP
 * status: 200, 202 (a notification: nothing to say, out is empty), 400 or 404. The answer has no
 * line ends. A buffer that overflowed is the caller's to notice. */
int mcp_answer(struct mcp_engine *engine, const struct mcp_headers *headers,
    enum mcp_revision *session, struct med_str message, struct med_buf *out);
/* An answer to something that could not be read as a message: a JSON-RPC error without an id. */
void mcp_refuse(int code, const char *sentence, struct med_buf *out);

/* The same for what HTTP refused before the message was read. version is the header's, {NULL, 0}
 * when there is none; problem is the problem's JSON, which becomes the error's data. */
void mcp_refuse_problem(struct med_str version, struct med_str problem, struct med_buf *out);

/* JSON-RPC's error codes, and MCP's. */
enum {
    MCP_REFUSED = -32000,
    MCP_PARSE_ERROR = -32700,
    MCP_INVALID_REQUEST = -32600,
    MCP_METHOD_NOT_FOUND = -32601,
    MCP_INVALID_PARAMS = -32602,
    MCP_INTERNAL_ERROR = -32603,
    MCP_RESOURCE_NOT_FOUND = -32002, /* legacy only */
    MCP_HEADER_MISMATCH = -32020,
    MCP_UNSUPPORTED_VERSION = -32022
};

/* --- mcp_tools.c --- */
enum mcp_tool { MCP_TOOL_SEARCH, MCP_TOOL_FETCH, MCP_TOOL_SIMILAR, MCP_TOOL_TERMS, MCP_TOOL_COUNT };
bool mcp_tool_find(struct med_str name, enum mcp_tool *ret_tool);
/* Writes the members of a tools/call result into the open object. What is wrong with the arguments
 * (NULL: none were given) is a result with isError and a sentence, so that a model can do better.
 */
void mcp_tool_call(struct mcp_engine *engine, enum mcp_tool tool, const struct med_json *arguments,
    struct med_jw *w);
/* medicus://library as JSON, medicus://document/{id} as Markdown. MED_E_NOT_FOUND, MED_E_GONE,
 * MED_E_INVALID (the URI). */
enum med_code mcp_resource_read(struct mcp_engine *engine, struct med_str uri,
    const char **ret_mime_type, struct med_buf *out, struct med_err *err) MED_CHECK;

/* --- mcp_prompts.c --- */
/* Writes the members of a prompts/get result into the open object. MED_E_NOT_FOUND: no such prompt;
 * MED_E_INVALID: arguments (NULL: none were given) that it does not have or that are missing. */
enum med_code mcp_prompt_get(struct med_str name, const struct med_json *arguments,
    struct med_jw *w, struct med_err *err) MED_CHECK;
/* The same for completion/complete: names of the library's vocabularies that begin as `value`, for
 * the argument that is a topic; nothing for others. MED_E_NOT_FOUND: no such prompt. */
enum med_code mcp_complete(struct mcp_engine *engine, struct med_str prompt,
    struct med_str argument, struct med_str value, struct med_jw *w, struct med_err *err) MED_CHECK;

/* --- api-spec/mcp-tools.json, from the build --- */
enum {
    MCP_SPEC_INSTRUCTIONS,
    MCP_SPEC_TOOLS,
    MCP_SPEC_RESOURCES,
    MCP_SPEC_TEMPLATES,
    MCP_SPEC_PROMPTS,
    MCP_SPEC_COUNT
};
extern const char *const mcp_spec[MCP_SPEC_COUNT];
struct mcp_prompt {
    const char *name, *description;
    const char *text;         /* "{question}" stands for an argument */
    const char *arguments[2]; /* all required */
};
extern const struct mcp_prompt mcp_prompts[]; /* a name of NULL ends it */

/* --- more of everything, for a test build: the conformance suite wants fixtures of its own --- */
struct mcp_extension {
    const char
        *items[MCP_SPEC_COUNT]; /* that the lists have at their end: ",{...},{...}" or NULL */
    /* Writes the result's members of tools/call, resources/read, prompts/get or completion/complete
     * for a name (a URI, a prompt) that is its own; false: it is not. */
    bool (*answer)(struct med_str method, struct med_str name, const struct med_json *params,
        struct med_jw *w);
};
/* NULL in the program. */
extern const struct mcp_extension *mcp_extension;

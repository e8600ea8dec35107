/* medicus mcp: MCP over stdin and stdout, for desktop clients that start their servers themselves.
 *
 * One message per line in both directions; nothing else goes to stdout. Requests are answered one
 * after the other, in order. The end of stdin ends the program. */
#include "common/limits.h"
#include "common/log.h"
#include "service/command.h"
#include "service/mcp.h"
#include "service/search_params.h"
#include "service/serving.h"

#include <errno.h>
#include <unistd.h>

#define READ_BYTES 65536

struct stdio_server {
    struct serving *serving;
    struct mcp_engine engine;
    enum mcp_revision session;
    struct med_buf line, out;
    bool skipping; /* the rest of a line that was too long */
};

/* The generation is taken per message: a new one shows up in the next answer. */
static enum med_code answer_line(struct stdio_server *s, struct med_err *err)
{
    struct served served = {0};
    struct med_str message = med_str_trim(med_buf_str(&s->line));
    med_buf_reset(&s->out);
    if (s->skipping) {
        mcp_refuse(MCP_INVALID_REQUEST, "the message is too long", &s->out);
    } else if (message.len) {
        bool has_index = serving_acquire(s->serving, 0, &served);
        s->engine.serving = s->serving;
        s->engine.source = (struct fetch_source){.store = served.store, .index = served.index};
        (void)mcp_answer(&s->engine, NULL, &s->session, message, &s->out);
        if (has_index) serving_release(&served);
    }
    if (med_buf_status(&s->out, NULL)) {
        med_buf_reset(&s->out);
        mcp_refuse(MCP_INTERNAL_ERROR, "the answer is too large; ask for less", &s->out);
    }
    if (s->engine.failure)
        med_log(MED_LOG_ERROR, "mcp", "a tool failed: %s", med_code_name(s->engine.failure));
    s->engine.failure = MED_OK;
    s->skipping = false;
    med_buf_reset(&s->line);
    if (s->out.len == 0) return MED_OK;
    med_buf_putc(&s->out, '\n');
    return command_print(&s->out, err);
}

static enum med_code take(struct stdio_server *s, struct med_str bytes, struct med_err *err)
{
    enum med_code code = MED_OK;
    for (size_t at = 0; at < bytes.len && !code;) {
        const char *end = memchr(bytes.ptr + at, '\n', bytes.len - at);
        size_t stop = end ? (size_t)(end - bytes.ptr) : bytes.len;
        if (!s->skipping) med_buf_append(&s->line, bytes.ptr + at, stop - at);
        if (med_buf_status(&s->line, NULL)) s->skipping = true;
        if (end) code = answer_line(s, err);
        at = stop + 1;
    }
    return code;
}

static enum med_code serve_lines(struct stdio_server *s, struct med_err *err)
{
    static char bytes[READ_BYTES];
    enum med_code code = MED_OK;
    while (!code) {
        ssize_t n = read(STDIN_FILENO, bytes, sizeof bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return med_fail_errno(err, errno, "cannot read stdin");
        if (n == 0) break;
        code = take(s, (struct med_str){.ptr = bytes, .len = (size_t)n}, err);
    }
    /* A last line without its end. */
    if (!code && (s->line.len || s->skipping)) code = answer_line(s, err);
    return code;
}

enum med_code cmd_mcp(const struct options *options, struct med_err *err)
{
    struct stdio_server s = {.session = MCP_2025_03_26};
    if (options->arg_count) return med_fail(err, MED_E_USAGE, "mcp takes no arguments");
    if (!options->data || !*options->data)
        return med_fail(
            err, MED_E_USAGE, "which data folder? Give --data FOLDER or set MEDICUS_DATA");
    med_log_setup(options->quiet ? MED_LOG_ERROR : MED_LOG_INFO, MED_LOG_TEXT);
    med_buf_init(&s.line, MED_REQUEST_BODY_BYTES_MAX);
    med_buf_init(&s.out, MED_RESPONSE_BYTES_MAX);
    search_params_deploy(options->authority_weight);
    s.engine.view.public_url = public_url_of(options->public_url);
    enum med_code code =
        serving_new(options->data, options->wait, options->cursor_seconds, &s.serving, err);
    if (!code) code = med_arena_new(MED_REQUEST_ARENA_BYTES_MAX, &s.engine.arena, err);
    if (!code) code = med_searcher_new(&s.engine.searcher, err);
    if (!code) code = serve_lines(&s, err);
    if (s.engine.searcher) med_searcher_free(&s.engine.searcher);
    med_arena_free(&s.engine.arena);
    med_buf_free(&s.line);
    med_buf_free(&s.out);
    serving_free(&s.serving);
    return code;
}

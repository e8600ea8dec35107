/* medicus manual: the manual page (man macros), from the tables that parse and explain the command
 * line, so that it cannot fall behind them. */
#include "common/buf.h"
#include "common/limits.h"
#include "service/command.h"

#include <string.h>

#define PAGE_BYTES_MAX MED_MIB

/* Text that is no macro: backslashes and hyphens escaped, and no line begins with a control
 * character. */
static void put_text(struct med_buf *out, const char *text)
{
    bool line_begins = true;
    for (const char *p = text; *p; p++) {
        if (line_begins && (*p == '.' || *p == '\'')) med_buf_puts(out, "\\&");
        if (*p == '\\')
            med_buf_puts(out, "\\e");
        else if (*p == '-')
            med_buf_puts(out, "\\-");
        else
            med_buf_append(out, p, 1);
        line_begins = *p == '\n';
    }
}

static void put_options(struct med_buf *out, enum command_id command)
{
    struct option_info option;
    for (unsigned i = 0; options_at(command, i, &option); i++) {
        med_buf_puts(out, ".TP\n\\fB");
        if (option.letter) med_buf_printf(out, "\\-%c\\fR, \\fB", option.letter);
        med_buf_puts(out, "\\-\\-");
        put_text(out, option.name);
        med_buf_puts(out, "\\fR");
        if (option.value) med_buf_printf(out, " \\fI%s\\fR", option.value);
        med_buf_puts(out, "\n");
        put_text(out, option.help);
        if (option.env) med_buf_printf(out, " [%s]", option.env);
        med_buf_puts(out, "\n");
    }
}

static void put_command(struct med_buf *out, const struct command *command)
{
    med_buf_puts(out, ".SS \"medicus ");
    put_text(out, command->name);
    if (*command->usage) {
        med_buf_puts(out, " ");
        put_text(out, command->usage);
    }
    med_buf_puts(out, "\"\n");
    put_text(out, command->summary);
    med_buf_puts(out, ".\n");
    if (*command->details) {
        med_buf_puts(out, ".PP\n");
        put_text(out, command->details);
    }
    put_options(out, command->id);
    med_buf_puts(out, ".PP\nExamples:\n.PP\n.EX\n");
    put_text(out, command->examples);
    med_buf_puts(out, ".EE\n");
}

static void put_page(struct med_buf *out)
{
    const struct command *command;
    med_buf_puts(out,
        ".TH MEDICUS 1 \"2026-11-22\" \"medicus " MEDICUS_VERSION "\" \"User Commands\"\n"
        ".SH NAME\nmedicus \\- a private medical retrieval engine\n"
        ".SH SYNOPSIS\n.B medicus\n.I command\n.RI [ options ]\n"
        ".SH DESCRIPTION\n"
        "Ingests PubMed and guideline texts, learns an encoder from them, and answers\n"
        "searches and fetches over HTTP and MCP with hybrid lexical and dense "
        "retrieval.\n"
        "An option given on the command line wins over its environment variable "
        "(in\nbrackets below), which wins over the configuration file.\n"
        ".SH COMMANDS\n");
    for (size_t i = 0; (command = command_at(i)); i++) put_command(out, command);
    med_buf_puts(out, ".SH EXIT STATUS\n");
    put_text(out, command_exit_statuses());
    med_buf_puts(out, ".SH FILES\n.TP\n.I /etc/medicus/medicus.conf\nThe configuration file.\n"
                      ".TP\n.I /var/lib/medicus\nThe data folder of the packaged service.\n");
}

enum med_code cmd_manual(const struct options *options, struct med_err *err)
{
    struct med_buf out;
    if (options->arg_count) return med_fail(err, MED_E_USAGE, "manual takes no arguments");
    med_buf_init(&out, PAGE_BYTES_MAX);
    put_page(&out);
    enum med_code code = command_print(&out, err);
    med_buf_free(&out);
    return code;
}

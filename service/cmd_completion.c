/* medicus completion: what a shell needs to complete commands and options, from the same tables
 * that parse them. */
#include "common/buf.h"
#include "common/limits.h"
#include "service/command.h"

#include "service/suggest.h"
#include <stdio.h>

#define SCRIPT_BYTES_MAX MED_MIB

/* Text between single quotes; a quote becomes '\''. fish knows \' as well as '\''. */
static void put_quoted(struct med_buf *out, const char *text)
{
    med_buf_puts(out, "'");
    for (const char *p = text; *p; p++)
        if (*p == '\'')
            med_buf_puts(out, "'\\''");
        else
            med_buf_append(out, p, 1);
    med_buf_puts(out, "'");
}

static void bash_script(struct med_buf *out)
{
    const struct command *command;
    struct option_info option;
    med_buf_puts(out, "# bash completion for medicus\n"
                      "_medicus()\n{\n"
                      "    local current=${COMP_WORDS[COMP_CWORD]} words options=\n");
    med_buf_puts(out, "    words='");
    for (size_t i = 0; (command = command_at(i)); i++)
        med_buf_printf(out, "%s%s", i ? " " : "", command->name);
    med_buf_puts(out, "'\n"
                      "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
                      "        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
                      "        return\n"
                      "    fi\n"
                      "    case ${COMP_WORDS[1]} in\n");
    for (size_t i = 0; (command = command_at(i)); i++) {
        med_buf_printf(out, "    %s) options='", command->name);
        for (unsigned k = 0; options_at(command->id, k, &option); k++)
            med_buf_printf(out, "%s--%s", k ? " " : "", option.name);
        med_buf_puts(out, "' ;;\n");
    }
    med_buf_puts(out, "    esac\n"
                      "    if [[ $current == -* ]]; then\n"
                      "        mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$current\")\n"
                      "    fi\n"
                      "}\n"
                      "complete -o default -F _medicus medicus\n");
}

/* A colon or bracket in a description would end it. */
static void put_zsh_option(struct med_buf *out, const struct option_info *option)
{
    med_buf_printf(out, " \\\n            '--%s[", option->name);
    for (const char *p = option->help; *p; p++) {
        if (*p == '\'')
            med_buf_puts(out, "'\\''");
        else if (*p == '[' || *p == ']' || *p == ':' || *p == '\\')
            med_buf_printf(out, "\\%c", *p);
        else
            med_buf_append(out, p, 1);
    }
    med_buf_puts(out, "]");
    if (option->value) med_buf_printf(out, ":%s:_files", option->value);
    med_buf_puts(out, "'");
}

static void zsh_script(struct med_buf *out)
{
    const struct command *command;
    struct option_info option;
    med_buf_puts(out, "#compdef medicus\n\n_medicus()\n{\n    local -a commands\n    commands=(\n");
    for (size_t i = 0; (command = command_at(i)); i++) {
        med_buf_puts(out, "        ");
        char line[160];
        snprintf(line, sizeof line, "%s:%s", command->name, command->summary);
        put_quoted(out, line);
        med_buf_puts(out, "\n");
    }
    med_buf_puts(out, "    )\n"
                      "    if (( CURRENT == 2 )); then\n"
                      "        _describe command commands\n"
                      "        return\n"
                      "    fi\n"
                      "    shift words\n"
                      "    (( CURRENT-- ))\n"
                      "    case $words[1] in\n");
    for (size_t i = 0; (command = command_at(i)); i++) {
        med_buf_printf(out, "    %s)\n        _arguments", command->name);
        for (unsigned k = 0; options_at(command->id, k, &option); k++) put_zsh_option(out, &option);
        med_buf_puts(out, " \\\n            '*:file:_files'\n        ;;\n");
    }
    med_buf_puts(out, "    esac\n}\n\n_medicus \"$@\"\n");
}

static void fish_script(struct med_buf *out)
{
    const struct command *command;
    struct option_info option;
    med_buf_puts(out, "# fish completion for medicus\n");
    for (size_t i = 0; (command = command_at(i)); i++) {
        med_buf_printf(
            out, "complete -c medicus -n __fish_use_subcommand -f -a %s -d ", command->name);
        put_quoted(out, command->summary);
        med_buf_puts(out, "\n");
    }
    for (size_t i = 0; (command = command_at(i)); i++) {
        for (unsigned k = 0; options_at(command->id, k, &option); k++) {
            med_buf_printf(out, "complete -c medicus -n '__fish_seen_subcommand_from %s' -l %s",
                command->name, option.name);
            if (option.letter) med_buf_printf(out, " -s %c", option.letter);
            if (option.value) med_buf_puts(out, " -r");
            med_buf_puts(out, " -d ");
            put_quoted(out, option.help);
            med_buf_puts(out, "\n");
        }
    }
}

enum med_code cmd_completion(const struct options *options, struct med_err *err)
{
    static const struct {
        const char *name;
        void (*write)(struct med_buf *out);
    } shells[] = {{"bash", bash_script}, {"zsh", zsh_script}, {"fish", fish_script}};
    struct med_buf out;
    if (options->arg_count != 1)
        return med_fail(err, MED_E_USAGE, "completion for which shell? Give bash, zsh or fish");
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++) {
        if (!med_str_eq(med_str_of(options->args[0]), med_str_of(shells[i].name))) continue;
        med_buf_init(&out, SCRIPT_BYTES_MAX);
        shells[i].write(&out);
        enum med_code code = command_print(&out, err);
        med_buf_free(&out);
        return code;
    }
    return med_fail(err, MED_E_USAGE, "no completion for \"%.40s\"; there is bash, zsh and fish",
        options->args[0]);
}

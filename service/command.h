/* The subcommands: one file each (cmd_*.c), one table (main.c). */
#pragma once

#include "service/options.h"

struct command {
    const char *name;
    enum command_id id;
    const char *usage;    /* after "medicus <name> " */
    const char *summary;  /* one line */
    const char *details;  /* paragraphs for --help, or "" */
    const char *examples; /* lines for --help */
    /* Data goes to stdout. The error is reported and turned into the exit status by main. */
    enum med_code (*run)(const struct options *options, struct med_err *err);
};

/* The i-th of the table; NULL past the last. */
const struct command *command_at(size_t i);
const char *command_exit_statuses(void);

enum med_code cmd_ingest(const struct options *options, struct med_err *err) MED_CHECK;
enum med_code cmd_update(const struct options *options, struct med_err *err) MED_CHECK;
enum med_code cmd_build(const struct options *options, struct med_err *err) MED_CHECK;
enum med_code cmd_serve(const struct options *options, struct med_err *err) MED_CHECK;
enum med_code cmd_search(const struct options *options, struct med_err *err) MED_CHECK;
enum med_code cmd_fetch(const struct options *options, struct med_err *err) MED_CHECK;
enum med_code cmd_eval(const struct options *options, struct med_err *err) MED_CHECK;
enum med_code cmd_info(const struct options *options, struct med_err *err) MED_CHECK;
enum med_code cmd_check(const struct options *options, struct med_err *err) MED_CHECK;
enum med_code cmd_purge(const struct options *options, struct med_err *err) MED_CHECK;
enum med_code cmd_retractions(const struct options *options, struct med_err *err) MED_CHECK;
enum med_code cmd_similar(const struct options *options, struct med_err *err) MED_CHECK;
enum med_code cmd_terms(const struct options *options, struct med_err *err) MED_CHECK;
enum med_code cmd_vocab(const struct options *options, struct med_err *err) MED_CHECK;
enum med_code cmd_mcp(const struct options *options, struct med_err *err) MED_CHECK;
enum med_code cmd_backup(const struct options *options, struct med_err *err) MED_CHECK;
enum med_code cmd_restore(const struct options *options, struct med_err *err) MED_CHECK;
enum med_code cmd_delete(const struct options *options, struct med_err *err) MED_CHECK;
enum med_code cmd_jobs(const struct options *options, struct med_err *err) MED_CHECK;
enum med_code cmd_generations(const struct options *options, struct med_err *err) MED_CHECK;
enum med_code cmd_key(const struct options *options, struct med_err *err) MED_CHECK;
enum med_code cmd_health(const struct options *options, struct med_err *err) MED_CHECK;
enum med_code cmd_completion(const struct options *options, struct med_err *err) MED_CHECK;
enum med_code cmd_manual(const struct options *options, struct med_err *err) MED_CHECK;
enum med_code cmd_version(const struct options *options, struct med_err *err) MED_CHECK;

/* Writes what a command prepared to stdout. A reader that went away (`| head`) is not an error. */
struct med_buf;
enum med_code command_print(const struct med_buf *out, struct med_err *err) MED_CHECK;

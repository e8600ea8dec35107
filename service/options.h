/* The command line: one table of options for all subcommands.
 *
 * Precedence: flag, then environment variable, then configuration file (config.h), then a file of
 * that name in systemd's $CREDENTIALS_DIRECTORY (certificate and key), then the default of the
 * table. What has an environment variable may stand in the configuration file, under the name of
 * its flag. The file is --config, or MEDICUS_CONFIG (empty: none), or CONFIG_DEFAULT_PATH where
 * that exists. */
#pragma once

#include "common/arena.h"
#include "common/err.h"

#include <stdbool.h>
#include <stdint.h>

enum command_id {
    COMMAND_INGEST,
    COMMAND_BUILD,
    COMMAND_UPDATE,
    COMMAND_SERVE,
    COMMAND_SEARCH,
    COMMAND_FETCH,
    COMMAND_EVAL,
    COMMAND_INFO,
    COMMAND_CHECK,
    COMMAND_PURGE,
    COMMAND_RETRACTIONS,
    COMMAND_VOCAB,
    COMMAND_TERMS,
    COMMAND_SIMILAR,
    COMMAND_MCP,
    COMMAND_GENERATIONS,
    COMMAND_BACKUP,
    COMMAND_DELETE,
    COMMAND_JOBS,
    COMMAND_RESTORE,
    COMMAND_KEY,
    COMMAND_HEALTH,
    COMMAND_COMPLETION,
    COMMAND_MANUAL,
    COMMAND_VERSION,
    COMMAND_COUNT
};

/* A parameter of the search grammar (search_params.h), passed on by name. */
struct option_param {
    const char *name; /* as the HTTP route spells it: "group_by" */
    const char *value;
};
#define OPTION_PARAMS_MAX 64

#define CONFIG_DEFAULT_PATH "/etc/medicus/medicus.conf"
#define OPTION_ROWS_MAX 200

struct options {
    const char *data;
    bool json, quiet, help;
    /* long commands */
    bool background;
    uint64_t progress_fd; /* 0: none */
    /* ingest */
    const char *source_name;
    bool require_md5, again, watch, update;
    uint64_t interval_s;
    /* build, update */
    bool retrain, full, lexical_only;
    uint64_t dim, seed, keep, memory; /* memory in bytes, 0: by what is free */
    double gate_overlap;
    /* backup */
    bool without_keys;
    /* generations */
    bool ids;
    /* purge */
    const char *from;
    bool yes, allow;
    uint64_t wait_s;
    /* build, eval, serve */
    uint64_t threads;
    /* search, fetch, serve */
    const char *public_url;
    /* search */
    struct option_param params[OPTION_PARAMS_MAX];
    unsigned param_count;
    const char *export_format;
    /* eval */
    const char *queries, *qrels, *modes, *fusion, *run_dir, *per_query, *evidence, *html;
    uint64_t losers;
    double fusion_weight, authority_weight;
    bool expand;
    /* key */
    const char *scope, *key_sources, *rate, *expires;
    /* serve, health */
    const char *listen, *log_format, *log_level, *allow_origin;
    const char *rate_limit, *tls_cert, *tls_key;
    bool allow_public, wait, access_log, open_metrics;
    uint64_t io_threads, queue_depth, queue_ms, connections;
    uint64_t header_deadline_ms, body_deadline_ms, idle_ms;
    uint64_t request_bytes, admin_body_bytes, cursor_seconds, cache_bytes;
    const char *snapshot_dir;
    uint64_t job_memory; /* bytes, 0: by what is free */

    /* serve */
    const char *audit_log;
    bool audit_query_text, print_config, check_config;

    const char *config;          /* given, or NULL */
    const char *config_path;     /* that was read, or NULL */
    int origin[OPTION_ROWS_MAX]; /* of each row's value; options_setting tells it */
    struct med_arena *arena;     /* of strings from the file */

    const char *const *args; /* what is left: paths, ids, the query */
    unsigned arg_count;
};

/* argv[0] is the subcommand's name; argv may be reordered. MED_E_USAGE names the option and, where
 * one is near, what was probably meant. */
enum med_code options_parse(enum command_id command, int argc, char **argv,
    struct options *ret_options, struct med_err *err) MED_CHECK;
/* What is known of an option, for the manual and for completion. */
struct option_info {
    const char *name;
    char letter;             /* 0 = long form only */
    const char *value, *env; /* NULL = none */
    const char *help;
};
/* The i-th option of a command; false past the last. */
bool options_at(enum command_id command, unsigned i, struct option_info *ret_option);
/* Parses the same command line again, with the environment as it was and the configuration file as
 * it is now. On the thread that called options_parse, or after it. */
enum med_code options_reparse(struct options *ret_options, struct med_err *err) MED_CHECK;
/* Strings from the configuration file end here. */
void options_free(struct options *options);

/* What a configuration file can say. */
struct option_setting {
    const char *name, *help, *value_name; /* value_name NULL: a flag */
    char origin[160];                     /* "default", "flag", "environment MEDICUS_X", ... */
    bool is_default, is_set; /* not set: there is no default, and nobody said anything */
    char value[1024];        /* as a configuration file spells it */
    bool reloads;            /* takes effect on SIGHUP; else at the next start */
};
/* The i-th setting of a command with its value in options; false past the last. */
bool options_setting(enum command_id command, const struct options *options, unsigned i,
    struct option_setting *ret_setting);
/* The options of a command, one per line, for --help. */
void options_help(enum command_id command, void (*line)(const char *left, const char *right));

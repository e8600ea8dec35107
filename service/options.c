#include "service/options.h"

#include "common/fs.h"
#include "common/limits.h"
#include "common/str.h"
#include "service/config.h"
#include "service/suggest.h"

#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

enum option_kind { OPTION_FLAG, OPTION_TEXT, OPTION_UINT, OPTION_BYTES, OPTION_REAL, OPTION_PARAM };

#define ON(id) (1u << COMMAND_##id)
#define EVERY ((1u << COMMAND_COUNT) - 1)
#define DATA_COMMANDS                                                                              \
    (ON(INGEST) | ON(BUILD) | ON(UPDATE) | ON(SERVE) | ON(SEARCH) | ON(FETCH) | ON(EVAL) |         \
        ON(INFO) | ON(CHECK) | ON(PURGE) | ON(RETRACTIONS) | ON(VOCAB) | ON(TERMS) | ON(SIMILAR) | \
        ON(MCP) | ON(GENERATIONS) | ON(BACKUP) | ON(RESTORE) | ON(KEY) | ON(DELETE) | ON(JOBS))
#define LONG_COMMANDS (ON(INGEST) | ON(BUILD) | ON(UPDATE) | ON(BACKUP) | ON(DELETE))
#define AT(field) offsetof(struct options, field)

struct option_row {
    const char *name;
    char letter;       /* 0 = long form only */
    const char *value; /* how the value is called in --help; NULL for flags */
    const char *env;   /* NULL = none */
    unsigned commands;
    enum option_kind kind;
    size_t offset; /* of the field; unused for OPTION_PARAM */
    double number; /* default of numbers */
    double min, max;
    const char *text; /* default of texts */
    const char *help;
};

/* clang-format off */
static const struct option_row rows[] = {
    {"data", 'd', "FOLDER", "MEDICUS_DATA", DATA_COMMANDS, OPTION_TEXT, AT(data), 0, 0, 0, NULL,
        "the data folder (or MEDICUS_DATA)"},
    {"config", 0, "FILE", "MEDICUS_CONFIG", DATA_COMMANDS | ON(HEALTH), OPTION_TEXT, AT(config), 0,
        0, 0, NULL, "read settings from this file (default " CONFIG_DEFAULT_PATH ", if it exists)"},
    {"json", 'j', NULL, NULL, EVERY & ~(ON(SERVE) | ON(MCP) | ON(COMPLETION) | ON(MANUAL)),
        OPTION_FLAG, AT(json), 0, 0, 0, NULL, "print JSON for programs"},
    {"quiet", 'q', NULL, "MEDICUS_QUIET", EVERY, OPTION_FLAG, AT(quiet), 0, 0, 0, NULL,
        "no progress and no messages other than errors"},
    {"help", 'h', NULL, NULL, EVERY, OPTION_FLAG, AT(help), 0, 0, 0, NULL, "this text"},

    {"background", 0, NULL, "MEDICUS_BACKGROUND", LONG_COMMANDS, OPTION_FLAG, AT(background), 0, 0,
        0, NULL, "with low priority for processors and disks (nice 10, idle I/O)"},
    {"progress-fd", 0, "FD", NULL, LONG_COMMANDS, OPTION_UINT, AT(progress_fd), 0, 3, 1023, NULL,
        "write progress as lines of JSON to this descriptor"},
    {"source", 0, "NAME", NULL, ON(INGEST), OPTION_TEXT, AT(source_name), 0, 0, 0, NULL,
        "source label of JSON Lines and text (default: by format)"},

    {"require-md5", 0, NULL, NULL, ON(INGEST), OPTION_FLAG, AT(require_md5), 0, 0, 0, NULL,
        "refuse files without a .md5 file beside them"},
    {"again", 0, NULL, NULL, ON(INGEST), OPTION_FLAG, AT(again), 0, 0, 0, NULL,
        "read PubMed's numbered files that were ingested before again"},
    {"watch", 0, NULL, NULL, ON(INGEST), OPTION_FLAG, AT(watch), 0, 0, 0, NULL,
        "stay, and ingest what arrives in the folders"},
    {"interval", 0, "S", NULL, ON(INGEST), OPTION_UINT, AT(interval_s), 10, 1, 86400, NULL,
        "watch: seconds between looks (default 10)"},
    {"update", 0, NULL, NULL, ON(INGEST), OPTION_FLAG, AT(update), 0, 0, 0, NULL,
        "watch: make what arrived searchable after each batch"},
    {"from", 0, "FILE", NULL, ON(PURGE), OPTION_TEXT, AT(from), 0, 0, 0, NULL,
        "read ids from a file, one per line (- for stdin)"},
    {"yes", 'y', NULL, NULL, ON(PURGE), OPTION_FLAG, AT(yes), 0, 0, 0, NULL,
        "do not ask; needed where nobody can be asked"},
    {"allow", 0, NULL, NULL, ON(PURGE), OPTION_FLAG, AT(allow), 0, 0, 0, NULL,
        "let purged documents in again"},
    {"wait-seconds", 0, "N", NULL, ON(PURGE), OPTION_UINT, AT(wait_s), 60, 0, 86400, NULL,
        "how long to wait for processes that hold an older generation (default 60)"},
    {"retrain", 0, NULL, NULL, ON(BUILD), OPTION_FLAG, AT(retrain), 0, 0, 0, NULL,
        "train a new encoder although a usable one exists"},
    {"full", 0, NULL, NULL, ON(BUILD), OPTION_FLAG, AT(full), 0, 0, 0, NULL,
        "analyse and encode everything, also what has not changed"},
    {"lexical-only", 0, NULL, NULL, ON(BUILD), OPTION_FLAG, AT(lexical_only), 0, 0, 0, NULL,
        "no encoder and no vectors"},
    {"dim", 0, "N", NULL, ON(BUILD), OPTION_UINT, AT(dim), 0, 0, MED_DIM_MAX, NULL,
        "dimensions of a new encoder (default 256)"},
    {"seed", 0, "N", NULL, ON(BUILD), OPTION_UINT, AT(seed), 1, 0, 9007199254740992.0, NULL,
        "seed of everything random (default 1)"},
    {"without-keys", 0, NULL, NULL, ON(BACKUP), OPTION_FLAG, AT(without_keys), 0, 0, 0, NULL,
        "leave the API keys out"},
    {"ids", 0, NULL, NULL, ON(GENERATIONS), OPTION_FLAG, AT(ids), 0, 0, 0, NULL,
        "compare: list the documents that differ"},
    {"keep", 0, "N", NULL, ON(GENERATIONS), OPTION_UINT, AT(keep), 3, 1, 1000, NULL,
        "prune: generations to keep, besides the current one (default 3)"},
    {"keep", 0, "N", NULL, ON(BUILD) | ON(UPDATE), OPTION_UINT, AT(keep), 3, 1, 1000, NULL,
        "generations kept after publishing (default 3)"},
    {"gate-overlap", 0, "X", "MEDICUS_GATE_OVERLAP", ON(BUILD) | ON(UPDATE), OPTION_REAL,
        AT(gate_overlap), .5, 0, 1, NULL,
        "share of present top results to be found again (default .5; 0: any)"},
    {"memory", 0, "SIZE", "MEDICUS_MEMORY", ON(BUILD) | ON(UPDATE), OPTION_BYTES, AT(memory), 0, 0,
        0, NULL, "most memory to use, such as 1500M or 2G (default: 3/4 of what is free)"},
    {"threads", 't', "N", "MEDICUS_THREADS", ON(BUILD) | ON(UPDATE) | ON(EVAL) | ON(SERVE),
        OPTION_UINT, AT(threads), 0, 0, 1024, NULL,
        "threads that compute (default: all processors)"},

    {"mode", 'm', "MODE", NULL, ON(SEARCH) | ON(SIMILAR), OPTION_PARAM, 0, 0, 0, 0, NULL,
        "hybrid, lexical or dense (default hybrid)"},
    {"limit", 'n', "N", NULL, ON(SEARCH) | ON(SIMILAR), OPTION_PARAM, 0, 0, 0, 0, NULL,
        "results to print (default 10)"},
    {"offset", 0, "N", NULL, ON(SEARCH) | ON(SIMILAR), OPTION_PARAM, 0, 0, 0, 0, NULL,
        "results to skip"},
    {"cursor", 0, "CURSOR", NULL, ON(SEARCH) | ON(SIMILAR), OPTION_PARAM, 0, 0, 0, 0, NULL,
        "go on behind the results of an earlier answer"},
    {"group-by", 0, "WHAT", NULL, ON(SEARCH), OPTION_PARAM, 0, 0, 0, 0, NULL,
        "document (default: one result per work) or none (every passage)"},
    {"fusion", 0, "HOW", NULL, ON(SEARCH) | ON(SIMILAR), OPTION_PARAM, 0, 0, 0, 0, NULL,
        "convex (default) or rrf"},
    {"fusion-weight", 0, "W", NULL, ON(SEARCH) | ON(SIMILAR), OPTION_PARAM, 0, 0, 0, 0, NULL,
        "share of the dense half, 0 to 1 (default: as calibrated)"},
    {"authority-weight", 0, "W", NULL, ON(SEARCH) | ON(SIMILAR), OPTION_PARAM, 0, 0, 0, 0, NULL,
        "weight of evidence, grade and recency, 0 to 1 (default .2)"},
    {"year", 0, "RANGE", NULL, ON(SEARCH) | ON(SIMILAR), OPTION_PARAM, 0, 0, 0, 0, NULL,
        "2019, 2015..2020, 2015.. or ..2020"},
    {"source", 0, "LIST", NULL, ON(SEARCH) | ON(SIMILAR), OPTION_PARAM, 0, 0, 0, 0, NULL,
        "only these: pubmed, pmc, guideline, other"},
    {"evidence", 0, "LIST", NULL, ON(SEARCH) | ON(SIMILAR), OPTION_PARAM, 0, 0, 0, 0, NULL,
        "only these levels: guideline, systematic-review, randomized-trial, ..."},
    {"type", 0, "LIST", NULL, ON(SEARCH) | ON(SIMILAR), OPTION_PARAM, 0, 0, 0, 0, NULL,
        "only these publication types, separated by semicolons"},
    {"journal", 0, "LIST", NULL, ON(SEARCH) | ON(SIMILAR), OPTION_PARAM, 0, 0, 0, 0, NULL,
        "only these journals, by full or abbreviated title, separated by semicolons"},
    {"language", 0, "LIST", NULL, ON(SEARCH) | ON(SIMILAR), OPTION_PARAM, 0, 0, 0, 0, NULL,
        "only these languages (eng, en, English, ...), separated by semicolons"},
    {"mesh", 0, "LIST", NULL, ON(SEARCH) | ON(SIMILAR), OPTION_PARAM, 0, 0, 0, 0, NULL,
        "only documents with one of these MeSH headings, separated by semicolons"},
    {"retracted", 0, "WHICH", NULL, ON(SEARCH), OPTION_PARAM, 0, 0, 0, 0, NULL,
        "only retracted articles, or exclude them: only, exclude"},
    {"sort", 0, "ORDER", NULL, ON(SEARCH), OPTION_PARAM, 0, 0, 0, 0, NULL,
        "relevance (default) or date (newest first, over all matches)"},
    {"facets", 0, "LIST", NULL, ON(SEARCH), OPTION_PARAM, 0, 0, 0, 0, NULL,
        "count by year, type, journal, mesh, language, source, evidence (with --json)"},
    {"facet-limit", 0, "N", NULL, ON(SEARCH), OPTION_PARAM, 0, 0, 0, 0, NULL,
        "values per facet (default 10)"},
    {"export", 0, "FORMAT", NULL, ON(SEARCH), OPTION_TEXT, AT(export_format), 0, 0, 0, NULL,
        "all hits, newest first: ris, bibtex, csl-json, vancouver, nbib, csv or ids"},
    {"exclude-retracted", 0, NULL, NULL, ON(SEARCH) | ON(SIMILAR), OPTION_PARAM, 0, 0, 0, 0, NULL,
        "leave retracted articles out"},
    {"has-abstract", 0, NULL, NULL, ON(SEARCH) | ON(SIMILAR), OPTION_PARAM, 0, 0, 0, 0, NULL,
        "only documents with an abstract"},
    {"expand", 0, "BOOL", NULL, ON(SEARCH), OPTION_PARAM, 0, 0, 0, 0, NULL,
        "true or false: also search for other names of what is typed"},
    {"explain", 0, NULL, NULL, ON(SEARCH) | ON(SIMILAR), OPTION_PARAM, 0, 0, 0, 0, NULL,
        "show every term of the score"},
    {"public-url", 0, "URL", "MEDICUS_PUBLIC_URL",
        ON(SEARCH) | ON(SIMILAR) | ON(FETCH) | ON(SERVE) | ON(MCP),
        OPTION_TEXT, AT(public_url), 0, 0, 0, NULL,
        "base of links to documents without an own address"},

    {"format", 'f', "FORMAT", NULL, ON(FETCH), OPTION_PARAM, 0, 0, 0, 0, NULL,
        "text (default), markdown, json, ndjson, ris, bibtex, csl-json, vancouver, nbib"},
    {"sections", 0, "LIST", NULL, ON(FETCH), OPTION_PARAM, 0, 0, 0, 0, NULL,
        "only these sections, by heading or heading path, separated by commas"},
    {"view", 0, "WHAT", NULL, ON(FETCH), OPTION_PARAM, 0, 0, 0, 0, NULL,
        "text (default), or outline: headings with sizes and passages"},
    {"window", 0, "N", NULL, ON(FETCH), OPTION_PARAM, 0, 0, 0, 0, NULL,
        "so many passages before and behind the one asked for, too"},
    {"start-byte", 0, "N", NULL, ON(FETCH), OPTION_PARAM, 0, 0, 0, 0, NULL,
        "go on where an answer was cut"},
    {"response-format", 0, "HOW", NULL, ON(SEARCH) | ON(SIMILAR), OPTION_PARAM, 0, 0, 0, 0, NULL,
        "concise, or detailed: the passages themselves (with --json the default)"},
    {"format", 'f', "FORMAT", NULL, ON(SEARCH) | ON(SIMILAR), OPTION_PARAM, 0, 0, 0, 0, NULL,
        "text (default), markdown, json, ndjson, ris, bibtex, csl-json, vancouver, nbib"},
    {"max-tokens", 0, "N", NULL, ON(SEARCH) | ON(SIMILAR), OPTION_PARAM, 0, 0, 0, 0, NULL,
        "keep the answer to so many tokens of four bytes"},
    {"max-tokens", 0, "N", NULL, ON(FETCH), OPTION_PARAM, 0, 0, 0, 0, NULL,
        "keep the answer to so many tokens of four bytes"},

    {"queries", 0, "FILE", NULL, ON(EVAL), OPTION_TEXT, AT(queries), 0, 0, 0, NULL,
        "BEIR queries.jsonl or TREC topics"},
    {"qrels", 0, "FILE", NULL, ON(EVAL), OPTION_TEXT, AT(qrels), 0, 0, 0, NULL,
        "BEIR tsv or TREC qrels"},
    {"modes", 0, "LIST", NULL, ON(EVAL), OPTION_TEXT, AT(modes), 0, 0, 0, "lexical,dense,hybrid",
        "modes to measure (default lexical,dense,hybrid)"},
    {"fusion", 0, "HOW", NULL, ON(EVAL), OPTION_TEXT, AT(fusion), 0, 0, 0, "convex",
        "convex (default) or rrf"},
    {"fusion-weight", 0, "W", NULL, ON(EVAL), OPTION_REAL, AT(fusion_weight), -1, 0, 1, NULL,
        "share of the dense half, 0 to 1 (default: as calibrated)"},
    {"expand", 0, NULL, NULL, ON(EVAL), OPTION_FLAG, AT(expand), 0, 0, 0, NULL,
        "search for other names of what the queries say as well"},
    {"authority-weight", 0, "W", "MEDICUS_AUTHORITY_WEIGHT", ON(SERVE) | ON(MCP), OPTION_REAL,
        AT(authority_weight), -1, 0, 1, NULL,
        "weight of clinical authority where a request says none (default .2)"},
    {"authority-weight", 0, "W", NULL, ON(EVAL), OPTION_REAL, AT(authority_weight), -1, 0, 1, NULL,
        "weight of clinical authority, 0 to 1 (default .2)"},
    {"run-dir", 0, "FOLDER", NULL, ON(EVAL), OPTION_TEXT, AT(run_dir), 0, 0, 0, NULL,
        "write <mode>.run, TREC run files, there"},
    {"per-query", 0, "FILE", NULL, ON(EVAL), OPTION_TEXT, AT(per_query), 0, 0, 0, NULL,
        "write a table of every query's measures"},
    {"losers", 0, "N", NULL, ON(EVAL), OPTION_UINT, AT(losers), 0, 0, 1000, NULL,
        "list the N queries that lose and win most against the first mode"},
    {"sweep", 0, "W=A:B:STEP", NULL, ON(EVAL), OPTION_PARAM, 0, 0, 0, 0, NULL,
        "hybrid with fusion or authority weights from A to B (may be repeated)"},
    {"evidence", 0, "FILE", NULL, ON(EVAL), OPTION_TEXT, AT(evidence), 0, 0, 0, NULL,
        "judge passages: JSON Lines with query_id, doc_id, evidence"},
    {"html", 0, "FILE", NULL, ON(EVAL), OPTION_TEXT, AT(html), 0, 0, 0, NULL,
        "write the report as one HTML page with plots"},

    {"scope", 0, "LIST", NULL, ON(KEY), OPTION_TEXT, AT(scope), 0, 0, 0, NULL,
        "what a new key may do: search (default), admin, or both"},
    {"source", 0, "LIST", NULL, ON(KEY), OPTION_TEXT, AT(key_sources), 0, 0, 0, NULL,
        "what a new key may see: pubmed, pmc, guideline, other (default: all)"},
    {"rate", 0, "N/UNIT", NULL, ON(KEY), OPTION_TEXT, AT(rate), 0, 0, 0, NULL,
        "requests of a new key per s, min or h, such as 10/s (default: the server's)"},
    {"expires", 0, "DATE", NULL, ON(KEY), OPTION_TEXT, AT(expires), 0, 0, 0, NULL,
        "last day of a key, or its last second: 2027-01-31, 2027-01-31T12:00:00Z"},

    {"listen", 'l', "HOST:PORT", "MEDICUS_LISTEN", ON(SERVE) | ON(HEALTH), OPTION_TEXT, AT(listen),
        0, 0, 0, "127.0.0.1:8080", "address (default 127.0.0.1:8080; port 0 chooses one)"},
    {"allow-public", 0, NULL, "MEDICUS_ALLOW_PUBLIC", ON(SERVE), OPTION_FLAG, AT(allow_public),
        0, 0, 0, NULL, "listen where other machines can reach it although there are no keys"},
    {"rate-limit", 0, "N/UNIT", "MEDICUS_RATE_LIMIT", ON(SERVE), OPTION_TEXT, AT(rate_limit),
        0, 0, 0, NULL,
        "requests per s, min or h, of a key without an own rate or of all without keys"},
    {"tls-cert", 0, "FILE", "MEDICUS_TLS_CERT", ON(SERVE) | ON(HEALTH), OPTION_TEXT, AT(tls_cert),
        0, 0, 0, NULL, "speak TLS, with this certificate and its chain (PEM)"},
    {"tls-key", 0, "FILE", "MEDICUS_TLS_KEY", ON(SERVE), OPTION_TEXT, AT(tls_key), 0, 0, 0, NULL,
        "private key of --tls-cert (PEM, unencrypted, closed to others)"},
    {"open-metrics", 0, NULL, "MEDICUS_OPEN_METRICS", ON(SERVE), OPTION_FLAG, AT(open_metrics),
        0, 0, 0, NULL, "answer /metrics without a key although there are keys"},
    {"allow-origin", 0, "LIST", "MEDICUS_ALLOW_ORIGIN", ON(SERVE), OPTION_TEXT,
        AT(allow_origin), 0, 0, 0, NULL,
        "origins of web pages that may use this server, separated by commas"},
    {"audit-log", 0, "FILE", "MEDICUS_AUDIT_LOG", ON(SERVE), OPTION_TEXT, AT(audit_log), 0, 0, 0,
        NULL, "append who asked, when, and which ids were answered, as JSON Lines"},
    {"audit-query-text", 0, NULL, "MEDICUS_AUDIT_QUERY_TEXT", ON(SERVE), OPTION_FLAG,
        AT(audit_query_text), 0, 0, 0, NULL, "and what was searched for"},
    {"print-config", 0, NULL, NULL, ON(SERVE), OPTION_FLAG, AT(print_config), 0, 0, 0, NULL,
        "print every setting and its origin, as a configuration file, and end"},
    {"check-config", 0, NULL, NULL, ON(SERVE), OPTION_FLAG, AT(check_config), 0, 0, 0, NULL,
        "check settings, keys, certificate and data folder, and end"},
    {"wait", 0, NULL, "MEDICUS_WAIT", ON(SERVE) | ON(MCP), OPTION_FLAG, AT(wait), 0, 0,
        0, NULL,
        "start without an index and serve the first one that is published"},
    {"log-format", 0, "FORMAT", "MEDICUS_LOG_FORMAT", ON(SERVE), OPTION_TEXT, AT(log_format),
        0, 0, 0, "text", "text (default) or json"},
    {"log-level", 0, "LEVEL", "MEDICUS_LOG_LEVEL", ON(SERVE), OPTION_TEXT, AT(log_level), 0, 0, 0,
        "info", "debug, info (default), warn or error"},
    {"access-log", 0, NULL, "MEDICUS_ACCESS_LOG", ON(SERVE), OPTION_FLAG, AT(access_log), 0, 0, 0,
        NULL, "one line per request; never with query text"},
    {"io-threads", 0, "N", "MEDICUS_IO_THREADS", ON(SERVE), OPTION_UINT, AT(io_threads), 2, 2, 64,
        NULL, "threads that read and write sockets (default 2)"},
    {"queue-depth", 0, "N", "MEDICUS_QUEUE_DEPTH", ON(SERVE), OPTION_UINT, AT(queue_depth),
        MED_QUEUE_DEPTH_DEFAULT, 1, 65536, NULL,
        "searches that may wait when many come at once (default 256)"},
    {"queue-ms", 0, "MS", "MEDICUS_QUEUE_MS", ON(SERVE), OPTION_UINT, AT(queue_ms),
        MED_QUEUE_MS_DEFAULT, 1, 60000, NULL,
        "time a search may wait while more come than can be answered (default 5)"},
    {"connections", 0, "N", "MEDICUS_CONNECTIONS", ON(SERVE), OPTION_UINT, AT(connections),
        MED_CONNECTIONS_DEFAULT, 4, 65536, NULL, "open connections at once (default 4096)"},
    {"header-deadline-ms", 0, "MS", "MEDICUS_HEADER_DEADLINE_MS", ON(SERVE), OPTION_UINT,
        AT(header_deadline_ms), MED_HEADER_DEADLINE_MS, 100, 3600000, NULL,
        "time a client has to send a request's header (default 10000)"},
    {"body-deadline-ms", 0, "MS", "MEDICUS_BODY_DEADLINE_MS", ON(SERVE), OPTION_UINT,
        AT(body_deadline_ms), MED_REQUEST_DEADLINE_MS, 100, 3600000, NULL,
        "time a client has to send a body, or to take an answer (default 30000)"},
    {"idle-ms", 0, "MS", "MEDICUS_IDLE_MS", ON(SERVE), OPTION_UINT, AT(idle_ms), 60000, 100,
        3600000, NULL, "time an idle connection is kept (default 60000)"},
    {"cursor-seconds", 0, "S", "MEDICUS_CURSOR_SECONDS", ON(SERVE) | ON(MCP), OPTION_UINT,
        AT(cursor_seconds), 900, 0, 86400, NULL,
        "time a replaced index stays open for those who page through it (default 900)"},
    {"cache-bytes", 0, "N", "MEDICUS_CACHE_BYTES", ON(SERVE), OPTION_UINT, AT(cache_bytes),
        32 * MED_MIB, 0, 64 * MED_GIB, NULL,
        "memory for answers that are asked for again (default 33554432; 0: none)"},
    {"request-bytes", 0, "N", "MEDICUS_REQUEST_BYTES", ON(SERVE), OPTION_UINT, AT(request_bytes),
        MED_REQUEST_BODY_BYTES_MAX, 1024, 64 * MED_MIB, NULL,
        "largest body of a request (default 1048576)"},
    {"admin-body-bytes", 0, "N", "MEDICUS_ADMIN_BODY_BYTES", ON(SERVE), OPTION_UINT,
        AT(admin_body_bytes), 256 * MED_MIB, 1024, 64 * MED_GIB, NULL,
        "largest upload of documents (default 268435456)"},
    {"job-memory", 0, "SIZE", "MEDICUS_JOB_MEMORY", ON(SERVE), OPTION_BYTES, AT(job_memory), 0, 0,
        0, NULL, "most memory of updates and rebuilds, such as 2G (default: 3/4 of what is free)"},
    {"snapshot-dir", 0, "FOLDER", "MEDICUS_SNAPSHOT_DIR", ON(SERVE), OPTION_TEXT, AT(snapshot_dir),
        0, 0, 0, NULL, "where POST /v1/admin/snapshot puts backups (default: refused)"},
};
/* clang-format on */
#define ROW_COUNT (sizeof rows / sizeof *rows)

static void *field(struct options *options, const struct option_row *row)
{
    return (char *)options + row->offset;
}

static enum med_code set_number(
    struct options *options, const struct option_row *row, const char *value, struct med_err *err)
{
    unsigned long long whole;
    double real;
    struct med_str text = med_str_of(value);
    bool ok =
        row->kind == OPTION_UINT ? med_str_to_u64(text, &whole) : med_str_to_double(text, &real);
    if (ok && row->kind == OPTION_UINT) real = (double)whole;
    if (!ok || real < row->min || real > row->max)
        return med_fail(err, MED_E_USAGE, "--%s takes a %snumber from %.0f to %.0f, not \"%.60s\"",
            row->name, row->kind == OPTION_UINT ? "whole " : "", row->min, row->max, value);
    if (row->kind == OPTION_UINT) {
        uint64_t *p = field(options, row);
        *p = whole;
    } else {
        double *p = field(options, row);
        *p = real;
    }
    return MED_OK;
}

static enum med_code set_bytes(
    struct options *options, const struct option_row *row, const char *value, struct med_err *err)
{
    unsigned long long bytes;
    uint64_t *p = field(options, row);
    if (!med_str_to_bytes(med_str_of(value), &bytes))
        return med_fail(err, MED_E_USAGE, "--%s takes a size such as 1500M or 2G, not \"%.60s\"",
            row->name, value);
    *p = bytes;
    return MED_OK;
}

static bool is_true(const char *value)
{
    struct med_str text = med_str_of(value);
    return text.len && !med_str_eq(text, MED_STR("0")) &&
           !med_str_eq_nocase(text, MED_STR("false")) && !med_str_eq_nocase(text, MED_STR("no"));
}

static enum med_code set_value(
    struct options *options, const struct option_row *row, const char *value, struct med_err *err)
{
    switch (row->kind) {
    case OPTION_FLAG: {
        bool *p = field(options, row);
        *p = !value || is_true(value);
        return MED_OK;
    }
    case OPTION_TEXT: {
        const char **p = field(options, row);
        *p = value;
        return MED_OK;
    }
    case OPTION_BYTES: return set_bytes(options, row, value, err);
    case OPTION_UINT:
    case OPTION_REAL: return set_number(options, row, value, err);
    case OPTION_PARAM:
        if (options->param_count == OPTION_PARAMS_MAX)
            return med_fail(err, MED_E_USAGE, "too many options");
        options->params[options->param_count++] =
            (struct option_param){.name = row->name, .value = value ? value : "true"};
        return MED_OK;
    }
    return med_fail(err, MED_E_INTERNAL, "an option of no kind");
}

/* --- layers: defaults, credentials, file, environment; flags come last --- */

enum { ORIGIN_DEFAULT = 0, ORIGIN_CREDENTIAL = -1, ORIGIN_ENV = -2, ORIGIN_FLAG = -3 };
_Static_assert(ROW_COUNT <= OPTION_ROWS_MAX, "room for the origin of every row");

static enum med_code set_from(struct options *options, const struct option_row *row,
    const char *value, int origin, struct med_err *err)
{
    enum med_code code = set_value(options, row, value, err);
    if (!code) options->origin[row - rows] = origin;
    return code;
}

static bool is_setting(const struct option_row *row)
{
    return row->env && row->offset != AT(config);
}

static void set_defaults(enum command_id command, struct options *options)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        const struct option_row *row = &rows[i];
        if (!(row->commands & 1u << command)) continue;
        if (row->kind == OPTION_UINT || row->kind == OPTION_BYTES) {
            uint64_t *p = field(options, row);
            *p = (uint64_t)row->number;
        } else if (row->kind == OPTION_REAL) {
            double *p = field(options, row);
            *p = row->number;
        } else if (row->kind == OPTION_TEXT) {
            const char **p = field(options, row);
            *p = row->text;
        }
    }
}

/* LoadCredential=tls-key:... of a systemd unit. */
static enum med_code set_credentials(
    enum command_id command, struct options *options, struct med_err *err)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    enum med_code code = MED_OK;
    for (size_t i = 0; folder && *folder && !code && i < ROW_COUNT; i++) {
        const struct option_row *row = &rows[i];
        if (!(row->commands & 1u << command)) continue;
        if (row->offset != AT(tls_cert) && row->offset != AT(tls_key)) continue;
        char *path = med_arena_printf(options->arena, "%s/%s", folder, row->name);
        if (!path) return med_fail(err, MED_E_NOMEM, "out of memory for the configuration");
        if (med_path_exists(path)) code = set_from(options, row, path, ORIGIN_CREDENTIAL, err);
    }
    return code;
}

static enum med_code set_environment(
    enum command_id command, struct options *options, struct med_err *err)
{
    enum med_code code = MED_OK;
    for (size_t i = 0; !code && i < ROW_COUNT; i++) {
        const struct option_row *row = &rows[i];
        if (!(row->commands & 1u << command)) continue;
        const char *value = row->env ? getenv(row->env) : NULL;
        if (!value || !*value) continue;
        code = set_from(options, row, value, ORIGIN_ENV, err);
        if (code) med_err_prefix(err, "environment variable %s", row->env);
    }
    return code;
}

static enum med_code unknown_setting(const char *name, struct med_err *err)
{
    const char *known[ROW_COUNT];
    size_t count = 0;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (is_setting(&rows[i])) known[count++] = rows[i].name;
    }
    const char *near = suggest_word(med_str_of(name), known, count);
    if (near)
        return med_fail(
            err, MED_E_USAGE, "unknown setting \"%.60s\"; did you mean \"%s\"?", name, near);
    return med_fail(err, MED_E_USAGE,
        "unknown setting \"%.60s\"; `medicus serve --print-config` lists all", name);
}

/* A word that is neither yes nor no is a mistake, and a flag may open a server. */
static bool is_bool(const char *value)
{
    static const char *const words[] = {"true", "false", "yes", "no", "1", "0"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (med_str_eq_nocase(med_str_of(value), med_str_of(words[i]))) return true;
    }
    return false;
}

/* Settings of other commands are left to these. */
static enum med_code set_entry(enum command_id command, struct options *options,
    const struct config_entry *entry, struct med_err *err)
{
    const struct option_row *found = NULL;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (!is_setting(&rows[i]) || strcmp(rows[i].name, entry->name) != 0) continue;
        if (!found || rows[i].commands & 1u << command) found = &rows[i];
    }
    if (!found) return unknown_setting(entry->name, err);
    if (!(found->commands & 1u << command) || !*entry->value) return MED_OK;
    if (found->kind == OPTION_FLAG && !is_bool(entry->value))
        return med_fail(
            err, MED_E_USAGE, "%s is true or false, not \"%.60s\"", entry->name, entry->value);
    return set_from(options, found, entry->value, (int)entry->line, err);
}

static enum med_code read_config(
    enum command_id command, const char *path, struct options *options, struct med_err *err)
{
    struct med_buf text;
    struct config config = {0};
    med_buf_init(&text, CONFIG_BYTES_MAX);
    enum med_code code = med_read_file(path, &text, err);
    if (!code) {
        code = config_parse(med_buf_str(&text), options->arena, &config, err);
        if (code) med_err_prefix(err, "%s", path);
    }
    med_buf_free(&text);
    for (size_t i = 0; !code && i < config.count; i++) {
        code = set_entry(command, options, &config.entries[i], err);
        if (code) med_err_prefix(err, "%s: line %u", path, config.entries[i].line);
    }
    if (!code) options->config_path = path;
    return code;
}

/* `given` by a flag, or NULL. */
static enum med_code set_file(
    enum command_id command, const char *given, struct options *options, struct med_err *err)
{
    const char *path = given ? given : getenv("MEDICUS_CONFIG");
    if (path) return *path ? read_config(command, path, options, err) : MED_OK;
    if (!med_path_exists(CONFIG_DEFAULT_PATH)) return MED_OK;
    enum med_code code = read_config(command, CONFIG_DEFAULT_PATH, options, err);
    /* The service's settings may be none of the business of someone who searches. */
    return code == MED_E_PERMISSION && command != COMMAND_SERVE ? MED_OK : code;
}

static enum med_code unknown_option(enum command_id command, const char *given, struct med_err *err)
{
    const char *known[ROW_COUNT];
    size_t count = 0;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (rows[i].commands & 1u << command) known[count++] = rows[i].name;
    }
    while (*given == '-') given++;
    const char *end = given;
    while (*end && *end != '=') end++;
    struct med_str name = {.ptr = given, .len = (size_t)(end - given)};
    const char *near = suggest_word(name, known, count);
    if (!near)
        return med_fail(err, MED_E_USAGE, "unknown option \"--" MED_STR_FMT "\"; see --help",
            MED_STR_ARG(name));
    return med_fail(err, MED_E_USAGE,
        "unknown option \"--" MED_STR_FMT "\"; did you mean \"--%s\"?", MED_STR_ARG(name), near);
}

/* The tables that getopt_long wants, for one command. */
struct getopt_tables {
    struct option longs[ROW_COUNT + 1];
    char letters[2 * ROW_COUNT + 3];
};

static void make_tables(enum command_id command, struct getopt_tables *t)
{
    size_t n = 0, l = 0;
    t->letters[l++] = ':'; /* a missing value is ':' and not '?' */
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (!(rows[i].commands & 1u << command)) continue;
        t->longs[n++] = (struct option){.name = rows[i].name,
            .has_arg = rows[i].value ? required_argument : no_argument,
            .val = 256 + (int)i};
        if (!rows[i].letter) continue;
        t->letters[l++] = rows[i].letter;
        if (rows[i].value) t->letters[l++] = ':';
    }
    t->longs[n] = (struct option){0};
    t->letters[l] = '\0';
}

static const struct option_row *row_of(enum command_id command, int c)
{
    if (c >= 256) return &rows[c - 256];
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (rows[i].letter == c && rows[i].commands & 1u << command) return &rows[i];
    }
    return NULL;
}

static enum med_code set_flags(
    enum command_id command, int argc, char **argv, struct options *options, struct med_err *err)
{
    struct getopt_tables tables;
    enum med_code code = MED_OK;
    make_tables(command, &tables);
    opterr = 0;
    optind = 0; /* begins anew, also after another pass */
    while (!code) {
        int before = optind ? optind : 1;
        int c = getopt_long(argc, argv, tables.letters, tables.longs, NULL);
        if (c == -1) break;
        if (c == ':') return med_fail(err, MED_E_USAGE, "%s needs a value", argv[optind - 1]);
        if (c == '?' && optopt >= 256)
            return med_fail(err, MED_E_USAGE, "--%s takes no value", rows[optopt - 256].name);
        if (c == '?')
            return unknown_option(command, argv[optind > before ? optind - 1 : before], err);
        const struct option_row *row = row_of(command, c);
        if (!row) return med_fail(err, MED_E_INTERNAL, "getopt_long returned %d", c);
        code = set_from(options, row, row->value ? optarg : NULL, ORIGIN_FLAG, err);
    }
    options->args = (const char *const *)argv + optind;
    options->arg_count = (unsigned)(argc - optind);
    return code;
}

static struct {
    enum command_id command;
    int argc;
    char **argv;
} parsed; /* for options_reparse */

enum med_code options_parse(enum command_id command, int argc, char **argv,
    struct options *ret_options, struct med_err *err)
{
    struct options flags = {0};
    struct options options = {.fusion_weight = -1, .authority_weight = -1};
    parsed.command = command;
    parsed.argc = argc;
    parsed.argv = argv;
    /* A first pass, because a flag names the file that lies below all flags. */
    enum med_code code = set_flags(command, argc, argv, &flags, err);
    if (code) return code;
    code = med_arena_new(8 * CONFIG_BYTES_MAX, &options.arena, err);
    if (code) return code;
    set_defaults(command, &options);
    code = set_credentials(command, &options, err);
    bool takes_file = false;
    for (size_t i = 0; i < ROW_COUNT; i++)
        takes_file |=
            rows[i].offset == AT(config) && rows[i].env && rows[i].commands >> command & 1;
    if (!code && takes_file && !flags.help) code = set_file(command, flags.config, &options, err);
    if (!code) code = set_environment(command, &options, err);
    if (!code) code = set_flags(command, argc, argv, &options, err);
    if (code) {
        options_free(&options);
        return code;
    }
    *ret_options = options;
    return MED_OK;
}

enum med_code options_reparse(struct options *ret_options, struct med_err *err)
{
    return options_parse(parsed.command, parsed.argc, parsed.argv, ret_options, err);
}

void options_free(struct options *options)
{
    if (options->arena) med_arena_free(&options->arena);
}

/* --- what a configuration file can say --- */

static bool reloads(const struct option_row *row)
{
    static const size_t offsets[] = {AT(log_level), AT(access_log), AT(allow_origin),
        AT(rate_limit), AT(open_metrics), AT(tls_cert), AT(tls_key), AT(audit_log),
        AT(audit_query_text)};
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        if (row->offset == offsets[i]) return true;
    }
    return false;
}

static void write_value(
    const struct options *options, const struct option_row *row, struct option_setting *s)
{
    const void *at = (const char *)options + row->offset;
    s->is_set = true;
    if (row->kind == OPTION_FLAG) {
        snprintf(s->value, sizeof s->value, "%s", *(const bool *)at ? "true" : "false");
    } else if (row->kind == OPTION_UINT || row->kind == OPTION_BYTES) {
        s->is_set = row->kind == OPTION_UINT || *(const uint64_t *)at;
        snprintf(s->value, sizeof s->value, "%llu", (unsigned long long)*(const uint64_t *)at);
    } else if (row->kind == OPTION_REAL) {
        s->is_set = *(const double *)at >= row->min; /* defaults outside of the range mean none */
        snprintf(s->value, sizeof s->value, "%.17g", *(const double *)at);
    } else {
        const char *text = *(const char *const *)at;
        s->is_set = text != NULL;
        snprintf(s->value, sizeof s->value, "%s", text ? text : "");
    }
}

bool options_setting(
    enum command_id command, const struct options *options, unsigned i, struct option_setting *ret)
{
    for (size_t k = 0; k < ROW_COUNT; k++) {
        const struct option_row *row = &rows[k];
        if (!(row->commands & 1u << command) || !is_setting(row) || i-- > 0) continue;
        int origin = options->origin[k];
        *ret = (struct option_setting){.name = row->name,
            .help = row->help,
            .value_name = row->value,
            .reloads = reloads(row),
            .is_default = origin == ORIGIN_DEFAULT};
        write_value(options, row, ret);
        if (origin > 0)
            snprintf(
                ret->origin, sizeof ret->origin, "%.100s, line %d", options->config_path, origin);
        else if (origin == ORIGIN_ENV)
            snprintf(ret->origin, sizeof ret->origin, "environment variable %s", row->env);
        else
            snprintf(ret->origin, sizeof ret->origin, "%s",
                origin == ORIGIN_FLAG         ? "flag"
                : origin == ORIGIN_CREDENTIAL ? "credential of the service manager"
                                              : "default");
        return true;
    }
    return false;
}

bool options_at(enum command_id command, unsigned i, struct option_info *ret_option)
{
    for (size_t k = 0; k < ROW_COUNT; k++) {
        const struct option_row *row = &rows[k];
        if (!(row->commands & 1u << command) || i-- > 0) continue;
        *ret_option = (struct option_info){.name = row->name,
            .letter = row->letter,
            .value = row->value,
            .env = row->env,
            .help = row->help};
        return true;
    }
    return false;
}

void options_help(enum command_id command, void (*line)(const char *left, const char *right))
{
    struct option_info option;
    for (unsigned i = 0; options_at(command, i, &option); i++) {
        char left[64], letter[8] = "    ";
        if (option.letter) snprintf(letter, sizeof letter, "-%c, ", option.letter);
        snprintf(left, sizeof left, "%s--%s%s%s", letter, option.name, option.value ? " " : "",
            option.value ? option.value : "");
        line(left, option.help);
    }
}

/* medicus: the command line. Finds the subcommand, parses its options, runs it, and turns its error
 * into a sentence on stderr and the exit status of common/err.h. */
#include "common/buf.h"
#include "common/limits.h"
#include "service/command.h"
#include "service/stop.h"
#include "service/suggest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* clang-format off */
static const struct command commands[] = {
    {"ingest", COMMAND_INGEST, "--data FOLDER PATH...",
        "read documents into the store",
        "Reads PubMed XML, JATS full text, guidelines (Markdown, HTML, text) and JSON Lines,\n"
        "plain, gzipped or in a tar archive, from files, folders or stdin (-). Formats are\n"
        "detected by content. What is counted as added or updated is on disk when the summary is\n"
        "printed. A malformed record is reported and skipped. PubMed's numbered files are taken\n"
        "in order, compared with their .md5 files where there are some, and passed over when\n"
        "they were ingested before. --watch stays, and ingests what arrives in the folders.\n",
        "  medicus ingest --data /var/lib/medicus pubmed24n0001.xml.gz guidelines/\n"
        "  medicus ingest --data ./data --watch --update --require-md5 /srv/updatefiles\n"
        "  zcat corpus.jsonl.gz | medicus ingest --data ./data -\n",
        cmd_ingest},
    {"build", COMMAND_BUILD, "--data FOLDER",
        "build the index from the store and publish it",
        "Analyses, trains (or keeps) the encoder, encodes, verifies, and publishes a new\n"
        "generation of one segment. What has not changed since the generation before is taken\n"
        "over as it is; --full makes everything anew, with the abbreviations that the texts\n"
        "define, --retrain the encoder too. A running server picks the generation up by itself.\n"
        "When anything fails the generation before it stays.\n",
        "  medicus build --data ./data\n"
        "  medicus build --data ./data --full\n"
        "  medicus build --data ./data --retrain --threads 8\n",
        cmd_build},
    {"update", COMMAND_UPDATE, "--data FOLDER",
        "make what changed since the last build or update searchable",
        "New, changed and deleted documents become a small segment and marks on the old ones, in\n"
        "seconds; nothing that did not change is analysed or encoded again. Searches answer as\n"
        "after a build with the same encoder. When nothing has changed nothing is published.\n"
        "Vocabularies wait for the next `medicus build`; `medicus info` tells when one pays.\n",
        "  medicus ingest --data ./data pubmed26n1600.xml.gz && medicus update --data ./data\n",
        cmd_update},
    {"serve", COMMAND_SERVE, "--data FOLDER [--listen HOST:PORT]",
        "answer searches over HTTP",
        "Serves the current generation, picks up newly published ones, and stops gracefully on\n"
        "SIGTERM or SIGINT. Where other machines can reach it, it needs keys (`medicus key`) or\n"
        "--allow-public.\n",
        "  medicus serve --data ./data --listen 127.0.0.1:8080\n"
        "  curl -H 'Accept: text/plain' 'http://127.0.0.1:8080/v1/search?q=beta+blockers'\n",
        cmd_serve},
    {"search", COMMAND_SEARCH, "--data FOLDER [options] QUERY",
        "search from the command line",
        "With --json it prints what GET /v1/search answers with response_format=detailed.\n",
        "  medicus search --data ./data 'metformin and vitamin B12 deficiency'\n"
        "  medicus search --data ./data --mode lexical --year 2018.. --json 'asthma reliever'\n",
        cmd_search},
    {"fetch", COMMAND_FETCH, "--data FOLDER [options] ID...",
        "print documents or passages",
        "An id is a document (pmid:123, pmcid:PMC123, guideline:name, doc:name), an alias of one\n"
        "(doi:10.1000/x), or a passage (pmid:123~0). With --json one id prints what\n"
        "GET /v1/documents/{id} answers, several print what POST /v1/fetch answers.\n",
        "  medicus fetch --data ./data pmid:990000101\n"
        "  medicus fetch --data ./data --json pmid:990000101~0 doi:10.5555/medicus.990000101\n",
        cmd_fetch},
    {"eval", COMMAND_EVAL, "--data FOLDER --queries FILE --qrels FILE",
        "measure retrieval quality against judgements",
        "nDCG, recall, MRR and MAP with trec_eval's rules, per mode, ranked to depth 1,000. The\n"
        "first mode is the baseline: the others are compared with it query by query, with a\n"
        "paired randomisation test.\n",
        "  medicus eval --data ./data --queries queries.jsonl --qrels test.tsv\n"
        "  medicus eval --data ./data --queries topics.txt --qrels qrels.txt --run-dir runs\n"
        "  medicus eval --data ./data --queries q.jsonl --qrels q.tsv --modes lexical,hybrid \\\n"
        "      --losers 10 --sweep fusion=0:1:0.1 --sweep authority=0:1:0.2 --html report.html\n"
        "  medicus eval --data ./data --queries q.jsonl --qrels q.tsv --evidence evidence.jsonl\n",
        cmd_eval},
    {"info", COMMAND_INFO, "--data FOLDER",
        "what is in the data folder", "",
        "  medicus info --data ./data\n", cmd_info},
    {"check", COMMAND_CHECK, "--data FOLDER",
        "verify every checksum and invariant",
        "Reads the whole store and the current generation; exit status 6 when anything is\n"
        "damaged.\n",
        "  medicus check --data ./data\n", cmd_check},
    {"purge", COMMAND_PURGE, "--data FOLDER [options] ID...",
        "remove documents for good",
        "From every version in the store, every segment and every generation; the docstore is\n"
        "written anew, so that free space holds nothing of them. Ids are blocked: the files they\n"
        "came from do not bring them back. Waits for readers of older generations. What was\n"
        "ingested but not indexed yet is indexed on the way. A purge that was stopped is\n"
        "completed by purging the same ids again. Backups are the operator's to remove.\n",
        "  medicus purge --data ./data pmid:990000804\n"
        "  medicus purge --data ./data --yes --from ids.txt\n"
        "  medicus purge --data ./data --allow pmid:990000804\n",
        cmd_purge},
    {"retractions", COMMAND_RETRACTIONS, "--data FOLDER add FILE | list | remove FILE",
        "the operator's list of retracted articles",
        "FILE (- for stdin) holds one PMID or DOI per line, or a table with a header such as\n"
        "Retraction Watch's (OriginalPaperPubMedID, OriginalPaperDOI, RetractionPubMedID,\n"
        "RetractionDOI, RetractionNature), plain or gzipped. The list is applied by the next\n"
        "`medicus update` or `medicus build`.\n",
        "  medicus retractions --data ./data add retraction_watch.csv\n"
        "  echo pmid:990000804 | medicus retractions --data ./data remove -\n"
        "  medicus retractions --data ./data list\n",
        cmd_retractions},
    {"similar", COMMAND_SIMILAR, "--data FOLDER [options] ID",
        "documents similar to one",
        "By its passages' vectors, and the words and MeSH headings that weigh most in it. With\n"
        "--json it prints what GET /v1/documents/{id}/similar answers with\n"
        "response_format=detailed.\n",
        "  medicus similar --data ./data pmid:990000101\n"
        "  medicus similar --data ./data --year 2015.. --limit 5 pmid:990000101\n",
        cmd_similar},
    {"terms", COMMAND_TERMS, "--data FOLDER TERM",
        "look a term up: descriptors and abbreviations",
        "Shows names, tree numbers and how many documents of the index have the descriptor.\n",
        "  medicus terms --data ./data 'heart attack'\n", cmd_terms},
    {"vocab", COMMAND_VOCAB, "--data FOLDER add FILE | list | remove NAME",
        "the operator's vocabularies (MeSH and others)",
        "FILE (- for stdin) is NLM's MeSH descriptor XML, or lines of id<TAB>name<TAB>a|b|c,\n"
        "plain or gzipped; a|b|c may hold tree numbers too. A file of the same name replaces the\n"
        "one before. Vocabularies are applied by the next `medicus build`.\n",
        "  medicus vocab --data ./data add desc2026.xml.gz\n"
        "  medicus vocab --data ./data list\n"
        "  medicus vocab --data ./data remove desc2026\n",
        cmd_vocab},
    {"mcp", COMMAND_MCP, "--data FOLDER",
        "answer an MCP client on stdin and stdout",
        "For clients that start their tool servers themselves. The tools are search, fetch,\n"
        "similar and terms; `medicus serve` has the same at /mcp. Ends when stdin ends.\n",
        "  {\"mcpServers\": {\"medicus\": {\"command\": \"medicus\",\n"
        "    \"args\": [\"mcp\", \"--data\", \"/var/lib/medicus\"]}}}\n",
        cmd_mcp},
    {"delete", COMMAND_DELETE, "--data FOLDER ID...",
        "take documents out of the store",
        "They stay findable until the next update or build, and older versions of them stay in\n"
        "the store. A newer version of a document, in an update file that is ingested later,\n"
        "brings it back.\n",
        "  medicus delete --data ./data pmid:990000101 guideline:asthma-2019\n",
        cmd_delete},
    {"jobs", COMMAND_JOBS, "--data FOLDER",
        "what a server was asked to do, and what runs now",
        "The jobs of /v1/admin/jobs, newest first, and a build that was started elsewhere.\n",
        "  medicus jobs --data ./data\n", cmd_jobs},
    {"backup", COMMAND_BACKUP, "--data FOLDER DEST",
        "copy the data folder while it is in use",
        "DEST is a new folder, a file that ends in .tar, or - for an archive on stdout. The copy\n"
        "has one state of the store, the current generation with all that it needs, the\n"
        "operator's lists and the API keys (stored as hashes; --without-keys leaves them out).\n"
        "An archive needs room for a copy of the store in the data folder meanwhile.\n",
        "  medicus backup --data ./data /backup/medicus-2026-01-31\n"
        "  medicus backup --data ./data - | ssh vault 'cat > medicus.tar'\n",
        cmd_backup},
    {"restore", COMMAND_RESTORE, "--data FOLDER SOURCE",
        "make a data folder of a backup",
        "FOLDER must be new or empty. Every file is compared with its checksum, then the whole\n"
        "is checked as `medicus check` does. Until that is done no command opens the folder;\n"
        "after an interruption, run the same again.\n",
        "  medicus restore --data ./data /backup/medicus-2026-01-31\n"
        "  ssh vault 'cat medicus.tar' | medicus restore --data ./data -\n",
        cmd_restore},
    {"generations", COMMAND_GENERATIONS,
        "--data FOLDER [list] | compare A B | activate N | prune [--keep N]",
        "list, compare, roll back and prune generations",
        "compare tells which documents differ and whether titles as queries are answered alike.\n"
        "activate verifies every file of a generation and serves it; a running server takes it up\n"
        "by itself. prune leaves out what is in use.\n",
        "  medicus generations --data ./data\n"
        "  medicus generations --data ./data compare 11 12 --ids\n"
        "  medicus generations --data ./data activate 11\n"
        "  medicus generations --data ./data prune --keep 2\n",
        cmd_generations},
    {"key", COMMAND_KEY, "--data FOLDER add NAME | list | rotate NAME | revoke NAME",
        "API keys of the server",
        "The secret is printed once and stored as a hash. As soon as there is a key, every\n"
        "request needs one; a running server notices within a second or two. rotate gives a key a\n"
        "new secret and ends the old one; to change over without a gap add a second key first.\n",
        "  medicus key --data ./data add agents --source pubmed,guideline --rate 20/s\n"
        "  medicus key --data ./data add ops --scope search,admin --expires 2027-12-31\n"
        "  medicus key --data ./data revoke agents\n",
        cmd_key},
    {"health", COMMAND_HEALTH, "[--listen HOST:PORT]",
        "ask a running server whether it is ready",
        "For HEALTHCHECK lines: exit status 0 when /readyz answers 200, 9 otherwise.\n",
        "  medicus health --listen 127.0.0.1:8080\n", cmd_health},
    {"completion", COMMAND_COMPLETION, "bash | zsh | fish",
        "print a shell's completion script", "",
        "  source <(medicus completion bash)\n"
        "  medicus completion fish > ~/.config/fish/completions/medicus.fish\n",
        cmd_completion},
    {"manual", COMMAND_MANUAL, "", "print the manual page", "", "  medicus manual | man -l -\n",
        cmd_manual},
    {"version", COMMAND_VERSION, "", "print the version", "", "  medicus version\n", cmd_version},
};
/* clang-format on */
#define COMMAND_ROWS (sizeof commands / sizeof *commands)

const struct command *command_at(size_t i)
{
    return i < COMMAND_ROWS ? &commands[i] : NULL;
}

const char *command_exit_statuses(void)
{
    return "0 ok, 2 usage, 3 invalid input, 4 not found, 5 no index, 6 damaged,\n"
           "7 no space, 8 I/O or permission, 9 busy or conflict, 10 memory or limit,\n"
           "11 kept back by the gate, 70 internal, 130 cancelled.\n";
}

static void help_line(const char *left, const char *right)
{
    printf("  %-28s  %s\n", left, right);
}

static void print_help(const struct command *c)
{
    printf("medicus %s: %s\n\nUsage: medicus %s %s\n", c->name, c->summary, c->name, c->usage);
    if (*c->details) printf("\n%s", c->details);
    printf("\nOptions (a flag wins over its environment variable):\n");
    options_help(c->id, help_line);
    printf("\nExamples:\n%s", c->examples);
    printf("\nExit status: %s", command_exit_statuses());
}

static void print_overview(FILE *out)
{
    fprintf(out,
        "medicus %s: a private medical retrieval engine\n\n"
        "Usage: medicus COMMAND [options]\n\nCommands:\n",
        MEDICUS_VERSION);
    for (size_t i = 0; i < COMMAND_ROWS; i++)
        fprintf(out, "  %-11s  %s\n", commands[i].name, commands[i].summary);
    fprintf(out, "\n`medicus COMMAND --help` tells more. A first index:\n"
                 "  medicus ingest --data ./data FILES...\n"
                 "  medicus build  --data ./data\n"
                 "  medicus serve  --data ./data\n");
}

static const struct command *find_command(const char *name, struct med_err *err)
{
    const char *names[COMMAND_ROWS];
    for (size_t i = 0; i < COMMAND_ROWS; i++) {
        if (strcmp(commands[i].name, name) == 0) return &commands[i];
        names[i] = commands[i].name;
    }
    const char *near = suggest_word(med_str_of(name), names, COMMAND_ROWS);
    if (near)
        (void)med_fail(
            err, MED_E_USAGE, "unknown command \"%.60s\"; did you mean \"%s\"?", name, near);
    else
        (void)med_fail(err, MED_E_USAGE, "unknown command \"%.60s\"; see `medicus --help`", name);
    return NULL;
}

enum med_code command_print(const struct med_buf *out, struct med_err *err)
{
    enum med_code code = med_buf_status(out, err);
    if (code) return code;
    size_t done = 0;
    while (done < out->len) {
        ssize_t n = write(STDOUT_FILENO, out->data + done, out->len - done);
        if (n > 0) {
            done += (size_t)n;
        } else if (n < 0 && errno == EPIPE) {
            return MED_OK;
        } else if (n < 0 && errno != EINTR) {
            return med_fail_errno(err, errno, "cannot write to stdout");
        }
    }
    return MED_OK;
}

enum med_code cmd_version(const struct options *options, struct med_err *err)
{
    struct med_buf out;
    med_buf_init(&out, MED_KIB);
    med_buf_printf(
        &out, options->json ? "{\"version\":\"%s\"}\n" : "medicus %s\n", MEDICUS_VERSION);
    enum med_code code = command_print(&out, err);
    med_buf_free(&out);
    return code;
}

int main(int argc, char **argv)
{
    stop_ignore_write_signals();
    if (argc < 2) {
        print_overview(stderr);
        return med_code_exit_status(MED_E_USAGE);
    }
    const char *first = argv[1];
    if (strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0 || strcmp(first, "help") == 0) {
        print_overview(stdout);
        return 0;
    }
    if (strcmp(first, "--version") == 0 || strcmp(first, "-V") == 0) argv[1] = "version";

    struct med_err err = {0};
    struct options options;
    enum med_code code = MED_E_USAGE;
    const struct command *command = find_command(argv[1], &err);
    if (command) code = options_parse(command->id, argc - 1, argv + 1, &options, &err);
    if (!code) {
        if (options.help)
            print_help(command);
        else
            code = command->run(&options, &err);
        options_free(&options);
    }
    if (code) fprintf(stderr, "medicus: %s\n", err.text[0] ? err.text : med_code_name(code));
    return med_code_exit_status(code);
}

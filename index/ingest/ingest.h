/* From bytes of any accepted format to documents in the store.
 *
 * Formats are detected by content, never by name: PubMed XML (PubmedArticleSet, MedlineCitationSet,
 * or PubmedArticle elements inside any root), JATS (<article>), guidelines as Markdown, HTML or
 * plain text, JSON Lines (BEIR's _id,title,text,metadata or the native form), each also gzipped,
 * and tar / tar.gz of those; from files, folders (walked in byte order of names) or stdin ("-"). A
 * malformed record is reported and skipped, never the file; a truncated file keeps what was
 * complete. */
#pragma once

#include "common/progress.h"
#include "index/document/document.h"

/* Parsers push documents into a sink. The document and its strings live until the call returns.
 * A non-OK return stops the parser and is passed up. */
struct med_doc_sink {
    enum med_code (*document)(void *ctx, const struct med_doc *doc, struct med_err *err);
    /* PubMed's DeleteCitation: ids that this file deletes. */
    enum med_code (*deletion)(
        void *ctx, struct med_str id, struct med_precedence precedence, struct med_err *err);
    /* A record was skipped: where (byte offset of the decompressed input and line) and why. */
    enum med_code (*skipped)(
        void *ctx, uint64_t offset, uint64_t line, const char *reason, struct med_err *err);
    void *ctx;
};

enum med_format {
    MED_FORMAT_UNKNOWN,
    MED_FORMAT_PUBMED_XML,
    MED_FORMAT_JATS,
    MED_FORMAT_JSONL,
    MED_FORMAT_MARKDOWN,
    MED_FORMAT_HTML,
    MED_FORMAT_TEXT
};
const char *med_format_name(enum med_format format);

/* What a parser reads from: decompressed bytes, bounded memory. read returns 0 at the end. */
struct med_input {
    enum med_code (*read)(void *ctx, void *ptr, size_t cap, size_t *ret_len, struct med_err *err);
    void *ctx;
    struct med_str name; /* file name, for ids of guidelines, sequence numbers and messages */
    uint64_t sequence; /* of an update file, from its name (pubmed24n1220 -> 2024 * 100000 + 1220),
                          else 0 */
};

/* Reads `in`, which is of that format (not MED_FORMAT_UNKNOWN), to its end, in the calling thread.
 * Each format is in a file of its own behind parser.h (pubmed.c, jats.c, jsonl.c, guideline.c). */
enum med_code med_parse(const struct med_input *in, enum med_format format,
    const struct med_doc_sink *sink, struct med_err *err) MED_CHECK;

/* Decides from the first bytes (decompressed, at least the first 64 KiB or all). */
enum med_format med_format_detect(const void *head, size_t len);

/* The driver. */
struct med_ingest_summary {
    uint64_t known_files; /* passed over: ingested before */
    uint64_t files, records, added, updated, unchanged, older, deleted, blocked, skipped,
        bytes_read;
};
enum med_ingest_known {     /* what to do with files that the input log has, by name and content */
    MED_KNOWN_SKIP_UPDATES, /* pass PubMed's numbered files over: reading them again changes nothing
                             */
    MED_KNOWN_SKIP,         /* pass all over */
    MED_KNOWN_AGAIN         /* read all again */
};
struct med_ingest_options {
    enum med_ingest_known known;
    bool require_md5; /* refuse files without a companion (md5.h), stdin excepted */
    struct med_str
        source_name; /* overrides the source label of JSON Lines and text; empty = by format */
    const struct med_progress *progress;
    /* Told each skipped record or unreadable file: may be NULL. */
    void (*problem)(
        void *ctx, const char *file, uint64_t offset, uint64_t line, const char *reason);
    void *problem_ctx;
};
struct med_store;
/* Files are taken in the order of the paths, PubMed's numbered files by their numbers. A file that
 * does not fit its .md5 companion (md5.h) is refused as a whole.
 *
 * Records are parsed and compressed by as many threads as there are processors (at most 8), in
 * bounded memory; the store is what one thread would have made. Commits durably per batch (bounded
 * records, bytes and time); everything counted in *ret_summary is on disk when it returns. An
 * unreadable path among several is reported as a problem, the rest goes on, and the code at the end
 * is MED_E_IO or MED_E_NOT_FOUND; a full disk stops at once. */
enum med_code med_ingest(struct med_store *store, const char *const *paths, size_t path_count,
    const struct med_ingest_options *options, struct med_ingest_summary *ret_summary,
    struct med_err *err) MED_CHECK;

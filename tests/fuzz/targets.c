#include "tests/fuzz/targets.h"

#include "common/json.h"
#include "common/limits.h"
#include "common/unicode.h"
#include "index/abbreviations.h"
#include "index/data_folder.h"
#include "index/document/text.h"
#include "index/ingest/input.h"
#include "index/ingest/json_doc.h"
#include "index/internal.h"
#include "index/overlay.h"
#include "index/store/record.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void fuzz_broken(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: broken: %s\n", file, line, what);
    abort();
}

/* Memory for one run, kept between runs. */
static struct med_arena *arena_get(void)
{
    static struct med_arena *arena;
    if (!arena) fuzz_require(med_arena_new(512 * MED_MIB, &arena, NULL) == MED_OK);
    med_arena_reset(arena);
    return arena;
}

/* ---- documents: what must hold of everything that a parser hands out ---- */

static void check_text(const struct med_doc *doc, struct med_arena *arena, bool valid_utf8)
{
    struct med_text *text;
    struct med_chunk *chunks;
    size_t count;
    struct med_err err;
    enum med_code code = med_text_make(doc, arena, &text, &err);
    fuzz_require(code != MED_E_INTERNAL);
    if (code != MED_OK) return;
    struct med_str t = text->bytes;
    if (valid_utf8) fuzz_require(med_utf8_valid(t.ptr, t.len));
    code = med_chunk_make(doc, text, arena, &chunks, &count, &err);
    fuzz_require(code != MED_E_INTERNAL);
    if (code != MED_OK) return;
    for (size_t i = 0; i < count; i++) {
        const struct med_chunk *c = &chunks[i];
        fuzz_require(c->number == i);
        fuzz_require(c->span.start < c->span.end && c->span.end <= t.len);
        fuzz_require(c->span.end - c->span.start <= MED_CHUNK_BYTES_MAX);
        struct med_str passage = med_str_sub(t, c->span.start, c->span.end);
        fuzz_require(med_word_count(passage) == c->word_count);
        fuzz_require(c->word_count <= MED_CHUNK_WORDS_MAX);
        if (valid_utf8) fuzz_require(med_utf8_valid(passage.ptr, passage.len));
        if (i > 0) fuzz_require(chunks[i - 1].span.start <= c->span.start);
    }
}

static void check_metadata(const struct med_doc *doc, struct med_arena *arena)
{
    struct med_str aliases[4];
    size_t alias_count = 0;
    if (med_doc_aliases(doc, arena, aliases, &alias_count, NULL) == MED_OK)
        fuzz_require(alias_count <= 4);
    (void)med_doc_flags(doc);
    fuzz_require(med_evidence_of(doc) < MED_EVIDENCE_COUNT);
}

struct found {
    struct fuzz_pool *pool; /* NULL: check; otherwise collect records */
    size_t doc_count;
};

static enum med_code on_document(void *ctx, const struct med_doc *doc, struct med_err *err)
{
    struct found *found = ctx;
    static struct med_arena *arena;
    (void)err;
    if (!arena) fuzz_require(med_arena_new(512 * MED_MIB, &arena, NULL) == MED_OK);
    med_arena_reset(arena);
    found->doc_count++;
    struct med_buf first, second;
    med_buf_init(&first, MED_DOC_ARENA_BYTES_MAX);
    med_buf_init(&second, MED_DOC_ARENA_BYTES_MAX);
    med_doc_encode(doc, &first);
    if (first.code == MED_OK && found->pool) {
        fuzz_pool_add(found->pool, first.data, first.len);
    } else if (first.code == MED_OK) {
        struct med_doc *back;
        fuzz_require(med_doc_decode(first.data, first.len, arena, &back, NULL) == MED_OK);
        med_doc_encode(back, &second);
        fuzz_require(med_str_eq(med_buf_str(&first), med_buf_str(&second)));
        fuzz_require(med_utf8_valid(doc->title.ptr, doc->title.len));
        check_text(doc, arena, true);
        check_metadata(doc, arena);
    }
    med_buf_free(&first);
    med_buf_free(&second);
    return MED_OK;
}

static enum med_code on_deletion(
    void *ctx, struct med_str id, struct med_precedence precedence, struct med_err *err)
{
    (void)ctx, (void)precedence, (void)err;
    fuzz_require(med_doc_id_check(id, NULL) == MED_OK);
    return MED_OK;
}

static enum med_code on_skipped(
    void *ctx, uint64_t offset, uint64_t line, const char *reason, struct med_err *err)
{
    (void)ctx, (void)offset, (void)line, (void)err;
    fuzz_require(reason && *reason);
    fuzz_require(med_utf8_valid(reason, strlen(reason)));
    return MED_OK;
}

/* ---- bytes as an input, in steps that depend on nothing but the length ---- */

struct bytes_input {
    struct med_str left;
    size_t step;
};

static enum med_code bytes_read(
    void *ctx, void *ptr, size_t cap, size_t *ret_len, struct med_err *err)
{
    (void)err;
    struct bytes_input *b = ctx;
    size_t len = b->left.len < cap ? b->left.len : cap;
    if (len > b->step) len = b->step;
    if (len > 0) memcpy(ptr, b->left.ptr, len);
    b->left = med_str_sub(b->left, len, b->left.len);
    *ret_len = len;
    return MED_OK;
}

static struct med_input input_of(struct bytes_input *b, struct med_str bytes)
{
    static const size_t steps[] = {SIZE_MAX, 1, 7, 4096};
    *b = (struct bytes_input){.left = bytes, .step = steps[bytes.len % 4]};
    return (struct med_input){
        .read = bytes_read, .ctx = b, .name = MED_STR("fuzz.input"), .sequence = 202401220};
}

static void parse(enum med_format format, struct med_str bytes, struct fuzz_pool *pool)
{
    struct found found = {.pool = pool};
    struct bytes_input b;
    struct med_input in = input_of(&b, bytes);
    const struct med_doc_sink sink = {on_document, on_deletion, on_skipped, &found};
    struct med_err err = {0};
    if (format == MED_FORMAT_UNKNOWN) return;
    enum med_code code = med_parse(&in, format, &sink, &err);
    fuzz_require(code != MED_E_INTERNAL && code != MED_E_CORRUPT);
    fuzz_require(code == MED_OK || err.text[0]);
}

static void run_pubmed(struct med_str bytes)
{
    parse(MED_FORMAT_PUBMED_XML, bytes, NULL);
}

static void run_jats(struct med_str bytes)
{
    parse(MED_FORMAT_JATS, bytes, NULL);
}

static void run_jsonl(struct med_str bytes)
{
    parse(MED_FORMAT_JSONL, bytes, NULL);
}

static void run_markdown(struct med_str bytes)
{
    parse(MED_FORMAT_MARKDOWN, bytes, NULL);
}

static void run_html(struct med_str bytes)
{
    parse(MED_FORMAT_HTML, bytes, NULL);
}

static void run_plain(struct med_str bytes)
{
    parse(MED_FORMAT_TEXT, bytes, NULL);
}

/* ---- gzip, tar, detection: as the driver does it, without a file ---- */

static enum med_code on_member(void *ctx, const struct med_input *in, struct med_err *err)
{
    char piece[512];
    size_t len;
    unsigned *members = ctx;
    ++*members;
    for (size_t i = 0; i < 4096; i++) {
        enum med_code code = in->read(in->ctx, piece, sizeof piece, &len, err);
        if (code != MED_OK || len == 0) return code;
    }
    return MED_OK;
}

static void run_stream(struct med_str bytes)
{
    struct bytes_input b;
    struct med_input raw = input_of(&b, bytes);
    struct med_stream *stream = NULL;
    struct med_str head;
    struct med_err err;
    if (med_stream_open(&raw, &stream, &err) != MED_OK) return;
    if (med_stream_head(stream, &head, &err) == MED_OK && head.len > 0) {
        enum med_format format = med_format_detect(head.ptr, head.len);
        fuzz_require(format <= MED_FORMAT_TEXT);
        struct med_input in = raw;
        in.read = med_stream_read;
        in.ctx = stream;
        unsigned members = 0;
        char problem[MED_TAR_PROBLEM_MAX] = "";
        enum med_code code = med_tar_detect(head)
                                 ? med_tar_each(&in, on_member, &members, problem, &err)
                                 : on_member(&members, &in, &err);
        fuzz_require(code != MED_E_INTERNAL);
    }
    med_stream_close(&stream);
}

/* ---- JSON ---- */

static void run_json(struct med_str bytes)
{
    struct med_err err = {0};
    struct med_json *root;
    enum med_code checked = med_json_check(bytes.ptr, bytes.len, MED_JSON_DEPTH_MAX, &err);
    fuzz_require(checked == MED_OK || err.text[0]);
    enum med_code code = med_json_parse(bytes.ptr, bytes.len, &root, &err);
    fuzz_require((code == MED_OK) == (checked == MED_OK));
    if (code == MED_OK) {
        const struct med_json *v = root;
        for (const struct med_json *c = med_json_first(v); c; c = med_json_next(c)) {
            struct med_str s = med_json_string(c);
            fuzz_require(med_utf8_valid(s.ptr, s.len));
        }
        med_json_free(&root);
    }
    struct med_buf scratch;
    struct med_doc *doc;
    med_buf_init(&scratch, MED_DOC_ARENA_BYTES_MAX);
    code = med_doc_from_json(bytes, arena_get(), &scratch, &doc, &err);
    if (code == MED_OK) fuzz_require(doc->id.len > 0);
    med_buf_free(&scratch);
}

/* ---- bytes of the store ---- */

static void run_record(struct med_str bytes)
{
    struct med_arena *arena = arena_get();
    struct med_doc *doc;
    struct med_err err = {0};
    enum med_code code = med_doc_decode(bytes.ptr, bytes.len, arena, &doc, &err);
    fuzz_require(code == MED_OK || code == MED_E_CORRUPT || code == MED_E_NOMEM ||
                 code == MED_E_UNSUPPORTED || code == MED_E_LIMIT);
    if (code == MED_OK) {
        check_text(doc, arena, false);
        check_metadata(doc, arena);
        struct med_buf again;
        med_buf_init(&again, MED_DOC_ARENA_BYTES_MAX);
        med_doc_encode(doc, &again);
        med_buf_free(&again);
    }
    struct med_head head;
    if (med_head_decode(bytes, &head)) fuzz_require(head.alias_count <= MED_HEAD_ALIASES_MAX);
    struct med_record record;
    if (med_record_decode(bytes, &record)) fuzz_require(record.payload.len <= bytes.len);
    struct med_store_state state;
    (void)!med_state_decode(bytes, &state, NULL);
    struct med_input_entry entry;
    if (med_input_decode(bytes, &entry)) fuzz_require(entry.name.len <= bytes.len);
    struct med_str id;
    uint32_t version;
    if (med_version_key_split(bytes, &id, &version)) fuzz_require(id.len < bytes.len);
}

static void seeds_record(struct fuzz_pool *pool, struct med_str source)
{
    if (source.len > 0) parse(med_format_detect(source.ptr, source.len), source, pool);
}

/* ---- manifests: with the checksum as it is, and with one that fits ---- */

static void run_manifest(struct med_str bytes)
{
    struct med_manifest *manifest;
    struct med_err err = {0};
    enum med_code code = med_manifest_parse(bytes, arena_get(), &manifest, &err);
    fuzz_require(code == MED_OK || err.text[0]);
    struct med_buf signed_text;
    char hex[MED_HASH_HEX_LEN + 1];
    med_buf_init(&signed_text, MANIFEST_BYTES_MAX);
    med_buf_append_str(&signed_text, bytes);
    med_buf_putc(&signed_text, '\n');
    med_hash128_hex(med_hash128(signed_text.data, signed_text.len), hex);
    med_buf_printf(&signed_text, "xxh3:%s\n", hex);
    struct med_arena *arena = arena_get();
    code = med_manifest_parse(med_buf_str(&signed_text), arena, &manifest, &err);
    fuzz_require(code != MED_E_INTERNAL);
    if (code == MED_OK) {
        struct med_buf again;
        struct med_manifest *back;
        med_buf_init(&again, 2 * MANIFEST_BYTES_MAX);
        code = med_manifest_write(manifest, &again, &err);
        if (code == MED_OK) {
            code = med_manifest_parse(med_buf_str(&again), arena, &back, &err);
            fuzz_require(code == MED_OK);
            fuzz_require(back->segment_count == manifest->segment_count);
            fuzz_require(back->number == manifest->number);
        }
        med_buf_free(&again);
    }
    med_buf_free(&signed_text);
}

static void seeds_manifest(struct fuzz_pool *pool, struct med_str source)
{
    if (source.len > 0) return;
    struct med_file_ref files[2] = {{.size = 17}, {.size = 4096}};
    snprintf(files[0].name, sizeof files[0].name, "documents");
    snprintf(files[1].name, sizeof files[1].name, "postings");
    struct med_segment_ref segment = {.files = files, .file_count = 2, .doc_count = 3};
    snprintf(segment.id, sizeof segment.id, "0123456789abcdef0123456789abcdef");
    struct med_manifest manifest = {.number = 7,
        .medicus_version = "0.1.0",
        .segments = &segment,
        .segment_count = 1,
        .encoder_files = files,
        .encoder_file_count = 1,
        .k1 = .9,
        .b = .4,
        .fusion_weight = .3,
        .recall_at_10 = .98,
        .reference_date = 20240101,
        .last_input = MED_STR("pubmed24n0001.xml.gz"),
        .notes = MED_STR("{\"seconds\":{\"total\":1.5},\"list\":[1,null,true]}")};
    snprintf(manifest.encoder_id, sizeof manifest.encoder_id, "fedcba9876543210");
    struct med_buf text;
    med_buf_init(&text, MED_MIB);
    if (med_manifest_write(&manifest, &text, NULL) == MED_OK) {
        fuzz_pool_add(pool, text.data, text.len);
        fuzz_pool_add(pool, text.data, text.len - 38); /* without its checksum line */
    }
    med_buf_free(&text);
}

/* ---- overlays: every accessor over whatever opens ---- */

static void run_overlay(struct med_str bytes)
{
    struct med_overlay overlay;
    struct med_err err = {0};
    enum med_code code = med_overlay_open(bytes.ptr, bytes.len, &overlay, &err);
    fuzz_require(code == MED_OK || code == MED_E_CORRUPT || code == MED_E_UNSUPPORTED);
    if (code != MED_OK) return;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < overlay.entry_count; i++) {
        const struct med_overlay_entry *entry = &overlay.entries[i];
        struct med_str id = med_overlay_id(&overlay, i);
        fuzz_require(med_overlay_find(&overlay, id) == entry);
        for (uint32_t k = 0; k < entry->link_count; k++) {
            struct med_link link = med_overlay_link_at(&overlay, entry, k);
            fuzz_require(link.kind < MED_LINK_COUNT);
            sum += med_hash64(link.target.ptr, link.target.len);
            sum += med_hash64(link.note.ptr, link.note.len);
        }
    }
    fuzz_require(sum != 1); /* so that the bytes are read */
}

static void seeds_overlay(struct fuzz_pool *pool, struct med_str source)
{
    if (source.len > 0) return;
    static const char heap[] = "pmid:1pmid:2note";
    struct med_overlay_header header = {
        .magic = MED_OVERLAY_MAGIC, .entry_count = 2, .link_count = 2, .heap_len = 16};
    const struct med_overlay_entry entries[2] = {
        {.id = 0, .id_len = 6, .flags = MED_FLAG_RETRACTED, .first_link = 0, .link_count = 1},
        {.id = 6,
            .id_len = 6,
            .flags = MED_FLAG_RETRACTION_NOTICE,
            .first_link = 1,
            .link_count = 1}};
    const struct med_overlay_link links[2] = {
        {.id = 6, .id_len = 6, .note = 12, .note_len = 4, .kind = MED_LINK_RETRACTION_IN},
        {.id = 0, .id_len = 6, .note = 12, .kind = MED_LINK_RETRACTION_OF}};
    struct med_buf bytes;
    med_buf_init(&bytes, MED_MIB);
    med_buf_append(&bytes, &header, sizeof header);
    med_buf_append(&bytes, entries, sizeof entries);
    med_buf_append(&bytes, links, sizeof links);
    med_buf_append(&bytes, heap, sizeof heap - 1);
    struct med_overlay overlay;
    fuzz_require(med_overlay_open(bytes.data, bytes.len, &overlay, NULL) == MED_OK);
    fuzz_pool_add(pool, bytes.data, bytes.len);
    med_buf_free(&bytes);
}

/* ---- queries: the first line is the query, the rest the passage ---- */

static void run_query(struct med_str bytes)
{
    static struct med_analyzer *analyzer;
    if (!analyzer) fuzz_require(med_analyzer_new(&analyzer, NULL) == MED_OK);
    const char *end = bytes.len ? memchr(bytes.ptr, '\n', bytes.len) : NULL;
    size_t cut = end ? (size_t)(end - bytes.ptr) : bytes.len;
    struct med_str text = med_str_sub(bytes, 0, cut);
    struct med_str passage = med_str_sub(bytes, end ? cut + 1 : cut, bytes.len);
    struct med_arena *arena = arena_get();
    struct med_err err = {0};

    const struct med_token *tokens;
    size_t token_count;
    if (med_analyze(analyzer, bytes, &tokens, &token_count, &err) == MED_OK) {
        for (size_t i = 0; i < token_count; i++) {
            fuzz_require(tokens[i].start < tokens[i].end && tokens[i].end <= bytes.len);
            fuzz_require(tokens[i].term.len >= 1 && tokens[i].term.len <= MED_TERM_BYTES_MAX);
            fuzz_require(med_utf8_valid(tokens[i].term.ptr, tokens[i].term.len));
        }
    }
    struct med_definition *definitions;
    size_t definition_count;
    if (med_utf8_valid(bytes.ptr, bytes.len) &&
        med_definitions_find(bytes, analyzer, arena, &definitions, &definition_count, &err) ==
            MED_OK) {
        for (size_t i = 0; i < definition_count; i++) {
            struct med_str found = definitions[i].long_form;
            fuzz_require(found.ptr >= bytes.ptr && found.len > 0);
            fuzz_require(found.ptr + found.len <= bytes.ptr + bytes.len);
        }
    }
    struct query query;
    enum med_code code = query_analyse(analyzer, text, arena, &query, &err);
    fuzz_require(code != MED_E_INTERNAL);
    if (code != MED_OK) return;
    for (size_t i = 0; i < query.term_count; i++) query.terms[i].idf = (float)(i % 5);
    if (!med_utf8_valid(passage.ptr, passage.len) || passage.len > MED_CHUNK_BYTES_MAX) return;
    struct med_str snippet;
    struct med_span *highlights;
    size_t highlight_count;
    const struct snippet_terms terms = snippet_terms_of(&query);
    code = snippet_make(
        analyzer, passage, &terms, arena, &snippet, &highlights, &highlight_count, &err);
    fuzz_require(code != MED_E_INTERNAL);
    if (code != MED_OK) return;
    fuzz_require(med_utf8_valid(snippet.ptr, snippet.len));
    size_t chars = 0;
    for (size_t pos = 0; pos < snippet.len; chars++) (void)med_utf8_next(snippet, &pos);
    fuzz_require(chars <= MED_SNIPPET_CHARS);
    for (size_t i = 0; i < highlight_count; i++) {
        fuzz_require(highlights[i].start < highlights[i].end);
        fuzz_require(highlights[i].end <= snippet.len);
    }
}

static void run_ids(struct med_str bytes)
{
    struct med_arena *arena = arena_get();
    struct med_str id;
    struct med_err err = {0};
    if (med_doc_id_normalize(bytes, arena, &id, &err) == MED_OK) {
        struct med_str again;
        fuzz_require(med_doc_id_normalize(id, arena, &again, &err) == MED_OK);
        fuzz_require(med_str_eq(id, again));
    }
    (void)!med_doc_id_check(bytes, &err);
    struct med_str family;
    uint32_t year, version;
    if (med_slug_family(bytes, arena, &family, &year, &version, &err) == MED_OK)
        fuzz_require(family.len <= bytes.len);
    struct med_date date;
    if (med_date_parse(bytes, &date)) fuzz_require(date.year > 0 && date.month <= 12);
    fuzz_require(med_month_parse(bytes) <= 12);
}

#define BIT(format) (1u << MED_FORMAT_##format)
const struct fuzz_target fuzz_targets[] = {
    {"json", BIT(JSONL), run_json, NULL},
    {"jsonl", BIT(JSONL), run_jsonl, NULL},
    {"pubmed", BIT(PUBMED_XML), run_pubmed, NULL},
    {"jats", BIT(JATS), run_jats, NULL},
    {"markdown", BIT(MARKDOWN), run_markdown, NULL},
    {"html", BIT(HTML), run_html, NULL},
    {"text", BIT(TEXT), run_plain, NULL},
    {"stream", ~0u, run_stream, NULL},
    {"record", ~0u, run_record, seeds_record},
    {"manifest", 0, run_manifest, seeds_manifest},
    {"overlay", 0, run_overlay, seeds_overlay},
    {"query", BIT(MARKDOWN) | BIT(TEXT), run_query, NULL},
    {"ids", 0, run_ids, NULL},
    {"keys", 0, fuzz_run_keys, fuzz_seeds_keys},
    {"config", 0, fuzz_run_config, fuzz_seeds_config},
};
const size_t fuzz_target_count = sizeof fuzz_targets / sizeof *fuzz_targets;

const struct fuzz_target *fuzz_target_find(const char *name)
{
    for (size_t i = 0; i < fuzz_target_count; i++) {
        if (strcmp(fuzz_targets[i].name, name) == 0) return &fuzz_targets[i];
    }
    return NULL;
}

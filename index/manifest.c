/* A manifest's text: JSON for people and other programs, closed by a line with the XXH3-128 of all
 * bytes before it.
 *
 *   {
 *     "format": 1, "generation": 17, ...
 *     "segments": [{"id": "...", "files": [{"name": "postings", "size": 1234, ...}], ...}]
 *   }
 *   xxh3:0123456789abcdef0123456789abcdef
 *
 * Members that this version does not know are ignored as long as the format is not newer. Names
 * become parts of paths, so they are checked letter by letter. */
#include "index/data_folder.h"

#include "common/json.h"

#include <math.h>
#include <stdio.h>

#define CHECKSUM_PREFIX "xxh3:"
#define CHECKSUM_LINE_LEN (sizeof CHECKSUM_PREFIX - 1 + MED_HASH_HEX_LEN + 1)
#define INTEGER_MAX (1ll << 53)                 /* whole numbers in JSON are exact up to here */
#define NESTING_MAX (MED_JSON_WRITER_DEPTH - 4) /* of calibration and notes */
#define SEGMENTS_MAX 4096u
#define FILES_MAX 256u

uint64_t med_manifest_chunk_count(const struct med_manifest *m)
{
    uint64_t count = 0;
    for (size_t i = 0; i < m->segment_count; i++)
        count += m->segments[i].chunk_count - m->segments[i].dead_chunk_count;
    return count;
}

double med_segment_unknown_rate(const struct med_segment_ref *s)
{
    return s->token_count ? (double)s->unknown_count / (double)s->token_count : 0;
}

double med_manifest_unknown_rate(const struct med_manifest *m)
{
    struct med_segment_ref all = {0};
    for (size_t i = 0; i < m->segment_count; i++) {
        all.token_count += m->segments[i].token_count;
        all.unknown_count += m->segments[i].unknown_count;
    }
    return med_segment_unknown_rate(&all);
}

/* --- names --- */

bool manifest_id_ok(const char *id)
{
    size_t len = strlen(id);
    if (len == 0 || len > MED_NAME_LEN) return false;
    for (const char *p = id; *p; p++) {
        bool ok = (*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') || *p == '-' || *p == '_';
        if (!ok) return false;
    }
    return true;
}

static bool file_name_ok(const char *name)
{
    if (name[0] == '\0' || name[0] == '.') return false;
    for (const char *p = name; *p; p++) {
        bool ok = (*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') ||
                  (*p >= 'A' && *p <= 'Z') || *p == '-' || *p == '_' || *p == '.';
        if (!ok) return false;
    }
    return true;
}

/* --- writing --- */

static enum med_code check_files(
    const struct med_file_ref *files, size_t count, const char *of, struct med_err *err)
{
    if (count > FILES_MAX) return med_fail(err, MED_E_LIMIT, "%s has %zu files", of, count);
    for (size_t i = 0; i < count; i++) {
        if (!memchr(files[i].name, '\0', sizeof files[i].name) || !file_name_ok(files[i].name)) {
            return med_fail(err, MED_E_INVALID, "a file of %s has an unusable name", of);
        }
        if (files[i].size > INTEGER_MAX)
            return med_fail(err, MED_E_LIMIT, "a file of %s is too large", of);
    }
    return MED_OK;
}

static enum med_code check_object(struct med_str json, const char *name, struct med_err *err)
{
    if (json.len == 0) return MED_OK;
    enum med_code code = med_json_check(json.ptr, json.len, NESTING_MAX, err);
    if (code == MED_OK && json.ptr[0] != '{') code = med_fail(err, MED_E_INVALID, "not an object");
    if (code != MED_OK) med_err_prefix(err, "the manifest's %s", name);
    return code;
}

static enum med_code check_manifest(const struct med_manifest *m, struct med_err *err)
{
    if (!isfinite(m->k1) || !isfinite(m->b) || !isfinite(m->fusion_weight) ||
        !isfinite(m->trained_unknown_rate) || !isfinite(m->recall_at_10)) {
        return med_fail(err, MED_E_INVALID, "a number of the manifest is not finite");
    }
    if (m->segment_count > SEGMENTS_MAX) {
        return med_fail(
            err, MED_E_LIMIT, "%zu segments are too many: merge them", m->segment_count);
    }
    enum med_code code = check_object(m->calibration, "calibration", err);
    if (code == MED_OK) code = check_object(m->notes, "notes", err);
    for (size_t i = 0; code == MED_OK && i < m->segment_count; i++) {
        if (!manifest_id_ok(m->segments[i].id))
            return med_fail(err, MED_E_INVALID, "a segment has an unusable id");
        code = check_files(m->segments[i].files, m->segments[i].file_count, "a segment", err);
    }
    if (code != MED_OK || !m->encoder_id[0]) return code;
    if (!manifest_id_ok(m->encoder_id))
        return med_fail(err, MED_E_INVALID, "the encoder has an unusable id");
    return check_files(m->encoder_files, m->encoder_file_count, "the encoder", err);
}

static void write_files(struct med_jw *w, const struct med_file_ref *files, size_t count)
{
    med_jw_key(w, "files");
    med_jw_array(w);
    for (size_t i = 0; i < count; i++) {
        char hex[MED_HASH_HEX_LEN + 1];
        med_hash128_hex(files[i].hash, hex);
        med_jw_object(w);
        med_jw_kcstr(w, "name", files[i].name);
        med_jw_kint(w, "size", (long long)files[i].size);
        med_jw_kcstr(w, "xxh3", hex);
        med_jw_object_end(w);
    }
    med_jw_array_end(w);
}

/* A file of the generation itself, where it has one. */
static void write_part(struct med_jw *w, const char *key, const struct med_file_ref *part)
{
    if (!part->name[0]) return;
    med_jw_key(w, key);
    med_jw_object(w);
    write_files(w, part, 1);
    med_jw_object_end(w);
}

static void write_segments(struct med_jw *w, const struct med_manifest *m)
{
    med_jw_key(w, "segments");
    med_jw_array(w);
    for (size_t i = 0; i < m->segment_count; i++) {
        const struct med_segment_ref *s = &m->segments[i];
        med_jw_object(w);
        med_jw_kcstr(w, "id", s->id);
        med_jw_kint(w, "doc_count", (long long)s->doc_count);
        med_jw_kint(w, "chunk_count", (long long)s->chunk_count);
        if (s->token_count) {
            med_jw_kint(w, "token_count", (long long)s->token_count);
            med_jw_kint(w, "unknown_count", (long long)s->unknown_count);
        }
        write_files(w, s->files, s->file_count);
        write_part(w, "patch", &s->patch);
        if (s->patch.name[0]) {
            med_jw_kint(w, "dead_doc_count", (long long)s->dead_doc_count);
            med_jw_kint(w, "dead_chunk_count", (long long)s->dead_chunk_count);
        }
        med_jw_object_end(w);
    }
    med_jw_array_end(w);
}

/* A version that knows no patches would bring dead documents back. */
static int format_of(const struct med_manifest *m)
{
    for (size_t i = 0; i < m->segment_count; i++) {
        if (m->segments[i].patch.name[0]) return MED_MANIFEST_VERSION;
    }
    return 1;
}

static void write_raw(struct med_jw *w, const char *key, struct med_str json)
{
    if (json.len == 0) return;
    med_jw_key(w, key);
    med_jw_raw(w, json);
}

static void write_body(struct med_jw *w, const struct med_manifest *m)
{
    med_jw_object(w);
    med_jw_kint(w, "format", format_of(m));
    med_jw_kint(w, "generation", (long long)m->number);
    med_jw_kint(w, "created_unix_s", m->created_unix_s);
    med_jw_kcstr(w, "medicus_version", m->medicus_version);
    med_jw_kint(w, "text_version", m->text_version);
    med_jw_kint(w, "chunker_version", m->chunker_version);
    med_jw_kint(w, "analyzer_version", m->analyzer_version);
    med_jw_kint(w, "store_txn_id", (long long)m->store_txn_id);
    med_jw_kint(w, "doc_count", (long long)m->doc_count);
    write_segments(w, m);
    if (m->encoder_id[0]) {
        med_jw_key(w, "encoder");
        med_jw_object(w);
        med_jw_kcstr(w, "id", m->encoder_id);
        write_files(w, m->encoder_files, m->encoder_file_count);
        med_jw_object_end(w);
    }
    write_part(w, "overlay", &m->overlay);
    write_part(w, "thesaurus", &m->thesaurus);
    med_jw_kint(w, "title_weight", m->title_weight);
    med_jw_kint(w, "mesh_weight", m->mesh_weight);
    med_jw_kdouble(w, "k1", m->k1);
    med_jw_kdouble(w, "b", m->b);
    med_jw_kdouble(w, "fusion_weight", m->fusion_weight);
    if (m->trained_doc_count) {
        med_jw_kint(w, "trained_doc_count", (long long)m->trained_doc_count);
        med_jw_kdouble(w, "trained_unknown_rate", m->trained_unknown_rate);
    }
    if (m->alone) med_jw_kbool(w, "alone", true);
    if (m->vocabulary.lo || m->vocabulary.hi) {
        char hex[MED_HASH_HEX_LEN + 1];
        med_hash128_hex(m->vocabulary, hex);
        med_jw_kstr(w, "vocabulary", med_str_of(hex));
    }
    med_jw_kdouble(w, "recall_at_10", m->recall_at_10);
    med_jw_kint(w, "reference_date", m->reference_date);
    med_jw_kstr(w, "last_input", m->last_input);
    if (m->last_update.len) med_jw_kstr(w, "last_update", m->last_update);
    write_raw(w, "calibration", m->calibration);
    write_raw(w, "notes", m->notes);
    med_jw_object_end(w);
}

enum med_code med_manifest_write(
    const struct med_manifest *manifest, struct med_buf *out, struct med_err *err)
{
    enum med_code code = check_manifest(manifest, err);
    if (code != MED_OK) return code;
    size_t start = out->len;
    struct med_jw w = med_jw_of(out, true);
    write_body(&w, manifest);
    med_buf_putc(out, '\n');
    code = med_buf_status(out, err);
    if (code != MED_OK) return code;
    char hex[MED_HASH_HEX_LEN + 1];
    med_hash128_hex(med_hash128(out->data + start, out->len - start), hex);
    med_buf_printf(out, CHECKSUM_PREFIX "%s\n", hex);
    return med_buf_status(out, err);
}

/* --- reading --- */

/* The first thing that is wrong sticks; later reads then do nothing. */
struct parse {
    struct med_arena *arena;
    enum med_code code;
    struct med_err *err;
};

static void wrong(struct parse *p, const char *key)
{
    if (p->code == MED_OK) {
        p->code =
            med_fail(p->err, MED_E_CORRUPT, "the manifest's \"%s\" is missing or not usable", key);
    }
}

static void no_memory(struct parse *p)
{
    if (p->code == MED_OK) p->code = med_fail(p->err, MED_E_NOMEM, "out of memory for a manifest");
}

static long long integer(
    struct parse *p, const struct med_json *o, const char *key, long long min, long long max)
{
    long long x = 0;
    if (!med_json_int(med_json_get(o, key), min, max, &x)) wrong(p, key);
    return x;
}

static double real(struct parse *p, const struct med_json *o, const char *key)
{
    const struct med_json *v = med_json_get(o, key);
    if (!v || med_json_type(v) != MED_JSON_NUMBER) wrong(p, key);
    return v ? med_json_number(v) : 0;
}

/* A string into an array of `cap` bytes with its NUL. */
static void text(
    struct parse *p, const struct med_json *o, const char *key, char *ret_text, size_t cap)
{
    struct med_str s = med_json_get_str(o, key);
    if (!s.ptr || s.len >= cap || memchr(s.ptr, '\0', s.len)) {
        wrong(p, key);
        return;
    }
    memcpy(ret_text, s.ptr, s.len);
    ret_text[s.len] = '\0';
}

static void *array(struct parse *p, const struct med_json *list, size_t max, size_t size,
    const char *key, size_t *ret_count)
{
    *ret_count = 0;
    if (!list || med_json_type(list) != MED_JSON_ARRAY || med_json_count(list) > max) {
        wrong(p, key);
        return NULL;
    }
    void *items = med_arena_calloc(p->arena, med_json_count(list), size);
    if (!items)
        no_memory(p);
    else
        *ret_count = med_json_count(list);
    return items;
}

static struct med_file_ref *parse_files(
    struct parse *p, const struct med_json *o, size_t *ret_count)
{
    const struct med_json *list = med_json_get(o, "files");
    struct med_file_ref *files = array(p, list, FILES_MAX, sizeof *files, "files", ret_count);
    const struct med_json *v = *ret_count ? med_json_first(list) : NULL;
    for (size_t i = 0; i < *ret_count && p->code == MED_OK; i++, v = med_json_next(v)) {
        text(p, v, "name", files[i].name, sizeof files[i].name);
        files[i].size = (uint64_t)integer(p, v, "size", 0, INTEGER_MAX);
        if (!med_hash128_from_hex(med_json_get_str(v, "xxh3"), &files[i].hash)) wrong(p, "xxh3");
        if (!file_name_ok(files[i].name)) wrong(p, "name");
    }
    return files;
}

static void parse_part(
    struct parse *p, const struct med_json *o, const char *key, struct med_file_ref *ret_part)
{
    const struct med_json *part = med_json_get(o, key);
    size_t count = 0;
    const struct med_file_ref *file = part ? parse_files(p, part, &count) : NULL;
    if (count == 1)
        *ret_part = *file;
    else if (part)
        wrong(p, key);
}

static void parse_segments(struct parse *p, const struct med_json *o, struct med_manifest *m)
{
    const struct med_json *list = med_json_get(o, "segments");
    m->segments = array(p, list, SEGMENTS_MAX, sizeof *m->segments, "segments", &m->segment_count);
    const struct med_json *v = m->segment_count ? med_json_first(list) : NULL;
    for (size_t i = 0; i < m->segment_count && p->code == MED_OK; i++, v = med_json_next(v)) {
        struct med_segment_ref *s = &m->segments[i];
        text(p, v, "id", s->id, sizeof s->id);
        s->doc_count = (uint64_t)integer(p, v, "doc_count", 0, INTEGER_MAX);
        s->chunk_count = (uint64_t)integer(p, v, "chunk_count", 0, INTEGER_MAX);
        if (med_json_get(v, "token_count")) {
            s->token_count = (uint64_t)integer(p, v, "token_count", 0, INTEGER_MAX);
            s->unknown_count = (uint64_t)integer(p, v, "unknown_count", 0, INTEGER_MAX);
        }
        s->files = parse_files(p, v, &s->file_count);
        if (!manifest_id_ok(s->id)) wrong(p, "id");
        parse_part(p, v, "patch", &s->patch);
        if (!s->patch.name[0] || p->code != MED_OK) continue;
        s->dead_doc_count = (uint64_t)integer(p, v, "dead_doc_count", 0, INTEGER_MAX);
        s->dead_chunk_count = (uint64_t)integer(p, v, "dead_chunk_count", 0, INTEGER_MAX);
        if (s->dead_doc_count > s->doc_count) wrong(p, "dead_doc_count");
        if (s->dead_chunk_count > s->chunk_count) wrong(p, "dead_chunk_count");
    }
}

static void write_scalar(struct med_jw *w, const struct med_json *v)
{
    switch (med_json_type(v)) {
    case MED_JSON_BOOL: med_jw_bool(w, med_json_bool(v)); break;
    case MED_JSON_NUMBER: med_jw_double(w, med_json_number(v)); break;
    case MED_JSON_STRING: med_jw_str(w, med_json_string(v)); break;
    case MED_JSON_NULL:
    case MED_JSON_ARRAY:
    case MED_JSON_OBJECT: med_jw_null(w); break;
    }
}

/* Writes a parsed object back as text, with a stack of its own; false = nested too deeply. */
static bool write_tree(struct med_jw *w, const struct med_json *root)
{
    const struct med_json *stack[NESTING_MAX + 1]; /* containers that are open */
    const struct med_json *v = root;
    size_t depth = 0;
    for (;;) {
        if (depth > 0 && med_json_type(stack[depth - 1]) == MED_JSON_OBJECT)
            med_jw_key(w, med_json_key(v));
        enum med_json_type type = med_json_type(v);
        bool container = type == MED_JSON_OBJECT || type == MED_JSON_ARRAY;
        const struct med_json *next = NULL;
        if (container) {
            if (depth == NESTING_MAX) return false;
            if (type == MED_JSON_OBJECT)
                med_jw_object(w);
            else
                med_jw_array(w);
            stack[depth++] = v;
            next = med_json_first(v);
        } else {
            write_scalar(w, v);
            next = med_json_next(v);
        }
        while (!next && depth > 0) { /* close what ends here */
            v = stack[--depth];
            if (med_json_type(v) == MED_JSON_OBJECT)
                med_jw_object_end(w);
            else
                med_jw_array_end(w);
            next = depth > 0 ? med_json_next(v) : NULL;
        }
        if (!next) return true;
        v = next;
    }
}

/* An optional object, kept as text. */
static struct med_str parse_object(struct parse *p, const struct med_json *o, const char *key)
{
    const struct med_json *v = med_json_get(o, key);
    struct med_str kept = {0};
    if (!v || p->code != MED_OK) return kept;
    if (med_json_type(v) != MED_JSON_OBJECT) {
        wrong(p, key);
        return kept;
    }
    struct med_buf buf;
    med_buf_init(&buf, MANIFEST_BYTES_MAX);
    struct med_jw w = med_jw_of(&buf, false);
    if (!write_tree(&w, v))
        wrong(p, key);
    else if (buf.code != MED_OK || !med_arena_str(p->arena, med_buf_str(&buf), &kept))
        no_memory(p);
    med_buf_free(&buf);
    return kept;
}

static void parse_body(struct parse *p, const struct med_json *o, struct med_manifest *m)
{
    m->number = (uint64_t)integer(p, o, "generation", 1, INTEGER_MAX);
    m->created_unix_s = integer(p, o, "created_unix_s", -INTEGER_MAX, INTEGER_MAX);
    text(p, o, "medicus_version", m->medicus_version, sizeof m->medicus_version);
    m->text_version = (uint32_t)integer(p, o, "text_version", 0, UINT32_MAX);
    m->chunker_version = (uint32_t)integer(p, o, "chunker_version", 0, UINT32_MAX);
    m->analyzer_version = (uint32_t)integer(p, o, "analyzer_version", 0, UINT32_MAX);
    m->store_txn_id = (uint64_t)integer(p, o, "store_txn_id", 0, INTEGER_MAX);
    m->doc_count = (uint64_t)integer(p, o, "doc_count", 0, INTEGER_MAX);
    parse_segments(p, o, m);
    const struct med_json *encoder = med_json_get(o, "encoder");
    if (encoder) {
        text(p, encoder, "id", m->encoder_id, sizeof m->encoder_id);
        m->encoder_files = parse_files(p, encoder, &m->encoder_file_count);
        if (!manifest_id_ok(m->encoder_id)) wrong(p, "encoder");
    }
    parse_part(p, o, "overlay", &m->overlay);
    parse_part(p, o, "thesaurus", &m->thesaurus);
    m->title_weight = (uint32_t)integer(p, o, "title_weight", 0, UINT32_MAX);
    m->mesh_weight = (uint32_t)integer(p, o, "mesh_weight", 0, UINT32_MAX);
    m->k1 = real(p, o, "k1");
    m->b = real(p, o, "b");
    m->fusion_weight = real(p, o, "fusion_weight");
    if (med_json_get(o, "trained_doc_count")) {
        m->trained_doc_count = (uint64_t)integer(p, o, "trained_doc_count", 0, INTEGER_MAX);
        m->trained_unknown_rate = real(p, o, "trained_unknown_rate");
    }
    m->alone = med_json_get(o, "alone") && med_json_bool(med_json_get(o, "alone"));
    if (med_json_get(o, "vocabulary") &&
        !med_hash128_from_hex(med_json_get_str(o, "vocabulary"), &m->vocabulary))
        wrong(p, "vocabulary");
    m->recall_at_10 = real(p, o, "recall_at_10");
    m->reference_date = (int32_t)integer(p, o, "reference_date", 0, 99991231);
    if (!med_arena_str(p->arena, med_json_get_str(o, "last_input"), &m->last_input)) no_memory(p);
    if (!med_arena_str(p->arena, med_json_get_str(o, "last_update"), &m->last_update)) no_memory(p);
    m->calibration = parse_object(p, o, "calibration");
    m->notes = parse_object(p, o, "notes");
}

/* Cuts the checksum line off. */
static enum med_code check_sum(struct med_str text, struct med_str *ret_json, struct med_err *err)
{
    struct med_hash128 stated;
    if (text.len > CHECKSUM_LINE_LEN && text.ptr[text.len - 1] == '\n') {
        struct med_str json = med_str_sub(text, 0, text.len - CHECKSUM_LINE_LEN);
        struct med_str line = med_str_sub(text, json.len, text.len - 1);
        struct med_str prefix = MED_STR(CHECKSUM_PREFIX);
        if (json.ptr[json.len - 1] == '\n' && med_str_starts(line, prefix) &&
            med_hash128_from_hex(med_str_sub(line, prefix.len, line.len), &stated) &&
            med_hash128_eq(stated, med_hash128(json.ptr, json.len))) {
            *ret_json = json;
            return MED_OK;
        }
    }
    return med_fail(err, MED_E_CORRUPT, "a manifest fails its checksum or is cut off");
}

enum med_code med_manifest_parse(struct med_str text, struct med_arena *arena,
    struct med_manifest **ret_manifest, struct med_err *err)
{
    struct med_str json = {0};
    struct med_json *root;
    enum med_code code = check_sum(text, &json, err);
    if (code != MED_OK) return code;
    struct med_manifest *m = med_arena_calloc(arena, 1, sizeof *m);
    if (!m) return med_fail(err, MED_E_NOMEM, "out of memory for a manifest");
    code = med_json_parse(json.ptr, json.len, &root, err);
    if (code == MED_E_INVALID) code = med_fail(err, MED_E_CORRUPT, "a manifest is not valid JSON");
    if (code != MED_OK) return code;
    struct parse p = {.arena = arena, .err = err};
    long long format = integer(&p, root, "format", 1, INTEGER_MAX);
    if (p.code == MED_OK && format > MED_MANIFEST_VERSION) {
        p.code = med_fail(err, MED_E_UNSUPPORTED,
            "a manifest has format %lld, this version of medicus knows %d: use a newer one", format,
            MED_MANIFEST_VERSION);
    }
    if (p.code == MED_OK) parse_body(&p, root, m);
    med_json_free(&root);
    if (p.code == MED_OK) *ret_manifest = m;
    return p.code;
}

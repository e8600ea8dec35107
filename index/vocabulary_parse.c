/* MeSH descriptor XML and tab-separated lines to entries. */
#include "index/vocabulary_parse.h"

#include "common/mem.h"
#include "index/ingest/clean.h"
#include "index/ingest/xml.h"

#include <stdlib.h>

#define SCRATCH_BYTES_MAX (16 * MED_MIB)
#define ID_BYTES_MAX 64u
#define TREE_BYTES_MAX 64u

static enum med_code out_of_memory(struct med_err *err)
{
    return med_fail(err, MED_E_NOMEM, "out of memory while reading a vocabulary");
}

void vocabulary_init(struct vocabulary_reader *r, struct med_arena *arena)
{
    *r = (struct vocabulary_reader){.arena = arena};
    med_buf_init(&r->scratch, SCRATCH_BYTES_MAX);
}

void vocabulary_free(struct vocabulary_reader *r)
{
    for (size_t i = 0; i < r->count; i++) {
        med_free(r->records[i].entry.synonyms);
        med_free(r->records[i].entry.trees);
    }
    med_free(r->records);
    med_buf_free(&r->scratch);
    r->records = NULL;
    r->count = 0;
}

/* --- one record --- */

static enum med_code open_record(
    struct vocabulary_reader *r, struct vocabulary_record **ret_record, struct med_err *err)
{
    if (!med_grow(&r->records, &r->cap, r->count + 1, sizeof *r->records))
        return out_of_memory(err);
    r->records[r->count] = (struct vocabulary_record){.order = r->count};
    *ret_record = &r->records[r->count++];
    return MED_OK;
}

static void drop_record(struct vocabulary_reader *r, uint64_t line)
{
    struct vocabulary_record *last = &r->records[--r->count];
    med_free(last->entry.synonyms);
    med_free(last->entry.trees);
    r->skipped++;
    if (!r->first_skipped) r->first_skipped = line;
}

/* "C14.280.647" */
static bool is_tree_number(struct med_str s)
{
    bool digits = s.len >= 3 && s.len <= TREE_BYTES_MAX && s.ptr[0] >= 'A' && s.ptr[0] <= 'Z';
    for (size_t i = 1; digits && i < s.len; i++) {
        bool digit = s.ptr[i] >= '0' && s.ptr[i] <= '9';
        bool dot = s.ptr[i] == '.' && i >= 3 && i + 1 < s.len && s.ptr[i - 1] != '.';
        digits = digit || dot;
    }
    return digits;
}

/* Adds a synonym or a tree number; what cannot be used is left out. */
static enum med_code add_word(struct vocabulary_reader *r, struct vocabulary_record *record,
    struct med_str raw, struct med_err *err)
{
    struct med_str word;
    struct med_vocabulary_entry *e = &record->entry;
    enum med_code code = med_clean_line(raw, r->arena, &r->scratch, &word, err);
    if (code || word.len == 0 || word.len > MED_VOCABULARY_TERM_BYTES_MAX) return code;
    if (memchr(word.ptr, '|', word.len) || memchr(word.ptr, '\t', word.len)) return MED_OK;
    bool tree = is_tree_number(word);
    struct med_str **list = tree ? &e->trees : &e->synonyms;
    size_t *count = tree ? &e->tree_count : &e->synonym_count;
    if (!med_grow(list, tree ? &record->tree_cap : &record->synonym_cap, *count + 1, sizeof **list))
        return out_of_memory(err);
    (*list)[(*count)++] = word;
    return MED_OK;
}

static enum med_code set_text(struct vocabulary_reader *r, struct med_str raw, size_t bytes_max,
    struct med_str *ret_text, struct med_err *err)
{
    struct med_str text;
    enum med_code code = med_clean_line(raw, r->arena, &r->scratch, &text, err);
    if (code) return code;
    bool usable =
        text.len <= bytes_max &&
        !(text.len && (memchr(text.ptr, '|', text.len) || memchr(text.ptr, '\t', text.len)));
    *ret_text = usable ? text : (struct med_str){0};
    return MED_OK;
}

/* --- lines --- */

static size_t split(struct med_str line, char separator, struct med_str *ret_parts, size_t max)
{
    size_t count = 0;
    for (size_t start = 0; count < max; count++) {
        const char *end =
            start < line.len ? memchr(line.ptr + start, separator, line.len - start) : NULL;
        size_t stop = end ? (size_t)(end - line.ptr) : line.len;
        ret_parts[count] = med_str_trim(med_str_sub(line, start, stop));
        if (!end) return count + 1;
        start = stop + 1;
    }
    return count;
}

static enum med_code add_words(struct vocabulary_reader *r, struct vocabulary_record *record,
    struct med_str list, struct med_err *err)
{
    enum med_code code = MED_OK;
    for (size_t start = 0; !code && start < list.len;) {
        const char *end = memchr(list.ptr + start, '|', list.len - start);
        size_t stop = end ? (size_t)(end - list.ptr) : list.len;
        code = add_word(r, record, med_str_sub(list, start, stop), err);
        start = stop + 1;
    }
    return code;
}

static bool is_header(const struct med_str *cells, size_t count)
{
    static const char *const names[] = {"name", "label", "mesh_name", "term", "preferred_term"};
    for (size_t i = 0; count >= 2 && i < sizeof names / sizeof *names; i++) {
        if (med_str_eq_nocase(cells[1], med_str_of(names[i]))) return true;
    }
    return false;
}

enum med_code vocabulary_lines(
    struct vocabulary_reader *r, struct med_str text, struct med_err *err)
{
    uint64_t number = 0;
    enum med_code code = MED_OK;
    for (size_t start = 0; !code && start < text.len;) {
        const char *end = memchr(text.ptr + start, '\n', text.len - start);
        size_t stop = end ? (size_t)(end - text.ptr) : text.len;
        struct med_str line = med_str_sub(text, start, stop), cells[4];
        struct vocabulary_record *record = NULL;
        start = stop + 1;
        number++;
        if (med_str_trim(line).len == 0 || line.ptr[0] == '#') continue;
        size_t count = split(line, '\t', cells, 4);
        if (number == 1 && is_header(cells, count)) continue;
        code = open_record(r, &record, err);
        if (!code) code = set_text(r, cells[0], ID_BYTES_MAX, &record->entry.id, err);
        if (!code && count > 1)
            code = set_text(r, cells[1], MED_VOCABULARY_TERM_BYTES_MAX, &record->entry.name, err);
        for (size_t i = 2; !code && i < count; i++) code = add_words(r, record, cells[i], err);
        if (!code && (!record->entry.id.len || !record->entry.name.len)) drop_record(r, number);
    }
    return code;
}

/* --- XML --- */

enum element { EL_OTHER, EL_RECORD, EL_UI, EL_NAME, EL_STRING, EL_TERM, EL_TREE };

static const struct {
    const char *name;
    enum element element;
} elements[] = {{"DescriptorRecord", EL_RECORD}, {"DescriptorUI", EL_UI},
    {"DescriptorName", EL_NAME}, {"String", EL_STRING}, {"Term", EL_TERM}, {"TreeNumber", EL_TREE}};

struct xml_state {
    struct vocabulary_reader *reader;
    struct med_xml *xml;
    struct vocabulary_record *record;
    unsigned char stack[MED_XML_DEPTH_MAX + 1];
    size_t depth;
    bool permuted; /* the open term is a permutation of another */
    struct med_buf text;
};

static enum element above(const struct xml_state *x, size_t levels)
{
    return x->depth > levels ? (enum element)x->stack[x->depth - 1 - levels] : EL_OTHER;
}

static enum med_code on_start(void *ctx, const struct med_xml_element *e, struct med_err *err)
{
    struct xml_state *x = ctx;
    enum element element = EL_OTHER;
    for (size_t i = 0; i < sizeof elements / sizeof *elements; i++) {
        if (med_str_eq(e->name, med_str_of(elements[i].name))) element = elements[i].element;
    }
    if (x->depth >= sizeof x->stack) return med_fail(err, MED_E_LIMIT, "nested too deeply");
    x->stack[x->depth++] = (unsigned char)element;
    if (element == EL_TERM)
        x->permuted = med_str_eq(med_xml_attr(e, "IsPermutedTermYN"), MED_STR("Y"));
    med_buf_reset(&x->text);
    return MED_OK;
}

static enum med_code on_text(void *ctx, struct med_str text, struct med_err *err)
{
    struct xml_state *x = ctx;
    med_buf_append_str(&x->text, text);
    return med_buf_status(&x->text, err);
}

static enum med_code on_end(void *ctx, struct med_str name, struct med_err *err)
{
    struct xml_state *x = ctx;
    struct med_str text = med_buf_str(&x->text);
    struct med_vocabulary_entry *entry = &x->record->entry;
    enum med_code code = MED_OK;
    (void)name;
    enum element element = above(x, 0), parent = above(x, 1);
    if (element == EL_UI && parent == EL_RECORD)
        code = set_text(x->reader, text, ID_BYTES_MAX, &entry->id, err);
    else if (element == EL_STRING && parent == EL_NAME && above(x, 2) == EL_RECORD)
        code = set_text(x->reader, text, MED_VOCABULARY_TERM_BYTES_MAX, &entry->name, err);
    else if ((element == EL_STRING && parent == EL_TERM && !x->permuted) || element == EL_TREE)
        code = add_word(x->reader, x->record, text, err);
    if (x->depth) x->depth--;
    med_buf_reset(&x->text);
    return code;
}

static enum med_code on_record(
    void *ctx, const struct med_source_record *record, struct med_err *err)
{
    struct xml_state *x = ctx;
    enum med_code code = open_record(x->reader, &x->record, err);
    if (code) return code;
    x->depth = 0;
    code = med_xml_parse(x->xml, record->bytes, err);
    bool broken = code == MED_E_INVALID || code == MED_E_LIMIT;
    if (broken || (!code && (!x->record->entry.id.len || !x->record->entry.name.len))) {
        drop_record(x->reader, record->line);
        code = MED_OK;
    }
    return code;
}

static enum med_code on_skipped(
    void *ctx, uint64_t offset, uint64_t line, const char *reason, struct med_err *err)
{
    struct xml_state *x = ctx;
    (void)offset;
    (void)reason;
    (void)err;
    x->reader->skipped++;
    if (!x->reader->first_skipped) x->reader->first_skipped = line;
    return MED_OK;
}

enum med_code vocabulary_xml(
    struct vocabulary_reader *reader, const struct med_input *in, struct med_err *err)
{
    static const struct med_xml_record_kind kinds[] = {{"DescriptorRecord", false}};
    struct xml_state x = {.reader = reader};
    struct med_xml_handler handler = {.start = on_start, .end = on_end, .text = on_text, .ctx = &x};
    struct med_record_sink records = {.record = on_record, .skipped = on_skipped, .ctx = &x};
    med_buf_init(&x.text, SCRATCH_BYTES_MAX);
    enum med_code code = med_xml_new(&handler, &x.xml, err);
    if (!code) code = med_xml_records(in, kinds, 1, &records, err);
    if (x.xml) med_xml_free(&x.xml);
    med_buf_free(&x.text);
    return code;
}

/* --- joining --- */

static int by_id(const void *a, const void *b)
{
    const struct vocabulary_record *x = a, *y = b;
    int order = med_str_cmp(x->entry.id, y->entry.id);
    return order ? order : x->order < y->order ? -1 : x->order > y->order;
}

static int by_bytes(const void *a, const void *b)
{
    const struct med_str *x = a, *y = b;
    return med_str_cmp(*x, *y);
}

static size_t sort_distinct(struct med_str *list, size_t count)
{
    size_t kept = 0;
    if (count) qsort(list, count, sizeof *list, by_bytes);
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || !med_str_eq(list[i], list[kept - 1])) list[kept++] = list[i];
    }
    return kept;
}

static enum med_code join(struct vocabulary_reader *r, const struct vocabulary_record *records,
    size_t count, struct med_vocabulary_entry *ret_entry, struct med_err *err)
{
    struct med_vocabulary_entry e = {.id = records[0].entry.id, .name = records[0].entry.name};
    size_t synonyms = count, trees = 0;
    for (size_t i = 0; i < count; i++) {
        synonyms += records[i].entry.synonym_count;
        trees += records[i].entry.tree_count;
    }
    e.synonyms = med_arena_calloc(r->arena, synonyms + 1, sizeof *e.synonyms);
    e.trees = med_arena_calloc(r->arena, trees + 1, sizeof *e.trees);
    if (!e.synonyms || !e.trees) return out_of_memory(err);
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        const struct med_vocabulary_entry *from = &records[i].entry;
        if (i) e.synonyms[n++] = from->name;
        for (size_t k = 0; k < from->synonym_count; k++) e.synonyms[n++] = from->synonyms[k];
        for (size_t k = 0; k < from->tree_count; k++) e.trees[e.tree_count++] = from->trees[k];
    }
    e.tree_count = sort_distinct(e.trees, e.tree_count);
    n = sort_distinct(e.synonyms, n);
    for (size_t i = 0; i < n; i++) {
        if (!med_str_eq(e.synonyms[i], e.name)) e.synonyms[e.synonym_count++] = e.synonyms[i];
    }
    *ret_entry = e;
    return MED_OK;
}

enum med_code vocabulary_finish(
    struct vocabulary_reader *r, struct med_vocabulary *ret_vocabulary, struct med_err *err)
{
    struct med_vocabulary v = {
        .entries = med_arena_calloc(r->arena, r->count + 1, sizeof *v.entries)};
    if (!v.entries) return out_of_memory(err);
    if (r->count) qsort(r->records, r->count, sizeof *r->records, by_id);
    for (size_t begin = 0, end; begin < r->count; begin = end) {
        for (end = begin + 1; end < r->count; end++) {
            if (!med_str_eq(r->records[end].entry.id, r->records[begin].entry.id)) break;
        }
        enum med_code code = join(r, &r->records[begin], end - begin, &v.entries[v.count++], err);
        if (code) return code;
    }
    *ret_vocabulary = v;
    return MED_OK;
}

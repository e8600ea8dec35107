/* The operator's list of retractions: import, storage. See retractions.h. */
#include "index/retractions.h"

#include "common/limits.h"
#include "common/mem.h"
#include "index/data_folder.h"

#include <stdlib.h>
#include <unistd.h>

#define LIST_BYTES_MAX (256 * MED_MIB)
#define LIST_HEADER "# medicus retractions 1: kind, paper, notice\n"
#define CELLS_MAX 256u

struct list {
    struct med_arena *arena;
    struct med_retraction *items;
    size_t count, cap;
};

static enum med_code out_of_memory(struct med_err *err)
{
    return med_fail(err, MED_E_NOMEM, "out of memory for the list of retractions");
}

static int compare(const void *a, const void *b)
{
    const struct med_retraction *x = a, *y = b;
    int order = (x->kind > y->kind) - (x->kind < y->kind);
    if (order == 0) order = med_str_cmp(x->paper, y->paper);
    return order ? order : med_str_cmp(x->notice, y->notice);
}

static enum med_code push(struct list *list, struct med_retraction item, struct med_err *err)
{
    if (!med_grow(&list->items, &list->cap, list->count + 1, sizeof item))
        return out_of_memory(err);
    list->items[list->count++] = item;
    return MED_OK;
}

/* --- ids --- */

/* "123", "pmid:123", "10.1000/x", "https://doi.org/10.1000/x" -> an alias; empty for what is none
 * ("0" and "unavailable" stand for nothing in Retraction Watch's table). */
static struct med_str alias_of(struct med_str cell, struct med_arena *arena)
{
    struct med_str none = {0}, id;
    cell = med_str_trim(cell);
    unsigned long long number;
    if (med_str_to_u64(cell, &number)) {
        char *pmid = number ? med_arena_printf(arena, "pmid:%llu", number) : NULL;
        return med_str_of(pmid);
    }
    if (med_str_starts(cell, MED_STR("10."))) {
        char *doi = med_arena_printf(arena, "doi:" MED_STR_FMT, MED_STR_ARG(cell));
        if (!doi) return none;
        cell = med_str_of(doi);
    }
    if (med_doc_id_normalize(cell, arena, &id, NULL)) return none;
    bool usable = med_str_starts(id, MED_STR("pmid:")) || med_str_starts(id, MED_STR("pmcid:")) ||
                  med_str_starts(id, MED_STR("doi:10."));
    return usable ? id : none;
}

static bool kind_of_nature(struct med_str nature, enum med_link_kind *ret_kind)
{
    static const struct {
        const char *nature;
        enum med_link_kind kind;
    } natures[] = {{"Retraction", MED_LINK_RETRACTION_IN}, {"", MED_LINK_RETRACTION_IN},
        {"Expression of concern", MED_LINK_CONCERN_IN}, {"Correction", MED_LINK_ERRATUM_IN}};
    nature = med_str_trim(nature);
    for (size_t i = 0; i < sizeof natures / sizeof *natures; i++) {
        if (!med_str_eq_nocase(nature, med_str_of(natures[i].nature))) continue;
        *ret_kind = natures[i].kind;
        return true;
    }
    return false;
}

/* --- lines and tables --- */

/* The cells of the record at *at (quotes may hold separators and line ends); moves *at behind it.
 * Quotes inside a quoted cell stay doubled: ids have none. */
static size_t next_record(
    struct med_str text, char separator, size_t *at, struct med_str cells[CELLS_MAX], size_t *line)
{
    size_t count = 0, i = *at;
    for (;;) {
        bool quoted = i < text.len && text.ptr[i] == '"';
        size_t start = quoted ? ++i : i, end;
        while (i < text.len) {
            char c = text.ptr[i];
            if (quoted && c == '"') {
                if (i + 1 >= text.len || text.ptr[i + 1] != '"') break;
                i++;
            } else if (!quoted && (c == separator || c == '\n')) {
                break;
            }
            *line += c == '\n';
            i++;
        }
        end = i;
        while (i < text.len && text.ptr[i] != separator && text.ptr[i] != '\n') i++;
        if (count < CELLS_MAX) cells[count++] = med_str_sub(text, start, end);
        if (i < text.len && text.ptr[i] == separator) {
            i++;
            continue;
        }
        *line += i < text.len;
        *at = i < text.len ? i + 1 : i;
        return count;
    }
}

struct columns {
    int paper_pmid, paper_doi, notice_pmid, notice_doi, nature;
};

static bool read_header(const struct med_str *cells, size_t count, struct columns *ret_columns)
{
    static const struct {
        const char *name;
        size_t offset;
    } names[] = {{"OriginalPaperPubMedID", offsetof(struct columns, paper_pmid)},
        {"OriginalPaperDOI", offsetof(struct columns, paper_doi)},
        {"RetractionPubMedID", offsetof(struct columns, notice_pmid)},
        {"RetractionDOI", offsetof(struct columns, notice_doi)},
        {"RetractionNature", offsetof(struct columns, nature)},
        {"pmid", offsetof(struct columns, paper_pmid)},
        {"pubmed_id", offsetof(struct columns, paper_pmid)},
        {"doi", offsetof(struct columns, paper_doi)},
        {"notice_pmid", offsetof(struct columns, notice_pmid)},
        {"notice_doi", offsetof(struct columns, notice_doi)},
        {"kind", offsetof(struct columns, nature)}};
    *ret_columns = (struct columns){-1, -1, -1, -1, -1};
    for (size_t i = 0; i < count; i++) {
        struct med_str cell = med_str_trim(cells[i]);
        if (i == 0 && med_str_starts(cell, MED_STR("\xEF\xBB\xBF")))
            cell = med_str_sub(cell, 3, cell.len);
        for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
            if (!med_str_eq_nocase(cell, med_str_of(names[k].name))) continue;
            memcpy((char *)ret_columns + names[k].offset, &(int){(int)i}, sizeof(int));
        }
    }
    return ret_columns->paper_pmid >= 0 || ret_columns->paper_doi >= 0;
}

static struct med_str cell_alias(
    const struct med_str *cells, size_t count, int column, struct med_arena *arena)
{
    if (column < 0 || (size_t)column >= count) return (struct med_str){0};
    return alias_of(cells[column], arena);
}

/* One record; *ret_used is false when it names nothing that can be used. */
static enum med_code take_record(struct list *list, const struct med_str *cells, size_t count,
    const struct columns *c, bool *ret_used, struct med_err *err)
{
    struct med_retraction item = {.kind = MED_LINK_RETRACTION_IN};
    struct med_str nature =
        c->nature >= 0 && (size_t)c->nature < count ? cells[c->nature] : (struct med_str){0};
    *ret_used = false;
    if (!kind_of_nature(nature, &item.kind)) return MED_OK;
    item.notice = cell_alias(cells, count, c->notice_pmid, list->arena);
    if (!item.notice.len) item.notice = cell_alias(cells, count, c->notice_doi, list->arena);
    struct med_str papers[] = {cell_alias(cells, count, c->paper_pmid, list->arena),
        cell_alias(cells, count, c->paper_doi, list->arena)};
    enum med_code code = MED_OK;
    for (size_t i = 0; !code && i < 2; i++) {
        if (papers[i].len == 0 || med_str_eq(papers[i], item.notice)) continue;
        item.paper = papers[i];
        *ret_used = true;
        code = push(list, item, err);
    }
    return code;
}

/* A text for import: a table when its first line is a header with a column we know. */
static enum med_code parse_import(struct list *list, struct med_str text,
    struct med_retractions_report *report, struct med_err *err)
{
    struct med_str *cells = med_arena_calloc(list->arena, CELLS_MAX, sizeof *cells);
    if (!cells) return out_of_memory(err);
    struct columns columns;
    size_t at = 0, line = 1;
    const char *end = text.len ? memchr(text.ptr, '\n', text.len) : NULL;
    size_t head_len = end ? (size_t)(end - text.ptr) : text.len;
    char separator = text.len && memchr(text.ptr, '\t', head_len) ? '\t' : ',';
    size_t count = next_record(text, separator, &at, cells, &line);
    if (!read_header(cells, count, &columns)) {
        columns = (struct columns){0, -1, 1, -1, -1}; /* plain lines: paper, notice */
        at = 0;
        line = 1;
    }
    enum med_code code = MED_OK;
    while (!code && at < text.len) {
        size_t start = line;
        bool used;
        count = next_record(text, separator, &at, cells, &line);
        struct med_str first = med_str_trim(cells[0]);
        if (count == 1 && (first.len == 0 || first.ptr[0] == '#')) continue;
        code = take_record(list, cells, count, &columns, &used, err);
        if (code || used) continue;
        report->skipped++;
        if (!report->first_skipped) report->first_skipped = start;
    }
    if (!code && list->count == 0)
        code = med_fail(err, MED_E_INVALID,
            "no line holds a PMID or DOI; lines of PMIDs or DOIs are read, and tables with a "
            "header "
            "such as OriginalPaperPubMedID,OriginalPaperDOI");
    return code;
}

/* --- the stored list --- */

static bool parse_stored_line(
    struct med_str line, struct med_arena *arena, struct med_retraction *ret_item)
{
    struct med_str fields[3];
    size_t count = 0;
    for (size_t start = 0; count < 3 && start <= line.len; count++) {
        const char *tab =
            start < line.len ? memchr(line.ptr + start, '\t', line.len - start) : NULL;
        size_t end = tab ? (size_t)(tab - line.ptr) : line.len;
        fields[count] = med_str_sub(line, start, end);
        start = end + 1;
    }
    if (count < 2) return false;
    struct med_retraction item = {.kind = MED_LINK_OTHER};
    const enum med_link_kind kinds[] = {
        MED_LINK_RETRACTION_IN, MED_LINK_CONCERN_IN, MED_LINK_ERRATUM_IN};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (med_str_eq(fields[0], med_str_of(med_link_kind_name(kinds[i])))) item.kind = kinds[i];
    }
    item.paper = alias_of(fields[1], arena);
    if (count == 3 && fields[2].len) {
        item.notice = alias_of(fields[2], arena);
        if (!item.notice.len) return false;
    }
    *ret_item = item;
    return item.kind != MED_LINK_OTHER && item.paper.len > 0;
}

static enum med_code parse_stored(struct list *list, struct med_str text, struct med_err *err)
{
    size_t number = 0;
    enum med_code code = MED_OK;
    for (size_t start = 0; !code && start < text.len;) {
        const char *end = memchr(text.ptr + start, '\n', text.len - start);
        size_t stop = end ? (size_t)(end - text.ptr) : text.len;
        struct med_str line = med_str_sub(text, start, stop);
        struct med_retraction item;
        start = stop + 1;
        number++;
        if (line.len == 0 || line.ptr[0] == '#') continue;
        if (!parse_stored_line(line, list->arena, &item))
            return med_fail(err, MED_E_CORRUPT,
                "line %zu of the list of retractions is not usable; correct the file or remove it "
                "and add the list again",
                number);
        code = push(list, item, err);
    }
    return code;
}

static enum med_code load(const struct med_data *data, struct list *list, struct med_err *err)
{
    char path[MED_PATH_MAX];
    struct med_buf buf;
    struct med_str text;
    enum med_code code = data_path(data, MED_RETRACTIONS_FILE, NULL, NULL, path, err);
    if (code || !med_path_exists(path)) return code;
    med_buf_init(&buf, LIST_BYTES_MAX);
    code = med_read_file(path, &buf, err);
    if (!code && !med_arena_str(list->arena, med_buf_str(&buf), &text)) code = out_of_memory(err);
    med_buf_free(&buf);
    return code ? code : parse_stored(list, text, err);
}

static void sort_unique(struct list *list)
{
    if (list->count == 0) return;
    qsort(list->items, list->count, sizeof *list->items, compare);
    size_t kept = 1;
    for (size_t i = 1; i < list->count; i++) {
        if (compare(&list->items[i], &list->items[kept - 1]) != 0)
            list->items[kept++] = list->items[i];
    }
    list->count = kept;
}

enum med_code med_retractions_load(const struct med_data *data, struct med_arena *arena,
    struct med_retraction_list *ret_list, struct med_err *err)
{
    struct list list = {.arena = arena};
    enum med_code code = load(data, &list, err);
    sort_unique(&list);
    struct med_retraction *items = NULL;
    if (!code && list.count) {
        items = med_arena_calloc(arena, list.count, sizeof *items);
        if (!items)
            code = out_of_memory(err);
        else
            memcpy(items, list.items, list.count * sizeof *items);
    }
    if (!code) *ret_list = (struct med_retraction_list){.items = items, .count = list.count};
    med_free(list.items);
    return code;
}

static enum med_code save(struct med_data *data, const struct list *list, struct med_err *err)
{
    char path[MED_PATH_MAX];
    struct med_buf buf;
    med_buf_init(&buf, LIST_BYTES_MAX);
    med_buf_puts(&buf, LIST_HEADER);
    for (size_t i = 0; i < list->count; i++) {
        const struct med_retraction *r = &list->items[i];
        med_buf_printf(&buf, "%s\t" MED_STR_FMT "\t" MED_STR_FMT "\n", med_link_kind_name(r->kind),
            MED_STR_ARG(r->paper), MED_STR_ARG(r->notice));
    }
    enum med_code code = med_buf_status(&buf, err);
    if (!code) code = data_path(data, MED_RETRACTIONS_FILE, NULL, NULL, path, err);
    if (!code) code = med_fs_replace(data->fs, path, buf.data, buf.len, err);
    med_buf_free(&buf);
    return code;
}

/* --- changing --- */

static int compare_papers(const void *a, const void *b)
{
    const struct med_retraction *x = a, *y = b;
    return med_str_cmp(x->paper, y->paper);
}

static void add_all(struct list *stored, const struct list *given, size_t before,
    struct med_retractions_report *report)
{
    sort_unique(stored);
    report->added = stored->count - before;
    report->known = given->count > report->added ? given->count - report->added : 0;
}

/* Keeps what `given` does not name; given is sorted by paper. */
static void remove_all(
    struct list *stored, struct list *given, struct med_retractions_report *report)
{
    size_t kept = 0, before = stored->count;
    if (before == 0) {
        report->known = given->count;
        return;
    }
    qsort(given->items, given->count, sizeof *given->items, compare_papers);
    qsort(stored->items, before, sizeof *stored->items, compare_papers);
    for (size_t i = 0; i < given->count; i++)
        report->known +=
            !bsearch(&given->items[i], stored->items, before, sizeof *given->items, compare_papers);
    for (size_t i = 0; i < before; i++) {
        if (!bsearch(&stored->items[i], given->items, given->count, sizeof *given->items,
                compare_papers))
            stored->items[kept++] = stored->items[i];
        else
            report->removed++;
    }
    stored->count = kept;
    sort_unique(stored);
}

static enum med_code change(struct med_data *data, struct med_str text, bool add,
    struct med_retractions_report *ret_report, struct med_err *err)
{
    struct med_retractions_report report = {0};
    struct list stored = {0}, given = {0};
    struct med_arena *arena;
    char lock[MED_PATH_MAX];
    int fd = -1;
    enum med_code code = med_arena_new(4 * LIST_BYTES_MAX, &arena, err);
    if (code) return code;
    stored.arena = given.arena = arena;
    code = parse_import(&given, text, &report, err);
    sort_unique(&given);
    if (!code) code = data_path(data, MED_RETRACTIONS_FILE ".lock", NULL, NULL, lock, err);
    if (!code) code = lock_file(lock, true, &fd, err);
    if (!code) code = load(data, &stored, err);
    sort_unique(&stored);
    size_t before = stored.count;
    for (size_t i = 0; !code && add && i < given.count; i++)
        code = push(&stored, given.items[i], err);
    if (!code && add) add_all(&stored, &given, before, &report);
    if (!code && !add) remove_all(&stored, &given, &report);
    if (!code && stored.count != before) code = save(data, &stored, err);
    if (fd >= 0) close(fd);
    report.total = stored.count;
    med_free(stored.items);
    med_free(given.items);
    med_arena_free(&arena);
    if (!code) *ret_report = report;
    return code;
}

enum med_code med_retractions_add(struct med_data *data, struct med_str text,
    struct med_retractions_report *ret_report, struct med_err *err)
{
    return change(data, text, true, ret_report, err);
}

enum med_code med_retractions_remove(struct med_data *data, struct med_str text,
    struct med_retractions_report *ret_report, struct med_err *err)
{
    return change(data, text, false, ret_report, err);
}

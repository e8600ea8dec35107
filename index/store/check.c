/* Reads the whole store and compares every table with every other. */
#include "index/store/snapshot.h"

#include <stdarg.h>
#include <stdio.h>

struct check {
    struct med_snapshot *snapshot;
    struct med_arena *arena;
    const struct med_progress *progress;
    uint64_t problems;
    struct med_err first; /* the first problem's sentence */
    uint64_t live, aliases;
    uint64_t heads_done;
};

static void problem(struct check *c, const char *fmt, ...) MED_PRINTF(2, 3);
static void problem(struct check *c, const char *fmt, ...)
{
    char text[MED_ERR_TEXT_MAX];
    va_list args;
    if (c->problems++ > 0) return;
    va_start(args, fmt);
    int len = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    enum med_code code = med_fail(&c->first, MED_E_CORRUPT, "%s", len < 0 ? "" : text);
    (void)code;
}

/* True when (alias, id) is in the table. */
static enum med_code has_alias_entry(
    struct check *c, struct med_str alias, struct med_str id, bool *ret_has, struct med_err *err)
{
    struct med_cursor *cursor;
    struct med_str key = alias, value;
    enum med_code code = med_cursor_open(c->snapshot->txn, TABLE_ALIASES, &cursor, err);
    if (code != MED_OK) return code;
    *ret_has = false;
    code = med_cursor_move(cursor, MED_MOVE_EXACT, &key, &value, err);
    while (code == MED_OK && !*ret_has) {
        *ret_has = med_str_eq(value, id);
        code = med_cursor_move(cursor, MED_MOVE_NEXT_DUPLICATE, &key, &value, err);
    }
    med_cursor_close(&cursor);
    return code == MED_E_NOT_FOUND ? MED_OK : code;
}

/* The head's aliases are the document's own, and all are in the table. */
static enum med_code check_aliases(struct check *c, struct med_str id, const struct med_head *head,
    const struct med_doc *doc, struct med_err *err)
{
    struct med_str names[MED_HEAD_ALIASES_MAX];
    size_t count, expected = 0;
    enum med_code code = med_head_names(doc, c->arena, names, &count, err);
    if (code != MED_OK) return code;
    for (size_t i = 0; i < count; i++) {
        bool again =
            med_str_eq(names[i], id) || names[i].len == 0 || names[i].len > MED_ID_BYTES_MAX;
        for (size_t k = 0; k < i; k++) again |= med_str_eq(names[i], names[k]);
        if (again) continue;
        bool found = false;
        for (size_t k = 0; k < head->alias_count; k++)
            found |= med_str_eq(head->aliases[k], names[i]);
        /* Heads that were written before addresses had names lack that one. */
        if (!found && med_str_starts(names[i], MED_STR("url:"))) continue;
        expected++;
        if (!found) problem(c, MED_STR_FMT ": the head lacks an alias", MED_STR_ARG(id));
    }
    if (expected != head->alias_count)
        problem(c, MED_STR_FMT ": the head has other aliases", MED_STR_ARG(id));
    for (size_t i = 0; code == MED_OK && i < head->alias_count; i++) {
        bool has;
        code = has_alias_entry(c, head->aliases[i], id, &has, err);
        if (code == MED_OK && !has)
            problem(c, MED_STR_FMT ": an alias is not in its table", MED_STR_ARG(id));
    }
    c->aliases += head->alias_count;
    return code;
}

/* One version record. Failures of the record are problems, failures of the system are errors. */
static enum med_code check_version(struct check *c, struct med_str id, uint32_t version,
    const struct med_head *head, struct med_err *err)
{
    struct med_doc *doc;
    struct med_hash128 hash;
    struct med_err why;
    med_arena_reset(c->arena);
    enum med_code code = snapshot_read(c->snapshot, id, version, c->arena, &doc, &hash, &why);
    bool current = version == head->version;
    if (version > head->version)
        problem(c, MED_STR_FMT ": a version is newer than the head", MED_STR_ARG(id));
    if (code == MED_E_GONE) {
        if (current && head->live) {
            problem(c, MED_STR_FMT ": live, but its version is a deletion", MED_STR_ARG(id));
        }
        return MED_OK;
    }
    if (code == MED_E_NOMEM || code == MED_E_IO) {
        if (err) *err = why;
        return code;
    }
    if (code != MED_OK) {
        problem(c, "%s", why.text);
        return MED_OK;
    }
    if (!current) return MED_OK;
    if (!head->live) {
        problem(c, MED_STR_FMT ": deleted, but its version is not", MED_STR_ARG(id));
        return MED_OK;
    }
    if (!med_hash128_eq(hash, head->hash))
        problem(c, MED_STR_FMT ": the head has another hash", MED_STR_ARG(id));
    return check_aliases(c, id, head, doc, err);
}

/* All versions of a head; *key is where the versions cursor stands and ends up behind them. */
static enum med_code check_head(struct check *c, struct med_cursor *versions, struct med_str *key,
    bool *more, struct med_str id, const struct med_head *head, struct med_err *err)
{
    bool has_current = false;
    enum med_code code = MED_OK;
    while (code == MED_OK && *more) {
        struct med_str version_id, bytes;
        uint32_t version;
        if (!med_version_key_split(*key, &version_id, &version)) {
            problem(c, "a version has a malformed key");
        } else {
            int order = med_str_cmp(version_id, id);
            if (order > 0) break;
            if (order < 0) {
                problem(c, MED_STR_FMT ": a version without a head", MED_STR_ARG(version_id));
            } else {
                has_current |= version == head->version;
                code = check_version(c, id, version, head, err);
            }
        }
        if (code == MED_OK) code = med_cursor_move(versions, MED_MOVE_NEXT, key, &bytes, err);
        *more = code == MED_OK;
        if (code == MED_E_NOT_FOUND) code = MED_OK;
    }
    if (code == MED_OK && !has_current)
        problem(c, MED_STR_FMT ": its current version is missing", MED_STR_ARG(id));
    return code;
}

static enum med_code walk(
    struct check *c, struct med_cursor *heads, struct med_cursor *versions, struct med_err *err)
{
    struct med_str id = {0}, key = {0}, bytes;
    uint64_t total = med_txn_count(c->snapshot->txn, TABLE_HEADS);
    enum med_code code = med_cursor_move(versions, MED_MOVE_FIRST, &key, &bytes, err);
    bool more = code == MED_OK;
    if (code != MED_OK && code != MED_E_NOT_FOUND) return code;
    code = med_cursor_move(heads, MED_MOVE_FIRST, &id, &bytes, err);
    while (code == MED_OK) {
        struct med_head head;
        if (id.len > MED_ID_BYTES_MAX || !med_head_decode(bytes, &head)) {
            problem(c, "a head record is damaged");
        } else {
            if (head.live) c->live++;
            code = check_head(c, versions, &key, &more, id, &head, err);
        }
        if (code != MED_OK) return code;
        if (c->heads_done++ % 1024 == 0 &&
            !med_progress(c->progress, "check", c->heads_done, total, "documents")) {
            return med_fail(err, MED_E_CANCELLED, "the check was stopped");
        }
        code = med_cursor_move(heads, MED_MOVE_NEXT, &id, &bytes, err);
    }
    if (code == MED_E_NOT_FOUND && more) problem(c, "versions without a head");
    return code == MED_E_NOT_FOUND ? MED_OK : code;
}

enum med_code med_snapshot_check(struct med_snapshot *snapshot, const struct med_progress *progress,
    uint64_t *ret_problems, struct med_err *err)
{
    struct check c = {.snapshot = snapshot, .progress = progress};
    struct med_cursor *heads = NULL, *versions = NULL;
    enum med_code code = med_arena_new(MED_DOC_ARENA_BYTES_MAX, &c.arena, err);
    if (code == MED_OK) code = med_cursor_open(snapshot->txn, TABLE_HEADS, &heads, err);
    if (code == MED_OK) code = med_cursor_open(snapshot->txn, TABLE_VERSIONS, &versions, err);
    if (code == MED_OK) code = walk(&c, heads, versions, err);
    if (code == MED_OK && c.live != snapshot->state.doc_count) {
        problem(&c, "%llu documents are live, the store counts %llu", (unsigned long long)c.live,
            (unsigned long long)snapshot->state.doc_count);
    }
    if (code == MED_OK && c.aliases != med_txn_count(snapshot->txn, TABLE_ALIASES)) {
        problem(&c, "the table of aliases has entries that no document has");
    }
    med_cursor_close(&heads);
    med_cursor_close(&versions);
    med_arena_free(&c.arena);
    if (code != MED_OK) return code;
    *ret_problems = c.problems;
    if (c.problems == 0) return MED_OK;
    return med_fail(err, MED_E_CORRUPT, "%llu problems in the docstore, the first: %.400s",
        (unsigned long long)c.problems, c.first.text);
}

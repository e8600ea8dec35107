/* SQLite's FTS5 in the lexical comparison:
 *
 *   engine_fts5 index raw|terms FILE DIR
 *   engine_fts5 serve DIR QUERIES K
 *
 * "raw" indexes titles and texts with FTS5's own unicode61 and Porter stems, "terms" the terms that
 * medicus made. Contentless; ORDER BY rank with a limit, as its documentation advises. Its bm25()
 * has k1 = 1.2 and b = .75 built in. */
#include "engine.h"

#include "common/buf.h"
#include "common/clock.h"
#include "common/limits.h"

#include <sqlite3.h>
#include <stdio.h>

struct fts5 {
    sqlite3 *db;
    sqlite3_stmt *statement;
    struct lines queries;
    struct med_buf match;
    size_t k;
};

static void run(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) engine_die(sqlite3_errmsg(db));
}

static sqlite3 *open_db(const char *dir, int flags)
{
    char path[MED_PATH_MAX];
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/fts5.db", dir);
    if (sqlite3_open_v2(path, &db, flags, NULL) != SQLITE_OK) engine_die(sqlite3_errmsg(db));
    run(db, "PRAGMA cache_size = -2000000; PRAGMA mmap_size = 17179869184");
    return db;
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
        engine_die(sqlite3_errmsg(db));
    return statement;
}

static void build(bool raw, const char *file, const char *dir)
{
    struct lines lines;
    struct med_err err = {0};
    lines_open(file, &lines);
    if (med_fs_mkdir_all(med_fs_posix(), dir, &err)) engine_die(err.text);
    sqlite3 *db = open_db(dir, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    run(db, "PRAGMA journal_mode = OFF");
    uint64_t start = med_now_ns();
    run(db, raw ? "CREATE VIRTUAL TABLE t USING fts5(title, text, content='', "
                  "tokenize='porter unicode61')"
                : "CREATE VIRTUAL TABLE t USING fts5(text, content='', "
                  "tokenize=\"unicode61 remove_diacritics 0 tokenchars '.'\")");
    run(db, "BEGIN");
    sqlite3_stmt *insert = prepare(db, raw ? "INSERT INTO t(rowid, text, title) VALUES(?, ?, ?)"
                                           : "INSERT INTO t(rowid, text) VALUES(?, ?)");
    for (size_t i = 0; i < lines.count; i++) {
        struct med_str title, text = lines.items[i];
        sqlite3_bind_int64(insert, 1, (sqlite3_int64)i + 1);
        if (raw) {
            lines_split(lines.items[i], &title, &text);
            sqlite3_bind_text(insert, 3, title.ptr, (int)title.len, SQLITE_STATIC);
        }
        sqlite3_bind_text(insert, 2, text.ptr, (int)text.len, SQLITE_STATIC);
        if (sqlite3_step(insert) != SQLITE_DONE) engine_die(sqlite3_errmsg(db));
        sqlite3_reset(insert);
    }
    run(db, "COMMIT");
    uint64_t ns = med_now_ns() - start;
    sqlite3_finalize(insert);
    engine_report_index(lines.count, ns, dir);
    if (!raw) run(db, "INSERT INTO t(t) VALUES('optimize')"); /* one segment to search */
    sqlite3_close(db);
    lines_close(&lines);
}

static size_t search(void *ctx, size_t query, uint32_t *ret_ids)
{
    struct fts5 *f = ctx;
    struct med_str text, words, word;
    size_t count = 0;
    lines_split(f->queries.items[query], &text, &words);
    med_buf_reset(&f->match);
    while (lines_next_word(&words, &word)) {
        if (f->match.len) med_buf_append_str(&f->match, MED_STR(" OR "));
        med_buf_putc(&f->match, '"');
        med_buf_append_str(&f->match, word);
        med_buf_putc(&f->match, '"');
    }
    sqlite3_bind_text(f->statement, 1, f->match.data, (int)f->match.len, SQLITE_STATIC);
    sqlite3_bind_int64(f->statement, 2, (sqlite3_int64)f->k);
    int code;
    while ((code = sqlite3_step(f->statement)) == SQLITE_ROW)
        ret_ids[count++] = (uint32_t)(sqlite3_column_int64(f->statement, 0) - 1);
    if (code != SQLITE_DONE) engine_die(sqlite3_errmsg(f->db));
    sqlite3_reset(f->statement);
    return count;
}

static void serve(const char *dir, const char *queries, size_t k)
{
    struct fts5 f = {.db = open_db(dir, SQLITE_OPEN_READONLY), .k = k};
    f.statement = prepare(f.db, "SELECT rowid FROM t WHERE t MATCH ?1 ORDER BY rank LIMIT ?2");
    lines_open(queries, &f.queries);
    med_buf_init(&f.match, MED_MIB);
    const struct engine engine = {
        .ctx = &f, .query_count = f.queries.count, .k = k, .search = search};
    engine_serve(&engine);
    med_buf_free(&f.match);
    lines_close(&f.queries);
    sqlite3_finalize(f.statement);
    sqlite3_close(f.db);
}

int main(int argc, char **argv)
{
    unsigned long long k;
    if (argc == 5 && strcmp(argv[1], "index") == 0)
        build(strcmp(argv[2], "raw") == 0, argv[3], argv[4]);
    else if (argc == 5 && strcmp(argv[1], "serve") == 0 &&
             med_str_to_u64(med_str_of(argv[4]), &k) && k > 0 && k <= ENGINE_K_MAX)
        serve(argv[2], argv[3], (size_t)k);
    else
        engine_die("usage: engine_fts5 index raw|terms FILE DIR | serve DIR QUERIES K");
    return 0;
}

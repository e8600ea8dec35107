/* A stack of paths instead of recursion: a folder is replaced by its entries, last one pushed
 * first. */
#include "index/ingest/walk.h"

#include "common/fs.h"
#include "common/mem.h"
#include "index/ingest/md5.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

struct pending {
    const char *path;
    bool named;
};

struct walk {
    struct med_arena *arena;
    struct pending *stack;
    size_t stack_len, stack_cap;
    struct med_walk_file *files;
    size_t file_count, file_cap;
    struct med_err *err;
};

static enum med_code no_memory(struct walk *w)
{
    return med_fail(w->err, MED_E_NOMEM, "out of memory for a list of files");
}

static enum med_code push(struct walk *w, const char *path, bool named)
{
    if (!path || !med_grow(&w->stack, &w->stack_cap, w->stack_len + 1, sizeof *w->stack)) {
        return no_memory(w);
    }
    w->stack[w->stack_len++] = (struct pending){.path = path, .named = named};
    return MED_OK;
}

static enum med_code add(struct walk *w, struct med_walk_file file)
{
    if (!med_grow(&w->files, &w->file_cap, w->file_count + 1, sizeof *w->files)) {
        return no_memory(w);
    }
    w->files[w->file_count++] = file;
    return MED_OK;
}

static enum med_code add_unreadable(struct walk *w, struct pending p, int errnum)
{
    struct med_err why;
    enum med_code code = med_fail_errno(&why, errnum, "cannot read '%s'", p.path);
    if (errnum == ENOENT) code = MED_E_NOT_FOUND;
    const char *text = med_arena_printf(w->arena, "%s", why.text);
    if (!text) return no_memory(w);
    return add(
        w, (struct med_walk_file){.path = p.path, .named = p.named, .problem = text, .code = code});
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int not_dots(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static bool is_one_of(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(name, names[i]) == 0) return true;
    }
    return false;
}

/* A BEIR collection is a folder with a corpus beside its queries and judgements. The queries have
 * the form of documents, and must not become some. */
static bool is_beir_folder(struct dirent *const *entries, int count)
{
    static const char *const corpora[] = {"corpus.jsonl", "corpus.jsonl.gz"};
    for (int i = 0; i < count; i++) {
        if (is_one_of(entries[i]->d_name, corpora, 2)) return true;
    }
    return false;
}

static enum med_code enter_folder(struct walk *w, struct pending p)
{
    struct dirent **entries = NULL;
    int count = scandir(p.path, &entries, not_dots, by_bytes);
    if (count < 0) return add_unreadable(w, p, errno);
    static const char *const for_eval[] = {"queries.jsonl", "queries.jsonl.gz", "qrels"};
    bool beir = is_beir_folder(entries, count);
    enum med_code code = MED_OK;
    const char *slash = p.path[strlen(p.path) - 1] == '/' ? "" : "/";
    for (int i = count; i > 0; i--) {
        if (code == MED_OK) {
            const char *name = entries[i - 1]->d_name;
            const char *path = med_arena_printf(w->arena, "%s%s%s", p.path, slash, name);
            if (beir && is_one_of(name, for_eval, 3) && path)
                code = add(w, (struct med_walk_file){.path = path,
                                  .problem = "queries and judgements of a collection"});
            else
                code = push(w, path, false);
        }
        med_free(entries[i - 1]);
    }
    med_free(entries);
    return code;
}

static enum med_code visit(struct walk *w, struct pending p)
{
    if (p.named && strcmp(p.path, "-") == 0) {
        return add(w, (struct med_walk_file){.path = p.path, .named = true});
    }
    const char *name = strrchr(p.path, '/');
    name = name ? name + 1 : p.path;
    if (med_is_md5_companion(name)) return MED_OK; /* read with the file that it is beside of */
    if (!p.named && name[0] == '.') {
        return add(w, (struct med_walk_file){.path = p.path, .problem = "a hidden file"});
    }
    struct stat st;
    if (p.path[0] == '\0') return add_unreadable(w, p, ENOENT);
    if (stat(p.path, &st) != 0) return add_unreadable(w, p, errno);
    if (S_ISDIR(st.st_mode)) {
        struct stat link;
        if (!p.named && lstat(p.path, &link) == 0 && S_ISLNK(link.st_mode)) {
            return add(w, (struct med_walk_file){.path = p.path, .problem = "a link to a folder"});
        }
        return enter_folder(w, p);
    }
    bool regular = S_ISREG(st.st_mode);
    if (!regular && !p.named) {
        return add(w, (struct med_walk_file){.path = p.path, .problem = "not a regular file"});
    }
    return add(w, (struct med_walk_file){.path = p.path,
                      .named = p.named,
                      .size = regular && st.st_size > 0 ? (uint64_t)st.st_size : 0});
}

enum med_code med_walk(const char *const *paths, size_t path_count, struct med_arena *arena,
    struct med_walk_file **ret_files, size_t *ret_count, struct med_err *err)
{
    struct walk w = {.arena = arena, .err = err};
    enum med_code code = MED_OK;
    for (size_t i = path_count; i > 0 && code == MED_OK; i--) code = push(&w, paths[i - 1], true);
    while (w.stack_len > 0 && code == MED_OK) code = visit(&w, w.stack[--w.stack_len]);
    if (code == MED_OK && w.file_count > 0) {
        struct med_walk_file *files = med_arena_calloc(arena, w.file_count, sizeof *files);
        if (files)
            memcpy(files, w.files, w.file_count * sizeof *files);
        else
            code = no_memory(&w);
        if (code == MED_OK) *ret_files = files;
    }
    if (code == MED_OK) *ret_count = w.file_count;
    med_free(w.stack);
    med_free(w.files);
    return code;
}

/* Postings beyond a budget: runs, each an index of neighbouring passages in files of its own, and
 * the merge that makes one index of them (merge.c). What a document adds is never split between
 * runs, so that their df add up. */
#include "index/lexical/reader.h"
#include "index/lexical/writer.h"

#include "common/mem.h"

#include <stdio.h>

enum med_code med_lex_writer_spill(struct med_lex_writer *w, const struct med_fs *fs,
    const char *dir, const char *prefix, uint64_t bytes, struct med_err *err)
{
    if (w->doc_count || w->run_count)
        return med_fail(err, MED_E_CONFLICT, "a budget is set before the first document");
    if ((size_t)snprintf(w->spill_dir, sizeof w->spill_dir, "%s", dir) >= sizeof w->spill_dir)
        return med_fail(err, MED_E_LIMIT, "the path %.80s... is too long", dir);
    w->spill_fs = fs;
    w->spill_prefix = prefix;
    w->spill_bytes = bytes;
    return MED_OK;
}

enum med_code lex_spill_run(struct med_lex_writer *w, struct med_err *err)
{
    char prefix[40];
    if (!w->chunk_count) return MED_OK;
    if (!med_grow(&w->runs, &w->runs_cap, w->run_count + 1, sizeof(*w->runs)))
        return med_fail(err, MED_E_NOMEM, "no memory for a run of postings");
    struct lex_run *run = &w->runs[w->run_count];
    snprintf(prefix, sizeof prefix, "%s%zu.", w->spill_prefix, w->run_count);
    run->chunk_count = w->chunk_count;
    enum med_code code = lex_writer_write(w, w->spill_fs, w->spill_dir, prefix, run->files, err);
    if (code != MED_OK) return code;
    w->run_count++;
    if (lex_writer_drop(w)) return MED_OK;
    w->closed = w->broken = true; /* what is in memory is in the run as well */
    return med_fail(err, MED_E_NOMEM, "no memory for the document frequencies");
}

/* --- merging --- */

struct open_run {
    struct med_map maps[MED_LEX_FILE_COUNT];
    struct med_lex *lex;
    uint32_t *chunk_to;
};

static void close_run(struct open_run *run)
{
    med_lex_free(&run->lex);
    for (size_t i = 0; i < MED_LEX_FILE_COUNT; i++) med_map_close(&run->maps[i]);
    med_free(run->chunk_to);
}

static enum med_code open_run(const struct med_lex_writer *w, const struct lex_run *of,
    uint32_t first_chunk, struct open_run *run, struct med_err *err)
{
    enum med_code code = MED_OK;
    for (size_t i = 0; code == MED_OK && i < MED_LEX_FILE_COUNT; i++) {
        char path[MED_PATH_MAX];
        code = med_path_join(path, w->spill_dir, of->files[i].name, err);
        if (code == MED_OK) code = med_map_open(path, &run->maps[i], err);
    }
    if (code == MED_OK)
        code = med_lex_open(run->maps[0], run->maps[1], run->maps[2], &run->lex, err);
    if (code != MED_OK) return code;
    run->chunk_to = med_realloc_array(NULL, of->chunk_count, sizeof(*run->chunk_to));
    if (!run->chunk_to) return med_fail(err, MED_E_NOMEM, "no memory to merge runs of postings");
    for (uint32_t c = 0; c < of->chunk_count; c++) run->chunk_to[c] = first_chunk + c;
    return MED_OK;
}

static enum med_code remove_runs(const struct med_lex_writer *w, struct med_err *err)
{
    enum med_code code = MED_OK;
    for (size_t r = 0; r < w->run_count; r++) {
        for (size_t i = 0; code == MED_OK && i < MED_LEX_FILE_COUNT; i++) {
            char path[MED_PATH_MAX];
            code = med_path_join(path, w->spill_dir, w->runs[r].files[i].name, err);
            if (code == MED_OK) code = w->spill_fs->ops->unlink(w->spill_fs, path, err);
        }
    }
    return code;
}

enum med_code lex_spill_merge(struct med_lex_writer *w, const struct med_fs *fs, const char *dir,
    const char *prefix, struct med_file_ref ret_files[MED_LEX_FILE_COUNT], struct med_err *err)
{
    struct med_lex_merge_options options = {.prefix = prefix};
    enum med_code code = lex_spill_run(w, err);
    if (code != MED_OK) return code;
    uint32_t chunks = 0;
    struct open_run *runs = med_calloc(w->run_count, sizeof(*runs));
    struct med_lex_merge_input *inputs = med_calloc(w->run_count, sizeof(*inputs));
    if (!runs || !inputs) code = med_fail(err, MED_E_NOMEM, "no memory to merge runs of postings");
    for (size_t i = 0; code == MED_OK && i < w->run_count; i++) {
        uint32_t count = w->runs[i].chunk_count;
        if (count > LEX_CHUNKS_MAX - chunks)
            code =
                med_fail(err, MED_E_LIMIT, "a segment holds at most %u passages", LEX_CHUNKS_MAX);
        else
            code = open_run(w, &w->runs[i], chunks, &runs[i], err);
        if (code != MED_OK) break;
        inputs[i] = (struct med_lex_merge_input){.lex = runs[i].lex, .chunk_to = runs[i].chunk_to};
        chunks += count;
    }
    if (code == MED_OK)
        code = med_lex_merge(inputs, w->run_count, chunks, &options, fs, dir, ret_files, err);
    for (size_t i = 0; runs && i < w->run_count; i++) close_run(&runs[i]);
    med_free(runs);
    med_free(inputs);
    return code == MED_OK ? remove_runs(w, err) : code;
}

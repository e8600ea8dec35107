/* A data folder with documents in it, built and opened: for tests of what needs a whole index. */
#pragma once

#include "index/build.h"
#include "index/internal.h"
#include "tests/support/support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct index_fixture {
    char dir[MED_PATH_MAX];
    struct med_data *data;
    struct med_store *store;
    struct med_index *index;
    struct med_searcher *searcher;
    struct med_arena *arena;
};

#define FIXTURE_OK(call)                                                                           \
    do {                                                                                           \
        struct med_err ok_err = {0};                                                               \
        enum med_code ok_code = (call);                                                            \
        if (ok_code != MED_OK) fail_msg("%s: %s: %s", #call, med_code_name(ok_code), ok_err.text); \
    } while (0)

static inline void fixture_open(struct index_fixture *f)
{
    char docs[MED_PATH_MAX];
    *f = (struct index_fixture){0};
    med_test_temp_new(f->dir);
    FIXTURE_OK(med_path_join(docs, f->dir, "docs", &ok_err));
    FIXTURE_OK(med_arena_new(512 * MED_MIB, &f->arena, &ok_err));
    FIXTURE_OK(med_data_open(f->dir, true, med_fs_posix(), &f->data, &ok_err));
    FIXTURE_OK(med_store_open(docs, MED_STORE_READ_WRITE, &f->store, &ok_err));
    FIXTURE_OK(med_searcher_new(&f->searcher, &ok_err));
}

static inline void fixture_put(
    struct index_fixture *f, const struct med_doc *documents, size_t count)
{
    struct med_batch *batch;
    enum med_put_outcome outcome;
    FIXTURE_OK(med_batch_begin(f->store, &batch, &ok_err));
    for (size_t i = 0; i < count; i++)
        FIXTURE_OK(med_batch_put(batch, &documents[i], &outcome, &ok_err));
    FIXTURE_OK(med_batch_commit(&batch, &ok_err));
}

/* Builds a generation and opens it in place of the one before. */
static inline void fixture_build(struct index_fixture *f, bool lexical_only)
{
    struct med_build_options options = {.threads = 2, .dim = 64, .lexical_only = lexical_only};
    struct med_build_report report;
    med_index_release(&f->index);
    FIXTURE_OK(med_build(f->data, f->store, &options, &report, &ok_err));
    FIXTURE_OK(med_index_open(f->data, f->store, 0, true, &f->index, &ok_err));
}

static inline void fixture_close(struct index_fixture *f)
{
    med_searcher_free(&f->searcher);
    med_index_release(&f->index);
    med_store_close(&f->store);
    med_data_close(&f->data);
    med_arena_free(&f->arena);
    med_test_temp_remove(f->dir);
}

/* What the tests of the docstore share: a store in a temporary folder and short ways to use it. */
#pragma once

#include "common/mem.h"
#include "index/store/internal.h"
#include "tests/support/support.h"

#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct med_err err; /* of the last failure */
#define OK(call)                                                                                   \
    do {                                                                                           \
        enum med_code ok_code = (call);                                                            \
        if (ok_code != MED_OK) fail_msg("%s: %s", #call, err.text);                                \
    } while (0)

struct fixture {
    char dir[MED_PATH_MAX];
    struct med_store *store;
    struct med_arena *arena;
};

static inline int setup(void **state)
{
    struct fixture *f = med_calloc(1, sizeof *f);
    med_test_temp_new(f->dir);
    OK(med_arena_new(64 * MED_MIB, &f->arena, &err));
    OK(med_store_open(f->dir, MED_STORE_READ_WRITE, &f->store, &err));
    *state = f;
    return 0;
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    med_store_close(&f->store);
    med_arena_free(&f->arena);
    med_test_temp_remove(f->dir);
    med_free(f);
    return 0;
}

static inline void reopen(struct fixture *f)
{
    med_store_close(&f->store);
    OK(med_store_open(f->dir, MED_STORE_READ_WRITE, &f->store, &err));
}

static inline struct med_doc document(const char *id, const char *title)
{
    return (struct med_doc){.id = med_str_of(id), .title = med_str_of(title)};
}

static inline enum med_put_outcome put_in(struct med_batch *batch, const struct med_doc *doc)
{
    enum med_put_outcome outcome;
    OK(med_batch_put(batch, doc, &outcome, &err));
    return outcome;
}

static inline enum med_put_outcome put(struct fixture *f, const struct med_doc *doc)
{
    struct med_batch *batch;
    OK(med_batch_begin(f->store, &batch, &err));
    enum med_put_outcome outcome = put_in(batch, doc);
    OK(med_batch_commit(&batch, &err));
    return outcome;
}

static inline enum med_put_outcome delete (struct fixture *f, const char *id, uint64_t sequence) {
    struct med_batch *batch; enum med_put_outcome outcome;
    OK(med_batch_begin(f->store, &batch, &err));
    OK(med_batch_delete(
        batch, med_str_of(id), (struct med_precedence){.sequence = sequence}, &outcome, &err));
    OK(med_batch_commit(&batch, &err));
    return outcome;
}

static inline struct med_snapshot *snapshot_of(struct fixture *f)
{
    struct med_snapshot *snapshot;
    OK(med_snapshot_open(f->store, &snapshot, &err));
    return snapshot;
}

static inline enum med_code get(struct fixture *f, const char *id, struct med_doc **ret_doc)
{
    struct med_snapshot *snapshot = snapshot_of(f);
    enum med_code code = med_snapshot_get(snapshot, med_str_of(id), f->arena, ret_doc, &err);
    med_snapshot_close(&snapshot);
    return code;
}

static inline void assert_title(struct fixture *f, const char *id, const char *title)
{
    struct med_doc *doc;
    OK(get(f, id, &doc));
    assert_true(med_str_eq(doc->title, med_str_of(title)));
}

static inline uint64_t doc_count(struct fixture *f)
{
    struct med_snapshot *snapshot = snapshot_of(f);
    uint64_t count = med_snapshot_doc_count(snapshot);
    med_snapshot_close(&snapshot);
    return count;
}

static inline void assert_sound(struct fixture *f)
{
    struct med_snapshot *snapshot = snapshot_of(f);
    uint64_t problems = 0;
    OK(med_snapshot_check(snapshot, NULL, &problems, &err));
    assert_int_equal(problems, 0);
    med_snapshot_close(&snapshot);
}

/* Ids found under an alias, joined by spaces. */
static inline const char *found(struct fixture *f, const char *alias)
{
    struct med_snapshot *snapshot = snapshot_of(f);
    struct med_str *ids;
    size_t count;
    OK(med_snapshot_find_alias(snapshot, med_str_of(alias), f->arena, &ids, &count, &err));
    const char *text = "";
    for (size_t i = 0; i < count; i++) {
        text =
            med_arena_printf(f->arena, "%s%s" MED_STR_FMT, text, i ? " " : "", MED_STR_ARG(ids[i]));
    }
    med_snapshot_close(&snapshot);
    return text;
}

static inline void put_many(struct fixture *f, int from, int to)
{
    struct med_batch *batch;
    OK(med_batch_begin(f->store, &batch, &err));
    for (int i = from; i < to; i++) {
        char id[32], body[800];
        snprintf(id, sizeof id, "doc:%06d", i);
        snprintf(body, sizeof body,
            "Patients (n = %d) with condition %d were randomly assigned to receive treatment %d or "
            "placebo. "
            "The primary outcome was survival at %d months. Adverse events were reported in %d%% "
            "of patients.",
            i * 7, i % 97, i % 31, i % 60, i % 100);
        struct med_section section = {.body = med_str_of(body)};
        struct med_doc doc = document(id, "A randomized controlled trial");
        doc.sections = &section;
        doc.section_count = 1;
        assert_int_equal(put_in(batch, &doc), MED_PUT_ADDED);
    }
    OK(med_batch_commit(&batch, &err));
}

/* Loss of power during updates, merges and builds of a real library: patches, overlay, statements,
 * segments that are shared and segments that are left out. The power fails at a random operation;
 * what may be left must open and verify, and answer as the generation before or as the new one
 * does; the next update must end where the undisturbed one did. */
#include "tests/crash/crash.h"
#include "tests/support/faulty_fs.h"
#include "tests/unit/library_fixture.h"

struct procedure {
    const char *name;
    bool is_build;
    enum med_update_merge merge;
};
static const struct procedure procedures[] = {
    {"an update with patches", false, MED_UPDATE_MERGE_DUE},
    {"an update that merges", false, MED_UPDATE_MERGE_ALL},
    {"a build that merges", true, MED_UPDATE_MERGE_DUE},
};
#define PROCEDURES (sizeof procedures / sizeof *procedures)

/* A data folder, with the real file system or with one whose power fails. */
struct place {
    char dir[MED_PATH_MAX];
    struct med_faulty_fs *faulty;
    struct med_data *data;
    struct med_store *store;
};

/* `from` as it is now, or as a loss of power may leave it. */
static void place_open(struct place *p, struct med_faulty_fs *from, bool faulty, uint64_t seed)
{
    char docs[MED_PATH_MAX];
    *p = (struct place){0};
    med_test_temp_new(p->dir);
    OK(med_faulty_fs_materialize(from, p->dir, &crash_err));
    if (faulty) OK(med_faulty_fs_new(p->dir, seed, &p->faulty, &crash_err));
    OK(med_data_open(p->dir, false, faulty ? med_faulty_fs_seam(p->faulty) : med_fs_posix(),
        &p->data, &crash_err));
    OK(med_path_join(docs, p->dir, "docs", &crash_err));
    OK(med_store_open(docs, MED_STORE_READ_WRITE, &p->store, &crash_err));
}

static void place_close(struct place *p)
{
    med_store_close(&p->store);
    med_data_close(&p->data);
    if (p->faulty) med_faulty_fs_free(&p->faulty);
    med_test_temp_remove(p->dir);
}

static enum med_code run(const struct procedure *procedure, struct place *p)
{
    struct med_build_options build_options = {
        .threads = 2, .keep = 2, .reference_date = REFERENCE_DATE};
    struct med_update_options options = {
        .merge = procedure->merge, .threads = 2, .keep = 2, .reference_date = REFERENCE_DATE};
    struct med_build_report built;
    struct med_update_report updated;
    return procedure->is_build ? med_build(p->data, p->store, &build_options, &built, &crash_err)
                               : med_update(p->data, p->store, &options, &updated, &crash_err);
}

/* What the current generation answers to some questions, as a number. Everything is verified. */
static uint64_t answers_of(struct place *p)
{
    static const char *const queries[] = {
        "carditis", "neuroma hepatitis", "lymphane", "dermosis with thyropathy", "IL-6"};
    struct med_index *index;
    struct med_searcher *searcher;
    struct med_arena *arena;
    struct med_buf text;
    OK(med_index_open(p->data, p->store, 0, true, &index, &crash_err));
    OK(med_index_check(index, NULL, &crash_err));
    OK(med_searcher_new(&searcher, &crash_err));
    OK(med_arena_new(64 * MED_MIB, &arena, &crash_err));
    med_buf_init(&text, 16 * MED_MIB);
    med_buf_printf(&text, "%llu", (unsigned long long)med_index_manifest(index)->doc_count);
    for (size_t q = 0; q < sizeof queries / sizeof *queries; q++) {
        struct med_search_request request = MED_SEARCH_REQUEST_DEFAULT;
        struct med_answer *answer;
        request.query = med_str_of(queries[q]);
        request.limit = 100;
        request.mode = MED_MODE_LEXICAL; /* no graph: merging must not change the answers */
        OK(med_search(index, searcher, &request, arena, &answer, &crash_err));
        for (size_t i = 0; i < answer->count; i++)
            med_buf_printf(&text, " %.*s v%llu", MED_STR_ARG(answer->results[i].id),
                (unsigned long long)answer->results[i].version);
    }
    CHECK(text.len > 200, "the questions have no answers");
    uint64_t sum = med_hash64(med_buf_str(&text).ptr, text.len);
    med_buf_free(&text);
    med_arena_free(&arena);
    med_searcher_free(&searcher);
    med_index_release(&index);
    return sum;
}

/* A library with several segments, patches and changes that no generation has yet. */
static void make_library(struct library *l, uint64_t seed)
{
    struct med_update_report report;
    library_open(l, seed);
    begin_with_some(l);
    build(l, false);
    for (int i = 0; i < 2; i++) {
        change_some(l, 12);
        update(l, MED_UPDATE_MERGE_DUE, &report);
    }
    CHECK(report.segments > 1 && report.dead > 0, "the library has no patches");
    change_some(l, 20);
    retract(l);
}

struct expected {
    uint64_t before, after;
    uint64_t ops[PROCEDURES];
};

/* What is answered before and after, and how many operations that takes undisturbed. */
static void measure(struct med_faulty_fs *library, struct expected *e)
{
    struct place p;
    for (size_t i = 0; i < PROCEDURES; i++) {
        place_open(&p, library, true, 1);
        e->before = answers_of(&p);
        uint64_t ops = med_faulty_fs_op_count(p.faulty);
        OK(run(&procedures[i], &p));
        e->ops[i] = med_faulty_fs_op_count(p.faulty) - ops;
        uint64_t after = answers_of(&p);
        CHECK(i == 0 || after == e->after, "%s answers otherwise", procedures[i].name);
        e->after = after;
        place_close(&p);
    }
    CHECK(e->before != e->after, "the changes change no answer");
}

/* True when the new generation was what the loss of power left. */
static bool lose_power(
    struct med_faulty_fs *library, const struct expected *e, size_t which, uint64_t seed)
{
    const struct procedure *procedure = &procedures[which];
    struct place p, ruins;
    struct med_rng rng;
    med_rng_seed(&rng, seed);
    place_open(&p, library, true, seed);
    /* Every other time among the last ones: the commit point and what follows it. */
    uint64_t last = e->ops[which] > 30 && seed % 2 ? e->ops[which] - 30 : 0;
    uint64_t op = last + 1 + med_rng_below(&rng, e->ops[which] + 1 - last);
    med_faulty_fs_crash_after(p.faulty, op);
    bool done = run(procedure, &p) == MED_OK;
    place_open(&ruins, p.faulty, false, 0);
    uint64_t left = answers_of(&ruins);
    CHECK(left == e->after || (left == e->before && !done),
        "%s, seed %llu, operation %llu: answers of %s generation", procedure->name,
        (unsigned long long)seed, (unsigned long long)op, left == e->before ? "the old" : "no");
    OK(run(&procedures[0], &ruins));
    CHECK(answers_of(&ruins) == e->after, "%s, seed %llu, operation %llu: the next update differs",
        procedure->name, (unsigned long long)seed, (unsigned long long)op);
    place_close(&ruins);
    place_close(&p);
    return left == e->after;
}

static void updates_and_merges_survive_power_loss(void **state)
{
    (void)state;
    uint64_t seed = med_test_seed();
    int rounds = crash_rounds(15, 500), per_library = 25, new_ones = 0;
    struct library l;
    struct med_faulty_fs *library = NULL;
    struct expected e = {0};
    for (int i = 0; i < rounds; i++) {
        if (i % per_library == 0) {
            make_library(&l, seed + (uint64_t)i);
            OK(med_faulty_fs_new(l.f.dir, seed, &library, &crash_err));
            measure(library, &e);
        }
        new_ones += lose_power(library, &e, (size_t)i % PROCEDURES, seed + (uint64_t)i);
        if (i % per_library == per_library - 1 || i == rounds - 1) {
            med_faulty_fs_free(&library);
            library_close(&l);
        }
    }
    printf("%d losses of power among about %llu, %llu and %llu operations: %d left the new "
           "generation, %d the old one, whole\n",
        rounds, (unsigned long long)e.ops[0], (unsigned long long)e.ops[1],
        (unsigned long long)e.ops[2], new_ones, rounds - new_ones);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(updates_and_merges_survive_power_loss),
    };
    crash_prefer_memory();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

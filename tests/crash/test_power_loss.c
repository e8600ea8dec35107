/* Loss of power, a failing disk and a full one, at every write operation of everything that changes
 * generations. What is left is materialized several times for each operation; each time the old or
 * the new generation must open and verify, and the next build must work. */
#include "tests/crash/crash.h"
#include "tests/support/faulty_fs.h"
#include "tests/support/generations.h"

#include <setjmp.h>

#include <cmocka.h>

/* Contents: 1 is published (but for `first`), 2 is being published. */
struct procedure {
    const char *name;
    uint64_t before; /* content served at the start; 0 = nothing is published */
    uint64_t after;  /* served when it has succeeded */
    enum med_code (*prepare)(struct med_data *data);
    /* *ret_committed: the step that changes what is served returned MED_OK. */
    enum med_code (*run)(struct med_data *data, bool *ret_committed);
};

static enum med_code publish(struct med_data *data, uint64_t content)
{
    struct med_build_lock *lock;
    struct test_generation g;
    enum med_code code = med_build_lock_take(data, &lock, &crash_err);
    if (code != MED_OK) return code;
    code = test_generation_publish(data, content, &g, &crash_err);
    med_build_lock_release(&lock);
    return code;
}

static enum med_code prepare_none(struct med_data *data)
{
    (void)data;
    return MED_OK;
}

static enum med_code prepare_one(struct med_data *data)
{
    return publish(data, 1);
}

static enum med_code prepare_rolled_back(struct med_data *data)
{
    enum med_code code = publish(data, 1);
    if (code == MED_OK) code = publish(data, 2);
    return code == MED_OK ? med_generation_activate(data, 1, &crash_err) : code;
}

static enum med_code run_publish(struct med_data *data, bool *ret_committed)
{
    struct med_build_lock *lock;
    struct test_generation g;
    uint64_t removed;
    enum med_code code = med_build_lock_take(data, &lock, &crash_err);
    if (code != MED_OK) return code;
    code = test_generation_publish(data, 2, &g, &crash_err);
    *ret_committed = code == MED_OK;
    if (code == MED_OK) code = med_generation_prune(data, 1, &removed, &crash_err);
    med_build_lock_release(&lock);
    return code;
}

static enum med_code run_activate(struct med_data *data, bool *ret_committed)
{
    enum med_code code = med_generation_activate(data, 2, &crash_err);
    *ret_committed = code == MED_OK;
    return code;
}

static const struct procedure procedures[] = {
    {"first publish", 0, 2, prepare_none, run_publish},
    {"publish and prune", 1, 2, prepare_one, run_publish},
    {"activate", 1, 2, prepare_rolled_back, run_activate},
};

/* --- one run --- */

struct run {
    char dir[MED_PATH_MAX];
    struct med_faulty_fs *faulty;
    struct med_data *data;
};

static void run_open(struct run *r, const struct procedure *p, uint64_t seed)
{
    med_test_temp_new(r->dir);
    OK(med_data_open(r->dir, true, NULL, &r->data, &crash_err));
    OK(p->prepare(r->data));
    med_data_close(&r->data);
    OK(med_faulty_fs_new(r->dir, seed, &r->faulty, &crash_err));
    OK(med_data_open(r->dir, false, med_faulty_fs_seam(r->faulty), &r->data, &crash_err));
}

static void run_close(struct run *r)
{
    med_data_close(&r->data);
    med_faulty_fs_free(&r->faulty);
    med_test_temp_remove(r->dir);
}

static uint64_t served(struct med_data *data)
{
    struct med_pin *pin;
    enum med_code code = med_generation_pin(data, 0, &pin, &crash_err);
    if (code == MED_E_NO_INDEX) return 0;
    OK(code);
    OK(med_manifest_verify(data, med_pin_manifest(pin), NULL, &crash_err));
    uint64_t content = test_generation_content(pin, &crash_err);
    CHECK(content > 0, "the files are not those that were published");
    med_pin_release(&pin);
    return content;
}

/* Also the generations that are not served: prune may not take a segment from one that a loss of
 * power brings back. */
static void check_every_generation(struct med_data *data, const char *what, uint64_t op)
{
    struct med_arena *arena;
    struct med_generation_info *list;
    size_t count;
    OK(med_arena_new(1 << 20, &arena, &crash_err));
    OK(med_generation_list(data, arena, &list, &count, &crash_err));
    for (size_t i = 0; i < count; i++) {
        struct med_pin *pin;
        OK(med_generation_pin(data, list[i].number, &pin, &crash_err));
        enum med_code code = med_manifest_verify(data, med_pin_manifest(pin), NULL, &crash_err);
        CHECK(
            code == MED_OK, "%s, operation %llu: %s", what, (unsigned long long)op, crash_err.text);
        med_pin_release(&pin);
    }
    med_arena_free(&arena);
}

/* Opens what a loss of power may have left, and builds on it. */
static void check_ruins(
    struct run *r, uint64_t may_be, uint64_t or_be, const char *what, uint64_t op)
{
    char left[MED_PATH_MAX];
    struct med_data *data;
    med_test_temp_new(left);
    OK(med_faulty_fs_materialize(r->faulty, left, &crash_err));
    OK(med_data_open(left, true, NULL, &data, &crash_err));
    uint64_t content = served(data);
    CHECK(content == may_be || content == or_be, "%s, operation %llu: content %llu is served", what,
        (unsigned long long)op, (unsigned long long)content);
    check_every_generation(data, what, op);
    OK(publish(data, 3));
    CHECK(served(data) == 3, "%s, operation %llu: the next build does not work", what,
        (unsigned long long)op);
    med_data_close(&data);
    med_test_temp_remove(left);
}

/* --- the promises --- */

static void power_loss_at_every_operation(const struct procedure *p, uint64_t seed, int draws)
{
    bool finished = false;
    uint64_t op = 1;
    for (; !finished; op++) {
        struct run r;
        bool committed = false;
        run_open(&r, p, seed + op);
        med_faulty_fs_crash_after(r.faulty, op);
        finished = p->run(r.data, &committed) == MED_OK;
        for (int i = 0; i < draws; i++) {
            check_ruins(&r, p->after, committed ? p->after : p->before, p->name, op);
        }
        run_close(&r);
    }
    printf("%s: %llu operations, %d draws each\n", p->name, (unsigned long long)op - 2, draws);
}

static void publish_survives_power_loss_at_every_write(void **state)
{
    (void)state;
    uint64_t seed = med_test_seed();
    for (int round = 0; round < crash_rounds(1, 20); round++) {
        for (size_t i = 0; i < sizeof procedures / sizeof *procedures; i++) {
            power_loss_at_every_operation(
                &procedures[i], seed + 1000 * (uint64_t)round, crash_rounds(12, 50));
        }
    }
}

/* One operation fails and the disk works again: nothing changes, and what is on disk is what was
 * before. */
static void a_failed_write_leaves_the_old_generation(void **state)
{
    (void)state;
    uint64_t seed = med_test_seed();
    for (size_t i = 0; i < sizeof procedures / sizeof *procedures; i++) {
        const struct procedure *p = &procedures[i];
        bool finished = false;
        for (uint64_t op = 1; !finished; op++) {
            struct run r;
            bool committed = false;
            run_open(&r, p, seed + op);
            med_faulty_fs_fail_once(r.faulty, op);
            enum med_code code = p->run(r.data, &committed);
            uint64_t ops = med_faulty_fs_op_count(r.faulty);
            finished = ops < op;
            CHECK(finished == (code == MED_OK), "%s, operation %llu of %llu", p->name,
                (unsigned long long)op, (unsigned long long)ops);
            uint64_t content = committed ? p->after : p->before;
            CHECK(served(r.data) == content,
                "%s, operation %llu: the failure changed what is served", p->name,
                (unsigned long long)op);
            for (int k = 0; k < crash_rounds(4, 30); k++)
                check_ruins(&r, content, content, p->name, op);
            run_close(&r);
        }
    }
}

static void a_full_disk_leaves_the_old_generation_and_a_retry_works(void **state)
{
    (void)state;
    uint64_t seed = med_test_seed();
    uint64_t step = (uint64_t)crash_rounds(700, 37);
    bool fits = false;
    for (uint64_t space = 0; !fits; space += step) {
        struct run r;
        bool committed = false;
        run_open(&r, &procedures[1], seed);
        med_faulty_fs_space(r.faulty, space);
        enum med_code code = procedures[1].run(r.data, &committed);
        fits = code == MED_OK;
        CHECK(fits || code == MED_E_NO_SPACE, "%s", crash_err.text);
        CHECK(served(r.data) == (committed ? 2u : 1u), "a full disk changed what is served");
        check_ruins(&r, committed ? 2 : 1, committed ? 2 : 1, "full disk", space);
        med_faulty_fs_space(r.faulty, UINT64_MAX);
        OK(publish(r.data, 2));
        CHECK(served(r.data) == 2, "the retry is not served");
        run_close(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(publish_survives_power_loss_at_every_write),
        cmocka_unit_test(a_failed_write_leaves_the_old_generation),
        cmocka_unit_test(a_full_disk_leaves_the_old_generation_and_a_retry_works),
    };
    crash_prefer_memory();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The docstore: precedence in any order, versions, aliases, dictionaries, durability of batches,
 * damage, limits. */
#include "common/clock.h"
#include "common/mem.h"
#include "common/rng.h"
#include "index/store/internal.h"
#include "tests/support/support.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct med_err err;
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

static int setup(void **state)
{
    struct fixture *f = med_calloc(1, sizeof *f);
    med_test_temp_new(f->dir);
    OK(med_arena_new(64 * MED_MIB, &f->arena, &err));
    OK(med_store_open(f->dir, MED_STORE_READ_WRITE, &f->store, &err));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    med_store_close(&f->store);
    med_arena_free(&f->arena);
    med_test_temp_remove(f->dir);
    med_free(f);
    return 0;
}

static void reopen(struct fixture *f)
{
    med_store_close(&f->store);
    OK(med_store_open(f->dir, MED_STORE_READ_WRITE, &f->store, &err));
}

/* --- documents --- */

static struct med_doc document(const char *id, const char *title)
{
    return (struct med_doc){.id = med_str_of(id), .title = med_str_of(title)};
}

static enum med_put_outcome put_in(struct med_batch *batch, const struct med_doc *doc)
{
    enum med_put_outcome outcome;
    OK(med_batch_put(batch, doc, &outcome, &err));
    return outcome;
}

static enum med_put_outcome put(struct fixture *f, const struct med_doc *doc)
{
    struct med_batch *batch;
    OK(med_batch_begin(f->store, &batch, &err));
    enum med_put_outcome outcome = put_in(batch, doc);
    OK(med_batch_commit(&batch, &err));
    return outcome;
}

static enum med_put_outcome delete (struct fixture *f, const char *id, uint64_t sequence) {
    struct med_batch *batch; enum med_put_outcome outcome;
    OK(med_batch_begin(f->store, &batch, &err));
    OK(med_batch_delete(
        batch, med_str_of(id), (struct med_precedence){.sequence = sequence}, &outcome, &err));
    OK(med_batch_commit(&batch, &err));
    return outcome;
}

static struct med_snapshot *snapshot_of(struct fixture *f)
{
    struct med_snapshot *snapshot;
    OK(med_snapshot_open(f->store, &snapshot, &err));
    return snapshot;
}

static enum med_code get(struct fixture *f, const char *id, struct med_doc **ret_doc)
{
    struct med_snapshot *snapshot = snapshot_of(f);
    enum med_code code = med_snapshot_get(snapshot, med_str_of(id), f->arena, ret_doc, &err);
    med_snapshot_close(&snapshot);
    return code;
}

static void assert_title(struct fixture *f, const char *id, const char *title)
{
    struct med_doc *doc;
    OK(get(f, id, &doc));
    assert_true(med_str_eq(doc->title, med_str_of(title)));
}

static uint64_t doc_count(struct fixture *f)
{
    struct med_snapshot *snapshot = snapshot_of(f);
    uint64_t count = med_snapshot_doc_count(snapshot);
    med_snapshot_close(&snapshot);
    return count;
}

static void assert_sound(struct fixture *f)
{
    struct med_snapshot *snapshot = snapshot_of(f);
    uint64_t problems = 0;
    OK(med_snapshot_check(snapshot, NULL, &problems, &err));
    assert_int_equal(problems, 0);
    med_snapshot_close(&snapshot);
}

/* Ids found under an alias, joined by spaces. */
static const char *found(struct fixture *f, const char *alias)
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

/* --- the basics --- */

static void a_document_comes_back_as_it_was(void **state)
{
    struct fixture *f = *state;
    struct med_section section = {.heading = MED_STR("METHODS"),
        .path = MED_STR("METHODS"),
        .body = MED_STR("We looked."),
        .level = 1};
    struct med_doc doc = document("pmid:1", "A title");
    doc.sections = &section;
    doc.section_count = 1;
    doc.precedence =
        (struct med_precedence){.sequence = 202400001, .version = 1, .date_revised = 20240101};
    assert_int_equal(put(f, &doc), MED_PUT_ADDED);
    reopen(f);
    struct med_doc *back;
    OK(get(f, "pmid:1", &back));
    assert_true(med_str_eq(back->title, doc.title));
    assert_int_equal(back->section_count, 1);
    assert_true(med_str_eq(back->sections[0].body, section.body));
    assert_int_equal(back->store_version, 1);
    assert_int_equal(back->precedence.sequence, 202400001);
    assert_int_equal(get(f, "pmid:2", &back), MED_E_NOT_FOUND);
    assert_int_equal(get(f, "", &back), MED_E_NOT_FOUND);
    assert_int_equal(doc_count(f), 1);
    assert_sound(f);
}

static void versions_count_and_old_ones_stay(void **state)
{
    struct fixture *f = *state;
    struct med_doc one = document("guideline:a", "one"), two = document("guideline:a", "two");
    assert_int_equal(put(f, &one), MED_PUT_ADDED);
    assert_int_equal(put(f, &one), MED_PUT_UNCHANGED);
    assert_int_equal(put(f, &two), MED_PUT_UPDATED);
    assert_int_equal(put(f, &one), MED_PUT_UPDATED); /* what arrives later wins */
    assert_int_equal(delete (f, "guideline:a", 0), MED_PUT_DELETED);
    struct med_doc *doc;
    assert_int_equal(get(f, "guideline:a", &doc), MED_E_GONE);
    assert_int_equal(put(f, &two), MED_PUT_ADDED); /* back again */
    struct med_snapshot *snapshot = snapshot_of(f);
    const char *titles[] = {"one", "two", "one", NULL, "two"};
    for (uint32_t version = 1; version <= 5; version++) {
        enum med_code code = med_snapshot_get_version(
            snapshot, MED_STR("guideline:a"), version, f->arena, &doc, &err);
        assert_int_equal(code, titles[version - 1] ? MED_OK : MED_E_GONE);
        if (code != MED_OK) continue;
        assert_true(med_str_eq(doc->title, med_str_of(titles[version - 1])));
        assert_int_equal(doc->store_version, version);
    }
    assert_int_equal(
        med_snapshot_get_version(snapshot, MED_STR("guideline:a"), 6, f->arena, &doc, &err),
        MED_E_NOT_FOUND);
    med_snapshot_close(&snapshot);
    assert_int_equal(doc_count(f), 1);
    assert_sound(f);
}

static void an_old_file_does_not_resurrect_a_deleted_citation(void **state)
{
    struct fixture *f = *state;
    struct med_doc doc = document("pmid:7", "baseline");
    doc.precedence =
        (struct med_precedence){.sequence = 202400010, .version = 1, .date_revised = 20231111};
    assert_int_equal(put(f, &doc), MED_PUT_ADDED);
    assert_int_equal(delete (f, "pmid:7", 202401300), MED_PUT_DELETED);
    assert_int_equal(put(f, &doc), MED_PUT_OLDER);
    doc.precedence.sequence = 202401300; /* the same file: the deletion wins */
    assert_int_equal(put(f, &doc), MED_PUT_OLDER);
    struct med_doc *back;
    assert_int_equal(get(f, "pmid:7", &back), MED_E_GONE);
    doc.precedence.sequence = 202401301;
    assert_int_equal(put(f, &doc), MED_PUT_ADDED);
    assert_title(f, "pmid:7", "baseline");
    assert_int_equal(delete (f, "pmid:7", 202401300), MED_PUT_OLDER);
    assert_int_equal(delete (f, "pmid:8", 202401300), MED_PUT_UNCHANGED); /* before it ever came */
    doc = document("pmid:8", "late");
    doc.precedence = (struct med_precedence){.sequence = 202400010, .version = 1};
    assert_int_equal(put(f, &doc), MED_PUT_OLDER);
    assert_sound(f);
}

/* --- any order gives the same store --- */

enum { EVENTS = 60, IDS = 5 };
struct event {
    bool live;
    struct med_doc doc;
};

static struct event random_event(struct med_rng *rng, struct med_arena *arena)
{
    struct event e = {.live = med_rng_below(rng, 4) > 0};
    /* Narrow ranges, so that ties on every field happen. */
    e.doc = document(med_arena_printf(arena, "pmid:%d", (int)med_rng_below(rng, IDS)),
        med_arena_printf(arena, "title %d", (int)med_rng_below(rng, 3)));
    e.doc.pmcid = med_str_of(med_arena_printf(arena, "PMC%d", (int)med_rng_below(rng, 3)));
    e.doc.doi = med_str_of(med_arena_printf(arena, "10.1/%d", (int)med_rng_below(rng, 2)));
    e.doc.precedence = (struct med_precedence){
        .sequence = med_rng_below(rng, 4),
        .version = 1 + (uint32_t)med_rng_below(rng, 2),
        .date_revised = (uint32_t)med_rng_below(rng, 2),
    };
    return e;
}

/* Everything but version numbers and old versions, as text. */
static const char *logical_dump(struct fixture *f)
{
    struct med_buf out;
    med_buf_init(&out, MED_MIB);
    struct med_txn *txn;
    OK(med_txn_begin(f->store->env, false, &txn, &err));
    struct med_cursor *cursor;
    struct med_str key = {0}, value;
    OK(med_cursor_open(txn, TABLE_HEADS, &cursor, &err));
    enum med_code code = med_cursor_move(cursor, MED_MOVE_FIRST, &key, &value, &err);
    for (; code == MED_OK; code = med_cursor_move(cursor, MED_MOVE_NEXT, &key, &value, &err)) {
        struct med_head head;
        assert_true(med_head_decode(value, &head));
        med_buf_printf(&out, MED_STR_FMT " %d %llu %u %u %llx\n", MED_STR_ARG(key), head.live,
            (unsigned long long)head.precedence.sequence, head.precedence.version,
            head.precedence.date_revised, (unsigned long long)head.hash.lo);
    }
    med_cursor_close(&cursor);
    OK(med_cursor_open(txn, TABLE_ALIASES, &cursor, &err));
    code = med_cursor_move(cursor, MED_MOVE_FIRST, &key, &value, &err);
    for (; code == MED_OK; code = med_cursor_move(cursor, MED_MOVE_NEXT, &key, &value, &err)) {
        med_buf_printf(
            &out, MED_STR_FMT " -> " MED_STR_FMT "\n", MED_STR_ARG(key), MED_STR_ARG(value));
    }
    med_cursor_close(&cursor);
    med_txn_abort(&txn);
    struct med_snapshot *snapshot = snapshot_of(f);
    struct med_id_version *list;
    size_t count;
    OK(med_snapshot_list(snapshot, f->arena, &list, &count, &err));
    for (size_t i = 0; i < count; i++) {
        struct med_doc *doc;
        OK(med_snapshot_get(snapshot, list[i].id, f->arena, &doc, &err));
        assert_int_equal(doc->store_version, list[i].version);
        med_doc_encode(doc, &out);
    }
    med_buf_printf(&out, "\n%zu live\n", count);
    med_snapshot_close(&snapshot);
    OK(med_buf_status(&out, &err));
    const char *text = med_arena_strndup(f->arena, out.data, out.len);
    assert_non_null(text);
    med_buf_free(&out);
    return text;
}

static void apply(
    struct fixture *f, const struct event *events, const size_t *order, struct med_rng *rng)
{
    struct med_batch *batch = NULL;
    for (size_t i = 0; i < EVENTS; i++) {
        const struct event *e = &events[order[i]];
        enum med_put_outcome outcome;
        if (!batch) OK(med_batch_begin(f->store, &batch, &err));
        if (e->live)
            OK(med_batch_put(batch, &e->doc, &outcome, &err));
        else
            OK(med_batch_delete(batch, e->doc.id, e->doc.precedence, &outcome, &err));
        if (med_rng_below(rng, 8) == 0) OK(med_batch_commit(&batch, &err));
    }
    if (batch) OK(med_batch_commit(&batch, &err));
}

static void any_order_of_files_gives_the_same_store(void **state)
{
    struct fixture *f = *state;
    struct med_rng rng;
    med_rng_seed(&rng, med_test_seed());
    const char *soak = getenv("MEDICUS_SOAK");
    int rounds = soak ? 40 : 6;
    for (int round = 0; round < rounds; round++) {
        struct event events[EVENTS];
        size_t order[EVENTS];
        const char *first = NULL;
        med_arena_reset(f->arena);
        for (size_t i = 0; i < EVENTS; i++) {
            events[i] = random_event(&rng, f->arena);
            order[i] = i;
        }
        for (int shuffle = 0; shuffle < 4; shuffle++) {
            struct fixture other = {.arena = f->arena};
            med_test_temp_new(other.dir);
            OK(med_store_open(other.dir, MED_STORE_READ_WRITE, &other.store, &err));
            apply(&other, events, order, &rng);
            assert_sound(&other);
            const char *dump = logical_dump(&other);
            if (!first) first = dump;
            assert_string_equal(dump, first);
            med_store_close(&other.store);
            med_test_temp_remove(other.dir);
            for (size_t i = EVENTS - 1; i > 0; i--) {
                size_t k = (size_t)med_rng_below(&rng, i + 1), was = order[i];
                order[i] = order[k];
                order[k] = was;
            }
        }
    }
}

/* --- aliases --- */

static void aliases_follow_the_current_version(void **state)
{
    struct fixture *f = *state;
    struct med_doc abstract = document("pmid:31", "abstract"),
                   full = document("pmcid:PMC9", "full text");
    abstract.pmid = MED_STR("31");
    abstract.doi = MED_STR("10.1000/x");
    full.pmid = MED_STR("31");
    full.pmcid = MED_STR("PMC9");
    put(f, &abstract);
    put(f, &full);
    assert_string_equal(found(f, "pmid:31"), "pmcid:PMC9 pmid:31");
    assert_string_equal(found(f, "doi:10.1000/x"), "pmid:31");
    abstract.doi = MED_STR("10.1000/y");
    put(f, &abstract);
    assert_string_equal(found(f, "doi:10.1000/x"), "");
    assert_string_equal(found(f, "doi:10.1000/y"), "pmid:31");
    delete (f, "pmid:31", 0);
    assert_string_equal(found(f, "doi:10.1000/y"), "");
    assert_string_equal(found(f, "pmid:31"), "pmcid:PMC9");
    assert_string_equal(found(f, ""), "");
    char longer[1000];
    memset(longer, 'd', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    full.doi = med_str_of(longer); /* too long for a key: not kept, but no error */
    assert_int_equal(put(f, &full), MED_PUT_UPDATED);
    assert_string_equal(found(f, longer), "");
    assert_sound(f);
}

/* --- dictionaries --- */

static void put_many(struct fixture *f, int from, int to)
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

static uint32_t dict_of(struct fixture *f, const char *id, uint32_t version, size_t *ret_len)
{
    char key[MED_VERSION_KEY_BYTES_MAX];
    struct med_txn *txn;
    struct med_str bytes;
    struct med_record record;
    OK(med_txn_begin(f->store->env, false, &txn, &err));
    OK(med_txn_get(
        txn, TABLE_VERSIONS, med_version_key(key, med_str_of(id), version), &bytes, &err));
    assert_true(med_record_decode(bytes, &record));
    *ret_len = record.payload.len;
    med_txn_abort(&txn);
    return record.dict_id;
}

static void a_dictionary_is_trained_and_old_records_stay_readable(void **state)
{
    struct fixture *f = *state;
    size_t without, with;
    put_many(f, 0, 1500);
    assert_int_equal(dict_of(f, "doc:000100", 1, &without), 0);
    put_many(f, 1500, 2600); /* crosses 2,000 inside the batch */
    assert_int_equal(dict_of(f, "doc:001900", 1, &without), 0);
    assert_int_equal(dict_of(f, "doc:002500", 1, &with), 1);
    assert_true(with < without);
    reopen(f);
    put_many(f, 2600, 2700);
    assert_int_equal(dict_of(f, "doc:002650", 1, &with), 1);
    /* A second one, as if the store had grown fifty times. */
    struct med_batch *batch;
    OK(med_batch_begin(f->store, &batch, &err));
    OK(batch_train(batch, &err));
    OK(med_batch_commit(&batch, &err));
    put_many(f, 2700, 2800);
    assert_int_equal(dict_of(f, "doc:002750", 1, &with), 2);
    reopen(f);
    assert_sound(f);
    assert_int_equal(doc_count(f), 2800);
}

static void an_aborted_dictionary_is_not_used(void **state)
{
    struct fixture *f = *state;
    put_many(f, 0, 1990);
    struct med_batch *batch;
    OK(med_batch_begin(f->store, &batch, &err));
    for (int i = 0; i < 50; i++) {
        char id[32];
        snprintf(id, sizeof id, "doc:x%d", i);
        struct med_doc doc = document(id, "x");
        put_in(batch, &doc);
    }
    assert_non_null(batch->new_dict);
    med_batch_abort(&batch);
    assert_int_equal(f->store->dict_count, 0);
    put_many(f, 1990, 2100);
    size_t len;
    assert_int_equal(dict_of(f, "doc:002090", 1, &len), 1);
    assert_sound(f);
}

/* --- batches and snapshots --- */

static void an_aborted_batch_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct med_doc doc = document("doc:a", "a"), *back;
    struct med_batch *batch;
    OK(med_batch_begin(f->store, &batch, &err));
    put_in(batch, &doc);
    assert_true(med_batch_bytes(batch) > 0);
    med_batch_abort(&batch);
    assert_null(batch);
    assert_int_equal(get(f, "doc:a", &back), MED_E_NOT_FOUND);
    assert_int_equal(doc_count(f), 0);
}

static void a_bad_document_leaves_the_batch_usable(void **state)
{
    struct fixture *f = *state;
    struct med_batch *batch;
    enum med_put_outcome outcome;
    struct med_doc bad = document("no colon", "x"), good = document("doc:good", "x");
    OK(med_batch_begin(f->store, &batch, &err));
    assert_int_equal(med_batch_put(batch, &bad, &outcome, &err), MED_E_INVALID);
    struct med_section section = {
        .body = {.ptr = med_calloc(1, 65 * MED_MIB), .len = 65 * MED_MIB}};
    bad = document("doc:big", "x");
    bad.sections = &section;
    bad.section_count = 1;
    assert_int_equal(med_batch_put(batch, &bad, &outcome, &err), MED_E_LIMIT);
    med_free((void *)section.body.ptr);
    assert_int_equal(put_in(batch, &good), MED_PUT_ADDED);
    OK(med_batch_commit(&batch, &err));
    assert_title(f, "doc:good", "x");
}

static void a_snapshot_sees_one_state(void **state)
{
    struct fixture *f = *state;
    struct med_doc one = document("doc:a", "one"), two = document("doc:a", "two"), *back;
    put(f, &one);
    struct med_snapshot *old = snapshot_of(f);
    put(f, &two);
    struct med_snapshot *new = snapshot_of(f);
    assert_true(med_snapshot_txn_id(new) > med_snapshot_txn_id(old));
    OK(med_snapshot_get(old, one.id, f->arena, &back, &err));
    assert_true(med_str_eq(back->title, one.title));
    OK(med_snapshot_get(new, one.id, f->arena, &back, &err));
    assert_true(med_str_eq(back->title, two.title));
    uint64_t before = med_snapshot_txn_id(new);
    med_snapshot_close(&old);
    med_snapshot_close(&new);
    struct med_batch *batch;
    OK(med_batch_begin(f->store, &batch, &err));
    OK(med_batch_commit(&batch, &err)); /* empty: no new state */
    new = snapshot_of(f);
    assert_int_equal(med_snapshot_txn_id(new), before);
    med_snapshot_close(&new);
}

static enum med_code collect_id(
    void *ctx, const struct med_doc *doc, struct med_arena *arena, struct med_err *e)
{
    (void)arena;
    (void)e;
    struct med_buf *out = ctx;
    med_buf_append_str(out, doc->id);
    med_buf_putc(out, ' ');
    return med_str_eq(doc->id, MED_STR("doc:stop")) ? MED_E_CANCELLED : MED_OK;
}

static void each_visits_live_documents_in_order(void **state)
{
    struct fixture *f = *state;
    const char *ids[] = {"pmid:9", "doc:b", "pmid:10", "doc:a", "guideline:z"};
    for (size_t i = 0; i < 5; i++) {
        struct med_doc doc = document(ids[i], ids[i]);
        put(f, &doc);
    }
    delete (f, "doc:b", 0);
    struct med_buf out;
    med_buf_init(&out, MED_KIB);
    struct med_snapshot *snapshot = snapshot_of(f);
    OK(med_snapshot_each(snapshot, collect_id, &out, &err));
    assert_string_equal(out.data, "doc:a guideline:z pmid:10 pmid:9 ");
    med_snapshot_close(&snapshot);
    struct med_doc stop = document("doc:stop", "x");
    put(f, &stop);
    med_buf_reset(&out);
    snapshot = snapshot_of(f);
    assert_int_equal(med_snapshot_each(snapshot, collect_id, &out, &err), MED_E_CANCELLED);
    assert_string_equal(out.data, "doc:a doc:stop ");
    med_snapshot_close(&snapshot);
    med_buf_free(&out);
}

static void the_input_log_gives_the_newest_first(void **state)
{
    struct fixture *f = *state;
    struct med_batch *batch;
    for (uint64_t i = 1; i <= 5; i++) {
        struct med_input_entry entry = {
            .name = med_str_of(med_arena_printf(f->arena, "pubmed%d.xml", (int)i)),
            .sequence = i,
            .unix_time_s = 1700000000 + (int64_t)i,
            .added = 10 * i,
            .skipped = 1};
        OK(med_batch_begin(f->store, &batch, &err));
        OK(med_batch_log_input(batch, &entry, &err));
        OK(med_batch_commit(&batch, &err));
    }
    struct med_snapshot *snapshot = snapshot_of(f);
    struct med_input_entry *entries;
    size_t count;
    OK(med_snapshot_inputs(snapshot, 3, f->arena, &entries, &count, &err));
    assert_int_equal(count, 3);
    assert_true(med_str_eq(entries[0].name, MED_STR("pubmed5.xml")));
    assert_int_equal(entries[2].added, 30);
    assert_int_equal(entries[2].unix_time_s, 1700000003);
    OK(med_snapshot_inputs(snapshot, 100, f->arena, &entries, &count, &err));
    assert_int_equal(count, 5);
    med_snapshot_close(&snapshot);
}

static void trim_and_purge_remove_what_they_say(void **state)
{
    struct fixture *f = *state;
    for (int i = 1; i <= 4; i++) {
        struct med_doc doc = document("doc:a", med_arena_printf(f->arena, "%d", i));
        doc.doi = MED_STR("10.1/a");
        put(f, &doc);
    }
    struct med_doc other = document("doc:a2", "other"), *back;
    put(f, &other);
    struct med_batch *batch;
    uint64_t removed;
    uint32_t keep = 2;
    OK(med_batch_begin(f->store, &batch, &err));
    OK(med_batch_trim(batch, MED_STR("doc:a"), &keep, 1, &removed, &err));
    assert_int_equal(removed, 2);
    OK(med_batch_commit(&batch, &err));
    struct med_snapshot *snapshot = snapshot_of(f);
    OK(med_snapshot_get_version(snapshot, MED_STR("doc:a"), 2, f->arena, &back, &err));
    assert_int_equal(med_snapshot_get_version(snapshot, MED_STR("doc:a"), 1, f->arena, &back, &err),
        MED_E_NOT_FOUND);
    med_snapshot_close(&snapshot);
    assert_title(f, "doc:a", "4");
    assert_sound(f);
    OK(med_batch_begin(f->store, &batch, &err));
    OK(med_batch_purge(batch, MED_STR("doc:a"), &err));
    assert_int_equal(med_batch_purge(batch, MED_STR("doc:a"), &err), MED_E_NOT_FOUND);
    OK(med_batch_commit(&batch, &err));
    assert_int_equal(get(f, "doc:a", &back), MED_E_NOT_FOUND);
    assert_string_equal(found(f, "doi:10.1/a"), "");
    assert_title(f, "doc:a2", "other");
    assert_int_equal(doc_count(f), 1);
    assert_sound(f);
}

static void a_copy_is_a_store(void **state)
{
    struct fixture *f = *state;
    put_many(f, 0, 2100);
    struct fixture copy = {.arena = f->arena};
    med_test_temp_new(copy.dir);
    OK(med_store_copy(f->store, copy.dir, &err));
    OK(med_store_open(copy.dir, MED_STORE_READ_WRITE, &copy.store, &err));
    assert_int_equal(doc_count(&copy), 2100);
    assert_sound(&copy);
    med_store_close(&copy.store);
    med_test_temp_remove(copy.dir);
}

/* --- opening --- */

static void a_folder_is_open_once_in_a_process(void **state)
{
    struct fixture *f = *state;
    struct med_store *second, *reader;
    OK(med_store_open(f->dir, MED_STORE_READ_WRITE, &second, &err));
    assert_ptr_equal(second->env, f->store->env);
    OK(med_store_open(f->dir, MED_STORE_READ_ONLY, &reader, &err));
    assert_ptr_equal(reader->env, f->store->env);
    struct med_batch *batch;
    assert_int_equal(med_batch_begin(reader, &batch, &err), MED_E_PERMISSION);
    med_store_close(&f->store);
    med_store_close(&reader);
    struct fixture g = {.store = second, .arena = f->arena};
    struct med_doc doc = document("doc:a", "a");
    assert_int_equal(put(&g, &doc), MED_PUT_ADDED);
    med_store_close(&second);
    OK(med_store_open(f->dir, MED_STORE_READ_ONLY, &f->store, &err));
    assert_int_equal(med_store_open(f->dir, MED_STORE_READ_WRITE, &second, &err), MED_E_CONFLICT);
    assert_title(f, "doc:a", "a");
}

static void the_lock_file_is_allocated(void **state)
{
    struct fixture *f = *state;
    char path[MED_PATH_MAX];
    struct stat st;
    OK(med_path_join(path, f->dir, "lock.mdb", &err));
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size > 0 && (off_t)st.st_blocks * 512 >= st.st_size);
}

static void reading_an_absent_store_says_so(void **state)
{
    struct fixture *f = *state;
    char path[MED_PATH_MAX];
    struct med_store *store;
    OK(med_path_join(path, f->dir, "nothing", &err));
    assert_int_equal(med_store_open(path, MED_STORE_READ_ONLY, &store, &err), MED_E_NOT_FOUND);
    assert_false(med_path_exists(path));
}

/* As another user, who may read the folder but not write there. */
static void a_replica_reads_a_read_only_folder_without_locks(void **state)
{
    struct fixture *f = *state;
    struct med_doc doc = document("doc:a", "a");
    put(f, &doc);
    char path[MED_PATH_MAX];
    med_store_close(&f->store);
    OK(med_path_join(path, f->dir, "lock.mdb", &err));
    assert_int_equal(unlink(path), 0);
    OK(med_path_join(path, f->dir, "data.mdb", &err));
    assert_int_equal(chmod(path, 0444), 0);
    assert_int_equal(chmod(f->dir, 0555), 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) _exit(0);
        if (med_store_open(f->dir, MED_STORE_READ_ONLY, &f->store, &err) != MED_OK) _exit(1);
        struct med_snapshot *snapshot;
        struct med_doc *back;
        if (med_snapshot_open(f->store, &snapshot, &err) != MED_OK) _exit(2);
        if (med_snapshot_get(snapshot, doc.id, f->arena, &back, &err) != MED_OK) _exit(3);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(chmod(f->dir, 0755), 0);
    assert_int_equal(chmod(path, 0640), 0);
}

/* --- the map --- */

static void the_map_grows_between_batches(void **state)
{
    struct fixture *f = *state;
    med_store_close(&f->store);
    OK(store_open_sized(f->dir, MED_STORE_READ_WRITE, 2 * MED_MIB, MED_MIB, &f->store, &err));
    uint64_t before = med_env_map_bytes(f->store->env);
    for (int i = 0; i < 40; i++) put_many(f, i * 200, (i + 1) * 200);
    assert_true(med_env_map_bytes(f->store->env) > before);
    assert_int_equal(doc_count(f), 8000);
    assert_sound(f);
}

static void a_map_that_cannot_grow_is_an_error_and_loses_nothing(void **state)
{
    struct fixture *f = *state;
    med_store_close(&f->store);
    /* Without the room that keeps this from happening. */
    OK(store_open_sized(f->dir, MED_STORE_READ_WRITE, MED_MIB, 0, &f->store, &err));
    struct med_doc small = document("doc:a", "a");
    put(f, &small);
    struct med_section section = {.body = {.ptr = med_malloc(4 * MED_MIB), .len = 4 * MED_MIB}};
    struct med_rng rng;
    med_rng_seed(&rng, 1);
    for (size_t i = 0; i < section.body.len; i++)
        ((char *)section.body.ptr)[i] = (char)med_rng_u64(&rng);
    struct med_doc big = document("doc:big", "big");
    big.sections = &section;
    big.section_count = 1;
    struct med_batch *batch;
    enum med_put_outcome outcome;
    OK(med_batch_begin(f->store, &batch, &err));
    assert_int_equal(med_batch_put(batch, &big, &outcome, &err), MED_E_NO_SPACE);
    assert_int_equal(med_batch_put(batch, &small, &outcome, &err), MED_E_NO_SPACE); /* poisoned */
    assert_int_equal(med_batch_commit(&batch, &err), MED_E_NO_SPACE);
    assert_title(f, "doc:a", "a");
    med_store_close(&f->store);
    OK(store_open_sized(f->dir, MED_STORE_READ_WRITE, MED_MIB, 16 * MED_MIB, &f->store, &err));
    assert_int_equal(put(f, &big), MED_PUT_ADDED);
    assert_sound(f);
    med_free((void *)section.body.ptr);
}

static void a_map_grown_by_another_process_is_adopted(void **state)
{
    struct fixture *f = *state;
    med_store_close(&f->store);
    OK(store_open_sized(f->dir, MED_STORE_READ_WRITE, MED_MIB, 0, &f->store, &err));
    pid_t pid = fork();
    if (pid == 0) { /* its own environment: what it inherited is not touched */
        struct fixture g = *f;
        if (med_store_open(f->dir, MED_STORE_READ_WRITE, &g.store, &err) != MED_OK) _exit(1);
        put_many(&g, 0, 8000);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(doc_count(f), 8000);
    struct med_doc doc = document("doc:a", "a");
    assert_int_equal(put(f, &doc), MED_PUT_ADDED);
    assert_sound(f);
}

/* --- damage --- */

static void with_value(struct fixture *f, enum store_table table, struct med_str key, size_t flip)
{
    struct med_txn *txn;
    struct med_str value;
    char copy[4096];
    OK(med_txn_begin(f->store->env, true, &txn, &err));
    OK(med_txn_get(txn, table, key, &value, &err));
    assert_true(value.len <= sizeof copy);
    memcpy(copy, value.ptr, value.len);
    copy[flip / 8 % value.len] ^= (char)(1 << flip % 8);
    OK(med_txn_put(txn, table, key, (struct med_str){.ptr = copy, .len = value.len}, &err));
    OK(med_txn_commit(&txn, &err));
}

static void every_flipped_bit_of_a_record_is_noticed(void **state)
{
    struct fixture *f = *state;
    struct med_doc doc = document(
                       "doc:a", "A title that is long enough to be worth compressing, compressing"),
                   *back;
    put(f, &doc);
    char key_bytes[MED_VERSION_KEY_BYTES_MAX];
    struct med_str key = med_version_key(key_bytes, doc.id, 1);
    struct med_txn *txn;
    struct med_str value;
    OK(med_txn_begin(f->store->env, false, &txn, &err));
    OK(med_txn_get(txn, TABLE_VERSIONS, key, &value, &err));
    size_t bits = value.len * 8;
    med_txn_abort(&txn);
    for (size_t bit = 0; bit < bits; bit++) {
        with_value(f, TABLE_VERSIONS, key, bit);
        med_arena_reset(f->arena);
        enum med_code code = get(f, "doc:a", &back);
        /* A flip that changes nothing that is read (zstd's unused bits) still gives the right text.
         */
        if (code == MED_OK)
            assert_true(med_str_eq(back->title, doc.title));
        else
            assert_int_equal(code, MED_E_CORRUPT);
        with_value(f, TABLE_VERSIONS, key, bit);
    }
    assert_title(f, "doc:a", "A title that is long enough to be worth compressing, compressing");
}

static void check_finds_what_disagrees(void **state)
{
    struct fixture *f = *state;
    struct med_doc doc = document("doc:a", "a");
    doc.doi = MED_STR("10.1/a");
    put(f, &doc);
    struct med_txn *txn;
    OK(med_txn_begin(f->store->env, true, &txn, &err));
    OK(med_txn_put(txn, TABLE_ALIASES, MED_STR("doi:10.1/b"), MED_STR("doc:a"), &err));
    OK(med_txn_put(txn, TABLE_VERSIONS, MED_STR("doc:b\0\0\0\0\1"), MED_STR("nonsense"), &err));
    OK(med_txn_commit(&txn, &err));
    struct med_snapshot *snapshot = snapshot_of(f);
    uint64_t problems;
    assert_int_equal(med_snapshot_check(snapshot, NULL, &problems, &err), MED_E_CORRUPT);
    assert_int_equal(problems, 2);
    med_snapshot_close(&snapshot);
    with_value(f, TABLE_HEADS, MED_STR("doc:a"), 30 * 8); /* in the hash */
    struct med_doc *back;
    assert_int_equal(get(f, "doc:a", &back), MED_E_CORRUPT);
}

static void a_cut_off_or_foreign_file_is_refused(void **state)
{
    struct fixture *f = *state;
    char path[MED_PATH_MAX];
    for (int i = 0; i < 5; i++) put_many(f, i * 4000, (i + 1) * 4000);
    med_store_close(&f->store);
    OK(med_path_join(path, f->dir, "data.mdb", &err));
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(truncate(path, st.st_size / 2), 0);
    assert_int_equal(med_store_open(f->dir, MED_STORE_READ_WRITE, &f->store, &err), MED_E_CORRUPT);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < 100000; i++) fputc('x', file);
    fclose(file);
    assert_int_equal(med_store_open(f->dir, MED_STORE_READ_ONLY, &f->store, &err), MED_E_CORRUPT);
}

static void a_newer_format_is_refused(void **state)
{
    struct fixture *f = *state;
    struct med_txn *txn;
    struct med_str value;
    char copy[64];
    OK(med_txn_begin(f->store->env, true, &txn, &err));
    OK(med_txn_get(txn, TABLE_META, MED_STR("state"), &value, &err));
    size_t len = value.len;
    memcpy(copy, value.ptr, len);
    copy[0] = MED_STORE_FORMAT + 1;
    OK(med_txn_put(
        txn, TABLE_META, MED_STR("state"), (struct med_str){.ptr = copy, .len = len}, &err));
    OK(med_txn_commit(&txn, &err));
    med_store_close(&f->store);
    assert_int_equal(
        med_store_open(f->dir, MED_STORE_READ_WRITE, &f->store, &err), MED_E_UNSUPPORTED);
}

static void memory_that_runs_out_loses_nothing(void **state)
{
    struct fixture *f = *state;
    struct med_doc before = document("doc:before", "x"), doc = document("doc:a", "a");
    doc.doi = MED_STR("10.1/a");
    put(f, &before);
    for (uint64_t n = 1;; n++) {
        struct med_batch *batch = NULL;
        enum med_put_outcome outcome;
        med_mem_fail_after(n);
        enum med_code code = med_batch_begin(f->store, &batch, &err);
        if (code == MED_OK) code = med_batch_put(batch, &doc, &outcome, &err);
        if (code == MED_OK) code = med_batch_commit(&batch, &err);
        med_mem_fail_after(0);
        med_batch_abort(&batch);
        if (code == MED_OK) break;
        assert_int_equal(code, MED_E_NOMEM);
        assert_int_equal(doc_count(f), 1);
    }
    assert_int_equal(doc_count(f), 2);
    assert_sound(f);
}

/* --- speed, printed only --- */

static void speed(void **state)
{
    struct fixture *f = *state;
    if (!getenv("MEDICUS_SPEED")) skip();
    enum { N = 100000, POOL_BYTES = 4 << 20, BODY_BYTES = 2000 };
    char *pool = med_malloc(POOL_BYTES + 16);
    assert_non_null(pool);
    struct med_rng rng;
    med_rng_seed(&rng, 5);
    for (size_t k = 0; k < POOL_BYTES;) {
        double u = med_rng_unit(&rng);
        k += (size_t)snprintf(pool + k, 16, "word%d ", (int)(20000 * u * u * u));
    }
    for (int random = 0; random < 2; random++) {
        uint64_t start = med_now_ns();
        struct med_batch *batch = NULL;
        for (int i = 0; i < N; i++) {
            char id[32];
            if (!batch) OK(med_batch_begin(f->store, &batch, &err));
            snprintf(id, sizeof id, random ? "pmid:%llu" : "doc:%08llu",
                random ? (unsigned long long)med_rng_below(&rng, 40000000) : (unsigned long long)i);
            struct med_section section = {
                .body = {
                    .ptr = pool + med_rng_below(&rng, POOL_BYTES - BODY_BYTES), .len = BODY_BYTES}};
            struct med_doc doc = document(id, "title");
            doc.sections = &section;
            doc.section_count = 1;
            enum med_put_outcome outcome;
            OK(med_batch_put(batch, &doc, &outcome, &err));
            if (med_batch_bytes(batch) > 32 * MED_MIB) OK(med_batch_commit(&batch, &err));
        }
        OK(med_batch_commit(&batch, &err));
        double s = (double)(med_now_ns() - start) / 1e9;
        printf("%s keys: %.0f documents/s\n", random ? "random" : "sorted", N / s);
    }
    med_free(pool);
    uint64_t start = med_now_ns();
    struct med_snapshot *snapshot = snapshot_of(f);
    for (int i = 0; i < 100000; i++) {
        char id[32];
        struct med_doc *doc;
        snprintf(id, sizeof id, "doc:%08d", (int)med_rng_below(&rng, N));
        med_arena_reset(f->arena);
        OK(med_snapshot_get(snapshot, med_str_of(id), f->arena, &doc, &err));
    }
    printf("get: %.2f us\n", (double)(med_now_ns() - start) / 1e3 / 100000);
    start = med_now_ns();
    uint64_t problems;
    OK(med_snapshot_check(snapshot, NULL, &problems, &err));
    printf("check: %.0f documents/s\n", 2 * N / ((double)(med_now_ns() - start) / 1e9));
    med_snapshot_close(&snapshot);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_document_comes_back_as_it_was),
        TEST(versions_count_and_old_ones_stay),
        TEST(an_old_file_does_not_resurrect_a_deleted_citation),
        TEST(any_order_of_files_gives_the_same_store),
        TEST(aliases_follow_the_current_version),
        TEST(a_dictionary_is_trained_and_old_records_stay_readable),
        TEST(an_aborted_dictionary_is_not_used),
        TEST(an_aborted_batch_leaves_nothing),
        TEST(a_bad_document_leaves_the_batch_usable),
        TEST(a_snapshot_sees_one_state),
        TEST(each_visits_live_documents_in_order),
        TEST(the_input_log_gives_the_newest_first),
        TEST(trim_and_purge_remove_what_they_say),
        TEST(a_copy_is_a_store),
        TEST(a_folder_is_open_once_in_a_process),
        TEST(the_lock_file_is_allocated),
        TEST(reading_an_absent_store_says_so),
        TEST(a_replica_reads_a_read_only_folder_without_locks),
        TEST(the_map_grows_between_batches),
        TEST(a_map_that_cannot_grow_is_an_error_and_loses_nothing),
        TEST(a_map_grown_by_another_process_is_adopted),
        TEST(every_flipped_bit_of_a_record_is_noticed),
        TEST(check_finds_what_disagrees),
        TEST(a_cut_off_or_foreign_file_is_refused),
        TEST(a_newer_format_is_refused),
        TEST(memory_that_runs_out_loses_nothing),
        TEST(speed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

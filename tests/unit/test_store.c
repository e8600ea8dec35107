/* The docstore: precedence in any order, versions, aliases, dictionaries, batches and snapshots. */
#include "common/clock.h"
#include "common/rng.h"
#include "tests/unit/store_fixture.h"

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
    assert_int_equal(delete (f, "pmid:8", 202401300), MED_PUT_DELETED); /* before it ever came */
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

static const char *found_at(struct fixture *f, const char *url)
{
    struct med_str name;
    OK(med_doc_url_name(med_str_of(url), f->arena, &name, &err));
    return found(f, name.ptr);
}

static void addresses_are_names_that_follow_the_current_version(void **state)
{
    struct fixture *f = *state;
    struct med_doc guideline = document("guideline:tea", "Tea"),
                   paper = document("pmid:7", "Paper");
    guideline.url = MED_STR("https://example.org/tea/");
    paper.pmid = MED_STR("7");
    paper.url = MED_STR("https://pubmed.ncbi.nlm.nih.gov/7/"); /* told by the id already */
    put(f, &guideline);
    put(f, &paper);
    assert_string_equal(found_at(f, "http://example.org/tea"), "guideline:tea");
    assert_string_equal(found_at(f, "https://pubmed.ncbi.nlm.nih.gov/7/"), "");
    guideline.url = MED_STR("https://example.org/coffee");
    put(f, &guideline);
    assert_string_equal(found_at(f, "http://example.org/tea"), "");
    assert_string_equal(found_at(f, "http://example.org/coffee"), "guideline:tea");
    struct med_batch *batch;
    OK(med_batch_begin(f->store, &batch, &err));
    OK(med_batch_purge(batch, MED_STR("guideline:tea"), &err));
    OK(med_batch_commit(&batch, &err));
    assert_string_equal(found_at(f, "http://example.org/coffee"), "");
    assert_sound(f);
}

/* --- dictionaries --- */

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
        TEST(addresses_are_names_that_follow_the_current_version),
        TEST(a_dictionary_is_trained_and_old_records_stay_readable),
        TEST(an_aborted_dictionary_is_not_used),
        TEST(an_aborted_batch_leaves_nothing),
        TEST(a_bad_document_leaves_the_batch_usable),
        TEST(a_snapshot_sees_one_state),
        TEST(each_visits_live_documents_in_order),
        TEST(the_input_log_gives_the_newest_first),
        TEST(trim_and_purge_remove_what_they_say),
        TEST(a_copy_is_a_store),
        TEST(speed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Segments merged without their dead documents against a segment that was built from the live ones:
 * the same bytes. Documents are random texts over few words, so that titles, headings and bodies
 * share terms in every way. MEDICUS_SEED replays a run. */
#include "common/mem.h"
#include "common/rng.h"
#include "index/builder.h"
#include "index/merge.h"
#include "tests/unit/index_fixture.h"

#define DOC_COUNT 150u
#define PARTS_MAX 4u
#define TRIALS 4u
#define DAMAGE_ROUNDS 120u

static struct med_arena *arena;

/* --- random documents --- */

static struct med_str words(struct med_rng *rng, size_t count, bool sentences)
{
    struct med_buf buf;
    med_buf_init(&buf, MED_MIB);
    for (size_t i = 0; i < count; i++) {
        double u = med_rng_unit(rng);
        unsigned word = (unsigned)(u * u * 90);
        med_buf_printf(
            &buf, "%s%s%c%u", i ? " " : "", word % 7 ? "word" : "IL-", 'a' + word % 26, word);
        if (sentences && med_rng_below(rng, 12) == 0) med_buf_puts(&buf, ". Then");
    }
    struct med_str text;
    assert_true(med_arena_str(arena, med_buf_str(&buf), &text));
    med_buf_free(&buf);
    return text;
}

static struct med_str *list_of(struct med_rng *rng, size_t *ret_count)
{
    *ret_count = (size_t)med_rng_below(rng, 4);
    struct med_str *list = med_arena_calloc(arena, 4, sizeof *list);
    assert_non_null(list);
    for (size_t i = 0; i < *ret_count; i++) list[i] = words(rng, 1 + med_rng_below(rng, 2), false);
    return list;
}

static struct med_str number_text(const char *prefix, unsigned n)
{
    char text[64];
    int len = snprintf(text, sizeof text, "%s%u", prefix, n);
    return (struct med_str){.ptr = med_arena_strndup(arena, text, (size_t)len), .len = (size_t)len};
}

/* Document n; another `edition` is another text. */
static struct med_doc random_doc(unsigned n, unsigned edition, uint64_t seed)
{
    struct med_rng rng;
    med_rng_seed(&rng, seed * 7919 + n * 31 + edition);
    bool full_text = n % 5 == 0;
    struct med_doc doc = {.id = number_text(full_text ? "pmcid:PMC" : "pmid:", 100 + n * 37 % 9973),
        .source = full_text ? MED_SOURCE_PMC : MED_SOURCE_PUBMED,
        .title = words(&rng, (size_t)med_rng_below(&rng, 7), false),
        .date = {.year = (uint16_t)(1990 + n % 30)},
        .language = MED_STR("eng"),
        .precedence = {.version = edition}};
    doc.source_id = number_text("", n);
    doc.section_count = (size_t)med_rng_below(&rng, full_text ? 5 : 2) + 1;
    doc.sections = med_arena_calloc(arena, doc.section_count, sizeof *doc.sections);
    doc.mesh = med_arena_calloc(arena, 3, sizeof *doc.mesh);
    doc.authors = med_arena_calloc(arena, 1, sizeof *doc.authors);
    assert_true(doc.sections && doc.mesh && doc.authors);
    for (size_t i = 0; i < doc.section_count; i++)
        doc.sections[i] =
            (struct med_section){.kind = full_text ? MED_SECTION_BODY : MED_SECTION_ABSTRACT,
                .level = full_text,
                .heading = full_text ? MED_STR("Findings") : (struct med_str){0},
                .path = full_text ? MED_STR("Findings") : (struct med_str){0},
                .body = words(&rng, 3 + (size_t)med_rng_below(&rng, full_text ? 500 : 60), true)};
    for (doc.mesh_count = 0; doc.mesh_count < n % 3; doc.mesh_count++)
        doc.mesh[doc.mesh_count] = (struct med_mesh){
            .descriptor = words(&rng, 1, false), .major = med_rng_below(&rng, 2) == 0};
    doc.keywords = list_of(&rng, &doc.keyword_count);
    doc.chemicals = list_of(&rng, &doc.chemical_count);
    doc.publication_types = list_of(&rng, &doc.publication_type_count);
    doc.authors[doc.author_count++] =
        (struct med_author){.family = words(&rng, 1, false), .initials = MED_STR("AB")};
    doc.links = med_arena_calloc(arena, 2, sizeof *doc.links);
    assert_non_null(doc.links);
    for (doc.link_count = 0; doc.link_count < n % 4 / 2; doc.link_count++)
        doc.links[doc.link_count] = (struct med_link){.kind = MED_LINK_COMMENT_ON,
            .target = number_text("pmid:", n + 1),
            .note = words(&rng, 2, false)};
    if (n % 11 == 0) doc.organization = words(&rng, 2, false);
    doc.journal.title = words(&rng, 2, false);
    return doc;
}

/* --- parts: copies of one data folder with an encoder, each with documents of its own --- */

struct part {
    struct index_fixture f;
    struct med_pin *pin;
    struct med_segment *segment;
    uint64_t *dead;
};

static char template_dir[MED_PATH_MAX];

static int open_template(void **state)
{
    (void)state;
    struct index_fixture f;
    if (med_arena_new(512 * MED_MIB, &arena, NULL)) return 1;
    fixture_open(&f);
    for (unsigned n = 0; n < DOC_COUNT; n++) {
        struct med_doc doc = random_doc(n, 0, 1);
        fixture_put(&f, &doc, 1);
    }
    fixture_build(&f, false);
    memcpy(template_dir, f.dir, sizeof template_dir);
    med_searcher_free(&f.searcher);
    med_index_release(&f.index);
    med_store_close(&f.store);
    med_data_close(&f.data);
    med_arena_free(&f.arena);
    return 0;
}

static int close_template(void **state)
{
    (void)state;
    med_test_temp_remove(template_dir);
    med_arena_free(&arena);
    return 0;
}

/* which[n]: 0 = not there, 1 = as in the template, 2 = with another text, 3 = the same, and dead */
static void part_open(struct part *p, const uint8_t *which, uint64_t seed)
{
    char dir[MED_PATH_MAX], command[2 * MED_PATH_MAX + 64], docs[MED_PATH_MAX];
    enum med_put_outcome outcome;
    *p = (struct part){0};
    med_test_temp_new(dir);
    snprintf(command, sizeof command, "cp -r '%s/.' '%s'", template_dir, dir);
    assert_int_equal(system(command), 0);
    memcpy(p->f.dir, dir, sizeof dir);
    FIXTURE_OK(med_path_join(docs, dir, "docs", &ok_err));
    FIXTURE_OK(med_data_open(dir, false, med_fs_posix(), &p->f.data, &ok_err));
    FIXTURE_OK(med_store_open(docs, MED_STORE_READ_WRITE, &p->f.store, &ok_err));
    struct med_batch *batch;
    FIXTURE_OK(med_batch_begin(p->f.store, &batch, &ok_err));
    for (unsigned n = 0; n < DOC_COUNT; n++) {
        struct med_doc doc = random_doc(n, which[n] == 2, which[n] == 2 ? seed : 1);
        struct med_precedence later = {.version = 1};
        if (which[n] == 0)
            FIXTURE_OK(med_batch_delete(batch, doc.id, later, &outcome, &ok_err));
        else
            FIXTURE_OK(med_batch_put(batch, &doc, &outcome, &ok_err));
    }
    FIXTURE_OK(med_batch_commit(&batch, &ok_err));
    struct med_build_options options = {.threads = 2};
    struct med_build_report report;
    FIXTURE_OK(med_build(p->f.data, p->f.store, &options, &report, &ok_err));
    assert_false(report.encoder_trained);
    FIXTURE_OK(med_generation_pin(p->f.data, 0, &p->pin, &ok_err));
    const struct med_manifest *m = med_pin_manifest(p->pin);
    assert_int_equal(m->segment_count, 1);
    FIXTURE_OK(med_segment_open(p->pin, &m->segments[0], true, &p->segment, &ok_err));
    p->dead = med_calloc(DOC_COUNT / 64 + 1, sizeof *p->dead);
    assert_non_null(p->dead);
    for (uint32_t d = 0; d < p->segment->doc_count; d++)
        for (unsigned n = 0; n < DOC_COUNT; n++)
            if (which[n] >= 2 &&
                med_str_eq(med_segment_doc_id(p->segment, d), random_doc(n, 0, 1).id))
                p->dead[d >> 6] |= 1ull << (d & 63);
}

static void part_close(struct part *p)
{
    med_segment_close(&p->segment);
    med_pin_release(&p->pin);
    med_store_close(&p->f.store);
    med_data_close(&p->f.data);
    med_free(p->dead);
    med_test_temp_remove(p->f.dir);
}

/* Every document is live in one part or in none, and dead, perhaps with another text, in others. */
static size_t random_parts(struct med_rng *rng, struct part parts[PARTS_MAX], struct part *fresh)
{
    uint8_t which[PARTS_MAX][DOC_COUNT] = {0}, live[DOC_COUNT] = {0};
    size_t count = 1 + (size_t)med_rng_below(rng, PARTS_MAX);
    for (unsigned n = 0; n < DOC_COUNT; n++) {
        size_t home = (size_t)med_rng_below(rng, count);
        live[n] = n == 0 || med_rng_below(rng, 8) > 0;
        for (size_t i = 0; i < count; i++) {
            bool dead = med_rng_below(rng, 3) == 0;
            which[i][n] = i == home && live[n] ? 1
                          : dead               ? (uint8_t)(2 + med_rng_below(rng, 2))
                                               : 0;
        }
    }
    uint64_t seed = med_rng_u64(rng);
    for (size_t i = 0; i < count; i++) part_open(&parts[i], which[i], seed + i);
    part_open(fresh, live, 0);
    return count;
}

static void segment_dir(const struct part *p, char ret_dir[MED_PATH_MAX])
{
    char folder[MED_PATH_MAX];
    FIXTURE_OK(med_path_join(folder, p->f.dir, "segments", &ok_err));
    FIXTURE_OK(med_path_join(ret_dir, folder, p->segment->ref->id, &ok_err));
}

static void expect_same_file(const char *merged_dir, const struct part *fresh, const char *name)
{
    char a[MED_PATH_MAX], b[MED_PATH_MAX], folder[MED_PATH_MAX];
    struct med_map x, y;
    segment_dir(fresh, folder);
    FIXTURE_OK(med_path_join(b, folder, name, &ok_err));
    FIXTURE_OK(med_path_join(a, merged_dir, name, &ok_err));
    FIXTURE_OK(med_map_open(a, &x, &ok_err));
    FIXTURE_OK(med_map_open(b, &y, &ok_err));
    if (x.len != y.len) fail_msg("%s: %zu bytes instead of %zu", name, x.len, y.len);
    for (size_t i = 0; i < x.len; i++)
        if (x.ptr[i] != y.ptr[i]) fail_msg("%s: byte %zu of %zu differs", name, i, x.len);
    med_map_close(&x);
    med_map_close(&y);
}

static const struct med_merge_options merge_options = {
    .weights = {.title = 2, .mesh = 1}, .threads = 2};

static void a_merged_segment_has_the_bytes_of_a_fresh_one(void **state)
{
    (void)state;
    struct med_rng rng;
    med_rng_seed(&rng, med_test_seed());
    for (unsigned trial = 0; trial < TRIALS; trial++) {
        struct part parts[PARTS_MAX], fresh;
        struct med_merge_input inputs[PARTS_MAX];
        struct med_merge_result result;
        char dir[MED_PATH_MAX];
        size_t count = random_parts(&rng, parts, &fresh);
        for (size_t i = 0; i < count; i++)
            inputs[i] = (struct med_merge_input){parts[i].segment, parts[i].dead};
        med_test_temp_new(dir);
        FIXTURE_OK(med_segment_merge(
            inputs, count, &merge_options, med_fs_posix(), dir, &result, &ok_err));
        assert_int_equal(result.doc_count, fresh.segment->doc_count);
        assert_int_equal(result.chunk_count, fresh.segment->chunk_count);
        assert_true(result.has_dense && result.file_count == fresh.segment->ref->file_count);
        for (size_t i = 0; i < result.file_count; i++) {
            assert_string_equal(result.files[i].name, fresh.segment->ref->files[i].name);
            expect_same_file(dir, &fresh, result.files[i].name);
            assert_int_equal(result.files[i].size, fresh.segment->ref->files[i].size);
            assert_true(med_hash128_eq(result.files[i].hash, fresh.segment->ref->files[i].hash));
        }
        med_test_temp_remove(dir);
        for (size_t i = 0; i < count; i++) part_close(&parts[i]);
        part_close(&fresh);
    }
}

/* Above a size a build links the vectors: over copied ones the graph is as good. */
static void a_graph_over_copied_vectors_is_measured(void **state)
{
    (void)state;
    struct med_rng rng;
    struct part parts[PARTS_MAX], fresh;
    struct med_merge_input inputs[PARTS_MAX];
    struct med_merge_options options = merge_options;
    struct med_merge_result result;
    char dir[MED_PATH_MAX];
    med_rng_seed(&rng, med_test_seed());
    size_t count = random_parts(&rng, parts, &fresh);
    for (size_t i = 0; i < count; i++)
        inputs[i] = (struct med_merge_input){parts[i].segment, parts[i].dead};
    med_test_temp_new(dir);
    options.kind = MED_DENSE_HNSW;
    FIXTURE_OK(med_segment_merge(inputs, count, &options, med_fs_posix(), dir, &result, &ok_err));
    assert_int_equal(result.dense.kind, MED_DENSE_HNSW);
    assert_true(result.dense.recall_at_10 > 0.95f);
    expect_same_file(dir, &fresh, "vectors");
    struct med_segment_ref ref = {.id = "merged",
        .files = result.files,
        .file_count = result.file_count,
        .doc_count = result.doc_count};
    struct med_segment *merged;
    FIXTURE_OK(segment_open_unpublished(dir, dir, &ref, &merged, &ok_err));
    FIXTURE_OK(med_segment_check(merged, &ok_err));
    med_segment_close(&merged);
    med_test_temp_remove(dir);
    for (size_t i = 0; i < count; i++) part_close(&parts[i]);
    part_close(&fresh);
}

static void nothing_left_and_one_id_twice_are_errors(void **state)
{
    (void)state;
    uint8_t which[DOC_COUNT];
    uint64_t all[DOC_COUNT / 64 + 1];
    struct part part;
    struct med_merge_result result;
    struct med_err err = {0};
    char dir[MED_PATH_MAX];
    memset(which, 1, sizeof which);
    memset(all, 255, sizeof all);
    part_open(&part, which, 0);
    med_test_temp_new(dir);
    struct med_merge_input dead = {part.segment, all},
                           twice[] = {{part.segment, NULL}, {part.segment, NULL}};
    assert_int_equal(
        med_segment_merge(&dead, 1, &merge_options, med_fs_posix(), dir, &result, &err),
        MED_E_INVALID);
    assert_int_equal(
        med_segment_merge(twice, 2, &merge_options, med_fs_posix(), dir, &result, &err),
        MED_E_CORRUPT);
    assert_non_null(strstr(err.text, "pmcid:PMC"));
    twice[1].dead = all;
    FIXTURE_OK(med_segment_merge(twice, 2, &merge_options, med_fs_posix(), dir, &result, &ok_err));
    med_test_temp_remove(dir);
    part_close(&part);
}

/* --- damage --- */

/* One bit of a file, or its end, is not what was written, and nobody compared the checksum. */
static void damage(struct med_rng *rng, const char *from, const char *to)
{
    struct med_map map;
    FIXTURE_OK(med_map_open(from, &map, &ok_err));
    uint8_t *copy = med_malloc(map.len);
    assert_non_null(copy);
    memcpy(copy, map.ptr, map.len);
    size_t len = med_rng_below(rng, 8) ? map.len : (size_t)med_rng_below(rng, map.len);
    copy[med_rng_below(rng, map.len)] ^= (uint8_t)(1u << med_rng_below(rng, 8));
    FILE *file = fopen(to, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(copy, 1, len, file), len);
    fclose(file);
    med_free(copy);
    med_map_close(&map);
}

static void damaged_segments_are_errors_and_never_crash(void **state)
{
    (void)state;
    struct med_rng rng;
    uint8_t which[DOC_COUNT];
    struct part part;
    unsigned opened = 0, refused = 0;
    char dir[MED_PATH_MAX], segment[MED_PATH_MAX], command[3 * MED_PATH_MAX];
    char from[MED_PATH_MAX], to[MED_PATH_MAX];
    med_rng_seed(&rng, med_test_seed());
    memset(which, 1, sizeof which);
    for (unsigned n = 0; n < DOC_COUNT; n += 3) which[n] = 3;
    part_open(&part, which, 0);
    segment_dir(&part, segment);
    for (unsigned round = 0; round < DAMAGE_ROUNDS; round++) {
        const struct med_segment_ref *ref = part.segment->ref;
        const char *name = ref->files[med_rng_below(&rng, ref->file_count)].name;
        struct med_segment *s;
        struct med_merge_result result;
        med_test_temp_new(dir);
        snprintf(command, sizeof command, "cp '%s'/* '%s'", segment, dir);
        assert_int_equal(system(command), 0);
        FIXTURE_OK(med_path_join(from, segment, name, &ok_err));
        FIXTURE_OK(med_path_join(to, dir, name, &ok_err));
        damage(&rng, from, to);
        if (segment_open_unpublished(dir, dir, ref, &s, NULL) == MED_OK) {
            struct med_merge_input input = {s, round % 4 ? part.dead : NULL};
            opened++;
            FIXTURE_OK(med_path_join(to, dir, "merged", &ok_err));
            FIXTURE_OK(med_fs_mkdir_all(med_fs_posix(), to, &ok_err));
            refused += med_segment_merge(
                           &input, 1, &merge_options, med_fs_posix(), to, &result, NULL) != MED_OK;
            med_segment_close(&s);
        }
        med_test_temp_remove(dir);
    }
    print_message("%u damaged segments opened, %u of them refused by merging\n", opened, refused);
    assert_true(opened > refused && refused > 0);
    part_close(&part);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_merged_segment_has_the_bytes_of_a_fresh_one),
        cmocka_unit_test(a_graph_over_copied_vectors_is_measured),
        cmocka_unit_test(nothing_left_and_one_id_twice_are_errors),
        cmocka_unit_test(damaged_segments_are_errors_and_never_crash),
    };
    return cmocka_run_group_tests(tests, open_template, close_template);
}
